//! `/v1/journeys`: steps that each person goes through on their own clock.

use axum::Json;
use axum::extract::{OriginalUri, State as Extract};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query};
use super::page::{Page, cursor, page, place};
use super::problem::Problem;
use crate::proactive::journeys::{Enter, Entering, Journey, Report, Shown, Traveller};

fn may_use(caller: &Caller, journey: &Journey) -> Result<(), Problem> {
    caller.may("campaigns:write")?;
    journey.all_channels().try_for_each(|channel| caller.may_use(channel))
}

/// A journey that the caller may see.
pub(super) async fn found(api: &Api, caller: &Caller, id: &str) -> Result<Shown, Problem> {
    let shown = api.proactive.journey(id).await?;
    may_use(caller, &shown.journey)?;
    Ok(shown)
}

/// Lists journeys, the newest first.
#[utoipa::path(get, path = "/v1/journeys", operation_id = "listJourneys", tag = "journeys", responses((status = 200, body = Page<Shown>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<Shown>>, Problem> {
    caller.may("campaigns:write")?;
    let mut all = api.proactive.journeys().await?;
    all.retain(|shown| may_use(&caller, &shown.journey).is_ok());
    Ok(Json(Page::whole(all)))
}

/// Adds a journey. Its event counts from the next one on.
#[utoipa::path(post, path = "/v1/journeys", operation_id = "createJourney", tag = "journeys", request_body = Journey,
    responses((status = 201, body = Shown), (status = 422, body = Problem)))]
pub async fn create(
    Extract(api): Extract<Api>,
    caller: Caller,
    Body(journey): Body<Journey>,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    may_use(&caller, &journey)?;
    Ok((StatusCode::CREATED, Json(api.proactive.create_journey(&journey).await?)))
}

/// Shows a journey.
#[utoipa::path(get, path = "/v1/journeys/{id}", operation_id = "showJourney", tag = "journeys", params(("id" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Shown>, Problem> {
    Ok(Json(found(&api, &caller, &id).await?))
}

/// Puts another in a journey's place. Who is on the way goes on from the step of the same name, or leaves when there is none.
#[utoipa::path(put, path = "/v1/journeys/{id}", operation_id = "editJourney", tag = "journeys", params(("id" = String, Path)),
    request_body = Journey, responses((status = 200, body = Shown), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn edit(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(journey): Body<Journey>,
) -> Result<Json<Shown>, Problem> {
    found(&api, &caller, &id).await?;
    may_use(&caller, &journey)?;
    Ok(Json(api.proactive.edit_journey(&id, &journey).await?))
}

/// Removes a journey; what waits does not go.
#[utoipa::path(delete, path = "/v1/journeys/{id}", operation_id = "removeJourney", tag = "journeys", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    found(&api, &caller, &id).await?;
    api.proactive.remove_journey(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a person, or everybody of an audience, into a journey. Who is on the way stays where they are.
#[utoipa::path(post, path = "/v1/journeys/{id}/enter", operation_id = "enterJourney", tag = "journeys", params(("id" = String, Path)),
    request_body = Enter, responses((status = 202, body = Entering), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub async fn enter(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(who): Body<Enter>,
) -> Result<(StatusCode, Json<Entering>), Problem> {
    found(&api, &caller, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(api.proactive.enter_journey(&id, &who).await?)))
}

/// Which people of a journey.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PeopleQuery {
    /// `going`, `done` or `left`.
    state: Option<String>,
    /// Behind this cursor.
    after: Option<String>,
    /// At most; 50 when absent, 500 at most.
    limit: Option<usize>,
}

/// Lists the people of a journey by address, each where they are.
#[utoipa::path(get, path = "/v1/journeys/{id}/people", operation_id = "listTravellers", tag = "journeys",
    params(("id" = String, Path), PeopleQuery), responses((status = 200, body = Page<Traveller>), (status = 404, body = Problem)))]
pub async fn people(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<PeopleQuery>,
) -> Result<Response, Problem> {
    caller.may("contacts:read")?;
    found(&api, &caller, &id).await?;
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let list = format!("travellers {id}");
    let behind = place(&api.seal, &list, query.after.as_deref())?.unwrap_or_default();
    let mut data = api.proactive.travellers(&id, query.state.as_deref(), &behind, limit + 1).await?;
    let has_more = data.len() > limit;
    data.truncate(limit);
    let next = data.last().filter(|_| has_more).map(|person| cursor(&api.seal, &list, &person.address));
    Ok(page(&uri, data, next, has_more))
}

/// The numbers of a journey: people by state, and what became of each step.
#[utoipa::path(get, path = "/v1/journeys/{id}/report", operation_id = "reportJourney", tag = "journeys", params(("id" = String, Path)),
    responses((status = 200, body = Report), (status = 404, body = Problem)))]
pub async fn report(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Report>, Problem> {
    found(&api, &caller, &id).await?;
    Ok(Json(api.proactive.journey_report(&id).await?))
}

//! `/v1/audiences`: lists of people as CSV, read as they arrive, with a report of bad rows; saved filters over contacts.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State as Extract;
use fairway_adapters::contract::Category;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use tokio::sync::mpsc;

use super::Api;
use super::auth::Caller;
use super::extract::{Path, Query, parse};
use super::page::Page;
use super::problem::{self, Problem};
use crate::proactive::audiences::{Audience, BadRow, FollowUp, Kept};
use crate::proactive::campaigns::reach::Reached;
use crate::proactive::saved::Save;

/// What an upload is called.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Its name.
    name: Option<String>,
}

/// An audience with its bad rows.
#[skip_serializing_none]
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AudienceReport)]
pub struct Report {
    /// The audience.
    #[serde(flatten)]
    audience: Audience,
    /// The first thousand rows that were not taken.
    bad_rows: Vec<BadRow>,
    /// People each channel asked for has an address of; all that reach somebody where none was asked for. Of a saved filter absent:
    /// it is counted.
    reachable: Option<BTreeMap<String, u64>>,
    /// People whom none of them reaches.
    unreachable: Option<u64>,
}

/// An audience that is not uploaded.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = NewAudience)]
pub enum New {
    /// By a filter over contacts.
    Filter(Save),
    /// By what a campaign left.
    FollowUp(FollowUp),
}

async fn report(api: &Api, audience: Audience, channels: Vec<String>) -> Result<Report, Problem> {
    let bad_rows = api.proactive.bad_rows(&audience.id).await?;
    if audience.state == Kept::Saved {
        return Ok(Report { audience, bad_rows, reachable: None, unreachable: None });
    }
    let asked = !channels.is_empty();
    let channels = if asked { channels } else { every_channel(api) };
    let (mut reachable, unreachable) = api.proactive.reachable(&audience, &channels);
    reachable.retain(|_, people| asked || *people > 0);
    Ok(Report { audience, bad_rows, reachable: Some(reachable), unreachable: Some(unreachable) })
}

fn every_channel(api: &Api) -> Vec<String> {
    api.channels.get().by_id.keys().cloned().collect()
}

/// Uploads an audience: CSV whose first line names the columns. `address` may hold several addresses, separated by spaces, the
/// preferred one first; columns that are not `address`, `name`, `locale` or `time_zone` become attributes. With a JSON body
/// `{name, filter}` a saved filter over contacts, whose people are looked for when a campaign with it is launched; with `campaign`,
/// `states` and `without_goal` a list of those whom a campaign left so, to follow up.
#[utoipa::path(post, path = "/v1/audiences", operation_id = "uploadAudience", tag = "audiences", params(UploadQuery),
    request_body(content((String = "text/csv"), (New = "application/json")), description = "address,name,locale,time_zone,...attributes"),
    responses((status = 201, body = Report), (status = 415, body = Problem), (status = 422, body = Problem), (status = 501, body = Problem)))]
pub async fn upload(
    Extract(api): Extract<Api>,
    caller: Caller,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<(StatusCode, Json<Report>), Problem> {
    caller.may("contacts:write")?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind == "application/json" {
        return made(&api, &caller, body).await;
    }
    if kind != "text/csv" {
        return Err(Problem::new(&problem::MEDIA_TYPE, "send `Content-Type: text/csv`"));
    }
    let (sender, chunks) = mpsc::channel(4);
    let mut stream = body.into_data_stream();
    tokio::spawn(async move {
        while let Some(chunk) = stream.next().await {
            if sender.send(chunk.map_err(std::io::Error::other)).await.is_err() {
                return;
            }
        }
    });
    let name = query.name.unwrap_or_else(|| "audience".into());
    let audience = api.proactive.upload(&name, chunks).await?;
    Ok((StatusCode::CREATED, Json(report(&api, audience, Vec::new()).await?)))
}

/// What a JSON body may hold: a filter, or a follow-up of a campaign.
async fn made(api: &Api, caller: &Caller, body: HttpBody) -> Result<(StatusCode, Json<Report>), Problem> {
    caller.may("campaigns:write")?;
    let bytes = axum::body::to_bytes(body, 64 << 10).await.map_err(|_| Problem::new(&problem::TOO_LARGE, "at most 64 KiB"))?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| Problem::new(&problem::MALFORMED, format!("the body is not JSON: {e}")))?;
    // Told apart here, so that what is wrong is named by its place.
    let new = if value.get("filter").is_some() { New::Filter(parse(value)?) } else { New::FollowUp(parse(value)?) };
    let audience = match new {
        New::Filter(save) => api.proactive.save_audience(save).await?,
        New::FollowUp(wanted) => {
            let name = wanted.name.clone().unwrap_or_else(|| format!("follow-up of {}", wanted.campaign));
            api.proactive.follow_up(&name, &wanted).await?
        }
    };
    Ok((StatusCode::CREATED, Json(report(api, audience, Vec::new()).await?)))
}

/// Lists audiences, the newest first.
#[utoipa::path(get, path = "/v1/audiences", operation_id = "listAudiences", tag = "audiences",
    responses((status = 200, body = Page<Audience>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<Audience>>, Problem> {
    caller.may("contacts:read")?;
    Ok(Json(Page::whole(api.proactive.audiences().await?)))
}

/// Which channels to show the reach of.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ShowQuery {
    /// Channels, separated by commas.
    channels: Option<String>,
}

/// What to count for.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CountQuery {
    /// Channels, separated by commas; all when absent.
    channels: Option<String>,
    /// The category of the message; `marketing` when absent.
    #[param(value_type = Option<String>, format = "category")]
    category: Option<Category>,
}

fn names(channels: Option<String>) -> Vec<String> {
    let channels = channels.unwrap_or_default();
    channels.split(',').map(str::trim).filter(|c| !c.is_empty()).map(str::to_owned).collect()
}

/// Shows an audience with its bad rows, and how many of its people each channel reaches.
#[utoipa::path(get, path = "/v1/audiences/{id}", operation_id = "showAudience", tag = "audiences", params(("id" = String, Path), ShowQuery),
    responses((status = 200, body = Report), (status = 404, body = Problem)))]
pub async fn show(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Json<Report>, Problem> {
    caller.may("contacts:read")?;
    let audience = api.proactive.audience(&id).await?;
    Ok(Json(report(&api, audience, names(query.channels)).await?))
}

/// Counts an audience's people as they are now, whoever a saved filter means included: how many could be written to through each
/// channel, do not want it, have had what caps allow, or have no address there.
#[utoipa::path(get, path = "/v1/audiences/{id}/count", operation_id = "countAudience", tag = "audiences",
    params(("id" = String, Path), CountQuery),
    responses((status = 200, body = Reached), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn count(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<CountQuery>,
) -> Result<Json<Reached>, Problem> {
    caller.may("contacts:read")?;
    let audience = api.proactive.audience(&id).await?;
    let named = names(query.channels);
    let channels = if named.is_empty() { every_channel(&api) } else { named };
    Ok(Json(api.proactive.count(&audience, &channels, query.category.unwrap_or(Category::Marketing)).await?))
}

/// Removes an audience, unless a campaign that has not ended is for it.
#[utoipa::path(delete, path = "/v1/audiences/{id}", operation_id = "removeAudience", tag = "audiences", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    caller.may("contacts:write")?;
    api.proactive.remove_audience(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

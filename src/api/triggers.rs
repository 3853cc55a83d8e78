//! `/v1/triggers`: messages that follow from what people do; `POST /v1/track`: what they do.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::HeaderMap;
use fairway_adapters::contract::event::{Person, Tracked};
use fairway_adapters::contract::{Body as Event, Data, Raw};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path};
use super::page::Page;
use super::problem::{self, Problem};
use crate::clock;
use crate::envelope::{self, Attributes};
use crate::ids;
use crate::log::{Durability, Outcome, Topic};
use crate::proactive::due::Step;
use crate::proactive::triggers::{Shown, Trigger};

fn may_use(caller: &Caller, trigger: &Trigger) -> Result<(), Problem> {
    caller.may("campaigns:write")?;
    trigger.channels.iter().try_for_each(|channel| caller.may_use(channel))
}

async fn found(api: &Api, caller: &Caller, id: &str) -> Result<Shown, Problem> {
    let shown = api.proactive.trigger(id).await?;
    may_use(caller, &shown.trigger)?;
    Ok(shown)
}

/// Lists triggers, the newest first.
#[utoipa::path(get, path = "/v1/triggers", operation_id = "listTriggers", tag = "triggers", responses((status = 200, body = Page<Shown>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<Shown>>, Problem> {
    caller.may("campaigns:write")?;
    let mut all = api.proactive.triggers().await?;
    all.retain(|t| may_use(&caller, &t.trigger).is_ok());
    Ok(Json(Page::whole(all)))
}

/// Adds a trigger. It counts from the next event on.
#[utoipa::path(post, path = "/v1/triggers", operation_id = "createTrigger", tag = "triggers", request_body = Trigger,
    responses((status = 201, body = Shown), (status = 422, body = Problem)))]
pub async fn create(
    Extract(api): Extract<Api>,
    caller: Caller,
    Body(trigger): Body<Trigger>,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    may_use(&caller, &trigger)?;
    Ok((StatusCode::CREATED, Json(api.proactive.create_trigger(trigger).await?)))
}

/// Shows a trigger.
#[utoipa::path(get, path = "/v1/triggers/{id}", operation_id = "showTrigger", tag = "triggers", params(("id" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Shown>, Problem> {
    Ok(Json(found(&api, &caller, &id).await?))
}

/// Puts another in a trigger's place; what waits goes in the new words.
#[utoipa::path(put, path = "/v1/triggers/{id}", operation_id = "editTrigger", tag = "triggers", params(("id" = String, Path)),
    request_body = Trigger, responses((status = 200, body = Shown), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn edit(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(trigger): Body<Trigger>,
) -> Result<Json<Shown>, Problem> {
    found(&api, &caller, &id).await?;
    may_use(&caller, &trigger)?;
    Ok(Json(api.proactive.edit_trigger(&id, trigger).await?))
}

/// Removes a trigger; what waits does not go.
#[utoipa::path(delete, path = "/v1/triggers/{id}", operation_id = "removeTrigger", tag = "triggers", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    found(&api, &caller, &id).await?;
    api.proactive.remove_trigger(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The newest messages of a trigger: what each event led to, and why.
#[utoipa::path(get, path = "/v1/triggers/{id}/messages", operation_id = "listTriggered", tag = "triggers", params(("id" = String, Path)),
    responses((status = 200, body = Page<Step>), (status = 404, body = Problem)))]
pub async fn messages(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Page<Step>>, Problem> {
    caller.may("contacts:read")?;
    found(&api, &caller, &id).await?;
    Ok(Json(Page::whole(api.proactive.trigger_steps(&id).await?)))
}

/// Something a person did.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackRequest {
    /// What: `cart_left`, `page_viewed`, `order_placed`.
    name: String,
    /// Who, by an address.
    address: String,
    /// The channel the address belongs to; needed when it fits more than one.
    channel: Option<String>,
    /// Details.
    #[serde(default)]
    #[schema(value_type = Object)]
    properties: Map<String, Value>,
    /// Your id of this event: telling it again is the same event.
    id: Option<String>,
}

/// The event it became.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TrackedEvent {
    /// `evt_...`.
    id: String,
}

/// Tells what a person did: it becomes the event `fairway.contact.tracked`, which triggers, goals and reminders watch.
#[utoipa::path(post, path = "/v1/track", operation_id = "track", tag = "triggers", request_body = TrackRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Stands in for `id`")),
    responses((status = 202, body = TrackedEvent), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn track(
    Extract(api): Extract<Api>,
    caller: Caller,
    headers: HeaderMap,
    Body(track): Body<TrackRequest>,
) -> Result<(StatusCode, Json<TrackedEvent>), Problem> {
    caller.may("contacts:write")?;
    if track.name.is_empty() || track.name.len() > 100 {
        return Err(Problem::new(&problem::INVALID, "an event's name has 1 to 100 characters").at("#/name", "name_invalid"));
    }
    let channels = api.channels.get();
    let channel = channels.choose(track.channel.as_deref(), &track.address);
    let channel = channel.map_err(|e| Problem::new(&problem::INVALID, e.to_string()).at("#/address", "no_channel"))?;
    caller.may_use(&channel.id)?;
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).map(|k| k.trim().trim_matches('"').to_owned());
    let named = track.id.as_deref().or(key.as_deref());
    let id = match named {
        Some(named) => ids::fingerprint(&[b"tracked", caller.id.as_bytes(), named.as_bytes()]),
        None => ids::random(),
    };
    let now = clock::now();
    let body = Event::Tracked(Tracked {
        from: Some(Person::at(track.address.as_str())),
        name: track.name.as_str().into(),
        properties: (!track.properties.is_empty()).then(|| Raw::of(&track.properties)),
    });
    let conversation = format!("{}/{}", channel.id, track.address);
    let facts = channel.facts();
    let scheme = track.address.split(':').next().unwrap_or_default();
    let data = envelope::data(&Data {
        channel: (&*channel.id).into(),
        provider: facts.id.into(),
        medium: facts.mediums.iter().find(|m| **m == scheme).unwrap_or(&facts.mediums[0]).to_owned().into(),
        conversation: conversation.as_str().into(),
        received_at: now,
        body: &body,
    });
    let attributes = Attributes {
        id,
        kind: body.kind(),
        channel: &channel.id,
        conversation: &conversation,
        time: now,
        tenant: channel.tenant.as_deref(),
        traceparent: crate::telemetry::trace::parent(&headers),
        correlation: None,
        replaces: None,
    };
    let outcomes = api.log.append(vec![api.writer.record(Topic::Inbound, &attributes, data)], Durability::Log).await;
    if !outcomes.iter().all(Outcome::is_durable) {
        return Err(Problem::new(&problem::UNAVAILABLE, "the log cannot take it now; try again, with an `id` to be safe").retry_after(5));
    }
    Ok((StatusCode::ACCEPTED, Json(TrackedEvent { id: envelope::id_text(id) })))
}

//! `/v1/reminders`: messages on an anchor, moved and cancelled with it.

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
use crate::proactive::reminders::{Reminder, Shown};

fn may_use(caller: &Caller, reminder: &Reminder) -> Result<(), Problem> {
    caller.may("messages:write")?;
    reminder.channels.iter().try_for_each(|channel| caller.may_use(channel))
}

/// Puts a reminder on an anchor. The same anchor with a higher version moves every message that has not left.
#[utoipa::path(post, path = "/v1/reminders", operation_id = "putReminder", tag = "reminders", request_body = Reminder,
    responses((status = 201, body = Shown), (status = 409, body = Problem), (status = 422, body = Problem), (status = 501, body = Problem)))]
pub async fn put(Extract(api): Extract<Api>, caller: Caller, Body(reminder): Body<Reminder>) -> Result<(StatusCode, Json<Shown>), Problem> {
    may_use(&caller, &reminder)?;
    Ok((StatusCode::CREATED, Json(api.proactive.put_reminder(&reminder).await?)))
}

/// Whose reminders.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Of the person with this address.
    address: Option<String>,
    /// Behind this cursor.
    after: Option<String>,
    /// At most; 50 when absent, 200 at most.
    limit: Option<usize>,
}

/// Lists reminders with their messages, by the id of their anchor.
#[utoipa::path(get, path = "/v1/reminders", operation_id = "listReminders", tag = "reminders", params(ListQuery),
    responses((status = 200, body = Page<Shown>)))]
pub async fn list(
    Extract(api): Extract<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    caller.may("messages:read")?;
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let behind = place(&api.seal, "reminders", query.after.as_deref())?.unwrap_or_default();
    let mut ids = api.proactive.reminders(query.address.as_deref(), &behind, limit + 1).await?;
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    let mut data = Vec::with_capacity(ids.len());
    for id in &ids {
        data.push(api.proactive.reminder(id).await?);
    }
    let next = ids.pop().filter(|_| has_more).map(|id| cursor(&api.seal, "reminders", &id));
    data.retain(|r| r.reminder.channels.iter().all(|c| caller.may_use(c).is_ok()));
    Ok(page(&uri, data, next, has_more))
}

/// Shows a reminder with its messages.
#[utoipa::path(get, path = "/v1/reminders/{anchor}", operation_id = "showReminder", tag = "reminders", params(("anchor" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(anchor): Path<String>) -> Result<Json<Shown>, Problem> {
    caller.may("messages:read")?;
    let shown = api.proactive.reminder(&anchor).await?;
    shown.reminder.channels.iter().try_for_each(|channel| caller.may_use(channel))?;
    Ok(Json(shown))
}

/// Cancels every message of an anchor that has not left.
#[utoipa::path(delete, path = "/v1/reminders/{anchor}", operation_id = "removeReminder", tag = "reminders", params(("anchor" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Problem)))]
pub async fn remove(Extract(api): Extract<Api>, caller: Caller, Path(anchor): Path<String>) -> Result<Json<Shown>, Problem> {
    let shown = api.proactive.reminder(&anchor).await?;
    may_use(&caller, &shown.reminder)?;
    Ok(Json(api.proactive.remove_reminder(&anchor).await?))
}

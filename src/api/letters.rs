//! `/v1/dead-letters`: what failed, and what is in doubt.

use axum::Json;
use axum::extract::{OriginalUri, State as Extract};
use axum::response::Response;
use fairway_adapters::contract::State;
use http::StatusCode;
use serde::Deserialize;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query};
use super::messages::{find, newest, order, read_place};
use super::page::Page;
use super::problem::{self, Problem};
use crate::ids::MessageId;
use crate::orders::{Order, Settle};
use crate::store::{Filter, Message};

/// Which dead letters.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LettersQuery {
    /// Only sends whose outcome is unknown.
    #[serde(default)]
    in_doubt: bool,
    /// Of this channel.
    channel: Option<String>,
    /// Behind this cursor.
    after: Option<String>,
    /// At most; 50 when absent, 500 at most.
    limit: Option<usize>,
}

/// Lists dead letters, newest first.
#[utoipa::path(get, path = "/v1/dead-letters", operation_id = "listDeadLetters", tag = "dead letters", params(LettersQuery), responses((status = 200, body = Page<Message>), (status = 400, body = Problem)))]
pub async fn list(
    Extract(api): Extract<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<LettersQuery>,
) -> Result<Response, Problem> {
    caller.may("messages:read")?;
    let states = if query.in_doubt { vec![State::InDoubt] } else { vec![State::Failed, State::Expired, State::InDoubt] };
    let before = query.after.as_deref().map(|text| read_place(&api, text)).transpose()?;
    let limit = query.limit.unwrap_or(50).clamp(1, 500) + 1;
    newest(&api, &caller, &uri, Filter { states, channel: query.channel, before, limit, ..Filter::default() }).await
}

/// Shows one.
#[utoipa::path(get, path = "/v1/dead-letters/{id}", operation_id = "showDeadLetter", tag = "dead letters", params(("id" = String, Path)),
    responses((status = 200, body = Message), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Message>, Problem> {
    caller.may("messages:read")?;
    Ok(Json(letter(&api, &caller, &id).await?.1))
}

/// Sends one again.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/retry", operation_id = "retryDeadLetter", tag = "dead letters", params(("id" = String, Path)),
    responses((status = 202), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn retry(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    tell(&api, &caller, &id, Settle::Retry).await
}

/// Lets go of one.
#[utoipa::path(delete, path = "/v1/dead-letters/{id}", operation_id = "dropDeadLetter", tag = "dead letters", params(("id" = String, Path)),
    responses((status = 202), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn drop_letter(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    tell(&api, &caller, &id, Settle::Drop).await
}

/// How a doubt is settled.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// `sent`, `retry` or `drop`.
    #[schema(value_type = String, format = "settlement")]
    outcome: Settle,
}

/// Settles one that is in doubt.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/settle", operation_id = "settleDeadLetter", tag = "dead letters", params(("id" = String, Path)),
    request_body = Settlement, responses((status = 202), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn settle(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(how): Body<Settlement>,
) -> Result<StatusCode, Problem> {
    tell(&api, &caller, &id, how.outcome).await
}

async fn tell(api: &Api, caller: &Caller, id: &str, how: Settle) -> Result<StatusCode, Problem> {
    caller.may("messages:write")?;
    let (id, _) = letter(api, caller, id).await?;
    order(api, id, Order::Settle { id, how }).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn letter(api: &Api, caller: &Caller, id: &str) -> Result<(MessageId, Message), Problem> {
    let message = find(api, id).await?;
    caller.may_use(&message.channel)?;
    let id = id.parse().map_err(|()| Problem::new(&problem::NOT_FOUND, "there is no message with this id"))?;
    if !matches!(message.state, State::Failed | State::Expired | State::InDoubt) {
        return Err(Problem::new(&problem::CONFLICT, format!("the message is no dead letter: it is {}", message.state.word())));
    }
    Ok((id, message))
}

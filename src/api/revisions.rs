//! `PATCH` and `DELETE /v1/messages/{id}`: what was sent is changed or taken back, where the channel can.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use fairway_adapters::contract::{Part, State, Support};
use http::StatusCode;
use serde::Deserialize;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path};
use super::messages::{find, order};
use super::problem::{self, Problem};
use crate::channels::Channel;
use crate::clock;
use crate::ids::MessageId;
use crate::orders::Order;
use crate::store::Message;

/// How long a request waits for the provider's word.
const WAIT: Duration = Duration::from_secs(10);
/// How long the owner goes on trying, in milliseconds.
const TRY_FOR: i64 = 60_000;

/// What takes the place of what was said.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The new parts. What the message is otherwise (whom it went to, its category, what it answers) stays.
    #[schema(value_type = Vec<Object>, min_items = 1)]
    parts: Vec<Part<'static>>,
}

/// Changes what a sent message says.
#[utoipa::path(patch, path = "/v1/messages/{id}", operation_id = "editMessage", tag = "messages", params(("id" = String, Path)),
    request_body = Edit,
    responses((status = 200, body = Message, description = "It says that now"), (status = 202, body = Message, description = "Its provider has not answered yet"),
        (status = 404, body = Problem), (status = 409, body = Problem, description = "It was not sent, or not any more"),
        (status = 422, body = Problem, description = "The provider refuses it"), (status = 501, body = Problem, description = "This channel cannot edit")))]
pub async fn edit(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>, Body(edit): Body<Edit>) -> Result<Response, Problem> {
    let (message, channel) = sent(&api, &caller, &id).await?;
    if channel.facts().can.edits != Support::Native {
        return Err(Problem::new(&problem::NOT_SUPPORTED, format!("{} cannot change a message that was sent", channel.facts().name)));
    }
    if edit.parts.is_empty() {
        return Err(Problem::new(&problem::INVALID, "say what it says now; DELETE takes it back").at("#/parts", "missing"));
    }
    if !is_there(message.state) {
        let detail =
            format!("the message is {}: only what is at its provider can be changed; cancel it and send another", message.state.word());
        return Err(Problem::new(&problem::CONFLICT, detail));
    }
    revise(&api, message, Some(edit.parts)).await
}

/// Takes a message back; one that has not gone out is cancelled.
#[utoipa::path(delete, path = "/v1/messages/{id}", operation_id = "recallMessage", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = Message, description = "It is gone, or cancelled"), (status = 202, body = Message, description = "Its provider has not answered yet"),
        (status = 404, body = Problem), (status = 409, body = Problem, description = "It is not there"),
        (status = 422, body = Problem, description = "The provider refuses it"), (status = 501, body = Problem, description = "This channel cannot recall")))]
pub async fn recall(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let (message, channel) = sent(&api, &caller, &id).await?;
    if matches!(message.state, State::Accepted | State::Scheduled | State::Held) {
        return super::messages::cancel(Extract(api), caller, Path(id)).await;
    }
    if channel.facts().can.recalls != Support::Native {
        return Err(Problem::new(&problem::NOT_SUPPORTED, format!("{} cannot take back a message that was sent", channel.facts().name)));
    }
    if !is_there(message.state) {
        return Err(Problem::new(&problem::CONFLICT, format!("the message is {}: there is nothing to take back", message.state.word())));
    }
    revise(&api, message, None).await
}

async fn sent(api: &Api, caller: &Caller, id: &str) -> Result<(Message, std::sync::Arc<Channel>), Problem> {
    caller.may("messages:write")?;
    let message = find(api, id).await?;
    caller.may_use(&message.channel)?;
    let gone = || Problem::new(&problem::CONFLICT, format!("the channel {} is not configured here any more", message.channel));
    let channel = api.channels.get().by_id.get(&message.channel).cloned().ok_or_else(gone)?;
    Ok((message, channel))
}

fn is_there(state: State) -> bool {
    matches!(state, State::Sent | State::Delivered | State::Read)
}

/// Tells the owner, and waits for what its provider says.
async fn revise(api: &Api, message: Message, parts: Option<Vec<Part<'static>>>) -> Result<Response, Problem> {
    let id: MessageId = message.id.parse().map_err(|()| Problem::new(&problem::NOT_FOUND, "there is no message with this id"))?;
    let words = if parts.is_some() { ["edited", "edit_refused"] } else { ["recalled", "recall_refused"] };
    let ends = |message: &Message| message.timeline.iter().filter(|l| words.contains(&&*l.what)).count();
    let before = ends(&message);
    order(api, id, Order::Revise { id, parts, until: clock::now().plus(TRY_FOR) }).await?;
    let until = tokio::time::Instant::now() + WAIT;
    loop {
        let message = find(api, &message.id).await?;
        if ends(&message) > before {
            let last = message.timeline.iter().rev().find(|l| words.contains(&&*l.what));
            return match last {
                Some(line) if line.what == words[1] => Err(Problem::new(&problem::REFUSED, line.text.clone())),
                _ => Ok(Json(message).into_response()),
            };
        }
        if tokio::time::Instant::now() >= until {
            return Ok((StatusCode::ACCEPTED, Json(message)).into_response());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

//! `/v1/conversations`: until when one may write, with whom, and what was written.

use axum::Json;
use axum::extract::State as Extract;
use fairway_adapters::contract::Time;
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::Api;
use super::auth::Caller;
use super::extract::Path;
use super::problem::{self, Problem};
use crate::clock;
use crate::people::Contact;
use crate::store::{Filter, Message};

/// Until when a provider lets us write freely, as the person's last message told.
#[skip_serializing_none]
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ConversationWindow)]
pub struct Window {
    /// Whether it lets us now.
    open: bool,
    /// When it closes, or closed.
    #[schema(value_type = Option<String>, format = "date-time")]
    closes_at: Option<Time>,
    /// Until when what we write costs nothing.
    #[schema(value_type = Option<String>, format = "date-time")]
    free_until: Option<Time>,
    /// Why it is closed before its time.
    closed_reason: Option<String>,
}

/// A conversation with a person.
#[skip_serializing_none]
#[derive(Serialize, utoipa::ToSchema)]
pub struct Conversation {
    /// `channel/address`.
    id: String,
    /// The channel.
    channel: String,
    /// The person's address, or the group's.
    address: String,
    /// Until when the provider lets us write freely. Absent where the provider has no such window, and until the person writes.
    window: Option<Window>,
    /// Who is known at the address. Absent for a key that may not read contacts.
    people: Option<Vec<Contact>>,
    /// The last fifty messages to it, newest first.
    messages: Vec<Message>,
}

/// Shows a conversation: until when one may write, with whom, and the last messages.
#[utoipa::path(get, path = "/v1/conversations/{id}", operation_id = "showConversation", tag = "messages",
    params(("id" = String, Path, description = "`channel/address`")), responses((status = 200, body = Conversation), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Conversation>, Problem> {
    caller.may("messages:read")?;
    let Some((channel, address)) = id.split_once('/') else {
        return Err(Problem::new(&problem::NOT_FOUND, "a conversation is `channel/address`"));
    };
    caller.may_use(channel)?;
    let filter = Filter { conversation: Some(id.clone()), limit: 50, ..Filter::default() };
    let messages = api.store.messages(filter).await?;
    let window = api.people.window(&id).await?.map(|w| Window {
        open: w.is_open(clock::now()),
        closes_at: w.closes_at,
        free_until: w.free_until,
        closed_reason: w.closed_reason,
    });
    let people = match caller.may("contacts:read") {
        Ok(()) => Some(api.people.by_address(address.split('#').next().unwrap_or(address)).await?.into_iter().collect()),
        Err(_) => None,
    };
    let (channel, address) = (channel.to_owned(), address.to_owned());
    Ok(Json(Conversation { id, channel, address, window, people, messages }))
}

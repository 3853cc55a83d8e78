//! `/v1/why`: why a message went, waits or did not go, in sentences.

use axum::Json;
use axum::extract::{Query, State as Extract};
use fairway_adapters::contract::{Scope, State, Time};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::auth::Caller;
use super::problem::{self, Problem};
use super::{Api, campaigns, messages};
use crate::clock;
use crate::proactive::campaigns::report::Recipient;
use crate::store::{Line, Message};

/// What is asked about: a message, or a person of a campaign.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// A message: `msg_...`.
    message: Option<String>,
    /// A campaign: `cmp_...`, together with `recipient`.
    campaign: Option<String>,
    /// A person of the campaign: the address, or the number in the audience.
    recipient: Option<String>,
}

/// Why something went, waits or did not go.
#[skip_serializing_none]
#[derive(Serialize, utoipa::ToSchema)]
pub struct Why {
    /// Where it stands: a state of a message, or of a person in a campaign that has none.
    state: String,
    /// The answer in one sentence.
    because: String,
    /// When it will go, as far as the limits tell, while it waits.
    #[schema(value_type = Option<String>, format = "date-time")]
    estimated_send_at: Option<Time>,
    /// The message.
    message_id: Option<String>,
    /// The person of the campaign.
    recipient: Option<Recipient>,
    /// Every decision, oldest first.
    timeline: Vec<Line>,
}

/// Tells why a message, or a person's message of a campaign, went, waits or did not go.
#[utoipa::path(get, path = "/v1/why", operation_id = "why", tag = "messages", params(WhyQuery),
    responses((status = 200, body = Why), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn why(Extract(api): Extract<Api>, caller: Caller, Query(query): Query<WhyQuery>) -> Result<Json<Why>, Problem> {
    caller.may("messages:read")?;
    match (query.message, query.campaign, query.recipient) {
        (Some(id), None, None) => {
            let message = messages::find(&api, &id).await?;
            caller.may_use(&message.channel)?;
            Ok(Json(of_message(&api, message).await))
        }
        (None, Some(campaign), Some(recipient)) => of_recipient(&api, &caller, &campaign, &recipient).await.map(Json),
        _ => Err(Problem::new(&problem::INVALID, "ask with `message`, or with `campaign` and `recipient`").at("#/message", "ask_for_one")),
    }
}

async fn of_message(api: &Api, message: Message) -> Why {
    let state = message.state;
    let waits = matches!(state, State::Accepted | State::Scheduled | State::Held);
    let (at, scope) = if waits { api.acceptor.estimate_of(&message).await } else { (clock::now(), None) };
    let last = message.timeline.iter().rev().find(|l| l.what == state.word()).map(|l| l.text.clone());
    let because = match (state, scope) {
        (State::Accepted, Some(scope)) => format!("It waits for {}.", limit(scope)),
        (State::Accepted, None) if !api.units.owns(unit(&message)) => "It waits for the node that owns its channel.".to_owned(),
        (State::Accepted, None) if at.since(clock::now()) > 1000 => "Its channel is paused.".to_owned(),
        (State::Accepted, None) => "Nothing holds it; it is about to go.".to_owned(),
        _ => last.unwrap_or_else(|| format!("It is {}.", state.word().replace('_', " "))),
    };
    Why {
        state: state.word().to_owned(),
        because,
        estimated_send_at: waits.then_some(at),
        message_id: Some(message.id),
        recipient: None,
        timeline: message.timeline,
    }
}

async fn of_recipient(api: &Api, caller: &Caller, campaign: &str, recipient: &str) -> Result<Why, Problem> {
    caller.may("contacts:read")?;
    campaigns::found(api, caller, campaign).await?;
    let found = api.proactive.recipient(campaign, recipient).await?;
    let person = found.ok_or_else(|| Problem::new(&problem::NOT_FOUND, "this campaign has no such person"))?;
    // Its message may have been deleted with its time; the books keep what became of it.
    let message = match &person.message_id {
        Some(id) => messages::find(api, id).await.ok(),
        None => None,
    };
    let mut why = match message {
        Some(message) => of_message(api, message).await,
        None => {
            let because = match &person.reason {
                Some(reason) => format!("It is {}: {reason}.", person.state),
                None if person.state == "planned" => format!("Its turn has not come; it is due at {}.", person.due),
                None => format!("It is {}.", person.state),
            };
            Why { state: person.state.clone(), because, estimated_send_at: None, message_id: None, recipient: None, timeline: Vec::new() }
        }
    };
    why.recipient = Some(person);
    Ok(why)
}

fn unit(message: &Message) -> u32 {
    message.id.parse::<crate::ids::MessageId>().map_or(0, |id| u32::from(id.unit))
}

fn limit(scope: Scope) -> &'static str {
    match scope {
        Scope::Conversation => "the limit of messages to one person",
        Scope::Sender => "the limit of its sender",
        Scope::Account => "the limit of its account",
        Scope::Group => "the limit of messages to one group",
        Scope::Template => "the limit of its template",
        Scope::Country => "the limit of messages to its country",
    }
}

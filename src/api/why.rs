//! `/v1/why`: why a message went, waits or did not go, in sentences.

use axum::Json;
use axum::extract::State as Extract;
use fairway_adapters::contract::{Scope, State, Time};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::auth::Caller;
use super::extract::Query;
use super::problem::{self, Problem};
use super::{Api, campaigns, journeys, messages};
use crate::clock;
use crate::proactive::campaigns::report::Recipient;
use crate::proactive::campaigns::why::{Case, Rule, tell};
use crate::store::{Line, Message};

/// What is asked about: a message, or a person of a campaign or journey.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// A message: `msg_...`.
    message: Option<String>,
    /// A campaign: `cmp_...`, together with `recipient`.
    campaign: Option<String>,
    /// A journey: `jny_...`, together with `recipient`.
    journey: Option<String>,
    /// A person of the campaign or journey: the address, or the number in the campaign's audience.
    recipient: Option<String>,
}

/// Why something went, waits or did not go.
#[skip_serializing_none]
#[derive(Serialize, utoipa::ToSchema)]
pub struct Why {
    /// Where it stands: a state of a message, or of a person in a campaign that has none, or in a journey.
    state: String,
    /// The rule that decided, of a person of a campaign.
    rule: Option<&'static str>,
    /// The answer in sentences.
    because: String,
    /// When what holds it ends, where that is known.
    #[schema(value_type = Option<String>, format = "date-time")]
    until: Option<Time>,
    /// When it will go, as far as the limits tell, while it waits; of a person in a journey when they go on.
    #[schema(value_type = Option<String>, format = "date-time")]
    estimated_send_at: Option<Time>,
    /// The message.
    message_id: Option<String>,
    /// The person of the campaign.
    recipient: Option<Recipient>,
    /// Every decision, oldest first.
    timeline: Vec<Line>,
}

/// Tells why a message, or a person's message of a campaign, went, waits or did not go; or where a person is in a journey, and why.
#[utoipa::path(get, path = "/v1/why", operation_id = "why", tag = "messages", params(WhyQuery),
    responses((status = 200, body = Why), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn why(Extract(api): Extract<Api>, caller: Caller, Query(query): Query<WhyQuery>) -> Result<Json<Why>, Problem> {
    caller.may("messages:read")?;
    match (query.message, query.campaign, query.journey, query.recipient) {
        (Some(id), None, None, None) => {
            let message = messages::find(&api, &id).await?;
            caller.may_use(&message.channel)?;
            Ok(Json(of_message(&api, message).await))
        }
        (None, Some(campaign), None, Some(recipient)) => of_recipient(&api, &caller, &campaign, &recipient).await.map(Json),
        (None, None, Some(journey), Some(recipient)) => of_traveller(&api, &caller, &journey, &recipient).await.map(Json),
        _ => {
            let detail = "ask with `message`, or with `campaign` or `journey` and `recipient`";
            Err(Problem::new(&problem::INVALID, detail).at("#/message", "ask_for_one"))
        }
    }
}

async fn of_message(api: &Api, message: Message) -> Why {
    let state = message.state;
    let waits = matches!(state, State::Accepted | State::Scheduled | State::Held);
    let (at, scope) = if waits { api.acceptor.estimate_of(&message).await } else { (clock::now(), None) };
    let until = if waits { api.acceptor.held_until(&message).await } else { None };
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
        rule: None,
        because,
        until,
        estimated_send_at: waits.then_some(at),
        message_id: Some(message.id),
        recipient: None,
        timeline: message.timeline,
    }
}

async fn of_recipient(api: &Api, caller: &Caller, campaign: &str, recipient: &str) -> Result<Why, Problem> {
    caller.may("contacts:read")?;
    let campaign = campaigns::found(api, caller, campaign).await?;
    let Some(person) = api.proactive.recipient(&campaign.id, recipient).await? else {
        let bad = api.proactive.bad_row(&campaign.plan.audience, recipient).await?;
        return Err(Problem::new(
            &problem::NOT_FOUND,
            match bad {
                Some(row) => format!("line {} of the audience is no person of this campaign: {}: {}", row.line, row.column, row.reason),
                None => "this campaign has no such person".to_owned(),
            },
        ));
    };
    let steps = api.proactive.messages_to(&campaign.id, person.number).await?;
    // A message may have been deleted with its time; the books keep what became of it.
    let mut messages = Vec::new();
    for id in steps.iter().map(|(id, _)| id).chain(person.message_id.iter().filter(|id| !steps.iter().any(|(s, _)| s == *id))) {
        messages.extend(messages::find(api, id).await.ok());
    }
    let counts = messages.iter().find(|m| Some(&m.id) == person.message_id.as_ref());
    let case = Case {
        campaign: &campaign,
        person: &person,
        said: said(api, &person).await?,
        before: steps.iter().take_while(|(id, _)| Some(id) != person.message_id.as_ref()).map(|(_, channel)| channel.clone()).collect(),
        provider_id: counts.and_then(|m| m.provider_message_id.clone()),
        provider_code: counts.and_then(|m| m.error.as_ref()?["provider_code"].as_str().map(str::to_owned)),
        now: clock::now(),
    };
    let told = tell(&case);
    let estimated_send_at = match counts {
        Some(message) if told.rule == Rule::Lane => Some(api.acceptor.estimate_of(message).await.0),
        _ => None,
    };
    let mut timeline: Vec<Line> = messages.into_iter().flat_map(|m| m.timeline).collect();
    timeline.sort_by_key(|line| line.at);
    Ok(Why {
        state: person.state.clone(),
        rule: Some(told.rule.word()),
        because: told.because,
        until: told.until,
        estimated_send_at,
        message_id: person.message_id.clone(),
        recipient: Some(person),
        timeline,
    })
}

/// What a person who is not written to said last about it.
async fn said(api: &Api, person: &Recipient) -> Result<Option<String>, Problem> {
    if person.state != "suppressed" {
        return Ok(None);
    }
    let mut words = api.consent.words(std::slice::from_ref(&person.address)).await?;
    words.sort_by_key(|w| w.at);
    Ok(words.last().map(|word| {
        let text = word.evidence["text"].as_str().map(|t| format!("\"{t}\", ")).unwrap_or_default();
        format!("{text}said at {} by {} ({})", word.at, word.how, word.event)
    }))
}

async fn of_traveller(api: &Api, caller: &Caller, journey: &str, recipient: &str) -> Result<Why, Problem> {
    caller.may("contacts:read")?;
    journeys::found(api, caller, journey).await?;
    let found = api.proactive.travelling(journey, recipient).await?;
    let found = found.ok_or_else(|| Problem::new(&problem::NOT_FOUND, "this person never entered the journey"))?;
    Ok(Why {
        state: found.person.state,
        rule: None,
        because: found.because,
        until: None,
        estimated_send_at: found.next_at,
        message_id: None,
        recipient: None,
        timeline: found.steps,
    })
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

//! `/v1/channels`: health, limits, pauses, set-up; and the signals to people.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State as Extract;
use fairway_adapters::contract::{Context, Priority, Setup, Signalled, Step, Time};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Raw};
use super::page::Page;
use super::problem::{self, Problem};
use crate::channels::Channel;
use crate::clock;
use crate::config::units::Rate;
use crate::outbound::control::Command;
use crate::outbound::unit::{Ask, ChannelView, TOLD, Told, told_setting};
use crate::transport::session::Standing;

/// A channel as the API shows it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Shown {
    /// Its id.
    id: String,
    /// Its provider.
    provider: String,
    /// The provider's name for people.
    name: String,
    /// Whose it is.
    tenant: Option<String>,
    /// Where the provider delivers.
    hook_url: String,
    /// Whether the provider delivers anything: push services do not.
    delivers: bool,
    /// The link by which people start a conversation with it, where there is one; `POST /v1/channels/{name}/links` makes those with a
    /// referral.
    link: Option<String>,
    /// Address schemes it reaches.
    schemes: Vec<String>,
    /// What it can do.
    #[schema(value_type = Object)]
    can: serde_json::Value,
    /// `ok`, `held`, `disconnected` or `suspended`.
    health: &'static str,
    /// How its own connections stand, where it has some.
    connections: Option<Standing>,
    /// When another node, which owns it, told what follows; absent where this node does.
    #[schema(value_type = Option<String>, format = "date-time")]
    as_of: Option<Time>,
    /// How it stands.
    #[serde(flatten)]
    #[schema(value_type = ChannelView)]
    view: Option<ChannelView>,
}

/// Shows a channel: as this node has it, which owns it, or as its owner has told (`told`, by the names of settings).
async fn shown(api: &Api, channel: &Channel, told: &HashMap<String, String>) -> Shown {
    let (answer, view) = oneshot::channel();
    let facts = channel.facts();
    let (as_of, view, connections) = if api.units.ask(channel.unit, Ask::View(channel.id.to_string(), answer)) {
        (None, view.await.ok(), api.transport.sessions.standing(&channel.id))
    } else {
        let told = told.get(&told_setting(&channel.id)).and_then(|text| serde_json::from_str::<Told>(text).ok());
        told.map_or((None, None, None), |told| (Some(told.at), Some(told.view), told.connections))
    };
    Shown {
        id: channel.id.to_string(),
        provider: facts.id.into(),
        name: facts.name.into(),
        tenant: channel.tenant.clone(),
        // The token in it is a credential.
        hook_url: match &channel.hook_token {
            Some(token) => channel.hook_url.replace(token.as_str(), "***"),
            None => channel.hook_url.clone(),
        },
        delivers: facts.delivers(),
        link: super::links::plain(channel),
        schemes: facts.schemes.iter().map(|s| (*s).to_owned()).collect(),
        can: serde_json::to_value(facts.can).unwrap_or_default(),
        health: match &view {
            Some(v) if v.suspended.is_some() => "suspended",
            _ if connections.as_ref().is_some_and(|c| c.up == 0) => "disconnected",
            Some(v) if v.held_until.is_some_and(|u| u.since(clock::now()) > 1000) => "held",
            _ => "ok",
        },
        connections,
        as_of,
        view,
    }
}

pub(super) fn named(api: &Api, caller: &Caller, name: &str) -> Result<std::sync::Arc<Channel>, Problem> {
    caller.may_use(name)?;
    api.channels.get().by_id.get(name).cloned().ok_or_else(|| Problem::new(&problem::NOT_FOUND, "there is no channel of this name"))
}

/// Lists channels.
#[utoipa::path(get, path = "/v1/channels", operation_id = "listChannels", tag = "channels", responses((status = 200, body = Page<Shown>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<Shown>>, Problem> {
    caller.may("messages:read")?;
    let channels = api.channels.get();
    let told = api.store.settings(TOLD).await.unwrap_or_default();
    let mut data = Vec::new();
    for channel in channels.by_id.values().filter(|c| caller.may_use(&c.id).is_ok()) {
        data.push(shown(&api, channel, &told).await);
    }
    Ok(Json(Page::whole(data)))
}

/// Shows a channel.
#[utoipa::path(get, path = "/v1/channels/{name}", operation_id = "showChannel", tag = "channels", params(("name" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<Shown>, Problem> {
    caller.may("messages:read")?;
    let channel = named(&api, &caller, &name)?;
    let told = api.store.settings(&told_setting(&channel.id)).await.unwrap_or_default();
    Ok(Json(shown(&api, &channel, &told).await))
}

/// What to hold, and how long.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pause {
    /// One lane: `urgent`, `normal` or `bulk`; all of the channel when absent.
    #[schema(value_type = Option<String>, format = "priority")]
    lane: Option<Priority>,
    /// Until then; until resumed when absent.
    #[schema(value_type = Option<String>, format = "date-time")]
    until: Option<Time>,
}

/// What to let go.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resume {
    /// One lane; all of the channel when absent.
    #[schema(value_type = Option<String>, format = "priority")]
    lane: Option<Priority>,
}

/// A body that may be left out.
fn optional<T: serde::de::DeserializeOwned + 'static>(body: &[u8]) -> Result<T, Problem> {
    let value = match body.is_empty() {
        true => serde_json::json!({}),
        false => serde_json::from_slice(body).map_err(|e| Problem::new(&problem::MALFORMED, e.to_string()))?,
    };
    super::extract::parse(value)
}

/// Holds outbound.
#[utoipa::path(post, path = "/v1/channels/{name}/pause", operation_id = "pauseChannel", tag = "channels", params(("name" = String, Path)),
    request_body = Option<Pause>, responses((status = 204), (status = 404, body = Problem)))]
pub async fn pause(Extract(api): Extract<Api>, caller: Caller, Path(name): Path<String>, Raw(body): Raw) -> Result<StatusCode, Problem> {
    caller.may("admin")?;
    let channel = named(&api, &caller, &name)?;
    let Pause { lane, until } = optional(&body)?;
    let until = until.unwrap_or(Time(253_402_300_799_000));
    command(&api, Command::Pause { channel: name, unit: channel.unit, lane, until: Some(until) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets outbound go again, also after a suspension.
#[utoipa::path(post, path = "/v1/channels/{name}/resume", operation_id = "resumeChannel", tag = "channels", params(("name" = String, Path)),
    request_body = Option<Resume>, responses((status = 204), (status = 404, body = Problem)))]
pub async fn resume(Extract(api): Extract<Api>, caller: Caller, Path(name): Path<String>, Raw(body): Raw) -> Result<StatusCode, Problem> {
    caller.may("admin")?;
    let channel = named(&api, &caller, &name)?;
    let Resume { lane } = optional(&body)?;
    let lanes = match lane {
        Some(lane) => vec![Some(lane)],
        None => [None].into_iter().chain(Priority::ALL.map(Some)).collect(),
    };
    for lane in lanes {
        command(&api, Command::Pause { channel: name.clone(), unit: channel.unit, lane, until: None }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn command(api: &Api, command: Command) -> Result<(), Problem> {
    Ok(command.give(&*api.store, &*api.log, &api.units).await?)
}

/// Another limit, now.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Such as `80/s`; absent or null gives the configured one back.
    #[schema(value_type = Option<String>, format = "rate")]
    rate: Option<Rate>,
    /// Until then; for good when absent.
    #[schema(value_type = Option<String>, format = "date-time")]
    until: Option<Time>,
}

/// Changes a limit, now.
#[utoipa::path(put, path = "/v1/channels/{name}/throttle", operation_id = "throttleChannel", tag = "channels", params(("name" = String, Path)),
    request_body = Throttle, responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn throttle(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(new): Body<Throttle>,
) -> Result<StatusCode, Problem> {
    caller.may("admin")?;
    let channel = named(&api, &caller, &name)?;
    command(&api, Command::Throttle { channel: name, unit: channel.unit, rate: new.rate, until: new.until }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn context<'a>(api: &'a Api, channel: &'a Channel) -> Context<'a> {
    Context { now: clock::now(), public_url: &api.config.server.public_url, hook_url: &channel.hook_url, login: None, keys: None }
}

/// What a set-up did, or what a person must do.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SetUp {
    /// Whether the webhook is registered.
    registered: bool,
    /// What was done, or what to do.
    text: String,
}

/// Registers the webhook where the provider has an API for it.
#[utoipa::path(post, path = "/v1/channels/{name}/setup", operation_id = "setUpChannel", tag = "channels", params(("name" = String, Path)),
    responses((status = 200, body = SetUp), (status = 404, body = Problem)))]
pub async fn setup(Extract(api): Extract<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<SetUp>, Problem> {
    caller.may("admin")?;
    let channel = named(&api, &caller, &name)?;
    let calls = match channel.adapter.setup(&context(&api, &channel)) {
        Setup::ByHand(text) => return Ok(Json(SetUp { registered: false, text })),
        Setup::Calls(calls) => calls,
    };
    for call in &calls {
        if let Err(text) = api.make_call(&channel, call).await {
            return Ok(Json(SetUp { registered: false, text }));
        }
    }
    let besides = channel.adapter.setup_besides().map(|what| format!(" {what}")).unwrap_or_default();
    Ok(Json(SetUp { registered: true, text: format!("The provider delivers to {} now.{besides}", channel.hook_url) }))
}

/// Asks the provider whether the credentials work.
#[utoipa::path(post, path = "/v1/channels/{name}/probe", operation_id = "probeChannel", tag = "channels", params(("name" = String, Path)),
    responses((status = 200, body = SetUp), (status = 404, body = Problem)))]
pub async fn probe(Extract(api): Extract<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<SetUp>, Problem> {
    caller.may("admin")?;
    let channel = named(&api, &caller, &name)?;
    let Some(call) = channel.adapter.probe(&context(&api, &channel)) else {
        return Ok(Json(SetUp { registered: true, text: "This provider has nothing to ask.".into() }));
    };
    let (registered, text) = match api.make_call(&channel, &call).await {
        Ok(()) => (true, "The credentials work.".into()),
        Err(text) => (false, text),
    };
    Ok(Json(SetUp { registered, text }))
}

/// A signal to a person.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Whose conversation.
    conversation: String,
    /// The provider's id of the last message of theirs.
    message_id: Option<String>,
}

/// Shows that we are typing.
#[utoipa::path(post, path = "/v1/typing", operation_id = "showTyping", tag = "messages", request_body = Signal,
    responses((status = 202), (status = 404, body = Problem), (status = 501, body = Problem)))]
pub async fn typing(Extract(api): Extract<Api>, caller: Caller, Body(signal): Body<Signal>) -> Result<StatusCode, Problem> {
    tell(&api, &caller, &signal, |to, last| Signalled::Typing { to, last }).await
}

/// Shows that we have read.
#[utoipa::path(post, path = "/v1/read", operation_id = "showRead", tag = "messages", request_body = Signal,
    responses((status = 202), (status = 404, body = Problem), (status = 501, body = Problem)))]
pub async fn read(Extract(api): Extract<Api>, caller: Caller, Body(signal): Body<Signal>) -> Result<StatusCode, Problem> {
    if signal.message_id.is_none() {
        return Err(Problem::new(&problem::INVALID, "say up to which message of theirs").at("#/message_id", "missing"));
    }
    tell(&api, &caller, &signal, |to, last| Signalled::Read { to, message_id: last.unwrap_or_default() }).await
}

async fn tell<'s>(
    api: &Api,
    caller: &Caller,
    signal: &'s Signal,
    make: impl Fn(&'s str, Option<&'s str>) -> Signalled<'s>,
) -> Result<StatusCode, Problem> {
    caller.may("messages:write")?;
    let Some((name, to)) = signal.conversation.split_once('/') else {
        return Err(Problem::new(&problem::INVALID, "a conversation is `channel/address`").at("#/conversation", "conversation_invalid"));
    };
    let channel = named(api, caller, name)?;
    let Some(call) = channel.adapter.signal(make(to, signal.message_id.as_deref()), &context(api, &channel)) else {
        return Err(Problem::new(&problem::NOT_SUPPORTED, format!("{} has no such signal", channel.facts().name)));
    };
    api.make_call(&channel, &call).await.map_err(|text| Problem::new(&problem::UNAVAILABLE, text))?;
    Ok(StatusCode::ACCEPTED)
}

impl super::Shared {
    /// Makes a call beside the lanes (set-up, probes, signals); why it failed, in words without credentials.
    async fn make_call(&self, channel: &Channel, call: &fairway_adapters::contract::Call) -> Result<(), String> {
        let reply = self.transport.call_of(&channel.id, call, None, std::time::Duration::from_secs(10)).await.map_err(|e| e.to_string())?;
        match channel.adapter.classify(call, &reply) {
            _ if reply.status.is_success() => Ok(()),
            Step::Done(verdict) => verdict.reason().map_or(Ok(()), |reason| Err(format!("{} ({})", reason.title, reason.code))),
            Step::Call(_) => Ok(()),
        }
    }
}

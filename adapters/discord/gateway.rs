//! The gateway's dispatches, as our own session or whoever else holds the socket hands them on: `{"op":0,"s":42,"t":"MESSAGE_CREATE","d":{...}}`.

use serde_json::value::RawValue;

use super::inbound::{account, made, short, stamp};
use super::{Channel, content, interaction, place};
use crate::contract::event::*;
use crate::contract::part::{Choice, ChoiceKind};
use crate::contract::*;
use crate::kit::object::{self, Object};

/// Messages that only say what happened; everything else is written by somebody.
const WRITTEN: &[i64] = &[0, 19, 20, 23];

/// Known, and without a counterpart in our words; a name that ends in `_` begins several.
const KNOWN: &[&str] = &[
    "READY",
    "RESUMED",
    "APPLICATION_",
    "AUTO_MODERATION_",
    "CHANNEL_",
    "ENTITLEMENT_",
    "GUILD_",
    "INTEGRATION_",
    "INVITE_",
    "MESSAGE_REACTION_REMOVE_",
    "PRESENCE_",
    "SOUNDBOARD_",
    "STAGE_",
    "SUBSCRIPTION_",
    "THREAD_",
    "USER_",
    "VOICE_",
    "WEBHOOKS_",
    "MESSAGE_POLL_VOTE_REMOVE",
    "RATE_LIMITED",
];

/// What changes nothing in any conversation and comes all the time; a name that ends in `_` begins several. A session drops it.
const NOISE: &[&str] = &[
    "READY",
    "RESUMED",
    "CHANNEL_PINS_UPDATE",
    "GUILD_MEMBER_UPDATE",
    "GUILD_MEMBERS_CHUNK",
    "PRESENCE_",
    "RATE_LIMITED",
    "SOUNDBOARD_",
    "STAGE_",
    "THREAD_LIST_SYNC",
    "USER_UPDATE",
    "VOICE_",
];

/// When the session began that brought a dispatch; nobody else can say so.
pub(super) const SINCE: &str = "x-fairway-since";

/// Clocks may differ by so much.
const SKEW_MS: i64 = 60_000;

/// What opens a socket: of no use to a reader, and nobody else's business.
const SECRET: &[&str] = &["token", "session_id", "resume_gateway_url"];

/// One dispatch: its name, its data, and what tells it from another of the same.
pub(super) struct Dispatch<'a> {
    kind: Text<'a>,
    raw: &'a RawValue,
    count: Text<'a>,
}

impl<'a> Dispatch<'a> {
    /// In the socket's own words, or as `{"type":"GATEWAY_MESSAGE_CREATE","timestamp":...,"data":{...}}`, which is how Vercel's Chat SDK
    /// hands dispatches on.
    pub fn of(fields: &Object<'a>, since: Option<&str>) -> Option<Self> {
        let told = |name: &str, data: &str, count: &str| {
            Some(Self { kind: fields.words(name)?, raw: fields.raw(data)?, count: fields.text(count).unwrap_or_default() })
        };
        let handed =
            told("type", "data", "timestamp").and_then(|d| Some(Self { kind: d.kind.strip_prefix("GATEWAY_")?.to_owned().into(), ..d }));
        let dispatch = told("t", "d", "s").or(handed)?;
        // Every session counts from 1.
        let count = since.map(|since| format!("{since}/{}", dispatch.count).into());
        Some(Self { count: count.unwrap_or(dispatch.count), ..dispatch })
    }
}

/// Whether a dispatch of a session that began at this time need not be kept.
pub(super) fn is_noise(kind: &str, data: &Object<'_>, since: Time) -> bool {
    match kind {
        // Every server is told again after each beginning and each outage; news is the one that the bot was added to since.
        "GUILD_CREATE" => data.flag("unavailable") || stamp(data.text("joined_at")).is_some_and(|joined| joined < since.plus(-SKEW_MS)),
        "GUILD_DELETE" => data.flag("unavailable"),
        kind => is_of(kind, NOISE),
    }
}

fn is_of(kind: &str, names: &[&str]) -> bool {
    names.iter().any(|name| kind == *name || name.ends_with('_') && kind.starts_with(name))
}

/// Says what a dispatch means.
pub(super) fn dispatch<'a>(channel: &Channel, dispatch: &Dispatch<'a>, now: Time, parsed: &mut Parsed<'a>) -> Result<(), String> {
    let Dispatch { kind, raw, .. } = dispatch;
    let data = Object::parse(raw.get()).ok_or_else(|| format!("`{}` whose data is no object", short(kind)))?;
    let account = account(channel, &Object::default());
    let peer = || content::peer(&data).unwrap_or_default();
    let provider = |kind: &Text<'a>| {
        let key = data.words("id").map(|id| format!("{kind}:{id}"));
        let body = Body::Provider(ProviderEvent { provider_type: kind.clone(), raw: object::without(raw, SECRET) });
        made(account.clone(), key, peer(), None, body)
    };
    let event = match &**kind {
        "INTERACTION_CREATE" => return interaction::read_dispatched(channel, &data, now, parsed),
        "MESSAGE_CREATE" if !WRITTEN.contains(&data.int("type").unwrap_or_default()) => provider(kind),
        "MESSAGE_CREATE" => content::received(channel, account.clone(), &data, raw)?,
        "MESSAGE_UPDATE" => content::edited(channel, account.clone(), &data, raw, None)?,
        "MESSAGE_DELETE" | "MESSAGE_DELETE_BULK" => {
            let ids: Vec<Text<'a>> = data.words("id").into_iter().chain(data.list("ids").into_iter().filter_map(object::text)).collect();
            if ids.is_empty() {
                return Err("a deletion that does not say of what".into());
            }
            for id in ids {
                let key = Some(format!("{id}:deleted"));
                parsed.events.push(made(account.clone(), key, peer(), None, Body::Deleted(Deleted { from: None, message_id: id })));
            }
            return Ok(());
        }
        "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" => {
            reaction(channel, account.clone(), &data, dispatch)?.unwrap_or_else(|| provider(kind))
        }
        "MESSAGE_POLL_VOTE_ADD" => vote(channel, account.clone(), &data)?,
        "TYPING_START" => {
            let user = data.words("user_id").ok_or("typing without a user")?;
            let time = data.int("timestamp").map(Time::from_secs);
            // discord.com/developers/docs/resources/channel#trigger-typing-indicator, read 2026-11-20: ten seconds.
            let body = Signal { from: who(&data, &user), until: time.map(|t| t.plus(10_000)) };
            let key = data.text("timestamp").map(|at| format!("typing:{}:{user}:{at}", peer()));
            made(account.clone(), key, peer(), time, Body::Typing(body))
        }
        "GUILD_CREATE" | "GUILD_DELETE" if !data.flag("unavailable") => {
            let change = if *kind == "GUILD_CREATE" { "bot_added" } else { "bot_removed" };
            let group = Group { id: data.words("id").unwrap_or_default(), name: data.words("name") };
            let body = GroupUpdated { group, change: change.into(), ..GroupUpdated::default() };
            made(account.clone(), None, String::new(), stamp(data.text("joined_at")), Body::GroupUpdated(body))
        }
        "GUILD_MEMBER_ADD" | "GUILD_MEMBER_REMOVE" => {
            let user = data.object("user").unwrap_or_default();
            let mut extra = Extra::default();
            extra.push("change", Raw::of(if *kind == "GUILD_MEMBER_ADD" { "joined" } else { "left" }));
            let group = Group { id: data.words("guild_id").unwrap_or_default(), name: None };
            let body = GroupUpdated { group, change: "members".into(), from: content::person(&user, Some(&data)), extra };
            made(account.clone(), None, String::new(), stamp(data.text("joined_at")), Body::GroupUpdated(body))
        }
        known if is_of(known, KNOWN) => provider(kind),
        unknown => return Err(format!("a dispatch of the unknown name `{}`", short(unknown))),
    };
    parsed.events.push(event);
    Ok(())
}

/// Somebody of whom a dispatch tells the id, and in servers the rest.
fn who<'a>(data: &Object<'a>, id: &str) -> Person<'a> {
    let member = data.object("member");
    let user = member.as_ref().and_then(|member| member.object("user"));
    let known = user.and_then(|user| content::person(&user, member.as_ref()));
    known.unwrap_or_else(|| Person { kind: Some("person".into()), ..Person::at(place::user(id)) })
}

fn reaction<'a>(channel: &Channel, account: Text<'a>, data: &Object<'a>, dispatch: &Dispatch<'a>) -> Result<Option<Event<'a>>, String> {
    let user = data.words("user_id").ok_or("a reaction without a user")?;
    let message_id = data.words("message_id").ok_or("a reaction that does not say to what")?;
    if *user == channel.settings.application_id {
        return Ok(None); // We reacted ourselves.
    }
    let emoji = data.object("emoji").unwrap_or_default();
    let name = emoji.words("name");
    // Nothing numbers a reaction but the socket's own count; the same may be given, taken and given again.
    let Dispatch { kind, count, .. } = dispatch;
    let key = format!("{message_id}:{user}:{}:{kind}:{count}", emoji.words("id").or_else(|| name.clone()).unwrap_or_default());
    let action = if *kind == "MESSAGE_REACTION_ADD" { ReactionAction::Added } else { ReactionAction::Removed };
    let body = Reaction { from: who(data, &user), message_id, reaction: name.or_else(|| emoji.words("id")), action };
    Ok(Some(made(account, Some(key), content::peer(data).unwrap_or_default(), None, Body::Reaction(body))))
}

fn vote<'a>(channel: &Channel, account: Text<'a>, data: &Object<'a>) -> Result<Event<'a>, String> {
    let user = data.words("user_id").ok_or("a vote without a user")?;
    let poll = data.words("message_id").ok_or("a vote that does not say in which poll")?;
    let answer = data.text("answer_id").unwrap_or_default();
    let id = format!("{poll}:{user}:{answer}");
    let part = Part::Choice(Choice { kind: ChoiceKind::Poll, id: Some(answer), title: None, values: Vec::new() });
    let reply_to = Some(ReplyTo { id: Some(poll), ..ReplyTo::default() });
    let message = Message { id: id.clone().into(), parts: vec![part], reply_to, ..Message::default() };
    let to = Some(place::user(&channel.settings.application_id).into());
    let body = Received { from: who(data, &user), to, message, ..Received::default() };
    Ok(made(account, Some(id), content::peer(data).unwrap_or_default(), None, Body::Received(body)))
}

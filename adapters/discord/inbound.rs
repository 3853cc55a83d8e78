//! What Discord delivers: interactions, webhook events, and the gateway's dispatches.

use std::borrow::Cow;

use http::StatusCode;

use super::{Channel, content, gateway, interaction, place};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::crypto;
use crate::kit::object::Object;

/// Known, and without a counterpart in our words.
const KNOWN: &[&str] = &["ENTITLEMENT_CREATE", "ENTITLEMENT_UPDATE", "ENTITLEMENT_DELETE", "QUEST_USER_ENROLLMENT"];

/// Says what a delivery means.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>, now: Time) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Some(fields) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    let mut parsed = Parsed::default();
    let done = if let Some(dispatch) = gateway::Dispatch::of(&fields, hook.hook().header(gateway::SINCE)) {
        gateway::dispatch(channel, &dispatch, now, &mut parsed)
    } else if fields.has("event") || fields.int("type") == Some(0) {
        parsed.ack = Ack { status: StatusCode::NO_CONTENT, content_type: Some("application/json"), body: Cow::Borrowed(b"") };
        event(channel, &fields, &mut parsed)
    } else {
        interaction::read(channel, &fields, now, &mut parsed)
    };
    if let Err(reason) = done {
        parsed.leave(reason);
    }
    parsed
}

/// A provider's word, cut where it is too long for a sentence.
pub(super) fn short(word: &str) -> String {
    word.chars().take(64).collect()
}

pub(super) fn made<'a>(account: Text<'a>, key: Option<String>, peer: String, time: Option<Time>, body: Body<'a>) -> Event<'a> {
    Event { account: Some(account), key: key.map(Into::into), medium: "discord".into(), peer: peer.into(), time, body }
}

/// The application a delivery is for.
pub(super) fn account<'a>(channel: &Channel, fields: &Object<'a>) -> Text<'a> {
    fields.words("application_id").unwrap_or_else(|| channel.settings.application_id.clone().into())
}

/// A time; webhook events leave the zone away and mean UTC.
pub(super) fn stamp(text: Option<Text<'_>>) -> Option<Time> {
    let text = text?;
    Time::parse(&text).or_else(|| Time::parse(&format!("{text}Z")))
}

/// A webhook event. It has no id: its type, its time and what it is about tell it from others.
fn event<'a>(channel: &Channel, fields: &Object<'a>, parsed: &mut Parsed<'a>) -> Result<(), String> {
    if fields.int("type") == Some(0) && !fields.has("event") {
        return Ok(()); // A PING; the answer is all it wants.
    }
    let event = fields.object("event").ok_or("a webhook event without `event`")?;
    let kind = event.words("type").ok_or("a webhook event without a type")?;
    let raw = event.raw("data").ok_or_else(|| format!("`{}` without data", short(&kind)))?;
    let data = Object::parse(raw.get()).ok_or_else(|| format!("`{}` whose data is no object", short(&kind)))?;
    let user = data.object("user").unwrap_or_default();
    let when = event.text("timestamp").unwrap_or_default();
    let about = data.words("id").or_else(|| user.words("id")).unwrap_or_default();
    let key = Some(format!("event:{}", crypto::fingerprint(&[&kind, &when, &about])));
    let time = stamp(event.text("timestamp"));
    let account = account(channel, fields);
    let from = || content::person(&user, None);
    let peer = user.words("id").map(|id| place::user(&id)).unwrap_or_default();
    let made = match &*kind {
        "APPLICATION_AUTHORIZED" | "APPLICATION_DEAUTHORIZED" => {
            let from = from().ok_or_else(|| format!("`{kind}` without a user"))?;
            let mut extra = Extra::default();
            for name in ["integration_type", "scopes", "guild"] {
                adapter::keep(&mut extra, name, data.kept(name));
            }
            let guild = data.object("guild").and_then(|guild| Some(Group { id: guild.words("id")?, name: guild.words("name") }));
            let body = match (&*kind, guild) {
                ("APPLICATION_AUTHORIZED", Some(group)) => {
                    Body::GroupUpdated(GroupUpdated { group, change: "bot_added".into(), from: Some(from), extra })
                }
                ("APPLICATION_AUTHORIZED", None) => Body::Followed(Follow { from, extra, ..Follow::default() }),
                _ => Body::Unfollowed(Follow { from, extra, ..Follow::default() }),
            };
            made(account, key, peer, time, body)
        }
        "LOBBY_MESSAGE_CREATE" | "GAME_DIRECT_MESSAGE_CREATE" => content::received(channel, account, &data, raw)?,
        "LOBBY_MESSAGE_UPDATE" | "GAME_DIRECT_MESSAGE_UPDATE" => content::edited(channel, account, &data, raw, time)?,
        "LOBBY_MESSAGE_DELETE" | "GAME_DIRECT_MESSAGE_DELETE" => {
            let id = data.words("id").ok_or("a deletion that does not say of what")?;
            let peer = content::peer(&data).unwrap_or_default();
            made(account, key, peer, time, Body::Deleted(Deleted { from: None, message_id: id }))
        }
        known if KNOWN.contains(&known) => {
            let peer = data.words("user_id").map_or(peer, |id| place::user(&id));
            made(account, key, peer, time, Body::Provider(ProviderEvent { provider_type: kind.clone(), raw: Raw::borrowed(raw) }))
        }
        unknown => return Err(format!("a webhook event of the unknown type `{}`", short(unknown))),
    };
    parsed.events.push(made);
    Ok(())
}

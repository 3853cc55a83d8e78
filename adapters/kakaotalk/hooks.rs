//! What NHN tells of business messages and their templates, and what happens to rooms.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Channel, business, errors};
use crate::contract::event::{Follow, Group, GroupUpdated, Notice, ProviderEvent, Severity};
use crate::contract::*;
use crate::kit::object::Object;
use crate::kit::{address, crypto};

/// One POST, several results.
pub(super) fn results<'a>(channel: &Channel, body: &Object<'a>) -> Parsed<'a> {
    let mut out = Parsed::default();
    let other = body.words("appKey").is_some_and(|key| channel.settings.nhn_appkey.as_deref() != Some(&key));
    if other {
        return Parsed::not_understood("results of another appkey");
    }
    let name = body.words("event").unwrap_or_default();
    let hooks = body.list("hooks");
    if hooks.is_empty() {
        out.leave("a webhook without hooks");
    }
    for raw in hooks {
        match Object::parse(raw.get()) {
            Some(hook) => out.events.push(one(&name, &hook, raw)),
            None => out.leave("a hook that is not an object"),
        }
    }
    out
}

fn one<'a>(name: &Text<'a>, hook: &Object<'a>, raw: &'a RawValue) -> Event<'a> {
    let key = hook.words("hookId").unwrap_or_else(|| Cow::Owned(crypto::fingerprint(&[raw.get()])));
    let number = hook.words("recipientNo").map(|n| business::international(&n));
    let at = ["receiveDate", "updateDate", "createDate"].into_iter().find_map(|name| business::read_korean(&hook.words(name)?));
    let body = if hook.has("requestId") && hook.has("resultCode") {
        Body::Receipt(receipt(hook, at))
    } else if hook.has("templateCode") && hook.has("status") {
        Body::Notice(template(hook, raw))
    } else {
        Body::Provider(ProviderEvent { provider_type: name.clone(), raw: Raw::borrowed(raw) })
    };
    let peer = number.filter(|_| matches!(body, Body::Receipt(_))).map(|n| Cow::Owned(format!("tel:{n}"))).unwrap_or_default();
    Event { account: None, key: Some(key), medium: Cow::Borrowed("kakaotalk"), peer, time: at, body }
}

fn receipt<'a>(hook: &Object<'a>, at: Option<Time>) -> Receipt<'a> {
    let id = format!("{}:{}", hook.words("requestId").unwrap_or_default(), hook.text("recipientSeq").unwrap_or(Cow::Borrowed("1")));
    let code = hook.words("resultCode").unwrap_or_default();
    let ours = hook.words("recipientGroupingKey").filter(|key| key.starts_with("msg_"));
    let by_sms = hook.words("resendStatus").as_deref() == Some("RSC04");
    let (state, error) = match &*code {
        "1000" => (State::Delivered, None),
        // A message that failed here and was sent as an SMS did reach the person.
        _ if by_sms => (State::Delivered, None),
        // Unconfirmed for good, taken twice, or still under way: none of them is a failure.
        "3005" | "4131" | "4161" => (State::Sent, None),
        code => (State::Failed, Some(errors::delivery(code))),
    };
    let detail = if state == State::Delivered && !by_sms { None } else { Some(code) };
    Receipt { message_id: ours, at, error, detail, ..Receipt::new(id, state) }
}

fn template<'a>(hook: &Object<'a>, raw: &'a RawValue) -> Notice<'a> {
    let (word, severity) = match &*hook.words("status").unwrap_or_default() {
        "TSC01" => ("requested", Severity::Info),
        "TSC02" => ("under review", Severity::Info),
        "TSC03" => ("approved", Severity::Info),
        "TSC04" => ("rejected", Severity::Warning),
        _ => ("changed", Severity::Info),
    };
    let text = format!("template {}: {word}", hook.words("templateCode").unwrap_or_default());
    Notice { kind: Cow::Borrowed("template_status"), severity, text: Cow::Owned(text), raw: Some(Raw::borrowed(raw)) }
}

/// A room the bot came into or left, or whose members changed (beta).
pub(super) fn room<'a>(whole: &'a str, body: &Object<'a>) -> Parsed<'a> {
    let Some(id) = body.object("group").and_then(|group| group.words("botGroupKey")) else {
        return Parsed::not_understood("a room without its key");
    };
    let kind = body.words("type").unwrap_or_default();
    let change = match &*kind {
        "entrance" => Cow::Borrowed("bot_added"),
        "leave" => Cow::Borrowed("bot_removed"),
        "inviteMember" => Cow::Borrowed("members"),
        _ => kind.clone(),
    };
    let payload = body.object("payload").unwrap_or_default();
    let inviter = payload.object("inviter").and_then(|who| who.words("botUserKey"));
    let mut extra = Extra::default();
    adapter::keep(&mut extra, "payload", body.kept("payload"));
    let time = body.int("timestamp").filter(|t| *t > 0).map(Time);
    let peer = format!("kakaotalk:group/{}", address::escape(&id));
    let from = inviter.map(|key| Person { kind: Some(Cow::Borrowed("person")), ..Person::at(address::address("kakaotalk", &key)) });
    let event = Event {
        account: body.words("botId").map(|bot| Cow::Owned(bot.trim_end_matches('!').to_owned())),
        key: Some(Cow::Owned(crypto::fingerprint(&[whole]))),
        medium: Cow::Borrowed("kakaotalk"),
        peer: Cow::Owned(peer),
        time,
        body: Body::GroupUpdated(GroupUpdated { group: Group { id, name: None }, change, from, extra }),
    };
    Parsed { events: vec![event], ..Parsed::default() }
}

/// Somebody added the channel or blocked it (kakaotalk-channel/callback, read 2026-11-30). Deliveries are numbered in a header.
pub(super) fn relation<'a>(hook: &Webhook<'a>, whole: &'a str, body: &Object<'a>) -> Parsed<'a> {
    let (Some(id), Some(what)) = (body.words("id"), body.words("event")) else {
        return Parsed::not_understood("a channel's news of nobody");
    };
    // Numbers of the app, where the person agreed to that; else of the log-in alone.
    let kind = if body.text("id_type").as_deref() == Some("app_user_id") { "app" } else { "open" };
    let peer = format!("kakaotalk:{kind}/{}", address::escape(&id));
    let from = Person { kind: Some(Cow::Borrowed("person")), ..Person::at(peer.clone()) };
    let mut extra = Extra::default();
    for name in ["channel_public_id", "channel_uuid", "plusfriend_public_id", "plusfriend_uuid"] {
        adapter::keep(&mut extra, name, body.kept(name));
    }
    let follow = Follow { from, extra, ..Follow::default() };
    let body_of = match &*what {
        "added" => Body::Followed(follow),
        "blocked" => Body::Unfollowed(follow),
        _ => Body::Provider(ProviderEvent { provider_type: what.clone(), raw: body.without(&[]) }),
    };
    let key = hook.header("x-kakao-resource-id").map_or_else(|| crypto::fingerprint(&[whole]), str::to_owned);
    let time = body.text("updated_at").or_else(|| body.text("timestamp")).and_then(|time| Time::parse(&time));
    let (medium, peer) = (Cow::Borrowed("kakaotalk"), Cow::Owned(peer));
    let event = Event { account: None, key: Some(Cow::Owned(key)), medium, peer, time, body: body_of };
    Parsed { events: vec![event], ..Parsed::default() }
}

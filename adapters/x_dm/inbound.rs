//! Deliveries: one activity each (`data`), or an account's lists of the API before it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{message, post, post::Post};
use crate::contract::event::{Created, Follow, Notice, Origin, ProviderEvent, Severity, Signal};
use crate::contract::*;
use crate::kit::object::{self, Object};
use crate::kit::{address::address, crypto};

/// What lets its holder write or read an encrypted conversation.
const TOKENS: &[&str] = &["conversation_token", "message_event_signature", "conversation_key_change_event"];

/// A delivery with what is known around it.
struct Delivery<'d, 'a> {
    /// The account it is for.
    account: Text<'a>,
    /// X's number of it, where there is one.
    uuid: Option<Text<'a>>,
    /// Our app, to tell our own messages.
    app: Option<&'d str>,
    /// Who is named in it.
    users: Object<'a>,
}

impl<'a> Delivery<'_, 'a> {
    fn event(&self, key: impl Into<Text<'a>>, other: Option<&Text<'a>>, time: Option<Time>, body: Body<'a>) -> Event<'a> {
        let account = Some(self.account.clone()).filter(|id| !id.is_empty());
        let peer = other.map(|id| Cow::Owned(address("x", id))).unwrap_or_default();
        Event { account, key: Some(key.into()), medium: Cow::Borrowed("x"), peer, time, body }
    }

    /// A key for what has no number of its own.
    fn key(&self, raw: &RawValue) -> Text<'a> {
        self.uuid.clone().unwrap_or_else(|| Cow::Owned(crypto::fingerprint(&[&self.account, raw.get()])))
    }

    /// Either shape: `data` with `username`, or `screen_name`.
    fn person(&self, id: &Text<'a>) -> Person<'a> {
        let user = post::user(self.users.object(id).unwrap_or_default());
        Person {
            name: user.words("name"),
            username: user.words("username").or_else(|| user.words("screen_name")),
            kind: Some(Cow::Borrowed("person")),
            ..Person::at(address("x", id))
        }
    }
}

/// What a delivery means.
pub(super) fn parse<'a>(app: Option<&str>, hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Some(body) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    let mut out = Parsed::default();
    match body.object("data") {
        Some(data) => activity(&mut out, app, &data, &body),
        None => account(&mut out, app, &body),
    }
    if out.events.is_empty() {
        out.leave("nothing in it that we know");
    }
    out
}

/// The Activity API: one thing a delivery.
fn activity<'a>(out: &mut Parsed<'a>, app: Option<&str>, data: &Object<'a>, body: &Object<'a>) {
    let Some(kind) = data.words("event_type") else { return out.leave("an activity without its type") };
    let payload = data.object("payload").unwrap_or_default();
    let owner = data.object("filter").and_then(|filter| filter.words("user_id")).or_else(|| payload.words("user_id"));
    let users = payload.object("users").unwrap_or_default();
    let delivery = Delivery { account: owner.unwrap_or_default(), uuid: data.words("event_uuid"), app, users };
    let Some(raw) = body.raw("data") else { return };
    // Types were written DmReceived until March 2026.
    let name = kind.to_ascii_lowercase().replace(['.', '_'], "");
    let before = out.events.len();
    match &*name {
        "dmreceived" | "dmsent" => {
            lists(out, &delivery, &payload);
            if out.events.len() == before && out.unparsed.is_none() {
                out.events.extend(data.raw("payload").and_then(|raw| alone(&delivery, &payload, raw)));
            }
        }
        "dmread" | "dmindicatetyping" => {
            lists(out, &delivery, &payload);
            // The payload of these is not published: perhaps it is the one thing itself.
            if out.events.len() == before
                && let Some(raw) = data.raw("payload")
            {
                match &*name {
                    "dmread" => out.events.extend(read(&delivery, &payload, raw)),
                    _ => out.events.extend(typing(&delivery, &payload, raw)),
                }
            }
        }
        "followfollow" | "followunfollow" => out.events.extend(followed(&delivery, &payload, name == "followfollow", raw)),
        _ if name.starts_with("post") && name.ends_with("create") => {
            let users = data.object("includes").map(|includes| includes.objects("users")).unwrap_or_default();
            out.events.extend(post::read(&payload, &delivery.account, &users).map(|post| commented(&delivery, post)));
        }
        "oauthrevoke" => out.events.push(revoked(&delivery, raw)),
        _ => {}
    }
    if out.events.len() == before {
        let other = payload.words("sender_id").filter(|id| *id != delivery.account);
        let body = Body::Provider(ProviderEvent { provider_type: kind, raw: object::without(raw, TOKENS) });
        // An encrypted message keeps its own id when it is delivered again.
        let chat = payload.words("id").filter(|_| name.starts_with("chat")).map(|id| Cow::Owned(format!("{name}:{id}")));
        let key = chat.unwrap_or_else(|| delivery.key(raw));
        let time = ["created_at_msec", "timestamp_ms"].into_iter().find_map(|name| payload.int(name)).filter(|t| *t > 0).map(Time);
        out.events.push(delivery.event(key, other.as_ref(), time, body));
    }
}

/// The Account Activity API: lists of things.
fn account<'a>(out: &mut Parsed<'a>, app: Option<&str>, body: &Object<'a>) {
    let users = body.object("users").unwrap_or_default();
    let revoke = body.object("user_event").and_then(|event| event.object("revoke"));
    let source = revoke.as_ref().and_then(|r| r.object("source")).and_then(|s| s.words("user_id"));
    let owner = body.words("for_user_id").or(source).unwrap_or_default();
    let delivery = Delivery { account: owner, uuid: None, app, users };
    lists(out, &delivery, body);
    for (name, raw) in &body.0 {
        match &**name {
            "for_user_id" | "users" | "apps" | "direct_message_events" | "direct_message_mark_read_events" => {}
            "direct_message_indicate_typing_events" | "user_has_blocked" | "is_blocked_by" => {}
            "tweet_create_events" => posts(out, &delivery, raw),
            "user_event" if revoke.is_some() => out.events.push(revoked(&delivery, raw)),
            "follow_events" => {
                for raw in body.list("follow_events") {
                    let event = Object::parse(raw.get()).unwrap_or_default();
                    let began = event.words("type").is_none_or(|kind| &*kind == "follow");
                    match followed(&delivery, &event, began, raw) {
                        Some(event) => out.events.push(event),
                        None => out.leave("a follow without its people"),
                    }
                }
            }
            _ if raw.get() == "null" => {}
            // Likes, blocks: known there, and nothing of ours.
            _ if !delivery.account.is_empty() => {
                let body = Body::Provider(ProviderEvent { provider_type: name.clone(), raw: object::without(raw, TOKENS) });
                out.events.push(delivery.event(delivery.key(raw), None, None, body));
            }
            _ => out.leave("a delivery for nobody"),
        }
    }
}

/// Mentions and answers; the account's own posts, and others that are passed on, are no news for us.
fn posts<'a>(out: &mut Parsed<'a>, delivery: &Delivery<'_, 'a>, list: &'a RawValue) {
    for raw in serde_json::from_str::<Vec<&'a RawValue>>(list.get()).unwrap_or_default() {
        let post = Object::parse(raw.get()).and_then(|post| post::read(&post, &delivery.account, &[]));
        out.events.push(post.map_or_else(
            || {
                let body = Body::Provider(ProviderEvent {
                    provider_type: Cow::Borrowed("tweet_create_events"),
                    raw: object::without(raw, TOKENS),
                });
                delivery.event(delivery.key(raw), None, None, body)
            },
            |post| commented(delivery, post),
        ));
    }
}

fn commented<'a>(delivery: &Delivery<'_, 'a>, post: Post<'a>) -> Event<'a> {
    delivery.event(format!("post:{}", post.id), Some(&post.author), post.time, Body::Comment(post.comment))
}

/// The lists both APIs have.
fn lists<'a>(out: &mut Parsed<'a>, delivery: &Delivery<'_, 'a>, body: &Object<'a>) {
    for raw in body.list("direct_message_events") {
        match Object::parse(raw.get()).and_then(|event| written(delivery, &event, raw)) {
            Some(event) => out.events.push(event),
            None => out.leave("a message without its id or its people"),
        }
    }
    for raw in body.list("direct_message_mark_read_events") {
        let event = Object::parse(raw.get()).unwrap_or_default();
        let mut events = read(delivery, &event, raw);
        events.extend(own(delivery, &event, "read", raw));
        if events.is_empty() {
            out.leave("a read mark that names nothing");
        }
        out.events.extend(events);
    }
    for raw in body.list("direct_message_indicate_typing_events") {
        let event = Object::parse(raw.get()).unwrap_or_default();
        match typing(delivery, &event, raw).or_else(|| own(delivery, &event, "typing", raw)) {
            Some(event) => out.events.push(event),
            None => out.leave("typing by nobody"),
        }
    }
}

fn stamp(event: &Object<'_>) -> Option<Time> {
    event.int("created_timestamp").filter(|t| *t > 0).map(Time)
}

fn written<'a>(delivery: &Delivery<'_, 'a>, event: &Object<'a>, raw: &'a RawValue) -> Option<Event<'a>> {
    let id = event.words("id")?;
    let time = stamp(event);
    let Some(create) = event.object("message_create") else {
        let kind = event.words("type").unwrap_or(Cow::Borrowed("direct_message"));
        let body = Body::Provider(ProviderEvent { provider_type: kind, raw: Raw::borrowed(raw) });
        return Some(delivery.event(id, None, time, body));
    };
    let sender = create.words("sender_id")?;
    let recipient = create.object("target").and_then(|target| target.words("recipient_id"));
    let ours = sender == delivery.account;
    let (mut message, extra) = message::read(event, &create);
    message.id = id.clone();
    message.sent_at = time;
    if !ours {
        let from = delivery.person(&sender);
        let to = recipient.map(|id| Cow::Owned(address("x", &id)));
        let body = Body::Received(Received { from, to, message, extra, ..Received::default() });
        return Some(delivery.event(id, Some(&sender), time, body));
    }
    let other = recipient?;
    let by_us = delivery.app.is_some() && create.words("source_app_id").as_deref() == delivery.app;
    let body = if by_us {
        Body::Receipt(Receipt { at: time, ..Receipt::new(id.clone(), State::Sent) })
    } else {
        let to = Some(Cow::Owned(address("x", &other)));
        Body::Created(Created { message_id: id.clone(), origin: Origin::Echo, to, message, ..Created::default() })
    };
    Some(delivery.event(format!("{id}:sent"), Some(&other), time, body))
}

/// A message that is the payload itself: as in the lists, or as a `dm_event` of the second API (its object is published, the
/// activity's payload is not; deliveries of both kinds have been recorded, 2026-11-30).
fn alone<'a>(delivery: &Delivery<'_, 'a>, event: &Object<'a>, raw: &'a RawValue) -> Option<Event<'a>> {
    if event.has("message_create") {
        return written(delivery, event, raw);
    }
    let (id, sender) = (event.words("id")?, event.words("sender_id")?);
    let kind = event.text("event_type").unwrap_or_default();
    if !(kind.is_empty() || kind == "MessageCreate") {
        return None;
    }
    let time = Time::parse(&event.text("created_at").unwrap_or_default());
    let text = event.text("text").and_then(|text| message::spelled_out(text, &[], &[]));
    let mut parts: Vec<Part<'a>> = text.map(Part::text).into_iter().collect();
    if event.has("attachments") || parts.is_empty() {
        parts.push(Part::unsupported("attachments", event.kept("attachments").or_else(|| Some(Raw::borrowed(raw)))));
    }
    let message = Message { id: id.clone(), sent_at: time, parts, ..Message::default() };
    let mut extra = Extra::default();
    for name in ["dm_conversation_id", "participant_ids", "referenced_tweets", "entities"] {
        adapter::keep(&mut extra, name, event.kept(name));
    }
    if sender != delivery.account {
        let to = Some(Cow::Owned(address("x", &delivery.account)));
        let body = Body::Received(Received { from: delivery.person(&sender), to, message, extra, ..Received::default() });
        return Some(delivery.event(id, Some(&sender), time, body));
    }
    // The conversation of two is named after both.
    let pair = event.words("dm_conversation_id")?;
    let other: Text<'a> = pair.split('-').find(|id| *id != &*sender).map(|id| Cow::Owned(id.to_owned()))?;
    let to = Some(Cow::Owned(address("x", &other)));
    let body = Body::Created(Created { message_id: id.clone(), origin: Origin::Echo, to, message, ..Created::default() });
    Some(delivery.event(format!("{id}:sent"), Some(&other), time, body))
}

/// The message named and all before it.
fn read<'a>(delivery: &Delivery<'_, 'a>, event: &Object<'a>, raw: &'a RawValue) -> Vec<Event<'a>> {
    let Some(reader) = event.words("sender_id").filter(|id| *id != delivery.account) else { return Vec::new() };
    let time = stamp(event);
    let key = delivery.key(raw);
    let mut events = Vec::new();
    if let Some(id) = event.words("last_read_event_id") {
        let receipt = Receipt { at: time, ..Receipt::new(id, State::Read) };
        events.push(delivery.event(format!("{key}:last"), Some(&reader), time, Body::Receipt(receipt)));
    }
    if let Some(until) = time {
        let receipt = Receipt { watermark: Some(until), at: time, ..Receipt::new("", State::Read) };
        events.push(delivery.event(key, Some(&reader), time, Body::Receipt(receipt)));
    }
    events
}

fn typing<'a>(delivery: &Delivery<'_, 'a>, event: &Object<'a>, raw: &'a RawValue) -> Option<Event<'a>> {
    let who = event.words("sender_id").filter(|id| *id != delivery.account)?;
    let body = Body::Typing(Signal { from: delivery.person(&who), until: None });
    Some(delivery.event(delivery.key(raw), Some(&who), stamp(event), body))
}

/// What the account itself does elsewhere.
fn own<'a>(delivery: &Delivery<'_, 'a>, event: &Object<'a>, kind: &'static str, raw: &'a RawValue) -> Option<Event<'a>> {
    event.words("sender_id").filter(|id| *id == delivery.account)?;
    let with = event.object("target").and_then(|target| target.words("recipient_id"));
    let body = Body::Provider(ProviderEvent { provider_type: Cow::Borrowed(kind), raw: Raw::borrowed(raw) });
    Some(delivery.event(delivery.key(raw), with.as_ref(), stamp(event), body))
}

/// Somebody follows us, or no more; whom we follow is no news.
fn followed<'a>(delivery: &Delivery<'_, 'a>, event: &Object<'a>, began: bool, raw: &'a RawValue) -> Option<Event<'a>> {
    let source = post::user(event.object("source").unwrap_or_default());
    let who = source.words("id").or_else(|| event.words("source_id")).or_else(|| event.words("follower_id"))?;
    if who == delivery.account {
        let kind = Cow::Borrowed(if began { "follow" } else { "unfollow" });
        let body = Body::Provider(ProviderEvent { provider_type: kind, raw: Raw::borrowed(raw) });
        return Some(delivery.event(delivery.key(raw), None, stamp(event), body));
    }
    let named = Person {
        name: source.words("name"),
        username: source.words("username").or_else(|| source.words("screen_name")),
        ..delivery.person(&who)
    };
    let follow = Follow { from: named, ..Follow::default() };
    let body = if began { Body::Followed(follow) } else { Body::Unfollowed(follow) };
    Some(delivery.event(delivery.key(raw), Some(&who), stamp(event), body))
}

fn revoked<'a>(delivery: &Delivery<'_, 'a>, raw: &'a RawValue) -> Event<'a> {
    let notice = Notice {
        kind: Cow::Borrowed("token_revoked"),
        severity: Severity::Error,
        text: Cow::Borrowed("the account withdrew the app's access: connect it again, and delete what was stored of it"),
        raw: Some(Raw::borrowed(raw)),
    };
    delivery.event(delivery.key(raw), None, None, Body::Notice(notice))
}

//! Deliveries: events of different people, groups and rooms.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::message;
use crate::contract::event::{Deleted, Edited, Follow, Group, GroupUpdated, Notice, ProviderEvent, ReplyWindow, Severity, Tracked};
use crate::contract::part::{Choice, ChoiceKind};
use crate::contract::*;
use crate::kit::borrow::{List, Maybe, Word};
use crate::kit::object::{self, Object};
use crate::kit::{address::address, crypto};

/// What answers people, quotes and marks as read: none of it is published.
const TOKENS: &[&str] = &["replyToken", "quoteToken", "markAsReadToken"];

/// Whom the console's old button "Verify" lets write: nobody. Its reply tokens answer nothing.
const VERIFIER: &str = "Udeadbeefdeadbeefdeadbeefdeadbeef";

/// A reply token is good for about a minute (reference: reply message, read 2026-11-20).
const REPLY_MS: i64 = 60_000;

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Envelope<'a> {
    destination: Word<'a>,
    events: List<&'a RawValue>,
}

/// What every event has.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", bound = "'de: 'a")]
struct Base<'a> {
    #[serde(rename = "type")]
    kind: Word<'a>,
    webhook_event_id: Word<'a>,
    timestamp: Word<'a>,
    mode: Word<'a>,
    source: Maybe<Source<'a>>,
    reply_token: Word<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", bound = "'de: 'a")]
struct Source<'a> {
    user_id: Word<'a>,
    group_id: Word<'a>,
    room_id: Word<'a>,
}

/// An event with what is known around it.
pub(super) struct About<'a> {
    account: Option<Text<'a>>,
    to: Option<Text<'a>>,
    key: Text<'a>,
    /// The person, group or room.
    peer: Text<'a>,
    /// Who acted.
    pub from: Person<'a>,
    /// The group or room.
    pub group: Option<Group<'a>>,
    /// When.
    pub time: Option<Time>,
    standby: bool,
}

impl<'a> About<'a> {
    fn event(&self, body: Body<'a>) -> Event<'a> {
        let (account, peer) = (self.account.clone(), self.peer.clone());
        Event { account, key: Some(self.key.clone()), medium: Cow::Borrowed("line"), peer, time: self.time, body }
    }

    fn received(&self, message: Message<'a>, extra: Extra<'a>) -> Body<'a> {
        let closed = || ReplyWindow { closed_reason: Some(Cow::Borrowed("another module owns this chat")), ..ReplyWindow::default() };
        let reply_window = self.standby.then(closed);
        Body::Received(Received { from: self.from.clone(), to: self.to.clone(), message, reply_window, respond_by: None, extra })
    }
}

/// What a delivery means. `routed`: whether the account's id is known to us.
pub(super) fn parse<'a>(routed: bool, hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Ok(Maybe(Some(envelope))) = serde_json::from_str::<Maybe<Envelope<'a>>>(text) else {
        return Parsed::not_understood("the body is not a JSON object");
    };
    let mut out = Parsed { ack: Ack::text("OK"), ..Parsed::default() };
    if envelope.events.is_empty() && envelope.destination.some().is_none() {
        out.leave("nothing in it that we know");
    }
    for (index, raw) in envelope.events.iter().enumerate() {
        one(&mut out, routed, &envelope.destination, raw, &envelope.events[..index]);
    }
    out
}

fn one<'a>(out: &mut Parsed<'a>, routed: bool, destination: &Word<'a>, raw: &'a RawValue, earlier: &[&'a RawValue]) {
    let (Ok(Maybe(Some(base))), Some(event)) = (serde_json::from_str::<Maybe<Base<'a>>>(raw.get()), Object::parse(raw.get())) else {
        return out.leave("an event that is not an object");
    };
    let Some(kind) = base.kind.take() else { return out.leave("an event without a type") };
    let source = base.source.0.unwrap_or_default();
    let test = source.user_id.some() == Some(VERIFIER);
    let at = |word: &Word<'a>| word.some().map(|id| Cow::Owned(address("line", id)));
    let place = source.group_id.take().or_else(|| source.room_id.take());
    let member = at(&source.user_id);
    let peer = place.as_ref().map(|id| Cow::Owned(address("line", id))).or_else(|| member.clone()).unwrap_or_default();
    let person = member.is_some().then_some(Cow::Borrowed("person"));
    let about = About {
        account: destination.take().filter(|_| routed),
        to: at(destination),
        key: numbered(&base.webhook_event_id, &base.timestamp, &event, raw, earlier),
        from: Person { kind: person, ..Person::at(member.unwrap_or_else(|| peer.clone())) },
        peer: if test { Cow::Borrowed("") } else { peer },
        group: place.map(|id| Group { id, name: None }),
        time: base.timestamp.int().filter(|t| *t > 0).map(Time),
        standby: base.mode.some() == Some("standby"),
    };
    let body = if test { Some(Body::Notice(notice("webhook_test", raw))) } else { body(&about, &kind, &event, raw) };
    let Some(body) = body else { return out.leave(format!("a `{kind}` event without its content or its source")) };
    keep_token(out, &about, &base.reply_token, &event);
    out.events.push(about.event(body));
}

/// LINE numbers every event. The samples of its libraries number all events of a delivery alike, and each is one.
fn numbered<'a>(id: &Word<'a>, at: &Word<'a>, event: &Object<'a>, raw: &'a RawValue, earlier: &[&'a RawValue]) -> Text<'a> {
    let content = |event: &Object<'a>, raw: &'a RawValue| unnumbered(at, event, raw);
    let Some(id) = id.take() else { return content(event, raw) };
    let others: Vec<&RawValue> = earlier.iter().filter(|other| other.get().contains(&*id)).copied().collect();
    if others.is_empty() {
        return id;
    }
    let this = content(event, raw);
    let another = |other: &'a RawValue| Object::parse(other.get()).is_some_and(|event| content(&event, other) != this);
    if others.into_iter().any(another) { Cow::Owned(format!("{id}:{this}")) } else { id }
}

/// Where LINE did not number an event, the content has to do, without what changes on a redelivery.
fn unnumbered<'a>(timestamp: &Word<'a>, event: &Object<'a>, raw: &'a RawValue) -> Text<'a> {
    let content: Vec<&str> =
        event.0.iter().filter(|(name, _)| !matches!(&**name, "deliveryContext" | "replyToken")).map(|(_, raw)| raw.get()).collect();
    let whole = if content.is_empty() { raw.get().to_owned() } else { content.join(",") };
    Cow::Owned(crypto::fingerprint(&[timestamp.or_empty(), &whole]))
}

/// The token, with the message it came with: only that one can be quoted by what answers it.
fn keep_token<'a>(out: &mut Parsed<'a>, about: &About<'a>, token: &Word<'a>, event: &Object<'a>) {
    let Some(token) = token.some().filter(|_| !about.peer.is_empty() && !about.standby) else { return };
    let message = event.object("message").unwrap_or_default();
    let mut value = serde_json::json!({ "reply": token });
    if let (Some(id), Some(quote)) = (message.words("id"), message.words("quoteToken")) {
        value["message"] = id.as_ref().into();
        value["quote"] = quote.as_ref().into();
    }
    let until = about.time.map(|time| time.plus(REPLY_MS));
    let (account, peer) = (about.account.clone(), about.peer.clone());
    out.handles.push(Handle { account, peer, value: Cow::Owned(value.to_string()), until, uses: Some(1) });
}

fn body<'a>(about: &About<'a>, kind: &str, event: &Object<'a>, raw: &'a RawValue) -> Option<Body<'a>> {
    let inside = |name: &str| event.object(name);
    let of_a_person = matches!(kind, "message" | "messageEdited" | "unsend" | "postback" | "follow" | "unfollow");
    if of_a_person && about.peer.is_empty() {
        return None;
    }
    Some(match kind {
        "message" => {
            let (message, extra) = message::read(about, &inside("message")?, event.raw("message")?)?;
            about.received(message, extra)
        }
        "messageEdited" => {
            let (message, extra) = message::read(about, &inside("message")?, event.raw("message")?)?;
            // The time is that of the change.
            let message = Message { sent_at: None, ..message };
            Body::Edited(Edited { from: about.from.clone(), message_id: message.id.clone(), message, extra })
        }
        "unsend" => Body::Deleted(Deleted { from: Some(about.from.clone()), message_id: inside("unsend")?.words("messageId")? }),
        "postback" => pressed(about, &inside("postback")?),
        "follow" => {
            let mut extra = Extra::default();
            adapter::keep(&mut extra, "follow", event.kept("follow"));
            Body::Followed(Follow { from: about.from.clone(), extra, ..Follow::default() })
        }
        "unfollow" => Body::Unfollowed(Follow { from: about.from.clone(), ..Follow::default() }),
        "join" | "leave" => group(about, if kind == "join" { "bot_added" } else { "bot_removed" }, Extra::default())?,
        "memberJoined" | "memberLeft" => {
            let name = if kind == "memberJoined" { "joined" } else { "left" };
            let mut extra = Extra::default();
            adapter::keep(&mut extra, name, event.kept(name));
            group(about, "members", extra)?
        }
        "videoPlayComplete" | "beacon" => {
            let name = Cow::Borrowed(if kind == "beacon" { "beacon" } else { "video_play_complete" });
            Body::Tracked(Tracked { from: Some(about.from.clone()), name, properties: event.kept(kind) })
        }
        "delivery" => delivered(about, event, raw),
        "module" | "activated" | "deactivated" | "botSuspended" | "botResumed" => Body::Notice(notice(kind, raw)),
        _ => Body::Provider(ProviderEvent { provider_type: Cow::Owned(kind.to_owned()), raw: object::without(raw, TOKENS) }),
    })
}

fn group<'a>(about: &About<'a>, change: &'static str, extra: Extra<'a>) -> Option<Body<'a>> {
    let from = about.from.kind.is_some().then(|| about.from.clone());
    Some(Body::GroupUpdated(GroupUpdated { group: about.group.clone()?, change: Cow::Borrowed(change), from, extra }))
}

/// A button, a quick reply, a date, or another tab of the rich menu.
fn pressed<'a>(about: &About<'a>, postback: &Object<'a>) -> Body<'a> {
    let params = postback.object("params").unwrap_or_default();
    let picked = ["datetime", "date", "time"].into_iter().find_map(|name| params.words(name));
    let kind = match &picked {
        Some(_) => ChoiceKind::Date,
        None if params.has("newRichMenuAliasId") => ChoiceKind::Menu,
        None => ChoiceKind::Postback,
    };
    let choice = Choice { kind, id: postback.words("data"), title: None, values: picked.into_iter().collect() };
    let mut extra = Extra::default();
    adapter::keep(&mut extra, "params", postback.kept("params"));
    let (id, group) = (about.key.clone(), about.group.clone());
    about.received(Message { id, sent_at: about.time, parts: vec![Part::Choice(choice)], group, ..Message::default() }, extra)
}

/// A notification by phone number arrived: it names the tag we sent, or the hashed number.
fn delivered<'a>(about: &About<'a>, event: &Object<'a>, raw: &'a RawValue) -> Body<'a> {
    let tag = event.object("delivery").and_then(|d| d.words("data"));
    match tag.filter(|tag| tag.starts_with("msg_")) {
        Some(ours) => Body::Receipt(Receipt { message_id: Some(ours), at: about.time, ..Receipt::new("", State::Delivered) }),
        None => Body::Provider(ProviderEvent { provider_type: Cow::Borrowed("delivery"), raw: object::without(raw, TOKENS) }),
    }
}

fn notice<'a>(kind: &str, raw: &'a RawValue) -> Notice<'a> {
    let (severity, text) = match kind {
        "botSuspended" => (Severity::Error, "the account was suspended"),
        "botResumed" => (Severity::Info, "the account works again"),
        "webhook_test" => (Severity::Info, "the console checked the webhook's address"),
        "activated" => (Severity::Info, "this module may answer in the chat"),
        "deactivated" => (Severity::Info, "another module answers in the chat"),
        _ => (Severity::Warning, "a module was attached or detached"),
    };
    Notice { kind: Cow::Owned(kind.to_owned()), severity, text: Cow::Borrowed(text), raw: Some(object::without(raw, TOKENS)) }
}

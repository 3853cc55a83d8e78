//! The inbox of a page or a professional account: conversations as the Send API and its webhooks speak of them. One way
//! for all channels with that kind of inbox; what differs is a [`Kind`].

mod content;
pub mod errors;
pub mod send;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::borrow::{List, Maybe, Word};
use super::{address::address, crypto, object::Object};
use crate::contract::event::{
    Consent, ConsentState, Created, Deleted, Edited, Follow, Notice, Origin, ProviderEvent, Reaction, ReactionAction, ReplyTo, ReplyWindow,
    Severity,
};
use crate::contract::part::{Choice, ChoiceKind, Form, PhoneCall};
use crate::contract::*;

/// Which inbox it is.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The provider's id: scheme of addresses and medium.
    pub scheme: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// The `object` of its deliveries.
    pub object: &'static str,
    /// Whether a shared post comes as its file and not as a link to it.
    pub posts_are_files: bool,
}

/// What a channel knows when it reads its deliveries.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'r> {
    /// Which inbox.
    pub kind: Kind,
    /// Our app's id: tells our own echoes from others'.
    pub app: Option<&'r str>,
}

/// 24 hours from what a person does (`policy`, read 2026-11-20).
const WINDOW: i64 = 86_400_000;

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Envelope<'a> {
    object: Word<'a>,
    entry: List<Maybe<Entry<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Entry<'a> {
    id: Word<'a>,
    time: Word<'a>,
    // Some samples have the change's two fields in the entry itself.
    field: Word<'a>,
    value: Option<&'a RawValue>,
    messaging: List<&'a RawValue>,
    standby: List<&'a RawValue>,
    changes: List<&'a RawValue>,
    calls: List<&'a RawValue>,
}

/// What an event of a conversation is about.
pub struct About<'a> {
    /// Which inbox.
    pub kind: Kind,
    /// The page or account.
    pub page: Text<'a>,
    /// The person's address; empty when nobody is named.
    pub peer: Text<'a>,
    /// When it happened.
    pub time: Option<Time>,
    /// Another app owns the conversation.
    standby: bool,
}

impl<'a> About<'a> {
    /// What concerns the page itself.
    pub fn of_page(kind: Kind, page: Text<'a>, peer: Text<'a>, time: Option<Time>) -> Self {
        Self { kind, page, peer, time, standby: false }
    }

    /// An event about it.
    pub fn event(&self, key: impl Into<Text<'a>>, body: Body<'a>) -> Event<'a> {
        let account = Some(self.page.clone()).filter(|page| !page.is_empty());
        Event { account, key: Some(key.into()), medium: Cow::Borrowed(self.kind.scheme), peer: self.peer.clone(), time: self.time, body }
    }

    fn person(&self) -> Person<'a> {
        Person { kind: Some(Cow::Borrowed("person")), ..Person::at(self.peer.clone()) }
    }

    /// Who acts: the person, or the page itself.
    fn actor(&self, own: bool) -> Person<'a> {
        match own {
            true => Person { kind: Some(Cow::Borrowed("business")), ..Person::at(address(self.kind.scheme, &self.page)) },
            false => self.person(),
        }
    }

    /// A key for what the platform does not number.
    fn key(&self, kind: &str, more: &[&str]) -> String {
        let time = self.time.map(|t| t.0.to_string()).unwrap_or_default();
        let mut parts = vec![&*self.page, &self.peer, &time, kind];
        parts.extend(more);
        crypto::fingerprint(&parts)
    }
}

/// What a delivery means. `change` reads what stands outside of conversations.
pub fn parse<'a>(reader: Reader<'_>, hook: &Verified<'a>, change: impl Fn(&mut Parsed<'a>, &Change<'_, 'a>)) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let mut out = Parsed::default();
    // Samples of the reference are deliveries in a list.
    let list: Vec<&'a RawValue> = serde_json::from_str(text).unwrap_or_default();
    if list.is_empty() {
        delivery(&mut out, reader, text, &change);
    }
    for raw in list {
        delivery(&mut out, reader, raw.get(), &change);
    }
    if out.events.is_empty() && out.unparsed.is_none() {
        out.leave("nothing in it that we know");
    }
    out
}

fn delivery<'a>(out: &mut Parsed<'a>, reader: Reader<'_>, text: &'a str, change: &impl Fn(&mut Parsed<'a>, &Change<'_, 'a>)) {
    let Ok(Maybe(Some(envelope))) = serde_json::from_str::<Maybe<Envelope<'a>>>(text) else {
        return out.leave("the body is not a JSON object");
    };
    if envelope.object.some().is_some_and(|object| object != reader.kind.object) {
        return out.leave("an `object` of another kind");
    }
    if envelope.entry.is_empty() {
        bare(out, reader, text, change);
    }
    for entry in envelope.entry {
        match entry.0 {
            Some(entry) => entered(out, reader, entry, change),
            None => out.leave("an entry that is not an object"),
        }
    }
    if out.events.is_empty() {
        // An answer to a request to call is shown as the entry itself.
        let entries = Object::parse(text).map(|envelope| envelope.list("entry")).unwrap_or_default();
        let answers =
            entries.into_iter().filter(|raw| Object::parse(raw.get()).is_some_and(|entry| entry.has("sender") && entry.has("recipient")));
        answers.for_each(|raw| one(out, reader, &Word::default(), raw, false));
    }
}

/// Samples of the reference are an entry without its envelope, a change, or an event alone.
fn bare<'a>(out: &mut Parsed<'a>, reader: Reader<'_>, text: &'a str, change: &impl Fn(&mut Parsed<'a>, &Change<'_, 'a>)) {
    let event = Object::parse(text).is_some_and(|event| event.has("recipient") && event.0.len() > 2);
    if let (true, Ok(raw)) = (event, serde_json::from_str(text)) {
        one(out, reader, &Word::default(), raw, false);
    } else if let Ok(Maybe(Some(entry))) = serde_json::from_str(text) {
        entered(out, reader, entry, change);
    }
}

/// One of `entry[]`.
fn entered<'a>(out: &mut Parsed<'a>, reader: Reader<'_>, entry: Entry<'a>, change: &impl Fn(&mut Parsed<'a>, &Change<'_, 'a>)) {
    for raw in entry.messaging {
        // A comment in a group of the page's stands where conversations do.
        match Object::parse(raw.get()).is_some_and(|event| event.has("comment_id") && !event.has("sender")) {
            true => change(out, &Change { page: &entry.id, time: &entry.time, field: Cow::Borrowed("group_feed"), value: raw, raw }),
            false => one(out, reader, &entry.id, raw, false),
        }
    }
    for raw in entry.calls {
        called(out, reader, &entry.id, raw);
    }
    for raw in entry.standby {
        one(out, reader, &entry.id, raw, true);
    }
    let bare = entry.value.filter(|_| entry.field.some().is_some());
    if let (Some(value), Some(field)) = (bare, entry.field.words()) {
        changed(out, reader, &Change { page: &entry.id, time: &entry.time, field: field.clone(), value, raw: value }, change);
    }
    for raw in entry.changes {
        let object = Object::parse(raw.get()).unwrap_or_default();
        match (object.words("field"), object.raw("value")) {
            (Some(field), Some(value)) => changed(out, reader, &Change { page: &entry.id, time: &entry.time, field, value, raw }, change),
            _ => out.leave("a change without a field or a value"),
        }
    }
}

/// The dashboard's tests and some samples write what happened in a conversation as a change.
fn changed<'a>(out: &mut Parsed<'a>, reader: Reader<'_>, found: &Change<'_, 'a>, change: &impl Fn(&mut Parsed<'a>, &Change<'_, 'a>)) {
    let inside = Object::parse(found.value.get()).unwrap_or_default();
    if inside.has("sender") && inside.has("recipient") {
        one(out, reader, found.page, found.value, &*found.field == "standby");
    } else {
        change(out, found);
    }
}

/// One of `changes[]`.
pub struct Change<'c, 'a> {
    /// The page or account.
    pub page: &'c Word<'a>,
    /// When it was delivered.
    pub time: &'c Word<'a>,
    /// What changed.
    pub field: Text<'a>,
    /// How.
    pub value: &'a RawValue,
    /// The whole.
    pub raw: &'a RawValue,
}

/// Milliseconds; seconds have been seen.
pub fn stamp(number: Option<i64>) -> Option<Time> {
    number.filter(|n| *n > 0).map(|n| if n < 1_000_000_000_000 { Time::from_secs(n) } else { Time(n) })
}

/// When it happened; samples have it in words too.
fn when(event: &Object<'_>) -> Option<Time> {
    stamp(event.int("timestamp")).or_else(|| Time::parse(&event.text("timestamp")?))
}

/// One event of a conversation.
fn one<'a>(out: &mut Parsed<'a>, reader: Reader<'_>, page: &Word<'a>, raw: &'a RawValue, standby: bool) {
    let Some(event) = Object::parse(raw.get()) else {
        return out.leave("an event that is not an object");
    };
    let message = event.object("message");
    let sender = event.object("sender").unwrap_or_default();
    let recipient = event.object("recipient").unwrap_or_default();
    // What the page itself does bears no mark but in messages: it is known by its sender.
    let own = || page.some().is_some_and(|page| sender.text("id").as_deref() == Some(page)) && recipient.words("id") != sender.words("id");
    let echo = message.as_ref().is_some_and(|m| m.flag("is_echo")) || own();
    let page = page.take().or_else(|| if echo { sender.words("id") } else { recipient.words("id") }).unwrap_or_default();
    let theirs = if echo { &recipient } else { &sender };
    // Who ticks a box of a plugin is named inside alone.
    let ticked = || event.object("optin").and_then(|optin| optin.words("user_ref"));
    let peer = match (theirs.words("id"), theirs.words("user_ref").or_else(|| recipient.words("user_ref")).or_else(ticked)) {
        (Some(id), _) => address(reader.kind.scheme, &id),
        (None, Some(user)) => format!("{}:user_ref/{}", reader.kind.scheme, super::address::escape(&user)),
        (None, None) => String::new(),
    };
    let about = About { kind: reader.kind, page, peer: Cow::Owned(peer), time: when(&event), standby };
    let named = |name: &str| event.object(name);
    if let Some(message) = message {
        return if about.peer.is_empty() {
            out.leave("a message without a person");
        } else if echo {
            echoed(out, &about, reader.app, &message);
        } else {
            written(out, &about, &event, &message);
        };
    }
    // Without its words an edit says nothing: Instagram sends one for messages that nobody has changed.
    if let Some(edit) = named("message_edit").filter(|edit| edit.has("text")) {
        return edited(out, &about, echo, &edit);
    }
    if let Some(reaction) = named("reaction") {
        return reacted(out, &about, echo, &reaction);
    }
    if echo {
        return other(out, &about, &event, raw); // It has read what a person wrote, say.
    }
    if let Some(postback) = named("postback") {
        return pressed(out, &about, &event, &postback);
    }
    if let Some(delivery) = named("delivery") {
        return delivered(out, &about, &delivery);
    }
    if let Some(read) = named("read") {
        return has_read(out, &about, &read);
    }
    if let Some(referral) = named("referral") {
        let follow = came(&about, referral.words("ref"), Some(&referral), event.raw("referral"));
        return out.events.push(about.event(about.key("referral", &[raw.get()]), Body::Followed(follow)));
    }
    if let Some(optin) = named("optin") {
        return opted_in(out, &about, &optin);
    }
    if event.has("optout") {
        let evidence = event.raw("optout").map(without_tokens);
        let consent = Consent { from: Some(about.person()), state: ConsentState::OptedOut, scope: Cow::Borrowed("marketing"), evidence };
        return out.events.push(about.event(about.key("optout", &[]), Body::Consent(consent)));
    }
    other(out, &about, &event, raw);
}

/// A voice call: a person's is a message, ours is kept as it came (`calling/webhooks`, read 2026-11-30).
fn called<'a>(out: &mut Parsed<'a>, reader: Reader<'_>, page: &Word<'a>, raw: &'a RawValue) {
    let call = Object::parse(raw.get()).unwrap_or_default();
    let Some(id) = call.words("id") else { return out.leave("a call without an id") };
    let what = call.words("event").or_else(|| call.words("status")).unwrap_or(Cow::Borrowed("unknown"));
    let inbound = call.text("call_direction").as_deref() != Some("business_initiated");
    let peer = call.words(if inbound { "from" } else { "to" }).map(|id| Cow::Owned(address(reader.kind.scheme, &id))).unwrap_or_default();
    let about = About { kind: reader.kind, page: page.take().unwrap_or_default(), peer, time: when(&call), standby: false };
    let key = format!("{id}:{what}");
    let body = if inbound && !about.peer.is_empty() {
        let duration_ms = call.int("duration").and_then(|seconds| u64::try_from(seconds).ok()).map(|seconds| seconds.saturating_mul(1000));
        let part = Part::Call(PhoneCall { state: what, direction: Some(Cow::Borrowed("inbound")), duration_ms });
        let mut extra = Extra::default();
        let told = ["id", "event", "from", "to", "timestamp", "call_direction", "duration"];
        for (name, raw) in call.0.iter().filter(|(name, _)| !told.contains(&&**name)) {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
        received(&about, Message { id, sent_at: about.time, parts: vec![part], ..Message::default() }, extra)
    } else {
        Body::Provider(ProviderEvent { provider_type: Cow::Owned(format!("call.{what}")), raw: Raw::borrowed(raw) })
    };
    out.events.push(about.event(key, body));
}

/// What a person wrote.
fn written<'a>(out: &mut Parsed<'a>, about: &About<'a>, event: &Object<'a>, message: &Object<'a>) {
    // Every message has an id; samples have been seen without.
    let told = || message.has("text") || message.has("attachments");
    let unnumbered = || event.raw("message").filter(|_| told()).map(|raw| Cow::Owned(about.key("message", &[raw.get()])));
    let Some(id) = message.words("mid").or_else(unnumbered) else {
        return out.leave("a message without an id");
    };
    if message.flag("is_deleted") {
        let body = Body::Deleted(Deleted { from: Some(about.person()), message_id: id.clone() });
        return out.events.push(about.event(format!("{id}:deleted"), body));
    }
    let mut extra = content::leftovers(message);
    adapter::keep(&mut extra, "prior_message", event.kept("prior_message"));
    let message = Message { id: id.clone(), sent_at: about.time, ..content::message(about.kind, message, event.raw("message")) };
    out.events.push(about.event(id, received(about, message, extra)));
}

fn received<'a>(about: &About<'a>, message: Message<'a>, mut extra: Extra<'a>) -> Body<'a> {
    let window = if about.standby {
        extra.push("standby", Raw::of(&true));
        let closed_reason = Some(Cow::Borrowed("another app owns this conversation"));
        Some(ReplyWindow { closed_reason, ..ReplyWindow::default() })
    } else {
        about.time.map(|time| ReplyWindow { closes_at: Some(time.plus(WINDOW)), ..ReplyWindow::default() })
    };
    let to = Some(about.page.as_ref()).filter(|page| !page.is_empty()).map(|page| Cow::Owned(address(about.kind.scheme, page)));
    Body::Received(Received { from: about.person(), to, message, reply_window: window, respond_by: None, extra })
}

/// What went to a person: ours come back as a receipt, others' are news.
fn echoed<'a>(out: &mut Parsed<'a>, about: &About<'a>, app: Option<&str>, message: &Object<'a>) {
    let Some(id) = message.words("mid") else {
        return out.leave("an echo without an id");
    };
    let metadata = message.words("metadata");
    let key = format!("{id}:echo");
    if message.flag("is_deleted") {
        let body = Body::Deleted(Deleted { from: None, message_id: id.clone() });
        return out.events.push(about.event(format!("{id}:deleted"), body));
    }
    let ours = match (app, message.words("app_id")) {
        (Some(app), Some(sender)) => app == sender,
        _ => metadata.as_deref().is_some_and(|m| m.starts_with("msg_")),
    };
    let body = if ours {
        let mut receipt = Receipt::new(id, State::Sent);
        receipt.message_id = metadata;
        receipt.at = about.time;
        Body::Receipt(receipt)
    } else {
        let written = Message { id: id.clone(), sent_at: about.time, ..content::message(about.kind, message, None) };
        Body::Created(Created {
            message_id: id,
            origin: Origin::Echo,
            author: None,
            to: Some(about.peer.clone()),
            message: written,
            metadata: message.kept("metadata"),
        })
    };
    out.events.push(about.event(key, body));
}

fn edited<'a>(out: &mut Parsed<'a>, about: &About<'a>, own: bool, edit: &Object<'a>) {
    let Some(id) = edit.words("mid") else {
        return out.leave("an edit without an id");
    };
    let key = format!("{id}:edit:{}", edit.text("num_edit").unwrap_or_default());
    let parts = vec![Part::text(edit.text("text").unwrap_or_default())];
    let message = Message { id: id.clone(), sent_at: about.time, parts, ..Message::default() };
    let body = Body::Edited(Edited { from: about.actor(own), message, message_id: id, extra: Extra::default() });
    out.events.push(about.event(key, body));
}

fn reacted<'a>(out: &mut Parsed<'a>, about: &About<'a>, own: bool, reaction: &Object<'a>) {
    let Some(id) = reaction.words("mid") else {
        return out.leave("a reaction without a message");
    };
    let action = reaction.text("action").unwrap_or_default();
    let key = about.key(if own { "own_reaction" } else { "reaction" }, &[&id, &action]);
    let body = Body::Reaction(Reaction {
        from: about.actor(own),
        message_id: id,
        reaction: reaction.words("emoji").or_else(|| reaction.words("reaction")),
        action: if action == "unreact" { ReactionAction::Removed } else { ReactionAction::Added },
    });
    out.events.push(about.event(key, body));
}

/// A button, the persistent menu, an ice breaker, Get Started.
fn pressed<'a>(out: &mut Parsed<'a>, about: &About<'a>, event: &Object<'a>, postback: &Object<'a>) {
    let payload = postback.words("payload");
    let id = postback.words("mid").unwrap_or_else(|| Cow::Owned(about.key("postback", &[payload.as_deref().unwrap_or_default()])));
    let choice = Choice { kind: ChoiceKind::Postback, id: payload, title: postback.words("title"), values: Vec::new() };
    let mut extra = Extra::default();
    for (name, raw) in postback.0.iter().filter(|(name, _)| !matches!(&**name, "mid" | "payload" | "title")) {
        extra.push(name.clone(), Raw::borrowed(raw));
    }
    adapter::keep(&mut extra, "prior_message", event.kept("prior_message"));
    let referral = postback.object("referral").map(|r| content::referred(&r));
    let parts = vec![Part::Choice(choice)];
    let message = Message { id: id.clone(), sent_at: about.time, parts, referral, ..Message::default() };
    out.events.push(about.event(id, received(about, message, extra)));
}

fn delivered<'a>(out: &mut Parsed<'a>, about: &About<'a>, delivery: &Object<'a>) {
    let watermark = delivery.text("watermark").unwrap_or_default();
    let key = format!("delivered:{}:{watermark}", about.peer);
    let ids: Vec<Text<'a>> = delivery.list("mids").into_iter().filter_map(super::object::text).collect();
    let until = stamp(delivery.int("watermark"));
    if ids.is_empty() && until.is_none() {
        return out.leave("a delivery report that names nothing");
    }
    if ids.is_empty() {
        let receipt = Receipt { watermark: until, at: about.time, ..Receipt::new("", State::Delivered) };
        return out.events.push(about.event(key, Body::Receipt(receipt)));
    }
    for id in ids {
        let key = format!("{key}:{id}");
        let receipt = Receipt { at: about.time.or(until), ..Receipt::new(id, State::Delivered) };
        out.events.push(about.event(key, Body::Receipt(receipt)));
    }
}

/// Everything sent until then was read; where a message is named it is told of too, whatever the clocks say.
fn has_read<'a>(out: &mut Parsed<'a>, about: &About<'a>, read: &Object<'a>) {
    if let Some(id) = read.words("mid") {
        let receipt = Receipt { at: about.time, ..Receipt::new(id.clone(), State::Read) };
        out.events.push(about.event(format!("read:{id}"), Body::Receipt(receipt)));
    }
    let Some(until) = stamp(read.int("watermark")).or(about.time) else {
        return if !read.has("mid") {
            out.leave("a read report without a time")
        };
    };
    let key = format!("read:{}:{}", about.peer, until.0);
    let receipt = Receipt { watermark: Some(until), at: about.time, ..Receipt::new("", State::Read) };
    out.events.push(about.event(key, Body::Receipt(receipt)));
}

fn came<'a>(about: &About<'a>, payload: Option<Text<'a>>, referral: Option<&Object<'a>>, raw: Option<&'a RawValue>) -> Follow<'a> {
    let mut extra = Extra::default();
    adapter::keep(&mut extra, "referral", raw.map(Raw::borrowed));
    Follow { from: about.person(), payload, referral: referral.map(content::referred), extra }
}

fn opted_in<'a>(out: &mut Parsed<'a>, about: &About<'a>, optin: &Object<'a>) {
    let kind = optin.text("type").unwrap_or_default();
    if kind.is_empty() {
        // A checkbox or button of a plugin: the person began a conversation.
        let follow = came(about, optin.words("ref"), None, None);
        return out
            .events
            .push(about.event(about.key("optin", &[optin.text("ref").as_deref().unwrap_or_default()]), Body::Followed(follow)));
    }
    let stopped = optin.text("notification_messages_status").as_deref() == Some("STOP_NOTIFICATIONS");
    let state = if stopped { ConsentState::OptedOut } else { ConsentState::OptedIn };
    let scope = if kind == "notification_messages" { Cow::Borrowed("marketing") } else { optin.words("payload").unwrap_or(kind) };
    let mut kept = serde_json::Map::new();
    for (name, raw) in optin.0.iter().filter(|(name, _)| !is_handle(name)) {
        kept.insert(name.to_string(), serde_json::from_str(raw.get()).unwrap_or_default());
    }
    let key = about.key("optin", &[if stopped { "stop" } else { "start" }, &scope]);
    let consent = Consent { from: Some(about.person()), state, scope, evidence: Some(Raw::of(&kept)) };
    out.events.push(about.event(key, Body::Consent(consent)));
}

/// Tokens let their holder write to the person: they are not published.
fn is_handle(name: &str) -> bool {
    name.ends_with("_token")
}

fn without_tokens(raw: &RawValue) -> Raw<'_> {
    match Object::parse(raw.get()) {
        Some(object) if object.0.iter().any(|(name, _)| is_handle(name)) => {
            let kept = object.0.iter().filter(|(name, _)| !is_handle(name));
            Raw::of(&kept.map(|(name, raw)| (name.to_string(), *raw)).collect::<std::collections::BTreeMap<_, _>>())
        }
        _ => Raw::borrowed(raw),
    }
}

/// The rest: forms are messages, enforcement is a notice, everything else is passed on.
fn other<'a>(out: &mut Parsed<'a>, about: &About<'a>, event: &Object<'a>, raw: &'a RawValue) {
    let base = ["sender", "recipient", "timestamp", "prior_message"];
    let Some((name, content)) = event.0.iter().find(|(name, _)| !base.contains(&&**name)) else {
        return out.leave("an event with nothing in it");
    };
    let key = about.key(name, &[content.get()]);
    let body = match &**name {
        "policy_enforcement" | "policy-enforcement" => {
            let enforced = Object::parse(content.get()).unwrap_or_default();
            let action = enforced.words("action").unwrap_or_default();
            let severity = match &*action {
                "block" => Severity::Error,
                "unblock" => Severity::Info,
                _ => Severity::Warning,
            };
            let text = format!("policy enforcement: {action} {}", enforced.words("reason").unwrap_or_default());
            let kind = Cow::Borrowed("policy_enforcement");
            Body::Notice(Notice { kind, severity, text: Cow::Owned(text.trim().to_owned()), raw: Some(Raw::borrowed(content)) })
        }
        "messaging_feedback"
        | "response_feedback"
        | "messaging_in_thread_lead_form_submit"
        | "messaging_customer_information"
        | "call_permission_reply"
            if !about.peer.is_empty() =>
        {
            let named = if name.ends_with("_feedback") { Cow::Borrowed("csat") } else { name.clone() };
            let form = Form { name: Some(named), fields: Some(Raw::borrowed(content)) };
            let judged = Object::parse(content.get()).and_then(|content| content.words("mid"));
            let reply_to = judged.map(|id| ReplyTo { id: Some(id), ..ReplyTo::default() });
            let id = Cow::Owned(key.clone());
            let message = Message { id, sent_at: about.time, parts: vec![Part::Form(form)], reply_to, ..Message::default() };
            received(about, message, Extra::default())
        }
        "order" if !about.peer.is_empty() => {
            let order = Object::parse(content.get()).unwrap_or_default();
            let part = Part::Order(content::ordered(&order));
            let message = Message { id: Cow::Owned(key.clone()), sent_at: about.time, parts: vec![part], ..Message::default() };
            let mut extra = Extra::default();
            extra.push("order", Raw::borrowed(content));
            received(about, message, extra)
        }
        _ => Body::Provider(ProviderEvent { provider_type: name.clone(), raw: Raw::borrowed(raw) }),
    };
    out.events.push(about.event(key, body));
}

//! Deliveries: entries, changes, and the messages in them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{self, Contact};
use super::{account, calls, content, history, receipts};
use crate::contract::event::{
    Author, Change, ContactUpdated, Created, Deleted, Edited, Follow, Group, Origin, Reaction, ReactionAction, Referral, ReplyWindow,
};
use crate::contract::*;
use crate::kit::borrow::{List, Maybe, Word};
use crate::kit::object::Object;
use crate::kit::{crypto, entry};

/// 24 hours from a person's message; 72 when an ad or Page button began it (`pricing`, read 2026-11-20).
const WINDOW: i64 = 86_400_000;
const FREE: i64 = 3 * WINDOW;

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
    changes: List<Maybe<ChangeOf<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct ChangeOf<'a> {
    field: Word<'a>,
    value: Option<&'a RawValue>,
}

/// What one change is about.
pub(super) struct About<'a> {
    /// The business account.
    pub waba: Text<'a>,
    /// The number's id; `None` for what concerns the whole account.
    pub account: Option<Text<'a>>,
    /// The number's address.
    pub business: Option<Text<'a>>,
    /// The number's digits.
    pub digits: Option<Text<'a>>,
    /// The people in it.
    pub contacts: Vec<Contact<'a>>,
    /// When the entry was written.
    pub time: Option<Time>,
    /// The kind of change.
    pub field: Text<'a>,
    /// Another sender on the number answers in this conversation.
    pub standby: bool,
}

/// What a delivery means.
pub(super) fn parse<'a>(hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Ok(Maybe(Some(envelope))) = serde_json::from_str::<Maybe<Envelope<'a>>>(text) else {
        return Parsed::not_understood("the body is not a JSON object");
    };
    let mut out = Parsed::default();
    if envelope.object.some().is_some_and(|object| object != "whatsapp_business_account") {
        return Parsed::not_understood("an `object` that is not a WhatsApp Business Account");
    }
    if envelope.entry.is_empty() {
        bare(&mut out, text);
    }
    for entry in envelope.entry {
        let Some(entry) = entry.0 else {
            out.leave("an entry that is not an object");
            continue;
        };
        for change in entry.changes {
            match change.0 {
                Some(ChangeOf { field, value: Some(value) }) => one(&mut out, &entry.id, &entry.time, field, value),
                _ => out.leave("a change without a value"),
            }
        }
    }
    if out.events.is_empty() {
        out.leave("nothing in it that we know");
    }
    out
}

/// Samples of the reference are a change without its entry. The API that businesses hosted themselves until 2025 delivered what
/// stands in the change alone, and resellers still do.
fn bare<'a>(out: &mut Parsed<'a>, text: &'a str) {
    let fields = Object::parse(text).unwrap_or_default();
    let nobody = Word::default();
    if let Some(value) = fields.raw("value") {
        one(out, &nobody, &nobody, Word(fields.words("field")), value);
    } else if let (false, Ok(whole)) = (implied(&fields).is_empty(), serde_json::from_str(text)) {
        one(out, &nobody, &nobody, nobody.clone(), whole);
    }
}

fn one<'a>(out: &mut Parsed<'a>, waba: &Word<'a>, time: &Word<'a>, field: Word<'a>, raw: &'a RawValue) {
    let Some(value) = Object::parse(raw.get()) else {
        return out.leave("a value that is not an object");
    };
    // A handover names the number as who receives it.
    let metadata = value.object("metadata").or_else(|| value.object("recipient")).unwrap_or_default();
    // What happens while another sender answers comes one floor deeper (`webhooks/reference/standby`, read 2026-11-30).
    let inside = value.object("standby");
    let standby = inside.is_some() || field.some() == Some("standby");
    let value = inside.unwrap_or(value);
    let digits = metadata.words("display_phone_number");
    let about = About {
        waba: waba.take().unwrap_or_default(),
        account: metadata.words("phone_number_id"),
        business: digits.as_deref().map(|digits| Cow::Owned(address::of(digits))),
        digits,
        contacts: contacts(&value),
        time: stamp(time.int()),
        // Some pass deliveries on without it.
        field: field.take().unwrap_or_else(|| Cow::Borrowed(implied(&value))),
        standby,
    };
    match &*about.field {
        "messages" | "standby" => {
            for raw in value.list("messages") {
                received(out, &about, raw, false);
            }
            for raw in value.list("message_echoes") {
                echoed(out, &about, raw, None);
            }
            for raw in value.list("statuses") {
                receipts::status(out, &about, raw);
            }
            account::errors(out, &about, &value);
            if !["messages", "message_echoes", "statuses", "errors"].iter().any(|list| value.has(list)) {
                account::other(out, &about, &value, raw);
            }
        }
        // The second is the newer name.
        "smb_message_echoes" | "message_echoes" => value.list("message_echoes").into_iter().for_each(|raw| echoed(out, &about, raw, None)),
        "history" => history::parse(out, &about, &value),
        "calls" => calls::parse(out, &about, &value),
        _ => account::other(out, &about, &value, raw),
    }
}

/// The field whose content a value has.
fn implied(value: &Object<'_>) -> &'static str {
    match () {
        () if ["messages", "statuses", "errors"].iter().any(|list| value.has(list)) => "messages",
        () if value.has("message_echoes") => "smb_message_echoes",
        () => "",
    }
}

fn contacts<'a>(value: &Object<'a>) -> Vec<Contact<'a>> {
    value.objects("contacts").iter().map(Contact::read).collect()
}

/// Seconds as most fields have them; milliseconds have been seen elsewhere in the Graph API.
pub(super) fn stamp(number: Option<i64>) -> Option<Time> {
    number.filter(|n| *n > 0).map(|n| if n > 100_000_000_000 { Time(n) } else { Time::from_secs(n) })
}

/// A message of a person.
pub(super) fn received<'a>(out: &mut Parsed<'a>, about: &About<'a>, raw: &'a RawValue, old: bool) {
    let Some(message) = Object::parse(raw.get()) else {
        return out.leave("a message that is not an object");
    };
    let Some(from) = sender(&message, about) else {
        return out.leave("a message without a sender");
    };
    // Every message has an id; samples have been seen without.
    let id = message.words("id").unwrap_or_else(|| Cow::Owned(crypto::fingerprint(&[&about.waba, raw.get()])));
    let kind = message.words("type").unwrap_or_else(|| Cow::Borrowed(content::implied(&message)));
    let time = stamp(message.int("timestamp"));
    let group = message.words("group_id");
    let peer = match &group {
        Some(group) => Cow::Owned(crate::kit::address::address("whatsapp", group)),
        None => from.address.clone(),
    };
    let content = message.object(&kind).unwrap_or_default();
    let named = |name: &str| content.words(name);
    // The reference spells the reaction's target with one `s` too many in one of its examples.
    let target = named("message_id").or_else(|| named("messsage_id"));
    let mut key = id.clone();
    let body = match &*kind {
        "reaction" if target.is_some() => {
            let emoji = named("emoji");
            let action = if emoji.is_some() { ReactionAction::Added } else { ReactionAction::Removed };
            Body::Reaction(Reaction { from, message_id: target.unwrap_or_default(), reaction: emoji, action })
        }
        "revoke" if content.has("original_message_id") => {
            Body::Deleted(Deleted { from: Some(from), message_id: named("original_message_id").unwrap_or_default() })
        }
        "edit" if content.has("original_message_id") => edited(&content, &message, from, time, raw),
        "system" if content.has("type") || content.has("body") => system(&content, &message, from),
        "request_welcome" => Body::Followed(Follow { from, ..Follow::default() }),
        _ => {
            if &*kind == "media_placeholder" {
                // The media itself follows under the same id.
                key = Cow::Owned(format!("{id}:placeholder"));
            }
            let referral = message.object("referral");
            let open = time.filter(|_| group.is_none() && !old).map(|time| ReplyWindow {
                closes_at: Some(time.plus(WINDOW)),
                free_until: referral.as_ref().map(|_| time.plus(FREE)),
                closed_reason: None,
            });
            let closed = || ReplyWindow {
                closed_reason: Some(Cow::Borrowed("another sender answers in this conversation")),
                ..ReplyWindow::default()
            };
            let window = if about.standby { Some(closed()) } else { open };
            let mut written = Message { id, sent_at: time, ..content::message(&message, &kind, raw) };
            written.referral = referral.as_ref().map(referred).or_else(|| entry::written(&written.parts));
            written.group = group.map(|id| Group { id, name: None });
            written.history = old.then_some(true);
            let mut extra = leftovers(&message, &kind, about, &from);
            if about.standby {
                extra.push("standby", Raw::of(&true));
            }
            Body::Received(Received { from, to: about.business.clone(), message: written, reply_window: window, respond_by: None, extra })
        }
    };
    out.events.push(event(about, key, peer, time, body));
}

/// An event of this change.
pub(super) fn event<'a>(about: &About<'a>, key: impl Into<Text<'a>>, peer: Text<'a>, time: Option<Time>, body: Body<'a>) -> Event<'a> {
    Event { account: about.account.clone(), key: Some(key.into()), medium: Cow::Borrowed("whatsapp"), peer, time, body }
}

/// News about a person may name them inside alone, by the id they had or have.
fn sender<'a>(message: &Object<'a>, about: &About<'a>) -> Option<Person<'a>> {
    let named = address::person(message.words("from"), message.words("from_user_id"), &about.contacts);
    let named = named.or_else(|| address::person(None, message.words("from_parent_user_id"), &[]));
    named.or_else(|| {
        let news = message.object("system")?;
        let id = news.words("previous_user_id").or_else(|| news.words("user_id"));
        address::person(news.words("wa_id").filter(|_| id.is_none()), id, &[])
    })
}

fn edited<'a>(content: &Object<'a>, outer: &Object<'a>, from: Person<'a>, time: Option<Time>, raw: &'a RawValue) -> Body<'a> {
    let id = content.words("original_message_id").unwrap_or_default();
    let inner = content.object("message").unwrap_or_default();
    let kind = inner.words("type").unwrap_or(Cow::Borrowed("unknown"));
    let raw = content.raw("message").unwrap_or(raw);
    let mut message = Message { id: id.clone(), sent_at: time, ..content::message(&inner, &kind, raw) };
    if message.reply_to.is_none() {
        message.reply_to = content::quoted(outer);
    }
    Body::Edited(Edited { from, message, message_id: id, extra: Extra::default() })
}

/// WhatsApp's own news about a person.
fn system<'a>(content: &Object<'a>, message: &Object<'a>, from: Person<'a>) -> Body<'a> {
    let number = content.words("wa_id").or_else(|| content.words("new_wa_id"));
    let user = content.words("new_user_id").or_else(|| content.words("user_id"));
    // Without a kind it is told by what is new.
    let kind = content.words("type").unwrap_or(Cow::Borrowed(match (&user, &number) {
        (Some(_), _) => "user_changed_user_id",
        (_, Some(_)) => "user_changed_number",
        _ => "",
    }));
    let phone = |id: Option<Text<'a>>| id.map(|id| Cow::Owned(address::of(&id)));
    let told = phone(content.words("previous_user_id"));
    let (change, previous, current, reason) = match &*kind {
        "user_changed_number" | "customer_changed_number" => {
            let previous = phone(message.words("from")).or(told).or_else(|| Some(from.address.clone()));
            let current = phone(number);
            (Change::AddressReplaced, previous.filter(|old| Some(old) != current.as_ref()), current, "number_changed")
        }
        "user_changed_user_id" => {
            let current = user.map(|id| Cow::Owned(crate::kit::address::address("whatsapp", &id)));
            // The delivery may name the person by the new id already.
            let known = std::iter::once(from.address).chain(from.also.into_iter().filter(|a| a.starts_with("whatsapp:")));
            let previous = told.into_iter().chain(known).find(|address| Some(address) != current.as_ref()).or_else(|| {
                // Or the old id stands in the sentence alone.
                let body = content.text("body")?;
                let old = body.split_whitespace().find(|word| address::is_user(word)).map(address::of)?;
                Some(Cow::Owned(old)).filter(|old| Some(old) != current.as_ref())
            });
            (Change::AddressReplaced, previous, current, "user_id_changed")
        }
        "customer_identity_changed" => (Change::Profile, None, Some(from.address), "identity_changed"),
        _ => (Change::Profile, None, Some(from.address), "system"),
    };
    let mut extra = Extra::default();
    for (name, raw) in content.0.iter().filter(|(name, _)| !matches!(&**name, "wa_id" | "new_wa_id")) {
        extra.push(name.clone(), Raw::borrowed(raw));
    }
    adapter::keep(&mut extra, "identity", message.kept("identity"));
    Body::ContactUpdated(ContactUpdated { change, previous, current, reason: Some(Cow::Borrowed(reason)), extra })
}

fn referred<'a>(referral: &Object<'a>) -> Referral<'a> {
    Referral {
        kind: referral.words("source_type"),
        id: referral.words("source_id"),
        source_url: referral.words("source_url"),
        payload: None,
        click_id: referral.words("ctwa_clid"),
        headline: referral.words("headline"),
    }
}

/// What of a message has no place in our format.
fn leftovers<'a>(message: &Object<'a>, kind: &str, about: &About<'a>, from: &Person<'a>) -> Extra<'a> {
    let mut extra = Extra::default();
    for (name, raw) in &message.0 {
        let placed = matches!(&**name, "from" | "from_user_id" | "id" | "timestamp" | "type" | "group_id") || *name == kind;
        let told = |known: &[&str]| Object::parse(raw.get()).is_some_and(|o| o.0.iter().all(|(n, _)| known.contains(&&**n)));
        if placed || raw.get() == "null" || &**name == "context" && told(&["from", "id", "forwarded", "user_id"]) {
            continue;
        }
        extra.push(name.clone(), Raw::borrowed(raw));
    }
    content::leftovers(message, kind, &mut extra);
    let user = from.address.strip_prefix("whatsapp:");
    let phone = message.text("from");
    if let Some(contact) = address::contact(&about.contacts, phone.as_deref(), user) {
        for (name, word) in [("parent_user_id", &contact.parent_user_id), ("identity_key_hash", &contact.identity_key_hash)] {
            if let Some(word) = word {
                extra.push(name, Raw::of(word));
            }
        }
    }
    extra
}

/// What was written to a person in the Business app, or long ago.
pub(super) fn echoed<'a>(out: &mut Parsed<'a>, about: &About<'a>, raw: &'a RawValue, thread: Option<&Text<'a>>) {
    let Some(outer) = Object::parse(raw.get()) else {
        return out.leave("an echo that is not an object");
    };
    // What another sender on the number wrote is its request, in an envelope with the id.
    let request = outer.object("message").filter(|m| m.has("type"));
    let raw = outer.raw("message").filter(|_| request.is_some()).unwrap_or(raw);
    let message = request.unwrap_or_else(|| outer.clone());
    let to = message.words("to").or_else(|| thread.cloned());
    let group = message.words("group_id");
    let person = match &group {
        Some(group) => Some(Person::at(crate::kit::address::address("whatsapp", group))),
        None => address::person(to, message.words("to_user_id").or_else(|| outer.words("to_user_id")), &about.contacts),
    };
    let (Some(id), Some(to)) = (outer.words("id"), person) else {
        return out.leave("an echo without an id or a recipient");
    };
    let kind = message.words("type").unwrap_or(Cow::Borrowed("unknown"));
    let time = stamp(outer.int("timestamp"));
    let content = message.object(&kind).unwrap_or_default();
    let ours = || Person {
        kind: Some(Cow::Borrowed("business")),
        ..Person::at(about.business.clone().or_else(|| message.words("from").map(|f| Cow::Owned(address::of(&f)))).unwrap_or_default())
    };
    let mut key = id.clone();
    let body = match &*kind {
        "revoke" if content.has("original_message_id") => {
            Body::Deleted(Deleted { from: Some(ours()), message_id: content.words("original_message_id").unwrap_or_default() })
        }
        "edit" if content.has("original_message_id") => edited(&content, &message, ours(), time, raw),
        "reaction" if content.has("message_id") => {
            let emoji = content.words("emoji");
            let action = if emoji.is_some() { ReactionAction::Added } else { ReactionAction::Removed };
            Body::Reaction(Reaction { from: ours(), message_id: content.words("message_id").unwrap_or_default(), reaction: emoji, action })
        }
        _ => {
            if &*kind == "media_placeholder" {
                key = Cow::Owned(format!("{id}:placeholder"));
            }
            let mut written = Message { id: id.clone(), sent_at: time, ..content::message(&message, &kind, raw) };
            written.group = group.map(|id| Group { id, name: None });
            written.history = thread.map(|_| true);
            // Meta's own assistant answers in the number's name.
            let bot = message.text("message_creation_type").is_some_and(|by| by.ends_with("_bot"));
            Body::Created(Created {
                message_id: id,
                origin: Origin::Echo,
                author: bot.then(|| Author { kind: Some(Cow::Borrowed("bot")), ..Author::default() }),
                to: Some(to.address.clone()),
                message: written,
                metadata: None,
            })
        }
    };
    out.events.push(event(about, key, to.address, time, body));
}

//! News beside messages: calls, groups, people's wishes and ids, templates, quality, the account.

use serde_json::value::RawValue;

use super::address::{self, Who};
use super::inbound::{self, Place, take};
use super::{content, people};
use crate::contract::event::{Change, Consent, ConsentState, ContactUpdated, Extra, Group, GroupUpdated, Severity};
use crate::contract::part::PhoneCall;
use crate::contract::*;
use crate::kit::address as uri;
use crate::kit::object::Object;

/// What a change of any other field than `messages` means.
pub(super) fn news<'a>(place: &Place<'a>, parsed: &mut Parsed<'a>) {
    let Some(value) = Object::parse(place.value.get()) else { return };
    match &*place.field {
        "smb_message_echoes" => each(parsed, &value, "message_echoes", |raw| content::echoed(place, raw)),
        "smb_app_state_sync" => each(parsed, &value, "state_sync", |raw| synced(place, raw)),
        "history" => history(place, &value, parsed),
        "user_preferences" => each(parsed, &value, "user_preferences", |raw| preference(place, raw)),
        "user_id_update" => each(parsed, &value, "user_id_update", |raw| new_id(place, raw)),
        "calls" => each(parsed, &value, "calls", |raw| call(place, raw)),
        field if field.starts_with("group_") => each(parsed, &value, "groups", |raw| group(place, raw)),
        field if !value.has("statuses") && !value.has("messages") => {
            if let Some((kind, severity, text)) = bulletin(field, &value) {
                parsed.events.push(place.notice(kind, severity, text, place.value));
            }
        }
        _ => {}
    }
}

fn each<'a>(parsed: &mut Parsed<'a>, value: &Object<'a>, name: &str, read: impl Fn(&'a RawValue) -> Result<Event<'a>, String>) {
    for raw in value.list(name) {
        take(parsed, read(raw));
    }
}

/// A contact of the phone that the number is also used on.
fn synced<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let item = inbound::object(raw, "a synchronised item")?;
    let contact = item.object("contact").unwrap_or_default();
    let key = place.fingerprint(raw.get());
    let time = item.object("metadata").and_then(|metadata| address::time(&metadata.text("timestamp")?));
    let Some(who) = Who::of(contact.text("phone_number"), contact.text("user_id")).address() else {
        return Ok(place.provider("smb_app_state_sync", key, String::new(), time, raw));
    };
    let reason = if item.text("action").as_deref() == Some("remove") { "contact_removed" } else { "contact_saved" };
    let mut extra = Extra::default();
    adapter::keep(&mut extra, "contact", item.kept("contact"));
    let body = ContactUpdated { change: Change::Profile, previous: None, current: Some(who.clone().into()), reason: Some(reason.into()), extra };
    Ok(place.event(key, who, time, Body::ContactUpdated(body)))
}

/// Old messages, in threads, or the refusal to hand them over.
fn history<'a>(place: &Place<'a>, value: &Object<'a>, parsed: &mut Parsed<'a>) {
    for chunk in value.list("history") {
        let Some(chunk) = Object::parse(chunk.get()) else {
            parsed.leave("a piece of history that is not an object");
            continue;
        };
        for thread in chunk.objects("threads") {
            let id = thread.object("context").and_then(|c| c.words("wa_id")).or_else(|| thread.words("id"));
            each(parsed, &thread, "messages", |raw| content::remembered(place, id.clone(), raw));
        }
        for error in chunk.list("errors") {
            let refused = place.notice("history_refused", Severity::Warning, "The number's owner shares no history.", error);
            parsed.events.push(refused);
        }
    }
}

fn preference<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let item = inbound::object(raw, "a preference")?;
    let who = people::who(&item, "wa_id", "user_id");
    let (Some(person), Some(peer)) = (who.person(), who.address()) else { return Err("a preference of nobody".into()) };
    let time = item.text("timestamp").and_then(|text| address::time(&text));
    let key = place.fingerprint(raw.get());
    let state = match item.text("value").as_deref() {
        Some("stop") => ConsentState::OptedOut,
        Some("resume" | "signup") => ConsentState::OptedIn,
        _ => return Ok(place.provider("user_preferences", key, peer, time, raw)),
    };
    let scope = match item.words("category") {
        Some(category) if category == "marketing_messages" => "marketing".into(),
        Some(category) => category,
        None => "marketing".into(),
    };
    let body = Consent { from: Some(person), state, scope, evidence: Some(Raw::borrowed(raw)) };
    Ok(place.event(key, peer, time, Body::Consent(body)))
}

/// A person's business-scoped id has changed.
fn new_id<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let item = inbound::object(raw, "an id's change")?;
    let id = item.object("user_id").unwrap_or_default();
    let was = Who::of(item.text("wa_id"), id.text("previous")).address();
    let now = Who::of(None, id.text("current")).address();
    let time = item.text("timestamp").and_then(|text| address::time(&text));
    let key = place.fingerprint(raw.get());
    let Some(now) = now else { return Ok(place.provider("user_id_update", key, was.unwrap_or_default(), time, raw)) };
    let mut extra = Extra::default();
    for name in ["wa_id", "detail", "parent_user_id"] {
        adapter::keep(&mut extra, name, item.kept(name));
    }
    let change = if was.is_some() { Change::AddressReplaced } else { Change::AddressAdded };
    let peer = was.clone().unwrap_or_else(|| now.clone());
    let body = ContactUpdated {
        change,
        previous: was.map(Text::Owned),
        current: Some(now.into()),
        reason: Some("user_id_changed".into()),
        extra,
    };
    Ok(place.event(key, peer, time, Body::ContactUpdated(body)))
}

/// A call: one message for its beginning, one for its end. What we began ourselves is the provider's news.
fn call<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let item = inbound::object(raw, "a call")?;
    let id = item.words("id").unwrap_or_default();
    let state = item.words("event").or_else(|| item.words("status")).unwrap_or_default();
    let key = if id.is_empty() { place.fingerprint(raw.get()) } else { format!("{id}:{state}") };
    let time = item.text("timestamp").and_then(|text| address::time(&text));
    let by_us = item.text("direction").as_deref() == Some("BUSINESS_INITIATED");
    let side = if by_us { ("to", "to_user_id") } else { ("from", "from_user_id") };
    let mut who = people::who(&item, side.0, side.1);
    let contact = place.known(&who).or_else(|| place.contacts.first().filter(|_| who.address().is_none()));
    if let Some(contact) = contact {
        who = who.or(contact.who());
    }
    let Some(mut person) = who.person().filter(|_| !by_us) else {
        return Ok(place.provider("call", key, who.address().unwrap_or_default(), time, raw));
    };
    if let Some(contact) = contact {
        contact.describe(&mut person);
    }
    let mut extra = Extra::default();
    for name in ["status", "start_time", "end_time", "errors"] {
        adapter::keep(&mut extra, name, item.kept(name));
    }
    let duration_ms = item.int("duration").and_then(|seconds| u64::try_from(seconds).ok()).map(|seconds| seconds * 1000);
    let part = Part::Call(PhoneCall { state, direction: Some("inbound".into()), duration_ms });
    let peer = person.address.clone().into_owned();
    let message = Message { id, sent_at: time, parts: vec![part], ..Message::default() };
    let reply_window = time.map(content::window);
    let received = Received { from: person, to: place.ours.clone(), message, reply_window, extra, ..Received::default() };
    Ok(place.event(key, peer, time, Body::Received(received)))
}

fn group<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let item = inbound::object(raw, "a group's change")?;
    let key = place.fingerprint(raw.get());
    let time = item.text("timestamp").and_then(|text| address::time(&text));
    let Some(id) = item.words("group_id") else {
        return Ok(place.provider(place.field.clone(), key, String::new(), time, raw)); // A group that could not be made.
    };
    let kind = item.words("type").unwrap_or_default();
    let change = match &*kind {
        "group_create" => "created",
        "group_delete" => "deleted",
        kind if kind.contains("participant") => "members",
        kind if kind.contains("join_request") => "join_request",
        _ if place.field == "group_participants_update" => "members",
        _ if item.has("subject") || item.has("group_subject") => "title",
        _ if place.field == "group_settings_update" => "settings",
        _ => "status",
    };
    let mut extra = Extra::default();
    for (name, raw) in &item.0 {
        if !matches!(&**name, "group_id" | "timestamp" | "subject") && raw.get() != "null" {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
    }
    let peer = uri::address("whatsapp", &id);
    let from = Who::of(item.text("initiated_by"), None).person();
    let body = GroupUpdated { group: Group { id, name: item.words("subject") }, change: change.into(), from, extra };
    Ok(place.event(key, peer, time, Body::GroupUpdated(body)))
}

/// News of the account as kind, urgency and a sentence; `None` for fields we do not know.
fn bulletin<'a>(field: &str, value: &Object<'a>) -> Option<(&'static str, Severity, Text<'a>)> {
    use Severity::{Error, Info, Warning};
    let event = value.words("event").unwrap_or_default();
    let named = |what: &str| match value.words("message_template_name") {
        Some(name) => format!("The template {name} {what}."),
        None => format!("A template {what}."),
    };
    let lower = |text: &str| text.to_ascii_lowercase().replace('_', " ");
    Some(match field {
        "message_template_status_update" => {
            let severity = match &*event {
                "REJECTED" | "PAUSED" | "DISABLED" | "FLAGGED" | "LIMIT_EXCEEDED" | "LOCKED" | "DELETED" | "PENDING_DELETION" => Warning,
                _ => Info,
            };
            ("template_status", severity, named(&format!("is now {}", lower(&event))).into())
        }
        "message_template_quality_update" => {
            let score = value.words("new_quality_score").unwrap_or_default();
            let severity = if matches!(&*score, "RED" | "YELLOW") { Warning } else { Info };
            ("template_quality", severity, named(&format!("has the quality {}", lower(&score))).into())
        }
        "message_template_components_update" => ("template_changed", Info, named("was changed").into()),
        "template_category_update" => ("template_category", Warning, named("has got another category").into()),
        "account_update" => {
            let text = format!("The business account: {}.", lower(&event));
            match &*event {
                "DISABLED_UPDATE" | "ACCOUNT_RESTRICTION" | "ACCOUNT_DELETED" | "PARTNER_REMOVED" | "ACCOUNT_OFFBOARDED" => {
                    ("account_update", Error, text.into())
                }
                "ACCOUNT_VIOLATION" => ("account_update", Warning, text.into()),
                _ => ("account_update", Info, text.into()),
            }
        }
        "phone_number_quality_update" => {
            let severity = if matches!(&*event, "FLAGGED" | "DOWNGRADE") { Warning } else { Info };
            let limit = value.words("current_limit").or_else(|| value.words("max_daily_conversations_per_business")).unwrap_or_default();
            ("quality", severity, format!("The number: {}; its limit is {}.", lower(&event), lower(&limit)).into())
        }
        "business_capability_update" => ("limits_changed", Info, "What the business may do has changed.".into()),
        "account_alerts" => ("account_alert", Warning, "WhatsApp has an alert about the account.".into()),
        "account_review_update" => {
            let decision = value.words("decision").unwrap_or_default();
            let severity = if decision == "REJECTED" { Error } else { Info };
            ("account_review", severity, format!("The account's review ended: {}.", lower(&decision)).into())
        }
        "phone_number_name_update" => {
            let decision = value.words("decision").unwrap_or_default();
            let severity = if decision == "REJECTED" { Warning } else { Info };
            ("name_review", severity, format!("The display name's review ended: {}.", lower(&decision)).into())
        }
        "business_username_update" => ("username", Info, "The business's username has changed.".into()),
        "security" => ("security", Warning, format!("The number's security settings: {}.", lower(&event)).into()),
        "flows" => ("flow", Info, format!("A flow: {}.", lower(&event)).into()),
        "payment_configuration_update" => ("payment_configuration", Info, "A payment configuration has changed.".into()),
        "partner_solutions" => ("partner_solution", Info, format!("A partner solution: {}.", lower(&event)).into()),
        _ => return None,
    })
}

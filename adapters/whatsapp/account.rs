//! What concerns the account: consent, changed ids, groups, templates, limits, restrictions. What is unknown is passed on.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::inbound::{About, event, stamp};
use super::{address, errors as codes};
use crate::contract::event::{Change, Consent, ConsentState, ContactUpdated, Group, GroupUpdated, Notice, ProviderEvent, Severity};
use crate::contract::*;
use crate::kit::{crypto, object::Object};

/// Errors that belong to no message.
pub(super) fn errors<'a>(out: &mut Parsed<'a>, about: &About<'a>, value: &Object<'a>) {
    for raw in value.list("errors") {
        let error = Object::parse(raw.get()).unwrap_or_default();
        let words = error.words("title").or_else(|| error.words("message"));
        let code = error.int("code").unwrap_or(0);
        let reason = codes::reason(code, 0, words.as_deref().unwrap_or_default());
        let notice = Notice {
            kind: Cow::Borrowed("provider_error"),
            severity: if matches!(reason.class, ErrorClass::Auth | ErrorClass::Config) { Severity::Error } else { Severity::Warning },
            text: Cow::Owned(format!("{} ({code})", reason.title)),
            raw: Some(Raw::borrowed(raw)),
        };
        // The same words may come again another day: what stood beside them makes the difference.
        let beside = value.list("messages").first().map_or("", |m| m.get());
        let account = about.account.as_deref().unwrap_or_default();
        let key = crypto::fingerprint(&[&about.waba, account, &about.field, raw.get(), beside]);
        out.events.push(event(about, key, Cow::Borrowed(""), about.time, Body::Notice(notice)));
    }
}

/// Every field but messages, echoes, history and calls.
pub(super) fn other<'a>(out: &mut Parsed<'a>, about: &About<'a>, value: &Object<'a>, raw: &'a RawValue) {
    let before = out.events.len();
    match &*about.field {
        "user_preferences" => each(out, about, value, "user_preferences", preference),
        "user_id_update" => each(out, about, value, "user_id_update", user_id),
        "smb_app_state_sync" => each(out, about, value, "state_sync", |_, item, raw| Some(plain("smb_app_state_sync", item, raw))),
        "messaging_handovers" => handed(out, about, value, raw),
        field if field.starts_with("group_") => each(out, about, value, "groups", group),
        field => {
            if let Some((kind, severity)) = known(field, value) {
                let notice =
                    Notice { kind: Cow::Borrowed(kind), severity, text: Cow::Owned(sentence(field, value)), raw: Some(Raw::borrowed(raw)) };
                single(out, about, raw, Body::Notice(notice));
            }
        }
    }
    if out.events.len() == before {
        let named = if about.field.is_empty() { Cow::Borrowed("unknown") } else { about.field.clone() };
        single(out, about, raw, Body::Provider(ProviderEvent { provider_type: named, raw: Raw::borrowed(raw) }));
    }
}

/// Another app or an agent of Meta's answers a person from now on, or we do again (`webhooks/reference/messaging-handovers`, read
/// 2026-11-30).
fn handed<'a>(out: &mut Parsed<'a>, about: &About<'a>, value: &Object<'a>, raw: &'a RawValue) {
    let person = value.object("sender").unwrap_or_default();
    let (phone, user) = (person.words("phone_number").or_else(|| person.words("wa_id")), person.words("user_id"));
    let Some(person) = address::person(phone, user, &about.contacts) else { return };
    let named = || value.0.iter().map(|(name, _)| name.clone()).find(|name| name.starts_with("control_"));
    let provider_type = value.words("type").or_else(named).unwrap_or_else(|| about.field.clone());
    let time = stamp(value.int("timestamp")).or(about.time);
    let key = crypto::fingerprint(&[&about.waba, &about.field, raw.get()]);
    out.events.push(event(about, key, person.address, time, Body::Provider(ProviderEvent { provider_type, raw: Raw::borrowed(raw) })));
}

fn single<'a>(out: &mut Parsed<'a>, about: &About<'a>, raw: &RawValue, body: Body<'a>) {
    // The same news comes again when it is true again: a template is paused twice in a week.
    let time = about.time.map(|time| time.0.to_string()).unwrap_or_default();
    let key = crypto::fingerprint(&[&about.waba, &about.field, raw.get(), &time]);
    out.events.push(event(about, key, Cow::Borrowed(""), about.time, body));
}

type Made<'a> = (Text<'a>, Body<'a>);

fn each<'a>(
    out: &mut Parsed<'a>,
    about: &About<'a>,
    value: &Object<'a>,
    list: &str,
    make: impl Fn(&About<'a>, &Object<'a>, &'a RawValue) -> Option<Made<'a>>,
) {
    for raw in value.list(list) {
        let item = Object::parse(raw.get()).unwrap_or_default();
        let Some((peer, body)) = make(about, &item, raw) else {
            out.leave("an item of an account's news that we cannot read");
            continue;
        };
        let time = stamp(item.int("timestamp").or_else(|| item.object("metadata")?.int("timestamp"))).or(about.time);
        let key = crypto::fingerprint(&[&about.waba, about.account.as_deref().unwrap_or_default(), &about.field, raw.get()]);
        out.events.push(event(about, key, peer, time, body));
    }
}

fn plain<'a>(kind: &'static str, _item: &Object<'a>, raw: &'a RawValue) -> Made<'a> {
    (Cow::Borrowed(""), Body::Provider(ProviderEvent { provider_type: Cow::Borrowed(kind), raw: Raw::borrowed(raw) }))
}

/// A person stopped or resumed marketing.
fn preference<'a>(about: &About<'a>, item: &Object<'a>, raw: &'a RawValue) -> Option<Made<'a>> {
    let from = address::person(item.words("wa_id"), item.words("user_id"), &about.contacts)?;
    let state = match &*item.words("value")? {
        "stop" => ConsentState::OptedOut,
        "resume" | "signup" => ConsentState::OptedIn,
        _ => return None,
    };
    let scope = match item.words("category") {
        Some(category) if category != "marketing_messages" => category,
        _ => Cow::Borrowed("marketing"),
    };
    let peer = from.address.clone();
    Some((peer, Body::Consent(Consent { from: Some(from), state, scope, evidence: Some(Raw::borrowed(raw)) })))
}

/// A business-scoped id was replaced.
fn user_id<'a>(_about: &About<'a>, item: &Object<'a>, _raw: &'a RawValue) -> Option<Made<'a>> {
    let ids = item.object("user_id")?;
    let address = |id: Text<'a>| -> Text<'a> { Cow::Owned(crate::kit::address::address("whatsapp", &id)) };
    let current = ids.words("current").map(address)?;
    let previous = ids.words("previous").map(address);
    let mut extra = Extra::default();
    for name in ["wa_id", "detail", "parent_user_id"] {
        adapter::keep(&mut extra, name, item.kept(name));
    }
    let peer = previous.clone().unwrap_or_else(|| current.clone());
    let reason = Some(Cow::Borrowed("user_id_changed"));
    Some((peer, Body::ContactUpdated(ContactUpdated { change: Change::AddressReplaced, previous, current: Some(current), reason, extra })))
}

fn group<'a>(about: &About<'a>, item: &Object<'a>, raw: &'a RawValue) -> Option<Made<'a>> {
    let kind = item.words("type").unwrap_or_else(|| about.field.clone());
    let Some(id) = item.words("group_id") else {
        return Some((Cow::Borrowed(""), Body::Provider(ProviderEvent { provider_type: kind, raw: Raw::borrowed(raw) })));
    };
    // A change we asked for says how each of its pieces went.
    let subject = item.object("group_subject").filter(|s| s.raw("update_successful").is_none_or(|went| went.get() != "false"));
    let subject = subject.and_then(|s| s.words("text")).or_else(|| item.words("subject"));
    let change = match &*kind {
        "group_create" => "created",
        "group_delete" => "deleted",
        kind if kind.contains("participants") => "members",
        "group_join_request_revoked" => "join_request_revoked",
        kind if kind.contains("join_request") => "join_request",
        _ if about.field == "group_settings_update" && subject.is_some() => "title",
        _ => "settings",
    };
    let mut extra = Extra::default();
    for (name, raw) in item.0.iter().filter(|(name, _)| !matches!(&**name, "group_id" | "timestamp")) {
        extra.push(name.clone(), Raw::borrowed(raw));
    }
    let peer = Cow::Owned(crate::kit::address::address("whatsapp", &id));
    // Only a request to join names one person.
    let from = address::person(item.words("wa_id"), item.words("user_id"), &about.contacts).filter(|_| change.starts_with("join_request"));
    let update = GroupUpdated { group: Group { id, name: subject }, change: Cow::Borrowed(change), from, extra };
    Some((peer, Body::GroupUpdated(update)))
}

/// Our word for an account's news, and how urgent it is.
fn known(field: &str, value: &Object<'_>) -> Option<(&'static str, Severity)> {
    let event = value.text("event").unwrap_or_default();
    Some(match field {
        "message_template_status_update" => {
            let fine = matches!(&*event, "APPROVED" | "PENDING" | "REINSTATED" | "IN_APPEAL" | "ARCHIVED" | "UNARCHIVED");
            ("template_status", if fine { Severity::Info } else { Severity::Warning })
        }
        "message_template_quality_update" => {
            let worse = matches!(value.text("new_quality_score").as_deref(), Some("RED" | "YELLOW"));
            ("template_quality", if worse { Severity::Warning } else { Severity::Info })
        }
        "message_template_components_update" => ("template_changed", Severity::Info),
        "template_category_update" => ("template_category", Severity::Warning),
        "template_correct_category_detection" => ("template_category", Severity::Info),
        "account_settings_update" => ("account_settings", Severity::Info),
        "business_status_update" => ("business_status", Severity::Warning),
        "account_update" => ("account", account(&event, value)),
        "phone_number_quality_update" => {
            let worse = matches!(&*event, "FLAGGED" | "DOWNGRADE");
            ("quality", if worse { Severity::Warning } else { Severity::Info })
        }
        "business_capability_update" => ("limits_changed", Severity::Info),
        "account_alerts" => {
            let info = value.object("alert_info").unwrap_or_default();
            let severity = match value.text("alert_severity").or_else(|| info.text("alert_severity")).as_deref() {
                Some("INFORMATIONAL") => Severity::Info,
                Some("CRITICAL") => Severity::Error,
                _ => Severity::Warning,
            };
            ("account_alert", severity)
        }
        "account_review_update" => {
            let rejected = value.text("decision").as_deref() == Some("REJECTED");
            ("account_review", if rejected { Severity::Error } else { Severity::Info })
        }
        "phone_number_name_update" => {
            let good = value.text("decision").as_deref() == Some("APPROVED");
            ("name", if good { Severity::Info } else { Severity::Warning })
        }
        "business_username_update" => ("username", Severity::Info),
        "security" => ("security", Severity::Warning),
        "flows" => {
            // An alert names its state; a change of the flow's own names the new one.
            let state = value.text("new_status").or_else(|| value.text("alert_state"));
            let severity = match state.as_deref() {
                Some("BLOCKED") => Severity::Error,
                Some("THROTTLED" | "ACTIVATED") => Severity::Warning,
                _ if value.has("warning") => Severity::Warning,
                _ => Severity::Info,
            };
            ("flow_status", severity)
        }
        "payment_configuration_update" => ("payment_configuration", Severity::Info),
        "partner_solutions" => ("partner", Severity::Info),
        _ => return None,
    })
}

fn account(event: &str, value: &Object<'_>) -> Severity {
    let ban = value.object("ban_info").and_then(|b| b.words("waba_ban_state"));
    match event {
        "DISABLED_UPDATE" if ban.as_deref() == Some("REINSTATE") => Severity::Info,
        "DISABLED_UPDATE"
        | "ACCOUNT_RESTRICTION"
        | "ACCOUNT_DELETED"
        | "PARTNER_REMOVED"
        | "PARTNER_APP_UNINSTALLED"
        | "ACCOUNT_OFFBOARDED" => Severity::Error,
        "ACCOUNT_VIOLATION" => Severity::Warning,
        _ => Severity::Info,
    }
}

/// A sentence from the few fields that all of these have in common.
fn sentence(field: &str, value: &Object<'_>) -> String {
    let mut out = field.replace('_', " ");
    // An object, or a list of them.
    let about = value.0.iter().map(|(name, _)| &**name).filter(|name| name.ends_with("_info"));
    let inside: Vec<Object<'_>> = about.filter_map(|name| value.object(name).or_else(|| value.objects(name).into_iter().next())).collect();
    let within = |name: &str| inside.iter().find_map(|object| object.words(name));
    for name in [
        "event",
        "decision",
        "status",
        "message_template_name",
        "message_template_language",
        "reason",
        "new_quality_score",
        "new_category",
        "display_phone_number",
        "current_limit",
        "max_daily_conversation_per_phone",
        "max_daily_conversations_per_business",
        "alert_type",
        "alert_description",
        "username",
        "waba_ban_state",
        "violation_type",
        "restriction_type",
        "rejection_reason",
        "tier",
        "initiated_by",
        "title",
        "description",
        "recommendation",
        "message",
        "warning",
    ] {
        if let Some(word) = value.words(name).filter(|word| word != "NONE").or_else(|| within(name)).filter(|word| word != "NONE") {
            out.push_str(&format!("; {}: {word}", name.replace('_', " ")));
        }
    }
    out
}

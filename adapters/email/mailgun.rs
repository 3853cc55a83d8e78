//! Mailgun: webhooks (one event each) and routes (a form with the mail in pieces or whole).

use serde_json::{Map, Value, json};

use super::errors;
use super::inbound::{about, clicked, consent, other, receipt};
use super::letter::{Attached, Incoming, elsewhere, provider_id};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::{crypto, multipart::Piece, object::Object};

/// One event.
pub(super) fn event(event: &Object<'_>, parsed: &mut Parsed<'_>) {
    let text = |name: &str| event.words(name).map(|t| t.into_owned()).unwrap_or_default();
    let (word, who, raw) = (text("event"), text("recipient"), event.without(&["storage"]));
    if word.is_empty() {
        return parsed.leave("an event without its kind");
    }
    let at = event.float("timestamp").map(|seconds| Time((seconds * 1000.0).round() as i64));
    let headers = event.object("message").and_then(|m| m.object("headers")).unwrap_or_default();
    let id = headers.words("message-id").map(|id| provider_id(&id).to_owned()).unwrap_or_default();
    let ours = event.object("user-variables").and_then(|v| v.words("mid").map(|m| m.into_owned()));
    let says = |state| receipt(&id, ours.clone(), state, at, &who, &word);
    let body = match word.as_str() {
        "accepted" => Body::Receipt(says(State::Sent)),
        "delivered" => Body::Receipt(says(State::Delivered)),
        "opened" => Body::Receipt(says(State::Read)),
        "failed" if text("severity") == "temporary" => Body::Receipt(says(State::Sent)),
        "failed" | "rejected" => Body::Receipt(Receipt { error: Some(failure(event)), ..says(State::Failed) }),
        "clicked" => clicked(&who, raw),
        "unsubscribed" | "complained" => consent(&who, ConsentState::OptedOut, "all", raw),
        _ => other(&word, raw),
    };
    let key = if text("id").is_empty() { crypto::fingerprint(&[&id, &word, &who, &text("timestamp")]) } else { text("id") };
    parsed.events.push(about(key, &who, at, body));
}

fn failure(event: &Object<'_>) -> Reason {
    let reason = event.words("reason").unwrap_or_default();
    let status = event.object("delivery-status").unwrap_or_default();
    let code = status.words("enhanced-code").or_else(|| status.text("code")).unwrap_or_default();
    match &*reason {
        "suppress-unsubscribe" | "suppress-complaint" => errors::opted_out(&reason),
        "suppress-bounce" => errors::bounced("5.1.1", &reason),
        _ => {
            let words = ["message", "description"]
                .into_iter()
                .find_map(|name| status.words(name))
                .or_else(|| event.object("reject")?.words("reason"));
            errors::bounced(&code, &words.unwrap_or_default())
        }
    }
}

/// A mail as a route posts it.
pub(super) fn route(pieces: Vec<Piece>) -> Incoming {
    let text = |name: &str| pieces.iter().find(|p| p.name == name).map(Piece::text);
    let (from, to) = (text("sender"), text("recipient"));
    if let Some(whole) = pieces.iter().find(|p| p.name == "body-mime") {
        return Incoming::whole(whole.value.clone(), from, to);
    }
    let headers: Vec<(String, Value)> = serde_json::from_str(&text("message-headers").unwrap_or_default()).unwrap_or_default();
    let headers: Vec<(String, String)> = headers.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect();
    // Mailgun writes what it found in front of what the sender wrote.
    let found = |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, result)| result.to_lowercase().into());
    let (spf, dkim) = (found("X-Mailgun-Spf"), found("X-Mailgun-Dkim-Check-Result"));
    let authentication = (spf.is_some() || dkim.is_some()).then_some(Authentication { spf, dkim, dmarc: None });
    let named = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let missing = [("From", "from"), ("Subject", "subject"), ("Message-Id", "Message-Id"), ("To", "To"), ("Date", "Date"), ("Cc", "Cc")]
        .into_iter()
        .filter(|(name, _)| !named(name));
    let missing: Vec<(String, String)> = missing.filter_map(|(name, field)| Some((name.to_owned(), text(field)?))).collect();
    let numbered = |name: &str| name.strip_prefix("attachment-").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let files = pieces.iter().filter(|p| numbered(&p.name));
    let files: Vec<Attached> = files
        .map(|p| Attached {
            filename: p.filename.clone(),
            mime_type: p.mime_type.clone().unwrap_or_else(|| "application/octet-stream".into()),
            bytes: p.value.clone(),
        })
        .collect();
    // A route that stores names the files instead of bringing them.
    let stored: Vec<Value> = serde_json::from_str(&text("attachments").unwrap_or_default()).unwrap_or_default();
    let stored = stored.iter().map(|file| {
        let word = |name: &str| file[name].as_str().map(str::to_owned);
        elsewhere(
            word("name"),
            word("content-type"),
            file["size"].as_u64(),
            "the file lies at Mailgun: let the route forward instead of store",
        )
    });
    // What Mailgun takes for a signature may be what somebody wrote: a list of addresses, say.
    let stripped = text("stripped-text").filter(|words| !words.trim().is_empty());
    let stripped = stripped.map(|words| match text("stripped-signature").filter(|more| !more.trim().is_empty()) {
        Some(more) => format!("{}\n{more}", words.trim_end()),
        None => words,
    });
    Incoming {
        elsewhere: stored.collect(),
        mail: Incoming::header(headers.into_iter().chain(missing)),
        envelope_from: from,
        envelope_to: to,
        text: Some(text("body-plain").unwrap_or_default()),
        html: text("body-html"),
        stripped,
        files,
        authentication,
    }
}

/// An event as the webhooks before 2018 post it: a form. It becomes one of today's.
pub(super) fn legacy(pieces: &[Piece], parsed: &mut Parsed<'_>) {
    let text = |name: &str| pieces.iter().find(|p| p.name == name).map(Piece::text);
    let first = |names: &[&str]| names.iter().find_map(|name| text(name)).unwrap_or_default();
    let (word, code) = (first(&["event"]), first(&["code"]));
    let reason = match code.as_str() {
        "605" => "suppress-bounce".to_owned(),
        "606" => "suppress-unsubscribe".to_owned(),
        "607" => "suppress-complaint".to_owned(),
        _ => first(&["reason"]),
    };
    let event = if matches!(word.as_str(), "bounced" | "dropped") { "failed" } else { word.as_str() };
    let secrets = ["token", "signature"];
    let fields =
        pieces.iter().filter(|p| p.filename.is_none() && !secrets.contains(&p.name.as_str())).map(|p| (p.name.clone(), json!(p.text())));
    let mut now: Map<String, Value> = fields.collect();
    let names = [
        ("event", json!(event)),
        ("id", json!(crypto::fingerprint(&[&first(&["token"])]))),
        ("message", json!({ "headers": { "message-id": first(&["Message-Id", "message-id"]) } })),
        ("user-variables", json!({ "mid": first(&["mid"]) })),
    ];
    now.extend(names.map(|(name, value)| (name.to_owned(), value)));
    if event == "failed" {
        now.insert("reason".into(), json!(reason));
        now.insert("delivery-status".into(), json!({ "code": code, "message": first(&["error", "notification", "description"]) }));
    }
    if let Some(object) = Object::parse(&Value::Object(now).to_string()) {
        self::event(&object, parsed);
    }
}

//! SendGrid: the event webhook (a list of events) and inbound parse (a form with the mail in pieces or whole).

use super::errors;
use super::inbound::{about, clicked, consent, other, receipt};
use super::letter::{Attached, Incoming, decoded, provider_id};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::{crypto, multipart::Piece, object::Object};

/// One event of a batch.
pub(super) fn event(event: &Object<'_>, parsed: &mut Parsed<'_>) {
    let text = |name: &str| event.words(name).map(|t| t.into_owned()).unwrap_or_default();
    let (word, who, raw) = (text("event"), text("email"), event.without(&[]));
    if word.is_empty() {
        return parsed.leave("an event without its kind");
    }
    let at = event.int("timestamp").map(Time::from_secs);
    // The id of the answer to our call, then a suffix for the recipient.
    let (long, own) = (text("sg_message_id"), text("smtp-id"));
    // Events of mails that were dropped may have the suffix alone; then the message id has it. Ids of some hosts have dots themselves.
    let suffix = [".filter", ".recvd"].iter().find_map(|suffix| long.find(suffix)).or_else(|| long.find('.'));
    let id = suffix
        .map_or(Some(&*long), |at| long.get(..at))
        .filter(|id| !id.is_empty() && !id.starts_with("filter"))
        .unwrap_or_else(|| provider_id(&own));
    let key =
        event.words("sg_event_id").map(|k| k.into_owned()).unwrap_or_else(|| crypto::fingerprint(&[id, &word, &who, &text("timestamp")]));
    let says = |state| receipt(id, Some(text("mid")), state, at, &who, &word);
    let body = match word.as_str() {
        "processed" | "deferred" => Body::Receipt(says(State::Sent)),
        "delivered" => Body::Receipt(says(State::Delivered)),
        // A machine that fetches pictures is no reader.
        "open" if !event.flag("sg_machine_open") => Body::Receipt(says(State::Read)),
        "bounce" | "dropped" => {
            let error = failure(&word, &text("type"), &text("status"), &text("reason"));
            Body::Receipt(Receipt { error: Some(error), ..says(State::Failed) })
        }
        "click" => clicked(&who, raw),
        "spamreport" | "unsubscribe" => consent(&who, ConsentState::OptedOut, "all", raw),
        "account_status_change" => {
            let change = text("type");
            let bad = ["suspend", "ban", "deactivate", "warn"].iter().any(|word| change.contains(word));
            let severity = if bad { Severity::Error } else { Severity::Info };
            let words = format!("SendGrid changed the status of the account: {change}");
            Body::Notice(Notice { kind: "account_status_changed".into(), severity, text: words.into(), raw: Some(raw) })
        }
        "group_unsubscribe" => consent(&who, ConsentState::OptedOut, "marketing", raw),
        "group_resubscribe" => consent(&who, ConsentState::OptedIn, "marketing", raw),
        _ => other(&word, raw),
    };
    parsed.events.push(about(key, &who, at, body));
}

/// A mail as inbound parse posts it.
pub(super) fn letter(pieces: Vec<Piece>) -> Incoming {
    let charsets = pieces.iter().find(|p| p.name == "charsets").map(Piece::text).unwrap_or_default();
    let charsets = Object::parse(&charsets).unwrap_or_default();
    let text = |name: &str| pieces.iter().find(|p| p.name == name).map(|p| decoded(&p.value, charsets.words(name).as_deref()));
    let envelope = text("envelope").unwrap_or_default();
    let envelope = Object::parse(&envelope).unwrap_or_default();
    let from = envelope.words("from").map(|f| f.into_owned());
    let to = envelope.list("to").first().and_then(|raw| crate::kit::object::text(raw)).map(|t| t.into_owned());
    let dkim = text("dkim").map(|d| {
        if d.contains("pass") {
            "pass"
        } else if d.contains("fail") {
            "fail"
        } else {
            "none"
        }
        .into()
    });
    let spf = text("SPF").map(|spf| spf.to_lowercase().into());
    let authentication = (spf.is_some() || dkim.is_some()).then_some(Authentication { spf, dkim, dmarc: None });
    if let Some(whole) = pieces.iter().find(|p| p.name == "email") {
        return Incoming { authentication, ..Incoming::whole(whole.value.clone(), from, to) };
    }
    let headers = text("headers").unwrap_or_default();
    // What the header lacks stands in fields of its own.
    let named = |name: &str| {
        headers.lines().any(|line| line.get(..=name.len()).is_some_and(|start| start.trim_end_matches(':').eq_ignore_ascii_case(name)))
    };
    let missing = [("From", "from"), ("To", "to"), ("Cc", "cc"), ("Subject", "subject")].into_iter().filter(|(name, _)| !named(name));
    let missing = missing.filter_map(|(name, field)| Some((name.to_owned(), text(field)?)));
    let mut mail = headers.trim_end().as_bytes().to_vec();
    if !mail.is_empty() {
        mail.extend(b"\r\n");
    }
    mail.extend(Incoming::header(missing));
    // What a file is called and what it is stands in a field of its own too.
    let about = text("attachment-info").unwrap_or_default();
    let about = Object::parse(&about).unwrap_or_default();
    let numbered = |name: &str| name.strip_prefix("attachment").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let files = pieces.iter().filter(|p| numbered(&p.name)).map(|p| {
        let told = about.object(&p.name).unwrap_or_default();
        let told = |names: &[&str]| names.iter().find_map(|name| told.words(name)).map(|t| t.into_owned());
        Attached {
            filename: told(&["filename", "name"]).or_else(|| p.filename.clone()),
            mime_type: p.mime_type.clone().or_else(|| told(&["type"])).unwrap_or_else(|| "application/octet-stream".into()),
            bytes: p.value.clone(),
        }
    });
    Incoming {
        mail,
        envelope_from: from,
        envelope_to: to,
        text: Some(text("text").unwrap_or_default()),
        html: text("html"),
        files: files.collect(),
        authentication,
        ..Incoming::default()
    }
}

/// Why a mail came back, or was never sent.
fn failure(word: &str, kind: &str, status: &str, reason: &str) -> Reason {
    match (word, reason) {
        ("dropped", "Unsubscribed Address" | "Spam Reporting Address") => errors::opted_out(reason),
        ("dropped", "Bounced Address" | "Invalid") => errors::bounced("5.1.1", reason),
        _ if kind == "blocked" => errors::blocked(status, reason),
        _ => errors::bounced(status, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_class() {
        let rows = [
            ("dropped", "", "", "Unsubscribed Address", ErrorClass::OptedOut),
            ("dropped", "", "", "Spam Reporting Address", ErrorClass::OptedOut),
            ("dropped", "", "", "Bounced Address", ErrorClass::Recipient),
            ("dropped", "", "", "Invalid", ErrorClass::Recipient),
            ("bounce", "bounce", "5.1.1", "550 5.1.1 no such user", ErrorClass::Recipient),
            ("bounce", "bounce", "5.2.2", "552 5.2.2 full", ErrorClass::Transient),
            ("bounce", "blocked", "5.7.1", "550 5.7.1 spam", ErrorClass::Content),
            ("bounce", "blocked", "5.7.26", "550 5.7.26 no SPF", ErrorClass::Config),
        ];
        for (word, kind, status, reason, class) in rows {
            assert_eq!(failure(word, kind, status, reason).class, class, "{word} {kind} {status} {reason}");
        }
    }
}

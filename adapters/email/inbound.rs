//! Which feed a delivery is of, and what all feeds share.

use http::StatusCode;
use serde_json::json;

use super::letter::{self, Incoming, mailto};
use super::{Channel, mailgun, postmark, proof, sendgrid, ses};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::{crypto, form, handed, multipart, object::Object};

/// What a delivery means.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>) -> Parsed<'a> {
    let delivery = hook.hook();
    if let Some(address) = form::query(delivery.query, "unsubscribe") {
        return unsubscribe(&address, delivery);
    }
    if delivery.is("message/rfc822") {
        let (from, to) = handed::envelope(delivery);
        return mail(channel, Incoming::whole(delivery.body, from, to.into_iter().next()));
    }
    if delivery.is("multipart/form-data") {
        let Some(pieces) = delivery.header("content-type").and_then(|kind| multipart::read(kind, delivery.body)) else {
            return Parsed::not_understood("a multipart body that is none");
        };
        return posted(channel, pieces);
    }
    if delivery.is("application/x-www-form-urlencoded") {
        let piece = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| multipart::Piece {
            name: name.into_owned(),
            filename: None,
            mime_type: None,
            value: value.into_owned().into_bytes(),
        };
        return posted(channel, form::fields(delivery.body).into_iter().map(piece).collect());
    }
    json_feed(channel, hook)
}

/// A form: a mail, or an event of Mailgun's old webhooks.
fn posted<'a>(channel: &Channel, pieces: Vec<multipart::Piece>) -> Parsed<'a> {
    let has = |names: &[&str]| pieces.iter().any(|p| names.contains(&p.name.as_str()));
    if has(&["event"]) && !has(&["body-plain", "body-html", "body-mime"]) {
        let mut parsed = Parsed::default();
        mailgun::legacy(&pieces, &mut parsed);
        return parsed;
    }
    let by_mailgun = has(&["message-headers", "body-mime", "body-plain", "recipient"]);
    mail(channel, if by_mailgun { mailgun::route(pieces) } else { sendgrid::letter(pieces) })
}

fn json_feed<'a>(channel: &Channel, hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let mut parsed = Parsed::default();
    if text.trim_start().starts_with('[') {
        let Ok(items) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text) else {
            return Parsed::not_understood("the body is not JSON");
        };
        for item in items {
            match Object::parse(item.get()) {
                Some(event) => sendgrid::event(&event, &mut parsed),
                None => parsed.leave("an event that is no object"),
            }
        }
        return parsed;
    }
    let Some(body) = proof::first_object(text) else { return Parsed::not_understood("the body is not JSON") };
    if body.has("TopicArn") {
        ses::parse(channel, &body, &mut parsed);
    } else if let Some(event) = body.object("event-data") {
        mailgun::event(&event, &mut parsed);
    } else if body.has("FromFull") || body.has("RawEmail") || body.has("OriginalRecipient") {
        take(channel, postmark::letter(&body), &mut parsed);
    } else if body.has("RecordType") {
        postmark::event(&body, &mut parsed);
    } else if body.has("mail") && (body.has("eventType") || body.has("notificationType")) || ses::from_the_bus(&body) {
        ses::notification(channel, &body, "", None, &mut parsed);
    } else if body.has("event") && (body.has("sg_event_id") || body.has("email")) {
        sendgrid::event(&body, &mut parsed);
    } else if body.has("event") && ["log-level", "message", "recipient", "storage"].into_iter().any(|name| body.has(name)) {
        // Mailgun's page of payloads, and whatever passes events on, leave out what the signature came in.
        mailgun::event(&body, &mut parsed);
    } else {
        parsed.leave("a body of none of the known feeds");
    }
    parsed
}

fn mail<'a>(channel: &Channel, incoming: Incoming) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    take(channel, incoming, &mut parsed);
    parsed
}

/// What a mail means; one without a sender is left.
pub(super) fn take(channel: &Channel, incoming: Incoming, parsed: &mut Parsed<'_>) {
    let events = letter::events(channel, incoming);
    if events.is_empty() {
        parsed.leave("a mail without a sender");
    }
    parsed.events.extend(events);
}

/// One click unsubscribes (RFC 8058); a GET, as scanners of links make, only shows the button.
fn unsubscribe<'a>(address: &str, hook: &Webhook<'a>) -> Parsed<'a> {
    let page = |words: &str| Ack {
        status: StatusCode::OK,
        content_type: Some("text/html"),
        body: format!("<!doctype html><meta charset=utf-8><title>Unsubscribe</title>{words}").into_bytes().into(),
    };
    if hook.method != http::Method::POST {
        let button = "<form method=post><input type=hidden name=List-Unsubscribe value=One-Click><button>Unsubscribe</button></form>";
        return Parsed { ack: page(button), ..Parsed::default() };
    }
    let id = form::query(hook.query, "mid").unwrap_or_default().into_owned();
    let key = crypto::fingerprint(&["one-click", address, &id]);
    let who = Consent {
        from: Some(Person::at(mailto(address))),
        state: ConsentState::OptedOut,
        scope: "marketing".into(),
        evidence: Some(Raw::of(&json!({ "via": "one-click", "message_id": id }))),
    };
    Parsed { events: vec![about(key, address, None, Body::Consent(who))], ack: page("<p>You are unsubscribed."), ..Parsed::default() }
}

/// One event about one address.
pub(super) fn about(key: impl Into<Text<'static>>, who: &str, time: Option<Time>, body: Body<'static>) -> Event<'static> {
    let peer = if who.is_empty() { Text::Borrowed("") } else { mailto(who).into() };
    Event { account: None, key: Some(key.into()), medium: "email".into(), peer, time, body }
}

/// Allowed or forbidden, with what the service says of it.
pub(super) fn consent(who: &str, state: ConsentState, scope: &'static str, raw: Raw<'static>) -> Body<'static> {
    Body::Consent(Consent { from: Some(Person::at(mailto(who))), state, scope: scope.into(), evidence: Some(raw) })
}

/// A click in a mail.
pub(super) fn clicked(who: &str, raw: Raw<'static>) -> Body<'static> {
    Body::Tracked(Tracked { from: Some(Person::at(mailto(who))), name: "link_clicked".into(), properties: Some(raw) })
}

/// Known, without a counterpart.
pub(super) fn other(word: &str, raw: Raw<'static>) -> Body<'static> {
    Body::Provider(ProviderEvent { provider_type: word.to_owned().into(), raw })
}

/// A receipt for one recipient.
pub(super) fn receipt(id: &str, ours: Option<String>, state: State, at: Option<Time>, who: &str, word: &str) -> Receipt<'static> {
    Receipt {
        message_id: ours.filter(|id| !id.is_empty()).map(Into::into),
        at,
        recipient: (!who.is_empty()).then(|| mailto(who).into()),
        detail: Some(word.to_owned().into()),
        ..Receipt::new(id.to_owned(), state)
    }
}

//! Amazon SES through SNS: what became of a mail, mail that came in, and the handshake of a topic.

use serde_json::value::RawValue;

use super::inbound::{self, about, clicked, consent, other, receipt};
use super::letter::{Incoming, elsewhere};
use super::{Channel, errors};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::{address, crypto, object::Object};

/// Whether a URL leads to Amazon SNS and nowhere else.
pub(super) fn is_amazons(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let region = host.strip_prefix("sns.").and_then(|h| h.strip_suffix(".amazonaws.com").or_else(|| h.strip_suffix(".amazonaws.com.cn")));
    let plain = |r: &str| r.len() >= 3 && r.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && region.is_some_and(plain)
}

/// The call that fetches a certificate.
pub(super) fn certificate(channel: &Channel, url: &str) -> Call {
    Call::get(address::stand_in(url, channel.settings.api_base.as_deref(), &["amazonaws.com", "amazonaws.com.cn"]))
}

/// What a verified message of a topic means.
pub(super) fn parse(channel: &Channel, envelope: &Object<'_>, parsed: &mut Parsed<'_>) {
    let text = |name: &str| envelope.words(name).map(|t| t.into_owned()).unwrap_or_default();
    let (id, at) = (text("MessageId"), Time::parse(&text("Timestamp")));
    match text("Type").as_str() {
        "SubscriptionConfirmation" if is_amazons(&text("SubscribeURL")) => {
            parsed.owed.push(certificate(channel, &text("SubscribeURL")));
            let notice = Notice {
                kind: "subscription_confirmed".into(),
                severity: Severity::Info,
                text: "an SNS topic was subscribed".into(),
                raw: None,
            };
            parsed.events.push(about(id, "", at, Body::Notice(notice)));
        }
        "UnsubscribeConfirmation" => {
            let words = "an SNS topic was unsubscribed: nothing more will come through it";
            let notice = Notice { kind: "subscription_ended".into(), severity: Severity::Error, text: words.into(), raw: None };
            parsed.events.push(about(id, "", at, Body::Notice(notice)));
        }
        "Notification" => {
            let message = text("Message");
            match Object::parse(&message) {
                Some(message) => notification(channel, &message, &id, at, parsed),
                // SES tells in words that it may publish to the topic.
                None if !message.trim().is_empty() => {
                    let notice = Notice {
                        kind: "topic_message".into(),
                        severity: Severity::Info,
                        text: message.trim().to_owned().into(),
                        raw: None,
                    };
                    parsed.events.push(about(id, "", at, Body::Notice(notice)));
                }
                None => parsed.leave("a notification without anything in it"),
            }
        }
        _ => parsed.leave("an SNS message of an unknown type"),
    }
}

/// Whether it is an event of SES as EventBridge tells of it.
pub(super) fn from_the_bus(event: &Object<'_>) -> bool {
    event.has("detail-type") && event.text("source").as_deref() == Some("aws.ses")
}

/// What SES says inside an event of EventBridge, or what has become of the account (docs.aws.amazon.com/eventbridge, events-ref-ses, read
/// 2026-11-30).
fn bus(channel: &Channel, event: &Object<'_>, published: Option<Time>, parsed: &mut Parsed<'_>) {
    let text = |name: &str| event.words(name).map(|text| text.into_owned()).unwrap_or_default();
    let (id, at) = (text("id"), Time::parse(&text("time")).or(published));
    let said = event.object("detail").unwrap_or_default();
    if said.has("eventType") {
        return notification(channel, &said, &id, at, parsed);
    }
    let kind = text("detail-type");
    let severity = match () {
        () if kind.ends_with("Disabled") => Severity::Error,
        () if kind.ends_with("Open") => Severity::Warning,
        () => Severity::Info,
    };
    let notice = Notice { kind: "account".into(), severity, text: format!("Amazon SES: {kind}").into(), raw: Some(event.without(&[])) };
    parsed.events.push(about(id, "", at, Body::Notice(notice)));
}

/// What SES says, whoever handed it over under this id and at this time.
pub(super) fn notification(channel: &Channel, message: &Object<'_>, sns_id: &str, published: Option<Time>, parsed: &mut Parsed<'_>) {
    if from_the_bus(message) {
        return bus(channel, message, published, parsed);
    }
    let word = message.words("eventType").or_else(|| message.words("notificationType")).map(|w| w.into_owned()).unwrap_or_default();
    let mail = message.object("mail").unwrap_or_default();
    if word == "Received" {
        return received(channel, message, &mail, parsed);
    }
    if word.is_empty() {
        return parsed.leave("a notification without its kind");
    }
    if word == "AmazonSnsSubscriptionSucceeded" {
        let words = message.words("message").map_or_else(|| word.clone(), |w| w.into_owned());
        let notice = Notice { kind: "topic_message".into(), severity: Severity::Info, text: words.into(), raw: None };
        return parsed.events.push(about(sns_id.to_owned(), "", published, Body::Notice(notice)));
    }
    let id = mail.words("messageId").map(|id| id.into_owned()).unwrap_or_default();
    let ours = mail.object("tags").and_then(|tags| crate::kit::object::text(tags.list("mid").first()?).map(|t| t.into_owned()));
    // `Delivery` speaks of itself in `delivery`, `DeliveryDelay` in `deliveryDelay`, `Rendering Failure` in `failure`.
    let field = match word.as_str() {
        "Rendering Failure" => "failure".to_owned(),
        word => word.chars().take(1).flat_map(char::to_lowercase).chain(word.chars().skip(1)).collect(),
    };
    let detail = message.object(&field).unwrap_or_default();
    let at = detail.words("timestamp").or_else(|| mail.words("timestamp")).and_then(|t| Time::parse(&t)).or(published);
    let everybody = strings(&mail.list("destination"));
    let people: Vec<(String, Object<'_>)> = match word.as_str() {
        "Bounce" => objects(&detail, "bouncedRecipients"),
        "Complaint" => objects(&detail, "complainedRecipients"),
        "DeliveryDelay" => objects(&detail, "delayedRecipients"),
        "Delivery" => strings(&detail.list("recipients")).into_iter().map(|who| (who, Object::default())).collect(),
        _ => Vec::new(),
    };
    let people = if people.is_empty() { everybody.into_iter().map(|who| (who, Object::default())).collect() } else { people };
    let people = if people.is_empty() { vec![(String::new(), Object::default())] } else { people };
    // Without an envelope of SNS, what tells two deliveries apart is what happened when to which mail.
    let bare = || format!("{id}/{}", at.map_or(0, |at| at.0));
    let feedback = detail
        .words("feedbackId")
        .map(|f| f.into_owned())
        .or_else(|| Some(sns_id.to_owned()).filter(|id| !id.is_empty()))
        .unwrap_or_else(bare);
    for (who, person) in people {
        let says = |state| receipt(&id, ours.clone(), state, at, &who, &word);
        let raw = || detail.without(&[]);
        let body = match word.as_str() {
            "Send" | "DeliveryDelay" => Body::Receipt(says(State::Sent)),
            "Delivery" => Body::Receipt(says(State::Delivered)),
            "Open" => Body::Receipt(says(State::Read)),
            "Bounce" => Body::Receipt(Receipt { error: Some(bounce(&detail, &person)), ..says(State::Failed) }),
            "Reject" | "Rendering Failure" => Body::Receipt(Receipt { error: Some(errors::rejected(&word)), ..says(State::Failed) }),
            "Click" => clicked(&who, raw()),
            "Complaint" if detail.words("complaintFeedbackType").as_deref() == Some("not-spam") => other("Complaint/not-spam", raw()),
            "Complaint" => consent(&who, ConsentState::OptedOut, "all", raw()),
            "Subscription" => consent(&who, subscription(&detail), "marketing", raw()),
            _ => other(&word, message.without(&[])),
        };
        parsed.events.push(about(crypto::fingerprint(&[&feedback, &word, &who]), &who, at, body));
    }
}

/// Opted out of anything, or of nothing.
fn subscription(detail: &Object<'_>) -> ConsentState {
    let Some(now) = detail.object("newTopicPreferences") else { return ConsentState::OptedOut };
    let topics = now.objects("topicSubscriptionStatus");
    let out = now.flag("unsubscribeAll")
        || topics.iter().any(|topic| topic.words("subscriptionStatus").is_some_and(|s| s.eq_ignore_ascii_case("OptOut")));
    if out || topics.is_empty() && !now.has("unsubscribeAll") { ConsentState::OptedOut } else { ConsentState::OptedIn }
}

fn strings(list: &[&RawValue]) -> Vec<String> {
    list.iter().filter_map(|raw| crate::kit::object::text(raw)).map(|t| t.into_owned()).collect()
}

fn objects<'o>(detail: &Object<'o>, name: &str) -> Vec<(String, Object<'o>)> {
    detail.objects(name).into_iter().filter_map(|o| Some((o.words("emailAddress")?.into_owned(), o))).collect()
}

fn bounce(detail: &Object<'_>, person: &Object<'_>) -> Reason {
    let text = |object: &Object<'_>, name: &str| object.words(name).map(|t| t.into_owned()).unwrap_or_default();
    let (kind, sub) = (text(detail, "bounceType"), text(detail, "bounceSubType"));
    let (status, words) = (text(person, "status"), text(person, "diagnosticCode"));
    match (kind.as_str(), sub.as_str()) {
        ("Permanent", "OnAccountSuppressionList" | "Suppressed") => errors::opted_out(&sub),
        ("Permanent", "General" | "NoEmail") if status.is_empty() => errors::bounced("5.1.1", &words),
        ("Transient", "ContentRejected" | "AttachmentRejected" | "MessageTooLarge") => errors::rejected(&sub),
        ("Transient", _) if status.is_empty() => errors::temporary(&words),
        _ => errors::bounced(&status, &words),
    }
}

/// A mail that came in, whole, in the notification. One that lies in S3 is not fetched: its header is here.
fn received(channel: &Channel, message: &Object<'_>, mail: &Object<'_>, parsed: &mut Parsed<'_>) {
    let receipt = message.object("receipt").unwrap_or_default();
    let action = receipt.object("action").unwrap_or_default();
    let (from, to) = (mail.words("source").map(|s| s.into_owned()), strings(&receipt.list("recipients")).into_iter().next());
    let verdict = |name: &str| receipt.object(name).and_then(|v| v.words("status").map(|s| s.to_lowercase().into()));
    let authentication = Some(Authentication { spf: verdict("spfVerdict"), dkim: verdict("dkimVerdict"), dmarc: verdict("dmarcVerdict") });
    let incoming = match message.words("content") {
        Some(content) => {
            let base64 = action.words("encoding").is_some_and(|e| e.eq_ignore_ascii_case("base64"));
            Incoming::whole(
                if base64 { crypto::unbase64(&content).unwrap_or_default() } else { content.into_owned().into_bytes() },
                from,
                to,
            )
        }
        None => {
            let field = |h: &Object<'_>| Some((h.words("name")?.into_owned(), h.words("value")?.into_owned()));
            let reason = "the content of the mail lies in S3: use the SNS action of the receipt rule";
            let part = elsewhere(Some("message.eml".into()), Some("message/rfc822".into()), None, reason);
            Incoming {
                mail: Incoming::header(mail.objects("headers").iter().filter_map(field)),
                envelope_from: from,
                envelope_to: to,
                elsewhere: vec![part],
                ..Incoming::default()
            }
        }
    };
    inbound::take(channel, Incoming { authentication, ..incoming }, parsed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_bounce_has_its_class() {
        let rows: &[(ErrorClass, &str, &[&str])] = &[
            (ErrorClass::Recipient, "Permanent", &["General", "NoEmail"]),
            (ErrorClass::OptedOut, "Permanent", &["OnAccountSuppressionList", "Suppressed"]),
            (ErrorClass::Transient, "Transient", &["General", "MailboxFull"]),
            (ErrorClass::Content, "Transient", &["ContentRejected", "AttachmentRejected", "MessageTooLarge"]),
        ];
        for (class, kind, subs) in rows {
            for sub in *subs {
                let told = format!(r#"{{"bounceType":"{kind}","bounceSubType":"{sub}"}}"#);
                let told = Object::parse(&told).expect("an object");
                assert_eq!(bounce(&told, &Object::default()).class, *class, "{kind} {sub}");
            }
        }
    }

    #[test]
    fn only_amazon_is_asked_for_certificates() {
        for good in ["https://sns.eu-west-1.amazonaws.com/x.pem", "https://sns.cn-north-1.amazonaws.com.cn/x.pem"] {
            assert!(is_amazons(good), "{good}");
        }
        for bad in [
            "http://sns.eu-west-1.amazonaws.com/x.pem",
            "https://sns.a.evil.amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
            "https://u@sns.eu-west-1.amazonaws.com/x.pem",
            "https://s3.amazonaws.com/x.pem",
        ] {
            assert!(!is_amazons(bad), "{bad}");
        }
        assert_eq!(super::super::letter::provider_id("<0102-fake@eu-west-1.amazonses.com>"), "0102-fake");
    }
}

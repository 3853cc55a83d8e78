//! Postmark: webhooks (one record each) and inbound mail as JSON.

use super::errors;
use super::inbound::{about, clicked, consent, other, receipt};
use super::letter::{Attached, Incoming};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::{crypto, object::Object};

/// One record.
pub(super) fn event(record: &Object<'_>, parsed: &mut Parsed<'_>) {
    let text = |name: &str| record.words(name).map(|t| t.into_owned()).unwrap_or_default();
    let (word, id, raw) = (text("RecordType"), text("MessageID"), record.without(&["Content"]));
    let who = if text("Recipient").is_empty() { text("Email") } else { text("Recipient") };
    let stamp = ["DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt"].into_iter().map(text).find(|t| !t.is_empty()).unwrap_or_default();
    let at = Time::parse(&stamp);
    let ours = record.object("Metadata").and_then(|m| m.words("mid").map(|m| m.into_owned()));
    let says = |state| receipt(&id, ours.clone(), state, at, &who, &word);
    let body = match word.as_str() {
        "Delivery" => Body::Receipt(says(State::Delivered)),
        "Open" => Body::Receipt(says(State::Read)),
        "Bounce" => match bounce(&text("Type"), &text("Details"), record.int("TypeCode")) {
            Ok(error) => Body::Receipt(Receipt { error: Some(error), detail: Some(text("Type").into()), ..says(State::Failed) }),
            Err(()) => Body::Receipt(Receipt { detail: Some(text("Type").into()), ..says(State::Sent) }),
        },
        "SpamComplaint" => consent(&who, ConsentState::OptedOut, "all", raw),
        "SubscriptionChange" if !record.flag("SuppressSending") => consent(&who, ConsentState::OptedIn, "all", raw),
        "SubscriptionChange" if text("SuppressionReason") == "HardBounce" => Body::ContactUpdated(ContactUpdated {
            change: Change::AddressGone,
            previous: Some(super::letter::mailto(&who).into()),
            current: None,
            reason: Some("hard_bounce".into()),
            extra: Extra::default(),
        }),
        "SubscriptionChange" => consent(&who, ConsentState::OptedOut, "all", raw),
        "Click" => clicked(&who, raw),
        _ => other(&word, raw),
    };
    let key = crypto::fingerprint(&[&id, &word, &stamp, &text("ID"), &who]);
    parsed.events.push(about(key, &who, at, body));
}

/// Why it came back; an error for what Postmark itself will try again, or a machine's answer.
fn bounce(kind: &str, details: &str, code: Option<i64>) -> Result<Reason, ()> {
    let reason = match kind {
        "Transient" | "SoftBounce" | "DnsError" => errors::temporary(details),
        "AutoResponder" | "AddressChange" | "ChallengeVerification" | "Subscribe" | "Unsubscribe" | "OpenRelayTest" => return Err(()),
        "SpamComplaint" | "ManuallyDeactivated" | "Unconfirmed" => errors::opted_out(kind),
        "SpamNotification" | "VirusNotification" | "Blocked" | "DMARCPolicy" => errors::blocked("", details),
        "Unknown" => errors::bounced("", details),
        _ => errors::bounced("5.1.1", details),
    };
    Ok(match code {
        Some(code) => reason.provider_code(code),
        None => reason,
    })
}

/// A mail as the inbound stream posts it.
pub(super) fn letter(body: &Object<'_>) -> Incoming {
    let text = |name: &str| body.words(name).map(|t| t.into_owned());
    let to = text("OriginalRecipient").or_else(|| body.objects("ToFull").first()?.words("Email").map(|to| to.into_owned()));
    if let Some(whole) = text("RawEmail") {
        return Incoming::whole(whole, None, to);
    }
    let headers: Vec<(String, String)> =
        body.objects("Headers").iter().filter_map(|h| Some((h.words("Name")?.into_owned(), h.words("Value")?.into_owned()))).collect();
    let named = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let full = body.object("FromFull").unwrap_or_default();
    let from = full.words("Email").map(|email| match full.words("Name") {
        Some(name) => format!("\"{}\" <{email}>", name.replace(['"', '\\'], "")),
        None => email.into_owned(),
    });
    let copies = body.objects("CcFull").iter().filter_map(|cc| Some(cc.words("Email")?.into_owned())).collect::<Vec<_>>().join(", ");
    let copies = text("Cc").or(Some(copies).filter(|cc| !cc.is_empty()));
    let own = [
        ("From", from.or_else(|| text("From"))),
        ("To", text("To")),
        ("Subject", text("Subject")),
        ("Date", text("Date")),
        ("Cc", copies),
        ("Reply-To", text("ReplyTo")),
    ];
    let own: Vec<(String, String)> =
        own.into_iter().filter(|(name, _)| !named(name)).filter_map(|(n, v)| Some((n.to_owned(), v?))).collect();
    let id = (!named("Message-ID")).then(|| text("MessageID")).flatten().map(|id| ("Message-ID".to_owned(), format!("<{id}@mtasv.net>")));
    let files = body.objects("Attachments").into_iter().filter_map(|file| {
        Some(Attached {
            filename: file.words("Name").map(|n| n.into_owned()),
            mime_type: file
                .words("ContentType")
                .map_or_else(|| "application/octet-stream".into(), |m| m.split(';').next().unwrap_or(&m).trim().to_owned()),
            bytes: crypto::unbase64(&file.words("Content").or_else(|| file.words("Data"))?)?,
        })
    });
    // Postmark's filter writes what it found in front of what the sender wrote.
    let tests = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("X-Spam-Tests")).map(|(_, tests)| tests.to_uppercase());
    let result = |rows: &[(&str, &'static str)]| {
        let tests: Vec<&str> = tests.as_deref()?.split(',').map(str::trim).collect();
        rows.iter().find(|(test, _)| tests.contains(test)).map(|(_, result)| (*result).into())
    };
    let spf = result(&[
        ("SPF_PASS", "pass"),
        ("SPF_FAIL", "fail"),
        ("SPF_SOFTFAIL", "softfail"),
        ("SPF_NEUTRAL", "neutral"),
        ("SPF_NONE", "none"),
    ]);
    let dkim = result(&[("DKIM_VALID", "pass"), ("DKIM_INVALID", "fail")]);
    Incoming {
        authentication: (spf.is_some() || dkim.is_some()).then_some(Authentication { spf, dkim, dmarc: None }),
        files: files.collect(),
        mail: Incoming::header(headers.into_iter().chain(own).chain(id)),
        envelope_to: to,
        text: Some(text("TextBody").unwrap_or_default()),
        html: text("HtmlBody"),
        stripped: text("StrippedTextReply"),
        ..Incoming::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_bounce_has_its_class() {
        let rows: &[(Option<ErrorClass>, &[&str])] = &[
            (Some(ErrorClass::Recipient), &["HardBounce", "BadEmailAddress"]),
            (Some(ErrorClass::Transient), &["SoftBounce", "Transient", "DnsError"]),
            (Some(ErrorClass::OptedOut), &["SpamComplaint", "ManuallyDeactivated", "Unconfirmed"]),
            (Some(ErrorClass::Content), &["SpamNotification", "VirusNotification", "Blocked"]),
            (None, &["AutoResponder", "AddressChange", "ChallengeVerification", "Subscribe", "Unsubscribe", "OpenRelayTest"]),
        ];
        for (class, kinds) in rows {
            for kind in *kinds {
                assert_eq!(bounce(kind, "", None).ok().map(|r| r.class), *class, "{kind}");
            }
        }
    }
}

//! What Sinch answers, and why a message failed later: words in the Conversation API, numbers in the SMS API.

use super::Channel;
use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// Why a message of the Conversation API failed.
const REASONS: &[(&[&str], ErrorClass, &str, &str)] = &[
    (&["INTERNAL_ERROR", "CHANNEL_FAILURE", "UNKNOWN"], C::Transient, "provider_error", "Sinch or the channel behind it had a fault."),
    (&["RATE_LIMITED"], C::Throttled, "too_many_requests", "The sender is too fast for the channel."),
    (&["RECIPIENT_NOT_REACHABLE"], C::Recipient, "unreachable", "The person cannot be reached."),
    (&["RECIPIENT_INVALID_CHANNEL_IDENTITY"], C::Recipient, "number_invalid", "The channel does not know this recipient."),
    (
        &["NO_CHANNEL_IDENTITY_FOR_CONTACT", "CONTACT_NOT_FOUND", "NO_PROFILE_AVAILABLE", "NO_CHANNELS_LEFT"],
        C::Recipient,
        "not_on_channel",
        "The person is on none of the channels.",
    ),
    (&["RECIPIENT_NOT_OPTED_IN"], C::OptedOut, "not_opted_in", "The person has not allowed messages, or has stopped them."),
    (&["OUTSIDE_ALLOWED_SENDING_WINDOW"], C::Window, "window_closed", "The person has not written lately; only a template goes."),
    (
        &["CHANNEL_BAD_CONFIGURATION", "CHANNEL_CONFIGURATION_MISSING", "UNKNOWN_APP"],
        C::Config,
        "channel_not_set_up",
        "The channel is not set up in the app.",
    ),
    (&["NO_PERMISSION", "INACTIVE_SENDER"], C::Config, "no_permission", "The sender may not do this."),
    (&["INACTIVE_CREDENTIAL"], C::Auth, "credentials_invalid", "The channel's credentials at Sinch are no longer good."),
    (
        &["MEDIA_TYPE_UNSUPPORTED", "MEDIA_TOO_LARGE", "MEDIA_NOT_REACHABLE", "MEDIA_TYPE_UNDETERMINED", "ATTACHMENT_REJECTED"],
        C::Content,
        "media_invalid",
        "A file could not be fetched, or its type or size is wrong.",
    ),
    (
        &["BAD_REQUEST", "CHANNEL_REJECT", "UNSUPPORTED_OPERATION", "MESSAGE_SPLIT_REQUIRED"],
        C::Content,
        "content_refused",
        "The channel refuses the message.",
    ),
    (&["DELIVERY_REJECTED_DUE_TO_POLICY"], C::Content, "policy", "The channel's policy forbids the message."),
    (
        &["TEMPLATE_NOT_FOUND", "TEMPLATE_INSUFFICIENT_PARAMETERS", "TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION"],
        C::Content,
        "template_invalid",
        "The template is missing, or its parameters do not fit.",
    ),
    (
        &["DELIVERY_TIMED_OUT", "DELIVERY_REPORT_TIME_OUT", "MESSAGE_EXPIRED"],
        C::Transient,
        "validity_over",
        "The validity ran out before it could be delivered.",
    ),
];

/// The reason a receipt of the Conversation API gives. The finer code decides where it is known.
pub(super) fn told(reason: &Object<'_>) -> Reason {
    let (code, sub) = (reason.words("code").unwrap_or_default(), reason.words("sub_code").unwrap_or_default());
    let find = |word: &str| REASONS.iter().find(|(words, ..)| words.contains(&word));
    let found = find(&sub).or_else(|| find(&code));
    let made = found.map_or_else(unknown, |(_, class, ours, title)| Reason::new(*class, *ours, *title));
    if code.is_empty() {
        made
    } else {
        made.provider_code(if sub.is_empty() || sub == "UNSPECIFIED_SUB_CODE" { code } else { format!("{code}/{sub}").into() })
    }
}

fn unknown() -> Reason {
    Reason::new(C::Unknown, "unknown_error", "It failed, and the provider does not say why.")
}

/// The reason a receipt of the SMS API gives.
pub(super) fn receipt(code: Option<i64>) -> Reason {
    let Some(code) = code else { return unknown() };
    let (class, ours, title) = match code {
        402 | 408 => (C::Recipient, "no_route", "There is no route to the number."),
        403 | 404 => (C::Transient, "provider_error", "Sinch had a fault."),
        405 => (C::Content, "parameter_missing", "A parameter has no value for this recipient."),
        406 => (C::Transient, "validity_over", "The validity ran out before it was handed over."),
        407 => (C::Unknown, "cancelled", "The message was cancelled at Sinch."),
        410 | 412 => (C::Config, "sender_missing", "The plan has no sender, or is not set up for the region."),
        411 => (C::Content, "text_too_long", "The message has too many parts."),
        413 => (C::Auth, "account_blocked", "The account is blocked or out of credit."),
        414 | 416 | 418 => (C::Content, "media_invalid", "The file's address is wrong, or the phone does not take it."),
        415 | 417 => (C::Recipient, "unreachable", "The network or the phone refuses MMS."),
        107 => (C::Throttled, "too_many_requests", "The carrier's centre is congested."),
        4 | 14 | 18 | 40 | 50..=52 | 56 | 70 | 71 | 73..=76 | 101 | 102 | 106 | 109 | 111 | 112 | 114 => {
            (C::Transient, "carrier_fault", "The carrier had a passing fault.")
        }
        153 | 155 | 158 | 159 | 161 | 162 | 164 | 200..=203 | 207 | 210..=212 | 214 | 215 | 217 => {
            (C::Transient, "absent", "The phone cannot be reached for the moment.")
        }
        60 | 64 | 310..=312 => (C::Config, "sender_refused", "The carrier does not accept the sender."),
        15 | 16 | 61..=63 | 65..=67 => (C::Content, "filtered", "The carrier's filter refuses the message."),
        330..=334 => (C::Content, "message_invalid", "The message is malformed."),
        150..=152 | 154 | 205 | 206 | 250..=257 => (C::Recipient, "number_barred", "The number is unknown, barred, or takes no SMS."),
        300..=304 => (C::Recipient, "number_invalid", "The number is not one that takes messages."),
        1..400 => (C::Recipient, "not_deliverable", "The carrier could not deliver it."),
        _ => (C::Unknown, "unknown_error", "It failed, and the provider does not say why."),
    };
    Reason::new(class, ours, title).provider_code(code)
}

/// What an answer means.
pub(super) fn classify(channel: &Channel, call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    let plan = call.url.contains("/xms/v1/");
    if reply.status.is_success() {
        let id = if plan { body.words("id") } else { body.words("message_id").or_else(|| body.words("event_id")) };
        return id.map_or_else(|| Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))), Step::accept);
    }
    let error = body.object("error").unwrap_or_default();
    let code = body.words("code").filter(|_| plan).or_else(|| error.words("status")).or_else(|| error.words("code"));
    let bare = adapter::unexplained(reply.status);
    let bare = if let Some(code) = &code { bare.provider_code(code) } else { bare };
    let reason = |class, ours: &'static str, title: &'static str| Reason { class, code: ours.into(), title: title.into(), ..bare.clone() };
    match (status, code.as_deref()) {
        (429, _) => {
            Step::throttle(Scope::Account, reply.retry_after(), reason(C::Throttled, "too_many_requests", "The account is too fast."))
        }
        (401, _) if plan && channel.settings.api_token.is_some() => {
            Step::of(reason(C::Auth, "credentials_invalid", "Sinch does not accept the API token."))
        }
        // A token lives an hour; whether the key is still good, the next login shows.
        (401, _) => Step::Done(Verdict::LogIn(reason(C::Auth, "token_expired", "Sinch does not accept the token any more."))),
        (_, Some("blocked_account")) if status < 500 => Step::of(reason(C::Auth, "account_blocked", "The account is blocked.")),
        (_, Some("unknown_group" | "missing_callback_url" | "illegal_number_type")) if status < 500 => {
            Step::of(reason(C::Config, "not_allowed", "The plan is not set up for this."))
        }
        (400, _) => Step::of(reason(C::Content, "parameter_invalid", "A parameter of the message is wrong.")),
        (403, _) => Step::of(reason(C::Config, "no_permission", "The account may not do this.")),
        (404, _) => Step::of(reason(C::Config, "not_found", "Sinch knows no such app or plan in this region.")),
        (405 | 415, _) => Step::of(Reason { class: C::Config, ..bare }),
        // The SMS API says that a message it answers so was not taken.
        (500 | 503, _) if plan => Step::of(reason(C::Transient, "provider_error", "Sinch had a fault and did not take the message.")),
        (500.., _) => Step::Done(Verdict::Unclear(reason(C::Unknown, "provider_error", "Sinch had a fault while it held the message."))),
        _ => Step::of(bare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_the_sheet_says() {
        let rows: &[(ErrorClass, &[&str])] = &[
            (
                C::Transient,
                &["INTERNAL_ERROR", "CHANNEL_FAILURE", "UNKNOWN", "DELIVERY_TIMED_OUT", "DELIVERY_REPORT_TIME_OUT", "MESSAGE_EXPIRED"],
            ),
            (C::Throttled, &["RATE_LIMITED"]),
            (
                C::Recipient,
                &["RECIPIENT_NOT_REACHABLE", "RECIPIENT_INVALID_CHANNEL_IDENTITY", "NO_CHANNEL_IDENTITY_FOR_CONTACT", "CONTACT_NOT_FOUND"],
            ),
            (C::Recipient, &["NO_PROFILE_AVAILABLE", "NO_CHANNELS_LEFT"]),
            (C::OptedOut, &["RECIPIENT_NOT_OPTED_IN"]),
            (C::Window, &["OUTSIDE_ALLOWED_SENDING_WINDOW"]),
            (C::Config, &["CHANNEL_BAD_CONFIGURATION", "CHANNEL_CONFIGURATION_MISSING", "UNKNOWN_APP", "NO_PERMISSION"]),
            (C::Auth, &["INACTIVE_CREDENTIAL"]),
            (C::Content, &["MEDIA_TYPE_UNSUPPORTED", "MEDIA_TOO_LARGE", "MEDIA_NOT_REACHABLE", "BAD_REQUEST", "CHANNEL_REJECT"]),
            (C::Content, &["DELIVERY_REJECTED_DUE_TO_POLICY", "UNSUPPORTED_OPERATION", "MESSAGE_SPLIT_REQUIRED", "TEMPLATE_NOT_FOUND"]),
            (C::Content, &["TEMPLATE_INSUFFICIENT_PARAMETERS", "TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION"]),
            (C::Unknown, &["SOMETHING_NEW"]),
        ];
        for (class, words) in rows {
            for word in *words {
                let json = format!(r#"{{"code":"{word}","sub_code":"UNSPECIFIED_SUB_CODE"}}"#);
                let reason = told(&Object::parse(&json).expect("an object"));
                assert_eq!((reason.class, reason.provider_code.as_deref()), (*class, Some(*word)));
            }
        }
        let finer = [("INACTIVE_SENDER", C::Config), ("ATTACHMENT_REJECTED", C::Content), ("MEDIA_TYPE_UNDETERMINED", C::Content)];
        for (sub_code, class) in finer {
            let json = format!(r#"{{"code":"CHANNEL_FAILURE","sub_code":"{sub_code}"}}"#);
            assert_eq!(told(&Object::parse(&json).expect("an object")).class, class, "{sub_code}");
        }
    }

    #[test]
    fn a_plan_answers_in_its_own_words() {
        use crate::contract::twin::Twin as _;
        let mut settings = super::super::Twin::new(1).settings();
        settings.insert("service_plan_id".into(), "p".into());
        settings.insert("api_token".into(), "t".into());
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let call = Call::json("https://eu.sms.api.sinch.com/xms/v1/p/batches", &());
        let word = |status, code: &str| {
            let Step::Done(verdict) = classify(&channel, &call, &Reply::json(status, &serde_json::json!({ "code": code, "text": "x" })))
            else {
                panic!("{code}")
            };
            (verdict.word(), verdict.reason().map(|r| r.class))
        };
        for code in ["syntax_invalid_json", "syntax_invalid_parameter_format", "syntax_constraint_violation"] {
            assert_eq!(word(400, code), ("reject", Some(C::Content)), "{code}");
        }
        for code in ["unknown_group", "missing_callback_url", "illegal_number_type"] {
            assert_eq!(word(403, code), ("suspend", Some(C::Config)), "{code}");
        }
        assert_eq!(word(403, "blocked_account"), ("suspend", Some(C::Auth)));
        assert_eq!(
            (word(401, "unauthorized"), word(500, ""), word(503, "")),
            (("suspend", Some(C::Auth)), ("retry", Some(C::Transient)), ("retry", Some(C::Transient)))
        );
        let taken = classify(&channel, &call, &Reply::json(201, &serde_json::json!({ "id": "01FAKEBATCH" })));
        assert!(matches!(taken, Step::Done(Verdict::Accept { provider_id }) if provider_id == "01FAKEBATCH"));
    }

    #[test]
    fn the_numbers_say_what_the_sheet_says() {
        let rows: &[(ErrorClass, &[i64])] = &[
            (C::Recipient, &[402, 408, 415, 417, 150, 151, 152, 154, 205, 206, 250, 251, 252, 253, 254, 255, 256, 257]),
            (C::Recipient, &[300, 301, 302, 303, 304, 1, 100, 204, 320, 399]),
            (C::Transient, &[403, 404, 406, 4, 14, 18, 40, 50, 51, 52, 56, 70, 71, 73, 74, 75, 76, 101, 102, 106, 109, 111, 112, 114]),
            (C::Transient, &[153, 155, 158, 159, 161, 162, 164, 200, 201, 202, 203, 207, 210, 211, 212, 214, 215, 217]),
            (C::Content, &[405, 411, 414, 416, 418, 15, 16, 61, 62, 63, 65, 66, 67, 330, 331, 332, 333, 334]),
            (C::Config, &[410, 412, 60, 64, 310, 311, 312]),
            (C::Auth, &[413]),
            (C::Throttled, &[107]),
            (C::Unknown, &[407, 499]),
        ];
        for (class, codes) in rows {
            for code in *codes {
                assert_eq!(receipt(Some(*code)).class, *class, "{code}");
            }
        }
    }
}

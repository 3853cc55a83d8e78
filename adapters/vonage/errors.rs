//! Vonage's error codes: those of the Messages API stand in answers and receipts alike, the SMS API has two lists more.

use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// What a code leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// What its class leads to.
    Class(C),
    /// Wrong for this message alone; the channel goes on.
    Narrow(C),
    /// Too fast: what, and for how many milliseconds where that is known.
    Slow(Scope, Option<u64>),
    /// It has been sent already.
    Done,
}
use Act::{Class, Done, Narrow, Slow};

const DAY: u64 = 86_400_000;

type Meaning = (Act, &'static str, &'static str);

/// A code of the Messages API.
fn messages(code: i64) -> Option<Meaning> {
    Some(match code {
        1000 => (Slow(Scope::Account, None), "too_many_requests", "The account is too fast."),
        1010 => (Class(C::Content), "parameter_missing", "A parameter of the message is missing."),
        1020..=1022 => (Class(C::Content), "parameter_invalid", "A parameter or the template is wrong."),
        1030 | 1100 | 1230 | 1330 | 1331 => (Class(C::Transient), "provider_error", "Vonage or the network behind it had a fault."),
        1040 | 1440 => (Class(C::Content), "message_invalid", "The message is not one that can be sent."),
        1090 => (Class(C::Content), "text_too_long", "The message is too long."),
        1210 => (Class(C::Content), "filtered", "The message was taken for spam."),
        1450 => (Class(C::Content), "reference_invalid", "Our reference is not accepted."),
        1451 => (Class(C::Content), "quoted_invalid", "The message answered is not there."),
        1050 => (Class(C::Recipient), "number_barred", "Vonage does not send to this number."),
        1060 => (Class(C::Auth), "account_barred", "The account is barred."),
        1110 | 1370 => (Class(C::Auth), "credentials_invalid", "Vonage does not accept the credentials."),
        1070 => (Class(C::Auth), "balance_used_up", "The account's balance or allowance is used up."),
        1080 | 1400 | 1410 | 1420 => (Class(C::Config), "not_enabled", "The channel is not set up for this account."),
        1120 => (Class(C::Config), "sender_invalid", "The sender is not one of this account."),
        1140 | 1160 => (Narrow(C::Config), "not_allowed", "The account may not do this, or may not send to this number."),
        1130 => (Class(C::Content), "ttl_invalid", "The validity is not one Vonage takes."),
        1360 => (Class(C::Transient), "validity_over", "The validity ran out before it could be delivered."),
        1150 | 1170 | 1430 => (Class(C::Recipient), "number_invalid", "The recipient is missing or wrong."),
        1180 | 1220 => (Class(C::Transient), "absent", "The phone cannot be reached for the moment."),
        1190 | 1200 | 1250 | 1251 | 1310 => (Class(C::Recipient), "unreachable", "The phone cannot be reached."),
        1260 | 1270 | 1290 => (Class(C::Recipient), "not_deliverable", "The person cannot get this message."),
        1300 => (Class(C::Recipient), "not_on_channel", "The person is not on this channel."),
        1240 => (Class(C::OptedOut), "stopped", "The person has answered STOP."),
        1241 => (Slow(Scope::Conversation, None), "recipient_rate", "Too many messages to this number."),
        1280 | 1282 => (Class(C::Recipient), "blocked_by_carrier", "The carrier or the provider blocks the message."),
        1320 => (Done, "duplicate", "The message was sent already."),
        1340 => (Class(C::Window), "window_closed", "The person has not written lately; only a template goes."),
        1350 => (Class(C::Content), "content_refused", "The channel refuses the message."),
        1380..=1382 => (Class(C::Content), "media_invalid", "A file could not be fetched, or its type or size is wrong."),
        1460 => (Slow(Scope::Account, Some(DAY)), "daily_cap", "The brand's daily allowance at a carrier is used up."),
        1461 => (Slow(Scope::Conversation, Some(DAY)), "marketing_limited", "WhatsApp does not show this person more marketing today."),
        1470 | 1472 | 1473 => (Narrow(C::Config), "fraud_protection", "Vonage's fraud protection blocks it."),
        1480..=1482 | 1484 => (Narrow(C::Config), "regulation", "The country's rules for senders and contents are not met."),
        1483 => (Class(C::OptedOut), "no_consent", "The country's register knows no consent of this person."),
        _ => return None,
    })
}

/// A status of the SMS API's answer.
fn sms(status: i64) -> Option<Meaning> {
    Some(match status {
        1 => (Slow(Scope::Account, None), "too_many_requests", "The account is too fast."),
        2 => (Class(C::Content), "parameter_missing", "A parameter of the message is missing."),
        3 | 22 | 23 => (Class(C::Content), "parameter_invalid", "A parameter of the message is wrong."),
        6 => (Class(C::Content), "message_invalid", "The message is not one that can be sent."),
        12 => (Class(C::Content), "text_too_long", "The message is too long."),
        4 | 14 | 32 => (Class(C::Auth), "credentials_invalid", "Vonage does not accept the credentials."),
        5 => (Class(C::Transient), "provider_error", "Vonage had a fault."),
        7 => (Class(C::Recipient), "number_barred", "Vonage does not send to this number."),
        8 => (Class(C::Auth), "account_barred", "The account is barred."),
        9 => (Class(C::Auth), "balance_used_up", "The account's balance is used up."),
        11 => (Class(C::Auth), "not_enabled", "The account may not use the SMS API."),
        10 => (Slow(Scope::Account, None), "too_many_connections", "Too many connections of this account are open."),
        15 => (Class(C::Config), "sender_invalid", "The sender is not allowed."),
        29 => (Narrow(C::Config), "trial_account", "A trial account sends to listed numbers alone."),
        33 => (Class(C::Recipient), "number_gone", "The number is no longer in use."),
        _ => return None,
    })
}

/// A code of the SMS API's receipts.
fn receipts(code: i64) -> Option<(C, &'static str, &'static str)> {
    Some(match code {
        1 | 99 => (C::Recipient, "unknown_error", "It failed, and the carrier does not say why."),
        2 => (C::Transient, "absent", "The phone cannot be reached for the moment."),
        7 | 8 => (C::Transient, "network", "The phone was busy or the network had a fault."),
        3 | 5 | 11 | 12 | 13 | 15 => (C::Recipient, "unreachable", "The number cannot get the message."),
        4 => (C::OptedOut, "blocked_by_user", "The person has barred the sender."),
        6 => (C::Content, "filtered", "The message was taken for spam."),
        10 => (C::Content, "message_invalid", "The message is not one that can be sent."),
        9 => (C::OptedOut, "stopped", "The number may not be written to."),
        14 => (C::Recipient, "blocked_by_carrier", "The carrier blocks the message."),
        16 => (C::Throttled, "too_many_requests", "The account is too fast."),
        50 | 51 | 52 | 54 => (C::Config, "regulation", "The country's rules for senders and contents are not met."),
        53 => (C::OptedOut, "no_consent", "The country's register knows no consent of this person."),
        _ => return None,
    })
}

fn reason(meaning: Meaning, code: i64) -> Reason {
    let (act, ours, title) = meaning;
    let class = match act {
        Class(class) | Narrow(class) => class,
        Slow(..) => C::Throttled,
        Done => C::Unknown,
    };
    Reason::new(class, ours, title).provider_code(code)
}

/// The reason a receipt of the Messages API gives. Its code is the title, or ends the type.
pub(super) fn told(error: &Object<'_>) -> Reason {
    code_of(error)
        .map_or_else(unknown, |code| messages(code).map_or_else(|| unknown().provider_code(code), |meaning| reason(meaning, code)))
}

/// The reason a receipt of the SMS API gives.
pub(super) fn receipt(code: Option<i64>) -> Reason {
    let Some(code) = code else { return unknown() };
    receipts(code).map_or_else(unknown, |(class, ours, title)| Reason::new(class, ours, title)).provider_code(code)
}

fn unknown() -> Reason {
    Reason::new(C::Unknown, "unknown_error", "It failed, and the provider does not say why.")
}

fn code_of(error: &Object<'_>) -> Option<i64> {
    error.int("title").or_else(|| error.int("code")).or_else(|| error.text("type")?.rsplit('#').next()?.parse().ok())
}

/// What an answer means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    // What asks, shows typing or takes a message back may be repeated.
    let harmless = call.method == http::Method::PATCH || call.method == http::Method::GET;
    if reply.status.is_success() {
        if body.has("messages") {
            return parts(&body.objects("messages"));
        }
        return match body.words("message_uuid") {
            Some(id) => Step::accept(id),
            None if harmless => Step::accept(""),
            None => Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))),
        };
    }
    let code = code_of(&body);
    let meaning = code.and_then(|code| Some((messages(code)?, code)));
    if call.then.as_deref() == Some(super::RECALL.as_bytes()) {
        return kept(reply, meaning);
    }
    if status >= 500 {
        let known = meaning.map_or_else(|| adapter::unexplained(reply.status), |(meaning, code)| reason(meaning, code));
        if harmless {
            return Step::Done(Verdict::Retry(Reason { class: C::Transient, ..known }));
        }
        // It may have been sent, and nothing makes repeating safe.
        return Step::Done(Verdict::Unclear(Reason { class: C::Unknown, ..known }));
    }
    // Only as an answer to the message itself does "sent already" mean that it is there.
    if let Some((meaning, code)) = meaning.filter(|((act, ..), _)| *act != Done || status == 422) {
        return act(meaning, code, reply.retry_after());
    }
    let bare = adapter::unexplained(reply.status);
    let bare = if let Some(code) = code { bare.provider_code(code) } else { bare };
    match status {
        401 => Step::of(Reason { class: C::Auth, ..bare }),
        402 => {
            Step::of(Reason { class: C::Auth, code: "balance_used_up".into(), title: "The account's balance is used up.".into(), ..bare })
        }
        // Of the message that is answered: the channel goes on.
        404 if call.method == http::Method::PATCH => absent(bare),
        403 | 404 => Step::of(Reason { class: C::Config, ..bare }),
        422 => Step::of(field(&body, bare)),
        429 => Step::throttle(Scope::Account, reply.retry_after(), bare),
        _ => Step::of(bare),
    }
}

/// Why a message was not taken back. It says nothing about the person or the channel, and asking again changes nothing.
fn kept(reply: &Reply, meaning: Option<(Meaning, i64)>) -> Step {
    let bare = adapter::unexplained(reply.status);
    let bare = if let Some((_, code)) = meaning { bare.provider_code(code) } else { bare };
    match reply.status.as_u16() {
        401 => Step::of(Reason { class: C::Auth, ..bare }),
        429 => Step::throttle(Scope::Account, reply.retry_after(), bare),
        500..=599 => Step::Done(Verdict::Retry(Reason { class: C::Transient, ..bare })),
        404 => absent(bare),
        _ => Step::Done(Verdict::Reject(Reason {
            class: C::Window,
            code: "too_late".into(),
            title: "The message cannot be taken back any more.".into(),
            ..bare
        })),
    }
}

fn absent(bare: Reason) -> Step {
    let title = "Vonage has no such message in this region.";
    Step::Done(Verdict::Reject(Reason { class: C::Content, code: "message_not_found".into(), title: title.into(), ..bare }))
}

/// The field at fault: a wrong sender is the set-up's, a wrong recipient the person's, the rest the message's.
fn field(body: &Object<'_>, bare: Reason) -> Reason {
    let fields = body.objects("invalid_parameters");
    let named = |wanted: &str| fields.iter().any(|f| f.text("name").is_some_and(|name| name == wanted));
    match () {
        () if named("from") => {
            Reason { class: C::Config, code: "sender_invalid".into(), title: "The sender is not accepted.".into(), ..bare }
        }
        () if named("to") => {
            Reason { class: C::Recipient, code: "number_invalid".into(), title: "The recipient is not accepted.".into(), ..bare }
        }
        () => Reason { class: C::Content, code: "parameter_invalid".into(), title: "A parameter of the message is wrong.".into(), ..bare },
    }
}

fn act(meaning: Meaning, code: i64, asked: Option<u64>) -> Step {
    let reason = reason(meaning, code);
    match meaning.0 {
        Done => Step::accept(""),
        Slow(scope, after) => Step::throttle(scope, asked.or(after), reason),
        Narrow(_) => Step::Done(Verdict::Reject(reason)),
        Class(C::Recipient) if meaning.1 == "number_gone" => Step::Done(Verdict::Gone { reason, current: None }),
        Class(_) => Step::of(reason),
    }
}

/// The SMS API answers for each part, always with 200.
fn parts(list: &[Object<'_>]) -> Step {
    let bad = list.iter().find(|part| part.int("status") != Some(0));
    let first = list.iter().find(|part| part.int("status") == Some(0));
    match (first, bad) {
        (Some(first), None) => Step::accept(first.words("message-id").unwrap_or_default()),
        (Some(_), Some(bad)) => {
            // Some parts are on their way: the whole must not go again.
            let reason = Reason::new(C::Unknown, "partly_accepted", "Vonage took some parts of the message and refused others.");
            Step::Done(Verdict::Reject(reason.provider_code(bad.text("status").unwrap_or_default())))
        }
        (None, Some(bad)) => {
            let code = bad.int("status").unwrap_or(-1);
            let words = bad.text("error-text").unwrap_or_default();
            // "please wait [ 250 ] and retry"
            let wait = words.split_once('[').and_then(|(_, rest)| rest.split_once(']')).and_then(|(ms, _)| ms.trim().parse().ok());
            match sms(code) {
                Some(meaning) => act(meaning, code, wait),
                None => Step::Done(Verdict::Unclear(unknown().provider_code(code))),
            }
        }
        (None, None) => Step::Done(Verdict::Unclear(unknown())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tables_say_what_the_sheet_says() {
        let rows: &[(C, &[i64])] = &[
            (C::Throttled, &[1000, 1241, 1460, 1461]),
            (C::Content, &[1010, 1020, 1021, 1022, 1040, 1090, 1210, 1440, 1450, 1451, 1130, 1350, 1380, 1381, 1382]),
            (C::Transient, &[1030, 1100, 1230, 1330, 1331, 1360, 1180, 1220]),
            (C::Recipient, &[1050, 1150, 1170, 1430, 1190, 1200, 1250, 1251, 1260, 1270, 1290, 1300, 1310, 1280, 1282]),
            (C::Auth, &[1060, 1110, 1370, 1070]),
            (C::Config, &[1080, 1120, 1140, 1160, 1400, 1410, 1420, 1470, 1472, 1473, 1480, 1481, 1482, 1484]),
            (C::OptedOut, &[1240, 1483]),
            (C::Window, &[1340]),
        ];
        for (class, codes) in rows {
            for code in *codes {
                assert_eq!(messages(*code).map(|m| reason(m, *code).class), Some(*class), "{code}");
            }
        }
        let rows: &[(C, &[i64])] = &[
            (C::Throttled, &[1, 10]),
            (C::Content, &[2, 3, 6, 12, 22, 23]),
            (C::Auth, &[4, 14, 32, 8, 9, 11]),
            (C::Transient, &[5]),
            (C::Recipient, &[7, 33]),
            (C::Config, &[15, 29]),
        ];
        for (class, codes) in rows {
            for code in *codes {
                assert_eq!(sms(*code).map(|m| reason(m, *code).class), Some(*class), "sms {code}");
            }
        }
        let rows: &[(C, &[i64])] = &[
            (C::Recipient, &[1, 99, 3, 5, 11, 12, 13, 15, 14]),
            (C::Transient, &[2, 7, 8]),
            (C::OptedOut, &[4, 9, 53]),
            (C::Content, &[6, 10]),
            (C::Throttled, &[16]),
            (C::Config, &[50, 51, 52, 54]),
        ];
        for (class, codes) in rows {
            for code in *codes {
                assert_eq!(receipt(Some(*code)).class, *class, "receipt {code}");
            }
        }
    }

    #[test]
    fn each_part_is_looked_at() {
        let call = Call::form("https://rest.nexmo.com/sms/json", &[("to", "1")]);
        let step = |parts: serde_json::Value| classify(&call, &Reply::json(200, &json!({ "message-count": "2", "messages": parts })));
        let good = json!({ "status": "0", "message-id": "FAKE0001" });
        assert!(matches!(step(json!([good, good])), Step::Done(Verdict::Accept { provider_id }) if provider_id == "FAKE0001"));
        let slow = json!({ "status": "1", "error-text": "Throughput Rate Exceeded - please wait [ 250 ] and retry" });
        assert!(matches!(step(json!([slow])), Step::Done(Verdict::Throttle { scope: Scope::Account, after: Some(250), .. })));
        let Step::Done(Verdict::Reject(reason)) = step(json!([good, slow])) else { panic!("partly accepted") };
        assert_eq!(reason.code, "partly_accepted");
        assert!(matches!(step(json!([{ "status": "33" }])), Step::Done(Verdict::Gone { .. })));
        assert!(matches!(step(json!([])), Step::Done(Verdict::Unclear(_))));
    }
}

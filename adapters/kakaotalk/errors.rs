//! What an answer means: of a callback, of the Event API, and of NHN, whose codes stand in a 200.

use serde_json::Value;

use crate::contract::*;
use crate::kit::object::Object;

/// What the answer to a call means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let answer = std::str::from_utf8(&reply.body).ok().and_then(Object::parse);
    let upload = matches!(call.body, CallBody::Multipart(_));
    let business = call.url.contains("/appkeys/");
    let status = reply.status.as_u16();
    let coded = answer.as_ref().filter(|a| a.object("header").is_some_and(|header| header.has("resultCode")));
    if let Some(answer) = coded.filter(|_| reply.status.is_success()) {
        return taken(call, answer, upload);
    }
    if let Some(code) = coded.and_then(|a| a.object("header")).and_then(|header| header.int("resultCode")).filter(|code| *code < 0) {
        return verdict(refused(code));
    }
    let callback = call.url.contains("/v1/callback/");
    if reply.status.is_success() {
        let strange = || {
            let reason = Reason::new(ErrorClass::Unknown, "strange_answer", "KakaoTalk answered without a status");
            if upload { Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason }) } else { Verdict::Unclear(reason) }
        };
        return match answer.as_ref().filter(|_| !business).and_then(|a| a.words("status")).as_deref() {
            Some("SUCCESS") => Step::accept(answer.and_then(|a| a.words("taskId").map(|id| id.into_owned())).unwrap_or_default()),
            Some("FAIL" | "ERROR") if callback => over(status),
            Some("FAIL" | "ERROR") => {
                Step::of(Reason::new(ErrorClass::Content, "event_refused", "the bot did not take the event").provider_code(status))
            }
            _ => Step::Done(strange()),
        };
    }
    let reason = adapter::unexplained(reply.status);
    match status {
        429 => Step::throttle(Scope::Account, reply.retry_after(), reason),
        // NHN says for how long: it has not taken the message.
        503 if business && reply.retry_after().is_some() => {
            Step::throttle(Scope::Account, reply.retry_after(), Reason { class: ErrorClass::Throttled, ..reason })
        }
        408 | 425 | 500..=599 if upload => Step::Done(Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason })),
        408 | 425 => Step::of(reason),
        400..=499 if callback => over(status),
        404 if !business => Step::of(Reason::new(ErrorClass::Config, "bot_unknown", "there is no such bot").provider_code(status)),
        400 if !business => {
            Step::of(Reason::new(ErrorClass::Content, "event_invalid", "the event's name or the person is wrong").provider_code(status))
        }
        _ => Step::of(reason),
    }
}

/// A callback is good once and for a minute.
fn over(status: u16) -> Step {
    let reason = Reason::new(ErrorClass::Window, "callback_over", "the person's turn is over: its callback was used or is too old");
    Step::of(reason.provider_code(status))
}

fn taken(call: &Call, answer: &Object<'_>, upload: bool) -> Step {
    let header = answer.object("header").unwrap_or_default();
    let sent = answer.object("message").unwrap_or_default();
    let first = sent.objects("sendResults").into_iter().next();
    let own = first.as_ref().and_then(|result| result.int("resultCode"));
    let code = own.filter(|code| *code != 0).or_else(|| header.int("resultCode")).unwrap_or(0);
    if header.flag("isSuccessful") && own.unwrap_or(0) == 0 {
        if upload {
            return uploaded(call, answer);
        }
        return match (sent.words("requestId"), first) {
            (Some(request), Some(result)) => {
                Step::accept(format!("{request}:{}", result.text("recipientSeq").unwrap_or(std::borrow::Cow::Borrowed("1"))))
            }
            _ => Step::Done(Verdict::Unclear(Reason::new(ErrorClass::Unknown, "strange_answer", "NHN answered without a request id"))),
        };
    }
    // The same key was taken a moment ago: the first call has the message, and its result names it by our id.
    if code == -1005 {
        return Step::accept("");
    }
    verdict(refused(code))
}

/// What a refusal leads to. A template that is missing is one message's fault: the channel still carries the others.
fn verdict(reason: Reason) -> Step {
    match &*reason.code {
        "template_unknown" => Step::Done(Verdict::Reject(reason)),
        _ => Step::of(reason),
    }
}

/// A picture is there: now the message that waits for it.
fn uploaded(call: &Call, answer: &Object<'_>) -> Step {
    let next = || {
        let url = answer.object("image")?.words("imageUrl")?;
        let mut note: Value = serde_json::from_slice(call.then.as_ref()?).ok()?;
        *note.pointer_mut("/body/image/imageUrl")? = url.as_ref().into();
        let mut send = Call::json(note["url"].as_str()?, &note["body"]);
        send.secret_headers.clone_from(&call.secret_headers);
        Some(send)
    };
    next().map_or_else(
        || Step::Done(Verdict::Retry(Reason::new(ErrorClass::Transient, "strange_answer", "the upload was answered without a link"))),
        Step::Call,
    )
}

/// Codes of the API (TOAST-DOCS/Alimtalk error-code, read 2026-11-20).
fn refused(code: i64) -> Reason {
    use ErrorClass as C;
    let (class, ours, title) = match code {
        -1000 | -1001 | -4004 | -4005 => (C::Auth, "appkey", "the appkey or the secret key is wrong or disabled"),
        -1006 | -1014 | -1027 | -2017 => (C::Auth, "sender_profile", "the sender profile is missing, inactive or blocked"),
        -1002 | -1003 | -1019 | -2502 | -3340 | -3341 | -3300 => {
            (C::Config, "fallback_setup", "the SMS fallback or the 080 number is not set up")
        }
        -1024 | -1030 | -3298 | -4029 | -9992 | -9998 => (C::Config, "not_set_up", "the sender may not send this kind of message"),
        -3003 | -3005 => (C::Config, "template_unknown", "the template is missing or not approved"),
        -3301 => (C::OptedOut, "opted_out", "this person does not take advertising"),
        -4019 | -5000 => (C::Recipient, "number_invalid", "the recipient's number is wrong"),
        -7000 | -8010 | -9999 => (C::Transient, "vendor_failed", "NHN or Kakao failed for a moment"),
        _ => (C::Content, "message_invalid", "NHN does not take the message: a parameter, a length, or what the template says"),
    };
    Reason::new(class, ours, title).provider_code(code)
}

/// Codes of the delivery, as results carry them.
pub(super) fn delivery(code: &str) -> Reason {
    use ErrorClass as C;
    let number: i64 = code.trim().parse().unwrap_or(0);
    let (class, ours, title) = match number {
        1002 | 1003 | 1006 | 1007 | 1011 | 1013 | 1014 | 1016 | 1021..=1025 | 1027 | 4103 | 4104 => {
            (C::Auth, "sender_profile", "the sender profile or channel is invalid, blocked or closed")
        }
        1028 | 2003 | 3015 | 3050 | 4133 | 4134 => (C::Config, "not_set_up", "the targeting or the template is not available"),
        1020 | 3008 => (C::Recipient, "number_invalid", "the number is missing or wrong"),
        3018 => (C::Recipient, "not_reachable", "this number's account cannot be reached: use SMS"),
        3019 | 3021 => (C::Recipient, "no_kakaotalk", "this person has no KakaoTalk, or one that is too old: use SMS"),
        3020 => (C::OptedOut, "opted_out", "this person blocks such messages"),
        3022 => (C::Window, "night", "advertising goes between 08:00 and 20:50 Korean time alone"),
        4138 | 4156 => (C::Throttled, "count_limit", "Kakao's limit for this sender or person is reached"),
        2001 | 2005 | 3000 | 3006 | 3010 | 3012 | 4000 | 4001 | 4121 | 4122 | 4137 | 4139..=4142 | 9998 | 9999 => {
            (C::Transient, "system_failed", "Kakao failed for a moment")
        }
        _ => (C::Content, "message_invalid", "content, template or length do not fit"),
    };
    Reason::new(class, ours, title).provider_code(code)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(step: &Step) -> String {
        match step {
            Step::Done(Verdict::Accept { provider_id }) => format!("accept {provider_id}"),
            Step::Done(verdict) => format!("{} {}", verdict.word(), verdict.reason().map(|r| r.class.word()).unwrap_or_default()),
            Step::Call(_) => "call".into(),
        }
    }

    #[test]
    fn every_code_of_nhns_table_leads_somewhere() {
        let call = Call::json("https://nhn.test/alimtalk/v2.3/appkeys/k/messages", &json!({}));
        let table: &[(&[i64], &str)] = &[
            (&[-1000, -1001, -4004, -4005, -1006, -1014, -1027, -2017], "suspend auth"),
            (&[-1002, -2502, -3300, -1024, -1030, -3298, -4029, -9992, -9998], "suspend config"),
            (&[-3003, -3005], "reject config"),
            (&[-1005], "accept "),
            (&[-3301], "unreachable opted_out"),
            (&[-4019, -5000], "unreachable recipient"),
            (&[-2025, 4, -2000, -2018, -3000, -3053, -3303, -8006, -1028, -9993], "reject content"),
            (&[-7000, -8010, -9999], "retry transient"),
        ];
        for (codes, expected) in table {
            for code in *codes {
                let refused = json!({ "header": { "resultCode": code, "isSuccessful": false } });
                assert_eq!(of(&classify(&call, &Reply::json(200, &refused))), *expected, "{code}");
                // All recipients failed: each says why.
                let each = json!({ "header": { "resultCode": -1031, "isSuccessful": false }, "message": { "requestId": "r",
                    "sendResults": [{ "recipientSeq": 1, "resultCode": code }] } });
                assert_eq!(of(&classify(&call, &Reply::json(200, &each))), *expected, "{code}");
            }
        }
        let sent = json!({ "header": { "resultCode": 200, "isSuccessful": true }, "message": { "requestId": "r",
            "sendResults": [{ "recipientSeq": 1, "resultCode": 0 }] } });
        assert_eq!(of(&classify(&call, &Reply::json(200, &sent))), "accept r:1");
        assert_eq!(of(&classify(&call, &Reply::json(500, &json!({})))), "unclear unknown");
        assert_eq!(of(&classify(&call, &Reply::json(403, &json!({})))), "suspend auth");
        assert_eq!(of(&classify(&call, &Reply::json(429, &json!({})))), "throttle throttled");
    }

    #[test]
    fn every_code_of_the_delivery_has_its_class() {
        use ErrorClass as C;
        let table: &[(C, &[i64])] = &[
            (C::Auth, &[1002, 1003, 1006, 1007, 1011, 1013, 1014, 1016, 1021, 1022, 1023, 1024, 1025, 1027, 4103, 4104]),
            (C::Config, &[1028, 2003, 3015, 3050, 4133, 4134]),
            (C::Recipient, &[1020, 3008, 3018, 3019, 3021]),
            (C::OptedOut, &[3020]),
            (C::Window, &[3022]),
            (C::Throttled, &[4138, 4156]),
            (C::Transient, &[2001, 2005, 3000, 3006, 3010, 3012, 4000, 4001, 4121, 4122, 4137, 4139, 4140, 4141, 4142, 9998, 9999]),
            (C::Content, &[1001, 1004, 1012, 1015, 1030, 1033, 3011, 3013, 3014, 3016, 3051, 3052, 3053, 3054, 3055, 3056, 3057, 3058]),
            (C::Content, &[4100, 4101, 4102, 4110, 4120, 4130, 4132, 4143, 4144]),
        ];
        let rows = table.iter().flat_map(|(class, codes)| codes.iter().map(|code| (*class, *code)));
        for (class, code) in rows.chain((3023..=3048).map(|code| (C::Content, code))) {
            assert_eq!(delivery(&code.to_string()).class, class, "{code}");
        }
        assert_eq!(delivery("?").class, C::Content);
    }

    #[test]
    fn callbacks_and_events_end_in_their_own_ways() {
        let callback = Call::json("https://bot-api.kakao.com/v1/callback/x", &json!({}));
        let event = Call::json("https://bot-api.kakao.com/v2/bots/b/talk", &json!({}));
        let says = |status: &str| Reply::json(200, &json!({ "taskId": "t1", "status": status }));
        assert_eq!(of(&classify(&callback, &says("SUCCESS"))), "accept t1");
        assert_eq!(of(&classify(&callback, &says("FAIL"))), "reject window");
        assert_eq!(of(&classify(&callback, &Reply::json(400, &json!({})))), "reject window");
        assert_eq!(of(&classify(&callback, &Reply::json(502, &json!({})))), "unclear unknown");
        assert_eq!(of(&classify(&event, &says("SUCCESS"))), "accept t1");
        assert_eq!(of(&classify(&event, &says("FAIL"))), "reject content");
        for (status, expected) in [(400, "reject content"), (401, "suspend auth"), (404, "suspend config"), (500, "unclear unknown")] {
            assert_eq!(of(&classify(&event, &Reply::json(status, &json!({})))), expected, "{status}");
        }
    }
}

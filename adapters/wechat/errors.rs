//! What an answer means: nearly always 200, with an `errcode` (return codes, read 2026-11-20).

use serde_json::Value;

use crate::contract::*;
use crate::kit::object::Object;

/// Until the daily quotas are new, which may be a day away; the clock of China decides.
const QUOTA_MS: u64 = 21_600_000;
const MINUTE_MS: u64 = 60_000;

/// What the answer to a call means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let upload = matches!(call.body, CallBody::Multipart(_));
    if !reply.status.is_success() {
        let reason = adapter::unexplained(reply.status);
        return match reply.status.as_u16() {
            429 => Step::throttle(Scope::Sender, reply.retry_after(), reason),
            408 | 425 | 500..=599 if upload => Step::Done(Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason })),
            _ => Step::of(reason),
        };
    }
    let answer = std::str::from_utf8(&reply.body).ok().and_then(Object::parse);
    let strange = || {
        let reason = Reason::new(ErrorClass::Unknown, "strange_answer", "WeChat answered without a code");
        Step::Done(if upload { Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason }) } else { Verdict::Unclear(reason) })
    };
    let Some(answer) = answer else { return strange() };
    match answer.int("errcode") {
        None | Some(0) if upload => next(call, &answer).map_or_else(strange, Step::Call),
        // A repeated number was taken the first time.
        Some(0 | 45065) => {
            let id = answer.words("msgid").or_else(|| answer.words("msg_id"));
            Step::accept(id.map(|id| id.into_owned()).unwrap_or_default())
        }
        Some(code) => refused(code),
        None => strange(),
    }
}

/// A file is there: now the message that waits for it.
fn next(call: &Call, answer: &Object<'_>) -> Option<Call> {
    let id = answer.words("media_id").or_else(|| answer.words("thumb_media_id"))?;
    let note: Value = serde_json::from_slice(call.then.as_ref()?).ok()?;
    let mut body = note["body"].clone();
    *body.pointer_mut(note["at"].as_str()?)? = id.as_ref().into();
    let mut send = Call::json(note["url"].as_str()?, &body);
    send.url_secret.clone_from(&call.url_secret);
    Some(send)
}

fn refused(code: i64) -> Step {
    use ErrorClass as C;
    let reason = |class, ours: &'static str, title: &'static str| Reason::new(class, ours, title).provider_code(code);
    let narrow = |reason| Step::Done(Verdict::Reject(reason));
    let (class, ours, title) = match code {
        -1 => (C::Transient, "busy", "WeChat is busy"),
        40001 | 40014 | 42001 => return Step::Done(Verdict::LogIn(reason(C::Auth, "token_expired", "the access token is no longer good"))),
        40002 | 40013 | 40125 | 41001 | 41002 | 41004 => (C::Auth, "credentials", "the app id or the secret is wrong"),
        40243 | 50007 => (C::Auth, "account_frozen", "the secret or the account is frozen"),
        61003 | 61007 => (C::Auth, "not_authorised", "the account did not authorise the platform"),
        40164 => (C::Config, "ip_not_listed", "the gateway's address is not in the account's IP whitelist"),
        48004 | 50002 => (C::Config, "banned", "the account may not use this part of the API any more"),
        // Of this kind of message or this template alone: the others still go.
        48001 | 48003 | 48008 | 50001 => return narrow(reason(C::Config, "not_granted", "the account may not use this part of the API")),
        40037 => return narrow(reason(C::Config, "template_unknown", "the account has no such template")),
        65400 | 61451..=61457 => (C::Config, "agent_account", "the agent's account cannot be used"),
        40003 | 46004 | 40031 | 40032 => (C::Recipient, "unknown_person", "no follower of this account has this openid"),
        43019 => (C::Recipient, "blacklisted", "this person is on the account's blacklist"),
        43004 | 50005 => (C::OptedOut, "not_following", "this person does not follow the account"),
        48002 | 43101 => (C::OptedOut, "refused", "this person takes no such messages"),
        45015 => (C::Window, "window_closed", "the time in which this person may be answered is over"),
        45047 => (C::Window, "window_used_up", "as many answers as this person's last act allows were sent"),
        45009 => return Step::throttle(Scope::Account, Some(QUOTA_MS), reason(C::Throttled, "daily_quota", "the day's calls are used up")),
        45011 => return Step::throttle(Scope::Account, Some(MINUTE_MS), reason(C::Throttled, "too_frequent", "too many calls a minute")),
        45066 => {
            return Step::throttle(
                Scope::Sender,
                Some(MINUTE_MS),
                reason(C::Throttled, "repeated_soon", "the same number within a minute"),
            );
        }
        40007 => (C::Content, "media_expired", "the file's id is unknown or older than three days"),
        40004..=40012 | 40118 | 40121 | 44001..=44004 | 45001..=45008 | 45166 => {
            (C::Content, "content_size", "the file's type or size, or the length of the words, is not taken")
        }
        45067 => (C::Content, "client_id_too_long", "the number of the message is longer than 64 bytes"),
        87014 => (C::Content, "risky", "WeChat judged the content risky"),
        47003 => (C::Content, "template_value", "a value does not fit the template's field"),
        _ => (C::Content, "message_invalid", "WeChat does not take the message"),
    };
    Step::of(reason(class, ours, title))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(code: i64) -> String {
        let reply = Reply::json(200, &json!({ "errcode": code, "errmsg": "x rid: 1" }));
        match classify(&Call::json("https://api.test/cgi-bin/message/custom/send", &json!({})), &reply) {
            Step::Done(Verdict::Throttle { scope, after, .. }) => format!("throttle {} {}", scope.word(), after.unwrap_or(0)),
            Step::Done(verdict) => format!("{} {}", verdict.word(), verdict.reason().map(|r| r.class.word()).unwrap_or_default()),
            Step::Call(_) => "call".into(),
        }
    }

    #[test]
    fn every_code_of_the_table_leads_somewhere() {
        let table: &[(&[i64], &str)] = &[
            (&[0, 45065], "accept "),
            (&[-1], "retry transient"),
            (&[40001, 40014, 42001], "log_in auth"),
            (&[40002, 40013, 40125, 41001, 41002, 41004, 40243, 50007, 61003, 61007], "suspend auth"),
            (&[40164, 48004, 50002, 65400, 61451, 61457], "suspend config"),
            (&[48001, 48003, 48008, 50001, 40037], "reject config"),
            (&[40003, 46004, 40031, 40032, 43019], "unreachable recipient"),
            (&[43004, 50005, 48002, 43101], "unreachable opted_out"),
            (&[45015, 45047], "reject window"),
            (&[45009], "throttle account 21600000"),
            (&[45011], "throttle account 60000"),
            (&[45066], "throttle sender 60000"),
            (&[40004, 40012, 40118, 44001, 44004, 45001, 45002, 45008, 45166, 45067, 40007], "reject content"),
            (&[40008, 40035, 40038, 40033, 47001, 47003, 41006, 41030, 87014, 99999], "reject content"),
        ];
        for (codes, expected) in table {
            for code in *codes {
                assert_eq!(verdict(*code), *expected, "{code}");
            }
        }
    }

    #[test]
    fn an_uploaded_file_is_followed_by_its_message() {
        let note = json!({ "url": "https://api.test/send?access_token={secret}", "body": { "image": { "media_id": "" } }, "at": "/image/media_id" });
        let call = Call::multipart("https://api.test/upload?access_token={secret}", Vec::new()).url_secret("t").then(note.to_string());
        let Step::Call(send) = classify(&call, &Reply::json(200, &json!({ "type": "image", "media_id": "M" }))) else {
            panic!("no message")
        };
        assert_eq!(
            (send.body_bytes(), send.full_url().as_str()),
            (&br#"{"image":{"media_id":"M"}}"#[..], "https://api.test/send?access_token=t")
        );
        assert!(matches!(classify(&call, &Reply::json(200, &json!({}))), Step::Done(Verdict::Retry(_))));
        assert!(matches!(classify(&call, &Reply::json(503, &json!({}))), Step::Done(Verdict::Retry(_))));
    }
}

//! What an answer means: nearly always 200, with a `status` of Viber's own (rest-bot-api: error codes, read 2026-11-20).

use crate::contract::*;
use crate::kit::object::Object;

/// What the answer to a call means.
pub(super) fn classify(_call: &Call, reply: &Reply) -> Step {
    let text = std::str::from_utf8(&reply.body).unwrap_or_default();
    let answer = Object::parse(text);
    let status = answer.as_ref().and_then(|a| a.int("status"));
    if text.contains("missing_auth_token") && status.is_none_or(|s| s != 0) {
        return Step::of(Reason::new(ErrorClass::Auth, "token_missing", "Viber got no token"));
    }
    match (reply.status.as_u16(), status) {
        (200..=299, Some(0)) => Step::accept(answer.and_then(|a| a.words("message_token").map(|t| t.into_owned())).unwrap_or_default()),
        (200..=299, Some(code)) => refused(code),
        (200..=299, None) => {
            Step::Done(Verdict::Unclear(Reason::new(ErrorClass::Unknown, "strange_answer", "Viber answered without a status")))
        }
        (429, _) => Step::throttle(Scope::Sender, reply.retry_after(), adapter::unexplained(reply.status)),
        _ => Step::of(adapter::unexplained(reply.status)),
    }
}

fn refused(code: i64) -> Step {
    use ErrorClass as C;
    let (class, ours, title) = match code {
        1 => (C::Config, "webhook_url", "the webhook's address cannot be used"),
        2 => (C::Auth, "token_invalid", "the bot's token is invalid"),
        3 => (C::Content, "message_invalid", "a value of the message is invalid"),
        4 => (C::Content, "message_incomplete", "the message lacks a field"),
        5 => (C::Recipient, "unknown_person", "this person is not registered with Viber"),
        6 => (C::OptedOut, "not_subscribed", "this person is not subscribed to the bot"),
        7 => (C::Auth, "account_blocked", "the bot is blocked"),
        8 => (C::Auth, "account_unknown", "the token belongs to no bot"),
        9 => (C::Auth, "account_suspended", "the bot is suspended"),
        10 => (C::Config, "webhook_missing", "the bot has no webhook: run `fairway channel setup`"),
        11 => (C::Recipient, "no_device", "none of this person's devices can show it"),
        12 => (C::Throttled, "too_many_requests", "the bot, or what this person got without answering, is too much"),
        13 => (C::Recipient, "client_too_old", "this person's Viber is too old for this message"),
        14 => (C::Content, "min_api_version", "the message needs a higher `min_api_version`"),
        15..=18 => (C::Config, "not_authorised", "the bot may not do this"),
        19 | 20 => (C::Config, "broadcast_not_allowed", "the bot may not broadcast"),
        21 => (C::Recipient, "country", "Viber does not deliver to this person's country"),
        22 => (C::Content, "payment_unsupported", "this person's Viber does not support payments"),
        23 => (C::Window, "free_messages_used", "the free messages outside of sessions are used up"),
        24 => (C::Config, "no_balance", "the account has no balance for messages outside of sessions"),
        _ => (C::Transient, "general_error", "Viber failed for a reason of its own"),
    };
    Step::of(Reason::new(class, ours, title).provider_code(code))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(http: u16, body: &serde_json::Value) -> String {
        match classify(&Call::get("https://api.test/pa/send_message"), &Reply::json(http, body)) {
            Step::Done(verdict) => format!("{} {}", verdict.word(), verdict.reason().map(|r| r.class.word()).unwrap_or_default()),
            Step::Call(_) => "call".into(),
        }
    }

    #[test]
    fn every_status_of_the_table_leads_somewhere() {
        let table: &[(&[i64], &str)] = &[
            (&[0], "accept "),
            (&[1, 10, 15, 16, 17, 18, 19, 20, 24], "suspend config"),
            (&[2, 7, 8, 9], "suspend auth"),
            (&[3, 4, 14, 22], "reject content"),
            (&[5, 11, 13, 21], "unreachable recipient"),
            (&[6], "unreachable opted_out"),
            (&[12], "throttle throttled"),
            (&[23], "reject window"),
            (&[99, -1], "retry transient"),
        ];
        for (codes, expected) in table {
            for code in *codes {
                // A throttled answer may carry a token: it is refused all the same.
                let body = json!({ "status": code, "status_message": "x", "message_token": 6_000_000_000_000_000_020_u64 });
                assert_eq!(verdict(200, &body), *expected, "{code}");
            }
        }
        assert_eq!(verdict(500, &json!({})), "unclear unknown");
        assert_eq!(verdict(404, &json!({})), "reject content");
        assert_eq!(verdict(200, &json!({ "status_message": "missing_auth_token" })), "suspend auth");
        assert_eq!(verdict(200, &json!([])), "unclear unknown");
    }
}

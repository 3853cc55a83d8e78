//! What an answer means: by status and words, for LINE has no error codes (reference: status codes, read 2026-11-20).

use serde_json::Value;

use crate::contract::*;
use crate::kit::object::Object;

/// Six hours: long enough not to loop on a spent quota, short enough to notice a bigger plan.
const QUOTA_MS: u64 = 21_600_000;

/// What the answer to a call means. `login`: whether we make tokens ourselves.
pub(super) fn classify(login: bool, call: &Call, reply: &Reply) -> Step {
    let text = std::str::from_utf8(&reply.body).unwrap_or_default();
    let answer = Object::parse(text);
    let status = reply.status.as_u16();
    if reply.status.is_success() || status == 409 {
        return accepted(reply, answer.as_ref());
    }
    let words = answer.as_ref().and_then(|a| a.words("message")).unwrap_or_default();
    let spoiled = if words.starts_with("The request body has") { detail(answer.as_ref()) } else { None };
    let reason = |class, code: &'static str, title: &'static str| Reason::new(class, code, title).provider_code(status);
    use ErrorClass as C;
    match status {
        400 if words.contains("nvalid reply token") => match push_instead(call) {
            Some(push) => Step::Call(push),
            None => Step::of(reason(C::Window, "reply_token", "the reply token was used or is too old")),
        },
        400 if words.contains("etry key") || words.contains("etry-Key") => {
            Step::of(reason(C::Config, "retry_key", "LINE does not take our retry key"))
        }
        400 if words.starts_with("Failed to send messages") || names_to(&words) || spoiled.as_deref().is_some_and(names_to) => {
            Step::of(reason(C::Recipient, "unknown_person", "LINE cannot reach this id through this account"))
        }
        401 if login => Step::Done(Verdict::LogIn(reason(C::Auth, "token_expired", "the token is no longer good"))),
        401 => Step::of(reason(C::Auth, "token_invalid", "the channel access token is invalid")),
        403 => Step::of(reason(C::Config, "not_available", "this account may not use that part of the API")),
        404 => Step::of(reason(C::Recipient, "not_found", "LINE does not know it: blocked, unknown, or not a friend")),
        429 if words.contains("monthly limit") => {
            let reason = reason(C::Throttled, "monthly_quota", "the plan's messages of this month are used up");
            Step::throttle(Scope::Account, Some(QUOTA_MS), reason)
        }
        429 => {
            let reason = reason(C::Throttled, "rate_limit", "LINE wants fewer requests a second");
            Step::throttle(Scope::Sender, reply.retry_after(), reason)
        }
        408 | 425 | 500..=599 => {
            Step::Done(Verdict::Unclear(reason(C::Unknown, "unavailable", "LINE failed and does not say whether it has the message")))
        }
        400..=499 => {
            let title = spoiled.unwrap_or_else(|| if words.is_empty() { "LINE refused the message".into() } else { words.into_owned() });
            Step::of(Reason::new(C::Content, "message_invalid", title).provider_code(status))
        }
        _ => Step::of(adapter::unexplained(reply.status)),
    }
}

/// The property at fault, in LINE's words.
fn detail(answer: Option<&Object<'_>>) -> Option<String> {
    let details = answer?.objects("details");
    let first = details.first()?;
    let words = first.words("message").unwrap_or_default();
    Some(format!("{}: {words}", first.words("property").unwrap_or_default()))
}

fn names_to(words: &str) -> bool {
    words.contains("The property, 'to',") || words.contains("The property, to,") || words.starts_with("to:")
}

/// A repeated key was taken before: the answer then may carry the first one's ids.
fn accepted(reply: &Reply, answer: Option<&Object<'_>>) -> Step {
    let again = reply.status.as_u16() == 409;
    if again && !reply.headers.contains_key("x-line-accepted-request-id") && answer.is_none_or(|a| !says_accepted(a)) {
        return Step::of(Reason::new(ErrorClass::Content, "conflict", "LINE answered 409 without saying that it has the message"));
    }
    let Some(answer) = answer else {
        return Step::Done(Verdict::Unclear(Reason::new(ErrorClass::Unknown, "strange_answer", "LINE answered without JSON")));
    };
    let sent = answer.objects("sentMessages").first().and_then(|message| message.words("id").map(|id| id.into_owned()));
    let header = |name: &str| reply.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    Step::accept(sent.or_else(|| header("x-line-accepted-request-id")).or_else(|| header("x-line-request-id")).unwrap_or_default())
}

fn says_accepted(answer: &Object<'_>) -> bool {
    answer.has("sentMessages") || answer.words("message").is_some_and(|words| words.contains("already accepted"))
}

/// The same messages as a push, which the reply's note carries.
fn push_instead(call: &Call) -> Option<Call> {
    let note: Value = serde_json::from_slice(call.then.as_ref()?).ok()?;
    let mut push = Call::json(note["url"].as_str()?, &note["body"]);
    push.headers.push((http::HeaderName::from_static("x-line-retry-key"), note["key"].as_str()?.to_owned()));
    push.secret_headers.clone_from(&call.secret_headers);
    Some(push)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(status: u16, words: &str) -> String {
        let reply = Reply::json(status, &json!({ "message": words }));
        match classify(true, &Call::json("https://api.test/v2/bot/message/push", &json!({})), &reply) {
            Step::Call(_) => "call".into(),
            Step::Done(Verdict::Throttle { scope, after, .. }) => format!("throttle {} {}", scope.word(), after.unwrap_or(0)),
            Step::Done(verdict) => format!("{} {}", verdict.word(), verdict.reason().map(|r| r.class.word()).unwrap_or_default()),
        }
    }

    #[test]
    fn every_row_of_the_table_leads_somewhere() {
        let table = [
            (400, "The request body has 2 error(s)", "reject content"),
            (400, "The property, messages, in the request body is invalid", "reject content"),
            (400, "The request body could not be parsed as JSON", "reject content"),
            (400, "Invalid reply token", "reject window"),
            (400, "Failed to send messages", "unreachable recipient"),
            (400, "The property, 'to', in the request body is invalid (line: -, column: -)", "unreachable recipient"),
            (400, "The retry key is not a UUID", "suspend config"),
            (401, "Authentication failed due to the following reason: invalid token", "log_in auth"),
            (403, "Access to this API is not available for your account", "suspend config"),
            (404, "Not found", "unreachable recipient"),
            (409, "The retry key is already accepted", "accept "),
            (409, "something else", "reject content"),
            (410, "Gone", "reject content"),
            (413, "", "reject content"),
            (415, "", "reject content"),
            (422, "", "reject content"),
            (429, "The API rate limit has been exceeded. Try again later.", "throttle sender 0"),
            (429, "You have reached your monthly limit.", "throttle account 21600000"),
            (429, "concurrent jobs", "throttle sender 0"),
            (500, "Internal server error", "unclear unknown"),
            (504, "", "unclear unknown"),
        ];
        for (status, words, expected) in table {
            assert_eq!(verdict(status, words), expected, "{status} {words}");
        }
        let reply = Reply::json(401, &json!({ "message": "Authentication failed" }));
        assert!(matches!(classify(false, &Call::get("https://api.test"), &reply), Step::Done(Verdict::Suspend(_))));
    }

    #[test]
    fn a_spent_reply_token_becomes_a_push_with_the_same_key() {
        let body = json!({ "to": "U1", "messages": [{ "type": "text", "text": "x" }] });
        let note = json!({ "url": "https://api.test/v2/bot/message/push", "body": body, "key": "k" });
        let call = Call::json("https://api.test/v2/bot/message/reply", &json!({})).bearer("t").then(note.to_string());
        let Step::Call(push) = classify(true, &call, &Reply::json(400, &json!({ "message": "Invalid reply token" }))) else {
            panic!("no push")
        };
        assert!(push.url.ends_with("/push") && push.header_map().get("x-line-retry-key").is_some_and(|k| k == "k"));
        assert_eq!(push.header_map().get("authorization").map(|v| v.to_str().unwrap_or_default()), Some("Bearer t"));
        assert!(push.then.is_none());
    }
}

//! What Huawei's answers mean: by the code in the body (a string), else by the status.
//! developer.huawei.com, push-scenariozed-api-response and https-send-api, read 2026-11-20.

use serde_json::Value;

use super::Generation;
use crate::contract::{ErrorClass as C, Reason, Reply, Scope, Step, Verdict};

pub(super) fn classify(generation: Generation, reply: &Reply) -> Step {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = body["code"].as_str().map(str::to_owned).or_else(|| body["code"].as_u64().map(|c| c.to_string())).unwrap_or_default();
    let status = reply.status.as_u16();
    let named = if code.is_empty() { status.to_string() } else { code.clone() };
    let reason = |class, ours, title: &str| Reason::new(class, ours, title.to_owned()).provider_code(&named);
    let throttled = |title| Step::throttle(Scope::Account, reply.retry_after(), reason(C::Throttled, "too_many_requests", title));
    match code.as_str() {
        "80000000" if reply.status.is_success() => Step::accept(body["requestId"].as_str().unwrap_or_default()),
        // One device a call: what holds for some of them holds for this one.
        "80100000" | "80300007" => device(&body, reason),
        "80100017" => throttled("too many pushes to topics at once"),
        "80100001" | "80100002" | "80100003" | "80100004" | "80100013" | "80100018" | "80300010" => {
            Step::of(reason(C::Content, "content_refused", "Huawei refuses what the message says"))
        }
        "80100016" => Step::of(reason(C::Content, "sensitive_content", "Huawei refuses the words")),
        "80300008" => Step::of(reason(C::Content, "message_too_large", "the message has more than 4 KB")),
        "82000007" | "82000008" | "82000009" | "82000010" | "82000011" => {
            Step::of(reason(C::Content, "topic_refused", "Huawei refuses the topic"))
        }
        "80200001" => Step::of(reason(C::Auth, "token_refused", "Huawei refuses the token, or it is another app's")),
        "80200003" if generation == Generation::Core => expired(reason),
        "80200003" => Step::of(reason(C::Auth, "token_refused", "Huawei takes our token for too old: a clock is wrong")),
        "80300002" => Step::of(reason(C::Config, "not_allowed", "the app may not send")),
        "80300011" => Step::of(reason(C::Config, "no_right", "the app has no right to high priority")),
        "82000012" | "82000013" => {
            Step::of(reason(C::Config, "storage_location", "the app's data storage location is not chosen or another one"))
        }
        "80600003" => Step::Done(Verdict::Retry(reason(C::Transient, "login_unavailable", "Huawei's login has trouble"))),
        "81000001" => Step::of(reason(C::Unknown, "server_fault", "Huawei had a fault and may have the message")),
        _ => match status {
            401 if generation == Generation::Core => expired(reason),
            401 | 403 => Step::of(reason(C::Auth, "token_refused", "Huawei refuses the token")),
            404 => Step::of(reason(C::Config, "app_unknown", "there is no such app or project")),
            429 | 503 => throttled("too many pushes for Huawei"),
            408 | 425 => Step::of(reason(C::Unknown, "server_fault", "Huawei gave up waiting and may have the message")),
            400..=499 => Step::of(reason(C::Content, "refused", "Huawei refuses the message")),
            _ => Step::of(reason(C::Unknown, "server_fault", "Huawei had a fault and may have the message")),
        },
    }
}

fn expired(reason: impl Fn(C, &'static str, &str) -> Reason) -> Step {
    Step::Done(Verdict::LogIn(reason(C::Auth, "token_expired", "the access token has expired")))
}

/// Why Huawei did not take the device's token: it stands as JSON in the text of `msg`.
fn device(body: &Value, reason: impl Fn(C, &'static str, &str) -> Reason) -> Step {
    let told: Value = body["msg"].as_str().and_then(|msg| serde_json::from_str(msg).ok()).unwrap_or_default();
    let words = told["illegalTokens"].as_object().map(|by| by.keys().cloned().collect::<Vec<_>>().join(" ")).unwrap_or_default();
    let text = if words.is_empty() { body["msg"].as_str().unwrap_or_default() } else { &words };
    let has = |word: &str| text.contains(word);
    let gone = |code, title: &str| Step::Done(Verdict::Gone { reason: reason(C::Recipient, code, title), current: None });
    if has("noPushTypeRight") || has("noRight") || has("appinfoError") || has("BecauseOfPenalty") {
        Step::of(reason(C::Config, "no_right", "Huawei has not granted the app this kind of message"))
    } else if has("Unsubscribed") {
        Step::of(reason(C::OptedOut, "opted_out", "the person has not subscribed to this kind of message"))
    } else if has("ImgVerifyPolicy") {
        Step::of(reason(C::Content, "content_refused", "Huawei refuses the picture"))
    } else if has("countryNotSupport") {
        Step::of(reason(C::Recipient, "country_not_supported", "Huawei does not push to the device's country"))
    } else if has("tokenPlatformNotSupport") {
        Step::of(reason(C::Recipient, "other_generation", "the device is of the other generation: use the channel for those"))
    } else {
        gone("token_invalid", "the device token is not valid")
    }
}

/// What the login's answer means when it is asked for its own sake.
pub(super) fn login(reply: &Reply) -> Step {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status.is_success() && body["access_token"].is_string() {
        return Step::accept("");
    }
    let code = body["error"].to_string();
    if reply.status.is_client_error() && reply.status != http::StatusCode::TOO_MANY_REQUESTS {
        return Step::of(Reason::new(C::Auth, "login_refused", "Huawei refuses the app's id and secret").provider_code(code));
    }
    Step::Done(Verdict::Retry(Reason::new(C::Transient, "login_unavailable", "Huawei's login has trouble")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn word(generation: Generation, status: u16, body: &Value) -> &'static str {
        match classify(generation, &Reply::json(status, body)) {
            Step::Done(verdict) => verdict.word(),
            Step::Call(_) => "call",
        }
    }

    #[test]
    fn the_table_of_codes() {
        let rows: &[(&str, &[&str])] = &[
            ("accept", &["80000000"]),
            ("reject", &["80100001", "80100002", "80100003", "80100004", "80100013", "80100016", "80100018", "80300008", "80300010"]),
            ("reject", &["82000007", "82000008", "82000009", "82000010", "82000011"]),
            ("throttle", &["80100017"]),
            ("suspend", &["80200001", "80300002", "80300011", "82000012", "82000013"]),
            ("gone", &["80300007", "80100000"]),
            ("log_in", &["80200003"]),
            ("retry", &["80600003"]),
            ("unclear", &["81000001", "99999999"]),
        ];
        for (verdict, codes) in rows {
            for code in *codes {
                assert_eq!(word(Generation::Core, 200, &json!({ "code": code, "msg": "m", "requestId": "1" })), *verdict, "{code}");
            }
        }
        assert_eq!(word(Generation::Harmony, 200, &json!({ "code": "80200003" })), "suspend");
        for (status, verdict) in [(400, "reject"), (401, "log_in"), (404, "suspend"), (500, "unclear"), (502, "unclear"), (503, "throttle")]
        {
            assert_eq!(word(Generation::Core, status, &json!({})), verdict, "{status}");
        }
        assert_eq!(word(Generation::Harmony, 401, &json!({})), "suspend");
    }

    #[test]
    fn why_a_device_was_not_taken() {
        let told =
            |why: &str| json!({ "code": "80100000", "msg": json!({ "failure": 1, "illegalTokens": { why: ["FAKE"] } }).to_string() });
        let rows = [
            ("noPushTypeRight", "suspend"),
            ("noRight", "suspend"),
            ("tokenFormatError", "gone"),
            ("countryNotSupport", "unreachable"),
            ("tokenPlatformNotSupport", "unreachable"),
            ("atomicUnableSendUnsubscribedMsg", "unreachable"),
            ("disableSendHuaweiMsgBecauseOfPenalty", "suspend"),
            ("differentImgVerifyPolicy", "reject"),
        ];
        for (why, verdict) in rows {
            assert_eq!(word(Generation::Harmony, 200, &told(why)), verdict, "{why}");
        }
    }

    #[test]
    fn what_the_login_says() {
        let word = |status, body: &Value| match login(&Reply::json(status, body)) {
            Step::Done(verdict) => verdict.word(),
            Step::Call(_) => "call",
        };
        assert_eq!(word(200, &json!({ "access_token": "t", "expires_in": 3600 })), "accept");
        assert_eq!((word(403, &json!({ "error": 1101 })), word(503, &json!({})), word(200, &json!({}))), ("suspend", "retry", "retry"));
    }
}

//! What Apple's answers mean: by the reason in the body, else by the status.
//! developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns, read 2026-11-20.

use serde_json::Value;

use crate::contract::{Call, ErrorClass as C, Reason, Reply, Scope, Step, Verdict};

/// Milliseconds between two tokens of a key.
const TOKEN_FLOOR: u64 = 20 * 60 * 1000;

pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let header = |name: &str| reply.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    if reply.status == http::StatusCode::OK {
        // The id we gave is the push's id, also where the answer does not repeat it.
        let ours = || call.headers.iter().find(|(name, _)| name == "apns-id").map(|(_, id)| id.clone());
        return Step::accept(header("apns-id").or_else(ours).unwrap_or_default());
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let status = reply.status.as_u16();
    let word = body["reason"].as_str().unwrap_or_default();
    let named = if word.is_empty() { status.to_string() } else { word.to_owned() };
    let reason = |class, code, title: &str| Reason::new(class, code, title.to_owned()).provider_code(&named);
    let gone = |code, title: &str| Step::Done(Verdict::Gone { reason: reason(C::Recipient, code, title), current: None });
    match word {
        "Unregistered" => gone("unregistered", "the app was removed from the device"),
        "ExpiredToken" => gone("token_expired", "the device token has expired"),
        // Not gone: a channel set to the wrong environment would otherwise forget every device it has.
        "BadDeviceToken" => {
            Step::of(reason(C::Recipient, "token_invalid", "the device token is malformed or belongs to the other environment"))
        }
        "ChannelNotRegistered" => Step::of(reason(C::Recipient, "channel_unknown", "there is no such broadcast channel")),
        "DeviceTokenNotForTopic" => Step::of(reason(C::Recipient, "other_app", "the device token belongs to another app")),
        "BadTopic" | "MissingTopic" | "TopicDisallowed" => {
            Step::of(reason(C::Config, "topic_refused", "the key may not send for this bundle id"))
        }
        "MissingDeviceToken"
        | "MissingProviderToken"
        | "BadPath"
        | "MethodNotAllowed"
        | "InvalidPushType"
        | "FeatureNotEnabled"
        | "TopicMismatch" => Step::of(reason(C::Config, "request_refused", "Apple refuses the request as it is made")),
        "BadCertificate" | "BadCertificateEnvironment" | "Forbidden" | "InvalidProviderToken" => {
            Step::of(reason(C::Auth, "key_refused", "the key was revoked, or does not belong to this team"))
        }
        "BadEnvironmentKeyIdInToken" | "BadEnvironmentKeyInToken" => {
            Step::of(reason(C::Config, "key_of_other_environment", "the key is for the other environment"))
        }
        // The token is never older than half an hour: a clock is wrong, or Apple counts from another moment.
        "ExpiredProviderToken" => Step::Done(Verdict::Retry(reason(C::Auth, "token_stale", "Apple takes our token for too old"))),
        "UnrelatedKeyIdInToken" | "IdleTimeout" | "Shutdown" => {
            Step::Done(Verdict::Retry(reason(C::Transient, "connection_over", "this connection is of no more use")))
        }
        "ServiceUnavailable" => Step::Done(Verdict::Retry(reason(C::Transient, "unavailable", "Apple is overloaded"))),
        "TooManyRequests" => {
            let why = reason(C::Throttled, "too_many_requests", "too many pushes to this device");
            Step::throttle(Scope::Conversation, reply.retry_after(), why)
        }
        "TooManyProviderTokenUpdates" => {
            let why = reason(C::Throttled, "too_many_tokens", "tokens of this key were made too often");
            Step::throttle(Scope::Account, Some(reply.retry_after().unwrap_or(TOKEN_FLOOR)), why)
        }
        "PayloadTooLarge" => Step::of(reason(C::Content, "message_too_large", "the payload has more than 4 KB")),
        "BadCollapseId" | "BadExpirationDate" | "BadMessageId" | "BadPriority" | "DuplicateHeaders" | "PayloadEmpty" => {
            Step::of(reason(C::Content, "content_refused", "Apple refuses what the message says"))
        }
        _ => by_status(status, reply, reason),
    }
}

fn by_status(status: u16, reply: &Reply, reason: impl Fn(C, &'static str, &str) -> Reason) -> Step {
    match status {
        410 => {
            Step::Done(Verdict::Gone { reason: reason(C::Recipient, "unregistered", "the device token is no longer valid"), current: None })
        }
        403 => Step::of(reason(C::Auth, "key_refused", "Apple refuses the key")),
        404 | 405 => Step::of(reason(C::Config, "request_refused", "Apple refuses the request as it is made")),
        413 => Step::of(reason(C::Content, "message_too_large", "the payload has more than 4 KB")),
        429 => Step::throttle(
            Scope::Conversation,
            reply.retry_after(),
            reason(C::Throttled, "too_many_requests", "too many pushes to this device"),
        ),
        408 | 425 => Step::of(reason(C::Unknown, "server_fault", "Apple gave up waiting and may have the message")),
        400..=499 => Step::of(reason(C::Content, "refused", "Apple refuses the message")),
        503 => Step::Done(Verdict::Retry(reason(C::Transient, "unavailable", "Apple is overloaded"))),
        _ => Step::of(reason(C::Unknown, "server_fault", "Apple had a fault and may have the message")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_of_reasons() {
        let rows: &[(u16, &str, &[&str])] = &[
            (410, "gone", &["Unregistered", "ExpiredToken", ""]),
            (400, "unreachable", &["BadDeviceToken", "DeviceTokenNotForTopic", "ChannelNotRegistered"]),
            (400, "suspend", &["MissingDeviceToken", "BadTopic", "MissingTopic", "TopicDisallowed", "InvalidPushType"]),
            (404, "suspend", &["BadPath", ""]),
            (405, "suspend", &["MethodNotAllowed", ""]),
            (400, "reject", &["BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "DuplicateHeaders", "PayloadEmpty"]),
            (400, "retry", &["IdleTimeout"]),
            (403, "suspend", &["BadCertificate", "BadCertificateEnvironment", "InvalidProviderToken", "MissingProviderToken"]),
            (403, "suspend", &["BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken", "Forbidden", ""]),
            (403, "retry", &["ExpiredProviderToken", "UnrelatedKeyIdInToken"]),
            (413, "reject", &["PayloadTooLarge", ""]),
            (429, "throttle", &["TooManyRequests", "TooManyProviderTokenUpdates", ""]),
            (500, "unclear", &["InternalServerError", ""]),
            (503, "retry", &["ServiceUnavailable", "Shutdown", ""]),
        ];
        for (status, word, reasons) in rows {
            for why in *reasons {
                let Step::Done(verdict) = classify(&Call::get("x"), &Reply::json(*status, &json!({ "reason": why }))) else {
                    panic!("one call is enough");
                };
                assert_eq!(verdict.word(), *word, "{status} {why}");
            }
        }
    }
}

//! What push services answer: the statuses of RFC 8030, and the words of each operator.
//! autopush-rs.readthedocs.io (errors), developer.apple.com (web push), read 2026-11-20.

use serde_json::Value;

use crate::contract::{ErrorClass as C, Reason, Reply, Scope, Step, Verdict};

/// Milliseconds to wait on 429 where the answer says nothing.
const THROTTLED: u64 = 60_000;
/// Milliseconds: Microsoft's 406 has been seen to last from an hour to a day.
const NOT_ACCEPTABLE: u64 = 3_600_000;
/// Milliseconds to wait on 503 where the answer says nothing.
const UNAVAILABLE: u64 = 10_000;
/// Mozilla's number on a 503 that need not be waited for.
const AT_ONCE: u64 = 202;

pub(super) fn classify(reply: &Reply) -> Step {
    if matches!(reply.status.as_u16(), 200..=202) {
        return Step::accept(id(reply));
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text = String::from_utf8_lossy(&reply.body);
    let word = body["reason"].as_str().unwrap_or_default();
    let status = reply.status.as_u16();
    let named = match (word, body["errno"].as_u64()) {
        ("", Some(errno)) => format!("{status}/{errno}"),
        ("", None) => status.to_string(),
        (word, _) => word.to_owned(),
    };
    let reason = |class, code, title: &str| Reason::new(class, code, title.to_owned()).provider_code(&named);
    let throttle = |default, class, code, title| {
        // Of one browser alone: this operator is one of several, and freezing them all would hold up strangers.
        Step::throttle(Scope::Conversation, Some(reply.retry_after().unwrap_or(default)), reason(class, code, title))
    };
    // Not gone: a channel set to the wrong keys would otherwise forget every browser it has.
    let other_key = || Step::of(reason(C::Recipient, "other_key", "the browser subscribed with another VAPID key and must do so again"));
    match status {
        404 | 410 => {
            let gone = reason(C::Recipient, "unsubscribed", "the browser has unsubscribed, or the subscription has expired");
            Step::Done(Verdict::Gone { reason: gone, current: None })
        }
        400 | 403 if word == "VapidPkHashMismatch" || text.contains("do not correspond") || text.contains("UnauthorizedRegistration") => {
            other_key()
        }
        401 => Step::of(reason(C::Auth, "vapid_refused", "the push service refuses our VAPID token")),
        403 if word == "BadJwtToken" || word == "BadVapidPublicKey" => {
            Step::of(reason(C::Auth, "vapid_refused", "Apple refuses our VAPID token or key"))
        }
        403 => Step::Done(Verdict::Reject(reason(C::Auth, "forbidden", "the push service refuses us for this browser"))),
        406 => throttle(NOT_ACCEPTABLE, C::Throttled, "too_many_requests", "too many pushes for Microsoft"),
        429 => throttle(THROTTLED, C::Throttled, "too_many_requests", "too many pushes for this push service"),
        413 => Step::of(reason(C::Content, "message_too_large", "the push is too large for this push service")),
        300..=399 => {
            // Of one browser alone: the channel goes on for the others.
            Step::Done(Verdict::Reject(reason(C::Config, "endpoint_moved", "the push service points elsewhere, where we do not follow")))
        }
        408 | 425 => Step::of(reason(C::Unknown, "server_fault", "the push service gave up waiting and may have the push")),
        400..=499 => Step::of(reason(C::Content, "refused", "the push service refuses the push as it is made")),
        503 if body["errno"] == AT_ONCE => {
            Step::Done(Verdict::Retry(reason(C::Transient, "unavailable", "the push service asks for the push again")))
        }
        503 => throttle(UNAVAILABLE, C::Transient, "unavailable", "the push service is overloaded"),
        _ => Step::of(reason(C::Unknown, "server_fault", "the push service had a fault and may have the push")),
    }
}

/// The push's id: Apple's own, else the last part of the resource it became.
fn id(reply: &Reply) -> String {
    let header = |name: &str| reply.headers.get(name).and_then(|v| v.to_str().ok());
    let resource = || header("location").and_then(|l| l.split('?').next()?.trim_end_matches('/').rsplit('/').next());
    header("apns-id").or_else(resource).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_of_errors() {
        let mozilla = |errno: u16| json!({ "errno": errno, "error": "e", "message": "m" });
        let apple = |reason: &str| json!({ "reason": reason });
        let rows = [
            (400, mozilla(111), "reject"),
            (400, mozilla(113), "reject"),
            (400, json!("UnauthorizedRegistration"), "unreachable"),
            (400, apple("VapidPkHashMismatch"), "unreachable"),
            (403, apple("VapidPkHashMismatch"), "unreachable"),
            (400, apple("BadWebPushTopic"), "reject"),
            (400, apple("BadTtl"), "reject"),
            (403, apple("BadVapidPublicKey"), "suspend"),
            (403, apple("BadJwtToken"), "suspend"),
            (401, mozilla(109), "suspend"),
            (403, json!("the VAPID credentials in the authorization header do not correspond to the credentials"), "unreachable"),
            (403, json!({}), "reject"),
            (404, mozilla(102), "gone"),
            (410, mozilla(106), "gone"),
            (410, apple("Unregistered"), "gone"),
            (406, json!({}), "throttle"),
            (413, mozilla(104), "reject"),
            (429, json!({}), "throttle"),
            (500, json!({}), "unclear"),
            (502, mozilla(902), "unclear"),
            (503, mozilla(201), "throttle"),
            (503, mozilla(202), "retry"),
            (307, json!({}), "reject"),
        ];
        for (status, body, word) in rows {
            let Step::Done(verdict) = classify(&Reply::json(status, &body)) else { panic!("one call is enough") };
            assert_eq!(verdict.word(), word, "{status} {body}");
        }
    }
}

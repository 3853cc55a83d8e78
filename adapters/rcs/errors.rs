//! What the RBM API answers: a status, a word, a sentence.

use http::Method;

use crate::contract::*;
use crate::kit::google::Fault;
use crate::kit::object::Object;
use ErrorClass as C;

/// What an answer means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    let recall = call.method == Method::DELETE;
    if reply.status.is_success() && recall {
        return Step::accept(""); // The answer is an empty object.
    }
    if reply.status.is_success() {
        let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
        return match body.words("name") {
            Some(_) if call.url.contains("/agentEvents?") => Step::accept(""),
            Some(name) => Step::accept(name.rsplit('/').next().unwrap_or_default().to_owned()),
            None => Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))),
        };
    }
    let fault = Fault::read(reply);
    let bare = adapter::unexplained(reply.status);
    let bare = if fault.status.is_empty() { bare.provider_code(status) } else { bare.provider_code(&fault.status) };
    let reason = |class, ours: &'static str, title: &'static str| Reason { class, code: ours.into(), title: title.into(), ..bare.clone() };
    let says = |words: &[&str]| words.iter().any(|word| fault.words.contains(word));
    match status {
        429 => Step::throttle(Scope::Account, reply.retry_after(), reason(C::Throttled, "too_many_requests", "The agent is too fast.")),
        // The message's own id makes repeating safe.
        408 | 425 | 500..=599 => Step::Done(Verdict::Retry(reason(C::Transient, "provider_error", "Google had a fault."))),
        401 => Step::Done(Verdict::LogIn(reason(C::Auth, "token_expired", "Google does not accept the token any more."))),
        403 if says(&["unsubscribed", "opted out", "opt-out"]) => {
            Step::of(reason(C::OptedOut, "unsubscribed", "The person has unsubscribed."))
        }
        // The sender's traffic kind, one carrier's rules: the next message may pass.
        403 if says(&["traffic", "carrier"]) => {
            Step::Done(Verdict::Reject(reason(C::Config, "not_allowed", "The agent may not send this kind of message to this carrier.")))
        }
        403 if fault.status == "PERMISSION_DENIED" => {
            Step::of(reason(C::Config, "permission_denied", "The service account does not belong to the agent, or the agent is suspended."))
        }
        404 if fault.status == "NOT_FOUND" && recall => Step::Done(Verdict::Reject(reason(
            C::Window,
            "too_late",
            "The phone has the message already: it can be taken back before that alone.",
        ))),
        404 if fault.status == "NOT_FOUND" => {
            Step::of(reason(C::Recipient, "not_on_rcs", "The number has no RCS, or the agent is not launched with its carrier."))
        }
        // Posted before under the same id.
        409 if fault.status == "ALREADY_EXISTS" && taken(call).is_some() => Step::accept(taken(call).unwrap_or_default()),
        400 if fault.status == "INVALID_ARGUMENT" => {
            Step::of(reason(C::Content, "message_invalid", "Google does not take the message for this device."))
        }
        _ => Step::of(bare),
    }
}

fn taken(call: &Call) -> Option<String> {
    let (_, id) = call.url.split_once("messageId=")?;
    Some(id.split('&').next().unwrap_or_default().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kit::google::refused;

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let call = Call::json("https://x.example/v1/phones/%2B1/agentMessages?messageId=0e1d&agentId=a", &json!({}));
        let rows: &[(u16, &str, &str, &str, ErrorClass)] = &[
            (404, "NOT_FOUND", "x", "unreachable", C::Recipient),
            (400, "INVALID_ARGUMENT", "x", "reject", C::Content),
            (401, "UNAUTHENTICATED", "x", "log_in", C::Auth),
            (403, "PERMISSION_DENIED", "Agent is suspended", "suspend", C::Config),
            (403, "PERMISSION_DENIED", "Message traffic type is not allowed", "reject", C::Config),
            (403, "PERMISSION_DENIED", "The user has unsubscribed", "unreachable", C::OptedOut),
            (429, "RESOURCE_EXHAUSTED", "x", "throttle", C::Throttled),
            (500, "INTERNAL", "x", "retry", C::Transient),
            (503, "UNAVAILABLE", "x", "retry", C::Transient),
        ];
        for (status, word, message, verdict, class) in rows {
            let Step::Done(found) = classify(&call, &refused(*status, word, message)) else { panic!("{word}") };
            assert_eq!((found.word(), found.reason().map(|r| r.class)), (*verdict, Some(*class)), "{status} {message}");
        }
        let again = classify(&call, &refused(409, "ALREADY_EXISTS", "x"));
        assert!(matches!(again, Step::Done(Verdict::Accept { provider_id }) if provider_id == "0e1d"));
    }
}

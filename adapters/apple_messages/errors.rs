//! What an answer means: by its status alone, for Apple publishes no codes.

use crate::contract::*;

/// What the answer to a call means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    use ErrorClass as C;
    let status = reply.status.as_u16();
    let reason = |class, code: &'static str, title: &'static str| Reason::new(class, code, title).provider_code(status);
    match status {
        // The message's id is the one we gave it.
        200..=299 => Step::accept(call.headers.iter().find(|(name, _)| name == "id").map(|(_, id)| id.clone()).unwrap_or_default()),
        401 | 403 => Step::of(reason(C::Auth, "token_refused", "Apple refuses the token, or the business is not this provider's")),
        404 | 410 => {
            Step::of(reason(C::OptedOut, "conversation_closed", "the customer closed the conversation, or is unknown: they write first"))
        }
        413 => Step::of(reason(C::Content, "message_too_large", "the message is too large")),
        429 => Step::throttle(Scope::Account, reply.retry_after(), reason(C::Throttled, "too_fast", "Apple wants fewer messages")),
        503 if reply.retry_after().is_some() => {
            Step::throttle(Scope::Account, reply.retry_after(), reason(C::Throttled, "unavailable", "Apple asks to wait"))
        }
        408 | 425 | 500..=599 => {
            Step::Done(Verdict::Unclear(reason(C::Unknown, "unavailable", "Apple failed and does not say whether it has the message")))
        }
        400..=499 => Step::of(reason(C::Content, "message_invalid", "Apple does not take the message")),
        _ => Step::of(adapter::unexplained(reply.status)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_status_of_the_table_leads_somewhere() {
        let table: &[(&[u16], &str)] = &[
            (&[200, 204], "accept "),
            (&[400, 413, 422], "reject content"),
            (&[401, 403], "suspend auth"),
            (&[404, 410], "unreachable opted_out"),
            (&[429], "throttle throttled"),
            (&[500, 502, 503, 504, 408], "unclear unknown"),
        ];
        let call = Call::json("https://x.test/v1/message", &json!({}));
        for (statuses, expected) in table {
            for status in *statuses {
                let Step::Done(verdict) = classify(&call, &Reply::json(*status, &json!({}))) else { panic!("one step") };
                let class = verdict.reason().map(|r| r.class.word()).unwrap_or_default();
                assert_eq!(format!("{} {class}", verdict.word()), *expected, "{status}");
            }
        }
        let busy = Reply::json(503, &json!({})).header("retry-after", "3");
        let step = classify(&call.clone().header("id", "u-1"), &busy);
        assert!(matches!(step, Step::Done(Verdict::Throttle { scope: Scope::Account, after: Some(3000), .. })));
        let Step::Done(Verdict::Accept { provider_id }) = classify(&call.header("id", "u-1"), &Reply::json(200, &json!(null))) else {
            panic!("taken")
        };
        assert_eq!(provider_id, "u-1");
    }
}

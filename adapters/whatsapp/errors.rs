//! What an answer means. The code decides, never the words (`support/error-codes`, read 2026-11-20).

use http::StatusCode;

use crate::contract::*;
use crate::kit::hub::{self, Fault};

/// What a code leads to besides its class.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// Too fast: this scope, for at least so many milliseconds (0: as the schedule says).
    Throttle(Scope, u64),
    /// Surely not accepted, may pass.
    Retry,
    /// Perhaps accepted.
    Unclear,
    /// Never.
    Reject,
    /// Never to this person.
    Unreachable,
    /// Not until somebody mends the channel.
    Suspend,
}

const HOUR: u64 = 3_600_000;

/// What the answer to a call means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let upload = matches!(call.body, CallBody::Multipart(_));
    if reply.status.is_success() && reply.status != StatusCode::PARTIAL_CONTENT {
        return if upload { uploaded(call, reply) } else { accepted(reply) };
    }
    let Some(fault) = Fault::read(reply) else {
        return without_code(reply, upload);
    };
    let reason = reason(fault.code, fault.subcode, &fault.words);
    if fault.code == 131_053 && call.then.is_none() && link_in(call) {
        // The link could not be fetched. Once more, then it is the link's fault.
        return Step::Call(call.clone().then("again"));
    }
    let wait = |at_least: u64| reply.retry_after().or_else(|| hub::regain_access(reply)).or((at_least > 0).then_some(at_least));
    let known = row(fault.code, fault.subcode);
    Step::Done(match known.map(|(.., act)| act) {
        Some(Act::Throttle(scope, at_least)) => Verdict::Throttle { scope, after: wait(at_least), reason },
        _ if reply.status == StatusCode::TOO_MANY_REQUESTS => {
            Verdict::Throttle { scope: Scope::Sender, after: wait(0), reason: Reason { class: ErrorClass::Throttled, ..reason } }
        }
        Some(Act::Retry) => Verdict::Retry(reason),
        // An upload is no message: doing it again harms nobody.
        Some(Act::Unclear) if upload => Verdict::Retry(reason),
        Some(Act::Unclear) => Verdict::Unclear(reason),
        Some(Act::Reject) => Verdict::Reject(reason),
        Some(Act::Unreachable) => Verdict::Unreachable(reason),
        Some(Act::Suspend) => Verdict::Suspend(reason),
        None if fault.transient => Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason }),
        None if reply.status.is_server_error() => Verdict::Unclear(reason),
        // A code nobody documents, with a refusal: it was not sent, and would not be next time.
        None => return Step::of(Reason { class: adapter::unexplained(reply.status).class, ..reason }),
    })
}

fn without_code(reply: &Reply, upload: bool) -> Step {
    let reason = adapter::unexplained(reply.status);
    match reply.status.as_u16() {
        429 => Step::throttle(Scope::Sender, reply.retry_after(), reason),
        _ if upload && !reply.status.is_client_error() => Step::Done(Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason })),
        _ => Step::of(reason),
    }
}

fn link_in(call: &Call) -> bool {
    call.body_bytes().windows(8).any(|w| w == b"\"link\":\"")
}

#[derive(serde::Deserialize)]
struct Success {
    #[serde(default)]
    messages: Vec<Sent>,
    #[serde(default)]
    success: bool,
}

#[derive(serde::Deserialize)]
struct Sent {
    id: String,
}

fn accepted(reply: &Reply) -> Step {
    let strange = || Reason::new(ErrorClass::Unknown, "strange_answer", "WhatsApp answered without a message id");
    let Ok(answer) = serde_json::from_slice::<Success>(&reply.body) else {
        return Step::Done(Verdict::Unclear(strange()));
    };
    match answer.messages.into_iter().next() {
        Some(sent) if !sent.id.is_empty() => Step::accept(sent.id),
        // Typing and read receipts have no id.
        _ if answer.success => Step::accept(""),
        _ => Step::Done(Verdict::Unclear(strange())),
    }
}

/// A file is there: now the message that waits for it.
fn uploaded(call: &Call, reply: &Reply) -> Step {
    let id = serde_json::from_slice::<Sent>(&reply.body).map(|sent| sent.id).unwrap_or_default();
    match super::media::send(call, &id) {
        Some(next) if !id.is_empty() => Step::Call(next),
        _ => Step::Done(Verdict::Retry(Reason::new(ErrorClass::Transient, "strange_answer", "the upload was answered without an id"))),
    }
}

/// A code as our reason.
pub(super) fn reason(code: i64, subcode: i64, words: &str) -> Reason {
    let reason = match row(code, subcode) {
        Some((class, ours, title, _)) => Reason::new(class, ours, title),
        None if words.is_empty() => Reason::new(ErrorClass::Unknown, "provider_error", "WhatsApp gave a code we do not know"),
        None => Reason::new(ErrorClass::Unknown, "provider_error", words.to_owned()),
    };
    let subcode = if subcode == 0 { String::new() } else { format!("/{subcode}") };
    reason.provider_code(format!("{code}{subcode}"))
}

/// Class, our code, a sentence, and what it leads to.
fn row(code: i64, subcode: i64) -> Option<(ErrorClass, &'static str, &'static str, Act)> {
    use Act::*;
    use ErrorClass as C;
    Some(match code {
        0 => (C::Auth, "auth_failed", "the app user could not be authenticated", Suspend),
        3 => (C::Auth, "permission_missing", "the app lacks the capability for this call", Suspend),
        10 | 200..=299 => (C::Auth, "permission_missing", "the permission was not granted or was removed", Suspend),
        190 => (C::Auth, "token_invalid", "the access token is expired or invalid", Suspend),
        131_005 => (C::Auth, "permission_missing", "access was denied to this number or account", Suspend),

        4 => (C::Throttled, "app_rate", "the app makes too many calls", Throttle(Scope::Account, 0)),
        80_007 => (C::Throttled, "account_rate", "the business account makes too many calls", Throttle(Scope::Account, 0)),
        130_429 => (C::Throttled, "sender_rate", "the number sends faster than it may", Throttle(Scope::Sender, 0)),
        131_048 => {
            (C::Throttled, "quality_limit", "the number is held back for its quality: stop campaigns", Throttle(Scope::Sender, HOUR))
        }
        131_056 => (C::Throttled, "pair_rate", "too many messages to this person in a short time", Throttle(Scope::Conversation, 6_000)),
        131_064 => {
            (C::Throttled, "messaging_limit", "the messaging limit was cut for misclassified templates", Throttle(Scope::Account, HOUR))
        }
        133_016 => (C::Throttled, "registration_rate", "the number was registered too often", Throttle(Scope::Sender, HOUR)),
        613 => (C::Throttled, "call_rate", "too many calls of this kind", Throttle(Scope::Sender, 0)),
        131_208 => (C::Throttled, "group_rate", "too many group operations", Throttle(Scope::Sender, 0)),
        138_002 => (C::Throttled, "calls_at_once", "too many calls at once", Throttle(Scope::Sender, 0)),
        138_009 | 138_012 => (C::Throttled, "call_limit", "the limit of calls or call requests to this person is reached", Unreachable),
        // Withheld for this person, and only marketing is: no scope of ours is as narrow, so nothing is frozen.
        131_049 => (C::Throttled, "marketing_cap", "withheld: this person gets enough marketing; not again before 24 hours", Unreachable),
        // The flow's own ten an hour: freezing the number would hold everything else.
        132_069 => (C::Throttled, "flow_rate", "the flow is throttled to ten messages an hour", Retry),

        368 => (C::Config, "account_restricted", "the account is restricted for a policy violation", Suspend),
        131_031 => (C::Config, "account_locked", "the account is locked", Suspend),
        131_042 | 131_044 => (C::Config, "payment_problem", "the payment method has a problem", Suspend),
        33 => (C::Config, "number_deleted", "the business number was deleted", Suspend),
        131_037 => (C::Config, "display_name_missing", "the number has no approved display name", Suspend),
        131_045 => (C::Config, "number_certificate", "the number's certificate or registration has a problem", Suspend),
        133_010 => (C::Config, "number_not_registered", "the number is not registered on the Cloud API", Suspend),
        133_000 | 133_005 | 133_006 | 133_008 | 133_009 | 133_015 => {
            (C::Config, "number_registration", "the number's registration or PIN needs attention", Suspend)
        }

        130_497 => (C::Recipient, "country_not_allowed", "the business may not write to people in that country", Unreachable),
        131_026 => (C::Recipient, "undeliverable", "not on WhatsApp, an old client, terms not accepted, or blocked", Unreachable),
        131_021 => (C::Recipient, "recipient_is_sender", "the recipient is the sender", Unreachable),
        130_472 => (C::Recipient, "experiment", "withheld: the person is in a holdout experiment", Unreachable),
        131_062 => (C::Recipient, "needs_phone_number", "this kind of message needs the person's phone number", Unreachable),
        137_000 => (C::Recipient, "identity_changed", "the person's identity key changed: verify again", Unreachable),
        131_043 => (C::Recipient, "expired", "the message expired before it was delivered", Unreachable),
        138_001 => (C::Recipient, "not_callable", "this person cannot be called", Unreachable),
        138_006 => (C::Recipient, "call_not_permitted", "this person has not permitted calls", Unreachable),
        131_030 => (C::Config, "recipient_not_allowed", "a test number sends only to its allow list", Unreachable),
        131_050 => (C::OptedOut, "opted_out", "the person stopped marketing from this business", Unreachable),
        131_047 => (C::Window, "window_closed", "more than 24 hours since the person's last message: use a template", Reject),

        1 => (C::Unknown, "invalid_or_broken", "an invalid request or an error at WhatsApp", Unclear),
        131_000 => (C::Unknown, "unknown_failure", "WhatsApp failed for an unknown reason", Unclear),
        2 | 131_016 | 133_004 => (C::Transient, "unavailable", "WhatsApp is unavailable or overloaded", Retry),
        131_057 | 2_494_100 => (C::Transient, "maintenance", "the number is in maintenance for some minutes", Retry),
        134_101 => (C::Transient, "template_syncing", "the template is still being copied for the marketing API", Retry),

        100 if subcode == 33 => (C::Config, "object_missing", "the id is wrong or not accessible", Suspend),
        100 => (C::Content, "parameter_invalid", "a parameter is unknown or invalid", Reject),
        131_008 => (C::Content, "parameter_missing", "a required parameter is missing", Reject),
        131_009 => (C::Content, "parameter_invalid", "a parameter has an invalid value", Reject),
        131_001 => (C::Content, "text_too_long", "the message is too long", Reject),
        131_051 => (C::Content, "type_not_supported", "this type of message is not supported", Reject),
        135_000 => (C::Content, "request_invalid", "the request was refused without a closer reason", Reject),
        131_052 => (C::Content, "media_download", "the person's media could not be fetched", Reject),
        131_053 => (C::Content, "media_upload", "the media could not be fetched or has the wrong type", Reject),
        132_000 => (C::Content, "template_params", "the number of template parameters is wrong", Reject),
        132_005 => (C::Content, "template_too_long", "the filled-in template is too long", Reject),
        132_007 => (C::Content, "template_policy", "the template's content violates a policy", Reject),
        132_008 | 132_012 | 132_018 => (C::Content, "template_params", "a template parameter has the wrong form", Reject),
        506 | 131_002 | 131_006 => (C::Content, "request_invalid", "the request was refused (a code of old)", Reject),
        131_020 | 131_041 | 131_201 | 131_202 | 131_204 | 131_209..=131_210 | 131_212 | 131_213 => {
            (C::Content, "group_request", "the group or its members do not allow this", Reject)
        }

        // The template, the recipient list or the endpoint is at fault, not the whole channel: other messages still go.
        132_001 => (C::Config, "template_missing", "the template does not exist in this language or is not approved", Reject),
        132_015 => (C::Config, "template_paused", "the template is paused for its quality", Reject),
        132_016 => (C::Config, "template_disabled", "the template is disabled", Reject),
        132_068 => (C::Config, "flow_blocked", "the flow is blocked", Reject),
        131_063 => (C::Config, "marketing_api_needed", "marketing templates must go by the Marketing Messages API", Reject),
        131_055 | 134_100 => (C::Config, "marketing_only", "this endpoint takes marketing templates only", Reject),
        134_102 => (C::Config, "template_unavailable", "the template cannot be used with the marketing API", Reject),
        134_011 => (C::Config, "payments_terms", "the payments terms were not accepted", Reject),
        131_207 => (C::Config, "group_suspended", "the group is suspended", Reject),
        131_211 | 131_214 | 131_215 => (C::Config, "groups_not_allowed", "the number may not have this or more groups", Reject),
        138_000..=138_018 => (C::Config, "calling", "calling is not set up for this", Reject),
        139_000..=139_004 => (C::Config, "flow_management", "the flow cannot be used", Reject),
        139_100..=139_103 => (C::Config, "block_list", "the block list refused this", Reject),
        2_388_019 | 2_388_040 | 2_388_047 | 2_388_072 | 2_388_073 | 2_388_293 | 2_388_299 => {
            (C::Config, "template_creation", "the template could not be created", Reject)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(status: u16, code: i64) -> String {
        let reply = Reply::json(status, &json!({ "error": { "code": code, "message": "x" } }));
        match classify(&Call::json("https://graph.test/v25.0/1/messages", &json!({ "type": "text" })), &reply) {
            Step::Call(_) => "call".into(),
            Step::Done(verdict) => match verdict {
                Verdict::Accept { .. } => "accept".into(),
                Verdict::Throttle { scope, .. } => format!("throttle {}", scope.word()),
                Verdict::Retry(r) => format!("retry {}", r.class.word()),
                Verdict::Unclear(_) => "unclear".into(),
                Verdict::Reject(r) => format!("reject {}", r.class.word()),
                Verdict::Unreachable(r) => format!("unreachable {}", r.class.word()),
                Verdict::Suspend(r) => format!("suspend {}", r.class.word()),
                other => other.word().into(),
            },
        }
    }

    #[test]
    fn every_code_of_the_table_leads_somewhere() {
        let table: &[(u16, &[i64], &str)] = &[
            (401, &[0, 190], "suspend auth"),
            (403, &[10, 200, 299, 131_005], "suspend auth"),
            (500, &[3], "suspend auth"),
            (400, &[4, 80_007, 131_064], "throttle account"),
            (400, &[130_429, 131_048, 133_016, 613], "throttle sender"),
            (429, &[131_208, 999_999], "throttle sender"),
            (400, &[131_056], "throttle conversation"),
            (403, &[368, 131_031], "suspend config"),
            (400, &[33, 131_037, 131_042, 133_010, 133_000, 133_005, 133_006, 133_008, 133_009, 133_015], "suspend config"),
            (500, &[131_045], "suspend config"),
            (403, &[130_497], "unreachable recipient"),
            (400, &[131_026, 131_021, 130_472, 131_062, 137_000], "unreachable recipient"),
            (400, &[131_030], "unreachable config"),
            (400, &[131_050], "unreachable opted_out"),
            (400, &[131_049], "unreachable throttled"),
            (400, &[131_047], "reject window"),
            (400, &[1], "unclear"),
            (500, &[131_000, 424_242], "unclear"),
            (503, &[2, 133_004], "retry transient"),
            (500, &[131_016, 131_057, 2_494_100, 134_101], "retry transient"),
            (
                400,
                &[100, 131_008, 131_009, 131_001, 131_051, 135_000, 131_053, 132_000, 132_005, 132_007, 132_008, 132_012],
                "reject content",
            ),
            (400, &[131_020, 131_041, 131_202, 131_204, 131_209, 131_210, 131_212, 131_213, 506], "reject content"),
            (404, &[132_001], "reject config"),
            (400, &[132_015, 132_016, 132_068, 131_063, 131_055, 134_100, 134_102, 134_011, 131_211, 131_214], "reject config"),
            (400, &[138_003, 139_000, 139_103, 2_388_019], "reject config"),
            (400, &[132_069], "retry throttled"),
            (400, &[424_242], "reject content"),
        ];
        for (status, codes, expected) in table {
            for code in *codes {
                assert_eq!(verdict(*status, *code), *expected, "{code}");
            }
        }
    }

    #[test]
    fn a_link_that_could_not_be_fetched_is_tried_once_more() {
        let reply = Reply::json(400, &json!({ "error": { "code": 131_053 } }));
        let call = Call::json("https://graph.test/v25.0/1/messages", &json!({ "image": { "link": "https://a.test/i" } }));
        let Step::Call(again) = classify(&call, &reply) else { panic!("not tried again") };
        assert!(matches!(classify(&again, &reply), Step::Done(Verdict::Reject(_))));
    }
}

//! Meta's error codes for WhatsApp: the same numbers in answers and in statuses.

use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// What a code leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// What its class leads to.
    Class(C),
    /// The set-up is wrong for this message alone: its template, its recipient, its kind. The channel goes on.
    Narrow,
    /// It may have been accepted all the same.
    Ambiguous,
    /// Too fast: what, and for how long in milliseconds where that is known.
    Slow(Scope, Option<u64>),
    /// Too fast for something smaller than any scope of ours: this message waits alone.
    Wait,
    /// This person gets no more advertising for now; answers to them still go.
    Fed,
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// After a burst to one person a message goes each 6 seconds.
const PAIR_MS: u64 = 6000;

/// What is known of a code (support/error-codes, read 2026-11-20): what it leads to, our word for it, and a sentence.
fn meaning(code: i64) -> Option<(Act, &'static str, &'static str)> {
    use Act::{Ambiguous, Class, Fed, Narrow, Slow, Wait};
    Some(match code {
        0 | 190 => (Class(C::Auth), "token_invalid", "The access token is wrong or has expired."),
        3 | 10 | 200..=299 => (Class(C::Auth), "permission_missing", "The access token may not do this."),
        131005 => (Class(C::Auth), "access_denied", "The access token has no access to this number."),

        4 => (Slow(Scope::Account, None), "app_rate", "The app calls too often."),
        80007 => (Slow(Scope::Account, None), "account_rate", "The business account calls too often."),
        130429 => (Slow(Scope::Sender, None), "throughput", "The number sends faster than its throughput."),
        131048 => (Slow(Scope::Sender, Some(HOUR)), "spam_limit", "The number is held back: too many people blocked or reported it."),
        131056 => (Slow(Scope::Conversation, Some(PAIR_MS)), "pair_rate", "Too many messages to this person in a short time."),
        131064 => (Slow(Scope::Account, Some(HOUR)), "messaging_limit", "The messaging limit was cut because templates were filed wrongly."),
        133016 => (Slow(Scope::Sender, Some(HOUR)), "registration_rate", "The number was registered and deregistered too often."),
        613 => (Slow(Scope::Sender, None), "call_rate", "Calls of this kind come too often."),
        131208 => (Slow(Scope::Sender, None), "group_rate", "Too many group operations."),
        132069 => (Wait, "flow_throttled", "The flow is held back to 10 messages an hour."),
        138002 | 138009 | 138012 => (Slow(Scope::Sender, None), "call_limit", "Too many calls or requests to call."),

        368 => (Class(C::Config), "account_restricted", "The business account is restricted for a breach of policy."),
        131031 => (Class(C::Config), "account_locked", "The business account is locked or disabled."),
        131042 | 131044 => (Class(C::Config), "payment_problem", "The account's payment method has a problem."),
        33 => (Class(C::Config), "number_deleted", "The business number no longer exists or is not the token's."),
        131037 => (Class(C::Config), "display_name_missing", "The number needs an approved display name."),
        131045 => (Class(C::Config), "certificate_invalid", "The number's certificate or registration has a problem."),
        133010 => (Class(C::Config), "not_registered", "The number is not registered for the Cloud API."),
        133000 | 133005 | 133006 | 133008 | 133009 | 133015 => {
            (Class(C::Config), "registration_incomplete", "The number's registration or its PIN is not in order.")
        }
        131030 => (Narrow, "not_in_allow_list", "A test number writes to the people on its list alone."),
        131063 => (Narrow, "marketing_disabled", "Marketing templates have to go through the marketing endpoint."),
        131055 | 134100 => (Narrow, "marketing_only", "Only marketing templates may go through this endpoint."),
        134102 => (Narrow, "template_unavailable", "The template cannot be sent through the marketing endpoint."),
        132001 => (Narrow, "template_missing", "The template does not exist in this language or is not approved."),
        132015 => (Narrow, "template_paused", "The template is paused for its quality."),
        132016 => (Narrow, "template_disabled", "The template is disabled for good."),
        132068 => (Narrow, "flow_blocked", "The flow is blocked."),
        134011 => (Narrow, "payments_terms", "The terms for payments are not accepted."),
        131207 => (Narrow, "group_suspended", "The group is suspended."),
        131211 | 131214 | 131215 => (Narrow, "groups_unavailable", "The number cannot have this group."),
        138000..=138018 if code == 138001 => (Class(C::Recipient), "not_callable", "The person cannot be called."),
        138006 => (Narrow, "call_not_permitted", "The person has not allowed calls."),
        138000..=138018 => (Narrow, "calling_problem", "Calling is not set up for this."),
        139000..=139004 | 139100..=139103 => (Narrow, "management_problem", "The flow or the block list is not as this needs it."),
        2388019 | 2388040 | 2388047 | 2388072 | 2388073 | 2388293 | 2388299 => {
            (Narrow, "template_refused", "The template cannot be created like this.")
        }

        1 | 131000 => (Ambiguous, "provider_error", "WhatsApp had a fault and does not say whether it has the message."),
        2 | 131016 | 133004 => (Class(C::Transient), "unavailable", "WhatsApp is overloaded or down."),
        131057 | 2494100 => (Class(C::Transient), "maintenance", "The number is in maintenance for some minutes."),
        134101 => (Class(C::Transient), "template_syncing", "The template is not yet known to the marketing endpoint."),

        100 => (Class(C::Content), "parameter_invalid", "A parameter of the message is unknown or wrong."),
        131008 => (Class(C::Content), "parameter_missing", "A parameter of the message is missing."),
        131009 => (Class(C::Content), "parameter_invalid", "A parameter of the message has a wrong value."),
        131001 => (Class(C::Content), "text_too_long", "The message is too long."),
        131051 => (Class(C::Content), "type_not_supported", "WhatsApp does not know this type of message."),
        135000 | 506 | 131002 | 131006 => (Class(C::Content), "request_invalid", "WhatsApp refuses the request and does not say what is wrong."),
        131053 => (Class(C::Content), "media_unreachable", "A file could not be fetched, or is not of a type that fits."),
        131052 => (Class(C::Content), "media_not_fetched", "A file that a person sent could not be fetched."),
        132000 => (Class(C::Content), "template_params_count", "The template has another number of parameters."),
        132005 => (Class(C::Content), "template_too_long", "The template is too long with these parameters."),
        132007 => (Class(C::Content), "template_policy", "The template's content breaks a policy."),
        132008 | 132012 | 132018 => (Class(C::Content), "template_params", "The template's parameters do not fit."),
        131020 | 131041 | 131201 | 131202 | 131204 | 131209 | 131210 | 131212 | 131213 => {
            (Class(C::Content), "group_request", "The group cannot take this.")
        }

        131047 => (Class(C::Window), "window_closed", "The person has not written within 24 hours; only a template goes."),
        131026 => (Class(C::Recipient), "undeliverable", "The person is not on WhatsApp, has not accepted its terms, or has blocked us."),
        131021 => (Class(C::Recipient), "recipient_is_sender", "The number cannot write to itself."),
        130497 => (Class(C::Recipient), "country_not_allowed", "The business may not write to people in this country."),
        130472 => (Class(C::Recipient), "in_experiment", "The person is in an experiment of WhatsApp's and gets no advertising."),
        131062 => (Class(C::Recipient), "needs_number", "This kind of message needs the person's phone number."),
        137000 => (Class(C::Recipient), "identity_changed", "The person's identity has changed; verify it first."),
        131043 => (Class(C::Recipient), "expired", "The message expired before it could be delivered."),
        131050 => (Class(C::OptedOut), "marketing_stopped", "The person wants no advertising from this business."),
        131049 => (Fed, "marketing_limited", "WhatsApp shows this person no more advertising for at least 24 hours."),
        _ => return None,
    })
}

/// The reason in a status. Codes that are new keep Meta's own title.
pub(super) fn told(code: &str, title: Option<&str>) -> Reason {
    let known = code.trim().parse().ok().and_then(meaning);
    let reason = match known {
        Some((act, ours, title)) => {
            let class = match act {
                Act::Class(class) => class,
                Act::Narrow => C::Config,
                Act::Ambiguous => C::Transient,
                Act::Slow(..) | Act::Wait | Act::Fed => C::Throttled,
            };
            Reason::new(class, ours, title)
        }
        None => {
            let title = title.map_or(Text::Borrowed("It failed with a code we do not know."), |title| Text::Owned(title.to_owned()));
            Reason::new(C::Unknown, "unexplained", title)
        }
    };
    if code.is_empty() { reason } else { reason.provider_code(code) }
}

/// What an answer to a send means.
pub(super) fn classify(reply: &Reply) -> Step {
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    if let Some(error) = body.object("error") {
        return refused(reply, &error);
    }
    if reply.status.is_success() {
        let id = body.objects("messages").first().and_then(|message| message.words("id"));
        return match id {
            Some(id) => Step::accept(id),
            // Signals (typing, read) and pins answer so.
            None if body.flag("success") => Step::accept(""),
            None => Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))),
        };
    }
    let reason = adapter::unexplained(reply.status);
    match reply.status.as_u16() {
        429 => Step::throttle(Scope::Sender, wait(reply), reason),
        500..=599 => Step::Done(Verdict::Unclear(reason)),
        404 => Step::of(Reason { class: C::Config, ..reason }),
        _ => Step::of(reason),
    }
}

fn refused(reply: &Reply, error: &Object<'_>) -> Step {
    let code = error.int("code");
    let Some((code, (act, ours, title))) = code.and_then(|code| Some((code, meaning(code)?))) else {
        return new_code(reply, code, error.flag("is_transient"));
    };
    let reason = Reason::new(C::Throttled, ours, title).provider_code(code);
    match act {
        Act::Slow(scope, after) => Step::throttle(scope, wait(reply).or(after), reason),
        Act::Wait => Step::Done(Verdict::Retry(reason)),
        Act::Fed => Step::Done(Verdict::Unreachable(reason)),
        Act::Narrow => Step::Done(Verdict::Reject(Reason { class: C::Config, ..reason })),
        Act::Ambiguous => Step::Done(Verdict::Unclear(Reason { class: C::Unknown, ..reason })),
        // The numbers' endpoint itself is gone, not a parameter of the message.
        Act::Class(C::Content) if code == 100 && error.int("error_subcode") == Some(33) => {
            let title = "The business number does not exist or the token has no access to it.";
            Step::of(Reason { class: C::Config, code: "number_unknown".into(), title: title.into(), ..reason })
        }
        // Throttles come with codes that are not listed too; a 429 is one whatever it says.
        Act::Class(class) if reply.status == 429 && class != C::Throttled => Step::throttle(Scope::Sender, wait(reply), reason),
        Act::Class(class) => Step::of(Reason { class, ..reason }),
    }
}

/// A code nobody has told us of.
fn new_code(reply: &Reply, code: Option<i64>, transient: bool) -> Step {
    let reason = adapter::unexplained(reply.status);
    let reason = if let Some(code) = code { reason.provider_code(code) } else { reason };
    match reply.status.as_u16() {
        429 => Step::throttle(Scope::Sender, wait(reply), reason),
        400..=499 if transient => Step::of(Reason { class: C::Transient, ..reason }),
        400..=499 => Step::of(reason),
        _ => Step::Done(Verdict::Unclear(reason)),
    }
}

/// How long to wait: `Retry-After`, or the usage header's minutes until access returns.
fn wait(reply: &Reply) -> Option<u64> {
    reply.retry_after().or_else(|| {
        let usage = reply.headers.get("x-business-use-case-usage")?.to_str().ok()?;
        let accounts = Object::parse(usage)?;
        let minutes = accounts.0.iter().flat_map(|(name, _)| accounts.objects(name));
        let longest = minutes.filter_map(|usage| usage.int("estimated_time_to_regain_access")).max()?;
        u64::try_from(longest).ok().filter(|minutes| *minutes > 0).map(|minutes| minutes * MINUTE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let rows: &[(C, &[i64])] = &[
            (C::Auth, &[0, 3, 10, 200, 299, 190, 131005]),
            (C::Throttled, &[4, 80007, 130429, 131048, 131056, 131064, 133016, 613, 131049, 131208, 132069]),
            (C::Config, &[368, 131031, 33, 131030, 131063, 131055, 134100, 134102, 131037, 131042, 131044, 131045, 133010]),
            (C::Config, &[133000, 133005, 133006, 133008, 133009, 133015, 132001, 132015, 132016, 132068, 134011, 131207]),
            (C::Config, &[131211, 131214, 131215, 139000, 139103, 2388019, 2388299]),
            (C::Transient, &[1, 2, 131000, 131016, 133004, 131057, 2494100, 134101]),
            (C::Content, &[100, 131008, 131009, 131001, 131051, 135000, 131053, 131052, 132000, 132005, 132007, 132008, 132012, 132018]),
            (C::Content, &[131020, 131041, 131202, 131204, 131209, 131213, 131201]),
            (C::Window, &[131047]),
            (C::Recipient, &[131026, 131021, 130497, 130472, 131062, 137000, 131043, 138001]),
            (C::OptedOut, &[131050]),
            (C::Unknown, &[999_999]),
        ];
        for (class, codes) in rows {
            for code in *codes {
                assert_eq!(told(&code.to_string(), None).class, *class, "{code}");
            }
        }
    }

    #[test]
    fn what_may_have_been_accepted_is_not_repeated() {
        let answer = |status, code| classify(&Reply::json(status, &serde_json::json!({ "error": { "code": code } })));
        for (status, code) in [(400, 1), (500, 131000), (500, 424_242)] {
            assert!(matches!(answer(status, code), Step::Done(Verdict::Unclear(_))), "{status} {code}");
        }
        for (status, code) in [(503, 2), (500, 131016), (503, 133004), (500, 131057)] {
            assert!(matches!(answer(status, code), Step::Done(Verdict::Retry(_))), "{status} {code}");
        }
    }

    #[test]
    fn throttles_name_their_scope() {
        let answer = |code| match classify(&Reply::json(400, &serde_json::json!({ "error": { "code": code } }))) {
            Step::Done(Verdict::Throttle { scope, .. }) => Some(scope),
            _ => None,
        };
        assert_eq!((answer(4), answer(80007), answer(131064)), (Some(Scope::Account), Some(Scope::Account), Some(Scope::Account)));
        assert_eq!((answer(130429), answer(131048)), (Some(Scope::Sender), Some(Scope::Sender)));
        assert_eq!((answer(131056), answer(131047)), (Some(Scope::Conversation), None));
    }
}

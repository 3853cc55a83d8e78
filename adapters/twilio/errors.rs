//! Twilio's error codes: the same numbers in answers and in receipts.

use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// What a code leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// What its class leads to.
    Class(C),
    /// The set-up is wrong for this message alone: the country, the recipient, the template. The channel goes on.
    Narrow,
    /// Too fast: what, and for how long in milliseconds where that is known.
    Slow(Scope, Option<u64>),
}

const DAY: u64 = 86_400_000;
/// The day of the carriers ends at midnight in California, which may be near: until then a try now and again.
const HOUR: u64 = 3_600_000;

/// Not one of ours failed: Twilio took a message to us for a machine's and called no webhook with it, so that no loop begins
/// (twilio.com/docs/api/errors/30039, read 2026-11-30).
pub(super) const KEPT_BACK: i64 = 30039;

/// What is known of a code: what it leads to, our word for it, and a sentence.
fn meaning(code: i64) -> Option<(Act, &'static str, &'static str)> {
    use Act::{Class, Narrow, Slow};
    Some(match code {
        20003 => (Class(C::Auth), "credentials_invalid", "Twilio does not accept the credentials, or they may not do this."),
        20005 | 20006 | 30002 => (Class(C::Auth), "account_suspended", "The Twilio account is not active or may not do this."),
        63001 => (Class(C::Auth), "credentials_invalid", "The channel's credentials at Twilio are wrong."),
        20404 => (Class(C::Config), "not_found", "Twilio knows no such account or resource."),
        20429 => (Slow(Scope::Account, None), "too_many_requests", "Too many requests of this account are under way."),
        20500 | 20503 => (Class(C::Unknown), "provider_error", "Twilio had a fault while it held the message."),
        14107 => (Slow(Scope::Conversation, None), "reply_loop", "Too many answers between these two numbers within 30 seconds."),
        21211 | 21214 | 21217 | 21614 => (Class(C::Recipient), "number_invalid", "The number is not one that takes messages."),
        21635 | 30006 => (Class(C::Recipient), "landline", "The number is a landline, or its carrier cannot be reached."),
        21612 => (Class(C::Recipient), "no_route", "There is no route from this sender to this number."),
        30003 => (Class(C::Recipient), "unreachable", "The phone is off or cannot be reached."),
        30005 => (Class(C::Recipient), "number_unknown", "The number is unknown or no longer in use."),
        63003 | 63024 => (Class(C::Recipient), "not_on_channel", "The person is not on this channel."),
        63032 => (Class(C::Recipient), "not_deliverable", "WhatsApp will not deliver this to the person."),
        63036 => (Class(C::Recipient), "not_rcs_capable", "The phone cannot take RCS."),
        21408 => (Narrow, "country_not_enabled", "Sending to this country is not enabled in the account."),
        21607 | 21608 => (Narrow, "trial_account", "A trial account sends from and to verified numbers alone."),
        30044 => (Narrow, "trial_account", "A trial account sends no texts of several segments."),
        63015 => (Narrow, "not_in_sandbox", "The person has not joined the WhatsApp sandbox."),
        30018 | 30024 => (Narrow, "sender_not_registered", "The sender is not registered in the recipient's country."),
        30010 => (Narrow, "price_too_high", "The message costs more than its highest price."),
        63041 => (Narrow, "template_paused", "The template is paused."),
        21601 | 21603 | 21606 | 21212 | 21616 | 21621 | 21622 => {
            (Class(C::Config), "sender_invalid", "The sender is wrong, ambiguous, or cannot send this.")
        }
        21609 | 21626 => (Class(C::Config), "callback_invalid", "Twilio does not accept the address for receipts."),
        21666 | 21667 => (Class(C::Config), "fallback_invalid", "The RCS fallback is not set up."),
        21701..=21705 | 21709..=21715 => {
            (Class(C::Config), "messaging_service_invalid", "The Messaging Service is missing or empty, or does not have the sender.")
        }
        30015 | 30016 => (Class(C::Config), "sender_invalid", "The sender does not fit the channel or is not registered."),
        30032 => (Class(C::Config), "toll_free_unverified", "The toll-free number is not verified."),
        30034 => (Class(C::Config), "not_registered_10dlc", "The number is not registered for 10DLC."),
        63002 | 63007 | 63008 | 63020 | 63022 => (Class(C::Config), "sender_invalid", "The sender or its business account has a problem."),
        63035 => (Class(C::Config), "rcs_not_launched", "The RCS agent is not launched."),
        21604 => (Class(C::Content), "recipient_missing", "The message names no recipient."),
        21602 | 21619 => (Class(C::Content), "text_empty", "The message has no text."),
        21617 | 21618 => (Class(C::Content), "text_too_long", "The text is too long or was refused."),
        21620 | 21623 | 21624 => (Class(C::Content), "media_invalid", "A file's address, their number, or the validity is wrong."),
        21654..=21656 => (Class(C::Content), "template_invalid", "The template or its variables are wrong."),
        30007 => (Class(C::Content), "filtered", "The carrier or Twilio took the message for spam."),
        30009 => (Class(C::Content), "segment_missing", "A part of a long message is missing."),
        30011 => (Class(C::Content), "mms_not_supported", "The recipient cannot get MMS."),
        30012..=30014 | 30028..=30031 => (Class(C::Content), "parameter_invalid", "A parameter of the message is wrong."),
        30110 => (Class(C::Content), "link_blocked", "Twilio blocks the domain that a link leads to."),
        30019 => (Class(C::Content), "media_too_large", "The file is larger than the carrier takes."),
        63005 | 63006 | 63021 | 63030 | 63031 | 63013 | 63026 => {
            (Class(C::Content), "content_refused", "The channel refuses the content or its policy forbids it.")
        }
        63019 | 63034 | 63037 => (Class(C::Content), "media_invalid", "A file could not be fetched, or is too large."),
        63027..=63029 | 63040 => {
            (Class(C::Content), "template_invalid", "The template is missing or rejected, or its parameters do not fit.")
        }
        21610 => (Class(C::OptedOut), "stopped", "The person has answered STOP."),
        30004 => (Class(C::OptedOut), "blocked_by_user", "The person or the carrier has blocked the sender."),
        63014 | 63033 => (Class(C::OptedOut), "blocked_by_user", "The person has blocked the sender."),
        63050 => (Class(C::OptedOut), "marketing_stopped", "The person wants no marketing."),
        63016 => (Class(C::Window), "window_closed", "The person has not written within 24 hours; only a template goes."),
        21611 | 30001 => (Slow(Scope::Sender, None), "queue_full", "The sender's queue at Twilio is full."),
        30022 => (Slow(Scope::Sender, None), "campaign_rate", "The 10DLC campaign is too fast."),
        30023 | 30027 => (Slow(Scope::Account, Some(HOUR)), "daily_cap", "The brand's daily allowance at a carrier is used up."),
        63017 => (Slow(Scope::Account, None), "channel_rate", "The account is too fast for this channel."),
        63018 => (Slow(Scope::Sender, None), "channel_rate", "The sender is too fast for this channel."),
        63038 => (Slow(Scope::Account, Some(DAY)), "daily_limit", "The account's daily limit is reached."),
        63049 => (Slow(Scope::Conversation, Some(DAY)), "marketing_limited", "WhatsApp does not show this person more marketing today."),
        30008 => (Class(C::Transient), "unknown_error", "It failed, and the carrier does not say why."),
        30017 | 30410 => (Class(C::Transient), "carrier_busy", "The carrier is congested or did not answer in time."),
        30020 | 30021 | 63009..=63012 | 63023 => (Class(C::Transient), "provider_error", "Twilio or the channel behind it had a fault."),
        30036 => (Class(C::Transient), "validity_over", "The message's validity ran out before it could be delivered."),
        30025 | 30026 => (Class(C::Throttled), "daily_cap_near", "Much of the day's allowance at T-Mobile is used."),
        _ => return None,
    })
}

/// Whether a code only warns of a limit that comes near.
pub(super) fn is_warning(code: i64) -> bool {
    matches!(code, 30025 | 30026)
}

/// The reason a receipt gives; `None` when its code means nothing to us.
pub(super) fn reason(code: i64) -> Option<Reason> {
    let (act, ours, title) = meaning(code)?;
    let class = match act {
        Act::Class(class) => class,
        Act::Narrow => C::Config,
        Act::Slow(..) => C::Throttled,
    };
    Some(Reason::new(class, ours, title).provider_code(code))
}

/// Where a machine is shown to be typing.
pub(super) const TYPING: &str = "/v3/Indicators/Typing.json";

/// What an answer means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    // The message that typing answers is not known there, or not any more: that says nothing of the account.
    if reply.status == 404 && call.url.ends_with(TYPING) {
        return Step::of(Reason::new(C::Content, "not_found", "Twilio does not know the message that this answers."));
    }
    let status = reply.status.as_u16();
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    if reply.status.is_success() {
        return match body.words("sid") {
            Some(sid) => Step::accept(sid),
            None if body.flag("success") => Step::accept(""),
            None => Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))),
        };
    }
    let code = body.int("code");
    let explained = code.and_then(|code| Some((code, meaning(code)?)));
    if status >= 500 {
        // The message may exist all the same, and Twilio has no key that makes repeating safe.
        let reason = explained.and_then(|(code, _)| reason(code)).unwrap_or_else(|| adapter::unexplained(reply.status));
        return Step::Done(Verdict::Unclear(reason));
    }
    let Some((code, (act, ours, title))) = explained else {
        let reason = adapter::unexplained(reply.status);
        let reason = if let Some(code) = code { reason.provider_code(code) } else { reason };
        return match status {
            429 => Step::throttle(Scope::Account, reply.retry_after(), reason),
            404 => Step::of(Reason { class: C::Config, ..reason }),
            _ => Step::of(reason),
        };
    };
    let reason = Reason::new(C::Throttled, ours, title).provider_code(code);
    match act {
        Act::Slow(scope, after) => Step::throttle(scope, reply.retry_after().or(after), reason),
        Act::Narrow => Step::Done(Verdict::Reject(Reason { class: C::Config, ..reason })),
        Act::Class(class) => Step::of(Reason { class, ..reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_the_account_or_the_message_that_typing_answers() {
        for (body, paths) in [("", [C::Config, C::Content]), (r#"{"code":20404,"message":"not found"}"#, [C::Config, C::Content])] {
            for (path, class) in ["/2010-04-01/Accounts/ACfake/Messages.json", TYPING].iter().zip(paths) {
                let call = Call::new(http::Method::POST, format!("https://twilio.example{path}"));
                let reply = Reply { status: http::StatusCode::NOT_FOUND, headers: Default::default(), body: body.into() };
                let step = classify(&call, &reply);
                let Step::Done(Verdict::Reject(reason) | Verdict::Suspend(reason)) = &step else { panic!("{path}: {step:?}") };
                assert_eq!((reason.class, matches!(step, Step::Done(Verdict::Suspend(_)))), (class, class == C::Config), "{path} {body}");
            }
        }
    }

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let rows: &[(C, &[i64])] = &[
            (C::Unknown, &[20500, 20503]),
            (C::Throttled, &[20429, 14107, 21611, 30001, 30022, 30023, 30027, 63017, 63018, 63038, 63049, 30025, 30026]),
            (C::Auth, &[20003, 20005, 20006, 30002, 63001]),
            (C::Config, &[20404, 21408, 21212, 21606, 21603, 21616, 21601, 21621, 21622, 21607, 21608, 21609, 21626, 21666, 21667]),
            (C::Config, &[21701, 21702, 21703, 21704, 21705, 21709, 21710, 21711, 21712, 21713, 21714, 21715, 30010]),
            (C::Config, &[30015, 30016, 30018, 30024, 30032, 30034, 63002, 63007, 63008, 63020, 63022, 63015, 63035, 63041, 30044]),
            (C::Recipient, &[21211, 21214, 21217, 21614, 21635, 21612, 30003, 30005, 30006, 63003, 63024, 63032, 63036]),
            (C::Content, &[21604, 21602, 21617, 21618, 21619, 21620, 21623, 21624, 21654, 21655, 21656, 30007, 30009, 30011]),
            (C::Content, &[30012, 30013, 30014, 30028, 30029, 30030, 30031, 30019, 63005, 63006, 63021, 63030, 63031, 63013, 63026]),
            (C::Content, &[63019, 63034, 63037, 63027, 63028, 63029, 63040, 30110]),
            (C::OptedOut, &[21610, 30004, 63014, 63033, 63050]),
            (C::Window, &[63016]),
            (C::Transient, &[30008, 30017, 30410, 30020, 30021, 30036, 63009, 63010, 63011, 63012, 63023]),
        ];
        for (class, codes) in rows {
            for code in *codes {
                assert_eq!(reason(*code).map(|r| r.class), Some(*class), "{code}");
            }
        }
        assert_eq!(reason(12345), None);
    }
}

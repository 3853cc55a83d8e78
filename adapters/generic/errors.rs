//! What an answer means: the provider's code where the settings know it, then the status.

use serde_json::value::RawValue;

use super::Channel;
use super::pointer::{Place, holds};
use super::settings::{Class, Errors, Revising};
use crate::contract::*;

/// What the answer to a send means.
pub(super) fn classify(channel: &Channel, reply: &Reply) -> Step {
    let send = &channel.settings.send;
    let answer = std::str::from_utf8(&reply.body).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    let id = || send.id.as_ref().and_then(|pointer| pointer.answer(answer?)).map(|id| id.into_owned());
    let code = send.errors.code.as_ref().and_then(|pointer| pointer.answer(answer?));
    let by_code = code.as_deref().and_then(|code| send.errors.codes.get(code));
    let class = by_code.or_else(|| send.errors.statuses.get(reply.status.as_str()));
    if let Some(class) = class {
        let reason = named(*class, code.as_deref());
        return match class {
            Class::Duplicate => Step::accept(id().unwrap_or_default()),
            Class::Gone => Step::Done(Verdict::Gone { reason, current: None }),
            Class::Throttled => Step::throttle(Scope::Sender, wait(channel, reply, answer), reason),
            Class::ThrottledPerson => Step::throttle(Scope::Conversation, wait(channel, reply, answer), reason),
            // A token that ran out is no broken channel.
            Class::Auth if channel.settings.login.is_some() => Step::Done(Verdict::LogIn(reason)),
            _ => Step::of(reason),
        };
    }
    if reply.status.is_success() {
        return success(channel, answer, code.as_deref(), id());
    }
    let mut reason = adapter::unexplained(reply.status);
    reason.provider_code = code.map(|code| code.into_owned());
    match reply.status.as_u16() {
        401 if channel.settings.login.is_some() => Step::Done(Verdict::LogIn(reason)),
        429 => Step::throttle(Scope::Sender, wait(channel, reply, answer), reason),
        _ => Step::of(reason),
    }
}

/// What the answer to a change or a recall means. Repeating either is harmless, and what is wrong is wrong with the message.
pub(super) fn revised(channel: &Channel, rule: &Revising, reply: &Reply) -> Step {
    let answer = std::str::from_utf8(&reply.body).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    let send = &channel.settings.send;
    let code = send.errors.code.as_ref().and_then(|pointer| pointer.answer(answer?));
    if rule.done.get(reply.status.as_str()).is_some_and(|done| done == "*" || code.as_deref() == Some(done)) {
        return Step::accept("");
    }
    if reply.status.is_success() && code.is_none() {
        let said = answer.is_some_and(|body| holds(&send.success, Place { body, item: body }));
        let title = "the provider answered with a success of HTTP, but not with what `send.success` wants";
        let strange = || Step::of(Reason::new(ErrorClass::Unknown, "strange_answer", title));
        return if send.success.is_empty() || said { Step::accept("") } else { strange() };
    }
    match classify(channel, reply) {
        Step::Done(Verdict::Unreachable(reason) | Verdict::Gone { reason, .. }) => Step::Done(Verdict::Reject(reason)),
        Step::Done(Verdict::Unclear(reason)) if reply.status.is_server_error() => Step::Done(Verdict::Retry(reason)),
        Step::Done(Verdict::Suspend(reason)) if matches!(reply.status.as_u16(), 403 | 404) => Step::Done(Verdict::Reject(reason)),
        Step::Done(Verdict::Accept { .. }) => Step::accept(""),
        other => other,
    }
}

fn success(channel: &Channel, answer: Option<&RawValue>, code: Option<&str>, id: Option<String>) -> Step {
    let send = &channel.settings.send;
    let said = answer.is_some_and(|body| holds(&send.success, Place { body, item: body }));
    if !send.success.is_empty() && !said {
        let title = "the provider answered with a success of HTTP, but not with what `send.success` wants";
        let mut reason = Reason::new(ErrorClass::Unknown, "strange_answer", title);
        reason.provider_code = code.map(str::to_owned);
        return Step::of(reason);
    }
    match (id, &send.id) {
        (Some(id), _) => Step::accept(id),
        (None, None) => Step::accept(""),
        (None, Some(_)) => {
            Step::of(Reason::new(ErrorClass::Unknown, "strange_answer", "nothing stands where `send.id` points in the answer"))
        }
    }
}

/// Milliseconds the provider asks for.
fn wait(channel: &Channel, reply: &Reply, answer: Option<&RawValue>) -> Option<u64> {
    let said = || {
        let seconds: f64 = channel.settings.send.errors.retry_after.as_ref()?.answer(answer?)?.trim().parse().ok()?;
        (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64)
    };
    reply.retry_after().or_else(said)
}

/// Why a receipt says that a message failed.
pub(super) fn reason(errors: &Errors, code: Option<&str>) -> Reason {
    let class = code.and_then(|code| errors.codes.get(code)).copied();
    named(class.unwrap_or(Class::Unknown), code)
}

fn named(class: Class, code: Option<&str>) -> Reason {
    let (ours, title) = match class {
        Class::Transient => ("unavailable", "the provider could not take it just now"),
        Class::Throttled => ("too_fast", "too fast for the provider"),
        Class::ThrottledPerson => ("too_fast_for_person", "too fast for this person"),
        Class::Auth => ("credentials_refused", "the provider refused our credentials"),
        Class::Config => ("channel_refused", "the provider refused this channel's set-up"),
        Class::Recipient => ("recipient_unreachable", "this person cannot be reached"),
        Class::Gone => ("address_gone", "this address will never work again"),
        Class::OptedOut => ("opted_out", "this person does not want messages"),
        Class::Window => ("window_closed", "the provider's window for answers is closed"),
        Class::Content => ("content_refused", "the provider refused the message"),
        Class::Duplicate => ("duplicate", "the provider has it already"),
        Class::Unknown => ("provider_error", "the provider told an error that the settings do not explain"),
    };
    let reason = Reason::new(class.plain(), ours, title);
    match code {
        Some(code) => reason.provider_code(code),
        None => reason,
    }
}

//! What an answer of the Send API means: by code and subcode. Each channel has a table of its own.

use http::StatusCode;
use serde_json::Value;

use crate::contract::*;
use crate::kit::hub::{self, Fault};

/// A channel's table: class, our code, a sentence, and what a code and subcode lead to.
pub type Table = fn(i64, i64) -> Option<(ErrorClass, &'static str, &'static str, Act)>;

/// What a code leads to besides its class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Too fast: this scope, for at least so many milliseconds (0: as the schedule says).
    Throttle(Scope, u64),
    /// Surely not accepted, may pass.
    Retry,
    /// Once more at once, then never.
    Again,
    /// Perhaps accepted.
    Unclear,
    /// Never.
    Reject,
    /// Never to this person.
    Unreachable,
    /// Not until somebody mends the channel.
    Suspend,
}

/// What the answer to a call means.
pub fn classify(name: &str, table: Table, call: &Call, reply: &Reply) -> Step {
    let upload = matches!(call.body, CallBody::Multipart(_));
    if reply.status.is_success() {
        return if upload { uploaded(call, reply) } else { accepted(name, call, reply) };
    }
    let Some(fault) = Fault::read(reply) else {
        return without_code(reply, upload);
    };
    let (known, reason) = explained(name, table, &fault);
    let wait = |at_least: u64| reply.retry_after().or_else(|| hub::regain_access(reply)).or((at_least > 0).then_some(at_least));
    Step::Done(match known {
        Some(Act::Throttle(scope, at_least)) => Verdict::Throttle { scope, after: wait(at_least), reason },
        _ if reply.status == StatusCode::TOO_MANY_REQUESTS => {
            let reason = Reason { class: ErrorClass::Throttled, ..reason };
            Verdict::Throttle { scope: Scope::Sender, after: wait(0), reason }
        }
        Some(Act::Retry) => Verdict::Retry(reason),
        Some(Act::Again) if call.then.is_none() => return Step::Call(call.clone().then("again")),
        Some(Act::Again | Act::Reject) => Verdict::Reject(reason),
        // An upload is no message: doing it again harms nobody.
        Some(Act::Unclear) if upload => Verdict::Retry(reason),
        Some(Act::Unclear) => Verdict::Unclear(reason),
        Some(Act::Unreachable) => Verdict::Unreachable(reason),
        Some(Act::Suspend) => Verdict::Suspend(reason),
        None if fault.transient => Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason }),
        None if reply.status.is_server_error() => Verdict::Unclear(reason),
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

fn accepted(name: &str, call: &Call, reply: &Reply) -> Step {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if let Some(id) = answer["message_id"].as_str().filter(|id| !id.is_empty()) {
        return Step::accept(id);
    }
    let asked: Value = serde_json::from_slice(call.body_bytes()).unwrap_or_default();
    // A public answer is a comment.
    if let Some(id) = answer["id"].as_str().filter(|id| !id.is_empty() && asked["message"].is_string()) {
        return Step::accept(id);
    }
    // Typing, reading and reacting have no id; the answer may name the recipient only.
    if asked.get("sender_action").is_some() && answer.is_object() {
        return Step::accept("");
    }
    Step::Done(Verdict::Unclear(Reason::new(ErrorClass::Unknown, "strange_answer", format!("{name} answered without a message id"))))
}

/// A file is there: now the message that waits for it.
fn uploaded(call: &Call, reply: &Reply) -> Step {
    next(call, reply).map_or_else(
        || Step::Done(Verdict::Retry(Reason::new(ErrorClass::Transient, "strange_answer", "the upload was answered without an id"))),
        Step::Call,
    )
}

fn next(call: &Call, reply: &Reply) -> Option<Call> {
    let answer: Value = serde_json::from_slice(&reply.body).ok()?;
    let id = match &answer["attachment_id"] {
        Value::String(id) if !id.is_empty() => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    let mut note: Value = serde_json::from_slice(call.then.as_ref()?).ok()?;
    *note.pointer_mut("/body/message/attachment/payload/attachment_id")? = id.into();
    // The same credentials, and the same proof where the app demands one.
    let proof = call.url.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    let mut send = Call::json(format!("{}{proof}", note["url"].as_str()?), &note["body"]);
    send.url_secret.clone_from(&call.url_secret);
    send.secret_headers.clone_from(&call.secret_headers);
    Some(send)
}

fn explained(name: &str, table: Table, fault: &Fault) -> (Option<Act>, Reason) {
    let code = if fault.subcode == 0 { fault.code.to_string() } else { format!("{}/{}", fault.code, fault.subcode) };
    match table(fault.code, fault.subcode) {
        Some((class, ours, title, act)) => (Some(act), Reason::new(class, ours, title).provider_code(code)),
        None => {
            let words = if fault.words.is_empty() { format!("{name} gave a code we do not know") } else { fault.words.clone() };
            (None, Reason::new(ErrorClass::Unknown, "provider_error", words).provider_code(code))
        }
    }
}

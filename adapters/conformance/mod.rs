//! The laws: what every adapter must obey, run for each provider by its one word in `providers!`.
//!
//! Fixtures stand in the provider's folder, one case a file, or many in one where they are short:
//!
//! - `fixtures/inbound/NAME.json`: `{"settings"?: {...}, "query"?: "...", "method"?: "GET", "headers"?: {...},
//!   "body": {...} | "form": {...} | "text": "..." | "hex": "...", "events": [...], "unparsed"?: "reason", "ack"?: {"status", "body"},
//!   "owed"?: [{"method", "url"}], "handles"?: [{"peer", "value", "until"?, "uses"?}],
//!   "waiting"?: {"peer", "value", "until"}}`. The body is unsigned: the twin signs it. `events` is what [`written`] makes.
//! - `fixtures/outbound/NAME.json`: `{"settings"?: {...}, "message": {...send request...}, "reply_to"?: "provider id",
//!   "handle"?: "what the provider gave us to answer with", "calls": [{"method", "url", "headers"?, "body" | "form" | "multipart"}], "downgrades"?: [...], "cost"?: 1}`
//!   or `{"message": {...}, "error": {"pointer", "code"}}`.
//! - `fixtures/revisions/NAME.json`, where messages can be edited or taken back: `{"settings"?: {...}, "sent": {"to", "provider_id",
//!   "handle"?}, "edit"?: {...send request without `to`; absent for a recall...}, "call": {...as above}}` or `{..., "error": {"pointer", "code"}}`.
//! - `fixtures/replies/NAME.json`: `{"answers"?: "NAME in fixtures/outbound or fixtures/revisions, else text", "status": 400, "headers"?: {...}, "body": {...} | "text": "..." | "hex": "...",
//!   "verdict": {"accept": "id"} | {"throttle": {"scope", "after"?, "code"?}} | {"retry" | "unclear" | "reject" |
//!   "unreachable" | "suspend" | "log_in": "our code"} | {"gone": "our code", "current"?: "address"} | "call"}`.
//! - `fixtures/replies/table.json`: `{"cases": [{"name"?: "what a failure calls it", ...as above}, ...]}`, a line for each row of
//!   the provider's tables of errors and limits. Any fixture may be such a table.
//!
//! - `fixtures/links/NAME.json`, where a link starts a conversation: `{"settings"?: {...}, "referral"?: "...", "text"?: "...",
//!   "link": {"url", "referral", "text", "notes"}}` or `{..., "error": {"pointer", "code", "problem"}}`, or neither where these settings
//!   have none.
//! - `fixtures/golden.json`: one message of every kind, and what a person sees of it: `golden.rs` says how.
//!
//! `UPDATE_FIXTURES=1 cargo test -p fairway-adapters` rewrites the expected halves; read the difference before you keep it.

#[cfg(test)]
mod golden;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod sessions;
pub mod stage;
#[cfg(test)]
pub(crate) use golden::*;
#[cfg(test)]
pub(crate) use laws::*;
#[cfg(test)]
pub(crate) use sessions::*;

use serde_json::{Value, json};

use crate::contract::{Body, Event};

/// An adapter's event as a test compares it and the documentation shows it.
pub fn written(event: &Event<'_>) -> Value {
    let body = match &event.body {
        Body::Receipt(receipt) => strip(serde_json::to_value(receipt).unwrap_or_default()),
        body => serde_json::to_value(body).unwrap_or_default(),
    };
    strip(json!({
        "type": event.body.kind(),
        "account": event.account,
        "key": event.key,
        "medium": event.medium,
        "peer": event.peer,
        "time": event.time,
        "data": body,
    }))
}

/// Without absent fields.
fn strip(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).collect()),
        other => other,
    }
}

//! Voice calls: a person's calls are messages, the rest is kept as it came.

use std::borrow::Cow;

use super::inbound::{About, event, stamp};
use super::{account, address, receipts};
use crate::contract::event::{ProviderEvent, ReplyWindow};
use crate::contract::part::PhoneCall;
use crate::contract::*;
use crate::kit::object::Object;

/// `field: calls`.
pub(super) fn parse<'a>(out: &mut Parsed<'a>, about: &About<'a>, value: &Object<'a>) {
    for raw in value.list("calls") {
        match Object::parse(raw.get()) {
            Some(call) if call.has("id") => one(out, about, &call, raw),
            _ => out.leave("a call without an id"),
        }
    }
    for raw in value.list("statuses") {
        receipts::status(out, about, raw);
    }
    account::errors(out, about, value);
}

fn one<'a>(out: &mut Parsed<'a>, about: &About<'a>, call: &Object<'a>, raw: &'a serde_json::value::RawValue) {
    let id = call.words("id").unwrap_or_default();
    let what = call.words("event").or_else(|| call.words("status")).unwrap_or(Cow::Borrowed("unknown"));
    let time = stamp(call.int("timestamp"));
    let key = format!("{id}:{what}");
    let outbound = call.text("direction").as_deref() == Some("BUSINESS_INITIATED");
    let (phone, user) = if outbound { ("to", "to_user_id") } else { ("from", "from_user_id") };
    let person = address::person(call.words(phone), call.words(user), &about.contacts);
    let peer = person.as_ref().map(|p| p.address.clone()).unwrap_or_default();
    let body = match person {
        Some(from) if !outbound => {
            let state = call.words("status").map_or(what, |status| Cow::Owned(status.to_lowercase()));
            let duration = call.int("duration").and_then(|seconds| u64::try_from(seconds).ok()).map(|s| s.saturating_mul(1000));
            let phone_call = PhoneCall { state, direction: Some(Cow::Borrowed("inbound")), duration_ms: duration };
            let mut extra = Extra::default();
            for name in ["session", "start_time", "end_time", "errors", "biz_opaque_callback_data", "cta_payload", "deeplink_payload"] {
                adapter::keep(&mut extra, name, call.kept(name));
            }
            // A call opens the window as a message does.
            let window = time.map(|t| ReplyWindow { closes_at: Some(t.plus(86_400_000)), ..ReplyWindow::default() });
            let message = Message { id, sent_at: time, parts: vec![Part::Call(phone_call)], ..Message::default() };
            Body::Received(Received { from, to: about.business.clone(), message, reply_window: window, respond_by: None, extra })
        }
        _ => Body::Provider(ProviderEvent { provider_type: Cow::Owned(format!("call.{what}")), raw: Raw::borrowed(raw) }),
    };
    out.events.push(event(about, key, peer, time, body));
}

//! API v3, for devices with HarmonyOS 5 and later.
//! developer.huawei.com, push-scenariozed-api-request-param, read 2026-11-20.

use serde_json::{Value, json};

use super::outbound::{BODY, Push};
use crate::contract::{Call, Context, RenderError};
use crate::kit::{crypto, push, words};

/// `push-type`: shown by the system.
const ALERT: &str = "0";
/// `push-type`: for the app alone.
const BACKGROUND: &str = "6";

pub(super) fn call(push: &Push<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let silent = push.note.is_silent();
    let payload =
        if silent { json!({ "extraData": Value::Object(push.data()).to_string() }) } else { json!({ "notification": notification(push) }) };
    let mut options = json!({ "biTag": push.message.id });
    if !silent {
        options["collapseKey"] = push.collapse_key().into();
    }
    if let Some(ttl) = push.ttl {
        options["ttl"] = ttl.into();
    }
    let mut body = json!({ "payload": payload, "pushOptions": options });
    if push.message.native.contains_key("target") {
        return Err(RenderError::new("#/native/target", "native_not_allowed", "`to` says who gets the message"));
    }
    words::merge(&mut body, push.message.native);
    push::fits(body.to_string().len(), BODY)?;
    body["target"] = json!({ "token": [push.target] });
    let url = format!("{}/v3/{}/messages:send", push.channel.base(), push.channel.id);
    let kind = if silent { BACKGROUND } else { ALERT };
    Ok(Call::json(url, &body).header("push-type", kind).bearer(push.channel.own_token(cx.now).reveal()))
}

fn notification(push: &Push<'_>) -> Value {
    let note = &push.note;
    // Without a right everything counts as advertising; the field itself is demanded.
    let category = push.category().unwrap_or("MARKETING");
    // A link of the app's own opens its page; the system opens no web pages.
    let inside = note.url.as_deref().filter(|url| !words::is_link(url));
    let mut click = json!({ "actionType": if inside.is_some() { 1 } else { 0 }, "data": push.data() });
    if let Some(uri) = inside {
        click["uri"] = uri.into();
    }
    let mut out = json!({ "category": category, "title": push.headline(), "body": push.words(), "clickAction": click,
        "notifyId": notify_id(note.tag(push.message)), "appMessageId": push.message.id });
    for (name, value) in [("image", &note.image), ("sound", &note.sound)] {
        if let Some(value) = value {
            out[name] = value.as_str().into();
        }
    }
    if let Some(badge) = note.badge {
        out["badge"] = json!({ "setNum": badge });
    }
    out
}

/// A number that an equal tag has too: the newer one takes the older one's place on the screen.
fn notify_id(tag: &str) -> i32 {
    let hash = crypto::sha256(tag.as_bytes());
    i32::from_be_bytes([hash[0] & 0x7f, hash[1], hash[2], hash[3]])
}

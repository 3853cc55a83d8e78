//! API v1, for devices with HMS Core.
//! developer.huawei.com, https-send-api of HMS Core, read 2026-11-20.

use serde_json::{Value, json};

use super::outbound::{BODY, Push};
use crate::contract::{Call, Context, RenderError};
use crate::kit::{push, words};

pub(super) fn call(push: &Push<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    // A string that the app takes apart.
    let mut message = json!({ "data": serde_json::Value::Object(push.data()).to_string(), "android": android(push) });
    if let Some(name) = ["token", "topic", "condition"].into_iter().find(|name| push.message.native.contains_key(*name)) {
        return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
    }
    words::merge(&mut message, push.message.native);
    push::fits(message.to_string().len(), BODY)?;
    if push.topic {
        message["topic"] = push.target.as_str().into();
    } else {
        message["token"] = json!([push.target]);
    }
    let url = format!("{}/v1/{}/messages:send", push.channel.base(), push.channel.id);
    let call = Call::json(url, &json!({ "validate_only": false, "message": message }));
    Ok(match cx.login {
        Some(token) => call.bearer(token.reveal()),
        None => call,
    })
}

fn android(push: &Push<'_>) -> Value {
    let mut out = json!({ "collapse_key": push.collapse_key(), "bi_tag": push.message.id });
    if let Some(ttl) = push.ttl {
        out["ttl"] = format!("{ttl}s").into();
    }
    if push.note.is_silent() {
        return out;
    }
    if let Some(category) = push.category() {
        out["category"] = category.into();
    }
    out["notification"] = notification(push);
    out
}

fn notification(push: &Push<'_>) -> Value {
    let (note, settings) = (&push.note, &push.channel.settings);
    let mut out = json!({ "title": push.headline(), "body": push.words(), "click_action": click(note.url.as_deref()),
        "tag": note.tag(push.message), "foreground_show": true });
    let more = [("image", &note.image), ("sound", &note.sound), ("channel_id", &settings.android_channel_id)];
    for (name, value) in more {
        if let Some(value) = value {
            out[name] = value.as_str().into();
        }
    }
    if let (Some(badge), Some(class)) = (note.badge, &settings.badge_class) {
        out["badge"] = json!({ "set_num": badge, "class": class });
    }
    out
}

/// A page, a place within an app, or the app itself.
fn click(url: Option<&str>) -> Value {
    match url {
        Some(url) if url.starts_with("https://") => json!({ "type": 2, "url": url }),
        Some(url) if !url.starts_with("http://") => json!({ "type": 1, "intent": url }),
        _ => json!({ "type": 3 }),
    }
}

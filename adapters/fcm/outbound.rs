//! A message as one `messages:send`, with what each platform needs of it.
//! firebase.google.com/docs/reference/fcm/rest/v1/projects.messages, read 2026-11-20.

use serde_json::{Map, Value, json};

use super::{Channel, FACTS};
use crate::contract::{Call, Category, Context, Outbound, RenderError, Rendered};
use crate::kit::push::{self, Note};
use crate::kit::{address, words};

/// Bytes of keys and values; half of it to a topic.
const PAYLOAD: usize = 4096;
const TOPIC_PAYLOAD: usize = 2048;
/// Seconds: four weeks.
const TTL: i64 = 2_419_200;
/// Bytes of `apns-collapse-id`.
const COLLAPSE_ID: usize = 64;

pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let (field, target) = target(message.to)?;
    let mut out = Rendered::default();
    let note = push::note(message, &FACTS, &mut out)?;
    if note.collapse_key.as_deref().is_some_and(|key| key.len() > COLLAPSE_ID) {
        return Err(RenderError::new("#/parts", "collapse_key_too_long", format!("a collapse key has at most {COLLAPSE_ID} bytes")));
    }
    let mut body = json!({ field: target, "data": data(&note, message)? });
    if !note.is_silent() {
        body["notification"] = shown(&note);
    }
    body["android"] = android(channel, &note, message, cx);
    body["apns"] = apns(&note, message, cx);
    body["webpush"] = webpush(&note, message, cx);
    if let Some(label) = &channel.settings.analytics_label {
        body["fcm_options"] = json!({ "analytics_label": label });
    }
    if let Some(name) = ["token", "fid", "topic", "condition"].into_iter().find(|name| message.native.contains_key(*name)) {
        return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
    }
    words::merge(&mut body, message.native);
    let size = size(&body["notification"]) + size(&body["data"]);
    push::fits(size, if field == "topic" { TOPIC_PAYLOAD } else { PAYLOAD })?;
    let url = format!("{}/v1/projects/{}/messages:send", channel.base(), channel.project);
    let call = Call::json(url, &json!({ "message": body }));
    out.calls.push(match cx.login {
        Some(token) => call.bearer(token.reveal()),
        None => call,
    });
    Ok(out)
}

/// The field that names the receiver, and its value: a topic, an installation, or a registration token.
fn target(to: &str) -> Result<(&'static str, String), RenderError> {
    let wrong = |expected: &str| Err(RenderError::new("#/to", "address_invalid", format!("expected {expected}")));
    // Looked for before anything is unescaped: a registration that reads `topic/...` is one device's and no topic.
    if let Some(topic) = to.strip_prefix("fcm:topic/") {
        let named = (1..=900).contains(&topic.len()) && topic.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b));
        return if named { Ok(("topic", topic.to_owned())) } else { wrong("a topic of letters, digits and -_.~%") };
    }
    let Some(id) = address::id(to, "fcm") else { return wrong("`fcm:` and a registration, or `fcm:topic/NAME`") };
    if id.bytes().any(|b| !b.is_ascii_graphic()) {
        return wrong("a registration as the app got it");
    }
    let installation =
        id.len() == 22 && id.starts_with(['c', 'd', 'e', 'f']) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    Ok((if installation { "fid" } else { "token" }, id.into_owned()))
}

/// Data for the app: every value is a string, whatever the caller made of it.
fn data(note: &Note, message: &Outbound<'_>) -> Result<Map<String, Value>, RenderError> {
    let reserved = |key: &str| matches!(key, "from" | "message_type") || key.starts_with("google.") || key.starts_with("gcm");
    if let Some(key) = note.data.keys().find(|key| reserved(key)) {
        return Err(RenderError::new("#/parts", "data_key_reserved", format!("`{key}` is Firebase's own; name it otherwise")));
    }
    let flat = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut data: Map<String, Value> = note.data.iter().map(|(key, value)| (key.clone(), flat(value).into())).collect();
    data.insert(push::OUR_ID.into(), message.id.into());
    if let Some(url) = &note.url {
        data.entry("url").or_insert_with(|| url.as_str().into());
    }
    if !note.options.is_empty() {
        let options: Vec<Value> = note.options.iter().map(|(id, title)| json!({ "id": id, "title": title })).collect();
        data.entry("options").or_insert_with(|| Value::from(options).to_string().into());
    }
    Ok(data)
}

fn shown(note: &Note) -> Value {
    let fields = [("title", &note.title), ("body", &note.body), ("image", &note.image)];
    fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.as_deref()?)))).collect::<Map<_, _>>().into()
}

/// High priority is for what a person sees at once; Android takes it away from apps that use it for anything else.
fn is_urgent(note: &Note, message: &Outbound<'_>) -> bool {
    !note.is_silent() && message.category != Category::Marketing
}

fn android(channel: &Channel, note: &Note, message: &Outbound<'_>, cx: &Context<'_>) -> Value {
    let mut out = json!({ "priority": if is_urgent(note, message) { "high" } else { "normal" } });
    if let Some(ttl) = push::ttl(message, cx.now, TTL) {
        out["ttl"] = format!("{ttl}s").into();
    }
    // Four keys wait for a device at once; our own ids would use them up.
    if let Some(key) = &note.collapse_key {
        out["collapse_key"] = key.as_str().into();
    }
    if let Some(name) = &channel.settings.restricted_package_name {
        out["restricted_package_name"] = name.as_str().into();
    }
    if note.is_silent() {
        return out;
    }
    out["notification"] = json!({ "tag": note.tag(message) });
    let more = [("channel_id", channel.settings.android_channel_id.as_deref()), ("sound", note.sound.as_deref())];
    for (name, value) in more.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        out["notification"][name] = value.into();
    }
    if let Some(badge) = note.badge {
        out["notification"]["notification_count"] = badge.into();
    }
    out
}

fn apns(note: &Note, message: &Outbound<'_>, cx: &Context<'_>) -> Value {
    let mut headers = json!({ "apns-collapse-id": note.tag(message) });
    if let Some(ttl) = push::ttl(message, cx.now, TTL) {
        headers["apns-expiration"] = (cx.now.0.div_euclid(1000) + ttl).to_string().into();
    }
    let mut aps = Map::new();
    if let Some(badge) = note.badge {
        aps.insert("badge".into(), badge.into());
    }
    if note.is_silent() {
        headers["apns-priority"] = "5".into();
        // A number on the icon is something to show: only pushes without any are of the background.
        if note.badge.is_none() {
            headers["apns-push-type"] = "background".into();
            aps.insert("content-available".into(), 1.into());
        }
    } else {
        headers["apns-priority"] = if is_urgent(note, message) { "10" } else { "5" }.into();
        aps.insert("sound".into(), note.sound.as_deref().unwrap_or("default").into());
        if note.image.is_some() {
            aps.insert("mutable-content".into(), 1.into());
        }
    }
    let mut out = json!({ "headers": headers, "payload": { "aps": aps } });
    if let Some(image) = &note.image {
        out["fcm_options"] = json!({ "image": image });
    }
    out
}

fn webpush(note: &Note, message: &Outbound<'_>, cx: &Context<'_>) -> Value {
    let mut headers = json!({ "Urgency": if is_urgent(note, message) { "high" } else { "normal" } });
    if let Some(ttl) = push::ttl(message, cx.now, TTL) {
        headers["TTL"] = ttl.to_string().into();
    }
    if let Some(key) = &note.collapse_key {
        headers["Topic"] = push::topic(key).into();
    }
    let mut out = json!({ "headers": headers });
    if !note.is_silent() {
        out["notification"] = json!({ "tag": note.tag(message) });
    }
    if let Some(url) = note.url.as_deref().filter(|url| url.starts_with("https://")) {
        out["fcm_options"] = json!({ "link": url });
    }
    out
}

/// Bytes of an object's keys and values, as Firebase counts them.
fn size(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
        Value::String(text) => text.len(),
        Value::Null => 0,
        other => other.to_string().len(),
    }
}

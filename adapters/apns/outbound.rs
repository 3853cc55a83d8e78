//! A message as one push: headers that say how it is delivered, a payload that says what is shown.
//! developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns, read 2026-11-20.

use serde_json::{Map, Value, json};

use super::{Channel, FACTS};
use crate::contract::{Call, Category, Context, Outbound, RenderError, Rendered};
use crate::kit::push::{self, Note};
use crate::kit::{address, words};

/// Bytes of a payload.
const PAYLOAD: usize = 4096;
/// Bytes of `apns-collapse-id`.
const COLLAPSE_ID: usize = 64;
/// Seconds that Apple keeps a push: 30 days.
const TTL: i64 = 2_592_000;

pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let device = device(message.to)?;
    let mut out = Rendered::default();
    let note = push::note(message, &FACTS, &mut out)?;
    if note.collapse_key.as_deref().is_some_and(|key| key.len() > COLLAPSE_ID) {
        return Err(RenderError::new("#/parts", "collapse_key_too_long", format!("a collapse key has at most {COLLAPSE_ID} bytes")));
    }
    if note.data.contains_key("aps") {
        return Err(RenderError::new("#/parts", "data_key_reserved", "`aps` is Apple's own; what it can say goes into `native`"));
    }
    let mut payload = payload(&note, message);
    words::merge(&mut payload, message.native);
    let call = Call::json(format!("{}/3/device/{device}", channel.base()), &payload);
    push::fits(call.body_bytes().len(), PAYLOAD)?;
    // A wake-up shows nothing, and Apple refuses it at full priority. A number on the icon is something to show.
    let background = note.is_silent() && note.badge.is_none();
    let urgent = !note.is_silent() && message.category != Category::Marketing;
    let mut call = call
        .header("apns-topic", &*channel.settings.bundle_id)
        .header("apns-push-type", if background { "background" } else { "alert" })
        .header("apns-priority", if urgent { "10" } else { "5" })
        .header("apns-id", push::uuid(message.id))
        .header("apns-collapse-id", collapse_id(note.tag(message)))
        .secret_header("authorization", format!("bearer {}", channel.token(cx.now).reveal()));
    if let Some(ttl) = push::ttl(message, cx.now, TTL) {
        // 0 is Apple's word for now or never.
        let until = if ttl == 0 { 0 } else { cx.now.0.div_euclid(1000) + ttl };
        call = call.header("apns-expiration", until.to_string());
    }
    out.calls.push(call);
    Ok(out)
}

/// A key as a header can carry it.
fn collapse_id(key: &str) -> String {
    if key.bytes().all(|b| b.is_ascii_graphic()) { key.to_owned() } else { push::topic(key) }
}

/// A device token: hexadecimal, of whatever even length.
pub(super) fn device(to: &str) -> Result<String, RenderError> {
    let id = address::id(to, "apns").filter(|id| id.len() >= 2 && id.len() % 2 == 0 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let wrong = || RenderError::new("#/to", "address_invalid", "expected `apns:` and the device token in hexadecimal");
    id.map(|id| id.to_ascii_lowercase()).ok_or_else(wrong)
}

fn payload(note: &Note, message: &Outbound<'_>) -> Value {
    let mut aps = Map::new();
    let alert: Map<String, Value> = [("title", &note.title), ("body", &note.body)]
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.as_deref()?))))
        .collect();
    if note.is_silent() && note.badge.is_none() {
        aps.insert("content-available".into(), 1.into());
    }
    if !note.is_silent() {
        aps.insert("alert".into(), alert.into());
        aps.insert("sound".into(), note.sound.as_deref().unwrap_or("default").into());
    }
    if let Some(badge) = note.badge {
        aps.insert("badge".into(), badge.into());
    }
    if note.image.is_some() {
        // Wakes the app's extension, which loads the picture.
        aps.insert("mutable-content".into(), 1.into());
    }
    let mut payload = note.data.clone();
    payload.insert("aps".into(), aps.into());
    payload.insert(push::OUR_ID.into(), message.id.into());
    for (name, value) in [("url", &note.url), ("image", &note.image)] {
        if let Some(value) = value {
            payload.entry(name).or_insert_with(|| value.as_str().into());
        }
    }
    if !note.options.is_empty() {
        let options: Vec<Value> = note.options.iter().map(|(id, title)| json!({ "id": id, "title": title })).collect();
        payload.entry("options").or_insert_with(|| options.into());
    }
    payload.into()
}

//! What Telegram checks before it sends, for the twin.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::contract::Reply;

/// A result, or the refusal to answer with.
pub(super) type Checked<T = ()> = Result<T, Reply>;

pub(super) fn bad(description: &str) -> Reply {
    refused(400, &format!("Bad Request: {description}"))
}

pub(super) fn refused(status: u16, description: &str) -> Reply {
    Reply::json(status, &json!({ "ok": false, "error_code": status, "description": description }))
}

pub(super) fn number(body: &Value, name: &str) -> Option<i64> {
    body[name].as_i64().or_else(|| body[name].as_str()?.parse().ok())
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What Telegram checks before it sends.
pub(super) fn check(method: &str, needed: &str, body: &Value) -> Checked {
    let words = |name: &str| body[name].as_str().unwrap_or_default();
    let mode = words("parse_mode").to_ascii_lowercase();
    match method {
        "sendmessage" => {
            let shown = parsed(words("text"), &mode)?;
            if shown.trim().is_empty() {
                return Err(bad("message text is empty"));
            }
            if units(&shown) > 4096 {
                return Err(bad("message is too long"));
            }
        }
        "sendmediagroup" => album(body)?,
        "sendlocation" | "sendvenue" => place(method, body)?,
        "sendcontact" => {
            if words("phone_number").is_empty() || words("first_name").is_empty() {
                return Err(bad("phone number and first name must be non-empty"));
            }
            if words("vcard").len() > 2048 {
                return Err(bad("vcard is too long"));
            }
        }
        "sendpoll" => poll(body)?,
        _ => file(method, body.get(needed).unwrap_or(&Value::Null))?,
    }
    if units(&parsed(words("caption"), &mode)?) > 1024 {
        return Err(bad("message caption is too long"));
    }
    keyboard(&body["reply_markup"])
}

/// What Telegram checks before it changes a message; the words it will have.
pub(super) fn edited(method: &str, body: &Value) -> Checked<String> {
    let markup = &body["reply_markup"];
    if !markup.is_null() && markup.get("inline_keyboard").is_none() {
        return Err(bad("inline keyboard expected"));
    }
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match method {
        "editmessagetext" => {
            check("sendmessage", "text", body)?;
            Ok(words(&body["text"]))
        }
        "editmessagecaption" => {
            keyboard(markup)?;
            if units(&parsed(&words(&body["caption"]), &words(&body["parse_mode"]).to_ascii_lowercase())?) > 1024 {
                return Err(bad("message caption is too long"));
            }
            Ok(words(&body["caption"]))
        }
        _ => {
            let media = &body["media"];
            let kind = media["type"].as_str().filter(|kind| ["photo", "video", "animation", "audio", "document"].contains(kind));
            let kind = kind.ok_or_else(|| bad("can't parse InputMedia: type is not supported"))?;
            if let Some(part) = media["media"].as_str().and_then(|place| place.strip_prefix("attach://")) {
                body.get(part).ok_or_else(|| bad("wrong file identifier/HTTP URL specified"))?;
            }
            file(&format!("send{kind}"), &media["media"])?;
            keyboard(markup)?;
            Ok(words(&media["caption"]))
        }
    }
}

fn file(method: &str, value: &Value) -> Checked {
    if value.get("upload").is_some() {
        return Ok(());
    }
    let place = value.as_str().unwrap_or_default();
    let link = place.starts_with("http://") || place.starts_with("https://");
    if !link && !place.starts_with("TWIN_") && !place.starts_with("attach://") {
        return Err(bad("wrong file identifier/HTTP URL specified"));
    }
    let path = place.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let typed = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let known = [".pdf", ".zip", ".gif"].iter().any(|ending| path.ends_with(ending));
    let wrong = match method {
        "senddocument" => typed && !known,
        "sendsticker" => typed && !path.ends_with(".webp"),
        "sendvideonote" => true,
        _ => false,
    };
    if link && wrong { Err(bad("wrong type of the web page content")) } else { Ok(()) }
}

fn album(body: &Value) -> Checked {
    let items = body["media"].as_array().ok_or_else(|| bad("can't parse media"))?;
    if !(2..=10).contains(&items.len()) {
        return Err(bad("album must contain 2 to 10 items"));
    }
    let mut families = HashSet::new();
    for item in items {
        let kind = item["type"].as_str().unwrap_or_default();
        families.insert(match kind {
            "photo" | "video" => "visual",
            "document" | "audio" => kind,
            _ => return Err(bad("can't parse InputMedia: type is not supported")),
        });
        if units(item["caption"].as_str().unwrap_or_default()) > 1024 {
            return Err(bad("message caption is too long"));
        }
        let place = item["media"].as_str().unwrap_or_default();
        if let Some(part) = place.strip_prefix("attach://") {
            body.get(part).ok_or_else(|| bad("wrong file identifier/HTTP URL specified"))?;
        }
        file(&format!("send{kind}"), &item["media"])?;
    }
    if families.len() > 1 { Err(bad("documents and audios can't be mixed with other media types")) } else { Ok(()) }
}

fn place(method: &str, body: &Value) -> Checked {
    let degrees = |name: &str| body[name].as_f64().or_else(|| body[name].as_str()?.parse().ok());
    if !degrees("latitude").is_some_and(|d| d.abs() <= 90.0) || !degrees("longitude").is_some_and(|d| d.abs() <= 180.0) {
        return Err(bad("location is invalid"));
    }
    if body.get("live_period").is_some() && !number(body, "live_period").is_some_and(|p| (60..=86_400).contains(&p) || p == 0x7FFF_FFFF) {
        return Err(bad("wrong live location period specified"));
    }
    let given = |name: &str| body[name].as_str().is_some_and(|t| !t.is_empty());
    if method == "sendvenue" && !(given("title") && given("address")) {
        Err(bad("venue title and address must be non-empty"))
    } else {
        Ok(())
    }
}

fn poll(body: &Value) -> Checked {
    let question = units(body["question"].as_str().unwrap_or_default());
    if !(1..=300).contains(&question) {
        return Err(bad("poll question length must not exceed 300"));
    }
    let options = body["options"].as_array().ok_or_else(|| bad("can't parse poll options"))?;
    let good = |o: &Value| o.as_str().or_else(|| o["text"].as_str()).is_some_and(|t| (1..=100).contains(&units(t)));
    if !(1..=12).contains(&options.len()) || !options.iter().all(good) { Err(bad("poll options are invalid")) } else { Ok(()) }
}

fn keyboard(markup: &Value) -> Checked {
    let rows = |name: &str| markup[name].as_array().into_iter().flatten().flat_map(|row| row.as_array().into_iter().flatten());
    if rows("inline_keyboard").count() > 100 {
        return Err(bad("reply markup is too long"));
    }
    for button in rows("inline_keyboard") {
        if button["text"].as_str().is_none_or(str::is_empty) {
            return Err(bad("can't parse inline keyboard button: text must be non-empty"));
        }
        let kinds = ["callback_data", "url", "web_app", "login_url", "switch_inline_query", "copy_text", "pay"];
        if kinds.iter().filter(|kind| button.get(**kind).is_some()).count() != 1 {
            return Err(bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"));
        }
        if button.get("callback_data").is_some_and(|d| !d.as_str().is_some_and(|d| (1..=64).contains(&d.len()))) {
            return Err(bad("BUTTON_DATA_INVALID"));
        }
        let opens = |url: &str| ["http://", "https://", "tg://"].iter().any(|scheme| url.starts_with(scheme));
        if button.get("url").is_some_and(|url| !url.as_str().is_some_and(opens)) {
            return Err(bad("BUTTON_URL_INVALID"));
        }
    }
    let key = |key: &Value| key.as_str().or_else(|| key["text"].as_str()).is_some_and(|t| !t.is_empty());
    if rows("keyboard").all(key) { Ok(()) } else { Err(bad("can't parse keyboard button")) }
}

/// The words a person sees of HTML, refused when a tag is unknown, open or crossed.
fn parsed(text: &str, mode: &str) -> Checked<String> {
    if mode != "html" {
        return Ok(text.to_owned());
    }
    const TAGS: &[&str] =
        &["b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "a", "code", "pre", "blockquote", "span", "tg-spoiler", "tg-emoji"];
    let (mut out, mut open, mut rest) = (String::new(), Vec::new(), text);
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let end = rest[at..].find('>').ok_or_else(|| bad("can't parse entities: Unclosed start tag"))?;
        let tag = &rest[at + 1..at + end];
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default().to_ascii_lowercase();
        if !TAGS.contains(&name.as_str()) {
            return Err(bad(&format!("can't parse entities: Unsupported start tag \"{name}\"")));
        }
        if !tag.starts_with('/') {
            open.push(name);
        } else if open.pop() != Some(name) {
            return Err(bad("can't parse entities: Unmatched end tag"));
        }
        rest = &rest[at + end + 1..];
    }
    if !open.is_empty() {
        return Err(bad("can't parse entities: Can't find end tag"));
    }
    out.push_str(rest);
    Ok(out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
}

/// What a sent message holds besides its words, as the Bot API's `Message` tells it (core.telegram.org/bots/api#message,
/// read 2026-11-28): clients read it from the answer.
pub(super) fn shown(method: &str, body: &Value) -> Option<(&'static str, Value)> {
    let file = |more: Value| {
        let mut file = json!({ "file_id": "TWIN_sent", "file_unique_id": "sent", "file_size": 67 });
        crate::kit::spoken::merge(&mut file, more.as_object().expect("made here"));
        file
    };
    let number = |name: &str| body[name].as_f64().or_else(|| body[name].as_str()?.parse().ok());
    let place = || json!({ "latitude": number("latitude"), "longitude": number("longitude") });
    Some(match method {
        "sendphoto" => ("photo", json!([file(json!({ "width": 1, "height": 1 }))])),
        "sendvideo" => ("video", file(json!({ "width": 1, "height": 1, "duration": 0 }))),
        "sendaudio" => ("audio", file(json!({ "duration": 0 }))),
        "sendvoice" => ("voice", file(json!({ "duration": 0 }))),
        "senddocument" => ("document", file(json!({}))),
        "sendlocation" => ("location", place()),
        "sendvenue" => ("venue", json!({ "location": place(), "title": body["title"], "address": body["address"] })),
        "sendcontact" => ("contact", json!({ "phone_number": body["phone_number"], "first_name": body["first_name"] })),
        _ => return None,
    })
}

//! What the played platform refuses. Written from the fact sheet alone.

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T> = Result<T, Reply>;

/// An error body.
pub(super) fn refused(status: u16, code: i64, subcode: i64, words: &str) -> Reply {
    let mut error = json!({ "message": words, "type": "IGApiException", "code": code, "fbtrace_id": "TWINtrace" });
    if subcode != 0 {
        error["error_subcode"] = subcode.into();
    }
    Reply::json(status, &json!({ "error": error }))
}

fn need(good: bool, what: &str) -> Checked<()> {
    if good { Ok(()) } else { Err(refused(400, 100, 0, &format!("Invalid parameter: {what}"))) }
}

fn words<'v>(value: &'v Value, name: &str, most: usize) -> Checked<&'v str> {
    let text = value[name].as_str().unwrap_or_default();
    need((1..=most).contains(&text.chars().count()), &format!("{name} (1 to {most} characters)"))?;
    Ok(text)
}

fn link(value: &Value, name: &str) -> Checked<()> {
    let url = words(value, name, 2000)?;
    need(url.starts_with("https://") || url.starts_with("http://"), name)
}

/// Whom a request is for: a person, or who wrote a comment.
pub(super) fn recipient(body: &Value) -> Checked<String> {
    match (body["recipient"]["id"].as_str(), body["recipient"]["comment_id"].as_str()) {
        (Some(id), None) if !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) => Ok(id.to_owned()),
        (Some(_), None) => Err(refused(400, 100, 2_534_014, "The requested user cannot be found")),
        (None, Some(id)) if !id.is_empty() => Ok(id.to_owned()),
        _ => Err(refused(400, 100, 0, "recipient")),
    }
}

/// Checks a call without a message.
pub(super) fn action(body: &Value, any_emoji: bool) -> Checked<()> {
    need(body["message"].is_null(), "no message beside sender_action")?;
    match body["sender_action"].as_str() {
        Some("typing_on" | "typing_off" | "mark_seen") => Ok(()),
        Some("react") => {
            words(&body["payload"], "message_id", 500)?;
            need(words(&body["payload"], "reaction", 20)? == "love" || any_emoji, "reaction")
        }
        Some("unreact") => words(&body["payload"], "message_id", 500).map(drop),
        _ => need(false, "sender_action"),
    }
}

/// Checks a message; answers the words in it.
pub(super) fn message(body: &Value) -> Checked<String> {
    let message = &body["message"];
    match (body["messaging_type"].as_str(), &body["tag"]) {
        (None | Some("RESPONSE"), Value::Null) => {}
        (Some("MESSAGE_TAG"), tag) => need(*tag == "HUMAN_AGENT", "tag")?,
        _ => need(false, "messaging_type")?,
    }
    if !body["reply_to"].is_null() {
        words(&body["reply_to"], "mid", 500)?;
    }
    need(message["template"].is_null(), "no templates here")?;
    let text = message["text"].as_str();
    if let Some(text) = text {
        need((1..=1000).contains(&text.len()), "text (1 to 1000 bytes of UTF-8)")?;
    }
    quick_replies(&message["quick_replies"])?;
    if let Some(images) = message["attachments"].as_array() {
        need((1..=10).contains(&images.len()) && images.iter().all(|i| i["type"] == "image"), "attachments (1 to 10 images)")?;
        return Ok("[images]".into());
    }
    let attachment = &message["attachment"];
    if attachment.is_null() {
        return text.map(str::to_owned).ok_or_else(|| refused(400, 100, 0, "Empty message"));
    }
    need(text.is_none(), "either text or attachment")?;
    let payload = &attachment["payload"];
    match attachment["type"].as_str() {
        Some(kind @ ("image" | "video" | "audio" | "file")) => {
            if payload["attachment_id"].is_null() {
                link(payload, "url")?;
            }
            Ok(format!("[{kind}]"))
        }
        Some("like_heart") => Ok("[heart]".into()),
        Some("MEDIA_SHARE") => words(payload, "id", 100).map(|_| "[post]".into()),
        Some("template") => template(payload),
        _ => Err(refused(400, 100, 0, "attachment type")),
    }
}

fn quick_replies(list: &Value) -> Checked<()> {
    let Some(list) = list.as_array() else { return need(list.is_null(), "quick_replies") };
    need((1..=13).contains(&list.len()), "quick_replies (1 to 13)")?;
    for reply in list {
        need(reply["content_type"] == "text", "content_type")?;
        words(reply, "title", 20)?;
        words(reply, "payload", 1000)?;
    }
    Ok(())
}

fn template(payload: &Value) -> Checked<String> {
    match payload["template_type"].as_str() {
        Some("button") => {
            let text = words(payload, "text", 640)?.to_owned();
            need(payload["buttons"].is_array(), "buttons")?;
            buttons(&payload["buttons"])?;
            Ok(text)
        }
        Some("generic") => {
            let elements = payload["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
            need((1..=10).contains(&elements.len()), "elements (1 to 10)")?;
            for element in elements {
                words(element, "title", 80)?;
                if !element["subtitle"].is_null() {
                    words(element, "subtitle", 80)?;
                }
                if !element["image_url"].is_null() {
                    link(element, "image_url")?;
                }
                buttons(&element["buttons"])?;
            }
            Ok("[cards]".into())
        }
        Some("product") => {
            let elements = payload["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
            need((1..=10).contains(&elements.len()) && elements.iter().all(|e| e["id"].is_string()), "elements")?;
            Ok("[products]".into())
        }
        _ => Err(refused(400, 100, 0, "template_type")),
    }
}

fn buttons(list: &Value) -> Checked<()> {
    let Some(list) = list.as_array() else { return need(list.is_null(), "buttons") };
    need((1..=3).contains(&list.len()), "buttons (1 to 3)")?;
    for button in list {
        words(button, "title", 20)?;
        match button["type"].as_str() {
            Some("postback") => words(button, "payload", 1000).map(drop)?,
            Some("web_url") => link(button, "url")?,
            _ => need(false, "button type")?,
        }
    }
    Ok(())
}

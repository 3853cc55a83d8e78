//! What the played platform refuses. Written from the fact sheet alone.

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T> = Result<T, Reply>;

/// An error body.
pub(super) fn refused(status: u16, code: i64, subcode: i64, words: &str) -> Reply {
    let mut error = json!({ "message": format!("(#{code}) {words}"), "type": "OAuthException", "code": code, "is_transient": false, "fbtrace_id": "TWINtrace" });
    if subcode != 0 {
        error["error_subcode"] = subcode.into();
    }
    Reply::json(status, &json!({ "error": error }))
}

fn invalid(what: &str) -> Reply {
    refused(400, 100, 0, &format!("Invalid parameter: {what}"))
}

fn need(good: bool, what: &str) -> Checked<()> {
    if good { Ok(()) } else { Err(invalid(what)) }
}

fn words<'v>(value: &'v Value, name: &str, most: usize) -> Checked<&'v str> {
    let text = value[name].as_str().ok_or_else(|| invalid(&format!("{name} is required")))?;
    if text.is_empty() || text.chars().count() > most { Err(invalid(&format!("{name} (1 to {most} characters)"))) } else { Ok(text) }
}

fn link(value: &Value, name: &str) -> Checked<()> {
    let url = words(value, name, 2000)?;
    need(url.starts_with("https://") || url.starts_with("http://"), name)
}

/// Whom a request is for: exactly one way of naming them.
pub(super) fn recipient(body: &Value) -> Checked<String> {
    let names = ["id", "user_ref", "comment_id", "post_id", "notification_messages_token", "one_time_notif_token", "phone_number"];
    let recipient = body["recipient"].as_object().ok_or_else(|| invalid("recipient"))?;
    let mut named = recipient.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let (Some((name, id)), None) = (named.next(), named.next()) else { return Err(invalid("recipient")) };
    let id = id.as_str().filter(|id| !id.is_empty()).ok_or_else(|| invalid("recipient"))?;
    if name == "id" && !id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refused(400, 100, 2_018_001, "No matching user found"));
    }
    Ok(id.to_owned())
}

/// Checks a call without a message.
pub(super) fn action(body: &Value) -> Checked<()> {
    need(body["message"].is_null(), "no message beside sender_action")?;
    match body["sender_action"].as_str() {
        Some("typing_on" | "typing_off" | "mark_seen") => Ok(()),
        Some("react") => words(&body["payload"], "message_id", 500).and(words(&body["payload"], "reaction", 20)).map(|_| ()),
        Some("unreact") => words(&body["payload"], "message_id", 500).map(|_| ()),
        _ => Err(invalid("sender_action")),
    }
}

/// Checks a message; answers the words in it.
pub(super) fn message(body: &Value) -> Checked<String> {
    let private = body["recipient"].get("comment_id").is_some() || body["recipient"].get("post_id").is_some();
    let message = &body["message"];
    match body["messaging_type"].as_str() {
        Some("RESPONSE" | "UPDATE") => {}
        Some("UTILITY") => need(message["template"].is_object(), "a utility message is a template")?,
        Some("MESSAGE_TAG") => need(body["tag"] == "HUMAN_AGENT", "tag (retired)")?,
        None if private => {}
        _ => return Err(invalid("messaging_type")),
    }
    if !body["reply_to"].is_null() {
        words(&body["reply_to"], "mid", 500)?;
    }
    if !message["metadata"].is_null() {
        words(message, "metadata", 1000)?;
    }
    let text = message["text"].as_str();
    if text.is_some() {
        words(message, "text", 2000)?;
    }
    quick_replies(&message["quick_replies"])?;
    if message["template"].is_object() {
        words(&message["template"], "name", 512)?;
        words(&message["template"]["language"], "code", 10)?;
        return Ok("[template]".into());
    }
    let attachment = &message["attachment"];
    if attachment.is_null() {
        return text.map(str::to_owned).ok_or_else(|| refused(400, 100, 2_018_015, "Empty message"));
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
        Some("template") => template(payload),
        _ => Err(invalid("attachment type")),
    }
}

fn quick_replies(list: &Value) -> Checked<()> {
    let Some(list) = list.as_array() else { return need(list.is_null(), "quick_replies") };
    need((1..=13).contains(&list.len()), "quick_replies (1 to 13)")?;
    for reply in list {
        match reply["content_type"].as_str() {
            Some("text") => {
                words(reply, "title", 20)?;
                words(reply, "payload", 1000)?;
            }
            Some("user_phone_number" | "user_email") => {}
            _ => return Err(invalid("content_type")),
        }
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
            let elements = payload["elements"].as_array().ok_or_else(|| invalid("elements"))?;
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
                let more = ["subtitle", "image_url", "default_action", "buttons"].iter().any(|f| !element[*f].is_null());
                need(more, "an element needs a field besides its title")?;
            }
            Ok("[cards]".into())
        }
        Some("product") => {
            let elements = payload["elements"].as_array().ok_or_else(|| invalid("elements"))?;
            need(elements.iter().all(|e| e["id"].is_string()), "elements")?;
            Ok("[products]".into())
        }
        Some("media" | "receipt" | "coupon" | "customer_feedback" | "notification_messages") => Ok("[template]".into()),
        _ => Err(invalid("template_type")),
    }
}

fn buttons(list: &Value) -> Checked<()> {
    let Some(list) = list.as_array() else { return need(list.is_null(), "buttons") };
    need((1..=3).contains(&list.len()), "buttons (1 to 3)")?;
    for button in list {
        match button["type"].as_str() {
            Some("postback" | "phone_number") => {
                words(button, "title", 20)?;
                words(button, "payload", 1000)?;
            }
            Some("web_url") => {
                words(button, "title", 20)?;
                link(button, "url")?;
            }
            Some("account_link" | "account_unlink" | "game_play") => {}
            _ => return Err(invalid("button type")),
        }
    }
    Ok(())
}

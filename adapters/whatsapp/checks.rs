//! What WhatsApp checks before it accepts a message, for the twin.

use serde_json::{Value, json};

use crate::contract::Reply;

/// A result, or the refusal to answer with.
pub(super) type Checked<T = ()> = Result<T, Reply>;

pub(super) fn refused(status: u16, code: i64, details: &str) -> Reply {
    let kind = if status == 401 { "OAuthException" } else { "GraphMethodException" };
    Reply::json(
        status,
        &json!({ "error": { "message": format!("(#{code}) {details}"), "type": kind, "code": code,
            "error_data": { "messaging_product": "whatsapp", "details": details }, "is_transient": false, "fbtrace_id": "TWINtrace" } }),
    )
}

fn missing(what: &str) -> Reply {
    refused(400, 131_008, &format!("{what} is required"))
}

fn invalid(what: &str) -> Reply {
    refused(400, 131_009, &format!("{what} is not valid"))
}

fn words<'v>(value: &'v Value, what: &str, range: std::ops::RangeInclusive<usize>) -> Checked<&'v str> {
    let text = value.as_str().ok_or_else(|| missing(what))?;
    if !range.contains(&text.chars().count()) || *range.start() > 0 && text.trim().is_empty() {
        return Err(invalid(&format!("the length of {what}")));
    }
    Ok(text)
}

fn optional(value: &Value, what: &str, max: usize) -> Checked {
    if value.is_null() { Ok(()) } else { words(value, what, 1..=max).map(drop) }
}

fn list<'v>(value: &'v Value, what: &str, range: std::ops::RangeInclusive<usize>) -> Checked<&'v Vec<Value>> {
    let list = value.as_array().ok_or_else(|| missing(what))?;
    if range.contains(&list.len()) { Ok(list) } else { Err(invalid(&format!("the number of {what}"))) }
}

/// Whom it goes to, as the request names them.
pub(super) fn recipient(body: &Value) -> Checked<String> {
    let group = match body["recipient_type"].as_str() {
        None | Some("individual") => false,
        Some("group") => true,
        Some(_) => return Err(refused(400, 100, "recipient_type must be individual or group")),
    };
    if let Some(to) = body["to"].as_str() {
        let digits = to.strip_prefix('+').unwrap_or(to);
        if !group && (digits.len() < 5 || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_digit())) {
            return Err(refused(400, 131_009, "Parameter value is not valid: to"));
        }
        if !group && !to.starts_with('+') {
            return Err(refused(400, 131_026, "without a plus our own country code is put before the number"));
        }
        return Ok(to.to_owned());
    }
    let id = words(&body["recipient"], "to", 4..=140)?;
    let country = id.split_once('.').map_or("", |(country, _)| country);
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(invalid("recipient"));
    }
    Ok(id.to_owned())
}

/// A whole message.
pub(super) fn message(body: &Value, known_media: &dyn Fn(&str) -> bool) -> Checked {
    if body["messaging_product"] != "whatsapp" {
        return Err(refused(400, 100, "The parameter messaging_product is required."));
    }
    recipient(body)?;
    optional(&body["biz_opaque_callback_data"], "biz_opaque_callback_data", 512)?;
    if let Some(context) = body.get("context") {
        words(&context["message_id"], "context.message_id", 1..=256)?;
    }
    let kind = body["type"].as_str().unwrap_or("text");
    let content = body.get(kind).ok_or_else(|| missing(kind))?;
    let group = body["recipient_type"] == "group";
    match kind {
        "text" => words(&content["body"], "text.body", 1..=4096).map(drop),
        "image" | "video" | "audio" | "document" | "sticker" => media(kind, content, known_media),
        "location" => place(content),
        "contacts" => contacts(content),
        "reaction" => {
            words(&content["message_id"], "reaction.message_id", 1..=256)?;
            words(&content["emoji"], "reaction.emoji", 0..=16).map(drop)
        }
        "interactive" if group => Err(refused(400, 131_051, "interactive messages are not supported in groups")),
        "interactive" => interactive(content, known_media),
        "template" => template(content),
        "pin" if group => words(&content["message_id"], "pin.message_id", 1..=256).map(drop),
        _ => Err(refused(400, 131_051, "Unsupported message type")),
    }
}

fn media(kind: &str, content: &Value, known: &dyn Fn(&str) -> bool) -> Checked {
    match (content["id"].as_str(), content["link"].as_str()) {
        (Some(_), Some(_)) => return Err(refused(400, 100, "id and link exclude each other")),
        (Some(id), None) if known(id) => {}
        (Some(_), None) => return Err(refused(400, 131_009, "Media id is unknown")),
        (None, Some(link)) if link.starts_with("https://") || link.starts_with("http://") => {}
        _ => return Err(missing(&format!("{kind}.id or {kind}.link"))),
    }
    let captioned = matches!(kind, "image" | "video" | "document");
    if !captioned && !content["caption"].is_null() {
        return Err(refused(400, 100, "this type of media has no caption"));
    }
    if kind != "document" && !content["filename"].is_null() {
        return Err(refused(400, 100, "only a document has a filename"));
    }
    if !content["voice"].is_null() && (kind != "audio" || !content["voice"].is_boolean()) {
        return Err(refused(400, 100, "voice is a boolean of audio"));
    }
    optional(&content["caption"], "caption", 1024)
}

fn place(content: &Value) -> Checked {
    let number = |name: &str| content[name].as_f64().or_else(|| content[name].as_str()?.parse().ok());
    let (latitude, longitude) = (number("latitude").ok_or_else(|| missing("latitude"))?, number("longitude").ok_or_else(|| missing("longitude"))?);
    if latitude.abs() > 90.0 || longitude.abs() > 180.0 { Err(invalid("location")) } else { Ok(()) }
}

fn contacts(content: &Value) -> Checked {
    for card in list(content, "contacts", 1..=257)? {
        words(&card["name"]["formatted_name"], "formatted_name", 1..=256)?;
        let parts = ["first_name", "last_name", "middle_name", "suffix", "prefix"];
        if !parts.iter().any(|part| card["name"][*part].as_str().is_some_and(|name| !name.is_empty())) {
            return Err(missing("one more part of the name"));
        }
    }
    Ok(())
}

fn interactive(content: &Value, known: &dyn Fn(&str) -> bool) -> Checked {
    let kind = words(&content["type"], "interactive.type", 1..=40)?;
    let action = &content["action"];
    let body = |max| words(&content["body"]["text"], "body.text", 1..=max);
    if let Some(header) = content.get("header") {
        let shown = header["type"].as_str().unwrap_or_default();
        match shown {
            "text" => words(&header["text"], "header.text", 1..=60).map(drop)?,
            "image" | "video" | "document" if matches!(kind, "button" | "cta_url" | "flow") => media(shown, &header[shown], known)?,
            _ => return Err(invalid("header.type")),
        }
    }
    if let Some(footer) = content.get("footer") {
        words(&footer["text"], "footer.text", 1..=60)?;
    }
    match kind {
        "button" => {
            body(1024)?;
            let mut titles = Vec::new();
            for button in list(&action["buttons"], "buttons", 1..=3)? {
                if button["type"] != "reply" {
                    return Err(invalid("button.type"));
                }
                words(&button["reply"]["id"], "button.id", 1..=256)?;
                titles.push(words(&button["reply"]["title"], "button.title", 1..=20)?);
            }
            distinct(titles, "button titles")
        }
        "list" => {
            body(4096)?;
            rows(action)
        }
        "cta_url" => {
            body(1024)?;
            url_button(action)
        }
        "carousel" => {
            body(1024)?;
            cards(action, known)
        }
        "location_request_message" => body(1024).and_then(|_| named(action, "send_location")),
        "request_contact_info" => body(1024).and_then(|_| named(action, "request_contact_info")),
        "product" => {
            words(&action["catalog_id"], "catalog_id", 1..=64)?;
            words(&action["product_retailer_id"], "product_retailer_id", 1..=100).map(drop)
        }
        "product_list" => {
            body(1024)?;
            content.get("header").ok_or_else(|| missing("header"))?;
            words(&action["catalog_id"], "catalog_id", 1..=64)?;
            let mut count = 0;
            for section in list(&action["sections"], "sections", 1..=10)? {
                words(&section["title"], "section.title", 1..=24)?;
                count += list(&section["product_items"], "product_items", 1..=30)?.len();
            }
            if count > 30 { Err(invalid("the number of products")) } else { Ok(()) }
        }
        "catalog_message" => body(1024).and_then(|_| named(action, "catalog_message")),
        "flow" | "address_message" => named(action, kind),
        "voice_call" | "call_permission_request" => Ok(()),
        _ => Err(invalid("interactive.type")),
    }
}

fn named(action: &Value, name: &str) -> Checked {
    if action["name"] == name { Ok(()) } else { Err(invalid("action.name")) }
}

fn distinct(mut all: Vec<&str>, what: &str) -> Checked {
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    if all.len() == count { Ok(()) } else { Err(invalid(&format!("{what} (they repeat)"))) }
}

fn url_button(action: &Value) -> Checked {
    named(action, "cta_url")?;
    words(&action["parameters"]["display_text"], "display_text", 1..=20)?;
    let url = words(&action["parameters"]["url"], "url", 1..=2000)?;
    if url.starts_with("https://") || url.starts_with("http://") { Ok(()) } else { Err(invalid("url")) }
}

fn rows(action: &Value) -> Checked {
    words(&action["button"], "action.button", 1..=20)?;
    let sections = list(&action["sections"], "sections", 1..=10)?;
    let mut ids = Vec::new();
    for section in sections {
        if sections.len() > 1 || !section["title"].is_null() {
            words(&section["title"], "section.title", 1..=24)?;
        }
        for row in list(&section["rows"], "rows", 1..=10)? {
            ids.push(words(&row["id"], "row.id", 1..=200)?);
            words(&row["title"], "row.title", 1..=24)?;
            optional(&row["description"], "row.description", 72)?;
        }
    }
    if ids.len() > 10 {
        return Err(invalid("the number of rows"));
    }
    distinct(ids, "row ids")
}

fn cards(action: &Value, known: &dyn Fn(&str) -> bool) -> Checked {
    let mut shapes = Vec::new();
    for (number, card) in list(&action["cards"], "cards", 2..=10)?.iter().enumerate() {
        if card["card_index"].as_u64() != Some(number as u64) || card["type"] != "cta_url" {
            return Err(invalid("card_index or type"));
        }
        let shown = card["header"]["type"].as_str().filter(|kind| matches!(*kind, "image" | "video")).ok_or_else(|| missing("card.header"))?;
        media(shown, &card["header"][shown], known)?;
        if let Some(body) = card.get("body") {
            words(&body["text"], "card.body", 1..=162)?;
        }
        match card["action"]["buttons"].as_array() {
            Some(buttons) => {
                for button in buttons {
                    words(&button["quick_reply"]["id"], "quick_reply.id", 1..=256)?;
                    words(&button["quick_reply"]["title"], "quick_reply.title", 1..=20)?;
                }
            }
            None => url_button(&card["action"])?,
        }
        shapes.push(shown);
    }
    shapes.dedup();
    if shapes.len() == 1 { Ok(()) } else { Err(invalid("card headers (all of one kind)")) }
}

fn template(content: &Value) -> Checked {
    let name = words(&content["name"], "template.name", 1..=512)?;
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(refused(404, 132_001, "template name does not exist in the translation"));
    }
    words(&content["language"]["code"], "language.code", 2..=10)?;
    for component in content["components"].as_array().into_iter().flatten() {
        let kind = words(&component["type"], "component.type", 1..=30)?;
        if !matches!(kind, "header" | "body" | "button" | "carousel" | "limited_time_offer") {
            return Err(refused(400, 132_012, "Parameter format does not match"));
        }
        if kind == "button" {
            words(&component["sub_type"], "sub_type", 1..=20)?;
            words(&component["index"], "index", 1..=2)?;
        }
        for parameter in component["parameters"].as_array().into_iter().flatten() {
            let kind = words(&parameter["type"], "parameter.type", 1..=20)?;
            if kind == "text" {
                words(&parameter["text"], "parameter.text", 1..=1024)?;
            }
            if kind == "coupon_code" {
                words(&parameter["coupon_code"], "coupon_code", 1..=15)?;
            }
        }
    }
    Ok(())
}

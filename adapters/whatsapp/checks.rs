//! What the played provider refuses. Written from the fact sheet alone.

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T> = Result<T, Reply>;

/// An error body.
pub(super) fn refused(status: u16, code: i64, details: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": { "message": format!("(#{code}) {details}"), "type": "OAuthException", "code": code, "error_subcode": 0,
            "error_data": { "messaging_product": "whatsapp", "details": details }, "is_transient": false, "fbtrace_id": "TWINtrace" } }),
    )
}

fn missing(what: &str) -> Reply {
    refused(400, 131_008, &format!("{what} is required"))
}

fn invalid(what: &str) -> Reply {
    refused(400, 131_009, &format!("{what} is invalid"))
}

fn need(good: bool, what: &str) -> Checked<()> {
    if good { Ok(()) } else { Err(invalid(what)) }
}

fn words<'v>(value: &'v Value, name: &str, most: usize) -> Checked<&'v str> {
    let text = value[name].as_str().ok_or_else(|| missing(name))?;
    let long = text.chars().count() > most;
    if text.is_empty() || long { Err(invalid(&format!("{name} (1 to {most} characters)"))) } else { Ok(text) }
}

fn optional(value: &Value, name: &str, most: usize) -> Checked<()> {
    if value[name].is_null() { Ok(()) } else { words(value, name, most).map(|_| ()) }
}

/// Checks a whole request to `/messages`; answers whom it is for and the words in it.
pub(super) fn message(body: &Value) -> Checked<(String, String)> {
    if body["messaging_product"] != "whatsapp" {
        return Err(refused(400, 100, "The parameter messaging_product is required."));
    }
    let to = recipient(body)?;
    optional(body, "biz_opaque_callback_data", 512)?;
    if !body["context"].is_null() {
        words(&body["context"], "message_id", 128)?;
    }
    let kind = body["type"].as_str().unwrap_or("text");
    let content = &body[kind];
    if content.is_null() {
        return Err(missing(kind));
    }
    let group = body["recipient_type"] == "group";
    let shown = match kind {
        "text" => words(content, "body", 4096)?.to_owned(),
        "image" | "video" | "audio" | "document" | "sticker" => file(kind, content)?,
        "location" => {
            let number = |v: &Value| v.is_number() || v.as_str().is_some_and(|s| s.parse::<f64>().is_ok());
            need(number(&content["latitude"]) && number(&content["longitude"]), "location")?;
            "[location]".into()
        }
        "contacts" => contacts(content)?,
        "reaction" => {
            words(content, "message_id", 128)?;
            need(content["emoji"].is_string(), "emoji")?;
            need(body["context"].is_null(), "context of a reaction")?;
            format!("[reaction] {}", content["emoji"].as_str().unwrap_or_default())
        }
        "interactive" if !group => interactive(content)?,
        "template" => template(content)?,
        "pin" if group => "[pin]".into(),
        _ => return Err(refused(400, 131_051, "Unsupported message type")),
    };
    Ok((to, shown))
}

fn recipient(body: &Value) -> Checked<String> {
    if let Some(to) = body["to"].as_str() {
        if body["recipient_type"] == "group" {
            return Ok(to.to_owned());
        }
        // Without the plus a number gets the sender's country code: a misdelivery nobody notices.
        let digits = to.strip_prefix('+').unwrap_or_default();
        need((5..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "to")?;
        return Ok(digits.to_owned());
    }
    let user = body["recipient"].as_str().ok_or_else(|| refused(400, 100, "The parameter to is required."))?;
    need(user.len() > 3 && user.as_bytes()[2] == b'.' && user.len() <= 131, "recipient")?;
    Ok(user.to_owned())
}

fn file(kind: &str, content: &Value) -> Checked<String> {
    let (id, link) = (content["id"].as_str(), content["link"].as_str());
    need(id.is_some() != link.is_some(), "exactly one of id and link")?;
    need(id != Some("") && link.is_none_or(|l| l.starts_with("http://") || l.starts_with("https://")), "id or link")?;
    optional(content, "caption", 1024)?;
    let captioned = !content["caption"].is_null();
    need(!captioned || matches!(kind, "image" | "video" | "document"), "caption")?;
    need(content["filename"].is_null() || kind == "document", "filename")?;
    need(content["voice"].is_null() || kind == "audio" && content["voice"].is_boolean(), "voice")?;
    Ok(content["caption"].as_str().map_or_else(|| format!("[{kind}]"), str::to_owned))
}

fn contacts(content: &Value) -> Checked<String> {
    let list = content.as_array().ok_or_else(|| invalid("contacts"))?;
    need((1..=257).contains(&list.len()), "contacts (1 to 257)")?;
    for contact in list {
        let name = &contact["name"];
        words(name, "formatted_name", 1000)?;
        let more = ["first_name", "last_name", "middle_name", "suffix", "prefix"].iter().any(|n| name[*n].is_string());
        need(more, "name (one more piece than formatted_name)")?;
        for (list, field) in [("phones", "phone"), ("emails", "email")] {
            need(contact[list].as_array().is_none_or(|l| l.iter().all(|e| e[field].is_string())), list)?;
        }
    }
    Ok("[contacts]".into())
}

fn header(content: &Value, files: bool) -> Checked<()> {
    let header = &content["header"];
    match header["type"].as_str() {
        None => need(header.is_null(), "header"),
        Some("text") => words(header, "text", 60).map(|_| ()),
        Some(kind @ ("image" | "video" | "document")) if files => file(kind, &header[kind]).map(|_| ()),
        Some(_) => Err(invalid("header")),
    }
}

fn body_of(content: &Value, most: usize) -> Checked<String> {
    words(&content["body"], "text", most).map(str::to_owned)
}

fn interactive(content: &Value) -> Checked<String> {
    let kind = content["type"].as_str().ok_or_else(|| missing("interactive.type"))?;
    let action = &content["action"];
    if !content["footer"].is_null() {
        words(&content["footer"], "text", 60)?;
    }
    match kind {
        "button" => {
            header(content, true)?;
            let buttons = action["buttons"].as_array().ok_or_else(|| missing("buttons"))?;
            need((1..=3).contains(&buttons.len()), "buttons (1 to 3)")?;
            let mut seen = std::collections::HashSet::new();
            for button in buttons {
                need(button["type"] == "reply", "button type")?;
                let id = words(&button["reply"], "id", 256)?;
                let title = words(&button["reply"], "title", 20)?;
                need(seen.insert(format!("i{id}")) && seen.insert(format!("t{title}")), "buttons (unique)")?;
            }
            body_of(content, 1024)
        }
        "list" => {
            header(content, false)?;
            list(action)?;
            body_of(content, 4096)
        }
        "cta_url" => {
            header(content, true)?;
            link(action)?;
            body_of(content, 1024)
        }
        "carousel" => {
            cards(action)?;
            body_of(content, 1024)
        }
        "location_request_message" => need(action["name"] == "send_location", "action").and_then(|()| body_of(content, 1024)),
        "request_contact_info" => need(action["name"] == "request_contact_info", "action").and_then(|()| body_of(content, 1024)),
        "product" => {
            need(content["header"].is_null(), "header")?;
            words(action, "catalog_id", 100)?;
            words(action, "product_retailer_id", 100)?;
            Ok("[product]".into())
        }
        "product_list" => {
            need(content["header"]["type"] == "text", "header")?;
            header(content, false)?;
            words(action, "catalog_id", 100)?;
            let sections = action["sections"].as_array().ok_or_else(|| missing("sections"))?;
            let items = sections.iter().filter_map(|s| s["product_items"].as_array()).flatten();
            need((1..=30).contains(&items.count()) && sections.len() <= 10, "products (1 to 30)")?;
            body_of(content, 1024)
        }
        "catalog_message" => need(action["name"] == "catalog_message", "action").and_then(|()| body_of(content, 1024)),
        "flow" => {
            let p = &action["parameters"];
            need(p["flow_id"].is_string() != p["flow_name"].is_string(), "flow_id or flow_name")?;
            words(p, "flow_cta", 30)?;
            body_of(content, 1024)
        }
        "voice_call" | "call_permission_request" | "address_message" => Ok(format!("[{kind}]")),
        _ => Err(invalid("interactive.type")),
    }
}

fn link(action: &Value) -> Checked<()> {
    need(action["name"] == "cta_url", "action")?;
    words(&action["parameters"], "display_text", 20)?;
    let url = words(&action["parameters"], "url", 2000)?;
    need(url.starts_with("http://") || url.starts_with("https://"), "url")
}

fn list(action: &Value) -> Checked<()> {
    words(action, "button", 20)?;
    let sections = action["sections"].as_array().ok_or_else(|| missing("sections"))?;
    need((1..=10).contains(&sections.len()), "sections (1 to 10)")?;
    let (mut rows, mut ids) = (0, std::collections::HashSet::new());
    for section in sections {
        if sections.len() > 1 || !section["title"].is_null() {
            words(section, "title", 24)?;
        }
        for row in section["rows"].as_array().ok_or_else(|| missing("rows"))? {
            rows += 1;
            need(ids.insert(words(row, "id", 200)?), "rows (unique ids)")?;
            words(row, "title", 24)?;
            optional(row, "description", 72)?;
        }
    }
    need((1..=10).contains(&rows), "rows (10 in total)")
}

fn cards(action: &Value) -> Checked<()> {
    let cards = action["cards"].as_array().ok_or_else(|| missing("cards"))?;
    need((2..=10).contains(&cards.len()), "cards (2 to 10)")?;
    for (i, card) in cards.iter().enumerate() {
        need(card["card_index"] == i, "card_index")?;
        need(card["header"]["type"] == cards[0]["header"]["type"] && !card["header"].is_null(), "header (all alike)")?;
        header(card, true)?;
        if !card["body"].is_null() {
            words(&card["body"], "text", 160)?;
        }
        match card["action"]["buttons"].as_array() {
            None => link(&card["action"])?,
            Some(buttons) => {
                for button in buttons {
                    need(button["type"] == "quick_reply", "button type")?;
                    words(&button["quick_reply"], "id", 256)?;
                    words(&button["quick_reply"], "title", 20)?;
                }
            }
        }
    }
    Ok(())
}

fn template(content: &Value) -> Checked<String> {
    let name = words(content, "name", 512)?;
    let code = words(&content["language"], "code", 10)?;
    need(!code.contains('-'), "language code")?;
    for component in content["components"].as_array().into_iter().flatten() {
        let parameters = component["parameters"].as_array();
        // Large and small letters are the same to it, and a number may stand for its digits.
        match component["type"].as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("header" | "body") => {
                for parameter in parameters.ok_or_else(|| missing("parameters"))? {
                    let kind = parameter["type"].as_str().ok_or_else(|| missing("parameter type"))?;
                    if matches!(kind, "image" | "video" | "document") {
                        file(kind, &parameter[kind])?;
                    } else if parameter[kind].is_null() {
                        return Err(refused(400, 132_012, "Parameter format does not match"));
                    }
                }
            }
            Some("button") => {
                words(component, "sub_type", 20)?;
                let index = component["index"].as_str().and_then(|i| i.parse().ok()).or_else(|| component["index"].as_u64());
                need(index.is_some_and(|i| i < 10), "index")?;
                need(parameters.is_some_and(|p| p.len() == 1), "parameters")?;
            }
            Some("carousel" | "limited_time_offer") => {}
            _ => return Err(refused(400, 132_018, "Component type is not known")),
        }
    }
    Ok(format!("[template {name}]"))
}

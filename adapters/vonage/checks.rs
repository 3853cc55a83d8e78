//! What the played Vonage refuses. Written from the fact sheet alone.

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T = ()> = Result<T, Reply>;

/// Vonage's way of saying no.
pub(super) fn refused(status: u16, code: u32, title: &str) -> Reply {
    let body = json!({ "type": format!("https://developer.vonage.com/api-errors/messages#{code}"), "title": title, "detail": title, "instance": "fake" });
    Reply::json(status, &body)
}

fn invalid(name: &str) -> Reply {
    let body = json!({ "type": "https://developer.vonage.com/api-errors#validation", "title": "Your request parameters didn't validate.",
        "detail": "see invalid_parameters", "instance": "fake", "invalid_parameters": [{ "name": name, "reason": "invalid" }] });
    Reply::json(422, &body)
}

fn need(good: bool, name: &str) -> Checked {
    if good { Ok(()) } else { Err(invalid(name)) }
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn link(value: &Value, name: &str) -> Checked {
    need(value.as_str().is_some_and(|url| url.starts_with("https://") || url.starts_with("http://")), name)
}

fn digits(text: &str) -> bool {
    (7..=15).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

/// Checks a message; answers the words in it.
pub(super) fn message(body: &Value) -> Checked<String> {
    let channel = body["channel"].as_str().unwrap_or_default();
    let kind = body["message_type"].as_str().unwrap_or_default();
    let to = body["to"].as_str().unwrap_or_default();
    need(body["from"].as_str().is_some_and(|from| !from.is_empty() && !from.starts_with('+')), "from")?;
    let scoped = channel == "whatsapp" && to.as_bytes().get(2) == Some(&b'.');
    need(if channel == "messenger" { (1..=50).contains(&to.len()) } else { digits(to) || scoped }, "to")?;
    need(chars(&body["client_ref"]) <= 100, "client_ref")?;
    let kinds: &[&str] = match channel {
        "sms" => &["text"],
        "mms" => &["text", "image", "vcard", "audio", "video", "file", "content"],
        "rcs" => &["text", "image", "video", "file", "card", "carousel", "custom"],
        "whatsapp" => &["text", "image", "audio", "video", "file", "sticker", "template", "reaction", "custom"],
        "messenger" => &["text", "image", "audio", "video", "file"],
        "viber_service" => &["text", "image", "video"],
        _ => return Err(invalid("channel")),
    };
    need(kinds.contains(&kind), "message_type")?;
    // Viber's stands among what is Viber's, and Messenger has none.
    let (ttl, least, most) = match channel {
        "mms" => (&body["ttl"], 300, 259_200),
        "rcs" => (&body["ttl"], 300, 259_200),
        "viber_service" => (&body["viber_service"]["ttl"], 30, 259_200),
        _ => (&body["ttl"], 20, 604_800),
    };
    need(body["ttl"].is_null() || !matches!(channel, "viber_service" | "messenger"), "ttl")?;
    need(ttl.is_null() || ttl.as_i64().is_some_and(|ttl| (least..=most).contains(&ttl)), "ttl")?;
    content(channel, kind, body)
}

fn content(channel: &str, kind: &str, body: &Value) -> Checked<String> {
    match kind {
        "text" => {
            let most = match channel {
                "sms" | "viber_service" => 1000,
                "rcs" => 3072,
                "whatsapp" => 4096,
                "messenger" => 640,
                _ => 3000,
            };
            need(chars(&body["text"]) > 0, "text")?;
            if chars(&body["text"]) > most {
                return Err(refused(422, 1090, "1090"));
            }
            suggestions(&body["suggestions"], 11)?;
            Ok(body["text"].as_str().unwrap_or_default().to_owned())
        }
        "image" | "audio" | "video" | "file" | "sticker" | "vcard" => {
            link(&body[kind]["url"], kind)?;
            need(chars(&body[kind]["caption"]) <= 3000, "caption")?;
            Ok(format!("[{kind}]"))
        }
        "reaction" => {
            let good = match body["reaction"]["action"].as_str() {
                Some("react") => chars(&body["reaction"]["emoji"]) > 0,
                Some("unreact") => true,
                _ => false,
            };
            need(good, "reaction")?;
            need(chars(&body["context"]["message_uuid"]) > 0, "context").map(|()| "[reaction]".to_owned())
        }
        "template" => need(chars(&body["template"]["name"]) > 0 && chars(&body["whatsapp"]["locale"]) > 0, "template")
            .map(|()| "[template]".to_owned()),
        "card" => card(&body["card"]).map(|()| "[card]".to_owned()),
        "carousel" => {
            let cards = body["carousel"]["cards"].as_array().ok_or_else(|| invalid("carousel"))?;
            need((2..=10).contains(&cards.len()), "carousel.cards")?;
            cards.iter().try_for_each(card).map(|()| "[carousel]".to_owned())
        }
        "custom" => custom(&body["custom"]).map(|()| "[custom]".to_owned()),
        _ => Err(invalid("message_type")),
    }
}

fn card(card: &Value) -> Checked {
    need((1..=200).contains(&chars(&card["title"])) && (1..=2000).contains(&chars(&card["text"])), "card")?;
    link(&card["media_url"], "media_url")?;
    need(card["media_height"].is_null() || matches!(card["media_height"].as_str(), Some("SHORT" | "MEDIUM" | "TALL")), "media_height")?;
    suggestions(&card["suggestions"], 4)
}

fn suggestions(list: &Value, most: usize) -> Checked {
    let Some(list) = list.as_array() else { return need(list.is_null(), "suggestions") };
    need(list.len() <= most, "suggestions")?;
    list.iter().try_for_each(|item| {
        need((1..=25).contains(&chars(&item["text"])) && chars(&item["postback_data"]) > 0, "suggestions")?;
        match item["type"].as_str() {
            Some("reply" | "share_location" | "view_location" | "create_calendar_event") => Ok(()),
            Some("open_url" | "open_url_in_webview") => link(&item["url"], "url"),
            Some("dial") => need(item["phone_number"].as_str().is_some_and(|n| n.starts_with('+')), "phone_number"),
            _ => Err(invalid("suggestions")),
        }
    })
}

/// WhatsApp's own forms, behind `custom`.
fn custom(custom: &Value) -> Checked {
    match custom["type"].as_str() {
        Some("location") => need(custom["location"]["latitude"].is_f64() && custom["location"]["longitude"].is_f64(), "location"),
        Some("contacts") => {
            let good = |c: &Value| chars(&c["name"]["formatted_name"]) > 0;
            need(custom["contacts"].as_array().is_some_and(|list| !list.is_empty() && list.iter().all(good)), "contacts")
        }
        Some("template") => need(chars(&custom["template"]["name"]) > 0 && chars(&custom["template"]["language"]["code"]) > 0, "template"),
        Some("interactive") => interactive(&custom["interactive"]),
        _ => Err(invalid("custom")),
    }
}

fn interactive(made: &Value) -> Checked {
    let kind = made["type"].as_str().unwrap_or_default();
    need(kind == "product" || (1..=1024).contains(&chars(&made["body"]["text"])), "interactive.body")?;
    need(chars(&made["footer"]["text"]) <= 60, "interactive.footer")?;
    let action = &made["action"];
    match kind {
        "button" => {
            let list = action["buttons"].as_array().map(Vec::as_slice).unwrap_or_default();
            let good = |b: &Value| (1..=20).contains(&chars(&b["reply"]["title"])) && (1..=256).contains(&chars(&b["reply"]["id"]));
            let mut known = std::collections::HashSet::new();
            let once = list.iter().all(|b| known.insert(("id", &b["reply"]["id"])) && known.insert(("title", &b["reply"]["title"])));
            need((1..=3).contains(&list.len()) && list.iter().all(good) && once, "interactive.action.buttons")
        }
        "list" => {
            let sections = action["sections"].as_array().map(Vec::as_slice).unwrap_or_default();
            let rows: Vec<&Value> = sections.iter().filter_map(|s| s["rows"].as_array()).flatten().collect();
            let good = |r: &&Value| {
                (1..=24).contains(&chars(&r["title"])) && (1..=200).contains(&chars(&r["id"])) && chars(&r["description"]) <= 72
            };
            let mut known = std::collections::HashSet::new();
            need(rows.iter().all(|r| known.insert(&r["id"])), "interactive.action.sections")?;
            let titled = sections.len() == 1 || sections.iter().all(|s| (1..=24).contains(&chars(&s["title"])));
            need(
                (1..=10).contains(&rows.len()) && rows.iter().all(good) && titled && (1..=20).contains(&chars(&action["button"])),
                "interactive.action",
            )
        }
        "cta_url" => link(&action["parameters"]["url"], "interactive.action.parameters.url"),
        "location_request_message" => need(action["name"] == "send_location", "interactive.action"),
        "product" => need(chars(&action["catalog_id"]) > 0 && chars(&action["product_retailer_id"]) > 0, "interactive.action"),
        _ => Err(invalid("interactive.type")),
    }
}

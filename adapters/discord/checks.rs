//! What the played Discord refuses. Written from the fact sheet alone.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T = ()> = Result<T, Reply>;

/// Discord's way of saying no.
pub(super) fn refused(status: u16, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "message": message }))
}

fn invalid(field: &str) -> Reply {
    let body = json!({ "code": 50035, "message": "Invalid Form Body", "errors": { field: { "_errors": [{ "code": "BASE_TYPE_BAD", "message": field }] } } });
    Reply::json(400, &body)
}

fn need(good: bool, field: &str) -> Checked {
    if good { Ok(()) } else { Err(invalid(field)) }
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn link(value: &Value, field: &str) -> Checked {
    need(
        value.as_str().is_some_and(|url| url.starts_with("https://") || url.starts_with("http://") || url.starts_with("attachment://")),
        field,
    )
}

/// Checks a message; answers its words.
pub(super) fn message(body: &Value, files: usize) -> Checked<String> {
    let list = |name: &str| body[name].as_array().map(Vec::as_slice).unwrap_or_default();
    if chars(&body["content"]) == 0
        && list("embeds").is_empty()
        && list("components").is_empty()
        && files == 0
        && body["poll"].is_null()
        && list("sticker_ids").is_empty()
    {
        return Err(refused(400, 50_006, "Cannot send an empty message"));
    }
    need(chars(&body["content"]) <= 2000, "content")?;
    need(chars(&body["nonce"]) <= 25, "nonce")?;
    need(body["allowed_mentions"].is_null() || body["allowed_mentions"].is_object(), "allowed_mentions")?;
    need(list("embeds").len() <= 10, "embeds")?;
    let mut total = 0;
    for embed in list("embeds") {
        let (title, words) = (chars(&embed["title"]), chars(&embed["description"]));
        total += title + words;
        need(title <= 256 && words <= 4096, "embeds")?;
        need(title > 0 || words > 0 || !embed["image"].is_null(), "embeds")?;
        if !embed["image"].is_null() {
            link(&embed["image"]["url"], "embeds.image.url")?;
        }
    }
    need(total <= 6000, "embeds")?;
    need(list("attachments").len() <= 10, "attachments")?;
    rows(list("components"))?;
    if !body["poll"].is_null() {
        let answers = body["poll"]["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let good = |answer: &Value| (1..=55).contains(&chars(&answer["poll_media"]["text"]));
        need(
            (1..=300).contains(&chars(&body["poll"]["question"]["text"])) && (1..=10).contains(&answers.len()) && answers.iter().all(good),
            "poll",
        )?;
    }
    Ok(body["content"].as_str().unwrap_or_default().to_owned())
}

fn rows(list: &[Value]) -> Checked {
    need(list.len() <= 5, "components")?;
    let mut ids = HashSet::new();
    for row in list {
        let inside = row["components"].as_array().map(Vec::as_slice).unwrap_or_default();
        need(row["type"] == 1 && !inside.is_empty(), "components")?;
        let select = inside.iter().any(|c| c["type"] == 3);
        need(inside.len() <= if select { 1 } else { 5 }, "components")?;
        for component in inside {
            match component["type"].as_i64() {
                Some(2) => button(component)?,
                Some(3) => menu(component)?,
                Some(5..=8) => {}
                _ => return Err(invalid("components.type")),
            }
            if let Some(id) = component["custom_id"].as_str() {
                need(ids.insert(id.to_owned()), "components.custom_id")?;
            }
        }
    }
    Ok(())
}

fn button(button: &Value) -> Checked {
    need((1..=80).contains(&chars(&button["label"])), "components.label")?;
    match button["style"].as_i64() {
        Some(1..=4) => need((1..=100).contains(&chars(&button["custom_id"])), "components.custom_id"),
        Some(5) => link(&button["url"], "components.url")
            .and(need(chars(&button["url"]) <= 512 && button["custom_id"].is_null(), "components.url")),
        _ => Err(invalid("components.style")),
    }
}

fn menu(menu: &Value) -> Checked {
    need((1..=100).contains(&chars(&menu["custom_id"])) && chars(&menu["placeholder"]) <= 150, "components.custom_id")?;
    let options = menu["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    let good =
        |o: &Value| (1..=100).contains(&chars(&o["label"])) && (1..=100).contains(&chars(&o["value"])) && chars(&o["description"]) <= 100;
    let values: HashSet<&str> = options.iter().filter_map(|o| o["value"].as_str()).collect();
    need((1..=25).contains(&options.len()) && options.iter().all(good) && values.len() == options.len(), "components.options")
}

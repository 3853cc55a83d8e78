//! What the played Slack refuses. Written from the fact sheet alone.

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T = ()> = Result<T, Reply>;

/// Slack's way of saying no.
pub(super) fn refused(error: &str) -> Reply {
    Reply::json(200, &json!({ "ok": false, "error": error }))
}

fn invalid(what: &str) -> Reply {
    Reply::json(200, &json!({ "ok": false, "error": "invalid_blocks", "response_metadata": { "messages": [format!("[ERROR] {what}")] } }))
}

fn need(good: bool, what: &str) -> Checked {
    if good { Ok(()) } else { Err(invalid(what)) }
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

/// Checks what a message says; answers its words.
pub(super) fn message(body: &Value) -> Checked<String> {
    let (text, markdown, blocks) = (&body["text"], &body["markdown_text"], &body["blocks"]);
    if !markdown.is_null() {
        if !text.is_null() || !blocks.is_null() {
            return Err(refused("markdown_text_conflict"));
        }
        return if (1..=12_000).contains(&chars(markdown)) {
            Ok(markdown.as_str().unwrap_or_default().to_owned())
        } else {
            Err(refused("msg_too_long"))
        };
    }
    if chars(text) == 0 && blocks.as_array().is_none_or(Vec::is_empty) {
        return Err(refused("no_text"));
    }
    if chars(text) > 40_000 {
        return Err(refused("msg_too_long"));
    }
    let metadata = &body["metadata"];
    if !(metadata.is_null() || metadata["event_type"].is_string() && metadata["event_payload"].is_object()) {
        return Err(refused("invalid_metadata_format"));
    }
    if !blocks.is_null() {
        let list = blocks.as_array().ok_or_else(|| refused("invalid_blocks_format"))?;
        need(list.len() <= 50, "at most 50 blocks")?;
        list.iter().try_for_each(block)?;
    }
    Ok(text.as_str().unwrap_or_default().to_owned())
}

fn block(block: &Value) -> Checked {
    need(chars(&block["block_id"]) <= 255, "block_id")?;
    match block["type"].as_str().unwrap_or_default() {
        "section" => {
            let fields = block["fields"].as_array().map_or(0, Vec::len);
            need(fields <= 10 && (fields > 0 || !block["text"].is_null()), "section")?;
            if block["text"].is_null() { Ok(()) } else { words(&block["text"], 3000, true) }
        }
        "header" => words(&block["text"], 150, false),
        "image" => picture(block),
        "context" => {
            let list = block["elements"].as_array().ok_or_else(|| invalid("context"))?;
            need((1..=10).contains(&list.len()), "context elements")
        }
        "actions" => {
            let list = block["elements"].as_array().ok_or_else(|| invalid("actions"))?;
            need((1..=25).contains(&list.len()), "actions elements")?;
            let ids: std::collections::HashSet<&str> = list.iter().filter_map(|e| e["action_id"].as_str()).collect();
            need(ids.len() == list.len(), "action_id must be unique")?;
            list.iter().try_for_each(element)
        }
        "carousel" => {
            let list = block["elements"].as_array().ok_or_else(|| invalid("carousel"))?;
            need((1..=10).contains(&list.len()), "carousel elements")?;
            list.iter().try_for_each(card)
        }
        "card" => card(block),
        "divider" | "rich_text" | "markdown" | "video" | "file" | "table" => Ok(()),
        _ => Err(invalid("block type")),
    }
}

fn words(text: &Value, most: usize, marked: bool) -> Checked {
    let kind = text["type"].as_str().unwrap_or_default();
    need(kind == "plain_text" || marked && kind == "mrkdwn", "text type")?;
    need((1..=most).contains(&chars(&text["text"])), "text length")
}

fn picture(image: &Value) -> Checked {
    let url = image["image_url"].as_str().unwrap_or_default();
    need(url.starts_with("https://") || url.starts_with("http://"), "image_url")?;
    need(url.chars().count() <= 3000 && (1..=2000).contains(&chars(&image["alt_text"])), "image")
}

fn card(card: &Value) -> Checked {
    need(["hero_image", "title", "actions", "body"].iter().any(|f| !card[*f].is_null()), "card is empty")?;
    for (name, most) in [("title", 150), ("subtitle", 150), ("body", 200)] {
        if !card[name].is_null() {
            words(&card[name], most, true)?;
        }
    }
    if !card["hero_image"].is_null() {
        picture(&card["hero_image"])?;
    }
    let buttons = card["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    need(buttons.len() <= 3 && buttons.iter().all(|b| b["type"] == "button"), "card actions")?;
    buttons.iter().try_for_each(element)
}

fn element(element: &Value) -> Checked {
    need(chars(&element["action_id"]) <= 255, "action_id")?;
    match element["type"].as_str().unwrap_or_default() {
        "button" => {
            words(&element["text"], 75, false)?;
            need(chars(&element["value"]) <= 2000 && chars(&element["url"]) <= 3000, "button")
        }
        "static_select" => {
            words(&element["placeholder"], 150, false)?;
            match (element["options"].as_array(), element["option_groups"].as_array()) {
                (Some(list), None) => once(list).and_then(|()| options(list)),
                (None, Some(groups)) => {
                    need((1..=100).contains(&groups.len()), "option_groups")?;
                    once(groups.iter().filter_map(|g| g["options"].as_array()).flatten())?;
                    groups.iter().try_for_each(|g| {
                        words(&g["label"], 75, false).and(options(g["options"].as_array().map(Vec::as_slice).unwrap_or_default()))
                    })
                }
                _ => Err(invalid("options or option_groups")),
            }
        }
        "datepicker" => {
            if element["placeholder"].is_null() {
                Ok(())
            } else {
                words(&element["placeholder"], 150, false)
            }
        }
        "overflow" | "radio_buttons" | "checkboxes" | "timepicker" => Ok(()),
        _ => Err(invalid("element type")),
    }
}

/// The value of an option is its own.
fn once<'v>(options: impl IntoIterator<Item = &'v Value>) -> Checked {
    let mut known = std::collections::HashSet::new();
    need(options.into_iter().all(|option| known.insert(option["value"].as_str())), "option values must be unique")
}

fn options(list: &[Value]) -> Checked {
    need((1..=100).contains(&list.len()), "options (1 to 100)")?;
    list.iter().try_for_each(|option| {
        words(&option["text"], 75, false)?;
        need((1..=150).contains(&chars(&option["value"])), "option value")?;
        if option["description"].is_null() { Ok(()) } else { words(&option["description"], 75, false) }
    })
}

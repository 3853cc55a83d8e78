//! What the played Google Chat refuses. Written from the fact sheet alone.

use serde_json::Value;

use crate::contract::Reply;
use crate::kit::google::refused;

pub(super) type Checked<T = ()> = Result<T, Reply>;

fn need(good: bool, what: &str) -> Checked {
    if good { Ok(()) } else { Err(refused(400, "INVALID_ARGUMENT", &format!("Invalid {what}"))) }
}

fn words(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// Checks a message; answers its words. `url` is the endpoint that an add-on's buttons must name.
pub(super) fn message(body: &Value, size: usize, addon: Option<&str>) -> Checked<String> {
    need(size <= 32_000, "message: larger than 32000 bytes")?;
    let cards = body["cardsV2"].as_array().map(Vec::as_slice).unwrap_or_default();
    need(words(&body["text"]) || !cards.is_empty(), "message: empty")?;
    for card in cards {
        let sections = card["card"]["sections"].as_array().map(Vec::as_slice).unwrap_or_default();
        let widgets: Vec<&Value> = sections.iter().filter_map(|s| s["widgets"].as_array()).flatten().collect();
        need((1..=100).contains(&widgets.len()), "cardsV2: widgets")?;
        need(card["card"]["header"].is_null() || words(&card["card"]["header"]["title"]), "cardsV2: header")?;
        widgets.into_iter().try_for_each(|w| widget(w, addon))?;
    }
    Ok(body["text"].as_str().unwrap_or("[card]").to_owned())
}

fn widget(widget: &Value, addon: Option<&str>) -> Checked {
    let (name, inside) = widget
        .as_object()
        .filter(|w| w.len() == 1)
        .and_then(|w| w.iter().next())
        .ok_or_else(|| refused(400, "INVALID_ARGUMENT", "widget"))?;
    match name.as_str() {
        "textParagraph" => need(words(&inside["text"]), "textParagraph"),
        "image" => need(inside["imageUrl"].as_str().is_some_and(|url| url.starts_with("https://")), "image.imageUrl"),
        "buttonList" => {
            let buttons = inside["buttons"].as_array().map(Vec::as_slice).unwrap_or_default();
            need(!buttons.is_empty(), "buttonList")?;
            buttons.iter().try_for_each(|button| {
                need(words(&button["text"]), "button.text")?;
                let click = &button["onClick"];
                if click["openLink"].is_object() {
                    need(words(&click["openLink"]["url"]), "openLink.url")
                } else {
                    action(&click["action"], addon)
                }
            })
        }
        "selectionInput" => {
            let items = inside["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let good = |item: &Value| words(&item["text"]) && words(&item["value"]);
            need(words(&inside["name"]) && (1..=100).contains(&items.len()) && items.iter().all(good), "selectionInput")?;
            action(&inside["onChangeAction"], addon)
        }
        "carousel" => {
            let cards = inside["carouselCards"].as_array().map(Vec::as_slice).unwrap_or_default();
            need((2..=10).contains(&cards.len()), "carouselCards")?;
            let nested = cards.iter().flat_map(|c| [&c["widgets"], &c["footerWidgets"]]).filter_map(Value::as_array).flatten();
            nested.into_iter().try_for_each(|nested| self::widget(nested, addon))
        }
        "decoratedText" | "divider" | "textInput" | "dateTimePicker" | "grid" | "columns" => Ok(()),
        _ => need(false, "widget"),
    }
}

/// A press calls something: the whole endpoint in an add-on, a name elsewhere.
fn action(action: &Value, addon: Option<&str>) -> Checked {
    let function = action["function"].as_str().unwrap_or_default();
    need(if let Some(url) = addon { function == url } else { !function.is_empty() }, "action.function")?;
    let parameters = action["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    need(parameters.iter().all(|p| words(&p["key"]) && p["value"].is_string()), "action.parameters")
}

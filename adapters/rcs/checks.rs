//! What the played RBM API refuses. Written from the fact sheet alone.

use serde_json::Value;

use crate::contract::Reply;
use crate::kit::google::refused;

pub(super) type Checked<T = ()> = Result<T, Reply>;

pub(super) fn need(good: bool, name: &str) -> Checked {
    if good { Ok(()) } else { Err(refused(400, "INVALID_ARGUMENT", name)) }
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn link(value: &Value, name: &str) -> Checked {
    need(value.as_str().is_some_and(|url| (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= 2048), name)
}

/// Checks a message; answers the words in it.
pub(super) fn message(body: &Value, bytes: usize) -> Checked<String> {
    need(bytes <= 250 << 10, "size")?;
    let kinds = ["AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT"];
    need(body["messageTrafficType"].as_str().is_some_and(|kind| kinds.contains(&kind)), "messageTrafficType")?;
    need(body["ttl"].is_null() || body["expireTime"].is_null(), "expiration")?;
    let content = &body["contentMessage"];
    let kinds = ["text", "contentInfo", "uploadedRbmFile", "richCard"].iter().filter(|kind| !content[**kind].is_null()).count();
    need(kinds == 1, "contentMessage")?;
    suggestions(&content["suggestions"], 11)?;
    if let Some(text) = content["text"].as_str() {
        need((1..=3072).contains(&text.chars().count()), "text")?;
        return Ok(text.to_owned());
    }
    if !content["contentInfo"].is_null() {
        return link(&content["contentInfo"]["fileUrl"], "fileUrl").map(|()| "[file]".to_owned());
    }
    let rich = &content["richCard"];
    if let Some(cards) = rich["carouselCard"]["cardContents"].as_array() {
        need((2..=10).contains(&cards.len()) && rich["carouselCard"]["cardWidth"].is_string(), "carouselCard")?;
        return cards.iter().try_for_each(card).map(|()| "[carousel]".to_owned());
    }
    need(matches!(rich["standaloneCard"]["cardOrientation"].as_str(), Some("VERTICAL" | "HORIZONTAL")), "cardOrientation")?;
    card(&rich["standaloneCard"]["cardContent"]).map(|()| "[card]".to_owned())
}

fn card(card: &Value) -> Checked {
    need(["title", "description", "media"].iter().any(|name| !card[*name].is_null()), "cardContent")?;
    need(chars(&card["title"]) <= 200 && chars(&card["description"]) <= 2000, "cardContent")?;
    if !card["media"].is_null() {
        need(matches!(card["media"]["height"].as_str(), Some("SHORT" | "MEDIUM" | "TALL")), "height")?;
        link(&card["media"]["contentInfo"]["fileUrl"], "fileUrl")?;
    }
    suggestions(&card["suggestions"], 4)
}

fn suggestions(list: &Value, most: usize) -> Checked {
    let Some(list) = list.as_array() else { return need(list.is_null(), "suggestions") };
    need((1..=most).contains(&list.len()), "suggestions")?;
    list.iter().try_for_each(|item| {
        let what = if item["reply"].is_null() { &item["action"] } else { &item["reply"] };
        need((1..=25).contains(&chars(&what["text"])) && (1..=2048).contains(&chars(&what["postbackData"])), "suggestion")?;
        if item["action"].is_null() {
            return Ok(());
        }
        if !what["openUrlAction"].is_null() {
            return link(&what["openUrlAction"]["url"], "openUrlAction");
        }
        let dial = what["dialAction"]["phoneNumber"].as_str().is_some_and(|number| number.starts_with('+'));
        let place = what["viewLocationAction"]["latLong"]["latitude"].is_number();
        need(dial || place || what["shareLocationAction"].is_object(), "action")
    })
}

//! Suggestions and cards.

use serde_json::{Value, json};

use crate::contract::part::{Card, ChoiceOption, OptionKind};
use crate::contract::*;
use crate::kit::address::is_e164;
use crate::kit::{spoken, text};

/// RBM API reference, read 2026-11-20. Characters.
pub(super) const LABEL: usize = 25;
const POSTBACK: usize = 2048;
const TITLE: usize = 200;
pub(super) const DESCRIPTION: usize = 2000;
/// Suggestions of a message, and of a card.
pub(super) const MOST: usize = 11;
pub(super) const ON_CARD: usize = 4;

/// Refuses options nobody could show.
pub(super) fn check(options: &[ChoiceOption<'_>], at: &str) -> Result<(), RenderError> {
    for (index, option) in options.iter().enumerate() {
        let wrong = |field: &str, code, problem: &str| Err(RenderError::new(format!("{at}/{index}/{field}"), code, problem));
        let value = option.value.as_deref().unwrap_or_default();
        if option.title.trim().is_empty() {
            return wrong("title", "title_empty", "an option needs a title");
        }
        if spoken::payload(option).len() > POSTBACK {
            return wrong("id", "option_invalid", "an id has at most 2,048 characters");
        }
        match option.kind {
            OptionKind::Url | OptionKind::Webview
                if !(value.starts_with("https://") || value.starts_with("http://")) || value.len() > POSTBACK =>
            {
                return wrong("value", "option_invalid", "a link begins with https:// or http:// and has at most 2,048 characters");
            }
            OptionKind::Call if !is_e164(value) => return wrong("value", "option_invalid", "a number to call is written as +15550100200"),
            OptionKind::Copy if value.is_empty() => return wrong("value", "value_missing", "this kind of option needs a `value`"),
            _ => {}
        }
    }
    Ok(())
}

/// Suggestions, and lines for what none can do.
pub(super) fn suggestions(options: &[ChoiceOption<'_>], part: usize, out: &mut Rendered) -> (Vec<Value>, Vec<String>) {
    let (mut list, mut lines) = (Vec::new(), Vec::new());
    for option in options {
        if option.kind == OptionKind::Copy {
            out.note(part, "copy", "text", "RCS has no such button");
            lines.extend(spoken::acting(option));
            continue;
        }
        if Unit::Chars.count(&option.title) > LABEL {
            out.note(part, "title", "shorter title", "a suggestion has at most 25 characters");
        }
        if matches!(option.kind, OptionKind::Contact | OptionKind::Date) {
            out.note(part, "ask", "button", "RCS cannot ask for this; the press comes back as a choice");
        }
        list.push(suggestion(option));
    }
    (list, lines)
}

fn suggestion(option: &ChoiceOption<'_>) -> Value {
    let mut made = json!({ "text": text::shorten(&option.title, LABEL, Unit::Chars), "postbackData": spoken::payload(option) });
    let value = option.value.as_deref().unwrap_or_default();
    match option.kind {
        OptionKind::Url => made["openUrlAction"] = json!({ "url": value }),
        OptionKind::Webview => made["openUrlAction"] = json!({ "url": value, "application": "WEBVIEW", "webviewViewMode": "FULL" }),
        OptionKind::Call => made["dialAction"] = json!({ "phoneNumber": value }),
        OptionKind::Location => made["shareLocationAction"] = json!({}),
        _ => return json!({ "reply": made }),
    }
    json!({ "action": made })
}

/// What a suggestion says.
pub(super) fn label(made: &Value) -> Option<&str> {
    made.pointer("/reply/text").or_else(|| made.pointer("/action/text")).and_then(Value::as_str)
}

/// A chip that opens a place on the map.
pub(super) fn map(place: &part::Location<'_>) -> Value {
    let label = place.name.as_deref().or(place.address.as_deref()).unwrap_or_default();
    let mut action = json!({ "latLong": { "latitude": place.latitude, "longitude": place.longitude } });
    if !label.is_empty() {
        action["label"] = label.into();
    }
    let title = if label.is_empty() { "📍" } else { label };
    json!({ "action": { "text": text::shorten(title, LABEL, Unit::Chars), "postbackData": "map", "viewLocationAction": action } })
}

/// Whether a card can show it.
pub(super) fn shows(media: &Media<'_>) -> bool {
    matches!(spoken::looks(media), "image" | "video") && spoken::link(media).is_some()
}

/// A card's content.
pub(super) fn content(title: Option<&str>, words: &str, media: Option<&Media<'_>>, suggestions: Vec<Value>) -> Value {
    let mut made = json!({});
    if let Some(title) = title.filter(|t| !t.is_empty()) {
        made["title"] = title.into();
    }
    if !words.is_empty() {
        made["description"] = words.into();
    }
    if let Some(url) = media.and_then(spoken::link) {
        made["media"] = json!({ "height": "MEDIUM", "contentInfo": { "fileUrl": url } });
    }
    if !suggestions.is_empty() {
        made["suggestions"] = suggestions.into();
    }
    made
}

/// A whole card; `None` when it does not fit into one.
pub(super) fn card(card: &Card<'_>, part: usize, out: &mut Rendered) -> Option<Value> {
    let words = card.text.as_deref().unwrap_or_default();
    let fits = (1..=TITLE).contains(&Unit::Chars.count(&card.title))
        && Unit::Chars.count(words) <= DESCRIPTION
        && card.options.len() <= ON_CARD
        && card.options.iter().all(|option| option.kind != OptionKind::Copy)
        && card.media.as_ref().is_none_or(shows);
    fits.then(|| content(Some(&card.title), words, card.media.as_ref(), suggestions(&card.options, part, out).0))
}

/// One card alone.
pub(super) fn standalone(content: Value) -> Value {
    json!({ "richCard": { "standaloneCard": { "cardOrientation": "VERTICAL", "cardContent": content } } })
}

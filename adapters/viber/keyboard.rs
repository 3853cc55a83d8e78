//! Keyboards under a message, and cards made of the same buttons (keyboards, rich media, read 2026-11-20).

use serde_json::{Value, json};

use crate::contract::RenderError;
use crate::contract::part::{Card, ChoiceOption, OptionKind};
use crate::kit::{text, words};

/// Rows of a keyboard in portrait.
const ROWS: usize = 12;
const TEXT: usize = 250;
/// Rows of a card.
const CARD_ROWS: usize = 7;
const PICTURE_ROWS: usize = 3;

/// How many options a keyboard holds: two beside each other when they are many.
pub(super) const MOST: usize = ROWS * 2;
/// How many cards a carousel holds.
pub(super) const CARDS: usize = 6;
/// How many buttons a card holds beside its words.
pub(super) const CARD_BUTTONS: usize = 3;

/// Whether there is a button that does this.
pub(super) fn has_button(option: &ChoiceOption<'_>) -> bool {
    !matches!(option.kind, OptionKind::Call | OptionKind::Copy)
}

/// Whether a card has room for all its buttons.
pub(super) fn holds(card: &Card<'_>) -> bool {
    card.options.len() <= CARD_BUTTONS - usize::from(card.media.is_some()) && card.options.iter().all(has_button)
}

/// The oldest client that understands these options.
pub(super) fn level(options: &[ChoiceOption<'_>]) -> u8 {
    let one = |option: &ChoiceOption<'_>| match option.kind {
        OptionKind::Contact | OptionKind::Location => 3,
        OptionKind::Postback => 2,
        OptionKind::Reply | OptionKind::Date if words::payload(option) != option.title => 2,
        _ => 1,
    };
    options.iter().map(one).max().unwrap_or(1)
}

/// The keyboard of these options, each with its place in the request.
pub(super) fn keyboard(options: &[(usize, &ChoiceOption<'_>)], at: &str) -> Result<Value, RenderError> {
    let columns = if options.len() > ROWS { 3 } else { 6 };
    let buttons: Result<Vec<Value>, RenderError> =
        options.iter().map(|(number, option)| button(option, columns, &format!("{at}/{number}"))).collect();
    Ok(json!({ "Type": "keyboard", "DefaultHeight": false, "Buttons": buttons? }))
}

fn button(option: &ChoiceOption<'_>, columns: u8, at: &str) -> Result<Value, RenderError> {
    let words = text::shorten(&option.title, TEXT, crate::contract::Unit::Chars);
    let mut out = json!({ "Columns": columns, "Rows": 1, "Text": escape(&words), "TextSize": "regular" });
    let (kind, body) = match option.kind {
        OptionKind::Url | OptionKind::Webview => {
            let link = option.value.as_deref().filter(|url| words::is_link(url));
            let problem = "a link begins with https:// or http://";
            ("open-url", link.ok_or_else(|| RenderError::new(format!("{at}/value"), "option_invalid", problem))?)
        }
        OptionKind::Contact => ("share-phone", words::payload(option)),
        OptionKind::Location => ("location-picker", words::payload(option)),
        _ => ("reply", words::payload(option)),
    };
    out["ActionType"] = kind.into();
    out["ActionBody"] = body.into();
    // What a person would not say is not shown as said by them.
    if kind == "reply" && (body != option.title || option.kind == OptionKind::Postback) {
        out["Silent"] = true.into();
    }
    Ok(out)
}

/// Cards of equal height: picture, words, buttons. A card without a picture has more room for words.
pub(super) fn carousel(cards: &[Card<'_>], at: &dyn Fn(usize) -> String) -> Result<Value, RenderError> {
    let pictures = cards.iter().any(|card| card.media.is_some());
    let most = cards.iter().map(|card| card.options.len()).max().unwrap_or(0);
    let rows = (if pictures { PICTURE_ROWS } else { 0 } + 2 + most).min(CARD_ROWS);
    let mut buttons = Vec::new();
    for (number, card) in cards.iter().enumerate() {
        let link = card.options.iter().find(|o| o.kind == OptionKind::Url).and_then(|o| o.value.as_deref());
        let (kind, body) = link.map_or(("none", "none"), |url| ("open-url", url));
        let picture = card.media.as_ref().and_then(|m| m.url.as_deref());
        if let Some(url) = picture {
            buttons.push(json!({ "Columns": 6, "Rows": PICTURE_ROWS, "ActionType": kind, "ActionBody": body, "Image": url }));
        }
        let words = match card.text.as_deref().filter(|t| !t.is_empty()) {
            Some(more) => format!("{}\n{more}", card.title),
            None => card.title.to_string(),
        };
        let words = escape(&text::shorten(&words, TEXT - 20, crate::contract::Unit::Chars));
        let (title, more) = words.split_once('\n').unwrap_or((&words, ""));
        let words = format!("<b>{title}</b>{}{}", if more.is_empty() { "" } else { "<br>" }, more.replace('\n', "<br>"));
        let taken = if picture.is_some() { PICTURE_ROWS } else { 0 } + card.options.len();
        let height = rows.saturating_sub(taken).max(1);
        buttons.push(json!({ "Columns": 6, "Rows": height, "ActionType": kind, "ActionBody": body, "Text": words, "TextHAlign": "left" }));
        for (place, option) in card.options.iter().enumerate() {
            buttons.push(button(option, 6, &format!("{}/options/{place}", at(number)))?);
        }
    }
    Ok(json!({ "Type": "rich_media", "ButtonsGroupColumns": 6, "ButtonsGroupRows": rows, "BgColor": "#FFFFFF", "Buttons": buttons }))
}

/// Buttons understand some HTML.
fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

//! Cards: what is more than words.

use serde_json::{Value, json};

use super::Channel;
use super::Format;
use super::content::{CHOICE, MENU, TITLE};
use crate::contract::part::{Card, ChoiceOption, Choices, Layout, OptionKind};
use crate::contract::*;
use crate::kit::spoken;

/// developers.google.com/workspace/chat/api/reference/rest/v1/cards, read 2026-11-20.
const WIDGETS: usize = 90;
const CARDS: std::ops::RangeInclusive<usize> = 2..=10;

/// What a press calls: an add-on's address, or a name.
fn action(channel: &Channel, parameters: &[(&str, &str)]) -> Value {
    let function = if channel.settings.inbound_format == Format::Addon { channel.settings.audience.as_str() } else { CHOICE };
    let parameters: Vec<Value> = parameters.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    json!({ "action": { "function": function, "parameters": parameters } })
}

/// The widgets of options. `at` points to them.
pub(super) fn options(
    channel: &Channel,
    asked: &Choices<'_>,
    part: usize,
    at: &str,
    out: &mut Rendered,
) -> Result<Vec<Value>, RenderError> {
    check(&asked.options, at)?;
    let answers: Vec<&ChoiceOption<'_>> = asked.options.iter().filter(|o| answered(o)).collect();
    let menu = asked.layout == Some(Layout::List) && answers.len() > 1 || answers.len() > 10;
    let mut widgets = Vec::new();
    if menu {
        let item = |o: &&ChoiceOption<'_>| {
            let mut item = json!({ "text": o.title, "value": spoken::payload(o), "selected": false });
            // A menu has no headings: each row names its own.
            let under = [o.section.as_deref(), o.description.as_deref()].into_iter().flatten().filter(|w| !w.is_empty());
            let under = under.collect::<Vec<_>>().join(": ");
            if !under.is_empty() {
                item["bottomText"] = under.into();
            }
            item
        };
        let label = asked.menu_label.as_deref().filter(|l| !l.is_empty()).unwrap_or("…");
        let mut select = json!({ "name": MENU, "label": label, "type": "DROPDOWN", "items": answers.iter().map(item).collect::<Vec<_>>() });
        select["onChangeAction"] = action(channel, &[(MENU, "1")])["action"].clone();
        widgets.push(json!({ "selectionInput": select }));
    }
    let mut buttons = Vec::new();
    for option in &asked.options {
        match option.kind {
            OptionKind::Url | OptionKind::Webview => {
                buttons.push(json!({ "text": option.title, "onClick": { "openLink": { "url": option.value } } }))
            }
            OptionKind::Call => {
                let number = option.value.as_deref().unwrap_or_default();
                buttons.push(json!({ "text": option.title, "onClick": { "openLink": { "url": format!("tel:{number}") } } }));
            }
            OptionKind::Copy => {
                out.note(part, "copy", "text", "Google Chat has no such button");
                widgets.push(words(&spoken::acting(option).unwrap_or_default()));
            }
            _ if menu => {}
            kind => {
                if matches!(kind, OptionKind::Location | OptionKind::Contact | OptionKind::Date) {
                    out.note(part, "ask", "button", "Google Chat cannot ask for this; the press comes back as a choice");
                }
                let parameters = [(CHOICE, spoken::payload(option)), (TITLE, &option.title)];
                buttons.push(json!({ "text": option.title, "onClick": action(channel, &parameters) }));
            }
        }
    }
    if !buttons.is_empty() {
        widgets.push(json!({ "buttonList": { "buttons": buttons } }));
    }
    if asked.options.len() > WIDGETS {
        return Err(RenderError::new(at, "options_too_many", "a card has at most 90 options here"));
    }
    Ok(widgets)
}

fn answered(option: &ChoiceOption<'_>) -> bool {
    !matches!(option.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Call | OptionKind::Copy)
}

fn check(options: &[ChoiceOption<'_>], at: &str) -> Result<(), RenderError> {
    if options.is_empty() {
        return Err(RenderError::new(at, "option_invalid", "choices need at least one option"));
    }
    for (index, option) in options.iter().enumerate() {
        let wrong = |field: &str, code, problem: &str| Err(RenderError::new(format!("{at}/{index}/{field}"), code, problem));
        let value = option.value.as_deref().unwrap_or_default();
        if option.title.trim().is_empty() {
            return wrong("title", "title_empty", "an option needs words on its button");
        }
        if matches!(option.kind, OptionKind::Url | OptionKind::Webview) && !value.starts_with("https://") && !value.starts_with("http://") {
            return wrong("value", "option_invalid", "a link begins with https:// or http://");
        }
        if matches!(option.kind, OptionKind::Call | OptionKind::Copy) && value.is_empty() {
            return wrong("value", "value_missing", "this kind of option needs a `value`");
        }
    }
    Ok(())
}

/// Words in a card, which reads HTML.
pub(super) fn words(text: &str) -> Value {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>");
    json!({ "textParagraph": { "text": text } })
}

/// A picture by its address.
pub(super) fn image(url: &str, alt: &str) -> Value {
    json!({ "image": { "imageUrl": url, "altText": if alt.is_empty() { "image" } else { alt } } })
}

/// Widgets as the one card of a message.
pub(super) fn card(title: Option<&str>, widgets: Vec<Value>) -> Value {
    let mut card = json!({ "sections": [{ "widgets": widgets }] });
    if let Some(title) = title.filter(|t| !t.is_empty()) {
        card["header"] = json!({ "title": title });
    }
    json!([{ "cardId": "c1", "card": card }])
}

/// Cards side by side; `None` where they do not fit.
pub(super) fn carousel(
    channel: &Channel,
    cards: &[Card<'_>],
    part: usize,
    at: &str,
    out: &mut Rendered,
) -> Result<Option<Value>, RenderError> {
    if !CARDS.contains(&cards.len()) || cards.iter().any(|c| c.media.as_ref().is_some_and(|m| picture(m).is_none())) {
        return Ok(None);
    }
    let mut made = Vec::new();
    for (number, card) in cards.iter().enumerate() {
        let mut widgets: Vec<Value> = card.media.as_ref().and_then(picture).map(|url| image(url, &card.title)).into_iter().collect();
        widgets.push(words(&spoken::lines([Some(&*card.title), card.text.as_deref()])));
        let footer = if card.options.is_empty() {
            Vec::new()
        } else {
            let asked = Choices { options: card.options.clone(), ..Choices::default() };
            options(channel, &asked, part, &format!("{at}/{number}/options"), out)?
        };
        made.push(json!({ "widgets": widgets, "footerWidgets": footer }));
    }
    Ok(Some(json!({ "carousel": { "carouselCards": made } })))
}

/// The address of a picture a card can show.
pub(super) fn picture<'m>(media: &'m Media<'_>) -> Option<&'m str> {
    spoken::link(media).filter(|url| url.starts_with("https://") && matches!(spoken::looks(media), "image" | "file"))
}

//! Block Kit: pictures, questions with buttons and menus, cards.

use serde_json::{Value, json};

use super::markup::escape;
use crate::contract::part::{Card, ChoiceOption, Choices, Layout, OptionKind};
use crate::contract::*;
use crate::kit::{spoken, text, words};

/// docs.slack.dev/reference/block-kit, read 2026-11-20. All in characters.
pub(super) const SECTION: usize = 3000;
const HEADER: usize = 150;
const LABEL: usize = 75;
const VALUE: usize = 2000;
const URL: usize = 3000;
const OPTION_VALUE: usize = 150;
const CARD_TITLE: usize = 150;
const CARD_BODY: usize = 200;
const CARD_BUTTONS: usize = 3;
const ROW: usize = 25;
const MENU: usize = 100;
/// More buttons than a person would read stand in a menu.
const MANY: usize = 8;

pub(super) fn section(words: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": words } })
}

pub(super) fn image(url: &str, alt: &str) -> Value {
    let alt = if alt.trim().is_empty() { "image" } else { alt };
    json!({ "type": "image", "image_url": url, "alt_text": text::shorten(alt, 2000, Unit::Chars) })
}

fn label(words: &str, most: usize) -> Value {
    json!({ "type": "plain_text", "text": text::shorten(words, most, Unit::Chars), "emoji": true })
}

/// The blocks of a question below its words, and lines for what no block can do. `at` points to the options.
pub(super) struct Options {
    pub blocks: Vec<Value>,
    pub lines: Vec<String>,
}

/// Lays options out as buttons or as a menu.
pub(super) fn options(asked: &Choices<'_>, part: usize, at: &str, out: &mut Rendered) -> Result<Options, RenderError> {
    check(&asked.options, at)?;
    let answers: Vec<(usize, &ChoiceOption<'_>)> = asked
        .options
        .iter()
        .enumerate()
        .filter(|(_, o)| !matches!(o.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Call | OptionKind::Copy | OptionKind::Date))
        .collect();
    let fits = answers.iter().all(|(_, o)| Unit::Chars.count(spoken::payload(o)) <= OPTION_VALUE) && answers.len() <= MENU;
    let menu = fits && (asked.layout == Some(Layout::List) || answers.len() > MANY) && !answers.is_empty();
    let (mut elements, mut lines) = (Vec::new(), Vec::new());
    if menu {
        elements.push(select(asked, &answers));
    }
    for (index, option) in asked.options.iter().enumerate() {
        if menu && answers.iter().any(|(at, _)| *at == index) {
            continue;
        }
        if Unit::Chars.count(&option.title) > LABEL {
            out.note(part, "title", "shorter title", "a button has at most 75 characters");
        }
        match option.kind {
            OptionKind::Call | OptionKind::Copy => {
                out.note(part, if option.kind == OptionKind::Call { "call" } else { "copy" }, "text", "Slack has no such button");
                lines.extend(spoken::acting(option));
            }
            OptionKind::Location | OptionKind::Contact => {
                out.note(part, "ask", "button", "Slack cannot ask for this; the press comes back as a choice");
                elements.push(button(index, option));
            }
            OptionKind::Date => elements
                .push(json!({ "type": "datepicker", "action_id": spoken::payload(option), "placeholder": label(&option.title, 150) })),
            _ => elements.push(button(index, option)),
        }
    }
    if elements.len() > ROW * 40 {
        return Err(RenderError::new(at, "options_too_many", "a message has at most 1000 buttons"));
    }
    let blocks = elements.chunks(ROW).map(|row| json!({ "type": "actions", "elements": row })).collect();
    Ok(Options { blocks, lines })
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
        if Unit::Chars.count(spoken::payload(option)) > if option.kind == OptionKind::Date { 255 } else { VALUE } {
            return wrong("id", "option_id_too_long", "an id has at most 2000 characters, a date's 255");
        }
        let opens = matches!(option.kind, OptionKind::Url | OptionKind::Webview);
        if opens && !(value.starts_with("https://") || value.starts_with("http://")) || opens && Unit::Chars.count(value) > URL {
            return wrong("value", "option_invalid", "a link begins with https:// or http:// and has at most 3000 characters");
        }
        if matches!(option.kind, OptionKind::Call | OptionKind::Copy) && value.is_empty() {
            return wrong("value", "value_missing", "this kind of option needs a `value`");
        }
    }
    words::once(options, at)
}

fn button(index: usize, option: &ChoiceOption<'_>) -> Value {
    let mut button = json!({ "type": "button", "action_id": format!("option_{index}"), "text": label(&option.title, LABEL), "value": spoken::payload(option) });
    if matches!(option.kind, OptionKind::Url | OptionKind::Webview) {
        button["url"] = option.value.as_deref().unwrap_or_default().into();
    }
    button
}

/// A menu, with the options under their headings where these have some.
fn select(asked: &Choices<'_>, answers: &[(usize, &ChoiceOption<'_>)]) -> Value {
    let option = |option: &ChoiceOption<'_>| {
        let mut out = json!({ "text": label(&option.title, LABEL), "value": spoken::payload(option) });
        if let Some(description) = option.description.as_deref().filter(|d| !d.is_empty()) {
            out["description"] = label(description, LABEL);
        }
        out
    };
    let opener = asked.menu_label.as_deref().filter(|l| !l.is_empty()).unwrap_or("…");
    let mut menu = json!({ "type": "static_select", "action_id": "menu", "placeholder": label(opener, 150) });
    if answers.iter().all(|(_, o)| o.section.is_none()) {
        menu["options"] = answers.iter().map(|(_, o)| option(o)).collect::<Vec<_>>().into();
        return menu;
    }
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for (_, o) in answers {
        let heading = o.section.as_deref().filter(|s| !s.is_empty()).unwrap_or("…");
        match groups.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, list)) => list.push(option(o)),
            None => groups.push((heading, vec![option(o)])),
        }
    }
    menu["option_groups"] =
        groups.into_iter().map(|(name, list)| json!({ "label": label(name, LABEL), "options": list })).collect::<Vec<_>>().into();
    menu
}

/// A heading above a question; one too long for it is bold text.
pub(super) fn heading(words: &str) -> Value {
    if Unit::Chars.count(words) <= HEADER {
        json!({ "type": "header", "text": label(words, HEADER) })
    } else {
        section(&format!("*{}*", escape(&text::shorten(words, SECTION - 200, Unit::Chars))))
    }
}

/// A small line below.
pub(super) fn footing(words: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": escape(&text::shorten(words, 1500, Unit::Chars)) }] })
}

/// A card of a carousel; `None` when it does not fit into one. `number` keeps the buttons of several apart.
pub(super) fn card(card: &Card<'_>, number: usize) -> Option<Value> {
    let plain = |o: &ChoiceOption<'_>| matches!(o.kind, OptionKind::Reply | OptionKind::Postback | OptionKind::Url | OptionKind::Webview);
    let words = card.text.as_deref().map(escape).filter(|t| !t.is_empty());
    let title = escape(&card.title);
    let fits = Unit::Chars.count(&title) <= CARD_TITLE
        && words.as_deref().is_none_or(|w| Unit::Chars.count(w) <= CARD_BODY)
        && card.options.len() <= CARD_BUTTONS
        && card.options.iter().all(plain);
    let picture = match &card.media {
        Some(media) => Some(spoken::link(media).filter(|_| spoken::looks(media) != "video")?),
        None => None,
    };
    if !fits {
        return None;
    }
    let mut block = json!({ "type": "card", "title": { "type": "mrkdwn", "text": title } });
    if let Some(words) = words {
        block["body"] = json!({ "type": "mrkdwn", "text": words });
    }
    if let Some(url) = picture {
        block["hero_image"] = image(url, &card.title);
    }
    if !card.options.is_empty() {
        block["actions"] = card.options.iter().enumerate().map(|(i, o)| button(number * 10 + i, o)).collect::<Vec<_>>().into();
    }
    Some(block)
}

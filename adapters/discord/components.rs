//! Buttons and menus under a message, and cards as embeds.

use serde_json::{Value, json};

use super::markup;
use crate::contract::part::{Card, ChoiceOption, Choices, Layout, OptionKind};
use crate::contract::*;
use crate::kit::{choices, spoken, text, words};

/// discord.com/developers/docs/components/reference, read 2026-11-20. Characters.
const LABEL: usize = 80;
const ID: usize = 100;
const URL: usize = 512;
const OPTION: usize = 100;
const ROW: usize = 5;
const ROWS: usize = 5;
const MENU: usize = 25;
/// More buttons than a person would read stand in a menu.
const MANY: usize = 10;

/// What stands under the words, and lines for what no component can do.
pub(super) struct Laid {
    pub rows: Vec<Value>,
    pub words: String,
}

/// Lays options out as buttons or as a menu. `at` points to the options.
pub(super) fn lay(asked: &Choices<'_>, part: usize, at: &str, out: &mut Rendered) -> Result<Laid, RenderError> {
    check(&asked.options, at)?;
    let answered = |o: &ChoiceOption<'_>| !matches!(o.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Call | OptionKind::Copy);
    let answers: Vec<&ChoiceOption<'_>> = asked.options.iter().filter(|o| answered(o)).collect();
    let links: Vec<&ChoiceOption<'_>> = asked.options.iter().filter(|o| matches!(o.kind, OptionKind::Url | OptionKind::Webview)).collect();
    let menu = !answers.is_empty() && (asked.layout == Some(Layout::List) || answers.len() > MANY);
    let head = |descriptions: bool| {
        let title = asked.header.as_deref().filter(|h| !h.is_empty()).map(|h| format!("**{}**", markup::escape(h)));
        let question = markup::escape(&spoken::question(&Choices { header: None, ..asked.clone() }, descriptions));
        let lines: Vec<String> =
            asked.options.iter().filter(|o| matches!(o.kind, OptionKind::Call | OptionKind::Copy)).filter_map(spoken::acting).collect();
        let footer = asked.footer.as_deref().filter(|f| !f.is_empty()).map(|f| format!("-# {}", markup::escape(f).replace('\n', " ")));
        let first = [title.as_deref(), Some(question.as_str())];
        spoken::lines(first.into_iter().chain(lines.iter().map(|line| Some(line.as_str()))).chain([footer.as_deref()]))
    };
    let rows = links.len().div_ceil(ROW) + answers.len().div_ceil(if menu { MENU } else { ROW });
    if rows > ROWS {
        out.note(part, "choices", "text", "a message has at most 25 buttons, or 5 menus of 25 options; they are numbered");
        return Ok(Laid { rows: Vec::new(), words: markup::escape(&choices::numbered(&Choices { media: None, ..asked.clone() })) });
    }
    for option in &asked.options {
        match option.kind {
            OptionKind::Call => out.note(part, "call", "text", "Discord has no such button"),
            OptionKind::Copy => out.note(part, "copy", "text", "Discord has no such button"),
            OptionKind::Location | OptionKind::Contact | OptionKind::Date => {
                out.note(part, "ask", "button", "Discord cannot ask for this; the press comes back as a choice")
            }
            _ => {}
        }
        if Unit::Chars.count(&option.title) > if menu { OPTION } else { LABEL } {
            out.note(part, "title", "shorter title", "a button has at most 80 characters");
        }
    }
    let mut made: Vec<Value> = Vec::new();
    if menu {
        let menus = answers.chunks(MENU).enumerate();
        made.extend(menus.map(|(number, answers)| json!({ "type": 1, "components": [select(asked, answers, number)] })));
    } else {
        let buttons: Vec<Value> = answers
            .iter()
            .map(|o| json!({ "type": 2, "style": 1, "label": short(&o.title, LABEL), "custom_id": spoken::payload(o) }))
            .collect();
        made.extend(buttons.chunks(ROW).map(|row| json!({ "type": 1, "components": row })));
    }
    let opens: Vec<Value> =
        links.iter().map(|o| json!({ "type": 2, "style": 5, "label": short(&o.title, LABEL), "url": o.value })).collect();
    made.extend(opens.chunks(ROW).map(|row| json!({ "type": 1, "components": row })));
    Ok(Laid { rows: made, words: head(!menu) })
}

fn short(words: &str, most: usize) -> String {
    text::shorten(words, most, Unit::Chars)
}

/// A menu of these answers; `number` tells the menus of a message apart.
fn select(asked: &Choices<'_>, answers: &[&ChoiceOption<'_>], number: usize) -> Value {
    let option = |o: &&ChoiceOption<'_>| {
        let mut made = json!({ "label": short(&o.title, OPTION), "value": spoken::payload(o) });
        let words =
            [o.section.as_deref(), o.description.as_deref()].into_iter().flatten().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(": ");
        if !words.is_empty() {
            made["description"] = short(&words, OPTION).into();
        }
        made
    };
    let id = if number == 0 { "menu".to_owned() } else { format!("menu_{number}") };
    let mut menu = json!({ "type": 3, "custom_id": id, "options": answers.iter().map(option).collect::<Vec<_>>() });
    if let Some(opener) = asked.menu_label.as_deref().filter(|l| !l.is_empty()) {
        menu["placeholder"] = short(opener, 150).into();
    }
    menu
}

fn check(options: &[ChoiceOption<'_>], at: &str) -> Result<(), RenderError> {
    if options.is_empty() {
        return Err(RenderError::new(at, "option_invalid", "choices need at least one option"));
    }
    for (index, option) in options.iter().enumerate() {
        let wrong = |field: &str, code, problem: &str| Err(RenderError::new(format!("{at}/{index}/{field}"), code, problem));
        let value = option.value.as_deref().unwrap_or_default();
        let opens = matches!(option.kind, OptionKind::Url | OptionKind::Webview);
        let id = spoken::payload(option);
        if option.title.trim().is_empty() {
            return wrong("title", "title_empty", "an option needs words on its button");
        }
        if opens && !(value.starts_with("https://") || value.starts_with("http://")) || opens && Unit::Chars.count(value) > URL {
            return wrong("value", "option_invalid", "a link begins with https:// or http:// and has at most 512 characters");
        }
        if matches!(option.kind, OptionKind::Call | OptionKind::Copy) && value.is_empty() {
            return wrong("value", "value_missing", "this kind of option needs a `value`");
        }
        let answered = !opens && !matches!(option.kind, OptionKind::Call | OptionKind::Copy);
        if answered && Unit::Chars.count(id) > ID {
            return wrong("id", "option_id_too_long", "an id has at most 100 characters here");
        }
    }
    words::once(options, at)
}

/// A card as an embed; `None` where it does not fit into one.
pub(super) fn embed(card: &Card<'_>) -> Option<Value> {
    let words = card.text.as_deref().unwrap_or_default();
    let fits = (1..=256).contains(&Unit::Chars.count(&card.title)) && Unit::Chars.count(words) <= 4096;
    let mut made = json!({ "title": card.title });
    if !words.is_empty() {
        made["description"] = markup::escape(words).into();
    }
    if let Some(media) = &card.media {
        made["image"] = json!({ "url": spoken::link(media).filter(|_| matches!(spoken::looks(media), "image" | "file"))? });
    }
    fits.then_some(made)
}

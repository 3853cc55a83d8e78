//! Adaptive Cards: questions with buttons or a menu, cards.

use serde_json::{Value, json};

use super::content::{CHOICE, TITLE};
use crate::contract::part::{Card, ChoiceOption, Choices, Layout, OptionKind};
use crate::contract::*;
use crate::kit::spoken;

/// More buttons than Teams shows at once stand in a menu: learn.microsoft.com, Adaptive Cards in Teams, read 2026-11-20.
const BUTTONS: usize = 6;
const VERSION: &str = "1.5";

/// What stands below the words.
pub(super) struct Laid {
    pub body: Vec<Value>,
    pub actions: Vec<Value>,
}

/// Lays options out. `at` points to them.
pub(super) fn lay(asked: &Choices<'_>, part: usize, at: &str, out: &mut Rendered) -> Result<Laid, RenderError> {
    check(&asked.options, at)?;
    let answers: Vec<&ChoiceOption<'_>> = asked.options.iter().filter(|o| answered(o)).collect();
    let menu = asked.layout == Some(Layout::List) && answers.len() > 1 || answers.len() > BUTTONS;
    let mut laid = Laid { body: Vec::new(), actions: Vec::new() };
    if menu {
        let choice = |o: &&ChoiceOption<'_>| {
            // A menu has neither headings nor second lines: each row has all its words.
            let section = o.section.as_deref().filter(|s| !s.is_empty());
            let title = section.map_or_else(|| o.title.to_string(), |section| format!("{section}: {}", o.title));
            let words = o.description.as_deref().filter(|d| !d.is_empty()).map(|d| format!("{title} - {d}"));
            json!({ "title": words.unwrap_or(title), "value": spoken::payload(o) })
        };
        let mut set = json!({ "type": "Input.ChoiceSet", "id": CHOICE, "style": "compact", "isRequired": true, "errorMessage": "…",
            "choices": answers.iter().map(choice).collect::<Vec<_>>() });
        let opener = asked.menu_label.as_deref().filter(|l| !l.is_empty());
        if let Some(opener) = opener {
            set["placeholder"] = opener.into();
        }
        laid.body.push(set);
        laid.actions.push(json!({ "type": "Action.Submit", "title": opener.unwrap_or("OK") }));
    }
    for option in &asked.options {
        let value = option.value.as_deref().unwrap_or_default();
        match option.kind {
            OptionKind::Url | OptionKind::Webview => {
                laid.actions.push(json!({ "type": "Action.OpenUrl", "title": option.title, "url": value }))
            }
            OptionKind::Call => {
                laid.actions.push(json!({ "type": "Action.OpenUrl", "title": option.title, "url": format!("tel:{value}") }))
            }
            OptionKind::Copy => {
                out.note(part, "copy", "text", "Teams has no such button");
                laid.body.push(words(&spoken::acting(option).unwrap_or_default()));
            }
            _ if menu => {}
            kind => {
                if matches!(kind, OptionKind::Location | OptionKind::Contact | OptionKind::Date) {
                    out.note(part, "ask", "button", "Teams cannot ask for this; the press comes back as a choice");
                }
                laid.actions.push(json!({ "type": "Action.Submit", "title": option.title, "data": { CHOICE: spoken::payload(option), TITLE: option.title } }));
            }
        }
    }
    Ok(laid)
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

/// Plain words in a card; a line break is a paragraph there.
pub(super) fn words(text: &str) -> Value {
    let escaped: String =
        text.chars().flat_map(|c| matches!(c, '*' | '_' | '[' | ']' | '`').then_some('\\').into_iter().chain([c])).collect();
    json!({ "type": "TextBlock", "text": escaped.replace('\n', "\n\n"), "wrap": true })
}

/// A headline.
pub(super) fn title(text: &str) -> Value {
    let mut block = words(text);
    block["weight"] = "Bolder".into();
    block["size"] = "Medium".into();
    block
}

/// A picture by its address.
pub(super) fn image(url: &str, alt: &str) -> Value {
    json!({ "type": "Image", "url": url, "altText": if alt.is_empty() { "image" } else { alt } })
}

/// A card as an attachment.
pub(super) fn card(body: Vec<Value>, actions: Vec<Value>) -> Value {
    let mut content = json!({ "type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "version": VERSION, "body": body });
    if !actions.is_empty() {
        content["actions"] = actions.into();
    }
    json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": content })
}

/// One of our cards as an attachment.
pub(super) fn of(card: &Card<'_>, part: usize, at: &str, out: &mut Rendered) -> Result<Value, RenderError> {
    let mut body = Vec::new();
    match card.media.as_ref().map(|media| (media, picture(media))) {
        Some((_, Some(url))) => body.push(image(url, &card.title)),
        Some((media, None)) => {
            out.note(part, "media", "text", "a card shows only pictures from an https address");
            body.extend(spoken::link(media).map(words));
        }
        None => {}
    }
    body.push(title(&card.title));
    body.extend(card.text.as_deref().filter(|t| !t.is_empty()).map(words));
    let mut actions = Vec::new();
    if !card.options.is_empty() {
        let asked = Choices { options: card.options.clone(), ..Choices::default() };
        let laid = lay(&asked, part, &format!("{at}/options"), out)?;
        body.extend(laid.body);
        actions = laid.actions;
    }
    Ok(self::card(body, actions))
}

/// The address of a picture Teams can show.
pub(super) fn picture<'m>(media: &'m Media<'_>) -> Option<&'m str> {
    spoken::link(media).filter(|url| url.starts_with("https://") && matches!(spoken::looks(media), "image" | "file"))
}

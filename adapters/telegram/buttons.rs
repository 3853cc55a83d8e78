//! Options as keyboards: inline buttons under the message, or a keyboard in place of the person's own.

use serde_json::{Value, json};

use super::address::Chat;
use crate::contract::part::{ChoiceOption, Choices, Layout, OptionKind};
use crate::contract::{RenderError, Rendered, Unit};
use crate::kit::choices;

/// core.telegram.org/bots/api#inlinekeyboardbutton, read 2026-11-20; the number of buttons is not documented.
const DATA_BYTES: usize = 64;
const COPY_CHARS: usize = 256;
const BUTTONS: usize = 100;
const ROW: usize = 8;

/// Words, and the keyboard that belongs under them.
pub(super) struct Keyboard {
    pub text: String,
    pub markup: Option<Value>,
    /// What the keys say.
    pub titles: Vec<String>,
}

/// Lays options out. `at` is the pointer of the options, `part` the part's index.
pub(super) fn keyboard(choices: &Choices<'_>, chat: &Chat, part: usize, at: &str, out: &mut Rendered) -> Result<Keyboard, RenderError> {
    check(&choices.options, at)?;
    let mut text =
        [choices.header.as_deref(), Some(&*choices.text)].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n\n");
    let mut note = |from: &str, into: &str, why: &str| {
        out.note(part, from, into, why);
    };
    let asks = |kind| matches!(kind, OptionKind::Location | OptionKind::Contact);
    let plain = |o: &ChoiceOption<'_>| matches!(o.kind, OptionKind::Reply | OptionKind::Postback) || asks(o.kind);
    let asked = choices.options.iter().any(|o| asks(o.kind));
    let replaces = chat.is_private() && (asked || choices.layout == Some(Layout::QuickReplies) && choices.options.iter().all(plain));
    let mut buttons = Vec::new();
    for option in &choices.options {
        let button = if replaces { key(option) } else { inline(option, chat, &mut note) };
        match button {
            Some(button) => buttons.push((option, button)),
            None if option.kind == OptionKind::Reply || option.kind == OptionKind::Postback => {
                note("choices", "text", "a button's id is at most 64 bytes, and there are at most 100 buttons");
                return Ok(Keyboard { text: choices::numbered(choices), markup: None, titles: Vec::new() });
            }
            None => {
                text.push_str(&format!("\n{}: {}", option.title, option.value.as_deref().unwrap_or_default()));
                note(word(option.kind), "text", "Telegram has no such button here");
            }
        }
    }
    if buttons.len() > BUTTONS {
        note("choices", "text", "a message has at most 100 buttons");
        return Ok(Keyboard { text: choices::numbered(choices), markup: None, titles: Vec::new() });
    }
    let unsaid = choices::unsaid(&choices.options, usize::MAX);
    if !unsaid.is_empty() {
        note("description", "text", "a button has no second line and stands under no heading");
        text.push_str(&unsaid);
    }
    if let Some(footer) = choices.footer.as_deref().filter(|f| !f.is_empty()) {
        text.push_str("\n\n");
        text.push_str(footer);
    }
    let titles = buttons.iter().map(|(option, _)| option.title.to_string()).collect();
    let rows = rows(buttons, choices.layout);
    let markup = match (rows.is_empty(), replaces) {
        (true, _) => None,
        (_, true) => Some(json!({ "keyboard": rows, "resize_keyboard": true, "one_time_keyboard": true })),
        (_, false) => Some(json!({ "inline_keyboard": rows })),
    };
    Ok(Keyboard { text, markup, titles })
}

fn check(options: &[ChoiceOption<'_>], at: &str) -> Result<(), RenderError> {
    for (index, option) in options.iter().enumerate() {
        if option.title.trim().is_empty() {
            return Err(RenderError::new(format!("{at}/{index}/title"), "title_empty", "an option needs words on its button"));
        }
        let needs = matches!(option.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Copy | OptionKind::Call);
        if needs && option.value.as_deref().is_none_or(str::is_empty) {
            return Err(RenderError::new(format!("{at}/{index}/value"), "value_missing", "this kind of option needs a `value`"));
        }
    }
    Ok(())
}

/// A key of the keyboard that takes the place of the person's own: what it sends is its title.
fn key(option: &ChoiceOption<'_>) -> Option<Value> {
    match option.kind {
        OptionKind::Reply | OptionKind::Postback | OptionKind::Date => Some(json!({ "text": option.title })),
        OptionKind::Location => Some(json!({ "text": option.title, "request_location": true })),
        OptionKind::Contact => Some(json!({ "text": option.title, "request_contact": true })),
        OptionKind::Webview if is_https(option) => Some(json!({ "text": option.title, "web_app": { "url": option.value } })),
        _ => None,
    }
}

/// A button under the message; `None` when there is no such button.
fn inline(option: &ChoiceOption<'_>, chat: &Chat, note: &mut impl FnMut(&str, &str, &str)) -> Option<Value> {
    let data = || {
        let id = option.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&option.title);
        (id.len() <= DATA_BYTES).then(|| json!({ "text": option.title, "callback_data": id }))
    };
    let value = option.value.as_deref().unwrap_or_default();
    match option.kind {
        OptionKind::Reply | OptionKind::Postback => data(),
        OptionKind::Webview if chat.is_private() && is_https(option) => Some(json!({ "text": option.title, "web_app": { "url": value } })),
        OptionKind::Url | OptionKind::Webview => {
            let opens = ["https://", "http://", "tg://"].iter().any(|scheme| value.starts_with(scheme));
            opens.then(|| json!({ "text": option.title, "url": value }))
        }
        OptionKind::Copy => {
            (Unit::Chars.count(value) <= COPY_CHARS).then(|| json!({ "text": option.title, "copy_text": { "text": value } }))
        }
        OptionKind::Call => None,
        OptionKind::Location | OptionKind::Contact | OptionKind::Date => {
            note(word(option.kind), "button", "Telegram cannot ask for this here; the press comes back as a choice");
            data()
        }
    }
}

fn is_https(option: &ChoiceOption<'_>) -> bool {
    option.value.as_deref().is_some_and(|v| v.starts_with("https://"))
}

fn word(kind: OptionKind) -> &'static str {
    match kind {
        OptionKind::Reply | OptionKind::Postback => "choices",
        OptionKind::Url | OptionKind::Webview => "url",
        OptionKind::Call => "call",
        OptionKind::Copy => "copy",
        OptionKind::Location => "location",
        OptionKind::Contact => "contact",
        OptionKind::Date => "date",
    }
}

/// Short titles stand side by side, long ones and lists one below the other.
fn rows(buttons: Vec<(&ChoiceOption<'_>, Value)>, layout: Option<Layout>) -> Vec<Vec<Value>> {
    const WIDTH: usize = 28;
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut used = usize::MAX;
    for (option, button) in buttons {
        let width = Unit::Chars.count(&option.title) + 4;
        let fits = layout != Some(Layout::List) && used.saturating_add(width) <= WIDTH;
        match rows.last_mut() {
            Some(row) if fits && row.len() < ROW => {
                row.push(button);
                used += width;
            }
            _ => {
                rows.push(vec![button]);
                used = width;
            }
        }
    }
    rows
}

//! What is more than words in the Conversation API: choices, lists, cards, templates.

use serde_json::{Map, Value, json};

use crate::contract::part::{Card, ChoiceOption, Choices, ContactCard, Layout, OptionKind, Product};
use crate::contract::*;
use crate::kit::address::is_e164;
use crate::kit::{spoken, text, words};

/// developers.sinch.com/docs/conversation, message types, read 2026-11-20.
const CHOICES: usize = 10;
const ROWS: usize = 10;

/// What options a channel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ability {
    /// Replies as buttons.
    pub buttons: usize,
    /// Characters on one.
    pub title: usize,
    /// Whether links and numbers stand beside replies.
    pub mixed: bool,
    /// Whether it has lists.
    pub lists: bool,
}

impl Ability {
    /// Whether an option can be a button beside replies.
    pub fn shows(self, option: &ChoiceOption<'_>) -> bool {
        replies(option) || self.mixed && matches!(option.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Call)
    }
}

/// What a channel shows natively; `None` where options are words.
pub(super) fn ability(channel: &str) -> Option<Ability> {
    Some(match channel {
        "WHATSAPP" => Ability { buttons: 3, title: 20, mixed: false, lists: true },
        "RCS" => Ability { buttons: CHOICES, title: 25, mixed: true, lists: false },
        "MESSENGER" | "INSTAGRAM" => Ability { buttons: 3, title: 20, mixed: true, lists: false },
        "TELEGRAM" | "LINE" | "VIBER" => Ability { buttons: CHOICES, title: 20, mixed: true, lists: false },
        "APPLEBC" => Ability { buttons: CHOICES, title: 25, mixed: false, lists: true },
        _ => return None,
    })
}

/// Refuses options no channel could show.
pub(super) fn check(options: &[ChoiceOption<'_>], at: &str) -> Result<(), RenderError> {
    if options.is_empty() {
        return Err(RenderError::new(at, "option_invalid", "choices need at least one option"));
    }
    for (index, option) in options.iter().enumerate() {
        let wrong = |field: &str, code, problem: &str| Err(RenderError::new(format!("{at}/{index}/{field}"), code, problem));
        let value = option.value.as_deref().unwrap_or_default();
        if option.title.trim().is_empty() {
            return wrong("title", "title_empty", "an option needs a title");
        }
        match option.kind {
            OptionKind::Url | OptionKind::Webview if !value.starts_with("https://") && !value.starts_with("http://") => {
                return wrong("value", "option_invalid", "a link begins with https:// or http://");
            }
            OptionKind::Call if !is_e164(value) => return wrong("value", "option_invalid", "a number to call is written as +15550100200"),
            OptionKind::Copy if value.is_empty() => return wrong("value", "value_missing", "this kind of option needs a `value`"),
            _ => {}
        }
    }
    Ok(())
}

fn replies(option: &ChoiceOption<'_>) -> bool {
    matches!(option.kind, OptionKind::Reply | OptionKind::Postback)
}

/// One option as Sinch's choice; `None` for what it has no form of.
fn choice(option: &ChoiceOption<'_>) -> Option<Value> {
    Some(match option.kind {
        OptionKind::Reply | OptionKind::Postback => {
            json!({ "text_message": { "text": option.title }, "postback_data": spoken::payload(option) })
        }
        OptionKind::Url | OptionKind::Webview => json!({ "url_message": { "title": option.title, "url": option.value } }),
        OptionKind::Call => json!({ "call_message": { "title": option.title, "phone_number": option.value } }),
        _ => return None,
    })
}

/// Options as buttons; `None` where they do not fit the channel.
fn buttons(options: &[ChoiceOption<'_>], able: Ability) -> Option<Vec<Value>> {
    let acting = options.iter().filter(|o| !replies(o)).count();
    let fits = options.iter().all(|o| Unit::Chars.count(&o.title) <= able.title && Unit::Chars.count(spoken::payload(o)) <= 256);
    // Without mixing there are only replies, or one link or number alone.
    let mix = able.mixed || acting == 0 || options.len() == 1;
    (fits && mix && options.len() <= able.buttons).then(|| options.iter().map(choice).collect())?
}

/// A question with buttons or with a list.
pub(super) fn question(asked: &Choices<'_>, channel: &str) -> Option<Value> {
    let able = ability(channel)?;
    if asked.media.is_some() {
        return None;
    }
    let question = spoken::question(asked, true);
    let whole = spoken::lines([Some(question.as_str()), asked.footer.as_deref()]);
    if !(1..=1024).contains(&Unit::Chars.count(&whole)) {
        return None;
    }
    let listed = asked.layout == Some(Layout::List) || asked.options.iter().any(|o| o.section.is_some());
    let twice = channel == "WHATSAPP" && !words::distinct(&asked.options);
    match buttons(&asked.options, able).filter(|_| !((listed || twice) && able.lists)) {
        Some(choices) => Some(json!({ "choice_message": { "text_message": { "text": whole }, "choices": choices } })),
        None if able.lists => list(asked),
        None => None,
    }
}

fn list(asked: &Choices<'_>) -> Option<Value> {
    let fits = |o: &ChoiceOption<'_>| replies(o) && Unit::Chars.count(&o.title) <= 24 && Unit::Chars.count(spoken::payload(o)) <= 200;
    if asked.options.len() > ROWS || !asked.options.iter().all(fits) {
        return None;
    }
    let mut sections: Vec<(&str, Vec<Value>)> = Vec::new();
    for option in &asked.options {
        let mut row = json!({ "title": option.title, "postback_data": spoken::payload(option) });
        if let Some(description) = option.description.as_deref().filter(|d| !d.is_empty()) {
            row["description"] = text::shorten(description, 72, Unit::Chars).into();
        }
        let row = json!({ "choice": row });
        let heading = option.section.as_deref().unwrap_or_default();
        match sections.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((heading, vec![row])),
        }
    }
    // Of several each has a heading.
    let several = sections.len() > 1;
    let made = |(name, items): (&str, Vec<Value>)| match name {
        "" if several => json!({ "title": "…", "items": items }),
        "" => json!({ "items": items }),
        name => json!({ "title": text::shorten(name, 24, Unit::Chars), "items": items }),
    };
    let sections: Vec<Value> = sections.into_iter().map(made).collect();
    let title = asked.header.as_deref().filter(|h| !h.is_empty()).unwrap_or(&asked.text);
    let menu = text::shorten(asked.menu_label.as_deref().unwrap_or("Options"), 20, Unit::Chars);
    let short = text::shorten(title, 60, Unit::Chars);
    let words = spoken::lines([Some(&*asked.text), asked.footer.as_deref()]);
    // What the title has no room for stands below it.
    let whole = asked.header.is_none() && short == words;
    let mut made = json!({ "title": short, "sections": sections, "message_properties": { "menu": menu } });
    if !whole {
        made["description"] = words.into();
    }
    Some(json!({ "list_message": made }))
}

/// A card; `None` where it does not fit the channel.
pub(super) fn card(card: &Card<'_>, channel: &str) -> Option<Value> {
    let able = ability(channel)?;
    let most = if channel == "RCS" { 4 } else { 3 };
    let choices = buttons(&card.options, Ability { buttons: able.buttons.min(most), ..able })?;
    let mut made = json!({ "title": card.title });
    if let Some(words) = card.text.as_deref().filter(|t| !t.is_empty()) {
        made["description"] = words.into();
    }
    if let Some(media) = &card.media {
        made["media_message"] = json!({ "url": spoken::link(media)? });
        made["height"] = "MEDIUM".into();
    }
    if !choices.is_empty() {
        made["choices"] = choices.into();
    }
    let fits = (1..=200).contains(&Unit::Chars.count(&card.title)) && Unit::Chars.count(card.text.as_deref().unwrap_or_default()) <= 1024;
    fits.then_some(made)
}

/// Cards side by side, on the channels that have that, at most ten in a row, each row with its titles.
pub(super) fn carousels(cards: &[Card<'_>], channel: &str) -> Option<Vec<(String, Value)>> {
    let has = matches!(channel, "RCS" | "MESSENGER" | "INSTAGRAM" | "LINE");
    let made: Option<Vec<Value>> = cards.iter().map(|one| card(one, channel)).collect();
    let made = made.filter(|cards| has && cards.len() > 1)?;
    let row = |row: &[Value]| {
        let titles: Vec<&str> = row.iter().filter_map(|card| card["title"].as_str()).collect();
        (titles.join(", "), json!({ "carousel_message": { "cards": row } }))
    };
    Some(spoken::rows(&made, 10).map(row).collect())
}

/// Products of a catalogue, on WhatsApp.
pub(super) fn products(product: &Product<'_>, channel: &str) -> Option<Value> {
    let catalog =
        product.catalog_id.as_deref().filter(|_| channel == "WHATSAPP" && !product.skus.is_empty() && product.skus.len() <= 30)?;
    let items: Vec<Value> = product.skus.iter().map(|sku| json!({ "product": { "id": sku, "marketplace": "FACEBOOK" } })).collect();
    let words = product.text.as_deref().filter(|t| !t.is_empty()).unwrap_or("…");
    // WhatsApp wants words above and in the list: the first line heads the others.
    let (first, rest) = words.split_once('\n').unwrap_or((words, ""));
    let title = text::shorten(first, 60, Unit::Chars);
    let body = if title == first && !rest.trim().is_empty() { rest.trim() } else { words };
    Some(json!({ "list_message": { "title": title, "description": body, "sections": [{ "items": items }],
        "message_properties": { "catalog_id": catalog } } }))
}

/// A contact card.
pub(super) fn contact(card: &ContactCard<'_>) -> Option<Value> {
    let phones: Vec<Value> = card.phones.iter().map(|phone| json!({ "phone_number": phone, "type": "CELL" })).collect();
    if phones.is_empty() {
        return None;
    }
    let name = card.name.as_deref().or(card.phones.first().map(|p| &**p)).unwrap_or_default();
    let mut made = json!({ "name": { "full_name": name }, "phone_numbers": phones });
    if !card.emails.is_empty() {
        made["email_addresses"] = card.emails.iter().map(|email| json!({ "email_address": email })).collect::<Vec<_>>().into();
    }
    if let Some(company) = &card.organization {
        made["organization"] = json!({ "company": company });
    }
    Some(json!({ "contact_info_message": made }))
}

/// A channel's own template. Places are named as Sinch writes them: `body[1]text`, `header[1]text`, `button[0]text`.
pub(super) fn template(template: &Template, channel: &str) -> Value {
    let mut parameters = Map::new();
    for (key, value) in &template.params {
        let name = match key.split_once('.') {
            _ if key.contains('[') => key.clone(),
            None if key.parse::<u32>().is_ok() => format!("body[{key}]text"),
            None if key == "header" => "header[1]text".into(),
            Some((part @ ("body" | "header" | "button"), index)) if index.parse::<u32>().is_ok() => format!("{part}[{index}]text"),
            _ => key.clone(),
        };
        parameters.insert(name, value.clone().into());
    }
    let locale = template.locale.as_deref().unwrap_or("en").replace('-', "_");
    json!({ "template_message": { "channel_template": { channel: { "template_id": template.name, "language_code": locale, "parameters": parameters } } } })
}

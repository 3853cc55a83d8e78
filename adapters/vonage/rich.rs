//! What is more than words: WhatsApp's own forms (behind `custom`), RCS suggestions and cards, Viber's one button.

use serde_json::{Value, json};

use crate::contract::part::{Card, ChoiceOption, Choices, ContactCard, Layout, Location, OptionKind, Product};
use crate::contract::*;
use crate::kit::address::is_e164;
use crate::kit::{spoken, text, words};

/// developer.vonage.com/en/api/messages and Meta's interactive messages, read 2026-11-20. Characters.
const BUTTON: usize = 20;
const ROW: usize = 24;
const ROW_TEXT: usize = 72;
const BODY: usize = 1024;
const LINE: usize = 60;
pub(super) const LABEL: usize = 25;
const POSTBACK: usize = 2048;
const CARD_TITLE: usize = 200;
const CARD_TEXT: usize = 2000;

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

fn answers(option: &ChoiceOption<'_>) -> bool {
    matches!(option.kind, OptionKind::Reply | OptionKind::Postback)
}

/// WhatsApp's buttons, list, one link or question for a place; `None` when nothing of these fits.
pub(super) fn interactive(asked: &Choices<'_>) -> Option<Value> {
    let body = spoken::question(&Choices { header: None, ..asked.clone() }, false);
    let count = asked.options.len();
    let fits =
        |title: usize, id: usize| asked.options.iter().all(|o| Unit::Chars.count(&o.title) <= title && spoken::payload(o).len() <= id);
    if !(1..=BODY).contains(&Unit::Chars.count(&body)) {
        return None;
    }
    let described = asked.options.iter().any(|o| o.description.is_some() || o.section.is_some());
    let all = asked.options.iter().all(answers);
    let single = asked.options.first().filter(|_| count == 1);
    let mut made = if all
        && count <= 3
        && asked.layout != Some(Layout::List)
        && !described
        && fits(BUTTON, 256)
        && words::distinct(&asked.options)
    {
        let button = |o: &ChoiceOption<'_>| json!({ "type": "reply", "reply": { "id": spoken::payload(o), "title": o.title } });
        json!({ "type": "button", "action": { "buttons": asked.options.iter().map(button).collect::<Vec<_>>() } })
    } else if all && count <= 10 && fits(ROW, 200) && asked.media.is_none() {
        json!({ "type": "list", "action": { "button": text::shorten(asked.menu_label.as_deref().unwrap_or("Options"), BUTTON, Unit::Chars),
            "sections": sections(&asked.options) } })
    } else if let Some(option) = single.filter(|o| matches!(o.kind, OptionKind::Url | OptionKind::Webview) && fits(BUTTON, 2000)) {
        json!({ "type": "cta_url", "action": { "name": "cta_url", "parameters": { "display_text": option.title, "url": option.value } } })
    } else if single.is_some_and(|o| o.kind == OptionKind::Location) && asked.media.is_none() {
        json!({ "type": "location_request_message", "action": { "name": "send_location" } })
    } else {
        return None;
    };
    made["body"] = json!({ "text": body });
    if let Some(header) = header(asked)? {
        made["header"] = header;
    }
    if let Some(footer) = asked.footer.as_deref().filter(|f| !f.is_empty()) {
        made["footer"] = json!({ "text": text::shorten(footer, LINE, Unit::Chars) });
    }
    Some(json!({ "type": "interactive", "interactive": made }))
}

/// A picture, a film or words above; `None` when it cannot stand there.
fn header(asked: &Choices<'_>) -> Option<Option<Value>> {
    if let Some(media) = &asked.media {
        let kind = match spoken::looks(media) {
            "image" => "image",
            "video" => "video",
            "audio" => return None,
            _ => "document",
        };
        return Some(Some(json!({ "type": kind, kind: { "link": spoken::link(media)? } })));
    }
    let words = asked.header.as_deref().filter(|h| !h.is_empty());
    Some(words.map(|words| json!({ "type": "text", "text": text::shorten(words, LINE, Unit::Chars) })))
}

fn sections(options: &[ChoiceOption<'_>]) -> Vec<Value> {
    let mut sections: Vec<(&str, Vec<Value>)> = Vec::new();
    for option in options {
        let mut row = json!({ "id": spoken::payload(option), "title": option.title });
        if let Some(description) = option.description.as_deref().filter(|d| !d.is_empty()) {
            row["description"] = text::shorten(description, ROW_TEXT, Unit::Chars).into();
        }
        let heading = option.section.as_deref().unwrap_or_default();
        match sections.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((heading, vec![row])),
        }
    }
    let several = sections.len() > 1;
    let made = |(name, rows): (&str, Vec<Value>)| {
        let mut section = json!({ "rows": rows });
        if several || !name.is_empty() {
            section["title"] = text::shorten(if name.is_empty() { "…" } else { name }, ROW, Unit::Chars).into();
        }
        section
    };
    sections.into_iter().map(made).collect()
}

/// A place on WhatsApp.
pub(super) fn location(place: &Location<'_>) -> Value {
    let mut location = json!({ "latitude": place.latitude, "longitude": place.longitude });
    for (name, value) in [("name", &place.name), ("address", &place.address)] {
        if let Some(value) = value {
            location[name] = (&**value).into();
        }
    }
    json!({ "type": "location", "location": location })
}

/// Contact cards on WhatsApp.
pub(super) fn contacts(cards: &[ContactCard<'_>]) -> Value {
    let one = |card: &ContactCard<'_>| {
        let name = card.name.as_deref().or(card.phones.first().map(|p| &**p)).unwrap_or_default();
        let mut out = json!({ "name": { "formatted_name": name, "first_name": name.split(' ').next().unwrap_or(name) } });
        if !card.phones.is_empty() {
            out["phones"] = card.phones.iter().map(|phone| json!({ "phone": phone })).collect::<Vec<_>>().into();
        }
        if !card.emails.is_empty() {
            out["emails"] = card.emails.iter().map(|email| json!({ "email": email })).collect::<Vec<_>>().into();
        }
        if let Some(company) = &card.organization {
            out["org"] = json!({ "company": company });
        }
        out
    };
    json!({ "type": "contacts", "contacts": cards.iter().map(one).collect::<Vec<_>>() })
}

/// One product of a catalogue on WhatsApp.
pub(super) fn product(product: &Product<'_>) -> Option<Value> {
    let (catalog, [sku]) = (product.catalog_id.as_deref()?, &product.skus[..]) else { return None };
    let mut made = json!({ "type": "product", "action": { "catalog_id": catalog, "product_retailer_id": sku } });
    if let Some(words) = product.text.as_deref().filter(|t| !t.is_empty()) {
        made["body"] = json!({ "text": words });
    }
    Some(json!({ "type": "interactive", "interactive": made }))
}

/// RCS suggestions, and lines for what none can do; `None` when there are too many.
pub(super) fn suggestions(options: &[ChoiceOption<'_>], most: usize, part: usize, out: &mut Rendered) -> Option<(Vec<Value>, Vec<String>)> {
    let (mut list, mut lines) = (Vec::new(), Vec::new());
    if options.iter().any(|o| spoken::payload(o).len() > POSTBACK) {
        return None;
    }
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
    (list.len() <= most).then_some((list, lines))
}

fn suggestion(option: &ChoiceOption<'_>) -> Value {
    let kind = match option.kind {
        OptionKind::Url => "open_url",
        OptionKind::Webview => "open_url_in_webview",
        OptionKind::Call => "dial",
        OptionKind::Location => "share_location",
        _ => "reply",
    };
    let mut made =
        json!({ "type": kind, "text": text::shorten(&option.title, LABEL, Unit::Chars), "postback_data": spoken::payload(option) });
    match kind {
        "open_url" | "open_url_in_webview" => made["url"] = option.value.as_deref().unwrap_or_default().into(),
        "dial" => made["phone_number"] = option.value.as_deref().unwrap_or_default().into(),
        _ => {}
    }
    made
}

/// An RCS card; `None` when it does not fit into one: title, words and a picture must all be there.
pub(super) fn card(card: &Card<'_>) -> Option<Value> {
    let words = card.text.as_deref().filter(|words| !words.trim().is_empty())?;
    let link = spoken::link(card.media.as_ref()?)?;
    let fits = (1..=CARD_TITLE).contains(&Unit::Chars.count(&card.title))
        && Unit::Chars.count(words) <= CARD_TEXT
        && card.options.len() <= 4
        && card
            .options
            .iter()
            .all(|o| o.kind != OptionKind::Copy && Unit::Chars.count(&o.title) <= LABEL && check(std::slice::from_ref(o), "").is_ok());
    let mut made = json!({ "title": card.title, "text": words, "media_url": link, "media_height": "MEDIUM" });
    if !card.options.is_empty() {
        made["suggestions"] = card.options.iter().map(suggestion).collect::<Vec<_>>().into();
    }
    fits.then_some(made)
}

/// RCS cards side by side, at most ten in a row, each row with its titles.
pub(super) fn carousels(cards: &[Card<'_>]) -> Option<Vec<(String, Value)>> {
    let made: Option<Vec<Value>> = cards.iter().map(card).collect();
    let made = made.filter(|cards| cards.len() > 1)?;
    let row = |row: &[Value]| {
        let titles: Vec<&str> = row.iter().filter_map(|card| card["title"].as_str()).collect();
        (titles.join(", "), json!({ "carousel": { "cards": row }, "rcs": { "card_width": "MEDIUM" } }))
    };
    Some(spoken::rows(&made, 10).map(row).collect())
}

/// Viber's one button, which opens a link, with the words above it.
pub(super) fn viber(asked: &Choices<'_>) -> Option<(String, Value)> {
    let [option] = &asked.options[..] else { return None };
    let opens = matches!(option.kind, OptionKind::Url | OptionKind::Webview) && Unit::Chars.count(&option.title) <= 30;
    let url = option.value.as_deref().filter(|_| opens && asked.media.is_none())?;
    let question = spoken::question(asked, true);
    let words = spoken::lines([Some(question.as_str()), asked.footer.as_deref()]);
    Some((words, json!({ "viber_service": { "action": { "url": url, "text": option.title } } })))
}

/// A template, filled in.
pub(super) enum Filled {
    /// As Vonage writes it: parameters of the body in order.
    Plain(Value),
    /// As Meta writes it: with a header or buttons.
    Custom(Value),
}

/// Fills a template in. `body.1` and `1` are the body's places.
pub(super) fn template(template: &Template) -> Filled {
    let locale = template.locale.as_deref().unwrap_or("en").replace('-', "_");
    let mut body: Vec<(u32, &str)> = Vec::new();
    let mut others = Vec::new();
    for (key, value) in &template.params {
        match key.strip_prefix("body.").unwrap_or(key).parse() {
            Ok(number) => body.push((number, value)),
            Err(_) => others.push((key.as_str(), value.as_str())),
        }
    }
    body.sort_unstable();
    if others.is_empty() {
        let parameters: Vec<&str> = body.into_iter().map(|(_, value)| value).collect();
        let content = json!({ "template": { "name": template.name, "parameters": parameters }, "whatsapp": { "policy": "deterministic", "locale": locale } });
        return Filled::Plain(content);
    }
    let words = |value: &str| json!({ "type": "text", "text": value });
    let named = |name: &str, value: &str| json!({ "type": "text", "parameter_name": name, "text": value });
    let mut components = Vec::new();
    let mut parameters: Vec<Value> = body.iter().map(|(_, value)| words(value)).collect();
    for (key, value) in others {
        match key.split_once('.') {
            None if key == "header" => components.push(json!({ "type": "header", "parameters": [words(value)] })),
            Some(("header", kind @ ("image" | "video" | "document"))) => {
                components.push(json!({ "type": "header", "parameters": [{ "type": kind, kind: { "link": value } }] }));
            }
            Some(("button", index)) => {
                components.push(json!({ "type": "button", "sub_type": "url", "index": index, "parameters": [words(value)] }));
            }
            _ => parameters.push(named(key.strip_prefix("body.").unwrap_or(key), value)),
        }
    }
    if !parameters.is_empty() {
        components.push(json!({ "type": "body", "parameters": parameters }));
    }
    let made = json!({ "name": template.name, "language": { "policy": "deterministic", "code": locale }, "components": components });
    Filled::Custom(json!({ "type": "template", "template": made }))
}

//! Questions with buttons, lists, links, cards and products (interactive messages, read 2026-11-20).

use serde_json::{Value, json};

use super::media::{self, Kind, Source};
use super::outbound::{CAPTION, Writer, kind_of};
use crate::contract::part::{Card, Carousel, ChoiceOption, Choices, Layout, OptionKind, Product};
use crate::contract::*;
use crate::kit::{choices as listed, text, words};

const BUTTONS: usize = 3;
const BUTTON_TITLE: usize = 20;
const BUTTON_ID: usize = 256;
const ROWS: usize = 10;
const ROW_TITLE: usize = 24;
const ROW_ID: usize = 200;
const ROW_DESCRIPTION: usize = 72;
const BODY: usize = 1024;
const LIST_BODY: usize = 4096;
const LINE: usize = 60;
const CARDS: std::ops::RangeInclusive<usize> = 2..=10;
const CARD_BODY: usize = 160;
const PRODUCTS: usize = 30;

fn count(text: &str) -> usize {
    Unit::Chars.count(text)
}

/// How the options can be shown.
enum Shape<'c, 'a> {
    Buttons(Vec<&'c ChoiceOption<'a>>),
    List(Vec<&'c ChoiceOption<'a>>),
    Link(&'c ChoiceOption<'a>),
    Place,
    Contact,
    Numbered(&'static str),
}

fn shape<'c, 'a>(asked: &'c Choices<'a>) -> Shape<'c, 'a> {
    let replies: Vec<_> = asked.options.iter().filter(|o| words::answers(o)).collect();
    let only = asked.options.first().filter(|_| asked.options.len() == 1);
    match only.map(|o| (o.kind, o)) {
        Some((OptionKind::Url | OptionKind::Webview, link)) if link.value.is_some() => return Shape::Link(link),
        Some((OptionKind::Location, _)) => return Shape::Place,
        Some((OptionKind::Contact, _)) => return Shape::Contact,
        _ => {}
    }
    if replies.is_empty() {
        return Shape::Numbered("WhatsApp shows one link as a button, and no numbers or texts to copy");
    }
    if replies.len() > ROWS {
        return Shape::Numbered("a list has at most 10 rows");
    }
    let plain = replies.iter().all(|o| o.description.is_none() && o.section.is_none() && count(&o.title) <= BUTTON_TITLE);
    let titles: std::collections::HashSet<_> = replies.iter().map(|o| &*o.title).collect();
    let few = replies.len() <= BUTTONS && titles.len() == replies.len();
    if few && plain && asked.layout != Some(Layout::List) { Shape::Buttons(replies) } else { Shape::List(replies) }
}

/// Options to pick from.
pub(super) fn choices(writer: &mut Writer<'_>, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
    if asked.options.is_empty() {
        return Err(RenderError::new(format!("#/parts/{index}/options"), "options_empty", "choices need at least one option"));
    }
    if asked.options.iter().any(|o| o.title.trim().is_empty()) {
        return Err(RenderError::new(format!("#/parts/{index}/options"), "option_invalid", "each option needs a title"));
    }
    let shape = shape(asked);
    if matches!(shape, Shape::Buttons(_) | Shape::List(_)) {
        words::once(&asked.options, &format!("#/parts/{index}/options"))?;
    }
    match shape {
        Shape::Numbered(why) => writer.numbered(index, asked, why),
        Shape::Buttons(options) => {
            let mut buttons = Vec::new();
            for option in &options {
                let id = identifier(index, asked, option, BUTTON_ID)?;
                buttons.push(json!({ "type": "reply", "reply": { "id": id, "title": option.title } }));
            }
            ask(writer, index, asked, "button", json!({ "buttons": buttons }), BODY)
        }
        Shape::List(options) => {
            let action = list(writer, index, asked, &options)?;
            ask(writer, index, asked, "list", action, LIST_BODY)
        }
        Shape::Link(option) => {
            let url = option.value.as_deref().unwrap_or_default();
            if !url.starts_with("https://") && !url.starts_with("http://") {
                let at = format!("#/parts/{index}/options/0/value");
                return Err(RenderError::new(at, "option_invalid", "a link begins with https:// or http://"));
            }
            let label = label(writer, index, &option.title, BUTTON_TITLE);
            let action = json!({ "name": "cta_url", "parameters": { "display_text": label, "url": url } });
            ask(writer, index, asked, "cta_url", action, BODY)
        }
        Shape::Place => ask(writer, index, asked, "location_request_message", json!({ "name": "send_location" }), BODY),
        Shape::Contact => ask(writer, index, asked, "request_contact_info", json!({ "name": "request_contact_info" }), BODY),
    }
}

/// The id that comes back; the title where the caller gave none.
fn identifier<'o>(index: usize, asked: &Choices<'_>, option: &'o ChoiceOption<'_>, most: usize) -> Result<&'o str, RenderError> {
    let id = option.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&option.title);
    if count(id) <= most {
        return Ok(id);
    }
    let number = asked.options.iter().position(|o| std::ptr::eq(o, option)).unwrap_or(0);
    Err(RenderError::new(
        format!("#/parts/{index}/options/{number}/id"),
        "option_id_too_long",
        format!("an id has at most {most} characters here"),
    ))
}

fn label(writer: &mut Writer<'_>, index: usize, title: &str, most: usize) -> String {
    if count(title) > most {
        writer.note(index, "title", "shorter title", &format!("a label has at most {most} characters"));
    }
    text::shorten(title, most, Unit::Chars)
}

fn list(writer: &mut Writer<'_>, index: usize, asked: &Choices<'_>, options: &[&ChoiceOption<'_>]) -> Result<Value, RenderError> {
    let mut sections: Vec<(String, Vec<Value>)> = Vec::new();
    for option in options {
        let id = identifier(index, asked, option, ROW_ID)?;
        let title = label(writer, index, &option.title, ROW_TITLE);
        // What the title cannot hold, the second line can.
        let whole = (title != option.title).then_some(&*option.title);
        let second = [whole, option.description.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" - ");
        let mut row = json!({ "id": id, "title": title });
        if !second.is_empty() {
            row["description"] = label(writer, index, &second, ROW_DESCRIPTION).into();
        }
        let name = option.section.as_deref().unwrap_or_default();
        match sections.iter_mut().find(|(n, _)| n == name) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((name.to_owned(), vec![row])),
        }
    }
    let several = sections.len() > 1;
    let sections: Vec<Value> = sections
        .into_iter()
        .map(|(name, rows)| {
            // With several sections each needs a title.
            let name = if name.is_empty() && several { "…".to_owned() } else { text::shorten(&name, ROW_TITLE, Unit::Chars) };
            if name.is_empty() { json!({ "rows": rows }) } else { json!({ "title": name, "rows": rows }) }
        })
        .collect();
    let button = label(writer, index, asked.menu_label.as_deref().filter(|l| !l.is_empty()).unwrap_or("Options"), BUTTON_TITLE);
    Ok(json!({ "button": button, "sections": sections }))
}

/// Sends an interactive message; what does not fit into it goes before it.
fn ask(writer: &mut Writer<'_>, index: usize, asked: &Choices<'_>, kind: &str, action: Value, most: usize) -> Result<(), RenderError> {
    let headed = matches!(kind, "button" | "list" | "cta_url");
    if matches!(kind, "location_request_message" | "request_contact_info") {
        writer.note(index, "title", "the app's own words", "WhatsApp writes on this button itself, in the person's language");
    }
    let mut body = String::new();
    let mut header = None;
    if let Some(words) = asked.header.as_deref().filter(|h| !h.is_empty()) {
        if headed && asked.media.is_none() && count(words) <= LINE && !words.contains('\n') {
            header = Some(json!({ "type": "text", "text": words }));
        } else {
            body.push_str(&format!("*{words}*\n\n"));
        }
    }
    body.push_str(&asked.text);
    if matches!(kind, "button" | "list") && asked.options.iter().any(words::asks) {
        writer.note(index, "ask", "button", "WhatsApp asks for one thing alone, and never for a date; the press comes back as a choice");
    }
    let links = asked.options.iter().filter(|o| o.value.is_some() && !words::answers(o));
    if kind != "cta_url" {
        for option in links {
            writer.note(index, "option", "text", "links and numbers cannot stand beside reply buttons");
            body.push_str(&format!("\n{}: {}", option.title, option.value.as_deref().unwrap_or_default()));
        }
    }
    let footer = asked.footer.as_deref().filter(|f| !f.is_empty());
    let fits = headed && footer.is_some_and(|f| count(f) <= LINE);
    if let Some(footer) = footer.filter(|_| !fits) {
        body.push_str(&format!("\n\n{footer}"));
    }
    if body.trim().is_empty() {
        return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "the question needs at least one character"));
    }
    let mut upload = None;
    if let Some(file) = &asked.media {
        match header_media(index, file)? {
            Some((kind_of_file, source)) if matches!(kind, "button" | "cta_url") => {
                let word = kind_of_file.word();
                let place = match source {
                    Source::Link(link) => json!({ "link": link }),
                    Source::Upload(field) => {
                        upload = Some((field, format!("/interactive/header/{word}/id")));
                        json!({ "id": "" })
                    }
                };
                header = Some(json!({ "type": word, word: place }));
            }
            _ => {
                writer.note(index, "media", "message", "a list has no picture: it goes before");
                writer.file(index, kind_of(file), file, "", false)?;
            }
        }
    }
    let pieces = text::split(&body, most, Unit::Chars);
    let (last, before) = pieces.split_last().expect("split never answers nothing");
    if !before.is_empty() {
        writer.note(index, "text", "several messages", &format!("the words of this kind of message have at most {most} characters"));
    }
    for piece in before {
        writer.text(index, piece)?;
    }
    let above = header.as_ref().and_then(|h| h["text"].as_str()).map(|words| format!("{words}\n\n")).unwrap_or_default();
    let below = footer.filter(|_| fits).map(|words| format!("\n{words}")).unwrap_or_default();
    let buttons = asked.options.iter().filter(|o| kind == "cta_url" || words::answers(o)).map(|o| &*o.title);
    writer.out.shown.push(format!("{above}{}{below}", listed::shown(last, buttons)));
    let mut content = json!({ "type": kind, "body": { "text": last }, "action": action });
    if let Some(header) = header {
        content["header"] = header;
    }
    if let Some(footer) = footer.filter(|_| fits) {
        content["footer"] = json!({ "text": footer });
    }
    match upload {
        None => writer.send("interactive", content),
        Some((field, pointer)) => {
            let message = writer.request("interactive", content);
            writer.push_upload(field, &message, &pointer);
        }
    }
    Ok(())
}

/// A file that can stand above a question: picture, video or document.
fn header_media(index: usize, file: &Media<'_>) -> Result<Option<(Kind, Source)>, RenderError> {
    let at = format!("#/parts/{index}/media");
    let (kind, _) = media::fitting(kind_of(file), file, &at)?;
    let source = media::source(file, &at)?;
    Ok(matches!(kind, Kind::Image | Kind::Video | Kind::Document).then_some((kind, source)))
}

/// A card's headline and words.
pub(super) fn card_words(card: &Card<'_>) -> String {
    let title = if card.title.is_empty() { String::new() } else { format!("*{}*", card.title) };
    let words = card.text.as_deref().unwrap_or_default();
    [title.as_str(), words].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Cards side by side where all of them fit the form, else one below the other.
pub(super) fn carousel(writer: &mut Writer<'_>, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
    if carousel.cards.is_empty() {
        return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
    }
    let words = carousel.text.as_deref().filter(|t| !t.is_empty() && count(t) <= BODY);
    let cards: Option<Vec<Value>> = carousel.cards.iter().enumerate().map(|(i, card)| side(i, card)).collect();
    let alike = |name: &str| {
        let of = |card: &Value| card.pointer(name).map(Value::to_string);
        cards.as_ref().is_some_and(|cards| cards.iter().all(|card| of(card) == of(&cards[0])))
    };
    if let (Some(words), true, true, true) = (words, CARDS.contains(&carousel.cards.len()), alike("/type"), alike("/header/type")) {
        let content = json!({ "type": "carousel", "body": { "text": words }, "action": { "cards": cards } });
        let titles: Vec<&str> = carousel.cards.iter().map(|c| &*c.title).collect();
        writer.out.shown.push(format!("{words}\n[{}]", titles.join("] [")));
        writer.send("interactive", content);
        return Ok(());
    }
    let why =
        "a carousel needs words above it and 2 to 10 cards, each with a linked picture, short words and one link or up to two replies";
    writer.note(index, "carousel", "messages", why);
    if let Some(words) = carousel.text.as_deref().filter(|t| !t.is_empty()) {
        writer.text(index, words)?;
    }
    carousel.cards.iter().try_for_each(|card| writer.card(index, card))
}

/// One card of a carousel; `None` when it does not fit the form.
fn side(number: usize, card: &Card<'_>) -> Option<Value> {
    let file = card.media.as_ref()?;
    let kind = kind_of(file);
    let (kind, why) = media::fitting(kind, file, "").ok()?;
    let link = match media::source(file, "").ok()? {
        Source::Link(link) if why.is_none() && matches!(kind, Kind::Image | Kind::Video) => link,
        _ => return None,
    };
    let words = card_words(card);
    if count(&words) > CARD_BODY || words.matches('\n').count() > 2 || card.options.iter().any(|o| count(&o.title) > BUTTON_TITLE) {
        return None;
    }
    let (form, action) = match card.options.as_slice() {
        [one] if matches!(one.kind, OptionKind::Url | OptionKind::Webview) => {
            let url = one.value.as_deref()?;
            ("cta_url", json!({ "name": "cta_url", "parameters": { "display_text": one.title, "url": url } }))
        }
        [] => return None,
        replies if replies.len() <= 2 && replies.iter().all(|o| matches!(o.kind, OptionKind::Reply | OptionKind::Postback)) => {
            let button = |o: &ChoiceOption<'_>| {
                let id = o.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&o.title);
                json!({ "type": "quick_reply", "quick_reply": { "id": id, "title": o.title } })
            };
            ("button", json!({ "buttons": replies.iter().map(button).collect::<Vec<_>>() }))
        }
        _ => return None,
    };
    let header = json!({ "type": kind.word(), kind.word(): { "link": link } });
    let mut side = json!({ "card_index": number, "type": form, "header": header, "action": action });
    if !words.is_empty() {
        side["body"] = json!({ "text": words });
    }
    Some(side)
}

/// Products of a catalogue.
pub(super) fn product(writer: &mut Writer<'_>, index: usize, product: &Product<'_>) -> Result<(), RenderError> {
    let words = product.text.as_deref().filter(|t| !t.is_empty());
    let error = |at: &str, problem: &str| Err(RenderError::new(format!("#/parts/{index}/{at}"), "product_invalid", problem));
    if words.is_some_and(|w| count(w) > CAPTION) {
        return error("text", "the words with products have at most 1024 characters");
    }
    if product.skus.len() > PRODUCTS {
        return error("skus", "a message shows at most 30 products");
    }
    let Some(catalog) = product.catalog_id.as_deref().filter(|_| !product.skus.is_empty()) else {
        if !product.skus.is_empty() {
            return error("catalog_id", "products need the `catalog_id` they are in");
        }
        let body = json!({ "type": "catalog_message", "body": { "text": words.unwrap_or("…") }, "action": { "name": "catalog_message" } });
        writer.out.shown.push(format!("{}\n[catalogue]", words.unwrap_or_default()).trim().to_owned());
        writer.send("interactive", body);
        return Ok(());
    };
    let content = if let [sku] = product.skus.as_slice() {
        let mut content = json!({ "type": "product", "action": { "catalog_id": catalog, "product_retailer_id": sku } });
        if let Some(words) = words {
            content["body"] = json!({ "text": words });
        }
        content
    } else {
        let items: Vec<Value> = product.skus.iter().map(|sku| json!({ "product_retailer_id": sku })).collect();
        // Header and body are required, a section's title only where there are several: the first line heads the others.
        let words = words.unwrap_or("…");
        let (first, rest) = words.split_once('\n').unwrap_or((words, ""));
        let title = text::shorten(first, LINE, Unit::Chars);
        let body = if title == first && !rest.trim().is_empty() { rest.trim() } else { words };
        json!({ "type": "product_list", "header": { "type": "text", "text": title }, "body": { "text": body },
            "action": { "catalog_id": catalog, "sections": [{ "product_items": items }] } })
    };
    writer.out.shown.push(format!("{}\n[{} products]", words.unwrap_or_default(), product.skus.len()).trim().to_owned());
    writer.send("interactive", content);
    Ok(())
}

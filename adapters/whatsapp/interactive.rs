//! Buttons, lists and cards.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::media::{self, File, Kind, Source};
use super::outbound::{BODY, TEXT, Writer};
use crate::contract::part::{Card, Carousel, ChoiceOption, Choices, Layout, OptionKind};
use crate::contract::*;
use crate::kit::{choices as plain, text};

/// Reply buttons, lists and URL buttons in the messages reference, read 2026-11-20.
const BUTTONS: usize = 3;
const BUTTON_TITLE: usize = 20;
const BUTTON_ID: usize = 256;
const ROWS: usize = 10;
const ROW_TITLE: usize = 24;
const ROW_ID: usize = 200;
const ROW_DESCRIPTION: usize = 72;
const SECTION_TITLE: usize = 24;
const MENU: usize = 20;
const HEADER: usize = 60;
const FOOTER: usize = 60;
const CARDS: std::ops::RangeInclusive<usize> = 2..=10;
const CARD_BODY: usize = 160;
/// Two line breaks more.
const CARD_BREAKS: usize = 2;

fn length(text: &str) -> usize {
    text.chars().count()
}

fn short(text: &str, max: usize) -> String {
    text::shorten(text, max, Unit::Chars)
}

/// What picks it, or its title.
fn id<'o>(option: &'o ChoiceOption<'_>) -> &'o str {
    option.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&option.title)
}

/// Comes back as a pick.
fn replies(option: &ChoiceOption<'_>) -> bool {
    !matches!(option.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Call | OptionKind::Copy)
}

/// Options to pick from: a request, a link's button, reply buttons, a list, or numbers under the text.
pub(super) fn choices(writer: &mut Writer<'_>, index: usize, choices: &Choices<'_>, at: &str) -> Result<(), RenderError> {
    check(choices, at)?;
    if writer.in_group() {
        writer.note(index, "choices", "numbered list", "WhatsApp groups have no buttons");
        return numbered(writer, index, choices, at);
    }
    let options = &choices.options;
    if let [option] = &options[..] {
        let asked = match option.kind {
            OptionKind::Location => Some(("location_request_message", "send_location")),
            OptionKind::Contact => Some(("request_contact_info", "request_contact_info")),
            _ => None,
        };
        if let Some((kind, action)) = asked {
            let words = framed(choices, usize::MAX, usize::MAX);
            let words = writer.body(index, &words)?;
            writer.out.shown.push(format!("{words}\n[{}]", option.title));
            writer.send("interactive", json!({ "type": kind, "body": { "text": words }, "action": { "name": action } }), Vec::new());
            return Ok(());
        }
        if let (OptionKind::Url | OptionKind::Webview, Some(url)) = (option.kind, &option.value) {
            return link(writer, index, choices, option, url, at);
        }
    }
    let picks: Vec<&ChoiceOption<'_>> = options.iter().filter(|option| replies(option)).collect();
    if picks.is_empty() || picks.len() > ROWS || !distinct(&picks) {
        let why = if picks.is_empty() { "WhatsApp has one link's button, and none to call or copy" } else { "a WhatsApp list has at most 10 rows, all different" };
        writer.note(index, "choices", "numbered list", why);
        return numbered(writer, index, choices, at);
    }
    note_kinds(writer, index, options);
    let words = with_links(choices);
    if in_list(choices, &picks) { list(writer, index, choices, &picks, &words, at) } else { buttons(writer, index, choices, &picks, &words, at) }
}

/// Whether a list shows these options better than buttons, or alone can.
fn in_list(choices: &Choices<'_>, picks: &[&ChoiceOption<'_>]) -> bool {
    let rich = picks.iter().any(|option| option.description.is_some() || option.section.is_some());
    let long = picks.iter().any(|option| length(&option.title) > BUTTON_TITLE);
    // A list has no room for a picture.
    let wants = rich || choices.layout == Some(Layout::List) || long && choices.media.is_none();
    picks.len() > BUTTONS || wants && picks.iter().all(|option| length(id(option)) <= ROW_ID)
}

fn check(choices: &Choices<'_>, at: &str) -> Result<(), RenderError> {
    if choices.text.trim().is_empty() {
        return Err(RenderError::new(format!("{at}/text"), "text_empty", "options need a text above them"));
    }
    if choices.options.is_empty() {
        return Err(RenderError::new(format!("{at}/options"), "options_missing", "give at least one option"));
    }
    for (i, option) in choices.options.iter().enumerate() {
        if option.title.trim().is_empty() {
            return Err(RenderError::new(format!("{at}/options/{i}/title"), "title_empty", "an option needs a title"));
        }
        let longest = if choices.options.len() > BUTTONS { ROW_ID } else { BUTTON_ID };
        if length(id(option)) > longest {
            let problem = format!("an option's `id` is at most {longest} characters here");
            return Err(RenderError::new(format!("{at}/options/{i}/id"), "option_id_too_long", problem));
        }
        if !replies(option) && option.value.as_deref().unwrap_or_default().is_empty() {
            return Err(RenderError::new(format!("{at}/options/{i}/value"), "value_missing", "this kind of option needs a `value`"));
        }
    }
    Ok(())
}

fn distinct(picks: &[&ChoiceOption<'_>]) -> bool {
    let mut ids = HashSet::new();
    let mut titles = HashSet::new();
    picks.iter().all(|option| ids.insert(id(option)) && titles.insert(short(&option.title, ROW_TITLE)))
}

/// Notes what a person will not find on a button.
fn note_kinds(writer: &mut Writer<'_>, index: usize, options: &[ChoiceOption<'_>]) {
    if options.iter().any(|option| !replies(option)) {
        writer.note(index, "options", "text", "links, numbers and texts to copy stand in the text beside reply buttons");
    }
    if options.iter().any(|option| matches!(option.kind, OptionKind::Location | OptionKind::Contact | OptionKind::Date)) {
        writer.note(index, "options", "reply", "WhatsApp asks for a place or a number alone, and has no date picker");
    }
}

/// The text with the links, numbers and texts to copy that have no button.
fn with_links(choices: &Choices<'_>) -> String {
    let mut words = choices.text.clone().into_owned();
    for option in choices.options.iter().filter(|option| !replies(option)) {
        words.push_str(&format!("\n{}: {}", option.title, option.value.as_deref().unwrap_or_default()));
    }
    words
}

/// The text with a header or footer that is too long for its own place.
fn framed(choices: &Choices<'_>, header: usize, footer: usize) -> String {
    let fits = |line: &Option<Text<'_>>, max: usize| max != usize::MAX && line.as_deref().is_none_or(|line| length(line) <= max);
    let above = choices.header.as_deref().filter(|_| !fits(&choices.header, header));
    let below = choices.footer.as_deref().filter(|_| !fits(&choices.footer, footer));
    [above, Some(&*choices.text), below].into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn numbered(writer: &mut Writer<'_>, index: usize, choices: &Choices<'_>, at: &str) -> Result<(), RenderError> {
    let words = plain::numbered(choices);
    match &choices.media {
        Some(media) => writer.file(index, media::by_type(media), media, &words, &format!("{at}/media")),
        None => writer.text(index, &words),
    }
}

/// What all interactive messages have around their action.
fn frame(writer: &mut Writer<'_>, index: usize, choices: &Choices<'_>, kind: &str, words: &str, at: &str) -> Result<(Map<String, Value>, Vec<Field>), RenderError> {
    let mut content = Map::new();
    content.insert("type".into(), kind.into());
    let mut files = Vec::new();
    let mut words = words.to_owned();
    let above = choices.header.as_deref().filter(|line| !line.is_empty());
    let header = choices.media.as_ref().map(|media| media::file(media::by_type(media), media, &format!("{at}/media"))).transpose()?;
    match header {
        Some(file) if kind != "list" && shows(&file) => {
            content.insert("header".into(), header_of(&file));
            files.extend(upload(file));
            words = above.map_or_else(|| words.clone(), |line| format!("{line}\n\n{words}"));
        }
        Some(_) => {
            // A list has no room for a picture, and nothing has room for sound.
            let media = choices.media.clone().unwrap_or_default();
            writer.note(index, "media", "message", "only buttons carry a picture, a film or a document");
            writer.file(index, media::by_type(&media), &media, "", &format!("{at}/media"))?;
            words = above.map_or_else(|| words.clone(), |line| format!("{line}\n\n{words}"));
        }
        None => match above {
            Some(line) if length(line) <= HEADER => {
                content.insert("header".into(), json!({ "type": "text", "text": line }));
            }
            Some(line) => words = format!("{line}\n\n{words}"),
            None => {}
        },
    }
    match choices.footer.as_deref().filter(|line| !line.is_empty()) {
        Some(line) if length(line) <= FOOTER => {
            content.insert("footer".into(), json!({ "text": line }));
        }
        Some(line) => words = format!("{words}\n\n{line}"),
        None => {}
    }
    let max = if kind == "list" { TEXT } else { BODY };
    let words = if length(&words) <= max { words } else { writer.body(index, &words)? };
    content.insert("body".into(), json!({ "text": words }));
    Ok((content, files))
}

fn shows(file: &File) -> bool {
    matches!(file.kind, Kind::Image | Kind::Video | Kind::Document)
}

fn header_of(file: &File) -> Value {
    let word = file.kind.word();
    let mut named = file.named();
    if let Some(name) = &file.filename {
        named.insert("filename".into(), name.as_str().into());
    }
    json!({ "type": word, word: named })
}

fn upload(file: File) -> Option<Field> {
    match file.source {
        Source::Upload(field) => Some(field),
        Source::Link(_) => None,
    }
}

fn done(writer: &mut Writer<'_>, mut content: Map<String, Value>, action: Value, titles: &[&str], files: Vec<Field>) {
    content.insert("action".into(), action);
    let words = content.get("body").and_then(|body| body["text"].as_str()).unwrap_or_default();
    writer.out.shown.push(format!("{words}\n[{}]", titles.join("] [")));
    writer.send("interactive", Value::Object(content), files);
}

fn link(writer: &mut Writer<'_>, index: usize, choices: &Choices<'_>, option: &ChoiceOption<'_>, url: &str, at: &str) -> Result<(), RenderError> {
    let (content, files) = frame(writer, index, choices, "cta_url", &choices.text, at)?;
    let title = short(&option.title, BUTTON_TITLE);
    note_short(writer, index, &option.title, BUTTON_TITLE);
    let action = json!({ "name": "cta_url", "parameters": { "display_text": title, "url": url } });
    done(writer, content, action, &[&title], files);
    Ok(())
}

fn note_short(writer: &mut Writer<'_>, index: usize, title: &str, max: usize) {
    if length(title) > max {
        writer.note(index, "title", "shorter title", &format!("a title is at most {max} characters here"));
    }
}

fn buttons(writer: &mut Writer<'_>, index: usize, choices: &Choices<'_>, picks: &[&ChoiceOption<'_>], words: &str, at: &str) -> Result<(), RenderError> {
    let (content, files) = frame(writer, index, choices, "button", words, at)?;
    let titles: Vec<String> = picks.iter().map(|option| short(&option.title, BUTTON_TITLE)).collect();
    picks.iter().for_each(|option| note_short(writer, index, &option.title, BUTTON_TITLE));
    let list = picks.iter().zip(&titles).map(|(option, title)| json!({ "type": "reply", "reply": { "id": id(option), "title": title } }));
    let action = json!({ "buttons": list.collect::<Vec<_>>() });
    done(writer, content, action, &titles.iter().map(String::as_str).collect::<Vec<_>>(), files);
    Ok(())
}

fn list(writer: &mut Writer<'_>, index: usize, choices: &Choices<'_>, picks: &[&ChoiceOption<'_>], words: &str, at: &str) -> Result<(), RenderError> {
    let (content, files) = frame(writer, index, choices, "list", words, at)?;
    let mut sections: Vec<(&str, Vec<Value>)> = Vec::new();
    for option in picks {
        let name = option.section.as_deref().unwrap_or_default();
        let row = row(writer, index, option);
        match sections.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((name, vec![row])),
        }
    }
    let several = sections.len() > 1;
    let sections: Vec<Value> = sections
        .into_iter()
        .map(|(name, rows)| {
            // With several sections each needs a title.
            let name = if name.is_empty() && several { "-" } else { name };
            let mut section = json!({ "rows": rows });
            if !name.is_empty() {
                section["title"] = short(name, SECTION_TITLE).into();
            }
            section
        })
        .collect();
    let menu = short(choices.menu_label.as_deref().filter(|label| !label.is_empty()).unwrap_or("☰"), MENU);
    let action = json!({ "button": menu, "sections": sections });
    done(writer, content, action, &picks.iter().map(|option| &*option.title).collect::<Vec<_>>(), files);
    Ok(())
}

/// A row; a title too long for it goes on in the line below.
fn row(writer: &mut Writer<'_>, index: usize, option: &ChoiceOption<'_>) -> Value {
    let mut row = json!({ "id": id(option), "title": short(&option.title, ROW_TITLE) });
    let rest = (length(&option.title) > ROW_TITLE).then_some(&*option.title);
    note_short(writer, index, &option.title, ROW_TITLE);
    if let Some(description) = option.description.as_deref().filter(|words| !words.is_empty()).or(rest) {
        row["description"] = short(description, ROW_DESCRIPTION).into();
    }
    row
}

/// A single card: its words over its options, its picture above.
pub(super) fn card(writer: &mut Writer<'_>, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
    let words = [Some(&*card.title), card.text.as_deref()].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n\n");
    if !card.options.is_empty() {
        let media = card.media.clone();
        let as_choices = Choices { text: words.into(), options: card.options.clone(), media, ..Choices::default() };
        return choices(writer, index, &as_choices, at);
    }
    match &card.media {
        Some(media) => writer.file(index, media::by_type(media), media, &words, &format!("{at}/media")),
        None => writer.text(index, &words),
    }
}

/// Cards side by side; false when they are not of the kind that WhatsApp can show so.
pub(super) fn carousel(writer: &mut Writer<'_>, index: usize, carousel: &Carousel<'_>) -> Result<bool, RenderError> {
    if !CARDS.contains(&carousel.cards.len()) {
        return Ok(false);
    }
    let (mut cards, mut files, mut kinds) = (Vec::new(), Vec::new(), HashSet::new());
    for (number, card) in carousel.cards.iter().enumerate() {
        let Some(media) = &card.media else { return Ok(false) };
        let file = media::file(media::by_type(media), media, &format!("#/parts/{index}/cards/{number}/media"))?;
        let Some((style, action)) = card_action(&card.options) else { return Ok(false) };
        let words = [Some(&*card.title), card.text.as_deref()].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n");
        let breaks = words.matches('\n').count();
        let headed = matches!(file.kind, Kind::Image | Kind::Video);
        if !headed || length(&words) > CARD_BODY + CARD_BREAKS.min(breaks) || breaks > CARD_BREAKS {
            return Ok(false);
        }
        kinds.insert((file.kind.word(), style));
        let mut out = json!({ "card_index": number, "type": "cta_url", "header": header_of(&file), "action": action });
        if !words.is_empty() {
            out["body"] = json!({ "text": words });
        }
        cards.push(out);
        files.extend(upload(file));
    }
    if kinds.len() != 1 {
        return Ok(false);
    }
    let titles: Vec<&str> = carousel.cards.iter().map(|card| &*card.title).collect();
    let words = carousel.text.as_deref().filter(|words| !words.trim().is_empty()).map_or_else(|| short(&titles.join(" · "), BODY), str::to_owned);
    let words = writer.body(index, &words)?;
    let mut content = Map::new();
    content.insert("type".into(), "carousel".into());
    content.insert("body".into(), json!({ "text": words }));
    done(writer, content, json!({ "cards": cards }), &titles, files);
    Ok(true)
}

/// A card's one link, or its replies.
fn card_action(options: &[ChoiceOption<'_>]) -> Option<(&'static str, Value)> {
    let fits = |option: &ChoiceOption<'_>| (1..=BUTTON_TITLE).contains(&length(&option.title)) && length(id(option)) <= BUTTON_ID;
    match options {
        [option] if matches!(option.kind, OptionKind::Url | OptionKind::Webview) => {
            let url = option.value.as_deref().filter(|_| fits(option))?;
            Some(("link", json!({ "name": "cta_url", "parameters": { "display_text": option.title, "url": url } })))
        }
        [] => None,
        options if options.len() <= BUTTONS && options.iter().all(|option| replies(option) && fits(option)) => {
            let list = options.iter().map(|option| json!({ "type": "quick_reply", "quick_reply": { "id": id(option), "title": option.title } }));
            Some(("replies", json!({ "buttons": list.collect::<Vec<_>>() })))
        }
        _ => None,
    }
}

//! What a channel lacks, in words: the nearest thing a person would accept.

use serde_json::{Map, Value};

use crate::contract::part::{Card, ChoiceOption, Choices, ContactCard, Location, Notification, OptionKind, Poll, Product};
use crate::contract::{Media, Text};

/// A link to the map.
pub fn map(latitude: f64, longitude: f64) -> String {
    format!("https://maps.google.com/?q={latitude},{longitude}")
}

/// A place: its name, its address, a link to the map.
pub fn place(place: &Location<'_>) -> String {
    let map = map(place.latitude, place.longitude);
    lines([place.name.as_deref(), place.address.as_deref(), Some(map.as_str())])
}

/// Address-book entries, each a few lines.
pub fn contacts(cards: &[ContactCard<'_>]) -> String {
    let one = |card: &ContactCard<'_>| {
        let head = [card.name.as_deref(), card.organization.as_deref()];
        let rest = card.phones.iter().chain(&card.emails).map(|line| Some(&**line));
        lines(head.into_iter().chain(rest))
    };
    cards.iter().map(one).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// An address-book entry as vCard 3.0 (RFC 2426), the oldest that all readers know.
pub fn vcard(card: &ContactCard<'_>) -> String {
    let safe = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n").replace(',', "\\,").replace(';', "\\;");
    let name = safe(card.name.as_deref().or(card.organization.as_deref()).unwrap_or_default());
    let mut out = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nN:{name};;;;\r\nFN:{name}\r\n");
    let lines = [("ORG", card.organization.as_slice()), ("TEL", &card.phones[..]), ("EMAIL", &card.emails[..])];
    for (field, values) in lines {
        values.iter().for_each(|value| out.push_str(&format!("{field}:{}\r\n", safe(value))));
    }
    out + "END:VCARD\r\n"
}

/// A push notification: headline, words, link.
pub fn notification(push: &Notification<'_>) -> String {
    lines([push.title.as_deref(), push.body.as_deref(), push.url.as_deref()])
}

/// Products by their numbers, under the words that came with them.
pub fn product(product: &Product<'_>) -> String {
    let skus = product.skus.iter().map(|sku| format!("- {sku}")).collect::<Vec<_>>();
    lines([product.text.as_deref()].into_iter().chain(skus.iter().map(|sku| Some(sku.as_str()))))
}

/// A poll as a question with options.
pub fn poll(poll: &Poll<'_>) -> Choices<'static> {
    let option = |text: &Text<'_>| ChoiceOption { title: text.to_string().into(), ..ChoiceOption::default() };
    Choices { text: poll.question.to_string().into(), options: poll.options.iter().map(option).collect(), ..Choices::default() }
}

/// A card's words and options as a question.
pub fn card<'a>(card: &Card<'a>) -> Choices<'a> {
    let text = lines([Some(&*card.title), card.text.as_deref()]);
    Choices { text: text.into(), options: card.options.clone(), media: card.media.clone(), ..Choices::default() }
}

/// A card's buttons as choices, with its title above its words.
pub fn headed<'a>(card: &Card<'a>) -> Choices<'a> {
    let (header, text) = (Some(card.title.clone()), card.text.clone().unwrap_or_default());
    Choices { header, text, options: card.options.clone(), media: card.media.clone(), ..Choices::default() }
}

/// What stands above the options: header, question, and where `descriptions` the headings and second lines of the options.
pub fn question(asked: &Choices<'_>, descriptions: bool) -> String {
    let options = if descriptions { &asked.options[..] } else { &[] };
    above(asked, options, usize::MAX)
}

/// The same, with the whole of each title that is too long for a button of `longest` characters.
pub fn question_on(asked: &Choices<'_>, longest: usize) -> String {
    above(asked, &asked.options, longest)
}

fn above(asked: &Choices<'_>, options: &[ChoiceOption<'_>], longest: usize) -> String {
    let mut out =
        [asked.header.as_deref(), Some(&*asked.text)].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n\n");
    out.push_str(&super::choices::unsaid(options, longest));
    out
}

/// What a person sees of a question: all its words, and the options that are buttons.
pub fn shown(asked: &Choices<'_>, button: impl Fn(&ChoiceOption<'_>) -> bool) -> String {
    let spoken: Vec<String> = asked.options.iter().filter(|o| !button(o)).filter_map(acting).collect();
    let above = question(asked, true);
    let words = lines([Some(above.as_str())].into_iter().chain(spoken.iter().map(|line| Some(line.as_str()))));
    let buttons = asked.options.iter().filter(|o| button(o) || acting(o).is_none()).map(|o| &*o.title);
    lines([Some(super::choices::shown(&words, buttons).as_str()), asked.footer.as_deref()])
}

/// A line for an option that acts on a value: a link, a number, a text to copy. `None` for one that is answered.
pub fn acting(option: &ChoiceOption<'_>) -> Option<String> {
    let acts = matches!(option.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Call | OptionKind::Copy);
    let value = option.value.as_deref().filter(|v| acts && !v.is_empty())?;
    Some(if option.title.trim().is_empty() { value.to_owned() } else { format!("{}: {value}", option.title) })
}

/// Cards in rows of at most `most`, as even as can be, so that none stands alone.
pub fn rows<T>(cards: &[T], most: usize) -> std::slice::Chunks<'_, T> {
    let rows = cards.len().div_ceil(most).max(1);
    cards.chunks(cards.len().div_ceil(rows).max(1))
}

/// What comes back when an option is picked: its id, or its title where it has none.
pub fn payload<'o>(option: &'o ChoiceOption<'_>) -> &'o str {
    option.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&option.title)
}

/// A file's public address, when it has one.
pub fn link<'m>(media: &'m Media<'_>) -> Option<&'m str> {
    media.url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"))
}

/// A file as its link: the words to it, its name, where it lies.
pub fn linked(caption: &str, media: &Media<'_>, link: &str) -> String {
    lines([Some(caption), media.filename.as_deref(), Some(link)])
}

/// Whether a file is a picture, a film or sound by its type, or by the ending of its name where the type is not said.
pub fn looks(media: &Media<'_>) -> &'static str {
    let ending = || {
        let name = media.filename.as_deref().or(media.url.as_deref()).unwrap_or_default();
        let name = name.split(['?', '#']).next().and_then(|n| n.rsplit('/').next()).unwrap_or_default();
        name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
    };
    match media.mime_type.as_deref().and_then(|m| m.split('/').next()) {
        Some("image") => "image",
        Some("video") => "video",
        Some("audio") => "audio",
        Some("application" | "text") => "file",
        _ => match ending().as_str() {
            "png" | "jpg" | "jpeg" | "gif" | "webp" => "image",
            "mp4" | "mov" | "webm" | "3gp" | "m4v" => "video",
            "mp3" | "ogg" | "oga" | "opus" | "m4a" | "aac" | "wav" | "amr" => "audio",
            _ => "file",
        },
    }
}

/// Puts one JSON object over another: objects are merged, everything else is replaced.
pub fn merge(into: &mut Value, from: &Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(name), value) {
            (Some(inside @ Value::Object(_)), Value::Object(more)) => merge(inside, more),
            _ => into[name] = value.clone(),
        }
    }
}

/// The lines that are there.
pub fn lines<'t>(lines: impl IntoIterator<Item = Option<&'t str>>) -> String {
    lines.into_iter().flatten().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn things_become_words() {
        let office = Location { latitude: 40.41, longitude: -3.7, name: Some("Office".into()), ..Location::default() };
        assert_eq!(place(&office), "Office\nhttps://maps.google.com/?q=40.41,-3.7");
        let ana = ContactCard { name: Some("Ana".into()), phones: vec!["+15550100200".into()], ..ContactCard::default() };
        let ana = ContactCard { organization: Some("A, Inc".into()), ..ana };
        assert_eq!(vcard(&ana), "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Ana;;;;\r\nFN:Ana\r\nORG:A\\, Inc\r\nTEL:+15550100200\r\nEND:VCARD\r\n");
        assert_eq!(contacts(&[ana, ContactCard::default()]), "Ana\nA, Inc\n+15550100200");
        let call =
            ChoiceOption { title: "Call".into(), kind: OptionKind::Call, value: Some("+15550100".into()), ..ChoiceOption::default() };
        assert_eq!((acting(&call).as_deref(), payload(&call)), (Some("Call: +15550100"), "Call"));
        assert_eq!(acting(&ChoiceOption { value: Some("x".into()), ..ChoiceOption::default() }), None);
        let named = |url: &'static str| Media { url: Some(url.into()), ..Media::default() };
        assert_eq!((looks(&named("https://a.example/b.PNG?x=1")), looks(&named("https://a.example/b"))), ("image", "file"));
    }

    #[test]
    fn merging_goes_into_objects() {
        let mut body = json!({ "a": { "b": 1, "c": 2 }, "d": [1] });
        let Value::Object(more) = json!({ "a": { "b": 9 }, "d": [2], "e": null }) else { unreachable!("an object") };
        merge(&mut body, &more);
        assert_eq!(body, json!({ "a": { "b": 9, "c": 2 }, "d": [2], "e": null }));
    }
}

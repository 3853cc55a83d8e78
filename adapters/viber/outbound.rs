//! Messages as calls of `send_message`, one each (rest-bot-api 7.3.0, read 2026-11-20).

use serde_json::{Value, json};

use super::{Channel, FACTS, keyboard};
use crate::contract::part::{Card, ChoiceOption, Choices, ContactCard, Location, OptionKind};
use crate::contract::*;
use crate::kit::{address, choices as listed, markup, text, words};

const CAPTION: usize = 768;
const REQUEST: usize = 30 << 10;
const PICTURE: u64 = 1 << 20;
const VIDEO: u64 = 26 << 20;
const FILE: u64 = 50 << 20;

/// The calls that bring a message to Viber.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let receiver = address::id(message.to, "viber").filter(|id| !id.contains(char::is_whitespace) && !id.starts_with('+'));
    let Some(receiver) = receiver else {
        return Err(RenderError::new("#/to", "address_invalid", "expected `viber:` and the id Viber gives for this bot, not a number"));
    };
    for name in ["receiver", "broadcast_list"] {
        if message.native.contains_key(name) {
            return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
        }
    }
    if message.template.is_some() {
        return Err(RenderError::new("#/template", "template_not_supported", "Viber bots have no templates: send parts"));
    }
    let mut writer = Writer { channel, receiver: &receiver, message, out: Rendered::default() };
    if message.parts.is_empty() {
        if !message.native.contains_key("type") && !message.native.contains_key("keyboard") {
            return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, or a `native` with its `type`"));
        }
        writer.out.shown.push("[native]".into());
        writer.send(json!({}), 1)?;
    }
    if message.reply_to.is_some() && !message.parts.is_empty() {
        writer.note(0, "quote", "message", "Viber bots cannot quote");
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    receiver: &'w str,
    message: &'w Outbound<'w>,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => self.text(index, &markup::from_any(&words.text, words.format, markup::Dialect::Stars)),
            Part::Sticker(m) if m.media.id.as_deref().is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())) => {
                self.out.shown.push("[sticker]".into());
                let id: u64 = m.media.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default();
                self.send(json!({ "type": "sticker", "sticker_id": id }), 1)
            }
            Part::Image(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) {
                    self.note(index, "sticker", "image", "only Viber's own stickers (by their number as `id`) can be sent as such");
                }
                self.picture(index, &m.media, m.caption.as_deref().unwrap_or_default(), None)
            }
            Part::Video(m) => self.video(index, &m.media, m.caption.as_deref().unwrap_or_default()),
            Part::Audio(m) | Part::Voice(m) | Part::File(m) => {
                if !matches!(part, Part::File(_)) {
                    self.note(index, part.kind(), "file", "Viber bots send sound as a file");
                }
                self.file(index, &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => self.location(index, place),
            Part::Contacts(list) => list.contacts.iter().try_for_each(|card| self.contact(index, card)),
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.cards(index, std::slice::from_ref(card), &|_| format!("#/parts/{index}")),
            Part::Carousel(carousel) => {
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                    self.text(index, words)?;
                }
                self.cards(index, &carousel.cards, &|card| format!("#/parts/{index}/cards/{card}"))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) => {
                self.note(index, "product", "text", "Viber bots have no catalogues");
                self.text(index, &words::product(product))
            }
            Part::Notification(push) => {
                self.note(index, "notification", "message", "Viber shows its own notification of each message");
                if let Some(image) = &push.image {
                    self.picture(index, &Media { url: Some(image.clone()), ..Media::default() }, "", None)?;
                }
                self.text(index, &words::notification(push))
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.note(index, "poll", "choices", "a bot cannot start a poll");
                self.choices(index, &words::poll(poll))
            }
            other => Err(RenderError::unsupported(index, other.kind(), "Viber")),
        }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        self.texts(index, words, None, 1)
    }

    /// The keyboard stands under the last piece.
    fn texts(&mut self, index: usize, words: &str, keys: Option<Value>, level: u8) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let pieces = text::split(words, FACTS.text.max, FACTS.text.unit);
        for (number, piece) in pieces.iter().enumerate() {
            let mut body = json!({ "type": "text", "text": piece });
            if let Some(keys) = keys.as_ref().filter(|_| number + 1 == pieces.len()) {
                body["keyboard"] = keys.clone();
            }
            self.out.shown.push((*piece).to_owned());
            self.send(body, level)?;
        }
        Ok(())
    }

    fn link<'m>(&self, index: usize, file: &'m Media<'_>) -> Result<&'m str, RenderError> {
        file.url.as_deref().filter(|url| words::is_link(url)).ok_or_else(|| {
            RenderError::new(format!("#/parts/{index}/media"), "media_missing", "Viber takes no uploads; a file needs a public `url`")
        })
    }

    /// What Viber would not take as it is.
    fn as_link(&mut self, index: usize, kind: &str, url: &str, caption: &str, why: &str) -> Result<(), RenderError> {
        self.note(index, kind, "link", why);
        if !caption.is_empty() {
            self.text(index, caption)?;
        }
        self.out.shown.push(url.to_owned());
        self.send(json!({ "type": "url", "media": url }), 1)
    }

    fn picture(&mut self, index: usize, file: &Media<'_>, caption: &str, keys: Option<(Value, u8)>) -> Result<(), RenderError> {
        let url = self.link(index, file)?;
        let known = ["jpg", "jpeg", "png", "gif"].contains(&extension(url).as_str());
        if file.size.unwrap_or(0) > PICTURE || !known {
            let why = if known { "a picture is at most 1 MB" } else { "a picture's link ends in .jpg, .png or .gif" };
            if file.size.is_some() && file.filename.is_some() && keys.is_none() {
                self.note(index, "image", "file", why);
                return self.file(index, file, caption);
            }
            self.as_link(index, "image", url, if keys.is_none() { caption } else { "" }, why)?;
            return match keys {
                Some((keys, level)) => self.texts(index, caption, Some(keys), level),
                None => Ok(()),
            };
        }
        let fits = Unit::Chars.count(caption) <= CAPTION;
        let mut body = json!({ "type": "picture", "text": if fits { caption } else { "" }, "media": url });
        self.out.shown.push(format!("[picture] {}", if fits { caption } else { "" }).trim().to_owned());
        match keys {
            Some((keys, level)) if fits => {
                body["keyboard"] = keys;
                self.send(body, level)
            }
            keys => {
                self.send(body, 1)?;
                if fits {
                    return Ok(());
                }
                self.note(index, "caption", "text", "a caption has at most 768 characters: the words follow");
                let (keys, level) = keys.map_or((None, 1), |(keys, level)| (Some(keys), level));
                self.texts(index, caption, keys, level)
            }
        }
    }

    fn video(&mut self, index: usize, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let url = self.link(index, file)?;
        let size = match file.size {
            Some(size) if size <= VIDEO => size,
            Some(_) => return self.as_link(index, "video", url, caption, "a video is at most 26 MB"),
            None => return self.as_link(index, "video", url, caption, "Viber wants the exact `size` of a video"),
        };
        let mut body = json!({ "type": "video", "media": url, "size": size });
        if let Some(seconds) = file.duration_ms.map(|ms| ms.div_ceil(1000)).filter(|s| (1..=180).contains(s)) {
            body["duration"] = seconds.into();
        }
        self.out.shown.push("[video]".into());
        self.send(body, 1)?;
        self.after(index, caption)
    }

    fn file(&mut self, index: usize, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let url = self.link(index, file)?;
        let linked = url.split(['?', '#']).next().and_then(|path| path.rsplit('/').next());
        let name = file.filename.as_deref().or(linked).filter(|name| name.contains('.') && Unit::Chars.count(name) <= 256);
        let (Some(size), Some(name)) = (file.size.filter(|size| *size <= FILE), name) else {
            let why = match file.size {
                Some(size) if size > FILE => "a file is at most 50 MB",
                _ => "Viber wants the exact `size` of a file, and its extension in `filename` or the link",
            };
            return self.as_link(index, "file", url, caption, why);
        };
        self.out.shown.push(format!("[file] {name}"));
        self.send(json!({ "type": "file", "media": url, "size": size, "file_name": name }), 1)?;
        self.after(index, caption)
    }

    /// The words to a file that has no place for them.
    fn after(&mut self, index: usize, caption: &str) -> Result<(), RenderError> {
        if caption.is_empty() {
            return Ok(());
        }
        self.note(index, "caption", "text", "only pictures have captions on Viber: the words follow");
        self.text(index, caption)
    }

    fn location(&mut self, index: usize, place: &Location<'_>) -> Result<(), RenderError> {
        let named: Vec<&str> = [place.name.as_deref(), place.address.as_deref()].into_iter().flatten().collect();
        if !named.is_empty() {
            self.note(index, "location", "text and location", "a place has no name on Viber: it goes before");
            self.text(index, &named.join("\n"))?;
        }
        let six = |degrees: f64| (degrees * 1e6).round() / 1e6;
        self.out.shown.push(format!("[location] {}, {}", place.latitude, place.longitude));
        self.send(json!({ "type": "location", "location": { "lat": six(place.latitude), "lon": six(place.longitude) } }), 3)
    }

    fn contact(&mut self, index: usize, card: &ContactCard<'_>) -> Result<(), RenderError> {
        let phone = card.phones.first().filter(|phone| phone.chars().count() <= 18);
        let (Some(phone), true) = (phone, card.phones.len() == 1 && card.emails.is_empty()) else {
            self.note(index, "contacts", "text", "a contact on Viber is a name and one number");
            return self.text(index, &words::contacts(std::slice::from_ref(card)));
        };
        let name = card.name.as_deref().or(card.organization.as_deref()).unwrap_or(phone);
        self.out.shown.push(format!("[contact] {name}"));
        let contact = json!({ "name": text::shorten(name, 28, Unit::Chars), "phone_number": phone });
        self.send(json!({ "type": "contact", "contact": contact }), 2)
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/options");
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        type Numbered<'o, 'a> = Vec<(usize, &'o ChoiceOption<'a>)>;
        let (buttons, spoken): (Numbered<'_, '_>, Numbered<'_, '_>) =
            asked.options.iter().enumerate().partition(|(_, o)| keyboard::has_button(o));
        if buttons.is_empty() || buttons.len() > keyboard::MOST {
            let why = if buttons.is_empty() { "Viber has no such buttons" } else { "a keyboard has at most 24 buttons here" };
            self.note(index, "choices", "text", why);
            if let Some(media) = &asked.media {
                self.picture(index, media, "", None)?;
            }
            return self.text(index, &listed::numbered(&Choices { media: None, ..asked.clone() }));
        }
        let mut question = words::question(asked);
        for (_, option) in &spoken {
            let value = option.value.as_deref().unwrap_or_default();
            question.push_str(&format!("\n{}: {value}", option.title));
        }
        if !spoken.is_empty() {
            self.note(index, "option", "text", "Viber has no buttons that dial or copy: they stand in the text");
        }
        if asked.options.iter().any(|o| o.kind == OptionKind::Date) {
            self.note(index, "date", "button", "Viber cannot ask for a date; the press comes back as a choice");
        }
        let keys = keyboard::keyboard(&buttons, &at)?;
        let level = keyboard::level(&asked.options);
        match &asked.media {
            Some(media) => self.picture(index, media, &question, Some((keys, level)))?,
            None => self.texts(index, &question, Some(keys), level)?,
        }
        let titles: Vec<&str> = buttons.iter().map(|(_, o)| &*o.title).collect();
        if let Some(last) = self.out.shown.last_mut() {
            last.push_str(&format!("\n[{}]", titles.join("] [")));
        }
        Ok(())
    }

    fn cards(&mut self, index: usize, cards: &[Card<'_>], at: &dyn Fn(usize) -> String) -> Result<(), RenderError> {
        if cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        for (number, card) in cards.iter().enumerate() {
            let at = at(number);
            if card.title.trim().is_empty() {
                return Err(RenderError::new(format!("{at}/title"), "card_invalid", "a card needs a title"));
            }
            if card.media.as_ref().is_some_and(|m| !m.url.as_deref().is_some_and(words::is_link)) {
                return Err(RenderError::new(format!("{at}/media"), "media_missing", "a card's picture needs an http(s) `url`"));
            }
        }
        if !cards.iter().all(keyboard::holds) {
            let why = "a card has 2 buttons under a picture and 3 without, each a reply or a link: a keyboard stands in";
            self.note(index, "card", "message", why);
            return cards.iter().try_for_each(|card| match card.options.is_empty() {
                false => self.choices(index, &Choices { media: card.media.clone(), ..words::card(card) }),
                true => match &card.media {
                    Some(media) => self.picture(index, media, &words::card(card).text, None),
                    None => self.text(index, &words::card(card).text),
                },
            });
        }
        if cards.len() > keyboard::CARDS {
            self.note(index, "carousel", "several carousels", "a carousel has at most 6 cards");
        }
        for (number, group) in cards.chunks(keyboard::CARDS).enumerate() {
            let titles: Vec<&str> = group.iter().map(|c| &*c.title).collect();
            self.out.shown.push(format!("[cards] {}", titles.join(", ")));
            let alt = text::shorten(&titles.join(", "), 200, Unit::Chars);
            let media = keyboard::carousel(group, &|card| at(number * keyboard::CARDS + card))?;
            self.send(json!({ "type": "rich_media", "alt_text": alt, "rich_media": media }), 7)?;
        }
        Ok(())
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    /// One message; `level` is the oldest client that can show it.
    fn send(&mut self, content: Value, level: u8) -> Result<(), RenderError> {
        let settings = &self.channel.settings;
        let author = self.message.author.and_then(|a| a.name.as_deref()).filter(|name| !name.is_empty());
        let mut sender = json!({ "name": text::shorten(author.unwrap_or(&settings.sender_name), 28, Unit::Chars) });
        if let Some(avatar) = &settings.sender_avatar {
            sender["avatar"] = avatar.as_str().into();
        }
        let level = level.max(settings.min_api_version.unwrap_or(1));
        let mut body = json!({ "receiver": self.receiver, "min_api_version": level, "sender": sender });
        if let Value::Object(content) = &content {
            words::merge(&mut body, content);
        }
        words::merge(&mut body, self.message.native);
        if body.to_string().len() > REQUEST {
            return Err(RenderError::new("#/parts", "message_too_large", "a request to Viber has at most 30 KB"));
        }
        self.out.calls.push(self.channel.call("send_message", &body));
        Ok(())
    }
}

/// The extension of a link's file, in lower case.
fn extension(link: &str) -> String {
    let path = link.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, end)| end.to_lowercase()).unwrap_or_default()
}

//! A message as one push notification: what the system of a phone or a browser can show by itself.
//!
//! A notification is a headline, words, a picture and something to open. Parts of other kinds become words, in the order
//! they were given; the app gets our id and the caller's data beside them.

use std::borrow::Cow;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::markup::{self, Dialect};
use super::{address, choices, crypto, spoken, words};
use crate::contract::part::{Card, Choices, Notification, OptionKind};
use crate::contract::{Device, Facts, MediaPart, Outbound, Part, Registered, RenderError, Rendered, Time};

/// Under this name the app finds our message's id among its data.
pub const OUR_ID: &str = "fairway_message_id";

/// What a notification shows and carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// The headline.
    pub title: Option<String>,
    /// Words under it.
    pub body: Option<String>,
    /// A picture: a link over https.
    pub image: Option<String>,
    /// What a tap opens.
    pub url: Option<String>,
    /// The number on the icon.
    pub badge: Option<u32>,
    /// The sound's name.
    pub sound: Option<String>,
    /// A later one with the same key replaces this.
    pub collapse_key: Option<String>,
    /// For the app.
    pub data: Map<String, Value>,
    /// Options that come back: id and title. They stand in the words too.
    pub options: Vec<(String, String)>,
}

impl Note {
    /// Whether nothing of it is shown: it wakes the app and is silent.
    pub fn is_silent(&self) -> bool {
        self.title.is_none() && self.body.is_none() && self.image.is_none()
    }

    /// What replaces an earlier one on the screen: the caller's key, else our id, so that a repeated call shows once.
    pub fn tag<'n>(&'n self, message: &'n Outbound<'_>) -> &'n str {
        self.collapse_key.as_deref().unwrap_or(message.id)
    }
}

/// A device that its push service named by a token: the token is its address.
pub fn by_token(scheme: &str, device: &Device<'_>) -> Result<Registered, RenderError> {
    let token = device.token.ok_or_else(|| RenderError::new("#/token", "missing", "this channel's devices are registered by `token`"))?;
    if token.is_empty() || token.len() > 4096 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(RenderError::new("#/token", "address_invalid", "expected the token as the app got it"));
    }
    Ok(Registered { address: address::address(scheme, token), handle: None })
}

/// Seconds from now until the message stops being useful, at most `max`; `None` when it never does.
pub fn ttl(message: &Outbound<'_>, now: Time, max: i64) -> Option<i64> {
    message.expires_at.map(|end| (end.since(now).div_euclid(1000)).clamp(0, max))
}

/// A key of any length as 32 characters of the base64url alphabet, which every operator of Web Push takes as a topic.
pub fn topic(key: &str) -> String {
    let mut text = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, key.as_bytes()));
    text.truncate(32);
    text
}

/// A UUID that follows from a message's id: the same on every attempt.
pub fn uuid(id: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&crypto::sha256(id.as_bytes())[..16]);
    // RFC 9562, version 8: made as its maker likes.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = crypto::hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Refuses a payload that is larger than the provider takes.
pub fn fits(size: usize, max: usize) -> Result<(), RenderError> {
    if size <= max {
        return Ok(());
    }
    Err(RenderError::new(
        "#/parts",
        "message_too_large",
        format!("the notification has {size} bytes, at most {max} go; shorten text or data"),
    ))
}

/// The notification a message makes. Downgrades and what is shown go to `out`.
pub fn note(message: &Outbound<'_>, facts: &Facts, out: &mut Rendered) -> Result<Note, RenderError> {
    if message.template.is_some() {
        let problem = format!("{} has no templates of its own; send parts", facts.name);
        return Err(RenderError::new("#/template", "template_not_supported", problem));
    }
    if message.parts.is_empty() {
        return Err(RenderError::new("#/parts", "message_empty", "a message needs at least one part"));
    }
    words::unquoted(message, "a notification", out);
    let mut writer = Writer { facts, out, note: Note::default(), words: Vec::new() };
    message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?;
    let Writer { mut note, words, .. } = writer;
    note.body = (!words.is_empty()).then(|| words.join("\n"));
    let body = note.body.as_deref().unwrap_or_default();
    if facts.text.unit.count(body) > facts.text.max {
        let at = if message.parts.len() == 1 && matches!(message.parts[0], Part::Text(_)) { "#/parts/0/text" } else { "#/parts" };
        return Err(RenderError::new(at, "text_too_long", format!("the words of a notification have at most {} bytes", facts.text.max)));
    }
    let shown: Vec<&str> = [&note.title, &note.body].into_iter().flatten().map(String::as_str).collect();
    let picture = if note.image.is_some() { "\n[image]" } else { "" };
    out.shown.push(if note.is_silent() { "[silent]".into() } else { format!("{}{picture}", shown.join("\n")).trim_start().to_owned() });
    out.cost = 1;
    Ok(note)
}

struct Writer<'w> {
    facts: &'w Facts,
    out: &'w mut Rendered,
    note: Note,
    words: Vec<String>,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        let why = "a notification has words, a picture and a link";
        match part {
            Part::Text(text) => {
                let words = markup::told(text, Dialect::Plain, "a notification", index, self.out);
                if words.trim().is_empty() {
                    return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "there are no words in it"));
                }
                self.say(&words);
            }
            Part::Image(media) => self.picture(index, media)?,
            Part::Audio(media) | Part::Voice(media) | Part::Video(media) | Part::File(media) | Part::Sticker(media) => {
                self.downgrade(index, part.kind(), "its link", why);
                self.link(index, media)?;
            }
            Part::Location(place) => {
                self.downgrade(index, "location", "a link to the map", why);
                self.say(&words::location(place));
            }
            Part::Contacts(contacts) => {
                self.downgrade(index, "contacts", "text", why);
                self.say(&words::contacts(&contacts.contacts));
            }
            Part::Choices(choices) => self.choices(index, "choices", choices)?,
            Part::Poll(poll) => {
                words::one_answer(poll, index, self.out);
                self.choices(index, "poll", &words::poll(poll))?;
            }
            Part::Card(card) => self.card(index, card)?,
            Part::Carousel(carousel) => {
                self.downgrade(index, "carousel", "cards one under the other", "a notification has one headline and one picture");
                // The headline is for all the cards.
                match carousel.text.as_deref() {
                    Some(words) if self.note.title.is_none() => self.note.title = Some(words.to_owned()),
                    words => words.into_iter().for_each(|words| self.say(words)),
                }
                carousel.cards.iter().try_for_each(|card| self.card(index, card))?;
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.downgrade(index, "order", "text", words::ORDER);
                self.say(&words::order(order));
            }
            Part::Product(product) => {
                self.downgrade(index, "product", "text", why);
                self.say(&words::product(product));
            }
            Part::Notification(push) => self.notification(index, push)?,
            other => return Err(RenderError::unsupported(index, other.kind(), self.facts.name)),
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.words.push(text.to_owned());
        }
    }

    fn downgrade(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    fn picture(&mut self, index: usize, image: &MediaPart<'_>) -> Result<(), RenderError> {
        match image.media.url.as_deref() {
            Some(url) if url.starts_with("https://") && self.note.image.is_none() => {
                self.note.image = Some(url.to_owned());
                image.caption.iter().for_each(|caption| self.say(caption));
                Ok(())
            }
            _ => {
                self.downgrade(index, "image", "its link", "a notification has one picture, and the device loads it over https");
                self.link(index, image)
            }
        }
    }

    fn link(&mut self, index: usize, media: &MediaPart<'_>) -> Result<(), RenderError> {
        let Some(url) = media.media.url.as_deref().filter(|url| words::is_link(url)) else {
            let problem = "name the file by `url` (http or https) or by `id`";
            return Err(RenderError::new(format!("#/parts/{index}/media"), "media_missing", problem));
        };
        self.say(&spoken::linked(media.caption.as_deref().unwrap_or_default(), &media.media, url));
        self.opens(url);
        Ok(())
    }

    /// The first link there is is what a tap opens.
    fn opens(&mut self, url: &str) {
        self.note.url.get_or_insert_with(|| url.to_owned());
    }

    fn choices(&mut self, index: usize, kind: &str, asked: &Choices<'_>) -> Result<(), RenderError> {
        if asked.options.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/options"), "options_empty", "there is nothing to pick"));
        }
        self.downgrade(index, kind, "a numbered list, and data for the app", "the system shows no options that we can name in a message");
        if let Some(media) = &asked.media {
            self.picture(index, &MediaPart { media: media.clone(), caption: None })?;
        }
        self.say(choices::numbered(asked).trim_start());
        for option in &asked.options {
            match (option.kind, option.value.as_deref()) {
                (OptionKind::Url | OptionKind::Webview, Some(url)) => self.opens(url),
                _ => self.note.options.push((words::payload(option).to_owned(), option.title.to_string())),
            }
        }
        Ok(())
    }

    fn card(&mut self, index: usize, card: &Card<'_>) -> Result<(), RenderError> {
        if self.note.title.is_none() {
            self.note.title = Some(card.title.to_string());
        } else {
            self.say(&card.title);
        }
        card.text.iter().for_each(|text| self.say(text));
        let picture = card.media.as_ref().and_then(|m| m.url.as_deref()).filter(|url| url.starts_with("https://"));
        if self.note.image.is_none() {
            self.note.image = picture.map(str::to_owned);
        }
        if card.options.is_empty() {
            return Ok(());
        }
        self.choices(index, "card", &Choices { options: card.options.clone(), ..Choices::default() })
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        let own = |text: &Option<Cow<'_, str>>| text.as_deref().filter(|t| !t.is_empty()).map(str::to_owned);
        if let Some(raw) = &push.data {
            let data: Option<Map<String, Value>> = serde_json::from_str(raw.get()).ok();
            let wrong = || RenderError::new(format!("#/parts/{index}/data"), "data_invalid", "data for the app is a JSON object");
            self.note.data.extend(data.ok_or_else(wrong)?);
        }
        if let Some(image) = own(&push.image) {
            if !image.starts_with("https://") {
                let problem = "the device loads pictures over https";
                return Err(RenderError::new(format!("#/parts/{index}/image"), "url_invalid", problem));
            }
            self.note.image = Some(image);
        }
        if let Some(body) = own(&push.body) {
            self.words.push(body);
        }
        let note = &mut self.note;
        note.title = own(&push.title).or_else(|| note.title.take());
        note.url = own(&push.url).or_else(|| note.url.take());
        note.badge = push.badge.or(note.badge);
        note.sound = own(&push.sound).or_else(|| note.sound.take());
        note.collapse_key = own(&push.collapse_key).or_else(|| note.collapse_key.take());
        if note.is_silent() && self.words.is_empty() && note.data.is_empty() && note.badge.is_none() && note.url.is_none() {
            return Err(RenderError::new(format!("#/parts/{index}"), "notification_empty", "it shows nothing and carries nothing"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_a_message_is_the_same_on_every_attempt() {
        assert_eq!(uuid("msg_1"), uuid("msg_1"));
        assert_ne!(uuid("msg_1"), uuid("msg_2"));
        let id = uuid("msg_1");
        assert!(id.len() == 36 && id.as_bytes()[14] == b'8' && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()), "{id}");
        assert_eq!((topic("order-17").len(), topic("order-17")), (32, topic("order-17")));
    }
}

//! Messages as calls of API v2: words, and one picture or film each (direct-messages/manage, read 2026-11-20).

use serde_json::{Value, json};

use super::{Channel, FACTS};
use crate::contract::part::{Card, Choices};
use crate::contract::*;
use crate::kit::{choices as listed, markup, text, words};

const IMAGE: u64 = 5 << 20;
const GIF: u64 = 15 << 20;
const VIDEO: u64 = 512 << 20;

/// The calls that bring a message to X.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let Some(path) = path(message.to) else {
        return Err(RenderError::new("#/to", "address_invalid", "expected `x:` and a person's number, or `x:conversation/ID`"));
    };
    if message.template.is_some() {
        return Err(RenderError::new("#/template", "template_not_supported", "X has no templates: send parts"));
    }
    let url = format!("{}/2/dm_conversations/{path}/messages", channel.base);
    let mut writer = Writer { channel, url, message, cx, out: Rendered::default() };
    if message.parts.is_empty() {
        if !message.native.contains_key("text") && !message.native.contains_key("attachments") {
            return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, or a `native` with its `text`"));
        }
        writer.out.shown.push("[native]".into());
        writer.send(json!({}));
    }
    if message.reply_to.is_some() && !message.parts.is_empty() {
        writer.note(0, "quote", "message", "the API cannot quote");
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

fn path(to: &str) -> Option<String> {
    let id = to.strip_prefix("x:")?;
    let digits = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    match id.split_once('/') {
        None => digits(id).then(|| format!("with/{id}")),
        Some(("conversation", id)) => id.split('-').all(digits).then(|| id.to_owned()),
        Some(_) => None,
    }
}

struct Writer<'w> {
    channel: &'w Channel,
    url: String,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::told(words, markup::Dialect::Plain, "X", index, &mut self.out);
                self.text(index, &plain)
            }
            Part::Image(m) | Part::Sticker(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) => {
                self.file(index, part, &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => {
                self.spoken(index, "location", "the API cannot send places: a link to the map stands in", &words::location(place))
            }
            Part::Contacts(list) => self.spoken(index, "contacts", "X has no contact cards", &words::contacts(&list.contacts)),
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.card(index, card),
            Part::Carousel(carousel) => {
                if carousel.cards.is_empty() {
                    return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
                }
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                    self.text(index, words)?;
                }
                carousel.cards.iter().try_for_each(|card| self.card(index, card))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.spoken(index, "order", words::ORDER, &words::order(order))
            }
            Part::Product(product) => self.spoken(index, "product", "X has no catalogues here", &words::product(product)),
            Part::Notification(push) => {
                self.note(index, "notification", "text", "X shows its own notification of each message");
                let image = push.image.as_ref().map(|image| Media { url: Some(image.clone()), ..Media::default() });
                self.pictured(index, image.as_ref(), &words::notification(push))
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.note(index, "poll", "text", "a message cannot hold a poll");
                self.text(index, &listed::numbered(&words::poll(poll)))
            }
            other => Err(RenderError::unsupported(index, other.kind(), "X")),
        }
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    fn spoken(&mut self, index: usize, from: &str, why: &str, words: &str) -> Result<(), RenderError> {
        self.note(index, from, "text", why);
        self.text(index, words)
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, FACTS.text.max, FACTS.text.unit) {
            self.out.shown.push(piece.to_owned());
            self.send(json!({ "text": piece }));
        }
        Ok(())
    }

    /// Pictures and films out of the gateway are uploaded; everything else goes as its link.
    fn file(&mut self, index: usize, part: &Part<'_>, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let gif = file.mime_type.as_deref() == Some("image/gif");
        let category = match part {
            Part::Image(_) | Part::Sticker(_) if gif => Some(("dm_gif", GIF)),
            Part::Image(_) | Part::Sticker(_) => Some(("dm_image", IMAGE)),
            Part::Video(_) => Some(("dm_video", VIDEO)),
            _ => None,
        };
        let url = file.url.as_deref().filter(|url| words::is_link(url));
        let stored = file.id.as_deref().filter(|id| !id.is_empty());
        if let (Some((category, most)), Some(id)) = (category, stored)
            && file.size.unwrap_or(0) <= most
            && Unit::Chars.count(caption) <= FACTS.text.max
        {
            if matches!(part, Part::Sticker(_)) {
                self.note(index, "sticker", "image", "X has no stickers");
            }
            self.out.shown.push(format!("[{}] {caption}", part.kind()).trim().to_owned());
            self.upload(category, id, file, caption);
            return Ok(());
        }
        let Some(url) = url else {
            let at = format!("#/parts/{index}/media");
            return Err(match (category, stored) {
                (Some(_), Some(_)) => {
                    RenderError::new(format!("{at}/size"), "media_too_large", "a picture has at most 5 MB, a GIF 15, a film 512")
                }
                (None, Some(_)) => {
                    RenderError::new(at, "media_type_invalid", "a message holds a picture or a film; others need a public `url`")
                }
                _ => RenderError::new(at, "media_missing", "a file needs the `id` of an upload or an http(s) `url`"),
            });
        };
        let why = if category.is_some() {
            "only files in the gateway are uploaded: the link stands in"
        } else {
            "a message holds a picture or a film: the link stands in"
        };
        let lines = [caption, file.filename.as_deref().unwrap_or_default(), url];
        self.spoken(index, part.kind(), why, &lines.into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n"))
    }

    fn upload(&mut self, category: &str, id: &str, file: &Media<'_>, caption: &str) {
        let mut content = json!({ "attachments": [{ "media_id": "" }] });
        if !caption.is_empty() {
            content["text"] = caption.into();
        }
        words::merge(&mut content, self.message.native);
        let fields = vec![
            Field::Text { name: "media_category".into(), value: category.into() },
            Field::Media {
                name: "media".into(),
                id: id.to_owned(),
                filename: file.filename.as_deref().unwrap_or("file").to_owned(),
                mime_type: file.mime_type.as_deref().unwrap_or("application/octet-stream").to_owned(),
            },
        ];
        let note = json!({ "url": self.url, "base": self.channel.base, "body": content, "now": self.cx.now.0 });
        let call = Call::multipart(format!("{}/2/media/upload", self.channel.base), fields).then(note.to_string());
        self.out.calls.push(self.channel.authorised(call, self.cx));
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            let at = format!("#/parts/{index}/options");
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        self.note(index, "choices", "text", "the API has no buttons: a numbered list stands in");
        self.pictured(index, asked.media.as_ref(), &listed::numbered(asked))
    }

    /// Words with their picture: one message, whether it is uploaded or a link.
    fn pictured(&mut self, index: usize, media: Option<&Media<'_>>, words: &str) -> Result<(), RenderError> {
        match media {
            Some(media) => self.file(index, &Part::Image(Default::default()), media, words),
            None => self.text(index, words),
        }
    }

    fn card(&mut self, index: usize, card: &Card<'_>) -> Result<(), RenderError> {
        self.note(index, "card", "text", "X has no cards: their words stand in");
        self.pictured(index, card.media.as_ref(), &listed::numbered(&words::card(card)))
    }

    fn send(&mut self, mut content: Value) {
        words::merge(&mut content, self.message.native);
        self.out.calls.push(self.channel.authorised(Call::json(self.url.clone(), &content), self.cx));
    }
}

//! Messages as calls of the RBM API.

use serde_json::{Value, json};

use super::{Channel, Traffic, rich, uuid};
use crate::contract::part::{Card, Carousel, Choices, Format, Location, Notification};
use crate::contract::*;
use crate::kit::address::{id, is_e164};
use crate::kit::markup::{self, Dialect};
use crate::kit::{choices, spoken, text, words};

/// In a carousel.
const CARDS: usize = 10;
const TEXT: usize = 3072;
/// RBM API reference, read 2026-11-20: the whole payload, and how long a message may wait.
const BYTES: usize = 250_000;
const LONGEST_MS: i64 = 15 * 86_400_000;
const SHORTEST_MS: i64 = 10_000;

/// The number of an address.
pub(super) fn number(to: &str) -> Option<String> {
    let number = id(to, "rcs").or_else(|| id(to, "tel"))?;
    is_e164(&number).then(|| number.into_owned())
}

/// The calls that bring a message to a phone.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let number = number(message.to)
        .ok_or_else(|| RenderError::new("#/to", "address_invalid", "expected `rcs:` or `tel:` and a number as +15550100200"))?;
    if message.parts.is_empty() {
        return Err(match message.template {
            Some(_) => RenderError::new("#/template", "template_not_supported", "RCS has no templates; use `parts`"),
            None => RenderError::new("#/parts", "message_empty", "a message needs at least one part"),
        });
    }
    let mut writer = Writer { channel, message, cx, number, out: Rendered::default() };
    words::unquoted(message, "RCS", &mut writer.out);
    message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?;
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    number: String,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::told(words, Dialect::Plain, "RCS", index, &mut self.out);
                self.text(index, &plain, Format::Plain)
            }
            Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) {
                    self.out.note(index, "sticker", "image", "RCS has no stickers");
                }
                let caption = m.caption.as_deref().unwrap_or_default();
                self.file(index, part.kind(), &m.media, caption, &format!("#/parts/{index}/media"))
            }
            Part::Location(place) => self.location(index, place),
            Part::Contacts(list) => {
                self.out.note(index, "contacts", "text", "a contact card must lie at a public address as a file");
                self.text(index, &spoken::contacts(&list.contacts), Format::Plain)
            }
            Part::Choices(asked) => self.choices(index, asked, &format!("#/parts/{index}")),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => self.carousel(index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order), Format::Plain)
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.out.note(index, "product", "text", "RCS has no catalogues");
                self.text(index, &spoken::product(product), Format::Plain)
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.out.note(index, "poll", "choices", "RCS has no polls; each press comes back as a choice");
                self.choices(index, &spoken::poll(poll), &format!("#/parts/{index}"))
            }
            Part::Typing(_) => {
                let id = uuid(&[self.message.id, "event", &index.to_string()]);
                let url = self.channel.url(&self.number, "agentEvents", "eventId", &id);
                self.out.calls.push(self.channel.authorised(Call::json(url, &json!({ "eventType": "IS_TYPING" })), self.cx));
                Ok(())
            }
            other => Err(RenderError::unsupported(index, other.kind(), "RCS")),
        }
    }

    fn text(&mut self, index: usize, words: &str, format: Format) -> Result<(), RenderError> {
        self.with(index, &markup::from_any(words, format, Dialect::Plain), Vec::new())
    }

    /// Words with suggestions under the last of them.
    fn with(&mut self, index: usize, words: &str, mut suggestions: Vec<Value>) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let pieces = text::split(words, TEXT, Unit::Chars);
        let last = pieces.len().saturating_sub(1);
        for (number, piece) in pieces.into_iter().enumerate() {
            let mut content = json!({ "text": piece });
            if number == last && !suggestions.is_empty() {
                content["suggestions"] = std::mem::take(&mut suggestions).into();
            }
            let shown = choices::shown(piece, content["suggestions"].as_array().into_iter().flatten().filter_map(rich::label));
            self.send(index, &shown, content)?;
        }
        Ok(())
    }

    /// A file by its address. It has no words of its own, so they go after it.
    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let Some(url) = spoken::link(media) else {
            return Err(RenderError::new(
                format!("{at}/url"),
                "media_missing",
                "Google fetches files itself; this one needs a public `url`",
            ));
        };
        self.send(index, &format!("[{kind}]"), json!({ "contentInfo": { "fileUrl": url } }))?;
        if caption.trim().is_empty() {
            return Ok(());
        }
        self.out.note(index, "caption", "text", "words beside a file are sent as a message of their own");
        self.text(index, caption, Format::Plain)
    }

    fn location(&mut self, index: usize, place: &Location<'_>) -> Result<(), RenderError> {
        let words = spoken::lines([place.name.as_deref(), place.address.as_deref()]);
        let words = if words.is_empty() { format!("{},{}", place.latitude, place.longitude) } else { words };
        self.with(index, &words, vec![rich::map(place)])
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        let options = format!("{at}/options");
        if asked.options.is_empty() {
            return Err(RenderError::new(options, "option_invalid", "choices need at least one option"));
        }
        rich::check(&asked.options, &options)?;
        if asked.options.len() > rich::MOST {
            self.out.note(index, "choices", "numbered list", "a message has at most 11 suggestions");
            if let Some(media) = &asked.media {
                self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
            }
            return self.text(index, &choices::numbered(asked), Format::Plain);
        }
        let (suggestions, lines) = rich::suggestions(&asked.options, index, &mut self.out);
        let question = spoken::question_on(asked, rich::LABEL);
        let words = spoken::lines(
            [Some(question.as_str())].into_iter().chain(lines.iter().map(|line| Some(line.as_str()))).chain([asked.footer.as_deref()]),
        );
        let Some(media) = &asked.media else { return self.with(index, &words, suggestions) };
        if rich::shows(media) && suggestions.len() <= rich::ON_CARD && Unit::Chars.count(&words) <= rich::DESCRIPTION {
            let shown = choices::shown(&words, suggestions.iter().filter_map(rich::label));
            return self.send(index, &shown, rich::standalone(rich::content(None, &words, Some(media), suggestions)));
        }
        self.out.note(index, "media", "message", "a card has at most 4 suggestions and a picture or a film: the file goes before");
        self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
        self.with(index, &words, suggestions)
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        rich::check(&card.options, &format!("{at}/options"))?;
        if let Some(made) = rich::card(card, index, &mut self.out) {
            return self.send(index, &format!("[card] {}", card.title), rich::standalone(made));
        }
        self.out.note(index, "card", "text", "a card has a title to 200 characters, a text to 2,000, 4 options, and a picture or a film");
        if !card.options.is_empty() {
            return self.choices(index, &spoken::card(card), at);
        }
        if let Some(media) = &card.media {
            self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
        }
        self.text(index, &spoken::card(card).text, Format::Plain)
    }

    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/cards");
        if carousel.cards.is_empty() {
            return Err(RenderError::new(at, "cards_empty", "a carousel needs at least one card"));
        }
        for (number, card) in carousel.cards.iter().enumerate() {
            rich::check(&card.options, &format!("{at}/{number}/options"))?;
        }
        if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
            self.text(index, words, Format::Plain)?;
        }
        let noted = self.out.downgrades.len();
        let made: Option<Vec<Value>> = carousel.cards.iter().map(|card| rich::card(card, index, &mut self.out)).collect();
        if let Some(cards) = made.filter(|cards| cards.len() > 1) {
            if cards.len() > CARDS {
                self.out.note(index, "carousel", "several carousels", "a carousel has at most 10 cards");
            }
            return spoken::rows(&cards, CARDS).try_for_each(|row| {
                let titles: Vec<&str> = row.iter().filter_map(|card| card["title"].as_str()).collect();
                let content = json!({ "richCard": { "carouselCard": { "cardWidth": "MEDIUM", "cardContents": row } } });
                self.send(index, &format!("[cards] {}", titles.join(", ")), content)
            });
        }
        self.out.downgrades.truncate(noted);
        self.out.note(index, "carousel", "messages", "2 or more cards that fit stand side by side");
        carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &format!("{at}/{number}")))
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.out.note(index, "notification", "message", "a phone shows its own notification of each message");
        if let Some(image) = &push.image {
            let media = Media { url: Some(image.clone()), ..Media::default() };
            self.file(index, "image", &media, "", &format!("#/parts/{index}/image"))?;
        }
        self.text(index, &spoken::notification(push), Format::Plain)
    }

    fn send(&mut self, index: usize, shown: &str, content: Value) -> Result<(), RenderError> {
        let mut body = json!({ "contentMessage": content, "messageTrafficType": self.traffic() });
        if let Some(until) = self.message.expires_at {
            let (soonest, latest) = (self.cx.now.plus(SHORTEST_MS), self.cx.now.plus(LONGEST_MS));
            body["expireTime"] = until.clamp(soonest, latest).to_string().into();
        }
        spoken::merge(&mut body, self.message.native);
        if body.to_string().len() > BYTES {
            return Err(RenderError::new(format!("#/parts/{index}"), "message_too_large", "a message has at most 250 KB"));
        }
        let id = uuid(&[self.message.id, &self.out.calls.len().to_string()]);
        let url = self.channel.url(&self.number, "agentMessages", "messageId", &id);
        self.out.calls.push(self.channel.authorised(Call::json(url, &body), self.cx));
        self.out.shown.push(shown.to_owned());
        Ok(())
    }

    fn traffic(&self) -> &'static str {
        let usual = match self.message.category {
            Category::Authentication => Traffic::Authentication,
            Category::Transactional => Traffic::Transaction,
            Category::Service => Traffic::ServiceRequest,
            Category::Marketing => Traffic::Promotion,
        };
        match self.channel.settings.traffic_type.unwrap_or(usual) {
            Traffic::Authentication => "AUTHENTICATION",
            Traffic::Transaction => "TRANSACTION",
            Traffic::Promotion => "PROMOTION",
            Traffic::ServiceRequest => "SERVICEREQUEST",
            Traffic::Acknowledgement => "ACKNOWLEDGEMENT",
        }
    }
}

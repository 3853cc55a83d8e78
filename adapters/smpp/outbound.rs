//! Messages as texts: SMS knows nothing else, so everything is said in words.

use super::{Bound, submit};
use crate::contract::part::{Card, Choices, Notification};
use crate::contract::*;
use crate::kit::markup::{self, Dialect};
use crate::kit::{choices, gsm, spoken, text, words};

/// Phones put together at most 255 parts; longer texts go as several messages well before that.
const LONGEST: usize = super::FACTS.text.max;

/// The calls that bring a message to a message centre.
pub(super) fn render(bound: &Bound, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let to = submit::number(message.to)?;
    let mut writer = Writer { bound, texts: Vec::new(), out: Rendered::default() };
    words::unquoted(message, "an SMS", &mut writer.out);
    match message.template {
        Some(_) if message.parts.is_empty() => {
            return Err(RenderError::new("#/template", "template_not_supported", "an SMS has no templates; use `parts`"));
        }
        _ if message.parts.is_empty() => return Err(RenderError::new("#/parts", "message_empty", "a message needs at least one part")),
        _ => message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?,
    }
    let Writer { texts, mut out, .. } = writer;
    for (index, words) in texts.iter().enumerate() {
        let cut = submit::cut(bound, words);
        out.cost += cut.charged;
        out.calls.extend(submit::calls(bound, message, &to, &cut, index, index + 1 == texts.len())?);
    }
    out.shown = texts;
    out.cost = out.cost.max(1);
    Ok(out)
}

struct Writer<'w> {
    bound: &'w Bound,
    texts: Vec<String>,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::told(words, Dialect::Plain, "an SMS", index, &mut self.out);
                self.text(index, &plain)
            }
            Part::Image(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) | Part::Sticker(m) => {
                self.file(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
            }
            Part::Location(place) => {
                self.out.note(index, "location", "text", "an SMS has no map: a link stands in");
                self.text(index, &spoken::place(place))
            }
            Part::Contacts(contacts) => {
                self.out.note(index, "contacts", "text", "an SMS has no contact cards");
                self.text(index, &spoken::contacts(&contacts.contacts))
            }
            Part::Choices(choices) => self.choices(index, choices, &format!("#/parts/{index}")),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => {
                if carousel.cards.is_empty() {
                    return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
                }
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                    self.text(index, words)?;
                }
                self.out.note(index, "carousel", "messages", "an SMS shows no cards side by side");
                let at = |number: usize| format!("#/parts/{index}/cards/{number}");
                carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &at(number)))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.out.note(index, "product", "text", "an SMS shows no products");
                self.text(index, &spoken::product(product))
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.out.note(index, "poll", "choices", "an SMS has no polls");
                self.choices(index, &spoken::poll(poll), &format!("#/parts/{index}"))
            }
            Part::Notification(push) => self.notification(index, push),
            other => Err(RenderError::unsupported(index, other.kind(), "SMPP")),
        }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        let at = || format!("#/parts/{index}/text");
        if words.trim().is_empty() {
            return Err(RenderError::new(at(), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, LONGEST, Unit::Utf16) {
            let smart = if self.bound.settings.smart_encoding { gsm::smart(piece) } else { piece.into() };
            if smart != piece {
                self.out.note(index, "text", "look-alikes", "quotes and dashes were replaced so that the SMS needs fewer parts");
            }
            let piece = smart;
            let parts = submit::cut(self.bound, &piece).charged;
            if let Some(max) = self.bound.settings.max_parts.filter(|max| parts > *max) {
                return Err(RenderError::new(at(), "text_too_long", format!("the text takes {parts} SMS parts; `max_parts` allows {max}")));
            }
            self.texts.push(piece.into_owned());
        }
        Ok(())
    }

    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let Some(link) = spoken::link(media) else {
            return Err(RenderError::new(format!("{at}/url"), "media_missing", "an SMS carries no files; a link needs a public `url`"));
        };
        self.out.note(index, kind, "text", "an SMS carries no files: a link stands in");
        self.text(index, &spoken::linked(caption, media, link))
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        if asked.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(format!("{at}/options"), "title_empty", "an option needs words"));
        }
        self.out.note(index, "choices", "text", "an SMS has no buttons: the options are numbered");
        let words = choices::numbered(asked);
        match &asked.media {
            Some(media) => self.file(index, spoken::looks(media), media, &words, &format!("{at}/media")),
            None => self.text(index, &words),
        }
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if !card.options.is_empty() {
            return self.choices(index, &spoken::card(card), at);
        }
        let words = spoken::card(card).text;
        self.out.note(index, "card", "text", "an SMS shows no cards");
        match &card.media {
            Some(media) => self.file(index, spoken::looks(media), media, &words, &format!("{at}/media")),
            None => self.text(index, &words),
        }
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.out.note(index, "notification", "text", "a message shows its own notification");
        let words = spoken::notification(push);
        self.text(index, &spoken::lines([Some(&*words), push.image.as_deref()]))
    }
}

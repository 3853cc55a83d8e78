//! Messages as calls of the REST API.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Channel, cards};
use crate::contract::part::{Card, Carousel, Choices, Format, Notification};
use crate::contract::*;
use crate::kit::address::unescape;
use crate::kit::markup::{self, Dialect};
use crate::kit::{crypto, spoken, text, words};

const TEXT: usize = 4096;
/// The whole message: developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages, read 2026-11-20.
const BYTES: usize = 32_000;

/// The calls that bring a message to Google Chat.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let wrong = || RenderError::new("#/to", "address_invalid", "expected `gchat:spaces/SPACE` or `gchat:users/USER`");
    let place = message.to.strip_prefix("gchat:").ok_or_else(wrong)?;
    let good = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b));
    if !place.split_once('/').is_some_and(|(kind, id)| matches!(kind, "spaces" | "users") && good(id)) {
        return Err(wrong());
    }
    let thread = message.thread.map(|thread| unescape(thread).into_owned());
    // What is answered stands in a thread that bears the beginning of its own name.
    let answered = message.reply_to.and_then(|id| id.strip_prefix(place)?.strip_prefix("/messages/")?.split('.').next());
    let thread = thread.or_else(|| answered.map(str::to_owned)).filter(|thread| good(thread));
    if message.parts.is_empty() {
        return Err(match message.template {
            Some(_) => RenderError::new("#/template", "template_not_supported", "Google Chat has no templates; use `parts`"),
            None => RenderError::new("#/parts", "message_empty", "a message needs at least one part"),
        });
    }
    let mut writer = Writer { channel, message, cx, place, thread, out: Rendered::default() };
    message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?;
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    place: &'w str,
    thread: Option<String>,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => self.text(index, &words.text, words.format),
            Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) {
                    self.out.note(index, "sticker", "image", "Google Chat has no stickers");
                }
                self.file(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
            }
            Part::Location(place) => {
                self.out.note(index, "location", "text", "Google Chat has no places: a link to the map stands in");
                self.text(index, &spoken::place(place), Format::Plain)
            }
            Part::Contacts(list) => {
                self.out.note(index, "contacts", "text", "Google Chat has no contact cards");
                self.text(index, &spoken::contacts(&list.contacts), Format::Plain)
            }
            Part::Choices(choices) => self.choices(index, choices, &format!("#/parts/{index}")),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => self.carousel(index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order), Format::Plain)
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.out.note(index, "product", "text", "Google Chat has no catalogues");
                self.text(index, &spoken::product(product), Format::Plain)
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.out.note(index, "poll", "choices", "Google Chat has no polls; each press comes back as a choice");
                self.choices(index, &spoken::poll(poll), &format!("#/parts/{index}"))
            }
            other => Err(RenderError::unsupported(index, other.kind(), "Google Chat")),
        }
    }

    fn text(&mut self, index: usize, words: &str, format: Format) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let marked = markup::from_any(words, format, Dialect::Stars);
        for piece in text::split(&marked, TEXT, Unit::Chars) {
            self.out.shown.push(piece.to_owned());
            self.send(index, json!({ "text": piece }))?;
        }
        Ok(())
    }

    /// Words too long to stand beside a card go before it.
    fn before(&mut self, index: usize, words: &str) -> Result<Option<String>, RenderError> {
        let pieces = text::split(words.trim(), TEXT, Unit::Chars);
        let (last, before) = pieces.split_last().expect("split never answers nothing");
        before.iter().try_for_each(|piece| self.text(index, piece, Format::Plain))?;
        Ok(Some((*last).to_owned()).filter(|last| !last.is_empty()))
    }

    /// A picture by its address stands in a card; an app may not upload, so the rest is a link.
    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let Some(link) = spoken::link(media) else {
            return Err(RenderError::new(
                format!("{at}/url"),
                "media_missing",
                "an app may not upload to Google Chat; a file needs a public `url`",
            ));
        };
        let picture = cards::picture(media).filter(|_| matches!(kind, "image" | "sticker"));
        let Some(url) = picture else {
            self.out.note(index, kind, "text", "Google Chat shows only pictures from an https address; a link stands in");
            return self.text(index, &spoken::linked(caption, media, link), Format::Plain);
        };
        let label = if caption.is_empty() { media.filename.as_deref().unwrap_or_default() } else { caption };
        let mut body = json!({ "cardsV2": cards::card(None, vec![cards::image(url, label)]) });
        if let Some(words) = self.before(index, caption)? {
            body["text"] = words.into();
        }
        self.out.shown.push(format!("[image] {label}").trim().to_owned());
        self.send(index, body)
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        let options = cards::options(self.channel, asked, index, &format!("{at}/options"), &mut self.out)?;
        let listed = options.first().is_some_and(|widget| !widget["selectionInput"].is_null());
        let mut widgets = Vec::new();
        if let Some(media) = &asked.media {
            match cards::picture(media) {
                Some(url) => widgets.push(cards::image(url, &asked.text)),
                None => {
                    self.out.note(
                        index,
                        "media",
                        "message",
                        "only a picture from an https address stands beside buttons: the file goes before",
                    );
                    self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
                }
            }
        }
        let question = spoken::question(&Choices { header: None, ..asked.clone() }, !listed);
        if let Some(words) = self.before(index, &question)? {
            widgets.push(cards::words(&words));
        }
        widgets.extend(options);
        if let Some(footer) = asked.footer.as_deref().filter(|f| !f.is_empty()) {
            widgets.push(cards::words(footer));
        }
        self.out.shown.push(spoken::shown(asked, |o| o.kind != part::OptionKind::Copy));
        self.send(index, json!({ "cardsV2": cards::card(asked.header.as_deref(), widgets) }))
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if !card.options.is_empty() {
            return self.choices(index, &spoken::headed(card), at);
        }
        if card.media.as_ref().is_some_and(|media| cards::picture(media).is_none()) {
            let media = card.media.as_ref().expect("asked above");
            return self.file(index, spoken::looks(media), media, &spoken::card(card).text, &format!("{at}/media"));
        }
        let mut widgets: Vec<Value> =
            card.media.as_ref().and_then(cards::picture).map(|url| cards::image(url, &card.title)).into_iter().collect();
        widgets.push(cards::words(card.text.as_deref().filter(|t| !t.is_empty()).unwrap_or(&card.title)));
        self.out.shown.push(format!("[card] {}", card.title));
        self.send(index, json!({ "cardsV2": cards::card(Some(&card.title), widgets) }))
    }

    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/cards");
        if carousel.cards.is_empty() {
            return Err(RenderError::new(at, "cards_empty", "a carousel needs at least one card"));
        }
        let words = carousel.text.as_deref().unwrap_or_default();
        if let Some(widget) = cards::carousel(self.channel, &carousel.cards, index, &at, &mut self.out)? {
            let titles: Vec<&str> = carousel.cards.iter().map(|card| &*card.title).collect();
            let mut body = json!({ "cardsV2": cards::card(None, vec![widget]) });
            if let Some(words) = self.before(index, words)? {
                body["text"] = words.into();
            }
            self.out.shown.push(format!("[cards] {}", titles.join(", ")));
            return self.send(index, body);
        }
        self.out.note(index, "carousel", "messages", "2 to 10 cards with pictures from https addresses stand side by side");
        if !words.trim().is_empty() {
            self.text(index, words, Format::Plain)?;
        }
        carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &format!("{at}/{number}")))
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.out.note(index, "notification", "message", "Google Chat shows its own notification of each message");
        let words = spoken::notification(push);
        match &push.image {
            Some(image) => {
                let media = Media { url: Some(image.clone()), ..Media::default() };
                self.file(index, "image", &media, &words, &format!("#/parts/{index}/image"))
            }
            None => self.text(index, &words, Format::Plain),
        }
    }

    fn send(&mut self, index: usize, mut body: Value) -> Result<(), RenderError> {
        if let Some(thread) = self.thread.as_deref().filter(|_| self.place.starts_with("spaces/")) {
            body["thread"] = json!({ "name": format!("{}/threads/{thread}", self.place) });
        }
        spoken::merge(&mut body, self.message.native);
        if body.to_string().len() > BYTES {
            return Err(RenderError::new(
                format!("#/parts/{index}"),
                "message_too_large",
                "a message has at most 32,000 bytes with its cards",
            ));
        }
        let number = self.out.calls.len();
        let query = query(self.message.id, number, body["thread"].is_object());
        let call = match self.place.strip_prefix("users/") {
            // A person's direct messages are a space that must be found first.
            Some(user) => {
                let name = utf8_percent_encode(user, NON_ALPHANUMERIC);
                let url = format!("{}/v1/spaces:findDirectMessage?name=users/{name}", self.channel.base());
                Call::get(url).then(json!({ "then": "post", "base": self.channel.base(), "query": query, "body": body }).to_string())
            }
            None => Call::json(format!("{}/v1/{}/messages?{query}", self.channel.base(), self.place), &body),
        };
        self.out.calls.push(self.channel.authorised(call, self.cx));
        Ok(())
    }
}

/// The names under which a message is posted once, however often it is asked for.
fn query(id: &str, number: usize, threaded: bool) -> String {
    let request = crypto::fingerprint(&[id, &number.to_string()]);
    let client: String = id.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    let option = if threaded { "messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD&" } else { "" };
    format!("{option}requestId={request}&messageId=client-{client}-{number}")
}

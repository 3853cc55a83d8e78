//! Messages as requests of either product.

use serde_json::{Map, Value, json};

use super::identity::{self, Identity};
use super::{Channel, rich};
use crate::contract::part::{Card, Choices, Contacts, Notification};
use crate::contract::*;
use crate::kit::markup::{self, Dialect};
use crate::kit::{choices, gsm, spoken, text, words};

/// An SMS plan keeps a message for at most three days.
const VALIDITY_MS: i64 = 3 * 86_400_000;

/// The calls that bring a message to Sinch.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let Some(person) = identity::parse(message.to) else {
        return Err(RenderError::new(
            "#/to",
            "address_invalid",
            "expected an address such as `tel:+14155550123` or `whatsapp:+14155550123`",
        ));
    };
    if person.channel == "SMS" && !message.to.starts_with("tel:+") {
        return Err(RenderError::new("#/to", "address_invalid", "expected `tel:` and a number in E.164: +14155550123"));
    }
    if channel.is_sms() && person.channel != "SMS" {
        return Err(RenderError::new("#/to", "sender_does_not_reach", "an SMS plan reaches phones by SMS and MMS alone"));
    }
    if let Some(name) = ["to", "recipient"].into_iter().find(|name| message.native.contains_key(*name)) {
        return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
    }
    let mut writer = Writer { channel, message, cx, person, out: Rendered::default() };
    words::unquoted(message, "Sinch", &mut writer.out);
    match message.template {
        Some(template) if message.parts.is_empty() => writer.template(template)?,
        _ if message.parts.is_empty() => return Err(RenderError::new("#/parts", "message_empty", "a message needs at least one part")),
        _ => message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?,
    }
    writer.out.cost = writer.out.cost.max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    person: Identity,
    out: Rendered,
}

/// The longest text of a channel; the channels' own documentation, read 2026-11-20.
fn most(channel: &str) -> usize {
    match channel {
        "SMS" | "MMS" | "MESSENGER" => 2000,
        "WHATSAPP" | "TELEGRAM" => 4096,
        "RCS" => 3072,
        "LINE" => 5000,
        _ => 1000,
    }
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let marked = markup::told(words, self.dialect(), "this channel", index, &mut self.out);
                self.text(index, &marked)
            }
            Part::Image(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) && self.person.channel != "WHATSAPP" {
                    self.out.note(index, "sticker", "image", "only WhatsApp has stickers here");
                }
                self.file(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
            }
            Part::Location(place) if !self.is_sms() => {
                let title = place.name.as_deref().or(place.address.as_deref()).unwrap_or("…");
                let label = place.address.as_deref().unwrap_or(title);
                self.out.shown.push(format!("[location] {title}"));
                self.send(
                    json!({ "location_message": { "title": title, "label": label,
                    "coordinates": { "latitude": place.latitude, "longitude": place.longitude } } }),
                    1,
                )
            }
            Part::Location(place) => {
                self.out.note(index, "location", "text", "an SMS has no map: a link stands in");
                self.text(index, &spoken::place(place))
            }
            Part::Contacts(contacts) => self.contacts(index, contacts),
            Part::Choices(choices) => self.choices(index, choices, &format!("#/parts/{index}")),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => {
                if carousel.cards.is_empty() {
                    return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
                }
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                    self.text(index, words)?;
                }
                if let Some(rows) = rich::carousels(&carousel.cards, self.person.channel) {
                    if rows.len() > 1 {
                        self.out.note(index, "carousel", "several carousels", "a carousel has at most 10 cards");
                    }
                    return rows.into_iter().try_for_each(|(titles, content)| {
                        self.out.shown.push(format!("[cards] {titles}"));
                        self.send(content, 1)
                    });
                }
                self.out.note(index, "carousel", "messages", "this channel shows no such cards side by side");
                let at = |number: usize| format!("#/parts/{index}/cards/{number}");
                carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &at(number)))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                match rich::products(product, self.person.channel) {
                    Some(content) => {
                        self.out.shown.push(format!("[products] {}", product.text.as_deref().unwrap_or_default()));
                        self.send(content, 1)
                    }
                    None => {
                        self.out.note(index, "product", "text", "only WhatsApp shows products, of a named catalogue");
                        self.text(index, &spoken::product(product))
                    }
                }
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.out.note(index, "poll", "choices", "Sinch has no polls");
                self.choices(index, &spoken::poll(poll), &format!("#/parts/{index}"))
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Typing(_) if !self.is_sms() => {
                self.out.calls.push(self.channel.event(&json!({ "composing_event": {} }), &self.person, self.cx));
                Ok(())
            }
            other => Err(RenderError::unsupported(index, other.kind(), "Sinch")),
        }
    }

    /// Whether it is words and files alone: phones without more.
    fn is_sms(&self) -> bool {
        matches!(self.person.channel, "SMS" | "MMS")
    }

    /// The markup of the medium.
    fn dialect(&self) -> Dialect {
        if self.person.channel == "WHATSAPP" { Dialect::Stars } else { Dialect::Plain }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        let at = || format!("#/parts/{index}/text");
        if words.trim().is_empty() {
            return Err(RenderError::new(at(), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, most(self.person.channel), Unit::Chars) {
            let piece = self.encoded(index, piece);
            let segments = if self.is_sms() { gsm::parts(&piece).count() } else { 1 };
            if let Some(max) = self.channel.settings.max_parts.filter(|max| segments > *max) {
                return Err(RenderError::new(
                    at(),
                    "text_too_long",
                    format!("the text takes {segments} SMS segments; `max_parts` allows {max}"),
                ));
            }
            self.out.shown.push(piece.clone());
            if self.channel.is_sms() {
                self.batch(json!({ "type": "mt_text", "body": literal(&piece) }), segments);
            } else {
                self.send(json!({ "text_message": { "text": piece } }), segments)?;
            }
        }
        Ok(())
    }

    fn encoded(&mut self, index: usize, words: &str) -> String {
        if !self.channel.settings.smart_encoding || !self.is_sms() {
            return words.to_owned();
        }
        let smart = gsm::smart(words);
        if smart != words {
            self.out.note(index, "text", "look-alikes", "quotes and dashes were replaced so that the SMS needs fewer segments");
        }
        smart.into_owned()
    }

    /// A file by its address. Sinch has no captions; an MMS has one.
    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let Some(link) = spoken::link(media) else {
            return Err(RenderError::new(format!("{at}/url"), "media_missing", "Sinch takes no uploads; a file needs a public `url`"));
        };
        let size = media.size.unwrap_or_default();
        let most = match (self.person.channel, spoken::looks(media)) {
            ("SMS" | "MMS", _) => 1 << 20,
            ("WHATSAPP", "image") => 5 << 20,
            ("WHATSAPP", "audio" | "video") => 16 << 20,
            _ => 100 << 20,
        };
        let reached = !self.is_sms() || self.person.id.starts_with('1');
        if !reached || size > most {
            let why = if reached { "the file is larger than the channel takes" } else { "MMS reaches the United States and Canada" };
            self.out.note(index, kind, "text", why);
            return self.text(index, &spoken::linked(caption, media, link));
        }
        let beside = if self.channel.is_sms() { caption } else { media.filename.as_deref().unwrap_or_default() };
        self.out.shown.push(format!("[{kind}] {beside}").trim().to_owned());
        if self.channel.is_sms() {
            let mut body = json!({ "url": link });
            if !caption.is_empty() {
                body["message"] = text::shorten(caption, 5000, Unit::Chars).into();
            }
            self.batch(json!({ "type": "mt_media", "body": body }), 1);
            return Ok(());
        }
        let mut file = json!({ "url": link });
        if let Some(name) = media.filename.as_deref().filter(|name| !name.is_empty()) {
            file["filename_override"] = name.into();
        }
        // The same person by the phone's other channel.
        let usual = self.person.channel;
        if usual == "SMS" {
            self.person.channel = "MMS";
        }
        let sent = self.send(json!({ "media_message": file }), 1);
        self.person.channel = usual;
        sent?;
        if caption.is_empty() {
            return Ok(());
        }
        self.out.note(index, "caption", "text", "files have no captions here: the words follow");
        self.text(index, caption)
    }

    fn contacts(&mut self, index: usize, contacts: &Contacts<'_>) -> Result<(), RenderError> {
        let cards: Option<Vec<Value>> = contacts.contacts.iter().map(rich::contact).collect();
        match cards.filter(|cards| !self.is_sms() && !cards.is_empty()) {
            Some(cards) => cards.into_iter().try_for_each(|card| {
                self.out
                    .shown
                    .push(format!("[contact] {}", card["contact_info_message"]["name"]["full_name"].as_str().unwrap_or_default()));
                self.send(card, 1)
            }),
            None => {
                self.out.note(index, "contacts", "text", "a contact card needs a phone number and a channel that shows it");
                self.text(index, &spoken::contacts(&contacts.contacts))
            }
        }
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        rich::check(&asked.options, &format!("{at}/options"))?;
        let once = if self.person.channel == "WHATSAPP" { words::once(&asked.options, &format!("{at}/options")) } else { Ok(()) };
        let mut asked = asked.clone();
        if rich::ability(self.person.channel).is_some()
            && let Some(media) = asked.media.take()
        {
            self.out.note(index, "media", "message", "a question has no picture here: it goes before");
            self.file(index, spoken::looks(&media), &media, "", &format!("{at}/media"))?;
        }
        if let Some(content) = rich::question(&asked, self.person.channel) {
            once?;
            self.out.shown.push(spoken::shown(&asked, |_| true));
            return self.send(content, 1);
        }
        if let Some(able) = rich::ability(self.person.channel) {
            let noted = self.out.downgrades.len();
            let fitted = choices::fitted(&asked, |o| able.shows(o), "this channel", index, &mut self.out);
            if let Some(content) = rich::question(&fitted, self.person.channel).filter(|_| !fitted.options.is_empty()) {
                once?;
                self.out.shown.push(spoken::shown(&fitted, |_| true));
                return self.send(content, 1);
            }
            self.out.downgrades.truncate(noted);
        }
        if let Some(media) = asked.media.take() {
            self.file(index, spoken::looks(&media), &media, "", &format!("{at}/media"))?;
        }
        self.out.note(index, "choices", "text", "these options do not fit the channel's buttons; they are numbered");
        self.text(index, &choices::numbered(&asked))
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        rich::check(&card.options, &format!("{at}/options")).or_else(|error| if card.options.is_empty() { Ok(()) } else { Err(error) })?;
        if let Some(content) = rich::card(card, self.person.channel) {
            self.out.shown.push(format!("[card] {}", card.title));
            return self.send(json!({ "card_message": content }), 1);
        }
        if !card.options.is_empty() {
            return self.choices(index, &spoken::card(card), at);
        }
        let words = spoken::card(card).text;
        match &card.media {
            Some(media) => self.file(index, spoken::looks(media), media, &words, &format!("{at}/media")),
            None => self.text(index, &words),
        }
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.out.note(index, "notification", "message", "a message shows its own notification");
        let words = spoken::notification(push);
        match &push.image {
            Some(image) => {
                let media = Media { url: Some(image.clone()), ..Media::default() };
                self.file(index, "image", &media, &words, &format!("#/parts/{index}/image"))
            }
            None => self.text(index, &words),
        }
    }

    fn template(&mut self, template: &Template) -> Result<(), RenderError> {
        if self.is_sms() {
            return Err(RenderError::new("#/template", "template_not_supported", "an SMS has no templates; use `parts`"));
        }
        self.out.shown.push(format!("[template] {}", template.name));
        self.send(rich::template(template, self.person.channel), 1)
    }

    fn send(&mut self, content: Value, cost: u32) -> Result<(), RenderError> {
        self.out.cost += cost;
        let settings = &self.channel.settings;
        let mut body = json!({ "app_id": settings.app_id, "recipient": self.person.recipient(), "message": content,
            "channel_priority_order": [self.person.channel], "message_metadata": self.message.id });
        if let Some(sender) = settings.sender.as_deref().filter(|s| self.is_sms() && !s.is_empty()) {
            body["channel_properties"] = json!({ format!("{}_SENDER", self.person.channel): sender });
        }
        if let Some(until) = self.message.expires_at {
            body["ttl"] = format!("{}s", (until.since(self.cx.now) / 1000).max(1)).into();
        }
        if self.message.category == Category::Authentication {
            body["queue"] = "HIGH_PRIORITY".into();
        }
        body["message_content_type"] = match self.message.category {
            Category::Marketing => "CONTENT_MARKETING",
            _ => "CONTENT_NOTIFICATION",
        }
        .into();
        spoken::merge(&mut body, self.message.native);
        let call = Call::json(format!("{}/messages:send", self.channel.project()), &body);
        self.out.calls.push(self.channel.authorised(call, self.cx));
        Ok(())
    }

    /// A message of the SMS API: a batch of one.
    fn batch(&mut self, content: Value, cost: u32) {
        self.out.cost += cost;
        let mut body = json!({ "from": self.channel.settings.sender, "to": [self.person.id], "delivery_report": "per_recipient",
            "client_reference": self.message.id });
        spoken::merge(&mut body, content.as_object().unwrap_or(&Map::new()));
        if let Some(until) = self.message.expires_at {
            let until = Time(until.0.min(self.cx.now.0 + VALIDITY_MS));
            body["expire_at"] = until.to_string().into();
        }
        spoken::merge(&mut body, self.message.native);
        let call = Call::json(format!("{}/batches", self.channel.plan()), &body);
        self.out.calls.push(self.channel.authorised(call, self.cx));
    }
}

/// A body in which nothing is taken for a parameter: `${name}` would be.
fn literal(words: &str) -> String {
    words.replace("${", "$ {")
}

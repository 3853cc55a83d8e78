//! Messages as requests of either product.

use serde_json::{Map, Value, json};

use super::{Channel, Product, rich};
use crate::contract::part::{Card, ChoiceOption, Choices, Contacts, Location, Notification, OptionKind, ReactionPart};
use crate::contract::*;
use crate::kit::address::{is_e164, unescape};
use crate::kit::markup::{self, Dialect};
use crate::kit::{choices, gsm, spoken, text, words};

/// developer.vonage.com/en/api/messages, read 2026-11-20. Bytes.
const MMS: u64 = 600_000;
const WHATSAPP_IMAGE: u64 = 5 << 20;
const WHATSAPP_CLIP: u64 = 16 << 20;
const LARGE: u64 = 100 << 20;

/// What carries the message, by the recipient's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Sms,
    Whatsapp,
    Rcs,
    Messenger,
    Viber,
}

impl Medium {
    fn word(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Rcs => "rcs",
            Self::Messenger => "messenger",
            Self::Viber => "viber_service",
        }
    }

    /// The longest text.
    fn most(self, product: Product) -> usize {
        match (self, product) {
            (Self::Sms, Product::Sms) => 3200,
            (Self::Sms | Self::Viber, _) => 1000,
            (Self::Whatsapp, _) => 4096,
            (Self::Rcs, _) => 3072,
            (Self::Messenger, _) => 640,
        }
    }

    /// The validity it takes, in seconds; Messenger takes none.
    fn ttl(self) -> Option<(i64, i64)> {
        match self {
            Self::Rcs => Some((300, 259_200)),
            Self::Viber => Some((30, 259_200)),
            Self::Sms | Self::Whatsapp => Some((20, 604_800)),
            Self::Messenger => None,
        }
    }
}

/// The calls that bring a message to Vonage.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let (medium, to) = recipient(message.to)?;
    if channel.settings.product == Product::Sms && medium != Medium::Sms {
        return Err(RenderError::new(
            "#/to",
            "sender_does_not_reach",
            "the SMS API reaches phones by SMS alone; set `product = \"messages\"`",
        ));
    }
    if let Some(name) = ["to", "channel"].into_iter().find(|name| message.native.contains_key(*name)) {
        return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
    }
    let mut writer = Writer { channel, message, cx, medium, to, quoted: false, out: Rendered::default() };
    if medium != Medium::Whatsapp {
        words::unquoted(message, "this channel", &mut writer.out);
    }
    match message.template {
        Some(template) if message.parts.is_empty() => writer.template(template)?,
        _ if message.parts.is_empty() => return Err(RenderError::new("#/parts", "message_empty", "a message needs at least one part")),
        _ => message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?,
    }
    writer.out.cost = writer.out.cost.max(1);
    Ok(writer.out)
}

/// Vonage's form of a person's address: numbers without plus.
fn recipient(address: &str) -> Result<(Medium, String), RenderError> {
    let wrong = |expected: &str| Err(RenderError::new("#/to", "address_invalid", format!("expected {expected}")));
    let Some((scheme, id)) = address.split_once(':') else { return wrong("an address such as `tel:+14155550123`") };
    let id = unescape(id);
    let number = || is_e164(&format!("+{}", id.trim_start_matches('+'))).then(|| id.trim_start_matches('+').to_owned());
    let medium = match scheme {
        "tel" => Medium::Sms,
        "whatsapp" => Medium::Whatsapp,
        "rcs" => Medium::Rcs,
        "messenger" => Medium::Messenger,
        "viber" => Medium::Viber,
        _ => return wrong("`tel:`, `whatsapp:`, `rcs:`, `messenger:` or `viber:`"),
    };
    let scoped = |id: &str| id.split_once('.').is_some_and(|(country, rest)| country.len() == 2 && !rest.is_empty());
    match medium {
        Medium::Messenger if (1..=50).contains(&id.len()) => Ok((medium, id.into_owned())),
        Medium::Whatsapp if scoped(&id) => Ok((medium, id.into_owned())),
        Medium::Messenger => wrong("`messenger:` and an id of at most 50 characters"),
        Medium::Sms if !id.starts_with('+') => wrong("`tel:` and a number in E.164: +14155550123"),
        _ => number().map_or_else(|| wrong("a number in E.164: +14155550123"), |number| Ok((medium, number))),
    }
}

pub(super) struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    pub medium: Medium,
    to: String,
    /// Whether a call already quotes the message answered.
    quoted: bool,
    pub out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let marked = markup::told(words, self.dialect(), "this channel", index, &mut self.out);
                self.text(index, &marked)
            }
            Part::Image(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) | Part::Sticker(m) => {
                self.file(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
            }
            Part::Location(place) => self.location(index, place),
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
                if let Some(rows) = rich::carousels(&carousel.cards).filter(|_| self.medium == Medium::Rcs) {
                    if rows.len() > 1 {
                        self.out.note(index, "carousel", "several carousels", "a carousel has at most 10 cards");
                    }
                    for (titles, content) in rows {
                        self.out.shown.push(format!("[cards] {titles}"));
                        self.send("carousel", content, 1);
                    }
                    return Ok(());
                }
                self.out.note(index, "carousel", "messages", "cards that fit stand side by side on RCS alone, 2 or more");
                let at = |number: usize| format!("#/parts/{index}/cards/{number}");
                carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &at(number)))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                match rich::product(product).filter(|_| self.medium == Medium::Whatsapp) {
                    Some(content) => {
                        self.out.shown.push(format!("[products] {}", product.text.as_deref().unwrap_or_default()));
                        self.custom(content);
                        Ok(())
                    }
                    None => {
                        self.out.note(index, "product", "text", "only one product of a named catalogue can be shown, on WhatsApp");
                        self.text(index, &spoken::product(product))
                    }
                }
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.out.note(index, "poll", "choices", "Vonage has no polls");
                self.choices(index, &spoken::poll(poll), &format!("#/parts/{index}"))
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Reaction(reaction) => self.reaction(index, reaction),
            Part::Typing(_) => {
                let last = self.message.reply_to.filter(|_| self.medium == Medium::Whatsapp);
                let call = last.and_then(|id| self.channel.seen(id, true, self.cx.now));
                let problem = "Vonage shows typing on WhatsApp alone, in answer to a message (`reply_to`), for an application";
                self.out.calls.push(call.ok_or_else(|| RenderError::new(format!("#/parts/{index}"), "part_not_supported", problem))?);
                Ok(())
            }
            other => Err(RenderError::unsupported(index, other.kind(), "Vonage")),
        }
    }

    /// The markup of the medium.
    fn dialect(&self) -> Dialect {
        if self.medium == Medium::Whatsapp { Dialect::Stars } else { Dialect::Plain }
    }

    pub fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        self.suggesting(index, words, None)
    }

    /// A text; what belongs under it goes with its last piece.
    fn suggesting(&mut self, index: usize, words: &str, under: Option<Value>) -> Result<(), RenderError> {
        let at = || format!("#/parts/{index}/text");
        if words.trim().is_empty() {
            return Err(RenderError::new(at(), "text_empty", "a text needs at least one character"));
        }
        let pieces = text::split(words, self.medium.most(self.channel.settings.product), Unit::Chars);
        let last = pieces.len() - 1;
        for (number, piece) in pieces.into_iter().enumerate() {
            let piece = self.encoded(index, piece);
            let segments = if self.medium == Medium::Sms { gsm::parts(&piece).count() } else { 1 };
            if let Some(max) = self.channel.settings.max_parts.filter(|max| segments > *max) {
                return Err(RenderError::new(
                    at(),
                    "text_too_long",
                    format!("the text takes {segments} SMS segments; `max_parts` allows {max}"),
                ));
            }
            self.out.shown.push(piece.clone());
            let mut content = json!({ "text": piece });
            if let Some(Value::Object(under)) = under.as_ref().filter(|_| number == last) {
                spoken::merge(&mut content, under);
            }
            self.send("text", content, segments);
        }
        Ok(())
    }

    fn encoded(&mut self, index: usize, words: &str) -> String {
        if !self.channel.settings.smart_encoding || self.medium != Medium::Sms {
            return words.to_owned();
        }
        let smart = gsm::smart(words);
        if smart != words {
            self.out.note(index, "text", "look-alikes", "quotes and dashes were replaced so that the SMS needs fewer segments");
        }
        smart.into_owned()
    }

    /// A file by its address, with words where the medium shows them.
    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let Some(link) = spoken::link(media) else {
            return Err(RenderError::new(format!("{at}/url"), "media_missing", "Vonage takes no uploads; a file needs a public `url`"));
        };
        let Some((word, captions)) = self.carries(kind, media) else {
            let why = match self.medium {
                Medium::Sms => "MMS reaches the United States and Canada, with files below 600 KB",
                _ => "this channel cannot carry such a file; a link stands in",
            };
            self.out.note(index, kind, "text", why);
            return self.text(index, &spoken::linked(caption, media, link));
        };
        if kind == "sticker" && word != "sticker" {
            self.out.note(index, kind, "image", "only WhatsApp has stickers");
        }
        let under = captions && !caption.is_empty() && Unit::Chars.count(caption) <= 1000;
        let beside = if under { caption } else { media.filename.as_deref().unwrap_or_default() };
        let mut file = json!({ "url": link });
        if under {
            file["caption"] = caption.into();
        }
        if let Some(name) = media.filename.as_deref().filter(|name| word == "file" && !name.is_empty()) {
            file["name"] = name.into();
        }
        self.out.shown.push(format!("[{word}] {beside}").trim().to_owned());
        self.send(word, json!({ word: file }), 1);
        if caption.is_empty() || under {
            return Ok(());
        }
        self.out.note(index, "caption", "text", "the channel does not show these words with the file");
        self.text(index, caption)
    }

    /// The word for such a file on this medium and whether it has a caption; `None` when it cannot go.
    fn carries(&self, kind: &str, media: &Media<'_>) -> Option<(&'static str, bool)> {
        let size = media.size.unwrap_or_default();
        let word = match kind {
            "image" => "image",
            "video" => "video",
            "audio" | "voice" => "audio",
            "sticker" if self.medium == Medium::Whatsapp => "sticker",
            "sticker" => "image",
            _ => "file",
        };
        match (self.medium, word) {
            (Medium::Sms, _) if self.channel.settings.product == Product::Sms => None,
            (Medium::Sms, word) => (self.to.starts_with('1') && size <= MMS).then_some((word, true)),
            (Medium::Whatsapp, "image" | "sticker") if size > WHATSAPP_IMAGE => None,
            (Medium::Whatsapp, "audio" | "video") if size > WHATSAPP_CLIP => None,
            (Medium::Whatsapp, word) => (size <= LARGE).then_some((word, matches!(word, "image" | "video" | "file"))),
            (Medium::Rcs, word) => (size <= LARGE).then_some((if word == "audio" { "file" } else { word }, false)),
            (Medium::Messenger, word) => (size <= 25 << 20).then_some((word, false)),
            // A film wants a picture of its own besides.
            (Medium::Viber, "image") => Some(("image", false)),
            (Medium::Viber, _) => None,
        }
    }

    fn location(&mut self, index: usize, place: &Location<'_>) -> Result<(), RenderError> {
        if self.medium == Medium::Whatsapp {
            self.out.shown.push(format!("[location] {}", place.name.as_deref().unwrap_or_default()).trim().to_owned());
            self.custom(rich::location(place));
            return Ok(());
        }
        self.out.note(index, "location", "text", "only WhatsApp shows a map");
        self.text(index, &spoken::place(place))
    }

    fn contacts(&mut self, index: usize, contacts: &Contacts<'_>) -> Result<(), RenderError> {
        if self.medium == Medium::Whatsapp && contacts.contacts.iter().any(|card| card.name.is_some() || !card.phones.is_empty()) {
            let names: Vec<&str> = contacts.contacts.iter().filter_map(|card| card.name.as_deref()).collect();
            self.out.shown.push(format!("[contacts] {}", names.join(", ")).trim().to_owned());
            self.custom(rich::contacts(&contacts.contacts));
            return Ok(());
        }
        self.out.note(index, "contacts", "text", "only WhatsApp has contact cards");
        self.text(index, &spoken::contacts(&contacts.contacts))
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        rich::check(&asked.options, &format!("{at}/options"))?;
        match self.medium {
            Medium::Whatsapp => {
                let once = || words::once(&asked.options, &format!("{at}/options"));
                if let Some(content) = rich::interactive(asked) {
                    once()?;
                    return self.asked(index, asked, content);
                }
                // Links, numbers and what cannot be asked stand beside answers as words and as one more answer.
                let noted = self.out.downgrades.len();
                let answers = |o: &ChoiceOption<'_>| matches!(o.kind, OptionKind::Reply | OptionKind::Postback);
                let apart = choices::fitted(&Choices { media: None, ..asked.clone() }, answers, "WhatsApp", index, &mut self.out);
                if !apart.options.is_empty()
                    && let Some(content) = rich::interactive(&apart)
                {
                    once()?;
                    if let Some(media) = &asked.media {
                        self.out.note(index, "media", "message", "these options have no picture beside them: it goes before");
                        self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
                    }
                    return self.asked(index, &apart, content);
                }
                self.out.downgrades.truncate(noted);
            }
            Medium::Rcs => {
                if let Some(media) = &asked.media {
                    self.out.note(index, "media", "message", "a question has no picture here: it goes before");
                    self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
                }
                if let Some((suggestions, lines)) = rich::suggestions(&asked.options, 11, index, &mut self.out) {
                    let words = spoken::question_on(asked, rich::LABEL);
                    let more = lines.iter().map(|line| Some(line.as_str()));
                    let words = spoken::lines([Some(words.as_str())].into_iter().chain(more).chain([asked.footer.as_deref()]));
                    let under = (!suggestions.is_empty()).then(|| json!({ "suggestions": suggestions }));
                    self.suggesting(index, &words, under)?;
                    let buttons: Vec<&str> = suggestions.iter().filter_map(|made| made["text"].as_str()).collect();
                    if let Some(last) = self.out.shown.last_mut() {
                        *last = choices::shown(last, buttons);
                    }
                    return Ok(());
                }
            }
            Medium::Viber => {
                if let Some((words, button)) = rich::viber(asked) {
                    self.suggesting(index, &words, Some(button))?;
                    if let Some(last) = self.out.shown.last_mut() {
                        *last = choices::shown(last, asked.options.iter().map(|o| &*o.title));
                    }
                    return Ok(());
                }
            }
            Medium::Sms | Medium::Messenger => {}
        }
        if let Some(media) = asked.media.as_ref().filter(|_| self.medium != Medium::Rcs) {
            self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
        }
        self.out.note(index, "choices", "text", "these options do not fit the channel's buttons; they are numbered");
        self.text(index, &choices::numbered(&Choices { media: None, ..asked.clone() }))
    }

    /// A question in WhatsApp's own form.
    fn asked(&mut self, index: usize, asked: &Choices<'_>, content: Value) -> Result<(), RenderError> {
        let words = spoken::question(asked, false);
        if content["interactive"]["type"] == "location_request_message" {
            self.out.note(index, "title", "the app's own words", "WhatsApp writes on this button itself, in the person's language");
        }
        let shown = choices::shown(&words, asked.options.iter().map(|o| &*o.title));
        self.out.shown.push(spoken::lines([Some(shown.as_str()), asked.footer.as_deref()]));
        self.custom(content);
        Ok(())
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if self.medium == Medium::Rcs {
            if let Some(content) = rich::card(card) {
                self.out.shown.push(format!("[card] {}", card.title));
                self.send("card", json!({ "card": content }), 1);
                return Ok(());
            }
            self.out.note(
                index,
                "card",
                "text",
                "a card has a title to 200 characters, a text to 2,000, a picture or a film, and 4 options",
            );
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

    fn reaction(&mut self, index: usize, reaction: &ReactionPart<'_>) -> Result<(), RenderError> {
        if self.medium != Medium::Whatsapp {
            return Err(RenderError::new(format!("#/parts/{index}"), "part_not_supported", "Vonage sends reactions on WhatsApp alone"));
        }
        if reaction.message_id.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/message_id"), "message_id_invalid", "expected a message's id"));
        }
        let content = match reaction.emoji.as_deref().filter(|e| !e.is_empty()) {
            Some(emoji) => json!({ "action": "react", "emoji": emoji }),
            None => json!({ "action": "unreact" }),
        };
        self.out.shown.push(format!("[reaction] {}", reaction.emoji.as_deref().unwrap_or_default()).trim().to_owned());
        self.quoted = true;
        self.send("reaction", json!({ "reaction": content, "context": { "message_uuid": reaction.message_id } }), 1);
        Ok(())
    }

    fn template(&mut self, template: &Template) -> Result<(), RenderError> {
        if self.medium != Medium::Whatsapp {
            return Err(RenderError::new("#/template", "template_not_supported", "Vonage sends templates on WhatsApp alone; use `parts`"));
        }
        self.out.shown.push(format!("[template] {}", template.name));
        match rich::template(template) {
            rich::Filled::Plain(content) => self.send("template", content, 1),
            rich::Filled::Custom(content) => self.custom(content),
        }
        Ok(())
    }

    /// WhatsApp's own form of a message.
    fn custom(&mut self, content: Value) {
        self.send("custom", json!({ "custom": content }), 1);
    }

    fn send(&mut self, kind: &str, content: Value, cost: u32) {
        self.out.cost += cost;
        if self.channel.settings.product == Product::Sms {
            let words = content["text"].as_str().unwrap_or_default();
            return self.form(words);
        }
        let mms = self.medium == Medium::Sms && kind != "text";
        let word = if mms { "mms" } else { self.medium.word() };
        let mut body = json!({ "channel": word, "message_type": kind, "to": self.to, "from": self.channel.settings.from });
        spoken::merge(&mut body, content.as_object().unwrap_or(&Map::new()));
        body["client_ref"] = self.message.id.into();
        let validity = if mms { Some((300, 259_200)) } else { self.medium.ttl() };
        if let (Some(until), Some((least, most))) = (self.message.expires_at, validity) {
            let ttl = (until.since(self.cx.now) / 1000).clamp(least, most);
            let place = if self.medium == Medium::Viber { json!({ "viber_service": { "ttl": ttl } }) } else { json!({ "ttl": ttl }) };
            spoken::merge(&mut body, place.as_object().expect("an object"));
        }
        if let Some(id) = self.message.reply_to.filter(|_| self.medium == Medium::Whatsapp && !self.quoted) {
            body["context"] = json!({ "message_uuid": id });
            self.quoted = true;
        }
        if self.medium == Medium::Messenger {
            let answer = self.message.reply_to.is_some() || self.message.category == Category::Service;
            body["messenger"] = json!({ "category": if answer { "response" } else { "update" } });
        }
        if self.medium == Medium::Viber {
            let category = if self.message.category == Category::Marketing { "promotion" } else { "transaction" };
            spoken::merge(&mut body, json!({ "viber_service": { "category": category } }).as_object().expect("an object"));
        }
        spoken::merge(&mut body, self.message.native);
        let call = Call::json(self.channel.messages_url(), &body);
        self.out.calls.push(self.channel.authorised(call, self.cx.now));
    }

    /// A text by the SMS API.
    fn form(&mut self, words: &str) {
        let settings = &self.channel.settings;
        let unicode = gsm::parts(words).alphabet == gsm::Alphabet::Ucs2;
        let mut form: Vec<(String, String)> =
            vec![("from".into(), settings.from.clone()), ("to".into(), self.to.clone()), ("text".into(), words.to_owned())];
        // Vonage does not look: without this, what GSM-7 lacks becomes question marks.
        if unicode {
            form.push(("type".into(), "unicode".into()));
        }
        form.push(("client-ref".into(), self.message.id.into()));
        if let Some(until) = self.message.expires_at {
            form.push(("ttl".into(), until.since(self.cx.now).clamp(20_000, 604_800_000).to_string()));
        }
        for (name, value) in self.message.native {
            form.retain(|(n, _)| n != name);
            form.push((name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
        let call = Call::form(format!("{}/sms/json", self.channel.base("rest.nexmo.com")), &form);
        self.out.calls.push(call.basic(&settings.api_key, settings.api_secret.first()));
    }
}

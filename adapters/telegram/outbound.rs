//! Messages as the Bot API's methods.

use serde_json::{Map, Value, json};

use super::address::{self, Chat};
use super::buttons::{self, Keyboard};
use super::media::{self, Kind, Source, Way};
use super::{Channel, markup};
use crate::contract::part::{Card, Choices, ContactCard, Format, Location, Notification, Poll};
use crate::contract::*;
use crate::kit::{choices as listed, spoken, text, words};

/// core.telegram.org/bots/api, read 2026-11-20: sendMessage, sendPhoto, sendContact, sendPoll, sendMediaGroup.
const TEXT: usize = 4096;
const CAPTION: usize = 1024;
const VCARD_BYTES: usize = 2048;
const POLL_QUESTION: usize = 300;
const POLL_OPTION: usize = 100;
const POLL_OPTIONS: usize = 12;
const ALBUM: usize = 10;

/// The calls that bring a message to Telegram.
pub(super) fn render(bot: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let Some(chat) = Chat::parse(message.to, message.thread) else {
        return Err(RenderError::new("#/to", "address_invalid", "expected `telegram:CHAT_ID` or `telegram:@name`"));
    };
    if message.native.contains_key("chat_id") {
        return Err(RenderError::new("#/native/chat_id", "native_not_allowed", "`to` says who gets the message"));
    }
    if message.parts.is_empty() {
        return Err(match message.template {
            Some(_) => RenderError::new("#/template", "template_not_supported", "Telegram has no templates of its own; use `parts`"),
            None => RenderError::new("#/parts", "message_empty", "a message needs at least one part"),
        });
    }
    let mut writer = Writer { bot, chat, message, now: cx.now, quoted: false, out: Rendered::default() };
    let mut index = 0;
    while index < message.parts.len() {
        index += match writer.album(index)? {
            0 => {
                writer.part(index, &message.parts[index])?;
                1
            }
            taken => taken,
        };
    }
    writer.out.cost = writer.out.cost.max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    bot: &'w Channel,
    chat: Chat,
    message: &'w Outbound<'w>,
    now: Time,
    /// Whether a call already quotes the message answered; only the first does.
    quoted: bool,
    out: Rendered,
}

/// A method's fields in the making.
type Fields = Map<String, Value>;

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        let kind = match part {
            Part::Text(words) => return self.text(index, &words.text, words.format, None),
            Part::Image(_) => Kind::Photo,
            Part::Video(_) => Kind::Video,
            Part::Audio(_) => Kind::Audio,
            Part::Voice(_) => Kind::Voice,
            Part::File(_) => Kind::Document,
            Part::Sticker(_) => Kind::Sticker,
            Part::Location(place) => return self.location(place),
            Part::Contacts(contacts) => return contacts.contacts.iter().try_for_each(|card| self.contact(index, card)),
            Part::Choices(choices) => return self.choices(index, choices),
            Part::Card(card) => return self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => {
                if let Some(words) = &carousel.text {
                    self.text(index, words, Format::Plain, None)?;
                }
                self.note(index, "carousel", "cards", "Telegram has no carousel; the cards stand one below the other");
                let at = |card| format!("#/parts/{index}/cards/{card}");
                return carousel.cards.iter().enumerate().try_for_each(|(i, card)| self.card(index, card, &at(i)));
            }
            Part::Notification(push) => return self.notification(index, push),
            Part::Poll(poll) => return self.poll(index, poll),
            Part::Typing(_) => return self.action("sendChatAction", json!({ "action": "typing" })),
            Part::Reaction(reaction) => {
                let Some((_, number)) = address::message(&reaction.message_id) else {
                    let at = format!("#/parts/{index}/message_id");
                    return Err(RenderError::new(at, "message_id_invalid", "expected the id of a Telegram message, `CHAT:NUMBER`"));
                };
                let emoji = reaction.emoji.as_deref().filter(|e| !e.is_empty());
                self.out.shown.push(emoji.map_or_else(|| "[reaction taken back]".to_owned(), |emoji| format!("[reaction] {emoji}")));
                // Telegram lists its reactions without the mark that makes an emoji of a sign, and compares letter by letter.
                let listed = |emoji: &str| json!({ "type": "emoji", "emoji": emoji.replace('\u{FE0F}', "") });
                let list: Vec<Value> = emoji.map(listed).into_iter().collect();
                return self.action("setMessageReaction", json!({ "message_id": number, "reaction": list }));
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                return self.text(index, &words::order(order), Format::Plain, None);
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.note(index, "product", "text", "Telegram has no catalogues");
                return self.text(index, &spoken::product(product), Format::Plain, None);
            }
            other => return Err(RenderError::unsupported(index, other.kind(), "Telegram")),
        };
        let part = part.media().expect("the kinds above have media");
        self.file(index, kind, &part.media, part.caption.as_deref().unwrap_or_default(), None, &format!("#/parts/{index}/media"))
    }

    fn text(&mut self, index: usize, words: &str, format: Format, mut keyboard: Option<Value>) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let (mut format, mut stripped) = (format, None);
        if format == Format::Html {
            let plain = markup::plain(words, format);
            if Unit::Utf16.count(&plain) > TEXT {
                // Cut HTML would leave tags open.
                self.note(index, "html", "text", "a text longer than one message loses its markup");
                (format, stripped) = (Format::Plain, Some(plain));
            }
        }
        let words = stripped.as_deref().unwrap_or(words);
        let pieces = if format == Format::Html { vec![words] } else { text::split(words, TEXT, Unit::Utf16) };
        let last = pieces.len() - 1;
        for (i, piece) in pieces.into_iter().enumerate() {
            let (text, mode) = markup::marked(piece, format);
            let mut body = fields(json!({ "text": text }));
            if let Some(mode) = mode {
                body.insert("parse_mode".into(), mode.into());
            }
            if let Some(keyboard) = keyboard.take_if(|_| i == last) {
                body.insert("reply_markup".into(), keyboard);
            }
            self.out.shown.push(markup::plain(piece, format));
            self.send("sendMessage", body, 1);
        }
        Ok(())
    }

    /// A file with words under it; words too long for a caption stand in a message of their own.
    fn file(
        &mut self,
        index: usize,
        kind: Kind,
        media: &Media<'_>,
        caption: &str,
        keyboard: Option<Value>,
        at: &str,
    ) -> Result<(), RenderError> {
        let (kind, source, why) = match media::way(kind, media, at)? {
            Way::File(kind, source, why) => (kind, source, why),
            Way::Words(link, why) => {
                self.note(index, self.message.parts[index].kind(), "text", why);
                return self.text(index, &spoken::linked(caption, media, &link), Format::Plain, keyboard);
            }
        };
        if let Some(why) = why {
            self.note(index, self.message.parts[index].kind(), kind.field(), why);
        }
        let apart = !caption.is_empty() && (kind == Kind::Sticker || Unit::Utf16.count(caption) > CAPTION);
        let mut body = Fields::new();
        if !caption.is_empty() && !apart {
            body.insert("caption".into(), caption.into());
        }
        if let Some(keyboard) = keyboard.as_ref().filter(|_| !apart) {
            body.insert("reply_markup".into(), keyboard.clone());
        }
        let named = media.filename.as_deref().unwrap_or_default();
        self.out.shown.push(format!("[{}] {}", kind.field(), if caption.is_empty() || apart { named } else { caption }).trim().to_owned());
        match source {
            Source::Link(link) => {
                body.insert(kind.field().into(), link.into());
                self.send(kind.method(), body, 1);
            }
            Source::Upload(file) => self.upload(kind.method(), body, vec![file], 1),
        }
        if apart {
            let why = if kind == Kind::Sticker { "a sticker has no caption" } else { "a caption is at most 1024 characters" };
            self.note(index, "caption", "text", why);
            return self.text(index, caption, Format::Plain, keyboard);
        }
        Ok(())
    }

    /// Takes two to ten files in a row that may stand in one album; 0 when there are none.
    fn album(&mut self, first: usize) -> Result<usize, RenderError> {
        let mut items: Vec<(Kind, Source, String)> = Vec::new();
        for (index, part) in self.message.parts.iter().enumerate().skip(first).take(ALBUM) {
            let kind = match part {
                Part::Image(_) => Kind::Photo,
                Part::Video(_) => Kind::Video,
                Part::Audio(_) => Kind::Audio,
                Part::File(_) => Kind::Document,
                _ => break,
            };
            let Some(part) = part.media() else { break };
            let caption = part.caption.as_deref().unwrap_or_default();
            let Way::File(kind, source, None) = media::way(kind, &part.media, &format!("#/parts/{index}/media"))? else { break };
            let same = items.first().is_none_or(|(other, ..)| other.album() == kind.album());
            if kind.album().is_none() || !same || Unit::Utf16.count(caption) > CAPTION {
                break;
            }
            items.push((kind, source, caption.to_owned()));
        }
        if items.len() < 2 {
            return Ok(0);
        }
        let taken = items.len();
        let (mut list, mut files) = (Vec::new(), Vec::new());
        for (number, (kind, source, caption)) in items.into_iter().enumerate() {
            self.out.shown.push(format!("[{}] {caption}", kind.field()).trim().to_owned());
            let place = match source {
                Source::Link(link) => link,
                Source::Upload(field) => {
                    let name = format!("file{number}");
                    files.push(renamed(field, &name));
                    format!("attach://{name}")
                }
            };
            let mut item = fields(json!({ "type": kind.field(), "media": place }));
            if !caption.is_empty() {
                item.insert("caption".into(), caption.into());
            }
            list.push(Value::Object(item));
        }
        let body = fields(json!({ "media": list }));
        if files.is_empty() {
            self.send("sendMediaGroup", body, taken as u32);
        } else {
            self.upload("sendMediaGroup", body, files, taken as u32);
        }
        Ok(taken)
    }

    fn location(&mut self, place: &Location<'_>) -> Result<(), RenderError> {
        let mut body = fields(json!({ "latitude": place.latitude, "longitude": place.longitude }));
        let point = format!("{}, {}", place.latitude, place.longitude);
        self.out.shown.push(format!("[location] {}", place.name.as_deref().or(place.address.as_deref()).unwrap_or(&point)));
        if let Some(until) = place.live_until {
            let seconds = until.since(self.now) / 1000;
            if seconds >= 60 {
                body.insert("live_period".into(), seconds.min(86_400).into());
            }
        } else if place.name.is_some() || place.address.is_some() {
            // A venue needs both; what is missing is said by the other, or by the numbers.
            let title = place.name.as_deref().or(place.address.as_deref()).unwrap_or_default();
            let address = place.address.as_deref().unwrap_or(&point);
            body.insert("title".into(), title.into());
            body.insert("address".into(), address.into());
            self.send("sendVenue", body, 1);
            return Ok(());
        }
        self.send("sendLocation", body, 1);
        Ok(())
    }

    fn contact(&mut self, index: usize, card: &ContactCard<'_>) -> Result<(), RenderError> {
        let Some(phone) = card.phones.first() else {
            self.note(index, "contacts", "text", "a Telegram contact needs a phone number");
            let known = [card.name.as_deref(), card.organization.as_deref()].into_iter().flatten();
            let words: Vec<&str> = known.chain(card.emails.iter().map(|e| &**e)).collect();
            return self.text(index, &words.join("\n"), Format::Plain, None);
        };
        let name = card.name.as_deref().filter(|n| !n.trim().is_empty()).unwrap_or(phone);
        let mut body = fields(json!({ "phone_number": phone, "first_name": name }));
        let more = card.organization.is_some() || card.phones.len() > 1 || !card.emails.is_empty();
        let vcard = card.vcard.as_deref().map(str::to_owned).or_else(|| more.then(|| spoken::vcard(card)));
        if let Some(vcard) = vcard.filter(|v| v.len() <= VCARD_BYTES) {
            body.insert("vcard".into(), vcard.into());
        }
        self.out.shown.push(format!("[contact] {name}, {phone}"));
        self.send("sendContact", body, 1);
        Ok(())
    }

    fn choices(&mut self, index: usize, choices: &Choices<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/options");
        self.ask(index, choices, &at, &format!("#/parts/{index}/media"))
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        let words =
            [Some(&*card.title), card.text.as_deref()].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n\n");
        let asked = Choices { text: words.into(), options: card.options.clone(), media: card.media.clone(), ..Choices::default() };
        self.ask(index, &asked, &format!("{at}/options"), &format!("{at}/media"))
    }

    /// Words with their keyboard, under the picture where there is one.
    fn ask(&mut self, index: usize, asked: &Choices<'_>, options: &str, media: &str) -> Result<(), RenderError> {
        let Keyboard { text, markup, titles } = buttons::keyboard(asked, &self.chat, index, options, &mut self.out)?;
        match &asked.media {
            Some(file) => self.file(index, media::by_type(file), file, &text, markup, media)?,
            None => self.text(index, &text, Format::Plain, markup)?,
        }
        if let Some(last) = self.out.shown.last_mut() {
            *last = listed::shown(last, titles.iter().map(String::as_str));
        }
        Ok(())
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.note(index, "notification", "message", "Telegram shows its own notification of each message");
        let words: Vec<&str> = [&push.title, &push.body, &push.url].into_iter().flatten().map(|t| &**t).collect();
        let words = words.join("\n");
        match &push.image {
            Some(image) => {
                let media = Media { url: Some(image.clone()), ..Media::default() };
                self.file(index, Kind::Photo, &media, &words, None, &format!("#/parts/{index}/image"))
            }
            None => self.text(index, &words, Format::Plain, None),
        }
    }

    fn poll(&mut self, index: usize, poll: &Poll<'_>) -> Result<(), RenderError> {
        let fits = |words: &str, most: usize| (1..=most).contains(&Unit::Utf16.count(words));
        let short = fits(&poll.question, POLL_QUESTION) && poll.options.iter().all(|option| fits(option, POLL_OPTION));
        if !short || poll.options.len() > POLL_OPTIONS {
            words::one_answer(poll, index, &mut self.out);
            self.note(index, "poll", "choices", "a poll has a question of 300 characters and at most 12 options of 100");
            return self.choices(index, &spoken::poll(poll));
        }
        if poll.options.is_empty() {
            let at = format!("#/parts/{index}/options");
            return Err(RenderError::new(at, "poll_invalid", "a poll has at least one option"));
        }
        let options: Vec<Value> = poll.options.iter().map(|text| json!({ "text": text })).collect();
        // Anonymous votes would never reach us.
        let mut body = fields(json!({ "question": poll.question, "options": options, "is_anonymous": false }));
        if poll.multiple == Some(true) {
            body.insert("allows_multiple_answers".into(), true.into());
        }
        self.out.shown.push(listed::shown(&format!("[poll] {}", poll.question), poll.options.iter().map(|o| &**o)));
        self.send("sendPoll", body, 1);
        Ok(())
    }

    /// A call that is no message: no quote, no payment.
    fn action(&mut self, method: &str, more: Value) -> Result<(), RenderError> {
        let mut body = self.chat.target();
        if method == "setMessageReaction" {
            body.retain(|name, _| name == "chat_id");
        }
        body.extend(fields(more));
        self.out.calls.push(self.bot.method(method, &body));
        Ok(())
    }

    fn send(&mut self, method: &str, more: Fields, cost: u32) {
        let body = self.body(more);
        self.out.cost += cost;
        self.out.calls.push(self.bot.method(method, &body));
    }

    /// The same with files: nested values are JSON in text fields.
    fn upload(&mut self, method: &str, more: Fields, files: Vec<Field>, cost: u32) {
        let value = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
        let texts = self.body(more).into_iter().map(|(name, v)| Field::Text { name, value: value(v) });
        let parts = texts.chain(files).collect();
        self.out.cost += cost;
        self.out.calls.push(self.bot.upload(method, parts));
    }

    fn body(&mut self, more: Fields) -> Fields {
        let mut body = self.chat.target();
        body.extend(more);
        let first = !std::mem::replace(&mut self.quoted, true);
        if let Some((chat, number)) = self.message.reply_to.and_then(address::message).filter(|_| first) {
            // A quote that is gone must not take the answer with it.
            let mut quote = fields(json!({ "message_id": number, "allow_sending_without_reply": true }));
            if let Some(chat) = chat.filter(|chat| self.chat.id.as_i64().is_some_and(|here| here != *chat)) {
                quote.insert("chat_id".into(), chat.into());
            }
            body.insert("reply_parameters".into(), quote.into());
        }
        if self.bot.settings.allow_paid_broadcast {
            body.insert("allow_paid_broadcast".into(), true.into());
        }
        body.extend(self.message.native.clone());
        body
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }
}

fn renamed(field: Field, name: &str) -> Field {
    match field {
        Field::Media { id, filename, mime_type, .. } => Field::Media { name: name.into(), id, filename, mime_type },
        other => other,
    }
}

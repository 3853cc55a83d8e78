//! Messages as requests to `/messages`, one each (messages reference, read 2026-11-20).

use serde_json::{Map, Value, json};

use super::address::Target;
use super::media::{self, Kind, Source};
use super::{Channel, interactive, templates};
use crate::contract::part::{Card, ContactCard, Format, Location, Notification, Poll, ReactionPart};
use crate::contract::*;
use crate::kit::{choices, markup, text, words};

const TEXT: usize = 4096;
pub(super) const CAPTION: usize = 1024;
const CONTACTS: usize = 257;

/// The calls that bring a message to WhatsApp.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let Some(target) = Target::parse(message.to) else {
        let problem = "expected `whatsapp:+15550100200`, `whatsapp:US.44010001` or `whatsapp:GROUP_ID`";
        return Err(RenderError::new("#/to", "address_invalid", problem));
    };
    for name in ["to", "recipient", "recipient_type", "messaging_product"] {
        if message.native.contains_key(name) {
            return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
        }
    }
    let mut writer = Writer { channel, target, message, quoted: false, out: Rendered::default() };
    if let Some(template) = message.template {
        let body = templates::body(template, message.category)?;
        writer.out.shown.push(format!("[template {}]", template.name));
        writer.send("template", body);
    } else if message.parts.is_empty() {
        let Some(kind) = message.native.get("type").and_then(Value::as_str) else {
            return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, a template, or a `native` with its `type`"));
        };
        writer.out.shown.push(format!("[{kind}]"));
        writer.send(kind, json!({}));
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

pub(super) struct Writer<'w> {
    pub(super) channel: &'w Channel,
    target: Target,
    pub(super) message: &'w Outbound<'w>,
    /// Whether a call already quotes the message answered; only the first does.
    quoted: bool,
    pub(super) out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        let kind = match part {
            Part::Text(words) => return self.text(index, &marked(&words.text, words.format)),
            Part::Image(_) => Kind::Image,
            Part::Video(_) => Kind::Video,
            Part::Audio(_) | Part::Voice(_) => Kind::Audio,
            Part::File(_) => Kind::Document,
            Part::Sticker(_) => Kind::Sticker,
            Part::Location(place) => return self.location(index, place),
            Part::Contacts(list) => return self.contacts(index, &list.contacts),
            Part::Choices(choices) => return interactive::choices(self, index, choices),
            Part::Card(card) => return self.card(index, card),
            Part::Carousel(carousel) => return interactive::carousel(self, index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                return self.text(index, &words::order(order));
            }
            Part::Product(product) => return interactive::product(self, index, product),
            Part::Notification(push) => return self.notification(index, push),
            Part::Poll(poll) => return self.poll(index, poll),
            Part::Typing(_) => return self.typing(index),
            Part::Reaction(reaction) => return self.reaction(index, reaction),
            other => return Err(RenderError::unsupported(index, other.kind(), "WhatsApp")),
        };
        let voice = matches!(part, Part::Voice(_));
        let part = part.media().expect("the kinds above have media");
        self.file(index, kind, &part.media, part.caption.as_deref().unwrap_or_default(), voice)
    }

    pub(super) fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, TEXT, Unit::Chars) {
            let mut body = json!({ "body": piece });
            if piece.contains("https://") || piece.contains("http://") {
                body["preview_url"] = true.into();
            }
            self.out.shown.push(piece.to_owned());
            self.send("text", body);
        }
        Ok(())
    }

    /// A file with words under it; words it cannot have stand in a message of their own.
    pub(super) fn file(&mut self, index: usize, wanted: Kind, file: &Media<'_>, caption: &str, voice: bool) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/media");
        let (kind, why) = media::fitting(wanted, file, &at)?;
        if let Some(why) = why {
            self.note(index, wanted.word(), kind.word(), why);
        }
        let bare = matches!(kind, Kind::Audio | Kind::Sticker);
        let apart = !caption.is_empty() && (bare || Unit::Chars.count(caption) > CAPTION);
        let mut body = Map::new();
        if !caption.is_empty() && !apart {
            body.insert("caption".into(), caption.into());
        }
        if kind == Kind::Document {
            let name = file.filename.as_deref().map(str::to_owned).or_else(|| name_of(file.url.as_deref()?));
            body.extend(name.map(|name| ("filename".to_owned(), name.into())));
        }
        if voice && kind == Kind::Audio {
            if media::mime(file).is_none_or(|mime| mime == "audio/ogg") {
                body.insert("voice".into(), true.into());
            } else {
                self.note(index, "voice", "audio", "a voice note is Ogg with Opus");
            }
        }
        let shown = if caption.is_empty() || apart { file.filename.as_deref().unwrap_or_default() } else { caption };
        self.out.shown.push(format!("[{}] {shown}", kind.word()).trim().to_owned());
        match media::source(file, &at)? {
            Source::Link(link) => {
                body.insert("link".into(), link.into());
                self.send(kind.word(), Value::Object(body));
            }
            Source::Upload(field) => {
                body.insert("id".into(), "".into());
                let message = self.request(kind.word(), Value::Object(body));
                self.push_upload(field, &message, &format!("/{}/id", kind.word()));
            }
        }
        if apart {
            let why = if bare { "this kind of file has no caption" } else { "a caption is at most 1024 characters" };
            self.note(index, "caption", "text", why);
            return self.text(index, caption);
        }
        Ok(())
    }

    pub(super) fn push_upload(&mut self, file: Field, message: &Value, pointer: &str) {
        self.out.calls.push(media::upload(self.channel, file, message, pointer));
    }

    fn location(&mut self, index: usize, place: &Location<'_>) -> Result<(), RenderError> {
        if !(-90.0..=90.0).contains(&place.latitude) || !(-180.0..=180.0).contains(&place.longitude) {
            return Err(RenderError::new(
                format!("#/parts/{index}"),
                "location_invalid",
                "latitude is within 90 and longitude within 180 degrees",
            ));
        }
        if place.live_until.is_some() {
            self.note(index, "live location", "location", "a business cannot share a place that moves");
        }
        let mut body = json!({ "latitude": place.latitude, "longitude": place.longitude });
        for (name, value) in [("name", &place.name), ("address", &place.address)] {
            if let Some(value) = value {
                body[name] = (&**value).into();
            }
        }
        self.out.shown.push(format!("[location] {}", place.name.as_deref().unwrap_or_default()).trim().to_owned());
        self.send("location", body);
        Ok(())
    }

    fn contacts(&mut self, index: usize, cards: &[ContactCard<'_>]) -> Result<(), RenderError> {
        if cards.is_empty() || cards.len() > CONTACTS {
            return Err(RenderError::new(format!("#/parts/{index}/contacts"), "contacts_invalid", "a message carries 1 to 257 contacts"));
        }
        let list: Vec<Value> = cards.iter().map(contact).collect();
        let names = cards.iter().filter_map(|c| c.name.as_deref()).collect::<Vec<_>>().join(", ");
        self.out.shown.push(format!("[contacts] {names}").trim().to_owned());
        self.send("contacts", Value::Array(list));
        Ok(())
    }

    /// A card is a question with a picture, or a picture with words.
    pub(super) fn card(&mut self, index: usize, card: &Card<'_>) -> Result<(), RenderError> {
        let words = interactive::card_words(card);
        if card.options.is_empty() {
            return match &card.media {
                Some(media) => self.file(index, kind_of(media), media, &words, false),
                None => self.text(index, &words),
            };
        }
        let asked =
            part::Choices { text: words.into(), options: card.options.clone(), media: card.media.clone(), ..part::Choices::default() };
        interactive::choices(self, index, &asked)
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.note(index, "notification", "message", "WhatsApp shows its own notification of each message");
        let title = push.title.as_deref().map(|title| format!("*{title}*"));
        let rest = [&push.body, &push.url].into_iter().flatten().map(|t| t.clone().into_owned());
        let words = title.into_iter().chain(rest).collect::<Vec<_>>().join("\n");
        match &push.image {
            Some(image) => self.file(index, Kind::Image, &Media { url: Some(image.clone()), ..Media::default() }, &words, false),
            None => self.text(index, &words),
        }
    }

    fn poll(&mut self, index: usize, poll: &Poll<'_>) -> Result<(), RenderError> {
        words::one_answer(poll, index, &mut self.out);
        self.note(index, "poll", "choices", "a business cannot start a poll");
        let option = |text: &Text<'_>| part::ChoiceOption { title: text.clone().into_owned().into(), ..part::ChoiceOption::default() };
        let asked =
            part::Choices { text: poll.question.clone(), options: poll.options.iter().map(option).collect(), ..part::Choices::default() };
        interactive::choices(self, index, &asked)
    }

    /// Typing is shown as an answer to a message, and marks that as read.
    fn typing(&mut self, index: usize) -> Result<(), RenderError> {
        let Some(last) = self.message.reply_to else {
            let problem = "WhatsApp shows typing as an answer only: set `reply_to` to the person's last message";
            return Err(RenderError::new(format!("#/parts/{index}"), "typing_needs_reply_to", problem));
        };
        let body = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": last, "typing_indicator": { "type": "text" } });
        self.out.calls.push(self.channel.authorised(Call::json(self.channel.url("/messages"), &body)));
        Ok(())
    }

    fn reaction(&mut self, index: usize, reaction: &ReactionPart<'_>) -> Result<(), RenderError> {
        if reaction.message_id.is_empty() {
            return Err(RenderError::new(
                format!("#/parts/{index}/message_id"),
                "message_id_invalid",
                "expected the id of a WhatsApp message",
            ));
        }
        let emoji = reaction.emoji.as_deref().unwrap_or_default();
        self.out.shown.push(if emoji.is_empty() { "[reaction taken back]".into() } else { format!("[reaction] {emoji}") });
        // A reaction names its message itself and quotes nothing.
        let quoted = std::mem::replace(&mut self.quoted, true);
        self.send("reaction", json!({ "message_id": reaction.message_id, "emoji": emoji }));
        self.quoted = quoted;
        Ok(())
    }

    /// Options as a numbered list.
    pub(super) fn numbered(&mut self, index: usize, asked: &part::Choices<'_>, why: &str) -> Result<(), RenderError> {
        self.note(index, "choices", "text", why);
        let words = choices::numbered(asked);
        match &asked.media {
            Some(media) => self.file(index, kind_of(media), media, &words, false),
            None => self.text(index, &words),
        }
    }

    pub(super) fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    /// One message.
    pub(super) fn send(&mut self, kind: &str, content: Value) {
        let body = self.request(kind, content);
        let marketing = kind == "template" && self.channel.settings.marketing_messages && self.message.category == Category::Marketing;
        let path = if marketing { "/marketing_messages" } else { "/messages" };
        self.out.calls.push(self.channel.authorised(Call::json(self.channel.url(path), &body)));
    }

    /// The whole request, with what the caller wants in it as it is.
    pub(super) fn request(&mut self, kind: &str, content: Value) -> Value {
        let mut body = json!({ "messaging_product": "whatsapp", "recipient_type": "individual" });
        match &self.target {
            Target::Phone(number) => body["to"] = number.as_str().into(),
            Target::User(id) => body["recipient"] = id.as_str().into(),
            Target::Group(id) => {
                body["recipient_type"] = "group".into();
                body["to"] = id.as_str().into();
            }
        }
        if let Some(id) = self.message.reply_to.filter(|id| !id.is_empty() && !self.quoted) {
            body["context"] = json!({ "message_id": id });
            self.quoted = true;
        }
        body["type"] = kind.into();
        body[kind] = content;
        body["biz_opaque_callback_data"] = self.message.id.into();
        merge(&mut body, &Value::Object(self.message.native.clone()));
        body
    }
}

/// Objects are merged, everything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Words in WhatsApp's own markup.
pub(super) fn marked(words: &str, format: Format) -> String {
    match format {
        Format::Plain => words.to_owned(),
        Format::Markdown => markup::from_commonmark(words, markup::Dialect::Stars),
        Format::Html => markup::from_html(words, markup::Dialect::Stars),
    }
}

/// What a file without a kind of its own is.
pub(super) fn kind_of(media: &Media<'_>) -> Kind {
    match media::mime(media).as_deref().and_then(|m| m.split('/').next()) {
        Some("video") => Kind::Video,
        Some("audio") => Kind::Audio,
        Some("application" | "text") => Kind::Document,
        _ => Kind::Image,
    }
}

fn name_of(url: &str) -> Option<String> {
    let name = url.split(['?', '#']).next()?.rsplit('/').next()?;
    (name.contains('.') && !name.ends_with('.') && !url.trim_end_matches('/').ends_with("://")).then(|| name.to_owned())
}

/// The full name and one more piece of it are needed.
fn contact(card: &ContactCard<'_>) -> Value {
    let named = card.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let fallback = || card.organization.as_deref().or(card.phones.first().map(|p| &**p)).or(card.emails.first().map(|e| &**e));
    let whole = named.or_else(fallback).unwrap_or("-");
    let (first, last) = whole.split_once(' ').map_or((whole, None), |(first, last)| (first, Some(last)));
    let mut name = json!({ "formatted_name": whole, "first_name": first });
    if let Some(last) = last {
        name["last_name"] = last.into();
    }
    let mut out = json!({ "name": name });
    if !card.phones.is_empty() {
        let phones = card.phones.iter().map(|phone| {
            let mut entry = json!({ "phone": phone });
            if let Some(number) = super::address::phone(phone).filter(|_| phone.starts_with('+')) {
                entry["wa_id"] = number[1..].into();
            }
            entry
        });
        out["phones"] = phones.collect();
    }
    if !card.emails.is_empty() {
        out["emails"] = card.emails.iter().map(|email| json!({ "email": email })).collect();
    }
    if let Some(company) = &card.organization {
        out["org"] = json!({ "company": company });
    }
    out
}

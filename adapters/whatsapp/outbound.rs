//! Messages as requests of `/messages`.

use serde_json::{Map, Value, json};

use super::address::Target;
use super::media::{self, Kind, Source};
use super::{Channel, interactive, templates};
use crate::contract::part::{Carousel, Choices, ContactCard, Location, Notification, Poll, Product};
use crate::contract::*;
use crate::kit::{markup, merge, text};

/// The messages reference of the Cloud API, read 2026-11-20.
pub(super) const TEXT: usize = 4096;
pub(super) const BODY: usize = 1024;
const CAPTION: usize = 1024;
const ECHO: usize = 512;
const PRODUCTS: usize = 30;
const CONTACTS: usize = 257;

/// The calls that bring a message to WhatsApp.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let Some(target) = Target::parse(message.to) else {
        let expected = "expected `whatsapp:` with an E.164 number, a business-scoped id such as US.4401, or a group's id";
        return Err(RenderError::new("#/to", "address_invalid", expected));
    };
    for name in ["to", "recipient", "recipient_type", "messaging_product"] {
        if message.native.contains_key(name) {
            return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
        }
    }
    let mut writer = Writer { channel, target, message, quoted: false, out: Rendered::default() };
    match message.template {
        Some(template) if message.parts.is_empty() => {
            let content = templates::content(template, message.category)?;
            writer.out.shown.push(templates::shown(template));
            writer.send("template", content, Vec::new());
        }
        _ if message.parts.is_empty() && message.native.contains_key("type") => {
            writer.out.shown.push("[native]".into());
            writer.deliver(Map::new(), Vec::new(), 1);
        }
        _ if message.parts.is_empty() => return Err(RenderError::new("#/parts", "message_empty", "a message needs at least one part")),
        _ => {
            for (index, part) in message.parts.iter().enumerate() {
                writer.part(index, part)?;
            }
        }
    }
    if writer.out.calls.is_empty() {
        let needs = "WhatsApp shows that we type only as an answer: give `reply_to`, or another part";
        return Err(RenderError::new("#/parts/0", "part_not_supported", needs));
    }
    writer.out.cost = writer.out.cost.max(1);
    Ok(writer.out)
}

/// Marks a message of a person as read and shows that we are typing, for 25 seconds or until we answer.
pub(super) fn typing(message_id: &str) -> Value {
    json!({ "messaging_product": "whatsapp", "status": "read", "message_id": message_id, "typing_indicator": { "type": "text" } })
}

/// Marks a message of a person as read.
pub(super) fn read(message_id: &str) -> Value {
    json!({ "messaging_product": "whatsapp", "status": "read", "message_id": message_id })
}

pub(super) struct Writer<'w> {
    channel: &'w Channel,
    pub(super) target: Target,
    message: &'w Outbound<'w>,
    /// Whether a call already quotes the message answered; only the first does.
    quoted: bool,
    pub(super) out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        let kind = match part {
            Part::Text(words) => {
                let text = markup::from_any(&words.text, words.format, markup::Dialect::Stars);
                return self.text(index, &text);
            }
            Part::Image(_) => Kind::Image,
            Part::Video(_) => Kind::Video,
            Part::Audio(_) => Kind::Audio,
            Part::Voice(_) => Kind::Voice,
            Part::File(_) => Kind::Document,
            Part::Sticker(_) => Kind::Sticker,
            Part::Location(place) => return self.location(place),
            Part::Contacts(contacts) => return self.contacts(index, &contacts.contacts),
            Part::Choices(choices) => return self.choices(index, choices),
            Part::Card(card) => return interactive::card(self, index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => return self.carousel(index, carousel),
            Part::Product(product) => return self.product(index, product),
            Part::Notification(push) => return self.notification(index, push),
            Part::Poll(poll) => return self.poll(index, poll),
            Part::Typing(_) => {
                match self.message.reply_to {
                    Some(id) => self.out.calls.push(self.channel.messages(&typing(id))),
                    None => self.note(index, "typing", "nothing", "WhatsApp shows that we type only as an answer to a message"),
                }
                return Ok(());
            }
            Part::Reaction(reaction) => {
                let emoji = reaction.emoji.as_deref().unwrap_or_default();
                self.quoted = true; // A reaction names its message itself.
                self.out.shown.push(format!("[reaction] {emoji}").trim().to_owned());
                self.send("reaction", json!({ "message_id": reaction.message_id, "emoji": emoji }), Vec::new());
                return Ok(());
            }
            other => return Err(RenderError::unsupported(index, other.kind(), "WhatsApp")),
        };
        let part = part.media().expect("the kinds above have media");
        self.file(index, kind, &part.media, part.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
    }

    /// Words, in as many messages as they need.
    pub(super) fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, TEXT, Unit::Chars) {
            let mut content = json!({ "body": piece });
            if piece.contains("https://") || piece.contains("http://") {
                content["preview_url"] = true.into();
            }
            self.out.shown.push(piece.to_owned());
            self.send("text", content, Vec::new());
        }
        Ok(())
    }

    /// A file with words under it; words it cannot carry stand in a message of their own.
    pub(super) fn file(&mut self, index: usize, kind: Kind, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let file = media::file(kind, media, at)?;
        if let Some(why) = file.why {
            self.note(index, self.message.parts[index].kind(), file.kind.word(), why);
        }
        let mut content = file.named();
        let apart = !caption.is_empty() && (!file.kind.has_caption() || caption.chars().count() > CAPTION);
        if !caption.is_empty() && !apart {
            content.insert("caption".into(), caption.into());
        }
        if let Some(name) = &file.filename {
            content.insert("filename".into(), name.as_str().into());
        }
        if file.kind == Kind::Voice {
            content.insert("voice".into(), true.into());
        }
        let named = if caption.is_empty() || apart { media.filename.as_deref().unwrap_or_default() } else { caption };
        self.out.shown.push(format!("[{}] {named}", file.kind.word()).trim().to_owned());
        let files = match file.source {
            Source::Upload(field) => vec![field],
            Source::Link(_) => Vec::new(),
        };
        self.send(file.kind.word(), Value::Object(content), files);
        if apart {
            let why = if file.kind.has_caption() { "a caption is at most 1024 characters" } else { "this kind of file has no caption" };
            self.note(index, "caption", "text", why);
            return self.text(index, caption);
        }
        Ok(())
    }

    fn location(&mut self, place: &Location<'_>) -> Result<(), RenderError> {
        let mut content = json!({ "latitude": place.latitude, "longitude": place.longitude });
        if let Some(name) = &place.name {
            content["name"] = (&**name).into();
        }
        if let Some(address) = &place.address {
            content["address"] = (&**address).into();
        }
        self.out.shown.push(format!("[location] {}", place.name.as_deref().unwrap_or_default()).trim().to_owned());
        self.send("location", content, Vec::new());
        Ok(())
    }

    fn contacts(&mut self, index: usize, cards: &[ContactCard<'_>]) -> Result<(), RenderError> {
        if !(1..=CONTACTS).contains(&cards.len()) {
            return Err(RenderError::new(format!("#/parts/{index}/contacts"), "contacts_invalid", "WhatsApp takes 1 to 257 contacts"));
        }
        let cards: Vec<Value> = cards.iter().map(contact).collect();
        let names: Vec<&str> = cards.iter().filter_map(|card| card["name"]["formatted_name"].as_str()).collect();
        self.out.shown.push(format!("[contacts] {}", names.join(", ")));
        self.send("contacts", Value::Array(cards), Vec::new());
        Ok(())
    }

    pub(super) fn choices(&mut self, index: usize, choices: &Choices<'_>) -> Result<(), RenderError> {
        interactive::choices(self, index, choices, &format!("#/parts/{index}"))
    }

    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        if !self.in_group() && interactive::carousel(self, index, carousel)? {
            return Ok(());
        }
        if let Some(words) = &carousel.text {
            self.text(index, words)?;
        }
        self.note(index, "carousel", "cards", "a WhatsApp carousel has 2 to 10 cards with a picture or film and buttons of one kind each");
        let at = |card| format!("#/parts/{index}/cards/{card}");
        carousel.cards.iter().enumerate().try_for_each(|(i, card)| interactive::card(self, index, card, &at(i)))
    }

    fn product(&mut self, index: usize, product: &Product<'_>) -> Result<(), RenderError> {
        if self.in_group() {
            return Err(RenderError::unsupported(index, "product", "a WhatsApp group"));
        }
        let catalog = product.catalog_id.as_deref().unwrap_or_default();
        if catalog.is_empty() && !product.skus.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/catalog_id"), "catalog_missing", "name the catalogue the products are in"));
        }
        if product.skus.len() > PRODUCTS {
            return Err(RenderError::new(format!("#/parts/{index}/skus"), "too_many_products", "WhatsApp shows at most 30 products"));
        }
        let words = product.text.as_deref().filter(|words| !words.trim().is_empty());
        let words = self.body(index, words.unwrap_or("🛒"))?;
        let body = json!({ "text": words });
        let content = match &product.skus[..] {
            [] => json!({ "type": "catalog_message", "body": body, "action": { "name": "catalog_message" } }),
            [sku] => json!({ "type": "product", "body": body, "action": { "catalog_id": catalog, "product_retailer_id": sku } }),
            skus => {
                let items: Vec<Value> = skus.iter().map(|sku| json!({ "product_retailer_id": sku })).collect();
                json!({ "type": "product_list", "header": { "type": "text", "text": "🛒" }, "body": body,
                    "action": { "catalog_id": catalog, "sections": [{ "title": "🛒", "product_items": items }] } })
            }
        };
        self.out.shown.push(format!("{words} [{} products]", product.skus.len()));
        self.send("interactive", content, Vec::new());
        Ok(())
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.note(index, "notification", "message", "WhatsApp shows its own notification of each message");
        let words: Vec<&str> = [&push.title, &push.body, &push.url].into_iter().flatten().map(|t| &**t).collect();
        let words = words.join("\n");
        match &push.image {
            Some(image) => {
                let media = Media { url: Some(image.clone()), ..Media::default() };
                self.file(index, Kind::Image, &media, &words, &format!("#/parts/{index}/image"))
            }
            None => self.text(index, &words),
        }
    }

    fn poll(&mut self, index: usize, poll: &Poll<'_>) -> Result<(), RenderError> {
        self.note(index, "poll", "choices", "WhatsApp businesses cannot ask polls; each person picks one option");
        let options = poll.options.iter().map(|title| part::ChoiceOption { title: title.clone(), ..part::ChoiceOption::default() }).collect();
        self.choices(index, &Choices { text: poll.question.clone(), options, ..Choices::default() })
    }

    /// The words of an interactive message; what is too long for its body goes before it.
    pub(super) fn body(&mut self, index: usize, words: &str) -> Result<String, RenderError> {
        let mut pieces = text::split(words, BODY, Unit::Chars);
        let last = pieces.pop().unwrap_or_default().to_owned();
        if !pieces.is_empty() {
            let first = words[..words.len() - last.len()].trim_end();
            self.note(index, "text", "texts", "the text over buttons is at most 1024 characters");
            self.text(index, first)?;
        }
        Ok(last)
    }

    /// Groups take words, files and templates.
    pub(super) fn in_group(&self) -> bool {
        matches!(self.target, Target::Group(_))
    }

    /// One message of this type.
    pub(super) fn send(&mut self, kind: &str, content: Value, files: Vec<Field>) {
        let mut body = Map::new();
        body.insert("type".into(), kind.into());
        body.insert(kind.into(), content);
        self.deliver(body, files, 1);
    }

    fn deliver(&mut self, more: Map<String, Value>, files: Vec<Field>, cost: u32) {
        let mut body = Map::new();
        body.insert("messaging_product".into(), "whatsapp".into());
        let (name, id, kind) = match &self.target {
            Target::Phone(number) => ("to", number, "individual"),
            Target::User(id) => ("recipient", id, "individual"),
            Target::Group(id) => ("to", id, "group"),
        };
        body.insert("recipient_type".into(), kind.into());
        body.insert(name.into(), id.as_str().into());
        body.extend(more);
        let first = !std::mem::replace(&mut self.quoted, true);
        if let Some(id) = self.message.reply_to.filter(|_| first) {
            body.insert("context".into(), json!({ "message_id": id }));
        }
        if !self.message.id.is_empty() && self.message.id.len() <= ECHO {
            body.insert("biz_opaque_callback_data".into(), self.message.id.into());
        }
        merge::merge(&mut body, self.message.native);
        self.out.cost += cost;
        self.out.calls.push(media::call(self.channel, &Value::Object(body), files));
    }

    pub(super) fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.downgrades.push(Downgrade { part, from: from.into(), into: into.into(), why: why.into() });
    }
}

/// An address-book entry. WhatsApp wants a full name and one part of it.
fn contact(card: &ContactCard<'_>) -> Value {
    let full = card.name.as_deref().or(card.organization.as_deref()).filter(|name| !name.trim().is_empty());
    let full = full.or(card.phones.first().map(|phone| &**phone)).unwrap_or("-");
    let (first, last) = full.split_once(' ').unwrap_or((full, ""));
    let mut name = json!({ "formatted_name": full, "first_name": first });
    if !last.is_empty() {
        name["last_name"] = last.into();
    }
    let mut out = json!({ "name": name });
    let phones: Vec<Value> = card
        .phones
        .iter()
        .map(|phone| match super::address::phone(phone) {
            Some(number) => json!({ "phone": phone, "wa_id": number.trim_start_matches('+') }),
            None => json!({ "phone": phone }),
        })
        .collect();
    if !phones.is_empty() {
        out["phones"] = phones.into();
    }
    let emails: Vec<Value> = card.emails.iter().map(|email| json!({ "email": email })).collect();
    if !emails.is_empty() {
        out["emails"] = emails.into();
    }
    if let Some(company) = &card.organization {
        out["org"] = json!({ "company": company });
    }
    out
}

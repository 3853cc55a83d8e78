//! What the Messages API delivers: one message or one receipt a request, as JSON.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Channel, errors, sms};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::address::is_e164;
use crate::kit::entry;
use crate::kit::object::Object;

/// Fields that are told elsewhere in the event, or repeat another.
const TOLD: &[&str] = &[
    "channel",
    "message_type",
    "message_uuid",
    "to",
    "from",
    "timestamp",
    "text",
    "image",
    "audio",
    "video",
    "file",
    "vcard",
    "sticker",
    "content",
    "location",
    "reaction",
    "button",
    "reply",
    "order",
    "contact",
    "context",
    "profile",
    "_self",
    "status",
    "error",
    "usage",
    "client_ref",
    "sig",
    "nonce",
];

/// Says what a delivery means.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>) -> Parsed<'a> {
    let delivery = hook.hook();
    if delivery.method == http::Method::GET || delivery.is("application/x-www-form-urlencoded") {
        return sms::form(channel, delivery);
    }
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Some(fields) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    if fields.has("msisdn") {
        return sms::json(channel, &fields);
    }
    let mut parsed = Parsed::default();
    match Delivery::read(channel, &fields).and_then(|delivery| delivery.event()) {
        Ok(event) => parsed.events.push(event),
        Err(reason) => parsed.leave(reason),
    }
    parsed
}

/// The sender our side's address names: ours when it is ours, however it is written.
pub(super) fn account<'a>(channel: &Channel, named: &str) -> Option<Text<'a>> {
    let bare = |id: &str| id.trim_start_matches('+').to_owned();
    if named.is_empty() {
        return None;
    }
    let ours = &channel.settings.from;
    Some(if bare(ours) == bare(named) { ours.clone().into() } else { named.to_owned().into() })
}

/// A person's address on a channel. Numbers come without plus.
pub(super) fn address(scheme: &str, id: &str) -> String {
    let number = format!("+{}", id.trim_start_matches('+'));
    let numbered = scheme != "messenger" && is_e164(&number);
    crate::kit::address::address(scheme, if numbered { &number } else { id })
}

/// Medium and scheme of Vonage's word for a channel.
fn medium(word: &str) -> (&'static str, &'static str) {
    match word {
        "mms" => ("mms", "tel"),
        "whatsapp" => ("whatsapp", "whatsapp"),
        "rcs" => ("rcs", "rcs"),
        "messenger" => ("messenger", "messenger"),
        "viber_service" | "viber_service_msg" | "viber" => ("viber", "viber"),
        _ => ("sms", "tel"),
    }
}

/// A side of a delivery: an address, or, in the API's first version, an object that holds it.
fn side<'a>(fields: &Object<'a>, name: &str) -> Option<Text<'a>> {
    fields.words(name).or_else(|| {
        let side = fields.object(name)?;
        ["number", "id", "service_id"].iter().find_map(|name| side.words(name))
    })
}

struct Delivery<'d, 'a> {
    channel: &'d Channel,
    fields: &'d Object<'a>,
    /// Where the content stands: in the delivery itself or, in the API's first version, deep inside.
    content: Object<'a>,
    kind: Option<Text<'a>>,
    id: Text<'a>,
    medium: &'static str,
    scheme: &'static str,
    time: Option<Time>,
}

impl<'d, 'a> Delivery<'d, 'a> {
    fn read(channel: &'d Channel, fields: &'d Object<'a>) -> Result<Self, String> {
        let id = fields.words("message_uuid").ok_or("a delivery without `message_uuid`")?;
        let inside = fields.object("message").and_then(|message| message.object("content"));
        let kind = inside.as_ref().map_or_else(|| fields.words("message_type"), |content| content.words("type"));
        let typed = |name: &str| fields.object(name).and_then(|side| side.words("type"));
        let word = fields.words("channel").or_else(|| typed("from")).or_else(|| typed("to")).unwrap_or_default();
        let (medium, scheme) = medium(&word);
        let time = fields.text("timestamp").and_then(|t| Time::parse(&t));
        Ok(Self { channel, fields, content: inside.unwrap_or_else(|| fields.clone()), kind, id, medium, scheme, time })
    }

    fn event(&self) -> Result<Event<'a>, String> {
        match self.fields.words("status") {
            Some(status) if self.kind.is_none() => self.receipt(&status),
            _ if self.kind.is_some() || self.fields.has("text") => self.message(),
            _ => Err("a delivery that is neither a message nor a receipt".into()),
        }
    }

    fn made(&self, key: String, ours: &str, peer: String, body: Body<'a>) -> Event<'a> {
        let account = account(self.channel, ours);
        Event { account, key: Some(key.into()), medium: self.medium.into(), peer: peer.into(), time: self.time, body }
    }

    /// Who wrote. On WhatsApp the business-scoped id outlives the number, which may be hidden.
    fn person(&self) -> Option<Person<'a>> {
        let inside = self.fields.object("whatsapp").unwrap_or_default();
        let sender = inside.object("sender").unwrap_or_default();
        let number = side(self.fields, "from").or_else(|| sender.words("wa_id"));
        let plain = number.as_deref().map(|id| address(self.scheme, id));
        let stable = sender.words("user_id").map(|id| address("whatsapp", &id)).filter(|_| self.scheme == "whatsapp");
        let mut also = Vec::new();
        if let (Some(plain), Some(_)) = (&plain, &stable) {
            also.push(plain.clone().into());
        }
        let digits = number.as_deref().map(|id| format!("+{}", id.trim_start_matches('+')));
        if let Some(number) = digits.filter(|number| is_e164(number) && !matches!(self.scheme, "tel" | "messenger")) {
            also.push(format!("tel:{number}").into());
        }
        let profile = self.fields.object("profile").unwrap_or_default();
        Some(Person {
            address: stable.or(plain)?.into(),
            name: profile.words("name"),
            username: profile.words("username"),
            kind: Some("person".into()),
            also,
            ..Person::default()
        })
    }

    fn message(&self) -> Result<Event<'a>, String> {
        let from = self.person().ok_or("a message without a sender")?;
        let ours = side(self.fields, "to").unwrap_or_default();
        let peer = from.address.clone().into_owned();
        let key = self.id.clone().into_owned();
        let context = self.fields.object("context").unwrap_or_default();
        if self.kind.as_deref() == Some("reaction") {
            let reaction = self.fields.object("reaction").unwrap_or_default();
            let message_id = context.words("message_uuid").ok_or("a reaction that does not say to what")?;
            let action =
                if reaction.text("action").as_deref() == Some("unreact") { ReactionAction::Removed } else { ReactionAction::Added };
            let body = Reaction { from, message_id, reaction: reaction.words("emoji"), action };
            return Ok(self.made(key, &ours, peer, Body::Reaction(body)));
        }
        // Older descriptions put it beside the advertisement.
        let product = [Some(context.clone()), self.fields.object("whatsapp")]
            .into_iter()
            .flatten()
            .find_map(|place| place.object("whatsapp_referred_product"));
        let product = product.and_then(|product| product.words("product_retailer_id"));
        let quoted = context.words("message_uuid");
        let parts = self.parts();
        let message = Message {
            id: self.id.clone(),
            sent_at: self.time,
            reply_to: (quoted.is_some() || product.is_some()).then(|| ReplyTo { id: quoted, product, ..ReplyTo::default() }),
            referral: self.referral().or_else(|| entry::written(&parts)),
            parts,
            ..Message::default()
        };
        let to = (!ours.is_empty()).then(|| sender(self.scheme, &ours).into());
        let body = Received { from, to, message, extra: self.extra(), ..Received::default() };
        Ok(self.made(key, &ours, peer, Body::Received(body)))
    }

    fn parts(&self) -> Vec<Part<'a>> {
        let fields = &self.content;
        let kind = self.kind.clone().unwrap_or(Cow::Borrowed("text"));
        let object = |name: &str| fields.object(name).unwrap_or_default();
        let unsupported = |kind: &Text<'a>, raw: Option<&'a RawValue>| Part::unsupported(kind.clone(), raw.map(Raw::borrowed));
        let one = match &*kind {
            "text" => fields.words("text").map(Part::text),
            "image" | "audio" | "video" | "file" | "vcard" | "sticker" => file(&kind, &object(&kind)),
            "content" => {
                let items = fields.objects("content");
                let mut parts: Vec<Part<'a>> = fields.words("text").map(Part::text).into_iter().collect();
                parts.extend(items.iter().map(|item| {
                    let kind = item.words("type").unwrap_or(Cow::Borrowed("file"));
                    match item.words("text").filter(|_| kind == "text") {
                        Some(text) => Part::text(text),
                        None => file(&kind, item).unwrap_or_else(|| unsupported(&kind, None)),
                    }
                }));
                if !parts.is_empty() {
                    return parts;
                }
                None
            }
            "location" => place(&object("location")),
            "button" => Some(self.button(&object("button"))),
            "reply" => {
                let reply = object("reply");
                let kind = if self.scheme == "rcs" { ChoiceKind::QuickReply } else { ChoiceKind::List };
                let choice = Choice { kind, id: reply.words("id"), title: reply.words("title"), values: Vec::new() };
                Some(Part::Choice(choice)).filter(|_| fields.has("reply"))
            }
            "order" => Some(order(&object("order"))).filter(|_| fields.has("order")),
            "contact" => contacts(fields.raw("contact")),
            _ => None,
        };
        let raw = fields.raw(&kind).or_else(|| fields.raw("provider_message"));
        let mut parts = vec![one.unwrap_or_else(|| unsupported(&kind, raw))];
        // Words beside another kind of content.
        if !matches!(&*kind, "text" | "button" | "reply") {
            parts.extend(fields.words("text").map(Part::text));
        }
        parts
    }

    /// A button. A flow's answers are a whole object in its payload.
    fn button(&self, button: &Object<'a>) -> Part<'a> {
        let payload = button.raw("payload");
        if payload.is_some_and(|raw| raw.get().starts_with(['{', '['])) {
            return Part::Form(Form { name: button.words("text"), fields: payload.map(Raw::borrowed) });
        }
        Part::Choice(Choice { kind: ChoiceKind::Button, id: button.words("payload"), title: button.words("text"), values: Vec::new() })
    }

    fn referral(&self) -> Option<Referral<'a>> {
        let ad = self.fields.object("whatsapp")?.object("referral")?;
        Some(Referral {
            kind: ad.words("source_type"),
            id: ad.words("source_id"),
            source_url: ad.words("source_url"),
            payload: None,
            click_id: ad.words("ctwa_clid"),
            headline: ad.words("headline"),
        })
    }

    fn extra(&self) -> Extra<'a> {
        let mut extra = Extra::default();
        let inside = self.fields.object("message").is_some();
        for (name, raw) in &self.fields.0 {
            if !TOLD.contains(&&**name) && self.kind.as_ref() != Some(name) && !(inside && name == "message") && raw.get() != "null" {
                extra.push(name.clone(), Raw::borrowed(raw));
            }
        }
        for name in ["usage", "client_ref"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        // The second line of a list's item that was picked, and what sort of button was tapped.
        adapter::keep(&mut extra, "description", self.content.object("reply").and_then(|reply| reply.kept("description")));
        adapter::keep(&mut extra, "subtype", self.content.object("button").and_then(|button| button.kept("subtype")));
        // Who wrote what is quoted, and of which catalogue the product is.
        let context = self.fields.object("context").unwrap_or_default();
        let more = context.has("message_from") || context.has("whatsapp_referred_product");
        adapter::keep(&mut extra, "context", self.fields.kept("context").filter(|_| more));
        extra
    }

    fn receipt(&self, status: &str) -> Result<Event<'a>, String> {
        let state = match status {
            "submitted" => State::Sent,
            "delivered" => State::Delivered,
            "read" => State::Read,
            "rejected" | "undeliverable" => State::Failed,
            other => return Err(format!("a receipt with the unknown status `{}`", other.chars().take(64).collect::<String>())),
        };
        let whatsapp = self.fields.object("whatsapp").unwrap_or_default();
        let recipient = whatsapp.object("recipient").and_then(|r| r.words("user_id").or_else(|| r.words("wa_id")));
        let to = side(self.fields, "to").or(recipient).unwrap_or_default();
        let usage = self.fields.object("usage").unwrap_or_default();
        let cost = usage.words("price").zip(usage.words("currency")).map(|(amount, currency)| Money { amount, currency });
        let error = self.fields.object("error").map(|error| errors::told(&error)).filter(|_| state == State::Failed);
        let body = Receipt {
            message_id: self.fields.words("client_ref"),
            at: self.time,
            error,
            cost,
            detail: (status == "undeliverable").then_some(Cow::Borrowed("undeliverable")),
            ..Receipt::new(self.id.clone(), state)
        };
        let peer = if to.is_empty() { String::new() } else { address(self.scheme, &to) };
        let ours = side(self.fields, "from").unwrap_or_default();
        let stamp = self.fields.text("timestamp").unwrap_or_default();
        Ok(self.made(format!("{}:{status}:{stamp}", self.id), &ours, peer, Body::Receipt(body)))
    }
}

/// Our side's address. Its own scheme for senders without a number.
pub(super) fn sender(scheme: &str, id: &str) -> String {
    let number = format!("+{}", id.trim_start_matches('+'));
    match scheme {
        // Short codes are numbers too, but nobody's in full.
        "tel" if is_e164(&number) && number.len() > 8 => format!("tel:{number}"),
        "tel" => crate::kit::address::address("sms", id),
        scheme => address(scheme, id),
    }
}

fn file<'a>(kind: &str, file: &Object<'a>) -> Option<Part<'a>> {
    let url = file.words("url")?.into_owned();
    let source = MediaRef { id: String::new(), url: Some(url), expires_at: None };
    let mime = (kind == "vcard").then_some(Cow::Borrowed("text/vcard"));
    let media = Media {
        filename: file.words("name"),
        mime_type: mime,
        status: Some(MediaStatus::Pending),
        source: Some(source),
        ..Media::default()
    };
    let part = MediaPart { media, caption: file.words("caption") };
    Some(match kind {
        "image" => Part::Image(part),
        "audio" => Part::Audio(part),
        "video" => Part::Video(part),
        "sticker" => Part::Sticker(part),
        _ => Part::File(part),
    })
}

fn place<'a>(place: &Object<'a>) -> Option<Part<'a>> {
    let number = |names: [&str; 2]| names.iter().find_map(|name| place.float(name));
    Some(Part::Location(Location {
        latitude: number(["lat", "latitude"])?,
        longitude: number(["long", "longitude"])?,
        name: place.words("name"),
        address: place.words("address"),
        live_until: None,
    }))
}

fn order<'a>(order: &Object<'a>) -> Part<'a> {
    let item = |item: &Object<'a>| {
        let price = item.words("item_price").zip(item.words("currency")).map(|(amount, currency)| Money { amount, currency });
        let quantity = item.int("quantity").and_then(|n| u32::try_from(n).ok());
        Some(OrderItem { sku: item.words("product_retailer_id")?, quantity, price })
    };
    let items = order.objects("product_items").iter().filter_map(item).collect();
    Part::Order(Order { catalog_id: order.words("catalog_id"), items, text: order.words("text") })
}

/// Cards as the channel writes them; their form is not documented, so what is not found stays away.
fn contacts<'a>(raw: Option<&'a RawValue>) -> Option<Part<'a>> {
    let raw = raw?;
    let whole = Object::parse(raw.get());
    let list = whole.as_ref().map(|o| o.objects("contacts")).filter(|list| !list.is_empty());
    let list = list.or_else(|| serde_json::from_str(raw.get()).ok()).or_else(|| whole.map(|one| vec![one]))?;
    let card = |card: &Object<'a>| {
        let name =
            card.object("name").and_then(|n| n.words("formatted_name").or_else(|| n.words("first_name"))).or_else(|| card.words("name"));
        let phones: Vec<Text<'a>> = card.objects("phones").iter().filter_map(|p| p.words("phone")).collect();
        let emails = card.objects("emails").iter().filter_map(|e| e.words("email")).collect();
        let organization = card.object("org").and_then(|o| o.words("company"));
        (name.is_some() || !phones.is_empty()).then(|| ContactCard { name, phones, emails, organization, ..ContactCard::default() })
    };
    let contacts: Vec<ContactCard<'a>> = list.iter().filter_map(card).collect();
    (!contacts.is_empty()).then_some(Part::Contacts(Contacts { contacts }))
}

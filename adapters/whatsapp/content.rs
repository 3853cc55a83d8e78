//! What stands in a message, as parts.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::contract::event::ReplyTo;
use crate::contract::part::{
    Choice, ChoiceKind, ChoiceOption, Choices, ContactCard, Contacts, Form, Location, MediaPart, MediaRef, MediaStatus, Money, Order,
    OrderItem,
};
use crate::contract::*;
use crate::kit::{crypto, object::Object};

/// Media ids of deliveries live 7 days (`business-phone-numbers/media`, read 2026-11-20).
const MEDIA_LIVES: i64 = 7 * 86_400_000;

/// Content, quotation and forwarding of a message. Its id and time are the caller's.
pub(super) fn message<'a>(message: &Object<'a>, kind: &str, raw: &'a RawValue) -> Message<'a> {
    let context = message.object("context").unwrap_or_default();
    let forwarded = context.flag("forwarded") || context.flag("frequently_forwarded");
    let part = part(message, kind).unwrap_or_else(|| {
        let named = message.object("unsupported").and_then(|u| u.words("type"));
        Part::unsupported(named.unwrap_or_else(|| Cow::Owned(kind.to_owned())), Some(Raw::borrowed(raw)))
    });
    Message { parts: vec![part], reply_to: quoted(message), forwarded: forwarded.then_some(true), ..Message::default() }
}

/// The kind of a message that does not name it, as the reference's own samples of places and cards: by what it has.
pub(super) fn implied(message: &Object<'_>) -> &'static str {
    let known = [
        "text",
        "image",
        "video",
        "voice",
        "audio",
        "document",
        "sticker",
        "location",
        "contacts",
        "button",
        "interactive",
        "order",
        "reaction",
    ];
    known.into_iter().find(|kind| message.has(kind)).unwrap_or("unknown")
}

/// `context` as what the message answers; `None` when it only says that the message was forwarded.
pub(super) fn quoted<'a>(message: &Object<'a>) -> Option<ReplyTo<'a>> {
    let context = message.object("context")?;
    let product = context.object("referred_product").and_then(|p| p.words("product_retailer_id"));
    // In a request of ours it is the other word.
    let id = context.words("id").or_else(|| context.words("message_id"));
    (id.is_some() || product.is_some()).then(|| ReplyTo { id, product, ..ReplyTo::default() })
}

fn part<'a>(message: &Object<'a>, kind: &str) -> Option<Part<'a>> {
    match kind {
        "text" => Some(Part::text(message.object("text")?.text("body")?)),
        "image" => media(message, kind).map(Part::Image),
        "video" => media(message, kind).map(Part::Video),
        "voice" => media(message, kind).map(Part::Voice),
        "audio" => {
            let voice = message.object("audio").is_some_and(|a| a.flag("voice"));
            media(message, kind).map(if voice { Part::Voice } else { Part::Audio })
        }
        "document" => media(message, kind).map(Part::File),
        "sticker" => media(message, kind).map(Part::Sticker),
        "location" => location(&message.object("location")?),
        "contacts" => Some(Part::Contacts(Contacts { contacts: message.objects("contacts").iter().map(|c| card(c, message)).collect() })),
        "button" => {
            let button = message.object("button")?;
            Some(choice(ChoiceKind::Button, button.words("payload"), button.words("text")))
        }
        "interactive" => interactive(&message.object("interactive")?),
        "order" => Some(order(&message.object("order")?)),
        _ => None,
    }
}

/// Content fields that have no place in our parts.
pub(super) fn leftovers<'a>(message: &Object<'a>, kind: &str, extra: &mut Extra<'a>) {
    if kind == "contacts" && message.objects("contacts").iter().any(says_more) {
        adapter::keep(extra, "contacts", message.kept("contacts"));
    }
    let Some(content) = message.object(kind) else { return };
    match kind {
        "interactive" => {
            let inner = content.words("type").and_then(|kind| content.object(&kind)).unwrap_or_default();
            adapter::keep(extra, "description", inner.kept("description"));
            adapter::keep(extra, "body", inner.kept("body"));
        }
        "location" => adapter::keep(extra, "url", content.kept("url")),
        _ => {}
    }
    if KNOWN.contains(&kind) {
        for (name, raw) in content.0.iter().filter(|(name, raw)| !TOLD.contains(&&**name) && raw.get() != "null") {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
    }
}

/// Kinds that become parts of ours, so that what is new in them would be lost.
const KNOWN: &[&str] = &["text", "image", "video", "voice", "audio", "document", "sticker", "location", "button", "order"];

/// What their parts tell, or what works like a credential (`url` of a file).
const TOLD: &[&str] = &[
    "body",
    "preview_url",
    "id",
    "mime_type",
    "sha256",
    "url",
    "link",
    "caption",
    "filename",
    "voice",
    "file_size",
    "latitude",
    "longitude",
    "name",
    "address",
    "payload",
    "text",
    "catalog_id",
    "product_items",
];

/// Whether a card has more than our contacts tell: an address, a birthday, a page, somebody's place in a company.
fn says_more(contact: &Object<'_>) -> bool {
    let told = |name: &str| matches!(name, "name" | "phones" | "emails" | "vcard" | "origin");
    let empty = |raw: &RawValue| matches!(raw.get(), "null" | "[]" | "{}" | "\"\"");
    contact.0.iter().any(|(name, raw)| match &**name {
        "org" => contact.object("org").is_some_and(|org| org.0.iter().any(|(name, raw)| name != "company" && !empty(raw))),
        name => !told(name) && !empty(raw),
    })
}

fn choice<'a>(kind: ChoiceKind, id: Option<Text<'a>>, title: Option<Text<'a>>) -> Part<'a> {
    Part::Choice(Choice { kind, id, title, values: Vec::new() })
}

fn interactive<'a>(content: &Object<'a>) -> Option<Part<'a>> {
    let kind = content.words("type")?;
    let Some(inner) = content.object(&kind) else { return offered(content) };
    match &*kind {
        "button_reply" => Some(choice(ChoiceKind::Button, inner.words("id"), inner.words("title"))),
        "list_reply" => Some(choice(ChoiceKind::List, inner.words("id"), inner.words("title"))),
        "nfm_reply" => {
            // The answers are JSON inside a string.
            let json = inner.text("response_json").and_then(|json| RawValue::from_string(json.into_owned()).ok());
            let fields = json.map(|json| Raw(Cow::Owned(json))).or_else(|| inner.kept("response_json"));
            Some(Part::Form(Form { name: inner.words("name").or(Some(Cow::Borrowed("flow"))), fields }))
        }
        "call_permission_reply" => {
            Some(Part::Form(Form { name: Some(Cow::Borrowed("call_permission_reply")), fields: content.kept("call_permission_reply") }))
        }
        _ => None,
    }
}

/// A question as a business asks it: words, with buttons or the rows of a list.
fn offered<'a>(content: &Object<'a>) -> Option<Part<'a>> {
    let action = content.object("action")?;
    let text = content.object("body")?.words("text")?;
    let words = |name: &str| content.object(name).and_then(|o| o.words("text"));
    let mut options: Vec<ChoiceOption<'a>> = Vec::new();
    for reply in action.objects("buttons").iter().filter_map(|button| button.object("reply")) {
        options.extend(option(&reply, None));
    }
    for section in action.objects("sections") {
        options.extend(section.objects("rows").iter().filter_map(|row| option(row, section.words("title"))));
    }
    if options.is_empty() {
        return None;
    }
    let (header, footer, menu_label) = (words("header"), words("footer"), action.words("button"));
    Some(Part::Choices(Choices { text, options, header, footer, menu_label, ..Choices::default() }))
}

fn option<'a>(row: &Object<'a>, section: Option<Text<'a>>) -> Option<ChoiceOption<'a>> {
    Some(ChoiceOption {
        id: row.words("id"),
        title: row.words("title")?,
        description: row.words("description"),
        section,
        ..ChoiceOption::default()
    })
}

fn media<'a>(message: &Object<'a>, kind: &str) -> Option<MediaPart<'a>> {
    let file = message.object(kind).unwrap_or_default();
    let (id, url) = (file.words("id"), file.words("url").or_else(|| file.words("link")));
    let lost = id.is_none() && url.is_none();
    let reason = message.objects("errors").first().and_then(why);
    if lost && reason.is_none() && !message.has(kind) {
        return None;
    }
    let sent = super::inbound::stamp(message.int("timestamp"));
    let source =
        MediaRef { id: id.unwrap_or_default().into_owned(), url: url.map(Cow::into_owned), expires_at: sent.map(|t| t.plus(MEDIA_LIVES)) };
    Some(MediaPart {
        media: Media {
            mime_type: file.words("mime_type"),
            filename: file.words("filename"),
            size: file.int("file_size").and_then(|size| u64::try_from(size).ok()),
            sha256: file.words("sha256").and_then(|hash| hex(&hash)).map(Cow::Owned),
            status: Some(if lost { MediaStatus::Unavailable } else { MediaStatus::Pending }),
            reason: lost.then(|| reason.unwrap_or(Cow::Borrowed("the provider sent no media"))),
            source: (!lost).then_some(source),
            ..Media::default()
        },
        caption: file.words("caption"),
    })
}

/// The provider's words about an error.
fn why<'a>(error: &Object<'a>) -> Option<Text<'a>> {
    let details = error.object("error_data").and_then(|d| d.words("details"));
    details.or_else(|| error.words("message")).or_else(|| error.words("title"))
}

/// The provider writes the hash in base64.
fn hex(hash: &str) -> Option<String> {
    if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(hash.to_ascii_lowercase());
    }
    crypto::unbase64(hash).filter(|bytes| bytes.len() == 32).map(|bytes| crypto::hex(&bytes))
}

fn location<'a>(place: &Object<'a>) -> Option<Part<'a>> {
    Some(Part::Location(Location {
        latitude: place.float("latitude")?,
        longitude: place.float("longitude")?,
        name: place.words("name"),
        address: place.words("address"),
        live_until: None,
    }))
}

fn card<'a>(contact: &Object<'a>, message: &Object<'a>) -> ContactCard<'a> {
    let name = contact.object("name").unwrap_or_default();
    let whole = name.words("formatted_name").or_else(|| {
        let pieces: Vec<Text<'_>> = ["first_name", "middle_name", "last_name"].iter().filter_map(|n| name.words(n)).collect();
        (!pieces.is_empty()).then(|| Cow::Owned(pieces.join(" ")))
    });
    let all = |list: &str, field: &str| -> Vec<Text<'a>> { contact.objects(list).iter().filter_map(|o| o.words(field)).collect() };
    let phones = contact.objects("phones").iter().filter_map(|p| p.words("phone").or_else(|| p.words("wa_id"))).collect();
    ContactCard {
        name: whole,
        phones,
        emails: all("emails", "email"),
        organization: contact.object("org").and_then(|org| org.words("company")),
        vcard: contact.words("vcard"),
        own: [message, contact].iter().any(|o| o.text("origin").as_deref() == Some("contact_request")).then_some(true),
    }
}

fn order<'a>(order: &Object<'a>) -> Part<'a> {
    let items = order.objects("product_items");
    let items = items.iter().map(|item| OrderItem {
        sku: item.words("product_retailer_id").unwrap_or_default(),
        quantity: item.int("quantity").and_then(|n| u32::try_from(n).ok()),
        price: item.words("item_price").map(|amount| Money { amount, currency: item.words("currency").unwrap_or_default() }),
    });
    Part::Order(Order { catalog_id: order.words("catalog_id"), items: items.collect(), text: order.words("text") })
}

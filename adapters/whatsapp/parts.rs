//! The content of a message, by its `type`.

use serde_json::value::RawValue;

use crate::contract::part::{Choice, ChoiceKind, ContactCard, Contacts, Form, Location, MediaStatus, Order, OrderItem};
use crate::contract::*;
use crate::kit::crypto;
use crate::kit::object::Object;

/// Ids of inbound media work for 7 days.
const MEDIA_MS: i64 = 7 * 86_400_000;

/// Every type whose content stands under its own name.
const TYPES: &[&str] = &[
    "text", "image", "video", "audio", "voice", "document", "sticker", "location", "contacts", "reaction", "button", "interactive", "order",
    "edit", "revoke", "system",
];

/// The type of a message that does not say it.
pub(super) fn guessed<'a>(message: &Object<'a>) -> Option<Text<'a>> {
    TYPES.iter().find(|kind| message.has(kind)).map(|kind| Text::Borrowed(*kind))
}

/// The parts of a message. Never empty: what has no meaning here is kept as it came.
pub(super) fn of<'a>(kind: &str, message: &Object<'a>, raw: &'a RawValue, sent: Option<Time>) -> Vec<Part<'a>> {
    vec![known(kind, message, sent).unwrap_or_else(|| unknown(kind, message, raw))]
}

fn unknown<'a>(kind: &str, message: &Object<'a>, raw: &'a RawValue) -> Part<'a> {
    let named = message.object("unsupported").and_then(|content| content.words("type"));
    let kind = named.unwrap_or_else(|| Text::Owned(kind.to_owned()));
    Part::unsupported(kind, Some(Raw::borrowed(raw)))
}

fn known<'a>(kind: &str, message: &Object<'a>, sent: Option<Time>) -> Option<Part<'a>> {
    if kind == "contacts" {
        let own = (message.text("origin").as_deref() == Some("contact_request")).then_some(true);
        let contacts: Vec<ContactCard<'a>> = message.objects("contacts").iter().map(|card| contact(card, own)).collect();
        return (!contacts.is_empty()).then_some(Part::Contacts(Contacts { contacts }));
    }
    let content = message.object(kind)?;
    let media = || media(message, &content, sent);
    Some(match kind {
        "text" => Part::text(content.text("body")?),
        "image" => Part::Image(media()?),
        "video" => Part::Video(media()?),
        "document" => Part::File(media()?),
        "sticker" => Part::Sticker(media()?),
        "voice" => Part::Voice(media()?),
        "audio" if content.flag("voice") => Part::Voice(media()?),
        "audio" => Part::Audio(media()?),
        "location" => Part::Location(Location {
            latitude: content.float("latitude")?,
            longitude: content.float("longitude")?,
            name: content.words("name"),
            address: content.words("address"),
            live_until: None,
        }),
        "button" => choice(ChoiceKind::Button, content.text("payload"), content.text("text"))?,
        "interactive" => interactive(&content)?,
        "order" => order(&content)?,
        _ => return None,
    })
}

fn media<'a>(message: &Object<'a>, content: &Object<'a>, sent: Option<Time>) -> Option<MediaPart<'a>> {
    let (id, url) = (content.words("id"), content.words("url"));
    let failed = message.objects("errors").into_iter().next();
    if id.is_none() && url.is_none() && failed.is_none() {
        return None;
    }
    let source = (id.is_some() || url.is_some()).then(|| MediaRef {
        id: id.clone().unwrap_or_default().into_owned(),
        url: url.map(Text::into_owned),
        expires_at: sent.map(|time| time.plus(MEDIA_MS)),
    });
    let sha256 = content.words("sha256").map(|sum| match crypto::unbase64(&sum) {
        Some(bytes) if bytes.len() == 32 => crypto::hex(&bytes).into(),
        _ => sum,
    });
    let media = Media {
        mime_type: content.words("mime_type"),
        size: content.int("file_size").and_then(|size| size.try_into().ok()),
        filename: content.words("filename"),
        sha256,
        status: source.is_none().then_some(MediaStatus::Unavailable),
        reason: failed.filter(|_| source.is_none()).and_then(|error| error.words("title").or_else(|| error.words("message"))),
        source,
        ..Media::default()
    };
    Some(MediaPart { media, caption: content.words("caption") })
}

fn choice<'a>(kind: ChoiceKind, id: Option<Text<'a>>, title: Option<Text<'a>>) -> Option<Part<'a>> {
    (id.is_some() || title.is_some()).then_some(Part::Choice(Choice { kind, id, title, values: Vec::new() }))
}

fn interactive<'a>(content: &Object<'a>) -> Option<Part<'a>> {
    const KINDS: &[&str] = &["button_reply", "list_reply", "nfm_reply", "call_permission_reply"];
    let kind = content.words("type").or_else(|| KINDS.iter().find(|kind| content.has(kind)).map(|kind| (*kind).into()))?;
    let reply = content.object(&kind)?;
    match &*kind {
        "button_reply" => choice(ChoiceKind::Button, reply.text("id"), reply.text("title")),
        "list_reply" => choice(ChoiceKind::List, reply.text("id"), reply.text("title")),
        "nfm_reply" => Some(Part::Form(Form { name: reply.words("name"), fields: answers(&reply) })),
        "call_permission_reply" => Some(Part::Form(Form { name: Some(kind.clone()), fields: content.kept(&kind) })),
        _ => None,
    }
}

/// The answers of a form are JSON inside a JSON string.
fn answers<'a>(reply: &Object<'a>) -> Option<Raw<'a>> {
    let raw = reply.raw("response_json")?;
    let inner = reply.text("response_json").and_then(|text| serde_json::from_str::<Box<RawValue>>(&text).ok());
    Some(inner.map_or_else(|| Raw::borrowed(raw), |inner| Raw(std::borrow::Cow::Owned(inner))))
}

fn order<'a>(content: &Object<'a>) -> Option<Part<'a>> {
    let items = content.objects("product_items").iter().map(item).collect::<Vec<_>>();
    let catalog_id = content.words("catalog_id");
    (catalog_id.is_some() || !items.is_empty()).then_some(Part::Order(Order { catalog_id, items, text: content.words("text") }))
}

fn item<'a>(item: &Object<'a>) -> OrderItem<'a> {
    let price = item.words("item_price").map(|amount| Money { amount, currency: item.words("currency").unwrap_or_default() });
    OrderItem {
        sku: item.words("product_retailer_id").unwrap_or_default(),
        quantity: item.int("quantity").and_then(|count| count.try_into().ok()),
        price,
    }
}

fn contact<'a>(card: &Object<'a>, own: Option<bool>) -> ContactCard<'a> {
    let name = card.object("name");
    let full = name.as_ref().and_then(|name| name.words("formatted_name"));
    let short = || {
        let name = name.as_ref()?;
        let parts: Vec<Text<'a>> = ["first_name", "middle_name", "last_name"].iter().filter_map(|part| name.words(part)).collect();
        (!parts.is_empty()).then(|| parts.join(" ").into())
    };
    ContactCard {
        name: full.or_else(short),
        phones: card.objects("phones").iter().filter_map(|phone| phone.words("phone").or_else(|| phone.words("wa_id"))).collect(),
        emails: card.objects("emails").iter().filter_map(|email| email.words("email")).collect(),
        organization: card.object("org").and_then(|org| org.words("company")),
        vcard: card.words("vcard"),
        own,
    }
}

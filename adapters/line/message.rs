//! What people send: the message of a message event.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::inbound::About;
use crate::contract::event::{Album, ReplyTo};
use crate::contract::part::{Location, MediaPart, MediaStatus, Mention};
use crate::contract::*;
use crate::kit::address::address;
use crate::kit::entry;
use crate::kit::object::{self, Object};

/// The content, and what has no place in our format; `None` without an id.
pub(super) fn read<'a>(about: &About<'a>, message: &Object<'a>, raw: &'a RawValue) -> Option<(Message<'a>, Extra<'a>)> {
    let id = message.words("id")?;
    let part = part(&id, message).unwrap_or_else(|| {
        let kind = message.words("type").unwrap_or(Cow::Borrowed("message"));
        Part::unsupported(kind, Some(object::without(raw, &["quoteToken", "markAsReadToken"])))
    });
    let quoted = message.words("quotedMessageId");
    // What we have no part for is kept whole.
    let extra = if matches!(part, Part::Unsupported(_)) { Extra::default() } else { leftovers(message) };
    let out = Message {
        id,
        sent_at: about.time,
        referral: entry::written(std::slice::from_ref(&part)),
        parts: vec![part],
        reply_to: quoted.map(|id| ReplyTo { id: Some(id), ..ReplyTo::default() }),
        group: about.group.clone(),
        album: message.object("imageSet").and_then(|set| album(&set)),
        ..Message::default()
    };
    Some((out, extra))
}

fn part<'a>(id: &Text<'a>, message: &Object<'a>) -> Option<Part<'a>> {
    let file = || MediaPart { media: media(id, message), caption: None };
    Some(match &*message.words("type")? {
        "text" => text(message),
        "image" => Part::Image(file()),
        "video" => Part::Video(file()),
        "audio" => Part::Audio(file()),
        "file" => Part::File(file()),
        "location" => Part::Location(Location {
            latitude: message.float("latitude")?,
            longitude: message.float("longitude")?,
            name: message.words("title"),
            address: message.words("address"),
            live_until: None,
        }),
        "sticker" => {
            let reason = Some(Cow::Borrowed("stickers have no file; their ids stand in `extra`"));
            let media = Media { status: Some(MediaStatus::Unavailable), reason, ..Media::default() };
            Part::Sticker(MediaPart { media, caption: message.words("text") })
        }
        _ => return None,
    })
}

fn media<'a>(id: &Text<'a>, message: &Object<'a>) -> Media<'a> {
    let provider = message.object("contentProvider").unwrap_or_default();
    // Somebody else's file is fetched where it is, without our token.
    let external = provider.text("type").as_deref() == Some("external");
    let url = provider.words("originalContentUrl").filter(|_| external).map(Cow::into_owned);
    Media {
        size: message.int("fileSize").and_then(|n| u64::try_from(n).ok()),
        filename: message.words("fileName"),
        duration_ms: message.int("duration").and_then(|n| u64::try_from(n).ok()),
        status: Some(MediaStatus::Pending),
        source: Some(MediaRef { id: if url.is_none() { id.clone().into_owned() } else { String::new() }, url, expires_at: None }),
        ..Media::default()
    }
}

fn text<'a>(message: &Object<'a>) -> Part<'a> {
    let text = message.text("text").unwrap_or_default();
    let named = message.object("mention").map(|m| m.objects("mentionees")).unwrap_or_default();
    let mentions = named.iter().filter_map(|m| mention(&text, m)).collect();
    Part::Text(TextPart { text, mentions, ..TextPart::default() })
}

/// LINE counts UTF-16 units, we count code points.
fn mention<'a>(text: &str, mention: &Object<'a>) -> Option<Mention<'a>> {
    let (index, length) = (mention.int("index")?, mention.int("length")?);
    let points = |units: i64| {
        let mut seen = 0;
        let before = text.chars().take_while(|c| {
            seen += c.len_utf16() as i64;
            seen <= units
        });
        u32::try_from(before.count()).ok()
    };
    let offset = points(index)?;
    let end = points(index.checked_add(length)?)?;
    Some(Mention {
        address: mention.words("userId").map(|id| Cow::Owned(address("line", &id))),
        offset,
        length: end.checked_sub(offset)?,
        own: mention.flag("isSelf").then_some(true),
    })
}

fn album<'a>(set: &Object<'a>) -> Option<Album<'a>> {
    let number = |name: &str| set.int(name).and_then(|n| u32::try_from(n).ok());
    Some(Album { id: set.words("id")?, index: number("index"), total: number("total") })
}

fn leftovers<'a>(message: &Object<'a>) -> Extra<'a> {
    // Told by the parts, or no more than a token.
    const TOLD: &[&str] = &[
        "id",
        "type",
        "quoteToken",
        "markAsReadToken",
        "quotedMessageId",
        "imageSet",
        "contentProvider",
        "fileName",
        "fileSize",
        "duration",
        "title",
        "address",
        "latitude",
        "longitude",
        "text",
    ];
    let mut extra = Extra::default();
    for (name, raw) in message.0.iter().filter(|(name, raw)| !TOLD.contains(&&**name) && raw.get() != "null") {
        extra.push(name.clone(), Raw::borrowed(raw));
    }
    adapter::keep(&mut extra, "previewImageUrl", message.object("contentProvider").and_then(|p| p.kept("previewImageUrl")));
    extra
}

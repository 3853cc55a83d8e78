//! Deliveries: one message each, in JSON that is usually compressed.

use std::borrow::Cow;
use std::io::Read as _;

use super::{FACTS, files, interactive};
use crate::contract::event::{Consent, ConsentState, Follow, ProviderEvent, Referral, ReplyTo, Signal};
use crate::contract::part::{MediaPart, MediaStatus};
use crate::contract::*;
use crate::kit::{address::address, object::Object};

/// How much a delivery may grow when it is unpacked.
const UNPACKED: u64 = 8 << 20;
/// Where an attachment stands in the words.
const PLACE: char = '\u{fffc}';

/// What a delivery means.
pub(super) fn parse<'a>(hook: &Verified<'a>, cx: &Context<'_>) -> Parsed<'a> {
    let body = hook.hook().body;
    let opened;
    let bytes = if body.starts_with(&[0x1f, 0x8b]) {
        let mut out = Vec::new();
        match flate2::read::GzDecoder::new(body).take(UNPACKED).read_to_end(&mut out) {
            Ok(size) if (size as u64) < UNPACKED => opened = out,
            _ => return Parsed::not_understood("a body that cannot be unpacked"),
        }
        opened.as_slice()
    } else {
        body
    };
    let Some(message) = std::str::from_utf8(bytes).ok().and_then(Object::parse) else {
        return Parsed::not_understood("the body is not a JSON object");
    };
    let mut out = Parsed::default();
    match read(&message, hook.hook(), cx) {
        Ok(event) => out.events.push(event),
        Err(why) => out.leave(why),
    }
    out
}

/// What was unpacked lives no longer than the call, so whatever is told of it is a copy.
pub(super) fn own(object: &Object<'_>, name: &str) -> Option<Text<'static>> {
    object.words(name).map(|text| Cow::Owned(text.into_owned()))
}

/// A field as it came, as a copy.
pub(super) fn kept(object: &Object<'_>, name: &str) -> Option<Raw<'static>> {
    object.kept(name).map(Raw::into_owned)
}

fn read(message: &Object<'_>, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<Event<'static>, &'static str> {
    let header = |name: &str| hook.header(name).map(|text| Cow::Owned(text.to_owned()));
    let kind = own(message, "type").ok_or("a message without its type")?;
    let customer = own(message, "sourceId").or_else(|| header("source-id")).ok_or("a message without its sender")?;
    let id = own(message, "id").or_else(|| header("id")).ok_or("a message without its id")?;
    let business = own(message, "destinationId").or_else(|| header("destination-id"));
    let peer: Text<'static> = Cow::Owned(address("apple", &customer));
    let from = Person {
        locale: own(message, "locale").map(|locale| Cow::Owned(locale.replace('_', "-"))),
        kind: Some(Cow::Borrowed("person")),
        ..Person::at(peer.clone())
    };
    let body = match &*kind {
        "text" | "interactive" => {
            let parts = if kind == "text" { written(message) } else { interactive::parts(message) };
            let to = business.as_ref().map(|id| Cow::Owned(address("apple", id)));
            let answered = interactive::answered(message);
            let message = Message {
                id: id.clone(),
                parts,
                reply_to: answered.map(|ours| ReplyTo { message_id: Some(ours), ..ReplyTo::default() }),
                referral: referral(message),
                ..Message::default()
            };
            Body::Received(Received { from, to, message, extra: leftovers(hook), ..Received::default() })
        }
        "typing_start" => Body::Typing(Signal { from, until: None }),
        "typing_end" => Body::Typing(Signal { from, until: Some(cx.now) }),
        "close" => closed(message, from),
        _ => {
            let fields = message.0.iter().map(|(name, raw)| (name.to_string(), *raw));
            let raw = Raw::of(&fields.collect::<std::collections::BTreeMap<_, _>>());
            Body::Provider(ProviderEvent { provider_type: kind.clone(), raw })
        }
    };
    let key = if matches!(&*kind, "text" | "interactive") { id.clone() } else { Cow::Owned(format!("{id}:{kind}")) };
    Ok(Event { account: business, key: Some(key), medium: Cow::Borrowed(FACTS.id), peer, time: None, body })
}

/// The customer deleted the conversation, or wants no more invitations: nobody may write until they do.
fn closed(message: &Object<'_>, from: Person<'static>) -> Body<'static> {
    match kept(message, "referenceIds") {
        Some(references) if references.get() != "[]" => {
            let evidence = Some(Raw::of(&std::collections::BTreeMap::from([("referenceIds", references)])));
            Body::Consent(Consent { from: Some(from), state: ConsentState::OptedOut, scope: Cow::Borrowed("all"), evidence })
        }
        _ => Body::Unfollowed(Follow { from, ..Follow::default() }),
    }
}

/// The words, then what was attached to them.
fn written(message: &Object<'_>) -> Vec<Part<'static>> {
    let words = message.text("body").unwrap_or_default();
    let words = words.replace(PLACE, "");
    let mut parts: Vec<Part<'static>> = Vec::new();
    if !words.trim().is_empty() {
        parts.push(Part::text(words.trim().to_owned()));
    }
    for raw in message.list("attachments") {
        parts.push(match Object::parse(raw.get()) {
            Some(attachment) => attached(&attachment),
            None => Part::unsupported("attachment", None),
        });
    }
    if parts.is_empty() {
        parts.push(Part::unsupported("text", None));
    }
    parts
}

fn attached(attachment: &Object<'_>) -> Part<'static> {
    let mime = own(attachment, "mimeType");
    let word = |name: &str| attachment.words(name).map(|text| text.into_owned()).unwrap_or_default();
    let handle = files::Sealed {
        url: word("url"),
        owner: word("owner"),
        key: word("key"),
        signature: files::signature(attachment),
        mime: mime.as_ref().map(|m| m.to_string()),
        bid: None,
    };
    let media = Media {
        mime_type: mime.clone(),
        size: attachment.int("size").and_then(|size| u64::try_from(size).ok()),
        filename: own(attachment, "name"),
        ..file(&handle)
    };
    let part = MediaPart { media, caption: None };
    match mime.as_deref().unwrap_or_default().split('/').next() {
        Some("image") => Part::Image(part),
        // A recording; every other sound is a file somebody had (type-text, read 2026-11-30).
        Some("audio") if part.media.mime_type.as_deref() == Some("audio/x-caf") => Part::Voice(part),
        Some("audio") => Part::Audio(part),
        Some("video") => Part::Video(part),
        _ => Part::File(part),
    }
}

/// A file that waits to be fetched.
pub(super) fn file(handle: &files::Sealed) -> Media<'static> {
    if handle.url.is_empty() || handle.key.is_empty() {
        let reason = Some(Cow::Borrowed("the provider sent no link or no key"));
        return Media { status: Some(MediaStatus::Unavailable), reason, ..Media::default() };
    }
    let id = serde_json::to_string(handle).unwrap_or_default();
    Media { status: Some(MediaStatus::Pending), source: Some(MediaRef { id, ..MediaRef::default() }), ..Media::default() }
}

/// What the button, code or advertisement carried through which they came.
fn referral(message: &Object<'_>) -> Option<Referral<'static>> {
    let (intent, group) = (own(message, "intent"), own(message, "group"));
    (intent.is_some() || group.is_some()).then(|| Referral {
        kind: Some(Cow::Borrowed("link")),
        id: group,
        payload: intent,
        ..Referral::default()
    })
}

/// What the customer's device is and can show.
fn leftovers(hook: &Webhook<'_>) -> Extra<'static> {
    let mut extra = Extra::default();
    for name in ["device-agent", "capability-list"] {
        adapter::keep(&mut extra, name, hook.header(name).map(Raw::of));
    }
    extra
}

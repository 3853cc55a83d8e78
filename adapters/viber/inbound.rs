//! Callbacks: one event each.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::contract::event::{Follow, Notice, ProviderEvent, Referral, Severity};
use crate::contract::part::{Choice, ChoiceKind, ContactCard, Contacts, Location, MediaPart, MediaStatus};
use crate::contract::*;
use crate::kit::borrow::{Maybe, Word};
use crate::kit::{address::address, object::Object};

/// Links to files die after about an hour (rest-bot-api, read 2026-11-20).
const LINK_MS: i64 = 3_600_000;

/// What is larger is no time in milliseconds (it would be the year 5138).
const LATEST: i64 = 100_000_000_000_000;

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Callback<'a> {
    event: Word<'a>,
    timestamp: Word<'a>,
    // Above 2^53: never a float.
    message_token: Word<'a>,
    user_id: Word<'a>,
    sender: Maybe<User<'a>>,
    user: Maybe<User<'a>>,
    message: Option<&'a RawValue>,
    context: Word<'a>,
    subscribed: Word<'a>,
    silent: Word<'a>,
    desc: Word<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct User<'a> {
    id: Word<'a>,
    name: Word<'a>,
    avatar: Option<&'a RawValue>,
    language: Word<'a>,
    country: Option<&'a RawValue>,
    api_version: Option<&'a RawValue>,
}

/// What a callback means.
pub(super) fn parse<'a>(hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Ok(Maybe(Some(callback))) = serde_json::from_str::<Maybe<Callback<'a>>>(text) else {
        return Parsed::not_understood("the body is not a JSON object");
    };
    let Some(kind) = callback.event.take() else { return Parsed::not_understood("an event without its name") };
    let mut out = Parsed::default();
    let user = callback.sender.0.as_ref().or(callback.user.0.as_ref());
    let id = user.and_then(|u| u.id.take()).or_else(|| callback.user_id.take());
    let peer = id.as_ref().map(|id| Cow::Owned(address("viber", id))).unwrap_or_default();
    // The handshake of the documentation has token and time the wrong way round.
    let time = callback.timestamp.int().filter(|t| (1..=LATEST).contains(t)).map(Time);
    match body(&kind, &callback, user, &peer, time, text) {
        Some(body) => {
            // Receipts repeat the token of the message they are about, so the kind belongs to the key.
            let token = callback.message_token.some().unwrap_or_else(|| callback.timestamp.or_empty());
            let key = Some(Cow::Owned(format!("{kind}:{token}:{}", id.as_deref().unwrap_or_default())));
            out.events.push(Event { account: None, key, medium: Cow::Borrowed("viber"), peer, time, body });
        }
        None => out.leave(format!("a `{kind}` without its content or its person")),
    }
    out
}

fn body<'a>(
    kind: &str,
    callback: &Callback<'a>,
    user: Option<&User<'a>>,
    peer: &Text<'a>,
    time: Option<Time>,
    whole: &'a str,
) -> Option<Body<'a>> {
    let from = || person(user, peer);
    let known = !peer.is_empty();
    Some(match kind {
        "message" if known => written(callback, user, from(), time)?,
        "subscribed" if known => Body::Followed(Follow { from: from(), extra: about(user), ..Follow::default() }),
        "conversation_started" if known => {
            let payload = callback.context.take();
            let referral = payload.clone().map(|p| Referral { kind: Some(Cow::Borrowed("link")), payload: Some(p), ..Referral::default() });
            let mut extra = about(user);
            extra.push("conversation_started", Raw::of(&true));
            extra.push("subscribed", Raw::of(&callback.subscribed.flag()));
            Body::Followed(Follow { from: from(), payload, referral, extra })
        }
        "unsubscribed" if known => Body::Unfollowed(Follow { from: from(), ..Follow::default() }),
        "delivered" | "seen" | "failed" => {
            let state = match kind {
                "delivered" => State::Delivered,
                "seen" => State::Read,
                _ => State::Failed,
            };
            let mut receipt = Receipt { at: time, ..Receipt::new(callback.message_token.take()?, state) };
            if state == State::Failed {
                receipt.error = Some(Reason::new(ErrorClass::Content, "client_failed", "the person's Viber could not show the message"));
                receipt.detail = callback.desc.take();
            }
            Body::Receipt(receipt)
        }
        "webhook" => Body::Notice(Notice {
            kind: Cow::Borrowed("webhook_set"),
            severity: Severity::Info,
            text: Cow::Borrowed("Viber checked the webhook's address"),
            raw: None,
        }),
        "message" | "subscribed" | "conversation_started" | "unsubscribed" => return None,
        other => Body::Provider(ProviderEvent {
            provider_type: Cow::Owned(other.to_owned()),
            raw: Raw::borrowed(serde_json::from_str(whole).ok()?),
        }),
    })
}

fn person<'a>(user: Option<&User<'a>>, peer: &Text<'a>) -> Person<'a> {
    Person {
        name: user.and_then(|u| u.name.take()),
        locale: user.and_then(|u| u.language.take()),
        kind: Some(Cow::Borrowed("person")),
        ..Person::at(peer.clone())
    }
}

fn about<'a>(user: Option<&User<'a>>) -> Extra<'a> {
    let mut extra = Extra::default();
    let fields = user.map(|u| [("avatar", u.avatar), ("country", u.country), ("api_version", u.api_version)]);
    for (name, raw) in fields.into_iter().flatten() {
        adapter::keep(&mut extra, name, raw.filter(|raw| !matches!(raw.get(), "null" | "\"\"")).map(Raw::borrowed));
    }
    extra
}

fn written<'a>(callback: &Callback<'a>, user: Option<&User<'a>>, from: Person<'a>, time: Option<Time>) -> Option<Body<'a>> {
    let raw = callback.message?;
    let message = Object::parse(raw.get())?;
    let mut parts = parts(&message, callback.silent.flag(), time);
    if parts.is_empty() {
        let kind = message.words("type").unwrap_or(Cow::Borrowed("message"));
        parts.push(Part::unsupported(kind, Some(Raw::borrowed(raw))));
    }
    let mut extra = about(user);
    for name in ["tracking_data", "sticker_id", "thumbnail"] {
        adapter::keep(&mut extra, name, message.kept(name).filter(|raw| raw.get() != "\"\""));
    }
    let id = callback.message_token.take()?;
    let message = Message { id, sent_at: time, parts, ..Message::default() };
    Some(Body::Received(Received { from, message, extra, ..Received::default() }))
}

fn parts<'a>(message: &Object<'a>, silent: bool, time: Option<Time>) -> Vec<Part<'a>> {
    let text = message.words("text");
    let file = |caption| media(message, time).map(|media| MediaPart { media, caption });
    let part = match &*message.words("type").unwrap_or_default() {
        // A pressed button says its payload without showing it.
        "text" if silent => text.map(|id| Part::Choice(Choice { kind: ChoiceKind::Button, id: Some(id), title: None, values: Vec::new() })),
        "text" => text.map(Part::text),
        "picture" => file(text).map(Part::Image),
        "video" => file(text).map(Part::Video),
        "file" => file(None).map(Part::File),
        "sticker" => file(None).or_else(|| Some(MediaPart { media: no_file(), caption: None })).map(Part::Sticker),
        // A link may come with words beside it.
        "url" => message.words("media").map(|url| match text.filter(|text| !text.contains(&*url)) {
            Some(text) => Part::text(format!("{text}\n{url}")),
            None => Part::text(url),
        }),
        "contact" => message.object("contact").map(|card| {
            let card = ContactCard {
                name: card.words("name"),
                phones: card.words("phone_number").into_iter().collect(),
                ..ContactCard::default()
            };
            Part::Contacts(Contacts { contacts: vec![card] })
        }),
        "location" => message.object("location").and_then(|place| {
            let (latitude, longitude) = (place.float("lat")?, place.float("lon")?);
            Some(Part::Location(Location { latitude, longitude, address: place.words("address"), ..Location::default() }))
        }),
        _ => None,
    };
    part.into_iter().collect()
}

fn no_file<'a>() -> Media<'a> {
    let reason = Some(Cow::Borrowed("the provider sent no link; its number stands in `extra`"));
    Media { status: Some(MediaStatus::Unavailable), reason, ..Media::default() }
}

fn media<'a>(message: &Object<'a>, time: Option<Time>) -> Option<Media<'a>> {
    let url = message.words("media").filter(|url| url.starts_with("http"))?.into_owned();
    let number = |name: &str| message.int(name).and_then(|n| u64::try_from(n).ok());
    let source = MediaRef { id: String::new(), url: Some(url), expires_at: time.map(|t| t.plus(LINK_MS)) };
    Some(Media {
        size: number("size").or_else(|| number("file_size")),
        filename: message.words("file_name"),
        duration_ms: number("duration").map(|seconds| seconds.saturating_mul(1000)),
        status: Some(MediaStatus::Pending),
        source: Some(source),
        ..Media::default()
    })
}

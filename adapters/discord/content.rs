//! Messages and people, the same in webhook events, interactions and the gateway's dispatches.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::inbound::{made, stamp};
use super::{Channel, markup, place};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::object::Object;

/// discord.com/developers/docs/resources/message, flags and types, read 2026-11-20.
const VOICE: i64 = 1 << 13;
const REPLY: i64 = 19;

/// What is told elsewhere in the event, repeats another field, or says nothing.
const TOLD: &[&str] = &[
    "id",
    "channel_id",
    "lobby_id",
    "author",
    "member",
    "content",
    "timestamp",
    "edited_timestamp",
    "type",
    "mentions",
    "attachments",
    "sticker_items",
    "message_reference",
    "referenced_message",
    "message_snapshots",
    "poll",
    "nonce",
    "tts",
    "pinned",
    "mention_everyone",
    "mention_roles",
    "application_id",
    "channel_type",
];

/// A user as a person.
pub(super) fn person<'a>(user: &Object<'a>, member: Option<&Object<'a>>) -> Option<Person<'a>> {
    let id = user.words("id")?;
    let kind = if user.flag("bot") { "bot" } else { "person" };
    Some(Person {
        name: member.and_then(|member| member.words("nick")).or_else(|| user.words("global_name")),
        username: user.words("username"),
        kind: Some(kind.into()),
        ..Person::at(place::user(&id))
    })
}

/// The conversation of a message.
pub(super) fn peer(fields: &Object<'_>) -> Option<String> {
    let channel = || fields.object("channel").and_then(|channel| channel.words("id"));
    fields.words("channel_id").or_else(|| fields.words("lobby_id")).or_else(channel).map(|id| place::channel(&id))
}

/// Whether an application or a webhook wrote it: an answer could go round for ever.
pub(super) fn automatic(fields: &Object<'_>) -> bool {
    fields.object("author").is_some_and(|author| author.flag("bot")) || fields.has("webhook_id")
}

/// Whether it is our own.
pub(super) fn own(channel: &Channel, fields: &Object<'_>) -> bool {
    let ours = Some(channel.settings.application_id.as_str());
    let author = fields.object("author").and_then(|author| author.words("id"));
    fields.words("application_id").as_deref() == ours || author.as_deref() == ours
}

/// The event of a message. Ours are receipts, those of other bots nothing to answer.
pub(super) fn received<'a>(channel: &Channel, account: Text<'a>, fields: &Object<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let id = fields.words("id").ok_or("a message without `id`")?;
    let peer = peer(fields).ok_or("a message without `channel_id`")?;
    let time = stamp(fields.text("timestamp")).or_else(|| place::time(&id));
    let key = Some(id.clone().into_owned());
    if automatic(fields) {
        let body = if own(channel, fields) {
            Body::Receipt(Receipt { at: time, ..Receipt::new(id, State::Sent) })
        } else {
            Body::Provider(ProviderEvent { provider_type: "bot_message".into(), raw: Raw::borrowed(raw) })
        };
        return Ok(made(account, key, peer, time, body));
    }
    let from = author(fields).ok_or("a message without an author")?;
    let to = Some(place::user(&channel.settings.application_id).into());
    let body = Received { from, to, message: message(channel, fields, raw), extra: extra(fields), ..Received::default() };
    Ok(made(account, key, peer, time, Body::Received(body)))
}

/// The event of a changed message; unfurled links come the same way and are none.
pub(super) fn edited<'a>(
    channel: &Channel,
    account: Text<'a>,
    fields: &Object<'a>,
    raw: &'a RawValue,
    time: Option<Time>,
) -> Result<Event<'a>, String> {
    let id = fields.words("id").ok_or("a message without `id`")?;
    let peer = peer(fields).ok_or("a message without `channel_id`")?;
    let at = stamp(fields.text("edited_timestamp"));
    let stamp = fields.text("edited_timestamp").unwrap_or_default();
    let when = at.or(time);
    // Between accounts that exist in the game only, no message tells when it was changed; nor are there links to unfurl.
    let changed = at.is_some() || time.is_some() && fields.has("recipient_id");
    let person = author(fields).filter(|_| changed && !automatic(fields));
    let body = match person {
        Some(from) => Body::Edited(Edited { from, message: message(channel, fields, raw), message_id: id.clone(), extra: extra(fields) }),
        None => Body::Provider(ProviderEvent { provider_type: "message_update".into(), raw: Raw::borrowed(raw) }),
    };
    let mark = if stamp.is_empty() { when.map(|t| t.to_string()).unwrap_or_default() } else { stamp.into_owned() };
    Ok(made(account, Some(format!("{id}:{mark}")), peer, when, body))
}

fn author<'a>(fields: &Object<'a>) -> Option<Person<'a>> {
    person(&fields.object("author")?, fields.object("member").as_ref())
}

/// A message's content.
pub(super) fn message<'a>(channel: &Channel, fields: &Object<'a>, raw: &'a RawValue) -> Message<'a> {
    let id = fields.words("id").unwrap_or_default();
    let reference = fields.object("message_reference").unwrap_or_default();
    let forwarded = reference.int("type") == Some(1);
    let snapshot = fields.objects("message_snapshots").into_iter().next().and_then(|s| s.object("message"));
    let quoted = fields.object("referenced_message").unwrap_or_default();
    let is_reply = fields.int("type") == Some(REPLY) || !forwarded && reference.has("message_id");
    let reply_to = reference.words("message_id").filter(|_| is_reply).map(|id| ReplyTo {
        id: Some(id),
        text: quoted.words("content"),
        ..ReplyTo::default()
    });
    let guild = fields.has("guild_id");
    Message {
        sent_at: stamp(fields.text("timestamp")).or_else(|| place::time(&id)),
        parts: parts(channel, snapshot.as_ref().filter(|_| forwarded).unwrap_or(fields), raw),
        reply_to,
        group: fields
            .words("channel_id")
            .or_else(|| fields.words("lobby_id"))
            .filter(|_| guild || fields.has("lobby_id"))
            .map(|id| Group { id, name: None }),
        forwarded: forwarded.then_some(true),
        id,
        ..Message::default()
    }
}

fn parts<'a>(channel: &Channel, fields: &Object<'a>, raw: &'a RawValue) -> Vec<Part<'a>> {
    let text = fields.words("content").map(|text| markup::read(text, &fields.objects("mentions"), &channel.settings.application_id));
    let voice = fields.int("flags").unwrap_or_default() & VOICE != 0;
    let mut files: Vec<Part<'a>> = fields.objects("attachments").iter().filter_map(|file| attachment(file, voice)).collect();
    let mut parts = Vec::with_capacity(1);
    match (text, files.first_mut()) {
        (Some(text), Some(Part::Image(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m)))
            if text.mentions.is_empty() && m.caption.is_none() =>
        {
            m.caption = Some(text.text);
        }
        (Some(text), _) => parts.push(Part::Text(text)),
        (None, _) => {}
    }
    parts.extend(files);
    parts.extend(fields.objects("sticker_items").iter().filter_map(sticker));
    if let Some(poll) = fields.object("poll") {
        let words = |object: Option<Object<'a>>| object.and_then(|o| o.words("text"));
        let options = poll.objects("answers").into_iter().filter_map(|answer| words(answer.object("poll_media"))).collect();
        let multiple = poll.has("allow_multiselect").then(|| poll.flag("allow_multiselect"));
        parts.push(Part::Poll(Poll { question: words(poll.object("question")).unwrap_or_default(), options, multiple }));
    }
    if parts.is_empty() {
        parts.push(Part::unsupported("message", Some(Raw::borrowed(raw))));
    }
    parts
}

/// A file. Its link works for about a day and says until when.
pub(super) fn attachment<'a>(file: &Object<'a>, voice: bool) -> Option<Part<'a>> {
    let url = file.words("url")?;
    let pixels = |name: &str| file.int(name).and_then(|n| u32::try_from(n).ok());
    let expires_at = url::Url::parse(&url).ok().and_then(|url| {
        let (_, ex) = url.query_pairs().find(|(name, _)| name == "ex")?;
        i64::from_str_radix(&ex, 16).ok().map(Time::from_secs)
    });
    // Older deliveries name no type; then the file's name is all there is to tell a picture from a paper.
    let mime = file.words("content_type").or_else(|| Some(usual(&file.words("filename")?)?.into()));
    let media = Media {
        mime_type: mime.clone(),
        size: file.int("size").and_then(|n| u64::try_from(n).ok()),
        filename: named(file),
        width: pixels("width"),
        height: pixels("height"),
        duration_ms: file.float("duration_secs").filter(|s| *s >= 0.0).map(|s| (s * 1000.0) as u64),
        status: Some(MediaStatus::Pending),
        source: Some(MediaRef { id: file.words("id").map(Text::into_owned).unwrap_or_default(), url: Some(url.into_owned()), expires_at }),
        ..Media::default()
    };
    let part = MediaPart { media, caption: file.words("description") };
    Some(match mime.as_deref().and_then(|m| m.split('/').next()) {
        _ if voice => Part::Voice(part),
        Some("image") => Part::Image(part),
        Some("video") => Part::Video(part),
        Some("audio") => Part::Audio(part),
        _ => Part::File(part),
    })
}

/// The file's name as its sender wrote it. Discord keeps few letters in the name itself, and the rest in a title without ending.
fn named<'a>(file: &Object<'a>) -> Option<Text<'a>> {
    let name = file.words("filename")?;
    Some(match (file.words("title"), name.rsplit_once('.')) {
        (Some(title), Some((_, ending))) => format!("{title}.{ending}").into(),
        _ => name,
    })
}

/// The type of the files people send most, by the ending of their names.
fn usual(filename: &str) -> Option<&'static str> {
    let (_, ending) = filename.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "pdf" => "application/pdf",
        _ => return None,
    })
}

/// A sticker: discord.com/developers/docs/reference#image-formatting, read 2026-11-20.
fn sticker<'a>(sticker: &Object<'a>) -> Option<Part<'a>> {
    let id = sticker.words("id")?;
    let (ending, mime) = match sticker.int("format_type") {
        Some(3) => ("json", "application/json"),
        Some(4) => ("gif", "image/gif"),
        _ => ("png", "image/png"),
    };
    let host = if ending == "gif" { "media.discordapp.net" } else { "cdn.discordapp.com" };
    let source = MediaRef { url: Some(format!("https://{host}/stickers/{id}.{ending}")), id: id.into_owned(), expires_at: None };
    let media =
        Media { mime_type: Some(Cow::Borrowed(mime)), status: Some(MediaStatus::Pending), source: Some(source), ..Media::default() };
    Some(Part::Sticker(MediaPart { media, caption: sticker.words("name") }))
}

fn extra<'a>(fields: &Object<'a>) -> Extra<'a> {
    let mut extra = Extra::default();
    for (name, raw) in &fields.0 {
        if !TOLD.contains(&&**name) && !matches!(raw.get(), "null" | "[]" | "{}" | "0" | "false") {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
    }
    extra
}

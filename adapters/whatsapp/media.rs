//! Files: fetched in two steps, sent by link, or uploaded first.

use serde_json::{Value, json};

use super::Channel;
use crate::contract::*;
use crate::kit::hub;

/// Which kind of message carries a file (`business-phone-numbers/media`, read 2026-11-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Video,
    Audio,
    Document,
    Sticker,
}

impl Kind {
    /// The word in the request.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    fn takes(self, mime: &str) -> bool {
        match self {
            Self::Image => matches!(mime, "image/jpeg" | "image/jpg" | "image/png"),
            Self::Video => matches!(mime, "video/mp4" | "video/3gpp" | "video/3gp"),
            Self::Audio => {
                matches!(
                    mime,
                    "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp3" | "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "audio/ogg"
                )
            }
            Self::Sticker => mime == "image/webp",
            Self::Document => true,
        }
    }

    fn most(self) -> u64 {
        match self {
            Self::Image => 5 << 20,
            Self::Video | Self::Audio => 16 << 20,
            Self::Document => 100 << 20,
            Self::Sticker => 500 << 10,
        }
    }
}

/// The file's type: as said, else as its name ends. Parameters are left out.
pub(super) fn mime(media: &Media<'_>) -> Option<String> {
    if let Some(mime) = media.mime_type.as_deref().filter(|m| m.contains('/')) {
        return Some(mime.split(';').next().unwrap_or(mime).trim().to_ascii_lowercase());
    }
    let name = media.filename.as_deref().or(media.url.as_deref())?;
    let path = name.split(['?', '#']).next().unwrap_or(name);
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    let mime = match ending.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp4" => "video/mp4",
        "3gp" => "video/3gpp",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "aac" => "audio/aac",
        "amr" => "audio/amr",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "ogg" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "pdf" => "application/pdf",
        _ => return None,
    };
    Some(mime.to_owned())
}

/// The kind this file can go as, and why it is not the one that was meant.
pub(super) fn fitting(wanted: Kind, media: &Media<'_>, at: &str) -> Result<(Kind, Option<&'static str>), RenderError> {
    let size = media.size.unwrap_or(0);
    let mime = mime(media);
    let typed = mime.as_deref().is_none_or(|mime| wanted.takes(mime));
    let (kind, why) = match wanted {
        _ if typed && size <= wanted.most() => (wanted, None),
        Kind::Sticker if mime.as_deref().is_some_and(|m| Kind::Image.takes(m)) && size <= Kind::Image.most() => {
            (Kind::Image, Some("a sticker is a webp of at most 500 KB"))
        }
        _ if !typed => (Kind::Document, Some("WhatsApp does not show this type of file itself")),
        _ => (Kind::Document, Some("the file is too large to be shown")),
    };
    if size > kind.most() {
        return Err(RenderError::new(format!("{at}/size"), "media_too_large", "WhatsApp takes files of up to 100 MB"));
    }
    Ok((kind, why))
}

/// Where the file comes from.
pub(super) enum Source {
    /// WhatsApp fetches it.
    Link(String),
    /// It is uploaded first.
    Upload(Field),
}

/// The source of an outbound file.
pub(super) fn source(media: &Media<'_>, at: &str) -> Result<Source, RenderError> {
    if let Some(url) = media.url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
        return Ok(Source::Link(url.to_owned()));
    }
    match media.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => {
            let mime_type = media.mime_type.as_deref().map(str::to_owned).or_else(|| mime(media));
            Ok(Source::Upload(Field::Media {
                name: "file".into(),
                id: id.to_owned(),
                filename: media.filename.as_deref().unwrap_or("file").to_owned(),
                mime_type: mime_type.unwrap_or_else(|| "application/octet-stream".into()),
            }))
        }
        None => Err(RenderError::new(at, "media_missing", "a file needs an http(s) `url` or the `id` of an uploaded file")),
    }
}

/// The upload, with the message that waits for its id at `pointer`.
pub(super) fn upload(channel: &Channel, file: Field, message: &Value, pointer: &str) -> Call {
    let mime = match &file {
        Field::Media { mime_type, .. } => mime_type.clone(),
        Field::Text { .. } => String::new(),
    };
    let text = |name: &str, value: &str| Field::Text { name: name.into(), value: value.into() };
    let fields = vec![text("messaging_product", "whatsapp"), text("type", &mime), file];
    let note = json!({ "url": channel.url("/messages"), "pointer": pointer, "body": message });
    channel.authorised(Call::multipart(channel.url("/media"), fields)).then(note.to_string())
}

/// The message that waited for an upload.
pub(super) fn send(call: &Call, id: &str) -> Option<Call> {
    let mut note: Value = serde_json::from_slice(call.then.as_ref()?).ok()?;
    let pointer = note["pointer"].as_str()?.to_owned();
    let url = note["url"].as_str()?.to_owned();
    let body = note.get_mut("body")?;
    *body.pointer_mut(&pointer)? = id.into();
    let mut next = Call::json(url, body);
    next.secret_headers.clone_from(&call.secret_headers);
    Some(next)
}

/// The first step: the id's link, good for five minutes.
pub(super) fn fetch(channel: &Channel, media: &MediaRef) -> Option<Call> {
    if media.id.is_empty() {
        return media.url.as_deref().map(|url| download(channel, url));
    }
    let id: String = media.id.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let number = &channel.settings.phone_number_id;
    (id == media.id).then(|| channel.authorised(Call::get(format!("{}/{id}?phone_number_id={number}", channel.base))))
}

/// The second step: the bytes. The token goes to the provider's own hosts alone.
fn download(channel: &Channel, link: &str) -> Call {
    let (link, ours) = hub::file(link, channel.settings.api_base.as_deref());
    let call = Call::get(link).redirects(3);
    if ours { channel.authorised(call) } else { call }
}

/// What an answer of either step means.
pub(super) fn fetched(channel: &Channel, call: &Call, reply: &Reply) -> Fetched {
    let first = call.url.contains("?phone_number_id=");
    let status = reply.status.as_u16();
    match status {
        200..=299 if first => match serde_json::from_slice::<Value>(&reply.body).ok().and_then(|v| Some(v["url"].as_str()?.to_owned())) {
            Some(link) => Fetched::Call(download(channel, &link)),
            None => Fetched::Later,
        },
        200..=299 => Fetched::Bytes,
        408 | 425 | 429 | 500..=599 => Fetched::Later,
        // The link has run out: a new one is asked for.
        401 | 403 | 404 | 410 if !first => Fetched::Later,
        401 | 403 if first => Fetched::Later,
        _ => Fetched::Gone(format!("WhatsApp answered {status}: media are kept for 7 days")),
    }
}

//! Files: which method carries one, and how to fetch one that a person sent.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Channel;
use crate::contract::*;
use crate::kit::object::Object;

/// core.telegram.org/bots/api#sending-files, read 2026-11-20.
const MB: u64 = 1 << 20;
const PHOTO_LINK: u64 = 5 * MB;
const PHOTO_UPLOAD: u64 = 10 * MB;
const LINK: u64 = 20 * MB;
const UPLOAD: u64 = 50 * MB;

/// What a file is to be shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Photo,
    Video,
    Animation,
    Audio,
    Voice,
    Document,
    Sticker,
}

impl Kind {
    /// The parameter that names the file.
    pub fn field(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Video => "video",
            Self::Animation => "animation",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    pub fn method(self) -> &'static str {
        match self {
            Self::Photo => "sendPhoto",
            Self::Video => "sendVideo",
            Self::Animation => "sendAnimation",
            Self::Audio => "sendAudio",
            Self::Voice => "sendVoice",
            Self::Document => "sendDocument",
            Self::Sticker => "sendSticker",
        }
    }

    /// What may stand in one album: pictures with films, or documents alone, or sound alone.
    pub fn album(self) -> Option<&'static str> {
        match self {
            Self::Photo | Self::Video => Some("visual"),
            Self::Document => Some("document"),
            Self::Audio => Some("audio"),
            _ => None,
        }
    }
}

/// The type, among `InputMedia`, of what a method sends; voice messages and stickers have none.
pub(super) fn editable(method: &str) -> Option<&'static str> {
    let kinds = [Kind::Photo, Kind::Video, Kind::Animation, Kind::Audio, Kind::Document];
    kinds.into_iter().find(|kind| kind.method() == method).map(Kind::field)
}

/// Where Telegram gets the file from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// It fetches it from this address.
    Link(String),
    /// It comes with the call.
    Upload(Field),
}

/// How a file goes out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// As a file, and why not as what was meant.
    File(Kind, Source, Option<&'static str>),
    /// As its address in words, and why.
    Words(String, &'static str),
}

/// Decides how a file goes out. `at` is the pointer of the media.
pub(super) fn way(kind: Kind, media: &Media<'_>, at: &str) -> Result<Way, RenderError> {
    let link = media.url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    let id = media.id.as_deref().filter(|id| !id.is_empty());
    if link.is_none() && id.is_none() {
        return Err(RenderError::new(at, "media_missing", "a file needs `url` (http or https) or `id`"));
    }
    let size = media.size.unwrap_or_default();
    let (kind, why) = fitting(kind, media, link.is_none());
    let max = if kind == Kind::Photo { PHOTO_LINK } else { LINK };
    let fetches = kind != Kind::Document || is_any(media, &["pdf", "zip", "gif"]);
    if let Some(link) = link.filter(|_| size <= max && fetches) {
        return Ok(Way::File(kind, Source::Link(link.to_owned()), why));
    }
    if let Some(id) = id.filter(|_| size <= UPLOAD) {
        let large = kind == Kind::Photo && size > PHOTO_UPLOAD;
        let kind = if large { Kind::Document } else { kind };
        let field = Field::Media { name: kind.field().into(), id: id.into(), filename: filename(media), mime_type: mime(media) };
        return Ok(Way::File(kind, Source::Upload(field), if large { Some("a photo is at most 10 MB") } else { why }));
    }
    match link {
        Some(link) if !fetches => Ok(Way::Words(link.into(), "Telegram fetches only GIF, PDF and ZIP documents from an address")),
        Some(link) => Ok(Way::Words(link.into(), "Telegram fetches photos to 5 MB and other files to 20 MB from an address")),
        None => Err(RenderError::new(at, "media_too_large", "Telegram takes files to 50 MB")),
    }
}

/// The kind that can show a file of this type, and why it is not the one meant.
fn fitting(kind: Kind, media: &Media<'_>, upload: bool) -> (Kind, Option<&'static str>) {
    let known = media.mime_type.is_some() || !extension(media).is_empty();
    match kind {
        Kind::Photo if is_any(media, &["gif"]) => (Kind::Animation, None),
        Kind::Photo if known && is_any(media, &["svg", "svg+xml", "tiff", "tif", "heic", "heif", "avif", "bmp", "psd"]) => {
            (Kind::Document, Some("Telegram shows JPEG, PNG and WEBP as photos"))
        }
        Kind::Audio | Kind::Voice
            if known && is_any(media, &["wav", "x-wav", "wave", "flac", "x-flac", "amr", "aac", "webm", "aiff", "mid", "midi"]) =>
        {
            (Kind::Document, Some("Telegram plays MP3, M4A and OGG"))
        }
        Kind::Audio if is_any(media, &["ogg", "oga", "opus"]) => (Kind::Voice, None),
        Kind::Sticker if !upload && known && !is_any(media, &["webp"]) => (Kind::Photo, Some("a sticker from an address must be WEBP")),
        kind => (kind, None),
    }
}

/// The kind a file has by its type alone.
pub(super) fn by_type(media: &Media<'_>) -> Kind {
    match media.mime_type.as_deref().and_then(|m| m.split('/').next()) {
        None | Some("image") => Kind::Photo,
        Some("video") => Kind::Video,
        Some("audio") => Kind::Audio,
        Some(_) => Kind::Document,
    }
}

/// Whether the type or, without one, the name's ending is one of these.
fn is_any(media: &Media<'_>, kinds: &[&str]) -> bool {
    let subtype = match media.mime_type.as_deref() {
        Some(mime) => mime.split(';').next().and_then(|m| m.split('/').nth(1)).unwrap_or_default().trim().to_lowercase(),
        None => extension(media),
    };
    kinds.contains(&subtype.as_str())
}

fn extension(media: &Media<'_>) -> String {
    let name = media.filename.as_deref().or(media.url.as_deref()).unwrap_or_default();
    let name = name.split(['?', '#']).next().and_then(|n| n.rsplit('/').next()).unwrap_or_default();
    name.rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_lowercase())
}

fn mime(media: &Media<'_>) -> String {
    media.mime_type.as_deref().unwrap_or("application/octet-stream").to_owned()
}

fn filename(media: &Media<'_>) -> String {
    if let Some(name) = media.filename.as_deref().filter(|n| !n.is_empty()) {
        return name.to_owned();
    }
    let mime = mime(media);
    let ending = match mime.split('/').nth(1).unwrap_or_default() {
        "jpeg" => "jpg",
        "mpeg" => "mp3",
        "octet-stream" => "bin",
        other => other,
    };
    format!("file.{ending}")
}

/// Reads `getFile`'s answer, then the file itself.
pub(super) fn fetched(bot: &Channel, call: &Call, reply: &Reply) -> Fetched {
    const NAME: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'?').add(b'{').add(b'}').add(b'<').add(b'>').add(b'\\');
    let status = reply.status.as_u16();
    let file = call.url.contains("/file/bot");
    if file && reply.status.is_success() {
        return Fetched::Bytes;
    }
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    let path = body.object("result").and_then(|result| result.words("file_path"));
    match path {
        Some(path) if !file && reply.status.is_success() => {
            if path.starts_with('/') || path.split('/').any(|step| step == "..") {
                return Fetched::Gone("the Bot API server keeps files on its own disk (`--local`); they cannot be fetched".into());
            }
            let url = format!("{}/file/bot{{secret}}/{}", bot.base, utf8_percent_encode(&path, NAME));
            return Fetched::Call(Call::get(url).url_secret(bot.settings.bot_token.first()));
        }
        _ => {}
    }
    let description = body.text("description").unwrap_or_default().to_lowercase();
    match status {
        _ if description.contains("file is too big") => Fetched::Gone("the file is larger than the 20 MB a bot may download".into()),
        // A link lives an hour at least; after that `getFile` gives a new one, which the next try asks for.
        401 | 408 | 425 | 429 | 500..=599 => Fetched::Later,
        _ if description.contains("temporarily unavailable") => Fetched::Later,
        _ => Fetched::Gone(format!("Telegram answered {status}")),
    }
}

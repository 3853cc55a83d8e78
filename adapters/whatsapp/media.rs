//! Files: what WhatsApp shows as what, how ours get there, and how those of people are fetched.

use serde_json::{Map, Value, json};
use url::Url;

use super::Channel;
use crate::contract::*;
use crate::kit::object::Object;

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;

/// What a file is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Video,
    Audio,
    Voice,
    Document,
    Sticker,
}

impl Kind {
    /// Its word in requests.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio | Self::Voice => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    pub(super) fn has_caption(self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Document)
    }

    /// Types it can be, and its largest size (business-phone-numbers/media, read 2026-11-20).
    fn fits(self) -> (&'static [&'static str], u64) {
        match self {
            Self::Image => (&["image/jpeg", "image/png"], 5 * MB),
            Self::Video => (&["video/mp4", "video/3gpp"], 16 * MB),
            Self::Audio => (&["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"], 16 * MB),
            Self::Voice => (&["audio/ogg"], 16 * MB),
            Self::Sticker => (&["image/webp"], 500 * KB),
            Self::Document => (&[], 100 * MB),
        }
    }
}

/// Where WhatsApp gets the file from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// It fetches it from this address.
    Link(String),
    /// It is uploaded first.
    Upload(Field),
}

/// A file as it will go out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) source: Source,
    pub(super) filename: Option<String>,
    /// Why it is not shown as what was meant.
    pub(super) why: Option<&'static str>,
}

/// Decides how a file goes out. `at` is the pointer of the media.
pub(super) fn file(kind: Kind, media: &Media<'_>, at: &str) -> Result<File, RenderError> {
    let link = media.url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    let id = media.id.as_deref().filter(|id| !id.is_empty());
    if link.is_none() && id.is_none() {
        return Err(RenderError::new(at, "media_missing", "a file needs `url` (http or https) or `id`"));
    }
    let size = media.size.unwrap_or_default();
    if size > Kind::Document.fits().1 {
        return Err(RenderError::new(at, "media_too_large", "WhatsApp takes files to 100 MB"));
    }
    let mime = mime_of(media);
    let (kind, why) = fitting(kind, mime.as_deref(), size);
    let name = media.filename.as_deref().map(str::to_owned).or_else(|| id.map(|id| with_extension(id, mime.as_deref())));
    let source = match (link, id) {
        (Some(link), _) => Source::Link(link.to_owned()),
        (None, id) => Source::Upload(Field::Media {
            name: "file".into(),
            id: id.unwrap_or_default().to_owned(),
            filename: name.clone().unwrap_or_default(),
            mime_type: mime.unwrap_or_else(|| "application/octet-stream".into()),
        }),
    };
    let filename = media.filename.as_deref().filter(|_| kind == Kind::Document).map(str::to_owned);
    Ok(File { kind, source, filename, why })
}

/// The kind that can show a file of this type and size, and why it is not the one meant.
fn fitting(kind: Kind, mime: Option<&str>, size: u64) -> (Kind, Option<&'static str>) {
    let fits = |kind: Kind| {
        let (types, max) = kind.fits();
        size <= max && mime.is_none_or(|mime| types.is_empty() || types.contains(&mime))
    };
    match kind {
        kind if fits(kind) => (kind, None),
        Kind::Voice if fits(Kind::Audio) => (Kind::Audio, Some("a voice note must be OGG with Opus")),
        Kind::Sticker if fits(Kind::Image) => (Kind::Image, Some("a sticker is WEBP of at most 500 KB")),
        Kind::Image => (Kind::Document, Some("WhatsApp shows JPEG and PNG to 5 MB as pictures")),
        Kind::Video => (Kind::Document, Some("WhatsApp plays MP4 and 3GP to 16 MB")),
        Kind::Audio | Kind::Voice => (Kind::Document, Some("WhatsApp plays AAC, AMR, MP3, M4A and OGG to 16 MB")),
        Kind::Sticker => (Kind::Document, Some("a sticker is WEBP of at most 500 KB")),
        Kind::Document => (kind, None),
    }
}

/// The kind a file has by its type alone.
pub(super) fn by_type(media: &Media<'_>) -> Kind {
    match mime_of(media).as_deref().and_then(|mime| mime.split('/').next()) {
        None | Some("image") => Kind::Image,
        Some("video") => Kind::Video,
        Some("audio") => Kind::Audio,
        Some(_) => Kind::Document,
    }
}

/// The type without parameters; by the name's ending when it is not given.
fn mime_of(media: &Media<'_>) -> Option<String> {
    if let Some(mime) = media.mime_type.as_deref() {
        let bare = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        return Some(match bare.as_str() {
            "image/jpg" => "image/jpeg".into(),
            "audio/mp3" => "audio/mpeg".into(),
            "audio/m4a" | "audio/x-m4a" => "audio/mp4".into(),
            "audio/opus" => "audio/ogg".into(),
            _ => bare,
        });
    }
    let name = media.filename.as_deref().or(media.url.as_deref())?;
    let name = name.split(['?', '#']).next()?.rsplit('/').next()?;
    let (_, ending) = name.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, mime)| (*mime).to_owned())
}

const ENDINGS: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("mp4", "video/mp4"),
    ("3gp", "video/3gpp"),
    ("mov", "video/quicktime"),
    ("aac", "audio/aac"),
    ("amr", "audio/amr"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("wav", "audio/wav"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("zip", "application/zip"),
];

fn with_extension(name: &str, mime: Option<&str>) -> String {
    match ENDINGS.iter().find(|(_, known)| Some(*known) == mime) {
        Some((ending, _)) => format!("{name}.{ending}"),
        None => name.to_owned(),
    }
}

/// Stands in a request for the id of a file that is not uploaded yet; no text of a person holds it.
const PENDING: &str = "\u{1}upload\u{1}";

impl File {
    /// The object that names the file: by its address, or by the id its upload will give.
    pub(super) fn named(&self) -> Map<String, Value> {
        let mut named = Map::new();
        match &self.source {
            Source::Link(link) => named.insert("link".into(), link.as_str().into()),
            Source::Upload(_) => named.insert("id".into(), PENDING.into()),
        };
        named
    }
}

/// The call that brings a message whose files have to be uploaded first: the upload of the next one, with the message
/// in its memo; or the message itself.
pub(super) fn call(channel: &Channel, body: &Value, mut files: Vec<Field>) -> Call {
    if files.is_empty() {
        return channel.messages(body);
    }
    let rest = files.split_off(1);
    let Some(Field::Media { mime_type, .. }) = files.first() else { return channel.messages(body) };
    let text = |name: &str, value: &str| Field::Text { name: name.into(), value: value.into() };
    let mut fields = vec![text("messaging_product", "whatsapp"), text("type", mime_type)];
    fields.append(&mut files);
    let rest: Vec<Value> = rest.into_iter().map(remembered).collect();
    let memo = json!({ "message": body, "files": rest });
    let url = format!("{}/{}/media", channel.base, channel.settings.phone_number_id);
    Call::multipart(url, fields).bearer(channel.settings.access_token.first()).memo(memo.to_string())
}

fn remembered(field: Field) -> Value {
    match field {
        Field::Media { name, id, filename, mime_type } => json!([name, id, filename, mime_type]),
        Field::Text { name, value } => json!([name, value]),
    }
}

/// What the answer to an upload means; `None` for any other call.
pub(super) fn uploaded(channel: &Channel, call: &Call, reply: &Reply) -> Option<Step> {
    let memo: Value = serde_json::from_slice(call.memo.as_ref()?).ok()?;
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    let Some(id) = body.words("id").filter(|_| reply.status.is_success()) else {
        // The message itself has not left: nothing about it can be in doubt.
        return Some(match super::errors::classify(reply) {
            Step::Done(Verdict::Unclear(reason)) => Step::Done(Verdict::Retry(Reason { class: ErrorClass::Transient, ..reason })),
            Step::Done(Verdict::Accept { .. }) => Step::Done(Verdict::Retry(adapter::unexplained(reply.status))),
            step => step,
        });
    };
    let mut message = memo["message"].clone();
    fill(&mut message, &id);
    let files = memo["files"].as_array().into_iter().flatten().filter_map(|file| {
        let at = |i: usize| file.get(i).and_then(Value::as_str).map(str::to_owned);
        Some(Field::Media { name: at(0)?, id: at(1)?, filename: at(2)?, mime_type: at(3)? })
    });
    Some(Step::Call(self::call(channel, &message, files.collect())))
}

/// Puts the id in the first place that waits for one; true when there was one.
fn fill(value: &mut Value, id: &str) -> bool {
    match value {
        Value::String(text) if text == PENDING => {
            *text = id.to_owned();
            true
        }
        Value::Array(items) => items.iter_mut().any(|item| fill(item, id)),
        Value::Object(fields) => fields.values_mut().any(|field| fill(field, id)),
        _ => false,
    }
}

/// The first step of a download: the file's address, which works for 5 minutes.
pub(super) fn fetch(channel: &Channel, media: &MediaRef) -> Option<Call> {
    if media.id.is_empty() {
        return media.url.as_deref().map(|url| download(channel, url));
    }
    let url = format!("{}/{}?phone_number_id={}", channel.base, media.id, channel.settings.phone_number_id);
    Some(Call::get(url).bearer(channel.settings.access_token.first()))
}

/// What came back: the address, or the file.
pub(super) fn fetched(channel: &Channel, call: &Call, reply: &Reply) -> Fetched {
    let first = call.url.starts_with(&channel.base) && call.url.contains("?phone_number_id=");
    match reply.status.as_u16() {
        200..=299 if !first => Fetched::Bytes,
        200..=299 => {
            let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
            match body.words("url") {
                Some(url) => Fetched::Call(download(channel, &url)),
                None => Fetched::Later,
            }
        }
        // An address that has expired; the next try asks for a new one.
        403 | 404 if !first => Fetched::Later,
        401 | 403 | 408 | 425 | 429 | 500..=599 => Fetched::Later,
        400 if throttled(reply) => Fetched::Later,
        status => Fetched::Gone(format!("WhatsApp answered {status}: the file is older than its 7 days, or not ours")),
    }
}

fn throttled(reply: &Reply) -> bool {
    matches!(super::errors::classify(reply), Step::Done(Verdict::Throttle { .. } | Verdict::Retry(_) | Verdict::Suspend(_) | Verdict::Unclear(_)))
}

/// The second step. The token goes to Meta's own hosts and nowhere else.
fn download(channel: &Channel, url: &str) -> Call {
    let address = on_base(channel, url);
    let trusted = channel.settings.api_base.as_deref().is_some_and(|base| address.starts_with(base.trim_end_matches('/'))) || is_metas(&address);
    let call = Call::get(address).redirects(3);
    if trusted { call.bearer(channel.settings.access_token.first()) } else { call }
}

fn is_metas(url: &str) -> bool {
    let Some(url) = Url::parse(url).ok().filter(|url| url.scheme() == "https") else { return false };
    let host = url.host_str().unwrap_or_default();
    ["fbsbx.com", "facebook.com", "whatsapp.net", "fbcdn.net"].iter().any(|known| host.strip_suffix(known).is_some_and(|sub| sub.is_empty() || sub.ends_with('.')))
}

/// The address below `api_base` where that replaces Meta's hosts.
fn on_base(channel: &Channel, url: &str) -> String {
    let Some(base) = channel.settings.api_base.as_deref().map(|base| base.trim_end_matches('/')) else { return url.to_owned() };
    let (Ok(parsed), Ok(ours)) = (Url::parse(url), Url::parse(base)) else { return url.to_owned() };
    if parsed.host_str() == ours.host_str() && parsed.port_or_known_default() == ours.port_or_known_default() {
        return url.to_owned();
    }
    let query = parsed.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{base}{}{query}", parsed.path())
}

//! What stands in a message.

use std::borrow::Cow;

use crate::contract::event::Referral;
use crate::contract::part::{Choice, ChoiceKind, Location, MediaPart, MediaStatus};
use crate::contract::*;
use crate::kit::entry;
use crate::kit::object::Object;

/// Content and origin of a `message_create`; its id and time are the caller's. Where it came from stands in the event around it
/// ("Message create object", docs.x.com, read 2026-11-30).
pub(super) fn read<'a>(event: &Object<'a>, create: &Object<'a>) -> (Message<'a>, Extra<'a>) {
    let data = create.object("message_data").unwrap_or_default();
    let attachment = data.object("attachment").unwrap_or_default();
    let mut parts = Vec::new();
    let text = words(&data, &attachment);
    let answer = data.object("quick_reply_response");
    match (&answer, text) {
        (Some(answer), title) => {
            let id = answer.words("metadata");
            parts.push(Part::Choice(Choice { kind: ChoiceKind::QuickReply, id, title, values: Vec::new() }));
        }
        (None, Some(text)) => parts.push(Part::text(text)),
        (None, None) => {}
    }
    if data.has("attachment") {
        let raw = data.kept("attachment");
        let kind = attachment.words("type").unwrap_or(Cow::Borrowed("attachment"));
        parts.push(attached(&attachment).unwrap_or_else(|| Part::unsupported(kind, raw)));
    }
    if parts.is_empty() {
        parts.push(Part::unsupported("direct_message", create.kept("message_data")));
    }
    let via = event.object("initiated_via").or_else(|| create.object("initiated_via"));
    let referral = via.and_then(|via| came(&via)).or_else(|| entry::written(&parts));
    let mut extra = Extra::default();
    adapter::keep(&mut extra, "source_app_id", create.kept("source_app_id"));
    (Message { parts, referral, ..Message::default() }, extra)
}

/// The words as they were typed: short links become the long ones, the one that stands for the file goes.
fn words<'a>(data: &Object<'a>, attachment: &Object<'a>) -> Option<Text<'a>> {
    let text = data.text("text")?;
    let links = data.object("entities").map(|entities| entities.objects("urls")).unwrap_or_default();
    let of_file = |link: &Object<'a>| link.words("expanded_url").is_some_and(|long| long.contains("/messages/media/"));
    let mut shown: Vec<Text<'a>> = attachment.object("media").and_then(|media| media.words("url")).into_iter().collect();
    if attachment.has("media") {
        shown.extend(links.iter().filter(|link| of_file(link)).filter_map(|link| link.words("url")));
    }
    spelled_out(text, &links, &shown)
}

/// Words without X's short links and escapes: the long link in place of each, nothing for a file that is `shown` beside them.
pub(super) fn spelled_out<'a>(text: Text<'a>, links: &[Object<'a>], shown: &[Text<'a>]) -> Option<Text<'a>> {
    if links.is_empty() && shown.is_empty() && !text.contains('&') {
        return Some(text).filter(|text| !text.trim().is_empty());
    }
    let mut out = text.into_owned();
    for short in shown {
        out = out.replace(&**short, "");
    }
    for link in links {
        if let (Some(short), Some(long)) = (link.words("url"), link.words("expanded_url")) {
            out = out.replace(&*short, &long);
        }
    }
    let out = plain(Cow::Owned(out));
    let out = out.trim();
    (!out.is_empty()).then(|| Cow::Owned(out.to_owned()))
}

/// Without the three escapes of X.
fn plain(text: Text<'_>) -> Text<'_> {
    if !text.contains('&') {
        return text;
    }
    Cow::Owned(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

fn attached<'a>(attachment: &Object<'a>) -> Option<Part<'a>> {
    if let Some(place) = attachment.object("location").or_else(|| attachment.object("shared_coordinate")) {
        let shared = place.object("shared_coordinate").unwrap_or(place);
        let inside = shared.object("coordinates").unwrap_or_default();
        let numbers: Vec<f64> = inside.list("coordinates").iter().filter_map(|raw| raw.get().parse().ok()).collect();
        let [longitude, latitude] = numbers.as_slice() else { return None };
        return Some(Part::Location(Location { latitude: *latitude, longitude: *longitude, ..Location::default() }));
    }
    file(&attachment.object("media")?)
}

/// A picture or a film, of a message or a post.
pub(super) fn file<'a>(media: &Object<'a>) -> Option<Part<'a>> {
    let part = |url: Option<Text<'a>>, mime: Option<Text<'a>>| {
        let source = url.map(|url| MediaRef { id: String::new(), url: Some(url.into_owned()), expires_at: None });
        let status = if source.is_some() { MediaStatus::Pending } else { MediaStatus::Unavailable };
        MediaPart { media: Media { mime_type: mime, status: Some(status), source, ..Media::default() }, caption: None }
    };
    let picture = || media.words("media_url_https").or_else(|| media.words("media_url"));
    let kind = media.words("type").or_else(|| picture().map(|_| Cow::Borrowed("photo")));
    Some(match &*kind? {
        "photo" => Part::Image(part(picture(), None)),
        "video" | "animated_gif" => match best(media) {
            Some((url, mime)) => Part::Video(part(Some(url), mime)),
            None => Part::Video(part(None, None)),
        },
        _ => return None,
    })
}

/// The sharpest film that is not a stream.
fn best<'a>(media: &Object<'a>) -> Option<(Text<'a>, Option<Text<'a>>)> {
    let variants = media.object("video_info").map(|info| info.objects("variants")).unwrap_or_default();
    let film = |v: &&Object<'a>| v.text("content_type").is_some_and(|kind| kind == "video/mp4");
    let best = variants.iter().filter(film).max_by_key(|v| v.int("bitrate").unwrap_or(0))?;
    Some((best.words("url")?, best.words("content_type")))
}

fn came<'a>(via: &Object<'a>) -> Option<Referral<'a>> {
    let (post, welcome) = (via.words("tweet_id"), via.words("welcome_message_id"));
    let kind = if post.is_some() { "post" } else { "welcome_message" };
    let id = post.or(welcome)?;
    Some(Referral { kind: Some(Cow::Borrowed(kind)), id: Some(id), ..Referral::default() })
}

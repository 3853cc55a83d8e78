//! Messages: words with mentions, pictures, files, what a card's buttons and fields brought.

use std::borrow::Cow;

use super::inbound::Activity;
use super::place;
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::crypto;
use crate::kit::markup::{self, Dialect};
use crate::kit::object::{self, Object};

const FILE: &str = "application/vnd.microsoft.teams.file.download.info";
const HTML: &str = "text/html";

/// The field in which our own cards carry what was picked.
pub(super) const CHOICE: &str = "choice";
pub(super) const TITLE: &str = "title";

/// A message a person wrote, or a press that comes as one.
pub(super) fn message<'a>(activity: &Activity<'_, 'a>) -> Result<Event<'a>, String> {
    let from = activity.who()?;
    if from.kind.as_deref() == Some("bot") {
        return Ok(activity.provider("bot_message"));
    }
    let body = Received { from, to: ours(activity), message: read(activity), extra: extra(activity), ..Received::default() };
    Ok(activity.made("", Body::Received(body)))
}

/// A message that was changed, or taken back and given again.
pub(super) fn edited<'a>(activity: &Activity<'_, 'a>) -> Result<Event<'a>, String> {
    activity.id().ok_or("an edit that does not say of what")?;
    let message = read(activity);
    let body = Edited { from: activity.who()?, message_id: message.id.clone(), message, extra: extra(activity) };
    Ok(activity.made(&activity.when(), Body::Edited(body)))
}

pub(super) fn ours<'a>(activity: &Activity<'_, 'a>) -> Option<Text<'a>> {
    activity.fields.object("recipient").and_then(|r| r.words("id")).map(|id| place::user(&id).into())
}

fn read<'a>(activity: &Activity<'_, 'a>) -> Message<'a> {
    // Every message has an id, but what others pass on may have lost it.
    let id = activity.id().unwrap_or_else(|| crypto::fingerprint(&[activity.raw.get()]));
    Message {
        id: id.into(),
        sent_at: activity.time(),
        parts: parts(activity),
        reply_to: quoted(activity),
        group: activity.group(),
        // The words of what was passed on stand in the text as well.
        forwarded: html(&activity.fields).is_some_and(|html| html.contains("schema.skype.com/Forward\"")).then_some(true),
        ..Message::default()
    }
}

/// The message once more as Teams shows it.
fn html<'a>(fields: &Object<'a>) -> Option<Text<'a>> {
    fields.objects("attachments").into_iter().find(|a| a.text("contentType").as_deref() == Some(HTML)).and_then(|a| a.words("content"))
}

fn parts<'a>(activity: &Activity<'_, 'a>) -> Vec<Part<'a>> {
    let fields = &activity.fields;
    let words = text(activity);
    let mut parts = Vec::with_capacity(1);
    match (fields.raw("value"), words) {
        (Some(raw), words) if !matches!(raw.get(), "{}" | "\"\"" | "[]") => {
            parts.push(value(raw, words.map(|w| w.text), ChoiceKind::Button))
        }
        (_, Some(words)) => parts.push(Part::Text(words)),
        _ => {}
    }
    let list = fields.list("attachments");
    let mut html = None;
    for raw in &list {
        let Some(attachment) = Object::parse(raw.get()) else { continue };
        let kind = attachment.words("contentType").unwrap_or_default();
        match &*kind {
            HTML => html = attachment.words("content"),
            FILE => parts.extend(file(&attachment)),
            kind if !kind.starts_with("application/vnd.microsoft.") && attachment.has("contentUrl") => parts.extend(linked(&attachment)),
            _ => parts.push(Part::unsupported(kind, Some(Raw::borrowed(raw)))),
        }
    }
    parts.extend(place(fields));
    if let Some(html) = html {
        let mut words = Some(markup::from_html(&html, Dialect::Plain)).filter(|words| parts.is_empty() && !words.is_empty());
        // In channels a picture stands in the HTML alone; elsewhere it is attached as well.
        let attached = parts.iter().any(|part| matches!(part, Part::Image(_)));
        for url in tags(&html, "<img", "src").filter(|_| !attached) {
            let source = Some(MediaRef { url: Some(url), ..MediaRef::default() });
            let media = Media { status: Some(MediaStatus::Pending), source, ..Media::default() };
            parts.push(Part::Image(MediaPart { media, caption: words.take().map(Into::into) }));
        }
        parts.extend(words.map(Part::text));
    }
    if parts.is_empty() {
        parts.push(Part::unsupported("message", Some(Raw(Cow::Borrowed(activity.raw)))).without_secrets(fields));
    }
    parts
}

/// What the tags of a kind lead to, without those of a quotation. An emoji is a picture too, and stands in the words.
fn tags(html: &str, tag: &'static str, attribute: &'static str) -> impl Iterator<Item = String> {
    let own = match html.split_once("schema.skype.com/Reply\"") {
        Some((_, quoted)) => quoted.split_once("</blockquote>").map_or("", |(_, own)| own),
        None => html,
    };
    own.split(tag).skip(1).filter_map(move |rest| {
        let inside =
            rest.split('>').next().filter(|inside| inside.starts_with([' ', '\n']) && !inside.contains("schema.skype.com/Emoji"))?;
        let value = inside.split_once(&format!(" {attribute}=\""))?.1.split('"').next()?;
        value.starts_with("http").then(|| value.replace("&amp;", "&"))
    })
}

/// A place, which the Bot Framework's activities tell as an entity.
fn place<'a>(fields: &Object<'a>) -> Option<Part<'a>> {
    let entities = fields.objects("entities");
    let kind = |entity: &Object<'a>| entity.text("type").unwrap_or_default();
    let entity = entities.into_iter().find(|entity| matches!(&*kind(entity), "Place" | "GeoCoordinates"))?;
    let point = entity.object("geo").unwrap_or_else(|| entity.clone());
    Some(Part::Location(Location {
        latitude: point.float("latitude")?,
        longitude: point.float("longitude")?,
        name: entity.words("name").or_else(|| point.words("name")),
        address: entity.words("address"),
        live_until: None,
    }))
}

/// What a card brought: a pick, or the fields of a form.
pub(super) fn value<'a>(raw: &'a serde_json::value::RawValue, words: Option<Text<'a>>, kind: ChoiceKind) -> Part<'a> {
    let Some(fields) = Object::parse(raw.get()) else {
        let id = object::text(raw);
        return Part::Choice(Choice { kind, title: words.or_else(|| id.clone()), id, values: Vec::new() });
    };
    match fields.words(CHOICE) {
        Some(id) => Part::Choice(Choice { kind, id: Some(id), title: fields.words(TITLE).or(words), values: Vec::new() }),
        None if words.is_some() => Part::Choice(Choice { kind, id: None, title: words, values: Vec::new() }),
        None => Part::Form(Form { name: None, fields: Some(Raw::borrowed(raw)) }),
    }
}

trait WithoutSecrets {
    fn without_secrets(self, fields: &Object<'_>) -> Self;
}

impl WithoutSecrets for Part<'_> {
    /// The raw activity names the service; that stays in the gateway.
    fn without_secrets(mut self, fields: &Object<'_>) -> Self {
        if let Part::Unsupported(unsupported) = &mut self {
            unsupported.raw = Some(fields.without(super::inbound::SECRET));
        }
        self
    }
}

/// The words without the places where quotes stand, which the entities tell (`<quoted messageId="1"/>`).
fn unquoted(text: Text<'_>) -> Text<'_> {
    const QUOTE: &str = "<quoted messageId=";
    if !text.contains(QUOTE) {
        return text;
    }
    let mut pieces = text.split(QUOTE);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once("/>") {
            Some((_, after)) => out.push_str(if out.is_empty() { after.trim_start() } else { after }),
            None => out.extend([QUOTE, piece]),
        }
    }
    out.into()
}

/// The words: without the mention of the bot, with those of others by name.
fn text<'a>(activity: &Activity<'_, 'a>) -> Option<TextPart<'a>> {
    let text = unquoted(activity.fields.words("text")?);
    if !text.contains("<at") && !text.contains('&') {
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        return Some(TextPart { text, ..TextPart::default() }).filter(|part| !part.text.is_empty());
    }
    let entities: Vec<Object<'a>> =
        activity.fields.objects("entities").into_iter().filter(|e| e.text("type").as_deref() == Some("mention")).collect();
    let named = |e: &Object<'a>| e.object("mentioned").and_then(|mentioned| mentioned.text("name"));
    let (mut out, mut mentions) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once("<at") {
        out.push_str(before);
        // `<at>Ana</at>`, and in older messages `<at id="0">Ana</at>`.
        let inside = after.split_once("</at>").and_then(|(inside, after)| Some((inside.split_once('>')?, after)));
        let Some(((attributes, name), after)) = inside else {
            out.push_str("<at");
            rest = after;
            continue;
        };
        rest = after;
        let whole = format!("<at{attributes}>{name}</at>");
        let said = |e: &&Object<'a>| e.text("text").map_or_else(|| named(e).as_deref() == Some(name), |text| text == whole);
        let entity = entities.iter().find(said).and_then(|e| e.object("mentioned"));
        let id = entity.and_then(|mentioned| mentioned.words("id"));
        if id.as_deref().is_some_and(|id| activity.is_own(id)) {
            rest = rest.strip_prefix(' ').unwrap_or(rest);
            continue;
        }
        let out_len = out.trim_start().chars().count() as u32;
        let length = name.chars().count() as u32 + 1;
        mentions.push(Mention { address: id.map(|id| place::user(&id).into()), offset: out_len, length, own: None });
        out.push('@');
        out.push_str(name);
    }
    out.push_str(rest);
    let plain = out.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let plain = plain.trim();
    (!plain.is_empty()).then(|| TextPart { text: plain.to_owned().into(), mentions, ..TextPart::default() })
}

/// A pasted picture, and any file on other channels, lies with the connector and is fetched with the token.
fn linked<'a>(attachment: &Object<'a>) -> Option<Part<'a>> {
    let url = attachment.words("contentUrl")?.into_owned();
    let kind = attachment.words("contentType").unwrap_or_default();
    let general = kind.split('/').next().unwrap_or_default().to_owned();
    // A link to a file in SharePoint has `reference` there.
    let mime = Some(kind).filter(|mime| mime.contains('/') && !mime.ends_with("/*"));
    let source = Some(MediaRef { url: Some(url), ..MediaRef::default() });
    let media =
        Media { mime_type: mime, filename: attachment.words("name"), status: Some(MediaStatus::Pending), source, ..Media::default() };
    let part = MediaPart { media, caption: None };
    Some(match &*general {
        "image" => Part::Image(part),
        "video" => Part::Video(part),
        "audio" => Part::Audio(part),
        _ => Part::File(part),
    })
}

/// A file by its link, which works for minutes.
fn file<'a>(attachment: &Object<'a>) -> Option<Part<'a>> {
    let content = attachment.object("content")?;
    let url = content.words("downloadUrl")?.into_owned();
    let source =
        Some(MediaRef { id: content.words("uniqueId").map(Text::into_owned).unwrap_or_default(), url: Some(url), expires_at: None });
    let media = Media { filename: attachment.words("name"), status: Some(MediaStatus::Pending), source, ..Media::default() };
    let named = Media { filename: attachment.words("name"), ..Media::default() };
    let part = MediaPart { media, caption: None };
    Some(match crate::kit::spoken::looks(&named) {
        "image" => Part::Image(part),
        "video" => Part::Video(part),
        "audio" => Part::Audio(part),
        _ => Part::File(part),
    })
}

/// What is answered: an entity says it, or a block of the HTML, or the activity itself.
fn quoted<'a>(activity: &Activity<'_, 'a>) -> Option<ReplyTo<'a>> {
    let conversation = activity.conversation();
    let fields = &activity.fields;
    let reply =
        |id: &str, text: Option<Text<'a>>| Some(ReplyTo { id: Some(place::message(&conversation, id).into()), text, ..ReplyTo::default() });
    let entity = fields.objects("entities").into_iter().find(|e| e.text("type").as_deref() == Some("quotedReply"));
    if let Some(quoted) = entity.and_then(|entity| entity.object("quotedReply")) {
        return reply(&quoted.words("messageId")?, quoted.words("preview"));
    }
    let html = html(fields);
    let block = html.as_deref().and_then(|html| html.split_once("schema.skype.com/Reply\"")?.1.split("</blockquote>").next());
    if let Some((tag, inside)) = block.and_then(|block| block.split_once('>'))
        && let Some(id) = tag.split_once("itemid=\"").and_then(|(_, rest)| rest.split('"').next())
    {
        // Its words, whole or cut short.
        let words = ["copy", "preview"].iter().find_map(|name| inside.split_once(&format!("itemprop=\"{name}\""))?.1.split_once('>'));
        let words = words.and_then(|(_, rest)| rest.split("</p>").next()).map(|words| markup::from_html(words, Dialect::Plain));
        return reply(id, words.filter(|words| !words.is_empty()).map(Into::into));
    }
    if let Some(id) = fields.words("replyToId") {
        return reply(&id, None);
    }
    // In a channel an answer names only the beginning of its thread.
    let thread = conversation.split_once(";messageid=").map(|(_, thread)| thread)?;
    (fields.words("id").as_deref() != Some(thread)).then(|| reply(thread, None))?
}

fn extra<'a>(activity: &Activity<'_, 'a>) -> Extra<'a> {
    let mut extra = Extra::default();
    let fields = &activity.fields;
    for name in ["value", "textFormat", "importance", "localTimestamp", "channelData"] {
        adapter::keep(&mut extra, name, fields.kept(name));
    }
    let client = fields
        .list("entities")
        .into_iter()
        .find(|raw| Object::parse(raw.get()).is_some_and(|e| e.text("type").as_deref() == Some("clientInfo")));
    if let Some(client) = client {
        extra.push("clientInfo", Raw::borrowed(client));
    }
    // The words show what a link is called; where it leads stands in the HTML.
    let said = fields.text("text").unwrap_or_default().replace("&amp;", "&");
    let html = html(fields).unwrap_or_default();
    let links: Vec<String> = tags(&html, "<a", "href").filter(|url| !said.contains(url.trim_end_matches('/'))).collect();
    if !links.is_empty() {
        extra.push("links", Raw::of(&links));
    }
    // The first is what is answered; there may be more.
    let quotes = fields
        .list("entities")
        .into_iter()
        .filter(|raw| Object::parse(raw.get()).is_some_and(|e| e.text("type").as_deref() == Some("quotedReply")));
    let others: Vec<_> = quotes.skip(1).collect();
    if !others.is_empty() {
        extra.push("quotedReplies", Raw::of(&others));
    }
    extra
}

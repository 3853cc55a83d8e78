//! Messages changed and taken back: core.telegram.org/bots/api#updating-messages, read 2026-11-29.
//!
//! Words stay words and a file stays a file: Telegram puts words in place of words, a file (photo, video, animation, audio, document)
//! in place of a file or of words, and never words in place of a file. Taking back works for 48 hours, changing for as long as the
//! message is there.

use serde_json::{Map, Value, json};

use super::address::{self, Chat};
use super::{Channel, media};
use crate::contract::*;
use crate::kit::revise;

/// The parameters of editMessageText, besides those that name the message.
const TEXT: &[&str] = &["text", "parse_mode", "entities", "link_preview_options", "reply_markup"];
/// The parameters of a method that sends a file which belong to the file once it is one of `InputMedia`.
const MEDIA: &[&str] = &[
    "caption",
    "parse_mode",
    "caption_entities",
    "show_caption_above_media",
    "has_spoiler",
    "width",
    "height",
    "duration",
    "supports_streaming",
    "performer",
    "title",
    "disable_content_type_detection",
];

/// The call that changes a message, or takes it back.
pub(super) fn revise(bot: &Channel, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let chat = Chat::parse(sent.to, None);
    let message = address::message(sent.provider_id);
    let (Some(chat), Some((there, number))) = (chat, message) else {
        return Err(RenderError::no_message("the id of a Telegram message, `CHAT:NUMBER`"));
    };
    // A group may have moved since, and a name does not stay with its chat; the message's own id says where it is.
    let chat = Chat { id: there.map_or(chat.id, Value::from), thread: None, ..chat };
    match (revision, &chat.business) {
        (Revision::Edit(edit), _) => edited(bot, &chat, number, edit, cx),
        (Revision::Recall, Some(connection)) => {
            Ok(bot.method("deleteBusinessMessages", &json!({ "business_connection_id": connection, "message_ids": [number] })))
        }
        (Revision::Recall, None) => Ok(bot.method("deleteMessage", &json!({ "chat_id": chat.id, "message_id": number }))),
    }
}

fn edited(bot: &Channel, chat: &Chat, number: i64, edit: &Outbound<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let call = revise::rendered(bot, edit, None, cx)?;
    let method = call.url.rsplit('/').next().unwrap_or_default();
    let mut given = match &call.body {
        CallBody::Multipart(fields) => texts(fields),
        _ => revise::fields(&call),
    };
    if given.get("reply_markup").is_some_and(|markup| markup.get("inline_keyboard").is_none()) {
        return Err(revise::refused(
            "an edit carries buttons under the message only: leave out quick replies and requests for a place or a number",
        ));
    }
    let mut body = chat.target();
    body.insert("message_id".into(), number.into());
    if method == "sendMessage" {
        given.retain(|name, _| TEXT.contains(&name.as_str()));
        body.extend(given);
        return Ok(bot.method("editMessageText", &body));
    }
    let Some(kind) = media::editable(method) else {
        return Err(revise::refused(
            "Telegram changes texts, photos, videos, GIFs, audio and documents only; take the message back and send another",
        ));
    };
    if let Some(markup) = given.remove("reply_markup") {
        body.insert("reply_markup".into(), markup);
    }
    let place = given.remove(kind).unwrap_or_else(|| format!("attach://{kind}").into());
    let mut item = Map::from_iter([("type".to_owned(), Value::from(kind)), ("media".to_owned(), place)]);
    item.extend(given.into_iter().filter(|(name, _)| MEDIA.contains(&name.as_str())));
    body.insert("media".into(), item.into());
    Ok(match call.body {
        CallBody::Multipart(files) => uploaded(bot, body, files),
        _ => bot.method("editMessageMedia", &body),
    })
}

/// What the text fields of a form say; nested values are JSON in them.
fn texts(fields: &[Field]) -> Map<String, Value> {
    let nested =
        |value: &str| serde_json::from_str(value).ok().filter(|v: &Value| v.is_object() || v.is_array()).unwrap_or_else(|| value.into());
    let text = |field: &Field| match field {
        Field::Text { name, value } => Some((name.clone(), nested(value))),
        Field::Media { .. } => None,
    };
    fields.iter().filter_map(text).collect()
}

/// The same with the file in the call.
fn uploaded(bot: &Channel, body: Map<String, Value>, files: Vec<Field>) -> Call {
    let value = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
    let texts = body.into_iter().map(|(name, v)| Field::Text { name, value: value(v) });
    let files = files.into_iter().filter(|field| matches!(field, Field::Media { .. }));
    bot.upload("editMessageMedia", texts.chain(files).collect())
}

/// Words for a message whose words stand under a file: they are its caption.
pub(super) fn captioned(call: &Call) -> Option<Call> {
    let base = call.url.strip_suffix("editMessageText")?;
    let mut body = revise::fields(call);
    body.remove("link_preview_options");
    for (text, caption) in [("text", "caption"), ("entities", "caption_entities")] {
        if let Some(value) = body.remove(text) {
            body.insert(caption.into(), value);
        }
    }
    let bytes = serde_json::to_vec(&body).ok()?;
    Some(Call { url: format!("{base}editMessageCaption"), body: CallBody::Bytes(bytes.into()), ..call.clone() })
}

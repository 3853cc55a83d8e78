//! Messages changed and taken back: "Edit Message" and "Delete Message" of Discord's documentation, by the fact sheet and by
//! discord-api-types.dev (RESTPatchAPIChannelMessageJSONBody), read 2026-11-29.

use http::Method;
use serde_json::{Value, json};

use super::Channel;
use super::place::{self, Place};
use crate::contract::*;
use crate::kit::revise;

/// What an edit takes of what a new message does.
const TAKEN: &[&str] = &["content", "embeds", "components", "attachments", "allowed_mentions", "flags"];

/// The call that changes a message, or takes it back. A person's direct messages are opened first; they are the same each time.
pub(super) fn revise(channel: &Channel, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let place = place::parse(sent.to, sent.thread);
    let (Some(place), true) = (place, place::is_id(sent.provider_id)) else {
        return Err(RenderError::no_message("the id of a Discord message: digits"));
    };
    let (body, files) = match revision {
        Revision::Edit(edit) => edited(channel, edit, cx)?,
        Revision::Recall => (Value::Null, Vec::new()),
    };
    Ok(match place {
        Place::Channel(id) => revised(channel, &id, sent.provider_id, &body, &files),
        Place::User(user) => {
            let note = json!({ "then": "revise", "message": sent.provider_id, "body": body, "files": files });
            channel.json(Method::POST, "/users/@me/channels", &json!({ "recipient_id": user })).then(note.to_string())
        }
    })
}

/// The call for a message of this channel: a body changes it, none takes it back.
pub(super) fn revised(channel: &Channel, place: &str, message: &str, body: &Value, files: &[Value]) -> Call {
    let path = format!("/channels/{place}/messages/{message}");
    if body.is_null() {
        return channel.call(Method::DELETE, &path).then(json!({ "then": "recall" }).to_string());
    }
    channel.message(channel.call(Method::PATCH, &path), body, files).then(json!({ "then": "edit" }).to_string())
}

fn edited(channel: &Channel, edit: &Outbound<'_>, cx: &Context<'_>) -> Result<(Value, Vec<Value>), RenderError> {
    // As for a channel, whoever it is: what opens the direct messages is added above.
    let somewhere = Outbound { to: "discord:1", thread: None, ..*edit };
    let call = revise::rendered(channel, &somewhere, None, cx)?;
    let (mut given, files) = match &call.body {
        CallBody::Multipart(fields) => uploaded(fields),
        _ => (revise::fields(&call), Vec::new()),
    };
    if call.method != Method::POST || call.body == CallBody::Empty || given.contains_key("poll") {
        return Err(revise::refused("Discord changes what a message says and shows; polls, reactions and typing stay as they are"));
    }
    given.retain(|name, _| TAKEN.contains(&name.as_str()));
    // What is left out stays as it was, and the new words are to stand alone.
    for (name, nothing) in [("content", json!("")), ("embeds", json!([])), ("components", json!([])), ("attachments", json!([]))] {
        given.entry(name).or_insert(nothing);
    }
    Ok((given.into(), files))
}

/// The message and the files of a multipart body, as `Channel::message` takes them.
fn uploaded(fields: &[Field]) -> (serde_json::Map<String, Value>, Vec<Value>) {
    let (mut body, mut files) = (serde_json::Map::new(), Vec::new());
    for field in fields {
        match field {
            Field::Text { value, .. } => body = serde_json::from_str(value).unwrap_or_default(),
            Field::Media { id, filename, mime_type, .. } => files.push(json!({ "id": id, "filename": filename, "mime_type": mime_type })),
        }
    }
    (body, files)
}

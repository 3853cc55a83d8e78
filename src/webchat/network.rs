//! What the outbound side calls: the provider's API of a channel whose provider is us.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use fairway_adapters::webchat::pass::{FileRef, purpose};
use fairway_adapters::webchat::{frame_id, our_id};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::Room;
use super::reply::No;
use super::site::{Site, bearer};
use super::thread::kind;
use super::threads::Note;
use crate::clock;

/// Checks who calls, and reads the body.
fn read(room: &Room, channel: &str, headers: &HeaderMap, body: &[u8]) -> Result<(Arc<Site>, Map<String, Value>, String), No> {
    let site = room.sites.get(channel)?;
    if !bearer(headers).is_some_and(|token| site.keys.is_bearer(token)) {
        return Err(No::Secret);
    }
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| No::Invalid("the body is not a JSON object"))?;
    let session = body.get("session").and_then(Value::as_str).filter(|s| !s.is_empty() && s.len() <= 64);
    let session = session.ok_or(No::Invalid("session: missing"))?.to_owned();
    Ok((site, body, session))
}

/// Takes a message for a visitor. Repeating it changes nothing: its id follows from ours.
pub async fn deliver(
    State(room): State<Arc<Room>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, No> {
    let (site, mut body, session) = read(&room, &channel, &headers, &body)?;
    let ours = body.get("id").and_then(Value::as_str).filter(|id| id.starts_with("msg_")).ok_or(No::Invalid("id: missing"))?;
    let id = frame_id(ours);
    if body.get("parts").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(No::Invalid("parts: there is nothing to show"));
    }
    let session = current(&room, &site, session).await?;
    body.shift_remove("id");
    body.shift_remove("session");
    body.values_mut().for_each(|value| link(&room, &site, value));
    let mut frame = Map::new();
    frame.insert("type".into(), "message".into());
    frame.insert("from".into(), "us".into());
    frame.insert("id".into(), id.clone().into());
    frame.insert("at".into(), serde_json::to_value(clock::now()).unwrap_or_default());
    for (name, value) in body {
        frame.entry(name).or_insert(value);
    }
    let json = serde_json::to_vec(&frame).unwrap_or_default().into();
    room.threads.write(&channel, &session, &[Note { kind: kind::OUT, id: &id, json }]).await?;
    Ok(Json(json!({ "id": id })))
}

/// Gives a message of ours other parts, or takes it back where there are none. Repeating either changes nothing more.
pub async fn revise(
    State(room): State<Arc<Room>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, No> {
    let (site, mut body, session) = read(&room, &channel, &headers, &body)?;
    let id =
        body.get("message").and_then(Value::as_str).filter(|id| our_id(id).is_some()).ok_or(No::Invalid("message: missing"))?.to_owned();
    let session = current(&room, &site, session).await?;
    let old = room.threads.get(&channel, &session).await?.with(|thread| thread.reads(&id));
    let Some(mut parts) = body.shift_remove("parts") else {
        if old.is_some() {
            room.threads.write(&channel, &session, &[Note { kind: kind::GONE, id: &id, json: Bytes::from_static(b"{}") }]).await?;
        }
        return Ok(Json(json!({ "id": id })));
    };
    if parts.as_array().is_none_or(Vec::is_empty) {
        return Err(No::Invalid("parts: there is nothing to show"));
    }
    link(&room, &site, &mut parts);
    // What is not said anew stays: its time, and what it answers.
    let old = old.ok_or(No::Message)?;
    let mut frame: Map<String, Value> = serde_json::from_slice(&old).unwrap_or_default();
    frame.insert("parts".into(), parts);
    if let Some(author) = body.shift_remove("author") {
        frame.insert("author".into(), author);
    }
    let json = Bytes::from(serde_json::to_vec(&frame).unwrap_or_default());
    if json != old {
        room.threads.write(&channel, &session, &[Note { kind: kind::EDIT, id: &id, json }]).await?;
    }
    Ok(Json(json!({ "id": id })))
}

/// Where a visitor is now: who was named since goes on under his own session.
async fn current(room: &Room, site: &Site, session: String) -> Result<String, No> {
    if site.settings.identity_secrets.is_empty() || !session.starts_with("v-") {
        return Ok(session);
    }
    let thread = room.threads.get(&site.channel.id, &session).await?;
    Ok(thread.with(|t| t.moved().map(str::to_owned)).unwrap_or(session))
}

/// Gives every file of the gateway in a message a link that the visitor's browser can open.
fn link(room: &Room, site: &Site, value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| link(room, site, item)),
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if name == "media" {
                    link_media(room, site, value);
                } else {
                    link(room, site, value);
                }
            }
        }
        _ => {}
    }
}

fn link_media(room: &Room, site: &Site, media: &mut Value) {
    let text = |name: &str| media.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = text("id");
    if !text("url").is_empty() || room.blobs.path(&id).is_err() {
        return;
    }
    let or = |given: String, else_: &str| if given.is_empty() { else_.to_owned() } else { given };
    let file = FileRef {
        id,
        name: or(text("filename"), "file"),
        mime: or(text("mime_type"), "application/octet-stream"),
        size: media.get("size").and_then(Value::as_u64).unwrap_or(0),
    };
    media["url"] = room.file_url(site, &site.keys.seal(purpose::FILE, &file)).into();
}

/// Shows the visitor that somebody types, or has read.
pub async fn signal(State(room): State<Arc<Room>>, Path(channel): Path<String>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, No> {
    let (site, body, session) = read(&room, &channel, &headers, &body)?;
    let session = current(&room, &site, session).await?;
    let (kind, id) = match body.get("kind").and_then(Value::as_str) {
        Some("typing") => (kind::TYPING, ""),
        Some("read") => {
            let id = body.get("message_id").and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= 128);
            (kind::READ, id.ok_or(No::Invalid("message_id: missing"))?)
        }
        _ => return Err(No::Invalid("kind: typing or read")),
    };
    room.threads.write(&channel, &session, &[Note { kind, id, json: Bytes::from_static(b"{}") }]).await?;
    Ok(StatusCode::ACCEPTED)
}

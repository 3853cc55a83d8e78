//! Sessions: who a visitor is. Unknown people get a signed token that their browser keeps; a site names its people by a
//! proof its own backend makes, and a wrong proof is refused, never turned into an unknown visitor.

use std::{net::SocketAddr, sync::Arc};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use fairway_adapters::contract::Time;
use fairway_adapters::kit::crypto;
use fairway_adapters::webchat::identity::{self, Refused};
use fairway_adapters::webchat::pass::Visitor;
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Room;
use super::limits::What;
use super::reply::No;
use super::site::Site;
use super::thread::kind;
use super::threads::Note;
use crate::clock;
use crate::ids;

/// A browser that comes back within a year is the same visitor.
const UNKNOWN_FOR: i64 = 365 * 86_400_000;
/// A named person without an end in his proof must prove himself again after this.
const NAMED_FOR: i64 = 12 * 3_600_000;

/// What a page asks for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// The token it has.
    token: Option<String>,
    /// The site's proof of who it is.
    identity: Option<String>,
    /// BCP 47.
    locale: Option<String>,
}

/// Opens or renews a session.
pub async fn open(
    State(room): State<Arc<Room>>,
    Path(channel): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, No> {
    if method != Method::POST {
        return Err(No::Method("POST"));
    }
    let site = room.sites.get(&channel)?;
    room.limits.check(What::Session, &room.limits.source(peer, &headers))?;
    let wanted: Wanted = match body.is_empty() {
        true => Wanted::default(),
        false => serde_json::from_slice(&body).map_err(|_| No::Invalid("the body is an object of `token`, `identity`, `locale`"))?,
    };
    let locale = wanted.locale.filter(|l| l.len() <= 35 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let now = clock::now();
    let (mut visitor, expires_at) = match (&wanted.identity, &wanted.token) {
        (Some(proof), token) => {
            let known = identity::check(&site.settings.identity_secrets, proof, now).map_err(|refused| match refused {
                Refused::Invalid => No::Identity,
                Refused::Expired => No::IdentityExpired,
            })?;
            let before = token.as_deref().and_then(|t| site.visitor(t, now).ok()).map(|s| s.visitor);
            identify(&room, &site, &known.0, before).await?;
            let latest = now.plus(NAMED_FOR);
            (known.0, known.1.unwrap_or(latest).min(latest))
        }
        (None, Some(token)) => renewed(&site, token, now)?,
        (None, None) => {
            let visitor = Visitor { session: ids::text("v-", ids::random()), ..Visitor::default() };
            room.threads.begin(&channel, &visitor.session);
            (visitor, now.plus(UNKNOWN_FOR))
        }
    };
    visitor.locale = locale.or(visitor.locale);
    let token = site.token(&visitor, expires_at);
    let address = format!("{}:{}", site.channel.facts().schemes[0], visitor.session);
    Ok(Json(json!({
        "token": token, "session": visitor.session, "address": address, "name": visitor.name, "identified": visitor.external_id.is_some(),
        "expires_at": expires_at, "max_upload": site.settings.max_upload().min(room.max_file),
    })))
}

/// The same visitor, for longer; a named one only as long as his proof said.
fn renewed(site: &Site, token: &str, now: Time) -> Result<(Visitor, Time), No> {
    let session = site.visitor(token, now)?;
    let until = if session.visitor.external_id.is_some() { session.expires_at } else { now.plus(UNKNOWN_FOR) };
    Ok((session.visitor, until))
}

/// Tells that the site has named a person, and joins what he wrote before he was named to his conversation.
async fn identify(room: &Arc<Room>, site: &Site, visitor: &Visitor, before: Option<Visitor>) -> Result<(), No> {
    let before = before.filter(|b| b.external_id.is_none() && b.session != visitor.session).map(|b| b.session);
    let mut joined = None;
    if let Some(old) = &before {
        let thread = room.threads.get(&site.channel.id, old).await?;
        let (frames, moved) = thread.with(|t| (t.messages(), t.moved().is_some()));
        if !frames.is_empty() && !moved {
            // Copies keep their ids, so joining twice changes nothing.
            let notes: Vec<Note<'_>> =
                frames.iter().map(|f| Note { kind: if f.out { kind::OUT } else { kind::IN }, id: &f.id, json: f.json.clone() }).collect();
            room.threads.write(&site.channel.id, &visitor.session, &notes).await?;
            let note = Note { kind: kind::MOVED, id: &visitor.session, json: bytes::Bytes::from_static(b"{}") };
            room.threads.write(&site.channel.id, old, &[note]).await?;
            joined = Some(old.clone());
        }
    }
    // The id follows from what is said, so that each login says it once.
    let words = |text: &Option<String>| text.clone().unwrap_or_default();
    let said = [&site.channel.id, visitor.session.as_str(), &words(&visitor.name), &words(&visitor.email), &words(&joined)];
    let mut body = json!({ "type": "identified", "id": format!("id-{}", crypto::fingerprint(&said)), "at": clock::now() });
    if let Some(previous) = joined {
        body["previous"] = previous.into();
    }
    room.deliver(site, visitor, body).await
}

//! The same conversation without a socket, for networks that cut them: frames in by POST, frames out by a GET that waits.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use http::{HeaderMap, Method, header};
use serde::Deserialize;

use super::act::{Act, Desk};
use super::limits::What;
use super::reply::No;
use super::site::bearer;
use super::{MAX_FRAME, Room};
use crate::clock;

/// The longest a GET waits. Below what proxies allow.
const WAIT: u64 = 25;
/// Frames of one POST.
const FRAMES: usize = 20;

/// Where the visitor stands.
#[derive(Deserialize)]
pub struct Place {
    /// The last number he has; absent for a first look.
    cursor: Option<u64>,
    /// Whether to wait for something new, in seconds.
    #[serde(default)]
    wait: u64,
}

/// What a POST carries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    frames: Vec<Act>,
}

/// Takes frames, or hands them out.
pub async fn poll(
    State(room): State<Arc<Room>>,
    Path(channel): Path<String>,
    place: Result<Query<Place>, QueryRejection>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, No> {
    let Query(place) = place.map_err(|_| No::Invalid("`cursor` and `wait` are numbers"))?;
    let site = room.sites.get(&channel)?;
    room.limits.check(What::Connection, &room.limits.source(peer, &headers))?;
    let session = site.visitor(bearer(&headers).ok_or(No::Session)?, clock::now())?;
    let thread = room.threads.get(&channel, &session.visitor.session).await?;
    let desk = Desk { room: Arc::clone(&room), site, visitor: session.visitor, thread };
    match method {
        Method::POST => take(&desk, &body).await,
        Method::GET => Ok(hand_out(&desk, &place).await),
        _ => Err(No::Method("GET, POST")),
    }
}

async fn take(desk: &Desk, body: &[u8]) -> Result<Response, No> {
    if body.len() > MAX_FRAME {
        return Err(No::TooLarge);
    }
    let sent: Sent = serde_json::from_slice(body).map_err(|_| No::Invalid("the body is an object of `frames`"))?;
    let mut answers = Vec::new();
    for act in sent.frames.into_iter().take(FRAMES) {
        answers.extend(desk.carry_out(act).await);
    }
    Ok(list(&answers, None))
}

async fn hand_out(desk: &Desk, place: &Place) -> Response {
    let Some(mut cursor) = place.cursor else {
        let (welcome, cursor) = desk.thread.with(|t| (t.welcome(&desk.visitor.session, None), t.head()));
        return list(&[welcome], Some(cursor));
    };
    let mut moved = desk.thread.watch();
    let mut stopping = desk.room.stopping.clone();
    let until = tokio::time::Instant::now() + Duration::from_secs(place.wait.min(WAIT));
    // Who was away for long gets the same answer as by socket: the gap, or a fresh start.
    if place.wait == 0 {
        let (welcome, cursor) = desk.thread.with(|t| (t.welcome(&desk.visitor.session, Some(cursor)), t.head()));
        return list(&[welcome], Some(cursor));
    }
    loop {
        let (frames, upto) = desk.thread.with(|t| t.since(cursor, clock::now().0));
        cursor = upto;
        if !frames.is_empty() || tokio::time::Instant::now() >= until || *stopping.borrow() {
            return list(&frames, Some(cursor));
        }
        tokio::select! {
            _ = tokio::time::timeout_at(until, moved.changed()) => {}
            _ = stopping.changed() => {}
        }
    }
}

/// `{"frames": [...], "cursor": n}`
fn list(frames: &[Bytes], cursor: Option<u64>) -> Response {
    let mut out = BytesMut::new();
    out.put_slice(b"{\"frames\":[");
    for (index, frame) in frames.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(frame);
    }
    out.put_slice(b"]");
    if let Some(cursor) = cursor {
        out.put_slice(format!(",\"cursor\":{cursor}").as_bytes());
    }
    out.put_slice(b"}");
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], out.freeze()).into_response()
}

//! A visitor's socket: a greeting with his token and his last number, the gap, then everything as it happens.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::act::{Act, Desk};
use super::limits::What;
use super::reply::No;
use super::{MAX_FRAME, Room};
use crate::clock;
use crate::telemetry::{self, names};

/// How long a socket may stay silent before its greeting.
const GREETING: Duration = Duration::from_secs(10);
/// How often we show that we are there. Proxies cut connections that are quiet for longer than about 30 s.
const BEAT: Duration = Duration::from_secs(25);
/// Who has not answered for this long is gone.
const SILENCE: Duration = Duration::from_secs(65);
/// How long a visitor's network may take for a frame.
const SEND: Duration = Duration::from_secs(20);

/// The first frame.
#[derive(Deserialize)]
struct Hello {
    token: String,
    #[serde(default)]
    cursor: Option<u64>,
}

/// Opens a socket.
pub async fn open(
    State(room): State<Arc<Room>>,
    Path(channel): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, No> {
    room.sites.get(&channel)?;
    room.limits.check(What::Connection, &room.limits.source(peer, &headers))?;
    Ok(upgrade.max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME).on_upgrade(move |socket| serve(room, channel, socket)).into_response())
}

async fn serve(room: Arc<Room>, channel: String, mut socket: WebSocket) {
    let gauge = telemetry::gauge(&names::CHAT_SOCKETS, &[]);
    gauge.increment(1.0);
    let code = match greet(&room, &channel, &mut socket).await {
        Ok((desk, cursor)) => converse(&desk, cursor, &mut socket).await,
        Err(no) => {
            let refusal = json!({ "type": "refused", "code": no.code(), "detail": no.detail(), "retry_after_ms": no.retry_after() });
            let _ = send(&mut socket, refusal.to_string().into()).await;
            4401
        }
    };
    let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(close)).await;
    gauge.decrement(1.0);
}

/// Waits for the greeting and answers it with what the visitor has missed.
async fn greet(room: &Arc<Room>, channel: &str, socket: &mut WebSocket) -> Result<(Desk, u64), No> {
    let first = tokio::time::timeout(GREETING, socket.recv()).await.ok().flatten().and_then(Result::ok);
    let Some(Message::Text(text)) = first else { return Err(No::Invalid("the first frame is a greeting")) };
    let hello: Hello = serde_json::from_str(&text).map_err(|_| No::Invalid("the greeting is an object of `token` and `cursor`"))?;
    let site = room.sites.get(channel)?;
    let session = site.visitor(&hello.token, clock::now())?;
    let thread = room.threads.get(channel, &session.visitor.session).await?;
    let desk = Desk { room: Arc::clone(room), site, visitor: session.visitor, thread };
    let (welcome, cursor) = desk.thread.with(|t| (t.welcome(&desk.visitor.session, hello.cursor), t.head()));
    send(socket, welcome).await.map_err(|()| No::Away)?;
    Ok((desk, cursor))
}

/// Carries frames both ways until one side ends it; answers the close code.
async fn converse(desk: &Desk, mut cursor: u64, socket: &mut WebSocket) -> u16 {
    let mut moved = desk.thread.watch();
    moved.mark_changed();
    let mut stopping = desk.room.stopping.clone();
    let mut beat = tokio::time::interval(BEAT);
    beat.reset();
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            frame = socket.recv() => {
                heard = Instant::now();
                let act = match frame {
                    Some(Ok(Message::Text(text))) => serde_json::from_str::<Act>(&text),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Binary(_))) => return 1003,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return 1000,
                };
                let answer = match act {
                    Ok(act) => desk.carry_out(act).await,
                    Err(_) => Some(Bytes::from_static(br#"{"type":"nack","code":"invalid","detail":"this frame is not understood"}"#)),
                };
                if let Some(answer) = answer && send(socket, answer).await.is_err() {
                    return 1001;
                }
            }
            changed = moved.changed() => {
                if changed.is_err() {
                    return 1011;
                }
                let (frames, upto) = desk.thread.with(|t| t.since(cursor, clock::now().0));
                cursor = upto;
                for frame in frames {
                    if send(socket, frame).await.is_err() {
                        return 1001;
                    }
                }
            }
            _ = beat.tick() => {
                if heard.elapsed() > SILENCE || send(socket, Bytes::from_static(br#"{"type":"ping"}"#)).await.is_err() {
                    return 1001;
                }
            }
            () = async { stopping.wait_for(|s| *s).await.map_or((), |_| ()) } => {
                // Everybody comes back, but not all in the same second.
                let after = crate::ids::random() % 3_000;
                let _ = send(socket, json!({ "type": "restart", "after_ms": after as u64 }).to_string().into()).await;
                return 1012;
            }
        }
    }
}

async fn send(socket: &mut WebSocket, frame: Bytes) -> Result<(), ()> {
    let text = String::from_utf8(frame.into()).map_err(|_| ())?;
    match tokio::time::timeout(SEND, socket.send(Message::Text(text.into()))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}

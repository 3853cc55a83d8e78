//! `/v1/events`: events without Kafka, as pages or as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{OriginalUri, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use fairway_adapters::contract::Time;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Api;
use super::auth::Caller;
use super::extract::Query;
use super::page::Page;
use super::problem::{self, Problem};
use crate::delivery::cursor::Vector;
use crate::delivery::feed::{Error, Event, Filter};

/// A comment this often keeps proxies from cutting a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Which events.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Behind this cursor; `beginning` or `now`. Pages begin at the beginning, streams now.
    after: Option<String>,
    /// This type, or several, separated by commas; `fairway.message.*` takes all that begin so.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// This channel, or several, separated by commas.
    channel: Option<String>,
    /// This conversation.
    conversation: Option<String>,
    /// At most; 50 when absent, 500 at most.
    limit: Option<usize>,
    /// Waits this many seconds for a first event, 30 at most (pages only).
    wait: Option<u64>,
}

impl From<Error> for Problem {
    fn from(e: Error) -> Self {
        match e {
            Error::Foreign => Self::new(&problem::CURSOR, "take `next` of an earlier page, or `beginning`, or `now`"),
            Error::Expired => Self::new(&problem::GONE, "what the cursor points at has passed its retention; go on from `beginning`"),
            Error::Away(e) => {
                tracing::warn!(error = e, "events cannot be read");
                Self::new(&problem::UNAVAILABLE, "the log cannot be read now; try again")
            }
        }
    }
}

/// An event as a CloudEvent (structured mode), for the description of the API: events are written by `envelope`.
/// Extensions stand beside these: `tenant`, `traceparent`, `correlationid`, `replaces`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CloudEvent {
    /// `1.0`.
    pub specversion: String,
    /// `evt_...`: the same wherever and however often the event is delivered.
    pub id: String,
    /// `/channels/NAME`.
    pub source: String,
    /// Such as `fairway.message.received`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The conversation.
    pub subject: String,
    /// When it happened.
    #[schema(value_type = String, format = "date-time")]
    pub time: Time,
    /// Where the schema of `data` is.
    pub dataschema: String,
    /// `application/json`.
    pub datacontenttype: String,
    /// What happened.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

/// Reads events.
#[utoipa::path(get, path = "/v1/events", operation_id = "listEvents", tag = "events", params(EventsQuery),
    responses((status = 200, content((Page<CloudEvent> = "application/json"), (String = "text/event-stream")), description = "A page; with `Accept: text/event-stream` a stream of the same events"),
        (status = 400, body = Problem), (status = 410, body = Problem)))]
pub async fn events(
    Extract(api): Extract<Api>,
    caller: Caller,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Problem> {
    caller.may("messages:read")?;
    let list =
        |text: &Option<String>| text.as_deref().map(|t| t.split(',').map(|s| s.trim().to_owned()).collect::<Vec<_>>()).unwrap_or_default();
    let mut channels = list(&query.channel);
    if channels.is_empty() {
        channels = caller.channels().to_vec();
    }
    for channel in &channels {
        caller.may_use(channel)?;
    }
    let filter = Filter { types: list(&query.kind), channels, conversation: query.conversation.clone() };
    let streaming = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/event-stream"));
    let after = headers.get("last-event-id").and_then(|v| v.to_str().ok()).map(str::to_owned).or(query.after);
    let from = match after.as_deref() {
        Some("now") => api.feed.now(),
        Some("beginning") => api.feed.beginning().await?,
        Some(text) => api.feed.cursor(text)?,
        None if streaming => api.feed.now(),
        None => api.feed.beginning().await?,
    };
    if streaming {
        return Ok(stream(&api, from, filter));
    }
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    api.feed.catch_up().await;
    let mut moved = api.feed.watch();
    let until = tokio::time::Instant::now() + Duration::from_secs(query.wait.unwrap_or(0).min(30));
    let mut from = from;
    loop {
        let (events, place, more) = api.feed.page(&from, &filter, limit).await?;
        if !events.is_empty() || more || tokio::time::Instant::now() >= until {
            return Ok(page(&api, &uri, &events, &place, more));
        }
        from = place;
        let _ = tokio::time::timeout_at(until, moved.changed()).await;
    }
}

fn page(api: &Api, uri: &http::Uri, events: &[Event], place: &Vector, more: bool) -> Response {
    let data: Vec<Box<RawValue>> = events.iter().filter_map(|e| serde_json::from_slice(&e.json()).ok()).collect();
    let next = api.feed.text(place);
    super::page::page(uri, data, Some(next), more)
}

fn stream(api: &Api, from: Vector, filter: Filter) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, Infallible>>(8);
    let api = std::sync::Arc::clone(api);
    tokio::spawn(async move {
        let mut moved = api.feed.watch();
        let mut stopping = api.stopping.clone();
        let mut place = from;
        if sender.send(Ok(Bytes::from_static(b"retry: 1000\n\n"))).await.is_err() {
            return;
        }
        loop {
            let (events, next, more) = match api.feed.page(&place, &filter, 256).await {
                Ok(page) => page,
                Err(e) => {
                    let problem = serde_json::to_string(&Problem::from(e)).unwrap_or_default();
                    let _ = sender.send(Ok(Bytes::from(format!("event: error\ndata: {problem}\n\n")))).await;
                    return;
                }
            };
            if !events.is_empty() {
                let mut out = BytesMut::with_capacity(events.len() * 1024);
                for event in &events {
                    place.insert((event.at.topic, event.at.partition), event.at.offset + 1);
                    out.put_slice(format!("id: {}\nevent: {}\ndata: ", api.feed.text(&place), event.kind).as_bytes());
                    // JSON has no raw newline, so one data line holds it.
                    out.put_slice(&event.json());
                    out.put_slice(b"\n\n");
                }
                if sender.send(Ok(out.freeze())).await.is_err() {
                    return;
                }
            }
            place = next;
            if more {
                continue;
            }
            tokio::select! {
                changed = moved.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(HEARTBEAT) => {
                    if sender.send(Ok(Bytes::from_static(b": still here\n\n"))).await.is_err() {
                        return;
                    }
                }
                () = sender.closed() => return,
                () = async { stopping.wait_for(|s| *s).await.map_or((), |_| ()) } => return,
            }
        }
    });
    let body = HttpBody::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (http::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

//! `/v1/messages`: send, batch, preview, list, show, cancel.

use std::time::Duration;

use axum::Json;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{OriginalUri, State as Extract};
use axum::response::{IntoResponse, Response};
use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{Downgrade, Piece, Reason, Scope, SendRequest, State, Time};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query, Raw, is_json, parse};
use super::idempotency::{Begin, Key, replayed};
use super::page::{Page, cursor, opened, page};
use super::problem::{self, Detail, Problem};
use crate::clock;
use crate::ids::{self, MessageId};
use crate::log::{Durability, Outcome};
use crate::orders::Order;
use crate::outbound::accept::{Act, Ready};
use crate::proactive::campaigns::report::MessagePlace;
use crate::store::{Filter, Message};
use crate::telemetry::trace;

/// The largest line of a batch.
const LINE: usize = 1 << 20;
/// Lines appended together.
const CHUNK: usize = 256;
/// What the cursors of messages, newest first, are for.
const NEWEST: &str = "messages";
/// How long a GET waits for the views to know a message.
const VIEWS: Duration = Duration::from_secs(2);

/// The answer to a send.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Accepted {
    /// The message's id.
    pub id: String,
    /// `accepted`, `scheduled`, or `suppressed`.
    #[schema(value_type = String)]
    pub state: State,
    /// Why it is suppressed.
    #[schema(value_type = Option<Object>)]
    pub reason: Option<Reason>,
    /// When it will leave, as far as the limits tell.
    #[schema(value_type = String, format = "date-time")]
    pub estimated_send_at: Time,
    /// The limit that holds it: `account`, `sender`, `conversation`.
    #[schema(value_type = Option<String>)]
    pub held_by: Option<Scope>,
    /// What was downgraded for the channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub downgrades: Vec<Downgrade2>,
}

/// One thing a channel lacks and what stands in for it.
pub type Downgrade2 = serde_json::Value;

/// Sends one message.
#[utoipa::path(post, path = "/v1/messages", operation_id = "sendMessage", tag = "messages",
    request_body(content = Object, description = "A send request: see /schemas/send/1"),
    responses((status = 202, body = Accepted), (status = 422, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn send(Extract(api): Extract<Api>, caller: Caller, headers: HeaderMap, Raw(body): Raw) -> Result<Response, Problem> {
    caller.may("messages:write")?;
    if !is_json(&headers) {
        return Err(Problem::new(&problem::MEDIA_TYPE, "send `Content-Type: application/json`"));
    }
    let key = Key::of(&headers, &caller.id, "/v1/messages", &body)?;
    let mut again = false;
    if let Some(key) = &key {
        match key.begin(&*api.store).await? {
            Begin::Fresh => {}
            Begin::Again => again = true,
            Begin::Done(status, body) => return Ok(replayed(status, body)),
        }
    }
    let result = send_one(&api, &caller, &headers, &body, key.as_ref(), again).await;
    let (status, text) = match &result {
        Ok(accepted) => (202, serde_json::to_string(accepted).unwrap_or_default()),
        Err(problem) => (problem.status, serde_json::to_string(problem).unwrap_or_default()),
    };
    if let Some(key) = &key {
        key.finish(&*api.store, status, &text).await;
    }
    Ok((StatusCode::ACCEPTED, Json(result?)).into_response())
}

async fn send_one(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    body: &[u8],
    key: Option<&Key>,
    again: bool,
) -> Result<Accepted, Problem> {
    let value = serde_json::from_slice(body).map_err(|e| Problem::new(&problem::MALFORMED, format!("the body is not JSON: {e}")))?;
    let request: SendRequest = parse(value)?;
    let act = key.map(|k| [b"key".as_slice(), k.scope.as_bytes()]);
    let act = act.as_ref().map_or(Act::Once, |parts| Act::Named(parts));
    let ready = api.acceptor.prepare(request, Origin::Api, act, trace::parent(headers)).await?;
    caller.may_use(&ready.channel.id)?;
    let outcomes = api.acceptor.append(std::slice::from_ref(&ready), again).await;
    if !outcomes.iter().all(Outcome::is_durable) {
        return Err(
            Problem::new(&problem::UNAVAILABLE, "the log cannot take it now; try again, with an Idempotency-Key to be safe").retry_after(5)
        );
    }
    Ok(accepted(api, &ready).await)
}

async fn accepted(api: &Api, ready: &Ready) -> Accepted {
    let (estimated_send_at, held_by) = api.acceptor.estimate(ready).await;
    Accepted {
        id: ready.accepted.id.to_string(),
        state: first_state(ready),
        reason: ready.accepted.suppressed.clone(),
        estimated_send_at,
        held_by,
        downgrades: ready.downgrades.iter().map(|d: &Downgrade| serde_json::to_value(d).unwrap_or_default()).collect(),
    }
}

/// What an accepted message is told to be. One that may not go is accepted too: it is kept, listed and counted as suppressed.
fn first_state(ready: &Ready) -> State {
    match ready.accepted.request.send_at {
        _ if ready.accepted.suppressed.is_some() => State::Suppressed,
        Some(at) if at > clock::now() => State::Scheduled,
        _ => State::Accepted,
    }
}

/// One line of a batch's answer.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LineResult {
    /// Which line, from 0.
    pub index: u64,
    /// The message's id, when it was accepted.
    pub id: Option<String>,
    /// `accepted`, `scheduled` or `suppressed`.
    #[schema(value_type = Option<String>)]
    pub state: Option<State>,
    /// Why it was not.
    #[schema(value_type = Option<Problem>)]
    pub problem: Option<serde_json::Value>,
}

/// Sends many: NDJSON in, NDJSON out, streaming.
#[utoipa::path(post, path = "/v1/messages/batch", operation_id = "sendBatch", tag = "messages",
    request_body(content = String, content_type = "application/x-ndjson", description = "One send request a line, each with an optional `idempotency_key`"),
    responses((status = 200, body = LineResult, content_type = "application/x-ndjson", description = "One result a line")))]
pub async fn batch(Extract(api): Extract<Api>, caller: Caller, headers: HeaderMap, body: HttpBody) -> Result<Response, Problem> {
    caller.may("messages:write")?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !["application/x-ndjson", "application/jsonl", "application/json"].iter().any(|k| kind.starts_with(k)) {
        return Err(Problem::new(&problem::MEDIA_TYPE, "send `Content-Type: application/x-ndjson`, one send request a line"));
    }
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(16);
    tokio::spawn(async move {
        let mut stream = body.into_data_stream();
        let mut rest: Vec<u8> = Vec::new();
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut index = 0;
        loop {
            let chunk = stream.next().await;
            let end = chunk.is_none();
            match chunk {
                Some(Ok(bytes)) => rest.extend_from_slice(&bytes),
                // The sender broke off: what came whole is carried out, the half line is not.
                Some(Err(_)) => rest.clear(),
                None => {}
            }
            while let Some(at) = rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = rest.drain(..=at).collect();
                lines.push(line);
            }
            if end && !rest.is_empty() {
                lines.push(std::mem::take(&mut rest));
            }
            // Where such a line ends nobody knows: it is the last that is answered, behind those before it.
            let too_long = rest.len() > LINE;
            let end = end || too_long;
            while lines.len() >= CHUNK || end && !lines.is_empty() {
                let taken: Vec<Vec<u8>> = lines.drain(..lines.len().min(CHUNK)).collect();
                let results = send_lines(&api, &caller, &taken, &mut index).await;
                let text: Vec<u8> = results.iter().flat_map(|r| to_line(r).to_vec()).collect();
                if sender.send(Ok(text.into())).await.is_err() {
                    return;
                }
            }
            if too_long {
                let problem = Problem::new(&problem::TOO_LARGE, "a line has at most 1 MiB; what follows it was not read");
                let line = LineResult { index, id: None, state: None, problem: serde_json::to_value(&problem).ok() };
                let _ = sender.send(Ok(to_line(&line))).await;
            }
            if end {
                return;
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], HttpBody::from_stream(stream)).into_response())
}

fn to_line(result: &LineResult) -> Bytes {
    let mut line = serde_json::to_vec(result).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// Carries out lines: all that are good are appended as one batch.
async fn send_lines(api: &Api, caller: &Caller, lines: &[Vec<u8>], index: &mut u64) -> Vec<LineResult> {
    let mut results = Vec::with_capacity(lines.len());
    let mut ready: Vec<(usize, Ready, Option<Key>)> = Vec::new();
    let mut again = false;
    for line in lines {
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let mut result = LineResult { index: *index, id: None, state: None, problem: None };
        *index += 1;
        match prepare_line(api, caller, text).await {
            Ok(Prepared::Send(prepared, key, repeated)) => {
                again |= repeated;
                ready.push((results.len(), *prepared, key));
            }
            Ok(Prepared::Done(id, state)) => (result.id, result.state) = (Some(id), Some(state)),
            Err(problem) => result.problem = serde_json::to_value(&problem).ok(),
        }
        results.push(result);
    }
    let batch: Vec<Ready> = ready.iter().map(|(_, r, _)| r.clone()).collect();
    let outcomes = if batch.is_empty() { Vec::new() } else { api.acceptor.append(&batch, again).await };
    for ((at, ready, key), outcome) in ready.iter().zip(outcomes) {
        let result = &mut results[*at];
        let status = if outcome.is_durable() {
            (result.id, result.state) = (Some(ready.accepted.id.to_string()), Some(first_state(ready)));
            202
        } else {
            result.problem =
                serde_json::to_value(Problem::new(&problem::UNAVAILABLE, "the log cannot take it now; try this line again")).ok();
            503
        };
        if let Some(key) = key {
            key.finish(&*api.store, status, &serde_json::to_string(result).unwrap_or_default()).await;
        }
    }
    results
}

enum Prepared {
    Send(Box<Ready>, Option<Key>, bool),
    Done(String, State),
}

async fn prepare_line(api: &Api, caller: &Caller, text: &[u8]) -> Result<Prepared, Problem> {
    let value = serde_json::from_slice(text).map_err(|e| Problem::new(&problem::MALFORMED, format!("the line is not JSON: {e}")))?;
    let request: SendRequest = parse(value)?;
    let key = match request.idempotency_key.clone() {
        Some(name) => Key::named(&name, &caller.id, "/v1/messages/batch", text)?,
        None => None,
    };
    let mut again = false;
    if let Some(key) = &key {
        match key.begin(&*api.store).await? {
            Begin::Fresh => {}
            Begin::Again => again = true,
            Begin::Done(_, body) => {
                if let Ok(LineResult { id: Some(id), state: Some(state), .. }) = serde_json::from_str(&body) {
                    return Ok(Prepared::Done(id, state));
                }
                again = true;
            }
        }
    }
    let act = key.as_ref().map(|k| [b"key".as_slice(), k.scope.as_bytes()]);
    let act = act.as_ref().map_or(Act::Once, |parts| Act::Named(parts));
    let prepared = api.acceptor.prepare(request, Origin::Api, act, None).await?;
    caller.may_use(&prepared.channel.id)?;
    Ok(Prepared::Send(Box::new(prepared), key, again))
}

/// Which channels to preview, besides the request.
#[derive(Deserialize)]
pub struct PreviewRequest {
    /// Channels; all that reach the address when absent.
    #[serde(default)]
    channels: Vec<String>,
    /// An address for each channel that the request's own does not fit.
    #[serde(default)]
    addresses: std::collections::BTreeMap<String, String>,
    #[serde(flatten)]
    request: serde_json::Map<String, serde_json::Value>,
}

/// What a message would look like, without sending anything.
#[utoipa::path(post, path = "/v1/messages/preview", operation_id = "previewMessage", tag = "messages",
    request_body(content = Object, description = "A send request with `channels` (a list) and optional `addresses` (channel to address)"),
    responses((status = 200, body = Object), (status = 422, body = Problem)))]
pub async fn preview(Extract(api): Extract<Api>, caller: Caller, Body(wanted): Body<PreviewRequest>) -> Result<Response, Problem> {
    caller.may("messages:read")?;
    let request: SendRequest = parse(serde_json::Value::Object(wanted.request))?;
    let channels = api.channels.get();
    let to = request.to.clone().unwrap_or_default();
    let names: Vec<String> = if wanted.channels.is_empty() {
        match &request.channel {
            Some(channel) => vec![channel.clone()],
            None => channels.by_id.values().filter(|c| c.reaches(&to)).map(|c| c.id.to_string()).collect(),
        }
    } else {
        wanted.channels
    };
    let mut data = Vec::with_capacity(names.len());
    for name in names {
        let Some(channel) = channels.by_id.get(&name) else {
            return Err(Problem::new(&problem::INVALID, format!("there is no channel {name}")).at("#/channels", "channel_unknown"));
        };
        let given = wanted.addresses.get(&name).cloned().or_else(|| channel.reaches(&to).then(|| to.clone()));
        let candidates = given.map_or_else(|| examples(channel.facts().schemes[0]), |address| vec![address]);
        let mut best = None;
        for address in candidates {
            let preview = api.acceptor.preview(&request, channel, &address).await;
            let fits = preview.rendered.is_ok();
            if best.is_none() || fits {
                best = Some(preview);
            }
            if fits {
                break;
            }
        }
        data.extend(best.as_ref().map(|preview| {
            let mut shown = shown(preview);
            if let Some(reason) = api.acceptor.suppressed(channel, &preview.to, &request) {
                shown["suppressed"] = serde_json::to_value(reason).unwrap_or_default();
            }
            shown
        }));
    }
    Ok(Json(serde_json::json!({ "data": data })).into_response())
}

/// Addresses to try for a person who has none on a channel: a number, an id, a mailbox.
fn examples(scheme: &str) -> Vec<String> {
    ["+15550100200", "100200", "ana@example.org"].map(|id| format!("{scheme}:{id}")).to_vec()
}

fn shown(preview: &crate::outbound::accept::Preview) -> serde_json::Value {
    let (calls, downgrades, cost, text, problem) = match &preview.rendered {
        Ok(rendered) => (
            rendered.calls.iter().map(call_shown).collect::<Vec<_>>(),
            serde_json::to_value(&rendered.downgrades).unwrap_or_default(),
            Some(rendered.cost),
            rendered.shown.clone(),
            None,
        ),
        Err(refused) => {
            let detail = Detail { detail: refused.detail.clone(), pointer: refused.pointer.clone(), code: refused.code.into() };
            (Vec::new(), serde_json::json!([]), None, Vec::new(), serde_json::to_value(detail).ok())
        }
    };
    serde_json::json!({
        "channel": &*preview.channel.id, "provider": preview.channel.facts().id, "to": preview.to, "requests": calls,
        "downgrades": downgrades, "cost_units": cost, "shown": text, "blocker": problem,
    })
}

/// A provider request without its credentials.
fn call_shown(call: &fairway_adapters::contract::Call) -> serde_json::Value {
    let headers: serde_json::Map<String, serde_json::Value> = call.headers.iter().map(|(n, v)| (n.to_string(), v.clone().into())).collect();
    let body = match &call.body {
        fairway_adapters::contract::CallBody::Empty => serde_json::Value::Null,
        fairway_adapters::contract::CallBody::Bytes(bytes) => {
            serde_json::from_slice(bytes).unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(bytes).into_owned()))
        }
        fairway_adapters::contract::CallBody::Pieces { pieces, .. } => pieces_shown(pieces).into(),
        fairway_adapters::contract::CallBody::Multipart(fields) => {
            serde_json::Value::String(format!("multipart/form-data with {} fields", fields.len()))
        }
    };
    serde_json::json!({ "method": call.method.as_str(), "url": call.url, "headers": headers, "body": body })
}

/// A body with its files named in their places.
fn pieces_shown(pieces: &[Piece]) -> String {
    let shown = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Piece::Media(id) => format!("<{id}>"),
        Piece::Base64 { of, .. } => format!("<base64 of {}>", pieces_shown(of)),
    };
    pieces.iter().map(shown).collect()
}

/// Which messages to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Of this conversation.
    conversation: Option<String>,
    /// In this state, or several, separated by commas.
    state: Option<String>,
    /// Of this channel.
    channel: Option<String>,
    /// Of this campaign.
    campaign: Option<String>,
    /// Behind this cursor.
    after: Option<String>,
    /// At most; 50 when absent, 500 at most.
    limit: Option<usize>,
}

/// Lists messages, newest first.
#[utoipa::path(get, path = "/v1/messages", operation_id = "listMessages", tag = "messages", params(ListQuery),
    responses((status = 200, body = Page<Message>), (status = 400, body = Problem)))]
pub async fn list(
    Extract(api): Extract<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    caller.may("messages:read")?;
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    if let Some(campaign) = &query.campaign {
        if query.state.is_some() || query.conversation.is_some() || query.channel.is_some() {
            let detail = "`campaign` stands alone here; /v1/campaigns/{id}/recipients takes states";
            return Err(Problem::new(&problem::INVALID, detail).at("#/campaign", "ambiguous"));
        }
        return of_campaign(&api, &caller, &uri, campaign, query.after.as_deref(), limit).await;
    }
    let states = match &query.state {
        None => Vec::new(),
        Some(text) => text
            .split(',')
            .map(|word| {
                State::ALL
                    .into_iter()
                    .find(|s| s.word() == word.trim())
                    .ok_or_else(|| Problem::new(&problem::INVALID, format!("there is no state `{word}`")))
            })
            .collect::<Result<_, _>>()?,
    };
    let before = query.after.as_deref().map(|text| read_place(&api, text)).transpose()?;
    let filter = Filter { conversation: query.conversation.clone(), states, channel: query.channel.clone(), before, limit: limit + 1 };
    newest(&api, &caller, &uri, filter).await
}

/// A page of what a filter finds, newest first; the filter asks for one more than a page has. A key for some channels gets the page
/// without the others' messages: where the next one begins goes by what was read.
pub async fn newest(api: &Api, caller: &Caller, uri: &http::Uri, filter: Filter) -> Result<Response, Problem> {
    let limit = filter.limit - 1;
    let mut data = api.store.messages(filter).await?;
    let has_more = data.len() > limit;
    data.truncate(limit);
    let next = data.last().filter(|_| has_more).map(|m| cursor(&api.seal, NEWEST, &format!("{} {}", m.created_at.0, m.id)));
    data.retain(|m| caller.may_use(&m.channel).is_ok());
    Ok(page(uri, data, next, has_more))
}

/// A campaign's messages, in the order of its audience, fallback steps behind the first of their person. Other filters do not combine
/// with it: its recipients have states too.
async fn of_campaign(
    api: &Api,
    caller: &Caller,
    uri: &http::Uri,
    id: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Response, Problem> {
    let list = format!("messages {id}");
    let behind = after.map_or(Some((0, 0)), |text| place_in_campaign(&opened(&api.seal, &list, text)?)).ok_or_else(foreign)?;
    let mut found = api.proactive.campaign_messages(id, behind, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|((number, step), _)| cursor(&api.seal, &list, &format!("{number}.{step}")));
    let mut data = Vec::with_capacity(found.len());
    for id in found.iter().filter_map(|(_, id)| id.parse().ok()) {
        // What the views have not seen yet comes with the next look.
        data.extend(api.store.message(id).await?.filter(|m| caller.may_use(&m.channel).is_ok()));
    }
    Ok(page(uri, data, next, has_more))
}

fn place_in_campaign(text: &str) -> Option<MessagePlace> {
    let (number, step) = text.split_once('.')?;
    number.parse().ok().zip(step.parse().ok())
}

fn foreign() -> Problem {
    Problem::new(&problem::CURSOR, "take `next` of an earlier page")
}

/// Where a page of messages begins.
pub fn read_place(api: &Api, text: &str) -> Result<(i64, String), Problem> {
    let text = opened(&api.seal, NEWEST, text).ok_or_else(foreign)?;
    text.split_once(' ').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned()))).ok_or_else(foreign)
}

/// Shows a message with its timeline.
#[utoipa::path(get, path = "/v1/messages/{id}", operation_id = "showMessage", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = Message), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Message>, Problem> {
    caller.may("messages:read")?;
    let message = find(&api, &id).await?;
    caller.may_use(&message.channel)?;
    Ok(Json(message))
}

/// A message the views know, waiting a little for them.
pub async fn find(api: &Api, id: &str) -> Result<Message, Problem> {
    let unknown = || Problem::new(&problem::NOT_FOUND, "there is no message with this id");
    let id: MessageId = id.parse().map_err(|()| unknown())?;
    let until = tokio::time::Instant::now() + VIEWS;
    loop {
        // A message whose states came before its content is not whole yet.
        if let Some(message) = api.store.message(id).await?.filter(|m| m.request.is_some()) {
            return Ok(message);
        }
        if tokio::time::Instant::now() >= until {
            return Err(unknown());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Stops what has not gone out.
#[utoipa::path(post, path = "/v1/messages/{id}/cancel", operation_id = "cancelMessage", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = Message, description = "It is cancelled"), (status = 202, body = Message, description = "The owner has not answered yet"),
        (status = 409, body = Problem, description = "It is too late"), (status = 404, body = Problem)))]
pub async fn cancel(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    caller.may("messages:write")?;
    let message = find(&api, &id).await?;
    caller.may_use(&message.channel)?;
    let parsed: MessageId = id.parse().map_err(|()| Problem::new(&problem::NOT_FOUND, "there is no message with this id"))?;
    if !message.state.settled() {
        order(&api, parsed, Order::Cancel { id: parsed }).await?;
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(1);
    loop {
        let message = find(&api, &id).await?;
        match message.state {
            State::Cancelled => return Ok(Json(message).into_response()),
            state if state.settled() => {
                return Err(Problem::new(&problem::CONFLICT, format!("the message is {} already", state.word())));
            }
            _ if tokio::time::Instant::now() >= until => return Ok((StatusCode::ACCEPTED, Json(message)).into_response()),
            _ => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

/// Tells a message's owner something, durably.
pub async fn order(api: &Api, id: MessageId, order: Order) -> Result<(), Problem> {
    let record = order.record(u32::from(id.unit), ids::random());
    let outcomes = api.log.append(vec![record], Durability::Log).await;
    if outcomes.iter().all(Outcome::is_durable) {
        return Ok(());
    }
    Err(Problem::new(&problem::UNAVAILABLE, "the log cannot take it now; try again").retry_after(5))
}

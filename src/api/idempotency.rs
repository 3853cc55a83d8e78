//! `Idempotency-Key`: the same body under the same key gets the first answer again; another body is refused.
//!
//! Sends use [`Key`] themselves, because their ids hang on it: a send that a crash cut off is repeated under its old id. Every
//! other POST passes [`once`].

use std::collections::HashSet;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fairway_adapters::kit::crypto;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;

use super::Api;
use super::auth::Caller;
use super::problem::{self, Problem};
use crate::clock;
use crate::ids::{self, Fingerprint};
use crate::store::{Store, Used};

/// A key in use.
pub struct Key {
    /// Credential, path and key: what the derived ids hang on.
    pub scope: String,
    fingerprint: Fingerprint,
}

/// How a keyed request goes on.
pub enum Begin {
    /// For the first time.
    Fresh,
    /// The key was used by the same body, but no answer was stored: perhaps a crash. The act is repeated under the same id.
    Again,
    /// It was done: this was the answer.
    Done(u16, String),
}

impl Key {
    /// The key of a request, if it has one. Quoted (as the draft says) and unquoted are the same.
    pub fn of(headers: &HeaderMap, caller: &str, path: &str, body: &[u8]) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
        Self::named(text, caller, path, body)
    }

    /// A key given as text.
    pub fn named(text: &str, caller: &str, path: &str, body: &[u8]) -> Result<Option<Self>, Problem> {
        if text.is_empty() || text.len() > 255 {
            return Err(Problem::new(&problem::MALFORMED, "Idempotency-Key has 1 to 255 characters"));
        }
        let scope = format!("{caller} POST {path} {text}");
        Ok(Some(Self { scope, fingerprint: ids::fingerprint(&[&crypto::sha256(body)]) }))
    }

    /// Uses the key; durable when it answers.
    pub async fn begin(&self, store: &dyn Store) -> Result<Begin, Problem> {
        match store.use_key(&self.scope, self.fingerprint, clock::now()).await? {
            Used::Fresh => Ok(Begin::Fresh),
            Used::Same(Some((status, body))) => Ok(Begin::Done(status, body)),
            Used::Same(None) => Ok(Begin::Again),
            Used::Other => Err(Problem::new(&problem::KEY_REUSED, "use a new key for a new body")),
        }
    }

    /// Stores the answer; errors of ours and refusals for now are not kept, so that the caller can come again.
    pub async fn finish(&self, store: &dyn Store, status: u16, body: &str) {
        let stored = if status >= 500 || status == 429 {
            store.free_key(&self.scope).await
        } else {
            store.answer_key(&self.scope, status, body.to_owned()).await
        };
        if let Err(e) = stored {
            tracing::warn!(error = %e, "the answer of an idempotency key could not be stored");
        }
    }
}

/// An answer given again.
pub fn replayed(status: u16, body: String) -> Response {
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    let empty = body.is_empty();
    let mut response = (StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body).into_response();
    if empty {
        response.headers_mut().remove(header::CONTENT_TYPE);
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

/// Paths whose handlers use the key themselves.
const THEIR_OWN: [&str; 3] = ["/v1/messages", "/v1/messages/batch", "/v1/track"];
/// Paths that read their body as it comes. Such a body is told from another by its length, type and `Content-Digest` alone.
const UPLOADS: [&str; 3] = ["/v1/contacts/import", "/v1/audiences", "/v1/media"];
/// The most of a body that is not an upload, and of an answer that is kept.
const MOST: usize = 8 << 20;
/// What answers are sealed for: some show a secret once.
const PURPOSE: &str = "idempotency";

/// The keys whose requests are under way on this node.
#[derive(Default)]
pub struct Busy(Mutex<HashSet<String>>);

struct Turn<'a>(&'a Busy, &'a str);

impl Busy {
    fn enter<'a>(&'a self, scope: &'a str) -> Result<Turn<'a>, Problem> {
        if self.0.lock().insert(scope.to_owned()) {
            return Ok(Turn(self, scope));
        }
        Err(Problem::new(&problem::KEY_BUSY, "the first request with this key is still under way; come again for its answer")
            .retry_after(1))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(self.1);
    }
}

/// Carries out a POST with a key once, and gives its answer again for 24 h.
pub async fn once(Extract(api): Extract<Api>, caller: Caller, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if request.method() != Method::POST || !request.headers().contains_key("idempotency-key") || THEIR_OWN.contains(&path) {
        return next.run(request).await;
    }
    keyed(&api, &caller, request, next).await.unwrap_or_else(Problem::into_response)
}

async fn keyed(api: &Api, caller: &Caller, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let place = parts.uri.path_and_query().map_or(parts.uri.path(), |p| p.as_str()).to_owned();
    let (body, mark) = if UPLOADS.contains(&parts.uri.path()) {
        (body, mark(&parts.headers))
    } else {
        let bytes = to_bytes(body, MOST).await.map_err(|_| Problem::new(&problem::TOO_LARGE, "the body is too large or broke off"))?;
        (Body::from(bytes.clone()), bytes)
    };
    let Some(key) = Key::of(&parts.headers, &caller.id, &place, &mark)? else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let _turn = api.busy.enter(&key.scope)?;
    if let Begin::Done(status, sealed) = key.begin(&*api.store).await?
        && let Some(text) = api.seal.open(PURPOSE, &sealed)
    {
        return Ok(replayed(status, text));
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, MOST).await.map_err(|e| {
        tracing::error!(error = %e, "an answer to a POST with an Idempotency-Key is too large to be kept");
        Problem::new(&problem::INTERNAL, "the answer is too large to be kept under an Idempotency-Key; it was carried out")
    })?;
    key.finish(&*api.store, head.status.as_u16(), &api.seal.seal(PURPOSE, &String::from_utf8_lossy(&bytes))).await;
    Ok(Response::from_parts(head, Body::from(bytes)))
}

/// What tells an upload from another without reading it.
fn mark(headers: &HeaderMap) -> Bytes {
    let names = [header::CONTENT_LENGTH.as_str(), header::CONTENT_TYPE.as_str(), "content-digest"];
    names.iter().flat_map(|name| headers.get(*name).map_or(&b""[..], |v| v.as_bytes()).iter().copied().chain([0])).collect()
}

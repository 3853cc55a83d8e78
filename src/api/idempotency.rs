//! `Idempotency-Key`: the same body under the same key gets the first answer again; another body is refused.
//!
//! Sends use [`Key`] themselves, because their ids hang on it: a send that a crash cut off is repeated under its old id. Every
//! other POST passes [`once`].

use std::collections::HashSet;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fairway_adapters::kit::crypto;
use futures_util::{StreamExt as _, stream};
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
        let stored = match is_kept(status) {
            true => store.answer_key(&self.scope, status, body.to_owned()).await,
            false => store.free_key(&self.scope).await,
        };
        if let Err(e) = stored {
            tracing::warn!(error = %e, "the answer of an idempotency key could not be stored");
        }
    }
}

/// Whether who comes again gets this answer again.
fn is_kept(status: u16) -> bool {
    status < 500 && status != 429
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
/// Paths that read their body as it comes: it is told from another when its end has been read, before anything is made of it.
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
    let is_upload = UPLOADS.contains(&parts.uri.path());
    let (body, mark) = if is_upload {
        let kind = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
        (body, Bytes::copy_from_slice(kind))
    } else {
        let bytes = to_bytes(body, MOST).await.map_err(|_| Problem::new(&problem::TOO_LARGE, "the body is too large or broke off"))?;
        (Body::from(bytes.clone()), bytes)
    };
    let Some(key) = Key::of(&parts.headers, &caller.id, &place, &mark)? else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let _turn = api.busy.enter(&key.scope)?;
    let begun = key.begin(&*api.store).await?;
    let upload = is_upload.then(|| Upload::new(api, &key));
    let body = match &upload {
        Some(upload) => upload.read(body),
        None => body,
    };
    if let Begin::Done(status, sealed) = begun
        && let Some(text) = api.seal.open(PURPOSE, &sealed)
    {
        if let Some(upload) = &upload {
            let mut rest = body.into_data_stream();
            while let Some(chunk) = rest.next().await {
                chunk.map_err(|_| upload.refused().unwrap_or_else(|| Problem::new(&problem::MALFORMED, "the body broke off")))?;
            }
        }
        return Ok(replayed(status, text));
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some(problem) = upload.as_ref().and_then(Upload::refused) {
        return Err(problem);
    }
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, MOST).await.map_err(|e| {
        tracing::error!(error = %e, "an answer to a POST with an Idempotency-Key is too large to be kept");
        Problem::new(&problem::INTERNAL, "the answer is too large to be kept under an Idempotency-Key; it was carried out")
    })?;
    let status = head.status.as_u16();
    let text = api.seal.seal(PURPOSE, &String::from_utf8_lossy(&bytes));
    key.finish(&*api.store, status, &text).await;
    if let Some(upload) = upload.filter(|_| !is_kept(status)) {
        upload.forget().await;
    }
    Ok(Response::from_parts(head, Body::from(bytes)))
}

/// A body that is read once, by whoever carries it out. Its end is told when the store has its digest under the key and it is that of
/// the first body; else it breaks off, and nothing is made of it.
struct Upload {
    store: Arc<dyn Store>,
    scope: String,
    refused: Arc<Mutex<Option<Problem>>>,
}

impl Upload {
    fn new(api: &Api, key: &Key) -> Self {
        Self { store: Arc::clone(&api.store), scope: format!("digest {}", key.scope), refused: Arc::default() }
    }

    fn read(&self, body: Body) -> Body {
        let (store, scope, refused) = (Arc::clone(&self.store), self.scope.clone(), Arc::clone(&self.refused));
        let reading = Some((body.into_data_stream(), digest::Context::new(&digest::SHA256)));
        Body::from_stream(stream::unfold(reading, move |reading| {
            let (store, scope, refused) = (Arc::clone(&store), scope.clone(), Arc::clone(&refused));
            async move {
                let (mut stream, mut context) = reading?;
                match stream.next().await {
                    Some(Ok(chunk)) => {
                        context.update(&chunk);
                        Some((Ok(chunk), Some((stream, context))))
                    }
                    Some(Err(e)) => Some((Err(e), None)),
                    None => {
                        let key = Key { scope, fingerprint: ids::fingerprint(&[context.finish().as_ref()]) };
                        let problem = key.begin(&*store).await.err()?;
                        *refused.lock() = Some(problem);
                        Some((Err(axum::Error::new("it is not the body that this key was used with")), None))
                    }
                }
            }
        }))
    }

    /// Why the body broke off, if it was here.
    fn refused(&self) -> Option<Problem> {
        self.refused.lock().take()
    }

    /// Lets the next body be another, as the answer to this one is not kept.
    async fn forget(self) {
        if let Err(e) = self.store.free_key(&self.scope).await {
            tracing::warn!(error = %e, "the digest under an idempotency key could not be let go of");
        }
    }
}

//! Errors as RFC 9457 problems. Every type is listed once; clients switch on it, never on the text.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_with::skip_serializing_none;

/// A kind of problem.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// The last part of its type: `/problems/NAME`.
    pub name: &'static str,
    /// Its status.
    pub status: u16,
    /// Its title.
    pub title: &'static str,
}

macro_rules! kinds {
    ($($constant:ident = $name:literal $status:literal $title:literal;)*) => {
        $(#[doc = $title] pub const $constant: Kind = Kind { name: $name, status: $status, title: $title };)*
        /// Every kind of problem.
        pub const KINDS: &[&Kind] = &[$(&$constant),*];
    };
}

kinds! {
    INVALID = "invalid-request" 422 "The request cannot be carried out as it stands";
    MALFORMED = "malformed-request" 400 "The request cannot be read";
    TOO_LARGE = "body-too-large" 413 "The body is too large";
    MEDIA_TYPE = "unsupported-media-type" 415 "The content type is not supported";
    UNAUTHENTICATED = "unauthenticated" 401 "An API key is needed";
    FORBIDDEN = "forbidden" 403 "This key may not do that";
    NOT_FOUND = "not-found" 404 "There is no such thing";
    METHOD = "method-not-allowed" 405 "This address does not do that";
    KEY_REUSED = "idempotency-key-reused" 422 "This idempotency key was used with another body";
    KEY_BUSY = "idempotency-key-busy" 409 "A request with this idempotency key is under way";
    REFUSED = "refused-by-provider" 422 "The provider does not do that";
    CONFLICT = "conflict" 409 "It is too late for that";
    GONE = "gone" 410 "It is not there any more";
    CURSOR = "cursor-invalid" 400 "The cursor is not one of ours";
    QUOTA = "quota-exceeded" 429 "Too many requests";
    UNAVAILABLE = "unavailable" 503 "It cannot be made durable now";
    NOT_SUPPORTED = "not-supported" 501 "This build does not do that yet";
    INTERNAL = "internal" 500 "Something went wrong here";
}

/// One of several errors.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Detail {
    /// What is wrong and what would be right.
    pub detail: String,
    /// Where in the request: a JSON pointer.
    pub pointer: String,
    /// Our stable code.
    pub code: String,
}

/// A problem (RFC 9457).
#[skip_serializing_none]
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `/problems/NAME`, stable for ever.
    #[serde(rename = "type")]
    pub kind: String,
    /// Stable per type.
    pub title: String,
    /// The status.
    pub status: u16,
    /// This occurrence.
    pub detail: Option<String>,
    /// Each error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Detail>,
    /// Seconds to wait.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: &Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{}", kind.name),
            title: kind.title.to_owned(),
            status: kind.status,
            detail: Some(detail.into()),
            errors: Vec::new(),
            retry_after: matches!(kind.status, 429 | 503).then_some(1),
        }
    }

    /// With the place in the request.
    pub fn at(mut self, pointer: impl Into<String>, code: impl Into<String>) -> Self {
        let detail = self.detail.clone().unwrap_or_default();
        self.errors.push(Detail { detail, pointer: pointer.into(), code: code.into() });
        self
    }

    /// With the seconds to wait.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fairway\""));
        }
        response
    }
}

impl From<crate::outbound::accept::Refused> for Problem {
    fn from(refused: crate::outbound::accept::Refused) -> Self {
        if let Some(until) = refused.until {
            let seconds = until.since(crate::clock::now()).max(0) as u64 / 1000 + 1;
            return Self::new(&QUOTA, refused.detail).at(refused.pointer, refused.code).retry_after(seconds);
        }
        let kind = if refused.code == "not_supported" { &NOT_SUPPORTED } else { &INVALID };
        Self::new(kind, refused.detail).at(refused.pointer, refused.code)
    }
}

impl From<crate::store::Error> for Problem {
    fn from(e: crate::store::Error) -> Self {
        tracing::error!(error = %e, "the store failed a request");
        Self::new(&UNAVAILABLE, "the store cannot be reached; try again")
    }
}

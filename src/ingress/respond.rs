//! The answers. One table says what makes each provider come back, so that a sick gateway loses nothing.

use bytes::Bytes;
use fairway_adapters::contract::{Ack, Facts, VerifyError};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// An answer with its body at hand.
pub type Answer = Response<Full<Bytes>>;

/// Why a delivery gets no success, with the label it is counted under.
#[derive(Debug)]
pub enum Refusal {
    /// No such channel or app.
    UnknownChannel,
    /// The token in the URL is wrong.
    HookToken,
    /// The body is larger than the provider ever sends.
    TooLarge,
    /// Head or body came too slowly.
    Slow,
    /// The connection broke while the body came.
    Broken,
    /// The proof is missing or wrong.
    Verify(VerifyError),
    /// Neither log nor spool can take it.
    Unavailable(&'static Facts),
    /// A method no provider uses.
    Method,
}

impl Refusal {
    /// The label of `fairway_webhooks_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::UnknownChannel => "unknown_channel",
            Self::HookToken => "mismatch",
            Self::TooLarge => "too_large",
            Self::Slow => "slow",
            Self::Broken | Self::Method => "bad_request",
            Self::Verify(e) => e.label(),
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The answer. What the sender can mend is said; nothing else is.
    pub fn answer(&self) -> Answer {
        let (status, text) = match self {
            Self::UnknownChannel => (StatusCode::NOT_FOUND, "no channel or app of this name"),
            Self::HookToken => (StatusCode::UNAUTHORIZED, "wrong token"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body too large"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "too slow"),
            Self::Broken => (StatusCode::BAD_REQUEST, "incomplete body"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "use POST"),
            Self::Verify(e) => (e.status(), "not signed by the provider"),
            Self::Unavailable(facts) => {
                let status = StatusCode::from_u16(facts.redelivery.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                (status, "cannot store now")
            }
        };
        let mut answer = plain(status, text);
        if matches!(self, Self::Unavailable(_)) {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if matches!(self, Self::Method) {
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, GET, HEAD"));
        }
        answer
    }
}

/// A short text.
pub fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// The success a provider expects.
pub fn success(ack: Ack<'_>) -> Answer {
    let body = if ack.body.is_empty() { Bytes::new() } else { Bytes::from(ack.body.into_owned()) };
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = ack.status;
    if let Some(kind) = ack.content_type {
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    answer
}

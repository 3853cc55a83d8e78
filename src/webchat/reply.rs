//! Refusals, as the widget and the adapter read them: a status, a stable code, a sentence.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// Why a request gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    /// There is no web chat channel of this name.
    NotFound,
    /// The page may not embed this channel's widget.
    Origin,
    /// There is no such message to change, or none any more.
    Message,
    /// No session token, or none of ours.
    Session,
    /// The session token was good once.
    SessionExpired,
    /// The proof of identity is wrong.
    Identity,
    /// The proof of identity was good once.
    IdentityExpired,
    /// The channel's secret is missing or wrong.
    Secret,
    /// Too many in too short a time; milliseconds to wait.
    TooFast(u64),
    /// Larger than allowed.
    TooLarge,
    /// Not understood; where.
    Invalid(&'static str),
    /// The method is of no use here; these are.
    Method(&'static str),
    /// Not now.
    Away,
}

impl No {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Message => "message_not_found",
            Self::Origin => "origin_not_allowed",
            Self::Session => "session_invalid",
            Self::SessionExpired => "session_expired",
            Self::Identity => "identity_invalid",
            Self::IdentityExpired => "identity_expired",
            Self::Secret => "unauthenticated",
            Self::TooFast(_) => "too_fast",
            Self::TooLarge => "too_large",
            Self::Invalid(_) => "invalid",
            Self::Method(_) => "method_not_allowed",
            Self::Away => "unavailable",
        }
    }

    /// A sentence for who builds the page.
    pub fn detail(self) -> &'static str {
        match self {
            Self::NotFound => "there is no web chat channel of this name, or no such file",
            Self::Message => "there is no such message, or it was taken back",
            Self::Origin => "this page's origin is not in the channel's `origins`",
            Self::Session => "get a session first: POST session",
            Self::SessionExpired => "this session has ended; get another",
            Self::Identity => "the proof of identity is not signed with one of the channel's `identity_secrets`",
            Self::IdentityExpired => "the proof of identity has expired; make a fresh one",
            Self::Secret => "the bearer token is not the channel's",
            Self::TooFast(_) => "too much in too short a time",
            Self::TooLarge => "larger than this channel takes",
            Self::Invalid(what) => what,
            Self::Method(_) => "this address does not take that method",
            Self::Away => "it cannot be stored now; try again",
        }
    }

    /// After how many milliseconds it may be tried again, when that helps.
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::TooFast(after) => Some(after),
            Self::Away => Some(2_000),
            _ => None,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NotFound | Self::Message => StatusCode::NOT_FOUND,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Session | Self::SessionExpired | Self::Identity | Self::IdentityExpired | Self::Secret => StatusCode::UNAUTHORIZED,
            Self::TooFast(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Away => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(json!({ "code": self.code(), "detail": self.detail() }))).into_response();
        if let Some(after) = self.retry_after()
            && let Ok(seconds) = HeaderValue::from_str(&after.div_ceil(1000).max(1).to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if let Self::Method(methods) = self {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"webchat\""));
        }
        response
    }
}

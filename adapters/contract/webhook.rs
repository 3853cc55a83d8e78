//! What a provider delivers to us, and the proof that it did.

use http::{HeaderMap, Method, StatusCode};

use super::{Call, Secret, Time};

/// One delivery as it came: nothing decoded, nothing trusted.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// `POST`, or `GET` where a provider verifies the address that way.
    pub method: &'a Method,
    /// The URL the provider was given for this hook, with the query it actually used: `public_url` + path + query.
    /// Behind a proxy this is what a provider signs, not what our socket saw.
    pub url: &'a str,
    /// The query string without `?`, still encoded.
    pub query: &'a str,
    /// Header names are lower-case by type.
    pub headers: &'a HeaderMap,
    /// The exact bytes received.
    pub body: &'a [u8],
}

impl<'a> Webhook<'a> {
    /// A header's value when it is there once or more and is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Whether the content type starts with the given one, ignoring case.
    pub fn is(&self, content_type: &str) -> bool {
        self.header("content-type")
            .is_some_and(|v| v.len() >= content_type.len() && v[..content_type.len()].eq_ignore_ascii_case(content_type))
    }

    /// The proof that this delivery comes from the provider. Only an adapter's `verify` makes one, after it has checked.
    pub(crate) fn verified(self) -> Verified<'a> {
        Verified { hook: self }
    }
}

/// A delivery whose origin was proved. Only this can be parsed.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    hook: Webhook<'a>,
}

impl<'a> Verified<'a> {
    /// A delivery that was proved when it came and has been kept since (`fairway replay`).
    /// Nobody else may call this: what did not pass `verify` must not be parsed.
    pub fn from_our_own_log(hook: Webhook<'a>) -> Self {
        Self { hook }
    }

    /// What came over a connection that the channel's own session opened: the connection is the proof.
    /// Only the room that runs sessions may call this.
    pub fn from_our_own_session(hook: Webhook<'a>) -> Self {
        Self { hook }
    }

    /// The delivery.
    pub fn hook(&self) -> &Webhook<'a> {
        &self.hook
    }

    /// The body as text; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.hook.body).ok()
    }
}

/// What an adapter may know of the world in one call. Everything here was fetched, read or decided by the engine.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The current time.
    pub now: Time,
    /// `server.public_url`, without a slash at its end.
    pub public_url: &'a str,
    /// The full URL of this channel's webhook: what providers were given, and where receipts should come.
    pub hook_url: &'a str,
    /// The token that `login` obtained, where a provider has logins.
    pub login: Option<&'a Secret>,
    /// Keys or certificates fetched after `VerifyError::NeedsKeys`.
    pub keys: Option<&'a [u8]>,
}

/// Why a delivery is refused. Nothing of it is stored.
#[derive(Debug)]
pub enum VerifyError {
    /// The proof is missing.
    Missing {
        /// The status that provider expects; 401 where it says nothing.
        status: StatusCode,
    },
    /// The proof is wrong.
    Mismatch {
        /// The status that provider expects; 401 where it says nothing.
        status: StatusCode,
    },
    /// The proof is right but too old (or from the future): a replay.
    Stale,
    /// The published keys are not at hand: the engine makes this call, keeps the answer, and asks again with `Context::keys`.
    NeedsKeys(Call),
}

impl VerifyError {
    /// A missing proof, answered 401.
    pub const MISSING: Self = Self::Missing { status: StatusCode::UNAUTHORIZED };
    /// A wrong proof, answered 401.
    pub const MISMATCH: Self = Self::Mismatch { status: StatusCode::UNAUTHORIZED };

    /// The status to answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing { status } | Self::Mismatch { status } => *status,
            Self::Stale => StatusCode::UNAUTHORIZED,
            Self::NeedsKeys(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The label under which it is counted.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Mismatch { .. } => "mismatch",
            Self::Stale => "stale",
            Self::NeedsKeys(_) => "no_keys",
        }
    }
}

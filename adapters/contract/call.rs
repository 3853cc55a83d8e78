//! Calls to a provider, what came back, and what it means. Values only: `transport` does the talking.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Reason, Secret};

/// One HTTP request to a provider. No way of printing it shows a credential.
#[derive(Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The URL; `{secret}` in it stands for `url_secret`.
    pub url: String,
    /// A credential that the provider wants inside the URL.
    pub url_secret: Option<Secret>,
    /// Plain headers.
    pub headers: Vec<(HeaderName, String)>,
    /// Headers that carry credentials.
    pub secret_headers: Vec<(HeaderName, Secret)>,
    /// The body.
    pub body: CallBody,
    /// Redirects to follow, without the credentials (media downloads).
    pub redirects: u8,
    /// What the adapter wants to know again when the answer comes (the message that waits for this upload). Never sent.
    pub then: Option<Bytes>,
    /// What is still to be done once the files of [`CallBody::Pieces`] are in their places: a signature over the whole body.
    pub finish: Option<Finish>,
}

/// Completes a call whose body is whole now.
pub type Finish = Arc<dyn Fn(Call) -> Call + Send + Sync>;

/// The body of a call.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum CallBody {
    /// None.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// `multipart/form-data`; the transport writes the boundary and reads the files.
    Multipart(Vec<Field>),
    /// Bytes with files out of the gateway's store among them; the transport reads the files.
    Pieces {
        /// In order.
        pieces: Vec<Piece>,
        /// The most bytes the provider takes in one body.
        limit: usize,
    },
}

/// One piece of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// A file out of the gateway's store, by the gateway's media id.
    Media(String),
    /// Pieces in base64.
    Base64 {
        /// What is encoded.
        of: Vec<Piece>,
        /// Characters of a line, lines ended by CRLF (76 in MIME); `None` for a single line, as JSON wants it.
        line: Option<usize>,
    },
}

/// Why a body could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The store has no such file.
    #[error("the media object {0} is not in the gateway")]
    Missing(String),
    /// It is more than the provider takes.
    #[error("the message is {size} bytes with its files, the limit is {limit}")]
    TooLarge {
        /// Bytes it would be.
        size: usize,
        /// Bytes it may be.
        limit: usize,
    },
}

impl Piece {
    /// Bytes with each mark in them, in their order, replaced by its piece. A mark that is not there is left out.
    pub fn filled(bytes: &[u8], marks: Vec<(String, Self)>) -> Vec<Self> {
        let mut pieces = Vec::with_capacity(marks.len() * 2 + 1);
        let mut rest = bytes;
        for (mark, piece) in marks {
            if let Some(at) = rest.windows(mark.len().max(1)).position(|w| w == mark.as_bytes()) {
                pieces.push(Self::Bytes(Bytes::copy_from_slice(&rest[..at])));
                pieces.push(piece);
                rest = &rest[at + mark.len()..];
            }
        }
        pieces.push(Self::Bytes(Bytes::copy_from_slice(rest)));
        pieces
    }

    fn write(&self, file: &dyn Fn(&str) -> Option<Bytes>, out: &mut Vec<u8>) -> Result<(), BodyError> {
        match self {
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Media(id) => out.extend_from_slice(&file(id).ok_or_else(|| BodyError::Missing(id.clone()))?),
            Self::Base64 { of, line } => {
                let mut inner = Vec::new();
                of.iter().try_for_each(|piece| piece.write(file, &mut inner))?;
                let text = BASE64_STANDARD.encode(inner);
                for (index, piece) in text.as_bytes().chunks(line.unwrap_or(usize::MAX).max(1)).enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b"\r\n");
                    }
                    out.extend_from_slice(piece);
                }
            }
        }
        Ok(())
    }
}

/// One field of a multipart body.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// A name and its value.
    Text {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// A file out of the gateway's media store.
    Media {
        /// The name.
        name: String,
        /// The gateway's media id.
        id: String,
        /// The file's name.
        filename: String,
        /// RFC 2046 media type.
        mime_type: String,
    },
}

impl Call {
    /// A call without body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            url_secret: None,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            body: CallBody::Empty,
            redirects: 0,
            then: None,
            finish: None,
        }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST of JSON.
    pub fn json(url: impl Into<String>, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).expect("provider requests are plain data");
        Self::new(Method::POST, url).header("content-type", "application/json").bytes(bytes)
    }

    /// A POST of a form.
    pub fn form<K: AsRef<str>, V: AsRef<str>>(url: impl Into<String>, fields: &[(K, V)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::new(Method::POST, url).header("content-type", "application/x-www-form-urlencoded").bytes(body.into_bytes())
    }

    /// A POST of a multipart form.
    pub fn multipart(url: impl Into<String>, fields: Vec<Field>) -> Self {
        Self { body: CallBody::Multipart(fields), ..Self::new(Method::POST, url) }
    }

    /// With a body.
    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = CallBody::Bytes(body.into());
        self
    }

    /// With a body that holds files of the gateway's store, and what completes the call when they are in it.
    pub fn pieces(mut self, pieces: Vec<Piece>, limit: usize, finish: Option<Finish>) -> Self {
        self.body = CallBody::Pieces { pieces, limit };
        self.finish = finish;
        self
    }

    /// The call with the files of its pieces in their places, ready to leave. Other calls are as they were.
    pub fn assembled(&self, file: &dyn Fn(&str) -> Option<Bytes>) -> Result<Self, BodyError> {
        let CallBody::Pieces { pieces, limit } = &self.body else { return Ok(self.clone()) };
        let mut body = Vec::new();
        for piece in pieces {
            piece.write(file, &mut body)?;
            if body.len() > *limit {
                return Err(BodyError::TooLarge { size: body.len(), limit: *limit });
            }
        }
        let whole = Self { finish: None, ..self.clone() }.bytes(body);
        Ok(match &self.finish {
            Some(finish) => finish(whole),
            None => whole,
        })
    }

    /// With a plain header. The name must be lower-case.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    /// With a header that carries a credential. The name must be lower-case.
    pub fn secret_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.secret_headers.push((HeaderName::from_static(name), Secret::new(value)));
        self
    }

    /// With `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.secret_header("authorization", format!("Bearer {token}"))
    }

    /// With `Authorization: Basic`.
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.secret_header("authorization", format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
    }

    /// With a credential in place of `{secret}` in the URL.
    pub fn url_secret(mut self, secret: &str) -> Self {
        self.url_secret = Some(Secret::new(secret));
        self
    }

    /// Follows this many redirects, without the credentials.
    pub fn redirects(mut self, count: u8) -> Self {
        self.redirects = count;
        self
    }

    /// With what the adapter wants to know again when the answer comes.
    pub fn then(mut self, note: impl Into<Bytes>) -> Self {
        self.then = Some(note.into());
        self
    }

    /// The URL with its credential, for the one place that sends it.
    pub fn full_url(&self) -> String {
        match &self.url_secret {
            Some(secret) => self.url.replace("{secret}", secret.reveal()),
            None => self.url.clone(),
        }
    }

    /// What names the call's content, whatever its body is made of: the same for the same content.
    pub fn content(&self) -> Cow<'_, [u8]> {
        match &self.body {
            CallBody::Pieces { pieces, .. } => Cow::Owned(format!("{pieces:?}").into_bytes()),
            _ => Cow::Borrowed(self.body_bytes()),
        }
    }

    /// The body's bytes, where it has them already.
    pub fn body_bytes(&self) -> &[u8] {
        match &self.body {
            CallBody::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// All headers as they are sent.
    pub fn header_map(&self) -> HeaderMap {
        let plain = self.headers.iter().map(|(n, v)| (n, v.as_str(), false));
        let secret = self.secret_headers.iter().map(|(n, v)| (n, v.reveal(), true));
        let mut map = HeaderMap::with_capacity(self.headers.len() + self.secret_headers.len());
        for (name, value, sensitive) in plain.chain(secret) {
            if let Ok(mut value) = HeaderValue::from_str(value) {
                value.set_sensitive(sensitive);
                map.append(name, value);
            }
        }
        map
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// What a provider answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, cut at 1 MiB by the transport unless it is media.
    pub body: Bytes,
}

impl Reply {
    /// A JSON answer (twins and tests).
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            body: serde_json::to_vec(body).unwrap_or_default().into(),
        }
    }

    /// With a header (twins and tests). The name must be lower-case.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Milliseconds from `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3), which is compared with the provider's own
    /// `Date`, so that no clock is needed and none of the two has to be right.
    pub fn retry_after(&self) -> Option<u64> {
        let value = self.headers.get("retry-after")?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse::<f64>() {
            return (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64);
        }
        self.until(date(value)?)
    }

    /// Milliseconds until a header's time (seconds since 1970), such as `X-RateLimit-Reset`.
    pub fn until_reset(&self, header: &str) -> Option<u64> {
        let reset: i64 = self.headers.get(header)?.to_str().ok()?.trim().parse().ok()?;
        self.until(reset.saturating_mul(1000))
    }

    /// Milliseconds from the answer's own `Date` until a time (in milliseconds since 1970); 0 when that has passed.
    fn until(&self, time: i64) -> Option<u64> {
        let now = date(self.headers.get("date")?.to_str().ok()?)?;
        Some(time.saturating_sub(now).max(0) as u64)
    }
}

/// A date of HTTP in milliseconds since 1970.
fn date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok().map(|at| at.as_millisecond())
}

/// What all that share a limit are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything that goes through this provider account (or `[limits.NAME]`).
    Account,
    /// Everything this sender sends: number, page, bot.
    Sender,
    /// Everything to one person or group.
    Conversation,
    /// Everything to one group, where groups have a pace of their own.
    Group,
    /// Everything that goes as one template.
    Template,
    /// Everything to numbers of one country.
    Country,
}

impl Scope {
    /// The word in JSON and sentences.
    pub fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Sender => "sender",
            Self::Conversation => "conversation",
            Self::Group => "group",
            Self::Template => "template",
            Self::Country => "country",
        }
    }
}

/// What a call's outcome means for its message. Each leads to a different act.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The provider has it.
    Accept {
        /// Its id there; empty when the provider gives none.
        provider_id: String,
    },
    /// Too fast: surely not accepted. Freeze this scope.
    Throttle {
        /// Exactly what is too fast.
        scope: Scope,
        /// Milliseconds the provider asks for, if it says.
        after: Option<u64>,
        /// In words.
        reason: Reason,
    },
    /// Surely not accepted, and may pass by itself.
    Retry(Reason),
    /// The provider answered, but the answer does not say whether it has the message: in doubt.
    Unclear(Reason),
    /// This message will never go.
    Reject(Reason),
    /// This person cannot be reached here.
    Unreachable(Reason),
    /// This address will never work again (a push token that is gone, a number given up), or has moved to `current`.
    /// The message ends as unreachable, and the engine publishes `fairway.contact.updated`.
    Gone {
        /// In words.
        reason: Reason,
        /// Where the person is now, as an address, when the provider says it.
        current: Option<String>,
    },
    /// Surely not accepted because the token of `login` is no longer good: the engine logs in again and repeats the call.
    LogIn(Reason),
    /// The channel cannot send until somebody mends it.
    Suspend(Reason),
}

impl Verdict {
    /// The word in fixtures and metric labels.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accept { .. } => "accept",
            Self::Throttle { .. } => "throttle",
            Self::Retry(_) => "retry",
            Self::Unclear(_) => "unclear",
            Self::Reject(_) => "reject",
            Self::Unreachable(_) => "unreachable",
            Self::Gone { .. } => "gone",
            Self::LogIn(_) => "log_in",
            Self::Suspend(_) => "suspend",
        }
    }

    /// Why, where it is not a success.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accept { .. } => None,
            Self::Throttle { reason, .. } | Self::Gone { reason, .. } => Some(reason),
            Self::Retry(reason)
            | Self::Unclear(reason)
            | Self::Reject(reason)
            | Self::Unreachable(reason)
            | Self::LogIn(reason)
            | Self::Suspend(reason) => Some(reason),
        }
    }
}

/// What `classify` answers.
#[derive(Clone, Debug)]
pub enum Step {
    /// One more call is needed before the message counts as accepted (an upload, then the send).
    Call(Call),
    /// That is it.
    Done(Verdict),
}

impl Step {
    /// Shorthand.
    pub fn accept(provider_id: impl Into<String>) -> Self {
        Self::Done(Verdict::Accept { provider_id: provider_id.into() })
    }

    /// Shorthand.
    pub fn throttle(scope: Scope, after: Option<u64>, reason: Reason) -> Self {
        Self::Done(Verdict::Throttle { scope, after, reason })
    }

    /// The verdict that a class of error leads to.
    pub fn of(reason: Reason) -> Self {
        use super::ErrorClass as C;
        Self::Done(match reason.class {
            C::Transient => Verdict::Retry(reason),
            C::Throttled => Verdict::Throttle { scope: Scope::Sender, after: None, reason },
            C::Auth | C::Config => Verdict::Suspend(reason),
            C::Recipient | C::OptedOut => Verdict::Unreachable(reason),
            C::Window | C::Content => Verdict::Reject(reason),
            C::Unknown => Verdict::Unclear(reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_in_their_places() {
        let file = |id: &str| (id == "med_1").then(|| Bytes::from_static(b"\x89PNG"));
        let base64 = |line| Piece::Base64 { of: vec![Piece::Media("med_1".into())], line };
        let pieces = Piece::filled(b"<a>@1@</a><b>@2@</b>", vec![("@1@".into(), base64(None)), ("@2@".into(), base64(Some(5)))]);
        let call = Call::new(Method::POST, "https://api.example").pieces(pieces.clone(), 40, None);
        assert_eq!(call.assembled(&file).expect("whole").body_bytes(), b"<a>iVBORw==</a><b>iVBOR\r\nw==</b>");
        let nested = Piece::Base64 { of: vec![Piece::Bytes("x=".into()), base64(None)], line: None };
        let mark = |call: Call| Call { headers: vec![(HeaderName::from_static("x-length"), call.body_bytes().len().to_string())], ..call };
        let signed = Call::new(Method::POST, "https://api.example").pieces(vec![nested], 40, Some(Arc::new(mark)));
        let whole = signed.assembled(&file).expect("whole");
        assert_eq!((whole.body_bytes(), whole.headers[0].1.as_str()), (&b"eD1pVkJPUnc9PQ=="[..], "16"));
        let small = Call::new(Method::POST, "https://api.example").pieces(pieces, 30, None);
        assert_eq!(small.assembled(&file).expect_err("too large"), BodyError::TooLarge { size: 32, limit: 30 });
        let lost = Call::new(Method::POST, "https://api.example").pieces(vec![Piece::Media("med_2".into())], 30, None);
        assert_eq!(lost.assembled(&file).expect_err("missing"), BodyError::Missing("med_2".into()));
    }

    #[test]
    fn it_reads_when_to_come_again() {
        let reply = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().expect("a name"), http::HeaderValue::from_static(value)));
            Reply { status: http::StatusCode::TOO_MANY_REQUESTS, headers: headers.collect(), body: Default::default() }.retry_after()
        };
        assert_eq!(reply(&[("retry-after", "1.5")]), Some(1500));
        assert_eq!(reply(&[("retry-after", "-1")]), None);
        let date = ("date", "Sun, 29 Nov 2026 10:00:00 GMT");
        assert_eq!(reply(&[("retry-after", "Sun, 29 Nov 2026 10:02:00 GMT"), date]), Some(120_000));
        assert_eq!(reply(&[("retry-after", "Sun, 29 Nov 2026 09:00:00 GMT"), date]), Some(0));
        assert_eq!(reply(&[("retry-after", "Sun, 29 Nov 2026 10:02:00 GMT")]), None);
        assert_eq!(reply(&[("retry-after", "soon"), date]), None);
        let limited = Reply::json(429, &()).header("date", date.1).header("x-ratelimit-reset", "1795946460");
        assert_eq!(limited.until_reset("x-ratelimit-reset"), Some(60_000));
    }
}

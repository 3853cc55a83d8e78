//! A provider, played: what the sandbox, the tests and the load test talk to instead of the real one.
//!
//! A twin is written from the provider's fact sheet and never reads `FACTS`, or both would be wrong together.
//! It is as pure as an adapter: requests and times go in, answers and webhooks come out.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::{Reply, Time};

/// A request of ours as the twin's HTTP host received it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path below the twin's base URL, beginning with `/`.
    pub path: String,
    /// The query string.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A webhook before it is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// `POST` unless the provider asks by `GET`.
    pub method: Method,
    /// The query string, without `?`.
    pub query: String,
    /// Headers besides the signature, lower-case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Draft {
    /// A POST of JSON.
    pub fn json(body: &Value) -> Self {
        Self {
            method: Method::POST,
            query: String::new(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: serde_json::to_vec(body).unwrap_or_default(),
        }
    }

    /// A POST of a form.
    pub fn form<K: AsRef<str>, V: AsRef<str>>(fields: &[(K, V)]) -> Self {
        Self {
            method: Method::POST,
            query: String::new(),
            headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
            body: form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes(),
        }
    }
}

/// A webhook that will leave after a while.
#[derive(Clone, Debug)]
pub struct Emit {
    /// Milliseconds from now.
    pub after_ms: u64,
    /// Where to, when our request named a callback URL of its own; else the channel's hook.
    pub url: Option<String>,
    /// The webhook, not yet signed.
    pub draft: Draft,
}

/// What a person does on the provider's side.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Writes words.
    Text(String),
    /// Sends a picture the twin hosts.
    Image(String),
    /// Picks an option we offered, by its id and title.
    Pick {
        /// The payload.
        id: String,
        /// The words on it.
        title: String,
    },
    /// Reads all we sent.
    Read,
    /// Blocks us.
    Block,
}

/// One accepted message, for the books.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The id the twin gave it.
    pub provider_id: String,
    /// The recipient as the request named it.
    pub to: String,
    /// Our id, where the request carried it.
    pub our_id: Option<String>,
    /// The words in it, for accounting in tests.
    pub text: String,
}

/// What the twin answers, before the frame's moods touch it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The HTTP answer.
    pub reply: Reply,
    /// Messages it accepted by this request (none when it refused).
    pub accepted: Vec<Accepted>,
    /// Webhooks that follow (receipts).
    pub emits: Vec<Emit>,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, ..Self::default() }
    }
}

/// What a provider's end of a connection makes of bytes.
#[derive(Clone, Debug)]
pub enum Said {
    /// Write these back.
    Write(Vec<u8>),
    /// A request, as `Twin::answer` takes it; the answer goes to `Line::answered` under this number.
    Ask(u64, Request),
    /// It hangs up.
    Close,
}

/// A provider's end of one connection, where sessions are spoken: frames out of bytes, and back.
pub trait Line: Send {
    /// Bytes came.
    fn hear(&mut self, bytes: &[u8]) -> Vec<Said>;

    /// The answer to a request, as bytes.
    fn answered(&mut self, number: u64, reply: &Reply) -> Vec<u8>;

    /// A delivery as bytes; `None` while this connection cannot carry one.
    fn deliver(&mut self, draft: &Draft) -> Option<Vec<u8>>;

    /// What was delivered and not acknowledged, oldest first: delivered again elsewhere when the connection is gone.
    fn unacknowledged(&self) -> Vec<Draft>;
}

/// A provider, played.
pub trait Twin: Send {
    /// A twin whose ids follow from the seed.
    fn new(seed: u64) -> Self
    where
        Self: Sized;

    /// Whether the gateway itself is this provider: the sandbox then adds the channel and needs no twin of it.
    fn own(&self) -> bool {
        false
    }

    /// The settings of a channel that talks to this twin. The host adds `api_base` (and other bases the adapter has).
    /// Values that no real provider would issue.
    fn settings(&self) -> Map<String, Value>;

    /// Answers a request, checking it as strictly as the provider would (path, credentials, types, lengths).
    fn answer(&mut self, request: &Request, now: Time) -> Answer;

    /// Signs a webhook for the URL it will go to.
    fn sign(&self, url: &str, draft: Draft) -> Draft;

    /// What a person's act makes the provider send to us. `person` is an address (`whatsapp:+15550100200`).
    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft>;

    /// What a person's opening a link of ours, and sending what it has written for them, makes the provider send to us. Nothing when
    /// the link is none of this provider's, or leads elsewhere.
    fn open(&mut self, _person: &str, _link: &str, _now: Time) -> Vec<Draft> {
        Vec::new()
    }

    /// Which message sends a request counts for in the twin's own limits, with the recipient: `None` for other calls.
    fn counts(&self, request: &Request) -> Option<String>;

    /// What a message of ours says now, where the provider lets us change it or take it back; `None` once it is gone.
    fn says(&self, _provider_id: &str) -> Option<String> {
        None
    }

    /// The answer when a limit is exceeded.
    fn throttled(&self, retry_after_secs: u64) -> Reply;

    /// The answer when the limit per recipient is exceeded, where the provider tells the two apart.
    fn throttled_pair(&self, retry_after_secs: u64) -> Reply {
        self.throttled(retry_after_secs)
    }

    /// The answer of a provider with a bad day.
    fn broken(&self) -> Reply {
        Reply::json(503, &serde_json::json!({ "error": "unavailable" }))
    }

    /// Its end of a new connection, where channels can speak over connections of their own.
    fn line(&self) -> Option<Box<dyn Line>> {
        None
    }

    /// The settings by which a channel's connections lead to this `HOST:PORT`, where `line` is at home.
    fn line_settings(&self, address: &str) -> Map<String, Value> {
        Map::from_iter([("api_base".to_owned(), format!("tcp://{address}").into())])
    }

    /// Whether a delivery goes over such a connection, where there are some; else it is a webhook.
    fn goes_over_line(&self, _draft: &Draft) -> bool {
        true
    }

    /// The sender's own limit in the provider's documentation: messages per window in milliseconds.
    fn pace(&self) -> (u32, u64);

    /// The limit per recipient, where there is one: messages, window in milliseconds, and how many may go at once.
    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        None
    }
}

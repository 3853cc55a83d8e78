//! The only client, HTTP, mail and connections that stay: pools, TLS, deadlines, and the one question that matters: can they have seen it?
//!
//! Invariant: `NotSent` is answered only when no byte of the request can have been read by the other side.

mod egress;
pub mod held;
mod multipart;
mod outgoing;
pub mod session;
mod smtp;
mod wall;

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use fairway_adapters::contract::{BodyError, Call, CallBody, Reply, waiting};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{HttpConnector, dns::GaiResolver};
use parking_lot::RwLock;

use crate::config::egress::Egress;
pub use outgoing::Left;
use outgoing::Outgoing;
pub use wall::{Wall, is_public};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written: sending again is safe.
    #[error("not sent: {0}")]
    NotSent(String),
    /// They may have it.
    #[error("no answer: {0}")]
    Unknown(String),
    /// The address is one nobody may make us call.
    #[error("refused: {0}")]
    Walled(String),
    /// It is more than the provider takes; sending again changes nothing.
    #[error("too large: {0}")]
    TooLarge(String),
}

type Pool<R> = Arc<egress::Pool<HttpsConnector<HttpConnector<R>>>>;

/// The client. Cloning shares its connections.
#[derive(Clone)]
pub struct Transport {
    open: Pool<GaiResolver>,
    walled: Pool<Wall>,
    local: bool,
    ways: Arc<RwLock<HashMap<String, (Egress, egress::Way)>>>,
    blobs: Arc<dyn Fn(&str) -> Option<Bytes> + Send + Sync>,
    mail: Arc<smtp::Pool>,
    /// The connections that stay, by channel.
    pub sessions: session::Sessions,
    /// Answers to deliveries that are held back for a message.
    pub held: held::Held,
}

/// The most of an answer that is read.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// Begins the reason of an answer that was larger than its limit.
pub const TOO_LARGE: &str = "the answer is larger than";

const CONNECT: Duration = Duration::from_secs(10);

impl Transport {
    /// A client. `local` lets walled calls reach loopback, for a gateway that is itself on loopback.
    pub fn new(local: bool, media: Arc<dyn Fn(&str) -> Option<Bytes> + Send + Sync>) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        http.enforce_http(false);
        let mut walled = HttpConnector::new_with_resolver(Wall { local });
        walled.set_nodelay(true);
        walled.set_connect_timeout(Some(CONNECT));
        walled.enforce_http(false);
        Self {
            open: pool(http),
            walled: pool(walled),
            local,
            ways: Arc::default(),
            blobs: media,
            mail: Arc::default(),
            sessions: session::Sessions::default(),
            held: held::Held::default(),
        }
    }

    /// Makes a provider call. Providers' addresses come from the configuration and are trusted.
    pub async fn call(&self, call: &Call, traceparent: Option<&str>, within: Duration) -> Result<Reply, Error> {
        self.call_anywhere(call, traceparent, within, None).await
    }

    async fn call_anywhere(&self, call: &Call, traceparent: Option<&str>, within: Duration, left: Option<Left>) -> Result<Reply, Error> {
        let call = self.whole(call)?;
        if smtp::is_mail(&call.url) {
            return self.mail.send(&call, within).await;
        }
        let request = self.request(&call, traceparent, left)?;
        finish(self.open.request(request), within, ANSWER_LIMIT).await
    }

    /// Puts the channels' own ways out in force. A way that stays keeps its connections.
    pub fn lead<'c>(&self, channels: impl Iterator<Item = (&'c str, &'c Egress)>) {
        let mut ways = self.ways.write();
        let mut known = std::mem::take(&mut *ways);
        for (channel, egress) in channels {
            let kept = known.remove(channel).filter(|(before, _)| before == egress);
            ways.insert(channel.to_owned(), kept.unwrap_or_else(|| (egress.clone(), egress::way(egress))));
        }
    }

    fn way(&self, channel: &str) -> Option<egress::Way> {
        self.ways.read().get(channel).map(|(_, way)| Arc::clone(way))
    }

    /// Makes a channel's call: through its session where it has one, by its own way out where it has one.
    pub async fn call_of(&self, channel: &str, call: &Call, traceparent: Option<&str>, within: Duration) -> Result<Reply, Error> {
        self.call_watched(channel, call, traceparent, within, None).await
    }

    /// The same, and tells when an HTTP request with a body leaves.
    pub async fn call_watched(
        &self,
        channel: &str,
        call: &Call,
        traceparent: Option<&str>,
        within: Duration,
        left: Option<Left>,
    ) -> Result<Reply, Error> {
        if session::is_for_session(call) {
            return self.sessions.call(channel, call).await;
        }
        let Some(way) = self.way(channel) else { return self.call_anywhere(call, traceparent, within, left).await };
        if smtp::is_mail(&call.url) {
            return Err(Error::NotSent("`egress` leads HTTP calls alone, and this channel submits mail: take it out".into()));
        }
        let call = self.whole(call)?;
        finish(way(self.request(&call, traceparent, left)?), within, ANSWER_LIMIT).await
    }

    /// Gives a call as the answer of the delivery that waits for it; `None` when it is any other call.
    pub fn give(&self, call: &Call) -> Option<Result<(), Error>> {
        waiting::number(call).map(|number| self.held.give(number, call))
    }

    /// The call with the files of its pieces in it.
    fn whole<'c>(&self, call: &'c Call) -> Result<Cow<'c, Call>, Error> {
        if !matches!(call.body, CallBody::Pieces { .. }) {
            return Ok(Cow::Borrowed(call));
        }
        call.assembled(&*self.blobs).map(Cow::Owned).map_err(|e| match e {
            BodyError::Missing(_) => Error::NotSent(e.to_string()),
            BodyError::TooLarge { .. } => Error::TooLarge(e.to_string()),
        })
    }

    /// Fetches something whose address came from outside (media, webhooks of users): only public addresses are reached,
    /// redirects are followed as often as the call says, without its credentials. `trusted` names the channel whose own provider is
    /// asked: its address is believed, and its way out taken.
    pub async fn fetch(&self, call: &Call, trusted: Option<&str>, within: Duration, limit: usize) -> Result<Reply, Error> {
        let mut call = call.clone();
        let mut trusted = trusted;
        loop {
            let request = self.request(&call, None, None)?;
            let under_way = match trusted.map(|channel| self.way(channel)) {
                Some(Some(way)) => way(request),
                Some(None) => self.open.request(request),
                None => {
                    wall::check_literal(request.uri(), self.local)?;
                    self.walled.request(request)
                }
            };
            let reply = finish(under_way, within, limit).await?;
            let next = reply.headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let (true, Some(next), true) = (reply.status.is_redirection(), next, call.redirects > 0) else { return Ok(reply) };
            let base = url::Url::parse(&call.full_url()).map_err(|e| Error::NotSent(e.to_string()))?;
            let next = base.join(&next).map_err(|e| Error::NotSent(format!("a redirect to nowhere: {e}")))?;
            let same_place = base.origin() == next.origin();
            call = Call { redirects: call.redirects - 1, url: next.into(), url_secret: None, secret_headers: Vec::new(), ..call };
            trusted = trusted.filter(|_| same_place);
        }
    }

    fn request(&self, call: &Call, traceparent: Option<&str>, left: Option<Left>) -> Result<Request<Outgoing>, Error> {
        let url = call.full_url();
        let uri: Uri = url.parse().map_err(|_| Error::NotSent("the call has no valid URL".into()))?;
        let mut headers = call.header_map();
        let body = match &call.body {
            CallBody::Empty => Bytes::new(),
            CallBody::Bytes(bytes) => bytes.clone(),
            CallBody::Pieces { .. } => return Err(Error::NotSent("its files are not in it yet".into())),
            CallBody::Multipart(fields) => {
                let (kind, body) = multipart::write(fields, &*self.blobs).map_err(Error::NotSent)?;
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&kind).map_err(|e| Error::NotSent(e.to_string()))?);
                body
            }
        };
        if let Some(trace) = traceparent.and_then(|t| HeaderValue::from_str(t).ok()) {
            headers.insert("traceparent", trace);
        }
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(concat!("fairway/", env!("CARGO_PKG_VERSION"))));
        if body.is_empty() && call.method == Method::POST {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let body = Outgoing::new(body, left);
        let mut request = Request::builder().method(call.method.clone()).uri(uri).body(body).map_err(|e| Error::NotSent(e.to_string()))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn pool<R>(http: HttpConnector<R>) -> Pool<R>
where
    HttpConnector<R>: Clone,
    HttpsConnector<HttpConnector<R>>: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let https =
        HttpsConnectorBuilder::new().with_tls_config(egress::tls(&[])).https_or_http().enable_http1().enable_http2().wrap_connector(http);
    Arc::new(egress::Pool::new(https))
}

async fn finish(
    under_way: impl Future<Output = Result<http::Response<hyper::body::Incoming>, hyper_util::client::legacy::Error>>,
    within: Duration,
    limit: usize,
) -> Result<Reply, Error> {
    let whole = async {
        let response = under_way.await.map_err(|e| {
            // Only a failure to connect is certain: whatever came later may have been read.
            if e.is_connect() { Error::NotSent(causes(&e)) } else { Error::Unknown(causes(&e)) }
        })?;
        let (head, body) = response.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body: read(body, limit).await? })
    };
    match tokio::time::timeout(within, whole).await {
        Ok(result) => result,
        // The deadline may have struck while connecting, but nobody can tell from here.
        Err(_) => Err(Error::Unknown(format!("no complete answer within {} s", within.as_secs_f32()))),
    }
}

async fn read(mut body: hyper::body::Incoming, limit: usize) -> Result<Bytes, Error> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::Unknown(format!("the answer broke off: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if rest.as_ref().map_or(first.len(), BytesMut::len) + data.len() > limit {
            return Err(Error::Unknown(format!("{TOO_LARGE} {limit} bytes")));
        }
        match &mut rest {
            Some(buffer) => buffer.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut buffer = BytesMut::from(&first[..]);
                buffer.extend_from_slice(&data);
                rest = Some(buffer);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// An error with its causes, outermost first. They name hosts and system errors, never request content.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

//! The port: one single-threaded runtime per core on a shared address, hyper on each connection, TLS where configured.
//!
//! Webhooks are answered here; every other path goes to the service the application hands in.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use fairway_adapters::contract::{Time, Webhook};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tower::Service;

use super::{
    accept::Ingress,
    patience::Patience,
    respond::{Answer, Refusal},
};
use crate::telemetry::{self, names};

/// What answers everything but webhooks.
pub type Fallback = axum::Router;

/// How the port behaves.
#[derive(Clone)]
pub struct Options {
    /// The largest body of a provider that says nothing else.
    pub max_body: usize,
    /// For the request head.
    pub head_timeout: Duration,
    /// For the body.
    pub body_timeout: Duration,
    /// TLS, when configured; swapped when the files change.
    pub tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
    /// Connections at a time.
    pub max_connections: usize,
}

/// Binds an address so that several runtimes can accept on it.
pub fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Serves until `stop` turns true; then takes no more connections, finishes what is under way, and returns.
pub async fn serve(
    listener: std::net::TcpListener,
    ingress: Option<Arc<Ingress>>,
    fallback: Fallback,
    options: Options,
    mut stop: watch::Receiver<bool>,
    open: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let gauge = telemetry::gauge(&names::CONNECTIONS, &[]);
    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(options.head_timeout).max_buf_size(64 << 10);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(30))).max_concurrent_streams(256);
    let server = Arc::new(server);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of descriptors: wait for some to come back instead of spinning.
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            _ = stop.wait_for(|s| *s) => return Ok(()),
        };
        if open.load(Ordering::Relaxed) >= options.max_connections {
            continue;
        }
        let _ = stream.set_nodelay(true);
        let guard = Open::new(&open, &gauge);
        let connection = Connection { ingress: ingress.clone(), fallback: fallback.clone(), options: options.clone(), peer };
        let (server, stop) = (Arc::clone(&server), stop.clone());
        tokio::spawn(async move {
            let _guard = guard;
            let tls = connection.options.tls.as_ref().map(|t| Arc::clone(&t.borrow()));
            match tls {
                None => drive(&server, stream, connection, stop).await,
                Some(config) => {
                    let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
                    if let Ok(Ok(stream)) = tokio::time::timeout(connection.options.head_timeout, handshake).await {
                        drive(&server, stream, connection, stop).await;
                    }
                }
            }
        });
    }
}

async fn drive<S>(
    server: &hyper_util::server::conn::auto::Builder<TokioExecutor>,
    stream: S,
    connection: Connection,
    mut stop: watch::Receiver<bool>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Patience::new(stream, connection.options.head_timeout));
    let mut serving = std::pin::pin!(server.serve_connection_with_upgrades(io, connection));
    let stopping = tokio::select! {
        // Errors here are the client's (it hung up, it was slow, it spoke nonsense): nothing to say to anybody.
        _ = &mut serving => false,
        () = async { stop.wait_for(|s| *s).await.map_or((), |_| ()) } => true,
    };
    if stopping {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
}

/// Counts a connection while it lives.
struct Open(Arc<AtomicUsize>, metrics::Gauge);

impl Open {
    fn new(open: &Arc<AtomicUsize>, gauge: &metrics::Gauge) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        gauge.increment(1.0);
        Self(Arc::clone(open), gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        self.1.decrement(1.0);
    }
}

#[derive(Clone)]
struct Connection {
    ingress: Option<Arc<Ingress>>,
    fallback: Fallback,
    options: Options,
    peer: SocketAddr,
}

impl hyper::service::Service<Request<Incoming>> for Connection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let path = request.uri().path();
        if let (Some(ingress), Some(rest)) = (&self.ingress, path.strip_prefix("/hooks/")) {
            let (name, token) = rest.split_once('/').map_or((rest, None), |(n, t)| (n, Some(t)));
            let (name, token) = (name.to_owned(), token.map(str::to_owned));
            let (ingress, options, peer) = (Arc::clone(ingress), self.options.clone(), self.peer);
            return Box::pin(async move { Ok(webhook(&ingress, &options, peer, &name, token.as_deref(), request).await.map(Body::new)) });
        }
        let mut fallback = self.fallback.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(axum::extract::ConnectInfo(self.peer));
        Box::pin(async move { fallback.call(request).await })
    }
}

async fn webhook(
    ingress: &Ingress,
    options: &Options,
    peer: SocketAddr,
    name: &str,
    token: Option<&str>,
    request: Request<Incoming>,
) -> Answer {
    let since = Instant::now();
    let channels = ingress.channels();
    let Some(hook) = channels.hooks.get(name) else {
        // The name is the sender's: it is no label.
        ingress.count(&Arc::from("unknown"), "unknown_channel", since);
        return Refusal::UnknownChannel.answer();
    };
    let result = deliver(ingress, options, hook, token, request).await;
    let (answer, label) = match result {
        Ok((answer, label)) => (answer, label),
        Err(refusal) => {
            match &refusal {
                Refusal::Verify(_) | Refusal::HookToken => {
                    tracing::warn!(channel = &*hook.entry.id, source = %peer.ip(), reason = refusal.label(), "a delivery was refused");
                }
                Refusal::TooLarge => {
                    tracing::warn!(channel = &*hook.entry.id, source = %peer.ip(), "a delivery was larger than server.max_body");
                }
                _ => {}
            }
            (refusal.answer(), refusal.label())
        }
    };
    ingress.count(&hook.entry.id, label, since);
    answer
}

async fn deliver(
    ingress: &Ingress,
    options: &Options,
    hook: &crate::channels::Hook,
    token: Option<&str>,
    request: Request<Incoming>,
) -> Result<(Answer, &'static str), Refusal> {
    if !matches!(*request.method(), Method::POST | Method::GET | Method::HEAD) {
        return Err(Refusal::Method);
    }
    if let Some(expected) = &hook.token {
        let right = token.is_some_and(|t| fairway_adapters::kit::crypto::equal(t.as_bytes(), expected.as_bytes()));
        if !right {
            return Err(Refusal::HookToken);
        }
    }
    let (head, body) = request.into_parts();
    let limit = options.max_body.max(hook.entry.facts().max_body);
    let body = tokio::time::timeout(options.body_timeout, collect(body, limit)).await.map_err(|_| Refusal::Slow)??;
    let query = head.uri.query().unwrap_or_default();
    let with_query;
    let url = if query.is_empty() {
        hook.url.as_str()
    } else {
        with_query = format!("{}?{query}", hook.url);
        with_query.as_str()
    };
    let now = Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64));
    let webhook = Webhook { method: &head.method, url, query, headers: &head.headers, body: &body };
    ingress.accept(hook, webhook, now).await
}

/// The whole body; a body of one frame, as almost all are, is not copied.
/// Bytes of a body that is too large which are read all the same.
const DISCARDED: usize = 64 << 20;

/// Most clients write all of their body before they read an answer, and learn nothing from a connection that breaks: what is
/// too large is read and thrown away, within reason.
async fn discard(mut body: Incoming) {
    let mut left = DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    use hyper::body::Body as _;
    if body.size_hint().lower() > limit as u64 {
        discard(body).await;
        return Err(Refusal::TooLarge);
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        let have = rest.as_ref().map_or(first.len(), BytesMut::len);
        if have + frame.len() > limit {
            discard(body).await;
            return Err(Refusal::TooLarge);
        }
        match &mut rest {
            Some(buffer) => buffer.extend_from_slice(&frame),
            None if first.is_empty() => first = frame,
            None => {
                let mut buffer = BytesMut::with_capacity((first.len() + frame.len()) * 2);
                buffer.extend_from_slice(&first);
                buffer.extend_from_slice(&frame);
                rest = Some(buffer);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

//! Mail in: a small mail server that hands each mail to the hook of the channel that has the recipient, as one more
//! delivery. The sender is told that a mail is taken only when it is durable.

mod session;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fairway_adapters::contract::{Secrets, Webhook};
use fairway_adapters::kit::handed;
use http::Method;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::session::{End, Session};
use self::wire::Wire;
use super::{Ingress, Refusal};
use crate::clock;
use crate::log::Pending;

/// Bytes of mails that are held at a time, over all connections.
const HELD: usize = 256 << 20;
/// How long a mail server may take for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long conversations under way may take when the gateway stops.
const LAST_WORDS: Duration = Duration::from_secs(8);

/// How the port behaves.
pub struct Options {
    /// What it calls itself.
    pub hostname: String,
    /// The largest mail.
    pub max_message: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// Whether mail is taken over TLS only.
    pub require_tls: bool,
    /// TLS, when configured; swapped when the files change.
    pub tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
    /// How long it waits for the next command or bytes (RFC 5321 wants five minutes).
    pub patience: Duration,
    /// How long a mail may take.
    pub mail_timeout: Duration,
}

/// Where mail goes.
pub trait Door: Send + Sync {
    /// The hook that takes mail for an address.
    fn mailbox(&self, address: &str) -> Option<String>;

    /// Hands a mail to a hook; resolves when it is durable.
    fn take<'a>(&'a self, hook: &'a str, from: &'a str, to: &'a [String], mail: &'a [u8]) -> Pending<'a, Taken>;
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is durable.
    Durable,
    /// Log and spool cannot take it: the sender comes back.
    Later,
    /// It will never be taken.
    Refused,
}

/// Everything a conversation needs.
struct Port {
    options: Options,
    door: Arc<dyn Door>,
    held: Arc<AtomicUsize>,
    stop: watch::Receiver<bool>,
}

/// Serves until `stop` turns true; conversations under way are told to come back.
pub async fn serve(listener: TcpListener, door: Arc<dyn Door>, options: Options, mut stop: watch::Receiver<bool>) {
    let port = Arc::new(Port { options, door, held: Arc::default(), stop: stop.clone() });
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if open.len() < port.options.max_connections => {
                    let port = Arc::clone(&port);
                    open.spawn(async move { port.converse(stream).await });
                }
                Ok((stream, _)) => turn_away(&stream),
                Err(e) => {
                    tracing::warn!(error = %e, "a mail connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = open.join_next() => {}
            () = async { stop.wait_for(|s| *s).await.map_or((), |_| ()) } => break,
        }
    }
    let _ = tokio::time::timeout(LAST_WORDS, async { while open.join_next().await.is_some() {} }).await;
}

/// The line fits into the buffers of a new connection.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(b"421 4.3.2 too many connections, come back\r\n");
}

impl Port {
    async fn converse(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut wire = Wire::new(stream);
        wire.say(&format!("220 {} ESMTP", self.options.hostname));
        // Whatever goes wrong here is the other side's (it hung up, it was slow): it comes again.
        let Ok(End::StartTls) = Session::new(self, false).talk(&mut wire).await else { return };
        let Some(tls) = self.options.tls.as_ref().map(|tls| Arc::clone(&tls.borrow())) else { return };
        let mut tls = (*tls).clone();
        tls.alpn_protocols.clear(); // Those are the web's.
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(wire.into_stream())).await else { return };
        let _ = Session::new(self, true).talk(&mut Wire::new(stream)).await;
    }

    /// Hands a mail to every hook that has one of its recipients; the answer for the sender.
    async fn deliver(&self, from: &str, to: &[(String, String)], mail: Vec<u8>) -> &'static str {
        let mut hooks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (address, hook) in to {
            hooks.entry(hook).or_default().push(address.clone());
        }
        let mut refused = false;
        for (hook, to) in hooks {
            match self.door.take(hook, from, &to, &mail).await {
                Taken::Durable => {}
                // Those that have it know it again when it comes back.
                Taken::Later => return "451 4.3.0 cannot store it now, come back",
                Taken::Refused => refused = true,
            }
        }
        if refused { "554 5.3.0 refused" } else { "250 2.0.0 taken" }
    }
}

/// Bytes held for one mail.
struct Room<'h> {
    all: &'h AtomicUsize,
    mine: AtomicUsize,
}

impl<'h> Room<'h> {
    fn new(all: &'h AtomicUsize) -> Self {
        Self { all, mine: AtomicUsize::new(0) }
    }

    /// Whether there is room for so many more.
    fn grow(&self, bytes: usize) -> bool {
        self.mine.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes <= HELD
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.mine.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Door for Ingress {
    fn mailbox(&self, address: &str) -> Option<String> {
        self.channels().mailbox(address).map(|channel| channel.id.to_string())
    }

    fn take<'a>(&'a self, hook: &'a str, from: &'a str, to: &'a [String], mail: &'a [u8]) -> Pending<'a, Taken> {
        Box::pin(async move {
            let since = Instant::now();
            let channels = self.channels();
            let Some(hook) = channels.hooks.get(hook) else { return Taken::Later };
            let secrets = hook.entry.settings.0.get("hook_secret").cloned();
            let secrets: Option<Secrets> = secrets.and_then(|value| serde_json::from_value(value).ok());
            let Some(headers) = secrets.and_then(|secrets| handed::headers(&secrets, from, to, mail)) else { return Taken::Later };
            let webhook = Webhook { method: &Method::POST, url: &hook.url, query: "", headers: &headers, body: mail };
            let (label, taken) = match self.accept(hook, webhook, clock::now()).await {
                Ok((_, label)) => (label, Taken::Durable),
                Err(refusal @ Refusal::Verify(_)) => {
                    tracing::error!(
                        channel = &*hook.entry.id,
                        reason = refusal.label(),
                        "the channel's adapter takes no mail from our listener"
                    );
                    (refusal.label(), Taken::Refused)
                }
                Err(refusal) => (refusal.label(), Taken::Later),
            };
            self.count(&hook.entry.id, label, since);
            taken
        })
    }
}

#[cfg(test)]
mod tests;

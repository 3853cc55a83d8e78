//! One line: connects, reads, writes, and connects again.

use std::{io, sync::Arc, time::Duration};

use fairway_adapters::contract::session::{Endpoint, Tls};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::transport::CONNECT;

/// The first pause before connecting again, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Who does not read for so long is gone.
const WRITE_WITHIN: Duration = Duration::from_secs(20);
/// Bytes read at a time.
const CHUNK: usize = 16 << 10;

/// What happens on a line.
pub(super) enum Event {
    /// It stands, encryption included, and leads there.
    Opened(Endpoint),
    /// These came.
    Bytes(Vec<u8>),
    /// It is gone, for this reason.
    Closed(String),
    /// It could not be opened.
    Failed(String),
}

/// What is to be done with the connection of this number.
enum Command {
    Write(u64, Vec<u8>),
    Close(u64),
    Works,
}

/// A line as its driver holds it.
pub(super) struct Line {
    commands: mpsc::UnboundedSender<Command>,
    /// Which connection the driver knows of: what is meant for an earlier one is not written to this one.
    connection: u64,
    /// Not opened again before this.
    not_before: Arc<Mutex<Instant>>,
    places: Arc<Mutex<Places>>,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    /// Begins to connect.
    pub fn start(places: Vec<Endpoint>, tell: impl Fn(Event) -> bool + Send + Sync + 'static) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let not_before = Arc::new(Mutex::new(Instant::now()));
        let places = Arc::new(Mutex::new(Places { list: places, next: 0 }));
        let (wait, leads) = (Arc::clone(&not_before), Arc::clone(&places));
        let keeper = Keeper { places: leads, tell, inbox, connection: 0, pause: PAUSE.0, not_before: wait };
        Self { commands, connection: 0, not_before, places, task: tokio::spawn(keeper.keep()) }
    }

    /// The driver was told that it stands.
    pub fn opened(&mut self) {
        self.connection += 1;
    }

    pub fn write(&self, bytes: Vec<u8>) {
        let _ = self.commands.send(Command::Write(self.connection, bytes));
    }

    /// Closes it; it is opened again no sooner than this.
    pub fn close(&self, wait: Duration) {
        // Also when the other side has closed it meanwhile.
        *self.not_before.lock() = Instant::now() + wait;
        let _ = self.commands.send(Command::Close(self.connection));
    }

    /// From its next opening on it leads to these places.
    pub fn lead(&self, places: Vec<Endpoint>) {
        if !places.is_empty() {
            *self.places.lock() = Places { list: places, next: 0 };
        }
    }

    /// It does what it is for: the next pause is the first one again.
    pub fn works(&self) {
        let _ = self.commands.send(Command::Works);
    }
}

/// Where a line may lead to: one place after the other, round and round.
struct Places {
    list: Vec<Endpoint>,
    next: usize,
}

impl Places {
    fn next(&mut self) -> Option<Endpoint> {
        let place = self.list.get(self.next).or(self.list.first()).cloned();
        self.next = if self.next + 1 < self.list.len() { self.next + 1 } else { 0 };
        place
    }
}

/// How a connection ended.
enum End {
    ByThem(String),
    ByUs,
    Over,
}

/// The task behind a line.
struct Keeper<T> {
    places: Arc<Mutex<Places>>,
    tell: T,
    inbox: mpsc::UnboundedReceiver<Command>,
    connection: u64,
    pause: Duration,
    not_before: Arc<Mutex<Instant>>,
}

impl<T: Fn(Event) -> bool + Send + Sync> Keeper<T> {
    async fn keep(mut self) {
        loop {
            let next = self.places.lock().next();
            let Some(place) = next else { return };
            let news = match connect(&place).await {
                Err(why) => Some(Event::Failed(format!("{}:{} cannot be reached: {why}", place.host, place.port))),
                Ok(stream) => match self.converse(stream, place).await {
                    End::Over => return,
                    End::ByUs => None,
                    End::ByThem(why) => Some(Event::Closed(why)),
                },
            };
            if news.is_some_and(|news| !(self.tell)(news)) {
                return;
            }
            tokio::time::sleep(self.next_pause()).await;
            // The session may have had its say while we slept.
            let not_before = *self.not_before.lock();
            tokio::time::sleep_until(not_before).await;
        }
    }

    /// Decorrelated jitter: between the first pause and three times the last one.
    fn next_pause(&mut self) -> Duration {
        let upper = (self.pause * 3).min(PAUSE.1);
        let spread = (upper - PAUSE.0).as_millis().max(1) as u64;
        self.pause = PAUSE.0 + Duration::from_millis(crate::ids::random() as u64 % spread);
        self.pause
    }

    async fn converse(&mut self, stream: Stream, place: Endpoint) -> End {
        self.connection += 1;
        if !(self.tell)(Event::Opened(place)) {
            return End::Over;
        }
        let (mut from, mut to) = tokio::io::split(stream);
        let (tell, inbox, connection, pause) = (&self.tell, &mut self.inbox, self.connection, &mut self.pause);
        let read = async {
            let mut buffer = vec![0; CHUNK];
            loop {
                match from.read(&mut buffer).await {
                    Ok(0) => return End::ByThem("the provider closed the connection".into()),
                    Ok(count) if tell(Event::Bytes(buffer[..count].to_vec())) => {}
                    Ok(_) => return End::Over,
                    Err(e) => return End::ByThem(e.to_string()),
                }
            }
        };
        let write = async {
            loop {
                match inbox.recv().await {
                    None => return End::Over,
                    Some(Command::Works) => *pause = PAUSE.0,
                    Some(Command::Write(meant, bytes)) if meant == connection => {
                        match tokio::time::timeout(WRITE_WITHIN, to.write_all(&bytes)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(e)) => return End::ByThem(e.to_string()),
                            Err(_) => return End::ByThem("the provider does not read any more".into()),
                        }
                    }
                    Some(Command::Close(meant)) if meant == connection => {
                        let _ = tokio::time::timeout(Duration::from_secs(1), to.shutdown()).await;
                        return End::ByUs;
                    }
                    Some(Command::Write(..) | Command::Close(..)) => {}
                }
            }
        };
        tokio::select! {
            end = write => end,
            end = read => end,
        }
    }
}

/// Either kind of stream.
trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}
type Stream = Box<dyn Both>;

async fn connect(place: &Endpoint) -> Result<Stream, String> {
    let opening = async {
        let stream = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(|e| e.to_string())?;
        let _ = stream.set_nodelay(true);
        match &place.tls {
            None => Ok(Box::new(stream) as Stream),
            Some(tls) => encrypt(stream, tls).await,
        }
    };
    tokio::time::timeout(CONNECT, opening).await.map_err(|_| format!("no connection within {} s", CONNECT.as_secs()))?
}

async fn encrypt(stream: TcpStream, tls: &Tls) -> Result<Stream, String> {
    let name = ServerName::try_from(tls.name.clone()).map_err(|_| format!("`{}` is no name a certificate could carry", tls.name))?;
    let roots = roots(tls.authority.as_deref()).map_err(|e| format!("the certificate authority is not PEM: {e}"))?;
    crate::tls::install_provider();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    stream.map(|stream| Box::new(stream) as Stream).map_err(|e: io::Error| format!("no encryption: {e}"))
}

fn roots(authority: Option<&str>) -> Result<RootCertStore, String> {
    let Some(pem) = authority else { return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    Ok(roots)
}

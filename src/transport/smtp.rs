//! Mail submission (RFC 6409) over STARTTLS or implicit TLS, on connections that are kept for the next mail.
//!
//! An adapter writes a mail as a call to `smtp://host:port` (STARTTLS) or `smtps://host:port`: the envelope and the
//! credentials in `x-smtp-*` headers, the mail as the body. The server's answer comes back as a reply with its code in
//! `x-smtp-code`, its words as the body, and the HTTP status of the same kind.
//!
//! Invariant: until the line that ends the mail is being written, the server cannot have taken it.

use std::{
    collections::HashMap,
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fairway_adapters::contract::{Call, Reply};
use fairway_adapters::kit::crypto;
use http::StatusCode;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter, RcptParameter};
use parking_lot::Mutex;

use super::{CONNECT, Error};

/// How long a connection waits for its next mail; servers close theirs after minutes.
const IDLE: Duration = Duration::from_secs(30);
/// Mails on one connection: some servers close after a hundred.
const MAILS: u32 = 100;
/// For the answer to a whole mail: servers scan it before they answer. RFC 5321 allows ten minutes; a message waits meanwhile.
const TAKEN: Duration = Duration::from_secs(120);
/// Bytes written at a time.
const CHUNK: usize = 64 << 10;

/// Whether a call is a mail.
pub(super) fn is_mail(url: &str) -> bool {
    url.starts_with("smtp://") || url.starts_with("smtps://")
}

/// Connections by server and user.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<String, Vec<(Line, Instant)>>>,
}

/// A connection that has said hello and proved who we are.
struct Line {
    connection: AsyncSmtpConnection,
    size: Option<usize>,
    dsn: bool,
    mails: u32,
}

/// Why a mail did not go.
enum Fault {
    /// The server said so.
    Answered(u16, String),
    /// The connection or what we wanted to say on it is at fault.
    Broken(String),
}

impl From<lettre::transport::smtp::Error> for Fault {
    fn from(e: lettre::transport::smtp::Error) -> Self {
        let words = e.source().map_or_else(|| e.to_string(), ToString::to_string);
        match e.status() {
            Some(code) => Self::Answered(u16::from(code), words),
            None => Self::Broken(super::causes(&e)),
        }
    }
}

impl Pool {
    /// Brings a mail to its server.
    pub(super) async fn send(self: &Arc<Self>, call: &Call, within: Duration) -> Result<Reply, Error> {
        let letter = Letter::of(call).map_err(Error::NotSent)?;
        let mut line = self.take(&letter.server.key());
        let begun = async {
            // A kept connection may have ended meanwhile: what it was to carry goes by a new one.
            if let Some(mut kept) = line.take() {
                match kept.begin(&letter).await {
                    Ok(()) => return Ok(kept),
                    Err(Fault::Answered(code, words)) if code != 421 => return Err((Some(kept), Fault::Answered(code, words))),
                    Err(_) => {}
                }
            }
            let mut fresh = letter.server.connect().await.map_err(|fault| (None, fault))?;
            match fresh.begin(&letter).await {
                Ok(()) => Ok(fresh),
                Err(fault) => Err((Some(fresh), fault)),
            }
        };
        let begun = tokio::time::timeout(within, begun).await;
        let mut line =
            match begun.map_err(|_| Error::NotSent(format!("the mail server did not take the envelope within {} s", within.as_secs())))? {
                Ok(line) => line,
                Err((line, Fault::Answered(code, words))) => {
                    if let Some(line) = line {
                        self.again(letter.server.key(), line).await;
                    }
                    return Ok(answered(code, words));
                }
                Err((_, Fault::Broken(why))) => return Err(Error::NotSent(why)),
            };
        let ended = AtomicBool::new(false);
        let result = tokio::time::timeout(TAKEN, line.mail(letter.mail, &ended)).await;
        let why = match result {
            Ok(Ok(words)) => {
                line.mails += 1;
                self.keep(letter.server.key(), line);
                return Ok(answered(250, words));
            }
            Ok(Err(Fault::Answered(code, words))) => {
                self.again(letter.server.key(), line).await;
                return Ok(answered(code, words));
            }
            Ok(Err(Fault::Broken(why))) => why,
            Err(_) => format!("no answer to the mail within {} s", TAKEN.as_secs()),
        };
        Err(if ended.load(Ordering::Relaxed) { Error::Unknown(why) } else { Error::NotSent(why) })
    }

    fn take(&self, key: &str) -> Option<Line> {
        let mut idle = self.idle.lock();
        let lines = idle.get_mut(key)?;
        lines.retain(|(_, since)| since.elapsed() < IDLE);
        lines.pop().map(|(line, _)| line)
    }

    fn keep(self: &Arc<Self>, key: String, line: Line) {
        if line.mails >= MAILS || line.connection.has_broken() {
            tokio::spawn(line.quit());
            return;
        }
        let mut idle = self.idle.lock();
        if !idle.contains_key(&key) {
            tokio::spawn(Arc::clone(self).retire(key.clone()));
        }
        idle.entry(key).or_default().push((line, Instant::now()));
    }

    /// Keeps a connection whose mail was refused, when the server lets us begin anew on it.
    async fn again(self: &Arc<Self>, key: String, mut line: Line) {
        if let Ok(Ok(_)) = tokio::time::timeout(CONNECT, line.connection.command(Rset)).await {
            self.keep(key, line);
        }
    }

    /// Says goodbye on connections that nobody used for a while.
    async fn retire(self: Arc<Self>, key: String) {
        loop {
            tokio::time::sleep(IDLE / 2).await;
            let stale: Vec<Line> = {
                let mut idle = self.idle.lock();
                let Some(lines) = idle.get_mut(&key) else { return };
                let (stale, fresh) = std::mem::take(lines).into_iter().partition(|(_, since)| since.elapsed() >= IDLE);
                *lines = fresh;
                if lines.is_empty() {
                    idle.remove(&key);
                }
                let stale: Vec<(Line, Instant)> = stale;
                stale.into_iter().map(|(line, _)| line).collect()
            };
            for line in stale {
                line.quit().await;
            }
        }
    }
}

/// The server's answer as an adapter reads it.
fn answered(code: u16, words: String) -> Reply {
    let status = match code {
        200..=299 => StatusCode::OK,
        400..=499 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Reply { status, body: words.into(), ..Reply::default() }.header("x-smtp-code", &code.to_string())
}

impl Line {
    /// The envelope, up to where the mail itself may follow.
    async fn begin(&mut self, letter: &Letter<'_>) -> Result<(), Fault> {
        if self.size.is_some_and(|most| most > 0 && letter.mail.len() > most) {
            let words = format!("5.3.4 the mail is {} bytes, the server takes {}", letter.mail.len(), self.size.unwrap_or_default());
            return Err(Fault::Answered(552, words));
        }
        let offers = |feature| self.connection.server_info().supports_feature(feature);
        let mut parameters = Vec::new();
        if self.size.is_some() {
            parameters.push(MailParameter::Size(letter.mail.len()));
        }
        if !letter.mail.is_ascii() && offers(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if letter.is_international() {
            if !offers(Extension::SmtpUtfEight) {
                return Err(Fault::Answered(553, "5.6.7 the server takes no address beyond ASCII".into()));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if let (true, Some(id)) = (self.dsn, letter.id) {
            parameters.push(MailParameter::Other { keyword: "RET".into(), value: Some("HDRS".into()) });
            parameters.push(MailParameter::Other { keyword: "ENVID".into(), value: Some(id.to_owned()) });
        }
        self.connection.command(Mail::new(letter.from.clone(), parameters)).await?;
        let mut refused = None;
        for (index, to) in letter.to.iter().enumerate() {
            let notify = RcptParameter::Other { keyword: "NOTIFY".into(), value: Some("FAILURE,DELAY".into()) };
            let parameters = if self.dsn { vec![notify] } else { Vec::new() };
            match self.connection.command(Rcpt::new(to.clone(), parameters)).await.map_err(Fault::from) {
                Ok(_) => {}
                // Whom the mail is for decides; a copy that is refused stays away.
                Err(Fault::Answered(code, words)) if index > 0 => refused = Some((code, words)),
                Err(fault) => return Err(fault),
            }
        }
        if let Some((code, words)) = refused {
            tracing::warn!(code, words, "a mail server refused a copy; the mail itself goes");
        }
        self.connection.command(Data).await?;
        Ok(())
    }

    /// The mail itself. `ended` turns true when all of it is written but the line that ends it.
    async fn mail(&mut self, mail: &[u8], ended: &AtomicBool) -> Result<String, Fault> {
        let end = std::iter::once_with(|| {
            ended.store(true, Ordering::Relaxed);
            &[][..]
        });
        let response = self.connection.message_iter(mail.chunks(CHUNK).chain(end)).await?;
        Ok(response.message().collect::<Vec<_>>().join(" "))
    }

    async fn quit(mut self) {
        let _ = tokio::time::timeout(CONNECT, self.connection.command(Quit)).await;
    }
}

/// A mail server and who we are there.
struct Server {
    host: String,
    port: u16,
    implicit: bool,
    helo: String,
    authority: Option<Vec<u8>>,
    login: Option<(String, String)>,
}

/// A mail as a call says it.
struct Letter<'c> {
    server: Server,
    from: Option<Address>,
    to: Vec<Address>,
    id: Option<&'c str>,
    mail: &'c [u8],
}

impl<'c> Letter<'c> {
    fn of(call: &'c Call) -> Result<Self, String> {
        let url = url::Url::parse(&call.url).map_err(|e| format!("the address of the mail server is none: {e}"))?;
        let plain = |name: &str| call.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let secret = |name: &str| call.secret_headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.reveal().to_owned());
        let address = |text: &str| text.parse::<Address>().map_err(|e| format!("an address of the envelope cannot be written: {e}"));
        let implicit = url.scheme() == "smtps";
        let server = Server {
            host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if implicit { 465 } else { 587 }),
            implicit,
            helo: plain("x-smtp-helo").unwrap_or("localhost").to_owned(),
            authority: plain("x-smtp-ca").and_then(crypto::unbase64),
            login: secret("x-smtp-user").zip(secret("x-smtp-password")),
        };
        Ok(Self {
            server,
            from: plain("x-smtp-from").filter(|from| !from.is_empty()).map(address).transpose()?,
            to: plain("x-smtp-to").unwrap_or_default().split(',').map(address).collect::<Result<_, _>>()?,
            id: plain("x-smtp-envid"),
            mail: call.body_bytes(),
        })
    }

    fn is_international(&self) -> bool {
        self.from.iter().chain(&self.to).any(|address| !AsRef::<str>::as_ref(address).is_ascii())
    }
}

impl Server {
    /// What tells connections apart. The secret is in it as a hash.
    fn key(&self) -> String {
        let (user, password) = self.login.as_ref().map_or(("", ""), |(u, p)| (u, p));
        let authority = self.authority.as_deref().map(crypto::sha256).map(|hash| crypto::hex(&hash)).unwrap_or_default();
        crypto::fingerprint(&[&self.host, &self.port.to_string(), &self.implicit.to_string(), &self.helo, user, password, &authority])
    }

    async fn connect(&self) -> Result<Line, Fault> {
        let hello = ClientId::Domain(self.helo.clone());
        let tls = self.tls()?;
        let at_once = self.implicit.then(|| tls.clone());
        let mut connection =
            AsyncSmtpConnection::connect_tokio1((self.host.as_str(), self.port), Some(CONNECT), &hello, at_once, None).await?;
        if !self.implicit {
            connection.starttls(tls, &hello).await?;
        }
        // Asked again, because the library keeps only a part of what the server offers.
        let offered = connection.command(Ehlo::new(hello)).await?;
        let words: Vec<&str> = offered.message().collect();
        let offer =
            |name: &str| words.iter().find_map(|line| line.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(' ')));
        let size = offer("SIZE").map(|limit| limit.trim().parse().unwrap_or(0));
        let dsn = offer("DSN").is_some();
        if let Some((user, password)) = &self.login {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, &Credentials::new(user.clone(), password.clone())).await?;
        }
        Ok(Line { connection, size, dsn, mails: 0 })
    }

    fn tls(&self) -> Result<TlsParameters, Fault> {
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(authority) = &self.authority {
            builder = builder.add_root_certificate(Certificate::from_pem(authority)?);
        }
        Ok(builder.build()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_where_and_to_whom() {
        let call = Call::new(http::Method::POST, "smtps://mail.acme.example")
            .header("x-smtp-from", "bounce+msg_1@acme.example")
            .header("x-smtp-to", "ann@example.net,用户@example.net")
            .secret_header("x-smtp-user", "acme")
            .secret_header("x-smtp-password", "fake");
        let letter = Letter::of(&call).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((letter.server.host.as_str(), letter.server.port, letter.to.len()), ("mail.acme.example", 465, 2));
        assert!(letter.is_international());
        let other = Call { secret_headers: Vec::new(), ..call.clone() };
        assert_ne!(Letter::of(&other).map(|l| l.server.key()), Ok(letter.server.key()), "another user, another connection");
        assert!(Letter::of(&call.header("x-smtp-x", "y")).is_ok());
        let bad = Call::new(http::Method::POST, "smtp://mail.acme.example").header("x-smtp-to", "ann\r\nDATA");
        assert!(Letter::of(&bad).is_err());
    }

    #[test]
    fn answers_have_the_status_of_their_kind() {
        let status = |code| answered(code, String::new()).status.as_u16();
        assert_eq!([status(250), status(451), status(550)], [200, 503, 422]);
    }
}

//! One conversation with a mail server or client: commands in, replies out (RFC 5321 with SIZE, 8BITMIME, SMTPUTF8,
//! PIPELINING, STARTTLS and enhanced status codes).

use std::io;

use smtp_proto::{Error, MailFrom, RcptTo, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{Content, Line, Wire};
use super::{Port, Room};

/// Recipients of one mail.
const RECIPIENTS: usize = 100;
/// Mails on one connection.
const MAILS: u32 = 100;
/// Commands that were none, or recipients nobody has, before we hang up.
const MISTAKES: u32 = 20;

/// How a conversation ends.
pub(super) enum End {
    /// It is over.
    Over,
    /// It goes on encrypted.
    StartTls,
}

/// What was said so far.
pub(super) struct Session<'p> {
    port: &'p Port,
    secure: bool,
    hello: bool,
    from: Option<String>,
    /// Recipients with the hook that takes their mail.
    to: Vec<(String, String)>,
    mails: u32,
    mistakes: u32,
}

impl<'p> Session<'p> {
    pub(super) fn new(port: &'p Port, secure: bool) -> Self {
        Self { port, secure, hello: false, from: None, to: Vec::new(), mails: 0, mistakes: 0 }
    }

    /// Talks until either side has enough.
    pub(super) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> io::Result<End> {
        let patience = self.port.options.patience;
        let mut stop = self.port.stop.clone();
        loop {
            let line = tokio::select! {
                line = wire.line(patience) => line,
                () = async { stop.wait_for(|s| *s).await.map_or((), |_| ()) } => {
                    wire.say("421 4.3.2 closing for a restart, come back");
                    wire.flush(patience).await?;
                    return Ok(End::Over);
                }
            };
            let line = match line {
                Ok(Line::Command(line)) => line,
                Ok(Line::End) => return Ok(End::Over),
                Ok(Line::TooLong) => {
                    self.mistake(wire, "500 5.5.2 line too long");
                    continue;
                }
                Ok(Line::Bare) => {
                    self.mistake(wire, "500 5.5.2 lines end with CR and LF");
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    wire.say("421 4.4.2 too slow");
                    wire.flush(patience).await?;
                    return Ok(End::Over);
                }
                Err(e) => return Err(e),
            };
            if self.mistakes >= MISTAKES {
                wire.say("421 4.7.0 too many mistakes");
                wire.flush(patience).await?;
                return Ok(End::Over);
            }
            match Request::parse(&mut line.iter()) {
                Ok(Request::Quit) => {
                    wire.say("221 2.0.0 bye");
                    wire.flush(patience).await?;
                    return Ok(End::Over);
                }
                Ok(Request::StartTls) if self.port.options.tls.is_some() && !self.secure => {
                    wire.say("220 2.0.0 go ahead");
                    wire.flush(patience).await?;
                    return Ok(End::StartTls);
                }
                Ok(Request::Data) => self.data(wire).await?,
                Ok(request) => self.command(wire, request),
                Err(e) => self.mistake(wire, refusal(&e)),
            }
        }
    }

    fn mistake<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>, words: &str) {
        self.mistakes += 1;
        wire.say(words);
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn command<S: AsyncRead + AsyncWrite + Unpin, T: AsRef<str>>(&mut self, wire: &mut Wire<S>, request: Request<T>) {
        match request {
            Request::Ehlo { .. } => {
                self.reset();
                self.hello = true;
                let host = &self.port.options.hostname;
                wire.say(&format!("250-{host} greets you"));
                if self.port.options.tls.is_some() && !self.secure {
                    wire.say("250-STARTTLS");
                }
                for offer in ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"] {
                    wire.say(&format!("250-{offer}"));
                }
                wire.say(&format!("250 SIZE {}", self.port.options.max_message));
            }
            Request::Helo { .. } => {
                self.reset();
                self.hello = true;
                wire.say(&format!("250 {}", self.port.options.hostname));
            }
            Request::Mail { from } => self.mail(wire, &from),
            Request::Rcpt { to } => self.recipient(wire, &to),
            Request::Rset => {
                self.reset();
                wire.say("250 2.0.0 forgotten");
            }
            Request::Noop { .. } => wire.say("250 2.0.0 ok"),
            Request::Vrfy { .. } => wire.say("252 2.1.5 try to send it"),
            Request::Help { .. } => wire.say("214 2.0.0 RFC 5321"),
            Request::StartTls => wire.say("502 5.5.1 not offered"),
            Request::Auth { .. } => self.mistake(wire, "502 5.5.1 mail is taken here, not sent on: no login"),
            _ => self.mistake(wire, "502 5.5.1 not implemented"),
        }
    }

    fn mail<S: AsyncRead + AsyncWrite + Unpin, T: AsRef<str>>(&mut self, wire: &mut Wire<S>, from: &MailFrom<T>) {
        let options = &self.port.options;
        if !self.hello {
            return self.mistake(wire, "503 5.5.1 say EHLO first");
        }
        if options.require_tls && !self.secure {
            return wire.say("530 5.7.0 say STARTTLS first");
        }
        if self.from.is_some() {
            return self.mistake(wire, "503 5.5.1 one mail at a time");
        }
        if from.size > options.max_message {
            return wire.say(&format!("552 5.3.4 at most {} bytes", options.max_message));
        }
        if self.mails >= MAILS {
            return wire.say("421 4.7.0 enough for one connection, come again");
        }
        self.from = Some(from.address.as_ref().to_owned());
        wire.say("250 2.1.0 ok");
    }

    fn recipient<S: AsyncRead + AsyncWrite + Unpin, T: AsRef<str>>(&mut self, wire: &mut Wire<S>, to: &RcptTo<T>) {
        let address = to.address.as_ref();
        if self.from.is_none() {
            return self.mistake(wire, "503 5.5.1 say MAIL first");
        }
        if self.to.len() >= RECIPIENTS {
            return wire.say("452 4.5.3 too many recipients, the rest by another mail");
        }
        match self.port.door.mailbox(address) {
            Some(hook) => {
                if !self.to.iter().any(|(known, _)| known == address) {
                    self.to.push((address.to_owned(), hook));
                }
                wire.say("250 2.1.5 ok");
            }
            None => self.mistake(wire, "550 5.1.1 nobody here has this address"),
        }
    }

    async fn data<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> io::Result<()> {
        let (Some(from), false) = (self.from.clone(), self.to.is_empty()) else {
            self.mistake(wire, "503 5.5.1 say MAIL and RCPT first");
            return Ok(());
        };
        wire.say("354 end with a dot on a line of its own");
        let (options, room) = (&self.port.options, Room::new(&self.port.held));
        let reading = wire.content(options.max_message, options.patience, |bytes| room.grow(bytes));
        let content = tokio::time::timeout(options.mail_timeout, reading).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let to = std::mem::take(&mut self.to);
        self.reset();
        self.mails += 1;
        let words = match content {
            Content::TooLarge => format!("552 5.3.4 at most {} bytes", options.max_message),
            Content::LongLine => "550 5.6.0 a line is too long".to_owned(),
            Content::Bare => "550 5.5.2 a CR or LF stands alone".to_owned(),
            Content::NoRoom => "452 4.3.1 no room now, come back".to_owned(),
            Content::Mail(mail) => self.port.deliver(&from, &to, mail).await.to_owned(),
        };
        wire.say(&words);
        Ok(())
    }
}

/// What is wrong with a command.
fn refusal(error: &Error) -> &'static str {
    match error {
        Error::InvalidSenderAddress => "501 5.1.7 not an address",
        Error::InvalidRecipientAddress => "501 5.1.3 not an address",
        Error::UnsupportedParameter { .. } => "555 5.5.4 a parameter that is not offered",
        Error::SyntaxError { .. } | Error::InvalidParameter { .. } => "501 5.5.4 not understood",
        _ => "500 5.5.1 no such command",
    }
}

//! Lines and mails off a connection, within limits, and nothing taken for an end that is none.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest command, with its line end (RFC 5321, section 4.5.3.1.4, and what its extensions add).
const COMMAND: usize = 2048;
/// The longest line of a mail. RFC 5321 says 1000; programs that write HTML in one line are many.
const LINE: usize = 64 << 10;

/// A connection with what was read and not yet used, and what is to be written.
pub(super) struct Wire<S> {
    stream: S,
    read: Vec<u8>,
    at: usize,
    out: Vec<u8>,
}

/// A command as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// With its CRLF.
    Command(Vec<u8>),
    /// Longer than any command.
    TooLong,
    /// Ended by a bare LF.
    Bare,
    /// The other side hung up.
    End,
}

/// What came between DATA and its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A mail, dots unstuffed.
    Mail(Vec<u8>),
    /// More than we take.
    TooLarge,
    /// A line without end.
    LongLine,
    /// A CR or LF on its own: what one server takes for the end of a mail, another does not.
    Bare,
    /// No room for it now.
    NoRoom,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new(), at: 0, out: Vec::new() }
    }

    /// The connection alone: what was read ahead is forgotten, for nobody has proved who said it (RFC 3207, section 6).
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// Says something; it leaves before the next wait.
    pub(super) fn say(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes what was said.
    pub(super) async fn flush(&mut self, within: Duration) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let writing = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let written = tokio::time::timeout(within, writing).await.map_err(|_| io::ErrorKind::TimedOut)?;
        self.out.clear();
        written
    }

    /// Reads more; answers how much.
    async fn more(&mut self, within: Duration) -> io::Result<usize> {
        self.flush(within).await?;
        if self.at > 0 {
            self.read.drain(..self.at);
            self.at = 0;
        }
        self.read.reserve(16 << 10);
        tokio::time::timeout(within, self.stream.read_buf(&mut self.read)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// The next command.
    pub(super) async fn line(&mut self, within: Duration) -> io::Result<Line> {
        let mut dropping = false;
        loop {
            let rest = &self.read[self.at..];
            if let Some(end) = rest.iter().position(|b| *b == b'\n') {
                let line = rest[..=end].to_vec();
                self.at += end + 1;
                return Ok(match line.ends_with(b"\r\n") {
                    _ if dropping || line.len() > COMMAND => Line::TooLong,
                    true => Line::Command(line),
                    false => Line::Bare,
                });
            }
            if rest.len() > COMMAND {
                dropping = true;
                self.at = self.read.len();
            }
            if self.more(within).await? == 0 {
                return Ok(Line::End);
            }
        }
    }

    /// The mail after DATA. Always reads up to its end, so that what follows is a command again; `grow` says whether there
    /// is room for so many more bytes.
    pub(super) async fn content(&mut self, limit: usize, within: Duration, mut grow: impl FnMut(usize) -> bool) -> io::Result<Content> {
        let mut unstuffed = Unstuffed::default();
        let mut wrong = None;
        loop {
            let before = unstuffed.mail.len();
            let (used, ended) = unstuffed.take(&self.read[self.at..]);
            self.at += used;
            let room = wrong.is_some() || grow(unstuffed.mail.len() - before);
            let fault = unstuffed.fault.take().or((!room).then_some(Content::NoRoom));
            let fault = fault.or_else(|| (unstuffed.mail.len() > limit).then_some(Content::TooLarge));
            if wrong.is_none() {
                wrong = fault;
            }
            if wrong.is_some() {
                unstuffed.mail = Vec::new();
            }
            if ended {
                return Ok(wrong.unwrap_or(Content::Mail(unstuffed.mail)));
            }
            if self.more(within).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Takes a mail apart from its end, byte by byte. Only CRLF, a dot and CRLF end it.
#[derive(Default)]
struct Unstuffed {
    mail: Vec<u8>,
    fault: Option<Content>,
    state: State,
    line: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// At the beginning of a line.
    #[default]
    Begin,
    /// After a dot at the beginning of a line.
    Dot,
    /// After that dot and a CR.
    DotCr,
    /// Within a line.
    Within,
    /// After a CR within a line.
    Cr,
}

impl Unstuffed {
    /// Takes bytes up to the end; how many, and whether it was the end.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, byte) in bytes.iter().enumerate() {
            self.state = match (self.state, *byte) {
                (State::Begin, b'.') => State::Dot,
                (State::Dot, b'\r') => State::DotCr,
                (State::DotCr, b'\n') => return (index + 1, true),
                (State::DotCr, byte) => {
                    // A line that begins with a dot and a lone CR: the dot was stuffed, the CR is a fault.
                    self.mail.push(b'\r');
                    self.bare();
                    self.within(byte)
                }
                (State::Cr, b'\n') => {
                    self.mail.push(b'\n');
                    self.line = 0;
                    State::Begin
                }
                (State::Cr, byte) => {
                    self.bare();
                    self.within(byte)
                }
                // The dot itself is dropped: it was put in front of the line for its way.
                (State::Begin | State::Dot | State::Within, byte) => self.within(byte),
            };
        }
        (bytes.len(), false)
    }

    fn within(&mut self, byte: u8) -> State {
        self.mail.push(byte);
        self.line += 1;
        if self.line > LINE {
            self.fault.get_or_insert(Content::LongLine);
        }
        match byte {
            b'\r' => State::Cr,
            b'\n' => {
                self.bare();
                State::Within
            }
            _ => State::Within,
        }
    }

    fn bare(&mut self) {
        self.fault.get_or_insert(Content::Bare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// What comes out of these bytes, written in pieces of this size.
    async fn content(bytes: &[u8], piece: usize, limit: usize) -> (Content, Line) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(ours);
        let (bytes, mut theirs) = (bytes.to_vec(), theirs);
        let writer = tokio::spawn(async move {
            for piece in bytes.chunks(piece) {
                theirs.write_all(piece).await.expect("written");
                tokio::task::yield_now().await;
            }
        });
        let content = wire.content(limit, SOON, |_| true).await.expect("an end");
        let next = wire.line(SOON).await.expect("a line");
        writer.await.expect("written");
        (content, next)
    }

    #[tokio::test]
    async fn only_the_true_end_is_an_end() {
        let rows: [(&str, Content); 12] = [
            ("Hi\r\n.\r\n", Content::Mail(b"Hi\r\n".to_vec())),
            (".\r\n", Content::Mail(Vec::new())),
            ("..\r\n...x\r\n.\r\n", Content::Mail(b".\r\n..x\r\n".to_vec())),
            (".a\r\n.\r\n", Content::Mail(b"a\r\n".to_vec())),
            ("a.\r\n.\r\n", Content::Mail(b"a.\r\n".to_vec())),
            ("a\n.\nMAIL FROM:<x@y.z>\r\n.\r\n", Content::Bare),
            ("a\n.\r\nMAIL FROM:<x@y.z>\r\n.\r\n", Content::Bare),
            ("a\r\n.\nMAIL FROM:<x@y.z>\r\n.\r\n", Content::Bare),
            ("a\r.\r\nMAIL FROM:<x@y.z>\r\n.\r\n", Content::Bare),
            ("a\r\n.\rb\r\n.\r\n", Content::Bare),
            ("a\r\r\n.\r\n", Content::Bare),
            ("0123456789abcdef0123456789abcdef\r\n.\r\n", Content::TooLarge),
        ];
        for (bytes, expected) in rows {
            for piece in [1, 2, 3, 1000] {
                let (content, next) = content(format!("{bytes}NOOP\r\n").as_bytes(), piece, 30).await;
                assert_eq!((&content, &next), (&expected, &Line::Command(b"NOOP\r\n".to_vec())), "{bytes:?} by {piece}");
            }
        }
        let long = format!("{}\r\n.\r\nNOOP\r\n", "x".repeat(LINE + 1));
        assert_eq!(content(long.as_bytes(), 1000, 1 << 20).await.0, Content::LongLine);
    }

    #[tokio::test]
    async fn commands_have_an_end_and_a_length() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(ours);
        let long = "x".repeat(5000);
        theirs.write_all(format!("EHLO a\r\nNOOP\n{long}\r\nQUIT\r\n").as_bytes()).await.expect("written");
        drop(theirs);
        let mut lines = Vec::new();
        for _ in 0..5 {
            lines.push(wire.line(SOON).await.expect("a line"));
        }
        let expected = [Line::Command(b"EHLO a\r\n".to_vec()), Line::Bare, Line::TooLong, Line::Command(b"QUIT\r\n".to_vec()), Line::End];
        assert_eq!(lines, expected);
    }
}

//! WebSocket (RFC 6455) without a socket: bytes in, messages out, and the other way round. The handshake is included; pings and
//! closes are answered by themselves. What a session has no randomness for (keys, masks) comes from the library.

use std::io::{self, Read, Write};

use http::{HeaderValue, Uri, header::USER_AGENT};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message};

/// Bytes read at a time; the library sets so many aside for each connection.
const BUFFER: usize = 16 << 10;

/// What the bytes of the other side were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The handshake is done: messages may go both ways.
    Open,
    /// A whole text.
    Text(String),
    /// A whole message of octets.
    Binary(Vec<u8>),
    /// The other side says goodbye, with its code when it gave one. Nothing more comes.
    Closed(Option<u16>),
    /// The other side does not want to speak this protocol with us: the status of its answer. Nothing more comes.
    Refused(u16),
    /// It does not keep to the protocol, or said more at once than is taken; in words without content. Nothing more comes.
    Broken(String),
}

/// One end of a connection.
pub struct WebSocket(State);

enum State {
    Asking(Box<MidHandshake<ClientHandshake<Pipe>>>),
    Asked(Box<MidHandshake<ServerHandshake<Pipe, NoCallback>>>),
    Open(Box<tungstenite::WebSocket<Pipe>>),
    /// Nothing is heard any more; what is left to be written.
    Over(Vec<u8>),
}

impl WebSocket {
    /// Asks the other side to speak it with us; `url` is `ws:` or `wss:` with path and query. Messages of more than `most` bytes break
    /// the connection. `None` when this is no such URL.
    pub fn ask(url: &str, user_agent: &str, most: usize) -> Option<Self> {
        let mut request = url.parse::<Uri>().ok()?.into_client_request().ok()?;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_str(user_agent).ok()?);
        let mid = ClientHandshake::start(Pipe::default(), request, Some(config(most))).ok()?;
        let mut socket = Self(State::Asking(Box::new(mid)));
        socket.shake_hands(&mut Vec::new());
        matches!(socket.0, State::Asking(_)).then_some(socket)
    }

    /// Waits for the other side to ask.
    pub fn answer(most: usize) -> Self {
        Self(State::Asked(Box::new(ServerHandshake::start(Pipe::default(), NoCallback, Some(config(most))))))
    }

    /// Bytes of the other side: what they are.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        match &mut self.0 {
            State::Asking(mid) => mid.get_mut().get_mut().put(bytes),
            State::Asked(mid) => mid.get_mut().get_mut().put(bytes),
            State::Open(socket) => socket.get_mut().put(bytes),
            State::Over(_) => return heard,
        }
        self.shake_hands(&mut heard);
        self.read(&mut heard);
        heard
    }

    /// Says a text; nothing where the connection cannot carry it.
    pub fn say(&mut self, text: &str) {
        if let State::Open(socket) = &mut self.0 {
            // Writing into memory does not fail; after a goodbye there is nothing to say.
            let _ = socket.send(Message::text(text));
        }
    }

    /// Says goodbye with a code. What the other side still says is heard.
    pub fn close(&mut self, code: u16) {
        if let State::Open(socket) = &mut self.0 {
            let _ = socket.close(Some(CloseFrame { code: code.into(), reason: "".into() }));
            let _ = socket.flush();
        }
    }

    /// What is to be written to the other side.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.0 {
            State::Asking(mid) => mid.get_mut().get_mut().take(),
            State::Asked(mid) => mid.get_mut().get_mut().take(),
            State::Open(socket) => socket.get_mut().take(),
            State::Over(rest) => std::mem::take(rest),
        }
    }

    fn shake_hands(&mut self, heard: &mut Vec<Heard>) {
        let next = match std::mem::replace(&mut self.0, State::Over(Vec::new())) {
            State::Asking(mid) => match mid.handshake() {
                Ok((socket, _)) => Ok(State::Open(Box::new(socket))),
                Err(HandshakeError::Interrupted(mid)) => return self.0 = State::Asking(Box::new(mid)),
                Err(HandshakeError::Failure(error)) => Err(error),
            },
            State::Asked(mid) => match mid.handshake() {
                Ok(socket) => Ok(State::Open(Box::new(socket))),
                Err(HandshakeError::Interrupted(mid)) => return self.0 = State::Asked(Box::new(mid)),
                Err(HandshakeError::Failure(error)) => Err(error),
            },
            other => return self.0 = other,
        };
        match next {
            Ok(open) => {
                self.0 = open;
                heard.push(Heard::Open);
            }
            Err(Error::Http(answer)) => heard.push(Heard::Refused(answer.status().as_u16())),
            Err(error) => heard.push(Heard::Broken(error.to_string())),
        }
    }

    fn read(&mut self, heard: &mut Vec<Heard>) {
        let State::Open(socket) = &mut self.0 else { return };
        let last = loop {
            match socket.read() {
                Ok(Message::Text(text)) => heard.push(Heard::Text(text.as_str().to_owned())),
                Ok(Message::Binary(octets)) => heard.push(Heard::Binary(octets.to_vec())),
                Ok(Message::Close(frame)) => break Some(Heard::Closed(frame.map(|frame| frame.code.into()))),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break None,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break Some(Heard::Closed(None)),
                Err(error) => break Some(Heard::Broken(error.to_string())),
            }
        };
        // Answers to pings and to a goodbye leave now.
        let _ = socket.flush();
        if let Some(last) = last {
            let rest = socket.get_mut().take();
            self.0 = State::Over(rest);
            heard.push(last);
        }
    }
}

fn config(most: usize) -> WebSocketConfig {
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
    config.max_message_size(Some(most)).max_frame_size(Some(most))
}

/// What stands for the socket: memory that never waits.
#[derive(Debug, Default)]
struct Pipe {
    came: Vec<u8>,
    read: usize,
    goes: Vec<u8>,
}

impl Pipe {
    fn put(&mut self, bytes: &[u8]) {
        self.came.drain(..std::mem::take(&mut self.read));
        self.came.extend_from_slice(bytes);
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.goes)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.came[self.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.goes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 1 << 16;

    fn joined() -> (WebSocket, WebSocket) {
        let mut ours = WebSocket::ask("ws://127.0.0.1:9/?v=1", "test", MOST).expect("a URL");
        let mut theirs = WebSocket::answer(MOST);
        assert_eq!(theirs.hear(&ours.take()), [Heard::Open]);
        assert_eq!(ours.hear(&theirs.take()), [Heard::Open]);
        (ours, theirs)
    }

    #[test]
    fn it_asks_as_the_standard_says() {
        let mut socket = WebSocket::ask("wss://gateway.example:8443/?v=10&encoding=json", "test/1", MOST).expect("a URL");
        let asked = String::from_utf8(socket.take()).expect("ASCII");
        assert!(asked.starts_with("GET /?v=10&encoding=json HTTP/1.1\r\n") && asked.ends_with("\r\n\r\n"), "{asked}");
        for header in ["Host: gateway.example:8443", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "user-agent: test/1"] {
            assert!(asked.contains(&format!("{header}\r\n")), "{asked}");
        }
        assert!(WebSocket::ask("https://gateway.example/", "test", MOST).is_none());
        assert_eq!(socket.hear(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), [Heard::Refused(403)]);
        assert!(socket.hear(b"x").is_empty());
    }

    #[test]
    fn messages_go_both_ways_in_any_pieces() {
        let (mut ours, mut theirs) = joined();
        ours.say("one");
        ours.say(&"2".repeat(MOST));
        let bytes = ours.take();
        assert!(!bytes.windows(3).any(|w| w == b"one"), "what we say is masked");
        let heard: Vec<Heard> = bytes.chunks(7).flat_map(|piece| theirs.hear(piece)).collect();
        assert_eq!(heard, [Heard::Text("one".into()), Heard::Text("2".repeat(MOST))]);
        theirs.say("three");
        assert_eq!(ours.hear(&theirs.take()), [Heard::Text("three".into())]);
        // A ping is answered by itself.
        assert_eq!((ours.hear(&[0x89, 0]), ours.take().len()), (vec![], 6));
    }

    #[test]
    fn goodbyes_have_a_code_and_are_answered() {
        let (mut ours, mut theirs) = joined();
        theirs.say("last");
        theirs.close(4004);
        assert_eq!(ours.hear(&theirs.take()), [Heard::Text("last".into()), Heard::Closed(Some(4004))]);
        assert_eq!(theirs.hear(&ours.take()), [Heard::Closed(Some(4004))]);
        ours.say("nobody hears this");
        assert!(ours.take().is_empty());
        let (mut ours, mut theirs) = joined();
        ours.close(4200);
        theirs.say("on its way");
        assert_eq!(ours.hear(&theirs.take()), [Heard::Text("on its way".into())]);
        assert_eq!(theirs.hear(&ours.take()), [Heard::Closed(Some(4200))]);
    }

    #[test]
    fn what_is_too_long_breaks_it() {
        let (mut ours, mut theirs) = joined();
        theirs.say(&"x".repeat(MOST + 1));
        assert!(matches!(ours.hear(&theirs.take())[..], [Heard::Broken(_)]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(before in any::<bool>(), pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12)) {
            let (mut ours, mut theirs) = if before {
                (WebSocket::ask("ws://127.0.0.1:9/", "test", MOST).expect("a URL"), WebSocket::answer(MOST))
            } else {
                joined()
            };
            for piece in pieces {
                ours.hear(&piece);
                theirs.hear(&piece);
                ours.say("still there?");
                drop((ours.take(), theirs.take()));
            }
        }
    }
}

//! What the checks of the gateway's sessions sit at: a session, a clock, and the other ends of its lines.

use std::sync::Arc;

use serde_json::{Value, json};

use super::session::Gateway;
use super::{Channel, Twin};
use crate::contract::session::{Endpoint, Told, Wish};
use crate::contract::twin::Twin as _;
use crate::contract::{Adapter, Session, Time};
use crate::kit::websocket::{Heard, WebSocket};

pub(super) const NOW: Time = Time(1_795_169_730_000);
pub(super) const PACE: i64 = 41_250;
pub(super) const LED: &str = "wss://gateway-us-east1-b.discord.gg";

/// A session, a clock, and the other ends of its lines.
pub(super) struct Desk {
    pub session: Gateway,
    pub now: Time,
    pub ends: Vec<Option<WebSocket>>,
    /// What the session said, and the codes it said goodbye with.
    pub said: Vec<Value>,
    pub places: Vec<Endpoint>,
    pub memory: Vec<u8>,
    pub delivered: Vec<(u64, String)>,
    pub headers: Vec<(&'static str, String)>,
}

pub(super) fn channel(more: Value) -> Channel {
    let mut settings = Twin::new(1).settings();
    settings.insert("gateway".into(), true.into());
    settings.extend(more.as_object().cloned().unwrap_or_default());
    Channel::bind(crate::contract::Settings(settings)).expect("good settings")
}

impl Desk {
    pub fn new(more: Value, memory: &[u8]) -> Self {
        let bound = channel(more).socket.expect("it listens");
        let session = Gateway::new(Arc::clone(&bound), memory);
        let places: Vec<Endpoint> = session.lines().into_iter().map(|mut places| places.remove(0)).collect();
        let ends = places.iter().map(|_| None).collect();
        Self { session, now: NOW, ends, said: Vec::new(), places, memory: memory.to_vec(), delivered: Vec::new(), headers: Vec::new() }
    }

    /// Tells something; the wishes in few words, but for what was written.
    pub fn tell(&mut self, told: Told<'_>) -> Vec<String> {
        let wishes = self.session.tell(told, self.now);
        let mut words = Vec::new();
        for wish in wishes {
            words.push(match wish {
                Wish::Write(line, bytes) => {
                    self.write(line, &bytes);
                    continue;
                }
                Wish::Deliver(delivery) => {
                    self.headers = delivery.headers;
                    self.delivered.push((delivery.number, String::from_utf8(delivery.body).expect("text")));
                    format!("deliver {}", delivery.number)
                }
                Wish::Remember(number, memory) => {
                    self.memory = memory;
                    format!("remember {number}")
                }
                Wish::Up(line) => format!("up {line}"),
                Wish::Refused(line, reason) => format!("refused {line} {}", reason.code),
                Wish::Close(line, wait) => {
                    self.ends[line] = None;
                    format!("close {line} {wait}")
                }
                Wish::Lead(line, places) => {
                    self.places[line] = places[0].clone();
                    format!("lead {line} {}", places[0].host)
                }
                Wish::Settle(call, _) | Wish::Lose(call, _) => format!("end {call}"),
            });
        }
        words
    }

    pub fn write(&mut self, line: usize, bytes: &[u8]) {
        let end = self.ends[line].as_mut().expect("it is open");
        for heard in end.hear(bytes) {
            match heard {
                Heard::Text(text) => self.said.push(serde_json::from_str(&text).expect("JSON")),
                Heard::Closed(code) => self.said.push(json!({ "goodbye": code })),
                Heard::Open => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What the session has said since.
    pub fn said(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.said)
    }

    pub fn open(&mut self, line: usize) {
        self.ends[line] = Some(WebSocket::answer(1 << 16));
        let place = self.places[line].clone();
        self.tell(Told::Opened(line, &place));
        self.read(line);
    }

    /// What the other end has written is heard.
    pub fn read(&mut self, line: usize) -> Vec<String> {
        let bytes = self.ends[line].as_mut().map(WebSocket::take).unwrap_or_default();
        self.tell(Told::Bytes(line, &bytes))
    }

    pub fn say(&mut self, payload: Value) -> Vec<String> {
        self.say_on(0, &payload)
    }

    pub fn say_on(&mut self, line: usize, payload: &Value) -> Vec<String> {
        self.ends[line].as_mut().expect("it is open").say(&payload.to_string());
        self.read(line)
    }

    pub fn event(&mut self, seq: u64, kind: &str, data: Value) -> Vec<String> {
        self.say(json!({ "op": 0, "s": seq, "t": kind, "d": data }))
    }

    pub fn message(&mut self, seq: u64) -> Vec<String> {
        let author = json!({ "id": "500000000000000001", "username": "ann" });
        self.event(
            seq,
            "MESSAGE_CREATE",
            json!({ "id": format!("70000000000000{seq:04}"), "channel_id": "800", "content": "Hi", "type": 0, "author": author }),
        )
    }

    pub fn goodbye(&mut self, code: u16) -> Vec<String> {
        self.ends[0].as_mut().expect("it is open").close(code);
        self.read(0)
    }

    pub fn later(&mut self, millis: i64) -> Vec<String> {
        self.now = self.now.plus(millis);
        self.tell(Told::Tick)
    }

    pub fn hello(&mut self, line: usize) {
        self.open(line);
        self.say_on(line, &json!({ "op": 10, "d": { "heartbeat_interval": PACE } }));
    }

    /// With a session, all of it remembered.
    pub fn ready(more: Value) -> Self {
        let mut desk = Self::new(more, b"");
        desk.begin("one");
        desk
    }

    pub fn begin(&mut self, id: &str) {
        self.hello(0);
        assert_eq!(self.said()[0]["op"], 2);
        self.event(1, "READY", json!({ "session_id": id, "resume_gateway_url": LED, "guilds": [] }));
        self.tell(Told::Remembered(u64::MAX));
    }

    /// The next process, with what this one remembered.
    pub fn crash(self, more: Value) -> Self {
        Self { now: self.now, ..Self::new(more, &self.memory) }
    }

    /// The number that it would resume from.
    pub fn resumes(&mut self) -> Value {
        self.hello(0);
        let said = self.said();
        assert_eq!(said[0]["op"], 6, "{said:?}");
        said[0]["d"]["seq"].clone()
    }
}

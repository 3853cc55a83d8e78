//! The played Discord's gateway: its end of a connection as bytes. Strict, as the documentation is: whoever speaks out of turn is closed
//! with the code that says so. Its sessions outlive connections and are resumed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::contract::Reply;
use crate::contract::twin::{Draft, Line, Said};
use crate::kit::websocket::{Heard, WebSocket};

/// docs.discord.com/developers/events/gateway-events#identify, read 2026-11-29: every intent there is, and those switched off here.
const INTENTS: u64 = 0x1_ffff | 0b11 << 20 | 0b11 << 24;
const SWITCHED_OFF: u64 = 1 << 1 | 1 << 8;
/// docs.discord.com/developers/events/gateway#sending-events, read 2026-11-29.
const MOST: usize = 4096;
/// As Discord's usually is.
const PACE_MS: u64 = 41_250;
/// What can be resumed.
const KEPT: usize = 1_000;

/// A session, connected or not.
struct Kept {
    shard: u64,
    seq: u64,
    /// What was told and not yet named by a heartbeat, by its number.
    told: BTreeMap<u64, Draft>,
}

#[derive(Default)]
struct Held {
    made: u64,
    all: HashMap<String, Kept>,
}

/// Every session of an application.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<Held>>);

impl Sessions {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gateway's end of one connection.
pub(super) struct End {
    application: &'static str,
    token: String,
    sessions: Sessions,
    socket: WebSocket,
    /// The head of the request, until it is whole.
    head: Option<Vec<u8>>,
    host: String,
    session: Option<String>,
    closed: bool,
}

impl End {
    pub fn new(application: &'static str, token: &str, sessions: &Sessions) -> Self {
        Self {
            application,
            token: token.to_owned(),
            sessions: sessions.clone(),
            socket: WebSocket::answer(MOST),
            head: Some(Vec::new()),
            host: String::new(),
            session: None,
            closed: false,
        }
    }

    /// What the request asks for; `Err` when it is not this gateway.
    fn asked(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let Some(head) = &mut self.head else { return Ok(()) };
        head.extend_from_slice(bytes);
        let text = String::from_utf8_lossy(head).into_owned();
        if !text.contains("\r\n\r\n") {
            return if head.len() > MOST { Err(()) } else { Ok(()) };
        }
        self.head = None;
        let host = text.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("host")));
        self.host = host.map(|(_, host)| host.to_owned()).ok_or(())?;
        if text.starts_with("GET /?v=10&encoding=json HTTP/1.1\r\n") { Ok(()) } else { Err(()) }
    }

    fn say(&mut self, payload: &Value) {
        self.socket.say(&payload.to_string());
    }

    fn close(&mut self, code: u16) {
        self.socket.close(code);
        self.closed = true;
    }

    /// An event of the session, under its next number.
    fn tell(&mut self, kind: &str, data: &Value) -> Option<u64> {
        let id = self.session.clone()?;
        let seq = {
            let mut held = self.sessions.held();
            let kept = held.all.get_mut(&id)?;
            kept.seq += 1;
            kept.seq
        };
        self.say(&json!({ "op": 0, "s": seq, "t": kind, "d": data }));
        Some(seq)
    }

    fn take(&mut self, text: &str) {
        let Ok(payload) = serde_json::from_str::<Value>(text) else { return self.close(4002) };
        let data = &payload["d"];
        match payload["op"].as_u64() {
            Some(1) => self.heartbeat(data),
            Some(2) if self.session.is_some() => self.close(4005),
            Some(2) => match self.identify(data) {
                Ok(()) => {}
                Err(code) => self.close(code),
            },
            Some(6) if self.session.is_some() => self.close(4005),
            Some(6) => self.resume(data),
            Some(3 | 4 | 8 | 31) if self.session.is_none() => self.close(4003),
            Some(3 | 4 | 8 | 31) => {}
            _ => self.close(4001),
        }
    }

    fn heartbeat(&mut self, data: &Value) {
        if !data.is_null() && data.as_u64().is_none() {
            return self.close(4002);
        }
        if let (Some(id), Some(seq)) = (&self.session, data.as_u64()) {
            let mut held = self.sessions.held();
            if let Some(kept) = held.all.get_mut(id) {
                kept.told = kept.told.split_off(&seq.saturating_add(1));
            }
        }
        self.say(&json!({ "op": 11 }));
    }

    fn identify(&mut self, data: &Value) -> Result<(), u16> {
        if data["token"] != self.token.as_str() {
            return Err(4004);
        }
        if !["os", "browser", "device"].iter().all(|name| data["properties"][name].is_string()) {
            return Err(4002);
        }
        let intents = data["intents"].as_u64().filter(|intents| intents & !INTENTS == 0).ok_or(4013_u16)?;
        if intents & SWITCHED_OFF != 0 {
            return Err(4014);
        }
        let shard = data["shard"].as_array().map_or(Some((0, 1)), |pair| Some((pair.first()?.as_u64()?, pair.get(1)?.as_u64()?)));
        let (shard, of) = shard.filter(|(shard, of)| shard < of).ok_or(4010_u16)?;
        let id = {
            let mut held = self.sessions.held();
            held.made += 1;
            let id = format!("fake-session-{}", held.made);
            held.all.insert(id.clone(), Kept { shard, seq: 0, told: BTreeMap::new() });
            id
        };
        self.session = Some(id.clone());
        let user = json!({ "id": self.application, "username": "twin", "discriminator": "0", "bot": true });
        let ready = json!({ "v": 10, "user": user, "guilds": [], "session_id": id, "resume_gateway_url": format!("ws://{}", self.host),
            "shard": [shard, of], "application": { "id": self.application, "flags": 1 << 19 } });
        self.tell("READY", &ready);
        Ok(())
    }

    /// What a session missed comes again.
    fn resume(&mut self, data: &Value) {
        if data["token"] != self.token.as_str() {
            return self.close(4004);
        }
        let (Some(id), Some(seq)) = (data["session_id"].as_str(), data["seq"].as_u64()) else { return self.close(4002) };
        let missed = |kept: &Kept| kept.told.range(seq.saturating_add(1)..).map(|(seq, draft)| (*seq, draft.clone())).collect::<Vec<_>>();
        let found = self.sessions.held().all.get(id).map(|kept| (kept.seq, missed(kept)));
        let Some((last, missed)) = found else { return self.say(&json!({ "op": 9, "d": false })) };
        if seq > last {
            return self.close(4007);
        }
        self.session = Some(id.to_owned());
        for (seq, draft) in missed {
            self.say(&numbered(&draft, seq));
        }
        self.tell("RESUMED", &json!({}));
    }
}

/// An event under its number.
fn numbered(draft: &Draft, seq: u64) -> Value {
    let mut event: Value = serde_json::from_slice(&draft.body).unwrap_or_default();
    event["s"] = seq.into();
    event
}

impl Line for End {
    fn hear(&mut self, bytes: &[u8]) -> Vec<Said> {
        if self.asked(bytes).is_err() {
            return vec![Said::Write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec()), Said::Close];
        }
        for heard in self.socket.hear(bytes) {
            match heard {
                Heard::Open => self.say(&json!({ "op": 10, "d": { "heartbeat_interval": PACE_MS } })),
                Heard::Text(text) if !self.closed => self.take(&text),
                Heard::Text(_) => {}
                Heard::Binary(_) => self.close(4002),
                Heard::Closed(code) => {
                    // Whoever says goodbye for good has no session any more.
                    if let (Some(1000 | 1001), Some(id)) = (code, &self.session) {
                        self.sessions.held().all.remove(id);
                    }
                    self.closed = true;
                }
                Heard::Refused(_) | Heard::Broken(_) => self.closed = true,
            }
        }
        let mut said = vec![Said::Write(self.socket.take())];
        said.extend(self.closed.then_some(Said::Close));
        said
    }

    /// Nobody asks for anything here.
    fn answered(&mut self, _number: u64, _reply: &Reply) -> Vec<u8> {
        Vec::new()
    }

    fn deliver(&mut self, draft: &Draft) -> Option<Vec<u8>> {
        let id = self.session.clone().filter(|_| !self.closed)?;
        let event: Value = serde_json::from_slice(&draft.body).ok()?;
        {
            let held = self.sessions.held();
            // What is said to the bot alone comes on the first shard.
            held.all.get(&id).filter(|kept| kept.shard == 0 || event["d"]["guild_id"].is_string())?;
        }
        let seq = self.tell(event["t"].as_str()?, &event["d"])?;
        let mut held = self.sessions.held();
        let kept = held.all.get_mut(&id)?;
        kept.told.insert(seq, draft.clone());
        if kept.told.len() > KEPT {
            kept.told.pop_first();
        }
        drop(held);
        Some(self.socket.take())
    }

    fn unacknowledged(&self) -> Vec<Draft> {
        let told = |id: &String| self.sessions.held().all.get(id).map(|kept| kept.told.values().cloned().collect());
        self.session.as_ref().and_then(told).unwrap_or_default()
    }
}

//! The state machine of an application's connections to the gateway: one a shard. What people write comes here; nothing goes out this
//! way but heartbeats.
//!
//! Discord acknowledges no event: a session is resumed from a number, and what came after it comes again. So the number that heartbeats
//! and resumptions name is the one that is *remembered*, which is never higher than what is durable: after a crash, or on another node,
//! nothing is missing, and what comes twice is known by its id.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bound::Bound;
use super::closing::{self, After};
use super::shard::{Kept, Payload, Shard, Stage};
use super::starts::Starts;
use super::{endpoint, gateway};
use crate::contract::session::{Endpoint, Told, Wish};
use crate::contract::{Delivery, ErrorClass, Reason, Session, Time};
use crate::kit::object::Object;
use crate::kit::websocket::{Heard, WebSocket};

/// No more than one write a second for what heartbeats can wait for.
const REMEMBER_EVERY: i64 = 1_000;
/// What cannot be stored is fetched again after this long.
const STORE_AGAIN: u64 = 5_000;
/// Events under way on a shard; Discord keeps the others while we are away.
const MOST_AHEAD: usize = 4_096;
/// A session that may begin later than this is not waited for on an open connection.
const WAIT_OPEN: i64 = 60_000;
/// How long what is under way is waited for before goodbye.
const STOP_WITHIN: i64 = 4_000;
/// After a session that is over Discord wants 1 to 5 s: docs.discord.com/developers/events/gateway-events#invalid-session, read 2026-11-29.
const AFTER_INVALID: (u64, u64) = (1_000, 4_000);

/// What must be there after a crash.
#[derive(Default, Serialize, Deserialize)]
struct Memory {
    bound: String,
    shards: Vec<Option<Kept>>,
    starts: Starts,
}

/// What was wished to be remembered under a number: up to where, for each shard and its session.
struct Wished {
    version: u64,
    seqs: Vec<(u32, u64)>,
}

/// An application's connections.
pub(super) struct Gateway {
    bound: Arc<Bound>,
    shards: Vec<Shard>,
    starts: Starts,
    /// Deliveries on their way into the log: shard, its session, its event.
    owed: HashMap<u64, (usize, u32, u64)>,
    number: u64,
    wished: VecDeque<Wished>,
    version: u64,
    remember_at: Time,
    stopping: Option<Time>,
    now: Time,
    out: Vec<Wish>,
}

impl Session for Gateway {
    fn lines(&self) -> Vec<Vec<Endpoint>> {
        self.shards.iter().map(|shard| self.bound.places(shard.kept.as_ref())).collect()
    }

    fn tell(&mut self, told: Told<'_>, now: Time) -> Vec<Wish> {
        self.now = now;
        match told {
            Told::Opened(line, place) if line < self.shards.len() => {
                self.shards[line].open(&endpoint::url(place), now);
                self.write(line);
            }
            Told::Bytes(line, bytes) if line < self.shards.len() => self.hear(line, bytes, now),
            Told::Closed(line) if line < self.shards.len() => {
                self.shards[line].close();
                self.lead(line);
            }
            Told::Opened(..) | Told::Bytes(..) | Told::Closed(_) => {}
            Told::Tick => self.tick(now),
            // There is never room: messages go out over HTTP.
            Told::Call(number, _) => self.out.push(Wish::Lose(number, "messages do not go out this way")),
            Told::Taken(number, durable) => self.taken(number, durable),
            Told::Remembered(version) => self.remembered(version),
            Told::Stop => self.stopping = Some(now.plus(STOP_WITHIN)),
        }
        self.remember_in_time(now);
        self.say_goodbye(now);
        std::mem::take(&mut self.out)
    }

    fn room(&self) -> usize {
        0
    }

    fn wake(&self) -> Option<Time> {
        let remember = Some(self.remember_at).filter(|_| self.wished.is_empty() && self.is_ahead());
        let stop = self.stopping.filter(|_| self.shards.iter().any(Shard::listens));
        self.shards.iter().filter_map(|shard| shard.wake(self.starts.next(self.now))).chain(remember).chain(stop).min()
    }
}

impl Gateway {
    pub fn new(bound: Arc<Bound>, memory: &[u8]) -> Self {
        let memory: Memory = serde_json::from_slice(memory).unwrap_or_default();
        let mut kept = if memory.bound == bound.fingerprint() { memory.shards } else { Vec::new() };
        kept.resize(usize::from(bound.shards), None);
        Self {
            shards: kept.into_iter().map(Shard::new).collect(),
            starts: memory.starts,
            owed: HashMap::new(),
            number: 0,
            wished: VecDeque::new(),
            version: 0,
            remember_at: Time(0),
            stopping: None,
            now: Time(0),
            out: Vec::new(),
            bound,
        }
    }

    /// Writes what a shard has to say.
    fn write(&mut self, line: usize) {
        let bytes = self.shards[line].socket.as_mut().map(WebSocket::take).unwrap_or_default();
        if !bytes.is_empty() {
            self.out.push(Wish::Write(line, bytes));
        }
    }

    fn hear(&mut self, line: usize, bytes: &[u8], now: Time) {
        let Some(socket) = &mut self.shards[line].socket else { return };
        let heard = socket.hear(bytes);
        self.write(line);
        for heard in heard {
            match heard {
                Heard::Open => {}
                Heard::Text(text) => self.take(line, &text, now),
                Heard::Binary(_) => self.hang_up(line, closing::broken("payload_invalid", "Discord's gateway says what is no JSON")),
                Heard::Closed(_) if matches!(self.shards[line].stage, Stage::Leaving(_)) => self.end(line, After::USUAL),
                Heard::Closed(code) => self.end(line, closing::closed(code)),
                Heard::Refused(status) => self.end(line, closing::refused(status)),
                Heard::Broken(_) => self.end(line, closing::broken("protocol_broken", "Discord's gateway does not keep to the protocol")),
            }
            if self.shards[line].stage == Stage::Closed {
                return;
            }
        }
        self.write(line);
    }

    /// One payload.
    fn take(&mut self, line: usize, text: &str, now: Time) {
        let Ok(payload) = serde_json::from_str::<Payload<'_>>(text) else {
            return self.hang_up(line, closing::broken("payload_invalid", "Discord's gateway says what is no payload"));
        };
        let data = || payload.d.and_then(|d| Object::parse(d.get())).unwrap_or_default();
        match payload.op {
            0 => {
                let (Some(seq), Some(kind)) = (payload.s, payload.t.as_deref()) else { return };
                if kind == "READY" {
                    return self.ready(line, seq, &data(), now);
                }
                let noise = gateway::is_noise(kind, &data(), self.since(line));
                self.dispatched(line, seq, text, noise);
                if kind == "RESUMED" {
                    self.up(line);
                }
            }
            1 => self.shards[line].beats_on_request(now),
            // It happens every day: Discord moves its connections about.
            7 => self.hang_up(line, After::USUAL),
            9 => self.invalid(line, payload.d.is_some_and(|d| d.get() == "true")),
            10 => self.hello(line, data().int("heartbeat_interval"), now),
            11 => self.shards[line].answered(),
            _ => {}
        }
    }

    fn since(&self, line: usize) -> Time {
        Time(self.shards[line].kept.as_ref().map_or(0, |kept| kept.since))
    }

    fn hello(&mut self, line: usize, every: Option<i64>, now: Time) {
        if !matches!(self.shards[line].stage, Stage::Opening(_)) {
            return;
        }
        let Some(every) = every else { return self.hang_up(line, closing::broken("payload_invalid", "Discord's gateway names no pace")) };
        let part = self.bound.part(line);
        let shard = &mut self.shards[line];
        shard.hello(every, part, now);
        match &shard.kept {
            Some(kept) => {
                let resume = json!({ "op": 6, "d": { "token": self.bound.token.reveal(), "session_id": kept.id, "seq": kept.seq } });
                shard.say(&resume);
                shard.stage = Stage::Resuming;
            }
            None => {
                shard.stage = Stage::Waiting;
                self.begin(line, now);
            }
        }
    }

    /// Asks for a session, as soon as one may begin.
    fn begin(&mut self, line: usize, now: Time) {
        let next = self.starts.next(now);
        if next > now.plus(WAIT_OPEN) {
            let reason = Reason::new(
                ErrorClass::Throttled,
                "too_many_sessions",
                "as many sessions began today as Discord allows; the next one waits",
            );
            return self.hang_up(line, After { reason: Some(reason), resumes: true, wait_ms: next.since(now).unsigned_abs() });
        }
        if next > now || self.stopping.is_some() {
            return;
        }
        self.starts.begin(now);
        self.remember();
        let properties = json!({ "os": std::env::consts::OS, "browser": "fairway", "device": "fairway" });
        let identify = json!({ "token": self.bound.token.reveal(), "intents": self.bound.intents, "shard": [line, self.bound.shards], "properties": properties });
        self.shards[line].say(&json!({ "op": 2, "d": identify }));
        self.shards[line].stage = Stage::Starting;
    }

    fn ready(&mut self, line: usize, seq: u64, data: &Object<'_>, now: Time) {
        if self.shards[line].stage != Stage::Starting {
            return;
        }
        let Some(id) = data.text("session_id") else {
            return self.hang_up(line, closing::broken("payload_invalid", "Discord's gateway names no session"));
        };
        let url = data.text("resume_gateway_url").unwrap_or_default();
        self.shards[line].begin(id.into_owned(), url.into_owned(), seq, now);
        self.remember();
        self.lead(line);
        self.out.push(Wish::Up(line));
    }

    fn up(&mut self, line: usize) {
        if self.shards[line].stage == Stage::Resuming {
            self.shards[line].stage = Stage::Up;
            self.out.push(Wish::Up(line));
        }
    }

    /// An event of a session.
    fn dispatched(&mut self, line: usize, seq: u64, text: &str, noise: bool) {
        let shard = &mut self.shards[line];
        // What comes while we leave is left to those who come after us.
        if !shard.listens() || self.stopping.is_some() || !shard.progress.came(seq) {
            return;
        }
        if noise {
            return shard.progress.went(seq, true);
        }
        let since = shard.kept.as_ref().map_or(0, |kept| kept.since).to_string();
        self.number += 1;
        self.owed.insert(self.number, (line, shard.generation, seq));
        self.out.push(Wish::Deliver(Delivery {
            number: self.number,
            headers: vec![(gateway::SINCE, since)],
            body: text.as_bytes().to_vec(),
        }));
        if shard.progress.ahead() > MOST_AHEAD {
            self.hang_up(
                line,
                After {
                    wait_ms: STORE_AGAIN,
                    ..closing::broken("too_far_ahead", "more comes than can be stored; the rest is fetched later")
                },
            );
        }
    }

    fn taken(&mut self, number: u64, durable: bool) {
        let Some((line, generation, seq)) = self.owed.remove(&number) else { return };
        if self.shards[line].generation != generation {
            return;
        }
        self.shards[line].progress.went(seq, durable);
        if !durable && self.shards[line].listens() {
            self.hang_up(
                line,
                After { wait_ms: STORE_AGAIN, ..closing::broken("not_stored", "what came cannot be stored now; it is fetched again") },
            );
        }
    }

    /// The session is over, or cannot begin now.
    fn invalid(&mut self, line: usize, resumes: bool) {
        let refused = self.shards[line].stage == Stage::Starting;
        let reason = refused.then(|| Reason::new(ErrorClass::Transient, "session_refused", "Discord does not begin a session now"));
        let wait_ms = AFTER_INVALID.0 + (AFTER_INVALID.1 as f64 * self.bound.part(line)) as u64;
        self.hang_up(line, After { reason, resumes, wait_ms });
    }

    fn tick(&mut self, now: Time) {
        for line in 0..self.shards.len() {
            match self.shards[line].stage {
                Stage::Opening(until) if until <= now => {
                    self.hang_up(line, closing::broken("no_hello", "Discord's gateway does not say hello"))
                }
                Stage::Leaving(until) if until <= now => self.end(line, After::USUAL),
                Stage::Waiting => self.begin(line, now),
                _ => {}
            }
            if !self.shards[line].beats(now) {
                self.hang_up(line, closing::broken("no_heartbeat", "Discord's gateway does not answer any more"));
            }
            self.write(line);
        }
    }

    /// Ends a connection from our side.
    fn hang_up(&mut self, line: usize, after: After) {
        self.shards[line].hang_up();
        self.write(line);
        self.end(line, after);
    }

    /// A connection is over.
    fn end(&mut self, line: usize, after: After) {
        self.out.extend(after.reason.map(|reason| Wish::Refused(line, reason)));
        self.shards[line].close();
        if !after.resumes {
            self.shards[line].forget();
            self.remember();
        }
        self.lead(line);
        self.out.push(Wish::Close(line, after.wait_ms));
    }

    /// Says where a shard leads to from now on.
    fn lead(&mut self, line: usize) {
        self.out.push(Wish::Lead(line, self.bound.places(self.shards[line].kept.as_ref())));
    }

    fn is_ahead(&self) -> bool {
        self.shards.iter().any(Shard::is_ahead)
    }

    fn remember_in_time(&mut self, now: Time) {
        if self.wished.is_empty() && self.is_ahead() && (self.remember_at <= now || self.stopping.is_some()) {
            self.remember();
        }
        if !self.wished.is_empty() || !self.is_ahead() {
            self.remember_at = now.plus(REMEMBER_EVERY);
        }
    }

    /// Wishes all sessions to be remembered as they are now.
    fn remember(&mut self) {
        self.version += 1;
        let shards: Vec<Option<Kept>> = self.shards.iter().map(Shard::memory).collect();
        let seqs =
            self.shards.iter().zip(&shards).map(|(shard, kept)| (shard.generation, kept.as_ref().map_or(0, |kept| kept.seq))).collect();
        self.wished.push_back(Wished { version: self.version, seqs });
        let memory = Memory { bound: self.bound.fingerprint(), shards, starts: self.starts };
        self.out.push(Wish::Remember(self.version, serde_json::to_vec(&memory).unwrap_or_default()));
    }

    fn remembered(&mut self, version: u64) {
        while let Some(wished) = self.wished.pop_front_if(|wished| wished.version <= version) {
            for (shard, (generation, seq)) in self.shards.iter_mut().zip(wished.seqs) {
                if let Some(kept) = shard.kept.as_mut().filter(|_| shard.generation == generation) {
                    kept.seq = kept.seq.max(seq);
                }
            }
        }
    }

    /// When it is to stop: once what came is stored and remembered, or for long enough. The session stays for those who come after us.
    fn say_goodbye(&mut self, now: Time) {
        let Some(until) = self.stopping else { return };
        let done = self.owed.is_empty() && self.wished.is_empty() && !self.is_ahead();
        for line in 0..self.shards.len() {
            let due = done || until <= now || !self.shards[line].listens();
            if due && !matches!(self.shards[line].stage, Stage::Closed | Stage::Leaving(_)) {
                self.shards[line].leave(now);
                self.write(line);
            }
        }
    }
}

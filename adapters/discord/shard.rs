//! One shard: its connection, its session at Discord, and its timers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::progress::Progress;
use crate::contract::Time;
use crate::kit::websocket::WebSocket;

/// The largest payload that is taken. A large server fills some megabytes.
const MOST: usize = 16 << 20;
/// For the handshake and Discord's first words.
const HELLO_WITHIN: i64 = 20_000;
/// For the answer to our goodbye.
const GOODBYE_WITHIN: i64 = 1_000;
/// How often Discord may want a heartbeat: its usual pace is 41 s, and 120 payloads a minute are the most we may send.
const PACES: std::ops::RangeInclusive<i64> = 1_000..=600_000;
/// Heartbeats that are sent on request in a minute: docs.discord.com/developers/events/gateway#rate-limiting, read 2026-11-29, allows 120
/// payloads in any minute, which two minutes that meet keep with less than half of them each.
const ON_REQUEST: u32 = 50;
const MINUTE: i64 = 60_000;
/// Says goodbye so that the session stays: 1000 and 1001 would end it.
const RESUMES: u16 = 4200;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Closed,
    /// It shakes hands and waits for Discord's first words, until then.
    Opening(Time),
    /// It may not begin a session yet.
    Waiting,
    /// It has asked for a session.
    Starting,
    /// It has asked for what its session missed.
    Resuming,
    /// It has a session.
    Up,
    /// It says goodbye, until then.
    Leaving(Time),
}

/// A session at Discord, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its id.
    pub id: String,
    /// Where to come back to.
    pub url: String,
    /// When it began.
    pub since: i64,
    /// Up to where its events are durable.
    pub seq: u64,
}

/// What Discord says: docs.discord.com/developers/events/gateway-events#payload-structure, read 2026-11-29.
#[derive(Deserialize)]
pub(super) struct Payload<'a> {
    pub op: u64,
    #[serde(borrow)]
    pub d: Option<&'a RawValue>,
    pub s: Option<u64>,
    pub t: Option<String>,
}

#[derive(Clone, Copy)]
struct Beat {
    every: i64,
    next: Time,
    unanswered: bool,
}

/// One shard.
pub(super) struct Shard {
    pub stage: Stage,
    pub socket: Option<WebSocket>,
    beat: Option<Beat>,
    /// Heartbeats sent on request since that time.
    on_request: (Time, u32),
    pub kept: Option<Kept>,
    pub progress: Progress,
    /// Counts its sessions, so that what comes of an event meets the one it is of.
    pub generation: u32,
}

impl Shard {
    /// A shard with the session it had, if any.
    pub fn new(kept: Option<Kept>) -> Self {
        let progress = Progress::from(kept.as_ref().map_or(0, |kept| kept.seq));
        Self { stage: Stage::Closed, socket: None, beat: None, on_request: (Time(0), 0), kept, progress, generation: 0 }
    }

    /// The connection stands: it asks for the protocol.
    pub fn open(&mut self, url: &str, now: Time) {
        self.close();
        self.socket = WebSocket::ask(url, super::AGENT, MOST);
        self.stage = Stage::Opening(now.plus(HELLO_WITHIN));
    }

    /// The connection is gone.
    pub fn close(&mut self) {
        (self.stage, self.socket, self.beat) = (Stage::Closed, None, None);
    }

    /// Says goodbye, and that we come back.
    pub fn hang_up(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.close(RESUMES);
        }
    }

    /// Says goodbye and waits for the answer.
    pub fn leave(&mut self, now: Time) {
        self.hang_up();
        self.stage = Stage::Leaving(now.plus(GOODBYE_WITHIN));
    }

    /// The session is of no use any more.
    pub fn forget(&mut self) {
        self.kept = None;
        self.progress = Progress::default();
        self.generation = self.generation.wrapping_add(1);
    }

    /// A new session began with this event.
    pub fn begin(&mut self, id: String, url: String, seq: u64, now: Time) {
        self.forget();
        self.kept = Some(Kept { id, url, since: now.0, seq });
        self.progress = Progress::from(seq);
        self.stage = Stage::Up;
    }

    /// The session as it is to be remembered now.
    pub fn memory(&self) -> Option<Kept> {
        self.kept.as_ref().map(|kept| Kept { seq: self.progress.durable(), ..kept.clone() })
    }

    /// Whether there is more to remember than is.
    pub fn is_ahead(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.seq < self.progress.durable())
    }

    /// Whether events of a session come.
    pub fn listens(&self) -> bool {
        matches!(self.stage, Stage::Up | Stage::Resuming)
    }

    /// Discord's first words: the first heartbeat leaves after a part of the pace, which differs from shard to shard.
    pub fn hello(&mut self, every: i64, part: f64, now: Time) {
        let every = every.clamp(*PACES.start(), *PACES.end());
        self.beat = Some(Beat { every, next: now.plus(1 + (every as f64 * part) as i64), unanswered: false });
    }

    /// A heartbeat was answered.
    pub fn answered(&mut self) {
        if let Some(beat) = &mut self.beat {
            beat.unanswered = false;
        }
    }

    /// Sends the heartbeat whose time has come; false when the last one was never answered.
    pub fn beats(&mut self, now: Time) -> bool {
        let Some(beat) = self.beat.as_mut().filter(|beat| beat.next <= now) else { return true };
        if std::mem::replace(&mut beat.unanswered, true) {
            return false;
        }
        beat.next = now.plus(beat.every);
        self.beat();
        true
    }

    /// Sends the heartbeat that Discord asks for, unless it asks too often.
    pub fn beats_on_request(&mut self, now: Time) {
        if !(0..MINUTE).contains(&now.since(self.on_request.0)) {
            self.on_request = (now, 0);
        }
        self.on_request.1 += 1;
        if self.on_request.1 <= ON_REQUEST {
            self.beat();
        }
    }

    /// A heartbeat with the last event that a process after this one would not ask for again.
    fn beat(&mut self) {
        let seq = self.kept.as_ref().map(|kept| kept.seq);
        self.say(&json!({ "op": 1, "d": seq }));
    }

    /// Says something.
    pub fn say(&mut self, payload: &Value) {
        if let Some(socket) = &mut self.socket {
            socket.say(&payload.to_string());
        }
    }

    /// When its next timer ends; `next` is when a session may begin.
    pub fn wake(&self, next: Time) -> Option<Time> {
        let stage = match self.stage {
            Stage::Closed => return None,
            Stage::Opening(until) | Stage::Leaving(until) => Some(until),
            Stage::Waiting => Some(next),
            Stage::Starting | Stage::Resuming | Stage::Up => None,
        };
        stage.into_iter().chain(self.beat.map(|beat| beat.next)).min()
    }
}

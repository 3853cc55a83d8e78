//! One connection: what it is bound for, its sequence numbers, what waits for an answer on it, and its timers.

use std::collections::HashMap;

use super::pdu::{self, BIND_RECEIVER, BIND_TRANSCEIVER, BIND_TRANSMITTER, ENQUIRE_LINK, UNBIND};
use super::{Bound, Settings, traces::Lost};
use crate::contract::Time;

/// For the answer to a bind; message centres take their time.
const BIND_WITHIN: i64 = 30_000;
/// For the answer to an unbind.
const UNBIND_WITHIN: i64 = 2_000;
/// Questions without an answer before the other side counts as gone.
const PATIENCE: u8 = 2;
/// SMPP 3.4.
const INTERFACE_VERSION: u8 = 0x34;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Both,
    Send,
    Receive,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    /// Its bind has this number and is answered by then.
    Binding(u32, Time),
    Bound,
    /// It says goodbye until then.
    Leaving(Time),
}

/// A message without an answer.
pub(super) struct Waiting {
    pub call: u64,
    pub until: Time,
    pub trace: Option<Lost>,
}

/// One connection.
pub(super) struct Line {
    role: Role,
    pub state: State,
    /// Counts its connections, so that an answer meets the one that asked.
    pub generation: u32,
    pub buffer: Vec<u8>,
    sequence: u32,
    pub waiting: HashMap<u32, Waiting>,
    enquire_at: Time,
    unanswered: u8,
}

impl Line {
    pub fn new(role: Role) -> Self {
        Self {
            role,
            state: State::Closed,
            generation: 0,
            buffer: Vec::new(),
            sequence: 0,
            waiting: HashMap::new(),
            enquire_at: Time(0),
            unanswered: 0,
        }
    }

    /// The lines of an account.
    pub fn all(bound: &Bound) -> Vec<Self> {
        let roles: &[Role] = match bound.settings.bind_mode {
            super::BindMode::Trx => &[Role::Both],
            super::BindMode::TxRx => &[Role::Send, Role::Receive],
        };
        (0..bound.settings.binds).flat_map(|_| roles.iter().map(|role| Self::new(*role))).collect()
    }

    /// The connection stands: the unit that binds it.
    pub fn open(&mut self, settings: &Settings, now: Time) -> Vec<u8> {
        self.close();
        self.generation = self.generation.wrapping_add(1);
        self.sequence = 1;
        self.state = State::Binding(1, now.plus(BIND_WITHIN));
        let command = match self.role {
            Role::Both => BIND_TRANSCEIVER,
            Role::Send => BIND_TRANSMITTER,
            Role::Receive => BIND_RECEIVER,
        };
        let mut body = Vec::new();
        for text in [settings.system_id.as_str(), settings.password.reveal(), settings.system_type.as_str()] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        // Version, any kind of address, and no range of them: the provider knows what is ours.
        body.extend([INTERFACE_VERSION, 0, 0, 0]);
        pdu::write(command, 0, 1, &body)
    }

    pub fn close(&mut self) {
        self.state = State::Closed;
        self.unanswered = 0;
        self.buffer.clear();
    }

    pub fn bound(&mut self, settings: &Settings, now: Time) {
        self.state = State::Bound;
        self.enquire_at = now.plus(i64::from(settings.enquire_link_s) * 1000);
    }

    fn next(&mut self) -> u32 {
        self.sequence = pdu::next(self.sequence);
        self.sequence
    }

    /// How many messages it can carry now.
    pub fn room(&self, settings: &Settings) -> usize {
        match (self.state, self.role) {
            (State::Bound, Role::Both | Role::Send) => usize::from(settings.window).saturating_sub(self.waiting.len()),
            _ => 0,
        }
    }

    /// A message under its number.
    pub fn submit(&mut self, unit: &[u8], waiting: Waiting) -> Vec<u8> {
        let sequence = self.next();
        self.waiting.insert(sequence, waiting);
        pdu::numbered(unit, sequence)
    }

    /// Whether the other side is there is known again.
    pub fn answered_enquiry(&mut self) {
        self.unanswered = 0;
    }

    /// Says goodbye.
    pub fn leave(&mut self, now: Time) -> Vec<u8> {
        self.state = State::Leaving(now.plus(UNBIND_WITHIN));
        let sequence = self.next();
        pdu::write(UNBIND, 0, sequence, b"")
    }

    /// What its timers want: a question to write, or `Err` when it is to be closed.
    pub fn tick(&mut self, settings: &Settings, now: Time) -> Result<Option<Vec<u8>>, &'static str> {
        match self.state {
            State::Binding(_, until) if until <= now => Err("the provider did not answer the bind"),
            State::Leaving(until) if until <= now => Err("goodbye"),
            State::Bound if self.enquire_at <= now => {
                if self.unanswered >= PATIENCE {
                    return Err("the provider does not answer any more");
                }
                self.unanswered += 1;
                self.enquire_at = now.plus(i64::from(settings.enquire_link_s) * 1000);
                let sequence = self.next();
                Ok(Some(pdu::write(ENQUIRE_LINK, 0, sequence, b"")))
            }
            _ => Ok(None),
        }
    }

    /// When its next timer ends.
    pub fn wake(&self) -> Option<Time> {
        let own = match self.state {
            State::Closed => None,
            State::Binding(_, until) | State::Leaving(until) => Some(until),
            State::Bound => Some(self.enquire_at),
        };
        own.into_iter().chain(self.waiting.values().map(|w| w.until)).min()
    }
}

//! The state machine of an account's connections: binds, window, answers, deliveries, and what is kept for their sake.

use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;

use super::Bound;
use super::deliveries::{Answer, Owed};
use super::errors::{self, INVALID_COMMAND, INVALID_LENGTH, OK, WRONG_STATE};
use super::held::{Held, digest};
use super::inbound::{FIRST, MESSAGE};
use super::line::{Line, State, Waiting};
use super::pdu::{self, ALERT, DATA_SM, DELIVER_SM, ENQUIRE_LINK, Frame, GENERIC_NACK, Pdu, RESPONSE, SUBMIT_SM, Sm, UNBIND};
use super::traces::{Lost, Repeats, Traces};
use crate::contract::session::{Endpoint, Told, Wish};
use crate::contract::{ErrorClass, Reply, Session, Time};

/// A refused account is not tried again sooner: message centres lock those that insist.
const AFTER_REFUSAL: u64 = 300_000;
/// The old connection of a crashed process lives on there for a while.
const AFTER_ALREADY_BOUND: u64 = 30_000;
/// After a connection that simply ended.
const AFTER_END: u64 = 1_000;
/// How long open answers are waited for before goodbye.
const STOP_WITHIN: i64 = 5_000;

/// An account's connections.
pub(super) struct Smpp {
    pub(super) bound: Arc<Bound>,
    pub(super) lines: Vec<Line>,
    pub(super) owed: HashMap<u64, Owed>,
    pub(super) held: Held,
    pub(super) traces: Traces,
    pub(super) repeats: Repeats,
    pub(super) number: u64,
    /// Answers to parts, each until what was wished to be remembered under its number is.
    pub(super) unremembered: Vec<(u64, Answer)>,
    pub(super) version: u64,
    stopping: Option<Time>,
    pub(super) out: Vec<Wish>,
}

impl Session for Smpp {
    fn lines(&self) -> Vec<Vec<Endpoint>> {
        // Several connections begin at different hosts, so that one host gone is not all of them.
        let mut endpoints = self.bound.endpoints.clone();
        (0..self.lines.len())
            .map(|_| {
                let mine = endpoints.clone();
                endpoints.rotate_left(1);
                mine
            })
            .collect()
    }

    fn tell(&mut self, told: Told<'_>, now: Time) -> Vec<Wish> {
        self.held.begin(now);
        match told {
            Told::Opened(line, _) if line < self.lines.len() => {
                let bind = self.lines[line].open(&self.bound.settings, now);
                self.out.push(Wish::Write(line, bind));
            }
            Told::Bytes(line, bytes) if line < self.lines.len() => self.hear(line, bytes, now),
            Told::Closed(line) if line < self.lines.len() => self.closed(line, now),
            Told::Opened(..) | Told::Bytes(..) | Told::Closed(_) => {}
            Told::Tick => self.tick(now),
            Told::Call(number, call) => self.submit(number, call, now),
            Told::Taken(number, durable) => self.taken(number, durable, now),
            Told::Remembered(version) => self.remembered(version),
            Told::Stop => self.stopping = Some(now.plus(STOP_WITHIN)),
        }
        self.say_goodbye(now);
        std::mem::take(&mut self.out)
    }

    fn room(&self) -> usize {
        if self.stopping.is_some() { 0 } else { self.lines.iter().map(|line| line.room(&self.bound.settings)).sum() }
    }

    fn wake(&self) -> Option<Time> {
        let parts = self.held.next(self.wait_ms());
        self.lines.iter().filter_map(Line::wake).chain(parts).chain(self.stopping.filter(|_| self.any_bound())).min()
    }
}

impl Smpp {
    pub fn new(bound: Arc<Bound>, memory: &[u8]) -> Self {
        Self {
            lines: Line::all(&bound),
            owed: HashMap::new(),
            held: Held::recall(memory),
            traces: Traces::default(),
            repeats: Repeats::default(),
            number: 0,
            unremembered: Vec::new(),
            version: 0,
            stopping: None,
            out: Vec::new(),
            bound,
        }
    }

    pub(super) fn wait_ms(&self) -> i64 {
        i64::from(self.bound.settings.reassembly_s) * 1000
    }

    fn any_bound(&self) -> bool {
        self.lines.iter().any(|line| line.state == State::Bound)
    }

    fn hear(&mut self, line: usize, bytes: &[u8], now: Time) {
        if self.lines[line].state == State::Closed {
            return;
        }
        self.lines[line].buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.lines[line].buffer);
        let mut rest = &buffer[..];
        loop {
            match pdu::frame(rest) {
                Frame::Whole(length) => {
                    if let Some(unit) = Pdu::read(rest) {
                        self.take(line, &unit, now);
                    }
                    rest = &rest[length..];
                }
                Frame::More => break,
                // Where the next unit would begin cannot be known.
                Frame::Broken => return self.end(line, AFTER_END, now),
            }
            if self.lines[line].state == State::Closed {
                return;
            }
        }
        self.lines[line].buffer = rest.to_vec();
    }

    /// One unit.
    fn take(&mut self, line: usize, unit: &Pdu<'_>, now: Time) {
        let state = self.lines[line].state;
        match (unit.command, state) {
            (ENQUIRE_LINK, _) => self.answer(line, unit, OK),
            (UNBIND, _) => {
                self.answer(line, unit, OK);
                self.end(line, AFTER_END, now);
            }
            (_, State::Binding(sequence, _)) if unit.command & RESPONSE != 0 && unit.sequence == sequence => self.binding(line, unit, now),
            (DELIVER_SM | DATA_SM, State::Bound | State::Leaving(_)) => self.delivered(line, unit, now),
            (ALERT, State::Bound | State::Leaving(_)) => {
                let seen = (digest(unit), now);
                self.deliver(
                    vec![(FIRST, now.0.to_string())],
                    unit.whole.to_vec(),
                    Owed { answers: Vec::new(), seen: Some(seen), group: None },
                );
            }
            (command, _) if command & RESPONSE != 0 => self.answered(line, unit, now),
            (pdu::OUTBIND, _) => {} // We bind anyway.
            (DELIVER_SM | DATA_SM, _) => self.answer(line, unit, WRONG_STATE),
            _ => self.out.push(Wish::Write(line, pdu::write(GENERIC_NACK, INVALID_COMMAND, unit.sequence, b""))),
        }
    }

    /// The answer to a bind.
    fn binding(&mut self, line: usize, unit: &Pdu<'_>, now: Time) {
        if unit.status == OK && unit.command != GENERIC_NACK {
            self.lines[line].bound(&self.bound.settings, now);
            self.out.push(Wish::Up(line));
            return;
        }
        let reason = errors::reason(unit.status, &self.bound.settings.error_classes);
        let wait = match reason.class {
            // Only a person mends these.
            ErrorClass::Auth | ErrorClass::Config => AFTER_REFUSAL,
            _ if unit.status == errors::ALREADY_BOUND => AFTER_ALREADY_BOUND,
            _ => AFTER_END,
        };
        self.out.push(Wish::Refused(line, reason));
        self.end(line, wait, now);
    }

    /// A response to something of ours.
    fn answered(&mut self, line: usize, unit: &Pdu<'_>, now: Time) {
        match unit.command & !RESPONSE {
            ENQUIRE_LINK => return self.lines[line].answered_enquiry(),
            UNBIND => return self.end(line, AFTER_END, now),
            SUBMIT_SM | DATA_SM | 0 => {}
            _ => return,
        }
        let id = pdu::message_id(unit).filter(|_| unit.status == OK);
        if let Some(waiting) = self.lines[line].waiting.remove(&unit.sequence) {
            if let Some(id) = &id {
                self.traces.answered(id);
            }
            self.out.push(Wish::Settle(waiting.call, reply(unit)));
            return;
        }
        let place = (line, self.lines[line].generation, unit.sequence);
        if let (Some(lost), Some(id)) = (self.traces.late(place), id) {
            self.traces.answered(&id);
            self.deliver(vec![(MESSAGE, lost.message)], unit.whole.to_vec(), Owed { answers: Vec::new(), seen: None, group: None });
        }
    }

    fn answer(&mut self, line: usize, unit: &Pdu<'_>, status: u32) {
        self.out.push(Wish::Write(line, pdu::write(unit.command | RESPONSE, status, unit.sequence, b"")));
    }

    fn submit(&mut self, number: u64, call: &crate::contract::Call, now: Time) {
        let settings = &self.bound.settings;
        let octets = call.body_bytes();
        let Some(unit) = Pdu::read(octets).filter(|unit| unit.whole.len() == octets.len()) else {
            return self.out.push(Wish::Settle(number, refused(INVALID_LENGTH)));
        };
        // One person's messages keep to one line while it has room, so that they arrive in order.
        let start = Sm::read(unit.command, unit.body)
            .map_or(0, |sm| sm.destination.digits.bytes().fold(0_usize, |n, b| n * 31 % 65_521 + usize::from(b)));
        let count = self.lines.len();
        let Some(at) = (0..count).map(|n| (start + n) % count).find(|at| self.lines[*at].room(settings) > 0) else {
            return self.out.push(Wish::Settle(number, refused(WRONG_STATE)));
        };
        let ours = call.then.as_deref().map(|note| String::from_utf8_lossy(note).into_owned()).unwrap_or_default();
        let trace = Lost::of(ours, &unit, settings.default_alphabet, settings.gsm_packed);
        let until = now.plus(i64::from(settings.response_timeout_s) * 1000);
        let bytes = self.lines[at].submit(unit.whole, Waiting { call: number, until, trace });
        self.out.push(Wish::Write(at, bytes));
    }

    fn tick(&mut self, now: Time) {
        for line in 0..self.lines.len() {
            match self.lines[line].tick(&self.bound.settings, now) {
                Ok(question) => self.out.extend(question.map(|bytes| Wish::Write(line, bytes))),
                Err(_) => self.end(line, AFTER_END, now),
            }
            self.give_up_waiting(line, now);
        }
        for (whose, units) in self.held.give_up(now.plus(-self.wait_ms())) {
            self.deliver_group(whose, units, Vec::new());
        }
    }

    /// Answers that take too long are not waited for; when they come after all, they are receipts.
    fn give_up_waiting(&mut self, line: usize, now: Time) {
        let late = self.lines[line].waiting.iter().filter(|(_, w)| w.until <= now);
        let mut late: Vec<(u64, u32)> = late.map(|(sequence, w)| (w.call, *sequence)).collect();
        late.sort_unstable();
        for (_, sequence) in late {
            let place = Some((line, self.lines[line].generation, sequence));
            if let Some(waiting) = self.lines[line].waiting.remove(&sequence) {
                self.lose(waiting, place, "the provider did not answer in time");
            }
        }
    }

    fn lose(&mut self, waiting: Waiting, place: Option<(usize, u32, u32)>, why: &'static str) {
        if let Some(mut trace) = waiting.trace {
            trace.place = place;
            self.traces.lose(trace);
        }
        self.out.push(Wish::Lose(waiting.call, why));
    }

    /// Ends a connection from our side.
    fn end(&mut self, line: usize, wait_ms: u64, now: Time) {
        self.closed(line, now);
        self.out.push(Wish::Close(line, wait_ms));
    }

    /// A connection is gone.
    fn closed(&mut self, line: usize, now: Time) {
        self.lines[line].close();
        let mut waiting: Vec<(u32, Waiting)> = self.lines[line].waiting.drain().collect();
        waiting.sort_by_key(|(_, w)| w.call);
        for (_, waiting) in waiting {
            self.lose(waiting, None, "the connection broke before the provider answered");
        }
        let unanswered = self.owed.values().filter(|owed| owed.answers.iter().any(|a| a.line == line)).filter_map(|owed| owed.seen);
        self.repeats.closed(line, unanswered, now);
        self.unremembered.retain(|(_, answer)| answer.line != line);
    }

    /// When it is to stop: once nothing waits for an answer any more, or for long enough.
    fn say_goodbye(&mut self, now: Time) {
        let Some(until) = self.stopping else { return };
        for line in 0..self.lines.len() {
            if self.lines[line].state == State::Bound && (self.lines[line].waiting.is_empty() || until <= now) {
                let unbind = self.lines[line].leave(now);
                self.out.push(Wish::Write(line, unbind));
            }
        }
    }
}

/// A unit as an answer: its status says what kind it is.
fn reply(unit: &Pdu<'_>) -> Reply {
    let status = if unit.status == OK && unit.command != GENERIC_NACK { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Reply { status, body: unit.whole.to_vec().into(), ..Reply::default() }
}

/// An answer of our own to what could not be written.
fn refused(status: u32) -> Reply {
    let unit = pdu::write(GENERIC_NACK, status, 0, b"");
    Reply { status: StatusCode::UNPROCESSABLE_ENTITY, body: unit.into(), ..Reply::default() }
}

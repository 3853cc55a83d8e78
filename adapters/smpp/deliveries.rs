//! What comes to us on a connection: messages, their parts and receipts, on their way into the log, and the answers owed for them.

use super::errors::{COME_BACK, OK};
use super::held::{Placed, Whose, digest};
use super::inbound::{ANSWERED, FIRST, MESSAGE};
use super::line::State;
use super::pdu::{self, Pdu, RESPONSE, Sm};
use super::session::Smpp;
use super::{receipt, words};
use crate::contract::session::Wish;
use crate::contract::{Delivery, Time};

/// What could not be stored and has nobody who delivers it again is tried again after this long.
const STORE_AGAIN: i64 = 5_000;

/// An answer we owe: line, its generation, command and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub line: usize,
    generation: u32,
    command: u32,
    sequence: u32,
}

/// A delivery on its way into the log.
pub(super) struct Owed {
    pub answers: Vec<Answer>,
    /// What it is and when it first came, where it may come again.
    pub seen: Option<(u64, Time)>,
    pub group: Option<Whose>,
}

impl Smpp {
    /// Something for us: a message, a part of one, or a receipt.
    pub(super) fn delivered(&mut self, line: usize, unit: &Pdu<'_>, now: Time) {
        let answer = Answer { line, generation: self.lines[line].generation, command: unit.command, sequence: unit.sequence };
        let read = Sm::read(unit.command, unit.body);
        if let Some(sm) = read.as_ref().filter(|sm| receipt::is_receipt(sm)) {
            let headers = self.about(sm);
            return self.deliver(headers, unit.whole.to_vec(), Owed { answers: vec![answer], seen: None, group: None });
        }
        if let Some((sm, place)) = read.as_ref().and_then(|sm| Some((sm, words::part_of(sm)?))) {
            return match self.held.place(sm, place, unit, now) {
                Placed::Kept => {
                    let version = self.remember();
                    self.unremembered.push((version, answer));
                }
                Placed::Whole(whose, units) => self.deliver_group(whose, units, vec![answer]),
                Placed::Leaving(whose) => {
                    if let Some(owed) = self.owed.values_mut().find(|owed| owed.group.as_ref() == Some(&whose)) {
                        owed.answers.push(answer);
                    }
                }
                Placed::Through => self.respond(answer, OK),
            };
        }
        let digest = digest(unit);
        let first = self.repeats.first(digest, now);
        let owed = Owed { answers: vec![answer], seen: Some((digest, first)), group: None };
        self.deliver(vec![(FIRST, first.0.to_string())], unit.whole.to_vec(), owed);
    }

    /// What is known about the message a receipt is of.
    fn about(&mut self, sm: &Sm<'_>) -> Vec<(&'static str, String)> {
        let told = receipt::read(sm);
        let id = match self.bound.settings.receipt_id_base {
            Some(base) => {
                told.tagged.as_deref().map(receipt::canonical).or_else(|| told.written.as_deref().map(|id| receipt::as_answered(id, base)))
            }
            None => self.traces.id_of(&told),
        };
        let message = self.traces.message_of(sm, &told, id.as_deref());
        let visible = |text: &String| !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        let id = id.filter(visible).map(|id| (ANSWERED, id));
        id.into_iter().chain(message.map(|message| (MESSAGE, message))).collect()
    }

    pub(super) fn deliver(&mut self, headers: Vec<(&'static str, String)>, body: Vec<u8>, owed: Owed) {
        self.number += 1;
        self.owed.insert(self.number, owed);
        self.out.push(Wish::Deliver(Delivery { number: self.number, headers, body }));
    }

    /// A long message, whole or given up.
    pub(super) fn deliver_group(&mut self, whose: Whose, units: Vec<u8>, answers: Vec<Answer>) {
        let first = self.held.since(&whose).unwrap_or_default();
        self.deliver(vec![(FIRST, first.0.to_string())], units, Owed { answers, seen: None, group: Some(whose) });
    }

    /// Wishes all parts to be remembered; the number of the wish.
    fn remember(&mut self) -> u64 {
        self.version += 1;
        self.out.push(Wish::Remember(self.version, self.held.memory()));
        self.version
    }

    pub(super) fn remembered(&mut self, version: u64) {
        let (due, rest) = std::mem::take(&mut self.unremembered).into_iter().partition(|(needs, _)| *needs <= version);
        self.unremembered = rest;
        let due: Vec<(u64, Answer)> = due;
        due.into_iter().for_each(|(_, answer)| self.respond(answer, OK));
    }

    pub(super) fn taken(&mut self, number: u64, durable: bool, now: Time) {
        let Some(owed) = self.owed.remove(&number) else { return };
        if let (Some(whose), durable) = (&owed.group, durable) {
            match durable {
                true => {
                    self.held.done(whose);
                    self.remember();
                }
                false => self.held.not_done(whose, now.plus(STORE_AGAIN - self.wait_ms())),
            }
        }
        for answer in owed.answers {
            self.respond(answer, if durable { OK } else { COME_BACK });
            if let Some((digest, first)) = owed.seen.filter(|_| durable) {
                self.repeats.answered(answer.line, digest, first, now);
            }
        }
    }

    /// Answers, if the connection that asked is still there.
    fn respond(&mut self, answer: Answer, status: u32) {
        let line = &self.lines[answer.line];
        if line.generation == answer.generation && matches!(line.state, State::Bound | State::Leaving(_)) {
            // `message_id` is there and empty.
            self.out.push(Wish::Write(answer.line, pdu::write(answer.command | RESPONSE, status, answer.sequence, b"\0")));
        }
    }
}

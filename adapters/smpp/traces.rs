//! What a session knows of messages that went: ids that answers gave, answers that never came, and deliveries that the
//! other side may not know to be taken.

use std::collections::{HashMap, HashSet, VecDeque};

use super::pdu::{Pdu, Sm, USER_REFERENCE};
use super::receipt::{self, Told};
use super::words;
use super::{Alphabet, Base};
use crate::contract::Time;
use crate::kit::crypto;

/// Ids of answers that are known again.
const IDS: usize = 50_000;
/// Messages without an answer that are remembered.
const LOST: usize = 10_000;
/// Words of a receipt's `text:` that are compared; SMPP 3.4 says 20, and some encode what is not ASCII.
const WORDS: usize = 12;
/// A delivery whose answer we had not written may come again within a day.
const UNANSWERED_FOR: i64 = 86_400_000;
/// One that we answered just before the connection broke, within minutes.
const ANSWERED_FOR: i64 = 300_000;
/// How long before.
const JUST_BEFORE: i64 = 5_000;

/// A message whose answer was lost with its connection, or took too long.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// Our id; of the last part of a message alone.
    pub message: String,
    to: String,
    reference: Option<u32>,
    text: String,
    /// Where its answer would still come: line, the line's generation, sequence number.
    pub place: Option<(usize, u32, u32)>,
}

impl Lost {
    /// Of a unit of ours.
    pub fn of(message: String, unit: &Pdu<'_>, alphabet: Alphabet, packed: bool) -> Option<Self> {
        let sm = Sm::read(unit.command, unit.body).filter(|_| !message.is_empty())?;
        let text = words::decode(&sm, alphabet, packed).unwrap_or_default();
        Some(Self { message, to: sm.destination.digits.clone(), reference: sm.number(USER_REFERENCE), text, place: None })
    }
}

/// All of it.
#[derive(Default)]
pub(super) struct Traces {
    ids: HashSet<u64>,
    order: VecDeque<u64>,
    lost: VecDeque<Lost>,
    base: Option<Base>,
}

fn hash(text: &str) -> u64 {
    crypto::sha256(text.as_bytes())[..8].iter().fold(0, |n, octet| n << 8 | u64::from(*octet))
}

impl Traces {
    /// An answer gave this id.
    pub fn answered(&mut self, id: &str) {
        let hash = hash(&receipt::canonical(id));
        if self.ids.insert(hash) {
            self.order.push_back(hash);
        }
        while self.order.len() > IDS {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
    }

    pub fn lose(&mut self, lost: Lost) {
        self.lost.push_back(lost);
        if self.lost.len() > LOST {
            self.lost.pop_front();
        }
    }

    /// The message whose late answer this is.
    pub fn late(&mut self, place: (usize, u32, u32)) -> Option<Lost> {
        let at = self.lost.iter().position(|lost| lost.place == Some(place))?;
        self.lost.remove(at)
    }

    /// A receipt's id in the form its answer had, when that is known: the provider's habit is found out by the first one.
    pub fn id_of(&mut self, told: &Told) -> Option<String> {
        let known = |id: &str| self.ids.contains(&hash(id));
        if let Some(tagged) = told.tagged.as_deref().map(receipt::canonical) {
            return Some(tagged);
        }
        let written = told.written.as_deref()?;
        let bases = [Base::Same, Base::AnswerHexReceiptDec, Base::AnswerDecReceiptHex];
        if let Some(base) = bases.into_iter().find(|base| known(&receipt::as_answered(written, *base))) {
            self.base = Some(base);
        }
        self.base.map(|base| receipt::as_answered(written, base))
    }

    /// The message a receipt is about whose answer never came: by our reference where the provider echoes it, else by
    /// recipient and words, when the id is none that an answer gave.
    pub fn message_of(&mut self, sm: &Sm<'_>, told: &Told, id: Option<&str>) -> Option<String> {
        let (from, echoed) = (sm.source.digits.trim_start_matches('+'), sm.number(USER_REFERENCE));
        if id.is_some_and(|id| self.ids.contains(&hash(id))) {
            return None;
        }
        let quoted: Option<String> = told.text.as_deref().map(|text| text.chars().take(WORDS).collect());
        let at = self.lost.iter().position(|lost| {
            let same_words = || quoted.as_deref().is_some_and(|quoted| quoted.len() > 1 && lost.text.starts_with(quoted));
            lost.to == from && if echoed.is_some() { lost.reference == echoed } else { same_words() }
        })?;
        self.lost.remove(at).map(|lost| lost.message)
    }
}

/// Deliveries that may come again.
#[derive(Default)]
pub(super) struct Repeats {
    /// By what they say: when they first came, and until when they may come again.
    expected: HashMap<u64, (Time, Time)>,
    recent: VecDeque<(usize, u64, Time, Time)>,
}

impl Repeats {
    /// When this was first delivered: now, unless it is one that comes again.
    pub fn first(&mut self, digest: u64, now: Time) -> Time {
        self.expected.remove(&digest).filter(|(_, until)| *until > now).map_or(now, |(first, _)| first)
    }

    /// It was answered on this line.
    pub fn answered(&mut self, line: usize, digest: u64, first: Time, now: Time) {
        while self.recent.front().is_some_and(|(.., at)| now.since(*at) > JUST_BEFORE) {
            self.recent.pop_front();
        }
        self.recent.push_back((line, digest, first, now));
    }

    /// A connection is gone, with these deliveries not answered.
    pub fn closed(&mut self, line: usize, unanswered: impl Iterator<Item = (u64, Time)>, now: Time) {
        self.expected.retain(|_, (_, until)| *until > now);
        let just_answered = self.recent.iter().filter(|(l, .., at)| *l == line && now.since(*at) <= JUST_BEFORE);
        self.expected.extend(just_answered.map(|(_, digest, first, _)| (*digest, (*first, now.plus(ANSWERED_FOR)))));
        self.expected.extend(unanswered.map(|(digest, first)| (digest, (first, now.plus(UNANSWERED_FOR)))));
        self.recent.retain(|(l, ..)| *l != line);
    }
}

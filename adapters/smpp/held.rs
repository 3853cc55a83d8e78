//! Parts of long messages to us, kept until all of them are there or nobody waits any more. What is kept here is remembered
//! durably before its part is acknowledged.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::pdu::{Pdu, Sm};
use super::words::Concat;
use crate::contract::Time;
use crate::kit::crypto;

/// Parts kept at a time; the oldest message is given up when there are more.
const MOST: usize = 2000;
/// Parts of messages that are through, by which a repeated one is known.
const THROUGH: usize = 2000;

/// What makes parts one message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whose {
    source: String,
    destination: String,
    reference: u16,
    way: u8,
    total: u8,
}

/// A message of which parts are missing.
#[derive(Clone, Debug)]
struct Group {
    /// When it began to come: part of its name.
    since: Time,
    /// From when on its missing parts are waited for; `None` until the process that recalled it knows the time.
    waits_from: Option<Time>,
    parts: BTreeMap<u8, Vec<u8>>,
    /// It is on its way into the log.
    leaving: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Held {
    groups: BTreeMap<Whose, Group>,
    through: VecDeque<u64>,
}

/// What becomes of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It waits for the others.
    Kept,
    /// It was the last one: the units of all, in order.
    Whole(Whose, Vec<u8>),
    /// It is in a message that is on its way into the log already.
    Leaving(Whose),
    /// It was in a message that is in the log.
    Through,
}

/// A part as it is remembered.
#[derive(Serialize, Deserialize)]
struct Kept {
    since: i64,
    unit: String,
}

impl Held {
    /// What was remembered of an earlier process.
    pub fn recall(memory: &[u8]) -> Self {
        let mut held = Self::default();
        let kept: Vec<Kept> = serde_json::from_slice(memory).unwrap_or_default();
        for part in kept {
            let Some(octets) = crypto::unbase64(&part.unit) else { continue };
            let Some(unit) = Pdu::read(&octets) else { continue };
            let Some(sm) = Sm::read(unit.command, unit.body) else { continue };
            if let Some(place) = super::words::part_of(&sm) {
                let whose = held.keep(&sm, place, &unit, Time(part.since));
                held.groups.entry(whose).and_modify(|group| group.waits_from = None);
            }
        }
        held
    }

    /// What was recalled waits from now on.
    pub fn begin(&mut self, now: Time) {
        for group in self.groups.values_mut() {
            group.waits_from.get_or_insert(now);
        }
    }

    /// All that must be there after a crash.
    pub fn memory(&self) -> Vec<u8> {
        let kept: Vec<Kept> = self
            .groups
            .values()
            .flat_map(|group| group.parts.values().map(|unit| Kept { since: group.since.0, unit: crypto::base64(unit) }))
            .collect();
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Takes a part.
    pub fn place(&mut self, sm: &Sm<'_>, place: Concat, unit: &Pdu<'_>, now: Time) -> Placed {
        if self.through.contains(&digest(unit)) {
            return Placed::Through;
        }
        let whose = self.keep(sm, place, unit, now);
        let Some(group) = self.groups.get_mut(&whose) else { return Placed::Kept };
        match group.leaving {
            true => Placed::Leaving(whose),
            false if group.parts.len() == usize::from(whose.total) => {
                group.leaving = true;
                let units = group.parts.values().flatten().copied().collect();
                Placed::Whole(whose, units)
            }
            false => Placed::Kept,
        }
    }

    fn keep(&mut self, sm: &Sm<'_>, place: Concat, unit: &Pdu<'_>, since: Time) -> Whose {
        let whose = Whose {
            source: sm.source.digits.clone(),
            destination: sm.destination.digits.clone(),
            reference: place.reference,
            way: place.way,
            total: place.total,
        };
        let group = self.groups.entry(whose.clone()).or_insert_with(|| Group {
            since,
            waits_from: Some(since),
            parts: BTreeMap::new(),
            leaving: false,
        });
        group.parts.entry(place.number).or_insert_with(|| unit.whole.to_vec());
        whose
    }

    /// Messages for whose other parts nobody waits any more: their units, to go as they are.
    pub fn give_up(&mut self, before: Time) -> Vec<(Whose, Vec<u8>)> {
        let held: usize = self.groups.values().map(|group| group.parts.len()).sum();
        let oldest = self.groups.values().filter(|g| !g.leaving).map(|g| g.since).min().filter(|_| held > MOST);
        let due = |group: &Group| !group.leaving && (group.waits_from.is_some_and(|from| from <= before) || Some(group.since) == oldest);
        let mut given = Vec::new();
        for (whose, group) in self.groups.iter_mut().filter(|(_, group)| due(group)) {
            group.leaving = true;
            given.push((whose.clone(), group.parts.values().flatten().copied().collect()));
        }
        given
    }

    /// When the first message is given up that waits so long.
    pub fn next(&self, wait_ms: i64) -> Option<Time> {
        self.groups.values().filter(|group| !group.leaving).filter_map(|group| Some(group.waits_from?.plus(wait_ms))).min()
    }

    /// When a message began to come, which names it.
    pub fn since(&self, whose: &Whose) -> Option<Time> {
        self.groups.get(whose).map(|group| group.since)
    }

    /// A message is in the log: its parts may be forgotten, and are known when they come again.
    pub fn done(&mut self, whose: &Whose) {
        let Some(group) = self.groups.remove(whose) else { return };
        self.through.extend(group.parts.values().filter_map(|unit| Pdu::read(unit)).map(|unit| digest(&unit)));
        while self.through.len() > THROUGH {
            self.through.pop_front();
        }
    }

    /// A message could not be stored; it is as if its parts were waited for from this time on.
    pub fn not_done(&mut self, whose: &Whose, from: Time) {
        if let Some(group) = self.groups.get_mut(whose) {
            (group.leaving, group.waits_from) = (false, Some(from));
        }
    }
}

/// What is the same when a unit is delivered again.
pub(super) fn digest(unit: &Pdu<'_>) -> u64 {
    let hash = crypto::sha256(unit.body);
    hash[..8].iter().fold(0, |n, octet| n << 8 | u64::from(*octet))
}

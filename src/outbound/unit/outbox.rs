//! What the unit appends, gathered for a moment, so that one append serves many messages.
//!
//! The first record after a quiet time leaves at once; under load one append leaves every [`GATHER`].

use super::*;
use crate::log::{Durability, Record};

/// Between two appends, in microseconds.
const GATHER: Micros = 2000;
/// An append is not made larger by waiting.
const FULL: usize = 1024;
/// How long an append that failed waits before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// What some records of an append are for.
enum Purpose {
    /// One `sending` record: confirmed or not, it is not tried again.
    Confirm(Number),
    /// Tried until it is durable.
    Persist(Written),
}

#[derive(Default)]
pub(super) struct Outbox {
    records: Vec<Record>,
    /// How many records each purpose has, in their order.
    purposes: Vec<(usize, Purpose)>,
    left_at: Micros,
    /// What is not durable yet: purposes of ours, and writes to the store.
    pub(super) pending: Arc<std::sync::atomic::AtomicUsize>,
}

impl Unit {
    /// Appends a `sending` record; what came of it arrives as [`Event::Confirmed`].
    pub(super) fn append_sending(&mut self, number: Number, record: Record) {
        self.outbox.records.push(record);
        self.outbox.purposes.push((1, Purpose::Confirm(number)));
    }

    /// Appends until all of it is durable, then reports. What is durable already is not appended again.
    pub(super) fn persist(&mut self, records: Vec<Record>, then: Written) {
        self.outbox.pending.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.outbox.purposes.push((records.len(), Purpose::Persist(then)));
        self.outbox.records.extend(records);
    }

    /// Whether something is not durable yet.
    pub(super) fn is_writing(&self) -> bool {
        self.outbox.pending.load(std::sync::atomic::Ordering::Relaxed) > 0
    }

    /// Appends what has gathered when it is time; answers when to ask again.
    pub(super) fn flush(&mut self, now: Micros) -> Option<Micros> {
        if self.outbox.purposes.is_empty() {
            return None;
        }
        let due = self.outbox.left_at + GATHER;
        if now < due && self.outbox.records.len() < FULL {
            return Some(due);
        }
        self.outbox.left_at = now;
        let (records, purposes) = (std::mem::take(&mut self.outbox.records), std::mem::take(&mut self.outbox.purposes));
        let first = self.parts.log.append(records.clone(), Durability::Log);
        let (log, events, pending) = (Arc::clone(&self.parts.log), self.events.clone(), Arc::clone(&self.outbox.pending));
        tokio::spawn(async move {
            let mut outcomes = first.await.into_iter();
            let mut records = records.into_iter();
            let (mut confirmed, mut written, mut failed) = (Vec::new(), Vec::new(), Vec::new());
            for (count, purpose) in purposes {
                let (records, outcomes): (Vec<Record>, Vec<Outcome>) =
                    (records.by_ref().take(count).collect(), outcomes.by_ref().take(count).collect());
                match purpose {
                    Purpose::Confirm(number) => confirmed.extend(outcomes.into_iter().map(|outcome| (number, outcome))),
                    Purpose::Persist(then) => {
                        let left: Vec<Record> = not_durable(records, &outcomes);
                        if left.is_empty() { written.push(then) } else { failed.push((left, then)) }
                    }
                }
            }
            let _ = events.send(Event::Confirmed(confirmed));
            report(&events, &pending, written);
            // Each by itself: one that the log will never take holds back no other.
            for (mut left, then) in failed {
                let (log, events, pending) = (Arc::clone(&log), events.clone(), Arc::clone(&pending));
                tokio::spawn(async move {
                    while !left.is_empty() {
                        tokio::time::sleep(AGAIN).await;
                        let outcomes = log.append(left.clone(), Durability::Log).await;
                        left = not_durable(left, &outcomes);
                    }
                    report(&events, &pending, vec![then]);
                });
            }
        });
        None
    }
}

fn report(events: &mpsc::UnboundedSender<Event>, pending: &std::sync::atomic::AtomicUsize, written: Vec<Written>) {
    pending.fetch_sub(written.len(), std::sync::atomic::Ordering::Relaxed);
    let _ = events.send(Event::Written(written));
}

fn not_durable(records: Vec<Record>, outcomes: &[Outcome]) -> Vec<Record> {
    records.into_iter().zip(outcomes).filter(|(_, o)| !o.is_durable()).map(|(r, _)| r).collect()
}

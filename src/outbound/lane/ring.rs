//! The conversations of a lane whose head may go, in an order that is fair between shares (campaigns, and all else together).
//!
//! Start-time fair queueing: each share has a virtual time that grows by the cost of what it took; the share that is least far on
//! goes next. One that comes later, or comes back, begins where the others are: it neither catches up for its absence nor loses
//! what it owes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Shares whose time is remembered although none of theirs waits.
const REMEMBERED: usize = 1024;

/// A conversation that waits for its turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Which.
    pub conversation: Arc<str>,
    /// The ticket of its queue.
    pub ticket: u64,
    /// What its head costs.
    pub cost: u32,
}

/// Conversations in the order of their turns.
#[derive(Default)]
pub(super) struct Ring {
    waiting: HashMap<Arc<str>, VecDeque<Waiting>>,
    /// Shares by virtual time, then by who came first.
    order: BTreeSet<(u64, u64, Arc<str>)>,
    /// The virtual time of shares that were here.
    times: HashMap<Arc<str>, u64>,
    now: u64,
    turns: u64,
}

impl Ring {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn push(&mut self, share: &Arc<str>, waiting: Waiting) {
        if let Some(queue) = self.waiting.get_mut(share) {
            return queue.push_back(waiting);
        }
        self.waiting.insert(Arc::clone(share), [waiting].into());
        let time = self.times.get(share).copied().unwrap_or(0).max(self.now);
        self.wait(Arc::clone(share), time);
    }

    /// The next conversation, which takes its share's turn.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let (time, _, share) = self.order.pop_first()?;
        self.now = time;
        let queue = self.waiting.get_mut(&share)?;
        let next = queue.pop_front();
        let time = time + next.as_ref().map_or(0, |n| u64::from(n.cost.max(1)));
        if !queue.is_empty() {
            self.wait(share, time);
            return next;
        }
        self.waiting.remove(&share);
        if self.times.len() >= REMEMBERED {
            let now = self.now;
            self.times.retain(|_, time| *time > now);
        }
        self.times.insert(share, time);
        next
    }

    fn wait(&mut self, share: Arc<str>, time: u64) {
        self.turns += 1;
        self.order.insert((time, self.turns, share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &mut Ring, share: &str, count: u64, cost: u32) {
        for ticket in 0..count {
            ring.push(&share.into(), Waiting { conversation: share.into(), ticket, cost });
        }
    }

    fn taken(ring: &mut Ring, turns: usize) -> HashMap<String, u32> {
        let mut taken = HashMap::new();
        for waiting in std::iter::from_fn(|| ring.pop()).take(turns) {
            *taken.entry(waiting.conversation.to_string()).or_default() += waiting.cost;
        }
        taken
    }

    #[test]
    fn shares_take_turns_by_what_they_cost() {
        let mut ring = Ring::default();
        push(&mut ring, "long", 1000, 1);
        push(&mut ring, "costly", 1000, 4);
        push(&mut ring, "late", 1000, 1);
        let first = taken(&mut ring, 900);
        for share in ["long", "costly", "late"] {
            assert!((396..=404).contains(&first[share]), "{first:?}");
        }
    }

    #[test]
    fn who_comes_back_neither_catches_up_nor_goes_first_every_time() {
        let mut ring = Ring::default();
        push(&mut ring, "steady", 1000, 1);
        taken(&mut ring, 500);
        push(&mut ring, "late", 100, 1);
        assert_eq!(taken(&mut ring, 100)["late"], 50);
        // One dear message at a time: each comes back only after the others had as much.
        let mut dear = 0;
        for _ in 0..100 {
            if !ring.waiting.contains_key("dear") {
                push(&mut ring, "dear", 1, 10);
            }
            dear += u32::from(ring.pop().is_some_and(|w| w.cost == 10));
        }
        assert!((5..=8).contains(&dear), "{dear}");
    }

    #[test]
    fn one_share_is_first_in_first_out() {
        let mut ring = Ring::default();
        push(&mut ring, "", 5, 3);
        let tickets: Vec<u64> = std::iter::from_fn(|| ring.pop()).map(|w| w.ticket).collect();
        assert_eq!(tickets, [0, 1, 2, 3, 4]);
        assert!(ring.is_empty());
    }
}

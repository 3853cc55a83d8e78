//! The conversations of a lane whose head may go, in an order that is fair between shares (campaigns, and all else together).
//!
//! Start-time fair queueing: each share has a virtual time that grows by the cost of what it took; the share that is least far on
//! goes next. One that comes later, or comes back, begins where the others are: it neither catches up for its absence nor loses
//! what it owes.

use std::collections::VecDeque;
use std::sync::Arc;

/// Shares beyond which those are forgotten that owe nothing.
const REMEMBERED: usize = 64;

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

struct Share {
    name: Arc<str>,
    /// How far it is.
    time: u64,
    /// Who has waited longest goes first among those who are as far.
    turn: u64,
    waiting: VecDeque<Waiting>,
}

/// Conversations in the order of their turns. Shares are few, most often one, so they are looked through.
#[derive(Default)]
pub(super) struct Ring {
    shares: Vec<Share>,
    waiting: usize,
    now: u64,
    turns: u64,
}

impl Ring {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn push(&mut self, share: &Arc<str>, waiting: Waiting) {
        let at = match self.shares.iter().position(|s| s.name == *share) {
            Some(at) => at,
            None => self.add(share),
        };
        let share = &mut self.shares[at];
        if share.waiting.is_empty() {
            self.turns += 1;
            (share.time, share.turn) = (share.time.max(self.now), self.turns);
        }
        share.waiting.push_back(waiting);
        self.waiting += 1;
    }

    fn add(&mut self, name: &Arc<str>) -> usize {
        if self.shares.len() >= REMEMBERED {
            let now = self.now;
            self.shares.retain(|s| !s.waiting.is_empty() || s.time > now);
        }
        self.shares.push(Share { name: Arc::clone(name), time: self.now, turn: 0, waiting: VecDeque::new() });
        self.shares.len() - 1
    }

    /// The next conversation, which takes its share's turn.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let share = self.shares.iter_mut().filter(|s| !s.waiting.is_empty()).min_by_key(|s| (s.time, s.turn))?;
        let next = share.waiting.pop_front()?;
        self.turns += 1;
        self.now = share.time;
        share.turn = self.turns;
        share.time += u64::from(next.cost.max(1));
        self.waiting -= 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

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
            if ring.shares.iter().all(|s| &*s.name != "dear" || s.waiting.is_empty()) {
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

//! How far a shard's events are in the log. Nothing acknowledges a single event: all there is to say is a number up to which everything
//! is there, and it may name only what is durable.

use std::collections::BTreeMap;

/// How it stands with one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is on its way into the log.
    Under,
    /// It is there, or nobody needs it.
    Done,
    /// It could not be stored: it must come again.
    Missed,
}

/// How far a shard's events are.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// All events up to this one are durable.
    durable: u64,
    after: BTreeMap<u64, Way>,
}

impl Progress {
    /// Everything up to this number is there.
    pub fn from(durable: u64) -> Self {
        Self { durable, after: BTreeMap::new() }
    }

    /// All events up to this number are durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// How many events are known beyond that.
    pub fn ahead(&self) -> usize {
        self.after.len()
    }

    /// An event came, perhaps again: whether it has to go into the log.
    pub fn came(&mut self, number: u64) -> bool {
        if number <= self.durable || self.after.get(&number).is_some_and(|way| *way != Way::Missed) {
            return false;
        }
        self.after.insert(number, Way::Under);
        true
    }

    /// It is in the log, or nobody needs it there; or it could not be stored.
    pub fn went(&mut self, number: u64, durable: bool) {
        if let Some(way) = self.after.get_mut(&number) {
            *way = if durable { Way::Done } else { Way::Missed };
        }
        while let Some(first) = self.after.first_entry().filter(|first| *first.get() == Way::Done) {
            self.durable = first.remove_entry().0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_durable_without_a_gap_counts() {
        let mut progress = Progress::from(1);
        assert!((2..=5).all(|number| progress.came(number)) && !progress.came(1) && !progress.came(3));
        progress.went(3, true);
        assert_eq!(progress.durable(), 1);
        progress.went(2, true);
        assert_eq!(progress.durable(), 3);
        progress.went(4, false);
        progress.went(5, true);
        assert_eq!((progress.durable(), progress.ahead()), (3, 2), "4 is missing");
        assert!(!progress.came(3) && progress.came(4) && !progress.came(5), "only what was missed is taken again");
        progress.went(4, true);
        assert_eq!((progress.durable(), progress.ahead()), (5, 0));
    }
}

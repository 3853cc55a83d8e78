//! How far the unit is: which offsets are settled, and from where a new owner must read.

use super::*;
use crate::log::{Durability, Positions};

/// Offsets read and not yet settled, of the three lanes and the orders, with the ledger offset that first speaks of each.
pub(super) struct Progress {
    lanes: [Lane; 3],
    orders: Lane,
    /// Rows of the schedule that were settled but not yet deleted.
    rows: BTreeMap<MessageId, u64>,
    /// The end of the ledger as far as we know it.
    end: u64,
    /// From where the ledger was needed of late, and since when.
    trail: VecDeque<(Micros, u64)>,
    written: Option<([u64; 3], u64, u64)>,
    under_way: bool,
    old: VecDeque<(Time, [u64; 3], u64, u64)>,
}

/// What a tenure was told is taken up within this; until then its checkpoints let go of none of it.
const TAKEN_UP: Micros = 60_000_000;

struct Lane {
    next: u64,
    /// Offset to first ledger offset (`u64::MAX`: the ledger does not speak of it).
    open: BTreeMap<u64, u64>,
    /// Settled, but above the lowest open one.
    above: BTreeMap<u64, u64>,
}

impl Lane {
    fn low(&self) -> u64 {
        self.open.keys().next().copied().unwrap_or(self.next)
    }

    fn done(&mut self, offset: u64) {
        if let Some(first) = self.open.remove(&offset) {
            self.above.insert(offset, first);
        }
        let low = self.low();
        self.above = self.above.split_off(&low);
    }

    fn first(&self) -> u64 {
        self.open.values().chain(self.above.values()).copied().min().unwrap_or(u64::MAX)
    }
}

impl Progress {
    /// A tenure begins: it was told what the ledger says from `told_from` up to `end`.
    pub(super) fn new(lanes: [u64; 3], orders: u64, told_from: u64, end: u64) -> Self {
        let lane = |next| Lane { next, open: BTreeMap::new(), above: BTreeMap::new() };
        Self {
            lanes: lanes.map(lane),
            orders: lane(orders),
            rows: BTreeMap::new(),
            end,
            trail: [(clock::steady(), told_from)].into(),
            written: None,
            under_way: false,
            old: VecDeque::new(),
        }
    }

    /// A lane record was read; false when it was read before.
    pub(super) fn read(&mut self, lane: usize, offset: u64) -> bool {
        Self::open(&mut self.lanes[lane], offset)
    }

    /// An order was read; false when it was read before.
    pub(super) fn read_order(&mut self, offset: u64) -> bool {
        Self::open(&mut self.orders, offset)
    }

    fn open(lane: &mut Lane, offset: u64) -> bool {
        if offset < lane.next {
            return false;
        }
        lane.next = offset + 1;
        lane.open.insert(offset, u64::MAX);
        true
    }

    pub(super) fn done(&mut self, lane: usize, offset: u64) {
        self.lanes[lane].done(offset);
    }

    pub(super) fn done_order(&mut self, offset: u64) {
        self.orders.done(offset);
    }

    /// The ledger speaks of a lane record from this offset on (0: it does not).
    pub(super) fn told(&mut self, lane: usize, offset: u64, first: u64) {
        if first > 0
            && let Some(known) = self.lanes[lane].open.get_mut(&offset)
        {
            *known = (*known).min(first);
        }
    }

    /// The ledger speaks of a schedule row until it is deleted.
    pub(super) fn told_row(&mut self, id: MessageId, first: u64) {
        self.rows.entry(id).or_insert(first);
    }

    pub(super) fn row_gone(&mut self, id: MessageId) {
        self.rows.remove(&id);
    }

    pub(super) fn lane_next(&self, lane: usize) -> u64 {
        self.lanes[lane].next
    }

    pub(super) fn orders_next(&self) -> u64 {
        self.orders.next
    }

    /// The ledger reaches at least this far.
    pub(super) fn ledger_at(&mut self, offset: u64) {
        self.end = self.end.max(offset + 1);
    }

    fn now(&self) -> ([u64; 3], u64, u64) {
        let lanes = [self.lanes[0].low(), self.lanes[1].low(), self.lanes[2].low()];
        let ledger = self.lanes.iter().map(Lane::first).chain(self.rows.values().copied()).min().unwrap_or(u64::MAX).min(self.end);
        (lanes, self.orders.low(), ledger)
    }

    /// From where a next owner is to read the ledger: where it was needed a minute ago. What a tenure was told of messages whose
    /// lane records it has not read yet is needed too, and a second crash may come before it has.
    fn reads_from(&mut self, needed: u64, now: Micros) -> u64 {
        self.trail.push_back((now, needed));
        while self.trail.get(1).is_some_and(|(at, _)| now - at >= TAKEN_UP) {
            self.trail.pop_front();
        }
        self.trail.iter().map(|(_, at)| *at).min().unwrap_or(needed)
    }
}

impl Unit {
    /// Writes a checkpoint when something has moved.
    pub(super) fn checkpoint(&mut self) {
        let now = self.progress.now();
        if self.progress.under_way {
            return;
        }
        if self.progress.written == Some(now) {
            return self.let_go_of_old();
        }
        self.progress.under_way = true;
        self.progress.written = Some(now);
        let (lanes, orders, needed) = now;
        let place = (lanes, orders, self.progress.reads_from(needed, clock::steady()));
        let (parts, events) = (Arc::clone(&self.parts), self.events.clone());
        let (unit, tenure) = (self.unit, self.tenure);
        tokio::spawn(async move {
            let offset = write(&*parts.log, unit, tenure, place).await;
            let _ = events.send(Event::Written(vec![Written::Checkpoint(offset)]));
        });
    }

    pub(super) fn checkpointed(&mut self, offset: u64) {
        self.progress.under_way = false;
        if offset == 0 {
            self.progress.written = None; // It failed: the next second tries again.
            return;
        }
        // It does not count as something that moved, or an idle unit would write one every second.
        self.let_go_of_old();
    }

    /// The last word of a graceful stop.
    pub(super) async fn last_checkpoint(&mut self) {
        let now = self.progress.now();
        if self.progress.written != Some(now) {
            let (lanes, orders, needed) = now;
            let place = (lanes, orders, self.progress.reads_from(needed, clock::steady()));
            write(&*self.parts.log, self.unit, self.tenure, place).await;
        }
    }

    /// Deletes what lies a day behind the checkpoint.
    fn let_go_of_old(&mut self) {
        const EVERY: i64 = 600_000;
        const DAY: i64 = 86_400_000;
        let now = clock::now();
        let (lanes, orders, ledger) = self.progress.now();
        if self.progress.old.back().is_none_or(|(at, ..)| now.since(*at) > EVERY) {
            self.progress.old.push_back((now, lanes, orders, ledger));
        }
        while self.progress.old.front().is_some_and(|(at, ..)| now.since(*at) > DAY) {
            let Some((_, lanes, orders, ledger)) = self.progress.old.pop_front() else { break };
            let topics = [
                (Topic::OutUrgent, lanes[0]),
                (Topic::OutNormal, lanes[1]),
                (Topic::OutBulk, lanes[2]),
                (Topic::Orders, orders),
                (Topic::Ledger, ledger),
            ];
            for (topic, offset) in topics {
                self.parts.log.trim(Position { topic, partition: self.unit, offset });
            }
        }
    }
}

/// Appends a checkpoint and points the committed offset at it; its offset, or 0 when it failed.
async fn write(log: &dyn EventLog, unit: u32, tenure: u64, (lanes, orders, ledger): ([u64; 3], u64, u64)) -> u64 {
    let entry = ledger::Entry::Checkpoint { at: clock::now(), lanes, orders, ledger };
    let outcomes = log.append(vec![entry.record(unit, tenure)], Durability::Log).await;
    let Some(Outcome::Durable(Some(offset))) = outcomes.first() else { return 0 };
    match log.commit(&format!("ledger/{unit}"), Positions::from([(unit, *offset)])).await {
        Ok(()) => *offset,
        Err(e) => {
            tracing::warn!(unit, error = %e, "a checkpoint could not be committed");
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_holds_both_positions_back() {
        let mut progress = Progress::new([0; 3], 0, 100, 100);
        for offset in [3, 5, 9] {
            assert!(progress.read(1, offset));
        }
        assert!(!progress.read(1, 5));
        progress.told(1, 5, 40);
        progress.done(1, 5);
        assert_eq!(progress.now(), ([0, 3, 0], 0, 40), "5 is settled, but above 3, so its ledger records are still needed");
        progress.told(1, 3, 60);
        progress.done(1, 3);
        assert_eq!(progress.now(), ([0, 9, 0], 0, 100));
        progress.told_row(MessageId::random(1), 70);
        assert_eq!(progress.now().2, 70);
    }

    #[test]
    fn what_a_tenure_was_told_is_kept_for_a_minute() {
        let mut progress = Progress::new([0; 3], 0, 40, 100);
        let start = progress.trail[0].0;
        assert_eq!(progress.reads_from(100, start + 1_000_000), 40, "it may not have been taken up yet");
        assert_eq!(progress.reads_from(130, start + 59_000_000), 40);
        assert_eq!(progress.reads_from(150, start + 62_000_000), 100, "as of a minute ago");
        assert_eq!(progress.reads_from(90, start + 63_000_000), 90, "never behind what is needed now");
    }
}

//! The schedule as its owner sees it: what of it is due soon is at hand when its time comes, the rest lies in the store.
//!
//! ```text
//!   store ──loaded up to two seconds ahead──▶ ahead ──its time, and room──▶ window ──settled──▶ deleted
//! ```
//!
//! Rows are found by (due, number) behind a cursor, so that a look costs the same whatever else is pending. At hand are so few that
//! a million which are due at once need no more memory than a thousand.

use super::*;
use crate::store::Postponed;

/// Rows of a channel and lane loaded at a time. While so many are at hand, no more are.
const LOAD: usize = 1024;
/// How far ahead of their time rows are loaded, in milliseconds.
const AHEAD: i64 = 2000;
/// How often the store is looked at for rows that are due within [`AHEAD`], in milliseconds.
const LOOK: i64 = 1000;
/// How long rows whose time has come wait for room in a full window before it is looked at again, in milliseconds.
const ROOM: i64 = 10;
/// Rows deleted in one write.
const DELETE: usize = 2000;

/// What of a conversation and lane lies in the schedule, or is on its way there, and holds back what comes behind.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) count: u64,
    /// The latest due time.
    pub(super) latest: Time,
    /// The lowest and the highest position there ever were.
    pub(super) positions: (u64, u64),
    /// The position of what went back last, until it is let in: what lies behind it was postponed, and may be at hand already.
    pub(super) back: Option<u64>,
}

/// What of the unit lies in the schedule.
#[derive(Default)]
pub(super) struct Schedule {
    pub(super) lanes: HashMap<(Arc<str>, Priority), Rows>,
    pub(super) held: HashMap<(Arc<str>, Priority), Held>,
    /// Positions in the lanes, of those that are read again, of what had a row when this tenure began: it comes from there.
    pub(super) places: [Vec<u64>; 3],
    /// Owners before us have read the lanes up to here: what they held in the window comes again from the lanes, and before the
    /// rows behind it.
    pub(super) read_to: [u64; 3],
    /// Rows in the window.
    pub(super) loaded: HashSet<MessageId>,
    /// Rows to be written, in this order, with what each of them postpones.
    pub(super) unwritten: VecDeque<(Number, Row, Option<Postponed>)>,
    pub(super) writing: bool,
    /// Settled rows to delete, with their round.
    gone: Vec<(MessageId, u16)>,
    deleting: bool,
    /// How many looks at the store are under way.
    looks: usize,
    /// Rows that were written or deleted while one was: what it finds below these rounds is old.
    changed: HashMap<MessageId, u16>,
    /// Nothing is to be done before.
    wake: Option<Time>,
}

/// What of a channel and lane lies there.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) count: u64,
    /// The earliest due time that the store may hold behind the cursor.
    pub(super) next: Option<Time>,
    pub(super) cursor: Cursor,
    /// A look at the store is under way.
    looking: bool,
    /// Behind this a row was written meanwhile, which the look may have missed.
    missed: Option<i64>,
    /// Rows that stand there because the channel was full or held: new messages queue behind them.
    pub(super) overflow: u64,
    ahead: Ahead,
}

/// Rows that were loaded before their time, each once.
#[derive(Default)]
struct Ahead {
    rows: BTreeMap<Cursor, Row>,
    places: HashMap<MessageId, Cursor>,
}

impl Ahead {
    /// One that was postponed since it was loaded stands at its new time alone.
    fn put(&mut self, cursor: Cursor, row: Row) {
        self.take(row.id);
        self.places.insert(row.id, cursor);
        self.rows.insert(cursor, row);
    }

    fn take(&mut self, id: MessageId) -> Option<Row> {
        self.rows.remove(&self.places.remove(&id)?)
    }

    fn take_due(&mut self, now: Time) -> Option<(Cursor, Row)> {
        let first = self.rows.first_entry().filter(|first| first.key().0 <= now.0)?;
        let (cursor, row) = first.remove_entry();
        self.places.remove(&row.id);
        Some((cursor, row))
    }

    fn first(&self) -> Option<Time> {
        self.rows.first_key_value().map(|((at, _), _)| Time(*at))
    }
}

impl Rows {
    /// So many, of which a start knows no more than the first due time.
    pub(super) fn new(count: u64, first: Time, now: Time) -> Self {
        let overflow = if first <= now { count } else { 0 };
        Self { count, next: Some(first), cursor: (i64::MIN, 0), overflow, ..Self::default() }
    }
}

impl Schedule {
    pub(super) fn count(&self, channel: &str) -> u64 {
        self.lanes.iter().filter(|((c, _), _)| &**c == channel).map(|(_, r)| r.count).sum()
    }

    pub(super) fn has(&self, id: MessageId) -> bool {
        self.loaded.contains(&id)
    }

    pub(super) fn add(&mut self, row: &Row) {
        self.wake = self.wake.map(|at| at.min(row.due.plus(-AHEAD)));
        if self.looks > 0 {
            self.changed.insert(row.id, row.round);
        }
        let rows = self.lanes.entry((row.channel.as_str().into(), row.lane)).or_default();
        rows.count += 1;
        rows.next = Some(rows.next.map_or(row.due, |n| n.min(row.due)));
        // What is at hand of it is as it was before. And after a restart rows have their old times: one with an earlier time than
        // what was loaded already would never be seen, so the loader goes back. What it meets twice it knows.
        rows.ahead.take(row.id);
        let before = row.due.0.saturating_sub(1);
        rows.cursor = rows.cursor.min((before, i64::MAX));
        if rows.looking {
            rows.missed = Some(rows.missed.map_or(before, |at| at.min(before)));
        }
    }

    /// A message goes to the schedule and holds what comes behind it in its conversation: when it is due, and whether what lies
    /// behind it already must be postponed.
    pub(super) fn hold(&mut self, entry: &lane::Entry, position: u64, due: Time) -> (Time, bool) {
        let held = self.held.entry((Arc::clone(&entry.conversation), entry.lane)).or_insert_with(|| Held {
            count: 0,
            latest: due,
            positions: (position, position),
            back: None,
        });
        let due = if held.positions.0 < position { due.max(held.latest.plus(1)) } else { due };
        let postpones = held.positions.1 > position;
        held.count += 1;
        held.positions = (held.positions.0.min(position), held.positions.1.max(position));
        // Each of those behind goes a millisecond after the one before it.
        held.latest = held.latest.max(if postpones { due.plus(held.count as i64) } else { due });
        if postpones {
            held.back = Some(position);
        }
        (due, postpones)
    }

    pub(super) fn release(&mut self, row: &Row) {
        let key = (Arc::from(row.conversation.as_str()), row.lane);
        let Some(held) = self.held.get_mut(&key).filter(|_| !row.scheduled) else { return };
        held.count = held.count.saturating_sub(1);
        if held.back == Some(row.position) {
            held.back = None;
        }
        if held.count == 0 {
            self.held.remove(&key);
        }
    }

    /// Whether something that was accepted before it lies there: a row was at hand already when that went back.
    pub(super) fn is_before(&self, entry: &lane::Entry, source: Source) -> bool {
        let held = self.held.get(&(Arc::clone(&entry.conversation), entry.lane));
        held.is_some_and(|held| match source {
            Source::Lane(position) => held.positions.0 < position,
            Source::Schedule { position, .. } => held.back.is_some_and(|back| back < position),
        })
    }

    /// Whether what stands there in a lane had a row when this tenure began.
    pub(super) fn has_row(&self, lane: Priority, position: u64) -> bool {
        self.places[feed::lane_index(lane)].binary_search(&position).is_ok()
    }

    /// A row that enters the window before it is due.
    pub(super) fn loaded_early(&mut self, row: &Row) {
        self.loaded.insert(row.id);
        if let Some(rows) = self.lanes.get_mut(&(Arc::from(row.channel.as_str()), row.lane)) {
            rows.count = rows.count.saturating_sub(1);
            rows.ahead.take(row.id);
        }
        self.release(row);
    }

    pub(super) fn settled(&mut self, id: MessageId, round: u16) {
        self.gone.push((id, round));
    }

    /// Takes what a look at the store has found; `next` is when there may be more.
    fn found(&mut self, channel: &Arc<str>, lane: Priority, found: Vec<(Cursor, Row)>, next: Time) {
        self.wake = None;
        if let Some(rows) = self.lanes.get_mut(&(Arc::clone(channel), lane)) {
            rows.looking = false;
            for (cursor, row) in found {
                rows.cursor = rows.cursor.max(cursor);
                if !self.loaded.contains(&row.id) && self.changed.get(&row.id).is_none_or(|round| *round <= row.round) {
                    rows.ahead.put(cursor, row);
                }
            }
            rows.next = Some(next);
            if let Some(missed) = rows.missed.take() {
                rows.cursor = rows.cursor.min((missed, i64::MAX));
                rows.next = Some(next.min(Time(missed)));
            }
        }
        self.looks -= 1;
        if self.looks == 0 {
            self.changed.clear();
        }
    }
}

impl Unit {
    /// Lets rows whose time has come into the window, as far as it has room, and looks for the next; when to come again.
    pub(super) fn take_due(&mut self) -> Option<Micros> {
        let now = clock::now();
        if let Some(wake) = self.schedule.wake.filter(|wake| *wake > now) {
            return (wake.0 < i64::MAX).then(|| clock::steady_at(wake));
        }
        let lanes: Vec<(Arc<str>, Priority)> = self.schedule.lanes.keys().cloned().collect();
        let soonest = lanes.into_iter().filter_map(|(channel, lane)| self.take_due_of(&channel, lane, now)).min();
        self.schedule.wake = Some(soonest.unwrap_or(Time(i64::MAX)));
        soonest.map(clock::steady_at)
    }

    /// The same again at once, though nothing was to be done: what held a lane may hold it no more.
    pub(super) fn take_due_again(&mut self) {
        self.schedule.wake = None;
        self.take_due();
    }

    fn take_due_of(&mut self, channel: &Arc<str>, lane: Priority, now: Time) -> Option<Time> {
        if self.lanes.held_until(channel, lane).is_some_and(|until| until > clock::steady() + land::PARK_AFTER) {
            return None;
        }
        // What owners before us had in the window is let in first.
        let index = feed::lane_index(lane);
        if self.progress.lane_next(index) < self.schedule.read_to[index] {
            return Some(now.plus(ROOM));
        }
        let room = self.share(channel).saturating_sub(self.depth(channel, lane));
        let rows = self.schedule.lanes.get_mut(&(Arc::clone(channel), lane))?;
        let mut due = Vec::new();
        while due.len() < room
            && let Some(first) = rows.ahead.take_due(now)
        {
            due.push(first);
        }
        if rows.ahead.first().is_none() && !rows.looking && rows.next.is_none_or(|next| next > now) {
            rows.overflow = 0;
        }
        for (cursor, row) in due {
            let waits = !row.scheduled && self.behind.waits((Accepted::conversation_hash(&row.conversation), index));
            if !waits {
                self.let_in(channel, lane, row);
            } else if let Some(rows) = self.schedule.lanes.get_mut(&(Arc::clone(channel), lane)) {
                rows.ahead.put(cursor, row); // What its conversation waits for comes first.
            }
        }
        let first = self.schedule.lanes.get(&(Arc::clone(channel), lane)).and_then(|rows| rows.ahead.first());
        let waits = first.map(|at| at.max(now.plus(ROOM)));
        self.look(channel, lane, now).into_iter().chain(waits).min()
    }

    /// Looks for rows that are due soon, unless enough are at hand; when to look again.
    fn look(&mut self, channel: &Arc<str>, lane: Priority, now: Time) -> Option<Time> {
        let rows = self.schedule.lanes.get_mut(&(Arc::clone(channel), lane))?;
        if rows.looking || rows.count == 0 || rows.ahead.rows.len() >= LOAD {
            return None; // When that ends, it is asked again.
        }
        let by = now.plus(AHEAD);
        let next = rows.next?;
        if next > by {
            return Some(next.plus(-AHEAD));
        }
        rows.looking = true;
        self.schedule.looks += 1;
        let cursor = rows.cursor;
        let (store, events, unit, channel) = (Arc::clone(&self.parts.store), self.events.clone(), self.unit, Arc::clone(channel));
        tokio::spawn(async move {
            let rows = loop {
                match store.due(unit, &channel, lane, cursor, by, LOAD).await {
                    Ok(rows) => break rows,
                    Err(e) => {
                        let _ = events.send(Event::StoreFailed("the schedule cannot be read", e.to_string()));
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            };
            // All that is due by then has been found where there were fewer than asked for.
            let next = if rows.len() < LOAD { by.plus(LOOK) } else { rows.last().map_or(by, |(_, row)| row.due) };
            let _ = events.send(Event::Due(channel, lane, rows, next));
        });
        None
    }

    pub(super) fn found_due(&mut self, channel: &Arc<str>, lane: Priority, found: Vec<(Cursor, Row)>, next: Time) {
        self.schedule.found(channel, lane, found, next);
    }

    fn let_in(&mut self, channel: &Arc<str>, lane: Priority, row: Row) {
        if self.by_id.contains_key(&row.id) || !self.schedule.loaded.insert(row.id) {
            return;
        }
        if let Some(rows) = self.schedule.lanes.get_mut(&(Arc::clone(channel), lane)) {
            rows.count = rows.count.saturating_sub(1);
            rows.overflow = rows.overflow.saturating_sub(1);
        }
        self.schedule.release(&row);
        match serde_json::from_slice::<Accepted>(&row.body) {
            Ok(message) => {
                let (id, attempt) = (message.id, row.attempt);
                self.enter(Arc::new(message), Source::Schedule { round: row.round, position: row.position });
                if let Some(item) = self.by_id.get(&id).and_then(|n| self.items.get_mut(n)) {
                    item.attempt = item.attempt.max(attempt);
                }
            }
            Err(e) => {
                tracing::error!(unit = self.unit, error = %e, "a row of the schedule holds no message; it is let go");
                self.schedule.settled(row.id, row.round);
            }
        }
    }

    /// Deletes settled rows. Their ledger records are needed until this is done.
    pub(super) fn delete_rows(&mut self) {
        if self.schedule.deleting || self.schedule.gone.is_empty() {
            return;
        }
        self.schedule.deleting = true;
        let some = self.schedule.gone.len().min(DELETE);
        let gone: Vec<_> = self.schedule.gone.drain(..some).collect();
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            let done = store.unpark(gone.clone()).await.is_ok();
            let _ = events.send(Event::RowsGone(gone, done));
        });
    }

    pub(super) fn rows_gone(&mut self, rows: Vec<(MessageId, u16)>, done: bool) {
        self.schedule.deleting = false;
        if !done {
            self.schedule.gone.extend(rows);
            return;
        }
        for (id, round) in rows {
            self.progress.row_gone(id);
            self.schedule.loaded.remove(&id);
            if self.schedule.looks > 0 {
                self.schedule.changed.insert(id, round.saturating_add(1));
            }
        }
        if self.schedule.gone.len() >= DELETE {
            self.delete_rows();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u128, due: i64, round: u16) -> Row {
        Row {
            id: MessageId { unit: 1, hash: n },
            channel: "c".into(),
            lane: Priority::Normal,
            due: Time(due),
            round,
            attempt: 0,
            conversation: "c/p".into(),
            position: n as u64,
            scheduled: true,
            reason: String::new(),
            body: Vec::new(),
        }
    }

    /// A schedule with some rows and a look under way.
    fn looking(rows: &[Row]) -> (Schedule, (Arc<str>, Priority)) {
        let mut schedule = Schedule::default();
        rows.iter().for_each(|row| schedule.add(row));
        let key: (Arc<str>, Priority) = ("c".into(), Priority::Normal);
        schedule.looks = 1;
        schedule.lanes.get_mut(&key).expect("it has rows").looking = true;
        (schedule, key)
    }

    #[test]
    fn a_row_written_during_a_look_is_looked_for_again() {
        let (mut schedule, key) = looking(&[row(1, 5000, 1)]);
        schedule.add(&row(2, 4000, 1));
        schedule.found(&key.0, key.1, vec![((5000, 1), row(1, 5000, 1))], Time(9000));
        let rows = &schedule.lanes[&key];
        assert!(rows.cursor < (4000, 0) && rows.next <= Some(Time(4000)), "{:?} {:?}", rows.cursor, rows.next);
        assert_eq!(rows.ahead.rows.len(), 1);
    }

    #[test]
    fn what_was_parked_again_or_deleted_during_a_look_is_old_in_it() {
        let (mut schedule, key) = looking(&[row(1, 5000, 1), row(2, 5000, 1), row(3, 5000, 1)]);
        schedule.add(&row(1, 7000, 2));
        schedule.changed.insert(row(2, 0, 0).id, 2);
        let found = (1..=3).map(|n| ((5000, n), row(n as u128, 5000, 1))).collect();
        schedule.found(&key.0, key.1, found, Time(9000));
        let at_hand: Vec<u128> = schedule.lanes[&key].ahead.rows.values().map(|r| r.id.hash).collect();
        assert_eq!(at_hand, [3]);
        assert!(schedule.changed.is_empty(), "no look is under way, so nothing it finds can be old");
    }

    #[test]
    fn what_was_postponed_is_at_hand_once() {
        let (mut schedule, key) = looking(&[row(1, 5000, 1)]);
        schedule.found(&key.0, key.1, vec![((5000, 1), row(1, 5000, 1))], Time(9000));
        schedule.looks = 1;
        schedule.found(&key.0, key.1, vec![((8000, 1), row(1, 8000, 1))], Time(9000));
        let ahead = &mut schedule.lanes.get_mut(&key).expect("it has rows").ahead;
        assert!(ahead.take_due(Time(7999)).is_none());
        assert!(ahead.take_due(Time(8000)).is_some() && ahead.first().is_none() && ahead.places.is_empty());
    }

    #[test]
    fn those_of_a_conversation_keep_their_order() {
        let mut schedule = Schedule::default();
        let entry = |lane| lane::Entry {
            number: 0,
            channel: "c".into(),
            conversation: "c/p".into(),
            lane,
            share: Arc::default(),
            counted: Counted::default(),
        };
        let bulk = entry(Priority::Bulk);
        // One comes after the other, at the same moment.
        assert_eq!(schedule.hold(&bulk, 5, Time(100)), (Time(100), false));
        assert_eq!(schedule.hold(&bulk, 6, Time(100)), (Time(101), false));
        // What was in the window before them goes back for long; what comes next goes behind all of them.
        assert_eq!(schedule.hold(&bulk, 4, Time(900)), (Time(900), true));
        assert!(schedule.is_before(&bulk, Source::Schedule { round: 1, position: 5 }));
        assert!(!schedule.is_before(&bulk, Source::Schedule { round: 1, position: 4 }));
        assert!(schedule.hold(&bulk, 7, Time(100)).0 > Time(902));
        assert!(schedule.is_before(&bulk, Source::Lane(8)) && !schedule.is_before(&entry(Priority::Urgent), Source::Lane(8)));
        let back = Row { lane: Priority::Bulk, scheduled: false, ..row(4, 900, 1) };
        schedule.release(&back);
        assert!(!schedule.is_before(&bulk, Source::Schedule { round: 1, position: 5 }));
    }

    #[test]
    fn what_is_loaded_by_itself_is_at_hand_no_more() {
        let (mut schedule, key) = looking(&[row(1, 5000, 1), row(2, 5000, 1)]);
        schedule.found(&key.0, key.1, vec![((5000, 1), row(1, 5000, 1)), ((5000, 2), row(2, 5000, 1))], Time(9000));
        schedule.loaded_early(&row(1, 5000, 1));
        let at_hand: Vec<u128> = schedule.lanes[&key].ahead.rows.values().map(|r| r.id.hash).collect();
        assert_eq!((at_hand.as_slice(), schedule.lanes[&key].count), ([2].as_slice(), 1));
    }
}

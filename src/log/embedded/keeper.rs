//! Housekeeping beside the committers: checkpoints, deletion of whole files, and a clock.
//!
//! A file is deleted when every record in it is past its retention or has been let go of. Before it goes, how far each
//! of its partitions reached is written down, so that a reader behind is told so and no other.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::{
    super::{Kept, Topic, config::Retention},
    committer::now,
    family::Family,
    meta::Meta,
    segment::{self, Carrier, Segment},
};

/// Calls the keeper.
#[derive(Default)]
pub struct Bell {
    inner: Mutex<Wishes>,
    rung: Condvar,
}

#[derive(Default)]
struct Wishes {
    checkpoints: Vec<Arc<Family>>,
    disposals: Vec<Connection>,
    sweep: bool,
    closed: bool,
}

impl Bell {
    /// Asks for a checkpoint of the file being written.
    pub fn checkpoint(&self, family: &Arc<Family>) {
        let mut wishes = self.inner.lock();
        if !wishes.checkpoints.iter().any(|f| Arc::ptr_eq(f, family)) {
            wishes.checkpoints.push(family.clone());
        }
        self.rung.notify_one();
    }

    /// Closes a connection to a file that is full, which carries its write-ahead log over: too long for the committer.
    pub fn dispose(&self, db: Connection) {
        self.inner.lock().disposals.push(db);
        self.rung.notify_one();
    }

    /// Something may be deleted: no need to wait for the next round.
    pub fn sweep(&self) {
        self.inner.lock().sweep = true;
        self.rung.notify_one();
    }

    /// The keeper ends.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.rung.notify_one();
    }
}

/// How long records are kept, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Events.
    pub events: i64,
    /// Raw webhooks.
    pub raw: i64,
}

impl From<&Retention> for Keep {
    fn from(retention: &Retention) -> Self {
        Self { events: retention.events.millis(), raw: retention.raw.millis() }
    }
}

/// The housekeeper of a log.
pub struct Keeper {
    /// What it looks after.
    pub families: Vec<Arc<Family>>,
    /// Where it writes down what it deleted.
    pub meta: Arc<Meta>,
    /// How long records are kept.
    pub keep: Keep,
    /// Calls it.
    pub bell: Arc<Bell>,
}

impl Keeper {
    /// Works until its bell is closed.
    pub fn run(self) {
        let mut swept = Instant::now();
        loop {
            let mut wishes = self.bell.inner.lock();
            if wishes.checkpoints.is_empty() && wishes.disposals.is_empty() && !wishes.sweep && !wishes.closed {
                self.bell.rung.wait_for(&mut wishes, Duration::from_secs(60));
            }
            let (checkpoints, disposals) = (std::mem::take(&mut wishes.checkpoints), std::mem::take(&mut wishes.disposals));
            let (closed, asked) = (wishes.closed, std::mem::take(&mut wishes.sweep));
            drop(wishes);
            drop(disposals);
            if closed {
                return;
            }
            checkpoints.iter().for_each(|f| Self::checkpoint(f));
            if asked || swept.elapsed() >= Duration::from_secs(60) {
                swept = Instant::now();
                self.sweep(now());
            }
        }
    }

    /// Deletes what may go.
    pub fn sweep(&self, now: i64) {
        for family in &self.families {
            self.roll_if_old(family, now);
            while let Some(oldest) = self.deletable(family, now) {
                let lows: BTreeMap<_, _> = oldest.spans.read().iter().map(|(k, span)| (*k, span.last + 1)).collect();
                if let Err(e) = self.meta.remember_lows(&lows) {
                    tracing::error!(error = %e, "old records cannot be deleted");
                    return;
                }
                for (&(topic, partition), &low) in &lows {
                    if let Some(shelf) = family.shelf(topic, partition) {
                        shelf.trim(low);
                    }
                }
                family.segments.write().retain(|s| s.base != oldest.base);
                oldest.remove();
                tracing::info!(family = family.plan.name, base = oldest.base, "deleted a file of old records");
            }
            if let Err(e) = self.shrink(family) {
                tracing::warn!(family = family.plan.name, error = %e, "a file of settled records could not be made smaller; it is tried again");
            }
            self.drop_tombstones(family, now);
        }
    }

    /// One quiet unit must not keep whole files of what the others have settled: its records stay, the rest goes.
    fn shrink(&self, family: &Family) -> rusqlite::Result<()> {
        let segments = family.segments.read().clone();
        let Some((_, closed)) = segments.split_last() else { return Ok(()) };
        for segment in closed {
            let low = |(topic, partition): (Topic, u32)| match topic.kept() {
                Kept::UntilTrimmed => family.shelf(topic, partition).map_or(0, |s| s.low()),
                _ => 0,
            };
            let spans = segment.spans.read().clone();
            let dead: BTreeMap<_, _> = spans.iter().filter(|(at, span)| span.last < low(**at)).map(|(at, s)| (*at, s.last + 1)).collect();
            if dead.is_empty() {
                continue;
            }
            self.meta.remember_lows(&dead)?;
            segment.spans.write().retain(|at, _| !dead.contains_key(at));
            let db = segment::connect(&segment.path, false)?;
            for (topic, partition) in dead.keys() {
                db.execute_batch(&format!("DROP TABLE IF EXISTS {}", segment::table(*topic, *partition)))?;
            }
            let count = |pragma| db.pragma_query_value(None, pragma, |r| r.get::<_, i64>(0));
            if count("freelist_count")? * 2 > count("page_count")? {
                for (&(topic, partition), _) in spans.iter().filter(|(at, span)| span.last >= low(**at) && span.first < low(**at)) {
                    let table = segment::table(topic, partition);
                    db.execute(&format!("DELETE FROM {table} WHERE id < ?1"), [low((topic, partition)) as i64])?;
                }
                db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
                tracing::info!(family = family.plan.name, base = segment.base, "made a file of settled records smaller");
            }
        }
        Ok(())
    }

    /// A file that is not written any more and holds nothing that must stay.
    fn deletable(&self, family: &Family, now: i64) -> Option<Arc<Segment>> {
        let segments = family.segments.read();
        let (_, closed) = segments.split_last()?;
        let dead = |segment: &&Arc<Segment>| {
            segment.spans.read().iter().all(|(&(topic, partition), span)| match topic.kept() {
                Kept::Events => span.newest < now.saturating_sub(self.keep.events),
                Kept::Raw => span.newest < now.saturating_sub(self.keep.raw),
                Kept::UntilTrimmed => family.shelf(topic, partition).is_none_or(|s| span.last < s.low()),
                Kept::Latest => false,
            })
        };
        // Events age in order, so the oldest goes first; a lane that nobody finishes must not keep the files behind it.
        closed.iter().find(dead).cloned()
    }

    /// A file that fills slowly is closed by age, or its oldest records would stay for as long as it takes to fill.
    fn roll_if_old(&self, family: &Family, now: i64) {
        let Some(active) = family.active() else { return };
        let age = (self.keep.events.min(self.keep.raw) / 7).max(3_600_000);
        let born = active.spans.read().values().map(|s| s.newest).min();
        let compacted = active.spans.read().keys().any(|(t, _)| t.kept() == Kept::Latest);
        if !compacted && born.is_some_and(|b| b < now - age) {
            family.roll.store(true, Ordering::Relaxed);
        }
    }

    /// Carries the write-ahead log over while others write on.
    fn checkpoint(family: &Family) {
        let mut carrier = family.carrier.lock();
        let Some(active) = family.active() else { return };
        let carried = match carrier.take().map_or_else(|| Carrier::new(&active.path), Ok) {
            Ok(open) => carrier.insert(open).carry(),
            Err(error) => Err(error),
        };
        match carried {
            Ok(()) => family.carried.store(true, Ordering::Release),
            Err(error) => tracing::warn!(family = family.plan.name, %error, "the log's checkpoint failed; it is tried again"),
        }
    }

    /// Tombstones of compacted topics are kept a day, so that a reader that was away learns of them.
    fn drop_tombstones(&self, family: &Family, now: i64) {
        for shelf in family.shelves.iter().filter(|s| s.topic.kept() == Kept::Latest) {
            let Some((segment, _)) = family.find(shelf, 0) else { continue };
            let table = segment::table(shelf.topic, shelf.partition);
            let delete = format!("DELETE FROM {table} WHERE value IS NULL AND time < ?1");
            if let Err(e) = segment::connect(&segment.path, false).and_then(|db| db.execute(&delete, [now - 86_400_000])) {
                tracing::warn!(error = %e, "old tombstones cannot be deleted; it is tried again");
            }
        }
    }
}

/// Answers in time those whom a hanging disk lets wait. A thread of its own: the keeper may hang as well.
pub fn watch(families: Vec<Arc<Family>>, ended: Arc<AtomicBool>) {
    while !ended.load(Ordering::Relaxed) {
        std::thread::park_timeout(Duration::from_millis(500));
        families.iter().for_each(|f| f.lose_patience());
    }
}

/// Which topics share a family.
pub fn is_event(topic: Topic) -> bool {
    matches!(topic.kept(), Kept::Events | Kept::Raw)
}

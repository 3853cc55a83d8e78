//! The embedded log: SQLite files on this disk, one writer each for three families.
//!
//! | family | topics | why together |
//! | --- | --- | --- |
//! | `events` | what the world may read, and send requests | many, by time |
//! | `engine` | lanes, ledger, orders | let go of by their owners |
//! | `control` | control | few, compacted, for ever |
//!
//! Decisions the trait leaves open:
//! - Offsets are one sequence per family, so each partition's are sparse.
//! - Event topics have one partition, web chat and the engine's topics `UNITS`.
//! - Every record of one append to one family is in one commit: all durable or none.
//! - `Unknown` is answered only when the disk failed while a commit was being made durable, or has hung for 9 s.
//! - A partition that was let go of (`trim`) is at once unreadable below; the disk is freed by whole files.
//! - `begins` of `control` may lie below the oldest record that compaction left.
//! - When writing fails, appends are refused until a probe (once a second) or an append succeeds again.
//!
//! Invariant: no other process writes the folder, and nothing in it is ever changed in place but by SQLite.

// The spool is made of the same parts.
pub(super) mod committer;
pub(super) mod family;
pub(super) mod keeper;
pub(super) mod meta;
mod reader;
pub(super) mod segment;
pub(super) mod shelf;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use self::{
    committer::Committer,
    family::{Family, Plan},
    keeper::{Bell, Keep, Keeper},
    meta::Meta,
};
use super::{Durability, EventLog, Health, Outcome, Pending, Position, Positions, ReadError, Reader, Record, Tenure, Topic, UNITS, timed};

/// The embedded log.
pub struct Embedded {
    families: Vec<Arc<Family>>,
    meta: Arc<Meta>,
    bell: Arc<Bell>,
    ended: Arc<AtomicBool>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    tenures: Mutex<Option<mpsc::UnboundedSender<Tenure>>>,
}

impl Embedded {
    /// Opens the log in a folder; makes it when there is none.
    pub fn open(folder: &Path, keep: impl Into<Keep>) -> Result<Self, String> {
        Self::open_with(folder, keep.into(), plans())
    }

    fn open_with(folder: &Path, keep: Keep, plans: Vec<Plan>) -> Result<Self, String> {
        let (meta, lows) = Meta::open(folder)?;
        let bell = Arc::new(Bell::default());
        let ended = Arc::new(AtomicBool::new(false));
        let (mut families, mut committers) = (Vec::new(), Vec::new());
        for plan in plans {
            let (family, db) = Family::open(plan, folder, &lows)?;
            committers.push(Committer::new(family.clone(), db, bell.clone())?);
            families.push(family);
        }
        let keeper = Keeper { families: families.clone(), meta: meta.clone(), keep, bell: bell.clone() };
        let log = Self { families, meta, bell, ended, threads: Mutex::default(), tenures: Mutex::default() };
        for committer in committers {
            log.spawn("log-commit", move || committer.run())?;
        }
        let meta = log.meta.clone();
        log.spawn("log-meta", move || meta.run())?;
        log.spawn("log-keeper", move || keeper.run())?;
        let (families, ended) = (log.families.clone(), log.ended.clone());
        log.spawn("log-watch", move || keeper::watch(families, ended))?;
        Ok(log)
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let thread = thread::Builder::new().name(name.into()).spawn(work);
        self.threads.lock().push(thread.map_err(|e| format!("no thread can be started: {e}"))?);
        Ok(())
    }

    fn family(&self, topic: Topic) -> Option<&Arc<Family>> {
        self.families.iter().find(|f| f.slot(topic, 0).is_some())
    }

    /// Everything is told to end; the committers write what they have first.
    fn stop(&self) {
        self.families.iter().for_each(|f| f.close());
        *self.tenures.lock() = None;
        self.meta.close();
        self.bell.close();
        self.ended.store(true, Ordering::Relaxed);
        self.threads.lock().iter().for_each(|t| t.thread().unpark());
    }

    fn each(&self, topic: Topic, of: impl Fn(&Family, &shelf::Shelf) -> u64) -> Positions {
        let Some(family) = self.family(topic) else { return Positions::new() };
        family.shelves.iter().filter(|s| s.topic == topic).map(|s| (s.partition, of(family, s))).collect()
    }
}

/// The families of a gateway.
fn plans() -> Vec<Plan> {
    let (events, others): (Vec<_>, Vec<_>) = Topic::ALL.into_iter().map(|t| (t, partitions(t))).partition(|(t, _)| keeper::is_event(*t));
    let (control, engine) = others.into_iter().partition(|(t, _)| *t == Topic::Control);
    let plan = |name, topics, segment_bytes, memory| Plan { name, topics, segment_bytes, memory, queue: 64 << 20, pages: None };
    vec![
        plan("events", events, 256 << 20, 8 << 20),
        plan("engine", engine, 256 << 20, 8 << 20),
        plan("control", control, u64::MAX, 1 << 20),
    ]
}

fn partitions(topic: Topic) -> u32 {
    if topic.by_unit() { UNITS } else { 1 }
}

/// Answers, in the caller's order, of an append that went to several families or was refused in part.
async fn gather(mut outcomes: Vec<Outcome>, parts: Vec<(Vec<usize>, oneshot::Receiver<Vec<Outcome>>)>) -> Vec<Outcome> {
    for (places, answer) in parts {
        for (place, outcome) in places.iter().zip(answered(answer, places.len()).await) {
            outcomes[*place] = outcome;
        }
    }
    outcomes
}

async fn answered(answer: oneshot::Receiver<Vec<Outcome>>, count: usize) -> Vec<Outcome> {
    answer.await.unwrap_or_else(|_| vec![Outcome::Unknown("the log ended before it answered".into()); count])
}

impl EventLog for Embedded {
    fn partitions(&self, topic: Topic) -> u32 {
        partitions(topic)
    }

    fn append(&self, records: Vec<Record>, _: Durability) -> Pending<'static, Vec<Outcome>> {
        let Some(first) = records.first() else { return Box::pin(async { Vec::new() }) };
        let began = std::time::Instant::now();
        // Nearly always all are for one family, and well addressed.
        if let Some(family) = self.family(first.topic)
            && records.iter().all(|r| family.slot(r.topic, r.partition).is_some())
        {
            let (count, answer) = (records.len(), family.submit(records));
            return Box::pin(timed(began, answered(answer, count)));
        }
        let mut outcomes = vec![Outcome::NotAppended("the topic has no such partition".into()); records.len()];
        let mut parts: Vec<(Vec<usize>, Vec<Record>)> = vec![Default::default(); self.families.len()];
        for (place, record) in records.into_iter().enumerate() {
            let Some(at) = self.families.iter().position(|f| f.slot(record.topic, record.partition).is_some()) else { continue };
            outcomes[place] = Outcome::Unknown("the log has not answered".into());
            parts[at].0.push(place);
            parts[at].1.push(record);
        }
        let submitted = self.families.iter().zip(parts).filter(|(_, (places, _))| !places.is_empty());
        let submitted = submitted.map(|(family, (places, records))| (places, family.submit(records))).collect();
        Box::pin(timed(began, gather(outcomes, submitted)))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(reader::EmbeddedReader::new(self.families.clone()))
    }

    fn ends(&self, topic: Topic) -> Pending<'_, Result<Positions, ReadError>> {
        Box::pin(async move { Ok(self.each(topic, |_, shelf| shelf.end())) })
    }

    fn begins(&self, topic: Topic) -> Pending<'_, Result<Positions, ReadError>> {
        Box::pin(async move { Ok(self.each(topic, |family, shelf| family.begin(shelf))) })
    }

    fn since(&self, topic: Topic, time: i64) -> Pending<'_, Result<Positions, ReadError>> {
        let Some(family) = self.family(topic).cloned() else { return Box::pin(async { Ok(Positions::new()) }) };
        let find = move || {
            let mut positions = Positions::new();
            for shelf in family.shelves.iter().filter(|s| s.topic == topic) {
                let offset = match family.find_since(shelf, time) {
                    None => shelf.end(),
                    Some((file, span)) => segment::connect(&file.path, false)
                        .and_then(|db| segment::since(&db, topic, shelf.partition, span, time))
                        .map_err(|e| ReadError::Away(e.to_string().into()))?,
                };
                positions.insert(shelf.partition, offset.max(shelf.low()));
            }
            Ok(positions)
        };
        Box::pin(async move {
            match tokio::task::spawn_blocking(find).await {
                Ok(found) => found,
                Err(e) => Err(ReadError::Away(e.to_string().into())),
            }
        })
    }

    fn tenures(&self) -> mpsc::UnboundedReceiver<Tenure> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for unit in 0..UNITS {
            let _ = sender.send(Tenure::Gained(unit));
        }
        // One node owns all for ever; the channel ends with the log.
        *self.tenures.lock() = Some(sender);
        receiver
    }

    fn commit(&self, name: &str, positions: Positions) -> Pending<'_, Result<(), ReadError>> {
        let done = self.meta.commit(name, positions);
        Box::pin(async move { done.await.unwrap_or_else(|_| Err(ReadError::Away("the log is closed".into()))) })
    }

    fn committed(&self, name: &str) -> Pending<'_, Result<Positions, ReadError>> {
        let positions = self.meta.committed(name);
        Box::pin(async move { Ok(positions) })
    }

    fn trim(&self, before: Position) {
        if before.topic.kept() == super::Kept::UntilTrimmed
            && let Some(shelf) = self.family(before.topic).and_then(|f| f.shelf(before.topic, before.partition))
        {
            shelf.trim(before.offset);
        }
    }

    fn ready(&self) -> bool {
        self.families.iter().all(|f| f.fine()) && !self.ended.load(Ordering::Relaxed)
    }

    fn health(&self) -> Health {
        let trouble = self.families.iter().find_map(|f| f.trouble.lock().clone());
        Health { kind: "embedded", log: trouble.is_none(), spooled: 0, spool_bytes: 0, trouble }
    }

    fn close(&self, within: Duration) -> Pending<'_, ()> {
        self.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        let meta = self.meta.clone();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
            meta.unlock();
        });
        Box::pin(async move {
            if tokio::time::timeout(within, joined).await.is_err() {
                tracing::warn!("the log did not close in time; what was acknowledged is durable all the same");
            }
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop();
    }
}

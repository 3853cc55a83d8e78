//! What takes events while Kafka is away: a family of the embedded log with one partition, in a folder of its own.
//!
//! ```text
//!   spool/node                 the name of this node among the owners of units
//!         LOCK  meta.db        `drained`: everything before is in Kafka;  `tried`: everything before may be
//!         spool-….db           records in the order in which they were accepted
//! ```
//!
//! A spooled record carries in front of its key where it is bound for, and whether it had been handed to Kafka before it
//! came here: such a one may be in the topic already, and is looked for there before it is produced again.
//!
//! Invariant: `drained <= tried`, and both are durable before what they say is acted upon.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::Mutex;

use super::{
    Outcome, Positions, Record, Stored, Topic,
    embedded::{
        committer::Committer,
        family::{Family, Plan, size},
        keeper::{Bell, Keep, Keeper, watch},
        meta::Meta,
        segment,
        shelf::{Look, Shelf},
    },
    mailbox::Reply,
};

/// The spool of a node.
pub struct Spool {
    family: Arc<Family>,
    meta: Arc<Meta>,
    bell: Arc<Bell>,
    max: u64,
    /// Bytes that lie or are about to lie in it, about.
    bytes: AtomicU64,
    /// Offset of the oldest record that is not known to be in Kafka.
    drained: AtomicU64,
    tried: AtomicU64,
    ended: Arc<std::sync::atomic::AtomicBool>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

/// A record on its way.
#[derive(Clone, Debug)]
pub struct Spooled {
    /// Its offset in the spool.
    pub offset: u64,
    /// When it was spooled, milliseconds since 1970.
    pub time: i64,
    /// It may be in its topic already.
    pub tried: bool,
    /// Itself.
    pub record: Record,
}

/// Engine topics are let go of by hand; the spool borrows one for its own records.
const TOPIC: Topic = Topic::Orders;

impl Spool {
    /// Opens the spool in a folder.
    pub fn open(folder: &Path, max: u64) -> Result<Self, String> {
        let (meta, lows) = Meta::open(folder)?;
        let plan = Plan {
            name: "spool",
            topics: vec![(TOPIC, 1)],
            // Small files, so that the disk is free again soon after.
            segment_bytes: (max / 8).clamp(1 << 20, 64 << 20),
            memory: 4 << 20,
            queue: 64 << 20,
            pages: None,
        };
        let (family, db) = Family::open(plan, folder, &lows)?;
        let bell = Arc::new(Bell::default());
        let committer = Committer::new(family.clone(), db, bell.clone())?;
        let keep = Keep { events: i64::MAX, raw: i64::MAX };
        let keeper = Keeper { families: vec![family.clone()], meta: meta.clone(), keep, bell: bell.clone() };
        let position = |name: &str| meta.committed(name).get(&0).copied().unwrap_or(0);
        let (drained, tried) = (position("drained"), position("tried"));
        family.shelves[0].trim(drained);
        let spool = Self {
            bytes: AtomicU64::new(0),
            drained: AtomicU64::new(drained.max(family.shelves[0].low())),
            tried: AtomicU64::new(tried),
            family,
            meta,
            bell,
            max,
            ended: Arc::default(),
            threads: Mutex::default(),
        };
        if spool.pending() > 0 {
            spool.bytes.store(spool.family.segments.read().iter().map(|s| s.bytes.load(Ordering::Relaxed)).sum(), Ordering::Relaxed);
        }
        let (meta, families, ended) = (spool.meta.clone(), vec![spool.family.clone()], spool.ended.clone());
        spool.spawn("spool-commit", move || committer.run())?;
        spool.spawn("spool-meta", move || meta.run())?;
        spool.spawn("spool-keeper", move || {
            keeper.sweep(super::embedded::committer::now());
            keeper.run();
        })?;
        spool.spawn("spool-watch", move || watch(families, ended))?;
        Ok(spool)
    }

    /// Takes records, in order. `tried`: they have been handed to Kafka, so nothing about them is sure.
    pub fn append(&self, records: Vec<Record>, tried: bool, reply: Reply) {
        let weight: u64 = records.iter().map(|r| size(r) as u64 + 6).sum();
        if self.bytes.load(Ordering::Relaxed) + weight > self.max {
            let why = "Kafka is away and the spool is full: give it room (`log.spool_max`) or bring Kafka back";
            let outcome = if tried { Outcome::Unknown(why.into()) } else { Outcome::NotAppended(why.into()) };
            return reply.send(vec![outcome; records.len()]);
        }
        self.bytes.fetch_add(weight, Ordering::Relaxed);
        self.family.submit_for(records.into_iter().map(|r| wrap(r, tried)).collect(), reply);
    }

    /// Records from an offset on, oldest first. Blocks; not for async tasks.
    pub fn read(&self, from: u64, max: usize) -> Result<Vec<Spooled>, String> {
        let records = match self.shelf().look(from, max) {
            Look::Records(records) => records,
            Look::Nothing | Look::Expired => Vec::new(),
            Look::OnDisk(to) => {
                let Some((file, _)) = self.family.find(self.shelf(), from) else { return Ok(Vec::new()) };
                segment::connect(&file.path, false)
                    .and_then(|db| segment::read(&db, TOPIC, 0, from, to, max))
                    .map_err(|e| format!("the spool cannot be read: {e}"))?
            }
        };
        Ok(records.into_iter().filter_map(unwrap).collect())
    }

    /// Records that are not known to be in Kafka.
    pub fn pending(&self) -> u64 {
        self.shelf().end().saturating_sub(self.drained())
    }

    /// Their bytes, about.
    pub fn bytes(&self) -> u64 {
        if self.pending() == 0 { 0 } else { self.bytes.load(Ordering::Relaxed) }
    }

    /// Offset of the oldest record not known to be in Kafka.
    pub fn drained(&self) -> u64 {
        self.drained.load(Ordering::Relaxed)
    }

    /// Everything before may be in Kafka, because this or an earlier process tried.
    pub fn tried(&self) -> u64 {
        self.tried.load(Ordering::Relaxed)
    }

    /// Nothing waits to be written.
    pub fn settled(&self) -> bool {
        self.family.waiting() == 0
    }

    /// Whether an event can be made durable here.
    pub fn ready(&self) -> bool {
        self.family.fine() && self.bytes() < self.max
    }

    /// What is wrong with it.
    pub fn trouble(&self) -> Option<String> {
        self.family.trouble.lock().clone()
    }

    /// Writes down that everything before an offset is about to be produced. Blocks.
    pub fn try_up_to(&self, offset: u64) -> Result<(), String> {
        if offset > self.tried() {
            self.remember("tried", offset)?;
            self.tried.store(offset, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes down that everything before an offset is in Kafka, and lets go of it. Blocks.
    pub fn drain_up_to(&self, offset: u64) -> Result<(), String> {
        self.remember("drained", offset)?;
        self.drained.store(offset, Ordering::Relaxed);
        self.shelf().trim(offset);
        if self.pending() == 0 {
            self.bytes.store(0, Ordering::Relaxed);
            self.bell.sweep();
        }
        Ok(())
    }

    /// Makes durable what it has taken, and ends. Blocks.
    pub fn close(&self) {
        self.family.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        self.meta.close();
        self.bell.close();
        self.ended.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.meta.unlock();
    }

    fn shelf(&self) -> &Shelf {
        &self.family.shelves[0]
    }

    fn remember(&self, name: &str, offset: u64) -> Result<(), String> {
        let done = self.meta.commit(name, Positions::from([(0, offset)]));
        done.blocking_recv().map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let thread = thread::Builder::new().name(name.into()).spawn(work);
        self.threads.lock().push(thread.map_err(|e| format!("no thread can be started: {e}"))?);
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.family.close();
        self.meta.close();
        self.bell.close();
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// The name of this node, made once and kept in its spool.
pub fn node(folder: &Path) -> Result<String, String> {
    let path = folder.join("node");
    let wrong = |e: std::io::Error| format!("{} cannot be used: {e}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            std::fs::create_dir_all(folder).map_err(wrong)?;
            let name = format!("node-{:016x}", rand::random::<u64>());
            std::fs::write(&path, &name).map_err(wrong)?;
            Ok(name)
        }
    }
}

const TRIED: u8 = 1;
const DELETES: u8 = 2;

fn wrap(record: Record, tried: bool) -> Record {
    let mut key = BytesMut::with_capacity(record.key.len() + 6);
    key.put_u8(if tried { TRIED } else { 0 } | if record.value.is_none() { DELETES } else { 0 });
    key.put_u8(record.topic as u8);
    key.put_u32_le(record.partition);
    key.put_slice(&record.key);
    Record { topic: TOPIC, partition: 0, key: key.freeze(), ..record }
}

fn unwrap(stored: Stored) -> Option<Spooled> {
    let mut key: Bytes = stored.key;
    if key.len() < 6 {
        return None;
    }
    let (marks, topic, partition) = (key.get_u8(), key.get_u8(), key.get_u32_le());
    let topic = *Topic::ALL.get(usize::from(topic))?;
    let value = (marks & DELETES == 0).then_some(stored.value);
    let record = Record { topic, partition, key, headers: stored.headers, value };
    Some(Spooled { offset: stored.at.offset, time: stored.time, tried: marks & TRIED != 0, record })
}

/// How long a lost commit of the spool may take to be noticed.
pub const PULSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Headers;

    fn record(number: u32) -> Record {
        let value = (!number.is_multiple_of(3)).then(|| vec![b'v'; 100].into());
        Record { topic: Topic::Status, partition: number, key: format!("k{number}").into(), headers: Headers::of([("ce_id", "x")]), value }
    }

    fn put(spool: &Spool, numbers: std::ops::Range<u32>, tried: bool) -> Vec<Outcome> {
        let (reply, answer) = Reply::new();
        spool.append(numbers.map(record).collect(), tried, reply);
        answer.blocking_recv().expect("an answer")
    }

    /// What is spooled comes back as it was, in order, over restarts, and only what was drained is gone.
    #[test]
    fn it_keeps_records_until_they_are_drained() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path(), 1 << 20).expect("the spool");
        assert!(put(&spool, 0..10, true).iter().all(Outcome::is_durable));
        assert!(put(&spool, 10..30, false).iter().all(Outcome::is_durable));
        spool.close();
        let spool = Spool::open(folder.path(), 1 << 20).expect("the spool");
        let read = spool.read(spool.drained(), 100).expect("records");
        assert_eq!(read.len(), 30);
        for (number, spooled) in read.iter().enumerate() {
            let expected = record(number as u32);
            assert_eq!((spooled.record.topic, spooled.record.partition), (expected.topic, expected.partition));
            assert_eq!((&spooled.record.key, &spooled.record.value), (&expected.key, &expected.value));
            assert_eq!(spooled.tried, number < 10);
        }
        spool.try_up_to(read[12].offset).expect("written");
        spool.drain_up_to(read[7].offset).expect("written");
        spool.close();
        let spool = Spool::open(folder.path(), 1 << 20).expect("the spool");
        assert_eq!((spool.drained(), spool.tried(), spool.pending()), (read[7].offset, read[12].offset, 23));
        assert_eq!(spool.read(spool.drained(), 100).expect("records").len(), 23);
        spool.drain_up_to(spool.shelf().end()).expect("written");
        assert_eq!((spool.pending(), spool.bytes()), (0, 0));
        spool.close();
    }

    #[test]
    fn a_full_spool_refuses_and_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path(), 2000).expect("the spool");
        assert!(put(&spool, 0..10, false).iter().all(Outcome::is_durable));
        let refused = put(&spool, 10..30, false);
        assert!(matches!(&refused[0], Outcome::NotAppended(why) if why.contains("log.spool_max")), "{refused:?}");
        assert!(matches!(put(&spool, 10..30, true)[0], Outcome::Unknown(_)));
        spool.drain_up_to(spool.shelf().end()).expect("written");
        assert!(put(&spool, 10..12, false).iter().all(Outcome::is_durable));
        spool.close();
    }

    #[test]
    fn a_node_keeps_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = node(folder.path()).expect("a name");
        assert_eq!(node(folder.path()), Ok(name));
    }
}

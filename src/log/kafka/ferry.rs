//! The turn to the spool and the way back.
//!
//! ```text
//!   Direct ──(oldest append waited 500 ms)──▶ turn ──▶ Spooling
//!      ▲                                                  │ Kafka answers: search the topics for what was in flight
//!      └── handover ◀── drain, window by window ◀─────────┘
//! ```
//!
//! On the way back, whatever may be in a topic already (handed to Kafka before the turn, or tried by an earlier drain) is
//! looked for by its id, from a minute before it was spooled; what is found is dropped. The rest is produced in order.
//! How far a drain has tried is durable before it tries, so that a crash in between searches for that much. A start with
//! a spool that is not empty begins in `Spooling` and goes the same way.
//!
//! What this cannot see: a batch that our own kernel still holds for a connection cut by the network (not by the death of
//! a broker) may reach Kafka after the search. It carries the same `ce_id`, which consumers drop.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers as _,
};

use super::{
    super::{
        Headers, Record, Topic,
        embedded::committer::now,
        spool::{PULSE, Spool},
    },
    client::{Cluster, NEWEST, PATIENCE, Quiet},
    line::{Line, Listener},
    sequencer::{Mode, Sequencer},
};

/// Carries records over.
pub struct Ferry {
    /// The cluster.
    pub cluster: Cluster,
    /// Where appends pass.
    pub sequencer: Arc<Sequencer>,
    /// Where they go while Kafka is away.
    pub spool: Option<Arc<Spool>>,
    /// Looks whether the topics are as they must be; blocks.
    pub topics_fit: Box<dyn Fn() -> Result<(), String> + Send>,
    /// Set when the log closes.
    pub ended: Arc<AtomicBool>,
    /// Why Kafka is not written to.
    pub trouble: Arc<Mutex<Option<String>>>,
    /// How long the oldest append waits before the turn.
    pub patience: Duration,
}

/// How long the oldest append waits before the turn.
pub const TURN: Duration = Duration::from_millis(500);
/// For records that no spool takes the turn only refuses: more patience hurts nobody, and saves what is under way from doubt.
const TURN_WITHOUT: Duration = Duration::from_secs(5);
/// Records drained at once: what a crash makes the next start look for.
const LOAD: usize = 5000;
/// What the broker may still have had in its ears when our old connection closed.
const SETTLE: Duration = Duration::from_millis(1000);
/// Clocks differ a little; a minute is much.
const BEFORE: i64 = 60_000;

impl Ferry {
    /// Opens the first line; `Direct` when nothing is spooled.
    pub fn embark(&self) -> Result<(), String> {
        if self.spool.as_ref().is_none_or(|s| s.pending() == 0) {
            let line = self.line()?;
            self.sequencer.begin_drain(line);
            self.sequencer.end_handover();
        }
        Ok(())
    }

    /// Watches the line, until the log closes.
    pub fn run(self) {
        while !self.ended.load(Ordering::Relaxed) {
            match self.sequencer.mode() {
                Mode::Spooling => {
                    if let Err(why) = self.sail() {
                        *self.trouble.lock() = Some(why);
                        self.pause(Duration::from_secs(1));
                    }
                }
                _ => {
                    if let Some(why) = self.sequencer.overdue(self.patience(), TURN_WITHOUT.max(self.patience), Duration::from_millis(50)) {
                        self.turn(&why);
                    }
                }
            }
        }
    }

    /// Everything that is not acknowledged goes to the spool.
    pub fn turn(&self, why: &str) {
        tracing::warn!(why, waiting = self.sequencer.waiting(), spool = self.spool.is_some(), "Kafka is away");
        *self.trouble.lock() = Some(format!("Kafka is away: {why}"));
        if let Some(line) = self.sequencer.begin_turn() {
            close(line);
        }
        self.sequencer.end_turn();
    }

    /// The way back, from the first sign of Kafka to `Direct`. An error leaves everything in the spool.
    fn sail(&self) -> Result<(), String> {
        let line = self.line()?;
        if !line.reaches(Duration::from_secs(2)) {
            return Err("Kafka is away".into());
        }
        (self.topics_fit)()?;
        let mut doubtful = match &self.spool {
            Some(spool) => doubtful(spool)?,
            None => Doubtful::default(),
        };
        let doubts = self.sequencer.doubts();
        doubts.iter().for_each(|record| doubtful.add(record, now()));
        let found = if doubtful.is_empty() { Found::new() } else { self.search(&doubtful)? };
        self.sequencer.settle_doubts(|record| Some(found.get(&id(record)?).copied()));
        let Some(spool) = self.spool.clone() else {
            self.sequencer.begin_drain(line);
            self.sequencer.end_handover();
            return self.arrived();
        };
        tracing::info!(spooled = spool.pending(), doubtful = doubtful.len(), found = found.len(), "Kafka is back; the spool is emptied");
        self.sequencer.begin_drain(line);
        if let Err(why) = self.empty(&spool, &found) {
            self.turn(&why);
            return Err(why);
        }
        self.arrived()
    }

    fn arrived(&self) -> Result<(), String> {
        *self.trouble.lock() = None;
        tracing::info!("Kafka is written to again");
        Ok(())
    }

    /// Produces what is spooled, in order, until nothing is left and nothing can come.
    fn empty(&self, spool: &Spool, found: &Found) -> Result<(), String> {
        let mut handing_over = false;
        loop {
            if self.ended.load(Ordering::Relaxed) {
                return Err("the log closes".into());
            }
            if let Some(why) = self.sequencer.overdue(PATIENCE, PATIENCE, Duration::ZERO) {
                return Err(why);
            }
            // Asked before reading: what is settled now is in what is read now.
            let settled = spool.settled();
            let load = spool.read(spool.drained(), LOAD)?;
            let Some(last) = load.last() else {
                if handing_over && settled {
                    self.sequencer.end_handover();
                    return Ok(());
                }
                self.sequencer.begin_handover();
                handing_over = true;
                if !settled {
                    thread::sleep(PULSE.min(Duration::from_millis(1)));
                }
                continue;
            };
            let behind = last.offset + 1;
            let small = load.len() < LOAD / 5;
            spool.try_up_to(behind)?;
            let records: Vec<Record> =
                load.into_iter().map(|s| s.record).filter(|r| id(r).is_none_or(|id| !found.contains_key(&id))).collect();
            self.sequencer.drain(&records)?;
            self.sequencer.drained(PATIENCE)?;
            spool.drain_up_to(behind)?;
            if small && !handing_over {
                self.sequencer.begin_handover();
                handing_over = true;
            }
        }
    }

    /// Which of these are in their topics. Blocks. All partitions are read at once: one after the other, a turn with a few
    /// records in many partitions would take as many round trips.
    fn search(&self, doubtful: &Doubtful) -> Result<Found, String> {
        self.pause(SETTLE);
        let scout: BaseConsumer<Quiet> = self.cluster.scout(self.cluster.prefix()).map_err(|e| e.to_string())?;
        let ends = self.places(&scout, doubtful.places.keys().map(|&place| (place, NEWEST)))?;
        let begins = self.places(&scout, doubtful.places.iter().map(|(&place, (oldest, _))| (place, (oldest - BEFORE).max(0))))?;
        // Where each partition is read next, and where its reading ends.
        let mut left: BTreeMap<(Topic, u32), (i64, i64)> = BTreeMap::new();
        for (place, begin) in begins {
            let end = ends.get(&place).copied().flatten().unwrap_or(0);
            left.extend(begin.filter(|begin| *begin < end).map(|begin| (place, (begin, end))));
        }
        let mut from = TopicPartitionList::new();
        for (&(topic, partition), &(begin, _)) in &left {
            from.add_partition_offset(self.cluster.name(topic), partition as i32, Offset::Offset(begin)).map_err(|e| e.to_string())?;
        }
        scout.assign(&from).map_err(|e| e.to_string())?;
        let mut found = Found::new();
        let mut heard = Instant::now();
        while !left.is_empty() {
            match scout.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let Some(topic) = self.cluster.topic(message.topic()) else { continue };
                    let (place, offset) = ((topic, message.partition() as u32), message.offset());
                    let Some(&(_, end)) = left.get(&place) else { continue };
                    heard = Instant::now();
                    let headers = message.headers();
                    let value = headers.and_then(|h| h.iter().find(|h| matches!(h.key, "ce_id" | "id")).and_then(|h| h.value));
                    let known = value.and_then(|v| std::str::from_utf8(v).ok()).filter(|id| doubtful.places[&place].1.contains(*id));
                    found.extend(known.map(|id| ((topic, place.1, id.to_owned()), offset as u64)));
                    if offset + 1 >= end {
                        left.remove(&place);
                    }
                }
                Some(Err(e)) if heard.elapsed() > PATIENCE => return Err(format!("the search for what was in flight failed: {e}")),
                None if heard.elapsed() > Duration::from_millis(500) => {
                    // The last offsets may be gaps (markers, compaction): the position tells.
                    let position = scout.position().map_err(|e| e.to_string())?;
                    left.retain(|&(topic, partition), (_, end)| {
                        let at = position.find_partition(self.cluster.name(topic), partition as i32).map(|e| e.offset());
                        !matches!(at, Some(Offset::Offset(at)) if at >= *end)
                    });
                    if heard.elapsed() > PATIENCE && !left.is_empty() {
                        return Err("the search for what was in flight got no answer".into());
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The first offset of each partition that is not older than a time; `None` behind the end.
    fn places(
        &self,
        scout: &BaseConsumer<Quiet>,
        asked: impl Iterator<Item = ((Topic, u32), i64)>,
    ) -> Result<BTreeMap<(Topic, u32), Option<i64>>, String> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), time) in asked {
            list.add_partition_offset(self.cluster.name(topic), partition as i32, Offset::from_raw(time)).map_err(|e| e.to_string())?;
        }
        let told = scout.offsets_for_times(list, PATIENCE).map_err(|e| e.to_string())?;
        let mut places = BTreeMap::new();
        for element in told.elements() {
            element.error().map_err(|e| e.to_string())?;
            let topic = self.cluster.topic(element.topic()).ok_or("Kafka named a topic that is not ours")?;
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            places.insert((topic, element.partition() as u32), offset);
        }
        Ok(places)
    }

    fn line(&self) -> Result<Arc<Line>, String> {
        let listener: Arc<dyn Listener> = self.sequencer.clone();
        let listener: Weak<dyn Listener> = Arc::downgrade(&listener);
        Line::open(&self.cluster, listener).map(Arc::new).map_err(|e| format!("`log.properties`: {e}"))
    }

    fn patience(&self) -> Duration {
        match (self.sequencer.mode(), &self.spool) {
            // While the spool is emptied, its own drain decides.
            (Mode::Draining, _) | (_, None) => TURN_WITHOUT,
            _ => self.patience,
        }
    }

    fn pause(&self, long: Duration) {
        let until = Instant::now() + long;
        while Instant::now() < until && !self.ended.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A line may still be in the hands of an append that is just leaving it.
pub fn close(mut line: Arc<Line>) {
    loop {
        match Arc::try_unwrap(line) {
            Ok(line) => return line.close(),
            Err(held) => line = held,
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// A record among the records of its partition.
type Id = (Topic, u32, String);

/// Those that are in their topics, and where.
type Found = HashMap<Id, u64>;

/// Records that may be in their topics: for each partition, when the oldest was given up, and the ids.
#[derive(Default)]
struct Doubtful {
    places: BTreeMap<(Topic, u32), (i64, HashSet<String>)>,
}

impl Doubtful {
    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn add(&mut self, record: &Record, time: i64) {
        if let Some((topic, partition, id)) = id(record) {
            let place = self.places.entry((topic, partition)).or_insert((time, HashSet::new()));
            place.0 = place.0.min(time);
            place.1.insert(id);
        }
    }

    fn len(&self) -> usize {
        self.places.values().map(|(_, ids)| ids.len()).sum()
    }
}

fn doubtful(spool: &Spool) -> Result<Doubtful, String> {
    let mut doubtful = Doubtful::default();
    let mut at = spool.drained();
    loop {
        let read = spool.read(at, LOAD)?;
        let Some(last) = read.last() else { break };
        at = last.offset + 1;
        let mut any = false;
        for spooled in read {
            if !(spooled.tried || spooled.offset < spool.tried()) {
                continue;
            }
            any = true;
            doubtful.add(&spooled.record, spooled.time);
        }
        // What was in flight at a turn stands in front of what came after it.
        if !any && at >= spool.tried() {
            break;
        }
    }
    Ok(doubtful)
}

/// The id of a record: `ce_id`, or `id`.
fn id(record: &Record) -> Option<Id> {
    let headers: &Headers = &record.headers;
    let id = headers.get("ce_id").or_else(|| headers.get("id"))?;
    Some((record.topic, record.partition, id.to_owned()))
}

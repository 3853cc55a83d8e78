//! `/v1/events`: one tail reader per node feeds all streams from a ring; who is behind the ring reads the log himself.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::cursor::{self, Vector};
use crate::envelope;
use crate::ids::{self, Fingerprint};
use crate::log::{EventLog, Position, ReadError, Stored, Stretch, Topic};

/// The topics events live on.
pub const TOPICS: [Topic; 5] = [Topic::Inbound, Topic::Signals, Topic::Status, Topic::Notices, Topic::Unparsed];
/// Events kept for streams that are a little behind.
const RING: usize = 8192;
/// How long a page reads a log that is slow, before it tells what it has.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ids remembered to drop repeats.
const SEEN: usize = 65_536;

/// An event as it is handed out.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where it stands.
    pub at: Position,
    /// Its id.
    pub id: Arc<str>,
    /// Its type.
    pub kind: Arc<str>,
    /// Its channel.
    pub channel: Arc<str>,
    /// Its conversation.
    pub conversation: Arc<str>,
    record: Stored,
}

impl Event {
    fn of(record: &Stored) -> Option<Self> {
        Some(Self::new(record, &envelope::read(record)?))
    }

    fn new(record: &Stored, event: &envelope::Event<'_>) -> Self {
        Self {
            at: record.at,
            id: (&*event.id).into(),
            kind: (&*event.kind).into(),
            channel: event.channel().into(),
            conversation: (&*event.subject).into(),
            record: record.clone(),
        }
    }

    /// The whole of it as structured JSON. Written when somebody wants it: most events pass while nobody looks.
    pub fn json(&self) -> Bytes {
        envelope::structured(&self.record)
    }
}

/// Which events somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// These types, or those that begin with what stands before a `*`; empty: all.
    pub types: Vec<String>,
    /// These channels; empty: all.
    pub channels: Vec<String>,
    /// This conversation.
    pub conversation: Option<String>,
}

impl Filter {
    /// The event of a record, if it is one and wanted.
    fn take(&self, record: &Stored) -> Option<Event> {
        let event = envelope::read(record)?;
        self.wants(&event.kind, event.channel(), &event.subject).then(|| Event::new(record, &event))
    }

    /// Whether it wants events of this type, channel and conversation.
    fn wants(&self, kind: &str, channel: &str, conversation: &str) -> bool {
        let of_kind = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => *pattern == kind,
        };
        (self.types.is_empty() || self.types.iter().any(of_kind))
            && (self.channels.is_empty() || self.channels.iter().any(|c| c == channel))
            && self.conversation.as_ref().is_none_or(|c| c == conversation)
    }
}

/// Why there are no events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The cursor is not one of ours.
    Foreign,
    /// What it points at has been deleted.
    Expired,
    /// The log cannot be read now.
    Away(String),
}

/// Most events pass while nobody looks: they lie here as they came, and are read by whoever wants them.
struct Ring {
    records: VecDeque<Stored>,
    /// From here on the ring has everything.
    floor: Vector,
    /// Up to here.
    end: Vector,
    seen: HashSet<Fingerprint>,
    seen_order: VecDeque<Fingerprint>,
}

/// The events of this node's log.
pub struct Feed {
    log: Arc<dyn EventLog>,
    ring: RwLock<Ring>,
    moved: watch::Sender<u64>,
    key: Vec<u8>,
}

impl Feed {
    /// Opens the feed at the log's end. `key` authenticates cursors.
    pub async fn open(log: Arc<dyn EventLog>, key: Vec<u8>) -> Result<Arc<Self>, ReadError> {
        let mut end = Vector::new();
        for topic in TOPICS {
            let ends = log.ends(topic).await?;
            for partition in 0..log.partitions(topic) {
                end.insert((topic, partition), ends.get(&partition).copied().unwrap_or(0));
            }
        }
        let ring = Ring { records: VecDeque::new(), floor: end.clone(), end, seen: HashSet::new(), seen_order: VecDeque::new() };
        Ok(Arc::new(Self { log, ring: RwLock::new(ring), moved: watch::channel(0).0, key }))
    }

    /// Fills the ring until the process ends.
    pub async fn run(self: Arc<Self>) {
        let mut reader = self.log.reader();
        for ((topic, partition), offset) in self.ring.read().end.clone() {
            reader.assign(Position { topic, partition, offset });
        }
        loop {
            match reader.next(1024).await {
                Ok(records) => {
                    let named: Vec<(Option<Fingerprint>, Stored)> = records.into_iter().map(|r| (name(&r), r)).collect();
                    let mut ring = self.ring.write();
                    for (name, record) in named {
                        ring.end.insert((record.at.topic, record.at.partition), record.at.offset + 1);
                        if let Some(name) = name {
                            ring.push(name, record);
                        }
                    }
                    drop(ring);
                    self.moved.send_modify(|n| *n += 1);
                }
                Err(e) => {
                    tracing::warn!(error = %e, "events cannot be read now");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// The place behind the newest event.
    pub fn now(&self) -> Vector {
        self.ring.read().end.clone()
    }

    /// The place of the oldest event.
    pub async fn beginning(&self) -> Result<Vector, Error> {
        let mut vector = Vector::new();
        for topic in TOPICS {
            let begins = self.log.begins(topic).await.map_err(|e| Error::Away(e.to_string()))?;
            for partition in 0..self.log.partitions(topic) {
                vector.insert((topic, partition), begins.get(&partition).copied().unwrap_or(0));
            }
        }
        Ok(vector)
    }

    /// The event at a place; `None` when it is not there any more.
    pub async fn at(&self, at: Position) -> Result<Option<Event>, Error> {
        let mut reader = self.log.reader();
        reader.assign(at);
        match tokio::time::timeout(Duration::from_secs(5), reader.next(1)).await {
            Ok(Ok(records)) => Ok(records.first().filter(|r| r.at == at).and_then(Event::of)),
            Ok(Err(ReadError::Expired(..))) => Ok(None),
            Ok(Err(e)) => Err(Error::Away(e.to_string())),
            Err(_) => Err(Error::Away("the log does not answer".into())),
        }
    }

    /// Reads a cursor.
    pub fn cursor(&self, text: &str) -> Result<Vector, Error> {
        cursor::read(text, &self.key).ok_or(Error::Foreign)
    }

    /// Writes a cursor.
    pub fn text(&self, vector: &Vector) -> String {
        cursor::write(vector, &self.key)
    }

    /// Waits, a second at most, until the ring has what lies in the log now: who reads after an answer sees what it was about.
    /// A log that is away is not asked.
    pub async fn catch_up(&self) {
        if !self.log.health().log {
            return;
        }
        let ring_has = async {
            let mut moved = self.watch();
            let mut ends = Vector::new();
            for (topic, found) in TOPICS.into_iter().zip(join_all(TOPICS.map(|topic| self.log.ends(topic))).await) {
                ends.extend(found.unwrap_or_default().into_iter().map(|(partition, end)| ((topic, partition), end)));
            }
            let behind = || {
                let ring = self.ring.read();
                ends.iter().any(|(key, end)| ring.end.get(key).is_none_or(|at| at < end))
            };
            while behind() && moved.changed().await.is_ok() {}
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), ring_has).await;
    }

    /// Told whenever the ring has moved.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// The next events behind a place, at most `limit`, and the place behind them. May be empty and still move.
    pub async fn page(&self, from: &Vector, filter: &Filter, limit: usize) -> Result<(Vec<Event>, Vector, bool), Error> {
        if let Some(page) = self.ring.read().page(from, filter, limit) {
            return Ok(page);
        }
        self.page_from_log(from, filter, limit).await
    }

    /// Reads the log for somebody who is behind the ring.
    async fn page_from_log(&self, from: &Vector, filter: &Filter, limit: usize) -> Result<(Vec<Event>, Vector, bool), Error> {
        let end = self.now();
        let mut place = from.clone();
        let parts = end.iter().map(|((topic, partition), end)| {
            let offset = *place.entry((*topic, *partition)).or_insert(0);
            (Position { topic: *topic, partition: *partition, offset }, *end)
        });
        let mut stretch = Stretch::new(&*self.log, parts);
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut events = Vec::new();
        let mut seen = HashSet::new();
        // A page reads a bounded stretch, so that a narrow filter over a long log answers in time, empty but further on.
        let mut budget = 20_000;
        while events.len() < limit && budget > 0 {
            let want = (limit - events.len()).max(64);
            let records = match tokio::time::timeout_at(until, stretch.next(want)).await {
                // A log that is slow: what was read so far, and the rest is asked for again.
                Err(_) => break,
                // Offsets are sparse: what lies between here and the end is nothing.
                Ok(Ok(None)) => {
                    forward(&mut place, &end);
                    break;
                }
                Ok(Ok(Some(records))) => records,
                Ok(Err(ReadError::Expired(..))) => return Err(Error::Expired),
                Ok(Err(e)) => return Err(Error::Away(e.to_string())),
            };
            for record in records {
                let key = (record.at.topic, record.at.partition);
                if events.len() >= limit {
                    break; // Not taken: the place stays before it.
                }
                budget -= 1;
                place.insert(key, record.at.offset + 1);
                if let Some(event) = filter.take(&record)
                    && seen.insert(Arc::clone(&event.id))
                {
                    events.push(event);
                }
            }
        }
        let more = place.iter().any(|(key, at)| end.get(key).is_some_and(|e| at < e));
        Ok((events, place, more))
    }
}

/// Moves a place on to an end, and never back: it may come from another node, which has read further.
fn forward(place: &mut Vector, end: &Vector) {
    for (key, end) in end {
        place.entry(*key).and_modify(|at| *at = (*at).max(*end)).or_insert(*end);
    }
}

/// What an event is told apart by: its id as a number. It stands in a header in both encodings.
fn name(record: &Stored) -> Option<Fingerprint> {
    let id = record.headers.get("ce_id")?;
    Some(ids::read_fingerprint(id).unwrap_or_else(|| ids::fingerprint(&[id.as_bytes()])))
}

impl Ring {
    fn push(&mut self, name: Fingerprint, record: Stored) {
        if !self.seen.insert(name) {
            return;
        }
        self.seen_order.push_back(name);
        if self.seen_order.len() > SEEN
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.records.push_back(record);
        while self.records.len() > RING {
            let Some(gone) = self.records.pop_front() else { break };
            self.floor.insert((gone.at.topic, gone.at.partition), gone.at.offset + 1);
        }
    }

    /// A page, if the ring reaches back far enough.
    fn page(&self, from: &Vector, filter: &Filter, limit: usize) -> Option<(Vec<Event>, Vector, bool)> {
        if self.floor.iter().any(|(key, floor)| from.get(key).copied().unwrap_or(0) < *floor) {
            return None;
        }
        let mut place = from.clone();
        let mut events = Vec::new();
        for record in &self.records {
            let key = (record.at.topic, record.at.partition);
            if record.at.offset < place.get(&key).copied().unwrap_or(0) {
                continue;
            }
            if events.len() >= limit {
                return Some((events, place, true));
            }
            place.insert(key, record.at.offset + 1);
            events.extend(filter.take(record));
        }
        forward(&mut place, &self.end);
        Some((events, place, false))
    }
}

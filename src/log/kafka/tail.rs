//! The newest events, read once for all readers of this process.
//!
//! Whoever listens to events listens at their end, and several do: the delivery, consent, campaigns, triggers. With a client for
//! each, every record would be fetched, decoded and copied for every one of them, which costs more than producing it. So one client
//! reads the partitions that somebody follows and keeps the newest records of each; a reader whose place is among these takes them
//! from here, and one that is behind reads by itself until it is not.
//!
//! Invariant: a stretch holds every record of its partition from `from` up to `next`, in order. Where that cannot be said any more
//! (the broker has no such offset), all stretches are given up and begun anew at the ends.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::sync::{Notify, watch};

use super::{
    super::{Position, ReadError, Stored, Topic},
    client::{Cluster, NEWEST, Quiet, away},
    reader::stored,
};

/// A partition.
pub type Part = (Topic, u32);

/// Bytes of a stretch at most: who is further behind reads by itself.
const MOST: usize = 512 << 10;
/// Records of a stretch that stay though all who follow have them, so that who comes from behind meets it.
const LEAST: usize = 128;
/// Records put up at a time.
const TOGETHER: usize = 512;
/// How long it waits for more where little came: whoever follows is woken once for what comes together.
const GATHERS: Duration = Duration::from_millis(2);
/// How long beginning is left alone after it failed: a question that is not answered takes five seconds.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether anybody holds the tail.
const LOOKS: Duration = Duration::from_secs(1);

/// Whether a topic's newest records are kept here: those that several listen to.
pub fn keeps(topic: Topic) -> bool {
    matches!(topic, Topic::Inbound | Topic::Signals | Topic::Status | Topic::Notices | Topic::Unparsed)
}

/// What a reader finds for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its place is here: what there is has been given, what comes will be.
    Here,
    /// Its place lies before what is kept.
    Behind,
    /// The end is being looked for.
    Opening,
}

/// The newest records.
pub struct Tail {
    inner: Mutex<Inner>,
    /// Counts what was put up.
    grown: watch::Sender<u64>,
    /// Rung when somebody follows a partition that nobody followed, or the last one leaves it.
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    stretches: HashMap<Part, Stretch>,
    readers: u64,
}

#[derive(Default)]
struct Stretch {
    /// The first offset it knows of, and the one behind its last record; `None` while its end is looked for.
    known: Option<(u64, u64)>,
    records: VecDeque<Stored>,
    bytes: usize,
    /// Who follows it, and from which offset they go on.
    followers: BTreeMap<u64, u64>,
}

fn size(record: &Stored) -> usize {
    record.key.len() + record.value.len() + 64
}

impl Stretch {
    fn put(&mut self, record: Stored) {
        let Some((_, next)) = &mut self.known else { return };
        if record.at.offset < *next {
            return;
        }
        *next = record.at.offset + 1;
        self.bytes += size(&record);
        self.records.push_back(record);
        while self.bytes > MOST && self.records.len() > 1 {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        if let (Some(record), Some((from, _))) = (self.records.pop_front(), &mut self.known) {
            self.bytes -= size(&record);
            *from = record.at.offset + 1;
        }
    }

    /// What lies from `place` on, at most so many.
    fn look(&mut self, reader: u64, place: &mut u64, max: usize, into: &mut Vec<Stored>) -> Found {
        let Some((from, next)) = self.known else { return Found::Opening };
        if *place < from {
            return Found::Behind;
        }
        if *place < next {
            let first = self.records.partition_point(|r| r.at.offset < *place);
            into.extend(self.records.iter().skip(first).take(max).cloned());
            *place = into.last().filter(|_| first < self.records.len()).map_or(next, |r| r.at.offset + 1);
        }
        self.followers.insert(reader, *place);
        let needed = self.followers.values().copied().filter(|place| *place >= from).min().unwrap_or(next);
        while self.records.len() > LEAST && self.records.front().is_some_and(|r| r.at.offset < needed) {
            self.shorten();
        }
        Found::Here
    }
}

impl Tail {
    /// Nothing yet. Reads as long as somebody holds it.
    pub fn new(cluster: Cluster) -> Arc<Self> {
        let tail = Arc::new(Self { inner: Mutex::default(), grown: watch::channel(0).0, changed: Notify::new() });
        tokio::spawn(run(cluster, Arc::downgrade(&tail)));
        tail
    }

    /// A name for a reader.
    pub fn join(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.readers += 1;
        inner.readers
    }

    /// Tells when something was put up.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    /// A reader reads this partition from there on.
    pub fn follow(&self, reader: u64, part: Part, place: u64) {
        let mut inner = self.inner.lock();
        let stretch = inner.stretches.entry(part).or_default();
        stretch.followers.insert(reader, place);
        if stretch.known.is_none() {
            self.changed.notify_one();
        }
    }

    /// A reader reads this partition no more.
    pub fn leave(&self, reader: u64, part: Part) {
        let mut inner = self.inner.lock();
        if let Some(stretch) = inner.stretches.get_mut(&part)
            && stretch.followers.remove(&reader).is_some()
            && stretch.followers.is_empty()
        {
            self.changed.notify_one();
        }
    }

    /// Gives a reader what lies at its places, until it has so many records, and says of each partition how it stands.
    pub fn take(&self, reader: u64, places: Vec<(Part, &mut u64)>, max: usize, into: &mut Vec<Stored>, mut say: impl FnMut(Part, Found)) {
        let mut inner = self.inner.lock();
        for (part, place) in places {
            let found = match inner.stretches.get_mut(&part) {
                Some(stretch) => {
                    let room = max.saturating_sub(into.len());
                    match room {
                        0 if stretch.known.is_some_and(|(from, _)| *place >= from) => Found::Here,
                        _ => stretch.look(reader, place, room.max(1), into),
                    }
                }
                None => Found::Behind,
            };
            say(part, found);
        }
    }

    /// Whether the end of this partition has been found.
    pub fn knows(&self, part: Part) -> bool {
        self.inner.lock().stretches.get(&part).is_some_and(|stretch| stretch.known.is_some())
    }

    /// Nothing is known any more; who follows what stays.
    fn forget(&self) {
        for stretch in self.inner.lock().stretches.values_mut() {
            *stretch = Stretch { followers: std::mem::take(&mut stretch.followers), ..Stretch::default() };
        }
        self.ring();
    }

    fn ring(&self) {
        self.grown.send_modify(|count| *count += 1);
    }
}

/// What the client has been told to read.
struct Client {
    cluster: Cluster,
    consumer: Arc<StreamConsumer<Quiet>>,
    told: BTreeMap<Part, ()>,
}

/// Reads until nobody holds the tail any more.
async fn run(cluster: Cluster, tail: Weak<Tail>) {
    let mut client: Option<Client> = None;
    let mut not_before = Instant::now();
    loop {
        let Some(tail) = tail.upgrade() else { return };
        if Instant::now() >= not_before
            && let Err(error) = settle(&cluster, &tail, &mut client).await
        {
            // What has begun goes on meanwhile.
            tracing::debug!(%error, "readers go by themselves where the end cannot be told");
            not_before = Instant::now() + AGAIN;
        }
        let consumer = client.as_ref().map(|c| Arc::clone(&c.consumer));
        let first = async {
            match &consumer {
                Some(consumer) => consumer.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tail.changed.notified() => {}
            first = first => {
                let Some(consumer) = &consumer else { continue };
                match put(&cluster, &tail, consumer, first) {
                    Some(TOGETHER) => {}
                    Some(_) => tokio::time::sleep(GATHERS).await,
                    None => {
                        tail.forget();
                        let lost = client.take();
                        let _ = tokio::task::spawn_blocking(move || drop(lost)).await;
                    }
                }
            }
            () = tokio::time::sleep(LOOKS) => {}
        }
    }
}

/// Puts up what lies there, and how many records that was; `None` when the broker has no such offset.
fn put(
    cluster: &Cluster,
    tail: &Tail,
    consumer: &StreamConsumer<Quiet>,
    first: Result<rdkafka::message::BorrowedMessage<'_>, KafkaError>,
) -> Option<usize> {
    let (mut received, mut records, mut good) = (Some(first), Vec::new(), true);
    while let Some(message) = received.take() {
        match message {
            Ok(message) => {
                if let Some(topic) = cluster.topic(message.topic()) {
                    let at = Position { topic, partition: message.partition() as u32, offset: message.offset() as u64 };
                    records.push(stored(at, &message));
                }
            }
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) => {
                good = false;
                break;
            }
            Err(error) => tracing::debug!(%error, "reading waits for Kafka"),
        }
        if records.len() < TOGETHER {
            received = consumer.recv().now_or_never();
        }
    }
    let count = records.len();
    if count > 0 {
        let mut inner = tail.inner.lock();
        for record in records {
            if let Some(stretch) = inner.stretches.get_mut(&(record.at.topic, record.at.partition)) {
                stretch.put(record);
            }
        }
        drop(inner);
        tail.ring();
    }
    good.then_some(count)
}

/// Begins with what somebody follows now, and ends what nobody does.
async fn settle(cluster: &Cluster, tail: &Tail, client: &mut Option<Client>) -> Result<(), ReadError> {
    let (mut open, mut shut) = (Vec::new(), Vec::new());
    {
        let mut inner = tail.inner.lock();
        inner.stretches.retain(|part, stretch| {
            if stretch.followers.is_empty() {
                shut.push(*part);
                return false;
            }
            if stretch.known.is_none() {
                open.push(*part);
            }
            true
        });
    }
    if open.is_empty() && shut.is_empty() {
        return Ok(());
    }
    let client = match client {
        Some(client) => client,
        None => {
            let group = format!("{}.tail", cluster.prefix());
            let made = cluster.consumer(&group).create_with_context::<_, StreamConsumer<Quiet>>(Quiet::default());
            let consumer = Arc::new(made.map_err(|e| away(&e))?);
            client.insert(Client { cluster: cluster.clone(), consumer, told: BTreeMap::new() })
        }
    };
    client.end(&shut)?;
    client.begin(tail, open).await
}

impl Client {
    fn end(&mut self, parts: &[Part]) -> Result<(), ReadError> {
        let mut go = TopicPartitionList::new();
        for &(topic, partition) in parts {
            if self.told.remove(&(topic, partition)).is_some() {
                go.add_partition(self.cluster.name(topic), partition as i32);
            }
        }
        if go.count() > 0 { self.consumer.incremental_unassign(&go).map_err(|e| away(&e)) } else { Ok(()) }
    }

    /// Begins at the end of each: what lies before it is read by those who want it.
    async fn begin(&mut self, tail: &Tail, parts: Vec<Part>) -> Result<(), ReadError> {
        if parts.is_empty() {
            return Ok(());
        }
        self.end(&parts)?;
        let (cluster, asked) = (self.cluster.clone(), parts);
        let ends = tokio::task::spawn_blocking(move || {
            let scout: BaseConsumer<Quiet> = cluster.scout(&format!("{}.tail", cluster.prefix())).map_err(|e| away(&e))?;
            let (mut ends, mut failed) = (Vec::new(), None);
            for topic in Topic::ALL {
                let count = asked.iter().filter(|(t, _)| *t == topic).map(|(_, partition)| partition + 1).max();
                let Some(count) = count else { continue };
                match cluster.offsets(&scout, topic, count, NEWEST) {
                    Ok(found) => ends.extend(asked.iter().filter(|(t, _)| *t == topic).filter_map(|p| Some((*p, *found.get(&p.1)?)))),
                    Err(error) => failed = Some(error),
                }
            }
            Ok::<_, ReadError>((ends, failed))
        });
        let (ends, failed) = ends.await.unwrap_or_else(|e| Err(ReadError::Away(e.to_string().into())))?;
        let mut come = TopicPartitionList::new();
        for &((topic, partition), end) in &ends {
            come.add_partition_offset(self.cluster.name(topic), partition as i32, Offset::Offset(end as i64)).map_err(|e| away(&e))?;
        }
        if come.count() > 0 {
            self.consumer.incremental_assign(&come).map_err(|e| away(&e))?;
        }
        let mut inner = tail.inner.lock();
        for (part, end) in ends {
            self.told.insert(part, ());
            if let Some(stretch) = inner.stretches.get_mut(&part) {
                stretch.known = Some((end, end));
            }
        }
        drop(inner);
        tail.ring();
        failed.map_or(Ok(()), Err)
    }
}

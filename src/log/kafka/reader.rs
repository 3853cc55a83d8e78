//! Readers of Kafka, partitions assigned by hand.
//!
//! The newest events come from the [`Tail`]. For all else a reader has a client, with threads and connections, of its own: let one
//! reader read many partitions rather than many read one. While Kafka is away a reader waits; what it waits for comes when Kafka is
//! back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaErrorCode,
};

use tokio::sync::watch;

use super::{
    super::{Headers, Pending, Position, ReadError, Reader, Stored, Topic},
    client::{Cluster, OLDEST, Quiet, away},
    tail::{Found, Part, Tail, keeps},
};

/// How long the end of a partition may be looked for before a reader goes by itself.
const OPENS_WITHIN: Duration = Duration::from_secs(2);
/// How long a client that has nothing to read is kept: who fell behind once may again.
const RESTS: Duration = Duration::from_secs(60);

/// Reads a log on Kafka.
pub struct KafkaReader {
    cluster: Cluster,
    tail: Arc<Tail>,
    /// Our name there, and what tells that something was put up.
    name: u64,
    grown: watch::Receiver<u64>,
    consumer: Option<Arc<StreamConsumer<Quiet>>>,
    /// Where each partition goes on.
    wanted: BTreeMap<Part, u64>,
    /// Those of them that come from the tail now, or will within a moment.
    by_tail: BTreeSet<Part>,
    /// What librdkafka has been told to read.
    told: BTreeSet<Part>,
    /// Partitions to be told anew before the next read.
    changed: Vec<Part>,
    /// Since when ends are looked for, and since when the client has nothing to read.
    opening: Option<Instant>,
    resting: Option<Instant>,
    /// Counts reads: the tail and the client, and in the tail the partitions, take turns, so that none makes another wait for ever.
    turn: usize,
}

impl KafkaReader {
    /// A reader of nothing yet.
    pub fn new(cluster: Cluster, tail: Arc<Tail>) -> Self {
        let (name, grown) = (tail.join(), tail.grown());
        Self {
            cluster,
            tail,
            name,
            grown,
            consumer: None,
            wanted: BTreeMap::new(),
            by_tail: BTreeSet::new(),
            told: BTreeSet::new(),
            changed: Vec::new(),
            opening: None,
            resting: None,
            turn: 0,
        }
    }

    /// Whether some partition does not come from the tail.
    #[cfg(test)]
    pub fn goes_alone(&self) -> bool {
        !self.told.is_empty() || self.by_tail.len() < self.wanted.len()
    }

    fn drop_from(&mut self, topic: Topic, partition: u32) {
        let part = (topic, partition);
        if self.wanted.remove(&part).is_some() {
            self.changed.push(part);
            self.by_tail.remove(&part);
            if keeps(topic) {
                self.tail.leave(self.name, part);
            }
        }
    }

    /// What the tail has for us, at most so much. Partitions that it does not have from our place on are left to the client.
    fn take_from_tail(&mut self, max: usize, records: &mut Vec<Stored>) {
        let (mut behind, mut here, mut opening) = (Vec::new(), Vec::new(), false);
        let mut places: Vec<(Part, &mut u64)> =
            self.wanted.iter_mut().filter(|((topic, _), _)| keeps(*topic)).map(|(part, place)| (*part, place)).collect();
        if places.is_empty() {
            return;
        }
        let first = self.turn % places.len();
        places.rotate_left(first);
        let by_tail = &self.by_tail;
        self.tail.take(self.name, places, max, records, |part, found| match found {
            Found::Here if !by_tail.contains(&part) => here.push(part),
            Found::Behind if by_tail.contains(&part) => behind.push(part),
            Found::Opening => opening = true,
            _ => {}
        });
        match (opening, self.opening) {
            (false, _) => self.opening = None,
            (true, None) => self.opening = Some(Instant::now()),
            (true, Some(since)) if since.elapsed() < OPENS_WITHIN => {}
            // They are read by ourselves until they are there.
            (true, Some(_)) => behind.extend(self.by_tail.iter().filter(|part| !self.tail.knows(**part))),
        }
        for part in behind {
            self.by_tail.remove(&part);
            self.changed.push(part);
        }
        for part in here {
            self.by_tail.insert(part);
            self.changed.push(part);
        }
    }

    /// Tells librdkafka what has changed since the last read: one call for what goes, one for what comes. Nothing where there is
    /// nothing for it to read.
    fn tell(&mut self) -> Result<Option<Arc<StreamConsumer<Quiet>>>, ReadError> {
        if self.wanted.len() == self.by_tail.len() && self.told.is_empty() {
            self.changed.clear();
            self.rest();
            return Ok(None);
        }
        let consumer = match &self.consumer {
            Some(consumer) => consumer.clone(),
            None => {
                let group = format!("{}.reader", self.cluster.prefix());
                let made = self.cluster.consumer(&group).create_with_context::<_, StreamConsumer<Quiet>>(Quiet::default());
                let consumer = Arc::new(made.map_err(|e| away(&e))?);
                self.consumer = Some(consumer.clone());
                consumer
            }
        };
        self.resting = None;
        if self.changed.is_empty() {
            return Ok(Some(consumer));
        }
        let (mut go, mut come) = (TopicPartitionList::new(), TopicPartitionList::new());
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for part in changed {
            let (topic, partition) = part;
            let name = self.cluster.name(topic);
            if self.told.remove(&part) {
                go.add_partition(name, partition as i32);
            }
            if let Some(&offset) = self.wanted.get(&part).filter(|_| !self.by_tail.contains(&part)) {
                self.told.insert(part);
                come.add_partition_offset(name, partition as i32, Offset::Offset(offset as i64)).map_err(|e| away(&e))?;
            }
        }
        if go.count() > 0 {
            consumer.incremental_unassign(&go).map_err(|e| away(&e))?;
        }
        if come.count() > 0 {
            consumer.incremental_assign(&come).map_err(|e| away(&e))?;
        }
        Ok(Some(consumer))
    }

    /// The client has nothing to read: after a while it goes.
    fn rest(&mut self) {
        if self.consumer.is_none() {
            return;
        }
        if self.resting.get_or_insert_with(Instant::now).elapsed() > RESTS {
            self.resting = None;
            let consumer = self.consumer.take();
            // Its threads are waited for.
            tokio::task::spawn_blocking(move || drop(consumer));
        }
    }

    /// A message as a record, when it is one that is wanted; what was under way when a partition was paused is not.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<Stored> {
        let (topic, partition, offset) = (self.cluster.topic(message.topic())?, message.partition() as u32, message.offset() as u64);
        let wanted = self.wanted.get_mut(&(topic, partition))?;
        // What comes from the tail by now may lie in the client's queue still.
        if offset < *wanted || self.by_tail.contains(&(topic, partition)) {
            return None;
        }
        *wanted = offset + 1;
        Some(stored(Position { topic, partition, offset }, message))
    }

    /// Some position is not on the broker: finds out which, and where its oldest record stands.
    async fn expired(&mut self, consumer: Arc<StreamConsumer<Quiet>>) -> Result<(), ReadError> {
        let ours = |part: &Part| self.told.contains(part);
        let wanted: Vec<(Part, u64)> = self.wanted.iter().filter(|(part, _)| ours(part)).map(|(part, offset)| (*part, *offset)).collect();
        let cluster = self.cluster.clone();
        let find = move || {
            let scout = cluster.scout(&format!("{}.reader", cluster.prefix())).map_err(|e| away(&e))?;
            for ((topic, partition), offset) in wanted {
                let begin = cluster.begin(&scout, topic, partition)?;
                if offset < begin {
                    return Ok(Some((Position { topic, partition, offset }, begin)));
                }
            }
            Ok(None)
        };
        let found = tokio::task::spawn_blocking(find).await.unwrap_or_else(|e| Err(ReadError::Away(e.to_string().into())))?;
        drop(consumer);
        match found {
            // librdkafka has given that partition up; it is told again when it is assigned.
            Some((at, begin)) => Err(ReadError::Expired(at, begin)),
            None => {
                // A new leader may not have it yet: all are told again.
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                Ok(())
            }
        }
    }
}

impl Cluster {
    fn begin(&self, scout: &rdkafka::consumer::BaseConsumer<Quiet>, topic: Topic, partition: u32) -> Result<u64, ReadError> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(self.name(topic), partition as i32, Offset::from_raw(OLDEST)).map_err(|e| away(&e))?;
        let found = scout.offsets_for_times(wanted, super::client::PATIENCE).map_err(|e| away(&e))?;
        match found.elements().first().map(|e| e.offset()) {
            Some(Offset::Offset(offset)) => Ok(offset as u64),
            _ => Err(ReadError::Away("Kafka did not tell where the partition begins".into())),
        }
    }
}

/// A message in our form: one buffer for key, headers and value.
pub fn stored(at: Position, message: &BorrowedMessage<'_>) -> Stored {
    let key = message.key().unwrap_or_default();
    let value = message.payload().unwrap_or_default();
    let headers = match message.headers() {
        None => Headers::default(),
        Some(headers) => {
            let pairs = headers.iter().map(|h| (h.key, std::str::from_utf8(h.value.unwrap_or_default()).unwrap_or_default()));
            Headers::of(pairs)
        }
    };
    let mut whole = BytesMut::with_capacity(key.len() + value.len());
    whole.put_slice(key);
    whole.put_slice(value);
    let mut whole: Bytes = whole.freeze();
    let key = whole.split_to(key.len());
    Stored { at, time: message.timestamp().to_millis().unwrap_or(0), key, headers, value: whole }
}

impl Reader for KafkaReader {
    fn assign(&mut self, from: Position) {
        let part = (from.topic, from.partition);
        self.wanted.insert(part, from.offset);
        self.changed.push(part);
        if keeps(from.topic) {
            self.tail.follow(self.name, part, from.offset);
            self.by_tail.insert(part);
        }
    }

    fn release(&mut self, topic: Topic, partition: u32) {
        self.drop_from(topic, partition);
    }

    fn pause(&mut self, topic: Topic, partition: u32) {
        self.drop_from(topic, partition);
    }

    fn next(&mut self, max: usize) -> Pending<'_, Result<Vec<Stored>, ReadError>> {
        let max = max.max(1);
        Box::pin(async move {
            loop {
                let consumer = self.tell()?;
                let mut records = Vec::new();
                // What is put up from here on rings again.
                self.grown.mark_unchanged();
                self.turn = self.turn.wrapping_add(1);
                let tail_first = self.turn.is_multiple_of(2);
                if tail_first {
                    self.take_from_tail(max, &mut records);
                }
                if let Some(consumer) = consumer.as_ref().filter(|_| records.len() < max) {
                    // With records in hand it neither fails nor waits.
                    self.take_from_client(consumer, consumer.recv().now_or_never(), max, &mut records).await?;
                }
                if !tail_first && records.len() < max {
                    self.take_from_tail(max, &mut records);
                }
                if !records.is_empty() {
                    return Ok(records);
                }
                if !self.changed.is_empty() {
                    continue;
                }
                // While an end is looked for, a partition may have to be read by ourselves before anything rings.
                let patience = if self.opening.is_some() { OPENS_WITHIN } else { RESTS };
                let received = match &consumer {
                    Some(consumer) => tokio::select! {
                        received = consumer.recv() => Some(received),
                        _ = self.grown.changed() => None,
                        () = tokio::time::sleep(patience) => None,
                    },
                    None => tokio::select! {
                        _ = self.grown.changed() => None,
                        () = tokio::time::sleep(patience) => None,
                    },
                };
                if let (Some(consumer), received @ Some(_)) = (&consumer, received) {
                    self.take_from_client(consumer, received, max, &mut records).await?;
                    if !records.is_empty() {
                        return Ok(records);
                    }
                }
            }
        })
    }
}

impl KafkaReader {
    /// What lies in the client's queue, beginning with this. A message leaves the queue only in the step that puts it into our hands,
    /// and there is no pause between that and the return.
    async fn take_from_client(
        &mut self,
        consumer: &Arc<StreamConsumer<Quiet>>,
        mut received: Option<Result<BorrowedMessage<'_>, KafkaError>>,
        max: usize,
        records: &mut Vec<Stored>,
    ) -> Result<(), ReadError> {
        while let Some(message) = received.take() {
            match message {
                Ok(message) => records.extend(self.take(&message)),
                Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) => {
                    // Whoever gives up waiting for the answer asks anew.
                    self.changed.extend(self.told.iter());
                    if records.is_empty() {
                        return self.expired(consumer.clone()).await;
                    }
                    // First what has been read; the question is asked again when all are told again.
                    return Ok(());
                }
                Err(error) => tracing::debug!(%error, "reading waits for Kafka"),
            }
            if records.len() < max {
                received = consumer.recv().now_or_never();
            }
        }
        Ok(())
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        for part in self.wanted.keys().filter(|(topic, _)| keeps(*topic)) {
            self.tail.leave(self.name, *part);
        }
    }
}

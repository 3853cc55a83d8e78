//! Readers of Kafka: one client each, partitions assigned by hand.
//!
//! A reader has threads and connections of its own: let one reader read many partitions rather than many read one.
//! While Kafka is away a reader waits; what it waits for comes when Kafka is back.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaErrorCode,
};

use super::{
    super::{Headers, Pending, Position, ReadError, Reader, Stored, Topic},
    client::{Cluster, OLDEST, Quiet, away},
};

/// Reads a log on Kafka.
pub struct KafkaReader {
    cluster: Cluster,
    consumer: Option<Arc<StreamConsumer<Quiet>>>,
    /// Where each partition goes on.
    wanted: BTreeMap<(Topic, u32), u64>,
    /// What librdkafka has been told to read.
    told: BTreeMap<(Topic, u32), ()>,
    /// Partitions to be told anew before the next read.
    changed: Vec<(Topic, u32)>,
}

impl KafkaReader {
    /// A reader of nothing yet.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, consumer: None, wanted: BTreeMap::new(), told: BTreeMap::new(), changed: Vec::new() }
    }

    fn drop_from(&mut self, topic: Topic, partition: u32) {
        if self.wanted.remove(&(topic, partition)).is_some() {
            self.changed.push((topic, partition));
        }
    }

    /// Tells librdkafka what has changed since the last read: one call for what goes, one for what comes.
    fn tell(&mut self) -> Result<Arc<StreamConsumer<Quiet>>, ReadError> {
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
        if self.changed.is_empty() {
            return Ok(consumer);
        }
        let (mut go, mut come) = (TopicPartitionList::new(), TopicPartitionList::new());
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for (topic, partition) in changed {
            let name = self.cluster.name(topic);
            if self.told.remove(&(topic, partition)).is_some() {
                go.add_partition(name, partition as i32);
            }
            if let Some(&offset) = self.wanted.get(&(topic, partition)) {
                self.told.insert((topic, partition), ());
                come.add_partition_offset(name, partition as i32, Offset::Offset(offset as i64)).map_err(|e| away(&e))?;
            }
        }
        if go.count() > 0 {
            consumer.incremental_unassign(&go).map_err(|e| away(&e))?;
        }
        if come.count() > 0 {
            consumer.incremental_assign(&come).map_err(|e| away(&e))?;
        }
        Ok(consumer)
    }

    /// A message as a record, when it is one that is wanted; what was under way when a partition was paused is not.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<Stored> {
        let (topic, partition, offset) = (self.cluster.topic(message.topic())?, message.partition() as u32, message.offset() as u64);
        let wanted = self.wanted.get_mut(&(topic, partition))?;
        if offset < *wanted {
            return None;
        }
        *wanted = offset + 1;
        Some(stored(Position { topic, partition, offset }, message))
    }

    /// Some position is not on the broker: finds out which, and where its oldest record stands.
    async fn expired(&mut self, consumer: Arc<StreamConsumer<Quiet>>) -> Result<(), ReadError> {
        let wanted = self.wanted.clone();
        let cluster = self.cluster.clone();
        let find = move || {
            let scout = cluster.scout(&format!("{}.reader", cluster.prefix())).map_err(|e| away(&e))?;
            for (&(topic, partition), &offset) in &wanted {
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
        self.wanted.insert((from.topic, from.partition), from.offset);
        self.changed.push((from.topic, from.partition));
    }

    fn release(&mut self, topic: Topic, partition: u32) {
        self.drop_from(topic, partition);
    }

    fn pause(&mut self, topic: Topic, partition: u32) {
        self.drop_from(topic, partition);
    }

    fn next(&mut self, max: usize) -> Pending<'_, Result<Vec<Stored>, ReadError>> {
        Box::pin(async move {
            loop {
                let consumer = self.tell()?;
                let mut records = Vec::new();
                // The first is waited for, the rest are taken as they lie there. A message leaves the queue only in the
                // step that puts it into our hands, and there is no pause between that and the return.
                let mut received = Some(consumer.recv().await);
                while let Some(message) = received.take() {
                    match message {
                        Ok(message) => records.extend(self.take(&message)),
                        Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) => {
                            if records.is_empty() {
                                // Whoever gives up waiting for the answer asks anew.
                                self.changed.extend(self.wanted.keys());
                                self.expired(consumer.clone()).await?;
                            } else {
                                // First what has been read; the question is asked again when all are told again.
                                self.changed.extend(self.wanted.keys());
                            }
                            break;
                        }
                        Err(error) => tracing::debug!(%error, "reading waits for Kafka"),
                    }
                    if records.len() < max.max(1) {
                        received = consumer.recv().now_or_never();
                    }
                }
                if !records.is_empty() {
                    return Ok(records);
                }
            }
        })
    }
}

//! How librdkafka is set up: one place for every property we rely on.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
};

use super::super::{Positions, ReadError, Topic, config::Config};

/// What all our clients of one cluster have in common.
#[derive(Clone)]
pub struct Cluster {
    brokers: String,
    prefix: String,
    properties: BTreeMap<String, String>,
    names: Arc<Vec<String>>,
}

/// Records may have a value of 1 MiB, and a key and headers besides.
pub const MAX_RECORD: &str = "2097152";

impl Cluster {
    /// The cluster of a configuration.
    pub fn new(config: &Config, brokers: &str) -> Self {
        let names = Topic::ALL.iter().map(|t| format!("{}.{}", config.topic_prefix, t.name())).collect();
        Self {
            brokers: brokers.to_owned(),
            prefix: config.topic_prefix.clone(),
            properties: config.properties.clone(),
            names: Arc::new(names),
        }
    }

    /// A topic's full name.
    pub fn name(&self, topic: Topic) -> &str {
        &self.names[topic as usize]
    }

    /// The topic of a full name.
    pub fn topic(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|t| self.name(*t) == name)
    }

    /// What stands before every topic and group.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// One idempotent producer: all replicas, no waiting for company, no time-out of its own (the deadline is ours).
    pub fn producer(&self) -> ClientConfig {
        let usual = [
            ("linger.ms", "0"),
            // How much may wait is decided by the sequencer, long before this.
            ("queue.buffering.max.messages", "2000000"),
            ("queue.buffering.max.kbytes", "1048576"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
            ("socket.nagle.disable", "true"),
        ];
        let musts = [("enable.idempotence", "true"), ("acks", "all"), ("message.timeout.ms", "0"), ("message.max.bytes", MAX_RECORD)];
        self.config(&usual, &musts)
    }

    /// A consumer that takes part in no group and keeps no offsets, unless it says so.
    pub fn consumer(&self, group: &str) -> ClientConfig {
        let usual = [
            ("fetch.queue.backoff.ms", "10"),
            ("queued.min.messages", "10000"),
            ("queued.max.messages.kbytes", "8192"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
            ("socket.nagle.disable", "true"),
        ];
        let musts = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("isolation.level", "read_uncommitted"),
        ];
        self.config(&usual, &musts)
    }

    /// For administration.
    pub fn admin(&self) -> ClientConfig {
        self.config(&[], &[])
    }

    /// A consumer that only asks questions.
    pub fn scout(&self, group: &str) -> KafkaResult<BaseConsumer<Quiet>> {
        self.consumer(group).create_with_context(Quiet::default())
    }

    fn config(&self, usual: &[(&str, &str)], musts: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in usual {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers).set("client.id", "fairway");
        for (name, value) in musts {
            config.set(*name, *value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// One offset for each partition of a topic: of a time, or `OLDEST`, or `NEWEST`. Blocks. While a partition moves to
    /// another broker the question is asked again.
    pub fn offsets(&self, scout: &BaseConsumer<Quiet>, topic: Topic, partitions: u32, time: i64) -> Result<Positions, ReadError> {
        let begun = Instant::now();
        loop {
            match self.offsets_once(scout, topic, partitions, time) {
                Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(50)),
                told => return told,
            }
        }
    }

    fn offsets_once(&self, scout: &BaseConsumer<Quiet>, topic: Topic, partitions: u32, time: i64) -> Result<Positions, ReadError> {
        let mut wanted = TopicPartitionList::with_capacity(partitions as usize);
        for partition in 0..partitions {
            wanted.add_partition_offset(self.name(topic), partition as i32, Offset::from_raw(time)).map_err(|e| away(&e))?;
        }
        let found = scout.offsets_for_times(wanted, PATIENCE).map_err(|e| away(&e))?;
        let mut positions = Positions::new();
        let mut behind = false;
        for element in found.elements() {
            element.error().map_err(|e| away(&e))?;
            match element.offset() {
                Offset::Offset(offset) => drop(positions.insert(element.partition() as u32, offset as u64)),
                _ => behind = true,
            }
        }
        // No record is that young: the end of the partition.
        if behind && time != NEWEST {
            for (partition, end) in self.offsets_once(scout, topic, partitions, NEWEST)? {
                positions.entry(partition).or_insert(end);
            }
        }
        match positions.len() == partitions as usize {
            true => Ok(positions),
            false => Err(ReadError::Away("Kafka did not name all partitions".into())),
        }
    }
}

/// In place of a time: the beginning.
pub const OLDEST: i64 = -2;
/// In place of a time: the end.
pub const NEWEST: i64 = -1;
/// How long a question may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// An error as the trait tells it.
pub fn away(error: &KafkaError) -> ReadError {
    ReadError::Away(error.to_string().into())
}

/// Logs what librdkafka says, and keeps the last trouble for `health`.
#[derive(Clone, Default)]
pub struct Quiet {
    trouble: Arc<Mutex<Option<String>>>,
}

impl Quiet {
    /// The last error it told.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        *self.trouble.lock() = Some(format!("{error}: {reason}"));
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ConsumerContext for Quiet {}

/// librdkafka speaks of each broker and each attempt; what matters is logged where it is handled.
pub fn log(level: RDKafkaLogLevel, fac: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => tracing::error!(fac, message, "librdkafka"),
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::debug!(fac, message, "librdkafka"),
        _ => tracing::trace!(fac, message, "librdkafka"),
    }
}

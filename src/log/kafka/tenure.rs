//! Who owns which unit, and positions kept by the cluster.
//!
//! The owners are the members of one group that subscribes to `ledger` alone; its partitions are the units. Nothing is
//! read through it: partitions are paused as they come. The member's name outlives a restart (static membership), so a
//! node that is back within the session (6 s) keeps its units.
//!
//! `ledger/UNIT` is committed as that group's offset of that partition, by the member and only while it holds the unit; what
//! comes together is committed together. Any other name is a group of its own: it commits offset 0 of `control` with the positions as metadata,
//! which the broker keeps as durably as any offset and forgets only after `offsets.retention.minutes` without a commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use dashmap::DashMap;
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{Positions, ReadError, Tenure, Topic},
    client::{Cluster, PATIENCE, Quiet, away},
};

/// The group's member on this node.
pub struct Member {
    consumer: Arc<BaseConsumer<Owner>>,
    ended: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Member {
    /// Joins the group.
    pub fn join(cluster: &Cluster, node: &str, tell: mpsc::UnboundedSender<Tenure>) -> KafkaResult<Self> {
        let mut config = cluster.consumer(&owners(cluster));
        config
            .set("group.protocol", "classic")
            .set("group.instance.id", node)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "500")
            .set("auto.offset.reset", "latest")
            .set("queued.min.messages", "1");
        let owner = Owner { tell, held: Mutex::default() };
        let consumer: Arc<BaseConsumer<Owner>> = Arc::new(config.create_with_context(owner)?);
        consumer.subscribe(&[cluster.name(Topic::Ledger)])?;
        let ended = Arc::new(AtomicBool::new(false));
        let thread = {
            let (consumer, ended) = (consumer.clone(), ended.clone());
            let serve = move || {
                while !ended.load(Ordering::Relaxed) {
                    if let Some(Err(error)) = consumer.poll(Duration::from_millis(100))
                        && let Some((code, why)) = consumer.client().fatal_error()
                    {
                        // Another process has taken our name: it owns the units now, and we do not.
                        tracing::error!(%code, why, %error, "this node is no owner of units any more; give each node a spool folder or host name of its own");
                        consumer.context().lose_all();
                        return;
                    }
                }
            };
            thread::Builder::new().name("kafka-tenure".into()).spawn(serve).ok()
        };
        Ok(Self { consumer, ended, thread: Mutex::new(thread) })
    }

    /// Whether this node owns a unit.
    pub fn holds(&self, unit: u32) -> bool {
        self.consumer.context().held.lock().contains(&unit)
    }

    /// Commits checkpoints. Blocks.
    pub fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.commit(offsets, CommitMode::Sync)
    }

    /// Stops. The units stay with this node's name until its session ends. Blocks.
    pub fn leave(&self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Hears of partitions coming and going.
struct Owner {
    tell: mpsc::UnboundedSender<Tenure>,
    held: Mutex<BTreeSet<u32>>,
}

impl Owner {
    fn gain(&self, unit: u32) {
        if self.held.lock().insert(unit) {
            // Nobody listens any more when the gateway closes.
            let _ = self.tell.send(Tenure::Gained(unit));
        }
    }

    fn lose(&self, unit: u32) {
        if self.held.lock().remove(&unit) {
            let _ = self.tell.send(Tenure::Lost(unit));
        }
    }

    fn lose_all(&self) {
        let held = self.held.lock().clone();
        held.into_iter().for_each(|unit| self.lose(unit));
    }
}

impl ClientContext for Owner {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        super::client::log(level, fac, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ConsumerContext for Owner {
    /// The owner is told before the group is: nobody else can have the unit before it has heard.
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            partitions.elements().iter().for_each(|e| self.lose(e.partition() as u32));
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            if let Err(error) = consumer.pause(partitions) {
                tracing::warn!(%error, "a unit's partition is read twice");
            }
            partitions.elements().iter().for_each(|e| self.gain(e.partition() as u32));
        }
    }
}

/// The group of those who own units.
pub fn owners(cluster: &Cluster) -> String {
    format!("{}.units", cluster.prefix())
}

/// Positions by name.
pub struct Marks {
    cluster: Cluster,
    scouts: DashMap<String, Arc<BaseConsumer<Quiet>>>,
}

impl Marks {
    /// Those of a cluster.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, scouts: DashMap::new() }
    }

    /// Remembers the checkpoints of units. Blocks.
    pub fn commit_units(&self, member: Option<&Member>, units: &BTreeMap<u32, u64>) -> Result<(), ReadError> {
        let mut offsets = TopicPartitionList::new();
        for (&unit, &offset) in units {
            offsets
                .add_partition_offset(self.cluster.name(Topic::Ledger), unit as i32, Offset::Offset(offset as i64))
                .map_err(|e| away(&e))?;
        }
        match member {
            Some(member) => member.commit(&offsets).map_err(|e| away(&e)),
            // Nobody owns units yet: the broker takes it while the group is empty.
            None => self.scout(&owners(&self.cluster))?.commit(&offsets, CommitMode::Sync).map_err(|e| away(&e)),
        }
    }

    /// Remembers positions under a name. Blocks.
    pub fn commit(&self, name: &str, positions: &Positions) -> Result<(), ReadError> {
        let text = write(positions);
        if text.len() > ROOM {
            return Err(told(format!("{} positions are more than Kafka keeps under one name", positions.len())));
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(self.cluster.name(Topic::Control), 0, Offset::Offset(0)).map_err(|e| away(&e))?;
        if let Some(mut element) = offsets.find_partition(self.cluster.name(Topic::Control), 0) {
            element.set_metadata(text);
        }
        self.scout(&self.group(name))?.commit(&offsets, CommitMode::Sync).map_err(|e| away(&e))
    }

    /// Recalls. Blocks.
    pub fn committed(&self, name: &str) -> Result<Positions, ReadError> {
        let mut asked = TopicPartitionList::new();
        let unit = unit(name);
        let (group, topic) = match unit {
            Some(_) => (owners(&self.cluster), Topic::Ledger),
            None => (self.group(name), Topic::Control),
        };
        asked.add_partition(self.cluster.name(topic), unit.unwrap_or(0) as i32);
        let told = self.scout(&group)?.committed_offsets(asked, PATIENCE).map_err(|e| away(&e))?;
        let elements = told.elements();
        let Some(element) = elements.first() else { return Ok(Positions::new()) };
        element.error().map_err(|e| away(&e))?;
        Ok(match (element.offset(), unit) {
            (Offset::Offset(offset), Some(unit)) => Positions::from([(unit, offset as u64)]),
            (Offset::Offset(_), None) => read(element.metadata()),
            _ => Positions::new(),
        })
    }

    fn group(&self, name: &str) -> String {
        format!("{}.at.{name}", self.cluster.prefix())
    }

    fn scout(&self, group: &str) -> Result<Arc<BaseConsumer<Quiet>>, ReadError> {
        if let Some(scout) = self.scouts.get(group) {
            return Ok(scout.clone());
        }
        let scout = Arc::new(self.cluster.scout(group).map_err(|e| away(&e))?);
        self.scouts.insert(group.to_owned(), scout.clone());
        Ok(scout)
    }
}

/// `offset.metadata.max.bytes` is 4,096.
const ROOM: usize = 4000;

/// A checkpoint on its way.
pub struct Mark {
    /// The unit.
    pub unit: u32,
    /// Its position in the ledger.
    pub offset: u64,
    /// Who waits.
    pub done: oneshot::Sender<Result<(), ReadError>>,
}

/// Commits checkpoints, one commit at a time; what comes meanwhile goes together into the next.
pub async fn carry(marks: Arc<Marks>, member: Arc<Mutex<Option<Arc<Member>>>>, mut wishes: mpsc::UnboundedReceiver<Mark>) {
    while let Some(first) = wishes.recv().await {
        let mut together = vec![first];
        while let Ok(more) = wishes.try_recv() {
            together.push(more);
        }
        let holder = member.lock().clone();
        let (ours, others): (Vec<_>, Vec<_>) = together.into_iter().partition(|m| holder.as_ref().is_none_or(|h| h.holds(m.unit)));
        for mark in others {
            let _ = mark.done.send(Err(told(format!("unit {} is not this node's", mark.unit))));
        }
        let units: BTreeMap<u32, u64> = ours.iter().map(|m| (m.unit, m.offset)).collect();
        if units.is_empty() {
            continue;
        }
        let marks = marks.clone();
        let committed = tokio::task::spawn_blocking(move || marks.commit_units(holder.as_deref(), &units)).await;
        let committed = committed.unwrap_or_else(|e| Err(told(e.to_string())));
        for mark in ours {
            let _ = mark.done.send(committed.clone());
        }
    }
}

/// The unit of `ledger/UNIT`.
pub fn unit(name: &str) -> Option<u32> {
    name.strip_prefix("ledger/")?.parse().ok()
}

fn write(positions: &Positions) -> String {
    positions.iter().map(|(p, o)| format!("{p}:{o:x}")).collect::<Vec<_>>().join(",")
}

fn read(text: &str) -> Positions {
    let pair = |pair: &str| {
        let (partition, offset) = pair.split_once(':')?;
        Some((partition.parse().ok()?, u64::from_str_radix(offset, 16).ok()?))
    };
    text.split(',').filter_map(pair).collect()
}

fn told(why: String) -> ReadError {
    ReadError::Away(why.into())
}

//! The log on Kafka.
//!
//! ```text
//!   append ─▶ sequencer ─▶ line (one idempotent producer) ─▶ topics ─▶ readers (one client each, newest events from one tail)
//!                  └─────▶ spool ─── ferry ──▶ line, when Kafka is back
//! ```
//!
//! Decisions the trait leaves open:
//! - `PREFIX.inbound` and so on; unit topics have exactly `UNITS` partitions, event topics as many as they were made with.
//! - While Kafka is away, `Durability::Log` is refused at once. What had been handed over before is looked for when Kafka
//!   is back within 9 s and the record has an id; else it is `Unknown`. While the spool is emptied it goes to Kafka directly: a partition's records should be appended with one
//!   durability, or the two kinds may overtake each other there.
//! - A record without `ce_id` or `id` cannot be looked for after an outage and may stand twice.
//! - A start while Kafka is away: with a spool the gateway starts, spools, and checks the topics when Kafka is there; a
//!   spool switched off makes it refuse to start.
//! - Readers wait while Kafka is away; questions (`ends`, `committed`, ...) answer `Away` after 5 to 10 s.
//! - `spool = "off"`: the turn comes after 5 s, and everything under way is then `Unknown`.

mod client;
mod ferry;
mod line;
mod reader;
mod sequencer;
mod tail;
mod tenure;
#[cfg(test)]
mod tests;
mod topics;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::BaseConsumer,
};
use tokio::sync::mpsc;

use self::{
    client::{Cluster, NEWEST, OLDEST, Quiet},
    ferry::Ferry,
    sequencer::{Mode, Sequencer},
    tail::Tail,
    tenure::{Mark, Marks, Member},
    topics::{Counts, Fault},
};
use super::{
    Durability, EventLog, Health, Kept, Outcome, Pending, Position, Positions, ReadError, Reader, Record, Tenure, Topic,
    config::{Config, Retention},
    mailbox::Ticket,
    spool::{self, Spool},
};

/// The log on Kafka.
pub struct Kafka {
    cluster: Cluster,
    tail: Arc<Tail>,
    counts: Counts,
    sequencer: Arc<Sequencer>,
    spool: Option<Arc<Spool>>,
    node: String,
    member: Arc<Mutex<Option<Arc<Member>>>>,
    marks: Arc<Marks>,
    checkpoints: mpsc::UnboundedSender<Mark>,
    scout: Arc<BaseConsumer<Quiet>>,
    trims: mpsc::UnboundedSender<Position>,
    ended: Arc<AtomicBool>,
    trouble: Arc<Mutex<Option<String>>>,
    ferry: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Kafka {
    /// Opens the log: checks or makes the topics, opens the spool, and begins to empty it when it is not.
    pub async fn open(config: &Config, retention: &Retention) -> Result<Self, String> {
        Self::open_with(config, retention, ferry::TURN).await
    }

    async fn open_with(config: &Config, retention: &Retention, patience: Duration) -> Result<Self, String> {
        let brokers = config.brokers.as_deref().filter(|b| !b.is_empty());
        let brokers = brokers.ok_or("`log.brokers` is missing: name at least one broker, `brokers = \"host:9092\"`")?;
        let cluster = Cluster::new(config, brokers);
        let spool = open_spool(config).await?.map(Arc::new);
        let opened = Self::open_on(cluster, spool.clone(), config, retention, patience).await;
        if let (Err(_), Some(spool)) = (&opened, spool) {
            let _ = tokio::task::spawn_blocking(move || spool.close()).await;
        }
        opened
    }

    async fn open_on(
        cluster: Cluster,
        spool: Option<Arc<Spool>>,
        config: &Config,
        retention: &Retention,
        patience: Duration,
    ) -> Result<Self, String> {
        let (counts, there) = match topics::ensure(&cluster, config, retention).await {
            Ok(counts) => (counts, true),
            Err(Fault::Wrong(why)) => return Err(why),
            Err(Fault::Away(why)) if spool.is_some() => {
                tracing::warn!(why, "starting without Kafka: events go to the spool until it is there");
                (topics::planned(config), false)
            }
            Err(Fault::Away(why)) => return Err(format!("{why} (with `log.spool` the gateway starts without Kafka)")),
        };
        let wrong = |e: rdkafka::error::KafkaError| format!("`log.properties`: {e}");
        let sequencer = Sequencer::new(spool.clone());
        let ended = Arc::new(AtomicBool::new(false));
        let trouble = Arc::new(Mutex::new((!there).then(|| "Kafka is away".to_owned())));
        let ferry = Ferry {
            cluster: cluster.clone(),
            sequencer: sequencer.clone(),
            spool: spool.clone(),
            topics_fit: look_again(&cluster, config, retention, &counts),
            ended: ended.clone(),
            trouble: trouble.clone(),
            patience,
        };
        if there {
            ferry.embark()?;
        }
        let scout = Arc::new(cluster.scout(cluster.prefix()).map_err(wrong)?);
        let spawn =
            |name: &str, work: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.into()).spawn(work).map_err(|e| e.to_string());
        let watch = (sequencer.clone(), ended.clone());
        spawn("kafka-watch", Box::new(move || watch_clock(&watch.0, &watch.1)))?;
        let ferry = spawn("kafka-ferry", Box::new(move || ferry.run()))?;
        let (member, marks) = (Arc::default(), Arc::new(Marks::new(cluster.clone())));
        let (checkpoints, wishes) = mpsc::unbounded_channel();
        tokio::spawn(tenure::carry(marks.clone(), Arc::clone(&member), wishes));
        Ok(Self {
            marks,
            checkpoints,
            trims: trimmer(&cluster),
            node: node(config)?,
            member,
            ferry: Mutex::new(Some(ferry)),
            tail: Tail::new(cluster.clone()),
            cluster,
            counts,
            sequencer,
            spool,
            scout,
            ended,
            trouble,
        })
    }

    fn offsets(&self, topic: Topic, time: i64) -> Pending<'_, Result<Positions, ReadError>> {
        let (cluster, scout, partitions) = (self.cluster.clone(), self.scout.clone(), self.partitions(topic));
        Box::pin(asked(move || cluster.offsets(&scout, topic, partitions, time)))
    }
}

/// Answers are due within 10 s, whatever the ferry is doing.
fn watch_clock(sequencer: &Sequencer, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(250));
        sequencer.lose_patience();
    }
}

/// Asks something that blocks.
async fn asked<T: Send + 'static>(question: impl FnOnce() -> Result<T, ReadError> + Send + 'static) -> Result<T, ReadError> {
    match tokio::time::timeout(Duration::from_secs(10), tokio::task::spawn_blocking(question)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => Err(ReadError::Away(e.to_string().into())),
        Err(_) => Err(ReadError::Away("Kafka has not answered for 10 s".into())),
    }
}

async fn open_spool(config: &Config) -> Result<Option<Spool>, String> {
    if config.spool == Path::new("off") {
        return Ok(None);
    }
    let (folder, max) = (config.spool.clone(), config.spool_max.0);
    let opened = tokio::task::spawn_blocking(move || Spool::open(&folder, max)).await;
    opened.unwrap_or_else(|e| Err(e.to_string())).map(Some).map_err(|why| format!("`log.spool`: {why}"))
}

/// The name of this node among the owners of units.
fn node(config: &Config) -> Result<String, String> {
    if config.spool != Path::new("off") {
        return spool::node(&config.spool).map_err(|why| format!("`log.spool`: {why}"));
    }
    let host = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"));
    host.map(|h| h.trim().to_owned()).map_err(|e| format!("this machine has no host name ({e}): set HOSTNAME, or `log.spool`"))
}

/// Looks at the topics from a thread without a runtime.
fn look_again(cluster: &Cluster, config: &Config, retention: &Retention, counts: &Counts) -> Box<dyn Fn() -> Result<(), String> + Send> {
    let (cluster, config, retention, counts) = (cluster.clone(), config.clone(), retention.clone(), counts.clone());
    Box::new(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|e| e.to_string())?;
        match runtime.block_on(topics::ensure(&cluster, &config, &retention)) {
            Ok(found) if found == counts => Ok(()),
            Ok(_) => Err("the topics have other partitions than this process reckons with: restart it".into()),
            Err(Fault::Away(why) | Fault::Wrong(why)) => Err(why),
        }
    })
}

/// Deletes records in the background, once a second what has come together.
fn trimmer(cluster: &Cluster) -> mpsc::UnboundedSender<Position> {
    let (sender, mut wishes) = mpsc::unbounded_channel::<Position>();
    let cluster = cluster.clone();
    tokio::spawn(async move {
        let mut admin: Option<AdminClient<DefaultClientContext>> = None;
        let mut deleted = std::collections::HashMap::new();
        while let Some(first) = wishes.recv().await {
            let mut furthest = std::collections::HashMap::from([((first.topic, first.partition), first.offset)]);
            while let Ok(more) = wishes.try_recv() {
                let known = furthest.entry((more.topic, more.partition)).or_insert(0);
                *known = more.offset.max(*known);
            }
            furthest.retain(|at, offset| deleted.get(at).is_none_or(|d| *d < *offset));
            let mut before = TopicPartitionList::new();
            for (&(topic, partition), &offset) in &furthest {
                let _ = before.add_partition_offset(cluster.name(topic), partition as i32, Offset::Offset(offset as i64));
            }
            if before.count() == 0 {
                continue;
            }
            if admin.is_none() {
                admin = cluster.admin().create().ok();
            }
            if let Some(admin) = &admin {
                match admin.delete_records(&before, &AdminOptions::new()).await {
                    Ok(_) => deleted.extend(furthest),
                    Err(error) => tracing::warn!(%error, "settled records were not deleted; it is tried again with the next checkpoint"),
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    sender
}

impl EventLog for Kafka {
    fn partitions(&self, topic: Topic) -> u32 {
        self.counts.get(&topic).copied().unwrap_or(1)
    }

    fn append(&self, records: Vec<Record>, durability: Durability) -> Pending<'static, Vec<Outcome>> {
        let count = records.len();
        if count == 0 {
            return Box::pin(async { Vec::new() });
        }
        let began = std::time::Instant::now();
        let (ticket, answer) = Ticket::new(count);
        self.sequencer.append(records, durability, &ticket, |r| self.partitions(r.topic));
        let ended = move |_| vec![Outcome::Unknown("the log ended before it answered".into()); count];
        Box::pin(super::timed(began, async move { answer.await.unwrap_or_else(ended) }))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(reader::KafkaReader::new(self.cluster.clone(), self.tail.clone()))
    }

    fn ends(&self, topic: Topic) -> Pending<'_, Result<Positions, ReadError>> {
        self.offsets(topic, NEWEST)
    }

    fn begins(&self, topic: Topic) -> Pending<'_, Result<Positions, ReadError>> {
        self.offsets(topic, OLDEST)
    }

    fn since(&self, topic: Topic, time: i64) -> Pending<'_, Result<Positions, ReadError>> {
        self.offsets(topic, time.max(0))
    }

    fn tenures(&self) -> mpsc::UnboundedReceiver<Tenure> {
        let (sender, receiver) = mpsc::unbounded_channel();
        match Member::join(&self.cluster, &self.node, sender) {
            Ok(member) => *self.member.lock() = Some(Arc::new(member)),
            Err(error) => tracing::error!(%error, "this node cannot own units"),
        }
        receiver
    }

    fn commit(&self, name: &str, positions: Positions) -> Pending<'_, Result<(), ReadError>> {
        let Some(unit) = tenure::unit(name) else {
            let (marks, name) = (self.marks.clone(), name.to_owned());
            return Box::pin(asked(move || marks.commit(&name, &positions)));
        };
        let (done, answer) = tokio::sync::oneshot::channel();
        match positions.get(&unit) {
            Some(&offset) => drop(self.checkpoints.send(Mark { unit, offset, done })),
            None => drop(done.send(Err(ReadError::Away(format!("{name} has no position for unit {unit}").into())))),
        }
        Box::pin(async move {
            let away = |why: &str| Err(ReadError::Away(why.into()));
            match tokio::time::timeout(Duration::from_secs(10), answer).await {
                Ok(answer) => answer.unwrap_or_else(|_| away("the log is closed")),
                Err(_) => away("Kafka has not answered for 10 s"),
            }
        })
    }

    fn committed(&self, name: &str) -> Pending<'_, Result<Positions, ReadError>> {
        let (marks, name) = (self.marks.clone(), name.to_owned());
        Box::pin(asked(move || marks.committed(&name)))
    }

    fn trim(&self, before: Position) {
        if before.topic.kept() == Kept::UntilTrimmed {
            let _ = self.trims.send(before);
        }
    }

    fn ready(&self) -> bool {
        match self.sequencer.mode() {
            Mode::Closed => false,
            Mode::Direct => !self.ended.load(Ordering::Relaxed),
            _ => self.spool.as_ref().is_some_and(|s| s.ready()),
        }
    }

    fn health(&self) -> Health {
        let trouble = self.trouble.lock().clone().or_else(|| self.spool.as_ref()?.trouble());
        Health {
            kind: "kafka",
            log: matches!(self.sequencer.mode(), Mode::Direct | Mode::Draining | Mode::Handover),
            spooled: self.spool.as_ref().map_or(0, |s| s.pending()),
            spool_bytes: self.spool.as_ref().map_or(0, |s| s.bytes()),
            trouble,
        }
    }

    fn close(&self, within: Duration) -> Pending<'_, ()> {
        self.sequencer.close();
        let (sequencer, spool, ended) = (self.sequencer.clone(), self.spool.clone(), self.ended.clone());
        let (ferry, member) = (self.ferry.lock().take(), self.member.lock().take());
        let closing = tokio::task::spawn_blocking(move || {
            let deadline = Instant::now() + within;
            while sequencer.waiting() > 0 && Instant::now() < deadline && sequencer.mode() == Mode::Direct {
                thread::sleep(Duration::from_millis(2));
            }
            ended.store(true, Ordering::Relaxed);
            if let Some(ferry) = ferry {
                let _ = ferry.join();
            }
            if let Some(line) = sequencer.begin_turn() {
                ferry::close(line);
            }
            sequencer.end_turn();
            if let Some(spool) = spool {
                spool.close();
            }
            sequencer.closed();
            if let Some(member) = member {
                member.leave();
            }
        });
        Box::pin(async move {
            if tokio::time::timeout(within + Duration::from_secs(5), closing).await.is_err() {
                tracing::warn!("the log did not close in time; what was acknowledged is durable all the same");
            }
        })
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.sequencer.close();
        self.ended.store(true, Ordering::Relaxed);
    }
}

//! The durable log: where events, outbound lanes and the ledger live. This trait is the specification.
//!
//! ```text
//!            append(records)                         reader().next()
//!   caller ──────────────────▶ partition ──────────▶ every reader, in offset order
//!            Durable | NotAppended | Unknown          (sparse offsets: only "greater than" may be relied on)
//! ```
//!
//! - The caller chooses topic and partition of every record; the log never does.
//! - An append answers per record, and `Durable` means: on disk after fsync (embedded), or on all in-sync replicas
//!   (Kafka), or on disk in the spool where the caller allows it. Nothing acknowledged is ever lost.
//! - Records of one append to one partition keep their order, and appends whose futures were created in an order by one
//!   task keep theirs.
//! - Positions are vectors: a map from partition to the offset of the next record wanted.
//! - Who owns which unit is told by [`EventLog::tenures`], not by broker groups.
//! - With Kafka, the spool's turn and return stand behind this trait: callers see only slower answers.
//!
//! Both implementations pass `laws.rs`.

pub mod config;
mod embedded;
mod kafka;
#[cfg(test)]
pub mod laws;
mod mailbox;
mod spool;
mod stretch;

pub use self::{embedded::Embedded, kafka::Kafka, stretch::Stretch};

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};

use crate::telemetry;

/// Waits for an append's answer and measures how long it took since the append.
async fn timed<T>(began: std::time::Instant, answer: impl Future<Output = T>) -> T {
    static SECONDS: std::sync::OnceLock<metrics::Histogram> = std::sync::OnceLock::new();
    let answer = answer.await;
    SECONDS.get_or_init(|| telemetry::histogram(&telemetry::names::APPEND_SECONDS, &[])).record(began.elapsed());
    answer
}

/// Outbound work is cut into this many units, fixed when the log is created. Unit u is partition u of every topic of the
/// engine.
pub const UNITS: u32 = 64;

/// Every topic, by the name it has behind the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Topic {
    /// What people did.
    Inbound = 0,
    /// Typing and reading.
    Signals = 1,
    /// What became of our messages, and their content.
    Status = 2,
    /// News about accounts.
    Notices = 3,
    /// Verified deliveries that were not understood.
    Unparsed = 4,
    /// Dead letters.
    Dead = 5,
    /// Lane of one-time codes.
    OutUrgent = 6,
    /// Lane of replies.
    OutNormal = 7,
    /// Lane of campaigns.
    OutBulk = 8,
    /// What was decided about each message, by the unit's owner.
    Ledger = 9,
    /// What others tell the owner: receipts, cancels, settlements.
    Orders = 10,
    /// Pauses, limits, reloads: for every node. One partition, compacted, never trimmed.
    Control = 11,
    /// Web chat between nodes.
    Webchat = 12,
    /// Send requests by other programs.
    Send = 13,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Inbound,
        Self::Signals,
        Self::Status,
        Self::Notices,
        Self::Unparsed,
        Self::Dead,
        Self::OutUrgent,
        Self::OutNormal,
        Self::OutBulk,
        Self::Ledger,
        Self::Orders,
        Self::Control,
        Self::Webchat,
        Self::Send,
    ];

    /// The name behind the prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Signals => "signals",
            Self::Status => "status",
            Self::Notices => "notices",
            Self::Unparsed => "unparsed",
            Self::Dead => "dead",
            Self::OutUrgent => "out.urgent",
            Self::OutNormal => "out.normal",
            Self::OutBulk => "out.bulk",
            Self::Ledger => "ledger",
            Self::Orders => "orders",
            Self::Control => "control",
            Self::Webchat => "webchat",
            Self::Send => "send",
        }
    }

    /// The topic of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// How long its records are kept.
    pub fn kept(self) -> Kept {
        match self {
            Self::Inbound | Self::Signals | Self::Status | Self::Notices | Self::Dead | Self::Webchat | Self::Send => Kept::Events,
            Self::Unparsed => Kept::Raw,
            Self::OutUrgent | Self::OutNormal | Self::OutBulk | Self::Ledger | Self::Orders => Kept::UntilTrimmed,
            Self::Control => Kept::Latest,
        }
    }

    /// Whether its partitions are the units.
    pub fn by_unit(self) -> bool {
        matches!(self, Self::OutUrgent | Self::OutNormal | Self::OutBulk | Self::Ledger | Self::Orders | Self::Webchat)
    }
}

/// How long a topic's records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// For `retention.events`.
    Events,
    /// For `retention.raw`.
    Raw,
    /// Until [`EventLog::trim`] lets go of them.
    UntilTrimmed,
    /// The newest of each key, for ever.
    Latest,
}

/// Record headers: names and values in one buffer, written once and read in place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Bytes);

impl Headers {
    /// Writes headers from pairs.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut buffer = BytesMut::with_capacity(256);
        for (name, value) in pairs {
            buffer.put_u16_le(name.len() as u16);
            buffer.put_u16_le(value.len().min(usize::from(u16::MAX)) as u16);
            buffer.put_slice(name.as_bytes());
            buffer.put_slice(&value.as_bytes()[..value.len().min(usize::from(u16::MAX))]);
        }
        Self(buffer.freeze())
    }

    /// The encoded form, as the embedded log stores it.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// From the encoded form.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The pairs, in order. What is not well-formed ends the list.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (lengths, after) = rest.split_at_checked(4)?;
            let name = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
            let value = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
            let (pair, after) = after.split_at_checked(name + value)?;
            rest = after;
            Some((std::str::from_utf8(&pair[..name]).ok()?, std::str::from_utf8(&pair[name..]).ok()?))
        })
    }

    /// The last header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().filter(|(n, _)| *n == name).last().map(|(_, v)| v)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A record to append.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where to.
    pub topic: Topic,
    /// Which partition: below [`EventLog::partitions`].
    pub partition: u32,
    /// The key: the conversation, for events.
    pub key: Bytes,
    /// CloudEvents attributes and the like.
    pub headers: Headers,
    /// The value; `None` deletes the key in a compacted topic.
    pub value: Option<Bytes>,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where it stands.
    pub at: Position,
    /// Milliseconds since 1970: when it was appended (embedded) or produced (Kafka).
    pub time: i64,
    /// The key.
    pub key: Bytes,
    /// The headers.
    pub headers: Headers,
    /// The value; empty for a record that deletes its key.
    pub value: Bytes,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: u32,
    /// The offset; grows, with gaps.
    pub offset: u64,
}

/// For each partition, the offset of the next record wanted.
pub type Positions = BTreeMap<u32, u64>;

/// What became of one record of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable. The offset is unknown (`None`) while it lies in the spool.
    Durable(Option<u64>),
    /// Surely not in the log; may be appended again.
    NotAppended(Arc<str>),
    /// The log may or may not have it.
    Unknown(Arc<str>),
}

impl Outcome {
    /// Whether it is durable.
    pub fn is_durable(&self) -> bool {
        matches!(self, Self::Durable(_))
    }
}

/// Where a record may lie to count as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the log, or in the spool while Kafka is away (webhooks).
    LogOrSpool,
    /// In the log alone (sends, the ledger).
    Log,
}

/// A future behind a trait object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Ownership of a unit, as it comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// This node owns the unit from now on.
    Gained(u32),
    /// It does not any more: stop at once.
    Lost(u32),
}

/// Why reading failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The position has been deleted; the oldest that is there.
    #[error("position {0:?} is past its retention; the oldest record is at {1}")]
    Expired(Position, u64),
    /// The log is away; try again.
    #[error("the log cannot be read now: {0}")]
    Away(Arc<str>),
}

/// Reads some partitions from some positions on. Not shared between tasks.
pub trait Reader: Send {
    /// Reads this partition from this offset on (again, when it is read already).
    fn assign(&mut self, from: Position);

    /// Reads this partition no more.
    fn release(&mut self, topic: Topic, partition: u32);

    /// Skips this partition until `assign` names it again.
    fn pause(&mut self, topic: Topic, partition: u32);

    /// The next records, at least one, at most `max`; in offset order within each partition. Waits for one to appear, also
    /// while Kafka is away. `Expired` is answered until the partition is assigned anew or released.
    /// Cancelling loses nothing: what was not returned is returned next time.
    fn next(&mut self, max: usize) -> Pending<'_, Result<Vec<Stored>, ReadError>>;

    /// Whether there is surely nothing to read now. A log whose offsets have no gaps at their end need not know.
    fn is_at_end(&self) -> bool {
        false
    }
}

/// The log.
pub trait EventLog: Send + Sync + 'static {
    /// How many partitions a topic has. Fixed when the log is created.
    fn partitions(&self, topic: Topic) -> u32;

    /// Appends records and answers for each when its fate is known, within 10 s. The work begins when this is called, not
    /// when the future is polled; dropping the future does not take the records back. Never blocks; may be called from any
    /// thread, and costs least on a thread of a tokio runtime, where the answers of a batch arrive in one message.
    ///
    /// A partition's records are appended with one [`Durability`], or the two kinds may overtake each other around an
    /// outage. A record with a header `ce_id` or `id` is looked for after one; one without may then stand twice. A partition
    /// that is not there, or a record over 2 MiB (Kafka), is `NotAppended`.
    fn append(&self, records: Vec<Record>, durability: Durability) -> Pending<'static, Vec<Outcome>>;

    /// A reader of nothing yet. With Kafka each has connections of its own: let one read many partitions.
    fn reader(&self) -> Box<dyn Reader>;

    /// The offset behind the last durable record of each partition.
    fn ends(&self, topic: Topic) -> Pending<'_, Result<Positions, ReadError>>;

    /// The offset of the oldest record still there in each partition; for `control` perhaps a lower one. Where nothing is
    /// left, the end.
    fn begins(&self, topic: Topic) -> Pending<'_, Result<Positions, ReadError>>;

    /// The first offset of each partition whose record is not older than this time (milliseconds since 1970); the end where
    /// there is none.
    fn since(&self, topic: Topic, time: i64) -> Pending<'_, Result<Positions, ReadError>>;

    /// Units gained and lost by this node, from now on. Called once. Embedded: all are gained at once.
    fn tenures(&self) -> tokio::sync::mpsc::UnboundedReceiver<Tenure>;

    /// Remembers a position for a name (the owner's ledger checkpoint: name = `ledger/UNIT`; a consumer of ours: its own).
    /// Durable when the future resolves. With Kafka, `ledger/UNIT` is refused unless this node holds the unit, and another
    /// name holds some 300 positions.
    fn commit(&self, name: &str, positions: Positions) -> Pending<'_, Result<(), ReadError>>;

    /// The position last committed under a name; empty when there is none.
    fn committed(&self, name: &str) -> Pending<'_, Result<Positions, ReadError>>;

    /// Lets go of an engine topic's records before this position, at most up to its end. Idempotent; may free nothing yet,
    /// and may be forgotten by a restart. Positions below may be `Expired` from now on.
    fn trim(&self, before: Position);

    /// Whether an event can be made durable now: in the log, or in the spool.
    fn ready(&self) -> bool;

    /// What it is and how it feels, for `/readyz?verbose`, metrics and the start banner.
    fn health(&self) -> Health;

    /// Takes no more appends, waits until all under way are known, and closes.
    fn close(&self, within: Duration) -> Pending<'_, ()>;
}

/// Why the log cannot be opened: a sentence that names the key and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// Opens the log that is configured.
pub async fn open(config: &config::Config, retention: &config::Retention) -> Result<Arc<dyn EventLog>, OpenError> {
    match config.kind {
        config::Kind::Embedded => {
            let (path, keep) = (config.path.clone(), retention.clone());
            let opened = tokio::task::spawn_blocking(move || Embedded::open(&path, &keep)).await;
            let opened = opened.unwrap_or_else(|e| Err(e.to_string()));
            Ok(Arc::new(opened.map_err(|why| OpenError(format!("`log.path`: {why}")))?))
        }
        config::Kind::Kafka => Ok(Arc::new(Kafka::open(config, retention).await.map_err(OpenError)?)),
    }
}

/// How a log feels.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Health {
    /// `embedded` or `kafka`.
    pub kind: &'static str,
    /// Whether the log itself can be written.
    pub log: bool,
    /// Records lying in the spool.
    pub spooled: u64,
    /// Bytes lying in the spool.
    pub spool_bytes: u64,
    /// A sentence when something is wrong.
    pub trouble: Option<String>,
}

//! A unit's owner: one task that reads the unit's lanes and orders, decides, writes the ledger, and publishes states.
//!
//! Invariant: nobody else writes this unit's ledger, its schedule rows, or the states of its messages.
//!
//! The task never waits for I/O while it could decide: appends, calls and store reads run beside it and come back as
//! events. What it decides is pure (`lane`, `limit`); what it promises stands in the ledger before it acts.

mod arm;
mod asking;
mod checkpoint;
mod feed;
mod feeder;
mod handles;
mod land;
mod learned;
mod limits;
mod orders;
mod outbox;
mod park;
mod publish;
mod published;
mod repeats;
mod revise;
mod schedule;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use fairway_adapters::contract::{Adapter, Priority, Rendered, Scope, Time};
use tokio::sync::{mpsc, oneshot, watch};

use super::accepted::Accepted;
use super::lane::{self, Counted, LATE, Lanes, Number};
use super::ledger;
use super::limit::{Limit, Micros, View};
use super::replay::Replay;
use crate::channels::{Channel, Live, Worded};
use crate::clock;
use crate::config::units::Rate;
use crate::envelope::Writer;
use crate::ids::MessageId;
use crate::log::{EventLog, Outcome, Position, Stored, Topic};
use crate::seal::Seal;
use crate::store::{self, Cursor, Message, Row, Store};
use crate::transport::{Left, Transport};

pub use feeder::Feeder;
pub use limits::{counted, memory};
pub(super) use publish::metadata;
pub use publish::with_links;

/// What a unit needs of the rest.
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The channels in force.
    pub channels: Live,
    /// The client.
    pub transport: Transport,
    /// Channels on which people are asked in words.
    pub worded: Worded,
    /// Says who may be written to, and when.
    pub consent: Arc<crate::consent::Consent>,
    /// Opens what lets us answer.
    pub seal: Arc<Seal>,
    /// Decides what follows for a message with a fallback.
    pub fallbacks: mpsc::UnboundedSender<super::fallback::Due>,
    /// Writes events.
    pub writer: Writer,
    /// `server.public_url`.
    pub public_url: String,
    /// Whether messages of ours still go, and in which words.
    pub campaigns: Arc<dyn super::campaigns::Campaigns>,
    /// Turns media of the gateway into links a provider can fetch.
    pub links: Arc<dyn Fn(&str) -> Option<String> + Send + Sync>,
}

/// A question or command to a unit's owner.
#[derive(Debug)]
pub enum Ask {
    /// How a channel stands.
    View(String, oneshot::Sender<ChannelView>),
    /// When a message would leave, and what holds it.
    Estimate {
        /// Its channel.
        channel: String,
        /// Its conversation.
        conversation: String,
        /// Its lane.
        lane: Priority,
        /// What limits count it under.
        counted: Counted,
        /// The answer.
        answer: oneshot::Sender<(Time, Option<Scope>)>,
    },
    /// People have written to a channel whose provider counts that in the same allowance as what we send.
    Received {
        /// To which channel.
        channel: String,
        /// How many messages.
        count: u32,
        /// In the last so many milliseconds.
        over_ms: u32,
    },
    /// Hold a channel, or a lane of it, until then; `None` lets it go.
    Pause(String, Option<Priority>, Option<Time>),
    /// A message that waits in the schedule for its campaign: look at it now.
    Wake(MessageId),
    /// Another limit for a channel's sender, now, until then; `None` gives the configured one back.
    Throttle(String, Option<Rate>, Option<Time>),
}

/// How a channel stands, as its owner sees it.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ChannelView {
    /// Limits.
    #[schema(required = false)]
    pub limits: Vec<View>,
    /// Messages in the window, by lane: urgent, normal, bulk.
    #[schema(required = false)]
    pub depth: [usize; 3],
    /// Messages in the schedule.
    #[schema(required = false)]
    pub parked: u64,
    /// Messages whose outcome is being settled.
    #[schema(required = false)]
    pub in_doubt: usize,
    /// Lanes that are held by hand, or by a suspension.
    #[schema(required = false, value_type = Vec<String>)]
    pub paused_lanes: Vec<Priority>,
    /// Until when all of it is held, by hand, by its breaker or by a `Retry-After`.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub held_until: Option<Time>,
    /// Why it cannot send until somebody mends it.
    pub suspended: Option<String>,
    /// Age of the oldest message in the window, in seconds.
    #[schema(required = false)]
    pub lag_seconds: f64,
    /// The last error.
    pub last_error: Option<String>,
}

/// What the node that owns a channel tells of it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Told {
    /// When.
    pub at: Time,
    /// How it stands.
    pub view: ChannelView,
    /// Its connections, where it has some of its own.
    pub connections: Option<crate::transport::session::Standing>,
}

/// The setting where other nodes find that, as JSON.
pub fn told_setting(channel: &str) -> String {
    format!("{TOLD}{channel}")
}

/// What the names of those settings begin with.
pub const TOLD: &str = "told/";

/// The setting that keeps a pause over a restart: until when, in milliseconds of the wall clock; empty when there is none.
pub fn pause_setting(channel: &str, lane: Option<Priority>) -> String {
    match lane {
        Some(lane) => format!("{PAUSES}{channel}@{}", lane.word()),
        None => format!("{PAUSES}{channel}"),
    }
}

/// The setting that keeps a limit given by hand: the rate and until when, as JSON; empty when there is none.
pub fn throttle_setting(channel: &str) -> String {
    format!("{THROTTLES}{channel}")
}

/// What the names of those settings begin with.
const PAUSES: &str = "pause/";
const THROTTLES: &str = "throttle/";

/// How long a graceful stop waits for calls in flight.
const STOP_WITHIN: Micros = 10_000_000;

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Its lane, at this offset.
    Lane(u64),
    /// The schedule.
    Schedule {
        /// In this round.
        round: u16,
        /// Its offset in its lane.
        position: u64,
    },
}

impl Source {
    /// Its offset in its lane: who was accepted first within a conversation.
    fn position(self) -> u64 {
        match self {
            Source::Lane(position) | Source::Schedule { position, .. } => position,
        }
    }
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits to hear what it must wait for.
    Asking,
    /// In its queue.
    Waiting,
    /// Its `sending` is on its way into the ledger, since this steady time.
    Arming(Micros),
    /// Its `sending` is durable; it waits for the gate. Armed at this steady time.
    Armed(Micros),
    /// The call is out.
    InFlight,
    /// Nobody knows; settled at this steady time at the latest.
    Doubt(Micros),
    /// Its last records are on their way into the log.
    Closing,
}

/// A message in the window.
struct Item {
    message: Arc<Accepted>,
    entry: lane::Entry,
    source: Source,
    phase: Phase,
    attempt: u16,
    calls: u8,
    rendered: Option<Arc<Rendered>>,
    rendering: u64,
    provider_ids: Vec<String>,
    first_ledger: Option<u64>,
    came: Micros,
    waited: Option<(Scope, Micros)>,
    retry_ms: u64,
    round: u16,
    cancel: bool,
    scheduled: bool,
    /// It waits for a time that concerns it alone (quiet hours, a cap), and holds nobody behind it.
    alone: bool,
    /// Whether it stands in its lane's queue.
    queued: bool,
    /// The version of consents at which it might go.
    asked: u64,
    /// Until when it may go; then it is asked again.
    allowed_until: Time,
    use_template: bool,
    /// It was rendered with something of the person's to answer with, which its call uses up.
    by_handle: bool,
    reason: Option<fairway_adapters::contract::Reason>,
    parked_why: String,
    /// What waits in the schedule behind it must wait for it.
    postpones: bool,
}

/// What comes back from work beside the task.
enum Event {
    Fed(Vec<Stored>),
    Confirmed(Vec<(Number, Outcome)>),
    /// An attempt ended, after so long.
    Landed(Number, Landing, Micros),
    /// A message left later than its limits counted it.
    LeftLate(Number, Micros, Micros),
    Written(Vec<Written>),
    /// Rows of the schedule that are due soon, and when there may be more.
    Due(Arc<str>, Priority, Vec<(Cursor, Row)>, Time),
    Found(Box<orders::Lookup>, Option<Message>),
    Revise(Box<revise::Revising>),
    Revised(Box<revise::Revising>, Landing),
    Asked(Vec<(Number, crate::consent::Verdict)>),
    Handle(Number, Arc<str>, Option<store::Handle>),
    RowsWritten(Vec<(Number, Row)>),
    RowsGone(Vec<(MessageId, u16)>, bool),
    CancelRow(Box<Row>),
    WakeRow(Box<Row>),
    LoggedIn(Arc<str>, Option<(fairway_adapters::contract::Secret, u64)>),
    NotKept(Arc<str>),
    StoreFailed(&'static str, String),
}

/// How an attempt ended.
enum Landing {
    Verdict(fairway_adapters::contract::Verdict),
    NotSent(String),
    Unknown(String),
}

/// Records that had to become durable, and did.
enum Written {
    /// The message is over: it leaves the window.
    Closed(Number, fairway_adapters::contract::State),
    /// One call of several was accepted.
    Called(Number),
    /// One call of several was in doubt, and is there.
    CallSettled(Number),
    /// The attempt ended without an end for the message: it waits until then.
    Again(Number, Micros),
    /// The message lies in the schedule.
    Parked(Number, Time),
    /// It is in doubt, in the ledger too.
    Doubted,
    /// An order was carried out.
    Order(u64),
    /// A checkpoint stands at this ledger offset.
    Checkpoint(u64),
    /// Nothing depends on it.
    Nothing,
}

struct Unit {
    parts: Arc<Parts>,
    unit: u32,
    tenure: u64,
    owner_at: u64,
    lanes: Lanes,
    items: BTreeMap<Number, Item>,
    by_id: HashMap<MessageId, Number>,
    number: Number,
    /// Confirmed and not yet through the gate, by lane.
    armed: [VecDeque<Number>; 3],
    told: HashMap<MessageId, super::replay::Told>,
    behind: repeats::Behind<repeats::Fed>,
    /// The views have read what owners before us did.
    views_caught_up: Arc<AtomicBool>,
    departures: Vec<super::replay::Departure>,
    feeder: Feeder,
    events: mpsc::UnboundedSender<Event>,
    /// Confirmed up to here by reading our own partition back; `None` where an append's answer is enough.
    read_back: Option<u64>,
    unconfirmed: BTreeMap<u64, Number>,
    progress: checkpoint::Progress,
    paused_feeds: HashSet<Topic>,
    schedule: schedule::Schedule,
    receipts: orders::Receipts,
    handles: handles::Handles,
    /// Changes of sent messages: what waits behind the one under way.
    revising: HashMap<MessageId, VecDeque<Box<revise::Revising>>>,
    asking: asking::Asking,
    channels: HashMap<Arc<str>, Standing>,
    outbox: outbox::Outbox,
    lost: bool,
}

/// How a channel stands besides its limits.
struct Standing {
    channel: Arc<Channel>,
    suspended: Option<String>,
    paused_until: Option<Time>,
    /// A limit given by hand, and until when.
    throttled: Option<(Rate, Option<Time>)>,
    last_error: Option<String>,
    login: Option<(fairway_adapters::contract::Secret, Micros)>,
    logging_in: bool,
    /// Something about its limits was learned and is not kept yet.
    has_learned: bool,
    meters: Meters,
}

struct Meters {
    depth: [metrics::Gauge; 3],
    lag: [metrics::Gauge; 3],
    parked: metrics::Gauge,
    doubt: metrics::Gauge,
    suspended: metrics::Gauge,
    breaker: metrics::Gauge,
    queue: [metrics::Histogram; 3],
    call: metrics::Histogram,
}

/// Runs a unit until its tenure or the process ends.
pub async fn run(
    parts: Arc<Parts>,
    feeder: Feeder,
    unit: u32,
    replay: Replay,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    mut stop: watch::Receiver<bool>,
) {
    let (events, mut inbox) = mpsc::unbounded_channel();
    feeder.join(unit, events.clone());
    let mut changed = parts.channels.watch();
    let mut state = Unit::new(parts, unit, replay, feeder.clone(), events);
    state.reload();
    state.begin().await;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Once told to stop: until when calls in flight may land. What has not by then is in doubt for the next owner.
    let mut stopping: Option<Micros> = None;
    loop {
        let wake = match stopping {
            None => state.step(),
            Some(_) => Some(clock::steady() + 20_000),
        };
        let wake = wake.into_iter().chain(state.flush(clock::steady())).min();
        if state.lost || stopping.is_some_and(|until| state.is_quiet() || clock::steady() > until) {
            break;
        }
        let sleep = wake.map_or(Duration::from_secs(3600), |at| Duration::from_micros((at - clock::steady()).max(0) as u64));
        tokio::select! {
            biased;
            Some(event) = inbox.recv() => {
                state.on(event);
                // What has gathered is taken in one go, so that one ledger append serves many.
                for _ in 0..1024 {
                    let Ok(event) = inbox.try_recv() else { break };
                    state.on(event);
                }
            }
            Some(ask) = asks.recv() => state.answer(ask),
            _ = changed.changed() => state.reload(),
            _ = tick.tick(), if stopping.is_none() => state.every_second(),
            () = async { stop.wait_for(|s| *s).await.map_or((), |_| ()) }, if stopping.is_none() => {
                stopping = Some(clock::steady() + STOP_WITHIN);
                state.release_armed();
            }
            () = tokio::time::sleep(sleep), if wake.is_some() => {}
        }
    }
    if !state.lost {
        state.last_checkpoint().await;
    }
    feeder.leave(unit);
}

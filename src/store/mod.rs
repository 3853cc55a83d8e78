//! The store: views of the log, and state of its own. This trait is the specification.
//!
//! - Views (messages, conversations) can be rebuilt from the log for as far back as it reaches; they are written by the
//!   projector alone, together with the position they stand for.
//! - State of its own (schedule, keys, idempotency, endpoints, media) is what a backup must hold.
//! - Every method resolves when its change is durable. Methods of one caller take effect in the order of their calls.
//! - Losing the store stops what needs it and nothing else: the log goes on, views catch up.
//!
//! The SQL is written once ([`tables`]) over a seam ([`db`]) that SQLite and PostgreSQL both implement; `laws` runs for both.

pub mod db;
pub mod postgres;
pub mod sqlite;
pub mod tables;

#[cfg(test)]
pub mod laws;

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
};

use fairway_adapters::contract::{MediaRef, Priority, State, Time};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::ids::MessageId;

/// Opens the database that `store.url` names.
///
/// # Errors
/// When it cannot be opened or reached; the sentence names the remedy.
pub async fn open(url: &str) -> Result<Arc<dyn db::Database>, Error> {
    match url.strip_prefix("sqlite:") {
        Some(path) => Ok(Arc::new(sqlite::Sqlite::open(Path::new(path))?)),
        None => Ok(Arc::new(postgres::Postgres::open(url).await?)),
    }
}

/// For each partition of the log, the offset of the next record wanted.
pub type Positions = BTreeMap<u32, u64>;

/// Why the store could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store: {0}")]
pub struct Error(pub String);

impl Error {
    const GUARD: &str = "what this write depends on has changed meanwhile";

    /// A write was undone because its guard found nothing to change.
    pub fn guarded() -> Self {
        Self(Self::GUARD.into())
    }

    /// Whether it is that.
    pub fn is_guarded(&self) -> bool {
        self.0 == Self::GUARD
    }
}

/// What every method answers.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A message that waits in the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The message.
    pub id: MessageId,
    /// Its channel.
    pub channel: String,
    /// Its lane.
    pub lane: Priority,
    /// When it is due.
    pub due: Time,
    /// How often it has been parked.
    pub round: u16,
    /// Attempts made so far.
    pub attempt: u16,
    /// Its conversation, whose later messages wait behind it.
    pub conversation: String,
    /// Its offset in its lane: who was accepted first within a conversation.
    pub position: u64,
    /// Whether it waits for a time of its own (`send_at`) and so holds nobody behind it.
    pub scheduled: bool,
    /// Why it waits.
    pub reason: String,
    /// The message as it lay in its lane.
    pub body: Vec<u8>,
}

/// A conversation's messages in a lane behind a position go after a time, in their order: what waited behind one that has to wait
/// longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Postponed {
    /// The conversation.
    pub conversation: String,
    /// The lane.
    pub lane: Priority,
    /// Behind this offset of the lane.
    pub position: u64,
    /// After this.
    pub due: Time,
}

/// What of a conversation waits in the schedule and holds back what comes behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The conversation.
    pub conversation: String,
    /// The lane.
    pub lane: Priority,
    /// How many messages.
    pub count: u64,
    /// The latest due time.
    pub due: Time,
    /// The lowest and the highest position.
    pub positions: (u64, u64),
}

/// Where a loader of the schedule stands: due time and number of the last row it took.
pub type Cursor = (i64, i64);

/// How much waits in the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Channel.
    pub channel: String,
    /// Lane.
    pub lane: Priority,
    /// Rows.
    pub count: u64,
    /// The earliest due time.
    pub first: Time,
}

/// One line of a message's timeline.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Time,
    /// What: a state, or a decision (`waited`, `throttled`, `retry`, `receipt`, ...).
    pub what: String,
    /// In words.
    pub text: String,
}

/// What the projector learned about a message, since the last time.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What was asked for, when the lane's record was read.
    pub intake: Option<Intake>,
    /// The strongest state seen, with its attempt.
    pub state: Option<(u16, State)>,
    /// The provider's id.
    pub provider_id: Option<String>,
    /// Why it failed, as JSON.
    pub error: Option<String>,
    /// The whole request as it is now, as JSON, when it was edited.
    pub edited: Option<String>,
    /// New lines.
    pub lines: Vec<Line>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Intake {
    /// The channel.
    pub channel: String,
    /// The conversation.
    pub conversation: String,
    /// The person's address.
    pub to: String,
    /// When it was accepted.
    pub accepted_at: Time,
    /// The request as JSON.
    pub request: String,
}

/// How a state compares: of one attempt by rank, a later attempt above an earlier one, an end above all that is under way,
/// and delivered or read above everything.
pub fn rank(attempt: u16, state: State) -> i64 {
    match state {
        State::Delivered | State::Read => 2_000_000 + state as i64,
        State::Expired | State::Cancelled | State::Suppressed => 1_000_000 + state as i64,
        _ => i64::from(attempt) * 16 + state as i64,
    }
}

/// A message as the views know it.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its channel.
    pub channel: String,
    /// Its conversation.
    pub conversation: String,
    /// The person's address.
    pub to: String,
    /// Where it stands.
    #[schema(value_type = String)]
    pub state: State,
    /// Attempts made.
    pub attempt: u16,
    /// The provider's id.
    pub provider_message_id: Option<String>,
    /// When it was accepted.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Time,
    /// When something last changed.
    #[schema(value_type = String, format = "date-time")]
    pub updated_at: Time,
    /// The request.
    #[schema(value_type = Object)]
    pub request: Option<serde_json::Value>,
    /// Why it failed.
    #[schema(value_type = Object)]
    pub error: Option<serde_json::Value>,
    /// Every state and decision, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Line>,
}

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this conversation.
    pub conversation: Option<String>,
    /// In these states.
    pub states: Vec<State>,
    /// Of this channel.
    pub channel: Option<String>,
    /// Behind this place (created_at, id), newest first.
    pub before: Option<(i64, String)>,
    /// At most.
    pub limit: usize,
}

/// What a key has been used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Used {
    /// For the first time: go on.
    Fresh,
    /// By the same body, under way or done; with the stored answer when there is one.
    Same(Option<(u16, String)>),
    /// By another body.
    Other,
}

/// An API key. Only the hash of its secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// `key_...`.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Which channels it may use; empty: all.
    pub channels: Vec<String>,
    /// SHA-256 of the secret.
    #[serde(skip)]
    pub hash: Vec<u8>,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Time,
    /// When it was revoked.
    #[schema(value_type = Option<String>)]
    pub revoked_at: Option<Time>,
}

/// A media object.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// `med_...`.
    pub id: String,
    /// The channel it came through; empty for uploads.
    pub channel: String,
    /// `pending`, `ready`, `unavailable`.
    pub state: String,
    /// The provider's handle while it is pending.
    pub source: Option<MediaRef>,
    /// The blob that holds it.
    pub blob: Option<String>,
    /// RFC 2046 media type.
    pub mime_type: Option<String>,
    /// The name its sender gave it.
    pub filename: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Fetches so far.
    pub tries: u32,
    /// When to try next.
    pub due: Time,
    /// Why it is unavailable.
    pub reason: Option<String>,
    /// When it came.
    pub created_at: Time,
    /// The address of who sent it, in its normal form; `None` for uploads, and once it was let go of.
    pub person: Option<String>,
}

/// An endpoint of `/v1/webhooks`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Endpoint {
    /// `whk_...`.
    pub id: String,
    /// Where to.
    pub url: String,
    /// Only these types; empty: all.
    pub types: Vec<String>,
    /// Only these channels; empty: all.
    pub channels: Vec<String>,
    /// `whsec_...`, the newest first. Shown once, when it is made.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secrets: Vec<String>,
    /// Why it is switched off.
    pub disabled: Option<String>,
    /// How often it was replayed: each time begins a place of its own.
    #[serde(default)]
    #[schema(required = false)]
    pub generation: u32,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Time,
}

/// What a provider gave us to answer a person with, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// The sealed value.
    pub sealed: String,
    /// When it stops working; never where absent.
    pub until: Option<Time>,
    /// How many messages it is still good for; any number where absent.
    pub uses: Option<u16>,
    /// When it came. The newest is kept.
    pub at: Time,
}

impl Handle {
    /// Whether it still lets us answer.
    pub fn is_good(&self, now: Time) -> bool {
        self.until.is_none_or(|until| until > now) && self.uses != Some(0)
    }
}

/// The store.
pub trait Store: Send + Sync + 'static {
    /// Begins a tenure of a unit's schedule: from now on only its holder parks.
    fn begin_schedule(&self, unit: u32, tenure: u64) -> Answer<'_, ()>;
    /// Parks messages of a unit, and then postpones what stands behind some of them, in one step. Idempotent by (id, round): an older
    /// round is replaced, a newer one stays. [`Error::is_guarded`] when another tenure has begun since; then nothing was written.
    fn park(&self, unit: u32, tenure: u64, rows: Vec<Row>, behind: Vec<Postponed>) -> Answer<'_, ()>;
    /// Rows of a channel and lane due by then, behind the cursor, in order of due time.
    fn due(&self, unit: u32, channel: &str, lane: Priority, after: Cursor, by: Time, limit: usize) -> Answer<'_, Vec<(Cursor, Row)>>;
    /// Lets go of rows whose messages are settled, or parked again later: only rows up to that round go.
    fn unpark(&self, rows: Vec<(MessageId, u16)>) -> Answer<'_, ()>;
    /// What waits for a unit.
    fn waiting(&self, unit: u32) -> Answer<'_, Vec<Waiting>>;
    /// What of a unit's conversations waits and holds back what comes behind.
    fn held(&self, unit: u32) -> Answer<'_, Vec<Held>>;
    /// One row.
    fn parked(&self, id: MessageId) -> Answer<'_, Option<Row>>;
    /// Which of these messages have a row. At most 1000 at a time.
    fn parked_among(&self, ids: &[MessageId]) -> Answer<'_, Vec<MessageId>>;
    /// The positions in a lane, from one on, of a unit's messages that have a row, in order.
    fn parked_from(&self, unit: u32, lane: Priority, position: u64) -> Answer<'_, Vec<u64>>;

    /// Begins a tenure of the projector and answers the positions written so far: from now on only its holder writes.
    fn begin_views(&self, tenure: u64) -> Answer<'_, Positions>;
    /// How far the views have read a partition, by its key in [`project`](Self::project); `None` before the first record.
    fn views_at(&self, partition: u32) -> Answer<'_, Option<u64>>;
    /// Writes what the projector learned, with the positions it has read up to. [`Error::is_guarded`] when another has begun a
    /// tenure since; then nothing was written.
    fn project(&self, changes: Vec<(MessageId, Change)>, positions: Positions, tenure: u64) -> Answer<'_, ()>;
    /// A message with its timeline.
    fn message(&self, id: MessageId) -> Answer<'_, Option<Message>>;
    /// Messages, newest first, without timelines.
    fn messages(&self, filter: Filter) -> Answer<'_, Vec<Message>>;
    /// The message a provider's id belongs to.
    fn by_provider_id(&self, channel: &str, provider_id: &str) -> Answer<'_, Option<Message>>;
    /// Messages by state.
    fn balance(&self) -> Answer<'_, Vec<(State, u64)>>;
    /// Lets go of messages last changed before then, except those that still wait or are in doubt.
    fn forget_messages(&self, before: Time) -> Answer<'_, u64>;

    /// Keeps a receipt that came before its message, for 24 h.
    fn keep_receipt(&self, channel: &str, provider_id: &str, receipt: Vec<u8>, at: Time) -> Answer<'_, ()>;
    /// The channels, of these, and provider ids that kept receipts wait for. At most 1000 channels at a time.
    fn awaited_receipts(&self, channels: &[String]) -> Answer<'_, Vec<(String, String)>>;
    /// Takes the receipts kept for a provider's id.
    fn take_receipts(&self, channel: &str, provider_id: &str) -> Answer<'_, Vec<Vec<u8>>>;

    /// Keeps what a person can be answered with, unless a newer one is there. `conversation` is `channel/peer`.
    fn keep_handle(&self, conversation: &str, handle: Handle) -> Answer<'_, ()>;
    /// What a person can be answered with; it may have become useless.
    fn handle(&self, conversation: &str) -> Answer<'_, Option<Handle>>;

    /// Uses an idempotency key: durable when it resolves.
    fn use_key(&self, scope: &str, fingerprint: u128, at: Time) -> Answer<'_, Used>;
    /// Stores the answer given under a key.
    fn answer_key(&self, scope: &str, status: u16, body: String) -> Answer<'_, ()>;
    /// Lets go of a key whose act did not happen.
    fn free_key(&self, scope: &str) -> Answer<'_, ()>;

    /// Adds or changes an API key.
    fn put_api_key(&self, key: ApiKey) -> Answer<'_, ()>;
    /// All API keys.
    fn api_keys(&self) -> Answer<'_, Vec<ApiKey>>;

    /// Adds or changes a media object.
    fn put_media(&self, media: Media) -> Answer<'_, ()>;
    /// A media object.
    fn media(&self, id: &str) -> Answer<'_, Option<Media>>;
    /// Pending media objects due by then, soonest first.
    fn pending_media(&self, by: Time, limit: usize) -> Answer<'_, Vec<Media>>;

    /// Media objects that lie in a blob and came before then, oldest first.
    fn old_media(&self, before: Time, limit: usize) -> Answer<'_, Vec<Media>>;
    /// Media objects of this person.
    fn media_of(&self, person: &str, limit: usize) -> Answer<'_, Vec<Media>>;
    /// Whether any media object lies in this blob.
    fn uses_blob(&self, blob: &str) -> Answer<'_, bool>;

    /// Adds or changes an endpoint.
    fn put_endpoint(&self, endpoint: Endpoint) -> Answer<'_, ()>;
    /// Removes an endpoint; whether it was there.
    fn remove_endpoint(&self, id: &str) -> Answer<'_, bool>;
    /// An endpoint.
    fn endpoint(&self, id: &str) -> Answer<'_, Option<Endpoint>>;
    /// All endpoints.
    fn endpoints(&self) -> Answer<'_, Vec<Endpoint>>;

    /// A setting of the gateway's own (signing keys, pauses), by name.
    fn setting(&self, name: &str) -> Answer<'_, Option<String>>;
    /// The settings whose names begin so. Of the beginning only letters, digits and `/` are meant.
    fn settings(&self, beginning: &str) -> Answer<'_, HashMap<String, String>>;
    /// Writes a setting.
    fn put_setting(&self, name: &str, value: String) -> Answer<'_, ()>;
}

//! The store's own tables, over whichever server runs their SQL.
//!
//! ```text
//!   messages      one row a message, in the order of their coming, so that what changes together lies together;
//!                 timeline = one JSON line per entry
//!   schedule      parked messages by (unit, channel, lane, due)
//!   receipts      early ones, by provider id
//!   idempotency   keys of 24 h     positions, settings, api_keys, media, endpoints, handles
//! ```

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use fairway_adapters::contract::{Priority, State, Time};

use super::db::{Database, Done, Row as SqlRow, Statement, Value};
use super::{
    Answer, ApiKey, Change, Cursor, Endpoint, Error, Filter, Handle, Held, Line, Media, Message, Positions, Postponed, Row, Store, Used,
    Waiting, rank,
};
use crate::ids::MessageId;
use crate::values;

/// Each step once, in order, never changed.
const STEPS: &[&str] = &[
    "
CREATE TABLE IF NOT EXISTS messages (
  id TEXT PRIMARY KEY, channel TEXT, conversation TEXT, recipient TEXT, state BIGINT NOT NULL DEFAULT 0, attempt BIGINT NOT NULL DEFAULT 0,
  rank BIGINT NOT NULL DEFAULT 0, provider_id TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, request TEXT, error TEXT,
  timeline TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (conversation, created_at);
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (created_at);
CREATE INDEX IF NOT EXISTS messages_by_provider ON messages (provider_id, channel) WHERE provider_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_by_state ON messages (state, created_at);
CREATE TABLE IF NOT EXISTS schedule (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, unit BIGINT NOT NULL, channel TEXT NOT NULL, lane BIGINT NOT NULL,
  due BIGINT NOT NULL, round BIGINT NOT NULL, attempt BIGINT NOT NULL, conversation TEXT NOT NULL, scheduled BIGINT NOT NULL,
  reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS schedule_due ON schedule (unit, channel, lane, due, seq);
CREATE TABLE IF NOT EXISTS receipts (channel TEXT NOT NULL, provider_id TEXT NOT NULL, receipt BLOB NOT NULL, at BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS receipts_by_provider ON receipts (provider_id, channel);
CREATE INDEX IF NOT EXISTS receipts_by_time ON receipts (at);
CREATE TABLE IF NOT EXISTS handles (
  conversation TEXT PRIMARY KEY, sealed TEXT NOT NULL, until BIGINT, uses BIGINT, at BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS handles_by_end ON handles (until) WHERE until IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency (
  scope TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, at BIGINT NOT NULL, status BIGINT, body TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_by_time ON idempotency (at);
CREATE TABLE IF NOT EXISTS positions (
  name TEXT NOT NULL, partition BIGINT NOT NULL, \"offset\" BIGINT NOT NULL, PRIMARY KEY (name, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_keys (id TEXT PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS media (
  id TEXT PRIMARY KEY, channel TEXT NOT NULL, state TEXT NOT NULL, source TEXT, blob TEXT, mime_type TEXT, filename TEXT,
  size BIGINT NOT NULL, tries BIGINT NOT NULL, due BIGINT NOT NULL, reason TEXT, created_at BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS media_pending ON media (due) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS media_kept ON media (created_at) WHERE blob IS NOT NULL;
CREATE INDEX IF NOT EXISTS media_by_blob ON media (blob) WHERE blob IS NOT NULL;
CREATE TABLE IF NOT EXISTS endpoints (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
",
    // `offset` is a reserved word of PostgreSQL.
    "ALTER TABLE positions RENAME COLUMN \"offset\" TO next",
    "
ALTER TABLE schedule ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS schedule_held ON schedule (unit, conversation, lane, position, due) WHERE scheduled = 0;
CREATE INDEX IF NOT EXISTS schedule_places ON schedule (unit, lane, position);
",
    "CREATE TABLE IF NOT EXISTS quotas (tenant TEXT PRIMARY KEY, since BIGINT NOT NULL, used BIGINT NOT NULL) WITHOUT ROWID",
    // Whose files go when a person is erased, and what was written to them in threads.
    "
ALTER TABLE media ADD COLUMN person TEXT;
CREATE INDEX IF NOT EXISTS media_by_person ON media (person) WHERE person IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_in_threads ON messages (recipient) WHERE conversation LIKE '%#%';
",
    // Quotas are counted among the campaigns' tables, by the write that plans a batch.
    "DROP TABLE quotas",
    // An erasure looks for conversations however their addresses were written.
    "DROP INDEX IF EXISTS messages_in_threads",
];

/// How long an idempotency key is honoured.
const KEY_FOR: i64 = 24 * 3_600_000;
/// How long a handle lies there after its end, in milliseconds.
const HANDLE_PAST: i64 = 3_600_000;
/// How long an early receipt waits for its message.
const RECEIPT_FOR: i64 = 24 * 3_600_000;

const SCHEDULE: &str = "seq, id, channel, lane, due, round, attempt, conversation, scheduled, reason, body, position";
const MESSAGE: &str = "id, channel, conversation, recipient, state, attempt, provider_id, created_at, updated_at, request, error, timeline";
const MEDIA: &str = "id, channel, state, source, blob, mime_type, filename, size, tries, due, reason, created_at, person";

/// Due times grow with positions, so what is behind keeps its order.
const POSTPONE: &str = "UPDATE schedule SET due = later.due FROM (
   SELECT seq, ?5 + row_number() OVER (ORDER BY position, seq) AS due FROM schedule
   WHERE unit = ?1 AND conversation = ?2 AND lane = ?3 AND position > ?4 AND scheduled = 0) AS later
 WHERE schedule.seq = later.seq AND schedule.due < later.due";

/// So many parameters, for a list.
fn places(count: usize) -> String {
    (1..=count).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ")
}

/// Names of positions: how far the views have read, and who writes them.
const VIEWS: &str = "views";
const TENURE: &str = "views/tenure";
/// Who parks, by unit.
const OWNER: &str = "schedule/tenure";
const PLACE: &str = "INSERT INTO positions (name, partition, next) VALUES (?1, ?2, ?3)
 ON CONFLICT (name, partition) DO UPDATE SET next = excluded.next";

/// The tables.
pub struct Tables {
    db: Arc<dyn Database>,
}

fn lane_of(number: i64) -> Priority {
    match number {
        0 => Priority::Urgent,
        2 => Priority::Bulk,
        _ => Priority::Normal,
    }
}

fn state_of(number: i64) -> State {
    State::ALL.get(number as usize).copied().unwrap_or(State::Accepted)
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn schedule_row(row: &SqlRow) -> Result<(Cursor, Row), Error> {
    let due = row.int(4)?;
    let id = row.text(1)?;
    Ok((
        (due, row.int(0)?),
        Row {
            id: id.parse().map_err(|()| Error(format!("the schedule holds {id}, which is no message id")))?,
            channel: row.text(2)?,
            lane: lane_of(row.int(3)?),
            due: Time(due),
            round: row.int(5)? as u16,
            attempt: row.int(6)? as u16,
            conversation: row.text(7)?,
            scheduled: row.int(8)? != 0,
            reason: row.text(9)?,
            body: row.blob(10)?,
            position: row.int(11)? as u64,
        },
    ))
}

fn message_row(row: &SqlRow) -> Result<Message, Error> {
    let timeline = row.text(11)?;
    let mut lines: Vec<Line> = timeline.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    lines.sort_by_key(|l| l.at);
    Ok(Message {
        id: row.text(0)?,
        channel: row.maybe_text(1)?.unwrap_or_default(),
        conversation: row.maybe_text(2)?.unwrap_or_default(),
        to: row.maybe_text(3)?.unwrap_or_default(),
        state: state_of(row.int(4)?),
        attempt: row.int(5)? as u16,
        provider_message_id: row.maybe_text(6)?,
        created_at: Time(row.int(7)?),
        updated_at: Time(row.int(8)?),
        request: row.json(9),
        error: row.json(10),
        timeline: lines,
    })
}

fn media_row(row: &SqlRow) -> Result<Media, Error> {
    Ok(Media {
        id: row.text(0)?,
        channel: row.text(1)?,
        state: row.text(2)?,
        source: row.json(3),
        blob: row.maybe_text(4)?,
        mime_type: row.maybe_text(5)?,
        filename: row.maybe_text(6)?,
        size: row.int(7)? as u64,
        tries: row.int(8)? as u32,
        due: Time(row.int(9)?),
        reason: row.maybe_text(10)?,
        created_at: Time(row.int(11)?),
        person: row.maybe_text(12)?,
    })
}

const PROJECT: &str = "INSERT INTO messages (id, channel, conversation, recipient, state, attempt, rank, provider_id, created_at, updated_at, request, error, timeline)
 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
 ON CONFLICT (id) DO UPDATE SET
   channel = coalesce(messages.channel, excluded.channel), conversation = coalesce(messages.conversation, excluded.conversation),
   recipient = coalesce(messages.recipient, excluded.recipient), request = coalesce(messages.request, excluded.request),
   state = CASE WHEN excluded.rank >= messages.rank THEN excluded.state ELSE messages.state END,
   attempt = CASE WHEN excluded.attempt > messages.attempt THEN excluded.attempt ELSE messages.attempt END,
   error = CASE WHEN excluded.rank >= messages.rank THEN excluded.error ELSE coalesce(messages.error, excluded.error) END,
   rank = CASE WHEN excluded.rank > messages.rank THEN excluded.rank ELSE messages.rank END,
   provider_id = coalesce(excluded.provider_id, messages.provider_id),
   created_at = CASE WHEN excluded.created_at < messages.created_at THEN excluded.created_at ELSE messages.created_at END,
   updated_at = CASE WHEN excluded.updated_at > messages.updated_at THEN excluded.updated_at ELSE messages.updated_at END,
   timeline = messages.timeline || excluded.timeline";

fn projected(id: MessageId, change: Change) -> Vec<Value> {
    let mut lines = String::new();
    for line in &change.lines {
        lines.push_str(&to_json(line));
        lines.push('\n');
    }
    let (attempt, state) = change.state.unwrap_or((0, State::Accepted));
    let first = change.lines.iter().map(|l| l.at.0).min();
    let last = change.lines.iter().map(|l| l.at.0).max();
    let created = change.intake.as_ref().map(|i| i.accepted_at.0).or(first).unwrap_or(0);
    let (channel, conversation, to, request) = match change.intake {
        Some(i) => (Some(i.channel), Some(i.conversation), Some(i.to), Some(i.request)),
        None => (None, None, None, None),
    };
    values![
        id.to_string(),
        channel,
        conversation,
        to,
        state as i64,
        i64::from(attempt),
        rank(attempt, state),
        change.provider_id,
        created,
        last.unwrap_or(created),
        request,
        change.error,
        lines,
    ]
}

impl Tables {
    /// Opens the tables, bringing them up to date.
    pub async fn open(db: Arc<dyn Database>) -> Result<Self, Error> {
        db.migrate("store", STEPS).await?;
        Ok(Self { db })
    }

    fn write(&self, statements: Vec<Statement>) -> Answer<'static, Vec<Done>> {
        self.db.write(statements)
    }

    fn run(&self, sql: &'static str, parameters: Vec<Value>) -> Answer<'static, ()> {
        let done = self.write(vec![Statement::once(sql, parameters)]);
        Box::pin(async move { done.await.map(drop) })
    }

    fn all<T: 'static>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        parameters: Vec<Value>,
        of: impl Fn(&SqlRow) -> Result<T, Error> + Send + 'static,
    ) -> Answer<'static, Vec<T>> {
        let rows = self.db.read(sql.into(), parameters);
        Box::pin(async move { rows.await?.iter().map(of).collect() })
    }

    fn one<T: 'static>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        parameters: Vec<Value>,
        of: impl Fn(&SqlRow) -> Result<T, Error> + Send + 'static,
    ) -> Answer<'static, Option<T>> {
        let rows = self.db.read(sql.into(), parameters);
        Box::pin(async move { rows.await?.first().map(of).transpose() })
    }
}

/// What the last statement did.
fn last(done: Vec<Done>) -> Done {
    done.into_iter().next_back().unwrap_or_default()
}

impl Store for Tables {
    fn begin_schedule(&self, unit: u32, tenure: u64) -> Answer<'_, ()> {
        self.run(PLACE, values![OWNER, i64::from(unit), tenure as i64])
    }

    fn park(&self, unit: u32, tenure: u64, rows: Vec<Row>, behind: Vec<Postponed>) -> Answer<'_, ()> {
        let runs = rows.into_iter().map(|row| {
            values![
                row.id.to_string(),
                i64::from(row.id.unit),
                row.channel,
                row.lane as i64,
                row.due.0,
                i64::from(row.round),
                i64::from(row.attempt),
                row.conversation,
                row.scheduled,
                row.reason,
                row.body,
                row.position as i64
            ]
        });
        let statement = Statement::each(
            "INSERT INTO schedule (id, unit, channel, lane, due, round, attempt, conversation, scheduled, reason, body, position)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO UPDATE SET due = excluded.due, round = excluded.round, attempt = excluded.attempt,
               scheduled = excluded.scheduled, reason = excluded.reason, body = excluded.body
             WHERE excluded.round > schedule.round",
            runs.collect(),
        );
        let postponed = behind.into_iter().map(|b| values![i64::from(unit), b.conversation, b.lane as i64, b.position as i64, b.due.0]);
        let postpone = Statement::each(POSTPONE, postponed.collect());
        let holds = "UPDATE positions SET next = next WHERE name = ?1 AND partition = ?2 AND next = ?3";
        let guard = Statement::guard(holds, values![OWNER, i64::from(unit), tenure as i64]);
        let done = self.write(vec![guard, statement, postpone]);
        Box::pin(async move { done.await.map(drop) })
    }

    fn due(&self, unit: u32, channel: &str, lane: Priority, after: Cursor, by: Time, limit: usize) -> Answer<'_, Vec<(Cursor, Row)>> {
        self.all(
            format!(
                "SELECT {SCHEDULE} FROM schedule WHERE unit = ?1 AND channel = ?2 AND lane = ?3 AND (due, seq) > (?4, ?5) AND due <= ?6
                 ORDER BY due, seq LIMIT ?7"
            ),
            values![i64::from(unit), channel, lane as i64, after.0, after.1, by.0, limit as i64],
            schedule_row,
        )
    }

    fn unpark(&self, rows: Vec<(MessageId, u16)>) -> Answer<'_, ()> {
        let runs = rows.iter().map(|(id, round)| values![id.to_string(), i64::from(*round)]).collect();
        let done = self.write(vec![Statement::each("DELETE FROM schedule WHERE id = ?1 AND round <= ?2", runs)]);
        Box::pin(async move { done.await.map(drop) })
    }

    fn waiting(&self, unit: u32) -> Answer<'_, Vec<Waiting>> {
        let sql = "SELECT channel, lane, count(*), min(due) FROM schedule WHERE unit = ?1 GROUP BY channel, lane";
        self.all(sql, values![i64::from(unit)], |row| {
            Ok(Waiting { channel: row.text(0)?, lane: lane_of(row.int(1)?), count: row.int(2)? as u64, first: Time(row.int(3)?) })
        })
    }

    fn held(&self, unit: u32) -> Answer<'_, Vec<Held>> {
        let sql = "SELECT conversation, lane, count(*), max(due), min(position), max(position) FROM schedule
                   WHERE unit = ?1 AND scheduled = 0 GROUP BY conversation, lane";
        self.all(sql, values![i64::from(unit)], |row| {
            Ok(Held {
                conversation: row.text(0)?,
                lane: lane_of(row.int(1)?),
                count: row.int(2)? as u64,
                due: Time(row.int(3)?),
                positions: (row.int(4)? as u64, row.int(5)? as u64),
            })
        })
    }

    fn parked(&self, id: MessageId) -> Answer<'_, Option<Row>> {
        self.one(format!("SELECT {SCHEDULE} FROM schedule WHERE id = ?1"), values![id.to_string()], |row| Ok(schedule_row(row)?.1))
    }

    fn parked_from(&self, unit: u32, lane: Priority, position: u64) -> Answer<'_, Vec<u64>> {
        let sql = "SELECT position FROM schedule WHERE unit = ?1 AND lane = ?2 AND position >= ?3 ORDER BY position";
        self.all(sql, values![i64::from(unit), lane as i64, position as i64], |row| Ok(row.int(0)? as u64))
    }

    fn parked_among(&self, ids: &[MessageId]) -> Answer<'_, Vec<MessageId>> {
        let sql = format!("SELECT id FROM schedule WHERE id IN ({})", places(ids.len()));
        let rows = self.db.read(sql.into(), ids.iter().map(|id| id.to_string().into()).collect());
        Box::pin(async move { Ok(rows.await?.iter().filter_map(|row| row.text(0).ok()?.parse().ok()).collect()) })
    }

    fn begin_views(&self, tenure: u64) -> Answer<'_, Positions> {
        let done = self.write(vec![
            Statement::once(PLACE, values![TENURE, 0, tenure as i64]),
            Statement::once("SELECT partition, next FROM positions WHERE name = ?1", values![VIEWS]),
        ]);
        Box::pin(async move { last(done.await?).rows.iter().map(|row| Ok((row.int(0)? as u32, row.int(1)? as u64))).collect() })
    }

    fn views_at(&self, partition: u32) -> Answer<'_, Option<u64>> {
        let sql = "SELECT next FROM positions WHERE name = ?1 AND partition = ?2";
        self.one(sql, values![VIEWS, i64::from(partition)], |row| Ok(row.int(0)? as u64))
    }

    fn project(&self, changes: Vec<(MessageId, Change)>, positions: Positions, tenure: u64) -> Answer<'_, ()> {
        let edits = changes.iter().filter_map(|(id, change)| Some(values![id.to_string(), change.edited.clone()?])).collect();
        // What says nothing of its own (an edit whose telling comes later) makes no row, and no time of one.
        let says = |change: &Change| change.intake.is_some() || !change.lines.is_empty();
        let changes = changes.into_iter().filter(|(_, change)| says(change)).map(|(id, change)| projected(id, change)).collect();
        let positions = positions.into_iter().map(|(partition, next)| values![VIEWS, i64::from(partition), next as i64]).collect();
        let done = self.write(vec![
            Statement::guard("UPDATE positions SET next = next WHERE name = ?1 AND next = ?2", values![TENURE, tenure as i64]),
            Statement::each(PROJECT, changes),
            Statement::each("UPDATE messages SET request = ?2 WHERE id = ?1", edits),
            Statement::each(PLACE, positions),
        ]);
        Box::pin(async move { done.await.map(drop) })
    }

    fn message(&self, id: MessageId) -> Answer<'_, Option<Message>> {
        self.one(format!("SELECT {MESSAGE} FROM messages WHERE id = ?1"), values![id.to_string()], message_row)
    }

    fn messages(&self, filter: Filter) -> Answer<'_, Vec<Message>> {
        let mut sql = format!("SELECT {} FROM messages WHERE 1 = 1", MESSAGE.replace("timeline", "'' AS timeline"));
        let mut values: Vec<Value> = Vec::new();
        let mut next = |value: Value| {
            values.push(value);
            format!("?{}", values.len())
        };
        if let Some(conversation) = filter.conversation {
            sql.push_str(&format!(" AND conversation = {}", next(conversation.into())));
        }
        if let Some(channel) = filter.channel {
            sql.push_str(&format!(" AND channel = {}", next(channel.into())));
        }
        if !filter.states.is_empty() {
            let list: Vec<String> = filter.states.iter().map(|s| (*s as i64).to_string()).collect();
            sql.push_str(&format!(" AND state IN ({})", list.join(", ")));
        }
        if let Some((at, id)) = filter.before {
            sql.push_str(&format!(" AND (created_at, id) < ({}, {})", next(at.into()), next(id.into())));
        }
        sql.push_str(&format!(" ORDER BY created_at DESC, id DESC LIMIT {}", next((filter.limit as i64).into())));
        self.all(sql, values, message_row)
    }

    fn by_provider_id(&self, channel: &str, provider_id: &str) -> Answer<'_, Option<Message>> {
        let sql = format!("SELECT {MESSAGE} FROM messages WHERE provider_id = ?1 AND channel = ?2");
        self.one(sql, values![provider_id, channel], message_row)
    }

    fn balance(&self) -> Answer<'_, Vec<(State, u64)>> {
        let sql = "SELECT state, count(*) FROM messages GROUP BY state ORDER BY state";
        self.all(sql, vec![], |row| Ok((state_of(row.int(0)?), row.int(1)? as u64)))
    }

    fn forget_messages(&self, before: Time) -> Answer<'_, u64> {
        let done = self.write(vec![Statement::once(
            "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE created_at < ?1 AND updated_at < ?1 AND state >= 5 LIMIT 5000)",
            values![before.0],
        )]);
        Box::pin(async move { Ok(last(done.await?).changed) })
    }

    fn keep_receipt(&self, channel: &str, provider_id: &str, receipt: Vec<u8>, at: Time) -> Answer<'_, ()> {
        let done = self.write(vec![
            Statement::once("DELETE FROM receipts WHERE at < ?1", values![at.0 - RECEIPT_FOR]),
            Statement::once(
                "INSERT INTO receipts (channel, provider_id, receipt, at) VALUES (?1, ?2, ?3, ?4)",
                values![channel, provider_id, receipt, at.0],
            ),
        ]);
        Box::pin(async move { done.await.map(drop) })
    }

    fn awaited_receipts(&self, channels: &[String]) -> Answer<'_, Vec<(String, String)>> {
        let sql = format!("SELECT DISTINCT channel, provider_id FROM receipts WHERE channel IN ({})", places(channels.len()));
        let rows = self.db.read(sql.into(), channels.iter().map(|c| c.as_str().into()).collect());
        Box::pin(async move { rows.await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect() })
    }

    fn take_receipts(&self, channel: &str, provider_id: &str) -> Answer<'_, Vec<Vec<u8>>> {
        let sql = "DELETE FROM receipts WHERE provider_id = ?1 AND channel = ?2 RETURNING receipt";
        let done = self.write(vec![Statement::once(sql, values![provider_id, channel])]);
        Box::pin(async move { last(done.await?).rows.iter().map(|row| row.blob(0)).collect() })
    }

    fn keep_handle(&self, conversation: &str, handle: Handle) -> Answer<'_, ()> {
        let done = self.write(vec![
            Statement::once("DELETE FROM handles WHERE until < ?1", values![handle.at.0 - HANDLE_PAST]),
            Statement::once(
                "INSERT INTO handles (conversation, sealed, until, uses, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (conversation) DO UPDATE
                 SET sealed = excluded.sealed, until = excluded.until, uses = excluded.uses, at = excluded.at
                 WHERE excluded.at >= handles.at",
                values![conversation, handle.sealed, handle.until.map(|t| t.0), handle.uses.map(i64::from), handle.at.0],
            ),
        ]);
        Box::pin(async move { done.await.map(drop) })
    }

    fn handle(&self, conversation: &str) -> Answer<'_, Option<Handle>> {
        self.one("SELECT sealed, until, uses, at FROM handles WHERE conversation = ?1", values![conversation], |row| {
            Ok(Handle {
                sealed: row.text(0)?,
                until: row.maybe_int(1)?.map(Time),
                uses: row.maybe_int(2)?.map(|n| n as u16),
                at: Time(row.int(3)?),
            })
        })
    }

    fn use_key(&self, scope: &str, fingerprint: u128, at: Time) -> Answer<'_, Used> {
        let bytes = fingerprint.to_be_bytes().to_vec();
        let done = self.write(vec![
            Statement::once("DELETE FROM idempotency WHERE at < ?1", values![at.0 - KEY_FOR]),
            Statement::once(
                "INSERT INTO idempotency (scope, fingerprint, at) VALUES (?1, ?2, ?3) ON CONFLICT (scope) DO NOTHING RETURNING at",
                values![scope, bytes.clone(), at.0],
            ),
            Statement::once("SELECT fingerprint, status, body FROM idempotency WHERE scope = ?1", values![scope]),
        ]);
        Box::pin(async move {
            let done = done.await?;
            if done.get(1).is_some_and(|insert| !insert.rows.is_empty()) {
                return Ok(Used::Fresh);
            }
            let rows = last(done).rows;
            let row = rows.first().ok_or_else(|| Error("an idempotency key went away while it was used".into()))?;
            if row.blob(0)? != bytes {
                return Ok(Used::Other);
            }
            Ok(Used::Same(row.maybe_int(1)?.map(|s| s as u16).zip(row.maybe_text(2)?)))
        })
    }

    fn answer_key(&self, scope: &str, status: u16, body: String) -> Answer<'_, ()> {
        self.run("UPDATE idempotency SET status = ?1, body = ?2 WHERE scope = ?3", values![i64::from(status), body, scope])
    }

    fn free_key(&self, scope: &str) -> Answer<'_, ()> {
        self.run("DELETE FROM idempotency WHERE scope = ?1", values![scope])
    }

    fn put_api_key(&self, key: ApiKey) -> Answer<'_, ()> {
        let body = to_json(&key);
        self.run(
            "INSERT INTO api_keys (id, body, hash) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body, hash = excluded.hash",
            values![key.id, body, key.hash],
        )
    }

    fn api_keys(&self) -> Answer<'_, Vec<ApiKey>> {
        let rows = self.all("SELECT body, hash FROM api_keys ORDER BY id", vec![], |row| {
            Ok(row.json::<ApiKey>(0).map(|key| ApiKey { hash: row.blob(1).unwrap_or_default(), ..key }))
        });
        Box::pin(async move { Ok(rows.await?.into_iter().flatten().collect()) })
    }

    fn put_media(&self, media: Media) -> Answer<'_, ()> {
        let source = media.source.as_ref().map(to_json);
        self.run(
            "INSERT INTO media (id, channel, state, source, blob, mime_type, filename, size, tries, due, reason, created_at, person)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (id) DO UPDATE SET channel = excluded.channel, state = excluded.state, source = excluded.source,
               blob = excluded.blob, mime_type = excluded.mime_type, filename = excluded.filename, size = excluded.size,
               tries = excluded.tries, due = excluded.due, reason = excluded.reason, created_at = excluded.created_at,
               person = excluded.person",
            values![
                media.id,
                media.channel,
                media.state,
                source,
                media.blob,
                media.mime_type,
                media.filename,
                media.size as i64,
                i64::from(media.tries),
                media.due.0,
                media.reason,
                media.created_at.0,
                media.person
            ],
        )
    }

    fn media(&self, id: &str) -> Answer<'_, Option<Media>> {
        self.one(format!("SELECT {MEDIA} FROM media WHERE id = ?1"), values![id], media_row)
    }

    fn pending_media(&self, by: Time, limit: usize) -> Answer<'_, Vec<Media>> {
        let sql = format!("SELECT {MEDIA} FROM media WHERE state = 'pending' AND due <= ?1 ORDER BY due LIMIT ?2");
        self.all(sql, values![by.0, limit as i64], media_row)
    }

    fn old_media(&self, before: Time, limit: usize) -> Answer<'_, Vec<Media>> {
        let sql = format!("SELECT {MEDIA} FROM media WHERE blob IS NOT NULL AND created_at < ?1 ORDER BY created_at LIMIT ?2");
        self.all(sql, values![before.0, limit as i64], media_row)
    }

    fn media_of(&self, person: &str, limit: usize) -> Answer<'_, Vec<Media>> {
        let sql = format!("SELECT {MEDIA} FROM media WHERE person = ?1 ORDER BY id LIMIT ?2");
        self.all(sql, values![person, limit as i64], media_row)
    }

    fn uses_blob(&self, blob: &str) -> Answer<'_, bool> {
        let found = self.one("SELECT 1 FROM media WHERE blob = ?1 LIMIT 1", values![blob], |_| Ok(()));
        Box::pin(async move { Ok(found.await?.is_some()) })
    }

    fn put_endpoint(&self, endpoint: Endpoint) -> Answer<'_, ()> {
        let body = to_json(&endpoint);
        self.run(
            "INSERT INTO endpoints (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            values![endpoint.id, body],
        )
    }

    fn remove_endpoint(&self, id: &str) -> Answer<'_, bool> {
        let done = self.write(vec![Statement::once("DELETE FROM endpoints WHERE id = ?1", values![id])]);
        Box::pin(async move { Ok(last(done.await?).changed > 0) })
    }

    fn endpoint(&self, id: &str) -> Answer<'_, Option<Endpoint>> {
        let found = self.one("SELECT body FROM endpoints WHERE id = ?1", values![id], |row| Ok(row.json(0)));
        Box::pin(async move { Ok(found.await?.flatten()) })
    }

    fn endpoints(&self) -> Answer<'_, Vec<Endpoint>> {
        let rows = self.all("SELECT body FROM endpoints ORDER BY id", vec![], |row| Ok(row.json(0)));
        Box::pin(async move { Ok(rows.await?.into_iter().flatten().collect()) })
    }

    fn setting(&self, name: &str) -> Answer<'_, Option<String>> {
        self.one("SELECT value FROM settings WHERE name = ?1", values![name], |row| row.text(0))
    }

    fn settings(&self, beginning: &str) -> Answer<'_, HashMap<String, String>> {
        let sql = "SELECT name, value FROM settings WHERE name LIKE ?1";
        let rows = self.all(sql, values![format!("{beginning}%")], |row| Ok((row.text(0)?, row.text(1)?)));
        Box::pin(async move { Ok(rows.await?.into_iter().collect()) })
    }

    fn put_setting(&self, name: &str, value: String) -> Answer<'_, ()> {
        self.run(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            values![name, value],
        )
    }
}

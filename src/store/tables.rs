//! The store in one SQLite file: one writer thread, a few readers, so that views never slow the log.
//!
//! ```text
//!   messages      one row a message; timeline = one JSON line per entry
//!   schedule      parked messages by (unit, channel, lane, due)
//!   receipts      early ones, by provider id
//!   idempotency   keys of 24 h     positions, settings, api_keys, media, endpoints
//! ```

use std::{path::Path, sync::Arc, thread, time::Duration};

use fairway_adapters::contract::{Priority, State, Time};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use tokio::sync::oneshot;

use super::{
    Answer, ApiKey, Change, Cursor, Endpoint, Error, Filter, Handle, Line, Media, Message, Positions, Row, Store, Used, Waiting, rank,
};
use crate::ids::MessageId;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS messages (
  id TEXT PRIMARY KEY, channel TEXT, conversation TEXT, recipient TEXT, state INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0,
  rank INTEGER NOT NULL DEFAULT 0, provider_id TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, request TEXT, error TEXT,
  timeline TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (conversation, created_at);
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (created_at);
CREATE INDEX IF NOT EXISTS messages_by_provider ON messages (provider_id, channel) WHERE provider_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_troubled ON messages (state, created_at) WHERE state IN (4, 6);
CREATE TABLE IF NOT EXISTS schedule (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, unit INTEGER NOT NULL, channel TEXT NOT NULL, lane INTEGER NOT NULL,
  due INTEGER NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, conversation TEXT NOT NULL, scheduled INTEGER NOT NULL,
  reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS schedule_due ON schedule (unit, channel, lane, due, seq);
CREATE TABLE IF NOT EXISTS receipts (channel TEXT NOT NULL, provider_id TEXT NOT NULL, receipt BLOB NOT NULL, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS receipts_by_provider ON receipts (provider_id, channel);
CREATE INDEX IF NOT EXISTS receipts_by_time ON receipts (at);
CREATE TABLE IF NOT EXISTS handles (
  conversation TEXT PRIMARY KEY, sealed TEXT NOT NULL, until INTEGER, uses INTEGER, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS handles_by_end ON handles (until) WHERE until IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency (
  scope TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, at INTEGER NOT NULL, status INTEGER, body TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_by_time ON idempotency (at);
CREATE TABLE IF NOT EXISTS positions (name TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (name, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_keys (id TEXT PRIMARY KEY, body TEXT NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS media (
  id TEXT PRIMARY KEY, channel TEXT NOT NULL, state TEXT NOT NULL, source TEXT, blob TEXT, mime_type TEXT, filename TEXT, size INTEGER NOT NULL,
  tries INTEGER NOT NULL, due INTEGER NOT NULL, reason TEXT, created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS media_pending ON media (due) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS media_kept ON media (created_at) WHERE blob IS NOT NULL;
CREATE INDEX IF NOT EXISTS media_by_blob ON media (blob) WHERE blob IS NOT NULL;
CREATE TABLE IF NOT EXISTS endpoints (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
";

/// Version of the tables. A newer file is refused.
const VERSION: i64 = 1;
/// How long an idempotency key is honoured.
const KEY_FOR: i64 = 24 * 3_600_000;
/// How long a handle lies there after its end, in milliseconds.
const HANDLE_PAST: i64 = 3_600_000;
/// How long an early receipt waits for its message.
const RECEIPT_FOR: i64 = 24 * 3_600_000;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The store in a SQLite file.
pub struct Sqlite {
    jobs: std::sync::mpsc::Sender<Job>,
    readers: Arc<Vec<Mutex<Connection>>>,
    next: std::sync::atomic::AtomicUsize,
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error(e.to_string())
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

impl Sqlite {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| Error(format!("the folder of store.url cannot be created: {e}")))?;
        }
        let mut writer = open(path).map_err(|e| Error(format!("{} cannot be opened: {e}; is store.url right?", path.display())))?;
        let version: i64 = writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version > VERSION {
            return Err(Error(format!("{} was written by a newer version of Fairway; use that version", path.display())));
        }
        writer.execute_batch(SCHEMA).map_err(failed)?;
        writer.pragma_update(None, "user_version", VERSION).map_err(failed)?;
        let readers = (0..3).map(|_| open(path).map(Mutex::new)).collect::<Result<_, _>>().map_err(failed)?;
        let (jobs, queue) = std::sync::mpsc::channel::<Job>();
        thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Ok(job) = queue.recv() {
                    job(&mut writer);
                }
            })
            .map_err(failed)?;
        Ok(Self { jobs, readers: Arc::new(readers), next: Default::default() })
    }

    fn write<T: Send + 'static>(&self, act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static) -> Answer<'static, T> {
        let (sender, receiver) = oneshot::channel();
        let sent = self.jobs.send(Box::new(move |connection| {
            let _ = sender.send(act(connection).map_err(failed));
        }));
        Box::pin(async move {
            sent.map_err(failed)?;
            receiver.await.map_err(|_| Error("it is closed".into()))?
        })
    }

    fn read<T: Send + 'static>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static) -> Answer<'static, T> {
        let readers = Arc::clone(&self.readers);
        let which = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % readers.len();
        Box::pin(async move { tokio::task::spawn_blocking(move || act(&readers[which].lock()).map_err(failed)).await.map_err(failed)? })
    }
}

fn lane_number(lane: Priority) -> i64 {
    lane as i64
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

fn json<T: serde::de::DeserializeOwned>(text: Option<String>) -> Option<T> {
    serde_json::from_str(&text?).ok()
}

fn schedule_row(row: &SqlRow<'_>) -> rusqlite::Result<(Cursor, Row)> {
    let id: String = row.get("id")?;
    let due: i64 = row.get("due")?;
    Ok((
        (due, row.get("seq")?),
        Row {
            id: id.parse().map_err(|()| rusqlite::Error::InvalidQuery)?,
            channel: row.get("channel")?,
            lane: lane_of(row.get("lane")?),
            due: Time(due),
            round: row.get("round")?,
            attempt: row.get("attempt")?,
            conversation: row.get("conversation")?,
            scheduled: row.get("scheduled")?,
            reason: row.get("reason")?,
            body: row.get("body")?,
        },
    ))
}

fn message_row(row: &SqlRow<'_>) -> rusqlite::Result<Message> {
    let timeline: String = row.get("timeline")?;
    let mut lines: Vec<Line> = timeline.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    lines.sort_by_key(|l| l.at);
    Ok(Message {
        id: row.get("id")?,
        channel: row.get::<_, Option<String>>("channel")?.unwrap_or_default(),
        conversation: row.get::<_, Option<String>>("conversation")?.unwrap_or_default(),
        to: row.get::<_, Option<String>>("recipient")?.unwrap_or_default(),
        state: state_of(row.get("state")?),
        attempt: row.get("attempt")?,
        provider_message_id: row.get("provider_id")?,
        created_at: Time(row.get("created_at")?),
        updated_at: Time(row.get("updated_at")?),
        request: json(row.get("request")?),
        error: json(row.get("error")?),
        timeline: lines,
    })
}

fn media_row(row: &SqlRow<'_>) -> rusqlite::Result<Media> {
    Ok(Media {
        id: row.get("id")?,
        channel: row.get("channel")?,
        state: row.get("state")?,
        source: json(row.get("source")?),
        blob: row.get("blob")?,
        mime_type: row.get("mime_type")?,
        filename: row.get("filename")?,
        size: row.get::<_, i64>("size")? as u64,
        tries: row.get("tries")?,
        due: Time(row.get("due")?),
        reason: row.get("reason")?,
        created_at: Time(row.get("created_at")?),
    })
}

fn put_positions(connection: &Connection, name: &str, positions: &Positions) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)")?;
    for (partition, offset) in positions {
        statement.execute(params![name, partition, *offset as i64])?;
    }
    Ok(())
}

fn project(connection: &Connection, id: MessageId, change: &Change) -> rusqlite::Result<()> {
    let mut lines = String::new();
    for line in &change.lines {
        lines.push_str(&serde_json::to_string(line).unwrap_or_default());
        lines.push('\n');
    }
    let intake = change.intake.as_ref();
    let (attempt, state) = change.state.unwrap_or((0, State::Accepted));
    let first = change.lines.iter().map(|l| l.at.0).min();
    let last = change.lines.iter().map(|l| l.at.0).max();
    let created = intake.map(|i| i.accepted_at.0).or(first).unwrap_or(0);
    let mut statement = connection.prepare_cached(
        "INSERT INTO messages (id, channel, conversation, recipient, state, attempt, rank, provider_id, created_at, updated_at, request, error, timeline)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (id) DO UPDATE SET
           channel = coalesce(channel, excluded.channel), conversation = coalesce(conversation, excluded.conversation),
           recipient = coalesce(recipient, excluded.recipient), request = coalesce(request, excluded.request),
           state = CASE WHEN excluded.rank >= rank THEN excluded.state ELSE state END,
           attempt = max(attempt, excluded.attempt),
           error = CASE WHEN excluded.rank >= rank THEN excluded.error ELSE coalesce(error, excluded.error) END,
           rank = max(rank, excluded.rank), provider_id = coalesce(excluded.provider_id, provider_id),
           created_at = min(created_at, excluded.created_at), updated_at = max(updated_at, excluded.updated_at),
           timeline = timeline || excluded.timeline",
    )?;
    statement.execute(params![
        id.to_string(),
        intake.map(|i| i.channel.as_str()),
        intake.map(|i| i.conversation.as_str()),
        intake.map(|i| i.to.as_str()),
        state as i64,
        attempt,
        rank(attempt, state),
        change.provider_id,
        created,
        last.unwrap_or(created),
        intake.map(|i| i.request.as_str()),
        change.error,
        lines,
    ])?;
    Ok(())
}

impl Store for Sqlite {
    fn park(&self, rows: Vec<Row>) -> Answer<'_, ()> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached(
                    "INSERT INTO schedule (id, unit, channel, lane, due, round, attempt, conversation, scheduled, reason, body)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                     ON CONFLICT (id) DO UPDATE SET due = excluded.due, round = excluded.round, attempt = excluded.attempt,
                       scheduled = excluded.scheduled, reason = excluded.reason, body = excluded.body
                     WHERE excluded.round > round",
                )?;
                for row in &rows {
                    statement.execute(params![
                        row.id.to_string(),
                        row.id.unit,
                        row.channel,
                        lane_number(row.lane),
                        row.due.0,
                        row.round,
                        row.attempt,
                        row.conversation,
                        row.scheduled,
                        row.reason,
                        row.body
                    ])?;
                }
            }
            transaction.commit()
        })
    }

    fn due(&self, unit: u32, channel: &str, lane: Priority, after: Cursor, by: Time, limit: usize) -> Answer<'_, Vec<(Cursor, Row)>> {
        let channel = channel.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT * FROM schedule WHERE unit = ? AND channel = ? AND lane = ? AND (due, seq) > (?, ?) AND due <= ? ORDER BY due, seq LIMIT ?",
                )?
                .query_map(params![unit, channel, lane_number(lane), after.0, after.1, by.0, limit as i64], schedule_row)?
                .collect()
        })
    }

    fn unpark(&self, rows: Vec<(MessageId, u16)>) -> Answer<'_, ()> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached("DELETE FROM schedule WHERE id = ? AND round <= ?")?;
                for (id, round) in &rows {
                    statement.execute(params![id.to_string(), round])?;
                }
            }
            transaction.commit()
        })
    }

    fn waiting(&self, unit: u32) -> Answer<'_, Vec<Waiting>> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT channel, lane, count(*), min(due) FROM schedule WHERE unit = ? GROUP BY channel, lane")?
                .query_map([unit], |row| {
                    Ok(Waiting {
                        channel: row.get(0)?,
                        lane: lane_of(row.get(1)?),
                        count: row.get::<_, i64>(2)? as u64,
                        first: Time(row.get(3)?),
                    })
                })?
                .collect()
        })
    }

    fn held(&self, unit: u32) -> Answer<'_, Vec<(String, Time)>> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT conversation, max(due) FROM schedule WHERE unit = ? AND NOT scheduled GROUP BY conversation")?
                .query_map([unit], |row| Ok((row.get(0)?, Time(row.get(1)?))))?
                .collect()
        })
    }

    fn parked(&self, id: MessageId) -> Answer<'_, Option<Row>> {
        self.read(move |connection| {
            connection.query_row("SELECT * FROM schedule WHERE id = ?", [id.to_string()], |row| Ok(schedule_row(row)?.1)).optional()
        })
    }

    fn project(&self, changes: Vec<(MessageId, Change)>, position: (String, Positions)) -> Answer<'_, ()> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            for (id, change) in &changes {
                project(&transaction, *id, change)?;
            }
            put_positions(&transaction, &position.0, &position.1)?;
            transaction.commit()
        })
    }

    fn position(&self, name: &str) -> Answer<'_, Positions> {
        let name = name.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT partition, offset FROM positions WHERE name = ?")?
                .query_map([name], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
    }

    fn message(&self, id: MessageId) -> Answer<'_, Option<Message>> {
        self.read(move |connection| connection.query_row("SELECT * FROM messages WHERE id = ?", [id.to_string()], message_row).optional())
    }

    fn messages(&self, filter: Filter) -> Answer<'_, Vec<Message>> {
        self.read(move |connection| {
            let mut sql = String::from(
                "SELECT id, channel, conversation, recipient, state, attempt, provider_id, created_at, updated_at, request, error, '' AS timeline FROM messages WHERE 1",
            );
            let mut values: Vec<rusqlite::types::Value> = Vec::new();
            if let Some(conversation) = filter.conversation {
                sql.push_str(" AND conversation = ?");
                values.push(conversation.into());
            }
            if let Some(channel) = filter.channel {
                sql.push_str(" AND channel = ?");
                values.push(channel.into());
            }
            if !filter.states.is_empty() {
                let list: Vec<String> = filter.states.iter().map(|s| (*s as i64).to_string()).collect();
                sql.push_str(&format!(" AND state IN ({})", list.join(", ")));
            }
            if let Some((at, id)) = filter.before {
                sql.push_str(" AND (created_at, id) < (?, ?)");
                values.extend([at.into(), id.into()]);
            }
            sql.push_str(" ORDER BY created_at DESC, id DESC LIMIT ?");
            values.push((filter.limit as i64).into());
            connection.prepare_cached(&sql)?.query_map(rusqlite::params_from_iter(values), message_row)?.collect()
        })
    }

    fn by_provider_id(&self, channel: &str, provider_id: &str) -> Answer<'_, Option<Message>> {
        let (channel, provider_id) = (channel.to_owned(), provider_id.to_owned());
        self.read(move |connection| {
            connection
                .query_row("SELECT * FROM messages WHERE provider_id = ? AND channel = ?", [provider_id, channel], message_row)
                .optional()
        })
    }

    fn balance(&self) -> Answer<'_, Vec<(State, u64)>> {
        self.read(|connection| {
            connection
                .prepare("SELECT state, count(*) FROM messages GROUP BY state")?
                .query_map([], |row| Ok((state_of(row.get(0)?), row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
    }

    fn forget_messages(&self, before: Time) -> Answer<'_, u64> {
        self.write(move |connection| {
            let sql = "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE created_at < ? AND updated_at < ? AND state >= 5 LIMIT 5000)";
            Ok(connection.execute(sql, [before.0, before.0])? as u64)
        })
    }

    fn keep_receipt(&self, channel: &str, provider_id: &str, receipt: Vec<u8>, at: Time) -> Answer<'_, ()> {
        let (channel, provider_id) = (channel.to_owned(), provider_id.to_owned());
        self.write(move |connection| {
            connection.prepare_cached("DELETE FROM receipts WHERE at < ?")?.execute([at.0 - RECEIPT_FOR])?;
            connection.prepare_cached("INSERT INTO receipts VALUES (?, ?, ?, ?)")?.execute(params![channel, provider_id, receipt, at.0])?;
            Ok(())
        })
    }

    fn take_receipts(&self, channel: &str, provider_id: &str) -> Answer<'_, Vec<Vec<u8>>> {
        let (channel, provider_id) = (channel.to_owned(), provider_id.to_owned());
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM receipts WHERE provider_id = ? AND channel = ? RETURNING receipt")?
                .query_map([provider_id, channel], |row| row.get(0))?
                .collect()
        })
    }

    fn keep_handle(&self, conversation: &str, handle: Handle) -> Answer<'_, ()> {
        let conversation = conversation.to_owned();
        self.write(move |connection| {
            connection.prepare_cached("DELETE FROM handles WHERE until < ?")?.execute([handle.at.0 - HANDLE_PAST])?;
            connection
                .prepare_cached(
                    "INSERT INTO handles VALUES (?, ?, ?, ?, ?) ON CONFLICT (conversation) DO UPDATE
                     SET sealed = excluded.sealed, until = excluded.until, uses = excluded.uses, at = excluded.at
                     WHERE excluded.at >= handles.at",
                )?
                .execute(params![conversation, handle.sealed, handle.until.map(|t| t.0), handle.uses, handle.at.0])?;
            Ok(())
        })
    }

    fn handle(&self, conversation: &str) -> Answer<'_, Option<Handle>> {
        let conversation = conversation.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT sealed, until, uses, at FROM handles WHERE conversation = ?")?
                .query_row([conversation], |row| {
                    let until: Option<i64> = row.get(1)?;
                    Ok(Handle { sealed: row.get(0)?, until: until.map(Time), uses: row.get(2)?, at: Time(row.get(3)?) })
                })
                .optional()
        })
    }

    fn use_key(&self, scope: &str, fingerprint: u128, at: Time) -> Answer<'_, Used> {
        let scope = scope.to_owned();
        self.write(move |connection| {
            connection.prepare_cached("DELETE FROM idempotency WHERE at < ?")?.execute([at.0 - KEY_FOR])?;
            let bytes = fingerprint.to_be_bytes().to_vec();
            let found = connection
                .prepare_cached("SELECT fingerprint, status, body FROM idempotency WHERE scope = ?")?
                .query_row([&scope], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<u16>>(1)?, row.get::<_, Option<String>>(2)?)))
                .optional()?;
            Ok(match found {
                None => {
                    connection
                        .prepare_cached("INSERT INTO idempotency (scope, fingerprint, at) VALUES (?, ?, ?)")?
                        .execute(params![scope, bytes, at.0])?;
                    Used::Fresh
                }
                Some((old, status, body)) if old == bytes => Used::Same(status.zip(body)),
                Some(_) => Used::Other,
            })
        })
    }

    fn answer_key(&self, scope: &str, status: u16, body: String) -> Answer<'_, ()> {
        let scope = scope.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE idempotency SET status = ?, body = ? WHERE scope = ?")?
                .execute(params![status, body, scope])?;
            Ok(())
        })
    }

    fn free_key(&self, scope: &str) -> Answer<'_, ()> {
        let scope = scope.to_owned();
        self.write(move |connection| {
            connection.prepare_cached("DELETE FROM idempotency WHERE scope = ?")?.execute([scope])?;
            Ok(())
        })
    }

    fn put_api_key(&self, key: ApiKey) -> Answer<'_, ()> {
        self.write(move |connection| {
            let body = serde_json::to_string(&key).unwrap_or_default();
            connection.execute("INSERT OR REPLACE INTO api_keys VALUES (?, ?, ?)", params![key.id, body, key.hash])?;
            Ok(())
        })
    }

    fn api_keys(&self) -> Answer<'_, Vec<ApiKey>> {
        self.read(|connection| {
            let rows: Vec<(String, Vec<u8>)> = connection
                .prepare("SELECT body, hash FROM api_keys ORDER BY id")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            Ok(rows.into_iter().filter_map(|(body, hash)| Some(ApiKey { hash, ..serde_json::from_str(&body).ok()? })).collect())
        })
    }

    fn put_media(&self, media: Media) -> Answer<'_, ()> {
        self.write(move |connection| {
            let source = media.source.as_ref().map(|s| serde_json::to_string(s).unwrap_or_default());
            connection.prepare_cached("INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
                media.id,
                media.channel,
                media.state,
                source,
                media.blob,
                media.mime_type,
                media.filename,
                media.size as i64,
                media.tries,
                media.due.0,
                media.reason,
                media.created_at.0
            ])?;
            Ok(())
        })
    }

    fn media(&self, id: &str) -> Answer<'_, Option<Media>> {
        let id = id.to_owned();
        self.read(move |connection| connection.query_row("SELECT * FROM media WHERE id = ?", [id], media_row).optional())
    }

    fn pending_media(&self, by: Time, limit: usize) -> Answer<'_, Vec<Media>> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM media WHERE state = 'pending' AND due <= ? ORDER BY due LIMIT ?")?
                .query_map(params![by.0, limit as i64], media_row)?
                .collect()
        })
    }

    fn old_media(&self, before: Time, limit: usize) -> Answer<'_, Vec<Media>> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM media WHERE blob IS NOT NULL AND created_at < ? ORDER BY created_at LIMIT ?")?
                .query_map(params![before.0, limit as i64], media_row)?
                .collect()
        })
    }

    fn uses_blob(&self, blob: &str) -> Answer<'_, bool> {
        let blob = blob.to_owned();
        self.read(move |connection| connection.prepare_cached("SELECT 1 FROM media WHERE blob = ?")?.exists([blob]))
    }

    fn put_endpoint(&self, endpoint: Endpoint) -> Answer<'_, ()> {
        self.write(move |connection| {
            let body = serde_json::to_string(&endpoint).unwrap_or_default();
            connection.execute("INSERT OR REPLACE INTO endpoints VALUES (?, ?)", params![endpoint.id, body])?;
            Ok(())
        })
    }

    fn remove_endpoint(&self, id: &str) -> Answer<'_, bool> {
        let id = id.to_owned();
        self.write(move |connection| Ok(connection.execute("DELETE FROM endpoints WHERE id = ?", [id])? > 0))
    }

    fn endpoints(&self) -> Answer<'_, Vec<Endpoint>> {
        self.read(|connection| {
            let rows: Vec<String> =
                connection.prepare("SELECT body FROM endpoints ORDER BY id")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(rows.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
        })
    }

    fn setting(&self, name: &str) -> Answer<'_, Option<String>> {
        let name = name.to_owned();
        self.read(move |connection| connection.query_row("SELECT value FROM settings WHERE name = ?", [name], |row| row.get(0)).optional())
    }

    fn put_setting(&self, name: &str, value: String) -> Answer<'_, ()> {
        let name = name.to_owned();
        self.write(move |connection| {
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", [name, value])?;
            Ok(())
        })
    }
}

//! SQLite in one file: one writer thread that commits all that waits together, a few readers, so that views never slow the log.

use std::{
    borrow::Cow,
    path::Path,
    sync::{Arc, mpsc, mpsc::RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rusqlite::{Connection, config::DbConfig, params_from_iter, types::ValueRef};
use tokio::sync::{Semaphore, oneshot};

use super::db::{Database, Done, Row, Statement, Value};
use super::{Answer, Error};

/// Writes that one commit takes at most.
const TOGETHER: usize = 256;

/// Reads that run at the same time at most.
const READERS: usize = 3;

/// What a connection keeps of the file in memory, in KiB, and after how many pages of the write-ahead log they go into the file.
const USUAL: (i64, i64) = (4096, 1000);

/// The same while an import or the books of a campaign are written. Their keys come in no order, so that every commit touches pages
/// all over the file: with few in memory each is read anew for it, and with a short log written twice for it.
const BULK: (i64, i64) = (49_152, 16_384);

/// Runs of one statement from which on a write is one of those.
const MANY: usize = 1000;

/// How long after the last of them the memory is given back.
const REST: Duration = Duration::from_secs(5);

/// A write that waits.
struct Job {
    act: Act,
    answer: oneshot::Sender<Result<Vec<Done>, Error>>,
}

impl Job {
    fn is_bulk(&self) -> bool {
        matches!(&self.act, Act::Write(statements) if statements.iter().any(|s| s.runs.len() >= MANY))
    }
}

enum Act {
    Write(Vec<Statement>),
    Migrate(&'static str, &'static [&'static str]),
}

/// A database in a file.
pub struct Sqlite {
    jobs: mpsc::Sender<Job>,
    readers: Arc<Readers>,
}

/// Connections that read. Who finds none free waits as a task, not as a thread.
struct Readers {
    free: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error(e.to_string())
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -USUAL.0)?;
    connection.set_prepared_statement_cache_capacity(128);
    keep_plans(&connection)?;
    Ok(connection)
}

/// Plans a statement once, not anew for each value that is bound to it.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

impl Sqlite {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| Error(format!("the folder of store.url cannot be created: {e}")))?;
        }
        let wrong = |e: rusqlite::Error| Error(format!("{} cannot be opened: {e}; is store.url right?", path.display()));
        let mut writer = open(path).map_err(wrong)?;
        let free: Vec<Connection> = (0..READERS).map(|_| open(path)).collect::<Result<_, _>>().map_err(wrong)?;
        let readers = Readers { free: Mutex::new(free), turns: Arc::new(Semaphore::new(READERS)) };
        let (jobs, queue) = mpsc::channel::<Job>();
        let run = move || {
            let mut bulk: Option<Instant> = None;
            loop {
                let first = match bulk {
                    Some(_) => queue.recv_timeout(REST),
                    None => queue.recv().map_err(Into::into),
                };
                let first = match first {
                    Ok(first) => Some(first),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let batch: Vec<Job> = first.into_iter().chain(queue.try_iter().take(TOGETHER - 1)).collect();
                let before = bulk.is_some();
                bulk = if batch.iter().any(Job::is_bulk) { Some(Instant::now()) } else { bulk.filter(|last| last.elapsed() < REST) };
                if bulk.is_some() != before {
                    size(&writer, if before { USUAL } else { BULK });
                }
                if !batch.is_empty() {
                    commit(&mut writer, batch);
                }
            }
        };
        thread::Builder::new().name("store".into()).spawn(run).map_err(failed)?;
        Ok(Self { jobs, readers: Arc::new(readers) })
    }

    fn send(&self, act: Act) -> Answer<'static, Vec<Done>> {
        let (answer, receiver) = oneshot::channel();
        let sent = self.jobs.send(Job { act, answer });
        Box::pin(async move {
            sent.map_err(|_| Error("it is closed".into()))?;
            receiver.await.map_err(|_| Error("it is closed".into()))?
        })
    }
}

/// Gives the writer more memory and a longer log, or takes both back. Where it cannot, it writes as before.
fn size(connection: &Connection, (cache, log): (i64, i64)) {
    let done = connection
        .pragma_update(None, "cache_size", -cache)
        .and_then(|()| connection.pragma_update(None, "wal_autocheckpoint", log))
        .and_then(|()| connection.execute_batch("PRAGMA shrink_memory"));
    if let Err(e) = done {
        tracing::warn!(error = %e, "the store's memory cannot be sized");
    }
}

/// Runs a batch in one transaction, each write of it in a savepoint of its own: one that fails takes nobody with it.
fn commit(connection: &mut Connection, batch: Vec<Job>) {
    let mut answers = Vec::with_capacity(batch.len());
    let mut outcome = step(connection, "BEGIN IMMEDIATE");
    for job in batch {
        let result = match &outcome {
            Ok(()) => attempt(connection, &job.act),
            Err(e) => Err(failed(e)),
        };
        answers.push((job.answer, result));
    }
    if outcome.is_ok() {
        outcome = step(connection, "COMMIT");
        if outcome.is_err() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    for (answer, result) in answers {
        let _ = answer.send(match &outcome {
            Ok(()) => result,
            Err(e) => Err(failed(e)),
        });
    }
}

fn attempt(connection: &Connection, act: &Act) -> Result<Vec<Done>, Error> {
    step(connection, "SAVEPOINT one").map_err(failed)?;
    let result = match act {
        Act::Write(statements) => statements
            .iter()
            .map(|s| match run(connection, s).map_err(failed)? {
                done if s.must && done.changed == 0 => Err(Error::guarded()),
                done => Ok(done),
            })
            .collect(),
        Act::Migrate(name, steps) => migrate(connection, name, steps),
    };
    if result.is_err() {
        step(connection, "ROLLBACK TO one").map_err(failed)?;
    }
    step(connection, "RELEASE one").map_err(failed)?;
    result
}

/// Runs a statement that is kept prepared.
fn step(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn run(connection: &Connection, statement: &Statement) -> rusqlite::Result<Done> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let mut done = Done::default();
    for parameters in &statement.runs {
        if prepared.column_count() == 0 {
            done.changed += prepared.execute(params_from_iter(parameters))? as u64;
        } else {
            let before = done.rows.len();
            read(&mut prepared, parameters, &mut done.rows)?;
            done.changed += (done.rows.len() - before) as u64;
        }
    }
    Ok(done)
}

fn rows(connection: &Connection, sql: &str, parameters: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let (mut prepared, mut rows) = (connection.prepare_cached(sql)?, Vec::new());
    read(&mut prepared, parameters, &mut rows)?;
    Ok(rows)
}

fn read(prepared: &mut rusqlite::Statement<'_>, parameters: &[Value], into: &mut Vec<Row>) -> rusqlite::Result<()> {
    let columns = prepared.column_count();
    let mut rows = prepared.query(params_from_iter(parameters))?;
    while let Some(row) = rows.next()? {
        into.push(Row((0..columns).map(|c| row.get_ref(c).map(value)).collect::<Result<_, _>>()?));
    }
    Ok(())
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(v) => Value::Int(v),
        ValueRef::Real(v) => Value::Real(v),
        ValueRef::Text(v) => Value::Text(String::from_utf8_lossy(v).into_owned()),
        ValueRef::Blob(v) => Value::Blob(v.to_vec()),
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(v) => ValueRef::Integer(*v),
            Self::Real(v) => ValueRef::Real(*v),
            Self::Text(v) => ValueRef::Text(v.as_bytes()),
            Self::Blob(v) => ValueRef::Blob(v),
        }))
    }
}

/// The write transaction around it is the lock.
fn migrate(connection: &Connection, name: &str, steps: &[&str]) -> Result<Vec<Done>, Error> {
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, steps BIGINT NOT NULL) WITHOUT ROWID")
        .map_err(failed)?;
    let found = connection.query_row("SELECT coalesce(max(steps), 0) FROM migrations WHERE name = ?1", [name], |row| row.get::<_, i64>(0));
    let done = found.map_err(failed)? as usize;
    if done > steps.len() {
        return Err(Error(format!("the tables `{name}` were written by a newer version of Fairway; use that version")));
    }
    for step in &steps[done..] {
        connection.execute_batch(step).map_err(failed)?;
    }
    connection
        .execute(
            "INSERT INTO migrations VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET steps = excluded.steps",
            rusqlite::params![name, steps.len() as i64],
        )
        .map_err(failed)?;
    Ok(Vec::new())
}

impl Database for Sqlite {
    fn read(&self, sql: Cow<'static, str>, parameters: Vec<Value>) -> Answer<'static, Vec<Row>> {
        let readers = Arc::clone(&self.readers);
        Box::pin(async move {
            let turn = Arc::clone(&readers.turns).acquire_owned().await.map_err(failed)?;
            let act = move || {
                let _turn = turn;
                let Some(connection) = readers.free.lock().pop() else { return Err(Error("no connection to read by is left".into())) };
                let rows = rows(&connection, &sql, &parameters).map_err(failed);
                readers.free.lock().push(connection);
                rows
            };
            tokio::task::spawn_blocking(act).await.map_err(failed)?
        })
    }

    fn write(&self, statements: Vec<Statement>) -> Answer<'static, Vec<Done>> {
        self.send(Act::Write(statements))
    }

    fn migrate(&self, name: &'static str, steps: &'static [&'static str]) -> Answer<'static, ()> {
        let done = self.send(Act::Migrate(name, steps));
        Box::pin(async move { done.await.map(drop) })
    }
}

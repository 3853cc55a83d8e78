//! PostgreSQL: one writer connection that commits all that waits together, a few readers, both made again when they are lost.
//!
//! While the server is away every call fails at once or after five seconds, and one that hangs after thirty; whoever asks tries
//! again. A write whose commit was
//! not answered may have happened: all of the store's writes can be repeated.

use std::{borrow::Cow, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use futures_util::future::try_join_all;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut};
use tokio_postgres::{Client, Config, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::db::{Database, Done, Row, SEQUENCE, Statement, Value};
use super::{Answer, Error};

/// Writes that one commit takes at most.
const TOGETHER: usize = 256;
/// Connections for reading.
const READERS: usize = 4;
/// How long a connection, or a free reader, is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer is waited for: a server that hangs is one that is away.
const HANGS: Duration = Duration::from_secs(30);
/// The advisory lock that migrations hold.
const MIGRATING: i64 = 0x6661_6972_7761_7901;

/// A write that waits.
struct Job {
    act: Act,
    answer: oneshot::Sender<Result<Vec<Done>, Error>>,
}

enum Act {
    Write(Vec<Statement>),
    Migrate(&'static str, &'static [&'static str]),
}

/// A database on a server.
pub struct Postgres {
    jobs: mpsc::UnboundedSender<Job>,
    readers: Pool,
}

/// What went wrong: of the server's own errors the message and code, never the statement's parameters.
fn failed(e: tokio_postgres::Error) -> Error {
    match e.as_db_error() {
        Some(db) => Error(format!("{} ({})", db.message(), db.code().code())),
        None => Error(e.to_string()),
    }
}

impl Postgres {
    /// Connects once, so that a mistake in the address is told at the start.
    ///
    /// # Errors
    /// When the address cannot be read or the server does not let us in.
    pub async fn open(url: &str) -> Result<Self, Error> {
        let mut config: Config =
            url.parse().map_err(|e| Error(format!("store.url cannot be read: {e}; write postgres://USER:PASSWORD@HOST/DATABASE")))?;
        config.connect_timeout(PATIENCE).keepalives_idle(Duration::from_secs(30)).application_name("fairway");
        crate::tls::install_provider();
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = MakeRustlsConnect::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        let manager = Manager::from_config(config.clone(), tls.clone(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let readers = Pool::builder(manager)
            .max_size(READERS)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .build()
            .map_err(|e| Error(e.to_string()))?;
        let first = Writer::connect(&config, &tls).await.map_err(|e| Error(format!("{e}; is store.url right, and is the server up?")))?;
        let (jobs, queue) = mpsc::unbounded_channel();
        tokio::spawn(run(config, tls, queue, Some(first)));
        Ok(Self { jobs, readers })
    }

    fn send(&self, act: Act) -> Answer<'static, Vec<Done>> {
        let (answer, receiver) = oneshot::channel();
        let sent = self.jobs.send(Job { act, answer });
        Box::pin(async move {
            sent.map_err(|_| Error("it is closed".into()))?;
            receiver.await.map_err(|_| Error("no answer came".into()))?
        })
    }
}

/// Serves the queue until it is closed.
async fn run(config: Config, tls: MakeRustlsConnect, mut queue: mpsc::UnboundedReceiver<Job>, mut writer: Option<Writer>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, TOGETHER).await > 0 {
        if writer.as_ref().is_none_or(|w| w.client.is_closed()) {
            writer = match Writer::connect(&config, &tls).await {
                Ok(writer) => Some(writer),
                Err(e) => {
                    batch.drain(..).for_each(|job| drop(job.answer.send(Err(e.clone()))));
                    continue;
                }
            };
        }
        let Some(current) = &mut writer else { continue };
        let migrates = batch.iter().any(|job| matches!(job.act, Act::Migrate(..)));
        let work = current.commit(std::mem::take(&mut batch));
        if migrates {
            work.await; // Another node may hold the lock for as long as its steps take.
        } else if tokio::time::timeout(HANGS, work).await.is_err() {
            tracing::warn!("the store does not answer; it is asked on another connection");
            writer = None;
        }
    }
}

/// Why a transaction was undone.
enum Undone {
    Server(tokio_postgres::Error),
    Guard,
}

impl From<tokio_postgres::Error> for Undone {
    fn from(e: tokio_postgres::Error) -> Self {
        Self::Server(e)
    }
}

impl From<Undone> for Error {
    fn from(e: Undone) -> Self {
        match e {
            Undone::Server(e) => failed(e),
            Undone::Guard => Self::guarded(),
        }
    }
}

impl Undone {
    /// Whether another node's transaction was preferred: the same will do on another try.
    fn lost_a_race(&self) -> bool {
        let races = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        matches!(self, Self::Server(e) if e.code().is_some_and(|code| races.contains(code)))
    }
}

struct Writer {
    client: Client,
    prepared: std::collections::HashMap<Cow<'static, str>, tokio_postgres::Statement>,
}

impl Writer {
    async fn connect(config: &Config, tls: &MakeRustlsConnect) -> Result<Self, Error> {
        let (client, connection) = config.connect(tls.clone()).await.map_err(failed)?;
        tokio::spawn(async move {
            if let Err(e) = connection.await {
                tracing::warn!(error = %failed(e), "the store's connection was lost");
            }
        });
        Ok(Self { client, prepared: Default::default() })
    }

    /// Runs a batch in one transaction. When one write of it fails, each gets a transaction of its own: it takes nobody with it.
    async fn commit(&mut self, batch: Vec<Job>) {
        let (migrations, writes): (Vec<Job>, Vec<Job>) = batch.into_iter().partition(|job| matches!(job.act, Act::Migrate(..)));
        for job in migrations {
            let Act::Migrate(name, steps) = job.act else { continue };
            let _ = job.answer.send(self.migrate(name, steps).await.map(|()| Vec::new()));
        }
        let all: Vec<&[Statement]> = writes
            .iter()
            .map(|job| match &job.act {
                Act::Write(statements) => statements.as_slice(),
                Act::Migrate(..) => &[],
            })
            .collect();
        let together = self.transact(&all).await;
        match together {
            Ok(done) => {
                for (job, done) in writes.into_iter().zip(done) {
                    let _ = job.answer.send(Ok(done));
                }
            }
            Err(e) if writes.len() == 1 || self.client.is_closed() => {
                let e = Error::from(e);
                writes.into_iter().for_each(|job| drop(job.answer.send(Err(e.clone()))));
            }
            Err(_) => {
                for job in writes {
                    let Act::Write(statements) = &job.act else { continue };
                    let done = self.patiently(statements).await;
                    let _ = job.answer.send(done);
                }
            }
        }
    }

    /// One write alone; again when it lost against another node's.
    async fn patiently(&mut self, statements: &[Statement]) -> Result<Vec<Done>, Error> {
        let mut tries = 0;
        loop {
            match self.transact(&[statements]).await {
                Ok(mut done) => return Ok(done.pop().unwrap_or_default()),
                Err(e) if tries < 5 && e.lost_a_race() => tries += 1,
                Err(e) => return Err(e.into()),
            }
        }
    }

    async fn transact(&mut self, writes: &[&[Statement]]) -> Result<Vec<Vec<Done>>, Undone> {
        self.client.batch_execute("BEGIN").await?;
        match self.all(writes).await {
            Ok(done) => {
                self.client.batch_execute("COMMIT").await?;
                Ok(done)
            }
            Err(e) => {
                self.client.batch_execute("ROLLBACK").await?;
                Err(e)
            }
        }
    }

    async fn all(&mut self, writes: &[&[Statement]]) -> Result<Vec<Vec<Done>>, Undone> {
        let mut all = Vec::with_capacity(writes.len());
        for statements in writes {
            let mut done = Vec::with_capacity(statements.len());
            for statement in *statements {
                let one = self.one(statement).await?;
                if statement.must && one.changed == 0 {
                    return Err(Undone::Guard);
                }
                done.push(one);
            }
            all.push(done);
        }
        Ok(all)
    }

    async fn one(&mut self, statement: &Statement) -> Result<Done, tokio_postgres::Error> {
        if statement.runs.is_empty() {
            return Ok(Done::default());
        }
        let prepared = match self.prepared.get(&statement.sql) {
            Some(prepared) => prepared.clone(),
            None => {
                let prepared = self.client.prepare(&dialect(&statement.sql)).await?;
                self.prepared.insert(statement.sql.clone(), prepared.clone());
                prepared
            }
        };
        // Runs of one statement go down the connection together and take effect in their order.
        let mut done = Done::default();
        if prepared.columns().is_empty() {
            let runs = statement.runs.iter().map(|run| self.client.execute_raw(&prepared, run));
            done.changed = try_join_all(runs).await?.iter().sum();
        } else {
            for run in &statement.runs {
                let rows = self.client.query(&prepared, &parameters(run)).await?;
                done.changed += rows.len() as u64;
                done.rows.extend(rows.iter().map(row).collect::<Result<Vec<Row>, _>>()?);
            }
        }
        Ok(done)
    }

    async fn migrate(&mut self, name: &str, steps: &[&str]) -> Result<(), Error> {
        let transaction = self.client.transaction().await.map_err(failed)?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATING]).await.map_err(failed)?;
        transaction
            .batch_execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, steps BIGINT NOT NULL)")
            .await
            .map_err(failed)?;
        let found = transaction.query_opt("SELECT steps FROM migrations WHERE name = $1", &[&name]).await.map_err(failed)?;
        let done = found.map_or(0, |row| row.get::<_, i64>(0)) as usize;
        if done > steps.len() {
            return Err(Error(format!("the tables `{name}` were written by a newer version of Fairway; use that version")));
        }
        for step in &steps[done..] {
            transaction.batch_execute(&dialect(step)).await.map_err(failed)?;
        }
        transaction
            .execute(
                "INSERT INTO migrations VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET steps = excluded.steps",
                &[&name, &(steps.len() as i64)],
            )
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}

/// The words in which the two servers differ.
fn dialect(sql: &str) -> String {
    let sql = sql.replace(SEQUENCE, "BIGSERIAL PRIMARY KEY").replace(" WITHOUT ROWID", "").replace(" BLOB", " BYTEA");
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        let is_parameter = c == '?' && rest.peek().is_some_and(char::is_ascii_digit);
        text.push(if is_parameter { '$' } else { c });
    }
    text
}

fn parameters(run: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    run.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn row(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    row.columns().iter().enumerate().map(|(at, column)| column_value(row, at, column.type_())).collect::<Result<_, _>>().map(Row)
}

fn column_value(row: &tokio_postgres::Row, at: usize, of: &Type) -> Result<Value, tokio_postgres::Error> {
    Ok(match *of {
        Type::INT8 => row.try_get::<_, Option<i64>>(at)?.into(),
        Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map(i64::from).into(),
        Type::INT2 => row.try_get::<_, Option<i16>>(at)?.map(i64::from).into(),
        Type::BOOL => row.try_get::<_, Option<bool>>(at)?.into(),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(at)?.into(),
        Type::FLOAT4 => row.try_get::<_, Option<f32>>(at)?.map(f64::from).into(),
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.into(),
        _ => row.try_get::<_, Option<String>>(at)?.into(),
    })
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(v), &Type::INT4) => i32::try_from(*v)?.to_sql(ty, out),
            (Self::Int(v), &Type::INT2) => i16::try_from(*v)?.to_sql(ty, out),
            (Self::Int(v), &Type::BOOL) => (*v != 0).to_sql(ty, out),
            (Self::Int(v), &Type::FLOAT8) => (*v as f64).to_sql(ty, out),
            (Self::Int(v), &Type::INT8) => v.to_sql(ty, out),
            (Self::Real(v), &Type::FLOAT8) => v.to_sql(ty, out),
            // The server's text has no NUL.
            (Self::Text(v), _) if v.contains('\0') => v.replace('\0', "\u{fffd}").as_str().to_sql(ty, out),
            (Self::Text(v), _) => v.as_str().to_sql(ty, out),
            (Self::Blob(v), &Type::BYTEA) => v.as_slice().to_sql(ty, out),
            (_, ty) => Err(format!("a parameter does not fit the type {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl Database for Postgres {
    fn is_shared(&self) -> bool {
        true
    }

    fn read(&self, sql: Cow<'static, str>, parameters_of: Vec<Value>) -> Answer<'static, Vec<Row>> {
        let readers = self.readers.clone();
        Box::pin(async move {
            let client = readers.get().await.map_err(|e| Error(format!("no connection: {e}")))?;
            let asked = async {
                let prepared = client.prepare_cached(&dialect(&sql)).await.map_err(failed)?;
                client.query(&prepared, &parameters(&parameters_of)).await.map_err(failed)
            };
            let Ok(rows) = tokio::time::timeout(HANGS, asked).await else {
                drop(deadpool_postgres::Object::take(client)); // Nobody else waits on it.
                return Err(Error("the server does not answer".into()));
            };
            let rows = rows?;
            rows.iter().map(row).collect::<Result<_, _>>().map_err(failed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_differ_are_put_in_the_servers_own() {
        assert_eq!(
            dialect("SELECT a FROM t WHERE b = ?1 AND c = ?12 AND d = 'why?'"),
            "SELECT a FROM t WHERE b = $1 AND c = $12 AND d = 'why?'"
        );
        assert_eq!(
            dialect("CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT, b BLOB NOT NULL) WITHOUT ROWID"),
            "CREATE TABLE t (n BIGSERIAL PRIMARY KEY, b BYTEA NOT NULL)"
        );
    }
}

//! Long work about people: kept in the store with its progress, so that a crash goes on where it stopped.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fairway_adapters::contract::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_with::skip_serializing_none;
use tokio::sync::Notify;

use super::import::{BadRow, Format};
use super::{People, import};
use crate::store::Error;
use crate::store::db::{Database, Row, Statement};
use crate::{clock, ids, values};

/// A piece of long work.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Job {
    /// `job_...`.
    pub id: String,
    /// `import` or `erase`.
    pub kind: String,
    /// `queued`, `running`, `done`, `failed`.
    pub state: String,
    /// Rows carried out so far.
    pub good: u64,
    /// Rows refused so far.
    pub bad: u64,
    /// What came of it, when it is over.
    #[schema(value_type = Object)]
    pub result: Option<Json>,
    /// When it was asked for.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Time,
    /// When something last changed.
    #[schema(value_type = String, format = "date-time")]
    pub updated_at: Time,
    /// What it works on. Its own business.
    #[serde(skip)]
    pub input: String,
    /// How far it is: a place in its input.
    #[serde(skip)]
    pub place: u64,
    /// The line there.
    #[serde(skip)]
    pub line: u64,
}

/// How many bad rows are kept for the report; all are counted.
const REPORTED: u64 = 10_000;

const COLUMNS: &str = "j.id, j.kind, j.state, j.good, j.bad, j.result, j.created_at, j.updated_at, j.input, j.place, j.line";

/// The room's long work. Cloning shares it.
#[derive(Clone)]
pub struct Jobs {
    db: Arc<dyn Database>,
    people: People,
    folder: PathBuf,
    more: Arc<Notify>,
}

impl Jobs {
    /// Keeps what is to be imported below this folder until it is.
    pub async fn open(db: Arc<dyn Database>, people: People, folder: &Path) -> Result<Self, Error> {
        let folder = folder.join("imports");
        tokio::fs::create_dir_all(&folder).await.map_err(|e| Error(format!("{} cannot be made: {e}", folder.display())))?;
        Ok(Self { db, people, folder, more: Arc::default() })
    }

    /// A name for a new job, and the file its input is written to before the job is begun.
    pub fn new_import(&self) -> (String, PathBuf) {
        let id = ids::text("job_", ids::random());
        let path = self.folder.join(&id);
        (id, path)
    }

    /// Begins an import whose file is whole and durable.
    pub async fn import(&self, id: &str, format: Format) -> Result<Job, Error> {
        self.begin(id, "import", serde_json::to_string(&format).unwrap_or_default()).await
    }

    /// Begins long work. Beginning it again under the same name changes nothing.
    pub async fn begin(&self, id: &str, kind: &str, input: String) -> Result<Job, Error> {
        let sql = "INSERT INTO jobs (id, kind, state, input, place, line, good, bad, created_at, updated_at) \
            VALUES (?1, ?2, 'queued', ?3, 0, 0, 0, 0, ?4, ?4) ON CONFLICT DO NOTHING";
        self.db.write(vec![Statement::once(sql, values![id, kind, input, clock::now().0])]).await?;
        self.more.notify_waiters();
        self.get(id).await?.ok_or_else(|| Error("a job that was just written is not there".into()))
    }

    /// A job.
    pub async fn get(&self, id: &str) -> Result<Option<Job>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM jobs j WHERE j.id = ?1");
        self.db.read(sql.into(), values![id]).await?.first().map(read).transpose()
    }

    /// Bad rows of an import behind this line.
    pub async fn bad_rows(&self, id: &str, after: u64, limit: usize) -> Result<Vec<BadRow>, Error> {
        let sql = "SELECT r.line, r.col, r.reason FROM job_rows r WHERE r.job = ?1 AND r.line > ?2 ORDER BY r.line, r.col LIMIT ?3";
        let rows = self.db.read(sql.into(), values![id, after as i64, limit as i64]).await?;
        rows.iter().map(|r| Ok(BadRow { line: r.int(0)? as u64, column: r.text(1)?, reason: r.text(2)? })).collect()
    }

    /// The oldest job of a kind that is not over, among those that are ours. Waits for one.
    pub async fn next(&self, kind: &str, ours: impl Fn(&Job) -> bool) -> Job {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs j WHERE j.state IN ('queued', 'running') AND j.kind = ?1 ORDER BY j.created_at, j.id LIMIT 100"
        );
        loop {
            let notified = self.more.notified();
            match self
                .db
                .read(sql.clone().into(), values![kind])
                .await
                .and_then(|rows| rows.iter().map(read).collect::<Result<Vec<_>, _>>())
            {
                Ok(jobs) => {
                    if let Some(job) = jobs.into_iter().find(&ours) {
                        return job;
                    }
                }
                Err(e) => tracing::warn!(error = %e, "jobs cannot be looked for now"),
            }
            // Another node may have been asked: looked at again by and by.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), notified).await;
        }
    }

    /// A job is over. Its input is let go of.
    pub async fn finish(&self, id: &str, state: &str, result: &Json) -> Result<(), Error> {
        let sql = "UPDATE jobs SET state = ?2, result = ?3, input = '', updated_at = ?4 WHERE id = ?1";
        self.db.write(vec![Statement::once(sql, values![id, state, result.to_string(), clock::now().0])]).await.map(drop)
    }

    /// Keeps what a job works on, once it has found out.
    pub async fn keep_input(&self, id: &str, input: &str) -> Result<(), Error> {
        let sql = "UPDATE jobs SET state = 'running', input = ?2, updated_at = ?3 WHERE id = ?1";
        self.db.write(vec![Statement::once(sql, values![id, input, clock::now().0])]).await.map(drop)
    }

    /// How far an import got, with the rows it refused on the way.
    async fn progress(&self, job: &Job, bad: &[BadRow]) -> Result<(), Error> {
        let sql = "UPDATE jobs SET state = 'running', place = ?2, line = ?3, good = ?4, bad = ?5, updated_at = ?6 WHERE id = ?1";
        let (id, now) = (job.id.as_str(), clock::now().0);
        let moved = values![id, job.place as i64, job.line as i64, job.good as i64, job.bad as i64, now];
        let mut statements = vec![Statement::once(sql, moved)];
        let room = REPORTED.saturating_sub(job.bad - bad.len() as u64) as usize;
        let rows: Vec<_> = bad.iter().take(room).map(|b| values![id, b.line as i64, b.column.as_str(), b.reason.as_str()]).collect();
        if !rows.is_empty() {
            let sql = "INSERT INTO job_rows (job, line, col, reason) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
            statements.push(Statement::each(sql, rows));
        }
        self.db.write(statements).await.map(drop)
    }

    /// Carries out imports, one after the other, until the process ends.
    pub async fn run(self) {
        loop {
            // The file of another node's job lies there.
            let job = self.next("import", |job| self.folder.join(&job.id).exists()).await;
            let path = self.folder.join(&job.id);
            let (state, result) = loop {
                match self.carry_out(&path, job.clone()).await {
                    Ok(outcome) => break outcome,
                    Err(e) => {
                        tracing::warn!(job = job.id, error = %e, "an import cannot go on now");
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    }
                }
            };
            if let Err(e) = self.finish(&job.id, state, &result).await {
                tracing::warn!(job = job.id, error = %e, "the end of an import cannot be written now");
                continue;
            }
            let _ = tokio::fs::remove_file(&path).await;
        }
    }

    /// Imports a file from where it stopped. `Err`: the store is away; the same again later.
    async fn carry_out(&self, path: &Path, job: Job) -> Result<(&'static str, Json), Error> {
        let mut job = self.get(&job.id).await?.unwrap_or(job);
        let format: Format = serde_json::from_str(&job.input).unwrap_or(Format::Ndjson);
        let failed = |why: String| Ok(("failed", serde_json::json!({ "reason": why })));
        let file = match import::File::open(path, format, job.place, job.line) {
            Ok(file) => file,
            Err(why) => return failed(why),
        };
        let mut file = file;
        loop {
            // Files are read on a thread for what blocks.
            let read = tokio::task::spawn_blocking(move || {
                let rows = file.rows();
                (file, rows)
            });
            let (again, rows) = read.await.map_err(|e| Error(e.to_string()))?;
            file = again;
            let rows = match rows {
                Ok(rows) => rows,
                Err(why) => return failed(why),
            };
            if rows.is_empty() {
                return Ok(("done", serde_json::json!({ "imported": job.good, "refused": job.bad })));
            }
            let (mut lines, mut puts, mut bad) = (Vec::new(), Vec::new(), Vec::new());
            for (line, row) in rows {
                match row {
                    Ok(put) => {
                        lines.push(line);
                        puts.push(put);
                    }
                    Err((column, reason)) => bad.push(BadRow { line, column, reason }),
                }
            }
            for (line, done) in lines.into_iter().zip(self.people.put(puts).await?) {
                match done {
                    Ok(_) => job.good += 1,
                    Err(refused) => bad.push(BadRow { line, column: refused.column.into(), reason: refused.reason }),
                }
            }
            job.bad += bad.len() as u64;
            (job.place, job.line) = file.place();
            self.progress(&job, &bad).await?;
        }
    }
}

fn read(row: &Row) -> Result<Job, Error> {
    Ok(Job {
        id: row.text(0)?,
        kind: row.text(1)?,
        state: row.text(2)?,
        good: row.int(3)? as u64,
        bad: row.int(4)? as u64,
        result: row.json(5),
        created_at: Time(row.int(6)?),
        updated_at: Time(row.int(7)?),
        input: row.text(8)?,
        place: row.int(9)? as u64,
        line: row.int(10)? as u64,
    })
}

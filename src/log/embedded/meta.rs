//! What the log remembers besides records: committed positions, how far each partition has been deleted, and how many
//! units it was made for. One small SQLite file, and the lock that keeps a second process out.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    path::Path,
    sync::Arc,
};

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{
    super::{Positions, ReadError, Topic, UNITS},
    segment::{FORMAT, check_format, connect},
};
use crate::lockfile::Lockfile;

/// The memory of a log.
pub struct Meta {
    db: Mutex<Connection>,
    committed: Mutex<HashMap<String, Positions>>,
    queue: Mutex<Queue>,
    bell: Condvar,
    /// Held as long as the log is open.
    lock: Mutex<Option<Lockfile>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(String, Positions, oneshot::Sender<Result<(), ReadError>>)>,
    closed: bool,
}

/// How far each partition has been deleted.
pub type Lows = BTreeMap<(Topic, u32), u64>;

impl Meta {
    /// Takes the folder's lock and opens the file.
    pub fn open(folder: &Path) -> Result<(Arc<Self>, Lows), String> {
        let wrong = |e: &dyn std::fmt::Display| format!("the folder {} cannot be used: {e}", folder.display());
        let lock = Lockfile::take(&folder.join("LOCK"))?;
        let path = folder.join("meta.db");
        let db = connect(&path, true).map_err(|e| wrong(&e))?;
        check_format(&db, &path)?;
        let read = Self::make(&db).and_then(|()| Ok((Self::read_units(&db)?, Self::read_committed(&db)?, Self::read_lows(&db)?)));
        let (units, committed, lows) = read.map_err(|e| wrong(&e))?;
        if units != UNITS {
            return Err(format!(
                "the log in {} was made for {units} units, this program has {UNITS}: start the version that made it",
                folder.display()
            ));
        }
        let meta = Self {
            db: Mutex::new(db),
            committed: Mutex::new(committed),
            queue: Mutex::default(),
            bell: Condvar::new(),
            lock: Mutex::new(Some(lock)),
        };
        Ok((Arc::new(meta), lows))
    }

    /// Remembers a position; answers when it is durable.
    pub fn commit(&self, name: &str, positions: Positions) -> oneshot::Receiver<Result<(), ReadError>> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.queue.lock();
        if queue.closed {
            let _ = sender.send(Err(ReadError::Away("the log is closed".into())));
        } else {
            queue.waiting.push((name.to_owned(), positions, sender));
            self.bell.notify_one();
        }
        receiver
    }

    /// The position last remembered.
    pub fn committed(&self, name: &str) -> Positions {
        self.committed.lock().get(name).cloned().unwrap_or_default()
    }

    /// Writes what is to be remembered, until closed. Runs on a thread of its own.
    pub fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while queue.waiting.is_empty() {
                if queue.closed {
                    return;
                }
                self.bell.wait(&mut queue);
            }
            let waiting = mem::take(&mut queue.waiting);
            drop(queue);
            let written = self.write(|db| {
                let mut forget = db.prepare_cached("DELETE FROM committed WHERE name = ?1")?;
                let mut insert = db.prepare_cached("INSERT INTO committed VALUES(?1, ?2, ?3)")?;
                for (name, positions, _) in &waiting {
                    forget.execute([name])?;
                    for (partition, offset) in positions {
                        insert.execute(params![name, partition, *offset as i64])?;
                    }
                }
                Ok(())
            });
            let answer = written.map_err(|e| ReadError::Away(format!("the position cannot be written: {e}").into()));
            if let Err(why) = &answer {
                tracing::error!(%why, "a position was not committed");
            }
            for (name, positions, sender) in waiting {
                if answer.is_ok() {
                    self.committed.lock().insert(name, positions);
                }
                let _ = sender.send(answer.clone());
            }
        }
    }

    /// Remembers how far partitions have been deleted.
    pub fn remember_lows(&self, lows: &Lows) -> rusqlite::Result<()> {
        self.write(|db| {
            let mut insert = db.prepare_cached("INSERT OR REPLACE INTO lows VALUES(?1, ?2, ?3)")?;
            for (&(topic, partition), &offset) in lows {
                insert.execute(params![topic as u8, partition, offset as i64])?;
            }
            Ok(())
        })
    }

    /// Takes no more; the thread ends.
    pub fn close(&self) {
        self.queue.lock().closed = true;
        self.bell.notify_one();
    }

    /// Lets another process in. Called when nothing is written any more.
    pub fn unlock(&self) {
        self.lock.lock().take();
    }

    fn write(&self, work: impl Fn(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let db = self.db.lock();
        db.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(&db).and_then(|()| db.execute_batch("COMMIT"));
        if done.is_err() {
            let _ = db.execute_batch("ROLLBACK");
        }
        done
    }

    fn make(db: &Connection) -> rusqlite::Result<()> {
        // This file is small: SQLite's own checkpoints are good enough.
        db.execute_batch(
            "PRAGMA wal_autocheckpoint = 1000;
             CREATE TABLE IF NOT EXISTS about(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS committed(name TEXT, partition INTEGER, offset INTEGER, PRIMARY KEY(name, partition)) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS lows(topic INTEGER, partition INTEGER, offset INTEGER, PRIMARY KEY(topic, partition)) WITHOUT ROWID;",
        )?;
        db.execute("INSERT OR IGNORE INTO about VALUES('format', ?1), ('units', ?2)", params![FORMAT, UNITS])?;
        db.pragma_update(None, "user_version", FORMAT)
    }

    fn read_units(db: &Connection) -> rusqlite::Result<u32> {
        db.query_row("SELECT value FROM about WHERE name = 'units'", [], |r| r.get(0))
    }

    fn read_committed(db: &Connection) -> rusqlite::Result<HashMap<String, Positions>> {
        let mut names: HashMap<String, Positions> = HashMap::new();
        let mut select = db.prepare("SELECT name, partition, offset FROM committed")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            names.entry(row.get(0)?).or_default().insert(row.get(1)?, row.get::<_, i64>(2)? as u64);
        }
        Ok(names)
    }

    fn read_lows(db: &Connection) -> rusqlite::Result<Lows> {
        let mut select = db.prepare("SELECT topic, partition, offset FROM lows")?;
        let rows = select.query_map([], |r| Ok((r.get::<_, u32>(0)?, r.get(1)?, r.get::<_, i64>(2)?)))?;
        let mut lows = Lows::new();
        for row in rows {
            let (topic, partition, offset) = row?;
            lows.extend(Topic::ALL.get(topic as usize).map(|t| ((*t, partition), offset as u64)));
        }
        Ok(lows)
    }
}

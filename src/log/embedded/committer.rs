//! The one thread that writes a family.
//!
//! Natural group commit: while one commit is on its way to the disk the next one gathers. A commit is a transaction of all
//! jobs waiting, one sync, then everybody is told. On a fast disk there would be thousands of commits a second for a few
//! jobs each, so that those who come in company wait for each other, a millisecond at most ([`Family::take`]).

use std::{
    collections::{HashSet, VecDeque},
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, ErrorCode, params};

use super::{
    super::{Kept, Outcome, Position, Record, Stored, mailbox::Post},
    family::{Family, Job, Work, size},
    keeper::Bell,
    segment::{self, Segment},
};

/// After this many bytes of records the keeper carries the write-ahead log over. Little at a time: what a disk is given
/// in one go, the commits behind it wait for.
const CARRIED: u64 = 256 << 10;

/// After this many bytes of records the write-ahead log begins from its start again.
const WRAPPED: u64 = 4 << 20;

/// The committer of a family.
pub struct Committer {
    family: Arc<Family>,
    bell: Arc<Bell>,
    db: Option<Connection>,
    /// Partitions that have their table in the file being written.
    made: HashSet<usize>,
    inserts: Vec<String>,
    next: u64,
    time: i64,
    /// Where the records in memory stand, oldest first, with their weight.
    memory: VecDeque<(u32, u32)>,
    held: usize,
    /// Bytes of records written since the keeper was last called, and since the write-ahead log last began from its start.
    fresh: u64,
    unwrapped: u64,
    post: Post,
}

/// Why a commit failed.
enum Failure {
    /// Surely nothing of it is there.
    Clean(String),
    /// It may be there.
    Unsure(String),
}

impl Committer {
    /// The committer of a family that has just been opened.
    pub fn new(family: Arc<Family>, db: Connection, bell: Arc<Bell>) -> Result<Self, String> {
        let segments = family.segments.read();
        let base = segments.last().map_or(0, |s| s.base);
        let next = segments.iter().filter_map(|s| s.last()).map(|l| l + 1).max().unwrap_or(0).max(base);
        let time = segments.iter().flat_map(|s| s.spans.read().values().map(|s| s.newest).collect::<Vec<_>>()).max().unwrap_or(0);
        drop(segments);
        let inserts = family.shelves.iter().map(|s| {
            format!("INSERT INTO {}(id, time, key, headers, value) VALUES(?1, ?2, ?3, ?4, ?5)", segment::table(s.topic, s.partition))
        });
        let inserts = inserts.collect();
        let mut committer = Self {
            family,
            bell,
            db: None,
            made: HashSet::new(),
            inserts,
            next,
            time,
            memory: VecDeque::new(),
            held: 0,
            fresh: 0,
            unwrapped: 0,
            post: Post::default(),
        };
        committer.hold(db).map_err(|e| format!("the log cannot be read: {e}"))?;
        Ok(committer)
    }

    /// Works until the family is closed.
    pub fn run(mut self) {
        loop {
            match self.family.take() {
                Work::Jobs(jobs) => self.commit(jobs),
                Work::Idle => self.idle(),
                Work::Closed => break,
            }
        }
        drop(self.family.carrier.lock().take());
        if let Some(db) = self.db.take() {
            // Closing carries the write-ahead log over, so that the next start finds nothing to recover.
            if let Err(e) = db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
                tracing::warn!(family = self.family.plan.name, error = %e, "the log was closed without a checkpoint; the next start does it");
            }
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        self.time = self.time.max(now());
        let first = self.next;
        let outcome = self.roll_if_full().and_then(|()| self.write(&jobs));
        match outcome {
            Ok(bytes) => {
                self.settle(None);
                self.publish(jobs, first);
                let replies = self.family.landed();
                let mut offset = first;
                for (reply, count) in replies {
                    let durable = (offset..offset + count as u64).map(|o| Outcome::Durable(Some(o))).collect();
                    offset += count as u64;
                    if let Some(reply) = reply {
                        self.post.answer(reply, durable);
                    }
                }
                self.post.send();
                self.checkpoint(bytes);
            }
            Err(failure) => {
                let (outcome, why) = match failure {
                    Failure::Clean(why) => (Outcome::NotAppended(why.as_str().into()), why),
                    Failure::Unsure(why) => (Outcome::Unknown(why.as_str().into()), why),
                };
                self.settle(Some(why));
                for (reply, count) in self.family.landed() {
                    if let Some(reply) = reply {
                        self.post.answer(reply, vec![outcome.clone(); count]);
                    }
                }
                self.post.send();
            }
        }
    }

    /// One transaction. Returns how many bytes of records it wrote.
    fn write(&mut self, jobs: &[Job]) -> Result<u64, Failure> {
        let Some(db) = &self.db else { return Err(Failure::Clean("the log has no file to write to".into())) };
        let mut fresh = Vec::new();
        let mut offset = self.next;
        let mut bytes = 0;
        let written: rusqlite::Result<()> = (|| {
            db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            for record in jobs.iter().flat_map(|j| &j.records) {
                let slot = self.family.slot(record.topic, record.partition).unwrap_or_default();
                if !self.made.contains(&slot) && !fresh.contains(&slot) {
                    db.execute_batch(&segment::make_table(record.topic, record.partition))?;
                    fresh.push(slot);
                }
                segment::insert(db, &self.inserts[slot], offset, self.time, record)?;
                if record.topic.kept() == Kept::Latest {
                    supersede(db, record, offset)?;
                }
                offset += 1;
                bytes += size(record) as u64;
            }
            Ok(())
        })();
        if let Err(e) = written {
            let _ = db.execute_batch("ROLLBACK");
            return Err(Failure::Clean(told(&e, &self.family.folder)));
        }
        if let Err(e) = db.prepare_cached("COMMIT").and_then(|mut c| c.execute([])) {
            let rolled_back = db.is_autocommit() || db.execute_batch("ROLLBACK").is_ok();
            let why = told(&e, &self.family.folder);
            // A full disk stops the write before the mark that makes it count. Anything else may have come later: that
            // file is left as it is, and read again from disk.
            if full(&e) && rolled_back {
                return Err(Failure::Clean(why));
            }
            self.abandon();
            return Err(Failure::Unsure(why));
        }
        self.made.extend(fresh);
        self.next = offset;
        Ok(bytes)
    }

    fn publish(&mut self, jobs: Vec<Job>, first: u64) {
        let family = self.family.clone();
        let stored: Vec<Stored> = jobs
            .into_iter()
            .flat_map(|j| j.records)
            .zip(first..)
            .map(|(record, offset)| {
                let Record { topic, partition, key, headers, value } = record;
                let at = Position { topic, partition, offset };
                Stored { at, time: self.time, key, headers, value: value.unwrap_or_default() }
            })
            .collect();
        if let Some(active) = family.active() {
            let mut spans = active.spans.write();
            stored.iter().for_each(|s| active.note(&mut spans, s));
        }
        for record in stored {
            let Some(slot) = family.slot(record.at.topic, record.at.partition) else { continue };
            let weight = record.key.len() + record.headers.bytes().len() + record.value.len() + 128;
            self.memory.push_back((slot as u32, weight as u32));
            self.held += weight;
            family.shelves[slot].put(record, &mut self.post);
        }
        while self.held > family.plan.memory {
            let Some((slot, weight)) = self.memory.pop_front() else { break };
            self.held -= weight as usize;
            family.shelves[slot as usize].evict();
        }
    }

    /// Remembers and reports how the last commit went.
    fn settle(&mut self, trouble: Option<String>) {
        let mut known = self.family.trouble.lock();
        match (&*known, &trouble) {
            (None, Some(why)) => tracing::error!(family = self.family.plan.name, %why, "the log cannot be written"),
            (Some(_), None) => tracing::info!(family = self.family.plan.name, "the log can be written again"),
            _ => return,
        }
        *known = trouble;
    }

    /// A quiet second: tries the disk again when it failed, and carries the write-ahead log over.
    fn idle(&mut self) {
        if !self.family.fine() {
            let outcome = self.roll_if_full().and_then(|()| self.probe());
            match outcome {
                Ok(()) => self.settle(None),
                Err(Failure::Clean(why) | Failure::Unsure(why)) => tracing::debug!(%why, "the log still cannot be written"),
            }
        } else if self.family.roll.load(Ordering::Relaxed) {
            let _ = self.roll_if_full();
        }
        self.checkpoint(0);
    }

    /// Writes one small row, as an append would.
    fn probe(&mut self) -> Result<(), Failure> {
        let Some(db) = &self.db else { return Err(Failure::Clean("the log has no file to write to".into())) };
        // A row of a few pages, written and taken back: room for a mark alone would prove too little.
        let room = "BEGIN IMMEDIATE; INSERT OR REPLACE INTO about VALUES('probe', zeroblob(65536)); COMMIT;
                    DELETE FROM about WHERE name = 'probe';";
        db.execute_batch(room).map_err(|e| {
            let _ = db.execute_batch("ROLLBACK");
            Failure::Clean(told(&e, &self.family.folder))
        })
    }

    fn roll_if_full(&mut self) -> Result<(), Failure> {
        let asked = self.family.roll.swap(false, Ordering::Relaxed);
        let active = self.family.active();
        let full = active.as_ref().is_some_and(|a| a.bytes.load(Ordering::Relaxed) >= self.family.plan.segment_bytes);
        let empty = active.as_ref().is_some_and(|a| a.base == self.next);
        if self.db.is_some() && (empty || !(full || asked)) {
            return Ok(());
        }
        // An empty file with this base is there already when the last attempt broke off.
        let made = Segment::create(&self.family.folder, self.family.plan.name, self.next);
        let (segment, db) = made.map_err(|e| Failure::Clean(told(&e, &self.family.folder)))?;
        let mut segments = self.family.segments.write();
        segments.retain(|s| s.base != segment.base);
        segments.push(Arc::new(segment));
        drop(segments);
        drop(self.family.carrier.lock().take());
        if let Some(old) = self.db.take() {
            self.bell.dispose(old);
        }
        self.hold(db).map_err(|e| Failure::Clean(told(&e, &self.family.folder)))
    }

    /// Gives up the file being written: what it really holds is read from disk, and the next append begins a new one.
    fn abandon(&mut self) {
        // The keeper's connection too: only when all are gone the write-ahead log is read anew.
        drop(self.family.carrier.lock().take());
        drop(self.db.take());
        let family = self.family.clone();
        let Some(active) = family.active() else { return };
        match Segment::open(active.path.clone(), active.base) {
            Ok((found, _)) => {
                let last = found.last();
                *active.spans.write() = found.spans.into_inner();
                // What is there after all is seen by readers, from disk.
                let spans = active.spans.read();
                for (&(topic, partition), span) in spans.iter() {
                    if let Some(shelf) = family.shelf(topic, partition) {
                        shelf.rediscover(span.last, &mut self.post);
                    }
                }
                self.next = self.next.max(last.map_or(0, |l| l + 1));
            }
            Err(why) => tracing::error!(%why, "a file of the log cannot be read any more"),
        }
        // Offsets that were given to the failed commit are never given again.
        self.next += 1;
    }

    fn hold(&mut self, db: Connection) -> rusqlite::Result<()> {
        if let Some(pages) = self.family.plan.pages {
            db.pragma_update(None, "max_page_count", pages)?;
        }
        let tables = segment::tables(&db)?;
        self.made = tables.into_iter().filter_map(|(t, p)| self.family.slot(t, p)).collect();
        (self.fresh, self.unwrapped) = (0, 0);
        self.db = Some(db);
        Ok(())
    }

    /// The keeper carries the write-ahead log over while we write on. Now and then, just when it is done, the little that
    /// came meanwhile is carried over here, and the next commit begins the write-ahead log from its start again.
    fn checkpoint(&mut self, bytes: u64) {
        if let Some(active) = self.family.active() {
            active.grow(bytes);
        }
        self.fresh += bytes;
        self.unwrapped += bytes;
        let quiet = bytes == 0;
        if self.family.carried.swap(false, Ordering::Acquire)
            && (quiet || self.unwrapped > WRAPPED)
            && let Some(db) = &self.db
        {
            match db.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
                Ok(()) => self.unwrapped = 0,
                Err(e) => tracing::warn!(family = self.family.plan.name, error = %e, "the log's checkpoint failed; it is tried again"),
            }
        }
        if self.fresh > CARRIED || (quiet && self.unwrapped > 0) {
            self.fresh = 0;
            self.bell.checkpoint(&self.family);
        }
    }
}

/// Deletes what a record of a compacted topic replaces. A tombstone stays, so that readers behind it learn of it; the
/// keeper deletes it after a day.
fn supersede(db: &Connection, record: &Record, offset: u64) -> rusqlite::Result<()> {
    let table = segment::table(record.topic, record.partition);
    let mut delete = db.prepare_cached(&format!("DELETE FROM {table} WHERE key = ?1 AND id < ?2"))?;
    delete.execute(params![&record.key[..], offset as i64])?;
    Ok(())
}

fn full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn told(error: &rusqlite::Error, folder: &Path) -> String {
    match full(error) {
        true => format!("the disk of {} is full", folder.display()),
        false => format!("writing to {} failed: {error}", folder.display()),
    }
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

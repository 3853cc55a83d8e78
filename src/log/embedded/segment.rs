//! One SQLite file of records.
//!
//! ```text
//! events-00000000000000000000.db        family, and the first offset it may hold
//!   about(format, family)
//!   t0_0(id INTEGER PRIMARY KEY, time, key, headers, value)      one table per topic and partition, made on first use
//!   t2_0(...)
//! ```
//!
//! A table per partition keeps every insert at the right edge of its tree: pages fill up, few are dirty per commit, and
//! one partition is read without touching another. The row id is the offset, a sequence of the whole family.
//! A topic kept by `Latest` has an index on its key.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::RwLock;
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig, params};

use super::super::{Headers, Kept, Position, Record, Stored, Topic};

/// The format of all files of the embedded log. A newer one is refused.
pub const FORMAT: i32 = 1;

/// What is known in memory about a file of records.
pub struct Segment {
    /// The first offset it may hold.
    pub base: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes of records in it, about.
    pub bytes: AtomicU64,
    /// What it holds of each partition.
    pub spans: RwLock<BTreeMap<(Topic, u32), Span>>,
}

/// The records of one partition in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The oldest offset.
    pub first: u64,
    /// The newest offset.
    pub last: u64,
    /// When the newest was appended.
    pub newest: i64,
}

impl Segment {
    /// The file name of a segment.
    pub fn path(folder: &Path, family: &str, base: u64) -> PathBuf {
        folder.join(format!("{family}-{base:020}.db"))
    }

    /// The first offset in a file name, when it is one of this family.
    pub fn base_of(name: &str, family: &str) -> Option<u64> {
        name.strip_prefix(family)?.strip_prefix('-')?.strip_suffix(".db")?.parse().ok()
    }

    /// Makes a new file.
    pub fn create(folder: &Path, family: &str, base: u64) -> rusqlite::Result<(Self, Connection)> {
        let path = Self::path(folder, family, base);
        let db = connect(&path, true).and_then(|db| {
            db.execute_batch("CREATE TABLE IF NOT EXISTS about(name TEXT PRIMARY KEY, value) WITHOUT ROWID;")?;
            db.execute("INSERT OR REPLACE INTO about VALUES('format', ?1), ('family', ?2)", params![FORMAT, family])?;
            db.pragma_update(None, "user_version", FORMAT)?;
            Ok(db)
        });
        let db = db.inspect_err(|_| remove(&path))?;
        // The name must survive a power cut as well as what is in the file.
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
        Ok((Self { base, path, bytes: AtomicU64::new(0), spans: RwLock::default() }, db))
    }

    /// Opens a file that is there and looks what it holds.
    pub fn open(path: PathBuf, base: u64) -> Result<(Self, Connection), String> {
        let wrong = |e: rusqlite::Error| format!("{} cannot be read: {e}", path.display());
        let db = connect(&path, true).map_err(wrong)?;
        check_format(&db, &path)?;
        let spans = Self::look(&db).map_err(wrong)?;
        let pages: u64 = db.pragma_query_value(None, "page_count", |r| r.get::<_, i64>(0)).map_err(wrong)? as u64;
        let segment = Self { base, path, bytes: AtomicU64::new(pages * PAGE), spans: RwLock::new(spans) };
        Ok((segment, db))
    }

    /// The newest offset in it.
    pub fn last(&self) -> Option<u64> {
        self.spans.read().values().map(|s| s.last).max()
    }

    /// Notes a record that has been committed.
    pub fn note(&self, spans: &mut BTreeMap<(Topic, u32), Span>, record: &Stored) {
        let Position { topic, partition, offset } = record.at;
        let span = spans.entry((topic, partition)).or_insert(Span { first: offset, last: offset, newest: record.time });
        (span.last, span.newest) = (offset, record.time);
    }

    /// Adds to its size.
    pub fn grow(&self, bytes: u64) -> u64 {
        self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Deletes the file.
    pub fn remove(&self) {
        remove(&self.path);
    }

    fn look(db: &Connection) -> rusqlite::Result<BTreeMap<(Topic, u32), Span>> {
        let mut spans = BTreeMap::new();
        for (topic, partition) in tables(db)? {
            let table = table(topic, partition);
            // Two look-ups at the edges of the tree, each the cost of one row.
            let first = db.query_row(&format!("SELECT min(id) FROM {table}"), [], |r| r.get::<_, Option<i64>>(0))?;
            let last = db
                .query_row(&format!("SELECT id, time FROM {table} ORDER BY id DESC LIMIT 1"), [], |r| Ok((r.get::<_, i64>(0)?, r.get(1)?)))
                .optional()?;
            if let (Some(first), Some((last, newest))) = (first, last) {
                spans.insert((topic, partition), Span { first: first as u64, last: last as u64, newest });
            }
        }
        Ok(spans)
    }
}

/// Carries the write-ahead log of a file over while its writer writes on.
pub struct Carrier {
    db: Connection,
    /// To sync it by itself. It stays open as long as anybody writes the file: to close any descriptor of a file gives up the
    /// locks that SQLite holds on it (fcntl(2)), and somebody who looks into it with `sqlite3` would take its write-ahead log
    /// for a left-over.
    file: File,
}

impl Carrier {
    /// Of the file at this path.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn new(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self { db: connect(path, false)?, file: File::open(path)? })
    }

    /// Carries over what there is, and brings it to the disk. SQLite does the latter by itself only when a checkpoint reaches
    /// the end of the write-ahead log, which none does while others write.
    ///
    /// # Errors
    /// What SQLite or the system says.
    pub fn carry(&self) -> Result<(), Box<dyn std::error::Error>> {
        self.db.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")?;
        Ok(self.file.sync_data()?)
    }
}

/// Opens a connection as the log wants it: write-ahead log, synced at each commit, no checkpoint by itself (the keeper
/// does them).
pub fn connect(path: &Path, create: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048; PRAGMA foreign_keys = OFF;"
    ))?;
    db.set_prepared_statement_cache_capacity(1024);
    // Plans a statement once, not anew for each range of offsets.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(db)
}

/// Refuses a file made by a newer program.
pub fn check_format(db: &Connection, path: &Path) -> Result<(), String> {
    let format: i32 =
        db.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    match format {
        0..=FORMAT => Ok(()),
        newer => Err(format!(
            "{} has format {newer}, this program knows formats up to {FORMAT}: start the newer version that wrote it, or set `log.path` to another folder",
            path.display()
        )),
    }
}

/// The name of a partition's table.
pub fn table(topic: Topic, partition: u32) -> String {
    format!("t{}_{partition}", topic as u8)
}

/// The statements that make a partition's table.
pub fn make_table(topic: Topic, partition: u32) -> String {
    let table = table(topic, partition);
    let index = match topic.kept() {
        Kept::Latest => format!("CREATE INDEX IF NOT EXISTS {table}_key ON {table}(key);"),
        _ => String::new(),
    };
    format!("CREATE TABLE IF NOT EXISTS {table}(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, key BLOB, headers BLOB, value BLOB);{index}")
}

/// The partitions that have a table.
pub fn tables(db: &Connection) -> rusqlite::Result<Vec<(Topic, u32)>> {
    let mut names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let names = names.query_map([], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(names.iter().filter_map(|n| table_of(n)).collect())
}

fn table_of(name: &str) -> Option<(Topic, u32)> {
    let (topic, partition) = name.strip_prefix('t')?.split_once('_')?;
    let topic: usize = topic.parse().ok()?;
    Some((*Topic::ALL.get(topic)?, partition.parse().ok()?))
}

/// Inserts one record.
pub fn insert(db: &Connection, sql: &str, offset: u64, time: i64, record: &Record) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    let headers = record.headers.bytes();
    let value = record.value.as_deref();
    statement.execute(params![offset as i64, time, &record.key[..], &headers[..], value])?;
    Ok(())
}

/// The records of one partition from an offset up to another (inclusive), at most `max` and about 4 MiB.
pub fn read(db: &Connection, topic: Topic, partition: u32, from: u64, to: u64, max: usize) -> rusqlite::Result<Vec<Stored>> {
    let sql = format!("SELECT id, time, key, headers, value FROM {} WHERE id BETWEEN ?1 AND ?2 ORDER BY id", table(topic, partition));
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![from as i64, to.min(i64::MAX as u64) as i64])?;
    let (mut records, mut size) = (Vec::new(), 0);
    while records.len() < max && size < 4 << 20 {
        let Some(row) = rows.next()? else { break };
        let part = |i| row.get_ref(i)?.as_blob_or_null().map_err(rusqlite::Error::from).map(Option::unwrap_or_default);
        let (key, headers, value) = (part(2)?, part(3)?, part(4)?);
        // One allocation for the three.
        let mut whole = BytesMut::with_capacity(key.len() + headers.len() + value.len());
        whole.put_slice(key);
        whole.put_slice(headers);
        whole.put_slice(value);
        let mut whole: Bytes = whole.freeze();
        let (key, headers) = (whole.split_to(key.len()), whole.split_to(headers.len()));
        size += whole.len() + headers.len() + 64;
        let at = Position { topic, partition, offset: row.get::<_, i64>(0)? as u64 };
        records.push(Stored { at, time: row.get(1)?, key, headers: Headers::from_bytes(headers), value: whole });
    }
    Ok(records)
}

/// The first offset of a partition whose record is not older than a time. Times grow with offsets, so the offsets are
/// halved: no index on time is needed.
pub fn since(db: &Connection, topic: Topic, partition: u32, span: Span, time: i64) -> rusqlite::Result<u64> {
    let mut at = db.prepare(&format!("SELECT id, time FROM {} WHERE id >= ?1 ORDER BY id LIMIT 1", table(topic, partition)))?;
    let (mut low, mut high) = (span.first, span.last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let (offset, when): (i64, i64) = at.query_row([middle as i64], |r| Ok((r.get(0)?, r.get(1)?)))?;
        match when >= time {
            true => high = middle,
            false => low = offset as u64 + 1,
        }
    }
    // `low` may lie in a gap before the record; that is as good, but the record's own offset is clearer.
    at.query_row([low as i64], |r| r.get::<_, i64>(0)).optional().map(|o| o.map_or(low, |o| o as u64))
}

fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
}

/// Twice SQLite's usual page: records of one to two kilobytes fill it better, and a lone record still costs one.
const PAGE: u64 = 8192;

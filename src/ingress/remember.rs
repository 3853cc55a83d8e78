//! Ids past the newest, kept on disk for a week: sorted runs in SQLite behind small filters in memory.
//!
//! `runs(id, at, count, ids, filter)`: `ids` is `count` fingerprints of 16 bytes, sorted; `filter` a Bloom filter of
//! 12 bits an id. Sixteen small runs are merged into one, slice by slice, while look-ups go on. `position` holds, for each log
//! partition, from where on the log must be read at a start to learn what no run has yet.
//!
//! Hashes spread evenly, so a look-up guesses the place and reads one slice of the run: one filter probe in most cases,
//! one read in the rest.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rusqlite::{
    Connection,
    blob::{Blob, ZeroBlob},
    params,
};

use crate::ids::Fingerprint;
use crate::log::Positions;

/// Ids in a fresh run.
const RUN: usize = 1 << 16;
/// Fresh runs that are merged into one.
const FAN: usize = 16;
const BITS_PER_ID: usize = 12;
const PROBES: u32 = 6;
/// How long ids are kept.
const KEEP: Duration = Duration::from_secs(7 * 86_400);
/// How many at most.
const MOST: usize = 30_000_000;

struct Run {
    id: i64,
    at: i64,
    count: usize,
    filter: Vec<u64>,
}

impl Run {
    fn may_have(&self, id: Fingerprint) -> bool {
        probes(id, self.filter.len() * 64).all(|bit| self.filter[bit / 64] >> (bit % 64) & 1 == 1)
    }
}

fn probes(id: Fingerprint, bits: usize) -> impl Iterator<Item = usize> {
    let (a, b) = (id as u64, (id >> 64) as u64 | 1);
    (0..PROBES).map(move |i| (a.wrapping_add(b.wrapping_mul(u64::from(i))) % bits as u64) as usize)
}

/// A filter of nothing, with room for so many ids.
fn filter(count: usize) -> Vec<u64> {
    vec![0; (count * BITS_PER_ID).div_ceil(64).max(1)]
}

fn mark(filter: &mut [u64], id: Fingerprint) {
    for bit in probes(id, filter.len() * 64) {
        filter[bit / 64] |= 1 << (bit % 64);
    }
}

/// What look-ups need. A run that stands here is in the file.
struct State {
    connection: Connection,
    runs: VecDeque<Run>,
}

/// What is remembered on disk.
pub struct Remembered {
    state: Mutex<State>,
    /// Writes and merges runs: a connection of its own, so that no look-up waits for it.
    writer: Mutex<Connection>,
    fresh: Mutex<Vec<Fingerprint>>,
}

impl Remembered {
    /// Opens or creates the file; also answers from where the log must be read again.
    pub fn open(path: &Path) -> rusqlite::Result<(Self, Positions)> {
        let connect = || {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let (connection, writer) = (connect()?, connect()?);
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, count INTEGER NOT NULL, ids BLOB NOT NULL, filter BLOB NOT NULL);
             CREATE TABLE IF NOT EXISTS position (partition INTEGER PRIMARY KEY, offset INTEGER NOT NULL);",
        )?;
        let runs = connection
            .prepare("SELECT id, at, count, filter FROM runs ORDER BY id")?
            .query_map([], |row| {
                let bytes: Vec<u8> = row.get(3)?;
                let filter = bytes.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().expect("8 bytes"))).collect();
                Ok(Run { id: row.get(0)?, at: row.get(1)?, count: row.get::<_, i64>(2)? as usize, filter })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let positions = connection
            .prepare("SELECT partition, offset FROM position")?
            .query_map([], |row| Ok((row.get::<_, i64>(0)? as u32, row.get::<_, i64>(1)? as u64)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok((Self { state: Mutex::new(State { connection, runs }), writer: Mutex::new(writer), fresh: Mutex::default() }, positions))
    }

    /// Notes an id for the next run.
    pub fn add(&self, id: Fingerprint) {
        self.fresh.lock().push(id);
    }

    /// How many wait for the next run.
    pub fn waiting(&self) -> usize {
        self.fresh.lock().len()
    }

    /// Whether a run is due.
    pub fn is_due(&self) -> bool {
        self.waiting() >= RUN
    }

    /// Whether an id lies in a run. Errors count as unknown: a repeat with the same id is the lesser evil.
    pub fn contains(&self, id: Fingerprint) -> bool {
        let state = self.state.lock();
        let hits: Vec<(i64, usize)> = state.runs.iter().rev().filter(|r| r.may_have(id)).map(|r| (r.id, r.count)).collect();
        hits.into_iter().any(|(run, count)| find(&state.connection, run, count, id).unwrap_or(false))
    }

    /// Writes the waiting ids as a run, with the position the log had before the first of them was taken.
    pub fn flush(&self, positions: &Positions) -> rusqlite::Result<()> {
        let mut ids = std::mem::take(&mut *self.fresh.lock());
        ids.sort_unstable();
        ids.dedup();
        let result = self.write(&ids, positions);
        if result.is_err() {
            self.fresh.lock().extend(ids);
        }
        result
    }

    fn write(&self, ids: &[Fingerprint], positions: &Positions) -> rusqlite::Result<()> {
        let mut writer = self.writer.lock();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let transaction = writer.transaction()?;
        let mut added = None;
        if !ids.is_empty() {
            added = Some(insert(&transaction, ids, now)?);
        }
        for (partition, offset) in positions {
            transaction.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", params![partition, *offset as i64])?;
        }
        transaction.commit()?;
        self.state.lock().runs.extend(added);
        self.tidy(&mut writer, now)
    }

    /// Merges small runs and lets go of old ones. The file holds what look-ups know of throughout: a merged run is written
    /// before it takes the place of the small ones, and these are deleted after it.
    fn tidy(&self, writer: &mut Connection, now: i64) -> rusqlite::Result<()> {
        let small = |r: &&Run| r.count < RUN * FAN / 2;
        let small: Vec<_> = self.state.lock().runs.iter().filter(small).map(|r| (r.id, r.at, r.count)).collect();
        if small.len() >= FAN {
            let transaction = writer.transaction()?;
            let merged = merge(&transaction, &small)?;
            transaction.commit()?;
            let mut state = self.state.lock();
            state.runs.retain(|r| !small.iter().any(|s| s.0 == r.id));
            state.runs.push_back(merged);
            drop(state);
            for (run, ..) in &small {
                writer.execute("DELETE FROM runs WHERE id = ?", [run])?;
            }
        }
        loop {
            let mut state = self.state.lock();
            let total: usize = state.runs.iter().map(|r| r.count).sum();
            let gone = |oldest: &Run| now - oldest.at >= KEEP.as_secs() as i64 || total > MOST;
            if !state.runs.front().is_some_and(gone) {
                return Ok(());
            }
            let oldest = state.runs.pop_front();
            drop(state);
            writer.execute("DELETE FROM runs WHERE id = ?", [oldest.map(|r| r.id)])?;
        }
    }
}

fn insert(connection: &Connection, ids: &[Fingerprint], at: i64) -> rusqlite::Result<Run> {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
    let mut filter = filter(ids.len());
    ids.iter().for_each(|id| mark(&mut filter, *id));
    let filter_bytes: Vec<u8> = filter.iter().flat_map(|w| w.to_le_bytes()).collect();
    connection
        .execute("INSERT INTO runs (at, count, ids, filter) VALUES (?, ?, ?, ?)", params![at, ids.len() as i64, bytes, filter_bytes])?;
    Ok(Run { id: connection.last_insert_rowid(), at, count: ids.len(), filter })
}

/// Writes a run of what several hold, a slice of each in memory at a time. The place of ids that stood in more than one is
/// filled up with the highest number.
fn merge(connection: &Connection, small: &[(i64, i64, usize)]) -> rusqlite::Result<Run> {
    let wrong = |e: std::io::Error| rusqlite::Error::ToSqlConversionFailure(e.into());
    let count: usize = small.iter().map(|s| s.2).sum();
    let at = small.last().map_or(0, |s| s.1);
    let mut filter = filter(count);
    connection.execute(
        "INSERT INTO runs (at, count, ids, filter) VALUES (?, ?, ?, ?)",
        params![at, count as i64, ZeroBlob(count as u64 * 16), ZeroBlob(filter.len() as u64 * 8)],
    )?;
    let id = connection.last_insert_rowid();
    let mut ids = BufWriter::with_capacity(16 << 10, connection.blob_open("main", "runs", "ids", id, false)?);
    let mut sources = Vec::with_capacity(small.len());
    let mut heads = BinaryHeap::with_capacity(small.len());
    for (number, (run, _, count)) in small.iter().enumerate() {
        let mut source =
            Source { ids: BufReader::with_capacity(4 << 10, connection.blob_open("main", "runs", "ids", *run, true)?), left: *count };
        heads.extend(source.next().map_err(wrong)?.map(|id| Reverse((id, number))));
        sources.push(source);
    }
    let (mut written, mut last) = (0, None);
    while let Some(Reverse((id, number))) = heads.pop() {
        if last.replace(id) != Some(id) {
            mark(&mut filter, id);
            ids.write_all(&id.to_be_bytes()).map_err(wrong)?;
            written += 1;
        }
        heads.extend(sources[number].next().map_err(wrong)?.map(|id| Reverse((id, number))));
    }
    for _ in written..count {
        ids.write_all(&Fingerprint::MAX.to_be_bytes()).map_err(wrong)?;
    }
    ids.into_inner().map_err(|e| wrong(e.into_error()))?.close()?;
    let mut bytes = BufWriter::with_capacity(16 << 10, connection.blob_open("main", "runs", "filter", id, false)?);
    for word in &filter {
        bytes.write_all(&word.to_le_bytes()).map_err(wrong)?;
    }
    bytes.into_inner().map_err(|e| wrong(e.into_error()))?.close()?;
    Ok(Run { id, at, count, filter })
}

/// The ids of a run in their order.
struct Source<'a> {
    ids: BufReader<Blob<'a>>,
    left: usize,
}

impl Source<'_> {
    fn next(&mut self) -> std::io::Result<Option<Fingerprint>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut id = [0; 16];
        self.ids.read_exact(&mut id)?;
        Ok(Some(Fingerprint::from_be_bytes(id)))
    }
}

/// Looks for an id in a run around the place where its value says it should stand. What has been read is never read again, so
/// an id that is missing exactly where two slices meet ends the search too.
fn find(connection: &Connection, run: i64, count: usize, id: Fingerprint) -> rusqlite::Result<bool> {
    let mut blob = connection.blob_open("main", "runs", "ids", run, true)?;
    let guess = ((id >> 64) as f64 / 2_f64.powi(64) * count as f64) as usize;
    search(count, guess, id, |start, len| {
        let mut bytes = vec![0; len * 16];
        blob.seek(SeekFrom::Start((start * 16) as u64))?;
        blob.read_exact(&mut bytes)?;
        Ok(bytes.chunks_exact(16).map(|c| u128::from_be_bytes(c.try_into().expect("16 bytes"))).collect())
    })
    .map_err(|e: std::io::Error| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

/// Searches `count` sorted ids that `read(start, len)` gives by slices, beginning at a guess. Each slice takes its place out of
/// the range in question, so there are at most as many reads as slices.
fn search<E>(
    count: usize,
    guess: usize,
    id: Fingerprint,
    mut read: impl FnMut(usize, usize) -> Result<Vec<Fingerprint>, E>,
) -> Result<bool, E> {
    const SLICE: usize = 256;
    let (mut low, mut high) = (0, count);
    let mut start = guess.saturating_sub(SLICE / 2).min(count.saturating_sub(SLICE));
    while low < high {
        let end = (start + SLICE).min(high);
        let slice = read(start, end - start)?;
        match slice.binary_search(&id) {
            Ok(_) => return Ok(true),
            Err(0) => (high, start) = (start, start.saturating_sub(SLICE).max(low)),
            Err(at) if at == slice.len() => (low, start) = (end, end),
            Err(_) => return Ok(false),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_id_ends_the_search_wherever_it_would_stand() {
        for count in [0, 1, 255, 256, 257, 512, 700, 5000_usize] {
            let ids: Vec<Fingerprint> = (0..count as u128).map(|i| i * 2 + 1).collect();
            for guess in [0, 100, 128, 300, 384, 640, count, count * 2] {
                for id in 0..count as u128 * 2 + 2 {
                    let mut reads = 0;
                    let found = search(count, guess, id, |start, len| {
                        reads += 1;
                        assert!(reads <= count / 256 + 2, "{count} ids, guess {guess}, id {id}");
                        Ok::<_, ()>(ids[start..start + len].to_vec())
                    });
                    assert_eq!(found, Ok(id % 2 == 1 && id < count as u128 * 2), "{count} ids, guess {guess}, id {id}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_forgotten_by_flushing_merging_and_reopening() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seen.db");
        let ids: Vec<Fingerprint> = (0..40_000_u64).map(|i| crate::ids::fingerprint(&[&i.to_le_bytes()])).collect();
        let (remembered, positions) = Remembered::open(&path).expect("opens");
        assert!(positions.is_empty());
        for chunk in ids.chunks(2000) {
            chunk.iter().for_each(|id| remembered.add(*id));
            remembered.flush(&Positions::from([(0, 5)])).expect("writes");
        }
        drop(remembered);
        let (remembered, positions) = Remembered::open(&path).expect("opens again");
        assert_eq!(positions, Positions::from([(0, 5)]));
        assert!(remembered.state.lock().runs.len() < FAN, "runs are merged");
        assert!(ids.iter().all(|id| remembered.contains(*id)));
        let strangers = (0..2000_u64).filter(|i| remembered.contains(crate::ids::fingerprint(&[b"x", &i.to_le_bytes()]))).count();
        assert_eq!(strangers, 0);
    }

    #[test]
    fn what_stands_in_several_runs_is_found_after_they_are_merged() {
        let folder = tempfile::tempdir().expect("a folder");
        let (remembered, _) = Remembered::open(&folder.path().join("seen.db")).expect("opens");
        let id = |i: u64| crate::ids::fingerprint(&[&i.to_le_bytes()]);
        for run in 0..FAN as u64 {
            (0..500).for_each(|i| remembered.add(id(i)));
            (0..50).for_each(|i| remembered.add(id(1000 * (run + 1) + i)));
            remembered.flush(&Positions::new()).expect("writes");
        }
        assert_eq!(remembered.state.lock().runs.len(), 1, "all are merged");
        let known = (0..500).chain((0..FAN as u64).flat_map(|run| (0..50).map(move |i| 1000 * (run + 1) + i)));
        assert!(known.into_iter().all(|i| remembered.contains(id(i))));
        assert!(!(500..1000).any(|i| remembered.contains(id(i))));
    }
}

//! Readers: the newest records from memory, older ones from their file.
//!
//! A tailing reader never touches the disk. One that is behind reads a file on the runtime's blocking threads, one
//! partition at a time; the partitions take turns.

use std::{collections::BTreeMap, future::poll_fn, mem, sync::Arc};

use rusqlite::Connection;
use tokio::task::JoinHandle;

use super::{
    super::{Pending, Position, ReadError, Reader, Stored, Topic},
    family::Family,
    segment,
    shelf::{Look, Shelf, Signal},
};

/// Reads an embedded log.
pub struct EmbeddedReader {
    families: Vec<Arc<Family>>,
    wanted: BTreeMap<(Topic, u32), u64>,
    /// The partition served last; the one behind it is asked first.
    turn: Option<(Topic, u32)>,
    signal: Arc<Signal>,
    disk: Disk,
}

/// A read of a file. It is kept when `next` is cancelled, and its result is found there by the next call.
enum Disk {
    Idle(Option<Open>),
    Reading(Position, JoinHandle<(Option<Open>, Result<Vec<Stored>, ReadError>)>),
}

/// The file read last.
struct Open {
    path: std::path::PathBuf,
    db: Connection,
}

/// What was found at the partitions wanted.
enum Found {
    Records(Vec<Stored>),
    OnDisk { from: Position, to: u64 },
    Nothing,
    Expired(Position, u64),
}

impl EmbeddedReader {
    /// A reader of nothing yet.
    pub fn new(families: Vec<Arc<Family>>) -> Self {
        Self { families, wanted: BTreeMap::new(), turn: None, signal: Arc::default(), disk: Disk::Idle(None) }
    }

    fn shelf(&self, topic: Topic, partition: u32) -> Option<(&Arc<Family>, &Shelf)> {
        self.families.iter().find_map(|f| Some((f, f.shelf(topic, partition)?)))
    }

    fn leave(&mut self, topic: Topic, partition: u32) {
        self.wanted.remove(&(topic, partition));
        if let Some((_, shelf)) = self.shelf(topic, partition) {
            shelf.unsubscribe(&self.signal);
        }
    }

    fn look(&self, max: usize) -> Found {
        let behind = self.turn.map(|t| self.wanted.range((std::ops::Bound::Excluded(t), std::ops::Bound::Unbounded)));
        let rest = match self.turn {
            Some(turn) => self.wanted.range(..=turn),
            None => self.wanted.range(..),
        };
        let mut records = Vec::new();
        for (&(topic, partition), &from) in behind.into_iter().flatten().chain(rest) {
            let Some((family, shelf)) = self.shelf(topic, partition) else { continue };
            let here = Position { topic, partition, offset: from };
            match shelf.look(from, max - records.len()) {
                Look::Records(more) => records.extend(more),
                Look::Nothing => {}
                // What has been found is handed out first; what needs more comes at the next call.
                Look::OnDisk(_) | Look::Expired if !records.is_empty() => break,
                Look::OnDisk(to) => return Found::OnDisk { from: here, to },
                Look::Expired => return Found::Expired(here, family.begin(shelf)),
            }
            if records.len() >= max {
                break;
            }
        }
        if records.is_empty() { Found::Nothing } else { Found::Records(records) }
    }

    /// Moves behind what is handed out.
    fn advance(&mut self, records: &[Stored]) {
        for Position { topic, partition, offset } in records.iter().map(|r| r.at) {
            self.wanted.insert((topic, partition), offset + 1);
            self.turn = Some((topic, partition));
        }
    }

    /// Waits for a read that is under way. `None` when nothing of it is wanted any more.
    async fn finish(&mut self) -> Option<Result<Vec<Stored>, ReadError>> {
        let Disk::Reading(from, task) = &mut self.disk else { return None };
        let from = *from;
        let done = task.await;
        let (open, read) = match done {
            Ok(done) => done,
            Err(e) => (None, Err(ReadError::Away(format!("reading stopped: {e}").into()))),
        };
        self.disk = Disk::Idle(open);
        // Somebody may have assigned it elsewhere meanwhile.
        if self.wanted.get(&(from.topic, from.partition)) != Some(&from.offset) {
            return None;
        }
        match read {
            Ok(records) if records.is_empty() => {
                // The file went while it was looked for, or the offsets there are gone: look again.
                self.turn = Some((from.topic, from.partition));
                None
            }
            other => Some(other),
        }
    }

    fn start(&mut self, from: Position, to: u64, max: usize) {
        let Some((family, _)) = self.shelf(from.topic, from.partition) else { return };
        let family = family.clone();
        let open = match mem::replace(&mut self.disk, Disk::Idle(None)) {
            Disk::Idle(open) => open,
            Disk::Reading(..) => None,
        };
        let task = tokio::spawn(async move {
            let _turn = family.turns.clone().acquire_owned().await;
            let done = tokio::task::spawn_blocking(move || read(&family, open, from, to, max)).await;
            done.unwrap_or_else(|e| (None, Err(ReadError::Away(format!("reading stopped: {e}").into()))))
        });
        self.disk = Disk::Reading(from, task);
    }
}

fn read(family: &Family, open: Option<Open>, from: Position, to: u64, max: usize) -> (Option<Open>, Result<Vec<Stored>, ReadError>) {
    let Some(shelf) = family.shelf(from.topic, from.partition) else { return (open, Ok(Vec::new())) };
    let Some((file, _)) = family.find(shelf, from.offset) else {
        // Compacted away, or just deleted: nothing up to the end.
        return (open, Ok(Vec::new()));
    };
    let open = match open.filter(|o| o.path == file.path) {
        Some(open) => open,
        None => match segment::connect(&file.path, false) {
            Ok(db) => Open { path: file.path.clone(), db },
            Err(e) if from.offset >= shelf.low() => return (None, Err(ReadError::Away(e.to_string().into()))),
            Err(_) => return (None, Ok(Vec::new())),
        },
    };
    match segment::read(&open.db, from.topic, from.partition, from.offset, to, max) {
        Ok(records) => (Some(open), Ok(records)),
        Err(e) => (None, Err(ReadError::Away(e.to_string().into()))),
    }
}

impl Reader for EmbeddedReader {
    fn assign(&mut self, from: Position) {
        if let Some((_, shelf)) = self.shelf(from.topic, from.partition) {
            shelf.subscribe(&self.signal);
            self.wanted.insert((from.topic, from.partition), from.offset);
            self.signal.raise_now();
        }
    }

    fn release(&mut self, topic: Topic, partition: u32) {
        self.leave(topic, partition);
    }

    fn pause(&mut self, topic: Topic, partition: u32) {
        self.leave(topic, partition);
    }

    fn is_at_end(&self) -> bool {
        matches!(self.disk, Disk::Idle(_)) && matches!(self.look(1), Found::Nothing)
    }

    fn next(&mut self, max: usize) -> Pending<'_, Result<Vec<Stored>, ReadError>> {
        Box::pin(async move {
            loop {
                if let Some(mut read) = self.finish().await {
                    if let Ok(records) = &mut read {
                        records.truncate(max.max(1));
                        self.advance(records);
                    }
                    return read;
                }
                self.signal.lower();
                match self.look(max.max(1)) {
                    Found::Records(records) => {
                        self.advance(&records);
                        return Ok(records);
                    }
                    Found::OnDisk { from, to } => self.start(from, to, max.max(1)),
                    Found::Expired(at, begin) => return Err(ReadError::Expired(at, begin)),
                    Found::Nothing => poll_fn(|cx| self.signal.poll(cx)).await,
                }
            }
        })
    }
}

impl Drop for EmbeddedReader {
    fn drop(&mut self) {
        for (topic, partition) in mem::take(&mut self.wanted).into_keys() {
            if let Some((_, shelf)) = self.shelf(topic, partition) {
                shelf.unsubscribe(&self.signal);
            }
        }
    }
}

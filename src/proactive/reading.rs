//! Reading the log for the books: from a position kept in the store, as long as this node is the one to.
//!
//! A position is written together with what was read, or by itself a second later: most of what passes changes nothing, and
//! reading that again after a crash changes nothing either.

use std::collections::HashMap;
use std::time::Duration;

use fairway_adapters::contract::Time;
use tokio::time::Instant;

use super::{Failed, Room};
use crate::log::{Position, ReadError, Reader, Stored, Topic};
use crate::store::db::Statement;
use crate::values;

/// The unit whose owner reads, so that one node does.
pub(super) const UNIT: u32 = 0;
/// How long nothing may come before whoever reads is asked whether he still is the one.
const LOOK: Duration = Duration::from_millis(500);
/// How long a position that stands for no change waits.
const KEEP: Duration = Duration::from_secs(1);

const PLACE: &str = "INSERT INTO proactive_positions (name, part, next) VALUES (?1, ?2, ?3)
    ON CONFLICT (name, part) DO UPDATE SET next = excluded.next";

/// A reader of the log with a name.
pub(super) struct Reading<'r> {
    room: &'r Room,
    name: &'static str,
    reader: Box<dyn Reader>,
    moved: HashMap<i64, u64>,
    kept: Instant,
}

fn part(topic: Topic, partition: u32) -> i64 {
    i64::from((topic as u32) << 16 | partition)
}

impl Room {
    /// Reads these topics from where the name has come to. One that was never there before begins at `since`, else at the oldest.
    pub(super) async fn reading(&self, name: &'static str, topics: &[Topic], since: Option<Time>) -> Result<Reading<'_>, Failed> {
        let away = |e: ReadError| crate::store::Error(e.to_string());
        let rows = self.parts.db.read("SELECT part, next FROM proactive_positions WHERE name = ?1".into(), values![name]).await?;
        let known: HashMap<i64, u64> =
            rows.iter().map(|r| Ok((r.int(0)?, r.int(1)? as u64))).collect::<Result<_, crate::store::Error>>()?;
        let mut reading = Reading { room: self, name, reader: self.parts.log.reader(), moved: HashMap::new(), kept: Instant::now() };
        for topic in topics.iter().copied() {
            let begins = self.parts.log.begins(topic).await.map_err(away)?;
            let firsts = match since {
                Some(since) if known.is_empty() => self.parts.log.since(topic, since.0).await.map_err(away)?,
                _ => begins.clone(),
            };
            for partition in 0..self.parts.log.partitions(topic) {
                let begin = begins.get(&partition).copied().unwrap_or(0);
                let first = firsts.get(&partition).copied().unwrap_or(begin);
                let offset = known.get(&part(topic, partition)).copied().unwrap_or(first).max(begin);
                reading.reader.assign(Position { topic, partition, offset });
                reading.moved.insert(part(topic, partition), offset);
            }
        }
        // Where it began is written at once: a crash before the first change begins there again.
        self.parts.db.write(reading.place(true).into_iter().collect()).await?;
        Ok(reading)
    }
}

impl Reading<'_> {
    /// The next records, perhaps none; `None` when another node is the one to.
    pub(super) async fn next(&mut self, most: usize) -> Result<Option<Vec<Stored>>, Failed> {
        if !self.room.parts.units.owns(UNIT) {
            return Ok(None);
        }
        let records = match tokio::time::timeout(LOOK, self.reader.next(most)).await {
            Err(_) => Vec::new(),
            Ok(Ok(records)) => records,
            Ok(Err(ReadError::Expired(at, oldest))) => {
                // What has been deleted tells nothing any more; the balance says what is missing.
                self.reader.assign(Position { offset: oldest, ..at });
                Vec::new()
            }
            Ok(Err(e)) => return Err(crate::store::Error(e.to_string()).into()),
        };
        self.moved.extend(records.iter().map(|r| (part(r.at.topic, r.at.partition), r.at.offset + 1)));
        Ok(Some(records))
    }

    /// The statement that keeps the position, when there is a change to keep it with, or when it has waited long enough.
    pub(super) fn place(&mut self, changed: bool) -> Option<Statement> {
        if self.moved.is_empty() || !changed && self.kept.elapsed() < KEEP {
            return None;
        }
        self.kept = Instant::now();
        Some(Statement::each(PLACE, self.moved.drain().map(|(part, next)| values![self.name, part, next as i64]).collect()))
    }
}

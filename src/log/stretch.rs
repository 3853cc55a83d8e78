//! A stretch of the log, from a place to the end it had: read whole, however slow the log is.
//!
//! A reader waits for the next record and cannot say that there is none. Silence says nothing either: a broker or a disk that is
//! busy is silent too, and whoever took that for the end would lose what lies behind it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{EventLog, Position, ReadError, Reader, Stored, Topic};

/// How often a reader that waits is asked whether it is at the end.
const LOOK: Duration = Duration::from_millis(100);
/// A log that answers and has been silent for so long has nothing more: offsets have gaps, and the last ones may be such.
const SILENCE: Duration = Duration::from_secs(30);

/// What is left of a stretch.
pub struct Stretch {
    reader: Box<dyn Reader>,
    /// Where each partition ends.
    left: BTreeMap<(Topic, u32), u64>,
    heard: Instant,
}

impl Stretch {
    /// From each of these positions to the offset beside it, which is not read any more.
    pub fn new(log: &dyn EventLog, parts: impl IntoIterator<Item = (Position, u64)>) -> Self {
        let mut stretch = Self { reader: log.reader(), left: BTreeMap::new(), heard: Instant::now() };
        for (from, end) in parts.into_iter().filter(|(from, end)| from.offset < *end) {
            stretch.reader.assign(from);
            stretch.left.insert((from.topic, from.partition), end);
        }
        stretch
    }

    /// The next records, at most `max`; `None` when all of it has been read. Cancelling loses nothing.
    ///
    /// # Errors
    /// When a position has been deleted, or the log cannot be read.
    pub async fn next(&mut self, max: usize) -> Result<Option<Vec<Stored>>, ReadError> {
        while !self.left.is_empty() && !self.reader.is_at_end() {
            let Ok(records) = tokio::time::timeout(LOOK, self.reader.next(max)).await else {
                if self.heard.elapsed() > SILENCE {
                    tracing::warn!(partitions = ?self.left.keys(), "nothing more is read of these partitions, whose ends are further on");
                    break;
                }
                continue;
            };
            let mut records = records?;
            self.heard = Instant::now();
            records.retain(|record| {
                let key = (record.at.topic, record.at.partition);
                let Some(end) = self.left.get(&key).copied() else { return false };
                if record.at.offset + 1 >= end {
                    self.reader.release(key.0, key.1);
                    self.left.remove(&key);
                }
                record.at.offset < end
            });
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
        self.left.clear();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::log::{Headers, Pending};

    /// A log that is busy: each record takes longer than anybody looks, and the last offsets are gaps.
    struct Slow {
        at: u64,
        ready: tokio::time::Instant,
        knows_its_end: bool,
    }

    const LAST: u64 = 4;

    impl Reader for Slow {
        fn assign(&mut self, from: Position) {
            self.at = from.offset;
        }

        fn release(&mut self, _: Topic, _: u32) {}

        fn pause(&mut self, _: Topic, _: u32) {}

        fn next(&mut self, _: usize) -> Pending<'_, Result<Vec<Stored>, ReadError>> {
            Box::pin(async move {
                tokio::time::sleep_until(self.ready).await;
                if self.at > LAST {
                    std::future::pending::<()>().await;
                }
                let at = Position { topic: Topic::Inbound, partition: 0, offset: self.at };
                self.at += 1;
                self.ready = tokio::time::Instant::now() + 4 * LOOK;
                Ok(vec![Stored { at, time: 0, key: Bytes::new(), headers: Headers::default(), value: Bytes::new() }])
            })
        }

        fn is_at_end(&self) -> bool {
            self.knows_its_end && self.at > LAST
        }
    }

    async fn read(knows_its_end: bool, end: u64) -> Vec<u64> {
        let mut reader: Box<dyn Reader> = Box::new(Slow { at: 0, ready: tokio::time::Instant::now() + 7 * LOOK, knows_its_end });
        reader.assign(Position { topic: Topic::Inbound, partition: 0, offset: 1 });
        let mut stretch = Stretch { reader, left: BTreeMap::from([((Topic::Inbound, 0), end)]), heard: Instant::now() };
        let mut read = Vec::new();
        while let Some(records) = stretch.next(10).await.expect("it can be read") {
            read.extend(records.iter().map(|r| r.at.offset));
        }
        read
    }

    #[tokio::test]
    async fn a_slow_log_is_read_whole_and_gaps_at_the_end_are_the_end() {
        // Its reader is cancelled many times while it waits, and loses nothing by that.
        let (to_the_last, to_a_gap) = tokio::join!(read(false, LAST + 1), read(true, LAST + 7));
        assert_eq!((to_the_last, to_a_gap), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    }
}

//! All conversations somebody looks at: filled by one tail of the topic per node, and on first sight from the log.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, watch};

use super::reply::No;
use super::thread::Thread;
use crate::envelope;
use crate::log::{Durability, EventLog, Headers, Outcome, Position, Positions, ReadError, Record, Stored, Stretch, Topic};

/// Conversations kept in memory while nobody looks at them.
const IDLE: usize = 20_000;
/// Conversations read from the log at a time.
const READERS: usize = 4;

/// A conversation with its watchers.
pub struct Shared {
    thread: Mutex<Thread>,
    moved: watch::Sender<u64>,
    ready: watch::Sender<bool>,
    used: Mutex<Instant>,
}

impl Shared {
    fn new(ready: bool) -> Arc<Self> {
        Arc::new(Self {
            thread: Mutex::default(),
            moved: watch::channel(0).0,
            ready: watch::channel(ready).0,
            used: Mutex::new(Instant::now()),
        })
    }

    /// Looks at the conversation, or changes what is only remembered.
    pub fn with<T>(&self, act: impl FnOnce(&mut Thread) -> T) -> T {
        act(&mut self.thread.lock())
    }

    /// Told when something new stands in it.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

/// What is written to a conversation.
pub struct Note<'a> {
    /// Its kind, of `thread::kind`.
    pub kind: &'a str,
    /// The message's id, or what the mark says.
    pub id: &'a str,
    /// The message; empty for marks.
    pub json: Bytes,
}

/// All of them.
pub struct Threads {
    log: Arc<dyn EventLog>,
    open: Arc<RwLock<HashMap<String, Arc<Shared>>>>,
    from: Positions,
    readers: Arc<Semaphore>,
    runtime: tokio::runtime::Handle,
}

/// The key of a conversation's records.
fn key(channel: &str, session: &str) -> String {
    format!("{channel}/{session}")
}

impl Threads {
    /// Opens them at the log's end.
    pub(super) async fn open(log: Arc<dyn EventLog>) -> Result<Self, ReadError> {
        let from = log.ends(Topic::Webchat).await?;
        Ok(Self {
            log,
            open: Arc::default(),
            from,
            readers: Arc::new(Semaphore::new(READERS)),
            // Listener threads come and go with their connections; reading goes on here.
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// Carries new records to the conversations that are open.
    pub(super) async fn tail(&self) {
        let mut reader = self.log.reader();
        for partition in 0..self.log.partitions(Topic::Webchat) {
            reader.assign(Position { topic: Topic::Webchat, partition, offset: self.from.get(&partition).copied().unwrap_or(0) });
        }
        loop {
            match reader.next(1024).await {
                Ok(records) => {
                    for record in records {
                        let Ok(key) = std::str::from_utf8(&record.key) else { continue };
                        let Some(shared) = self.open.read().get(key).cloned() else { continue };
                        take(&shared, &record);
                        shared.moved.send_modify(|n| *n += 1);
                    }
                }
                Err(e) => {
                    tracing::warn!(error = %e, "web chat cannot be read now");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// A conversation nobody can have written to yet.
    pub fn begin(&self, channel: &str, session: &str) {
        self.open.write().entry(key(channel, session)).or_insert_with(|| Shared::new(true));
    }

    /// A conversation, read from the log when it is not at hand.
    pub async fn get(&self, channel: &str, session: &str) -> Result<Arc<Shared>, No> {
        let key = key(channel, session);
        let shared = self.shared(&key);
        *shared.used.lock() = Instant::now();
        let mut ready = shared.ready.subscribe();
        match tokio::time::timeout(Duration::from_secs(10), ready.wait_for(|r| *r)).await {
            Ok(Ok(_)) => Ok(Arc::clone(&shared)),
            _ => Err(No::Away),
        }
    }

    fn shared(&self, key: &str) -> Arc<Shared> {
        if let Some(shared) = self.open.read().get(key) {
            return Arc::clone(shared);
        }
        let mut open = self.open.write();
        if let Some(shared) = open.get(key) {
            return Arc::clone(shared);
        }
        if open.len() >= IDLE {
            shed(&mut open);
        }
        let shared = Shared::new(false);
        // Registered before it is read: what is written meanwhile comes by the tail, and both together miss nothing.
        open.insert(key.to_owned(), Arc::clone(&shared));
        drop(open);
        let (log, readers, filled) = (Arc::clone(&self.log), Arc::clone(&self.readers), Arc::clone(&shared));
        let (open, name) = (Arc::clone(&self.open), key.to_owned());
        self.runtime.spawn(async move {
            let _turn = readers.acquire_owned().await;
            match fill(&*log, &name, &filled).await {
                Ok(()) => {
                    filled.ready.send_replace(true);
                }
                Err(e) => {
                    tracing::warn!(error = %e, "a conversation cannot be read now");
                    open.write().remove(&name);
                }
            }
        });
        shared
    }

    /// Writes to a conversation. Resolves when it is durable and, where somebody looks at the conversation here, stands in
    /// it: it comes there by the tail alone, so that no connection passes over what another node wrote before it.
    pub async fn write(&self, channel: &str, session: &str, notes: &[Note<'_>]) -> Result<Vec<Option<u64>>, No> {
        let key = key(channel, session);
        let partition = envelope::partition(&key, self.log.partitions(Topic::Webchat));
        let records: Vec<Record> = notes
            .iter()
            .map(|note| Record {
                topic: Topic::Webchat,
                partition,
                key: Bytes::copy_from_slice(key.as_bytes()),
                headers: Headers::of([("kind", note.kind), ("id", note.id)]),
                value: Some(note.json.clone()),
            })
            .collect();
        let outcomes = self.log.append(records, Durability::Log).await;
        let mut numbers = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            match outcome {
                Outcome::Durable(offset) => numbers.push(offset.map(|o| o + 1)),
                Outcome::NotAppended(why) | Outcome::Unknown(why) => {
                    tracing::warn!(error = &*why, "a frame of web chat could not be made durable");
                    return Err(No::Away);
                }
            }
        }
        let shared = self.open.read().get(&key).cloned();
        if let (Some(shared), Some(last)) = (shared, numbers.last().copied().flatten()) {
            let mut moved = shared.watch();
            let seen = async { while shared.with(|t| t.head()) < last && moved.changed().await.is_ok() {} };
            let _ = tokio::time::timeout(Duration::from_secs(3), seen).await;
        }
        Ok(numbers)
    }
}

/// Lets go of the conversations that nobody has looked at for longest.
fn shed(open: &mut HashMap<String, Arc<Shared>>) {
    let mut idle: Vec<(Instant, String)> =
        open.iter().filter(|(_, s)| Arc::strong_count(s) == 1).map(|(key, s)| (*s.used.lock(), key.clone())).collect();
    idle.sort_unstable();
    for (_, key) in idle.into_iter().take(IDLE / 10) {
        open.remove(&key);
    }
}

fn take(shared: &Shared, record: &Stored) {
    let (kind, id) = (record.headers.get("kind").unwrap_or_default(), record.headers.get("id").unwrap_or_default());
    // Numbers begin at 1, so that 0 can stand for "nothing yet".
    shared.thread.lock().take(record.at.offset + 1, record.time, kind, id, &record.value);
}

/// Reads a conversation's partition from its beginning to its end.
async fn fill(log: &dyn EventLog, key: &str, shared: &Shared) -> Result<(), ReadError> {
    let partition = envelope::partition(key, log.partitions(Topic::Webchat));
    let begin = log.begins(Topic::Webchat).await?.get(&partition).copied().unwrap_or(0);
    let end = log.ends(Topic::Webchat).await?.get(&partition).copied().unwrap_or(0);
    let mut stretch = Stretch::new(log, [(Position { topic: Topic::Webchat, partition, offset: begin }, end)]);
    while let Some(records) = stretch.next(4096).await? {
        records.iter().filter(|record| record.key == key.as_bytes()).for_each(|record| take(shared, record));
    }
    Ok(())
}

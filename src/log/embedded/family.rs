//! A family: topics that share a sequence of offsets, a committer and its files.
//!
//! ```text
//!   submit ──▶ queue ──▶ committer (one thread) ──▶ segment on disk ──▶ shelves in memory ──▶ readers, answers
//! ```
//!
//! Files are told apart by their first offset; the newest is written, the others only read until the keeper deletes them.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::{
    super::{Outcome, Record, Topic, mailbox::Reply},
    segment::{Carrier, Segment, Span},
    shelf::Shelf,
};

/// Files read at the same time at most.
const READS: usize = 4;

/// What differs between families, and between a test and a server.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name in front of its files.
    pub name: &'static str,
    /// Its topics and how many partitions each has.
    pub topics: Vec<(Topic, u32)>,
    /// A file is full at this size. `u64::MAX`: there is only one.
    pub segment_bytes: u64,
    /// Newest records kept in memory, in bytes.
    pub memory: usize,
    /// Bytes that may wait to be written.
    pub queue: usize,
    /// Tests play a full disk with it: pages a file may have.
    pub pages: Option<u32>,
}

/// A family, shared by its committer, the readers and the keeper.
pub struct Family {
    /// As planned.
    pub plan: Plan,
    /// Where its files lie.
    pub folder: PathBuf,
    /// Its partitions.
    pub shelves: Vec<Shelf>,
    /// Its files, oldest first; the last is the one being written.
    pub segments: RwLock<Vec<Arc<Segment>>>,
    /// Why the last write failed; empty when it did not.
    pub trouble: Mutex<Option<String>>,
    /// The keeper's way into the file being written. The committer takes it away before it gives that file up, so that the
    /// last connection to a file is never the keeper's.
    pub carrier: Mutex<Option<Carrier>>,
    /// The keeper has just carried the write-ahead log over, but for what came meanwhile.
    pub carried: AtomicBool,
    /// Asks the committer to begin a new file.
    pub roll: AtomicBool,
    /// A turn for each file that may be read at the same time: readers that are behind wait as tasks, not as threads.
    pub turns: Arc<Semaphore>,
    base: [u32; Topic::ALL.len()],
    queue: Mutex<Queue>,
    bell: Condvar,
    flight: Mutex<Flight>,
}

/// Records that belong together: they are in one commit.
pub struct Job {
    /// The records.
    pub records: Vec<Record>,
    /// Who waits.
    pub reply: Option<Reply>,
    /// Since when.
    pub since: Instant,
}

struct Queue {
    jobs: VecDeque<Job>,
    bytes: usize,
    asleep: bool,
    closed: bool,
    /// When the last commit began, and how many jobs it had.
    begun: Instant,
    last: usize,
}

#[derive(Default)]
struct Flight {
    since: Option<Instant>,
    replies: Vec<(Option<Reply>, usize)>,
}

/// What the committer gets when it asks for work.
pub enum Work {
    /// To be written in one commit.
    Jobs(Vec<Job>),
    /// Nothing for a while.
    Idle,
    /// Nothing, and nothing will come.
    Closed,
}

const NONE: u32 = u32::MAX;
/// Answers are due within 10 s; what the disk has not answered by now will not come in time.
const PATIENCE: Duration = Duration::from_secs(9);
/// Records and bytes of one commit: more would only make those behind wait.
const BATCH: (usize, usize) = (8192, 8 << 20);

/// Commits follow each other no faster than this where the last one had at least so many jobs. Where jobs come one at a
/// time, none waits. (PostgreSQL knows the same as `commit_delay` and `commit_siblings`.)
const PACE: (Duration, usize) = (Duration::from_millis(1), 4);

impl Family {
    /// Opens the files of a family; makes the first when there is none. The connection is the writer's.
    pub fn open(plan: Plan, folder: &Path, lows: &BTreeMap<(Topic, u32), u64>) -> Result<(Arc<Self>, Connection), String> {
        let wrong = |e: &dyn std::fmt::Display| format!("the folder {} cannot be used: {e}", folder.display());
        let mut found: Vec<(u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| wrong(&e))? {
            let path = entry.map_err(|e| wrong(&e))?.path();
            let base = path.file_name().and_then(|n| n.to_str()).and_then(|n| Segment::base_of(n, plan.name));
            found.extend(base.map(|b| (b, path)));
        }
        found.sort();
        let mut segments = Vec::new();
        let mut writer = None;
        for (base, path) in found {
            let (segment, db) = Segment::open(path, base)?;
            segments.push(Arc::new(segment));
            writer = Some(db);
        }
        let writer = match writer {
            Some(db) => db,
            None => {
                let (segment, db) = Segment::create(folder, plan.name, 0).map_err(|e| wrong(&e))?;
                segments.push(Arc::new(segment));
                db
            }
        };
        if let Some(pages) = plan.pages {
            writer.pragma_update(None, "max_page_count", pages).map_err(|e| wrong(&e))?;
        }

        let mut base = [NONE; Topic::ALL.len()];
        let mut shelves = Vec::new();
        for &(topic, partitions) in &plan.topics {
            base[topic as usize] = shelves.len() as u32;
            for partition in 0..partitions {
                let last = segments.iter().filter_map(|s| s.spans.read().get(&(topic, partition)).map(|s| s.last)).max();
                let low = lows.get(&(topic, partition)).copied().unwrap_or(0);
                shelves.push(Shelf::new(topic, partition, low, last.map_or(0, |l| l + 1)));
            }
        }
        let family = Self {
            plan,
            folder: folder.to_owned(),
            shelves,
            segments: RwLock::new(segments),
            trouble: Mutex::default(),
            carrier: Mutex::default(),
            carried: AtomicBool::new(false),
            roll: AtomicBool::new(false),
            turns: Arc::new(Semaphore::new(READS)),
            base,
            queue: Mutex::new(Queue { jobs: VecDeque::new(), bytes: 0, asleep: false, closed: false, begun: Instant::now(), last: 0 }),
            bell: Condvar::new(),
            flight: Mutex::default(),
        };
        Ok((Arc::new(family), writer))
    }

    /// The shelf of a partition.
    pub fn shelf(&self, topic: Topic, partition: u32) -> Option<&Shelf> {
        self.shelves.get(self.slot(topic, partition)?)
    }

    /// The number of a partition's shelf.
    pub fn slot(&self, topic: Topic, partition: u32) -> Option<usize> {
        let base = self.base[topic as usize];
        let slot = (base as usize).checked_add(partition as usize)?;
        (base != NONE && self.shelves.get(slot).is_some_and(|s| s.topic == topic)).then_some(slot)
    }

    /// Hands records to the committer. The answer comes within 10 s.
    pub fn submit(&self, records: Vec<Record>) -> oneshot::Receiver<Vec<Outcome>> {
        let (reply, answer) = Reply::new();
        self.submit_for(records, reply);
        answer
    }

    /// Hands records to the committer, with whom to tell.
    pub fn submit_for(&self, records: Vec<Record>, reply: Reply) {
        let mut queue = self.queue.lock();
        let refused = if queue.closed {
            Some("the log is closed".to_owned())
        } else if queue.bytes > self.plan.queue {
            Some(format!("{} MiB wait to be written already", queue.bytes >> 20))
        } else {
            None
        };
        if let Some(reason) = refused {
            drop(queue);
            return refuse(reply, records.len(), &reason);
        }
        queue.bytes += records.iter().map(size).sum::<usize>();
        queue.jobs.push_back(Job { records, reply: Some(reply), since: Instant::now() });
        let asleep = mem::take(&mut queue.asleep);
        drop(queue);
        if asleep {
            self.bell.notify_one();
        }
    }

    /// No more records are taken; the committer writes what it has and ends.
    pub fn close(&self) {
        self.queue.lock().closed = true;
        self.bell.notify_one();
    }

    /// The committer's next commit. Waits for work, at most a second, and for those who come in company.
    pub fn take(&self) -> Work {
        let mut queue = self.queue.lock();
        if queue.jobs.is_empty() {
            if queue.closed {
                return Work::Closed;
            }
            queue.asleep = true;
            self.bell.wait_for(&mut queue, Duration::from_secs(1));
            queue.asleep = false;
            if queue.jobs.is_empty() {
                return if queue.closed { Work::Closed } else { Work::Idle };
            }
        }
        let rest = PACE.0.saturating_sub(queue.begun.elapsed());
        if queue.last >= PACE.1 && !rest.is_zero() && !queue.closed {
            drop(queue);
            std::thread::sleep(rest);
            queue = self.queue.lock();
        }
        let (mut jobs, mut records, mut bytes) = (Vec::with_capacity(queue.jobs.len()), 0, 0);
        while records < BATCH.0 && bytes < BATCH.1 {
            let Some(job) = queue.jobs.pop_front() else { break };
            records += job.records.len();
            bytes += job.records.iter().map(size).sum::<usize>();
            jobs.push(job);
        }
        queue.bytes -= bytes;
        (queue.begun, queue.last) = (Instant::now(), jobs.len());
        // Under both locks: whoever asks what is waiting sees each job in one of them.
        let mut flight = self.flight.lock();
        drop(queue);
        flight.since = Some(Instant::now());
        flight.replies.extend(jobs.iter_mut().map(|j| (j.reply.take(), j.records.len())));
        Work::Jobs(jobs)
    }

    /// The commit is over: who is to be told. `None` for those who have been told already.
    pub fn landed(&self) -> Vec<(Option<Reply>, usize)> {
        let mut flight = self.flight.lock();
        flight.since = None;
        mem::take(&mut flight.replies)
    }

    /// Answers those whose time is up, because the disk hangs. Called now and then by the keeper.
    pub fn lose_patience(&self) {
        let mut late = Vec::new();
        let mut queue = self.queue.lock();
        while queue.jobs.front().is_some_and(|j| j.since.elapsed() > PATIENCE) {
            let Some(job) = queue.jobs.pop_front() else { break };
            queue.bytes -= job.records.iter().map(size).sum::<usize>();
            late.push(job);
        }
        drop(queue);
        for job in late {
            if let Some(reply) = job.reply {
                refuse(reply, job.records.len(), "the disk is too slow: waited 9 s for a turn");
            }
        }
        let mut flight = self.flight.lock();
        if flight.since.is_some_and(|s| s.elapsed() > PATIENCE) {
            for (reply, count) in &mut flight.replies {
                if let Some(reply) = reply.take() {
                    reply.send(vec![Outcome::Unknown("the disk has not answered for 9 s".into()); *count]);
                }
            }
        }
    }

    /// Jobs that are not yet answered.
    pub fn waiting(&self) -> usize {
        let queue = self.queue.lock();
        queue.jobs.len() + self.flight.lock().replies.len()
    }

    /// The offset of the oldest record still there.
    pub fn begin(&self, shelf: &Shelf) -> u64 {
        let (low, end) = (shelf.low(), shelf.end());
        match self.find(shelf, low) {
            Some((_, span)) => span.first.max(low),
            None => end,
        }
    }

    /// The first file with records of a partition at or behind an offset.
    pub fn find(&self, shelf: &Shelf, from: u64) -> Option<(Arc<Segment>, Span)> {
        let key = (shelf.topic, shelf.partition);
        let segments = self.segments.read();
        segments.iter().find_map(|s| {
            let span = s.spans.read().get(&key).copied().filter(|span| span.last >= from)?;
            Some((s.clone(), span))
        })
    }

    /// The files of a partition whose newest record is not older than a time, oldest first.
    pub fn find_since(&self, shelf: &Shelf, time: i64) -> Option<(Arc<Segment>, Span)> {
        let key = (shelf.topic, shelf.partition);
        let segments = self.segments.read();
        segments.iter().find_map(|s| {
            let span = s.spans.read().get(&key).copied().filter(|span| span.newest >= time)?;
            Some((s.clone(), span))
        })
    }

    /// The file being written.
    pub fn active(&self) -> Option<Arc<Segment>> {
        self.segments.read().last().cloned()
    }

    /// What is wrong, if anything.
    pub fn fine(&self) -> bool {
        self.trouble.lock().is_none()
    }
}

/// What a record weighs.
pub fn size(record: &Record) -> usize {
    record.key.len() + record.headers.bytes().len() + record.value.as_ref().map_or(0, |v| v.len()) + 32
}

fn refuse(reply: Reply, count: usize, reason: &str) {
    reply.send(vec![Outcome::NotAppended(reason.into()); count]);
}

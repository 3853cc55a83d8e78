//! One partition in memory: its end, its newest records, and who waits for more.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::super::{
    Stored, Topic,
    mailbox::{self, Mailbox, Post},
};

/// A partition. The committer writes it, readers read it.
pub struct Shelf {
    /// Its topic.
    pub topic: Topic,
    /// Its number.
    pub partition: u32,
    inner: Mutex<Inner>,
}

struct Inner {
    /// Below it everything has been deleted or let go.
    low: u64,
    /// Behind the last durable record.
    end: u64,
    /// From here on all records are in `recent`.
    from: u64,
    recent: VecDeque<Stored>,
    readers: Vec<Arc<Signal>>,
}

/// What a reader at some offset gets.
pub enum Look {
    /// These, from memory.
    Records(Vec<Stored>),
    /// Records up to this offset (inclusive) that lie on disk.
    OnDisk(u64),
    /// Nothing yet.
    Nothing,
    /// The offset lies below what is kept.
    Expired,
}

impl Shelf {
    /// A partition as the files tell it.
    pub fn new(topic: Topic, partition: u32, low: u64, end: u64) -> Self {
        let end = end.max(low);
        Self { topic, partition, inner: Mutex::new(Inner { low, end, from: end, recent: VecDeque::new(), readers: Vec::new() }) }
    }

    /// Puts a committed record up, and tells the readers.
    pub fn put(&self, record: Stored, post: &mut Post) {
        let mut inner = self.inner.lock();
        inner.end = record.at.offset + 1;
        inner.recent.push_back(record);
        for reader in &inner.readers {
            reader.raise(post);
        }
    }

    /// Records up to this offset were found on disk that had been thought lost: they are read from there.
    pub fn rediscover(&self, last: u64, post: &mut Post) {
        let mut inner = self.inner.lock();
        if last < inner.end {
            return;
        }
        (inner.end, inner.from) = (last + 1, last + 1);
        inner.recent.clear();
        for reader in &inner.readers {
            reader.raise(post);
        }
    }

    /// Takes the oldest record out of memory; returns whether there was one.
    pub fn evict(&self) -> bool {
        let mut inner = self.inner.lock();
        let Some(gone) = inner.recent.pop_front() else { return false };
        inner.from = gone.at.offset + 1;
        true
    }

    /// What there is from an offset on.
    pub fn look(&self, from: u64, max: usize) -> Look {
        let inner = self.inner.lock();
        if from < inner.low {
            return Look::Expired;
        }
        if from >= inner.end {
            return Look::Nothing;
        }
        if from < inner.from {
            return Look::OnDisk(inner.end - 1);
        }
        let start = inner.recent.partition_point(|r| r.at.offset < from);
        Look::Records(inner.recent.range(start..).take(max).cloned().collect())
    }

    /// Lets go of what stands before an offset. Returns whether that changed anything.
    pub fn trim(&self, before: u64) -> bool {
        let mut inner = self.inner.lock();
        let before = before.min(inner.end);
        let further = before > inner.low;
        if further {
            inner.low = before;
        }
        further
    }

    /// The lowest offset that may be read.
    pub fn low(&self) -> u64 {
        self.inner.lock().low
    }

    /// The offset behind the last record.
    pub fn end(&self) -> u64 {
        self.inner.lock().end
    }

    /// Tells this reader of every new record.
    pub fn subscribe(&self, reader: &Arc<Signal>) {
        let mut inner = self.inner.lock();
        if !inner.readers.iter().any(|r| Arc::ptr_eq(r, reader)) {
            inner.readers.push(reader.clone());
        }
    }

    /// Tells this reader no more.
    pub fn unsubscribe(&self, reader: &Arc<Signal>) {
        self.inner.lock().readers.retain(|r| !Arc::ptr_eq(r, reader));
    }
}

/// Tells one reader that there is something new.
#[derive(Default)]
pub struct Signal {
    raised: AtomicBool,
    waiting: Mutex<Option<(Waker, Option<Arc<Mailbox>>)>>,
}

impl Signal {
    /// Takes the sign down; to be done before looking.
    pub fn lower(&self) {
        self.raised.store(false, Ordering::SeqCst);
    }

    /// Raises the sign without a batch around it.
    pub fn raise_now(&self) {
        let mut post = Post::default();
        self.raise(&mut post);
        post.send();
    }

    fn raise(&self, post: &mut Post) {
        if self.raised.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some((waker, home)) = self.waiting.lock().take() {
            post.wake(waker, home);
        }
    }

    /// Ready once the sign is up.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.raised.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        *self.waiting.lock() = Some((cx.waker().clone(), mailbox::home()));
        // It may have been raised while nobody was registered.
        if self.raised.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

//! Completions travel home in one message.
//!
//! Waking a task from another thread costs a system call (an `eventfd` write into its reactor). A committer that wakes
//! each of the 64 tasks of a batch pays 64. So every thread that appends owns a mailbox and, on its own runtime, a small
//! task that empties it: the committer pushes all answers of a batch, wakes that one task, and that task wakes the others
//! from inside their runtime, which is free.
//!
//! Threads without a runtime have no mailbox and are woken plainly. Invariant: a note that was pushed is delivered, also
//! when the runtime dies meanwhile (what is in the mailbox then is delivered by whoever closes it).

use std::{
    cell::RefCell,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    runtime::{Handle, Id},
    sync::oneshot,
};

use super::Outcome;

/// Answers an append, once.
pub struct Reply(To);

enum To {
    Caller(oneshot::Sender<Vec<Outcome>>, Option<Arc<Mailbox>>),
    Part { ticket: Arc<Ticket>, places: Vec<u32>, change: fn(Outcome) -> Outcome },
}

impl Reply {
    /// An answer to come, for a task of the current thread.
    pub fn new() -> (Self, oneshot::Receiver<Vec<Outcome>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(To::Caller(sender, home())), receiver)
    }

    /// An answer for some records of an append; each outcome is changed on its way.
    pub fn part(ticket: Arc<Ticket>, places: Vec<u32>, change: fn(Outcome) -> Outcome) -> Self {
        Self(To::Part { ticket, places, change })
    }

    /// Sends the answer by itself, not as part of a batch.
    pub fn send(self, outcomes: Vec<Outcome>) {
        match self.0 {
            To::Caller(sender, Some(home)) => home.push_one(Note::Answer(sender, outcomes)),
            To::Caller(sender, None) => Note::Answer(sender, outcomes).deliver(),
            To::Part { ticket, places, change } => {
                for (place, outcome) in places.into_iter().zip(outcomes) {
                    ticket.settle(place, change(outcome));
                }
            }
        }
    }
}

/// An append whose records are answered one by one.
pub struct Ticket {
    open: Mutex<Option<Open>>,
}

struct Open {
    reply: Reply,
    outcomes: Vec<Outcome>,
    settled: Vec<bool>,
    left: usize,
}

impl Ticket {
    /// A ticket for so many records.
    pub fn new(records: usize) -> (Arc<Self>, oneshot::Receiver<Vec<Outcome>>) {
        let (reply, receiver) = Reply::new();
        let unknown = Outcome::Unknown("the log has not answered".into());
        let open = Open { reply, outcomes: vec![unknown; records], settled: vec![false; records], left: records };
        (Arc::new(Self { open: Mutex::new(Some(open)) }), receiver)
    }

    /// One record's outcome. The last one sends the answer; the first word about a record counts.
    pub fn settle(&self, place: u32, outcome: Outcome) {
        if let Some((reply, outcomes)) = self.take(place, outcome) {
            reply.send(outcomes);
        }
    }

    fn take(&self, place: u32, outcome: Outcome) -> Option<(Reply, Vec<Outcome>)> {
        let mut guard = self.open.lock();
        let open = guard.as_mut()?;
        let place = place as usize;
        if std::mem::replace(open.settled.get_mut(place)?, true) {
            return None;
        }
        open.outcomes[place] = outcome;
        open.left -= 1;
        if open.left > 0 {
            return None;
        }
        guard.take().map(|open| (open.reply, open.outcomes))
    }
}

/// Collects what a batch has to tell, and sends it in one message to each mailbox.
#[derive(Default)]
pub struct Post {
    bags: Vec<(Arc<Mailbox>, Vec<Note>)>,
}

impl Post {
    /// Puts an answer into the bag of its home.
    pub fn answer(&mut self, reply: Reply, outcomes: Vec<Outcome>) {
        match reply.0 {
            To::Caller(sender, home) => self.put(home, Note::Answer(sender, outcomes)),
            To::Part { ticket, places, change } => {
                for (place, outcome) in places.into_iter().zip(outcomes) {
                    if let Some((reply, outcomes)) = ticket.take(place, change(outcome)) {
                        self.answer(reply, outcomes);
                    }
                }
            }
        }
    }

    /// Puts a wake-up into the bag of its home.
    pub fn wake(&mut self, waker: Waker, home: Option<Arc<Mailbox>>) {
        self.put(home, Note::Wake(waker));
    }

    /// Sends all bags.
    pub fn send(&mut self) {
        for (home, notes) in &mut self.bags {
            home.push(notes);
        }
        // Bags are kept for the next batch, but not those of threads that may have gone.
        if self.bags.len() > 64 {
            self.bags.clear();
        }
    }

    fn put(&mut self, home: Option<Arc<Mailbox>>, note: Note) {
        let Some(home) = home else { return note.deliver() };
        match self.bags.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &home)) {
            Some((_, bag)) => bag.push(note),
            None => self.bags.push((home, vec![note])),
        }
    }
}

/// Where the completions of one thread arrive.
pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    notes: Vec<Note>,
    drain: Option<Waker>,
    closed: bool,
}

enum Note {
    Answer(oneshot::Sender<Vec<Outcome>>, Vec<Outcome>),
    Wake(Waker),
}

impl Note {
    fn deliver(self) {
        match self {
            // An error only says that the caller has dropped its future.
            Self::Answer(sender, outcomes) => drop(sender.send(outcomes)),
            Self::Wake(waker) => waker.wake(),
        }
    }
}

impl Mailbox {
    fn push(&self, notes: &mut Vec<Note>) {
        if notes.is_empty() {
            return;
        }
        let mut inner = self.inner.lock();
        if inner.closed {
            drop(inner);
            return notes.drain(..).for_each(Note::deliver);
        }
        inner.notes.append(notes);
        let drain = inner.drain.take();
        drop(inner);
        if let Some(drain) = drain {
            drain.wake();
        }
    }

    fn push_one(&self, note: Note) {
        let mut inner = self.inner.lock();
        if inner.closed {
            drop(inner);
            return note.deliver();
        }
        inner.notes.push(note);
        let drain = inner.drain.take();
        drop(inner);
        if let Some(drain) = drain {
            drain.wake();
        }
    }

    fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let (notes, drain) = (mem::take(&mut inner.notes), inner.drain.take());
        drop(inner);
        notes.into_iter().for_each(Note::deliver);
        if let Some(drain) = drain {
            drain.wake();
        }
    }
}

/// The mailbox of this thread's runtime; made, with its task, on first use.
pub fn home() -> Option<Arc<Mailbox>> {
    let runtime = Handle::try_current().ok()?;
    HOME.try_with(|cell| {
        let mut cell = cell.borrow_mut();
        match &*cell {
            Some(home) if home.runtime == runtime.id() && !home.mailbox.inner.lock().closed => Some(home.mailbox.clone()),
            _ => {
                let mailbox = Arc::new(Mailbox { inner: Mutex::default() });
                runtime.spawn(Drain { mailbox: mailbox.clone(), spare: Vec::new() });
                *cell = Some(Home { runtime: runtime.id(), mailbox: mailbox.clone() });
                Some(mailbox)
            }
        }
    })
    .ok()
    .flatten()
}

thread_local! {
    static HOME: RefCell<Option<Home>> = const { RefCell::new(None) };
}

struct Home {
    runtime: Id,
    mailbox: Arc<Mailbox>,
}

/// The thread ends: its task has nothing to wait for any more.
impl Drop for Home {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

struct Drain {
    mailbox: Arc<Mailbox>,
    spare: Vec<Note>,
}

impl Future for Drain {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut inner = this.mailbox.inner.lock();
        mem::swap(&mut inner.notes, &mut this.spare);
        let closed = inner.closed;
        inner.drain = Some(cx.waker().clone());
        drop(inner);
        this.spare.drain(..).for_each(Note::deliver);
        if closed { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The runtime ends: nobody empties the mailbox any more.
impl Drop for Drain {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_arrive_with_and_without_a_runtime_and_after_its_end() {
        let (plain, mut plainly) = Reply::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (late, mut lately) = runtime.block_on(async {
            let (here, there) = Reply::new();
            std::thread::spawn(move || {
                let mut post = Post::default();
                post.answer(here, vec![Outcome::Durable(Some(1))]);
                post.send();
            });
            assert_eq!(there.await, Ok(vec![Outcome::Durable(Some(1))]));
            Reply::new()
        });
        drop(runtime);
        let mut post = Post::default();
        post.answer(plain, vec![Outcome::Durable(Some(2))]);
        post.answer(late, vec![Outcome::Durable(Some(3))]);
        post.send();
        assert_eq!(plainly.try_recv(), Ok(vec![Outcome::Durable(Some(2))]));
        assert_eq!(lately.try_recv(), Ok(vec![Outcome::Durable(Some(3))]));
    }

    /// A thousand answers of one batch cost the appending thread's runtime one wake-up.
    #[test]
    fn a_batch_is_one_message() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (replies, receivers): (Vec<_>, Vec<_>) = (0..1000).map(|_| Reply::new()).unzip();
            tokio::task::yield_now().await; // the mailbox's task goes to sleep
            let mailbox = home().expect("a home");
            let sender = std::thread::spawn(move || {
                let mut post = Post::default();
                replies.into_iter().for_each(|r| post.answer(r, vec![Outcome::Durable(None)]));
                assert_eq!(post.bags.len(), 1);
                post.send();
            });
            sender.join().expect("the sender");
            assert_eq!(mailbox.inner.lock().notes.len(), 1000);
            assert!(mailbox.inner.lock().drain.is_none(), "woken once");
            for receiver in receivers {
                assert!(receiver.await.expect("an answer")[0].is_durable());
            }
        });
    }
}

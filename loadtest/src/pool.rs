//! Sends what arrives: an open queue in front of connections, one at a time per conversation.
//!
//! Arrivals are released at their times whatever the gateway does. What finds its conversation or all connections busy
//! waits, and the wait counts.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::arrival::{Due, Schedule};
use crate::tape::Tape;
use crate::wire::{Connection, Shot, Wire};

/// One arrival on its way.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Its number, from 0.
    pub number: u32,
    /// What must keep its order among its like.
    pub order: u64,
    /// When it was to begin.
    pub intended: Instant,
}

/// What is sent, and what becomes of it.
pub trait Work: Send + Sync + 'static {
    /// An arrival comes up: gives what it is ordered by. Called in order.
    fn plan(&self, number: u32, due: &Due) -> u64;
    /// The request, made when it leaves; `None` when there is nothing to send.
    fn shot(&self, job: &Job) -> Option<Shot>;
    /// What came of it; true when that is a success.
    fn done(&self, job: &Job, answer: &Result<(u16, Bytes), String>) -> bool;
}

#[derive(Default)]
struct Waiting {
    ready: VecDeque<Job>,
    /// Conversations with something under way, and what waits behind it.
    busy: HashMap<u64, VecDeque<Job>>,
}

struct Pool<W> {
    work: Arc<W>,
    wire: Wire,
    tape: Arc<Tape>,
    waiting: Mutex<Waiting>,
    ready: Semaphore,
    open: AtomicU64,
}

/// Tells a run to stop.
pub type Stop = watch::Receiver<bool>;

/// Sends all that a schedule brings. Returns how many arrivals were released; an early stop releases no more and lets those
/// under way end.
pub async fn drive<W: Work>(
    wire: &Wire,
    connections: usize,
    schedule: Schedule,
    start: Instant,
    work: Arc<W>,
    tape: Arc<Tape>,
    mut stop: Stop,
) -> u64 {
    let pool =
        Arc::new(Pool { work, wire: wire.clone(), tape, waiting: Mutex::default(), ready: Semaphore::new(0), open: AtomicU64::new(0) });
    let workers: Vec<_> = (0..connections.max(1)).map(|_| tokio::spawn(Arc::clone(&pool).run())).collect();
    let mut released = 0;
    for (number, due) in schedule.enumerate() {
        let intended = start + due.at;
        tokio::select! {
            () = tokio::time::sleep_until(intended.into()) => {}
            _ = stop.wait_for(|s| *s) => break,
        }
        if *stop.borrow() {
            break;
        }
        pool.tape.released(intended.elapsed());
        let number = number as u32;
        pool.release(Job { number, order: pool.work.plan(number, &due), intended });
        released += 1;
    }
    // What is under way ends: each within the wire's patience, all of it within a few times that.
    let until = Instant::now() + 4 * crate::wire::PATIENCE;
    while pool.open.load(Ordering::Acquire) > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pool.ready.close();
    for worker in workers {
        let _ = worker.await;
    }
    released
}

impl<W: Work> Pool<W> {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn release(&self, job: Job) {
        self.open.fetch_add(1, Ordering::AcqRel);
        let mut waiting = self.waiting();
        if let Some(behind) = waiting.busy.get_mut(&job.order) {
            behind.push_back(job);
            return;
        }
        waiting.busy.insert(job.order, VecDeque::new());
        waiting.ready.push_back(job);
        drop(waiting);
        self.ready.add_permits(1);
    }

    async fn run(self: Arc<Self>) {
        let mut connection: Option<Connection> = None;
        while let Ok(permit) = self.ready.acquire().await {
            permit.forget();
            let Some(mut job) = self.waiting().ready.pop_front() else { continue };
            loop {
                self.carry_out(&mut connection, &job).await;
                self.open.fetch_sub(1, Ordering::AcqRel);
                let mut waiting = self.waiting();
                match waiting.busy.get_mut(&job.order).and_then(VecDeque::pop_front) {
                    Some(next) => job = next,
                    None => {
                        waiting.busy.remove(&job.order);
                        break;
                    }
                }
            }
        }
    }

    async fn carry_out(&self, connection: &mut Option<Connection>, job: &Job) {
        let Some(shot) = self.work.shot(job) else { return };
        if connection.as_ref().is_none_or(Connection::is_closed) {
            *connection = self.wire.connect().await.ok();
        }
        let answer = match connection.as_mut() {
            Some(open) => self.wire.exchange(open, &shot).await,
            None => Err("no connection".into()),
        };
        if answer.is_err() {
            *connection = None;
            // A gateway that is down is not hammered; the wait counts against it like any other.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let good = self.work.done(job, &answer);
        self.tape.record(job.intended, job.intended.elapsed(), good);
    }
}

//! Every append passes here, so that none can miss the turn.
//!
//! ```text
//!   mode       events (may be spooled)        the rest
//!   Direct     produced                       produced
//!   Turning    wait for the turn to end       wait
//!   Spooling   spool                          refused
//!   Draining   spool                          produced
//!   Handover   wait for the spool's last      wait
//!   Closed     refused                        refused
//! ```
//!
//! The window holds, in produce order, every record that is not acknowledged. A record leaves it when Kafka has it, or
//! with the turn: then the whole window goes to the spool, in order, and behind it everything new. One lock makes this
//! sure; under it nothing waits for a disk or a network.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::{
    super::{Durability, Outcome, Record, embedded::family::size, mailbox::Ticket, spool::Spool},
    line::{Line, Listener},
};

/// Which way records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To Kafka.
    Direct,
    /// Between Kafka and the spool.
    Turning,
    /// To the spool.
    Spooling,
    /// Events to the spool, which is being emptied; the rest to Kafka.
    Draining,
    /// Between the spool and Kafka.
    Handover,
    /// Nowhere.
    Closed,
}

/// The one place where the way is decided.
pub struct Sequencer {
    inner: Mutex<Inner>,
    /// Rung when a record that was drained is acknowledged or refused, and when the turn is due.
    bell: Condvar,
    spool: Option<Arc<Spool>>,
}

struct Inner {
    mode: Mode,
    line: Option<Arc<Line>>,
    /// The number of the first entry.
    base: u64,
    window: VecDeque<Entry>,
    bytes: usize,
    /// Records of the spool on their way to Kafka.
    draining: usize,
    /// Records that only Kafka may have, under way at a turn: the search settles them, or the clock.
    doubts: Vec<Entry>,
    /// The line is broken: it must be given up whatever the clock says.
    broken: Option<String>,
    closing: bool,
}

struct Entry {
    record: Record,
    ticket: Arc<Ticket>,
    place: u32,
    since: Instant,
    durability: Durability,
    /// It has been handed to the line.
    sent: bool,
    done: bool,
}

/// Numbers from here on are records of the spool.
const DRAIN: u64 = 1 << 62;
/// Kafka's own limit (`MAX_RECORD`), less what it adds.
const BIGGEST: usize = (2 << 20) - 4096;
/// Answers are due within 10 s.
const ANSWER: Duration = Duration::from_secs(9);
/// What may wait for Kafka: records, bytes.
const ROOM: (usize, usize) = (200_000, 256 << 20);

impl Sequencer {
    /// Begins in a mode; `Direct` needs a line.
    pub fn new(spool: Option<Arc<Spool>>) -> Arc<Self> {
        let inner = Inner {
            mode: Mode::Spooling,
            line: None,
            base: 0,
            window: VecDeque::new(),
            bytes: 0,
            draining: 0,
            doubts: Vec::new(),
            broken: None,
            closing: false,
        };
        Arc::new(Self { inner: Mutex::new(inner), bell: Condvar::new(), spool })
    }

    /// Takes an append. Each record of it is answered through the ticket.
    pub fn append(&self, records: Vec<Record>, durability: Durability, ticket: &Arc<Ticket>, partitions: impl Fn(&Record) -> u32) {
        let mut inner = self.inner.lock();
        let mut spooled = (Vec::new(), Vec::new());
        for (place, record) in records.into_iter().enumerate() {
            let place = place as u32;
            let refuse = |why: &str| ticket.settle(place, Outcome::NotAppended(why.into()));
            if record.partition >= partitions(&record) {
                refuse("the topic has no such partition");
                continue;
            }
            if size(&record) > BIGGEST {
                refuse("the record is bigger than 2 MiB");
                continue;
            }
            if inner.closing {
                refuse("the log is closed");
                continue;
            }
            let event = durability == Durability::LogOrSpool;
            match inner.mode {
                Mode::Closed => refuse("the log is closed"),
                Mode::Spooling if !event || self.spool.is_none() => refuse("Kafka is away"),
                Mode::Spooling | Mode::Draining if event && self.spool.is_some() => {
                    spooled.0.push(record);
                    spooled.1.push(place);
                }
                _ if inner.window.len() >= ROOM.0 || inner.bytes >= ROOM.1 => refuse("too many records wait for Kafka"),
                Mode::Direct | Mode::Draining => inner.produce(record, ticket, place, durability),
                Mode::Turning | Mode::Handover | Mode::Spooling => inner.wait(record, ticket, place, durability),
            }
        }
        if let (Some(spool), (records, places)) = (&self.spool, spooled)
            && !records.is_empty()
        {
            let reply = super::super::mailbox::Reply::part(ticket.clone(), places, in_spool);
            spool.append(records, false, reply);
        }
    }

    /// Which way records go now.
    pub fn mode(&self) -> Mode {
        self.inner.lock().mode
    }

    /// Records that wait for Kafka.
    pub fn waiting(&self) -> usize {
        self.inner.lock().window.len()
    }

    /// Waits until the line has to be given up: its oldest event, or its oldest record of any kind, has waited so long, or it
    /// broke. At most `at_most`.
    pub fn overdue(&self, events: Duration, others: Duration, at_most: Duration) -> Option<String> {
        let mut inner = self.inner.lock();
        if inner.verdict(events, others).is_none() {
            self.bell.wait_for(&mut inner, at_most);
        }
        inner.verdict(events, others)
    }

    /// The turn, first half: nothing more is produced. Returns the line, to be closed.
    pub fn begin_turn(&self) -> Option<Arc<Line>> {
        let mut inner = self.inner.lock();
        inner.mode = Mode::Turning;
        inner.line.take()
    }

    /// The turn, second half: what was not acknowledged goes to the spool, in produce order.
    pub fn end_turn(&self) {
        let mut inner = self.inner.lock();
        let window = std::mem::take(&mut inner.window);
        inner.base += window.len() as u64;
        (inner.bytes, inner.draining, inner.broken) = (0, 0, None);
        for entry in window.into_iter().filter(|e| !e.done) {
            match &self.spool {
                Some(spool) if entry.durability == Durability::LogOrSpool => {
                    let change = if entry.sent { in_spool_or_unknown } else { in_spool };
                    let reply = super::super::mailbox::Reply::part(entry.ticket, vec![entry.place], change);
                    spool.append(vec![entry.record], entry.sent, reply);
                }
                _ if entry.sent && !inner.closing => inner.doubts.push(entry),
                _ if entry.sent => entry.ticket.settle(entry.place, unknown()),
                _ => entry.ticket.settle(entry.place, Outcome::NotAppended("Kafka is away".into())),
            }
        }
        inner.mode = if inner.closing { Mode::Closed } else { Mode::Spooling };
    }

    /// The records in doubt, for the search.
    pub fn doubts(&self) -> Vec<Record> {
        self.inner.lock().doubts.iter().map(|e| e.record.clone()).collect()
    }

    /// The search is over: `find` tells the offset of a record that is there, `None` for one that is not, and nothing at all
    /// for one that could not be looked for.
    pub fn settle_doubts(&self, find: impl Fn(&Record) -> Option<Option<u64>>) {
        let doubts = std::mem::take(&mut self.inner.lock().doubts);
        for entry in doubts {
            let outcome = match find(&entry.record) {
                Some(Some(offset)) => Outcome::Durable(Some(offset)),
                Some(None) => Outcome::NotAppended("Kafka was away".into()),
                None => unknown(),
            };
            entry.ticket.settle(entry.place, outcome);
        }
    }

    /// Answers those whose time is up. A record in the window stays there: it may still be written.
    pub fn lose_patience(&self) {
        let mut inner = self.inner.lock();
        let late = |e: &Entry| !e.done && e.since.elapsed() > ANSWER;
        let doubts = std::mem::take(&mut inner.doubts);
        let (late_doubts, doubts): (Vec<_>, Vec<_>) = doubts.into_iter().partition(late);
        inner.doubts = doubts;
        let waiting = inner.window.iter().filter(|e| late(e)).map(|e| (e.ticket.clone(), e.place));
        let late: Vec<_> = late_doubts.iter().map(|e| (e.ticket.clone(), e.place)).chain(waiting).collect();
        drop(inner);
        for (ticket, place) in late {
            ticket.settle(place, unknown());
        }
    }

    /// A line that reaches Kafka: what is not spooled goes there.
    pub fn begin_drain(&self, line: Arc<Line>) {
        let mut inner = self.inner.lock();
        (inner.line, inner.mode) = (Some(line), Mode::Draining);
    }

    /// Hands records of the spool over.
    pub fn drain(&self, records: &[Record]) -> Result<(), String> {
        let mut inner = self.inner.lock();
        let line = inner.line.clone().ok_or("the line is gone")?;
        for (number, record) in records.iter().enumerate() {
            inner.draining += 1;
            if let Err(e) = line.produce(record, DRAIN + number as u64) {
                return Err(e.to_string());
            }
        }
        Ok(())
    }

    /// Waits until Kafka has all that was handed over.
    pub fn drained(&self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        let mut inner = self.inner.lock();
        while inner.draining > 0 && inner.broken.is_none() && Instant::now() < deadline {
            self.bell.wait_until(&mut inner, deadline);
        }
        match (&inner.broken, inner.draining) {
            (Some(why), _) => Err(why.clone()),
            (None, 0) => Ok(()),
            (None, _) => Err("Kafka does not answer".into()),
        }
    }

    /// New events wait for the last of the spool. They do not wait long: the spool is nearly empty.
    pub fn begin_handover(&self) {
        self.inner.lock().mode = Mode::Handover;
    }

    /// The spool is empty: what waited is produced, and everything behind it.
    pub fn end_handover(&self) {
        let mut inner = self.inner.lock();
        let Some(line) = inner.line.clone() else { return };
        for at in 0..inner.window.len() {
            let entry = &mut inner.window[at];
            if !entry.sent {
                entry.sent = true;
                // Its patience begins with its chance.
                entry.since = Instant::now();
                let number = inner.base + at as u64;
                if let Err(e) = line.produce(&inner.window[at].record, number) {
                    inner.broken = Some(e.to_string());
                }
            }
        }
        inner.mode = Mode::Direct;
    }

    /// Takes nothing more.
    pub fn close(&self) {
        self.inner.lock().closing = true;
    }

    /// Everything is over.
    pub fn closed(&self) {
        self.inner.lock().mode = Mode::Closed;
    }
}

impl Inner {
    fn produce(&mut self, record: Record, ticket: &Arc<Ticket>, place: u32, durability: Durability) {
        let Some(line) = &self.line else { return self.wait(record, ticket, place, durability) };
        let number = self.base + self.window.len() as u64;
        match line.produce(&record, number) {
            Ok(()) => self.push(record, ticket, place, durability, true),
            // It never left this process.
            Err(KafkaError::MessageProduction(why)) => ticket.settle(place, Outcome::NotAppended(why.to_string().into())),
            Err(e) => ticket.settle(place, Outcome::NotAppended(e.to_string().into())),
        }
    }

    fn wait(&mut self, record: Record, ticket: &Arc<Ticket>, place: u32, durability: Durability) {
        self.push(record, ticket, place, durability, false);
    }

    fn push(&mut self, record: Record, ticket: &Arc<Ticket>, place: u32, durability: Durability, sent: bool) {
        self.bytes += size(&record);
        self.window.push_back(Entry { record, ticket: ticket.clone(), place, since: Instant::now(), durability, sent, done: false });
    }

    fn verdict(&self, events: Duration, others: Duration) -> Option<String> {
        if !matches!(self.mode, Mode::Direct | Mode::Draining) {
            return None;
        }
        if let Some(why) = &self.broken {
            return Some(why.clone());
        }
        let oldest = self.window.front()?.since.elapsed();
        if oldest <= events.min(others) {
            return None;
        }
        let event = self.window.iter().find(|e| !e.done && e.durability == Durability::LogOrSpool).map(|e| e.since.elapsed());
        let waited = event.filter(|waited| *waited > events).or(Some(oldest).filter(|waited| *waited > others))?;
        Some(format!("no answer for {} ms", waited.as_millis()))
    }
}

impl Listener for Sequencer {
    fn delivered(&self, number: u64, result: Result<u64, RDKafkaErrorCode>) {
        let mut inner = self.inner.lock();
        if number >= DRAIN {
            match result {
                Ok(_) => inner.draining = inner.draining.saturating_sub(1),
                Err(why) if !purged(why) => inner.broken = Some(why.to_string()),
                Err(_) => {}
            }
            if inner.draining == 0 || inner.broken.is_some() {
                self.bell.notify_all();
            }
            return;
        }
        let Some(at) = number.checked_sub(inner.base) else { return };
        let Some(entry) = inner.window.get_mut(at as usize) else { return };
        let outcome = match result {
            Ok(offset) => Outcome::Durable(Some(offset)),
            Err(why) if refused(why) => Outcome::NotAppended(why.to_string().into()),
            // It stays in the window, and goes the way of the turn.
            Err(why) => {
                if !purged(why) {
                    inner.broken = Some(why.to_string());
                    self.bell.notify_all();
                }
                return;
            }
        };
        entry.done = true;
        let (ticket, place) = (entry.ticket.clone(), entry.place);
        while inner.window.front().is_some_and(|e| e.done) {
            if let Some(entry) = inner.window.pop_front() {
                inner.bytes -= size(&entry.record);
                inner.base += 1;
            }
        }
        drop(inner);
        ticket.settle(place, outcome);
    }
}

fn unknown() -> Outcome {
    Outcome::Unknown("Kafka went away before it answered".into())
}

/// Kafka will not take this record, now or ever; it says nothing about others.
fn refused(why: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::*;
    matches!(
        why,
        MessageSizeTooLarge
            | InvalidMessageSize
            | InvalidMessage
            | InvalidRecord
            | TopicAuthorizationFailed
            | PolicyViolation
            | InvalidTimestamp
    )
}

/// We took it back ourselves.
fn purged(why: RDKafkaErrorCode) -> bool {
    matches!(why, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
}

/// The offset in the spool says nothing to the caller.
fn in_spool(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Durable(_) => Outcome::Durable(None),
        other => other,
    }
}

/// It may be in Kafka, though the spool did not take it.
fn in_spool_or_unknown(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Durable(_) => Outcome::Durable(None),
        Outcome::NotAppended(why) | Outcome::Unknown(why) => Outcome::Unknown(why),
    }
}

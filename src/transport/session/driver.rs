//! One session at work: told what its lines, the log and the callers do, and its wishes carried out.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fairway_adapters::contract::session::{Told, Wish};
use fairway_adapters::contract::{Delivery, Reply, Session};
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Asked, Door, Standing, line};
use crate::transport::Error;
use crate::{clock, telemetry};

/// What cannot be remembered now is tried again after this long.
const REMEMBER_AGAIN: Duration = Duration::from_secs(1);
/// How long a session may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(8);

/// What comes back from work beside the driver.
enum Event {
    Line(usize, line::Event),
    Taken(u64, bool),
    Remembered(u64),
}

/// One session with everything it works with.
pub(super) struct Driver {
    channel: Arc<str>,
    session: Box<dyn Session>,
    door: Arc<dyn Door>,
    lines: Vec<line::Line>,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    waiting: VecDeque<Asked>,
    handed: HashMap<u64, oneshot::Sender<Result<Reply, Error>>>,
    number: u64,
    up: Vec<bool>,
    /// Connections that stand, as far as the session knows: what was closed from our side says nothing more.
    open: Vec<bool>,
    standing: watch::Sender<Standing>,
    meter: metrics::Gauge,
    /// The newest memory that is not durable yet, and whether one is being written.
    memory: Option<(u64, Vec<u8>)>,
    remembering: bool,
}

impl Driver {
    pub fn new(channel: Arc<str>, session: Box<dyn Session>, door: Arc<dyn Door>, standing: watch::Sender<Standing>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let open = |(number, places)| {
            let sender = sender.clone();
            line::Line::start(places, move |event| sender.send(Event::Line(number, event)).is_ok())
        };
        let meter = telemetry::gauge(&telemetry::names::SESSION_LINES, &[&channel]);
        let lines: Vec<line::Line> = session.lines().into_iter().enumerate().map(open).collect();
        Self {
            channel,
            session,
            door,
            up: vec![false; lines.len()],
            open: vec![false; lines.len()],
            lines,
            events,
            sender,
            waiting: VecDeque::new(),
            handed: HashMap::new(),
            number: 0,
            meter,
            standing,
            memory: None,
            remembering: false,
        }
    }

    pub async fn drive(mut self, mut asked: mpsc::UnboundedReceiver<Asked>, mut stop: watch::Receiver<bool>) {
        let mut stopping: Option<Instant> = None;
        loop {
            self.hand_over();
            if stopping.is_some_and(|until| Instant::now() >= until || !self.up.iter().any(|up| *up)) {
                return;
            }
            let wake = self.wake().into_iter().chain(stopping).min();
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => {
                    self.on(event);
                    // What has gathered is taken in one go.
                    for _ in 0..256 {
                        let Ok(event) = self.events.try_recv() else { break };
                        self.on(event);
                    }
                }
                Some(call) = asked.recv() => self.waiting.push_back(call),
                () = async { stop.wait_for(|s| *s).await.map_or((), |_| ()) }, if stopping.is_none() => {
                    stopping = Some(Instant::now() + GOODBYE);
                    self.tell(&Told::Stop);
                }
                () = sleep_until(wake) => self.tick(),
            }
        }
    }

    /// When there is something to do without anybody saying so.
    fn wake(&self) -> Option<Instant> {
        let session =
            self.session.wake().map(|at| Instant::now() + Duration::from_millis(at.since(clock::now()).clamp(1, 3_600_000) as u64));
        session.into_iter().chain(self.waiting.front().map(|asked| asked.until)).min()
    }

    fn tick(&mut self) {
        if self.session.wake().is_some_and(|at| at <= clock::now()) {
            self.tell(&Told::Tick);
        }
    }

    /// Hands calls to the session while it has room; what waits too long is not sent.
    fn hand_over(&mut self) {
        while self.session.room() > 0 {
            let Some(asked) = self.waiting.pop_front() else { return };
            asked.handed.store(true, Ordering::SeqCst);
            if asked.answer.is_closed() {
                continue; // Whoever asked has given up, perhaps while it was being handed over.
            }
            self.number += 1;
            self.handed.insert(self.number, asked.answer);
            self.tell(&Told::Call(self.number, &asked.call));
        }
        let now = Instant::now();
        while let Some(asked) = self.waiting.pop_front_if(|asked| asked.until <= now) {
            let standing = self.standing.borrow();
            let why = match &standing.problem {
                _ if standing.up > 0 => "every connection to the provider is busy".to_owned(),
                Some(problem) => problem.clone(),
                None => "the connection to the provider is not there yet".to_owned(),
            };
            let _ = asked.answer.send(Err(Error::NotSent(why)));
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Line(line, line::Event::Opened(place)) => {
                self.lines[line].opened();
                self.open[line] = true;
                self.tell(&Told::Opened(line, &place));
            }
            Event::Line(line, line::Event::Bytes(bytes)) => self.tell(&Told::Bytes(line, &bytes)),
            Event::Line(line, line::Event::Closed(why)) => {
                if std::mem::take(&mut self.open[line]) {
                    self.tell(&Told::Closed(line));
                    self.down(line, Some(why));
                }
            }
            Event::Line(line, line::Event::Failed(why)) => self.down(line, Some(why)),
            Event::Taken(number, durable) => self.tell(&Told::Taken(number, durable)),
            Event::Remembered(number) => {
                self.remembering = false;
                self.tell(&Told::Remembered(number));
                self.remember();
            }
        }
    }

    fn tell(&mut self, told: &Told<'_>) {
        for wish in self.session.tell(*told, clock::now()) {
            match wish {
                Wish::Write(line, bytes) => self.lines[line].write(bytes),
                Wish::Settle(call, reply) => self.end(call, Ok(reply)),
                Wish::Lose(call, why) => self.end(call, Err(Error::Unknown(why.to_owned()))),
                Wish::Deliver(delivery) => self.deliver(delivery),
                Wish::Remember(number, memory) => {
                    self.memory = Some((number, memory));
                    self.remember();
                }
                Wish::Up(line) => self.is_up(line),
                Wish::Refused(line, reason) => {
                    let code = reason.provider_code.map(|code| format!(" ({code})")).unwrap_or_default();
                    self.down(line, Some(format!("{}{code}", reason.title)));
                }
                Wish::Close(line, wait_ms) => {
                    self.lines[line].close(Duration::from_millis(wait_ms));
                    self.open[line] = false;
                    self.down(line, None);
                }
                Wish::Lead(line, places) => self.lines[line].lead(places),
            }
        }
    }

    fn end(&mut self, call: u64, result: Result<Reply, Error>) {
        if let Some(answer) = self.handed.remove(&call) {
            let _ = answer.send(result);
        }
    }

    fn deliver(&self, delivery: Delivery) {
        let (number, mut taken, events) = (delivery.number, self.door.take(delivery), self.sender.clone());
        // Begun here, one after the other: the log gets what comes in the order in which it came.
        if let Some(durable) = (&mut taken).now_or_never() {
            let _ = events.send(Event::Taken(number, durable));
            return;
        }
        tokio::spawn(async move {
            let _ = events.send(Event::Taken(number, taken.await));
        });
    }

    /// Writes the newest memory, one at a time: what is wished meanwhile replaces what was not written.
    fn remember(&mut self) {
        if self.remembering {
            return;
        }
        let Some((number, memory)) = self.memory.take() else { return };
        self.remembering = true;
        let (door, events) = (Arc::clone(&self.door), self.sender.clone());
        tokio::spawn(async move {
            while !door.remember(memory.clone()).await {
                tokio::time::sleep(REMEMBER_AGAIN).await;
            }
            let _ = events.send(Event::Remembered(number));
        });
    }

    fn is_up(&mut self, line: usize) {
        self.up[line] = true;
        self.lines[line].works();
        let up = self.up.iter().filter(|up| **up).count();
        let of = self.up.len();
        self.meter.set(up as f64);
        tracing::info!(channel = &*self.channel, up, of, "a connection to the provider is up");
        self.standing.send_modify(|standing| {
            standing.up = up;
            if up == of {
                standing.problem = None;
            }
        });
    }

    /// A line is down. Said once for each reason, however often it is tried.
    fn down(&mut self, line: usize, why: Option<String>) {
        self.up[line] = false;
        let up = self.up.iter().filter(|up| **up).count();
        self.meter.set(up as f64);
        let news = why.is_some() && self.standing.borrow().problem != why;
        if let (true, Some(why)) = (news, &why) {
            tracing::warn!(channel = &*self.channel, up, of = self.up.len(), "no connection to the provider: {why}; it is tried again");
        }
        self.standing.send_modify(|standing| {
            standing.up = up;
            if why.is_some() {
                standing.problem = why;
            }
        });
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

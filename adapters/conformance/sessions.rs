//! The laws of sessions: an adapter's state machine and its twin's end of the line, joined without a socket. Providers
//! without a session obey them by having none at either end.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::laws::{Asked, Pair, on_line};
use crate::Provider;
use crate::contract::session::{Endpoint, SCHEME, Told, Wish};
use crate::contract::twin::{Act, Draft, Line, Said};
use crate::contract::*;

const BEGIN: Time = Time(1_795_169_730_000);

/// What became of a call.
#[derive(Debug)]
enum End {
    Settled(Reply),
    Lost,
}

/// A session with everything it is joined to.
struct Rig {
    pair: Pair,
    session: Box<dyn Session>,
    now: Time,
    /// The provider's ends of the open lines, with what they have written and the session has not read.
    lines: Vec<Option<(Box<dyn Line>, VecDeque<u8>)>>,
    /// Where each line leads to at its next opening.
    places: Vec<Endpoint>,
    /// What was not acknowledged on lines that are closed.
    left: Vec<Draft>,
    up: Vec<bool>,
    ends: BTreeMap<u64, End>,
    deliveries: Vec<Delivery>,
    emits: Vec<Draft>,
    memory: Vec<u8>,
}

impl Rig {
    fn new(provider: &Provider) -> Option<Self> {
        let pair = on_line(provider);
        let (session, line) = (pair.adapter.session(&[]), pair.twin.line());
        assert_eq!(session.is_some(), line.is_some(), "{}: a session needs a twin with a line, and the other way round", provider.facts.id);
        let session = session?;
        let places: Vec<Endpoint> =
            session.lines().iter().map(|places| places.first().expect("every line leads somewhere").clone()).collect();
        let count = places.len();
        assert!(count > 0, "it has lines");
        assert_eq!(session.room(), 0, "nothing can be carried before a line is up");
        let (lines, up) = ((0..count).map(|_| None).collect(), vec![false; count]);
        let (left, ends, deliveries, emits, memory) = Default::default();
        Some(Self { pair, session, now: BEGIN, lines, places, left, up, ends, deliveries, emits, memory })
    }

    fn tell(&mut self, told: Told<'_>) {
        let wishes = self.session.tell(told, self.now);
        for wish in wishes {
            match wish {
                Wish::Write(line, bytes) => self.write(line, &bytes),
                Wish::Settle(call, reply) => self.end(call, End::Settled(reply)),
                Wish::Lose(call, _) => self.end(call, End::Lost),
                Wish::Deliver(delivery) => self.deliveries.push(delivery),
                Wish::Remember(number, memory) => {
                    self.memory = memory;
                    self.tell(Told::Remembered(number));
                }
                Wish::Up(line) => self.up[line] = true,
                Wish::Refused(line, _) => self.up[line] = false,
                Wish::Close(line, _) => {
                    self.gone(line);
                }
                Wish::Lead(line, places) => self.places[line] = places.first().expect("it leads somewhere").clone(),
            }
        }
    }

    fn end(&mut self, call: u64, end: End) {
        let before = self.ends.insert(call, end);
        assert!(before.is_none(), "call {call} ended twice: {before:?}");
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let Some((line, back)) = &mut self.lines[at] else { panic!("written to line {at}, which is closed") };
        for said in line.hear(bytes) {
            match said {
                Said::Write(bytes) => back.extend(bytes),
                Said::Ask(number, request) => {
                    let answer = self.pair.twin.answer(&request, self.now);
                    back.extend(line.answered(number, &answer.reply));
                    self.emits.extend(answer.emits.into_iter().map(|emit| emit.draft));
                }
                Said::Close => {}
            }
        }
    }

    fn open(&mut self, at: usize) {
        if self.lines[at].is_none() {
            self.lines[at] = Some((self.pair.twin.line().expect("it has lines"), VecDeque::new()));
            let place = self.places[at].clone();
            self.tell(Told::Opened(at, &place));
        }
    }

    fn close(&mut self, at: usize) {
        if self.gone(at) {
            self.tell(Told::Closed(at));
        }
    }

    /// A line is gone; true when it was there.
    fn gone(&mut self, at: usize) -> bool {
        self.up[at] = false;
        let line = self.lines[at].take();
        self.left.extend(line.iter().flat_map(|(line, _)| line.unacknowledged()));
        line.is_some()
    }

    /// The session reads at most so many bytes of a line.
    fn read(&mut self, at: usize, most: usize) {
        let Some((_, back)) = &mut self.lines[at] else { return };
        let bytes: Vec<u8> = back.drain(..most.min(back.len())).collect();
        if !bytes.is_empty() {
            self.tell(Told::Bytes(at, &bytes));
        }
    }

    fn read_all(&mut self) {
        for _ in 0..8 {
            (0..self.lines.len()).for_each(|at| self.read(at, usize::MAX));
        }
    }

    fn begin(&mut self) {
        (0..self.lines.len()).for_each(|at| self.open(at));
        self.read_all();
        // Sessions may have to begin one after the other.
        for _ in 0..self.lines.len() {
            self.wake();
        }
        assert!(self.up.iter().all(|up| *up), "every line is up once its twin has answered");
    }

    /// The time it waits for comes.
    fn wake(&mut self) {
        if let Some(at) = self.session.wake().filter(|_| self.up.contains(&false)) {
            self.pass(at);
        }
    }

    fn pass(&mut self, at: Time) {
        self.now = self.now.max(at);
        self.tell(Told::Tick);
        self.read_all();
    }

    /// The provider brings what it has on the first line that takes it.
    fn bring(&mut self) {
        for draft in std::mem::take(&mut self.emits) {
            let taken = self.lines.iter_mut().flatten().any(|(line, back)| line.deliver(&draft).map(|bytes| back.extend(bytes)).is_some());
            assert!(taken, "no line takes a delivery");
        }
        self.read_all();
    }

    fn owed(&self) -> usize {
        self.left.len() + self.lines.iter().flatten().map(|(line, _)| line.unacknowledged().len()).sum::<usize>()
    }

    fn calls(&self, provider: &Provider) -> Vec<Call> {
        self.pair.render(&Asked::sample(provider)).expect("a plain text renders").calls
    }
}

/// A message goes out over the session, and its receipt comes back; the provider has its answer when that is durable, not before.
pub(crate) fn a_session_answers_when_it_is_durable(provider: &Provider) {
    for durable in [true, false] {
        let Some(mut rig) = Rig::new(provider) else { return };
        rig.begin();
        let mut calls = rig.calls(provider);
        calls.retain(|call| call.url.starts_with(SCHEME));
        assert_eq!(rig.session.room() > 0, !calls.is_empty(), "it has room for the calls that go through it, and for no others");
        for (number, call) in calls.iter().enumerate() {
            rig.tell(Told::Call(number as u64, call));
            rig.read_all();
            let Some(End::Settled(reply)) = rig.ends.get(&(number as u64)) else { panic!("not settled: {:?}", rig.ends) };
            let step = rig.pair.adapter.classify(call, reply);
            assert!(matches!(step, Step::Done(Verdict::Accept { .. })), "{step:?}");
        }
        if rig.emits.is_empty() {
            let person = Asked::sample(provider).person().to_owned();
            rig.emits = rig.pair.twin.act(&person, &Act::Text("Hello".into()), BEGIN);
        }
        rig.bring();
        assert!(!rig.deliveries.is_empty() && rig.owed() > 0, "a delivery is owed its answer until it is durable");
        for delivery in std::mem::take(&mut rig.deliveries) {
            rig.tell(Told::Taken(delivery.number, durable));
        }
        rig.read_all();
        // Some answer at once, some the next time they speak.
        for _ in 0..8 {
            if let Some(at) = rig.session.wake().filter(|_| rig.owed() > 0) {
                rig.pass(at);
            }
        }
        assert_eq!(rig.owed() == 0, durable, "durable: {durable}");
    }
}

/// Whatever happens to its lines, every call ends once, and nothing makes it write to a line that is closed.
pub(crate) fn a_session_ends_every_call_once(provider: &Provider) {
    if Rig::new(provider).is_none() {
        return;
    }
    let step = (0_u8..9, any::<prop::sample::Index>(), 1_usize..40);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step, 1..80), |steps| {
            let mut rig = Rig::new(provider).expect("it has a session");
            let call = rig.calls(provider).remove(0);
            let mut told = 0;
            rig.begin();
            for (what, which, size) in steps {
                let at = which.index(rig.lines.len());
                match what {
                    0 => rig.open(at),
                    1 => rig.close(at),
                    2 | 3 if rig.session.room() > 0 => {
                        told += 1;
                        rig.tell(Told::Call(told, &call));
                    }
                    4 | 5 => rig.read(at, size),
                    6 => rig.read_all(),
                    7 => {
                        rig.now = rig.now.plus(size as i64 * 1000);
                        rig.tell(Told::Tick);
                    }
                    _ => {
                        if let Some(delivery) = rig.deliveries.pop() {
                            rig.tell(Told::Taken(delivery.number, size.is_multiple_of(2)));
                        }
                    }
                }
            }
            (0..rig.lines.len()).for_each(|at| rig.close(at));
            prop_assert_eq!(rig.ends.len() as u64, told, "calls that never ended");
            prop_assert_eq!(rig.session.room(), 0);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{}: {e}", provider.facts.id));
}

/// No bytes make it panic, and it never wants to be woken in the past.
pub(crate) fn no_bytes_break_a_session(provider: &Provider) {
    if Rig::new(provider).is_none() {
        return;
    }
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let garbage = proptest::collection::vec(any::<u8>(), 0..60);
    TestRunner::new(config)
        .run(&(proptest::collection::vec((garbage, any::<bool>()), 1..12), any::<bool>()), |(pieces, up)| {
            let mut rig = Rig::new(provider).expect("it has a session");
            rig.open(0);
            if up {
                rig.read_all();
            }
            for (mut bytes, framed) in pieces {
                if rig.lines[0].is_none() {
                    break;
                }
                if framed && bytes.len() >= 16 {
                    // What at least looks like a unit of a length-prefixed protocol gets further.
                    let length = (bytes.len() as u32).to_be_bytes();
                    bytes[..4].copy_from_slice(&length);
                    let command = [bytes[4] & 0x80, 0, bytes[6] & 1, bytes[7] & 0x1f];
                    bytes[4..8].copy_from_slice(&command);
                }
                rig.tell(Told::Bytes(0, &bytes));
                rig.now = rig.now.plus(700);
                rig.tell(Told::Tick);
                prop_assert!(rig.session.wake().is_none_or(|at| at > rig.now), "it wants to be woken in the past");
            }
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{}: {e}", provider.facts.id));
}

/// What it wished to remember gives it back after a crash whatever it had acknowledged and not delivered.
pub(crate) fn a_session_remembers(provider: &Provider) {
    let Some(mut rig) = Rig::new(provider) else { return };
    rig.begin();
    let long = "Every part of a long text is acknowledged by itself. ".repeat(8);
    rig.emits = rig.pair.twin.act("tel:+14155550123", &Act::Text(long.clone()), BEGIN);
    let Some(last) = rig.emits.pop().filter(|_| !rig.emits.is_empty()) else { return };
    rig.bring();
    assert_eq!((rig.owed(), rig.deliveries.len()), (0, 0), "all but the last part are acknowledged and wait");
    // The process dies; the next one has its memory.
    rig.session = rig.pair.adapter.session(&rig.memory).expect("a session");
    rig.lines.iter_mut().for_each(|line| *line = None);
    rig.begin();
    rig.emits = vec![last];
    rig.bring();
    let delivery = rig.deliveries.pop().expect("the message is whole");
    let mut headers = http::HeaderMap::new();
    for (name, value) in &delivery.headers {
        headers.insert(*name, value.parse().expect("a header"));
    }
    let hook = Webhook { method: &http::Method::POST, url: "", query: "", headers: &headers, body: &delivery.body };
    let parsed = rig.pair.parse(hook);
    let words = parsed.events.iter().find_map(|event| match &event.body {
        Body::Received(received) => received.message.parts.iter().find_map(|part| match part {
            Part::Text(text) => Some(text.text.to_string()),
            _ => None,
        }),
        _ => None,
    });
    assert_eq!(words.as_deref(), Some(&*long));
}

//! The lanes against a model that is slow and obvious: it keeps every message and every departure in plain lists and looks through
//! all of them. Random messages, limits, verdicts, pauses and clocks; whatever the lanes let go, the model must allow, and whatever
//! was pushed must leave in the end.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

const CHANNELS: [&str; 2] = ["a", "b"];
const SHARED: &str = "shared";

/// What the model knows of a message.
#[derive(Clone, Debug)]
struct Known {
    entry: Entry,
    /// A retry: not before then.
    not_before: Micros,
    /// When the gate is asked again.
    ask_at: Micros,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Armed,
    InFlight,
    Gone,
}

/// A limit as people say it: so many in any window.
#[derive(Clone, Copy, Debug)]
struct Rule {
    count: u32,
    window: Micros,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    sender: [Option<Rule>; 2],
    shared: Option<Rule>,
    people: Option<Rule>,
    pair: Option<Rule>,
    template: Option<Rule>,
    concurrency: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Push { channel: usize, person: u8, lane: Priority, share: u8, cost: u32, opens: bool, template: u8 },
    Pass { millis: u16 },
    Pause { channel: usize, millis: u16 },
    Verdict(Verdict),
}

/// What comes of the call that is longest in flight.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Accepted,
    Again { millis: u16 },
    Throttled { scope: Scope, millis: Option<u16> },
    Failed,
}

#[derive(Default)]
struct Model {
    rules: Rules,
    known: BTreeMap<Number, Known>,
    /// When, by which message.
    departures: Vec<(Micros, Number)>,
    in_flight: Vec<Number>,
    /// Until when a channel is paused by hand.
    paused: BTreeMap<usize, Micros>,
    /// Until when a provider has closed a channel, or a conversation of it.
    frozen: BTreeMap<(usize, Option<u8>), Micros>,
    /// Until when a channel's breaker is open.
    broken: BTreeMap<usize, Micros>,
}

impl Model {
    fn channel(&self, number: Number) -> usize {
        CHANNELS.iter().position(|c| *self.known[&number].entry.channel == **c).expect("one of ours")
    }

    /// Whether something armed or sent is what its conversation may send next.
    fn is_head(&self, number: Number) -> bool {
        let entry = &self.known[&number].entry;
        let same = |k: &&Known| {
            k.entry.channel == entry.channel
                && k.entry.conversation == entry.conversation
                && k.entry.lane == entry.lane
                && k.stage != Stage::Gone
        };
        self.known.values().filter(same).map(|k| k.entry.number).min() == Some(number)
    }

    /// Cost of what left within a window before now, as far as a predicate counts it.
    fn counted(&self, now: Micros, rule: Rule, by_cost: bool, counts: impl Fn(Number) -> bool) -> u32 {
        let recent = self.departures.iter().filter(|(at, n)| now - at < rule.window && counts(*n));
        recent.map(|(_, n)| if by_cost { self.known[n].entry.counted.cost } else { 1 }).sum()
    }

    /// Why a departure now is forbidden.
    fn forbids(&self, number: Number, now: Micros) -> Option<String> {
        let Known { entry, not_before, stage, .. } = &self.known[&number];
        let channel = self.channel(number);
        if *stage != Stage::Armed {
            return Some(format!("it is {stage:?}"));
        }
        if !self.is_head(number) {
            return Some("another of its conversation is before it".into());
        }
        // What may be armed ahead may leave ahead: a retry's time is no limit.
        if now < not_before - AHEAD {
            return Some(format!("it has to wait until {not_before}"));
        }
        let keys = [(channel, None), (channel, Some(entry.counted.conversation as u8))];
        let until = keys.iter().filter_map(|k| self.frozen.get(k)).chain(self.paused.get(&channel)).max();
        if until.is_some_and(|until| now < *until) {
            return Some(format!("closed until {until:?}"));
        }
        let in_flight = self.in_flight.iter().filter(|n| self.channel(**n) == channel).count() as u32;
        if in_flight >= self.rules.concurrency {
            return Some(format!("{in_flight} are in flight"));
        }
        if let Some(rule) = self.rules.people.filter(|_| entry.counted.opens) {
            let recent = self.departures.iter().filter(|(at, n)| now - at < rule.window && self.known[n].entry.counted.opens);
            let people: HashSet<u64> =
                recent.map(|(_, n)| self.known[n].entry.counted.conversation).chain([entry.counted.conversation]).collect();
            if people.len() > rule.count as usize {
                return Some(format!("{} people in {} us", people.len(), rule.window));
            }
        }
        let full = |rule: Option<Rule>, by_cost: bool, what: &str, counts: &dyn Fn(Number) -> bool| {
            let rule = rule?;
            // A message that costs more than a whole window may leave when nothing else did.
            let before = self.counted(now, rule, by_cost, counts);
            let cost = if by_cost { entry.counted.cost } else { 1 };
            (before > 0 && before + cost > rule.count)
                .then(|| format!("{what}: {before} of {} left within {} us, and it costs {cost}", rule.count, rule.window))
        };
        full(self.rules.sender[channel], true, "sender", &|n| self.channel(n) == channel)
            .or_else(|| full(self.rules.shared, true, SHARED, &|_| true))
            .or_else(|| {
                let same = |n| self.channel(n) == channel && self.known[&n].entry.counted.conversation == entry.counted.conversation;
                full(self.rules.pair, false, "pair", &same)
            })
            .or_else(|| {
                let same = |n| self.channel(n) == channel && self.known[&n].entry.counted.template == entry.counted.template;
                full(self.rules.template.filter(|_| entry.counted.template > 0), false, "template", &same)
            })
    }
}

/// The lanes and the model, driven together.
struct Pair {
    lanes: Lanes,
    model: Model,
    armed: Vec<Number>,
    now: Micros,
    number: Number,
}

impl Pair {
    fn new(rules: Rules) -> Self {
        let limit = |rule: Rule| Limit::new(rule.count, rule.window, 1);
        let mut lanes = Lanes::default();
        for (channel, sender) in CHANNELS.iter().zip(rules.sender) {
            let limits = Limits {
                tenant: String::new(),
                sender: sender.map(limit).into_iter().collect(),
                account: format!("account {channel}"),
                of_account: Vec::new(),
                shared: rules.shared.map(|rule| (SHARED.to_owned(), limit(rule))).into_iter().collect(),
                people: rules.people.map(|rule| (SHARED.to_owned(), rule.count, rule.window)).into_iter().collect(),
                each: [(Scope::Conversation, rules.pair), (Scope::Template, rules.template)]
                    .into_iter()
                    .filter_map(|(scope, rule)| Some((scope, None, limit(rule?))))
                    .collect(),
                concurrency: rules.concurrency,
            };
            lanes.limits(&(*channel).into(), limits, 0);
        }
        let model = Model { rules, ..Model::default() };
        Self { lanes, model, armed: Vec::new(), now: 1_000_000, number: 0 }
    }

    fn act(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Push { channel, person, lane, share, cost, opens, template } => {
                self.number += 1;
                let entry = Entry {
                    number: self.number,
                    channel: CHANNELS[channel].into(),
                    conversation: format!("{channel}/{person}").into(),
                    lane,
                    share: format!("campaign {share}").into(),
                    counted: Counted { conversation: u64::from(person), cost, opens, template: u32::from(template), ..Counted::default() },
                };
                self.lanes.push(entry.clone());
                self.model.known.insert(self.number, Known { entry, not_before: 0, ask_at: 0, stage: Stage::Waiting });
            }
            Step::Pass { millis } => self.pass(self.now + Micros::from(millis) * 1000)?,
            Step::Pause { channel, millis } => {
                let until = self.now + Micros::from(millis) * 1000;
                self.lanes.pause(CHANNELS[channel], None, Some(until));
                self.model.paused.insert(channel, until);
            }
            Step::Verdict(verdict) => {
                if !self.model.in_flight.is_empty() {
                    let number = self.model.in_flight.remove(0);
                    self.land(number, verdict);
                }
            }
        }
        self.work()
    }

    /// Lets time pass, waking whenever the lanes ask for it.
    fn pass(&mut self, until: Micros) -> Result<(), TestCaseError> {
        while self.now < until {
            let wake = match self.lanes.next(self.now) {
                Next::Arm(number) => {
                    self.arm(number)?;
                    self.now
                }
                Next::Wait(at) => at,
                Next::Idle => until,
            };
            let gates = self.armed.iter().map(|n| self.model.known[n].ask_at);
            let next = gates.chain([wake, until]).filter(|at| *at > self.now).min().unwrap_or(until);
            self.now = next.min(until);
            self.work()?;
        }
        Ok(())
    }

    /// Arms and sends all that may go now.
    fn work(&mut self) -> Result<(), TestCaseError> {
        loop {
            let mut moved = false;
            while let Next::Arm(number) = self.lanes.next(self.now) {
                self.arm(number)?;
                moved = true;
            }
            for number in std::mem::take(&mut self.armed) {
                let entry = self.model.known[&number].entry.clone();
                if self.model.known[&number].ask_at > self.now {
                    self.armed.push(number);
                    continue;
                }
                match self.lanes.gate(&entry, self.now) {
                    Gate::Go => {
                        let forbidden = self.model.forbids(number, self.now);
                        prop_assert!(forbidden.is_none(), "{entry:?} left at {}: {}", self.now, forbidden.unwrap_or_default());
                        self.model.departures.push((self.now, number));
                        self.model.in_flight.push(number);
                        self.stage(number, Stage::InFlight);
                        moved = true;
                    }
                    Gate::Wait { at, .. } => {
                        prop_assert!(at > self.now, "a wait ends later than now");
                        // Half of them go back to their queue, as when the gate is far off; the others stay armed.
                        if number % 2 == 0 {
                            self.lanes.disarm(&entry, at);
                            self.stage(number, Stage::Waiting);
                        } else {
                            self.armed.push(number);
                        }
                        self.model.known.get_mut(&number).expect("known").ask_at = at;
                    }
                }
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn arm(&mut self, number: Number) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.model.known[&number].stage, Stage::Waiting, "{} is armed once", number);
        prop_assert!(self.model.is_head(number), "{} is armed before its turn", number);
        let channel = self.model.channel(number);
        let busy =
            |k: &Known| k.entry.channel == self.model.known[&number].entry.channel && matches!(k.stage, Stage::Armed | Stage::InFlight);
        if let Some(until) = self.model.broken.get(&channel) {
            prop_assert!(self.now >= *until, "{} is armed while the breaker is open", number);
            prop_assert!(!self.model.known.values().any(busy), "{} is not the only probe", number);
        }
        self.stage(number, Stage::Armed);
        self.armed.push(number);
        Ok(())
    }

    fn stage(&mut self, number: Number, stage: Stage) {
        self.model.known.get_mut(&number).expect("known").stage = stage;
    }

    fn land(&mut self, number: Number, verdict: Verdict) {
        let entry = self.model.known[&number].entry.clone();
        let channel = self.model.channel(number);
        let again = |pair: &mut Self, at: Micros| {
            pair.lanes.again(&entry, at);
            let known = pair.model.known.get_mut(&number).expect("known");
            (known.stage, known.not_before) = (Stage::Waiting, at);
        };
        match verdict {
            Verdict::Accepted => {
                self.lanes.worked(&entry.channel);
                self.model.broken.remove(&channel);
                self.lanes.remove(&entry, true);
                self.stage(number, Stage::Gone);
            }
            Verdict::Again { millis } => again(self, self.now + Micros::from(millis) * 1000),
            Verdict::Throttled { scope, millis } => {
                let until = millis.map(|ms| self.now + Micros::from(ms) * 1000);
                let at = self.lanes.throttled(&entry, scope, self.now, until);
                if let Some(until) = until {
                    let whom = (channel, (scope == Scope::Conversation).then_some(entry.counted.conversation as u8));
                    let frozen = self.model.frozen.entry(whom).or_insert(until);
                    *frozen = (*frozen).max(until);
                }
                again(self, at);
            }
            Verdict::Failed => {
                if let Some(until) = self.lanes.failed(&entry.channel, self.now) {
                    self.model.broken.insert(channel, until);
                }
                again(self, self.now + 1000);
            }
        }
    }

    /// Everything leaves in the end: calls land, pauses pass, and no message is forgotten.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..20_000 {
            if self.model.known.values().all(|k| k.stage == Stage::Gone) {
                prop_assert!(self.lanes.is_empty(), "the lanes keep nothing");
                return Ok(());
            }
            while !self.model.in_flight.is_empty() {
                let number = self.model.in_flight.remove(0);
                self.land(number, Verdict::Accepted);
            }
            self.work()?;
            if self.model.in_flight.is_empty() && self.model.known.values().any(|k| k.stage != Stage::Gone) {
                let next = match self.lanes.next(self.now) {
                    Next::Arm(number) => {
                        self.arm(number)?;
                        self.now
                    }
                    Next::Wait(at) => at,
                    Next::Idle => Micros::MAX,
                };
                let gates = self.armed.iter().map(|n| self.model.known[n].ask_at.max(self.now + 1));
                let next = gates.chain([next]).min().unwrap_or(Micros::MAX);
                let waiting: Vec<_> = self.model.known.values().filter(|k| k.stage != Stage::Gone).collect();
                prop_assert!(next < Micros::MAX, "nothing will happen any more, but these wait: {waiting:?}");
                self.now = self.now.max(next);
                self.work()?;
            }
        }
        let waiting = self.model.known.values().filter(|k| k.stage != Stage::Gone).count();
        prop_assert!(false, "{waiting} still wait at {}", self.now);
        Ok(())
    }
}

fn rule(counts: std::ops::Range<u32>) -> impl Strategy<Value = Rule> {
    (counts, prop_oneof![Just(200_000), Just(1_000_000), Just(6_000_000)]).prop_map(|(count, window)| Rule { count, window })
}

fn rules() -> impl Strategy<Value = Rules> {
    let sender = [proptest::option::of(rule(1..30)), proptest::option::of(rule(1..30))];
    let option = |counts| proptest::option::of(rule(counts));
    (sender, option(1..30), option(1..5), option(1..3), option(1..6), 1_u32..12)
        .prop_map(|(sender, shared, people, pair, template, concurrency)| Rules { sender, shared, people, pair, template, concurrency })
}

fn step() -> impl Strategy<Value = Step> {
    let lane = prop_oneof![Just(Priority::Urgent), Just(Priority::Normal), Just(Priority::Bulk)];
    let scope = prop_oneof![Just(Scope::Sender), Just(Scope::Account), Just(Scope::Conversation)];
    let verdict = prop_oneof![
        6 => Just(Verdict::Accepted),
        1 => (0_u16..3000).prop_map(|millis| Verdict::Again { millis }),
        1 => (scope, proptest::option::of(0_u16..5000)).prop_map(|(scope, millis)| Verdict::Throttled { scope, millis }),
        1 => Just(Verdict::Failed),
    ];
    prop_oneof![
        6 => (0_usize..2, 0_u8..6, lane, 0_u8..3, 1_u32..4, any::<bool>(), 0_u8..3).prop_map(
            |(channel, person, lane, share, cost, opens, template)| Step::Push { channel, person, lane, share, cost, opens, template }
        ),
        4 => verdict.prop_map(Step::Verdict),
        2 => (0_u16..800).prop_map(|millis| Step::Pass { millis }),
        1 => (0_usize..2, 0_u16..2000).prop_map(|(channel, millis)| Step::Pause { channel, millis }),
    ]
}

proptest! {
    #[test]
    fn what_leaves_is_what_the_model_allows_and_everything_leaves(rules in rules(), steps in proptest::collection::vec(step(), 1..120)) {
        let mut pair = Pair::new(rules);
        for step in &steps {
            pair.act(step)?;
        }
        pair.drain()?;
        let left: HashSet<Number> = pair.model.departures.iter().map(|(_, n)| *n).collect();
        prop_assert_eq!(left.len() as u64, pair.number, "all that was pushed left");
    }
}

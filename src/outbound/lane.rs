//! The lanes of one unit: who goes next. A state machine without clock or I/O; `now` is an argument.
//!
//! ```text
//!   push ──▶ queue of its conversation ──▶ ready ring of its lane ──next──▶ armed ──gate──▶ in flight ──done──▶ gone
//!                     ▲        must wait for a limit: heap by time │                          │ again(at)
//!                     └────────────────────────────────────────────┴──────────────────────────┘
//! ```
//!
//! - First in, first out per conversation and lane, one attempt at a time.
//! - `urgent` before `normal` before `bulk`, with a floor: at least one in sixteen goes to a lower lane that waits.
//! - Tenants take turns by what their messages cost, and so do the campaigns within a lane of a channel. What must wait for a limit stands in a heap, not in the ring.
//! - Armed is at most what can leave in [`AHEAD`] and the time the ledger takes to confirm; limits are charged at the gate, where the request leaves.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use fairway_adapters::contract::{Priority, Scope};

use super::limit::{Limit, Micros, View};
use flow::Flow;
pub use gate::LATE;
use gate::Lateness;
pub use limits::{Counted, Limits, country};
use limits::{Each, replaced};
use people::People;
use ring::{Ring, Waiting};
use turns::Turns;

mod flow;
mod gate;
mod limits;
#[cfg(test)]
mod model;
mod people;
mod ring;
#[cfg(test)]
mod tests;
mod turns;

/// One in so many departures of a channel goes to a lower lane that waits.
const FLOOR: u32 = 16;
/// How far ahead messages are armed, besides the time the ledger takes to confirm them.
pub const AHEAD: Micros = 50_000;
/// A ledger slower than this is not made up for: what is armed must leave within a second of its record.
const SLOWEST: Micros = 400_000;
/// Failures in a row that open the breaker.
const BREAKS_AT: u32 = 8;

/// A queued message, by the number its owner gave it.
pub type Number = u64;

/// What the lanes need to know of a message.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The owner's number of it.
    pub number: Number,
    /// Its channel.
    pub channel: Arc<str>,
    /// Its conversation.
    pub conversation: Arc<str>,
    /// Its lane.
    pub lane: Priority,
    /// Whose share of the lane it takes: its campaign; empty for all that is of none.
    pub share: Arc<str>,
    /// What its limits count it under.
    pub counted: Counted,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Arm this message.
    Arm(Number),
    /// Nothing before then.
    Wait(Micros),
    /// Nothing at all.
    Idle,
}

/// What the gate says to an armed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It leaves now; the limits are charged.
    Go,
    /// Not before then.
    Wait {
        /// Then.
        at: Micros,
        /// What it waits for.
        scope: Scope,
        /// Who else waits for it.
        behind: Behind,
    },
}

/// Who takes nothing of the room that a message at the gate waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Nobody: it waits for something of its own.
    Nobody,
    /// What is behind it in its channel.
    Channel,
    /// What is behind it in all channels that share the limit.
    Sharing,
}

/// What is held by hand or by a suspension, until then (`Micros::MAX`: until resumed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Paused {
    all: Option<Micros>,
    lanes: [Option<Micros>; 3],
}

impl Paused {
    /// Until when a lane is held.
    fn until(&self, lane: usize) -> Option<Micros> {
        self.all.max(self.lanes[lane])
    }
}

/// The messages of one conversation. Its head is in the ring, in the heap, armed, or in flight.
struct Queue {
    waiting: VecDeque<Entry>,
    /// Tells this queue from an earlier one of the same conversation.
    ticket: u64,
    in_ring: bool,
}

#[derive(Default)]
struct Lane {
    queues: HashMap<Arc<str>, Queue>,
    /// Conversations whose head may be armed. One whose queue is gone is passed over.
    ready: Ring,
    tickets: u64,
    depth: usize,
}

impl Lane {
    /// Puts a conversation at the end of the ring, once.
    fn ring(&mut self, conversation: &Arc<str>) {
        if let Some(queue) = self.queues.get_mut(conversation)
            && !queue.in_ring
            && let Some(head) = queue.waiting.front()
        {
            queue.in_ring = true;
            self.ready.push(&head.share, Waiting { conversation: Arc::clone(conversation), ticket: queue.ticket, cost: head.counted.cost });
        }
    }
}

struct Outlet {
    lanes: [Lane; 3],
    sender: Vec<Limit>,
    /// What shares the limits of its provider account.
    account: String,
    /// Names of limits it shares: those of its account, and configured ones.
    shared: Vec<String>,
    each: Vec<Each>,
    flow: Flow,
    lateness: Lateness,
    armed: usize,
    in_flight: u32,
    paused: Paused,
    since_lower: u32,
    failures: u32,
    open_until: Option<Micros>,
}

/// The lanes of a unit.
#[derive(Default)]
pub struct Lanes {
    outlets: HashMap<Arc<str>, Outlet>,
    turns: Turns,
    /// Limits of configured names, and of accounts.
    shared: HashMap<String, Vec<Limit>>,
    people: HashMap<String, People>,
    heap: BinaryHeap<Reverse<(Micros, Number)>>,
    heads: HashMap<Number, (Arc<str>, Priority, Arc<str>)>,
    held: HashMap<Number, Scope>,
    /// How long the ledger takes to confirm, smoothed.
    confirming: Micros,
}

fn index(lane: Priority) -> usize {
    match lane {
        Priority::Urgent => 0,
        Priority::Normal => 1,
        Priority::Bulk => 2,
    }
}

impl Lanes {
    /// The ledger took this long to confirm. More than usual counts at once, less only by and by.
    pub fn confirmed_in(&mut self, took: Micros) {
        self.confirming = took.clamp(self.confirming - self.confirming / 16, SLOWEST);
    }

    fn ahead(&self) -> Micros {
        AHEAD + self.confirming
    }

    /// Puts a channel's limits in force. What was learned about an unchanged limit stays.
    pub fn limits(&mut self, channel: &Arc<str>, limits: Limits, now: Micros) {
        let names = limits.shared.iter().map(|(name, _)| name).chain(limits.people.iter().map(|(name, ..)| name));
        let mut shared: Vec<String> = names.cloned().collect();
        let named = limits.shared.into_iter().map(|(name, limit)| (name, vec![limit]));
        for (name, new) in named.chain([(limits.account.clone(), limits.of_account)]) {
            let old = self.shared.remove(&name).unwrap_or_default();
            let limits = replaced(old, new, now);
            if !limits.is_empty() {
                self.shared.insert(name, limits);
            }
        }
        if self.shared.contains_key(&limits.account) {
            shared.push(limits.account.clone());
        }
        for (name, count, window) in limits.people {
            match self.people.get_mut(&name) {
                // Who was reached stays reached.
                Some(old) => (old.count, old.window) = (count.max(1), window),
                None => drop(self.people.insert(name, People::new(count, window))),
            }
        }
        self.turns.place(channel, &limits.tenant);
        let outlet = self.outlets.entry(Arc::clone(channel)).or_insert_with(Outlet::new);
        outlet.sender = replaced(std::mem::take(&mut outlet.sender), limits.sender, now);
        outlet.each = Each::replaced(std::mem::take(&mut outlet.each), limits.each);
        outlet.flow.declare(limits.concurrency);
        (outlet.account, outlet.shared) = (limits.account, shared);
    }

    /// Replaces the sender's limit of a channel at once (`PUT /v1/channels/{name}/throttle`).
    pub fn replace_sender(&mut self, channel: &str, limits: Vec<Limit>, now: Micros) {
        let Some(outlet) = self.outlets.get_mut(channel) else { return };
        let old = std::mem::take(&mut outlet.sender);
        // Whatever the windows: what left is not forgotten.
        outlet.sender = limits.into_iter().map(|limit| old.iter().fold(limit, |limit, old| limit.instead_of(old, now))).collect();
        if outlet.sender.is_empty() && old.iter().any(|old| !old.is_idle(now)) {
            outlet.sender.push(old.iter().fold(Limit::undeclared(), |limit, old| limit.instead_of(old, now)));
        }
    }

    /// Whether the channel is known here.
    pub fn knows(&self, channel: &str) -> bool {
        self.outlets.contains_key(channel)
    }

    /// Queues a message behind those of its conversation and lane.
    pub fn push(&mut self, entry: Entry) {
        let Some(outlet) = self.outlets.get_mut(&entry.channel) else { return };
        let lane = &mut outlet.lanes[index(entry.lane)];
        lane.depth += 1;
        let conversation = Arc::clone(&entry.conversation);
        if let Some(queue) = lane.queues.get_mut(&conversation) {
            return queue.waiting.push_back(entry);
        }
        lane.tickets += 1;
        lane.queues.insert(Arc::clone(&conversation), Queue { waiting: [entry].into(), ticket: lane.tickets, in_ring: false });
        lane.ring(&conversation);
    }

    /// What to arm now.
    pub fn next(&mut self, now: Micros) -> Next {
        self.wake(now);
        let mut earliest: Option<Micros> = None;
        // Taken out while channels are asked: they are told nothing of each other's turns.
        let mut turns = std::mem::take(&mut self.turns);
        let taken = turns.offer(|channel| match self.next_of(channel, now) {
            Ok(taken) => Some(taken),
            Err(at) => {
                earliest = earliest.into_iter().chain(at).min();
                None
            }
        });
        self.turns = turns;
        if let Some(number) = taken {
            return Next::Arm(number);
        }
        // Looked at last: the channels above may have put conversations into the heap.
        let heap = self.heap.peek().map(|Reverse((at, _))| at - self.ahead());
        match earliest.into_iter().chain(heap).min() {
            Some(at) => Next::Wait(at.max(now + 1)),
            None => Next::Idle,
        }
    }

    /// Moves conversations whose time has come from the heap into the ring.
    fn wake(&mut self, now: Micros) {
        let ahead = self.ahead();
        while let Some(Reverse((at, number))) = self.heap.peek().copied() {
            if at > now + ahead {
                break;
            }
            self.heap.pop();
            if let Some((channel, lane, conversation)) = self.heads.remove(&number)
                && let Some(outlet) = self.outlets.get_mut(&channel)
            {
                outlet.lanes[index(lane)].ring(&conversation);
            }
        }
    }

    /// The next message of a channel and its cost; `Err(Some(at))` when it must wait until then.
    fn next_of(&mut self, channel: &Arc<str>, now: Micros) -> Result<(Number, u32), Option<Micros>> {
        let ahead = self.ahead();
        let Some(outlet) = self.outlets.get_mut(channel) else { return Err(None) };
        if outlet.lanes.iter().all(|l| l.ready.is_empty()) {
            return Err(None);
        }
        let open = [0, 1, 2].map(|lane| outlet.paused.until(lane).is_none_or(|until| until <= now));
        if !outlet.lanes.iter().zip(open).any(|(lane, open)| open && !lane.ready.is_empty()) {
            let ends = (0..3).filter(|i| !outlet.lanes[*i].ready.is_empty()).filter_map(|i| outlet.paused.until(i));
            return Err(ends.min().filter(|until| *until < Micros::MAX));
        }
        let busy = outlet.armed as u32 + outlet.in_flight;
        if let Some(until) = outlet.open_until {
            if until > now {
                return Err(Some(until));
            }
            // Half open: one probe at a time, from the highest lane that waits.
            if busy > 0 {
                return Err(None);
            }
        }
        if busy >= outlet.flow.most() {
            return Err(None);
        }
        let mut room = outlet.flow.most() as usize;
        for limit in outlet.sender.iter().chain(outlet.shared.iter().filter_map(|n| self.shared.get(n)).flatten()) {
            let at = limit.peek();
            if at > now + ahead {
                return Err(Some(at - ahead));
            }
            room = room.min(limit.ahead(ahead));
        }
        if outlet.armed >= room {
            return Err(None);
        }
        loop {
            let waiting: Vec<usize> = (0..3).filter(|i| open[*i] && !outlet.lanes[*i].ready.is_empty()).collect();
            let Some(&highest) = waiting.first() else { return Err(None) };
            // The floor: a lower lane that waits gets its turn.
            let chosen = if waiting.len() > 1 && outlet.since_lower + 1 >= FLOOR {
                waiting[1 + (outlet.since_lower as usize % (waiting.len() - 1))]
            } else {
                highest
            };
            let lane = &mut outlet.lanes[chosen];
            let Some(Waiting { conversation, ticket, .. }) = lane.ready.pop() else { return Err(None) };
            let Some(queue) = lane.queues.get_mut(&conversation).filter(|q| q.ticket == ticket) else { continue };
            queue.in_ring = false;
            let Some(entry) = queue.waiting.front() else {
                lane.queues.remove(&conversation);
                continue;
            };
            // What waits for a limit of its own stands in the heap, and is asked again then.
            let counted = entry.counted;
            let each = outlet.each.iter_mut().filter(|e| e.peek(&counted, now).is_some_and(|at| at > now + ahead));
            let each = each.filter_map(|e| Some((e.promise(&counted, now)?, e.scope)));
            let names = outlet.shared.iter().filter(|_| counted.opens);
            let people = names.filter_map(|name| Some((self.people.get_mut(name)?.peek(counted.conversation, now), Scope::Account)));
            if let Some((at, scope)) = each.chain(people).max_by_key(|(at, _)| *at).filter(|(at, _)| *at > now + ahead) {
                self.held.insert(entry.number, scope);
                self.heads.insert(entry.number, (Arc::clone(channel), entry.lane, conversation));
                self.heap.push(Reverse((at, entry.number)));
                continue;
            }
            outlet.since_lower = if chosen == highest && waiting.len() > 1 { outlet.since_lower + 1 } else { 0 };
            outlet.armed += 1;
            return Ok((entry.number, counted.cost));
        }
    }

    /// An armed message did not leave in time and goes back to the head of its queue.
    pub fn disarm(&mut self, entry: &Entry, at: Micros) {
        if let Some(outlet) = self.outlets.get_mut(&entry.channel) {
            outlet.armed = outlet.armed.saturating_sub(1);
        }
        self.wait(entry, at);
    }

    /// An armed message waits for a limit of its own so long that it goes back to its queue until then.
    pub fn disarm_for(&mut self, entry: &Entry, at: Micros, scope: Scope) {
        self.disarm(entry, at);
        self.held.insert(entry.number, scope);
    }

    /// A queued message counts as something else than when it was queued: its limits are asked by that.
    pub fn recount(&mut self, entry: &Entry) {
        let queues = self.outlets.get_mut(&entry.channel).map(|o| &mut o.lanes[index(entry.lane)].queues);
        let queue = queues.and_then(|q| q.get_mut(&entry.conversation));
        if let Some(queued) = queue.and_then(|q| q.waiting.iter_mut().find(|e| e.number == entry.number)) {
            queued.counted = entry.counted;
        }
    }

    /// An armed message ends or is undecided before it left: its place among the armed is free.
    pub fn unarm(&mut self, entry: &Entry) {
        if let Some(outlet) = self.outlets.get_mut(&entry.channel) {
            outlet.armed = outlet.armed.saturating_sub(1);
        }
    }

    /// What a message has waited for in the heap; asked once.
    pub fn held_by(&mut self, number: Number) -> Option<Scope> {
        self.held.remove(&number)
    }

    /// Conversations that must wait beyond then, by the head of their queue, and what for if it is a limit.
    pub fn long_waits(&self, beyond: Micros) -> Vec<(Number, Micros, Option<Scope>)> {
        let long = self.heap.iter().filter(|Reverse((at, n))| *at > beyond && self.heads.contains_key(n));
        long.map(|Reverse((at, n))| (*n, *at, self.held.get(n).copied())).collect()
    }

    /// The limits that hold for all of a channel: its sender's, its account's, and those it shares.
    fn of_all<'a>(&'a self, outlet: &'a Outlet) -> impl Iterator<Item = (Scope, &'a Limit)> {
        let shared = outlet.shared.iter().filter_map(|name| self.shared.get(name)).flatten();
        outlet.sender.iter().map(|l| (Scope::Sender, l)).chain(shared.map(|l| (Scope::Account, l)))
    }

    /// How many messages of a channel leave within a time at the limits that hold for all of it.
    pub fn leaves_within(&self, channel: &str, within: Micros) -> usize {
        let limits = self.outlets.get(channel).into_iter().flat_map(|o| self.of_all(o));
        limits.map(|(_, l)| l.ahead(within)).min().unwrap_or(usize::MAX)
    }

    /// An attempt ended without an end for the message: its conversation waits until `at`.
    pub fn again(&mut self, entry: &Entry, at: Micros) {
        if let Some(outlet) = self.outlets.get_mut(&entry.channel) {
            outlet.in_flight = outlet.in_flight.saturating_sub(1);
        }
        self.wait(entry, at);
    }

    /// An attempt is over, but the message stays at the head of its queue, undecided (in doubt).
    pub fn landed(&mut self, entry: &Entry) {
        if let Some(outlet) = self.outlets.get_mut(&entry.channel) {
            outlet.in_flight = outlet.in_flight.saturating_sub(1);
        }
    }

    /// The head of a queue may be tried again from `at` on.
    pub fn wait(&mut self, entry: &Entry, at: Micros) {
        self.heads.insert(entry.number, (Arc::clone(&entry.channel), entry.lane, Arc::clone(&entry.conversation)));
        self.heap.push(Reverse((at, entry.number)));
    }

    /// A message is over (or parked, or cancelled): it leaves its queue, and the next of its conversation may come.
    pub fn remove(&mut self, entry: &Entry, was_in_flight: bool) {
        let Some(outlet) = self.outlets.get_mut(&entry.channel) else { return };
        if was_in_flight {
            outlet.in_flight = outlet.in_flight.saturating_sub(1);
        }
        let lane = &mut outlet.lanes[index(entry.lane)];
        let Some(queue) = lane.queues.get_mut(&entry.conversation) else { return };
        let Some(at) = queue.waiting.iter().position(|e| e.number == entry.number) else { return };
        queue.waiting.remove(at);
        lane.depth = lane.depth.saturating_sub(1);
        if at > 0 {
            return;
        }
        self.heads.remove(&entry.number);
        self.held.remove(&entry.number);
        if queue.waiting.is_empty() {
            lane.queues.remove(&entry.conversation);
        } else {
            lane.ring(&entry.conversation);
        }
    }

    /// The messages behind this one in its queue, in order.
    pub fn behind(&self, entry: &Entry) -> Vec<Number> {
        let queue = self.outlets.get(&entry.channel).and_then(|o| o.lanes[index(entry.lane)].queues.get(&entry.conversation));
        queue.map(|q| q.waiting.iter().map(|e| e.number).filter(|n| *n != entry.number).collect()).unwrap_or_default()
    }

    /// The provider said "too fast".
    pub fn throttled(&mut self, entry: &Entry, scope: Scope, now: Micros, until: Option<Micros>) -> Micros {
        let Some(outlet) = self.outlets.get_mut(&entry.channel) else { return now };
        let act = |limit: &mut Limit| {
            match until {
                Some(until) => limit.freeze(until),
                None => limit.slow_down(now),
            }
            limit.peek()
        };
        let all = |limits: &mut Vec<Limit>| {
            if limits.is_empty() {
                limits.push(Limit::undeclared());
            }
            limits.iter_mut().map(act).max().unwrap_or(now)
        };
        match scope {
            Scope::Sender => all(&mut outlet.sender),
            Scope::Account => {
                let account = outlet.account.clone();
                self.know_account(&account);
                self.shared.get_mut(&account).map_or(now, all)
            }
            each => {
                let scope = if each == Scope::Group && entry.counted.group == 0 { Scope::Conversation } else { each };
                if !outlet.each.iter().any(|e| e.scope == scope) {
                    outlet.each.push(Each::new(scope, None, None));
                }
                let of_scope = outlet.each.iter_mut().filter(|e| e.scope == scope).filter_map(|e| e.of(&entry.counted));
                // What the message cannot be counted under is the sender's: something has to wait.
                of_scope.map(act).max().unwrap_or_else(|| all(&mut outlet.sender))
            }
        }
    }

    /// What was learned about the limits of a channel and its account: scope, window, part of the rate, closed until.
    pub fn lessons(&self, channel: &str, now: Micros) -> Vec<(Scope, Micros, f64, Micros)> {
        let Some(outlet) = self.outlets.get(channel) else { return Vec::new() };
        let sender = outlet.sender.iter().map(|l| (Scope::Sender, l));
        let account = self.shared.get(&outlet.account).into_iter().flatten().map(|l| (Scope::Account, l));
        let lesson = |(scope, limit): (Scope, &Limit)| limit.lesson(now).map(|(part, frozen)| (scope, limit.window, part, frozen));
        sender.chain(account).filter_map(lesson).collect()
    }

    /// Takes up what was learned earlier.
    pub fn recall(&mut self, channel: &str, scope: Scope, window: Micros, lesson: ((f64, Micros), Option<Micros>), now: Micros) {
        let Some(outlet) = self.outlets.get_mut(channel) else { return };
        let limits = match scope {
            Scope::Sender => {
                if outlet.sender.is_empty() {
                    outlet.sender.push(Limit::undeclared());
                }
                &mut outlet.sender
            }
            _ => {
                let account = outlet.account.clone();
                self.know_account(&account);
                self.shared.entry(account).or_default()
            }
        };
        limits.iter_mut().filter(|l| l.window == window).for_each(|l| l.recall(lesson.0, lesson.1, now));
    }

    /// An account of which nothing is declared has a limit from now on, for all channels of it.
    fn know_account(&mut self, account: &str) {
        let limits = self.shared.entry(account.to_owned()).or_default();
        if limits.is_empty() {
            limits.push(Limit::undeclared());
        }
        for outlet in self.outlets.values_mut().filter(|o| o.account == account && !o.shared.iter().any(|name| name == account)) {
            outlet.shared.push(account.to_owned());
        }
    }

    /// A call was answered, or given up, after so long. True when fewer may be under way now.
    pub fn answered(&mut self, channel: &str, took: Micros, now: Micros) -> bool {
        let Some(outlet) = self.outlets.get_mut(channel) else { return false };
        let before = outlet.flow.most();
        outlet.flow.answered(took, outlet.in_flight, now);
        outlet.flow.most() < before
    }

    /// The part of the declared calls at once that was learned, if it is not all.
    pub fn flow(&self, channel: &str) -> Option<f64> {
        self.outlets.get(channel).map(|o| o.flow.part()).filter(|part| *part < 1.0)
    }

    /// Takes up what was learned earlier about calls at once.
    pub fn recall_flow(&mut self, channel: &str, part: f64) {
        if let Some(outlet) = self.outlets.get_mut(channel) {
            outlet.flow.recall(part);
        }
    }

    /// The breaker hears of a failure that is the channel's; answers until when it is open, when this one opened it.
    pub fn failed(&mut self, channel: &str, now: Micros) -> Option<Micros> {
        let outlet = self.outlets.get_mut(channel)?;
        outlet.failures += 1;
        if outlet.failures < BREAKS_AT {
            return None;
        }
        let pause = 1_000_000_i64 << (outlet.failures - BREAKS_AT).min(5);
        outlet.open_until = Some(now + pause);
        outlet.open_until
    }

    /// The breaker hears of an answer.
    pub fn worked(&mut self, channel: &str) -> bool {
        let Some(outlet) = self.outlets.get_mut(channel) else { return false };
        outlet.failures = 0;
        outlet.open_until.take().is_some()
    }

    /// Holds a channel, or a lane of it, until then, or lets it go.
    pub fn pause(&mut self, channel: &str, lane: Option<Priority>, until: Option<Micros>) {
        let Some(outlet) = self.outlets.get_mut(channel) else { return };
        match lane {
            Some(lane) => outlet.paused.lanes[index(lane)] = until,
            None => outlet.paused.all = until,
        }
    }

    /// Whether a lane of a channel is held by hand or by a suspension.
    pub fn is_paused(&self, channel: &str, lane: Priority, now: Micros) -> bool {
        self.outlets.get(channel).and_then(|o| o.paused.until(index(lane))).is_some_and(|until| until > now)
    }

    /// Until when a lane of a channel is held: by hand, by its breaker or by a frozen limit.
    pub fn held_until(&self, channel: &str, lane: Priority) -> Option<Micros> {
        let outlet = self.outlets.get(channel)?;
        let limits = self.of_all(outlet).map(|(_, l)| l.peek());
        outlet.paused.until(index(lane)).into_iter().chain(outlet.open_until).chain(limits).max()
    }

    /// Messages waiting in a lane of a channel.
    pub fn depth(&self, channel: &str, lane: Priority) -> usize {
        self.outlets.get(channel).map_or(0, |o| o.lanes[index(lane)].depth)
    }

    /// Messages waiting altogether.
    pub fn len(&self) -> usize {
        self.outlets.values().flat_map(|o| &o.lanes).map(|l| l.depth).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What people see of a channel's limits.
    pub fn view(&self, channel: &str, now: Micros) -> Vec<View> {
        let Some(outlet) = self.outlets.get(channel) else { return Vec::new() };
        let people = outlet.shared.iter().filter_map(|n| self.people.get(n)).map(People::view);
        let of_all = self.of_all(outlet).map(|(scope, limit)| limit.view(scope, now));
        let each = outlet.each.iter().filter_map(|e| e.view(now));
        of_all.chain(people).chain(each).chain(outlet.flow.view(outlet.in_flight)).collect()
    }

    /// When a message pushed now would leave, as far as the limits tell, and what holds it back.
    pub fn estimate(&self, channel: &str, conversation: &str, counted: &Counted, lane: Priority, now: Micros) -> (Micros, Option<Scope>) {
        let Some(outlet) = self.outlets.get(channel) else { return (now, None) };
        let ahead: usize = outlet.lanes[..=index(lane)].iter().map(|l| l.depth).sum();
        let queued = outlet.lanes[index(lane)].queues.get(conversation).map_or(0, |q| q.waiting.len());
        let mut latest = (outlet.paused.until(index(lane)).unwrap_or(now).max(now), None);
        let mut ask = |at: Micros, scope: Scope| {
            if at > latest.0 {
                latest = (at, Some(scope));
            }
        };
        for (scope, limit) in self.of_all(outlet) {
            ask(limit.peek().max(now) + limit.price(ahead as u32, now), scope);
        }
        for each in &outlet.each {
            if let Some(at) = each.estimate(counted, queued as u32, now) {
                ask(at, each.scope);
            }
        }
        latest
    }
}

impl Outlet {
    fn new() -> Self {
        Self {
            lanes: Default::default(),
            sender: Vec::new(),
            account: String::new(),
            shared: Vec::new(),
            each: Vec::new(),
            flow: Flow::new(1),
            lateness: Lateness::default(),
            armed: 0,
            in_flight: 0,
            paused: Paused::default(),
            since_lower: 0,
            failures: 0,
            open_until: None,
        }
    }
}

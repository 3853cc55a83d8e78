//! The gate: asks all limits at once and charges them where the request leaves.

use std::collections::VecDeque;

use fairway_adapters::contract::Scope;

use super::{Behind, Entry, Gate, Lanes, Outlet, index};
use crate::outbound::limit::Micros;

/// What a departure may be late without anybody moving back: a third of what a limit of a second leaves for the way to the provider.
pub const LATE: Micros = 5_000;
/// Departures this long ago matter to no lateness: an attempt is given up before.
const REMEMBERED: Micros = 60_000_000;

/// By how much the limits of a channel have been moved back of late, because departures left later than they were counted.
#[derive(Default)]
pub(super) struct Lateness {
    moved: VecDeque<(Micros, Micros)>,
}

impl Lateness {
    /// What one more late departure adds to what has been moved since it was counted.
    fn grows(&mut self, counted: Micros, left: Micros) -> Micros {
        while self.moved.front().is_some_and(|(at, _)| at + REMEMBERED < left) {
            self.moved.pop_front();
        }
        let moved: Micros = self.moved.iter().rev().take_while(|(at, _)| *at >= counted).map(|(_, by)| by).sum();
        let by = (left - counted - LATE - moved).max(0);
        if by > 0 {
            self.moved.push_back((left, by));
        }
        by
    }
}

impl Lanes {
    /// Asks all limits at once for an armed message and charges them when all agree.
    pub fn gate(&mut self, entry: &Entry, now: Micros) -> Gate {
        let (at, scope, behind) = self.ask(entry, now);
        if at > now {
            return Gate::Wait { at, scope, behind };
        }
        if let Some(outlet) = self.charged(entry, now) {
            outlet.armed = outlet.armed.saturating_sub(1);
            outlet.in_flight += 1;
        }
        Gate::Go
    }

    /// A call besides the messages (an edit, a recall) counts as they do: charged now, or to be asked again then.
    pub fn admit(&mut self, entry: &Entry, now: Micros) -> Result<(), Micros> {
        let (at, ..) = self.ask(entry, now);
        if at > now {
            return Err(at);
        }
        self.charge(entry, now);
        Ok(())
    }

    /// When all limits agree, which is the last, and who waits behind.
    fn ask(&mut self, entry: &Entry, now: Micros) -> (Micros, Scope, Behind) {
        let mut latest = (now, Scope::Sender, Behind::Nobody);
        let Some(outlet) = self.outlets.get(&entry.channel) else { return latest };
        let mut ask = |at: Micros, scope: Scope, behind: Behind| {
            if at > latest.0 {
                latest = (at, scope, behind);
            }
        };
        if let Some(until) = outlet.paused.until(index(entry.lane)) {
            ask(until, Scope::Account, Behind::Channel);
        }
        let counted = &entry.counted;
        for limit in &outlet.sender {
            ask(limit.peek_for(counted.cost, now), Scope::Sender, Behind::Channel);
        }
        for name in &outlet.shared {
            for limit in self.shared.get(name).into_iter().flatten() {
                ask(limit.peek_for(counted.cost, now), Scope::Account, Behind::Sharing);
            }
            if let Some(people) = self.people.get_mut(name).filter(|_| counted.opens) {
                ask(people.gate(counted.conversation, now), Scope::Account, Behind::Nobody);
            }
        }
        for each in &outlet.each {
            if let Some(at) = each.peek(counted, now) {
                ask(at, each.scope, Behind::Nobody);
            }
        }
        latest
    }

    /// Whether two channels share a limit.
    pub fn share(&self, one: &str, other: &str) -> bool {
        let (Some(one), Some(other)) = (self.outlets.get(one), self.outlets.get(other)) else { return false };
        one.shared.iter().any(|name| other.shared.contains(name))
    }

    /// Counts a departure (also one read back from the ledger, so that a restart never begins with a burst).
    pub fn charge(&mut self, entry: &Entry, at: Micros) {
        self.charged(entry, at);
    }

    fn charged(&mut self, entry: &Entry, at: Micros) -> Option<&mut Outlet> {
        let outlet = self.outlets.get_mut(&entry.channel)?;
        let counted = &entry.counted;
        outlet.sender.iter_mut().for_each(|l| l.charge(at, counted.cost));
        for name in &outlet.shared {
            self.shared.get_mut(name).into_iter().flatten().for_each(|l| l.charge(at, counted.cost));
            if let Some(people) = self.people.get_mut(name).filter(|_| counted.opens) {
                people.charge(counted.conversation, at);
            }
        }
        outlet.each.iter_mut().for_each(|e| e.charge(counted, at));
        Some(outlet)
    }

    /// A message left at `left`, later than it was counted: no window that begins there may hold more than one that begins where it was
    /// counted, so what follows it moves back. Of those that one standstill holds up together, the longest counts.
    pub fn left_late(&mut self, entry: &Entry, counted: Micros, left: Micros) {
        let Some(outlet) = self.outlets.get_mut(&entry.channel) else { return };
        let by = outlet.lateness.grows(counted, left);
        let (was, cost) = ((counted, left), entry.counted.cost);
        outlet.sender.iter_mut().for_each(|l| l.move_back(by, was, cost));
        for name in &outlet.shared {
            self.shared.get_mut(name).into_iter().flatten().for_each(|l| l.move_back(by, was, cost));
        }
    }

    /// People have written to a channel whose provider counts that in the same allowance: so many in the last `over` microseconds.
    pub fn received(&mut self, channel: &str, count: u32, over: Micros, now: Micros) {
        if let Some(outlet) = self.outlets.get_mut(channel) {
            outlet.sender.iter_mut().for_each(|l| l.taken_by_others(now, count, over));
        }
    }
}

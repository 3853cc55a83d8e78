//! How many calls may be under way at once, learned from how long they take. The second loop beside the rate: a provider that is
//! overloaded answers late before it answers 429, and more calls at once only make it later.
//!
//! Calls that take three times as long as usual lower the number; calls that do not raise it again, up to what is declared. What is
//! usual follows in half a minute, so a provider that has become slow for good is not held down. Only calls that use the number teach:
//! with few under way it is not their number that makes them slow.

use std::borrow::Cow;

use fairway_adapters::contract::Scope;

use crate::outbound::limit::{Micros, View};

/// So many times the usual is too long.
const TOO_LONG: f64 = 3.0;
/// A step leaves at least this part.
const STEP: f64 = 0.5;
/// It never falls below this part of what is declared.
const FLOOR: f64 = 1.0 / 16.0;
/// Part of what is recent that one call makes.
const ONE: f64 = 0.1;
/// What is usual follows what is recent with this time constant; downwards ten times as fast.
const USUAL: f64 = 30e6;
/// Between two steps lie at least this and one call.
const BETWEEN: Micros = 50_000;

/// Calls under way at once.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    declared: u32,
    most: f64,
    /// How long calls have taken of late, and how long they usually take, in microseconds; 0 before the first.
    recent: f64,
    usual: f64,
    answered_at: Micros,
    step_at: Micros,
}

impl Flow {
    pub(super) fn new(declared: u32) -> Self {
        let declared = declared.max(1);
        Self { declared, most: f64::from(declared), recent: 0.0, usual: 0.0, answered_at: 0, step_at: 0 }
    }

    /// Declares another number; what was learned stays, as the same part of it.
    pub(super) fn declare(&mut self, declared: u32) {
        let part = self.part();
        self.declared = declared.max(1);
        self.recall(part);
    }

    /// How many may be under way.
    pub(super) fn most(&self) -> u32 {
        self.most as u32
    }

    /// The part of what is declared.
    pub(super) fn part(&self) -> f64 {
        self.most / f64::from(self.declared)
    }

    /// Goes on from what was learned earlier: this part of what is declared.
    pub(super) fn recall(&mut self, part: f64) {
        self.set(f64::from(self.declared) * part);
    }

    fn set(&mut self, most: f64) {
        let declared = f64::from(self.declared);
        self.most = most.clamp((declared * FLOOR).max(1.0), declared);
    }

    /// A call was answered, or given up, after so long, while so many were under way with it.
    pub(super) fn answered(&mut self, took: Micros, busy: u32, now: Micros) {
        let took = took.max(1) as f64;
        let since = (now - self.answered_at).max(0) as f64;
        self.answered_at = now;
        if self.recent == 0.0 {
            (self.recent, self.usual) = (took, took);
        }
        self.recent += (took - self.recent) * ONE;
        let follows = 1.0 - (-since / USUAL).exp();
        let follows = if self.recent < self.usual { (follows * 10.0).min(1.0) } else { follows };
        self.usual += (self.recent - self.usual) * follows;
        if now < self.step_at || f64::from(busy) * 2.0 < self.most {
            return;
        }
        self.step_at = now + BETWEEN.max(self.recent as Micros);
        let gradient = TOO_LONG * self.usual / self.recent;
        self.set(if gradient < 1.0 { self.most * gradient.max(STEP) } else { self.most + self.most.sqrt() });
    }

    /// What is shown of it, once a call has been answered.
    pub(super) fn view(&self, busy: u32) -> Option<View> {
        (self.recent > 0.0).then(|| View {
            scope: Scope::Sender,
            counts: Cow::Borrowed("calls"),
            declared: format!("{} at once", self.declared),
            learned_per_second: f64::from(self.most()) / (self.recent / 1e6),
            used: (f64::from(busy) / f64::from(self.most())).min(1.0),
            headroom: f64::from(self.most().saturating_sub(busy)),
            frozen_for_ms: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider that works on so many at a time, each for `takes`; the sender always has as many under way as it may. Answers how
    /// many that were at the end, and how many calls were answered.
    fn run(flow: &mut Flow, from: Micros, seconds: i64, at_a_time: i64, takes: Micros) -> (u32, usize) {
        let (mut free, mut under_way) = (vec![from; at_a_time as usize], std::collections::BinaryHeap::new());
        let (mut now, mut answered) = (from, 0);
        while now < from + seconds * 1_000_000 {
            while (under_way.len() as u32) < flow.most() {
                free.sort_unstable();
                let begins = free[0].max(now);
                free[0] = begins + takes;
                under_way.push(std::cmp::Reverse((begins + takes, now)));
            }
            let std::cmp::Reverse((ends, began)) = under_way.pop().expect("one");
            now = now.max(ends);
            flow.answered(ends - began, under_way.len() as u32 + 1, now);
            answered += 1;
        }
        (flow.most(), answered)
    }

    #[test]
    fn an_overloaded_provider_gets_fewer_and_loses_nothing_by_it() {
        let mut flow = Flow::new(200);
        flow.usual = 20_000.0;
        flow.recent = 20_000.0;
        let (most, answered) = run(&mut flow, 0, 10, 10, 20_000);
        assert!((10..=80).contains(&most), "{most} at once where ten are worked on");
        assert!(answered > 4500, "{answered} of 5000");
    }

    #[test]
    fn one_that_keeps_up_gets_all_it_may() {
        let mut flow = Flow::new(64);
        assert_eq!(run(&mut flow, 0, 10, 64, 20_000).0, 64);
    }

    #[test]
    fn there_is_a_floor_and_a_way_back() {
        let mut flow = Flow::new(64);
        run(&mut flow, 0, 5, 64, 20_000);
        let slow = run(&mut flow, 5_000_000, 10, 64, 2_000_000).0;
        assert!((4..64).contains(&slow), "{slow}");
        // Slow for good is the new usual.
        assert_eq!(run(&mut flow, 15_000_000, 120, 64, 2_000_000).0, 64);
        run(&mut flow, 135_000_000, 10, 64, 20_000);
        flow.recall(0.25);
        assert_eq!(flow.most(), 16);
        assert_eq!(run(&mut flow, 145_000_000, 3, 64, 20_000).0, 64);
    }

    #[test]
    fn a_few_slow_calls_teach_nothing() {
        let mut flow = Flow::new(64);
        for n in 0..100 {
            flow.answered(if n < 50 { 20_000 } else { 5_000_000 }, 3, n * 100_000);
        }
        assert_eq!(flow.most(), 64);
    }
}

//! Paces, as GCRA with a peek. Pure: times are microseconds given by the caller.
//!
//! A limit of N per window W runs with the interval (W + s)/N, where the slack s is 2.5 % of W, and a tolerance of 0.4 s.
//! N + 1 departures then span at least N intervals less the tolerance, W + 0.6 s: whatever jitter up to 0.6 s (15 ms for a
//! window of a second) the way to the provider adds, no sliding window there holds more than N. 97.6 % of the limit is used.
//! A departure that left later than it was counted (a connection had to be opened, the machine stood still) moves what follows it back.
//!
//! Where a provider lets several go at once, the tolerance is longer by that burst, and a window could hold the burst besides its rate:
//! there the departures of the last window are counted as well. A burst larger than N is a bucket by the provider's own rule (one in
//! six seconds, 45 ahead), and nothing else is asked.

use std::borrow::Cow;
use std::collections::VecDeque;

use fairway_adapters::contract::{Pace, Scope};
use serde::{Deserialize, Serialize};

use crate::config::units::Rate;

/// Microseconds on a clock that never goes back.
pub type Micros = i64;

/// Slack of the window, in parts of a thousand.
const SLACK: i64 = 25;
/// Part of the slack given to late departures, in parts of a thousand.
const TOLERANCE: i64 = 400;
/// What a throttle without `Retry-After` leaves of the rate.
const FALL: f64 = 0.7;
/// What comes back per second, as part of the declared rate.
const RECOVERY: f64 = 0.02;
/// The rate never falls below this part of the declared one.
const FLOOR: f64 = 0.02;

/// What others take of a shared allowance counts for this much, because it is told late.
const OTHERS: f64 = 1.1;
/// What others take is summed up over this long.
const OTHERS_FOR: Micros = 2_000_000;
/// The part of the time that is ours whatever others take.
const LEFT_TO_US: Micros = 10;

/// One limit.
#[derive(Clone, Debug)]
pub struct Limit {
    /// How many cost units.
    pub count: u32,
    /// In any window of this length.
    pub window: Micros,
    interval: Micros,
    tolerance: Micros,
    /// When the bucket is empty again.
    due: Micros,
    /// Learned part of the declared rate, at `learned_at`.
    learned: f64,
    learned_at: Micros,
    /// Closed until then.
    frozen: Micros,
    /// What others take of it: since when, and how much.
    others: (Micros, Micros),
    /// What left in the last window, where GCRA alone would not keep it.
    recent: Option<Recent>,
    /// Nobody declared it: the provider's answers made it.
    pub learned_alone: bool,
}

/// Next to nothing of a window is one in so many: less than the slack of its rate.
const NEXT_TO_NOTHING: u32 = 50;

/// So many parts of a window are told apart.
const SLOTS: Micros = 1000;

/// Departures of the last window, summed in slots: what leaves within one counts until all of it is old.
#[derive(Clone, Debug)]
struct Recent {
    most: u32,
    window: Micros,
    slot: Micros,
    /// The end of each slot with its departures, oldest first.
    slots: VecDeque<(Micros, u32)>,
    held: u32,
}

impl Recent {
    fn new(most: u32, window: Micros) -> Self {
        Self { most, window, slot: (window / SLOTS).max(1), slots: VecDeque::new(), held: 0 }
    }

    /// The earliest time at which a window has room for so many. What costs more than a window goes alone.
    fn peek(&self, cost: u32) -> Micros {
        let mut over = (self.held + cost.min(self.most)).saturating_sub(self.most);
        let mut at = Micros::MIN / 4;
        for (end, count) in &self.slots {
            if over == 0 {
                break;
            }
            (at, over) = (end + self.window, over.saturating_sub(*count));
        }
        at
    }

    fn charge(&mut self, now: Micros, cost: u32) {
        self.forget(now);
        let end = (now / self.slot + 1) * self.slot;
        match self.slots.back_mut() {
            Some((last, count)) if *last >= end => *count += cost,
            _ => self.slots.push_back((end, cost)),
        }
        self.held += cost;
    }

    /// What was counted then left only later.
    fn move_back(&mut self, (counted, left): (Micros, Micros), cost: u32) {
        let end = (counted / self.slot + 1) * self.slot;
        if let Some((_, count)) = self.slots.iter_mut().find(|(last, _)| *last >= end) {
            let cost = cost.min(*count);
            *count -= cost;
            self.held -= cost;
        }
        self.charge(left, cost);
    }

    fn forget(&mut self, now: Micros) {
        while let Some((_, count)) = self.slots.front().copied().filter(|(end, _)| end + self.window <= now) {
            self.slots.pop_front();
            self.held -= count;
        }
    }

    fn is_empty(&self, now: Micros) -> bool {
        self.slots.back().is_none_or(|(end, _)| end + self.window <= now)
    }
}

impl Limit {
    /// A limit; `burst` is how many the provider lets go at once when nothing went before.
    pub fn new(count: u32, window: Micros, burst: u32) -> Self {
        let count = count.max(1);
        let slack = window * SLACK / 1000;
        let interval = ((window + slack) / i64::from(count)).max(1);
        let tolerance = slack * TOLERANCE / 1000 + interval * i64::from(burst.max(1) - 1);
        let recent = (burst > 1 && burst <= count).then(|| Recent::new(count, window + slack));
        Self {
            count,
            window,
            interval,
            tolerance,
            due: Micros::MIN / 4,
            learned: 1.0,
            learned_at: 0,
            frozen: Micros::MIN / 4,
            others: (Micros::MIN / 4, 0),
            recent,
            learned_alone: false,
        }
    }

    /// Where nobody has declared one: begin with what we know, a wide limit that can be frozen and slowed.
    pub fn undeclared() -> Self {
        Self { learned_alone: true, ..Self::new(1000, 1_000_000, 1) }
    }

    /// How far back departures matter.
    pub fn memory(&self) -> Micros {
        self.window.max(self.interval + self.tolerance)
    }

    /// From a provider's documented pace.
    pub fn of_pace(pace: &Pace) -> Self {
        Self::new(pace.count, pace.window_ms as Micros * 1000, pace.burst)
    }

    /// From the configuration.
    pub fn of_rate(rate: Rate) -> Self {
        Self::new(rate.count, rate.window.as_micros() as Micros, 1)
    }

    /// This limit in place of another: what left under that one is not forgotten, nor what the provider said.
    pub fn instead_of(mut self, old: &Self, now: Micros) -> Self {
        self.frozen = self.frozen.max(old.frozen);
        if old.factor(now) < self.factor(now) {
            (self.learned, self.learned_at) = (old.factor(now), now);
        }
        // Of an old one with a long window no more than this one can hold.
        self.due = self.due.max(old.due.min(now + self.window + self.tolerance)).max(now);
        if let (Some(recent), Some(old)) = (&mut self.recent, &old.recent) {
            (recent.slots, recent.held) = (old.slots.clone(), old.held);
        }
        if self.count as i64 * old.window < old.count as i64 * self.window {
            // Slower than before: what left at the old pace leaves the window first.
            self.due = self.due.max(now + self.window.min(1_000_000) + self.tolerance);
        }
        self
    }

    /// This limit, closed at least as long as another one of the same channel was.
    pub fn closed_like(mut self, old: &Self) -> Self {
        self.frozen = self.frozen.max(old.frozen);
        self
    }

    /// The earliest time something may leave; in the past when it may leave now.
    pub fn peek(&self) -> Micros {
        (self.due - self.tolerance).max(self.frozen).max(self.recent.as_ref().map_or(Micros::MIN / 4, |r| r.peek(1)))
    }

    /// The earliest time something of this cost may leave: later than [`peek`](Self::peek) by what it takes beyond the first unit,
    /// or the window that ends with it would hold more than the limit.
    pub fn peek_for(&self, cost: u32, now: Micros) -> Micros {
        match cost {
            0 | 1 => self.peek(),
            _ => {
                let room = self.recent.as_ref().map_or(Micros::MIN / 4, |r| r.peek(cost));
                self.peek().max(self.due + self.price(cost - 1, now) - self.tolerance).max(room)
            }
        }
    }

    /// The time so many units take at what we go at.
    pub fn price(&self, cost: u32, now: Micros) -> Micros {
        (self.interval as f64 / self.factor(now)) as Micros * i64::from(cost)
    }

    /// Counts a departure.
    pub fn charge(&mut self, now: Micros, cost: u32) {
        self.due = self.due.max(now) + self.price(cost.max(1), now);
        if let Some(recent) = &mut self.recent {
            recent.charge(now, cost.max(1));
        }
    }

    /// A departure of this cost left later than it was counted; what comes behind it moves back by so much, but no further than a
    /// window: then nothing else is in it. One connection that takes ten seconds to open holds up no channel for ten seconds.
    pub fn move_back(&mut self, by: Micros, was: (Micros, Micros), cost: u32) {
        self.due += by.min(self.window);
        if let Some(recent) = &mut self.recent {
            recent.move_back(was, cost.max(1));
        }
    }

    /// Others use the same allowance: what they took of it since they were counted last (`over` microseconds ago). They never take all of
    /// it, or nothing of ours would leave while they go on.
    pub fn taken_by_others(&mut self, now: Micros, count: u32, over: Micros) {
        let took = (f64::from(count) * OTHERS * self.interval as f64) as Micros;
        // Several may tell, and what they take together is what counts.
        let (since, taken) = &mut self.others;
        if now - *since > OTHERS_FOR {
            (*since, *taken) = (now, 0);
        }
        let span = now - *since + over;
        let took = took.min((span - span / LEFT_TO_US - *taken).max(0));
        *taken += took;
        self.due = self.due.max(now) + took;
    }

    /// How many departures are armed ahead for the next `ahead` microseconds.
    pub fn ahead(&self, ahead: Micros) -> usize {
        (ahead / self.interval + 1) as usize
    }

    /// The provider named a time: closed until then.
    pub fn freeze(&mut self, until: Micros) {
        self.frozen = self.frozen.max(until);
    }

    /// The provider said "too fast" without a time: go on at 70 % of what we went at.
    pub fn slow_down(&mut self, now: Micros) {
        self.learned = (self.factor(now) * FALL).max(FLOOR);
        self.learned_at = now;
        // One interval of silence, so that what is armed does not run into the same wall.
        self.due = self.due.max(now + (self.interval as f64 / self.learned) as Micros);
    }

    /// What was learned and still holds: the part of the declared rate, and until when it is closed.
    pub fn lesson(&self, now: Micros) -> Option<(f64, Micros)> {
        let part = self.factor(now);
        (part < 1.0 || self.frozen > now).then_some((part, self.frozen))
    }

    /// Goes on from what was learned earlier: this part of the declared rate, then; closed until then.
    pub fn recall(&mut self, (part, at): (f64, Micros), frozen: Option<Micros>, now: Micros) {
        // Of several lessons about one limit the strictest holds.
        let earlier = Self { learned: part.clamp(FLOOR, 1.0), learned_at: at, ..self.clone() };
        if earlier.factor(now) < self.factor(now) {
            (self.learned, self.learned_at) = (earlier.learned, at);
        }
        self.frozen = self.frozen.max(frozen.unwrap_or(self.frozen));
    }

    /// The learned part of the declared rate.
    pub fn factor(&self, now: Micros) -> f64 {
        let seconds = (now - self.learned_at).max(0) as f64 / 1e6;
        (self.learned + seconds * RECOVERY).min(1.0)
    }

    /// Whether it holds nothing back and remembers nothing worth keeping.
    pub fn is_idle(&self, now: Micros) -> bool {
        self.due < now && self.frozen < now && self.factor(now) >= 1.0 && self.recent.as_ref().is_none_or(|r| r.is_empty(now))
    }

    /// Whether it may be let go where very many are kept: besides what is idle, what holds next to nothing of its window.
    pub fn is_forgettable(&self, now: Micros) -> bool {
        let next_to_nothing = |recent: &Recent| recent.is_empty(now) || recent.held * NEXT_TO_NOTHING <= recent.most;
        self.due < now && self.frozen < now && self.factor(now) >= 1.0 && self.recent.as_ref().is_none_or(next_to_nothing)
    }

    /// What people see of it.
    pub fn view(&self, scope: Scope, now: Micros) -> View {
        let factor = self.factor(now);
        let declared = f64::from(self.count) / (self.window as f64 / 1e6);
        let used = ((self.due - now).max(0) as f64 / self.window as f64).min(1.0);
        View {
            scope,
            counts: "units".into(),
            declared: format!("{}", Rate { count: self.count, window: std::time::Duration::from_micros(self.window as u64) }),
            learned_per_second: declared * factor,
            used,
            headroom: if self.frozen > now { 0.0 } else { (declared * factor * (1.0 - used)).max(0.0) },
            frozen_for_ms: (self.frozen - now).max(0) / 1000,
        }
    }
}

/// A limit as `/v1/channels/{name}` shows it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct View {
    /// What shares it.
    #[schema(value_type = String)]
    pub scope: Scope,
    /// What it counts: `units` (messages, or what they cost), `people` (different ones who are written to first), or `calls` at once.
    pub counts: Cow<'static, str>,
    /// What the provider's documentation or the configuration says.
    pub declared: String,
    /// What we go at, learned from the provider's answers.
    pub learned_per_second: f64,
    /// Part of the window that is used up.
    pub used: f64,
    /// What is left: units a second, or people or calls now.
    pub headroom: f64,
    /// Milliseconds until the provider's `Retry-After` has passed.
    pub frozen_for_ms: i64,
}

impl View {
    /// How near it is to holding something back.
    pub fn strain(&self) -> f64 {
        self.used + self.frozen_for_ms as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends as fast as allowed for a while, each departure arriving up to `jitter` late; the fullest window and the share used.
    fn run(count: u32, window: Micros, burst: u32, jitter: impl Fn(usize) -> Micros) -> (usize, f64) {
        let mut limit = Limit::new(count, window, burst);
        let (mut now, mut arrivals) = (1_000_000, Vec::new());
        let end = now + window * 20;
        while now < end {
            limit.charge(now, 1);
            arrivals.push(now + jitter(arrivals.len()));
            now = limit.peek().max(now + 1);
        }
        arrivals.sort_unstable();
        let mut fullest = 0;
        let mut first = 0;
        for last in 0..arrivals.len() {
            while arrivals[last] - arrivals[first] >= window {
                first += 1;
            }
            fullest = fullest.max(last - first + 1);
        }
        (fullest, arrivals.len() as f64 / (20.0 * f64::from(count)))
    }

    #[test]
    fn no_window_is_over_and_almost_all_is_used() {
        for count in [1, 3, 30, 80, 1000] {
            let (fullest, used) = run(count, 1_000_000, 1, |i| [0, 15_000, 3000, 0, 14_000][i % 5]);
            assert!(fullest <= count as usize, "{count}: {fullest} in a window");
            if count > 10 {
                assert!(used > 0.97, "{count}: {used}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_window_is_over_with_any_jitter(count in 1_u32..200, seed in any::<u64>()) {
            let (fullest, _) = run(count, 1_000_000, 1, |i| (seed.rotate_left((i % 64) as u32) % 15_000) as Micros);
            prop_assert!(fullest <= count as usize);
        }

        #[test]
        fn no_window_is_over_with_any_burst(count in 2_u32..200, part in 1_u32..=100, window in prop_oneof![Just(1_000_000), Just(30_000_000)], seed in any::<u64>()) {
            let burst = (count * part / 100).max(1);
            let (fullest, used) = run(count, window, burst, |i| (seed.rotate_left((i % 64) as u32) % 15_000) as Micros);
            prop_assert!(fullest <= count as usize, "{fullest} of {count}");
            prop_assert!(used > 0.9, "{used}");
        }

        #[test]
        fn no_window_is_over_with_any_costs(count in 5_u32..100, costs in proptest::collection::vec(1_u32..=5, 20..300)) {
            let mut limit = Limit::new(count, 1_000_000, 1);
            let (mut now, mut left) = (1_000_000, Vec::new());
            for cost in costs {
                now = limit.peek_for(cost, now).max(now);
                limit.charge(now, cost);
                left.push((now, cost));
                let window: u32 = left.iter().filter(|(at, _)| now - at < 1_000_000).map(|(_, cost)| cost).sum();
                prop_assert!(window <= count, "{window} of {count} at {now}");
            }
        }
    }

    #[test]
    fn what_leaves_very_late_holds_up_the_rest_for_a_window_at_most() {
        let mut limit = Limit::new(25, 1_000_000, 1);
        limit.charge(0, 1);
        let free = limit.peek();
        limit.move_back(400_000, (0, 405_000), 1);
        assert_eq!(limit.peek(), free + 400_000);
        limit.move_back(9_000_000, (0, 9_405_000), 1);
        assert_eq!(limit.peek(), free + 1_400_000);
    }

    #[test]
    fn a_changed_limit_holds_from_its_first_window_on() {
        for (before, after) in [(80, 20), (20, 80), (80, 80)] {
            let (mut limit, mut now, mut times) = (Limit::new(before, 1_000_000, 1), 1_000_000, Vec::new());
            for changed in [false, true] {
                if changed {
                    limit = Limit::new(after, 1_000_000, 1).instead_of(&limit, now);
                    times.retain(|at| now - at < 1_000_000);
                }
                let end = now + 3_000_000;
                while now < end {
                    now = now.max(limit.peek());
                    limit.charge(now, 1);
                    times.push(now);
                }
            }
            let from = times.len() - after as usize;
            let fullest = (0..=from).filter(|i| times[*i + after as usize - 1] - times[*i] < 1_000_000);
            let over =
                fullest.filter(|i| times.get(i + after as usize).is_some_and(|t| t - times[*i] < 1_000_000 && times[*i] > 4_000_000));
            assert_eq!(over.count(), 0, "{before} to {after}");
        }
    }

    #[test]
    fn a_burst_is_borrowed() {
        let mut limit = Limit::new(1, 6_000_000, 45);
        for _ in 0..45 {
            assert!(limit.peek() <= 0);
            limit.charge(0, 1);
        }
        assert!(limit.peek() > 5_000_000);
    }

    #[test]
    fn others_take_their_part_and_leave_some() {
        // Out of 80 a second, others take so many: ours get what is left, with a tenth of room, and never less than a tenth.
        for (others, most, least) in [(0, 80, 77), (40, 36, 30), (200, 9, 6)] {
            let (mut limit, mut now, mut ours, mut told) = (Limit::new(80, 1_000_000, 1), 0, 0, 0);
            while now < 20_000_000 {
                if now >= told {
                    // Two nodes, each with its half.
                    limit.taken_by_others(now, others / 8, 250_000);
                    limit.taken_by_others(now, others / 8, 250_000);
                    told += 250_000;
                }
                if limit.peek() <= now {
                    limit.charge(now, 1);
                    ours += 1;
                }
                now += 1000;
            }
            assert!((least..=most).contains(&(ours / 20)), "{others}: {} a second", ours / 20);
        }
    }

    #[test]
    fn it_learns_and_recovers() {
        let mut limit = Limit::new(80, 1_000_000, 1);
        limit.slow_down(0);
        assert!((limit.factor(0) - 0.7).abs() < 1e-9);
        assert!((limit.factor(5_000_000) - 0.8).abs() < 1e-9);
        assert!((limit.factor(60_000_000) - 1.0).abs() < 1e-9);
        limit.freeze(600_000_000);
        assert_eq!(limit.peek(), 600_000_000);
    }
}

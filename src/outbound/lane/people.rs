//! How many different people may be reached in a window, such as the messaging tiers of WhatsApp numbers.

use std::collections::{HashMap, VecDeque};

use fairway_adapters::contract::Scope;

use crate::config::units::Rate;
use crate::outbound::limit::{Micros, View};

/// Later than our window ends, so that the provider's has ended too.
const SLACK: Micros = 5_000_000;

/// At most so many different people in any window. Who was reached already costs nothing more.
#[derive(Clone, Debug)]
pub struct People {
    /// How many.
    pub count: u32,
    /// In any window of this length.
    pub window: Micros,
    /// When each was reached last.
    reached: HashMap<u64, Micros>,
    /// The same by time; one who was reached again since stands there twice, and the earlier place does not count.
    order: VecDeque<(Micros, u64)>,
    /// Places that were promised to people who wait.
    promised: usize,
}

impl People {
    /// A limit under which nobody was reached.
    pub fn new(count: u32, window: Micros) -> Self {
        Self { count: count.max(1), window, reached: HashMap::new(), order: VecDeque::new(), promised: 0 }
    }

    /// The earliest time this person may be reached; `now` when that is now. Each who has to wait is told the time of a place of
    /// his own, so that a crowd does not come back for one place.
    pub fn peek(&mut self, person: u64, now: Micros) -> Micros {
        self.forget(now);
        if self.may(person) {
            return now;
        }
        let places = self.order.len().max(1);
        let (round, place) = (self.promised / places, self.promised % places);
        self.promised += 1;
        self.order.get(place).map_or(now, |(at, _)| at + (self.window + SLACK) * (round as Micros + 1))
    }

    /// When the first place is free, for one who is at the gate already; `now` when he may be reached.
    pub fn gate(&mut self, person: u64, now: Micros) -> Micros {
        self.forget(now);
        if self.may(person) { now } else { self.order.front().map_or(now, |(at, _)| at + self.window + SLACK) }
    }

    fn may(&self, person: u64) -> bool {
        self.reached.contains_key(&person) || self.reached.len() < self.count as usize
    }

    /// Somebody was reached.
    pub fn charge(&mut self, person: u64, at: Micros) {
        self.reached.insert(person, at);
        self.order.push_back((at, person));
    }

    fn forget(&mut self, now: Micros) {
        while let Some((at, person)) = self.order.front().copied() {
            let over = at + self.window + SLACK <= now;
            let again = self.reached.get(&person).is_some_and(|last| *last != at);
            if !over && !again {
                break;
            }
            self.order.pop_front();
            if over && !again {
                self.reached.remove(&person);
                self.promised = self.promised.saturating_sub(1);
            }
        }
    }

    /// What is shown of it.
    pub fn view(&self) -> View {
        let window = std::time::Duration::from_micros(self.window as u64);
        View {
            scope: Scope::Account,
            counts: "people".into(),
            declared: Rate { count: self.count, window }.to_string(),
            learned_per_second: f64::from(self.count) / window.as_secs_f64(),
            used: (self.reached.len() as f64 / f64::from(self.count)).min(1.0),
            headroom: f64::from(self.count).max(self.reached.len() as f64) - self.reached.len() as f64,
            frozen_for_ms: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Micros = 86_400_000_000;

    #[test]
    fn a_window_holds_so_many_people_and_no_more() {
        let mut people = People::new(3, DAY);
        for (person, at) in [(1, 0), (2, 10), (3, 20)] {
            assert_eq!(people.peek(person, at), at);
            people.charge(person, at);
        }
        assert_eq!(people.peek(2, 30), 30, "who was reached may be reached again");
        // Each who waits has a place of his own.
        let places: Vec<Micros> = (10..14).map(|person| people.peek(person, 30)).collect();
        assert_eq!(places, [DAY + SLACK, DAY + SLACK + 10, DAY + SLACK + 20, 2 * (DAY + SLACK)]);
        assert_eq!(people.gate(10, DAY), DAY + SLACK);
        assert_eq!(people.gate(10, DAY + SLACK), DAY + SLACK);
        people.charge(10, DAY + SLACK);
        assert_eq!(people.reached.len(), 3);
    }

    #[test]
    fn who_is_reached_again_counts_from_then_on() {
        let mut people = People::new(1, 1_000_000);
        people.charge(1, 0);
        people.charge(1, 900_000);
        assert_eq!(people.gate(2, 1_000_000 + SLACK), 900_000 + 1_000_000 + SLACK);
        assert_eq!(people.reached.len(), 1);
    }
}

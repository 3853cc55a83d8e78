//! How often sessions may begin: docs.discord.com/developers/events/gateway#identifying, read 2026-11-29. A thousand a day, over all
//! shards; more, and Discord takes the bot's token away. Resuming does not count.

use serde::{Deserialize, Serialize};

use crate::contract::Time;

/// Two days that meet have no more than a thousand in any 24 hours.
const A_DAY: u32 = 500;
const DAY: i64 = 86_400_000;
/// One in 5 s, with `max_concurrency` 1, which every bot has at least; and some room for the way.
const APART: i64 = 5_500;

/// The sessions that were begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Starts {
    last: i64,
    day: i64,
    count: u32,
}

impl Starts {
    /// When the next one may begin. A clock that was set back holds nobody up.
    pub fn next(&self, now: Time) -> Time {
        let apart = Time(self.last).plus(APART);
        let next = if self.count < A_DAY || now.0 >= self.day.saturating_add(DAY) { apart } else { Time(self.day).plus(DAY).max(apart) };
        if next > now.plus(DAY) { now } else { next }
    }

    /// One begins.
    pub fn begin(&mut self, now: Time) {
        if !(0..DAY).contains(&now.since(Time(self.day))) {
            (self.day, self.count) = (now.0, 0);
        }
        self.count += 1;
        self.last = now.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_keep_their_distance_and_their_number() {
        let mut starts = Starts::default();
        let mut now = Time(1_795_169_730_000);
        assert!(starts.next(now) <= now, "the first one need not wait");
        let first = now;
        for _ in 0..A_DAY {
            starts.begin(now);
            assert_eq!(starts.next(now).0.max(now.0 + APART), starts.next(now).0);
            now = now.plus(APART);
        }
        assert_eq!(starts.next(now), first.plus(DAY), "the day is used up");
        now = first.plus(DAY);
        assert!(starts.next(now) <= now);
        starts.begin(now);
        assert_eq!(starts.next(now), now.plus(APART));
        assert!(starts.next(now.plus(-2 * DAY)) <= now.plus(-2 * DAY), "a clock that was set back");
    }
}

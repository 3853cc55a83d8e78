//! The stage: groups of people are played against rates, windows and quiet hours, ten seconds at a step.

use std::collections::BTreeMap;

use fairway_adapters::contract::Time;

use super::Checked;
use super::expand::ramp;
use crate::consent::quiet::{Quiet, Whereabouts};
use crate::proactive::when;

/// Milliseconds of a step.
const STEP: i64 = 10_000;
/// How far it looks ahead, in milliseconds.
const HORIZON: i64 = 30 * 86_400_000;

/// People with the same channel, times and clock.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The place of their channel.
    pub channel: usize,
    /// When their message is due, or when caps let it go.
    pub due: Time,
    /// When it is worth sending no more.
    pub expires: Option<Time>,
    /// The place of their clock.
    pub clock: usize,
    /// How many have not got it.
    pub left: f64,
    /// Whether they have been counted as held.
    pub held: bool,
}

/// What decides on the time of day: the zone of the campaign's window, and where quiet hours take the people to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// IANA name.
    pub zone: String,
    /// The place of the channel, and whereabouts; nothing where no hours are kept.
    pub quiet: Option<(usize, Whereabouts)>,
}

/// What quiet hours say: of the channel at this place, about people there, at that time.
pub(super) type Hours<'h> = dyn Fn(usize, &Whereabouts, Time) -> Quiet + Send + Sync + 'h;

/// A place, with what is known of its day.
struct Clock {
    zone: jiff::tz::TimeZone,
    quiet: Option<(usize, Whereabouts)>,
    /// Closed until then; open when that is past.
    opens: Time,
    /// Quiet hours need not be asked again before.
    open_until: Time,
    /// The quiet hours that close it.
    rule: Option<String>,
}

/// A play of groups against rates.
pub(super) struct Stage<'s> {
    pub now: Time,
    pub checked: &'s Checked,
    pub groups: Vec<Group>,
    /// Messages a second, and what waits there.
    pub rates: Vec<(f64, f64)>,
    /// People of the canary, and milliseconds it is watched.
    pub canary: Option<(f64, i64)>,
    clocks: Vec<Clock>,
    hours: &'s Hours<'s>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Played {
    pub begins: Option<Time>,
    pub ends: Option<Time>,
    pub misses: f64,
    pub beyond: f64,
    /// Who waits for quiet hours, by their end and their rule.
    pub held: BTreeMap<(Time, String), f64>,
}

impl Clock {
    fn new(place: &Place) -> Self {
        let zone = when::zone(&place.zone, "#").unwrap_or(jiff::tz::TimeZone::UTC);
        Self { zone, quiet: place.quiet.clone(), opens: Time(i64::MIN), open_until: Time(i64::MIN), rule: None }
    }

    /// Looks again when it may have changed: closed until its next opening, open for another step.
    fn look(&mut self, at: Time, checked: &Checked, hours: &Hours<'_>) {
        if self.opens > at {
            return;
        }
        self.rule = None;
        self.opens = checked.window.map_or(at, |w| w.opens(at, &self.zone));
        let Some((channel, place)) = self.quiet.as_ref().filter(|_| self.open_until <= at) else { return };
        match hours(*channel, place, at) {
            Quiet::Open(until) => self.open_until = until,
            Quiet::Closed(until, rule) => (self.opens, self.rule) = (self.opens.max(until), Some(rule)),
        }
    }
}

impl<'s> Stage<'s> {
    pub fn new(
        now: Time,
        checked: &'s Checked,
        groups: Vec<Group>,
        rates: Vec<(f64, f64)>,
        places: &[Place],
        hours: &'s Hours<'s>,
    ) -> Self {
        let mut groups = groups;
        groups.sort_by_key(|g| g.due);
        Self { now, checked, groups, rates, canary: None, clocks: places.iter().map(Clock::new).collect(), hours }
    }

    pub fn play(mut self) -> Played {
        let mut played = Played::default();
        let mut at = self.now;
        let (mut left_of_canary, mut watched_until) = (self.canary.map_or(f64::MAX, |c| c.0), Time(i64::MIN));
        while self.groups.iter().any(|g| g.left > 0.0) && at.since(self.now) < HORIZON {
            self.miss(at, &mut played);
            self.clocks.iter_mut().for_each(|clock| clock.look(at, self.checked, self.hours));
            self.hold(at, &mut played);
            let mut own = self.own_capacity(at);
            let mut capacity = self.channel_capacity();
            if at < watched_until {
                own = 0.0;
            }
            let clocks = &self.clocks;
            for group in self.groups.iter_mut().filter(|g| g.left > 0.0 && g.due <= at && clocks[g.clock].opens <= at) {
                let gone = group.left.min(own).min(capacity[group.channel]).min(left_of_canary);
                if gone <= 0.0 {
                    continue;
                }
                (group.left, own, capacity[group.channel]) = (group.left - gone, own - gone, capacity[group.channel] - gone);
                left_of_canary -= gone;
                played.begins.get_or_insert(at);
                played.ends = Some(at.plus(STEP));
            }
            if let Some((_, watch)) = self.canary.filter(|_| left_of_canary <= 0.0) {
                (left_of_canary, watched_until) = (f64::MAX, at.plus(watch));
                self.canary = None;
            }
            at = self.next(at);
        }
        played.beyond = self.groups.iter().map(|g| g.left).sum();
        played
    }

    fn miss(&mut self, at: Time, played: &mut Played) {
        for group in self.groups.iter_mut().filter(|g| g.left > 0.0 && g.expires.is_some_and(|e| e <= at)) {
            played.misses += std::mem::take(&mut group.left);
        }
    }

    /// Whose turn comes in quiet hours waits for their end.
    fn hold(&mut self, at: Time, played: &mut Played) {
        for group in self.groups.iter_mut().filter(|g| g.left > 0.0 && g.due <= at && !g.held) {
            let clock = &self.clocks[group.clock];
            if let Some(rule) = &clock.rule {
                group.held = true;
                *played.held.entry((clock.opens, rule.clone())).or_default() += group.left;
            }
        }
    }

    /// What the campaign's own rate lets through in a step.
    fn own_capacity(&self, at: Time) -> f64 {
        let Some(max) = self.checked.rate else { return f64::MAX };
        f64::from(max.count) / max.window.as_secs_f64() * ramp(at.since(self.now), self.checked.ramp) * STEP as f64 / 1000.0
    }

    /// What each channel lets through in a step, after what waits there already.
    fn channel_capacity(&mut self) -> Vec<f64> {
        let step = |(rate, backlog): &mut (f64, f64)| {
            let all = *rate * STEP as f64 / 1000.0;
            let before = backlog.min(all);
            *backlog -= before;
            all - before
        };
        self.rates.iter_mut().map(step).collect()
    }

    /// The next step, or the next time at which there is something to do.
    fn next(&self, at: Time) -> Time {
        let step = at.plus(STEP);
        let ready = self.groups.iter().filter(|g| g.left > 0.0).map(|g| g.due.max(self.clocks[g.clock].opens)).min();
        ready.map_or(step, |ready| ready.max(step))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::consent::{Hours as Span, QuietHours};
    use crate::consent::quiet::Hours;
    use crate::proactive::campaigns::Plan;

    fn played(more: serde_json::Value, groups: &[(i64, Option<i64>, f64)], rate: f64, canary: Option<(f64, i64)>, quiet: bool) -> Played {
        let mut body = json!({ "name": "n", "audience": "aud_x", "channels": ["a"], "parts": [{ "type": "text", "text": "x" }] });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let plan: Plan = serde_json::from_value(body).expect("a plan");
        let checked = plan.check().expect("it makes sense");
        let now = Time::parse("2027-01-10T11:00:00Z").expect("a time");
        let group = |(due, expires, left): &(i64, Option<i64>, f64)| Group {
            channel: 0,
            due: now.plus(*due),
            expires: expires.map(|e| now.plus(e)),
            clock: 0,
            left: *left,
            held: false,
        };
        let groups = groups.iter().map(group).collect();
        let hours = Hours::new(&QuietHours { marketing: Span::Between(480, 720), tables: false });
        let hours = |_: usize, place: &Whereabouts, at: Time| hours.ask(None, place, at);
        let quiet = quiet.then(|| (0, Whereabouts { zones: vec!["Europe/Rome".to_owned()], ..Whereabouts::default() }));
        let places = [Place { zone: "Europe/Rome".to_owned(), quiet }];
        let mut stage = Stage::new(now, &checked, groups, vec![(rate, 0.0)], &places, &hours);
        stage.canary = canary;
        let mut played = stage.play();
        (played.begins, played.ends) = (played.begins.map(|t| Time(t.since(now))), played.ends.map(|t| Time(t.since(now))));
        played
    }

    #[test]
    fn a_plan_plays_against_rates_windows_and_ends() {
        // 80/s: 100,000 take 1250 s.
        let whole = played(json!({}), &[(0, None, 100_000.0)], 80.0, None, false);
        assert_eq!((whole.begins, whole.ends), (Some(Time(0)), Some(Time(1_250_000))));
        // Its own rate is lower: 40/s.
        let slow = played(json!({ "rate": { "max": "40/s" } }), &[(0, None, 100_000.0)], 80.0, None, false);
        assert_eq!(slow.ends, Some(Time(2_500_000)));
        // Worth sending for ten minutes: 48,000 leave, 52,000 miss it.
        let late = played(json!({}), &[(0, Some(600_000), 100_000.0)], 80.0, None, false);
        assert_eq!((late.misses, late.ends), (52_000.0, Some(Time(600_000))));
        // Noon in Rome; the window closes at 13:00 and opens at 09:00, 21 h from now.
        let windowed = played(json!({ "schedule": { "window": ["09:00", "13:00"] } }), &[(0, None, 300_000.0)], 80.0, None, false);
        assert_eq!(windowed.ends, Some(Time(21 * 3_600_000 + 150_000)));
        // A canary of 800 goes first and is watched for a quarter of an hour.
        let canary = played(json!({}), &[(0, None, 100_000.0)], 80.0, Some((800.0, 900_000)), false);
        assert_eq!(canary.ends, Some(Time(900_000 + 1_240_000)));
        // What cannot leave at all is told.
        let never = played(json!({}), &[(0, None, 5.0)], 0.0, None, false);
        assert_eq!((never.beyond, never.ends), (5.0, None));
    }

    #[test]
    fn quiet_hours_hold_who_is_due_in_them_until_they_end() {
        // Noon in Rome: quiet until eight the next day, 20 h from now. What ends before then misses it.
        let opens = 20 * 3_600_000;
        let night = played(json!({}), &[(0, None, 800.0), (0, Some(3_600_000), 5.0)], 80.0, None, true);
        assert_eq!((night.begins, night.ends, night.misses), (Some(Time(opens)), Some(Time(opens + 10_000)), 5.0));
        let (((until, rule), people), 1) = (night.held.first_key_value().expect("they wait"), night.held.len()) else {
            panic!("{night:?}")
        };
        assert_eq!((until.to_string().as_str(), *people), ("2027-01-11T07:00:00Z", 805.0), "{rule}");
        // Due in two days' morning, and too many for it: the rest waits for the next.
        let (due, many) = (48 * 3_600_000 - 600_000, 80.0 * 660.0);
        let morning = played(json!({}), &[(due, None, many)], 80.0, None, true);
        assert_eq!(morning.begins, Some(Time(due)));
        assert_eq!(morning.held.into_values().collect::<Vec<_>>(), [80.0 * 60.0]);
    }
}

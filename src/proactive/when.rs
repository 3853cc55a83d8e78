//! Times as people say them: a time on somebody's own clock, a window of the day, a span.
//!
//! What a clock skips in spring is said an hour later, as everybody's clock does; what it shows twice in autumn is said at the
//! first of the two.

use fairway_adapters::contract::Time;
use jiff::civil::{DateTime, Time as Clock};
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp, ToSpan, Unit};

use super::Wrong;

/// An ISO 8601 duration as it is written there; our reader knows friendlier ways to write one, which no other does.
pub fn iso(text: &str) -> Option<jiff::Span> {
    text.trim_start_matches(['-', '+']).starts_with('P').then(|| text.parse().ok()).flatten()
}

/// Milliseconds of an ISO 8601 duration. A day has 24 hours here: nobody's calendar is asked.
pub fn span(text: &str, pointer: &str) -> Result<i64, Wrong> {
    let wrong = || Wrong::at(pointer, "duration_invalid", format!("`{text}` is no ISO 8601 duration; write PT30M, PT24H or P3D"));
    let span = iso(text).ok_or_else(wrong)?;
    let millis = span.total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours())).map_err(|_| wrong())?;
    if millis < 0.0 {
        return Err(wrong());
    }
    Ok(millis as i64)
}

/// A time zone by its IANA name.
pub fn zone(name: &str, pointer: &str) -> Result<TimeZone, Wrong> {
    let wrong = |_| Wrong::at(pointer, "zone_unknown", format!("there is no time zone `{name}`; write an IANA name such as Europe/Rome"));
    TimeZone::get(name).map_err(wrong)
}

/// A point in time that was said: of itself, or on a clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// The same for everybody.
    At(Time),
    /// When a clock shows this.
    Shown(DateTime),
}

impl Moment {
    /// Reads RFC 3339 with an offset, or a date and time without.
    pub fn parse(text: &str, pointer: &str) -> Result<Self, Wrong> {
        if let Some(at) = Time::parse(text) {
            return Ok(Self::At(at));
        }
        let detail = format!("`{text}` is no time; write 2027-03-01T10:00 (on the clock of `zone`) or 2027-03-01T10:00:00Z");
        text.parse().map(Self::Shown).map_err(|_| Wrong::at(pointer, "time_invalid", detail))
    }

    /// When that is in a zone.
    pub fn when(self, zone: &TimeZone) -> Time {
        match self {
            Self::At(at) => at,
            Self::Shown(shown) => zone.to_ambiguous_timestamp(shown).compatible().map_or(Time(i64::MAX), |t| Time(t.as_millisecond())),
        }
    }
}

/// A part of every day, on a person's own clock; one that ends before it begins goes over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Clock,
    to: Clock,
}

impl Window {
    /// Reads `["09:00", "20:00"]`.
    pub fn parse(texts: &[String; 2], pointer: &str) -> Result<Self, Wrong> {
        let clock = |n: usize| {
            let wrong = |_| Wrong::at(format!("{pointer}/{n}"), "time_invalid", format!("`{}` is no time of day; write 09:00", texts[n]));
            texts[n].parse::<Clock>().map_err(wrong)
        };
        let (from, to) = (clock(0)?, clock(1)?);
        if from == to {
            return Err(Wrong::at(pointer, "window_empty", "a window ends at another time than it begins"));
        }
        Ok(Self { from, to })
    }

    /// Whether a clock shows a time within it.
    fn holds(self, shown: Clock) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&shown),
            false => shown >= self.from || shown < self.to,
        }
    }

    /// The first time from `at` on that lies in the window of a zone: `at` itself, or the next opening.
    pub fn opens(self, at: Time, zone: &TimeZone) -> Time {
        let Ok(instant) = Timestamp::from_millisecond(at.0) else { return at };
        let shown = zone.to_datetime(instant);
        if self.holds(shown.time()) {
            return at;
        }
        let today = shown.date().to_datetime(self.from);
        let opening = if shown.time() < self.from { Some(today) } else { today.checked_add(1.day()).ok() };
        opening.map_or(at, |shown| Moment::Shown(shown).when(zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).expect("a time")
    }

    /// Real changes of the clock: Rome and New York in 2027, and Sydney, where spring is in October.
    #[test]
    fn a_clock_that_changes_is_followed() {
        for (zone_name, shown, utc) in [
            ("Europe/Rome", "2027-03-27T10:00", "2027-03-27T09:00:00Z"),
            ("Europe/Rome", "2027-03-28T02:30", "2027-03-28T01:30:00Z"), // skipped: shown as 03:30
            ("Europe/Rome", "2027-03-28T10:00", "2027-03-28T08:00:00Z"),
            ("Europe/Rome", "2027-10-31T02:30", "2027-10-31T00:30:00Z"), // twice: the first
            ("America/New_York", "2027-03-14T02:30", "2027-03-14T07:30:00Z"),
            ("America/New_York", "2027-11-07T01:30", "2027-11-07T05:30:00Z"),
            ("Australia/Sydney", "2027-10-03T02:30", "2027-10-02T16:30:00Z"),
            ("Australia/Sydney", "2027-04-04T02:30", "2027-04-03T15:30:00Z"),
        ] {
            let zone = zone(zone_name, "#").expect("a zone");
            let moment = Moment::parse(shown, "#").expect("a moment");
            assert_eq!(moment.when(&zone), at(utc), "{zone_name} {shown}");
        }
        assert_eq!(Moment::parse("2027-03-01T10:00:00+01:00", "#"), Ok(Moment::At(at("2027-03-01T09:00:00Z"))));
        assert!(Moment::parse("tomorrow", "#/at").is_err());
    }

    #[test]
    fn a_window_opens_on_the_persons_clock() {
        let day = Window::parse(&["09:00".into(), "20:00".into()], "#").expect("a window");
        let night = Window::parse(&["22:00".into(), "06:00".into()], "#").expect("a window");
        let rome = zone("Europe/Rome", "#").expect("a zone");
        for (window, now, opens) in [
            (day, "2027-03-27T08:00:00Z", "2027-03-27T08:00:00Z"),
            (day, "2027-03-27T07:59:00Z", "2027-03-27T08:00:00Z"),
            (day, "2027-03-27T19:00:00Z", "2027-03-28T07:00:00Z"), // closed at 20:00; opens when the clock has changed
            (night, "2027-01-10T12:00:00Z", "2027-01-10T21:00:00Z"),
            (night, "2027-01-10T03:00:00Z", "2027-01-10T03:00:00Z"),
        ] {
            assert_eq!(window.opens(at(now), &rome), at(opens), "{now}");
        }
        assert!(Window::parse(&["9".into(), "20:00".into()], "#").is_err());
    }

    #[test]
    fn spans_are_read_or_refused() {
        assert_eq!((span("PT30M", "#"), span("P3D", "#")), (Ok(1_800_000), Ok(259_200_000)));
        for text in ["30m", "1 day", "-PT1H", "P1M", ""] {
            assert_eq!(span(text, "#/wait").expect_err("no duration").pointer, "#/wait", "{text}");
        }
    }
}

//! Cron lines on a wall clock: `minute hour day-of-month month day-of-week`, with lists, ranges and steps.
//!
//! As everywhere, when both days are restricted either of them is enough. What a clock skips is said an hour later, what it
//! shows twice is said once.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

use crate::proactive::Wrong;

/// Days looked at without a hit before a line is taken to have no more: every 29 February is within.
const EMPTY: u32 = 3000;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either: bool,
}

impl Line {
    /// Reads `0 9 * * 1-5`.
    pub fn parse(text: &str, pointer: &str) -> Result<Self, Wrong> {
        let wrong = |why: String| Wrong::at(pointer, "cron_invalid", why);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(wrong("a line has five fields: minute, hour, day of the month, month, day of the week".into()));
        };
        let read = |field: &str, name: &str, from: u32, to: u32| {
            set(field, from, to).ok_or_else(|| wrong(format!("`{field}` is no {name}: numbers from {from} to {to}, lists, ranges, steps")))
        };
        let mut line = Self {
            minutes: read(minutes, "minute", 0, 59)?,
            hours: read(hours, "hour", 0, 23)?,
            days: read(days, "day of the month", 1, 31)?,
            months: read(months, "month", 1, 12)?,
            weekdays: read(weekdays, "day of the week", 0, 7)?,
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        };
        // Sunday is 0 and 7.
        line.weekdays |= line.weekdays >> 7 & 1;
        Ok(line)
    }

    /// Every time the line names, from a time on.
    pub fn from(&self, first: DateTime) -> impl Iterator<Item = DateTime> + '_ {
        let mut date = Some(first.date());
        let mut waiting: std::collections::VecDeque<DateTime> = std::collections::VecDeque::new();
        std::iter::from_fn(move || {
            for _ in 0..EMPTY {
                if let Some(at) = waiting.pop_front() {
                    return Some(at);
                }
                let today = date?;
                date = today.checked_add(1.day()).ok();
                if self.names(today) {
                    waiting.extend(self.times(today).filter(|at| *at >= first));
                }
            }
            None
        })
    }

    fn names(&self, date: Date) -> bool {
        let day = self.days >> date.day() & 1 == 1;
        let weekday = self.weekdays >> date.weekday().to_sunday_zero_offset() & 1 == 1;
        self.months >> date.month() & 1 == 1 && if self.either { day || weekday } else { day && weekday }
    }

    fn times(&self, date: Date) -> impl Iterator<Item = DateTime> + '_ {
        let hours = (0..24_i8).filter(|h| self.hours >> h & 1 == 1);
        hours.flat_map(move |h| (0..60_i8).filter(|m| self.minutes >> m & 1 == 1).map(move |m| date.at(h, m, 0, 0)))
    }
}

/// A field as a set of bits.
fn set(field: &str, from: u32, to: u32) -> Option<u64> {
    let mut bits = 0_u64;
    for item in field.split(',') {
        let (range, step) = item.split_once('/').map_or((item, Some(1)), |(range, step)| (range, step.parse().ok()));
        let step: u32 = step.filter(|s| *s > 0)?;
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (from, to),
            Some((low, high)) => (low.parse().ok()?, high.parse().ok()?),
            None => {
                let one = range.parse().ok()?;
                (one, if item.contains('/') { to } else { one })
            }
        };
        if low < from || high > to || low > high {
            return None;
        }
        (low..=high).step_by(step as usize).for_each(|n| bits |= 1 << n);
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_give_their_times() {
        for (line, first, expected) in [
            ("0 9 * * 1-5", "2027-03-05T10:00", ["2027-03-08T09:00:00", "2027-03-09T09:00:00"]),
            ("*/30 8,20 * * *", "2027-03-05T08:15", ["2027-03-05T08:30:00", "2027-03-05T20:00:00"]),
            ("15 10 1 * *", "2027-03-02T00:00", ["2027-04-01T10:15:00", "2027-05-01T10:15:00"]),
            ("0 0 29 2 *", "2027-01-01T00:00", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
            ("0 12 13 * 5", "2027-08-01T00:00", ["2027-08-06T12:00:00", "2027-08-13T12:00:00"]),
            ("0 7 * * 7", "2027-03-01T00:00", ["2027-03-07T07:00:00", "2027-03-14T07:00:00"]),
        ] {
            let line = Line::parse(line, "#").expect("a line");
            let times: Vec<String> = line.from(first.parse().expect("a time")).take(2).map(|t| t.to_string()).collect();
            assert_eq!(times, expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for line in ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "a * * * *"] {
            assert_eq!(Line::parse(line, "#/recurrence/cron").expect_err("no line").pointer, "#/recurrence/cron", "{line}");
        }
        assert_eq!(Line::parse("0 0 31 2 *", "#").expect("a line").from("2027-01-01T00:00".parse().expect("a time")).next(), None);
    }
}

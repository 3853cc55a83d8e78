//! Recurrence rules (RFC 5545, 3.3.10) on a wall clock: the part of them that appointments and renewals are made of.
//!
//! Occurrences are dates and times as a clock shows them; when that is, the time zone says afterwards, so an appointment at
//! nine stays at nine over every change of the clock. What is not understood is refused by name.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{Span, ToSpan};

use crate::proactive::Wrong;

/// Periods looked at without an occurrence before a rule is taken to have no more (29 February every 7 years, ...).
const EMPTY: u32 = 1500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Every {
    Day,
    Week,
    Month,
    Year,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    every: Every,
    interval: i64,
    count: Option<u32>,
    until: Option<DateTime>,
    /// Weekdays, with which of the month (`2MO`, `-1FR`).
    days: Vec<(Option<i32>, Weekday)>,
    month_days: Vec<i8>,
    months: Vec<i8>,
}

impl Rule {
    /// Reads `FREQ=WEEKLY;BYDAY=MO,TH;COUNT=10`.
    pub fn parse(text: &str, pointer: &str) -> Result<Self, Wrong> {
        let wrong = |why: String| Wrong::at(pointer, "rrule_invalid", why);
        let mut rule =
            Self { every: Every::Day, interval: 1, count: None, until: None, days: Vec::new(), month_days: Vec::new(), months: Vec::new() };
        let mut frequent = false;
        for pair in text.trim().trim_start_matches("RRULE:").split(';').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| wrong(format!("`{pair}` is no NAME=VALUE")))?;
            let invalid = || wrong(format!("`{value}` is no {key}"));
            match key.to_ascii_uppercase().as_str() {
                "FREQ" => {
                    frequent = true;
                    rule.every = every(value).ok_or_else(|| wrong(format!("FREQ is DAILY, WEEKLY, MONTHLY or YEARLY, not `{value}`")))?;
                }
                "INTERVAL" => rule.interval = value.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or_else(invalid)?,
                "COUNT" => rule.count = Some(value.parse().ok().filter(|n| *n > 0).ok_or_else(invalid)?),
                "UNTIL" => rule.until = Some(until(value).ok_or_else(invalid)?),
                "BYDAY" => rule.days = value.split(',').map(day).collect::<Option<_>>().ok_or_else(invalid)?,
                "BYMONTHDAY" => rule.month_days = numbers(value, 31, true).ok_or_else(invalid)?,
                "BYMONTH" => rule.months = numbers(value, 12, false).ok_or_else(invalid)?,
                "WKST" if value.eq_ignore_ascii_case("MO") => {}
                other => return Err(Wrong::at(pointer, "not_supported", format!("this build does not know {other} in a recurrence"))),
            }
        }
        if !frequent {
            return Err(wrong("say how often: FREQ=DAILY, WEEKLY, MONTHLY or YEARLY".into()));
        }
        if rule.count.is_some() && rule.until.is_some() {
            return Err(wrong("COUNT and UNTIL exclude each other".into()));
        }
        let nth = rule.days.iter().any(|(n, _)| n.is_some());
        if nth && (rule.every != Every::Month) {
            return Err(Wrong::at(pointer, "not_supported", "this build knows numbered weekdays (2MO) with FREQ=MONTHLY only"));
        }
        if !rule.days.is_empty() && !rule.month_days.is_empty() {
            return Err(Wrong::at(pointer, "not_supported", "this build does not combine BYDAY with BYMONTHDAY"));
        }
        Ok(rule)
    }

    /// Every occurrence from the first on, which is always one.
    pub fn from(&self, first: DateTime) -> impl Iterator<Item = DateTime> + '_ {
        let mut period = 0;
        let mut waiting: std::collections::VecDeque<Date> = std::collections::VecDeque::from([first.date()]);
        let mut given = 0;
        std::iter::from_fn(move || {
            let mut empty = 0;
            loop {
                if self.count.is_some_and(|count| given >= count) {
                    return None;
                }
                if let Some(date) = waiting.pop_front() {
                    let at = date.to_datetime(first.time());
                    if self.until.is_some_and(|until| at > until) {
                        return None;
                    }
                    given += 1;
                    return Some(at);
                }
                let dates = self.period(first.date(), period)?;
                period += 1;
                waiting.extend(dates.into_iter().filter(|d| *d > first.date()));
                empty += 1;
                if empty > EMPTY {
                    return None;
                }
            }
        })
    }

    /// The dates of the nth period, in order; `None` beyond the calendar.
    fn period(&self, first: Date, n: i64) -> Option<Vec<Date>> {
        let ahead = n.checked_mul(self.interval)?;
        let mut dates = match self.every {
            Every::Day => vec![first.checked_add(Span::new().try_days(ahead).ok()?).ok()?],
            Every::Week => {
                let monday = first.checked_sub(i64::from(first.weekday().to_monday_zero_offset()).days()).ok()?;
                let monday = monday.checked_add(Span::new().try_weeks(ahead).ok()?).ok()?;
                let days = if self.days.is_empty() { vec![(None, first.weekday())] } else { self.days.clone() };
                days.iter().filter_map(|(_, d)| monday.checked_add(i64::from(d.to_monday_zero_offset()).days()).ok()).collect()
            }
            Every::Month => self.of_month(first.first_of_month().checked_add(Span::new().try_months(ahead).ok()?).ok()?, first),
            Every::Year => {
                let year = first.year().checked_add(i16::try_from(ahead).ok()?)?;
                let months = if self.months.is_empty() { vec![first.month()] } else { self.months.clone() };
                let mut dates = Vec::new();
                for month in months {
                    dates.extend(self.of_month(Date::new(year, month, 1).ok()?, first));
                }
                dates
            }
        };
        dates.retain(|d| self.months.is_empty() || self.months.contains(&d.month()));
        if matches!(self.every, Every::Day) {
            dates.retain(|d| self.days.is_empty() || self.days.iter().any(|(_, w)| *w == d.weekday()));
            dates.retain(|d| self.month_days.is_empty() || self.month_days.iter().any(|n| month_day(d.first_of_month(), *n) == Some(*d)));
        }
        dates.sort();
        dates.dedup();
        Some(dates)
    }

    /// The dates of a month: by weekday, by number, or the first occurrence's own number where the month has it.
    fn of_month(&self, month: Date, first: Date) -> Vec<Date> {
        if !self.days.is_empty() {
            return self.days.iter().flat_map(|(nth, weekday)| weekdays(month, *nth, *weekday)).collect();
        }
        let own = [first.day()];
        let numbers = if self.month_days.is_empty() { &own[..] } else { &self.month_days };
        numbers.iter().filter_map(|n| month_day(month, *n)).collect()
    }
}

fn every(word: &str) -> Option<Every> {
    Some(match word.to_ascii_uppercase().as_str() {
        "DAILY" => Every::Day,
        "WEEKLY" => Every::Week,
        "MONTHLY" => Every::Month,
        "YEARLY" => Every::Year,
        _ => return None,
    })
}

/// `20270331` or `20270331T090000`, on the rule's own clock; a day means all of it.
fn until(text: &str) -> Option<DateTime> {
    let text = text.trim_end_matches('Z');
    let (date, time) = text.split_once('T').unwrap_or((text, "235959"));
    let number = |t: &str, at: std::ops::Range<usize>| t.get(at)?.parse::<i16>().ok();
    let date = Date::new(number(date, 0..4)?, number(date, 4..6)? as i8, number(date, 6..8)? as i8).ok()?;
    let time = Time::new(number(time, 0..2)? as i8, number(time, 2..4)? as i8, number(time, 4..6)? as i8, 0).ok()?;
    Some(date.to_datetime(time))
}

fn day(text: &str) -> Option<(Option<i32>, Weekday)> {
    let text = text.trim().to_ascii_uppercase();
    let (number, word) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let weekday = match word {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    };
    match number {
        "" => Some((None, weekday)),
        number => Some((Some(number.parse().ok().filter(|n: &i32| *n != 0 && n.abs() <= 5)?), weekday)),
    }
}

fn numbers(text: &str, most: i8, negative: bool) -> Option<Vec<i8>> {
    let fits = |n: &i8| *n != 0 && n.unsigned_abs() <= most.unsigned_abs() && (negative || *n > 0);
    text.split(',').map(|n| n.trim().parse().ok().filter(fits)).collect()
}

/// The nth day of a month, from its end when negative; none where the month is too short.
fn month_day(month: Date, n: i8) -> Option<Date> {
    let day = if n > 0 { n } else { month.days_in_month() + 1 + n };
    (day > 0 && day <= month.days_in_month()).then(|| month.with().day(day).build().ok()).flatten()
}

/// The nth weekday of a month, or all of them.
fn weekdays(month: Date, nth: Option<i32>, weekday: Weekday) -> Vec<Date> {
    let days = (1..=month.days_in_month()).filter_map(|n| month_day(month, n)).filter(|d| d.weekday() == weekday);
    let all: Vec<Date> = days.collect();
    match nth {
        None => all,
        Some(n) if n > 0 => all.get(n as usize - 1).copied().into_iter().collect(),
        Some(n) => all.len().checked_sub(n.unsigned_abs() as usize).and_then(|at| all.get(at).copied()).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proactive::when::{Moment, zone};

    fn dates(rule: &str, first: &str, count: usize) -> Vec<String> {
        let rule = Rule::parse(rule, "#/recurrence").expect("a rule");
        rule.from(first.parse().expect("a time")).take(count).map(|d| d.strftime("%Y-%m-%d").to_string()).collect()
    }

    #[test]
    fn rules_give_their_dates() {
        for (rule, first, expected) in [
            ("FREQ=DAILY;INTERVAL=10;COUNT=3", "2027-01-25T09:00", vec!["2027-01-25", "2027-02-04", "2027-02-14"]),
            ("FREQ=WEEKLY;BYDAY=MO,TH", "2027-03-02T09:00", vec!["2027-03-02", "2027-03-04", "2027-03-08", "2027-03-11"]),
            ("FREQ=WEEKLY;INTERVAL=2;UNTIL=20270320", "2027-03-01T09:00", vec!["2027-03-01", "2027-03-15"]),
            ("FREQ=MONTHLY;BYDAY=-1FR", "2027-01-29T09:00", vec!["2027-01-29", "2027-02-26", "2027-03-26"]),
            ("FREQ=MONTHLY;BYDAY=2TU", "2027-01-12T09:00", vec!["2027-01-12", "2027-02-09", "2027-03-09"]),
            ("FREQ=MONTHLY", "2027-01-31T09:00", vec!["2027-01-31", "2027-03-31", "2027-05-31"]),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", "2027-01-31T09:00", vec!["2027-01-31", "2027-02-28", "2027-03-31"]),
            ("FREQ=YEARLY", "2028-02-29T09:00", vec!["2028-02-29", "2032-02-29", "2036-02-29"]),
            ("FREQ=YEARLY;BYMONTH=3,9;COUNT=3", "2027-03-05T09:00", vec!["2027-03-05", "2027-09-05", "2028-03-05"]),
            ("RRULE:FREQ=DAILY;BYDAY=SA,SU", "2027-03-06T09:00", vec!["2027-03-06", "2027-03-07", "2027-03-13"]),
        ] {
            assert_eq!(dates(rule, first, expected.len().max(3)), expected, "{rule}");
        }
    }

    #[test]
    fn a_rule_that_is_not_understood_is_refused_by_name() {
        for (rule, code) in [
            ("FREQ=HOURLY", "rrule_invalid"),
            ("BYDAY=MO", "rrule_invalid"),
            ("FREQ=DAILY;COUNT=1;UNTIL=20270101", "rrule_invalid"),
            ("FREQ=WEEKLY;BYDAY=XX", "rrule_invalid"),
            ("FREQ=DAILY;BYSETPOS=1", "not_supported"),
            ("FREQ=YEARLY;BYDAY=20MO", "rrule_invalid"),
            ("FREQ=DAILY;BYHOUR=9", "not_supported"),
            ("FREQ=WEEKLY;BYDAY=2MO", "not_supported"),
        ] {
            assert_eq!(Rule::parse(rule, "#").expect_err("not understood").code, code, "{rule}");
        }
    }

    /// Nine o'clock stays nine o'clock over the changes of 2027 in three zones.
    #[test]
    fn the_clock_is_followed_over_every_change() {
        for (zone_name, first, expected) in [
            ("Europe/Rome", "2027-03-27T09:00", ["2027-03-27T08:00:00Z", "2027-03-28T07:00:00Z", "2027-03-29T07:00:00Z"]),
            ("America/New_York", "2027-11-06T09:00", ["2027-11-06T13:00:00Z", "2027-11-07T14:00:00Z", "2027-11-08T14:00:00Z"]),
            ("Australia/Sydney", "2027-10-02T09:00", ["2027-10-01T23:00:00Z", "2027-10-02T22:00:00Z", "2027-10-03T22:00:00Z"]),
        ] {
            let zone = zone(zone_name, "#").expect("a zone");
            let rule = Rule::parse("FREQ=DAILY", "#").expect("a rule");
            let times: Vec<String> =
                rule.from(first.parse().expect("a time")).take(3).map(|d| Moment::Shown(d).when(&zone).to_string()).collect();
            assert_eq!(times, expected, "{zone_name}");
        }
    }
}

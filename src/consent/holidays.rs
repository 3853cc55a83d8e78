//! Public holidays, computed from rules: the tables of quiet hours name them where a day without marketing is one.
//!
//! A rule is a fixed date (`12-25`), a day counted from Easter Sunday (`easter+39`), or a weekday of a month (`thu 4 nov`,
//! `mon last may`), each perhaps with days added (`thu 4 nov +1`) or only in even years (`mon 1 nov +1 even`).

use jiff::civil::{Date, Weekday};
use jiff::{Span, ToSpan};

/// A day that comes every year, or every second one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    day: Day,
    /// Days after it.
    plus: i64,
    even: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Day {
    /// Month and day.
    Fixed(i8, i8),
    /// Easter Sunday.
    Easter,
    /// The nth weekday of a month, from its end when negative.
    Nth(Weekday, i8, i8),
}

/// The holidays of a country or state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holidays {
    rules: Vec<Rule>,
    observed: Observed,
}

/// Which other day is a holiday too when a fixed one falls on the weekend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Observed {
    /// None.
    #[default]
    Never,
    /// The Monday after a Sunday.
    Monday,
    /// The Monday after a Sunday, the Friday before a Saturday.
    Nearest,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Rule {
    /// Reads a rule of the table; nothing where it is none.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').collect::<Vec<_>>();
        let even = words.pop_if(|w| *w == "even").is_some();
        let plus = words.pop_if(|w| w.starts_with('+')).map_or(Some(0), |w| w.parse().ok())?;
        let (day, more) = match words[..] {
            [weekday, nth, month] => {
                let (_, weekday) = WEEKDAYS.into_iter().find(|(name, _)| *name == weekday)?;
                let nth = if nth == "last" { -1 } else { nth.parse().ok().filter(|n| (1..=5).contains(n))? };
                (Day::Nth(weekday, nth, MONTHS.iter().position(|m| *m == month)? as i8 + 1), 0)
            }
            [one] => match (one.strip_prefix("easter"), one.split_once('-')) {
                (Some(rest), _) => (Day::Easter, if rest.is_empty() { 0 } else { rest.parse().ok()? }),
                (None, Some((month, day))) => (Day::Fixed(month.parse().ok()?, day.parse().ok()?), 0),
                (None, None) => return None,
            },
            _ => return None,
        };
        Some(Self { day, plus: plus + more, even })
    }

    /// The day of a year.
    fn on(&self, year: i16) -> Option<Date> {
        if self.even && year % 2 != 0 {
            return None;
        }
        let day = match self.day {
            Day::Fixed(month, day) => Date::new(year, month, day).ok()?,
            Day::Easter => easter(year)?,
            Day::Nth(weekday, nth, month) => Date::new(year, month, 1).ok()?.nth_weekday_of_month(nth, weekday).ok()?,
        };
        day.checked_add(Span::new().try_days(self.plus).ok()?).ok()
    }
}

impl Holidays {
    /// Reads the rules of the table; the error is the first that is none.
    pub(super) fn parse(rules: &[String], observed: Observed) -> Result<Self, String> {
        let rules = rules.iter().map(|text| Rule::parse(text).ok_or_else(|| format!("`{text}` is no rule of a holiday")));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, observed })
    }

    /// Whether a date is a holiday, or the day on which one is observed.
    pub(super) fn contains(&self, date: Date) -> bool {
        // A New Year's Day on a Saturday is observed on the last day of the year before.
        let years = [date.year(), date.year().saturating_add(1)];
        self.rules.iter().any(|rule| years.into_iter().filter_map(|year| rule.on(year)).any(|day| self.is_on(rule, day, date)))
    }

    fn is_on(&self, rule: &Rule, day: Date, date: Date) -> bool {
        let moved = match (day.weekday(), self.observed) {
            _ if !matches!(rule.day, Day::Fixed(..)) => None,
            (Weekday::Sunday, Observed::Monday | Observed::Nearest) => day.checked_add(1.day()).ok(),
            (Weekday::Saturday, Observed::Nearest) => day.checked_sub(1.day()).ok(),
            _ => None,
        };
        day == date || moved == Some(date)
    }
}

/// Easter Sunday of the Gregorian calendar: the algorithm of Meeus, Jones and Butcher (Nature, 20 April 1876).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    Date::new(year, (n / 31) as i8, (n % 31 + 1) as i8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().expect(text)
    }

    #[test]
    fn rules_name_real_dates() {
        for (rule, expected) in [
            ("12-25", "2027-12-25"),
            ("easter", "2027-03-28"),
            ("easter+1", "2027-03-29"),
            ("easter-2", "2027-03-26"),
            ("easter-47", "2027-02-09"),
            ("easter+39", "2027-05-06"),
            ("easter+50", "2027-05-17"),
            ("mon 3 jan", "2027-01-18"),
            ("mon last may", "2027-05-31"),
            ("thu 4 nov", "2027-11-25"),
            ("thu 4 nov +1", "2027-11-26"),
            ("mon 1 nov +1", "2027-11-02"),
        ] {
            assert_eq!(Rule::parse(rule).expect(rule).on(2027), Some(date(expected)), "{rule}");
        }
        let election = Rule::parse("mon 1 nov +1 even").expect("a rule");
        assert_eq!((election.on(2027), election.on(2028)), (None, Some(date("2028-11-07"))));
        for (year, day) in [(2000, "2000-04-23"), (2008, "2008-03-23"), (2024, "2024-03-31"), (2025, "2025-04-20"), (2038, "2038-04-25")] {
            assert_eq!(easter(year), Some(date(day)));
        }
        for wrong in ["", "tomorrow", "13", "mon 6 jan", "day 1 jan", "easter+x", "12-25 soon"] {
            assert_eq!(Rule::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_holiday_at_the_weekend_is_observed_beside_it() {
        let rules = ["01-01", "12-25", "mon 3 jan"].map(str::to_owned);
        let of = |observed| Holidays::parse(&rules, observed).expect("rules");
        let holiday = |observed, day: &str| of(observed).contains(date(day));
        // Christmas of 2027 is a Saturday, and so is New Year's Day of 2028; Christmas of 2022 was a Sunday.
        for (day, never, monday, nearest) in [
            ("2027-12-25", true, true, true),
            ("2027-12-24", false, false, true),
            ("2027-12-27", false, false, false),
            ("2027-12-31", false, false, true),
            ("2022-12-26", false, true, true),
            ("2027-01-18", true, true, true),
            ("2027-01-19", false, false, false),
        ] {
            let found = [Observed::Never, Observed::Monday, Observed::Nearest].map(|observed| holiday(observed, day));
            assert_eq!(found, [never, monday, nearest], "{day}");
        }
    }
}

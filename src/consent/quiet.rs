//! Quiet hours: marketing goes out within hours of the person's own day. A pure question of who, when, and the tables.
//!
//! Who may live in several zones, as far as is known, is written to when all of them allow it.

use std::{collections::BTreeMap, sync::LazyLock};

use fairway_adapters::contract::Time;
use jiff::{Timestamp, ToSpan, Zoned, civil, tz::TimeZone};
use serde::Deserialize;

use super::holidays::{Holidays, Observed};
use crate::config::consent::{Hours as Span, QuietHours};
use crate::people::{Contact, address, place};

/// Where a person lives, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Whereabouts {
    /// The zone, or those it may be.
    pub zones: Vec<String>,
    /// ISO 3166-1.
    pub country: Option<String>,
    /// Region in the country.
    pub region: Option<String>,
}

impl Whereabouts {
    /// Of the person at an address: what is kept of the contact, else what the number says.
    pub fn of(to: &str, contact: Option<&Contact>) -> Self {
        let normal = address::normal(to);
        let own = std::iter::once(&*normal);
        let others = contact.into_iter().flat_map(|c| c.addresses.iter().map(|a| a.address.as_str()));
        let guess = place::of(own.chain(others), contact.and_then(|c| c.locale.as_deref()));
        let given = contact.filter(|c| !c.time_zone_guessed).and_then(|c| c.time_zone.clone());
        let country = contact.and_then(|c| c.country.clone());
        // A number from elsewhere says nothing about the country a person is known to live in.
        let guess = guess.filter(|g| country.as_deref().is_none_or(|c| c == g.country));
        let zones = match given {
            Some(zone) => vec![zone],
            None => guess.map(|g| g.zones).or(country.as_deref().map(place::zones)).unwrap_or_default().to_vec(),
        };
        let region = contact.and_then(|c| c.region.clone()).or(guess.and_then(|g| g.region).map(str::to_owned));
        Self { zones, country: country.or(guess.map(|g| g.country.to_owned())), region }
    }
}

/// How the words begin that name the hours which hold a message.
pub const HOURS: &str = "quiet hours";

/// What the hours say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Now is fine, and until then.
    Open(Time),
    /// Not before then; and which rule says so.
    Closed(Time, String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    daily: Vec<String>,
    saturday: Option<Vec<String>>,
    sunday: Option<Vec<String>>,
    #[serde(default)]
    holidays: Vec<String>,
    #[serde(default)]
    observed: Observed,
    #[serde(rename = "source")]
    _source: String,
}

/// Minutes of the day from and until; nothing is a day without any.
type Minutes = Option<(u16, u16)>;

struct Week {
    daily: Minutes,
    saturday: Minutes,
    sunday: Minutes,
    /// Days without any.
    holidays: Holidays,
}

static TABLE: LazyLock<BTreeMap<String, Week>> = LazyLock::new(|| {
    let rows: BTreeMap<String, Row> = toml::from_str(include_str!("quiet_hours.toml")).expect("the table is valid");
    let minutes = |span: &[String]| match span {
        [from, to] => match Span::between(from, to).expect("the table has hours") {
            Span::Between(from, to) => Some((from, to)),
            Span::Off => None,
        },
        _ => None,
    };
    let week = |row: Row| {
        let daily = minutes(&row.daily);
        let or_daily = |day: &Option<Vec<String>>| day.as_deref().map_or(daily, minutes);
        let holidays = Holidays::parse(&row.holidays, row.observed).expect("the table has rules of holidays");
        Week { daily, saturday: or_daily(&row.saturday), sunday: or_daily(&row.sunday), holidays }
    };
    rows.into_iter().map(|(name, row)| (name, week(row))).collect()
});

/// The hours in force.
#[derive(Clone, Copy, Debug)]
pub struct Hours {
    marketing: Span,
    tables: bool,
}

/// How many days ahead an opening is looked for.
const AHEAD: i64 = 9;

impl Hours {
    /// As configured.
    pub fn new(config: &QuietHours) -> Self {
        Self { marketing: config.marketing, tables: config.tables }
    }

    /// Whether any hours are kept at all, on a channel with these of its own.
    pub fn are_kept(&self, own: Option<Span>) -> bool {
        own.unwrap_or(self.marketing) != Span::Off
    }

    /// Whether marketing may go to a person now. `own`: the channel's hours.
    pub fn ask(&self, own: Option<Span>, at: &Whereabouts, now: Time) -> Quiet {
        let forever = Quiet::Open(Time(i64::MAX));
        let base = match own.unwrap_or(self.marketing) {
            Span::Off => return forever,
            Span::Between(from, to) => Some((from, to)),
        };
        let zones: Vec<TimeZone> = at.zones.iter().filter_map(|z| TimeZone::get(z).ok()).collect();
        let Ok(start) = Timestamp::from_millisecond(now.0) else { return forever };
        if zones.is_empty() {
            return forever;
        }
        let (name, row) = self.row(at).unzip();
        let minutes = |date: civil::Date| both(base, row.map_or(Some((0, 1440)), |week: &Week| week.on(date)));
        let mut at_once = start;
        // Each pass moves on to when the last closed zone opens; what never opens together ends the search.
        for _ in 0..64 {
            let opens = zones.iter().filter_map(|zone| opening(zone, at_once, &minutes)).max();
            match opens {
                Some(later) => at_once = later,
                None => break,
            }
            if at_once > start + (AHEAD * 24).hours() {
                break;
            }
        }
        if at_once == start {
            let ends = zones.iter().filter_map(|zone| closing(zone, start, &minutes)).min();
            return ends.map_or(forever, |end| Quiet::Open(Time(end.as_millisecond())));
        }
        let on_holiday = row.is_some_and(|week| zones.iter().any(|zone| week.holidays.contains(start.to_zoned(zone.clone()).date())));
        let rule = match name {
            Some(name) if on_holiday => format!("{HOURS} of {name}, on a public holiday"),
            Some(name) => format!("{HOURS} of {name}"),
            None => HOURS.to_owned(),
        };
        Quiet::Closed(Time(at_once.as_millisecond()), rule)
    }

    fn row(&self, at: &Whereabouts) -> Option<(String, &'static Week)> {
        if !self.tables {
            return None;
        }
        let country = at.country.as_deref()?;
        let named = at.region.as_ref().map(|region| format!("{country}-{region}"));
        // A state without a row of its own has the federal hours; a state nobody knows has the narrower ones.
        let names = [named.clone(), named.map(|_| format!("{country}-FEDERAL")), Some(country.to_owned())];
        names.into_iter().flatten().find_map(|name| TABLE.get(&name).map(|week| (name, week)))
    }
}

impl Week {
    fn on(&self, date: civil::Date) -> Minutes {
        if self.holidays.contains(date) {
            return None;
        }
        match date.weekday() {
            civil::Weekday::Saturday => self.saturday,
            civil::Weekday::Sunday => self.sunday,
            _ => self.daily,
        }
    }
}

/// What both allow.
fn both(a: Minutes, b: Minutes) -> Minutes {
    let ((from, to), (other_from, other_to)) = (a?, b?);
    let (from, to) = (from.max(other_from), to.min(other_to));
    (from < to).then_some((from, to))
}

/// A minute of a day as an instant: within a gap of the clock the moment after it, where there are two the first.
fn instant(zone: &TimeZone, date: civil::Date, minute: u16) -> Option<Timestamp> {
    let (date, minute) = if minute == 1440 { (date.tomorrow().ok()?, 0) } else { (date, minute) };
    let time = civil::time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
    zone.to_zoned(date.to_datetime(time)).ok().map(|z: Zoned| z.timestamp())
}

/// When a zone opens, if it is closed at this moment.
fn opening(zone: &TimeZone, now: Timestamp, minutes: &impl Fn(civil::Date) -> Minutes) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    for day in 0..AHEAD {
        let date = today.checked_add(day.days()).ok()?;
        let Some((from, to)) = minutes(date) else { continue };
        let (from, to) = (instant(zone, date, from)?, instant(zone, date, to)?);
        if now < to {
            return (now < from).then_some(from);
        }
    }
    // Hours that leave no minute of any day: it waits, and runs out.
    now.checked_add((AHEAD * 24).hours()).ok()
}

/// When a zone that is open at this moment closes.
fn closing(zone: &TimeZone, now: Timestamp, minutes: &impl Fn(civil::Date) -> Minutes) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    let (_, to) = minutes(today)?;
    instant(zone, today, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time::parse(text).expect(text)
    }

    fn hours() -> Hours {
        Hours { marketing: Span::Between(480, 1260), tables: true }
    }

    fn place(zones: &[&str], country: Option<&str>, region: Option<&str>) -> Whereabouts {
        Whereabouts {
            zones: zones.iter().map(|z| (*z).to_owned()).collect(),
            country: country.map(str::to_owned),
            region: region.map(str::to_owned),
        }
    }

    #[test]
    fn a_table_of_real_dates() {
        for (zone, country, region, now, expected) in [
            // Berlin: 9 to 20, no Sunday. Saturday evening waits for Monday.
            ("Europe/Berlin", Some("DE"), None, "2027-03-03T10:00:00Z", None),
            ("Europe/Berlin", Some("DE"), None, "2027-03-06T19:30:00Z", Some("2027-03-08T08:00:00Z")),
            // The clock goes forward on 28 March 2027, a Sunday: Monday's nine o'clock is an hour earlier in UTC.
            ("Europe/Berlin", Some("DE"), None, "2027-03-27T20:00:00Z", Some("2027-03-29T07:00:00Z")),
            // New York, 14 March 2027, a Sunday, the clock goes forward at two.
            ("America/New_York", Some("US"), Some("NY"), "2027-03-14T05:00:00Z", Some("2027-03-14T12:00:00Z")),
            // Texas: Sunday from noon.
            ("America/Chicago", Some("US"), Some("TX"), "2027-01-10T15:00:00Z", Some("2027-01-10T18:00:00Z")),
            // A US number of which nobody knows the state: from ten.
            ("America/New_York", Some("US"), None, "2027-01-11T14:00:00Z", Some("2027-01-11T15:00:00Z")),
            // France: Easter Monday of 2027 comes after a Sunday, and waits for Tuesday.
            ("Europe/Paris", Some("FR"), None, "2027-03-27T22:00:00Z", Some("2027-03-30T06:00:00Z")),
            // Whether it is a holiday is asked of the person's own calendar: in Alabama it is still the third of July.
            ("America/Chicago", Some("US"), Some("AL"), "2028-07-04T00:30:00Z", None),
            // Alabama, the Fourth of July, a Sunday in 2027, is observed on Monday.
            ("America/Chicago", Some("US"), Some("AL"), "2027-07-05T15:00:00Z", Some("2027-07-06T13:00:00Z")),
            // Louisiana: Mardi Gras. Pennsylvania and its neighbour without a row on the same Thanksgiving.
            ("America/Chicago", Some("US"), Some("LA"), "2027-02-09T15:00:00Z", Some("2027-02-10T14:00:00Z")),
            ("America/New_York", Some("US"), Some("PA"), "2027-11-25T15:00:00Z", Some("2027-11-26T13:00:00Z")),
            ("America/New_York", Some("US"), Some("OH"), "2027-11-25T15:00:00Z", None),
            // No row: the configured hours. Lord Howe moves by half an hour.
            ("Australia/Lord_Howe", Some("AU"), None, "2027-04-03T20:00:00Z", Some("2027-04-03T21:30:00Z")),
        ] {
            let quiet = hours().ask(None, &place(&[zone], country, region), time(now));
            match (&quiet, expected) {
                (Quiet::Open(_), None) => {}
                (Quiet::Closed(until, _), Some(expected)) => assert_eq!(*until, time(expected), "{zone} at {now}"),
                _ => panic!("{zone} at {now}: {quiet:?} and not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_holiday_is_named() {
        let at = place(&["Europe/Paris"], Some("FR"), None);
        let rule = |now: &str| match hours().ask(None, &at, time(now)) {
            Quiet::Closed(_, rule) => rule,
            open => panic!("{open:?}"),
        };
        assert_eq!(rule("2027-07-14T10:00:00Z"), "quiet hours of FR, on a public holiday");
        assert_eq!(rule("2027-07-13T22:00:00Z"), "quiet hours of FR, on a public holiday", "midnight has passed in Paris");
        assert_eq!(rule("2027-07-13T21:00:00Z"), "quiet hours of FR");
    }

    #[test]
    fn several_zones_must_all_allow_it() {
        let either = place(&["America/New_York", "Pacific/Honolulu"], Some("US"), None);
        // Ten in Honolulu is 20:00 UTC; eight in the evening in New York is one in the morning UTC.
        let quiet = hours().ask(None, &either, time("2027-01-11T15:00:00Z"));
        assert!(
            matches!(&quiet, Quiet::Closed(until, rule) if *until == time("2027-01-11T20:00:00Z") && rule == "quiet hours of US"),
            "{quiet:?}"
        );
        assert_eq!(hours().ask(None, &either, time("2027-01-11T21:00:00Z")), Quiet::Open(time("2027-01-12T01:00:00Z")));
    }

    #[test]
    fn who_is_nowhere_and_who_keeps_no_hours_is_never_quiet() {
        let open = Quiet::Open(Time(i64::MAX));
        let night = time("2027-03-03T01:00:00Z");
        assert_eq!(hours().ask(None, &Whereabouts::default(), night), open);
        assert_eq!(hours().ask(Some(Span::Off), &place(&["Europe/Berlin"], Some("DE"), None), night), open);
        let at = Whereabouts::of("tel:+4917012345678", None);
        assert_eq!((at.zones.len(), at.country.as_deref()), (1, Some("DE")));
        assert!(matches!(hours().ask(None, &at, night), Quiet::Closed(..)));
        assert_eq!(Whereabouts::of("telegram:5550001", None), Whereabouts::default());
        let given = Contact { time_zone: Some("Asia/Tokyo".into()), country: Some("JP".into()), ..Contact::default() };
        assert_eq!(Whereabouts::of("tel:+4917012345678", Some(&given)), place(&["Asia/Tokyo"], Some("JP"), None));
    }
}

//! Reminders: messages that hang on an anchor (an appointment, a delivery, a renewal), so many days or hours before or after it.
//!
//! The anchor has a version. Putting a higher one moves everything: what waits is over and comes anew at the new times, what
//! lies in a lane is recalled. Days are days on the anchor's own clock, hours are hours.

pub mod cron;
pub mod rrule;

use std::collections::{BTreeMap, BTreeSet};

use fairway_adapters::contract::{Category, Template as Approved, Time};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use serde_with::skip_serializing_none;

use super::audiences::{Person, address};
use super::due::{self, Composed, Due, Kind, Step, take_back};
use super::templates::is_locale;
use super::when::{Moment, iso, zone};
use super::{Failed, Room, Wrong};
use crate::clock;
use crate::store::db::Statement;
use crate::values;

/// How far ahead the occurrences of a recurring anchor are written down, and when the next are, in milliseconds.
const AHEAD: (i64, i64) = (40 * 86_400_000, 20 * 86_400_000);
/// Occurrences written down at a time.
const OCCURRENCES: usize = 200;
/// Offsets of an anchor.
const OFFSETS: usize = 20;
/// How long a reminder after its anchor is worth sending, in milliseconds.
const AFTER: i64 = 86_400_000;

/// The body of `POST /v1/reminders`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reminder {
    /// What it hangs on.
    pub anchor: Anchor,
    /// When, from the anchor: ISO 8601, `-P1D` a day before, `PT2H` two hours after.
    pub offsets: Vec<String>,
    /// Whom it reminds.
    pub to: To,
    /// Through which channels, of which the person's preferred one is taken.
    pub channels: Vec<String>,
    /// A template of `/v1/templates`, or the provider's own; this or `parts`.
    #[schema(value_type = Option<Object>)]
    pub template: Option<Approved>,
    /// The words in place; this or `template`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub parts: Vec<Value>,
    /// Names of tracked events, or ids of choices, by which the person ends it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_on: Vec<String>,
    /// When the anchor comes again.
    pub recurrence: Option<Recurrence>,
    /// What kind of message it is in law.
    #[serde(default)]
    #[schema(value_type = String, format = "category")]
    pub category: Category,
    /// Comes back in every status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What a reminder hangs on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReminderAnchor)]
pub struct Anchor {
    /// Your id of it: 1 to 200 characters.
    pub id: String,
    /// When it is, as the clock of its zone shows it: `2027-02-10T14:30:00`.
    pub at: String,
    /// IANA.
    #[serde(default = "utc")]
    pub zone: String,
    /// Counts its changes: a higher one replaces all lower ones.
    #[serde(default = "one")]
    pub version: i64,
}

fn utc() -> String {
    "UTC".into()
}

fn one() -> i64 {
    1
}

/// When an anchor comes again; one of the two.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recurrence {
    /// A recurrence rule (RFC 5545): `FREQ=WEEKLY;BYDAY=MO`. The anchor's own time is the first.
    pub rrule: Option<String>,
    /// A cron line: `0 9 * * 1-5`, from the anchor's own time on.
    pub cron: Option<String>,
}

/// Whom a reminder or trigger is for.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReminderTo)]
pub struct To {
    /// A contact of `/v1/contacts`.
    pub contact: Option<String>,
    /// An address.
    pub address: Option<String>,
    /// Several addresses of the same person, the preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Name.
    pub name: Option<String>,
    /// BCP 47.
    pub locale: Option<String>,
    /// IANA.
    pub time_zone: Option<String>,
    /// What else templates may ask for.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
}

impl To {
    /// The person, or what is wrong.
    pub fn person(&self) -> Result<Person, Wrong> {
        if self.contact.is_some() {
            return Err(Wrong::at("#/to/contact", "not_supported", "this build knows no contacts here yet; say `address` or `addresses`"));
        }
        let addresses: Vec<String> = self.address.iter().chain(&self.addresses).cloned().collect();
        if addresses.is_empty() {
            return Err(Wrong::at("#/to/address", "missing", "say whom to remind: `address` or `addresses`"));
        }
        if let Some((n, why)) = addresses.iter().enumerate().find_map(|(n, a)| Some((n, address(a).err()?))) {
            return Err(Wrong::at(format!("#/to/addresses/{n}"), "address_invalid", why));
        }
        if self.locale.as_deref().is_some_and(|l| !is_locale(l)) {
            return Err(Wrong::at("#/to/locale", "locale_invalid", "a locale is a BCP 47 tag such as pt-BR"));
        }
        if let Some(name) = &self.time_zone {
            zone(name, "#/to/time_zone")?;
        }
        let (name, locale, time_zone) = (self.name.clone(), self.locale.clone(), self.time_zone.clone());
        Ok(Person { number: 0, addresses, name, locale, time_zone, attributes: self.attributes.clone() })
    }
}

/// When a reminder's anchor is: each time as a clock shows it.
enum Times {
    Once(DateTime),
    Rule(DateTime, rrule::Rule),
    Line(DateTime, cron::Line),
}

impl Times {
    fn of(reminder: &Reminder) -> Result<Self, Wrong> {
        let wrong = |_| {
            let detail = format!("`{}` is no time; write 2027-02-10T14:30:00, as the clock of `zone` shows it", reminder.anchor.at);
            Wrong::at("#/anchor/at", "time_invalid", detail)
        };
        let tz = zone(&reminder.anchor.zone, "#/anchor/zone")?;
        let first = match Moment::parse(&reminder.anchor.at, "#/anchor/at") {
            Ok(Moment::Shown(shown)) => shown,
            Ok(Moment::At(at)) => tz.to_datetime(Timestamp::from_millisecond(at.0).map_err(wrong)?),
            Err(e) => return Err(e),
        };
        match &reminder.recurrence {
            None => Ok(Self::Once(first)),
            Some(Recurrence { rrule: Some(rule), cron: None }) => Ok(Self::Rule(first, rrule::Rule::parse(rule, "#/recurrence/rrule")?)),
            Some(Recurrence { rrule: None, cron: Some(line) }) => Ok(Self::Line(first, cron::Line::parse(line, "#/recurrence/cron")?)),
            Some(_) => Err(Wrong::at("#/recurrence", "ambiguous", "say `rrule` or `cron`, one of them")),
        }
    }

    fn all(&self) -> Box<dyn Iterator<Item = DateTime> + '_> {
        match self {
            Self::Once(at) => Box::new(std::iter::once(*at)),
            Self::Rule(first, rule) => Box::new(rule.from(*first)),
            Self::Line(first, line) => Box::new(line.from(*first)),
        }
    }

    fn comes_again(&self) -> bool {
        !matches!(self, Self::Once(_))
    }
}

/// A message to be written down.
#[derive(Debug, PartialEq)]
struct Planned {
    step: String,
    due: Time,
    /// The anchor's time, as its clock shows it.
    shown: DateTime,
}

/// When a reminder's messages are due: those of anchor times behind `behind` and up to `until`, in order.
fn planned(reminder: &Reminder, behind: Time, until: Time) -> Result<Vec<Planned>, Wrong> {
    let (times, tz) = (Times::of(reminder)?, zone(&reminder.anchor.zone, "#/anchor/zone")?);
    let offsets: Vec<Span> =
        reminder.offsets.iter().enumerate().map(|(n, text)| iso(text).ok_or_else(|| offset_wrong(n, text))).collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for shown in times.all() {
        let at = Moment::Shown(shown).when(&tz);
        if at > until && times.comes_again() || all.len() > OCCURRENCES * OFFSETS {
            break;
        }
        if at <= behind && times.comes_again() {
            continue;
        }
        for (n, (text, span)) in reminder.offsets.iter().zip(&offsets).enumerate() {
            let due = moved(at, *span, &tz).ok_or_else(|| offset_wrong(n, text))?;
            let step = if times.comes_again() { format!("{shown} {text}") } else { text.clone() };
            all.push(Planned { step, due, shown });
        }
    }
    Ok(all)
}

fn offset_wrong(n: usize, text: &str) -> Wrong {
    let detail = format!("`{text}` is no offset; write -P1D for a day before, -PT2H for two hours before, P1D for a day after");
    Wrong::at(format!("#/offsets/{n}"), "duration_invalid", detail)
}

/// A time so far away: days on the zone's clock, hours by themselves.
fn moved(at: Time, span: Span, tz: &TimeZone) -> Option<Time> {
    let zoned = Timestamp::from_millisecond(at.0).ok()?.to_zoned(tz.clone());
    Some(Time(zoned.checked_add(span).ok()?.timestamp().as_millisecond()))
}

/// A reminder as the API shows it.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ShownReminder)]
pub struct Shown {
    /// `active`, `stopped` (by the person), `cancelled`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// When it was last changed.
    #[schema(value_type = String, format = "date-time")]
    pub changed_at: Time,
    /// What it is.
    #[serde(flatten)]
    pub reminder: Reminder,
    /// Its messages, of every version.
    pub steps: Vec<Step>,
}

impl Reminder {
    /// Checks everything that can be checked before its time.
    fn check(&self) -> Result<Person, Wrong> {
        if self.anchor.id.is_empty() || self.anchor.id.chars().count() > 200 {
            return Err(Wrong::at("#/anchor/id", "id_invalid", "1 to 200 characters"));
        }
        if self.anchor.version < 1 {
            return Err(Wrong::at("#/anchor/version", "version_invalid", "versions count from 1"));
        }
        let different: BTreeSet<&String> = self.offsets.iter().collect();
        if self.offsets.is_empty() || self.offsets.len() > OFFSETS || different.len() < self.offsets.len() {
            return Err(Wrong::at("#/offsets", "offsets_invalid", format!("1 to {OFFSETS} offsets, each once")));
        }
        due::check_words(self.template.as_ref(), &self.parts, &self.channels)?;
        planned(self, Time(i64::MIN), Time(0))?;
        self.to.person()
    }
}

impl Room {
    /// Writes a reminder down, or moves it to a higher version.
    pub async fn put_reminder(&self, reminder: &Reminder) -> Result<Shown, Failed> {
        let person = reminder.check()?;
        self.channels(&reminder.channels, "#/channels")?;
        let source = self.source(reminder.template.as_ref(), &reminder.parts).await?;
        let now = clock::now();
        let (id, version) = (reminder.anchor.id.as_str(), reminder.anchor.version);
        let comes_again = Times::of(reminder)?.comes_again();
        let until = now.plus(AHEAD.0);
        let steps = planned(reminder, now.plus(-AFTER), until)?;
        let body = serde_json::to_string(reminder).unwrap_or_default();
        let source = serde_json::to_string(&source).unwrap_or_default();
        let put = "INSERT INTO makers (kind, id, version, body, source, state, extended_to, created_at, changed_at)
            VALUES ('reminder', ?1, ?2, ?3, ?4, 'active', ?5, ?6, ?6)
            ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, body = excluded.body, source = excluded.source, state = 'active',
            reason = NULL, extended_to = excluded.extended_to, changed_at = excluded.changed_at
            WHERE makers.version < excluded.version RETURNING version";
        let mut statements = vec![Statement::once(put, values![id, version, body, source, comes_again.then_some(until.0), now.0])];
        statements.extend(take_back(Kind::Reminder, id, version, "its anchor was moved"));
        statements.push(Statement::once("DELETE FROM maker_addresses WHERE kind = 'reminder' AND maker = ?1", values![id]));
        let whose = "INSERT INTO maker_addresses (address, kind, maker) VALUES (?1, 'reminder', ?2) ON CONFLICT DO NOTHING";
        statements.push(Statement::each(whose, person.addresses.iter().map(|a| values![a.as_str(), id]).collect()));
        statements.push(self.write_down(reminder, &person, &steps, now));
        let done = self.parts.db.write(statements).await?;
        if done.first().is_none_or(|d| d.rows.is_empty()) {
            return self.put_again(reminder).await;
        }
        self.changed.notify_one();
        self.reminder(id).await
    }

    /// The version was there already: the same words are the same act, anything else needs a higher one.
    async fn put_again(&self, reminder: &Reminder) -> Result<Shown, Failed> {
        let known = self.reminder(&reminder.anchor.id).await?;
        if known.reminder == *reminder {
            return Ok(known);
        }
        let known = known.reminder.anchor.version;
        Err(Failed::Conflict(format!("version {known} of this anchor is here already; put changes with a higher one than {known}")))
    }

    /// The statement that writes messages down, as far as their version is the newest.
    fn write_down(&self, reminder: &Reminder, person: &Person, steps: &[Planned], now: Time) -> Statement {
        let sql = "INSERT INTO dues (kind, maker, version, step, due, state, level, address, reason, data, recall)
            SELECT 'reminder', CAST(?1 AS TEXT), CAST(?2 AS BIGINT), CAST(?3 AS TEXT), CAST(?4 AS BIGINT), CAST(?5 AS TEXT), CAST(?6 AS BIGINT),
            CAST(?7 AS TEXT), CAST(?8 AS TEXT), CAST(?9 AS TEXT), 0
            WHERE EXISTS (SELECT 1 FROM makers m WHERE m.kind = 'reminder' AND m.id = ?1 AND m.version = ?2 AND m.state = 'active')
            ON CONFLICT DO NOTHING";
        let address = person.addresses.first().map_or("", String::as_str);
        let row = |p: &Planned| {
            let late = p.due < now;
            let (state, level) = if late { ("missed", 1_i64) } else { ("waiting", 0_i64) };
            let why = late.then_some("its time had passed when the anchor was put");
            let data = json!({ "at": p.shown.to_string() }).to_string();
            values![reminder.anchor.id.as_str(), reminder.anchor.version, p.step.as_str(), p.due.0, state, level, address, why, data]
        };
        Statement::each(sql, steps.iter().map(row).collect())
    }

    /// A reminder with its messages.
    pub async fn reminder(&self, id: &str) -> Result<Shown, Failed> {
        let sql = "SELECT body, state, reason, changed_at FROM makers WHERE kind = 'reminder' AND id = ?1";
        let rows = self.parts.db.read(sql.into(), values![id]).await?;
        let row = rows.first().ok_or(Failed::Unknown("there is no reminder on this anchor"))?;
        let reminder = row.json(0).ok_or_else(|| crate::store::Error("a reminder cannot be read".into()))?;
        let steps = self.steps(Kind::Reminder, id).await?;
        Ok(Shown { reminder, state: row.text(1)?, reason: row.maybe_text(2)?, changed_at: Time(row.int(3)?), steps })
    }

    /// Anchors behind an id, in order; of one person when an address is named.
    pub async fn reminders(&self, address: Option<&str>, behind: &str, limit: usize) -> Result<Vec<String>, Failed> {
        let sql = match address {
            Some(_) => "SELECT maker FROM maker_addresses WHERE kind = 'reminder' AND maker > ?1 AND address = ?3 ORDER BY maker LIMIT ?2",
            None => "SELECT id FROM makers WHERE kind = 'reminder' AND id > ?1 ORDER BY id LIMIT ?2",
        };
        let mut row = values![behind, limit as i64];
        row.extend(address.map(Into::into));
        self.parts.db.read(sql.into(), row).await?.iter().map(|r| r.text(0)).collect::<Result<_, _>>().map_err(Into::into)
    }

    /// Cancels everything that hangs on an anchor. A higher version brings it back.
    pub async fn remove_reminder(&self, id: &str) -> Result<Shown, Failed> {
        self.end_maker(Kind::Reminder, id, "cancelled", "cancelled").await?;
        self.reminder(id).await
    }

    /// Ends a maker: nothing of it goes any more.
    pub(super) async fn end_maker(&self, kind: Kind, id: &str, state: &str, why: &str) -> Result<(), Failed> {
        let sql = "UPDATE makers SET state = ?3, reason = ?4, changed_at = ?5, extended_to = NULL
            WHERE kind = ?1 AND id = ?2 AND state = 'active'";
        let mut statements = vec![Statement::once(sql, values![kind.word(), id, state, why, clock::now().0])];
        statements.extend(take_back(kind, id, i64::MAX, why));
        self.parts.db.write(statements).await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Writes down the next occurrences of anchors that come again; whether there were any.
    pub(super) async fn extend_recurring(&self) -> Result<bool, Failed> {
        let now = clock::now();
        let sql = "SELECT body, extended_to FROM makers
            WHERE extended_to IS NOT NULL AND extended_to < ?1 AND kind = 'reminder' AND state = 'active' ORDER BY extended_to LIMIT 50";
        let rows = self.parts.db.read(sql.into(), values![now.plus(AHEAD.1).0]).await?;
        for row in &rows {
            let Some(reminder) = row.json::<Reminder>(0) else { continue };
            let (behind, until) = (Time(row.int(1)?), now.plus(AHEAD.0));
            let (person, steps) = (reminder.to.person()?, planned(&reminder, behind, until)?);
            let sql = "UPDATE makers SET extended_to = ?3 WHERE kind = 'reminder' AND id = ?1 AND version = ?2";
            let moved = Statement::once(sql, values![reminder.anchor.id.as_str(), reminder.anchor.version, until.0]);
            self.parts.db.write(vec![self.write_down(&reminder, &person, &steps, now), moved]).await?;
        }
        Ok(!rows.is_empty())
    }

    /// What goes out for a reminder, or how it ends without.
    pub(super) fn compose_reminder(&self, due: &Due) -> Result<Composed, (&'static str, String)> {
        let broken = |what: &str| ("failed", format!("{what} cannot be read"));
        let reminder: Reminder = serde_json::from_value(due.body.clone()).map_err(|_| broken("the reminder"))?;
        let person = reminder.to.person().map_err(|e| ("failed", e.detail))?;
        let shown: DateTime = due.data.get("at").and_then(Value::as_str).and_then(|t| t.parse().ok()).ok_or_else(|| broken("its time"))?;
        let tz = zone(&reminder.anchor.zone, "#").map_err(|e| ("failed", e.detail))?;
        let at = Moment::Shown(shown).when(&tz);
        let end = if due.due < at { at } else { due.due.plus(AFTER) };
        if end <= clock::now() {
            return Err(("expired", "its anchor had passed when its turn came".into()));
        }
        let anchor = json!({
            "id": reminder.anchor.id, "at": shown.strftime("%Y-%m-%d %H:%M").to_string(), "date": shown.date().to_string(),
            "time": shown.strftime("%H:%M").to_string(), "zone": reminder.anchor.zone, "version": due.version,
        });
        let request = due::request(reminder.category, reminder.metadata.clone());
        let request = fairway_adapters::contract::SendRequest { expires_at: Some(end), ..request };
        Ok(Composed { person, about: Map::from_iter([("anchor".to_owned(), anchor)]), channels: reminder.channels, request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reminder(at: &str, zone: &str, offsets: &[&str], recurrence: Value) -> Reminder {
        serde_json::from_value(json!({ "anchor": { "id": "a-1", "at": at, "zone": zone, "version": 3 }, "offsets": offsets,
            "to": { "address": "tel:+15550100200" }, "channels": ["sms"], "parts": [{ "type": "text", "text": "{{ anchor.at }}" }],
            "recurrence": recurrence }))
        .expect("a reminder")
    }

    fn due(reminder: &Reminder) -> Vec<String> {
        let steps = planned(reminder, Time(0), Time::parse("2027-12-31T00:00:00Z").expect("a time")).expect("times");
        steps.iter().take(4).map(|p| format!("{} {}", p.step, p.due)).collect()
    }

    /// Real changes of the clock: 28 March 2027 in Rome, 7 November in New York, 3 October in Sydney.
    #[test]
    fn a_day_before_is_the_same_time_on_the_clock_and_an_hour_is_an_hour() {
        for (at, zone, expected) in [
            (
                "2027-03-28T14:30:00",
                "Europe/Rome",
                ["-P1D 2027-03-27T13:30:00Z", "-PT24H 2027-03-27T12:30:00Z", "-PT2H 2027-03-28T10:30:00Z"],
            ),
            (
                "2027-11-07T14:30:00",
                "America/New_York",
                ["-P1D 2027-11-06T18:30:00Z", "-PT24H 2027-11-06T19:30:00Z", "-PT2H 2027-11-07T17:30:00Z"],
            ),
            (
                "2027-10-03T14:30:00",
                "Australia/Sydney",
                ["-P1D 2027-10-02T04:30:00Z", "-PT24H 2027-10-02T03:30:00Z", "-PT2H 2027-10-03T01:30:00Z"],
            ),
        ] {
            assert_eq!(due(&reminder(at, zone, &["-P1D", "-PT24H", "-PT2H"], Value::Null)), expected, "{zone}");
        }
    }

    #[test]
    fn an_anchor_comes_again() {
        let weekly = reminder("2027-03-26T09:00:00", "Europe/Rome", &["-PT1H"], json!({ "rrule": "FREQ=WEEKLY" }));
        assert_eq!(due(&weekly)[..2], ["2027-03-26T09:00:00 -PT1H 2027-03-26T07:00:00Z", "2027-04-02T09:00:00 -PT1H 2027-04-02T06:00:00Z"]);
        let line = reminder("2027-03-26T10:00:00", "Europe/Rome", &["PT0S"], json!({ "cron": "0 9 * * *" }));
        assert_eq!(due(&line)[0], "2027-03-27T09:00:00 PT0S 2027-03-27T08:00:00Z");
        assert_eq!(due(&line)[1], "2027-03-28T09:00:00 PT0S 2027-03-28T07:00:00Z");
    }

    /// Three zones over both of their changes of 2027: Rome on 28 March and 31 October, New York on 14 March and 7 November, Sydney
    /// on 4 April and 3 October. What the clock skips comes when it has been put forward, what it shows twice the first time.
    #[test]
    fn recurring_times_stay_on_the_clock_in_three_zones() {
        for (zone, first, expected) in [
            ("Europe/Rome", "2027-03-21T09:00:00", ["2027-03-21T08:00:00Z", "2027-03-28T07:00:00Z", "2027-04-04T07:00:00Z"]),
            ("Europe/Rome", "2027-10-24T09:00:00", ["2027-10-24T07:00:00Z", "2027-10-31T08:00:00Z", "2027-11-07T08:00:00Z"]),
            ("Europe/Rome", "2027-03-21T02:30:00", ["2027-03-21T01:30:00Z", "2027-03-28T01:30:00Z", "2027-04-04T00:30:00Z"]),
            ("Europe/Rome", "2027-10-24T02:30:00", ["2027-10-24T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-07T01:30:00Z"]),
            ("America/New_York", "2027-03-07T09:00:00", ["2027-03-07T14:00:00Z", "2027-03-14T13:00:00Z", "2027-03-21T13:00:00Z"]),
            ("America/New_York", "2027-10-31T09:00:00", ["2027-10-31T13:00:00Z", "2027-11-07T14:00:00Z", "2027-11-14T14:00:00Z"]),
            ("America/New_York", "2027-03-07T02:30:00", ["2027-03-07T07:30:00Z", "2027-03-14T07:30:00Z", "2027-03-21T06:30:00Z"]),
            ("America/New_York", "2027-10-31T01:30:00", ["2027-10-31T05:30:00Z", "2027-11-07T05:30:00Z", "2027-11-14T06:30:00Z"]),
            ("Australia/Sydney", "2027-03-28T09:00:00", ["2027-03-27T22:00:00Z", "2027-04-03T23:00:00Z", "2027-04-10T23:00:00Z"]),
            ("Australia/Sydney", "2027-09-26T09:00:00", ["2027-09-25T23:00:00Z", "2027-10-02T22:00:00Z", "2027-10-09T22:00:00Z"]),
            ("Australia/Sydney", "2027-03-28T02:30:00", ["2027-03-27T15:30:00Z", "2027-04-03T15:30:00Z", "2027-04-10T16:30:00Z"]),
            ("Australia/Sydney", "2027-09-26T02:30:00", ["2027-09-25T16:30:00Z", "2027-10-02T16:30:00Z", "2027-10-09T15:30:00Z"]),
        ] {
            for recurrence in [json!({ "rrule": "FREQ=WEEKLY" }), json!({ "cron": format!("{} {} * * 0", &first[14..16], &first[11..13]) })]
            {
                let weekly = reminder(first, zone, &["PT0S"], recurrence.clone());
                let until = Time::parse("2028-01-01T00:00:00Z").expect("a time");
                let due: Vec<String> = planned(&weekly, Time(0), until).expect("times").iter().take(3).map(|p| p.due.to_string()).collect();
                assert_eq!(due, expected, "{zone} from {first} by {recurrence}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = reminder("2027-03-28T14:30:00", "Europe/Rome", &["-P1D"], Value::Null);
        assert!(good.check().is_ok());
        let pointer = |change: &dyn Fn(&mut Reminder)| {
            let mut wrong = good.clone();
            change(&mut wrong);
            wrong.check().expect_err("it is wrong").pointer
        };
        assert_eq!(pointer(&|r| r.anchor.at = "soon".into()), "#/anchor/at");
        assert_eq!(pointer(&|r| r.anchor.zone = "Mars/Base".into()), "#/anchor/zone");
        assert_eq!(pointer(&|r| r.anchor.version = 0), "#/anchor/version");
        assert_eq!(pointer(&|r| r.offsets = vec!["1 day".into()]), "#/offsets/0");
        assert_eq!(pointer(&|r| r.offsets.clear()), "#/offsets");
        assert_eq!(pointer(&|r| r.to.address = None), "#/to/address");
        assert_eq!(pointer(&|r| r.to.contact = Some("c-1".into())), "#/to/contact");
        assert_eq!(pointer(&|r| r.parts.clear()), "#/template");
        assert_eq!(pointer(&|r| r.recurrence = Some(Recurrence::default())), "#/recurrence");
        assert_eq!(pointer(&|r| r.recurrence = Some(Recurrence { rrule: Some("FREQ=NEVER".into()), cron: None })), "#/recurrence/rrule");
    }
}

//! Who is where in a journey, and why.

use std::collections::BTreeMap;

use fairway_adapters::contract::Time;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::travel::{Entered, enter};
use super::{Journey, Step};
use crate::people::address::normal;
use crate::proactive::reminders::To;
use crate::proactive::{Failed, Room, Wrong};
use crate::store::Line;
use crate::store::db::{Row, Statement};
use crate::{clock, ids, values};

/// Who is to enter: one of the two.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnterJourney)]
pub struct Enter {
    /// A person: a `contact`, or addresses with what is known.
    pub to: Option<To>,
    /// Everybody of an audience: `aud_...`.
    pub audience: Option<String>,
}

/// What an entering came to.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JourneyEntered)]
pub struct Entering {
    /// The person, who is at the first step now.
    pub person: Option<Traveller>,
    /// The audience, which is taken in from now on.
    pub intake: Option<Intake>,
}

/// An audience that was sent into a journey.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JourneyIntake)]
pub struct Intake {
    /// `jin_...`.
    pub id: String,
    /// `aud_...`.
    pub audience: String,
    /// `taking`, `done`, or `ended`: the audience was removed before all were in.
    pub state: String,
    /// How many of its people have been looked at.
    pub people: i64,
    /// When it was sent.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Time,
}

/// Somebody in a journey: where they are, or where it ended for them the last time.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JourneyTraveller)]
pub struct Traveller {
    /// The address the journey knows them by.
    pub address: String,
    /// `going`, `done` (they went through all of it), `left` (by what they did, or by an exit step).
    pub state: String,
    /// The step they are at, or were at last.
    pub step: String,
    /// Why they left.
    pub reason: Option<String>,
    /// When they entered.
    #[schema(value_type = String, format = "date-time")]
    pub entered_at: Time,
    /// When they came to the step, or left.
    #[schema(value_type = String, format = "date-time")]
    pub changed_at: Time,
}

/// Numbers of a journey.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JourneyReport)]
pub struct Report {
    /// People by state: `going`, `done`, `left`. Who was in it several times counts once.
    pub people: BTreeMap<String, u64>,
    /// The steps, in order.
    pub steps: Vec<StepCounts>,
    /// Audiences that were sent into it, the newest first.
    pub intakes: Vec<Intake>,
}

/// Numbers of a step: how often people came to it, by what became of it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JourneyStepCounts)]
pub struct StepCounts {
    /// Its name.
    pub name: String,
    /// `wait`, `condition`, `send`, `exit`; `gone` where the journey has it no more.
    pub kind: String,
    /// How often people came to it.
    pub entered: u64,
    /// By state: `waiting`, `passed`, `cancelled`; of a message its own states too.
    pub counts: BTreeMap<String, u64>,
}

/// Why somebody is where they are in a journey.
pub struct Travelling {
    /// Where.
    pub person: Traveller,
    /// The answer, in sentences.
    pub because: String,
    /// When they go on, while they are on the way.
    pub next_at: Option<Time>,
    /// The steps they took, the oldest first.
    pub steps: Vec<Line>,
}

/// How often people came to each step, by what became of it: the name of a step stands behind the passage.
pub(super) const TAKEN: &str = "SELECT s.name, s.state, count(*) FROM
    (SELECT substr(step, 28) AS name, state FROM dues WHERE kind = 'journey' AND maker = ?1) s GROUP BY s.name, s.state ORDER BY s.name";
const PERSON: &str = "address, state, place, reason, entered_at, changed_at";

fn traveller(row: &Row) -> Result<Traveller, crate::store::Error> {
    let (entered_at, changed_at) = (Time(row.int(4)?), Time(row.int(5)?));
    Ok(Traveller { address: row.text(0)?, state: row.text(1)?, step: row.text(2)?, reason: row.maybe_text(3)?, entered_at, changed_at })
}

impl Room {
    /// Sends a person, or everybody of an audience, into a journey.
    pub async fn enter_journey(&self, id: &str, who: &Enter) -> Result<Entering, Failed> {
        let journey = self.journey(id).await?.journey;
        match (&who.to, &who.audience) {
            (Some(to), None) => Ok(Entering { person: Some(self.enter_person(id, &journey, to).await?), intake: None }),
            (None, Some(audience)) => Ok(Entering { person: None, intake: Some(self.enter_audience(id, audience).await?) }),
            _ => Err(Wrong::at("#/to", "ambiguous", "say who enters: `to` or `audience`, one of them").into()),
        }
    }

    async fn enter_person(&self, id: &str, journey: &Journey, to: &To) -> Result<Traveller, Failed> {
        let person = match &to.contact {
            Some(contact) => self.contact(contact).await?.ok_or_else(|| {
                Wrong::at(
                    "#/to/contact",
                    "contact_unknown",
                    format!("there is no contact `{contact}`; add it by /v1/contacts, or say `address`"),
                )
            })?,
            None => to.person()?,
        };
        let (_, addresses) = self.everywhere(person.clone()).await?;
        let entered = Entered::new(person, ids::random());
        let address = self.known_as(id, &addresses).await?.unwrap_or_else(|| entered.address.clone());
        let statements = enter(id, journey, &[Entered { address: address.clone(), ..entered }], clock::now())?;
        let done = self.parts.db.write(statements).await?;
        let found = self.traveller(id, &address).await?.ok_or(Failed::Unknown("there is no journey of this id"))?;
        if done.first().is_some_and(|d| !d.rows.is_empty()) {
            self.changed.notify_one();
            return Ok(found);
        }
        Err(Failed::Conflict(match (found.state.as_str(), &journey.again) {
            ("going", _) => format!("this person is on the way already, at the step `{}` since {}", found.step, found.changed_at),
            (_, None) => {
                format!("this person entered at {}, and the journey lets nobody in again; set `again` to change that", found.entered_at)
            }
            (_, Some(again)) => format!("this person entered at {}, and may enter again {again} after that", found.entered_at),
        }))
    }

    async fn enter_audience(&self, id: &str, audience: &str) -> Result<Intake, Failed> {
        let unknown = |e| match e {
            Failed::Unknown(_) => Wrong::at("#/audience", "audience_unknown", format!("there is no audience `{audience}`")).into(),
            e => e,
        };
        self.audience(audience).await.map_err(unknown)?;
        let (intake, now) = (ids::text("jin_", ids::random()), clock::now());
        let sql = "INSERT INTO journey_intakes (id, journey, audience, number, place, people, state, created_at)
            VALUES (?1, ?2, ?3, 0, '', 0, 'taking', ?4)";
        self.parts.db.write(vec![Statement::once(sql, values![intake.as_str(), id, audience, now.0])]).await?;
        self.changed.notify_one();
        Ok(Intake { id: intake, audience: audience.to_owned(), state: "taking".into(), people: 0, created_at: now })
    }

    async fn traveller(&self, id: &str, address: &str) -> Result<Option<Traveller>, Failed> {
        let sql = format!("SELECT {PERSON} FROM journey_people WHERE journey = ?1 AND address = ?2");
        let rows = self.parts.db.read(sql.into(), values![id, address]).await?;
        Ok(rows.first().map(traveller).transpose()?)
    }

    /// People of a journey behind an address, in order; in one state when it is named.
    pub async fn travellers(&self, id: &str, state: Option<&str>, behind: &str, limit: usize) -> Result<Vec<Traveller>, Failed> {
        let of = if state.is_some() { "AND state = ?4" } else { "" };
        let sql = format!("SELECT {PERSON} FROM journey_people WHERE journey = ?1 AND address > ?2 {of} ORDER BY address LIMIT ?3");
        let mut row = values![id, behind, limit as i64];
        row.extend(state.map(Into::into));
        Ok(self.parts.db.read(sql.into(), row).await?.iter().map(traveller).collect::<Result<_, _>>()?)
    }

    /// The numbers of a journey.
    pub async fn journey_report(&self, id: &str) -> Result<Report, Failed> {
        let journey = self.journey(id).await?.journey;
        let sql = "SELECT state, count(*) FROM journey_people WHERE journey = ?1 GROUP BY state";
        let mut people: BTreeMap<String, u64> = ["going", "done", "left"].map(|state| (state.to_owned(), 0)).into();
        for row in self.parts.db.read(sql.into(), values![id]).await? {
            people.insert(row.text(0)?, row.int(1)? as u64);
        }
        let none = |name: &str, kind: &str| StepCounts { name: name.into(), kind: kind.into(), entered: 0, counts: BTreeMap::new() };
        let mut steps: Vec<StepCounts> = journey.steps.iter().map(|step| none(step.name(), step.word())).collect();
        for row in self.parts.db.read(TAKEN.into(), values![id]).await? {
            let (name, count) = (row.text(0)?, row.int(2)? as u64);
            let at = steps.iter().position(|s| s.name == name).unwrap_or_else(|| {
                steps.push(none(&name, "gone"));
                steps.len() - 1
            });
            steps[at].entered += count;
            steps[at].counts.insert(row.text(1)?, count);
        }
        let sql =
            "SELECT id, audience, state, people, created_at FROM journey_intakes WHERE journey = ?1 ORDER BY created_at DESC, id LIMIT 100";
        let read = |r: &Row| {
            let (people, created_at) = (r.int(3)?, Time(r.int(4)?));
            Ok(Intake { id: r.text(0)?, audience: r.text(1)?, state: r.text(2)?, people, created_at })
        };
        let rows = self.parts.db.read(sql.into(), values![id]).await?;
        Ok(Report { people, steps, intakes: rows.iter().map(read).collect::<Result<_, crate::store::Error>>()? })
    }

    /// Where the person with an address is in a journey, and why; nothing of who never entered.
    pub async fn travelling(&self, id: &str, address: &str) -> Result<Option<Travelling>, Failed> {
        let journey = self.journey(id).await?.journey;
        let asked = crate::proactive::audiences::Person { addresses: vec![normal(address).into_owned()], ..Default::default() };
        let (_, addresses) = self.everywhere(asked).await?;
        let Some(address) = self.known_as(id, &addresses).await? else { return Ok(None) };
        let Some(person) = self.traveller(id, &address).await? else { return Ok(None) };
        let sql = "SELECT substr(d.step, 28), d.due, d.state, d.reason, d.message FROM dues d
            JOIN journey_people p ON p.journey = d.maker AND p.address = d.address AND p.entry = substr(d.step, 1, 26)
            WHERE d.address = ?2 AND d.kind = 'journey' AND d.maker = ?1 ORDER BY d.due";
        let (mut next_at, mut last_message) = (None, None);
        let mut steps = Vec::new();
        for row in self.parts.db.read(sql.into(), values![id, address]).await? {
            let (name, at, state, reason) = (row.text(0)?, Time(row.int(1)?), row.text(2)?, row.maybe_text(3)?);
            if state == "waiting" {
                next_at = Some(at);
            }
            if row.maybe_text(4)?.is_some() {
                last_message = Some((name.clone(), state.clone(), reason.clone()));
            }
            let kind = journey.position(&name).map_or("gone", |n| journey.steps[n].word());
            let why = reason.map_or(String::new(), |reason| format!(": {reason}"));
            steps.push(Line { at, what: state.clone(), text: format!("The {kind} step `{name}` is {}{why}.", state.replace('_', " ")) });
        }
        let mut because = because(&journey, &person, next_at);
        if let Some((name, state, reason)) = last_message {
            let why = reason.map_or(String::new(), |reason| format!(" ({reason})"));
            because += &format!(" Their last message, of the step `{name}`, is {}{why}.", state.replace('_', " "));
        }
        Ok(Some(Travelling { person, because, next_at, steps }))
    }
}

/// Where somebody is, in a sentence that names rule, value, end and next step.
fn because(journey: &Journey, person: &Traveller, next_at: Option<Time>) -> String {
    let Traveller { step, changed_at, .. } = person;
    let at = journey.position(step);
    let then = || match at.and_then(|at| journey.after(at, true)) {
        Some(next) => format!("then comes the step `{}`", next.name()),
        None => "then the journey ends for them".to_owned(),
    };
    match (person.state.as_str(), at.map(|at| &journey.steps[at]), next_at) {
        ("left", ..) => {
            let why = person.reason.as_deref().unwrap_or("no reason is known");
            format!("They left the journey at the step `{step}` at {changed_at}: {why}.")
        }
        ("done", ..) => format!("They went through all of the journey until {changed_at}; the last step was `{step}`."),
        (_, Some(Step::Wait { span, .. }), Some(until)) => format!("They wait at the step `{step}` for {span}, until {until}; {}.", then()),
        (_, None, _) => format!("They are at the step `{step}`, which the journey has no more, and leave it in a moment."),
        (_, _, Some(_)) => format!("Their turn at the step `{step}` has come since {changed_at}, and it is about to be taken."),
        (_, _, None) => format!("They are at the step `{step}` since {changed_at}."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_has_its_sentence() {
        let journey: Journey = serde_json::from_value(json!({ "name": "n", "channels": ["sms"], "steps": [
            { "type": "wait", "name": "a day", "for": "P1D" }, { "type": "send", "name": "hello", "parts": [{ "type": "text", "text": "x" }] },
            { "type": "wait", "name": "after", "for": "PT1H" }] }))
        .expect("a journey");
        let person = |state: &str, step: &str, reason: Option<&str>| Traveller {
            address: "tel:+15550100200".into(),
            state: state.into(),
            step: step.into(),
            reason: reason.map(str::to_owned),
            entered_at: Time(0),
            changed_at: Time(1000),
        };
        let until = Some(Time(86_401_000));
        for (person, next_at, expected) in [
            (
                person("going", "a day", None),
                until,
                "They wait at the step `a day` for P1D, until 1970-01-02T00:00:01Z; then comes the step `hello`.",
            ),
            (
                person("going", "after", None),
                until,
                "They wait at the step `after` for PT1H, until 1970-01-02T00:00:01Z; then the journey ends for them.",
            ),
            (
                person("going", "hello", None),
                until,
                "Their turn at the step `hello` has come since 1970-01-01T00:00:01Z, and it is about to be taken.",
            ),
            (person("going", "old", None), until, "They are at the step `old`, which the journey has no more, and leave it in a moment."),
            (
                person("left", "a day", Some("the person did order_placed")),
                None,
                "They left the journey at the step `a day` at 1970-01-01T00:00:01Z: the person did order_placed.",
            ),
            (
                person("done", "after", None),
                None,
                "They went through all of the journey until 1970-01-01T00:00:01Z; the last step was `after`.",
            ),
        ] {
            assert_eq!(because(&journey, &person, next_at), expected);
        }
    }
}

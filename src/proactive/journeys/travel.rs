//! How people get into a journey, from one step to the next, and out.

use std::collections::BTreeSet;

use fairway_adapters::contract::Time;
use serde_json::{Map, Value, json};

use super::{Journey, Step};
use crate::clock;
use crate::ids;
use crate::people::Contact;
use crate::people::address::normal;
use crate::proactive::audiences::Person;
use crate::proactive::content::Condition;
use crate::proactive::due::{self, Composed, Due, End};
use crate::proactive::triggers::Happened;
use crate::proactive::{Failed, Room, Wrong};
use crate::store::db::Statement;
use crate::values;

/// Somebody on the way stays there, and who has been there comes again only when it is time. `?8`: entered before then.
const ENTER: &str = "INSERT INTO journey_people (journey, address, entry, place, state, data, entered_at, changed_at)
    SELECT CAST(?1 AS TEXT), CAST(?2 AS TEXT), CAST(?3 AS TEXT), CAST(?4 AS TEXT), 'going', CAST(?5 AS TEXT), CAST(?6 AS BIGINT),
    CAST(?7 AS BIGINT) WHERE EXISTS (SELECT 1 FROM makers m WHERE m.kind = 'journey' AND m.id = ?1 AND m.state = 'active')
    ON CONFLICT (journey, address) DO UPDATE SET entry = excluded.entry, place = excluded.place, state = 'going', reason = NULL,
    data = excluded.data, entered_at = excluded.entered_at, changed_at = excluded.changed_at
    WHERE journey_people.state <> 'going' AND journey_people.entry <> excluded.entry AND journey_people.entered_at <= ?8
    RETURNING entry";
/// Nobody comes to a step who is not on the way under this entry.
const ARRIVE: &str = "INSERT INTO dues (kind, maker, version, step, due, state, level, address, data, recall)
    SELECT 'journey', CAST(?1 AS TEXT), 1, CAST(?4 AS TEXT), CAST(?5 AS BIGINT), 'waiting', 0, CAST(?2 AS TEXT), '{}', 0
    WHERE EXISTS (SELECT 1 FROM journey_people p JOIN makers m ON m.kind = 'journey' AND m.id = p.journey
    WHERE p.journey = ?1 AND p.address = ?2 AND p.entry = ?3 AND p.state = 'going' AND m.state = 'active')
    ON CONFLICT DO NOTHING";
const MOVE: &str = "UPDATE journey_people SET place = ?4, state = ?5, reason = ?6, changed_at = ?7
    WHERE journey = ?1 AND address = ?2 AND entry = ?3 AND state = 'going'";
const STAY: &str = "UPDATE dues SET state = 'cancelled', level = 1, reason = ?3
    WHERE kind = 'journey' AND maker = ?1 AND address = ?2 AND state = 'waiting'";
const COME_BACK: &str = "UPDATE dues SET recall = 1, reason = ?3
    WHERE kind = 'journey' AND maker = ?1 AND address = ?2 AND state IN ('planned', 'accepted', 'scheduled', 'held')";
const LEAVE: &str =
    "UPDATE journey_people SET state = 'left', reason = ?3, changed_at = ?4 WHERE journey = ?1 AND address = ?2 AND state = 'going'";

/// Somebody about to enter.
pub(super) struct Entered {
    /// The address they are known by in this journey.
    pub address: String,
    /// Names this passage: the same act enters once.
    pub entry: u128,
    /// Who they are, as far as it was said.
    pub person: Person,
    /// What they did, when that is why.
    pub event: Option<Value>,
}

impl Entered {
    /// A person as a list or a request names them.
    pub fn new(person: Person, entry: u128) -> Self {
        let address = normal(person.addresses.first().map_or("", String::as_str)).into_owned();
        Self { address, entry, person, event: None }
    }
}

/// How a passage is written down; the length is the same for all.
fn entry_text(entry: u128) -> String {
    ids::text("", entry)
}

/// How a step is named in a row of what is due: 26 characters of the passage, a space, the step's own name.
fn step_text(entry: &str, step: &Step) -> String {
    format!("{entry} {}", step.name())
}

/// The statements by which people enter.
pub(super) fn enter(id: &str, journey: &Journey, people: &[Entered], at: Time) -> Result<Vec<Statement>, Wrong> {
    let Some(first) = journey.steps.first() else { return Ok(Vec::new()) };
    let before = journey.again()?.map_or(-1, |again| at.0 - again);
    let due = at.plus(first.stay()?);
    let (mut enters, mut arrives) = (Vec::with_capacity(people.len()), Vec::with_capacity(people.len()));
    for entered in people {
        let entry = entry_text(entered.entry);
        let data = json!({ "person": entered.person, "event": entered.event }).to_string();
        let address = entered.address.as_str();
        arrives.push(values![id, address, entry.as_str(), step_text(&entry, first), due.0]);
        enters.push(values![id, address, entry, first.name(), data, at.0, at.0, before]);
    }
    Ok(vec![Statement::each(ENTER, enters), Statement::each(ARRIVE, arrives)])
}

/// A journey that events enter or end.
pub(in crate::proactive) struct Watched {
    id: String,
    journey: Journey,
    condition: Option<Condition>,
}

/// What is known of somebody now: what was said when they entered, and what is kept of the contact, which is newer.
fn joined(entered: Person, contact: Option<Contact>) -> Person {
    let Some(contact) = contact else { return entered };
    let mut addresses = entered.addresses;
    let more: Vec<String> = contact.reachable_at().filter(|a| !addresses.iter().any(|b| normal(b) == **a)).map(str::to_owned).collect();
    addresses.extend(more);
    let mut attributes = entered.attributes;
    attributes.extend(contact.attributes);
    // What was said is better than a guess.
    let time_zone = match contact.time_zone_guessed {
        true => entered.time_zone.or(contact.time_zone),
        false => contact.time_zone.or(entered.time_zone),
    };
    Person {
        number: entered.number,
        addresses,
        name: contact.name.or(entered.name),
        locale: contact.locale.or(entered.locale),
        time_zone,
        attributes,
    }
}

impl Room {
    /// Journeys that events enter or end.
    pub(in crate::proactive) async fn watched_journeys(&self) -> Result<Vec<Watched>, Failed> {
        let all = self.journeys().await?.into_iter().filter(|s| s.journey.on.is_some() || !s.journey.exit_on.is_empty());
        let watched = all.map(|shown| {
            let condition = shown.journey.condition.as_deref().map(|c| Condition::new(c, "#/if")).transpose()?;
            Ok(Watched { id: shown.id, condition, journey: shown.journey })
        });
        watched.collect::<Result<_, Wrong>>().map_err(Into::into)
    }

    /// What something that somebody did changes: they leave, or they enter. Who does both at once leaves and enters anew.
    pub(in crate::proactive) async fn pass_on(
        &self,
        watched: &[Watched],
        happened: &Happened,
        statements: &mut Vec<Statement>,
    ) -> Result<(), Failed> {
        let leaves = |w: &&Watched| w.journey.exit_on.contains(&happened.name);
        let enters = |w: &&Watched| w.journey.on.as_ref() == Some(&happened.name);
        if !watched.iter().any(|w| leaves(&w) || enters(&w)) {
            return Ok(());
        }
        let (person, addresses) = self.everywhere(happened.person.clone()).await?;
        let now = clock::now();
        for w in watched.iter().filter(leaves) {
            let why = format!("the person did {}", happened.name);
            for address in &addresses {
                let row = || values![w.id.as_str(), address.as_str(), why.as_str()];
                statements.extend([STAY, COME_BACK].map(|sql| Statement::once(sql, row())));
                statements.push(Statement::once(LEAVE, [row(), values![now.0]].concat()));
            }
        }
        for w in watched.iter().filter(enters) {
            let mut seen = person.about();
            seen.insert("event".into(), happened.data.clone());
            if w.condition.as_ref().is_some_and(|c| !c.holds(&Value::Object(seen))) {
                continue;
            }
            let entry = ids::fingerprint(&[b"journey", w.id.as_bytes(), happened.id.as_bytes()]);
            let entered = Entered::new(happened.person.clone(), entry);
            let address = self.known_as(&w.id, &addresses).await?.unwrap_or(entered.address);
            let entered = Entered { address, event: Some(happened.data.clone()), ..entered };
            statements.extend(enter(&w.id, &w.journey, &[entered], now)?);
        }
        Ok(())
    }

    /// A person as they are known now, and all their addresses as they are written down.
    pub(super) async fn everywhere(&self, person: Person) -> Result<(Person, BTreeSet<String>), Failed> {
        let mut addresses: BTreeSet<String> = person.addresses.iter().map(|a| normal(a).into_owned()).collect();
        let contact = match person.addresses.first() {
            Some(first) => self.parts.people.by_address(first).await?,
            None => None,
        };
        addresses.extend(contact.iter().flat_map(|c| &c.addresses).map(|a| normal(&a.address).into_owned()));
        Ok((joined(person, contact), addresses))
    }

    /// Which of a person's addresses a journey knows them by.
    pub(super) async fn known_as(&self, journey: &str, addresses: &BTreeSet<String>) -> Result<Option<String>, Failed> {
        let places: Vec<String> = (0..addresses.len()).map(|n| format!("?{}", n + 2)).collect();
        let sql = format!(
            "SELECT address FROM journey_people WHERE journey = ?1 AND address IN ({}) ORDER BY entered_at DESC LIMIT 1",
            places.join(", ")
        );
        let mut row = values![journey];
        row.extend(addresses.iter().map(|a| a.as_str().into()));
        Ok(self.parts.db.read(sql.into(), row).await?.first().map(|r| r.text(0)).transpose()?)
    }

    /// What the step that somebody is at comes to: a message or how it ends without, and the statements that lead them on.
    pub(in crate::proactive) async fn take_step(&self, due: &Due) -> Result<(Result<Composed, End>, Vec<Statement>), Failed> {
        let over = |state, why: &str| Ok((Err((state, why.to_owned())), Vec::new()));
        let Ok(journey) = serde_json::from_value::<Journey>(due.body.clone()) else { return over("failed", "the journey cannot be read") };
        let Some((entry, name)) = due.step.split_once(' ') else { return over("failed", "its step cannot be read") };
        let (id, address) = (due.maker.as_str(), due.address.as_str());
        let sql = "SELECT data FROM journey_people WHERE journey = ?1 AND address = ?2 AND entry = ?3";
        let rows = self.parts.db.read(sql.into(), values![id, address, entry]).await?;
        let Some(data) = rows.first().and_then(|r| r.json::<Map<String, Value>>(0)) else {
            return over("cancelled", "they are not in the journey any more");
        };
        let to = |place: &str, state: &str, why: Option<String>| {
            Statement::once(MOVE, values![id, address, entry, place, state, why, clock::now().0])
        };
        let Some(at) = journey.position(name) else {
            let why = format!("the journey has no step `{name}` any more");
            return Ok((Err(("cancelled", why.clone())), vec![to(name, "left", Some(why))]));
        };
        let entered: Person = data.get("person").cloned().and_then(|p| serde_json::from_value(p).ok()).unwrap_or_default();
        let (person, _) = self.everywhere(entered).await?;
        let mut about = Map::from_iter(data.get("event").filter(|e| !e.is_null()).map(|e| ("event".to_owned(), e.clone())));
        let (step, mut held) = (&journey.steps[at], true);
        let made = match step {
            Step::Wait { .. } => Err(("passed", "its time is over".to_owned())),
            Step::Exit { reason, .. } => Err(("passed", reason.clone().unwrap_or_else(|| "it leads out".into()))),
            Step::Condition { condition, .. } => {
                about.extend(person.about());
                about.insert("steps".into(), self.taken(id, address, entry).await?);
                held = Condition::new(condition, "#/if")?.holds(&Value::Object(about));
                Err(("passed", if held { "it held" } else { "it did not hold" }.to_owned()))
            }
            Step::Send { .. } => {
                let request = due::request(journey.category, journey.metadata.clone());
                Ok(Composed { person, about, channels: journey.channels_of(step).to_vec(), request })
            }
        };
        let onward = match (step, journey.after(at, held)) {
            (Step::Exit { reason, .. }, _) => vec![to(name, "left", reason.clone().or_else(|| Some("this step leads out".into())))],
            (_, None) => vec![to(name, "done", None)],
            (_, Some(next)) => {
                let arrive = values![id, address, entry, step_text(entry, next), clock::now().plus(next.stay()?).0];
                vec![Statement::once(ARRIVE, arrive), to(next.name(), "going", None)]
            }
        };
        Ok((made, onward))
    }

    /// What became of the steps somebody has taken, by name.
    async fn taken(&self, id: &str, address: &str, entry: &str) -> Result<Value, Failed> {
        let sql = "SELECT substr(d.step, 28), d.state FROM dues d
            WHERE d.address = ?2 AND d.kind = 'journey' AND d.maker = ?1 AND substr(d.step, 1, 26) = ?3";
        let rows = self.parts.db.read(sql.into(), values![id, address, entry]).await?;
        Ok(rows.iter().map(|r| Ok((r.text(0)?, Value::from(r.text(1)?)))).collect::<Result<Map<_, _>, crate::store::Error>>()?.into())
    }

    /// Takes in the next people of an audience that was sent into a journey; whether there was one.
    pub(in crate::proactive) async fn take_in(&self) -> Result<bool, Failed> {
        let sql = "SELECT i.id, i.journey, i.audience, i.number, i.place, i.created_at FROM journey_intakes i
            WHERE i.state = 'taking' ORDER BY i.created_at, i.id LIMIT 1";
        let rows = self.parts.db.read(sql.into(), Vec::new()).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let (intake, id, number, place) = (row.text(0)?, row.text(1)?, row.int(3)?, row.text(4)?);
        let audience = match (self.journey(&id).await, self.audience(&row.text(2)?).await) {
            (Ok(shown), Ok(audience)) => Some((shown.journey, audience)),
            (Err(e), _) | (_, Err(e)) if !matches!(e, Failed::Unknown(_)) => return Err(e),
            _ => None,
        };
        let Some((journey, audience)) = audience else {
            // It was removed, or its audience was, before all were in.
            let sql = "UPDATE journey_intakes SET state = 'ended' WHERE id = ?1";
            self.parts.db.write(vec![Statement::once(sql, values![intake])]).await?;
            return Ok(true);
        };
        let mut walk = self.walk(&audience, Time(row.int(5)?))?.behind(number as u64, &place);
        let people = self.next(&mut walk).await?.unwrap_or_default();
        let entered = |person: Person| {
            let entry = ids::fingerprint(&[b"journey", intake.as_bytes(), &person.number.to_le_bytes()]);
            Entered::new(person, entry)
        };
        let people: Vec<Entered> = people.into_iter().map(entered).collect();
        let state = if walk.is_over() { "done" } else { "taking" };
        let sql = "UPDATE journey_intakes SET number = ?2, place = ?3, state = ?4, people = people + ?7 WHERE id = ?1 AND number = ?5 AND place = ?6 AND state = 'taking'";
        let moved = values![intake.as_str(), walk.number as i64, walk.place.as_str(), state, number, place, people.len() as i64];
        let mut statements = vec![Statement::guard(sql, moved)];
        statements.extend(enter(&id, &journey, &people, clock::now())?);
        match self.parts.db.write(statements).await {
            Err(e) if e.is_guarded() => Ok(true), // Another node took them in.
            done => done.map(|_| true).map_err(Failed::Store),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proactive::journeys::report::TAKEN;
    use crate::store::db::{Database, Row};
    use crate::store::laws::{Stage, laws};

    laws! { somebody_is_on_the_way_once_and_comes_again_when_it_is_time }

    async fn somebody_is_on_the_way_once_and_comes_again_when_it_is_time(stage: Stage) {
        let db = stage.open().await;
        crate::proactive::open_tables(&*db).await.expect("tables");
        let maker = "INSERT INTO makers (kind, id, version, body, source, state, created_at, changed_at)
            VALUES ('journey', 'jny_1', 1, '{}', '{}', 'active', 0, 0)";
        db.write(vec![Statement::once(maker, Vec::new())]).await.expect("written");
        let journey: Journey = serde_json::from_value(json!({ "name": "n", "channels": ["sms"], "again": "PT1H", "steps": [
            { "type": "wait", "name": "a while", "for": "PT1M" }, { "type": "exit", "name": "out" }] }))
        .expect("a journey");
        let enters = async |id: &str, entry: u128, at: i64| {
            let person = Person { addresses: vec!["tel:+1 555 010 0200".into()], ..Person::default() };
            let statements = enter(id, &journey, &[Entered::new(person, entry)], Time(at)).expect("it makes sense");
            db.write(statements).await.expect("written")[0].rows.len()
        };
        let row = |entry: u128, more: &[&str]| {
            let mut row = values!["jny_1", "tel:+15550100200", entry_text(entry)];
            row.extend(more.iter().map(|text| (*text).into()));
            row
        };
        let all = async |db: &dyn Database| {
            let text =
                |row: &Row| format!("{} {} {}", row.text(0).expect("text"), row.text(1).expect("text"), row.int(2).expect("a number"));
            let people = db.read("SELECT place, state, entered_at FROM journey_people".into(), Vec::new()).await.expect("read");
            let steps = db.read(TAKEN.into(), values!["jny_1"]).await.expect("read");
            people.iter().chain(&steps).map(text).collect::<Vec<_>>()
        };
        assert_eq!(enters("jny_2", 1, 0).await, 0, "there is no such journey");
        assert_eq!(enters("jny_1", 1, 0).await, 1);
        assert_eq!(all(&*db).await, ["a while going 0", "a while waiting 1"]);
        let due = db.read("SELECT due FROM dues".into(), Vec::new()).await.expect("read")[0].int(0);
        assert_eq!(due, Ok(60_000));
        assert_eq!((enters("jny_1", 1, 5).await, enters("jny_1", 2, 5).await), (0, 0), "who is on the way stays there");
        // On to the next step, with another passage's name and with its own.
        for (entry, expected) in
            [(2, vec!["a while going 0", "a while waiting 1"]), (1, vec!["out going 0", "a while waiting 1", "out waiting 1"])]
        {
            let mut arrive = row(entry, &[]);
            arrive.extend(values![step_text(&entry_text(entry), &journey.steps[1]), 60_000]);
            let mut moved = row(entry, &["out", "going"]);
            moved.extend(values![None::<String>, 60_000]);
            db.write(vec![Statement::once(ARRIVE, arrive), Statement::once(MOVE, moved)]).await.expect("written");
            assert_eq!(all(&*db).await, expected);
        }
        let why = || values!["jny_1", "tel:+15550100200", "they did"];
        let mut left = [STAY, COME_BACK].map(|sql| Statement::once(sql, why())).to_vec();
        left.push(Statement::once(LEAVE, [why(), values![70_000]].concat()));
        db.write(left).await.expect("written");
        assert_eq!(all(&*db).await, ["out left 0", "a while cancelled 1", "out cancelled 1"]);
        assert_eq!((enters("jny_1", 1, 9_000_000).await, enters("jny_1", 2, 3_599_999).await), (0, 0), "the same act, or too early");
        assert_eq!(enters("jny_1", 2, 3_600_000).await, 1);
        assert_eq!(all(&*db).await, ["a while going 3600000", "a while cancelled 1", "a while waiting 1", "out cancelled 1"]);
    }
}

//! Triggers: messages that follow from what a person did (an abandoned cart, a page visited twice) or did not do.
//!
//! An event that a trigger waits for becomes one row of what is due, after the delay; an event of its `unless` list takes the
//! person's rows back. Both are written together with the position in the log, so that no event counts twice and none is
//! forgotten.

use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::event::{Person as Somebody, Received, Tracked};
use fairway_adapters::contract::{Category, Part, Template as Approved, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use serde_with::skip_serializing_none;

use super::audiences::Person;
use super::content::Condition;
use super::due::{self, Composed, Due, End, Kind, Step};
use super::journeys::Watched;
use super::reading::UNIT;
use super::{Failed, Room, Wrong, when};
use crate::clock;
use crate::envelope;
use crate::ids;
use crate::log::{Stored, Topic};
use crate::store::db::{Database, Statement};
use crate::values;

/// Records of one transaction.
const BATCH: usize = 1000;
/// How long the list of triggers is believed.
const BELIEVED: Duration = Duration::from_millis(500);
/// How long a batch waits for more.
const PATIENCE: Duration = Duration::from_millis(20);

/// The body of `POST /v1/triggers`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// For people.
    pub name: String,
    /// What it waits for: the name of a tracked event, or `message.received`.
    pub on: String,
    /// A condition over `event` (`name`, `properties`, `text`) and `contact`: `event.properties.total > 50`.
    #[serde(rename = "if")]
    pub condition: Option<String>,
    /// How long afterwards; at once when absent. ISO 8601.
    pub delay: Option<String>,
    /// Events by which the person makes it needless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<String>,
    /// How often one person gets it.
    pub cap: Option<Cap>,
    /// Through which channels.
    pub channels: Vec<String>,
    /// A template of `/v1/templates`, or the provider's own; this or `parts`.
    #[schema(value_type = Option<Object>)]
    pub template: Option<Approved>,
    /// The words in place; this or `template`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub parts: Vec<Value>,
    /// What kind of message it is in law.
    #[serde(default)]
    #[schema(value_type = String, format = "category")]
    pub category: Category,
    /// Comes back in every status.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// How often one person gets something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TriggerCap)]
pub struct Cap {
    /// At most so many.
    pub count: u32,
    /// In any time so long; ISO 8601.
    pub per: String,
}

/// A trigger as the API shows it.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ShownTrigger)]
pub struct Shown {
    /// `trg_...`.
    pub id: String,
    /// When it was last changed.
    #[schema(value_type = String, format = "date-time")]
    pub changed_at: Time,
    /// What it is.
    #[serde(flatten)]
    pub trigger: Trigger,
}

/// The name under which triggers and goals know an inbound message.
pub const RECEIVED: &str = "message.received";

impl Trigger {
    fn check(&self) -> Result<(), Wrong> {
        if self.name.is_empty() || self.name.chars().count() > 200 {
            return Err(Wrong::at("#/name", "name_invalid", "1 to 200 characters"));
        }
        if self.on.is_empty() {
            return Err(Wrong::at("#/on", "missing", "say which event it waits for"));
        }
        if let Some(condition) = &self.condition {
            Condition::new(condition, "#/if")?;
        }
        self.delay()?;
        self.cap()?;
        due::check_words(self.template.as_ref(), &self.parts, &self.channels)
    }

    fn delay(&self) -> Result<i64, Wrong> {
        self.delay.as_deref().map_or(Ok(0), |d| when::span(d, "#/delay"))
    }

    fn cap(&self) -> Result<Option<(i64, i64)>, Wrong> {
        self.cap.as_ref().map(|cap| Ok((i64::from(cap.count), when::span(&cap.per, "#/cap/per")?))).transpose()
    }
}

/// The longest time that the cap of any trigger looks back, in milliseconds.
pub(super) async fn longest_cap(db: &dyn Database) -> Result<i64, crate::store::Error> {
    let rows = db.read("SELECT body FROM makers WHERE kind = 'trigger'".into(), Vec::new()).await?;
    let looks_back = |row: &crate::store::db::Row| row.json::<Trigger>(0)?.cap().ok()?.map(|(_, per)| per);
    Ok(rows.iter().filter_map(looks_back).max().unwrap_or(0))
}

/// What somebody did.
pub(super) struct Happened {
    pub name: String,
    pub person: Person,
    pub data: Value,
    /// The event's own id.
    pub id: String,
    at: i64,
    /// Ids of choices the person took, which can end a reminder.
    choices: Vec<String>,
    /// The anchor it is about, when it says so.
    anchor: Option<String>,
}

/// A trigger, ready to be asked.
struct Watching {
    id: String,
    trigger: Trigger,
    condition: Option<Condition>,
    delay: i64,
}

impl Room {
    /// Adds a trigger.
    pub async fn create_trigger(&self, trigger: Trigger) -> Result<Shown, Failed> {
        let id = ids::text("trg_", ids::random());
        self.write_trigger(&id, &trigger).await?;
        self.trigger(&id).await
    }

    /// Puts another in a trigger's place. What waits goes in the new words.
    pub async fn edit_trigger(&self, id: &str, trigger: Trigger) -> Result<Shown, Failed> {
        self.trigger(id).await?;
        self.write_trigger(id, &trigger).await?;
        self.trigger(id).await
    }

    async fn write_trigger(&self, id: &str, trigger: &Trigger) -> Result<(), Failed> {
        trigger.check()?;
        self.channels(&trigger.channels, "#/channels")?;
        let source = self.source(trigger.template.as_ref(), &trigger.parts).await?;
        let (body, source) = (serde_json::to_string(trigger).unwrap_or_default(), serde_json::to_string(&source).unwrap_or_default());
        let sql = "INSERT INTO makers (kind, id, version, body, source, state, created_at, changed_at)
            VALUES ('trigger', ?1, 1, ?2, ?3, 'active', ?4, ?4)
            ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, source = excluded.source,
            changed_at = CASE WHEN makers.changed_at >= excluded.changed_at THEN makers.changed_at + 1 ELSE excluded.changed_at END";
        self.parts.db.write(vec![Statement::once(sql, values![id, body, source, clock::now().0])]).await?;
        Ok(())
    }

    /// A trigger.
    pub async fn trigger(&self, id: &str) -> Result<Shown, Failed> {
        let sql = "SELECT id, body, changed_at FROM makers WHERE kind = 'trigger' AND id = ?1 AND state = 'active'";
        let rows = self.parts.db.read(sql.into(), values![id]).await?;
        rows.first().and_then(shown).ok_or(Failed::Unknown("there is no trigger of this id"))
    }

    /// All triggers, the newest first.
    pub async fn triggers(&self) -> Result<Vec<Shown>, Failed> {
        let sql = "SELECT id, body, changed_at FROM makers WHERE kind = 'trigger' AND state = 'active' ORDER BY created_at DESC, id";
        Ok(self.parts.db.read(sql.into(), Vec::new()).await?.iter().filter_map(shown).collect())
    }

    /// The newest messages of a trigger.
    pub async fn trigger_steps(&self, id: &str) -> Result<Vec<Step>, Failed> {
        self.trigger(id).await?;
        self.steps(Kind::Trigger, id).await
    }

    /// Removes a trigger; what waits does not go.
    pub async fn remove_trigger(&self, id: &str) -> Result<(), Failed> {
        self.trigger(id).await?;
        self.end_maker(Kind::Trigger, id, "removed", "the trigger was removed").await
    }

    /// What goes out for a trigger, or how it ends without.
    pub(super) async fn compose_trigger(&self, due: &Due) -> Result<Result<Composed, End>, Failed> {
        let Ok(trigger) = serde_json::from_value::<Trigger>(due.body.clone()) else {
            return Ok(Err(("failed", "the trigger cannot be read".into())));
        };
        if let Ok(Some((count, per))) = trigger.cap() {
            let sql = "SELECT count(*) FROM dues WHERE kind = 'trigger' AND maker = ?1 AND address = ?2 AND sent_at > ?3 AND step <> ?4";
            let since = clock::now().0 - per;
            let row = values![due.maker.as_str(), due.address.as_str(), since, due.step.as_str()];
            let got = self.parts.db.read(sql.into(), row).await?.first().map_or(Ok(0), |r| r.int(0))?;
            if got >= count {
                return Ok(Err((
                    "suppressed",
                    format!("they got it {got} times within {}", trigger.cap.map_or_else(String::new, |c| c.per)),
                )));
            }
        }
        let person = due.data.get("person").cloned().and_then(|p| serde_json::from_value(p).ok()).unwrap_or_default();
        let about = due.data.iter().filter(|(k, _)| *k == "event").map(|(k, v)| (k.clone(), v.clone())).collect();
        let request = due::request(trigger.category, trigger.metadata);
        Ok(Ok(Composed { person, about, channels: trigger.channels, request }))
    }

    async fn watching(&self) -> Result<Vec<Watching>, Failed> {
        let all = self.triggers().await?.into_iter().map(|shown| {
            let condition = shown.trigger.condition.as_deref().map(|c| Condition::new(c, "#/if")).transpose()?;
            Ok(Watching { id: shown.id, condition, delay: shown.trigger.delay()?, trigger: shown.trigger })
        });
        all.collect::<Result<_, Wrong>>().map_err(Into::into)
    }

    /// Watches as long as this node is the one to.
    async fn watch(&self) -> Result<(), Failed> {
        // Where it was never there before it begins with what came since this process runs, not with a week of the past.
        let mut reading = self.reading("watcher", &[Topic::Inbound], Some(self.opened_at)).await?;
        let (mut watching, mut journeys, mut looked) = (Vec::new(), Vec::new(), None::<tokio::time::Instant>);
        while let Some(records) = reading.next(BATCH).await? {
            if !records.is_empty() && looked.is_none_or(|at| at.elapsed() > BELIEVED) {
                (watching, journeys) = (self.watching().await?, self.watched_journeys().await?);
                looked = Some(tokio::time::Instant::now());
            }
            let mut statements = self.react(&records, &watching, &journeys).await?;
            statements.extend(reading.place(!statements.is_empty()));
            if !statements.is_empty() {
                self.parts.db.write(statements).await?;
            }
            if !records.is_empty() && records.len() < BATCH / 4 {
                tokio::time::sleep(PATIENCE).await;
            }
        }
        Ok(())
    }

    /// What some records change: rows begun and taken back, journeys entered and left, reminders stopped.
    async fn react(&self, records: &[Stored], watching: &[Watching], journeys: &[Watched]) -> Result<Vec<Statement>, Failed> {
        let any_reminder = !records.is_empty() && self.any_reminder().await?;
        if watching.is_empty() && journeys.is_empty() && !any_reminder {
            return Ok(Vec::new());
        }
        // In the order of the records: what a person does ends what was begun before, and nothing that comes after it.
        let mut statements = Vec::new();
        for record in records {
            let Some(happened) = happened(record) else { continue };
            let address = happened.person.addresses.first().cloned().unwrap_or_default();
            let now = clock::now().0;
            for w in watching {
                if w.trigger.unless.contains(&happened.name) {
                    let row = values![w.id.as_str(), address.as_str(), format!("{} made it needless", happened.name)];
                    statements.push(Statement::once(OVER, row));
                }
                if w.trigger.on == happened.name && w.condition.as_ref().is_none_or(|c| c.holds(&happened.seen())) {
                    let data = json!({ "person": happened.person, "event": happened.data }).to_string();
                    let due = happened.at.min(now) + w.delay;
                    let row = values![w.id.as_str(), happened.id.as_str(), due, address.as_str(), data];
                    statements.push(Statement::once(BEGIN, row));
                }
            }
            self.pass_on(journeys, &happened, &mut statements).await?;
            if any_reminder {
                self.stop_reminders(&happened, &mut statements).await?;
            }
        }
        Ok(statements)
    }

    /// Whether there is a reminder that what somebody does could stop: most messages come where there is none.
    async fn any_reminder(&self) -> Result<bool, Failed> {
        let sql = "SELECT 1 FROM makers WHERE kind = 'reminder' AND state = 'active' LIMIT 1";
        Ok(!self.parts.db.read(sql.into(), Vec::new()).await?.is_empty())
    }

    /// Stops the reminders of a person that end by what they did.
    async fn stop_reminders(&self, happened: &Happened, statements: &mut Vec<Statement>) -> Result<(), Failed> {
        let sql = "SELECT m.id, m.body FROM maker_addresses a JOIN makers m ON m.kind = a.kind AND m.id = a.maker
            WHERE a.address = ?1 AND a.kind = 'reminder' AND m.state = 'active'";
        let Some(address) = happened.person.addresses.first() else { return Ok(()) };
        for row in self.parts.db.read(sql.into(), values![address.as_str()]).await? {
            let (id, Some(reminder)) = (row.text(0)?, row.json::<super::reminders::Reminder>(1)) else { continue };
            let said = |word: &String| *word == happened.name || happened.choices.contains(word);
            let Some(word) = reminder.stop_on.iter().find(|w| said(w)) else { continue };
            if happened.anchor.as_ref().is_some_and(|anchor| *anchor != id) {
                continue;
            }
            let sql = "UPDATE makers SET state = 'stopped', reason = ?2, changed_at = ?3, extended_to = NULL
                WHERE kind = 'reminder' AND id = ?1 AND state = 'active'";
            let why = format!("the person said {word}");
            statements.push(Statement::once(sql, values![id.as_str(), why.as_str(), clock::now().0]));
            statements.extend(due::take_back(Kind::Reminder, &id, i64::MAX, &why));
        }
        Ok(())
    }
}

const BEGIN: &str = "INSERT INTO dues (kind, maker, version, step, due, state, level, address, data, recall)
    VALUES ('trigger', ?1, 1, ?2, ?3, 'waiting', 0, ?4, ?5, 0) ON CONFLICT DO NOTHING";
const OVER: &str = "UPDATE dues SET state = 'cancelled', level = 1, reason = ?3
    WHERE kind = 'trigger' AND maker = ?1 AND address = ?2 AND state = 'waiting'";

fn shown(row: &crate::store::db::Row) -> Option<Shown> {
    Some(Shown { id: row.text(0).ok()?, trigger: row.json(1)?, changed_at: Time(row.int(2).ok()?) })
}

/// Watches until the process ends.
pub async fn run(room: Arc<Room>) {
    loop {
        if !room.parts.units.owns(UNIT) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        }
        if let Err(e) = room.watch().await {
            tracing::error!(error = ?e, "triggers cannot be decided now; they catch up");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

impl Happened {
    /// What a condition sees.
    fn seen(&self) -> Value {
        let mut all = self.person.about();
        all.insert("event".into(), self.data.clone());
        Value::Object(all)
    }
}

/// What a record tells that somebody did.
fn happened(record: &Stored) -> Option<Happened> {
    let event = envelope::read(record)?;
    let (id, at) = (event.id.to_string(), record.time);
    match &*event.kind {
        "fairway.contact.tracked" => {
            let tracked: Tracked<'_> = serde_json::from_str(event.data).ok()?;
            let properties: Map<String, Value> =
                tracked.properties.as_ref().and_then(|p| serde_json::to_value(p).ok()?.as_object().cloned()).unwrap_or_default();
            let anchor = properties.get("anchor").and_then(Value::as_str).map(str::to_owned);
            let data = json!({ "name": tracked.name, "properties": properties });
            let name = tracked.name.to_string();
            Some(Happened { name, person: person(tracked.from.as_ref()?), data, id, at, choices: Vec::new(), anchor })
        }
        "fairway.message.received" => {
            let received: Received<'_> = serde_json::from_str(event.data).ok()?;
            if received.message.history == Some(true) {
                return None;
            }
            let text = received.message.parts.iter().find_map(|p| if let Part::Text(t) = p { Some(t.text.to_string()) } else { None });
            let choices = received.message.parts.iter().filter_map(|p| if let Part::Choice(c) = p { c.id.as_ref() } else { None });
            let choices: Vec<String> = choices.map(|id| id.to_string()).collect();
            let data = json!({ "name": RECEIVED, "text": text, "choices": choices });
            Some(Happened { name: RECEIVED.into(), person: person(&received.from), data, id, at, choices, anchor: None })
        }
        _ => None,
    }
}

fn person(from: &Somebody<'_>) -> Person {
    let text = |t: &Option<fairway_adapters::contract::Text<'_>>| t.as_ref().map(|t| t.to_string());
    let addresses = std::iter::once(&from.address).chain(&from.also).map(|a| a.to_string()).collect();
    Person { number: 0, addresses, name: text(&from.name), locale: text(&from.locale), ..Person::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_that_makes_no_sense_is_named() {
        let trigger = |more: Value| -> Trigger {
            let mut body = json!({ "name": "cart", "on": "cart_left", "channels": ["sms"], "parts": [{ "type": "text", "text": "x" }] });
            body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            serde_json::from_value(body).expect("a trigger")
        };
        assert_eq!(trigger(json!({})).check(), Ok(()));
        for (more, pointer) in [
            (json!({ "on": "" }), "#/on"),
            (json!({ "if": "a ==" }), "#/if"),
            (json!({ "delay": "soon" }), "#/delay"),
            (json!({ "cap": { "count": 1, "per": "day" } }), "#/cap/per"),
            (json!({ "parts": [] }), "#/template"),
            (json!({ "channels": [] }), "#/channels"),
        ] {
            assert_eq!(trigger(more.clone()).check().expect_err("no sense").pointer, pointer, "{more}");
        }
    }
}

//! Journeys: a few steps that each person goes through on their own clock: wait, ask a condition, send, leave.
//!
//! ```text
//!   event, audience, API ──enter──▶ at a step ──its time──▶ at the next one ──▶ ... ──▶ done
//!                                       └──────── the person acts, or an exit step ──▶ left
//! ```
//!
//! Where a person is, is one row; the step they are at is one row of what is due ([`super::due`]), whatever kind of step it is. A
//! step that was taken, its message and the row of the next step are written together, so that nobody is at two steps, and a
//! message's id is derived from (journey, entry, step), so that none goes twice. Steps lead forwards only: every journey ends.

mod report;
mod travel;

pub use report::{Enter, Entering, Intake, Report, StepCounts, Traveller, Travelling};
pub(super) use travel::Watched;

use std::collections::{BTreeMap, BTreeSet};

use fairway_adapters::contract::{Category, Template as Approved, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use super::content::Condition;
use super::due::{self, Kind};
use super::templates::{Source, Writer};
use super::{Failed, Room, Wrong, when};
use crate::store::db::{Row, Statement};
use crate::{clock, ids, values};

/// Steps of a journey at most.
const STEPS: usize = 50;

/// The body of `POST /v1/journeys`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// For people: 1 to 200 characters.
    pub name: String,
    /// The event people enter by: the name of a tracked one, or `message.received`. Without it they are entered by
    /// `POST /v1/journeys/{id}/enter` alone, which may be used beside it too.
    pub on: Option<String>,
    /// A condition over `event` (`name`, `properties`, `text`) and `contact`, for entering by `on`.
    #[serde(rename = "if")]
    pub condition: Option<String>,
    /// Events by which a person leaves, wherever they are: what waits does not go, what has not left is taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_on: Vec<String>,
    /// How long after they entered somebody who is through may enter again; never when absent. ISO 8601.
    pub again: Option<String>,
    /// What people go through, in this order: 1 to 50 steps.
    pub steps: Vec<Step>,
    /// Through which channels, where a step names none of its own.
    pub channels: Vec<String>,
    /// What kind of messages these are in law.
    #[serde(default)]
    #[schema(value_type = String, format = "category")]
    pub category: Category,
    /// Comes back in every status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One step. Each has a name of its own, and goes on with the step below it, or with the later one named by `next`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = JourneyStep)]
pub enum Step {
    /// Time passes.
    Wait {
        /// Its name.
        name: String,
        /// How long; ISO 8601.
        #[serde(rename = "for")]
        span: String,
        /// The step after it.
        next: Option<String>,
    },
    /// A question about the person, asked when they come to it.
    Condition {
        /// Its name.
        name: String,
        /// Over `contact`, the `event` they entered by, and `steps`: `steps.hello == 'read'` asks for what became of a message.
        #[serde(rename = "if")]
        condition: String,
        /// The step after it when it holds.
        next: Option<String>,
        /// The later step when it does not hold; the end when absent.
        #[serde(rename = "else")]
        otherwise: Option<String>,
    },
    /// A message. They go on at once, whatever becomes of it.
    Send {
        /// Its name.
        name: String,
        /// Through which channels, if not the journey's.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        channels: Vec<String>,
        /// A template of `/v1/templates`, or the provider's own; this or `parts`.
        #[schema(value_type = Option<Object>)]
        template: Option<Approved>,
        /// The words in place; this or `template`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schema(value_type = Vec<Object>)]
        parts: Vec<Value>,
        /// The step after it.
        next: Option<String>,
    },
    /// The end, before the last step.
    Exit {
        /// Its name.
        name: String,
        /// Why, for the report.
        reason: Option<String>,
    },
}

impl Step {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Wait { name, .. } | Self::Condition { name, .. } | Self::Send { name, .. } | Self::Exit { name, .. } => name,
        }
    }

    /// The word of its kind.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "wait",
            Self::Condition { .. } => "condition",
            Self::Send { .. } => "send",
            Self::Exit { .. } => "exit",
        }
    }

    /// The names of steps it may lead to, each with its field.
    fn leads_to(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let (next, otherwise) = match self {
            Self::Wait { next, .. } | Self::Send { next, .. } => (next.as_ref(), None),
            Self::Condition { next, otherwise, .. } => (next.as_ref(), otherwise.as_ref()),
            Self::Exit { .. } => (None, None),
        };
        next.map(|name| ("next", name)).into_iter().chain(otherwise.map(|name| ("else", name)))
    }

    /// How long somebody who comes to it stays, in milliseconds.
    fn stay(&self) -> Result<i64, Wrong> {
        match self {
            Self::Wait { span, .. } => when::span(span, "/for"),
            _ => Ok(0),
        }
    }
}

impl Journey {
    fn check(&self) -> Result<(), Wrong> {
        if self.name.is_empty() || self.name.chars().count() > 200 {
            return Err(Wrong::at("#/name", "name_invalid", "1 to 200 characters"));
        }
        if self.on.as_ref().is_some_and(String::is_empty) {
            return Err(Wrong::at("#/on", "missing", "name the event people enter by, or leave `on` out"));
        }
        if let Some(condition) = &self.condition {
            if self.on.is_none() {
                return Err(Wrong::at("#/if", "ambiguous", "a condition for entering needs the event `on`; ask others in a step"));
            }
            Condition::new(condition, "#/if")?;
        }
        self.again()?;
        if self.steps.is_empty() || self.steps.len() > STEPS {
            return Err(Wrong::at("#/steps", "steps_invalid", format!("1 to {STEPS} steps")));
        }
        self.steps.iter().enumerate().try_for_each(|(n, step)| self.check_step(n, step))
    }

    fn check_step(&self, n: usize, step: &Step) -> Result<(), Wrong> {
        let place = |field: &str| format!("#/steps/{n}{field}");
        let named = step.name();
        if named.is_empty() || named.chars().count() > 100 || self.steps[..n].iter().any(|s| s.name() == named) {
            return Err(Wrong::at(place("/name"), "name_invalid", "every step has a name of its own, of 1 to 100 characters"));
        }
        for (field, name) in step.leads_to() {
            if self.position(name).is_none_or(|at| at <= n) {
                let detail = format!("there is no later step `{name}`; steps lead forwards only");
                return Err(Wrong::at(place(&format!("/{field}")), "step_unknown", detail));
            }
        }
        match step {
            Step::Wait { span, .. } => when::span(span, &place("/for")).map(drop),
            Step::Condition { condition, .. } => Condition::new(condition, &place("/if")).map(drop),
            Step::Send { template, parts, .. } => due::check_words(template.as_ref(), parts, self.channels_of(step))
                .map_err(|wrong| if wrong.pointer == "#/channels" { wrong } else { Wrong { pointer: place("/template"), ..wrong } }),
            Step::Exit { .. } => Ok(()),
        }
    }

    /// Milliseconds after which who is through may enter again.
    fn again(&self) -> Result<Option<i64>, Wrong> {
        self.again.as_deref().map(|span| when::span(span, "#/again")).transpose()
    }

    /// Where a step stands.
    fn position(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name() == name)
    }

    /// The step after one, when a condition held or did not; none at the end.
    fn after(&self, at: usize, held: bool) -> Option<&Step> {
        let named = |name: &Option<String>| name.as_deref().map_or(at + 1, |name| self.position(name).unwrap_or(usize::MAX));
        let next = match self.steps.get(at)? {
            Step::Condition { otherwise, .. } if !held => otherwise.as_deref().and_then(|name| self.position(name))?,
            Step::Wait { next, .. } | Step::Send { next, .. } | Step::Condition { next, .. } => named(next),
            Step::Exit { .. } => return None,
        };
        self.steps.get(next)
    }

    /// Through which channels a step sends.
    fn channels_of<'j>(&'j self, step: &'j Step) -> &'j [String] {
        match step {
            Step::Send { channels, .. } if !channels.is_empty() => channels,
            _ => &self.channels,
        }
    }

    /// Every channel it may send through.
    pub fn all_channels(&self) -> impl Iterator<Item = &String> {
        let own = self.steps.iter().flat_map(|step| if let Step::Send { channels, .. } = step { channels.as_slice() } else { &[] });
        self.channels.iter().chain(own)
    }
}

/// A journey as the API shows it.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ShownJourney)]
pub struct Shown {
    /// `jny_...`.
    pub id: String,
    /// When it was last changed.
    #[schema(value_type = String, format = "date-time")]
    pub changed_at: Time,
    /// What it is.
    #[serde(flatten)]
    pub journey: Journey,
}

fn shown(row: &Row) -> Option<Shown> {
    Some(Shown { id: row.text(0).ok()?, journey: row.json(1)?, changed_at: Time(row.int(2).ok()?) })
}

impl Room {
    /// Adds a journey.
    pub async fn create_journey(&self, journey: &Journey) -> Result<Shown, Failed> {
        let id = ids::text("jny_", ids::random());
        self.write_journey(&id, journey).await?;
        self.journey(&id).await
    }

    /// Puts another in a journey's place. Who is on the way goes on from the step of the same name; who is at a step that is no
    /// more leaves.
    pub async fn edit_journey(&self, id: &str, journey: &Journey) -> Result<Shown, Failed> {
        self.journey(id).await?;
        self.write_journey(id, journey).await?;
        self.journey(id).await
    }

    async fn write_journey(&self, id: &str, journey: &Journey) -> Result<(), Failed> {
        journey.check()?;
        let known: BTreeSet<&String> = journey.all_channels().collect();
        self.channels(&known.into_iter().cloned().collect::<Vec<_>>(), "#/channels")?;
        let mut sources: BTreeMap<&str, Source> = BTreeMap::new();
        for (n, step) in journey.steps.iter().enumerate() {
            let Step::Send { name, template, parts, .. } = step else { continue };
            let below = |e: Failed| match e {
                Failed::Wrong(wrong) => Failed::Wrong(Wrong { pointer: wrong.pointer.replacen('#', &format!("#/steps/{n}"), 1), ..wrong }),
                e => e,
            };
            let source = self.source(template.as_ref(), parts).await.map_err(below)?;
            Writer::new(source.clone(), false).map_err(|wrong| below(wrong.into()))?;
            sources.insert(name, source);
        }
        let (body, sources) = (serde_json::to_string(journey).unwrap_or_default(), serde_json::to_string(&sources).unwrap_or_default());
        let sql = "INSERT INTO makers (kind, id, version, body, source, state, created_at, changed_at)
            VALUES ('journey', ?1, 1, ?2, ?3, 'active', ?4, ?4)
            ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, source = excluded.source,
            changed_at = CASE WHEN makers.changed_at >= excluded.changed_at THEN makers.changed_at + 1 ELSE excluded.changed_at END";
        self.parts.db.write(vec![Statement::once(sql, values![id, body, sources, clock::now().0])]).await?;
        Ok(())
    }

    /// A journey.
    pub async fn journey(&self, id: &str) -> Result<Shown, Failed> {
        let sql = "SELECT id, body, changed_at FROM makers WHERE kind = 'journey' AND id = ?1 AND state = 'active'";
        let rows = self.parts.db.read(sql.into(), values![id]).await?;
        rows.first().and_then(shown).ok_or(Failed::Unknown("there is no journey of this id"))
    }

    /// All journeys, the newest first.
    pub async fn journeys(&self) -> Result<Vec<Shown>, Failed> {
        let sql = "SELECT id, body, changed_at FROM makers WHERE kind = 'journey' AND state = 'active' ORDER BY created_at DESC, id";
        Ok(self.parts.db.read(sql.into(), Vec::new()).await?.iter().filter_map(shown).collect())
    }

    /// Removes a journey: everybody in it stays where they are, and nothing of it goes any more.
    pub async fn remove_journey(&self, id: &str) -> Result<(), Failed> {
        self.journey(id).await?;
        self.end_maker(Kind::Journey, id, "removed", "the journey was removed").await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn journey(steps: Value) -> Journey {
        serde_json::from_value(json!({ "name": "welcome", "channels": ["sms"], "steps": steps })).expect("a journey")
    }

    fn text(name: &str, next: Option<&str>) -> Value {
        json!({ "type": "send", "name": name, "parts": [{ "type": "text", "text": "x" }], "next": next })
    }

    #[test]
    fn steps_follow_each_other_or_lead_ahead() {
        let it = journey(json!([
            text("hello", None),
            { "type": "wait", "name": "a day", "for": "P1D" },
            { "type": "condition", "name": "read?", "if": "steps.hello == 'read'", "else": "remind" },
            text("thanks", Some("bye")),
            text("remind", None),
            { "type": "exit", "name": "bye", "reason": "over" },
            text("never", None)
        ]));
        assert_eq!(it.check(), Ok(()));
        let after = |name: &str, held: bool| it.after(it.position(name).expect("a step"), held).map(Step::name);
        assert_eq!(after("hello", true), Some("a day"));
        assert_eq!((after("read?", true), after("read?", false)), (Some("thanks"), Some("remind")));
        assert_eq!((after("thanks", true), after("remind", true)), (Some("bye"), Some("bye")));
        assert_eq!((after("bye", true), after("never", true)), (None, None));
        assert_eq!(it.steps[1].stay(), Ok(86_400_000));
        let ends = journey(json!([{ "type": "condition", "name": "q", "if": "contact.vip" }, text("gift", None)]));
        assert_eq!((ends.after(0, true).map(Step::name), ends.after(0, false)), (Some("gift"), None));
    }

    #[test]
    fn a_journey_that_makes_no_sense_is_named() {
        for (steps, pointer) in [
            (json!([]), "#/steps"),
            (json!([text("", None)]), "#/steps/0/name"),
            (json!([text("a", None), text("a", None)]), "#/steps/1/name"),
            (json!([text("a", Some("b"))]), "#/steps/0/next"),
            (json!([text("a", None), text("b", Some("a"))]), "#/steps/1/next"),
            (json!([{ "type": "wait", "name": "w", "for": "a while" }]), "#/steps/0/for"),
            (json!([{ "type": "condition", "name": "c", "if": "a ==" }]), "#/steps/0/if"),
            (json!([{ "type": "condition", "name": "c", "if": "a", "else": "c" }]), "#/steps/0/else"),
            (json!([{ "type": "send", "name": "s" }]), "#/steps/0/template"),
        ] {
            assert_eq!(journey(steps.clone()).check().expect_err("no sense").pointer, pointer, "{steps}");
        }
        let good = journey(json!([text("a", None)]));
        let pointer = |wrong: Journey| wrong.check().expect_err("no sense").pointer;
        assert_eq!(pointer(Journey { channels: Vec::new(), ..good.clone() }), "#/channels");
        assert_eq!(pointer(Journey { condition: Some("contact.vip".into()), ..good.clone() }), "#/if");
        assert_eq!(pointer(Journey { on: Some(String::new()), ..good.clone() }), "#/on");
        assert_eq!(pointer(Journey { again: Some("soon".into()), ..good.clone() }), "#/again");
        assert_eq!(pointer(Journey { name: String::new(), ..good }), "#/name");
    }
}

//! Campaigns: one message to many people, each on one of their channels, at the pace that was asked for.
//!
//! ```text
//!   draft ──launch──▶ scheduled ──frozen, due──▶ running ──────▶ completed
//!                        │                      ▲   │  ▲
//!                        └──cancel──▶ cancelled │   │  └─resume── paused | stopped (by its canary, its budget)
//!                                               └───┴────────────────▲
//! ```
//!
//! Every person of the frozen audience is one row with one state: `holdout`, `unreachable`, `suppressed` (never written to),
//! `waiting` (their turn has not come), `planned` (their message is named, and perhaps in its lane), then what became of it.
//! A row is `planned` before the append and `accepted` after it; what a crash leaves `planned` is appended again under the
//! same id and marked `again`.

pub mod acts;
mod batch;
pub mod board;
mod chain;
pub mod expand;
pub mod follow;
pub mod forecast;
pub mod freeze;
pub mod reach;
pub mod report;
mod stage;
pub mod why;

use std::collections::BTreeMap;

use fairway_adapters::contract::{Category, State as MessageState, Template as Approved, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use self::reach::Reached;
use super::templates::Source;
use super::when::{self, Moment, Window};
use super::{Failed, Wrong, prices};
use crate::config::units::Rate;
use crate::store::db::Row;

/// The name of the variant that gets nothing.
pub const HOLDOUT: &str = "holdout";

/// What a campaign is to do: the body of `POST /v1/campaigns`.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignPlan)]
pub struct Plan {
    /// For people.
    pub name: String,
    /// `aud_...`.
    pub audience: String,
    /// Through which channels.
    pub channels: Vec<String>,
    /// Which of them a person gets it on.
    #[serde(default)]
    pub order: Order,
    /// Whether it goes on by the next of a person's channels when one does not bring it to them; it does not when absent.
    pub fallback: Option<Onward>,
    /// A template of `/v1/templates`, or the provider's own; this or `parts`.
    #[schema(value_type = Option<Object>)]
    pub template: Option<Approved>,
    /// The words in place; this or `template`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub parts: Vec<Value>,
    /// What kind of message it is in law.
    #[serde(default = "marketing")]
    #[schema(value_type = String, format = "category")]
    pub category: Category,
    /// Before whom it goes where `[caps]` leave a person room for one more: higher first, at most 100. From its launch on it keeps
    /// that room free for its people; what has less waits. 0, as of all that is sent by the API, keeps nothing free.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: u16,
    /// When.
    #[serde(default)]
    pub schedule: Schedule,
    /// How fast, besides what the channels allow.
    pub rate: Option<Pace>,
    /// A share that goes first and may stop the rest.
    pub canary: Option<Canary>,
    /// Different words by weight; the one named `holdout` gets nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// What it may cost, by `config/prices.toml`.
    pub budget: Option<Budget>,
    /// What people are hoped to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<Goal>,
    /// Comes back in every status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

fn is_zero(n: &u16) -> bool {
    *n == 0
}

/// The highest priority.
const HIGHEST: u16 = 100;

fn marketing() -> Category {
    Category::Marketing
}

/// Which of a person's channels a campaign takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChannelOrder)]
pub enum Order {
    /// By the order of the person's addresses.
    #[default]
    Preferred,
    /// By the order of `channels`.
    Listed,
    /// The cheapest by `config/prices.toml`; what has no price comes last.
    Cheapest,
    /// By when the person last wrote from each of their addresses; those they never wrote from come last, in their own order.
    LastUsed,
}

/// When a campaign goes on by the next of a person's channels: at once after a failure, and after a time without success. Each
/// channel, and each address, is tried once. Who wants no messages on a channel is not followed to another.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignFallback)]
pub struct Onward {
    /// How long a channel has, from the time its provider took the message; ISO 8601. Only a failure counts when absent.
    pub after: Option<String>,
    /// What it has to reach by then, as far as the channel reports it: `delivered` (when absent) or `read`.
    #[schema(value_type = Option<String>, format = "state")]
    pub unless: Option<MessageState>,
}

/// When a campaign goes.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignSchedule)]
pub struct Schedule {
    /// At once when absent; a time of itself (`...Z`), or on the clock of `zone`.
    pub at: Option<String>,
    /// `recipient`, or an IANA name.
    pub zone: Option<String>,
    /// The zone of people of whom none is known, and without `zone` of everybody; `UTC` when absent.
    pub fallback_zone: Option<String>,
    /// Only within these times of the person's day: `["09:00", "20:00"]`.
    pub window: Option<[String; 2]>,
    /// How long after its time a message is still worth sending; ISO 8601.
    pub expires_after: Option<String>,
}

/// How fast a campaign goes.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignPace)]
pub struct Pace {
    /// At most, such as `200/s`.
    pub max: String,
    /// Reached in a straight line over this time; ISO 8601.
    pub ramp: Option<String>,
}

/// A share that goes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Above 0, below 1.
    pub share: f64,
    /// How long its outcome is watched before the rest goes; ISO 8601.
    pub wait: String,
    /// What stops the rest.
    pub stop_if: StopIf,
}

/// Shares of the canary's people, any of which stops the rest when it is exceeded.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopIf {
    /// Opted out, or blocked us.
    pub opted_out: Option<f64>,
    /// Failed.
    pub failed: Option<f64>,
}

/// A variant.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignVariant)]
pub struct Variant {
    /// Its name; `holdout` gets nothing.
    pub name: String,
    /// Its share of all weights.
    pub weight: u32,
    /// Its own template; the campaign's when absent.
    #[schema(value_type = Option<Object>)]
    pub template: Option<Approved>,
    /// Its own words; the campaign's when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub parts: Vec<Value>,
}

/// What a campaign may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignBudget)]
pub struct Budget {
    /// As a decimal number.
    pub amount: String,
    /// ISO 4217; that of the price list.
    pub currency: String,
}

/// What people are hoped to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignGoal)]
pub struct Goal {
    /// A tracked event's name, `answered`, or `clicked`.
    pub event: String,
    /// Within this time of their message; ISO 8601.
    pub within: String,
}

/// Where a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CampaignState)]
pub enum State {
    /// Nothing happens yet.
    Draft,
    /// Launched: its audience is being frozen, or its time has not come.
    Scheduled,
    /// Under way.
    Running,
    /// Held by hand or by its budget.
    Paused,
    /// Held by its canary.
    Stopped,
    /// Everybody's message has left or ended.
    Completed,
    /// Ended by hand.
    Cancelled,
}

impl State {
    const ALL: [Self; 7] = [Self::Draft, Self::Scheduled, Self::Running, Self::Paused, Self::Stopped, Self::Completed, Self::Cancelled];

    /// The word in JSON and in the tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How far the launch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CampaignPhase)]
pub enum Phase {
    /// The audience is being frozen.
    Freeze,
    /// The canary's share goes.
    Canary,
    /// Its outcome is watched.
    Watch,
    /// Everybody goes.
    Full,
    /// It was cancelled, and nobody waits any more.
    Done,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Freeze, Self::Canary, Self::Watch, Self::Full, Self::Done];

    /// The word in the tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Canary => "canary",
            Self::Watch => "watch",
            Self::Full => "full",
            Self::Done => "done",
        }
    }
}

/// A campaign.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Campaign {
    /// `cmp_...`.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// How far its launch is.
    pub phase: Phase,
    /// Counts its edits.
    pub edition: u32,
    /// Why it is held.
    pub reason: Option<String>,
    /// When it was launched.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub launched_at: Option<Time>,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Time,
    /// How its channels reach its people, as it was when they were frozen.
    pub reach: Option<Reached>,
    /// What it is to do.
    #[serde(flatten)]
    pub plan: Plan,
    /// Until when the canary is watched.
    #[serde(skip)]
    pub until: Option<Time>,
    /// The last number of the audience that is frozen.
    #[serde(skip)]
    pub frozen: u64,
    /// Of one launched for a saved filter: the last contact that was looked at.
    #[serde(skip)]
    pub place: Option<String>,
    /// Millionths spent.
    #[serde(skip)]
    pub spent: i64,
    /// When anything of it last changed.
    #[serde(skip)]
    pub changed_at: Time,
    /// The words of each variant, as they were when it was launched or last edited.
    #[serde(skip)]
    pub sources: BTreeMap<String, Source>,
}

/// What [`Campaign::read`] reads.
pub(super) const COLUMNS: &str =
    "id, body, state, phase, edition, reason, launched_at, created_at, until_at, frozen, spent, changed_at, sources, place, reach";

impl Campaign {
    pub(super) fn read(row: &Row) -> Result<Self, Failed> {
        let broken = || crate::store::Error("a campaign's row cannot be read".into());
        let (state, phase) = (row.text(2)?, row.text(3)?);
        Ok(Self {
            id: row.text(0)?,
            plan: row.json(1).ok_or_else(broken)?,
            state: State::ALL.into_iter().find(|s| s.word() == state).ok_or_else(broken)?,
            phase: Phase::ALL.into_iter().find(|p| p.word() == phase).ok_or_else(broken)?,
            edition: row.int(4)? as u32,
            reason: row.maybe_text(5)?,
            launched_at: row.maybe_int(6)?.map(Time),
            created_at: Time(row.int(7)?),
            until: row.maybe_int(8)?.map(Time),
            frozen: row.int(9)? as u64,
            spent: row.int(10)?,
            changed_at: Time(row.int(11)?),
            sources: row.json(12).unwrap_or_default(),
            place: row.maybe_text(13)?,
            reach: row.json(14),
        })
    }

    /// The name of the list of its people: that of an upload, or one of its own, made at its launch.
    pub fn list(&self) -> &str {
        if self.place.is_some() { &self.id } else { &self.plan.audience }
    }

    /// The unit whose owner runs it.
    pub fn unit(&self) -> u32 {
        (crate::ids::fingerprint(&[b"campaign", self.id.as_bytes()]) % u128::from(crate::log::UNITS)) as u32
    }
}

/// A plan that makes sense, with its times and numbers read.
#[derive(Clone, Debug)]
pub struct Checked {
    /// When it begins, if not at once.
    pub at: Option<Moment>,
    /// Whether times are on each person's own clock.
    pub by_person: bool,
    /// The zone of those of whom none is known.
    pub zone: jiff::tz::TimeZone,
    /// Its name.
    pub zone_name: String,
    /// The window of the day.
    pub window: Option<Window>,
    /// Milliseconds a message is worth sending.
    pub expires_after: Option<i64>,
    /// The rate.
    pub rate: Option<Rate>,
    /// Milliseconds of the ramp.
    pub ramp: i64,
    /// Milliseconds the canary is watched.
    pub watch: i64,
    /// Millionths it may cost.
    pub budget: Option<i64>,
    /// Milliseconds each goal counts.
    pub goals: Vec<(String, i64)>,
}

impl Plan {
    /// Reads times and numbers; the error names the place.
    pub fn check(&self) -> Result<Checked, Wrong> {
        if self.name.is_empty() || self.name.chars().count() > 200 {
            return Err(Wrong::at("#/name", "name_invalid", "1 to 200 characters"));
        }
        if self.channels.is_empty() {
            return Err(Wrong::at("#/channels", "missing", "name at least one channel"));
        }
        if self.priority > HIGHEST {
            return Err(Wrong::at("#/priority", "priority_invalid", format!("0 to {HIGHEST}; higher goes first")));
        }
        self.check_variants()?;
        self.check_fallback()?;
        let by_person = self.schedule.zone.as_deref() == Some("recipient");
        let named = self.schedule.zone.as_deref().filter(|z| *z != "recipient");
        let zone_name = named.or(self.schedule.fallback_zone.as_deref()).unwrap_or("UTC").to_owned();
        let place = if named.is_some() { "#/schedule/zone" } else { "#/schedule/fallback_zone" };
        let (rate, ramp) = self.pace()?;
        Ok(Checked {
            at: self.schedule.at.as_deref().map(|at| Moment::parse(at, "#/schedule/at")).transpose()?,
            by_person,
            zone: when::zone(&zone_name, place)?,
            zone_name,
            window: self.schedule.window.as_ref().map(|w| Window::parse(w, "#/schedule/window")).transpose()?,
            expires_after: self.schedule.expires_after.as_deref().map(|t| when::span(t, "#/schedule/expires_after")).transpose()?,
            rate,
            ramp,
            watch: self.check_canary()?,
            budget: self.budget.as_ref().map(|b| amount(&b.amount)).transpose()?,
            goals: self.check_goals()?,
        })
    }

    fn check_fallback(&self) -> Result<(), Wrong> {
        let Some(onward) = &self.fallback else { return Ok(()) };
        if self.channels.len() < 2 {
            return Err(Wrong::at("#/fallback", "channel_missing", "name a second channel in `channels`, or leave the fallback out"));
        }
        if onward.unless.is_some_and(|state| !matches!(state, MessageState::Delivered | MessageState::Read)) {
            return Err(Wrong::at("#/fallback/unless", "state_invalid", "take `delivered` or `read`"));
        }
        onward.after.as_deref().map(|after| when::span(after, "#/fallback/after")).transpose().map(drop)
    }

    fn pace(&self) -> Result<(Option<Rate>, i64), Wrong> {
        let Some(pace) = &self.rate else { return Ok((None, 0)) };
        let rate = pace.max.parse().map_err(|e: String| Wrong::at("#/rate/max", "rate_invalid", e))?;
        Ok((Some(rate), pace.ramp.as_deref().map(|r| when::span(r, "#/rate/ramp")).transpose()?.unwrap_or(0)))
    }

    fn check_variants(&self) -> Result<(), Wrong> {
        let own = |v: &Variant| v.template.is_some() || !v.parts.is_empty();
        let common = self.template.is_some() || !self.parts.is_empty();
        let missing = || Wrong::at("#/template", "missing", "say what to send: `template` or `parts`");
        if self.variants.is_empty() {
            return if common { Ok(()) } else { Err(missing()) };
        }
        let mut weights = 0_u64;
        for (n, variant) in self.variants.iter().enumerate() {
            let place = format!("#/variants/{n}");
            if variant.name.is_empty() || self.variants[..n].iter().any(|v| v.name == variant.name) {
                return Err(Wrong::at(format!("{place}/name"), "name_invalid", "every variant has a name of its own"));
            }
            if variant.name != HOLDOUT && !common && !own(variant) {
                return Err(missing());
            }
            weights += u64::from(variant.weight);
        }
        match weights {
            0 => Err(Wrong::at("#/variants", "weights_missing", "the weights add up to nothing")),
            _ => Ok(()),
        }
    }

    fn check_canary(&self) -> Result<i64, Wrong> {
        let Some(canary) = &self.canary else { return Ok(0) };
        if !(canary.share > 0.0 && canary.share < 1.0) {
            return Err(Wrong::at("#/canary/share", "share_invalid", "a share lies above 0 and below 1"));
        }
        for (name, bound) in [("opted_out", canary.stop_if.opted_out), ("failed", canary.stop_if.failed)] {
            if bound.is_some_and(|b| !(0.0..=1.0).contains(&b)) {
                return Err(Wrong::at(format!("#/canary/stop_if/{name}"), "share_invalid", "a bound lies between 0 and 1"));
            }
        }
        when::span(&canary.wait, "#/canary/wait")
    }

    fn check_goals(&self) -> Result<Vec<(String, i64)>, Wrong> {
        let read = |(n, goal): (usize, &Goal)| Ok((goal.event.clone(), when::span(&goal.within, &format!("#/goals/{n}/within"))?));
        self.goals.iter().enumerate().map(read).collect()
    }

    /// The variant of a person: the same for the same person of the same campaign, whoever asks and however often.
    pub fn variant(&self, campaign: &str, address: &str) -> &str {
        let total: u64 = self.variants.iter().map(|v| u64::from(v.weight)).sum();
        if total == 0 {
            return "";
        }
        let hash = crate::ids::fingerprint(&[b"variant", campaign.as_bytes(), address.as_bytes()]);
        let mut point = (hash % u128::from(total)) as u64;
        for variant in &self.variants {
            if point < u64::from(variant.weight) {
                return &variant.name;
            }
            point -= u64::from(variant.weight);
        }
        ""
    }
}

fn amount(text: &str) -> Result<i64, Wrong> {
    prices::millionths(text)
        .ok_or_else(|| Wrong::at("#/budget/amount", "amount_invalid", format!("`{text}` is no amount; write \"500.00\"")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(more: Value) -> Plan {
        let mut body = json!({ "name": "n", "audience": "aud_x", "channels": ["a"], "parts": [{ "type": "text", "text": "x" }] });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        serde_json::from_value(body).expect("a plan")
    }

    #[test]
    fn the_contracts_example_is_understood() {
        let plan: Plan = serde_json::from_value(json!({ "name": "Spring sale", "audience": "aud_1", "channels": ["acme-whatsapp", "acme-sms"],
            "order": "preferred", "template": { "name": "spring", "params": { "first": "{{ contact.name }}" } }, "category": "marketing",
            "schedule": { "at": "2027-03-01T10:00", "zone": "recipient", "window": ["09:00", "20:00"], "expires_after": "PT24H" },
            "rate": { "max": "200/s", "ramp": "PT30M" }, "canary": { "share": 0.01, "wait": "PT15M", "stop_if": { "opted_out": 0.02, "failed": 0.05 } },
            "variants": [ { "name": "a", "weight": 45 }, { "name": "b", "weight": 45 }, { "name": "holdout", "weight": 10 } ],
            "budget": { "amount": "500.00", "currency": "EUR" }, "goals": [ { "event": "order_placed", "within": "P3D" } ] }))
        .expect("a plan");
        let checked = plan.check().expect("it makes sense");
        assert!(checked.by_person && checked.window.is_some());
        assert_eq!(
            (checked.expires_after, checked.ramp, checked.watch, checked.budget),
            (Some(86_400_000), 1_800_000, 900_000, Some(500_000_000))
        );
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (more, pointer) in [
            (json!({ "channels": [] }), "#/channels"),
            (json!({ "parts": [] }), "#/template"),
            (json!({ "priority": 101 }), "#/priority"),
            (json!({ "fallback": {} }), "#/fallback"),
            (json!({ "channels": ["a", "b"], "fallback": { "after": "soon" } }), "#/fallback/after"),
            (json!({ "channels": ["a", "b"], "fallback": { "unless": "sent" } }), "#/fallback/unless"),
            (json!({ "schedule": { "at": "soon" } }), "#/schedule/at"),
            (json!({ "schedule": { "zone": "Mars/Base" } }), "#/schedule/zone"),
            (json!({ "schedule": { "window": ["09:00", "9"] } }), "#/schedule/window/1"),
            (json!({ "rate": { "max": "fast" } }), "#/rate/max"),
            (json!({ "canary": { "share": 1.5, "wait": "PT1M", "stop_if": {} } }), "#/canary/share"),
            (json!({ "canary": { "share": 0.1, "wait": "PT1M", "stop_if": { "failed": 3.0 } } }), "#/canary/stop_if/failed"),
            (json!({ "variants": [{ "name": "a", "weight": 0 }] }), "#/variants"),
            (json!({ "budget": { "amount": "1,5", "currency": "EUR" } }), "#/budget/amount"),
            (json!({ "goals": [{ "event": "x", "within": "soon" }] }), "#/goals/0/within"),
        ] {
            assert_eq!(plan(more.clone()).check().expect_err("no sense").pointer, pointer, "{more}");
        }
    }

    #[test]
    fn variants_follow_their_weights_and_never_change() {
        let plan = plan(
            json!({ "variants": [{ "name": "a", "weight": 45 }, { "name": "b", "weight": 45 }, { "name": "holdout", "weight": 10 }] }),
        );
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for n in 0..20_000 {
            let address = format!("tel:+1555{n:07}");
            let variant = plan.variant("cmp_1", &address);
            assert_eq!(variant, plan.variant("cmp_1", &address));
            *counts.entry(variant).or_default() += 1;
        }
        // Nine standard deviations of a share of a tenth of 20,000 are 382.
        assert!((1618..2382).contains(&counts["holdout"]), "{counts:?}");
        assert!((8366..9634).contains(&counts["a"]) && (8366..9634).contains(&counts["b"]), "{counts:?}");
    }
}

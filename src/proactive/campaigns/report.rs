//! The books of a campaign, added up; and every person with the reason.

use std::collections::BTreeMap;

use fairway_adapters::contract::Time;
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::reach::Reached;
use super::{Campaign, HOLDOUT, Phase, State};
use crate::proactive::{Failed, Room, prices};
use crate::store::db::Row;
use crate::values;

/// What became of a campaign's people.
///
/// `people = holdout + suppressed + unreachable + to_go + ended + accepted`, and
/// `accepted = waiting + in_doubt + sent + delivered + read + failed + expired + cancelled + held_back`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = CampaignCounts)]
pub struct Counts {
    /// Everybody.
    pub people: u64,
    /// Got nothing on purpose, to compare with.
    pub holdout: u64,
    /// Not written to because they do not want it.
    pub suppressed: u64,
    /// No channel of the campaign reaches them, or nothing could be written for them.
    pub unreachable: u64,
    /// Their turn has not come.
    pub to_go: u64,
    /// Their turn never came: the campaign was cancelled, or it was too late for them.
    pub ended: u64,
    /// Their message was accepted for sending.
    pub accepted: u64,
    /// Of the accepted: not gone out yet.
    pub waiting: u64,
    /// The provider may or may not have it.
    pub in_doubt: u64,
    /// The provider has it.
    pub sent: u64,
    /// It arrived.
    pub delivered: u64,
    /// It was read.
    pub read: u64,
    /// It did not arrive.
    pub failed: u64,
    /// Its time ran out.
    pub expired: u64,
    /// Stopped on request.
    pub cancelled: u64,
    /// Stopped at the gate: the person does not want it.
    pub held_back: u64,
    /// Opted out or blocked us after it.
    pub opted_out: u64,
    /// Reached a goal.
    pub goals: u64,
}

impl Counts {
    fn add(&mut self, state: &str, written: bool, count: u64, opted_out: u64, goals: u64) {
        self.people += count;
        self.opted_out += opted_out;
        self.goals += goals;
        let into = match (state, written) {
            ("holdout", _) => &mut self.holdout,
            ("unreachable", _) => &mut self.unreachable,
            ("suppressed", false) => &mut self.suppressed,
            ("waiting", _) => &mut self.to_go,
            (_, false) => &mut self.ended,
            ("in_doubt", _) => &mut self.in_doubt,
            ("sent", _) => &mut self.sent,
            ("delivered", _) => &mut self.delivered,
            ("read", _) => &mut self.read,
            ("failed", _) => &mut self.failed,
            ("expired", _) => &mut self.expired,
            ("cancelled", _) => &mut self.cancelled,
            ("suppressed", true) => &mut self.held_back,
            _ => &mut self.waiting,
        };
        *into += count;
        if written {
            self.accepted += count;
        }
    }
}

/// The report of a campaign.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CampaignReport)]
pub struct Report {
    /// The campaign.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// How far its launch is.
    pub phase: Phase,
    /// Why it is held.
    pub reason: Option<String>,
    /// How the channels reached everybody when they were frozen.
    pub reach: Option<Reached>,
    /// Altogether.
    pub counts: Counts,
    /// By variant.
    pub variants: BTreeMap<String, Counts>,
    /// Those who got one, by channel.
    pub channels: BTreeMap<String, Counts>,
    /// What it has cost by the price list.
    pub spent: Option<Spent>,
    /// Which variant won, if one did.
    pub winner: Option<Winner>,
    /// What being written to changed, beside the holdout.
    pub lift: Option<Lift>,
}

/// An amount.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = MoneySpent)]
pub struct Spent {
    /// As a decimal number.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
}

/// The comparison of the two best variants by goals per person written to.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Winner {
    /// The better one.
    pub variant: String,
    /// The other one.
    pub over: String,
    /// How it was compared.
    pub statistic: &'static str,
    /// Standard deviations between them.
    pub z: f64,
    /// How likely so large a difference would be by chance.
    pub p_value: f64,
    /// Whether that is below one in twenty.
    pub significant: bool,
}

/// Goals of the people written to beside those of the holdout, who got nothing on purpose.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = CampaignLift)]
pub struct Lift {
    /// Goals per person written to.
    pub written: f64,
    /// Goals per person of the holdout. Links and answers need a message: only tracked events can be compared.
    pub holdout: f64,
    /// How they were compared.
    pub statistic: &'static str,
    /// Standard deviations between them; below 0 when the holdout did better.
    pub z: f64,
    /// How likely so large a difference would be by chance.
    pub p_value: f64,
    /// Whether that is below one in twenty.
    pub significant: bool,
}

/// A person of a campaign.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Recipient {
    /// Number in the audience: the line of the upload.
    pub number: u64,
    /// The address, the one written to when there is a message.
    pub address: String,
    /// The variant.
    pub variant: Option<String>,
    /// Where it stands.
    pub state: String,
    /// The channel; of several that were tried, the one that reached them or came furthest.
    pub channel: Option<String>,
    /// The message; of several, the one on that channel.
    pub message_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Until when it waits, where that is known.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub until: Option<Time>,
    /// When it is or was due.
    #[schema(value_type = String, format = "date-time")]
    pub due: Time,
    /// When its message was named.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub sent_at: Option<Time>,
    /// Whether they opted out after it.
    pub opted_out: bool,
    /// The goal they reached.
    pub goal: Option<String>,
    /// The class of the error.
    #[serde(skip)]
    pub class: Option<String>,
}

/// What [`Recipient::read`] reads.
const RECIPIENT: &str =
    "number, address, variant, state, channel, coalesce(counts, message), reason, due, sent_at, opted_out, goal, until_at, class";

impl Recipient {
    fn read(row: &Row) -> Result<Self, Failed> {
        Ok(Self {
            number: row.int(0)? as u64,
            address: row.text(1)?,
            variant: row.maybe_text(2)?.filter(|v| !v.is_empty()),
            state: row.text(3)?,
            channel: row.maybe_text(4)?,
            message_id: row.maybe_text(5)?,
            reason: row.maybe_text(6)?,
            due: Time(row.int(7)?),
            sent_at: row.maybe_int(8)?.map(Time),
            opted_out: row.int(9)? != 0,
            goal: row.maybe_text(10)?,
            until: row.maybe_int(11)?.map(Time),
            class: row.maybe_text(12)?,
        })
    }
}

impl Room {
    /// Adds up a campaign's books.
    pub async fn campaign_report(&self, id: &str) -> Result<Report, Failed> {
        let campaign = self.campaign(id).await?;
        let sql = "SELECT variant, channel, state, CAST(CASE WHEN message IS NULL THEN 0 ELSE 1 END AS BIGINT), count(*), CAST(sum(opted_out) AS BIGINT),
            CAST(sum(CASE WHEN goal IS NULL THEN 0 ELSE 1 END) AS BIGINT)
            FROM campaign_people WHERE campaign = ?1 GROUP BY 1, 2, 3, 4";
        let mut report = Report {
            id: id.to_owned(),
            state: campaign.state,
            phase: campaign.phase,
            reason: campaign.reason.clone(),
            reach: campaign.reach.clone(),
            counts: Counts::default(),
            variants: BTreeMap::new(),
            channels: BTreeMap::new(),
            spent: self.money_spent(&campaign).await?,
            winner: None,
            lift: None,
        };
        for row in self.parts.db.read(sql.into(), values![id]).await? {
            let (variant, channel, state, written) = (row.text(0)?, row.maybe_text(1)?, row.text(2)?, row.int(3)? != 0);
            let [count, opted_out, goals] = [row.int(4)? as u64, row.int(5)? as u64, row.int(6)? as u64];
            report.counts.add(&state, written, count, opted_out, goals);
            if !variant.is_empty() {
                report.variants.entry(variant).or_default().add(&state, written, count, opted_out, goals);
            }
            if let Some(channel) = channel.filter(|_| written) {
                report.channels.entry(channel).or_default().add(&state, written, count, opted_out, goals);
            }
        }
        if !campaign.plan.goals.is_empty() {
            report.winner = winner(&report.variants);
            report.lift = report.variants.get(HOLDOUT).and_then(|holdout| lift(&report.counts, holdout));
        }
        Ok(report)
    }

    async fn money_spent(&self, campaign: &Campaign) -> Result<Option<Spent>, Failed> {
        let Some(currency) = self.prices().ok().map(|p| p.currency).filter(|c| !c.is_empty()) else { return Ok(None) };
        Ok(Some(Spent { amount: prices::decimal(self.spent(campaign).await?), currency }))
    }

    /// People of a campaign behind a number, in order, in one of these states when any is named.
    pub async fn recipients(&self, id: &str, states: &[String], behind: u64, limit: usize) -> Result<Vec<Recipient>, Failed> {
        let places: Vec<String> = (0..states.len()).map(|n| format!("?{}", n + 4)).collect();
        let only = if states.is_empty() { String::new() } else { format!("AND state IN ({})", places.join(", ")) };
        let sql = format!(
            "SELECT {RECIPIENT} FROM campaign_people
             WHERE campaign = ?1 AND number > ?2 {only} ORDER BY number LIMIT ?3"
        );
        let mut row = values![id, behind as i64, limit as i64];
        row.extend(states.iter().map(|s| s.as_str().into()));
        self.parts.db.read(sql.into(), row).await?.iter().map(Recipient::read).collect()
    }

    /// A person of a campaign, by address or by number.
    pub async fn recipient(&self, id: &str, recipient: &str) -> Result<Option<Recipient>, Failed> {
        let sql = format!(
            "SELECT {RECIPIENT} FROM campaign_people WHERE campaign = ?1 AND (address = ?2 OR number = ?3
             OR number IN (SELECT s.number FROM campaign_steps s WHERE s.campaign = ?1 AND s.address = ?2)) ORDER BY number LIMIT 1"
        );
        let number = recipient.parse::<i64>().unwrap_or(-1);
        self.parts.db.read(sql.into(), values![id, recipient, number]).await?.first().map(Recipient::read).transpose()
    }

    /// The messages to a person of a campaign with a fallback, as far as they were told of, and their channels, in their order.
    pub async fn messages_to(&self, id: &str, number: u64) -> Result<Vec<(String, String)>, Failed> {
        let sql = "SELECT message, channel FROM campaign_steps WHERE campaign = ?1 AND number = ?2 ORDER BY step";
        let rows = self.parts.db.read(sql.into(), values![id, number as i64]).await?;
        rows.iter().map(|r| Ok((r.text(0)?, r.text(1)?))).collect()
    }

    /// Messages of a campaign behind a place, in the order of people, each person's first before their fallback steps; at most
    /// `limit`, with their places and ids. Steps are there as far as they were told of.
    pub async fn campaign_messages(&self, id: &str, behind: MessagePlace, limit: usize) -> Result<Vec<(MessagePlace, String)>, Failed> {
        let row = values![id, behind.0, behind.1, limit as i64];
        let rows = self.parts.db.read(MESSAGES.into(), row).await?;
        rows.iter().map(|r| Ok(((r.int(0)?, r.int(1)?), r.text(2)?))).collect()
    }
}

/// Where a message stands in its campaign: its person's number, and which of their messages it is.
pub type MessagePlace = (i64, i64);

/// The first message of each person has the place 0, whatever its own row among the steps says.
const MESSAGES: &str = "SELECT m.number, m.step, m.message FROM (
    SELECT * FROM (SELECT p.number AS number, 0 AS step, p.message AS message FROM campaign_people p
        WHERE p.campaign = ?1 AND p.number > ?2 AND p.message IS NOT NULL ORDER BY p.number LIMIT ?4) f
    UNION ALL
    SELECT * FROM (SELECT s.number AS number, s.step + 1 AS step, s.message AS message FROM campaign_steps s
        JOIN campaign_people p ON p.campaign = s.campaign AND p.number = s.number AND p.message <> s.message
        WHERE s.campaign = ?1 AND s.number >= ?2 AND (s.number > ?2 OR s.step + 1 > ?3) ORDER BY s.number, s.step LIMIT ?4) l) m
    ORDER BY m.number, m.step LIMIT ?4";

const STATISTIC: &str = "two-sided two-proportion z-test";

/// Two shares, each hits of tries, compared by a two-proportion z-test: standard deviations between them, and how likely so large
/// a difference would be by chance.
fn compared((hits, tries): (u64, u64), (other_hits, other_tries): (u64, u64)) -> (f64, f64) {
    let (n, m) = (tries as f64, other_tries as f64);
    let pooled = (hits + other_hits) as f64 / (n + m);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let z = if deviation > 0.0 { (hits as f64 / n - other_hits as f64 / m) / deviation } else { 0.0 };
    (z, 2.0 * (1.0 - normal(z.abs())))
}

/// Compares everybody written to with the holdout; nothing where one of the two is nobody.
fn lift(all: &Counts, holdout: &Counts) -> Option<Lift> {
    let (goals, tries) = (all.goals - holdout.goals, all.accepted);
    if tries == 0 || holdout.people == 0 {
        return None;
    }
    let (z, p_value) = compared((goals, tries), (holdout.goals, holdout.people));
    let (written, holdout) = (goals as f64 / tries as f64, holdout.goals as f64 / holdout.people as f64);
    Some(Lift { written, holdout, statistic: STATISTIC, z, p_value, significant: p_value < 0.05 })
}

/// Compares the two variants with most goals per person written to.
fn winner(variants: &BTreeMap<String, Counts>) -> Option<Winner> {
    let share = |c: &Counts| c.goals as f64 / c.accepted as f64;
    let mut tried: Vec<(&String, &Counts)> = variants.iter().filter(|(name, c)| *name != HOLDOUT && c.accepted > 0).collect();
    tried.sort_by(|a, b| share(b.1).total_cmp(&share(a.1)));
    let [(best, a), (next, b), ..] = tried.as_slice() else { return None };
    let (z, p_value) = compared((a.goals, a.accepted), (b.goals, b.accepted));
    let (variant, over) = ((*best).clone(), (*next).clone());
    Some(Winner { variant, over, statistic: STATISTIC, z, p_value, significant: p_value < 0.05 })
}

/// The standard normal distribution up to `z >= 0`, by Abramowitz and Stegun 26.2.17 (error below 7.5e-8).
fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    1.0 - (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_counts_once() {
        let mut counts = Counts::default();
        let states = [
            ("holdout", false),
            ("unreachable", false),
            ("suppressed", false),
            ("waiting", false),
            ("expired", false),
            ("cancelled", false),
            ("planned", true),
            ("accepted", true),
            ("scheduled", true),
            ("held", true),
            ("in_doubt", true),
            ("sent", true),
            ("failed", true),
            ("delivered", true),
            ("read", true),
            ("expired", true),
            ("cancelled", true),
            ("suppressed", true),
        ];
        for (n, (state, written)) in states.into_iter().enumerate() {
            counts.add(state, written, 1 << n, 0, 0);
        }
        let c = &counts;
        assert_eq!(c.people, (1 << states.len()) - 1);
        assert_eq!(c.people, c.holdout + c.suppressed + c.unreachable + c.to_go + c.ended + c.accepted);
        let after = c.waiting + c.in_doubt + c.sent + c.delivered + c.read + c.failed + c.expired + c.cancelled + c.held_back;
        assert_eq!(c.accepted, after);
    }

    #[test]
    fn a_winner_is_one_only_when_chance_is_unlikely() {
        let variant = |accepted, goals| Counts { accepted, goals, ..Counts::default() };
        let clear = BTreeMap::from([
            ("a".to_owned(), variant(1000, 150)),
            ("b".to_owned(), variant(1000, 100)),
            (HOLDOUT.to_owned(), variant(9, 9)),
        ]);
        let winner = winner(&clear).expect("two were tried");
        assert_eq!((winner.variant.as_str(), winner.significant), ("a", true));
        // (0.15 - 0.10) / sqrt(0.125 * 0.875 * 2 / 1000) = 3.381
        assert!((winner.z - 3.381).abs() < 0.001 && (winner.p_value - 0.00072).abs() < 0.00002, "{winner:?}");
        let close = BTreeMap::from([("a".to_owned(), variant(1000, 102)), ("b".to_owned(), variant(1000, 100))]);
        assert!(!super::winner(&close).expect("two were tried").significant);
        assert_eq!(super::winner(&BTreeMap::from([("a".to_owned(), variant(10, 1))])), None);
    }

    #[test]
    fn being_written_to_is_compared_with_the_holdout() {
        let all = Counts { people: 1100, accepted: 1000, holdout: 100, goals: 155, ..Counts::default() };
        let holdout = |people, goals| Counts { people, holdout: people, goals, ..Counts::default() };
        let found = lift(&all, &holdout(100, 5)).expect("both are somebody");
        assert_eq!((found.written, found.holdout, found.significant), (0.15, 0.05, true));
        // (0.15 - 0.05) / sqrt(155 / 1100 * 945 / 1100 * (1 / 1000 + 1 / 100)) = 2.740
        assert!((found.z - 2.740).abs() < 0.001 && (found.p_value - 0.00614).abs() < 0.00002, "{found:?}");
        let worse = lift(&all, &holdout(100, 55)).expect("both are somebody");
        assert!(worse.z < 0.0 && worse.significant && worse.p_value < 1.0, "{worse:?}");
        assert_eq!(lift(&all, &holdout(0, 0)), None);
    }
}

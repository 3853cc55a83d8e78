//! The runner: freezes, begins, expands and ends campaigns of the units this node owns.
//!
//! Expansion keeps only a few seconds of the allowed rate ahead of what has left, so that a pause, an edit or a STOP meets
//! few messages in lanes, and a campaign of millions takes no more memory than one of hundreds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::{Scope, Time};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::acts::Turn;
use super::{COLUMNS, Campaign, Checked, Phase, State, why};
use crate::clock;
use crate::ids::{self, MessageId};
use crate::log::Durability;
use crate::orders::Order as ToOwner;
use crate::outbound::limit::{Micros, View};
use crate::outbound::unit::Ask;
use crate::proactive::templates::Writer;
use crate::proactive::{Failed, Room};
use crate::store::db::Statement;
use crate::values;

/// People of one batch.
pub(super) const BATCH: usize = 2000;
/// Seconds of the allowed rate that may lie in lanes.
const AHEAD: f64 = 5.0;
/// Messages that may lie in lanes at least and at most.
const BOUNDS: (f64, f64) = (200.0, 20_000.0);
/// This part of what may lie there has left before more is put in.
const REFILL: f64 = 4.0;
/// How long the runner rests when there is nothing to do.
const REST: Duration = Duration::from_millis(100);
/// How long an append that failed waits before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How soon a fallback step is told of that follows a failure.
const FOLLOWS: Micros = 3_000_000;
/// How long what a channel allows is believed.
const BELIEVED: Micros = 2_000_000;

/// What the runner keeps in mind of a campaign.
#[derive(Default)]
pub struct Pacing {
    /// How much lies in lanes does not count.
    unbounded: bool,
    tokens: f64,
    filled: Micros,
    /// When this process first saw it running: where a ramp begins again after a restart.
    since: Micros,
    allowed: f64,
    asked: Micros,
    /// Since when nobody's message waits, 0 while somebody's does; of a cancelled campaign, when the last pass began.
    over: Micros,
    /// Of a cancelled campaign: whose messages in the schedule have been stopped.
    recalled: u64,
    pub(super) writers: Option<(u32, HashMap<String, Arc<Writer>>)>,
    /// The last batch, which is written down while the next one is made.
    pub(super) under_way: Option<UnderWay>,
}

/// A batch whose books are being written, and whose messages are becoming durable.
pub(super) struct UnderWay {
    pub batch: JoinHandle<Result<(), Failed>>,
    /// The last of its people, by their turn.
    pub last: (Time, u64),
}

impl Pacing {
    /// Lets any number of messages lie in lanes: to measure how fast people become messages where nothing takes them out.
    pub fn unbounded() -> Self {
        Self { unbounded: true, ..Self::default() }
    }

    /// Whether the last batch is still being written.
    fn is_writing(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| !under_way.batch.is_finished())
    }

    /// Waits until the last batch is durable and in the books.
    ///
    /// # Errors
    /// When the store is away. What stays planned is told again under the same ids.
    pub async fn settle(&mut self) -> Result<(), Failed> {
        match self.under_way.take() {
            Some(under_way) => under_way.batch.await.unwrap_or_else(|e| Err(crate::store::Error(e.to_string()).into())),
            None => Ok(()),
        }
    }
}

/// Runs until the process ends.
pub async fn run(room: Arc<Room>) {
    let mut pacing: HashMap<String, Pacing> = HashMap::new();
    loop {
        let mut worked = false;
        match room.under_way().await {
            Ok(campaigns) => {
                // One that was paused is kept in mind while its last batch is written: resumed at once, it takes nobody of it again.
                pacing.retain(|id, pacing| campaigns.iter().any(|c| c.id == *id) || pacing.is_writing());
                for campaign in campaigns.iter().filter(|c| room.parts.units.owns(c.unit())) {
                    match room.step(campaign, pacing.entry(campaign.id.clone()).or_default()).await {
                        Ok(more) => worked |= more,
                        Err(Failed::Conflict(_)) => {} // Somebody turned it meanwhile: the next look sees how.
                        Err(e) => {
                            tracing::error!(campaign = campaign.id, error = ?e, "a campaign cannot go on now; it is tried again");
                            tokio::time::sleep(AGAIN).await;
                        }
                    }
                }
            }
            Err(e) => {
                tracing::warn!(error = ?e, "campaigns cannot be read now");
                tokio::time::sleep(AGAIN).await;
            }
        }
        if !worked {
            tokio::select! {
                () = room.stirred.notified() => {}
                () = tokio::time::sleep(REST) => {}
            }
        }
    }
}

impl Room {
    async fn under_way(&self) -> Result<Vec<Campaign>, Failed> {
        let sql = format!(
            "SELECT {COLUMNS} FROM campaigns WHERE state IN ('scheduled', 'running') OR (state = 'cancelled' AND phase <> 'done') ORDER BY id"
        );
        self.parts.db.read(sql.into(), Vec::new()).await?.iter().map(Campaign::read).collect()
    }

    /// Does the next thing of a campaign of ours; whether there was one.
    ///
    /// # Errors
    /// [`Failed::Conflict`] when somebody turned it meanwhile; when the store is away.
    pub async fn step(&self, campaign: &Campaign, pacing: &mut Pacing) -> Result<bool, Failed> {
        let id = campaign.id.as_str();
        if campaign.phase == Phase::Freeze {
            if self.freeze(campaign).await? {
                let phase = if campaign.plan.canary.is_some() { Phase::Canary } else { Phase::Full };
                self.turn(id, Turn { from: &[campaign.state], phase: Some(phase), reason: campaign.reason.clone(), ..Turn::default() })
                    .await?;
            }
            return Ok(true);
        }
        match campaign.state {
            State::Scheduled => self.begin(id).await,
            State::Running => self.advance(campaign, pacing).await,
            State::Cancelled => self.sweep(campaign, pacing).await,
            _ => Ok(false),
        }
    }

    async fn begin(&self, id: &str) -> Result<bool, Failed> {
        let sql = "SELECT min(due) FROM campaign_people WHERE campaign = ?1 AND state = 'waiting'";
        let first = self.parts.db.read(sql.into(), values![id]).await?.first().map(|r| r.maybe_int(0)).transpose()?.flatten();
        if first.is_some_and(|due| due > clock::now().0) {
            return Ok(false);
        }
        self.turn(id, Turn { from: &[State::Scheduled], to: Some(State::Running), ..Turn::default() }).await?;
        Ok(true)
    }

    async fn advance(&self, campaign: &Campaign, pacing: &mut Pacing) -> Result<bool, Failed> {
        let id = campaign.id.as_str();
        let checked = campaign.plan.check()?;
        if pacing.under_way.is_none() && self.repeat_planned(campaign, &checked, pacing).await? {
            return Ok(true);
        }
        if campaign.plan.fallback.is_some()
            && let Some(budget) = checked.budget
            && self.spent(campaign).await? > budget
        {
            // Steps cost what nobody planned. Those that have not left are held with the rest.
            let reason = Some(why::BUDGET_USED.to_owned());
            self.turn(id, Turn { from: &[State::Running], to: Some(State::Paused), reason, ..Turn::default() }).await?;
            return Ok(true);
        }
        let mut room_left = self.room_left(campaign, &checked, pacing).await?;
        match campaign.phase {
            Phase::Canary => match self.canary_left(campaign).await? {
                None => return Ok(true), // Stopped.
                Some(0) => {
                    let until = Some(clock::now().0 + checked.watch);
                    self.turn(id, Turn { from: &[State::Running], phase: Some(Phase::Watch), until, ..Turn::default() }).await?;
                    return Ok(true);
                }
                Some(left) => room_left = room_left.min(left),
            },
            Phase::Watch => {
                if self.canary_left(campaign).await?.is_some() && campaign.until.is_none_or(|until| until <= clock::now()) {
                    self.turn(id, Turn { from: &[State::Running], phase: Some(Phase::Full), ..Turn::default() }).await?;
                }
                return Ok(false);
            }
            _ => {}
        }
        if room_left == 0 {
            pacing.settle().await?;
            return Ok(false);
        }
        let people = self.turned(campaign, "waiting", room_left.min(BATCH), pacing).await?;
        if people.is_empty() {
            pacing.settle().await?;
            return self.complete(campaign, pacing).await;
        }
        let count = people.len();
        self.send(campaign, &checked, pacing, people, false).await?;
        pacing.tokens -= count as f64;
        Ok(true)
    }

    /// Everybody's turn has come, and everything has left or ended: it is over.
    async fn complete(&self, campaign: &Campaign, pacing: &mut Pacing) -> Result<bool, Failed> {
        let id = campaign.id.as_str();
        if self.waits(campaign).await? {
            pacing.over = 0;
            return Ok(false);
        }
        let now = clock::steady();
        if pacing.over == 0 {
            pacing.over = now;
        }
        if campaign.plan.fallback.is_some() && now - pacing.over < FOLLOWS {
            return Ok(false);
        }
        self.turn(id, Turn { from: &[State::Running], to: Some(State::Completed), ..Turn::default() }).await?;
        self.parts.consent.release(id).await?;
        Ok(true)
    }

    /// Whether anybody's turn or message is still to come.
    async fn waits(&self, campaign: &Campaign) -> Result<bool, Failed> {
        let sql = "SELECT number FROM campaign_people WHERE campaign = ?1 AND state IN ('waiting', 'planned', 'accepted', 'scheduled', 'held') LIMIT 1";
        Ok(!self.parts.db.read(sql.into(), values![campaign.id.as_str()]).await?.is_empty() || self.steps_wait(campaign).await?)
    }

    /// What a crash left planned is sent under the same id; the lane's owner looks up whether he has it.
    async fn repeat_planned(&self, campaign: &Campaign, checked: &Checked, pacing: &mut Pacing) -> Result<bool, Failed> {
        let people = self.turned(campaign, "planned", BATCH, pacing).await?;
        if people.is_empty() {
            return Ok(false);
        }
        self.send(campaign, checked, pacing, people, true).await?;
        pacing.settle().await?;
        Ok(true)
    }

    /// A cancelled campaign: whoever waits gets nothing, in chunks.
    async fn sweep(&self, campaign: &Campaign, pacing: &mut Pacing) -> Result<bool, Failed> {
        let id = campaign.id.as_str();
        pacing.settle().await?;
        if self.repeat_planned(campaign, &campaign.plan.check()?, pacing).await? {
            return Ok(true);
        }
        let sql = "UPDATE campaign_people SET state = 'cancelled', level = 1, reason = 'the campaign was cancelled before their turn'
            WHERE campaign = ?1 AND number IN
            (SELECT number FROM campaign_people WHERE campaign = ?1 AND state = 'waiting' ORDER BY number LIMIT 4000)";
        if self.parts.db.write(vec![Statement::once(sql, values![id])]).await?.first().is_some_and(|d| d.changed > 0) {
            return Ok(true);
        }
        if !self.call_off(campaign, pacing).await? {
            return Ok(false);
        }
        self.parts.consent.release(id).await?;
        let turn = Turn { from: &[State::Cancelled], phase: Some(Phase::Done), reason: campaign.reason.clone(), ..Turn::default() };
        self.turn(id, turn).await?;
        Ok(true)
    }

    /// Stops what lies in lanes and in the schedule, chunk by chunk: it may wait for hours that are a day away. Whether nothing does
    /// any more; what is put there meanwhile is found by the next pass.
    async fn call_off(&self, campaign: &Campaign, pacing: &mut Pacing) -> Result<bool, Failed> {
        let sql = "SELECT p.number, p.message FROM campaign_people p
            WHERE p.campaign = ?1 AND p.state IN ('accepted', 'scheduled', 'held') AND p.number > ?2
            UNION SELECT s.number, s.message FROM campaign_steps s WHERE s.campaign = ?1 AND s.weight = 1 AND s.number > ?2
            ORDER BY 1 LIMIT ?3";
        let row = values![campaign.id.as_str(), pacing.recalled as i64, BATCH as i64];
        let rows = self.parts.db.read(sql.into(), row).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in &rows {
            pacing.recalled = row.int(0)? as u64;
            if let Some(id) = row.maybe_text(1)?.and_then(|id| id.parse::<MessageId>().ok()) {
                records.push(ToOwner::Cancel { id }.record(u32::from(id.unit), ids::random()));
            }
        }
        if rows.len() == BATCH {
            pacing.recalled -= 1; // The last one may have more messages than came with this chunk.
        }
        let now = clock::steady();
        if rows.is_empty() && now - pacing.over > FOLLOWS {
            (pacing.recalled, pacing.over) = (0, now);
        }
        while !records.is_empty() {
            let outcomes = self.parts.log.append(records.clone(), Durability::Log).await;
            records = records.into_iter().zip(outcomes).filter(|(_, o)| !o.is_durable()).map(|(r, _)| r).collect();
            if !records.is_empty() {
                tokio::time::sleep(AGAIN).await;
            }
        }
        Ok(!self.waits(campaign).await?)
    }

    /// How many of the canary's people are left; `None` when its bounds have stopped the campaign.
    async fn canary_left(&self, campaign: &Campaign) -> Result<Option<usize>, Failed> {
        let Some(canary) = &campaign.plan.canary else { return Ok(Some(usize::MAX)) };
        // Only rows of people who got theirs are looked at: few, while the canary goes.
        let sql = "SELECT count(*), CAST(sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS BIGINT),
            CAST(sum(CASE WHEN opted_out = 1 OR class = 'opted_out' THEN 1 ELSE 0 END) AS BIGINT)
            FROM campaign_people WHERE campaign = ?1 AND message IS NOT NULL AND state IN ('planned', 'accepted', 'scheduled', 'held',
            'in_doubt', 'sent', 'failed', 'delivered', 'read', 'expired', 'cancelled', 'suppressed')";
        let rows = self.parts.db.read(sql.into(), values![campaign.id.as_str()]).await?;
        let count = |n: usize| rows.first().and_then(|r| r.maybe_int(n).ok().flatten()).unwrap_or(0);
        let (written, failed, opted_out) = (count(0), count(1), count(2));
        let people = match &campaign.reach {
            Some(reach) => reach.people,
            None => self.audience(&campaign.plan.audience).await?.people.unwrap_or(0),
        };
        let quota = ((people as f64 * canary.share).ceil() as i64).max(1);
        for (what, bound, found) in [("failed", canary.stop_if.failed, failed), ("opted out", canary.stop_if.opted_out, opted_out)] {
            if let Some(bound) = bound.filter(|b| found as f64 > b * quota as f64) {
                let reason = format!("{found} of the canary's {quota} {what}, more than {} %", bound * 100.0);
                let turn = Turn { from: &[State::Running], to: Some(State::Stopped), reason: Some(reason), ..Turn::default() };
                self.turn(&campaign.id, turn).await?;
                return Ok(None);
            }
        }
        Ok(Some((quota - written).max(0) as usize))
    }

    /// How many people may get their message now, by the campaign's own rate and by what lies in lanes.
    async fn room_left(&self, campaign: &Campaign, checked: &Checked, pacing: &mut Pacing) -> Result<usize, Failed> {
        let now = clock::steady();
        if pacing.since == 0 {
            (pacing.since, pacing.filled) = (now, now);
        }
        if now - pacing.asked > BELIEVED {
            pacing.allowed = self.allowed(&campaign.plan.channels).await;
            pacing.asked = now;
        }
        let mut rate = pacing.allowed;
        let mut tokens = f64::MAX;
        if let Some(max) = checked.rate {
            let launched = campaign.launched_at.map_or(0, |at| clock::now().since(at));
            let most = f64::from(max.count) / max.window.as_secs_f64() * ramp(launched, checked.ramp);
            pacing.tokens = (pacing.tokens + most * (now - pacing.filled) as f64 / 1e6).min(most.max(1.0));
            rate = rate.min(most);
            tokens = pacing.tokens;
        } else {
            pacing.tokens = 0.0;
        }
        pacing.filled = now;
        if pacing.unbounded {
            return Ok(tokens.min(BATCH as f64) as usize);
        }
        let ahead = (rate * AHEAD).clamp(BOUNDS.0, BOUNDS.1);
        let sql = "SELECT count(*) FROM campaign_people WHERE campaign = ?1 AND state IN ('planned', 'accepted')";
        let lying = self.parts.db.read(sql.into(), values![campaign.id.as_str()]).await?.first().map_or(Ok(0), |r| r.int(0))?;
        let room = ahead - lying as f64;
        // A batch asks the same questions and makes the same two commits however many it is for.
        Ok(if room < ahead / REFILL { 0 } else { tokens.min(room) as usize })
    }

    /// What these channels allow together, in messages a second, as far as their owners are on this node.
    pub(super) async fn allowed(&self, channels: &[String]) -> f64 {
        let bound = self.parts.channels.get();
        let mut all = 0.0;
        for name in channels {
            let Some(channel) = bound.by_id.get(name) else { continue };
            let (answer, view) = oneshot::channel();
            if !self.parts.units.ask(channel.unit, Ask::View(name.clone(), answer)) {
                all += BOUNDS.0 / AHEAD;
                continue;
            }
            all += pace(&view.await.map(|v| v.limits).unwrap_or_default()).unwrap_or(BOUNDS.1 / AHEAD);
        }
        all
    }
}

/// What limits let through a second, whoever it goes to; nothing where there is none. One that is kept for each conversation, group,
/// template or country holds some back and says nothing about all.
fn pace(limits: &[View]) -> Option<f64> {
    let of_all = limits.iter().filter(|l| matches!(l.scope, Scope::Account | Scope::Sender));
    of_all.map(|l| l.learned_per_second).min_by(f64::total_cmp)
}

/// The share of the rate that is allowed so long after the launch: from a tenth up, in a straight line.
pub(super) fn ramp(since: i64, ramp: i64) -> f64 {
    if ramp <= 0 { 1.0 } else { (0.1 + 0.9 * since as f64 / ramp as f64).clamp(0.1, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::limit::Limit;

    #[test]
    fn what_one_group_gets_says_nothing_about_the_pace_of_all() {
        let view = |(scope, count, seconds): (Scope, u32, i64)| Limit::new(count, seconds * 1_000_000, 1).view(scope, 0);
        let of = |limits: &[(Scope, u32, i64)]| pace(&limits.iter().copied().map(view).collect::<Vec<_>>());
        let each = [(Scope::Conversation, 1, 1), (Scope::Group, 20, 60), (Scope::Template, 1, 10), (Scope::Country, 1, 10)];
        assert_eq!(of(&each), None);
        assert_eq!(of(&[(Scope::Sender, 30, 1), each[0], each[1], each[2], each[3]]), Some(30.0), "Telegram's, as its facts say");
        assert_eq!(of(&[(Scope::Account, 100, 10), (Scope::Sender, 30, 1)]), Some(10.0));
    }

    #[test]
    fn a_ramp_rises_to_the_whole_rate() {
        let shares: Vec<f64> = [0, 450_000, 900_000, 1_800_000, 9_000_000].map(|t| ramp(t, 1_800_000)).to_vec();
        assert!(shares.windows(2).all(|w| w[0] <= w[1]) && shares[0] == 0.1 && shares[4] == 1.0, "{shares:?}");
        assert_eq!(ramp(0, 0), 1.0);
    }
}

//! The runner: freezes, begins, expands and ends campaigns of the units this node owns.
//!
//! Expansion keeps only a few seconds of the allowed rate ahead of what has left, so that a pause, an edit or a STOP meets
//! few messages in lanes, and a campaign of millions takes no more memory than one of hundreds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{Mark, Priority, Scope, SendRequest, Time};
use tokio::sync::oneshot;

use super::acts::Turn;
use super::reach::choose;
use super::{COLUMNS, Campaign, Checked, Phase, State, chain, why};
use crate::channels::Channel;
use crate::clock;
use crate::ids::{self, MessageId};
use crate::log::Durability;
use crate::orders::Order as ToOwner;
use crate::outbound::accept::{Act, Ready};
use crate::outbound::limit::{Micros, View};
use crate::outbound::unit::Ask;
use crate::proactive::audiences::Person;
use crate::proactive::erase;
use crate::proactive::links::{self, Linker};
use crate::proactive::prices::Prices;
use crate::proactive::templates::Writer;
use crate::proactive::{Failed, Room};
use crate::store::db::{Row, Statement};
use crate::telemetry::{self, names};
use crate::values;

/// People of one batch.
const BATCH: usize = 2000;
/// Seconds of the allowed rate that may lie in lanes.
const AHEAD: f64 = 5.0;
/// Messages that may lie in lanes at least and at most.
const BOUNDS: (f64, f64) = (200.0, 20_000.0);
/// How long the runner rests when there is nothing to do.
const REST: Duration = Duration::from_millis(100);
/// How long an append that failed waits before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// A whole batch of at least so many that cannot be written is a mistake in the campaign, not in its people.
const SUSPICIOUS: usize = 20;
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
    writers: Option<(u32, HashMap<String, Arc<Writer>>)>,
}

impl Pacing {
    /// Lets any number of messages lie in lanes: to measure how fast people become messages where nothing takes them out.
    pub fn unbounded() -> Self {
        Self { unbounded: true, ..Self::default() }
    }
}

/// A person whose turn it is.
struct Turned {
    person: Person,
    due: Time,
    variant: String,
    /// What was planned before a crash: channel and address.
    planned: Option<(String, String)>,
}

/// What came of writing to one person.
enum Made {
    Ready(Box<Ready>, i64),
    Ended(&'static str, String),
}

/// Runs until the process ends.
pub async fn run(room: Arc<Room>) {
    let mut pacing: HashMap<String, Pacing> = HashMap::new();
    loop {
        let mut worked = false;
        match room.under_way().await {
            Ok(campaigns) => {
                pacing.retain(|id, _| campaigns.iter().any(|c| c.id == *id));
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
        if self.repeat_planned(campaign, &checked, pacing).await? {
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
            return Ok(false);
        }
        let people = self.turned(campaign, "waiting", room_left.min(BATCH)).await?;
        if people.is_empty() {
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
        let people = self.turned(campaign, "planned", BATCH).await?;
        if people.is_empty() {
            return Ok(false);
        }
        self.send(campaign, checked, pacing, people, true).await?;
        Ok(true)
    }

    /// A cancelled campaign: whoever waits gets nothing, in chunks.
    async fn sweep(&self, campaign: &Campaign, pacing: &mut Pacing) -> Result<bool, Failed> {
        let id = campaign.id.as_str();
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
        let sql = "SELECT count(*) FROM campaign_people WHERE campaign = ?1 AND state = 'accepted'";
        let lying = self.parts.db.read(sql.into(), values![campaign.id.as_str()]).await?.first().map_or(Ok(0), |r| r.int(0))?;
        Ok(tokens.min(ahead - lying as f64).max(0.0) as usize)
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

    /// People in this state whose time has come, in the order of their times.
    async fn turned(&self, campaign: &Campaign, state: &'static str, limit: usize) -> Result<Vec<Turned>, Failed> {
        let sql = "SELECT p.number, a.addresses, a.name, a.locale, a.zone, a.attributes, p.due, p.variant, p.channel, p.address
            FROM campaign_people p JOIN audience_people a ON a.audience = ?2 AND a.number = p.number
            WHERE p.campaign = ?1 AND p.state = ?3 AND p.due <= ?4 ORDER BY p.due, p.number LIMIT ?5";
        let row = values![campaign.id.as_str(), campaign.list(), state, clock::now().0, limit as i64];
        let read = |row: &Row| -> Result<Turned, Failed> {
            let person = Person::read(row).ok_or_else(|| crate::store::Error("a person's row cannot be read".into()))?;
            let channel = row.maybe_text(8)?;
            let planned = channel.map(|c| Ok::<_, Failed>((c, row.text(9)?))).transpose()?;
            Ok(Turned { person, due: Time(row.int(6)?), variant: row.text(7)?, planned })
        };
        self.parts.db.read(sql.into(), row).await?.iter().map(read).collect()
    }

    /// Names everybody's message, writes that down, makes the messages durable, writes that down.
    async fn send(
        &self,
        campaign: &Campaign,
        checked: &Checked,
        pacing: &mut Pacing,
        people: Vec<Turned>,
        again: bool,
    ) -> Result<(), Failed> {
        let id = campaign.id.as_str();
        let channels = match self.channels(&campaign.plan.channels, "#/channels") {
            Ok(channels) => channels,
            Err(Failed::Wrong(wrong)) if campaign.state == State::Running => {
                let turn = Turn { from: &[State::Running], to: Some(State::Paused), reason: Some(wrong.detail), ..Turn::default() };
                return self.turn(id, turn).await.map(drop);
            }
            Err(e) => return Err(e),
        };
        let prices = self.prices().unwrap_or_default();
        let writers = writers(campaign, pacing, &self.parts.links)?;
        let (mut ready, mut planned, mut elsewhere, mut ended) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut spent, mut more) = (if checked.budget.is_some() { self.spent(campaign).await? } else { 0 }, 0);
        let (mut exhausted, mut unwritable, mut first) = (false, 0, String::new());
        let count = people.len();
        let addresses = self.by_order(campaign.plan.order, people.iter().map(|t| &t.person)).await?;
        for (turned, addresses) in people.iter().zip(addresses) {
            match self.make(campaign, checked, (&channels, &prices), &writers, turned, &addresses).await {
                Made::Ready(message, cost) => {
                    if !again && checked.budget.is_some_and(|b| spent + cost > b) {
                        exhausted = true;
                        break;
                    }
                    let cost = if again { 0 } else { cost };
                    (spent, more) = (spent + cost, more + cost);
                    let (accepted, number) = (&message.accepted, turned.person.number as i64);
                    planned.push(values![id, number, accepted.channel.as_str(), accepted.id.to_string(), clock::now().0]);
                    // Most are written to where the books have them: what is not set anew costs no place in an index.
                    if turned.planned.is_some() || turned.person.addresses.first() != Some(&accepted.to) {
                        elsewhere.push(values![id, number, accepted.to.as_str()]);
                    }
                    ready.push(*message);
                }
                Made::Ended(state, reason) => {
                    if state == "unreachable" {
                        unwritable += 1;
                    }
                    if first.is_empty() {
                        first.clone_from(&reason);
                    }
                    ended.push(values![id, turned.person.number as i64, state, reason]);
                }
            }
        }
        if ready.is_empty()
            && ended.len() == count
            && count >= SUSPICIOUS
            && campaign.state == State::Running
            && !again
            && unwritable == count
        {
            let reason = Some(format!("nobody's message could be written; the first: {first}"));
            return self.turn(id, Turn { from: &[State::Running], to: Some(State::Paused), reason, ..Turn::default() }).await.map(drop);
        }
        let accepted: Vec<_> = planned.iter().map(|row| row[..2].to_vec()).collect();
        let numbers = accepted.len();
        let plan = "UPDATE campaign_people SET state = 'planned', channel = ?3, message = ?4, sent_at = ?5
            WHERE campaign = ?1 AND number = ?2 AND level = 0";
        let moved = "UPDATE campaign_people SET address = ?3 WHERE campaign = ?1 AND number = ?2 AND level = 0";
        let end = "UPDATE campaign_people SET state = ?3, level = 1, reason = ?4 WHERE campaign = ?1 AND number = ?2 AND level = 0";
        let pay = Statement::once("UPDATE campaigns SET spent = spent + ?2 WHERE id = ?1", values![id, more]);
        let books = [Statement::each(plan, planned), Statement::each(moved, elsewhere), Statement::each(end, ended), pay];
        self.parts.db.write([self.parts.links.write_down()].into_iter().chain(books).collect()).await?;
        self.parts.acceptor.append_all(ready, again).await;
        let done = "UPDATE campaign_people SET state = 'accepted', level = 1 WHERE campaign = ?1 AND number = ?2 AND level = 0";
        self.parts.db.write(vec![Statement::each(done, accepted)]).await?;
        telemetry::counter(&names::CAMPAIGN_PEOPLE, &["accepted"]).increment(numbers as u64);
        telemetry::counter(&names::CAMPAIGN_PEOPLE, &["ended"]).increment((count - numbers) as u64);
        if exhausted {
            let reason = Some(why::BUDGET_USED.to_owned());
            self.turn(id, Turn { from: &[State::Running], to: Some(State::Paused), reason, ..Turn::default() }).await?;
        }
        Ok(())
    }

    /// Writes one person's message, for the channel and address they get it on.
    async fn make(
        &self,
        campaign: &Campaign,
        checked: &Checked,
        (channels, prices): (&[Arc<Channel>], &Prices),
        writers: &HashMap<String, Arc<Writer>>,
        turned: &Turned,
        addresses: &[String],
    ) -> Made {
        let expires_at = checked.expires_after.map(|ms| turned.due.plus(ms));
        if expires_at.is_some_and(|end| end <= clock::now()) && turned.planned.is_none() {
            return Made::Ended("expired", why::TOO_LATE.into());
        }
        let person = &turned.person;
        let planned = match &turned.planned {
            Some((channel, to)) => match channels.iter().find(|c| *c.id == **channel) {
                Some(channel) => Some((Arc::clone(channel), to.clone())),
                None => return Made::Ended("unreachable", format!("the channel {channel} is not the campaign's any more")),
            },
            None => None,
        };
        let ways = match &campaign.plan.fallback {
            Some(_) => chain::ways(campaign.plan.order, channels, prices, addresses, planned),
            None => planned.or_else(|| choose(campaign.plan.order, channels, prices, addresses)).into_iter().collect(),
        };
        if ways.is_empty() {
            let is_erased = person.addresses.first().is_some_and(|a| a.split(':').next() == Some(erase::SCHEME));
            return Made::Ended("unreachable", if is_erased { erase::WHY } else { why::NO_CHANNEL }.into());
        }
        let Some(writer) = writers.get(&turned.variant) else {
            return Made::Ended("unreachable", format!("the campaign has no variant {}", turned.variant));
        };
        let about = person.about();
        let mut data = about.clone();
        data.insert(links::WHOSE.into(), links::whose(&campaign.id, person.number).into());
        let (mut written, mut wrong) = (Vec::new(), None);
        for way in ways {
            match writer.write(person.locale.as_deref(), &way.0, &way.1, &data) {
                Ok(words) => written.push((way, words)),
                Err(e) => {
                    wrong.get_or_insert(e);
                    if written.is_empty() && turned.planned.is_some() {
                        break; // It may have left under its id; another way would be another message.
                    }
                }
            }
        }
        let mut written = written.into_iter();
        let Some(((channel, to), words)) = written.next() else {
            let said = wrong.map(|w| format!("{}: {}", w.pointer, w.detail));
            return Made::Ended("unreachable", said.unwrap_or_default());
        };
        let mark = Mark {
            campaign: Some(campaign.id.clone()),
            person: Some(person.number),
            priority: (campaign.plan.priority > 0).then_some(campaign.plan.priority),
            variant: Some(turned.variant.clone()),
            edition: campaign.edition,
            zone: Some(person.time_zone.clone().unwrap_or_else(|| checked.zone_name.clone())),
            about,
            ..Mark::default()
        };
        let price = prices.of(&channel, &to).unwrap_or(0);
        let mut request = words.into_request(SendRequest {
            to: Some(to),
            channel: Some(channel.id.to_string()),
            category: campaign.plan.category,
            priority: Priority::Bulk,
            // What was planned in time and is told again after its end ends at the gate, not here: it may have left.
            expires_at: expires_at.map(|end| end.max(clock::now().plus(1000))),
            fallback: campaign.plan.fallback.as_ref().map(|onward| chain::steps(onward, written)).unwrap_or_default(),
            metadata: campaign.plan.metadata.clone(),
            mark: Some(mark),
            ..SendRequest::default()
        });
        let number = person.number.to_le_bytes();
        let act: [&[u8]; 4] = [b"campaign", campaign.id.as_bytes(), &number, &[0]];
        loop {
            // Only what has steps may be tried again without one of them.
            let tried = if request.fallback.is_empty() { std::mem::take(&mut request) } else { request.clone() };
            // What was planned before a crash was counted before it.
            let prepared = match turned.planned {
                Some(_) => self.parts.acceptor.prepare_again(tried, Origin::Campaign, &act).await,
                None => self.parts.acceptor.prepare(tried, Origin::Campaign, Act::Named(&act), None).await,
            };
            match prepared {
                Ok(ready) => {
                    // What is barred already does not leave, and costs nothing.
                    let units = if ready.accepted.suppressed.is_some() { 0 } else { ready.accepted.cost };
                    let cost = price.saturating_mul(i64::from(units));
                    return Made::Ready(Box::new(ready), cost);
                }
                Err(refused) if chain::without_refused(&mut request, &refused) => {}
                Err(refused) => return Made::Ended("unreachable", format!("{}: {}", refused.pointer, refused.detail)),
            }
        }
    }
}

/// The writers of a campaign's edition, compiled once.
fn writers(campaign: &Campaign, pacing: &mut Pacing, links: &Arc<Linker>) -> Result<HashMap<String, Arc<Writer>>, Failed> {
    if let Some((edition, writers)) = &pacing.writers
        && *edition == campaign.edition
    {
        return Ok(writers.clone());
    }
    let mut writers = HashMap::new();
    for (variant, source) in &campaign.sources {
        writers.insert(variant.clone(), Arc::new(Writer::new(source.clone(), false)?.with_links(links)));
    }
    pacing.writers = Some((campaign.edition, writers.clone()));
    Ok(writers)
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

//! A batch of a campaign's people: whose turn it is, what each of them gets, and the two notes around making it durable by which a
//! crash between any two steps neither loses a message nor repeats one.

use std::collections::HashMap;
use std::sync::Arc;

use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{Mark, Priority, SendRequest, Time};

use super::acts::Turn;
use super::expand::{BATCH, Pacing, UnderWay};
use super::reach::choose;
use super::{Campaign, Checked, Phase, State, chain, why};
use crate::channels::Channel;
use crate::clock;
use crate::outbound::accept::{Act, Ready, Refused};
use crate::outbound::quota::Tally;
use crate::proactive::audiences::Person;
use crate::proactive::erase;
use crate::proactive::links::{self, Linker};
use crate::proactive::prices::Prices;
use crate::proactive::templates::Writer;
use crate::proactive::{Failed, Room};
use crate::store::db::{Row, Statement};
use crate::telemetry::{self, names};
use crate::values;

/// A whole batch of at least so many that cannot be written is a mistake in the campaign, not in its people.
const SUSPICIOUS: usize = 20;

/// A person whose turn it is.
pub(super) struct Turned {
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

impl Room {
    /// People in this state whose time has come, in the order of their times, behind those of whom the books do not say yet what they get.
    pub(super) async fn turned(
        &self,
        campaign: &Campaign,
        state: &'static str,
        limit: usize,
        pacing: &Pacing,
    ) -> Result<Vec<Turned>, Failed> {
        let sql = "SELECT p.number, a.addresses, a.name, a.locale, a.zone, a.attributes, p.due, p.variant, p.channel, p.address
            FROM campaign_people p JOIN audience_people a ON a.audience = ?2 AND a.number = p.number
            WHERE p.campaign = ?1 AND p.state = ?3 AND p.due <= ?4 AND (p.due, p.number) > (?6, ?7) ORDER BY p.due, p.number LIMIT ?5";
        let (due, number) = pacing.under_way.as_ref().map_or((i64::MIN, -1), |u| (u.last.0.0, u.last.1 as i64));
        let row = values![campaign.id.as_str(), campaign.list(), state, clock::now().0, limit as i64, due, number];
        let read = |row: &Row| -> Result<Turned, Failed> {
            let person = Person::read(row).ok_or_else(|| crate::store::Error("a person's row cannot be read".into()))?;
            let channel = row.maybe_text(8)?;
            let planned = channel.map(|c| Ok::<_, Failed>((c, row.text(9)?))).transpose()?;
            Ok(Turned { person, due: Time(row.int(6)?), variant: row.text(7)?, planned })
        };
        self.parts.db.read(sql.into(), row).await?.iter().map(read).collect()
    }

    /// Names everybody's message, writes that down, makes the messages durable, writes that down. Of a full batch all but the naming
    /// goes on beside the naming of the next: [`Pacing::settle`] waits for it.
    pub(super) async fn send(
        &self,
        campaign: &Campaign,
        checked: &Checked,
        pacing: &mut Pacing,
        people: Vec<Turned>,
        again: bool,
    ) -> Result<(), Failed> {
        let (id, stamp) = (campaign.id.as_str(), clock::now().0);
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
        // What was planned before a crash was counted with that.
        let mut tally = if again { Tally::default() } else { self.parts.acceptor.tally(&channels).await? };
        let addresses = self.by_order(campaign.plan.order, people.iter().map(|t| &t.person)).await?;
        for (turned, addresses) in people.iter().zip(addresses) {
            let made = self.make(campaign, checked, (&channels, &prices), &writers, turned, &addresses).await;
            if let Made::Ready(_, cost) = &made
                && !again
                && checked.budget.is_some_and(|b| spent + cost > b)
            {
                exhausted = true;
                break;
            }
            let made = match made {
                Made::Ready(message, cost) => match tally.take(&message.channel) {
                    Ok(()) => Made::Ready(message, cost),
                    Err(refused) => unwritten(&refused),
                },
                ended => ended,
            };
            match made {
                Made::Ready(message, cost) => {
                    let cost = if again { 0 } else { cost };
                    (spent, more) = (spent + cost, more + cost);
                    let (accepted, number) = (&message.accepted, turned.person.number as i64);
                    planned.push(values![id, number, accepted.channel.as_str(), accepted.id.to_string(), stamp]);
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
        let numbers = planned.len();
        let plan = "UPDATE campaign_people SET state = 'planned', channel = ?3, message = ?4, sent_at = ?5
            WHERE campaign = ?1 AND number = ?2 AND level = 0";
        let moved = "UPDATE campaign_people SET address = ?3 WHERE campaign = ?1 AND number = ?2 AND level = 0";
        let end = "UPDATE campaign_people SET state = ?3, level = 1, reason = ?4 WHERE campaign = ?1 AND number = ?2 AND level = 0";
        let pay = Statement::once("UPDATE campaigns SET spent = spent + ?2 WHERE id = ?1", values![id, more]);
        let books = [Statement::each(plan, planned), Statement::each(moved, elsewhere), Statement::each(end, ended), pay];
        pacing.settle().await?;
        // All at once, for that costs a fifth of one after the other. By their stamp: an owner that stood still meanwhile does not
        // take what its successor has only planned for done.
        let done = "UPDATE campaign_people SET state = 'accepted', level = 1
            WHERE campaign = ?1 AND state = 'planned' AND level = 0 AND sent_at = ?2";
        let done = Statement::once(done, values![id, stamp]);
        let planned = [self.parts.links.write_down()].into_iter().chain(books).chain(tally.counted()).collect();
        let (db, acceptor) = (Arc::clone(&self.parts.db), self.parts.acceptor.clone());
        let batch = tokio::spawn(async move {
            db.write(planned).await.map_err(|e| match e.is_guarded() {
                true => Failed::Conflict("others have taken of the tenant's quota meanwhile".into()),
                false => e.into(),
            })?;
            acceptor.append_all(ready, again).await;
            db.write(vec![done]).await?;
            telemetry::counter(&names::CAMPAIGN_PEOPLE, &["accepted"]).increment(numbers as u64);
            telemetry::counter(&names::CAMPAIGN_PEOPLE, &["ended"]).increment((count - numbers) as u64);
            Ok(())
        });
        pacing.under_way = people.last().map(|last| UnderWay { batch, last: (last.due, last.person.number) });
        // What counts who has been written to, before the next, has to find all of them.
        let counts = checked.budget.is_some() || campaign.phase == Phase::Canary || !tally.is_empty();
        if again || count < BATCH || counts {
            pacing.settle().await?;
        }
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
        let act = Act::Numbered(&[b"campaign", campaign.id.as_bytes()], person.number);
        loop {
            // Only what has steps may be tried again without one of them.
            let tried = if request.fallback.is_empty() { std::mem::take(&mut request) } else { request.clone() };
            match self.parts.acceptor.prepare_uncounted(tried, Origin::Campaign, act).await {
                Ok(ready) => {
                    // What is barred already does not leave, and costs nothing.
                    let units = if ready.accepted.suppressed.is_some() { 0 } else { ready.accepted.cost };
                    let cost = price.saturating_mul(i64::from(units));
                    return Made::Ready(Box::new(ready), cost);
                }
                Err(refused) if chain::without_refused(&mut request, &refused) => {}
                Err(refused) => return unwritten(&refused),
            }
        }
    }
}

/// How a person ends whose message was refused.
fn unwritten(refused: &Refused) -> Made {
    Made::Ended("unreachable", format!("{}: {}", refused.pointer, refused.detail))
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

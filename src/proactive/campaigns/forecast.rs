//! The forecast: the real plan against the limits in force, without sending: when it ends, what it costs, who misses it.
//!
//! The audience is read once and becomes groups of people with the same channel, time and zone; the groups are then played
//! against the rates, ten seconds at a step. The first messages of each kind are really written and rendered, so that words
//! which a channel would refuse are told here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fairway_adapters::contract::{SendRequest, Time};
use serde::Serialize;
use serde_with::skip_serializing_none;
use tokio::sync::oneshot;

use super::expand::{choose, ramp};
use super::freeze::due;
use super::report::Spent;
use super::{Campaign, Checked, HOLDOUT};
use crate::channels::Channel;
use crate::clock;
use crate::outbound::unit::Ask;
use crate::proactive::audiences::Person;
use crate::proactive::prices::Prices;
use crate::proactive::templates::Writer;
use crate::proactive::when::{self, Window};
use crate::proactive::{Failed, Room, prices};

/// People read at a time.
const CHUNK: usize = 2000;
/// Messages of each channel, variant and locale that are rendered.
const RENDERED: u32 = 10;
/// Milliseconds of a step.
const STEP: i64 = 10_000;
/// How far it looks ahead, in milliseconds.
const HORIZON: i64 = 30 * 86_400_000;
/// Complaints that are told.
const TOLD: usize = 20;

/// What would happen.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Forecast {
    /// People in the audience.
    pub people: u64,
    /// Get nothing on purpose.
    pub holdout: u64,
    /// No channel reaches them.
    pub unreachable: u64,
    /// Would be written to.
    pub messages: u64,
    /// When the first leaves.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub begins_at: Option<Time>,
    /// When the last has left.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub ends_at: Option<Time>,
    /// Whose message would be too late to be worth sending.
    pub misses: u64,
    /// Whose turn would not have come within 30 days.
    pub beyond: u64,
    /// By channel.
    pub channels: BTreeMap<String, Share>,
    /// What it costs, where all of it has a price.
    pub cost: Option<Spent>,
    /// Whether that is more than the budget.
    pub over_budget: bool,
    /// Words that cannot be written or would be refused, each told once.
    pub problems: Vec<String>,
}

/// A channel's share.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
#[schema(as = ForecastShare)]
pub struct Share {
    /// People written to through it.
    pub people: u64,
    /// Units the provider charges, by what was rendered.
    pub units: u64,
    /// What it allows, in messages a second.
    pub rate: f64,
    /// Messages that wait there already.
    pub backlog: u64,
}

/// People with the same channel, time and zone.
#[derive(Clone, Debug)]
struct Group {
    channel: usize,
    due: Time,
    expires: Option<Time>,
    zone: usize,
    left: f64,
}

/// Who reads the audience.
struct Survey<'s> {
    campaign: &'s Campaign,
    checked: &'s Checked,
    channels: &'s [Arc<Channel>],
    groups: HashMap<(usize, i64, usize), f64>,
    zones: Vec<String>,
    by_zone: HashMap<String, usize>,
    rendered: HashMap<(usize, String, Option<String>), u32>,
    units: Vec<(u64, u64)>,
    prices: Vec<(i64, bool)>,
    list: Prices,
}

impl Room {
    /// Forecasts a campaign as if it were launched now.
    pub async fn forecast(&self, id: &str) -> Result<Forecast, Failed> {
        let mut campaign = self.campaign(id).await?;
        campaign.launched_at = Some(clock::now());
        let checked = campaign.plan.check()?;
        let channels = self.channels(&campaign.plan.channels, "#/channels")?;
        let sources = self.sources_of(&campaign.plan).await?;
        let mut writers = BTreeMap::new();
        for (variant, source) in sources {
            writers.insert(variant, Writer::new(source, false)?);
        }
        let mut survey = Survey {
            campaign: &campaign,
            checked: &checked,
            channels: &channels,
            groups: HashMap::new(),
            zones: Vec::new(),
            by_zone: HashMap::new(),
            rendered: HashMap::new(),
            units: vec![(0, 0); channels.len()],
            prices: vec![(0, true); channels.len()],
            list: self.prices()?,
        };
        let mut forecast = Forecast::default();
        let mut behind = 0;
        loop {
            let people = self.people(&campaign.plan.audience, behind, CHUNK).await?;
            let Some(last) = people.last() else { break };
            behind = last.number;
            for person in &people {
                self.survey(&mut survey, &mut forecast, &writers, person).await?;
            }
        }
        self.play(&survey, &mut forecast).await;
        Ok(forecast)
    }

    async fn survey(
        &self,
        survey: &mut Survey<'_>,
        forecast: &mut Forecast,
        writers: &BTreeMap<String, Writer>,
        person: &Person,
    ) -> Result<(), Failed> {
        forecast.people += 1;
        let first = person.addresses.first().map_or("", String::as_str);
        let variant = survey.campaign.plan.variant(&survey.campaign.id, first);
        if variant == HOLDOUT {
            forecast.holdout += 1;
            return Ok(());
        }
        let Some((channel, to)) = choose(survey.campaign.plan.order, survey.channels, &survey.list, person) else {
            forecast.unreachable += 1;
            return Ok(());
        };
        forecast.messages += 1;
        let index = survey.channels.iter().position(|c| c.id == channel.id).unwrap_or(0);
        match survey.list.of(&channel, &to) {
            Some(price) => survey.prices[index].0 += price,
            None => survey.prices[index].1 = false,
        }
        survey.add(index, person);
        let key = (index, variant.to_owned(), person.locale.clone());
        let looked = survey.rendered.entry(key).or_default();
        *looked += 1;
        if *looked > RENDERED {
            return Ok(());
        }
        let Some(writer) = writers.get(variant) else { return Ok(()) };
        let problem = match writer.write(person.locale.as_deref(), &channel, &to, &person.about()) {
            Err(wrong) => format!("{}: {}", wrong.pointer, wrong.detail),
            Ok(written) => {
                let request = written.into_request(SendRequest { to: Some(to.clone()), ..SendRequest::default() });
                match self.parts.acceptor.preview(&request, &channel, &to).await.rendered {
                    Err(refused) => format!("{}: {}", refused.pointer, refused.detail),
                    Ok(rendered) => {
                        let units = &mut survey.units[index];
                        *units = (units.0 + u64::from(rendered.cost.max(1)), units.1 + 1);
                        return Ok(());
                    }
                }
            }
        };
        let problem = format!("{}: {problem}", channel.id);
        if forecast.problems.len() < TOLD && !forecast.problems.contains(&problem) {
            forecast.problems.push(problem);
        }
        Ok(())
    }

    async fn play(&self, survey: &Survey<'_>, forecast: &mut Forecast) {
        let mut rates = Vec::with_capacity(survey.channels.len());
        let (mut cost, mut priced) = (0_i64, true);
        for (index, channel) in survey.channels.iter().enumerate() {
            let rate = self.allowed(&[channel.id.to_string()]).await;
            let (answer, view) = oneshot::channel();
            let asked = self.parts.units.ask(channel.unit, Ask::View(channel.id.to_string(), answer));
            let view = if asked { view.await.unwrap_or_default() } else { Default::default() };
            let backlog = view.depth.iter().sum::<usize>() as u64 + view.parked;
            let people = survey.groups.iter().filter(|((c, ..), _)| *c == index).map(|(_, n)| *n).sum::<f64>() as u64;
            let (units, seen) = survey.units[index];
            let each = if seen > 0 { units as f64 / seen as f64 } else { 1.0 };
            cost += (survey.prices[index].0 as f64 * each) as i64;
            priced &= survey.prices[index].1 || people == 0;
            let share = Share { people, units: (people as f64 * each).ceil() as u64, rate, backlog };
            forecast.channels.insert(channel.id.to_string(), share);
            rates.push((rate, backlog as f64));
        }
        let now = clock::now();
        let groups = survey.groups.iter().map(|((channel, at, zone), left)| {
            let expires = survey.checked.expires_after.map(|ms| Time(*at).plus(ms));
            Group { channel: *channel, due: Time(*at), expires, zone: *zone, left: *left }
        });
        let mut stage = Stage::new(now, survey.checked, groups.collect(), rates, &survey.zones);
        if let Some(canary) = &survey.campaign.plan.canary {
            stage.canary = Some(((forecast.people as f64 * canary.share).ceil().max(1.0), survey.checked.watch));
        }
        let played = stage.play();
        forecast.begins_at = played.begins;
        forecast.ends_at = played.ends;
        (forecast.misses, forecast.beyond) = (played.misses.round() as u64, played.beyond.round() as u64);
        let currency = survey.list.currency.clone();
        if priced && !currency.is_empty() {
            forecast.cost = Some(Spent { amount: prices::decimal(cost), currency });
        }
        forecast.over_budget = survey.checked.budget.is_some_and(|b| cost > b);
    }
}

impl Survey<'_> {
    fn add(&mut self, channel: usize, person: &Person) {
        let own = person.time_zone.as_ref().filter(|_| self.checked.by_person || self.checked.window.is_some());
        let name = own.unwrap_or(&self.checked.zone_name).clone();
        let next = self.zones.len();
        let zone = *self.by_zone.entry(name.clone()).or_insert(next);
        if zone == next {
            self.zones.push(name.clone());
        }
        let at = due(self.campaign, self.checked, &name);
        *self.groups.entry((channel, at.0, zone)).or_default() += 1.0;
    }
}

/// A play of groups against rates.
struct Stage<'s> {
    now: Time,
    checked: &'s Checked,
    groups: Vec<Group>,
    /// Messages a second, and what waits there.
    rates: Vec<(f64, f64)>,
    zones: Vec<jiff::tz::TimeZone>,
    canary: Option<(f64, i64)>,
}

#[derive(Debug, Default, PartialEq)]
struct Played {
    begins: Option<Time>,
    ends: Option<Time>,
    misses: f64,
    beyond: f64,
}

impl<'s> Stage<'s> {
    fn new(now: Time, checked: &'s Checked, mut groups: Vec<Group>, rates: Vec<(f64, f64)>, zones: &[String]) -> Self {
        groups.sort_by_key(|g| g.due);
        let zones = zones.iter().map(|z| when::zone(z, "#").unwrap_or(jiff::tz::TimeZone::UTC)).collect();
        Self { now, checked, groups, rates, zones, canary: None }
    }

    fn play(mut self) -> Played {
        let mut played = Played::default();
        let mut at = self.now;
        // A zone's window is looked at when it may have changed: closed until its next opening, open for another step.
        let mut opens = vec![Time(i64::MIN); self.zones.len()];
        let (mut left_of_canary, mut watched_until) = (self.canary.map_or(f64::MAX, |c| c.0), Time(i64::MIN));
        while self.groups.iter().any(|g| g.left > 0.0) && at.since(self.now) < HORIZON {
            self.miss(at, &mut played);
            for (zone, opens) in self.zones.iter().zip(&mut opens).filter(|(_, o)| **o <= at) {
                *opens = self.checked.window.map_or(at, |w: Window| w.opens(at, zone));
            }
            let mut own = self.own_capacity(at);
            let mut capacity = self.channel_capacity();
            if at < watched_until {
                own = 0.0;
            }
            for group in self.groups.iter_mut().filter(|g| g.left > 0.0 && g.due <= at && opens[g.zone] <= at) {
                let gone = group.left.min(own).min(capacity[group.channel]).min(left_of_canary);
                if gone <= 0.0 {
                    continue;
                }
                (group.left, own, capacity[group.channel]) = (group.left - gone, own - gone, capacity[group.channel] - gone);
                left_of_canary -= gone;
                played.begins.get_or_insert(at);
                played.ends = Some(at.plus(STEP));
            }
            if let Some((_, watch)) = self.canary.filter(|_| left_of_canary <= 0.0) {
                (left_of_canary, watched_until) = (f64::MAX, at.plus(watch));
                self.canary = None;
            }
            at = self.next(at, &opens);
        }
        played.beyond = self.groups.iter().map(|g| g.left).sum();
        played
    }

    fn miss(&mut self, at: Time, played: &mut Played) {
        for group in self.groups.iter_mut().filter(|g| g.left > 0.0 && g.expires.is_some_and(|e| e <= at)) {
            played.misses += std::mem::take(&mut group.left);
        }
    }

    /// What the campaign's own rate lets through in a step.
    fn own_capacity(&self, at: Time) -> f64 {
        let Some(max) = self.checked.rate else { return f64::MAX };
        f64::from(max.count) / max.window.as_secs_f64() * ramp(at.since(self.now), self.checked.ramp) * STEP as f64 / 1000.0
    }

    /// What each channel lets through in a step, after what waits there already.
    fn channel_capacity(&mut self) -> Vec<f64> {
        let step = |(rate, backlog): &mut (f64, f64)| {
            let all = *rate * STEP as f64 / 1000.0;
            let before = backlog.min(all);
            *backlog -= before;
            all - before
        };
        self.rates.iter_mut().map(step).collect()
    }

    /// The next step, or the next time at which there is something to do.
    fn next(&self, at: Time, opens: &[Time]) -> Time {
        let step = at.plus(STEP);
        let ready = self.groups.iter().filter(|g| g.left > 0.0).map(|g| g.due.max(opens[g.zone])).min();
        ready.map_or(step, |ready| ready.max(step))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proactive::campaigns::Plan;

    fn played(more: serde_json::Value, groups: &[(i64, Option<i64>, f64)], rate: f64, canary: Option<(f64, i64)>) -> Played {
        let mut body = json!({ "name": "n", "audience": "aud_x", "channels": ["a"], "parts": [{ "type": "text", "text": "x" }] });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let plan: Plan = serde_json::from_value(body).expect("a plan");
        let checked = plan.check().expect("it makes sense");
        let now = Time::parse("2027-01-10T11:00:00Z").expect("a time");
        let group = |(due, expires, left): &(i64, Option<i64>, f64)| Group {
            channel: 0,
            due: now.plus(*due),
            expires: expires.map(|e| now.plus(e)),
            zone: 0,
            left: *left,
        };
        let groups = groups.iter().map(group).collect();
        let mut stage = Stage::new(now, &checked, groups, vec![(rate, 0.0)], &["Europe/Rome".to_owned()]);
        stage.canary = canary;
        let mut played = stage.play();
        (played.begins, played.ends) = (played.begins.map(|t| Time(t.since(now))), played.ends.map(|t| Time(t.since(now))));
        played
    }

    #[test]
    fn a_plan_plays_against_rates_windows_and_ends() {
        // 80/s: 100,000 take 1250 s.
        let whole = played(json!({}), &[(0, None, 100_000.0)], 80.0, None);
        assert_eq!((whole.begins, whole.ends), (Some(Time(0)), Some(Time(1_250_000))));
        // Its own rate is lower: 40/s.
        let slow = played(json!({ "rate": { "max": "40/s" } }), &[(0, None, 100_000.0)], 80.0, None);
        assert_eq!(slow.ends, Some(Time(2_500_000)));
        // Worth sending for ten minutes: 48,000 leave, 52,000 miss it.
        let late = played(json!({}), &[(0, Some(600_000), 100_000.0)], 80.0, None);
        assert_eq!((late.misses, late.ends), (52_000.0, Some(Time(600_000))));
        // Noon in Rome; the window closes at 13:00 and opens at 09:00, 21 h from now.
        let windowed = played(json!({ "schedule": { "window": ["09:00", "13:00"] } }), &[(0, None, 300_000.0)], 80.0, None);
        assert_eq!(windowed.ends, Some(Time(21 * 3_600_000 + 150_000)));
        // A canary of 800 goes first and is watched for a quarter of an hour.
        let canary = played(json!({}), &[(0, None, 100_000.0)], 80.0, Some((800.0, 900_000)));
        assert_eq!(canary.ends, Some(Time(900_000 + 1_240_000)));
        // What cannot leave at all is told.
        let never = played(json!({}), &[(0, None, 5.0)], 0.0, None);
        assert_eq!((never.beyond, never.ends), (5.0, None));
    }
}

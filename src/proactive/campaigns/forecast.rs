//! The forecast: the real plan against the limits in force, without sending: when it ends, what it costs, who does not want it,
//! who waits, and who misses it.
//!
//! The audience is read once and becomes groups of people with the same channel, times and clock; the groups are then played
//! (`stage.rs`). Consent, caps and quiet hours are asked of those who will be asked when it is sent. The first messages of
//! each kind are really written and rendered, so that words which a channel would refuse are told here.

use std::collections::{BTreeMap, HashMap};

use fairway_adapters::contract::{SendRequest, Time};
use serde::Serialize;
use serde_with::skip_serializing_none;
use tokio::sync::oneshot;

use super::freeze::due;
use super::reach::{Look, Reached, Stand, Way};
use super::report::Spent;
use super::stage::{Group, Place, Played, Stage};
use super::{Campaign, Checked, HOLDOUT};
use crate::clock;
use crate::consent::quiet::Whereabouts;
use crate::outbound::unit::Ask;
use crate::proactive::audiences::Person;
use crate::proactive::templates::Writer;
use crate::proactive::{Failed, Room, prices};

/// Messages of each channel, variant and locale that are rendered.
const RENDERED: u32 = 10;
/// Complaints, and holds, that are told.
const TOLD: usize = 20;
/// Milliseconds to which the end of a cap is rounded up, so that people make few groups.
const ROUNDED: i64 = 60_000;

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
    /// Do not want it, or a suppression covers them: their message would end as `suppressed`.
    pub suppressed: u64,
    /// Would be written to.
    pub messages: u64,
    /// Of those: who have had all the marketing that caps allow, and wait until there is room.
    pub capped: u64,
    /// Of those: whose turn would come in quiet hours, and who wait for their end.
    pub quiet: u64,
    /// How many wait for which quiet hours, the first to end first; at most 20 are told.
    pub held: Vec<Held>,
    /// How the channels stand to everybody now.
    pub reach: Reached,
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

/// People who wait for the end of quiet hours.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = ForecastHeld)]
pub struct Held {
    /// Which.
    pub reason: String,
    /// When they end.
    #[schema(value_type = String, format = "date-time")]
    pub until: Time,
    /// How many wait.
    pub people: u64,
}

/// A channel's share.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
#[schema(as = ForecastShare)]
pub struct Share {
    /// People written to through it.
    pub people: u64,
    /// People whom the fallback would write to through it, if the channels before it reached none of them.
    pub fallback: u64,
    /// Units the provider charges, by what was rendered.
    pub units: u64,
    /// What it allows, in messages a second.
    pub rate: f64,
    /// Messages that wait there already.
    pub backlog: u64,
}

/// Who reads the audience.
struct Survey<'s> {
    campaign: &'s Campaign,
    checked: &'s Checked,
    way: &'s Way,
    /// People by channel, due time, the time at which caps let them go, and clock.
    groups: HashMap<(usize, Time, Time, usize), f64>,
    places: Vec<Place>,
    by_place: HashMap<Place, usize>,
    /// People by channel who have it as a later way.
    fallback: Vec<u64>,
    rendered: HashMap<(usize, String, Option<String>), u32>,
    units: Vec<(u64, u64)>,
    prices: Vec<(i64, bool)>,
}

impl Room {
    /// Forecasts a campaign as if it were launched now.
    pub async fn forecast(&self, id: &str) -> Result<Forecast, Failed> {
        let mut campaign = self.campaign(id).await?;
        campaign.launched_at = Some(clock::now());
        let checked = campaign.plan.check()?;
        let way = Way::new(&campaign.plan, self.channels(&campaign.plan.channels, "#/channels")?, self.prices()?);
        let sources = self.sources_of(&campaign.plan).await?;
        let mut writers = BTreeMap::new();
        for (variant, source) in sources {
            writers.insert(variant, Writer::new(source, false)?);
        }
        let mut survey = Survey::new(&campaign, &checked, &way);
        let mut forecast = Forecast::default();
        let mut walk = self.walk_of(&campaign).await?;
        while let Some(people) = self.next(&mut walk).await? {
            self.survey(&mut survey, &mut forecast, &writers, &people).await?;
        }
        self.play(&survey, &mut forecast).await;
        Ok(forecast)
    }

    async fn survey(
        &self,
        survey: &mut Survey<'_>,
        forecast: &mut Forecast,
        writers: &BTreeMap<String, Writer>,
        people: &[Person],
    ) -> Result<(), Failed> {
        let looks = self.look(survey.way, people, clock::now()).await?;
        forecast.reach.add(survey.way, &looks);
        forecast.people += people.len() as u64;
        let mut written = Vec::with_capacity(people.len());
        for (person, look) in people.iter().zip(&looks) {
            if survey.variant(person) == HOLDOUT {
                forecast.holdout += 1;
                continue;
            }
            match (look.stand(), &look.chosen) {
                (Stand::Suppressed, _) => forecast.suppressed += 1,
                (Stand::Unreachable, _) | (_, None) => forecast.unreachable += 1,
                (_, Some((channel, to))) => written.push((person, look, *channel, to.as_str())),
            }
        }
        let places = self.whereabouts(survey.way, &written).await?;
        for ((person, look, channel, to), place) in written.into_iter().zip(places) {
            forecast.messages += 1;
            let free = match look.stand() {
                Stand::Capped(until) => Time((until.0 + ROUNDED - 1).div_euclid(ROUNDED) * ROUNDED),
                _ => Time(i64::MIN),
            };
            let due = survey.add(channel, to, person, free, place);
            forecast.capped += u64::from(free > due);
            self.try_out(survey, forecast, writers, person, channel, to).await;
            for (later, to) in &look.later {
                survey.fallback[*later] += 1;
                self.try_out(survey, forecast, writers, person, *later, to).await;
            }
        }
        Ok(())
    }

    /// Where quiet hours take these people to be; nothing where none are kept.
    async fn whereabouts(&self, way: &Way, written: &[(&Person, &Look, usize, &str)]) -> Result<Vec<Option<Whereabouts>>, Failed> {
        let quiet: Vec<bool> = way.channels.iter().map(|c| way.is_marketing() && self.parts.consent.keeps_hours(&c.id)).collect();
        let asked: Vec<String> = written.iter().filter(|(_, _, c, _)| quiet[*c]).map(|(.., to)| (*to).to_owned()).collect();
        let mut found = self.parts.consent.whereabouts(&asked).await?.into_iter();
        Ok(written.iter().map(|(_, _, c, _)| if quiet[*c] { found.next() } else { None }).collect())
    }

    /// Writes and renders one of the first messages of each kind.
    async fn try_out(
        &self,
        survey: &mut Survey<'_>,
        forecast: &mut Forecast,
        writers: &BTreeMap<String, Writer>,
        person: &Person,
        index: usize,
        to: &str,
    ) {
        let variant = survey.variant(person);
        let looked = survey.rendered.entry((index, variant.to_owned(), person.locale.clone())).or_default();
        *looked += 1;
        if *looked > RENDERED {
            return;
        }
        let Some(writer) = writers.get(variant) else { return };
        let channel = &survey.way.channels[index];
        let problem = match writer.write(person.locale.as_deref(), channel, to, &person.about()) {
            Err(wrong) => format!("{}: {}", wrong.pointer, wrong.detail),
            Ok(written) => {
                let request = written.into_request(SendRequest { to: Some(to.to_owned()), ..SendRequest::default() });
                match self.parts.acceptor.preview(&request, channel, to).await.rendered {
                    Err(refused) => format!("{}: {}", refused.pointer, refused.detail),
                    Ok(rendered) => {
                        let units = &mut survey.units[index];
                        *units = (units.0 + u64::from(rendered.cost.max(1)), units.1 + 1);
                        return;
                    }
                }
            }
        };
        let problem = format!("{}: {problem}", channel.id);
        if forecast.problems.len() < TOLD && !forecast.problems.contains(&problem) {
            forecast.problems.push(problem);
        }
    }

    async fn play(&self, survey: &Survey<'_>, forecast: &mut Forecast) {
        let mut rates = Vec::with_capacity(survey.way.channels.len());
        let (mut cost, mut priced) = (0_i64, true);
        for (index, channel) in survey.way.channels.iter().enumerate() {
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
            let share = Share { people, fallback: survey.fallback[index], units: (people as f64 * each).ceil() as u64, rate, backlog };
            forecast.channels.insert(channel.id.to_string(), share);
            rates.push((rate, backlog as f64));
        }
        let hours = |channel: usize, place: &Whereabouts, at: Time| {
            let channel = survey.way.channels.get(channel).map_or("", |c| &*c.id);
            self.parts.consent.quiet(channel, place, at)
        };
        let mut stage = Stage::new(clock::now(), survey.checked, survey.stand_up(), rates, &survey.places, &hours);
        if let Some(canary) = &survey.campaign.plan.canary {
            stage.canary = Some(((forecast.people as f64 * canary.share).ceil().max(1.0), survey.checked.watch));
        }
        forecast.take(stage.play());
        let currency = survey.way.prices.currency.clone();
        if priced && !currency.is_empty() {
            forecast.cost = Some(Spent { amount: prices::decimal(cost), currency });
        }
        forecast.over_budget = survey.checked.budget.is_some_and(|b| cost > b);
    }
}

impl Forecast {
    fn take(&mut self, played: Played) {
        (self.begins_at, self.ends_at) = (played.begins, played.ends);
        (self.misses, self.beyond) = (played.misses.round() as u64, played.beyond.round() as u64);
        self.quiet = played.held.values().sum::<f64>().round() as u64;
        let held = played.held.into_iter().take(TOLD);
        self.held = held.map(|((until, reason), people)| Held { reason, until, people: people.round() as u64 }).collect();
    }
}

impl<'s> Survey<'s> {
    fn new(campaign: &'s Campaign, checked: &'s Checked, way: &'s Way) -> Self {
        Self {
            campaign,
            checked,
            way,
            groups: HashMap::new(),
            places: Vec::new(),
            by_place: HashMap::new(),
            fallback: vec![0; way.channels.len()],
            rendered: HashMap::new(),
            units: vec![(0, 0); way.channels.len()],
            prices: vec![(0, true); way.channels.len()],
        }
    }

    fn variant(&self, person: &Person) -> &'s str {
        let first = person.addresses.first().map_or("", String::as_str);
        self.campaign.plan.variant(&self.campaign.id, first)
    }

    /// Takes one person who would be written to; when their message is due.
    fn add(&mut self, channel: usize, to: &str, person: &Person, free: Time, at: Option<Whereabouts>) -> Time {
        match self.way.prices.of(&self.way.channels[channel], to) {
            Some(price) => self.prices[channel].0 += price,
            None => self.prices[channel].1 = false,
        }
        let own = person.time_zone.as_ref().filter(|_| self.checked.by_person || self.checked.window.is_some());
        let name = own.unwrap_or(&self.checked.zone_name).clone();
        let due = due(self.campaign, self.checked, &name);
        let place = Place { zone: name, quiet: at.map(|at| (channel, at)) };
        let next = self.places.len();
        let clock = *self.by_place.entry(place.clone()).or_insert(next);
        if clock == next {
            self.places.push(place);
        }
        // A cap that ends before that is none to them.
        let free = if free > due { free } else { Time(i64::MIN) };
        *self.groups.entry((channel, due, free, clock)).or_default() += 1.0;
        due
    }

    /// The groups as they are played.
    fn stand_up(&self) -> Vec<Group> {
        let group = |(&(channel, due, free, clock), left): (&(usize, Time, Time, usize), &f64)| {
            let expires = self.checked.expires_after.map(|ms| due.plus(ms));
            Group { channel, due: due.max(free), expires, clock, left: *left, held: false }
        };
        self.groups.iter().map(group).collect()
    }
}

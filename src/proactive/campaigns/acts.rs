//! What people do to a campaign: make, edit, launch, pause, resume, cancel, test. Each is one guarded change of its row, then
//! the gate is told, then what waits for it is woken.

use std::collections::BTreeMap;

use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{Priority, SendRequest};

use super::{COLUMNS, Campaign, HOLDOUT, Phase, Plan, State};
use crate::clock;
use crate::ids::{self, MessageId};
use crate::log::Outcome;
use crate::outbound::accept::Act;
use crate::outbound::holds;
use crate::outbound::unit::Ask;
use crate::people::address::normal;
use crate::proactive::audiences::Person;
use crate::proactive::prices::Prices;
use crate::proactive::templates::{Source, Writer};
use crate::proactive::{Failed, Room, Wrong};
use crate::store::db::Statement;
use crate::values;

/// Messages woken at most: more come back by themselves within a minute.
const WOKEN: i64 = 20_000;

/// What a change of a campaign's row does besides its state.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn<'t> {
    /// From these states only.
    pub from: &'t [State],
    /// To this one.
    pub to: Option<State>,
    /// To this phase.
    pub phase: Option<Phase>,
    /// Why.
    pub reason: Option<String>,
    /// Until when, in milliseconds.
    pub until: Option<i64>,
}

impl Room {
    /// Makes a draft.
    pub async fn create_campaign(&self, plan: Plan) -> Result<Campaign, Failed> {
        self.check_plan(&plan).await?;
        let (id, now) = (ids::text("cmp_", ids::random()), clock::now().0);
        let body = serde_json::to_string(&plan).unwrap_or_default();
        let sql = "INSERT INTO campaigns (id, body, state, phase, edition, created_at, frozen, spent, changed_at, sources)
            VALUES (?1, ?2, 'draft', 'freeze', 1, ?3, 0, 0, ?3, '{}')";
        self.parts.db.write(vec![Statement::once(sql, values![id.as_str(), body, now])]).await?;
        self.campaign(&id).await
    }

    /// Everything that can be checked before a launch: times, channels, audience, words, prices.
    async fn check_plan(&self, plan: &Plan) -> Result<BTreeMap<String, Source>, Failed> {
        plan.check()?;
        let channels = self.channels(&plan.channels, "#/channels")?;
        if matches!(self.audience(&plan.audience).await, Err(Failed::Unknown(_))) {
            return Err(Wrong::at(
                "#/audience",
                "audience_unknown",
                "there is no audience of this id; upload or save one at /v1/audiences",
            )
            .into());
        }
        if let Some(budget) = &plan.budget {
            let prices = self.prices()?;
            if prices.currency != budget.currency {
                let detail = format!("the price list is in `{}`; a budget in {} cannot be kept", prices.currency, budget.currency);
                return Err(Wrong::at("#/budget/currency", "currency_unknown", detail).into());
            }
            if let Some(channel) = channels.iter().find(|c| prices.of(c, "").is_none()) {
                let detail = format!("the price list has no price for {}; add one without a prefix", channel.id);
                return Err(Wrong::at("#/budget", "price_missing", detail).into());
            }
        }
        self.sources_of(plan).await
    }

    /// The words of each variant as they are now, checked.
    pub(super) async fn sources_of(&self, plan: &Plan) -> Result<BTreeMap<String, Source>, Failed> {
        let mut sources = BTreeMap::new();
        if plan.variants.is_empty() {
            sources.insert(String::new(), self.source(plan.template.as_ref(), &plan.parts).await?);
        }
        for variant in plan.variants.iter().filter(|v| v.name != HOLDOUT) {
            let own = variant.template.is_some() || !variant.parts.is_empty();
            let source = match own {
                true => self.source(variant.template.as_ref(), &variant.parts).await?,
                false => self.source(plan.template.as_ref(), &plan.parts).await?,
            };
            sources.insert(variant.name.clone(), source);
        }
        for source in sources.values() {
            Writer::new(source.clone(), false)?;
        }
        Ok(sources)
    }

    /// The price list as it is now.
    pub fn prices(&self) -> Result<Prices, Failed> {
        Ok(Prices::load(&self.parts.prices)?)
    }

    /// A campaign.
    pub async fn campaign(&self, id: &str) -> Result<Campaign, Failed> {
        let rows = self.parts.db.read(format!("SELECT {COLUMNS} FROM campaigns WHERE id = ?1").into(), values![id]).await?;
        rows.first().map_or(Err(Failed::Unknown("there is no campaign of this id")), Campaign::read)
    }

    /// All campaigns, the newest first.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, Failed> {
        let sql = format!("SELECT {COLUMNS} FROM campaigns ORDER BY created_at DESC, id LIMIT 500");
        self.parts.db.read(sql.into(), Vec::new()).await?.iter().map(Campaign::read).collect()
    }

    /// Puts another plan in place of a draft's, or other words, pace, budget and goals in place of a held campaign's. What lies
    /// in a lane already is written anew when it leaves.
    pub async fn edit_campaign(&self, id: &str, plan: Plan) -> Result<Campaign, Failed> {
        let campaign = self.campaign(id).await?;
        match campaign.state {
            State::Draft => {}
            State::Scheduled | State::Paused | State::Stopped => same_people(&campaign.plan, &plan)?,
            State::Running => return Err(Failed::Conflict("it is running; pause it, edit it, resume it".into())),
            State::Completed | State::Cancelled => return Err(Failed::Conflict(format!("it is {} already", campaign.state.word()))),
        }
        let sources = self.check_plan(&plan).await?;
        let sources = if campaign.state == State::Draft { "{}".into() } else { serde_json::to_string(&sources).unwrap_or_default() };
        let sql = "UPDATE campaigns SET body = ?2, sources = ?3, edition = edition + 1,
            changed_at = CASE WHEN changed_at >= ?4 THEN changed_at + 1 ELSE ?4 END WHERE id = ?1 AND state = ?5 AND edition = ?6";
        let body = serde_json::to_string(&plan).unwrap_or_default();
        let row = values![id, body, sources, clock::now().0, campaign.state.word(), i64::from(campaign.edition)];
        if self.parts.db.write(vec![Statement::once(sql, row)]).await?.first().is_none_or(|d| d.changed == 0) {
            return Err(Failed::Conflict("it was changed by somebody else meanwhile; look at it again".into()));
        }
        self.told(id).await
    }

    /// Removes a draft.
    pub async fn remove_campaign(&self, id: &str) -> Result<(), Failed> {
        let campaign = self.campaign(id).await?;
        let done =
            self.parts.db.write(vec![Statement::once("DELETE FROM campaigns WHERE id = ?1 AND state = 'draft'", values![id])]).await?;
        match done.first().is_some_and(|d| d.changed > 0) {
            true => Ok(()),
            false => Err(Failed::Conflict(format!("it is {}; only drafts are removed, others are cancelled", campaign.state.word()))),
        }
    }

    /// Launches a draft: from now on its audience, its words and its variants are what they are.
    pub async fn launch_campaign(&self, id: &str) -> Result<Campaign, Failed> {
        let campaign = self.campaign(id).await?;
        if campaign.state != State::Draft {
            return Err(Failed::Conflict(format!("it is {} already", campaign.state.word())));
        }
        let sources = serde_json::to_string(&self.check_plan(&campaign.plan).await?).unwrap_or_default();
        // A saved filter's people are looked for from the first contact on.
        let place = self.audience(&campaign.plan.audience).await?.filter.map(|_| "");
        let sql = "UPDATE campaigns SET state = 'scheduled', phase = 'freeze', sources = ?2, launched_at = ?3, place = ?5,
            changed_at = CASE WHEN changed_at >= ?3 THEN changed_at + 1 ELSE ?3 END WHERE id = ?1 AND state = 'draft' AND edition = ?4";
        let row = values![id, sources, clock::now().0, i64::from(campaign.edition), place];
        if self.parts.db.write(vec![Statement::once(sql, row)]).await?.first().is_none_or(|d| d.changed == 0) {
            return Err(Failed::Conflict("it was changed by somebody else meanwhile; look at it again".into()));
        }
        self.told(id).await
    }

    /// Holds a campaign: nothing of it leaves any more, what lies in a lane included.
    pub async fn pause_campaign(&self, id: &str) -> Result<Campaign, Failed> {
        let from = [State::Scheduled, State::Running];
        self.turn(id, Turn { from: &from, to: Some(State::Paused), reason: Some("paused by hand".into()), ..Turn::default() }).await
    }

    /// Lets a held campaign go on; one that its canary stopped goes to everybody.
    pub async fn resume_campaign(&self, id: &str) -> Result<Campaign, Failed> {
        let campaign = self.campaign(id).await?;
        let to = if campaign.phase == Phase::Freeze { State::Scheduled } else { State::Running };
        let phase = (campaign.state == State::Stopped).then_some(Phase::Full);
        let turned = self.turn(id, Turn { from: &[State::Paused, State::Stopped], to: Some(to), phase, ..Turn::default() }).await?;
        self.wake_held(id).await?;
        Ok(turned)
    }

    /// Ends a campaign: whoever has not got it does not get it.
    pub async fn cancel_campaign(&self, id: &str) -> Result<Campaign, Failed> {
        let from = [State::Scheduled, State::Running, State::Paused, State::Stopped];
        let turn = Turn { from: &from, to: Some(State::Cancelled), reason: Some("cancelled by hand".into()), ..Turn::default() };
        self.turn(id, turn).await
    }

    /// Changes a campaign's row if it is in one of these states, and tells the gate.
    pub(super) async fn turn(&self, id: &str, turn: Turn<'_>) -> Result<Campaign, Failed> {
        let words: Vec<String> = turn.from.iter().map(|s| format!("'{}'", s.word())).collect();
        let sql = format!(
            "UPDATE campaigns SET state = coalesce(?2, state), phase = coalesce(?3, phase), reason = ?4, until_at = coalesce(?5, until_at),
             changed_at = CASE WHEN changed_at >= ?6 THEN changed_at + 1 ELSE ?6 END WHERE id = ?1 AND state IN ({})",
            words.join(", ")
        );
        let (to, phase) = (turn.to.map(State::word), turn.phase.map(Phase::word));
        let row = values![id, to, phase, turn.reason, turn.until, clock::now().0];
        if self.parts.db.write(vec![Statement::once(sql, row)]).await?.first().is_none_or(|d| d.changed == 0) {
            let found = self.campaign(id).await?;
            return Err(Failed::Conflict(format!("it is {}", found.state.word())));
        }
        self.told(id).await
    }

    /// Tells the gate and whoever runs it.
    async fn told(&self, id: &str) -> Result<Campaign, Failed> {
        let campaign = self.campaign(id).await?;
        if campaign.state != State::Draft {
            self.parts.board.tell(&campaign);
        }
        self.stirred.notify_one();
        Ok(campaign)
    }

    /// Wakes what lies in the schedule because the campaign was held; what waits for anything else goes on waiting.
    async fn wake_held(&self, id: &str) -> Result<(), Failed> {
        let sql =
            "SELECT message FROM campaign_people WHERE campaign = ?1 AND state = 'held' AND reason IN (?3, ?4) AND message IS NOT NULL
            UNION SELECT message FROM campaign_steps WHERE campaign = ?1 AND weight = 1 AND reason IN (?3, ?4) LIMIT ?2";
        for row in self.parts.db.read(sql.into(), values![id, WOKEN, holds::PAUSED, holds::STOPPED]).await? {
            if let Ok(message) = row.text(0)?.parse::<MessageId>() {
                self.parts.units.ask(u32::from(message.unit), Ask::Wake(message));
            }
        }
        Ok(())
    }

    /// Sends a campaign's words to these addresses, with the data of the audience's own row where one has it, else of its first
    /// person. The ids of the messages.
    pub async fn test_campaign(&self, id: &str, to: &[String], variant: Option<&str>) -> Result<Vec<String>, Failed> {
        let campaign = self.campaign(id).await?;
        let sources = self.check_plan(&campaign.plan).await?;
        let source = match variant {
            Some(name) => sources.get(name),
            None => sources.values().next(),
        };
        let Some(source) = source.cloned() else {
            return Err(Wrong::at("#/variant", "variant_unknown", "the campaign has no variant of this name that sends anything").into());
        };
        let writer = Writer::new(source, false)?;
        let channels = self.channels(&campaign.plan.channels, "#/channels")?;
        let first = self.first_of(&campaign).await?.unwrap_or_default();
        let mut ready = Vec::with_capacity(to.len());
        for (n, address) in to.iter().enumerate() {
            let place = format!("#/to/{n}");
            let Some(channel) = channels.iter().find(|c| c.reaches(address)) else {
                return Err(Wrong::at(place, "channel_mismatch", "none of the campaign's channels reaches this address").into());
            };
            let person = self.person_at(&campaign, address).await?.unwrap_or_else(|| first.clone());
            let written = writer.write(person.locale.as_deref(), channel, address, &person.about())?;
            let request = written.into_request(SendRequest {
                to: Some(address.clone()),
                channel: Some(channel.id.to_string()),
                category: campaign.plan.category,
                priority: Priority::Bulk,
                ..SendRequest::default()
            });
            let prepared = self.parts.acceptor.prepare(request, Origin::Campaign, Act::Once, None).await;
            ready.push(prepared.map_err(|e| Wrong::at(place, e.code, format!("{}: {}", e.pointer, e.detail)))?);
        }
        let outcomes = self.parts.acceptor.append(&ready, false).await;
        if !outcomes.iter().all(Outcome::is_durable) {
            return Err(Failed::Store(crate::store::Error("the log cannot take it now".into())));
        }
        Ok(ready.iter().map(|r| r.accepted.id.to_string()).collect())
    }

    /// The first person it is for.
    async fn first_of(&self, campaign: &Campaign) -> Result<Option<Person>, Failed> {
        let mut walk = self.walk_of(campaign).await?;
        while let Some(people) = self.next(&mut walk).await? {
            if let Some(first) = people.into_iter().next() {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    async fn person_at(&self, campaign: &Campaign, address: &str) -> Result<Option<Person>, Failed> {
        let address = normal(address);
        let sql = "SELECT number FROM audience_people WHERE audience = ?1 AND address = ?2";
        let rows = self.parts.db.read(sql.into(), values![campaign.list(), &*address]).await?;
        match rows.first().map(|r| r.int(0)).transpose()? {
            Some(number) => Ok(self.people(campaign.list(), (number - 1) as u64, 1).await?.pop()),
            None if self.audience(&campaign.plan.audience).await?.filter.is_some() => self.contact_at(&address).await,
            None => Ok(None),
        }
    }
}

/// What an edit of a launched campaign may not touch: who gets what when is in its books already.
fn same_people(old: &Plan, new: &Plan) -> Result<(), Wrong> {
    let fixed = |pointer: &str| {
        Err(Wrong::at(pointer, "field_fixed", "it is fixed since the launch; words, rate, budget, goals and metadata may be edited"))
    };
    let weights = |p: &Plan| p.variants.iter().map(|v| (v.name.clone(), v.weight)).collect::<Vec<_>>();
    match () {
        () if old.audience != new.audience => fixed("#/audience"),
        () if old.channels != new.channels => fixed("#/channels"),
        () if old.order != new.order => fixed("#/order"),
        () if old.fallback != new.fallback => fixed("#/fallback"),
        () if old.category != new.category => fixed("#/category"),
        () if old.priority != new.priority => fixed("#/priority"),
        () if old.schedule != new.schedule => fixed("#/schedule"),
        () if old.canary != new.canary => fixed("#/canary"),
        () if weights(old) != weights(new) => fixed("#/variants"),
        () => Ok(()),
    }
}

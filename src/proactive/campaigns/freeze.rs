//! Freezing: the audience of a launched campaign becomes its rows, in chunks, each with the place it got to, so that a crash
//! goes on where it was. Of a saved filter whoever is meant at the launch is put on a list of the campaign's own first. How the
//! channels stand to everybody is counted on the way.

use std::collections::BTreeMap;

use fairway_adapters::contract::Time;

use super::reach::{Look, Stand, Way};
use super::{Campaign, Checked, HOLDOUT, why};
use crate::clock;
use crate::consent::Claim;
use crate::proactive::audiences::{ENLIST, Person};
use crate::proactive::when;
use crate::proactive::{Failed, Room};
use crate::store::db::{Statement, Value};
use crate::values;

/// Counts for one alone: of two nodes that froze the same chunk, the later changes nothing.
const MOVED: &str = "UPDATE campaigns SET frozen = ?2, place = ?3, reach = ?4 WHERE id = ?1 AND frozen = ?5 AND coalesce(place, '') = ?6";
const PEOPLE: &str = "INSERT INTO campaign_people (campaign, number, due, variant, state, level, address, reason, opted_out)
    VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, 0) ON CONFLICT DO NOTHING";

impl Room {
    /// Freezes the next people; true when all are.
    pub(super) async fn freeze(&self, campaign: &Campaign) -> Result<bool, Failed> {
        let checked = campaign.plan.check()?;
        let id = campaign.id.as_str();
        let place = campaign.place.as_deref().unwrap_or_default();
        let mut walk = match self.walk_of(campaign).await {
            Ok(walk) => walk.behind(campaign.frozen, place),
            // It was cancelled, and its audience removed.
            Err(Failed::Unknown(_)) => return Ok(true),
            Err(e) => return Err(e),
        };
        let mut people = self.next(&mut walk).await?.unwrap_or_default();
        if campaign.place.is_some() {
            people = self.unlisted(id, people).await?;
        }
        let channels = self.channels(&campaign.plan.channels, "#/channels").unwrap_or_default();
        let way = Way::new(&campaign.plan, channels, self.prices().unwrap_or_default());
        let looks = self.look(&way, &people, clock::now()).await?;
        let mut reach = campaign.reach.clone().unwrap_or_default();
        reach.add(&way, &looks);
        let moved = values![
            id,
            walk.number as i64,
            campaign.place.is_some().then(|| walk.place.clone()),
            serde_json::to_string(&reach).unwrap_or_default(),
            campaign.frozen as i64,
            place
        ];
        let mut statements = vec![Statement::guard(MOVED, moved)];
        if campaign.place.is_some() {
            statements.push(Statement::each(ENLIST, people.iter().map(|p| p.row(id)).collect()));
        }
        let mut clocks = Clocks { campaign, checked: &checked, known: BTreeMap::new() };
        if way.claims() {
            // Before anybody is frozen: a crash in between claims again.
            let claims: Vec<Claim> = people.iter().zip(&looks).filter_map(|(person, look)| clocks.claim(person, look)).collect();
            self.parts.consent.claim(id, campaign.plan.priority, &claims).await?;
        }
        let rows = people.iter().zip(&looks).map(|(person, look)| clocks.row(person, look));
        statements.push(Statement::each(PEOPLE, rows.collect()));
        match self.parts.db.write(statements).await {
            Err(e) if e.is_guarded() => Err(Failed::Conflict("another node froze these people".into())),
            done => done.map(|_| walk.is_over()).map_err(Failed::Store),
        }
    }
}

/// When each person's message is due; the zones of a chunk are looked up once.
struct Clocks<'c> {
    campaign: &'c Campaign,
    checked: &'c Checked,
    known: BTreeMap<String, Time>,
}

impl Clocks<'_> {
    /// A person's row in the books.
    fn row(&mut self, person: &Person, look: &Look) -> Vec<Value> {
        let campaign = self.campaign;
        let address = person.addresses.first().map_or("", String::as_str);
        let variant = campaign.plan.variant(&campaign.id, address);
        let (state, reason) = match &look.chosen {
            _ if variant == HOLDOUT => ("holdout", None),
            None => ("unreachable", Some(why::NO_CHANNEL)),
            Some(_) => ("waiting", None),
        };
        values![campaign.id.as_str(), person.number as i64, self.due(person).0, variant, state, address, reason]
    }

    /// What is kept free of somebody's caps, if they are to be written to.
    fn claim(&mut self, person: &Person, look: &Look) -> Option<Claim> {
        let (_, address) = look.chosen.as_ref()?;
        let first = person.addresses.first().map_or("", String::as_str);
        let goes = self.campaign.plan.variant(&self.campaign.id, first) != HOLDOUT && *look.stand() != Stand::Suppressed;
        goes.then(|| Claim { number: person.number as i64, address: address.clone(), at: self.due(person) })
    }

    fn due(&mut self, person: &Person) -> Time {
        let own = person.time_zone.as_ref().filter(|_| self.checked.by_person || self.checked.window.is_some());
        let name = own.unwrap_or(&self.checked.zone_name);
        if let Some(due) = self.known.get(name) {
            return *due;
        }
        let due = due(self.campaign, self.checked, name);
        self.known.insert(name.clone(), due);
        due
    }
}

/// When the message of somebody in this zone is due: its time, or the next opening of the window after it.
pub(super) fn due(campaign: &Campaign, checked: &Checked, name: &str) -> Time {
    let zone = when::zone(name, "#").unwrap_or_else(|_| checked.zone.clone());
    let launched = campaign.launched_at.unwrap_or_else(clock::now);
    let said = checked.at.map_or(launched, |at| at.when(if checked.by_person { &zone } else { &checked.zone }));
    // With nothing to be late for, what was due before the launch is due now.
    let due = if checked.expires_after.is_some() { said } else { said.max(launched) };
    checked.window.map_or(due, |w| w.opens(due, &zone))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proactive::campaigns::{Phase, Plan, State};

    #[test]
    fn everybodys_ten_oclock_is_their_own() {
        let plan: Plan = serde_json::from_value(
            json!({ "name": "n", "audience": "aud_x", "channels": ["a"], "parts": [{ "type": "text", "text": "x" }],
            "schedule": { "at": "2027-03-28T10:00", "zone": "recipient", "window": ["10:30", "20:00"], "expires_after": "PT24H" } }),
        )
        .expect("a plan");
        let checked = plan.check().expect("it makes sense");
        let campaign = Campaign {
            id: "cmp_1".into(),
            state: State::Scheduled,
            phase: Phase::Freeze,
            edition: 1,
            reason: None,
            launched_at: Time::parse("2027-03-01T00:00:00Z"),
            created_at: Time(0),
            plan,
            until: None,
            frozen: 0,
            place: None,
            reach: None,
            spent: 0,
            changed_at: Time(0),
            sources: BTreeMap::new(),
        };
        let mut clocks = Clocks { campaign: &campaign, checked: &checked, known: BTreeMap::new() };
        let mut of = |zone: Option<&str>| clocks.due(&Person { time_zone: zone.map(str::to_owned), ..Person::default() }).to_string();
        assert_eq!(of(Some("Europe/Rome")), "2027-03-28T08:30:00Z");
        assert_eq!(of(Some("America/New_York")), "2027-03-28T14:30:00Z");
        assert_eq!(of(Some("Australia/Sydney")), "2027-03-27T23:30:00Z");
        assert_eq!(of(None), "2027-03-28T10:30:00Z");
    }
}

//! Freezing: the audience of a launched campaign becomes its rows, in chunks, each with the number it got to, so that a crash
//! goes on where it was.

use std::collections::BTreeMap;

use fairway_adapters::contract::Time;

use super::{Campaign, Checked, HOLDOUT};
use crate::clock;
use crate::proactive::audiences::Person;
use crate::proactive::when;
use crate::proactive::{Failed, Room};
use crate::store::db::{Statement, Value};
use crate::values;

/// People of one transaction: two statements below the store's 5,000 rows.
const CHUNK: usize = 4000;

impl Room {
    /// Freezes the next people; true when all are.
    pub(super) async fn freeze(&self, campaign: &Campaign) -> Result<bool, Failed> {
        let checked = campaign.plan.check()?;
        let people = self.people(&campaign.plan.audience, campaign.frozen, CHUNK).await?;
        let Some(last) = people.last().map(|p| p.number) else { return Ok(true) };
        let reached = self.channels(&campaign.plan.channels, "#/channels").unwrap_or_default();
        let mut clocks = Clocks { campaign, checked: &checked, known: BTreeMap::new() };
        let rows = people.iter().map(|person| {
            let variant = campaign.plan.variant(&campaign.id, person.addresses.first().map_or("", String::as_str)).to_owned();
            let due = clocks.due(person);
            let (state, reason) = if variant == HOLDOUT {
                ("holdout", Value::Null)
            } else if !person.addresses.iter().any(|a| reached.iter().any(|c| c.reaches(a))) {
                ("unreachable", "none of the campaign's channels reaches any of the addresses".into())
            } else {
                ("waiting", Value::Null)
            };
            let address = person.addresses.first().cloned().unwrap_or_default();
            vec![
                campaign.id.as_str().into(),
                (person.number as i64).into(),
                due.0.into(),
                variant.into(),
                state.into(),
                address.into(),
                reason,
            ]
        });
        let sql = "INSERT INTO campaign_people (campaign, number, due, variant, state, level, address, reason, opted_out)
            VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, 0) ON CONFLICT DO NOTHING";
        let moved = Statement::once("UPDATE campaigns SET frozen = ?2 WHERE id = ?1", values![campaign.id.as_str(), last as i64]);
        self.parts.db.write(vec![Statement::each(sql, rows.collect()), moved]).await?;
        Ok(people.len() < CHUNK)
    }
}

/// When each person's message is due; the zones of a chunk are looked up once.
struct Clocks<'c> {
    campaign: &'c Campaign,
    checked: &'c Checked,
    known: BTreeMap<String, Time>,
}

impl Clocks<'_> {
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

//! Saved filters as audiences, and the one way to walk through an audience's people, whichever kind it is.
//!
//! Contacts lie where people are kept, campaigns perhaps elsewhere: a walk reads contacts in the order of their ids, a chunk at a
//! time, looks up what the filter asks about them, and tests each in memory. It needs no more memory for a million than for one.

use std::collections::HashMap;

use fairway_adapters::contract::Time;
use serde::Deserialize;

use super::audiences::{Audience, Kept, Person};
use super::campaigns::{Campaign, Phase};
use super::filter::{Filter, Got, Known, Needs, Places, Test};
use super::{Failed, Room, Wrong};
use crate::clock;
use crate::people::{Contact, TOGETHER, padded, places, room, traffic::Traffic};
use crate::values;

/// Contacts or people read at a time.
pub(super) const CHUNK: usize = 2000;
/// The scheme that stands for an address of who has none: no channel reaches it, and the report names the person.
const NOWHERE: &str = "contact";

/// A filter to be kept: the body of `POST /v1/audiences`.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SavedFilter)]
pub struct Save {
    /// Its name.
    pub name: Option<String>,
    /// Which contacts are meant. They are looked for when a campaign with it is launched, and are then that campaign's for good.
    pub filter: Filter,
}

/// A walk through people, in the order of their numbers.
pub(super) struct Walk {
    origin: Origin,
    /// The number of the last person.
    pub number: u64,
    /// The last contact that was looked at.
    pub place: String,
    over: bool,
}

enum Origin {
    /// A list of this name.
    List(String),
    /// Contacts that were there at a moment and pass.
    Contacts(Test, Needs, Time),
}

impl Walk {
    /// Whether nobody is left.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Goes on behind this person and contact.
    pub fn behind(mut self, number: u64, place: &str) -> Self {
        (self.number, self.place) = (number, place.to_owned());
        self
    }
}

impl Room {
    /// Keeps a filter as an audience.
    pub async fn save_audience(&self, save: Save) -> Result<Audience, Failed> {
        save.filter.test(clock::now(), "#/filter")?;
        for (place, id) in save.filter.campaigns("#/filter") {
            if matches!(self.campaign(id).await, Err(Failed::Unknown(_))) {
                return Err(Wrong::at(place, "campaign_unknown", format!("there is no campaign {id}")).into());
            }
        }
        let name = save.name.unwrap_or_else(|| "audience".into());
        let audience = Audience { state: Kept::Saved, people: None, filter: Some(save.filter), ..Audience::new(&name) };
        self.complete_audience(audience).await
    }

    /// A walk through an audience as it is at this moment.
    pub(super) fn walk(&self, audience: &Audience, now: Time) -> Result<Walk, Failed> {
        let origin = match &audience.filter {
            None => Origin::List(audience.id.clone()),
            Some(filter) => {
                let test = filter.test(now, "#/filter")?;
                let needs = test.needs();
                Origin::Contacts(test, needs, now)
            }
        };
        Ok(Walk { origin, number: 0, place: String::new(), over: false })
    }

    /// A walk through those a campaign is for: its list once it is frozen, until then its audience as it is now.
    pub(super) async fn walk_of(&self, campaign: &Campaign) -> Result<Walk, Failed> {
        if campaign.place.is_some() && campaign.phase != Phase::Freeze {
            return Ok(Walk { origin: Origin::List(campaign.list().to_owned()), number: 0, place: String::new(), over: false });
        }
        let audience = self.audience(&campaign.plan.audience).await?;
        self.walk(&audience, campaign.launched_at.unwrap_or_else(clock::now))
    }

    /// The next people, perhaps none; `None` when nobody is left.
    pub(super) async fn next(&self, walk: &mut Walk) -> Result<Option<Vec<Person>>, Failed> {
        if walk.over {
            return Ok(None);
        }
        let people = match &walk.origin {
            Origin::List(list) => {
                let people = self.people(list, walk.number, CHUNK).await?;
                walk.over = people.len() < CHUNK;
                people
            }
            Origin::Contacts(test, needs, now) => {
                let mut chunk = self.parts.people.chunk(&Default::default(), &walk.place, CHUNK).await?;
                walk.over = chunk.next.is_none();
                if let Some(last) = chunk.contacts.last() {
                    walk.place.clone_from(&last.id);
                }
                chunk.contacts.retain(|c| c.created_at <= *now);
                let meant = self.meant(test, needs, chunk.contacts).await?;
                meant.into_iter().zip(walk.number + 1..).map(|(contact, number)| person(contact, number)).collect()
            }
        };
        walk.number = people.last().map_or(walk.number, |p| p.number);
        Ok(Some(people))
    }

    /// Those of these contacts who pass.
    async fn meant(&self, test: &Test, needs: &Needs, contacts: Vec<Contact>) -> Result<Vec<Contact>, Failed> {
        let addresses: Vec<String> = contacts.iter().flat_map(|c| &c.addresses).map(|a| a.address.clone()).collect();
        let traffic = if needs.traffic { self.parts.people.traffic(&addresses).await? } else { HashMap::new() };
        let mut got = Places::new();
        for campaign in &needs.campaigns {
            self.places(campaign, &addresses, &mut got).await?;
        }
        let passes = |contact: &Contact| {
            let addresses = contact.addresses.iter().map(|a| &a.address);
            let traffic = addresses.clone().filter_map(|a| traffic.get(a)).fold(Traffic::default(), |all, t| all.joined(*t));
            let got: Vec<Got> = addresses.filter_map(|a| got.get(a)).flatten().cloned().collect();
            test.holds(Known { contact, traffic, got: &got })
        };
        Ok(contacts.into_iter().filter(passes).collect())
    }

    /// What these addresses have of a campaign.
    async fn places(&self, campaign: &str, addresses: &[String], got: &mut Places) -> Result<(), Failed> {
        for some in addresses.chunks(TOGETHER) {
            // Written so that no index on `campaign` fits: by that one every chunk would read the whole campaign.
            let sql = format!(
                "SELECT p.address, p.state, CAST(CASE WHEN p.message IS NULL THEN 0 ELSE 1 END AS BIGINT),
                 CAST(CASE WHEN p.goal IS NULL THEN 0 ELSE 1 END AS BIGINT), p.sent_at
                 FROM campaign_people p WHERE p.address IN ({}) AND (p.campaign || '') = ?{}",
                places(some.len()),
                room(some.len()) + 1
            );
            let mut row = padded(some);
            row.extend(values![campaign]);
            for row in self.parts.db.read(sql.into(), row).await? {
                got.entry(row.text(0)?).or_default().push(Got {
                    campaign: campaign.to_owned(),
                    state: row.text(1)?,
                    written: row.int(2)? != 0,
                    goal: row.int(3)? != 0,
                    sent_at: row.maybe_int(4)?.map(Time),
                });
            }
        }
        Ok(())
    }

    /// The person at an address, as an audience would have them.
    pub(super) async fn contact_at(&self, address: &str) -> Result<Option<Person>, Failed> {
        Ok(self.parts.people.by_address(address).await?.map(|contact| person(contact, 0)))
    }

    /// The contact of an id, as an audience would have them.
    pub(super) async fn contact(&self, id: &str) -> Result<Option<Person>, Failed> {
        Ok(self.parts.people.get(id).await?.map(|contact| person(contact, 0)))
    }

    /// Those of these people none of whose addresses stands on a list yet: a contact that was merged into another one meanwhile is
    /// there already, by its own name.
    pub(super) async fn unlisted(&self, list: &str, people: Vec<Person>) -> Result<Vec<Person>, Failed> {
        let addresses: Vec<String> = people.iter().flat_map(|p| p.addresses.iter().cloned()).collect();
        let mut listed = std::collections::HashSet::new();
        for some in addresses.chunks(TOGETHER) {
            let sql = format!(
                "SELECT a.address FROM audience_people a WHERE a.address IN ({}) AND a.audience = ?{}",
                places(some.len()),
                room(some.len()) + 1
            );
            let mut row = padded(some);
            row.extend(values![list]);
            for row in self.parts.db.read(sql.into(), row).await? {
                listed.insert(row.text(0)?);
            }
        }
        Ok(people.into_iter().filter(|p| !p.addresses.iter().any(|a| listed.contains(a))).collect())
    }
}

/// What stands for an address of a contact who has none.
pub(super) fn nowhere(contact: &str) -> String {
    format!("{NOWHERE}:{contact}")
}

/// A contact as a person of an audience.
fn person(contact: Contact, number: u64) -> Person {
    let mut addresses: Vec<String> = contact.reachable_at().map(str::to_owned).collect();
    if addresses.is_empty() {
        addresses.push(nowhere(&contact.id));
    }
    let Contact { name, locale, time_zone, attributes, .. } = contact;
    Person { number, addresses, name, locale, time_zone, attributes }
}

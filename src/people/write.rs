//! Writing people: what is said about a person is joined with what is known, by id and by address.
//!
//! - A given id wins. Without one, the person is who has the first known address; else a new one, named after it.
//! - An address that belongs to somebody known by address alone (`con_...`) makes the two one, with history.
//! - An address of somebody with an id of his own is refused: two ids are two people until `merge` says otherwise.

use std::collections::HashMap;

use fairway_adapters::contract::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Address, COLUMNS, Contact, Line, People, TOGETHER, address, padded, place, places};
use crate::ids;
use crate::store::Error;
use crate::store::db::{Statement, Value};
use crate::{clock, values};

/// What is said about a person. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Put {
    /// The caller's own id: 1 to 128 of letters, digits and `._:@-`.
    pub id: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// BCP 47.
    pub locale: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// ISO 3166-1.
    pub country: Option<String>,
    /// Region within the country (US: the state).
    pub region: Option<String>,
    /// Addresses, added to those known.
    pub addresses: Vec<String>,
    /// Attributes; `null` takes one away.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Json>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The person's id.
    pub id: String,
    /// Whether the person is new.
    pub created: bool,
    /// Ids that are this person now.
    pub merged: Vec<String>,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The field.
    pub column: &'static str,
    /// Our stable code.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

fn refused<T>(column: &'static str, code: &'static str, reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { column, code, reason: reason.into() })
}

impl Put {
    /// Puts addresses into their normal form and says what is wrong, whoever the person is.
    pub fn checked(mut self) -> Result<Self, Refused> {
        if let Some(id) = &self.id {
            let fine = |c: char| c.is_ascii_alphanumeric() || "._:@-".contains(c);
            if id.is_empty() || id.len() > 128 || !id.chars().all(fine) {
                return refused("id", "id_invalid", "an id has 1 to 128 of letters, digits and ._:@-");
            }
        }
        if self.id.is_none() && self.addresses.is_empty() {
            return refused("address", "missing", "a person needs an id or an address");
        }
        if let Some(zone) = self.time_zone.as_deref().filter(|z| !place::is_zone(z)) {
            return refused("time_zone", "zone_unknown", format!("`{zone}` is not an IANA time zone, such as Europe/Rome"));
        }
        if let Some(country) = &mut self.country {
            *country = country.to_ascii_uppercase();
            if place::zones(country).is_empty() {
                return refused("country", "country_unknown", format!("`{country}` is not an ISO 3166-1 country, such as IT"));
            }
        }
        if let Some(locale) = &mut self.locale {
            *locale = locale.replace('_', "-");
            let fine = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
            if locale.len() > 35 || !locale.split('-').all(fine) {
                return refused("locale", "locale_invalid", "a locale is written like `pt-BR`");
            }
        }
        for written in &mut self.addresses {
            *written = address::normal(written).into_owned();
            if let Some(problem) = address::problem(written) {
                return refused("address", "address_invalid", problem);
            }
        }
        let mut seen = std::collections::HashSet::new();
        self.addresses.retain(|a| seen.insert(a.clone()));
        if serde_json::to_string(&self.attributes).map_or(0, |t| t.len()) > 16_384 {
            return refused("attributes", "too_large", "attributes have at most 16 KiB");
        }
        Ok(self)
    }
}

/// Why an address is not given to somebody else.
fn taken(owner: &str) -> String {
    format!("the address belongs to {owner}; merge the two if they are one person")
}

/// The id of a person who is known by an address alone.
pub(super) fn named_after(address: &str) -> String {
    ids::text("con_", ids::fingerprint(&[b"contact", address.as_bytes()]))
}

/// What is known of those an act is about, and what changes.
struct Draft {
    now: Time,
    contacts: HashMap<String, Contact>,
    owners: HashMap<String, String>,
    touched: Vec<String>,
    moved: Vec<(String, String)>,
    gone: Vec<(String, String)>,
    lines: Vec<(String, Line)>,
}

impl People {
    /// Writes what is said about people, in order; at most 4,000 at a time. Each is answered for.
    pub async fn put(&self, puts: Vec<Put>) -> Result<Vec<Result<Change, Refused>>, Error> {
        let checked: Vec<Result<Put, Refused>> = puts.into_iter().map(Put::checked).collect();
        let _one = self.writing.lock().await;
        let mut draft = self.draft(checked.iter().flatten()).await?;
        let changes = checked.into_iter().map(|put| draft.take(put?)).collect();
        self.write(draft).await?;
        Ok(changes)
    }

    /// Makes two people one: `from` becomes `into`. Whether both were there.
    pub async fn merge(&self, into: &str, from: &str) -> Result<bool, Error> {
        let _one = self.writing.lock().await;
        let puts = [into, from].map(|id| Put { id: Some(id.to_owned()), ..Put::default() });
        let mut draft = self.draft(puts.iter()).await?;
        if into == from || !draft.contacts.contains_key(into) || !draft.contacts.contains_key(from) {
            return Ok(false);
        }
        draft.absorb(into, from);
        self.write(draft).await?;
        Ok(true)
    }

    /// Lets go of a contact with all that was kept of it and of these addresses. Ids that were merged into it go too.
    pub async fn forget(&self, id: &str, addresses: &[String]) -> Result<(), Error> {
        let _one = self.writing.lock().await;
        let all = "IN (SELECT c.id FROM contacts c WHERE c.id = ?1 OR c.merged_into = ?1)";
        let mut statements = Vec::new();
        for table in ["address_traffic", "reply_windows"] {
            let rows = addresses.iter().map(|a| values![&*address::normal(a)]).collect();
            statements.push(Statement::each(format!("DELETE FROM {table} WHERE address = ?1"), rows));
        }
        for table in ["contact_history", "contact_addresses"] {
            statements.push(Statement::once(format!("DELETE FROM {table} WHERE contact {all}"), values![id]));
        }
        let told = "UPDATE job_rows SET reason = 'the address belongs to somebody who was erased' WHERE reason = ?1";
        statements.push(Statement::once(told, values![taken(id)]));
        statements.push(Statement::once("DELETE FROM contacts WHERE id = ?1 OR merged_into = ?1", values![id]));
        self.db.write(statements).await.map(drop)
    }

    /// A provider says that an address is gone, or has become another one.
    pub async fn address_changed(&self, previous: &str, current: Option<&str>) -> Result<(), Error> {
        let previous = address::normal(previous).into_owned();
        let current = current.map(|c| address::normal(c).into_owned());
        let _one = self.writing.lock().await;
        let put = Put { addresses: std::iter::once(previous.clone()).chain(current.clone()).collect(), ..Put::default() };
        let mut draft = self.draft(std::iter::once(&put)).await?;
        let Some(owner) = draft.owners.get(&previous).cloned() else { return Ok(()) };
        match current {
            Some(current) if !draft.owners.contains_key(&current) => draft.replace(&owner, &previous, &current),
            _ => draft.lose(&owner, &previous),
        }
        self.write(draft).await
    }

    /// Reads whom these are about: by id, and by address.
    async fn draft<'a>(&self, puts: impl Iterator<Item = &'a Put> + Clone) -> Result<Draft, Error> {
        let addresses: Vec<String> = puts.clone().flat_map(|p| p.addresses.iter().cloned()).collect();
        let mut owners = HashMap::new();
        for some in addresses.chunks(TOGETHER) {
            let sql = format!("SELECT a.address, a.contact FROM contact_addresses a WHERE a.address IN ({})", places(some.len()));
            for row in self.db.read(sql.into(), padded(some)).await? {
                owners.insert(row.text(0)?, row.text(1)?);
            }
        }
        let mut ids: Vec<String> = puts.filter_map(|p| p.id.clone()).chain(owners.values().cloned()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut contacts = HashMap::new();
        for some in ids.chunks(TOGETHER) {
            let sql = format!("SELECT {COLUMNS}, c.merged_into FROM contacts c WHERE c.id IN ({})", places(some.len()));
            let rows = self.db.read(sql.into(), padded(some)).await?;
            // An id that was merged away comes back as a person of its own when it is written again.
            let rows = rows.into_iter().filter(|r| matches!(r.maybe_text(10), Ok(None))).collect();
            contacts.extend(self.with_addresses(rows).await?.into_iter().map(|c| (c.id.clone(), c)));
        }
        Ok(Draft { now: clock::now(), contacts, owners, touched: Vec::new(), moved: Vec::new(), gone: Vec::new(), lines: Vec::new() })
    }

    /// One transaction.
    async fn write(&self, mut draft: Draft) -> Result<(), Error> {
        draft.touched.sort_unstable();
        draft.touched.dedup();
        // In the order of the key, a large import touches each page of the table once; what was moved last stays last.
        draft.moved.sort_by(|a, b| a.0.cmp(&b.0));
        let (contacts, addresses) = (&draft.contacts, &draft.moved);
        let rows = draft.touched.iter().filter_map(|id| contacts.get(id)).map(row).collect();
        let moved = addresses.iter().map(|(address, contact)| values![address.as_str(), contact.as_str(), draft.now.0]).collect();
        let gone = draft.gone.iter().map(|(from, into)| values![from.as_str(), into.as_str(), draft.now.0]).collect();
        let lines = draft.lines.iter().map(|(contact, line)| history(contact, line)).collect();
        let lost = draft.touched.iter().filter_map(|id| contacts.get(id)).flat_map(|c| &c.addresses);
        let lost = lost.filter_map(|a| Some(values![a.address.as_str(), a.gone_at?.0])).collect();
        let statements = [
            (UPSERT, rows),
            (ADDRESS, moved),
            ("UPDATE contact_addresses SET gone_at = ?2 WHERE address = ?1", lost),
            ("UPDATE contacts SET merged_into = ?2, updated_at = ?3 WHERE id = ?1", gone),
            (HISTORY, lines),
        ];
        let statements: Vec<Statement> = statements
            .into_iter()
            .filter(|(_, runs): &(_, Vec<_>)| !runs.is_empty())
            .map(|(sql, runs)| Statement::each(sql, runs))
            .collect();
        if statements.is_empty() {
            return Ok(());
        }
        self.db.write(statements).await.map(drop)
    }
}

const UPSERT: &str = "INSERT INTO contacts (id, name, locale, zone, zone_guessed, country, region, attributes, created_at, updated_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO UPDATE SET name = excluded.name, locale = excluded.locale, \
    zone = excluded.zone, zone_guessed = excluded.zone_guessed, country = excluded.country, region = excluded.region, \
    attributes = excluded.attributes, updated_at = excluded.updated_at, merged_into = NULL";
const ADDRESS: &str = "INSERT INTO contact_addresses (address, contact, added_at) VALUES (?1, ?2, ?3) \
    ON CONFLICT (address) DO UPDATE SET contact = excluded.contact, gone_at = NULL";
const HISTORY: &str = "INSERT INTO contact_history (contact, at, seq, what, words) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";

fn row(contact: &Contact) -> Vec<Value> {
    values![
        contact.id.as_str(),
        contact.name.clone(),
        contact.locale.clone(),
        contact.time_zone.clone(),
        contact.time_zone_guessed,
        contact.country.clone(),
        contact.region.clone(),
        serde_json::to_string(&contact.attributes).unwrap_or_default(),
        contact.created_at.0,
        contact.updated_at.0,
    ]
}

fn history(contact: &str, line: &Line) -> Vec<Value> {
    let seq = ids::text("", ids::fingerprint(&[line.what.as_bytes(), line.text.as_bytes()]));
    values![contact, line.at.0, seq, line.what.as_str(), line.text.as_str()]
}

impl Draft {
    fn take(&mut self, put: Put) -> Result<Change, Refused> {
        let known: Vec<String> = put.addresses.iter().filter_map(|a| self.owners.get(a).cloned()).collect();
        let own = |id: &String| !id.starts_with("con_");
        let first = known.iter().find(|id| own(id)).or(known.first());
        let id = put.id.clone().or_else(|| first.cloned()).unwrap_or_else(|| named_after(&put.addresses[0]));
        if let Some(other) = known.iter().find(|other| **other != id && own(other)) {
            return refused("address", "address_taken", taken(other));
        }
        let created = !self.contacts.contains_key(&id);
        let now = self.now;
        self.contacts.entry(id.clone()).or_insert_with(|| Contact { id: id.clone(), created_at: now, ..Contact::default() });
        let mut merged: Vec<String> = known.into_iter().filter(|other| *other != id).collect();
        merged.dedup();
        for other in &merged {
            self.absorb(&id, other);
        }
        for address in &put.addresses {
            self.add(&id, address, created);
        }
        if let Some(contact) = self.contacts.get_mut(&id) {
            fill(contact, put);
            contact.updated_at = now;
        }
        self.touched.push(id.clone());
        Ok(Change { id, created, merged })
    }

    fn add(&mut self, id: &str, address: &str, created: bool) {
        let Some(contact) = self.contacts.get_mut(id) else { return };
        match contact.addresses.iter_mut().find(|a| a.address == address) {
            Some(known) if known.gone_at.is_none() => return,
            Some(known) => known.gone_at = None,
            None => contact.addresses.push(Address { address: address.to_owned(), added_at: self.now, gone_at: None }),
        }
        self.owners.insert(address.to_owned(), id.to_owned());
        self.moved.push((address.to_owned(), id.to_owned()));
        if !created {
            self.tell(id, "address_added", format!("Can be reached at {address}."));
        }
    }

    /// `other` becomes `id`: its addresses move, what is not known of `id` is taken from it, and both histories say so.
    fn absorb(&mut self, id: &str, other: &str) {
        let Some(from) = self.contacts.remove(other) else { return };
        let Some(into) = self.contacts.get_mut(id) else { return };
        for address in from.addresses {
            self.owners.insert(address.address.clone(), id.to_owned());
            self.moved.push((address.address.clone(), id.to_owned()));
            into.addresses.push(address);
        }
        into.name = into.name.take().or(from.name);
        into.locale = into.locale.take().or(from.locale);
        if into.time_zone.is_none() || into.time_zone_guessed && !from.time_zone_guessed && from.time_zone.is_some() {
            (into.time_zone, into.time_zone_guessed) = (from.time_zone, from.time_zone_guessed);
        }
        into.country = into.country.take().or(from.country);
        into.region = into.region.take().or(from.region);
        for (name, value) in from.attributes {
            into.attributes.entry(name).or_insert(value);
        }
        into.created_at = into.created_at.min(from.created_at);
        into.updated_at = self.now;
        self.touched.push(id.to_owned());
        self.gone.push((other.to_owned(), id.to_owned()));
        self.tell(id, "merged", format!("{other} turned out to be the same person."));
        self.tell(other, "merged", format!("Turned out to be {id}."));
    }

    fn replace(&mut self, id: &str, previous: &str, current: &str) {
        self.lose(id, previous);
        self.add(id, current, true);
        self.tell(id, "address_replaced", format!("{previous} became {current}."));
    }

    fn lose(&mut self, id: &str, address: &str) {
        let now = self.now;
        let Some(contact) = self.contacts.get_mut(id) else { return };
        contact.updated_at = now;
        if let Some(known) = contact.addresses.iter_mut().find(|a| a.address == address && a.gone_at.is_none()) {
            known.gone_at = Some(now);
            self.tell(id, "address_gone", format!("{address} reaches nobody any more."));
        }
        self.touched.push(id.to_owned());
    }

    fn tell(&mut self, id: &str, what: &str, text: String) {
        self.lines.push((id.to_owned(), Line { at: self.now, what: what.to_owned(), text }));
    }
}

/// What is said wins; what is not said stays; what nobody said is guessed.
fn fill(contact: &mut Contact, put: Put) {
    contact.name = put.name.or(contact.name.take());
    contact.locale = put.locale.or(contact.locale.take());
    contact.country = put.country.or(contact.country.take());
    contact.region = put.region.or(contact.region.take());
    for (name, value) in put.attributes {
        if value.is_null() {
            contact.attributes.shift_remove(&name);
        } else {
            contact.attributes.insert(name, value);
        }
    }
    if let Some(zone) = put.time_zone {
        (contact.time_zone, contact.time_zone_guessed) = (Some(zone), false);
    } else if contact.time_zone.is_none() || contact.time_zone_guessed {
        let guess = place::of(contact.addresses.iter().map(|a| a.address.as_str()), contact.locale.as_deref());
        let zones = contact.country.as_deref().map(place::zones).filter(|z| !z.is_empty()).or(guess.map(|g| g.zones));
        // What the number says within the country that is known is finer than the country alone.
        let zone = guess.filter(|g| contact.country.as_deref().is_none_or(|c| c == g.country)).map(|g| g.zones).or(zones);
        contact.time_zone = zone.and_then(|z| z.first().cloned());
        contact.time_zone_guessed = contact.time_zone.is_some();
        if contact.country.is_none() {
            contact.country = guess.map(|g| g.country.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Filter;
    use crate::store::laws::{Stage, laws};

    laws! {
        people_are_joined_by_id_and_address
        what_is_said_wins_over_what_is_guessed
        chunks_walk_all_that_match_and_changes_of_address_follow
    }

    fn put(id: Option<&str>, addresses: &[&str]) -> Put {
        Put { id: id.map(str::to_owned), addresses: addresses.iter().map(|a| (*a).to_owned()).collect(), ..Put::default() }
    }

    async fn people_are_joined_by_id_and_address(stage: Stage) {
        let people = People::open(stage.open().await).await.expect("tables");
        let done = people.put(vec![put(None, &["tel:+4917012345678"]), put(None, &["mailto:Ana@example.org"])]).await.expect("written");
        assert!(done.iter().all(|c| c.as_ref().is_ok_and(|c| c.created)), "{done:?}");
        // The caller's id takes over whom only an address named; a second look finds one person at both addresses.
        let both = put(Some("c-17"), &["tel:+49 170 12345678", "mailto:ana@example.org"]);
        let done = people.put(vec![both]).await.expect("written").remove(0).expect("fine");
        assert_eq!((done.id.as_str(), done.merged.len()), ("c-17", 2));
        let ana = people.by_address("mailto:ANA@example.org").await.expect("read").expect("known");
        assert_eq!((ana.id.as_str(), ana.addresses.len()), ("c-17", 2));
        assert_eq!((ana.time_zone.as_deref(), ana.time_zone_guessed), (Some("Europe/Berlin"), true));
        assert_eq!(people.get(&done.merged[0]).await.expect("read").map(|c| c.id).as_deref(), Some("c-17"));
        assert!(people.history("c-17").await.expect("read").iter().any(|l| l.what == "merged"));
        // Two ids are two people.
        let taken = people.put(vec![put(Some("c-18"), &["tel:+4917012345678"])]).await.expect("written").remove(0);
        let taken = taken.expect_err("refused");
        assert_eq!(taken.code, "address_taken");
        assert!(people.merge("c-17", "c-18").await.is_ok_and(|there| !there));
        // What an import said about her goes with her.
        let sql = "INSERT INTO job_rows (job, line, col, reason) VALUES ('job_1', 2, 'address', ?1)";
        people.db.write(vec![Statement::once(sql, values![taken.reason.as_str()])]).await.expect("written");
        assert_eq!(people.names("c-17").await.expect("read").len(), 3, "her own id and those that became hers");
        people.forget("c-17", &[]).await.expect("forgotten");
        let rows = people.db.read("SELECT r.reason FROM job_rows r".into(), Vec::new()).await.expect("read");
        assert_eq!((rows.len(), rows[0].text(0).expect("a reason").contains("c-17")), (1, false));
    }

    async fn what_is_said_wins_over_what_is_guessed(stage: Stage) {
        let people = People::open(stage.open().await).await.expect("tables");
        let said = Put { time_zone: Some("Asia/Tokyo".into()), ..put(Some("a"), &["tel:+4917012345678"]) };
        people.put(vec![said, put(Some("a"), &["tel:+15125550100"])]).await.expect("written");
        let contact = people.get("a").await.expect("read").expect("known");
        assert_eq!((contact.time_zone.as_deref(), contact.time_zone_guessed), (Some("Asia/Tokyo"), false));
        for (bad, code) in [
            (Put { time_zone: Some("Mars/Base".into()), ..put(Some("b"), &[]) }, "zone_unknown"),
            (Put { country: Some("XX".into()), ..put(Some("b"), &[]) }, "country_unknown"),
            (put(Some("b"), &["tel:abc"]), "address_invalid"),
            (put(Some("b c"), &[]), "id_invalid"),
            (put(None, &[]), "missing"),
        ] {
            assert_eq!(bad.checked().expect_err(code).code, code);
        }
    }

    async fn chunks_walk_all_that_match_and_changes_of_address_follow(stage: Stage) {
        let people = People::open(stage.open().await).await.expect("tables");
        let crowd = (0..25).map(|i| Put {
            attributes: Map::from_iter([("odd".into(), (i % 2 == 1).into())]),
            ..put(Some(&format!("c-{i:02}")), &[&format!("telegram:{i}")])
        });
        people.put(crowd.collect()).await.expect("written");
        let filter =
            Filter { schemes: vec!["telegram".into()], attributes: Map::from_iter([("odd".into(), true.into())]), ..Filter::default() };
        let (mut found, mut after) = (0, String::new());
        loop {
            let chunk = people.chunk(&filter, &after, 10).await.expect("read");
            found += chunk.contacts.len();
            let Some(next) = chunk.next else { break };
            after = next;
        }
        assert_eq!(found, 12);
        people.address_changed("telegram:1", None).await.expect("written");
        people.address_changed("telegram:3", Some("telegram:333")).await.expect("written");
        assert!(people.get("c-01").await.expect("read").expect("known").addresses[0].gone_at.is_some());
        assert_eq!(people.by_address("telegram:333").await.expect("read").map(|c| c.id).as_deref(), Some("c-03"));
        let chunk = people.chunk(&filter, "", 100).await.expect("read");
        assert_eq!(chunk.contacts.len(), 11, "who cannot be reached any more is not meant");
    }
}

//! People: contacts with addresses on several channels, attributes, locale and time zone.
//!
//! ```text
//!   contacts            one row a person, by id (the caller's own, or derived from the first address)
//!   contact_addresses   one row an address; an address belongs to one person
//!   contact_history     what was learned and merged, oldest first
//!   address_traffic     when each address wrote to us and read ours last, known contact or not
//!   reply_windows       until when providers let us write freely, by conversation
//!   jobs, job_rows      long work (import, erase) with its progress and its bad rows
//! ```
//!
//! - An address is kept in its normal form ([`address::normal`]), so that looking up finds it however it was written.
//! - Where a person lives is what the record says; else it is guessed from number or locale and marked so ([`place`]).
//! - No transaction is over 5,000 rows.

pub mod address;
pub mod export;
pub mod import;
pub mod jobs;
pub mod place;
mod tables;
pub mod traffic;
pub mod windows;
mod write;

use std::{collections::HashMap, sync::Arc};

use fairway_adapters::contract::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use serde_with::skip_serializing_none;

use crate::store::Error;
use crate::store::db::{Database, Row, Value};
use crate::values;

pub use write::{Change, Put, Refused};

/// A person.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Contact {
    /// The caller's own id, or `con_...`.
    pub id: String,
    /// Display name.
    pub name: Option<String>,
    /// BCP 47.
    pub locale: Option<String>,
    /// IANA name of the zone the person lives in.
    pub time_zone: Option<String>,
    /// Whether the zone was guessed from number or locale.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub time_zone_guessed: bool,
    /// ISO 3166-1 country, as far as it is known.
    pub country: Option<String>,
    /// Region within the country (US: the state, two letters), as far as it is known.
    pub region: Option<String>,
    /// Where the person can be reached, the oldest first.
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// Whatever the caller keeps about the person.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub attributes: Map<String, Json>,
    /// When the gateway first heard of the person.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Time,
    /// When something last changed.
    #[schema(value_type = String, format = "date-time")]
    pub updated_at: Time,
}

impl Contact {
    /// Whether the locale is this one, or a more particular one: `de-AT` is `de` too.
    pub fn speaks(&self, wanted: &str) -> bool {
        let rest = self.locale.as_deref().unwrap_or_default().strip_prefix(wanted);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// The addresses that work, the oldest first.
    pub fn reachable_at(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().filter(|a| a.gone_at.is_none()).map(|a| a.address.as_str())
    }
}

/// One way to reach a person.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Address {
    /// `scheme:id`, in its normal form.
    pub address: String,
    /// When it was added.
    #[schema(value_type = String, format = "date-time")]
    pub added_at: Time,
    /// When it was reported gone; it is written to no more.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub gone_at: Option<Time>,
}

/// Which contacts are meant. What is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// With an address of one of these schemes (`whatsapp`, `tel`, ...).
    pub schemes: Vec<String>,
    /// Whose locale begins with one of these.
    pub locales: Vec<String>,
    /// Who live in one of these countries.
    pub countries: Vec<String>,
    /// Whose attributes have these values.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Json>,
    /// First heard of from then on.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub created_from: Option<Time>,
    /// First heard of before then.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub created_before: Option<Time>,
}

impl Filter {
    /// Whether a contact is meant.
    pub fn matches(&self, contact: &Contact) -> bool {
        let one_of = |list: &[String], value: Option<&String>| list.is_empty() || value.is_some_and(|v| list.contains(v));
        let scheme = |a: &Address| a.gone_at.is_none() && self.schemes.iter().any(|s| address::scheme(&a.address) == s);
        (self.schemes.is_empty() || contact.addresses.iter().any(scheme))
            && (self.locales.is_empty() || self.locales.iter().any(|wanted| contact.speaks(wanted)))
            && one_of(&self.countries, contact.country.as_ref())
            && self.attributes.iter().all(|(name, value)| contact.attributes.get(name) == Some(value))
            && self.created_from.is_none_or(|from| contact.created_at >= from)
            && self.created_before.is_none_or(|before| contact.created_at < before)
    }
}

/// Contacts in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Those of this chunk that the filter means.
    pub contacts: Vec<Contact>,
    /// The id behind which the next chunk begins; `None` when this was the last.
    pub next: Option<String>,
}

/// What was learned about a person.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// When.
    #[schema(value_type = String, format = "date-time")]
    pub at: Time,
    /// `created`, `address_added`, `address_gone`, `address_replaced`, `merged`, ...
    pub what: String,
    /// In words.
    pub text: String,
}

/// The room. Cloning shares it.
#[derive(Clone)]
pub struct People {
    db: Arc<dyn Database>,
    /// Reading what is there and writing what follows is one act, for one writer at a time.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// Addresses or ids of one query, at most.
pub(crate) const TOGETHER: usize = 512;

const COLUMNS: &str = "c.id, c.name, c.locale, c.zone, c.zone_guessed, c.country, c.region, c.attributes, c.created_at, c.updated_at";

impl People {
    /// Opens the room's tables.
    pub async fn open(db: Arc<dyn Database>) -> Result<Self, Error> {
        db.migrate("people", tables::STEPS).await?;
        Ok(Self { db, writing: Arc::default() })
    }

    /// A contact by its id. One that was merged into another answers as that other.
    pub async fn get(&self, id: &str) -> Result<Option<Contact>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM contacts c WHERE c.id = (SELECT coalesce(m.merged_into, m.id) FROM contacts m WHERE m.id = ?1)");
        let rows = self.db.read(sql.into(), values![id]).await?;
        Ok(self.with_addresses(rows).await?.into_iter().next())
    }

    /// The ids a contact has been known by: its own, and those of contacts that were merged into it.
    pub async fn names(&self, id: &str) -> Result<Vec<String>, Error> {
        let rows = self.db.read("SELECT c.id FROM contacts c WHERE c.merged_into = ?1 ORDER BY c.id".into(), values![id]).await?;
        let merged = rows.iter().map(|r| r.text(0));
        std::iter::once(Ok(id.to_owned())).chain(merged).collect()
    }

    /// The contact an address belongs to. The address may be written in any form.
    pub async fn by_address(&self, address: &str) -> Result<Option<Contact>, Error> {
        let found = self.by_addresses(&[address.to_owned()]).await?;
        Ok(found.into_values().next())
    }

    /// The contacts these addresses belong to, by the address as it was asked for. Unknown ones are left out.
    pub async fn by_addresses(&self, addresses: &[String]) -> Result<HashMap<String, Contact>, Error> {
        let mut found = HashMap::new();
        for asked in addresses.chunks(TOGETHER) {
            let normal: Vec<String> = asked.iter().map(|a| address::normal(a).into_owned()).collect();
            let sql = format!(
                "SELECT {COLUMNS}, a.address FROM contact_addresses a JOIN contacts c ON c.id = a.contact WHERE a.address IN ({})",
                places(normal.len())
            );
            let rows = self.db.read(sql.into(), padded(&normal)).await?;
            let owners: HashMap<String, String> = rows.iter().map(|r| Ok((r.text(10)?, r.text(0)?))).collect::<Result<_, Error>>()?;
            let contacts: HashMap<String, Contact> = self.with_addresses(rows).await?.into_iter().map(|c| (c.id.clone(), c)).collect();
            for (asked, normal) in asked.iter().zip(&normal) {
                if let Some(contact) = owners.get(normal).and_then(|id| contacts.get(id)) {
                    found.insert(asked.clone(), contact.clone());
                }
            }
        }
        Ok(found)
    }

    /// The contacts behind this id (the first: an empty text), at most `limit` looked at. Memory is that of one chunk.
    pub async fn chunk(&self, filter: &Filter, after: &str, limit: usize) -> Result<Chunk, Error> {
        let sql = format!("SELECT {COLUMNS} FROM contacts c WHERE c.id > ?1 AND c.merged_into IS NULL ORDER BY c.id LIMIT ?2");
        let rows = self.db.read(sql.into(), values![after, limit as i64]).await?;
        let full = rows.len() >= limit;
        let mut contacts = self.with_addresses(rows).await?;
        let next = contacts.last().filter(|_| full).map(|c| c.id.clone());
        contacts.retain(|c| filter.matches(c));
        Ok(Chunk { contacts, next })
    }

    /// What was learned about a person, oldest first.
    pub async fn history(&self, id: &str) -> Result<Vec<Line>, Error> {
        let sql = "SELECT h.at, h.what, h.words FROM contact_history h WHERE h.contact = ?1 ORDER BY h.at, h.seq";
        let rows = self.db.read(sql.into(), values![id]).await?;
        rows.iter().map(|r| Ok(Line { at: Time(r.int(0)?), what: r.text(1)?, text: r.text(2)? })).collect()
    }

    /// Contacts of rows in the order of [`COLUMNS`], each once, with their addresses.
    async fn with_addresses(&self, rows: Vec<Row>) -> Result<Vec<Contact>, Error> {
        let mut contacts: Vec<Contact> = Vec::with_capacity(rows.len());
        let mut place: HashMap<String, usize> = HashMap::with_capacity(rows.len());
        for row in rows {
            let contact = read(&row)?;
            if !place.contains_key(&contact.id) {
                place.insert(contact.id.clone(), contacts.len());
                contacts.push(contact);
            }
        }
        let ids: Vec<String> = contacts.iter().map(|c| c.id.clone()).collect();
        for ids in ids.chunks(TOGETHER) {
            let sql = format!(
                "SELECT a.contact, a.address, a.added_at, a.gone_at FROM contact_addresses a WHERE a.contact IN ({}) ORDER BY a.added_at, a.address",
                places(ids.len())
            );
            for row in self.db.read(sql.into(), padded(ids)).await? {
                if let Some(at) = place.get(&row.text(0)?) {
                    contacts[*at].addresses.push(Address {
                        address: row.text(1)?,
                        added_at: Time(row.int(2)?),
                        gone_at: row.maybe_int(3)?.map(Time),
                    });
                }
            }
        }
        Ok(contacts)
    }
}

fn read(row: &Row) -> Result<Contact, Error> {
    Ok(Contact {
        id: row.text(0)?,
        name: row.maybe_text(1)?,
        locale: row.maybe_text(2)?,
        time_zone: row.maybe_text(3)?,
        time_zone_guessed: row.int(4)? != 0,
        country: row.maybe_text(5)?,
        region: row.maybe_text(6)?,
        addresses: Vec::new(),
        attributes: row.json(7).unwrap_or_default(),
        created_at: Time(row.int(8)?),
        updated_at: Time(row.int(9)?),
    })
}

/// How many placeholders a list of so many texts gets: few sizes, so that statements are prepared once.
pub(crate) fn room(count: usize) -> usize {
    [1, 16, 128].into_iter().find(|size| *size >= count).unwrap_or(TOGETHER)
}

/// Placeholders of a list of so many texts, at most [`TOGETHER`]; what comes behind them is numbered after [`room`].
pub(crate) fn places(count: usize) -> String {
    let all: Vec<String> = (1..=room(count)).map(|n| format!("?{n}")).collect();
    all.join(", ")
}

/// At most [`TOGETHER`] texts as parameters, the last one repeated to fill the placeholders.
pub(crate) fn padded(texts: &[String]) -> Vec<Value> {
    let last = texts.last().cloned().unwrap_or_default();
    let more = std::iter::repeat_n(last, room(texts.len()) - texts.len());
    texts.iter().cloned().chain(more).map(Value::from).collect()
}

//! Audiences: lists of people, uploaded as CSV and never changed afterwards, so that what was launched stays what it was; or a
//! saved filter, whose people become such a list at each launch ([`super::saved`]).
//!
//! The file is read as it arrives: neither its size nor the number of bad rows is held in memory.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use serde_with::skip_serializing_none;
use tokio::sync::mpsc;

use super::filter::Filter;
use super::templates::is_locale;
use super::{Failed, Room, Wrong};
use crate::clock;
use crate::ids;
use crate::people::address::normal;
use crate::store::db::{Row, Statement, Value};
use crate::values;

/// Rows of one transaction.
const CHUNK: usize = 2000;
/// Bad rows that are listed; all are counted.
const LISTED: u64 = 1000;
/// The columns with a meaning of their own; every other one is an attribute.
const COLUMNS: [&str; 4] = ["address", "name", "locale", "time_zone"];

/// An audience.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Audience {
    /// `aud_...`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its people are listed.
    #[serde(default)]
    #[schema(required = true)]
    pub state: Kept,
    /// Which contacts are meant, where it is a saved filter.
    pub filter: Option<Filter>,
    /// People in it; absent of a saved filter, whose people are whoever is meant when they are counted or written to.
    pub people: Option<u64>,
    /// Rows that were not taken.
    pub bad: u64,
    /// Attributes its people may have.
    pub attributes: Vec<String>,
    /// People by the kinds of address they have, such as `tel` or `tel whatsapp`.
    pub schemes: BTreeMap<String, u64>,
    /// When it was uploaded or saved.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: fairway_adapters::contract::Time,
}

/// How an audience knows its people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AudienceState)]
pub enum Kept {
    /// As a list.
    #[default]
    Ready,
    /// By a filter over contacts.
    Saved,
}

impl Kept {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Saved => "saved",
        }
    }
}

impl Audience {
    pub(super) fn new(name: &str) -> Self {
        Self {
            id: ids::text("aud_", ids::random()),
            name: name.to_owned(),
            state: Kept::Ready,
            filter: None,
            people: Some(0),
            bad: 0,
            attributes: Vec::new(),
            schemes: BTreeMap::new(),
            created_at: clock::now(),
        }
    }

    /// One more person of a list.
    fn count(&mut self, addresses: &[String]) {
        *self.schemes.entry(schemes(addresses)).or_default() += 1;
        self.people = Some(self.people.unwrap_or(0) + 1);
    }
}

/// Whom a campaign left in some states.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowUp {
    /// Its name.
    pub name: Option<String>,
    /// The campaign.
    pub campaign: String,
    /// The states of its recipients; all who were written to when none is named.
    #[serde(default)]
    pub states: Vec<String>,
    /// Only those who reached no goal.
    #[serde(default)]
    pub without_goal: bool,
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BadRow {
    /// Line of the file, from 1.
    pub line: u64,
    /// The column.
    pub column: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// A person of an audience.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Number in the audience.
    #[serde(skip)]
    pub number: u64,
    /// Addresses, the preferred one first.
    pub addresses: Vec<String>,
    /// Name.
    pub name: Option<String>,
    /// BCP 47.
    pub locale: Option<String>,
    /// IANA.
    pub time_zone: Option<String>,
    /// What else is known.
    pub attributes: Map<String, Json>,
}

impl Person {
    /// What templates may ask for: `contact` with the attributes beside name, locale and time zone.
    pub fn about(&self) -> Map<String, Json> {
        let mut contact = self.attributes.clone();
        let own = [("address", self.addresses.first()), ("name", self.name.as_ref()), ("locale", self.locale.as_ref())];
        for (key, value) in own.into_iter().chain([("time_zone", self.time_zone.as_ref())]) {
            if let Some(value) = value {
                contact.insert(key.into(), value.as_str().into());
            }
        }
        Map::from_iter([("contact".to_owned(), Json::Object(contact))])
    }

    /// The row of [`ENLIST`].
    pub(super) fn row(&self, list: &str) -> Vec<Value> {
        let first = self.addresses.first().map_or("", String::as_str);
        let attributes = serde_json::to_string(&self.attributes).unwrap_or_default();
        let own = [&self.name, &self.locale, &self.time_zone].map(|v| Value::from(v.clone()));
        let mut row = values![list, self.number as i64, first, self.addresses.join(" ")];
        row.extend(own);
        row.push(attributes.into());
        row
    }

    pub(super) fn read(row: &Row) -> Option<Self> {
        Some(Self {
            number: row.int(0).ok()? as u64,
            addresses: row.text(1).ok()?.split(' ').map(str::to_owned).collect(),
            name: row.maybe_text(2).ok()?,
            locale: row.maybe_text(3).ok()?,
            time_zone: row.maybe_text(4).ok()?,
            attributes: row.json(5).unwrap_or_default(),
        })
    }
}

/// Puts a person on a list; who is there already is left out, and not among the numbers returned.
pub(super) const ENLIST: &str = "INSERT INTO audience_people (audience, number, address, addresses, name, locale, zone, attributes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING RETURNING number";

/// What the reading thread found.
enum Found {
    Header(Vec<String>),
    Rows(Vec<(u64, Result<Person, BadRow>)>),
    Broken(Wrong),
}

impl Room {
    /// Takes an upload as it arrives: an error in `chunks` is the sender breaking off, and leaves nothing.
    pub async fn upload(&self, name: &str, chunks: mpsc::Receiver<io::Result<Bytes>>) -> Result<Audience, Failed> {
        let mut audience = Audience::new(name);
        let taken = self.take(&mut audience, chunks).await;
        if let Err(e) = taken {
            self.drop_audience_rows(&audience.id).await?;
            return Err(e);
        }
        self.complete_audience(audience).await
    }

    /// Writes an audience's own row. It comes last: an audience is there when all of it is.
    pub(super) async fn complete_audience(&self, audience: Audience) -> Result<Audience, Failed> {
        let shown = serde_json::to_string(&audience).unwrap_or_default();
        let sql = "INSERT INTO audiences (id, name, state, good, bad, attributes, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (id, name, state) = (audience.id.as_str(), audience.name.as_str(), audience.state.word());
        let good = audience.people.unwrap_or(0) as i64;
        let row = values![id, name, state, good, audience.bad as i64, shown, audience.created_at.0];
        self.parts.db.write(vec![Statement::once(sql, row)]).await?;
        Ok(audience)
    }

    /// An audience of those whom a campaign left in some states: to follow up with whoever did not read it, or did not answer.
    pub async fn follow_up(&self, name: &str, from: &FollowUp) -> Result<Audience, Failed> {
        let campaign = self.campaign(&from.campaign).await?;
        let source = self.audience(&campaign.plan.audience).await?;
        let mut audience = Audience::new(name);
        audience.attributes = source.attributes;
        let places: Vec<String> = (0..from.states.len()).map(|n| format!("?{}", n + 6)).collect();
        let states = if places.is_empty() { "p.message IS NOT NULL".into() } else { format!("p.state IN ({})", places.join(", ")) };
        let goal = if from.without_goal { "AND p.goal IS NULL" } else { "" };
        let sql = format!(
            "INSERT INTO audience_people (audience, number, address, addresses, name, locale, zone, attributes)
             SELECT CAST(?1 AS TEXT), a.number, a.address, a.addresses, a.name, a.locale, a.zone, a.attributes
             FROM campaign_people p JOIN audience_people a ON a.audience = ?3 AND a.number = p.number
             WHERE p.campaign = ?2 AND p.number > ?4 AND p.opted_out = 0 AND {states} {goal} ORDER BY p.number LIMIT ?5
             RETURNING number, addresses"
        );
        let mut behind = 0;
        loop {
            let mut row = values![audience.id.as_str(), campaign.id.as_str(), campaign.list(), behind, CHUNK as i64];
            row.extend(from.states.iter().map(|s| s.as_str().into()));
            let done = self.parts.db.write(vec![Statement::once(sql.clone(), row)]).await?;
            let rows = done.first().map(|d| d.rows.as_slice()).unwrap_or_default();
            for row in rows {
                behind = behind.max(row.int(0)?);
                audience.count(&row.text(1)?.split(' ').map(str::to_owned).collect::<Vec<_>>());
            }
            if rows.len() < CHUNK {
                break;
            }
        }
        if audience.people == Some(0) {
            return Err(Wrong::at("#/states", "audience_empty", "nobody of the campaign is left by these conditions").into());
        }
        self.complete_audience(audience).await
    }

    async fn take(&self, audience: &mut Audience, chunks: mpsc::Receiver<io::Result<Bytes>>) -> Result<(), Failed> {
        let (found, mut rows) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || read(Upload { chunks, rest: Bytes::new() }, &found));
        while let Some(found) = rows.recv().await {
            match found {
                Found::Header(attributes) => audience.attributes = attributes,
                Found::Rows(rows) => self.take_rows(audience, rows).await?,
                Found::Broken(wrong) => return Err(wrong.into()),
            }
        }
        if audience.people == Some(0) {
            let detail = format!("no row of it is a person ({} rows are bad)", audience.bad);
            return Err(Wrong::at("#", "audience_empty", detail).into());
        }
        Ok(())
    }

    async fn take_rows(&self, audience: &mut Audience, rows: Vec<(u64, Result<Person, BadRow>)>) -> Result<(), Failed> {
        let mut people = Vec::with_capacity(rows.len());
        let mut lines = BTreeMap::new();
        let mut bad = Vec::new();
        for (line, row) in rows {
            match row {
                Ok(person) => {
                    let person = Person { number: line, ..person };
                    people.push(person.row(&audience.id));
                    lines.insert(line, person);
                }
                Err(row) => bad.push(row),
            }
        }
        // A person who is there already is told by the absence of his number.
        let done = self.parts.db.write(vec![Statement::each(ENLIST, people)]).await?;
        for row in done.iter().flat_map(|d| &d.rows) {
            if let Some(person) = lines.remove(&(row.int(0)? as u64)) {
                audience.count(&person.addresses);
            }
        }
        let again =
            |line: u64| BadRow { line, column: "address".into(), reason: "the address stands in an earlier row; one row a person".into() };
        bad.extend(lines.into_keys().map(again));
        let room = LISTED.saturating_sub(audience.bad) as usize;
        audience.bad += bad.len() as u64;
        bad.truncate(room);
        let runs = bad.into_iter().map(|b| values![audience.id.as_str(), b.line as i64, b.column, b.reason]).collect();
        let sql = "INSERT INTO audience_bad (audience, line, field, reason) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        self.parts.db.write(vec![Statement::each(sql, runs)]).await?;
        Ok(())
    }

    /// An audience.
    pub async fn audience(&self, id: &str) -> Result<Audience, Failed> {
        let rows = self.parts.db.read("SELECT attributes FROM audiences WHERE id = ?1".into(), values![id]).await?;
        rows.first().and_then(|r| r.json(0)).ok_or(Failed::Unknown("there is no audience of this id"))
    }

    /// All audiences, the newest first.
    pub async fn audiences(&self) -> Result<Vec<Audience>, Failed> {
        let sql = "SELECT attributes FROM audiences ORDER BY created_at DESC, id LIMIT 500";
        Ok(self.parts.db.read(sql.into(), Vec::new()).await?.iter().filter_map(|r| r.json(0)).collect())
    }

    /// The rows that were not taken, by line.
    pub async fn bad_rows(&self, id: &str) -> Result<Vec<BadRow>, Failed> {
        let sql = "SELECT line, field, reason FROM audience_bad WHERE audience = ?1 ORDER BY line";
        let rows = self.parts.db.read(sql.into(), values![id]).await?;
        rows.iter().map(|r| Ok(BadRow { line: r.int(0)? as u64, column: r.text(1)?, reason: r.text(2)? })).collect()
    }

    /// The row at this line, if it was not taken.
    pub async fn bad_row(&self, id: &str, line: &str) -> Result<Option<BadRow>, Failed> {
        let Ok(line) = line.parse::<i64>() else { return Ok(None) };
        let sql = "SELECT line, field, reason FROM audience_bad WHERE audience = ?1 AND line = ?2";
        let rows = self.parts.db.read(sql.into(), values![id, line]).await?;
        rows.first().map(|r| Ok(BadRow { line: r.int(0)? as u64, column: r.text(1)?, reason: r.text(2)? })).transpose()
    }

    /// Of an audience's people, how many each channel reaches, and how many none of them does.
    pub fn reachable(&self, audience: &Audience, channels: &[String]) -> (BTreeMap<String, u64>, u64) {
        let bound = self.parts.channels.get();
        let reached = |set: &str, name: &String| {
            let facts = bound.by_id.get(name).map(|c| c.facts());
            facts.is_some_and(|f| set.split(' ').any(|scheme| f.schemes.contains(&scheme)))
        };
        let count = |name: &String| -> u64 { audience.schemes.iter().filter(|(set, _)| reached(set, name)).map(|(_, n)| n).sum() };
        let by_channel = channels.iter().map(|name| (name.clone(), count(name))).collect();
        let nobody = audience.schemes.iter().filter(|(set, _)| !channels.iter().any(|name| reached(set, name))).map(|(_, n)| n).sum();
        (by_channel, nobody)
    }

    /// People behind a number, in order.
    pub async fn people(&self, audience: &str, behind: u64, limit: usize) -> Result<Vec<Person>, Failed> {
        let sql = "SELECT number, addresses, name, locale, zone, attributes FROM audience_people
            WHERE audience = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        let rows = self.parts.db.read(sql.into(), values![audience, behind as i64, limit as i64]).await?;
        Ok(rows.iter().filter_map(Person::read).collect())
    }

    /// Removes an audience. One that a campaign which has not ended was made for stays.
    pub async fn remove_audience(&self, id: &str) -> Result<(), Failed> {
        self.audience(id).await?;
        let sql = "SELECT id FROM campaigns WHERE body LIKE ?1 AND state NOT IN ('completed', 'cancelled') LIMIT 1";
        if let Some(row) = self.parts.db.read(sql.into(), values![format!("%\"audience\":\"{id}\"%")]).await?.first() {
            return Err(Failed::Conflict(format!("the campaign {} is for these people; cancel it first", row.text(0)?)));
        }
        // Lists that launches made of a saved filter go with it.
        let sql = "SELECT id FROM campaigns WHERE body LIKE ?1 AND place IS NOT NULL";
        let launched = self.parts.db.read(sql.into(), values![format!("%\"audience\":\"{id}\"%")]).await?;
        self.parts.db.write(vec![Statement::once("DELETE FROM audiences WHERE id = ?1", values![id])]).await?;
        for row in launched {
            self.drop_audience_rows(&row.text(0)?).await?;
        }
        self.drop_audience_rows(id).await
    }

    async fn drop_audience_rows(&self, id: &str) -> Result<(), Failed> {
        let sql = "DELETE FROM audience_people WHERE audience = ?1 AND number IN
            (SELECT number FROM audience_people WHERE audience = ?1 ORDER BY number LIMIT 4000)";
        while self.parts.db.write(vec![Statement::once(sql, values![id])]).await?.first().is_some_and(|d| d.changed > 0) {}
        self.parts.db.write(vec![Statement::once("DELETE FROM audience_bad WHERE audience = ?1", values![id])]).await?;
        Ok(())
    }
}

/// The schemes of some addresses, sorted: what kinds of channel reach this person.
fn schemes(addresses: &[String]) -> String {
    let mut all: Vec<&str> = addresses.iter().filter_map(|a| Some(a.split_once(':')?.0)).collect();
    all.sort_unstable();
    all.dedup();
    all.join(" ")
}

/// An upload as a file: blocks until the next chunk is there.
struct Upload {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Upload {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.rest = chunk?,
            }
        }
        let length = out.len().min(self.rest.len());
        out[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

fn read(upload: impl Read, found: &mpsc::Sender<Found>) {
    if let Err(wrong) = read_rows(upload, found) {
        let _ = found.blocking_send(Found::Broken(wrong));
    }
}

fn broken(e: &csv::Error) -> Wrong {
    Wrong::at("#", "csv_broken", format!("the file cannot be read to its end: {e}"))
}

fn read_rows(upload: impl Read, found: &mpsc::Sender<Found>) -> Result<(), Wrong> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(upload);
    let header = reader.byte_headers().map_err(|e| broken(&e))?.clone();
    let columns: Vec<String> = header.iter().map(|h| String::from_utf8_lossy(h).trim_start_matches('\u{feff}').trim().to_owned()).collect();
    if !columns.iter().any(|c| c == "address") {
        let detail = format!("the first line has to name the columns, `address` among them; it says `{}`", columns.join(","));
        return Err(Wrong::at("#/columns", "column_missing", detail));
    }
    if let Some(twice) = columns.iter().enumerate().find(|(i, c)| columns[..*i].contains(c)) {
        return Err(Wrong::at("#/columns", "column_twice", format!("the column `{}` stands there twice", twice.1)));
    }
    let attributes = columns.iter().filter(|c| !COLUMNS.contains(&c.as_str())).cloned().collect();
    if found.blocking_send(Found::Header(attributes)).is_err() {
        return Ok(());
    }
    let mut record = csv::ByteRecord::new();
    let mut rows = Vec::with_capacity(CHUNK);
    while reader.read_byte_record(&mut record).map_err(|e| broken(&e))? {
        let line = record.position().map_or(0, csv::Position::line);
        rows.push((line, person(&columns, &record).map_err(|(column, reason)| BadRow { line, column, reason })));
        if rows.len() == CHUNK && found.blocking_send(Found::Rows(std::mem::take(&mut rows))).is_err() {
            return Ok(());
        }
    }
    let _ = found.blocking_send(Found::Rows(rows));
    Ok(())
}

/// Reads a row, or says which column is wrong and why.
fn person(columns: &[String], record: &csv::ByteRecord) -> Result<Person, (String, String)> {
    if record.len() != columns.len() {
        let reason =
            format!("the row has {} fields where the first line has {}; quote fields that hold a comma", record.len(), columns.len());
        return Err((columns.get(record.len().min(columns.len() - 1)).cloned().unwrap_or_default(), reason));
    }
    let mut person = Person::default();
    for (column, field) in columns.iter().zip(record) {
        let wrong = |reason: &str| (column.clone(), reason.to_owned());
        let text = std::str::from_utf8(field).map_err(|_| wrong("it is not UTF-8; save the file as UTF-8"))?;
        match (column.as_str(), text) {
            ("address", text) => person.addresses = addresses(text).map_err(|reason| wrong(&reason))?,
            (_, "") => {}
            ("name", name) => person.name = Some(name.to_owned()),
            ("locale", locale) if is_locale(locale) => person.locale = Some(locale.to_owned()),
            ("locale", _) => return Err(wrong("it is no locale; write a BCP 47 tag such as pt-BR")),
            ("time_zone", zone) if jiff::tz::TimeZone::get(zone).is_ok() => person.time_zone = Some(zone.to_owned()),
            ("time_zone", _) => return Err(wrong("there is no such time zone; write an IANA name such as Europe/Rome")),
            (_, value) => {
                person.attributes.insert(column.clone(), value.into());
            }
        }
    }
    Ok(person)
}

/// The addresses of a field: several are separated by spaces, the preferred one first.
fn addresses(text: &str) -> Result<Vec<String>, String> {
    let all: Vec<String> = text.split_whitespace().map(|a| Ok(normal(&address(a)?).into_owned())).collect::<Result<_, String>>()?;
    if all.is_empty() {
        return Err("it is empty; write scheme:id, such as tel:+15550100200".into());
    }
    Ok(all)
}

/// An address as it is kept, or what is wrong with it.
pub(super) fn address(text: &str) -> Result<String, String> {
    let (scheme, rest) =
        text.split_once(':').ok_or("it has no scheme; write tel:+15550100200, whatsapp:+15550100200 or mailto:ana@example.org")?;
    let digits = |text: &str| text.strip_prefix('+').is_some_and(|d| (7..=15).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()));
    let well = match scheme {
        "" => false,
        "tel" => digits(rest),
        "mailto" => rest.split_once('@').is_some_and(|(who, host)| !who.is_empty() && host.contains('.') && !host.contains('@')),
        _ => scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) && !rest.is_empty(),
    };
    match scheme {
        _ if well => Ok(text.to_owned()),
        "tel" => Err("it is no number; write + and 7 to 15 digits".into()),
        "mailto" => Err("it is no mail address".into()),
        _ => Err("a scheme is lower case, and an id follows it".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_row_says_line_column_and_reason() {
        let text = "address,name,locale,time_zone,city\n\
            tel:+15550100200,Ana,pt-BR,America/Sao_Paulo,\"Rio, RJ\"\n\
            15550100201,Bo,,,\n\
            tel:abc,Cy,,,\n\
            tel:+15550100203,Di,x,,\n\
            tel:+15550100204,Ed,,Mars/Base,\n\
            tel:+15550100205,Flo\n\
            ,Gus,,,\n\
            whatsapp:+15550100206 mailto:h@example.org,Hal,,,\n";
        let (sender, mut found) = mpsc::channel(8);
        read(text.as_bytes(), &sender);
        let Some(Found::Header(attributes)) = found.blocking_recv() else { panic!("a header comes first") };
        assert_eq!(attributes, ["city"]);
        let Some(Found::Rows(rows)) = found.blocking_recv() else { panic!("then rows") };
        let good: Vec<&Person> = rows.iter().filter_map(|(_, r)| r.as_ref().ok()).collect();
        assert_eq!(good.len(), 2);
        assert_eq!((good[0].attributes["city"].as_str(), good[0].locale.as_deref()), (Some("Rio, RJ"), Some("pt-BR")));
        assert_eq!(schemes(&good[1].addresses), "mailto whatsapp");
        let bad: Vec<(u64, &str)> = rows.iter().filter_map(|(_, r)| r.as_ref().err()).map(|b| (b.line, b.column.as_str())).collect();
        assert_eq!(bad, [(3, "address"), (4, "address"), (5, "locale"), (6, "time_zone"), (7, "locale"), (8, "address")]);
    }

    #[test]
    fn a_file_without_addresses_is_refused_whole() {
        for text in ["name,city\nAna,Rome\n", "address,name,name\ntel:+15550100200,a,b\n"] {
            let (sender, mut found) = mpsc::channel(8);
            read(text.as_bytes(), &sender);
            assert!(matches!(found.blocking_recv(), Some(Found::Broken(_))), "{text}");
        }
    }
}

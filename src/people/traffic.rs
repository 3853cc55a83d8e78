//! When addresses wrote to us and read ours last: what audiences ask about behaviour. Told by whoever follows the log; hearing
//! something twice, or late, changes nothing.

use std::collections::{BTreeMap, HashMap};

use fairway_adapters::contract::Time;

use super::windows::{self, Window};
use super::{People, TOGETHER, address, padded, places};
use crate::store::Error;
use crate::store::db::{Statement, Value};

/// The last time of each thing an address did; nothing where it never did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// A message of theirs came.
    pub wrote: Option<Time>,
    /// They read a message of ours, as far as their channel tells.
    pub read: Option<Time>,
}

impl Traffic {
    /// The later of both, for each thing.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self { wrote: self.wrote.max(other.wrote), read: self.read.max(other.read) }
    }
}

const NOTE: &str = "INSERT INTO address_traffic (address, wrote_at, read_at) VALUES (?1, ?2, ?3) ON CONFLICT (address) DO UPDATE SET \
    wrote_at = CASE WHEN excluded.wrote_at IS NULL OR address_traffic.wrote_at >= excluded.wrote_at \
        THEN address_traffic.wrote_at ELSE excluded.wrote_at END, \
    read_at = CASE WHEN excluded.read_at IS NULL OR address_traffic.read_at >= excluded.read_at \
        THEN address_traffic.read_at ELSE excluded.read_at END";

/// What was heard and is not noted yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// What addresses, in their normal form, did.
    pub traffic: BTreeMap<String, Traffic>,
    /// What people's last messages told of their conversations.
    pub windows: BTreeMap<String, Window>,
}

impl Noted {
    /// How many rows it is.
    pub fn len(&self) -> usize {
        self.traffic.len() + self.windows.len()
    }

    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl People {
    /// Notes what was heard. An earlier time than the one that is known changes nothing.
    pub async fn note(&self, noted: &Noted) -> Result<(), Error> {
        if noted.is_empty() {
            return Ok(());
        }
        let time = |t: Option<Time>| Value::from(t.map(|t| t.0));
        // In one order, so that two nodes that write the same rows never wait for each other.
        let runs = noted.traffic.iter().map(|(a, t)| vec![a.as_str().into(), time(t.wrote), time(t.read)]).collect();
        let statements = [Statement::each(NOTE, runs)].into_iter().chain(windows::statements(&noted.windows));
        self.db.write(statements.filter(|s| !s.runs.is_empty()).collect()).await.map(drop)
    }

    /// What these addresses did, by their normal form. Those that did nothing are left out.
    pub async fn traffic(&self, addresses: &[String]) -> Result<HashMap<String, Traffic>, Error> {
        let mut found = HashMap::new();
        for some in addresses.chunks(TOGETHER) {
            let normal: Vec<String> = some.iter().map(|a| address::normal(a).into_owned()).collect();
            let sql =
                format!("SELECT t.address, t.wrote_at, t.read_at FROM address_traffic t WHERE t.address IN ({})", places(normal.len()));
            for row in self.db.read(sql.into(), padded(&normal)).await? {
                found.insert(row.text(0)?, Traffic { wrote: row.maybe_int(1)?.map(Time), read: row.maybe_int(2)?.map(Time) });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Put;
    use crate::store::laws::{Stage, laws};

    laws! { the_last_time_stays_and_goes_with_its_person }

    async fn the_last_time_stays_and_goes_with_its_person(stage: Stage) {
        let people = People::open(stage.open().await).await.expect("tables");
        let at = |wrote: Option<i64>, read: Option<i64>| Traffic { wrote: wrote.map(Time), read: read.map(Time) };
        let note = async |address: &str, traffic| {
            let traffic = BTreeMap::from([(address.to_owned(), traffic)]);
            people.note(&Noted { traffic, ..Noted::default() }).await.expect("written");
        };
        note("telegram:1", at(Some(50), None)).await;
        note("telegram:1", at(Some(40), Some(7))).await;
        note("telegram:1", at(None, Some(9))).await;
        note("telegram:2", at(Some(60), None)).await;
        let asked: Vec<String> = (1..4).map(|n| format!("telegram:{n}")).collect();
        let found = people.traffic(&asked).await.expect("read");
        assert_eq!((found.len(), found["telegram:1"], found["telegram:2"]), (2, at(Some(50), Some(9)), at(Some(60), None)));
        assert_eq!(found["telegram:1"].joined(found["telegram:2"]), at(Some(60), Some(9)));
        let put = Put { id: Some("c-1".into()), addresses: vec!["telegram:1".into()], ..Put::default() };
        people.put(vec![put]).await.expect("written");
        people.forget("c-1", &["telegram:1".into()]).await.expect("forgotten");
        assert_eq!(people.traffic(&asked).await.expect("read").len(), 1, "who is forgotten leaves nothing behind");
    }
}

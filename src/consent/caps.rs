//! Caps: how much marketing one person gets within rolling windows, across channels, campaigns and callers.
//!
//! A use is reserved when a message is loaded, by one statement that counts and inserts, and given back when it is not sent.
//! It is named by the message, so asking again after a crash finds its own.

use std::collections::{BTreeSet, HashMap};

use fairway_adapters::contract::Time;

use super::Consent;
use crate::config::consent::Caps;
use crate::config::units::Rate;
use crate::people::{TOGETHER, padded, places, room};
use crate::store::Error;
use crate::store::db::{Statement, Value};
use crate::values;

/// One cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    rate: Rate,
}

impl Cap {
    /// Those configured.
    pub fn all(config: &Caps) -> Vec<Self> {
        config.marketing.0.iter().map(|rate| Self { rate: *rate }).collect()
    }

    fn window(self) -> i64 {
        self.rate.window.as_millis() as i64
    }
}

/// A message that wants to count.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) message: String,
    pub(super) person: String,
}

/// When a message that is over a cap may go, and which cap says so.
pub type Over = (Time, String);

const TOUCH: &str =
    "INSERT INTO cap_people (person, touched) VALUES (?1, ?2) ON CONFLICT (person) DO UPDATE SET touched = excluded.touched";

impl Consent {
    /// Counts messages in their order; which of them are over a cap.
    pub(super) async fn reserve(&self, uses: &[Use], now: Time) -> Result<Vec<Option<Over>>, Error> {
        let rules = self.rules();
        let caps = &rules.caps;
        if caps.is_empty() || uses.is_empty() {
            return Ok(vec![None; uses.len()]);
        }
        // A row of each person is written first: two owners cannot count the same person at once.
        let people: BTreeSet<&str> = uses.iter().map(|u| u.person.as_str()).collect();
        let touch = people.into_iter().map(|p| values![p, now.0]).collect();
        let within: Vec<String> = (0..caps.len())
            .map(|n| {
                let (since, most) = (4 + n * 2, 5 + n * 2);
                format!("(SELECT count(*) FROM cap_uses u WHERE u.person = ?2 AND u.message <> ?1 AND u.at > ?{since}) < ?{most}")
            })
            .collect();
        let sql = format!(
            "INSERT INTO cap_uses (message, person, at) SELECT CAST(?1 AS TEXT), CAST(?2 AS TEXT), CAST(?3 AS BIGINT) WHERE {} \
             ON CONFLICT (message) DO UPDATE SET at = excluded.at RETURNING message",
            within.join(" AND ")
        );
        let run = |u: &Use| -> Vec<Value> {
            let mut parameters = values![u.message.as_str(), u.person.as_str(), now.0];
            for cap in caps {
                parameters.extend(values![now.0 - cap.window(), i64::from(cap.rate.count)]);
            }
            parameters
        };
        let done = self.db.write(vec![Statement::each(TOUCH, touch), Statement::each(sql, uses.iter().map(run).collect())]).await?;
        let rows = done.into_iter().next_back().unwrap_or_default().rows;
        let counted: BTreeSet<String> = rows.iter().map(|r| r.text(0)).collect::<Result<_, _>>()?;
        let mut answers = Vec::with_capacity(uses.len());
        for u in uses {
            answers.push(if counted.contains(&u.message) { None } else { Some(self.until(caps, u, now).await?) });
        }
        Ok(answers)
    }

    /// Which of these people have no room for one more, and until when. Counts nothing.
    pub(super) async fn over(&self, people: &[String], now: Time) -> Result<HashMap<String, Over>, Error> {
        let rules = self.rules();
        let mut full = BTreeSet::new();
        for cap in &rules.caps {
            for some in people.chunks(TOGETHER) {
                let first = room(some.len()) + 1;
                let sql = format!(
                    "SELECT u.person FROM cap_uses u WHERE u.person IN ({}) AND u.at > ?{first} GROUP BY u.person HAVING count(*) >= ?{}",
                    places(some.len()),
                    first + 1
                );
                let mut parameters = padded(some);
                parameters.extend(values![now.0 - cap.window(), i64::from(cap.rate.count)]);
                full.extend(self.db.read(sql.into(), parameters).await?.iter().map(|r| r.text(0)).collect::<Result<Vec<_>, _>>()?);
            }
        }
        let mut over = HashMap::with_capacity(full.len());
        for person in full {
            let until = self.until(&rules.caps, &Use { message: String::new(), person: person.clone() }, now).await?;
            over.insert(person, until);
        }
        Ok(over)
    }

    /// When enough of a person's uses have left every window.
    async fn until(&self, caps: &[Cap], u: &Use, now: Time) -> Result<Over, Error> {
        let sql = "SELECT u.at FROM cap_uses u WHERE u.person = ?1 AND u.message <> ?2 AND u.at > ?3 ORDER BY u.at DESC LIMIT 1 OFFSET ?4";
        // A window may have moved on since: then it is asked again in a moment.
        let mut latest = (now.plus(1000), "a cap on marketing".to_owned());
        for cap in caps {
            let since = now.0 - cap.window();
            let rows = self.db.read(sql.into(), values![&*u.person, &*u.message, since, i64::from(cap.rate.count) - 1]).await?;
            if let Some(row) = rows.first() {
                let until = Time(row.int(0)?.saturating_add(cap.window()).saturating_add(1));
                if until > latest.0 {
                    latest = (until, format!("the cap of {} on marketing", cap.rate));
                }
            }
        }
        Ok(latest)
    }

    /// Gives back what was reserved for messages that did not go.
    pub async fn give_back(&self, messages: &[String]) -> Result<(), Error> {
        if self.rules().caps.is_empty() || messages.is_empty() {
            return Ok(());
        }
        let runs = messages.iter().map(|m| values![m.as_str()]).collect();
        self.db.write(vec![Statement::each("DELETE FROM cap_uses WHERE message = ?1", runs)]).await.map(drop)
    }

    /// Forgets uses that count no more.
    pub(super) async fn forget_uses(&self, now: Time) -> Result<(), Error> {
        let Some(longest) = self.rules().caps.iter().map(|c| c.window()).max() else { return Ok(()) };
        let before = now.0.saturating_sub(longest);
        let statements = ["DELETE FROM cap_uses WHERE at < ?1", "DELETE FROM cap_people WHERE touched < ?1"];
        self.db.write(statements.map(|sql| Statement::once(sql, values![before])).into()).await.map(drop)
    }
}

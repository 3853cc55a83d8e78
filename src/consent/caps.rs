//! Caps: how much marketing one person gets within rolling windows, across channels, campaigns and callers.
//!
//! A use is reserved when a message is loaded, by one statement that counts and inserts, and given back when it is not sent.
//! It is named by the message, so asking again after a crash finds its own. What campaigns of a higher priority claim counts
//! like a use ([`super::claims`]).

use std::collections::{BTreeSet, HashMap};

use fairway_adapters::contract::Time;

use super::Consent;
use super::claims::{self, COUNTED, HIGHER, Standing};
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
    /// Before whom it goes, and what it claims.
    pub(super) standing: Standing,
}

/// How long after the time of a claim who waits behind it asks again, and how long when that time is over already: its campaign
/// goes at a pace, or is paused. In milliseconds.
const BEHIND: (i64, i64) = (1_000, 60_000);

/// When a message that is over a cap may go or is asked about again, and which cap says so.
pub type Over = (Time, String);

/// How the words begin that name the cap which holds a message.
pub const CAP: &str = "the cap of";
/// The words where none is named.
pub const A_CAP: &str = "a cap on marketing";

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
                let (since, ends, most) = (6 + n * 3, 7 + n * 3, 8 + n * 3);
                format!(
                    "(SELECT count(*) FROM cap_uses u WHERE u.person = ?2 AND u.message <> ?1 AND u.at > ?{since}) + \
                     (SELECT count(*) FROM {HIGHER} AND k.at < ?{ends}) < ?{most}"
                )
            })
            .collect();
        let sql = format!(
            "INSERT INTO cap_uses (message, person, at) SELECT CAST(?1 AS TEXT), CAST(?2 AS TEXT), CAST(?3 AS BIGINT) WHERE {} \
             ON CONFLICT (message) DO UPDATE SET at = excluded.at RETURNING message",
            within.join(" AND ")
        );
        let run = |u: &Use| -> Vec<Value> {
            let mut parameters = values![u.message.as_str(), u.person.as_str(), now.0, u.standing.priority, claims::lapsed(now)];
            for cap in caps {
                parameters.extend(values![now.0 - cap.window(), now.0.saturating_add(cap.window()), i64::from(cap.rate.count)]);
            }
            parameters
        };
        let claim = |u: &Use| u.standing.place.as_ref().map(|(campaign, n)| values![campaign.as_str(), *n, u.message.as_str()]);
        let statements = vec![
            Statement::each(TOUCH, touch),
            Statement::each(sql, uses.iter().map(run).collect()),
            Statement::each(COUNTED, uses.iter().filter_map(claim).collect()),
        ];
        let rows = self.db.write(statements).await?.into_iter().nth(1).unwrap_or_default().rows;
        let counted: BTreeSet<String> = rows.iter().map(|r| r.text(0)).collect::<Result<_, _>>()?;
        let mut answers = Vec::with_capacity(uses.len());
        for u in uses {
            answers.push(if counted.contains(&u.message) { None } else { Some(self.until(caps, u, now).await?) });
        }
        Ok(answers)
    }

    /// Which of these people have no room for one more of this priority, and until when. Counts nothing.
    pub(super) async fn over(&self, people: &[String], priority: i64, now: Time) -> Result<HashMap<String, Over>, Error> {
        let rules = self.rules();
        let mut full = BTreeSet::new();
        for cap in &rules.caps {
            for some in people.chunks(TOGETHER) {
                let first = room(some.len()) + 1;
                let of = places(some.len());
                let sql = format!(
                    "SELECT x.person FROM (SELECT u.person FROM cap_uses u WHERE u.person IN ({of}) AND u.at > ?{first} UNION ALL \
                     SELECT k.person FROM cap_claims k WHERE k.person IN ({of}) AND k.priority > ?{} AND k.at > ?{} AND k.at < ?{}) x \
                     GROUP BY x.person HAVING count(*) >= ?{}",
                    first + 1,
                    first + 2,
                    first + 3,
                    first + 4
                );
                let mut parameters = padded(some);
                let window = (now.0 - cap.window(), now.0.saturating_add(cap.window()));
                parameters.extend(values![window.0, priority, claims::lapsed(now), window.1, i64::from(cap.rate.count)]);
                full.extend(self.db.read(sql.into(), parameters).await?.iter().map(|r| r.text(0)).collect::<Result<Vec<_>, _>>()?);
            }
        }
        let mut over = HashMap::with_capacity(full.len());
        for person in full {
            let standing = Standing { priority, place: None };
            let until = self.until(&rules.caps, &Use { message: String::new(), person: person.clone(), standing }, now).await?;
            over.insert(person, until);
        }
        Ok(over)
    }

    /// When enough of a person's uses have left every window, or when it is asked again whether who claims the rest has gone.
    async fn until(&self, caps: &[Cap], u: &Use, now: Time) -> Result<Over, Error> {
        let sql = "SELECT u.at FROM cap_uses u WHERE u.person = ?1 AND u.message <> ?2 AND u.at > ?3 ORDER BY u.at DESC LIMIT 1 OFFSET ?4";
        // A window may have moved on since: then it is asked again in a moment.
        let mut latest = (now.plus(1000), A_CAP.to_owned());
        for cap in caps {
            let since = now.0 - cap.window();
            let rows = self.db.read(sql.into(), values![&*u.person, &*u.message, since, i64::from(cap.rate.count) - 1]).await?;
            if let Some(row) = rows.first() {
                let until = Time(row.int(0)?.saturating_add(cap.window()).saturating_add(1));
                if until > latest.0 {
                    latest = (until, format!("{CAP} {} on marketing", cap.rate));
                }
            } else if let Some(behind) = self.behind(cap, u, now).await? {
                latest = if behind.0 > latest.0 { behind } else { latest };
            }
        }
        Ok(latest)
    }

    /// Behind which campaign's claim a message waits within a cap that its person's uses alone leave open.
    async fn behind(&self, cap: &Cap, u: &Use, now: Time) -> Result<Option<Over>, Error> {
        let sql = format!("SELECT k.at, k.campaign, k.priority FROM {HIGHER} AND k.at < ?3 AND k.campaign <> ?1 ORDER BY k.at LIMIT 1");
        let own = u.standing.place.as_ref().map_or("", |(campaign, _)| campaign.as_str());
        let row = values![own, &*u.person, now.0.saturating_add(cap.window()), u.standing.priority, claims::lapsed(now)];
        let rows = self.db.read(sql.into(), row).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (campaign, priority) = (row.text(1)?, row.int(2)?);
        let why = format!("the cap of {} on marketing, whose rest is kept for the campaign {campaign} of priority {priority}", cap.rate);
        let at = Time(row.int(0)?);
        Ok(Some((if at > now { at.plus(BEHIND.0) } else { now.plus(BEHIND.1) }, why)))
    }

    /// Gives back what was reserved or claimed for a message that does not go.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn give_back(&self, message: &str, standing: &Standing) -> Result<(), Error> {
        if self.rules().caps.is_empty() {
            return Ok(());
        }
        let mut statements = vec![Statement::once("DELETE FROM cap_uses WHERE message = ?1", values![message])];
        statements.extend(standing.place.as_ref().map(|(campaign, n)| Statement::once(claims::ENDED, values![campaign.as_str(), *n])));
        self.db.write(statements).await.map(drop)
    }

    /// Forgets uses that count no more.
    pub(super) async fn forget_uses(&self, now: Time) -> Result<(), Error> {
        let Some(longest) = self.rules().caps.iter().map(|c| c.window()).max() else { return Ok(()) };
        let before = now.0.saturating_sub(longest);
        let mut statements: Vec<Statement> = ["DELETE FROM cap_uses WHERE at < ?1", "DELETE FROM cap_people WHERE touched < ?1"]
            .map(|sql| Statement::once(sql, values![before]))
            .into();
        statements.push(Statement::once("DELETE FROM cap_claims WHERE at < ?1", values![claims::lapsed(now)]));
        self.db.write(statements).await.map(drop)
    }
}

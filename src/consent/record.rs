//! Writing down what people said and who is not written to, and reading it back: rows first, then the index.

use std::collections::BTreeSet;

use fairway_adapters::contract::Time;
use fairway_adapters::contract::event::ConsentState;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_with::skip_serializing_none;

use super::Consent;
use super::index::{ERASED, Row, Suppressed};
use crate::ids;
use crate::people::address;
use crate::store::Error;
use crate::store::db::{Statement, Value};
use crate::{clock, values};

/// What a word is about: `all`, `marketing`, or a program's name.
pub type Scope = String;

/// One word of a person, with its evidence.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Word {
    /// The event that told it.
    pub event: String,
    /// Who: the address in its normal form.
    pub address: String,
    /// Through or for which channel; empty for every one.
    pub channel: String,
    /// What it is about.
    pub scope: Scope,
    /// Allowed or forbidden.
    #[schema(value_type = String)]
    pub state: ConsentState,
    /// When it was said.
    #[schema(value_type = String, format = "date-time")]
    pub at: Time,
    /// How: `word`, `provider`, `one_click`, `page`, `api`, `import`, `refused`, ...
    pub how: String,
    /// In which words, by which message, from where.
    #[schema(value_type = Object)]
    pub evidence: Json,
}

/// What holds for a person, a channel and a scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Known {
    /// Who.
    pub address: String,
    /// For which channel; empty for every one.
    pub channel: String,
    /// What about.
    pub scope: Scope,
    /// Allowed or forbidden.
    #[schema(value_type = String)]
    pub state: ConsentState,
    /// Since when.
    #[schema(value_type = String, format = "date-time")]
    pub since: Time,
    /// The event that made it so.
    pub event: String,
}

/// A message that probably opts out. Nothing changed by itself: who looks at it records a consent, or does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Review {
    /// Who.
    pub address: String,
    /// Through which channel.
    pub channel: String,
    /// When it was said.
    #[schema(value_type = String, format = "date-time")]
    pub at: Time,
    /// In which words.
    #[schema(value_type = Object)]
    pub evidence: Json,
}

/// An address, domain or prefix that is not written to.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Suppression {
    /// `sup_...`.
    pub id: String,
    /// `tel:+15550100200`, `@example.org` or `tel:+49*`.
    pub pattern: String,
    /// On which channel; empty for every one.
    pub channel: String,
    /// `manual`, `block`, `address_gone`, `refused`, `complaint`, ...
    pub reason: String,
    /// What whoever added it wrote.
    pub note: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = "date-time")]
    pub at: Time,
}

impl Suppression {
    /// One with its id, which is the same for the same pattern, channel and reason.
    pub fn new(pattern: String, channel: &str, reason: &str, at: Time) -> Self {
        let id = ids::text("sup_", ids::fingerprint(&[b"suppression", pattern.as_bytes(), channel.as_bytes(), reason.as_bytes()]));
        Self { id, pattern, channel: channel.to_owned(), reason: reason.to_owned(), note: None, at }
    }
}

/// The normal form of a pattern, or what is wrong with it.
pub fn pattern(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if let Some(domain) = text.strip_prefix('@') {
        let fine = domain.contains('.') && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
        return if fine { Ok(format!("@{}", domain.to_lowercase())) } else { Err("a domain is written like @example.org") };
    }
    if let Some(prefix) = text.strip_suffix('*') {
        return match prefix.split_once(':') {
            Some((scheme, rest)) if !scheme.is_empty() && !rest.trim_start_matches('+').is_empty() && !rest.contains('*') => {
                Ok(format!("{}:{rest}*", scheme.to_ascii_lowercase()))
            }
            _ => Err("a prefix is written like tel:+49*, with a scheme and at least one character"),
        };
    }
    let normal = address::normal(text).into_owned();
    address::problem(&normal).map_or(Ok(normal), Err)
}

/// What a batch changes, in order: one transaction, then the index.
#[derive(Default)]
pub(super) struct Batch {
    statements: Vec<Statement>,
    people: BTreeSet<String>,
    patterns: BTreeSet<String>,
}

const LOG: &str = "INSERT INTO consent_log (address, at, event, channel, scope, word, how, evidence, recorded_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
/// The newest word counts; one that agrees with what holds is newer evidence, and not a change.
const SAY: &str = "INSERT INTO consents (address, channel, scope, allowed, at, since, event, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7) \
    ON CONFLICT (address, channel, scope) DO UPDATE SET at = excluded.at, changed = excluded.changed, allowed = excluded.allowed, \
    since = CASE WHEN consents.allowed = excluded.allowed THEN consents.since ELSE excluded.since END, \
    event = CASE WHEN consents.allowed = excluded.allowed THEN consents.event ELSE excluded.event END \
    WHERE excluded.at >= consents.at";
const SUPPRESS: &str = "INSERT INTO suppressions (id, pattern, channel, reason, note, at, changed, gone) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) \
    ON CONFLICT (id) DO UPDATE SET at = CASE WHEN suppressions.gone = 0 THEN suppressions.at ELSE excluded.at END, \
    note = coalesce(excluded.note, suppressions.note), changed = excluded.changed, gone = 0 \
    WHERE suppressions.gone = 0 OR excluded.at > suppressions.at";
/// Reasons of suppressions by which a provider says that it cannot reach somebody there.
const UNREACHED: &str = "'block', 'address_gone', 'refused'";
/// What a person lifts by writing to us or by coming back: our own decisions stay. `at` becomes the time of the lifting, so that
/// hearing the older word once more does not bring it back.
const LIFT: &str = "UPDATE suppressions SET gone = 1, changed = ?3, at = ?4 WHERE pattern = ?1 AND channel = ?2 AND gone = 0 AND at <= ?4";

impl Batch {
    pub(super) fn say(&mut self, word: &Word) {
        let (state, allowed) =
            (word.state == ConsentState::OptedIn, if word.state == ConsentState::OptedIn { "opted_in" } else { "opted_out" });
        let now = clock::now().0;
        let evidence = word.evidence.to_string();
        self.statements.push(Statement::once(
            LOG,
            values![&*word.address, word.at.0, &*word.event, &*word.channel, &*word.scope, allowed, &*word.how, evidence, now],
        ));
        self.statements
            .push(Statement::once(SAY, values![&*word.address, &*word.channel, &*word.scope, state, word.at.0, &*word.event, now]));
        self.people.insert(word.address.clone());
    }

    pub(super) fn suppress(&mut self, new: &Suppression) {
        self.statements.push(Statement::once(
            SUPPRESS,
            values![&*new.id, &*new.pattern, &*new.channel, &*new.reason, new.note.clone(), new.at.0, clock::now().0],
        ));
        self.patterns.insert(new.pattern.clone());
    }

    pub(super) fn lift(&mut self, address: &str, channel: &str, at: Time) {
        self.statements
            .push(Statement::once(format!("{LIFT} AND reason IN ({UNREACHED})"), values![address, channel, clock::now().0, at.0]));
        self.patterns.insert(address.to_owned());
    }

    /// What was said at one address holds at the one that took its place.
    pub(super) fn follow(&mut self, previous: &str, current: &str) {
        let sql = "INSERT INTO consents (address, channel, scope, allowed, at, since, event, changed) \
            SELECT CAST(?2 AS TEXT), c.channel, c.scope, c.allowed, c.at, c.since, c.event, CAST(?3 AS BIGINT) FROM consents c WHERE c.address = ?1 \
            ON CONFLICT DO NOTHING";
        self.statements.push(Statement::once(sql, values![previous, current, clock::now().0]));
        self.people.insert(current.to_owned());
    }

    /// A message that probably opts out: kept as evidence for somebody to look at; nothing changes by itself.
    pub(super) fn review(&mut self, address: &str, channel: &str, event: &str, at: Time, text: &str) {
        let evidence = serde_json::json!({ "text": text, "event": event }).to_string();
        self.statements
            .push(Statement::once(LOG, values![address, at.0, event, channel, "all", "review", "word", evidence, clock::now().0]));
    }

    /// Somebody else may have written about this person.
    pub(super) fn look_at(&mut self, address: &str) {
        self.people.insert(address.to_owned());
    }
}

impl Consent {
    /// Writes a batch and shows it to the index.
    pub(super) async fn write(&self, batch: Batch) -> Result<(), Error> {
        if !batch.statements.is_empty() {
            self.db.write(batch.statements).await?;
        }
        for person in &batch.people {
            self.learn("WHERE c.address = ?1", values![person.as_str()]).await?;
        }
        for pattern in &batch.patterns {
            self.learn_suppressions("WHERE s.pattern = ?1", values![pattern.as_str()]).await?;
        }
        Ok(())
    }

    /// Records words of people with their evidence. Repeating one changes nothing.
    pub async fn say(&self, words: &[Word]) -> Result<(), Error> {
        for words in words.chunks(1000) {
            let mut batch = Batch::default();
            words.iter().for_each(|w| batch.say(w));
            self.write(batch).await?;
        }
        Ok(())
    }

    /// Adds suppressions.
    pub async fn suppress(&self, new: &[Suppression]) -> Result<(), Error> {
        for new in new.chunks(1000) {
            let mut batch = Batch::default();
            new.iter().for_each(|s| batch.suppress(s));
            self.write(batch).await?;
        }
        Ok(())
    }

    /// Lets go of a suppression; what it was, if it was there.
    pub async fn unsuppress(&self, id: &str) -> Result<Option<Suppression>, Error> {
        let Some(found) = self.suppressions("WHERE s.gone = 0 AND s.id = ?1", values![id]).await?.pop() else { return Ok(None) };
        let gone = Statement::once("UPDATE suppressions SET gone = 1, changed = ?2, at = ?2 WHERE id = ?1", values![id, clock::now().0]);
        self.db.write(vec![gone]).await?;
        self.learn_suppressions("WHERE s.pattern = ?1", values![&*found.pattern]).await?;
        Ok(Some(found))
    }

    /// Suppressions behind this id, in the order of their ids; of this pattern, when it is said.
    pub async fn list_suppressions(&self, pattern: Option<&str>, after: &str, limit: usize) -> Result<Vec<Suppression>, Error> {
        let condition = match pattern {
            Some(_) => "WHERE s.gone = 0 AND s.id > ?1 AND s.pattern = ?3 ORDER BY s.id LIMIT ?2",
            None => "WHERE s.gone = 0 AND s.id > ?1 ORDER BY s.id LIMIT ?2",
        };
        let mut parameters = values![after, limit as i64];
        parameters.extend(pattern.map(Value::from));
        self.suppressions(condition, parameters).await
    }

    async fn suppressions(&self, condition: &str, parameters: Vec<Value>) -> Result<Vec<Suppression>, Error> {
        let sql = format!("SELECT s.id, s.pattern, s.channel, s.reason, s.note, s.at FROM suppressions s {condition}");
        let rows = self.db.read(sql.into(), parameters).await?;
        let read = |r: &crate::store::db::Row| {
            Ok(Suppression {
                id: r.text(0)?,
                pattern: r.text(1)?,
                channel: r.text(2)?,
                reason: r.text(3)?,
                note: r.maybe_text(4)?,
                at: Time(r.int(5)?),
            })
        };
        rows.iter().map(read).collect()
    }

    /// What holds for these addresses.
    pub async fn known(&self, addresses: &[String]) -> Result<Vec<Known>, Error> {
        let sql = "SELECT c.address, c.channel, c.scope, c.allowed, c.since, c.event FROM consents c WHERE c.address = ?1 ORDER BY c.channel, c.scope";
        let mut known = Vec::new();
        for address in addresses {
            for r in self.db.read(sql.into(), values![&*address::normal(address)]).await? {
                let state = if r.int(3)? != 0 { ConsentState::OptedIn } else { ConsentState::OptedOut };
                known.push(Known {
                    address: r.text(0)?,
                    channel: r.text(1)?,
                    scope: r.text(2)?,
                    state,
                    since: Time(r.int(4)?),
                    event: r.text(5)?,
                });
            }
        }
        Ok(known)
    }

    /// Every word of these addresses, oldest first: the proof.
    pub async fn words(&self, addresses: &[String]) -> Result<Vec<Word>, Error> {
        let sql = "SELECT l.event, l.address, l.channel, l.scope, l.word, l.at, l.how, l.evidence FROM consent_log l WHERE l.address = ?1 AND l.word <> 'review' ORDER BY l.at, l.event";
        let mut words = Vec::new();
        for address in addresses {
            for r in self.db.read(sql.into(), values![&*address::normal(address)]).await? {
                let state = if r.text(4)? == "opted_in" { ConsentState::OptedIn } else { ConsentState::OptedOut };
                words.push(Word {
                    event: r.text(0)?,
                    address: r.text(1)?,
                    channel: r.text(2)?,
                    scope: r.text(3)?,
                    state,
                    at: Time(r.int(5)?),
                    how: r.text(6)?,
                    evidence: r.json(7).unwrap_or_default(),
                });
            }
        }
        Ok(words)
    }

    /// Messages that probably opt out and that somebody should look at, newest first; behind this time.
    pub async fn reviews(&self, before: Time, limit: usize) -> Result<Vec<Review>, Error> {
        let sql = "SELECT l.address, l.channel, l.at, l.evidence FROM consent_log l WHERE l.word = 'review' AND l.at < ?1 \
            ORDER BY l.at DESC LIMIT ?2";
        let rows = self.db.read(sql.into(), values![before.0, limit as i64]).await?;
        let read = |r: &crate::store::db::Row| {
            Ok(Review { address: r.text(0)?, channel: r.text(1)?, at: Time(r.int(2)?), evidence: r.json(3).unwrap_or_default() })
        };
        rows.iter().map(read).collect()
    }

    /// Forgets who said what, and keeps that it was said: the address gives way to its keyed fingerprint, the evidence to the bare fact.
    /// What counts within caps stands under the contact or under an address, and goes.
    pub async fn erase(&self, contacts: &[String], addresses: &[String]) -> Result<(), Error> {
        let counted = |person: &str| {
            ["cap_uses", "cap_people", "cap_claims"]
                .map(|table| Statement::once(format!("DELETE FROM {table} WHERE person = ?1"), values![person]))
        };
        let mut statements: Vec<_> = contacts.iter().flat_map(|contact| counted(contact)).collect();
        for address in addresses {
            let address = address::normal(address).into_owned();
            let hashed = format!("{ERASED}{}", ids::text("", self.index.person(&address)));
            // Who was erased before and came again: the later words take the place of the earlier.
            let earlier = "DELETE FROM consents WHERE address = ?2 AND EXISTS (SELECT 1 FROM consents n \
                WHERE n.address = ?1 AND n.channel = consents.channel AND n.scope = consents.scope)";
            statements.push(Statement::once(earlier, values![&*address, &*hashed]));
            for (table, more) in [("consents", ""), ("consent_log", ", evidence = '{}'")] {
                let sql = format!("UPDATE {table} SET address = ?2{more} WHERE address = ?1");
                statements.push(Statement::once(sql, values![&*address, &*hashed]));
            }
            statements.push(Statement::once(
                "UPDATE suppressions SET pattern = ?2, note = NULL WHERE pattern = ?1",
                values![&*address, &*hashed],
            ));
            statements.extend(counted(&address));
        }
        self.db.write(statements).await.map(drop)
    }

    /// The fingerprint that stands for an address after its erasure.
    pub fn hashed(&self, address: &str) -> String {
        ids::text("", self.index.person(&address::normal(address)))
    }

    /// Shows all rows to the index, in pieces: people who ever said a word may be millions.
    pub(super) async fn learn_all(&self) -> Result<(), Error> {
        const PIECE: i64 = 20_000;
        let mut after = String::new();
        loop {
            let sql = "SELECT c.address FROM consents c WHERE c.address > ?1 ORDER BY c.address LIMIT 1 OFFSET ?2";
            let last = self.db.read(sql.into(), values![&*after, PIECE - 1]).await?.first().map(|r| r.text(0)).transpose()?;
            let Some(last) = last else { break };
            self.learn("WHERE c.address > ?1 AND c.address <= ?2", values![&*after, &*last]).await?;
            after = last;
        }
        self.learn("WHERE c.address > ?1", values![&*after]).await.map(drop)
    }

    /// Shows rows of `consents` to the index; the time of the newest change among them.
    pub(super) async fn learn(&self, condition: &str, parameters: Vec<Value>) -> Result<i64, Error> {
        let sql = format!("SELECT c.address, c.channel, c.scope, c.allowed, c.at, c.changed FROM consents c {condition}");
        let mut newest = 0;
        for r in self.db.read(sql.into(), parameters).await? {
            let at = r.int(4)?.max(1);
            let said = if r.int(3)? != 0 { at } else { -at };
            let channel = match self.reach {
                crate::config::consent::Reach::Channel => r.text(1)?,
                crate::config::consent::Reach::Address => String::new(),
            };
            self.index.learn(&Row { address: r.text(0)?, channel, scope: r.text(2)?, said });
            newest = newest.max(r.int(5)?);
        }
        if newest > 0 {
            self.changed();
        }
        Ok(newest)
    }

    /// The same for `suppressions`. A pattern may be suppressed for several reasons: it holds while one of them does.
    pub(super) async fn learn_suppressions(&self, condition: &str, parameters: Vec<Value>) -> Result<i64, Error> {
        let sql = format!(
            "SELECT s.pattern, s.channel, min(s.gone), max(s.changed), \
                min(CASE WHEN s.gone = 0 AND s.reason NOT IN ({UNREACHED}) THEN 0 ELSE 1 END) \
             FROM suppressions s {condition} GROUP BY s.pattern, s.channel"
        );
        let mut newest = 0;
        for r in self.db.read(sql.into(), parameters).await? {
            let suppressed = match (r.int(2)?, r.int(4)?) {
                (0, 0) => Suppressed::Wanted,
                (0, _) => Suppressed::Gone,
                _ => Suppressed::No,
            };
            self.index.suppress(&r.text(0)?, &r.text(1)?, suppressed);
            newest = newest.max(r.int(3)?);
        }
        if newest > 0 {
            self.changed();
        }
        Ok(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_addresses_domains_or_prefixes() {
        for (written, kept) in [
            ("mailto:Ana@Example.org", "mailto:ana@example.org"),
            ("@Example.ORG", "@example.org"),
            ("tel:+49*", "tel:+49*"),
            ("telegram:5550001", "telegram:5550001"),
        ] {
            assert_eq!(pattern(written).as_deref(), Ok(kept));
        }
        for bad in ["", "*", "tel:*", "tel:+*", "@", "@org", "+49*", "a*b*"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
    }
}

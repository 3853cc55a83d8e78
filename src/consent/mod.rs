//! Consent: who may be written to, for what, and when. Every word of a person is kept with its evidence.
//!
//! ```text
//!   consents         what holds now: one row per (address, channel, scope); channel "" means every channel
//!   consent_log      the evidence: every word ever said, never changed
//!   suppressions     addresses, domains and prefixes that are not written to
//!   cap_uses         marketing that counts against a person's caps
//!   cap_claims       what campaigns with a priority keep free of them for their people
//!
//!   inbound ──▶ hear ──▶ rows ──▶ index (memory) ──▶ may(): asked at accept, on loading, and at the gate
//! ```
//!
//! - A suppression (STOP, block, dead token, by hand) stops every category within its scope.
//! - Marketing waits for more: not opted out of marketing, opted in where the channel asks for it, quiet hours, caps.
//! - Invariant: the index says what the rows say. Who writes rows refreshes it; other nodes see changes within a second.

mod answer;
mod caps;
mod claims;
mod ear;
mod hear;
mod hold;
mod holidays;
mod index;
pub mod page;
pub mod quiet;
mod record;
mod tables;
pub mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fairway_adapters::contract::{Category, ErrorClass, Reason, Time};
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::channels::Live;
use crate::clock;
use crate::config::{self, consent::Reach};
use crate::envelope::Writer;
use crate::log::EventLog;
use crate::people::People;
use crate::store::Error;
use crate::store::db::{Database, Statement};
use crate::values;

pub use answer::Owed;
pub use caps::{A_CAP, CAP, Over};
pub use claims::{Claim, Standing};
pub use hold::{Candidate, Verdict};
pub use index::Bar;
pub use record::{Known, Review, Scope, Suppression, Word, pattern};

/// Whom, through what, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The person's address, in any form.
    pub address: &'a str,
    /// The channel it would go through.
    pub channel: &'a str,
    /// What kind of message it is.
    pub category: Category,
    /// The program it belongs to (`metadata.program`), for people who left one program and not all.
    pub program: Option<&'a str>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum May {
    /// Nothing forbids it.
    Yes,
    /// It may not go; the reason is published with `suppressed`.
    No(Reason),
}

impl May {
    /// Whether it may go.
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }
}

/// The room.
pub struct Consent {
    db: Arc<dyn Database>,
    people: People,
    channels: Live,
    index: index::Index,
    version: AtomicU64,
    rules: RwLock<Arc<Rules>>,
    reach: Reach,
    /// How long evidence is kept of what holds no more, in milliseconds.
    evidence: i64,
    log: Arc<dyn EventLog>,
    writer: Writer,
    owed: mpsc::UnboundedSender<Owed>,
    ear: ear::Ear,
}

/// What the file says, as it may change while we run.
struct Rules {
    hours: quiet::Hours,
    caps: Vec<caps::Cap>,
    words: bool,
}

impl Rules {
    fn new(config: &config::Config) -> Self {
        Self { hours: quiet::Hours::new(&config.quiet_hours), caps: caps::Cap::all(&config.caps), words: config.consent.words }
    }
}

/// What the room needs of the rest.
pub struct Parts {
    /// The database.
    pub db: Arc<dyn Database>,
    /// People.
    pub people: People,
    /// The channels in force.
    pub channels: Live,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Writes events.
    pub writer: Writer,
    /// Answers owed to people who said a word: somebody above sends them.
    pub owed: mpsc::UnboundedSender<Owed>,
    /// Keys the fingerprints that stand for erased addresses. Never changes.
    pub secret: Vec<u8>,
}

/// How often changes by other nodes are looked for.
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);
/// How far back a look reaches, for writes that were slow to commit and clocks that differ.
const OVERLAP: i64 = 5_000;

/// Whether a message was barred only because its address is gone, or the person has blocked us there: another of their addresses
/// may be written to.
pub fn is_gone(reason: &Reason) -> bool {
    reason.code == Bar::Gone.code()
}

/// Brings the tables of this room up to date.
pub(crate) async fn open_tables(db: &dyn Database) -> Result<(), Error> {
    db.migrate("consent", tables::STEPS).await
}

impl Consent {
    /// Opens the room's tables and reads what holds.
    pub async fn open(parts: Parts, config: &config::Config) -> Result<Arc<Self>, Error> {
        open_tables(&*parts.db).await?;
        let consent = Self {
            db: parts.db,
            people: parts.people,
            channels: parts.channels,
            index: index::Index::new(parts.secret),
            version: AtomicU64::new(1),
            rules: RwLock::new(Arc::new(Rules::new(config))),
            reach: config.consent.reach,
            evidence: config.retention.evidence.millis(),
            log: parts.log,
            writer: parts.writer,
            owed: parts.owed,
            ear: ear::Ear::default(),
        };
        consent.learn_all().await?;
        consent.learn_suppressions("", Vec::new()).await?;
        Ok(Arc::new(consent))
    }

    /// Puts changed hours, caps and words in force. How far a STOP reaches changes at the next start.
    pub fn reload(&self, config: &config::Config) {
        *self.rules.write() = Arc::new(Rules::new(config));
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read())
    }

    /// Hears what people say, until the process ends. One node does it for all.
    pub async fn listen(self: Arc<Self>) {
        hear::run(self).await;
    }

    /// Looks for what other nodes wrote, until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = clock::now().0;
        let mut looks = 0_u64;
        loop {
            tokio::time::sleep(LOOK).await;
            match self.look(seen - OVERLAP).await {
                Ok(newest) => seen = seen.max(newest),
                Err(e) => tracing::warn!(error = %e, "changes of consent cannot be looked for now"),
            }
            looks += 1;
            if looks.is_multiple_of(600)
                && let Err(e) = self.forget(clock::now()).await
            {
                tracing::warn!(error = %e, "old evidence and uses of caps cannot be forgotten now");
            }
        }
    }

    /// Lets go of what is too old to matter. The evidence of what holds stays for ever.
    async fn forget(&self, now: Time) -> Result<(), Error> {
        self.forget_uses(now).await?;
        let sql = "DELETE FROM consent_log WHERE recorded_at < ?1 AND event NOT IN (SELECT c.event FROM consents c)";
        self.db.write(vec![Statement::once(sql, values![now.0 - self.evidence])]).await.map(drop)
    }

    async fn look(&self, since: i64) -> Result<i64, Error> {
        // The beat first: what was heard before it is in the rows read after it.
        let asked = clock::steady();
        let beat = self.db.read("SELECT e.beat FROM consent_ears e".into(), Vec::new()).await?;
        let said = self.learn("WHERE c.changed > ?1", values![since]).await?;
        let patterns = "WHERE s.pattern IN (SELECT n.pattern FROM suppressions n WHERE n.changed > ?1)";
        let suppressed = self.learn_suppressions(patterns, values![since]).await?;
        if let Some(row) = beat.first() {
            self.ear.beat(row.int(0)?, asked);
        }
        Ok(said.max(suppressed))
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a message may go to a person now, as far as consents and suppressions tell. Asks memory alone and waits for nothing.
    pub fn may(&self, ask: &Ask<'_>) -> May {
        let channels = self.channels.get();
        let opt_in = channels.by_id.get(ask.channel).is_some_and(|c| c.opt_in);
        match self.index.stands(ask, opt_in) {
            None => May::Yes,
            Some(bar) => May::No(Reason::new(ErrorClass::OptedOut, bar.code(), bar.title())),
        }
    }

    /// Whether everything people said until a moment ago has been heard. Marketing leaves only then; waits for nothing.
    pub fn is_up_to_date(&self) -> bool {
        self.ear.is_open()
    }

    /// Waits until [`Self::is_up_to_date`].
    pub async fn up_to_date(&self) {
        self.ear.opened().await;
    }

    /// Grows with every change of what [`Self::may`] would answer anybody: who has asked needs to ask again only then.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;

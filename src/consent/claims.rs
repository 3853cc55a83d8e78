//! Claims: the allowance that a campaign with a priority keeps free for its people until their turn comes.
//!
//! A campaign that is launched with a priority claims one use of each person's caps, at the time it will ask for it. Whoever asks
//! with a lower priority counts these claims like uses, and waits; nobody's message is dropped for them. A claim goes when its
//! message is counted, when its campaign is over, and a day after its time, whatever became of it.

use fairway_adapters::contract::{Mark, Time};

use super::Consent;
use crate::store::Error;
use crate::store::db::{Statement, Value};
use crate::values;

/// How long after its time a claim counts, in milliseconds: for who waits for a pace, or for the end of quiet hours.
const LAPSE: i64 = 86_400_000;
/// Claims of one write.
const TOGETHER: usize = 2000;

/// What a message may claim: its place in a campaign, and the campaign's priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Higher goes first; 0 for all that has none.
    pub priority: i64,
    /// Its campaign and the person's number there.
    pub place: Option<(String, i64)>,
}

impl Standing {
    /// Of a message with this mark.
    pub fn of(mark: Option<&Mark>) -> Self {
        let place = |mark: &Mark| Some((mark.campaign.clone()?, i64::try_from(mark.person?).ok()?));
        match mark {
            Some(mark) if mark.priority.is_some_and(|p| p > 0) => Self { priority: mark.priority.unwrap_or(0).into(), place: place(mark) },
            _ => Self::default(),
        }
    }
}

/// A person who is to get a campaign's message.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The person's number in the campaign.
    pub number: i64,
    /// Where they will get it.
    pub address: String,
    /// When their turn comes.
    pub at: Time,
}

const CLAIM: &str = "INSERT INTO cap_claims (campaign, number, person, priority, at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (campaign, number) DO UPDATE SET person = excluded.person, priority = excluded.priority, at = excluded.at";
/// Claims that count against a message: of the person, of a higher priority, and not lapsed. `?2` is the person, `?4` the priority,
/// `?5` what has lapsed.
pub(super) const HIGHER: &str = "cap_claims k WHERE k.person = ?2 AND k.priority > ?4 AND k.at > ?5";

/// The last time that has lapsed.
pub(super) fn lapsed(now: Time) -> i64 {
    now.0 - LAPSE
}

impl Consent {
    /// Keeps the allowance of these people free for a campaign. Claiming again moves the time.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn claim(&self, campaign: &str, priority: u16, claims: &[Claim]) -> Result<(), Error> {
        if priority == 0 || self.rules().caps.is_empty() {
            return Ok(());
        }
        for some in claims.chunks(TOGETHER) {
            let addresses: Vec<String> = some.iter().map(|c| c.address.clone()).collect();
            let people = self.people.by_addresses(&addresses).await?;
            let run = |claim: &Claim| {
                let person = super::hold::counted_as(&claim.address, people.get(&claim.address));
                values![campaign, claim.number, person, i64::from(priority), claim.at.0]
            };
            self.db.write(vec![Statement::each(CLAIM, some.iter().map(run).collect())]).await?;
        }
        Ok(())
    }

    /// Lets go of everything that a campaign claims: it is over.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn release(&self, campaign: &str) -> Result<(), Error> {
        self.db.write(vec![Statement::once("DELETE FROM cap_claims WHERE campaign = ?1", values![campaign])]).await.map(drop)
    }

    /// A message waits until then: its claim waits with it.
    pub(super) fn claim_moves(standing: &Standing, until: Time) -> Option<Vec<Value>> {
        standing.place.as_ref().map(|(campaign, number)| values![campaign.as_str(), *number, until.0])
    }
}

/// Moves a claim to another time.
pub(super) const MOVE: &str = "UPDATE cap_claims SET at = ?3 WHERE campaign = ?1 AND number = ?2";
/// Ends a claim whose message was counted.
pub(super) const COUNTED: &str = "DELETE FROM cap_claims WHERE campaign = ?1 AND number = ?2
    AND EXISTS (SELECT 1 FROM cap_uses u WHERE u.message = ?3)";
/// Ends a claim whose message does not go.
pub(super) const ENDED: &str = "DELETE FROM cap_claims WHERE campaign = ?1 AND number = ?2";

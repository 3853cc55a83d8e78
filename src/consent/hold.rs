//! What marketing waits for: quiet hours and caps, asked in batch when messages are loaded.

use fairway_adapters::contract::{Category, Time};

use super::Consent;
use super::caps::{Over, Use};
use super::claims::{MOVE, Standing};
use super::quiet::{Quiet, Whereabouts};
use crate::people::{Contact, address};
use crate::store::Error;
use crate::store::db::Statement;

/// A message about to be loaded.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its id.
    pub message: String,
    /// The person's address.
    pub address: String,
    /// Its channel.
    pub channel: String,
    /// What kind it is.
    pub category: Category,
    /// Before whom it goes.
    pub standing: Standing,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go until then; later it is asked again.
    Go(Time),
    /// It waits until then, and why.
    Hold(Time, String),
}

impl Consent {
    /// Whether anything may hold messages of a channel: else nobody need ask.
    pub fn may_hold(&self, channel: &str) -> bool {
        !self.rules().caps.is_empty() || self.keeps_hours(channel)
    }

    /// Whether a channel has quiet hours at all.
    pub fn keeps_hours(&self, channel: &str) -> bool {
        self.rules().hours.are_kept(self.own_hours(channel))
    }

    fn own_hours(&self, channel: &str) -> Option<crate::config::consent::Hours> {
        self.channels.get().by_id.get(channel).and_then(|c| c.quiet_hours)
    }

    /// What quiet hours say about marketing to a person at a time. Counts nothing: for forecasts.
    pub fn quiet(&self, channel: &str, at: &Whereabouts, now: Time) -> Quiet {
        self.rules().hours.ask(self.own_hours(channel), at, now)
    }

    /// Where the people at these addresses live, as quiet hours take it.
    pub async fn whereabouts(&self, addresses: &[String]) -> Result<Vec<Whereabouts>, Error> {
        let people = self.people.by_addresses(addresses).await?;
        Ok(addresses.iter().map(|a| Whereabouts::of(a, people.get(a))).collect())
    }

    /// What caps say about one more marketing message of a priority to each of these addresses: until when it would wait, and for
    /// which cap. Counts nothing: for forecasts.
    pub async fn capped(&self, addresses: &[String], priority: u16, now: Time) -> Result<Vec<Option<Over>>, Error> {
        if self.rules().caps.is_empty() {
            return Ok(vec![None; addresses.len()]);
        }
        let people = self.people.by_addresses(addresses).await?;
        let persons: Vec<String> = addresses.iter().map(|a| counted_as(a, people.get(a))).collect();
        let over = self.over(&persons, priority.into(), now).await?;
        Ok(persons.iter().map(|p| over.get(p).cloned()).collect())
    }

    /// Asks quiet hours, then caps, for messages in their order. What may go is counted against its person's caps.
    pub async fn hold(&self, candidates: &[Candidate], now: Time) -> Result<Vec<Verdict>, Error> {
        let marketing: Vec<&Candidate> = candidates.iter().filter(|c| c.category == Category::Marketing).collect();
        let addresses: Vec<String> = marketing.iter().map(|c| c.address.clone()).collect();
        let people = self.people.by_addresses(&addresses).await?;
        let mut uses = Vec::new();
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if candidate.category != Category::Marketing {
                verdicts.push(Verdict::Go(Time(i64::MAX)));
                continue;
            }
            let contact = people.get(&candidate.address);
            let at = Whereabouts::of(&candidate.address, contact);
            verdicts.push(match self.quiet(&candidate.channel, &at, now) {
                Quiet::Closed(until, rule) => Verdict::Hold(until, rule),
                Quiet::Open(until) => {
                    let person = counted_as(&candidate.address, contact);
                    let (message, standing) = (candidate.message.clone(), candidate.standing.clone());
                    uses.push((verdicts.len(), Use { message, person, standing }));
                    Verdict::Go(until)
                }
            });
        }
        let (places, uses): (Vec<usize>, Vec<Use>) = uses.into_iter().unzip();
        for (place, over) in places.into_iter().zip(self.reserve(&uses, now).await?) {
            if let Some((until, cap)) = over {
                verdicts[place] = Verdict::Hold(until, cap);
            }
        }
        let moves: Vec<_> = candidates
            .iter()
            .zip(&verdicts)
            .filter_map(|(candidate, verdict)| match verdict {
                Verdict::Hold(until, _) => Self::claim_moves(&candidate.standing, *until),
                Verdict::Go(_) => None,
            })
            .collect();
        if !moves.is_empty() {
            self.db.write(vec![Statement::each(MOVE, moves)]).await?;
        }
        Ok(verdicts)
    }
}

/// Whom a message counts for: the person, with all addresses; else the address.
pub(super) fn counted_as(to: &str, contact: Option<&Contact>) -> String {
    contact.map_or_else(|| address::normal(to).into_owned(), |c| c.id.clone())
}

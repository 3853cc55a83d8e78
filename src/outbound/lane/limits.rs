//! The limits of a unit's channels: asked together, charged together.
//!
//! A channel has limits of its own (its sender's), limits it shares (its provider account's, those of `[limits.NAME]`), and limits that
//! are kept once for each conversation, group, template or country.

use std::collections::HashMap;

use fairway_adapters::contract::Scope;

use super::super::limit::{Limit, Micros, View};

/// So many keys of one limit are kept before those that remember nothing are let go.
const KEPT: usize = 10_000;

/// What limits count a message under. The ledger keeps it, so that a new owner charges what an earlier one sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Hash of its conversation.
    pub conversation: u64,
    /// Hash of the group it goes to, whatever its thread; 0 for none.
    pub group: u32,
    /// Hash of the template it goes as; 0 for none.
    pub template: u32,
    /// Country of the person's number (ISO 3166-1 alpha-2); zeros where it has none.
    pub country: [u8; 2],
    /// Cost units.
    pub cost: u32,
    /// Whether it opens a conversation: then it counts where different people are counted.
    pub opens: bool,
}

impl Counted {
    /// What a limit of this scope keeps it under, where one is kept for each.
    fn key(&self, scope: Scope) -> Option<u64> {
        match scope {
            Scope::Conversation => Some(self.conversation),
            Scope::Group => (self.group != 0).then_some(u64::from(self.group)),
            Scope::Template => (self.template != 0).then_some(u64::from(self.template)),
            Scope::Country => (self.country != [0; 2]).then(|| country(self.country)),
            Scope::Account | Scope::Sender => None,
        }
    }

    /// What it takes of a limit of this scope: what a carrier counts, it counts in segments.
    fn units(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Conversation | Scope::Group | Scope::Template => 1,
            Scope::Country | Scope::Account | Scope::Sender => self.cost,
        }
    }
}

/// The key of a country.
pub fn country(code: [u8; 2]) -> u64 {
    u64::from(u16::from_be_bytes(code))
}

/// The limits of a channel.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Whose channel it is; empty: nobody's in particular.
    pub tenant: String,
    /// Its sender's.
    pub sender: Vec<Limit>,
    /// What shares the limits of its provider account.
    pub account: String,
    /// The limits of that account.
    pub of_account: Vec<Limit>,
    /// Limits shared with other channels, by name.
    pub shared: Vec<(String, Limit)>,
    /// Limits of different people, shared with other channels: how many, in any window of this length.
    pub people: Vec<(String, u32, Micros)>,
    /// Kept once for each of this scope, or for one alone.
    pub each: Vec<(Scope, Option<u64>, Limit)>,
    /// Calls in flight.
    pub concurrency: u32,
}

impl Limits {
    /// How far back departures matter to them.
    pub fn memory(&self) -> Micros {
        let limits = self.sender.iter().chain(&self.of_account).chain(self.shared.iter().map(|(_, l)| l));
        let limits = limits.chain(self.each.iter().map(|(_, _, l)| l));
        limits.map(Limit::memory).chain(self.people.iter().map(|(_, _, window)| *window)).max().unwrap_or(0)
    }
}

/// Limits in place of earlier ones. One with the same window goes on where that one was; one that was only learned stays while it
/// remembers something.
pub(super) fn replaced(old: Vec<Limit>, new: Vec<Limit>, now: Micros) -> Vec<Limit> {
    let carried = new.into_iter().map(|limit| match old.iter().find(|o| o.window == limit.window) {
        Some(same) if same.count == limit.count => same.clone(),
        Some(other) => limit.instead_of(other, now),
        None => old.iter().fold(limit, |limit, old| limit.closed_like(old)),
    });
    let mut limits: Vec<Limit> = carried.collect();
    limits.extend(old.iter().filter(|o| o.learned_alone && !o.is_idle(now)).cloned());
    limits
}

/// A limit that is kept for each conversation, group, template or country.
pub(super) struct Each {
    pub scope: Scope,
    only: Option<u64>,
    /// What is declared; without it only those are limited of whom the provider has said so.
    declared: Option<Limit>,
    kept: HashMap<u64, Kept>,
    /// So many are kept before all are looked through once more.
    sweep_at: usize,
}

struct Kept {
    limit: Limit,
    /// When the last of those who wait for it was told to come.
    promised: Micros,
}

impl Each {
    pub fn new(scope: Scope, only: Option<u64>, declared: Option<Limit>) -> Self {
        Self { scope, only, declared, kept: HashMap::new(), sweep_at: KEPT }
    }

    /// Puts declared limits in force in place of earlier ones.
    pub fn replaced(mut old: Vec<Self>, new: Vec<(Scope, Option<u64>, Limit)>) -> Vec<Self> {
        let mut limits: Vec<Self> = new
            .into_iter()
            .map(|(scope, only, limit)| {
                let same = |e: &Self| {
                    let declared = e.declared.as_ref().is_some_and(|d| d.count == limit.count && d.window == limit.window);
                    e.scope == scope && e.only == only && declared
                };
                match old.iter().position(same) {
                    Some(at) => old.swap_remove(at),
                    None => Self::new(scope, only, Some(limit)),
                }
            })
            .collect();
        limits.extend(old.into_iter().filter(|e| e.declared.is_none()));
        limits
    }

    fn key(&self, counted: &Counted) -> Option<u64> {
        counted.key(self.scope).filter(|key| self.only.is_none_or(|only| only == *key))
    }

    /// The earliest time a message may leave; `None` when nothing is remembered of what it counts under.
    pub fn peek(&self, counted: &Counted, now: Micros) -> Option<Micros> {
        Some(self.kept.get(&self.key(counted)?)?.limit.peek_for(counted.units(self.scope), now))
    }

    /// When a message that has to wait comes again. Where many wait for the same, each gets a time of its own, or all would come at
    /// once for one place.
    pub fn promise(&mut self, counted: &Counted, now: Micros) -> Option<Micros> {
        let at = self.peek(counted, now)?;
        if matches!(self.scope, Scope::Conversation | Scope::Group) {
            return Some(at); // Its conversation waits behind it: it is alone.
        }
        let units = counted.units(self.scope);
        let kept = self.kept.get_mut(&self.key(counted)?)?;
        kept.promised = if kept.promised < now { at } else { at.max(kept.promised + kept.limit.price(units, now)) };
        Some(kept.promised)
    }

    /// When a message behind so many others of its conversation would leave.
    pub fn estimate(&self, counted: &Counted, behind: u32, now: Micros) -> Option<Micros> {
        let limit = &self.kept.get(&self.key(counted)?)?.limit;
        Some(limit.peek().max(now) + limit.price(behind, now))
    }

    pub fn charge(&mut self, counted: &Counted, at: Micros) {
        let Some(key) = self.key(counted) else { return };
        if self.kept.len() > self.sweep_at {
            self.kept.retain(|_, k| !k.limit.is_forgettable(at));
            // Each look through all of them is paid for by as many that came since.
            self.sweep_at = KEPT.max(2 * self.kept.len());
        }
        let units = counted.units(self.scope);
        match (self.kept.get_mut(&key), &self.declared) {
            (Some(kept), _) => kept.limit.charge(at, units),
            (None, Some(declared)) => {
                let mut limit = declared.clone();
                limit.charge(at, units);
                self.kept.insert(key, Kept { limit, promised: Micros::MIN });
            }
            (None, None) => {}
        }
    }

    /// The limit of one of them, so that what the provider said about it can be noted.
    pub fn of(&mut self, counted: &Counted) -> Option<&mut Limit> {
        let key = self.key(counted)?;
        let limit = || self.declared.clone().unwrap_or_else(|| Limit::new(1, 1_000_000, 1));
        let kept = self.kept.entry(key).or_insert_with(|| Kept { limit: limit(), promised: Micros::MIN });
        Some(&mut kept.limit)
    }

    /// What people see of it: the one that has least left.
    pub fn view(&self, now: Micros) -> Option<View> {
        let fullest = self.kept.values().map(|k| k.limit.view(self.scope, now)).max_by(|a, b| a.strain().total_cmp(&b.strain()));
        fullest.or_else(|| self.declared.as_ref().map(|l| l.view(self.scope, now)))
    }
}

//! Proactive: templates, audiences, campaigns, reminders, triggers and journeys. All of them only produce messages for outbound: what is
//! said, to whom and when is decided here; sending, its limits and its promises are the engine's.
//!
//! ```text
//!   audience ──freeze──▶ people of a campaign ──cursor──▶ accept ──▶ lane ──gate asks the board──▶ ...
//!                              ▲                                                                │
//!                              └───────────────── follower reads states from the log ───────────┘
//! ```
//!
//! Invariant: a message's id is derived from (campaign, person), (anchor, version, offset) or (journey, entry, step), so that whoever
//! repeats himself after a crash sends nothing twice; and a person's row is written before the message, so that nobody is forgotten.

pub mod audiences;
pub mod campaigns;
pub mod content;
pub mod due;
pub mod erase;
pub mod filter;
pub mod journeys;
pub mod links;
pub mod lint;
pub mod prices;
mod reading;
pub mod reminders;
pub mod saved;
pub mod tables;
pub mod templates;
pub mod triggers;
pub mod when;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::channels::Live;
use crate::consent::Consent;
use crate::log::EventLog;
use crate::outbound::accept::Acceptor;
use crate::outbound::owner::Units;
use crate::people::People;
use crate::store::{self, Store, db::Database};

/// Why something cannot be done, with the place in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// JSON pointer.
    pub pointer: String,
    /// Our stable code.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Wrong {
    /// At a place of the request.
    pub fn at(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// Why this room could not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The request cannot be carried out as it stands.
    Wrong(Wrong),
    /// There is no such thing.
    Unknown(&'static str),
    /// Its state does not allow it.
    Conflict(String),
    /// The store is away.
    Store(store::Error),
}

impl From<store::Error> for Failed {
    fn from(e: store::Error) -> Self {
        Self::Store(e)
    }
}

impl From<Wrong> for Failed {
    fn from(e: Wrong) -> Self {
        Self::Wrong(e)
    }
}

/// What this room needs of the rest.
pub struct Parts {
    /// Its tables.
    pub db: Arc<dyn Database>,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The views of messages.
    pub store: Arc<dyn Store>,
    /// The channels in force.
    pub channels: Live,
    /// People, of whom saved filters choose.
    pub people: People,
    /// Who may be written to, and when.
    pub consent: Arc<Consent>,
    /// What the gate is told of campaigns.
    pub board: Arc<campaigns::board::Board>,
    /// Makes the short links of campaigns that expand here.
    pub links: Arc<links::Linker>,
    /// Where the price list lies.
    pub prices: PathBuf,
    /// The way in for messages.
    pub acceptor: Acceptor,
    /// The units of this node: who owns unit hash(campaign) runs the campaign.
    pub units: Units,
}

/// Brings the tables of this room up to date.
pub async fn open_tables(db: &dyn Database) -> Result<(), store::Error> {
    db.migrate(tables::NAME, tables::STEPS).await
}

/// The room.
pub struct Room {
    parts: Parts,
    /// Something was changed by hand: the runner looks at once.
    stirred: Notify,
    /// A reminder, trigger or journey was changed by hand: what is due is looked at at once.
    changed: Notify,
    /// When this process began.
    opened_at: fairway_adapters::contract::Time,
}

impl Room {
    /// Opens the room; its tables are there (see [`open_tables`]).
    pub fn open(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, stirred: Notify::new(), changed: Notify::new(), opened_at: crate::clock::now() })
    }

    /// Runs until the process ends: the gate's board, the runner, the follower.
    pub fn run(self: &Arc<Self>) {
        tokio::spawn(Arc::clone(&self.parts.board).run(Arc::clone(&self.parts.db)));
        tokio::spawn(campaigns::expand::run(Arc::clone(self)));
        tokio::spawn(campaigns::follow::run(Arc::clone(self)));
        tokio::spawn(due::run(Arc::clone(self)));
        tokio::spawn(triggers::run(Arc::clone(self)));
    }
}

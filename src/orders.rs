//! What others tell a unit's owner: records on `orders`. The owner alone decides what they mean for its messages.

use bytes::Bytes;
use fairway_adapters::contract::{MediaRef, Part, Receipt, State, Time};
use serde::{Deserialize, Serialize};

use crate::ids::{self, Fingerprint, MessageId};
use crate::log::{Headers, Record, Stored, Topic};
use crate::outbound::accepted::Accepted;
pub use crate::store::Handle;

/// One order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// A provider says what became of a message.
    Receipt {
        /// Through which channel.
        channel: String,
        /// The person it went to, as far as the receipt says.
        peer: String,
        /// When the gateway took the receipt.
        received_at: Time,
        /// What it says.
        receipt: Receipt<'static>,
    },
    /// A media object to fetch. Read by the media room.
    Media {
        /// Through which channel.
        channel: String,
        /// The gateway's id of it.
        media_id: String,
        /// The provider's handle.
        source: MediaRef,
        /// What the provider said it is.
        mime_type: Option<String>,
        /// The name the sender gave it.
        filename: Option<String>,
        /// Who sent it: whose erasure takes it along.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
        /// Under which hash its bytes lie already, and how many they are, when the delivery brought them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<(String, u64)>,
    },
    /// Something to answer a person with. It works like a credential, so it is sealed.
    Handle {
        /// Through which channel.
        channel: String,
        /// Whom it answers, with the thread where there is one.
        peer: String,
        /// What to keep.
        handle: Handle,
    },
    /// A message that has a fallback got this far. The owner tells it to itself, so that a crash forgets no step.
    Fallback {
        /// The message.
        message: Box<Accepted>,
        /// The state it reached.
        state: State,
        /// When.
        at: Time,
    },
    /// Change a message that is at its provider, or take it back.
    Revise {
        /// Which message.
        id: MessageId,
        /// What takes the place of its parts; without them it is taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parts: Option<Vec<Part<'static>>>,
        /// When trying ends.
        until: Time,
    },
    /// People have written to a channel whose provider counts that in the same allowance as what we send.
    Received {
        /// To which channel.
        channel: String,
        /// How many messages.
        count: u32,
        /// In the last so many milliseconds.
        over_ms: u32,
    },
    /// Stop what has not gone out.
    Cancel {
        /// Which message.
        id: MessageId,
    },
    /// An operator says what came of a message in doubt, or wants a dead letter sent again.
    Settle {
        /// Which message.
        id: MessageId,
        /// What to do.
        how: Settle,
    },
}

/// What to do with a message in doubt or dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settle {
    /// It was sent.
    Sent,
    /// Send it again.
    Retry,
    /// Let go of it.
    Drop,
}

impl Order {
    /// The record that brings it to the owner of a unit. `id` names the act, so that a repeat can be recognised.
    pub fn record(&self, unit: u32, id: Fingerprint) -> Record {
        let kind = match self {
            Self::Receipt { .. } => "receipt",
            Self::Media { .. } => "media",
            Self::Handle { .. } => "handle",
            Self::Fallback { .. } => "fallback",
            Self::Revise { .. } => "revise",
            Self::Received { .. } => "received",
            Self::Cancel { .. } => "cancel",
            Self::Settle { .. } => "settle",
        };
        Record {
            topic: Topic::Orders,
            partition: unit,
            key: Bytes::new(),
            headers: Headers::of([("id", ids::text("ord_", id).as_str()), ("kind", kind)]),
            value: Some(Bytes::from(serde_json::to_vec(self).expect("orders are plain data"))),
        }
    }

    /// Reads an order.
    pub fn read(record: &Stored) -> Option<Self> {
        serde_json::from_slice(&record.value).ok()
    }

    /// Whether a record is of this kind, without reading it.
    pub fn is(record: &Stored, kind: &str) -> bool {
        record.headers.get("kind") == Some(kind)
    }
}

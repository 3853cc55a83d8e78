//! A message as it lies in its lane: not rendered, so that tokens never enter the log and edits and rotation work.

use bytes::Bytes;
use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{Mark, Priority, SendRequest, Time};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::ids::{self, MessageId};
use crate::log::{Headers, Record, Stored, Topic};
use crate::store::Message;

/// An accepted message.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    /// The channel it goes through.
    pub channel: String,
    /// The person's address.
    pub to: String,
    /// The thread in the conversation.
    pub thread: Option<String>,
    /// When the API answered, or the record was read.
    pub accepted_at: Time,
    /// When trying ends.
    pub deadline: Time,
    /// What was asked for.
    pub request: SendRequest,
    /// Where it came from.
    #[serde(default)]
    pub origin: Origin,
    /// The provider's id of the message it answers.
    pub reply_to: Option<String>,
    /// Why it may not go, as accept has answered.
    pub suppressed: Option<fairway_adapters::contract::Reason>,
    /// Whether it passes the suppression of its person: the one confirmation of a STOP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passes: bool,
    /// Cost units as rendered when it was accepted.
    pub cost: u32,
    /// Attempts made before (a dead letter sent again).
    #[serde(default)]
    pub attempts: u16,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
    /// The idempotency key, for the `send` topic's answer.
    pub correlation: Option<String>,
}

impl Accepted {
    /// The conversation it belongs to.
    pub fn conversation(&self) -> String {
        conversation(&self.channel, &self.to, self.thread.as_deref())
    }

    /// The lane's topic.
    pub fn topic(&self) -> Topic {
        lane_topic(self.request.priority)
    }

    /// The record in its lane. `again`: whoever appends may be repeating himself, and the owner looks the id up.
    pub fn record(&self, again: bool) -> Record {
        let id = self.id.to_string();
        let headers = [("id", id.as_str()), ("again", "1")];
        Record {
            topic: self.topic(),
            partition: u32::from(self.id.unit),
            key: Bytes::from(self.conversation()),
            headers: Headers::of(headers[..if again { 2 } else { 1 }].iter().copied()),
            value: Some(Bytes::from(serde_json::to_vec(self).expect("messages are plain data"))),
        }
    }

    /// Reads a lane's record.
    pub fn read(record: &Stored) -> Option<Self> {
        let mut message: Self = serde_json::from_slice(&record.value).ok()?;
        // A list that is read has places for four. Most messages have one part, and many thousands wait in memory.
        message.request.parts.shrink_to_fit();
        Some(message)
    }

    /// A message as the views know it; `None` for one whose request they do not have.
    pub fn of_view(message: &Message) -> Option<Self> {
        let thread = message.conversation.strip_prefix(&format!("{}/{}#", message.channel, message.to));
        let request: SendRequest = serde_json::from_value(message.request.clone()?).ok()?;
        Some(Self {
            id: message.id.parse().ok()?,
            channel: message.channel.clone(),
            to: message.to.clone(),
            thread: thread.map(str::to_owned),
            accepted_at: message.created_at,
            deadline: message.created_at.plus(86_400_000),
            origin: request.mark.as_ref().map_or_else(Origin::default, Mark::origin),
            request,
            reply_to: None,
            suppressed: None,
            passes: false,
            cost: 1,
            attempts: 0,
            traceparent: None,
            correlation: None,
        })
    }

    /// Hash of the conversation, as the ledger keeps it.
    pub fn conversation_hash(conversation: &str) -> u64 {
        (ids::fingerprint(&[b"conversation", conversation.as_bytes()]) >> 64) as u64
    }

    /// Hash of what a limit is kept for (a template, a group), as the ledger keeps it; never 0.
    pub fn kept_hash(what: &str) -> u32 {
        (ids::fingerprint(&[b"kept", what.as_bytes()]) >> 96) as u32 | 1
    }

    /// Hash of the channel's name, as the ledger keeps it.
    pub fn channel_hash(channel: &str) -> u32 {
        (ids::fingerprint(&[b"channel", channel.as_bytes()]) >> 96) as u32
    }
}

/// `channel/address`, with `#thread` where there is one.
pub fn conversation(channel: &str, to: &str, thread: Option<&str>) -> String {
    match thread {
        Some(thread) => format!("{channel}/{to}#{thread}"),
        None => format!("{channel}/{to}"),
    }
}

/// The topic of a lane.
pub fn lane_topic(lane: Priority) -> Topic {
    match lane {
        Priority::Urgent => Topic::OutUrgent,
        Priority::Normal => Topic::OutNormal,
        Priority::Bulk => Topic::OutBulk,
    }
}

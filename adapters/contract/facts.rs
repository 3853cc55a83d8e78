//! What is known about a provider: numbers with their source, kept beside the code that relies on them.

use serde::Serialize;

use super::{Scope, State};

/// How a provider counts the length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Unicode code points.
    Chars,
    /// UTF-16 code units, as JavaScript counts.
    Utf16,
    /// UTF-8 bytes.
    Bytes,
}

impl Unit {
    /// The length of a text in this unit.
    pub fn count(self, text: &str) -> usize {
        match self {
            Self::Chars => text.chars().count(),
            Self::Utf16 => text.chars().map(char::len_utf16).sum(),
            Self::Bytes => text.len(),
        }
    }

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Chars => "characters",
            Self::Utf16 => "UTF-16 units",
            Self::Bytes => "bytes",
        }
    }
}

/// The longest text of a message.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TextLimit {
    /// How many.
    pub max: usize,
    /// Of what.
    pub unit: Unit,
}

/// A pace: at most `count` cost units in any sliding window of `window_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pace {
    /// What shares it.
    pub scope: Scope,
    /// How many cost units.
    pub count: u32,
    /// Milliseconds.
    pub window_ms: u64,
    /// How many may go at once when nothing went before, if the provider says more than one.
    pub burst: u32,
    /// Where this is said, and the day it was read.
    pub source: &'static str,
}

/// Who repeats a delivery that we did not acknowledge.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Redelivery {
    /// The status that makes the provider come back; 503 for most.
    pub status: u16,
    /// For how long it comes back, in seconds; 0 when it does not.
    pub for_secs: u64,
}

/// How well a channel carries one kind of part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// As the channel's own thing.
    Native,
    /// As the nearest thing a person would accept.
    Downgraded,
    /// Not at all: refused with a clear error.
    None,
}

/// What a channel can do, one column of the table in the README.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Abilities {
    /// Pictures, video, sound and files.
    pub media: Support,
    /// Buttons, lists, quick replies.
    pub choices: Support,
    /// Cards side by side.
    pub carousel: Support,
    /// A place on the map.
    pub location: Support,
    /// Templates the provider approves.
    pub templates: Support,
    /// Reactions to a message.
    pub reactions: Support,
    /// Showing that we are typing.
    pub typing: Support,
    /// Quoting the message answered.
    pub replies: Support,
    /// Changing a message of ours that the provider has: `Native` or `None`.
    pub edits: Support,
    /// Taking a message of ours back: `Native` or `None`.
    pub recalls: Support,
}

/// Everything that is known about a provider and is not code.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Facts {
    /// The provider's id: its folder, its word in the configuration, its metric label.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Address schemes of people on it, the first being its own.
    pub schemes: &'static [&'static str],
    /// What people use, the first being the usual one.
    pub mediums: &'static [&'static str],
    /// The longest text.
    pub text: TextLimit,
    /// Paces in force where the configuration says nothing.
    pub paces: &'static [Pace],
    /// Calls in flight per sender where the configuration says nothing.
    pub concurrency: u32,
    /// Whether inbound messages use up the same allowance (WhatsApp).
    pub shared_with_inbound: bool,
    /// Milliseconds within which the provider wants its answer.
    pub ack_deadline_ms: u64,
    /// Who repeats what.
    pub redelivery: Redelivery,
    /// Whether a delivery carries no proof and the URL must hold a token instead.
    pub needs_hook_token: bool,
    /// Whether reaching people takes something that was given to us and must be kept: brought by deliveries
    /// (`Parsed::handles`) or registered by an app.
    pub handles: bool,
    /// Whether repeating a call with the same key is safe at the provider.
    pub repeatable: bool,
    /// Whether our id comes back in receipts, so that a lost answer is settled by one.
    pub echoes_our_id: bool,
    /// How long to wait for such a receipt, in milliseconds.
    pub settle_ms: u64,
    /// The strongest state the provider reports.
    pub strongest: State,
    /// How long after a person's message we may answer freely, in milliseconds.
    pub reply_window_ms: Option<u64>,
    /// The largest delivery, in bytes; 0 for a provider that delivers nothing.
    pub max_body: usize,
    /// What it can do.
    pub can: Abilities,
}

impl Facts {
    /// Whether the provider delivers anything to us: messages, receipts, news.
    pub fn delivers(&self) -> bool {
        self.max_body > 0
    }
}

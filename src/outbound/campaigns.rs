//! What a message of ours hears at the gate: whether its campaign still wants it to go, and in which words.
//!
//! The engine asks in memory, once before a message is armed and once more before it leaves, so that a pause, a cancel or an
//! edit takes effect on what already lies in a lane.

use fairway_adapters::contract::{Mark, Reason, SendRequest, State, Time};

/// The answer before a message is armed.
#[derive(Clone, Debug)]
pub enum Word {
    /// It goes as it is.
    Go,
    /// It goes with this content: what it was made from has been edited since.
    Changed(Box<SendRequest>),
    /// Not before then. It is put aside and holds nobody behind it.
    Hold(Time, &'static str),
    /// It does not go.
    End(State, Reason),
}

/// Who knows the campaigns.
pub trait Campaigns: Send + Sync + 'static {
    /// What becomes of a message that is about to be armed.
    fn ask(&self, mark: &Mark, request: &SendRequest, now: Time) -> Word;
    /// Whether a message that is armed may still leave. Asked for every departure of ours, so it only looks something up.
    fn stands(&self, mark: &Mark) -> bool;
}

/// Nobody: every message goes.
pub struct NoCampaigns;

impl Campaigns for NoCampaigns {
    fn ask(&self, _: &Mark, _: &SendRequest, _: Time) -> Word {
        Word::Go
    }

    fn stands(&self, _: &Mark) -> bool {
        true
    }
}

//! Why messages are held, in the words that their states carry, and which rule each of these words is.

use crate::consent;

/// The rule behind a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Marketing goes within hours of the person's own day.
    QuietHours,
    /// The person has had all the marketing that caps allow.
    Cap,
    /// Outside its campaign's window.
    Window,
    /// Its campaign is paused.
    Paused,
    /// Its campaign was stopped by its canary.
    Stopped,
    /// Its channel is held by hand, or cannot send.
    Channel,
    /// It waits for room in a limit.
    Limit,
    /// It waits behind others.
    Behind,
    /// It waits for its next try; the words are what the try before came to.
    Retry,
}

impl Hold {
    /// All of them.
    pub const ALL: [Self; Self::Retry as usize + 1] =
        [Self::QuietHours, Self::Cap, Self::Window, Self::Paused, Self::Stopped, Self::Channel, Self::Limit, Self::Behind, Self::Retry];

    /// The rule that these words are.
    pub fn of(words: &str) -> Self {
        let begins = |with: &[&str]| with.iter().any(|w| words.starts_with(w));
        match words {
            OUTSIDE_WINDOW => Self::Window,
            PAUSED => Self::Paused,
            STOPPED => Self::Stopped,
            CHANNEL_HELD => Self::Channel,
            BEHIND_EARLIER | BEHIND_CHANNEL | WINDOW_FULL => Self::Behind,
            _ if words.starts_with(consent::quiet::HOURS) => Self::QuietHours,
            _ if begins(&[consent::CAP, consent::A_CAP]) => Self::Cap,
            _ if begins(&["waits for the limit", LIMIT_PEOPLE]) => Self::Limit,
            _ => Self::Retry,
        }
    }

    /// The word in metrics and in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::QuietHours => "quiet_hours",
            Self::Cap => "cap",
            Self::Window => "window",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Channel => "channel_held",
            Self::Limit => "limit",
            Self::Behind => "behind",
            Self::Retry => "retry",
        }
    }
}

/// [`Hold::Window`].
pub const OUTSIDE_WINDOW: &str = "outside its campaign's window on the person's clock";
/// [`Hold::Paused`].
pub const PAUSED: &str = "its campaign is paused";
/// [`Hold::Stopped`].
pub const STOPPED: &str = "its campaign was stopped by its canary";
/// [`Hold::Channel`].
pub const CHANNEL_HELD: &str = "its channel is held";
/// [`Hold::Behind`].
pub const BEHIND_EARLIER: &str = "waits behind an earlier message of its conversation";
/// [`Hold::Behind`].
pub const BEHIND_CHANNEL: &str = "waits behind earlier messages of its channel";
/// [`Hold::Behind`].
pub const WINDOW_FULL: &str = "its channel's share of the window is full";
/// [`Hold::Limit`].
pub const LIMIT_PEOPLE: &str = "waits until another person may be written to first: the limit of people is used up";
/// [`Hold::Limit`].
pub const LIMIT_GROUP: &str = "waits for the limit of its group";
/// [`Hold::Limit`].
pub const LIMIT_TEMPLATE: &str = "waits for the limit of its template";
/// [`Hold::Limit`].
pub const LIMIT_COUNTRY: &str = "waits for the limit of its country";
/// [`Hold::Limit`].
pub const LIMIT_CONVERSATION: &str = "waits for the limit per conversation";

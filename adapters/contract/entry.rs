//! Links by which people start a conversation, opened on a page or scanned as a QR code.

use super::RenderError;

/// The longest referral, in characters: what the strictest of the providers takes in its links.
pub const REFERRAL: usize = 64;

/// Whether a text can be a referral on every channel: 1 to 64 of `A-Z a-z 0-9 _ -`.
pub fn is_referral(text: &str) -> bool {
    (1..=REFERRAL).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// What a link is to bring along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// Where people come from, in a word of ours that [`is_referral`].
    pub referral: Option<&'a str>,
    /// What people find written, and may change before they send it.
    pub text: Option<&'a str>,
}

/// A link that starts a conversation, and what it does bring along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLink {
    /// The link.
    pub url: String,
    /// What stands in `referral.payload` of the event; `None` where the provider brings nothing back.
    pub referral: Option<String>,
    /// What people find written; `None` where the link has no place for it.
    pub text: Option<String>,
    /// What whoever hands the link out should know, in sentences.
    pub notes: Vec<&'static str>,
}

impl EntryLink {
    /// A channel that lacks what its link is made of; `remedy` says which setting it is and where to find its value.
    pub fn lacks(remedy: impl Into<String>) -> RenderError {
        RenderError::new("#", "entry_setting_missing", remedy)
    }
}

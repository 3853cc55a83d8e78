//! Channels on which people were asked to answer in words: where options went out as a numbered list, what comes in may be an answer
//! to it. Everywhere else nobody has to look.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;

/// What the names of the settings begin with that keep it for other nodes and after a restart.
pub const SETTINGS: &str = "worded/";

/// The channels. Cloning shares them.
#[derive(Clone, Default)]
pub struct Worded(Arc<RwLock<HashSet<Arc<str>>>>);

impl Worded {
    /// Whether people were asked in words there.
    pub fn has(&self, channel: &str) -> bool {
        self.0.read().contains(channel)
    }

    /// Notes that they were; true when it is new.
    pub fn note(&self, channel: &str) -> bool {
        !self.has(channel) && self.0.write().insert(channel.into())
    }
}

//! The channels in force, swapped whole on reload.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use super::Channels;

/// The channels in force. Cloning shares them.
#[derive(Clone)]
pub struct Live {
    current: Arc<RwLock<Arc<Channels>>>,
    changed: watch::Sender<u64>,
}

impl Live {
    /// Puts a first set in force.
    pub fn new(channels: Channels) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(channels))), changed: watch::channel(0).0 }
    }

    /// The set in force now. What was begun under it is finished under it.
    pub fn get(&self) -> Arc<Channels> {
        Arc::clone(&self.current.read())
    }

    /// Puts another set in force and tells everybody who watches.
    pub fn replace(&self, channels: Channels) {
        *self.current.write() = Arc::new(channels);
        self.changed.send_modify(|n| *n += 1);
    }

    /// Told at each replacement.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

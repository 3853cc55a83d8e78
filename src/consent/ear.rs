//! How far what people say has been heard.
//!
//! One node listens for all. After a crash, or while its duty changes hands, a STOP may stand in the log that nobody has heard yet;
//! marketing that left then would reach somebody who wants no more of it. So marketing leaves only while it is known that
//! everything said until a moment ago has been heard: by this node, or by another one, whose beat in the store says so.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;

/// What was said longer ago than this must have been heard, in microseconds. More than a beat, a look and the time both take.
const STALE: i64 = 2_000_000;

/// The state of one node. Times are microseconds on [`clock::steady`].
#[derive(Default)]
pub(super) struct Ear {
    state: Mutex<State>,
    turned: Notify,
}

#[derive(Default)]
struct State {
    /// Everything said until then has been heard.
    heard: Option<i64>,
    /// The last beat another node gave, and when the store was asked for it last.
    beat: (i64, i64),
}

impl Ear {
    /// Everything said until then has been heard.
    pub(super) fn heard(&self, until: i64) {
        let mut state = self.state.lock();
        state.heard = state.heard.max(Some(until));
        drop(state);
        self.turned.notify_waiters();
    }

    /// The listening node's beat, as the store had it at this time. A beat seen before tells nothing: nobody may be listening now.
    /// Nor does the first one, which may be old. A new one was given some time after the look before, and that is what it proves: the
    /// store may have been away in between, and the listener with it.
    pub(super) fn beat(&self, beat: i64, asked: i64) {
        let (last, looked) = std::mem::replace(&mut self.state.lock().beat, (beat, asked));
        if last != 0 && beat != last {
            self.heard(looked);
        }
    }

    /// Whether nothing that was said more than a moment ago is unheard.
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().heard.is_some_and(|heard| clock::steady() - heard < STALE)
    }

    /// Waits until that is so.
    pub(super) async fn opened(&self) {
        loop {
            let turned = self.turned.notified();
            tokio::pin!(turned);
            turned.as_mut().enable();
            if self.is_open() {
                return;
            }
            turned.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_known_to_be_recent_counts() {
        let ear = Ear::default();
        assert!(!ear.is_open(), "nobody has listened yet");
        ear.heard(clock::steady() - STALE);
        assert!(!ear.is_open(), "a while ago");
        let (opened, ()) = tokio::join!(tokio::time::timeout(std::time::Duration::from_secs(5), ear.opened()), async {
            ear.heard(clock::steady());
        });
        assert!(opened.is_ok() && ear.is_open());
        ear.heard(clock::steady() - STALE);
        assert!(ear.is_open(), "what is known is not unlearned");
    }

    #[test]
    fn a_beat_counts_when_it_is_new() {
        let ear = Ear::default();
        ear.beat(7, clock::steady());
        assert!(!ear.is_open(), "it may be the last one of a node that is gone");
        ear.beat(7, clock::steady());
        assert!(!ear.is_open(), "it is");
        ear.beat(8, clock::steady());
        assert!(ear.is_open());

        // The store was away for a while: somebody has listened since, nobody knows whether of late.
        let ear = Ear::default();
        ear.beat(7, clock::steady() - 2 * STALE);
        ear.beat(8, clock::steady());
        assert!(!ear.is_open(), "it may have been given right after the look before");
        ear.beat(9, clock::steady());
        assert!(ear.is_open());
    }
}

//! Which events this node has taken already.
//!
//! ```text
//!   unknown ──claim──▶ claimed ──settle(durable)──▶ known
//!      ▲                  │
//!      └──settle(failed)──┘   whoever waited claims again
//! ```
//!
//! The newest ids are exact in memory, in two generations; older ones lie in sorted runs on disk (`remember`).

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use dashmap::{DashMap, Entry};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::remember::Remembered;
use crate::ids::Fingerprint;

/// Fingerprints are hashes already.
#[derive(Default)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }
    fn write_u128(&mut self, value: u128) {
        self.0 = (value ^ value >> 64) as u64;
    }
}

type Set = HashSet<Fingerprint, BuildHasherDefault<Folded>>;

const SHARDS: usize = 64;

/// What claiming answers.
pub enum Claim {
    /// Ours to append.
    Won,
    /// Durable already.
    Known,
    /// Somebody else is appending it; `true` when it became durable, `false` (or an error) when it may be claimed again.
    Held(oneshot::Receiver<bool>),
}

/// The claims of this node.
pub struct Claims {
    held: DashMap<Fingerprint, Vec<oneshot::Sender<bool>>, BuildHasherDefault<Folded>>,
    shards: Vec<Mutex<[Set; 2]>>,
    per_shard: usize,
    remembered: Option<Arc<Remembered>>,
}

impl Claims {
    /// Exact for the newest `exact` ids; older ones are asked of `remembered`.
    pub fn new(exact: usize, remembered: Option<Arc<Remembered>>) -> Self {
        Self {
            held: DashMap::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            // Two generations: one full, one filling.
            per_shard: (exact / 2 / SHARDS).max(16),
            remembered,
        }
    }

    /// Claims an id. Never waits.
    pub fn claim(&self, id: Fingerprint) -> Claim {
        match self.held.entry(id) {
            Entry::Occupied(mut entry) => {
                let (sender, receiver) = oneshot::channel();
                entry.get_mut().push(sender);
                Claim::Held(receiver)
            }
            Entry::Vacant(entry) => {
                if self.known(id) {
                    return Claim::Known;
                }
                entry.insert(Vec::new());
                Claim::Won
            }
        }
    }

    /// Ends a claim: durable, or free again.
    pub fn settle(&self, id: Fingerprint, durable: bool) {
        if durable {
            // Known before it is released, so that nobody can slip in between.
            self.learn(id);
            if let Some(remembered) = &self.remembered {
                remembered.add(id);
            }
        }
        if let Some((_, waiting)) = self.held.remove(&id) {
            for sender in waiting {
                let _ = sender.send(durable);
            }
        }
    }

    /// Notes an id that was found in the log at the start.
    pub fn learn(&self, id: Fingerprint) {
        let mut shard = self.shards[id as usize % SHARDS].lock();
        if shard[0].len() >= self.per_shard {
            shard.swap(0, 1);
            // Dropping returns the memory of a burst; the next fills from small again.
            shard[0] = Set::default();
        }
        shard[0].insert(id);
    }

    fn known(&self, id: Fingerprint) -> bool {
        let shard = self.shards[id as usize % SHARDS].lock();
        let recent = shard[0].contains(&id) || shard[1].contains(&id);
        drop(shard);
        recent || self.remembered.as_ref().is_some_and(|r| r.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wins_and_the_rest_learn_what_came_of_it() {
        let claims = Claims::new(1000, None);
        assert!(matches!(claims.claim(7), Claim::Won));
        let Claim::Held(mut first) = claims.claim(7) else { panic!("held") };
        claims.settle(7, false);
        assert_eq!(first.try_recv(), Ok(false));
        assert!(matches!(claims.claim(7), Claim::Won));
        let Claim::Held(mut second) = claims.claim(7) else { panic!("held") };
        claims.settle(7, true);
        assert_eq!(second.try_recv(), Ok(true));
        assert!(matches!(claims.claim(7), Claim::Known));
    }

    #[test]
    fn the_newest_are_exact() {
        let claims = Claims::new(4096, None);
        let ids: Vec<Fingerprint> = (0..4096_u64).map(|i| crate::ids::fingerprint(&[&i.to_le_bytes()])).collect();
        ids.iter().for_each(|id| claims.settle(*id, true));
        let known = ids[4096 - 1500..].iter().filter(|id| matches!(claims.claim(**id), Claim::Known)).count();
        assert_eq!(known, 1500);
    }
}

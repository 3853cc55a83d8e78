//! Proofs that do not cover what they came with: whoever saw one could send something else with it. A token is bound to the
//! events it came with first; the same delivery may come again, another may not.

use std::collections::{HashMap, VecDeque};

use fairway_adapters::contract::Event;
use parking_lot::Mutex;

use crate::ids::{self, Fingerprint};

/// Tokens that are remembered, the newest: hours of a busy channel, 50 bytes each.
const TOKENS: usize = 500_000;

#[derive(Default)]
pub(super) struct Once(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    first: HashMap<Fingerprint, Fingerprint>,
    order: VecDeque<Fingerprint>,
}

impl Once {
    /// Whether the token is new, or comes with the events it came with before.
    pub(super) fn is_the_same(&self, token: &[&[u8]], events: &[Event<'_>]) -> bool {
        let token = ids::fingerprint(token);
        let keys: Vec<&[u8]> =
            events.iter().flat_map(|e| [e.body.kind().as_bytes(), e.key.as_deref().unwrap_or_default().as_bytes()]).collect();
        let what = ids::fingerprint(&keys);
        let mut seen = self.0.lock();
        if let Some(first) = seen.first.get(&token) {
            return *first == what;
        }
        seen.first.insert(token, what);
        seen.order.push_back(token);
        if seen.order.len() > TOKENS
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.first.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use fairway_adapters::contract::{Body, Receipt, State};

    use super::*;

    #[test]
    fn a_token_comes_again_only_with_what_it_came_with() {
        let event = |key: &'static str| Event {
            account: None,
            key: Some(key.into()),
            medium: "m".into(),
            peer: "".into(),
            time: None,
            body: Body::Receipt(Receipt::new("id", State::Sent)),
        };
        let once = Once::default();
        assert!(once.is_the_same(&[b"c", b"t1"], &[event("a")]));
        assert!(once.is_the_same(&[b"c", b"t1"], &[event("a")]), "repeated");
        assert!(!once.is_the_same(&[b"c", b"t1"], &[event("b")]), "forged");
        assert!(once.is_the_same(&[b"c", b"t2"], &[event("b")]) && once.is_the_same(&[b"d", b"t1"], &[event("b")]));
    }
}

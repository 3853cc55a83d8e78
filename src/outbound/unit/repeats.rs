//! Messages that may be repeats: the store is asked whether it knows them, and what their conversation sent after them waits.
//! What an owner before us settled stands in the ledger before our own record; until the views have read that far, they may not
//! know it yet, and their answer would have a message sent twice.

use std::sync::atomic::Ordering;

use super::orders::Lookup;
use super::*;
use crate::outbound::projector;
use fairway_adapters::contract::State;

/// Views that are behind are looked at again after this long.
const VIEWS_AGAIN: Duration = Duration::from_millis(100);

/// A conversation, hashed, in a lane.
type Line = (u64, usize);

/// A message as its lane brought it.
pub(super) struct Fed {
    message: Arc<Accepted>,
    lane: usize,
    offset: u64,
    again: bool,
}

/// What waits behind a look-up, by conversation and lane: without it, a later message that is no repeat would overtake.
pub(super) struct Behind<T>(HashMap<Line, VecDeque<T>>);

impl<T> Default for Behind<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Behind<T> {
    /// Takes it when its line waits; gives it back otherwise.
    fn hold(&mut self, line: Line, one: T) -> Option<T> {
        match self.0.get_mut(&line) {
            Some(waiting) => {
                waiting.push_back(one);
                None
            }
            None => Some(one),
        }
    }

    /// A look-up begins in this line.
    fn begin(&mut self, line: Line) {
        self.0.entry(line).or_default();
    }

    /// Whether a look-up is under way in this line.
    pub(super) fn waits(&self, line: Line) -> bool {
        self.0.contains_key(&line)
    }

    /// The next that waits; after the last the line is free.
    fn next(&mut self, line: Line) -> Option<T> {
        let next = self.0.get_mut(&line)?.pop_front();
        if next.is_none() {
            self.0.remove(&line);
        }
        next
    }
}

impl Unit {
    /// A message out of its lane, in its turn.
    pub(super) fn fed_message(&mut self, message: Arc<Accepted>, lane: usize, offset: u64, again: bool) {
        let line = (Accepted::conversation_hash(&message.conversation()), lane);
        let Some(fed) = self.behind.hold(line, Fed { message, lane, offset, again }) else { return };
        self.take_fed(line, fed);
    }

    /// Lets it in, or asks the store first; true when it asks.
    fn take_fed(&mut self, line: Line, fed: Fed) -> bool {
        let id = fed.message.id;
        if self.by_id.contains_key(&id) || self.receipts.knows(id) || self.schedule.has(id) {
            self.progress.done(fed.lane, fed.offset); // The same act, repeated.
            return false;
        }
        if fed.again && !self.told.contains_key(&id) {
            self.behind.begin(line);
            self.look_up_repeat(Lookup::Repeat { message: fed.message, lane: fed.lane, offset: fed.offset }, id);
            return true;
        }
        self.enter(fed.message, Source::Lane(fed.offset));
        false
    }

    /// Asks the store as soon as the views have read what owners before us did.
    fn look_up_repeat(&self, lookup: Lookup, id: MessageId) {
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        let (partition, owner_at, caught_up) = (projector::key(Topic::Ledger, self.unit), self.owner_at, Arc::clone(&self.views_caught_up));
        tokio::spawn(async move {
            while !caught_up.load(Ordering::Relaxed) {
                match store.views_at(partition).await {
                    Ok(next) if next.is_some_and(|next| next > owner_at) => caught_up.store(true, Ordering::Relaxed),
                    _ => tokio::time::sleep(VIEWS_AGAIN).await,
                }
            }
            let _ = events.send(Event::Found(Box::new(lookup), orders::found(&*store, id).await));
        });
    }

    /// The store has answered: the repeat is dropped or let in, then what waits behind it.
    pub(super) fn found_repeat(&mut self, repeated: Arc<Accepted>, lane: usize, offset: u64, known: Option<Message>) {
        let line = (Accepted::conversation_hash(&repeated.conversation()), lane);
        match known {
            // Begun by an owner before us, whether or not the views have read its record in the lane already.
            Some(known) if known.state > State::Accepted || self.schedule.has(repeated.id) => self.progress.done(lane, offset),
            // Only accepted as far as the views know: it may be this very record. The window knows what it holds.
            _ if self.by_id.contains_key(&repeated.id) || self.receipts.knows(repeated.id) => self.progress.done(lane, offset),
            _ => self.enter(repeated, Source::Lane(offset)),
        }
        while let Some(next) = self.behind.next(line) {
            if self.take_fed(line, next) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_look_up_waits_for_it_in_order() {
        let (line, other) = ((1, 0), (2, 0));
        let mut behind = Behind::default();
        assert_eq!(behind.hold(line, 'a'), Some('a'), "nothing is under way");
        behind.begin(line);
        assert_eq!((behind.hold(line, 'b'), behind.hold(line, 'c')), (None, None));
        assert_eq!(behind.hold(other, 'x'), Some('x'), "nobody else waits");
        assert_eq!(behind.hold((1, 1), 'u'), Some('u'), "nor another lane");
        assert_eq!(behind.next(line), Some('b'));
        // b is a repeat too: its look-up begins, and c goes on waiting.
        behind.begin(line);
        assert_eq!(behind.hold(line, 'd'), None);
        assert_eq!((behind.next(line), behind.next(line), behind.next(line)), (Some('c'), Some('d'), None));
        assert_eq!(behind.hold(line, 'e'), Some('e'), "the line is free");
    }
}

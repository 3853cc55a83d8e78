//! What providers gave us to answer people with: kept by the owner, so that what is good for one message is used once.

use super::*;
use crate::store;

/// Conversations at hand; the others are looked up in the store.
const AT_HAND: usize = 20_000;

/// Handles at hand. `None`: the store has none either.
pub(super) struct Handles(quick_cache::unsync::Cache<Arc<str>, Option<store::Handle>>);

impl Default for Handles {
    fn default() -> Self {
        Self(quick_cache::unsync::Cache::new(AT_HAND))
    }
}

impl Handles {
    /// What is at hand for a conversation; `None` when the store has to be asked.
    pub(super) fn at_hand(&self, conversation: &Arc<str>) -> Option<Option<&store::Handle>> {
        self.0.peek(conversation).map(Option::as_ref)
    }

    /// Takes what the store says, unless this or a newer one is at hand: a look-up may have begun before its last use.
    pub(super) fn learn(&mut self, conversation: Arc<str>, handle: Option<store::Handle>) {
        let at = |handle: &Option<store::Handle>| handle.as_ref().map(|h| h.at);
        if self.0.get(&conversation).is_none_or(|known| at(known) < at(&handle)) {
            self.0.insert(conversation, handle);
        }
    }
}

impl Unit {
    /// A delivery brought one: it is at hand at once, and the order is carried out when the store has it.
    pub(super) fn keep_handle(&mut self, offset: u64, channel: &str, peer: &str, handle: store::Handle) {
        let conversation: Arc<str> = format!("{channel}/{peer}").into();
        self.handles.learn(Arc::clone(&conversation), Some(handle.clone()));
        self.write_handle(conversation, handle, Written::Order(offset));
    }

    fn write_handle(&mut self, conversation: Arc<str>, handle: store::Handle, then: Written) {
        self.outbox.pending.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (store, events, writes) = (Arc::clone(&self.parts.store), self.events.clone(), Arc::clone(&self.outbox.pending));
        tokio::spawn(async move {
            while let Err(e) = store.keep_handle(&conversation, handle.clone()).await {
                let _ = events.send(Event::StoreFailed("what a person can be answered with is not kept", e.to_string()));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            writes.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            let _ = events.send(Event::Written(vec![then]));
        });
    }

    /// The store has answered: the message that waits for it is queued again.
    pub(super) fn handle_found(&mut self, number: Number, conversation: Arc<str>, handle: Option<store::Handle>) {
        self.handles.learn(conversation, handle);
        if let Some(entry) = self.items.get(&number).filter(|i| i.phase == Phase::Waiting).map(|i| i.entry.clone()) {
            self.lanes.wait(&entry, clock::steady());
        }
    }

    /// What a message can be answered with now. `Err`: the store has been asked, and its answer queues the message again.
    pub(super) fn handle_for(&mut self, entry: &lane::Entry) -> Result<Option<String>, ()> {
        let conversation = &entry.conversation;
        if !self.channels.get(&entry.channel).is_some_and(|s| s.channel.facts().handles) {
            return Ok(None);
        }
        let Some(known) = self.handles.0.get(conversation) else {
            let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
            let (number, conversation) = (entry.number, Arc::clone(conversation));
            tokio::spawn(async move {
                // A store that is away knows nothing yet: taken for "none", it would fail a message that cannot do without.
                let found = loop {
                    match store.handle(&conversation).await {
                        Ok(found) => break found,
                        Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                    }
                };
                let _ = events.send(Event::Handle(number, conversation, found));
            });
            return Err(());
        };
        let good = known.as_ref().filter(|handle| handle.is_good(clock::now()));
        Ok(good.and_then(|handle| self.parts.seal.open(conversation, &handle.sealed)))
    }

    /// A call leaves with it: one use less, also when nobody will know what came of the call.
    pub(super) fn use_handle(&mut self, conversation: &Arc<str>) {
        let Some(Some(handle)) = self.handles.0.get(conversation) else { return };
        let Some(left) = handle.uses else { return };
        let handle = store::Handle { uses: Some(left.saturating_sub(1)), ..handle.clone() };
        self.handles.0.insert(Arc::clone(conversation), Some(handle.clone()));
        self.write_handle(Arc::clone(conversation), handle, Written::Nothing);
    }
}

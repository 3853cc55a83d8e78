//! Orders: receipts, cancels, settlements. Receipts only move a message forward.

use super::published::{Known, Published};
use super::*;
use crate::log::Durability;
use crate::orders::{Order, Settle};
use crate::store::rank;
use fairway_adapters::contract::{Receipt, State, Status, Text};

/// Early receipts kept at hand.
const EARLY: usize = 10_000;

/// What the unit knows about messages it has published, and about receipts that came before them.
#[derive(Default)]
pub(super) struct Receipts {
    published: Published,
    early: HashMap<String, Vec<(u64, Receipt<'static>)>>,
    /// Channel and provider id (hashed) for which receipts lie in the store. What is older than a day there is gone; asking for
    /// it once more costs little.
    kept: HashSet<u64>,
}

fn kept_key(channel: &str, provider_id: &str) -> u64 {
    crate::ids::fingerprint(&[channel.as_bytes(), provider_id.as_bytes()]) as u64
}

/// A look-up in the store, and what it is for.
pub(super) enum Lookup {
    /// A receipt of a message that is not at hand.
    Receipt { offset: u64, channel: String, receipt: Receipt<'static> },
    /// A lane record whose sender may be repeating himself.
    Repeat { message: Arc<Accepted>, lane: usize, offset: u64 },
    /// A settlement of a message that has left the window.
    Settle { offset: u64, id: MessageId, how: Settle },
    /// A cancel of a message that is not in the window.
    Cancel { offset: u64, id: MessageId },
    /// A change of a message that was sent.
    Revise(Box<revise::Revising>),
}

impl Receipts {
    /// Receipts of this provider id lie in the store.
    pub(super) fn kept_for(&mut self, channel: &str, provider_id: &str) {
        self.kept.insert(kept_key(channel, provider_id));
    }

    pub(super) fn knows(&self, id: MessageId) -> bool {
        self.published.knows(id)
    }
}

impl Unit {
    pub(super) fn fed_order(&mut self, record: &Stored) {
        let offset = record.at.offset;
        if !self.progress.read_order(offset) {
            return;
        }
        if Order::is(record, "media") {
            return self.progress.done_order(offset); // The media room's.
        }
        match Order::read(record) {
            Some(Order::Receipt { channel, peer, receipt, .. }) => self.receipt(offset, channel, &peer, receipt),
            Some(Order::Cancel { id }) => match self.by_id.get(&id).copied() {
                Some(number) => {
                    self.cancel(number);
                    self.progress.done_order(offset);
                }
                None => self.look_up(Lookup::Cancel { offset, id }, id),
            },
            Some(Order::Settle { id, how }) => match self.by_id.get(&id).copied() {
                Some(number) => {
                    self.settle_by_hand(number, how);
                    self.progress.done_order(offset);
                }
                None => self.look_up(Lookup::Settle { offset, id, how }, id),
            },
            Some(Order::Handle { channel, peer, handle }) => self.keep_handle(offset, &channel, &peer, handle),
            Some(Order::Fallback { message, state, at }) => self.decide_fallback(offset, message, state, at),
            Some(Order::Revise { id, parts, until }) => {
                self.begin_revising(Box::new(revise::Revising { offset, id, parts, asked_at: Time(record.time), until, message: None }));
            }
            Some(Order::Received { channel, count, over_ms }) => {
                // One that lay in the log while nobody owned the unit says nothing about now.
                if clock::now().since(Time(record.time)) < 1000 {
                    self.lanes.received(&channel, count, Micros::from(over_ms) * 1000, clock::steady());
                }
                self.progress.done_order(offset);
            }
            Some(Order::Media { .. }) => self.progress.done_order(offset),
            None => {
                tracing::error!(unit = self.unit, offset, "an order cannot be read; it is passed over");
                self.progress.done_order(offset);
            }
        }
    }

    /// What a message with a fallback got to is dealt with beside this task; then the order is done.
    fn decide_fallback(&self, offset: u64, message: Box<Accepted>, state: State, at: Time) {
        let (done, dealt) = oneshot::channel();
        let sent = self.parts.fallbacks.send(super::super::fallback::Due { message, state, at, done });
        let events = self.events.clone();
        tokio::spawn(async move {
            // Not dealt with: the process stops, and the next owner reads the order again.
            if sent.is_ok() && dealt.await.is_ok() {
                let _ = events.send(Event::Written(vec![Written::Order(offset)]));
            }
        });
    }

    fn receipt(&mut self, offset: u64, channel: String, peer: &str, receipt: Receipt<'static>) {
        if let Some(watermark) = receipt.watermark {
            return self.watermark(offset, &channel, peer, &receipt, watermark);
        }
        let named = receipt.message_id.as_deref().and_then(|id| id.parse::<MessageId>().ok());
        let id = named.or_else(|| self.receipts.published.by_provider(&receipt.provider_message_id));
        if let Some(id) = id {
            if self.receipts.knows(id) {
                return self.apply(Some(offset), id, &receipt);
            }
            if let Some(number) = self.by_id.get(&id).copied() {
                return self.receipt_of_item(offset, number, receipt);
            }
        }
        match named {
            Some(id) => self.look_up(Lookup::Receipt { offset, channel, receipt }, id),
            None => self.look_up_provider(offset, channel, receipt),
        }
    }

    /// A receipt of a message still in the window: it settles a doubt, or waits until the answer is in the ledger.
    fn receipt_of_item(&mut self, offset: u64, number: Number, receipt: Receipt<'static>) {
        let provider_id = receipt.provider_message_id.to_string();
        // One of a call that was accepted before says nothing of the one in doubt.
        let doubt = self.items.get(&number).is_some_and(|i| matches!(i.phase, Phase::Doubt(_)) && !i.provider_ids.contains(&provider_id));
        self.keep_early(offset, &provider_id, receipt);
        if doubt {
            self.settled_as_sent(number, &provider_id);
        }
    }

    fn keep_early(&mut self, offset: u64, provider_id: &str, receipt: Receipt<'static>) {
        if self.receipts.early.len() >= EARLY {
            self.progress.done_order(offset);
            return;
        }
        // The order stays open until the receipt is applied, so a crash reads it again.
        self.receipts.early.entry(provider_id.to_owned()).or_default().push((offset, receipt));
    }

    /// Everything to this person up to then has got that far.
    fn watermark(&mut self, offset: u64, channel: &str, peer: &str, receipt: &Receipt<'static>, until: Time) {
        for id in self.receipts.published.of_conversation(&format!("{channel}/{peer}")) {
            let due = self.receipts.published.get(id).is_some_and(|k| k.sent_at <= until && k.state < receipt.state);
            if due {
                self.apply(None, id, receipt);
            }
        }
        self.progress.done_order(offset);
    }

    /// Moves a published message forward; what comes late goes nowhere but the count.
    fn apply(&mut self, offset: Option<u64>, id: MessageId, receipt: &Receipt<'static>) {
        let Some(known) = self.receipts.published.get_mut(id) else {
            if let Some(offset) = offset {
                self.progress.done_order(offset);
            }
            return;
        };
        let bounced = receipt.state == State::Failed && known.state >= State::Delivered && known.state <= State::Read;
        let forward = rank(known.attempt, receipt.state) > rank(known.attempt, known.state);
        // Members of a group read one by one: each is told, none moves the whole back.
        let of_member = receipt.recipient.as_deref().is_some_and(|who| who != known.to()) && receipt.state >= known.state;
        if !forward && !bounced && !of_member {
            if let Some(offset) = offset {
                self.progress.done_order(offset);
            }
            return;
        }
        if forward {
            known.state = receipt.state;
            crate::telemetry::counter(&crate::telemetry::names::STATES, &[&known.channel, receipt.state.word()]).increment(1);
        }
        let status = Status {
            message_id: id.to_string().into(),
            provider_message_id: known.provider_ids().next().map(|p| Text::Owned(p.to_owned())),
            state: receipt.state,
            detail: receipt.detail.clone(),
            at: receipt.at.unwrap_or_else(clock::now),
            attempt: Some(u32::from(known.attempt)),
            recipient: receipt.recipient.clone(),
            error: receipt.error.clone(),
            reason: None,
            until: None,
            late: bounced.then_some(true),
            cost: receipt.cost.clone(),
            metadata: known.metadata(),
            campaign: None,
            reminder: None,
            fallback_of: None,
            units: None,
        };
        let (attempt, at) = (known.attempt, status.at);
        let Some(known) = self.receipts.published.get(id) else { return };
        let state_id = publish::state_id(id, attempt, receipt.state, receipt.recipient.as_deref());
        let mut records = vec![self.status(known.about(), status, state_id)];
        if let Some(message) = known.whole() {
            records.extend(self.fallback_order(message, receipt.state, at));
        }
        self.persist(records, offset.map_or(Written::Nothing, Written::Order));
    }

    /// A message was published: it is kept at hand, and receipts that came before it are applied.
    pub(super) fn remember(&mut self, item: &Item, state: State) {
        let line = (Arc::clone(&item.entry.channel), Arc::clone(&item.entry.conversation));
        self.receipts.published.insert(Known::new(&item.message, line, (item.attempt, state), &item.provider_ids));
        for provider_id in &item.provider_ids {
            for (offset, receipt) in self.receipts.early.remove(provider_id).unwrap_or_default() {
                self.apply(Some(offset), item.message.id, &receipt);
            }
        }
        let channel = &item.message.channel;
        let kept: Vec<String> = item.provider_ids.iter().filter(|id| self.receipts.kept.remove(&kept_key(channel, id))).cloned().collect();
        if !kept.is_empty() {
            self.take_kept_receipts(channel.clone(), kept);
        }
    }

    /// Receipts that came before a restart and before their message.
    fn take_kept_receipts(&self, channel: String, ids: Vec<String>) {
        let (store, log, unit) = (Arc::clone(&self.parts.store), Arc::clone(&self.parts.log), self.unit);
        tokio::spawn(async move {
            for provider_id in ids {
                let Ok(kept) = store.take_receipts(&channel, &provider_id).await else { continue };
                // They go through the orders once more, so that one place alone applies receipts.
                let records = kept
                    .into_iter()
                    .filter_map(|bytes| serde_json::from_slice::<Order>(&bytes).ok())
                    .map(|order| order.record(unit, crate::ids::random()))
                    .collect();
                log.append(records, Durability::Log).await;
            }
        });
    }

    /// A doubt began: perhaps its receipt is here already.
    pub(super) fn look_for_early_receipt(&mut self, number: Number) {
        let Some(item) = self.items.get(&number) else { return };
        let id = item.message.id.to_string();
        let found = self
            .receipts
            .early
            .iter()
            .filter(|(provider_id, _)| !item.provider_ids.contains(provider_id))
            .find(|(_, list)| list.iter().any(|(_, r)| r.message_id.as_deref() == Some(&id)))
            .map(|(p, _)| p.clone());
        if let Some(provider_id) = found {
            self.settled_as_sent(number, &provider_id);
        }
    }

    pub(super) fn look_up(&self, lookup: Lookup, id: MessageId) {
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            let _ = events.send(Event::Found(Box::new(lookup), found(&*store, id).await));
        });
    }

    fn look_up_provider(&self, offset: u64, channel: String, receipt: Receipt<'static>) {
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            let found = loop {
                match store.by_provider_id(&channel, &receipt.provider_message_id).await {
                    Ok(found) => break found,
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            };
            let _ = events.send(Event::Found(Box::new(Lookup::Receipt { offset, channel, receipt }), found));
        });
    }

    pub(super) fn found(&mut self, lookup: Lookup, message: Option<Message>) {
        match lookup {
            Lookup::Repeat { message: repeated, lane, offset } => self.found_repeat(repeated, lane, offset, message),
            Lookup::Receipt { offset, channel, receipt } => self.found_for_receipt(offset, channel, receipt, message),
            Lookup::Revise(revising) => self.revise(Box::new(revise::Revising { message, ..*revising })),
            Lookup::Settle { offset, id, how } => self.found_for_settle(offset, id, how, message),
            Lookup::Cancel { offset, id } => {
                if message.is_none_or(|m| !m.state.settled()) {
                    self.cancel_row(id);
                }
                self.progress.done_order(offset);
            }
        }
    }

    fn found_for_receipt(&mut self, offset: u64, channel: String, receipt: Receipt<'static>, message: Option<Message>) {
        // It may have arrived in the window, or been published, while we looked.
        if let Some(id) = self.receipts.published.by_provider(&receipt.provider_message_id) {
            return self.apply(Some(offset), id, &receipt);
        }
        if let Some(message) = message
            && let Some((known, _)) = Known::of_view(&message)
        {
            let id = known.id;
            if let Some(number) = self.by_id.get(&id).copied() {
                return self.receipt_of_item(offset, number, receipt);
            }
            self.receipts.published.insert(known);
            return self.apply(Some(offset), id, &receipt);
        }
        let in_flight = self
            .items
            .values()
            .any(|i| *i.entry.channel == *channel && matches!(i.phase, Phase::InFlight | Phase::Closing | Phase::Doubt(_)));
        if in_flight {
            let provider_id = receipt.provider_message_id.to_string();
            return self.keep_early(offset, &provider_id, receipt);
        }
        // Nobody's, for now: kept for a day, and tried when a message with its id is accepted.
        let provider_id = receipt.provider_message_id.to_string();
        self.receipts.kept_for(&channel, &provider_id);
        let order = Order::Receipt { channel: channel.clone(), peer: String::new(), received_at: clock::now(), receipt };
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            let bytes = serde_json::to_vec(&order).unwrap_or_default();
            while store.keep_receipt(&channel, &provider_id, bytes.clone(), clock::now()).await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let _ = events.send(Event::Written(vec![Written::Order(offset)]));
        });
    }

    /// An operator's word about a message that has ended: in doubt or failed.
    fn found_for_settle(&mut self, offset: u64, id: MessageId, how: Settle, message: Option<Message>) {
        let ended = |known: &Known| matches!(known.state, State::InDoubt | State::Failed | State::Expired);
        let Some((known, mut again)) = message.as_ref().and_then(Known::of_view).filter(|(known, _)| ended(known)) else {
            return self.progress.done_order(offset);
        };
        match how {
            Settle::Sent => {
                let receipt = Receipt::new(known.provider_ids().next().unwrap_or_default().to_owned(), State::Sent);
                self.receipts.published.insert(known);
                self.apply(Some(offset), id, &receipt);
            }
            Settle::Drop => {
                let mut receipt = Receipt::new("", State::Cancelled);
                receipt.detail = Some("dropped by an operator".into());
                self.receipts.published.insert(known);
                self.apply(Some(offset), id, &receipt);
            }
            Settle::Retry => {
                // The same message once more in its lane; its next attempt ranks above the ended one.
                again.deadline = clock::now().plus(86_400_000);
                again.attempts = known.attempt;
                self.receipts.published.forget(id);
                self.persist(vec![again.record(false)], Written::Order(offset));
            }
        }
    }

    /// Cancels a message that lies in the schedule: it is loaded at once and ends.
    pub(super) fn cancel_row(&mut self, id: MessageId) {
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            if let Ok(Some(row)) = store.parked(id).await {
                let _ = events.send(Event::CancelRow(Box::new(row)));
            }
        });
    }

    pub(super) fn cancel_loaded(&mut self, row: &Row) {
        if let Some(number) = self.by_id.get(&row.id).copied() {
            return self.cancel(number);
        }
        self.load_early(row);
        if let Some(number) = self.by_id.get(&row.id).copied() {
            self.cancel(number);
        }
    }

    /// Loads a message that waits for its campaign: it asks again.
    pub(super) fn wake_row(&mut self, id: MessageId) {
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            if let Ok(Some(row)) = store.parked(id).await {
                let _ = events.send(Event::WakeRow(Box::new(row)));
            }
        });
    }

    pub(super) fn load_early(&mut self, row: &Row) {
        if self.by_id.contains_key(&row.id) || self.schedule.has(row.id) {
            return;
        }
        let Ok(message) = serde_json::from_slice::<Accepted>(&row.body) else { return };
        self.schedule.loaded_early(row);
        self.enter(Arc::new(message), Source::Schedule { round: row.round, position: row.position });
    }
}

/// A message of the views, whenever the store can tell.
pub(super) async fn found(store: &dyn Store, id: MessageId) -> Option<Message> {
    loop {
        match store.message(id).await {
            Ok(found) => return found,
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

//! Parking: what must wait longer than ten seconds leaves the window for the schedule, and comes back when it is due.
//!
//! Order of writes: ledger `parked`, schedule row, then the lane moves on. A new owner repeats the rows that were not written.
//!
//! The messages of a conversation and lane keep their order because their due times grow with their positions: what comes is parked
//! behind what lies there, and what has to go back postpones what lies behind it.

use super::schedule::{Held, Rows};
use super::*;
use crate::outbound::holds;
use crate::outbound::replay::Told;
use crate::store::{Postponed, Waiting};
use fairway_adapters::contract::State;

/// Rows written at a time.
const WRITE: usize = 256;
/// Whoever had a unit and lost it has read so in the ledger within this.
const OUTDONE: Duration = Duration::from_secs(2);

/// Why a message waits that was told its time.
const SCHEDULED: &str = "scheduled";

impl Unit {
    pub(super) async fn load_schedule_summary(&mut self) {
        while let Err(e) = self.parts.store.begin_schedule(self.unit, self.tenure).await {
            self.store_failed("the schedule cannot be taken over; outbound waits", &e.to_string());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        loop {
            let (waiting, held) = (self.parts.store.waiting(self.unit).await, self.parts.store.held(self.unit).await);
            match (waiting, held) {
                (Ok(waiting), Ok(held)) => {
                    let now = clock::now();
                    for Waiting { channel, lane, count, first } in waiting {
                        self.schedule.lanes.insert((channel.into(), lane), Rows::new(count, first, now));
                    }
                    for store::Held { conversation, lane, count, due, positions } in held {
                        let read_to = &mut self.schedule.read_to[feed::lane_index(lane)];
                        *read_to = (*read_to).max(positions.1 + 1);
                        let held = Held { count, latest: due, positions, back: None };
                        self.schedule.held.insert((conversation.into(), lane), held);
                    }
                    self.hold_told_rows().await;
                    return self.find_places().await;
                }
                (Err(e), _) | (_, Err(e)) => {
                    tracing::error!(unit = self.unit, error = %e, "the schedule cannot be read; outbound waits");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// What the ledger says of rows that stand in the schedule still is needed until they are deleted, however long that takes.
    async fn hold_told_rows(&mut self) {
        let told: Vec<MessageId> = self.told.iter().filter(|(_, told)| told.has_begun()).map(|(id, _)| *id).collect();
        for some in told.chunks(500) {
            let rows = loop {
                match self.parts.store.parked_among(some).await {
                    Ok(rows) => break rows,
                    Err(e) => {
                        self.store_failed("the schedule cannot be read; outbound waits", &e.to_string());
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            };
            for id in rows {
                self.progress.told_row(id, self.told[&id].first);
            }
        }
    }

    /// What the lanes bring again and has a row is not let in twice.
    async fn find_places(&mut self) {
        for lane in Priority::ALL {
            let from = self.progress.lane_next(feed::lane_index(lane));
            self.schedule.places[feed::lane_index(lane)] = loop {
                match self.parts.store.parked_from(self.unit, lane, from).await {
                    Ok(places) => break places,
                    Err(e) => {
                        self.store_failed("the schedule cannot be read; outbound waits", &e.to_string());
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            };
        }
    }

    /// Whether a message out of its lane must go to the schedule at once, and why.
    pub(super) fn must_queue_behind(&self, entry: &lane::Entry, position: u64) -> Option<&'static str> {
        let (channel, lane) = (&entry.channel, entry.lane);
        if self.lanes.held_until(channel, lane).is_some_and(|until| until > clock::steady() + land::PARK_AFTER) {
            return Some(holds::CHANNEL_HELD);
        }
        // What owners before us had in the window has its place there.
        let is_new = position >= self.schedule.read_to[feed::lane_index(lane)];
        if is_new && self.schedule.lanes.get(&(Arc::clone(channel), lane)).is_some_and(|r| r.overflow > 0) {
            return Some(holds::BEHIND_CHANNEL);
        }
        // Alone, a full window stops the feed instead, which costs nothing.
        if self.channels.len() > 1 && self.depth(channel, lane) >= self.share(channel) {
            return Some(holds::WINDOW_FULL);
        }
        None
    }

    /// Parks a message until its own time.
    pub(super) fn park_scheduled(&mut self, number: Number, at: Time) {
        if let Some(item) = self.items.get_mut(&number) {
            item.scheduled = true;
        }
        self.park(number, at, SCHEDULED, None);
    }

    /// Parks a message that waits for its campaign: unlike one that waits for its turn, it holds nobody behind it.
    pub(super) fn park_apart(&mut self, number: Number, until: Time, why: &str) {
        if let Some(item) = self.items.get_mut(&number) {
            item.scheduled = true;
        }
        self.park(number, until, why, None);
    }

    /// Parks a message. `round` repeats a parking the ledger knows already.
    pub(super) fn park(&mut self, number: Number, due: Time, why: &str, round: Option<u16>) {
        let Some(item) = self.items.get_mut(&number) else { return };
        item.phase = Phase::Closing;
        item.round = round.unwrap_or(item.round + 1);
        let mut due = due.max(Time(0));
        if !item.scheduled && !item.alone {
            (due, item.postpones) = self.schedule.hold(&item.entry, item.source.position(), due);
        }
        let due = due.min(item.message.deadline);
        item.parked_why = why.to_owned();
        let parked = ledger::Entry::Parked { id: item.message.id, round: item.round, due };
        let state = if why == SCHEDULED { State::Scheduled } else { State::Held };
        // It waits for its next attempt, and that is what its state stands for.
        let next = if item.attempt > 0 { item.attempt + 1 } else { 0 };
        let (id, attempt, message) = (item.message.id, next, Arc::clone(&item.message));
        let mut records = vec![parked.record(self.unit, self.tenure)];
        // The overflow of a channel is no decision about the message: saying `held` for each of a million helps nobody.
        if item.scheduled || due.since(clock::now()) > 0 {
            let status = fairway_adapters::contract::Status {
                message_id: id.to_string().into(),
                provider_message_id: None,
                state,
                detail: None,
                at: clock::now(),
                attempt: (attempt > 0).then_some(u32::from(attempt)),
                recipient: None,
                error: item.reason.clone(),
                reason: Some(why.to_owned().into()),
                until: Some(due),
                late: None,
                cost: None,
                metadata: None,
                campaign: None,
                reminder: None,
                fallback_of: None,
                units: None,
            };
            let round = self.items[&number].round.to_string();
            records.push(self.status(
                publish::About::of(&message, &message.conversation()),
                status,
                publish::state_id(id, attempt, state, Some(&round)),
            ));
        }
        self.persist(records, Written::Parked(number, due));
    }

    /// Parks a message and all behind it in its conversation, so that their order stays.
    pub(super) fn park_with_followers(&mut self, number: Number, due: Time, why: &str) {
        let Some(entry) = self.items.get(&number).map(|i| i.entry.clone()) else { return };
        let followers = self.lanes.behind(&entry);
        self.park(number, due, why, None);
        for follower in followers {
            if self.items.get(&follower).is_some_and(|i| i.phase == Phase::Waiting) {
                self.park(follower, due, holds::BEHIND_EARLIER, None);
            }
        }
    }

    /// The ledger has it: the row is written, then the message leaves the window.
    pub(super) fn parked(&mut self, number: Number, due: Time) {
        let Some(item) = self.items.get(&number) else { return };
        let row = Row {
            id: item.message.id,
            channel: item.message.channel.clone(),
            lane: item.entry.lane,
            due,
            round: item.round,
            // What goes on in its middle goes on in the attempt that its state waits for.
            attempt: item.attempt + u16::from(item.calls > 0),
            conversation: item.entry.conversation.to_string(),
            position: item.source.position(),
            scheduled: item.scheduled || item.alone,
            reason: item.parked_why.clone(),
            body: serde_json::to_vec(&*item.message).unwrap_or_default(),
        };
        let postponed =
            item.postpones.then(|| Postponed { conversation: row.conversation.clone(), lane: row.lane, position: row.position, due });
        self.schedule.unwritten.push_back((number, row, postponed));
        self.outbox.pending.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.write_rows();
    }

    /// Writes what is to be parked, one write after the other: a row that came to be there before an earlier one of its conversation
    /// could leave before it.
    fn write_rows(&mut self) {
        if self.schedule.writing || self.schedule.unwritten.is_empty() {
            return;
        }
        self.schedule.writing = true;
        let count = self.schedule.unwritten.len().min(WRITE);
        let (mut written, mut behind) = (Vec::new(), Vec::new());
        for (number, row, postponed) in self.schedule.unwritten.drain(..count) {
            written.push((number, row));
            behind.extend(postponed);
        }
        let (store, events, pending) = (Arc::clone(&self.parts.store), self.events.clone(), Arc::clone(&self.outbox.pending));
        let (unit, tenure) = (self.unit, self.tenure);
        tokio::spawn(async move {
            let rows: Vec<Row> = written.iter().map(|(_, row)| row.clone()).collect();
            while let Err(e) = store.park(unit, tenure, rows.clone(), behind.clone()).await {
                if e.is_guarded() {
                    tokio::time::sleep(OUTDONE).await;
                    if events.is_closed() {
                        return; // Another owner has the unit, and the ledger tells him of them.
                    }
                    // The unit is ours still: one who had it before us came late to the store.
                    let _ = store.begin_schedule(unit, tenure).await;
                    continue;
                }
                let _ = events.send(Event::StoreFailed("messages cannot be parked", e.to_string()));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            pending.fetch_sub(written.len(), std::sync::atomic::Ordering::Relaxed);
            let _ = events.send(Event::RowsWritten(written));
        });
    }

    pub(super) fn rows_written(&mut self, rows: Vec<(Number, Row)>) {
        self.schedule.writing = false;
        self.write_rows();
        rows.into_iter().for_each(|(number, row)| self.row_written(number, &row));
    }

    fn row_written(&mut self, number: Number, row: &Row) {
        let Some(item) = self.items.remove(&number) else { return };
        self.by_id.remove(&row.id);
        self.lanes.remove(&item.entry, false);
        self.schedule.loaded.remove(&row.id);
        match item.source {
            Source::Lane(offset) => self.progress.done(feed::lane_index(row.lane), offset),
            // Its row has a later round now: the old one is gone, and counts anew.
            Source::Schedule { .. } => self.progress.row_gone(row.id),
        }
        // Calls that are there already are not made again when it comes back.
        if item.calls > 0 {
            let first = item.first_ledger.unwrap_or_default();
            let told = Told { attempt: row.attempt, calls: item.calls, provider_ids: item.provider_ids, first, ..Told::default() };
            self.told.insert(row.id, told);
            self.progress.told_row(row.id, first);
        }
        self.schedule.add(row);
        if !row.scheduled && row.due <= clock::now() {
            self.schedule.lanes.entry((row.channel.as_str().into(), row.lane)).or_default().overflow += 1;
        }
        if item.cancel {
            self.cancel_row(row.id);
        }
    }

    /// Parks what stands in the window and cannot leave soon: whole channels that are held, and conversations at their limit.
    pub(super) fn park_long_waits(&mut self, now: Micros) {
        let lanes = self.channels.keys().flat_map(|channel| Priority::ALL.map(|lane| (Arc::clone(channel), lane)));
        let until = |channel: &str, lane| self.lanes.held_until(channel, lane).filter(|until| *until > now + land::PARK_AFTER);
        let held: Vec<_> = lanes.filter_map(|(channel, lane)| Some((until(&channel, lane)?, channel, lane))).collect();
        for (until, channel, lane) in held {
            let why = self.channels.get(&channel).and_then(|s| s.suspended.clone()).unwrap_or_else(|| holds::CHANNEL_HELD.into());
            let waits = |i: &Item| i.phase == Phase::Waiting && i.entry.channel == channel && i.entry.lane == lane;
            let waiting: Vec<Number> = self.items.iter().filter(|(_, i)| waits(i)).map(|(n, _)| *n).collect();
            // What is held by hand may be let go at any time: due now, it is loaded then, because held lanes load nothing.
            let due = if self.lanes.is_paused(&channel, lane, now) { clock::now() } else { clock::wall_at(until) };
            for number in waiting {
                self.park(number, due, &why, None);
            }
        }
        for (number, at, scope) in self.lanes.long_waits(now + land::PARK_AFTER) {
            if self.items.get(&number).is_some_and(|i| i.phase == Phase::Waiting) {
                let why = match scope {
                    Some(Scope::Account) => holds::LIMIT_PEOPLE,
                    Some(Scope::Group) => holds::LIMIT_GROUP,
                    Some(Scope::Template) => holds::LIMIT_TEMPLATE,
                    Some(Scope::Country) => holds::LIMIT_COUNTRY,
                    _ => holds::LIMIT_CONVERSATION,
                };
                self.park_with_followers(number, clock::wall_at(at), why);
            }
        }
    }

    /// What happens once a second.
    pub(super) fn every_second(&mut self) {
        let now = clock::steady();
        self.settle_doubts(now);
        self.end_stopped();
        self.expire(now);
        self.park_long_waits(now);
        self.take_due_again();
        self.delete_rows();
        self.resume_feeds();
        self.end_throttles();
        self.save_learned();
        self.checkpoint();
        self.meter(now);
    }

    fn expire(&mut self, _now: Micros) {
        let wall = clock::now();
        let late: Vec<Number> =
            self.items.iter().filter(|(_, i)| i.phase == Phase::Waiting && i.message.deadline <= wall).map(|(n, _)| *n).collect();
        for number in late {
            let reason = self.items.get(&number).and_then(|i| i.reason.clone());
            self.close(number, State::Expired, reason);
        }
    }

    fn meter(&self, now: Micros) {
        for (id, standing) in &self.channels {
            let meters = &standing.meters;
            for (i, lane) in Priority::ALL.into_iter().enumerate() {
                meters.depth[i].set(self.depth(id, lane) as f64);
                let oldest = self.items.values().find(|it| it.entry.channel == *id && it.entry.lane == lane).map_or(0, |it| now - it.came);
                meters.lag[i].set(oldest as f64 / 1e6);
            }
            meters.parked.set(self.schedule.count(id) as f64);
            meters.doubt.set(self.items.values().filter(|i| matches!(i.phase, Phase::Doubt(_)) && i.entry.channel == *id).count() as f64);
            meters.suspended.set(if standing.suspended.is_some() { 1.0 } else { 0.0 });
        }
    }
}

//! Parking: what must wait longer than ten seconds leaves the window for the schedule, and comes back when it is due.
//!
//! Order of writes: ledger `parked`, schedule row, then the lane moves on. A new owner repeats the rows of its tail.

use super::*;
use crate::outbound::replay::Told;
use crate::store::Waiting;
use fairway_adapters::contract::State;

/// Rows loaded at a time.
const LOAD: usize = 256;

/// Why a message waits that was told its time.
const SCHEDULED: &str = "scheduled";

/// What of the unit lies in the schedule.
#[derive(Default)]
pub(super) struct Schedule {
    lanes: HashMap<(Arc<str>, Priority), Rows>,
    /// Conversations with rows that hold back what comes behind: how many, and the latest due time.
    held: HashMap<Arc<str>, (u32, Time)>,
    /// Rows in the window.
    loaded: HashSet<MessageId>,
    /// Settled rows to delete, with their round.
    gone: Vec<(MessageId, u16)>,
    deleting: bool,
}

#[derive(Default)]
struct Rows {
    count: u64,
    next: Option<Time>,
    cursor: Cursor,
    loading: bool,
    /// Rows that stand there because the channel was full or held: new messages queue behind them.
    overflow: u64,
}

impl Schedule {
    pub(super) fn count(&self, channel: &str) -> u64 {
        self.lanes.iter().filter(|((c, _), _)| &**c == channel).map(|(_, r)| r.count).sum()
    }

    pub(super) fn has(&self, id: MessageId) -> bool {
        self.loaded.contains(&id)
    }

    fn add(&mut self, row: &Row) {
        let rows = self.lanes.entry((row.channel.as_str().into(), row.lane)).or_default();
        rows.count += 1;
        rows.next = Some(rows.next.map_or(row.due, |n| n.min(row.due)));
        // Rows are written side by side, and after a restart with their old times: one with an earlier time than what was
        // loaded already would never be seen, so the loader goes back. What it meets twice it knows.
        rows.cursor = rows.cursor.min((row.due.0.saturating_sub(1), i64::MAX));
        if !row.scheduled {
            let held = self.held.entry(row.conversation.as_str().into()).or_insert((0, row.due));
            // What was counted before a restart is unknown, and stands there as the largest number.
            *held = (held.0.saturating_add(1), held.1.max(row.due));
        }
    }

    fn release(&mut self, conversation: &str) {
        if let Some(held) = self.held.get_mut(conversation) {
            held.0 = held.0.saturating_sub(1);
            if held.0 == 0 {
                self.held.remove(conversation);
            }
        }
    }

    /// A row that enters the window before it is due.
    pub(super) fn loaded_early(&mut self, row: &Row) {
        self.loaded.insert(row.id);
        if let Some(rows) = self.lanes.get_mut(&(Arc::from(row.channel.as_str()), row.lane)) {
            rows.count = rows.count.saturating_sub(1);
        }
        if !row.scheduled {
            self.release(&row.conversation);
        }
    }

    pub(super) fn settled(&mut self, id: MessageId, round: u16) {
        self.gone.push((id, round));
    }
}

impl Unit {
    pub(super) async fn load_schedule_summary(&mut self) {
        loop {
            let (waiting, held) = (self.parts.store.waiting(self.unit).await, self.parts.store.held(self.unit).await);
            match (waiting, held) {
                (Ok(waiting), Ok(held)) => {
                    let now = clock::now();
                    for Waiting { channel, lane, count, first } in waiting {
                        let overflow = if first <= now { count } else { 0 };
                        let rows = Rows { count, next: Some(first), cursor: (i64::MIN, 0), loading: false, overflow };
                        self.schedule.lanes.insert((channel.into(), lane), rows);
                    }
                    self.schedule.held = held.into_iter().map(|(c, due)| (c.into(), (u32::MAX, due))).collect();
                    return self.hold_told_rows().await;
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

    /// Whether a new message must go to the schedule at once, until when, and why.
    pub(super) fn must_queue_behind(&self, channel: &Arc<str>, conversation: &str, lane: Priority) -> Option<(Time, &'static str)> {
        let now = clock::steady();
        if let Some((_, due)) = self.schedule.held.get(conversation) {
            return Some(((*due).max(clock::now()), "waits behind an earlier message of its conversation"));
        }
        if self.lanes.held_until(channel, lane).is_some_and(|until| until > now + land::PARK_AFTER) {
            return Some((clock::now(), "its channel is held"));
        }
        if self.schedule.lanes.get(&(Arc::clone(channel), lane)).is_some_and(|r| r.overflow > 0) {
            return Some((clock::now(), "waits behind earlier messages of its channel"));
        }
        // Alone, a full window stops the feed instead, which costs nothing.
        if self.channels.len() > 1 && self.depth(channel, lane) >= self.share(channel) {
            return Some((clock::now(), "its channel's share of the window is full"));
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
        let due = due.max(Time(0)).min(item.message.deadline);
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
                self.park(follower, due, "waits behind an earlier message of its conversation", None);
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
            scheduled: item.scheduled || item.alone,
            reason: item.parked_why.clone(),
            body: serde_json::to_vec(&*item.message).unwrap_or_default(),
        };
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        self.outbox.pending.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let writes = Arc::clone(&self.outbox.pending);
        tokio::spawn(async move {
            while let Err(e) = store.park(vec![row.clone()]).await {
                let _ = events.send(Event::StoreFailed("a message cannot be parked", e.to_string()));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            writes.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            let _ = events.send(Event::RowWritten(number, Box::new(row)));
        });
    }

    pub(super) fn row_written(&mut self, number: Number, row: &Row) {
        let Some(item) = self.items.remove(&number) else { return };
        self.by_id.remove(&row.id);
        self.lanes.remove(&item.entry, false);
        self.schedule.loaded.remove(&row.id);
        match item.source {
            Source::Lane(offset) => self.progress.done(feed::lane_index(row.lane), offset),
            // Its row has a later round now: the old one is gone, and counts anew.
            Source::Schedule(_) => self.progress.row_gone(row.id),
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

    /// Loads what is due, as far as windows have room.
    pub(super) fn load_due(&mut self) {
        let now = clock::now();
        let steady = clock::steady();
        let mut wanted = Vec::new();
        for ((channel, lane), rows) in &mut self.schedule.lanes {
            if rows.loading || rows.count == 0 || rows.next.is_none_or(|n| n > now) {
                continue;
            }
            if self.lanes.held_until(channel, *lane).is_some_and(|until| until > steady + land::PARK_AFTER) {
                continue;
            }
            rows.loading = true;
            wanted.push((Arc::clone(channel), *lane, rows.cursor));
        }
        for (channel, lane, cursor) in wanted {
            let room = self.share(&channel).saturating_sub(self.depth(&channel, lane)).min(LOAD);
            if room == 0 {
                if let Some(rows) = self.schedule.lanes.get_mut(&(channel, lane)) {
                    rows.loading = false;
                }
                continue;
            }
            let (store, events, unit) = (Arc::clone(&self.parts.store), self.events.clone(), self.unit);
            tokio::spawn(async move {
                let rows = match store.due(unit, &channel, lane, cursor, now, room).await {
                    Ok(rows) => rows,
                    Err(e) => {
                        let _ = events.send(Event::StoreFailed("the schedule cannot be read", e.to_string()));
                        Vec::new()
                    }
                };
                let _ = events.send(Event::Due(channel, lane, rows));
            });
        }
    }

    pub(super) fn loaded(&mut self, channel: &Arc<str>, lane: Priority, rows: Vec<(Cursor, Row)>) {
        let now = clock::now();
        let Some(state) = self.schedule.lanes.get_mut(&(Arc::clone(channel), lane)) else { return };
        state.loading = false;
        // Nothing more is due: the next look is at the next row's time, which a second's tick finds soon enough.
        if rows.is_empty() {
            state.overflow = 0;
            state.next = Some(now.plus(1000));
        }
        for (cursor, row) in rows {
            if let Some(state) = self.schedule.lanes.get_mut(&(Arc::clone(channel), lane)) {
                state.cursor = state.cursor.max(cursor);
            }
            if self.by_id.contains_key(&row.id) || !self.schedule.loaded.insert(row.id) {
                continue;
            }
            if let Some(state) = self.schedule.lanes.get_mut(&(Arc::clone(channel), lane)) {
                state.count = state.count.saturating_sub(1);
                state.overflow = state.overflow.saturating_sub(1);
            }
            if !row.scheduled {
                self.schedule.release(&row.conversation);
            }
            match serde_json::from_slice::<Accepted>(&row.body) {
                Ok(message) => {
                    let (id, attempt) = (message.id, row.attempt);
                    self.enter(Arc::new(message), Source::Schedule(row.round));
                    if let Some(item) = self.by_id.get(&id).and_then(|n| self.items.get_mut(n)) {
                        item.attempt = item.attempt.max(attempt);
                    }
                }
                Err(e) => {
                    tracing::error!(unit = self.unit, error = %e, "a row of the schedule holds no message; it is let go");
                    self.schedule.settled(row.id, row.round);
                }
            }
        }
    }

    /// Deletes settled rows. Their ledger records are needed until this is done.
    pub(super) fn delete_rows(&mut self) {
        if self.schedule.deleting || self.schedule.gone.is_empty() {
            return;
        }
        self.schedule.deleting = true;
        let gone = std::mem::take(&mut self.schedule.gone);
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            let done = store.unpark(gone.clone()).await.is_ok();
            let _ = events.send(Event::RowsGone(gone, done));
        });
    }

    pub(super) fn rows_gone(&mut self, rows: Vec<(MessageId, u16)>, done: bool) {
        self.schedule.deleting = false;
        if !done {
            self.schedule.gone.extend(rows);
            return;
        }
        for (id, _) in rows {
            self.progress.row_gone(id);
            self.schedule.loaded.remove(&id);
        }
    }

    /// Parks what stands in the window and cannot leave soon: whole channels that are held, and conversations at their limit.
    pub(super) fn park_long_waits(&mut self, now: Micros) {
        let lanes = self.channels.keys().flat_map(|channel| Priority::ALL.map(|lane| (Arc::clone(channel), lane)));
        let until = |channel: &str, lane| self.lanes.held_until(channel, lane).filter(|until| *until > now + land::PARK_AFTER);
        let held: Vec<_> = lanes.filter_map(|(channel, lane)| Some((until(&channel, lane)?, channel, lane))).collect();
        for (until, channel, lane) in held {
            let why = self.channels.get(&channel).and_then(|s| s.suspended.clone()).unwrap_or_else(|| "its channel is held".into());
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
                    Some(Scope::Account) => "waits until another person may be written to first: the limit of people is used up",
                    Some(Scope::Group) => "waits for the limit of its group",
                    Some(Scope::Template) => "waits for the limit of its template",
                    Some(Scope::Country) => "waits for the limit of its country",
                    _ => "waits for the limit per conversation",
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
        self.load_due();
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

//! What comes in: lane records, orders, the unit's own ledger read back.

use super::*;
use crate::outbound::accepted::{Accepted, lane_topic};
use fairway_adapters::contract::State;

/// Messages in the window of one channel and lane, at most; fewer for a slow channel.
const SHARE: usize = 4096;
/// What may stand in the window of a slow channel: what leaves within this.
const WINDOW: Micros = 10_000_000;

impl Unit {
    pub(super) fn new(parts: Arc<Parts>, unit: u32, replay: Replay, feeder: Feeder, events: mpsc::UnboundedSender<Event>) -> Self {
        let read_back = (parts.log.health().kind == "kafka").then_some(replay.owner_at + 1);
        Self {
            parts,
            unit,
            tenure: replay.tenure,
            owner_at: replay.owner_at,
            lanes: Lanes::default(),
            items: BTreeMap::new(),
            by_id: HashMap::new(),
            number: 0,
            armed: Default::default(),
            told: replay.told,
            behind: Default::default(),
            views_caught_up: Arc::default(),
            departures: replay.departures,
            feeder,
            events,
            read_back,
            unconfirmed: BTreeMap::new(),
            progress: checkpoint::Progress::new(replay.lanes, replay.orders, replay.told_from, replay.owner_at),
            paused_feeds: HashSet::new(),
            schedule: schedule::Schedule::default(),
            receipts: orders::Receipts::default(),
            handles: handles::Handles::default(),
            revising: HashMap::new(),
            asking: asking::Asking::default(),
            channels: HashMap::new(),
            outbox: outbox::Outbox::default(),
            lost: false,
        }
    }

    /// Reads what waits, then starts reading lanes and orders.
    pub(super) async fn begin(&mut self) {
        self.load_schedule_summary().await;
        self.load_commands().await;
        self.load_learned().await;
        self.load_awaited_receipts().await;
        for (topic, offset) in
            [(Topic::OutUrgent, 0), (Topic::OutNormal, 1), (Topic::OutBulk, 2)].map(|(t, i)| (t, self.progress.lane_next(i)))
        {
            self.assign(topic, offset);
        }
        self.assign(Topic::Orders, self.progress.orders_next());
        if let Some(from) = self.read_back {
            self.assign(Topic::Ledger, from);
        }
        self.refill_limits();
    }

    /// Pauses and limits given by hand hold over a restart, and with another owner. One read for all channels: there may be
    /// ten thousand.
    async fn load_commands(&mut self) {
        if self.channels.is_empty() {
            return;
        }
        let (pauses, throttles) = (self.settings(PAUSES).await, self.settings(THROTTLES).await);
        for channel in self.channels.keys().map(|c| c.to_string()).collect::<Vec<_>>() {
            for lane in [None].into_iter().chain(Priority::ALL.map(Some)) {
                let pause = pauses.get(&pause_setting(&channel, lane)).and_then(|until| until.parse().ok());
                if let Some(until) = pause.map(Time).filter(|until| *until > clock::now()) {
                    self.answer(Ask::Pause(channel.clone(), lane, Some(until)));
                }
            }
            let throttle = throttles.get(&throttle_setting(&channel));
            if let Some((rate, until)) = throttle.and_then(|t| serde_json::from_str(t).ok()) {
                self.answer(Ask::Throttle(channel, Some(rate), until));
                self.end_throttles();
            }
        }
    }

    async fn load_awaited_receipts(&mut self) {
        let channels: Vec<String> = self.channels.keys().map(|c| c.to_string()).collect();
        for some in channels.chunks(500) {
            loop {
                match self.parts.store.awaited_receipts(some).await {
                    Ok(awaited) => break awaited.iter().for_each(|(channel, id)| self.receipts.kept_for(channel, id)),
                    Err(e) => {
                        self.store_failed("early receipts cannot be read; outbound waits", &e.to_string());
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        }
    }

    pub(super) async fn settings(&mut self, beginning: &str) -> HashMap<String, String> {
        loop {
            match self.parts.store.settings(beginning).await {
                Ok(settings) => return settings,
                Err(e) => {
                    self.store_failed("settings cannot be read; outbound waits", &e.to_string());
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    pub(super) fn assign(&self, topic: Topic, offset: u64) {
        self.feeder.assign(Position { topic, partition: self.unit, offset });
    }

    /// What left before counts against the limits, so that a restart never begins with a burst.
    pub(super) fn refill_limits(&mut self) {
        let departures = std::mem::take(&mut self.departures);
        let by_hash: HashMap<u32, Arc<str>> = self.channels.keys().map(|c| (Accepted::channel_hash(c), Arc::clone(c))).collect();
        for left in departures {
            let Some(channel) = by_hash.get(&left.channel) else { continue };
            let entry = lane::Entry {
                number: 0,
                channel: Arc::clone(channel),
                conversation: "".into(),
                lane: Priority::Normal,
                share: Arc::default(),
                counted: left.counted,
            };
            // It has left already, whatever the clock of its node said: one that was ahead must not hold this one up until then.
            self.lanes.charge(&entry, clock::steady_at(left.at).min(clock::steady()));
        }
    }

    pub(super) fn on(&mut self, event: Event) {
        match event {
            Event::Fed(records) => records.into_iter().for_each(|r| self.fed(r)),
            Event::Confirmed(outcomes) => self.confirmed(outcomes),
            Event::Landed(number, landing, took) => self.landed(number, landing, took),
            Event::LeftLate(number, counted, left) => {
                if let Some(item) = self.items.get(&number) {
                    self.lanes.left_late(&item.entry, counted, left);
                }
            }
            Event::Written(written) => written.into_iter().for_each(|w| self.written(w)),
            Event::Due(channel, lane, rows, next) => self.found_due(&channel, lane, rows, next),
            Event::Found(lookup, message) => self.found(*lookup, message),
            Event::Revise(revising) => self.revise(revising),
            Event::Revised(revising, landing) => self.revised(revising, landing),
            Event::Asked(answers) => self.asked(answers),
            Event::Handle(number, conversation, handle) => self.handle_found(number, conversation, handle),
            Event::RowsWritten(rows) => self.rows_written(rows),
            Event::RowsGone(rows, done) => self.rows_gone(rows, done),
            Event::CancelRow(row) => self.cancel_loaded(&row),
            Event::WakeRow(row) => self.load_early(&row),
            Event::LoggedIn(channel, token) => self.logged_in(&channel, token),
            Event::NotKept(channel) => self.has_learned(&channel),
            Event::StoreFailed(what, e) => self.store_failed(what, &e),
        }
    }

    fn fed(&mut self, record: Stored) {
        match record.at.topic {
            Topic::OutUrgent => self.fed_lane(0, record),
            Topic::OutNormal => self.fed_lane(1, record),
            Topic::OutBulk => self.fed_lane(2, record),
            Topic::Orders => self.fed_order(&record),
            Topic::Ledger => self.fed_ledger(&record),
            _ => {}
        }
    }

    /// Our own ledger, read back: what stands before a newer owner's record is confirmed.
    fn fed_ledger(&mut self, record: &Stored) {
        if let Some(ledger::Entry::Owner { tenure, .. }) = ledger::Entry::decode(&record.value)
            && tenure != self.tenure
            && record.at.offset > self.owner_at
        {
            tracing::warn!(unit = self.unit, "another node owns this unit now");
            self.lost = true;
            return;
        }
        self.read_back = self.read_back.map(|_| record.at.offset + 1);
        let ready: Vec<u64> = self.unconfirmed.range(..=record.at.offset).map(|(o, _)| *o).collect();
        for offset in ready {
            if let Some(number) = self.unconfirmed.remove(&offset) {
                self.arm_confirmed(number);
            }
        }
    }

    fn fed_lane(&mut self, lane: usize, record: Stored) {
        let offset = record.at.offset;
        if !self.progress.read(lane, offset) {
            return; // Read already: a feed was assigned again from a little before.
        }
        let Some(message) = Accepted::read(&record) else {
            tracing::error!(unit = self.unit, offset, "a lane holds a record that is no message; it is passed over");
            self.progress.done(lane, offset);
            return;
        };
        let message = Arc::new(message);
        self.fed_message(message, lane, offset, record.headers.get("again").is_some());
    }

    /// A message enters the window, the schedule, or its end, by what the ledger told of it.
    pub(super) fn enter(&mut self, message: Arc<Accepted>, source: Source) {
        let now = clock::steady();
        if let Source::Lane(offset) = source
            && self.schedule.has_row(message.request.priority, offset)
        {
            // It comes from there in its time, and what the ledger told of it waits for that.
            return self.progress.done(lane_index(message.request.priority), offset);
        }
        let told = self.told.remove(&message.id);
        let conversation: Arc<str> = message.conversation().into();
        let channel: Arc<str> = message.channel.as_str().into();
        let entry = lane::Entry {
            number: self.number + 1,
            channel: Arc::clone(&channel),
            conversation: Arc::clone(&conversation),
            lane: message.request.priority,
            share: message.request.mark.as_ref().and_then(|m| m.campaign.as_deref()).map_or_else(Arc::default, Into::into),
            counted: limits::counted(self.channels.get(&channel).map(|s| &*s.channel), &message, &conversation, false),
        };
        self.number += 1;
        let told = told.unwrap_or_default();
        let item = Item {
            entry: entry.clone(),
            source,
            phase: Phase::Waiting,
            attempt: told.attempt.max(message.attempts),
            calls: told.calls,
            rendered: None,
            rendering: told.open.unwrap_or(0),
            provider_ids: told.provider_ids.clone(),
            first_ledger: (told.first > 0).then_some(told.first),
            came: now,
            waited: None,
            retry_ms: 0,
            round: match source {
                Source::Schedule { round, .. } => round,
                Source::Lane(_) => told.parked.map_or(0, |p| p.0),
            },
            cancel: false,
            scheduled: false,
            alone: false,
            queued: false,
            asked: 0,
            allowed_until: Time(i64::MAX),
            use_template: false,
            by_handle: false,
            reason: None,
            parked_why: String::new(),
            postpones: false,
            message: Arc::clone(&message),
        };
        self.by_id.insert(message.id, entry.number);
        self.items.insert(entry.number, item);
        let number = entry.number;
        match source {
            Source::Lane(offset) => self.progress.told(lane_index(message.request.priority), offset, told.first),
            // What the ledger says is needed until the row is deleted: a next owner may find the row again.
            Source::Schedule { .. } if told.first > 0 => self.progress.told_row(message.id, told.first),
            Source::Schedule { .. } => {}
        }
        match told.settled {
            // The ledger knew the end; whether it was published, nobody does. Ids are derived, so saying it again is harmless.
            Some(state) => return self.close_again(number, state),
            None if told.open.is_some() => {
                self.lanes.push(entry);
                if let Some(item) = self.items.get_mut(&number) {
                    item.queued = true;
                }
                return self.begin_doubt(number, "the gateway stopped while the call was under way");
            }
            None => {}
        }
        if let (Some((round, due)), Source::Lane(_)) = (told.parked, source) {
            // Who waits for a time of his own, or for his campaign, still holds nobody behind him.
            if message.request.send_at == Some(due) || message.request.mark.is_some() {
                self.items.entry(number).and_modify(|item| item.scheduled = true);
            }
            // Marketing waits for its person: it holds nobody behind it.
            if message.request.category == fairway_adapters::contract::Category::Marketing
                && let Some(item) = self.items.get_mut(&number)
            {
                item.wait_alone(due);
            }
            return self.park(number, due, "parked before a restart", Some(round));
        }
        if !self.channels.contains_key(&channel) {
            return self.close(number, State::Failed, Some(publish::no_channel(&channel)));
        }
        if let Some(reason) = self.stopped_on_entry(number) {
            return self.close(number, State::Suppressed, Some(reason));
        }
        if matches!(source, Source::Lane(_))
            && let Some(at) = message.request.send_at.filter(|at| at.since(clock::now()) > 0)
        {
            return self.park_scheduled(number, at);
        }
        if self.schedule.is_before(&entry, source) {
            return self.park(number, clock::now(), crate::outbound::holds::BEHIND_EARLIER, None);
        }
        if let Source::Lane(position) = source
            && let Some(reason) = self.must_queue_behind(&entry, position)
        {
            return self.park(number, clock::now(), reason, None);
        }
        self.queue(number);
        self.limit_window(&channel, message.request.priority);
    }

    /// Messages of a channel and lane in the window, queued or about to be.
    pub(super) fn depth(&self, channel: &str, lane: Priority) -> usize {
        self.lanes.depth(channel, lane) + if lane == Priority::Bulk { self.asking.depth(channel) } else { 0 }
    }

    /// How many messages of a channel and lane the window takes.
    pub(super) fn share(&self, channel: &str) -> usize {
        self.lanes.leaves_within(channel, WINDOW).clamp(64, SHARE)
    }

    /// A full window stops the feed when this channel is alone; else its overflow is parked, so that others get past.
    pub(super) fn limit_window(&mut self, channel: &str, lane: Priority) {
        if self.depth(channel, lane) >= self.share(channel) {
            let topic = lane_topic(lane);
            if self.channels.len() <= 1 && self.paused_feeds.insert(topic) {
                self.feeder.pause(topic, self.unit);
            }
        }
    }

    /// Opens feeds again whose windows have room.
    pub(super) fn resume_feeds(&mut self) {
        for lane in Priority::ALL {
            let topic = lane_topic(lane);
            if !self.paused_feeds.contains(&topic) {
                continue;
            }
            let full = self.channels.keys().any(|c| self.depth(c, lane) > self.share(c) / 2);
            if !full {
                self.paused_feeds.remove(&topic);
                self.assign(topic, self.progress.lane_next(lane_index(lane)));
            }
        }
    }

    /// Channels and limits in force, after a reload.
    pub(super) fn reload(&mut self) {
        let now = clock::steady();
        let channels = self.parts.channels.get();
        let mine: Vec<Arc<Channel>> = channels.by_id.values().filter(|c| c.unit == self.unit).cloned().collect();
        self.channels.retain(|id, _| mine.iter().any(|c| c.id == *id));
        let mut by_hand = Vec::new();
        for channel in mine {
            limits::warn_of_high(&channel);
            self.lanes.limits(&channel.id, limits::of(&channel), now);
            match self.channels.get_mut(&channel.id) {
                Some(standing) => {
                    // A reload may have mended what suspended it.
                    standing.channel = Arc::clone(&channel);
                    standing.login = None;
                    if standing.throttled.is_some() {
                        by_hand.push(Arc::clone(&channel.id));
                    }
                    if standing.suspended.take().is_some() {
                        let until = standing.paused_until.map(clock::steady_at);
                        self.lanes.pause(&channel.id, None, until);
                    }
                }
                None => {
                    self.channels.insert(Arc::clone(&channel.id), Standing::new(channel));
                }
            }
        }
        by_hand.iter().for_each(|channel| self.put_limit_in_force(channel));
    }

    pub(super) fn answer(&mut self, ask: Ask) {
        let now = clock::steady();
        match ask {
            Ask::View(channel, answer) => {
                let _ = answer.send(self.view(&channel));
            }
            Ask::Estimate { channel, conversation, lane, counted, answer } => {
                let (at, scope) = self.lanes.estimate(&channel, &conversation, &counted, lane, now);
                let _ = answer.send((clock::wall_at(at), scope));
            }
            Ask::Received { channel, count, over_ms } => self.lanes.received(&channel, count, Micros::from(over_ms) * 1000, now),
            Ask::Pause(channel, lane, until) => {
                if let Some(standing) = self.channels.get_mut(channel.as_str()).filter(|_| lane.is_none()) {
                    standing.paused_until = until;
                    if until.is_none() {
                        standing.suspended = None;
                    }
                }
                self.lanes.pause(&channel, lane, until.map(clock::steady_at));
            }
            Ask::Wake(id) => self.wake_row(id),
            Ask::Throttle(channel, rate, until) => {
                if let Some(standing) = self.channels.get_mut(channel.as_str()) {
                    standing.throttled = rate.map(|rate| (rate, until));
                    self.put_limit_in_force(&channel);
                }
            }
        }
    }

    /// The limit given by hand while it holds, else the configured one.
    fn put_limit_in_force(&mut self, channel: &str) {
        let Some(standing) = self.channels.get(channel) else { return };
        match standing.throttled {
            Some((rate, _)) => self.lanes.replace_sender(channel, vec![Limit::of_rate(rate)], clock::steady()),
            None => self.lanes.replace_sender(channel, limits::of(&standing.channel).sender, clock::steady()),
        }
    }

    /// Limits given by hand end.
    pub(super) fn end_throttles(&mut self) {
        let now = clock::now();
        let is_over = |s: &Standing| s.throttled.is_some_and(|(_, until)| until.is_some_and(|until| until <= now));
        let over: Vec<Arc<str>> = self.channels.iter().filter(|(_, s)| is_over(s)).map(|(id, _)| Arc::clone(id)).collect();
        for channel in over {
            self.answer(Ask::Throttle(channel.to_string(), None, None));
        }
    }

    fn view(&self, channel: &str) -> ChannelView {
        let now = clock::steady();
        let standing = self.channels.get(channel);
        let of_channel = || self.items.values().filter(|i| &*i.entry.channel == channel);
        ChannelView {
            limits: self.lanes.view(channel, now),
            depth: Priority::ALL.map(|l| self.depth(channel, l)),
            parked: self.schedule.count(channel),
            in_doubt: of_channel().filter(|i| matches!(i.phase, Phase::Doubt(_))).count(),
            paused_lanes: Priority::ALL.into_iter().filter(|lane| self.lanes.is_paused(channel, *lane, now)).collect(),
            held_until: Priority::ALL
                .map(|lane| self.lanes.held_until(channel, lane))
                .into_iter()
                .min()
                .flatten()
                .filter(|at| *at > now && *at < Micros::MAX)
                .map(clock::wall_at),
            suspended: standing.and_then(|s| s.suspended.clone()),
            lag_seconds: of_channel().map(|i| now - i.came).max().unwrap_or(0) as f64 / 1e6,
            last_error: standing.and_then(|s| s.last_error.clone()),
        }
    }

    pub(super) fn store_failed(&mut self, what: &'static str, error: &str) {
        tracing::error!(unit = self.unit, what, error, "the store cannot do it now; it is tried again");
    }
}

/// Index of a lane.
pub(super) fn lane_index(lane: Priority) -> usize {
    match lane {
        Priority::Urgent => 0,
        Priority::Normal => 1,
        Priority::Bulk => 2,
    }
}

impl Standing {
    fn new(channel: Arc<Channel>) -> Self {
        use crate::telemetry::{gauge, histogram, names};
        let id = channel.id.to_string();
        let by_lane = |metric| Priority::ALL.map(|l| gauge(metric, &[&id, l.word()]));
        Self {
            meters: Meters {
                depth: by_lane(&names::LANE_DEPTH),
                lag: by_lane(&names::LANE_LAG),
                parked: gauge(&names::PARKED, &[&id]),
                doubt: gauge(&names::IN_DOUBT, &[&id]),
                suspended: gauge(&names::SUSPENDED, &[&id]),
                breaker: gauge(&names::BREAKER, &[&id]),
                call: histogram(&names::CALL_SECONDS, &[&id]),
                queue: Priority::ALL.map(|l| histogram(&names::QUEUE_SECONDS, &[&id, l.word()])),
            },
            channel,
            suspended: None,
            paused_until: None,
            throttled: None,
            last_error: None,
            login: None,
            logging_in: false,
            has_learned: false,
        }
    }
}

//! One endpoint: reads the feed, delivers one event at a time per conversation, holds back what failed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use fairway_adapters::contract::Time;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{Answer, Webhooks};
use crate::clock;
use crate::delivery::cursor::Vector;
use crate::delivery::feed::{self, Event, Filter};
use crate::ids;
use crate::log::{Position, Topic};
use crate::store::{Endpoint, Store};
use crate::telemetry::{self, names};

/// Seconds before each further try, each after the one before; about three days in all.
const RETRIES: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// Calls at a time.
const AT_ONCE: usize = 16;
/// Conversations that may wait for a further try; with more the endpoint itself is sick, and reading stops.
const HELD: usize = 256;
/// Events in memory, and among them those not tried yet.
const PENDING: usize = 4096;
const AHEAD: usize = 256;
/// How long everybody waits when an overloaded receiver does not say.
const BREATH: Duration = Duration::from_secs(2);
/// The state is written this often; a crash repeats what was delivered since.
const SAVE: Duration = Duration::from_millis(500);

/// The setting that holds an endpoint's state, a new one after each replay: whoever still runs the old one writes beside it.
pub(super) fn setting(id: &str, generation: u32) -> String {
    match generation {
        0 => format!("webhook/{id}"),
        n => format!("webhook/{id}/{n}"),
    }
}

/// Topic, partition, offset, tries so far, when to try next.
type Held = (u8, u32, u64, usize, i64);

#[derive(Deserialize, Serialize)]
struct State {
    /// The feed's cursor behind the last event read.
    after: String,
    /// What was read and not delivered.
    #[serde(default)]
    held: Vec<Held>,
}

/// Puts an endpoint at a place, with nothing held.
pub(super) async fn place(store: &dyn Store, id: &str, generation: u32, after: &str) -> Result<(), crate::store::Error> {
    let state = State { after: after.to_owned(), held: Vec::new() };
    store.put_setting(&setting(id, generation), serde_json::to_string(&state).unwrap_or_default()).await
}

struct Item {
    event: Event,
    tries: usize,
    due: Time,
}

/// A conversation: its first event is under way or waits, the others stand behind it.
#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    busy: bool,
}

struct Runner {
    hub: Arc<Webhooks>,
    endpoint: Endpoint,
    filter: Filter,
    place: Vector,
    queues: HashMap<Arc<str>, Queue>,
    calls: JoinSet<(Arc<str>, Answer)>,
    /// Nothing leaves before.
    pause: Time,
    changed: bool,
}

/// Delivers until the endpoint is switched off or the task is ended.
pub(super) async fn run(hub: Arc<Webhooks>, endpoint: Endpoint) {
    let filter = Filter { types: endpoint.types.clone(), channels: endpoint.channels.clone(), conversation: None };
    let mut runner = Runner {
        place: hub.feed.now(),
        hub,
        endpoint,
        filter,
        queues: HashMap::new(),
        calls: JoinSet::new(),
        pause: Time(0),
        changed: false,
    };
    runner.restore().await;
    if let Some(why) = runner.deliver().await {
        // What is under way ends first, so that the state says what the receiver has.
        while let Some(done) = runner.calls.join_next().await {
            if let Ok((conversation, answer)) = done {
                runner.settle(&conversation, answer);
            }
        }
        runner.save().await;
        telemetry::counter(&names::DELIVERIES, &["disabled"]).increment(1);
        let (hub, endpoint) = (Arc::clone(&runner.hub), runner.endpoint.clone());
        hub.disable(endpoint, why).await;
    }
}

impl Runner {
    /// Goes back to where the last process was.
    async fn restore(&mut self) {
        let text = loop {
            match self.hub.store.setting(&setting(&self.endpoint.id, self.endpoint.generation)).await {
                Ok(text) => break text.unwrap_or_default(),
                Err(e) => {
                    tracing::error!(error = %e, "a webhook endpoint waits for the store");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        let Ok(state) = serde_json::from_str::<State>(&text) else { return };
        if let Ok(place) = self.hub.feed.cursor(&state.after) {
            self.place = place;
        }
        for (topic, partition, offset, tries, due) in state.held {
            let Some(topic) = Topic::ALL.get(usize::from(topic)).copied() else { continue };
            let event = loop {
                match self.hub.feed.at(Position { topic, partition, offset }).await {
                    Ok(event) => break event,
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            };
            // What has passed its retention is nobody's any more.
            if let Some(event) = event {
                self.push(event, tries, Time(due));
            }
        }
    }

    fn push(&mut self, event: Event, tries: usize, due: Time) {
        self.queues.entry(Arc::clone(&event.conversation)).or_default().items.push_back(Item { event, tries, due });
    }

    /// Answers why the endpoint is to be switched off.
    async fn deliver(&mut self) -> Option<String> {
        let mut moved = self.hub.feed.watch();
        let mut saving = tokio::time::interval(SAVE);
        let mut more = true;
        loop {
            if more && self.has_room() {
                more = self.read().await;
            }
            let next = self.start();
            let read_on = more && self.has_room();
            tokio::select! {
                Some(done) = self.calls.join_next() => {
                    if let Ok((conversation, answer)) = done
                        && let Some(why) = self.settle(&conversation, answer)
                    {
                        return Some(why);
                    }
                }
                () = tokio::time::sleep(next) => {}
                changed = moved.changed(), if !more => {
                    if changed.is_err() {
                        return None;
                    }
                    more = true;
                }
                _ = saving.tick() => if self.changed { self.save().await },
                () = std::future::ready(()), if read_on => tokio::task::yield_now().await,
            }
        }
    }

    fn has_room(&self) -> bool {
        let held = self.queues.values().filter(|q| q.items.front().is_some_and(|i| i.tries > 0));
        let waiting: usize = held.clone().map(|q| q.items.len()).sum();
        let all: usize = self.queues.values().map(|q| q.items.len()).sum();
        held.count() < HELD && all < PENDING && all - waiting < AHEAD
    }

    /// Takes the next events; whether there are more.
    async fn read(&mut self) -> bool {
        match self.hub.feed.page(&self.place, &self.filter, AHEAD).await {
            Ok((events, place, more)) => {
                self.changed |= place != self.place;
                self.place = place;
                for event in events {
                    self.push(event, 0, Time(0));
                }
                more
            }
            Err(feed::Error::Expired) => {
                tracing::warn!(webhook = self.endpoint.id, "events have passed their retention before this endpoint got them");
                if let Ok(place) = self.hub.feed.beginning().await {
                    self.place = place;
                }
                true
            }
            Err(_) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                true
            }
        }
    }

    /// Starts what is due; answers how long nothing else will be.
    fn start(&mut self) -> Duration {
        let now = clock::now();
        let mut next = 3_600_000;
        for (conversation, queue) in &mut self.queues {
            let Some(first) = queue.items.front().filter(|_| !queue.busy) else { continue };
            let wait = first.due.since(now).max(self.pause.since(now));
            if wait > 0 {
                next = next.min(wait);
                continue;
            }
            if self.calls.len() >= AT_ONCE {
                break; // The next to end wakes us.
            }
            queue.busy = true;
            let (hub, endpoint, conversation) = (Arc::clone(&self.hub), self.endpoint.clone(), Arc::clone(conversation));
            let (id, body) = (Arc::clone(&first.event.id), first.event.json());
            self.calls.spawn(async move { (conversation, hub.post(&endpoint, &id, body).await) });
        }
        Duration::from_millis(next as u64)
    }

    /// Takes an answer in; answers why the endpoint is to be switched off.
    fn settle(&mut self, conversation: &Arc<str>, answer: Answer) -> Option<String> {
        let queue = self.queues.get_mut(conversation)?;
        queue.busy = false;
        self.changed = true;
        match answer {
            Answer::Delivered => {
                telemetry::counter(&names::DELIVERIES, &["delivered"]).increment(1);
                queue.items.pop_front();
                if queue.items.is_empty() {
                    self.queues.remove(conversation);
                }
                None
            }
            Answer::Gone => Some("it answered 410: it wants no more events".into()),
            Answer::Failed { why, after, busy } => {
                telemetry::counter(&names::DELIVERIES, &["failed"]).increment(1);
                let now = clock::now();
                if busy {
                    self.pause = now.plus(after.unwrap_or(BREATH).as_millis() as i64);
                }
                let item = queue.items.front_mut()?;
                let Some(wait) = RETRIES.get(item.tries) else {
                    return Some(format!("{} tries over three days failed; the last: {why}", item.tries + 1));
                };
                item.tries += 1;
                let wait = jittered(*wait).max(after.map_or(0, |d| d.as_millis() as i64));
                item.due = now.plus(wait);
                tracing::info!(webhook = self.endpoint.id, event = &*item.event.id, tries = item.tries, why, "a delivery failed");
                None
            }
        }
    }

    async fn save(&mut self) {
        let held = |i: &Item| (i.event.at.topic as u8, i.event.at.partition, i.event.at.offset, i.tries, i.due.0);
        let held: Vec<Held> = self.queues.values().flat_map(|q| q.items.iter().map(held)).collect();
        let state = State { after: self.hub.feed.text(&self.place), held };
        let text = serde_json::to_string(&state).unwrap_or_default();
        match self.hub.store.put_setting(&setting(&self.endpoint.id, self.endpoint.generation), text).await {
            Ok(()) => self.changed = false,
            Err(e) => tracing::warn!(error = %e, "the place of a webhook endpoint cannot be kept now; a restart would repeat"),
        }
    }
}

/// Up to a fifth longer, so that what failed together does not come back together.
fn jittered(seconds: u64) -> i64 {
    let ms = seconds as i64 * 1000;
    ms + (ids::random() % (ms as u128 / 5).max(1)) as i64
}

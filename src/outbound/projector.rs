//! The projector: reads lanes, ledger and states, and writes the views of messages in batches.
//!
//! What one message went through in a batch becomes one write; the position is written in the same transaction, so the views
//! stand for exactly what was read.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fairway_adapters::contract::{Mark, Reason, SendRequest, State, Status, Time};
use serde::Deserialize;

use super::accepted::Accepted;
use super::ledger::{Entry, Outcome};
use crate::clock;
use crate::ids::{self, MessageId};
use crate::log::{EventLog, Position, Positions, Stored, Topic};
use crate::store::{Change, Intake, Line, Store, rank};
use crate::telemetry::{self, names};

const TOPICS: [Topic; 5] = [Topic::OutUrgent, Topic::OutNormal, Topic::OutBulk, Topic::Ledger, Topic::Status];
/// A batch is written when it is this large or this old.
const BATCH: usize = 12_000;
const PATIENCE: Duration = Duration::from_millis(150);

/// Topic and partition in one number, as the position's keys.
pub fn key(topic: Topic, partition: u32) -> u32 {
    (topic as u32) << 16 | partition
}

/// Runs until another node begins. Only one writes: each write depends on its tenure.
pub async fn run(log: Arc<dyn EventLog>, store: Arc<dyn Store>) {
    let tenure = ids::random() as u64;
    let mut positions = loop {
        match store.begin_views(tenure).await {
            Ok(positions) => break positions,
            Err(e) => {
                tracing::error!(error = %e, "views wait for the store");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let lag = telemetry::gauge(&names::PROJECTOR_LAG, &[]);
    let mut reader = log.reader();
    for topic in TOPICS {
        let begins = log.begins(topic).await.unwrap_or_default();
        for partition in 0..log.partitions(topic) {
            let begin = begins.get(&partition).copied().unwrap_or(0);
            let offset = positions.get(&key(topic, partition)).copied().unwrap_or(begin).max(begin);
            reader.assign(Position { topic, partition, offset });
        }
    }
    loop {
        let mut changes: HashMap<MessageId, Change> = HashMap::new();
        let mut moved = Positions::new();
        let mut count = 0;
        let mut until: Option<Instant> = None;
        while count < BATCH {
            let wait = until.map_or(Duration::from_secs(3600), |u| u.saturating_duration_since(Instant::now()));
            match tokio::time::timeout(wait, reader.next(BATCH - count)).await {
                Err(_) => break,
                Ok(Err(e)) => {
                    tracing::warn!(error = %e, "views cannot read the log now");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Ok(Ok(records)) => {
                    until.get_or_insert_with(|| Instant::now() + PATIENCE);
                    count += records.len();
                    for record in records {
                        moved.insert(key(record.at.topic, record.at.partition), record.at.offset + 1);
                        lag.set((clock::now().0 - record.time).max(0) as f64 / 1000.0);
                        learn(&mut changes, &record);
                    }
                }
            }
        }
        let mut batch: Vec<(MessageId, Change)> = changes.into_iter().collect();
        for (id, change) in batch.iter_mut().filter(|(_, c)| c.edited.is_some()) {
            merge_edit(&*store, *id, change).await;
        }
        while let Err(e) = store.project(batch.clone(), moved.clone(), tenure).await {
            if e.is_guarded() {
                return tracing::info!("another node writes the views now");
            }
            tracing::error!(error = %e, "views cannot be written now");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        positions.extend(moved);
        if count < BATCH {
            lag.set(0.0);
        }
    }
}

fn learn(changes: &mut HashMap<MessageId, Change>, record: &Stored) {
    match record.at.topic {
        Topic::OutUrgent | Topic::OutNormal | Topic::OutBulk => {
            let Some(message) = Accepted::read(record) else { return };
            let change = changes.entry(message.id).or_default();
            change.lines.push(line(message.accepted_at, "accepted", format!("Accepted for {}.", message.channel)));
            change.intake.get_or_insert_with(|| Intake {
                conversation: message.conversation(),
                request: viewed(&message.request),
                channel: message.channel,
                to: message.to,
                accepted_at: message.accepted_at,
            });
        }
        Topic::Ledger => {
            if let Some(entry) = Entry::decode(&record.value) {
                learn_entry(changes, entry);
            }
        }
        Topic::Status => {
            let Some(event) = crate::envelope::read(record) else { return };
            if event.kind == "fairway.message.created" && event.replaces.is_some() {
                return learn_edit(changes, event.data);
            }
            if event.kind != "fairway.message.status" {
                return;
            }
            let Ok(status) = serde_json::from_str::<Status<'_>>(event.data) else { return };
            if status.state == State::Accepted {
                return learn_step(changes, event.channel(), &status);
            }
            if let Ok(id) = status.message_id.parse() {
                learn_status(changes.entry(id).or_default(), &status, Time(record.time));
            }
        }
        _ => {}
    }
}

/// A request as the views keep it: without what was known about the person when it was written.
fn viewed(request: &SendRequest) -> String {
    let bare = request.mark.as_ref().filter(|m| !m.about.is_empty()).map(|mark| {
        let mark = Mark { about: Default::default(), ..mark.clone() };
        SendRequest { mark: Some(mark), ..request.clone() }
    });
    serde_json::to_string(bare.as_ref().unwrap_or(request)).unwrap_or_default()
}

fn learn_entry(changes: &mut HashMap<MessageId, Change>, entry: Entry) {
    match entry {
        Entry::Sending { what, at, .. } => {
            let change = changes.entry(what.id).or_default();
            raise(change, what.attempt, State::Sending);
            change.lines.push(line(
                at,
                "sending",
                match what.call {
                    0 => format!("Attempt {} begins.", what.attempt),
                    call => format!("Attempt {} goes on with call {}.", what.attempt, call + 1),
                },
            ));
        }
        Entry::Outcome { what, at, outcome, code, waited, .. } => {
            let change = changes.entry(what.id).or_default();
            match outcome {
                Outcome::Accepted | Outcome::AcceptedLast if waited > 0 => {
                    let limit = match code.as_str() {
                        "conversation" => "pair limit",
                        "account" => "account limit",
                        "group" => "group limit",
                        "template" => "limit of the template",
                        "country" => "limit of the country",
                        _ => "sender limit",
                    };
                    let mut text = format!("Waited {:.1} s: {limit}.", f64::from(waited) / 1000.0);
                    if waited >= 1000 {
                        text.push_str(&format!(" Without it, it would have gone at {}.", at.plus(-i64::from(waited))));
                    }
                    change.lines.push(line(at.plus(-1), "waited", text));
                }
                Outcome::Refused => change.lines.push(line(at, "refused", format!("Attempt {} was not accepted: {code}.", what.attempt))),
                Outcome::Released => {
                    change.lines.push(line(at, "released", "It could not leave in time and went back to its queue.".into()))
                }
                Outcome::Accepted | Outcome::AcceptedLast | Outcome::InDoubt => {}
            }
        }
        Entry::Owner { .. } | Entry::Parked { .. } | Entry::Settled { .. } | Entry::Checkpoint { .. } => {}
    }
}

/// A message's content was told once more: its parts are others now.
fn learn_edit(changes: &mut HashMap<MessageId, Change>, data: &str) {
    #[derive(Deserialize)]
    struct Edited<'a> {
        message_id: &'a str,
        #[serde(borrow)]
        message: Content<'a>,
    }
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        parts: &'a serde_json::value::RawValue,
    }
    let Ok(Edited { message_id, message }) = serde_json::from_str(data) else { return };
    if let Ok(id) = message_id.parse() {
        changes.entry(id).or_default().edited = Some(message.parts.get().to_owned());
    }
}

/// Puts new parts into the request as the views have it.
async fn merge_edit(store: &dyn Store, id: MessageId, change: &mut Change) {
    let parts = change.edited.take().and_then(|parts| serde_json::from_str::<serde_json::Value>(&parts).ok());
    let known = match &change.intake {
        Some(intake) => serde_json::from_str(&intake.request).ok(),
        None => loop {
            match store.message(id).await {
                Ok(known) => break known.and_then(|m| m.request),
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        },
    };
    if let (Some(parts), Some(serde_json::Value::Object(mut request))) = (parts, known) {
        request.insert("parts".into(), parts);
        request.remove("template");
        change.edited = serde_json::to_string(&request).ok();
    }
}

/// A fallback step was accepted: the first message of its chain says where it goes on. The step itself is told by its lane.
fn learn_step(changes: &mut HashMap<MessageId, Change>, channel: &str, step: &Status<'_>) {
    let Some(first) = step.fallback_of.as_deref().and_then(|id| id.parse().ok()) else { return };
    let when = step.until.map(|at| format!(" at {at}, unless it arrives before")).unwrap_or_default();
    let text = format!("Goes on through {channel} as {}{when}.", step.message_id);
    changes.entry(first).or_default().lines.push(line(step.at, "fallback", text));
}

fn learn_status(change: &mut Change, status: &Status<'_>, written: Time) {
    let attempt = status.attempt.unwrap_or(0) as u16;
    raise(change, attempt, status.state);
    if let Some(id) = &status.provider_message_id {
        change.provider_id = Some(id.clone().into_owned());
    }
    // Providers tell whole seconds: within one, the order in which we learned it is the better time.
    let at = if written.since(status.at).abs() < 2000 { written } else { status.at };
    let why = status.error.as_ref().map(|Reason { title, code, .. }| format!(": {title} ({code})")).unwrap_or_default();
    let revised = match status.detail.as_deref() {
        Some("edited") => Some(("edited", "It says something else now.".to_owned())),
        Some("recalled") => Some(("recalled", "It was taken back.".to_owned())),
        Some("edit_refused") => Some(("edit_refused", format!("It could not be changed{why}."))),
        Some("recall_refused") => Some(("recall_refused", format!("It could not be taken back{why}."))),
        _ => None,
    };
    if let Some((what, text)) = revised {
        return change.lines.push(line(at, what, text)); // Its state is what it was.
    }
    if let Some(error) = &status.error {
        change.error = serde_json::to_string(error).ok();
    }
    change.lines.push(line(at, status.state.word(), sentence(status)));
}

/// A state in words.
fn sentence(status: &Status<'_>) -> String {
    let until = status.until.map(|u| format!(" until {u}")).unwrap_or_default();
    let why = status.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
    let error = status.error.as_ref().map(|Reason { title, code, .. }| format!(": {title} ({code})")).unwrap_or_default();
    let who = status.recipient.as_deref().map(|r| format!(" by {r}")).unwrap_or_default();
    match status.state {
        State::Scheduled => format!("Scheduled{until}."),
        State::Held => format!("Held{until}{why}."),
        State::InDoubt => format!("In doubt{why}."),
        State::Sent => "The provider has it.".into(),
        State::Failed => format!("Failed{error}."),
        State::Delivered => format!("Delivered{who}."),
        State::Read => format!("Read{who}."),
        State::Expired => format!("Its time ran out{error}."),
        State::Cancelled => "Cancelled.".into(),
        State::Suppressed => format!("Suppressed{why}."),
        State::Accepted | State::Sending => String::new(),
    }
}

fn raise(change: &mut Change, attempt: u16, state: State) {
    if change.state.is_none_or(|(a, s)| rank(attempt, state) >= rank(a, s)) {
        change.state = Some((attempt, state));
    }
}

fn line(at: Time, what: &str, text: String) -> Line {
    Line { at, what: what.to_owned(), text }
}

//! Fallback chains: another address, another channel, other words, when the first does not reach the person.
//!
//! The owner of a message tells itself by an order how far the message got, and this decides what that means for the next
//! step. Steps are messages of their own with derived ids, so deciding twice sends once. Each carries the rest of the chain.
//!
//! - A final failure starts the next step at once, and so does an address that is known to be gone.
//! - `sent` puts it into the schedule when the step has `after`.
//! - A receipt that reaches `unless` (or the strongest state that channel reports) cancels it, if it has not left.
//!
//! Nobody was answered 202 for a step, so its `accepted` is published, and every state of it names the chain's first message.

use std::{sync::Arc, time::Duration};

use fairway_adapters::contract::message::Fallback;
use fairway_adapters::contract::{Category, Data, SendRequest, State, Status, Time};
use tokio::sync::{mpsc, oneshot};

use super::accept::{Acceptor, Ready};
use super::accepted::Accepted;
use super::unit::Parts;
use crate::consent::Standing;
use crate::envelope::Attributes;
use crate::ids::{self, MessageId};
use crate::log::{Durability, Outcome, Record, Topic};
use crate::orders::Order;
use crate::store::rank;

/// How far a message got, and whom to tell when that is dealt with.
pub struct Due {
    /// The message.
    pub message: Box<Accepted>,
    /// The state it reached.
    pub state: State,
    /// When.
    pub at: Time,
    /// Told when it is dealt with, durably.
    pub done: oneshot::Sender<()>,
}

/// How long an append that failed waits before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Messages decided at the same time. What concerns one message is decided in its order.
const AT_ONCE: usize = 32;
/// How long the owner of a scheduled step may take to say what became of it.
const WORD: Duration = Duration::from_secs(3);

/// Runs until the process ends.
pub async fn run(parts: Arc<Parts>, acceptor: Acceptor, mut dues: mpsc::UnboundedReceiver<Due>) {
    let deciders: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (sender, mut mine) = mpsc::unbounded_channel::<Due>();
            let (parts, acceptor) = (Arc::clone(&parts), acceptor.clone());
            tokio::spawn(async move {
                while let Some(due) = mine.recv().await {
                    decide(&parts, &acceptor, &due).await;
                    let _ = due.done.send(());
                }
            });
            sender
        })
        .collect();
    while let Some(due) = dues.recv().await {
        let _ = deciders[usize::from(due.message.id.bytes()[16]) % AT_ONCE].send(due);
    }
}

async fn decide(parts: &Parts, acceptor: &Acceptor, due: &Due) {
    let Some(step) = due.message.request.fallback.first() else { return };
    let scheduled = step.after.is_some();
    if matches!(due.state, State::Failed | State::Expired | State::Suppressed) {
        give_back(parts, due).await;
        // What was barred had not left, and so put no step into the schedule.
        if !scheduled || due.state == State::Suppressed || is_stopped(parts, acceptor, due).await {
            start(parts, acceptor, due, None, b"now").await;
        }
    } else if rank(0, due.state) >= rank(0, enough(parts, due, step)) {
        if scheduled && due.state > State::Sent {
            cancel(parts, acceptor, due).await;
        }
    } else if let (State::Sent, Some(after)) = (due.state, after(step)) {
        start(parts, acceptor, due, Some(due.at.plus(after)), b"later").await;
    }
}

/// What did not reach the person counts against none of their caps: else it would hold the very step that makes up for it.
async fn give_back(parts: &Parts, due: &Due) {
    if due.message.request.category == Category::Marketing {
        let id = due.message.id.to_string();
        // What the person's campaign keeps free for them, the next step needs.
        while parts.consent.give_back(&id, &Standing::default()).await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// The state that makes the next step needless: what the caller said, as far as the channel can report it.
fn enough(parts: &Parts, due: &Due, step: &Fallback) -> State {
    let wanted = step.unless.unwrap_or(State::Delivered);
    let channels = parts.channels.get();
    let strongest = channels.by_id.get(&due.message.channel).map_or(State::Read, |c| c.facts().strongest);
    if rank(0, strongest) < rank(0, wanted) { strongest } else { wanted }
}

/// Milliseconds of `after`.
pub fn after(step: &Fallback) -> Option<i64> {
    let span: jiff::Span = step.after.as_deref()?.parse().ok()?;
    // A day is 24 hours here: nobody's calendar is asked.
    let millis = span.total((jiff::Unit::Millisecond, jiff::SpanRelativeTo::days_are_24_hours())).ok()?;
    (millis >= 0.0).then_some(millis as i64)
}

/// The next step as a message of its own, with the rest of the chain.
fn next(message: &Accepted, step: &Fallback, send_at: Option<Time>) -> SendRequest {
    let own = !step.parts.is_empty() || step.template.is_some();
    let request = &message.request;
    SendRequest {
        to: Some(step.to.clone()),
        conversation: None,
        channel: step.channel.clone(),
        parts: if own { step.parts.clone() } else { request.parts.clone() },
        template: if own { step.template.clone() } else { request.template.clone() },
        send_at,
        fallback: request.fallback[1..].to_vec(),
        reply_to: None,
        native: Default::default(),
        idempotency_key: None,
        fallback_of: None, // Set when it is prepared.
        ..request.clone()
    }
}

/// The first message of the chain that a message belongs to.
fn first(message: &Accepted) -> String {
    message.request.fallback_of.clone().unwrap_or_else(|| message.id.to_string())
}

async fn prepare(acceptor: &Acceptor, due: &Due, send_at: Option<Time>, when: &[u8]) -> Option<Ready> {
    let step = due.message.request.fallback.first()?;
    let request = next(&due.message, step, send_at);
    let id = due.message.id.bytes();
    let act: [&[u8]; 3] = [b"fallback", &id, when];
    match acceptor.prepare_step(request, first(&due.message), due.message.origin, &act, due.message.traceparent.as_deref()).await {
        Ok(ready) => Some(ready),
        Err(e) => {
            // It was checked when the message was accepted; since then the channel may have gone, or its time.
            tracing::warn!(message = %due.message.id, pointer = e.pointer, code = e.code, "a fallback cannot be sent: {}", e.detail);
            None
        }
    }
}

async fn start(parts: &Parts, acceptor: &Acceptor, due: &Due, send_at: Option<Time>, when: &[u8]) {
    let Some(ready) = prepare(acceptor, due, send_at, when).await else { return };
    // First the message: a step that is told of is there.
    acceptor.append_all(vec![ready.clone()], true).await;
    let told = told(parts, due, &ready);
    while !parts.log.append(vec![told.clone()], Durability::Log).await.iter().all(Outcome::is_durable) {
        tokio::time::sleep(AGAIN).await;
    }
}

/// The event that tells of a step.
fn told(parts: &Parts, due: &Due, ready: &Ready) -> Record {
    let (step, request) = (&ready.accepted, &ready.accepted.request);
    let (id, conversation) = (step.id.to_string(), step.conversation());
    let mark = request.mark.as_ref();
    let status = Status {
        message_id: id.as_str().into(),
        provider_message_id: None,
        state: State::Accepted,
        detail: None,
        at: due.at,
        attempt: None,
        recipient: None,
        error: None,
        reason: None,
        until: request.send_at,
        late: None,
        cost: None,
        metadata: super::unit::metadata(&request.metadata),
        campaign: mark.and_then(|m| m.campaign.as_deref()).map(Into::into),
        reminder: mark.and_then(|m| m.reminder.as_deref()).map(Into::into),
        fallback_of: request.fallback_of.as_deref().map(Into::into),
        units: Some(step.cost),
    };
    let data = Data {
        channel: step.channel.as_str().into(),
        provider: ready.channel.facts().id.into(),
        medium: ready.channel.medium(&step.to).into(),
        conversation: conversation.as_str().into(),
        received_at: due.at,
        body: &status,
    };
    let attributes = Attributes {
        id: ids::fingerprint(&[b"status", &step.id.bytes(), State::Accepted.word().as_bytes()]),
        kind: "fairway.message.status",
        channel: &step.channel,
        conversation: &conversation,
        time: due.at,
        tenant: ready.channel.tenant.as_deref(),
        traceparent: step.traceparent.as_deref(),
        correlation: step.correlation.as_deref(),
        replaces: None,
    };
    parts.writer.record(Topic::Status, &attributes, serde_json::to_vec(&data).unwrap_or_default().into())
}

/// Stops the scheduled step; whether it surely does not go. One that has left is enough: a late failure adds nothing to it.
async fn is_stopped(parts: &Parts, acceptor: &Acceptor, due: &Due) -> bool {
    let Some(id) = cancel(parts, acceptor, due).await else { return true };
    let until = tokio::time::Instant::now() + WORD;
    loop {
        match parts.store.message(id).await {
            Ok(Some(step)) if step.state >= State::Expired => return true, // It ended without having gone.
            Ok(Some(step)) if (State::Sending..=State::Read).contains(&step.state) => return false,
            // It was never put there: the first message failed without having been sent.
            Ok(None) if tokio::time::Instant::now() > until => return true,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Stops the scheduled step, if it has not left; its id.
async fn cancel(parts: &Parts, acceptor: &Acceptor, due: &Due) -> Option<MessageId> {
    let id = prepare(acceptor, due, None, b"later").await?.accepted.id;
    let record = Order::Cancel { id }.record(u32::from(id.unit), ids::random());
    while !parts.log.append(vec![record.clone()], Durability::Log).await.iter().all(Outcome::is_durable) {
        tokio::time::sleep(AGAIN).await;
    }
    Some(id)
}

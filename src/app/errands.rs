//! Calls that webhooks give rise to, made beside them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fairway_adapters::contract::Call;
use tokio::sync::{mpsc, oneshot};

use crate::channels::{Channel, Live, Worded, worded};
use crate::ids;
use crate::ingress::Ingress;
use crate::log::{Durability, EventLog};
use crate::orders::Order;
use crate::outbound::{owner::Units, unit::Ask};
use crate::store::Store;
use crate::transport::Transport;

/// How often owners hear how much came in.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// Tells the owners of channels whose provider counts what people write in the same allowance as what we send, how much came in
/// here.
pub(super) async fn count_received(ingress: Arc<Ingress>, channels: Live, units: Units, log: Arc<dyn EventLog>) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(COUNT_EVERY).await;
        let over_ms = std::mem::replace(&mut last, Instant::now()).elapsed().as_millis() as u32;
        let known = channels.get();
        let mut orders = Vec::new();
        for (id, count) in ingress.take_received() {
            let Some(channel) = known.by_id.get(&*id).filter(|c| c.facts().shared_with_inbound) else { continue };
            if !units.ask(channel.unit, Ask::Received { channel: id.to_string(), count, over_ms }) {
                orders.push(Order::Received { channel: id.to_string(), count, over_ms }.record(channel.unit, ids::random()));
            }
        }
        if !orders.is_empty() {
            // A count that is lost is a quarter of a second's: the provider's 429 says the rest.
            let _ = log.append(orders, Durability::Log).await;
        }
    }
}

/// How often a node asks what others have noted.
const WORDED_EVERY: Duration = Duration::from_secs(5);

/// Learns on which channels people were asked in words, before and by other nodes.
pub(super) async fn learn_worded(worded: Worded, store: Arc<dyn Store>) {
    loop {
        if let Ok(known) = store.settings(worded::SETTINGS).await {
            for channel in known.keys().filter_map(|name| name.strip_prefix(worded::SETTINGS)) {
                worded.note(channel);
            }
        }
        tokio::time::sleep(WORDED_EVERY).await;
    }
}

/// Calls owed besides an answer (a button press to confirm). Their failure loses nothing.
pub(super) async fn make_owed_calls(transport: Transport, mut calls: mpsc::UnboundedReceiver<(Arc<Channel>, Call)>) {
    while let Some((channel, call)) = calls.recv().await {
        let transport = transport.clone();
        tokio::spawn(async move {
            if let Err(e) = transport.call_of(&channel.id, &call, None, Duration::from_secs(10)).await {
                tracing::warn!(channel = &*channel.id, error = %e, "a call owed to the provider failed");
            }
        });
    }
}

pub(super) type KeyCall = (Arc<Channel>, Call, oneshot::Sender<Option<bytes::Bytes>>);

/// Fetches published keys for verification.
pub(super) async fn fetch_keys(transport: Transport, mut calls: mpsc::UnboundedReceiver<KeyCall>) {
    while let Some((channel, call, answer)) = calls.recv().await {
        let transport = transport.clone();
        tokio::spawn(async move {
            let keys = match transport.call_of(&channel.id, &call, None, Duration::from_secs(5)).await {
                Ok(reply) if reply.status.is_success() => Some(reply.body),
                Ok(reply) => {
                    tracing::warn!(channel = &*channel.id, status = reply.status.as_u16(), "published keys cannot be fetched");
                    None
                }
                Err(e) => {
                    tracing::warn!(channel = &*channel.id, error = %e, "published keys cannot be fetched");
                    None
                }
            };
            let _ = answer.send(keys);
        });
    }
}

//! Calls that webhooks give rise to, made beside them.

use std::{sync::Arc, time::Duration};

use fairway_adapters::contract::Call;
use tokio::sync::{mpsc, oneshot};

use crate::channels::Channel;
use crate::transport::Transport;

/// Calls owed besides an answer (a button press to confirm). Their failure loses nothing.
pub(super) async fn make_owed_calls(transport: Transport, mut calls: mpsc::UnboundedReceiver<(Arc<Channel>, Call)>) {
    while let Some((channel, call)) = calls.recv().await {
        let transport = transport.clone();
        tokio::spawn(async move {
            if let Err(e) = transport.call(&call, None, Duration::from_secs(10)).await {
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
            let keys = match transport.call(&call, None, Duration::from_secs(5)).await {
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

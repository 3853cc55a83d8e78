//! Web chat's way in: what visitors do takes the path of every webhook, without the detour over the network.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fairway_adapters::contract::Webhook;
use http::{HeaderMap, Method};

use crate::clock;
use crate::ingress::{Ingress, Refusal};
use crate::log::Pending;
use crate::webchat::{Door, Shut};

/// The channels' hooks.
pub struct Hook(pub Arc<Ingress>);

impl Door for Hook {
    fn take<'a>(&'a self, channel: &'a str, headers: HeaderMap, body: Bytes) -> Pending<'a, Result<(), Shut>> {
        Box::pin(async move {
            let since = Instant::now();
            let channels = self.0.channels();
            let hook = channels.hooks.get(channel).ok_or(Shut::Refused)?;
            let webhook = Webhook { method: &Method::POST, url: &hook.url, query: "", headers: &headers, body: &body };
            let (label, result) = match self.0.accept(hook, webhook, clock::now()).await {
                // Kept to be replayed once it is understood: for the visitor it has arrived.
                Ok((_, label)) => (label, Ok(())),
                Err(refusal) => {
                    let shut = if matches!(refusal, Refusal::Unavailable(_)) { Shut::Away } else { Shut::Refused };
                    (refusal.label(), Err(shut))
                }
            };
            self.0.count(&hook.entry.id, label, since);
            result
        })
    }
}

//! What a channel's own connection brings: one more way in, with the connection as its proof.

use std::time::Instant;

use fairway_adapters::contract::{Context, Delivery, Verified, Webhook};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Ingress;
use crate::clock;

impl Ingress {
    /// Takes a delivery of a channel's session; true when all of it is durable.
    pub async fn take_from_session(&self, channel: &str, delivery: &Delivery) -> bool {
        let since = Instant::now();
        let channels = self.channels();
        let Some(hook) = channels.hooks.get(channel) else { return false };
        let mut headers = HeaderMap::with_capacity(delivery.headers.len());
        for (name, value) in &delivery.headers {
            match HeaderValue::from_str(value) {
                Ok(value) => drop(headers.insert(HeaderName::from_static(name), value)),
                Err(_) => tracing::error!(channel, header = name, "a session's header cannot be written; it is left out"),
            }
        }
        let webhook = Webhook { method: &Method::POST, url: &hook.url, query: "", headers: &headers, body: &delivery.body };
        let cx = Context { now: clock::now(), public_url: self.public_url(), hook_url: &hook.url, login: None, keys: None };
        let (label, taken) = match self.take(hook, &Verified::from_our_own_session(webhook), &cx).await {
            Ok((_, label)) => (label, true),
            Err(refusal) => (refusal.label(), false),
        };
        self.count(&hook.entry.id, label, since);
        taken
    }
}

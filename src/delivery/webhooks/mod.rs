//! Webhooks of ours: events delivered to a URL, signed by Standard Webhooks, in order within each conversation.
//!
//! - Each endpoint has a task, a place and retries of its own: a sick one slows nobody else.
//! - At least once: the receiver tells a repeat by `webhook-id`, which is the event's id.
//! - Its state is a setting `webhook/ID`: a cursor, and what before it has not been delivered. A restart goes on from there.

mod endpoint;
mod sign;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use fairway_adapters::contract::{Call, Time};
use http::{Method, header};
use tokio::{sync::Notify, task::JoinHandle};

use super::cursor::Vector;
use super::feed::Feed;
use crate::store::{Endpoint, Store};
use crate::transport::{self, Transport, is_public};
use crate::{clock, ids};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why an endpoint cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none we would call.
    #[error("{0}")]
    Url(&'static str),
    /// There is none with this id.
    #[error("there is no webhook with this id")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The system has no random bytes.
    #[error("no random bytes can be had")]
    Random,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Delivered,
    /// It wants nothing any more.
    Gone,
    /// It does not have it.
    Failed {
        /// In words, without content.
        why: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
        /// Whether it is overloaded, so that the others wait too.
        busy: bool,
    },
}

/// How soon an endpoint made or changed on another node is noticed here.
const LOOK: Duration = Duration::from_secs(1);

/// All endpoints.
pub struct Webhooks {
    feed: Arc<Feed>,
    store: Arc<dyn Store>,
    transport: Transport,
    /// Whether loopback addresses are allowed: the gateway is itself on loopback.
    local: bool,
    changed: Notify,
}

/// A task that ends with its handle.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Webhooks {
    /// The endpoints of the store; nothing is delivered until [`Webhooks::run`].
    pub fn new(feed: Arc<Feed>, store: Arc<dyn Store>, transport: Transport, local: bool) -> Arc<Self> {
        Arc::new(Self { feed, store, transport, local, changed: Notify::new() })
    }

    /// Delivers to all endpoints, each from where the last run of it was, until this future is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut tasks: BTreeMap<String, (u32, Task)> = BTreeMap::new();
        loop {
            match self.store.endpoints().await {
                Ok(endpoints) => {
                    let live: BTreeMap<String, Endpoint> =
                        endpoints.into_iter().filter(|e| e.disabled.is_none()).map(|e| (e.id.clone(), e)).collect();
                    tasks.retain(|id, (generation, task)| {
                        live.get(id).is_some_and(|e| e.generation == *generation) && !task.0.is_finished()
                    });
                    for (id, endpoint) in live {
                        tasks
                            .entry(id)
                            .or_insert_with(|| (endpoint.generation, Task(tokio::spawn(endpoint::run(Arc::clone(&self), endpoint)))));
                    }
                }
                Err(e) => tracing::warn!(error = %e, "webhook endpoints cannot be read now"),
            }
            let _ = tokio::time::timeout(LOOK, self.changed.notified()).await;
        }
    }

    /// All endpoints, without their secrets.
    pub async fn list(&self) -> Result<Vec<Endpoint>, Error> {
        Ok(self.store.endpoints().await?.into_iter().map(|e| Endpoint { secrets: Vec::new(), ..e }).collect())
    }

    async fn get(&self, id: &str) -> Result<Endpoint, Error> {
        self.store.endpoint(id).await?.ok_or(Error::Unknown)
    }

    /// Makes an endpoint; the answer alone shows its secret. It gets what happens from now on.
    pub async fn create(&self, url: String, types: Vec<String>, channels: Vec<String>) -> Result<Endpoint, Error> {
        self.check(&url)?;
        let endpoint = Endpoint {
            id: ids::text("whk_", ids::random()),
            url,
            types,
            channels,
            secrets: vec![sign::new_secret().map_err(|_| Error::Random)?],
            disabled: None,
            generation: 0,
            created_at: clock::now(),
        };
        // The place first: what happens before a crash right after the answer is delivered too.
        endpoint::place(&*self.store, &endpoint.id, 0, &self.feed.text(&self.feed.now())).await?;
        self.store.put_endpoint(endpoint.clone()).await?;
        self.changed.notify_one();
        Ok(endpoint)
    }

    /// Removes an endpoint and what waits for it.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        let endpoint = self.get(id).await?;
        self.store.remove_endpoint(id).await?;
        self.changed.notify_one();
        Ok(self.store.put_setting(&endpoint::setting(id, endpoint.generation), String::new()).await?)
    }

    /// Sends a made-up event at once and says what came of it. It is not tried again.
    pub async fn test(&self, id: &str) -> Result<Answer, Error> {
        let endpoint = self.get(id).await?;
        let event = ids::text("evt_", ids::random());
        let body = serde_json::json!({
            "specversion": "1.0", "id": event, "source": format!("/webhooks/{id}"), "type": "fairway.webhook.test",
            "time": clock::now(), "datacontenttype": "application/json", "data": { "webhook": id },
        });
        Ok(self.post(&endpoint, &event, Bytes::from(body.to_string())).await)
    }

    /// Delivers again from a place on; an endpoint that was switched off is on again.
    pub async fn replay(&self, id: &str, from: &Vector) -> Result<Endpoint, Error> {
        let old = self.get(id).await?;
        let endpoint = Endpoint { disabled: None, generation: old.generation + 1, ..old.clone() };
        endpoint::place(&*self.store, id, endpoint.generation, &self.feed.text(from)).await?;
        self.store.put_endpoint(endpoint.clone()).await?;
        self.store.put_setting(&endpoint::setting(id, old.generation), String::new()).await?;
        self.changed.notify_one();
        Ok(Endpoint { secrets: Vec::new(), ..endpoint })
    }

    /// Switches an endpoint off, with the reason its owner reads; not one that was replayed meanwhile.
    async fn disable(&self, endpoint: Endpoint, why: String) {
        tracing::warn!(webhook = endpoint.id, why, "a webhook endpoint was switched off; `replay` switches it on again");
        loop {
            let switched = match self.store.endpoint(&endpoint.id).await {
                Ok(Some(now)) if now.generation == endpoint.generation => {
                    self.store.put_endpoint(Endpoint { disabled: Some(why.clone()), ..now }).await
                }
                Ok(_) => Ok(()),
                Err(e) => Err(e),
            };
            match switched {
                Ok(()) => return,
                Err(e) => tracing::error!(error = %e, "a webhook endpoint cannot be switched off now"),
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    /// Refuses early what would be refused at each delivery. Names are resolved and checked at each delivery again.
    fn check(&self, url: &str) -> Result<(), Error> {
        let url = url::Url::parse(url).map_err(|_| Error::Url("this is not a URL"))?;
        if !(url.scheme() == "https" || url.scheme() == "http" && self.local) {
            return Err(Error::Url("events hold what people wrote: use https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Url("leave the user and the password out: the signature says who is calling"));
        }
        let ip = match url.host() {
            Some(url::Host::Ipv4(ip)) => std::net::IpAddr::V4(ip),
            Some(url::Host::Ipv6(ip)) => std::net::IpAddr::V6(ip),
            Some(url::Host::Domain(_)) => return Ok(()),
            None => return Err(Error::Url("the URL has no host")),
        };
        if is_public(ip) || self.local && ip.is_loopback() { Ok(()) } else { Err(Error::Url("the address is private")) }
    }

    /// One try.
    async fn post(&self, endpoint: &Endpoint, id: &str, body: Bytes) -> Answer {
        let at = clock::now();
        let timestamp = at.0.div_euclid(1000);
        let call = Call::new(Method::POST, endpoint.url.as_str())
            .header("content-type", "application/cloudevents+json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", sign::signature(&endpoint.secrets, id, timestamp, &body))
            .bytes(body);
        match self.transport.fetch(&call, None, PATIENCE, transport::ANSWER_LIMIT).await {
            Ok(reply) => read(reply.status.as_u16(), reply.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()), at),
            Err(e) => Answer::Failed { why: e.to_string(), after: None, busy: false },
        }
    }
}

fn read(status: u16, retry_after: Option<&str>, now: Time) -> Answer {
    // A date is as good as a number; nobody makes us wait longer than a day.
    let after = retry_after.and_then(|text| match text.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            Some(Duration::from_millis(at.saturating_sub(now.0).max(0) as u64))
        }
    });
    let after = after.map(|d| d.min(Duration::from_secs(86_400)));
    match status {
        200..=299 => Answer::Delivered,
        410 => Answer::Gone,
        _ => Answer::Failed { why: format!("it answered {status}"), after, busy: matches!(status, 429 | 502..=504) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_standard_says() {
        let now = Time(1_795_169_730_000);
        assert_eq!(read(204, None, now), Answer::Delivered);
        assert_eq!(read(410, None, now), Answer::Gone);
        for (status, busy) in [(301, false), (404, false), (429, true), (500, false), (502, true)] {
            assert!(matches!(read(status, None, now), Answer::Failed { busy: b, after: None, .. } if b == busy), "{status}");
        }
        let after = |text| match read(429, Some(text), now) {
            Answer::Failed { after, .. } => after.map(|d| d.as_secs()),
            _ => None,
        };
        assert_eq!(after("17"), Some(17));
        assert_eq!(after("Fri, 20 Nov 2026 10:16:00 GMT"), Some(30));
        assert_eq!(after("99999999"), Some(86_400));
        assert_eq!(after("soon"), None);
    }
}

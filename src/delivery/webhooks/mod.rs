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
use parking_lot::RwLock;
use tokio::{runtime::Handle, task::JoinHandle};

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

/// All endpoints.
pub struct Webhooks {
    feed: Arc<Feed>,
    store: Arc<dyn Store>,
    transport: Transport,
    /// Whether loopback addresses are allowed: the gateway is itself on loopback.
    local: bool,
    /// Tasks live on the engine's threads, not on those of the listener that a request came in by.
    runtime: Handle,
    endpoints: RwLock<BTreeMap<String, Endpoint>>,
    tasks: tokio::sync::Mutex<BTreeMap<String, JoinHandle<()>>>,
}

impl Webhooks {
    /// Opens the endpoints of the store and goes on delivering.
    pub async fn open(feed: Arc<Feed>, store: Arc<dyn Store>, transport: Transport, local: bool) -> Result<Arc<Self>, crate::store::Error> {
        let endpoints: BTreeMap<String, Endpoint> = store.endpoints().await?.into_iter().map(|e| (e.id.clone(), e)).collect();
        let live: Vec<Endpoint> = endpoints.values().filter(|e| e.disabled.is_none()).cloned().collect();
        let hub = Arc::new(Self {
            feed,
            store,
            transport,
            local,
            runtime: Handle::current(),
            endpoints: RwLock::new(endpoints),
            tasks: tokio::sync::Mutex::default(),
        });
        for endpoint in live {
            hub.begin(endpoint).await;
        }
        Ok(hub)
    }

    /// All endpoints, without their secrets.
    pub fn list(&self) -> Vec<Endpoint> {
        self.endpoints.read().values().map(|e| Endpoint { secrets: Vec::new(), ..e.clone() }).collect()
    }

    fn get(&self, id: &str) -> Result<Endpoint, Error> {
        self.endpoints.read().get(id).cloned().ok_or(Error::Unknown)
    }

    /// Makes an endpoint; the answer alone shows its secret. It gets what happens from now on.
    pub async fn create(self: &Arc<Self>, url: String, types: Vec<String>, channels: Vec<String>) -> Result<Endpoint, Error> {
        self.check(&url)?;
        let endpoint = Endpoint {
            id: ids::text("whk_", ids::random()),
            url,
            types,
            channels,
            secrets: vec![sign::new_secret().map_err(|_| Error::Random)?],
            disabled: None,
            created_at: clock::now(),
        };
        // The place first: what happens before a crash right after the answer is delivered too.
        endpoint::place(&*self.store, &endpoint.id, &self.feed.text(&self.feed.now())).await?;
        self.store.put_endpoint(endpoint.clone()).await?;
        self.endpoints.write().insert(endpoint.id.clone(), endpoint.clone());
        self.begin(endpoint.clone()).await;
        Ok(endpoint)
    }

    /// Removes an endpoint and what waits for it.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        self.get(id)?;
        self.end(id).await;
        self.endpoints.write().remove(id);
        self.store.remove_endpoint(id).await?;
        Ok(self.store.put_setting(&endpoint::setting(id), String::new()).await?)
    }

    /// Sends a made-up event at once and says what came of it. It is not tried again.
    pub async fn test(&self, id: &str) -> Result<Answer, Error> {
        let endpoint = self.get(id)?;
        let event = ids::text("evt_", ids::random());
        let body = serde_json::json!({
            "specversion": "1.0", "id": event, "source": format!("/webhooks/{id}"), "type": "fairway.webhook.test",
            "time": clock::now(), "datacontenttype": "application/json", "data": { "webhook": id },
        });
        Ok(self.post(&endpoint, &event, Bytes::from(body.to_string())).await)
    }

    /// Delivers again from a place on; an endpoint that was switched off is on again.
    pub async fn replay(self: &Arc<Self>, id: &str, from: &Vector) -> Result<Endpoint, Error> {
        let endpoint = Endpoint { disabled: None, ..self.get(id)? };
        self.end(id).await;
        endpoint::place(&*self.store, id, &self.feed.text(from)).await?;
        self.store.put_endpoint(endpoint.clone()).await?;
        self.endpoints.write().insert(id.to_owned(), endpoint.clone());
        self.begin(endpoint.clone()).await;
        Ok(Endpoint { secrets: Vec::new(), ..endpoint })
    }

    /// Switches an endpoint off, with the reason its owner reads.
    async fn disable(&self, mut endpoint: Endpoint, why: String) {
        tracing::warn!(webhook = endpoint.id, why, "a webhook endpoint was switched off; `replay` switches it on again");
        endpoint.disabled = Some(why);
        self.endpoints.write().insert(endpoint.id.clone(), endpoint.clone());
        while let Err(e) = self.store.put_endpoint(endpoint.clone()).await {
            tracing::error!(error = %e, "a webhook endpoint cannot be switched off now");
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    async fn begin(self: &Arc<Self>, endpoint: Endpoint) {
        let id = endpoint.id.clone();
        let task = self.runtime.spawn(endpoint::run(Arc::clone(self), endpoint));
        if let Some(old) = self.tasks.lock().await.insert(id, task) {
            old.abort();
        }
    }

    /// Ends an endpoint's task; when this returns it writes no more.
    async fn end(&self, id: &str) {
        let task = self.tasks.lock().await.remove(id);
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
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
        match self.transport.fetch(&call, false, PATIENCE, transport::ANSWER_LIMIT).await {
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

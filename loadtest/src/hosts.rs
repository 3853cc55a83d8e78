//! Hosts the twins: the providers' APIs on a port of ours, each channel with its own limit, and the receipts they send.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fairway_adapters::conformance::stage::{Books, Mood, Outcome, Stage};
use fairway_adapters::contract::twin::{Emit, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;

use crate::scenario::Provider as Plan;
use crate::source::{SEED, Source, now};
use crate::wire::{Shot, Wire};

/// How often a receipt that was not taken is brought again.
const ROUNDS: u32 = 12;

/// A message as it reached its provider.
#[derive(Clone, Debug)]
pub struct Reached {
    /// When.
    pub at: Instant,
    /// Its words.
    pub words: String,
}

/// One channel's provider.
pub struct Hosted {
    stage: Mutex<Stage>,
    plan: Plan,
    source: Arc<Source>,
    reached: Mutex<Vec<Reached>>,
    taken: AtomicU64,
}

impl Hosted {
    fn stage(&self) -> std::sync::MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The limit it enforces, messages a second.
    pub fn limit(&self) -> Option<u32> {
        self.plan.limit
    }

    /// What its stage has counted.
    pub fn books(&self) -> Books {
        self.stage().books().clone()
    }

    /// Looks at everything that reached it, in order.
    pub fn reached<T>(&self, look: impl FnOnce(&[Reached]) -> T) -> T {
        look(&self.reached.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// All of them.
pub struct Hosts {
    /// Where they listen.
    pub port: u16,
    channels: HashMap<String, Arc<Hosted>>,
    wire: Mutex<Option<Wire>>,
    /// Receipts on their way.
    open: AtomicU64,
    /// Receipts the gateway took.
    pub receipts: AtomicU64,
    /// Receipts it did not take, however often they were brought.
    pub receipts_given_up: AtomicU64,
}

impl Hosts {
    /// Opens a port for the providers of these channels.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn open(listen: &str, channels: Vec<(Arc<Source>, Plan)>) -> Result<Arc<Self>, String> {
        let listener = tokio::net::TcpListener::bind(listen).await.map_err(|e| format!("the twins cannot listen on {listen}: {e}"))?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        let channels = channels.into_iter().map(|(source, plan)| (source.channel.clone(), Arc::new(hosted(source, plan)))).collect();
        let hosts = Arc::new(Self {
            port,
            channels,
            wire: Mutex::default(),
            open: AtomicU64::new(0),
            receipts: AtomicU64::new(0),
            receipts_given_up: AtomicU64::new(0),
        });
        tokio::spawn(Arc::clone(&hosts).listen(listener));
        Ok(hosts)
    }

    /// Where receipts go.
    pub fn deliver_to(&self, wire: &Wire) {
        *self.wire.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(wire.clone());
    }

    /// The channels, by name.
    pub fn channels(&self) -> impl Iterator<Item = (&String, &Arc<Hosted>)> {
        self.channels.iter()
    }

    /// How many messages have reached them.
    pub fn count(&self) -> u64 {
        self.channels.values().map(|h| h.taken.load(Ordering::Relaxed)).sum()
    }

    /// How many receipts are on their way.
    pub fn receipts_open(&self) -> u64 {
        self.open.load(Ordering::Acquire)
    }

    /// Changes how the providers of a plan feel; `None` makes them well.
    pub fn mood(&self, provider: Option<&str>, mood: Option<Mood>) {
        for hosted in self.channels.values().filter(|h| provider.is_none_or(|p| p == "all" || p == h.source.provider.facts.id)) {
            let well = Mood { latency_ms: hosted.plan.latency_ms, ..Mood::default() };
            let mut mood = mood.unwrap_or(well);
            mood.latency_ms = if mood.latency_ms == 0 { hosted.plan.latency_ms } else { mood.latency_ms };
            hosted.stage().mood = mood;
        }
    }

    async fn listen(self: Arc<Self>, listener: tokio::net::TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let hosts = Arc::clone(&self);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| Arc::clone(&hosts).answer(request));
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    /// `/{channel}/...` is the API of that channel's provider. No answer from the twin closes the connection.
    async fn answer(
        self: Arc<Self>,
        request: hyper::Request<hyper::body::Incoming>,
    ) -> Result<hyper::Response<Full<bytes::Bytes>>, std::io::Error> {
        let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| broken())?.to_bytes();
        let path = head.uri.path().trim_start_matches('/').to_owned();
        let (channel, rest) = path.split_once('/').unwrap_or((&path, ""));
        let Some(hosted) = self.channels.get(channel).map(Arc::clone) else {
            let mut response = hyper::Response::new(Full::default());
            *response.status_mut() = hyper::StatusCode::NOT_FOUND;
            return Ok(response);
        };
        let query = head.uri.query().unwrap_or_default().to_owned();
        let request = Request { method: head.method, path: format!("/{rest}"), query, headers: head.headers, body };
        let outcome = hosted.take(&request);
        if outcome.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(outcome.delay_ms)).await;
        }
        if hosted.plan.receipts {
            for emit in outcome.emits {
                self.open.fetch_add(1, Ordering::AcqRel);
                tokio::spawn(Arc::clone(&self).bring(Arc::clone(&hosted), emit));
            }
        }
        let reply = outcome.reply.ok_or_else(broken)?;
        let mut response = hyper::Response::new(Full::new(reply.body));
        (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
        Ok(response)
    }

    /// Brings a receipt, again and again when it is not taken.
    async fn bring(self: Arc<Self>, hosted: Arc<Hosted>, emit: Emit) {
        tokio::time::sleep(Duration::from_millis(emit.after_ms)).await;
        let wire = self.wire.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut taken = false;
        for round in 0..ROUNDS {
            let Some(wire) = &wire else { break };
            let shot: Shot = hosted.source.signed_for(emit.draft.clone(), emit.url.as_deref());
            if let Ok((200..=299, _)) = wire.send(&shot).await {
                taken = true;
                break;
            }
            tokio::time::sleep(Duration::from_millis(100 << round.min(5))).await;
        }
        (if taken { &self.receipts } else { &self.receipts_given_up }).fetch_add(1, Ordering::AcqRel);
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

fn hosted(source: Arc<Source>, plan: Plan) -> Hosted {
    let mut stage = Stage::new((source.provider.twin)(SEED), SEED);
    stage.enforce = plan.limit.is_some() || plan.per_recipient.is_some();
    stage.pace = (plan.limit.unwrap_or(u32::MAX), 1000);
    stage.set_pair_pace(plan.per_recipient.map(|(count, seconds)| (count, seconds * 1000, 1)));
    stage.mood = Mood { latency_ms: plan.latency_ms, ..Mood::default() };
    Hosted { stage: Mutex::new(stage), plan, source, reached: Mutex::default(), taken: AtomicU64::new(0) }
}

impl Hosted {
    /// Plays a request and writes down what was accepted, at the moment it was.
    fn take(&self, request: &Request) -> Outcome {
        let mut stage = self.stage();
        let before = stage.accepted().len();
        let outcome = stage.serve(request, now());
        let at = Instant::now();
        let mut reached = self.reached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (_, accepted) in &stage.accepted()[before..] {
            let number = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
            if self.plan.forget_every.is_none_or(|n| !number.is_multiple_of(n.max(1))) {
                reached.push(Reached { at, words: accepted.text.clone() });
            }
        }
        outcome
    }
}

/// The most messages in any sliding second, by the times they were accepted; `times` in order.
pub fn fullest_second(times: &[Instant]) -> u32 {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in times.iter().enumerate() {
        while at.duration_since(times[first]) >= Duration::from_secs(1) {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sliding_second_sees_what_a_calendar_second_does_not() {
        let start = Instant::now();
        // Ten in the last tenth of one second and ten in the first of the next.
        let times: Vec<Instant> = (0..20).map(|n| start + Duration::from_millis(900 + n * 10)).collect();
        assert_eq!(fullest_second(&times), 20);
        let even: Vec<Instant> = (0..50).map(|n| start + Duration::from_millis(n * 100)).collect();
        assert_eq!(fullest_second(&even), 10);
        assert_eq!(fullest_second(&[]), 0);
    }
}

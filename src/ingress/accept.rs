//! One delivery: verified, parsed, claimed, made durable, answered.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use fairway_adapters::contract::{Call, Context, Handle, Time, Verified, VerifyError, Waiting, Webhook};
use http::Method;
use metrics::{Counter, Histogram};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use super::answers::{self, Answers};
use super::claims::{Claim, Claims};
use super::once::Once;
use super::record::{self, Claimed};
use super::respond::{Answer, Refusal, success};
use crate::channels::{Channel, Hook, Live};
use crate::config::Config;
use crate::envelope::Writer;
use crate::ids::Fingerprint;
use crate::log::{Durability, EventLog, Outcome, Pending, Record, config::KeepRaw};
use crate::media::blobs::Blobs;
use crate::seal::Seal;
use crate::telemetry::{self, names, trace};
use crate::transport::held::{self, Held};

/// What the room needs of the rest.
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The channels in force.
    pub channels: Live,
    /// Ids taken already.
    pub claims: Arc<Claims>,
    /// Seals what lets us answer.
    pub seal: Arc<Seal>,
    /// Answers held back for messages.
    pub held: Held,
    /// Where large bodies go.
    pub blobs: Blobs,
    /// Calls owed besides the answer, with the channel they belong to.
    pub owed: mpsc::UnboundedSender<(Arc<Channel>, Call)>,
    /// Matches what people write to the options we offered.
    pub answers: Answers,
    /// Fetches published keys for a channel; the answer is kept here.
    pub keys: mpsc::UnboundedSender<(Arc<Channel>, Call, oneshot::Sender<Option<bytes::Bytes>>)>,
}

/// The way in.
pub struct Ingress {
    parts: Parts,
    writer: Writer,
    public_url: String,
    keep_all: bool,
    meters: RwLock<HashMap<Arc<str>, Arc<Meters>>>,
    published: RwLock<HashMap<Arc<str>, (bytes::Bytes, Instant)>>,
    once: Once,
    strangers: Arc<dashmap::DashMap<String, Instant>>,
}

/// The metrics of one channel, registered once.
struct Meters {
    outcomes: HashMap<&'static str, Counter>,
    events: RwLock<HashMap<&'static str, Counter>>,
    /// Messages of people since it was asked last.
    received: AtomicU32,
    seconds: Histogram,
}

/// What people write.
const RECEIVED: &str = "fairway.message.received";
/// Published keys are not asked for again within this long, whatever a delivery says.
const KEYS_AGAIN: std::time::Duration = std::time::Duration::from_secs(20);
/// Published keys are asked for again after this long.
const KEYS_FOR: std::time::Duration = std::time::Duration::from_secs(3600);

impl Ingress {
    /// Opens the way in.
    pub fn new(parts: Parts, config: &Config) -> Self {
        Self {
            writer: Writer::new(&*parts.log, config.log.encoding, &config.server.public_url),
            public_url: config.server.public_url.clone(),
            keep_all: config.log.raw == KeepRaw::All,
            meters: RwLock::default(),
            published: RwLock::default(),
            once: Once::default(),
            strangers: Arc::default(),
            parts,
        }
    }

    /// The channels in force.
    pub fn channels(&self) -> Arc<crate::channels::Channels> {
        self.parts.channels.get()
    }

    /// `server.public_url`.
    pub(super) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Counts what became of a delivery.
    pub fn count(&self, channel: &Arc<str>, outcome: &'static str, since: Instant) {
        let meters = self.meters(channel);
        if let Some(counter) = meters.outcomes.get(outcome) {
            counter.increment(1);
        }
        meters.seconds.record(since.elapsed().as_secs_f64());
    }

    /// Takes a delivery and answers when all of it is durable.
    pub async fn accept(&self, hook: &Hook, webhook: Webhook<'_>, now: Time) -> Result<(Answer, &'static str), Refusal> {
        let channel = &hook.entry;
        let keys = self.published_keys(channel);
        let cx = Context { now, public_url: &self.public_url, hook_url: &hook.url, login: None, keys: keys.as_deref() };
        let verified = match channel.adapter.verify(webhook, &cx) {
            Ok(verified) => verified,
            Err(VerifyError::NeedsKeys(call)) => {
                if !self.may_ask_for_keys(channel) {
                    return Err(Refusal::Verify(VerifyError::NeedsKeys(call)));
                }
                let keys = self.fetch_keys(channel, call).await.ok_or(Refusal::Unavailable(channel.facts()))?;
                let cx = Context { keys: Some(&keys), ..cx };
                channel.adapter.verify(webhook, &cx).map_err(Refusal::Verify)?
            }
            Err(e) => return Err(Refusal::Verify(e)),
        };
        self.take(hook, &verified, &cx).await
    }

    pub(super) async fn take(&self, hook: &Hook, verified: &Verified<'_>, cx: &Context<'_>) -> Result<(Answer, &'static str), Refusal> {
        let channel = &hook.entry;
        let mut parsed = channel.adapter.parse(verified, cx);
        if let Some(token) = &parsed.once
            && !self.once.is_the_same(&[channel.id.as_bytes(), token.as_bytes()], &parsed.events)
        {
            return Err(Refusal::Verify(VerifyError::MISMATCH));
        }
        let webhook = verified.hook();
        let traceparent = trace::parent(webhook.headers);
        let mut claimed = Vec::with_capacity(parsed.events.len());
        let mut counted: Vec<(Arc<str>, &'static str)> = Vec::with_capacity(parsed.events.len());
        let answered_by = tokio::time::Instant::now() + answers::WAIT;
        for mut event in std::mem::take(&mut parsed.events) {
            match hook.owner(event.account.as_deref()) {
                Some(owner) => {
                    self.parts.answers.take(owner, &mut event, answered_by).await;
                    counted.push((Arc::clone(&owner.id), event.body.kind()));
                    claimed.push(record::event(&self.writer, owner, event, cx.now, cx.public_url, traceparent));
                }
                None => {
                    self.notice_stranger(channel, event.account.as_deref().unwrap_or_default());
                    parsed.leave("an account id that no configured channel has");
                }
            }
        }
        for handle in &parsed.handles {
            if let Some(owner) = hook.owner(handle.account.as_deref()) {
                claimed.push(record::handle(&self.parts.seal, owner, handle, cx.now));
            }
        }
        let held = parsed.waiting.take().and_then(|waiting| self.hold(hook, &waiting, cx.now, &mut claimed));
        let leftover = parsed.unparsed.take();
        let kept_whole = self.keep_all && *webhook.method == Method::POST;
        if let Some(reason) = leftover.as_deref().or(kept_whole.then_some("kept because log.raw is \"all\"")) {
            let kept = record::unparsed(&self.writer, &self.parts.blobs, channel, webhook, reason, cx.now);
            claimed.push(kept.map_err(|e| {
                tracing::error!(channel = &*channel.id, error = %e, "a large delivery could not be kept");
                Refusal::Unavailable(channel.facts())
            })?);
        }
        let fresh = if claimed.is_empty() {
            Fresh::All
        } else {
            self.make_durable(claimed).await.map_err(|()| Refusal::Unavailable(channel.facts()))?
        };
        if fresh == Fresh::All {
            for (id, kind) in counted {
                self.count_event(&id, kind);
            }
        }
        for call in parsed.owed {
            let _ = self.parts.owed.send((Arc::clone(channel), call));
        }
        let label = match (leftover.is_some(), fresh) {
            (true, _) => "unparsed",
            (false, Fresh::None) => "duplicate",
            (false, _) => "accepted",
        };
        let message = match held {
            Some((answer, until)) => answer.given(until).await,
            None => None,
        };
        Ok((success(message.unwrap_or(parsed.ack)), label))
    }

    /// Holds the answer back for a message: until when, and with the delivery goes how to give it.
    fn hold(&self, hook: &Hook, waiting: &Waiting<'_>, now: Time, claimed: &mut Vec<Claimed>) -> Option<(held::Answer, Time)> {
        let owner = hook.owner(waiting.account.as_deref())?;
        let answer = self.parts.held.hold()?;
        let value = waiting.handle(answer.number).into();
        let (peer, until) = (waiting.peer.clone(), waiting.until);
        let handle = Handle { account: None, peer, value, until: Some(until), uses: Some(1) };
        claimed.push(record::handle(&self.parts.seal, owner, &handle, now));
        Some((answer, until))
    }

    /// Claims everything without waiting, appends what was won in one batch, waits for the rest, and takes over what its
    /// holder failed to append.
    async fn make_durable(&self, claimed: Vec<Claimed>) -> Result<Fresh, ()> {
        let mut remaining = claimed;
        let (mut won_any, mut known_any) = (false, false);
        loop {
            let mut batch = Holding::new(Arc::clone(&self.parts.claims));
            let mut waiting = Vec::new();
            for entry in remaining {
                match entry.id.map_or(Claim::Won, |id| self.parts.claims.claim(id)) {
                    Claim::Won => batch.push(entry),
                    Claim::Known => known_any = true,
                    Claim::Held(done) => waiting.push((entry, done)),
                }
            }
            if !batch.ids.is_empty() {
                batch.append(&*self.parts.log, &self.parts.blobs).await?;
                won_any = true;
            }
            remaining = Vec::new();
            for (entry, done) in waiting {
                if done.await.unwrap_or(false) {
                    known_any = true;
                } else {
                    remaining.push(entry);
                }
            }
            if remaining.is_empty() {
                return Ok(match (won_any, known_any) {
                    (true, false) => Fresh::All,
                    (true, true) => Fresh::Some,
                    (false, _) => Fresh::None,
                });
            }
        }
    }

    /// Keys change: a delivery that names an unknown one asks for them anew. Anybody can name one, so they are asked for rarely.
    fn may_ask_for_keys(&self, channel: &Channel) -> bool {
        let published = self.published.read();
        published.get(&channel.id).is_none_or(|(_, at)| at.elapsed() > KEYS_AGAIN)
    }

    fn published_keys(&self, channel: &Channel) -> Option<bytes::Bytes> {
        let published = self.published.read();
        published.get(&channel.id).filter(|(_, at)| at.elapsed() < KEYS_FOR).map(|(keys, _)| keys.clone())
    }

    async fn fetch_keys(&self, channel: &Arc<Channel>, call: Call) -> Option<bytes::Bytes> {
        let (sender, receiver) = oneshot::channel();
        self.parts.keys.send((Arc::clone(channel), call, sender)).ok()?;
        let keys = receiver.await.ok()??;
        self.published.write().insert(Arc::clone(&channel.id), (keys.clone(), Instant::now()));
        Some(keys)
    }

    /// One notice an hour for each account id nobody configured.
    fn notice_stranger(&self, channel: &Channel, account: &str) {
        let hour = std::time::Duration::from_secs(3600);
        let key = format!("{}/{account}", channel.id);
        if self.strangers.get(&key).is_some_and(|at| at.elapsed() < hour) || self.strangers.len() > 10_000 {
            return;
        }
        self.strangers.insert(key, Instant::now());
        tracing::warn!(
            channel = &*channel.id,
            account,
            "a delivery names an account that no channel has; it is kept in `unparsed`: add a channel, then `fairway replay`"
        );
    }

    /// Messages of people by channel since the last time this was asked.
    pub fn take_received(&self) -> Vec<(Arc<str>, u32)> {
        let meters = self.meters.read();
        let counts = meters.iter().map(|(channel, meters)| (Arc::clone(channel), meters.received.swap(0, Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn count_event(&self, channel: &Arc<str>, kind: &'static str) {
        let meters = self.meters(channel);
        if kind == RECEIVED {
            meters.received.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(counter) = meters.events.read().get(kind) {
            counter.increment(1);
            return;
        }
        let counter = telemetry::counter(&names::EVENTS, &[channel, kind]);
        counter.increment(1);
        meters.events.write().insert(kind, counter);
    }

    fn meters(&self, channel: &Arc<str>) -> Arc<Meters> {
        if let Some(meters) = self.meters.read().get(channel) {
            return Arc::clone(meters);
        }
        const OUTCOMES: [&str; 12] = [
            "accepted",
            "duplicate",
            "unparsed",
            "missing",
            "mismatch",
            "stale",
            "no_keys",
            "too_large",
            "slow",
            "unknown_channel",
            "bad_request",
            "unavailable",
        ];
        let meters = Arc::new(Meters {
            outcomes: OUTCOMES.into_iter().map(|o| (o, telemetry::counter(&names::WEBHOOKS, &[channel, o]))).collect(),
            events: RwLock::default(),
            received: AtomicU32::default(),
            seconds: telemetry::histogram(&names::WEBHOOK_SECONDS, &[channel]),
        });
        self.meters.write().insert(Arc::clone(channel), Arc::clone(&meters));
        meters
    }
}

/// How much of a delivery was new.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fresh {
    All,
    Some,
    None,
}

/// Claims that are being appended. Dropped half-way (the client hung up), it settles them when the log has answered.
struct Holding {
    claims: Arc<Claims>,
    ids: Vec<(Option<Fingerprint>, usize)>,
    records: Vec<Record>,
    files: Vec<(String, bytes::Bytes)>,
    pending: Option<Pending<'static, Vec<Outcome>>>,
}

impl Holding {
    fn new(claims: Arc<Claims>) -> Self {
        Self { claims, ids: Vec::new(), records: Vec::new(), files: Vec::new(), pending: None }
    }

    fn push(&mut self, entry: Claimed) {
        self.ids.push((entry.id, entry.records.len()));
        self.records.extend(entry.records);
        self.files.extend(entry.files);
    }

    /// Appends what is held; `Err` when some of it is not durable.
    async fn append(mut self, log: &dyn EventLog, blobs: &Blobs) -> Result<(), ()> {
        let (files, blobs) = (std::mem::take(&mut self.files), blobs.clone());
        if !files.is_empty() {
            // Before the event: it says that they are there.
            let kept = tokio::task::spawn_blocking(move || Claimed::keep_files(&blobs, &files)).await;
            if let Err(e) = kept.map_err(|e| e.to_string()).and_then(|kept| kept.map_err(|e| e.to_string())) {
                tracing::error!(error = e, "a file that a delivery brought cannot be kept");
                return Err(());
            }
        }
        self.pending = Some(log.append(std::mem::take(&mut self.records), Durability::LogOrSpool));
        let outcomes = match &mut self.pending {
            Some(pending) => pending.await,
            None => Vec::new(),
        };
        self.pending = None;
        settle(&self.claims, &std::mem::take(&mut self.ids), &outcomes)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let (claims, ids) = (Arc::clone(&self.claims), std::mem::take(&mut self.ids));
        match self.pending.take() {
            Some(pending) => {
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move { settle(&claims, &ids, &pending.await) });
                }
            }
            // Claimed and never handed to the log: free again.
            None => ids.iter().filter_map(|(id, _)| *id).for_each(|id| claims.settle(id, false)),
        }
    }
}

/// Durable claims stay, failed ones are released. An unknown one stays claimed until the log knows (a repeat would then
/// carry the same id), so the provider is asked to come back and finds it settled or free.
fn settle(claims: &Claims, ids: &[(Option<Fingerprint>, usize)], outcomes: &[Outcome]) -> Result<(), ()> {
    let mut at = 0;
    let mut all = Ok(());
    for (id, count) in ids {
        let mine = outcomes.get(at..at + count).unwrap_or_default();
        at += count;
        let durable = !mine.is_empty() && mine.iter().all(Outcome::is_durable);
        if !durable {
            all = Err(());
            if let Some(trouble) = mine.iter().find(|o| !o.is_durable()) {
                tracing::warn!(outcome = ?trouble, "an event could not be made durable");
            }
        }
        if let Some(id) = id {
            claims.settle(*id, durable);
        }
    }
    all
}

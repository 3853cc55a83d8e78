//! Fetches what people sent, before the provider's handle expires.
//!
//! Orders of kind `media` become pending rows of the store; then the position is committed, so a crash forgets none. From
//! there on the row is the truth: tried soonest expiry first, again after failures, until it is ready or unavailable.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use fairway_adapters::contract::{Call, Context, Fetched, MediaRef, Secret, Time};
use tokio::{sync::Notify, task::JoinSet};

use super::blobs::Blobs;
use crate::channels::{Channel, Live};
use crate::clock;
use crate::log::{EventLog, Position, Positions, ReadError, Topic};
use crate::orders::Order;
use crate::people::address;
use crate::store::{Media, Store};
use crate::telemetry::{self, names};
use crate::transport::{self, Transport};

/// The name of the position in the orders.
const NAME: &str = "media";
/// Downloads at a time: each may hold a whole file in memory.
const AT_ONCE: usize = 4;
/// Seconds before each further try, each after the one before.
const RETRIES: [i64; 10] = [5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800];
/// Calls that one fetch may take: a handle to a link, a link to the bytes.
const CALLS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// What fetching needs.
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The channels in force.
    pub channels: Live,
    /// The client.
    pub transport: Transport,
    /// Where bytes are kept.
    pub blobs: Blobs,
    /// `server.public_url`.
    pub public_url: String,
    /// The largest file.
    pub max_size: usize,
}

/// Runs until the process ends.
pub async fn run(parts: Arc<Parts>) {
    let came = Arc::new(Notify::new());
    tokio::join!(take_orders(&parts, &came), fetch_pending(&parts, &came));
}

/// Turns orders into rows.
async fn take_orders(parts: &Parts, came: &Notify) {
    let mut reader = parts.log.reader();
    let (committed, begins) = loop {
        match (parts.log.committed(NAME).await, parts.log.begins(Topic::Orders).await) {
            (Ok(committed), Ok(begins)) => break (committed, begins),
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    for partition in 0..parts.log.partitions(Topic::Orders) {
        let begin = begins.get(&partition).copied().unwrap_or(0);
        let offset = committed.get(&partition).copied().unwrap_or(begin).max(begin);
        reader.assign(Position { topic: Topic::Orders, partition, offset });
    }
    let mut positions = Positions::new();
    let mut kept = clock::now();
    loop {
        let records = match reader.next(256).await {
            Ok(records) => records,
            Err(ReadError::Expired(at, oldest)) => {
                tracing::error!(partition = at.partition, "orders were deleted before their media were fetched");
                reader.assign(Position { offset: oldest, ..at });
                continue;
            }
            Err(e) => {
                tracing::warn!(error = %e, "media orders cannot be read now");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let mut any = false;
        for record in &records {
            positions.insert(record.at.partition, record.at.offset + 1);
            if Order::is(record, "media")
                && let Some(order) = Order::read(record)
            {
                any = true;
                while let Err(e) = take(&*parts.store, &order).await {
                    tracing::error!(error = %e, "a media order waits for the store");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        // Most orders are receipts; reading some of them again after a crash costs less than a commit for each.
        let now = clock::now();
        if any || now.since(kept) > 5000 {
            kept = now;
            if let Err(e) = parts.log.commit(NAME, positions.clone()).await {
                tracing::warn!(error = %e, "the place in the media orders cannot be kept; a restart reads some again");
            }
        }
        if any {
            came.notify_one();
        }
    }
}

async fn take(store: &dyn Store, order: &Order) -> Result<(), crate::store::Error> {
    let Order::Media { channel, media_id, source, mime_type, filename, person, kept } = order else { return Ok(()) };
    // Read again after a crash: the row knows better.
    if store.media(media_id).await?.is_some() {
        return Ok(());
    }
    let now = clock::now();
    let media = Media {
        id: media_id.clone(),
        channel: channel.clone(),
        state: if kept.is_some() { "ready" } else { "pending" }.into(),
        source: kept.is_none().then(|| source.clone()),
        blob: kept.as_ref().map(|(blob, _)| blob.clone()),
        mime_type: mime_type.clone(),
        filename: filename.clone(),
        size: kept.as_ref().map_or(0, |(_, size)| *size),
        tries: 0,
        due: now,
        reason: None,
        created_at: now,
        person: person.as_deref().map(|person| address::normal(person).into_owned()),
    };
    store.put_media(media).await
}

type Logins = HashMap<String, (Secret, Time)>;

/// Fetches what is pending and due.
async fn fetch_pending(parts: &Arc<Parts>, came: &Notify) {
    let mut under_way: HashSet<String> = HashSet::new();
    let mut fetches: JoinSet<String> = JoinSet::new();
    let logins = Arc::new(parking_lot::Mutex::new(Logins::new()));
    loop {
        let mut due = match parts.store.pending_media(clock::now(), 500).await {
            Ok(due) => due,
            Err(e) => {
                tracing::warn!(error = %e, "pending media cannot be read now");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        due.sort_by_key(|m| m.source.as_ref().and_then(|s| s.expires_at).map_or(i64::MAX, |t| t.0));
        for media in due {
            if fetches.len() >= AT_ONCE {
                break;
            }
            if !under_way.insert(media.id.clone()) {
                continue;
            }
            let (parts, logins) = (Arc::clone(parts), Arc::clone(&logins));
            fetches.spawn(async move {
                let id = media.id.clone();
                fetch(&parts, &logins, media).await;
                id
            });
        }
        tokio::select! {
            Some(done) = fetches.join_next() => match done {
                Ok(id) => drop(under_way.remove(&id)),
                // One that panicked is tried again with the others.
                Err(_) => under_way.clear(),
            },
            () = came.notified() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

enum Outcome {
    Bytes(bytes::Bytes, Option<String>),
    Later(String),
    Gone(String),
}

async fn fetch(parts: &Parts, logins: &parking_lot::Mutex<Logins>, mut media: Media) {
    let channels = parts.channels.get();
    let source = media.source.clone().unwrap_or_default();
    let outcome = match channels.by_id.get(&media.channel) {
        Some(channel) => calls(parts, logins, channel, &source).await,
        None => Outcome::Later("its channel is not configured now".into()),
    };
    let now = clock::now();
    let outcome = match outcome {
        Outcome::Bytes(bytes, mime) => {
            let (blobs, id, size) = (parts.blobs.clone(), media.id.clone(), bytes.len());
            let kept = tokio::task::spawn_blocking(move || blobs.put(&bytes).and_then(|blob| blobs.name(&id, &blob).map(|()| blob))).await;
            match kept {
                Ok(Ok(blob)) => {
                    media.state = "ready".into();
                    (media.blob, media.source, media.reason, media.size) = (Some(blob), None, None, size as u64);
                    media.mime_type = media.mime_type.or(mime);
                    "ready"
                }
                Ok(Err(e)) => later(&mut media, &source, now, format!("it cannot be kept: {e}")),
                Err(e) => later(&mut media, &source, now, format!("it cannot be kept: {e}")),
            }
        }
        Outcome::Later(why) => later(&mut media, &source, now, why),
        Outcome::Gone(why) => gone(&mut media, why),
    };
    telemetry::counter(&names::MEDIA, &[&media.channel, outcome]).increment(1);
    if outcome != "ready" {
        tracing::warn!(channel = media.channel, media = media.id, outcome, reason = media.reason, "a media object could not be fetched");
    }
    while let Err(e) = keep(parts, &media).await {
        tracing::error!(error = %e, "a fetched media object waits for the store");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Writes what came of a fetch, unless the object was let go of meanwhile: then what was fetched goes too.
async fn keep(parts: &Parts, media: &Media) -> Result<(), crate::store::Error> {
    match parts.store.media(&media.id).await? {
        Some(row) if row.state != "pending" => {
            let why = row.reason.clone().unwrap_or_default();
            super::let_go(&*parts.store, &parts.blobs, Media { blob: media.blob.clone(), ..row }, &why).await
        }
        _ => parts.store.put_media(media.clone()).await,
    }
}

fn later(media: &mut Media, source: &MediaRef, now: Time, why: String) -> &'static str {
    let Some(wait) = RETRIES.get(media.tries as usize) else { return gone(media, why) };
    if source.expires_at.is_some_and(|end| end.0 <= now.0) {
        return gone(media, format!("the provider's handle has expired; the last failure: {why}"));
    }
    media.tries += 1;
    media.due = now.plus(wait * 1000);
    media.reason = Some(why);
    "retried"
}

fn gone(media: &mut Media, why: String) -> &'static str {
    media.state = "unavailable".into();
    (media.source, media.reason) = (None, Some(why));
    "unavailable"
}

/// Makes the calls that the adapter says.
async fn calls(parts: &Parts, logins: &parking_lot::Mutex<Logins>, channel: &Channel, source: &MediaRef) -> Outcome {
    let now = clock::now();
    let bare = Context { now, public_url: &parts.public_url, hook_url: &channel.hook_url, login: None, keys: None };
    let mut login = None;
    if let Some(call) = channel.adapter.login(&bare) {
        let known = logins.lock().get(&*channel.id).filter(|(_, end)| end.0 > now.0).map(|(token, _)| token.clone());
        login = match known {
            Some(token) => Some(token),
            None => {
                match parts.transport.call_of(&channel.id, &call, None, PATIENCE).await.map(|reply| channel.adapter.logged_in(&reply)) {
                    Ok(Some((token, good))) => {
                        // A minute early: a token must outlive the calls it is used for.
                        let end = now.plus(i64::try_from(good).unwrap_or(i64::MAX / 2).saturating_sub(60_000));
                        logins.lock().insert(channel.id.to_string(), (token.clone(), end));
                        Some(token)
                    }
                    Ok(None) => return Outcome::Later("the provider refused the login".into()),
                    Err(e) => return Outcome::Later(e.to_string()),
                }
            }
        };
    }
    let cx = Context { login: login.as_ref(), ..bare };
    let Some(mut call) = channel.adapter.fetch(source, &cx) else {
        return Outcome::Gone("the adapter knows no way to fetch it".into());
    };
    for _ in 0..CALLS {
        let reply = match parts.transport.fetch(&call, is_trusted(&call).then_some(&channel.id), PATIENCE, parts.max_size).await {
            Ok(reply) => reply,
            Err(e @ transport::Error::Walled(_)) => return Outcome::Gone(e.to_string()),
            Err(e) if e.to_string().contains(transport::TOO_LARGE) => {
                return Outcome::Gone(format!("it is larger than media.max_size, {} bytes", parts.max_size));
            }
            Err(e) => return Outcome::Later(e.to_string()),
        };
        match channel.adapter.fetched(&call, &reply, &cx) {
            Fetched::Bytes => {
                let mime = reply.headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
                return Outcome::Bytes(reply.body, mime);
            }
            Fetched::Opened(bytes, mime) => return Outcome::Bytes(bytes, mime),
            Fetched::Call(next) => call = next,
            Fetched::Later => {
                // The token may be the reason; the next try asks for another.
                logins.lock().remove(&*channel.id);
                return Outcome::Later(format!("the provider answered {}", reply.status.as_u16()));
            }
            Fetched::Gone(why) => return Outcome::Gone(why),
        }
    }
    Outcome::Later("it took too many calls".into())
}

/// An adapter puts credentials only on calls to the configured address of its provider, which may be one of our own network.
/// A link without them came with a delivery and may lead anywhere.
fn is_trusted(call: &Call) -> bool {
    call.url_secret.is_some() || !call.secret_headers.is_empty()
}

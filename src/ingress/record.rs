//! Events and leftovers as records.

use std::sync::Arc;

use bytes::Bytes;
use fairway_adapters::contract::event::Unparsed;
use fairway_adapters::contract::part::{MediaRef, MediaStatus};
use fairway_adapters::contract::{self, Body, Data, Event, Raw, Receipt, Time, Webhook};
use fairway_adapters::kit::crypto;
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use crate::channels::Channel;
use crate::envelope::{Attributes, Writer, data, topic};
use crate::ids::{self, Fingerprint};
use crate::log::{Record, Topic};
use crate::media::blobs::{self, Blobs};
use crate::orders::Order;
use crate::seal::Seal;
use crate::store;

/// A body larger than this lies in the media store, with a reference in the event.
const INLINE: usize = 512 << 10;

/// A record with the id it is claimed by.
pub struct Claimed {
    /// `None` where the provider numbers nothing.
    pub id: Option<Fingerprint>,
    /// What to append when the claim is won.
    pub records: Vec<Record>,
    /// What to keep before that: files the delivery brought, by their media ids.
    pub files: Vec<(String, Bytes)>,
}

impl Claimed {
    fn of(id: Option<Fingerprint>, records: Vec<Record>) -> Self {
        Self { id, records, files: Vec::new() }
    }

    /// Keeps the files; durable when it returns. Blocks.
    pub fn keep_files(blobs: &Blobs, files: &[(String, Bytes)]) -> Result<(), blobs::Error> {
        files.iter().try_for_each(|(id, bytes)| blobs.name(id, &blobs.put(bytes)?))
    }
}

/// Writes the records of one event.
pub fn event(writer: &Writer, channel: &Arc<Channel>, mut event: Event<'_>, now: Time, public_url: &str, trace: Option<&str>) -> Claimed {
    let kind = event.body.kind();
    let id = event.key.as_ref().map(|key| ids::fingerprint(&[channel.id.as_bytes(), kind.as_bytes(), key.as_bytes()]));
    let named = id.unwrap_or_else(ids::random);
    if let Body::Receipt(receipt) = event.body {
        return Claimed::of(id, vec![order(channel, named, event.peer.as_ref(), now, receipt)]);
    }
    let (mut media_found, mut files) = (Vec::new(), Vec::new());
    event.body.each_media(|media| {
        let inline = media.inline.take();
        let Some(source) = media.source.take().or_else(|| inline.as_ref().map(|_| MediaRef::default())) else { return };
        let count = media_found.len() as u32;
        let media_id = ids::text("med_", ids::fingerprint(&[&named.to_be_bytes(), &count.to_be_bytes()]));
        media.url = Some(format!("{public_url}/v1/media/{media_id}").into());
        media.status = Some(MediaStatus::Pending);
        let kept = inline.map(|bytes| {
            let (blob, size) = (crypto::hex(&crypto::sha256(&bytes)), bytes.len() as u64);
            media.status = Some(MediaStatus::Ready);
            (media.size, media.sha256) = (Some(size), Some(blob.clone().into()));
            files.push((media_id.clone(), bytes));
            (blob, size)
        });
        media.id = Some(media_id.clone().into());
        let (mime_type, filename) = (media.mime_type.as_deref().map(str::to_owned), media.filename.as_deref().map(str::to_owned));
        media_found.push((media_id, source, mime_type, filename, kept));
    });
    let mut records = Vec::with_capacity(1 + media_found.len());
    for (media_id, source, mime_type, filename, kept) in media_found {
        let (channel_id, person) = (channel.id.to_string(), sender(&event));
        let order = Order::Media { channel: channel_id, media_id, source, mime_type, filename, person, kept };
        records.push(order.record(channel.unit, named));
    }
    let conversation = if event.peer.is_empty() { channel.id.to_string() } else { format!("{}/{}", channel.id, event.peer) };
    let body = data(&Data {
        channel: (&*channel.id).into(),
        provider: channel.facts().id.into(),
        medium: (&*event.medium).into(),
        conversation: conversation.as_str().into(),
        received_at: now,
        body: &event.body,
    });
    let attributes = Attributes {
        id: named,
        kind,
        channel: &channel.id,
        conversation: &conversation,
        time: event.time.unwrap_or(now),
        tenant: channel.tenant.as_deref(),
        traceparent: trace,
        correlation: None,
        replaces: None,
    };
    records.push(writer.record(topic(event.body.topic()), &attributes, body));
    Claimed { id, records, files }
}

/// Whose files an event brings: who wrote, or, where we did, whom to.
fn sender(event: &Event<'_>) -> Option<String> {
    let from = match &event.body {
        Body::Received(e) => Some(&e.from),
        Body::Edited(e) => Some(&e.from),
        Body::Comment(e) => Some(&e.from),
        _ => None,
    };
    let address = from.map_or_else(|| event.peer.split('#').next().unwrap_or_default(), |person| &person.address);
    (!address.is_empty()).then(|| address.to_owned())
}

/// What a person can be answered with goes to the owner of the channel, sealed.
pub fn handle(seal: &Seal, channel: &Channel, handle: &contract::Handle<'_>, now: Time) -> Claimed {
    let peer = handle.peer.as_ref();
    let id = ids::fingerprint(&[b"handle", channel.id.as_bytes(), peer.as_bytes(), handle.value.as_bytes()]);
    let conversation = format!("{}/{peer}", channel.id);
    let kept = store::Handle { sealed: seal.seal(&conversation, &handle.value), until: handle.until, uses: handle.uses, at: now };
    let order = Order::Handle { channel: channel.id.to_string(), peer: peer.to_owned(), handle: kept };
    Claimed::of(Some(id), vec![order.record(channel.unit, id)])
}

/// A receipt goes to the owner of its channel, who alone says what state a message is in.
fn order(channel: &Channel, id: Fingerprint, peer: &str, now: Time, receipt: Receipt<'_>) -> Record {
    let order = Order::Receipt {
        channel: channel.id.to_string(),
        peer: peer.to_owned(),
        received_at: now,
        receipt: serde_json::from_value(serde_json::to_value(receipt).unwrap_or_default())
            .unwrap_or_else(|_| Receipt::new("", fairway_adapters::contract::State::Accepted)),
    };
    order.record(channel.unit, id)
}

/// Keeps a delivery that was partly or not understood.
pub fn unparsed(
    writer: &Writer,
    blobs: &Blobs,
    channel: &Channel,
    hook: &Webhook<'_>,
    reason: &str,
    now: Time,
) -> Result<Claimed, blobs::Error> {
    let id = ids::fingerprint(&[b"unparsed", channel.id.as_bytes(), hook.query.as_bytes(), hook.body]);
    let mut kept = Unparsed {
        method: hook.method.as_str().into(),
        query: (!hook.query.is_empty()).then(|| hook.query.into()),
        headers: Raw::of(&harmless(hook.headers)),
        raw: None,
        raw_base64: None,
        dataref: None,
        reason: reason.into(),
    };
    if hook.body.len() > INLINE {
        kept.dataref = Some(format!("blob:{}", blobs.raw().put(hook.body)?).into());
    } else if let Ok(text) = std::str::from_utf8(hook.body) {
        kept.raw = Some(text.into());
    } else {
        kept.raw_base64 = Some(crypto::base64(hook.body).into());
    }
    let whole = Data {
        channel: (&*channel.id).into(),
        provider: channel.facts().id.into(),
        medium: channel.facts().mediums[0].into(),
        conversation: (&*channel.id).into(),
        received_at: now,
        body: kept,
    };
    let attributes = Attributes {
        id,
        kind: "fairway.webhook.unparsed",
        channel: &channel.id,
        conversation: &channel.id,
        time: now,
        tenant: channel.tenant.as_deref(),
        traceparent: None,
        correlation: None,
        replaces: None,
    };
    let bytes = Bytes::from(serde_json::to_vec(&whole).unwrap_or_default());
    Ok(Claimed::of(Some(id), vec![writer.record(Topic::Unparsed, &attributes, bytes)]))
}

/// Headers that carry no credential. What decides is the name: whatever could hold one is left out.
fn harmless(headers: &HeaderMap) -> serde_json::Map<String, serde_json::Value> {
    const SECRET: [&str; 8] = ["auth", "cookie", "token", "secret", "signature", "-key", "password", "session"];
    headers
        .iter()
        .filter(|(name, _)| !SECRET.iter().any(|s| name.as_str().contains(s)))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect()
}

/// A kept delivery, read back.
#[derive(Deserialize, Serialize)]
pub struct Kept {
    /// The channel it came to.
    pub channel: String,
    /// When it came.
    pub received_at: Time,
    /// The rest.
    #[serde(flatten)]
    pub unparsed: Unparsed<'static>,
}

/// Reads a kept delivery from an event's data.
pub fn from_unparsed(data: &str) -> Option<Kept> {
    serde_json::from_str(data).ok()
}

/// The delivery as it came, for parsing it again. The parts are owned by the caller.
pub fn unparsed_hook(kept: &Kept, blobs: &Blobs) -> Option<(Method, String, HeaderMap, Vec<u8>)> {
    let body = if let Some(text) = &kept.unparsed.raw {
        text.as_bytes().to_vec()
    } else if let Some(text) = &kept.unparsed.raw_base64 {
        crypto::unbase64(text)?
    } else {
        let name = kept.unparsed.dataref.as_deref()?.strip_prefix("blob:")?;
        // Earlier builds kept them among the media.
        blobs.raw().get(name).or_else(|_| blobs.get(name)).ok()?
    };
    let headers: serde_json::Map<String, serde_json::Value> = serde_json::from_str(kept.unparsed.headers.get()).ok()?;
    let headers = headers
        .iter()
        .filter_map(|(n, v)| Some((http::HeaderName::try_from(n.as_str()).ok()?, http::HeaderValue::from_str(v.as_str()?).ok()?)))
        .collect();
    let method = kept.unparsed.method.parse().ok()?;
    Some((method, kept.unparsed.query.as_deref().unwrap_or_default().to_owned(), headers, body))
}

//! CloudEvents 1.0 around our events: as record headers (binary mode), as one JSON object (structured mode), and back.

use std::borrow::Cow;

use bytes::Bytes;
use fairway_adapters::contract::{Body, Data, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ids::{self, Fingerprint};
use crate::log::config::Encoding;
use crate::log::{Headers, Record, Stored, Topic};

/// The topic an event type lives on.
pub fn topic(name: &str) -> Topic {
    Topic::named(name).unwrap_or(Topic::Inbound)
}

/// The partition of a key: the same on every node and in every version, so that order survives.
pub fn partition(key: &str, partitions: u32) -> u32 {
    if partitions <= 1 {
        return 0;
    }
    // FNV-1a, folded: short keys, no state, and nothing to keep secret.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    ((hash ^ hash >> 32) % u64::from(partitions)) as u32
}

/// What the engine knows about an event besides its data.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Names it; the id is derived from this.
    pub id: Fingerprint,
    /// Its type.
    pub kind: &'a str,
    /// The channel.
    pub channel: &'a str,
    /// The conversation: subject and key.
    pub conversation: &'a str,
    /// When it happened.
    pub time: Time,
    /// Whose channel it is.
    pub tenant: Option<&'a str>,
    /// The trace it belongs to.
    pub traceparent: Option<&'a str>,
    /// The idempotency key it answers.
    pub correlation: Option<&'a str>,
    /// The event it corrects.
    pub replaces: Option<&'a str>,
}

/// Writes events as records.
#[derive(Clone, Debug)]
pub struct Writer {
    encoding: Encoding,
    public_url: String,
    partitions: [u32; 14],
}

impl Writer {
    /// A writer for a log.
    pub fn new(log: &dyn crate::log::EventLog, encoding: Encoding, public_url: &str) -> Self {
        Self { encoding, public_url: public_url.to_owned(), partitions: Topic::ALL.map(|t| log.partitions(t)) }
    }

    /// The record of an event whose data is written already.
    pub fn record(&self, topic: Topic, at: &Attributes<'_>, data: Bytes) -> Record {
        let (mut id, mut time, mut source) = ([0_u8; 30], [0_u8; 24], String::with_capacity(10 + at.channel.len()));
        let id = event_id(&mut id, at.id);
        let time = at.time.write(&mut time);
        source.push_str("/channels/");
        source.push_str(at.channel);
        let schema = format!("{}/schemas/{}/1", self.public_url, at.kind);
        let required = [
            ("ce_specversion", "1.0"),
            ("ce_id", id),
            ("ce_source", source.as_str()),
            ("ce_type", at.kind),
            ("ce_subject", at.conversation),
            ("ce_time", time),
            ("ce_dataschema", schema.as_str()),
        ];
        let optional = [
            ("ce_tenant", at.tenant),
            ("ce_traceparent", at.traceparent),
            ("traceparent", at.traceparent),
            ("ce_correlationid", at.correlation),
            ("ce_replaces", at.replaces),
        ];
        let pairs = || required.into_iter().chain(optional.into_iter().filter_map(|(n, v)| Some((n, v?))));
        let (headers, value) = match self.encoding {
            Encoding::Binary => (Headers::of(pairs().chain([("content-type", "application/json")])), data),
            Encoding::Structured => {
                let value = structured_from(pairs(), &data);
                let id_and_mode = [("ce_id", id), ("content-type", "application/cloudevents+json; charset=UTF-8")];
                (Headers::of(id_and_mode), value)
            }
        };
        Record {
            topic,
            partition: partition(at.conversation, self.partitions[topic as usize]),
            key: Bytes::copy_from_slice(at.conversation.as_bytes()),
            headers,
            value: Some(value),
        }
    }

    /// How many partitions a topic has.
    pub fn partitions(&self, topic: Topic) -> u32 {
        self.partitions[topic as usize]
    }
}

/// The record of an event that corrects the one whose id this record has: the same place, an id of its own, and `replaces`.
pub fn correction(mut record: Record, id: Fingerprint) -> Record {
    let new = id_text(id);
    let old = record.headers.get("ce_id").unwrap_or_default().to_owned();
    if is_structured(&record.headers) {
        let whole = record.value.as_deref().and_then(|v| serde_json::from_slice::<serde_json::Map<_, _>>(v).ok());
        let mut whole = whole.unwrap_or_default();
        whole.insert("id".into(), new.as_str().into());
        whole.insert("replaces".into(), old.as_str().into());
        record.value = Some(serde_json::to_vec(&whole).expect("events are plain data").into());
    }
    let renamed = record.headers.iter().map(|(name, value)| (name, if name == "ce_id" { new.as_str() } else { value }));
    let replaces = (!is_structured(&record.headers)).then_some(("ce_replaces", old.as_str()));
    record.headers = Headers::of(renamed.chain(replaces).collect::<Vec<_>>());
    record
}

/// The id of an event as text.
pub fn id_text(id: Fingerprint) -> String {
    ids::text("evt_", id)
}

fn event_id(buffer: &mut [u8; 30], id: Fingerprint) -> &str {
    buffer[..4].copy_from_slice(b"evt_");
    let text = ids::text("", id);
    buffer[4..].copy_from_slice(text.as_bytes());
    std::str::from_utf8(buffer).expect("digits are ASCII")
}

/// The JSON of an event's data.
pub fn data(data: &Data<'_, &Body<'_>>) -> Bytes {
    let mut out = Vec::with_capacity(768);
    serde_json::to_writer(&mut out, data).expect("events are plain data");
    out.into()
}

/// A structured event from header pairs with the `ce_` prefix and its data.
fn structured_from<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 512);
    out.push(b'{');
    for (name, value) in pairs {
        // `traceparent` without prefix is the transport's; the event has its own.
        let Some(name) = name.strip_prefix("ce_") else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, name).expect("text");
        out.push(b':');
        serde_json::to_writer(&mut out, value).expect("text");
    }
    out.extend_from_slice(br#","datacontenttype":"application/json","data":"#);
    out.extend_from_slice(if data.is_empty() { b"null" } else { data });
    out.push(b'}');
    out.into()
}

/// An event as it was read from the log.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Its id.
    pub id: Cow<'a, str>,
    /// Its type.
    pub kind: Cow<'a, str>,
    /// Its source.
    pub source: Cow<'a, str>,
    /// Its conversation.
    pub subject: Cow<'a, str>,
    /// Its time.
    pub time: Cow<'a, str>,
    /// The event it corrects.
    pub replaces: Option<Cow<'a, str>>,
    /// Its data: JSON, as it was written.
    pub data: &'a str,
}

/// An event in structured mode.
#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    replaces: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Event<'_> {
    /// The channel it belongs to.
    pub fn channel(&self) -> &str {
        self.source.strip_prefix("/channels/").unwrap_or(&self.source)
    }
}

/// The whole event as one JSON object, however it was stored.
pub fn structured(record: &Stored) -> Bytes {
    if is_structured(&record.headers) {
        return record.value.clone();
    }
    structured_from(record.headers.iter(), &record.value)
}

/// Reads the event of a record; `None` when it is none of ours. What many consumers do with every event, so one pass over the
/// headers, and its data is left to whoever wants it.
pub fn read(record: &Stored) -> Option<Event<'_>> {
    if is_structured(&record.headers) {
        let Structured { id, kind, source, subject, time, replaces, data } = serde_json::from_slice(&record.value).ok()?;
        return Some(Event { id, kind, source, subject, time, replaces, data: data.get() });
    }
    let (mut id, mut kind, mut source, mut subject, mut time, mut replaces) = (None, None, None, "", "", None);
    for (name, value) in record.headers.iter() {
        match name {
            "ce_id" => id = Some(value),
            "ce_type" => kind = Some(value),
            "ce_source" => source = Some(value),
            "ce_subject" => subject = value,
            "ce_time" => time = value,
            "ce_replaces" => replaces = Some(value.into()),
            _ => {}
        }
    }
    let data = std::str::from_utf8(&record.value).ok()?;
    let (id, kind, source): (&str, &str, &str) = (id?, kind?, source?);
    Some(Event { id: id.into(), kind: kind.into(), source: source.into(), subject: subject.into(), time: time.into(), replaces, data })
}

fn is_structured(headers: &Headers) -> bool {
    headers.get("content-type").is_some_and(|v| v.get(..23).is_some_and(|p| p.eq_ignore_ascii_case("application/cloudevents")))
}

//! Hears what people say: a consumer of the log that turns words, blocks and provider codes into rows with evidence.
//!
//! Order of acts: what must be told is appended, then the rows are written, then answers are sent, then the position is kept.
//! Each may be repeated: events, rows and answers have derived names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairway_adapters::contract::event::{Consent as Body, ConsentState, Person};
use fairway_adapters::contract::{Body as Event, Data, Raw, Time};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::answer::Heard;
use super::record::Batch;
use super::words::{self, Said};
use super::{Ask, Consent, May, Suppression, Word};
use crate::envelope::{self, Attributes};
use crate::log::{Durability, EventLog, Position, Positions, Record, Stored, Topic};
use crate::people::{Put, address};
use crate::store::Error;
use crate::store::db::Statement;
use crate::telemetry::{counter, names};
use crate::{clock, ids, values};

/// The name of its position.
const NAME: &str = "consent";
const TOPICS: [Topic; 2] = [Topic::Inbound, Topic::Status];
/// Records read at a time.
const READ: usize = 512;
/// How often it is asked where the log ends, and said that all until then has been heard.
const BEAT: Duration = Duration::from_millis(500);
/// A log that has been silent for so long while something should come has nothing more.
const SILENCE: Duration = Duration::from_secs(30);
/// What an append or a write that failed waits before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// The position is kept this often.
const KEEP: Duration = Duration::from_secs(1);
/// What stands in the evidence of events whose rows are written by whoever appended them.
pub(super) const RECORDED: &str = "recorded";

/// What of an event matters here.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    conversation: Cow<'a, str>,
    received_at: Time,
    #[serde(borrow)]
    from: Option<From<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow)]
    evidence: Option<&'a RawValue>,
    #[serde(borrow)]
    change: Option<Cow<'a, str>>,
    #[serde(borrow)]
    previous: Option<Cow<'a, str>>,
    #[serde(borrow)]
    current: Option<Cow<'a, str>>,
    #[serde(borrow)]
    extra: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Failure<'a>>,
    #[serde(borrow)]
    message_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct From<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
    #[serde(default)]
    history: bool,
    #[serde(default)]
    automatic: bool,
    group: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    class: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
}

fn key(topic: Topic, partition: u32) -> u32 {
    (topic as u32) << 16 | partition
}

/// Runs until the process ends.
pub(super) async fn run(consent: Arc<Consent>) {
    let log = Arc::clone(&consent.log);
    let mut reader = log.reader();
    let mut positions = Positions::new();
    for topic in TOPICS {
        let (committed, begins) = loop {
            match (log.committed(NAME).await, log.begins(topic).await) {
                (Ok(committed), Ok(begins)) => break (committed, begins),
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        for partition in 0..log.partitions(topic) {
            let begin = begins.get(&partition).copied().unwrap_or(0);
            let offset = committed.get(&key(topic, partition)).copied().unwrap_or(begin).max(begin);
            reader.assign(Position { topic, partition, offset });
            positions.insert(key(topic, partition), offset);
        }
    }
    let (mut kept, mut is_new, mut gave_beat, mut heard_at) = (Instant::now(), false, Instant::now(), Instant::now());
    let (mut look, mut asking, mut looked) = (None::<Look>, None, None::<Instant>);
    // Ends behind which nothing comes: offsets have gaps, and the last ones may be such.
    let mut empty: HashMap<u32, u64> = HashMap::new();
    loop {
        // Silence proves nothing while the log is away. Who has read up to where it ended has heard all that was said until then.
        if look.is_none() && asking.is_none() && looked.is_none_or(|at| at.elapsed() >= BEAT) {
            // Beside the reading: a partition without a leader answers after seconds, and what others hold is heard meanwhile.
            asking = Some(tokio::spawn(Look::at(Arc::clone(&log))));
            looked = Some(Instant::now());
        }
        if let Some(owing) = &mut look {
            owing.owed.retain(|key, end| positions.get(key).is_some_and(|at| *at < *end) && empty.get(key).is_none_or(|e| *e < *end));
            if !owing.owed.is_empty() && (reader.is_at_end() || heard_at.elapsed() > SILENCE) {
                empty.extend(owing.owed.drain());
            }
            if owing.owed.is_empty() {
                consent.all_heard(owing.asked, &mut gave_beat).await;
                look = None;
            }
        }
        let answer = async {
            match &mut asking {
                Some(asking) => asking.await.ok().flatten(),
                None => std::future::pending().await,
            }
        };
        let read = tokio::select! {
            found = answer => {
                (look, asking) = (found, None);
                Ok(Vec::new())
            }
            read = tokio::time::timeout(BEAT, reader.next(READ)) => read.unwrap_or_else(|_| Ok(Vec::new())),
        };
        let records = match read {
            Ok(records) => records,
            Err(crate::log::ReadError::Expired(at, oldest)) => {
                tracing::error!(topic = at.topic.name(), "events were deleted before consent could hear them; it goes on with the oldest");
                reader.assign(Position { offset: oldest, ..at });
                continue;
            }
            Err(e) => {
                tracing::warn!(error = %e, "what people say cannot be read now");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        while let Err(e) = consent.hear(&records).await {
            tracing::error!(error = %e, "what people say cannot be written down now; it is tried again");
            tokio::time::sleep(AGAIN).await;
        }
        positions.extend(records.iter().map(|r| (key(r.at.topic, r.at.partition), r.at.offset + 1)));
        if !records.is_empty() {
            heard_at = Instant::now();
        }
        // Most of what passes says nothing: hearing a second of it again costs less than a commit for each batch.
        is_new |= !records.is_empty();
        if !is_new || kept.elapsed() < KEEP {
            continue;
        }
        is_new = false;
        kept = Instant::now();
        if let Err(e) = log.commit(NAME, positions.clone()).await {
            tracing::warn!(error = %e, "the position of consent cannot be kept; hearing twice changes nothing");
        }
    }
}

/// Where the log ended at a time, in the partitions that have not been read so far.
struct Look {
    asked: i64,
    owed: HashMap<u32, u64>,
}

impl Look {
    /// Looks now; `None` when the log does not answer.
    async fn at(log: Arc<dyn EventLog>) -> Option<Self> {
        let mut look = Self { asked: clock::steady(), owed: HashMap::new() };
        for topic in TOPICS {
            let ends = log.ends(topic).await.ok()?;
            look.owed.extend(ends.into_iter().map(|(partition, end)| (key(topic, partition), end)));
        }
        Some(look)
    }
}

/// What a batch of records comes to.
#[derive(Default)]
struct Outcome {
    batch: Batch,
    tell: Vec<Record>,
    heard: Vec<Heard>,
}

impl Consent {
    /// All that was said until then has been heard. The nodes that share the store are told; one that has it alone knows.
    async fn all_heard(&self, until: i64, told: &mut Instant) {
        self.ear.heard(until);
        if !self.db.is_shared() || told.elapsed() < BEAT / 2 {
            return;
        }
        *told = Instant::now();
        let sql = "INSERT INTO consent_ears (id, beat) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET beat = excluded.beat";
        if let Err(e) = self.db.write(vec![Statement::once(sql, values![clock::now().0])]).await {
            tracing::warn!(error = %e, "other nodes cannot be told that all has been heard; their marketing waits");
        }
    }

    /// Takes records in their order. May be repeated.
    async fn hear(&self, records: &[Stored]) -> Result<(), Error> {
        let mut out = Outcome::default();
        for record in records {
            self.take(record, &mut out).await?;
        }
        self.settle(&mut out).await
    }

    async fn settle(&self, out: &mut Outcome) -> Result<(), Error> {
        let Outcome { batch, tell, heard } = std::mem::take(out);
        self.tell(tell).await;
        self.write(batch).await?;
        for heard in heard {
            self.answer(&heard).await?;
        }
        Ok(())
    }

    /// Appends events until they are durable.
    pub(super) async fn tell(&self, mut records: Vec<Record>) {
        while !records.is_empty() {
            let outcomes = self.log.append(records.clone(), Durability::Log).await;
            records = records.into_iter().zip(outcomes).filter(|(_, o)| !o.is_durable()).map(|(r, _)| r).collect();
            if !records.is_empty() {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn take(&self, record: &Stored, out: &mut Outcome) -> Result<(), Error> {
        if record.at.topic == Topic::Status && memchr::memmem::find(&record.value, b"\"opted_out\"").is_none() {
            return Ok(()); // Of states only a refusal matters, and most are none.
        }
        let Some(event) = envelope::read(record) else { return Ok(()) };
        let wanted = matches!(
            &*event.kind,
            "fairway.message.received"
                | "fairway.message.status"
                | "fairway.contact.consent"
                | "fairway.contact.followed"
                | "fairway.contact.unfollowed"
                | "fairway.contact.updated"
        );
        if !wanted {
            return Ok(());
        }
        let Ok(seen) = serde_json::from_str::<Seen<'_>>(event.data) else { return Ok(()) };
        match &*event.kind {
            "fairway.message.received" => self.received(&event.id, &event.time, &seen, out).await?,
            "fairway.message.status" => refused(&event.id, &seen, out),
            "fairway.contact.consent" => consent(&event.id, &seen, out),
            "fairway.contact.unfollowed" => {
                if let Some(from) = &seen.from {
                    suppress(&from.address, &seen, "block", out);
                }
            }
            "fairway.contact.followed" => {
                if let Some(from) = &seen.from {
                    out.batch.lift(&address::normal(&from.address), &seen.channel, seen.received_at);
                }
            }
            _ => self.updated(&seen, out).await?,
        }
        Ok(())
    }

    /// A person wrote. Their word may be one that counts; and who writes to us is reached again.
    async fn received(&self, event: &str, time: &str, seen: &Seen<'_>, out: &mut Outcome) -> Result<(), Error> {
        let (Some(from), Some(message)) = (&seen.from, &seen.message) else { return Ok(()) };
        if message.history || message.automatic || message.group.is_some() || from.kind.as_deref() == Some("bot") {
            return Ok(());
        }
        let person = address::normal(&from.address).into_owned();
        let ask = Ask { address: &person, channel: &seen.channel, category: Default::default(), program: None };
        if self.index.is_suppressed(&person, &seen.channel) {
            out.batch.lift(&person, &seen.channel, seen.received_at);
        }
        let channels = self.channels.get();
        let Some(channel) = channels.by_id.get(&*seen.channel) else { return Ok(()) };
        // An answer to a question of ours comes as a choice, and so is none of these words.
        let [Part { kind, text: Some(text) }] = &message.parts[..] else { return Ok(()) };
        if kind != "text" || !channel.opt_out.words.unwrap_or(self.rules().words) {
            return Ok(());
        }
        let Some(said) = words::said(text) else { return Ok(()) };
        if said == (Said::Start { also_answers: true }) {
            // To anybody who has not opted out such a word is an answer. What stands before it in the batch counts.
            self.settle(out).await?;
            if !matches!(self.may(&ask), May::No(reason) if reason.code == "opted_out") {
                return Ok(());
            }
        }
        let heard = Heard { said, channel: seen.channel.to_string(), address: person, event: event.to_owned(), at: seen.received_at };
        match said {
            Said::Stop | Said::Start { .. } => {
                let state = if said == Said::Stop { ConsentState::OptedOut } else { ConsentState::OptedIn };
                let id = ids::fingerprint(&[b"consent-word", event.as_bytes()]);
                let word = Word {
                    event: envelope::id_text(id),
                    address: heard.address.clone(),
                    channel: heard.channel.clone(),
                    scope: "all".into(),
                    state,
                    at: seen.received_at,
                    how: "word".into(),
                    evidence: serde_json::json!({ "text": text, "message_id": message.id, "event": event, "said_at": time }),
                };
                out.tell.extend(self.event(&word, id, &seen.conversation));
                out.batch.say(&word);
                counter(&names::CONSENTS, &[&seen.channel, if said == Said::Stop { "opted_out" } else { "opted_in" }]).increment(1);
            }
            Said::Probably => {
                counter(&names::CONSENTS, &[&seen.channel, "review"]).increment(1);
                out.batch.review(&heard.address, &seen.channel, event, seen.received_at, text);
            }
            Said::Help => {}
        }
        out.heard.push(heard);
        Ok(())
    }

    /// An address is gone, took another's place, or came.
    async fn updated(&self, seen: &Seen<'_>, out: &mut Outcome) -> Result<(), Error> {
        match (seen.change.as_deref(), &seen.previous, &seen.current) {
            (Some("address_gone"), Some(previous), _) => {
                suppress(previous, seen, "address_gone", out);
                self.people.address_changed(previous, None).await?;
            }
            (Some("address_replaced"), Some(previous), Some(current)) => {
                suppress(previous, seen, "address_gone", out);
                let current = address::normal(current);
                out.batch.follow(&address::normal(previous), &current);
                out.batch.lift(&current, &seen.channel, seen.received_at);
                self.people.address_changed(previous, Some(&current)).await?;
            }
            (Some("address_added"), _, Some(current)) => {
                out.batch.lift(&address::normal(current), &seen.channel, seen.received_at);
                let extra: serde_json::Value = seen.extra.and_then(|e| serde_json::from_str(e.get()).ok()).unwrap_or_default();
                if let Some(contact) = extra["contact"].as_str() {
                    let put = Put { id: Some(contact.to_owned()), addresses: vec![current.to_string()], ..Put::default() };
                    if let Some(Err(refused)) = self.people.put(vec![put]).await?.first() {
                        tracing::info!(code = refused.code, "a device is not linked to its contact: {}", refused.reason);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The event that tells a word of which the rows are written here.
    fn event(&self, word: &Word, id: ids::Fingerprint, conversation: &str) -> Option<Record> {
        let channels = self.channels.get();
        let channel = channels.by_id.get(&word.channel)?;
        let mut evidence = word.evidence.clone();
        if let Some(evidence) = evidence.as_object_mut() {
            evidence.insert("how".into(), word.how.as_str().into());
            evidence.insert(RECORDED.into(), true.into());
        }
        let body = Event::Consent(Body {
            from: Some(Person { address: word.address.as_str().into(), ..Person::default() }),
            state: word.state,
            scope: word.scope.as_str().into(),
            evidence: Some(Raw::of(&evidence)),
        });
        let data = envelope::data(&Data {
            channel: word.channel.as_str().into(),
            provider: channel.facts().id.into(),
            medium: channel.medium(&word.address).into(),
            conversation: conversation.into(),
            received_at: word.at,
            body: &body,
        });
        let attributes = Attributes {
            id,
            kind: body.kind(),
            channel: &word.channel,
            conversation,
            time: word.at,
            tenant: channel.tenant.as_deref(),
            traceparent: None,
            correlation: None,
            replaces: None,
        };
        Some(self.writer.record(Topic::Inbound, &attributes, data))
    }

    /// Records words that came to us another way than through a channel: told in the log first, then written.
    pub async fn record(&self, words: &[Word]) -> Result<(), Error> {
        let channels = self.channels.get();
        let mut records = Vec::new();
        for word in words {
            let named = ids::read_fingerprint(&word.event).unwrap_or_else(ids::random);
            // A word for every channel is told on each that reaches the address.
            for channel in channels.by_id.values().filter(|c| c.reaches(&word.address)) {
                if !word.channel.is_empty() && word.channel != *channel.id {
                    continue;
                }
                let id = ids::fingerprint(&[&named.to_be_bytes(), channel.id.as_bytes()]);
                let told = Word { channel: channel.id.to_string(), ..word.clone() };
                records.extend(self.event(&told, id, &format!("{}/{}", channel.id, word.address)));
            }
        }
        self.tell(records).await;
        self.say(words).await
    }
}

fn suppress(person: &str, seen: &Seen<'_>, reason: &str, out: &mut Outcome) {
    out.batch.suppress(&Suppression::new(address::normal(person).into_owned(), &seen.channel, reason, seen.received_at));
    counter(&names::CONSENTS, &[&seen.channel, reason]).increment(1);
}

/// A provider told what a person said to it, or one of us recorded a word.
fn consent(event: &str, seen: &Seen<'_>, out: &mut Outcome) {
    let peer = seen.conversation.split_once('/').map(|(_, peer)| peer.split('#').next().unwrap_or(peer));
    let Some(person) = seen.from.as_ref().map(|f| &*f.address).or(peer) else { return };
    let person = address::normal(person).into_owned();
    let evidence: serde_json::Value = seen.evidence.and_then(|e| serde_json::from_str(e.get()).ok()).unwrap_or_default();
    if evidence[RECORDED] == true {
        return out.batch.look_at(&person);
    }
    let state = if seen.state.as_deref() == Some("opted_in") { ConsentState::OptedIn } else { ConsentState::OptedOut };
    counter(&names::CONSENTS, &[&seen.channel, if state == ConsentState::OptedIn { "opted_in" } else { "opted_out" }]).increment(1);
    out.batch.say(&Word {
        event: event.to_owned(),
        address: person,
        channel: seen.channel.to_string(),
        scope: seen.scope.as_deref().unwrap_or("all").to_owned(),
        state,
        at: seen.received_at,
        how: "provider".into(),
        evidence,
    });
}

/// A send was refused because the person does not want it: by their word, or because they cannot be reached until they act.
fn refused(event: &str, seen: &Seen<'_>, out: &mut Outcome) {
    let (Some("failed"), Some(error)) = (seen.state.as_deref(), &seen.error) else { return };
    let Some((_, peer)) = seen.conversation.split_once('/') else { return };
    if error.class != "opted_out" {
        return;
    }
    let person = peer.split('#').next().unwrap_or(peer);
    let scope = match &*error.code {
        "stopped" => "all",
        "marketing_stopped" => "marketing",
        _ => return suppress(person, seen, "refused", out),
    };
    counter(&names::CONSENTS, &[&seen.channel, "opted_out"]).increment(1);
    out.batch.say(&Word {
        event: event.to_owned(),
        address: address::normal(person).into_owned(),
        channel: seen.channel.to_string(),
        scope: scope.into(),
        state: ConsentState::OptedOut,
        at: seen.received_at,
        how: "refused".into(),
        evidence: serde_json::json!({ "message_id": seen.message_id, "code": error.code, "event": event }),
    });
}

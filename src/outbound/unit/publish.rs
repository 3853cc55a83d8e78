//! What the owner tells the world: states, the content of what was sent, dead letters, notices.

use super::*;
use crate::envelope::{Attributes, partition};
use crate::ids::{self, Fingerprint};
use crate::log::{Headers, Record};
use crate::orders::Order;
use fairway_adapters::contract::event::{Change, ContactUpdated, Created, Notice, ReplyTo, Severity};
use fairway_adapters::contract::{Body, Data, ErrorClass, Message as Content, Part, Raw, Reason, State, Status, Text};

/// The reason when a message's channel is not configured.
pub(super) fn no_channel(channel: &str) -> Reason {
    Reason::new(ErrorClass::Config, "channel_gone", format!("the channel {channel} is not configured here any more"))
}

/// Parts with links for the media that lie in the gateway.
pub fn with_links(parts: &[Part<'static>], link: &(dyn Fn(&str) -> Option<String> + Send + Sync)) -> Vec<Part<'static>> {
    let mut parts = parts.to_vec();
    let fill = |media: &mut fairway_adapters::contract::Media<'static>| {
        if media.url.is_none()
            && let Some(url) = media.id.as_deref().and_then(link)
        {
            media.url = Some(url.into());
        }
    };
    for part in &mut parts {
        match part {
            Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => fill(&mut m.media),
            Part::Choices(c) => c.media.iter_mut().for_each(fill),
            Part::Card(c) => c.media.iter_mut().for_each(fill),
            Part::Carousel(c) => c.cards.iter_mut().filter_map(|c| c.media.as_mut()).for_each(fill),
            _ => {}
        }
    }
    parts
}

/// The id of a message's state, the same whoever says it and however often.
pub(super) fn state_id(id: MessageId, attempt: u16, state: State, recipient: Option<&str>) -> Fingerprint {
    let attempt = attempt.to_le_bytes();
    ids::fingerprint(&[b"status", &id.bytes(), &attempt, state.word().as_bytes(), recipient.unwrap_or_default().as_bytes()])
}

/// The id of the event that tells a message's content.
pub(super) fn created_id(id: MessageId) -> Fingerprint {
    ids::fingerprint(&[b"created", &id.bytes()])
}

/// What states and events say about a message besides what happened to it.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub channel: &'a str,
    pub to: &'a str,
    pub conversation: &'a str,
    pub mark: Option<(Option<&'a str>, Option<&'a str>)>,
    pub fallback_of: Option<&'a str>,
    pub traceparent: Option<&'a str>,
    pub correlation: Option<&'a str>,
}

impl<'a> About<'a> {
    pub fn of(message: &'a Accepted, conversation: &'a str) -> Self {
        let mark = message.request.mark.as_ref();
        Self {
            channel: &message.channel,
            to: &message.to,
            conversation,
            mark: mark.map(|m| (m.campaign.as_deref(), m.reminder.as_deref())),
            fallback_of: message.request.fallback_of.as_deref(),
            traceparent: message.traceparent.as_deref(),
            correlation: message.correlation.as_deref(),
        }
    }
}

impl Item {
    pub(super) fn about(&self) -> About<'_> {
        About::of(&self.message, &self.entry.conversation)
    }
}

impl Unit {
    /// A published state of a message in the window.
    pub(super) fn status_record(&self, number: Number, state: State, error: Option<&Reason>, why: Option<&str>) -> Record {
        let item = &self.items[&number];
        let status = Status {
            message_id: item.message.id.to_string().into(),
            provider_message_id: item.provider_ids.first().map(|p| Text::Owned(p.clone())),
            state,
            detail: None,
            at: clock::now(),
            attempt: (item.attempt > 0).then_some(u32::from(item.attempt)),
            recipient: None,
            error: error.cloned(),
            reason: why.map(|w| Text::Owned(w.to_owned())),
            until: None,
            late: None,
            cost: None,
            metadata: metadata(&item.message.request.metadata),
            campaign: None,
            reminder: None,
            fallback_of: None,
            units: None,
        };
        self.status(item.about(), status, state_id(item.message.id, item.attempt, state, None))
    }

    /// A published state of any message of this unit.
    pub(super) fn status(&self, about: About<'_>, status: Status<'_>, id: Fingerprint) -> Record {
        let (campaign, reminder) = about.mark.unwrap_or_default();
        let fallback_of = about.fallback_of.map(Into::into);
        let status = Status { campaign: campaign.map(Into::into), reminder: reminder.map(Into::into), fallback_of, ..status };
        let data = Data {
            channel: about.channel.into(),
            provider: self.provider(about.channel).into(),
            medium: self.medium(about.channel, about.to).into(),
            conversation: about.conversation.into(),
            received_at: clock::now(),
            body: &status,
        };
        let bytes = serde_json::to_vec(&data).expect("states are plain data");
        self.event(about, "fairway.message.status", id, status.at, bytes.into())
    }

    /// `sent`, and with it the content.
    pub(super) fn sent_records(&self, number: Number) -> Vec<Record> {
        let mut records = vec![self.created_record(number), self.status_record(number, State::Sent, None, None)];
        records.extend(self.fallback_order(&self.items[&number].message, State::Sent, clock::now()));
        records
    }

    /// Tells ourselves how far a message with a fallback got.
    pub(super) fn fallback_order(&self, message: &Accepted, state: State, at: Time) -> Option<Record> {
        if message.request.fallback.is_empty() {
            return None;
        }
        let order = Order::Fallback { message: Box::new(message.clone()), state, at };
        Some(order.record(self.unit, ids::fingerprint(&[b"fallback", &message.id.bytes(), state.word().as_bytes()])))
    }

    fn created_record(&self, number: Number) -> Record {
        let item = &self.items[&number];
        let message = &item.message;
        let created = Created {
            message_id: message.id.to_string().into(),
            origin: message.origin,
            author: message.request.author.clone(),
            to: Some(message.to.as_str().into()),
            message: Content {
                id: item.provider_ids.first().map_or_else(|| message.id.to_string(), Clone::clone).into(),
                sent_at: Some(clock::now()),
                parts: message.request.parts.clone(),
                reply_to: message.reply_to.as_ref().map(|id| ReplyTo { id: Some(id.as_str().into()), ..ReplyTo::default() }),
                ..Content::default()
            },
            metadata: metadata(&message.request.metadata),
        };
        let body = Body::Created(created);
        let data = self.data(item.about(), &body);
        let id = created_id(message.id);
        self.event(item.about(), body.kind(), id, clock::now(), data)
    }

    pub(super) fn event(&self, about: About<'_>, kind: &str, id: Fingerprint, time: Time, data: bytes::Bytes) -> Record {
        self.event_on(Topic::Status, about, kind, id, time, data)
    }

    fn event_on(&self, topic: Topic, about: About<'_>, kind: &str, id: Fingerprint, time: Time, data: bytes::Bytes) -> Record {
        let attributes = Attributes {
            id,
            kind,
            channel: about.channel,
            conversation: about.conversation,
            time,
            tenant: self.channels.get(about.channel).and_then(|s| s.channel.tenant.as_deref()),
            traceparent: about.traceparent,
            correlation: about.correlation,
            replaces: None,
        };
        self.parts.writer.record(topic, &attributes, data)
    }

    fn provider(&self, channel: &str) -> &'static str {
        self.channels.get(channel).map_or("unknown", |s| s.channel.facts().id)
    }

    /// What the person uses.
    fn medium(&self, channel: &str, to: &str) -> &'static str {
        self.channels.get(channel).map_or("unknown", |s| s.channel.medium(to))
    }

    /// An address that will never work again, or has become another one.
    pub(super) fn moved_record(&self, number: Number, reason: &Reason, current: Option<&str>) -> Record {
        let about = self.items[&number].about();
        let body = Body::ContactUpdated(ContactUpdated {
            change: if current.is_some() { Change::AddressReplaced } else { Change::AddressGone },
            previous: Some(about.to.into()),
            current: current.map(Into::into),
            reason: Some(reason.title.clone()),
            extra: Default::default(),
        });
        // Equal for all messages to that address, so that consumers hear of it once.
        let id = ids::fingerprint(&[b"moved", about.channel.as_bytes(), about.to.as_bytes(), current.unwrap_or_default().as_bytes()]);
        let data = self.data(about, &body);
        self.event_on(Topic::Inbound, about, body.kind(), id, clock::now(), data)
    }

    pub(super) fn data(&self, about: About<'_>, body: &Body<'_>) -> bytes::Bytes {
        crate::envelope::data(&Data {
            channel: about.channel.into(),
            provider: self.provider(about.channel).into(),
            medium: self.medium(about.channel, about.to).into(),
            conversation: about.conversation.into(),
            received_at: clock::now(),
            body,
        })
    }

    /// A message that ended badly, whole, so that it can be looked at and sent again.
    pub(super) fn dead_letter(&self, number: Number, state: State, reason: Option<&Reason>) -> Option<Record> {
        let item = self.items.get(&number)?;
        crate::telemetry::counter(&crate::telemetry::names::DEAD, &[&item.entry.channel]).increment(1);
        let value = serde_json::json!({ "state": state, "error": reason, "at": clock::now(), "message": &*item.message });
        let id = item.message.id.to_string();
        Some(Record {
            topic: Topic::Dead,
            partition: partition(&item.entry.conversation, self.parts.writer.partitions(Topic::Dead)),
            key: item.entry.conversation.as_bytes().to_vec().into(),
            headers: Headers::of([("id", id.as_str()), ("content-type", "application/json")]),
            value: Some(serde_json::to_vec(&value).unwrap_or_default().into()),
        })
    }

    /// News about a channel of ours.
    pub(super) fn notice(&self, channel: &str, kind: &str, text: &str) -> Record {
        let at = clock::now();
        let notice = Body::Notice(Notice { kind: kind.into(), severity: Severity::Error, text: text.into(), raw: None });
        let data = crate::envelope::data(&Data {
            channel: channel.into(),
            provider: self.provider(channel).into(),
            medium: self.medium(channel, "").into(),
            conversation: channel.into(),
            received_at: at,
            body: &notice,
        });
        let attributes = Attributes {
            id: ids::fingerprint(&[b"notice", channel.as_bytes(), kind.as_bytes(), &at.0.to_le_bytes()]),
            kind: notice.kind(),
            channel,
            conversation: channel,
            time: at,
            tenant: None,
            traceparent: None,
            correlation: None,
            replaces: None,
        };
        self.parts.writer.record(Topic::Notices, &attributes, data)
    }

    pub(super) fn written(&mut self, written: Written) {
        match written {
            Written::Closed(number, state) => self.closed(number, state),
            Written::Called(number) => self.called(number),
            Written::CallSettled(number) => self.call_settled(number),
            Written::Again(number, at) => self.again(number, at),
            Written::Parked(number, due) => self.parked(number, due),
            Written::Doubted | Written::Nothing => {}
            Written::Order(offset) => self.progress.done_order(offset),
            Written::Checkpoint(offset) => self.checkpointed(offset),
        }
    }
}

pub(in crate::outbound) fn metadata(metadata: &BTreeMap<String, String>) -> Option<Raw<'static>> {
    (!metadata.is_empty()).then(|| Raw::of(metadata))
}

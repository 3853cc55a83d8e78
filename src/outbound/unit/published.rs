//! Messages published of late, as their receipts need them.
//!
//! There may be fifty thousand in each unit, so nothing of their content is here, what few of them have lies apart, and what finds
//! them are four-byte numbers: they stand in a queue, and a number is a place in it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fairway_adapters::contract::{Raw, State, Time};

use super::publish::About;
use crate::ids::MessageId;
use crate::outbound::accepted::Accepted;
use crate::store::Message;

/// Messages kept at hand.
const KEPT: usize = 50_000;

/// The messages at hand, the oldest first.
#[derive(Default)]
pub(super) struct Published {
    queue: VecDeque<Known>,
    /// The number of the oldest; the others count on from it, round the end of the numbers.
    first: u32,
    by_id: HashMap<u64, u32>,
    /// By hash of the provider's id.
    by_provider: HashMap<u64, u32>,
    /// By hash of the conversation: its latest.
    by_conversation: HashMap<u64, u32>,
}

/// A published message.
pub(super) struct Known {
    pub id: MessageId,
    pub attempt: u16,
    pub state: State,
    pub sent_at: Time,
    pub channel: Arc<str>,
    /// `channel/address`, with the thread where it has one.
    conversation: Arc<str>,
    provider_id: Option<Box<str>>,
    more: Option<Box<More>>,
    /// The one before it in its conversation, as long as that is at hand.
    before: Option<u32>,
    /// It goes through its lane once more.
    forgotten: bool,
}

/// What few messages have.
#[derive(Default)]
struct More {
    /// Of those that took several calls, the ids behind the first.
    further_ids: Vec<Box<str>>,
    /// JSON: a map would take half a kilobyte for one key.
    metadata: Option<Box<str>>,
    campaign: Option<Box<str>>,
    reminder: Option<Box<str>>,
    fallback_of: Option<Box<str>>,
    traceparent: Option<Box<str>>,
    correlation: Option<Box<str>>,
    /// The whole message, when something else may have to follow from it.
    whole: Option<Arc<Accepted>>,
}

impl Known {
    /// What is kept of a message that was just published under these ids of the provider.
    pub fn new(
        message: &Arc<Accepted>,
        (channel, conversation): (Arc<str>, Arc<str>),
        (attempt, state): (u16, State),
        provider_ids: &[String],
    ) -> Self {
        let (request, mark) = (&message.request, message.request.mark.as_ref());
        let kept = |text: &Option<String>| text.as_deref().map(Into::into);
        let more = More {
            further_ids: provider_ids.iter().skip(1).map(|id| id.as_str().into()).collect(),
            metadata: super::metadata(&request.metadata).map(|raw| raw.get().into()),
            campaign: mark.and_then(|m| kept(&m.campaign)),
            reminder: mark.and_then(|m| kept(&m.reminder)),
            fallback_of: kept(&request.fallback_of),
            traceparent: kept(&message.traceparent),
            correlation: kept(&message.correlation),
            whole: (!request.fallback.is_empty()).then(|| Arc::clone(message)),
        };
        Self {
            id: message.id,
            attempt: attempt.max(1),
            state,
            sent_at: crate::clock::now(),
            channel,
            conversation,
            provider_id: provider_ids.first().map(|id| id.as_str().into()),
            more: (!more.is_empty()).then(|| Box::new(more)),
            before: None,
            forgotten: false,
        }
    }

    /// What the views know of a message, as it is kept; and the message.
    pub fn of_view(message: &Message) -> Option<(Self, Accepted)> {
        let accepted = Arc::new(Accepted::of_view(message)?);
        let line = (message.channel.as_str().into(), message.conversation.as_str().into());
        let known = Self::new(&accepted, line, (message.attempt, message.state), message.provider_message_id.as_slice());
        Some((Self { sent_at: message.updated_at, ..known }, Arc::unwrap_or_clone(accepted)))
    }

    /// The address it went to.
    pub fn to(&self) -> &str {
        let peer = self.conversation.get(self.channel.len() + 1..).unwrap_or_default();
        peer.split_once('#').map_or(peer, |(to, _)| to)
    }

    /// The provider's ids, in the order of its calls.
    pub fn provider_ids(&self) -> impl Iterator<Item = &str> {
        let further = self.more.iter().flat_map(|more| &more.further_ids);
        self.provider_id.iter().chain(further).map(|id| &**id)
    }

    /// What its sender said besides.
    pub fn metadata(&self) -> Option<Raw<'static>> {
        let text = self.more.as_ref()?.metadata.as_deref()?;
        serde_json::value::RawValue::from_string(text.to_owned()).ok().map(|raw| Raw(std::borrow::Cow::Owned(raw)))
    }

    /// The whole message, when something else may have to follow from it.
    pub fn whole(&self) -> Option<&Arc<Accepted>> {
        self.more.as_ref()?.whole.as_ref()
    }

    pub fn about(&self) -> About<'_> {
        let more = self.more.as_deref();
        About {
            channel: &self.channel,
            to: self.to(),
            conversation: &self.conversation,
            mark: more.map(|m| (m.campaign.as_deref(), m.reminder.as_deref())),
            fallback_of: more.and_then(|m| m.fallback_of.as_deref()),
            traceparent: more.and_then(|m| m.traceparent.as_deref()),
            correlation: more.and_then(|m| m.correlation.as_deref()),
        }
    }
}

impl More {
    fn is_empty(&self) -> bool {
        let texts = [&self.metadata, &self.campaign, &self.reminder, &self.fallback_of, &self.traceparent, &self.correlation];
        texts.iter().all(|text| text.is_none()) && self.further_ids.is_empty() && self.whole.is_none()
    }
}

/// A message's id, as it is looked up. Who has the same, which nobody lives to see, is not found and looked up in the store.
fn id_key(id: MessageId) -> u64 {
    (id.hash ^ id.hash >> 64) as u64 ^ u64::from(id.unit) << 56
}

/// A provider's id, as it is looked up.
fn provider_key(provider_id: &str) -> u64 {
    crate::ids::fingerprint(&[b"provider id", provider_id.as_bytes()]) as u64
}

impl Published {
    fn at(&self, number: u32) -> Option<&Known> {
        self.queue.get(number.wrapping_sub(self.first) as usize).filter(|known| !known.forgotten)
    }

    fn number(&self, id: MessageId) -> Option<u32> {
        let number = *self.by_id.get(&id_key(id))?;
        self.at(number).is_some_and(|known| known.id == id).then_some(number)
    }

    /// Whether it is at hand.
    pub fn knows(&self, id: MessageId) -> bool {
        self.number(id).is_some()
    }

    /// The message with this id.
    pub fn get(&self, id: MessageId) -> Option<&Known> {
        self.at(self.number(id)?)
    }

    /// The same, to be moved forward.
    pub fn get_mut(&mut self, id: MessageId) -> Option<&mut Known> {
        let number = self.number(id)?;
        self.queue.get_mut(number.wrapping_sub(self.first) as usize)
    }

    /// The message that a provider has given this id.
    pub fn by_provider(&self, provider_id: &str) -> Option<MessageId> {
        self.at(*self.by_provider.get(&provider_key(provider_id))?).map(|known| known.id)
    }

    /// The messages of a conversation, the oldest first.
    pub fn of_conversation(&self, conversation: &str) -> Vec<MessageId> {
        let mut found = Vec::new();
        let mut next = self.by_conversation.get(&Accepted::conversation_hash(conversation)).copied();
        while let Some(known) = next.and_then(|number| self.queue.get(number.wrapping_sub(self.first) as usize)) {
            if !known.forgotten {
                found.push(known.id);
            }
            next = known.before;
        }
        found.reverse();
        found
    }

    /// Keeps a message at hand, and lets the oldest go when there are too many.
    pub fn insert(&mut self, mut known: Known) {
        self.forget(known.id);
        let number = self.first.wrapping_add(self.queue.len() as u32);
        self.by_id.insert(id_key(known.id), number);
        for provider_id in known.provider_ids() {
            self.by_provider.insert(provider_key(provider_id), number);
        }
        known.before = self.by_conversation.insert(Accepted::conversation_hash(&known.conversation), number);
        self.queue.push_back(known);
        while self.queue.len() > KEPT {
            let Some(oldest) = self.queue.pop_front() else { break };
            let number = self.first;
            self.first = number.wrapping_add(1);
            unname(&mut self.by_id, &mut self.by_provider, &oldest, number);
            let conversation = Accepted::conversation_hash(&oldest.conversation);
            if self.by_conversation.get(&conversation) == Some(&number) {
                self.by_conversation.remove(&conversation);
            }
        }
    }

    /// Lets go of a message that goes through its lane once more. Its place stays, for the numbers of the others.
    pub fn forget(&mut self, id: MessageId) {
        let Some(number) = self.number(id) else { return };
        let Some(known) = self.queue.get_mut(number.wrapping_sub(self.first) as usize) else { return };
        known.forgotten = true;
        unname(&mut self.by_id, &mut self.by_provider, known, number);
    }
}

/// No id finds it any more, unless it names another by now.
fn unname(by_id: &mut HashMap<u64, u32>, by_provider: &mut HashMap<u64, u32>, known: &Known, number: u32) {
    let remove = |keys: &mut HashMap<u64, u32>, key: u64| {
        if keys.get(&key) == Some(&number) {
            keys.remove(&key);
        }
    };
    remove(by_id, id_key(known.id));
    for provider_id in known.provider_ids() {
        remove(by_provider, provider_key(provider_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(number: u64, person: u64) -> Known {
        let channel: Arc<str> = "tg".into();
        Known {
            id: MessageId { unit: 3, hash: u128::from(number) << 80 | 7 },
            attempt: 1,
            state: State::Sent,
            sent_at: Time(0),
            conversation: format!("{channel}/telegram:{person}#9").into(),
            channel,
            provider_id: Some(format!("p{number}").into()),
            more: Some(Box::new(More { further_ids: vec![format!("q{number}").into()], ..More::default() })),
            before: None,
            forgotten: false,
        }
    }

    #[test]
    fn the_latest_are_found_by_each_of_their_names_and_the_oldest_go() {
        let mut all = Published { first: u32::MAX - 20, ..Published::default() };
        let id = |number: u64| known(number, 0).id;
        let (extra, people) = (10, 1000);
        for number in 0..KEPT as u64 + extra {
            all.insert(known(number, number % people));
        }
        assert!(!all.knows(id(extra - 1)) && all.knows(id(extra)));
        assert_eq!((all.by_provider("p9"), all.by_provider("p10"), all.by_provider("q10")), (None, Some(id(10)), Some(id(10))));
        let mut of_one: Vec<u64> = (0..KEPT as u64 + extra).filter(|n| n % people == 5).collect();
        of_one.remove(0); // Number 5 has gone.
        let ids = |numbers: &[u64]| numbers.iter().map(|n| id(*n)).collect::<Vec<_>>();
        assert_eq!(all.of_conversation("tg/telegram:5#9"), ids(&of_one));
        assert_eq!(all.get(id(1005)).map(Known::to), Some("telegram:5"));
        // Sent once more: it is nobody until it is published again, and then it is the last.
        all.forget(id(1005));
        assert!(!all.knows(id(1005)) && all.by_provider("p1005").is_none() && all.by_provider("q1005").is_none());
        all.insert(known(1005, 5));
        of_one.retain(|n| *n != 1005);
        of_one.push(1005);
        assert_eq!(all.of_conversation("tg/telegram:5#9"), ids(&of_one));
        // What is told of twice is there once.
        all.insert(known(1005, 5));
        assert_eq!(all.of_conversation("tg/telegram:5#9").len(), of_one.len());
        // Everything goes, and nothing is left behind.
        for number in 100_000..100_000 + KEPT as u64 {
            all.insert(known(number, number));
        }
        let sizes = [all.queue.len(), all.by_id.len(), all.by_conversation.len(), all.by_provider.len() / 2];
        assert_eq!(sizes, [KEPT; 4]);
    }
}

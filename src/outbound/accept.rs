//! The way in for sends: checked, rendered once to refuse a bad message, given its id, made durable in its lane.

use std::borrow::Cow;
use std::sync::Arc;

use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{
    Category, Context, Downgrade, LongText, Outbound, Part, Priority, Reason, RenderError, Rendered, Scope, SendRequest, State, Time,
};
use serde::Deserialize as _;
use tokio::sync::oneshot;

use super::accepted::{Accepted, conversation};
use super::fallback;
use super::lane::Counted;
use super::owner::Units;
use super::quota::{Quotas, Tally};
use super::unit::{Ask, Parts, counted};
use crate::channels::{Channel, ChooseError};
use crate::clock;
use crate::consent::{Ask as MayAsk, May};
use crate::ids::MessageId;
use crate::log::{Durability, Outcome};
use crate::people::address;
use crate::store::Message;
use crate::telemetry::{self, names};

/// How long trying goes on when the sender names no end.
const TRY_FOR: i64 = 24 * 3_600_000;
/// How long an append that failed waits before it is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(500);
/// How far ahead a message may be scheduled.
const AHEAD: i64 = 366 * 86_400_000;

/// A message that was refused; nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// JSON pointer into the request.
    pub pointer: String,
    /// Our stable code.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub detail: String,
    /// When the same request would be taken, if it is a matter of time.
    pub until: Option<Time>,
}

impl Refused {
    pub(super) fn new(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), code, detail: detail.into(), until: None }
    }
}

impl From<RenderError> for Refused {
    fn from(e: RenderError) -> Self {
        Self { pointer: e.pointer, code: e.code, detail: e.problem, until: None }
    }
}

/// What tells this act from others, so that repeating it gives the same id.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// Nothing does.
    Once,
    /// These parts do.
    Named(&'a [&'a [u8]]),
    /// It is one of many of these parts, and this is its number.
    Numbered(&'a [&'a [u8]], u64),
}

/// A message ready to be appended.
#[derive(Clone)]
pub struct Ready {
    /// The message.
    pub accepted: Arc<Accepted>,
    /// Its channel.
    pub channel: Arc<Channel>,
    /// What was downgraded.
    pub downgrades: Vec<Downgrade>,
}

/// The way in.
#[derive(Clone)]
pub struct Acceptor {
    parts: Arc<Parts>,
    units: Units,
    quotas: Quotas,
}

/// How a message would look on a channel.
pub struct Preview {
    /// The channel.
    pub channel: Arc<Channel>,
    /// The person's address there.
    pub to: String,
    /// What the provider would get, or why it would not.
    pub rendered: Result<Rendered, Refused>,
}

impl Acceptor {
    /// Opens the way in.
    pub fn new(parts: Arc<Parts>, units: Units, quotas: Quotas) -> Self {
        Self { parts, units, quotas }
    }

    /// Checks a request, within its tenant's quota, and gives it its id. Nothing is durable yet.
    pub async fn prepare(&self, request: SendRequest, origin: Origin, act: Act<'_>, traceparent: Option<&str>) -> Result<Ready, Refused> {
        let ready = self.checked(request, origin, act, traceparent).await?;
        self.quotas.take(&ready.channel, ready.accepted.accepted_at).await?;
        Ok(ready)
    }

    /// Checks what is counted in its tenant's quota by whoever asks ([`Acceptor::tally`]), or has been before a crash that may have kept
    /// it from its lane.
    pub async fn prepare_uncounted(&self, request: SendRequest, origin: Origin, act: Act<'_>) -> Result<Ready, Refused> {
        self.checked(request, origin, act, None).await
    }

    /// What is left of the quotas of these channels' tenants, to be taken by a batch.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn tally(&self, channels: &[Arc<Channel>]) -> Result<Tally, crate::store::Error> {
        self.quotas.tally(channels, clock::now()).await
    }

    async fn checked(&self, mut request: SendRequest, origin: Origin, act: Act<'_>, traceparent: Option<&str>) -> Result<Ready, Refused> {
        let now = clock::now();
        if request.mark.is_some() && !matches!(origin, Origin::Campaign | Origin::Reminder | Origin::Trigger | Origin::Journey) {
            return Err(Refused::new("#/mark", "field_reserved", "leave it out: only the gateway sets it"));
        }
        if request.fallback_of.is_some() {
            return Err(Refused::new("#/fallback_of", "field_reserved", "leave it out: only the gateway sets it"));
        }
        check(&request, now)?;
        let (channel, to, thread) = self.address(&request)?;
        let reply_to = self.reply_to(request.reply_to.as_deref()).await?;
        let rendered = self.rendered(&channel, &request, &to, thread.as_deref(), reply_to.as_deref()).await?;
        self.check_fallback(&request)?;
        let id = match act {
            Act::Once => MessageId::random(channel.unit),
            Act::Named(parts) => MessageId::derived(channel.unit, parts),
            Act::Numbered(parts, number) => MessageId::numbered(channel.unit, parts, number),
        };
        let start = request.send_at.unwrap_or(now).max(now);
        let deadline = request.expires_at.unwrap_or(start.plus(TRY_FOR));
        let correlation = request.idempotency_key.take();
        (request.to, request.conversation, request.channel) = (Some(to.clone()), None, Some(channel.id.to_string()));
        let suppressed = self.suppressed(&channel, &to, &request);
        let accepted = Accepted {
            id,
            channel: channel.id.to_string(),
            to,
            thread,
            accepted_at: now,
            deadline,
            request,
            origin,
            reply_to,
            suppressed,
            passes: false,
            cost: rendered.cost.max(1),
            attempts: 0,
            traceparent: traceparent.map(str::to_owned),
            correlation,
        };
        Ok(Ready { accepted: Arc::new(accepted), channel, downgrades: rendered.downgrades })
    }

    /// Checks the one confirmation of a STOP, which passes the suppression that it confirms.
    pub async fn prepare_confirmation(&self, request: SendRequest, act: Act<'_>) -> Result<Ready, Refused> {
        let mut ready = self.checked(request, Origin::AutoReply, act, None).await?;
        let accepted = Accepted { suppressed: None, passes: true, ..Accepted::clone(&ready.accepted) };
        ready.accepted = Arc::new(accepted);
        Ok(ready)
    }

    /// Checks the next step of a chain of fallbacks that begins with the message `first`.
    pub(super) async fn prepare_step(
        &self,
        request: SendRequest,
        first: String,
        origin: Origin,
        act: &[&[u8]],
        traceparent: Option<&str>,
    ) -> Result<Ready, Refused> {
        // Its chain was accepted with the first message, and no quota breaks it off.
        let mut ready = self.checked(request, origin, Act::Named(act), traceparent).await?;
        Arc::make_mut(&mut ready.accepted).request.fallback_of = Some(first);
        Ok(ready)
    }

    /// Why a message may not go to this person, if so.
    pub fn suppressed(&self, channel: &Channel, to: &str, request: &SendRequest) -> Option<Reason> {
        let program = request.metadata.get("program").map(String::as_str);
        let ask = MayAsk { address: to, channel: &channel.id, category: request.category, program };
        match self.parts.consent.may(&ask) {
            May::No(reason) => Some(reason),
            May::Yes => None,
        }
    }

    /// Makes messages durable in their lanes. `again`: the caller may be repeating himself after a crash.
    pub async fn append(&self, ready: &[Ready], again: bool) -> Vec<Outcome> {
        let records = ready.iter().map(|r| r.accepted.record(again)).collect();
        let outcomes = self.parts.log.append(records, Durability::Log).await;
        for (ready, _) in ready.iter().zip(&outcomes).filter(|(_, o)| o.is_durable()) {
            telemetry::counter(&names::ACCEPTED, &[&ready.channel.id, ready.accepted.request.priority.word()]).increment(1);
        }
        outcomes
    }

    /// Makes messages durable in their lanes, however long that takes. What an attempt left open is marked as a repeat: it may be
    /// there.
    pub async fn append_all(&self, mut ready: Vec<Ready>, mut again: bool) {
        while !ready.is_empty() {
            let outcomes = self.append(&ready, again).await;
            ready = ready.into_iter().zip(outcomes).filter(|(_, o)| !o.is_durable()).map(|(r, _)| r).collect();
            if !ready.is_empty() {
                again = true;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// When a message will leave as far as the limits tell, and what holds it.
    pub async fn estimate(&self, ready: &Ready) -> (Time, Option<Scope>) {
        let message = &ready.accepted;
        let (conversation, lane) = (message.conversation(), message.request.priority);
        let counted = counted(Some(&ready.channel), message, &conversation, false);
        let (at, scope) = self.estimate_in(message.id, message.channel.clone(), conversation, lane, counted).await;
        (at.max(message.request.send_at.unwrap_or(at)), scope)
    }

    /// The same of a message the views know.
    pub async fn estimate_of(&self, message: &Message) -> (Time, Option<Scope>) {
        let Ok(id) = message.id.parse() else { return (clock::now(), None) };
        let request = message.request.as_ref().and_then(|r| SendRequest::deserialize(r).ok()).unwrap_or_default();
        let counted = Counted { conversation: Accepted::conversation_hash(&message.conversation), cost: 1, ..Counted::default() };
        let (at, scope) = self.estimate_in(id, message.channel.clone(), message.conversation.clone(), request.priority, counted).await;
        let held = self.held_until(message).await;
        (at.max(request.send_at.unwrap_or(at)).max(held.unwrap_or(at)), scope)
    }

    /// When the schedule takes out a message that waits there.
    pub async fn held_until(&self, message: &Message) -> Option<Time> {
        let id = message.id.parse().ok().filter(|_| matches!(message.state, State::Scheduled | State::Held))?;
        self.parts.store.parked(id).await.ok().flatten().map(|row| row.due)
    }

    async fn estimate_in(
        &self,
        id: MessageId,
        channel: String,
        conversation: String,
        lane: Priority,
        counted: Counted,
    ) -> (Time, Option<Scope>) {
        let (answer, estimate) = oneshot::channel();
        match self.units.ask(u32::from(id.unit), Ask::Estimate { channel, conversation, lane, counted, answer }) {
            true => estimate.await.unwrap_or((clock::now(), None)),
            false => (clock::now(), None),
        }
    }

    /// How a request would look on a channel, without sending anything.
    pub async fn preview(&self, request: &SendRequest, channel: &Arc<Channel>, to: &str) -> Preview {
        let rendered = match self.reply_to(request.reply_to.as_deref()).await {
            Ok(reply_to) => self.rendered(channel, request, to, None, reply_to.as_deref()).await,
            Err(e) => Err(e),
        };
        Preview { channel: Arc::clone(channel), to: to.to_owned(), rendered }
    }

    /// The channel, address and thread a request means.
    pub fn address(&self, request: &SendRequest) -> Result<(Arc<Channel>, String, Option<String>), Refused> {
        let channels = self.parts.channels.get();
        let (named, full, pointer) = match (&request.conversation, &request.to) {
            (Some(_), Some(_)) => return Err(Refused::new("#/to", "ambiguous", "say `to` or `conversation`, not both")),
            (Some(conversation), None) => {
                let Some((channel, rest)) = conversation.split_once('/') else {
                    return Err(Refused::new(
                        "#/conversation",
                        "conversation_invalid",
                        "a conversation is `channel/address`, as events carry it",
                    ));
                };
                if request.channel.as_deref().is_some_and(|c| c != channel) {
                    return Err(Refused::new("#/channel", "ambiguous", "the conversation belongs to another channel"));
                }
                (Some(channel), rest, "#/conversation")
            }
            (None, Some(to)) => (request.channel.as_deref(), to.as_str(), "#/to"),
            (None, None) => return Err(Refused::new("#/to", "missing", "say whom to write to: `to` or `conversation`")),
        };
        let (to, thread) = full.split_once('#').map_or((full, None), |(to, thread)| (to, Some(thread.to_owned())));
        if to.split_once(':').is_none_or(|(scheme, rest)| scheme.is_empty() || rest.is_empty()) {
            return Err(Refused::new(pointer, "address_invalid", "an address is `scheme:id`, such as whatsapp:+15550100200"));
        }
        // As people write a number it is one conversation with how the provider writes it. A mailbox stays as its owner writes it:
        // that is how her conversation is named.
        let to = match address::scheme(to) {
            scheme if pointer == "#/to" && !scheme.eq_ignore_ascii_case("mailto") => address::normal(to),
            _ => Cow::Borrowed(to),
        };
        let channel = channels.choose(named, &to).map_err(|e| {
            let (pointer, code) = match e {
                ChooseError::Unknown(_) => ("#/channel", "channel_unknown"),
                ChooseError::DoesNotReach(_) => ("#/channel", "channel_mismatch"),
                ChooseError::None => (pointer, "no_channel"),
                ChooseError::Several(_) => ("#/channel", "channel_needed"),
            };
            Refused::new(pointer, code, e.to_string())
        })?;
        Ok((Arc::clone(channel), to.into_owned(), thread))
    }

    /// The provider's id of the message answered: ours is looked up, others are taken as they are.
    async fn reply_to(&self, reply_to: Option<&str>) -> Result<Option<String>, Refused> {
        let Some(text) = reply_to else { return Ok(None) };
        let Ok(id) = text.parse::<MessageId>() else { return Ok(Some(text.to_owned())) };
        match self.parts.store.message(id).await {
            Ok(Some(message)) => Ok(message.provider_message_id),
            Ok(None) => Err(Refused::new("#/reply_to", "message_unknown", "there is no message with this id")),
            Err(_) => Ok(None),
        }
    }

    /// Every step must find its channel and be carried by it: what cannot go is said now, not when it is needed.
    fn check_fallback(&self, request: &SendRequest) -> Result<(), Refused> {
        for (number, step) in request.fallback.iter().enumerate() {
            let inside = |e: Refused| Refused { pointer: e.pointer.replacen('#', &format!("#/fallback/{number}"), 1), ..e };
            if step.after.is_some() && fallback::after(step).is_none() {
                let pointer = format!("#/fallback/{number}/after");
                return Err(Refused::new(&pointer, "duration_invalid", "expected an ISO 8601 duration, such as PT10M"));
            }
            let alone = SendRequest {
                to: Some(step.to.clone()),
                channel: step.channel.clone(),
                parts: if step.parts.is_empty() && step.template.is_none() { request.parts.clone() } else { step.parts.clone() },
                template: if step.parts.is_empty() && step.template.is_none() { request.template.clone() } else { step.template.clone() },
                category: request.category,
                ..SendRequest::default()
            };
            let (channel, to, thread) = self.address(&alone).map_err(inside)?;
            // What lets us answer may come until then; without it nothing can be said about this step yet.
            if !channel.facts().handles {
                self.render(&channel, &alone, &to, thread.as_deref(), None, None).map_err(inside)?;
            }
        }
        Ok(())
    }

    /// What the person can be answered with.
    async fn handle(&self, channel: &Channel, conversation: &str) -> Option<String> {
        if !channel.facts().handles {
            return None;
        }
        let found = self.parts.store.handle(conversation).await.ok().flatten();
        found.filter(|handle| handle.is_good(clock::now())).and_then(|handle| self.parts.seal.open(conversation, &handle.sealed))
    }

    /// How the message looks to the person, with what they can be answered with. The owner writes that down a moment after the
    /// delivery was acknowledged, so a fast answer that cannot go without it looks again; others are not kept waiting.
    async fn rendered(
        &self,
        channel: &Channel,
        request: &SendRequest,
        to: &str,
        thread: Option<&str>,
        reply_to: Option<&str>,
    ) -> Result<Rendered, Refused> {
        let conversation = conversation(&channel.id, to, thread);
        let mut pauses = [100, 300].into_iter();
        loop {
            let handle = self.handle(channel, &conversation).await;
            let rendered = self.render(channel, request, to, thread, reply_to, handle.as_deref());
            if rendered.is_ok() || handle.is_some() || !channel.facts().handles {
                return rendered;
            }
            let Some(pause) = pauses.next() else { return rendered };
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        }
    }

    fn render(
        &self,
        channel: &Channel,
        request: &SendRequest,
        to: &str,
        thread: Option<&str>,
        reply_to: Option<&str>,
        handle: Option<&str>,
    ) -> Result<Rendered, Refused> {
        // A token the adapter would have to fetch is not worth waiting for here: what it renders is thrown away.
        let placeholder = fairway_adapters::contract::Secret::new("preview");
        let cx = Context {
            now: clock::now(),
            public_url: &self.parts.public_url,
            hook_url: &channel.hook_url,
            login: Some(&placeholder),
            keys: None,
        };
        let linked = super::unit::with_links(&request.parts, &*self.parts.links);
        let outbound = Outbound {
            id: "msg_preview",
            to,
            thread,
            parts: &linked,
            template: if linked.is_empty() { request.template.as_ref() } else { None },
            category: request.category,
            reply_to,
            handle,
            author: request.author.as_ref(),
            expires_at: request.expires_at,
            native: &request.native,
        };
        let rendered = channel.adapter.render(&outbound, &cx)?;
        if request.long_text == LongText::Refuse {
            check_length(channel, &linked, &rendered)?;
        }
        Ok(rendered)
    }
}

/// Whether each text is one message of its channel.
fn check_length(channel: &Channel, parts: &[Part<'_>], rendered: &Rendered) -> Result<(), Refused> {
    let limit = channel.facts().text;
    for (index, part) in parts.iter().enumerate() {
        let length = if let Part::Text(text) = part { limit.unit.count(&text.text) } else { 0 };
        let is_cut = rendered.downgrades.iter().any(|d| d.part == index && d.from == "text" && d.into == "several messages");
        if length > limit.max || is_cut {
            let most = format!("{} {}", limit.max, limit.unit.words());
            let detail =
                format!("it has {length} of at most {most}; shorten it, or let it go as several messages: `\"long_text\": \"split\"`");
            return Err(Refused::new(&format!("#/parts/{index}/text"), "text_too_long", &detail));
        }
    }
    Ok(())
}

/// What is wrong with a request whatever its channel.
fn check(request: &SendRequest, now: Time) -> Result<(), Refused> {
    if request.parts.is_empty() && request.template.is_none() {
        return Err(Refused::new("#/parts", "missing", "say what to send: `parts` or `template`"));
    }
    if request.fallback.len() > 5 {
        return Err(Refused::new("#/fallback", "fallback_too_long", "at most 5 steps"));
    }
    if request.category == Category::Marketing && request.priority != Priority::Bulk {
        return Err(Refused::new("#/priority", "marketing_is_bulk", "marketing goes with `\"priority\": \"bulk\"`"));
    }
    if request.metadata.len() > 50 {
        return Err(Refused::new("#/metadata", "metadata_too_large", "at most 50 keys"));
    }
    if let Some((key, _)) = request.metadata.iter().find(|(k, v)| k.chars().count() > 40 || v.chars().count() > 500) {
        return Err(Refused::new(
            &format!("#/metadata/{key}"),
            "metadata_too_large",
            "keys have at most 40 characters, values at most 500",
        ));
    }
    if let Some(at) = request.send_at
        && at.since(now) > AHEAD
    {
        return Err(Refused::new("#/send_at", "send_at_too_far", "at most a year ahead"));
    }
    if let Some(end) = request.expires_at {
        if end <= now {
            return Err(Refused::new("#/expires_at", "expired", "it lies in the past"));
        }
        if request.send_at.is_some_and(|at| end <= at) {
            return Err(Refused::new("#/expires_at", "expired", "it lies before `send_at`"));
        }
    }
    Ok(())
}

/// The conversation of an address on a channel.
pub fn conversation_of(channel: &Channel, to: &str) -> String {
    conversation(&channel.id, to, None)
}

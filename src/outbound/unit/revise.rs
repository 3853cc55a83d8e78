//! Messages that are at their provider, changed or taken back.
//!
//! The owner makes the call, because limits and logins are its own. The order stays open until its outcome is published; a crash
//! repeats the call, which changes nothing more.

use super::*;
use crate::ids;
use crate::log::Record;
use crate::outbound::unit::arm::{attempt, outbound};
use crate::outbound::unit::publish::{About, with_links};
use fairway_adapters::contract::event::Created;
use fairway_adapters::contract::{
    Body, Call, Context, ErrorClass, Message as Content, Outbound, Part, Reason, RenderError, Revision, SendRequest, SentMessage, Status,
    Verdict,
};

/// Between two tries that failed for a reason that passes.
const AGAIN: Micros = 1_000_000;

/// A change that is under way.
pub(super) struct Revising {
    pub offset: u64,
    pub id: MessageId,
    /// What takes the place of its parts; `None` takes it back.
    pub parts: Option<Vec<Part<'static>>>,
    /// When it was asked for.
    pub asked_at: Time,
    /// When trying ends.
    pub until: Time,
    /// What the views know of it.
    pub message: Option<Message>,
}

impl Revising {
    /// How it is told in the timeline: done, or why not.
    fn word(&self, done: bool) -> &'static str {
        match (self.parts.is_some(), done) {
            (true, true) => "edited",
            (true, false) => "edit_refused",
            (false, true) => "recalled",
            (false, false) => "recall_refused",
        }
    }
}

impl Unit {
    /// Changes of one message are made one after the other, in the order they were asked for.
    pub(super) fn begin_revising(&mut self, revising: Box<Revising>) {
        let id = revising.id;
        match self.revising.get_mut(&id) {
            Some(waiting) => waiting.push_back(revising),
            None => {
                self.revising.insert(id, VecDeque::new());
                self.look_up(orders::Lookup::Revise(revising), id);
            }
        }
    }

    /// One has ended: the next of its message begins.
    fn next_revising(&mut self, id: MessageId) {
        match self.revising.get_mut(&id).and_then(VecDeque::pop_front) {
            Some(next) => self.look_up(orders::Lookup::Revise(next), id),
            None => drop(self.revising.remove(&id)),
        }
    }

    /// Nothing is left to do: somebody did it before a restart, or nobody knows the message any more.
    fn pass_over(&mut self, revising: &Revising) {
        self.progress.done_order(revising.offset);
        self.next_revising(revising.id);
    }

    /// Makes the call as soon as limits and login allow it.
    pub(super) fn revise(&mut self, revising: Box<Revising>) {
        let Some(message) = &revising.message else { return self.pass_over(&revising) };
        if clock::now() > revising.until {
            // It is read again after a restart. What was done then is not done once more so late.
            let words = [revising.word(true), revising.word(false)];
            if message.timeline.iter().any(|line| line.at >= revising.asked_at && words.contains(&&*line.what)) {
                return self.pass_over(&revising);
            }
            return self.revise_again(revising, 0);
        }
        let Some(standing) = self.channels.get(message.channel.as_str()) else {
            return self.revise_ended(&revising, Err(publish::no_channel(&message.channel)));
        };
        let (adapter, conversation) = (Arc::clone(&standing.channel.adapter), Arc::<str>::from(message.conversation.as_str()));
        if standing.channel.facts().handles && self.handles.at_hand(&conversation).is_none() {
            return self.look_for_handle(revising, conversation);
        }
        let handle = self.handles.at_hand(&conversation).flatten().filter(|handle| handle.is_good(clock::now()));
        let handle = handle.and_then(|handle| self.parts.seal.open(&conversation, &handle.sealed));
        let login = standing.login.as_ref().filter(|(_, until)| *until > clock::steady()).map(|(token, _)| token.clone());
        let channel = Arc::clone(&standing.channel);
        let cx = Context {
            now: clock::now(),
            public_url: &self.parts.public_url,
            hook_url: &channel.hook_url,
            login: login.as_ref(),
            keys: None,
        };
        if login.is_none()
            && let Some(call) = adapter.login(&cx)
        {
            self.log_in(&channel.id, call);
            return self.revise_again(revising, AGAIN / 2);
        }
        let call = match call_of(&*adapter, &revising, message, handle.as_deref(), &*self.parts.links, &cx) {
            Ok(call) => call,
            Err(e) => return self.revise_ended(&revising, Err(Reason::new(ErrorClass::Content, e.code, e.problem))),
        };
        let entry = entry_of(message, &channel);
        let now = clock::steady();
        if let Err(at) = self.lanes.admit(&entry, now) {
            return self.revise_again(revising, (at - now).clamp(1000, 60 * AGAIN));
        }
        let (transport, events) = (self.parts.transport.clone(), self.events.clone());
        tokio::spawn(async move {
            let landing = attempt(&transport, &channel.id, &*adapter, call, None, None).await;
            let _ = events.send(Event::Revised(revising, landing));
        });
    }

    fn look_for_handle(&self, revising: Box<Revising>, conversation: Arc<str>) {
        let (store, events) = (Arc::clone(&self.parts.store), self.events.clone());
        tokio::spawn(async move {
            let found = loop {
                match store.handle(&conversation).await {
                    Ok(found) => break found,
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            };
            let _ = events.send(Event::Handle(0, conversation, found));
            let _ = events.send(Event::Revise(revising));
        });
    }

    /// Tries again in a while, or gives it up when its time is over.
    fn revise_again(&mut self, revising: Box<Revising>, wait: Micros) {
        if clock::now().plus(wait / 1000) > revising.until {
            let reason = Reason::new(ErrorClass::Transient, "expired", "its provider could not be asked in time; try again");
            return self.revise_ended(&revising, Err(reason));
        }
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(wait.max(0) as u64)).await;
            let _ = events.send(Event::Revise(revising));
        });
    }

    pub(super) fn revised(&mut self, revising: Box<Revising>, landing: Landing) {
        let Some(message) = &revising.message else { return };
        let channel: Arc<str> = message.channel.as_str().into();
        let now = clock::steady();
        match landing {
            Landing::Verdict(Verdict::Accept { .. }) => self.revise_ended(&revising, Ok(())),
            Landing::Verdict(Verdict::Throttle { scope, after, .. }) => {
                let Some(standing) = self.channels.get(&channel) else { return self.revise_again(revising, AGAIN) };
                let entry = entry_of(message, &standing.channel);
                let until = after.map(|ms| now + ms.min(86_400_000) as Micros * 1000);
                let at = self.lanes.throttled(&entry, scope, now, until);
                self.has_learned(&channel);
                self.revise_again(revising, (at - now).max(AGAIN));
            }
            Landing::Verdict(Verdict::LogIn(_)) => {
                if let Some(standing) = self.channels.get_mut(&channel) {
                    standing.login = None;
                }
                self.revise_again(revising, AGAIN);
            }
            Landing::Verdict(Verdict::Suspend(reason)) => {
                self.suspend(&channel, &reason);
                self.revise_ended(&revising, Err(reason));
            }
            // Asking once more changes nothing more.
            Landing::Verdict(Verdict::Retry(_) | Verdict::Unclear(_)) | Landing::NotSent(_) | Landing::Unknown(_) => {
                self.revise_again(revising, AGAIN)
            }
            Landing::Verdict(Verdict::Reject(reason) | Verdict::Unreachable(reason) | Verdict::Gone { reason, .. }) => {
                self.revise_ended(&revising, Err(reason))
            }
        }
    }

    /// Publishes how it ended; then the order is done.
    fn revise_ended(&mut self, revising: &Revising, ended: Result<(), Reason>) {
        let Some((message, accepted)) = revising.message.as_ref().and_then(|m| Some((m, Accepted::of_view(m)?))) else {
            return self.pass_over(revising);
        };
        let about = About::of(&accepted, &message.conversation);
        let offset = revising.offset.to_le_bytes();
        let status = Status {
            message_id: message.id.as_str().into(),
            provider_message_id: message.provider_message_id.as_deref().map(Into::into),
            state: message.state,
            detail: Some(revising.word(ended.is_ok()).into()),
            at: clock::now(),
            attempt: (message.attempt > 0).then_some(u32::from(message.attempt)),
            recipient: None,
            error: ended.as_ref().err().cloned(),
            reason: None,
            until: None,
            late: None,
            cost: None,
            metadata: publish::metadata(&accepted.request.metadata),
            campaign: None,
            reminder: None,
            fallback_of: None,
            units: None,
        };
        let word = revising.word(ended.is_ok()).as_bytes();
        let mut records = vec![self.status(about, status, ids::fingerprint(&[b"revised", &revising.id.bytes(), &offset, word]))];
        if let (Ok(()), Some(parts)) = (&ended, &revising.parts) {
            records.insert(0, self.edited_record(&accepted, message, parts, &offset));
        }
        self.persist(records, Written::Order(revising.offset));
        self.next_revising(revising.id);
    }

    /// The content once more, as it is now, in place of what was told before.
    fn edited_record(&self, accepted: &Accepted, message: &Message, parts: &[Part<'static>], offset: &[u8]) -> Record {
        let about = About::of(accepted, &message.conversation);
        let body = Body::Created(Created {
            message_id: message.id.as_str().into(),
            origin: accepted.origin,
            author: accepted.request.author.clone(),
            to: Some(about.to.into()),
            message: Content {
                id: message.provider_message_id.as_deref().unwrap_or(&message.id).into(),
                sent_at: Some(message.updated_at),
                parts: parts.to_vec(),
                ..Content::default()
            },
            metadata: publish::metadata(&accepted.request.metadata),
        });
        let (before, data) = (publish::created_id(accepted.id), self.data(about, &body));
        let record = self.event(about, body.kind(), before, clock::now(), data);
        crate::envelope::correction(record, ids::fingerprint(&[b"edited", &accepted.id.bytes(), offset]))
    }
}

/// What the limits count it as: a message like any other.
fn entry_of(message: &Message, channel: &Channel) -> lane::Entry {
    let conversation: Arc<str> = message.conversation.as_str().into();
    let counted = Accepted::of_view(message).map(|m| limits::counted(Some(channel), &m, &conversation, false)).unwrap_or_default();
    let channel = Arc::clone(&channel.id);
    lane::Entry { number: 0, channel, conversation, lane: Priority::Normal, share: Arc::default(), counted }
}

/// The call that carries it out.
fn call_of(
    adapter: &dyn Adapter,
    revising: &Revising,
    message: &Message,
    handle: Option<&str>,
    links: &(dyn Fn(&str) -> Option<String> + Send + Sync),
    cx: &Context<'_>,
) -> Result<Call, RenderError> {
    let unsupported = || RenderError::new("#", "not_supported", "this channel cannot do that with a message that was sent");
    let mut accepted = Accepted::of_view(message).ok_or_else(unsupported)?;
    let Some(provider_id) = message.provider_message_id.as_deref() else {
        return Err(RenderError::new("#", "no_provider_id", "its provider gave it no id, so it cannot be named any more"));
    };
    let (to, thread) = (accepted.to.clone(), accepted.thread.clone());
    let sent = SentMessage { to: &to, thread: thread.as_deref(), provider_id, handle };
    // Several calls made several messages, and the views keep the id of one.
    let parts = with_links(&accepted.request.parts, links);
    let whole = Outbound { handle, ..outbound(&accepted, &message.id, &parts) };
    if adapter.render(&whole, cx).is_ok_and(|rendered| rendered.calls.len() > 1) {
        return Err(RenderError::new(
            "#",
            "several_messages",
            "it went as several messages of its provider, which cannot be changed as one",
        ));
    }
    match &revising.parts {
        None => adapter.revise(&sent, Revision::Recall, cx).ok_or_else(unsupported)?,
        Some(parts) => {
            accepted.request = SendRequest { parts: parts.clone(), template: None, ..accepted.request };
            let parts = with_links(parts, links);
            let edit = Outbound { handle, ..outbound(&accepted, &message.id, &parts) };
            adapter.revise(&sent, Revision::Edit(&edit), cx).ok_or_else(unsupported)?
        }
    }
}

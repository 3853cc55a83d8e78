//! Arm, gate, write: what may leave is named in the ledger, asked at the gate, and sent.

use super::*;
use crate::ids;
use crate::outbound::campaigns::Word;
use crate::outbound::lane::{Behind, Gate, Next};
use crate::transport::Error;
use fairway_adapters::contract::{Call, Context, ErrorClass, Outbound, Reason, RenderError, State, Step, Verdict};

/// Messages armed by one append.
const BATCH: usize = 512;
/// How long a provider may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What has not left by then is released: it must leave within a second of its record.
const STAYS_ARMED: Micros = (ledger::LEAVE_WITHIN - 200) * 1000;
/// Waits longer than this are told in the timeline.
const TELL_WAITS: Micros = 100_000;
/// Calls that may follow from one (an upload, then the send).
const HOPS: usize = 5;

/// A channel with a message that waits for room in a limit. What comes behind it takes none of that room, or a message that costs
/// much would never find enough.
struct Closed {
    channel: Arc<str>,
    scope: Scope,
    behind: Behind,
}

impl Unit {
    /// Does all that can be done now; when to come again.
    pub(super) fn step(&mut self) -> Option<Micros> {
        let now = clock::steady();
        let due = self.take_due();
        self.ask_consent();
        let gate = self.pass_gate(now);
        let mut looked_at = 0;
        let wake = loop {
            looked_at += 1;
            if looked_at > BATCH {
                break Some(now); // What has come meanwhile is taken first.
            }
            match self.lanes.next(now) {
                Next::Arm(number) => {
                    if let Some(record) = self.arm(number, now) {
                        self.append_sending(number, record);
                    }
                }
                Next::Wait(at) => break Some(at),
                Next::Idle => break None,
            }
        };
        gate.into_iter().chain(wake).chain(due).min()
    }

    /// Renders a message and names its next call in the ledger's words. `None` when it ended here instead.
    fn arm(&mut self, number: Number, now: Micros) -> Option<crate::log::Record> {
        let item = self.items.get_mut(&number)?;
        if item.phase != Phase::Waiting {
            // It is ending, or its doubt is being settled: whoever does that queues its conversation again.
            let entry = item.entry.clone();
            self.lanes.unarm(&entry);
            return None;
        }
        if item.cancel {
            self.end_unsent(number, State::Cancelled, None);
            return None;
        }
        if clock::now() >= item.message.deadline {
            let reason = Reason::new(ErrorClass::Transient, "expired", "its time ran out before it could be sent");
            self.end_unsent(number, State::Expired, Some(reason));
            return None;
        }
        let entry = item.entry.clone();
        if !self.campaign_agrees(number) {
            return None;
        }
        let item = self.items.get(&number)?;
        if self.is_answer_old(item) {
            self.lanes.unarm(&entry); // The answer queues it again.
            self.ask_again(number);
            return None;
        }
        if let Some(reason) = self.stopped(number) {
            self.end_unsent(number, State::Suppressed, Some(reason));
            return None;
        }
        let item = self.items.get(&number)?;
        let unrendered = item.rendered.is_none();
        let Ok(handle) = (if unrendered { self.handle_for(&entry) } else { Ok(None) }) else {
            self.lanes.unarm(&entry); // What the store answers queues it again.
            return None;
        };
        let item = self.items.get_mut(&number)?;
        let standing = self.channels.get(&item.entry.channel)?;
        if unrendered {
            item.by_handle = handle.is_some();
            let hash = match render(&self.parts, standing, &item.message, item.use_template, handle.as_deref()) {
                Ok(Rendering::Calls(rendered)) => {
                    let hash = rendering_hash(&rendered);
                    note_questions(&self.parts, &entry.channel, &item.message, &rendered);
                    // Each call is counted when it leaves, with its share.
                    item.entry.counted.cost = rendered.cost.max(1).div_ceil(rendered.calls.len().max(1) as u32);
                    item.rendered = Some(Arc::new(rendered));
                    self.lanes.recount(&item.entry);
                    hash
                }
                Ok(Rendering::NeedsLogin(call)) => {
                    self.log_in(&entry.channel, call);
                    self.lanes.disarm(&entry, now + 500_000);
                    return None;
                }
                Err(e) => {
                    let reason = Reason::new(ErrorClass::Content, e.code, format!("{}: {}", e.pointer, e.problem));
                    self.end_unsent(number, State::Failed, Some(reason));
                    return None;
                }
            };
            if item.calls > 0 && item.rendering != 0 && item.rendering != hash {
                // Half of the old rendering is there; the other half of the new one would make nonsense.
                item.rendering = 0;
                self.lanes.unarm(&entry);
                self.begin_doubt(number, "it would be rendered differently now, and part of it was sent before");
                return None;
            }
            item.rendering = hash;
        }
        if item.calls == 0 || item.attempt == 0 {
            item.attempt += 1;
        }
        item.phase = Phase::Arming(now);
        let entry = ledger::Entry::Sending {
            what: ledger::Call { id: item.message.id, attempt: item.attempt, call: item.calls },
            at: clock::now(),
            rendering: item.rendering,
            channel: Accepted::channel_hash(&item.entry.channel),
            counted: item.entry.counted,
        };
        Some(entry.record(self.unit, self.tenure))
    }

    /// Asks the campaign of a message, if it has one; false when it does not go now. What was begun is finished.
    fn campaign_agrees(&mut self, number: Number) -> bool {
        let Some(item) = self.items.get_mut(&number).filter(|i| i.calls == 0) else { return true };
        let Some(mark) = &item.message.request.mark else { return true };
        match self.parts.campaigns.ask(mark, &item.message.request, clock::now()) {
            Word::Go => true,
            Word::Changed(request) => {
                let changed = Accepted { request: *request, ..(*item.message).clone() };
                (item.message, item.rendered) = (Arc::new(changed), None);
                true
            }
            Word::Hold(until, why) => {
                let entry = item.entry.clone();
                self.lanes.unarm(&entry);
                self.park_apart(number, until, why);
                false
            }
            Word::End(state, reason) => {
                self.end_unsent(number, state, Some(reason));
                false
            }
        }
    }

    /// The ledger has answered: what is durable is confirmed (where our own partition is read back: once it came by).
    pub(super) fn confirmed(&mut self, outcomes: Vec<(Number, Outcome)>) {
        for (number, outcome) in outcomes {
            let Some(item) = self.items.get_mut(&number) else { continue };
            match outcome {
                Outcome::Durable(Some(offset)) => {
                    self.progress.ledger_at(offset);
                    if item.first_ledger.is_none() {
                        item.first_ledger = Some(offset);
                        match item.source {
                            Source::Lane(at) => self.progress.told(feed::lane_index(item.entry.lane), at, offset),
                            Source::Schedule { .. } => self.progress.told_row(item.message.id, offset),
                        }
                    }
                    if self.read_back.is_some_and(|read| offset >= read) {
                        self.unconfirmed.insert(offset, number);
                    } else {
                        self.arm_confirmed(number);
                    }
                }
                // Not in the ledger, so nothing leaves. An unknown one may stand there: a next owner would call it in doubt,
                // which is listed, never silent.
                Outcome::Durable(None) | Outcome::NotAppended(_) | Outcome::Unknown(_) => {
                    let entry = item.entry.clone();
                    item.phase = Phase::Waiting;
                    if item.calls == 0 {
                        item.attempt = item.attempt.saturating_sub(1);
                    }
                    self.lanes.disarm(&entry, clock::steady() + 500_000);
                }
            }
        }
    }

    pub(super) fn arm_confirmed(&mut self, number: Number) {
        if let Some(item) = self.items.get_mut(&number) {
            let now = clock::steady();
            if let Phase::Arming(since) = item.phase {
                self.lanes.confirmed_in(now - since);
            }
            item.phase = Phase::Armed(now);
            self.armed[feed::lane_index(item.entry.lane)].push_back(number);
        }
    }

    /// Lets through what all limits allow now, the higher lanes first; when the next may pass.
    fn pass_gate(&mut self, now: Micros) -> Option<Micros> {
        let mut closed = Vec::new();
        (0..self.armed.len()).filter_map(|lane| self.pass_gate_of(lane, &mut closed, now)).min()
    }

    fn pass_gate_of(&mut self, lane: usize, closed: &mut Vec<Closed>, now: Micros) -> Option<Micros> {
        let mut earliest: Option<Micros> = None;
        for _ in 0..self.armed[lane].len() {
            let Some(number) = self.armed[lane].pop_front() else { break };
            let Some(Phase::Armed(since)) = self.items.get(&number).map(|i| i.phase) else { continue };
            let ask_again = self.must_ask_again(number);
            let Some(item) = self.items.get_mut(&number) else { continue };
            let stands = item.message.request.mark.as_ref().is_none_or(|m| item.calls > 0 || self.parts.campaigns.stands(m));
            if item.cancel || !stands || ask_again || now - since > STAYS_ARMED {
                self.release(number, now);
                continue;
            }
            let channel = &item.entry.channel;
            let waits_behind = |c: &&Closed| c.channel == *channel || c.behind == Behind::Sharing && self.lanes.share(&c.channel, channel);
            let gate = match closed.iter().find(waits_behind) {
                Some(closed) => Gate::Wait { at: Micros::MAX, scope: closed.scope, behind: Behind::Nobody },
                None => self.lanes.gate(&item.entry, now),
            };
            match gate {
                Gate::Go => {
                    item.phase = Phase::InFlight;
                    // What it waited for is told with its outcome.
                    let waited = now - item.came;
                    if item.attempt == 1 && waited > TELL_WAITS {
                        let scope = self.lanes.held_by(number).or(item.waited.map(|w| w.0)).unwrap_or(Scope::Sender);
                        item.waited = Some((scope, waited));
                    } else {
                        item.waited = None;
                    }
                    self.depart(number, now);
                }
                Gate::Wait { at, scope, behind } => {
                    if behind != Behind::Nobody {
                        closed.push(Closed { channel: Arc::clone(channel), scope, behind });
                    }
                    if item.waited.is_none() {
                        item.waited = Some((scope, now));
                        crate::telemetry::counter(&crate::telemetry::names::THROTTLE_WAITS, &[&item.entry.channel, scope.word()])
                            .increment(1);
                    }
                    if behind == Behind::Nobody && at < Micros::MAX && at - since > STAYS_ARMED {
                        // It would be released before then: it makes room at once, and is asked again at its time.
                        self.release_until(number, Some((at, scope)), now);
                        continue;
                    }
                    earliest = Some(earliest.map_or(at, |e| e.min(at)));
                    self.armed[lane].push_back(number);
                }
            }
        }
        earliest
    }

    /// It did not leave in time: the ledger says so, and it goes back to its queue.
    fn release(&mut self, number: Number, now: Micros) {
        self.release_until(number, None, now);
    }

    /// The same; it waits in its queue until then, for that.
    fn release_until(&mut self, number: Number, until: Option<(Micros, Scope)>, now: Micros) {
        let Some(item) = self.items.get_mut(&number) else { return };
        let what = ledger::Call { id: item.message.id, attempt: item.attempt, call: item.calls };
        item.phase = Phase::Waiting;
        if item.calls == 0 {
            item.attempt = item.attempt.saturating_sub(1);
            if item.message.request.mark.is_some() {
                item.rendered = None; // Its campaign may say it in other words when it comes back.
            }
        }
        let entry = item.entry.clone();
        match until {
            Some((at, scope)) => self.lanes.disarm_for(&entry, at, scope),
            None => self.lanes.disarm(&entry, now),
        }
        let record = outcome(what, ledger::Outcome::Released, "", "", 0).record(self.unit, self.tenure);
        self.persist(vec![record], Written::Nothing);
    }

    /// Nothing armed leaves any more.
    pub(super) fn release_armed(&mut self) {
        let now = clock::steady();
        for number in std::mem::take(&mut self.armed).into_iter().flatten() {
            self.release(number, now);
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        !self.is_writing() && !self.items.values().any(|i| matches!(i.phase, Phase::InFlight | Phase::Closing | Phase::Arming(_)))
    }

    /// The call leaves, counted by the limits at this time.
    fn depart(&mut self, number: Number, counted: Micros) {
        let Some(item) = self.items.get(&number) else { return };
        let Some(standing) = self.channels.get(&item.entry.channel) else { return };
        let Some(call) = item.rendered.as_ref().and_then(|r| r.calls.get(usize::from(item.calls))).cloned() else {
            let _ = self.events.send(Event::Landed(number, Landing::Verdict(Verdict::Accept { provider_id: String::new() }), 0));
            return;
        };
        let by_handle = (item.by_handle && item.calls == 0).then(|| Arc::clone(&item.entry.conversation));
        let (transport, adapter, events) = (self.parts.transport.clone(), Arc::clone(&standing.channel.adapter), self.events.clone());
        let (trace, channel) = (item.message.traceparent.clone(), Arc::clone(&item.entry.channel));
        let seconds = standing.meters.call.clone();
        tokio::spawn(async move {
            let started = std::time::Instant::now();
            let late = events.clone();
            let left = move |at: Micros| {
                if at - counted > LATE {
                    let _ = late.send(Event::LeftLate(number, counted, at));
                }
            };
            let landing = attempt(&transport, &channel, &*adapter, call, trace.as_deref(), Some(Arc::new(left))).await;
            let took = started.elapsed();
            seconds.record(took.as_secs_f64());
            let _ = events.send(Event::Landed(number, landing, took.as_micros() as Micros));
        });
        if let Some(conversation) = by_handle {
            self.use_handle(&conversation);
        }
    }

    pub(super) fn log_in(&mut self, channel: &Arc<str>, call: Call) {
        let Some(standing) = self.channels.get_mut(channel) else { return };
        if std::mem::replace(&mut standing.logging_in, true) {
            return;
        }
        let (transport, adapter, events, channel) =
            (self.parts.transport.clone(), Arc::clone(&standing.channel.adapter), self.events.clone(), Arc::clone(channel));
        tokio::spawn(async move {
            let token = match transport.call_of(&channel, &call, None, ANSWER_WITHIN).await {
                Ok(reply) => adapter.logged_in(&reply),
                Err(_) => None,
            };
            let _ = events.send(Event::LoggedIn(channel, token));
        });
    }

    pub(super) fn logged_in(&mut self, channel: &Arc<str>, token: Option<(fairway_adapters::contract::Secret, u64)>) {
        let Some(standing) = self.channels.get_mut(channel) else { return };
        standing.logging_in = false;
        match token {
            // Renewed a little before it ends, so that no call leaves with a token about to expire.
            Some((token, good_for)) => standing.login = Some((token, clock::steady() + (good_for as i64 * 1000) * 9 / 10)),
            None => standing.last_error = Some("the provider refused the login".into()),
        }
    }
}

/// What came of a call, in the ledger's words.
pub(super) fn outcome(what: ledger::Call, outcome: ledger::Outcome, provider_id: &str, code: &str, waited: Micros) -> ledger::Entry {
    ledger::Entry::Outcome {
        what,
        at: clock::now(),
        outcome,
        provider_id: provider_id.to_owned(),
        code: code.to_owned(),
        waited: u32::try_from(waited / 1000).unwrap_or(u32::MAX),
    }
}

/// One attempt of one call, with the calls that follow from it.
pub(super) async fn attempt(
    transport: &Transport,
    channel: &str,
    adapter: &dyn Adapter,
    mut call: Call,
    trace: Option<&str>,
    left: Option<Left>,
) -> Landing {
    if let Some(given) = transport.give(&call) {
        // The provider has it with the answer that its own request is open for.
        return match given {
            Ok(()) => Landing::Verdict(Verdict::Accept { provider_id: String::new() }),
            Err(e) => Landing::NotSent(e.to_string()),
        };
    }
    for hop in 0..HOPS {
        let reply = match transport.call_watched(channel, &call, trace, ANSWER_WITHIN, left.clone()).await {
            Ok(reply) => reply,
            Err(Error::Unknown(e)) => return Landing::Unknown(e),
            Err(Error::TooLarge(e)) => return Landing::Verdict(Verdict::Reject(Reason::new(ErrorClass::Content, "media_too_large", e))),
            // Also after an upload: the message itself has surely not been sent.
            Err(Error::NotSent(e) | Error::Walled(e)) => return Landing::NotSent(e),
        };
        match adapter.classify(&call, &reply) {
            Step::Done(verdict) => return Landing::Verdict(verdict),
            Step::Call(next) if hop + 1 < HOPS => call = next,
            Step::Call(_) => {}
        }
    }
    let reason = Reason::new(ErrorClass::Content, "too_many_calls", "the provider asked for more calls than one message may need");
    Landing::Verdict(Verdict::Reject(reason))
}

/// Where options go out as words, answers come back as words: those who read them are told.
fn note_questions(parts: &Parts, channel: &str, message: &Accepted, rendered: &Rendered) {
    use fairway_adapters::contract::Part;
    let asks = message.request.parts.iter().any(|p| matches!(p, Part::Choices(_) | Part::Card(_)));
    if !asks || rendered.downgrades.is_empty() || !parts.worded.note(channel) {
        return;
    }
    let (store, name) = (Arc::clone(&parts.store), format!("{}{channel}", crate::channels::worded::SETTINGS));
    tokio::spawn(async move {
        while store.put_setting(&name, "1".into()).await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}

pub(super) enum Rendering {
    Calls(Rendered),
    NeedsLogin(Call),
}

/// Renders a message for its channel with what is known now.
pub(super) fn render(
    parts: &Parts,
    standing: &Standing,
    message: &Accepted,
    template: bool,
    handle: Option<&str>,
) -> Result<Rendering, RenderError> {
    let channel = &standing.channel;
    let login = standing.login.as_ref().filter(|(_, until)| *until > clock::steady()).map(|(token, _)| token);
    let cx = Context { now: clock::now(), public_url: &parts.public_url, hook_url: &channel.hook_url, login, keys: None };
    if login.is_none()
        && let Some(call) = channel.adapter.login(&cx)
    {
        return Ok(Rendering::NeedsLogin(call));
    }
    let linked = if template { Vec::new() } else { publish::with_links(&message.request.parts, &*parts.links) };
    let rendered = channel.adapter.render(&Outbound { handle, ..outbound(message, &message.id.to_string(), &linked) }, &cx)?;
    Ok(Rendering::Calls(rendered))
}

/// A message as an adapter renders it.
pub(super) fn outbound<'a>(message: &'a Accepted, id: &'a str, parts: &'a [fairway_adapters::contract::Part<'static>]) -> Outbound<'a> {
    Outbound {
        id,
        to: &message.to,
        thread: message.thread.as_deref(),
        parts,
        template: if parts.is_empty() { message.request.template.as_ref() } else { None },
        category: message.request.category,
        reply_to: message.reply_to.as_deref(),
        handle: None,
        author: message.request.author.as_ref(),
        expires_at: message.request.expires_at,
        native: &message.request.native,
    }
}

fn rendering_hash(rendered: &Rendered) -> u64 {
    let contents: Vec<_> = rendered.calls.iter().map(|c| (c.url.as_bytes(), c.content())).collect();
    let parts: Vec<&[u8]> = contents.iter().flat_map(|(url, content)| [*url, &**content]).collect();
    (ids::fingerprint(&parts) >> 64) as u64 | 1
}

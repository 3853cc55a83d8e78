//! How attempts end: accepted, tried again, in doubt, or over.

use super::*;
use crate::orders::Settle;
use crate::telemetry::{self, names};
use fairway_adapters::contract::{Category, ErrorClass, Reason, State, Verdict};

/// The first pause between two tries, in milliseconds.
const RETRY_FROM: u64 = 1000;
/// The longest.
const RETRY_TO: u64 = 600_000;
/// What must wait longer than this is parked.
pub(super) const PARK_AFTER: Micros = 10_000_000;

impl Unit {
    pub(super) fn landed(&mut self, number: Number, landing: Landing, took: Micros) {
        let now = clock::steady();
        let Some(item) = self.items.get(&number) else { return };
        if item.phase != Phase::InFlight {
            return; // A receipt has settled it meanwhile.
        }
        let channel = Arc::clone(&item.entry.channel);
        let label = match &landing {
            Landing::Verdict(verdict) => verdict.word(),
            Landing::NotSent(_) => "not_sent",
            Landing::Unknown(_) => "unknown",
        };
        telemetry::counter(&names::CALLS, &[&channel, label]).increment(1);
        // What was not sent, and what had nothing to send, says nothing of the provider.
        if took > 0 && !matches!(landing, Landing::NotSent(_)) && self.lanes.answered(&channel, took, now) {
            self.has_learned(&channel);
        }
        let sick = matches!(landing, Landing::NotSent(_) | Landing::Unknown(_) | Landing::Verdict(Verdict::Retry(_) | Verdict::Unclear(_)));
        if sick {
            if let Some(until) = self.lanes.failed(&channel, now) {
                tracing::warn!(channel = &*channel, seconds = (until - now) / 1_000_000, "the circuit breaker is open");
                self.set_breaker(&channel, true);
            }
        } else if self.lanes.worked(&channel) {
            self.set_breaker(&channel, false);
        }
        match landing {
            Landing::Verdict(Verdict::Accept { provider_id }) => self.accepted(number, provider_id),
            Landing::Verdict(Verdict::Throttle { scope, after, reason }) => {
                let entry = &self.items[&number].entry.clone();
                let until = after.map(|ms| now + ms.min(86_400_000) as Micros * 1000);
                let at = self.lanes.throttled(entry, scope, now, until);
                self.has_learned(&channel);
                self.note_error(&channel, &reason);
                self.refused(number, at, &reason);
            }
            Landing::Verdict(Verdict::Retry(reason)) => {
                self.note_error(&channel, &reason);
                let at = now + self.pause_ms(number) as Micros * 1000;
                self.refused(number, at, &reason);
            }
            Landing::NotSent(e) => {
                let reason = Reason::new(ErrorClass::Transient, "not_sent", format!("the provider could not be reached: {e}"));
                self.note_error(&channel, &reason);
                let at = now + self.pause_ms(number) as Micros * 1000;
                self.refused(number, at, &reason);
            }
            Landing::Unknown(e) => {
                self.free_slot(number);
                self.begin_doubt(number, &format!("the answer was lost: {e}"));
            }
            Landing::Verdict(Verdict::Unclear(reason)) => {
                self.note_error(&channel, &reason);
                self.free_slot(number);
                self.begin_doubt(number, &reason.title);
            }
            Landing::Verdict(Verdict::Reject(reason)) if reason.class == ErrorClass::Window && self.has_unused_template(number) => {
                if let Some(item) = self.items.get_mut(&number) {
                    (item.use_template, item.rendered) = (true, None);
                    let standing = self.channels.get(&channel).map(|s| &*s.channel);
                    item.entry.counted = limits::counted(standing, &item.message, &item.entry.conversation, true);
                    self.lanes.recount(&item.entry);
                }
                self.refused(number, now, &reason);
            }
            Landing::Verdict(Verdict::Reject(reason) | Verdict::Unreachable(reason)) => {
                self.free_slot(number);
                self.close(number, State::Failed, Some(reason));
            }
            Landing::Verdict(Verdict::Gone { reason, current }) => {
                self.free_slot(number);
                let moved = self.moved_record(number, &reason, current.as_deref());
                self.persist(vec![moved], Written::Nothing);
                self.close(number, State::Failed, Some(reason));
            }
            Landing::Verdict(Verdict::LogIn(reason)) => {
                self.note_error(&channel, &reason);
                if let Some(standing) = self.channels.get_mut(&channel) {
                    standing.login = None;
                }
                if let Some(item) = self.items.get_mut(&number) {
                    item.rendered = None;
                }
                let at = now + self.pause_ms(number) as Micros * 1000;
                self.refused(number, at, &reason);
            }
            Landing::Verdict(Verdict::Suspend(reason)) => {
                self.suspend(&channel, &reason);
                self.refused(number, now, &reason);
            }
        }
    }

    fn has_unused_template(&self, number: Number) -> bool {
        self.items
            .get(&number)
            .is_some_and(|i| !i.use_template && !i.message.request.parts.is_empty() && i.message.request.template.is_some())
    }

    /// The provider has this call; with the last one it has the message.
    fn accepted(&mut self, number: Number, provider_id: String) {
        let Some(item) = self.items.get_mut(&number) else { return };
        let what = ledger::Call { id: item.message.id, attempt: item.attempt, call: item.calls };
        item.calls += 1;
        item.retry_ms = 0;
        if !provider_id.is_empty() {
            item.provider_ids.push(provider_id.clone());
        }
        let total = item.rendered.as_ref().map_or(1, |r| r.calls.len());
        let (scope, waited) = item.waited.map_or(("", 0), |(scope, waited)| (scope.word(), waited));
        let outcome = |came| arm::outcome(what, came, &provider_id, scope, waited);
        if usize::from(item.calls) < total {
            let record = outcome(ledger::Outcome::Accepted).record(self.unit, self.tenure);
            self.persist(vec![record], Written::Called(number));
            return;
        }
        item.phase = Phase::Closing;
        let entry = item.entry.clone();
        self.lanes.landed(&entry);
        let mut records = vec![outcome(ledger::Outcome::AcceptedLast).record(self.unit, self.tenure)];
        records.extend(self.sent_records(number));
        self.persist(records, Written::Closed(number, State::Sent));
    }

    pub(super) fn called(&mut self, number: Number) {
        let Some(item) = self.items.get_mut(&number) else { return };
        item.phase = Phase::Waiting;
        let entry = item.entry.clone();
        self.lanes.again(&entry, clock::steady());
    }

    /// The provider surely has it not: the ledger says so, and it waits for its next try.
    fn refused(&mut self, number: Number, at: Micros, reason: &Reason) {
        let Some(item) = self.items.get_mut(&number) else { return };
        let what = ledger::Call { id: item.message.id, attempt: item.attempt, call: item.calls };
        item.reason = Some(reason.clone());
        let record = arm::outcome(what, ledger::Outcome::Refused, "", &reason.code, 0).record(self.unit, self.tenure);
        self.persist(vec![record], Written::Again(number, at));
    }

    pub(super) fn again(&mut self, number: Number, at: Micros) {
        let now = clock::steady();
        let Some(item) = self.items.get_mut(&number) else { return };
        item.phase = Phase::Waiting;
        if item.by_handle && item.calls == 0 {
            item.rendered = None; // What it was rendered with may be used up.
        }
        let (entry, deadline) = (item.entry.clone(), item.message.deadline);
        let reason = item.reason.clone();
        if clock::wall_at(at) >= deadline {
            self.lanes.again(&entry, now);
            let expired =
                reason.unwrap_or_else(|| Reason::new(ErrorClass::Transient, "expired", "its time ran out before it could be sent"));
            self.close(number, State::Expired, Some(expired));
            return;
        }
        self.lanes.again(&entry, at);
        if at - now > PARK_AFTER {
            let title = reason.map_or_else(|| "waits for its next try".to_owned(), |r| r.title.into_owned());
            self.park_with_followers(number, clock::wall_at(at), &title);
        }
    }

    fn free_slot(&mut self, number: Number) {
        if let Some(entry) = self.items.get(&number).map(|i| i.entry.clone()) {
            self.lanes.landed(&entry);
        }
    }

    /// Decorrelated jitter: between the first pause and three times the last one.
    fn pause_ms(&mut self, number: Number) -> u64 {
        let Some(item) = self.items.get_mut(&number) else { return RETRY_FROM };
        let upper = (item.retry_ms.max(RETRY_FROM) * 3).min(RETRY_TO);
        let spread = crate::ids::random() as u64 % (upper - RETRY_FROM + 1);
        item.retry_ms = RETRY_FROM + spread;
        item.retry_ms
    }

    /// Nobody knows whether the provider has it. A receipt may tell; else the policy decides.
    pub(super) fn begin_doubt(&mut self, number: Number, why: &str) {
        let now = clock::steady();
        let Some(item) = self.items.get_mut(&number) else { return };
        let Some(standing) = self.channels.get(&item.entry.channel) else {
            return self.close(number, State::InDoubt, None);
        };
        let facts = standing.channel.facts();
        let wait = if facts.repeatable { 0 } else { facts.settle_ms as Micros * 1000 };
        item.phase = Phase::Doubt(now + wait);
        item.attempt = item.attempt.max(1);
        let what = ledger::Call { id: item.message.id, attempt: item.attempt, call: item.calls };
        let outcome = arm::outcome(what, ledger::Outcome::InDoubt, "", "", 0);
        let records = vec![outcome.record(self.unit, self.tenure), self.status_record(number, State::InDoubt, None, Some(why))];
        self.persist(records, Written::Doubted);
        self.look_for_early_receipt(number);
    }

    /// Settles what has been in doubt long enough: marketing is not sent again and stays listed; the rest is sent again.
    pub(super) fn settle_doubts(&mut self, now: Micros) {
        let due: Vec<Number> =
            self.items.iter().filter(|(_, i)| matches!(i.phase, Phase::Doubt(at) if at <= now)).map(|(n, _)| *n).collect();
        for number in due {
            let Some(item) = self.items.get(&number) else { continue };
            let repeatable = self.channels.get(&item.entry.channel).is_some_and(|c| c.channel.facts().repeatable);
            let marketing = item.message.request.category == Category::Marketing && !repeatable;
            // Who has said STOP meanwhile is not tried again; whether it arrived stays the question.
            if marketing || self.stopped(number).is_some() {
                self.close(number, State::InDoubt, None);
            } else {
                self.try_again_from_doubt(number);
            }
        }
    }

    /// Goes on with the call in doubt; from the first one when it is the rendering that is in doubt.
    fn try_again_from_doubt(&mut self, number: Number) {
        let Some(item) = self.items.get_mut(&number) else { return };
        (item.phase, item.rendered) = (Phase::Waiting, None);
        if item.rendering == 0 {
            item.calls = 0;
        }
        let entry = item.entry.clone();
        self.lanes.wait(&entry, clock::steady());
    }

    /// A receipt or an operator says that the provider has it after all.
    pub(super) fn settled_as_sent(&mut self, number: Number, provider_id: &str) {
        let Some(item) = self.items.get_mut(&number) else { return };
        if !matches!(item.phase, Phase::Doubt(_)) {
            return;
        }
        if !provider_id.is_empty() && !item.provider_ids.iter().any(|p| p == provider_id) {
            item.provider_ids.push(provider_id.to_owned());
        }
        item.phase = Phase::Closing;
        let what = ledger::Call { id: item.message.id, attempt: item.attempt, call: item.calls };
        // A receipt speaks of the call in doubt alone, an operator of the whole message.
        if !provider_id.is_empty() && self.calls_of(number) > usize::from(what.call) + 1 {
            let outcome = arm::outcome(what, ledger::Outcome::Accepted, provider_id, "", 0);
            return self.persist(vec![outcome.record(self.unit, self.tenure)], Written::CallSettled(number));
        }
        let outcome = arm::outcome(what, ledger::Outcome::AcceptedLast, provider_id, "", 0);
        let mut records = vec![outcome.record(self.unit, self.tenure)];
        records.extend(self.sent_records(number));
        self.persist(records, Written::Closed(number, State::Sent));
    }

    /// The call that was in doubt is there: the next one may leave.
    pub(super) fn call_settled(&mut self, number: Number) {
        let Some(item) = self.items.get_mut(&number) else { return };
        (item.phase, item.calls) = (Phase::Waiting, item.calls + 1);
        let entry = item.entry.clone();
        self.lanes.wait(&entry, clock::steady());
    }

    /// How many calls a message is.
    fn calls_of(&self, number: Number) -> usize {
        let Some(item) = self.items.get(&number) else { return 1 };
        if let Some(rendered) = &item.rendered {
            return rendered.calls.len();
        }
        let Some(standing) = self.channels.get(&item.entry.channel) else { return 1 };
        match arm::render(&self.parts, standing, &item.message, item.use_template, None) {
            Ok(arm::Rendering::Calls(rendered)) => rendered.calls.len(),
            _ => 1,
        }
    }

    /// An operator's word about a message that is still here.
    pub(super) fn settle_by_hand(&mut self, number: Number, how: Settle) {
        match how {
            Settle::Sent => self.settled_as_sent(number, ""),
            Settle::Retry if self.items.get(&number).is_some_and(|i| matches!(i.phase, Phase::Doubt(_))) => {
                self.try_again_from_doubt(number)
            }
            Settle::Retry => {}
            Settle::Drop => self.cancel(number),
        }
    }

    /// Ends a message that was about to be armed.
    pub(super) fn end_unsent(&mut self, number: Number, state: State, reason: Option<Reason>) {
        if let Some(entry) = self.items.get(&number).map(|i| i.entry.clone()) {
            self.lanes.unarm(&entry);
        }
        self.close(number, state, reason);
    }

    /// Ends a message: ledger, published state, dead letter where it failed. It leaves the window when all are durable.
    pub(super) fn close(&mut self, number: Number, state: State, reason: Option<Reason>) {
        let Some(item) = self.items.get_mut(&number) else { return };
        item.phase = Phase::Closing;
        let settled = ledger::Entry::Settled { id: item.message.id, attempt: item.attempt, state, at: clock::now() };
        let mut records = vec![settled.record(self.unit, self.tenure)];
        if state == State::Failed {
            let class = reason.as_ref().map_or(ErrorClass::Unknown, |r| r.class);
            telemetry::counter(&names::FAILURES, &[&item.entry.channel, class.word()]).increment(1);
        }
        let why = reason.as_ref().filter(|_| state == State::Suppressed).map(|r| r.title.clone());
        records.push(self.status_record(number, state, reason.as_ref(), why.as_deref()));
        if goes_on(state, reason.as_ref()) {
            records.extend(self.fallback_order(&self.items[&number].message, state, clock::now()));
        }
        if matches!(state, State::Failed | State::Expired | State::InDoubt) {
            records.extend(self.dead_letter(number, state, reason.as_ref()));
        }
        self.persist(records, Written::Closed(number, state));
    }

    /// Says an end again that a stopped owner may not have published.
    pub(super) fn close_again(&mut self, number: Number, state: State) {
        // Which word barred it the ledger does not say; it is asked again.
        let barred = if state == State::Suppressed { self.stopped_on_entry(number) } else { None };
        let Some(item) = self.items.get_mut(&number) else { return };
        item.phase = Phase::Closing;
        let mut records =
            if state == State::Sent { self.sent_records(number) } else { vec![self.status_record(number, state, None, None)] };
        if goes_on(state, barred.as_ref()) {
            // The order to fall back may be what the crash cut off; steps have derived ids, so one is sent.
            records.extend(self.fallback_order(&self.items[&number].message, state, clock::now()));
        }
        self.persist(records, Written::Closed(number, state));
    }

    /// The end is durable: the message leaves.
    pub(super) fn closed(&mut self, number: Number, state: State) {
        let Some(item) = self.items.remove(&number) else { return };
        self.by_id.remove(&item.message.id);
        self.lanes.remove(&item.entry, false);
        telemetry::counter(&names::STATES, &[&item.entry.channel, state.word()]).increment(1);
        self.give_back(&item, state);
        match item.source {
            Source::Lane(offset) => self.progress.done(feed::lane_index(item.entry.lane), offset),
            Source::Schedule { round, .. } => self.schedule.settled(item.message.id, round),
        }
        if state == State::Sent || state == State::InDoubt {
            if let Some(standing) = self.channels.get(&item.entry.channel) {
                let seconds = clock::now().since(item.message.accepted_at).max(0) as f64 / 1000.0;
                standing.meters.queue[feed::lane_index(item.entry.lane)].record(seconds);
            }
            self.remember(&item, state);
        }
    }

    /// Stops a message that has not gone out.
    pub(super) fn cancel(&mut self, number: Number) {
        let Some(item) = self.items.get_mut(&number) else { return };
        match item.phase {
            Phase::Waiting => self.close(number, State::Cancelled, None),
            // Armed or about to be: the gate asks.
            // On its way into the schedule: it is stopped there.
            Phase::Arming(_) | Phase::Armed(_) | Phase::Asking | Phase::Closing => item.cancel = true,
            Phase::Doubt(_) | Phase::InFlight => {}
        }
    }

    /// A credential failed: the channel stops, and says so once.
    pub(super) fn suspend(&mut self, channel: &Arc<str>, reason: &Reason) {
        let Some(standing) = self.channels.get_mut(channel) else { return };
        standing.last_error = Some(reason.title.to_string());
        if standing.suspended.replace(reason.title.to_string()).is_some() {
            return;
        }
        standing.meters.suspended.set(1.0);
        tracing::error!(
            channel = &**channel,
            code = &*reason.code,
            "the channel cannot send: {}; mend it, then reload or resume it",
            reason.title
        );
        self.lanes.pause(channel, None, Some(Micros::MAX));
        let notice =
            self.notice(channel, "suspended", &format!("The channel cannot send: {}. Mend it, then reload or resume it.", reason.title));
        self.persist(vec![notice], Written::Nothing);
    }

    fn note_error(&mut self, channel: &str, reason: &Reason) {
        if let Some(standing) = self.channels.get_mut(channel) {
            standing.last_error = Some(reason.title.to_string());
        }
    }

    fn set_breaker(&self, channel: &str, open: bool) {
        if let Some(standing) = self.channels.get(channel) {
            standing.meters.breaker.set(if open { 1.0 } else { 0.0 });
        }
    }
}

/// Whether the next step of a chain is tried at once: it did not bring it to them, or would not have. What the person said ends the
/// chain, and so does whoever does not want them written to.
fn goes_on(state: State, reason: Option<&Reason>) -> bool {
    match state {
        State::Failed | State::Expired => true,
        State::Suppressed => reason.is_some_and(crate::consent::is_gone),
        _ => false,
    }
}

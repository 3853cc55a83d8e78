//! Consent at the owner: asked in batch when messages are loaded, and again before each leaves.
//!
//! Whether a person may be written to is asked of memory, and again only when something changed. What marketing waits for (quiet
//! hours, caps) is asked of the store before it is queued; while one message of the bulk lane waits for the answer, those behind
//! it wait too, so that the order within a conversation stays.

use super::*;
use crate::consent::{Ask as MayAsk, Candidate, May, Standing, Verdict};
use fairway_adapters::contract::{Category, Reason, State};

/// Messages of one question.
const TOGETHER: usize = 500;
/// How long trying goes on after a hold, when the sender names no end.
const TRY_FOR: i64 = 24 * 3_600_000;
/// How long a store that is away is left alone.
const AGAIN: Duration = Duration::from_secs(1);

/// Messages that wait for an answer.
#[derive(Default)]
pub(super) struct Asking {
    waiting: VecDeque<Number>,
    under_way: bool,
    /// How many wait, by channel.
    depth: HashMap<Arc<str>, usize>,
    /// The version of consents at which all that waits was looked at last.
    seen: u64,
}

impl Asking {
    pub(super) fn depth(&self, channel: &str) -> usize {
        self.depth.get(channel).copied().unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.under_way
    }

    fn push(&mut self, channel: &Arc<str>, number: Number) {
        *self.depth.entry(Arc::clone(channel)).or_default() += 1;
        self.waiting.push_back(number);
    }

    fn left(&mut self, channel: &str) {
        if let Some(depth) = self.depth.get_mut(channel) {
            *depth = depth.saturating_sub(1);
        }
    }
}

impl Item {
    /// It waits for a time that concerns it alone. Waiting is no trying: where the sender names no end, trying begins then.
    pub(super) fn wait_alone(&mut self, until: Time) {
        self.alone = true;
        if self.message.request.expires_at.is_none() {
            let deadline = self.message.deadline.max(until.plus(TRY_FOR));
            Arc::make_mut(&mut self.message).deadline = deadline;
        }
    }
}

impl Unit {
    /// Why a message may not go to its person, if so. Asks again only when something changed since it was asked last.
    pub(super) fn stopped(&mut self, number: Number) -> Option<Reason> {
        let version = self.parts.consent.version();
        let item = self.items.get_mut(&number)?;
        if item.asked == version || item.message.passes {
            return None;
        }
        let message = &item.message;
        let program = message.request.metadata.get("program").map(String::as_str);
        let ask = MayAsk { address: &message.to, channel: &message.channel, category: message.request.category, program };
        match self.parts.consent.may(&ask) {
            May::No(reason) => Some(reason),
            May::Yes => {
                item.asked = version;
                None
            }
        }
    }

    /// What accept has said, or what has been said since.
    pub(super) fn stopped_on_entry(&mut self, number: Number) -> Option<Reason> {
        let said = self.items.get(&number).and_then(|i| i.message.suppressed.clone());
        said.or_else(|| self.stopped(number))
    }

    /// Queues a message, or first asks what it must wait for.
    pub(super) fn queue(&mut self, number: Number) {
        let Some(item) = self.items.get_mut(&number) else { return };
        let marketing = item.message.request.category == Category::Marketing;
        let asks = marketing && self.parts.consent.may_hold(&item.entry.channel);
        if asks || item.entry.lane == Priority::Bulk && !self.asking.is_empty() {
            item.phase = Phase::Asking;
            let channel = Arc::clone(&item.entry.channel);
            return self.asking.push(&channel, number);
        }
        let entry = item.entry.clone();
        item.queued = true;
        self.lanes.push(entry);
    }

    /// The hours in which it was let in are over: asked again, while it keeps its place.
    pub(super) fn ask_again(&mut self, number: Number) {
        let Some(item) = self.items.get_mut(&number) else { return };
        item.phase = Phase::Asking;
        let channel = Arc::clone(&item.entry.channel);
        self.asking.push(&channel, number);
    }

    /// Sends the next question. One is under way at a time, so that answers come in order.
    pub(super) fn ask_consent(&mut self) {
        if self.asking.under_way || self.asking.waiting.is_empty() {
            return;
        }
        self.asking.under_way = true;
        let count = self.asking.waiting.len().min(TOGETHER);
        let numbers: Vec<Number> = self.asking.waiting.drain(..count).collect();
        let candidate = |number: &Number| {
            let message = &self.items.get(number)?.message;
            Some(Candidate {
                message: message.id.to_string(),
                address: message.to.clone(),
                channel: message.channel.clone(),
                category: message.request.category,
                standing: Standing::of(message.request.mark.as_ref()),
            })
        };
        let (numbers, candidates): (Vec<_>, Vec<_>) = numbers.into_iter().filter_map(|n| Some((n, candidate(&n)?))).unzip();
        let (consent, events) = (Arc::clone(&self.parts.consent), self.events.clone());
        let is_marketing = candidates.iter().any(|c| c.category == Category::Marketing);
        tokio::spawn(async move {
            if is_marketing {
                consent.up_to_date().await;
            }
            let verdicts = loop {
                match consent.hold(&candidates, clock::now()).await {
                    Ok(verdicts) => break verdicts,
                    Err(e) => {
                        let _ = events.send(Event::StoreFailed("quiet hours and caps cannot be asked", e.to_string()));
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            };
            let _ = events.send(Event::Asked(numbers.into_iter().zip(verdicts).collect()));
        });
    }

    pub(super) fn asked(&mut self, answers: Vec<(Number, Verdict)>) {
        self.asking.under_way = false;
        for (number, verdict) in answers {
            let Some(item) = self.items.get_mut(&number) else { continue };
            let (channel, lane) = (Arc::clone(&item.entry.channel), item.entry.lane);
            self.asking.left(&channel);
            if item.phase != Phase::Asking {
                continue;
            }
            item.phase = Phase::Waiting;
            if item.cancel {
                self.close(number, State::Cancelled, None);
                continue;
            }
            match verdict {
                Verdict::Go(until) => {
                    item.allowed_until = until;
                    let (entry, source) = (item.entry.clone(), item.source);
                    if !item.queued && self.schedule.is_before(&entry, source) {
                        self.park(number, clock::now(), crate::outbound::holds::BEHIND_EARLIER, None);
                        continue;
                    }
                    if std::mem::replace(&mut item.queued, true) {
                        self.lanes.wait(&entry, clock::steady());
                    } else {
                        self.lanes.push(entry);
                        self.limit_window(&channel, lane);
                    }
                }
                Verdict::Hold(until, why) => {
                    let rule = super::super::holds::Hold::of(&why).word();
                    crate::telemetry::counter(&crate::telemetry::names::HELD, &[&channel, rule]).increment(1);
                    item.wait_alone(until);
                    self.park(number, until, &why, None);
                }
            }
        }
    }

    /// Whether an armed message must go back: its person may have said STOP since, or its hours are over.
    pub(super) fn must_ask_again(&mut self, number: Number) -> bool {
        self.stopped(number).is_some() || self.items.get(&number).is_some_and(|i| self.is_answer_old(i))
    }

    /// What the store has said of a message holds no more: its hours are over, or somebody may have said STOP and was not heard yet.
    pub(super) fn is_answer_old(&self, item: &Item) -> bool {
        let marketing = item.message.request.category == Category::Marketing;
        item.allowed_until <= clock::now() || marketing && !self.parts.consent.is_up_to_date()
    }

    /// A STOP ends what waits here at once, and not when its turn comes.
    pub(super) fn end_stopped(&mut self) {
        let version = self.parts.consent.version();
        if std::mem::replace(&mut self.asking.seen, version) == version {
            return;
        }
        let waiting: Vec<Number> = self.items.iter().filter(|(_, i)| i.phase == Phase::Waiting).map(|(n, _)| *n).collect();
        for number in waiting {
            if let Some(reason) = self.stopped(number) {
                self.close(number, State::Suppressed, Some(reason));
            }
        }
    }

    /// What was counted against a person's caps and did not go.
    pub(super) fn give_back(&self, item: &Item, state: State) {
        if item.message.request.category != Category::Marketing || matches!(state, State::Sent | State::InDoubt) {
            return;
        }
        let (consent, id) = (Arc::clone(&self.parts.consent), item.message.id.to_string());
        let standing = Standing::of(item.message.request.mark.as_ref());
        tokio::spawn(async move {
            while consent.give_back(&id, &standing).await.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
}

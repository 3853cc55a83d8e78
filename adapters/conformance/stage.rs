//! The frame around every twin: limits counted in sliding windows, moods, and the books of what was accepted.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::contract::twin::{Accepted, Act, Draft, Emit, Request, Twin};
use crate::contract::{Reply, Time};

/// How the provider feels. All off is a good day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Mood {
    /// Milliseconds before it answers.
    pub latency_ms: u64,
    /// Share of sends answered 429 though no limit is exceeded, 0 to 1.
    pub throttle: f64,
    /// Seconds it asks us to wait when it throttles; 0 asks nothing.
    pub retry_after_secs: u64,
    /// Share of requests answered 5xx without being accepted.
    pub broken: f64,
    /// Share of sends accepted but never answered (the connection closes).
    pub timeout: f64,
    /// Share of webhooks delivered twice.
    pub duplicate: f64,
    /// Share of webhooks delayed behind later ones.
    pub reorder: f64,
    /// Milliseconds added to every receipt.
    pub late_receipts_ms: u64,
}

/// What the host does with a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Milliseconds before the answer.
    pub delay_ms: u64,
    /// The answer; `None` closes the connection without one.
    pub reply: Option<Reply>,
    /// Webhooks that follow, not yet signed.
    pub emits: Vec<Emit>,
}

/// What the books say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Books {
    /// Requests that were message sends.
    pub sends: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Sends answered 429.
    pub throttled: u64,
    /// Sends answered 5xx.
    pub broken: u64,
    /// Sends accepted without an answer.
    pub unanswered: u64,
    /// Sends refused for what they said.
    pub refused: u64,
    /// The most sends counted in any sliding window of the sender's limit.
    pub peak: u32,
    /// The most sends counted in any sliding window of the limit per recipient.
    pub pair_peak: u32,
}

/// Which of the twin's limits a send is one too many for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    Sender,
    Pair,
}

/// A twin on its stage.
pub struct Stage {
    twin: Box<dyn Twin>,
    /// How it feels now.
    pub mood: Mood,
    /// Whether limits are enforced; off, they are only counted.
    pub enforce: bool,
    /// The sender's limit: messages, milliseconds.
    pub pace: (u32, u64),
    pair: Option<(u32, u64, u32)>,
    recent: VecDeque<i64>,
    per_person: HashMap<String, VecDeque<i64>>,
    books: Books,
    accepted: Vec<(Time, Accepted)>,
    keep: bool,
    random: u64,
}

impl Stage {
    /// Puts a twin on its stage.
    pub fn new(twin: Box<dyn Twin>, seed: u64) -> Self {
        let (pace, pair) = (twin.pace(), twin.pair_pace());
        Self {
            twin,
            mood: Mood::default(),
            enforce: true,
            pace,
            pair,
            recent: VecDeque::new(),
            per_person: HashMap::new(),
            books: Books::default(),
            accepted: Vec::new(),
            keep: true,
            random: seed ^ 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Counts without keeping each message (long load tests).
    pub fn forgetful(mut self) -> Self {
        self.keep = false;
        self
    }

    /// Replaces the limit per recipient: messages, milliseconds, at once.
    pub fn set_pair_pace(&mut self, pair: Option<(u32, u64, u32)>) {
        self.pair = pair;
    }

    /// The twin.
    pub fn twin(&mut self) -> &mut dyn Twin {
        &mut *self.twin
    }

    /// The books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Every message accepted, with its time.
    pub fn accepted(&self) -> &[(Time, Accepted)] {
        &self.accepted
    }

    /// Signs a webhook.
    pub fn sign(&self, url: &str, draft: Draft) -> Draft {
        self.twin.sign(url, draft)
    }

    /// What a person's act makes the provider send.
    pub fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Emit> {
        let drafts = self.twin.act(person, act, now);
        let emits = drafts.into_iter().map(|draft| Emit { after_ms: 0, url: None, draft }).collect();
        self.moody(emits)
    }

    /// What a person's opening a link of ours makes the provider send.
    pub fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Emit> {
        let drafts = self.twin.open(person, link, now);
        let emits = drafts.into_iter().map(|draft| Emit { after_ms: 0, url: None, draft }).collect();
        self.moody(emits)
    }

    /// Answers a request in the current mood, counting it against the limits.
    pub fn serve(&mut self, request: &Request, now: Time) -> Outcome {
        let delay_ms = self.mood.latency_ms;
        let send = self.twin.counts(request);
        let refuse = |reply: Reply| Outcome { delay_ms, reply: Some(reply), emits: Vec::new() };
        if let Some(person) = &send {
            self.books.sends += 1;
            let over = self.over_limit(person, now).filter(|_| self.enforce);
            if over.is_some() || self.chance(self.mood.throttle) {
                self.books.throttled += 1;
                let wait = self.mood.retry_after_secs;
                return refuse(if over == Some(Limit::Pair) { self.twin.throttled_pair(wait) } else { self.twin.throttled(wait) });
            }
        }
        if self.chance(self.mood.broken) {
            self.books.broken += u64::from(send.is_some());
            return refuse(self.twin.broken());
        }
        let answer = self.twin.answer(request, now);
        if send.is_some() {
            self.books.accepted += answer.accepted.len() as u64;
            self.books.refused += u64::from(answer.accepted.is_empty());
        }
        if self.keep {
            self.accepted.extend(answer.accepted.into_iter().map(|a| (now, a)));
        }
        let late = self.mood.late_receipts_ms;
        let emits = answer.emits.into_iter().map(|e| Emit { after_ms: e.after_ms + late, ..e }).collect();
        let emits = self.moody(emits);
        let silent = send.is_some() && self.chance(self.mood.timeout);
        self.books.unanswered += u64::from(silent);
        Outcome { delay_ms, reply: (!silent).then_some(answer.reply), emits }
    }

    /// Counts a send in the sliding windows: the limit for which it is one too many. A refused send counts too, as providers do not.
    fn over_limit(&mut self, person: &str, now: Time) -> Option<Limit> {
        fn slide(times: &mut VecDeque<i64>, now: i64, window: u64) {
            while times.front().is_some_and(|t| now - t >= window as i64) {
                times.pop_front();
            }
        }
        let (count, window) = self.pace;
        slide(&mut self.recent, now.0, window);
        let mut over = (self.recent.len() >= count as usize).then_some(Limit::Sender);
        if let Some((count, window, burst)) = self.pair {
            let times = self.per_person.entry(person.to_owned()).or_default();
            // A burst is borrowed: after n at once the next has to wait n windows.
            let span = window * u64::from(burst.max(1));
            slide(times, now.0, span);
            if times.len() >= (count * burst.max(1)) as usize {
                over = over.or(Some(Limit::Pair));
            }
        }
        if over.is_none() || !self.enforce {
            self.recent.push_back(now.0);
            self.books.peak = self.books.peak.max(self.recent.len() as u32);
            if self.pair.is_some() {
                let times = self.per_person.entry(person.to_owned()).or_default();
                times.push_back(now.0);
                self.books.pair_peak = self.books.pair_peak.max(times.len() as u32);
            }
        }
        over
    }

    fn moody(&mut self, emits: Vec<Emit>) -> Vec<Emit> {
        let mut out = Vec::with_capacity(emits.len());
        for mut emit in emits {
            if self.chance(self.mood.reorder) {
                emit.after_ms += 150;
            }
            if self.chance(self.mood.duplicate) {
                out.push(Emit { after_ms: emit.after_ms + 20, ..emit.clone() });
            }
            out.push(emit);
        }
        out
    }

    /// True with this probability; xorshift, so that equal seeds give equal days.
    fn chance(&mut self, share: f64) -> bool {
        if share <= 0.0 {
            return false;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / ((1_u64 << 53) as f64) < share
    }
}

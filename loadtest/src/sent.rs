//! The books of what went out: every accepted message against what reached its provider and what the gateway says of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::Follower;
use crate::hosts::{Hosts, fullest_second};
use crate::scenario::By;
use crate::stream::{Stream, mark};
use crate::tape::Tape;

/// The books of one stream. Exact numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutboundBooks {
    /// The stream.
    pub name: String,
    /// Asked for.
    pub asked: u64,
    /// Accepted by the gateway.
    pub accepted: u64,
    /// Refused by the gateway.
    pub refused: u64,
    /// Asked for without an answer: the gateway may have them.
    pub unclear: u64,
    /// Accepted, and at the provider.
    pub reached: u64,
    /// Accepted and said to be sent, and not at the provider. Must be 0. (One the gateway says nothing of is open.)
    pub lost: u64,
    /// At the provider more than once, listed as in doubt before.
    pub twice_listed: u64,
    /// At the provider more than once, and nobody said so. Must be 0.
    pub twice_silent: u64,
    /// Accepted, and at the provider behind a later message to the same person. Must be 0. (What nobody answered for has no place.)
    pub out_of_order: u64,
    /// The first of those: which behind which, when it reached the provider after the intended start, and who was ever in doubt.
    #[serde(default)]
    pub behind: Vec<String>,
    /// Were in doubt at some time, all listed.
    pub in_doubt: u64,
    /// Of them without an end.
    pub in_doubt_still: u64,
    /// Failed, expired, cancelled or suppressed, as the gateway says.
    pub ended_otherwise: u64,
    /// Accepted messages by the last state the gateway told, `delivered` and `read` as `sent`.
    #[serde(default)]
    pub states: BTreeMap<String, u64>,
    /// Later at the provider than the scenario allows.
    pub late: u64,
    /// At the provider, but never said to be sent.
    pub untold: u64,
    /// Milliseconds from the intended start to the provider.
    pub p50_ms: f64,
    /// See `p50_ms`.
    pub p99_ms: f64,
    /// See `p50_ms`.
    pub longest_ms: f64,
    /// Messages a second that reached the provider, from the first to the last.
    pub rate: f64,
}

impl OutboundBooks {
    /// Whether nothing happened that must not.
    pub fn balance(&self) -> bool {
        self.lost + self.twice_silent + self.out_of_order == 0
    }

    /// How many accepted messages have neither an end nor a doubt that is listed.
    pub fn open(&self) -> u64 {
        self.accepted - self.states.values().sum::<u64>().min(self.accepted)
    }

    /// The balance sheet, in a line.
    pub fn sheet(&self) -> String {
        let count = |state: &&str| format!("{state} {}", self.states.get(*state).unwrap_or(&0));
        let ends: Vec<String> = ENDS.iter().map(count).collect();
        format!("accepted {} = {} + open {}", self.accepted, ends.join(" + "), self.open())
    }
}

/// How a message can end, and `in_doubt`, which is listed until somebody settles it.
const ENDS: [&str; 6] = ["sent", "failed", "expired", "cancelled", "suppressed", "in_doubt"];

/// A channel's limit and what was made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitBooks {
    /// The channel.
    pub channel: String,
    /// Messages a second.
    pub limit: u32,
    /// The most in any sliding second.
    pub fullest_second: u32,
    /// Share used from the first to the last message, 0 to 1.
    pub used: f64,
    /// Sends that the provider refused as too many.
    pub throttled: u64,
    /// The longest time between two messages, seconds: how long its unit was without an owner, while there was something to send.
    #[serde(default)]
    pub longest_gap: f64,
}

/// What the gateway says of a message.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Its place among [`ENDS`].
    end: Option<usize>,
    sent: bool,
    ended_otherwise: bool,
    in_doubt: bool,
    in_doubt_now: bool,
}

/// Follows what the gateway says of the streams' messages.
pub struct Sent {
    streams: Vec<Arc<Stream>>,
    people: HashMap<String, (usize, u64)>,
    told: HashMap<(usize, u64), Told>,
    reasons: BTreeMap<String, u64>,
}

impl Sent {
    /// Of these streams.
    pub fn new(streams: Vec<Arc<Stream>>) -> Self {
        Self { streams, people: HashMap::new(), told: HashMap::new(), reasons: BTreeMap::new() }
    }

    fn learn(&mut self, event: &Value) {
        let data = &event["data"];
        let named = data["metadata"]["mark"].as_str().and_then(mark);
        let Some(key) = named.or_else(|| self.people.get(event["subject"].as_str().unwrap_or_default()).copied()) else { return };
        let told = self.told.entry(key).or_default();
        let state = data["state"].as_str().unwrap_or_default();
        told.in_doubt_now = state == "in_doubt";
        let end = if matches!(state, "delivered" | "read") { "sent" } else { state };
        told.end = ENDS.iter().position(|e| *e == end);
        match state {
            "in_doubt" => told.in_doubt = true,
            "sent" | "delivered" | "read" => told.sent = true,
            "failed" | "expired" | "cancelled" | "suppressed" => {
                told.ended_otherwise = true;
                let why = [&data["error"], &data["reason"]].into_iter().find(|r| r.is_object()).map_or(&Value::Null, |r| &r["code"]);
                let channel = data["channel"].as_str().unwrap_or_default();
                *self.reasons.entry(format!("{channel}: {state}, {}", why.as_str().unwrap_or("without a reason"))).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Why messages ended otherwise than sent, by channel.
    pub fn troubles(&self) -> Vec<String> {
        self.reasons.iter().map(|(why, n)| format!("{why}: {n} messages")).collect()
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// When the events cannot be read.
    pub async fn follow(&mut self, events: &mut Follower) -> Result<(), String> {
        // A campaign's messages carry no mark of ours; each of its people gets one.
        for stream in self.streams.iter().filter(|s| s.plan.by == By::Campaign) {
            let known = stream.asked().len() as u64;
            self.people.extend((0..known).map(|n| (stream.conversation(n), (stream.index, n))));
        }
        let mut new = Vec::new();
        events.read("fairway.message.status", |event| new.push(event.clone())).await?;
        new.iter().for_each(|event| self.learn(event));
        Ok(())
    }

    /// How many accepted messages have no end yet.
    pub fn open(&self) -> u64 {
        let mut open = 0;
        for stream in &self.streams {
            for (number, _) in stream.asked().iter().enumerate().filter(|(_, a)| a.accepted) {
                let ended = self.told.get(&(stream.index, number as u64)).is_some_and(|t| (t.sent || t.ended_otherwise) && !t.in_doubt_now);
                open += u64::from(!ended);
            }
        }
        open
    }

    /// Balances a stream against what reached the providers. Latencies to the provider go onto its tape.
    pub fn books(&self, stream: &Stream, hosts: &Hosts, tape: &Tape) -> OutboundBooks {
        let asked = stream.asked();
        let mut reached: Vec<Vec<Instant>> = vec![Vec::new(); asked.len()];
        let mut order: HashMap<u64, Vec<(Instant, u64)>> = HashMap::new();
        let (mut first, mut last): (Option<Instant>, Option<Instant>) = (None, None);
        for (_, hosted) in hosts.channels() {
            hosted.reached(|all| {
                for one in all {
                    let Some((index, number)) = mark(&one.words) else { continue };
                    if index != stream.index || number as usize >= asked.len() {
                        continue;
                    }
                    reached[number as usize].push(one.at);
                    if asked[number as usize].accepted {
                        order.entry(number % u64::from(stream.plan.people)).or_default().push((one.at, number));
                    }
                    first = Some(first.map_or(one.at, |f| f.min(one.at)));
                    last = Some(last.map_or(one.at, |l| l.max(one.at)));
                }
            });
        }
        let mut books = OutboundBooks { name: stream.name(), asked: asked.len() as u64, ..OutboundBooks::default() };
        for (number, asked) in asked.iter().enumerate() {
            let told = self.told.get(&(stream.index, number as u64)).copied().unwrap_or_default();
            let times = &reached[number];
            books.accepted += u64::from(asked.accepted);
            books.unclear += u64::from(asked.unclear);
            books.refused += u64::from(!asked.accepted && !asked.unclear);
            books.reached += u64::from(asked.accepted && !times.is_empty());
            books.in_doubt += u64::from(told.in_doubt);
            books.in_doubt_still += u64::from(told.in_doubt_now);
            books.ended_otherwise += u64::from(told.ended_otherwise && times.is_empty());
            books.untold += u64::from(!times.is_empty() && !told.sent && !told.in_doubt && !told.ended_otherwise);
            if let Some(end) = told.end.filter(|_| asked.accepted) {
                *books.states.entry(ENDS[end].to_owned()).or_default() += 1;
            }
            books.lost += u64::from(asked.accepted && times.is_empty() && told.end == Some(0));
            books.twice_listed += u64::from(times.len() > 1 && told.in_doubt);
            books.twice_silent += u64::from(times.len() > 1 && !told.in_doubt);
            if let Some(at) = times.iter().min() {
                let took = at.saturating_duration_since(asked.intended);
                let late = stream.plan.late_after_ms.is_some_and(|ms| took > Duration::from_millis(ms));
                books.late += u64::from(late);
                tape.record(asked.intended, took, !late);
            }
        }
        let behind: Vec<(u64, u64)> = order.into_values().flat_map(disorder).collect();
        books.out_of_order = behind.len() as u64;
        let about = |number: u64| {
            let told = self.told.get(&(stream.index, number)).copied().unwrap_or_default();
            let after = reached[number as usize].iter().min().map_or(0.0, |at| (*at - asked[number as usize].intended).as_secs_f64());
            format!("{number} ({after:.1} s{})", if told.in_doubt { ", in doubt" } else { "" })
        };
        books.behind = behind.iter().take(10).map(|(late, newest)| format!("{} behind {}", about(*late), about(*newest))).collect();
        (books.p50_ms, books.p99_ms, books.longest_ms) = (tape.at(0.5), tape.at(0.99), tape.longest());
        let seconds = first.zip(last).map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64());
        books.rate = if seconds > 0.0 { tape.count().saturating_sub(1) as f64 / seconds } else { 0.0 };
        books
    }
}

/// The first arrivals that stand behind a later message, with that message: `times` of one person.
fn disorder(mut times: Vec<(Instant, u64)>) -> Vec<(u64, u64)> {
    times.sort();
    let mut seen = std::collections::HashSet::new();
    let mut newest = 0;
    let mut behind = Vec::new();
    for (_, number) in times {
        // A repeat is counted as a repeat.
        if seen.insert(number) {
            behind.extend((number < newest).then_some((number, newest)));
            newest = newest.max(number);
        }
    }
    behind
}

/// What was made of each limit.
pub fn limits(hosts: &Hosts) -> Vec<LimitBooks> {
    let mut all: Vec<LimitBooks> = hosts
        .channels()
        .filter_map(|(channel, hosted)| {
            let limit = hosted.limit()?;
            let times: Vec<Instant> = hosted.reached(|all| all.iter().map(|r| r.at).collect());
            let span = times.first().zip(times.last()).map_or(0.0, |(first, last)| last.duration_since(*first).as_secs_f64());
            let used = if span > 1.0 { times.len().saturating_sub(1) as f64 / span / f64::from(limit) } else { 0.0 };
            let throttled = hosted.books().throttled;
            let longest_gap = times.windows(2).map(|w| w[1].duration_since(w[0]).as_secs_f64()).fold(0.0, f64::max);
            Some(LimitBooks { channel: channel.clone(), limit, fullest_second: fullest_second(&times), used, throttled, longest_gap })
        })
        .collect();
    all.sort_by(|a, b| a.channel.cmp(&b.channel));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_of_first_arrivals() {
        let start = Instant::now();
        let at = |ms: u64, number: u64| (start + Duration::from_millis(ms), number);
        assert_eq!(disorder(vec![at(1, 0), at(2, 10), at(3, 20)]), []);
        // 10 came again behind 20: a repeat, and not disorder.
        assert_eq!(disorder(vec![at(1, 10), at(2, 20), at(3, 10)]), []);
        assert_eq!(disorder(vec![at(1, 20), at(2, 10), at(3, 30)]), [(10, 20)]);
    }
}

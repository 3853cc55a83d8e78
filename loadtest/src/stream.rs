//! One stream of messages out: by the API, in batches, by the `send` topic, or as a campaign.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairway_adapters::Provider;
use serde_json::{Value, json};

use crate::arrival::Due;
use crate::pool::{Job, Stop, Work, drive};
use crate::scenario::{By, Lane, Outbound, Scenario};
use crate::source::person;
use crate::tape::Tape;
use crate::wire::{Shot, Wire};

/// Messages of one batch request.
const BATCH: usize = 1000;

/// What is known of one message from this side.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// When it was to begin.
    pub intended: Instant,
    /// Whether the gateway accepted it.
    pub accepted: bool,
    /// Whether nobody knows: there was no answer.
    pub unclear: bool,
}

/// A stream and what it has asked for so far.
pub struct Stream {
    /// Its place in the scenario.
    pub index: usize,
    /// Its plan.
    pub plan: Outbound,
    channels: Vec<(String, &'static Provider)>,
    asked: Mutex<Vec<Asked>>,
}

/// Where streams go, besides the HTTP API.
pub struct Ways {
    /// The API.
    pub wire: Wire,
    /// A Kafka and the prefix of the gateway's topics.
    pub kafka: Option<(String, String)>,
}

impl Stream {
    /// A stream over these channels.
    pub fn new(index: usize, plan: Outbound, channels: Vec<(String, &'static Provider)>) -> Arc<Self> {
        Arc::new(Self { index, plan, channels, asked: Mutex::default() })
    }

    fn asked_now(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Everything asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked_now().clone()
    }

    /// How many have come up so far.
    pub fn count(&self) -> u64 {
        self.asked_now().len() as u64
    }

    /// Its name in reports: lane, way in, and which stream of the scenario, from 1.
    pub fn name(&self) -> String {
        let by = match self.plan.by {
            By::Api => "API",
            By::Batch => "batch",
            By::Kafka => "send topic",
            By::Campaign => "campaign",
        };
        format!("{} {by} {}", format!("{:?}", self.plan.lane).to_lowercase(), self.index + 1)
    }

    /// The person a message goes to, and the channel it goes through.
    fn route(&self, number: u64) -> (String, &str) {
        let person_number = number % u64::from(self.plan.people);
        // A person keeps to one channel, so that their conversation is one.
        let (channel, provider) = &self.channels[(person_number % self.channels.len() as u64) as usize];
        (person(provider, 1_000_000 * (self.index as u64 + 1) + person_number), channel)
    }

    /// The conversation a message belongs to.
    pub fn conversation(&self, number: u64) -> String {
        let (to, channel) = self.route(number);
        format!("{channel}/{to}")
    }

    /// The request of a message; its words and its metadata name stream and number.
    fn request(&self, number: u64) -> Value {
        let (to, channel) = self.route(number);
        let (priority, category) = match self.plan.lane {
            Lane::Urgent => ("urgent", "authentication"),
            Lane::Normal => ("normal", "transactional"),
            Lane::Bulk => ("bulk", "transactional"),
        };
        let mark = format!("s{}-{number}", self.index);
        json!({ "to": to, "channel": channel, "priority": priority, "category": category,
            "parts": [{ "type": "text", "text": mark }], "metadata": { "mark": mark } })
    }

    fn ask(&self, intended: Instant) -> u64 {
        let mut asked = self.asked_now();
        asked.push(Asked { intended, accepted: false, unclear: false });
        asked.len() as u64 - 1
    }

    fn accept(&self, number: u64) {
        self.asked_now()[number as usize].accepted = true;
    }

    fn unclear(&self, number: u64) {
        self.asked_now()[number as usize].unclear = true;
    }

    /// Sends the whole stream.
    ///
    /// # Errors
    /// What could not be begun at all.
    pub async fn run(
        self: Arc<Self>,
        scenario: &Scenario,
        scale: f64,
        ways: &Ways,
        start: Instant,
        tape: Arc<Tape>,
        stop: Stop,
    ) -> Result<(), String> {
        let schedule = |arrival: &crate::arrival::Arrival| {
            arrival.schedule(scenario.seconds, scale, scenario.seed ^ self.index as u64, &scenario.beside)
        };
        match (self.plan.by, &self.plan.arrival) {
            (By::Api, Some(arrival)) => {
                drive(&ways.wire, scenario.connections, schedule(arrival)?, start, Arc::clone(&self), tape, stop).await;
                Ok(())
            }
            (By::Kafka, Some(arrival)) => {
                let (brokers, prefix) =
                    ways.kafka.as_ref().ok_or("a stream goes by the `send` topic; name a broker with `--kafka 127.0.0.1:9092`")?;
                crate::kafka::produce(&self, brokers, prefix, schedule(arrival)?, start, stop).await
            }
            (By::Batch, Some(arrival)) => self.batches(ways, schedule(arrival)?, start, stop).await,
            (by, _) => {
                let begin = start + Duration::from_secs_f64(self.plan.at);
                let mut waiting = stop.clone();
                tokio::select! {
                    () = tokio::time::sleep_until(begin.into()) => {}
                    _ = waiting.wait_for(|s| *s) => return Ok(()),
                }
                let count = ((self.plan.messages as f64 * scale).round() as u64).clamp(1, crate::guard::MOST);
                if by == By::Campaign { self.campaign(ways, count, begin).await } else { self.whole(ways, count, begin, stop).await }
            }
        }
    }

    /// All at once, in batches.
    async fn whole(&self, ways: &Ways, count: u64, begin: Instant, stop: Stop) -> Result<(), String> {
        let numbers: Vec<u64> = (0..count).map(|_| self.ask(begin)).collect();
        for some in numbers.chunks(BATCH) {
            if *stop.borrow() {
                break;
            }
            self.batch(ways, some).await;
        }
        Ok(())
    }

    /// What has arrived since the last batch goes as the next.
    async fn batches(&self, ways: &Ways, schedule: crate::arrival::Schedule, start: Instant, stop: Stop) -> Result<(), String> {
        let mut schedule = schedule.peekable();
        while let Some(first) = schedule.next() {
            if *stop.borrow() {
                break;
            }
            tokio::time::sleep_until((start + first.at).into()).await;
            let mut numbers = vec![self.ask(start + first.at)];
            while numbers.len() < BATCH
                && let Some(next) = schedule.next_if(|due| start + due.at <= Instant::now())
            {
                numbers.push(self.ask(start + next.at));
            }
            self.batch(ways, &numbers).await;
        }
        Ok(())
    }

    async fn batch(&self, ways: &Ways, numbers: &[u64]) {
        let lines: String = numbers.iter().map(|n| self.request(*n).to_string() + "\n").collect();
        let answer = ways.wire.send(&Shot::post("/v1/messages/batch", "application/x-ndjson", lines)).await;
        let mut answered = vec![false; numbers.len()];
        if let Ok((200, body)) = &answer {
            for line in body.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                let Ok(line) = serde_json::from_slice::<Value>(line) else { continue };
                let Some(at) = line["index"].as_u64().filter(|at| (*at as usize) < numbers.len()) else { continue };
                answered[at as usize] = true;
                if line["id"].is_string() {
                    self.accept(numbers[at as usize]);
                }
            }
        }
        // A refused batch was not begun; a broken one may have been, in part.
        let refused = matches!(answer, Ok((400.., _)));
        for (number, _) in numbers.iter().zip(answered).filter(|(_, answered)| !answered && !refused) {
            self.unclear(*number);
        }
    }

    /// Uploads the people and launches the campaign.
    async fn campaign(&self, ways: &Ways, count: u64, begin: Instant) -> Result<(), String> {
        let count = count.min(u64::from(self.plan.people));
        let mut people = String::from("address,name\n");
        for number in 0..count {
            let (to, _) = self.route(number);
            people.push_str(&format!("{to},s{}-{number}\n", self.index));
        }
        let name = format!("load{}", self.index);
        let (status, body) = ways.wire.upload(&Shot::post(format!("/v1/audiences?name={name}"), "text/csv", people)).await?;
        let audience: Value = serde_json::from_slice(&body).unwrap_or_default();
        let id =
            audience["id"].as_str().ok_or_else(|| format!("the audience was answered {status}: {}", String::from_utf8_lossy(&body)))?;
        let channels: Vec<&str> = self.channels.iter().map(|(name, _)| name.as_str()).collect();
        let plan = json!({ "name": name, "audience": id, "channels": channels, "category": "transactional",
            "parts": [{ "type": "text", "text": "{{ contact.name }}" }], "schedule": {} });
        let made = ways.wire.post("/v1/campaigns", &plan).await?;
        let campaign = made["id"].as_str().unwrap_or_default().to_owned();
        ways.wire.post(&format!("/v1/campaigns/{campaign}/launch"), &json!({})).await?;
        for _ in 0..count {
            let number = self.ask(begin);
            self.accept(number);
        }
        Ok(())
    }

    /// What Kafka is given for a message: its value, and the key that names it.
    pub fn produced(&self, intended: Instant) -> (u64, String, String) {
        let number = self.ask(intended);
        (number, self.request(number).to_string(), format!("s{}-{number}", self.index))
    }

    /// Kafka has taken it (or not): from then on the gateway answers for it.
    pub fn kafka_took(&self, number: u64, taken: bool) {
        if taken { self.accept(number) } else { self.unclear(number) }
    }
}

/// A stream's mark: its index and the number of the message.
pub fn mark(words: &str) -> Option<(usize, u64)> {
    let (index, number) = words.split([' ', '\n', '\r']).next()?.strip_prefix('s')?.split_once('-')?;
    Some((index.parse().ok()?, number.parse().ok()?))
}

impl Work for Stream {
    fn plan(&self, number: u32, _due: &Due) -> u64 {
        u64::from(number % self.plan.people)
    }

    fn shot(&self, job: &Job) -> Option<Shot> {
        let mut asked = self.asked_now();
        let missing = (job.number as usize + 1).saturating_sub(asked.len());
        asked.extend(std::iter::repeat_n(Asked { intended: job.intended, accepted: false, unclear: false }, missing));
        asked[job.number as usize].intended = job.intended;
        drop(asked);
        Some(Shot::post("/v1/messages", "application/json", self.request(u64::from(job.number)).to_string()))
    }

    fn done(&self, job: &Job, answer: &Result<(u16, Bytes), String>) -> bool {
        match answer {
            Ok((202, _)) => self.accept(u64::from(job.number)),
            Ok(_) => {}
            Err(_) => self.unclear(u64::from(job.number)),
        }
        matches!(answer, Ok((202, _)))
    }
}

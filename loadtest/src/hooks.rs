//! Webhooks in: draws each delivery from the mix, keeps what came of it, and balances it against the log.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::arrival::Due;
use crate::events::Follower;
use crate::pool::{Job, Work};
use crate::received::{Delivery, InboundBooks, Kind, balance};
use crate::scenario::Inbound;
use crate::source::{Can, Source, number_of};
use crate::wire::Shot;

/// Webhooks in.
pub struct Hooks {
    sources: Vec<Arc<Source>>,
    can: Vec<Can>,
    plan: Inbound,
    random: Mutex<StdRng>,
    deliveries: Mutex<Vec<Delivery>>,
}

impl Hooks {
    /// Prepares the deliveries of these channels.
    pub fn new(sources: Vec<Arc<Source>>, plan: Inbound, seed: u64) -> Self {
        let mut known: HashMap<&str, Can> = HashMap::new();
        let mut all: Vec<(Arc<Source>, Can)> = Vec::new();
        for source in sources {
            let can = *known.entry(source.provider.facts.id).or_insert_with(|| source.can());
            all.push((source, can));
        }
        let (can, sources) = (all.iter().map(|(_, can)| *can).collect(), all.into_iter().map(|(source, _)| source).collect());
        Self { sources, can, plan, random: Mutex::new(StdRng::seed_from_u64(seed)), deliveries: Mutex::default() }
    }

    /// What the mix asks for and a provider cannot be made to deliver.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (source, can) in self.sources.iter().zip(&self.can) {
            if !seen.insert(source.provider.facts.id) {
                continue;
            }
            let mix = &self.plan.mix;
            let lacks = [("texts", mix.texts, can.texts), ("pictures", mix.media, can.media), ("receipts", mix.receipts, can.receipts)];
            let lacks: Vec<&str> = lacks.iter().filter(|(_, share, can)| *share > 0.0 && !can).map(|(word, ..)| *word).collect();
            if !lacks.is_empty() {
                missing.push(format!("{}: no {} through its twin", source.provider.facts.name, lacks.join(", ")));
            }
        }
        missing
    }

    /// Well-signed deliveries that were not taken, by provider and answer.
    pub fn troubles(&self) -> Vec<String> {
        let mut counts: std::collections::BTreeMap<(&str, u16), u64> = std::collections::BTreeMap::new();
        for delivery in self.deliveries().iter().filter(|d| d.made && d.kind != Kind::Forged && !(200..300).contains(&d.status)) {
            *counts.entry((self.sources[delivery.source as usize].provider.facts.name, delivery.status)).or_default() += 1;
        }
        let words = |status: u16| if status == 0 { "not answered".to_owned() } else { format!("answered {status}") };
        counts.into_iter().map(|((name, status), n)| format!("{name}: {n} deliveries {}", words(status))).collect()
    }

    fn deliveries(&self) -> std::sync::MutexGuard<'_, Vec<Delivery>> {
        self.deliveries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How many have come up so far.
    pub fn count(&self) -> u64 {
        self.deliveries().len() as u64
    }

    /// Draws a kind that the source can deliver.
    fn kind(&self, random: &mut StdRng, can: Can) -> Kind {
        let mix = &self.plan.mix;
        let text = if can.texts { mix.texts } else { 0.0 };
        let media = if can.media { mix.media } else { 0.0 };
        let receipts = if can.receipts { mix.receipts } else { 0.0 };
        let shares = [
            (text, Kind::Text),
            (media, Kind::Media),
            (receipts, Kind::Receipt),
            (mix.duplicates, Kind::Duplicate),
            (mix.bad_signatures, Kind::Forged),
        ];
        let mut left = random.random::<f64>() * shares.iter().map(|(share, _)| share).sum::<f64>();
        for (share, kind) in shares {
            if left < share {
                return kind;
            }
            left -= share;
        }
        Kind::Text
    }

    /// Balances what was delivered against the log.
    ///
    /// # Errors
    /// When the events cannot be read.
    pub async fn books(&self, events: &mut Follower) -> Result<InboundBooks, String> {
        let mut times: HashMap<u32, u32> = HashMap::new();
        let mut newest: HashMap<String, u32> = HashMap::new();
        let mut sizes: HashMap<String, u64> = HashMap::new();
        let mut behind = Vec::new();
        let (mut ids, mut repeated) = (HashSet::new(), 0);
        events
            .read("fairway.message.received", |event| {
                let Some(number) = number_of(event) else { return };
                if !ids.insert(event["id"].as_str().unwrap_or_default().to_owned()) {
                    repeated += 1;
                    return;
                }
                *times.entry(number).or_default() += 1;
                let conversation = event["subject"].as_str().unwrap_or_default();
                *sizes.entry(conversation.to_owned()).or_default() += 1;
                let newest = newest.entry(conversation.to_owned()).or_insert(number);
                if number < *newest {
                    behind.push(number);
                }
                *newest = (*newest).max(number);
            })
            .await?;
        let mut books = balance(&self.deliveries(), &times, &behind);
        books.repeated = repeated;
        books.largest_conversation = sizes.values().copied().max().unwrap_or(0);
        Ok(books)
    }
}

impl Work for Hooks {
    fn plan(&self, number: u32, due: &Due) -> u64 {
        let mut random = self.random.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut source = random.random_range(0..self.sources.len());
        while !self.can[source].delivers() && self.can.iter().any(Can::delivers) {
            source = random.random_range(0..self.sources.len());
        }
        let kind = self.kind(&mut random, self.can[source]);
        let person =
            if self.plan.hot > 0.0 && random.random::<f64>() < self.plan.hot { 0 } else { random.random_range(0..self.plan.people) };
        let back = random.random_range(0..self.plan.reach.max(1)) as u32;
        let bytes = due.bytes.unwrap_or(self.plan.bytes) as u32;
        let mut deliveries = self.deliveries();
        debug_assert_eq!(deliveries.len(), number as usize);
        // A repeat is chosen when it leaves; until then `bytes` says how far back.
        let bytes = if kind == Kind::Duplicate { back } else { bytes };
        deliveries.push(Delivery { kind, source: source as u32, person, bytes, of: None, made: false, status: 0, late: false });
        match kind {
            Kind::Text | Kind::Media => (source as u64) << 32 | u64::from(person),
            // The rest has no order to keep.
            _ => 1 << 63 | u64::from(number),
        }
    }

    fn shot(&self, job: &Job) -> Option<Shot> {
        let shot = self.make(job);
        self.deliveries()[job.number as usize].made = shot.is_some();
        shot
    }

    fn done(&self, job: &Job, answer: &Result<(u16, Bytes), String>) -> bool {
        let mut deliveries = self.deliveries();
        let delivery = &mut deliveries[job.number as usize];
        let patience = Duration::from_millis(self.sources[delivery.source as usize].provider.facts.ack_deadline_ms);
        delivery.status = answer.as_ref().map_or(0, |(status, _)| *status);
        delivery.late = job.intended.elapsed() > patience;
        let good = (200..300).contains(&delivery.status);
        if delivery.kind == Kind::Forged { (400..500).contains(&delivery.status) } else { good }
    }
}

impl Hooks {
    fn make(&self, job: &Job) -> Option<Shot> {
        let delivery = self.deliveries()[job.number as usize];
        let source = &self.sources[delivery.source as usize];
        let (number, who) = (job.number, u64::from(delivery.person));
        match delivery.kind {
            Kind::Text | Kind::Media => {
                source.words(number, who, delivery.bytes as usize, delivery.kind == Kind::Media).map(|draft| source.signed(draft))
            }
            Kind::Receipt => source.receipt(who).map(|draft| source.signed(draft)),
            Kind::Duplicate => {
                let (of, draft) = source.again(delivery.bytes as usize)?;
                self.deliveries()[number as usize].of = Some(of);
                Some(source.signed(draft))
            }
            Kind::Forged => {
                let draft = source.words_of_nobody(number, who)?;
                Some(source.forged(draft, number.is_multiple_of(2)))
            }
        }
    }
}

//! `fairway replay`: parses kept webhooks again with today's adapters.

use std::{collections::HashMap, sync::Arc, time::Duration};

use fairway_adapters::contract::{Context, Verified, Webhook};

use crate::api::operations::{ReplayRequest, Replayed, Replayer};
use crate::channels::Live;
use crate::clock;
use crate::envelope::{self, Writer};
use crate::ingress::claims::{Claim, Claims};
use crate::ingress::record::{self, Claimed};
use crate::log::{Durability, EventLog, Pending, Position, Stored, Topic};
use crate::media::blobs::Blobs;

/// What it needs.
pub struct Replay {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The channels in force.
    pub channels: Live,
    /// Writes events.
    pub writer: Writer,
    /// Ids taken already.
    pub claims: Arc<Claims>,
    /// Where large bodies lie.
    pub blobs: Blobs,
    /// `server.public_url`.
    pub public_url: String,
}

impl Replayer for Replay {
    fn replay(&self, request: ReplayRequest) -> Pending<'_, Result<Replayed, String>> {
        Box::pin(self.run(request))
    }
}

impl Replay {
    async fn run(&self, request: ReplayRequest) -> Result<Replayed, String> {
        let mut found = Replayed { written: request.write, ..Replayed::default() };
        let starts = self.log.since(Topic::Unparsed, request.from.0).await.map_err(|e| e.to_string())?;
        let ends = self.log.ends(Topic::Unparsed).await.map_err(|e| e.to_string())?;
        let mut reader = self.log.reader();
        let mut left: HashMap<u32, u64> = HashMap::new();
        for (partition, end) in &ends {
            let from = starts.get(partition).copied().unwrap_or(*end);
            if from < *end {
                reader.assign(Position { topic: Topic::Unparsed, partition: *partition, offset: from });
                left.insert(*partition, *end);
            }
        }
        while !left.is_empty() {
            let Ok(records) = tokio::time::timeout(Duration::from_secs(1), reader.next(256)).await else { break };
            for record in records.map_err(|e| e.to_string())? {
                if left.get(&record.at.partition).is_some_and(|end| record.at.offset + 1 >= *end) {
                    left.remove(&record.at.partition);
                    reader.release(Topic::Unparsed, record.at.partition);
                }
                self.one(&request, &record, &mut found).await?;
            }
        }
        Ok(found)
    }

    async fn one(&self, request: &ReplayRequest, stored: &Stored, found: &mut Replayed) -> Result<(), String> {
        let Some(kept) = envelope::read(stored).and_then(|e| record::from_unparsed(e.data.get())) else { return Ok(()) };
        if kept.received_at < request.from || kept.received_at >= request.to || request.channel.as_ref().is_some_and(|c| *c != kept.channel)
        {
            return Ok(());
        }
        let channels = self.channels.get();
        let Some(hook) = channels.hooks.get(&kept.channel) else { return Ok(()) };
        let Some((method, query, headers, body)) = record::unparsed_hook(&kept, &self.blobs) else { return Ok(()) };
        found.webhooks += 1;
        let claimed: Vec<Claimed> = {
            let webhook = Webhook { method: &method, url: &hook.url, query: &query, headers: &headers, body: &body };
            let cx = Context { now: clock::now(), public_url: &self.public_url, hook_url: &hook.url, login: None, keys: None };
            let parsed = hook.entry.adapter.parse(&Verified::from_our_own_log(webhook), &cx);
            found.still_unparsed += u64::from(parsed.unparsed.is_some());
            parsed
                .events
                .into_iter()
                .filter_map(|event| {
                    let owner = hook.owner(event.account.as_deref())?;
                    // When it was taken stays true: the event is late, not new.
                    Some(record::event(&self.writer, owner, event, kept.received_at, &self.public_url, None))
                })
                .collect()
        };
        for entry in claimed {
            found.events += 1;
            let Some(id) = entry.id else { continue };
            match self.claims.claim(id) {
                Claim::Known | Claim::Held(_) => found.known += 1,
                Claim::Won if !request.write => {
                    found.fresh += 1;
                    self.claims.settle(id, false);
                }
                Claim::Won => {
                    let outcomes = self.log.append(entry.records, Durability::LogOrSpool).await;
                    let durable = outcomes.iter().all(crate::log::Outcome::is_durable);
                    self.claims.settle(id, durable);
                    if !durable {
                        return Err("the log cannot take it now; run it again".into());
                    }
                    found.fresh += 1;
                }
            }
        }
        Ok(())
    }
}

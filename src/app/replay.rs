//! `fairway replay`: parses kept webhooks again with today's adapters.
//!
//! What was not seen before is appended. What was seen and reads differently now is appended beside the old event, under an
//! id of its own with `replaces`; that id follows from the content, so that a second run finds it there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fairway_adapters::contract::{Context, Time, Verified, Webhook};

use crate::api::operations::{ReplayRequest, Replayed, Replayer};
use crate::channels::Live;
use crate::clock;
use crate::envelope::{self, Writer};
use crate::ids::{self, Fingerprint};
use crate::ingress::answers::was_matched;
use crate::ingress::claims::{Claim, Claims};
use crate::ingress::record::{self, Claimed};
use crate::log::{Durability, EventLog, Pending, Position, Record, Stored, Stretch, Topic};
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
        let parts = ends.into_iter().map(|(partition, end)| {
            let offset = starts.get(&partition).copied().unwrap_or(end);
            (Position { topic: Topic::Unparsed, partition, offset }, end)
        });
        let mut stretch = Stretch::new(&*self.log, parts);
        let mut known = Vec::new();
        while let Some(records) = stretch.next(256).await.map_err(|e| e.to_string())? {
            for record in records {
                self.one(&request, &record, &mut found, &mut known).await?;
            }
            self.correct(&request, std::mem::take(&mut known), &mut found).await?;
        }
        Ok(found)
    }

    /// Appends what reads differently than the events that stand in the log.
    async fn correct(&self, request: &ReplayRequest, known: Vec<Known>, found: &mut Replayed) -> Result<(), String> {
        let mut places: BTreeMap<(Topic, u32), Vec<Known>> = BTreeMap::new();
        for one in known {
            places.entry((one.record.topic, one.record.partition)).or_default().push(one);
        }
        for ((topic, partition), known) in places {
            let first = known.iter().map(|k| k.received_at.0).min().unwrap_or(0);
            let mut wanted: HashMap<String, Record> =
                known.into_iter().filter_map(|k| Some((k.record.headers.get("ce_id")?.to_owned(), k.record))).collect();
            let ends = self.log.ends(topic).await.map_err(|e| e.to_string())?;
            // Its own time may lie a little behind the time it was taken; a minute is much.
            let starts = self.log.since(topic, first - 60_000).await.map_err(|e| e.to_string())?;
            let (Some(&end), Some(&start)) = (ends.get(&partition), starts.get(&partition)) else { continue };
            let mut stretch = Stretch::new(&*self.log, [(Position { topic, partition, offset: start }, end)]);
            while !wanted.is_empty()
                && let Some(records) = stretch.next(1024).await.map_err(|e| e.to_string())?
            {
                for old in records {
                    let Some(new) = old.headers.get("ce_id").and_then(|id| wanted.remove(id)) else { continue };
                    if let Some(correction) = corrected(&old, new) {
                        self.append_correction(request, correction, found).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn append_correction(
        &self,
        request: &ReplayRequest,
        (id, record): (Fingerprint, Record),
        found: &mut Replayed,
    ) -> Result<(), String> {
        match self.claims.claim(id) {
            Claim::Known | Claim::Held(_) => return Ok(()),
            Claim::Won if !request.write => self.claims.settle(id, false),
            Claim::Won => {
                let outcomes = self.log.append(vec![record], Durability::LogOrSpool).await;
                let durable = outcomes.iter().all(crate::log::Outcome::is_durable);
                self.claims.settle(id, durable);
                if !durable {
                    return Err("the log cannot take it now; run it again".into());
                }
            }
        }
        found.corrected += 1;
        Ok(())
    }

    async fn keep_files(&self, files: Vec<(String, bytes::Bytes)>) -> Result<(), String> {
        let blobs = self.blobs.clone();
        let kept = tokio::task::spawn_blocking(move || Claimed::keep_files(&blobs, &files)).await;
        kept.map_err(|e| e.to_string())?.map_err(|e| format!("a file of a delivery cannot be kept now; run it again: {e}"))
    }

    async fn one(&self, request: &ReplayRequest, stored: &Stored, found: &mut Replayed, known: &mut Vec<Known>) -> Result<(), String> {
        let Some(kept) = envelope::read(stored).and_then(|e| record::from_unparsed(e.data)) else { return Ok(()) };
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
        for mut entry in claimed {
            found.events += 1;
            let Some(id) = entry.id else { continue };
            match self.claims.claim(id) {
                Claim::Known | Claim::Held(_) => {
                    found.known += 1;
                    // Receipts are orders: what they said has been carried out.
                    let event = entry.records.pop().filter(|record| record.topic != Topic::Orders);
                    known.extend(event.map(|record| Known { received_at: kept.received_at, record }));
                }
                Claim::Won if !request.write => {
                    found.fresh += 1;
                    self.claims.settle(id, false);
                }
                Claim::Won => {
                    if let Err(e) = self.keep_files(entry.files).await {
                        self.claims.settle(id, false);
                        return Err(e);
                    }
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

/// An event that is in the log already, as it reads now.
struct Known {
    received_at: Time,
    record: Record,
}

/// The correction of an event, when it reads differently now.
fn corrected(old: &Stored, new: Record) -> Option<(Fingerprint, Record)> {
    let new_as_stored = Stored { headers: new.headers.clone(), value: new.value.clone()?, ..old.clone() };
    let (before, now) = (envelope::read(old)?, envelope::read(&new_as_stored)?);
    if before.data == now.data || was_matched(before.data, now.data) {
        return None;
    }
    let id = ids::fingerprint(&[b"replaces", before.id.as_bytes(), now.data.as_bytes()]);
    Some((id, envelope::correction(new, id)))
}

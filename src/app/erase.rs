//! Erases people: a job that may be cut off anywhere and begun again.
//!
//! What goes: the contact with its history, its messages in the views, its place in lists, campaigns, reminders and journeys, what
//! counts within caps, reply handles, the words of its evidence. What stays: that consent was given or withdrawn, under the keyed
//! fingerprint of the address, because a person who comes back still does not want it. The tests list every table of the store
//! with what an erasure does there.

use std::sync::Arc;

use fairway_adapters::contract::Data;
use fairway_adapters::contract::event::Erased;
use serde::{Deserialize, Serialize};

use crate::channels::Live;
use crate::consent::Consent;
use crate::envelope::{Attributes, Writer};
use crate::ids;
use crate::log::{Durability, EventLog, Topic};
use crate::people::{People, jobs::Job, jobs::Jobs};
use crate::store::Error;
use crate::store::db::{Database, Statement};
use crate::{clock, values};

/// What it works with.
pub(super) struct Eraser {
    pub(super) db: Arc<dyn Database>,
    /// Where audiences, campaigns and journeys are kept.
    pub(super) proactive_db: Arc<dyn Database>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) writer: Writer,
    pub(super) channels: Live,
    pub(super) people: People,
    pub(super) consent: Arc<Consent>,
    pub(super) jobs: Jobs,
}

/// What a job works on; the addresses once they were found out, so that a second try knows them when the contact is gone.
#[derive(Serialize, Deserialize)]
struct Input {
    contact: String,
    addresses: Option<Vec<String>>,
}

impl Eraser {
    /// Runs until the process ends.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let job = self.jobs.next("erase", |_| true).await;
            if let Err(e) = self.erase(&job).await {
                tracing::warn!(job = job.id, error = %e, "an erasure cannot go on now");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }

    async fn erase(&self, job: &Job) -> Result<(), Error> {
        let Ok(input) = serde_json::from_str::<Input>(&job.input) else {
            return self.jobs.finish(&job.id, "failed", &serde_json::json!({ "reason": "the job cannot be read" })).await;
        };
        let addresses = match input.addresses {
            Some(addresses) => addresses,
            None => {
                let contact = self.people.get(&input.contact).await?;
                let addresses: Vec<String> = contact.into_iter().flat_map(|c| c.addresses).map(|a| a.address).collect();
                let found = Input { contact: input.contact.clone(), addresses: Some(addresses.clone()) };
                self.jobs.keep_input(&job.id, &serde_json::to_string(&found).unwrap_or_default()).await?;
                addresses
            }
        };
        let hashed: Vec<String> = addresses.iter().map(|a| self.consent.hashed(a)).collect();
        self.tell(job, &hashed).await?;
        let messages = self.forget_messages(&addresses).await?;
        let lists = crate::proactive::erase::forget(&*self.proactive_db, &input.contact, &addresses).await?;
        self.consent.erase(&input.contact, &addresses).await?;
        self.people.forget(&input.contact).await?;
        let receipt = serde_json::json!({
            "erased_at": clock::now(), "addresses": hashed, "messages": messages, "lists": lists,
            "kept": "consent and opt-outs under the fingerprint of the address; the log expires by its retention",
        });
        self.jobs.finish(&job.id, "done", &receipt).await
    }

    /// `fairway.contact.erased`: whoever copied the person's data erases it too.
    async fn tell(&self, job: &Job, hashed: &[String]) -> Result<(), Error> {
        let erased = Erased { addresses: hashed.iter().map(|h| h.as_str().into()).collect(), request: job.id.as_str().into() };
        let data = Data {
            channel: "fairway".into(),
            provider: "fairway".into(),
            medium: "none".into(),
            conversation: job.id.as_str().into(),
            received_at: job.created_at,
            body: &erased,
        };
        let attributes = Attributes {
            id: ids::fingerprint(&[b"erased", job.id.as_bytes()]),
            kind: "fairway.contact.erased",
            channel: "fairway",
            conversation: &job.id,
            time: job.created_at,
            tenant: None,
            traceparent: None,
            correlation: None,
            replaces: None,
        };
        let data = serde_json::to_vec(&data).unwrap_or_default();
        let record = self.writer.record(Topic::Inbound, &attributes, data.into());
        let told = self.log.append(vec![record], Durability::Log).await;
        if told.iter().all(crate::log::Outcome::is_durable) { Ok(()) } else { Err(Error("the log cannot take the erasure now".into())) }
    }

    /// Messages to and from the person leave the views, but for those that have not ended: their owner still needs them. What they
    /// could be answered with goes too.
    async fn forget_messages(&self, addresses: &[String]) -> Result<u64, Error> {
        let channels = self.channels.get();
        let conversation = |address: &String| -> Vec<_> {
            let reaching = channels.by_id.values().filter(|c| c.reaches(address));
            reaching.map(|c| values![format!("{}/{address}", c.id)]).collect()
        };
        let runs: Vec<_> = addresses.iter().flat_map(conversation).collect();
        if runs.is_empty() {
            return Ok(0);
        }
        let messages = Statement::each("DELETE FROM messages WHERE conversation = ?1 AND state >= 5", runs.clone());
        let done = self.db.write(vec![messages, Statement::each("DELETE FROM handles WHERE conversation = ?1", runs)]).await?;
        Ok(done.first().map_or(0, |d| d.changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::laws::{Stage, laws};
    use crate::store::tables::Tables;

    laws! { of_every_table_it_is_known_what_an_erasure_does_there }

    /// Every table, and in words what it has of people and what becomes of that. A table that is new is given its line here, and
    /// its place in an erasure if it has any.
    const TABLES: &[(&str, &str)] = &[
        ("address_traffic", "goes with the contact (people)"),
        ("api_keys", "nothing of people who are written to"),
        ("audience_bad", "nothing: line, column and what is wrong, never what stood there"),
        ("audience_people", "the row stays, without address, name, locale, zone and attributes (proactive)"),
        ("audiences", "nothing: sums"),
        ("campaign_people", "the row stays, without address and reason (proactive)"),
        ("campaign_steps", "the row stays, without address and reason (proactive)"),
        ("campaigns", "nothing: the plan, and as a cursor a contact's id until the list is frozen"),
        ("cap_claims", "goes (consent)"),
        ("cap_people", "goes (consent)"),
        ("cap_uses", "goes (consent)"),
        ("consent_ears", "nothing"),
        ("consent_log", "stays under the fingerprint of the address, without evidence (consent)"),
        ("consents", "stays under the fingerprint of the address (consent)"),
        ("contact_addresses", "goes with the contact (people)"),
        ("contact_history", "goes with the contact (people)"),
        ("contacts", "goes, with what was merged into it (people)"),
        ("dues", "the row stays, without address, data and reason; what waits is cancelled (proactive)"),
        ("endpoints", "nothing of people who are written to"),
        ("handles", "goes (here)"),
        ("idempotency", "answers with ids of messages, for a day"),
        ("job_rows", "the contact's id, where a row was refused for it, goes with the contact (people)"),
        ("jobs", "the addresses of an erasure go when it is done (here)"),
        ("journey_intakes", "nothing: sums, and as a cursor a contact's id"),
        ("journey_people", "goes (proactive)"),
        ("links", "goes: where it leads may tell who somebody is (proactive)"),
        ("maker_addresses", "goes with the reminder (proactive)"),
        ("makers", "a reminder of the person goes (proactive); triggers and journeys are about nobody"),
        ("media", "under no name of a person; goes by `retention.media`"),
        ("messages", "goes when it has ended (here)"),
        ("migrations", "nothing"),
        ("positions", "nothing"),
        ("proactive_positions", "nothing"),
        ("quotas", "nothing"),
        ("receipts", "a provider's receipt that came too early, for a day"),
        ("schedule", "goes when it is sent or recalled: its owner still needs it"),
        ("settings", "nothing: channels, limits, endpoints, keys"),
        ("suppressions", "stays under the fingerprint of the address, without note (consent)"),
        ("templates", "nothing"),
    ];

    async fn of_every_table_it_is_known_what_an_erasure_does_there(stage: Stage) {
        let db = stage.open().await;
        Tables::open(Arc::clone(&db)).await.expect("tables");
        People::open(Arc::clone(&db)).await.expect("tables");
        crate::consent::open_tables(&*db).await.expect("tables");
        crate::proactive::open_tables(&*db).await.expect("tables");
        let listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let rows = match db.read(listed.into(), Vec::new()).await {
            Ok(rows) => rows,
            Err(_) => {
                let listed = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()";
                db.read(listed.into(), Vec::new()).await.expect("a server of either kind")
            }
        };
        let mut there: Vec<String> = rows.iter().map(|row| row.text(0).expect("a name")).collect();
        there.sort();
        let known: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
        assert_eq!(there, known);
    }
}

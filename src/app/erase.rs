//! Erases people: a job that may be cut off anywhere and begun again.
//!
//! What goes: the contact with its history and whatever was merged into it, its messages in the views, however the address was written
//! and whether or not the channel is still configured, the files it sent, its place in lists, campaigns, reminders and journeys, what
//! counts within caps, reply handles and windows, the words of its evidence. What has not left yet is cancelled. What stays: that consent
//! was given or withdrawn, under the keyed fingerprint of the address, because a person who comes back still does not want it. The tests
//! list every table of the store with what an erasure does there.
//!
//! All of it is done twice: what the log had been given before was on its way into the tables the first time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::Data;
use fairway_adapters::contract::event::Erased;
use serde::{Deserialize, Serialize};

use crate::consent::Consent;
use crate::envelope::{Attributes, Writer};
use crate::ids;
use crate::ids::MessageId;
use crate::log::{Durability, EventLog, Record, Topic};
use crate::media::{self, blobs::Blobs};
use crate::orders::Order;
use crate::people::{People, address::normal, jobs::Job, jobs::Jobs};
use crate::store::db::{Database, Statement};
use crate::store::{Error, Store};
use crate::{clock, values};

/// Media objects let go of at a time.
const AT_ONCE: usize = 100;
/// How often, and how long apart, messages that have not ended are waited for: a cancel takes a moment, a call that is out some seconds.
const PATIENCE: (usize, Duration) = (30, Duration::from_secs(1));

/// How long after the first time the second is: those who read the log into the tables are behind it by a second or two.
const ONCE_MORE: Duration = Duration::from_secs(5);

/// What it works with.
pub(super) struct Eraser {
    pub(super) db: Arc<dyn Database>,
    /// Where audiences, campaigns and journeys are kept.
    pub(super) proactive_db: Arc<dyn Database>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Blobs,
    pub(super) writer: Writer,
    pub(super) people: People,
    pub(super) consent: Arc<Consent>,
    pub(super) jobs: Jobs,
}

/// What a job works on; the addresses, and the other ids of the contact, once they were found out, so that a second try knows them when
/// the contact is gone.
#[derive(Serialize, Deserialize)]
struct Input {
    contact: String,
    #[serde(default)]
    names: Vec<String>,
    addresses: Option<Vec<String>>,
}

/// What went, and how many messages were under way to the last.
#[derive(Default)]
struct Gone {
    messages: u64,
    left: usize,
    files: u64,
    lists: u64,
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
        let Ok(mut input) = serde_json::from_str::<Input>(&job.input) else {
            return self.jobs.finish(&job.id, "failed", &serde_json::json!({ "reason": "the job cannot be read" })).await;
        };
        if input.addresses.is_none() {
            let contact = self.people.get(&input.contact).await?;
            input.names = self.people.names(&input.contact).await?;
            let addresses = contact.into_iter().flat_map(|c| c.addresses).map(|a| a.address).collect();
            input.addresses = Some(crate::proactive::erase::addresses(&*self.proactive_db, &input.names, addresses).await?);
            self.jobs.keep_input(&job.id, &serde_json::to_string(&input).unwrap_or_default()).await?;
        }
        let addresses = input.addresses.clone().unwrap_or_default();
        if input.names.is_empty() {
            input.names.push(input.contact.clone());
        }
        let hashed: Vec<String> = addresses.iter().map(|a| self.consent.hashed(a)).collect();
        self.tell(job, &hashed).await?;
        let mut gone = Gone::default();
        self.forget(&input, &addresses, &mut gone).await?;
        tokio::time::sleep(ONCE_MORE).await;
        self.forget(&input, &addresses, &mut gone).await?;
        let Gone { messages, left, files, lists } = gone;
        let receipt = serde_json::json!({
            "erased_at": clock::now(), "addresses": hashed, "messages": messages, "under_way": left, "files": files, "lists": lists,
            "kept": "consent and opt-outs under the fingerprint of the address; the log expires by its retention",
        });
        self.jobs.finish(&job.id, "done", &receipt).await
    }

    /// Lets go of everything once.
    async fn forget(&self, input: &Input, addresses: &[String], gone: &mut Gone) -> Result<(), Error> {
        // Lists first: nobody in a list that still names them is written to while what was written is cancelled.
        gone.lists += crate::proactive::erase::forget(&*self.proactive_db, &input.names, addresses).await?;
        let (messages, left) = self.forget_messages(addresses).await?;
        gone.messages += messages;
        gone.left = left;
        gone.files += self.forget_media(addresses).await?;
        self.consent.erase(&input.names, addresses).await?;
        self.people.forget(&input.contact, addresses).await
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
        self.append(vec![record]).await
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        let told = self.log.append(records, Durability::Log).await;
        if told.iter().all(crate::log::Outcome::is_durable) { Ok(()) } else { Err(Error("the log cannot take the erasure now".into())) }
    }

    /// Messages to and from the person leave the views, and what they could be answered with. What has not ended is cancelled, and
    /// goes once it has: its owner still needs it. How many went, and how many were under way to the last.
    async fn forget_messages(&self, addresses: &[String]) -> Result<(u64, usize), Error> {
        let mut conversations = Vec::new();
        for address in addresses {
            conversations.extend(conversations_with(&*self.db, address).await?);
        }
        if conversations.is_empty() {
            return Ok((0, 0));
        }
        let runs: Vec<_> = conversations.iter().map(|c| values![c.as_str()]).collect();
        let (mut gone, mut tries) = (0, 0);
        loop {
            let messages = Statement::each("DELETE FROM messages WHERE conversation = ?1 AND state >= 5", runs.clone());
            let handles = Statement::each("DELETE FROM handles WHERE conversation = ?1", runs.clone());
            gone += self.db.write(vec![messages, handles]).await?.first().map_or(0, |d| d.changed);
            let open = self.open(&conversations).await?;
            if open.is_empty() || tries == PATIENCE.0 {
                return Ok((gone, open.len()));
            }
            if tries == 0 {
                let cancel = |id: &MessageId| Order::Cancel { id: *id }.record(u32::from(id.unit), ids::random());
                self.append(open.iter().map(cancel).collect()).await?;
            }
            tries += 1;
            tokio::time::sleep(PATIENCE.1).await;
        }
    }

    /// Messages of these conversations that have not ended.
    async fn open(&self, conversations: &[String]) -> Result<Vec<MessageId>, Error> {
        let mut open = Vec::new();
        for conversation in conversations {
            let sql = "SELECT id FROM messages WHERE conversation = ?1 AND state < 5";
            for row in self.db.read(sql.into(), values![conversation.as_str()]).await? {
                open.extend(row.text(0)?.parse::<MessageId>().ok());
            }
        }
        Ok(open)
    }

    /// Files the person sent; how many.
    async fn forget_media(&self, addresses: &[String]) -> Result<u64, Error> {
        let mut count = 0;
        for address in addresses {
            loop {
                let some = self.store.media_of(address, AT_ONCE).await?;
                if some.is_empty() {
                    break;
                }
                for one in some {
                    media::let_go(&*self.store, &self.blobs, one, "the person who sent it was erased").await?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

/// The conversations with an address that the views or the handles know. A request may have written the address in another form, and
/// a channel may not be configured any more: both tables are read through. Erasures are few.
async fn conversations_with(db: &dyn Database, address: &str) -> Result<BTreeSet<String>, Error> {
    let address = normal(address);
    let mut found = BTreeSet::new();
    for sql in [
        "SELECT DISTINCT conversation FROM messages WHERE lower(conversation) LIKE ?1",
        "SELECT conversation FROM handles WHERE lower(conversation) LIKE ?1",
    ] {
        for row in db.read(sql.into(), values![written_as(&address)]).await? {
            let conversation = row.text(0)?;
            let peer = conversation.split_once('/').map_or("", |(_, peer)| peer);
            if normal(peer.split('#').next().unwrap_or(peer)) == address {
                found.insert(conversation);
            }
        }
    }
    Ok(found)
}

/// What the conversations with an address are like: its letters and digits in their order, whatever stands between them.
fn written_as(address: &str) -> String {
    let known = address.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase());
    known.fold(String::from("%"), |pattern, c| pattern + &format!("{c}%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::laws::{Stage, laws};
    use crate::store::tables::Tables;

    laws! {
        of_every_table_it_is_known_what_an_erasure_does_there
        conversations_are_found_however_the_address_was_written
    }

    async fn conversations_are_found_however_the_address_was_written(stage: Stage) {
        let db = stage.open().await;
        Tables::open(Arc::clone(&db)).await.expect("tables");
        let message = |conversation: &str| {
            let sql = "INSERT INTO messages (id, conversation, created_at, updated_at) VALUES (?1, ?1, 0, 0)";
            Statement::once(sql, values![conversation])
        };
        let handle = "INSERT INTO handles (conversation, sealed, at) VALUES ('desk/tel:+15550100200#t1', 'x', 0)";
        let hers = ["desk/tel:+15550100200", "desk/tel:+15550100200#t1", "gone/tel:+1 (555) 010-0200", "mail/mailto:Ana@Example.org"];
        let others =
            ["desk/tel:+155501002001", "desk/whatsapp:+15550100200", "mail/mailto:ana@example.org.example", "desk/tel:+25550100200"];
        let mut statements: Vec<_> = hers.iter().filter(|c| !c.contains('#')).chain(&others).map(|c| message(c)).collect();
        statements.push(Statement::once(handle, Vec::new()));
        db.write(statements).await.expect("written");
        let mut found = conversations_with(&*db, "tel:+15550100200").await.expect("read");
        found.extend(conversations_with(&*db, "mailto:ana@example.org").await.expect("read"));
        assert_eq!(found, hers.map(str::to_owned).into());
    }

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
        ("idempotency", "answers, sealed where they may be of people, for a day"),
        ("job_rows", "the contact's id, where a row was refused for it, goes with the contact (people)"),
        ("jobs", "the addresses of an erasure go when it is done (here)"),
        ("journey_intakes", "nothing: sums, and as a cursor a contact's id"),
        ("journey_people", "goes (proactive)"),
        ("links", "goes: where it leads may tell who somebody is (proactive)"),
        ("maker_addresses", "goes with the reminder (proactive)"),
        ("makers", "a reminder of the person goes (proactive); triggers and journeys are about nobody"),
        ("media", "the row stays, without bytes, the name of the file and the address (here)"),
        ("messages", "goes when it has ended; what has not is cancelled (here)"),
        ("migrations", "nothing"),
        ("positions", "nothing"),
        ("proactive_positions", "nothing"),
        ("receipts", "a provider's receipt that came too early, for a day"),
        ("reply_windows", "goes with the contact (people)"),
        ("schedule", "goes with the cancel (here)"),
        ("settings", "nothing: channels, limits, endpoints, keys"),
        ("suppressions", "stays under the fingerprint of the address, without note (consent)"),
        ("templates", "nothing"),
        ("tenant_quotas", "nothing"),
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

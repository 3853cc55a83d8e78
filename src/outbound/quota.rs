//! What a tenant may send in a period (`[tenants.NAME] messages = "100000/24h"`), counted when it is accepted, over all nodes.
//!
//! A table beside the campaigns' books counts. Nodes take from it in blocks, so that a message of the API costs no write of its own;
//! what a node has taken and not used when it stops is lost to the tenant until the next period: a hundredth of the quota at most. A
//! campaign's batch is counted by the very write that plans it ([`Tally`]), so that it counts if it is planned and not otherwise.
//! Periods begin at whole multiples of their length, a day at midnight UTC. While the table is away nobody is refused for a quota.

use std::collections::HashMap;
use std::sync::Arc;

use fairway_adapters::contract::Time;

use super::accept::Refused;
use crate::channels::Channel;
use crate::config::units::Rate;
use crate::store::Error;
use crate::store::db::{Database, Statement};
use crate::values;

/// A block is this part of the quota, and at most [`LARGEST`].
const BLOCK: u64 = 100;
const LARGEST: u64 = 1000;

/// What of a tenant's quota this node holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Block {
    since: Time,
    left: u64,
}

/// The quotas of all tenants. Cloning shares them.
#[derive(Clone)]
pub struct Quotas {
    db: Arc<dyn Database>,
    blocks: Arc<tokio::sync::Mutex<HashMap<String, Block>>>,
}

impl Quotas {
    /// Quotas that are counted in this database, among the tables of the campaigns.
    pub fn new(db: Arc<dyn Database>) -> Self {
        Self { db, blocks: Arc::default() }
    }

    /// Takes the one message of this channel's tenant's quota.
    ///
    /// # Errors
    /// When there is none left, with the time at which there is again.
    pub async fn take(&self, channel: &Channel, now: Time) -> Result<(), Refused> {
        let (Some(tenant), Some(quota)) = (&channel.tenant, channel.quota) else { return Ok(()) };
        self.take_of(tenant, quota, now).await.map_err(|until| used_up(tenant, quota, until))
    }

    async fn take_of(&self, tenant: &str, quota: Rate, now: Time) -> Result<(), Time> {
        let (since, until) = period(quota, now);
        let mut blocks = self.blocks.lock().await;
        let block = blocks.entry(tenant.to_owned()).or_default();
        if block.since != since {
            *block = Block { since, left: 0 };
        }
        if block.left == 0 {
            let most = u64::from(quota.count);
            let want = (most / BLOCK).clamp(1, LARGEST);
            match self.block(tenant, since, want, most).await {
                Ok(left) => block.left = left,
                Err(e) => {
                    tracing::warn!(tenant, error = %e, "a quota cannot be counted; nobody is refused for it meanwhile");
                    return Ok(());
                }
            }
        }
        block.left = block.left.checked_sub(1).ok_or(until)?;
        Ok(())
    }

    /// Takes so much of the period that begins then, of which there is so much altogether; answers how much it got.
    async fn block(&self, tenant: &str, since: Time, want: u64, most: u64) -> Result<u64, Error> {
        // It may count beyond the quota; what was there before says how much there was to take.
        let sql = "INSERT INTO tenant_quotas (tenant, since, used) VALUES (?1, ?2, ?3)
                   ON CONFLICT (tenant) DO UPDATE SET since = excluded.since,
                     used = CASE WHEN tenant_quotas.since = excluded.since THEN tenant_quotas.used + excluded.used ELSE excluded.used END
                   RETURNING used";
        let done = self.db.write(vec![Statement::once(sql, values![tenant, since.0, want as i64])]).await?;
        let used = done.first().and_then(|d| d.rows.first()).map_or(Ok(0), |row| row.int(0))? as u64;
        Ok(most.saturating_sub(used.saturating_sub(want)).min(want))
    }

    /// What is left of the quotas of these channels' tenants, for a batch to take from.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn tally(&self, channels: &[Arc<Channel>], now: Time) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        for channel in channels {
            let (Some(tenant), Some(quota)) = (&channel.tenant, channel.quota) else { continue };
            if tally.0.contains_key(tenant) {
                continue;
            }
            let (since, until) = period(quota, now);
            let sql = "SELECT used FROM tenant_quotas WHERE tenant = ?1 AND since = ?2";
            let rows = self.db.read(sql.into(), values![tenant.as_str(), since.0]).await?;
            let used = rows.first().map_or(Ok(0), |row| row.int(0))?;
            let left = i64::from(quota.count).saturating_sub(used).max(0);
            tally.0.insert(tenant.clone(), Share { quota, since, until, left, taken: 0 });
        }
        Ok(tally)
    }
}

/// What a batch takes of quotas: nothing, until what [`Tally::counted`] says is written with the batch.
#[derive(Default)]
pub struct Tally(HashMap<String, Share>);

struct Share {
    quota: Rate,
    since: Time,
    until: Time,
    left: i64,
    taken: i64,
}

impl Tally {
    /// Whether no quota counts what is sent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the one message of this channel's tenant's quota.
    ///
    /// # Errors
    /// When there is none left, with the time at which there is again.
    pub fn take(&mut self, channel: &Channel) -> Result<(), Refused> {
        let Some((tenant, share)) = channel.tenant.as_ref().and_then(|t| Some((t, self.0.get_mut(t)?))) else { return Ok(()) };
        if share.taken >= share.left {
            return Err(used_up(tenant, share.quota, share.until));
        }
        share.taken += 1;
        Ok(())
    }

    /// The statements that count it. They undo the whole write where others have taken so much meanwhile that it is not there any more.
    pub fn counted(&self) -> impl Iterator<Item = Statement> {
        self.0.iter().filter(|(_, share)| share.taken > 0).map(|(tenant, share)| {
            let sql = "INSERT INTO tenant_quotas (tenant, since, used) VALUES (?1, ?2, ?3)
                ON CONFLICT (tenant) DO UPDATE SET since = excluded.since,
                  used = CASE WHEN tenant_quotas.since = excluded.since THEN tenant_quotas.used + excluded.used ELSE excluded.used END
                WHERE tenant_quotas.since < excluded.since
                  OR (tenant_quotas.since = excluded.since AND tenant_quotas.used + excluded.used <= ?4)";
            Statement::guard(sql, values![tenant.as_str(), share.since.0, share.taken, i64::from(share.quota.count)])
        })
    }
}

/// The beginning and the end of the period that a time lies in.
fn period(quota: Rate, now: Time) -> (Time, Time) {
    let length = quota.window.as_millis().max(1) as i64;
    let since = Time(now.0.div_euclid(length) * length);
    (since, since.plus(length))
}

fn used_up(tenant: &str, quota: Rate, until: Time) -> Refused {
    Refused {
        until: Some(until),
        ..Refused::new("#", "quota_used_up", format!("the quota of `{tenant}`, {quota}, is used up; send again from {until} on"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channels::Channels;
    use crate::config::Config;
    use crate::store::laws::{Stage, laws};

    laws! {
        nodes_share_a_quota_and_a_period_begins_anew
        a_batch_counts_when_it_is_written_and_not_otherwise
    }

    async fn node(stage: &Stage) -> Quotas {
        let db = stage.open().await;
        crate::proactive::open_tables(&*db).await.expect("tables");
        Quotas::new(db)
    }

    async fn nodes_share_a_quota_and_a_period_begins_anew(stage: Stage) {
        let nodes = [node(&stage).await, node(&stage).await];
        let quota = Rate { count: 250, window: Duration::from_secs(3600) };
        let mut now = Time(1_800_000_000_000);
        for _ in 0..2 {
            let mut taken = 0;
            for turn in 0..400 {
                match nodes[turn % 2].take_of("acme", quota, now).await {
                    Ok(()) => taken += 1,
                    Err(until) => assert_eq!(until, Time(now.0 - now.0 % 3_600_000 + 3_600_000)),
                }
            }
            assert_eq!(taken, 250);
            assert!(nodes[0].take_of("other", quota, now).await.is_ok(), "each tenant has its own");
            now = now.plus(3_600_000);
        }
    }

    async fn a_batch_counts_when_it_is_written_and_not_otherwise(stage: Stage) {
        let quotas = node(&stage).await;
        let quota = Rate { count: 10, window: Duration::from_secs(3600) };
        let now = Time(1_800_000_000_000);
        let text = "[tenants.acme]\nmessages = \"10/1h\"\n[channels.tg]\nprovider = \"telegram\"\nbot_token = \"1:t\"\n\
            webhook_secret_token = \"s\"\ntenant = \"acme\"\n";
        let config = Config::parse(text, std::path::Path::new("test.toml"), &|_| None).expect("it is valid");
        let channel = Arc::clone(&Channels::bind(&config).expect("it binds").by_id["tg"]);
        let tally = async |take: usize| {
            let mut tally = quotas.tally(std::slice::from_ref(&channel), now).await.expect("read");
            assert!((0..take).all(|_| tally.take(&channel).is_ok()), "there is so much");
            tally
        };
        // What stands with it in one write and cannot be done takes the count with it.
        for _ in 0..3 {
            let impossible = Statement::guard("UPDATE tenant_quotas SET used = 0 WHERE tenant = 'nobody'", Vec::new());
            let write = tally(6).await.counted().chain([impossible]).collect();
            assert!(quotas.db.write(write).await.is_err_and(|e| e.is_guarded()));
        }
        let (one, other) = (tally(6).await, tally(5).await);
        quotas.db.write(one.counted().collect()).await.expect("written");
        let late = quotas.db.write(other.counted().collect()).await;
        assert!(late.is_err_and(|e| e.is_guarded()), "somebody else was first");
        let mut rest = tally(4).await;
        assert_eq!(rest.take(&channel).map_err(|e| (e.code, e.until)), Err(("quota_used_up", Some(period(quota, now).1))));
        quotas.db.write(rest.counted().collect()).await.expect("written");
        assert!(quotas.take(&channel, now).await.is_err(), "single messages and batches share it");
        assert!(quotas.take(&channel, now.plus(3_600_000)).await.is_ok(), "a new period");
        assert!(quotas.db.write(one.counted().collect()).await.is_err(), "what is late does not bring back the old period");
    }
}

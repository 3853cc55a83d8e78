//! What a tenant may send in a period (`[tenants.NAME] messages = "100000/24h"`), counted when it is accepted, over all nodes.
//!
//! The store counts, and nodes take from it in blocks, so that a message costs no write of its own. Periods begin at whole multiples of
//! their length, a day at midnight UTC. What a node has taken and not used when it stops is lost to the tenant until the next period:
//! a hundredth of the quota at most. While the store is away nobody is refused for a quota.

use std::collections::HashMap;
use std::sync::Arc;

use fairway_adapters::contract::Time;

use crate::config::units::Rate;
use crate::store::Store;

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
    store: Arc<dyn Store>,
    blocks: Arc<tokio::sync::Mutex<HashMap<String, Block>>>,
}

impl Quotas {
    /// Quotas that this store counts.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, blocks: Arc::default() }
    }

    /// Takes one message of a tenant's quota.
    ///
    /// # Errors
    /// When there is none left, with the time at which there is again.
    pub async fn take(&self, tenant: &str, quota: Rate, now: Time) -> Result<(), Time> {
        let length = quota.window.as_millis().max(1) as i64;
        let since = Time(now.0.div_euclid(length) * length);
        let mut blocks = self.blocks.lock().await;
        let block = blocks.entry(tenant.to_owned()).or_default();
        if block.since != since {
            *block = Block { since, left: 0 };
        }
        if block.left == 0 {
            let most = u64::from(quota.count);
            let want = (most / BLOCK).clamp(1, LARGEST);
            match self.store.take_quota(tenant, since, want, most).await {
                Ok(left) => block.left = left,
                Err(e) => {
                    tracing::warn!(tenant, error = %e, "a quota cannot be counted; nobody is refused for it meanwhile");
                    return Ok(());
                }
            }
        }
        block.left = block.left.checked_sub(1).ok_or(since.plus(length))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn nodes_share_a_quota_and_a_period_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("q.db").display());
        let database = crate::store::open(&url).await.expect("a database");
        let store: Arc<dyn Store> = Arc::new(crate::store::tables::Tables::open(database).await.expect("a store"));
        let nodes = [Quotas::new(Arc::clone(&store)), Quotas::new(Arc::clone(&store))];
        let quota = Rate { count: 250, window: Duration::from_secs(3600) };
        let mut now = Time(1_800_000_000_000);
        for _ in 0..2 {
            let mut taken = 0;
            for turn in 0..400 {
                match nodes[turn % 2].take("acme", quota, now).await {
                    Ok(()) => taken += 1,
                    Err(until) => assert_eq!(until, Time(now.0 - now.0 % 3_600_000 + 3_600_000)),
                }
            }
            assert_eq!(taken, 250);
            assert!(nodes[0].take("other", quota, now).await.is_ok(), "each tenant has its own");
            now = now.plus(3_600_000);
        }
    }
}

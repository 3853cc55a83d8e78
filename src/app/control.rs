//! `{prefix}.control`: what must reach every node in under a second. One compacted partition, read by each node from its end on;
//! what holds for longer stands in the store's settings first, where a unit's new owner finds it.

use std::{sync::Arc, time::Duration};

use crate::log::{EventLog, Position, Topic};
use crate::outbound::control::Command;
use crate::outbound::owner::Units;

/// Runs until the process ends.
pub(super) async fn follow(log: Arc<dyn EventLog>, units: Units) {
    let offset = loop {
        match log.ends(Topic::Control).await {
            Ok(ends) => break ends.get(&0).copied().unwrap_or(0),
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Control, partition: 0, offset });
    loop {
        match reader.next(256).await {
            Ok(records) => records.iter().filter_map(Command::read).for_each(|command| command.tell(&units)),
            Err(e) => {
                tracing::warn!(error = %e, "what other nodes say cannot be heard now");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

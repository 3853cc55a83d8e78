//! Which ids were taken before this start: from this node's own disk, and from what the log has had since.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::config::Config;
use crate::ingress::{claims::Claims, remember::Remembered};
use crate::log::{EventLog, Position, Positions, Stretch, Topic};

/// Newest ids that are exact in memory: at 20,000 a second those of the last 23 s at least, where a run is written every 5.
/// So many fill hash tables of 8,192 places ([`Claims`] has 128 of them) to the last before they grow: 18 MB.
const EXACT: usize = 128 * 7168;

/// Where ids are remembered: on this node's own disk, beside the store's file or the spool.
pub fn seen_path(config: &Config) -> PathBuf {
    match config.store.url.strip_prefix("sqlite:") {
        Some(path) => PathBuf::from(path).with_extension("seen.db"),
        None => config.log.spool.with_file_name("fairway.seen.db"),
    }
}

/// Opens what is remembered of ids and learns from the log what was taken since.
pub async fn recall(log: &dyn EventLog, path: &Path) -> Result<(Arc<Claims>, Arc<Remembered>), String> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| format!("{} cannot be made: {e}", folder.display()))?;
    }
    let (remembered, positions) = Remembered::open(path).map_err(|e| format!("{} cannot be opened: {e}", path.display()))?;
    let remembered = Arc::new(remembered);
    let claims = Arc::new(Claims::new(EXACT, Some(Arc::clone(&remembered))));
    for topic in [Topic::Inbound, Topic::Signals, Topic::Notices, Topic::Unparsed, Topic::Orders, Topic::Status] {
        learn(log, topic, &positions, &claims, &remembered).await?;
    }
    Ok((claims, remembered))
}

/// Positions of several topics under one name: topic and partition in one number.
fn key(topic: Topic, partition: u32) -> u32 {
    (topic as u32) << 16 | partition
}

async fn learn(log: &dyn EventLog, topic: Topic, known: &Positions, claims: &Claims, remembered: &Remembered) -> Result<(), String> {
    let week = clock::now().plus(-7 * 86_400_000);
    let since = log.since(topic, week.0).await.map_err(|e| e.to_string())?;
    let ends = log.ends(topic).await.map_err(|e| e.to_string())?;
    let parts = ends.into_iter().map(|(partition, end)| {
        let offset = known.get(&key(topic, partition)).copied().unwrap_or(0).max(since.get(&partition).copied().unwrap_or(0));
        (Position { topic, partition, offset }, end)
    });
    let mut stretch = Stretch::new(log, parts);
    while let Some(records) = stretch.next(4096).await.map_err(|e| e.to_string())? {
        for record in records {
            let id = record.headers.get("ce_id").or_else(|| record.headers.get("id"));
            if let Some(id) = id.and_then(crate::ids::read_fingerprint) {
                claims.learn(id);
                remembered.add(id);
            }
        }
    }
    Ok(())
}

/// Writes taken ids to disk once enough have gathered, with the log position they reach back to.
pub async fn flush_claims(log: Arc<dyn EventLog>, remembered: Arc<Remembered>) {
    let mut behind = all_ends(&*log).await;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if !remembered.is_due() {
            continue;
        }
        let ends = all_ends(&*log).await;
        // The position of the last look: every id taken before it is among those written now.
        let (remembered, positions) = (Arc::clone(&remembered), std::mem::replace(&mut behind, ends));
        let written = tokio::task::spawn_blocking(move || remembered.flush(&positions)).await;
        if let Ok(Err(e)) = written {
            tracing::warn!(error = %e, "taken ids cannot be written now; a restart reads more of the log instead");
        }
    }
}

async fn all_ends(log: &dyn EventLog) -> Positions {
    let mut all = Positions::new();
    for topic in [Topic::Inbound, Topic::Signals, Topic::Notices, Topic::Unparsed, Topic::Orders, Topic::Status] {
        if let Ok(ends) = log.ends(topic).await {
            all.extend(ends.into_iter().map(|(partition, offset)| (key(topic, partition), offset)));
        }
    }
    all
}

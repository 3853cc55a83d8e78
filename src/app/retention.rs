//! Lets go of what has been kept long enough: messages with their timelines, what was due of reminders, triggers and journeys, media
//! with their bytes, and the bodies of deliveries that were not understood. The log sees to itself.

use std::time::{Duration, SystemTime};
use std::{io, sync::Arc};

use crate::clock;
use crate::log::config::Retention;
use crate::media::{self, blobs::Blobs};
use crate::proactive::due;
use crate::store::{Error, Store, db::Database};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(600);
/// A body is kept by this part of its time longer, because the log lets go of a file with the newest of its records, and until then one
/// of them may name it.
const RAW_LATER: u32 = 7;
/// Media objects let go at a time.
const AT_ONCE: usize = 500;

/// Runs until the process ends.
pub async fn run(store: Arc<dyn Store>, proactive: Arc<dyn Database>, blobs: Blobs, retention: Retention) {
    loop {
        if let Err(error) = once(&*store, &*proactive, &blobs, &retention).await {
            tracing::warn!(%error, "what has been kept long enough cannot be let go now; it is tried again");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Lets go of all that is too old now.
pub async fn once(store: &dyn Store, proactive: &dyn Database, blobs: &Blobs, retention: &Retention) -> Result<(), Error> {
    while store.forget_messages(clock::now().plus(-retention.messages.millis())).await? > 0 {}
    // A trigger's row is what keeps its event, read once more from the log, from writing to somebody again.
    let kept = retention.messages.millis().max(retention.events.millis());
    while due::forget(proactive, clock::now().plus(-kept), clock::now()).await? > 0 {}
    loop {
        let old = store.old_media(clock::now().plus(-retention.media.millis()), AT_ONCE).await?;
        if old.is_empty() {
            break;
        }
        for old in old {
            media::let_go(store, blobs, old, "it was kept as long as `retention.media` says").await?;
        }
    }
    let (raw, kept) = (blobs.raw(), retention.raw.0 + retention.raw.0 / RAW_LATER + EVERY);
    let done = tokio::task::spawn_blocking(move || SystemTime::now().checked_sub(kept).map_or(Ok(0), |before| raw.remove_before(before)));
    done.await.map_err(io::Error::other).flatten().map_err(|e| Error(format!("the folder of raw deliveries: {e}")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::Span;
    use crate::store::{self, Media, tables::Tables};
    use fairway_adapters::contract::Time;

    #[tokio::test]
    async fn media_go_when_they_are_too_old_and_shared_bytes_with_the_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = store::open(&format!("sqlite:{}", folder.path().join("store.db").display())).await.expect("a file");
        let store = Tables::open(Arc::clone(&database)).await.expect("a store");
        crate::proactive::open_tables(&*database).await.expect("tables");
        let blobs = Blobs::open(&folder.path().join("media")).expect("a folder");
        let (alone, shared) = (blobs.put(b"alone").expect("kept"), blobs.put(b"shared").expect("kept"));
        let now = clock::now();
        for (id, blob, created_at) in [("med_1", &alone, Time(0)), ("med_2", &shared, Time(0)), ("med_3", &shared, now)] {
            let media = Media {
                id: id.into(),
                channel: String::new(),
                state: "ready".into(),
                source: None,
                blob: Some(blob.clone()),
                mime_type: None,
                filename: None,
                size: 5,
                tries: 0,
                due: now,
                reason: None,
                created_at,
                person: None,
            };
            store.put_media(media).await.expect("written");
        }
        let (old, new) = (blobs.raw().put(b"old").expect("kept"), blobs.raw().put(b"new").expect("kept"));
        let file = std::fs::File::open(blobs.raw().path(&old).expect("a path")).expect("it is there");
        file.set_modified(SystemTime::now() - Duration::from_secs(2 * 86_400)).expect("set");
        let day = Span(Duration::from_secs(86_400));
        let retention = Retention { events: day, raw: day, messages: day, media: day, evidence: day };
        once(&store, &*database, &blobs, &retention).await.expect("done");
        assert!(blobs.get(&alone).is_err() && blobs.get(&shared).is_ok());
        assert!(blobs.raw().get(&old).is_err() && blobs.raw().get(&new).is_ok());
        let gone = store.media("med_1").await.expect("read").expect("it is still named");
        assert_eq!((gone.state.as_str(), gone.blob), ("unavailable", None));
        assert_eq!(store.media("med_3").await.expect("read").expect("there").state, "ready");
    }
}

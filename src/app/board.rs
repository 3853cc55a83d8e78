//! What a node tells of the channels it owns, so that any node can show how they stand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::channels::Live;
use crate::clock;
use crate::outbound::owner::Units;
use crate::outbound::unit::{Ask, Told, told_setting};
use crate::store::Store;
use crate::transport::session::Sessions;

/// How old what another node shows may be.
const EVERY: Duration = Duration::from_secs(2);

/// Writes down how the channels stand that this node owns, whenever that has changed.
pub(super) async fn tell(channels: Live, units: Units, sessions: Sessions, store: Arc<dyn Store>) {
    let mut written: HashMap<Arc<str>, String> = HashMap::new();
    loop {
        tokio::time::sleep(EVERY).await;
        for channel in channels.get().by_id.values() {
            let (answer, view) = oneshot::channel();
            let asked = units.ask(channel.unit, Ask::View(channel.id.to_string(), answer));
            let (true, Ok(view)) = (asked, view.await) else {
                // Another node's; should it come back, it is told anew.
                written.remove(&channel.id);
                continue;
            };
            let told = Told { at: clock::now(), view, connections: sessions.standing(&channel.id) };
            let news = serde_json::to_string(&(&told.view, &told.connections)).unwrap_or_default();
            if written.get(&channel.id) != Some(&news)
                && store.put_setting(&told_setting(&channel.id), serde_json::to_string(&told).unwrap_or_default()).await.is_ok()
            {
                written.insert(Arc::clone(&channel.id), news);
            }
        }
    }
}

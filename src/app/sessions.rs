//! Connections of channels that have their own: each goes with the unit that owns the channel, so that no two nodes speak for
//! one account longer than it takes a unit to change hands.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fairway_adapters::contract::Delivery;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::channels::{Channel, Live};
use crate::ingress::Ingress;
use crate::log::Pending;
use crate::outbound::owner::Units;
use crate::store::Store;
use crate::transport::session::{Door, Sessions};

/// What they need of the rest.
#[derive(Clone)]
pub(super) struct Parts {
    pub channels: Live,
    pub units: Units,
    pub ingress: Arc<Ingress>,
    pub store: Arc<dyn Store>,
    pub sessions: Sessions,
    /// Units are being stopped: what they still have under way needs its connection.
    pub units_stopping: watch::Receiver<bool>,
}

/// One channel's connections.
struct Running {
    channel: Arc<Channel>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Runs the sessions of the channels this node owns, until `stop` turns true.
pub(super) async fn run(parts: Parts, mut stop: watch::Receiver<bool>) {
    let mut running: HashMap<Arc<str>, Running> = HashMap::new();
    let mut changed = parts.channels.watch();
    loop {
        parts.settle(&mut running);
        tokio::select! {
            () = async { stop.wait_for(|s| *s).await.map_or((), |_| ()) } => break,
            _ = changed.changed() => {}
            () = parts.units.changed(Duration::from_secs(1)) => {}
        }
    }
    for session in running.values() {
        let _ = session.stop.send(true);
    }
    for (_, session) in running {
        let _ = session.task.await;
    }
}

impl Parts {
    /// Begins and ends sessions so that those run that should.
    fn settle(&self, running: &mut HashMap<Arc<str>, Running>) {
        if *self.units_stopping.borrow() {
            return;
        }
        let channels = self.channels.get();
        let wanted: HashMap<&Arc<str>, &Arc<Channel>> =
            channels.by_id.values().filter(|c| self.units.owns(c.unit) && c.adapter.session(&[]).is_some()).map(|c| (&c.id, c)).collect();
        let stale = |id: &Arc<str>, session: &Running| {
            session.task.is_finished() || wanted.get(id).is_none_or(|channel| channel.settings.0 != session.channel.settings.0)
        };
        let gone: Vec<Arc<str>> = running.iter().filter(|(id, session)| stale(id, session)).map(|(id, _)| Arc::clone(id)).collect();
        let mut leaving: HashMap<Arc<str>, JoinHandle<()>> = HashMap::new();
        for id in gone {
            if let Some(session) = running.remove(&id) {
                let _ = session.stop.send(true);
                leaving.insert(id, session.task);
            }
        }
        for (id, channel) in wanted {
            if !running.contains_key(id) {
                let (stop, stopped) = watch::channel(false);
                let task = tokio::spawn(self.clone().attend(Arc::clone(channel), leaving.remove(id), stopped));
                running.insert(Arc::clone(id), Running { channel: Arc::clone(channel), stop, task });
            }
        }
    }

    /// One channel's session, after the one before has said goodbye: providers count connections.
    async fn attend(self, channel: Arc<Channel>, before: Option<JoinHandle<()>>, stop: watch::Receiver<bool>) {
        if let Some(before) = before {
            let _ = before.await;
        }
        let setting = format!("session/{}", channel.id);
        let memory = loop {
            match self.store.setting(&setting).await {
                Ok(kept) => break kept.and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default(),
                Err(e) => tracing::warn!(channel = &*channel.id, error = %e, "what a connection remembered cannot be read; it waits"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let Some(session) = channel.adapter.session(&memory) else { return };
        let door = Arc::new(ChannelDoor { channel: Arc::clone(&channel.id), setting, ingress: self.ingress, store: self.store });
        self.sessions.run(Arc::clone(&channel.id), session, door, stop).await;
    }
}

/// A channel's way into the log and the store.
struct ChannelDoor {
    channel: Arc<str>,
    setting: String,
    ingress: Arc<Ingress>,
    store: Arc<dyn Store>,
}

impl Door for ChannelDoor {
    fn take(&self, delivery: Delivery) -> Pending<'static, bool> {
        let (ingress, channel) = (Arc::clone(&self.ingress), Arc::clone(&self.channel));
        Box::pin(async move { ingress.take_from_session(&channel, &delivery).await })
    }

    fn remember(&self, memory: Vec<u8>) -> Pending<'static, bool> {
        let (store, setting, channel) = (Arc::clone(&self.store), self.setting.clone(), Arc::clone(&self.channel));
        Box::pin(async move {
            let kept = store.put_setting(&setting, BASE64_STANDARD.encode(memory)).await;
            kept.inspect_err(|e| tracing::warn!(channel = &*channel, error = %e, "what a connection wants to remember cannot be kept now"))
                .is_ok()
        })
    }
}

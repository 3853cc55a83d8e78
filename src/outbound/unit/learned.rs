//! What a provider's answers taught about a channel's limits: kept over a restart, and for another owner, so that neither runs into the
//! same wall again. What a limit is kept for each of (a person, a template) is not: their messages lie in the schedule until then.

use serde::{Deserialize, Serialize};

use super::*;

/// What the names of those settings begin with.
const LEARNED: &str = "learned/";

/// One limit, as its setting keeps it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Lesson {
    scope: Scope,
    window_ms: i64,
    /// Part of the declared rate.
    part: f64,
    /// When it was that.
    at: Time,
    /// Closed until then.
    until: Option<Time>,
    /// It is about calls at once, and `part` is of those declared.
    #[serde(default)]
    calls: bool,
}

impl Unit {
    /// Something was learned about a channel: it is written within a second.
    pub(super) fn has_learned(&mut self, channel: &str) {
        if let Some(standing) = self.channels.get_mut(channel) {
            standing.has_learned = true;
        }
    }

    pub(super) fn save_learned(&mut self) {
        let now = clock::steady();
        for (id, standing) in self.channels.iter_mut().filter(|(_, s)| s.has_learned) {
            standing.has_learned = false;
            let lessons: Vec<Lesson> = self
                .lanes
                .lessons(id, now)
                .into_iter()
                .map(|(scope, window, part, frozen)| Lesson {
                    scope,
                    window_ms: window / 1000,
                    part,
                    at: clock::now(),
                    until: (frozen > now).then(|| clock::wall_at(frozen)),
                    calls: false,
                })
                .chain(self.lanes.flow(id).map(|part| Lesson {
                    scope: Scope::Sender,
                    window_ms: 0,
                    part,
                    at: clock::now(),
                    until: None,
                    calls: true,
                }))
                .collect();
            let (store, name) = (Arc::clone(&self.parts.store), format!("{LEARNED}{id}"));
            let value = serde_json::to_string(&lessons).unwrap_or_default();
            let (events, channel) = (self.events.clone(), Arc::clone(id));
            tokio::spawn(async move {
                if let Err(e) = store.put_setting(&name, value).await {
                    let _ = events.send(Event::StoreFailed("what was learned about a limit cannot be kept", e.to_string()));
                    let _ = events.send(Event::NotKept(channel));
                }
            });
        }
    }

    pub(super) async fn load_learned(&mut self) {
        let kept = self.settings(LEARNED).await;
        let now = clock::steady();
        for id in self.channels.keys() {
            let text = kept.get(&format!("{LEARNED}{id}"));
            let lessons: Vec<Lesson> = text.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
            for Lesson { scope, window_ms, part, at, until, calls } in lessons {
                if calls {
                    self.lanes.recall_flow(id, part);
                    continue;
                }
                let frozen = until.filter(|until| *until > clock::now()).map(clock::steady_at);
                self.lanes.recall(id, scope, window_ms * 1000, ((part, clock::steady_at(at).min(now)), frozen), now);
            }
        }
    }
}

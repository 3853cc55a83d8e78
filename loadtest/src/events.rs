//! Reads the gateway's events by `/v1/events`, page by page, each once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wire::Wire;

/// A reader that goes on where it stopped, per type of event.
pub struct Follower {
    wire: Wire,
    start: String,
    cursors: HashMap<String, String>,
}

impl Follower {
    /// Begins at the end of what is there now, so that a target's own past is not counted.
    ///
    /// # Errors
    /// When the gateway does not answer.
    pub async fn from_now(wire: &Wire) -> Result<Self, String> {
        let page = wire.json("/v1/events?after=now&limit=1").await?;
        let start = page["next"].as_str().ok_or("/v1/events gave no cursor")?.to_owned();
        Ok(Self { wire: wire.clone(), start, cursors: HashMap::new() })
    }

    /// Reads what is new of a type, to the end. A gateway that is away for a moment is asked again.
    ///
    /// # Errors
    /// When it stays away for half a minute.
    pub async fn read(&mut self, kind: &str, mut each: impl FnMut(&Value)) -> Result<(), String> {
        let mut after = self.cursors.get(kind).unwrap_or(&self.start).clone();
        let mut patient = Instant::now() + Duration::from_secs(30);
        loop {
            let page = match self.wire.json(&format!("/v1/events?type={kind}&limit=500&after={after}")).await {
                Ok(page) => page,
                Err(_) if Instant::now() < patient => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
                Err(e) => return Err(e),
            };
            patient = Instant::now() + Duration::from_secs(30);
            page["data"].as_array().into_iter().flatten().for_each(&mut each);
            after = page["next"].as_str().unwrap_or(&after).to_owned();
            if page["has_more"] != true {
                break;
            }
        }
        self.cursors.insert(kind.to_owned(), after);
        Ok(())
    }
}

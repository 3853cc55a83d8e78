//! Whom the gateway's sessions are of: an application, what it wants to be told, and where its shards lead.

use super::endpoint;
use super::shard::Kept;
use crate::contract::Secret;
use crate::contract::session::Endpoint;
use crate::kit::crypto;

/// What an application says of itself, and where.
pub(super) struct Bound {
    pub application_id: String,
    pub token: Secret,
    pub intents: u32,
    pub shards: u16,
    pub place: Endpoint,
}

impl Bound {
    /// What a session is bound to: one with other intents or shards is another.
    pub fn fingerprint(&self) -> String {
        crypto::fingerprint(&[&self.application_id, &self.intents.to_string(), &self.shards.to_string(), &endpoint::url(&self.place)])
    }

    /// A part of the whole, from 0 to 1, that differs from shard to shard.
    pub fn part(&self, shard: usize) -> f64 {
        let hash = crypto::sha256(format!("{}/{shard}", self.application_id).as_bytes());
        f64::from(hash[0]) / 256.0
    }

    /// Where a shard leads to: where its session wants us, else where all begin.
    pub fn places(&self, kept: Option<&Kept>) -> Vec<Endpoint> {
        let led = kept.and_then(|kept| endpoint::named(&kept.url, &self.place)).filter(|led| *led != self.place);
        led.into_iter().chain([self.place.clone()]).collect()
    }
}

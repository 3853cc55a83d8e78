//! Who may ask: API keys with scopes, hashed at rest; without any key, loopback alone.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fairway_adapters::kit::crypto;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, header, request};
use parking_lot::RwLock;

use super::Api;
use super::problem::{self, Problem};
use crate::clock;
use crate::config::units::Rate;
use crate::ids;
use crate::store::{ApiKey, Store};

/// What a key may do.
pub const SCOPES: [&str; 6] = ["messages:write", "messages:read", "contacts:write", "contacts:read", "campaigns:write", "admin"];

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key's id; `loopback` without a key.
    pub id: String,
    scopes: Vec<String>,
    channels: Vec<String>,
}

impl Caller {
    /// Refuses who lacks a scope.
    pub fn may(&self, scope: &str) -> Result<(), Problem> {
        if self.scopes.iter().any(|s| s == scope || s == "admin") {
            return Ok(());
        }
        Err(Problem::new(&problem::FORBIDDEN, format!("this key lacks the scope {scope}")))
    }

    /// Refuses a channel the key is not for.
    pub fn may_use(&self, channel: &str) -> Result<(), Problem> {
        if self.channels.is_empty() || self.channels.iter().any(|c| c == channel) {
            return Ok(());
        }
        Err(Problem::new(&problem::FORBIDDEN, format!("this key is not for the channel {channel}")))
    }

    /// The channels it is limited to; empty: all.
    pub fn channels(&self) -> &[String] {
        &self.channels
    }
}

/// The keys in force.
pub struct Keys {
    store: Arc<dyn Store>,
    keys: RwLock<Vec<ApiKey>>,
    /// Grows with every change made on this node, under the lock.
    changes: AtomicU64,
    loopback: bool,
    host: String,
    limiter: DefaultKeyedRateLimiter<String>,
    rate: Rate,
}

impl Keys {
    /// Reads the keys; `seed` is `FAIRWAY_API_KEY`.
    pub async fn open(
        store: Arc<dyn Store>,
        loopback: bool,
        public_url: &str,
        rate: Rate,
        seed: Option<String>,
    ) -> Result<Self, crate::store::Error> {
        if let Some(secret) = seed.filter(|s| !s.is_empty()) {
            let key = ApiKey {
                id: ids::text("key_", ids::fingerprint(&[b"seed", secret.as_bytes()])),
                name: "FAIRWAY_API_KEY".into(),
                scopes: vec!["admin".into()],
                channels: Vec::new(),
                hash: crypto::sha256(secret.as_bytes()).to_vec(),
                created_at: clock::now(),
                revoked_at: None,
            };
            store.put_api_key(key).await?;
        }
        let keys = store.api_keys().await?;
        let per = rate.window / rate.count.max(1);
        let quota = Quota::with_period(per)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN));
        let host = url::Url::parse(public_url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        Ok(Self { store, keys: RwLock::new(keys), changes: AtomicU64::new(0), loopback, host, limiter: RateLimiter::keyed(quota), rate })
    }

    /// Keys made or revoked on another node hold here within seconds. Runs until the process ends.
    pub async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            let changes = self.changes.load(Ordering::Acquire);
            match self.store.api_keys().await {
                Ok(read) => {
                    let mut keys = self.keys.write();
                    // What was changed here while it was read is not undone by what was read.
                    if self.changes.load(Ordering::Acquire) == changes {
                        *keys = read;
                    }
                }
                Err(e) => tracing::debug!(error = %e, "keys cannot be read now"),
            }
        }
    }

    /// Whether there is a key in force.
    pub fn any(&self) -> bool {
        self.keys.read().iter().any(|k| k.revoked_at.is_none())
    }

    /// All keys, without their hashes.
    pub fn list(&self) -> Vec<ApiKey> {
        self.keys.read().clone()
    }

    /// Makes a key; answers it with its secret, which is shown this once.
    pub async fn create(&self, name: String, scopes: Vec<String>, channels: Vec<String>) -> Result<(ApiKey, String), Problem> {
        if let Some(wrong) = scopes.iter().find(|s| !SCOPES.contains(&s.as_str())) {
            let detail = format!("there is no scope `{wrong}`; there are {}", SCOPES.join(", "));
            return Err(Problem::new(&problem::INVALID, detail).at("#/scopes", "scope_unknown"));
        }
        let secret = format!("fw_{}", ids::secret());
        let key = ApiKey {
            id: ids::text("key_", ids::random()),
            name,
            scopes: if scopes.is_empty() { vec!["messages:write".into(), "messages:read".into()] } else { scopes },
            channels,
            hash: crypto::sha256(secret.as_bytes()).to_vec(),
            created_at: clock::now(),
            revoked_at: None,
        };
        self.store.put_api_key(key.clone()).await?;
        let mut keys = self.keys.write();
        if !keys.iter().any(|k| k.id == key.id) {
            keys.push(key.clone());
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
        drop(keys);
        Ok((key, secret))
    }

    /// Revokes a key; false when there is none.
    pub async fn revoke(&self, id: &str) -> Result<bool, Problem> {
        let Some(mut key) = self.keys.read().iter().find(|k| k.id == id).cloned() else { return Ok(false) };
        key.revoked_at = Some(clock::now());
        self.store.put_api_key(key.clone()).await?;
        let mut keys = self.keys.write();
        if let Some(old) = keys.iter_mut().find(|k| k.id == id) {
            *old = key;
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
        drop(keys);
        Ok(true)
    }

    fn check(&self, headers: &HeaderMap, peer: Option<SocketAddr>, post: bool) -> Result<Caller, Problem> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(bearer);
        if let Some(secret) = bearer {
            let hash = crypto::sha256(secret.as_bytes());
            let keys = self.keys.read();
            let found = keys.iter().find(|k| k.revoked_at.is_none() && crypto::equal(&k.hash, &hash));
            return match found {
                Some(key) => Ok(Caller { id: key.id.clone(), scopes: key.scopes.clone(), channels: key.channels.clone() }),
                None => Err(Problem::new(&problem::UNAUTHENTICATED, "this key is unknown or revoked")),
            };
        }
        if self.any() {
            return Err(Problem::new(&problem::UNAUTHENTICATED, "send `Authorization: Bearer fw_...`"));
        }
        self.check_loopback(headers, peer, post)?;
        Ok(Caller { id: "loopback".into(), scopes: vec!["admin".into()], channels: Vec::new() })
    }

    /// Without any key: only this machine, not through a proxy, not from another page in its browser.
    fn check_loopback(&self, headers: &HeaderMap, peer: Option<SocketAddr>, post: bool) -> Result<(), Problem> {
        let no = |why: &str| {
            Err(Problem::new(&problem::UNAUTHENTICATED, format!("without an API key {why}; create one with `fairway key create`")))
        };
        let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let host = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(h, _)| h);
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]") || !host.is_empty() && host == self.host;
        if !self.loopback || !local || peer.is_some_and(|p| !p.ip().is_loopback()) {
            return no("only this machine may ask");
        }
        if headers.keys().any(|n| n.as_str() == "forwarded" || n.as_str() == "via" || n.as_str().starts_with("x-forwarded-")) {
            return no("nobody may ask through a proxy");
        }
        if let Some(site) = headers.get("sec-fetch-site")
            && site != "same-origin"
            && site != "none"
        {
            return no("no other site may ask");
        }
        // None of these can be sent by another page without asking first.
        let json = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|v| {
            let v = v.split(';').next().unwrap_or_default().trim();
            matches!(v, "application/json" | "application/x-ndjson" | "application/jsonl" | "text/csv")
        });
        let empty = headers.get(header::CONTENT_LENGTH).is_none_or(|v| v == "0") && !headers.contains_key(header::TRANSFER_ENCODING);
        if post && !json && !empty {
            return Err(Problem::new(&problem::MEDIA_TYPE, "without an API key bodies must be application/json"));
        }
        Ok(())
    }
}

/// The token behind `Bearer`, in whichever case that is written (RFC 9110, 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim())
}

/// Checks every API request: key, then quota.
pub async fn guard(Extract(api): Extract<Api>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0);
    let post = !matches!(*request.method(), http::Method::GET | http::Method::HEAD | http::Method::OPTIONS);
    // An upload is the one body that is not JSON; a page of another site cannot send its own header without asking first.
    let upload = matches!(request.uri().path(), "/v1/media" | "/v1/contacts/import") && request.headers().contains_key("fairway-upload");
    match api.keys.check(request.headers(), peer, post && !upload) {
        Ok(caller) => {
            if api.keys.limiter.check_key(&caller.id).is_err() {
                let detail = format!("at most {} for each key", api.keys.rate);
                return Problem::new(&problem::QUOTA, detail).retry_after(1).into_response();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::new(&problem::UNAUTHENTICATED, "send `Authorization: Bearer fw_...`"))
    }
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer("Bearer fw_a"), Some("fw_a"));
        assert_eq!(bearer("bearer  fw_a "), Some("fw_a"));
        assert_eq!(bearer("Basic fw_a"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}

//! `Idempotency-Key`: the same body under the same key gets the first answer again; another body is refused.

use fairway_adapters::kit::crypto;
use http::HeaderMap;

use super::problem::{self, Problem};
use crate::clock;
use crate::ids::{self, Fingerprint};
use crate::store::{Store, Used};

/// A key in use.
pub struct Key {
    /// Credential, path and key: what the derived ids hang on.
    pub scope: String,
    fingerprint: Fingerprint,
}

/// How a keyed request goes on.
pub enum Begin {
    /// For the first time.
    Fresh,
    /// The key was used by the same body, but no answer was stored: perhaps a crash. The act is repeated under the same id.
    Again,
    /// It was done: this was the answer.
    Done(u16, String),
}

impl Key {
    /// The key of a request, if it has one. Quoted (as the draft says) and unquoted are the same.
    pub fn of(headers: &HeaderMap, caller: &str, path: &str, body: &[u8]) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
        Self::named(text, caller, path, body)
    }

    /// A key given as text.
    pub fn named(text: &str, caller: &str, path: &str, body: &[u8]) -> Result<Option<Self>, Problem> {
        if text.is_empty() || text.len() > 255 {
            return Err(Problem::new(&problem::MALFORMED, "Idempotency-Key has 1 to 255 characters"));
        }
        let scope = format!("{caller} POST {path} {text}");
        Ok(Some(Self { scope, fingerprint: ids::fingerprint(&[&crypto::sha256(body)]) }))
    }

    /// Uses the key; durable when it answers.
    pub async fn begin(&self, store: &dyn Store) -> Result<Begin, Problem> {
        match store.use_key(&self.scope, self.fingerprint, clock::now()).await? {
            Used::Fresh => Ok(Begin::Fresh),
            Used::Same(Some((status, body))) => Ok(Begin::Done(status, body)),
            Used::Same(None) => Ok(Begin::Again),
            Used::Other => Err(Problem::new(&problem::KEY_REUSED, "use a new key for a new body")),
        }
    }

    /// Stores the answer; errors of ours and refusals for now are not kept, so that the caller can come again.
    pub async fn finish(&self, store: &dyn Store, status: u16, body: &str) {
        let stored = if status >= 500 || status == 429 {
            store.free_key(&self.scope).await
        } else {
            store.answer_key(&self.scope, status, body.to_owned()).await
        };
        if let Err(e) = stored {
            tracing::warn!(error = %e, "the answer of an idempotency key could not be stored");
        }
    }
}

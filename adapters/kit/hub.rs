//! Webhooks of the "hub" kind: a GET with a challenge when they are registered, `X-Hub-Signature-256` on each POST.

use http::{Method, StatusCode};

use super::crypto::{self, Key};
use super::form;
use crate::contract::{Ack, Secrets, Verified, VerifyError, Webhook};

/// Checks a registration by its token and a delivery by its signature, with any of the keys.
pub fn verify<'a>(hook: Webhook<'a>, keys: &[Key], tokens: &Secrets) -> Result<Verified<'a>, VerifyError> {
    if hook.method == Method::GET {
        let token = form::query(hook.query, "hub.verify_token").ok_or(VerifyError::Missing { status: StatusCode::FORBIDDEN })?;
        let subscribes = form::query(hook.query, "hub.mode").as_deref() == Some("subscribe");
        let known = crypto::is_one_of(tokens, &token);
        return if subscribes && known { Ok(hook.verified()) } else { Err(VerifyError::Mismatch { status: StatusCode::FORBIDDEN }) };
    }
    let tag = hook.header("x-hub-signature-256").ok_or(VerifyError::MISSING)?;
    let tag: [u8; 32] = tag.trim().strip_prefix("sha256=").and_then(crypto::unhex).ok_or(VerifyError::MISMATCH)?;
    if crypto::signed(keys, hook.body, &tag) { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) }
}

/// The answer to a registration: the challenge, raw. `None` for a delivery.
pub fn challenge<'a>(hook: &Webhook<'a>) -> Option<Ack<'a>> {
    if hook.method != Method::GET {
        return None;
    }
    Some(Ack::text(form::query(hook.query, "hub.challenge")?))
}

/// The header value that proves a body, for those who sign.
pub fn signature(key: &Key, body: &[u8]) -> String {
    format!("sha256={}", crypto::hex(&crypto::sign(key, body)))
}

//! Proofs: an HMAC over body, nonce and time, or a user name and a password for an SMS plan.

use super::Channel;
use crate::contract::{Secret, Time, VerifyError, Webhook};
use crate::kit::crypto;

/// A delivery may be repeated for nearly a day, and it is not said whether a repetition is signed afresh. The ids in it
/// are known again, so an old one does no harm.
const OLDEST_SECS: i64 = 86_400 + 300;
const YOUNGEST_SECS: i64 = 300;

const SIGNATURE: &str = "x-sinch-webhook-signature";
const STAMP: &str = "x-sinch-webhook-signature-timestamp";
const NONCE: &str = "x-sinch-webhook-signature-nonce";
const ALGORITHM: &str = "x-sinch-webhook-signature-algorithm";

pub(super) fn verify(channel: &Channel, hook: &Webhook<'_>, now: Time) -> Result<(), VerifyError> {
    let Some(tag) = hook.header(SIGNATURE) else { return basic(channel, hook) };
    let header = |name| hook.header(name).ok_or(VerifyError::MISSING);
    let (stamp, nonce, algorithm) = (header(STAMP)?, header(NONCE)?, header(ALGORITHM)?);
    let tag = crypto::unbase64(tag.trim()).ok_or(VerifyError::MISMATCH)?;
    let pieces = [hook.body, b".", nonce.as_bytes(), b".", stamp.as_bytes()];
    if !algorithm.eq_ignore_ascii_case("HmacSHA256") || !crypto::signed_pieces(&channel.keys, &pieces, &tag) {
        return Err(VerifyError::MISMATCH);
    }
    let age = now.0 / 1000 - stamp.parse::<i64>().map_err(|_| VerifyError::MISMATCH)?;
    if (-YOUNGEST_SECS..=OLDEST_SECS).contains(&age) { Ok(()) } else { Err(VerifyError::Stale) }
}

fn basic(channel: &Channel, hook: &Webhook<'_>) -> Result<(), VerifyError> {
    let settings = &channel.settings;
    let (Some(user), Some(password)) = (&settings.callback_user, &settings.callback_password) else { return Err(VerifyError::MISSING) };
    let given = hook.header("authorization").and_then(|h| h.strip_prefix("Basic ")).ok_or(VerifyError::MISSING)?;
    let expected = Secret::new(crypto::base64(format!("{user}:{}", password.reveal()).as_bytes()));
    if crypto::equal(expected.reveal().as_bytes(), given.trim().as_bytes()) { Ok(()) } else { Err(VerifyError::MISMATCH) }
}

/// The headers of a signed delivery (twins).
pub(super) fn headers(secret: &str, body: &[u8], nonce: &str, stamp: i64) -> Vec<(String, String)> {
    let key = crypto::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let stamp = stamp.to_string();
    let tag = crypto::sign_pieces(&key, &[body, b".", nonce.as_bytes(), b".", stamp.as_bytes()]);
    [(SIGNATURE, crypto::base64(&tag)), (STAMP, stamp), (NONCE, nonce.to_owned()), (ALGORITHM, "HmacSHA256".to_owned())]
        .map(|(n, v)| (n.to_owned(), v))
        .into()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, Method};
    use serde_json::json;

    use super::*;
    use crate::contract::{Adapter, Context, twin::Twin as _};

    fn check(more: serde_json::Value, body: &[u8], headers: &[(&'static str, &str)], now: i64) -> Result<(), &'static str> {
        let mut settings = super::super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let headers: HeaderMap = headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().expect("ASCII"))).collect();
        let hook = Webhook { method: &Method::POST, url: "", query: "", headers: &headers, body };
        let cx = Context { now: Time::from_secs(now), public_url: "", hook_url: "", login: None, keys: None };
        channel.verify(hook, &cx).map(|_| ()).map_err(|e| e.label())
    }

    #[test]
    fn the_published_vector_holds() {
        let body = br#"{"app_id":"fakeapp","message":{"id":"01FAKE"}}"#;
        let secret = json!({ "webhook_secret": ["new", "fake_sinch_webhook_secret"] });
        let signed = |tag| [(SIGNATURE, tag), (STAMP, "1793610930"), (NONCE, "fakenonce01"), (ALGORITHM, "HmacSHA256")];
        let tag = "1JgO6xZd9ifAEYW0RBhPbAm4Q6Vun23GwSUxatLqXKw=";
        assert_eq!(check(secret.clone(), body, &signed(tag), 1_793_610_930), Ok(()));
        assert_eq!(check(secret.clone(), &body[1..], &signed(tag), 1_793_610_930), Err("mismatch"));
        assert_eq!(check(secret.clone(), body, &signed("1JgO6"), 1_793_610_930), Err("mismatch"));
        assert_eq!(check(secret.clone(), body, &signed(tag), 1_793_610_930 + 90_000), Err("stale"));
        assert_eq!(check(secret.clone(), body, &signed(tag)[..3], 1_793_610_930), Err("missing"));
        let other = [(SIGNATURE, tag), (STAMP, "1793610930"), (NONCE, "fakenonce01"), (ALGORITHM, "none")];
        assert_eq!(check(secret, body, &other, 1_793_610_930), Err("mismatch"));
    }

    #[test]
    fn a_plan_may_have_a_password() {
        let more = json!({ "callback_user": "u", "callback_password": "p" });
        assert_eq!(check(more.clone(), b"{}", &[("authorization", "Basic dTpw")], 0), Ok(()));
        assert_eq!(check(more.clone(), b"{}", &[("authorization", "Basic dTpx")], 0), Err("mismatch"));
        assert_eq!(check(more, b"{}", &[], 0), Err("missing"));
    }
}

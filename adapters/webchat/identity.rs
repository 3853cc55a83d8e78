//! Proofs of identity: a JWT (HS256) that the site's own backend makes. What the page says about a person without one is
//! never believed.
//!
//! Checked by hand on our own HMAC: the library reads the system clock, and this crate has none.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::pass::Visitor;
use crate::contract::{Secrets, Time};
use crate::kit::crypto;

/// Clocks of two machines may differ by this much.
const LEEWAY_MS: i64 = 60_000;

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not signed with one of the channel's identity secrets, or without a person in it.
    #[error("identity_invalid")]
    Invalid,
    /// It was good once: the page should fetch a fresh one.
    #[error("identity_expired")]
    Expired,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    external_id: Option<Id>,
    user_id: Option<Id>,
    sub: Option<Id>,
    name: Option<String>,
    email: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

/// Sites number their people or name them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// The person a proof names, and until when it holds.
pub fn check(secrets: &Secrets, jwt: &str, now: Time) -> Result<(Visitor, Option<Time>), Refused> {
    let (signed, tag) = jwt.trim().rsplit_once('.').ok_or(Refused::Invalid)?;
    let (header, claims) = signed.split_once('.').ok_or(Refused::Invalid)?;
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| Refused::Invalid);
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Refused::Invalid)?;
    // The proof must not choose how it is checked: `none` and the key-pair algorithms are refused before anything else.
    if header.alg != "HS256" || secrets.is_empty() {
        return Err(Refused::Invalid);
    }
    if !crypto::signed(&crypto::sha256_keys(secrets), signed.as_bytes(), &decoded(tag)?) {
        return Err(Refused::Invalid);
    }
    let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| Refused::Invalid)?;
    let expires = claims.exp.map(|at| Time((at * 1000.0) as i64));
    if claims.nbf.is_some_and(|at| (at * 1000.0) as i64 > now.0 + LEEWAY_MS) {
        return Err(Refused::Invalid);
    }
    if expires.is_some_and(|at| at.plus(LEEWAY_MS) < now) {
        return Err(Refused::Expired);
    }
    let id = [claims.external_id, claims.user_id, claims.sub].into_iter().flatten().map(Id::text).find(|id| !id.trim().is_empty());
    let id = id.filter(|id| id.len() <= 256).ok_or(Refused::Invalid)?;
    let short = |text: Option<String>| text.map(|t| t.chars().take(200).collect::<String>()).filter(|t| !t.trim().is_empty());
    let visitor =
        Visitor { session: session_of(&id), name: short(claims.name), email: short(claims.email), external_id: Some(id), locale: None };
    Ok((visitor, expires))
}

/// The session of a person whom the site has named: the same on every device, and without the site's id in it.
pub fn session_of(external_id: &str) -> String {
    format!("u-{}", crypto::fingerprint(&["webchat-person", external_id]))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vectors of the fact sheet.
    const HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImFwcF9mYWtlIn0";
    const BODY: &str = "eyJzY29wZSI6InVzZXIiLCJleHRlcm5hbF9pZCI6InVzZXItNDcxMSIsImlhdCI6MTc5NTAwMDAwMCwiZXhwIjoxNzk1MDAzNjAwfQ";
    const TAG: &str = "CZweDMTqHhA2gySQKO9b84zXxaxvCD9ZY6eiuYoWgdY";
    const NOW: Time = Time(1_795_001_000_000);

    fn secrets() -> Secrets {
        serde_json::from_value(serde_json::json!(["another-passphrase-1", "fake-widget-passphrase"])).expect("secrets")
    }

    fn made(header: &str, claims: &str, secret: &str) -> String {
        let signed = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let key = &crypto::sha256_keys(&Secrets::one(secret))[0];
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(crypto::sign(key, signed.as_bytes())))
    }

    #[test]
    fn the_vector_of_the_sheet_is_accepted() {
        let (visitor, expires) = check(&secrets(), &format!("{HEAD}.{BODY}.{TAG}"), NOW).expect("a good proof");
        assert_eq!(visitor.external_id.as_deref(), Some("user-4711"));
        assert!(visitor.session.starts_with("u-") && !visitor.session.contains("4711"));
        assert_eq!(expires, Some(Time(1_795_003_600_000)));
    }

    #[test]
    fn what_is_wrong_or_old_is_refused_under_its_name() {
        let good = format!("{HEAD}.{BODY}.{TAG}");
        assert_eq!(check(&secrets(), &good, Time(1_795_003_700_000)), Err(Refused::Expired));
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'x' { b'y' } else { b'x' };
            assert!(check(&secrets(), &String::from_utf8(bad).expect("ASCII"), NOW).is_err(), "a changed byte at {at}");
        }
        let secret = "fake-widget-passphrase";
        for (header, claims) in [
            (r#"{"alg":"none"}"#, r#"{"sub":"a"}"#),
            (r#"{"alg":"HS384"}"#, r#"{"sub":"a"}"#),
            (r#"{"alg":"HS256"}"#, r#"{"email":"ana@example.net"}"#),
            (r#"{"alg":"HS256"}"#, r#"{"sub":" "}"#),
            (r#"{"alg":"HS256"}"#, r#"{"sub":"a","nbf":1795009999}"#),
            (r#"{"alg":"HS256"}"#, "[]"),
        ] {
            assert_eq!(check(&secrets(), &made(header, claims, secret), NOW), Err(Refused::Invalid), "{header} {claims}");
        }
        let fine = made(r#"{"alg":"HS256"}"#, r#"{"user_id":17,"name":"Ana"}"#, secret);
        assert!(check(&secrets(), &fine, NOW).is_ok());
        assert_eq!(check(&Secrets::default(), &fine, NOW), Err(Refused::Invalid));
    }
}

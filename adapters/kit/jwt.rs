//! JSON Web Tokens (RFC 7519), taken apart and put together by hand: the usual library reads the system clock, and this
//! crate has none. A token says in its header how it is signed, and is never believed about that: the caller decides.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::crypto;
use crate::contract::{Time, Webhook};

/// A token taken apart. Nothing of it is proved until `hs256` or `rs256` says so.
pub struct Token<'t> {
    /// Its header.
    pub header: Map<String, Value>,
    /// What it claims.
    pub claims: Map<String, Value>,
    signed: &'t str,
    tag: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Takes a token apart; `None` when it is none.
    pub fn parse(text: &'t str) -> Option<Self> {
        let (signed, tag) = text.trim().rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| serde_json::from_slice::<Map<String, Value>>(&unbase64(part)?).ok();
        Some(Self { header: object(header)?, claims: object(claims)?, signed, tag: unbase64(tag)? })
    }

    /// The token in a delivery's `Authorization` header.
    pub fn bearer(hook: &Webhook<'t>) -> Option<&'t str> {
        let (scheme, token) = hook.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// A field of the header.
    pub fn head(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// A claim that is text.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim that is a time, in seconds.
    pub fn time(&self, name: &str) -> Option<Time> {
        let seconds = self.claims.get(name)?.as_f64().filter(|s| s.is_finite() && s.abs() < 1e12)?;
        Some(Time((seconds * 1000.0) as i64))
    }

    /// Whether it is valid at this time, give or take some milliseconds. A token without an end never is.
    pub fn is_current(&self, now: Time, leeway_ms: i64) -> bool {
        let begun = self.time("nbf").is_none_or(|at| at.plus(-leeway_ms) <= now);
        begun && self.time("exp").is_some_and(|at| now <= at.plus(leeway_ms))
    }

    /// Whether one of these keys signed it with HMAC-SHA256.
    pub fn hs256(&self, keys: &[crypto::Key]) -> bool {
        self.head("alg") == Some("HS256") && crypto::signed(keys, self.signed.as_bytes(), &self.tag)
    }

    /// Whether the owner of this key signed it with RSA and SHA-256.
    pub fn rs256(&self, key: &Jwk) -> bool {
        let public = RsaPublicKeyComponents { n: &key.n, e: &key.e };
        self.head("alg") == Some("RS256") && public.verify(&RSA_PKCS1_2048_8192_SHA256, self.signed.as_bytes(), &self.tag).is_ok()
    }
}

/// A published RSA key (RFC 7517).
pub struct Jwk {
    n: Vec<u8>,
    e: Vec<u8>,
    /// What else is said about it.
    pub more: Map<String, Value>,
}

/// The key of this name in a published set.
pub fn key(set: &[u8], kid: &str) -> Option<Jwk> {
    let set: Value = serde_json::from_slice(set).ok()?;
    let found = set.get("keys")?.as_array()?.iter().find(|key| key["kid"] == kid)?;
    let part = |name: &str| unbase64(found[name].as_str()?);
    Some(Jwk { n: part("n")?, e: part("e")?, more: found.as_object()?.clone() })
}

/// A private key of our own.
pub struct Signer(RsaKeyPair);

impl Signer {
    /// Reads a PEM, PKCS #8 or PKCS #1. Line breaks may be written as `\n`, as environment variables have them.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let pem = pem.replace("\\n", "\n");
        let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(body).ok()?;
        RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).ok().map(Self)
    }

    /// A token with these claims, signed with RSA and SHA-256. `kid` names the key where the reader wants that.
    pub fn token(&self, claims: &Value, kid: Option<&str>) -> Option<String> {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let signed = unsigned(&header, claims);
        let mut tag = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut tag).ok()?;
        Some(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag)))
    }

    /// The public half as a published key.
    pub fn published(&self, kid: &str) -> Value {
        use aws_lc_rs::signature::KeyPair as _;
        let public = self.0.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        let text = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        json!({ "kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
            "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero()) })
    }
}

/// A token signed with HMAC-SHA256 (twins).
pub fn hs256(key: &crypto::Key, claims: &Value) -> String {
    let signed = unsigned(&json!({ "alg": "HS256", "typ": "JWT" }), claims);
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(crypto::sign(key, signed.as_bytes())))
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn unbase64(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Secrets;
    use crate::kit::sample;

    #[test]
    fn what_one_signs_the_other_believes() {
        let signer = Signer::from_pem(sample::private_key()).expect("a key");
        let text = signer.token(&json!({ "iss": "me", "nbf": 100, "exp": 200 }), Some("k1")).expect("signed");
        let set = json!({ "keys": [signer.published("k0"), signer.published("k1")] }).to_string();
        let token = Token::parse(&text).expect("a token");
        assert!(token.rs256(&key(set.as_bytes(), "k1").expect("the key")));
        assert!(key(set.as_bytes(), "k2").is_none());
        assert_eq!((token.head("kid"), token.claim("iss")), (Some("k1"), Some("me")));
        assert!(
            token.is_current(Time::from_secs(205), 5000)
                && !token.is_current(Time::from_secs(206), 5000)
                && !token.is_current(Time(0), 5000)
        );
        let other = text.replacen(&text[30..32], if &text[30..32] == "AA" { "BB" } else { "AA" }, 1);
        assert!(Token::parse(&other).is_none_or(|t| !t.rs256(&key(set.as_bytes(), "k1").expect("the key"))));
    }

    #[test]
    fn the_caller_decides_how_it_is_signed() {
        let keys = crypto::sha256_keys(&Secrets::one("a shared secret"));
        let text = hs256(&keys[0], &json!({ "a": 1 }));
        assert!(Token::parse(&text).is_some_and(|t| t.hs256(&keys)));
        let none = format!("{}.", unsigned(&json!({ "alg": "none" }), &json!({ "a": 1 })));
        assert!(Token::parse(&none).is_none_or(|t| !t.hs256(&keys)));
        assert!(Token::parse("a.b").is_none() && Token::parse("").is_none());
    }
}

//! Tokens that a channel signs for itself (RFC 7519 with ES256 or PS256) and shows with every call, without a login.
//!
//! Both kinds of signature have randomness in them: signing equal claims twice makes two tokens. Providers count tokens
//! and cache what they have checked, so the last one is kept and shown again for as long as its claims are asked for.
//! This is all that an adapter remembers; forgetting it costs a signature and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PSS_SHA256, RsaKeyPair};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::contract::Secret;

/// Audiences a channel talks to at once; more only cost signatures.
const KEPT: usize = 64;

enum Key {
    Es256(Box<EcdsaKeyPair>),
    Ps256(Box<RsaKeyPair>),
}

/// A private key with the tokens it signed last.
pub struct TokenSigner {
    key: Key,
    kept: Mutex<HashMap<String, Secret>>,
}

impl TokenSigner {
    fn new(key: Key) -> Self {
        Self { key, kept: Mutex::default() }
    }

    /// A P-256 key in PEM (PKCS #8) for ES256.
    pub fn es256(pem: &str) -> Option<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(pem)?).ok()?;
        Some(Self::new(Key::Es256(Box::new(key))))
    }

    /// A P-256 key as its scalar (32 bytes) and its uncompressed point (65 bytes); `None` when they do not belong together.
    pub fn es256_raw(private: &[u8], public: &[u8]) -> Option<Self> {
        let key = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, private, public).ok()?;
        Some(Self::new(Key::Es256(Box::new(key))))
    }

    /// An RSA key in PEM (PKCS #8) for PS256.
    pub fn ps256(pem: &str) -> Option<Self> {
        Some(Self::new(Key::Ps256(Box::new(RsaKeyPair::from_pkcs8(&der(pem)?).ok()?))))
    }

    /// The public half: the uncompressed point, or the DER of an RSA key.
    pub fn public(&self) -> Vec<u8> {
        match &self.key {
            Key::Es256(key) => key.public_key().as_ref().to_vec(),
            Key::Ps256(key) => key.public_key().as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims: the one that was made for them, where it is still at hand.
    pub fn token(&self, header: &Value, claims: &Value) -> Option<Secret> {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = kept.get(&signed) {
            return Some(token.clone());
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let token = Secret::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?)));
        kept.insert(signed, token.clone());
        Some(token)
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Es256(key) => Some(key.sign(&random, text).ok()?.as_ref().to_vec()),
            Key::Ps256(key) => {
                let mut tag = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PSS_SHA256, &random, text, &mut tag).ok()?;
                Some(tag)
            }
        }
    }
}

/// Reads a PEM. Line breaks may be written as `\n`, as environment variables have them.
fn der(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.replace("\\n", "\n").lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(body).ok()
}

/// A P-256 key in PEM for twins and tests, made when it is first asked for and never kept.
pub fn sample_es256() -> &'static str {
    static KEY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    KEY.get_or_init(|| {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key can be made");
        let der = pair.to_pkcs8v1().expect("a key can be written");
        let label = "PRIVATE KEY";
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", super::crypto::base64(der.as_ref()))
    })
}

/// Whether the owner of this public key signed the token so (twins and tests): ES256 with the uncompressed point, PS256
/// with the DER of the RSA key.
pub fn is_signed(token: &str, algorithm: &str, public: &[u8]) -> bool {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
    let Some((signed, tag)) = token.rsplit_once('.') else { return false };
    let named = super::jwt::Token::parse(token).is_some_and(|t| t.head("alg") == Some(algorithm));
    let by: &'static dyn VerificationAlgorithm = if algorithm == "ES256" { &ECDSA_P256_SHA256_FIXED } else { &RSA_PSS_2048_8192_SHA256 };
    let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).unwrap_or_default();
    named && UnparsedPublicKey::new(by, public).verify(signed.as_bytes(), &tag).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kit::sample;

    #[test]
    fn equal_claims_have_one_token_and_others_another() {
        let signer = TokenSigner::es256(sample_es256()).expect("a key");
        let token = |iat: u64| signer.token(&json!({ "alg": "ES256" }), &json!({ "iat": iat })).expect("signed");
        let first = token(1800);
        assert_eq!(first, token(1800));
        assert_ne!(first, token(3600));
        assert!(is_signed(first.reveal(), "ES256", &signer.public()));
        assert!(!is_signed(first.reveal(), "PS256", &signer.public()) && !is_signed("a.b", "ES256", &signer.public()));
    }

    #[test]
    fn rsa_signs_with_a_salt() {
        let signer = TokenSigner::ps256(sample::private_key()).expect("a key");
        let token = signer.token(&json!({ "alg": "PS256" }), &json!({ "iat": 1 })).expect("signed");
        assert!(is_signed(token.reveal(), "PS256", &signer.public()));
    }

    #[test]
    fn no_key_is_no_signer() {
        assert!(TokenSigner::es256("nonsense").is_none() && TokenSigner::es256(sample::private_key()).is_none());
        assert!(TokenSigner::ps256(sample_es256()).is_none() && TokenSigner::es256_raw(&[1; 32], &[4; 65]).is_none());
    }
}

//! What must lie in the log or the store and be readable by the gateway alone: AES-256-GCM with a key made at the first start.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};

/// Seals and opens. Whoever reads the log without the store learns nothing of what is sealed.
pub struct Seal(LessSafeKey);

impl Seal {
    /// A seal of this secret, which must be of 256 bits or more.
    pub fn new(secret: &[u8]) -> Self {
        let key = digest::digest(&digest::SHA256, secret);
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a digest has the length of a key")))
    }

    /// Seals a text for a purpose; it opens for the same purpose only.
    pub fn seal(&self, purpose: &str, text: &str) -> String {
        let mut sealed = vec![0; NONCE_LEN];
        rand::fill(&mut sealed).expect("the system has random numbers");
        let nonce = Nonce::try_assume_unique_for_key(&sealed).expect("it has the length of a nonce");
        let mut body = text.as_bytes().to_vec();
        self.0.seal_in_place_append_tag(nonce, Aad::from(purpose), &mut body).expect("it is shorter than 64 GiB");
        sealed.extend(body);
        BASE64.encode(sealed)
    }

    /// What was sealed for this purpose; `None` for anything else.
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let mut bytes = BASE64.decode(sealed).ok()?;
        let (nonce, body) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.0.open_in_place(nonce, Aad::from(purpose), body).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_for_the_purpose_opens() {
        let seal = Seal::new(b"a secret of the tests");
        let sealed = seal.seal("a", "token");
        assert_eq!(seal.open("a", &sealed).as_deref(), Some("token"));
        assert_ne!(sealed, seal.seal("a", "token"), "no two seals are alike");
        assert_eq!(seal.open("b", &sealed), None);
        assert_eq!(Seal::new(b"another").open("a", &sealed), None);
        for odd in ["", "AAAA", &sealed[1..], "!"] {
            assert_eq!(seal.open("a", odd), None);
        }
    }
}

//! AES-256 as providers use it beside TLS: CBC with padding of their own, and CTR.

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// Decrypts CBC; the padding stays. `None` for a length that is no multiple of 16, or a key of another size.
pub fn cbc_open(key: &[u8], iv: [u8; 16], data: &[u8]) -> Option<Vec<u8>> {
    let mut out = data.to_vec();
    let key = DecryptingKey::cbc(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    key.decrypt(&mut out, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(out)
}

/// Encrypts CBC of data that is padded already (twins).
pub fn cbc_seal(key: &[u8], iv: [u8; 16], data: &[u8]) -> Option<Vec<u8>> {
    let mut out = data.to_vec();
    let key = EncryptingKey::cbc(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    key.less_safe_encrypt(&mut out, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(out)
}

/// Encrypts or decrypts CTR: the same act both ways.
pub fn ctr(key: &[u8], iv: [u8; 16], data: &[u8]) -> Option<Vec<u8>> {
    let mut out = data.to_vec();
    let key = DecryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    key.decrypt(&mut out, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens() {
        let (key, iv) = ([7; 32], [9; 16]);
        let sealed = cbc_seal(&key, iv, &[1; 48]).expect("three blocks");
        assert_ne!(sealed, [1; 48]);
        assert_eq!(cbc_open(&key, iv, &sealed).as_deref(), Some(&[1; 48][..]));
        assert!(cbc_open(&key, iv, &sealed[1..]).is_none() && cbc_open(&key[1..], iv, &sealed).is_none());
        let open = ctr(&key, iv, b"any length").and_then(|sealed| ctr(&key, iv, &sealed));
        assert_eq!(open.as_deref(), Some(&b"any length"[..]));
    }
}

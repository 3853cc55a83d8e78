//! Signatures. Keys are built once per channel; comparisons take constant time.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::{Engine as _, prelude::BASE64_STANDARD};

pub use aws_lc_rs::hmac::Key;

use crate::contract::Secrets;

/// HMAC-SHA256 keys of every accepted secret.
pub fn sha256_keys(secrets: &Secrets) -> Vec<Key> {
    secrets.iter().map(|s| Key::new(hmac::HMAC_SHA256, s.as_bytes())).collect()
}

/// HMAC-SHA1 keys of every accepted secret, for the providers that still sign so.
pub fn sha1_keys(secrets: &Secrets) -> Vec<Key> {
    secrets.iter().map(|s| Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, s.as_bytes())).collect()
}

/// HMAC-SHA512 keys of every accepted secret.
pub fn sha512_keys(secrets: &Secrets) -> Vec<Key> {
    secrets.iter().map(|s| Key::new(hmac::HMAC_SHA512, s.as_bytes())).collect()
}

/// The tag over several pieces as if they were one text.
pub fn sign_pieces(key: &Key, pieces: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    pieces.iter().for_each(|piece| context.update(piece));
    context.sign().as_ref().to_vec()
}

/// Whether one of the keys made this tag over several pieces as if they were one text.
pub fn signed_pieces(keys: &[Key], pieces: &[&[u8]], tag: &[u8]) -> bool {
    keys.iter().any(|key| equal(&sign_pieces(key, pieces), tag))
}

/// Whether one of the keys made this tag over the body.
pub fn signed(keys: &[Key], body: &[u8], tag: &[u8]) -> bool {
    keys.iter().any(|key| hmac::verify(key, body, tag).is_ok())
}

/// The tag itself, for those who sign.
pub fn sign(key: &Key, body: &[u8]) -> Vec<u8> {
    hmac::sign(key, body).as_ref().to_vec()
}

/// Equal, in constant time for equal lengths.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Whether the text is one of the accepted secrets; false when none is configured.
pub fn is_one_of(secrets: &Secrets, text: &str) -> bool {
    secrets.iter().any(|s| !s.is_empty() && equal(s.as_bytes(), text.as_bytes()))
}

/// Decodes hex of a known length without allocating; `None` for anything else.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = text.as_bytes();
    if bytes.len() != N * 2 {
        return None;
    }
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (slot, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *slot = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Decodes standard base64.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("32 bytes")
}

/// A UUID that follows from the parts: the same on every attempt (RFC 9562, version 8).
pub fn uuid(parts: &[&str]) -> String {
    let mut hex = fingerprint(parts).into_bytes();
    hex[12] = b'8';
    hex[16] = b'a';
    let hex = String::from_utf8(hex).unwrap_or_default();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A key for what a provider does not number: the hash of the text, in hex.
pub fn fingerprint(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    hex(&context.finish().as_ref()[..16])
}

//! Signatures and encryption of deliveries (message encryption guide, read 2026-11-20).

use std::borrow::Cow;

use aws_lc_rs::digest;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};

use crate::contract::Secrets;
use crate::kit::xml::Node;
use crate::kit::{aes, crypto};

/// Padding goes up to here, not to AES's own 16.
const BLOCK: usize = 32;

/// A key of the console.
pub(super) struct AesKey([u8; 32]);

impl AesKey {
    /// Reads 43 characters of base64. The last may carry bits that mean nothing.
    pub(super) fn read(text: &str) -> Option<Self> {
        let config =
            GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let key = GeneralPurpose::new(&STANDARD, config).decode(text.trim()).ok()?;
        key.try_into().ok().map(Self)
    }

    fn iv(&self) -> [u8; 16] {
        let mut iv = [0; 16];
        iv.copy_from_slice(&self.0[..16]);
        iv
    }

    /// The message in an `Encrypt`, when it was encrypted with this key for this account.
    pub(super) fn open(&self, encrypted: &str, app_id: &str) -> Option<String> {
        let open = aes::cbc_open(&self.0, self.iv(), &crypto::unbase64(encrypted.trim())?)?;
        let pad = usize::from(*open.last()?);
        let open = open.get(..open.len().checked_sub(pad)?).filter(|_| (1..=BLOCK).contains(&pad))?;
        let length = u32::from_be_bytes(open.get(16..20)?.try_into().ok()?) as usize;
        let message = open.get(20..20_usize.checked_add(length)?)?;
        let owner = open.get(20 + length..)?;
        (owner == app_id.as_bytes()).then(|| String::from_utf8(message.to_vec()).ok())?
    }

    /// The other way (twins).
    pub(super) fn close(&self, random: [u8; 16], message: &str, app_id: &str) -> String {
        let mut open = random.to_vec();
        open.extend((message.len() as u32).to_be_bytes());
        open.extend(message.as_bytes());
        open.extend(app_id.as_bytes());
        let pad = BLOCK - open.len() % BLOCK;
        open.extend(std::iter::repeat_n(pad as u8, pad));
        crypto::base64(&aes::cbc_seal(&self.0, self.iv(), &open).unwrap_or_default())
    }
}

/// The encrypted part of a delivery.
pub(super) fn encrypted(body: &str) -> Option<Cow<'_, str>> {
    // As the content is read, so that what is signed is what is opened.
    if let Some(root) = Node::parse_json(body) {
        return root.words("Encrypt").cloned();
    }
    let (_, rest) = body.split_once("<Encrypt>")?;
    let (inside, _) = rest.split_once("</Encrypt>")?;
    let inside = inside.trim();
    Some(Cow::Borrowed(inside.strip_prefix("<![CDATA[").and_then(|data| data.strip_suffix("]]>")).unwrap_or(inside)))
}

/// SHA-1 over the token and the rest in byte order, in hex.
pub(super) fn sign(token: &str, rest: &[&str]) -> String {
    let mut pieces = vec![token];
    pieces.extend(rest);
    pieces.sort_unstable();
    crypto::hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, pieces.concat().as_bytes()).as_ref())
}

/// Whether one of the tokens made this signature.
pub(super) fn signed(tokens: &Secrets, rest: &[&str], given: &str) -> bool {
    tokens.iter().any(|token| !token.is_empty() && crypto::equal(sign(token, rest).as_bytes(), given.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_whatever_their_last_bits() {
        let key = AesKey::read("FakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFak").expect("a key");
        assert_eq!(crypto::hex(&key.0), "15a91e15a91e15a91e15a91e15a91e15a91e15a91e15a91e15a91e15a91e15a9");
        assert_eq!(AesKey::read("FakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFal").map(|k| k.0), Some(key.0));
        assert!(AesKey::read("short").is_none() && AesKey::read("").is_none());
        for words in ["", "<xml/>", &"long ".repeat(50)] {
            let closed = key.close(*b"0123456789abcdef", words, "wx1");
            assert_eq!(key.open(&closed, "wx1").as_deref(), Some(words));
            assert!(key.open(&closed, "wx2").is_none());
        }
        assert!(key.open("AAAA", "wx1").is_none() && key.open("", "wx1").is_none());
    }
}

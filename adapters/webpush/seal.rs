//! Encryption for one browser: aes128gcm (RFC 8188) with the keys of RFC 8291.
//!
//! The standard wants a new key pair and a new salt for every message. An adapter has no random numbers, so both are derived
//! ([`Seeds`]): HKDF over the VAPID private key, with the subscription and the content as its information. That is safe:
//!
//! - Without the private key the output of HKDF cannot be told from random numbers.
//! - The content is part of what they are derived from, so two different contents never meet under one key and nonce;
//!   the same content for the same message and browser makes the same bytes, which says nothing new to anybody.
//! - Who steals the private key can derive a key only together with the content, which is what it would be for.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;

/// Bytes in front of the ciphertext: salt, record size, length of the key, the key.
const HEADER: usize = 16 + 4 + 1 + 65;
/// The size of a record; there is one.
const RECORD: u32 = 4096;
/// Bytes of content that fit into a body of 4,096: less the header, the delimiter and the tag.
pub(super) const CONTENT: usize = 4096 - HEADER - 1 - 16;
/// Content is filled up to a multiple of this, so that its length says little.
const STEP: usize = 128;

/// For whom it is encrypted.
pub(super) struct Browser<'b> {
    pub(super) public: &'b [u8],
    pub(super) auth: &'b [u8],
}

/// What a message is encrypted with.
pub(super) struct Ephemeral {
    private: PrivateKey,
    salt: [u8; 16],
}

impl Ephemeral {
    /// From a scalar and a salt; `None` when the scalar is none of the curve's.
    pub(super) fn new(scalar: &[u8], salt: [u8; 16]) -> Option<Self> {
        Some(Self { private: PrivateKey::from_private_key(&ECDH_P256, scalar).ok()?, salt })
    }
}

/// Derives what random numbers would be used for.
pub(super) struct Seeds(Prk);

impl Seeds {
    pub(super) fn new(private: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"fairway web push").extract(private))
    }

    /// Key and salt for this content of this message to this browser.
    pub(super) fn ephemeral(&self, id: &str, browser: &Browser<'_>, content: &[u8]) -> Option<Ephemeral> {
        let content = crate::kit::crypto::sha256(content);
        // One scalar in four billion is none of the curve's: then the next is taken.
        (0..4_u8).find_map(|attempt| {
            let info = [id.as_bytes(), b"\0", browser.public, browser.auth, &content, &[attempt]];
            let mut out = [0; 48];
            self.0.expand(&info, Length(48)).and_then(|okm| okm.fill(&mut out)).ok()?;
            Ephemeral::new(&out[..32], out[32..].try_into().ok()?)
        })
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().expect("32 bytes")
}

/// Key and nonce of the record (RFC 8291, section 3.4). `ours` and `theirs` are those of the sender and the browser.
fn keys(secret: &[u8], browser: &Browser<'_>, sender: &[u8], salt: &[u8]) -> Option<(LessSafeKey, Nonce)> {
    let shared = mac(browser.auth, &[secret]);
    let input = mac(&shared, &[b"WebPush: info\0", browser.public, sender, &[1]]);
    let master = mac(salt, &[&input]);
    let key = mac(&master, &[b"Content-Encoding: aes128gcm\0", &[1]]);
    let nonce = mac(&master, &[b"Content-Encoding: nonce\0", &[1]]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).ok()?);
    Some((key, Nonce::try_assume_unique_for_key(&nonce[..12]).ok()?))
}

fn agreed<T>(private: &PrivateKey, public: &[u8], act: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    agreement::agree(private, UnparsedPublicKey::new(&ECDH_P256, public), (), |secret| act(secret).ok_or(())).ok()
}

/// Encrypts content with some zeros behind it; `None` when the browser's key is no point of the curve.
pub(super) fn seal(content: &[u8], padding: usize, browser: &Browser<'_>, with: &Ephemeral) -> Option<Vec<u8>> {
    let sender = with.private.compute_public_key().ok()?;
    let sender = sender.as_ref();
    let (key, nonce) = agreed(&with.private, browser.public, |secret| keys(secret, browser, sender, &with.salt))?;
    let mut record = content.to_vec();
    record.push(2); // the last record
    record.resize(content.len() + 1 + padding, 0);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).ok()?;
    Some([&with.salt, &RECORD.to_be_bytes()[..], &[65], sender, &record].concat())
}

/// How much content of this length is filled up.
pub(super) fn padding(length: usize) -> usize {
    (length.next_multiple_of(STEP).min(CONTENT)).saturating_sub(length)
}

/// Decrypts, as the browser does (twins and tests).
pub(super) fn open(body: &[u8], private: &[u8], browser: &Browser<'_>) -> Option<Vec<u8>> {
    let (salt, sender) = (body.get(..16)?, body.get(21..HEADER)?);
    let own = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
    let (key, nonce) = agreed(&own, sender, |secret| keys(secret, browser, sender, salt))?;
    let mut record = body.get(HEADER..)?.to_vec();
    let plain = key.open_in_place(nonce, Aad::empty(), &mut record).ok()?;
    let end = plain.iter().rposition(|b| *b != 0).filter(|at| plain[*at] == 2)?;
    Some(plain[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::subscription::{base64, unbase64};
    use super::*;
    use crate::kit::crypto;

    struct Vector {
        content: &'static str,
        padding: usize,
        browser_private: &'static str,
        browser_public: &'static str,
        private: &'static str,
        auth: &'static str,
        salt: &'static str,
        body: &'static str,
    }

    /// RFC 8291, appendix A.
    const A: Vector = Vector {
        content: "When I grow up, I want to be a watermelon",
        padding: 0,
        browser_private: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
        browser_public: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        private: "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
        auth: "BTBZMqHH6r4Tts7J_aSIgg",
        salt: "DGv6ra1nlYgDCS1FRnbzlw",
        body: "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
    };

    /// The sheet's own: UTF-8 and padding.
    const B: Vector = Vector {
        content: "{\"title\":\"Order 17\",\"body\":\"Your parcel is here – thanks!\"}",
        padding: 32,
        browser_private: "7--F_Ka5iSscl4dKU9fCT83xketjXbFZTkUBhCbLNfA",
        browser_public: "BK5HAX5X5KT6s5jTcbyXXmevEeZx-eYSur8iPsPrnsczOsltDh2WWaCXVsVKAPurCaQK_e-46zjiHwkXIByEzBs",
        private: "21GGY2hXQEv63iNwOD2OafHu4mjQKrG8jtNRX2osubI",
        auth: "VPkWiKwWwgsa4KchYLGSSQ",
        salt: "sPTeZ2ETY_3H_j-w_a7wpA",
        body: "sPTeZ2ETY_3H_j-w_a7wpAAAEABBBI4PDANR-9WdLW317IzpUzNZwHs_Y-K2an86JGo_KkRrs39QC8GgYLTjfm9bOhyn7jwzzTSmWTFPAF3pltgtR3ylgmPagSGuJf_gQKG5g-z61IWke-w2hmnWhjdsPVGN9r4WRkFjGkix6-C_fdMe6fhM8cspkUHLp7deSkQpYdBJ0YdC_OOIvEYSYagkpcqqvwU44OXLDA5zfpoJ9KB2F6cNUYkX5wjEzwEqxUEarg",
    };

    #[test]
    fn the_vectors() {
        for vector in [A, B] {
            let bytes = |text: &str| unbase64(text).expect("base64url");
            let (public, auth) = (bytes(vector.browser_public), bytes(vector.auth));
            let browser = Browser { public: &public, auth: &auth };
            let with = Ephemeral::new(&bytes(vector.private), bytes(vector.salt).try_into().expect("16 bytes")).expect("a key");
            let body = seal(vector.content.as_bytes(), vector.padding, &browser, &with).expect("sealed");
            assert_eq!(base64(&body), vector.body);
            assert_eq!(open(&body, &bytes(vector.browser_private), &browser).as_deref(), Some(vector.content.as_bytes()));
        }
        assert_eq!(
            crypto::hex(&crypto::sha256(&unbase64(B.body).expect("base64url"))),
            "f5c9b8dea76beb1571f6ba89c063795d5c078e3c4b466be318d2c58b55cb06de"
        );
    }

    #[test]
    fn no_two_contents_share_a_key() {
        let (public, auth) = (unbase64(A.browser_public).expect("a key"), unbase64(A.auth).expect("a secret"));
        let browser = Browser { public: &public, auth: &auth };
        let seeds = Seeds::new(&[7; 32]);
        let sealed = |id: &str, content: &str| {
            let with = seeds.ephemeral(id, &browser, content.as_bytes()).expect("a key");
            seal(content.as_bytes(), 0, &browser, &with).expect("sealed")[..HEADER].to_vec()
        };
        assert_eq!(sealed("msg_1", "hello"), sealed("msg_1", "hello"));
        assert_ne!(sealed("msg_1", "hello"), sealed("msg_1", "hellp"));
        assert_ne!(sealed("msg_1", "hello"), sealed("msg_2", "hello"));
    }

    #[test]
    fn the_fullest_body_has_4096_bytes() {
        let (public, auth) = (unbase64(A.browser_public).expect("a key"), unbase64(A.auth).expect("a secret"));
        let browser = Browser { public: &public, auth: &auth };
        for length in [0, 1, 128, 3900, CONTENT] {
            let content = vec![b'a'; length];
            let with = Seeds::new(&[7; 32]).ephemeral("m", &browser, &content).expect("a key");
            let body = seal(&content, padding(length), &browser, &with).expect("sealed");
            assert!(body.len() <= 4096 && open(&body, &unbase64(A.browser_private).expect("a key"), &browser) == Some(content));
        }
        assert!(seal(b"x", 0, &Browser { public: &[4; 65], auth: &auth }, &Ephemeral::new(&[1; 32], [0; 16]).expect("a key")).is_none());
    }
}

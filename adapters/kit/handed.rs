//! What the gateway's own mail listener hands in: the envelope and the mail, with a proof that only the gateway can make.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::crypto::{self, Key};
use crate::contract::{Secrets, Webhook};

/// The header with the proof: HMAC-SHA256 in hex.
pub const PROOF: &str = "x-fairway-smtp";
/// The header with the envelope's sender; empty for a bounce.
pub const FROM: &str = "x-envelope-from";
/// The header with the envelope's recipients, separated by commas.
pub const TO: &str = "x-envelope-to";

/// What a header cannot hold, and what separates addresses.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b',').add(b' ');

/// The headers of a delivery, proved with the first of the secrets.
pub fn headers(secrets: &Secrets, from: &str, to: &[String], mail: &[u8]) -> Option<HeaderMap> {
    let key = crypto::sha256_keys(secrets).into_iter().next()?;
    let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let from = escaped(from);
    let to = to.iter().map(|address| escaped(address)).collect::<Vec<_>>().join(",");
    let proof = crypto::hex(&crypto::sign_pieces(&key, &pieces(&from, &to, mail)));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("message/rfc822"));
    for (name, value) in [(FROM, from), (TO, to), (PROOF, proof)] {
        headers.insert(name, HeaderValue::from_str(&value).ok()?);
    }
    Some(headers)
}

/// Whether the gateway made this proof.
pub fn proved(keys: &[Key], hook: &Webhook<'_>, proof: &str) -> bool {
    let header = |name: &str| hook.header(name).unwrap_or_default();
    let Some(proof) = crypto::unhex::<32>(proof) else { return false };
    crypto::signed_pieces(keys, &pieces(header(FROM), header(TO), hook.body), &proof)
}

/// The envelope's sender, and its recipients.
pub fn envelope(hook: &Webhook<'_>) -> (Option<String>, Vec<String>) {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let to = hook.header(TO).unwrap_or_default().split(',').filter(|t| !t.is_empty()).map(plain).collect();
    (hook.header(FROM).map(plain), to)
}

fn pieces<'p>(from: &'p str, to: &'p str, mail: &'p [u8]) -> [&'p [u8]; 5] {
    [from.as_bytes(), b"\n", to.as_bytes(), b"\n\n", mail]
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn what_it_proves_is_proved_and_nothing_else() {
        let (secrets, mail) = (Secrets::one("fake-hook-phrase"), b"Subject: x\r\n\r\nHi\r\n");
        let to = ["50%,off@acme.example".to_owned(), "用户@acme.example".to_owned()];
        let headers = headers(&secrets, "ann@example.net", &to, mail).expect("headers");
        let keys = crypto::sha256_keys(&secrets);
        let hook = |body| Webhook { method: &Method::POST, url: "", query: "", headers: &headers, body };
        let proof = headers[PROOF].to_str().expect("text");
        assert!(proved(&keys, &hook(mail), proof) && !proved(&keys, &hook(b"other"), proof) && !proved(&keys, &hook(mail), "00"));
        assert_eq!(envelope(&hook(mail)), (Some("ann@example.net".to_owned()), to.to_vec()));
        assert!(!proved(&crypto::sha256_keys(&Secrets::one("another-phrase")), &hook(mail), proof));
    }
}

//! Signatures of Standard Webhooks, version `v1` (HMAC-SHA256).

use aws_lc_rs::{error::Unspecified, hmac, rand};
use fairway_adapters::kit::crypto;

const PREFIX: &str = "whsec_";

/// A fresh secret: `whsec_` and the base64 of 32 random bytes, from the system's generator, for it guards the receiver.
pub fn new_secret() -> Result<String, Unspecified> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes)?;
    Ok(format!("{PREFIX}{}", crypto::base64(&bytes)))
}

/// The value of `webhook-signature`: one signature for each secret, so that a receiver may change over in its own time.
pub fn signature(secrets: &[String], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    let one = |secret: &String| {
        let key = crypto::unbase64(secret.strip_prefix(PREFIX)?)?;
        Some(format!("v1,{}", crypto::base64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &content).as_ref())))
    };
    secrets.iter().filter_map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        let secrets = [
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned(),
            "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=".to_owned(),
        ];
        let body = br#"{"type":"fairway.message.received","timestamp":"2026-11-20T10:15:30Z","data":{"id":"e1"}}"#;
        assert_eq!(
            signature(&secrets, "msg_fake0001", 1_795_169_730, body),
            "v1,0DohRg0sYmNnLTKKmV8IUtLrjs03nk711OaQs6bvgjU= v1,VJKoHDXXD5WXICHFBfWgZ9cSihK/HNOMx+OF59fzgV4="
        );
        let fresh = new_secret().expect("random bytes");
        assert_eq!(crypto::unbase64(&fresh[PREFIX.len()..]).map(|k| k.len()), Some(32));
    }
}

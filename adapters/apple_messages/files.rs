//! Attachments and large answers: asked for, downloaded, decrypted, and answers unpacked by Apple.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Channel;
use crate::contract::*;
use crate::kit::object::Object;
use crate::kit::{address, aes, crypto};

/// What is needed to get a file: it works like a credential and stays in the gateway.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub url: String,
    pub owner: String,
    /// Hex, after `00`.
    pub key: String,
    /// Base64.
    pub signature: String,
    pub mime: Option<String>,
    /// For a large answer: the extension that made it.
    pub bid: Option<String>,
}

/// The checksum of a file in base64, as asking for the file wants it; some deliveries bring it in hex alone.
pub(super) fn signature(file: &Object<'_>) -> String {
    let hex = || {
        let hex = file.words("signature")?;
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
        Some(bytes.map_or_else(|| hex.to_string(), |bytes| crypto::base64(&bytes)))
    };
    file.words("signature-base64").map(|text| text.into_owned()).or_else(hex).unwrap_or_default()
}

/// Asks where the file is. The names of the headers are those of Apple's own samples of 2025.
pub(super) fn fetch(channel: &Channel, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
    let handle: Sealed = serde_json::from_str(&media.id).ok()?;
    let call = Call::get(format!("{}/preDownload", channel.base))
        .header("source-id", &*channel.settings.business_id)
        .header("mmcs-url", &*handle.url)
        .header("mmcs-owner", &*handle.owner)
        .header("mmcs-signature", &*handle.signature)
        .then(media.id.clone());
    Some(channel.authorised(call, cx))
}

/// One more step, or the file.
pub(super) fn fetched(channel: &Channel, call: &Call, reply: &Reply, cx: &Context<'_>) -> Fetched {
    match reply.status.as_u16() {
        200..=299 => {}
        401 | 403 | 408 | 425 | 429 | 500..=599 => return Fetched::Later,
        status => return Fetched::Gone(format!("the provider answered {status}")),
    }
    if call.url.ends_with("/decodePayload") {
        return Fetched::Opened(reply.body.clone(), Some("application/json".into()));
    }
    let Some(note) = call.then.clone() else { return Fetched::Bytes };
    let Ok(handle) = serde_json::from_slice::<Sealed>(&note) else { return Fetched::Gone("its handle is unreadable".into()) };
    if call.url.ends_with("/preDownload") {
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        return match answer["download-url"].as_str().filter(|url| url.starts_with("http")) {
            Some(url) => {
                let url = address::stand_in(url, channel.settings.api_base.as_deref(), &["icloud-content.com"]);
                Fetched::Call(Call::get(url).redirects(3).then(note))
            }
            None => Fetched::Gone("the provider does not say where it is".into()),
        };
    }
    let Some(open) = decrypt(&handle.key, &reply.body) else { return Fetched::Gone("its key is unreadable".into()) };
    match &handle.bid {
        Some(bid) => {
            let call = Call::new(http::Method::POST, format!("{}/decodePayload", channel.base))
                .header("source-id", &*channel.settings.business_id)
                .header("bid", &**bid)
                .bytes(open);
            Fetched::Call(channel.authorised(call, cx))
        }
        None => Fetched::Opened(open.into(), handle.mime),
    }
}

/// AES-256-CTR from zero; the key is hex behind `00`.
pub(super) fn decrypt(key: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let hex = key.trim();
    let hex = if hex.len() == 66 { hex.strip_prefix("00")? } else { hex };
    aes::ctr(&crypto::unhex::<32>(hex)?, [0; 16], bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_base64_however_it_came() {
        let read = |json: &str| signature(&Object::parse(json).expect("an object"));
        assert_eq!(read(r#"{"signature":"018C"}"#), "AYw=");
        assert_eq!(read(r#"{"signature":"018C","signature-base64":"AYx="}"#), "AYx=");
        assert_eq!(read(r#"{"signature":"not hex"}"#), "not hex");
        assert_eq!(read("{}"), "");
    }

    #[test]
    fn the_published_vector_holds() {
        let key = "00000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
        let sealed = crypto::unhex::<16>("93e474d74921f2b5c787ba08a45a12f3").expect("hex");
        assert_eq!(decrypt(key, &sealed).as_deref(), Some(&b"attachment bytes"[..]));
        assert!(decrypt("00", &sealed).is_none());
    }
}

//! OAuth 1.0a (RFC 5849) with HMAC-SHA1: a request signed for an account, without a token that ends.

use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::crypto;
use crate::contract::{Call, Time};

/// RFC 3986, section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who signs.
pub struct Signer {
    /// The app.
    pub consumer_key: String,
    /// The account.
    pub token: String,
    key: crypto::Key,
}

impl Signer {
    /// The app's and the account's keys and secrets.
    pub fn new(consumer_key: &str, consumer_secret: &str, token: &str, token_secret: &str) -> Self {
        let key = format!("{}&{}", encode(consumer_secret), encode(token_secret));
        let key = crypto::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        Self { consumer_key: consumer_key.to_owned(), token: token.to_owned(), key }
    }

    /// The call with its signature. Bodies that are no forms are not covered. The nonce follows from the call and the
    /// time, so that equal calls are equal.
    pub fn sign(&self, call: Call, now: Time) -> Call {
        let nonce =
            crypto::fingerprint(&[call.method.as_str(), &call.url, &String::from_utf8_lossy(call.body_bytes()), &now.0.to_string()]);
        let header = self.header(call.method.as_str(), &call.full_url(), &now.0.div_euclid(1000).to_string(), &nonce, None);
        call.secret_header("authorization", header)
    }

    /// The header's value.
    pub fn header(&self, method: &str, url: &str, timestamp: &str, nonce: &str, realm: Option<&str>) -> String {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let own = [
            ("oauth_consumer_key", self.consumer_key.as_str()),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", timestamp),
            ("oauth_token", self.token.as_str()),
        ];
        let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (encode(&k), encode(&v))).collect();
        pairs.extend(own.iter().map(|(k, v)| (encode(k), encode(v))));
        pairs.sort();
        let all = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("&");
        let text = format!("{method}&{}&{}", encode(base), encode(&all));
        let signature = crypto::base64(&crypto::sign(&self.key, text.as_bytes()));
        let mut fields: Vec<String> = realm.map(|realm| format!("realm=\"{realm}\"")).into_iter().collect();
        fields.extend(own.iter().map(|(k, v)| format!("{k}=\"{}\"", encode(v))));
        fields.push(format!("oauth_signature=\"{}\"", encode(&signature)));
        format!("OAuth {}", fields.join(", "))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_5849_holds() {
        let signer = Signer::new("dpf43f3p2l4k3l03", "kd94hf93k423kf44", "nnch734d00sl2jdk", "pfkkdhi9sl3r4s00");
        let url = "http://photos.example.net/photos?file=vacation.jpg&size=original";
        let header = signer.header("GET", url, "137131202", "chapoH", Some("Photos"));
        assert!(header.ends_with("oauth_signature=\"MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D\""), "{header}");
        let call = signer.sign(Call::get(url), Time(137_131_202_000));
        assert!(!format!("{call:?}").contains("oauth") && call.secret_headers.len() == 1);
    }
}

//! Proofs: a JWT that binds the body's hash (Messages API), or a `sig` over all parameters (SMS API).

use aws_lc_rs::hmac;
use serde_json::Value;

use super::{Channel, SignatureMethod};
use crate::contract::{Time, VerifyError, Webhook};
use crate::kit::jwt::Token;
use crate::kit::{crypto, form, md5};

/// A delivery may be repeated for a day, and it is not said whether a repetition is signed afresh. Its proof binds the
/// body, and the ids in it are known again, so an old one does no harm.
const OLDEST_SECS: i64 = 86_400 + 300;
const YOUNGEST_SECS: i64 = 300;

/// Checks whichever proof is there.
pub(super) fn verify(channel: &Channel, hook: &Webhook<'_>, now: Time) -> Result<(), VerifyError> {
    if let Some(text) = Token::bearer(hook) {
        return token(channel, hook, text, now);
    }
    let fields = parameters(hook);
    // A delivery without any proof is Vonage's own fault now and then; this answer makes it come back with one.
    let again = VerifyError::Missing { status: http::StatusCode::SERVICE_UNAVAILABLE };
    let sig = fields.iter().find(|(name, _)| name == "sig").map(|(_, sig)| sig.to_ascii_lowercase()).ok_or(again)?;
    let text = signed_text(&fields);
    let method = channel.settings.signature_method;
    let good =
        channel.settings.signature_secret.iter().any(|secret| crypto::equal(signature(method, secret, &text).as_bytes(), sig.as_bytes()));
    if !good {
        return Err(VerifyError::MISMATCH);
    }
    let stamp = fields.iter().find(|(name, _)| name == "timestamp").and_then(|(_, at)| at.parse().ok());
    fresh(stamp.ok_or(VerifyError::MISMATCH)?, now)
}

fn token(channel: &Channel, hook: &Webhook<'_>, text: &str, now: Time) -> Result<(), VerifyError> {
    let token = Token::parse(text).ok_or(VerifyError::MISMATCH)?;
    let hash = crypto::hex(&crypto::sha256(hook.body));
    let ours = |claim: &str, ours: Option<&str>| token.claim(claim).is_none_or(|named| ours.is_none_or(|ours| ours == named));
    let good = token.hs256(&channel.keys)
        && token.claim("payload_hash").is_some_and(|named| crypto::equal(named.to_ascii_lowercase().as_bytes(), hash.as_bytes()))
        && token.claim("iss") == Some("Vonage")
        && ours("application_id", channel.settings.application_id.as_deref());
    if !good {
        return Err(VerifyError::MISMATCH);
    }
    fresh(token.time("iat").ok_or(VerifyError::MISMATCH)?.0 / 1000, now)
}

fn fresh(stamp: i64, now: Time) -> Result<(), VerifyError> {
    let age = now.0 / 1000 - stamp;
    if (-YOUNGEST_SECS..=OLDEST_SECS).contains(&age) { Ok(()) } else { Err(VerifyError::Stale) }
}

/// Every parameter of a delivery, wherever it stands.
pub(super) fn parameters(hook: &Webhook<'_>) -> Vec<(String, String)> {
    let pairs = |bytes: &[u8]| form::fields(bytes).into_iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect::<Vec<_>>();
    let mut fields = pairs(hook.query.as_bytes());
    if hook.is("application/json") {
        if let Ok(Value::Object(object)) = serde_json::from_slice(hook.body) {
            let text = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
            fields.extend(object.into_iter().map(|(name, value)| (name, text(value))));
        }
    } else if hook.is("application/x-www-form-urlencoded") {
        fields.extend(pairs(hook.body));
    }
    fields
}

/// What is signed: `&name=value` in the order of the names, with `&` and `=` in values made harmless.
pub(super) fn signed_text(fields: &[(String, String)]) -> String {
    let mut fields: Vec<&(String, String)> = fields.iter().filter(|(name, _)| name != "sig").collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields.iter().map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_"))).collect()
}

/// The signature, in hex.
pub(super) fn signature(method: SignatureMethod, secret: &str, text: &str) -> String {
    let mac = |algorithm| crypto::hex(&crypto::sign(&crypto::Key::new(algorithm, secret.as_bytes()), text.as_bytes()));
    match method {
        SignatureMethod::Md5Hash => crypto::hex(&md5::md5(format!("{text}{secret}").as_bytes())),
        SignatureMethod::Md5 => crypto::hex(&md5::hmac(secret.as_bytes(), text.as_bytes())),
        SignatureMethod::Sha1 => mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SignatureMethod::Sha256 => mac(hmac::HMAC_SHA256),
        SignatureMethod::Sha512 => mac(hmac::HMAC_SHA512),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use http::{HeaderMap, Method};

    use super::*;
    use crate::contract::{Adapter, Context, twin::Twin as _};

    const SECRET: &str = "fake-signature-secret-0123456789abcdef";
    const BODY: &str = r#"{"channel":"sms","message_type":"text","message_uuid":"11111111-2222-4333-8444-555555555555","to":"14155550199","from":"14155550123","timestamp":"2026-11-02T09:15:30Z","text":"hi"}"#;
    const CLAIMS: &str = r#"{"iat":1793610930,"jti":"0a1b2c3d-fake","iss":"Vonage","payload_hash":"746ea3d4041562429a631cfa395eeab057d05e1caac26965e9bfd2da65972958","api_key":"fakekey1"}"#;

    fn check(method: &str, content: &str, query: &str, body: &str, token: Option<&str>, now: i64) -> Result<(), &'static str> {
        let mut settings = super::super::Twin::new(1).settings();
        settings.insert("signature_secret".into(), SECRET.into());
        settings.insert("signature_method".into(), method.into());
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let mut headers = HeaderMap::new();
        headers.insert("content-type", content.parse().expect("ASCII"));
        if let Some(token) = token {
            headers.insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
        }
        let hook =
            Webhook { method: &Method::POST, url: "https://gw.example.org/hooks/v", query, headers: &headers, body: body.as_bytes() };
        let cx = Context { now: Time::from_secs(now), public_url: "", hook_url: "", login: None, keys: None };
        channel.verify(hook, &cx).map(|_| ()).map_err(|e| e.label())
    }

    #[test]
    fn the_published_token_holds() {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let token = |header: &str, tag: &str| format!("{}.{}.{tag}", part(header), part(CLAIMS));
        let good = token(r#"{"alg":"HS256","typ":"JWT"}"#, "9KpqyBVaqL0zoVjUHntExxxDqtvw5493Z0nwKbzjUk4");
        let json = "application/json";
        assert_eq!(check("md5hash", json, "", BODY, Some(&good), 1_793_610_930), Ok(()));
        assert_eq!(check("md5hash", json, "", &BODY.replace("hi", "ho"), Some(&good), 1_793_610_930), Err("mismatch"));
        assert_eq!(check("md5hash", json, "", BODY, Some(&good), 1_793_610_930 + 90_000), Err("stale"));
        assert_eq!(check("md5hash", json, "", BODY, Some(&token(r#"{"alg":"none"}"#, "")), 1_793_610_930), Err("mismatch"));
        assert_eq!(check("md5hash", json, "", BODY, None, 1_793_610_930), Err("missing"));
    }

    #[test]
    fn the_published_signatures_hold() {
        let fields = "api-key=fakekey1&keyword=A&message-timestamp=2026-11-02+09%3A15%3A30&messageId=FAKE00000001&msisdn=14155550123&nonce=fake-nonce-1&text=a%26b%3Dc+d%C3%A9j%C3%A0&timestamp=1793610930&to=14155550199&type=text";
        let vectors = [
            ("md5hash", "af1549ef88a2a2696adfd63b1fe0d5bf"),
            ("md5", "979d090bd0e19031385a5f7b098972f5"),
            ("sha1", "9cf6ec2ea070e7f7e4e0f69f131608459d1bab29"),
            ("sha256", "bd8589fda5f981a6a7ef5b51a78569c8786f47f5ec18ed45db585d3c89aa89f1"),
            (
                "sha512",
                "d200c988d6cf5f06256c1927418fa37fcc8f78c08cc6b60ff13cae82c85b325f5cb0783987e5e8084154115c917c6b9c679c7909efedef9cf43a05f75fc728d7",
            ),
        ];
        let form = "application/x-www-form-urlencoded";
        for (method, sig) in vectors {
            let body = format!("{fields}&sig={sig}");
            assert_eq!(check(method, form, "", &body, None, 1_793_610_930), Ok(()), "{method}");
            assert_eq!(check(method, form, &format!("{fields}&sig={}", sig.to_uppercase()), "", None, 1_793_610_930), Ok(()), "{method}");
            assert_eq!(
                check(method, form, "", &body.replace("type=text", "type=binary"), None, 1_793_610_930),
                Err("mismatch"),
                "{method}"
            );
            assert_eq!(check(method, form, "", &body, None, 1_793_610_000), Err("stale"), "{method}");
        }
    }
}

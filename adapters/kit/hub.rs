//! Webhooks with a `hub.` handshake and `X-Hub-Signature-256`, and the Graph API's way of saying no: one way for all
//! channels behind that kind of app.

use std::borrow::Cow;

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::borrow::{Maybe, Word};
use super::{crypto, form};
use crate::contract::{Ack, Parsed, Reply, Secrets, Verified, VerifyError, Webhook};

/// Checks a handshake's token or a delivery's signature over the bytes as they came.
pub fn verify<'a>(hook: Webhook<'a>, keys: &[crypto::Key], tokens: &Secrets) -> Result<Verified<'a>, VerifyError> {
    if hook.method == http::Method::GET {
        let (mode, token) = (parameter(&hook, "mode"), parameter(&hook, "verify_token"));
        let good = mode.as_deref() == Some("subscribe") && token.is_some_and(|token| crypto::is_one_of(tokens, &token));
        return if good { Ok(hook.verified()) } else { Err(VerifyError::Mismatch { status: StatusCode::FORBIDDEN }) };
    }
    let header = hook.header("x-hub-signature-256").ok_or(VerifyError::MISSING)?;
    let tag = header.trim().strip_prefix("sha256=").and_then(crypto::unhex::<32>).ok_or(VerifyError::MISMATCH)?;
    if crypto::signed(keys, hook.body, &tag) { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) }
}

/// The answer to a handshake; `None` when the delivery is none.
pub fn handshake<'a>(hook: &Webhook<'a>) -> Option<Parsed<'a>> {
    if hook.method != http::Method::GET {
        return None;
    }
    Some(match parameter(hook, "challenge") {
        Some(challenge) => Parsed { ack: Ack::text(challenge), ..Parsed::default() },
        None => Parsed::not_understood("a GET without a challenge"),
    })
}

/// `hub.NAME`; some proxies write the dot as an underscore.
fn parameter<'a>(hook: &Webhook<'a>, name: &str) -> Option<Cow<'a, str>> {
    form::query(hook.query, &format!("hub.{name}")).or_else(|| form::query(hook.query, &format!("hub_{name}")))
}

/// The signature's header as a twin writes it.
pub fn signature(secret: &str, body: &[u8]) -> (String, String) {
    let tag = crypto::sha256_keys(&Secrets::one(secret)).iter().map(|key| crypto::sign(key, body)).next().unwrap_or_default();
    ("x-hub-signature-256".into(), format!("sha256={}", crypto::hex(&tag)))
}

/// JSON with everything beyond ASCII and every slash escaped, as these webhooks are written: what they sign.
pub fn escaped(body: &serde_json::Value) -> Vec<u8> {
    let mut out = String::new();
    for c in body.to_string().chars() {
        match c {
            '/' => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out.into_bytes()
}

/// What the Graph API says when it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The code, which alone decides.
    pub code: i64,
    /// The finer code; 0 when there is none.
    pub subcode: i64,
    /// Whether it calls itself passing.
    pub transient: bool,
    /// Its words, for the reason's title.
    pub words: String,
}

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Refusal<'a> {
    error: Maybe<Inside<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Inside<'a> {
    code: Word<'a>,
    error_subcode: Word<'a>,
    is_transient: Word<'a>,
    message: Word<'a>,
    error_data: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Details<'a> {
    details: Word<'a>,
}

impl Fault {
    /// Reads a refusal; `None` when the answer is none.
    pub fn read(reply: &Reply) -> Option<Self> {
        let text = std::str::from_utf8(&reply.body).ok()?;
        let inside = serde_json::from_str::<Maybe<Refusal<'_>>>(text).ok()?.0?.error.0?;
        let details = inside.error_data.and_then(|raw| serde_json::from_str::<Maybe<Details<'_>>>(raw.get()).ok()?.0);
        let words = details.and_then(|d| d.details.some().map(str::to_owned)).or_else(|| inside.message.some().map(str::to_owned));
        Some(Self {
            code: inside.code.int()?,
            subcode: inside.error_subcode.int().unwrap_or(0),
            transient: inside.is_transient.flag(),
            words: words.unwrap_or_default(),
        })
    }
}

/// Milliseconds until a business may call again, from the usage header.
pub fn regain_access(reply: &Reply) -> Option<u64> {
    let header = reply.headers.get("x-business-use-case-usage")?.to_str().ok()?;
    let usage: serde_json::Value = serde_json::from_str(header).ok()?;
    let rows = usage.as_object()?.values().filter_map(|rows| rows.as_array()).flatten();
    let minutes = rows.filter_map(|row| row["estimated_time_to_regain_access"].as_u64()).max()?;
    (minutes > 0).then(|| minutes.saturating_mul(60_000))
}

/// The Graph API's base with its version; `None` when the version is none. A base that names its version keeps it.
pub fn base(api_base: Option<&str>, version: &str) -> Option<String> {
    let root = api_base.unwrap_or("https://graph.facebook.com").trim_end_matches('/');
    if root.rsplit('/').next().is_some_and(is_version) {
        return Some(root.to_owned());
    }
    is_version(version).then(|| format!("{root}/{version}"))
}

/// `v25.0`
fn is_version(text: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    text.strip_prefix('v').and_then(|v| v.split_once('.')).is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// A link to a file as it is to be fetched, and whether that host may see our token. A stand-in for the API stands in
/// for the hosts of its files too.
pub fn file(link: &str, api_base: Option<&str>) -> (String, bool) {
    let parsed = url::Url::parse(link).ok();
    let host = parsed.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    let known = OWN_HOSTS.iter().any(|own| host == *own || host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')));
    match (api_base.map(|base| base.trim_end_matches('/')), parsed) {
        (Some(base), Some(url)) if known => {
            (format!("{base}{}{}", url.path(), url.query().map(|q| format!("?{q}")).unwrap_or_default()), true)
        }
        (Some(base), _) => (link.to_owned(), link.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))),
        (None, _) => (link.to_owned(), known && link.starts_with("https://")),
    }
}

const OWN_HOSTS: &[&str] = &["fbsbx.com", "facebook.com", "fbcdn.net", "whatsapp.net", "cdninstagram.com"];

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn check(method: Method, query: &str, body: &[u8], signature: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(signature) = signature {
            headers.insert("x-hub-signature-256", signature.parse().expect("ASCII"));
        }
        let hook = Webhook { method: &method, url: "https://gw.example.org/hooks/a", query, headers: &headers, body };
        let keys = crypto::sha256_keys(&Secrets::one("example-app-secret"));
        verify(hook, &keys, &Secrets::one("tok-1")).is_ok()
    }

    #[test]
    fn the_published_vectors_hold() {
        let text = br#"{"object":"whatsapp_business_account","entry":[{"id":"900100","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550001111","phone_number_id":"700200"},"contacts":[{"profile":{"name":"Mia"},"wa_id":"15557772222","user_id":"US.4401"}],"messages":[{"from":"15557772222","from_user_id":"US.4401","id":"wamid.TEST1","timestamp":"1790000000","type":"text","text":{"body":"hi"}}]},"field":"messages"}]}]}"#;
        let page = br#"{"object":"page","entry":[{"id":"8100","time":1790000000123,"messaging":[{"sender":{"id":"3300"},"recipient":{"id":"8100"},"timestamp":1790000000000,"message":{"mid":"m_TEST1","text":"ol\u00e1"}}]}]}"#;
        let good = [
            (&text[..], "sha256=317463cff89455de4810dbec51ad37572da89b1e959ddb6251576ed419d50b50"),
            (br#"{"t":"\u00e4\u00f6\u00e5"}"#, "sha256=aad1a77628fbc7fae205d6947c4fc6ebacfa8e900f8221a12163206a2c46a2f0"),
            (page, "sha256=92454d83c9a5d37a8e12f3db91f4e5f5af6229db510a48920815ee6bf722012b"),
        ];
        for (body, signature) in good {
            assert!(check(Method::POST, "", body, Some(signature)), "{signature}");
            assert!(!check(Method::POST, "", &body[1..], Some(signature)));
        }
        // The same JSON in UTF-8 is not what was signed.
        assert!(!check(Method::POST, "", "{\"t\":\"äöå\"}".as_bytes(), Some(good[1].1)));
        assert!(!check(Method::POST, "", text, None));
        assert_eq!(escaped(&serde_json::json!({ "t": "äöå" })), good[1].0);
        assert_eq!(signature("example-app-secret", text).1, good[0].1);
    }

    #[test]
    fn the_handshake_asks_for_the_token() {
        let query = |token: &str| format!("hub.mode=subscribe&hub.challenge=90210&hub.verify_token={token}");
        assert!(check(Method::GET, &query("tok-1"), b"", None));
        assert!(!check(Method::GET, &query("tok-2"), b"", None));
        assert!(!check(Method::GET, "hub.mode=unsubscribe&hub.verify_token=tok-1", b"", None));
        let headers = HeaderMap::new();
        let query = query("tok-1");
        let hook = Webhook { method: &Method::GET, url: "", query: &query, headers: &headers, body: b"" };
        assert_eq!(handshake(&hook).map(|p| p.ack), Some(Ack::text("90210")));
    }

    #[test]
    fn files_are_fetched_where_they_are_and_the_token_stays_home() {
        assert_eq!(file("https://lookaside.fbsbx.com/x?a=1", None), ("https://lookaside.fbsbx.com/x?a=1".into(), true));
        assert_eq!(file("https://lookaside.fbsbx.com/x?a=1", Some("http://t.test/m/")), ("http://t.test/m/x?a=1".into(), true));
        for elsewhere in ["https://evilfbsbx.com/x", "https://fbsbx.com.evil.test/x", "http://fbsbx.com/x", "http://t.test.evil/x"] {
            assert!(!file(elsewhere, None).1, "{elsewhere}");
        }
        assert!(!file("http://t.test.evil/x", Some("http://t.test")).1);
        assert!(file("http://t.test/x", Some("http://t.test")).1);
        assert_eq!(base(Some("http://t.test/v24.0/"), "v25.0").as_deref(), Some("http://t.test/v24.0"));
        assert_eq!((base(None, "25"), base(None, "v25.0").as_deref()), (None, Some("https://graph.facebook.com/v25.0")));
    }

    #[test]
    fn faults_are_read_whatever_their_types() {
        let reply = Reply::json(400, &serde_json::json!({ "error": { "code": "131056", "error_data": { "details": "slow" } } }));
        assert_eq!(Fault::read(&reply), Some(Fault { code: 131_056, words: "slow".into(), ..Fault::default() }));
        for odd in [serde_json::json!({ "error": "no" }), serde_json::json!([1]), serde_json::json!({ "error": { "code": null } })] {
            assert_eq!(Fault::read(&Reply::json(400, &odd)), None);
        }
    }
}

//! Whether a delivery comes from the provider: by a signature, by a token, or by the token in our own URL alone.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use http::HeaderName;

use super::settings::{Encoding, Key, Scheme, Settings, Signature};
use super::template::Template;
use crate::contract::{Context, Secrets, SettingsError, Time, VerifyError, Webhook};
use crate::kit::crypto;

/// How many seconds the time of signing may be away from ours where the settings say nothing.
const TOLERANCE: u32 = 300;

/// How deliveries are proved.
pub(super) enum Proof {
    /// By a signature.
    Signed(Box<Signed>),
    /// By a secret in a header.
    Token {
        /// The header.
        header: HeaderName,
        /// What stands before the secret.
        prefix: String,
        /// The secrets, as they stand there.
        secrets: Vec<String>,
    },
    /// By the token in our URL, which the engine has checked.
    ByUrl,
    /// Nothing is delivered.
    Closed,
}

/// A signature.
pub(super) struct Signed {
    keys: Vec<hmac::Key>,
    header: HeaderName,
    prefix: String,
    encoding: Encoding,
    over: Template,
    timestamp: Option<(HeaderName, String)>,
    tolerance_ms: i64,
}

/// What the settings say, checked.
pub(super) fn bind(settings: &Settings) -> Result<Proof, SettingsError> {
    let Some(how) = &settings.signature else {
        if settings.messages.is_empty() && settings.receipts.is_empty() && settings.ignore.is_empty() {
            return Ok(Proof::Closed);
        }
        let remedy = "add `signature = { scheme = \"hmac-sha256\", header = \"...\" }`, or `{ scheme = \"none\" }` with a `hook_token`";
        return Err(SettingsError::new("signature", "missing, so anybody could deliver", remedy));
    };
    if how.scheme == Scheme::None {
        return Ok(Proof::ByUrl);
    }
    let secrets = settings.signing_secret.clone().unwrap_or_default();
    if secrets.is_empty() || secrets.iter().any(str::is_empty) {
        let remedy = "add `signing_secret = \"${NAME}\"`; is the environment variable set?";
        return Err(SettingsError::new("signing_secret", "missing", remedy));
    }
    match how.scheme {
        Scheme::HmacSha256 => signed(how, &secrets, hmac::HMAC_SHA256),
        Scheme::HmacSha1 => signed(how, &secrets, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        Scheme::HmacSha512 => signed(how, &secrets, hmac::HMAC_SHA512),
        Scheme::Bearer => Ok(token(http::header::AUTHORIZATION, "Bearer ", &secrets, false)),
        Scheme::Basic => {
            if !secrets.iter().all(|s| s.contains(':')) {
                return Err(SettingsError::new("signing_secret", "no user and password", "write `user:password`"));
            }
            Ok(token(http::header::AUTHORIZATION, "Basic ", &secrets, true))
        }
        Scheme::Header | Scheme::None => Ok(token(header("signature.header", how.header.as_deref())?, &how.prefix, &secrets, false)),
    }
}

fn token(header: HeaderName, prefix: &str, secrets: &Secrets, encoded: bool) -> Proof {
    let written = |secret: &str| if encoded { crypto::base64(secret.as_bytes()) } else { secret.to_owned() };
    Proof::Token { header, prefix: prefix.to_owned(), secrets: secrets.iter().map(written).collect() }
}

fn signed(how: &Signature, secrets: &Secrets, algorithm: hmac::Algorithm) -> Result<Proof, SettingsError> {
    let key = |secret: &str| match how.key {
        Key::Text => Some(secret.as_bytes().to_vec()),
        Key::Base64 => bytes(secret.strip_prefix("whsec_").unwrap_or(secret)),
    };
    let keys = secrets.iter().map(|s| key(s).map(|bytes| hmac::Key::new(algorithm, &bytes))).collect::<Option<Vec<_>>>();
    let keys =
        keys.ok_or_else(|| SettingsError::new("signing_secret", "not in base64", "leave `signature.key` out where the text is the key"))?;
    let timestamp = how.timestamp.as_deref().map(|name| header("signature.timestamp", Some(name))).transpose()?;
    let over = match &how.over {
        Some(over) => over.clone(),
        None => Template::parse("{{body}}").map_err(|e| SettingsError::new("signature.over", e, "leave it out"))?,
    };
    for name in over.holes().filter_map(|hole| hole.strip_prefix("header.")) {
        header("signature.over", Some(name))?;
    }
    let own = over.holes().filter(|hole| hole.starts_with("header."));
    over.check("signature.over", &own.chain(["body", "timestamp", "url", "method", "header.NAME"]).collect::<Vec<_>>())?;
    let covers = |name: &str| over.holes().any(|hole| hole == name);
    if !covers("body") {
        return Err(SettingsError::new("signature.over", "does not cover the body", "write `{{body}}` where the provider puts it"));
    }
    if covers("timestamp") && timestamp.is_none() {
        return Err(SettingsError::new("signature.timestamp", "missing", "name the header that `{{timestamp}}` comes from"));
    }
    if timestamp.is_some() && !covers("timestamp") {
        let remedy = "put `{{timestamp}}` where the provider puts it, such as `{{timestamp}}.{{body}}`, or leave `signature.timestamp` out";
        return Err(SettingsError::new("signature.over", "does not cover the time, so the time proves nothing", remedy));
    }
    Ok(Proof::Signed(Box::new(Signed {
        keys,
        header: header("signature.header", how.header.as_deref())?,
        prefix: how.prefix.clone(),
        encoding: how.encoding,
        over,
        timestamp: timestamp.map(|name| (name, how.timestamp_prefix.clone())),
        tolerance_ms: i64::from(how.tolerance.unwrap_or(TOLERANCE)) * 1000,
    })))
}

fn header(key: &str, name: Option<&str>) -> Result<HeaderName, SettingsError> {
    let remedy = "name the header as the provider's documentation does";
    let name = name.ok_or_else(|| SettingsError::new(key, "missing", remedy))?;
    HeaderName::try_from(name.to_ascii_lowercase()).map_err(|_| SettingsError::new(key, "not a header's name", remedy))
}

/// Base64, padded or not.
fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok()
}

impl Proof {
    /// Checks a delivery. Secrets are compared in constant time.
    pub(super) fn check(&self, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<(), VerifyError> {
        match self {
            Self::ByUrl => Ok(()),
            Self::Closed => Err(VerifyError::MISSING),
            Self::Token { header, prefix, secrets } => {
                let given = hook.header(header.as_str()).ok_or(VerifyError::MISSING)?;
                let given = unprefixed(given, prefix).ok_or(VerifyError::MISMATCH)?;
                let good = secrets.iter().any(|secret| crypto::equal(secret.as_bytes(), given.trim().as_bytes()));
                if good { Ok(()) } else { Err(VerifyError::MISMATCH) }
            }
            Self::Signed(signed) => signed.check(hook, cx),
        }
    }
}

impl Signed {
    fn check(&self, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<(), VerifyError> {
        let given = hook.header(self.header.as_str()).ok_or(VerifyError::MISSING)?;
        let stamp = match &self.timestamp {
            Some((name, prefix)) => {
                let value = hook.header(name.as_str()).ok_or(VerifyError::MISSING)?;
                Some(tagged(value, prefix).next().ok_or(VerifyError::MISMATCH)?)
            }
            None => None,
        };
        let pieces = self.over.signed(&|hole| match hole {
            "body" => Some(hook.body),
            "timestamp" => stamp.map(str::as_bytes),
            "url" => Some(hook.url.as_bytes()),
            "method" => Some(hook.method.as_str().as_bytes()),
            name => hook.header(name.strip_prefix("header.")?).map(str::as_bytes),
        });
        let pieces = pieces.ok_or(VerifyError::MISSING)?;
        let tags = tagged(given, &self.prefix).filter_map(|tag| match self.encoding {
            Encoding::Hex => unhex(tag),
            Encoding::Base64 => bytes(tag),
        });
        let mut tags = tags.take(8); // Rotation needs two; nobody may make us compare thousands.
        if !tags.any(|tag| crypto::signed_pieces(&self.keys, &pieces, &tag)) {
            return Err(VerifyError::MISMATCH);
        }
        match stamp.map(|stamp| time(stamp.trim())) {
            Some(Some(at)) if cx.now.since(at).abs() > self.tolerance_ms => Err(VerifyError::Stale),
            Some(None) => Err(VerifyError::MISMATCH),
            _ => Ok(()),
        }
    }
}

/// The prefix of a token, whose letters may be of either case.
fn unprefixed<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// What stands behind the prefix, in each of the places that `,` `;` and spaces make; without a prefix the whole value.
fn tagged<'t>(value: &'t str, prefix: &'t str) -> Box<dyn Iterator<Item = &'t str> + 't> {
    if prefix.is_empty() {
        return Box::new(std::iter::once(value.trim()));
    }
    let begins = |at: usize| at == 0 || value[..at].ends_with([',', ';', ' ']);
    let behind = move |at: usize| {
        let rest = &value[at + prefix.len()..];
        rest.split([',', ';', ' ']).next().unwrap_or_default()
    };
    Box::new(value.match_indices(prefix).filter(move |(at, _)| begins(*at)).map(move |(at, _)| behind(at)))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(*pair.get(1)?)?) as u8);
    text.as_bytes().chunks(2).map(pair).collect()
}

/// A point in time as providers write it: RFC 3339, or seconds or milliseconds since 1970.
pub(super) fn time(text: &str) -> Option<Time> {
    if let Ok(number) = text.parse::<f64>() {
        // Seconds reach this number in the year 5138, milliseconds passed it in 1973.
        let millis = if number.abs() < 1e11 { number * 1000.0 } else { number };
        return (number.is_finite() && millis.abs() < 2.5e14).then_some(Time(millis as i64));
    }
    Time::parse(text)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use serde_json::{Value, json};

    use super::*;
    use crate::contract::twin::Twin as _;

    fn proof(more: Value) -> Result<Proof, SettingsError> {
        let mut settings = super::super::Twin::new(3).settings();
        settings.remove("signing_secret");
        settings.extend(more.as_object().cloned().unwrap_or_default());
        bind(&crate::contract::Settings(settings).parse()?)
    }

    fn check(proof: &Proof, headers: &[(&'static str, &str)], body: &str, now: i64) -> Result<(), &'static str> {
        let headers: HeaderMap = headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().expect("a value"))).collect();
        let hook = Webhook { method: &Method::POST, url: "", query: "", headers: &headers, body: body.as_bytes() };
        let cx = Context { now: Time(now), public_url: "", hook_url: "", login: None, keys: None };
        proof.check(&hook, &cx).map_err(|e| e.label())
    }

    #[test]
    fn published_vectors_hold() {
        // RFC 4231, case 2; RFC 2202, case 2.
        let over = "what do ya want for nothing?";
        for (scheme, tag) in [
            ("hmac-sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                "hmac-sha512",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
            ("hmac-sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ] {
            let proof =
                proof(json!({ "signing_secret": "Jefe", "signature": { "scheme": scheme, "header": "X-Sign" } })).expect("settings");
            assert_eq!(check(&proof, &[("x-sign", tag)], over, 0), Ok(()), "{scheme}");
            assert_eq!(check(&proof, &[("x-sign", &tag.to_uppercase())], over, 0), Ok(()), "{scheme}");
            assert_eq!(check(&proof, &[("x-sign", tag)], "other", 0), Err("mismatch"));
            assert_eq!(check(&proof, &[("x-sign", &tag[1..])], over, 0), Err("mismatch"));
            assert_eq!(check(&proof, &[], over, 0), Err("missing"));
        }
    }

    #[test]
    fn standard_webhooks_can_be_written_down() {
        // The example of the Standard Webhooks specification's reference libraries.
        let proof = proof(json!({ "signing_secret": ["whsec_c29tZS1vdGhlci1rZXk=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            "signature": { "scheme": "hmac-sha256", "header": "webhook-signature", "prefix": "v1,", "encoding": "base64", "key": "base64",
                "timestamp": "webhook-timestamp", "over": "{{header.webhook-id}}.{{timestamp}}.{{body}}" } }));
        let proof = proof.expect("settings");
        let (id, stamp, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        let tag = "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let headers = [("webhook-id", id), ("webhook-timestamp", stamp), ("webhook-signature", tag)];
        assert_eq!(check(&proof, &headers, body, 1_614_265_330_000), Ok(()));
        assert_eq!(check(&proof, &headers, body, 1_614_265_631_000), Err("stale"));
        assert_eq!(check(&proof, &headers[1..], body, 1_614_265_330_000), Err("missing"));
        assert_eq!(check(&proof, &headers, "{}", 1_614_265_330_000), Err("mismatch"));
    }

    #[test]
    fn the_time_may_stand_in_the_same_header() {
        let proof = proof(json!({ "signing_secret": "k", "signature": { "scheme": "hmac-sha256", "header": "sig", "prefix": "v1=",
            "timestamp": "sig", "timestamp_prefix": "t=", "over": "{{timestamp}}.{{body}}", "tolerance": 10 } }))
        .expect("settings");
        let tag = crypto::hex(&crypto::sign(&crypto::sha256_keys(&Secrets::one("k"))[0], b"1700000000.{}"));
        let value = format!("t=1700000000,v0=00,v1={tag}");
        assert_eq!(check(&proof, &[("sig", &value)], "{}", 1_700_000_009_000), Ok(()));
        assert_eq!(check(&proof, &[("sig", &value)], "{}", 1_700_000_011_000), Err("stale"));
        assert_eq!(check(&proof, &[("sig", &format!("v1={tag}"))], "{}", 1_700_000_009_000), Err("mismatch"));
    }

    #[test]
    fn tokens_stand_where_they_are_said_to() {
        let bearer = proof(json!({ "signing_secret": ["new", "old"], "signature": { "scheme": "bearer" } })).expect("settings");
        assert_eq!(check(&bearer, &[("authorization", "bearer old")], "", 0), Ok(()));
        assert_eq!(check(&bearer, &[("authorization", "Bearer older")], "", 0), Err("mismatch"));
        assert_eq!(check(&bearer, &[("authorization", "old")], "", 0), Err("mismatch"));
        // RFC 7617, section 2.
        let basic = proof(json!({ "signing_secret": "Aladdin:open sesame", "signature": { "scheme": "basic" } })).expect("settings");
        assert_eq!(check(&basic, &[("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")], "", 0), Ok(()));
        let own = proof(json!({ "signing_secret": "s", "signature": { "scheme": "header", "header": "x-key" } })).expect("settings");
        assert_eq!((check(&own, &[("x-key", "s")], "", 0), check(&own, &[], "", 0)), (Ok(()), Err("missing")));
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let wrong = |signature: Value, secret: Value| {
            let error = proof(json!({ "signing_secret": secret, "signature": signature })).err().map(|e| e.key);
            error.unwrap_or_default()
        };
        let hmac = |more: Value| {
            let mut all = json!({ "scheme": "hmac-sha256", "header": "x" });
            all.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            wrong(all, json!("s"))
        };
        assert_eq!(wrong(Value::Null, json!("s")), "signature");
        assert_eq!(wrong(json!({ "scheme": "hmac-sha256", "header": "x" }), Value::Null), "signing_secret");
        assert_eq!(wrong(json!({ "scheme": "hmac-sha256" }), json!("s")), "signature.header");
        assert_eq!(wrong(json!({ "scheme": "basic" }), json!("no colon")), "signing_secret");
        assert_eq!(hmac(json!({ "over": "{{timestamp}}" })), "signature.over");
        assert_eq!(hmac(json!({ "over": "{{timestamp}}{{body}}" })), "signature.timestamp");
        assert_eq!(hmac(json!({ "timestamp": "y" })), "signature.over");
        assert_eq!(hmac(json!({ "over": "{{bdy}}" })), "signature.over");
        assert_eq!(hmac(json!({ "key": "base64", "header": "x" })), "signing_secret");
        assert_eq!(hmac(json!({ "scheme": "md5" })), "signature.scheme");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let millis = |text: &str| time(text).map(|t| t.0);
        assert_eq!(millis("1700000000"), Some(1_700_000_000_000));
        assert_eq!(millis("1700000000123"), Some(1_700_000_000_123));
        assert_eq!(millis("1700000000.5"), Some(1_700_000_000_500));
        assert_eq!(millis("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
        assert_eq!([millis("yesterday"), millis("NaN"), millis("1e300"), millis("")], [None; 4]);
    }
}

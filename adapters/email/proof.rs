//! Who delivered it: each feed has a proof of its own.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::{Channel, ses};
use crate::contract::{Context, Time, VerifyError, Webhook};
use crate::kit::{crypto, form, handed, multipart, object::Object};

/// Notifications older than this are replays: Amazon gives up after an hour.
const OLDEST_MS: i64 = 3_900_000;

/// Mailgun repeats a delivery for 8 hours, with the proof it had at first.
const MAILGUN_MS: i64 = 9 * 3_600_000;
/// SendGrid repeats inbound mail for three days. Younger repeats are known by their ids.
const SENDGRID_MS: i64 = 73 * 3_600_000;
/// A clock that goes wrong by more is a clock to be mended.
const FUTURE_MS: i64 = 15 * 60_000;

/// Finds the proof a delivery brings, and checks it.
pub(super) fn verify(channel: &Channel, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<(), VerifyError> {
    if let Some(address) = form::query(hook.query, "unsubscribe") {
        let (id, tag) = (form::query(hook.query, "mid"), form::query(hook.query, "proof"));
        let tag = crypto::unhex::<32>(tag.as_deref().unwrap_or_default()).ok_or(VerifyError::MISSING)?;
        let pieces: [&[u8]; 4] = [b"unsubscribe\n", address.as_bytes(), b"\n", id.as_deref().unwrap_or_default().as_bytes()];
        return known(crypto::signed_pieces(&channel.hook_keys, &pieces, &tag));
    }
    if let Some(proof) = hook.header(handed::PROOF) {
        return known(handed::proved(&channel.hook_keys, hook, proof));
    }
    if hook.header("x-amz-sns-message-type").is_some() {
        return sns(channel, hook, cx);
    }
    if let Some(tag) = hook.header("x-twilio-email-event-webhook-signature") {
        return sendgrid(channel, hook, tag, cx);
    }
    if let Some(shown) = hook.header("authorization").and_then(|v| v.strip_prefix("Basic ")) {
        return basic(channel, shown);
    }
    mailgun(channel, hook, cx)
}

fn known(right: bool) -> Result<(), VerifyError> {
    if right { Ok(()) } else { Err(VerifyError::MISMATCH) }
}

/// The link that unsubscribes one person by one click (RFC 8058).
pub(super) fn unsubscribe_url(channel: &Channel, hook_url: &str, address: &str, id: &str) -> String {
    let pieces: [&[u8]; 4] = [b"unsubscribe\n", address.as_bytes(), b"\n", id.as_bytes()];
    let proof = channel.hook_keys.first().map(|key| crypto::hex(&crypto::sign_pieces(key, &pieces))).unwrap_or_default();
    let query =
        form_urlencoded::Serializer::new(String::new()).extend_pairs([("unsubscribe", address), ("mid", id), ("proof", &proof)]).finish();
    let joint = if hook_url.contains('?') { '&' } else { '?' };
    format!("{hook_url}{joint}{query}")
}

/// ECDSA over the timestamp and the body, with the key of the feed it claims to be.
fn sendgrid(channel: &Channel, hook: &Webhook<'_>, tag: &str, cx: &Context<'_>) -> Result<(), VerifyError> {
    let key = if hook.is("multipart/form-data") { &channel.settings.parse_public_key } else { &channel.settings.event_public_key };
    let key = key.as_deref().and_then(crypto::unbase64).ok_or(VerifyError::MISSING)?;
    let stamp = hook.header("x-twilio-email-event-webhook-timestamp").ok_or(VerifyError::MISSING)?;
    let tag = crypto::unbase64(tag).ok_or(VerifyError::MISMATCH)?;
    known(UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(&[stamp.as_bytes(), hook.body].concat(), &tag).is_ok())?;
    fresh(stamp, SENDGRID_MS, cx)
}

/// User and password in the URL.
fn basic(channel: &Channel, shown: &str) -> Result<(), VerifyError> {
    let (Some(user), Some(passwords)) = (&channel.settings.webhook_user, &channel.settings.webhook_password) else {
        return Err(VerifyError::MISSING);
    };
    let shown = crypto::unbase64(shown).unwrap_or_default();
    let right = passwords.iter().filter(|p| !p.is_empty()).any(|password| crypto::equal(format!("{user}:{password}").as_bytes(), &shown));
    known(right)
}

/// HMAC over timestamp and token, all three in the body. The rest of the body is not covered by it.
fn mailgun(channel: &Channel, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<(), VerifyError> {
    if channel.mailgun_keys.is_empty() {
        return Err(VerifyError::MISSING);
    }
    let [stamp, token, tag] = mailgun_fields(hook).ok_or(VerifyError::MISSING)?;
    let tag = crypto::unhex::<32>(&tag).ok_or(VerifyError::MISMATCH)?;
    known(crypto::signed_pieces(&channel.mailgun_keys, &[stamp.as_bytes(), token.as_bytes()], &tag))?;
    fresh(&stamp, MAILGUN_MS, cx)
}

/// Not older than the service would still repeat it with the same proof, nor from the future.
fn fresh(stamp: &str, oldest_ms: i64, cx: &Context<'_>) -> Result<(), VerifyError> {
    let at = stamp.trim().parse::<i64>().ok().map(Time::from_secs).ok_or(VerifyError::MISMATCH)?;
    let age = cx.now.since(at);
    if (-FUTURE_MS..=oldest_ms).contains(&age) { Ok(()) } else { Err(VerifyError::Stale) }
}

/// The token of Mailgun's proof, which covers nothing of the delivery besides its time.
pub(super) fn once(hook: &Webhook<'_>) -> Option<String> {
    let other = [handed::PROOF, "x-amz-sns-message-type", "x-twilio-email-event-webhook-signature", "authorization"];
    if hook.query.contains("unsubscribe=") || other.iter().any(|name| hook.header(name).is_some()) {
        return None;
    }
    mailgun_fields(hook).map(|[stamp, token, _]| format!("{stamp}/{token}"))
}

fn mailgun_fields(hook: &Webhook<'_>) -> Option<[String; 3]> {
    const NAMES: [&str; 3] = ["timestamp", "token", "signature"];
    if hook.is("multipart/form-data") {
        let pieces = multipart::read(hook.header("content-type")?, hook.body)?;
        let found = NAMES.map(|name| pieces.iter().find(|p| p.name == name).map(|p| p.text()));
        return all(found);
    }
    if hook.is("application/x-www-form-urlencoded") {
        let fields = form::fields(hook.body);
        return all(NAMES.map(|name| form::get(&fields, name).map(str::to_owned)));
    }
    let body = first_object(std::str::from_utf8(hook.body).ok()?)?.object("signature")?;
    all(NAMES.map(|name| body.words(name).map(|v| v.into_owned())))
}

fn all(found: [Option<String>; 3]) -> Option<[String; 3]> {
    let [Some(a), Some(b), Some(c)] = found else { return None };
    Some([a, b, c])
}

/// The object a body begins with.
pub(super) fn first_object(text: &str) -> Option<Object<'_>> {
    Object::first(text)
}

/// Amazon SNS: RSA over the named fields, with a certificate of Amazon's.
fn sns(channel: &Channel, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<(), VerifyError> {
    let body = std::str::from_utf8(hook.body).ok().and_then(first_object).ok_or(VerifyError::MISMATCH)?;
    let topic = body.words("TopicArn").unwrap_or_default();
    if !channel.settings.topic_arns.iter().any(|arn| *arn == topic) {
        return Err(VerifyError::MISMATCH);
    }
    let url = body.words("SigningCertURL").filter(|url| ses::is_amazons(url) && url.ends_with(".pem")).ok_or(VerifyError::MISMATCH)?;
    let sent = body.words("Timestamp").and_then(|t| crate::contract::Time::parse(&t)).ok_or(VerifyError::MISMATCH)?;
    if cx.now.since(sent).abs() > OLDEST_MS {
        return Err(VerifyError::Stale);
    }
    let fetch = || VerifyError::NeedsKeys(ses::certificate(channel, &url));
    let tag = body.words("Signature").and_then(|t| crypto::unbase64(&t)).ok_or(VerifyError::MISMATCH)?;
    let key = cx.keys.and_then(|pem| public_key(&String::from_utf8_lossy(pem))).ok_or_else(fetch)?;
    let by: &'static dyn VerificationAlgorithm = match body.text("SignatureVersion").as_deref() {
        Some("2") => &RSA_PKCS1_2048_8192_SHA256,
        Some("1") => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        _ => return Err(VerifyError::MISMATCH),
    };
    let right = |without: &[&str]| UnparsedPublicKey::new(by, &key).verify(signed_text(&body, without).as_bytes(), &tag).is_ok();
    // Amazon's own validator leaves the token of an `UnsubscribeConfirmation` out. A certificate may have been replaced
    // since the one at hand was fetched.
    if right(&[]) || right(&["Token"]) { Ok(()) } else { Err(fetch()) }
}

/// The text SNS signs: names and values of the fields, in the order of the names.
pub(super) fn signed_text(body: &Object<'_>, without: &[&str]) -> String {
    let names: &[&str] = match body.text("Type").as_deref() {
        Some("Notification") => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let line = |name: &&&str| body.text(name).map(|value| format!("{name}\n{value}\n"));
    names.iter().filter(|name| !without.contains(name)).filter_map(|name| line(&name)).collect()
}

/// The subject's public key of a certificate in PEM, as DER.
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let begin = pem.find("-----BEGIN CERTIFICATE-----")? + "-----BEGIN CERTIFICATE-----".len();
    let end = begin + pem[begin..].find("-----END")?;
    let der = crypto::unbase64(&pem[begin..end].split_whitespace().collect::<String>())?;
    let certificate = inside(&der, 0x30)?.0;
    let mut rest = inside(certificate, 0x30)?.0;
    // Version, where it is given.
    if rest.first() == Some(&0xa0) {
        rest = inside(rest, 0xa0)?.1;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for tag in [0x02, 0x30, 0x30, 0x30, 0x30] {
        rest = inside(rest, tag)?.1;
    }
    let (_, after) = inside(rest, 0x30)?;
    Some(rest[..rest.len() - after.len()].to_vec())
}

/// The content of a DER value with this tag, and what follows it.
fn inside(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first().filter(|(first, _)| **first == tag)?;
    let _ = first;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let count = usize::from(length & 0x7f);
            let digits = rest.get(..count)?;
            (digits.iter().fold(0, |sum, d| sum << 8 | usize::from(*d)), &rest[count..])
        }
        _ => return None,
    };
    Some((rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_sendgrid() {
        let key = crypto::unbase64(
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+evkZBR8wQLZIyTQmdknwaUOQtV6CKEW/+wKKYGdjGVwuvfRKIiQKmoMHWet0QMSPIWatpv46UMck4STDUt+7g==",
        )
        .expect("base64");
        let tag = crypto::unbase64("MEUCIF3yYxeEMNEThJ57Igy4fQiQnyeyHYMkWe/rIO4FCpLVAiEAreGhur+oOWuvZ2uD5qksjnyCjeuKQvJK/jR7xVIc8So=")
            .expect("base64");
        let text = "1763600000[{\"email\":\"a@example.com\",\"event\":\"delivered\",\"sg_event_id\":\"e1\",\"sg_message_id\":\"m1.x\",\"timestamp\":1763599990}]";
        let right = |text: &str| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key).verify(text.as_bytes(), &tag).is_ok();
        assert!(right(&format!("{text}\r\n")) && !right(text));
    }

    #[test]
    fn the_vector_of_mailgun() {
        let keys = crypto::sha256_keys(&crate::contract::Secrets::one("fake-mailgun-phrase"));
        let tag = crypto::sign_pieces(&keys[0], &[b"1763600000", b"0123456789abcdef0123456789abcdef0123456789abcdef01"]);
        assert_eq!(crypto::hex(&tag), "d1ce557ad078554c242a09e1a3c16d77779135848d133bcb871028c5874931f2");
    }

    #[test]
    fn the_vector_of_sns() {
        let body = r#"{"Type":"Notification","MessageId":"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324","TopicArn":"arn:aws:sns:eu-west-1:000000000000:ses-events","Message":"{\"eventType\":\"Delivery\"}","Timestamp":"2026-11-20T10:00:00.000Z"}"#;
        let text = signed_text(&first_object(body).expect("an object"), &[]);
        assert_eq!(text.len(), 188);
        assert_eq!(crypto::hex(&crypto::sha256(text.as_bytes())), "417f5d142c44181609df7cc1545851f7a07f290216b5f8b3164b01c24f955c5b");
    }
}

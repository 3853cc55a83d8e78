//! AWS Signature Version 4 for the calls to Amazon SES.

use aws_lc_rs::hmac::{HMAC_SHA256, Key};

use super::Settings;
use crate::contract::{Call, Time};
use crate::kit::crypto;

/// The call with the headers that prove it. Its body must be bytes already, its path needs no escaping.
pub(super) fn signed(call: Call, settings: &Settings, now: Time) -> Call {
    let text = now.to_string();
    let stamp = format!("{}Z", text.split('.').next().unwrap_or_default().replace(['-', ':', 'Z'], ""));
    let (id, region) = (settings.access_key_id.as_deref().unwrap_or_default(), settings.region.as_deref().unwrap_or_default());
    let secret = settings.secret_access_key.as_ref().map_or("", |s| s.reveal());
    let (_, signature) = signature(&call, region, secret, &stamp);
    let scope = format!("{}/{region}/ses/aws4_request", &stamp[..8.min(stamp.len())]);
    let token = settings.session_token.as_ref().map(|t| t.reveal().to_owned());
    let call = call.header("x-amz-date", stamp).secret_header(
        "authorization",
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders=content-type;host;x-amz-date, Signature={signature}"),
    );
    // Amazon takes the session token unsigned as well.
    match token {
        Some(token) => call.secret_header("x-amz-security-token", token),
        None => call,
    }
}

/// The hash of the canonical request, and the signature.
pub(super) fn signature(call: &Call, region: &str, secret: &str, stamp: &str) -> (String, String) {
    let url = url::Url::parse(&call.url).ok();
    let host = url.as_ref().map(|u| match u.port() {
        Some(port) => format!("{}:{port}", u.host_str().unwrap_or_default()),
        None => u.host_str().unwrap_or_default().to_owned(),
    });
    let (host, path) = (host.unwrap_or_default(), url.as_ref().map_or("/", |u| u.path()));
    let hash = |bytes: &[u8]| crypto::hex(&crypto::sha256(bytes));
    let canonical = format!(
        "{}\n{path}\n\ncontent-type:application/json\nhost:{host}\nx-amz-date:{stamp}\n\ncontent-type;host;x-amz-date\n{}",
        call.method,
        hash(call.body_bytes())
    );
    let canonical = hash(canonical.as_bytes());
    let day = &stamp[..8.min(stamp.len())];
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{day}/{region}/ses/aws4_request\n{canonical}");
    let step = |key: Vec<u8>, text: &str| crypto::sign(&Key::new(HMAC_SHA256, &key), text.as_bytes());
    let key = [day, region, "ses", "aws4_request"].into_iter().fold(format!("AWS4{secret}").into_bytes(), step);
    (canonical, crypto::hex(&step(key, &to_sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_sheet() {
        let call = Call::new(http::Method::POST, "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails")
            .bytes(r#"{"FromEmailAddress":"a@example.com"}"#);
        let (canonical, signature) = signature(&call, "eu-west-1", "FAKE/IAM/PHRASE", "20261120T100000Z");
        assert_eq!(canonical, "90401ece18492542c975481d77ef93b2438ca4626bd2ada751222aadafea29be");
        assert_eq!(signature, "6a9b29aef8d0a5ee8b789a1a3db14106e23a62a486e8a7152b6c278e4f824f68");
    }
}

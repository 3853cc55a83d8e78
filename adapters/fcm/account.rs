//! The service account: its key signs an assertion that the token endpoint changes for an access token.
//! developers.google.com/identity/protocols/oauth2/service-account, read 2026-11-20.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::contract::{Call, ErrorClass, Reason, Reply, Secret, SettingsError, Step, Time, Verdict};
use crate::kit::jwt::Signer;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Seconds an assertion is good for; Google takes no more.
const GOOD_FOR: i64 = 3600;

/// A service account, ready to sign.
pub(super) struct Account {
    pub(super) project_id: String,
    pub(super) token_uri: String,
    email: String,
    key_id: String,
    signer: Signer,
}

#[derive(Deserialize)]
struct KeyFile {
    #[serde(default)]
    project_id: String,
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    token_uri: Option<String>,
}

impl Account {
    /// Reads a key file. An error says which part of it is wrong and quotes nothing.
    pub(super) fn read(text: &str) -> Result<Self, SettingsError> {
        let wrong = |problem| SettingsError::new("service_account", problem, "give the JSON key file as the console wrote it");
        let file: KeyFile = serde_json::from_str(text).map_err(|_| wrong("not a service account's key file"))?;
        let signer = Signer::from_pem(&file.private_key).ok_or_else(|| wrong("its `private_key` is no RSA key"))?;
        let token_uri = file.token_uri.unwrap_or_else(|| "https://oauth2.googleapis.com/token".into());
        if !token_uri.starts_with("https://") {
            return Err(wrong("its `token_uri` is no https address"));
        }
        Ok(Self { project_id: file.project_id, token_uri, email: file.client_email, key_id: file.private_key_id, signer })
    }

    /// What the assertion claims at this time.
    fn claims(&self, now: Time) -> Value {
        let iat = now.0.div_euclid(1000);
        json!({ "iss": self.email, "scope": SCOPE, "aud": self.token_uri, "iat": iat, "exp": iat + GOOD_FOR })
    }

    /// The call that changes an assertion for an access token.
    pub(super) fn login(&self, url: String, now: Time) -> Option<Call> {
        let kid = (!self.key_id.is_empty()).then_some(self.key_id.as_str());
        let assertion = self.signer.token(&self.claims(now), kid)?;
        Some(Call::form(url, &[("grant_type", GRANT), ("assertion", assertion.as_str())]))
    }
}

/// The access token, and for how many milliseconds it is good.
pub(super) fn logged_in(reply: &Reply) -> Option<(Secret, u64)> {
    let body: Value = serde_json::from_slice(&reply.body).ok().filter(|_| reply.status.is_success())?;
    let token = body["access_token"].as_str().filter(|t| !t.is_empty())?;
    Some((Secret::new(token), body["expires_in"].as_u64().unwrap_or(GOOD_FOR as u64) * 1000))
}

/// What the token endpoint's answer means when it is asked for its own sake.
pub(super) fn classify(reply: &Reply) -> Step {
    if logged_in(reply).is_some() {
        return Step::accept("");
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = body["error"].as_str().unwrap_or_default();
    if (400..500).contains(&reply.status.as_u16()) && reply.status != http::StatusCode::TOO_MANY_REQUESTS {
        let title = "Google refuses the service account's assertion: the key was deleted, or a clock is wrong";
        return Step::of(Reason::new(ErrorClass::Auth, "assertion_refused", title).provider_code(code));
    }
    Step::Done(Verdict::Retry(Reason::new(ErrorClass::Transient, "login_unavailable", "Google's token endpoint has trouble")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::jwt::{self, Token};
    use crate::kit::sample;

    /// The key of the sheet's vector, its public half.
    const MODULUS: &str = "5eZDf0PmFtpZSwR0AubGYdFgvmyK93fTAfv7gfcpPehUYQNI1RHXByno6Q_0f5-LGZ_jZykOItol6x-cTjEFUOw-TO9qkAZYwz2hWXpfnHdm8knpm2MCYZugxoQkHV9WnOCbmABFf7-z4cXtYopC8wm3eozvSRgEbAyQRbpo-P5a5afbElmkwPWg_1Iw2pvVxhUJlFYQJ5jNfs1hKtrjDAohkH3eNvV4NO5Vjp1jp_V4db3_whZWWqcYDBeNa84UT39S3FHsPrt_Ml4jx1WPwXZE8Vz29joqX0VD8nhtUjagj9KBwDN1n2rwHP270l36EEA_hnHbcemnxDPgi0Cluw";
    const ASSERTION: &str = concat!(
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImZha2Uta2V5LWlkIn0.eyJpc3MiOiJnYXRld2F5QGRlbW8tcHJvamVjdC5pYW0uZ3NlcnZpY2Vh",
        "Y2NvdW50LmNvbSIsInNjb3BlIjoiaHR0cHM6Ly93d3cuZ29vZ2xlYXBpcy5jb20vYXV0aC9maXJlYmFzZS5tZXNzYWdpbmciLCJhdWQiOiJodHRwczovL29h",
        "dXRoMi5nb29nbGVhcGlzLmNvbS90b2tlbiIsImlhdCI6MTc5NTAwMDAwMCwiZXhwIjoxNzk1MDAzNjAwfQ.",
        "vmMjLQXSZ0-osLepa91fPTEY6N-SlKv3nykXI5Xzr_uaGtpyEixsUo6LRfyFNrasauRBqeFpCkHBnaxuG0W-hjBdew0VynDQFAFnIwkCOl8x4Jkz5IGfTKKdjZ9-",
        "NOLb4qYaSPKBSBJHhmYcKhADDjP9DE6PTO_5RxaDc7KInEkJOhv_2_jU84Xp-uS3GVnq3NBMcVtrkY-OAlnqMkC9NK7kwRC9l42MOkeyg0SvTMMraobHNKLGPORu",
        "e67wjzwROs7UJQFaMXgwg5zl-b4YgySCKGy2OytpvF0ze_tgkZfgEgRmUA6cDE7cuhiB4-Xy9hkb9UBslDmhZKvxPOu4Vw",
    );

    fn account() -> Account {
        let file = json!({ "project_id": "demo-project", "client_email": "gateway@demo-project.iam.gserviceaccount.com",
            "private_key": sample::private_key(), "private_key_id": "fake-key-id", "token_uri": "https://oauth2.googleapis.com/token" });
        Account::read(&file.to_string()).expect("a key file")
    }

    #[test]
    fn the_assertion_is_the_vectors_but_for_the_key() {
        let call = account().login("https://oauth2.googleapis.com/token".into(), Time::from_secs(1_795_000_000)).expect("a call");
        let fields: Vec<(String, String)> = form_urlencoded::parse(call.body_bytes()).into_owned().collect();
        assert_eq!(fields[0], ("grant_type".into(), GRANT.into()));
        let signed = |text: &str| text.rsplit_once('.').map(|(signed, _)| signed.to_owned());
        assert_eq!((signed(&fields[1].1), ASSERTION.len()), (signed(ASSERTION), 665));
    }

    #[test]
    fn the_vector_verifies() {
        let set = json!({ "keys": [{ "kid": "fake-key-id", "n": MODULUS, "e": "AQAB" }] }).to_string();
        let key = jwt::key(set.as_bytes(), "fake-key-id").expect("a key");
        assert!(Token::parse(ASSERTION).is_some_and(|t| t.rs256(&key)));
        assert!(Token::parse(&ASSERTION.replacen("vmMj", "vmMk", 1)).is_some_and(|t| !t.rs256(&key)));
    }

    #[test]
    fn a_bad_key_file_is_not_quoted() {
        for text in ["secret-text", r#"{"client_email":"secret-text","private_key":"secret-text"}"#] {
            let error = Account::read(text).err().expect("refused").to_string();
            assert!(!error.contains("secret-text"), "{error}");
        }
    }

    #[test]
    fn what_the_token_endpoint_says() {
        let code = |reply: &Reply| match classify(reply) {
            Step::Done(verdict) => verdict.word(),
            Step::Call(_) => "call",
        };
        assert_eq!(code(&Reply::json(200, &json!({ "access_token": "t", "expires_in": 3599 }))), "accept");
        assert_eq!(code(&Reply::json(400, &json!({ "error": "invalid_grant" }))), "suspend");
        assert_eq!((code(&Reply::json(503, &json!({}))), code(&Reply::json(429, &json!({})))), ("retry", "retry"));
        assert_eq!(logged_in(&Reply::json(200, &json!({ "access_token": "t", "expires_in": 3599 }))).map(|l| l.1), Some(3_599_000));
    }
}

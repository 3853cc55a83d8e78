//! Google's service accounts: an assertion signed with their key becomes an access token, and refusals have one form.

use serde_json::json;

use super::jwt::Signer;
use super::object::Object;
use crate::contract::{Call, Reply, Secret, SettingsError, Time};

/// Where assertions are taken: developers.google.com/identity/protocols/oauth2/service-account, read 2026-11-20.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// A service account with its key.
pub struct Account {
    email: String,
    key_id: Option<String>,
    signer: Signer,
}

impl Account {
    /// Reads the key file's JSON. The error names the setting it stands in.
    pub fn read(setting: &str, json: &Secret) -> Result<Self, SettingsError> {
        let wrong =
            |problem: &str| SettingsError::new(setting, problem, "put the whole JSON key file of the service account there, `file:PATH`");
        let fields = Object::parse(json.reveal()).ok_or_else(|| wrong("not a JSON object"))?;
        let email = fields.words("client_email").ok_or_else(|| wrong("without `client_email`"))?.into_owned();
        let pem = fields.words("private_key").ok_or_else(|| wrong("without `private_key`"))?;
        let signer = Signer::from_pem(&pem).ok_or_else(|| wrong("its `private_key` is not an RSA key"))?;
        Ok(Self { email, key_id: fields.words("private_key_id").map(|id| id.into_owned()), signer })
    }

    /// The call that asks for a token of this scope. `base` stands for Google's host in tests.
    pub fn login(&self, scope: &str, base: Option<&str>, now: Time) -> Option<Call> {
        let from = now.0 / 1000;
        let claims = json!({ "iss": self.email, "scope": scope, "aud": TOKEN_URL, "iat": from, "exp": from + 3600 });
        let assertion = self.signer.token(&claims, self.key_id.as_deref())?;
        let url = base.map_or_else(|| TOKEN_URL.to_owned(), |base| format!("{}/token", base.trim_end_matches('/')));
        Some(Call::form(url, &[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)]))
    }

    /// Whose account it is.
    pub fn email(&self) -> &str {
        &self.email
    }
}

/// Reads the answer: the token, and for how many milliseconds it is good.
pub fn logged_in(reply: &Reply) -> Option<(Secret, u64)> {
    let body = Object::parse(std::str::from_utf8(&reply.body).ok()?)?;
    let seconds = body.int("expires_in").and_then(|n| u64::try_from(n).ok()).unwrap_or(3600);
    let token = body.words("access_token").filter(|_| reply.status.is_success())?;
    Some((Secret::new(token.into_owned()), seconds.saturating_mul(1000)))
}

/// What a Google API says when it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The word: `NOT_FOUND`, ...; empty when the answer has none.
    pub status: String,
    /// Its sentence, in lower case.
    pub words: String,
}

impl Fault {
    /// Reads a refusal.
    pub fn read(reply: &Reply) -> Self {
        let text = std::str::from_utf8(&reply.body).unwrap_or_default();
        let error = Object::parse(text).and_then(|body| body.object("error")).unwrap_or_default();
        let text = |name: &str| error.words(name).unwrap_or_default();
        Self { status: text("status").to_ascii_uppercase(), words: text("message").to_lowercase() }
    }
}

/// A refusal, for twins.
pub fn refused(code: u16, status: &str, message: &str) -> Reply {
    Reply::json(code, &json!({ "error": { "code": code, "message": message, "status": status, "details": [] } }))
}

/// A key file for twins.
pub fn sample_key(email: &str) -> String {
    json!({ "type": "service_account", "client_email": email, "private_key_id": "twin-key", "private_key": super::sample::private_key() })
        .to_string()
}

/// Plays the token service for twins: an assertion of this account, of this scope, still good.
pub fn play_login(body: &[u8], email: &str, scope: &str, now: Time, token: &str) -> Reply {
    let fields = super::form::fields(body);
    let get = |name: &str| super::form::get(&fields, name).unwrap_or_default().to_owned();
    let assertion = get("assertion");
    let keys = Signer::from_pem(super::sample::private_key())
        .map(|signer| json!({ "keys": [signer.published("k")] }).to_string())
        .unwrap_or_default();
    let good = super::jwt::Token::parse(&assertion).is_some_and(|assertion| {
        super::jwt::key(keys.as_bytes(), "k").is_some_and(|key| assertion.rs256(&key))
            && assertion.claim("iss") == Some(email)
            && assertion.claim("scope") == Some(scope)
            && assertion.claim("aud") == Some(TOKEN_URL)
            && assertion.is_current(now, 60_000)
    });
    if !good || get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
        return Reply::json(400, &json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." }));
    }
    Reply::json(200, &json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_logs_in_where_it_is_known() {
        let key = Secret::new(sample_key("twin@fake.iam.gserviceaccount.com"));
        let account = Account::read("service_account_key", &key).expect("a key");
        let call = account.login("scope.a", None, Time::from_secs(1_795_000_000)).expect("a call");
        assert_eq!((call.url.as_str(), account.email()), (TOKEN_URL, "twin@fake.iam.gserviceaccount.com"));
        let play = |email, scope| play_login(call.body_bytes(), email, scope, Time::from_secs(1_795_000_100), "fake");
        assert_eq!(
            logged_in(&play(account.email(), "scope.a")).map(|(token, ms)| (token.reveal().to_owned(), ms)),
            Some(("fake".into(), 3_599_000))
        );
        assert_eq!(logged_in(&play(account.email(), "scope.b")), None);
        assert_eq!(logged_in(&play("other", "scope.a")), None);
        for bad in ["", "{}", r#"{"client_email":"a","private_key":"b"}"#] {
            let error = Account::read("service_account_key", &Secret::new(bad)).err().expect("not a key");
            assert_eq!(error.key, "service_account_key");
        }
    }
}

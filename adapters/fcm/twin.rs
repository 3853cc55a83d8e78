//! Firebase Cloud Messaging, played: a project with one service account. Registrations beginning with `unregistered` are
//! gone, those beginning with `mismatch` belong to another project.

use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::jwt::{self, Signer, Token};
use crate::kit::{form, sample};

const PROJECT: &str = "twin-project";
const EMAIL: &str = "gateway@twin-project.iam.gserviceaccount.com";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// One of these is enough (firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send, read 2026-11-28).
const SCOPES: [&str; 2] = ["https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"];
const KID: &str = "twin-fake-key-id";

/// Firebase Cloud Messaging, played.
pub struct Twin {
    access_token: String,
    next: u64,
}

fn refused(code: u16, status: &str, fcm: &str, message: &str) -> Reply {
    let mut error = json!({ "code": code, "message": message, "status": status });
    if !fcm.is_empty() {
        error["details"] = json!([{ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": fcm }]);
    }
    Reply::json(code, &json!({ "error": error }))
}

fn invalid(message: &str) -> Reply {
    refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message)
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { access_token: format!("ya29.twin-fake-access-token-{seed}"), next: seed.wrapping_mul(1_000_003) % 1_000_000 }
    }

    fn settings(&self) -> Map<String, Value> {
        let file = json!({ "type": "service_account", "project_id": PROJECT, "client_email": EMAIL, "private_key_id": KID,
            "private_key": sample::private_key(), "token_uri": TOKEN_URI });
        Map::from_iter([("service_account".into(), file.to_string().into())])
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        if request.method != http::Method::POST {
            return refused(404, "NOT_FOUND", "", "Not found").into();
        }
        if request.path == "/token" {
            return self.token(request, now).into();
        }
        if request.path != format!("/v1/projects/{PROJECT}/messages:send") {
            return refused(404, "NOT_FOUND", "", "Requested entity was not found.").into();
        }
        let bearer = request.headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        if bearer != Some(self.access_token.as_str()) {
            return refused(401, "UNAUTHENTICATED", "", "Request had invalid authentication credentials.").into();
        }
        self.send(request).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, draft: Draft) -> Draft {
        draft
    }

    fn act(&mut self, _person: &str, _act: &Act, _now: Time) -> Vec<Draft> {
        Vec::new()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        request.path.ends_with("/messages:send").then_some(())?;
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        Some(["fid", "token", "topic"].into_iter().find_map(|f| body["message"][f].as_str())?.to_owned())
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Quota exceeded for messages of the project.");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable.")
    }

    fn pace(&self) -> (u32, u64) {
        (600_000, 60_000)
    }
}

impl Twin {
    /// Google's token endpoint.
    fn token(&self, request: &Request, now: Time) -> Reply {
        let fields = form::fields(&request.body);
        let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.to_string()).unwrap_or_default();
        let assertion = field("assertion");
        let proved = Signer::from_pem(sample::private_key()).is_some_and(|signer| {
            let set = json!({ "keys": [signer.published(KID)] }).to_string();
            let token = Token::parse(&assertion);
            token.zip(jwt::key(set.as_bytes(), KID)).is_some_and(|(token, key)| token.rs256(&key) && claims(&token, now))
        });
        if field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || !proved {
            return Reply::json(400, &json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." }));
        }
        Reply::json(200, &json!({ "access_token": self.access_token, "expires_in": 3599, "token_type": "Bearer" }))
    }

    fn send(&mut self, request: &Request) -> Result<Answer, Reply> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| invalid("Invalid JSON payload received."))?;
        let message = body["message"].as_object().ok_or_else(|| invalid("Invalid value at 'message'"))?;
        check(message)?;
        let receiver = |f: &&str| message.contains_key(*f);
        let field = ["fid", "token", "topic", "condition"].into_iter().find(receiver).unwrap_or_default();
        let to = message[field].as_str().unwrap_or_default().to_owned();
        match &to {
            to if to.starts_with("unregistered") => {
                return Err(refused(404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."));
            }
            to if to.starts_with("mismatch") => return Err(refused(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch")),
            _ => {}
        }
        self.next += 1;
        let id = if field == "topic" { self.next.to_string() } else { format!("0:{:016}%twin{:012x}", self.next, self.next) };
        let words = |name: &str| message.get("notification").and_then(|n| n[name].as_str()).map(str::to_owned);
        let text = words("body").or_else(|| words("title")).unwrap_or_default();
        let our_id = message.get("data").and_then(|d| d["fairway_message_id"].as_str()).map(str::to_owned);
        let reply = Reply::json(200, &json!({ "name": format!("projects/{PROJECT}/messages/{id}") }));
        Ok(Answer { reply, accepted: vec![Accepted { provider_id: id, to, our_id, text }], emits: Vec::new() })
    }
}

/// What Google demands of an assertion.
fn claims(token: &Token<'_>, now: Time) -> bool {
    let time = |name| token.time(name).map_or(0, |t: Time| t.0);
    let whole = token.claim("iss") == Some(EMAIL)
        && token.claim("aud") == Some(TOKEN_URI)
        && token.claim("scope").is_some_and(|s| s.split(' ').any(|scope| SCOPES.contains(&scope)));
    whole && time("exp") - time("iat") <= 3_600_000 && (time("iat") - now.0).abs() <= 300_000
}

/// What Firebase checks before it takes a message.
fn check(message: &Map<String, Value>) -> Result<(), Reply> {
    let known = ["fid", "token", "topic", "condition", "data", "notification", "android", "apns", "webpush", "fcm_options", "name"];
    if let Some(name) = message.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(invalid(&format!("Unknown name \"{name}\" at 'message': Cannot find field.")));
    }
    if ["fid", "token", "topic", "condition"].iter().filter(|f| message.contains_key(**f)).count() != 1 {
        return Err(invalid("Recipient of the message is not set."));
    }
    let data = message.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    if data.values().any(|v| !v.is_string()) {
        return Err(invalid("Invalid value at 'message.data' (TYPE_STRING)"));
    }
    if data.keys().any(|k| k == "from" || k == "message_type" || k.starts_with("google.") || k.starts_with("gcm")) {
        return Err(invalid("Invalid data payload key"));
    }
    let empty = json!({});
    let block = |name: &str| message.get(name).unwrap_or(&empty);
    check_android(block("android"))?;
    let strings = |headers: &Value| headers.as_object().is_none_or(|h| h.values().all(Value::is_string));
    if !strings(&block("apns")["headers"]) || !strings(&block("webpush")["headers"]) {
        return Err(invalid("Invalid value at 'headers' (TYPE_STRING)"));
    }
    if block("apns")["headers"]["apns-collapse-id"].as_str().is_some_and(|id| id.len() > 64) {
        return Err(invalid("apns-collapse-id is too long"));
    }
    if block("webpush")["fcm_options"]["link"].as_str().is_some_and(|link| !link.starts_with("https://")) {
        return Err(invalid("Invalid webpush link"));
    }
    let size = json!([message.get("notification"), data]).to_string().len();
    if size > if message.contains_key("topic") { 2300 } else { 4400 } {
        return Err(Reply::json(400, &json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message": "Message too big" } })));
    }
    Ok(())
}

fn check_android(android: &Value) -> Result<(), Reply> {
    let seconds = android["ttl"].as_str().map(|t| t.strip_suffix('s').and_then(|t| t.parse::<f64>().ok()));
    if seconds.is_some_and(|s| s.is_none_or(|s| !(0.0..=2_419_200.0).contains(&s))) {
        return Err(invalid("Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration)"));
    }
    if android["priority"].as_str().is_some_and(|p| !["normal", "high", "NORMAL", "HIGH"].contains(&p)) {
        return Err(invalid("Invalid value at 'message.android.priority'"));
    }
    Ok(())
}

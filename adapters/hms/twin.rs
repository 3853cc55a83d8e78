//! Huawei Push Kit, played: one app in both generations. Device tokens beginning with `dead` are of no app, those beginning
//! with `gone` belong to an app that was removed.

use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::jwt::Token;
use crate::kit::tokens::{self, TokenSigner};
use crate::kit::{crypto, form, sample};

const APP: &str = "100000001";
const PROJECT: &str = "900000001";
const KEY: &str = "twin-key-id";
const USER: &str = "twin-receipts";

/// Huawei Push Kit, played.
pub struct Twin {
    secret: String,
    access_token: String,
    callback_key: String,
    public: Vec<u8>,
    next: u64,
    clock: Time,
}

fn told(status: u16, code: &str, msg: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "msg": msg, "requestId": "17950000000000" }))
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            secret: format!("twin+fake/app-secret-{seed}"),
            access_token: format!("twin-fake-access-token-{seed}"),
            callback_key: format!("twin-fake-callback-key-{seed}"),
            public: TokenSigner::ps256(sample::private_key()).map(|s| s.public()).unwrap_or_default(),
            next: 17_950_000_000_000 + seed,
            clock: Time(1_795_169_730_000),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "app_id": APP, "app_secret": self.secret, "project_id": PROJECT, "key_id": KEY, "sub_account": "twin-sub-account",
            "private_key": sample::private_key(), "callback_user": USER, "callback_key": self.callback_key });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        if request.method != http::Method::POST {
            return told(404, "", "not found").into();
        }
        if request.path == "/oauth2/v3/token" {
            return self.login(request).into();
        }
        let taken = if request.path == format!("/v1/{APP}/messages:send") {
            self.core(request)
        } else if request.path == format!("/v3/{PROJECT}/messages:send") {
            self.harmony(request, now)
        } else {
            Err(told(404, "", "not found"))
        };
        taken.unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let (timestamp, nonce) = (self.clock.0, crypto::fingerprint(&[&String::from_utf8_lossy(&draft.body)]));
        let key = crypto::sha256_keys(&Secrets::one(self.callback_key.as_str())).remove(0);
        let value = crypto::base64(&crypto::sign(&key, format!("{timestamp}{nonce}{USER}").as_bytes()));
        draft.headers.push(("x-huawei-callback-id".into(), format!("timestamp={timestamp}; nonce={nonce}; value={value}")));
        draft
    }

    fn act(&mut self, _person: &str, _act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        Vec::new()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        request.path.ends_with("/messages:send").then_some(())?;
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let token = body["message"]["token"][0].as_str().or_else(|| body["target"]["token"][0].as_str());
        token.or_else(|| body["message"]["topic"].as_str()).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = Reply::json(503, &json!({ "msg": "flow control" }));
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        told(500, "81000001", "internal error")
    }

    fn pace(&self) -> (u32, u64) {
        (6000, 1000)
    }
}

impl Twin {
    fn login(&self, request: &Request) -> Reply {
        let fields = form::fields(&request.body);
        let field = |name: &str| form::get(&fields, name).unwrap_or_default();
        if field("grant_type") != "client_credentials" || field("client_id") != APP || field("client_secret") != self.secret {
            return Reply::json(403, &json!({ "error": 1101, "sub_error": 20001, "error_description": "invalid client" }));
        }
        Reply::json(200, &json!({ "access_token": self.access_token, "expires_in": 3600, "token_type": "Bearer" }))
    }

    fn core(&mut self, request: &Request) -> Result<Answer, Reply> {
        if header(request, "authorization") != format!("Bearer {}", self.access_token) {
            return Err(told(200, "80200003", "OAuth token expired"));
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| told(400, "80100001", "not JSON"))?;
        let message = &body["message"];
        let receivers = ["token", "topic", "condition"].into_iter().filter(|name| message.get(name).is_some()).count();
        if receivers != 1 {
            return Err(told(400, "80300010", "token"));
        }
        size(message, &message["token"])?;
        if message.get("data").is_some_and(|data| !data.is_string()) {
            return Err(told(400, "80100003", "data"));
        }
        let android = &message["android"];
        check_core(android)?;
        let to = message["token"][0].as_str().or_else(|| message["topic"].as_str()).unwrap_or_default();
        let shown = &android["notification"];
        self.take(to, android["bi_tag"].as_str(), shown["body"].as_str(), |request, to, tag, result, at| {
            json!({ "biTag": tag, "appid": APP, "token": to, "status": result, "timestamp": at, "requestId": request })
        })
    }

    fn harmony(&mut self, request: &Request, now: Time) -> Result<Answer, Reply> {
        let text = header(request, "authorization").strip_prefix("Bearer ").unwrap_or_default();
        let current = Token::parse(text)
            .is_some_and(|t| t.head("kid") == Some(KEY) && t.claim("iss") == Some("twin-sub-account") && t.is_current(now, 0));
        if !current || !tokens::is_signed(text, "PS256", &self.public) {
            return Err(told(401, "80200001", "authentication error"));
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| told(400, "80100001", "not JSON"))?;
        size(&body, &body["target"]["token"])?;
        let shown = &body["payload"]["notification"];
        let whole = ["category", "title", "body"].iter().all(|name| shown[name].as_str().is_some_and(|t| !t.is_empty()));
        match header(request, "push-type") {
            "0" if whole && shown["clickAction"]["actionType"].is_u64() => {}
            "6" if body["payload"]["extraData"].is_string() && shown.is_null() => {}
            _ => return Err(told(400, "80100003", "payload")),
        }
        let options = &body["pushOptions"];
        if options["ttl"].as_u64().is_some_and(|ttl| ttl > 1_296_000)
            || options["collapseKey"].as_i64().is_some_and(|k| !(-1..=100).contains(&k))
        {
            return Err(told(400, "80100004", "pushOptions"));
        }
        let to = body["target"]["token"][0].as_str().ok_or_else(|| told(400, "80300010", "token"))?;
        self.take(to, options["biTag"].as_str(), shown["body"].as_str(), |request, to, tag, result, at| {
            json!({ "token": to, "pushType": 0, "appPackageName": "net.example.shop", "biTag": tag, "requestId": request,
                "deliveryStatus": { "result": result, "timestamp": at } })
        })
    }

    /// Takes a push and tells what became of it.
    fn take(
        &mut self,
        to: &str,
        tag: Option<&str>,
        text: Option<&str>,
        receipt: impl Fn(&str, &str, Option<&str>, u32, i64) -> Value,
    ) -> Result<Answer, Reply> {
        if to.starts_with("dead") {
            return Err(told(200, "80300007", "all the tokens are invalid"));
        }
        self.next += 1;
        let request = self.next.to_string();
        let result = if to.starts_with("gone") { 2 } else { 0 };
        let statuses = json!({ "statuses": [receipt(&request, to, tag, result, self.clock.0)] });
        let accepted = Accepted {
            provider_id: request.clone(),
            to: to.to_owned(),
            our_id: tag.map(str::to_owned),
            text: text.unwrap_or_default().to_owned(),
        };
        let reply = Reply::json(200, &json!({ "code": "80000000", "msg": "Success", "requestId": request }));
        Ok(Answer { reply, accepted: vec![accepted], emits: vec![Emit { after_ms: 60, url: None, draft: Draft::json(&statuses) }] })
    }
}

/// 4,096 bytes without the tokens.
fn size(body: &Value, tokens: &Value) -> Result<(), Reply> {
    let tokens = if tokens.is_null() { 0 } else { tokens.to_string().len() };
    if body.to_string().len().saturating_sub(tokens) > 4200 { Err(told(400, "80300008", "body too large")) } else { Ok(()) }
}

fn check_core(android: &Value) -> Result<(), Reply> {
    let seconds = |t: &str| t.strip_suffix('s').and_then(|t| t.parse::<u64>().ok());
    if android["ttl"].as_str().is_some_and(|ttl| seconds(ttl).is_none_or(|s| s == 0 || s > 1_296_000)) {
        return Err(told(400, "80100004", "ttl"));
    }
    if android["collapse_key"].as_i64().is_some_and(|key| !(-1..=100).contains(&key)) {
        return Err(told(400, "80100013", "collapse_key"));
    }
    if android["bi_tag"].as_str().is_some_and(|tag| tag.len() > 64) {
        return Err(told(400, "80100003", "bi_tag"));
    }
    let Some(shown) = android.get("notification") else { return Ok(()) };
    let whole = ["title", "body"].iter().all(|name| shown[name].as_str().is_some_and(|t| !t.is_empty()));
    let click = &shown["click_action"];
    let clicks = match click["type"].as_u64() {
        Some(1) => click["intent"].is_string() || click["action"].is_string(),
        Some(2) => click["url"].as_str().is_some_and(|url| url.starts_with("https://")),
        Some(3) => true,
        _ => false,
    };
    let badge = shown.get("badge").is_none_or(|badge| badge["class"].is_string());
    if whole && clicks && badge { Ok(()) } else { Err(told(400, "80100003", "notification")) }
}

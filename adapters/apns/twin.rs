//! The Apple Push Notification service, played: one team with one key and one app. Device tokens beginning with `dead` are
//! gone, those beginning with `bad0` are of the other environment, those beginning with `feed` get too much.

use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::jwt::Token;
use crate::kit::tokens::{self, TokenSigner};

const TEAM: &str = "TWINTEAM01";
const KEY: &str = "TWINKEY001";
const TOPIC: &str = "net.example.shop";

/// The Apple Push Notification service, played.
pub struct Twin {
    public: Vec<u8>,
}

fn refused(status: u16, reason: &str) -> Reply {
    Reply::json(status, &json!({ "reason": reason }))
}

impl Play for Twin {
    fn new(_seed: u64) -> Self {
        Self { public: TokenSigner::es256(tokens::sample_es256()).map(|s| s.public()).unwrap_or_default() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "team_id": TEAM, "key_id": KEY, "private_key": tokens::sample_es256(), "bundle_id": TOPIC });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        let mut answer = self.push(request, now);
        // Whatever became of a push, the answer names it.
        answer.reply = answer.reply.header("apns-id", named(request));
        answer
    }

    fn sign(&self, _url: &str, draft: Draft) -> Draft {
        draft
    }

    fn act(&mut self, _person: &str, _act: &Act, _now: Time) -> Vec<Draft> {
        Vec::new()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        request.path.strip_prefix("/3/device/").map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, "TooManyRequests");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, "ServiceUnavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (10_000, 1000)
    }
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// The push's id: ours, else one that Apple makes.
fn named(request: &Request) -> &str {
    let given = header(request, "apns-id");
    if given.is_empty() { "00000000-0000-8000-8000-000000000001" } else { given }
}

fn accepted(request: &Request, device: &str, payload: &Value) -> Answer {
    let words = |name: &str| payload["aps"]["alert"][name].as_str().map(str::to_owned);
    let text = words("body").or_else(|| words("title")).unwrap_or_default();
    let our_id = payload["fairway_message_id"].as_str().map(str::to_owned);
    let taken = Accepted { provider_id: named(request).to_owned(), to: device.to_owned(), our_id, text };
    Answer { reply: Reply::default(), accepted: vec![taken], emits: Vec::new() }
}

impl Twin {
    fn push(&self, request: &Request, now: Time) -> Answer {
        let Some(device) = request.path.strip_prefix("/3/device/") else { return refused(404, "BadPath").into() };
        if request.method != http::Method::POST {
            return refused(405, "MethodNotAllowed").into();
        }
        match self.check(request, device, now) {
            Ok(payload) => accepted(request, device, &payload),
            Err(reply) => reply.into(),
        }
    }

    /// What Apple checks before it takes a push.
    fn check(&self, request: &Request, device: &str, now: Time) -> Result<Value, Reply> {
        self.key(header(request, "authorization"), now)?;
        if device.is_empty() || device.len() % 2 == 1 || !device.bytes().all(|b| b.is_ascii_hexdigit()) || device.starts_with("bad0") {
            return Err(refused(400, "BadDeviceToken"));
        }
        match header(request, "apns-topic") {
            "" => return Err(refused(400, "MissingTopic")),
            TOPIC => {}
            _ => return Err(refused(400, "TopicDisallowed")),
        }
        if request.body.is_empty() {
            return Err(refused(400, "PayloadEmpty"));
        }
        if request.body.len() > 4096 {
            return Err(refused(413, "PayloadTooLarge"));
        }
        let payload: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "PayloadEmpty"))?;
        headers(request, &payload["aps"])?;
        if device.starts_with("dead") {
            return Err(Reply::json(410, &json!({ "reason": "Unregistered", "timestamp": now.0 })));
        }
        if device.starts_with("feed") {
            return Err(refused(429, "TooManyRequests"));
        }
        Ok(payload)
    }

    fn key(&self, authorization: &str, now: Time) -> Result<(), Reply> {
        let text = authorization.strip_prefix("bearer ").filter(|t| !t.is_empty()).ok_or_else(|| refused(403, "MissingProviderToken"))?;
        let token = Token::parse(text).ok_or_else(|| refused(403, "InvalidProviderToken"))?;
        let ours = token.head("kid") == Some(KEY) && token.claim("iss") == Some(TEAM);
        if !ours || !tokens::is_signed(text, "ES256", &self.public) {
            return Err(refused(403, "InvalidProviderToken"));
        }
        let age = token.time("iat").map_or(i64::MAX, |iat| now.since(iat));
        if (0..=3_600_000).contains(&age) { Ok(()) } else { Err(refused(403, "ExpiredProviderToken")) }
    }
}

fn headers(request: &Request, aps: &Value) -> Result<(), Reply> {
    let id = header(request, "apns-id");
    if !id.is_empty() && (id.len() != 36 || id.bytes().any(|b| b.is_ascii_uppercase() || !(b == b'-' || b.is_ascii_hexdigit()))) {
        return Err(refused(400, "BadMessageId"));
    }
    if header(request, "apns-collapse-id").len() > 64 {
        return Err(refused(400, "BadCollapseId"));
    }
    let until = header(request, "apns-expiration");
    if !until.is_empty() && until.parse::<u32>().is_err() {
        return Err(refused(400, "BadExpirationDate"));
    }
    let (kind, priority) = (header(request, "apns-push-type"), header(request, "apns-priority"));
    if !["alert", "background"].contains(&kind) {
        return Err(refused(400, "InvalidPushType"));
    }
    let shows = aps.get("alert").is_some() || aps.get("badge").is_some() || aps.get("sound").is_some();
    if (kind == "background") != (aps["content-available"] == 1 && !shows) {
        return Err(refused(400, "InvalidPushType"));
    }
    if !["", "1", "5", "10"].contains(&priority) || kind == "background" && priority != "5" {
        return Err(refused(400, "BadPriority"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    /// developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns, read 2026-11-29: the header
    /// is in every answer. A client that counts on it (`aioapns`) would wait for ever.
    #[test]
    fn every_answer_names_the_push() {
        let id = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
        let mut twin = Twin::new(1);
        for path in ["/3/device/a0b1", "/3/device/bad0", "/elsewhere"] {
            let headers = HeaderMap::from_iter([("apns-id".parse().expect("a name"), HeaderValue::from_static(id))]);
            let request = Request { method: Method::POST, path: path.into(), query: String::new(), headers, body: "{}".into() };
            let reply = twin.answer(&request, Time(0)).reply;
            assert_eq!(reply.headers.get("apns-id").map(HeaderValue::as_bytes), Some(id.as_bytes()), "{path}");
        }
    }
}

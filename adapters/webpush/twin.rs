//! A push service, played, with one browser behind it. Endpoints whose path holds `gone` have unsubscribed.

use serde_json::{Map, Value, json};

use super::seal::{self, Browser};
use super::subscription::unbase64;
use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::jwt::Token;
use crate::kit::tokens;

/// A pair that is printed in a document on the protocol, and so is nobody's.
const VAPID_PUBLIC: &str = "BIzLcmS_K4m059hDf7gR9a1bJdpiht-osry6tXUyENqYdyhUdvR6xiuHZ0_rwrZ5Paz7ZPEA5O6-Jt7SEeRT2GY";
const VAPID_PRIVATE: &str = "55eSyAZmXFENUO-w9hPwWM3VCsv2_G6vCydP6HlSzYI";
/// The browser of RFC 8291, appendix A.
const BROWSER_PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
const BROWSER_PUBLIC: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const BROWSER_AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
/// Its subscription.
#[cfg(test)]
pub(super) const SUBSCRIPTION: &str = r#"{"endpoint":"https://fcm.googleapis.com/fcm/send/twin-fake-endpoint-1","p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}"#;

/// A push service, played.
pub struct Twin {
    next: u64,
}

fn refused(status: u16, errno: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "code": status, "errno": errno, "error": "refused", "message": message }))
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { next: seed.wrapping_mul(1_000_003) % 1_000_000 }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "vapid_public": VAPID_PUBLIC, "vapid_private": VAPID_PRIVATE, "vapid_subject": "mailto:ops@example.net" });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        match self.check(request, now) {
            Ok(shown) => self.accepted(request, &shown),
            Err(reply) => reply.into(),
        }
    }

    fn sign(&self, _url: &str, draft: Draft) -> Draft {
        draft
    }

    fn act(&mut self, _person: &str, _act: &Act, _now: Time) -> Vec<Draft> {
        Vec::new()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        (request.method == http::Method::POST).then(|| request.path.clone())
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, 201, "Too many requests");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, 201, "Service unavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (10_000, 1000)
    }
}

impl Twin {
    /// What the browser makes of a body.
    pub(super) fn opened(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (public, auth) = (unbase64(BROWSER_PUBLIC)?, unbase64(BROWSER_AUTH)?);
        seal::open(body, &unbase64(BROWSER_PRIVATE)?, &Browser { public: &public, auth: &auth })
    }

    /// What a push service checks, and then the browser.
    fn check(&self, request: &Request, now: Time) -> Result<Value, Reply> {
        let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if request.method != http::Method::POST {
            return Err(refused(405, 0, "Method not allowed"));
        }
        if request.path.contains("gone") {
            return Err(refused(410, 106, "Gone"));
        }
        if !header("ttl").parse::<u64>().is_ok_and(|ttl| ttl <= 2_592_000) {
            return Err(refused(400, 112, "Invalid TTL header"));
        }
        if !["", "very-low", "low", "normal", "high"].contains(&header("urgency")) {
            return Err(refused(400, 110, "Invalid Urgency header"));
        }
        let topic = header("topic");
        let letters = topic.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if topic.len() > 32 || topic.len() % 4 == 1 || !letters {
            return Err(refused(400, 113, "Invalid Topic header"));
        }
        vapid(header("authorization"), now)?;
        if header("content-encoding") != "aes128gcm" {
            return Err(refused(400, 110, "Invalid Content-Encoding"));
        }
        if request.body.len() > 4096 {
            return Err(refused(413, 104, "Payload too large"));
        }
        // A push service cannot read it; that the browser can is what this twin is for.
        let shown = self.opened(&request.body).and_then(|plain| serde_json::from_slice::<Value>(&plain).ok());
        shown
            .filter(|shown| shown["title"].is_string() || shown["body"].is_string() || shown["image"].is_string())
            .ok_or_else(|| refused(400, 110, "The browser cannot show it"))
    }

    fn accepted(&mut self, request: &Request, shown: &Value) -> Answer {
        self.next += 1;
        let id = format!("twin-push-{:08}", self.next);
        let text = [&shown["body"], &shown["title"]].into_iter().find_map(Value::as_str).unwrap_or_default().to_owned();
        let our_id = shown["data"]["fairway_message_id"].as_str().map(str::to_owned);
        let reply =
            Reply { body: bytes::Bytes::new(), ..Reply::json(201, &()) }.header("location", &format!("https://push.example.net/m/{id}"));
        Answer { reply, accepted: vec![Accepted { provider_id: id, to: request.path.clone(), our_id, text }], emits: Vec::new() }
    }
}

/// What RFC 8292 demands, and what Apple demands besides.
fn vapid(authorization: &str, now: Time) -> Result<(), Reply> {
    let wrong = || refused(401, 109, "Invalid authentication");
    let (token, key) = authorization.strip_prefix("vapid t=").and_then(|t| t.split_once(", k=")).ok_or_else(wrong)?;
    if key != VAPID_PUBLIC {
        return Err(Reply::json(403, &json!("the VAPID credentials do not correspond to the credentials of the subscription")));
    }
    let public = unbase64(key).ok_or_else(wrong)?;
    if !tokens::is_signed(token, "ES256", &public) {
        return Err(wrong());
    }
    let token = Token::parse(token).ok_or_else(wrong)?;
    let left = token.time("exp").map_or(-1, |exp| exp.since(now));
    let origin = token.claim("aud").is_some_and(|aud| aud.strip_prefix("https://").is_some_and(|host| !host.contains('/')));
    let subject = token.claim("sub").is_some_and(|sub| sub.starts_with("mailto:") || sub.starts_with("https://"));
    if (0..=86_400_000).contains(&left) && origin && subject { Ok(()) } else { Err(wrong()) }
}

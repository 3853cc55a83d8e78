//! X, played: one account, whoever writes to it, and a picture of one pixel. Written from the fact sheet.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::{crypto, entry, multipart, sample};

const ACCOUNT: &str = "42";

/// X, played.
pub struct Twin {
    seed: u64,
    next: u64,
    files: HashSet<String>,
    blocked: HashSet<String>,
    last: HashMap<String, String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0, files: HashSet::new(), blocked: HashSet::new(), last: HashMap::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "user_id": ACCOUNT,
            "consumer_key": "TWIN-fake-consumer",
            "consumer_secret": self.secret(),
            "access_token": format!("42-TWIN-fake-token-{:04}", self.seed),
            "access_token_secret": format!("TWIN-fake-token-secret-{:04}", self.seed),
            "app_bearer_token": format!("TWIN-fake-app-bearer-{:04}", self.seed),
        });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.run(request, now).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        if draft.method == Method::GET {
            if draft.query.is_empty() {
                draft.query = "crc_token=crc-challenge-0001".into();
            }
            return draft;
        }
        let keys = crypto::sha256_keys(&Secrets::one(self.secret()));
        let tag = keys.first().map(|key| crypto::sign(key, &draft.body)).unwrap_or_default();
        draft.headers.push(("x-twitter-webhooks-signature".into(), format!("sha256={}", crypto::base64(&tag))));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let who = person.rsplit(':').next().unwrap_or_default().to_owned();
        let id = self.id();
        let data = match act {
            Act::Text(text) => json!({ "text": text, "entities": { "urls": [] } }),
            // There are no buttons: people write what they see.
            Act::Pick { title, .. } => json!({ "text": title, "entities": { "urls": [] } }),
            Act::Image(text) => {
                self.files.insert(id.clone());
                let media = json!({ "id_str": id, "type": "photo", "url": "https://t.co/twin",
                    "media_url_https": format!("https://ton.twitter.com/1.1/ton/data/dm/{id}/{id}/twin.png") });
                json!({ "text": format!("{text} https://t.co/twin").trim(), "attachment": { "type": "media", "media": media },
                    "entities": { "urls": [{ "url": "https://t.co/twin", "expanded_url": format!("https://x.com/messages/media/{id}") }] } })
            }
            Act::Block => {
                // Nobody is told; what is sent afterwards is refused.
                self.blocked.insert(who);
                return Vec::new();
            }
            Act::Read => return vec![self.read(&who, now)],
        };
        let create = json!({ "target": { "recipient_id": ACCOUNT }, "sender_id": who, "message_data": data });
        vec![self.activity("dm.received", json!([message(&id, &create, now)]), &who)]
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let mut found = entry::opened(link, "https://twitter.com/messages/compose").unwrap_or_default();
        let text = found.remove("text").filter(|_| found.get("recipient_id").is_some_and(|id| id == ACCOUNT));
        text.map(|text| self.act(person, &Act::Text(text), now)).unwrap_or_default()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let rest = request.path.strip_prefix("/2/dm_conversations/")?.strip_suffix("/messages")?;
        Some(rest.trim_start_matches("with/").to_owned())
    }

    fn throttled(&self, _retry_after_secs: u64) -> Reply {
        problem(429, "rate-limit-exceeded", "Too Many Requests")
    }

    fn broken(&self) -> Reply {
        problem(503, "service-unavailable", "Service Unavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (15, 900_000)
    }
}

type Checked<T> = Result<T, Reply>;

fn problem(status: u16, kind: &str, words: &str) -> Reply {
    let body = json!({ "type": format!("https://api.x.com/2/problems/{kind}"), "title": words, "detail": words, "status": status });
    Reply::json(status, &body)
}

fn message(id: &str, create: &Value, now: Time) -> Value {
    json!({ "type": "message_create", "id": id, "created_timestamp": now.0.to_string(), "message_create": create })
}

impl Twin {
    fn secret(&self) -> String {
        format!("twin-consumer-secret-{:08}", self.seed)
    }

    fn id(&mut self) -> String {
        self.next += 1;
        (2_080_000_000_000_000_000 + self.seed % 1000 * 1_000_000 + self.next).to_string()
    }

    fn activity(&mut self, kind: &str, messages: Value, other: &str) -> Draft {
        let users = json!({ other: { "data": { "id": other, "username": "ann", "name": "Ann" } }, ACCOUNT: { "data": { "id": ACCOUNT, "username": "acme" } } });
        Draft::json(
            &json!({ "data": { "event_uuid": format!("-{}", self.id()), "event_type": kind, "filter": { "user_id": ACCOUNT }, "tag": "fairway",
            "payload": { "direct_message_events": messages, "users": users } } }),
        )
    }

    fn read(&mut self, who: &str, now: Time) -> Draft {
        let last = self.last.get(who).cloned().unwrap_or_else(|| "1".into());
        let mark = json!({ "created_timestamp": now.0.to_string(), "sender_id": who, "target": { "recipient_id": ACCOUNT }, "last_read_event_id": last });
        Draft::json(&json!({ "for_user_id": ACCOUNT, "direct_message_mark_read_events": [mark], "users": {} }))
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        let auth = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let signed = auth.starts_with("OAuth ")
            && [
                "oauth_consumer_key=\"TWIN-fake-consumer\"",
                "oauth_nonce=\"",
                "oauth_signature=\"",
                "oauth_timestamp=\"",
                "oauth_token=\"42-TWIN",
            ]
            .iter()
            .all(|field| auth.contains(field));
        let user = signed || auth == format!("Bearer 42-TWIN-fake-token-{:04}", self.seed);
        let app = auth == format!("Bearer TWIN-fake-app-bearer-{:04}", self.seed);
        if !user && !app {
            return Err(problem(401, "unauthorized", "Unauthorized"));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let post = request.method == Method::POST;
        let fine = |body: Value| Ok(Reply::json(200, &body).into());
        let path = request.path.as_str();
        if path.starts_with("/2/webhooks") {
            if !app {
                return Err(problem(403, "client-forbidden", "app-only"));
            }
            let url = body["url"].as_str().is_some_and(|url| url.starts_with("https://") && url.len() <= 200);
            return if request.method == Method::PUT || post && url {
                fine(json!({ "data": { "id": "17", "valid": true } }))
            } else {
                Err(problem(400, "invalid-request", "url"))
            };
        }
        if !user {
            return Err(problem(403, "client-forbidden", "user context is needed"));
        }
        if let Some(rest) = path.strip_prefix("/2/dm_conversations/media/") {
            let known = rest.split('/').next().is_some_and(|id| self.files.contains(id));
            let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
            return if known {
                Ok(reply.header("content-type", "image/png").into())
            } else {
                Err(problem(404, "resource-not-found", "no such media"))
            };
        }
        match path {
            "/2/users/me" => fine(json!({ "data": { "id": ACCOUNT, "username": "acme" } })),
            "/2/activity/subscriptions" if post => {
                let good = body["event_type"].is_string() && body["filter"]["user_id"] == ACCOUNT && body["webhook_id"].is_string();
                let made = json!({ "subscription_id": "1", "event_type": body["event_type"], "filter": body["filter"],
                    "webhook_id": body["webhook_id"] });
                if good { fine(json!({ "data": { "subscription": made } })) } else { Err(problem(400, "invalid-request", "subscription")) }
            }
            "/2/media/upload" if post => {
                let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
                let fields = multipart::read(kind, &request.body).unwrap_or_default();
                let known =
                    |f: &multipart::Piece| f.name == "media_category" && ["dm_image", "dm_gif", "dm_video"].contains(&f.text().as_str());
                if !fields.iter().any(known) || !fields.iter().any(|f| f.name == "media" && f.filename.is_some()) {
                    return Err(problem(400, "invalid-request", "media"));
                }
                let id = self.id();
                self.files.insert(id.clone());
                fine(json!({ "data": { "id": id, "media_key": format!("3_{id}") } }))
            }
            _ => {
                let to = self.counts(request).filter(|_| post).ok_or_else(|| problem(404, "resource-not-found", "no such path"))?;
                self.send(to.split('-').find(|id| *id != ACCOUNT).unwrap_or_default().to_owned(), &body, now)
            }
        }
    }

    fn send(&mut self, to: String, body: &Value, now: Time) -> Checked<Answer> {
        let bad = |what: &str| problem(400, "invalid-request", what);
        let fields = body.as_object().ok_or_else(|| bad("a JSON object is expected"))?;
        if let Some(unknown) = fields.keys().find(|name| !matches!(name.as_str(), "text" | "attachments")) {
            return Err(bad(&format!("{unknown} is not allowed")));
        }
        let text = body["text"].as_str().unwrap_or_default().to_owned();
        let attachments = body["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
        if text.is_empty() && attachments.is_empty() || attachments.len() > 1 || text.chars().count() > 10_000 {
            return Err(bad("text or one attachment"));
        }
        if !attachments.iter().all(|a| a["media_id"].as_str().is_some_and(|id| self.files.contains(id))) {
            return Err(bad("media_id"));
        }
        if self.blocked.contains(&to) {
            return Err(problem(403, "forbidden", "You have been blocked by this user"));
        }
        let id = self.id();
        self.last.insert(to.clone(), id.clone());
        let create = json!({ "target": { "recipient_id": to }, "sender_id": ACCOUNT, "message_data": { "text": text } });
        let echo = self.activity("dm.sent", json!([message(&id, &create, now.plus(40))]), &to);
        let read = self.read(&to, now.plus(120));
        let emits = vec![Emit { after_ms: 40, url: None, draft: echo }, Emit { after_ms: 120, url: None, draft: read }];
        let reply = Reply::json(201, &json!({ "data": { "dm_conversation_id": format!("42-{to}"), "dm_event_id": id } }));
        Ok(Answer { reply, accepted: vec![Accepted { provider_id: id, to, our_id: None, text }], emits })
    }
}

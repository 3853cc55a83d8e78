//! RCS for Business, played: one agent. Written from the fact sheet; never reads `FACTS`.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::checks::{Checked, message, need};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::google::{self, refused};
use crate::kit::revise::Sent;
use crate::kit::{crypto, entry, form, sample};

const AGENT: &str = "twin@rbm.goog";
const EMAIL: &str = "twin@twin-project.iam.gserviceaccount.com";
const SCOPE: &str = "https://www.googleapis.com/auth/rcsbusinessmessaging";
/// How long a message is on its way, in milliseconds.
const ARRIVES_MS: u64 = 80;
const ACCESS: &str = "twin-fake-access-token";

/// RCS for Business, played.
pub struct Twin {
    token: String,
    next: u64,
    /// Ids taken already, and when each message arrives.
    taken: HashMap<String, Time>,
    /// Numbers that unsubscribed.
    stopped: HashSet<String>,
    sent: Sent,
    /// Messages taken back.
    revoked: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            token: format!("fake-client-phrase-{seed}"),
            next: seed % 1000,
            taken: HashMap::new(),
            stopped: HashSet::new(),
            sent: Sent::default(),
            revoked: HashSet::new(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "agent_id": AGENT, "service_account_key": google::sample_key(EMAIL), "client_token": self.token });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        if request.method == http::Method::GET && request.path == "/p.png" {
            return Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.into();
        }
        if request.path == "/token" {
            return google::play_login(&request.body, EMAIL, SCOPE, now, ACCESS).into();
        }
        self.run(request, now).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let mut body: Value = serde_json::from_slice(&draft.body).unwrap_or_default();
        if body["secret"].is_string() && body["message"].is_null() {
            body["clientToken"] = json!(self.token);
            draft.body = body.to_string().into_bytes();
        }
        if let Some(data) = body["message"]["data"].as_str().and_then(crypto::unbase64) {
            let keys = crypto::sha512_keys(&crate::contract::Secrets::one(self.token.as_str()));
            let tag = keys.first().map(|key| crypto::base64(&crypto::sign(key, &data))).unwrap_or_default();
            draft.headers.push(("x-goog-signature".into(), tag));
        }
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let number = person.rsplit(':').next().unwrap_or_default().to_owned();
        let id = self.id();
        let message = |more: Value| {
            let mut data = json!({ "senderPhoneNumber": number, "messageId": id, "sendTime": now.to_string(), "agentId": AGENT });
            crate::kit::spoken::merge(&mut data, more.as_object().expect("made here"));
            wrapped("message", &data)
        };
        match act {
            Act::Text(text) => vec![message(json!({ "text": text }))],
            Act::Image(caption) => {
                let payload = json!({ "mimeType": "image/png", "fileSizeBytes": sample::PNG.len(), "fileUri": "https://rcs-user-content.storage.googleapis.com/p.png", "fileName": "a.png" });
                let mut drafts = vec![message(json!({ "userFile": { "payload": payload } }))];
                if !caption.is_empty() {
                    let words = json!({ "senderPhoneNumber": number, "messageId": format!("{id}-2"), "sendTime": now.to_string(), "agentId": AGENT, "text": caption });
                    drafts.push(wrapped("message", &words));
                }
                drafts
            }
            Act::Pick { id, title } => {
                vec![message(json!({ "suggestionResponse": { "postbackData": id, "text": title, "type": "REPLY" } }))]
            }
            Act::Read => Vec::new(),
            Act::Block => {
                self.stopped.insert(number.clone());
                vec![happened(&number, "UNSUBSCRIBE", None, &format!("ev-{id}"), now)]
            }
        }
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let text = entry::opened(link, "sms:twin%40rbm.goog").and_then(|mut found| found.remove("body"));
        text.map(|text| self.act(person, &Act::Text(text), now)).unwrap_or_default()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let number = request.path.strip_prefix("/v1/phones/")?.strip_suffix("/agentMessages")?;
        (request.method == http::Method::POST).then(|| number.to_owned())
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, "RESOURCE_EXHAUSTED", "Quota exceeded");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, "UNAVAILABLE", "The service is currently unavailable.")
    }

    fn pace(&self) -> (u32, u64) {
        (50, 1000)
    }
}

fn wrapped(kind: &str, data: &Value) -> Draft {
    let attributes = json!({ "business_id": AGENT, "product": "RBM", "project_number": "0", "type": kind });
    let data = crypto::base64(data.to_string().as_bytes());
    let message = json!({ "attributes": attributes, "data": data, "messageId": "1", "publishTime": "2026-11-20T10:00:00Z" });
    Draft::json(&json!({ "message": message, "subscription": "projects/rbm-x/subscriptions/s" }))
}

fn happened(number: &str, kind: &str, about: Option<&str>, id: &str, now: Time) -> Draft {
    let mut data = json!({ "senderPhoneNumber": number, "eventType": kind, "eventId": id, "agentId": AGENT, "sendTime": now.to_string() });
    if let Some(about) = about {
        data["messageId"] = about.into();
    }
    wrapped("event", &data)
}

impl Twin {
    fn id(&mut self) -> String {
        self.next += 1;
        format!("u-{}", self.next)
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        let header = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if header != format!("Bearer {ACCESS}") {
            return Err(refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."));
        }
        let query = |name: &str| form::query(&request.query, name).map(|value| value.into_owned()).unwrap_or_default();
        let path = percent_encoding::percent_decode_str(&request.path).decode_utf8_lossy().into_owned();
        let (number, what) =
            path.strip_prefix("/v1/phones/").and_then(|rest| rest.split_once('/')).ok_or_else(|| refused(404, "NOT_FOUND", "path"))?;
        need(query("agentId") == AGENT, "agentId")?;
        need(number.starts_with('+') && number[1..].bytes().all(|b| b.is_ascii_digit()), "phone number")?;
        if let ("DELETE", Some(id)) = (request.method.as_str(), what.strip_prefix("agentMessages/")) {
            return self.revoke(id, now);
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "INVALID_ARGUMENT", "JSON"))?;
        match (request.method.as_str(), what) {
            ("POST", "agentEvents") => {
                need(query("eventId").len() == 36 && matches!(body["eventType"].as_str(), Some("IS_TYPING" | "READ")), "event")?;
                Ok(Reply::json(200, &json!({ "name": format!("phones/{number}/agentEvents/{}", query("eventId")) })).into())
            }
            ("POST", "agentMessages") => {
                let words = message(&body, request.body.len())?;
                let id = query("messageId");
                need(id.len() == 36, "messageId")?;
                if self.stopped.contains(number) {
                    return Err(refused(403, "PERMISSION_DENIED", "The user has unsubscribed from the agent."));
                }
                if self.taken.contains_key(&id) {
                    return Err(refused(409, "ALREADY_EXISTS", "messageId"));
                }
                self.taken.insert(id.clone(), now.plus(ARRIVES_MS as i64));
                self.sent.keep(&id, &words);
                let emit = |kind: &str, after_ms: u64| {
                    let draft = happened(number, kind, Some(&id), &format!("ev-{kind}-{id}"), now.plus(after_ms as i64));
                    Emit { after_ms, url: None, draft }
                };
                let emits = vec![emit("DELIVERED", ARRIVES_MS), emit("READ", 150)];
                let made = json!({ "name": format!("phones/{number}/agentMessages/{id}"), "sendTime": now.to_string(), "contentMessage": body["contentMessage"] });
                let accepted = Accepted { provider_id: id, to: number.to_owned(), our_id: None, text: words };
                Ok(Answer { reply: Reply::json(200, &made), accepted: vec![accepted], emits })
            }
            _ => Err(refused(404, "NOT_FOUND", "Not found")),
        }
    }

    /// The reference says 404 of what has arrived; that a second revocation is one more success is our reading of "revoked and deleted".
    fn revoke(&mut self, id: &str, now: Time) -> Checked<Answer> {
        let waits = self.taken.get(id).is_some_and(|arrives| now < *arrives);
        if !(waits || self.revoked.contains(id)) {
            return Err(refused(404, "NOT_FOUND", "Requested entity was not found."));
        }
        self.sent.take_back(id);
        self.revoked.insert(id.to_owned());
        Ok(Reply::json(200, &json!({})).into())
    }
}

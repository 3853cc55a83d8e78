//! Sinch, played: one app and one SMS plan of a project. Written from the fact sheet; never reads `FACTS`.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::checks::{Checked, batch, message, plan_refused, recipient, refused};
use super::proof;
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{crypto, entry};

const PROJECT: &str = "twin-project";
const APP: &str = "01TWINAPP";
const PLAN: &str = "twinplan";
const PLAN_TOKEN: &str = "twin-fake-plan-token";
const ACCESS: &str = "twin-fake-access-token";
const NUMBER: &str = "14155550199";
/// A draft is signed for the moment it leaves, and nobody tells a twin the time before it is first asked.
const DAWN: Time = Time(1_795_169_730_000);

/// Sinch, played.
pub struct Twin {
    key: String,
    secret: String,
    webhook: String,
    clock: Time,
    next: u64,
    stopped: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            key: format!("twin-key-{}", seed % 10),
            secret: format!("twin-fake-key-secret-{seed}"),
            webhook: format!("twin_fake_webhook_secret_{seed}"),
            clock: DAWN,
            next: seed % 1000,
            stopped: HashSet::new(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "project_id": PROJECT, "key_id": self.key, "key_secret": self.secret, "app_id": APP, "region": "eu",
            "webhook_secret": self.webhook, "sender": NUMBER });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        let path = request.path.clone();
        let result = match path.as_str() {
            "/oauth2/token" => self.token(request),
            path if path.starts_with("/xms/v1/") => self.plan(request, path),
            path => self.project(request, path),
        };
        result.unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let headers = proof::headers(&self.webhook, &draft.body, &format!("fakenonce{}", self.next), self.clock.0 / 1000);
        draft.headers.extend(headers);
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let Some(who) = super::identity::parse(person) else { return Vec::new() };
        let content = match act {
            Act::Text(text) => json!({ "text_message": { "text": text } }),
            Act::Image(caption) if caption.is_empty() => json!({ "media_message": { "url": "https://media.example.org/box.png" } }),
            Act::Image(caption) => json!({ "media_card_message": { "url": "https://media.example.org/box.png", "caption": caption } }),
            Act::Pick { title, .. } if who.channel == "SMS" => json!({ "text_message": { "text": title } }),
            Act::Pick { id, .. } => json!({ "choice_response_message": { "message_id": "01TWINOUT", "postback_data": id } }),
            Act::Read => return Vec::new(),
            Act::Block => {
                self.stopped.insert(who.id.clone());
                let notification =
                    json!({ "request_id": self.id(), "channel": who.channel, "identity": who.id, "status": "OPT_OUT_SUCCEEDED" });
                return vec![self.envelope(json!({ "opt_out_notification": notification }))];
            }
        };
        let message = json!({ "id": self.id(), "direction": "TO_APP", "contact_message": content, "sender_id": NUMBER, "conversation_id": "01TWINCONV",
            "channel_identity": { "channel": who.channel, "identity": who.id, "app_id": "" }, "accept_time": now.to_string(), "processing_mode": "CONVERSATION", "injected": false });
        vec![self.envelope(json!({ "message": message }))]
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let text = entry::opened(link, &format!("sms:+{NUMBER}")).and_then(|mut found| found.remove("body"));
        text.map(|text| self.act(person, &Act::Text(text), now)).unwrap_or_default()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        if request.path.ends_with("/messages:send") {
            return recipient(&body).ok().map(|(_, identity)| identity);
        }
        body["to"][0].as_str().filter(|_| request.path.ends_with("/batches")).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, "RESOURCE_EXHAUSTED", "Too many requests");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, "UNAVAILABLE", "Unavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (800, 1000)
    }
}

impl Twin {
    fn id(&mut self) -> String {
        self.next += 1;
        format!("01TWIN{:020}", self.next)
    }

    fn envelope(&self, more: Value) -> Draft {
        let mut body =
            json!({ "app_id": APP, "project_id": PROJECT, "accepted_time": self.clock.to_string(), "event_time": self.clock.to_string() });
        crate::kit::spoken::merge(&mut body, more.as_object().expect("made here"));
        Draft::json(&body)
    }

    fn header(request: &Request) -> &str {
        request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    fn basic(&self) -> String {
        format!("Basic {}", crypto::base64(format!("{}:{}", self.key, self.secret).as_bytes()))
    }

    fn token(&self, request: &Request) -> Checked<Answer> {
        if Self::header(request) != self.basic() || !request.body.starts_with(b"grant_type=client_credentials") {
            return Err(Reply::json(401, &json!({ "error": "invalid_client" })));
        }
        Ok(Reply::json(200, &json!({ "access_token": ACCESS, "expires_in": 3599, "token_type": "bearer", "scope": "" })).into())
    }

    fn project(&mut self, request: &Request, path: &str) -> Checked<Answer> {
        if Self::header(request) != format!("Bearer {ACCESS}") && Self::header(request) != self.basic() {
            return Err(refused(401, "UNAUTHENTICATED", "Unauthorized"));
        }
        let missing = || refused(404, "NOT_FOUND", "Not found");
        let resource = path.strip_prefix(&format!("/v1/projects/{PROJECT}")).ok_or_else(missing)?;
        if request.method == http::Method::GET && resource == format!("/apps/{APP}") {
            return Ok(Reply::json(200, &json!({ "id": APP, "display_name": "Twin" })).into());
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "INVALID_ARGUMENT", "JSON"))?;
        if body["app_id"] != APP {
            return Err(missing());
        }
        let (channel, identity) = recipient(&body)?;
        match resource {
            "/events:send" => {
                let known = [
                    "composing_event",
                    "composing_end_event",
                    "comment_reply_event",
                    "agent_joined_event",
                    "agent_left_event",
                    "generic_event",
                ];
                let good = body["event"].as_object().is_some_and(|e| e.len() == 1 && e.keys().all(|k| known.contains(&k.as_str())));
                if !good {
                    return Err(refused(400, "INVALID_ARGUMENT", "event"));
                }
                Ok(Reply::json(200, &json!({ "event_id": self.id(), "accepted_time": self.clock.to_string() })).into())
            }
            "/messages:send" => self.send(&body, channel, identity),
            _ => Err(missing()),
        }
    }

    fn send(&mut self, body: &Value, channel: String, identity: String) -> Checked<Answer> {
        let words = message(body, &channel)?;
        let id = self.id();
        let ours = body["message_metadata"].as_str().map(str::to_owned);
        let blocked = self.stopped.contains(&identity);
        let read = !matches!(channel.as_str(), "SMS" | "MMS");
        let steps = [("QUEUED_ON_CHANNEL", 30), ("DELIVERED", 80), ("READ", 150)];
        let report = |status: &str| {
            let mut report = json!({ "message_id": id, "status": status, "channel_identity": { "channel": channel, "identity": identity, "app_id": "" },
                "metadata": ours, "processing_mode": "CONVERSATION" });
            if status == "FAILED" {
                report["reason"] =
                    json!({ "code": "RECIPIENT_NOT_OPTED_IN", "description": "opted out", "sub_code": "UNSPECIFIED_SUB_CODE" });
            }
            self.envelope(json!({ "message_delivery_report": report, "message_metadata": ours }))
        };
        let emits = if blocked {
            vec![Emit { after_ms: 30, url: None, draft: report("FAILED") }]
        } else {
            let told = steps.iter().filter(|(status, _)| read || *status != "READ");
            told.map(|(status, after_ms)| Emit { after_ms: *after_ms, url: None, draft: report(status) }).collect()
        };
        let reply = Reply::json(200, &json!({ "message_id": id, "accepted_time": self.clock.to_string() }));
        let accepted = Accepted { provider_id: id, to: identity, our_id: ours, text: words };
        Ok(Answer { reply, accepted: vec![accepted], emits })
    }

    fn plan(&mut self, request: &Request, path: &str) -> Checked<Answer> {
        if Self::header(request) != format!("Bearer {PLAN_TOKEN}") && Self::header(request) != format!("Bearer {ACCESS}") {
            return Err(plan_refused(401, "unauthorized"));
        }
        let resource = path.strip_prefix(&format!("/xms/v1/{PLAN}")).or_else(|| path.strip_prefix(&format!("/xms/v1/{PROJECT}")));
        match (request.method.as_str(), resource) {
            ("GET", Some("/batches")) => Ok(Reply::json(200, &json!({ "count": 0, "page": 0, "batches": [] })).into()),
            ("POST", Some("/batches")) => {
                let body: Value = serde_json::from_slice(&request.body).map_err(|_| plan_refused(400, "syntax_invalid_json"))?;
                let (to, words) = batch(&body)?;
                let id = self.id();
                let ours = body["client_reference"].as_str().map(str::to_owned);
                let kind = if body["type"] == "mt_media" { "mms" } else { "sms" };
                let mut emits = Vec::new();
                for (status, code, after_ms) in [("Dispatched", 401, 30), ("Delivered", 0, 80)] {
                    for number in &to {
                        let report = json!({ "type": format!("recipient_delivery_report_{kind}"), "batch_id": id, "recipient": number, "code": code,
                            "status": status, "at": self.clock.plus(after_ms as i64).to_string(), "client_reference": ours });
                        emits.push(Emit { after_ms, url: None, draft: Draft::json(&report) });
                    }
                }
                let reply = Reply::json(201, &json!({ "id": id, "to": to, "canceled": false, "created_at": self.clock.to_string() }));
                let accepted = Accepted { provider_id: id, to: to.join(","), our_id: ours, text: words };
                Ok(Answer { reply, accepted: vec![accepted], emits })
            }
            _ => Err(plan_refused(404, "not_found")),
        }
    }
}

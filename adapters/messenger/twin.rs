//! Messenger, played: one Page, whoever writes to it, and a file of one pixel.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

use super::checks::{Checked, action, message, recipient, refused};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{entry, hub, multipart, sample};

const PAGE: &str = "10000000008100";
const APP: &str = "10000000004242";

/// Messenger, played.
pub struct Twin {
    seed: u64,
    next: u64,
    /// What was last offered to each person.
    offered: HashMap<String, Value>,
    files: HashSet<String>,
    blocked: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0, offered: HashMap::new(), files: HashSet::new(), blocked: HashSet::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "page_id": PAGE,
            "page_access_token": self.token(),
            "app_id": APP,
            "app_secret": self.secret(),
            "verify_token": format!("twin-verify-{}", self.seed),
        });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        match self.run(request, now) {
            Ok(answer) => answer,
            Err(reply) => reply.into(),
        }
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        if draft.method == Method::GET {
            if draft.query.is_empty() {
                draft.query = format!("hub.mode=subscribe&hub.challenge=90210&hub.verify_token=twin-verify-{}", self.seed);
            }
            return draft;
        }
        draft.headers.push(hub::signature(&self.secret(), &draft.body));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let id = person.rsplit(':').next().unwrap_or_default().to_owned();
        let mid = self.id("m_IN");
        let event = match act {
            Act::Text(text) => json!({ "message": { "mid": mid, "text": text } }),
            Act::Image(text) => {
                let file = self.id("55");
                let link = format!("https://scontent.xx.fbcdn.net/twin/{file}.png?sig=twin");
                self.files.insert(file);
                let mut message = json!({ "mid": mid, "attachments": [{ "type": "image", "payload": { "url": link } }] });
                if !text.is_empty() {
                    message["text"] = text.as_str().into();
                }
                json!({ "message": message })
            }
            Act::Pick { id: payload, title } => {
                let quick = self.offered.get(&id).is_some_and(|offer| !offer["quick_replies"].is_null());
                if quick {
                    json!({ "message": { "mid": mid, "text": title, "quick_reply": { "payload": payload } } })
                } else {
                    json!({ "postback": { "mid": mid, "title": title, "payload": payload } })
                }
            }
            Act::Read => json!({ "read": { "watermark": now.0 } }),
            Act::Block => {
                // Nobody is told; what is sent afterwards is refused.
                self.blocked.insert(id);
                return Vec::new();
            }
        };
        vec![delivery(&id, PAGE, event, now)]
    }

    /// As in a conversation that is there already: nobody has to press anything.
    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let Some(mut found) = entry::opened(link, &format!("https://m.me/{PAGE}")) else { return Vec::new() };
        let id = person.rsplit(':').next().unwrap_or_default().to_owned();
        let mut referral = json!({ "source": "SHORTLINK", "type": "OPEN_THREAD" });
        if let Some(value) = found.remove("ref") {
            referral["ref"] = value.into();
        }
        vec![delivery(&id, PAGE, json!({ "referral": referral }), now)]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let sends = request.method == Method::POST && request.path.ends_with("/messages") && !body["message"].is_null();
        if sends { recipient(&body).ok() } else { None }
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(400, 613, 0, "Calls to this api have exceeded the rate limit");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, 2, 0, "Service temporarily unavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (300, 1000)
    }
}

impl Twin {
    fn token(&self) -> String {
        format!("TWIN-fake-page-token-{:08}", self.seed)
    }

    fn secret(&self) -> String {
        format!("twin-page-secret-{:08}", self.seed)
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:04}{:08}", self.seed % 10_000, self.next)
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        if let Some(file) = request.path.strip_prefix("/twin/").and_then(|name| name.strip_suffix(".png")) {
            let known = self.files.contains(file) && request.query == "sig=twin";
            return if known { Ok(picture().into()) } else { Err(Reply::json(403, &json!({ "error": "signature" }))) };
        }
        let bearer = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let app = bearer == format!("Bearer {APP}|{}", self.secret());
        if bearer != format!("Bearer {}", self.token()) && !app {
            return Err(refused(401, 190, 463, "Error validating access token"));
        }
        let unknown = || refused(400, 100, 33, "Unsupported request: the object does not exist");
        let (version, path) = request.path.trim_start_matches('/').split_once('/').ok_or_else(unknown)?;
        if !version.strip_prefix('v').is_some_and(|v| v.parse::<f32>().is_ok_and(|v| v >= 15.0)) {
            return Err(unknown());
        }
        let post = request.method == Method::POST;
        let fine = || Ok(Reply::json(200, &json!({ "success": true })).into());
        match path.split_once('/') {
            Some((PAGE | "me", "messages")) if post => self.message(request, now),
            Some((PAGE | "me", "message_attachments")) if post => self.upload(request),
            Some((PAGE, "subscribed_apps")) if post => fine(),
            Some((APP, "subscriptions")) if post && app => fine(),
            None if path == PAGE && !post => Ok(Reply::json(200, &json!({ "id": PAGE, "name": "Twin" })).into()),
            _ => Err(unknown()),
        }
    }

    fn upload(&mut self, request: &Request) -> Checked<Answer> {
        let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let fields = multipart::read(kind, &request.body).ok_or_else(|| refused(400, 100, 2_018_047, "multipart/form-data is expected"))?;
        let has = |name: &str| fields.iter().find(|f| f.name == name);
        let about: Value = has("message").and_then(|f| serde_json::from_slice(&f.value).ok()).unwrap_or_default();
        if about["attachment"]["type"].is_null() || has("filedata").is_none_or(|f| f.filename.is_none() || f.value.is_empty()) {
            return Err(refused(400, 100, 2_018_047, "message and filedata are required"));
        }
        let id = self.id("90");
        self.files.insert(id.clone());
        Ok(Reply::json(200, &json!({ "attachment_id": id })).into())
    }

    fn message(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        let json = request.headers.get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"application/json"));
        let parsed = serde_json::from_slice(&request.body).ok().filter(|_| json);
        let body: Value = parsed.ok_or_else(|| refused(400, 100, 0, "a JSON body is expected"))?;
        let to = recipient(&body)?;
        if self.blocked.contains(&to) {
            return Err(refused(400, 551, 1_545_041, "This person isn't available right now"));
        }
        if !body["sender_action"].is_null() {
            action(&body)?;
            return Ok(Reply::json(200, &json!({ "recipient_id": to })).into());
        }
        let text = message(&body)?;
        let content = &body["message"];
        if let Some(id) = content["attachment"]["payload"]["attachment_id"].as_str()
            && !self.files.contains(id)
        {
            return Err(refused(400, 100, 2_018_047, "the attachment id is unknown"));
        }
        let mid = self.id("m_OUT");
        self.offered.insert(to.clone(), content.clone());
        let ours = content["metadata"].as_str();
        let direct = body["recipient"].get("id").is_some();
        let mut reply = json!({ "message_id": mid });
        if direct {
            reply["recipient_id"] = to.as_str().into();
        }
        let emits = if direct { receipts(&to, &mid, ours, &text, now) } else { Vec::new() };
        let accepted = Accepted { provider_id: mid, to, our_id: ours.map(str::to_owned), text };
        Ok(Answer { reply: Reply::json(200, &reply), accepted: vec![accepted], emits })
    }
}

/// The echo, then delivered, then read.
fn receipts(to: &str, mid: &str, ours: Option<&str>, text: &str, now: Time) -> Vec<Emit> {
    let app: u64 = APP.parse().unwrap_or_default();
    let mut echo = json!({ "mid": mid, "is_echo": true, "app_id": app, "text": text });
    if let Some(ours) = ours {
        echo["metadata"] = ours.into();
    }
    let (sent, delivered, read) = (now.plus(30), now.plus(80), now.plus(150));
    let emit = |after_ms, draft| Emit { after_ms, url: None, draft };
    vec![
        emit(30, delivery(PAGE, to, json!({ "message": echo }), sent)),
        emit(80, delivery(to, PAGE, json!({ "delivery": { "mids": [mid], "watermark": delivered.0 } }), delivered)),
        emit(150, delivery(to, PAGE, json!({ "read": { "watermark": read.0 } }), read)),
    ]
}

fn delivery(sender: &str, recipient: &str, event: Value, now: Time) -> Draft {
    let mut whole = json!({ "sender": { "id": sender }, "recipient": { "id": recipient }, "timestamp": now.0 });
    if let (Some(whole), Value::Object(event)) = (whole.as_object_mut(), event) {
        whole.extend(event);
    }
    let body = json!({ "object": "page", "entry": [{ "id": PAGE, "time": now.0, "messaging": [whole] }] });
    Draft { body: hub::escaped(&body), ..Draft::json(&body) }
}

fn picture() -> Reply {
    let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
    reply.header("content-type", "image/png")
}

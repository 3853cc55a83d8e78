//! Instagram, played: one professional account with its Page, whoever writes to it, and a file of one pixel.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

use super::checks::{Checked, action, message, recipient, refused};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{entry, hub, multipart, sample};

const ACCOUNT: &str = "17840000000000001";
const PAGE: &str = "8100";
const NAME: &str = "twin.shop";
const APP: &str = "10000000004243";

/// Instagram, played.
pub struct Twin {
    seed: u64,
    next: u64,
    /// What was last offered to each person.
    offered: HashMap<String, Value>,
    files: HashSet<String>,
    answered: HashSet<String>,
    blocked: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        let (offered, files) = (HashMap::new(), HashSet::new());
        Self { seed, next: 0, offered, files, answered: HashSet::new(), blocked: HashSet::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "ig_id": ACCOUNT,
            "username": NAME,
            "access_token": self.token(),
            "app_id": APP,
            "app_secret": ["twin-old-secret-0001", self.secret()],
            "verify_token": format!("twin-verify-{}", self.seed),
        });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.run(request, now).unwrap_or_else(Answer::from)
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
        let mid = self.id("aWdIN");
        let event = match act {
            Act::Text(text) => json!({ "message": { "mid": mid, "text": text } }),
            Act::Image(_) => {
                let file = self.id("66");
                let link = format!("https://lookaside.fbsbx.com/ig_messaging_cdn/{file}?sig=twin");
                self.files.insert(file);
                json!({ "message": { "mid": mid, "attachments": [{ "type": "image", "payload": { "url": link } }] } })
            }
            Act::Pick { id: payload, title } => {
                let quick = self.offered.get(&id).is_some_and(|offer| !offer["quick_replies"].is_null());
                if quick {
                    json!({ "message": { "mid": mid, "text": title, "quick_reply": { "payload": payload } } })
                } else {
                    json!({ "postback": { "mid": mid, "title": title, "payload": payload } })
                }
            }
            Act::Read => json!({ "read": { "mid": format!("aWdOUT{:04}{:08}", self.seed % 10_000, self.next - 1) } }),
            Act::Block => {
                // Nobody is told; what is sent afterwards is refused.
                self.blocked.insert(id);
                return Vec::new();
            }
        };
        vec![delivery(&id, ACCOUNT, event, now)]
    }

    /// As in a conversation that is there already: nobody has to press anything.
    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let Some(mut found) = entry::opened(link, &format!("https://ig.me/m/{NAME}")) else { return Vec::new() };
        let id = person.rsplit(':').next().unwrap_or_default().to_owned();
        let mut referral = json!({ "source": "IGME-SOURCE-LINK", "type": "OPEN_THREAD" });
        if let Some(value) = found.remove("ref") {
            referral["ref"] = value.into();
        }
        vec![delivery(&id, ACCOUNT, json!({ "referral": referral }), now)]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let sends = request.method == Method::POST && request.path.ends_with("/messages") && !body["message"].is_null();
        if sends { recipient(&body).ok() } else { None }
    }

    fn throttled(&self, _retry_after_secs: u64) -> Reply {
        refused(400, 80_002, 0, "There have been too many calls to this account")
    }

    fn broken(&self) -> Reply {
        refused(503, 2, 0, "An unexpected error has occurred. Please retry your request later.")
    }

    fn pace(&self) -> (u32, u64) {
        (300, 1000)
    }
}

impl Twin {
    fn token(&self) -> String {
        format!("TWIN-fake-ig-token-{:08}", self.seed)
    }

    fn secret(&self) -> String {
        format!("twin-ig-secret-{:08}", self.seed)
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:04}{:08}", self.seed % 10_000, self.next)
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        if let Some(file) = request.path.strip_prefix("/ig_messaging_cdn/") {
            let known = self.files.contains(file) && request.query == "sig=twin";
            return if known { Ok(picture().into()) } else { Err(Reply::json(403, &json!({ "error": "signature" }))) };
        }
        let bearer = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let app = bearer.strip_prefix("Bearer ").and_then(|b| b.strip_prefix(APP)).is_some_and(|rest| rest.starts_with('|'));
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
            Some((inbox @ (ACCOUNT | PAGE | "me"), "messages")) if post => self.message(request, inbox != PAGE, now),
            Some((ACCOUNT | PAGE | "me", "message_attachments")) if post => self.upload(request),
            Some((ACCOUNT | PAGE | "me", "subscribed_apps")) if post => fine(),
            Some((APP, "subscriptions")) if post && app => fine(),
            Some((ACCOUNT, "mentions")) if post => self.comment(request, true),
            Some((id, "replies" | "comments")) if post && id.bytes().all(|b| b.is_ascii_digit()) => self.comment(request, false),
            None if matches!(path, ACCOUNT | PAGE) && !post => Ok(Reply::json(200, &json!({ "id": path, "username": "twin" })).into()),
            _ => Err(unknown()),
        }
    }

    fn comment(&mut self, request: &Request, mention: bool) -> Checked<Answer> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = body["message"].as_str().filter(|text| !text.is_empty());
        let (Some(text), true) = (text, !mention || body["media_id"].is_string()) else {
            return Err(refused(400, 100, 0, "Invalid parameter: message"));
        };
        let id = self.id("18");
        let accepted = Accepted { provider_id: id.clone(), to: request.path.clone(), our_id: None, text: text.to_owned() };
        Ok(Answer { reply: Reply::json(200, &json!({ "id": id })), accepted: vec![accepted], emits: Vec::new() })
    }

    fn upload(&mut self, request: &Request) -> Checked<Answer> {
        let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let fields = multipart::read(kind, &request.body).ok_or_else(|| refused(400, 100, 2_018_047, "multipart/form-data is expected"))?;
        let has = |name: &str| fields.iter().find(|f| f.name == name);
        let about: Value = has("message").and_then(|f| serde_json::from_slice(&f.value).ok()).unwrap_or_default();
        let here = has("platform").is_some_and(|f| f.text() == "instagram");
        if !here || about["attachment"]["type"].is_null() || has("filedata").is_none_or(|f| f.filename.is_none() || f.value.is_empty()) {
            return Err(refused(400, 100, 2_018_047, "platform, message and filedata are required"));
        }
        let id = self.id("90");
        self.files.insert(id.clone());
        Ok(Reply::json(200, &json!({ "attachment_id": id })).into())
    }

    fn message(&mut self, request: &Request, any_emoji: bool, now: Time) -> Checked<Answer> {
        let json = request.headers.get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"application/json"));
        let parsed = serde_json::from_slice(&request.body).ok().filter(|_| json);
        let body: Value = parsed.ok_or_else(|| refused(400, 100, 0, "a JSON body is expected"))?;
        let to = recipient(&body)?;
        if self.blocked.contains(&to) {
            return Err(refused(400, 551, 1_545_041, "This person isn't available right now"));
        }
        if !body["sender_action"].is_null() {
            action(&body, any_emoji)?;
            return Ok(Reply::json(200, &json!({ "recipient_id": to })).into());
        }
        let text = message(&body)?;
        let content = &body["message"];
        if let Some(id) = content["attachment"]["payload"]["attachment_id"].as_str()
            && !self.files.contains(id)
        {
            return Err(refused(400, 100, 2_018_047, "the attachment id is unknown"));
        }
        let direct = body["recipient"].get("id").is_some();
        if !direct && !self.answered.insert(to.clone()) {
            return Err(refused(400, 100, 0, "the comment was answered in private already"));
        }
        let mid = self.id("aWdOUT");
        self.offered.insert(to.clone(), content.clone());
        let emits = if direct { receipts(&to, &mid, &text, now) } else { Vec::new() };
        let reply = Reply::json(200, &json!({ "recipient_id": to, "message_id": mid }));
        let accepted = Accepted { provider_id: mid, to, our_id: None, text };
        Ok(Answer { reply, accepted: vec![accepted], emits })
    }
}

/// The echo, then read.
fn receipts(to: &str, mid: &str, text: &str, now: Time) -> Vec<Emit> {
    let echo = json!({ "message": { "mid": mid, "is_echo": true, "text": text } });
    let emit = |after_ms: u64, draft| Emit { after_ms, url: None, draft };
    let at = |ms| now.plus(ms);
    vec![emit(30, delivery(ACCOUNT, to, echo, at(30))), emit(150, delivery(to, ACCOUNT, json!({ "read": { "mid": mid } }), at(150)))]
}

fn delivery(sender: &str, recipient: &str, event: Value, now: Time) -> Draft {
    let mut whole = json!({ "sender": { "id": sender }, "recipient": { "id": recipient }, "timestamp": now.0 });
    if let (Some(whole), Value::Object(event)) = (whole.as_object_mut(), event) {
        whole.extend(event);
    }
    let body = json!({ "object": "instagram", "entry": [{ "id": ACCOUNT, "time": now.0, "messaging": [whole] }] });
    Draft { body: hub::escaped(&body), ..Draft::json(&body) }
}

fn picture() -> Reply {
    let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
    reply.header("content-type", "image/png")
}

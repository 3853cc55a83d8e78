//! WhatsApp, played: one business number, whoever writes to it, and a file of one pixel. Whose number begins with +1555019 is
//! told with the business-scoped id beside it, as Meta tells most people.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

use super::checks::{Checked, message, refused};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{entry, hub, multipart, sample};

const NUMBER: &str = "10000000000700";
const ACCOUNT: &str = "10000000000900";
const APP: &str = "10000000000042";
const DISPLAY: &str = "15550001111";
/// How the numbers begin of people who are known by both.
const BOTH: &str = "1555019";

/// WhatsApp, played.
pub struct Twin {
    seed: u64,
    next: u64,
    /// The last message sent to each person.
    last: HashMap<String, String>,
    /// What was last offered to each person.
    offered: HashMap<String, Value>,
    files: HashSet<String>,
    blocked: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0, last: HashMap::new(), offered: HashMap::new(), files: HashSet::new(), blocked: HashSet::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "phone_number_id": NUMBER,
            "waba_id": ACCOUNT,
            "app_id": APP,
            "access_token": self.token(),
            "app_secret": self.secret(),
            "verify_token": format!("twin-verify-{}", self.seed),
            "display_phone_number": DISPLAY,
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
        let id = person.rsplit(':').next().unwrap_or_default().trim_start_matches('+').to_owned();
        let content = match act {
            Act::Text(text) => json!({ "type": "text", "text": { "body": text } }),
            Act::Image(caption) => {
                let file = self.file();
                let mut image = json!({ "id": file, "mime_type": "image/png", "sha256": "" });
                if !caption.is_empty() {
                    image["caption"] = caption.as_str().into();
                }
                json!({ "type": "image", "image": image })
            }
            Act::Pick { id: choice, title } => {
                let listed = self.offered.get(&id).is_some_and(|offer| offer["type"] == "list");
                let kind = if listed { "list_reply" } else { "button_reply" };
                json!({ "type": "interactive", "interactive": { "type": kind, kind: { "id": choice, "title": title } } })
            }
            Act::Read => {
                let Some(wamid) = self.last.get(&id) else { return Vec::new() };
                return vec![status(wamid, &id, "read", now, None, None)];
            }
            Act::Block => {
                // Nobody is told; what is sent afterwards fails.
                self.blocked.insert(id);
                return Vec::new();
            }
        };
        vec![self.written(&id, content, now)]
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let text = entry::opened(link, &format!("https://wa.me/{DISPLAY}")).and_then(|mut found| found.remove("text"));
        text.map(|text| self.act(person, &Act::Text(text), now)).unwrap_or_default()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let path = request.path.trim_end_matches('/');
        let sends = request.method == Method::POST && (path.ends_with("/messages") || path.ends_with("/marketing_messages"));
        let to = body["to"].as_str().or_else(|| body["recipient"].as_str())?;
        (sends && body["status"].is_null()).then(|| to.trim_start_matches('+').to_owned())
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(400, 130_429, "Rate limit hit");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn throttled_pair(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(400, 131_056, "(Business Account, Consumer Account) pair rate limit hit");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, 2, "Service temporarily unavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (80, 1000)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((1, 6000, 45))
    }
}

impl Twin {
    fn token(&self) -> String {
        format!("TWIN-fake-token-{:08}", self.seed)
    }

    fn secret(&self) -> String {
        format!("twin-app-secret-{:08}", self.seed)
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:04}{:08}", self.seed % 10_000, self.next)
    }

    fn file(&mut self) -> String {
        let id = self.id("55");
        self.files.insert(id.clone());
        id
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        let bearer = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let app = bearer == format!("Bearer {APP}|{}", self.secret());
        if bearer != format!("Bearer {}", self.token()) && !app {
            return Err(refused(401, 190, "Error validating access token"));
        }
        if request.path.starts_with("/whatsapp_business/attachments") {
            let known = self.files.iter().any(|id| request.query == format!("mid={id}"));
            return if known { Ok(picture().into()) } else { Err(refused(404, 100, "Unknown file")) };
        }
        let unknown = || refused(400, 100, "Unsupported request: the object does not exist");
        let (version, path) = request.path.trim_start_matches('/').split_once('/').ok_or_else(unknown)?;
        if !version.strip_prefix('v').is_some_and(|v| v.parse::<f32>().is_ok_and(|v| v >= 15.0)) {
            return Err(unknown());
        }
        let post = request.method == Method::POST;
        match path.split_once('/') {
            Some((NUMBER, "messages" | "marketing_messages")) if post => self.message(request, now),
            Some((NUMBER, "media")) if post => self.upload(request),
            Some((APP, "subscriptions")) if post && app => Ok(Reply::json(200, &json!({ "success": true })).into()),
            Some((ACCOUNT, "subscribed_apps")) if post => Ok(Reply::json(200, &json!({ "success": true })).into()),
            None if path == NUMBER && !post => {
                let about = json!({ "id": NUMBER, "display_phone_number": DISPLAY, "verified_name": "Twin", "quality_rating": "GREEN" });
                Ok(Reply::json(200, &about).into())
            }
            None if !post && self.files.contains(path) => {
                // Naming the number is left to the caller; a wrong one is refused.
                if !request.query.is_empty() && request.query != format!("phone_number_id={NUMBER}") {
                    return Err(unknown());
                }
                let link = format!("https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid={path}");
                let file = json!({ "url": link, "mime_type": "image/png", "sha256": "", "file_size": sample::PNG.len(), "id": path,
                    "messaging_product": "whatsapp" });
                Ok(Reply::json(200, &file).into())
            }
            _ => Err(unknown()),
        }
    }

    fn upload(&mut self, request: &Request) -> Checked<Answer> {
        let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let fields = multipart::read(kind, &request.body).ok_or_else(|| refused(400, 100, "multipart/form-data is expected"))?;
        let has = |name: &str| fields.iter().find(|f| f.name == name);
        if has("messaging_product").map(multipart::Piece::text).as_deref() != Some("whatsapp") {
            return Err(refused(400, 100, "The parameter messaging_product is required."));
        }
        if has("file").is_none_or(|f| f.filename.is_none() || f.value.is_empty()) || has("type").is_none() {
            return Err(refused(400, 131_053, "file and type are required"));
        }
        let id = self.file();
        Ok(Reply::json(200, &json!({ "id": id })).into())
    }

    fn message(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        let json = request.headers.get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"application/json"));
        let body: Value =
            serde_json::from_slice(&request.body).ok().filter(|_| json).ok_or_else(|| refused(400, 100, "a JSON body is expected"))?;
        if body["status"] == "read" {
            let typing = &body["typing_indicator"];
            if body["message_id"].as_str().is_none_or(str::is_empty) || !typing.is_null() && typing["type"] != "text" {
                return Err(refused(400, 131_009, "message_id or typing_indicator is invalid"));
            }
            return Ok(Reply::json(200, &json!({ "success": true })).into());
        }
        let (to, text) = message(&body)?;
        let kind = body["type"].as_str().unwrap_or("text");
        for id in ["id"].iter().filter_map(|name| body[kind][*name].as_str()) {
            if !self.files.contains(id) && kind != "template" {
                return Err(refused(400, 131_009, "the media id is unknown"));
            }
        }
        let wamid = self.id("wamid.TWIN");
        self.last.insert(to.clone(), wamid.clone());
        if kind == "interactive" {
            self.offered.insert(to.clone(), body["interactive"].clone());
        }
        let ours = body["biz_opaque_callback_data"].as_str();
        let mut contact = json!({ "input": body["to"].as_str().unwrap_or(&to) });
        if body["to"].is_string() {
            contact["wa_id"] = to.as_str().into();
        } else {
            contact["user_id"] = to.as_str().into();
        }
        let mut sent = json!({ "id": wamid });
        if kind == "template" {
            sent["message_status"] = "accepted".into();
        }
        let reply = json!({ "messaging_product": "whatsapp", "contacts": [contact], "messages": [sent] });
        let emits = if self.blocked.contains(&to) {
            let error = json!([{ "code": 131_026, "title": "Message undeliverable", "error_data": { "details": "undeliverable" } }]);
            vec![emit(40, status(&wamid, &to, "failed", now.plus(40), ours, Some(error)))]
        } else {
            // A reaction is only ever sent.
            let steps: &[(u64, &str)] =
                if kind == "reaction" { &[(30, "sent")] } else { &[(30, "sent"), (80, "delivered"), (150, "read")] };
            steps.iter().map(|(ms, word)| emit(*ms, status(&wamid, &to, word, now.plus(*ms as i64), ours, None))).collect()
        };
        let accepted = Accepted { provider_id: wamid, to, our_id: ours.map(str::to_owned), text };
        Ok(Answer { reply: Reply::json(200, &reply), accepted: vec![accepted], emits })
    }

    /// A message of a person, as the webhook writes it.
    fn written(&mut self, id: &str, content: Value, now: Time) -> Draft {
        let wamid = self.id("wamid.IN");
        let mut message = json!({ "id": wamid, "timestamp": (now.0 / 1000).to_string() });
        let mut contact = json!({ "profile": { "name": "Ana" } });
        let (number, user) = names(id);
        if let Some(user) = user {
            message["from_user_id"] = user.as_str().into();
            contact["user_id"] = user.into();
        }
        if let Some(number) = number {
            message["from"] = number.into();
            contact["wa_id"] = number.into();
        }
        if let (Some(message), Value::Object(content)) = (message.as_object_mut(), content) {
            message.extend(content);
        }
        delivery(json!({ "contacts": [contact], "messages": [message] }))
    }
}

/// What a person is called in deliveries: the number, the business-scoped id, or both.
fn names(id: &str) -> (Option<&str>, Option<String>) {
    if id.as_bytes().get(2) == Some(&b'.') {
        return (None, Some(id.to_owned()));
    }
    (Some(id), id.starts_with(BOTH).then(|| format!("US.{id}")))
}

fn emit(after_ms: u64, draft: Draft) -> Emit {
    Emit { after_ms, url: None, draft }
}

fn status(wamid: &str, to: &str, word: &str, now: Time, ours: Option<&str>, errors: Option<Value>) -> Draft {
    let mut status = json!({ "id": wamid, "status": word, "timestamp": (now.0 / 1000).to_string() });
    let mut contact = json!({ "profile": { "name": "Ana" } });
    let (number, user) = names(to);
    if let Some(user) = user {
        status["recipient_user_id"] = user.as_str().into();
        contact["user_id"] = user.into();
    }
    if let Some(number) = number {
        status["recipient_id"] = number.into();
        contact["wa_id"] = number.into();
    }
    if let Some(ours) = ours {
        status["biz_opaque_callback_data"] = ours.into();
    }
    if word == "sent" {
        status["pricing"] = json!({ "billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service" });
    }
    if let Some(errors) = errors {
        status["errors"] = errors;
    }
    delivery(json!({ "contacts": [contact], "statuses": [status] }))
}

fn delivery(mut value: Value) -> Draft {
    value["messaging_product"] = "whatsapp".into();
    value["metadata"] = json!({ "display_phone_number": DISPLAY, "phone_number_id": NUMBER });
    let entry = json!([{ "id": ACCOUNT, "changes": [{ "value": value, "field": "messages" }] }]);
    let body = json!({ "object": "whatsapp_business_account", "entry": entry });
    Draft { body: hub::escaped(&body), ..Draft::json(&body) }
}

fn picture() -> Reply {
    let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
    reply.header("content-type", "image/png")
}

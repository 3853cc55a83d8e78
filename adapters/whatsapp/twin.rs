//! WhatsApp, played: one number, whoever writes to it, and a picture of one pixel.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

use super::checks::{self, Checked, refused};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::{crypto, form, hub, multipart, sample};

const NUMBER_ID: &str = "990000000000001";
const NUMBER: &str = "15550009999";
const WABA: &str = "990000000000002";
const VERIFY: &str = "twin-verify-token";
/// How a person's picture is called.
const PICTURE: &str = "990000000000003";

/// WhatsApp, played.
pub struct Twin {
    token: String,
    secret: String,
    count: u64,
    seed: u64,
    /// Files we uploaded.
    uploads: HashSet<String>,
    /// The last thing offered to a person: `button_reply`, `list_reply` or a template's `button`, and its id.
    offered: HashMap<String, (&'static str, String)>,
    /// The last message each person got, with what it echoes.
    last: HashMap<String, (String, Option<String>)>,
    blocked: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            token: format!("TWIN-fake-access-token-{seed:08}"),
            secret: format!("twin-fake-app-secret-{seed}"),
            count: 0,
            seed,
            uploads: HashSet::new(),
            offered: HashMap::new(),
            last: HashMap::new(),
            blocked: HashSet::new(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "phone_number_id": NUMBER_ID, "access_token": self.token, "app_secret": self.secret,
            "verify_token": VERIFY, "waba_id": WABA });
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
            return draft;
        }
        draft.body = as_sent(&draft.body);
        let key = crypto::sha256_keys(&Secrets::one(&*self.secret)).remove(0);
        draft.headers.push(("x-hub-signature-256".into(), hub::signature(&key, &draft.body)));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let id = person.split_once(':').map_or(person, |(_, id)| id).trim_start_matches('+').to_owned();
        let content = match act {
            Act::Text(text) => json!({ "type": "text", "text": { "body": text } }),
            Act::Image(caption) => json!({ "type": "image", "image": { "id": PICTURE, "mime_type": "image/png",
                "sha256": crypto::base64(&crypto::sha256(sample::PNG)), "caption": caption } }),
            Act::Pick { id: picked, title } => match self.offered.get(&id) {
                Some((kind @ ("button_reply" | "list_reply"), message)) => json!({ "type": "interactive",
                    "context": { "from": NUMBER, "id": message },
                    "interactive": { "type": kind, *kind: { "id": picked, "title": title } } }),
                Some((_, message)) => json!({ "type": "button", "context": { "from": NUMBER, "id": message },
                    "button": { "payload": picked, "text": title } }),
                None => json!({ "type": "text", "text": { "body": title } }),
            },
            Act::Read => {
                let Some((message, echo)) = self.last.get(&id) else { return Vec::new() };
                let (message, echo) = (message.clone(), echo.clone());
                return vec![delivery(json!({ "statuses": [status(&message, "read", &id, echo.as_deref(), now)] }))];
            }
            Act::Block => {
                self.blocked.insert(id);
                return Vec::new(); // A block is not signalled.
            }
        };
        vec![self.written(&id, content, now)]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        if request.method != Method::POST || !request.path.ends_with(&format!("/{NUMBER_ID}/messages")) {
            return None;
        }
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        if !body["status"].is_null() {
            return None;
        }
        body["to"].as_str().or_else(|| body["recipient"].as_str()).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(400, 130_429, "Rate limit hit");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, 131_016, "Service temporarily unavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (80, 1000)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((1, 6000, 45))
    }
}

/// Meta writes all but ASCII as `\uXXXX`, and a slash with a backslash, and signs that.
fn as_sent(body: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(body) else { return body.to_vec() };
    if !text.starts_with('{') {
        return body.to_vec();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '/' => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out.into_bytes()
}

fn delivery(mut value: Value) -> Draft {
    value["messaging_product"] = "whatsapp".into();
    value["metadata"] = json!({ "display_phone_number": NUMBER, "phone_number_id": NUMBER_ID });
    let change = json!({ "field": "messages", "value": value });
    Draft::json(&json!({ "object": "whatsapp_business_account", "entry": [{ "id": WABA, "changes": [change] }] }))
}

fn status(id: &str, state: &str, to: &str, echo: Option<&str>, now: Time) -> Value {
    let mut out = json!({ "id": id, "status": state, "timestamp": (now.0 / 1000).to_string() });
    let to = to.trim_start_matches('+');
    out[if to.contains('.') { "recipient_user_id" } else { "recipient_id" }] = to.into();
    if let Some(echo) = echo {
        out["biz_opaque_callback_data"] = echo.into();
    }
    if state == "failed" {
        out["errors"] = json!([{ "code": 131_026, "title": "Message undeliverable", "error_data": { "details": "Message Undeliverable." } }]);
    }
    out
}

impl Twin {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.seed % 1000 * 1_000_000 + self.count
    }

    fn written(&mut self, id: &str, content: Value, now: Time) -> Draft {
        let hidden = id.contains('.');
        let mut message = json!({ "id": format!("wamid.TWIN{:012}", self.next()), "timestamp": (now.0 / 1000).to_string() });
        message[if hidden { "from_user_id" } else { "from" }] = id.into();
        if let (Some(message), Value::Object(content)) = (message.as_object_mut(), content) {
            message.extend(content);
        }
        let contact = json!({ "profile": { "name": "Ana" }, (if hidden { "user_id" } else { "wa_id" }): id });
        delivery(json!({ "contacts": [contact], "messages": [message] }))
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        let authorization = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let path = request.path.trim_start_matches('/');
        if authorization.is_empty() {
            return Err(refused(401, 0, "Authentication Error"));
        }
        let app_token = path.ends_with("/subscriptions") && authorization.contains('|');
        if authorization != format!("Bearer {}", self.token) && !app_token {
            return Err(refused(401, 190, "Invalid OAuth access token"));
        }
        if path.starts_with("whatsapp_business/attachments/") {
            let known = form::query(&request.query, "mid").as_deref() == Some(PICTURE);
            return if known { Ok(picture().into()) } else { Err(Reply::json(404, &json!({}))) };
        }
        let Some((version, rest)) = path.split_once('/') else { return Err(refused(400, 2500, "Unknown path components")) };
        if !version.strip_prefix('v').is_some_and(|number| number.split('.').all(|n| n.parse::<u32>().is_ok())) {
            return Err(refused(400, 2500, "Unknown path components"));
        }
        let steps: Vec<&str> = rest.split('/').collect();
        match (&request.method, &steps[..]) {
            (&Method::POST, [NUMBER_ID, "messages"]) => self.send(request, now),
            (&Method::POST, [NUMBER_ID, "media"]) => self.upload(request),
            (&Method::POST, [WABA, "subscribed_apps"] | [_, "subscriptions"]) => Ok(Reply::json(200, &json!({ "success": true })).into()),
            (&Method::GET, [NUMBER_ID]) => {
                let number = json!({ "id": NUMBER_ID, "display_phone_number": "+1 555-000-9999", "verified_name": "Twin", "quality_rating": "GREEN" });
                Ok(Reply::json(200, &number).into())
            }
            (&Method::GET, [PICTURE]) => {
                let url = format!("https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid={PICTURE}&ext=1&hash=twin");
                let found = json!({ "url": url, "mime_type": "image/png", "sha256": crypto::hex(&crypto::sha256(sample::PNG)),
                    "file_size": sample::PNG.len(), "id": PICTURE, "messaging_product": "whatsapp" });
                Ok(Reply::json(200, &found).into())
            }
            _ => {
                let error = json!({ "error": { "message": "Unsupported request. Object does not exist", "type": "GraphMethodException",
                    "code": 100, "error_subcode": 33, "fbtrace_id": "TWINtrace" } });
                Err(Reply::json(400, &error))
            }
        }
    }

    fn upload(&mut self, request: &Request) -> Checked<Answer> {
        let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let pieces = multipart::read(kind, &request.body).ok_or_else(|| refused(400, 100, "a multipart form is required"))?;
        let value = |name: &str| pieces.iter().find(|piece| piece.name == name);
        if value("messaging_product").map(|piece| piece.text()).as_deref() != Some("whatsapp") {
            return Err(refused(400, 100, "The parameter messaging_product is required."));
        }
        if value("type").is_none() || value("file").is_none_or(|piece| piece.filename.is_none() || piece.value.is_empty()) {
            return Err(refused(400, 100, "The parameters file and type are required."));
        }
        let id = format!("98{:013}", self.next());
        self.uploads.insert(id.clone());
        Ok(Reply::json(200, &json!({ "id": id })).into())
    }

    fn send(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let body: Option<Value> = serde_json::from_slice(&request.body).ok().filter(Value::is_object);
        let Some(body) = body.filter(|_| kind.starts_with("application/json")) else { return Err(refused(400, 100, "a JSON object is required")) };
        if body["status"] == "read" {
            let known = body["message_id"].as_str().is_some_and(|id| id.starts_with("wamid."));
            let typing = body.get("typing_indicator").is_none_or(|typing| typing["type"] == "text");
            let right = known && typing && body["messaging_product"] == "whatsapp";
            return if right { Ok(Reply::json(200, &json!({ "success": true })).into()) } else { Err(refused(400, 131_009, "message_id")) };
        }
        checks::message(&body, &|id| self.uploads.contains(id) || id.bytes().all(|b| b.is_ascii_digit()))?;
        let to = checks::recipient(&body)?;
        let person = to.trim_start_matches('+').to_owned();
        let id = format!("wamid.TWIN{:012}", self.next());
        let echo = body["biz_opaque_callback_data"].as_str().map(str::to_owned);
        let words = [&body["text"]["body"], &body["interactive"]["body"]["text"], &body["template"]["name"]].into_iter().find_map(Value::as_str);
        self.remember(&body, &person, &id);
        self.last.insert(person.clone(), (id.clone(), echo.clone()));
        let mut contact = json!({ "input": to });
        contact[if person.contains('.') { "user_id" } else { "wa_id" }] = person.as_str().into();
        let mut message = json!({ "id": id });
        if body["type"] == "template" {
            message["message_status"] = "accepted".into();
        }
        let reply = Reply::json(200, &json!({ "messaging_product": "whatsapp", "contacts": [contact], "messages": [message] }));
        let states: &[(u64, &str)] = match body["type"].as_str() {
            _ if self.blocked.contains(&person) => &[(30, "failed")],
            Some("reaction") => &[(30, "sent")],
            _ => &[(30, "sent"), (80, "delivered"), (150, "read")],
        };
        let emit = |(after_ms, state): &(u64, &str)| {
            let draft = delivery(json!({ "statuses": [status(&id, state, &person, echo.as_deref(), now.plus(*after_ms as i64))] }));
            Emit { after_ms: *after_ms, url: None, draft }
        };
        let emits = states.iter().map(emit).collect();
        let accepted = Accepted { provider_id: id.clone(), to, our_id: echo.clone(), text: words.unwrap_or_default().to_owned() };
        Ok(Answer { reply, accepted: vec![accepted], emits })
    }

    /// What a person could tap now.
    fn remember(&mut self, body: &Value, person: &str, id: &str) {
        let kind = match (body["type"].as_str(), body["interactive"]["type"].as_str()) {
            (Some("interactive"), Some("list")) => "list_reply",
            (Some("interactive"), Some("button" | "carousel")) => "button_reply",
            (Some("template"), _) => "button",
            _ => return,
        };
        self.offered.insert(person.to_owned(), (kind, id.to_owned()));
    }
}

fn picture() -> Reply {
    Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "image/png")
}

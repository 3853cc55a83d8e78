//! The room, played: for the laws and the load test. The sandbox has the real one.

use std::collections::HashSet;

use http::Method;
use serde_json::{Map, Value, json};

use super::pass::{Keys, SIGNATURE};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::entry;
use crate::kit::revise::Sent;

/// The page the widget is on.
const PAGE: &str = "https://shop.example.org/help";

/// The room, played.
pub struct Twin {
    secret: String,
    keys: Keys,
    seen: HashSet<String>,
    last: Vec<(String, String)>,
    act: u64,
    sent: Sent,
}

fn refused(status: u16, code: &str) -> Answer {
    Reply::json(status, &json!({ "code": code })).into()
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        let secret = format!("twin-webchat-secret-{seed:08}");
        Self {
            keys: Keys::new(&Secrets::one(secret.clone())),
            secret,
            seen: HashSet::new(),
            last: Vec::new(),
            act: seed << 20,
            sent: Sent::default(),
        }
    }

    fn own(&self) -> bool {
        true
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "secret": self.secret, "identity_secrets": ["twin-identity-secret-0001"], "page_url": PAGE });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        let bearer = request.headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        if !bearer.is_some_and(|b| self.keys.is_bearer(b)) {
            return refused(401, "unauthenticated");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return refused(422, "not_json") };
        let Some(session) = body["session"].as_str().filter(|s| !s.is_empty() && s.len() <= 64) else {
            return refused(422, "session_missing");
        };
        match request.path.rsplit('/').next() {
            Some("signal") => Reply::json(202, &json!({})).into(),
            Some("deliver") => self.deliver(session, &body, now),
            Some("revise") => self.revise(&body),
            _ => refused(404, "not_found"),
        }
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        draft.headers.push((SIGNATURE.into(), self.keys.signature(&draft.body)));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let session = person.strip_prefix("webchat:").unwrap_or(person).to_owned();
        self.act += 1;
        let id = format!("in-{:012x}", self.act);
        let base = json!({ "id": id, "at": now, "visitor": { "session": session } });
        let with = |more: Value| {
            let mut whole = base.clone();
            if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), more) {
                whole.extend(more);
            }
            vec![Draft::json(&whole)]
        };
        match act {
            Act::Text(text) => with(json!({ "type": "message", "content": { "kind": "text", "text": text } })),
            Act::Image(caption) => with(json!({ "type": "message", "content": { "kind": "image", "caption": caption,
                "media": { "url": "https://gw.example.org/webchat/c/file/twin", "mime_type": "image/png", "size": 67, "filename": "twin.png" } } })),
            Act::Pick { id, title } => {
                with(json!({ "type": "message", "content": { "kind": "choice", "surface": "button", "id": id, "title": title } }))
            }
            Act::Read => {
                let (mine, rest) = std::mem::take(&mut self.last).into_iter().partition(|(to, _)| *to == session);
                self.last = rest;
                let mine: Vec<(String, String)> = mine;
                let ids: Vec<String> = mine.into_iter().map(|(_, id)| id).collect();
                if ids.is_empty() { Vec::new() } else { with(json!({ "type": "receipt", "state": "read", "messages": ids })) }
            }
            Act::Block => Vec::new(),
        }
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        if entry::opened(link, PAGE).is_none() {
            return Vec::new();
        }
        let mut drafts = self.act(person, &Act::Text("Hello".into()), now);
        for draft in &mut drafts {
            let mut body: Value = serde_json::from_slice(&draft.body).unwrap_or_default();
            body["page"] = json!({ "url": link, "title": "Spring" });
            *draft = Draft::json(&body);
        }
        drafts
    }

    fn counts(&self, request: &Request) -> Option<String> {
        if request.method != Method::POST || !request.path.ends_with("/deliver") {
            return None;
        }
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        body["session"].as_str().map(str::to_owned)
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = Reply::json(429, &json!({ "code": "throttled" }));
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn pace(&self) -> (u32, u64) {
        (1000, 1000)
    }
}

impl Twin {
    fn deliver(&mut self, session: &str, body: &Value, now: Time) -> Answer {
        let Some(ours) = body["id"].as_str().and_then(|id| id.strip_prefix("msg_")).filter(|id| !id.is_empty()) else {
            return refused(422, "id_missing");
        };
        let words = match shown(body) {
            Ok(words) => words,
            Err(code) => return refused(422, code),
        };
        let id = format!("wc-{ours}");
        let reply = Reply::json(200, &json!({ "id": id }));
        if !self.seen.insert(id.clone()) {
            return reply.into();
        }
        self.last.push((session.to_owned(), id.clone()));
        self.sent.keep(&id, &words);
        let accepted = Accepted { provider_id: id.clone(), to: session.to_owned(), our_id: Some(format!("msg_{ours}")), text: words };
        let receipt = |state: &str, after_ms: u64| Emit {
            after_ms,
            url: None,
            draft: Draft::json(&json!({ "type": "receipt", "id": format!("{id}-{state}"), "at": now.plus(after_ms as i64),
                "visitor": { "session": session }, "state": state, "messages": [id] })),
        };
        Answer { reply, accepted: vec![accepted], emits: vec![receipt("delivered", 40), receipt("read", 400)] }
    }

    /// Parts change a message, none take it away.
    fn revise(&mut self, body: &Value) -> Answer {
        let Some(id) = body["message"].as_str().filter(|id| id.starts_with("wc-")) else { return refused(422, "message_missing") };
        if body.get("parts").is_none() {
            self.sent.take_back(id);
            return Reply::json(200, &json!({ "id": id })).into();
        }
        match shown(body) {
            Ok(words) if self.sent.change(id, &words) => Reply::json(200, &json!({ "id": id })).into(),
            Ok(_) => refused(404, "message_not_found"),
            Err(code) => refused(422, code),
        }
    }
}

/// Checks the parts of a message; answers their words.
fn shown(body: &Value) -> Result<String, &'static str> {
    let parts = body["parts"].as_array().filter(|p| !p.is_empty()).ok_or("parts_missing")?;
    for part in parts {
        let text = part["text"].as_str().unwrap_or_default();
        let known = ["text", "image", "audio", "voice", "video", "file", "sticker", "location", "choices", "card", "carousel"];
        let more = ["form", "contacts", "typing"];
        let kind = part["type"].as_str().unwrap_or_default();
        if !(known.contains(&kind) || more.contains(&kind)) || text.chars().count() > 12_000 || kind == "text" && text.is_empty() {
            return Err("part_invalid");
        }
    }
    Ok(parts.iter().find_map(|p| p["text"].as_str()).unwrap_or_default().to_owned())
}

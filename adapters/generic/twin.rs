//! A provider that does not exist, played: Pigeon Post. Its API is what stands below; that `pigeon.toml` describes it is for
//! the laws to find out.

use http::Method;
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::revise::Sent;
use crate::kit::{crypto, sample};

/// What a team writes down about Pigeon Post.
pub(super) const DESCRIPTION: &str = include_str!("pigeon.toml");

/// Pigeon Post, played.
pub struct Twin {
    seed: u64,
    next: u64,
    clock: Time,
    /// Keys of calls that were accepted, with the message they made.
    seen: Vec<(String, String)>,
    gone: Vec<String>,
    sent: Sent,
}

/// The settings that a description in TOML makes, with these credentials.
pub(super) fn described(text: &str, key: &str, signing: &str) -> Map<String, Value> {
    let text = text.replace("${PIGEON_KEY}", key).replace("${PIGEON_SIGNING}", signing);
    let table: toml::Table = toml::from_str(&text).expect("the description is valid TOML");
    let mut channel = serde_json::to_value(&table["channels"]["pigeon"]).unwrap_or_default();
    let mut settings = channel.as_object_mut().map(std::mem::take).unwrap_or_default();
    settings.remove("provider");
    settings
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0, clock: Time(1_795_169_730_000), seen: Vec::new(), gone: Vec::new(), sent: Sent::default() }
    }

    fn settings(&self) -> Map<String, Value> {
        described(DESCRIPTION, &self.key(), &self.signing())
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        self.run(request, now).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let stamp = (self.clock.0 / 1000).to_string();
        let keys = crypto::sha256_keys(&Secrets::one(self.signing()));
        let tag = keys.first().map(|key| crypto::sign_pieces(key, &[stamp.as_bytes(), b".", &draft.body])).unwrap_or_default();
        draft.headers.push(("x-pigeon-time".into(), stamp));
        draft.headers.push(("x-pigeon-signature".into(), format!("sha256={}", crypto::hex(&tag))));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let id = crate::kit::address::id(person, "pigeon").unwrap_or_default().into_owned();
        let number = self.number();
        let mut event = json!({ "kind": "message", "id": format!("in-{number}"), "at": now.0, "sender": { "id": id, "name": "Ana" } });
        match act {
            Act::Text(text) => event["text"] = text.as_str().into(),
            Act::Image(caption) => {
                event["text"] = caption.as_str().into();
                event["files"] = json!([{ "href": format!("/files/{number}.png"), "mime": "image/png", "name": "x.png" }]);
            }
            Act::Pick { id, title } => event["button"] = json!({ "value": id, "label": title }),
            Act::Block => {
                self.gone.push(id);
                return Vec::new();
            }
            Act::Read => {
                let last = self.seen.last().map(|(_, message)| message.clone()).unwrap_or_default();
                event = json!({ "kind": "status", "message": last, "recipient": id, "status": "seen", "at": now.0 });
            }
        }
        vec![Draft::json(&json!({ "loft": self.seed, "events": [event] }))]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        if request.path == "/messages" || request.path == "/v2/messages" { body["to"].as_str().map(str::to_owned) } else { None }
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        Reply::json(429, &json!({ "error": { "code": "slow_down", "wait": retry_after_secs } }))
    }

    fn pace(&self) -> (u32, u64) {
        (20, 1_000)
    }
}

fn refused(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({ "error": { "code": code, "text": "no pigeon today" } }))
}

fn need(good: bool) -> Result<(), Reply> {
    if good { Ok(()) } else { Err(refused(422, "bad_text")) }
}

impl Twin {
    fn key(&self) -> String {
        format!("fake-pigeon-key-{:04}", self.seed)
    }

    fn signing(&self) -> String {
        format!("fake-pigeon-signing-{:04}", self.seed)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.seed % 1000 * 1_000_000 + self.next
    }

    fn run(&mut self, request: &Request, now: Time) -> Result<Answer, Reply> {
        // The sandbox hosts it without the version in its path.
        let path = request.path.strip_prefix("/v2").unwrap_or(&request.path);
        if path.starts_with("/files/") && request.method == Method::GET {
            let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
            return Ok(reply.header("content-type", "image/png").into());
        }
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        if header("authorization") != format!("Bearer {}", self.key()) {
            return Err(refused(401, "bad_key"));
        }
        match (request.method.as_str(), path) {
            ("GET", "/me") => Ok(Reply::json(200, &json!({ "loft": self.seed })).into()),
            ("POST", "/messages") if header("content-type") == "application/json" => self.send(request, header("idempotency-key"), now),
            ("PATCH", path) if path.starts_with("/messages/") && header("content-type") == "application/json" => {
                self.rewrite(request, path.trim_start_matches("/messages/"))
            }
            ("DELETE", path) if path.starts_with("/messages/") => {
                let known = self.sent.take_back(path.trim_start_matches("/messages/"));
                if known {
                    Ok(Reply { status: http::StatusCode::NO_CONTENT, ..Reply::default() }.into())
                } else {
                    Err(refused(404, "no_such_letter"))
                }
            }
            _ => Err(refused(404, "no_such_path")),
        }
    }

    fn rewrite(&mut self, request: &Request, id: &str) -> Result<Answer, Reply> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "bad_text"))?;
        let known = ["text", "file", "buttons"];
        need(body.as_object().is_some_and(|fields| fields.keys().all(|name| known.contains(&name.as_str()))))?;
        let words = body["text"].as_str().unwrap_or_default();
        need((1..=1000).contains(&words.encode_utf16().count()))?;
        if self.sent.change(id, words) { Ok(Reply::json(200, &json!({})).into()) } else { Err(refused(404, "no_such_letter")) }
    }

    fn send(&mut self, request: &Request, key: String, now: Time) -> Result<Answer, Reply> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "bad_text"))?;
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let known = ["to", "text", "ref", "quote", "file", "buttons"];
        need(body.as_object().is_some_and(|fields| fields.iter().all(|(name, value)| known.contains(&name.as_str()) && !value.is_null())))?;
        let to = text(&body["to"]).ok_or_else(|| refused(422, "bad_text"))?;
        if self.gone.contains(&to) {
            return Err(refused(410, "no_such_bird"));
        }
        let words = text(&body["text"]);
        need(words.is_some() || body["file"].is_object())?;
        need(words.as_ref().is_none_or(|words| words.encode_utf16().count() <= 1000))?;
        need(body["file"].is_null() || text(&body["file"]["href"]).is_some_and(|href| href.starts_with("http")))?;
        if let Some(buttons) = body.get("buttons") {
            let buttons = buttons.as_array().map(Vec::as_slice).unwrap_or_default();
            let whole = |button: &Value| text(&button["value"]).is_some() && text(&button["label"]).is_some();
            need((1..=3).contains(&buttons.len()) && buttons.iter().all(whole) && words.is_some())?;
        }
        if let Some((_, message)) = self.seen.iter().find(|(seen, _)| *seen == key && !key.is_empty()) {
            return Err(Reply::json(409, &json!({ "message": { "id": message } })));
        }
        let (id, our) = (format!("pg-{}", self.number()), text(&body["ref"]));
        self.seen.push((key, id.clone()));
        let status = |after_ms: u64, status: &str| {
            let at = now.plus(after_ms as i64);
            let mut event = json!({ "kind": "status", "message": id, "recipient": to, "status": status, "at": at.0 });
            if let Some(our) = &our {
                event["ref"] = our.as_str().into();
            }
            Emit { after_ms, url: None, draft: Draft::json(&json!({ "loft": self.seed, "events": [event] })) }
        };
        let emits = vec![status(20, "queued"), status(60, "arrived"), status(140, "seen")];
        self.sent.keep(&id, words.as_deref().unwrap_or("[file]"));
        let reply = Reply::json(202, &json!({ "message": { "id": id, "state": "queued" } }));
        let accepted =
            Accepted { provider_id: id.clone(), to: to.clone(), our_id: our.clone(), text: words.unwrap_or_else(|| "[file]".into()) };
        Ok(Answer { reply, accepted: vec![accepted], emits })
    }
}

//! LINE, played: one official account, whoever writes to it, and a picture of one pixel. Written from the fact sheet.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::{crypto, form, sample};

const BOT: &str = "U00000000000000000000000000000001";

/// LINE, played.
pub struct Twin {
    seed: u64,
    next: u64,
    tokens: HashSet<String>,
    issued: HashSet<String>,
    /// The ids each retry key got.
    keys: HashMap<String, Value>,
    files: HashSet<String>,
    /// What a picked option would send back.
    dates: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        let (tokens, issued, files) = (HashSet::new(), HashSet::new(), HashSet::new());
        Self { seed, next: 0, tokens, issued, keys: HashMap::new(), files, dates: HashSet::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "channel_id": format!("165{:07}", self.seed), "channel_secret": self.secret(), "bot_user_id": BOT,
            "basic_id": "@twin" });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, _now: Time) -> Answer {
        self.run(request).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let keys = crypto::sha256_keys(&Secrets::one(self.secret()));
        let tag = keys.first().map(|key| crypto::sign(key, &draft.body)).unwrap_or_default();
        draft.headers.push(("x-line-signature".into(), crypto::base64(&tag)));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let id = person.rsplit(':').next().unwrap_or_default().to_owned();
        let source = match id.chars().next() {
            Some('C') => json!({ "type": "group", "groupId": id, "userId": "U0000000000000000000000000000000a" }),
            _ => json!({ "type": "user", "userId": id }),
        };
        let message = self.id("40");
        let mut event = match act {
            Act::Text(text) => {
                json!({ "type": "message", "message": { "id": message, "type": "text", "text": text, "quoteToken": "q-twin" } })
            }
            Act::Image(_) => {
                self.files.insert(message.clone());
                let content = json!({ "id": message, "type": "image", "contentProvider": { "type": "line" }, "quoteToken": "q-twin" });
                json!({ "type": "message", "message": content })
            }
            Act::Pick { id: data, .. } if self.dates.contains(data) => {
                json!({ "type": "postback", "postback": { "data": data, "params": { "date": "2026-12-01" } } })
            }
            Act::Pick { id: data, .. } => json!({ "type": "postback", "postback": { "data": data } }),
            Act::Block => json!({ "type": "unfollow" }),
            // Nobody tells that something was read.
            Act::Read => return Vec::new(),
        };
        if *act != Act::Block {
            let token = self.id("rt-twin-");
            event["replyToken"] = token.as_str().into();
            self.tokens.insert(token);
        }
        event["mode"] = "active".into();
        event["timestamp"] = now.0.into();
        event["source"] = source;
        event["webhookEventId"] = self.id("01TWIN").into();
        event["deliveryContext"] = json!({ "isRedelivery": false });
        vec![Draft::json(&json!({ "destination": BOT, "events": [event] }))]
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let Some(text) = link.strip_prefix("https://line.me/R/oaMessage/%40twin/?") else { return Vec::new() };
        let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        self.act(person, &Act::Text(text), now)
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        match request.path.as_str() {
            "/v2/bot/message/push" => body["to"].as_str().map(str::to_owned),
            "/v2/bot/message/reply" => body["replyToken"].as_str().map(str::to_owned),
            _ => None,
        }
    }

    fn throttled(&self, _retry_after_secs: u64) -> Reply {
        refused(429, "The API rate limit has been exceeded. Try again later.")
    }

    fn broken(&self) -> Reply {
        refused(500, "Internal server error")
    }

    fn pace(&self) -> (u32, u64) {
        (2_000, 1_000)
    }
}

type Checked<T> = Result<T, Reply>;

fn refused(status: u16, words: &str) -> Reply {
    Reply::json(status, &json!({ "message": words })).header("x-line-request-id", "twin-request")
}

fn need(good: bool, property: &str) -> Checked<()> {
    let details = json!([{ "message": "May not be empty or is invalid", "property": property }]);
    if good { Ok(()) } else { Err(Reply::json(400, &json!({ "message": "The request body has 1 error(s)", "details": details }))) }
}

impl Twin {
    fn secret(&self) -> String {
        format!("{:032x}", 0xfa4e_0000_u64 + self.seed)
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:04}{:012}", self.seed % 10_000, self.next)
    }

    fn run(&mut self, request: &Request) -> Checked<Answer> {
        if request.path == "/oauth2/v3/token" {
            return self.token(request);
        }
        let bearer = request.headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        // A long-lived token of the console is any that says so.
        if !bearer.is_some_and(|token| self.issued.contains(token) || token.starts_with("TWIN-long-lived")) {
            return Err(refused(401, "Authentication failed due to the following reason: invalid token."));
        }
        let post = request.method == Method::POST;
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let fine = |status, body: Value| Ok(Reply::json(status, &body).header("x-line-request-id", "twin-request").into());
        match request.path.as_str() {
            "/v2/bot/message/push" if post => self.push(request, &body),
            "/v2/bot/message/reply" if post => self.reply(request, &body),
            "/v2/bot/chat/loading/start" if post => {
                need(body["chatId"].as_str().is_some_and(|id| id.starts_with('U')), "chatId")?;
                let seconds = body["loadingSeconds"].as_u64().unwrap_or(20);
                need((5..=60).contains(&seconds) && seconds.is_multiple_of(5), "loadingSeconds")?;
                fine(202, json!({}))
            }
            "/v2/bot/info" if !post => fine(200, json!({ "userId": BOT, "displayName": "Twin" })),
            "/v2/bot/channel/webhook/endpoint" if request.method == Method::PUT => {
                need(body["endpoint"].as_str().is_some_and(|url| url.starts_with("https://") && url.len() <= 500), "endpoint")?;
                fine(200, json!({}))
            }
            "/v2/bot/channel/webhook/test" if post => fine(200, json!({ "success": true, "statusCode": 200, "reason": "OK" })),
            path => match path.strip_prefix("/v2/bot/message/").and_then(|rest| rest.strip_suffix("/content")) {
                Some(id) if self.files.contains(id) => {
                    let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
                    Ok(reply.header("content-type", "image/png").into())
                }
                _ => Err(refused(404, "Not found")),
            },
        }
    }

    fn token(&mut self, request: &Request) -> Checked<Answer> {
        let fields = form::fields(&request.body);
        let get = |name| form::get(&fields, name);
        let id = format!("165{:07}", self.seed);
        let secret = get("client_id") == Some(&*id) && get("client_secret") == Some(&*self.secret());
        let assertion = get("client_assertion").is_some_and(|jwt| jwt.split('.').count() == 3);
        if get("grant_type") != Some("client_credentials") || !(secret || assertion) {
            return Err(Reply::json(400, &json!({ "error": "invalid_client", "error_description": "invalid client_secret" })));
        }
        let token = self.id("TWIN-stateless-");
        self.issued.insert(token.clone());
        Ok(Reply::json(200, &json!({ "token_type": "Bearer", "access_token": token, "expires_in": 900 })).into())
    }

    fn push(&mut self, request: &Request, body: &Value) -> Checked<Answer> {
        let to = body["to"].as_str().unwrap_or_default();
        if !(to.len() == 33 && to.starts_with(['U', 'C', 'R'])) {
            return Err(refused(400, "The property, 'to', in the request body is invalid (line: -, column: -)"));
        }
        let Some(key) = request.headers.get("x-line-retry-key") else { return self.take(to, body) };
        let key = key.to_str().unwrap_or_default().to_owned();
        let uuid = key.len() == 36 && key.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
        if !uuid {
            return Err(refused(400, "The retry key is not a UUID"));
        }
        if let Some(sent) = self.keys.get(&key) {
            let again = json!({ "message": "The retry key is already accepted", "sentMessages": sent });
            return Err(Reply::json(409, &again).header("x-line-accepted-request-id", "twin-request"));
        }
        let answer = self.take(to, body)?;
        let sent: Value = serde_json::from_slice(&answer.reply.body).unwrap_or_default();
        self.keys.insert(key, sent["sentMessages"].clone());
        Ok(answer)
    }

    fn reply(&mut self, request: &Request, body: &Value) -> Checked<Answer> {
        if request.headers.contains_key("x-line-retry-key") {
            return Err(refused(400, "The retry key is not supported by this endpoint"));
        }
        let token = body["replyToken"].as_str().unwrap_or_default();
        if !self.tokens.contains(token) {
            return Err(refused(400, "Invalid reply token"));
        }
        let answer = self.take(token, body)?;
        self.tokens.remove(token);
        Ok(answer)
    }

    fn take(&mut self, to: &str, body: &Value) -> Checked<Answer> {
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        need((1..=5).contains(&messages.len()), "messages")?;
        let mut texts = Vec::new();
        for message in messages {
            texts.push(self.message(message)?);
        }
        let sent: Vec<Value> = messages.iter().map(|_| json!({ "id": self.id("46"), "quoteToken": "q-sent" })).collect();
        let provider_id = sent.first().and_then(|m| m["id"].as_str()).unwrap_or_default().to_owned();
        let accepted = Accepted { provider_id, to: to.to_owned(), our_id: None, text: texts.join("\n") };
        let reply = Reply::json(200, &json!({ "sentMessages": sent })).header("x-line-request-id", "twin-request");
        Ok(Answer { reply, accepted: vec![accepted], emits: Vec::new() })
    }

    fn message(&mut self, message: &Value) -> Checked<String> {
        let text = |name: &str, most: usize| {
            let text = message[name].as_str().unwrap_or_default();
            need((1..=most).contains(&text.encode_utf16().count()), name).map(|()| text.to_owned())
        };
        let https = |name: &str| need(message[name].as_str().is_some_and(|u| u.starts_with("https://") && u.len() <= 2000), name);
        if !message["sender"].is_null() {
            need(message["sender"]["name"].as_str().is_some_and(|n| (1..=20).contains(&n.chars().count())), "sender")?;
        }
        if let Some(items) = message["quickReply"]["items"].as_array() {
            need((1..=13).contains(&items.len()), "quickReply")?;
            items.iter().try_for_each(|item| self.action(&item["action"], true))?;
        }
        match message["type"].as_str() {
            Some("text") => return text("text", 5000),
            Some("textV2") => {
                let words = text("text", 5000)?;
                let names = message["substitution"].as_object().cloned().unwrap_or_default();
                need(names.keys().all(|name| words.contains(&format!("{{{name}}}"))), "substitution")?;
                return Ok(words);
            }
            Some("sticker") => need(message["packageId"].is_string() && message["stickerId"].is_string(), "stickerId")?,
            Some("image" | "video") => https("originalContentUrl").and_then(|()| https("previewImageUrl"))?,
            Some("audio") => {
                https("originalContentUrl")?;
                need(message["duration"].as_u64().is_some_and(|ms| ms > 0), "duration")?;
            }
            Some("location") => {
                text("title", 100)?;
                text("address", 100)?;
                need(message["latitude"].is_number() && message["longitude"].is_number(), "latitude")?;
            }
            Some("template") => {
                text("altText", 1500)?;
                return self.template(&message["template"]);
            }
            Some("flex") => {
                text("altText", 1500)?;
                return self.flex(&message["contents"]);
            }
            Some("coupon") => need(message["couponId"].is_string(), "couponId")?,
            _ => need(false, "type")?,
        }
        Ok(format!("[{}]", message["type"].as_str().unwrap_or_default()))
    }

    fn template(&mut self, template: &Value) -> Checked<String> {
        need(template["type"] == "buttons", "template/type")?;
        let beside = !template["title"].is_null() || !template["thumbnailImageUrl"].is_null();
        let text = template["text"].as_str().unwrap_or_default();
        need((1..=if beside { 60 } else { 160 }).contains(&text.encode_utf16().count()), "template/text")?;
        need(template["title"].as_str().is_none_or(|t| (1..=40).contains(&t.encode_utf16().count())), "template/title")?;
        let actions = template["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
        need((1..=4).contains(&actions.len()), "template/actions")?;
        actions.iter().try_for_each(|action| self.action(action, false))?;
        Ok(text.to_owned())
    }

    fn flex(&mut self, contents: &Value) -> Checked<String> {
        let bubbles = match contents["type"].as_str() {
            Some("bubble") => std::slice::from_ref(contents),
            Some("carousel") => contents["contents"].as_array().map(Vec::as_slice).unwrap_or_default(),
            _ => &[],
        };
        need((1..=12).contains(&bubbles.len()) && contents.to_string().len() <= 50_000, "contents")?;
        for bubble in bubbles {
            need(bubble["type"] == "bubble" && bubble.to_string().len() <= 30_000, "bubble")?;
            self.component(bubble)?;
        }
        Ok("[flex]".into())
    }

    /// Every component below, with its actions.
    fn component(&mut self, value: &Value) -> Checked<()> {
        match value {
            Value::Object(fields) => {
                if value["type"] == "text" {
                    need(value["text"].as_str().is_some_and(|t| !t.is_empty()), "text")?;
                }
                if value["type"] == "image" {
                    need(value["url"].as_str().is_some_and(|u| u.starts_with("https://")), "url")?;
                }
                for (name, inside) in fields {
                    if name == "action" { self.action(inside, false)? } else { self.component(inside)? }
                }
                Ok(())
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.component(item)),
            _ => Ok(()),
        }
    }

    fn action(&mut self, action: &Value, quick: bool) -> Checked<()> {
        let sized =
            |name: &str, most: usize| need(action[name].as_str().is_some_and(|t| (1..=most).contains(&t.encode_utf16().count())), name);
        need(action["label"].as_str().is_some_and(|l| (1..=20).contains(&l.chars().count())), "label")?;
        match action["type"].as_str() {
            Some("postback") => sized("data", 300),
            Some("message") => sized("text", 300),
            Some("uri") => sized("uri", 1000),
            Some("clipboard") => sized("clipboardText", 1000),
            Some("datetimepicker") => {
                self.dates.extend(action["data"].as_str().map(str::to_owned));
                need(matches!(action["mode"].as_str(), Some("date" | "time" | "datetime")), "mode").and_then(|()| sized("data", 300))
            }
            Some("location" | "camera" | "cameraRoll") => need(quick, "action"),
            _ => need(false, "action/type"),
        }
    }
}

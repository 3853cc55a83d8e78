//! Telegram, played: one bot, whoever writes to it, and a file of one pixel.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::address;
use super::checks::{Checked, bad, check, edited, number, refused, shown};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::revise::Sent;
use crate::kit::{entry, multipart, sample};

const BOT: i64 = 999_000_001;
const NAME: &str = "twin_shop_bot";

/// Telegram, played.
pub struct Twin {
    token: String,
    secret: String,
    update: i64,
    message: HashMap<i64, i64>,
    /// The last keyboard in each chat, so that a press is answered as the kind of keyboard would.
    inline: HashMap<i64, Value>,
    blocked: HashSet<i64>,
    sent: Sent,
    /// What kind of message each is whose words stand under a file.
    files: HashSet<String>,
}

/// Methods that send one message, and the field each cannot do without.
const SENDS: &[(&str, &str)] = &[
    ("sendmessage", "text"),
    ("sendphoto", "photo"),
    ("sendvideo", "video"),
    ("sendanimation", "animation"),
    ("sendaudio", "audio"),
    ("sendvoice", "voice"),
    ("sendvideonote", "video_note"),
    ("senddocument", "document"),
    ("sendsticker", "sticker"),
    ("sendmediagroup", "media"),
    ("sendlocation", "latitude"),
    ("sendvenue", "latitude"),
    ("sendcontact", "phone_number"),
    ("sendpoll", "question"),
];

fn fine(result: Value) -> Reply {
    Reply::json(200, &json!({ "ok": true, "result": result }))
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            token: format!("{BOT}:TWIN-fake_token_{seed:08}"),
            secret: format!("twin-secret_{seed}"),
            update: 700_000_000 + (seed % 1000) as i64,
            message: HashMap::new(),
            inline: HashMap::new(),
            blocked: HashSet::new(),
            sent: Sent::default(),
            files: HashSet::new(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "bot_token": self.token, "username": NAME, "webhook_secret_token": self.secret });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        if let Some(path) = request.path.strip_prefix(&format!("/file/bot{}/", self.token)) {
            let found = path.starts_with("photos/");
            return if found { picture().into() } else { refused(404, "Not Found").into() };
        }
        let Some(method) = self.method_of(request) else { return refused(404, "Not Found").into() };
        let Some(body) = body_of(request) else { return bad("can't parse request body").into() };
        match self.run(&method, &body, now) {
            Ok(answer) => answer,
            Err(reply) => reply.into(),
        }
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        draft.headers.push(("x-telegram-bot-api-secret-token".into(), self.secret.clone()));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let id = person.rsplit([':', '/']).next().and_then(|id| id.parse().ok()).unwrap_or(5_550_001_i64);
        let user = json!({ "id": id, "is_bot": false, "first_name": "Ana", "language_code": "en" });
        let chat = json!({ "id": id, "type": "private", "first_name": "Ana" });
        let date = now.0 / 1000;
        let kind = match act {
            Act::Text(text) => json!({ "message": self.written(id, &user, &chat, date, json!({ "text": text })) }),
            Act::Image(caption) => {
                let size = |name: &str, width: u32| json!({ "file_id": format!("TWIN_{name}"), "file_unique_id": name, "width": width, "height": width, "file_size": 67 });
                let photo = json!({ "photo": [size("S", 90), size("L", 800)], "caption": caption });
                json!({ "message": self.written(id, &user, &chat, date, photo) })
            }
            Act::Pick { id: data, title } => match self.inline.get(&id) {
                Some(message) if message.to_string().contains(&format!("\"callback_data\":{}", Value::from(data.as_str()))) => {
                    let query = format!("{}", 4_382_000_000_000_000_000_i64 + self.update);
                    json!({ "callback_query": { "id": query, "from": user, "chat_instance": "-77", "data": data, "message": message } })
                }
                _ => json!({ "message": self.written(id, &user, &chat, date, json!({ "text": title })) }),
            },
            Act::Read => return Vec::new(),
            Act::Block => {
                self.blocked.insert(id);
                let member = |status: &str| json!({ "status": status, "user": { "id": BOT, "is_bot": true, "first_name": "Twin" } });
                json!({ "my_chat_member": { "chat": chat, "from": user, "date": date,
                    "old_chat_member": member("member"), "new_chat_member": member("kicked") } })
            }
        };
        self.update += 1;
        let mut update = json!({ "update_id": self.update });
        if let (Some(update), Value::Object(kind)) = (update.as_object_mut(), kind) {
            update.extend(kind);
        }
        vec![Draft::json(&update)]
    }

    /// The Start button sends a command; what the link may not carry, it sends without.
    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let Some(mut found) = entry::opened(link, &format!("https://t.me/{NAME}")) else { return Vec::new() };
        let allowed = |payload: &String| {
            (1..=64).contains(&payload.len()) && payload.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        let payload = found.remove("start").filter(allowed).map(|payload| format!(" {payload}")).unwrap_or_default();
        self.act(person, &Act::Text(format!("/start{payload}")), now)
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let method = self.method_of(request)?;
        SENDS.iter().find(|(name, _)| *name == method)?;
        Some(chat_of(&body_of(request)?))
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let body = json!({ "ok": false, "error_code": 429, "description": format!("Too Many Requests: retry after {retry_after_secs}"),
            "parameters": { "retry_after": retry_after_secs } });
        let plain = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests" });
        if retry_after_secs == 0 {
            Reply::json(429, &plain)
        } else {
            Reply::json(429, &body).header("retry-after", &retry_after_secs.to_string())
        }
    }

    fn broken(&self) -> Reply {
        refused(502, "Bad Gateway")
    }

    fn pace(&self) -> (u32, u64) {
        (30, 1000)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((1, 1000, 1))
    }
}

impl Twin {
    /// The method's name in lower case; `None` when the token is not ours.
    fn method_of(&self, request: &Request) -> Option<String> {
        let method = request.path.strip_prefix(&format!("/bot{}/", self.token))?;
        Some(method.strip_prefix("test/").unwrap_or(method).to_ascii_lowercase())
    }

    fn written(&mut self, id: i64, user: &Value, chat: &Value, date: i64, content: Value) -> Value {
        let mut message = json!({ "message_id": self.next(id), "date": date, "chat": chat, "from": user });
        if let (Some(message), Value::Object(content)) = (message.as_object_mut(), content) {
            message.extend(content);
        }
        message
    }

    fn next(&mut self, chat: i64) -> i64 {
        let last = self.message.entry(chat).or_insert(40);
        *last += 1;
        *last
    }

    fn run(&mut self, method: &str, body: &Value, now: Time) -> Checked<Answer> {
        match method {
            "getme" => return Ok(fine(json!({ "id": BOT, "is_bot": true, "first_name": "Twin", "username": "twin_bot" })).into()),
            "getfile" => return Ok(self.file(body)?.into()),
            "setwebhook" | "deletewebhook" => return Ok(self.webhook(method, body)?.into()),
            "answercallbackquery" => {
                body["callback_query_id"].as_str().ok_or_else(|| bad("QUERY_ID_INVALID"))?;
                return Ok(fine(json!(true)).into());
            }
            _ => {}
        }
        if method == "deletebusinessmessages" {
            return self.delete_for_business(body);
        }
        let chat = self.chat(body)?;
        match method {
            "sendchataction" => {
                let known = ["typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document"];
                let action = body["action"].as_str().unwrap_or_default();
                if !known.contains(&action) {
                    return Err(bad("wrong parameter action in request"));
                }
                Ok(fine(json!(true)).into())
            }
            "setmessagereaction" => {
                number(body, "message_id").ok_or_else(|| bad("message to react not found"))?;
                let list = body["reaction"].as_array().ok_or_else(|| bad("can't parse reaction"))?;
                let good = list
                    .iter()
                    .all(|r| r["type"] == "emoji" && r["emoji"].as_str().is_some_and(|e| !e.is_empty() && !e.contains('\u{FE0F}')));
                if !good || list.len() > 1 {
                    return Err(bad("REACTION_INVALID"));
                }
                Ok(fine(json!(true)).into())
            }
            "editmessagetext" | "editmessagecaption" | "editmessagemedia" => self.edit(method, body, chat),
            "deletemessage" => self.delete(body, chat),
            "readbusinessmessage" => {
                body["business_connection_id"].as_str().ok_or_else(|| bad("BUSINESS_CONNECTION_INVALID"))?;
                Ok(fine(json!(true)).into())
            }
            _ => {
                let (_, needed) =
                    SENDS.iter().find(|(name, _)| *name == method).ok_or_else(|| refused(404, "Not Found: method not found"))?;
                self.send(method, needed, body, chat, now)
            }
        }
    }

    fn chat(&self, body: &Value) -> Checked<i64> {
        let chat = match &body["chat_id"] {
            Value::String(name) if name.starts_with('@') && name.len() >= 5 => -1_000_000_000_777,
            _ => number(body, "chat_id").ok_or_else(|| bad("chat_id is empty"))?,
        };
        if chat == 0 || chat.abs() >= 1 << 52 {
            return Err(bad("chat not found"));
        }
        if self.blocked.contains(&chat) {
            return Err(refused(403, "Forbidden: bot was blocked by the user"));
        }
        Ok(chat)
    }

    fn file(&self, body: &Value) -> Checked<Reply> {
        let id = body["file_id"].as_str().unwrap_or_default();
        let name = id.strip_prefix("TWIN_").ok_or_else(|| bad("wrong file_id or the file is temporarily unavailable"))?;
        Ok(fine(
            json!({ "file_id": id, "file_unique_id": name, "file_size": sample::PNG.len(), "file_path": format!("photos/{name}.png") }),
        ))
    }

    fn webhook(&mut self, method: &str, body: &Value) -> Checked<Reply> {
        let url = body["url"].as_str().unwrap_or_default();
        if method == "setwebhook" && !url.starts_with("https://") && !url.starts_with("http://127.0.0.1") {
            return Err(bad("bad webhook: An HTTPS URL must be provided for webhook"));
        }
        if let Some(secret) = body["secret_token"].as_str() {
            self.secret = secret.to_owned();
        }
        Ok(Reply::json(200, &json!({ "ok": true, "result": true, "description": "Webhook was set" })))
    }

    fn send(&mut self, method: &str, needed: &str, body: &Value, chat: i64, now: Time) -> Checked<Answer> {
        check(method, needed, body)?;
        if let Some(reply) = body.get("reply_parameters") {
            number(reply, "message_id").ok_or_else(|| bad("message to be replied not found"))?;
        }
        let count = if method == "sendmediagroup" { body["media"].as_array().map_or(1, Vec::len) } else { 1 };
        let (mut messages, mut accepted) = (Vec::new(), Vec::new());
        let words = [&body["text"], &body["caption"], &body["question"]].into_iter().find_map(Value::as_str).unwrap_or_default();
        for _ in 0..count {
            let id = self.next(chat);
            let kind = if chat > 0 { "private" } else { "supergroup" };
            let mut message = json!({ "message_id": id, "date": now.0 / 1000, "chat": { "id": chat, "type": kind },
                "from": { "id": BOT, "is_bot": true, "first_name": "Twin" } });
            for name in ["text", "caption", "business_connection_id", "reply_markup"] {
                if let Some(value) = body.get(name) {
                    message[name] = value.clone();
                }
            }
            if let Some((name, content)) = shown(method, body) {
                message[name] = content;
            }
            let place = address::place(chat, body["business_connection_id"].as_str());
            let provider_id = format!("{place}:{id}");
            self.sent.keep(&provider_id, words);
            if !matches!(method, "sendmessage" | "sendlocation" | "sendvenue" | "sendcontact" | "sendpoll") {
                self.files.insert(provider_id.clone());
            }
            accepted.push(Accepted { provider_id, to: chat_of(body), our_id: None, text: words.to_owned() });
            messages.push(message);
        }
        if body["reply_markup"].get("inline_keyboard").is_some() {
            self.inline.insert(chat, messages[0].clone());
        } else if body["reply_markup"].get("keyboard").is_some() {
            self.inline.remove(&chat);
        }
        let result = if method == "sendmediagroup" { Value::Array(messages) } else { messages.remove(0) };
        Ok(Answer { reply: fine(result), accepted, emits: Vec::new() })
    }
}

/// Changing what was sent, and taking it back: core.telegram.org/bots/api#updating-messages, read 2026-11-29.
impl Twin {
    fn edit(&mut self, method: &str, body: &Value, chat: i64) -> Checked<Answer> {
        let words = edited(method, body)?;
        let number = number(body, "message_id").ok_or_else(|| bad("message identifier is not specified"))?;
        let business = body["business_connection_id"].as_str();
        let id = format!("{}:{number}", address::place(chat, business));
        let old = self.sent.says(&id).ok_or_else(|| bad("message to edit not found"))?;
        match method {
            "editmessagetext" if self.files.contains(&id) => return Err(bad("there is no text in the message to edit")),
            "editmessagecaption" if !self.files.contains(&id) => return Err(bad("there is no caption in the message to edit")),
            "editmessagemedia" => drop(self.files.insert(id.clone())),
            _ if old == words => {
                return Err(bad(
                    "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
                ));
            }
            _ => {}
        }
        self.sent.change(&id, &words);
        let mut message = json!({ "message_id": number, "chat": { "id": chat } });
        if let Some(connection) = business {
            message["business_connection_id"] = connection.into();
        }
        Ok(fine(message).into())
    }

    fn delete(&mut self, body: &Value, chat: i64) -> Checked<Answer> {
        let number = number(body, "message_id").ok_or_else(|| bad("message identifier is not specified"))?;
        if self.sent.take_back(&format!("{chat}:{number}")) {
            Ok(fine(json!(true)).into())
        } else {
            Err(bad("message to delete not found"))
        }
    }

    /// Messages of a connected account are named by their numbers alone.
    fn delete_for_business(&mut self, body: &Value) -> Checked<Answer> {
        let connection = body["business_connection_id"].as_str().ok_or_else(|| bad("BUSINESS_CONNECTION_INVALID"))?;
        let numbers = body["message_ids"].as_array().filter(|ids| (1..=100).contains(&ids.len()));
        let numbers = numbers.ok_or_else(|| bad("message identifiers are not specified"))?;
        for number in numbers {
            let number = number.as_i64().ok_or_else(|| bad("invalid message identifier specified"))?;
            self.sent.take_back_like(|id| id.starts_with(&format!("{connection}/")) && id.ends_with(&format!(":{number}")));
        }
        Ok(fine(json!(true)).into())
    }
}

fn picture() -> Reply {
    Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "application/octet-stream")
}

/// The parameters, however they were encoded. Nested values of forms are JSON in strings.
fn body_of(request: &Request) -> Option<Value> {
    let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let nested = |value: String| match value.as_bytes().first() {
        Some(b'{' | b'[') => serde_json::from_str(&value).unwrap_or(Value::String(value)),
        _ if value == "true" || value == "false" => Value::Bool(value == "true"),
        _ => Value::String(value),
    };
    if kind.starts_with("application/json") {
        return serde_json::from_slice(&request.body).ok().filter(Value::is_object);
    }
    if let Some(pieces) = multipart::read(kind, &request.body) {
        let value =
            |piece: &multipart::Piece| if piece.filename.is_some() { json!({ "upload": piece.value.len() }) } else { nested(piece.text()) };
        return Some(Value::Object(pieces.iter().map(|piece| (piece.name.clone(), value(piece))).collect()));
    }
    let form = [request.query.as_bytes(), &request.body[..]].concat();
    Some(Value::Object(form_urlencoded::parse(&form).map(|(k, v)| (k.into_owned(), nested(v.into_owned()))).collect()))
}

fn chat_of(body: &Value) -> String {
    body["chat_id"].as_str().map_or_else(|| body["chat_id"].to_string(), str::to_owned)
}

//! Viber, played: one bot, whoever writes to it, and a picture of one pixel. Written from the fact sheet.

use std::collections::HashSet;

use http::Method;
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::{crypto, entry, sample};

/// Viber, played.
pub struct Twin {
    seed: u64,
    next: u64,
    files: HashSet<String>,
    gone: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0, files: HashSet::new(), gone: HashSet::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        json!({ "auth_token": self.token(), "sender_name": "Twin", "uri": "twinshop" }).as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.run(request, now).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let keys = crypto::sha256_keys(&Secrets::one(self.token()));
        let tag = keys.first().map(|key| crypto::sign(key, &draft.body)).unwrap_or_default();
        draft.headers.push(("x-viber-content-signature".into(), crypto::hex(&tag)));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let id = crate::kit::address::id(person, "viber").unwrap_or_default().into_owned();
        let token = self.number();
        let message = match act {
            Act::Text(text) => json!({ "type": "text", "text": text }),
            Act::Image(caption) => {
                let path = format!("/pg_download/{token}.png");
                let link = format!("https://dl-media.viber.com{path}");
                self.files.insert(path);
                json!({ "type": "picture", "media": link, "file_name": "x.png", "text": caption })
            }
            Act::Pick { id: payload, .. } => json!({ "type": "text", "text": payload }),
            Act::Block => {
                self.gone.insert(id.clone());
                let body = json!({ "event": "unsubscribed", "timestamp": now.0, "user_id": id, "message_token": token });
                return vec![Draft::json(&body)];
            }
            Act::Read => return vec![receipt("seen", token - 1, &id, now)],
        };
        self.gone.remove(&id);
        let sender = json!({ "id": id, "name": "Ana", "language": "en", "country": "RS", "api_version": 10 });
        let silent = matches!(act, Act::Pick { .. });
        let body = json!({ "event": "message", "timestamp": now.0, "chat_hostname": "SN-CHAT-00_", "message_token": token, "sender": sender,
            "message": message, "silent": silent });
        vec![Draft::json(&body)]
    }

    /// The conversation starts, then what the link has written is sent.
    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let Some(mut found) = entry::opened(link, "viber://pa?chatURI=twinshop") else { return Vec::new() };
        let id = crate::kit::address::id(person, "viber").unwrap_or_default().into_owned();
        let user = json!({ "id": id, "name": "Ana", "language": "en", "country": "RS", "api_version": 10 });
        let mut started = json!({ "event": "conversation_started", "timestamp": now.0, "message_token": self.number(), "type": "open",
            "user": user, "subscribed": false });
        if let Some(context) = found.remove("context") {
            started["context"] = context.into();
        }
        let mut drafts = vec![Draft::json(&started)];
        drafts.extend(found.remove("text").into_iter().flat_map(|text| self.act(person, &Act::Text(text), now)));
        drafts
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        if request.path == "/pa/send_message" { body["receiver"].as_str().map(str::to_owned) } else { None }
    }

    fn throttled(&self, _retry_after_secs: u64) -> Reply {
        refused(12, "tooManyRequests")
    }

    fn pace(&self) -> (u32, u64) {
        (50, 1_000)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((100, 3_600_000, 1))
    }
}

type Checked<T> = Result<T, Reply>;

fn refused(status: i64, words: &str) -> Reply {
    Reply::json(200, &json!({ "status": status, "status_message": words, "chat_hostname": "SN-CHAT-01_" }))
}

fn need(good: bool, what: &str) -> Checked<()> {
    if good { Ok(()) } else { Err(refused(3, &format!("badData: {what}"))) }
}

fn receipt(event: &str, token: u64, person: &str, now: Time) -> Draft {
    Draft::json(&json!({ "event": event, "timestamp": now.0, "message_token": token, "user_id": person }))
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn link(value: &Value) -> bool {
    value.as_str().is_some_and(|u| (u.starts_with("https://") || u.starts_with("http://")) && u.len() <= 2000)
}

impl Twin {
    fn token(&self) -> String {
        format!("fake0000{:08x}-twin-{:016x}", self.seed, self.seed)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        6_000_000_000_000_000_000 + self.seed % 1000 * 1_000_000 + self.next
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        if self.files.contains(&request.path) {
            let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
            return Ok(reply.header("content-type", "image/png").into());
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(3, "badData"))?;
        let token = request.headers.get("x-viber-auth-token").and_then(|v| v.to_str().ok()).or_else(|| body["auth_token"].as_str());
        match token {
            None => return Err(refused(2, "missing_auth_token")),
            Some(token) if token != self.token() => return Err(refused(2, "invalidAuthToken")),
            Some(_) => {}
        }
        if request.method != Method::POST {
            return Err(Reply::json(405, &json!({})));
        }
        match request.path.as_str() {
            "/pa/send_message" => self.send(&body, now),
            "/pa/get_account_info" => {
                Ok(Reply::json(200, &json!({ "status": 0, "status_message": "ok", "id": "pa:1", "name": "Twin" })).into())
            }
            "/pa/set_webhook" => {
                need(body["url"].as_str().is_some_and(|u| u.is_empty() || u.starts_with("https://")), "url")?;
                Ok(Reply::json(200, &json!({ "status": 0, "status_message": "ok", "event_types": body["event_types"] })).into())
            }
            _ => Err(Reply::json(404, &json!({}))),
        }
    }

    fn send(&mut self, body: &Value, now: Time) -> Checked<Answer> {
        let to = body["receiver"].as_str().filter(|id| !id.is_empty()).ok_or_else(|| refused(4, "missingData: receiver"))?.to_owned();
        if !to.ends_with('=') {
            return Err(refused(5, "receiverNotRegistered"));
        }
        if self.gone.contains(&to) {
            return Err(refused(6, "receiverNotSubscribed"));
        }
        need((1..=28).contains(&chars(&body["sender"]["name"])), "sender.name")?;
        need(body.to_string().len() <= 30 << 10, "request size")?;
        let text = content(body)?;
        keyboard(&body["keyboard"], body["min_api_version"].as_u64().unwrap_or(1))?;
        let token = self.number();
        let at = |ms| now.plus(ms);
        let emit = |after_ms, draft| Emit { after_ms, url: None, draft };
        let emits = vec![emit(60, receipt("delivered", token, &to, at(60))), emit(140, receipt("seen", token, &to, at(140)))];
        let reply = Reply::json(
            200,
            &json!({ "status": 0, "status_message": "ok", "message_token": token, "chat_hostname": "SN-CHAT-01_", "billing_status": 1 }),
        );
        Ok(Answer { reply, accepted: vec![Accepted { provider_id: token.to_string(), to, our_id: None, text }], emits })
    }
}

/// Checks a message; answers the words in it.
fn content(body: &Value) -> Checked<String> {
    let kind = body["type"].as_str().unwrap_or_default();
    let level = body["min_api_version"].as_u64().unwrap_or(1);
    match kind {
        "text" => {
            need((1..=7000).contains(&chars(&body["text"])), "text")?;
            return Ok(body["text"].as_str().unwrap_or_default().to_owned());
        }
        "picture" => {
            let path = body["media"].as_str().and_then(|u| u.split('?').next()).unwrap_or_default().to_lowercase();
            let known = [".jpg", ".jpeg", ".png", ".gif"].iter().any(|end| path.ends_with(end));
            need(link(&body["media"]) && known, "media")?;
            need(body["text"].is_string() && chars(&body["text"]) <= 768, "text")?;
        }
        "video" => need(link(&body["media"]) && body["size"].as_u64().is_some_and(|s| s <= 26 << 20), "video")?,
        "file" => {
            need(link(&body["media"]) && body["size"].as_u64().is_some_and(|s| s <= 50 << 20), "file")?;
            need((1..=256).contains(&chars(&body["file_name"])), "file_name")?;
        }
        "contact" => {
            let contact = &body["contact"];
            need((1..=28).contains(&chars(&contact["name"])) && (1..=18).contains(&chars(&contact["phone_number"])), "contact")?;
        }
        "location" => need(body["location"]["lat"].is_number() && body["location"]["lon"].is_number(), "location")?,
        "url" => need(link(&body["media"]), "media")?,
        "sticker" => need(body["sticker_id"].is_u64(), "sticker_id")?,
        "rich_media" => rich(&body["rich_media"], level)?,
        // A keyboard alone needs no type.
        "" if body["keyboard"].is_object() => {}
        _ => return Err(refused(4, "missingData: type")),
    }
    Ok(format!("[{kind}]"))
}

fn button(button: &Value, rows: u64, level: u64) -> Checked<u64> {
    let kind = button["ActionType"].as_str().unwrap_or("reply");
    need(button["ActionBody"].as_str().is_some_and(|b| !b.is_empty()), "ActionBody")?;
    need(chars(&button["Text"]) <= 250, "Text")?;
    let (columns, high) = (button["Columns"].as_u64().unwrap_or(6), button["Rows"].as_u64().unwrap_or(1));
    need((1..=6).contains(&columns) && (1..=rows).contains(&high), "Columns, Rows")?;
    let needs = match kind {
        "reply" | "open-url" | "none" => 1 + u64::from(button["Silent"] == true),
        "share-phone" | "location-picker" => 3,
        _ => return Err(refused(3, "badData: ActionType")),
    };
    if level < needs { Err(refused(14, "incompatibleWithVersion")) } else { Ok(columns * high) }
}

fn keyboard(keys: &Value, level: u64) -> Checked<()> {
    if keys.is_null() {
        return Ok(());
    }
    let buttons = keys["Buttons"].as_array().map(Vec::as_slice).unwrap_or_default();
    need(keys["Type"] == "keyboard" && !buttons.is_empty(), "keyboard")?;
    let mut cells = 0;
    for key in buttons {
        cells += button(key, 2, level)?;
    }
    need(cells <= 12 * 6, "a keyboard has at most 12 rows")
}

fn rich(media: &Value, level: u64) -> Checked<()> {
    if level < 2 {
        return Err(refused(14, "incompatibleWithVersion"));
    }
    let (columns, rows) = (media["ButtonsGroupColumns"].as_u64().unwrap_or(0), media["ButtonsGroupRows"].as_u64().unwrap_or(0));
    need(media["Type"] == "rich_media" && (1..=6).contains(&columns) && (1..=7).contains(&rows), "rich_media")?;
    let mut cells = 0;
    for key in media["Buttons"].as_array().map(Vec::as_slice).unwrap_or_default() {
        cells += button(key, 7, level)?;
    }
    let group = columns * rows;
    need(cells > 0 && cells.is_multiple_of(group) && cells / group <= 6, "Buttons do not fill 1 to 6 groups")
}

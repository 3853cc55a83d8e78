//! Apple's gateway, played: one business, whoever writes to it, and an encrypted picture of one pixel. Written from the
//! fact sheet.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;

use aws_lc_rs::hmac;
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{aes, crypto, entry, jwt, sample};

const BUSINESS: &str = "acme-business-id";
const MSP: &str = "11111111-aaaa-bbbb-cccc-222222222222";
const KEY: &str = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";

/// Apple's gateway, played.
pub struct Twin {
    seed: u64,
    next: u64,
    /// The time of the last thing that happened: tokens say when they were made.
    clock: Time,
    files: HashSet<String>,
    gone: HashSet<String>,
    ids: HashSet<String>,
    /// What was last offered to each customer.
    offered: HashMap<String, Value>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        let (files, gone, ids) = (HashSet::new(), HashSet::new(), HashSet::new());
        Self { seed, next: 0, clock: Time(1_795_169_730_000), files, gone, ids, offered: HashMap::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "msp_id": MSP, "api_secret": crypto::base64(self.secret().as_bytes()), "business_id": BUSINESS });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        self.run(request).unwrap_or_else(Answer::from)
    }

    /// The body is compressed, and a token stands beside it.
    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let body: Value = serde_json::from_slice(&draft.body).unwrap_or_default();
        let token = jwt::hs256(&self.key(), &json!({ "aud": MSP, "iat": self.clock.0 / 1000 }));
        draft.headers.push(("authorization".into(), format!("Bearer {token}")));
        for (header, field) in [("id", "id"), ("source-id", "sourceId"), ("destination-id", "destinationId")] {
            if let Some(value) = body[field].as_str().filter(|v| v.is_ascii()) {
                draft.headers.push((header.into(), value.into()));
            }
        }
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        if packer.write_all(&draft.body).is_ok() {
            draft.body = packer.finish().unwrap_or_default();
        }
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let customer = crate::kit::address::id(person, "apple").unwrap_or_default().into_owned();
        let content = match act {
            Act::Text(text) => json!({ "type": "text", "body": text }),
            Act::Image(text) => {
                let file = self.uuid();
                self.files.insert(file.clone());
                let attachment = json!({ "name": "a.png", "mimeType": "image/png", "size": sample::PNG.len().to_string(), "key": format!("00{KEY}"),
                    "url": format!("https://p01-content.example.org/{file}"), "owner": format!("{file}.owner"), "signature-base64": "AQID" });
                json!({ "type": "text", "body": format!("{text}\u{fffc}"), "attachments": [attachment] })
            }
            Act::Pick { id, title } => self.pick(&customer, id, title),
            Act::Block => {
                self.gone.insert(customer.clone());
                json!({ "type": "close" })
            }
            // Nobody tells that something was read.
            Act::Read => return Vec::new(),
        };
        if *act != Act::Block {
            self.gone.remove(&customer);
        }
        let mut whole = json!({ "v": 1, "id": self.uuid(), "sourceId": customer, "destinationId": BUSINESS, "locale": "en_US" });
        if let (Some(whole), Value::Object(content)) = (whole.as_object_mut(), content) {
            whole.extend(content);
        }
        vec![Draft::json(&whole)]
    }

    /// What the link carries stands beside what it has written.
    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let Some(mut found) = entry::opened(link, &format!("https://bcrw.apple.com/urn:biz:{BUSINESS}")) else { return Vec::new() };
        let mut drafts = self.act(person, &Act::Text(found.remove("body").unwrap_or_else(|| "Hello".into())), now);
        for draft in &mut drafts {
            let mut body: Value = serde_json::from_slice(&draft.body).unwrap_or_default();
            for (parameter, field) in [("biz-intent-id", "intent"), ("biz-group-id", "group")] {
                if let Some(value) = found.get(parameter) {
                    body[field] = value.as_str().into();
                }
            }
            *draft = Draft::json(&body);
        }
        drafts
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let sends = request.path.ends_with("/message") && !body["type"].as_str().is_some_and(|t| t.starts_with("typing"));
        if sends { body["destinationId"].as_str().map(str::to_owned) } else { None }
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429);
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503)
    }

    fn pace(&self) -> (u32, u64) {
        (100, 1_000)
    }
}

type Checked<T> = Result<T, Reply>;

/// Apple says nothing but the status.
fn refused(status: u16) -> Reply {
    Reply { body: Vec::new().into(), ..Reply::json(status, &json!(null)) }
}

fn need(good: bool) -> Checked<()> {
    if good { Ok(()) } else { Err(refused(400)) }
}

impl Twin {
    fn secret(&self) -> String {
        format!("fake-apple-msp-key-{:016}", self.seed)
    }

    fn key(&self) -> crypto::Key {
        crypto::Key::new(hmac::HMAC_SHA256, self.secret().as_bytes())
    }

    fn uuid(&mut self) -> String {
        self.next += 1;
        format!("2b865cc5-{:04}-4000-8000-{:012}", self.seed % 10_000, self.next)
    }

    /// The answer to what was offered last: a row of a list, or a quick reply.
    fn pick(&self, customer: &str, id: &str, title: &str) -> Value {
        let offered = self.offered.get(customer).cloned().unwrap_or_default();
        let request = offered["requestIdentifier"].clone();
        let data = if offered["listPicker"].is_object() {
            json!({ "version": "1.0", "requestIdentifier": request, "replyMessage": { "title": title },
                "listPicker": { "sections": [{ "items": [{ "identifier": id, "title": title }] }] } })
        } else {
            json!({ "version": "1.0", "requestIdentifier": request,
                "quick-reply": { "summaryText": "", "items": [{ "identifier": id, "title": title }], "selectedIndex": 0 } })
        };
        json!({ "type": "interactive", "interactiveData": { "bid": "twin", "data": data } })
    }

    fn run(&mut self, request: &Request) -> Checked<Answer> {
        let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        if let Some(file) = request.path.rsplit_once("/content/").map(|(_, file)| file) {
            if !self.files.contains(file) {
                return Err(refused(404));
            }
            let key = crypto::unhex::<32>(KEY).unwrap_or_default();
            let sealed = aes::ctr(&key, [0; 16], sample::PNG).unwrap_or_default();
            return Ok(Reply { body: sealed.into(), ..Reply::default() }.into());
        }
        let bearer = header("authorization");
        let token = bearer.strip_prefix("Bearer ").and_then(jwt::Token::parse).ok_or_else(|| refused(401))?;
        let issued = token.time("iat").is_some_and(|at| at.since(self.clock).abs() < 3_600_000);
        if !token.hs256(&[self.key()]) || token.claim("iss") != Some(MSP) || !issued || header("source-id") != BUSINESS {
            return Err(refused(401));
        }
        match request.path.rsplit('/').next() {
            Some("message") => self.message(request, &header),
            Some("preDownload") => {
                let file = header("mmcs-url").rsplit('/').next().unwrap_or_default().to_owned();
                let signed = crypto::unbase64(&header("mmcs-signature")).is_some_and(|bytes| !bytes.is_empty());
                need(self.files.contains(&file) && header("mmcs-owner") == format!("{file}.owner") && signed)?;
                Ok(Reply::json(200, &json!({ "download-url": format!("https://cvws.icloud-content.com/content/{file}") })).into())
            }
            Some("decodePayload") => {
                need(!header("bid").is_empty() && !request.body.is_empty())?;
                Ok(Reply::json(200, &json!({ "interactiveData": { "data": { "version": "1.0" } } })).into())
            }
            _ => Err(refused(404)),
        }
    }

    fn message(&mut self, request: &Request, header: &dyn Fn(&str) -> String) -> Checked<Answer> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400))?;
        let word = |name: &str| body[name].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let (Some(id), Some(to)) = (word("id"), word("destinationId")) else { return Err(refused(400)) };
        need(body["v"] == 1 && id.len() == 36 && header("id") == id && header("destination-id") == to)?;
        need(body["sourceId"] == BUSINESS && request.body.len() <= 64 << 10)?;
        let invitation = header("message-type") == "notification";
        need(invitation == to.starts_with("tel:"))?;
        if self.gone.contains(&to) {
            return Err(refused(410));
        }
        let data = &body["interactiveData"]["data"];
        let text = match body["type"].as_str() {
            Some("text") => word("body").ok_or_else(|| refused(400))?,
            Some("typing_start" | "typing_end") => return Ok(refused(200).into()),
            Some("richLink") => {
                let link = &body["richLinkData"];
                need(link["url"].is_string() && link["title"].is_string() && link["assets"].is_object())?;
                "[link]".into()
            }
            Some("interactive") => {
                need(body["interactiveData"]["bid"].is_string())?;
                self.offered.insert(to.clone(), data.clone());
                interactive(data)?
            }
            _ => return Err(refused(400)),
        };
        // The same id again is the same message.
        let first = self.ids.insert(id.clone());
        let accepted = if first { vec![Accepted { provider_id: id, to, our_id: None, text }] } else { Vec::new() };
        Ok(Answer { reply: refused(200), accepted, emits: Vec::new() })
    }
}

fn interactive(data: &Value) -> Checked<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let named = |item: &Value| item["identifier"].is_string() && item["title"].as_str().is_some_and(|t| !t.is_empty());
    if data["quick-reply"].is_object() {
        let items = list(&data["quick-reply"]["items"]);
        need((2..=5).contains(&items.len()) && items.iter().all(named))?;
        return Ok(data["quick-reply"]["summaryText"].as_str().unwrap_or_default().to_owned());
    }
    if data["listPicker"].is_object() {
        let sections = list(&data["listPicker"]["sections"]);
        need(!sections.is_empty() && sections.iter().all(|s| !list(&s["items"]).is_empty() && list(&s["items"]).iter().all(named)))?;
        return Ok("[list]".into());
    }
    if data["notification"].is_object() {
        need(data["notification"]["templateId"].is_string() && data["notification"]["locale"].is_string())?;
        return Ok("[invitation]".into());
    }
    need(data["event"].is_object() || data["dynamic"].is_object() || data["authenticate"].is_object()).map(|()| "[interactive]".into())
}

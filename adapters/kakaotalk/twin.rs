//! KakaoTalk, played: a chatbot with its skill, the Event API, and NHN's business messages. Written from the fact sheet.

use std::collections::HashSet;

use http::Method;
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{multipart, sample};

const BOT: &str = "fakebot0000000000000001";
const APPKEY: &str = "fakeAppKey";
const SENDER: &str = "fakeSenderKey000000000000000000000000000";

/// KakaoTalk, played.
pub struct Twin {
    seed: u64,
    next: u64,
    used: HashSet<String>,
    keys: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0, used: HashSet::new(), keys: HashSet::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "bot_id": BOT,
            "channel_public_id": "_Twin",
            "skill_header_value": self.secret("skill"),
            "reply_block_id": "blkReply",
            "rest_api_key": self.secret("rest"),
            "event_name": "gateway",
            "nhn_appkey": APPKEY,
            "nhn_secret_key": self.secret("nhn"),
            "sender_key": SENDER,
            "webhook_signature": self.secret("webhook"),
        });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, _now: Time) -> Answer {
        self.run(request).unwrap_or_else(Answer::from)
    }

    /// NHN's webhooks carry one secret, skills and rooms the other.
    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let hooks = serde_json::from_slice::<Value>(&draft.body).is_ok_and(|body| !body["hooks"].is_null());
        let (name, kind) = if hooks { ("x-toast-webhook-signature", "webhook") } else { ("x-gateway-secret", "skill") };
        draft.headers.push((name.into(), self.secret(kind)));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, _now: Time) -> Vec<Draft> {
        let id = crate::kit::address::id(person, "kakaotalk").unwrap_or_default().into_owned();
        let callback = format!("https://bot-api.kakao.com/v1/callback/{}", self.id("once"));
        let (utterance, extra) = match act {
            Act::Text(text) => (text.clone(), json!({})),
            Act::Image(_) => ("https://dn-m.talk.kakao.com/talkm/twin.png".into(), json!({})),
            Act::Pick { id, title } => (title.clone(), json!({ "choice": id })),
            // Kakao tells neither.
            Act::Read | Act::Block => return Vec::new(),
        };
        vec![turn(&id, &utterance, &json!({}), &extra, Some(&callback))]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let path = request.path.as_str();
        if path.starts_with("/v1/callback/") {
            return Some(path.to_owned());
        }
        let whom = [&body["user"][0]["id"], &body["chat"][0]["id"], &body["recipientList"][0]["recipientNo"]];
        whom.into_iter().find_map(|id| id.as_str().map(str::to_owned))
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = Reply::json(429, &json!({ "message": "Too Many Requests" }));
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        Reply::json(500, &json!({ "status": "ERROR" }))
    }

    fn pace(&self) -> (u32, u64) {
        (300, 1_000)
    }
}

type Checked<T> = Result<T, Reply>;

fn turn(user: &str, utterance: &str, params: &Value, extra: &Value, callback: Option<&str>) -> Draft {
    let mut request = json!({
        "block": { "id": "blk0000000000000000001", "name": "fallback" },
        "user": { "id": user, "type": "botUserKey", "properties": { "botUserKey": user, "isFriend": true } },
        "utterance": utterance, "params": { "surface": "Kakaotalk.plusfriend" }, "lang": "ko", "timezone": "Asia/Seoul",
    });
    if let Some(url) = callback {
        request["callbackUrl"] = url.into();
    }
    Draft::json(&json!({
        "bot": { "id": BOT, "name": "Twin" },
        "intent": { "id": "blk0000000000000000001", "name": "fallback" },
        "action": { "id": "act1", "name": "gateway", "params": params, "detailParams": {}, "clientExtra": extra },
        "userRequest": request, "contexts": [],
    }))
}

fn bad(status: u16, words: &str) -> Reply {
    Reply::json(status, &json!({ "status": "ERROR", "message": words }))
}

fn nhn(code: i64, words: &str) -> Reply {
    Reply::json(200, &json!({ "header": { "resultCode": code, "resultMessage": words, "isSuccessful": false } }))
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

impl Twin {
    fn secret(&self, kind: &str) -> String {
        format!("fake-{kind}-secret-{:04}", self.seed)
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}-{:04}-{:08}", self.seed % 10_000, self.next)
    }

    fn run(&mut self, request: &Request) -> Checked<Answer> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let path = request.path.as_str();
        if path == "/talkm/twin.png" {
            let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
            return Ok(reply.header("content-type", "image/png").into());
        }
        if let Some(once) = path.strip_prefix("/v1/callback/") {
            // Each is good once.
            if once.is_empty() || !self.used.insert(once.to_owned()) {
                return Err(Reply::json(400, &json!({ "taskId": "t0", "status": "FAIL", "message": "invalid callback" })));
            }
            let text = skill_response(&body).map_err(|what| bad(400, &what))?;
            return Ok(self.task(once.to_owned(), text, Vec::new()));
        }
        if let Some(rest) = path.strip_prefix(&format!("/v2/bots/{BOT}/")) {
            if header("authorization") != format!("KakaoAK {}", self.secret("rest")) {
                return Err(bad(401, "invalid key"));
            }
            return self.event(rest, &body);
        }
        if path.contains("/appkeys/") {
            if header("x-secret-key") != self.secret("nhn") || !path.contains(&format!("/appkeys/{APPKEY}/")) {
                return Err(nhn(-1000, "invalid appkey"));
            }
            return self.business(request, &body, header("x-nc-api-idempotency-key"));
        }
        Err(bad(404, "not found"))
    }

    fn task(&mut self, to: String, text: String, emits: Vec<Emit>) -> Answer {
        let id = self.id("t");
        let reply = Reply::json(200, &json!({ "taskId": id, "status": "SUCCESS", "message": "", "timestamp": 1_795_000_005_000_u64 }));
        Answer { reply, accepted: vec![Accepted { provider_id: id, to, our_id: None, text }], emits }
    }

    /// The event's block calls the skill, with what travelled beside the event.
    fn event(&mut self, kind: &str, body: &Value) -> Checked<Answer> {
        let (list, known) = match kind {
            "talk" => (&body["user"], ["botUserKey", "plusfriendUserKey", "appUserId"].as_slice()),
            "group" => (&body["chat"], ["botGroupKey"].as_slice()),
            _ => return Err(bad(404, "not found")),
        };
        let people = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let good = people.iter().all(|p| p["type"].as_str().is_some_and(|t| known.contains(&t)) && p["id"].is_string());
        if !(1..=100).contains(&people.len()) || !good {
            return Err(bad(400, "user"));
        }
        if body["event"]["name"] != "gateway" {
            return Err(bad(400, "event.name"));
        }
        let to = people[0]["id"].as_str().unwrap_or_default().to_owned();
        let emits = vec![Emit { after_ms: 40, url: None, draft: turn(&to, "gateway", &body["params"], &json!({}), None) }];
        let ours = body["params"]["fairway_id"].as_str().map(str::to_owned);
        let mut answer = self.task(to, "[event]".into(), emits);
        answer.accepted.iter_mut().for_each(|accepted| accepted.our_id.clone_from(&ours));
        Ok(answer)
    }

    fn business(&mut self, request: &Request, body: &Value, key: &str) -> Checked<Answer> {
        let fine = |more: Value| {
            let mut reply = json!({ "header": { "resultCode": 0, "resultMessage": "success", "isSuccessful": true } });
            if let (Some(reply), Value::Object(more)) = (reply.as_object_mut(), more) {
                reply.extend(more);
            }
            Reply::json(200, &reply)
        };
        let path = request.path.rsplit_once(&format!("/appkeys/{APPKEY}/")).map(|(_, rest)| rest).unwrap_or_default();
        if request.method == Method::GET && path.starts_with("message-results") {
            return Ok(fine(json!({ "totalCount": 0 })).into());
        }
        if path == "images" {
            let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
            let fields = multipart::read(kind, &request.body).unwrap_or_default();
            if !fields.iter().any(|f| f.name == "image" && f.filename.is_some()) || !fields.iter().any(|f| f.name == "imageType") {
                return Err(nhn(-3303, "image"));
            }
            return Ok(fine(
                json!({ "image": { "imageSeq": 1, "imageUrl": "https://mud-kage.kakao.com/dn/twin.png", "imageName": "twin" } }),
            )
            .into());
        }
        if body["senderKey"] != SENDER {
            return Err(nhn(-1006, "sender"));
        }
        let recipient = &body["recipientList"][0];
        let number = recipient["recipientNo"].as_str().unwrap_or_default();
        if number.is_empty() || number.len() > 15 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(nhn(-5000, "recipientNo"));
        }
        match path {
            "messages" | "auth/messages" => {
                if !(1..=20).contains(&chars(&body["templateCode"])) {
                    return Err(nhn(-3003, "templateCode"));
                }
                if !key.is_empty() && !self.keys.insert(key.to_owned()) {
                    return Err(nhn(-1005, "duplicate idempotency key"));
                }
            }
            "freestyle-messages" => bubble(body, recipient).map_err(|what| nhn(-3303, what))?,
            _ => return Err(nhn(-9998, "wrong path")),
        }
        let id = self.id("20261118req");
        let ours = recipient["recipientGroupingKey"].as_str();
        let result =
            json!({ "recipientSeq": 1, "recipientNo": number, "resultCode": 0, "resultMessage": "SUCCESS", "recipientGroupingKey": ours });
        let hook = json!({ "hooksId": self.id("hs"), "appKey": APPKEY, "event": "MESSAGE_RESULT_UPDATE", "hooks": [{
            "hookId": self.id("h"), "kakaoMessageType": "ALIMTALK_NORMAL", "requestId": id, "recipientSeq": 1, "recipientNo": number,
            "receiveDate": "2026-11-18 20:06:42", "resultCode": "1000", "recipientGroupingKey": ours }] });
        let emits = vec![Emit { after_ms: 90, url: None, draft: Draft::json(&hook) }];
        let reply = fine(json!({ "message": { "requestId": id, "sendResults": [result] } }));
        let provider_id = format!("{id}:1");
        let accepted = Accepted { provider_id, to: number.to_owned(), our_id: ours.map(str::to_owned), text: "[business]".into() };
        Ok(Answer { reply, accepted: vec![accepted], emits })
    }
}

fn bubble(body: &Value, recipient: &Value) -> Result<(), &'static str> {
    let buttons = body["buttons"].as_array().map(Vec::as_slice).unwrap_or_default();
    let content = (1..=1300).contains(&chars(&body["content"]));
    let targeting = matches!(recipient["targeting"].as_str(), Some("I" | "M" | "N"));
    let known = |b: &Value| match b["type"].as_str() {
        Some("WL") => b["linkMo"].as_str().is_some_and(|l| l.starts_with("http") && l.len() <= 1000),
        Some("AL" | "BK" | "MD" | "AC" | "BT" | "BF") => true,
        _ => false,
    };
    match body["chatBubbleType"].as_str() {
        _ if !targeting => Err("targeting"),
        _ if buttons.len() > 5 || !buttons.iter().all(|b| (1..=14).contains(&chars(&b["name"])) && known(b)) => Err("buttons"),
        Some("TEXT") if content => Ok(()),
        Some("IMAGE") if content && body["image"]["imageUrl"].as_str().is_some_and(|u| u.contains("kakao")) => Ok(()),
        _ => Err("chatBubbleType"),
    }
}

/// Checks an answer; the words in it.
fn skill_response(body: &Value) -> Result<String, String> {
    let template = &body["template"];
    let outputs = template["outputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if body["version"] != "2.0" || !(1..=3).contains(&outputs.len()) {
        return Err("version, outputs (1 to 3)".into());
    }
    let mut words = Vec::new();
    for output in outputs {
        let Some((kind, content)) = output.as_object().and_then(|o| o.iter().next()) else { return Err("an empty output".into()) };
        component(kind, content)?;
        words.push(content["text"].as_str().map_or_else(|| format!("[{kind}]"), str::to_owned));
    }
    let replies = template["quickReplies"].as_array().map(Vec::as_slice).unwrap_or_default();
    if replies.len() > 10 || !replies.iter().all(|r| chars(&r["label"]) > 0 && matches!(r["action"].as_str(), Some("message" | "block"))) {
        return Err("quickReplies".into());
    }
    Ok(words.join("\n"))
}

fn component(kind: &str, content: &Value) -> Result<(), String> {
    let list = |name: &str| content[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let image = |value: &Value| value.as_str().is_some_and(|u| u.starts_with("https://"));
    let buttons = |most: usize| list("buttons").len() <= most && list("buttons").iter().all(button);
    let good = match kind {
        "simpleText" => (1..=1000).contains(&chars(&content["text"])),
        "simpleImage" => image(&content["imageUrl"]) && chars(&content["altText"]) <= 1000,
        "textCard" => (1..=400).contains(&(chars(&content["title"]) + chars(&content["description"]))) && buttons(3),
        "basicCard" => {
            let picture = content["thumbnail"].is_null() || image(&content["thumbnail"]["imageUrl"]);
            chars(&content["title"]) <= 50 && chars(&content["description"]) <= 230 && picture && buttons(3)
        }
        "listCard" => {
            let items = list("items");
            chars(&content["header"]["title"]) > 0
                && (1..=5).contains(&items.len())
                && items.iter().all(|i| chars(&i["title"]) > 0)
                && buttons(2)
        }
        "carousel" => {
            let (inside, items) = (content["type"].as_str().unwrap_or_default(), list("items"));
            items.iter().try_for_each(|item| component(inside, item))?;
            (1..=10).contains(&items.len()) && inside != "carousel"
        }
        "commerceCard" | "itemCard" => buttons(3),
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("invalid {kind}")) }
}

fn button(button: &Value) -> bool {
    let has = |name: &str| button[name].as_str().is_some_and(|t| !t.is_empty());
    let fine = match button["action"].as_str() {
        Some("webLink") => has("webLinkUrl"),
        Some("message") => has("messageText"),
        Some("block") => has("blockId"),
        Some("phone") => has("phoneNumber"),
        Some("share" | "operator") => true,
        _ => false,
    };
    fine && (1..=14).contains(&chars(&button["label"]))
}

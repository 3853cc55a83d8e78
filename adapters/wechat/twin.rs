//! WeChat, played: one service account in compatible mode, its followers, and a picture of one pixel. Written from the
//! fact sheet.

use std::collections::{HashMap, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

use super::seal::{self, AesKey};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{form, multipart, sample, xml};

const ACCOUNT: &str = "gh_fake00000001";
const APP: &str = "wxfake0000000001";
const KEY: &str = "FakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFak";

/// WeChat, played.
pub struct Twin {
    seed: u64,
    next: u64,
    files: HashSet<String>,
    unfollowed: HashSet<String>,
    /// The numbers of templates by person, each once.
    numbers: HashMap<String, u64>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { seed, next: 0, files: HashSet::new(), unfollowed: HashSet::new(), numbers: HashMap::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "app_id": APP,
            "app_secret": self.secret(),
            "token": self.token(),
            "encoding_aes_key": KEY,
            "original_id": ACCOUNT,
        });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.run(request, now).unwrap_or_else(Answer::from)
    }

    /// Clear when the query says so beforehand, else encrypted.
    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let (timestamp, nonce) = ("1795000000", "1234567890");
        let signature = seal::sign(&self.token(), &[timestamp, nonce]);
        let query = format!("signature={signature}&timestamp={timestamp}&nonce={nonce}");
        let plain = draft.query == "plain";
        if draft.method == Method::GET {
            draft.query = format!("{query}&echostr=90210");
            return draft;
        }
        draft.query = query;
        if plain {
            return draft;
        }
        let key = AesKey::read(KEY).expect("a key");
        let encrypted = key.close(*b"0123456789abcdef", &String::from_utf8_lossy(&draft.body), APP);
        let signature = seal::sign(&self.token(), &[timestamp, nonce, &encrypted]);
        draft.query.push_str(&format!("&encrypt_type=aes&msg_signature={signature}"));
        draft.body =
            format!("<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>").into_bytes();
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        let id = person.rsplit(':').next().unwrap_or_default().to_owned();
        let number = self.number();
        let text = |content: &str| format!("<MsgType>text</MsgType><Content>{}</Content><MsgId>{number}</MsgId>", xml::escape(content));
        let inside = match act {
            Act::Text(words) => text(words),
            Act::Pick { id, title } => format!("{}<bizmsgmenuid>{}</bizmsgmenuid>", text(title), xml::escape(id)),
            Act::Image(_) => {
                self.files.insert(format!("media_{number}"));
                format!(
                    "<MsgType>image</MsgType><PicUrl>http://mmbiz.qpic.cn/media_{number}</PicUrl><MediaId>media_{number}</MediaId>\
                     <MsgId>{number}</MsgId>"
                )
            }
            Act::Block => {
                self.unfollowed.insert(id.clone());
                "<MsgType>event</MsgType><Event>unsubscribe</Event><EventKey></EventKey>".into()
            }
            Act::Read => return Vec::new(),
        };
        vec![delivery(&id, &inside, now)]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let sends = ["custom/send", "template/send", "subscribe/bizsend"].iter().any(|end| request.path.ends_with(end));
        if sends { body["touser"].as_str().map(str::to_owned) } else { None }
    }

    fn throttled(&self, _retry_after_secs: u64) -> Reply {
        refused(45011, "api minute-quota reach limit, must slower retry next minute")
    }

    fn broken(&self) -> Reply {
        refused(-1, "system error")
    }

    fn pace(&self) -> (u32, u64) {
        (500_000, 86_400_000)
    }
}

type Checked<T> = Result<T, Reply>;

fn refused(code: i64, words: &str) -> Reply {
    Reply::json(200, &json!({ "errcode": code, "errmsg": format!("{words} rid: twin") }))
}

fn need(good: bool, code: i64, what: &str) -> Checked<()> {
    if good { Ok(()) } else { Err(refused(code, what)) }
}

fn delivery(person: &str, inside: &str, now: Time) -> Draft {
    let (seconds, person) = (now.0 / 1000, xml::escape(person));
    let body = format!(
        "<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName><FromUserName>{person}</FromUserName><CreateTime>{seconds}</CreateTime>\
         {inside}</xml>"
    );
    let headers = vec![("content-type".into(), "text/xml".into())];
    Draft { method: Method::POST, query: String::new(), headers, body: body.into_bytes() }
}

impl Twin {
    fn secret(&self) -> String {
        format!("twin-wechat-secret-{:08}", self.seed)
    }

    fn token(&self) -> String {
        format!("twintoken{:04}", self.seed)
    }

    fn access(&self) -> String {
        format!("TWIN_fake_access_{:08}", self.seed)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        23_000_000_000_000_000 + self.seed % 1000 * 1_000_000 + self.next
    }

    fn run(&mut self, request: &Request, now: Time) -> Checked<Answer> {
        if request.path.strip_prefix('/').is_some_and(|file| self.files.contains(file)) {
            return Ok(picture().into());
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if request.path == "/cgi-bin/stable_token" {
            need(body["grant_type"] == "client_credential", 40002, "invalid grant_type")?;
            need(body["appid"] == APP, 40013, "invalid appid")?;
            need(body["secret"] == self.secret(), 40125, "invalid appsecret")?;
            return Ok(Reply::json(200, &json!({ "access_token": self.access(), "expires_in": 7200 })).into());
        }
        let token = form::query(&request.query, "access_token").ok_or_else(|| refused(41001, "access_token missing"))?;
        need(token == self.access(), 40001, "invalid credential, access_token is invalid or not latest")?;
        match request.path.as_str() {
            "/cgi-bin/getcallbackip" => Ok(Reply::json(200, &json!({ "ip_list": ["203.0.113.1"] })).into()),
            "/cgi-bin/media/get" => {
                let id = form::query(&request.query, "media_id").unwrap_or_default();
                need(self.files.contains(&*id), 40007, "invalid media_id")?;
                Ok(picture().into())
            }
            "/cgi-bin/media/upload" => self.upload(request),
            "/cgi-bin/message/custom/typing" => {
                need(body["touser"].is_string() && matches!(body["command"].as_str(), Some("Typing" | "CancelTyping")), 40003, "touser")?;
                Ok(Reply::json(200, &json!({ "errcode": 0, "errmsg": "ok" })).into())
            }
            "/cgi-bin/message/custom/send" => self.custom(&body),
            "/cgi-bin/message/template/send" => self.template(&body, now, true),
            "/cgi-bin/message/subscribe/bizsend" => self.template(&body, now, false),
            _ => Err(refused(48001, "api unauthorized")),
        }
    }

    fn upload(&mut self, request: &Request) -> Checked<Answer> {
        let kind = form::query(&request.query, "type").unwrap_or_default();
        need(matches!(&*kind, "image" | "voice" | "video" | "thumb"), 40004, "invalid media type")?;
        let content = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let fields = multipart::read(content, &request.body).unwrap_or_default();
        need(fields.iter().any(|f| f.name == "media" && f.filename.is_some() && !f.value.is_empty()), 41005, "media data missing")?;
        let id = format!("media_{}", self.number());
        self.files.insert(id.clone());
        Ok(Reply::json(200, &json!({ "type": kind, "media_id": id, "created_at": 1_795_000_000 })).into())
    }

    fn person(&self, body: &Value) -> Checked<String> {
        let to = body["touser"].as_str().filter(|id| id.starts_with('o')).ok_or_else(|| refused(40003, "invalid openid"))?;
        need(!self.unfollowed.contains(to), 43004, "require subscribe")?;
        Ok(to.to_owned())
    }

    fn custom(&mut self, body: &Value) -> Checked<Answer> {
        let to = self.person(body)?;
        let kind = body["msgtype"].as_str().unwrap_or_default();
        let content = &body[kind];
        let media = |name: &str| need(content[name].as_str().is_some_and(|id| !id.is_empty()), 40007, "invalid media_id");
        let text = match kind {
            "text" => {
                let text = content["content"].as_str().unwrap_or_default();
                need(!text.is_empty(), 44004, "empty content")?;
                need(text.len() <= 2048, 45002, "content size out of limit")?;
                text.to_owned()
            }
            "image" | "voice" => media("media_id").map(|()| format!("[{kind}]"))?,
            "video" => media("media_id").and_then(|()| media("thumb_media_id")).map(|()| "[video]".to_owned())?,
            "news" => {
                let articles = content["articles"].as_array().map(Vec::as_slice).unwrap_or_default();
                need(articles.len() == 1, 45008, "article size out of limit")?;
                need(
                    articles[0]["title"].as_str().is_some_and(|t| !t.is_empty()) && articles[0]["url"].is_string(),
                    44003,
                    "empty news data",
                )?;
                "[article]".into()
            }
            "msgmenu" => {
                let list = content["list"].as_array().map(Vec::as_slice).unwrap_or_default();
                need(!list.is_empty() && list.iter().all(|o| o["id"].is_string() && o["content"].is_string()), 40035, "msgmenu")?;
                content["head_content"].as_str().unwrap_or_default().to_owned()
            }
            "music" | "mpnewsarticle" | "miniprogrampage" | "wxcard" => format!("[{kind}]"),
            _ => return Err(refused(40008, "invalid message type")),
        };
        let accepted = Accepted { provider_id: String::new(), to, our_id: None, text };
        Ok(Answer { reply: Reply::json(200, &json!({ "errcode": 0, "errmsg": "ok" })), accepted: vec![accepted], emits: Vec::new() })
    }

    fn template(&mut self, body: &Value, now: Time, numbered: bool) -> Checked<Answer> {
        let to = self.person(body)?;
        need(body["template_id"].as_str().is_some_and(|id| !id.is_empty()), 40037, "invalid template_id")?;
        let data = body["data"].as_object().ok_or_else(|| refused(47003, "argument invalid! data"))?;
        need(data.values().all(|v| v["value"].as_str().is_some_and(|t| !t.is_empty())), 47003, "argument invalid! data")?;
        let ours = body["client_msg_id"].as_str().map(str::to_owned);
        let known = ours.as_ref().and_then(|id| self.numbers.get(&format!("{to}/{id}")).copied());
        let number = known.unwrap_or_else(|| self.number());
        let mut reply = json!({ "errcode": 0, "errmsg": "ok" });
        if numbered {
            reply["msgid"] = number.into();
        }
        if known.is_some() {
            return Ok(Reply::json(200, &reply).into());
        }
        if let Some(id) = &ours {
            self.numbers.insert(format!("{to}/{id}"), number);
        }
        let inside = format!("<MsgType>event</MsgType><Event>TEMPLATESENDJOBFINISH</Event><MsgID>{number}</MsgID><Status>success</Status>");
        let emits = if numbered { vec![Emit { after_ms: 80, url: None, draft: delivery(&to, &inside, now.plus(80)) }] } else { Vec::new() };
        let accepted = Accepted { provider_id: number.to_string(), to, our_id: ours, text: "[template]".into() };
        Ok(Answer { reply: Reply::json(200, &reply), accepted: vec![accepted], emits })
    }
}

fn picture() -> Reply {
    let reply = Reply { body: sample::PNG.into(), ..Reply::default() };
    reply.header("content-type", "image/png")
}

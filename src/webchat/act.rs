//! What a visitor does: checked, delivered through the door, written to the conversation, acknowledged.

use std::sync::Arc;

use bytes::Bytes;
use fairway_adapters::kit::crypto;
use fairway_adapters::webchat::pass::{FileRef, SIGNATURE, Visitor, purpose};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::limits::What;
use super::reply::No;
use super::site::Site;
use super::thread::kind;
use super::threads::{Note, Shared};
use super::{Room, Shut};
use crate::clock;

/// Messages named in one receipt.
const RECEIPTS: usize = 50;
/// The longest text of a visitor, in characters.
const LONGEST: usize = 12_000;

/// A frame of a visitor.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Act {
    /// He wrote, sent a file, picked an option, filled in a form.
    Message {
        /// His own id of it: repeating it changes nothing.
        client_id: String,
        /// What.
        content: Map<String, Value>,
        /// The page he is on.
        #[serde(default)]
        page: Value,
        /// The message it answers.
        #[serde(default)]
        reply_to: Option<String>,
    },
    /// He began or stopped typing.
    Typing {
        /// Began.
        on: bool,
    },
    /// Everything up to this number has arrived in his browser.
    Delivered {
        /// The number.
        upto: u64,
    },
    /// Everything up to this number was in front of him.
    Read {
        /// The number.
        upto: u64,
    },
    /// Something the page tracked.
    Track {
        /// His own id of it.
        client_id: String,
        /// Its name.
        name: String,
        /// Details.
        #[serde(default)]
        properties: Value,
    },
    /// He wants an older page.
    History {
        /// Before this number.
        before: u64,
    },
    /// He is there.
    Pong,
}

/// A visitor at work: his channel, himself, his conversation.
#[derive(Clone)]
pub struct Desk {
    /// The room.
    pub room: Arc<Room>,
    /// The channel.
    pub site: Arc<Site>,
    /// Who.
    pub visitor: Visitor,
    /// His conversation.
    pub thread: Arc<Shared>,
}

impl Desk {
    /// Carries out an act; what to answer, if anything.
    pub async fn carry_out(&self, act: Act) -> Option<Bytes> {
        match act {
            Act::Message { client_id, content, page, reply_to } => Some(self.message(client_id, content, page, reply_to).await),
            Act::Typing { on } => {
                let id = crate::ids::text("sg-", crate::ids::random());
                let _ = self.sign(json!({ "type": "typing", "id": id, "on": on })).await;
                None
            }
            Act::Delivered { upto } => {
                let ids = self.thread.with(|t| t.arrive(upto));
                self.receipts("delivered", &ids).await;
                None
            }
            Act::Read { upto } => {
                self.read(upto).await;
                None
            }
            Act::Track { client_id, name, properties } => {
                let id = self.own_id("tr-", &client_id);
                let name: String = name.chars().take(100).collect();
                let done = self.sign(json!({ "type": "track", "id": id, "name": name, "properties": properties })).await;
                Some(answer(&client_id, done.map(|()| json!({ "id": id }))))
            }
            Act::History { before } => Some(self.thread.with(|t| t.history(before))),
            Act::Pong => None,
        }
    }

    /// An id of ours for what the visitor numbered: the same for a repeat, and nobody else's.
    fn own_id(&self, prefix: &str, client_id: &str) -> String {
        format!("{prefix}{}", crypto::fingerprint(&[&self.site.channel.id, &self.visitor.session, client_id]))
    }

    async fn message(&self, client_id: String, content: Map<String, Value>, page: Value, reply_to: Option<String>) -> Bytes {
        let done = self.take_message(&client_id, content, page, reply_to).await;
        answer(&client_id, done)
    }

    async fn take_message(
        &self,
        client_id: &str,
        mut content: Map<String, Value>,
        page: Value,
        reply_to: Option<String>,
    ) -> Result<Value, No> {
        if client_id.is_empty() || client_id.len() > 64 {
            return Err(No::Invalid("client_id: 1 to 64 characters of the sender's own"));
        }
        let id = self.own_id("in-", client_id);
        if let Some(seq) = self.thread.with(|t| t.number(&id)) {
            return Ok(json!({ "id": id, "seq": seq })); // A repeat of what stands there already.
        }
        self.room.limits.check(What::Message, &self.visitor.session)?;
        self.check(&mut content)?;
        let at = clock::now();
        let mut body = json!({ "type": "message", "id": id, "at": at, "content": content });
        for (name, value) in [("page", page), ("reply_to", reply_to.clone().into())] {
            if !value.is_null() {
                body[name] = value;
            }
        }
        self.deliver(body).await?;
        let mut frame = json!({ "type": "message", "from": "visitor", "id": id, "at": at, "client_id": client_id, "content": content });
        if let Some(reply_to) = reply_to {
            frame["reply_to"] = reply_to.into();
        }
        let notes = [Note { kind: kind::IN, id: &id, json: frame.to_string().into() }];
        let numbers = self.room.threads.write(&self.site.channel.id, &self.visitor.session, &notes).await?;
        Ok(json!({ "id": id, "seq": numbers.first().copied().flatten(), "at": at }))
    }

    /// Checks what can be wrong with a message, and puts in what its reference says about a file.
    fn check(&self, content: &mut Map<String, Value>) -> Result<(), No> {
        let text = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("kind") {
            "text" if text("text").trim().is_empty() => return Err(No::Invalid("content.text: there are no words in it")),
            "text" if text("text").chars().count() > LONGEST => return Err(No::Invalid("content.text: at most 12000 characters")),
            "image" | "audio" | "voice" | "video" | "file" => {
                let reference = content.get("file").and_then(Value::as_str).unwrap_or_default().to_owned();
                // A visitor names what he has uploaded by what he was given for it; anything else is not his to send.
                let file: FileRef =
                    self.site.keys.open(purpose::FILE, &reference).ok_or(No::Invalid("content.file: not a reference of ours"))?;
                let url = self.room.file_url(&self.site, &reference);
                content.insert(
                    "media".into(),
                    json!({ "id": file.id, "url": url, "mime_type": file.mime, "size": file.size, "filename": file.name, "sha256": file.id }),
                );
                content.shift_remove("file");
            }
            "text" | "location" | "choice" | "form" => {}
            _ => return Err(No::Invalid("content.kind: unknown")),
        }
        Ok(())
    }

    /// Signals and receipts: what is lost when it cannot be taken now.
    async fn sign(&self, body: Value) -> Result<(), No> {
        self.room.limits.check(What::Sign, &self.visitor.session)?;
        let mut body = body;
        body["at"] = serde_json::to_value(clock::now()).unwrap_or_default();
        self.deliver(body).await
    }

    async fn receipts(&self, state: &str, ids: &[String]) {
        for ids in ids.chunks(RECEIPTS) {
            let id = self.own_id("rc-", &format!("{state} {}", ids.join(" ")));
            let body = json!({ "type": "receipt", "id": id, "at": clock::now(), "state": state, "messages": ids });
            let _ = self.deliver(body).await;
        }
    }

    async fn read(&self, upto: u64) {
        let upto = upto.min(self.thread.with(|t| t.head()));
        let ids = self.thread.with(|t| t.newly_seen(upto));
        if ids.is_empty() {
            return;
        }
        self.receipts("read", &ids).await;
        let mark = upto.to_string();
        let notes = [Note { kind: kind::SEEN, id: &mark, json: Bytes::from_static(b"{}") }];
        let _ = self.room.threads.write(&self.site.channel.id, &self.visitor.session, &notes).await;
        let id = self.own_id("rd-", &mark);
        let _ = self.sign(json!({ "type": "read", "id": id })).await;
    }

    /// Through the door, like any webhook: resolves when it is durable.
    async fn deliver(&self, body: Value) -> Result<(), No> {
        self.room.deliver(&self.site, &self.visitor, body).await
    }
}

impl Room {
    /// Delivers an act of a visitor, signed as the adapter expects it.
    pub async fn deliver(&self, site: &Site, visitor: &Visitor, mut body: Value) -> Result<(), No> {
        body["visitor"] = serde_json::to_value(visitor).unwrap_or_default();
        let body = Bytes::from(body.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(signature) = HeaderValue::from_str(&site.keys.signature(&body)) {
            headers.insert(SIGNATURE, signature);
        }
        self.door.take(&site.channel.id, headers, body).await.map_err(|shut| match shut {
            Shut::Refused => No::Invalid("the gateway does not understand it"),
            Shut::Away => No::Away,
        })
    }
}

/// The acknowledgement of what had a client id, or why there is none.
fn answer(client_id: &str, done: Result<Value, No>) -> Bytes {
    let mut answer = match done {
        Ok(value) => value,
        Err(no) => json!({ "code": no.code(), "detail": no.detail(), "retry_after_ms": no.retry_after() }),
    };
    answer["type"] = if answer.get("code").is_some() { "nack" } else { "ack" }.into();
    answer["client_id"] = client_id.into();
    answer.to_string().into()
}

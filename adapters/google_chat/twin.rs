//! Google Chat, played: one app built as an add-on. Written from the fact sheet; never reads `FACTS`.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::checks::{Checked, message};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::google::{self, refused};
use crate::kit::jwt::Signer;
use crate::kit::revise::Sent;
use crate::kit::{form, sample};

const AUDIENCE: &str = "https://gw.example.org/hooks/channel";
const PROJECT: &str = "123456789012";
const EMAIL: &str = "twin@twin-project.iam.gserviceaccount.com";
const PUSH: &str = "push@twin-project.iam.gserviceaccount.com";
const SCOPE: &str = "https://www.googleapis.com/auth/chat.bot";
const ACCESS: &str = "twin-fake-access-token";
/// A draft is signed for the moment it leaves, and nobody tells a twin the time before it is first asked.
const DAWN: Time = Time(1_795_169_730_000);

/// Google Chat, played.
pub struct Twin {
    clock: Time,
    next: u64,
    /// What a request's id has made already.
    made: HashMap<String, Value>,
    /// Names given by the app.
    names: HashSet<String>,
    left: HashSet<String>,
    sent: Sent,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { clock: DAWN, next: seed % 1000, made: HashMap::new(), names: HashSet::new(), left: HashSet::new(), sent: Sent::default() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "inbound_format": "addon", "audience": AUDIENCE, "project_number": PROJECT, "service_account_key": google::sample_key(EMAIL),
            "events_service_account": PUSH });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        if request.path == "/token" {
            return google::play_login(&request.body, EMAIL, SCOPE, now, ACCESS).into();
        }
        if request.path == "/oauth2/v3/certs" || request.path.starts_with("/service_accounts/v1/jwk/") {
            let keys: Vec<Value> = signer().map(|signer| vec![signer.published("twin-1")]).unwrap_or_default();
            return Reply::json(200, &json!({ "keys": keys })).header("cache-control", "max-age=3600").into();
        }
        self.run(request).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let body: Value = serde_json::from_slice(&draft.body).unwrap_or_default();
        let now = self.clock.0 / 1000;
        let identity = |email: &str| {
            json!({ "aud": AUDIENCE, "azp": "1", "email": email, "email_verified": true, "exp": now + 3600, "iat": now,
            "iss": "https://accounts.google.com", "sub": "1" })
        };
        let claims = if body["message"]["data"].is_string() {
            identity(PUSH)
        } else if body["type"].is_string() {
            // Classic apps of these fixtures have the project's number as their audience.
            json!({ "aud": PROJECT, "exp": now + 3600, "iat": now, "iss": "chat@system.gserviceaccount.com" })
        } else {
            identity(&format!("service-{PROJECT}@gcp-sa-gsuiteaddons.iam.gserviceaccount.com"))
        };
        let token = signer().and_then(|signer| signer.token(&claims, Some("twin-1"))).unwrap_or_default();
        draft.headers.push(("authorization".into(), format!("Bearer {token}")));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let place = person.strip_prefix("gchat:").unwrap_or("spaces/TWINDM").split('#').next().unwrap_or_default().to_owned();
        let user = json!({ "name": "users/1001", "displayName": "Ann", "type": "HUMAN", "email": "ann@acme.example" });
        let space = json!({ "name": place, "spaceType": "DIRECT_MESSAGE", "singleUserBotDm": true });
        let name = self.name(&place);
        let message = |more: Value| {
            let mut message =
                json!({ "name": name, "sender": user, "createTime": now.to_string(), "thread": { "name": format!("{place}/threads/T") } });
            crate::kit::spoken::merge(&mut message, more.as_object().expect("made here"));
            json!({ "messagePayload": { "space": space, "message": message } })
        };
        let (payload, parameters) = match act {
            Act::Text(text) => (message(json!({ "text": text, "argumentText": text })), json!({})),
            Act::Image(caption) => {
                let file = json!({ "name": format!("{name}/attachments/A"), "contentName": "a.png", "contentType": "image/png", "source": "UPLOADED_CONTENT",
                    "attachmentDataRef": { "resourceName": "opaque" } });
                (message(json!({ "text": caption, "argumentText": caption, "attachment": [file] })), json!({}))
            }
            Act::Pick { id, title } => {
                let click = json!({ "buttonClickedPayload": { "space": space, "message": { "name": format!("{place}/messages/OURS") }, "isDialogEvent": false } });
                (click, json!({ "choice": id, "title": title }))
            }
            Act::Read => return Vec::new(),
            Act::Block => {
                self.left.insert(place);
                (json!({ "removedFromSpacePayload": { "space": space } }), json!({}))
            }
        };
        let mut chat = json!({ "user": user, "eventTime": now.to_string() });
        crate::kit::spoken::merge(&mut chat, payload.as_object().expect("made here"));
        let common = json!({ "hostApp": "CHAT", "userLocale": "en", "timeZone": { "id": "Europe/Berlin", "offset": 3_600_000.0 }, "parameters": parameters });
        vec![Draft::json(
            &json!({ "commonEventObject": common, "authorizationEventObject": { "systemIdToken": "redacted" }, "chat": chat }),
        )]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let path = request.path.strip_prefix("/v1/")?.strip_suffix("/messages")?;
        (request.method == http::Method::POST).then(|| path.to_owned())
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, "RESOURCE_EXHAUSTED", "Quota exceeded");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, "UNAVAILABLE", "The service is currently unavailable.")
    }

    fn pace(&self) -> (u32, u64) {
        (3000, 60_000)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((1, 1000, 1))
    }
}

fn signer() -> Option<Signer> {
    Signer::from_pem(sample::private_key())
}

impl Twin {
    fn name(&mut self, space: &str) -> String {
        self.next += 1;
        format!("{space}/messages/B{n}.B{n}", n = self.next)
    }

    fn run(&mut self, request: &Request) -> Checked<Answer> {
        let header = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if header != format!("Bearer {ACCESS}") {
            return Err(refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."));
        }
        let path = request.path.strip_prefix("/v1/").unwrap_or_default().to_owned();
        match (request.method.as_str(), path.as_str()) {
            ("GET", "spaces") => Ok(Reply::json(200, &json!({ "spaces": [] })).into()),
            ("GET", "spaces:findDirectMessage") => {
                Ok(Reply::json(200, &json!({ "name": "spaces/TWINDM", "spaceType": "DIRECT_MESSAGE" })).into())
            }
            ("GET", path) if path.starts_with("media/") => {
                Ok(Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "image/png").into())
            }
            ("POST", path) if path.starts_with("spaces/") && path.ends_with("/messages") => {
                let space = path.trim_end_matches("/messages").to_owned();
                self.post(request, &space)
            }
            // The same by either name: chat.v1 `patch` and `update`.
            ("PATCH" | "PUT", path) if path.contains("/messages/") => self.patch(request, path),
            ("DELETE", path) if path.contains("/messages/") => {
                if self.sent.take_back(path) {
                    Ok(Reply::json(200, &json!({})).into())
                } else {
                    Err(refused(404, "NOT_FOUND", "Message not found."))
                }
            }
            _ => Err(refused(404, "NOT_FOUND", "Not found")),
        }
    }

    /// developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/patch, read 2026-11-29: only what the mask names changes.
    fn patch(&mut self, request: &Request, name: &str) -> Checked<Answer> {
        let mut body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "INVALID_ARGUMENT", "JSON"))?;
        let mask = form::query(&request.query, "updateMask").map(|mask| mask.into_owned()).unwrap_or_default();
        let paths: Vec<&str> = mask.split(',').filter(|path| !path.is_empty()).collect();
        let known = ["text", "cardsV2", "accessoryWidgets", "attachment"];
        if paths.is_empty() || paths.iter().any(|path| !known.contains(path)) {
            return Err(refused(400, "INVALID_ARGUMENT", "updateMask"));
        }
        let old = self.sent.says(name).ok_or_else(|| refused(404, "NOT_FOUND", "Message not found."))?;
        if !paths.contains(&"text") {
            body["text"] = old.into();
        }
        let words = message(&body, request.body.len(), None)?;
        self.sent.change(name, &words);
        Ok(Reply::json(200, &json!({ "name": name, "text": body["text"], "lastUpdateTime": self.clock.to_string() })).into())
    }

    fn post(&mut self, request: &Request, space: &str) -> Checked<Answer> {
        if self.left.contains(space) {
            return Err(refused(403, "PERMISSION_DENIED", "The caller is not a member of the space."));
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "INVALID_ARGUMENT", "JSON"))?;
        let query = |name: &str| form::query(&request.query, name).map(|value| value.into_owned());
        let id = query("requestId").filter(|id| !id.is_empty());
        if let Some(made) = id.as_ref().and_then(|id| self.made.get(id)) {
            return Ok(Reply::json(200, made).into());
        }
        // Which format the app has is not in the request: a button that names an endpoint names the right one.
        let addon = request.body.windows(8).any(|w| w == b"https://")
            && String::from_utf8_lossy(&request.body).contains(&format!("\"function\":\"{AUDIENCE}\""));
        let words = message(&body, request.body.len(), addon.then_some(AUDIENCE))?;
        if body["thread"].is_object() && !body["thread"]["name"].as_str().is_some_and(|name| name.starts_with(&format!("{space}/threads/")))
        {
            return Err(refused(400, "INVALID_ARGUMENT", "thread.name"));
        }
        let client = query("messageId");
        if let Some(client) = &client {
            let letters = client.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !client.starts_with("client-") || client.len() > 63 || !letters {
                return Err(refused(400, "INVALID_ARGUMENT", "messageId"));
            }
            if !self.names.insert(client.clone()) {
                return Err(refused(409, "ALREADY_EXISTS", "messageId"));
            }
        }
        let name = self.name(space);
        let made = json!({ "name": name, "sender": { "name": "users/app", "type": "BOT" }, "text": body["text"], "space": { "name": space }, "clientAssignedMessageId": client });
        if let Some(id) = id {
            self.made.insert(id, made.clone());
        }
        self.sent.keep(&name, &words);
        let accepted = Accepted { provider_id: name, to: space.to_owned(), our_id: None, text: words };
        Ok(Answer { reply: Reply::json(200, &made), accepted: vec![accepted], emits: Vec::new() })
    }
}

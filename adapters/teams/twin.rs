//! Teams, played: one bot, its connector and its token service. Written from the fact sheet; never reads `FACTS`.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::checks::{Checked, activity, refused};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::jwt::Signer;
use crate::kit::revise::Sent;
use crate::kit::{form, sample};

const APP: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const SERVICE: &str = "https://smba.trafficmanager.net/emea/11111111-2222-3333-4444-555555555555/";
const ACCESS: &str = "twin-fake-access-token";
/// A draft is signed for the moment it leaves, and nobody tells a twin the time before it is first asked.
const DAWN: Time = Time(1_795_169_730_000);

/// Teams, played.
pub struct Twin {
    secret: String,
    clock: Time,
    next: u64,
    blocked: HashSet<String>,
    sent: Sent,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            secret: format!("twin-fake-client-secret-{seed}"),
            clock: DAWN,
            next: seed % 1000,
            blocked: HashSet::new(),
            sent: Sent::default(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "app_id": APP, "app_secret": self.secret, "tenant_id": TENANT });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        if request.path.ends_with("/oauth2/v2.0/token") {
            return self.login(request).into();
        }
        if request.path == "/v1/.well-known/keys" {
            let keys: Vec<Value> = Signer::from_pem(sample::private_key())
                .map(|signer| {
                    let mut key = signer.published("twin-1");
                    key["endorsements"] = json!(["msteams", "webchat"]);
                    vec![key]
                })
                .unwrap_or_default();
            return Reply::json(200, &json!({ "keys": keys })).into();
        }
        self.run(request).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let now = self.clock.0 / 1000;
        let claims = json!({ "serviceurl": SERVICE, "nbf": now, "exp": now + 3600, "iss": "https://api.botframework.com", "aud": APP });
        let token = Signer::from_pem(sample::private_key()).and_then(|signer| signer.token(&claims, Some("twin-1"))).unwrap_or_default();
        draft.headers.push(("authorization".into(), format!("Bearer {token}")));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let id = person.strip_prefix("teams:").unwrap_or("a:1-fake-conv").split('#').next().unwrap_or_default().to_owned();
        self.next += 1;
        let mut body = json!({ "type": "message", "id": (now.0 + self.next as i64).to_string(), "timestamp": now.to_string(), "serviceUrl": SERVICE, "channelId": "msteams",
            "from": { "id": "29:1-fake-ann", "name": "Ann", "aadObjectId": "22222222-0000-4000-8000-000000000001" }, "recipient": { "id": format!("28:{APP}"), "name": "Twin" },
            "conversation": { "conversationType": "personal", "id": id, "tenantId": TENANT }, "channelData": { "tenant": { "id": TENANT } } });
        let more = match act {
            Act::Text(text) => json!({ "text": text, "textFormat": "plain" }),
            Act::Image(caption) => {
                json!({ "text": caption, "attachments": [{ "contentType": "image/*", "contentUrl": format!("{SERVICE}v3/attachments/fake/views/original") }] })
            }
            Act::Pick { id, title } => json!({ "value": { "choice": id, "title": title }, "replyToId": "1763600010000" }),
            Act::Read => return Vec::new(),
            Act::Block => {
                self.blocked.insert(id);
                json!({ "type": "installationUpdate", "action": "remove", "id": "f:1" })
            }
        };
        crate::kit::spoken::merge(&mut body, more.as_object().expect("made here"));
        vec![Draft::json(&body)]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let path = request.path.strip_prefix("/v3/conversations/")?.strip_suffix("/activities")?;
        (request.method == http::Method::POST).then(|| path.to_owned())
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, "Throttled", "Too many requests");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(503, "ServiceError", "Service unavailable")
    }

    fn pace(&self) -> (u32, u64) {
        (50, 1000)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((60, 30_000, 1))
    }
}

impl Twin {
    fn login(&self, request: &Request) -> Reply {
        let fields = form::fields(&request.body);
        let get = |name: &str| form::get(&fields, name).unwrap_or_default();
        let good = get("grant_type") == "client_credentials"
            && get("client_id") == APP
            && get("client_secret") == self.secret
            && get("scope") == "https://api.botframework.com/.default"
            && request.path.starts_with(&format!("/{TENANT}/"));
        if good {
            Reply::json(200, &json!({ "token_type": "Bearer", "expires_in": 86_399, "access_token": ACCESS }))
        } else {
            Reply::json(401, &json!({ "error": "invalid_client" }))
        }
    }

    fn run(&mut self, request: &Request) -> Checked<Answer> {
        let header = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if header != format!("Bearer {ACCESS}") {
            return Err(refused(401, "Unauthorized", "Authorization has been denied for this request."));
        }
        let start = request.path.find("/v3/").map(|at| &request.path[at..]).unwrap_or_default();
        let pieces: Vec<String> = start
            .trim_start_matches("/v3/")
            .split('/')
            .map(|p| percent_encoding::percent_decode_str(p).decode_utf8_lossy().into_owned())
            .collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        match (request.method.as_str(), &pieces[..]) {
            ("GET", ["attachments", ..]) => {
                Ok(Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "image/png").into())
            }
            ("POST", ["conversations"]) => {
                let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "BadSyntax", "JSON"))?;
                let member = body["members"][0]["id"].as_str().filter(|id| !id.is_empty() && body["bot"]["id"] == format!("28:{APP}"));
                let member = member.ok_or_else(|| refused(400, "BadSyntax", "Incorrect conversation creation parameters"))?;
                // The same for the same person.
                Ok(Reply::json(201, &json!({ "id": format!("a:1-of-{}", member.trim_start_matches("29:")) })).into())
            }
            ("POST", ["conversations", id, "activities"]) => {
                let id = (*id).to_owned();
                self.post(request, &id)
            }
            ("PUT" | "DELETE", ["conversations", _, "activities", activity, "reactions", kind])
                if !activity.is_empty() && !kind.is_empty() =>
            {
                Ok(Reply { body: "".into(), ..Reply::json(200, &()) }.into())
            }
            ("PUT", ["conversations", id, "activities", activity]) => self.update(request, id, activity),
            ("DELETE", ["conversations", id, "activities", activity]) => {
                let known = self.sent.take_back(&ours(id, activity));
                if known { Ok(Reply { body: "".into(), ..Reply::json(200, &()) }.into()) } else { Err(missing()) }
            }
            _ => Err(refused(404, "ConversationNotFound", "Conversation not found")),
        }
    }

    fn post(&mut self, request: &Request, id: &str) -> Checked<Answer> {
        let known = ["a:", "19:", "29:"].iter().any(|prefix| id.starts_with(prefix));
        if !known {
            return Err(refused(404, "ConversationNotFound", "Conversation not found"));
        }
        if self.blocked.contains(id) {
            return Err(refused(403, "ConversationBlockedByUser", "User blocked the conversation with the bot."));
        }
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "BadSyntax", "JSON"))?;
        let words = activity(&body, &request.body)?;
        if body["type"] == "typing" {
            return Ok(Reply::json(202, &json!({})).into());
        }
        self.next += 1;
        let activity = (self.clock.0 + self.next as i64).to_string();
        let provider_id = ours(id, &activity);
        self.sent.keep(&provider_id, &words);
        let accepted = Accepted { provider_id, to: id.to_owned(), our_id: None, text: words };
        Ok(Answer { reply: Reply::json(201, &json!({ "id": activity })), accepted: vec![accepted], emits: Vec::new() })
    }

    /// learn.microsoft.com/microsoftteams/platform/bots/how-to/update-and-delete-bot-messages, read 2026-11-29.
    fn update(&mut self, request: &Request, id: &str, at: &str) -> Checked<Answer> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(400, "BadSyntax", "JSON"))?;
        let words = activity(&body, &request.body)?;
        if body["type"] != "message" {
            return Err(refused(400, "BadSyntax", "Bad format of activity"));
        }
        if self.sent.change(&ours(id, at), &words) { Ok(Reply::json(200, &json!({ "id": at })).into()) } else { Err(missing()) }
    }
}

/// A message's id as the gateway names it: unique in its conversation, whatever the thread.
fn ours(conversation: &str, activity: &str) -> String {
    format!("{}|{activity}", conversation.split(';').next().unwrap_or_default())
}

fn missing() -> Reply {
    refused(404, "ActivityNotFoundInConversation", "The message ID provided couldn't be found in the conversation.")
}

//! Discord, played: one application with its bot in one server. Written from the fact sheet; never reads `FACTS`.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

use super::checks::{Checked, message, refused};
use super::gateway_twin::{End, Sessions};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Line, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::revise::Sent;
use crate::kit::{crypto, multipart, sample};

const APPLICATION: &str = "100000000000000001";
const GUILD: &str = "300000000000000001";
/// A draft is signed for the moment it leaves, and nobody tells a twin the time before it is first asked.
const DAWN: Time = Time(1_795_169_730_000);

/// Discord, played.
pub struct Twin {
    key: Ed25519KeyPair,
    token: String,
    clock: Time,
    next: u64,
    /// What a nonce has made already.
    made: HashMap<String, Value>,
    /// Tokens of interactions that were answered with "thinking".
    tokens: HashSet<String>,
    blocked: HashSet<String>,
    sent: Sent,
    sessions: Sessions,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        let mut secret = [0x5e; 32];
        secret[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(&secret).expect("any 32 bytes are a seed"),
            token: format!("twin-fake-bot-token-{seed}"),
            clock: DAWN,
            next: seed % 1000,
            made: HashMap::new(),
            tokens: HashSet::new(),
            blocked: HashSet::new(),
            sent: Sent::default(),
            sessions: Sessions::default(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings =
            json!({ "application_id": APPLICATION, "public_key": crypto::hex(self.key.public_key().as_ref()), "bot_token": self.token });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        self.run(request).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let stamp = (self.clock.0 / 1000).to_string();
        let tag = self.key.sign(&[stamp.as_bytes(), &draft.body].concat());
        draft.headers.push(("x-signature-timestamp".into(), stamp));
        draft.headers.push(("x-signature-ed25519".into(), crypto::hex(tag.as_ref())));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let place = person.rsplit([':', '/']).next().unwrap_or("800000000000000001").split('#').next().unwrap_or_default().to_owned();
        let user = json!({ "id": "500000000000000001", "username": "ann", "global_name": "Ann" });
        let id = self.id();
        let dispatch = |more: Value| {
            let mut d = json!({ "id": id, "channel_id": place, "author": user, "timestamp": now.to_string(), "type": 0, "mentions": [], "attachments": [] });
            crate::kit::spoken::merge(&mut d, more.as_object().expect("made here"));
            vec![Draft::json(&json!({ "op": 0, "s": 1, "t": "MESSAGE_CREATE", "d": d }))]
        };
        match act {
            Act::Text(text) => dispatch(json!({ "content": text })),
            Act::Image(caption) => dispatch(
                json!({ "content": caption, "attachments": [{ "id": "9", "filename": "a.png", "content_type": "image/png", "size": 67,
                "url": "https://cdn.discordapp.com/attachments/8/9/a.png?ex=7fffffff" }] }),
            ),
            Act::Pick { id: custom, title } => {
                let token = format!("fake-interaction-{id}");
                self.tokens.insert(token.clone());
                vec![Draft::json(
                    &json!({ "id": id, "application_id": APPLICATION, "type": 3, "token": token, "version": 1, "channel_id": place, "user": user,
                    "context": 1, "authorizing_integration_owners": { "1": "500000000000000001" }, "locale": "en-GB",
                    "message": { "id": "600000000000000001", "channel_id": place, "content": "?",
                        "components": [{ "type": 1, "components": [{ "type": 2, "style": 1, "label": title, "custom_id": custom }] }] },
                    "data": { "component_type": 2, "custom_id": custom } }),
                )]
            }
            Act::Read => Vec::new(),
            Act::Block => {
                self.blocked.insert(place);
                vec![Draft::json(&json!({ "version": 1, "application_id": APPLICATION, "type": 1,
                    "event": { "type": "APPLICATION_DEAUTHORIZED", "timestamp": now.to_string().trim_end_matches('Z'), "data": { "user": user } } }))]
            }
        }
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let path = request.path.trim_start_matches("/api/v10");
        (request.method == http::Method::POST).then_some(())?;
        path.strip_prefix("/channels/")?.strip_suffix("/messages").map(str::to_owned)
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let body = json!({ "message": "You are being rate limited.", "retry_after": retry_after_secs as f64, "global": false });
        let reply = Reply::json(429, &body).header("x-ratelimit-scope", "user");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn pace(&self) -> (u32, u64) {
        (50, 1000)
    }

    fn line(&self) -> Option<Box<dyn Line>> {
        Some(Box::new(End::new(APPLICATION, &self.token, &self.sessions)))
    }

    fn line_settings(&self, address: &str) -> Map<String, Value> {
        let settings = json!({ "gateway": true, "gateway_url": format!("ws://{address}") });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn goes_over_line(&self, draft: &Draft) -> bool {
        serde_json::from_slice::<Value>(&draft.body).is_ok_and(|body| body["op"] == 0)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((5, 5000, 1))
    }
}

impl Twin {
    fn id(&mut self) -> String {
        self.next += 1;
        let millis = (self.clock.0 - 1_420_070_400_000) as u64;
        (millis << 22 | self.next & 0x3f_ffff).to_string()
    }

    fn run(&mut self, request: &Request) -> Checked<Answer> {
        let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if request.path.starts_with("/attachments/8/") {
            return Ok(Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "image/png").into());
        }
        if !header("user-agent").starts_with("DiscordBot (") {
            return Err(Reply { body: "<html>".into(), ..Reply::json(403, &()) });
        }
        let path = request.path.trim_start_matches("/api/v10").to_owned();
        let pieces: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if let ["webhooks", application, token, rest @ ..] = &pieces[..] {
            return self.interaction(request, application, token, rest);
        }
        if header("authorization") != format!("Bot {}", self.token) {
            return Err(refused(401, 0, "401: Unauthorized"));
        }
        let none = |status: u16| Ok(Reply { body: "".into(), ..Reply::json(status, &()) }.into());
        match (request.method.as_str(), &pieces[..]) {
            ("GET", ["users", "@me"]) => Ok(Reply::json(200, &json!({ "id": APPLICATION, "username": "twin", "bot": true })).into()),
            ("POST", ["users", "@me", "channels"]) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let user =
                    body["recipient_id"].as_str().filter(|id| snowflake(id)).ok_or_else(|| refused(400, 50_033, "Invalid Recipient(s)"))?;
                // Stable per person.
                Ok(Reply::json(200, &json!({ "id": format!("8{}", &user[1..]), "type": 1 })).into())
            }
            ("PATCH", ["applications", "@me"]) => Ok(Reply::json(200, &json!({ "id": APPLICATION })).into()),
            ("POST", ["attachments", "refresh-urls"]) => Ok(Reply::json(200, &json!({ "refreshed_urls": [] })).into()),
            (_, ["channels", channel, ..]) if !snowflake(channel) => Err(refused(404, 10_003, "Unknown Channel")),
            ("POST", ["channels", channel, "messages"]) => {
                let channel = (*channel).to_owned();
                self.post(request, &channel)
            }
            ("POST", ["channels", _, "typing"]) => none(204),
            ("GET", ["channels", channel, "messages", id]) => {
                let reactions = json!([{ "emoji": { "id": null, "name": "👀" }, "count": 2, "me": true }, { "emoji": { "id": "7", "name": "wave" }, "count": 1, "me": false }]);
                Ok(Reply::json(200, &json!({ "id": id, "channel_id": channel, "reactions": reactions })).into())
            }
            ("PATCH", ["channels", channel, "messages", id]) => self.edit(request, channel, id),
            ("DELETE", ["channels", _, "messages", id]) => {
                if self.sent.take_back(id) {
                    none(204)
                } else {
                    Err(refused(404, 10_008, "Unknown Message"))
                }
            }
            ("PUT" | "DELETE", ["channels", _, "messages", id, "reactions", emoji, "@me"]) if snowflake(id) && !emoji.is_empty() => {
                none(204)
            }
            _ => Err(refused(404, 0, "404: Not Found")),
        }
    }

    fn body(request: &Request) -> Checked<(Value, usize)> {
        let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if let Some(pieces) = multipart::read(kind, &request.body) {
            let body = pieces.iter().find(|p| p.name == "payload_json").and_then(|p| serde_json::from_slice(&p.value).ok());
            return Ok((body.unwrap_or_default(), pieces.iter().filter(|p| p.filename.is_some()).count()));
        }
        let body = serde_json::from_slice(&request.body).map_err(|_| refused(400, 50_109, "The request body contains invalid JSON."))?;
        Ok((body, 0))
    }

    fn post(&mut self, request: &Request, channel: &str) -> Checked<Answer> {
        if self.blocked.contains(channel) {
            return Err(refused(403, 50_007, "Cannot send messages to this user"));
        }
        let (body, files) = Self::body(request)?;
        let words = message(&body, files)?;
        let nonce = body["nonce"].as_str().filter(|_| body["enforce_nonce"] == true).map(str::to_owned);
        if let Some(first) = nonce.as_ref().and_then(|nonce| self.made.get(nonce)) {
            return Ok(Reply::json(200, first).into());
        }
        let id = self.id();
        self.sent.keep(&id, &words);
        let made = json!({ "id": id, "channel_id": channel, "guild_id": GUILD, "content": words, "nonce": body["nonce"], "author": { "id": APPLICATION, "bot": true } });
        if let Some(nonce) = nonce {
            self.made.insert(nonce, made.clone());
        }
        let accepted = Accepted { provider_id: id, to: channel.to_owned(), our_id: None, text: words };
        Ok(Answer { reply: Reply::json(200, &made).header("x-ratelimit-remaining", "4"), accepted: vec![accepted], emits: Vec::new() })
    }

    /// discord-api-types.dev, RESTPatchAPIChannelMessageJSONBody, read 2026-11-29: what is left out stays.
    fn edit(&mut self, request: &Request, channel: &str, id: &str) -> Checked<Answer> {
        let (mut body, files) = Self::body(request)?;
        let old = self.sent.says(id).ok_or_else(|| refused(404, 10_008, "Unknown Message"))?;
        if body.get("content").is_none() {
            body["content"] = old.into();
        }
        let words = message(&body, files)?;
        self.sent.change(id, &words);
        Ok(Reply::json(200, &json!({ "id": id, "channel_id": channel, "content": words, "edited_timestamp": self.clock.to_string() }))
            .into())
    }

    fn interaction(&mut self, request: &Request, application: &str, token: &str, rest: &[&str]) -> Checked<Answer> {
        if application != APPLICATION || !(token.starts_with("fake-") || self.tokens.contains(token)) {
            return Err(refused(404, 10_015, "Unknown Webhook"));
        }
        match (request.method.as_str(), rest) {
            ("POST", []) | ("PATCH", ["messages", "@original"]) => {
                let (body, files) = Self::body(request)?;
                let words = message(&body, files)?;
                let id = self.id();
                let accepted = Accepted { provider_id: id.clone(), to: token.to_owned(), our_id: None, text: words };
                Ok(Answer {
                    reply: Reply::json(200, &json!({ "id": id, "channel_id": "400000000000000001" })),
                    accepted: vec![accepted],
                    emits: Vec::new(),
                })
            }
            _ => Err(refused(404, 0, "404: Not Found")),
        }
    }
}

fn snowflake(id: &str) -> bool {
    (2..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit())
}

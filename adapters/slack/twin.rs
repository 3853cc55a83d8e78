//! Slack, played: one workspace with an app in it. Written from the fact sheet; never reads `FACTS`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::checks::{Checked, message, refused};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::revise::Sent;
use crate::kit::{crypto, sample};

const TEAM: &str = "T0TWIN";
const BOT: &str = "U0TWINBOT";
/// A draft is signed for the moment it leaves, and nobody tells a twin the time before it is first asked.
const DAWN: Time = Time(1_795_169_730_000);

/// Slack, played.
pub struct Twin {
    secret: String,
    token: String,
    clock: Time,
    next: u64,
    /// The last message with buttons in each channel.
    asked: HashMap<String, Value>,
    sent: Sent,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            secret: format!("twin-fake-signing-{seed}"),
            token: format!("xoxb-twin-fake-{seed}"),
            clock: DAWN,
            next: seed % 1000,
            asked: HashMap::new(),
            sent: Sent::default(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings =
            json!({ "signing_secret": self.secret, "bot_token": self.token, "team_id": TEAM, "app_id": "A0TWIN", "bot_user_id": BOT });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        if request.path.starts_with("/actions/") || request.path.starts_with("/commands/") {
            return self.by_url(request).unwrap_or_else(Answer::from);
        }
        if request.path.starts_with("/upload/v1/") {
            return Reply { body: "OK - 67".into(), ..Reply::json(200, &()) }.header("content-type", "text/plain").into();
        }
        if self.bearer(request) != Some(self.token.as_str()) {
            return refused(if self.bearer(request).is_none() { "not_authed" } else { "invalid_auth" }).into();
        }
        if request.path.starts_with("/files-pri/") {
            let reply = Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "image/png");
            return reply.header("content-disposition", "attachment; filename=\"box.png\"").into();
        }
        let method = request.path.strip_prefix("/api").unwrap_or(&request.path).trim_start_matches('/').to_owned();
        match self.method(&method, request) {
            Ok(answer) => answer,
            Err(reply) => reply.into(),
        }
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let stamp = (self.clock.0 / 1000).to_string();
        let key = crypto::sha256_keys(&Secrets::one(self.secret.as_str())).remove(0);
        let tag = crypto::sign_pieces(&key, &[b"v0:", stamp.as_bytes(), b":", &draft.body]);
        draft.headers.push(("x-slack-request-timestamp".into(), stamp));
        draft.headers.push(("x-slack-signature".into(), format!("v0={}", crypto::hex(&tag))));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let place = person.rsplit(['/', ':']).next().unwrap_or("D0CHAT").split('#').next().unwrap_or("D0CHAT").to_owned();
        let ts = self.ts(now);
        let message = |more: Value| {
            let mut event = json!({ "type": "message", "channel": place, "channel_type": if place.starts_with('D') { "im" } else { "channel" },
                "user": "U0TWINANN", "ts": ts, "event_ts": ts, "team": TEAM });
            crate::kit::spoken::merge(&mut event, more.as_object().expect("made here"));
            event
        };
        match act {
            Act::Text(text) => {
                vec![self.envelope(message(json!({ "text": text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") })), now)]
            }
            Act::Image(caption) => {
                let file = json!({ "id": "F0TWIN", "name": "box.png", "mimetype": "image/png", "filetype": "png", "size": 67, "mode": "hosted",
                    "url_private_download": "https://files.slack.com/files-pri/T0TWIN-F0TWIN/download/box.png" });
                vec![self.envelope(message(json!({ "subtype": "file_share", "text": caption, "files": [file] })), now)]
            }
            Act::Pick { id, title } => vec![self.pressed(&place, id, title, &ts)],
            // Nobody is told who reads, and nobody can block an app: people write what they want.
            Act::Read | Act::Block => Vec::new(),
        }
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let posts = ["chat.postMessage", "chat.postEphemeral"].iter().any(|method| request.path.ends_with(method));
        let body: Value = serde_json::from_slice(&request.body).ok().filter(|_| posts)?;
        body["channel"].as_str().map(str::to_owned)
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = Reply::json(429, &json!({ "ok": false, "error": "ratelimited" }));
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn pace(&self) -> (u32, u64) {
        (300, 60_000)
    }

    fn pair_pace(&self) -> Option<(u32, u64, u32)> {
        Some((1, 1000, 1))
    }
}

impl Twin {
    fn bearer<'r>(&self, request: &'r Request) -> Option<&'r str> {
        request.headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
    }

    fn ts(&mut self, now: Time) -> String {
        self.next += 1;
        format!("{}.{:06}", now.0 / 1000, self.next % 1_000_000)
    }

    fn envelope(&mut self, event: Value, now: Time) -> Draft {
        self.next += 1;
        Draft::json(&json!({ "token": "fake", "team_id": TEAM, "api_app_id": "A0TWIN", "type": "event_callback", "event": event,
            "event_id": format!("Ev0TWIN{:06}", self.next), "event_time": now.0 / 1000,
            "authorizations": [{ "enterprise_id": null, "team_id": TEAM, "user_id": BOT, "is_bot": true, "is_enterprise_install": false }] }))
    }

    fn pressed(&mut self, place: &str, id: &str, title: &str, ts: &str) -> Draft {
        let message = self.asked.get(place).cloned().unwrap_or_else(|| json!({ "ts": "1763600010.000100", "text": "?" }));
        let payload = json!({ "type": "block_actions", "team": { "id": TEAM, "domain": "twin" }, "api_app_id": "A0TWIN",
            "user": { "id": "U0TWINANN", "username": "ann", "team_id": TEAM }, "trigger_id": format!("1.2.fake{}", self.next),
            "container": { "type": "message", "message_ts": message["ts"], "channel_id": place }, "channel": { "id": place }, "message": message,
            "response_url": format!("https://hooks.slack.com/actions/{TEAM}/{}/fake", self.next),
            "actions": [{ "type": "button", "block_id": "b", "action_id": "option_0", "value": id, "text": { "type": "plain_text", "text": title }, "action_ts": ts }] });
        Draft::form(&[("payload", payload.to_string())])
    }

    /// An answer to a press, by the address that came with it.
    fn by_url(&mut self, request: &Request) -> Checked<Answer> {
        let body: Value =
            serde_json::from_slice(&request.body).map_err(|_| Reply::json(400, &json!({ "ok": false, "error": "invalid_payload" })))?;
        if !matches!(body["response_type"].as_str(), None | Some("in_channel" | "ephemeral")) {
            return Err(refused("invalid_arguments"));
        }
        let text = if body["delete_original"] == true { String::new() } else { message(&body)? };
        let accepted = Accepted { provider_id: String::new(), to: request.path.clone(), our_id: None, text };
        let reply = Reply { body: "ok".into(), ..Reply::json(200, &()) };
        Ok(Answer { reply, accepted: vec![accepted], emits: Vec::new() })
    }

    fn method(&mut self, method: &str, request: &Request) -> Checked<Answer> {
        let kind = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let form: Map<String, Value> = form_urlencoded::parse(&[request.query.as_bytes(), &request.body].concat())
            .map(|(k, v)| (k.into_owned(), v.into_owned().into()))
            .collect();
        let body = match method {
            // These read forms alone.
            "files.getUploadURLExternal" | "files.info" | "reactions.get" => Value::Object(form),
            _ if kind.starts_with("application/json") => serde_json::from_slice(&request.body).map_err(|_| refused("invalid_json"))?,
            _ => Value::Object(form),
        };
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let fine = |more: Value| Ok(Answer::from(Reply::json(200, &more)));
        match method {
            "chat.postMessage" | "chat.postEphemeral" | "chat.scheduleMessage" => self.post(method, &body),
            "chat.update" | "chat.delete" => self.revise(method, &body),
            "auth.test" => fine(json!({ "ok": true, "team_id": TEAM, "user_id": BOT, "bot_id": "B0TWIN" })),
            "assistant.threads.setStatus" if !text("thread_ts").is_empty() && !text("channel_id").is_empty() => fine(json!({ "ok": true })),
            "reactions.add" | "reactions.remove" => {
                let named = !text("name").is_empty() && text("name").bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-:'".contains(&b));
                if !named {
                    return Err(refused("invalid_name"));
                }
                if is_ts(text("timestamp")) { fine(json!({ "ok": true })) } else { Err(refused("bad_timestamp")) }
            }
            "reactions.get" if is_ts(text("timestamp")) => {
                fine(json!({ "ok": true, "type": "message", "channel": text("channel"), "message": { "reactions": [
                    { "name": "eyes", "users": ["U0OTHER", BOT], "count": 2 }, { "name": "tada", "users": ["U0OTHER"], "count": 1 }] } }))
            }
            "files.getUploadURLExternal" if !text("filename").is_empty() && text("length").parse::<u64>().is_ok_and(|n| n > 0) => {
                fine(json!({ "ok": true, "upload_url": "https://files.slack.com/upload/v1/fake", "file_id": "F0TWINUP" }))
            }
            "files.completeUploadExternal" => {
                let files = body["files"].as_array().filter(|files| files.iter().all(|f| f["id"].is_string()) && !files.is_empty());
                files.ok_or_else(|| refused("invalid_arguments"))?;
                let accepted = Accepted {
                    provider_id: "F0TWINUP".into(),
                    to: text("channel_id").to_owned(),
                    our_id: None,
                    text: text("initial_comment").to_owned(),
                };
                let reply = Reply::json(200, &json!({ "ok": true, "files": [{ "id": "F0TWINUP", "title": "file" }] }));
                Ok(Answer { reply, accepted: vec![accepted], emits: Vec::new() })
            }
            "files.info" if !text("file").is_empty() => fine(
                json!({ "ok": true, "file": { "id": text("file"), "url_private_download": "https://files.slack.com/files-pri/T0TWIN-F0TWIN/download/box.png" } }),
            ),
            "reactions.get" | "files.getUploadURLExternal" | "files.info" | "assistant.threads.setStatus" => {
                Err(refused("invalid_arguments"))
            }
            _ => Err(refused("unknown_method")),
        }
    }

    fn post(&mut self, method: &str, body: &Value) -> Checked<Answer> {
        let place = body["channel"].as_str().unwrap_or_default();
        if !(place.len() > 1 && "CDGUW".contains(&place[..1]) && place.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())) {
            return Err(refused("channel_not_found"));
        }
        let words = message(body)?;
        if body.get("thread_ts").is_some_and(|ts| !ts.as_str().is_some_and(is_ts)) {
            return Err(refused("thread_not_found"));
        }
        let now = self.clock;
        let ts = self.ts(now);
        // A person's id resolves to their direct messages.
        let resolved = if place.starts_with(['U', 'W']) { format!("D{}", &place[1..]) } else { place.to_owned() };
        let shown = json!({ "type": "message", "user": BOT, "bot_id": "B0TWIN", "app_id": "A0TWIN", "ts": ts, "text": words });
        if body["blocks"].is_array() {
            self.asked.insert(resolved.clone(), shown.clone());
        }
        let our_id = body["metadata"]["event_payload"]["mid"].as_str().map(str::to_owned);
        let provider_id = format!("{resolved}:{ts}");
        let reply = match method {
            "chat.postEphemeral" if body["user"].is_string() => json!({ "ok": true, "message_ts": ts }),
            "chat.scheduleMessage" if body["post_at"].is_u64() => {
                json!({ "ok": true, "channel": resolved, "scheduled_message_id": "Q0TWIN", "post_at": body["post_at"] })
            }
            "chat.postMessage" => {
                self.sent.keep(&provider_id, &words);
                json!({ "ok": true, "channel": resolved, "ts": ts, "message": shown })
            }
            _ => return Err(refused("invalid_arguments")),
        };
        let accepted = Accepted { provider_id, to: place.to_owned(), our_id, text: words };
        Ok(Answer { reply: Reply::json(200, &reply), accepted: vec![accepted], emits: Vec::new() })
    }
}

/// Changing what was posted, and taking it back: docs.slack.dev/reference/methods/chat.update and chat.delete, read 2026-11-29.
impl Twin {
    fn revise(&mut self, method: &str, body: &Value) -> Checked<Answer> {
        let (place, ts) = (body["channel"].as_str().unwrap_or_default(), body["ts"].as_str().unwrap_or_default());
        // A person's id is good for posting alone.
        if !(place.len() > 1 && "CDG".contains(&place[..1])) {
            return Err(refused("channel_not_found"));
        }
        let id = format!("{place}:{ts}");
        let mut answer = json!({ "ok": true, "channel": place, "ts": ts });
        let known = match method {
            "chat.delete" => self.sent.take_back(&id),
            _ => {
                let words = message(body)?;
                if words.chars().count() > 4000 && body["markdown_text"].is_null() {
                    return Err(refused("msg_too_long"));
                }
                answer["text"] = words.as_str().into();
                self.sent.change(&id, &words)
            }
        };
        if known { Ok(Reply::json(200, &answer).into()) } else { Err(refused("message_not_found")) }
    }
}

/// Seconds, a dot, six digits.
fn is_ts(ts: &str) -> bool {
    ts.split_once('.')
        .is_some_and(|(secs, rest)| secs.len() >= 9 && rest.len() == 6 && secs.bytes().chain(rest.bytes()).all(|b| b.is_ascii_digit()))
}

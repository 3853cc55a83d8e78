//! Vonage, played: one application with one number. Written from the fact sheet; never reads `FACTS`.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::checks::{Checked, message, refused};
use super::{SignatureMethod, proof};
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::revise::Sent;
use crate::kit::{crypto, entry, form, gsm, jwt, sample};

const NUMBER: &str = "14155550199";
const APPLICATION: &str = "aaaaaaaa-0000-4000-8000-00000000fake";
/// A draft is signed for the moment it leaves, and nobody tells a twin the time before it is first asked.
const DAWN: Time = Time(1_795_169_730_000);

/// Vonage, played.
pub struct Twin {
    key: String,
    secret: String,
    signature: String,
    clock: Time,
    next: u64,
    stopped: HashSet<String>,
    sent: Sent,
    /// Messages taken back.
    revoked: HashSet<String>,
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            key: format!("twinkey{}", seed % 10),
            secret: format!("twin-fake-secret-{seed}"),
            signature: format!("twin-fake-signature-secret-{seed}"),
            clock: DAWN,
            next: seed % 1000,
            stopped: HashSet::new(),
            sent: Sent::default(),
            revoked: HashSet::new(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "api_key": self.key, "api_secret": self.secret, "signature_secret": self.signature, "from": NUMBER,
            "application_id": APPLICATION, "private_key": sample::private_key() });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.clock = now;
        self.run(request).unwrap_or_else(Answer::from)
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let stamp = self.clock.0 / 1000;
        let is_form =
            draft.headers.iter().any(|(name, kind)| name == "content-type" && kind.starts_with("application/x-www-form-urlencoded"));
        if draft.method == http::Method::GET || is_form {
            let bytes = if is_form { draft.body.clone() } else { draft.query.clone().into_bytes() };
            let mut fields: Vec<(String, String)> =
                form::fields(&bytes).into_iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
            fields.extend([("timestamp".into(), stamp.to_string()), ("nonce".into(), format!("fake-{}", self.next))]);
            let sig = proof::signature(SignatureMethod::Md5Hash, &self.signature, &proof::signed_text(&fields));
            fields.push(("sig".into(), sig));
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            if is_form {
                draft.body = text.into_bytes()
            } else {
                draft.query = text
            }
            return draft;
        }
        let claims = json!({ "iat": stamp, "jti": format!("fake-{}", self.next), "iss": "Vonage", "payload_hash": crypto::hex(&crypto::sha256(&draft.body)),
            "api_key": self.key, "application_id": APPLICATION });
        let key = crypto::sha256_keys(&Secrets::one(self.signature.as_str())).remove(0);
        draft.headers.push(("authorization".into(), format!("Bearer {}", jwt::hs256(&key, &claims))));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.clock = now;
        let (scheme, id) = person.split_once(':').unwrap_or(("tel", person));
        let from = id.trim_start_matches('+').to_owned();
        let channel = match scheme {
            "tel" => "sms",
            "viber" => "viber_service",
            other => other,
        };
        let mut body = json!({ "channel": channel, "message_uuid": self.uuid(), "to": NUMBER, "from": from, "timestamp": now.to_string() });
        let more = match act {
            Act::Text(text) => {
                if scheme == "tel" && text.trim().eq_ignore_ascii_case("stop") {
                    self.stopped.insert(from);
                }
                json!({ "message_type": "text", "text": text })
            }
            Act::Image(caption) => {
                body["channel"] = if scheme == "tel" { "mms" } else { channel }.into();
                json!({ "message_type": "image", "image": { "url": "https://api-eu.nexmo.com/v3/media/fake", "caption": caption } })
            }
            Act::Pick { id, title } if matches!(scheme, "whatsapp" | "rcs") => {
                json!({ "message_type": "reply", "reply": { "id": id, "title": title }, "context_status": "none" })
            }
            Act::Pick { title, .. } => json!({ "message_type": "text", "text": title }),
            Act::Read => return Vec::new(),
            Act::Block if scheme != "tel" => return Vec::new(),
            Act::Block => {
                self.stopped.insert(from);
                json!({ "message_type": "text", "text": "STOP", "sms": { "num_messages": "1", "keyword": "STOP" } })
            }
        };
        crate::kit::spoken::merge(&mut body, more.as_object().expect("made here"));
        vec![Draft::json(&body)]
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let text = entry::opened(link, &format!("sms:+{NUMBER}")).and_then(|mut found| found.remove("body"));
        text.map(|text| self.act(person, &Act::Text(text), now)).unwrap_or_default()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        if request.path == "/sms/json" {
            return form::get(&form::fields(&request.body), "to").map(str::to_owned);
        }
        let body: Value = serde_json::from_slice(&request.body)
            .ok()
            .filter(|_| request.method == http::Method::POST && request.path == "/v1/messages")?;
        body["to"].as_str().map(str::to_owned)
    }

    fn says(&self, provider_id: &str) -> Option<String> {
        self.sent.says(provider_id).map(str::to_owned)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, 1000, "1000");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(500, 1330, "1330")
    }

    fn pace(&self) -> (u32, u64) {
        (30, 1000)
    }
}

impl Twin {
    fn uuid(&mut self) -> String {
        self.next += 1;
        format!("99999999-0000-4000-8000-{:012x}", self.next)
    }

    /// A JWT of the application, or the account's key and secret.
    fn authorised(&self, request: &Request) -> Option<bool> {
        let header = request.headers.get("authorization")?.to_str().ok()?;
        if let Some(text) = header.strip_prefix("Bearer ") {
            let token = jwt::Token::parse(text)?;
            let set = json!({ "keys": [jwt::Signer::from_pem(sample::private_key())?.published("app")] }).to_string();
            let good = token.rs256(&jwt::key(set.as_bytes(), "app")?) && token.claim("application_id") == Some(APPLICATION);
            let fresh = token.is_current(self.clock, 1000) && token.claim("jti").is_some() && token.time("iat").is_some();
            return (good && fresh).then_some(true);
        }
        let expected = format!("Basic {}", crypto::base64(format!("{}:{}", self.key, self.secret).as_bytes()));
        (header == expected).then_some(false)
    }

    fn run(&mut self, request: &Request) -> Checked<Answer> {
        let by_token = self.authorised(request).ok_or_else(|| refused(401, 1110, "Unauthorized"))?;
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/account/get-balance") => Ok(Reply::json(200, &json!({ "value": 9.1, "autoReload": false })).into()),
            ("GET", path) if path.starts_with("/v3/media/") => {
                Ok(Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "image/png").into())
            }
            ("POST", "/sms/json") => self.sms(request),
            ("POST", "/v1/messages") => self.message(request),
            ("PATCH", path) if path.starts_with("/v1/messages/") && by_token => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                if body["status"] == "revoked" {
                    return self.revoke(path.trim_start_matches("/v1/messages/"));
                }
                if body["status"] == "read" {
                    Ok(Reply { body: "".into(), ..Reply::json(200, &()) }.into())
                } else {
                    Err(refused(422, 1020, "1020"))
                }
            }
            _ => Err(refused(404, 0, "Not Found")),
        }
    }

    fn message(&mut self, request: &Request) -> Checked<Answer> {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| refused(422, 1020, "1020"))?;
        let words = message(&body)?;
        let (to, channel) = (body["to"].as_str().unwrap_or_default().to_owned(), body["channel"].clone());
        if self.stopped.contains(&to) {
            return Err(refused(422, 1240, "1240"));
        }
        let id = self.uuid();
        let our_id = body["client_ref"].as_str().map(str::to_owned);
        let steps = [("submitted", 30), ("delivered", 80), ("read", 150)];
        let read = matches!(channel.as_str(), Some("whatsapp" | "messenger" | "viber_service" | "rcs"));
        let now = self.clock;
        let emits = steps.iter().filter(|(status, _)| read || *status != "read").map(|(status, after_ms)| {
            let mut receipt = json!({ "message_uuid": id, "to": to, "from": NUMBER, "timestamp": now.plus(*after_ms as i64).to_string(), "status": status, "channel": channel });
            if let Some(our_id) = &our_id {
                receipt["client_ref"] = our_id.as_str().into();
            }
            Emit { after_ms: *after_ms, url: None, draft: Draft::json(&receipt) }
        });
        let emits = emits.collect();
        if channel == "rcs" {
            self.sent.keep(&id, &words);
        }
        let accepted = Accepted { provider_id: id.clone(), to, our_id, text: words };
        Ok(Answer { reply: Reply::json(202, &json!({ "message_uuid": id })), accepted: vec![accepted], emits })
    }

    /// developer.vonage.com/en/messages/guides/rcs/rcs-message-revocation, read 2026-11-29: of RCS messages alone.
    fn revoke(&mut self, id: &str) -> Checked<Answer> {
        if self.sent.take_back(id) {
            self.revoked.insert(id.to_owned());
        } else if !self.revoked.contains(id) {
            return Err(refused(404, 0, "Not Found"));
        }
        Ok(Reply { body: "".into(), ..Reply::json(200, &()) }.into())
    }

    /// The older API: always 200, an answer and a receipt for each part.
    fn sms(&mut self, request: &Request) -> Checked<Answer> {
        let fields = form::fields(&request.body);
        let get = |name: &str| form::get(&fields, name).unwrap_or_default().to_owned();
        let (to, from, text, ours) = (get("to"), get("from"), get("text"), get("client-ref"));
        let fail = |status: &str, words: &str| {
            Ok(Reply::json(200, &json!({ "message-count": "1", "messages": [{ "status": status, "error-text": words }] })).into())
        };
        if to.is_empty() || from.is_empty() || text.is_empty() {
            return fail("2", "Missing parameter");
        }
        if !to.bytes().all(|b| b.is_ascii_digit()) || ours.len() > 100 {
            return fail("3", "Invalid parameter");
        }
        if text.chars().count() > 3200 {
            return fail("12", "Message too long");
        }
        let parts = gsm::parts(&text);
        // What GSM-7 lacks is lost unless the type says otherwise; a twin that lets it pass would hide that.
        if parts.alphabet == gsm::Alphabet::Ucs2 && get("type") != "unicode" {
            return fail("6", "Text is not GSM-7 and type is not unicode");
        }
        let (mut list, mut emits, mut first) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..parts.count() {
            self.next += 1;
            let id = format!("FAKE{:08X}", self.next);
            if first.is_empty() {
                first.clone_from(&id);
            }
            for (status, after_ms) in [("buffered", 30_u64), ("delivered", 80)] {
                let fields = [
                    ("messageId", id.as_str()),
                    ("msisdn", &to),
                    ("to", &from),
                    ("status", status),
                    ("err-code", "0"),
                    ("client-ref", &ours),
                    ("price", "0.0333"),
                    ("scts", "2611200953"),
                    ("message-timestamp", "2026-11-20 09:53:00"),
                    ("api-key", &self.key),
                ];
                emits.push(Emit { after_ms, url: None, draft: Draft::form(&fields) });
            }
            list.push(json!({ "to": to, "message-id": id, "status": "0", "remaining-balance": "9.1", "message-price": "0.0333", "network": "310260", "client-ref": ours }));
        }
        let accepted = Accepted { provider_id: first, to, our_id: (!ours.is_empty()).then_some(ours), text };
        let reply = Reply::json(200, &json!({ "message-count": list.len().to_string(), "messages": list }));
        Ok(Answer { reply, accepted: vec![accepted], emits })
    }
}

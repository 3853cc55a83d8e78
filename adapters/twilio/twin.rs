//! Twilio, played: an account with one number that does SMS, MMS and WhatsApp.

use std::collections::HashSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Time};
use crate::kit::{crypto, entry, form, sample};

const NUMBER: &str = "+14155550199";

/// Twilio, played.
pub struct Twin {
    account: String,
    token: String,
    next: u64,
    stopped: HashSet<String>,
    /// Messages people sent, for the typing indicator.
    inbound: HashSet<String>,
}

fn refused(status: u16, code: u32, message: &str) -> Reply {
    let info = format!("https://www.twilio.com/docs/errors/{code}");
    Reply::json(status, &json!({ "code": code, "message": message, "more_info": info, "status": status }))
}

/// A decoded form; names may repeat.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(request: &Request) -> Option<Self> {
        let kind = request.headers.get("content-type")?.to_str().ok()?;
        let fields = form_urlencoded::parse(&request.body).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        kind.starts_with("application/x-www-form-urlencoded").then_some(Self(fields))
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self {
            account: format!("ACtwin{seed:028}"),
            token: format!("twin-fake-auth-token-{seed}"),
            next: seed.wrapping_mul(1_000_003) % 1_000_000,
            stopped: HashSet::new(),
            inbound: HashSet::new(),
        }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "account_sid": self.account, "auth_token": self.token, "from": NUMBER });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.account, self.token)));
        if request.headers.get("authorization").and_then(|v| v.to_str().ok()) != Some(expected.as_str()) {
            return refused(401, 20003, "Authenticate").into();
        }
        if request.path == super::errors::TYPING {
            return self.typing(request).into();
        }
        let Some(resource) = request.path.strip_prefix(&format!("/2010-04-01/Accounts/{}", self.account)) else {
            return refused(404, 20404, "The requested resource was not found").into();
        };
        match (request.method.as_str(), resource) {
            ("GET", ".json") => Reply::json(200, &json!({ "sid": self.account, "status": "active" })).into(),
            ("POST", "/Messages.json") => match Form::read(request) {
                Some(form) => self.create(&form, now).unwrap_or_else(Answer::from),
                None => refused(415, 20415, "Unsupported content type").into(),
            },
            ("GET", path) if path.starts_with("/Messages/") && path.contains("/Media/") => {
                Reply { body: sample::PNG.into(), ..Reply::json(200, &()) }.header("content-type", "image/png").into()
            }
            _ => refused(404, 20404, "The requested resource was not found").into(),
        }
    }

    fn sign(&self, url: &str, mut draft: Draft) -> Draft {
        let kind = draft.headers.iter().find(|(name, _)| name == "content-type").map(|(_, kind)| kind.clone()).unwrap_or_default();
        let mut data = url.split('#').next().unwrap_or_default().to_owned();
        if draft.method == http::Method::POST && kind.starts_with("application/x-www-form-urlencoded") {
            let mut fields = form::fields(&draft.body);
            fields.sort();
            fields.dedup();
            fields.iter().for_each(|(name, value)| data.extend([&**name, &**value]));
        }
        let key = crypto::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.token.as_bytes());
        draft.headers.push(("x-twilio-signature".into(), crypto::base64(&crypto::sign(&key, data.as_bytes()))));
        draft
    }

    fn act(&mut self, person: &str, act: &Act, _now: Time) -> Vec<Draft> {
        let from = person.strip_prefix("tel:").unwrap_or(person).to_owned();
        let chat = from.starts_with("whatsapp:");
        let to = if chat { format!("whatsapp:{NUMBER}") } else { NUMBER.to_owned() };
        let sid = self.sid("SM");
        self.inbound.insert(sid.clone());
        let mut fields: Vec<(&str, String)> = [("MessageSid", sid.clone()), ("SmsMessageSid", sid.clone()), ("SmsSid", sid.clone())].into();
        fields.extend([("AccountSid", self.account.clone()), ("From", from.clone()), ("To", to), ("SmsStatus", "received".into())]);
        fields.extend([("ApiVersion", "2010-04-01".into()), ("NumSegments", "1".into())]);
        let mut media = "0";
        match act {
            Act::Text(text) => {
                let word = text.trim().to_ascii_uppercase();
                if !chat && ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"].contains(&word.as_str()) {
                    self.stopped.insert(from);
                } else if !chat && ["START", "YES", "UNSTOP"].contains(&word.as_str()) {
                    self.stopped.remove(&from);
                }
                fields.push(("Body", text.clone()));
            }
            Act::Image(caption) => {
                media = "1";
                let media_sid = self.sid("ME");
                let url = format!("https://api.twilio.com/2010-04-01/Accounts/{}/Messages/{sid}/Media/{media_sid}", self.account);
                fields.extend([("Body", caption.clone()), ("MediaUrl0", url), ("MediaContentType0", "image/png".into())]);
            }
            Act::Pick { id, title } if chat => {
                fields.extend([("Body", title.clone()), ("ButtonText", title.clone()), ("ButtonPayload", id.clone())]);
                fields.push(("MessageType", "button".into()));
            }
            Act::Pick { title, .. } => fields.push(("Body", title.clone())),
            Act::Read => return Vec::new(),
            Act::Block if chat => return Vec::new(),
            Act::Block => {
                self.stopped.insert(from);
                fields.push(("Body", "STOP".into()));
            }
        }
        if chat {
            let number = person.rsplit([':', '+']).next().unwrap_or_default().to_owned();
            fields.extend([("ProfileName", "Ana".into()), ("WaId", number)]);
        }
        fields.push(("NumMedia", media.into()));
        vec![Draft::form(&fields)]
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let text = entry::opened(link, &format!("sms:{NUMBER}")).and_then(|mut found| found.remove("body"));
        text.map(|text| self.act(person, &Act::Text(text), now)).unwrap_or_default()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        (request.method == http::Method::POST && request.path.ends_with("/Messages.json")).then_some(())?;
        Some(Form::read(request)?.get("To").to_owned())
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = refused(429, 20429, "Too Many Requests");
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        refused(500, 20500, "An internal server error has occurred")
    }

    fn pace(&self) -> (u32, u64) {
        (1, 1000)
    }
}

impl Twin {
    fn sid(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}twin{:028x}", self.next)
    }

    fn typing(&self, request: &Request) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let id = body["messageId"].as_str().unwrap_or_default();
        if body["channel"] != "WHATSAPP" || !(id.starts_with("SM") || id.starts_with("MM")) {
            return refused(400, 20001, "Invalid parameter");
        }
        Reply::json(200, &json!({ "success": true }))
    }

    fn create(&mut self, form: &Form, _now: Time) -> Result<Answer, Reply> {
        self.check(form)?;
        let (to, service) = (form.get("To"), form.get("MessagingServiceSid"));
        let media = form.all("MediaUrl").len();
        let sid = self.sid(if media > 0 { "MM" } else { "SM" });
        let status = if service.is_empty() { "queued" } else { "accepted" };
        let from = if form.get("From").is_empty() { Value::Null } else { form.get("From").into() };
        let body = json!({ "sid": sid, "status": status, "account_sid": self.account, "messaging_service_sid": service, "from": from,
            "to": to, "body": form.get("Body"), "num_segments": "1", "num_media": media.to_string(), "error_code": null, "error_message": null });
        let callback = form.get("StatusCallback");
        let our_id = url::Url::parse(callback).ok().and_then(|u| u.query_pairs().find(|(n, _)| n == "ref").map(|(_, v)| v.into_owned()));
        let accepted = Accepted { provider_id: sid.clone(), to: to.to_owned(), our_id, text: form.get("Body").to_owned() };
        let emits = if callback.is_empty() { Vec::new() } else { self.receipts(&sid, to, form.get("From"), callback) };
        Ok(Answer { reply: Reply::json(201, &body), accepted: vec![accepted], emits })
    }

    fn receipts(&self, sid: &str, to: &str, from: &str, callback: &str) -> Vec<Emit> {
        let chat = to.starts_with("whatsapp:");
        let steps = [("sent", 30), ("delivered", 80), ("read", 150)];
        let receipt = |status: &str| {
            let mut fields = vec![("MessageSid", sid), ("SmsSid", sid), ("AccountSid", &self.account), ("From", from), ("To", to)];
            fields.extend([("ApiVersion", "2010-04-01"), ("MessageStatus", status), ("SmsStatus", status)]);
            if status == "read" {
                fields.push(("EventType", "READ"));
            }
            Draft::form(&fields)
        };
        let told = steps.iter().filter(|(status, _)| chat || *status != "read");
        told.map(|(status, after_ms)| Emit { after_ms: *after_ms, url: Some(callback.to_owned()), draft: receipt(status) }).collect()
    }

    /// What Twilio checks before it takes a message.
    fn check(&self, form: &Form) -> Result<(), Reply> {
        let bad = |code: u32, message: &str| Err(refused(400, code, message));
        let (to, from, body) = (form.get("To"), form.get("From"), form.get("Body"));
        let number = to.strip_prefix("whatsapp:").unwrap_or(to);
        let digits = |n: &str| {
            n.strip_prefix('+').is_some_and(|d| (2..=15).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()) && !d.starts_with('0'))
        };
        let scoped = to.starts_with("whatsapp:") && number.as_bytes().get(2) == Some(&b'.');
        if to.is_empty() {
            return bad(21604, "A 'To' phone number is required.");
        }
        if !digits(number) && !scoped && !to.starts_with("messenger:") {
            return bad(21211, "Invalid 'To' Phone Number");
        }
        if from.is_empty() && form.get("MessagingServiceSid").is_empty() {
            return bad(21603, "A 'From' phone number is required.");
        }
        if to.starts_with("whatsapp:") != from.starts_with("whatsapp:") && !from.is_empty() {
            return bad(63007, "Twilio could not find a Channel with the specified From address");
        }
        if self.stopped.contains(to) {
            return bad(21610, "Attempt to send to unsubscribed recipient");
        }
        let (media, content) = (form.all("MediaUrl"), form.get("ContentSid"));
        if body.is_empty() && media.is_empty() && content.is_empty() {
            return bad(21602, "Message body is required.");
        }
        if body.chars().count() > 1600 {
            return bad(21617, "The concatenated message body exceeds the 1600 character limit");
        }
        if media.len() > if to.starts_with("whatsapp:") { 1 } else { 10 } {
            return bad(21623, "Number of media files exceeds allowed limit");
        }
        if media.iter().any(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            return bad(21620, "Invalid media URL(s)");
        }
        if !content.is_empty() && (!content.starts_with("HX") || !body.is_empty() || !media.is_empty()) {
            return bad(21655, "The ContentSid is Invalid");
        }
        let variables = form.get("ContentVariables");
        let flat = |v: Value| v.as_object().is_some_and(|o| o.values().all(Value::is_string));
        if !variables.is_empty() && !serde_json::from_str(variables).is_ok_and(flat) {
            return bad(21656, "The ContentVariables Parameter is invalid");
        }
        let callback = form.get("StatusCallback");
        let host = url::Url::parse(callback).ok().and_then(|u| u.host_str().map(str::to_owned));
        if !callback.is_empty() && host.is_none_or(|host| host.contains('_')) {
            return bad(21609, "Invalid 'StatusCallback' URL");
        }
        let validity = form.get("ValidityPeriod");
        if !validity.is_empty() && !validity.parse::<u32>().is_ok_and(|v| (1..=36_000).contains(&v)) {
            return bad(21624, "Invalid ValidityPeriod");
        }
        let action = form.get("PersistentAction");
        let place = action.starts_with("geo:") && to.starts_with("whatsapp:");
        if !action.is_empty() && !place {
            return bad(30012, "Invalid PersistentAction");
        }
        Ok(())
    }
}

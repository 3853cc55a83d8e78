//! The five ways out and their feeds, played: which one it is, a request's path says.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use http::Method;
use mail_parser::MessageParser;
use serde_json::{Map, Value, json};

use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Request, Twin as Play};
use crate::contract::{Reply, Secrets, Time};
use crate::kit::{crypto, entry, form, multipart, object::Object, sample, tokens};

const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:ses-events";

/// All of them with one sender.
pub struct Twin {
    secret: String,
    next: u64,
    blocked: Vec<String>,
    /// Seconds, as of the last thing that happened: what it signs with.
    now: i64,
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    crypto::unbase64(&body).unwrap_or_default()
}

fn event_key() -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der(tokens::sample_es256())).expect("a sample key")
}

fn topic_key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&der(sample::private_key())).expect("a sample key")
}

/// A certificate with Amazon's shape around the sample key; nobody signed it.
fn certificate() -> String {
    let value = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap_or_default().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    };
    let key: PublicKeyX509Der<'_> = topic_key().public_key().as_der().expect("a public key");
    let empty = value(0x30, b"");
    let body = [&value(0xa0, &value(0x02, &[2]))[..], &value(0x02, &[1]), &empty, &empty, &empty, &empty, key.as_ref()].concat();
    let whole = value(0x30, &[&value(0x30, &body)[..], &empty, &value(0x03, &[0])].concat());
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", crypto::base64(&whole))
}

impl Play for Twin {
    fn new(seed: u64) -> Self {
        Self { secret: format!("twin-fake-{seed}"), next: seed * 1000, blocked: Vec::new(), now: 1_795_169_730 }
    }

    fn settings(&self) -> Map<String, Value> {
        let public: PublicKeyX509Der<'_> = event_key().public_key().as_der().expect("a public key");
        let public = crypto::base64(public.as_ref());
        let secret = |name: &str| format!("{}-{name}", self.secret);
        let settings = json!({ "transport": "sendgrid", "from": "Acme <hello@acme.example>", "hook_secret": secret("hook"),
            "api_key": secret("key"), "event_public_key": public, "parse_public_key": public, "webhook_signing_key": secret("signing"),
            "server_token": secret("token"), "webhook_user": "hook", "webhook_password": secret("pass"), "host": "mail.acme.example",
            "username": "acme", "password": secret("smtp"), "region": "eu-west-1", "access_key_id": "FAKEACCESSID",
            "secret_access_key": secret("aws"), "topic_arns": [TOPIC] });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        self.now = now.0 / 1000;
        match (&request.method, request.path.as_str()) {
            (&Method::GET, path) if path.ends_with(".pem") => Reply { body: certificate().into(), ..Reply::json(200, &()) }.into(),
            (&Method::GET, _) => Reply::json(200, &json!({})).into(),
            (_, "/v3/mail/send") => self.sendgrid(request, now),
            (_, "/v2/email/outbound-emails") => self.ses(request, now),
            (_, "/email" | "/email/withTemplate") => self.postmark(request, now),
            (_, "/smtp") => self.smtp(request),
            (_, path) if path.starts_with("/v3/") && path.ends_with("/messages") => self.mailgun(request, now),
            _ => Reply::json(404, &json!({ "message": "not found" })).into(),
        }
    }

    fn sign(&self, _url: &str, mut draft: Draft) -> Draft {
        let header = |draft: &Draft, name: &str| draft.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
        let kind = header(&draft, "content-type");
        let hook = crypto::sha256_keys(&Secrets::one(format!("{}-hook", self.secret))).remove(0);
        if let Some(address) = form::query(&draft.query, "unsubscribe").map(|a| a.into_owned()) {
            let id = form::query(&draft.query, "mid").unwrap_or_default().into_owned();
            let tag = crypto::sign_pieces(&hook, &[b"unsubscribe\n", address.as_bytes(), b"\n", id.as_bytes()]);
            draft.query = format!("{}&proof={}", draft.query, crypto::hex(&tag));
        } else if !header(&draft, "x-amz-sns-message-type").is_empty() {
            draft.body = signed_notification(&draft.body);
        } else if kind == "message/rfc822" {
            let (from, to) = (header(&draft, "x-envelope-from"), header(&draft, "x-envelope-to"));
            let tag = crypto::sign_pieces(&hook, &[from.as_bytes(), b"\n", to.as_bytes(), b"\n\n", &draft.body]);
            draft.headers.push(("x-fairway-smtp".into(), crypto::hex(&tag)));
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            let [stamp, token, tag] = self.mailgun_proof(&draft.body);
            let rest = String::from_utf8_lossy(&draft.body).into_owned();
            draft.body = format!("timestamp={stamp}&token={token}&signature={tag}&{rest}").into_bytes();
        } else if draft.body.first() == Some(&b'[') {
            draft.body.extend(b"\r\n");
            let signed = [self.now.to_string().as_bytes(), &draft.body[..]].concat();
            let tag = event_key().sign(&SystemRandom::new(), &signed).expect("signed");
            draft.headers.push(("x-twilio-email-event-webhook-timestamp".into(), self.now.to_string()));
            draft.headers.push(("x-twilio-email-event-webhook-signature".into(), crypto::base64(tag.as_ref())));
        } else if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&draft.body)
            && body.contains_key("event-data")
        {
            let [timestamp, token, signature] = self.mailgun_proof(&draft.body);
            body.insert("signature".into(), json!({ "timestamp": timestamp, "token": token, "signature": signature }));
            draft.body = Value::Object(body).to_string().into_bytes();
        } else {
            let shown = crypto::base64(format!("hook:{}-pass", self.secret).as_bytes());
            draft.headers.push(("authorization".into(), format!("Basic {shown}")));
        }
        draft
    }

    fn act(&mut self, person: &str, act: &Act, now: Time) -> Vec<Draft> {
        self.now = now.0 / 1000;
        let from = person.strip_prefix("mailto:").unwrap_or(person).split('#').next().unwrap_or_default().to_owned();
        let (words, file) = match act {
            Act::Text(text) => (text.clone(), false),
            Act::Image(caption) => (caption.clone(), true),
            Act::Pick { title, .. } => (title.clone(), false),
            Act::Read => return Vec::new(),
            Act::Block => {
                self.blocked.push(from.clone());
                let id = self.id("event");
                return vec![Draft::json(&json!([{ "email": from, "event": "spamreport", "sg_event_id": id, "timestamp": now.0 / 1000 }]))];
            }
        };
        vec![self.mail(&from, "Hello", words, file)]
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        self.now = now.0 / 1000;
        let Some(mut found) = entry::opened(link, "mailto:hello@acme.example") else { return Vec::new() };
        let from = person.strip_prefix("mailto:").unwrap_or(person).split('#').next().unwrap_or_default().to_owned();
        let (subject, body) = (found.remove("subject").unwrap_or_default(), found.remove("body").unwrap_or_default());
        vec![self.mail(&from, &subject, body, false)]
    }

    fn counts(&self, request: &Request) -> Option<String> {
        (request.method == Method::POST).then_some(())?;
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let to = match request.path.as_str() {
            "/v3/mail/send" => body["personalizations"][0]["to"][0]["email"].as_str()?.to_owned(),
            "/v2/email/outbound-emails" => body["Destination"]["ToAddresses"][0].as_str()?.to_owned(),
            "/email" | "/email/withTemplate" => body["To"].as_str()?.to_owned(),
            "/smtp" => request.headers.get("x-smtp-to")?.to_str().ok()?.to_owned(),
            path if path.ends_with("/messages") => fields(request)?.into_iter().find(|(n, _)| n == "to")?.1,
            _ => return None,
        };
        Some(to)
    }

    fn throttled(&self, retry_after_secs: u64) -> Reply {
        let reply = Reply::json(429, &json!({ "errors": [{ "message": "too many requests" }] }));
        if retry_after_secs == 0 { reply } else { reply.header("retry-after", &retry_after_secs.to_string()) }
    }

    fn broken(&self) -> Reply {
        Reply::json(503, &json!({ "errors": [{ "message": "service unavailable" }] }))
    }

    fn pace(&self) -> (u32, u64) {
        (14, 1000)
    }
}

/// The notification with its signature, and its certificate's address.
fn signed_notification(body: &[u8]) -> Vec<u8> {
    let Ok(Value::Object(mut envelope)) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    envelope.insert("SignatureVersion".into(), json!("2"));
    envelope.insert("SigningCertURL".into(), json!("https://sns.eu-west-1.amazonaws.com/twin.pem"));
    let text = Value::Object(envelope.clone()).to_string();
    let names = match envelope.get("Type").and_then(Value::as_str) {
        Some("Notification") => vec!["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => vec!["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let fields = Object::parse(&text).unwrap_or_default();
    let signed: String = names.iter().filter_map(|name| Some(format!("{name}\n{}\n", fields.text(name)?))).collect();
    let key = topic_key();
    let mut tag = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut tag).expect("signed");
    envelope.insert("Signature".into(), json!(crypto::base64(&tag)));
    Value::Object(envelope).to_string().into_bytes()
}

/// The fields of a form, whichever way it was posted.
fn fields(request: &Request) -> Option<Vec<(String, String)>> {
    let kind = request.headers.get("content-type")?.to_str().ok()?;
    match multipart::read(kind, &request.body) {
        Some(pieces) => Some(pieces.into_iter().map(|p| (p.name.clone(), p.text())).collect()),
        None => Some(form::fields(&request.body).into_iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()),
    }
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace))
}

impl Twin {
    /// A mail to us as the inbound parse delivers it, with a picture or without.
    fn mail(&mut self, from: &str, subject: &str, words: String, file: bool) -> Draft {
        let id = self.id("mail");
        let mut piece = vec![
            (
                "headers",
                None,
                format!("From: Ann <{from}>\r\nTo: hello@acme.example\r\nSubject: {subject}\r\nMessage-ID: <{id}@mail.example.net>"),
            ),
            ("envelope", None, json!({ "to": ["hello@acme.example"], "from": from }).to_string()),
            ("text", None, words),
            ("SPF", None, "pass".to_owned()),
        ];
        let mut body = Vec::new();
        if file {
            piece.push(("attachment1", Some("pixel.png"), String::new()));
        }
        for (name, filename, value) in piece {
            let filename = filename.map(|f| format!("; filename=\"{f}\"\r\nContent-Type: image/png")).unwrap_or_default();
            body.extend(format!("--xYzZY\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n").into_bytes());
            body.extend(if name == "attachment1" { sample::PNG } else { value.as_bytes() });
            body.extend(b"\r\n");
        }
        body.extend(b"--xYzZY--\r\n");
        let headers = vec![("content-type".into(), "multipart/form-data; boundary=xYzZY".into())];
        Draft { method: Method::POST, query: String::new(), headers, body }
    }

    fn id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}-{:08}", self.next)
    }

    fn mailgun_proof(&self, body: &[u8]) -> [String; 3] {
        let (stamp, token) = (self.now.to_string(), crypto::hex(&crypto::sha256(body))[..50].to_owned());
        let key = crypto::sha256_keys(&Secrets::one(format!("{}-signing", self.secret))).remove(0);
        let tag = crypto::hex(&crypto::sign_pieces(&key, &[stamp.as_bytes(), token.as_bytes()]));
        [stamp, token, tag]
    }

    fn shows(&self, request: &Request, name: &str, expected: &str) -> bool {
        request.headers.get(name).and_then(|v| v.to_str().ok()) == Some(expected)
    }

    fn sendgrid(&mut self, request: &Request, now: Time) -> Answer {
        let bad = |status, message: &str| Answer::from(Reply::json(status, &json!({ "errors": [{ "message": message }] })));
        if !self.shows(request, "authorization", &format!("Bearer {}-key", self.secret)) {
            return bad(401, "The provided authorization grant is invalid, expired, or revoked");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return bad(400, "Bad Request") };
        let person = &body["personalizations"][0];
        let to = person["to"][0]["email"].as_str().unwrap_or_default().to_owned();
        if !is_address(&to) || !body["from"]["email"].as_str().is_some_and(is_address) {
            return bad(400, "Does not contain a valid address.");
        }
        let contents = body["content"].as_array().cloned().unwrap_or_default();
        let ordered = contents.first().is_some_and(|c| c["type"] == "text/plain")
            && contents.iter().all(|c| c["value"].as_str().is_some_and(|v| !v.is_empty()));
        if body["template_id"].is_null() && (!ordered || body["subject"].as_str().is_none_or(str::is_empty)) {
            return bad(400, "The subject and content are required, text/plain first.");
        }
        let reserved = ["to", "from", "subject", "reply-to", "cc", "bcc", "received", "dkim-signature", "content-type"];
        if body["headers"].as_object().is_some_and(|h| h.keys().any(|k| reserved.contains(&k.to_lowercase().as_str()))) {
            return bad(400, "A header is reserved.");
        }
        let files = body["attachments"].as_array().cloned().unwrap_or_default();
        if !files
            .iter()
            .all(|f| f["filename"].is_string() && f["content"].as_str().and_then(crypto::unbase64).is_some_and(|b| !b.is_empty()))
        {
            return bad(400, "The attachment content must be base64 encoded.");
        }
        let id = self.id("sg");
        let ours = person["custom_args"]["mid"].as_str().map(str::to_owned);
        let emits = [("processed", 20), ("delivered", 60), ("open", 120)].map(|(word, after_ms)| {
            let event = json!([{ "email": to, "timestamp": now.0 / 1000, "event": word, "sg_event_id": format!("{id}-{word}"),
                "sg_message_id": format!("{id}.recvd-1-x"), "mid": ours }]);
            Emit { after_ms, url: None, draft: Draft::json(&event) }
        });
        let text = contents.first().and_then(|c| c["value"].as_str()).unwrap_or_default().to_owned();
        let accepted = Accepted { provider_id: id.clone(), to, our_id: ours, text };
        let reply = Reply { body: Default::default(), ..Reply::json(202, &()) }.header("x-message-id", &id);
        Answer { reply, accepted: vec![accepted], emits: emits.into() }
    }

    fn ses(&mut self, request: &Request, now: Time) -> Answer {
        let bad = |status, name: &str| Answer::from(Reply::json(status, &json!({ "message": name })).header("x-amzn-errortype", name));
        let proof = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let stamp = request.headers.get("x-amz-date").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=FAKEACCESSID/{}/eu-west-1/ses/aws4_request, SignedHeaders=",
            stamp.get(..8).unwrap_or_default()
        );
        if !proof.starts_with(&scope) || proof.rsplit_once("Signature=").is_none_or(|(_, tag)| tag.len() != 64) {
            return bad(403, "SignatureDoesNotMatch");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let to = body["Destination"]["ToAddresses"][0].as_str().unwrap_or_default().to_owned();
        let raw = body["Content"]["Raw"]["Data"].as_str().and_then(crypto::unbase64);
        let mail = raw.as_deref().and_then(|raw| MessageParser::default().parse(raw));
        let whole = mail.as_ref().is_some_and(|m| m.from().is_some() && m.message_id().is_some() && m.date().is_some());
        if !is_address(&to) || !(whole || body["Content"]["Template"]["TemplateName"].is_string()) {
            return bad(400, "BadRequestException");
        }
        let id = self.id("0102");
        let ours = body["EmailTags"][0]["Value"].as_str().map(str::to_owned);
        let message = json!({ "eventType": "Delivery", "mail": { "messageId": id, "destination": [to], "tags": { "mid": [ours] } },
            "delivery": { "recipients": [to], "timestamp": now } });
        let mut draft = Draft::json(
            &json!({ "Type": "Notification", "MessageId": self.id("sns"), "TopicArn": TOPIC, "Message": message.to_string(), "Timestamp": now }),
        );
        draft.headers.push(("x-amz-sns-message-type".into(), "Notification".into()));
        let text = mail.and_then(|m| m.body_text(0).map(|t| t.into_owned())).unwrap_or_default();
        let accepted = Accepted { provider_id: id.clone(), to, our_id: ours, text };
        Answer {
            reply: Reply::json(200, &json!({ "MessageId": id })),
            accepted: vec![accepted],
            emits: vec![Emit { after_ms: 60, url: None, draft }],
        }
    }

    fn mailgun(&mut self, request: &Request, now: Time) -> Answer {
        let shown = format!("Basic {}", crypto::base64(format!("api:{}-key", self.secret).as_bytes()));
        if !self.shows(request, "authorization", &shown) {
            return Reply { body: "Forbidden".into(), ..Reply::json(401, &()) }.into();
        }
        let fields = fields(request).unwrap_or_default();
        let get = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
        let bad = |message: &str| Answer::from(Reply::json(400, &json!({ "message": message })));
        if !is_address(&get("to")) || get("from").is_empty() {
            return bad("to parameter is not a valid address. please check documentation");
        }
        if get("text").is_empty() && get("html").is_empty() && get("template").is_empty() {
            return bad("Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified");
        }
        let id = get("h:Message-Id").trim_matches(['<', '>']).to_owned();
        let event = json!({ "event-data": { "id": self.id("ev"), "event": "delivered", "timestamp": now.0 as f64 / 1000.0, "recipient": get("to"),
            "message": { "headers": { "message-id": id } }, "user-variables": { "mid": get("v:mid") } } });
        let accepted = Accepted { provider_id: id.clone(), to: get("to"), our_id: Some(get("v:mid")), text: get("text") };
        let reply = Reply::json(200, &json!({ "id": format!("<{id}>"), "message": "Queued. Thank you." }));
        Answer { reply, accepted: vec![accepted], emits: vec![Emit { after_ms: 60, url: None, draft: Draft::json(&event) }] }
    }

    fn postmark(&mut self, request: &Request, now: Time) -> Answer {
        let bad = |status, code: u32, message: &str| Answer::from(Reply::json(status, &json!({ "ErrorCode": code, "Message": message })));
        if !self.shows(request, "x-postmark-server-token", &format!("{}-token", self.secret)) {
            return bad(401, 10, "Bad or missing Server API token.");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let to = body["To"].as_str().unwrap_or_default().to_owned();
        if !is_address(&to) || body["From"].as_str().is_none_or(str::is_empty) {
            return bad(422, 300, "Invalid 'To' address");
        }
        if self.blocked.contains(&to) {
            return bad(422, 406, "You tried to send to a recipient that has been marked as inactive.");
        }
        let template = request.path.ends_with("withTemplate") && body["TemplateAlias"].is_string();
        if !template && body["TextBody"].as_str().is_none_or(str::is_empty) {
            return bad(422, 300, "Provide either email TextBody or HtmlBody or both.");
        }
        let files = body["Attachments"].as_array().cloned().unwrap_or_default();
        if !files
            .iter()
            .all(|f| f["Name"].is_string() && f["ContentType"].is_string() && f["Content"].as_str().and_then(crypto::unbase64).is_some())
        {
            return bad(422, 300, "Attachment content must be base64 encoded.");
        }
        let id = crypto::uuid(&["postmark", &self.id("pm")]);
        let ours = body["Metadata"]["mid"].as_str().map(str::to_owned);
        let record = json!({ "RecordType": "Delivery", "MessageID": id, "Recipient": to, "DeliveredAt": now, "Details": "ok", "Metadata": { "mid": ours } });
        let reply = Reply::json(200, &json!({ "To": to, "SubmittedAt": now, "MessageID": id, "ErrorCode": 0, "Message": "OK" }));
        let text = body["TextBody"].as_str().unwrap_or_default().to_owned();
        let accepted = Accepted { provider_id: id, to, our_id: ours, text };
        Answer { reply, accepted: vec![accepted], emits: vec![Emit { after_ms: 60, url: None, draft: Draft::json(&record) }] }
    }

    /// What the transport makes of a mail server's answers.
    fn smtp(&mut self, request: &Request) -> Answer {
        let said = |status, code: &str, words: &str| {
            Reply { body: words.to_owned().into(), ..Reply::json(status, &()) }.header("x-smtp-code", code)
        };
        let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        if header("x-smtp-user") != "acme" || header("x-smtp-password") != format!("{}-smtp", self.secret) {
            return said(422, "535", "5.7.8 authentication credentials invalid").into();
        }
        if !is_address(&header("x-smtp-from")) || !header("x-smtp-to").split(',').all(is_address) {
            return said(422, "553", "5.1.3 bad address").into();
        }
        let long = request.body.split(|b| *b == b'\n').any(|line| line.len() > 999);
        let bare = request.body.iter().enumerate().any(|(at, b)| *b == b'\n' && (at == 0 || request.body[at - 1] != b'\r'));
        let Some(mail) = MessageParser::default().parse(&request.body[..]).filter(|_| !long && !bare) else {
            return said(422, "554", "5.6.0 not a message").into();
        };
        if mail.from().is_none() || mail.date().is_none() || mail.message_id().is_none() {
            return said(422, "554", "5.6.0 From, Date and Message-ID are required").into();
        }
        let id = mail.message_id().unwrap_or_default().to_owned();
        let ours = id.split('@').next().map(str::to_owned);
        let text = mail.body_text(0).map(|t| t.into_owned()).unwrap_or_default();
        let accepted = Accepted { provider_id: id, to: header("x-smtp-to"), our_id: ours, text };
        Answer { reply: said(200, "250", "2.0.0 queued"), accepted: vec![accepted], emits: Vec::new() }
    }
}

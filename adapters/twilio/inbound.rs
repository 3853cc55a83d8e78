//! What Twilio delivers: one message or one receipt a request, as a form.

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::RawValue;

use super::{Channel, errors};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::address::is_e164;
use crate::kit::entry;
use crate::kit::form;
use crate::kit::object::Object;

/// Fields that are told elsewhere in the event, or repeat another.
const TOLD: &[&str] = &[
    "MessageSid",
    "SmsSid",
    "SmsMessageSid",
    "AccountSid",
    "From",
    "To",
    "Body",
    "NumMedia",
    "SmsStatus",
    "MessageStatus",
    "ApiVersion",
    "ProfileName",
    "WaId",
    "ExternalUserId",
    "Forwarded",
    "OriginalRepliedMessageSid",
    "ButtonText",
    "ButtonPayload",
    "ListId",
    "ListTitle",
    "InteractiveData",
    "FlowData",
    "Latitude",
    "Longitude",
    "Address",
    "Label",
    "ReferralHeadline",
    "ReferralSourceId",
    "ReferralSourceType",
    "ReferralSourceUrl",
    "ReferralCtwaClid",
    "EventName",
];

/// The words on which Twilio itself stops or resumes a sender (support.twilio.com, opt-out keywords, read 2026-11-20).
/// It resumes on YES too; but YES answers many questions, and one that was never stopped resumes nothing.
const STOP: &[&str] = &["stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"];
const START: &[&str] = &["start", "unstop"];

/// Says what a delivery means.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>) -> Parsed<'a> {
    let Webhook { method, query, body, .. } = hook.hook();
    let json = hook.hook().is("application/json") || hook.hook().is("application/cloudevents");
    let fields = if *method == http::Method::GET { form::fields(query.as_bytes()) } else { form::fields(body) };
    let mut delivery = Delivery { channel, hook, fields, time: None };
    let mut parsed = Parsed::default();
    if json {
        delivery.streamed(&mut parsed);
    } else if let Err(reason) = delivery.read(&mut parsed) {
        parsed.leave(reason);
    }
    parsed
}

/// A delivery while it is read.
pub(super) struct Delivery<'d, 'a> {
    pub(super) channel: &'d Channel,
    pub(super) hook: &'d Verified<'a>,
    /// What a form says, in order.
    pub(super) fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// When it happened. Forms do not say, streams do.
    pub(super) time: Option<Time>,
}

impl<'a> Delivery<'_, 'a> {
    /// A field that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        form::get(&self.fields, name).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> Option<Text<'a>> {
        self.fields.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.clone())
    }

    pub(super) fn read(&mut self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let sid = self.text("MessageSid").or_else(|| self.text("SmsSid")).or_else(|| self.text("SmsMessageSid"));
        let Some(sid) = sid else {
            return self.alert(parsed).or_else(|| self.conversation(parsed)).ok_or_else(|| "a form without `MessageSid`".into());
        };
        let read = self.get("EventType").filter(|kind| kind.eq_ignore_ascii_case("READ")).map(|_| "read");
        let status = self.get("MessageStatus").or(read).or_else(|| self.get("SmsStatus")).unwrap_or_default();
        let inbound = matches!(status, "" | "received" | "receiving");
        if inbound && self.get("From").is_none() {
            return self.conversation(parsed).ok_or_else(|| "a message without `From`".into());
        }
        if inbound {
            self.message(sid, parsed)
        } else {
            self.receipt(sid, status, parsed)
        }
        Ok(())
    }

    /// The channel it belongs to. `ours` is our side's address.
    pub(super) fn account(&self, ours: &str) -> Option<Text<'a>> {
        let settings = &self.channel.settings;
        if let Some(other) = self.get("AccountSid").filter(|sid| *sid != settings.account_sid) {
            return Some(other.to_owned().into());
        }
        let own = self.channel.account().map(|account| account.to_owned().into());
        let service = self.get("MessagingServiceSid");
        // The same number serves SMS and WhatsApp, with and without the prefix.
        let number = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let from = settings.from.as_deref().filter(|from| !from.is_empty());
        if from.is_some_and(|from| number(from) == number(ours))
            || service.is_some() && service == settings.messaging_service_sid.as_deref()
        {
            return own;
        }
        match (from, service) {
            // A number of our service whose webhook is its own does not name the service.
            (None, None) => None,
            _ if ours.is_empty() => None,
            _ => Some(service.unwrap_or(ours).to_owned().into()),
        }
    }

    /// What the person uses, by the prefixes of both sides. RCS has been seen without one, and names itself beside it.
    pub(super) fn medium(&self) -> &'static str {
        let has = |prefix: &str| ["From", "To"].iter().any(|side| self.get(side).is_some_and(|a| a.starts_with(prefix)));
        let metadata = self.get("ChannelMetadata").and_then(Object::parse).and_then(|data| data.text("type"));
        let rcs = |name: &str| name.eq_ignore_ascii_case("rcs");
        match () {
            () if has("whatsapp:") => "whatsapp",
            () if has("rcs:") || metadata.as_deref().is_some_and(rcs) || self.get("ChannelPrefix").is_some_and(rcs) => "rcs",
            () if has("messenger:") => "messenger",
            () => "sms",
        }
    }

    pub(super) fn message(&self, sid: Text<'a>, parsed: &mut Parsed<'a>) {
        let (from, to) = (self.get("From").unwrap_or_default(), self.get("To").unwrap_or_default());
        let medium = self.medium();
        let person = self.person(from, medium);
        let peer = person.address.clone();
        let account = self.account(to);
        let parts = self.parts(medium);
        let message = Message {
            id: sid.clone(),
            sent_at: self.time,
            reply_to: self.text("OriginalRepliedMessageSid").map(|id| ReplyTo { id: Some(id), ..ReplyTo::default() }),
            referral: self.referral().or_else(|| entry::written(&parts)),
            parts,
            forwarded: (self.says("Forwarded") || self.says("FrequentlyForwarded")).then_some(true),
            ..Message::default()
        };
        let time = self.time;
        let event =
            |key: Text<'a>, body| Event { account: account.clone(), key: Some(key), medium: medium.into(), peer: peer.clone(), time, body };
        if let Some(consent) = self.consent(&person, medium, &sid) {
            parsed.events.push(event(format!("{sid}:consent").into(), Body::Consent(consent)));
        }
        let to = (!to.is_empty()).then(|| sender(to, medium).into());
        let received = Received { from: person, to, message, extra: self.extra(), ..Received::default() };
        parsed.events.push(event(sid, Body::Received(received)));
    }

    /// Who wrote. On WhatsApp the business-scoped id outlives the number.
    pub(super) fn person(&self, from: &str, medium: &str) -> Person<'a> {
        let address = person_at(from, medium);
        let scoped = |id: &str| if id.contains(':') { id.to_owned() } else { format!("whatsapp:{id}") };
        let stable =
            self.get("ExternalUserId").filter(|id| medium == "whatsapp" && id.contains('.')).map(|id| person_at(&scoped(id), medium));
        let mut also = Vec::new();
        let number = self
            .get("WaId")
            .map(|digits| format!("+{}", digits.trim_start_matches('+')))
            .or_else(|| Some(from.rsplit(':').next()?.to_owned()));
        if let Some(stable) = &stable
            && *stable != address
        {
            also.push(address.clone().into());
        }
        if medium != "sms"
            && let Some(number) = number.filter(|number| is_e164(number))
        {
            also.push(format!("tel:{number}").into());
        }
        let address = stable.unwrap_or(address).into();
        Person { address, name: self.text("ProfileName"), kind: Some("person".into()), also, ..Person::default() }
    }

    fn parts(&self, medium: &str) -> Vec<Part<'a>> {
        let mut parts = Vec::with_capacity(1);
        let body = self.text("Body");
        if let (Some(latitude), Some(longitude)) = (self.number("Latitude"), self.number("Longitude")) {
            let (name, address) = (self.text("Label"), self.text("Address"));
            parts.push(Part::Location(Location { latitude, longitude, name, address, live_until: None }));
        }
        if let Some(choice) = self.choice() {
            parts.push(Part::Choice(choice)); // The body repeats the words on it.
            return parts;
        }
        for name in ["InteractiveData", "FlowData"] {
            if let Some(data) = self.get(name) {
                parts.push(Part::Form(Form { name: None, fields: Some(json_or_text(data)) }));
            }
        }
        let files = self.files(medium);
        let captioned = matches!(files[..], [Part::Image(_) | Part::Video(_) | Part::Audio(_) | Part::Voice(_) | Part::File(_)]);
        match body {
            Some(body) if captioned => {
                for mut file in files {
                    if let Part::Image(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) = &mut file {
                        m.caption = Some(body.clone());
                    }
                    parts.push(file);
                }
            }
            body => {
                parts.extend(body.map(Part::text));
                parts.extend(files);
            }
        }
        if parts.is_empty() {
            parts.push(match self.text("MessageType") {
                Some(kind) if kind != "text" => Part::unsupported(kind, None),
                _ => Part::text(""),
            });
        }
        parts
    }

    fn choice(&self) -> Option<Choice<'a>> {
        let (kind, id, title) = match (self.text("ListId"), self.text("ListTitle")) {
            (None, None) => (ChoiceKind::Button, self.text("ButtonPayload"), self.text("ButtonText")),
            (id, title) => (ChoiceKind::List, id, title),
        };
        if id.is_none() && title.is_none() {
            return None;
        }
        Some(Choice { kind, id, title: title.or_else(|| self.text("Body")), values: Vec::new() })
    }

    fn files(&self, medium: &str) -> Vec<Part<'a>> {
        let count = self.get("NumMedia").and_then(|n| n.trim().parse::<usize>().ok()).unwrap_or(0);
        // The count is the provider's; the addresses are what there is.
        let there = (0..count.max(10)).map_while(|n| Some((n, self.text(&format!("MediaUrl{n}"))?)));
        let named = |name: &str, n| self.text(&format!("{name}{n}"));
        let file = |(n, url)| self.file(url, named("MediaContentType", n), named("MediaFilename", n), medium);
        let mut files: Vec<Part<'a>> = there.map(file).collect();
        let reason = "Twilio does not say here where the file lies: let the sender's own webhook come here";
        let media = Media { status: Some(MediaStatus::Unavailable), reason: Some(reason.into()), ..Media::default() };
        files.resize(count.min(10).max(files.len()), Part::File(MediaPart { media, caption: None }));
        files
    }

    fn file(&self, url: Text<'a>, kind: Option<Text<'a>>, filename: Option<Text<'a>>, medium: &str) -> Part<'a> {
        let mime = kind.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let id = url.trim_end_matches("/Content").rsplit('/').next().unwrap_or_default().to_owned();
        let source = Some(MediaRef { id, url: Some(url.into_owned()), expires_at: None });
        let part = MediaPart { media: Media { mime_type: kind, filename, source, ..Media::default() }, caption: None };
        let chat = medium == "whatsapp";
        match (self.get("MessageType"), mime.split('/').next().unwrap_or_default()) {
            (Some("document" | "contacts"), _) => Part::File(part),
            (Some("sticker"), _) => Part::Sticker(part),
            _ if chat && mime == "image/webp" => Part::Sticker(part),
            (_, "image") => Part::Image(part),
            _ if chat && mime == "audio/ogg" => Part::Voice(part),
            (_, "audio") => Part::Audio(part),
            (_, "video") => Part::Video(part),
            _ => Part::File(part),
        }
    }

    fn referral(&self) -> Option<Referral<'a>> {
        let referral = Referral {
            kind: self.text("ReferralSourceType"),
            id: self.text("ReferralSourceId"),
            source_url: self.text("ReferralSourceUrl"),
            click_id: self.text("ReferralCtwaClid"),
            headline: self.text("ReferralHeadline"),
            payload: None,
        };
        (referral != Referral::default()).then_some(referral)
    }

    /// Twilio has stopped or resumed its sender: by `OptOutType`, or by its default words on SMS.
    fn consent(&self, person: &Person<'a>, medium: &str, sid: &str) -> Option<Consent<'a>> {
        let words = self.get("Body").unwrap_or_default();
        let word = words.trim().trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let by_word = |list: &[&str]| medium == "sms" && list.contains(&word.as_str());
        let state = match self.get("OptOutType").map(str::to_ascii_uppercase).as_deref() {
            Some("STOP") => ConsentState::OptedOut,
            Some("START") => ConsentState::OptedIn,
            Some(_) => return None,
            None if by_word(STOP) => ConsentState::OptedOut,
            None if by_word(START) => ConsentState::OptedIn,
            None => return None,
        };
        let mut evidence = json!({ "message": sid, "text": words });
        if let Some(kind) = self.get("OptOutType") {
            evidence["OptOutType"] = kind.into();
        }
        Some(Consent { from: Some(person.clone()), state, scope: "all".into(), evidence: Some(Raw::of(&evidence)) })
    }

    fn extra(&self) -> Extra<'a> {
        let mut extra = Extra::default();
        let numbered = |rest: &str, stem: &str| rest.strip_prefix(stem).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let file = |rest: &str| ["Url", "ContentType", "Filename"].iter().any(|stem| numbered(rest, stem));
        for (name, value) in &self.fields {
            let told = TOLD.contains(&&**name) || name.strip_prefix("Media").is_some_and(file);
            if !told && !value.is_empty() {
                let raw = if matches!(&**name, "ChannelMetadata" | "Recipients") { json_or_text(value) } else { Raw::of(&**value) };
                extra.push(name.clone(), raw);
            }
        }
        extra
    }

    pub(super) fn receipt(&self, sid: Text<'a>, status: &str, parsed: &mut Parsed<'a>) {
        let state = match status {
            // It waits at Twilio: Twilio has it.
            "accepted" | "scheduled" | "queued" | "sending" | "sent" => State::Sent,
            "delivered" | "partially_delivered" => State::Delivered,
            "read" => State::Read,
            "undelivered" | "failed" => State::Failed,
            "canceled" => State::Cancelled,
            _ => return parsed.leave("a receipt with an unknown status"),
        };
        let (from, to) = (self.get("From").unwrap_or_default(), self.get("To").unwrap_or_default());
        let medium = self.medium();
        let account = self.account(from);
        let peer: Text<'a> = if to.is_empty() { Text::default() } else { person_at(to, medium).into() };
        let code = self.get("ErrorCode").and_then(|code| code.trim().parse::<i64>().ok()).filter(|code| *code != 0);
        if code == Some(errors::KEPT_BACK) {
            return self.kept_back(sid, parsed);
        }
        let known = code.and_then(errors::reason);
        let failed = state == State::Failed;
        let unknown = || {
            let reason = Reason::new(ErrorClass::Unknown, "failed", "Twilio says that it failed, with a code we do not know.");
            if let Some(code) = code { reason.provider_code(code) } else { reason }
        };
        let receipt = Receipt {
            at: self.time,
            message_id: form::query(self.hook.hook().query, "ref").map(|id| id.into_owned().into()),
            error: failed.then(|| known.clone().unwrap_or_else(unknown)),
            detail: (status != state.word()).then(|| status.to_owned().into()),
            ..Receipt::new(sid.clone(), state)
        };
        let event = |key: String, peer: Text<'a>, body| Event {
            account: account.clone(),
            key: Some(key.into()),
            medium: medium.into(),
            peer,
            time: self.time,
            body,
        };
        // A message of Conversations reaches each participant by itself.
        let whose = self.get("ParticipantSid").map(|whose| format!(":{whose}")).unwrap_or_default();
        parsed.events.push(event(format!("{sid}:{status}{whose}"), peer, Body::Receipt(receipt)));
        if code.is_some_and(errors::is_warning) {
            let raw = Some(Raw::of(&json!({ "ErrorCode": code, "MessageSid": sid, "From": from })));
            let text = known.map_or_else(Text::default, |reason| reason.title);
            let notice = Notice { kind: "limits_near".into(), severity: Severity::Warning, text, raw };
            parsed.events.push(event(format!("{sid}:{status}:warning"), Text::default(), Body::Notice(notice)));
        }
    }

    /// A receipt of a message that came to us, and that Twilio did not hand on because a machine wrote it.
    fn kept_back(&self, sid: Text<'a>, parsed: &mut Parsed<'a>) {
        let (from, to) = (self.get("From").unwrap_or_default(), self.get("To").unwrap_or_default());
        let medium = self.medium();
        let told: serde_json::Map<_, _> = self.fields.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        let body = Body::Provider(ProviderEvent { provider_type: "inbound_filtered".into(), raw: Raw::of(&told) });
        let (account, key, peer) = (self.account(to), Some(format!("{sid}:filtered").into()), person_at(from, medium).into());
        parsed.events.push(Event { account, key, medium: medium.into(), peer, time: self.time, body });
    }

    fn says(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.trim().parse().ok().filter(|n: &f64| n.is_finite())
    }
}

/// A person's address from Twilio's form of it.
fn person_at(twilio: &str, medium: &str) -> String {
    match twilio.split_once(':') {
        Some((prefix, id)) => crate::kit::address::address(prefix, id),
        None if medium == "rcs" => crate::kit::address::address("rcs", twilio),
        None => crate::kit::address::address("tel", twilio),
    }
}

/// Our own address: a short code or a name is no telephone number.
fn sender(twilio: &str, medium: &str) -> String {
    if twilio.contains(':') || twilio.starts_with('+') { person_at(twilio, medium) } else { crate::kit::address::address("sms", twilio) }
}

/// JSON in a string as JSON; other text as a JSON string.
fn json_or_text(text: &str) -> Raw<'static> {
    match RawValue::from_string(text.to_owned()) {
        Ok(raw) => Raw(Cow::Owned(raw)),
        Err(_) => Raw::of(text),
    }
}

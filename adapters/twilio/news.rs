//! What Twilio tells otherwise than by the forms of messages and receipts: clicks on its short links, what its debugger logs,
//! and the events of its streams, messages and receipts among them.

use serde_json::json;

use super::inbound::Delivery;
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::object::{self, Object};

impl<'a> Delivery<'_, 'a> {
    /// What comes as JSON: a click on a shortened link, called back alone, or a list of the account's Event Streams.
    pub(super) fn streamed(&mut self, parsed: &mut Parsed<'a>) {
        let text = self.hook.text().unwrap_or_default();
        let events: Vec<Object<'a>> = match Object::parse(text) {
            Some(one) => vec![one],
            None => serde_json::from_str(text).unwrap_or_default(),
        };
        if events.is_empty() {
            parsed.leave("a JSON delivery that is neither an event nor a list of events");
        }
        for event in events {
            let data = event.object("data").unwrap_or_else(|| event.clone());
            let kind = event.words("type").unwrap_or_default();
            if data.has("link") && data.has("click_time") {
                self.click(&data, parsed);
            } else if kind.starts_with("com.twilio.messaging.") && data.has("messageSid") || kind.is_empty() && data.has("MessageSid") {
                // The latter is a form that somebody between Twilio and us has put into JSON.
                self.message_or_receipt(&event, &data, parsed);
            } else if kind == "com.twilio.conversations.message.added" && self.said(&data, parsed) {
                // A person on a phone wrote it.
            } else if kind.starts_with("com.twilio.") {
                self.other(&event, &data, kind, parsed);
            } else {
                parsed.leave("a JSON delivery that is no click on a link and no event of a stream");
            }
        }
    }

    fn click(&mut self, data: &Object<'a>, parsed: &mut Parsed<'a>) {
        let sid = data.words("message_sid").or_else(|| data.words("sms_sid"));
        let (Some(sid), Some(url), Some(at)) = (sid, data.words("link"), data.words("click_time")) else {
            return parsed.leave("a click that does not say on what");
        };
        // The same facts under the names that forms have.
        let names = [("AccountSid", "account_sid"), ("MessagingServiceSid", "messaging_service_sid"), ("From", "from"), ("To", "to")];
        self.fields = names.into_iter().filter_map(|(form, json)| Some((form.into(), data.words(json)?))).collect();
        let medium = self.medium();
        let person = self.get("To").map(|to| self.person(to, medium));
        let peer = person.as_ref().map(|person| person.address.clone()).unwrap_or_default();
        let (account, time) = (self.account(self.get("From").unwrap_or_default()), Time::parse(&at));
        let clicked = LinkClicked { from: person, message_id: Some(sid.clone()), url, campaign: None };
        let key = Some(format!("{sid}:click:{at}").into());
        parsed.events.push(Event { account, key, medium: medium.into(), peer, time, body: Body::LinkClicked(clicked) });
    }

    /// The fields of a form, but that their names begin small, numbers are numbers and statuses are in capitals
    /// (twilio.com/docs/events/event-types/messaging, read 2026-11-30). So a message that comes both ways is one event.
    fn message_or_receipt(&mut self, event: &Object<'a>, data: &Object<'a>, parsed: &mut Parsed<'a>) {
        let field = |(name, raw): &(Text<'a>, &'a serde_json::value::RawValue)| {
            let mut name = name.clone().into_owned();
            name.get_mut(..1)?.make_ascii_uppercase();
            let value = object::text(raw).unwrap_or(raw.get().into());
            let told = matches!(&*value, "null" | "[]" | "{}") || name == "Timestamp";
            let value = if name == "MessageStatus" { value.to_ascii_lowercase().into() } else { value };
            (!told).then_some((name.into(), value))
        };
        self.fields = data.0.iter().filter_map(field).collect();
        self.time = data.words("timestamp").or_else(|| event.words("time")).and_then(|at| Time::parse(&at));
        if let Err(reason) = self.read(parsed) {
            parsed.leave(reason);
        }
    }

    /// News of other products, and what the account's debugger logs: of that no more than a code, as [`Self::alert`] does.
    fn other(&mut self, event: &Object<'a>, data: &Object<'a>, kind: Text<'a>, parsed: &mut Parsed<'a>) {
        let names = [("AccountSid", "account_sid"), ("AccountSid", "accountSid"), ("AccountSid", "AccountSid")];
        self.fields = names.into_iter().filter_map(|(form, json)| Some((form.into(), data.words(json)?))).collect();
        let body = if kind.starts_with("com.twilio.error-logs.") {
            let (code, level) = (data.words("error_code").unwrap_or_default(), data.words("level").unwrap_or_default());
            let kept = |name: &str| data.raw(name).and_then(object::text);
            let raw =
                json!({ "Level": level, "error_code": code, "resource_sid": kept("resource_sid"), "service_sid": kept("service_sid") });
            Body::Notice(notice(&level, &code, "", &raw))
        } else {
            Body::Provider(ProviderEvent { provider_type: kind, raw: event.without(&[]) })
        };
        let time = event.words("time").and_then(|at| Time::parse(&at));
        let (account, key) = (self.account(""), event.words("id"));
        parsed.events.push(Event { account, key, medium: "sms".into(), peer: Text::default(), time, body });
    }

    /// What the debugger of the account logs. The request it is about has people's words in it and stays behind.
    pub(super) fn alert(&self, parsed: &mut Parsed<'a>) -> Option<()> {
        let (sid, level) = (self.text("Sid")?, self.text("Level")?);
        let payload = self.get("Payload").and_then(Object::parse).unwrap_or_default();
        let more = payload.object("more_info").unwrap_or_default();
        let code = payload.words("error_code").or_else(|| more.words("ErrorCode")).unwrap_or_default();
        let words = ["Msg", "msg", "message"].iter().find_map(|name| more.words(name)).unwrap_or_default();
        let kept = |name: &str| payload.raw(name).and_then(object::text);
        let raw = json!({ "Sid": sid, "Level": level, "error_code": code, "resource_sid": kept("resource_sid"), "service_sid": kept("service_sid") });
        let notice = notice(&level, &code, &words, &raw);
        let time = self.get("Timestamp").and_then(Time::parse);
        parsed.events.push(Event {
            account: self.account(""),
            key: Some(sid),
            medium: "sms".into(),
            peer: Text::default(),
            time,
            body: Body::Notice(notice),
        });
        Some(())
    }
}

fn notice(level: &str, code: &str, words: &str, raw: &serde_json::Value) -> Notice<'static> {
    let severity = if level.eq_ignore_ascii_case("ERROR") { Severity::Error } else { Severity::Warning };
    let text = format!("Twilio logged {code} {words}").trim().to_owned();
    Notice { kind: "provider_error".into(), severity, text: text.into(), raw: Some(Raw::of(raw)) }
}

//! What Twilio tells besides messages and receipts: clicks on its short links, and what its debugger logs.

use serde_json::json;

use super::inbound::Delivery;
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::object::{self, Object};

impl<'a> Delivery<'_, 'a> {
    /// Clicks on shortened links, called back one at a time or streamed as a list of events.
    pub(super) fn clicks(&mut self, parsed: &mut Parsed<'a>) {
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
            let sid = data.words("message_sid").or_else(|| data.words("sms_sid"));
            let click = data.words("link").zip(data.words("click_time"));
            let (Some(sid), Some((url, at))) = (sid, click) else {
                parsed.leave("a JSON delivery that is no click on a link; messages and receipts come as forms");
                continue;
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
    }

    /// What the debugger of the account logs. The request it is about has people's words in it and stays behind.
    pub(super) fn alert(&self, parsed: &mut Parsed<'a>) -> Option<()> {
        let (sid, level) = (self.text("Sid")?, self.text("Level")?);
        let payload = self.get("Payload").and_then(Object::parse).unwrap_or_default();
        let more = payload.object("more_info").unwrap_or_default();
        let code = payload.words("error_code").or_else(|| more.words("ErrorCode")).unwrap_or_default();
        let words = ["Msg", "msg", "message"].iter().find_map(|name| more.words(name)).unwrap_or_default();
        let severity = if level.eq_ignore_ascii_case("ERROR") { Severity::Error } else { Severity::Warning };
        let kept = |name: &str| payload.raw(name).and_then(object::text);
        let raw = json!({ "Sid": sid, "Level": level, "error_code": code, "resource_sid": kept("resource_sid"), "service_sid": kept("service_sid") });
        let text = format!("Twilio logged {code} {words}").trim().to_owned();
        let notice = Notice { kind: "provider_error".into(), severity, text: text.into(), raw: Some(Raw::of(&raw)) };
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

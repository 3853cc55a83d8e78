//! Twilio Conversations: what people write in a conversation of it, and what became of what others wrote there
//! (twilio.com/docs/conversations/conversations-webhooks and /docs/events/event-types/conversations/message, read 2026-11-30).
//! What else it tells has no counterpart here.

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::RawValue;

use super::inbound::Delivery;
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::address::is_e164;
use crate::kit::crypto;
use crate::kit::object::{self, Object};

impl<'a> Delivery<'_, 'a> {
    /// An event of Conversations; `None` when it is none.
    pub(super) fn conversation(&mut self, parsed: &mut Parsed<'a>) -> Option<()> {
        let (kind, conversation) = (self.text("EventType")?, self.text("ConversationSid")?);
        // It counts the tries of one delivery.
        self.fields.retain(|(name, _)| name != "RetryCount");
        let sid = self.text("MessageSid");
        let at = |name: &str| self.get(name).and_then(Time::parse);
        match (&*kind, sid) {
            ("onMessageAdded", Some(sid)) if self.author().is_some() => {
                self.time = at("DateCreated");
                self.as_form();
                self.message(sid, parsed);
            }
            ("onDeliveryUpdated", Some(sid)) if self.get("Status").is_some() => {
                self.time = at("DateUpdated").or_else(|| at("DateCreated"));
                let status = self.text("Status").unwrap_or_default();
                self.receipt(sid, &status, parsed);
            }
            _ => {
                let raw: serde_json::Map<_, _> = self.fields.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
                let raw = Raw::of(&raw);
                parsed.events.push(Event {
                    account: self.account(""),
                    key: Some(crypto::fingerprint(&[&kind, &conversation, raw.get()]).into()),
                    medium: "sms".into(),
                    peer: Text::default(),
                    time: ["DateUpdated", "DateCreated", "StateUpdated"].iter().find_map(|name| at(name)),
                    body: Body::Provider(ProviderEvent { provider_type: kind, raw }),
                });
            }
        }
        Some(())
    }

    /// A message as a stream tells of it, in the webhook's words; false when no person on a phone wrote it.
    pub(super) fn said(&mut self, data: &Object<'a>, parsed: &mut Parsed<'a>) -> bool {
        let value = |raw: &'a RawValue| object::text(raw).unwrap_or(raw.get().into());
        let told = data.0.iter().filter(|(_, raw)| raw.get() != "null").map(|(name, raw)| (name.clone(), value(raw)));
        self.fields = told.chain([("EventType".into(), "onMessageAdded".into())]).collect();
        self.author().is_some() && self.conversation(parsed).is_some()
    }

    /// Who wrote, where that is a person on a phone. What agents, programs and people of one's own app write has a name for an
    /// author or comes from a program, and does not say to whom it goes.
    fn author(&self) -> Option<&str> {
        let author = self.get("Author")?;
        let (scheme, id) = author.split_once(':').unwrap_or(("", author));
        let ours = self.channel.settings.from.as_deref().is_some_and(|from| from.rsplit(':').next() == Some(id));
        let address = matches!(scheme, "" | "whatsapp" | "rcs") && is_e164(id) || scheme == "messenger";
        let program = self.get("Source").is_some_and(|source| source.eq_ignore_ascii_case("SDK") || source.eq_ignore_ascii_case("API"));
        (address && !ours && !program).then_some(author)
    }

    /// The same facts under the names that a message's form has.
    fn as_form(&mut self) {
        let media = self.text("Media").unwrap_or_default().into_owned();
        let service = self.text("ChatServiceSid");
        let told = |name: &str, value: &str| matches!(name, "Media" | "EventType" | "DateCreated") || name == "Attributes" && value == "{}";
        self.fields.retain(|(name, value)| !told(name, value));
        for (name, _) in &mut self.fields {
            match &**name {
                "Author" => *name = "From".into(),
                "MessageBody" => *name = "Body".into(),
                _ => {}
            }
        }
        let files: Vec<Object<'_>> = serde_json::from_str(&media).unwrap_or_else(|_| Object::parse(&media).into_iter().collect());
        self.fields.push(("NumMedia".into(), files.len().to_string().into()));
        for (n, file) in files.iter().enumerate() {
            let mut add = |name: &str, value: Option<Cow<'_, str>>| {
                self.fields.extend(value.map(|value| (format!("{name}{n}").into(), value.into_owned().into())));
            };
            let sid = file.words("Sid").or_else(|| file.words("MediaSid"));
            // twilio.com/docs/conversations/media-resource, read 2026-11-30.
            let url = |(sid, service)| format!("https://mcs.us1.twilio.com/v1/Services/{service}/Media/{sid}/Content").into();
            add("MediaUrl", sid.zip(service.as_deref()).map(url));
            add("MediaContentType", file.words("ContentType"));
            add("MediaFilename", file.words("Filename"));
        }
    }
}

//! What comes behind the envelope. It is decoded first, so nothing of it can be borrowed.

use std::borrow::Cow;

use crate::contract::event::*;
use crate::contract::part::{Choice, ChoiceKind, Location, MediaStatus};
use crate::contract::*;
use crate::kit::address::{address, is_e164};
use crate::kit::crypto;
use crate::kit::entry;
use crate::kit::object::Object;

/// What is told elsewhere in an event.
const TOLD: &[&str] = &["senderPhoneNumber", "messageId", "sendTime", "agentId", "text", "suggestionResponse", "location", "userFile"];

/// The signed data of an envelope.
pub(super) fn data<'a>(envelope: &Object<'a>) -> Option<Text<'a>> {
    envelope.object("message")?.words("data")
}

/// Says what a delivery means.
pub(super) fn parse<'a>(hook: &Verified<'a>) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    if let Err(reason) = read(hook, &mut parsed) {
        parsed.leave(reason);
    }
    parsed
}

fn read(hook: &Verified<'_>, parsed: &mut Parsed<'_>) -> Result<(), String> {
    let envelope = hook.text().and_then(Object::first).ok_or("not a JSON object")?;
    let Some(data) = data(&envelope) else {
        if !envelope.has("secret") {
            return Err("neither an envelope with data nor a handshake".into());
        }
        parsed.ack = Ack::text(envelope.words("secret").unwrap_or_default().into_owned());
        return Ok(());
    };
    let data = crypto::unbase64(&data).and_then(|data| String::from_utf8(data).ok()).ok_or("data that is no text in base64")?;
    let fields = Object::parse(&data).ok_or("data that is not a JSON object")?;
    let outer = envelope.object("message").unwrap_or_default();
    let told = Told { fields, envelope_id: own(outer.words("messageId")) };
    parsed.events.push(told.event()?);
    Ok(())
}

fn own<'a>(text: Option<Text<'_>>) -> Option<Text<'a>> {
    text.map(|text| Cow::Owned(text.into_owned()))
}

struct Told<'t> {
    fields: Object<'t>,
    /// The envelope's id; not signed, so only the last resort.
    envelope_id: Option<Text<'static>>,
}

impl Told<'_> {
    fn words<'a>(&self, name: &str) -> Option<Text<'a>> {
        own(self.fields.words(name))
    }

    fn peer(&self) -> Option<String> {
        let number = self.fields.words("senderPhoneNumber").or_else(|| self.fields.words("phoneNumber"))?;
        Some(address("rcs", &number))
    }

    fn person<'a>(&self) -> Result<Person<'a>, String> {
        let peer = self.peer().ok_or("without a phone number")?;
        let number = peer.strip_prefix("rcs:").filter(|number| is_e164(number));
        let also = number.map(|number| format!("tel:{number}").into()).into_iter().collect();
        Ok(Person { kind: Some("person".into()), also, ..Person::at(peer) })
    }

    fn time(&self) -> Option<Time> {
        self.fields.text("sendTime").and_then(|t| Time::parse(&t))
    }

    fn made<'a>(&self, key: Option<Text<'a>>, body: Body<'a>) -> Event<'a> {
        let key = key.or_else(|| self.envelope_id.clone());
        let peer = self.peer().unwrap_or_default();
        Event { account: self.words("agentId"), key, medium: "rcs".into(), peer: peer.into(), time: self.time(), body }
    }

    fn event<'a>(&self) -> Result<Event<'a>, String> {
        if let Some(kind) = self.fields.words("eventType") {
            return self.happened(&kind);
        }
        if self.fields.has("newLaunchState") {
            return Ok(self.launched());
        }
        if self.fields.has("senderPhoneNumber") {
            return self.message();
        }
        if self.fields.has("requestId") || self.fields.has("rbmEnabled") {
            return Ok(self.provider("capabilities"));
        }
        Err("neither a message nor an event".into())
    }

    fn provider<'a>(&self, kind: &str) -> Event<'a> {
        let key = self.words("eventId").or_else(|| self.words("requestId"));
        self.made(key, Body::Provider(ProviderEvent { provider_type: kind.to_owned().into(), raw: self.fields.without(&[]) }))
    }

    fn message<'a>(&self) -> Result<Event<'a>, String> {
        let id = self.words("messageId").ok_or("a message without `messageId`")?;
        let what = |name: &str| self.fields.object(name);
        let mut extra = Extra::default();
        let part = if let Some(text) = self.words("text") {
            Some(Part::text(text))
        } else if let Some(tap) = what("suggestionResponse") {
            let acts = tap.words("type").as_deref() == Some("ACTION");
            if acts {
                extra.push("suggestion_type", Raw::of("ACTION"));
            }
            let kind = if acts { ChoiceKind::Button } else { ChoiceKind::QuickReply };
            let choice = Choice { kind, id: own(tap.words("postbackData")), title: own(tap.words("text")), values: Vec::new() };
            (choice.id.is_some() || choice.title.is_some()).then_some(Part::Choice(choice))
        } else if let Some(place) = what("location") {
            place
                .float("latitude")
                .zip(place.float("longitude"))
                .map(|(latitude, longitude)| Part::Location(Location { latitude, longitude, ..Location::default() }))
        } else {
            what("userFile").as_ref().and_then(file)
        };
        adapter::keep(&mut extra, "thumbnail", what("userFile").and_then(|file| file.kept("thumbnail")).map(Raw::into_owned));
        let part = part.unwrap_or_else(|| Part::unsupported("message", Some(self.fields.without(&[]))));
        for (name, raw) in self.fields.0.iter().filter(|(name, _)| !TOLD.contains(&&**name)) {
            extra.push(name.clone().into_owned(), Raw::borrowed(raw).into_owned());
        }
        let parts = vec![part];
        let referral = entry::written(&parts);
        let message = Message { id: id.clone(), sent_at: self.time(), parts, referral, ..Message::default() };
        let body = Received {
            from: self.person()?,
            to: self.words("agentId").map(|id| address("rcs", &id).into()),
            message,
            extra,
            ..Received::default()
        };
        Ok(self.made(Some(id), Body::Received(body)))
    }

    fn happened<'a>(&self, kind: &str) -> Result<Event<'a>, String> {
        let id = self.words("messageId").unwrap_or_default();
        let receipt = |state| Body::Receipt(Receipt { at: self.time(), ..Receipt::new(id.clone(), state) });
        let about_ours = matches!(kind, "DELIVERED" | "READ" | "TTL_EXPIRATION_REVOKED" | "TTL_EXPIRATION_REVOKE_FAILED");
        if about_ours && id.is_empty() {
            return Err(format!("`{kind}` without `messageId`"));
        }
        let body = match kind {
            "DELIVERED" => receipt(State::Delivered),
            "READ" => receipt(State::Read),
            "TTL_EXPIRATION_REVOKED" => {
                let error = Reason::new(ErrorClass::Recipient, "expired", "It could not be delivered in time and was taken back.")
                    .provider_code(kind);
                Body::Receipt(Receipt { at: self.time(), error: Some(error), ..Receipt::new(id.clone(), State::Failed) })
            }
            // It may still arrive.
            "TTL_EXPIRATION_REVOKE_FAILED" => {
                let detail = Some("its time is over, but it could not be taken back".into());
                Body::Receipt(Receipt { at: self.time(), detail, ..Receipt::new(id.clone(), State::Sent) })
            }
            "IS_TYPING" => Body::Typing(Signal { from: self.person()?, until: None }),
            "UNSUBSCRIBE" | "SUBSCRIBE" => {
                let state = if kind == "SUBSCRIBE" { ConsentState::OptedIn } else { ConsentState::OptedOut };
                // What is essential, a code or a bill, may still be sent, and Google refuses the rest.
                Body::Consent(Consent {
                    from: Some(self.person()?),
                    state,
                    scope: "marketing".into(),
                    evidence: Some(self.fields.without(&[])),
                })
            }
            _ => return Ok(self.provider(kind)),
        };
        // The person's device gives the id: what it says of one message counts once, even where the id is its only one.
        let key = match self.words("eventId") {
            Some(event) => Some(format!("{event}:{kind}").into()),
            None => about_ours.then(|| format!("{id}:{kind}").into()),
        };
        Ok(self.made(key, body))
    }

    /// A carrier has launched the agent, or has not.
    fn launched<'a>(&self) -> Event<'a> {
        let word = self.words("newLaunchState").unwrap_or_default();
        let state = word.strip_prefix("LAUNCH_STATE_").unwrap_or(&word);
        let bad = matches!(state, "REJECTED" | "SUSPENDED" | "UNLAUNCHED");
        let region = self.words("regionId").unwrap_or_default();
        let notice = Notice {
            kind: "agent_launch".into(),
            severity: if bad { Severity::Warning } else { Severity::Info },
            text: format!("The agent's launch in {region} is now {}.", state.to_ascii_lowercase()).into(),
            raw: Some(self.fields.without(&[])),
        };
        self.made(self.words("eventId"), Body::Notice(notice))
    }
}

fn file<'a>(file: &Object<'_>) -> Option<Part<'a>> {
    let payload = file.object("payload")?;
    let mime = own(payload.words("mimeType"));
    let url = payload.words("fileUri")?.into_owned();
    let media = Media {
        mime_type: mime.clone(),
        filename: own(payload.words("fileName")),
        size: payload.int("fileSizeBytes").and_then(|n| u64::try_from(n).ok()),
        status: Some(MediaStatus::Pending),
        source: Some(MediaRef { url: Some(url), ..MediaRef::default() }),
        ..Media::default()
    };
    let part = MediaPart { media, caption: None };
    Some(match mime.as_deref().and_then(|m| m.split('/').next()) {
        Some("image") => Part::Image(part),
        Some("video") => Part::Video(part),
        Some("audio") => Part::Audio(part),
        _ => Part::File(part),
    })
}

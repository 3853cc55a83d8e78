//! What the room delivers: one act of one visitor a request.
//!
//! ```json
//! {"type": "message", "id": "in-...", "at": "2026-11-20T10:00:00Z", "visitor": {"session": "v-..."},
//!  "content": {"kind": "text", "text": "Where is order 17?"}, "page": {"url": "https://..."}, "reply_to": "wc-..."}
//! ```

use std::borrow::Cow;

use super::{REFERRAL, outbound::our_id};
use crate::contract::entry::is_referral;
use crate::contract::event::*;
use crate::contract::part::{Choice, ChoiceKind, Form, Location, MediaStatus, TextPart};
use crate::contract::*;
use crate::kit::address;
use crate::kit::object::Object;

/// How long a person counts as typing after the last sign of it.
const TYPING_MS: i64 = 8_000;

/// Says what a delivery means.
pub(super) fn parse<'a>(hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Some(fields) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    let Some(act) = Act::read(&fields) else { return Parsed::not_understood("an act without id or visitor") };
    let mut parsed = Parsed::default();
    match fields.words("type").as_deref() {
        Some("message") => act.message(&mut parsed),
        Some("typing") => {
            let until = act.at.map(|at| at.plus(if fields.flag("on") { TYPING_MS } else { 0 }));
            parsed.events.push(act.event("", Body::Typing(Signal { from: act.from(), until })));
        }
        Some("read") => parsed.events.push(act.event("", Body::Read(Signal { from: act.from(), until: act.at }))),
        Some("receipt") => act.receipts(&mut parsed),
        Some("track") => match fields.words("name") {
            Some(name) => {
                let tracked = Tracked { from: Some(act.from()), name, properties: fields.kept("properties") };
                parsed.events.push(act.event("", Body::Tracked(tracked)));
            }
            None => parsed.leave("a tracked event without a name"),
        },
        Some("identified") => act.identified(&mut parsed),
        Some(other) => parsed.leave(format!("an act of the unknown type `{}`", other.chars().take(64).collect::<String>())),
        None => parsed.leave("an act without a type"),
    }
    parsed
}

/// What a link of ours put into the address of the page.
fn came(page: &str) -> Option<Referral<'static>> {
    if !page.contains(REFERRAL) {
        return None;
    }
    let url = url::Url::parse(page).ok()?;
    let payload = url.query_pairs().find(|(name, value)| name == REFERRAL && is_referral(value))?.1.into_owned();
    Some(Referral { kind: Some("link".into()), payload: Some(payload.into()), ..Referral::default() })
}

/// One act.
struct Act<'f, 'a> {
    fields: &'f Object<'a>,
    id: Text<'a>,
    at: Option<Time>,
    visitor: Object<'a>,
    peer: String,
}

impl<'f, 'a> Act<'f, 'a> {
    fn read(fields: &'f Object<'a>) -> Option<Self> {
        let visitor = fields.object("visitor")?;
        let peer = address::address("webchat", &visitor.words("session")?);
        Some(Self { fields, id: fields.words("id")?, at: fields.text("at").and_then(|t| Time::parse(&t)), visitor, peer })
    }

    fn event(&self, suffix: &str, body: Body<'a>) -> Event<'a> {
        let key = if suffix.is_empty() { self.id.clone() } else { Cow::Owned(format!("{}{suffix}", self.id)) };
        Event { account: None, key: Some(key), medium: "webchat".into(), peer: self.peer.clone().into(), time: self.at, body }
    }

    fn from(&self) -> Person<'a> {
        Person {
            address: self.peer.clone().into(),
            name: self.visitor.words("name"),
            locale: self.visitor.words("locale"),
            kind: Some("person".into()),
            also: self.visitor.words("email").map(|email| format!("mailto:{email}").into()).into_iter().collect(),
            ..Person::default()
        }
    }

    fn message(&self, parsed: &mut Parsed<'a>) {
        let Some(content) = self.fields.object("content") else { return parsed.leave("a message without content") };
        let parts = vec![part(&content, self.fields)];
        let reply_to =
            self.fields.words("reply_to").map(|id| ReplyTo { message_id: our_id(&id).map(Into::into), id: Some(id), ..ReplyTo::default() });
        let referral = self.fields.object("page").and_then(|page| came(&page.words("url")?));
        let message = Message { id: self.id.clone(), sent_at: self.at, parts, reply_to, referral, ..Message::default() };
        let mut extra = Extra::default();
        for name in ["page", "metadata"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        adapter::keep(&mut extra, "external_id", self.visitor.kept("external_id"));
        let received = Received { from: self.from(), message, extra, ..Received::default() };
        parsed.events.push(self.event("", Body::Received(received)));
    }

    /// What became of messages of ours in the visitor's browser.
    fn receipts(&self, parsed: &mut Parsed<'a>) {
        let state = match self.fields.words("state").as_deref() {
            Some("delivered") => State::Delivered,
            Some("read") => State::Read,
            _ => return parsed.leave("a receipt of an unknown state"),
        };
        let ids = self.fields.list("messages");
        if ids.is_empty() {
            parsed.leave("a receipt of nothing");
        }
        for (index, raw) in ids.into_iter().enumerate() {
            let Some(id) = crate::kit::object::text(raw).filter(|id| !id.is_empty()) else {
                parsed.leave("a receipt of something without a name");
                continue;
            };
            let ours = our_id(&id);
            // The message and the state make the receipt unique; the index only where the name is not ours.
            let key = if ours.is_some() { format!("{id}/{}", state.word()) } else { format!("{}/{index}", self.id) };
            let receipt = Receipt { message_id: ours.map(Into::into), at: self.at, ..Receipt::new(id, state) };
            parsed.events.push(Event { key: Some(key.into()), ..self.event("", Body::Receipt(receipt)) });
        }
    }

    /// The site has named a visitor; whoever he was before is the same person.
    fn identified(&self, parsed: &mut Parsed<'a>) {
        let previous = self.fields.words("previous").map(|session| address::address("webchat", &session));
        let mut extra = Extra::default();
        for name in ["external_id", "name", "email"] {
            adapter::keep(&mut extra, name, self.visitor.kept(name));
        }
        let updated = ContactUpdated {
            change: if previous.is_some() { Change::Merged } else { Change::Profile },
            previous: previous.map(Into::into),
            current: Some(self.peer.clone().into()),
            reason: Some("identified".into()),
            extra,
        };
        parsed.events.push(self.event("", Body::ContactUpdated(updated)));
    }
}

fn part<'a>(content: &Object<'a>, act: &Object<'a>) -> Part<'a> {
    let kind = content.words("kind").unwrap_or_default();
    let unsupported = || Part::unsupported(content.words("kind").unwrap_or_else(|| "nothing".into()), act.kept("content"));
    match &*kind {
        "text" => match content.words("text") {
            Some(text) => Part::Text(TextPart { text, ..TextPart::default() }),
            None => unsupported(),
        },
        "image" | "audio" | "voice" | "video" | "file" => match media(content) {
            Some(media) => match &*kind {
                "image" => Part::Image(media),
                "audio" => Part::Audio(media),
                "voice" => Part::Voice(media),
                "video" => Part::Video(media),
                _ => Part::File(media),
            },
            None => unsupported(),
        },
        "location" => match (content.float("latitude"), content.float("longitude")) {
            (Some(latitude), Some(longitude)) if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 => {
                Part::Location(Location { latitude, longitude, name: content.words("name"), ..Location::default() })
            }
            _ => unsupported(),
        },
        "choice" => Part::Choice(Choice {
            kind: match content.words("surface").as_deref() {
                Some("quick_reply") => ChoiceKind::QuickReply,
                Some("list") => ChoiceKind::List,
                Some("postback") => ChoiceKind::Postback,
                Some("menu") => ChoiceKind::Menu,
                Some("date") => ChoiceKind::Date,
                _ => ChoiceKind::Button,
            },
            id: content.words("id"),
            title: content.words("title"),
            values: Vec::new(),
        }),
        "form" => Part::Form(Form { name: content.words("name"), fields: content.kept("fields") }),
        _ => unsupported(),
    }
}

/// An uploaded file. Its link was signed by the room, so it is ready and stays so.
fn media<'a>(content: &Object<'a>) -> Option<MediaPart<'a>> {
    let file = content.object("media")?;
    let media = Media {
        id: file.words("id"),
        url: Some(file.words("url")?),
        mime_type: file.words("mime_type"),
        size: file.int("size").and_then(|n| u64::try_from(n).ok()),
        filename: file.words("filename"),
        sha256: file.words("sha256"),
        status: Some(MediaStatus::Ready),
        ..Media::default()
    };
    Some(MediaPart { media, caption: content.words("caption") })
}

//! Deliveries read by rules: each rule names where its things stand, when it fits, and where their pieces are.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Value, value::RawValue};

use super::pointer::{Place, Pointer, holds};
use super::settings::{Meaning, MediaRule, MessageRule, ReceiptRule};
use super::{Channel, errors, proof};
use crate::contract::event::ReplyTo;
use crate::contract::part::{Choice, ChoiceKind, Location, MediaStatus};
use crate::contract::*;
use crate::kit::{address, crypto, spoken};

/// What one item of a delivery is.
enum Read<'a> {
    Event(Event<'a>),
    /// Known, and nothing to us.
    Nothing,
    /// A rule fits, but something it needs is not there.
    Wrong(String),
    /// No rule fits.
    Unknown,
}

/// What a delivery means.
pub(super) fn parse<'a>(channel: &Channel, text: &'a str) -> Parsed<'a> {
    let mut out = Parsed { ack: channel.ack.clone(), ..Parsed::default() };
    let Ok(body) = serde_json::from_str::<&'a RawValue>(text) else {
        out.leave("the body is not JSON");
        return out;
    };
    let whole = Place { body, item: body };
    let rules = &channel.settings;
    let challenge = rules.ack.echo.as_ref().and_then(|pointer| pointer.text(whole));
    let known = rules.ignore.iter().any(|rule| rule.each == Pointer::default() && holds(&rule.when, whole));
    if !known {
        items(channel, whole, &mut out);
    }
    if let Some(challenge) = challenge.filter(|_| out.events.is_empty()) {
        return Parsed { ack: Ack { status: channel.ack.status, ..Ack::text(challenge) }, ..Parsed::default() };
    }
    out
}

fn items<'a>(channel: &Channel, whole: Place<'a>, out: &mut Parsed<'a>) {
    let mut understood = false;
    for each in &channel.places {
        for item in each.all(whole) {
            match read(channel, each, Place { item, ..whole }) {
                Read::Event(event) => out.events.push(event),
                Read::Nothing => understood = true,
                Read::Wrong(reason) => out.leave(reason),
                // The body as a whole may well be what only rules with an `each` look into.
                Read::Unknown if *each == Pointer::default() => {}
                Read::Unknown => out.leave("an item that no rule fits"),
            }
        }
    }
    if out.events.is_empty() && !understood {
        out.leave("no rule of `messages`, `receipts` or `ignore` fits");
    }
}

fn read<'a>(channel: &Channel, each: &Pointer, place: Place<'a>) -> Read<'a> {
    let rules = &channel.settings;
    if rules.ignore.iter().any(|rule| rule.each == *each && holds(&rule.when, place)) {
        return Read::Nothing;
    }
    for (number, rule) in rules.messages.iter().enumerate().filter(|(_, rule)| rule.each == *each) {
        // A rule without conditions fits what has a sender.
        if holds(&rule.when, place) && (!rule.when.is_empty() || rule.from.text(place).is_some()) {
            return message(channel, number, rule, place);
        }
    }
    for (number, rule) in rules.receipts.iter().enumerate().filter(|(_, rule)| rule.each == *each) {
        if holds(&rule.when, place) && (!rule.when.is_empty() || rule.state.text(place).is_some()) {
            return receipt(channel, number, rule, place);
        }
    }
    Read::Unknown
}

/// A pointer that may be left out, at its place.
fn at<'a>(pointer: Option<&Pointer>, place: Place<'a>) -> Option<Text<'a>> {
    pointer?.text(place)
}

fn message<'a>(channel: &Channel, number: usize, rule: &MessageRule, place: Place<'a>) -> Read<'a> {
    let Some(from) = rule.from.text(place) else { return Read::Wrong(format!("nothing stands where messages[{number}].from points")) };
    let (id, key) = match &rule.id {
        Some(pointer) => match pointer.text(place) {
            Some(id) => (id.clone(), Some(Cow::Owned(format!("m:{id}")))),
            None => return Read::Wrong(format!("nothing stands where messages[{number}].id points")),
        },
        // What is not numbered cannot be told from its repetition.
        None => (Cow::Owned(crypto::fingerprint(&[place.item.get()])), None),
    };
    let person = channel.person(&from);
    let peer = match at(rule.thread.as_ref(), place) {
        Some(thread) => format!("{person}#{}", address::escape(&thread)),
        None => person.clone(),
    };
    let time = at(rule.time.as_ref(), place).and_then(|text| proof::time(text.trim()));
    let message = Message {
        id,
        sent_at: time,
        parts: parts(rule, place),
        reply_to: at(rule.reply_to.as_ref(), place).map(|id| ReplyTo { id: Some(id), ..ReplyTo::default() }),
        ..Message::default()
    };
    let mut extra = Extra::default();
    for (name, pointer) in &rule.extra {
        if let Some(raw) = pointer.first(place) {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
    }
    let from = Person { name: at(rule.name.as_ref(), place), ..Person::at(person) };
    let to = at(rule.to.as_ref(), place).map(|to| Cow::Owned(channel.person(&to)));
    let body = Body::Received(Received { from, to, message, extra, ..Received::default() });
    Read::Event(Event { account: None, key, medium: Cow::Borrowed(channel.facts.mediums[0]), peer: Cow::Owned(peer), time, body })
}

fn parts<'a>(rule: &MessageRule, place: Place<'a>) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = rule.media.iter().flat_map(|rule| files(rule, place)).collect();
    let mut text = at(rule.text.as_ref(), place);
    if let [Part::Image(file) | Part::Video(file) | Part::File(file) | Part::Audio(file)] = parts.as_mut_slice() {
        file.caption = text.take();
    }
    let choice = rule.choice.as_ref().and_then(|rule| {
        let (id, title) = (rule.id.text(place)?, at(rule.title.as_ref(), place));
        Some(Part::Choice(Choice { kind: ChoiceKind::Button, id: Some(id), title, values: Vec::new() }))
    });
    // The words of a picked option are the option's.
    let text = text.filter(|_| choice.is_none()).map(Part::text);
    let location = rule.location.as_ref().and_then(|rule| {
        let (latitude, longitude) = (rule.latitude.number(place)?, rule.longitude.number(place)?);
        Some(Part::Location(Location { latitude, longitude, name: at(rule.name.as_ref(), place), ..Location::default() }))
    });
    parts.extend([text, choice, location].into_iter().flatten());
    if parts.is_empty() {
        parts.push(Part::unsupported("message", Some(Raw::borrowed(place.item))));
    }
    parts
}

fn files<'a>(rule: &MediaRule, place: Place<'a>) -> Vec<Part<'a>> {
    let file = |item: &'a RawValue| {
        let place = Place { item, ..place };
        let link = rule.url.text(place)?.into_owned();
        let mut media = Media {
            mime_type: at(rule.mime_type.as_ref(), place),
            filename: at(rule.filename.as_ref(), place),
            status: Some(MediaStatus::Pending),
            ..Media::default()
        };
        let named = Media { url: Some(link.as_str().into()), ..media.clone() };
        let kind = spoken::looks(&named);
        media.source = Some(MediaRef { id: String::new(), url: Some(link), expires_at: None });
        let part = MediaPart { media, caption: None };
        Some(match kind {
            "image" => Part::Image(part),
            "video" => Part::Video(part),
            "audio" => Part::Audio(part),
            _ => Part::File(part),
        })
    };
    rule.each.all(place).into_iter().filter_map(file).collect()
}

fn receipt<'a>(channel: &Channel, number: usize, rule: &ReceiptRule, place: Place<'a>) -> Read<'a> {
    let wrong = |what: &str| Read::Wrong(format!("nothing stands where receipts[{number}].{what} points"));
    let Some(word) = rule.state.text(place) else { return wrong("state") };
    let state = match rule.states.get(&*word).map(|meaning: &Meaning| meaning.state()) {
        Some(Some(state)) => state,
        Some(None) => return Read::Nothing,
        None => return Read::Wrong(format!("receipts[{number}].states does not have the provider's word")),
    };
    let ours = at(rule.our_id.as_ref(), place);
    let id = match rule.id.text(place) {
        Some(id) => id,
        None if ours.is_some() => Cow::Borrowed(""),
        None => return wrong("id"),
    };
    let time = at(rule.time.as_ref(), place).and_then(|text| proof::time(text.trim()));
    let code = at(rule.error.as_ref(), place);
    let peer = at(rule.to.as_ref(), place).map(|to| Cow::Owned(channel.person(&to))).unwrap_or_default();
    let key = format!("r:{id}:{}:{word}", ours.as_deref().unwrap_or_default());
    let receipt = Receipt {
        message_id: ours,
        at: time,
        error: (state == State::Failed).then(|| errors::reason(&channel.settings.send.errors, code.as_deref())),
        detail: Some(word),
        ..Receipt::new(id, state)
    };
    let medium = Cow::Borrowed(channel.facts.mediums[0]);
    Read::Event(Event { account: None, key: Some(Cow::Owned(key)), medium, peer, time, body: Body::Receipt(receipt) })
}

/// The answer to a delivery, as the settings want it.
pub(super) fn ack(settings: &super::Settings) -> Result<Ack<'static>, SettingsError> {
    let said = &settings.ack;
    let status = StatusCode::from_u16(said.status.unwrap_or(200)).ok().filter(StatusCode::is_success);
    let status =
        status.ok_or_else(|| SettingsError::new("ack.status", "no success", "write 200, or what the provider wants of 201 to 299"))?;
    let (body, usual) = match &said.body {
        None => (Vec::new(), None),
        Some(Value::String(text)) => (text.clone().into_bytes(), Some("text/plain")),
        Some(other) => (other.to_string().into_bytes(), Some("application/json")),
    };
    let content_type = match said.mime_type.as_deref() {
        None => usual,
        Some("text/plain") => Some("text/plain"),
        Some("application/json") => Some("application/json"),
        Some("text/xml") => Some("text/xml"),
        Some(_) => {
            return Err(SettingsError::new("ack.type", "not one of those we send", "write `text/plain`, `application/json` or `text/xml`"));
        }
    };
    Ok(Ack { status, content_type, body: Cow::Owned(body) })
}

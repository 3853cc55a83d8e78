//! Deliveries of a session as events. A delivery is one unit, or the parts of one long message in a row.

use std::borrow::Cow;

use serde_json::{Map, json};

use super::pdu::{
    self, ALERT, Address, DATA_SM, DELIVER_SM, PAYLOAD, Pdu, RESPONSE, Reader, SAR_NUMBER, SAR_REFERENCE, SAR_TOTAL, SUBMIT_SM, Sm,
    USER_REFERENCE,
};
use super::receipt::{self, Told};
use super::words::{self, Concat, Udh};
use super::{Base, Bound};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::address::{address, is_e164};
use crate::kit::crypto;
use crate::kit::entry;

/// When the session first saw it: what tells a repeated delivery from a repeated text.
pub(super) const FIRST: &str = "x-fairway-first";
/// Our message, where the session knows which one it is about.
pub(super) const MESSAGE: &str = "x-fairway-message";
/// Our message's id in the form that the answer to it had, where the session found that out.
pub(super) const ANSWERED: &str = "x-fairway-answered";

/// TON: a name in place of a number.
const ALPHANUMERIC: u8 = 5;
/// What alone says nothing of a message.
const PLAIN_TAGS: [u16; 5] = [SAR_REFERENCE, SAR_TOTAL, SAR_NUMBER, PAYLOAD, USER_REFERENCE];

/// What a delivery means.
pub(super) fn parse<'a>(bound: &Bound, hook: &Webhook<'_>) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    let (units, rest) = Pdu::all(hook.body);
    if rest {
        parsed.leave("octets that are no whole unit");
    }
    let mut messages = Vec::new();
    for unit in &units {
        let read = Sm::read(unit.command, unit.body);
        match (unit.command, read) {
            (DELIVER_SM | DATA_SM, Some(sm)) if receipt::is_receipt(&sm) => match receipt_event(bound, hook, &sm) {
                Ok(event) => parsed.events.push(event),
                Err(reason) => parsed.leave(reason),
            },
            (DELIVER_SM | DATA_SM, Some(sm)) => messages.push(sm),
            (DELIVER_SM | DATA_SM, None) => parsed.leave("a message whose fields end too early"),
            (ALERT, _) => match alert(hook, unit) {
                Some(event) => parsed.events.push(event),
                None => parsed.leave("an alert whose fields end too early"),
            },
            (command, _) if command == SUBMIT_SM | RESPONSE || command == DATA_SM | RESPONSE => match late_answer(hook, unit) {
                Some(event) => parsed.events.push(event),
                None => parsed.leave("an answer to no message of ours"),
            },
            (command, _) => parsed.leave(format!("a unit with the unknown command {command:#010x}")),
        }
    }
    if !messages.is_empty() {
        messages.sort_by_key(words::part_of);
        parsed.events.push(message(bound, hook, &messages));
    }
    parsed
}

/// The address of somebody who is no sender of ours.
fn person(of: &Address) -> String {
    let number = format!("+{}", of.digits.trim_start_matches('+'));
    // Short numbers are nobody's in full.
    let whole = of.ton == 1 || of.ton == 0 && number.len() > 8 || of.digits.starts_with('+');
    match of.ton != ALPHANUMERIC && whole && is_e164(&number) {
        true => format!("tel:{number}"),
        false => address("tel", &of.digits),
    }
}

/// What stays the same when a delivery is repeated, with when it first came: two people may say the same twice.
fn key(hook: &Webhook<'_>, pieces: &[Vec<u8>]) -> String {
    let first = hook.header(FIRST).unwrap_or_default();
    let mut whole = first.as_bytes().to_vec();
    for piece in pieces {
        whole.extend((piece.len() as u32).to_be_bytes());
        whole.extend_from_slice(piece);
    }
    crypto::hex(&crypto::sha256(&whole)[..16])
}

fn message<'a>(bound: &Bound, hook: &Webhook<'_>, parts: &[Sm<'_>]) -> Event<'a> {
    let first = &parts[0];
    let settings = &bound.settings;
    let peer = person(&first.source);
    let id = key(hook, &parts.iter().map(Sm::write).collect::<Vec<_>>());
    let mut words = String::new();
    let mut binary = Vec::new();
    let mut expected = 1;
    for sm in parts {
        let place = words::part_of(sm);
        let (number, total) = place.map_or((1, 1), |Concat { number, total, .. }| (number, total));
        if number > expected {
            words.push('…'); // Something is missing here.
        }
        expected = number.saturating_add(1);
        match words::decode(sm, settings.default_alphabet, settings.gsm_packed) {
            Some(text) => words.push_str(&text),
            None => binary.push(sm),
        }
        if Some(sm) == parts.last() && number < total {
            words.push('…');
        }
    }
    let mut content = Vec::new();
    if binary.len() < parts.len() {
        content.push(Part::text(words));
    }
    content.extend(binary.iter().map(|sm| Part::unsupported("binary", Some(Raw::of(&octets(sm))))));
    let referral = entry::written(&content);
    let message = Message { id: id.clone().into(), parts: content, referral, ..Message::default() };
    let kind = if first.source.ton == ALPHANUMERIC { "business" } else { "person" };
    let from = Person { kind: Some(kind.into()), ..Person::at(peer.clone()) };
    let to = (!first.destination.digits.is_empty()).then(|| person(&first.destination).into());
    let body = Body::Received(Received { from, to, message, extra: extra(parts), ..Received::default() });
    Event { account: None, key: Some(id.into()), medium: "sms".into(), peer: peer.into(), time: None, body }
}

/// Octets that are no words, with what says what they are.
fn octets(sm: &Sm<'_>) -> Map<String, serde_json::Value> {
    let udh = Udh::of(sm);
    let mut out = Map::new();
    out.insert("data_coding".into(), sm.coding.into());
    out.insert("hex".into(), crypto::hex(&sm.content()[udh.octets.min(sm.content().len())..]).into());
    if let Some((destination, source)) = udh.ports {
        out.insert("ports".into(), json!({ "destination": destination, "source": source }));
    }
    out
}

/// What has no place elsewhere.
fn extra<'a>(parts: &[Sm<'_>]) -> Extra<'a> {
    let first = &parts[0];
    let mut extra = Extra::default();
    if let Some(Concat { total, .. }) = words::part_of(first).filter(|c| parts.len() < usize::from(c.total)) {
        let have: Vec<u8> = parts.iter().filter_map(words::part_of).map(|c| c.number).collect();
        extra.push("incomplete", Raw::of(&json!({ "total": total, "have": have })));
    }
    if !first.service_type.is_empty() {
        extra.push("service_type", Raw::of(&first.service_type));
    }
    for (name, value) in
        [("protocol_id", first.protocol_id), ("priority_flag", first.priority), ("esm_class", first.esm_class & !words::HEADED)]
    {
        if value != 0 {
            extra.push(name, Raw::of(&value));
        }
    }
    if parts.iter().any(|sm| Udh::of(sm).national) {
        extra.push("national_table", Raw::of(&true));
    }
    let reference = first.number(USER_REFERENCE);
    if let Some(reference) = reference {
        extra.push("user_message_reference", Raw::of(&reference));
    }
    let tags: Map<String, serde_json::Value> = first
        .tlvs
        .iter()
        .filter(|(tag, _)| !PLAIN_TAGS.contains(tag))
        .map(|(tag, value)| (format!("{tag:#06x}"), crypto::hex(value).into()))
        .collect();
    if !tags.is_empty() {
        extra.push("tlvs", Raw::of(&tags));
    }
    extra
}

/// Our message's id as its answer had it.
fn answered(bound: &Bound, hook: &Webhook<'_>, told: &Told) -> Option<String> {
    if let Some(found) = hook.header(ANSWERED) {
        return Some(found.to_owned());
    }
    let written = |id: &String| receipt::as_answered(id, bound.settings.receipt_id_base.unwrap_or(Base::Same));
    told.tagged.as_deref().map(receipt::canonical).or_else(|| told.written.as_ref().map(written))
}

/// A receipt. Its source is whom our message went to.
fn receipt_event<'a>(bound: &Bound, hook: &Webhook<'_>, sm: &Sm<'_>) -> Result<Event<'a>, &'static str> {
    let told = receipt::read(sm);
    let state = told.state.ok_or("a receipt without a state that is known")?;
    let id = answered(bound, hook, &told).ok_or("a receipt that names no message")?;
    let word = told.detail.unwrap_or_default();
    let body = Receipt {
        message_id: hook.header(MESSAGE).map(|id| id.to_owned().into()),
        error: told.reason(),
        detail: told.detail.map(Cow::Borrowed),
        ..Receipt::new(id.clone(), state)
    };
    let key = format!("{id}:{}:{word}", state as u8);
    Ok(Event {
        account: None,
        key: Some(key.into()),
        medium: "sms".into(),
        peer: person(&sm.source).into(),
        time: None,
        body: Body::Receipt(body),
    })
}

/// An answer that came after everybody had stopped waiting: the message is there.
fn late_answer<'a>(hook: &Webhook<'_>, unit: &Pdu<'_>) -> Option<Event<'a>> {
    let ours = hook.header(MESSAGE)?.to_owned();
    let id = pdu::message_id(unit).map(|id| receipt::canonical(&id))?;
    let body = Receipt { message_id: Some(ours.clone().into()), ..Receipt::new(id.clone(), State::Sent) };
    let key = format!("{ours}:{id}");
    Some(Event { account: None, key: Some(key.into()), medium: "sms".into(), peer: "".into(), time: None, body: Body::Receipt(body) })
}

/// A phone can be reached again.
fn alert<'a>(hook: &Webhook<'_>, unit: &Pdu<'_>) -> Option<Event<'a>> {
    let mut reader = Reader(unit.body);
    let (phone, ours) = (reader.address()?, reader.address()?);
    let mut raw = json!({ "source_addr": phone.digits, "esme_addr": ours.digits });
    while let Some((tag, value)) = reader.tlv() {
        raw[format!("{tag:#06x}")] = crypto::hex(value).into();
    }
    let body = Body::Provider(ProviderEvent { provider_type: "alert_notification".into(), raw: Raw::of(&raw) });
    let key = key(hook, &[unit.body.to_vec()]);
    Some(Event { account: None, key: Some(key.into()), medium: "sms".into(), peer: person(&phone).into(), time: None, body })
}

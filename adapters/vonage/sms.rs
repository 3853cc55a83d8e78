//! What the SMS API delivers: parts of messages and receipts, as parameters of a form, a query or a JSON object.

use std::borrow::Cow;

use super::{Channel, errors, inbound};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::form;
use crate::kit::object::Object;

/// What becomes part of an event, or proves it.
const TOLD: &[&str] = &[
    "msisdn",
    "to",
    "messageId",
    "text",
    "status",
    "err-code",
    "price",
    "client-ref",
    "message-timestamp",
    "api-key",
    "timestamp",
    "nonce",
    "sig",
    "concat",
    "concat-ref",
    "concat-total",
    "concat-part",
    "scts",
    "data",
    "udh",
];

type Fields<'a> = Vec<(Text<'a>, Text<'a>)>;

/// From a form or a query.
pub(super) fn form<'a>(channel: &Channel, hook: &Webhook<'a>) -> Parsed<'a> {
    let bytes = if hook.method == http::Method::GET { hook.query.as_bytes() } else { hook.body };
    read(channel, form::fields(bytes))
}

/// From JSON.
pub(super) fn json<'a>(channel: &Channel, fields: &Object<'a>) -> Parsed<'a> {
    read(channel, fields.0.iter().filter_map(|(name, raw)| Some((name.clone(), crate::kit::object::text(raw)?))).collect())
}

fn read<'a>(channel: &Channel, fields: Fields<'a>) -> Parsed<'a> {
    let delivery = Delivery { channel, fields };
    let mut parsed = Parsed::default();
    let made = if delivery.get("status").is_some() { delivery.receipt() } else { delivery.message() };
    match made {
        Ok(event) => parsed.events.push(event),
        Err(reason) => parsed.leave(reason),
    }
    parsed
}

struct Delivery<'d, 'a> {
    channel: &'d Channel,
    fields: Fields<'a>,
}

impl<'a> Delivery<'_, 'a> {
    fn text(&self, name: &str) -> Option<Text<'a>> {
        self.fields.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.clone())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| &**value)
    }

    fn time(&self) -> Option<Time> {
        // `2026-11-02 09:15:30`, of which some end in the offset, always of zero.
        let written = self.get("message-timestamp").and_then(|at| Time::parse(&format!("{}Z", at.get(..19)?.replacen(' ', "T", 1))));
        written.or_else(|| scts(self.get("scts")?))
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok()
    }

    fn made(&self, key: String, ours: &str, peer: String, body: Body<'a>) -> Event<'a> {
        let account = inbound::account(self.channel, ours);
        Event { account, key: Some(key.into()), medium: "sms".into(), peer: peer.into(), time: self.time(), body }
    }

    /// A message, or one part of a long one: these come each for itself, and stand together as an album.
    fn message(&self) -> Result<Event<'a>, String> {
        let id = self.text("messageId").ok_or("parameters without `messageId`")?;
        let from = self.text("msisdn").ok_or("a message without `msisdn`")?;
        let ours = self.get("to").unwrap_or_default();
        let peer = inbound::address("tel", &from);
        let album = self.text("concat-ref").filter(|_| self.get("concat") == Some("true")).map(|reference| Album {
            id: format!("{from}:{ours}:{reference}").into(),
            index: self.number("concat-part"),
            total: self.number("concat-total"),
        });
        let part = match self.text("text") {
            Some(text) => Part::text(text),
            None => {
                let data: serde_json::Map<_, _> =
                    ["data", "udh", "type"].iter().filter_map(|name| Some(((*name).to_owned(), self.get(name)?.into()))).collect();
                Part::unsupported("binary", Some(Raw::of(&data)))
            }
        };
        let mut extra = Extra::default();
        for (name, value) in self.fields.iter().filter(|(name, value)| !TOLD.contains(&&**name) && !value.is_empty()) {
            extra.push(name.clone(), Raw::of(&**value));
        }
        let message = Message { id: id.clone(), sent_at: self.time(), parts: vec![part], album, ..Message::default() };
        let person = Person { kind: Some("person".into()), ..Person::at(peer.clone()) };
        let to = (!ours.is_empty()).then(|| inbound::sender("tel", ours).into());
        let body = Received { from: person, to, message, extra, ..Received::default() };
        Ok(self.made(id.into_owned(), ours, peer, Body::Received(body)))
    }

    /// A receipt. Here `msisdn` is the recipient and `to` our sender.
    fn receipt(&self) -> Result<Event<'a>, String> {
        let id = self.text("messageId").ok_or("a receipt without `messageId`")?;
        let status = self.get("status").unwrap_or_default();
        let state = match status {
            "delivered" => State::Delivered,
            "accepted" | "buffered" | "unknown" | "submitted" => State::Sent,
            "failed" | "expired" | "rejected" | "undeliverable" => State::Failed,
            other => return Err(format!("a receipt with the unknown status `{}`", other.chars().take(64).collect::<String>())),
        };
        let code = self.get("err-code").and_then(|code| code.parse().ok()).filter(|_| state == State::Failed);
        let cost = self.text("price").filter(|price| price.parse::<f64>().is_ok_and(|p| p > 0.0));
        let body = Receipt {
            message_id: self.text("client-ref"),
            at: self.time(),
            error: (state == State::Failed).then(|| errors::receipt(code)),
            // developer.vonage.com, delivery receipts, read 2026-11-20: prices are in euros.
            cost: cost.map(|amount| Money { amount, currency: Cow::Borrowed("EUR") }),
            detail: matches!(status, "unknown" | "expired" | "buffered").then(|| status.to_owned().into()),
            ..Receipt::new(id.clone(), state)
        };
        let peer = self.get("msisdn").map(|to| inbound::address("tel", to)).unwrap_or_default();
        Ok(self.made(format!("{id}:{status}"), self.get("to").unwrap_or_default(), peer, Body::Receipt(body)))
    }
}

/// A carrier's time, `YYMMDDHHMM`.
fn scts(text: &str) -> Option<Time> {
    let good = text.len() >= 10 && text.bytes().all(|b| b.is_ascii_digit());
    let part = |from: usize| &text[from..from + 2];
    good.then(|| Time::parse(&format!("20{}-{}-{}T{}:{}:00Z", part(0), part(2), part(4), part(6), part(8))))?
}

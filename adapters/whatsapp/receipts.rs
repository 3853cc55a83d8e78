//! What became of our messages.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::inbound::{About, event, stamp};
use super::{address, errors};
use crate::contract::event::ProviderEvent;
use crate::contract::part::{self, Money};
use crate::contract::*;
use crate::kit::object::Object;

/// One of `statuses[]`.
pub(super) fn status<'a>(out: &mut Parsed<'a>, about: &About<'a>, raw: &'a RawValue) {
    let Some(status) = Object::parse(raw.get()) else {
        return out.leave("a status that is not an object");
    };
    let (Some(id), Some(word)) = (status.words("id"), status.words("status")) else {
        return out.leave("a status without an id or a word");
    };
    let time = stamp(status.int("timestamp"));
    if status.text("type").as_deref() == Some("payment") {
        return paid(out, about, &status, (id, word, time));
    }
    let group = status.text("recipient_type").as_deref() == Some("group");
    let member = status.words("recipient_participant_user_id").or_else(|| status.words("recipient_participant_id"));
    let peer = if group {
        status.words("recipient_id").map(|id| Cow::Owned(crate::kit::address::address("whatsapp", &id)))
    } else {
        address::person(status.words("recipient_id"), status.words("recipient_user_id"), &about.contacts).map(|p| p.address)
    };
    let mut key = format!("{id}:{word}");
    if let Some(member) = &member {
        key.push(':');
        key.push_str(member);
    }
    let state = match &*word {
        "sent" => Some(State::Sent),
        "delivered" => Some(State::Delivered),
        "read" | "played" => Some(State::Read),
        "failed" => Some(State::Failed),
        _ => None,
    };
    // Calls have statuses too, and words may come that nobody knows yet.
    let call = status.text("type").as_deref() == Some("call");
    let body = match state.filter(|_| !call) {
        Some(state) => {
            let mut receipt = Receipt::new(id, state);
            receipt.message_id = status.words("biz_opaque_callback_data");
            receipt.at = time;
            receipt.recipient = member.map(|id| Cow::Owned(address::of(&id)));
            receipt.detail = (&*word == "played").then_some(word);
            if state == State::Failed {
                let errors = status.objects("errors");
                receipt.error = Some(failure(errors.first()));
                receipt.detail = details(&errors);
            }
            Body::Receipt(receipt)
        }
        None => Body::Provider(ProviderEvent {
            provider_type: Cow::Owned(format!("{}.{}", if call { "call" } else { "status" }, word.to_lowercase())),
            raw: Raw::borrowed(raw),
        }),
    };
    out.events.push(event(about, key, peer.unwrap_or_default(), time, body));
}

/// How a person's payment for an order of ours stands: something the person did, not what became of a message.
fn paid<'a>(out: &mut Parsed<'a>, about: &About<'a>, status: &Object<'a>, (id, state, time): (Text<'a>, Text<'a>, Option<Time>)) {
    let payment = status.object("payment").unwrap_or_default();
    let payer = status.words("recipient_id").or_else(|| status.words("from"));
    let Some(from) = address::person(payer, status.words("recipient_user_id"), &about.contacts) else {
        return out.leave("a payment of nobody");
    };
    let amount = payment.object("amount").or_else(|| payment.object("transaction")?.object("amount"));
    let amount = amount.zip(payment.words("currency")).and_then(|(amount, currency)| money(&amount, currency));
    // The notice has an id, and says the same of each step of one payment.
    let key: Text<'a> = Cow::Owned(format!("{id}:payment:{state}"));
    let part = Part::Payment(part::Payment { state, amount, reference: payment.words("reference_id") });
    let message = Message { id: key.clone(), sent_at: time, parts: vec![part], ..Message::default() };
    let mut extra = Extra::default();
    adapter::keep(&mut extra, "transaction", payment.kept("transaction"));
    let peer = from.address.clone();
    let body = Body::Received(Received { from, to: about.business.clone(), message, extra, ..Received::default() });
    out.events.push(event(about, key, peer, time, body));
}

/// `{"value": 21000, "offset": 100}`: the offset is what the value is multiplied by.
fn money<'a>(amount: &Object<'a>, currency: Text<'a>) -> Option<Money<'a>> {
    let (value, offset) = (amount.int("value")?, amount.int("offset").filter(|offset| *offset > 0)?);
    let digits = offset.ilog10() as usize;
    let amount = if digits == 0 { value.to_string() } else { format!("{}.{:0digits$}", value / offset, (value % offset).abs()) };
    Some(Money { amount: Cow::Owned(amount), currency })
}

fn failure(error: Option<&Object<'_>>) -> Reason {
    let Some(error) = error else {
        return Reason::new(ErrorClass::Unknown, "failed", "WhatsApp gave no reason");
    };
    let words = error.words("title").or_else(|| error.words("message"));
    match error.int("code") {
        Some(code) => errors::reason(code, 0, words.as_deref().unwrap_or_default()),
        None => {
            Reason::new(ErrorClass::Unknown, "failed", words.map_or(Cow::Borrowed("WhatsApp gave no code"), |w| Cow::Owned(w.into_owned())))
        }
    }
}

/// The closer words, of which a title says little. What is wrong besides the first has no other place: its code stands with it.
fn details<'a>(errors: &[Object<'a>]) -> Option<Text<'a>> {
    let closer = |error: &Object<'a>| error.object("error_data")?.words("details");
    let (first, more) = errors.split_first()?;
    let first = closer(first);
    if more.is_empty() {
        return first;
    }
    let more = more.iter().map(|error| {
        let words = closer(error).or_else(|| error.words("title")).or_else(|| error.words("message")).unwrap_or_default();
        Cow::Owned(format!("{} {words}", error.text("code").unwrap_or_default()).trim().to_owned())
    });
    let all: Vec<Text<'a>> = first.into_iter().chain(more).collect();
    Some(Cow::Owned(all.iter().map(|words| words.trim_end_matches('.')).filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ")))
}

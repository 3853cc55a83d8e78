//! Statuses of our messages, and errors that stand beside them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{self, Who};
use super::errors;
use super::inbound::Place;
use crate::contract::event::Severity;
use crate::contract::*;
use crate::kit::address as uri;
use crate::kit::borrow::{List, Maybe, Word};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow)]
    id: Word<'a>,
    #[serde(borrow)]
    status: Word<'a>,
    #[serde(borrow, rename = "type")]
    kind: Word<'a>,
    #[serde(borrow)]
    timestamp: Word<'a>,
    #[serde(borrow)]
    recipient_id: Word<'a>,
    #[serde(borrow)]
    recipient_user_id: Word<'a>,
    #[serde(borrow)]
    recipient_type: Word<'a>,
    #[serde(borrow)]
    recipient_participant_id: Word<'a>,
    #[serde(borrow)]
    recipient_participant_user_id: Word<'a>,
    #[serde(borrow)]
    biz_opaque_callback_data: Word<'a>,
    #[serde(borrow)]
    errors: List<Maybe<Error<'a>>>,
}

/// An error as webhooks write it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Error<'a> {
    #[serde(borrow)]
    code: Word<'a>,
    #[serde(borrow)]
    title: Word<'a>,
    #[serde(borrow)]
    message: Word<'a>,
}

/// One of `statuses[]`.
pub(super) fn status<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let Ok(Maybe(Some(status))) = serde_json::from_str::<Maybe<Status<'a>>>(raw.get()) else {
        return Err("a status that is not an object".into());
    };
    let time = address::time_of(&status.timestamp);
    let member = Who::of(status.recipient_participant_id.0.clone(), status.recipient_participant_user_id.0.clone()).address();
    let (id, word) = (status.id.or_empty(), status.status.or_empty());
    let suffix = [&status.recipient_participant_id, &status.recipient_participant_user_id].into_iter().find_map(Word::words);
    let key = match suffix {
        Some(member) => format!("{id}:{word}:{member}"),
        None => format!("{id}:{word}"),
    };
    let peer = peer(&status);
    let state = match word {
        "sent" => State::Sent,
        "delivered" => State::Delivered,
        "read" | "played" => State::Read,
        "failed" => State::Failed,
        _ => return Ok(place.provider(format!("status.{word}"), place.fingerprint(raw.get()), peer, time, raw)),
    };
    if status.kind.or_empty() == "call" || id.is_empty() {
        return Ok(place.provider("status", place.fingerprint(raw.get()), peer, time, raw));
    }
    let mut receipt = Receipt::new(status.id.0.clone().unwrap_or_default(), state);
    receipt.message_id = status.biz_opaque_callback_data.words().cloned();
    receipt.at = time;
    receipt.recipient = member.map(Text::Owned);
    receipt.detail = (word == "played").then_some("played".into());
    if state == State::Failed {
        let error = status.errors.0.iter().find_map(|error| error.0.as_ref());
        receipt.error = Some(error.map_or_else(
            || Reason::new(ErrorClass::Unknown, "unexplained", "It failed, and WhatsApp does not say why."),
            |error| errors::told(error.code.or_empty(), error.title.words().or(error.message.words()).map(|text| &**text)),
        ));
    }
    Ok(place.event(key, peer, time, Body::Receipt(receipt)))
}

fn peer(status: &Status<'_>) -> String {
    let number = status.recipient_id.0.clone();
    let who = Who::of(number.clone(), status.recipient_user_id.0.clone());
    if status.recipient_type.or_empty() == "group" {
        return number.map(|group| uri::address("whatsapp", &group)).unwrap_or_default();
    }
    who.address().or_else(|| Some(uri::address("whatsapp", status.recipient_id.words()?))).unwrap_or_default()
}

/// One of `errors[]` beside the messages: it concerns the number, not a message.
pub(super) fn error<'a>(place: &Place<'a>, raw: &'a RawValue) -> Event<'a> {
    let error = serde_json::from_str::<Maybe<Error<'a>>>(raw.get()).ok().and_then(|error| error.0).unwrap_or_default();
    let words = error.title.words().or(error.message.words()).cloned();
    let text = words.unwrap_or(Text::Borrowed("WhatsApp reports an error without a title."));
    place.notice("provider_error", Severity::Error, text, raw)
}

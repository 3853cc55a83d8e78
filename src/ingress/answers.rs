//! What people write on channels without buttons, matched to the options we offered: `2`, its title, or its emoji becomes the
//! `choice` that a button would have brought. What it cannot tell stays the text it was.

use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::event::{Received, ReplyTo};
use fairway_adapters::contract::part::{Choice, ChoiceKind, ChoiceOption};
use fairway_adapters::contract::{Body, Event, Part, Raw, State, Text};
use fairway_adapters::kit::choices::matched;

use tokio::time::Instant;

use crate::channels::{Channel, Worded};
use crate::consent::words::{self, Said};
use crate::store::{Filter, Message, Store};

/// A longer text is no answer to a list.
const LONGEST: usize = 80;
/// Messages of ours that are looked at. Numbers belong to the last; titles may belong to one before.
const BACK: usize = 4;
/// A delivery waits so long for all its answers: a store that is slower says nothing.
pub const WAIT: Duration = Duration::from_millis(500);
/// The name in `extra` of what the person wrote.
const WRITTEN: &str = "answer";

/// Finds out what was meant.
pub struct Answers {
    worded: Worded,
    store: Arc<dyn Store>,
}

impl Answers {
    /// Looks up what was offered in this store.
    pub fn new(worded: Worded, store: Arc<dyn Store>) -> Self {
        Self { worded, store }
    }

    /// Makes a choice of a text that answers a question of ours. All texts of a delivery share the time it may take.
    pub async fn take(&self, channel: &Channel, event: &mut Event<'_>, until: Instant) {
        if !self.worded.has(&channel.id) {
            return;
        }
        let Some(written) = answer_in(&event.body).map(str::to_owned) else { return };
        // A STOP that somebody types is one, whatever our options are called.
        if words::said(&written) == Some(Said::Stop) {
            return;
        }
        let filter = Filter { conversation: Some(format!("{}/{}", channel.id, event.peer)), limit: BACK, ..Filter::default() };
        let Ok(Ok(messages)) = tokio::time::timeout_at(until, self.store.messages(filter)).await else { return };
        let there = |m: &&Message| matches!(m.state, State::Sent | State::Delivered | State::Read | State::InDoubt);
        for (back, message) in messages.iter().filter(there).enumerate() {
            let options = options_of(message);
            // A number means the list above it, and nothing before another message of ours.
            let picked = matched(&options, &written).filter(|_| back == 0 || written.chars().any(char::is_alphabetic));
            if let (Some(option), Body::Received(received)) = (picked, &mut event.body) {
                return choose(received, option, &written, message);
            }
        }
    }
}

/// The text of a message that may be an answer.
fn answer_in<'e>(body: &'e Body<'_>) -> Option<&'e str> {
    let Body::Received(received) = body else { return None };
    match received.message.parts.as_slice() {
        [Part::Text(text)] if received.message.history != Some(true) && text.text.chars().count() <= LONGEST => Some(text.text.trim()),
        _ => None,
    }
}

fn options_of(message: &Message) -> Vec<ChoiceOption<'static>> {
    let parts = message.request.as_ref().and_then(|r| r.get("parts")).cloned().unwrap_or_default();
    let parts: Vec<Part<'static>> = serde_json::from_value(parts).unwrap_or_default();
    let mut asked = parts.into_iter().filter_map(|part| match part {
        Part::Choices(choices) => Some(choices.options),
        Part::Card(card) => Some(card.options),
        _ => None,
    });
    // Two lists in one message both begin with 1.
    match (asked.next(), asked.next()) {
        (Some(options), None) => options,
        _ => Vec::new(),
    }
}

fn choose(received: &mut Received<'_>, option: &ChoiceOption<'static>, written: &str, message: &Message) {
    let choice = Choice { kind: ChoiceKind::List, id: option.id.clone(), title: Some(option.title.clone()), values: Vec::new() };
    received.message.parts = vec![Part::Choice(choice)];
    let reply_to = received.message.reply_to.get_or_insert_with(ReplyTo::default);
    reply_to.message_id.get_or_insert_with(|| Text::Owned(message.id.clone()));
    if reply_to.id.is_none() {
        reply_to.id = message.provider_message_id.clone().map(Text::Owned);
    }
    received.extra.push(WRITTEN, Raw::of(written));
}

/// Whether an event that reads as a text now was matched when it came: then it is no different.
pub fn was_matched(before: &str, now: &str) -> bool {
    let read = |data: &str| serde_json::from_str::<serde_json::Value>(data).unwrap_or_default();
    let (before, now) = (read(before), read(now));
    let written = before.pointer(&format!("/extra/{WRITTEN}")).and_then(|w| w.as_str());
    before.pointer("/message/parts/0/type").is_some_and(|kind| kind == "choice")
        && now.pointer("/message/parts/0/text").and_then(|t| t.as_str()).map(str::trim) == written
        && written.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_matched_is_no_correction() {
        let before = r#"{"message":{"parts":[{"type":"choice","kind":"list","id":"b"}]},"extra":{"answer":"2"}}"#;
        assert!(was_matched(before, r#"{"message":{"parts":[{"type":"text","text":"2 "}]}}"#));
        assert!(!was_matched(before, r#"{"message":{"parts":[{"type":"text","text":"3"}]}}"#));
        assert!(!was_matched(
            r#"{"message":{"parts":[{"type":"choice","id":"b"}]}}"#,
            r#"{"message":{"parts":[{"type":"text","text":"2"}]}}"#
        ));
    }
}

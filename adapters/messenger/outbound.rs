//! Messages as calls of the Send API (send-messages, templates, quick replies, read 2026-11-20).

use serde_json::{Value, json};

use super::{Channel, FACTS, KIND, templates};
use crate::contract::*;
use crate::kit::address;
use crate::kit::inbox::send::{self, Sender};

/// The `recipient` of an address.
pub(super) fn recipient(to: &str) -> Option<Value> {
    let id = to.strip_prefix("messenger:")?;
    let (name, id) = match id.split_once('/') {
        None => ("id", id),
        Some(("user_ref", id)) => ("user_ref", id),
        Some(("comment", id)) => ("comment_id", id),
        Some(("post", id)) => ("post_id", id),
        Some(_) => return None,
    };
    let id = address::unescape(id);
    let plain = !id.is_empty() && !id.contains(char::is_whitespace) && !id.starts_with('+');
    plain.then(|| json!({ name: id }))
}

/// The calls that bring a message to Messenger.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let Some(recipient) = recipient(message.to) else {
        let problem = "expected `messenger:PSID`, `messenger:comment/ID`, `messenger:post/ID` or `messenger:user_ref/REF`";
        return Err(RenderError::new("#/to", "address_invalid", problem));
    };
    let sender = Sender {
        kind: KIND,
        text: FACTS.text,
        full: true,
        files: None,
        url: channel.url("/messages"),
        upload: None,
        authorised: &|call| channel.authorised(call),
        template: templates::body,
        feeling: |emoji| Some(feeling(emoji)),
    };
    send::render(&sender, recipient, message)
}

/// The platform's word for a feeling; an emoji without one goes as it is.
fn feeling(emoji: &str) -> &str {
    match emoji.trim_end_matches('\u{fe0f}') {
        "❤" | "😍" => "love",
        "😆" | "😂" | "😀" | "😄" => "smile",
        "😮" => "wow",
        "😢" => "sad",
        "😠" | "😡" => "angry",
        "👍" => "like",
        "👎" => "dislike",
        _ => emoji,
    }
}

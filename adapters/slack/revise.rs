//! Messages changed and taken back: docs.slack.dev/reference/methods/chat.update and chat.delete, read 2026-11-29.

use serde_json::{Value, json};

use super::{Channel, blocks, is_id, markup, outbound};
use crate::contract::*;
use crate::kit::{revise, text};

/// What chat.update takes of what chat.postMessage does.
const TAKEN: &[&str] = &["text", "blocks", "markdown_text", "attachments", "metadata", "link_names", "parse", "reply_broadcast"];
/// What would make words bold, struck or quoted.
const MARKS: [&str; 5] = ["*", "_", "~", "`", "&gt;"];

/// The call that changes a message, or takes it back.
pub(super) fn revise(channel: &Channel, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    // A person's id stands for direct messages in posting alone, so the message's own id says where it is.
    let named = sent.provider_id.split_once(':').filter(|(place, ts)| is_id(place) && super::inbound::stamp(ts).is_some());
    let (Some((place, ts)), Some(_)) = (named, outbound::channel_of(sent.to)) else {
        return Err(RenderError::no_message("the id of a Slack message, `CHANNEL:TS`; an uploaded file and a scheduled message have none"));
    };
    let named = json!({ "channel": place, "ts": ts });
    let Revision::Edit(edit) = revision else { return Ok(channel.method("chat.delete", &named)) };
    let call = revise::rendered(channel, edit, None, cx)?;
    if !call.url.ends_with("/chat.postMessage") {
        return Err(revise::refused(
            "Slack changes what a message says and shows; files, reactions and messages for one person alone stay as they are",
        ));
    }
    let mut given = revise::fields(&call);
    let plain = given.remove("mrkdwn") == Some(Value::Bool(false));
    given.retain(|name, _| TAKEN.contains(&name.as_str()));
    let words = given.get("text").and_then(Value::as_str).map(str::to_owned);
    if let Some(words) = words.filter(|_| !given.contains_key("blocks")) {
        // Left out, blocks of before might stay. Only a block can say that words have no marks.
        let marked = plain && MARKS.iter().any(|mark| words.contains(mark));
        let list = if marked { unmarked(&words) } else { json!([]) };
        given.insert("blocks".into(), list);
    }
    let mut body = named;
    crate::kit::spoken::merge(&mut body, &given);
    Ok(channel.method("chat.update", &body))
}

/// Escaped words as blocks without marks.
fn unmarked(words: &str) -> Value {
    let bare = markup::unescape(words);
    text::split(&bare, blocks::SECTION, Unit::Chars)
        .into_iter()
        .map(|piece| json!({ "type": "section", "text": { "type": "plain_text", "text": piece } }))
        .collect()
}

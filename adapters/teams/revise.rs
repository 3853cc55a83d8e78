//! Messages changed and taken back: learn.microsoft.com/microsoftteams/platform/bots/how-to/update-and-delete-bot-messages, read
//! 2026-11-29. A message may become one of another kind; what was a card may be words from now on.

use http::Method;
use serde_json::Value;

use super::Channel;
use super::place::{self, Place};
use crate::contract::*;
use crate::kit::address::escape;
use crate::kit::revise;

/// The call that changes a message, or takes it back.
pub(super) fn revise(channel: &Channel, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let wrong = || RenderError::no_message("the id of a Teams message, `CONVERSATION|ID`");
    let (there, id) = sent.provider_id.rsplit_once('|').filter(|(there, id)| !there.is_empty() && !id.is_empty()).ok_or_else(wrong)?;
    // A person has no messages, the conversation with them has; its name stands in the message's id.
    let conversation = match place::parse(sent.to, sent.thread).ok_or_else(wrong)? {
        Place::Conversation(id) => id,
        Place::User(_) => there.to_owned(),
    };
    let base = channel.connector(sent.handle);
    let url = format!("{base}/v3/conversations/{}/activities/{}", place::encoded(&conversation), place::encoded(id));
    let Revision::Edit(edit) = revision else { return Ok(channel.authorised(Call::new(Method::DELETE, url), cx)) };
    let address = format!("teams:{}", escape(there));
    let here = Outbound { to: &address, thread: None, ..*edit };
    let call = revise::rendered(channel, &here, sent.handle, cx)?;
    let mut body = revise::fields(&call);
    if body.get("type").and_then(Value::as_str) != Some("message") {
        return Err(revise::refused("Teams changes what a message says and shows; reactions and typing are no messages"));
    }
    body.insert("id".into(), id.into());
    Ok(Call { method: Method::PUT, url, ..call }.bytes(Value::from(body).to_string()))
}

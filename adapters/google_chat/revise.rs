//! Messages changed and taken back: developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/patch and delete, read
//! 2026-11-29. An app may do so with its own messages.

use http::Method;
use serde_json::Value;

use super::Channel;
use crate::contract::*;
use crate::kit::revise;

/// What the answer to a call of these is told by.
pub(super) const EDIT: &str = "edit";
pub(super) const RECALL: &str = "recall";

/// The call that changes a message, or takes it back.
pub(super) fn revise(channel: &Channel, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let good = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let named = sent
        .provider_id
        .strip_prefix("spaces/")
        .and_then(|rest| rest.split_once("/messages/"))
        .filter(|(space, id)| good(space) && good(id));
    let Some((space, _)) = named else {
        return Err(RenderError::no_message("the name of a Google Chat message, `spaces/SPACE/messages/MESSAGE`"));
    };
    let url = format!("{}/v1/{}", channel.base(), sent.provider_id);
    let Revision::Edit(edit) = revision else {
        return Ok(channel.authorised(Call::new(Method::DELETE, url), cx).then(RECALL));
    };
    // A person's direct messages need not be found again: the message's name says which space they are.
    let address = format!("gchat:spaces/{space}");
    let here = Outbound { to: &address, thread: None, ..*edit };
    let call = revise::rendered(channel, &here, None, cx)?;
    let mut body = revise::fields(&call);
    body.retain(|name, _| ["text", "cardsV2", "accessoryWidgets"].contains(&name.as_str()));
    // What the mask names and the body lacks is taken away: the new words or the new card stand alone.
    let mask = if body.contains_key("accessoryWidgets") { "text,cardsV2,accessoryWidgets" } else { "text,cardsV2" };
    let call = Call { method: Method::PATCH, url: format!("{url}?updateMask={mask}"), ..call };
    Ok(call.bytes(Value::from(body).to_string()).then(EDIT))
}

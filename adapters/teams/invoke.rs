//! Invokes: presses that want an answer at once.

use std::borrow::Cow;

use serde_json::json;

use super::content::{ours, value};
use super::inbound::Activity;
use super::place;
use crate::contract::event::*;
use crate::contract::part::{Choice, ChoiceKind};
use crate::contract::*;

/// Reads an invoke and answers it.
pub(super) fn read<'a>(activity: &Activity<'_, 'a>, parsed: &mut Parsed<'a>) -> Result<(), String> {
    let name = activity.fields.words("name").unwrap_or_default();
    let answer = if name == "adaptiveCard/action" {
        json!({ "statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "Received" })
    } else {
        json!({})
    };
    parsed.ack = Ack { content_type: Some("application/json"), body: Cow::Owned(answer.to_string().into_bytes()), ..Ack::default() };
    let inside = activity.fields.object("value").unwrap_or_default();
    let part = match &*name {
        // A card that renews itself asks for its new looks: nobody pressed anything.
        "adaptiveCard/action" if inside.text("trigger").as_deref() == Some("automatic") => {
            parsed.events.push(activity.provider("adaptiveCard/refresh"));
            return Ok(());
        }
        "adaptiveCard/action" => {
            let action = inside.object("action").unwrap_or_default();
            let (verb, title) = (action.words("verb"), action.words("title"));
            match action.raw("data").filter(|raw| raw.get() != "{}") {
                Some(data) => match value(data, None, ChoiceKind::Button) {
                    Part::Form(form) => Part::Form(part::Form { name: verb.or(title), ..form }),
                    Part::Choice(choice) => Part::Choice(Choice { title: choice.title.or(title), ..choice }),
                    part => part,
                },
                None => {
                    Part::Choice(Choice { kind: ChoiceKind::Button, id: verb.or_else(|| action.words("id")), title, values: Vec::new() })
                }
            }
        }
        "suggestedActions/submit" => match activity.fields.raw("value") {
            Some(raw) => value(raw, None, ChoiceKind::QuickReply),
            None => return Err("a suggested action without a value".into()),
        },
        // Where a file may go stays in the gateway: the address works for whoever has it.
        "fileConsent/invoke" => {
            let file = inside.object("uploadInfo").and_then(|info| info.words("name"));
            Part::Choice(Choice { kind: ChoiceKind::Button, id: inside.words("action"), title: file, values: Vec::new() })
        }
        // What was filled in: a dialog, a command above the message field, an opinion of an answer.
        "task/submit" | "config/submit" | "tab/submit" => Part::Form(part::Form { name: None, fields: inside.kept("data") }),
        "composeExtension/submitAction" => Part::Form(part::Form { name: inside.words("commandId"), fields: inside.kept("data") }),
        "message/submitAction" => Part::Form(part::Form { name: inside.words("actionName"), fields: inside.kept("actionValue") }),
        "actionableMessage/executeAction" => Part::Form(part::Form { name: inside.words("actionId"), fields: inside.kept("body") }),
        other => {
            let kind = if other.is_empty() { "invoke" } else { other };
            parsed.events.push(activity.provider(kind));
            return Ok(());
        }
    };
    let mut extra = Extra::default();
    extra.push("name", Raw::of(&*name));
    adapter::keep(&mut extra, "context", inside.kept("context"));
    // A button's words beside the fields that it sent.
    if let (Part::Form(form), Some(title)) = (&part, inside.object("action").and_then(|action| action.words("title")))
        && form.name.as_ref() != Some(&title)
    {
        extra.push("title", Raw::of(&*title));
    }
    let conversation = activity.conversation();
    let reply_to =
        activity.fields.words("replyToId").map(|id| ReplyTo { id: Some(place::message(&conversation, &id).into()), ..ReplyTo::default() });
    let id = activity.id().ok_or("an invoke without `id`")?;
    let message =
        Message { id: id.into(), sent_at: activity.time(), parts: vec![part], reply_to, group: activity.group(), ..Message::default() };
    let body = Received { from: activity.who()?, to: ours(activity), message, extra, ..Received::default() };
    parsed.events.push(activity.made("", Body::Received(body)));
    Ok(())
}

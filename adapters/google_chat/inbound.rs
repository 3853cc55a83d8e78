//! What Google Chat delivers: an add-on's event, a classic event, or a Workspace event pushed to the same address.

use std::borrow::Cow;

use super::content::{Click, Scene};
use super::{classic, events};
use crate::contract::*;
use crate::kit::object::Object;

/// Says what a delivery means. The answer to all of them is an empty object: we write later, by the API.
pub(super) fn parse<'a>(hook: &Verified<'a>) -> Parsed<'a> {
    let ack = Ack { content_type: Some("application/json"), body: Cow::Borrowed(b"{}"), ..Ack::default() };
    let mut parsed = Parsed { ack, ..Parsed::default() };
    let Some(text) = hook.text() else {
        parsed.leave("the body is not UTF-8");
        return parsed;
    };
    let Some(fields) = Object::parse(text) else {
        parsed.leave("the body is not a JSON object");
        return parsed;
    };
    let pushed = fields.object("message").filter(|message| message.has("data") && (message.has("attributes") || message.has("messageId")));
    let done = match pushed {
        Some(message) => events::parse(&message, &mut parsed),
        None => interaction(&fields, &mut parsed),
    };
    if let Err(reason) = done {
        parsed.leave(reason);
    }
    parsed
}

/// An interaction event in either format.
pub(super) fn interaction<'a>(fields: &Object<'a>, parsed: &mut Parsed<'a>) -> Result<(), String> {
    match fields.object("chat") {
        Some(chat) => addon(fields, &chat, parsed),
        None => classic::parse(fields, parsed),
    }
}

/// A provider's word, cut where it is too long for a sentence.
pub(super) fn short(word: &str) -> String {
    word.chars().take(64).collect()
}

/// The page of the app itself, opened or filled in: only there the event says its type (send-app-home-card-message, read 2026-11-30).
fn home<'a>(common: &Object<'a>, chat: &Object<'a>, parsed: &mut Parsed<'a>) -> Result<(), String> {
    let scene = Scene {
        user: chat.object("user"),
        space: chat.object("space").unwrap_or_default(),
        message: None,
        time: chat.text("eventTime"),
        locale: common.words("userLocale"),
        zone: common.kept("timeZone"),
    };
    match chat.text("type").as_deref() {
        Some("APP_HOME") => parsed.events.push(scene.provider("APP_HOME".into(), chat.without(&[]))),
        Some("SUBMIT_FORM") => {
            let click = Click { inputs: common.kept("formInputs"), function: common.words("invokedFunction"), ..Click::default() };
            let click = Click { parameters: common.object("parameters").unwrap_or_default(), ..click };
            parsed.events.push(scene.clicked(&click)?);
        }
        _ => return Err("a `chat` event without a payload".into()),
    }
    Ok(())
}

/// The format of Workspace add-ons: what happened is the name of the payload that is there.
fn addon<'a>(fields: &Object<'a>, chat: &Object<'a>, parsed: &mut Parsed<'a>) -> Result<(), String> {
    let common = fields.object("commonEventObject").unwrap_or_default();
    let found = chat.0.iter().find(|(name, raw)| name.ends_with("Payload") && raw.get() != "null");
    let Some((kind, raw)) = found else { return home(&common, chat, parsed) };
    let payload = Object::parse(raw.get()).ok_or_else(|| format!("`{}` is not an object", short(kind)))?;
    let scene = Scene {
        user: chat.object("user").or_else(|| payload.object("user")),
        space: payload.object("space").or_else(|| payload.object("message")?.object("space")).unwrap_or_default(),
        message: payload.raw("message"),
        time: chat.text("eventTime"),
        locale: common.words("userLocale"),
        zone: common.kept("timeZone"),
    };
    match &**kind {
        "messagePayload" => parsed.events.push(scene.message()?),
        "addedToSpacePayload" => parsed.events.push(scene.added()),
        "removedFromSpacePayload" => parsed.events.push(scene.removed()),
        "appCommandPayload" => {
            let about = payload.object("appCommandMetadata").unwrap_or_default();
            parsed.events.push(scene.command(about.int("appCommandId"), about.words("appCommandType"))?);
        }
        "buttonClickedPayload" => {
            let click = Click {
                inputs: common.kept("formInputs"),
                function: common.words("invokedFunction"),
                dialog: payload.words("dialogEventType"),
                ..Click::default()
            };
            let click = Click { parameters: common.object("parameters").unwrap_or_default(), ..click };
            match &click.dialog {
                Some(kind) if kind == "CANCEL_DIALOG" => parsed.events.push(scene.provider("CANCEL_DIALOG".into(), Raw::borrowed(raw))),
                _ => parsed.events.push(scene.clicked(&click)?),
            }
        }
        "widgetUpdatedPayload" => parsed.events.push(scene.provider(kind.clone(), Raw::borrowed(raw))),
        unknown => return Err(format!("an event of the unknown kind `{}`", short(unknown))),
    }
    Ok(())
}

//! The classic format of interaction events: `type` says what happened.

use super::content::{Click, Scene};
use super::inbound::short;
use crate::contract::*;
use crate::kit::object::Object;

/// Works like a credential, or is one.
const SECRET: &[&str] = &["token", "configCompleteRedirectUrl", "configCompleteRedirectUri", "authorizationEventObject"];

pub(super) fn parse<'a>(fields: &Object<'a>, parsed: &mut Parsed<'a>) -> Result<(), String> {
    let kind = fields.words("type").ok_or("a delivery that is neither an event of an add-on nor a classic one")?;
    let common = fields.object("common").unwrap_or_default();
    let scene = Scene {
        user: fields.object("user"),
        space: fields.object("space").or_else(|| fields.object("message")?.object("space")).unwrap_or_default(),
        message: fields.raw("message"),
        time: fields.text("eventTime"),
        locale: common.words("userLocale"),
        zone: common.kept("timeZone"),
    };
    match &*kind {
        "MESSAGE" => parsed.events.push(scene.message()?),
        "ADDED_TO_SPACE" => {
            parsed.events.push(scene.added());
            // Taken in by being mentioned: what was said comes along.
            if scene.message.is_some() {
                parsed.events.push(scene.message()?);
            }
        }
        "REMOVED_FROM_SPACE" => parsed.events.push(scene.removed()),
        "APP_COMMAND" => {
            let about = fields.object("appCommandMetadata").unwrap_or_default();
            parsed.events.push(scene.command(about.int("appCommandId"), about.words("appCommandType"))?);
        }
        "CARD_CLICKED" | "SUBMIT_FORM" => {
            let action = fields.object("action").unwrap_or_default();
            let click = Click {
                parameters: common.object("parameters").unwrap_or_default(),
                listed: action.objects("parameters"),
                inputs: common.kept("formInputs"),
                function: common.words("invokedFunction").or_else(|| action.words("actionMethodName")),
                dialog: fields.words("dialogEventType"),
            };
            match &click.dialog {
                Some(dialog) if dialog == "CANCEL_DIALOG" => parsed.events.push(scene.provider(dialog.clone(), fields.without(SECRET))),
                _ => parsed.events.push(scene.clicked(&click)?),
            }
        }
        "APP_HOME" | "WIDGET_UPDATED" => parsed.events.push(scene.provider(kind.clone(), fields.without(SECRET))),
        unknown => return Err(format!("an event of the unknown type `{}`", short(unknown))),
    }
    Ok(())
}

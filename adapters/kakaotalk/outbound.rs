//! Which surface carries a message: the callback of the person's turn, the Event API, or a business message.

use serde_json::{Value, json};

use super::components::Writer;
use super::skill::{CONTENT, OUR_ID, may_call};
use super::{Channel, business};
use crate::contract::*;
use crate::kit::{address, words};

/// The calls that bring a message to KakaoTalk.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, _cx: &Context<'_>) -> Result<Rendered, RenderError> {
    if let Some(number) = message.to.strip_prefix("tel:") {
        if !address::is_e164(number) {
            return Err(RenderError::new("#/to", "address_invalid", "a number is written as tel:+821000000000"));
        }
        return match message.template {
            Some(template) => business::alimtalk(channel, number, template, message),
            None if message.category == Category::Marketing => business::brand(channel, number, message),
            None => {
                let problem = "a number gets a template (AlimTalk), or advertising (`category: marketing`, Brand Message)";
                Err(RenderError::new("#/template", "template_required", problem))
            }
        };
    }
    let Some(person) = person(message.to) else {
        let problem = "expected `kakaotalk:` and a key of this bot, `kakaotalk:group/KEY`, or `tel:+82...`";
        return Err(RenderError::new("#/to", "address_invalid", problem));
    };
    if message.template.is_some() {
        return Err(RenderError::new("#/template", "template_not_supported", "templates go to numbers: `tel:+82...`"));
    }
    if message.parts.is_empty() && !message.native.contains_key("template") {
        return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, or a `native` with its `template`"));
    }
    let room = person["type"] == "botGroupKey";
    let mut writer = Writer::new(channel, room);
    if message.reply_to.is_some() && !message.parts.is_empty() {
        let why = "a chatbot cannot quote".into();
        writer.out.downgrades.push(Downgrade { part: 0, from: "quote".into(), into: "message".into(), why });
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    let mut templates = writer.templates();
    if templates.is_empty() {
        templates.push(json!({ "outputs": [] }));
        writer.out.shown.push("[native]".into());
    }
    let mut out = writer.out;
    let mut turn = message.handle.filter(|handle| may_call(handle) || waiting::place(handle).is_some());
    for template in templates {
        let call = match turn.take() {
            Some(handle) => answer(channel, handle, &template, message),
            None => event(channel, &person, room, &template, message)?,
        };
        out.calls.push(call);
    }
    out.cost = u32::try_from(out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(out)
}

/// Whom the Event API calls what.
fn person(to: &str) -> Option<Value> {
    let id = to.strip_prefix("kakaotalk:")?;
    let (kind, id) = match id.split_once('/') {
        None => ("botUserKey", id),
        Some(("plusfriend", id)) => ("plusfriendUserKey", id),
        Some(("app", id)) => ("appUserId", id),
        Some(("group", id)) => ("botGroupKey", id),
        Some(_) => return None,
    };
    let id = address::unescape(id);
    (!id.is_empty() && !id.contains(char::is_whitespace)).then(|| json!({ "type": kind, "id": id }))
}

/// The person's turn, answered once: in the response that their screen waits for, or by callback. The address of the callback works
/// like a credential.
fn answer(channel: &Channel, url: &str, template: &Value, message: &Outbound<'_>) -> Call {
    let mut body = json!({ "version": "2.0", "template": template });
    words::merge(&mut body, message.native);
    if let Some((place, _)) = waiting::place(url) {
        return Call::json(place, &body);
    }
    let url = address::stand_in(url, channel.settings.api_base.as_deref(), &["kakao.com"]);
    let (base, secret) = url.split_once("/callback/").unwrap_or((&url, ""));
    Call::json(format!("{base}/callback/{{secret}}"), &body).url_secret(secret)
}

/// Our own turn: the event's block calls the skill, and the content that travels with the event is what it answers.
fn event(channel: &Channel, person: &Value, room: bool, template: &Value, message: &Outbound<'_>) -> Result<Call, RenderError> {
    let settings = &channel.settings;
    let (Some(bot), Some(key), Some(name)) = (&settings.bot_id, &settings.rest_api_key, &settings.event_name) else {
        let problem = "this person's last turn is over, and the channel has no Event API (`rest_api_key`, `event_name`)";
        return Err(RenderError::new("#/to", "no_reply_handle", problem));
    };
    let mut body = json!({
        "event": { "name": name },
        "params": { CONTENT: template.to_string(), OUR_ID: message.id },
    });
    let (path, whom) = if room { ("group", "chat") } else { ("talk", "user") };
    body[whom] = json!([person]);
    words::merge(&mut body, message.native);
    let call = Call::json(format!("{}/v2/bots/{}/{path}", channel.bot_base, address::escape(bot)), &body);
    Ok(call.secret_header("authorization", format!("KakaoAK {}", key.reveal())))
}

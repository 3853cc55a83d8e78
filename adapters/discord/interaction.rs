//! Interactions: commands, presses, menus, forms. Each wants an answer at once, and brings a token to answer with later.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::inbound::{account, made, short};
use super::{Channel, content, place};
use crate::contract::event::*;
use crate::contract::part::{Choice, ChoiceKind, Form};
use crate::contract::*;
use crate::kit::object::{self, Object};

/// discord.com/developers/docs/interactions/receiving-and-responding, read 2026-11-20.
const TOKEN_MS: i64 = 15 * 60_000;
const FOLLOW_UPS: u16 = 5;

/// Reads an interaction and answers it.
pub(super) fn read<'a>(channel: &Channel, fields: &Object<'a>, now: Time, parsed: &mut Parsed<'a>) -> Result<(), String> {
    let kind = fields.int("type").ok_or("a delivery without a type")?;
    if kind == 1 {
        parsed.ack = answer(&json!({ "type": 1 }));
        return Ok(());
    }
    let call = Interaction::read(channel, fields)?;
    let private = if channel.settings.private_answers { json!({ "flags": 64 }) } else { json!({}) };
    let data = fields.object("data").unwrap_or_default();
    let part = match kind {
        2 => call.command(&data),
        3 => call.pressed(&data),
        4 => {
            parsed.ack = answer(&json!({ "type": 8, "data": { "choices": [] } }));
            let raw = fields.without(&["token"]);
            let body = Body::Provider(ProviderEvent { provider_type: "autocomplete".into(), raw });
            parsed.events.push(made(
                account(channel, fields),
                Some(call.id.clone().into_owned()),
                call.peer(),
                place::time(&call.id),
                body,
            ));
            return Ok(());
        }
        5 => vec![form(&data)],
        other => return Err(format!("an interaction of the unknown type {other}")),
    };
    // A press is taken silently; a command or a form shows that we think about it, until the answer takes that place.
    parsed.ack = answer(&if kind == 3 { json!({ "type": 6 }) } else { json!({ "type": 5, "data": private }) });
    parsed.handles.extend(call.handle(kind, now));
    let mut parts = part;
    parts.extend(attachments(&data));
    parsed.events.push(call.received(parts, &data));
    Ok(())
}

/// An interaction from the socket: there is no request to answer, so the answer is a call of ours.
pub(super) fn read_dispatched<'a>(channel: &Channel, fields: &Object<'a>, now: Time, parsed: &mut Parsed<'a>) -> Result<(), String> {
    read(channel, fields, now, parsed)?;
    let answer = std::mem::take(&mut parsed.ack).body;
    if let (Some(id), Some(token)) = (fields.words("id"), fields.words("token")) {
        parsed.owed.push(channel.called_back(&id, &token, answer.into_owned()));
    }
    Ok(())
}

fn answer<'a>(body: &Value) -> Ack<'a> {
    Ack { content_type: Some("application/json"), body: Cow::Owned(body.to_string().into_bytes()), ..Ack::default() }
}

struct Interaction<'i, 'a> {
    channel: &'i Channel,
    fields: &'i Object<'a>,
    id: Text<'a>,
    from: Person<'a>,
    place: Option<Text<'a>>,
}

impl<'i, 'a> Interaction<'i, 'a> {
    fn read(channel: &'i Channel, fields: &'i Object<'a>) -> Result<Self, String> {
        let id = fields.words("id").ok_or("an interaction without `id`")?;
        let member = fields.object("member");
        let user = member.as_ref().and_then(|member| member.object("user")).or_else(|| fields.object("user"));
        let person = user.and_then(|user| content::person(&user, member.as_ref())).ok_or("an interaction without a user")?;
        let from = Person { locale: fields.words("locale"), ..person };
        let place = fields.words("channel_id").or_else(|| fields.object("channel").and_then(|channel| channel.words("id")));
        Ok(Self { channel, fields, id, from, place })
    }

    fn peer(&self) -> String {
        self.place.as_deref().map_or_else(|| self.from.address.clone().into_owned(), place::channel)
    }

    /// What lets us answer: once in the place of what we show while we think, and several times where we are no member.
    fn handle(&self, kind: i64, now: Time) -> Option<Handle<'a>> {
        let token = self.fields.words("token")?;
        let owners = self.fields.object("authorizing_integration_owners").unwrap_or_default();
        // Installed in the server or spoken to directly, the bot can write there by itself.
        let member = owners.has("0") || self.fields.int("context") == Some(1);
        let (way, uses) = match (kind, member) {
            (3, true) => ("spare", FOLLOW_UPS),
            (_, true) => ("original", 1),
            (_, false) => ("follow", FOLLOW_UPS),
        };
        let until = place::time(&self.id).unwrap_or(now).plus(TOKEN_MS);
        let account = Some(account(self.channel, self.fields));
        Some(Handle { account, peer: self.peer().into(), value: format!("{way}:{token}").into(), until: Some(until), uses: Some(uses) })
    }

    fn received(&self, parts: Vec<Part<'a>>, data: &Object<'a>) -> Event<'a> {
        let origin = self.fields.object("message").unwrap_or_default();
        // A command on a message is about that message.
        let target = data.words("target_id").filter(|_| data.int("type") == Some(3));
        let resolved = data.object("resolved").unwrap_or_default();
        let words = target.as_ref().and_then(|id| resolved.object("messages")?.object(id)?.words("content"));
        let quoted = origin.words("id").or(target);
        let reply_to = quoted.map(|id| ReplyTo { id: Some(id), text: origin.words("content").or(words), ..ReplyTo::default() });
        let guild = self.fields.has("guild_id") || self.fields.int("context") == Some(2);
        let name = self.fields.object("channel").and_then(|channel| channel.words("name"));
        let time = place::time(&self.id);
        let mut extra = Extra::default();
        for name in ["guild_id", "context", "guild_locale"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        for name in ["options", "target_id", "custom_id"] {
            adapter::keep(&mut extra, name, data.kept(name));
        }
        let message = Message {
            id: self.id.clone(),
            sent_at: time,
            parts,
            reply_to,
            group: self.place.clone().filter(|_| guild).map(|id| Group { id, name }),
            ..Message::default()
        };
        let to = Some(place::user(&self.channel.settings.application_id).into());
        let respond_by = Some(time.unwrap_or_default().plus(TOKEN_MS)).filter(|_| time.is_some());
        let body = Received { from: self.from.clone(), to, message, respond_by, extra, ..Received::default() };
        made(account(self.channel, self.fields), Some(self.id.clone().into_owned()), self.peer(), time, Body::Received(body))
    }

    /// `/ticket open order:77`, or a command in the menu of a person or a message.
    fn command(&self, data: &Object<'a>) -> Vec<Part<'a>> {
        let name = data.words("name").unwrap_or_default();
        if matches!(data.int("type"), Some(2 | 3)) {
            let values = data.words("target_id").into_iter().collect();
            return vec![Part::Choice(Choice { kind: ChoiceKind::Shortcut, id: Some(name.clone()), title: Some(name), values })];
        }
        let (mut id, mut title, mut values) = (name.to_string(), format!("/{name}"), Vec::new());
        options(&data.objects("options"), &mut id, &mut title, &mut values);
        vec![Part::Choice(Choice { kind: ChoiceKind::Command, id: Some(id.into()), title: Some(title.into()), values })]
    }

    /// A button, or what was picked in a menu. The words on it stand in the message.
    fn pressed(&self, data: &Object<'a>) -> Vec<Part<'a>> {
        let custom = data.words("custom_id");
        let values: Vec<Text<'a>> = data.list("values").into_iter().filter_map(object::text).collect();
        let rows = self.fields.object("message").map(|message| message.list("components")).unwrap_or_default();
        if data.int("component_type").unwrap_or(2) == 2 {
            let title = rows.iter().find_map(|row| label(&Object::parse(row.get())?, custom.as_deref()?, 0));
            return vec![Part::Choice(Choice { kind: ChoiceKind::Button, id: custom, title, values })];
        }
        let first = values.first().cloned();
        let resolved = data.object("resolved").unwrap_or_default();
        let offered = |value: &str| rows.iter().find_map(|row| picked(&Object::parse(row.get())?, value, 0));
        let title = first.as_deref().and_then(|value| offered(value).or_else(|| named(&resolved, value)));
        let values = if values.len() > 1 { values } else { Vec::new() };
        vec![Part::Choice(Choice { kind: ChoiceKind::List, id: first.or(custom), title, values })]
    }
}

/// Sub-commands go into the name, options behind it.
fn options<'a>(list: &[Object<'a>], id: &mut String, title: &mut String, values: &mut Vec<Text<'a>>) {
    for option in list {
        let name = option.words("name").unwrap_or_default();
        if matches!(option.int("type"), Some(1 | 2)) {
            id.push_str(&format!(" {name}"));
            title.push_str(&format!(" {name}"));
            options(&option.objects("options"), id, title, values);
        } else if let Some(value) = option.raw("value").and_then(|raw| object::text(raw).or(Some(Cow::Borrowed(raw.get())))) {
            title.push_str(&format!(" {name}:{value}"));
            values.push(value);
        }
    }
}

/// How deep components stand in one another; a form is never deeper.
const DEPTH: usize = 6;

/// The words on the button with this id.
fn label<'a>(component: &Object<'a>, id: &str, depth: usize) -> Option<Text<'a>> {
    if component.text("custom_id").as_deref() == Some(id) {
        return component.words("label");
    }
    let inside = component.objects("components").into_iter().chain(component.object("accessory"));
    inside.into_iter().filter(|_| depth < DEPTH).find_map(|inside| label(&inside, id, depth + 1))
}

/// The words of the option with this value.
fn picked<'a>(component: &Object<'a>, value: &str, depth: usize) -> Option<Text<'a>> {
    let option = component.objects("options").into_iter().find(|option| option.text("value").as_deref() == Some(value));
    if let Some(option) = option {
        return option.words("label");
    }
    component.objects("components").into_iter().filter(|_| depth < DEPTH).find_map(|inside| picked(&inside, value, depth + 1))
}

/// The name of the person, role or channel that was picked: those menus offer no words of their own.
fn named<'a>(resolved: &Object<'a>, id: &str) -> Option<Text<'a>> {
    let found = |list: &str| resolved.object(list)?.object(id);
    let user = found("users").and_then(|user| user.words("global_name").or_else(|| user.words("username")));
    user.or_else(|| found("roles").or_else(|| found("channels"))?.words("name"))
}

/// A filled-in form: the fields by their ids, however deep they stand.
fn form<'a>(data: &Object<'a>) -> Part<'a> {
    fn walk(component: &Object<'_>, out: &mut Map<String, Value>, depth: usize) {
        if let Some(id) = component.words("custom_id") {
            let several: Vec<Text<'_>> = component.list("values").into_iter().filter_map(object::text).collect();
            let value = match component.raw("value").map(RawValue::get) {
                Some("true") => Some(Value::Bool(true)), // A tick in a box.
                Some("false") => Some(Value::Bool(false)),
                _ => component.text("value").map(|v| Value::from(v.into_owned())),
            };
            out.insert(id.into_owned(), value.unwrap_or_else(|| json!(several)));
        }
        let inside = component.objects("components").into_iter().chain(component.object("component"));
        inside.into_iter().filter(|_| depth < DEPTH).for_each(|inside| walk(&inside, out, depth + 1));
    }
    let mut fields = Map::new();
    data.objects("components").iter().for_each(|component| walk(component, &mut fields, 0));
    Part::Form(Form { name: data.words("custom_id").map(|id| short(&id).into()), fields: Some(Raw::of(&fields)) })
}

/// Files that came with a command or a form.
fn attachments<'a>(data: &Object<'a>) -> Vec<Part<'a>> {
    let files = data.object("resolved").and_then(|resolved| resolved.object("attachments")).unwrap_or_default();
    files.0.iter().filter_map(|(_, raw)| content::attachment(&Object::parse(raw.get())?, false)).collect()
}

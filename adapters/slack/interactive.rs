//! Presses, forms, shortcuts and slash commands. They come as forms, so nothing of them can be borrowed.

use std::borrow::Cow;

use super::inbound::{account, short, stamp};
use super::{Channel, markup};
use crate::contract::event::*;
use crate::contract::part::{Choice, ChoiceKind, Form};
use crate::contract::*;
use crate::kit::address::escape;
use crate::kit::object::{self, Object};
use crate::kit::{crypto, form};

/// docs.slack.dev/interactivity/handling-user-interaction, read 2026-11-20: five answers within half an hour.
const ANSWERS: u16 = 5;
const ANSWER_MS: i64 = 30 * 60_000;

/// Works like a credential, or is one: never part of an event.
pub(super) const SECRET: &[&str] =
    &["token", "trigger_id", "response_url", "response_urls", "bot_access_token", "interactivity", "function_data", "action_token"];

/// What interactions are called.
pub(super) const KINDS: &[&str] = &[
    "block_actions",
    "interactive_message",
    "view_submission",
    "view_closed",
    "shortcut",
    "message_action",
    "block_suggestion",
    "dialog_submission",
    "dialog_cancellation",
    "dialog_suggestion",
    "workflow_step_edit",
];

type Owned<'a> = Text<'a>;

/// Says what a form means.
pub(super) fn parse<'a>(channel: &Channel, body: &str, now: Time) -> Parsed<'a> {
    let fields = form::fields(body.as_bytes());
    let mut parsed = Parsed::default();
    if form::get(&fields, "ssl_check") == Some("1") {
        parsed.ack = Ack::text("");
        return parsed;
    }
    match form::get(&fields, "payload").map(Object::parse) {
        Some(Some(payload)) => read(channel, &payload, now, &mut parsed),
        Some(None) => parsed.leave("a `payload` that is not a JSON object"),
        None => {
            if let Err(reason) = command(channel, &fields, now, &mut parsed) {
                parsed.leave(reason);
            }
        }
    }
    parsed
}

/// Says what an interaction means.
pub(super) fn read(channel: &Channel, fields: &Object<'_>, now: Time, parsed: &mut Parsed<'_>) {
    if let Err(reason) = Payload::read(channel, fields, now).events(parsed) {
        parsed.leave(reason);
    }
}

fn owned<'a>(text: Option<Text<'_>>) -> Option<Owned<'a>> {
    text.map(|text| Cow::Owned(text.into_owned()))
}

fn person<'a>(team: &str, id: &str, username: Option<Text<'_>>) -> Person<'a> {
    Person { username: owned(username), kind: Some("person".into()), ..Person::at(markup::person(team, id)) }
}

/// `/order 77`
fn command(channel: &Channel, fields: &[(Cow<'_, str>, Cow<'_, str>)], now: Time, parsed: &mut Parsed<'_>) -> Result<(), String> {
    let get = |name: &str| form::get(fields, name).filter(|value| !value.is_empty());
    let word = get("command").ok_or("a form that is neither an interaction nor a command")?;
    let user = get("user_id").ok_or("a command without a user")?;
    let team = account(channel, &[get("team_id").map(|id| id.to_owned().into())]).unwrap_or_default();
    let place = get("channel_id").unwrap_or(user);
    let peer = markup::person(&team, place);
    let text = get("text");
    let choice = Choice {
        kind: ChoiceKind::Command,
        id: Some(word.to_owned().into()),
        title: Some(text.map_or_else(|| word.to_owned(), |text| format!("{word} {text}")).into()),
        values: text.map(|text| text.to_owned().into()).into_iter().collect(),
    };
    // The trigger's id opens dialogs for three seconds, so only its hash names the event.
    let key = get("trigger_id").map(|trigger| format!("command:{}", crypto::fingerprint(&[trigger])));
    let mut extra = Extra::default();
    for name in ["channel_name", "team_domain", "enterprise_id", "api_app_id"] {
        if let Some(value) = get(name) {
            extra.push(name, Raw::of(value));
        }
    }
    let message = Message {
        id: key.clone().unwrap_or_default().into(),
        parts: vec![Part::Choice(choice)],
        group: (!place.starts_with(['D', 'U', 'W']))
            .then(|| Group { id: place.to_owned().into(), name: owned(get("channel_name").map(Into::into)) }),
        ..Message::default()
    };
    let from = person(&team, user, get("user_name").map(Into::into));
    let account = (!team.is_empty()).then_some(team);
    if let Some(url) = get("response_url") {
        parsed.handles.push(handle(account.clone(), &peer, url, now));
    }
    let body = Body::Received(Received { from, to: our_side(channel, account.as_deref()), message, extra, ..Received::default() });
    parsed.events.push(Event { account, key: key.map(Into::into), medium: "slack".into(), peer: peer.into(), time: None, body });
    Ok(())
}

fn our_side<'a>(channel: &Channel, team: Option<&str>) -> Option<Owned<'a>> {
    Some(markup::person(team?, channel.settings.bot_user_id.as_deref()?).into())
}

fn handle<'a>(account: Option<Owned<'a>>, peer: &str, url: &str, from: Time) -> Handle<'a> {
    Handle { account, peer: peer.to_owned().into(), value: url.to_owned().into(), until: Some(from.plus(ANSWER_MS)), uses: Some(ANSWERS) }
}

/// An interaction.
struct Payload<'p> {
    channel: &'p Channel,
    fields: &'p Object<'p>,
    now: Time,
    kind: Text<'p>,
    team: String,
    user: String,
    username: Option<Text<'p>>,
    /// Where it happened: a channel, or the person's own tab.
    place: String,
    /// The message it happened to.
    ts: Option<Text<'p>>,
    thread: Option<Text<'p>>,
}

impl<'p> Payload<'p> {
    fn read(channel: &'p Channel, fields: &'p Object<'p>, now: Time) -> Self {
        let inside = |name: &str| fields.object(name).unwrap_or_default();
        let (user, container, message, view) = (inside("user"), inside("container"), inside("message"), inside("view"));
        let id = user.words("id").unwrap_or_default().into_owned();
        let named = [inside("team").words("id"), user.words("team_id"), view.words("team_id")];
        let ts = container.words("message_ts").or_else(|| message.words("ts")).or_else(|| fields.words("message_ts"));
        let thread = container.words("thread_ts").or_else(|| message.words("thread_ts")).filter(|thread| Some(thread) != ts.as_ref());
        let place = inside("channel").words("id").or_else(|| container.words("channel_id"));
        Self {
            channel,
            fields,
            now,
            kind: fields.text("type").unwrap_or_default(),
            team: account(channel, &named).unwrap_or_default().into_owned(),
            username: user.words("username").or_else(|| user.words("name")),
            place: place.map_or_else(|| id.clone(), Text::into_owned),
            user: id,
            ts,
            thread,
        }
    }

    fn events<'a>(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        if self.user.is_empty() {
            return Err(format!("a `{}` without a user", short(&self.kind)));
        }
        if let Some(url) = self.fields.words("response_url") {
            parsed.handles.push(handle(self.account(), &self.peer(), &url, self.now));
        }
        for target in self.fields.objects("response_urls") {
            if let (Some(url), Some(channel)) = (target.words("response_url"), target.words("channel_id")) {
                parsed.handles.push(handle(self.account(), &markup::person(&self.team, &channel), &url, self.now));
            }
        }
        match &*self.kind {
            "block_actions" | "interactive_message" => {
                let actions = self.fields.objects("actions");
                if actions.is_empty() {
                    return Err(format!("`{}` without actions", self.kind));
                }
                parsed.events.extend(actions.iter().enumerate().map(|(index, action)| self.pressed(index, action)));
            }
            "view_submission" => parsed.events.push(self.submitted()),
            "dialog_submission" => parsed.events.push(self.filled_in()),
            "shortcut" | "message_action" => parsed.events.push(self.shortcut()),
            "view_closed" | "dialog_cancellation" | "workflow_step_edit" => parsed.events.push(self.provider()),
            "block_suggestion" | "dialog_suggestion" => {
                parsed.events.push(self.provider());
                parsed.ack = Ack { content_type: Some("application/json"), body: Cow::Borrowed(br#"{"options":[]}"#), ..Ack::default() };
            }
            other => return Err(format!("an interaction of the unknown type `{}`", short(other))),
        }
        Ok(())
    }

    fn account<'a>(&self) -> Option<Owned<'a>> {
        (!self.team.is_empty()).then(|| self.team.clone().into())
    }

    fn peer(&self) -> String {
        let thread = self.thread.as_deref().map(|ts| format!("#{}", escape(ts))).unwrap_or_default();
        format!("{}{thread}", markup::person(&self.team, &self.place))
    }

    fn made<'a>(&self, key: String, time: Option<Time>, body: Body<'a>) -> Event<'a> {
        Event { account: self.account(), key: Some(key.into()), medium: "slack".into(), peer: self.peer().into(), time, body }
    }

    fn received<'a>(&self, key: String, at: Option<Time>, part: Part<'a>, extra: Extra<'a>) -> Event<'a> {
        let quoted =
            self.fields.object("message").or_else(|| self.fields.object("original_message")).and_then(|message| message.words("text"));
        let quoted = quoted.map(|text| markup::read(text, &self.team, self.channel.settings.bot_user_id.as_deref()).text);
        let reply_to = self.ts.as_ref().map(|ts| ReplyTo {
            id: Some(format!("{}:{ts}", self.place).into()),
            text: owned(quoted),
            ..ReplyTo::default()
        });
        let group = (!self.place.starts_with(['D', 'U', 'W'])).then(|| Group { id: self.place.clone().into(), name: None });
        let message = Message { id: key.clone().into(), sent_at: at, parts: vec![part], reply_to, group, ..Message::default() };
        let from = person(&self.team, &self.user, self.username.clone());
        let to = our_side(self.channel, Some(&self.team));
        self.made(key, at, Body::Received(Received { from, to, message, extra, ..Received::default() }))
    }

    /// What is left of the payload when everything told and everything secret is gone.
    fn kept<'a>(&self, names: &[&'static str]) -> Extra<'a> {
        let mut extra = Extra::default();
        for name in names {
            if let Some(raw) = self.fields.kept(name) {
                extra.push(*name, raw.into_owned());
            }
        }
        extra
    }

    /// One action of a message or a tab: a button, a select, a date.
    fn pressed<'a>(&self, index: usize, action: &Object<'_>) -> Event<'a> {
        let kind = action.text("type").unwrap_or_default();
        let option = action.object("selected_option").or_else(|| action.objects("selected_options").into_iter().next());
        let label = |object: &Object<'_>| object.object("text").and_then(|text| text.words("text").map(Text::into_owned));
        let several: Vec<Owned<'a>> = ["selected_options", "selected_users", "selected_conversations", "selected_channels"]
            .iter()
            .flat_map(|name| action.list(name))
            .filter_map(|raw| {
                Object::parse(raw.get())
                    .and_then(|o| o.words("value").map(Text::into_owned))
                    .or_else(|| object::text(raw).map(Text::into_owned))
            })
            .map(Cow::Owned)
            .collect();
        let single =
            ["value", "selected_date", "selected_time", "selected_date_time", "selected_user", "selected_conversation", "selected_channel"];
        let value = option.as_ref().and_then(|o| o.words("value")).or_else(|| single.iter().find_map(|name| action.words(name)));
        let id = owned(value)
            .or_else(|| several.first().cloned())
            .or_else(|| owned(action.words("action_id")))
            .or_else(|| owned(action.words("name")));
        let title = option.as_ref().and_then(label).or_else(|| label(action));
        let surface = match &*kind {
            "button" | "workflow_button" | "icon_button" | "feedback_buttons" => ChoiceKind::Button,
            "overflow" => ChoiceKind::Menu,
            "datepicker" | "timepicker" | "datetimepicker" => ChoiceKind::Date,
            _ => ChoiceKind::List,
        };
        let part = match &*kind {
            "plain_text_input" | "number_input" | "email_text_input" | "url_text_input" => Part::text(id.unwrap_or_default()),
            _ => Part::Choice(Choice { kind: surface, id, title: title.map(Cow::Owned), values: several }),
        };
        let mut extra = self.kept(&["state", "callback_id"]);
        for name in ["action_id", "block_id", "rich_text_value"] {
            if let Some(raw) = action.kept(name) {
                extra.push(name, raw.into_owned());
            }
        }
        // What we put into the form comes back with each press in it.
        let form = self.fields.object("view").unwrap_or_default();
        for name in ["callback_id", "private_metadata", "external_id", "state"] {
            let told = extra.0.iter().any(|(kept, _)| kept == name);
            if let Some(raw) = form.kept(name).filter(|raw| !told && raw.get() != "\"\"") {
                extra.push(name, raw.into_owned());
            }
        }
        let ts = action.words("action_ts").or_else(|| self.fields.words("action_ts"));
        // A form on a tab has no message: its view stands for it.
        let view = self.fields.object("view").and_then(|view| view.words("id"));
        let place = self.ts.as_deref().or(view.as_deref()).unwrap_or_default();
        let name = action.words("action_id").or_else(|| action.words("name")).unwrap_or_else(|| index.to_string().into());
        let key = format!("{}:{place}:{name}:{}", self.place, ts.as_deref().unwrap_or_default());
        self.received(key, ts.as_deref().and_then(stamp), part, extra)
    }

    /// A dialog, which is what forms were before views.
    fn filled_in<'a>(&self) -> Event<'a> {
        let id = self.fields.words("callback_id");
        let at = self.fields.words("action_ts").unwrap_or_default();
        let key = format!("dialog:{}:{}:{at}", self.user, id.as_deref().unwrap_or_default());
        let form = Form { name: owned(id), fields: self.fields.kept("submission").map(Raw::into_owned) };
        self.received(key, stamp(&at), Part::Form(form), self.kept(&["state"]))
    }

    fn submitted<'a>(&self) -> Event<'a> {
        let view = self.fields.object("view").unwrap_or_default();
        let values = view.object("state").and_then(|state| state.kept("values")).map(Raw::into_owned);
        let form = Form { name: owned(view.words("callback_id")).or_else(|| owned(view.words("id"))), fields: values };
        let mut extra = Extra::default();
        for name in ["private_metadata", "external_id"] {
            if let Some(raw) = view.kept(name).filter(|raw| raw.get() != "\"\"") {
                extra.push(name, raw.into_owned());
            }
        }
        let words = |name: &str| view.words(name).unwrap_or_default();
        self.received(format!("view:{}:{}", words("id"), words("hash")), None, Part::Form(form), extra)
    }

    fn shortcut<'a>(&self) -> Event<'a> {
        let id = self.fields.words("callback_id");
        let at = self.fields.words("action_ts").unwrap_or_default();
        let key = format!("shortcut:{}:{}:{at}", self.user, id.as_deref().unwrap_or_default());
        let choice = Choice { kind: ChoiceKind::Shortcut, id: owned(id), title: None, values: Vec::new() };
        self.received(key, stamp(&at), Part::Choice(choice), self.kept(&["message"]))
    }

    fn provider<'a>(&self) -> Event<'a> {
        let view = self.fields.object("view").unwrap_or_default();
        let words = |name: &str| view.words(name).unwrap_or_default();
        let typed = self.fields.words("value").unwrap_or_default();
        let at = self.fields.words("action_ts").map(|at| format!(":{at}")).unwrap_or_default();
        let key = format!("{}:{}:{}:{}:{typed}{at}", self.kind, self.user, words("id"), words("hash"));
        let raw = self.fields.without(SECRET);
        self.made(key, None, Body::Provider(ProviderEvent { provider_type: self.kind.clone().into_owned().into(), raw }))
    }
}

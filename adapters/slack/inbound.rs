//! What Slack delivers: an event in its envelope, a press or a form, a slash command.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Channel, content, emoji, interactive, markup};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::address;
use crate::kit::object::{self, Object};

/// Known, and without a counterpart in our words; a name that ends in `_` or `.` begins several.
const KNOWN: &[&str] = &[
    "agent_",
    "app_context_changed",
    "app_requested",
    "app_installed",
    "app_deleted",
    "app_uninstalled_team",
    "assistant_thread_",
    "bot_added",
    "bot_changed",
    "commands_changed",
    "call_rejected",
    "channel_history_changed",
    "channel_shared",
    "channel_unshared",
    "channel_id_changed",
    "channel_left",
    "dnd_",
    "email_domain_changed",
    "emoji_changed",
    "file_",
    "function_executed",
    "grid_migration_",
    "group_history_changed",
    "group_open",
    "group_close",
    "group_left",
    "goodbye",
    "external_org_migration_",
    "im_",
    "invite_requested",
    "link_shared",
    "message_metadata_",
    "pin_",
    "resources_",
    "scope_",
    "sh_room_",
    "shared_channel_invite_",
    "star_",
    "subteam_",
    "team_access_",
    "team_domain_change",
    "team_rename",
    // These come to open sockets alone, and those who hold one hand them on.
    "hello",
    "accounts_changed",
    "manual_presence_change",
    "pref_change",
    "presence_change",
    "reconnect_url",
    "team_migration_started",
    "team_plan_change",
    "team_pref_change",
    "team_profile_",
    "user_typing",
    "channel_joined",
    "channel_marked",
    "group_joined",
    "group_marked",
    "user_connection",
    "user_connection_status_requested",
    "user_huddle_changed",
    "user_resource_",
    "user_status_changed",
    "workflow_",
    "workflow_step_execute",
    "entity_details_requested",
    "message.",
];

/// Changes of a channel: the event's name without `channel_` or `group_`, and our word.
pub(super) const CHANGES: &[(&str, &str)] = &[
    ("created", "created"),
    ("deleted", "deleted"),
    ("rename", "title"),
    ("name", "title"),
    ("topic", "topic"),
    ("purpose", "purpose"),
    ("archive", "archived"),
    ("unarchive", "unarchived"),
    ("join", "members"),
    ("leave", "members"),
    ("posting_permissions", "permissions"),
    ("convert_to_private", "private"),
    ("convert_to_public", "public"),
];

/// Says what a delivery means.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>, now: Time) -> Parsed<'a> {
    let delivery = hook.hook();
    if delivery.method == http::Method::GET {
        return Parsed { ack: Ack::text(""), ..Parsed::default() };
    }
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    if delivery.is("application/x-www-form-urlencoded") {
        return interactive::parse(channel, text, now);
    }
    let Some(fields) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    let kind = fields.text("type").unwrap_or_default();
    let mut parsed = Parsed::default();
    match &*kind {
        "url_verification" => match fields.text("challenge") {
            Some(challenge) => parsed.ack = Ack::text(challenge),
            None => parsed.leave("a verification without a challenge"),
        },
        "app_rate_limited" => parsed.events.push(limited(channel, &fields)),
        kind if kind == "event_callback" || kind.is_empty() && fields.has("event") => {
            let envelope = Envelope::read(channel, &fields);
            if let Err(reason) = envelope.event(&mut parsed) {
                parsed.leave(reason);
            }
        }
        // A form's payload that somebody has unpacked on the way.
        kind if interactive::KINDS.contains(&kind) => interactive::read(channel, &fields, now, &mut parsed),
        other => parsed.leave(format!("a delivery of the unknown type `{}`", short(other))),
    }
    parsed
}

/// A provider's word, cut where it is too long for a sentence.
pub(super) fn short(word: &str) -> String {
    word.chars().take(64).collect()
}

/// The workspace is too lively: Slack leaves deliveries out.
fn limited<'a>(channel: &Channel, fields: &Object<'a>) -> Event<'a> {
    let team = fields.words("team_id");
    let minute = fields.int("minute_rate_limited");
    let notice = Notice {
        kind: "inbound_limited".into(),
        severity: Severity::Error,
        text: "More than 30,000 events an hour: Slack leaves some out.".into(),
        raw: Some(fields.without(&["token"])),
    };
    Event {
        account: account(channel, std::slice::from_ref(&team)),
        key: minute.map(|minute| format!("limited:{}:{minute}", team.as_deref().unwrap_or_default()).into()),
        medium: "slack".into(),
        peer: "".into(),
        time: minute.map(Time::from_secs),
        body: Body::Notice(notice),
    }
}

/// The workspace an event belongs to: ours when it is among those named, else the first.
pub(super) fn account<'a>(channel: &Channel, named: &[Option<Text<'a>>]) -> Option<Text<'a>> {
    let ours = |id: &&Text<'a>| channel.account() == Some(id);
    let mut present = named.iter().flatten();
    present.clone().find(ours).or_else(|| present.next()).cloned()
}

/// `SECONDS.MICROS` as a time.
pub(super) fn stamp(ts: &str) -> Option<Time> {
    // Some samples have it without its dot.
    let (secs, fraction) = ts.split_once('.').or_else(|| ts.split_at_checked(10)).unwrap_or((ts, ""));
    let millis = fraction.bytes().chain([b'0'; 3]).take(3).try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))?;
    Some(Time::from_secs(secs.parse().ok().filter(|secs| *secs > 0)?).plus(millis))
}

/// An event with what its envelope says.
pub(super) struct Envelope<'e, 'a> {
    pub channel: &'e Channel,
    fields: &'e Object<'a>,
    /// The workspace the addresses name.
    pub team: Text<'a>,
    account: Option<Text<'a>>,
    /// Our user in this workspace.
    pub bot: Option<Text<'a>>,
    /// The delivery's number.
    pub id: Option<Text<'a>>,
}

impl<'e, 'a> Envelope<'e, 'a> {
    fn read(channel: &'e Channel, fields: &'e Object<'a>) -> Self {
        let installs = fields.objects("authorizations");
        let mut named: Vec<Option<Text<'a>>> = installs.iter().map(|install| install.words("team_id")).collect();
        named.extend([fields.words("context_team_id"), fields.words("team_id")]);
        let account = account(channel, &named);
        let bot = installs.iter().find(|install| install.flag("is_bot")).and_then(|install| install.words("user_id"));
        let here = account.is_none() || channel.account().is_none() || account.as_deref() == channel.account();
        let bot = channel.settings.bot_user_id.as_ref().filter(|_| here).map(|id| id.clone().into()).or(bot);
        Self { channel, fields, team: account.clone().unwrap_or_default(), account, bot, id: fields.words("event_id") }
    }

    fn event(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let raw = self.fields.raw("event").ok_or("an envelope without an event")?;
        let event = Object::parse(raw.get()).ok_or("an event that is not an object")?;
        let kind = event.words("type").ok_or("an event without a type")?;
        let made = match &*kind {
            "message" | "app_mention" => content::read(self, &event, raw, &kind)?,
            "reaction_added" | "reaction_removed" => self.reaction(&event, raw, &kind)?,
            "app_home_opened" => self.opened(&event)?,
            "app_uninstalled" | "tokens_revoked" => self.ended(raw, &kind),
            "team_join" | "user_change" | "user_profile_changed" => self.person(&event, raw, &kind)?,
            "member_joined_channel" | "member_left_channel" => self.member(&event, &kind)?,
            other => match change(other).filter(|_| event.has("channel")) {
                Some(change) => self.changed(&event, change)?,
                None if KNOWN.iter().any(|known| other == *known || known.ends_with(['_', '.']) && other.starts_with(known)) => {
                    self.provider(&event, raw, &kind)
                }
                None => return Err(format!("an event of the unknown type `{}`", short(other))),
            },
        };
        parsed.events.push(made);
        Ok(())
    }

    /// The conversation of a channel, or of a thread in it.
    pub fn peer(&self, channel: &str, thread: Option<&str>) -> String {
        let thread = thread.map(|ts| format!("#{}", address::escape(ts))).unwrap_or_default();
        format!("{}{thread}", self.address(channel))
    }

    pub fn address(&self, id: &str) -> String {
        markup::person(&self.team, id)
    }

    pub fn who(&self, user: &str) -> Person<'a> {
        Person { kind: Some("person".into()), ..Person::at(self.address(user)) }
    }

    pub fn is_bot(&self, user: Option<&str>) -> bool {
        user.is_some() && self.bot.as_deref() == user
    }

    /// An event. Its key is the delivery's id unless the content has a better one.
    pub fn made(&self, key: Option<Text<'a>>, peer: String, time: Option<Time>, body: Body<'a>) -> Event<'a> {
        let time = time.or_else(|| self.fields.int("event_time").map(Time::from_secs));
        let key = key.or_else(|| self.id.clone());
        Event { account: self.account.clone(), key, medium: "slack".into(), peer: peer.into(), time, body }
    }

    pub fn provider(&self, event: &Object<'a>, raw: &'a RawValue, kind: &str) -> Event<'a> {
        let item = event.object("item").or_else(|| event.object("assistant_thread")).unwrap_or_default();
        let place = |object: &Object<'a>| object.words("channel").or_else(|| object.words("channel_id"));
        let peer = place(event).or_else(|| place(&item)).or_else(|| event.words("user"));
        let peer = peer.map(|id| self.peer(&id, item.text("thread_ts").as_deref())).unwrap_or_default();
        let raw = object::without(raw, interactive::SECRET);
        let body = Body::Provider(ProviderEvent { provider_type: kind.to_owned().into(), raw });
        self.made(None, peer, time_of(event), body)
    }

    fn reaction(&self, event: &Object<'a>, raw: &'a RawValue, kind: &str) -> Result<Event<'a>, String> {
        let user = event.words("user").ok_or("a reaction without a user")?;
        let item = event.object("item").unwrap_or_default();
        let (Some(channel), Some(ts)) = (item.words("channel"), item.words("ts")) else { return Ok(self.provider(event, raw, kind)) };
        if self.is_bot(Some(&user)) {
            return Ok(self.provider(event, raw, kind)); // We reacted ourselves.
        }
        let reaction = event.words("reaction").map(|name| Cow::Owned(emoji::of(&name).into_owned()));
        let action = if kind == "reaction_added" { ReactionAction::Added } else { ReactionAction::Removed };
        let body = Reaction { from: self.who(&user), message_id: format!("{channel}:{ts}").into(), reaction, action };
        Ok(self.made(None, self.peer(&channel, None), time_of(event), Body::Reaction(body)))
    }

    /// A person came to the app's own tab: the nearest thing to following it.
    fn opened(&self, event: &Object<'a>) -> Result<Event<'a>, String> {
        let user = event.words("user").ok_or("an opened tab without a user")?;
        let place = event.words("channel").unwrap_or_else(|| user.clone());
        let follow = Follow { from: self.who(&user), payload: event.words("tab"), ..Follow::default() };
        Ok(self.made(None, self.peer(&place, None), time_of(event), Body::Followed(follow)))
    }

    fn ended(&self, raw: &'a RawValue, kind: &str) -> Event<'a> {
        let (word, text) = match kind {
            "tokens_revoked" => ("token_revoked", "Slack has revoked tokens of the app in this workspace."),
            _ => ("uninstalled", "The app was removed from the workspace."),
        };
        let notice = Notice { kind: word.into(), severity: Severity::Error, text: text.into(), raw: Some(Raw::borrowed(raw)) };
        self.made(None, String::new(), None, Body::Notice(notice))
    }

    fn person(&self, event: &Object<'a>, raw: &'a RawValue, kind: &str) -> Result<Event<'a>, String> {
        let user = event.object("user").ok_or("a change of a person without the person")?;
        let id = user.words("id").ok_or("a change of a person without an id")?;
        if self.is_bot(Some(&id)) {
            return Ok(self.provider(event, raw, kind));
        }
        let mut extra = Extra::default();
        adapter::keep(&mut extra, "user", event.kept("user"));
        let current = self.address(&id);
        let joined = kind == "team_join";
        let body = ContactUpdated {
            change: if joined { Change::AddressAdded } else { Change::Profile },
            previous: None,
            current: Some(current.clone().into()),
            reason: Some(kind.to_owned().into()),
            extra,
        };
        Ok(self.made(None, current, time_of(event), Body::ContactUpdated(body)))
    }

    fn member(&self, event: &Object<'a>, kind: &str) -> Result<Event<'a>, String> {
        let user = event.words("user").ok_or("a member without an id")?;
        let change = match (self.is_bot(Some(&user)), kind == "member_joined_channel") {
            (true, true) => "bot_added",
            (true, false) => "bot_removed",
            (false, _) => "members",
        };
        let mut made = self.changed(event, change)?;
        if let Body::GroupUpdated(group) = &mut made.body {
            group.from = Some(self.who(&user));
            group.extra.push("change", Raw::of(if kind == "member_joined_channel" { "joined" } else { "left" }));
        }
        Ok(made)
    }

    /// Something about a channel; its id is text, or stands in an object with its name.
    pub fn changed(&self, event: &Object<'a>, change: &'static str) -> Result<Event<'a>, String> {
        let object = event.object("channel").unwrap_or_default();
        let id = event.words("channel").or_else(|| object.words("id")).ok_or("a change of a channel without its id")?;
        let mut extra = Extra::default();
        for name in ["topic", "purpose", "name", "old_name", "inviter", "text", "members"] {
            adapter::keep(&mut extra, name, event.kept(name));
        }
        let actor = event.words("user").or_else(|| event.words("actor_id")).or_else(|| object.words("creator"));
        let group = Group { id: id.clone(), name: object.words("name").or_else(|| event.words("name")) };
        let body = GroupUpdated { group, change: change.into(), from: actor.map(|user| self.who(&user)), extra };
        Ok(self.made(None, self.peer(&id, None), time_of(event), Body::GroupUpdated(body)))
    }
}

/// Our word for `channel_...`, `group_...` and `bot_add`.
pub(super) fn change(kind: &str) -> Option<&'static str> {
    let rest = kind.strip_prefix("channel_").or_else(|| kind.strip_prefix("group_"))?;
    CHANGES.iter().find(|(name, _)| *name == rest).map(|(_, word)| *word)
}

/// When it happened: `event_ts`, or the `ts` of what it is about.
pub(super) fn time_of(event: &Object<'_>) -> Option<Time> {
    stamp(&event.text("event_ts").or_else(|| event.text("ts"))?)
}

//! Workspace events, pushed by a subscription: what interaction events do not tell. Their data is packed in base64, so
//! nothing of it can be borrowed.

use serde::{Serialize, de::DeserializeOwned};

use super::content::{self, address, person};
use super::inbound::short;
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::crypto;
use crate::kit::object::Object;

/// The beginning of every type.
const PREFIX: &str = "google.workspace.chat.";

/// The beginning of what is told of the subscription itself.
const SUBSCRIPTION: &str = "google.workspace.events.subscription.v1.";

pub(super) fn parse<'a>(message: &Object<'a>, parsed: &mut Parsed<'a>) -> Result<(), String> {
    let about = message.object("attributes").unwrap_or_default();
    let bytes = crypto::unbase64(&message.text("data").unwrap_or_default()).ok_or("a pushed event whose data is no base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "a pushed event whose data is not UTF-8")?;
    let data = Object::parse(&text).ok_or("a pushed event whose data is no object")?;
    let Some(kind) = about.words("ce-type") else {
        // An app whose connection is Pub/Sub has its interaction events there.
        let mut inside = Parsed::default();
        super::inbound::interaction(&data, &mut inside)?;
        for event in &inside.events {
            if let Some(event) = carried(event) {
                parsed.events.push(event);
            }
        }
        return Ok(());
    };
    let time = about.text("ce-time").and_then(|t| Time::parse(&t));
    let id = about.words("ce-id").or_else(|| message.words("messageId")).map(|id| id.into_owned());
    let subject = about.text("ce-subject").unwrap_or_default();
    let subject: Vec<&str> = subject.rsplit('/').take(2).collect();
    // `//chat.googleapis.com/spaces/AAA`
    let space = match &subject[..] {
        [space, "spaces"] => Some(format!("spaces/{space}")),
        _ => None,
    };
    let made = |key: Option<String>, peer: String, body: Body<'static>| Event {
        account: None,
        key: key.map(Into::into),
        medium: "google_chat".into(),
        peer: peer.into(),
        time,
        body,
    };
    if let Some(change) = kind.strip_prefix(SUBSCRIPTION) {
        parsed.events.push(made(id, String::new(), Body::Notice(subscription(change, &data))));
        return Ok(());
    }
    let word = kind.strip_prefix(PREFIX).ok_or_else(|| format!("a pushed event of the unknown type `{}`", short(&kind)))?;
    let place = space.as_deref().map(address).unwrap_or_default();
    // Several of a kind may come in one event.
    let one = |name: &str| {
        data.object(name)
            .map(|o| vec![o])
            .unwrap_or_else(|| data.objects(&format!("{name}s")).iter().filter_map(|o| o.object(name)).collect())
    };
    let numbered = |index: usize| id.as_ref().map(|id| if index == 0 { id.clone() } else { format!("{id}:{index}") });
    let batch = word.replace(".v1.batch", ".v1.").to_ascii_lowercase();
    match &*batch {
        "message.v1.created" | "message.v1.updated" | "message.v1.deleted" => {
            for (index, fields) in one("message").iter().enumerate() {
                let name = fields.words("name").ok_or("a message without `name`")?.into_owned();
                let inside = fields.object("space").unwrap_or_default();
                let peer = Some(content::peer(&inside, Some(fields))).filter(|p| !p.is_empty()).unwrap_or_else(|| place.clone());
                if batch.ends_with("deleted") {
                    parsed.events.push(made(numbered(index), peer, Body::Deleted(Deleted { from: None, message_id: name.into() })));
                    continue;
                }
                let sender = fields.object("sender").and_then(|sender| person(&sender));
                let bot = sender.as_ref().is_some_and(|sender| sender.kind.as_deref() == Some("bot"));
                let Some(from) = sender.as_ref().filter(|_| !bot).and_then(owned::<_, Person<'static>>) else {
                    // A subscription without the resource's data names the message alone.
                    let kind = if bot { "bot_message".to_owned() } else { batch.clone() };
                    let body = ProviderEvent { provider_type: kind.into(), raw: fields.without(&[]) };
                    parsed.events.push(made(numbered(index), peer, Body::Provider(body)));
                    continue;
                };
                let raw = fields.without(&[]);
                let read = content::read(fields, &inside, &raw.0);
                let message = kept(&read).ok_or("a message that cannot be kept")?;
                let created = batch.ends_with("created");
                // The same message also comes as an interaction event, by its name.
                let key = if created { Some(name.clone()) } else { numbered(index) };
                let body = if created {
                    Body::Received(Received { from, message, ..Received::default() })
                } else {
                    Body::Edited(Edited { from, message, message_id: name.into(), extra: Extra::default() })
                };
                parsed.events.push(made(key, peer, body));
            }
        }
        "reaction.v1.created" | "reaction.v1.deleted" => {
            for (index, fields) in one("reaction").iter().enumerate() {
                let name = fields.words("name").ok_or("a reaction without `name`")?;
                let message = name.split("/reactions/").next().unwrap_or_default().to_owned();
                let emoji = fields.object("emoji").unwrap_or_default();
                let custom = emoji.object("customEmoji").and_then(|custom| custom.words("emojiName").or_else(|| custom.words("uid")));
                let reaction = emoji.words("unicode").or(custom).map(|emoji| emoji.into_owned().into());
                let from =
                    fields.object("user").and_then(|user| person(&user)).as_ref().and_then(owned::<_, Person<'static>>).unwrap_or_default();
                let action = if batch.ends_with("created") { ReactionAction::Added } else { ReactionAction::Removed };
                let peer =
                    message.split("/messages/").next().filter(|space| space.starts_with("spaces/")).map_or_else(|| place.clone(), address);
                let body = Reaction { from, message_id: message.into(), reaction, action };
                parsed.events.push(made(numbered(index), peer, Body::Reaction(body)));
            }
        }
        "membership.v1.created" | "membership.v1.updated" | "membership.v1.deleted" => {
            for (index, fields) in one("membership").iter().enumerate() {
                let member = fields.object("member").and_then(|member| person(&member));
                let bot = member.as_ref().is_some_and(|member| member.kind.as_deref() == Some("bot"));
                let change = match (bot, batch.rsplit('.').next()) {
                    (true, Some("created")) => "bot_added",
                    (true, Some("deleted")) => "bot_removed",
                    _ => "members",
                };
                let mut extra = Extra::default();
                extra.push("membership", fields.without(&[]));
                let group = Group { id: space.clone().unwrap_or_default().into(), name: None };
                let from = member.as_ref().and_then(owned::<_, Person<'static>>);
                let body = GroupUpdated { group, change: change.into(), from, extra };
                parsed.events.push(made(numbered(index), place.clone(), Body::GroupUpdated(body)));
            }
        }
        "space.v1.updated" | "space.v1.deleted"
            if one("space").iter().any(|space| batch.ends_with("deleted") || space.has("displayName")) =>
        {
            for (index, fields) in one("space").iter().enumerate() {
                let change = match (batch.ends_with("deleted"), fields.has("displayName")) {
                    (true, _) => "deleted",
                    (false, true) => "title",
                    (false, false) => "settings",
                };
                let mut extra = Extra::default();
                extra.push("space", fields.without(&[]));
                let id = fields.words("name").map(Text::into_owned).or_else(|| space.clone()).unwrap_or_default();
                let peer = address(&id);
                let group = Group { id: id.into(), name: fields.words("displayName").map(|name| name.into_owned().into()) };
                let body = GroupUpdated { group, change: change.into(), from: None, extra };
                parsed.events.push(made(numbered(index), peer, Body::GroupUpdated(body)));
            }
        }
        known if known.starts_with("space.v1.") => {
            let raw = data.without(&[]);
            let body = ProviderEvent { provider_type: kind.into_owned().into(), raw };
            parsed.events.push(made(numbered(0), place, Body::Provider(body)));
        }
        unknown => return Err(format!("a pushed event of the unknown type `{}`", short(unknown))),
    }
    if parsed.events.is_empty() { Err("a pushed event without content".into()) } else { Ok(()) }
}

/// News of the subscription that brings these events.
fn subscription(change: &str, data: &Object<'_>) -> Notice<'static> {
    let (kind, severity, text) = match change {
        "suspended" => (
            "subscription_suspended",
            Severity::Error,
            "The subscription to Workspace events is suspended: nothing comes until it is reactivated.",
        ),
        "expired" => ("subscription_expired", Severity::Error, "The subscription to Workspace events has expired: make a new one."),
        "expirationReminder" => {
            ("subscription_expiring", Severity::Warning, "The subscription to Workspace events expires soon: renew it.")
        }
        _ => ("subscription_changed", Severity::Info, "The subscription to Workspace events has changed."),
    };
    Notice { kind: kind.into(), severity, text: text.into(), raw: Some(data.without(&[])) }
}

/// The same value, owing nothing to what it was read from.
fn owned<T: Serialize, U: DeserializeOwned>(value: &T) -> Option<U> {
    serde_json::from_value(serde_json::to_value(value).ok()?).ok()
}

/// An interaction event that owes nothing to the text it was unpacked into.
fn carried(event: &Event<'_>) -> Option<Event<'static>> {
    let body = match &event.body {
        Body::Received(received) => Body::Received(Received { message: kept(&received.message)?, ..owned(received)? }),
        Body::Followed(follow) => Body::Followed(owned(follow)?),
        Body::Unfollowed(follow) => Body::Unfollowed(owned(follow)?),
        Body::GroupUpdated(update) => Body::GroupUpdated(owned(update)?),
        Body::Provider(provider) => Body::Provider(owned(provider)?),
        _ => return None,
    };
    let copy = |text: &Text<'_>| Text::Owned(text.to_string());
    Some(Event {
        account: event.account.as_ref().map(copy),
        key: event.key.as_ref().map(copy),
        medium: copy(&event.medium),
        peer: copy(&event.peer),
        time: event.time,
        body,
    })
}

/// A message that owes nothing; the handles of its files are not written and so are carried over.
fn kept(message: &Message<'_>) -> Option<Message<'static>> {
    let mut copy: Message<'static> = owned(message)?;
    let sources: Vec<_> = message.parts.iter().map(|part| part.media().and_then(|m| m.media.source.clone())).collect();
    for (part, source) in copy.parts.iter_mut().zip(sources) {
        if let Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) = part {
            m.media.source = source;
        }
    }
    Some(copy)
}

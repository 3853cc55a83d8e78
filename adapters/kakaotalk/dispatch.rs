//! What KakaoTalk's bot API delivers (developers.kakao.com, bot/webhook, read 2026-11-30): one frame of its gateway a request, in chats
//! of any kind. It is answered by the API alone, with the frame's token or the chat's key.

use std::borrow::Cow;

use crate::contract::event::{Group, GroupUpdated, ProviderEvent};
use crate::contract::*;
use crate::kit::object::{self, Object};
use crate::kit::{address, crypto};

/// Whoever has it may answer in the bot's name.
const TOKENS: &[&str] = &["callbackToken"];

/// Says what a frame means: `op` is its kind, `t` what happened, `d` the rest.
pub(super) fn parse<'a>(whole: &'a str, frame: &Object<'a>) -> Parsed<'a> {
    let kind = frame.words("t").unwrap_or_default();
    let Some((raw, fields)) = frame.raw("d").and_then(|raw| Some((raw, Object::parse(raw.get())?))) else {
        return Parsed::not_understood("a frame without content");
    };
    let time = fields.text("timestamp").and_then(|time| Time::parse(&time));
    let person = |key: Text<'a>| Person { kind: Some(Cow::Borrowed("person")), ..Person::at(address::address("kakaotalk", &key)) };
    let user = fields.words("botUserKey").map(person);
    let room = fields.words("botGroupKey").filter(|_| !fields.flag("isChannelChatroom"));
    let peer = match (&room, &user) {
        (Some(room), _) => format!("kakaotalk:group/{}", address::escape(room)),
        (None, Some(user)) => user.address.to_string(),
        (None, None) => String::new(),
    };
    let group = room.map(|id| Group { id, name: None });
    let id = fields.words("id");
    let body = match (&*kind, user, &id, group) {
        ("MESSAGE_CREATE", Some(from), Some(id), group) => {
            let part =
                fields.words("content").map_or_else(|| Part::unsupported(kind.clone(), Some(object::without(raw, TOKENS))), Part::text);
            let mut extra = Extra::default();
            for (name, raw) in &fields.0 {
                if !matches!(&**name, "id" | "content" | "isChannelChatroom" | "botGroupKey" | "botUserKey" | "timestamp" | "callbackToken")
                {
                    extra.push(name.clone(), object::without(raw, TOKENS));
                }
            }
            let message = Message { id: id.clone(), sent_at: time, parts: vec![part], group, ..Message::default() };
            Body::Received(Received { from, message, extra, ..Received::default() })
        }
        ("ENTRANCE" | "LEAVE", user, _, Some(group)) => {
            let change = if kind == "ENTRANCE" { "bot_added" } else { "bot_removed" };
            let inviter = || fields.object("inviter").and_then(|inviter| inviter.words("botUserKey")).map(person);
            let mut extra = Extra::default();
            adapter::keep(&mut extra, "params", fields.kept("params").filter(|params| params.get() != "{}"));
            Body::GroupUpdated(GroupUpdated { group, change: Cow::Borrowed(change), from: inviter().or(user), extra })
        }
        _ => Body::Provider(ProviderEvent { provider_type: kind.clone(), raw: object::without(raw, TOKENS) }),
    };
    let key = id.map_or_else(|| crypto::fingerprint(&[whole]), |id| format!("{kind}:{id}"));
    let (medium, peer) = (Cow::Borrowed("kakaotalk"), Cow::Owned(peer));
    let event = Event { account: None, key: Some(Cow::Owned(key)), medium, peer, time, body };
    Parsed { events: vec![event], ..Parsed::default() }
}

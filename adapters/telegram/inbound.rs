//! What Telegram delivers: exactly one update a request.

use serde_json::json;
use serde_json::value::RawValue;

use super::{Channel, address, content};
use crate::contract::event::*;
use crate::contract::part::{Choice, ChoiceKind};
use crate::contract::*;
use crate::kit::object::{self, Object};

/// Says what a delivery means.
pub(super) fn parse<'a>(bot: &Channel, hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Some(update) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    let mut parsed = Parsed::default();
    let key = update.text("update_id").map(|id| format!("{}:{id}", bot.bot_id));
    for (kind, raw) in &update.0 {
        if kind == "update_id" || raw.get() == "null" {
            continue;
        }
        let Some(fields) = Object::parse(raw.get()) else {
            parsed.leave(format!("`{kind}` is not an object"));
            continue;
        };
        let update = Update { bot, key: key.as_deref(), kind, raw, fields };
        if let Err(reason) = update.read(&mut parsed) {
            parsed.leave(reason);
        }
    }
    if parsed.events.is_empty() && parsed.unparsed.is_none() {
        parsed.leave("an update without content");
    }
    parsed
}

/// One update.
pub(super) struct Update<'u, 'a> {
    pub bot: &'u Channel,
    key: Option<&'u str>,
    kind: &'u str,
    raw: &'a RawValue,
    pub fields: Object<'a>,
}

impl<'a> Update<'_, 'a> {
    fn read(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        match self.kind {
            "message"
            | "edited_message"
            | "channel_post"
            | "edited_channel_post"
            | "business_message"
            | "edited_business_message"
            | "guest_message" => self.message(parsed),
            "callback_query" => self.pressed(parsed),
            "message_reaction" => self.reacted(parsed),
            "my_chat_member" => self.membership(parsed),
            "chat_member" | "chat_join_request" => self.members(parsed),
            "deleted_business_messages" => self.deleted(parsed),
            "business_connection" => self.connection(parsed),
            "poll_answer" => self.voted(parsed),
            "message_reaction_count"
            | "inline_query"
            | "chosen_inline_result"
            | "shipping_query"
            | "pre_checkout_query"
            | "purchased_paid_media"
            | "poll"
            | "chat_boost"
            | "removed_chat_boost"
            | "managed_bot"
            | "subscription"
            | "stopped_message_generation" => {
                parsed.events.push(self.provider());
                Ok(())
            }
            unknown => Err(format!("an update of the unknown kind `{}`", unknown.chars().take(64).collect::<String>())),
        }
    }

    /// An event of this update. `suffix` keeps the keys apart where one update is several events.
    pub fn event(&self, suffix: &str, peer: String, time: Option<i64>, body: Body<'a>) -> Event<'a> {
        Event {
            account: None,
            key: self.key.map(|key| format!("{key}{suffix}").into()),
            medium: "telegram".into(),
            peer: peer.into(),
            time: time.filter(|t| *t > 0).map(Time::from_secs),
            body,
        }
    }

    /// Known, and without a counterpart in our words.
    pub fn provider(&self) -> Event<'a> {
        let chat = self.fields.object("chat").or_else(|| self.fields.object("from")).or_else(|| self.fields.object("user"));
        let peer = chat.and_then(|chat| chat.int("id")).map_or_else(String::new, |id| format!("telegram:{id}"));
        let raw = Raw::borrowed(self.raw);
        self.event("", peer, self.fields.int("date"), Body::Provider(ProviderEvent { provider_type: self.kind.to_owned().into(), raw }))
    }

    fn chat(&self) -> Result<(Object<'a>, i64), String> {
        let chat = self.fields.object("chat").ok_or_else(|| format!("`{}` without a chat", self.kind))?;
        let id = chat.int("id").ok_or_else(|| format!("`{}` whose chat has no id", self.kind))?;
        Ok((chat, id))
    }

    fn message(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let (chat, chat_id) = self.chat()?;
        let message = content::Message::read(self.bot, &self.fields, &chat, chat_id);
        if let Some(events) = message.service(self) {
            parsed.events.extend(events);
            return Ok(());
        }
        parsed.events.extend(message.events(self, self.kind.starts_with("edited_")));
        Ok(())
    }

    /// A press on an inline button. It is owed an answer, or the person's screen shows a spinner.
    fn pressed(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let from = self.fields.object("from").ok_or("a `callback_query` without a person")?;
        let from_id = from.int("id").ok_or("a `callback_query` of a person without id")?;
        let id = self.fields.words("id").ok_or("a `callback_query` without id")?;
        let origin = self.fields.object("message").unwrap_or_default();
        let chat = origin.object("chat");
        let chat_id = chat.as_ref().and_then(|chat| chat.int("id")).unwrap_or(from_id);
        let place = address::place(chat_id, origin.text("business_connection_id").as_deref());
        let data = self.fields.text("data");
        let part = match &data {
            Some(data) => Part::Choice(Choice {
                kind: ChoiceKind::Button,
                title: title_of(&origin, data),
                id: Some(data.clone()),
                values: Vec::new(),
            }),
            None => Part::unsupported("callback_query", Some(Raw::borrowed(self.raw))),
        };
        let mut extra = Extra::default();
        for name in ["chat_instance", "inline_message_id", "game_short_name"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        let quoted = origin.int("message_id").map(|number| ReplyTo {
            id: Some(format!("{place}:{number}").into()),
            text: origin.words("text").or_else(|| origin.words("caption")),
            ..ReplyTo::default()
        });
        let mut person = content::person(&from).ok_or("a `callback_query` of a person without id")?;
        content::in_business(&mut person, origin.text("business_connection_id").as_deref());
        let message = Message {
            id: id.clone(),
            parts: vec![part],
            reply_to: quoted,
            group: chat.as_ref().and_then(content::group),
            ..Message::default()
        };
        let to = Some(format!("telegram:{}", self.bot.bot_id).into());
        let received = Received { from: person, to, message, extra, ..Received::default() };
        parsed.events.push(self.event("", address::peer(&place, &origin), None, Body::Received(received)));
        parsed.owed.push(self.bot.method("answerCallbackQuery", &json!({ "callback_query_id": id })));
        Ok(())
    }

    fn reacted(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let (chat, chat_id) = self.chat()?;
        let number = self.fields.int("message_id").ok_or("a `message_reaction` without a message")?;
        // In a private chat the chat is the person.
        let private = Some(chat).filter(|chat| chat.text("type").as_deref() == Some("private"));
        let from = self.fields.object("user").or_else(|| self.fields.object("actor_chat")).or(private);
        let from = from.and_then(|from| content::person(&from)).ok_or("a `message_reaction` without a person")?;
        let (old, new) = (self.reactions("old_reaction"), self.reactions("new_reaction"));
        let gone = old.iter().filter(|r| !new.contains(r)).map(|r| (r, ReactionAction::Removed));
        let come = new.iter().filter(|r| !old.contains(r)).map(|r| (r, ReactionAction::Added));
        let changes: Vec<_> = gone.chain(come).collect();
        if changes.is_empty() {
            parsed.events.push(self.provider());
        }
        let single = changes.len() == 1;
        for (index, (reaction, action)) in changes.into_iter().enumerate() {
            let suffix = if single { String::new() } else { format!(":{index}") };
            let body =
                Reaction { from: from.clone(), message_id: format!("{chat_id}:{number}").into(), reaction: Some(reaction.clone()), action };
            parsed.events.push(self.event(&suffix, format!("telegram:{chat_id}"), self.fields.int("date"), Body::Reaction(body)));
        }
        Ok(())
    }

    /// Emoji as they are; custom ones by their id, paid ones by that word.
    fn reactions(&self, name: &str) -> Vec<Text<'a>> {
        let word = |r: Object<'a>| r.words("emoji").or_else(|| r.words("custom_emoji_id")).or_else(|| r.words("type"));
        self.fields.objects(name).into_iter().filter_map(word).collect()
    }

    /// Our own membership: blocked or unblocked by a person, taken into or out of a group.
    fn membership(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let (chat, chat_id) = self.chat()?;
        let status = |name: &str| self.fields.object(name).and_then(|m| m.text("status")).unwrap_or_default();
        let (old, new) = (status("old_chat_member"), status("new_chat_member"));
        let gone = |status: &str| matches!(status, "kicked" | "left");
        // Who is restricted may have left.
        let outside = |name: &str| self.fields.object(name).is_some_and(|m| m.raw("is_member").is_some_and(|raw| raw.get() == "false"));
        let from = self.fields.object("from").and_then(|from| content::person(&from));
        let mut extra = Extra::default();
        extra.push("old_status", Raw::of(&*old));
        extra.push("new_status", Raw::of(&*new));
        let body = if chat.text("type").as_deref() == Some("private") {
            let from = from.or_else(|| content::person(&chat)).unwrap_or_default();
            let follow = Follow { from, extra, ..Follow::default() };
            match (&*old, &*new) {
                (_, "kicked" | "left") => Body::Unfollowed(follow),
                (old, "member" | "administrator" | "creator" | "restricted") if gone(old) || old.is_empty() => Body::Followed(follow),
                _ => {
                    parsed.events.push(self.provider());
                    return Ok(());
                }
            }
        } else {
            let change = match (gone(&old) || old.is_empty() || outside("old_chat_member"), gone(&new) || outside("new_chat_member")) {
                (_, true) => "bot_removed",
                (true, false) => "bot_added",
                (false, false) => "bot_rights",
            };
            let group = content::group(&chat).unwrap_or_default();
            Body::GroupUpdated(GroupUpdated { group, change: change.into(), from, extra })
        };
        parsed.events.push(self.event("", format!("telegram:{chat_id}"), self.fields.int("date"), body));
        Ok(())
    }

    /// Other people's membership, and requests to join.
    fn members(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let (chat, chat_id) = self.chat()?;
        let mut extra = Extra::default();
        for name in ["old_chat_member", "new_chat_member", "invite_link", "via_join_request", "bio", "user_chat_id"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        let change = if self.kind == "chat_join_request" { "join_request" } else { "members" };
        let from = self.fields.object("from").and_then(|from| content::person(&from));
        let group = content::group(&chat).unwrap_or_else(|| Group { id: chat_id.to_string().into(), name: None });
        let body = Body::GroupUpdated(GroupUpdated { group, change: change.into(), from, extra });
        parsed.events.push(self.event("", format!("telegram:{chat_id}"), self.fields.int("date"), body));
        Ok(())
    }

    fn deleted(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let (_, chat_id) = self.chat()?;
        let place = address::place(chat_id, self.fields.text("business_connection_id").as_deref());
        let numbers: Vec<Text<'a>> = self.fields.list("message_ids").into_iter().filter_map(object::text).collect();
        if numbers.is_empty() {
            return Err("`deleted_business_messages` without messages".into());
        }
        for number in numbers {
            let body = Body::Deleted(Deleted { from: None, message_id: format!("{place}:{number}").into() });
            parsed.events.push(self.event(&format!(":{number}"), format!("telegram:{place}"), None, body));
        }
        Ok(())
    }

    /// A business account connected the bot, changed what it may do, or let it go.
    fn connection(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let on = self.fields.flag("is_enabled");
        let may = self.fields.object("rights").map_or(self.fields.flag("can_reply"), |rights| rights.flag("can_reply"));
        let (severity, text) = match (on, may) {
            (true, true) => (Severity::Info, "A business account is connected, and the bot may answer for it."),
            (true, false) => (Severity::Warning, "A business account is connected, but the bot may not answer for it."),
            (false, _) => (Severity::Warning, "A business account has disconnected the bot."),
        };
        let raw = Some(Raw::borrowed(self.raw));
        let notice = Notice { kind: "business_connection".into(), severity, text: text.into(), raw };
        parsed.events.push(self.event("", String::new(), self.fields.int("date"), Body::Notice(notice)));
        Ok(())
    }

    /// A vote in a poll of ours. The update does not say in which chat.
    fn voted(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let from = self.fields.object("user").or_else(|| self.fields.object("voter_chat"));
        let from = from.and_then(|from| content::person(&from)).ok_or("a `poll_answer` without a person")?;
        let values: Vec<Text<'a>> = self.fields.list("option_ids").into_iter().filter_map(object::text).collect();
        if values.is_empty() {
            parsed.events.push(self.provider()); // The vote was taken back.
            return Ok(());
        }
        let mut extra = Extra::default();
        for name in ["poll_id", "option_persistent_ids"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        let part = Part::Choice(Choice { kind: ChoiceKind::Poll, id: values.first().cloned(), title: None, values });
        let id = format!("poll-{}:{}", self.fields.text("poll_id").unwrap_or_default(), self.key.unwrap_or_default());
        let peer = from.address.clone().into_owned();
        let message = Message { id: id.into(), parts: vec![part], ..Message::default() };
        let received = Received { from, message, extra, ..Received::default() };
        parsed.events.push(self.event("", peer, None, Body::Received(received)));
        Ok(())
    }
}

/// The words on the button that carries this data.
fn title_of<'a>(message: &Object<'a>, data: &str) -> Option<Text<'a>> {
    let rows = message.object("reply_markup")?.list("inline_keyboard");
    let buttons = rows.into_iter().filter_map(|row| serde_json::from_str::<Vec<Object<'a>>>(row.get()).ok()).flatten();
    buttons.into_iter().find(|b| b.text("callback_data").as_deref() == Some(data))?.text("text")
}

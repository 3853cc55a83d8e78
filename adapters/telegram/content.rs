//! What a Telegram message holds: people, groups, parts, and the service messages among them.

use serde_json::value::RawValue;

use super::inbound::Update;
use super::{Channel, address};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::object::Object;

/// Fields of a message that are told elsewhere in the event, or work like a credential (`guest_query_id`).
pub(super) const TOLD: &[&str] = &[
    "message_id",
    "date",
    "edit_date",
    "chat",
    "from",
    "sender_chat",
    "media_group_id",
    "message_thread_id",
    "is_topic_message",
    "direct_messages_topic",
    "business_connection_id",
    "reply_to_message",
    "guest_query_id",
    "ephemeral_message_id",
];

/// Content that becomes a part.
const CONTENT: &[&str] = &[
    "text",
    "caption",
    "photo",
    "audio",
    "voice",
    "video",
    "video_note",
    "live_photo",
    "animation",
    "document",
    "sticker",
    "location",
    "venue",
    "contact",
    "poll",
    "web_app_data",
    "successful_payment",
    "refunded_payment",
];

/// What content says that our parts have no word for; it is kept under the content's name.
const DETAILS: &[(&str, &[&str])] = &[
    ("audio", &["performer", "title"]),
    ("sticker", &["set_name", "custom_emoji_id", "mask_position"]),
    ("location", &["horizontal_accuracy", "heading", "proximity_alert_radius"]),
    ("venue", &["foursquare_id", "foursquare_type", "google_place_id", "google_place_type"]),
    ("contact", &["user_id"]),
    ("live_photo", &["photo"]),
    (
        "poll",
        &[
            "id",
            "type",
            "is_anonymous",
            "is_closed",
            "explanation",
            "correct_option_id",
            "correct_option_ids",
            "open_period",
            "close_date",
            "media",
        ],
    ),
    (
        "successful_payment",
        &[
            "telegram_payment_charge_id",
            "provider_payment_charge_id",
            "shipping_option_id",
            "order_info",
            "subscription_expiration_date",
            "is_recurring",
            "is_first_recurring",
        ],
    ),
    ("refunded_payment", &["telegram_payment_charge_id", "provider_payment_charge_id"]),
];

/// Service messages with a word of our own; the other names below are their own word.
const SERVICE: &[(&str, &str)] = &[
    ("new_chat_members", "members"),
    ("left_chat_member", "members"),
    ("new_chat_title", "title"),
    ("new_chat_photo", "photo"),
    ("delete_chat_photo", "photo"),
    ("group_chat_created", "created"),
    ("supergroup_chat_created", "created"),
    ("channel_chat_created", "created"),
    ("pinned_message", "pinned"),
    // Names of earlier API versions; the server still writes them beside the new ones.
    ("new_chat_member", "members"),
    ("new_chat_participant", "members"),
    ("left_chat_participant", "members"),
];

/// The beginnings and names of all other service messages.
const SERVICE_NAMES: &[&str] = &[
    "message_auto_delete_timer_changed",
    "forum_topic_",
    "general_forum_topic_",
    "video_chat_",
    "voice_chat_",
    "boost_added",
    "chat_background_set",
    "checklist_tasks_",
    "direct_message_price_changed",
    "paid_message_price_changed",
    "proximity_alert_triggered",
    "community_chat_",
    "suggested_post_approved",
    "suggested_post_approval_failed",
    "suggested_post_declined",
    "suggested_post_paid",
    "suggested_post_refunded",
    "connected_website",
    "giveaway_created",
    "giveaway_completed",
    "chat_owner_",
    "managed_bot_created",
    "poll_option_",
];

/// What marks a forwarded message: today's field, and the ones of earlier API versions.
const FORWARDED: &[&str] = &["forward_origin", "forward_date", "forward_from", "forward_from_chat", "forward_sender_name"];

/// A message with what is known of its place.
pub(super) struct Message<'m, 'a> {
    pub bot: &'m Channel,
    pub fields: &'m Object<'a>,
    chat: &'m Object<'a>,
    chat_id: i64,
    business: Option<Text<'a>>,
    place: String,
    pub date: Option<i64>,
}

impl<'m, 'a> Message<'m, 'a> {
    pub fn read(bot: &'m Channel, fields: &'m Object<'a>, chat: &'m Object<'a>, chat_id: i64) -> Self {
        let business = fields.words("business_connection_id");
        let place = address::place(chat_id, business.as_deref());
        Self { bot, fields, chat, chat_id, business, place, date: fields.int("date").filter(|date| *date > 0) }
    }

    fn peer(&self) -> String {
        address::peer(&self.place, self.fields)
    }

    /// The message's id; none for 0, which the server gives to messages it will only send later. What one member of a group alone
    /// can see has a number of its own kind.
    fn id(&self) -> String {
        let number = |name: &str| self.fields.int(name).filter(|number| *number != 0);
        match number("message_id") {
            Some(number) => format!("{}:{number}", self.place),
            None => number("ephemeral_message_id").map_or_else(String::new, |number| format!("{}:ephemeral-{number}", self.place)),
        }
    }

    /// Who wrote it. Anonymous administrators and channels stand in `sender_chat`, with a placeholder in `from`.
    fn sender(&self) -> Person<'a> {
        let chat = self.fields.object("sender_chat");
        let sender = chat.or_else(|| self.fields.object("from")).as_ref().and_then(person).or_else(|| person(self.chat));
        let mut sender = sender.unwrap_or_default();
        in_business(&mut sender, self.business.as_deref());
        sender
    }

    /// The events of a service message; `None` when it is an ordinary one.
    pub fn service(&self, update: &Update<'_, 'a>) -> Option<Vec<Event<'a>>> {
        let moved = |from: i64, to: i64| {
            Body::ContactUpdated(ContactUpdated {
                change: Change::AddressReplaced,
                previous: Some(format!("telegram:{from}").into()),
                current: Some(format!("telegram:{to}").into()),
                reason: Some("chat_migrated".into()),
                extra: Extra::default(),
            })
        };
        let body = if let Some(to) = self.fields.int("migrate_to_chat_id") {
            moved(self.chat_id, to)
        } else if let Some(from) = self.fields.int("migrate_from_chat_id") {
            moved(from, self.chat_id)
        } else if self.fields.has("write_access_allowed") {
            let mut extra = Extra::default();
            adapter::keep(&mut extra, "write_access_allowed", self.fields.kept("write_access_allowed"));
            Body::Followed(Follow { from: self.sender(), extra, ..Follow::default() })
        } else if self.fields.has("text") {
            return None; // What somebody wrote is no service message, and most messages are written.
        } else {
            let named = SERVICE
                .iter()
                .find(|(name, _)| self.fields.raw(name).is_some_and(is_told))
                .map(|&(name, word)| (Text::from(name), Text::from(word)));
            let other = |name: &str| SERVICE_NAMES.iter().any(|n| name == *n || n.ends_with('_') && name.starts_with(n));
            let unnamed =
                || self.fields.0.iter().find(|(name, raw)| other(name) && is_told(raw)).map(|(name, _)| (name.clone(), name.clone()));
            let (name, change) = named.or_else(unnamed)?;
            let Some(group) = group(self.chat) else { return Some(vec![update.provider()]) };
            let mut extra = Extra::default();
            if let Some(raw) = self.fields.kept(&name) {
                extra.push(name, raw);
            }
            Body::GroupUpdated(GroupUpdated { group, change, from: Some(self.sender()), extra })
        };
        Some(vec![update.event("", self.peer(), self.date, body)])
    }

    /// The events of an ordinary message.
    pub fn events(&self, update: &Update<'_, 'a>, edited: bool) -> Vec<Event<'a>> {
        let (mut from, message) = (self.sender(), self.message());
        let extra = self.extra(&message.parts);
        from.also.extend(own_number(&message.parts));
        let to = Some(format!("telegram:{}", self.bot.bot_id).into());
        if edited {
            let message_id = message.id.clone();
            let body = Body::Edited(Edited { from, message, message_id, extra });
            return vec![update.event("", self.peer(), self.fields.int("edit_date").or(self.date), body)];
        }
        if let Some(body) = self.own(&from, &message) {
            return vec![update.event("", self.peer(), self.date, body)];
        }
        let mut events = Vec::with_capacity(1);
        if message.group.is_none() && self.started() {
            let referral = message.referral.clone();
            let payload = referral.as_ref().and_then(|r| r.payload.clone());
            let follow = Follow { from: from.clone(), payload, referral, extra: Extra::default() };
            events.push(update.event(":start", self.peer(), self.date, Body::Followed(follow)));
        }
        // A business account may be answered for within a day of the person's message.
        let closes_at = self.date.filter(|_| self.business.is_some()).map(|date| Time::from_secs(date).plus(86_400_000));
        let reply_window = closes_at.map(|at| ReplyWindow { closes_at: Some(at), ..ReplyWindow::default() });
        let received = Received { from, to, message, reply_window, extra, ..Received::default() };
        events.push(update.event("", self.peer(), self.date, Body::Received(received)));
        events
    }

    /// A message of the business account itself: its chats have two sides, and the chat bears the other's id.
    fn own(&self, from: &Person<'a>, message: &event::Message<'a>) -> Option<Body<'a>> {
        self.business.as_ref()?;
        let sender = self.fields.object("from")?.int("id")?;
        let by_bot = self.fields.object("sender_business_bot").and_then(|bot| bot.text("id"));
        if by_bot.as_deref() == Some(&self.bot.bot_id) {
            return Some(Body::Receipt(Receipt { at: message.sent_at, ..Receipt::new(message.id.clone(), State::Sent) }));
        }
        if sender == self.chat_id && by_bot.is_none() {
            return None;
        }
        let kind = if by_bot.is_some() { "bot" } else { "agent" };
        let id = by_bot.unwrap_or_else(|| sender.to_string().into());
        Some(Body::Created(Created {
            message_id: message.id.clone(),
            origin: Origin::Echo,
            author: Some(Author { kind: Some(kind.into()), id: Some(id), name: from.name.clone() }),
            to: Some(self.peer().into()),
            message: message.clone(),
            metadata: None,
        }))
    }

    fn message(&self) -> event::Message<'a> {
        let bot = self.fields.object("from").is_some_and(|from| from.flag("is_bot")) && !self.fields.has("sender_chat");
        let forwarded = FORWARDED.iter().any(|name| self.fields.has(name));
        event::Message {
            id: self.id().into(),
            sent_at: self.date.map(Time::from_secs),
            parts: self.parts(),
            reply_to: self.quoted(),
            referral: self.referral(),
            group: group(self.chat),
            album: self.fields.words("media_group_id").map(|id| Album { id, ..Album::default() }),
            // A channel's posts come into its discussion group by themselves.
            automatic: (bot || self.fields.flag("is_from_offline") || forwarded && self.fields.flag("is_automatic_forward"))
                .then_some(true),
            forwarded: forwarded.then_some(true),
            ..event::Message::default()
        }
    }

    fn quoted(&self) -> Option<ReplyTo<'a>> {
        let quote = self.fields.object("quote").and_then(|quote| quote.words("text"));
        let Some(original) = self.fields.object("reply_to_message") else {
            return self.quoted_elsewhere(quote);
        };
        if original.has("forum_topic_created") {
            return None; // In a topic every message that answers nothing answers the topic's beginning.
        }
        let written =
            || ["rich_message", "checklist"].into_iter().find_map(|name| super::rich::words(name, original.raw(name)?)).map(Text::from);
        Some(ReplyTo {
            id: original.int("message_id").map(|number| format!("{}:{number}", self.place).into()),
            text: quote.or_else(|| original.words("text")).or_else(|| original.words("caption")).or_else(written),
            ..ReplyTo::default()
        })
    }

    /// An answer to a message of another chat. Which one is told only where that chat is public.
    fn quoted_elsewhere(&self, quote: Option<Text<'a>>) -> Option<ReplyTo<'a>> {
        let original = self.fields.object("external_reply")?;
        let chat = original.object("chat").and_then(|chat| chat.int("id"));
        let id = chat.zip(original.int("message_id")).map(|(chat, number)| format!("{chat}:{number}").into());
        (id.is_some() || quote.is_some()).then(|| ReplyTo { id, text: quote, ..ReplyTo::default() })
    }

    /// `/start`, which a person's first press sends.
    fn started(&self) -> bool {
        let text = self.fields.text("text").unwrap_or_default();
        text == "/start" || text.starts_with("/start ")
    }

    /// What a link `t.me/BOT?start=PAYLOAD` (or `startgroup`) brought along.
    fn referral(&self) -> Option<Referral<'a>> {
        let text = self.fields.text("text")?;
        let (command, payload) = text.split_once(' ')?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let is_start = command == "/start" || command.starts_with("/start@");
        let good = (1..=64).contains(&payload.len()) && payload.bytes().all(allowed);
        (is_start && good).then(|| Referral { kind: Some("link".into()), payload: Some(payload.to_owned().into()), ..Referral::default() })
    }

    /// What the message carries besides: attributes, and fields that came with content we understood.
    fn extra(&self, parts: &[Part<'a>]) -> Extra<'a> {
        let mut extra = Extra::default();
        let shown = |name: &str| TOLD.contains(&name) || CONTENT.contains(&name);
        let kept = |name: &str| parts.iter().any(|part| matches!(part, Part::Unsupported(u) if u.provider_type == name));
        for (name, raw) in &self.fields.0 {
            if !shown(name) && !kept(name) && is_told(raw) {
                extra.push(name.clone(), Raw::borrowed(raw));
            } else if let Some((_, untold)) = DETAILS.iter().find(|(content, _)| **content == **name)
                && let Some(content) = Object::parse(raw.get())
                && untold.iter().any(|name| content.raw(name).is_some_and(is_told))
            {
                let told: Vec<&str> = content.0.iter().map(|(name, _)| &**name).filter(|name| !untold.contains(name)).collect();
                extra.push(name.clone(), content.without(&told));
            }
        }
        extra
    }
}

/// Whether a field says anything: libraries that hand updates on write out what was absent.
pub(super) fn is_told(raw: &RawValue) -> bool {
    !matches!(raw.get(), "null" | "false" | "[]")
}

/// A user or a chat as a person.
pub(super) fn person<'a>(user: &Object<'a>) -> Option<Person<'a>> {
    let id = user.int("id")?;
    let group = user.has("type") && user.text("type").as_deref() != Some("private");
    let kind = if group {
        "group"
    } else if user.flag("is_bot") {
        "bot"
    } else {
        "person"
    };
    Some(Person {
        address: format!("telegram:{id}").into(),
        name: full_name(user).or_else(|| user.words("title")),
        username: user.words("username"),
        locale: user.words("language_code"),
        kind: Some(kind.into()),
        also: Vec::new(),
    })
}

/// The sender's own number, when the message is the sender's own card.
fn own_number<'a>(parts: &[Part<'a>]) -> Option<Text<'a>> {
    let contacts = parts.iter().find_map(|part| if let Part::Contacts(c) = part { Some(&c.contacts) } else { None })?;
    let phone = contacts.iter().find(|card| card.own == Some(true))?.phones.first()?;
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let number = format!("+{digits}");
    crate::kit::address::is_e164(&number).then(|| format!("tel:{number}").into())
}

/// Behind a business account the same person is another conversation: the address says through which.
pub(super) fn in_business(person: &mut Person<'_>, connection: Option<&str>) {
    let (Some(connection), Some(id)) = (connection, person.address.strip_prefix("telegram:")) else { return };
    let address = format!("telegram:{}/{id}", crate::kit::address::escape(connection));
    let plain = std::mem::replace(&mut person.address, address.into());
    person.also.push(plain);
}

/// The group, forum or channel a chat is.
pub(super) fn group<'a>(chat: &Object<'a>) -> Option<Group<'a>> {
    let group = match chat.text("type") {
        Some(kind) => kind != "private",
        None => chat.int("id").is_some_and(|id| id < 0), // The first API version named no type.
    };
    group.then(|| Group { id: chat.text("id").unwrap_or_default(), name: chat.words("title") })
}

pub(super) fn full_name<'a>(user: &Object<'a>) -> Option<Text<'a>> {
    match (user.words("first_name"), user.words("last_name")) {
        (Some(first), Some(last)) => Some(format!("{first} {last}").into()),
        (first, last) => first.or(last),
    }
}

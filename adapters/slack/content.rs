//! Messages: written, changed, taken back, and those that only say what happened to a channel.

use serde_json::value::RawValue;

use super::inbound::{Envelope, change, short, stamp};
use super::{interactive, markup};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::kit::object::{self, Object};

/// Fields that are told elsewhere in the event, or repeat another.
const TOLD: &[&str] = &[
    "type",
    "subtype",
    "channel",
    "channel_type",
    "user",
    "text",
    "ts",
    "event_ts",
    "thread_ts",
    "team",
    "user_team",
    "source_team",
    "files",
    "file",
    "upload",
    "display_as_bot",
    "parent_user_id",
    "hidden",
    "root",
    "user_profile",
    "edited",
    "username",
];

/// Slack itself: reminders, notices, and answers that a workspace has set up.
const SLACKBOT: &str = "USLACKBOT";

/// Subtypes that say nothing a person wrote.
const QUIET: &[&str] = &[
    "message_replied",
    "reply_broadcast",
    "assistant_app_thread",
    "reminder_add",
    "ekm_access_denied",
    "huddle_thread",
    "sh_room_created",
    "sh_room_shared",
    "tombstone",
    "document_mention",
    "bot_add",
    "bot_remove",
    "bot_enable",
    "bot_disable",
    "app_conversation_join",
    "channel_canvas_updated",
    "channel_sync_updated",
    "file_comment",
    "file_mention",
    "pinned_item",
    "unpinned_item",
    "joiner_notification",
    "joiner_notification_for_inviter",
    "reminder_delete",
    "slackbot_response",
    "shared_file",
];

/// The event of a message.
pub(super) fn read<'a>(cx: &Envelope<'_, 'a>, event: &Object<'a>, raw: &'a RawValue, kind: &str) -> Result<Event<'a>, String> {
    let channel = event.words("channel").ok_or("a message without a channel")?;
    let subtype = event.words("subtype").unwrap_or_default();
    let provider = |name: &str| Ok(cx.provider(event, raw, &format!("message.{name}")));
    match &*subtype {
        // The beginning of a thread that others still answer leaves a stone behind.
        "message_changed" if event.object("message").is_some_and(|now| now.text("subtype").as_deref() == Some("tombstone")) => {
            return deleted(cx, event, &channel);
        }
        "message_changed" => return changed(cx, event, &channel).map_or_else(|| provider("message_changed"), Ok),
        "message_deleted" => return deleted(cx, event, &channel),
        // What people write is in `root` twice; everything else of these names is about the channel.
        "" | "file_share" | "thread_broadcast" | "me_message" | "bot_message" | "channel_shared" => {}
        other if QUIET.contains(&other) => return provider(other),
        other => match change(other) {
            Some(change) => return cx.changed(event, change),
            None => return Err(format!("a message of the unknown subtype `{}`", short(other))),
        },
    }
    let ts = event.words("ts").or_else(|| event.words("event_ts")).or_else(|| cx.id.clone()).ok_or("a message without `ts`")?;
    let message = Post { cx, fields: event, channel: &channel, ts: &ts };
    let key = Some(format!("{channel}:{ts}").into());
    if message.is_own() {
        return Ok(cx.made(key, message.peer(), stamp(&ts), Body::Receipt(message.receipt())));
    }
    if event.has("bot_id") || subtype == "bot_message" {
        // Another app's: an answer to it could go round for ever.
        return provider("bot_message");
    }
    let user = event.words("user").ok_or_else(|| format!("a `{kind}` without a user"))?;
    let received = Received {
        from: message.sender(&user),
        to: cx.bot.as_deref().map(|bot| cx.address(bot).into()),
        message: message.message(raw),
        extra: message.extra(),
        ..Received::default()
    };
    Ok(cx.made(key, message.peer(), stamp(&ts), Body::Received(received)))
}

/// An edit. Unfurled links and counters of threads come the same way and are none.
fn changed<'a>(cx: &Envelope<'_, 'a>, event: &Object<'a>, channel: &Text<'a>) -> Option<Event<'a>> {
    let raw = event.raw("message")?;
    let now = Object::parse(raw.get())?;
    let before = event.object("previous_message").unwrap_or_default();
    let edited = |message: &Object<'a>| message.object("edited").and_then(|e| e.words("ts"));
    let at = edited(&now)?;
    let ts = now.words("ts").or_else(|| before.words("ts"))?;
    let post = Post { cx, fields: &now, channel, ts: &ts };
    let user = now.words("user")?;
    if edited(&before).as_ref() == Some(&at) || post.is_own() || now.has("bot_id") {
        return None;
    }
    let mut message = post.message(raw);
    message.group = group(event, channel).or(message.group);
    let id = message.id.clone();
    let body = Edited { from: post.sender(&user), message, message_id: id, extra: post.extra() };
    Some(cx.made(None, post.peer(), stamp(&at), Body::Edited(body)))
}

fn deleted<'a>(cx: &Envelope<'_, 'a>, event: &Object<'a>, channel: &Text<'a>) -> Result<Event<'a>, String> {
    let before = event.object("previous_message").unwrap_or_default();
    let ts = event.words("deleted_ts").or_else(|| before.words("ts")).ok_or("a deletion that does not say of what")?;
    let thread = before.words("thread_ts").filter(|thread| *thread != ts);
    // It is not said who took it back: the author, or an administrator.
    let body = Deleted { from: None, message_id: format!("{channel}:{ts}").into() };
    let time = event.text("event_ts").as_deref().and_then(stamp);
    Ok(cx.made(None, cx.peer(channel, thread.as_deref()), time, Body::Deleted(body)))
}

/// The channel as a group; a direct message is none.
fn group<'a>(event: &Object<'a>, channel: &Text<'a>) -> Option<Group<'a>> {
    let direct = match event.text("channel_type").as_deref() {
        Some("im" | "app_home") => true,
        Some(_) => false,
        None => channel.starts_with('D'),
    };
    (!direct).then(|| Group { id: channel.clone(), name: None })
}

/// One message.
struct Post<'p, 'a> {
    cx: &'p Envelope<'p, 'a>,
    fields: &'p Object<'a>,
    channel: &'p Text<'a>,
    ts: &'p Text<'a>,
}

impl<'a> Post<'_, 'a> {
    fn thread(&self) -> Option<Text<'a>> {
        self.fields.words("thread_ts").filter(|thread| thread != self.ts)
    }

    fn peer(&self) -> String {
        self.cx.peer(self.channel, self.thread().as_deref())
    }

    fn is_own(&self) -> bool {
        let user = self.fields.words("user");
        let profile = self.fields.object("bot_profile").unwrap_or_default();
        let app = self.fields.words("app_id").or_else(|| profile.words("app_id"));
        self.cx.is_bot(user.as_deref()) || self.cx.channel.is_own(user.as_deref(), app.as_deref())
    }

    /// A message of ours that comes back: it has arrived, and tells our id where Slack shows what we attached.
    fn receipt(&self) -> Receipt<'a> {
        let attached = self.fields.object("metadata").filter(|m| m.text("event_type").as_deref() == Some(super::outbound::LABEL));
        let ours = attached.and_then(|m| m.object("event_payload")).and_then(|p| p.words("mid"));
        Receipt { message_id: ours, at: stamp(self.ts), ..Receipt::new(format!("{}:{}", self.channel, self.ts), State::Sent) }
    }

    fn sender(&self, user: &str) -> Person<'a> {
        let profile = self.fields.object("user_profile").unwrap_or_default();
        let name = profile.words("real_name").or_else(|| profile.words("display_name"));
        let mut sender = Person { name, username: profile.words("name"), ..self.cx.who(user) };
        if user == SLACKBOT {
            sender.kind = Some("bot".into());
        }
        sender
    }

    fn message(&self, raw: &'a RawValue) -> Message<'a> {
        let root = self.fields.object("root").unwrap_or_default();
        let reply_to = self.thread().map(|thread| ReplyTo {
            id: Some(format!("{}:{thread}", self.channel).into()),
            text: root.words("text"),
            ..ReplyTo::default()
        });
        let (parts, forwarded) = self.parts(raw);
        Message {
            id: format!("{}:{}", self.channel, self.ts).into(),
            sent_at: stamp(self.ts),
            parts,
            reply_to,
            group: group(self.fields, self.channel),
            forwarded: forwarded.then_some(true),
            automatic: self.fields.text("user").is_some_and(|user| user == SLACKBOT).then_some(true),
            ..Message::default()
        }
    }

    fn parts(&self, raw: &'a RawValue) -> (Vec<Part<'a>>, bool) {
        // Before 2018 there was one file, and the text told of its upload.
        let single = self.fields.object("file").filter(|_| !self.fields.has("files"));
        let text = match &single {
            Some(file) => file.object("initial_comment").and_then(|comment| comment.words("comment")),
            None => self.fields.words("text"),
        };
        let text = text.map(|text| markup::read(text, &self.cx.team, self.cx.bot.as_deref()));
        let mut files: Vec<Part<'a>> = self.fields.objects("files").iter().chain(&single).filter_map(file).collect();
        let shared: Vec<Object<'a>> =
            self.fields.objects("attachments").into_iter().filter(|a| a.flag("is_share") || a.flag("is_msg_unfurl")).collect();
        let mut parts = Vec::with_capacity(1);
        match (text, files.first_mut()) {
            (Some(text), Some(first)) if text.mentions.is_empty() => {
                if let Part::Image(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) = first {
                    m.caption = Some(text.text);
                }
            }
            (Some(text), _) => parts.push(Part::Text(text)),
            (None, _) => {}
        }
        parts.extend(files);
        // What is handed on has its own words, below those that come with it; a link that is shown has them where nothing else is.
        let alone = parts.is_empty();
        let words = shared.iter().filter(|a| alone || a.flag("is_share")).filter_map(|a| a.words("text").or_else(|| a.words("fallback")));
        parts.extend(words.map(|words| Part::Text(markup::read(words, &self.cx.team, self.cx.bot.as_deref()))));
        if parts.is_empty() {
            parts.push(Part::unsupported("message", Some(Raw::borrowed(raw))));
        }
        (parts, !shared.is_empty())
    }

    fn extra(&self) -> Extra<'a> {
        let mut extra = Extra::default();
        for (name, raw) in &self.fields.0 {
            if !TOLD.contains(&&**name) && !matches!(raw.get(), "null" | "[]" | "{}") {
                let kept = object::without(raw, interactive::SECRET);
                if kept.get() != "{}" {
                    extra.push(name.clone(), kept);
                }
            }
        }
        // What Slack has understood of a recording.
        let heard = |file: Object<'a>| {
            file.raw("transcription")
                .filter(|_| file.object("transcription").is_some_and(|t| t.text("status").as_deref() == Some("complete")))
        };
        let heard: Vec<&RawValue> = self.fields.objects("files").into_iter().filter_map(heard).collect();
        if !heard.is_empty() {
            extra.push("transcriptions", Raw::of(&heard));
        }
        extra
    }
}

/// A file by its kind.
fn file<'a>(file: &Object<'a>) -> Option<Part<'a>> {
    let id = file.words("id")?;
    let mime = file.words("mimetype");
    let pixels = |name: &str| file.int(name).and_then(|n| u32::try_from(n).ok());
    let url = file.words("url_private_download").or_else(|| file.words("url_private"));
    let gone = match file.text("mode").as_deref() {
        Some("tombstone") => Some("the file was deleted"),
        Some("hidden_by_limit") => Some("the workspace's plan hides the file"),
        _ => None,
    };
    let source = MediaRef { id: id.into_owned(), url: url.map(Text::into_owned), expires_at: None };
    let media = Media {
        mime_type: mime.clone(),
        size: file.int("size").and_then(|n| u64::try_from(n).ok()),
        filename: file.words("name").or_else(|| file.words("title")),
        width: pixels("original_w"),
        height: pixels("original_h"),
        duration_ms: file.int("duration_ms").and_then(|n| u64::try_from(n).ok()),
        status: Some(if gone.is_some() { MediaStatus::Unavailable } else { MediaStatus::Pending }),
        reason: gone.map(Into::into),
        source: gone.is_none().then_some(source),
        ..Media::default()
    };
    let part = MediaPart { media, caption: None };
    let clip = file.text("subtype");
    Some(match (clip.as_deref(), mime.as_deref().and_then(|m| m.split('/').next())) {
        (Some("slack_audio"), _) => Part::Voice(part),
        (Some("slack_video"), _) | (_, Some("video")) => Part::Video(part),
        (_, Some("image")) => Part::Image(part),
        (_, Some("audio")) => Part::Audio(part),
        _ => Part::File(part),
    })
}

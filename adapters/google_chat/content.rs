//! What happened, whichever format told it: messages, presses, commands, being taken in and put out.

use serde_json::value::RawValue;

use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::address::escape;
use crate::kit::crypto;
use crate::kit::object::Object;

/// The parameter in which our own buttons carry what was picked, and the name of our own menus.
pub(super) const CHOICE: &str = "choice";
pub(super) const TITLE: &str = "title";
pub(super) const MENU: &str = "menu";

/// Fields of a message that are told elsewhere in the event, or repeat another.
const TOLD: &[&str] = &[
    "name",
    "sender",
    "createTime",
    "text",
    "argumentText",
    "formattedText",
    "thread",
    "space",
    "attachment",
    "attachments",
    "attachedGifs",
    "annotations",
    "threadReply",
    "quotedMessageMetadata",
    "slashCommand",
    "fallbackText",
    "retentionSettings",
    "messageHistoryState",
];

/// Where and when it happened, and who did it.
pub(super) struct Scene<'a> {
    pub user: Option<Object<'a>>,
    pub space: Object<'a>,
    pub message: Option<&'a RawValue>,
    pub time: Option<Text<'a>>,
    pub locale: Option<Text<'a>>,
    pub zone: Option<Raw<'a>>,
}

/// A press on a card.
#[derive(Default)]
pub(super) struct Click<'a> {
    pub parameters: Object<'a>,
    /// The same as a list of `key` and `value`.
    pub listed: Vec<Object<'a>>,
    pub inputs: Option<Raw<'a>>,
    pub function: Option<Text<'a>>,
    pub dialog: Option<Text<'a>>,
}

impl<'a> Click<'a> {
    fn parameter(&self, name: &str) -> Option<Text<'a>> {
        let listed = || self.listed.iter().find(|p| p.text("key").as_deref() == Some(name)).and_then(|p| p.words("value"));
        self.parameters.words(name).or_else(listed)
    }
}

/// An address: `gchat:spaces/S`, `gchat:users/U`.
pub(super) fn address(name: &str) -> String {
    format!("gchat:{name}")
}

/// A user as a person.
pub(super) fn person<'a>(user: &Object<'a>) -> Option<Person<'a>> {
    // The address is an alias of the number (`users.name`, read 2026-11-30).
    let name = user.words("name").or_else(|| user.words("email").map(|email| format!("users/{email}").into()))?;
    let kind = if user.text("type").as_deref() == Some("BOT") { "bot" } else { "person" };
    let also = user.words("email").map(|email| format!("mailto:{email}").into()).into_iter().collect();
    Some(Person { name: user.words("displayName"), kind: Some(kind.into()), also, ..Person::at(address(&name)) })
}

/// Whether it is a conversation of two.
pub(super) fn is_direct(space: &Object<'_>) -> bool {
    let kind = space.text("spaceType").or_else(|| space.text("type")).unwrap_or_default();
    matches!(&*kind, "DIRECT_MESSAGE" | "DM") || space.flag("singleUserBotDm")
}

/// The conversation of a message. Only where people see threads is each a conversation of its own.
pub(super) fn peer(space: &Object<'_>, message: Option<&Object<'_>>) -> String {
    let within = || message?.words("name")?.split_once("/messages/").map(|(space, _)| space.to_owned().into());
    let Some(name) = space.words("name").or_else(within) else { return String::new() };
    // `threaded` is what rooms said before 2022.
    let threaded =
        space.flag("threaded") || matches!(space.text("spaceThreadingState").as_deref(), Some("THREADED_MESSAGES" | "GROUPED_MESSAGES"));
    let thread =
        message.filter(|m| !is_direct(space) && (threaded || m.flag("threadReply"))).and_then(|m| m.object("thread")?.words("name"));
    match thread.as_deref().and_then(|thread| thread.rsplit('/').next()) {
        Some(thread) => format!("{}#{}", address(&name), escape(thread)),
        None => address(&name),
    }
}

fn group<'a>(space: &Object<'a>) -> Option<Group<'a>> {
    let id = space.words("name").filter(|_| !is_direct(space))?;
    Some(Group { id, name: space.words("displayName") })
}

impl<'a> Scene<'a> {
    fn time(&self) -> Option<Time> {
        Time::parse(self.time.as_deref()?)
    }

    fn made(&self, key: Option<String>, peer: String, time: Option<Time>, body: Body<'a>) -> Event<'a> {
        let time = time.or_else(|| self.time());
        Event { account: None, key: key.map(Into::into), medium: "google_chat".into(), peer: peer.into(), time, body }
    }

    /// A key for what only its time tells from others.
    fn moment(&self, what: &str) -> Option<String> {
        let time = self.time.as_deref()?;
        let user = self.user.as_ref().and_then(|user| user.words("name")).unwrap_or_default();
        Some(format!("{what}:{}:{user}:{time}", self.space.words("name").unwrap_or_default()))
    }

    fn who(&self) -> Result<Person<'a>, String> {
        let user = self.user.as_ref().and_then(person).ok_or("an event without a user")?;
        Ok(Person { locale: self.locale.clone(), ..user })
    }

    pub fn provider(&self, kind: Text<'a>, raw: Raw<'a>) -> Event<'a> {
        self.made(self.moment(&kind), peer(&self.space, None), None, Body::Provider(ProviderEvent { provider_type: kind, raw }))
    }

    pub fn message(&self) -> Result<Event<'a>, String> {
        let raw = self.message.ok_or("a message event without a message")?;
        let fields = Object::parse(raw.get()).ok_or("a message that is not an object")?;
        // Every message has a name, but what others pass on may have lost it. Such a message is never taken for a repeat.
        let name = fields.words("name");
        let sender = fields.object("sender").and_then(|sender| person(&sender));
        let peer = peer(&self.space, Some(&fields));
        if sender.as_ref().is_some_and(|sender| sender.kind.as_deref() == Some("bot")) {
            let body = ProviderEvent { provider_type: "bot_message".into(), raw: Raw::borrowed(raw) };
            return Ok(self.made(name.map(Text::into_owned), peer, None, Body::Provider(body)));
        }
        // The user who acts is told with more than the sender of the message.
        let acting = self.who().ok().filter(|user| sender.as_ref().is_none_or(|sender| sender.address == user.address));
        let from = acting.or(sender).ok_or("a message without a sender")?;
        let mut message = read(&fields, &self.space, raw);
        if name.is_none() {
            message.id = self.moment("message").unwrap_or_else(|| crypto::fingerprint(&[raw.get()])).into();
        }
        let time = message.sent_at;
        let mut extra = extra(&fields);
        adapter::keep(&mut extra, "timeZone", self.zone.clone());
        let body = Received { from, message, extra, ..Received::default() };
        Ok(self.made(name.map(Text::into_owned), peer, time, Body::Received(body)))
    }

    /// A person installed the app, or somebody took it into a space.
    pub fn added(&self) -> Event<'a> {
        let from = self.who().ok();
        let mut extra = Extra::default();
        adapter::keep(&mut extra, "timeZone", self.zone.clone());
        let body = match group(&self.space) {
            Some(group) => Body::GroupUpdated(GroupUpdated { group, change: "bot_added".into(), from, extra }),
            None => Body::Followed(Follow { from: from.unwrap_or_default(), extra, ..Follow::default() }),
        };
        self.made(self.moment("added"), peer(&self.space, None), None, body)
    }

    pub fn removed(&self) -> Event<'a> {
        let from = self.who().ok();
        let body = match group(&self.space) {
            Some(group) => Body::GroupUpdated(GroupUpdated { group, change: "bot_removed".into(), from, ..GroupUpdated::default() }),
            None => Body::Unfollowed(Follow { from: from.unwrap_or_default(), ..Follow::default() }),
        };
        self.made(self.moment("removed"), peer(&self.space, None), None, body)
    }

    fn received(&self, what: &str, part: Part<'a>, mut extra: Extra<'a>) -> Result<Event<'a>, String> {
        let fields = self.message.and_then(|raw| Object::parse(raw.get())).unwrap_or_default();
        let quoted = fields.words("name");
        let from = self.who()?;
        let key = self.moment(&format!("{what}:{}", quoted.as_deref().unwrap_or_default()));
        let reply_to = quoted.map(|id| ReplyTo { id: Some(id), text: fields.words("text"), ..ReplyTo::default() });
        adapter::keep(&mut extra, "timeZone", self.zone.clone());
        let id = key.clone().unwrap_or_default().into();
        let message = Message { id, sent_at: self.time(), parts: vec![part], reply_to, group: group(&self.space), ..Message::default() };
        let peer = peer(&self.space, Some(&fields));
        Ok(self.made(key, peer, None, Body::Received(Received { from, message, extra, ..Received::default() })))
    }

    /// A slash or quick command.
    pub fn command(&self, id: Option<i64>, kind: Option<Text<'a>>) -> Result<Event<'a>, String> {
        let fields = self.message.and_then(|raw| Object::parse(raw.get())).unwrap_or_default();
        let name = fields.words("name");
        let values =
            fields.words("argumentText").map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).map(Into::into).into_iter().collect();
        let mut extra = Extra::default();
        if let Some(kind) = kind {
            extra.push("appCommandType", Raw::of(&*kind));
        }
        let id = id.map(|id| id.to_string().into());
        let choice = Choice { kind: ChoiceKind::Command, title: fields.words("text"), id, values };
        let mut event = self.received("command", Part::Choice(choice), extra)?;
        // A typed command is a message of its own; the same may come as a message event.
        if let (Some(name), Body::Received(received)) = (name, &mut event.body) {
            received.message.id = name.clone();
            received.message.reply_to = None;
            event.key = Some(name);
        }
        Ok(event)
    }

    /// A press, a pick, a filled-in form.
    pub fn clicked(&self, click: &Click<'a>) -> Result<Event<'a>, String> {
        let mut extra = Extra::default();
        let listed = || click.listed.iter().filter_map(|p| Some((p.words("key")?, p.text("value").unwrap_or_default())));
        match click.parameters.0.is_empty() {
            false => extra.push("parameters", click.parameters.without(&[])),
            true if click.listed.is_empty() => {}
            true => extra.push("parameters", Raw::of(&listed().collect::<std::collections::BTreeMap<_, _>>())),
        }
        if let Some(function) = &click.function {
            extra.push("function", Raw::of(&**function));
        }
        let inputs = click.inputs.clone().filter(|inputs| inputs.get() != "{}");
        let menu = click.parameter(MENU).is_some();
        let picked = || {
            let json: serde_json::Value = serde_json::from_str(inputs.as_ref()?.get()).ok()?;
            json[MENU]["stringInputs"]["value"][0].as_str().map(|value| Text::Owned(value.to_owned()))
        };
        let part = match click.parameter(CHOICE).or_else(|| if menu { picked() } else { None }) {
            Some(id) => {
                let kind = if menu { ChoiceKind::List } else { ChoiceKind::Button };
                Part::Choice(Choice { kind, id: Some(id), title: click.parameter(TITLE), values: Vec::new() })
            }
            None => match inputs {
                Some(fields) => Part::Form(Form { name: click.function.clone(), fields: Some(fields) }),
                None => {
                    // Without the name of a function a parameter that stands alone says what was pressed.
                    let alone =
                        || <[_; 1]>::try_from(click.parameters.0.clone()).ok().and_then(|[(name, _)]| click.parameters.words(&name));
                    let id = click.function.clone().or_else(alone);
                    Part::Choice(Choice { kind: ChoiceKind::Button, id, title: None, values: Vec::new() })
                }
            },
        };
        let what = match &part {
            Part::Choice(choice) => choice.id.clone().unwrap_or_default().into_owned(),
            _ => "form".to_owned(),
        };
        self.received(&format!("click:{what}"), part, extra)
    }
}

/// A message's content.
pub(super) fn read<'a>(fields: &Object<'a>, space: &Object<'a>, raw: &'a RawValue) -> Message<'a> {
    let about = fields.object("quotedMessageMetadata").unwrap_or_default();
    let forwarded = is_forward(&about).then_some(true);
    let words = about.object("quotedMessageSnapshot").and_then(|snapshot| snapshot.words("text"));
    let quoted = about.words("name").filter(|_| forwarded.is_none());
    Message {
        id: fields.words("name").unwrap_or_default(),
        sent_at: fields.text("createTime").and_then(|t| Time::parse(&t)),
        parts: parts(fields, raw),
        reply_to: quoted.map(|id| ReplyTo { id: Some(id), text: words, ..ReplyTo::default() }),
        group: group(space),
        forwarded,
        ..Message::default()
    }
}

/// Whether what is quoted was passed on from elsewhere, and not answered (`QuoteType`, read 2026-11-30).
fn is_forward(about: &Object<'_>) -> bool {
    about.text("quoteType").as_deref() == Some("FORWARD")
}

fn parts<'a>(fields: &Object<'a>, raw: &'a RawValue) -> Vec<Part<'a>> {
    let mut parts = Vec::with_capacity(1);
    let whole = fields.words("text");
    // Without the mention of the app, which leaves a space behind.
    let words = fields.text("argumentText").map(|text| match text {
        Text::Borrowed(text) => Text::Borrowed(text.trim()),
        Text::Owned(text) => Text::Owned(text.trim().to_owned()),
    });
    if let Some(command) = fields.object("slashCommand").and_then(|command| command.words("commandId")) {
        let values = words.filter(|w| !w.is_empty()).into_iter().collect();
        parts.push(Part::Choice(Choice { kind: ChoiceKind::Command, id: Some(command), title: whole, values }));
    } else {
        match (words.filter(|words| !words.is_empty()), whole) {
            (Some(words), Some(whole)) if words == whole => {
                parts.push(Part::Text(TextPart { mentions: mentions(fields), text: whole, ..TextPart::default() }))
            }
            (Some(words), Some(whole)) => {
                let before = whole.trim_end().strip_suffix(&*words).map(|before| before.chars().count() as u32);
                let moved = |m: Mention<'a>| Some(Mention { offset: m.offset.checked_sub(before?)?, ..m });
                let mentions = mentions(fields).into_iter().filter_map(moved).collect();
                parts.push(Part::Text(TextPart { text: words, mentions, ..TextPart::default() }));
            }
            (Some(words), None) => parts.push(Part::text(words)),
            (None, Some(whole)) => parts.push(Part::Text(TextPart { mentions: mentions(fields), text: whole, ..TextPart::default() })),
            (None, None) => {}
        }
    }
    // What was passed on: its words and its files.
    let passed = fields
        .object("quotedMessageMetadata")
        .filter(is_forward)
        .and_then(|about| about.object("quotedMessageSnapshot"))
        .unwrap_or_default();
    parts.extend(passed.words("text").map(Part::text));
    let files = [fields, &passed].into_iter().flat_map(|of| of.objects("attachment").into_iter().chain(of.objects("attachments")));
    parts.extend(files.filter_map(|file| attachment(&file)));
    parts.extend(fields.objects("attachedGifs").iter().filter_map(|gif| {
        let source = MediaRef { url: Some(gif.words("uri")?.into_owned()), ..MediaRef::default() };
        let media =
            Media { mime_type: Some("image/gif".into()), status: Some(MediaStatus::Pending), source: Some(source), ..Media::default() };
        Some(Part::Image(MediaPart { media, caption: None }))
    }));
    if parts.is_empty() {
        parts.push(Part::unsupported("message", Some(Raw::borrowed(raw))));
    }
    parts
}

/// Numbers come as floats here: `14.0`.
fn mentions<'a>(fields: &Object<'a>) -> Vec<Mention<'a>> {
    let mention = |note: Object<'a>| {
        let about = note.object("userMention").filter(|_| note.text("type").as_deref() == Some("USER_MENTION"))?;
        let user = about.object("user").unwrap_or_default();
        let number = |name: &str| note.float(name).filter(|n| *n >= 0.0).map(|n| n as u32);
        let own = (user.text("type").as_deref() == Some("BOT")).then_some(true);
        Some(Mention {
            address: user.words("name").map(|name| address(&name).into()),
            offset: number("startIndex").unwrap_or(0),
            length: number("length")?,
            own,
        })
    };
    fields.objects("annotations").into_iter().filter_map(mention).collect()
}

/// A file. One that lies in somebody's Drive is not ours to fetch.
fn attachment<'a>(file: &Object<'a>) -> Option<Part<'a>> {
    let reference = file.object("attachmentDataRef").and_then(|data| data.words("resourceName"));
    let mime = file.words("contentType");
    let (status, reason) = match &reference {
        Some(_) => (MediaStatus::Pending, None),
        None => (MediaStatus::Unavailable, Some("the file lies in Google Drive; only its owner can share it".into())),
    };
    let media = Media {
        mime_type: mime.clone(),
        filename: file.words("contentName"),
        status: Some(status),
        reason,
        source: reference.map(|id| MediaRef { id: id.into_owned(), ..MediaRef::default() }),
        ..Media::default()
    };
    let part = MediaPart { media, caption: None };
    Some(match mime.as_deref().and_then(|m| m.split('/').next()) {
        Some("image") => Part::Image(part),
        Some("video") => Part::Video(part),
        Some("audio") => Part::Audio(part),
        _ => Part::File(part),
    })
}

fn extra<'a>(fields: &Object<'a>) -> Extra<'a> {
    let mut extra = Extra::default();
    // Links to documents and emoji of the organisation's own; mentions and commands have a place.
    let placed = |note: &&RawValue| {
        Object::parse(note.get()).is_none_or(|n| matches!(n.text("type").as_deref(), Some("USER_MENTION" | "SLASH_COMMAND")))
    };
    let notes: Vec<&RawValue> = fields.list("annotations").into_iter().filter(|note| !placed(note)).collect();
    if !notes.is_empty() {
        extra.push("annotations", Raw::of(&notes));
    }
    // Where a file in Drive lies, for whoever may fetch it there.
    if fields.objects("attachment").iter().any(|file| file.has("driveDataRef")) {
        adapter::keep(&mut extra, "attachment", fields.kept("attachment"));
    }
    adapter::keep(
        &mut extra,
        "quotedMessageMetadata",
        fields.kept("quotedMessageMetadata").filter(|_| fields.object("quotedMessageMetadata").as_ref().is_some_and(is_forward)),
    );
    for (name, raw) in &fields.0 {
        if !TOLD.contains(&&**name) && !matches!(raw.get(), "null" | "[]" | "{}") {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
    }
    extra
}

//! What the connector delivers: one activity a request.

use serde_json::value::RawValue;

use super::{Channel, content, invoke, place};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::object::{self, Object};

/// Says what a delivery means.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Ok(raw) = serde_json::from_str::<&'a RawValue>(text) else { return Parsed::not_understood("the body is not JSON") };
    let Some(fields) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    let mut parsed = Parsed::default();
    let activity = Activity { channel, raw, fields };
    if let Err(reason) = activity.read(&mut parsed) {
        parsed.leave(reason);
    }
    parsed
}

/// A provider's word, cut where it is too long for a sentence.
pub(super) fn short(word: &str) -> String {
    word.chars().take(64).collect()
}

/// What works like a credential and stands in no event.
pub(super) const SECRET: &[&str] = &["serviceUrl", "callerId", "relatesTo", "token", "authentication"];

/// One activity.
pub(super) struct Activity<'d, 'a> {
    pub channel: &'d Channel,
    pub raw: &'a RawValue,
    pub fields: Object<'a>,
}

impl<'a> Activity<'_, 'a> {
    fn read(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let kind = self.fields.words("type").ok_or("an activity without a type")?;
        if !self.conversation().is_empty() {
            self.handles(parsed);
        }
        match &*kind {
            "message" => parsed.events.push(content::message(self)?),
            "messageUpdate" => parsed.events.push(content::edited(self)?),
            "messageDelete" => {
                let id = self.id().ok_or("a deletion that does not say of what")?;
                let from = self.who().ok();
                parsed.events.push(self.made(&self.when(), Body::Deleted(Deleted { from, message_id: id.into() })));
            }
            "messageReaction" => self.reactions(parsed)?,
            "conversationUpdate" => parsed.events.push(self.conversation_changed()),
            "installationUpdate" => parsed.events.push(self.installed()),
            "invoke" => invoke::read(self, parsed)?,
            "typing" => parsed.events.push(self.made("", Body::Typing(Signal { from: self.who()?, until: None }))),
            "event" => parsed.events.push(self.happened()),
            "contactRelationUpdate" => parsed.events.push(self.related(&kind)?),
            "endOfConversation" | "handoff" | "trace" | "deleteUserData" | "command" | "commandResult" | "suggestion" => {
                parsed.events.push(self.provider(&kind));
            }
            unknown => return Err(format!("an activity of the unknown type `{}`", short(unknown))),
        }
        Ok(())
    }

    /// The conversation as the connector names it.
    pub fn conversation(&self) -> Text<'a> {
        self.fields.object("conversation").and_then(|c| c.words("id")).unwrap_or_default()
    }

    pub fn conversation_type(&self) -> Text<'a> {
        self.fields.object("conversation").and_then(|c| c.words("conversationType")).unwrap_or_default()
    }

    pub fn peer(&self) -> String {
        let id = self.conversation();
        if id.is_empty() { String::new() } else { place::peer(&id) }
    }

    /// The service behind the conversation: whoever answers needs it.
    fn handles(&self, parsed: &mut Parsed<'a>) {
        let Some(url) = self.fields.words("serviceUrl").filter(|url| place::service(url).is_some()) else { return };
        let peer = self.peer();
        let whole = peer.split_once('#').map(|(whole, _)| whole.to_owned());
        for peer in std::iter::once(peer.clone()).chain(whole) {
            let account = Some(self.channel.settings.app_id.clone().into());
            parsed.handles.push(Handle { account, peer: peer.into(), value: url.clone(), until: None, uses: None });
        }
    }

    pub fn time(&self) -> Option<Time> {
        // A message's id is the moment it was written.
        let id = || self.fields.int("id").filter(|id| (1_000_000_000_000..10_000_000_000_000).contains(id)).map(Time);
        self.fields.text("timestamp").and_then(|t| Time::parse(&t)).or_else(id)
    }

    /// Our id of the message it is about.
    pub fn id(&self) -> Option<String> {
        self.fields.words("id").map(|id| place::message(&self.conversation(), &id))
    }

    /// What tells an update from other updates of the same.
    pub fn when(&self) -> String {
        let data = self.fields.object("channelData").unwrap_or_default();
        format!(":{}:{}", data.words("eventType").unwrap_or_default(), self.fields.text("timestamp").unwrap_or_default())
    }

    /// An event of this activity. Its key is the activity's own, and `more` where that is not enough.
    pub fn made(&self, more: &str, body: Body<'a>) -> Event<'a> {
        let kind = self.fields.text("type").unwrap_or_default();
        let key = self.fields.words("id").map(|id| format!("{}:{id}:{kind}{more}", self.conversation()).into());
        let account = Some(self.channel.settings.app_id.clone().into());
        Event { account, key, medium: "teams".into(), peer: self.peer().into(), time: self.time(), body }
    }

    pub fn provider(&self, kind: &str) -> Event<'a> {
        // What a login brings lets its holder act for the person: a token, or the number that stands for one.
        let login = kind.starts_with("signin/") || kind.starts_with("tokens/");
        let raw = if login { self.fields.without(&[SECRET, &["value"]].concat()) } else { object::without(self.raw, SECRET) };
        self.made(&self.when(), Body::Provider(ProviderEvent { provider_type: kind.to_owned().into(), raw }))
    }

    pub fn who(&self) -> Result<Person<'a>, String> {
        let from = self.fields.object("from").unwrap_or_default();
        person(&from).map(|who| Person { locale: self.fields.words("locale"), ..who }).ok_or_else(|| "an activity without a sender".into())
    }

    /// Whether an account is our own.
    pub fn is_own(&self, id: &str) -> bool {
        let ours = self.fields.object("recipient").and_then(|r| r.words("id"));
        ours.as_deref() == Some(id) || id.strip_prefix("28:") == Some(&self.channel.settings.app_id)
    }

    pub fn group(&self) -> Option<Group<'a>> {
        let id = self.conversation();
        if id.is_empty() || self.conversation_type() == "personal" {
            return None;
        }
        let data = self.fields.object("channelData").unwrap_or_default();
        let named = |name: &str| data.object(name).and_then(|o| o.words("name"));
        let id: Text<'a> = id.split(';').next().unwrap_or_default().to_owned().into();
        let name = self.fields.object("conversation").and_then(|c| c.words("name")).or_else(|| named("channel")).or_else(|| named("team"));
        // Invokes of meetings leave the type away.
        let several = self.conversation_type().is_empty() && id.starts_with("19:");
        let grouped = matches!(&*self.conversation_type(), "groupChat" | "channel")
            || self.fields.object("conversation").is_some_and(|c| c.flag("isGroup"))
            || several;
        grouped.then_some(Group { id, name })
    }

    fn reactions(&self, parsed: &mut Parsed<'a>) -> Result<(), String> {
        let about = self.fields.words("replyToId").or_else(|| self.fields.words("id")).ok_or("a reaction that does not say to what")?;
        let from = self.who()?;
        let before = parsed.events.len();
        for (list, action) in [("reactionsRemoved", ReactionAction::Removed), ("reactionsAdded", ReactionAction::Added)] {
            for reaction in self.fields.objects(list) {
                let Some(kind) = reaction.words("type") else { continue };
                let body = Reaction {
                    from: from.clone(),
                    message_id: place::message(&self.conversation(), &about).into(),
                    reaction: Some(emoji(&kind).unwrap_or_else(|| kind.clone())),
                    action,
                };
                let more = format!(":{list}:{kind}{}:{}", self.when(), from.address);
                parsed.events.push(self.made(&more, Body::Reaction(body)));
            }
        }
        if parsed.events.len() == before { Err("a reaction without a kind".into()) } else { Ok(()) }
    }

    /// Members, channels, the team's name.
    fn conversation_changed(&self) -> Event<'a> {
        let data = self.fields.object("channelData").unwrap_or_default();
        // The reference itself writes `teamRenamed` and `teamrestored`.
        let kind = data.words("eventType").map(|kind| kind.to_ascii_lowercase());
        let members = |name: &str| self.fields.objects(name);
        let own = |name: &str| members(name).iter().any(|m| m.words("id").is_some_and(|id| self.is_own(&id)));
        let change = match kind.as_deref() {
            _ if own("membersAdded") => "bot_added",
            _ if own("membersRemoved") => "bot_removed",
            Some("teammemberadded" | "teammemberremoved" | "channelmemberadded" | "channelmemberremoved") => "members",
            Some("teamrenamed" | "channelrenamed") => "title",
            Some("channelcreated") => "channel_created",
            Some("channeldeleted") => "channel_deleted",
            Some("channelrestored") => "channel_restored",
            Some("channelshared") => "channel_shared",
            Some("channelunshared") => "channel_unshared",
            Some("teamarchived") => "archived",
            Some("teamunarchived" | "teamrestored") => "unarchived",
            Some("teamdeleted" | "teamharddeleted") => "deleted",
            None if !members("membersAdded").is_empty() || !members("membersRemoved").is_empty() => "members",
            None if self.fields.has("topicName") => "title",
            _ => return self.provider("conversationUpdate"),
        };
        // In a chat of two the installation tells the same, and means more.
        let Some(group) = self.group() else { return self.provider("conversationUpdate") };
        let mut extra = Extra::default();
        for name in ["membersAdded", "membersRemoved", "topicName"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        for name in ["team", "channel"] {
            adapter::keep(&mut extra, name, data.kept(name));
        }
        let from = self.who().ok().filter(|from| !from.address.is_empty());
        self.made(&self.when(), Body::GroupUpdated(GroupUpdated { group, change: change.into(), from, extra }))
    }

    /// The bot came into a person's list of contacts, or left it.
    fn related(&self, kind: &str) -> Result<Event<'a>, String> {
        let follow = Follow { from: self.who()?, ..Follow::default() };
        Ok(match self.fields.text("action").as_deref() {
            Some("add") => self.made(&self.when(), Body::Followed(follow)),
            Some("remove") => self.made(&self.when(), Body::Unfollowed(follow)),
            _ => self.provider(kind),
        })
    }

    /// The app was installed or taken away.
    fn installed(&self) -> Event<'a> {
        let action = self.fields.words("action").unwrap_or_default();
        let from = self.who().ok();
        let group = self.group();
        let body = match (&*action, group) {
            ("add", None) => Body::Followed(Follow { from: from.unwrap_or_default(), ..Follow::default() }),
            ("remove", None) => Body::Unfollowed(Follow { from: from.unwrap_or_default(), ..Follow::default() }),
            ("add" | "remove", Some(group)) => {
                let change = if action == "add" { "bot_added" } else { "bot_removed" };
                Body::GroupUpdated(GroupUpdated { group, change: change.into(), from, ..GroupUpdated::default() })
            }
            _ => return self.provider("installationUpdate"),
        };
        self.made(&format!(":{action}{}", self.when()), body)
    }

    /// A read receipt, or something about a meeting.
    fn happened(&self) -> Event<'a> {
        let name = self.fields.words("name").unwrap_or_default();
        let read = self
            .fields
            .object("value")
            .and_then(|value| value.int("lastReadMessageId"))
            .filter(|_| name.ends_with("/vnd.microsoft.readReceipt"));
        match read {
            // Ids are times: all up to this one has been read.
            Some(last) => {
                let receipt = Receipt { watermark: Some(Time(last)), at: self.time(), ..Receipt::new("", State::Read) };
                self.made(&format!(":{last}"), Body::Receipt(receipt))
            }
            None => self.provider(if name.is_empty() { "event" } else { &name }),
        }
    }
}

/// An account as a person. The Entra id is the same for every bot.
pub(super) fn person<'a>(from: &Object<'a>) -> Option<Person<'a>> {
    let id = from.words("id")?;
    let kind = if id.starts_with("28:") { "bot" } else { "person" };
    let also = from.words("aadObjectId").map(|id| place::user(&id).into()).into_iter().collect();
    Some(Person { name: from.words("name"), kind: Some(kind.into()), also, ..Person::at(place::user(&id)) })
}

/// Teams' words for feelings.
pub(super) const FEELINGS: &[(&str, &str)] =
    &[("like", "👍"), ("heart", "❤️"), ("laugh", "😆"), ("surprised", "😮"), ("sad", "😢"), ("angry", "😡")];

/// One of the six, or a name that begins with the code points: `1f44f_clappinghands`.
fn emoji<'a>(kind: &str) -> Option<Text<'a>> {
    if let Some((_, emoji)) = FEELINGS.iter().find(|(word, _)| *word == kind) {
        return Some((*emoji).into());
    }
    let points = kind.split_once('_')?.0.split('-').map(|point| char::from_u32(u32::from_str_radix(point, 16).ok()?));
    points.collect::<Option<String>>().filter(|emoji| !emoji.is_ascii()).map(Into::into)
}

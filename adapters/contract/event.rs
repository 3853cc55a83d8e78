//! What happened, in one vocabulary for all providers: the `data` of our events (contract, section 5).
//!
//! An adapter fills an [`Event`]; the engine adds what only it knows (channel, conversation, receive time, id) when it
//! writes the [`Data`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::part::{Media, Part, Raw, Text};
use super::{Money, Time};

/// One thing that happened, as an adapter reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// The channel's own id at the provider as the body names it (`phone_number_id`, page id, number).
    /// `None` when the delivery can only be about the channel whose URL it came to.
    pub account: Option<Text<'a>>,
    /// What makes it unique among all events of this channel: from the provider's own ids, the same on every delivery
    /// and every replay. `None` only where the provider numbers nothing.
    pub key: Option<Text<'a>>,
    /// What the person uses: `whatsapp`, `sms`, `webchat`, ...
    pub medium: Text<'a>,
    /// The person, group or room it belongs to, as an address, with `#thread` where there is one.
    /// Empty for what concerns the whole account.
    pub peer: Text<'a>,
    /// The provider's time, when it gives one.
    pub time: Option<Time>,
    /// What happened.
    pub body: Body<'a>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Body<'a> {
    /// A person wrote.
    Received(Received<'a>),
    /// A person changed a message.
    Edited(Edited<'a>),
    /// A person took a message back.
    Deleted(Deleted<'a>),
    /// A person reacted.
    Reaction(Reaction<'a>),
    /// Something went to a person (here: written in the provider's own app).
    Created(Created<'a>),
    /// The provider tells what became of a message of ours. The engine turns it into `fairway.message.status`.
    Receipt(Receipt<'a>),
    /// A person is typing.
    Typing(Signal<'a>),
    /// A person has read up to a point.
    Read(Signal<'a>),
    /// A person subscribed, pressed start, unblocked us.
    Followed(Follow<'a>),
    /// A person left or blocked us.
    Unfollowed(Follow<'a>),
    /// A person's address or profile changed.
    ContactUpdated(ContactUpdated<'a>),
    /// A person allowed or forbade us to write.
    Consent(Consent<'a>),
    /// Something a person did that a page or app tracked.
    Tracked(Tracked<'a>),
    /// A person opened a short link of ours.
    LinkClicked(LinkClicked<'a>),
    /// A group changed.
    GroupUpdated(GroupUpdated<'a>),
    /// A public post or mention.
    Comment(Comment<'a>),
    /// Known, but without a counterpart here.
    Provider(ProviderEvent<'a>),
    /// News about the account.
    Notice(Notice<'a>),
}

impl Body<'_> {
    /// The event's type. A receipt has the type of what it becomes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Received(_) => "fairway.message.received",
            Self::Edited(_) => "fairway.message.edited",
            Self::Deleted(_) => "fairway.message.deleted",
            Self::Reaction(_) => "fairway.message.reaction",
            Self::Created(_) => "fairway.message.created",
            Self::Receipt(_) => "fairway.message.status",
            Self::Typing(_) => "fairway.contact.typing",
            Self::Read(_) => "fairway.contact.read",
            Self::Followed(_) => "fairway.contact.followed",
            Self::Unfollowed(_) => "fairway.contact.unfollowed",
            Self::ContactUpdated(_) => "fairway.contact.updated",
            Self::Consent(_) => "fairway.contact.consent",
            Self::Tracked(_) => "fairway.contact.tracked",
            Self::LinkClicked(_) => "fairway.link.clicked",
            Self::GroupUpdated(_) => "fairway.group.updated",
            Self::Comment(_) => "fairway.comment.received",
            Self::Provider(_) => "fairway.provider.event",
            Self::Notice(_) => "fairway.channel.notice",
        }
    }

    /// The topic it belongs to, without the prefix.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::Created(_) | Self::Receipt(_) => "status",
            Self::Typing(_) | Self::Read(_) => "signals",
            Self::Notice(_) => "notices",
            _ => "inbound",
        }
    }
}

impl<'a> Body<'a> {
    /// Every media object in it, so that the engine can replace the provider's handle by its own URL.
    pub fn each_media(&mut self, mut act: impl FnMut(&mut Media<'a>)) {
        let message = match self {
            Self::Received(e) => &mut e.message,
            Self::Edited(e) => &mut e.message,
            Self::Created(e) => &mut e.message,
            Self::Comment(e) => &mut e.message,
            _ => return,
        };
        for part in &mut message.parts {
            match part {
                Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => act(&mut m.media),
                Part::Story(story) => story.media.iter_mut().for_each(&mut act),
                Part::Card(card) => card.media.iter_mut().for_each(&mut act),
                Part::Carousel(carousel) => carousel.cards.iter_mut().filter_map(|card| card.media.as_mut()).for_each(&mut act),
                _ => {}
            }
        }
    }
}

/// The `data` of an event: what all events carry, then what this one carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Data<'a, B> {
    /// The channel's id in the configuration.
    pub channel: Text<'a>,
    /// The provider: `whatsapp`, `twilio`, ...
    pub provider: Text<'a>,
    /// What the person uses.
    pub medium: Text<'a>,
    /// Opaque; the partition key. The channel's id for what concerns the whole account.
    pub conversation: Text<'a>,
    /// When the gateway took it.
    pub received_at: Time,
    /// The rest.
    #[serde(flatten)]
    pub body: B,
}

/// Who somebody is.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Person<'a> {
    /// URI-like: `whatsapp:+15550100200`.
    pub address: Text<'a>,
    /// Display name.
    pub name: Option<Text<'a>>,
    /// Handle, without `@`.
    pub username: Option<Text<'a>>,
    /// BCP 47.
    pub locale: Option<Text<'a>>,
    /// `person`, `bot`, `business`, `group`.
    pub kind: Option<Text<'a>>,
    /// Other addresses of the same person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Text<'a>>,
}

impl<'a> Person<'a> {
    /// Somebody of whom only the address is known.
    pub fn at(address: impl Into<Text<'a>>) -> Self {
        Self { address: address.into(), ..Self::default() }
    }
}

/// A message's content.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message<'a> {
    /// The provider's id, unique in the channel.
    pub id: Text<'a>,
    /// The provider's time.
    pub sent_at: Option<Time>,
    /// The content.
    pub parts: Vec<Part<'a>>,
    /// What it answers.
    pub reply_to: Option<ReplyTo<'a>>,
    /// Where the person came from.
    pub referral: Option<Referral<'a>>,
    /// The group or room.
    pub group: Option<Group<'a>>,
    /// The album it belongs to.
    pub album: Option<Album<'a>>,
    /// E-mail: the subject.
    pub subject: Option<Text<'a>>,
    /// E-mail: copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<Text<'a>>,
    /// E-mail: the headers that matter.
    pub headers: Option<Raw<'a>>,
    /// Written by a machine (an auto-reply, a bounce).
    pub automatic: Option<bool>,
    /// E-mail: SPF, DKIM and DMARC results.
    pub authentication: Option<Authentication<'a>>,
    /// Passed on from elsewhere.
    pub forwarded: Option<bool>,
    /// Old, synchronised later: triggers, auto-replies and KPIs ignore it.
    pub history: Option<bool>,
    /// `private` when absent, else `public`.
    pub visibility: Option<Text<'a>>,
}

/// What a message answers.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyTo<'a> {
    /// The quoted message's provider id.
    pub id: Option<Text<'a>>,
    /// Our id, when it was ours.
    pub message_id: Option<Text<'a>>,
    /// The quoted words.
    pub text: Option<Text<'a>>,
    /// The product asked about.
    pub product: Option<Text<'a>>,
}

/// Where a person came from.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Referral<'a> {
    /// `ad`, `post`, `link`, `qr`, ...
    pub kind: Option<Text<'a>>,
    /// The ad's or post's id.
    pub id: Option<Text<'a>>,
    /// Its address.
    pub source_url: Option<Text<'a>>,
    /// What we put into the link.
    pub payload: Option<Text<'a>>,
    /// For attribution.
    pub click_id: Option<Text<'a>>,
    /// Its headline.
    pub headline: Option<Text<'a>>,
}

/// A group or room.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Group<'a> {
    /// The provider's id.
    pub id: Text<'a>,
    /// Its title.
    pub name: Option<Text<'a>>,
}

/// The album a message belongs to.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Album<'a> {
    /// Equal for all its messages.
    pub id: Text<'a>,
    /// Its place, from 1.
    pub index: Option<u32>,
    /// How many there are.
    pub total: Option<u32>,
}

/// E-mail authentication results.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Authentication<'a> {
    /// RFC 7208 result.
    pub spf: Option<Text<'a>>,
    /// RFC 6376 result.
    pub dkim: Option<Text<'a>>,
    /// RFC 7489 result.
    pub dmarc: Option<Text<'a>>,
}

/// Until when the provider lets us answer freely.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyWindow<'a> {
    /// When it closes.
    pub closes_at: Option<Time>,
    /// Until when answers cost nothing.
    pub free_until: Option<Time>,
    /// Why it is closed, when it is.
    pub closed_reason: Option<Text<'a>>,
}

/// What the provider sent that has no place here, under its own names. Never credentials or reply handles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra<'a>(pub Vec<(Text<'a>, Raw<'a>)>);

impl<'a> Extra<'a> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps one field.
    pub fn push(&mut self, name: impl Into<Text<'a>>, raw: Raw<'a>) {
        self.0.push((name.into(), raw));
    }
}

impl Serialize for Extra<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}

impl<'de> Deserialize<'de> for Extra<'_> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = serde_json::Map::deserialize(deserializer)?;
        Ok(Self(map.iter().map(|(k, v)| (Text::Owned(k.clone()), Raw::of(v))).collect()))
    }
}

impl JsonSchema for Extra<'_> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Extra".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }
}

/// `fairway.message.received`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Received<'a> {
    /// Who wrote.
    pub from: Person<'a>,
    /// Our address it was written to.
    pub to: Option<Text<'a>>,
    /// What was written.
    pub message: Message<'a>,
    /// Until when we may answer.
    pub reply_window: Option<ReplyWindow<'a>>,
    /// The person's screen waits for an answer until then.
    pub respond_by: Option<Time>,
    /// The rest.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra<'a>,
}

/// `fairway.message.edited`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Edited<'a> {
    /// Who.
    pub from: Person<'a>,
    /// The message as it is now.
    pub message: Message<'a>,
    /// The provider's id of the message changed.
    pub message_id: Text<'a>,
    /// The rest.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra<'a>,
}

/// `fairway.message.deleted`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted<'a> {
    /// Who, when the provider says so.
    pub from: Option<Person<'a>>,
    /// The provider's id of the message taken back.
    pub message_id: Text<'a>,
}

/// Added or taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReactionAction {
    /// New.
    #[default]
    Added,
    /// Taken back.
    Removed,
}

/// `fairway.message.reaction`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reaction<'a> {
    /// Who.
    pub from: Person<'a>,
    /// The provider's id of the message reacted to.
    pub message_id: Text<'a>,
    /// The emoji or the provider's word; absent when removed without saying which.
    pub reaction: Option<Text<'a>>,
    /// Added or taken back.
    pub action: ReactionAction,
}

/// Where an outgoing message came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The HTTP API or the `send` topic.
    #[default]
    Api,
    /// A campaign.
    Campaign,
    /// A reminder.
    Reminder,
    /// A trigger.
    Trigger,
    /// A journey.
    Journey,
    /// A help desk.
    Desk,
    /// An automatic reply.
    AutoReply,
    /// Written in the provider's own app.
    Echo,
}

/// Who wrote an outgoing message.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Author<'a> {
    /// `agent`, `bot` or `system`.
    pub kind: Option<Text<'a>>,
    /// The caller's id of the author.
    pub id: Option<Text<'a>>,
    /// Shown where the channel shows names.
    pub name: Option<Text<'a>>,
}

/// `fairway.message.created`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Created<'a> {
    /// Our id; for echoes the provider's.
    pub message_id: Text<'a>,
    /// Where it came from.
    pub origin: Origin,
    /// Who wrote it.
    pub author: Option<Author<'a>>,
    /// To whom.
    pub to: Option<Text<'a>>,
    /// The content.
    pub message: Message<'a>,
    /// What the sender attached.
    pub metadata: Option<Raw<'a>>,
}

/// What a provider says became of a message of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt<'a> {
    /// The provider's id of our message. Empty when only `watermark` or `message_id` names it.
    pub provider_message_id: Text<'a>,
    /// Our id, where the provider gives back what we attached.
    pub message_id: Option<Text<'a>>,
    /// What it says.
    pub state: State,
    /// When it happened there.
    pub at: Option<Time>,
    /// Which member of a group.
    pub recipient: Option<Text<'a>>,
    /// Why it failed.
    pub error: Option<Reason>,
    /// All messages to this peer up to this time have reached `state`.
    pub watermark: Option<Time>,
    /// What it cost.
    pub cost: Option<Money<'a>>,
    /// The provider's own word, when it says more than `state`.
    pub detail: Option<Text<'a>>,
}

impl<'a> Receipt<'a> {
    /// A plain receipt.
    pub fn new(provider_message_id: impl Into<Text<'a>>, state: State) -> Self {
        Self {
            provider_message_id: provider_message_id.into(),
            message_id: None,
            state,
            at: None,
            recipient: None,
            error: None,
            watermark: None,
            cost: None,
            detail: None,
        }
    }
}

/// The states of a message, ordered by rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum State {
    /// Durable in a lane.
    Accepted = 0,
    /// Waits for its time.
    Scheduled = 1,
    /// Waits for a reason.
    Held = 2,
    /// A call is about to leave or under way.
    Sending = 3,
    /// The provider may or may not have it.
    InDoubt = 4,
    /// The provider has it.
    Sent = 5,
    /// It will not arrive.
    Failed = 6,
    /// It arrived.
    Delivered = 7,
    /// It was read.
    Read = 8,
    /// Its time ran out first.
    Expired = 9,
    /// Stopped on request.
    Cancelled = 10,
    /// Not allowed to go.
    Suppressed = 11,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Scheduled,
        Self::Held,
        Self::Sending,
        Self::InDoubt,
        Self::Sent,
        Self::Failed,
        Self::Delivered,
        Self::Read,
        Self::Expired,
        Self::Cancelled,
        Self::Suppressed,
    ];

    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scheduled => "scheduled",
            Self::Held => "held",
            Self::Sending => "sending",
            Self::InDoubt => "in_doubt",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Suppressed => "suppressed",
        }
    }

    /// Whether nothing more is owed to this message by us (receipts may still come).
    pub fn settled(self) -> bool {
        self >= Self::Sent
    }
}

/// How a failure is classed (contract, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// May pass by itself.
    Transient,
    /// Too fast.
    Throttled,
    /// Our credentials.
    Auth,
    /// This person cannot be reached.
    Recipient,
    /// This person does not want it.
    OptedOut,
    /// Outside the provider's reply window.
    Window,
    /// The message itself.
    Content,
    /// The channel's set-up.
    Config,
    /// Nothing known.
    Unknown,
}

impl ErrorClass {
    /// The word in JSON and in metric labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::Recipient => "recipient",
            Self::OptedOut => "opted_out",
            Self::Window => "window",
            Self::Content => "content",
            Self::Config => "config",
            Self::Unknown => "unknown",
        }
    }
}

/// Why something failed or waits. `code` is ours and stable; the provider's own code stands beside it.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Its class.
    pub class: ErrorClass,
    /// Ours, stable, `snake_case`.
    pub code: Text<'static>,
    /// A sentence a person may read, without content of messages.
    pub title: Text<'static>,
    /// The provider's code.
    pub provider_code: Option<String>,
    /// When it will be tried again.
    pub retry_at: Option<Time>,
}

impl Reason {
    /// A reason of ours.
    pub fn new(class: ErrorClass, code: impl Into<Text<'static>>, title: impl Into<Text<'static>>) -> Self {
        Self { class, code: code.into(), title: title.into(), provider_code: None, retry_at: None }
    }

    /// With the provider's code.
    pub fn provider_code(mut self, code: impl ToString) -> Self {
        self.provider_code = Some(code.to_string());
        self
    }
}

/// `fairway.message.status`
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status<'a> {
    /// Our id.
    pub message_id: Text<'a>,
    /// The provider's, once there is one.
    pub provider_message_id: Option<Text<'a>>,
    /// Where it stands.
    pub state: State,
    /// The provider's word, when it says more.
    pub detail: Option<Text<'a>>,
    /// When it got there.
    pub at: Time,
    /// Which try, from 1.
    pub attempt: Option<u32>,
    /// Which member of a group.
    pub recipient: Option<Text<'a>>,
    /// Why it failed.
    pub error: Option<Reason>,
    /// Why it is held.
    pub reason: Option<Text<'a>>,
    /// Until when it is held.
    pub until: Option<Time>,
    /// Came after a stronger state was published.
    pub late: Option<bool>,
    /// What it cost.
    pub cost: Option<Money<'a>>,
    /// What the sender attached.
    pub metadata: Option<Raw<'a>>,
    /// The campaign it belongs to.
    pub campaign: Option<Text<'a>>,
    /// The reminder it belongs to.
    pub reminder: Option<Text<'a>>,
    /// Of a fallback step: the first message of its chain.
    pub fallback_of: Option<Text<'a>>,
    /// Of a fallback step that was accepted: the units the provider will charge, such as the segments of an SMS.
    pub units: Option<u32>,
}

/// `fairway.contact.typing`, `fairway.contact.read`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal<'a> {
    /// Who.
    pub from: Person<'a>,
    /// Typing: when it ends. Reading: the time up to which all was read.
    pub until: Option<Time>,
}

/// `fairway.contact.followed`, `fairway.contact.unfollowed`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Follow<'a> {
    /// Who.
    pub from: Person<'a>,
    /// What came with it (a start parameter, a referral).
    pub payload: Option<Text<'a>>,
    /// Where the person came from.
    pub referral: Option<Referral<'a>>,
    /// The rest.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra<'a>,
}

/// What changed about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// One more address.
    AddressAdded,
    /// An address took another's place.
    AddressReplaced,
    /// An address works no more.
    AddressGone,
    /// Two people turned out to be one.
    Merged,
    /// Name, picture or the like.
    Profile,
}

/// `fairway.contact.updated`
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContactUpdated<'a> {
    /// What changed.
    pub change: Change,
    /// The address before.
    pub previous: Option<Text<'a>>,
    /// The address now.
    pub current: Option<Text<'a>>,
    /// Why: `number_changed`, `chat_migrated`, `token_dead`, ...
    pub reason: Option<Text<'a>>,
    /// The rest.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra<'a>,
}

/// Allowed or forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// We may write.
    OptedIn,
    /// We may not.
    OptedOut,
}

/// `fairway.contact.consent`
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Consent<'a> {
    /// Who.
    pub from: Option<Person<'a>>,
    /// Allowed or forbidden.
    pub state: ConsentState,
    /// `all`, `marketing`, or a program's name.
    pub scope: Text<'a>,
    /// How, when, in which words.
    pub evidence: Option<Raw<'a>>,
}

/// `fairway.contact.erased`: a person's data is gone here, and should be wherever it was copied to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Erased<'a> {
    /// Keyed fingerprints of the addresses.
    pub addresses: Vec<Text<'a>>,
    /// The request: the id of its job.
    pub request: Text<'a>,
}

/// `fairway.contact.tracked`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tracked<'a> {
    /// Who.
    pub from: Option<Person<'a>>,
    /// What: `page_viewed`, ...
    pub name: Text<'a>,
    /// Details.
    pub properties: Option<Raw<'a>>,
}

/// `fairway.link.clicked`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkClicked<'a> {
    /// Who it was sent to. Whoever opened it had the link; that need not be the same person.
    pub from: Option<Person<'a>>,
    /// The message it stood in.
    pub message_id: Option<Text<'a>>,
    /// Where it leads.
    pub url: Text<'a>,
    /// The campaign.
    pub campaign: Option<Text<'a>>,
}

/// `fairway.group.updated`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupUpdated<'a> {
    /// Which group.
    pub group: Group<'a>,
    /// `members`, `title`, `bot_added`, `bot_removed`, `join_request`, `created`, `deleted`, ...
    pub change: Text<'a>,
    /// Who did it, when known.
    pub from: Option<Person<'a>>,
    /// The rest.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra<'a>,
}

/// `fairway.comment.received`
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comment<'a> {
    /// Who.
    pub from: Person<'a>,
    /// What.
    pub message: Message<'a>,
    /// The post's id.
    pub post: Option<Text<'a>>,
    /// Always `public`.
    pub visibility: Text<'a>,
    /// The rest.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra<'a>,
}

/// `fairway.provider.event`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderEvent<'a> {
    /// The provider's word.
    pub provider_type: Text<'a>,
    /// As it came.
    pub raw: Raw<'a>,
}

/// How urgent a notice is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Look at it.
    Warning,
    /// Messages do not go out or come in.
    Error,
}

/// `fairway.channel.notice`
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notice<'a> {
    /// `template_status`, `quality`, `token_revoked`, `limits_changed`, ...
    pub kind: Text<'a>,
    /// How urgent.
    pub severity: Severity,
    /// A sentence.
    pub text: Text<'a>,
    /// As it came.
    pub raw: Option<Raw<'a>>,
}

/// `fairway.webhook.unparsed`: a verified delivery that was partly or not understood. Can be replayed.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unparsed<'a> {
    /// `GET` or `POST`.
    pub method: Text<'a>,
    /// The query string.
    pub query: Option<Text<'a>>,
    /// Headers, without secrets.
    pub headers: Raw<'a>,
    /// The body: text, or base64 when it is not UTF-8 (`raw_base64`).
    pub raw: Option<Text<'a>>,
    /// The body in base64, when it is not UTF-8.
    pub raw_base64: Option<Text<'a>>,
    /// Where the body lies, when it is over 512 KiB.
    pub dataref: Option<Text<'a>>,
    /// What was not understood.
    pub reason: Text<'a>,
}

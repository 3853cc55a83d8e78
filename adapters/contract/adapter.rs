//! The one trait every provider implements, and the values it answers with.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use super::{
    Call, Context, Event, MediaRef, Outbound, Raw, Reason, Reply, Settings, SettingsError, Step, Text, Verified, VerifyError, Webhook,
};

/// A provider's protocol, bound to one channel's settings. Pure: no waiting, no clock, no socket.
///
/// ```text
///   delivery ──verify──▶ proof ──parse──▶ events, leftovers, acknowledgement
///   message  ──render──▶ calls ──(transport)──▶ reply ──classify──▶ one more call, or a verdict
///   sent     ──revise──▶ call ──────(the same way)──────┘
/// ```
///
/// Every implementation must pass the laws in `conformance`.
pub trait Adapter: Send + Sync + 'static {
    /// Checks the settings once. An error names the key and the remedy.
    fn bind(settings: Settings) -> Result<Self, SettingsError>
    where
        Self: Sized;

    /// The channel's own id at the provider, as deliveries name it; `None` when deliveries never do.
    fn account(&self) -> Option<&str>;

    /// What shares the account-wide limits: equal text = one limit (portfolio, account, app). `None`: the channel alone.
    fn limit_group(&self) -> Option<&str> {
        None
    }

    /// The paces of this channel, where its settings decide (the kind of sender). `None`: those of the facts.
    fn paces(&self) -> Option<&[super::Pace]> {
        None
    }

    /// Whether an address is a group, where groups have a pace of their own.
    fn is_group(&self, _to: &str) -> bool {
        false
    }

    /// What is known about the provider, where the channel's settings say it (scheme, limits, abilities).
    /// `None`: the facts beside the code.
    fn facts(&self) -> Option<&'static super::Facts> {
        None
    }

    /// Checks that a delivery comes from the provider. In constant time where secrets are compared; touches no content.
    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError>;

    /// Says what a delivery means. Cannot fail and never panics: what is not understood is named in `unparsed`.
    /// Equal bytes give equal events with equal keys.
    fn parse<'a>(&self, hook: &Verified<'a>, cx: &Context<'_>) -> Parsed<'a>;

    /// The calls that bring a message to the provider, in order, and what was downgraded on the way.
    /// Equal messages give equal calls, except where the provider wants the time.
    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError>;

    /// What an answer means. Total: every answer has a meaning, and only a success is `Accept`.
    fn classify(&self, call: &Call, reply: &Reply) -> Step;

    /// The call that obtains the token in `Context::login`. Not needed where the token is in the settings.
    fn login(&self, _cx: &Context<'_>) -> Option<Call> {
        None
    }

    /// Reads the login's answer: the token, and for how many milliseconds it is good.
    fn logged_in(&self, _reply: &Reply) -> Option<(super::Secret, u64)> {
        None
    }

    /// The call that fetches a media object of a delivery.
    fn fetch(&self, _media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        None
    }

    /// What the answer to `fetch` means: the bytes, one more call, or gone.
    fn fetched(&self, _call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        match reply.status.as_u16() {
            200..=299 => Fetched::Bytes,
            408 | 425 | 429 | 500..=599 => Fetched::Later,
            _ => Fetched::Gone(format!("the provider answered {}", reply.status.as_u16())),
        }
    }

    /// A harmless call that shows whether the credentials work (`fairway check --live`).
    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        None
    }

    /// How to register the webhook.
    fn setup(&self, cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!("Enter {} as the webhook address in the provider's console.", cx.hook_url))
    }

    /// What a person has to do at the provider besides, in a sentence, where `setup` is calls.
    fn setup_besides(&self) -> Option<&'static str> {
        None
    }

    /// A call that shows the person that we are typing, or that we have read `message_id`, where the channel has it.
    fn signal(&self, _signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        None
    }

    /// The address of a device or browser that an app registers (`POST /v1/devices`), and what must be kept to reach it.
    /// `None` where the channel knows no devices.
    fn register(&self, _device: &Device<'_>) -> Option<Result<Registered, RenderError>> {
        None
    }

    /// The channel's side of a connection of its own, where the provider has no webhooks or no API over HTTP. `memory` is
    /// what the last session wished to remember. Its calls go to `session:` addresses.
    fn session(&self, _memory: &[u8]) -> Option<Box<dyn super::Session>> {
        None
    }

    /// Calls in flight at a time, where the settings decide. `None`: those of the facts.
    fn concurrency(&self) -> Option<u32> {
        None
    }

    /// The link by which a person starts a conversation with this channel; an error where the settings lack what it is made of.
    /// `None` where the provider has no such link.
    fn entry(&self, _entry: &super::Entry<'_>) -> Option<Result<super::EntryLink, RenderError>> {
        None
    }

    /// The call that changes or takes back a message of ours that the provider has, where the channel can. Repeating it changes nothing
    /// more. `None` where the provider has no such call.
    fn revise(&self, _sent: &SentMessage<'_>, _revision: Revision<'_>, _cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        None
    }

    /// Whether settlement of an unknown outcome can ask the provider: the call that looks our message up.
    fn lookup(&self, _message: &Outbound<'_>, _cx: &Context<'_>) -> Option<Call> {
        None
    }
}

/// A message of ours that the provider has.
#[derive(Clone, Copy, Debug)]
pub struct SentMessage<'a> {
    /// Whom it went to: an address of this channel's schemes.
    pub to: &'a str,
    /// The thread in the conversation.
    pub thread: Option<&'a str>,
    /// The provider's id of it, as `Verdict::Accept` has given it.
    pub provider_id: &'a str,
    /// What the engine keeps for answering this person, if anything.
    pub handle: Option<&'a str>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
pub enum Revision<'a> {
    /// This takes the place of what was said. Its `id`, `to` and `thread` are those of the message.
    Edit(&'a Outbound<'a>),
    /// It is taken back, for everybody where the provider can.
    Recall,
}

/// A device or browser as an app registers it.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    /// The token its push service gave it.
    pub token: Option<&'a str>,
    /// The subscription its browser gave it (`PushSubscription.toJSON()`).
    pub subscription: Option<&'a serde_json::Value>,
}

/// Where a registered device can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its address, the same for the same device.
    pub address: String,
    /// What `render` needs besides, given back as `Outbound::handle`.
    pub handle: Option<String>,
}

/// A signal to the person.
#[derive(Clone, Copy, Debug)]
pub enum Signalled<'a> {
    /// We are typing.
    Typing {
        /// To whom.
        to: &'a str,
        /// The last message of theirs, as some providers want it.
        last: Option<&'a str>,
    },
    /// We have read.
    Read {
        /// Whose message.
        to: &'a str,
        /// Up to this provider id.
        message_id: &'a str,
    },
}

/// What an answer to `fetch` means.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The body is the media object.
    Bytes,
    /// This is the media object, unpacked from the answer (decrypted, decoded), with its media type when that is known.
    Opened(bytes::Bytes, Option<String>),
    /// One more call is needed.
    Call(Call),
    /// Try again.
    Later,
    /// It cannot be had any more; why.
    Gone(String),
}

/// How the webhook is registered.
#[derive(Clone, Debug)]
pub enum Setup {
    /// By these calls, in order.
    Calls(Vec<Call>),
    /// By a person, following these words.
    ByHand(String),
}

/// What a delivery means.
#[derive(Clone, Debug, Default)]
pub struct Parsed<'a> {
    /// What happened, in the order of the delivery.
    pub events: Vec<Event<'a>>,
    /// What was not understood, in words without content. The engine keeps the raw delivery then.
    pub unparsed: Option<Cow<'a, str>>,
    /// The answer the provider expects on success.
    pub ack: Ack<'a>,
    /// Calls owed besides the answer (a button press to confirm). Their failure loses nothing.
    pub owed: Vec<Call>,
    /// What lets us answer these people and must never be published; only where the facts say `handles`.
    pub handles: Vec<Handle<'a>>,
    /// Whom the answer itself may be a message to; only where the facts say `handles`.
    pub waiting: Option<super::Waiting<'a>>,
    /// The token of a proof that does not cover what it came with: the engine refuses other events under the same token.
    pub once: Option<Cow<'a, str>>,
}

/// Something a provider gave us to answer a person with: a reply token, a response URL, an interaction token, the
/// service URL of a conversation. It works like a credential, so it never becomes part of an event: the engine keeps it
/// sealed, newest first, and gives it back as `Outbound::handle` when a message to that peer is rendered.
#[derive(Clone, PartialEq, Eq)]
pub struct Handle<'a> {
    /// The channel's own id at the provider, as in `Event::account`.
    pub account: Option<Text<'a>>,
    /// Whom it lets us answer: the event's `peer`, thread and all.
    pub peer: Text<'a>,
    /// What the adapter's `render` needs of it, in a form of the adapter's own.
    pub value: Text<'a>,
    /// When it stops working; `None` when it never does.
    pub until: Option<super::Time>,
    /// How many messages it is good for; `None` for any number.
    pub uses: Option<u16>,
}

impl std::fmt::Debug for Handle<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({}, until {:?}, uses {:?})", &*self.peer, self.until, self.uses)
    }
}

impl<'a> Parsed<'a> {
    /// A delivery that was not understood at all.
    pub fn not_understood(reason: impl Into<Cow<'a, str>>) -> Self {
        Self { unparsed: Some(reason.into()), ..Self::default() }
    }

    /// Notes one more thing that was not understood.
    pub fn leave(&mut self, reason: impl Into<Cow<'a, str>>) {
        self.unparsed.get_or_insert_with(|| reason.into());
    }
}

/// The answer a provider expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Usually 200.
    pub status: StatusCode,
    /// Content type, when there is a body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

impl Default for Ack<'_> {
    fn default() -> Self {
        Self { status: StatusCode::OK, content_type: None, body: Cow::Borrowed(b"") }
    }
}

impl<'a> Ack<'a> {
    /// A 200 with plain text.
    pub fn text(body: impl Into<Cow<'a, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { status: StatusCode::OK, content_type: Some("text/plain"), body }
    }
}

/// A message as the provider will get it.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// What a person will not see as it was meant.
    pub downgrades: Vec<Downgrade>,
    /// What it costs in the provider's own unit (segments, messages); at least 1.
    pub cost: u32,
    /// What the person will see, in words, one line per message (for the preview).
    pub shown: Vec<String>,
}

impl Rendered {
    /// Notes one thing the person will not see as it was meant; what was said of the part already is not said again.
    pub fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        let downgrade = Downgrade { part, from: from.into(), into: into.into(), why: why.into() };
        if !self.downgrades.contains(&downgrade) {
            self.downgrades.push(downgrade);
        }
    }
}

/// One thing a channel lacks and what stands in for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Downgrade {
    /// Index of the part.
    pub part: usize,
    /// The kind that was meant.
    pub from: String,
    /// What it became.
    pub into: String,
    /// Why.
    pub why: String,
}

/// A message this channel cannot carry; the sender is told before it is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {problem}")]
pub struct RenderError {
    /// JSON pointer into the request: `#/parts/0/text`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub problem: String,
    /// Our stable code: `text_too_long`, `part_not_supported`, `address_invalid`, ...
    pub code: &'static str,
}

impl RenderError {
    /// An error of one place of the request.
    pub fn new(pointer: impl Into<String>, code: &'static str, problem: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), problem: problem.into(), code }
    }

    /// A message that cannot be changed or taken back, because its id is none the provider would know: `expected` says what one
    /// looks like. No place of the request is wrong.
    pub fn no_message(expected: &str) -> Self {
        Self::new("#", "message_id_invalid", format!("expected {expected}"))
    }

    /// A part this channel has no way to show.
    pub fn unsupported(index: usize, kind: &str, channel: &str) -> Self {
        Self::new(format!("#/parts/{index}"), "part_not_supported", format!("{channel} cannot carry a part of type `{kind}`"))
    }
}

/// Shorthand for `extra`: keeps a field when it is there.
pub fn keep<'a>(extra: &mut super::Extra<'a>, name: &'static str, raw: Option<Raw<'a>>) {
    if let Some(raw) = raw {
        extra.push(Text::Borrowed(name), raw);
    }
}

/// A reason for a failure that no provider code explains.
pub fn unexplained(status: StatusCode) -> Reason {
    let class = match status.as_u16() {
        401 | 403 => super::ErrorClass::Auth,
        // Who gave up waiting, and whether the message had come through by then, it does not say.
        408 | 425 => super::ErrorClass::Unknown,
        429 => super::ErrorClass::Throttled,
        400..=499 => super::ErrorClass::Content,
        _ => super::ErrorClass::Unknown,
    };
    Reason::new(class, "http_status", format!("the provider answered {} without a code we know", status.as_u16()))
}

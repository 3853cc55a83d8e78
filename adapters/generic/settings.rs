//! What a team writes down about a provider: everything another adapter has in code.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::pointer::{Pointer, When};
use super::template::{Template, Tree};
use crate::contract::{ErrorClass, Secret, Secrets, State, Unit};

/// The settings of a channel whose provider is described here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The provider's name, for people.
    pub name: String,
    /// The scheme of people's addresses: `pigeon` for `pigeon:ID`; `tel` where people are phone numbers.
    pub scheme: String,
    /// What people use; `sms` for the scheme `tel`, else the scheme where it is left out.
    pub medium: Option<String>,
    /// Where the API is: `https://api.example.org/v1`. The paths below stand behind it.
    pub api_base: String,
    /// Keys and passwords for calls, each under a name: `{{credentials.NAME}}` in headers, paths and bodies.
    #[serde(default)]
    pub credentials: BTreeMap<String, Secret>,
    /// What proves deliveries: the key they are signed with, the token, or `user:password`. Old and new while it is replaced.
    pub signing_secret: Option<Secrets>,
    /// How deliveries are proved. Needed with `messages` or `receipts`.
    pub signature: Option<Signature>,
    /// What in a delivery is a message of a person. The first rule that fits is used.
    #[serde(default)]
    pub messages: Vec<MessageRule>,
    /// What in a delivery tells what became of a message of ours.
    #[serde(default)]
    pub receipts: Vec<ReceiptRule>,
    /// What in a delivery is known and means nothing to us.
    #[serde(default)]
    pub ignore: Vec<IgnoreRule>,
    /// The answer to a delivery; a bare 200 where it is left out.
    #[serde(default)]
    pub ack: Acknowledgement,
    /// The call that obtains a token, `{{login}}` in headers, where the provider has logins.
    pub login: Option<Login>,
    /// How a message is sent.
    pub send: Send,
    /// How a message that the provider has is changed, where it can be.
    pub edit: Option<Revising>,
    /// How such a message is taken back, where it can be.
    pub recall: Option<Revising>,
    /// Headers of the calls that fetch files behind `api_base`; none are sent elsewhere.
    #[serde(default)]
    pub fetch_headers: BTreeMap<String, Template>,
    /// A harmless call that shows whether the credentials work (`fairway check --live`).
    pub probe: Option<Request>,
    /// Deliveries as the provider makes them, as JSON: `fairway check` reads each and says which is not understood.
    #[serde(default)]
    pub samples: Vec<String>,
}

/// How deliveries are proved.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The way.
    pub scheme: Scheme,
    /// The header with the signature or token. Not needed with `bearer` and `basic`.
    pub header: Option<String>,
    /// What stands before the signature in the header, such as `sha256=`. Several such may stand there, separated by `,` or spaces.
    #[serde(default)]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the key is written: most providers use its text.
    #[serde(default)]
    pub key: Key,
    /// What is signed: `{{body}}`, `{{timestamp}}`, `{{url}}`, `{{method}}`, `{{header.NAME}}`; the body where it is left out.
    pub over: Option<Template>,
    /// The header with the time of signing.
    pub timestamp: Option<String>,
    /// What stands before the time in its header.
    #[serde(default)]
    pub timestamp_prefix: String,
    /// How many seconds the time of signing may be away from ours; 300 where it is left out.
    pub tolerance: Option<u32>,
}

/// The way deliveries are proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// HMAC (RFC 2104) with SHA-256.
    HmacSha256,
    /// HMAC with SHA-1.
    HmacSha1,
    /// HMAC with SHA-512.
    HmacSha512,
    /// The secret in `Authorization: Bearer`.
    Bearer,
    /// `user:password` in `Authorization: Basic`.
    Basic,
    /// The secret in a header of its own.
    Header,
    /// Nothing: the channel needs a `hook_token`, which stands in its URL.
    None,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// In hex.
    #[default]
    Hex,
    /// In base64.
    Base64,
}

/// How a signing key is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Its text is the key.
    #[default]
    Text,
    /// In base64, behind `whsec_` or not.
    Base64,
}

/// What is a message.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct MessageRule {
    /// Where messages stand when a delivery has several: `/messages/*`. The whole body where it is left out.
    #[serde(default)]
    pub each: Pointer,
    /// What must stand where.
    #[serde(default)]
    pub when: When,
    /// The provider's id of the message. Where it is left out, repeated deliveries are not recognised.
    pub id: Option<Pointer>,
    /// The person's id or number.
    pub from: Pointer,
    /// The person's name.
    pub name: Option<Pointer>,
    /// Our own id or number.
    pub to: Option<Pointer>,
    /// When it was sent: RFC 3339, or seconds or milliseconds since 1970.
    pub time: Option<Pointer>,
    /// The thread of the conversation.
    pub thread: Option<Pointer>,
    /// The words.
    pub text: Option<Pointer>,
    /// The files.
    pub media: Option<MediaRule>,
    /// What the person picked.
    pub choice: Option<ChoiceRule>,
    /// The place the person sent.
    pub location: Option<LocationRule>,
    /// The provider's id of the message it answers.
    pub reply_to: Option<Pointer>,
    /// What else is kept in `extra`, under these names. Never credentials.
    #[serde(default)]
    pub extra: BTreeMap<String, Pointer>,
}

/// Where a message's files stand.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct MediaRule {
    /// Where files stand when a message has several: `/attachments/*`. The pointers below begin there.
    #[serde(default)]
    pub each: Pointer,
    /// The link, or a path behind `api_base`.
    pub url: Pointer,
    /// The media type.
    #[serde(rename = "type")]
    pub mime_type: Option<Pointer>,
    /// The file's name.
    pub filename: Option<Pointer>,
}

/// Where a message's choice stands.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct ChoiceRule {
    /// The payload we gave the option.
    pub id: Pointer,
    /// What the person saw.
    pub title: Option<Pointer>,
}

/// Where a message's place stands.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct LocationRule {
    /// WGS 84 degrees.
    pub latitude: Pointer,
    /// WGS 84 degrees.
    pub longitude: Pointer,
    /// What it is called.
    pub name: Option<Pointer>,
}

/// What is a receipt.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRule {
    /// Where receipts stand when a delivery has several. The whole body where it is left out.
    #[serde(default)]
    pub each: Pointer,
    /// What must stand where.
    #[serde(default)]
    pub when: When,
    /// The provider's id of our message.
    pub id: Pointer,
    /// Our own id, where the provider gives back the `{{id}}` we sent.
    pub our_id: Option<Pointer>,
    /// The provider's word for what became of it.
    pub state: Pointer,
    /// What these words mean: `sent`, `delivered`, `read`, `failed` or `ignore`.
    pub states: BTreeMap<String, Meaning>,
    /// When it happened.
    pub time: Option<Pointer>,
    /// The person.
    pub to: Option<Pointer>,
    /// The provider's code of what went wrong; `send.errors` says what it means.
    pub error: Option<Pointer>,
}

/// What a provider's word for a message's state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The provider has it.
    Sent,
    /// It arrived.
    Delivered,
    /// It was read.
    Read,
    /// It will not arrive.
    Failed,
    /// Nothing to us.
    Ignore,
}

impl Meaning {
    pub(super) fn state(self) -> Option<State> {
        match self {
            Self::Sent => Some(State::Sent),
            Self::Delivered => Some(State::Delivered),
            Self::Read => Some(State::Read),
            Self::Failed => Some(State::Failed),
            Self::Ignore => None,
        }
    }
}

/// What is known and means nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct IgnoreRule {
    /// Where such things stand when a delivery has several. The whole body where it is left out.
    #[serde(default)]
    pub each: Pointer,
    /// What must stand where.
    pub when: When,
}

/// The answer to a delivery.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(default, deny_unknown_fields)]
pub struct Acknowledgement {
    /// Any success; 200 where it is left out.
    pub status: Option<u16>,
    /// The body: a text, or JSON.
    pub body: Option<Value>,
    /// Its media type: `text/plain`, `text/xml` or `application/json`; what fits the body where it is left out.
    #[serde(rename = "type")]
    pub mime_type: Option<String>,
    /// Where a challenge stands that is to be answered with itself, such as `/challenge`.
    pub echo: Option<Pointer>,
}

/// A call.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET` where it is left out.
    pub method: Option<String>,
    /// The path behind `api_base`, with holes.
    pub path: Template,
    /// Headers; those of `send` where they are left out.
    pub headers: Option<BTreeMap<String, Template>>,
}

/// The call that obtains a token.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The path behind `api_base`.
    pub path: Template,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// The fields of a form; this or `body`.
    pub form: Option<BTreeMap<String, Template>>,
    /// JSON; this or `form`.
    pub body: Option<Tree>,
    /// Where the token stands in the answer.
    pub token: Pointer,
    /// Where the answer says for how many seconds it is good; an hour where it says nothing.
    pub expires_in: Option<Pointer>,
}

/// How a message is sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// `POST` where it is left out.
    pub method: Option<String>,
    /// The path behind `api_base`, with holes.
    pub path: Template,
    /// Headers, with holes. Those with credentials are never shown.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// The JSON of a message, with holes: `{{to}}`, `{{text}}`, `{{id}}`, `{{kind}}`, `{{reply_to}}`, `{{thread}}`, `{{author}}`,
    /// `{{category}}`, `{{media.url}}`, `{{media.type}}`, `{{media.filename}}`. A member whose hole stays empty is left out.
    pub body: Tree,
    /// The JSON of a file, where it is another one.
    pub media: Option<Tree>,
    /// How options are offered, where the provider has buttons.
    pub choices: Option<ChoicesRule>,
    /// A header for a key of ours that makes repeating a call harmless.
    pub idempotency_header: Option<String>,
    /// The longest text.
    #[serde(default)]
    pub text_limit: TextLimit,
    /// How bold words and links are written in a text.
    #[serde(default)]
    pub markup: Markup,
    /// What the provider allows, such as `20/s` or `100/10s`. `[throttle]` may say less.
    pub pace: Option<String>,
    /// Where the provider's id of the message stands in the answer.
    pub id: Option<Pointer>,
    /// What must stand in an answer that is a success, besides a status of 2xx.
    #[serde(default)]
    pub success: When,
    /// What answers that are no success mean.
    #[serde(default)]
    pub errors: Errors,
}

/// A call about a message that the provider has.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct Revising {
    /// `PATCH` for `edit` and `DELETE` for `recall` where it is left out.
    pub method: Option<String>,
    /// The path behind `api_base`, with holes; `{{provider_id}}` is the provider's id of the message.
    pub path: Template,
    /// Headers; those of `send` where they are left out.
    pub headers: Option<BTreeMap<String, Template>>,
    /// The JSON, with `{{provider_id}}` and the holes of `send.body`; none where it is left out.
    pub body: Option<Tree>,
    /// Statuses which say, with this code or with any (`*`), that it is so already: `{ 404 = "no_such_message" }`.
    #[serde(default)]
    pub done: BTreeMap<String, String>,
}

/// How options are offered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct ChoicesRule {
    /// The JSON of the message; `{{options}}` is the list of options.
    pub body: Tree,
    /// The JSON of one option: `{{option.id}}`, `{{option.title}}`.
    pub option: Tree,
    /// The most options; more become a numbered list.
    pub max: usize,
}

/// The longest text.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct TextLimit {
    /// How many.
    pub max: usize,
    /// Of what.
    #[serde(default)]
    pub unit: Counted,
}

impl Default for TextLimit {
    /// The length of ten text messages, which about every provider takes.
    fn default() -> Self {
        Self { max: 1530, unit: Counted::Chars }
    }
}

/// What a text's length is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Unicode code points.
    #[default]
    Chars,
    /// UTF-16 code units.
    Utf16,
    /// UTF-8 bytes.
    Bytes,
}

impl Counted {
    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Chars => Unit::Chars,
            Self::Utf16 => Unit::Utf16,
            Self::Bytes => Unit::Bytes,
        }
    }
}

/// How a text is marked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Markup {
    /// Not at all.
    #[default]
    Plain,
    /// `*bold* _italic_ ~struck~` and back-ticks.
    Stars,
    /// In HTML.
    Html,
}

/// What answers mean.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(default, deny_unknown_fields)]
pub struct Errors {
    /// Where the provider's code stands in the answer.
    pub code: Option<Pointer>,
    /// What codes mean.
    pub codes: BTreeMap<String, Class>,
    /// What statuses mean where no code says more.
    pub statuses: BTreeMap<String, Class>,
    /// Where the answer says how many seconds to wait, besides `Retry-After`.
    pub retry_after: Option<Pointer>,
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Surely not accepted, and may pass by itself.
    Transient,
    /// Too fast.
    Throttled,
    /// Too fast for this person.
    ThrottledPerson,
    /// Our credentials.
    Auth,
    /// The channel's set-up.
    Config,
    /// This person cannot be reached.
    Recipient,
    /// This person will never be reached there again.
    Gone,
    /// This person does not want it.
    OptedOut,
    /// Outside the provider's reply window.
    Window,
    /// The message itself.
    Content,
    /// The provider has had it already.
    Duplicate,
    /// Nobody knows whether the provider has it.
    Unknown,
}

impl Class {
    /// The contract's class of it.
    pub(super) fn plain(self) -> ErrorClass {
        match self {
            Self::Transient => ErrorClass::Transient,
            Self::Throttled | Self::ThrottledPerson => ErrorClass::Throttled,
            Self::Auth => ErrorClass::Auth,
            Self::Config => ErrorClass::Config,
            Self::Recipient | Self::Gone => ErrorClass::Recipient,
            Self::OptedOut => ErrorClass::OptedOut,
            Self::Window => ErrorClass::Window,
            Self::Content => ErrorClass::Content,
            Self::Duplicate | Self::Unknown => ErrorClass::Unknown,
        }
    }
}

//! A message that is to go out: what a caller asks for, and what an adapter renders.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::event::Author;
use super::part::Part;
use super::{Time, event::Origin};

/// What kind of message it is in law; decides whether consent, quiet hours and caps are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// One-time codes.
    Authentication,
    /// About something the person did.
    #[default]
    Transactional,
    /// An answer to a person.
    Service,
    /// Advertising.
    Marketing,
}

/// What becomes of a text that is longer than one message of its channel may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LongText {
    /// It goes as several messages, cut where people would.
    #[default]
    Split,
    /// It is refused (`text_too_long`), and nothing goes.
    Refuse,
}

impl LongText {
    fn is_split(&self) -> bool {
        *self == Self::Split
    }
}

/// The lane it travels in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// One-time codes.
    Urgent,
    /// Replies.
    #[default]
    Normal,
    /// Campaigns.
    Bulk,
}

impl Priority {
    /// All lanes, first served first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Normal, Self::Bulk];

    /// The word in JSON, topics and metric labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// A template: one of `/v1/templates`, or the provider's own.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// BCP 47.
    pub locale: Option<String>,
    /// `body.1` or a name, `header`, `button.0`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
}

/// What to do when the first channel does not reach the person.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The other address.
    pub to: String,
    /// The other channel.
    pub channel: Option<String>,
    /// ISO 8601 duration to wait.
    pub after: Option<String>,
    /// Not if the message got this far.
    pub unless: Option<super::State>,
    /// Other content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part<'static>>,
    /// Another template.
    pub template: Option<Template>,
}

/// What the engine itself made a message for. Only the engine sets it: in a request of anybody else it is refused.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The campaign.
    pub campaign: Option<String>,
    /// The reminder.
    pub reminder: Option<String>,
    /// The trigger.
    pub trigger: Option<String>,
    /// The journey.
    pub journey: Option<String>,
    /// The person's number in the campaign's frozen audience.
    pub person: Option<u64>,
    /// Before whom its campaign goes where caps leave room for one: higher first.
    pub priority: Option<u16>,
    /// The variant the person got.
    pub variant: Option<String>,
    /// Which edition of the campaign it was written from: it is written anew at the gate when there is a newer one.
    #[serde(default)]
    pub edition: u32,
    /// The person's time zone (IANA), for windows in local time.
    pub zone: Option<String>,
    /// What is known about the person, for writing it anew. Not kept in the views.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub about: serde_json::Map<String, serde_json::Value>,
}

impl Mark {
    /// Where a message of this mark came from.
    pub fn origin(&self) -> Origin {
        match (&self.campaign, &self.reminder, &self.trigger) {
            (Some(_), ..) => Origin::Campaign,
            (_, Some(_), _) => Origin::Reminder,
            (_, _, Some(_)) => Origin::Trigger,
            _ => Origin::Api,
        }
    }
}

/// The body of `POST /v1/messages`, and the value of a record on `{prefix}.send`.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// The person's address; this or `conversation`.
    pub to: Option<String>,
    /// The conversation to answer in; this or `to`.
    pub conversation: Option<String>,
    /// The channel to send through; needed when the address fits more than one.
    pub channel: Option<String>,
    /// The content; this or `template`, or both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part<'static>>,
    /// The template; used where the provider's window is closed when `parts` are there too.
    pub template: Option<Template>,
    /// What kind of message it is in law.
    #[serde(default)]
    pub category: Category,
    /// The lane.
    #[serde(default)]
    pub priority: Priority,
    /// What becomes of a text that is longer than one message of the channel may be; holds for its fallbacks too.
    #[serde(default, skip_serializing_if = "LongText::is_split")]
    pub long_text: LongText,
    /// Not before.
    pub send_at: Option<Time>,
    /// Not after.
    pub expires_at: Option<Time>,
    /// What to do when it does not arrive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Fallback>,
    /// The message it answers: our id or the provider's.
    pub reply_to: Option<String>,
    /// Who wrote it.
    pub author: Option<Author<'static>>,
    /// Comes back in every status: 50 keys, 40 and 500 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Goes into the provider request as it is.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub native: serde_json::Map<String, serde_json::Value>,
    /// What the engine made it for; only the engine sets it.
    pub mark: Option<Mark>,
    /// Of a fallback step: the first message of its chain; only the engine sets it.
    pub fallback_of: Option<String>,
    /// The key that makes repeating this line harmless (batch and `send` topic).
    pub idempotency_key: Option<String>,
    /// Where it came from; only the engine sets it.
    #[serde(skip)]
    pub origin: Origin,
}

/// A message as an adapter renders it.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// Our id; goes into the provider's echo field where there is one.
    pub id: &'a str,
    /// The person's address with its scheme, without the thread.
    pub to: &'a str,
    /// The thread of the conversation, when it has one.
    pub thread: Option<&'a str>,
    /// The content to render. Empty when the template is to be used.
    pub parts: &'a [Part<'static>],
    /// The template to render. `None` when the parts are to be used.
    pub template: Option<&'a Template>,
    /// What kind of message it is.
    pub category: Category,
    /// The provider's id of the message it answers.
    pub reply_to: Option<&'a str>,
    /// What the provider gave us to answer this person with (`Parsed::handles`), while it is good.
    pub handle: Option<&'a str>,
    /// Who wrote it.
    pub author: Option<&'a Author<'static>>,
    /// When it stops being useful.
    pub expires_at: Option<Time>,
    /// Goes into the provider request as it is (into its JSON object or form).
    pub native: &'a serde_json::Map<String, serde_json::Value>,
}

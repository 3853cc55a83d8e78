//! The pieces a message is made of, the same inbound and outbound (contract, section 5).

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_with::skip_serializing_none;

use super::{Facts, Time};

/// Text that borrows from the delivery where it can.
pub type Text<'a> = Cow<'a, str>;

/// JSON kept exactly as the provider wrote it.
#[derive(Clone, Debug)]
pub struct Raw<'a>(pub Cow<'a, RawValue>);

impl<'a> Raw<'a> {
    /// Keeps a piece of the delivery without copying it.
    pub fn borrowed(raw: &'a RawValue) -> Self {
        Self(Cow::Borrowed(raw))
    }

    /// JSON made by us.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(Cow::Owned(serde_json::value::to_raw_value(value).unwrap_or_default()))
    }

    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// A copy that owes nothing to the delivery.
    pub fn into_owned(self) -> Raw<'static> {
        Raw(Cow::Owned(self.0.into_owned()))
    }
}

impl PartialEq for Raw<'_> {
    fn eq(&self, other: &Self) -> bool {
        let value = |raw: &Self| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
        value(self) == value(other)
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through `Value`, because serde buffers the content of tagged enums and a raw slice does not survive that.
        Ok(Self::of(&serde_json::Value::deserialize(deserializer)?))
    }
}

impl JsonSchema for Raw<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Raw".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

/// One piece of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part<'a> {
    /// Words.
    Text(TextPart<'a>),
    /// A picture.
    Image(MediaPart<'a>),
    /// Sound that is not a voice note.
    Audio(MediaPart<'a>),
    /// A recorded voice note.
    Voice(MediaPart<'a>),
    /// Moving pictures.
    Video(MediaPart<'a>),
    /// Any other file.
    File(MediaPart<'a>),
    /// A sticker.
    Sticker(MediaPart<'a>),
    /// A place.
    Location(Location<'a>),
    /// Address-book entries.
    Contacts(Contacts<'a>),
    /// What a person picked from what we offered.
    Choice(Choice<'a>),
    /// A filled-in form.
    Form(Form<'a>),
    /// A shopping cart sent as an order.
    Order(Order<'a>),
    /// A payment's state.
    Payment(Payment<'a>),
    /// A poll.
    Poll(Poll<'a>),
    /// A reply to or mention in a story.
    Story(Story<'a>),
    /// A voice or video call.
    Call(PhoneCall<'a>),
    /// Outbound: options to pick from.
    Choices(Choices<'a>),
    /// Outbound: one card.
    Card(Card<'a>),
    /// Outbound: several cards side by side.
    Carousel(Carousel<'a>),
    /// Outbound: products of a catalogue.
    Product(Product<'a>),
    /// Outbound: a push notification.
    Notification(Notification<'a>),
    /// Outbound: show that we are typing.
    Typing(Typing),
    /// Outbound: react to a message.
    Reaction(ReactionPart<'a>),
    /// Something the provider has and we do not know yet, kept as it came.
    Unsupported(Unsupported<'a>),
}

impl Part<'_> {
    /// The word this kind has in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::Audio(_) => "audio",
            Self::Voice(_) => "voice",
            Self::Video(_) => "video",
            Self::File(_) => "file",
            Self::Sticker(_) => "sticker",
            Self::Location(_) => "location",
            Self::Contacts(_) => "contacts",
            Self::Choice(_) => "choice",
            Self::Form(_) => "form",
            Self::Order(_) => "order",
            Self::Payment(_) => "payment",
            Self::Poll(_) => "poll",
            Self::Story(_) => "story",
            Self::Call(_) => "call",
            Self::Choices(_) => "choices",
            Self::Card(_) => "card",
            Self::Carousel(_) => "carousel",
            Self::Product(_) => "product",
            Self::Notification(_) => "notification",
            Self::Typing(_) => "typing",
            Self::Reaction(_) => "reaction",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// The media of a part that has some.
    pub fn media(&self) -> Option<&MediaPart<'_>> {
        match self {
            Self::Image(m) | Self::Audio(m) | Self::Voice(m) | Self::Video(m) | Self::File(m) | Self::Sticker(m) => Some(m),
            _ => None,
        }
    }
}

impl<'a> Part<'a> {
    /// Plain text.
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::Text(TextPart { text: text.into(), ..TextPart::default() })
    }

    /// What the provider sent and we have no word for.
    pub fn unsupported(provider_type: impl Into<Text<'a>>, raw: Option<Raw<'a>>) -> Self {
        Self::Unsupported(Unsupported { provider_type: provider_type.into(), raw })
    }
}

/// How the text is marked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// No markup.
    #[default]
    Plain,
    /// CommonMark.
    Markdown,
    /// HTML.
    Html,
}

impl Format {
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

/// Words.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TextPart<'a> {
    /// The text.
    pub text: Text<'a>,
    /// Its markup; plain when absent.
    #[serde(default, skip_serializing_if = "Format::is_plain")]
    pub format: Format,
    /// People named in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention<'a>>,
    /// E-mail: the HTML body.
    pub html: Option<Text<'a>>,
    /// E-mail: the text with the quoted history.
    pub full_text: Option<Text<'a>>,
}

/// A person named in a text. Offsets count Unicode code points.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mention<'a> {
    /// The person's address.
    pub address: Option<Text<'a>>,
    /// Where the mention begins.
    pub offset: u32,
    /// How long it is.
    pub length: u32,
    /// Whether it names us.
    #[serde(rename = "self")]
    pub own: Option<bool>,
}

/// A media object with its caption.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MediaPart<'a> {
    /// The file.
    pub media: Media<'a>,
    /// Words under it.
    pub caption: Option<Text<'a>>,
}

/// Whether a media object can be fetched from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaStatus {
    /// The gateway is fetching it.
    Pending,
    /// `url` answers with it.
    Ready,
    /// It is gone; `reason` says why.
    Unavailable,
}

/// A file. Inbound, the engine replaces the provider's handle by a gateway URL; outbound, `url` or `id` names it.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Media<'a> {
    /// The gateway's id.
    pub id: Option<Text<'a>>,
    /// Where to get it. Inbound: a gateway URL that outlives the provider's own link.
    pub url: Option<Text<'a>>,
    /// RFC 2046 media type.
    pub mime_type: Option<Text<'a>>,
    /// Bytes.
    pub size: Option<u64>,
    /// The name the sender gave it.
    pub filename: Option<Text<'a>>,
    /// Lower-case hex.
    pub sha256: Option<Text<'a>>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether `url` answers already.
    pub status: Option<MediaStatus>,
    /// Why it is unavailable.
    pub reason: Option<Text<'a>>,
    /// How the adapter gets it from the provider. Never published: it may be a handle that works like a credential.
    #[serde(skip)]
    pub source: Option<MediaRef>,
    /// The bytes themselves, where the delivery brings them: the engine keeps them before it writes the event.
    #[serde(skip)]
    pub inline: Option<bytes::Bytes>,
}

/// A provider's handle of a media object: what the adapter's `fetch` needs to get it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRef {
    /// The provider's id, empty when it gives only a link.
    pub id: String,
    /// The provider's link, when it gave one.
    pub url: Option<String>,
    /// When the handle stops working, if known.
    pub expires_at: Option<Time>,
}

/// A place.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location<'a> {
    /// WGS 84 degrees.
    pub latitude: f64,
    /// WGS 84 degrees.
    pub longitude: f64,
    /// What it is called.
    pub name: Option<Text<'a>>,
    /// Postal address.
    pub address: Option<Text<'a>>,
    /// For a live location: until when it moves.
    pub live_until: Option<Time>,
}

/// Address-book entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contacts<'a> {
    /// The entries.
    pub contacts: Vec<ContactCard<'a>>,
}

/// One address-book entry.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContactCard<'a> {
    /// Display name.
    pub name: Option<Text<'a>>,
    /// Numbers as given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<Text<'a>>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<Text<'a>>,
    /// Company.
    pub organization: Option<Text<'a>>,
    /// The vCard text, when the provider sends one.
    pub vcard: Option<Text<'a>>,
    /// Whether it is the sender's own card.
    pub own: Option<bool>,
}

/// The surface a choice was made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceKind {
    /// A reply button.
    Button,
    /// A quick reply.
    QuickReply,
    /// A row of a list.
    List,
    /// A postback button.
    Postback,
    /// A persistent menu.
    Menu,
    /// A slash command.
    Command,
    /// A shortcut.
    Shortcut,
    /// A date picker.
    Date,
    /// A poll vote.
    Poll,
}

/// What a person picked.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice<'a> {
    /// On which surface.
    pub kind: ChoiceKind,
    /// The payload we gave the option.
    pub id: Option<Text<'a>>,
    /// What the person saw.
    pub title: Option<Text<'a>>,
    /// Several picks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Text<'a>>,
}

/// A filled-in form. `csat` as its name marks a rating.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Form<'a> {
    /// Which form.
    pub name: Option<Text<'a>>,
    /// The answers, as the provider wrote them.
    pub fields: Option<Raw<'a>>,
}

/// A shopping cart.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Order<'a> {
    /// The catalogue.
    pub catalog_id: Option<Text<'a>>,
    /// What was ordered.
    pub items: Vec<OrderItem<'a>>,
    /// Words with it.
    pub text: Option<Text<'a>>,
}

/// One line of an order.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderItem<'a> {
    /// Stock keeping unit.
    pub sku: Text<'a>,
    /// How many.
    pub quantity: Option<u32>,
    /// Price of one.
    pub price: Option<Money<'a>>,
}

/// An amount as decimal text, so that no binary fraction distorts it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Money<'a> {
    /// Such as `9.50`.
    pub amount: Text<'a>,
    /// ISO 4217.
    pub currency: Text<'a>,
}

/// A payment's state.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Payment<'a> {
    /// The provider's word for it.
    pub state: Text<'a>,
    /// How much.
    pub amount: Option<Money<'a>>,
    /// Our or the provider's reference.
    pub reference: Option<Text<'a>>,
}

/// A poll.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Poll<'a> {
    /// The question.
    pub question: Text<'a>,
    /// The options.
    pub options: Vec<Text<'a>>,
    /// Whether several may be picked.
    pub multiple: Option<bool>,
}

/// A story that was answered or that mentions us.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Story<'a> {
    /// `reply` or `mention`.
    pub kind: Text<'a>,
    /// The story.
    pub media: Option<Media<'a>>,
}

/// A call.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhoneCall<'a> {
    /// The provider's word for its state.
    pub state: Text<'a>,
    /// `inbound` or `outbound`.
    pub direction: Option<Text<'a>>,
    /// Milliseconds.
    pub duration_ms: Option<u64>,
}

/// What an option does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptionKind {
    /// Comes back as a `choice`.
    #[default]
    Reply,
    /// Opens `value`.
    Url,
    /// Dials `value`.
    Call,
    /// Copies `value`.
    Copy,
    /// Asks for the place.
    Location,
    /// Asks for the phone number or e-mail.
    Contact,
    /// Asks for a date.
    Date,
    /// Comes back as a `choice` without showing in the chat.
    Postback,
    /// Opens `value` inside the chat.
    Webview,
}

impl OptionKind {
    fn is_reply(&self) -> bool {
        *self == Self::Reply
    }
}

/// One option to pick.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceOption<'a> {
    /// What comes back when it is picked.
    pub id: Option<Text<'a>>,
    /// What the person sees.
    pub title: Text<'a>,
    /// A second line.
    pub description: Option<Text<'a>>,
    /// The heading it stands under.
    pub section: Option<Text<'a>>,
    /// What it does; `reply` when absent.
    #[serde(default, skip_serializing_if = "OptionKind::is_reply")]
    pub kind: OptionKind,
    /// The URL, number or text it acts on.
    pub value: Option<Text<'a>>,
}

/// How options are laid out, where the channel lets us decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Buttons under the text.
    Buttons,
    /// A list behind a button.
    List,
    /// Chips that vanish.
    QuickReplies,
}

/// Options to pick from.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choices<'a> {
    /// The question.
    pub text: Text<'a>,
    /// The options.
    pub options: Vec<ChoiceOption<'a>>,
    /// The lay-out; what fits the channel best when absent.
    pub layout: Option<Layout>,
    /// The button that opens a list.
    pub menu_label: Option<Text<'a>>,
    /// A line above.
    pub header: Option<Text<'a>>,
    /// A line below.
    pub footer: Option<Text<'a>>,
    /// A picture, video or file above.
    pub media: Option<Media<'a>>,
}

/// One card.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Card<'a> {
    /// The headline.
    pub title: Text<'a>,
    /// Words under it.
    pub text: Option<Text<'a>>,
    /// A picture.
    pub media: Option<Media<'a>>,
    /// Buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<ChoiceOption<'a>>,
}

/// Several cards side by side.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Carousel<'a> {
    /// Words above the cards.
    pub text: Option<Text<'a>>,
    /// The cards.
    pub cards: Vec<Card<'a>>,
}

/// Products of a catalogue.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Product<'a> {
    /// The catalogue.
    pub catalog_id: Option<Text<'a>>,
    /// Stock keeping units; empty shows the whole catalogue.
    #[serde(default)]
    pub skus: Vec<Text<'a>>,
    /// Words with it.
    pub text: Option<Text<'a>>,
}

/// A push notification.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notification<'a> {
    /// The headline.
    pub title: Option<Text<'a>>,
    /// Words under it.
    pub body: Option<Text<'a>>,
    /// A picture's URL.
    pub image: Option<Text<'a>>,
    /// What a tap opens.
    pub url: Option<Text<'a>>,
    /// The number on the icon.
    pub badge: Option<u32>,
    /// The sound's name.
    pub sound: Option<Text<'a>>,
    /// A later one with the same key replaces this.
    pub collapse_key: Option<Text<'a>>,
    /// Data for the app.
    pub data: Option<Raw<'a>>,
}

/// Show that we are typing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Typing {}

/// React to a message.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReactionPart<'a> {
    /// The provider's id, or ours, of the message reacted to.
    pub message_id: Text<'a>,
    /// The emoji; absent or empty takes the reaction back.
    pub emoji: Option<Text<'a>>,
}

/// Something the provider has and we do not know yet.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unsupported<'a> {
    /// The provider's word for it.
    pub provider_type: Text<'a>,
    /// As it came.
    pub raw: Option<Raw<'a>>,
}

/// A limit on the length of a text, counted as that provider counts.
pub fn longer_than(text: &str, facts: &Facts) -> bool {
    facts.text.unit.count(text) > facts.text.max
}

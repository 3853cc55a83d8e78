//! Twilio: SMS and MMS, and WhatsApp, RCS and Messenger through the same API.
//!
//! The prefix of an address says which: none is SMS. What we send is a form; rich messages are Content resources that
//! exist before they are sent, so options go out as a numbered list unless the settings name a resource for them.
//!
//! Checked against `twilio` for Node (`tests/sdks/twilio.mjs`): its signatures in both directions, its client on the twin, its request
//! beside ours.
//! Deliveries recorded in the tests of courier and Vercel's chat SDK, and the samples of other consumers' and Twilio's own pages, were
//! read by it on 2026-11-29, those of Event Streams in Twilio's pages and in n8n's workflows, and what consumers of Conversations
//! logged, on 2026-11-30.

mod conversations;
mod errors;
mod facts;
mod inbound;
mod news;
mod outbound;
mod signature;
mod twin;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Pace, Parsed, RenderError, Rendered, Reply, Secret, Secrets,
    SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::{crypto, entry};

/// The settings of a Twilio channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The account that owns the sender: `AC...`.
    pub account_sid: String,
    /// Its primary auth token; proves every delivery.
    pub auth_token: Secrets,
    /// An API key for sending and for media, in place of the auth token: `SK...`.
    pub api_key_sid: Option<String>,
    /// The API key's secret.
    pub api_key_secret: Option<Secret>,
    /// The sender: a number in E.164, a short code, a name, `whatsapp:+...`, `rcs:...`. This or `messaging_service_sid`.
    pub from: Option<String>,
    /// The service that chooses the sender: `MG...`. This or `from`.
    pub messaging_service_sid: Option<String>,
    /// What the sender is; decides its pace. Guessed from `from` when absent.
    pub sender_kind: Option<SenderKind>,
    /// The webhook's URL as it stands in Twilio's console, when it is not the gateway's own.
    pub public_url: Option<String>,
    /// Whether look-alikes (quotes, dashes) are replaced where that saves an SMS from UCS-2.
    #[serde(default)]
    pub smart_encoding: bool,
    /// The most segments an SMS may have.
    pub max_parts: Option<u32>,
    /// Content resources by name: templates by the name callers use, and `quick_reply_1` to `quick_reply_3` and
    /// `list_1` to `list_10` for options on WhatsApp and RCS. Their variables: 1 the text, then a title and an id for
    /// each option; for lists the opening button is 2.
    #[serde(default)]
    pub contents: BTreeMap<String, String>,
    /// Where Twilio's API is, for tests; stands for all its hosts.
    pub api_base: Option<String>,
}

/// What a sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SenderKind {
    /// A local number.
    #[serde(rename = "long_code")]
    LongCode,
    /// A United States number registered for application-to-person traffic.
    #[serde(rename = "10dlc")]
    TenDlc,
    /// A toll-free number.
    #[serde(rename = "toll_free")]
    TollFree,
    /// A short code.
    #[serde(rename = "short_code")]
    ShortCode,
    /// A name; one way.
    #[serde(rename = "alphanumeric")]
    Alphanumeric,
    /// A WhatsApp sender.
    #[serde(rename = "whatsapp")]
    Whatsapp,
    /// An RCS agent.
    #[serde(rename = "rcs")]
    Rcs,
}

/// A sender, or a service of senders.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    pace: [Pace; 1],
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if !settings.account_sid.starts_with("AC") || !settings.account_sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(SettingsError::new("account_sid", "not an account's id", "it begins with AC, see Twilio's console"));
        }
        if settings.auth_token.is_empty() {
            return Err(SettingsError::new("auth_token", "empty", "every delivery is proved with it; see Twilio's console"));
        }
        let given = |value: &Option<String>| value.as_deref().is_some_and(|v| !v.is_empty());
        if !given(&settings.from) && !given(&settings.messaging_service_sid) {
            return Err(SettingsError::new("from", "missing", "name the sender in `from`, or a `messaging_service_sid`"));
        }
        if given(&settings.api_key_sid) != settings.api_key_secret.is_some() {
            return Err(SettingsError::new(
                "api_key_secret",
                "an API key has two halves",
                "set `api_key_sid` and `api_key_secret`, or neither",
            ));
        }
        let keys = crypto::sha1_keys(&settings.auth_token);
        let pace = [pace(&settings)];
        Ok(Self { settings, keys, pace })
    }

    fn account(&self) -> Option<&str> {
        [&self.settings.from, &self.settings.messaging_service_sid].into_iter().flatten().map(String::as_str).find(|id| !id.is_empty())
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.settings.account_sid)
    }

    fn paces(&self) -> Option<&[Pace]> {
        Some(&self.pace)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        signature::verify(&self.keys, self.settings.public_url.as_deref(), &hook)?;
        Ok(hook.verified())
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(self, hook)
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        let url = media.url.as_deref()?;
        let parsed = url::Url::parse(url).ok()?;
        // The credentials go to Twilio and to nobody else, whatever a delivery says.
        let ours = parsed.scheme() == "https" && parsed.host_str().is_some_and(|h| h == "twilio.com" || h.ends_with(".twilio.com"));
        let here = self.settings.api_base.as_deref().is_some_and(|base| url.starts_with(&format!("{}/", base.trim_end_matches('/'))));
        let url = match &self.settings.api_base {
            _ if here => url.to_owned(),
            Some(base) if ours => format!("{}{}", base.trim_end_matches('/'), parsed.path()),
            None if ours => url.to_owned(),
            _ => return None,
        };
        // The answer leads to a store that must not see the credentials.
        Some(self.authorised(Call::get(url)).redirects(3))
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        Some(self.authorised(Call::get(format!("{}/2010-04-01/Accounts/{}.json", self.base("api"), self.settings.account_sid))))
    }

    /// What the sender is says which link: WhatsApp's click to chat (walinktool.com/blog/wa-me-link-format-explained, read 2026-11-29) or
    /// a phone's. For RCS Twilio documents none.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let from = self.settings.from.as_deref().unwrap_or_default();
        let link = match from.split_once(':') {
            Some(("whatsapp", number)) => {
                let base = format!("https://wa.me/{}", number.trim_start_matches('+'));
                Some(entry::by_words(entry, |text| entry::with(&base, &[("text", text)])))
            }
            Some(_) => return None,
            None => entry::sms(from, entry),
        };
        let lacks = || EntryLink::lacks("`from` is no number: name in it the number that the link is to lead to");
        Some(link.ok_or_else(lacks))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let url = self.settings.public_url.as_deref().unwrap_or(cx.hook_url);
        let url = url.split('#').next().unwrap_or_default();
        Setup::ByHand(format!(
            "In Twilio's console, enter {url}#rc=5&rp=all&rt=3000 as the webhook for incoming messages (method POST) of the number, the \
             Messaging Service or the WhatsApp sender. The part behind # makes Twilio repeat what failed; without it a restart loses messages."
        ))
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        // One call does both, on WhatsApp alone.
        let (to, last) = match signal {
            Signalled::Typing { to, last } => (to, last?),
            Signalled::Read { to, message_id } => (to, message_id),
        };
        to.starts_with("whatsapp:").then(|| self.typing(last))
    }
}

impl Channel {
    /// Twilio's hosts, or the one that stands for them.
    fn base(&self, host: &str) -> String {
        match &self.settings.api_base {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => format!("https://{host}.twilio.com"),
        }
    }

    fn authorised(&self, call: Call) -> Call {
        match (&self.settings.api_key_sid, &self.settings.api_key_secret) {
            (Some(sid), Some(secret)) => call.basic(sid, secret.reveal()),
            _ => call.basic(&self.settings.account_sid, self.settings.auth_token.first()),
        }
    }

    fn typing(&self, message_id: &str) -> Call {
        let url = format!("{}{}", self.base("messaging"), errors::TYPING);
        self.authorised(Call::json(url, &json!({ "channel": "WHATSAPP", "messageId": message_id })))
    }
}

/// A sender's pace by its kind, told by its looks when the settings do not say.
fn pace(settings: &Settings) -> Pace {
    let from = settings.from.as_deref().unwrap_or_default();
    let digits = from.strip_prefix('+');
    let kind = settings.sender_kind.unwrap_or(match digits {
        _ if from.starts_with("whatsapp:") => SenderKind::Whatsapp,
        _ if from.starts_with("rcs:") => SenderKind::Rcs,
        Some(digits) if ["1800", "1833", "1844", "1855", "1866", "1877", "1888"].iter().any(|p| digits.starts_with(p)) => {
            SenderKind::TollFree
        }
        Some(_) => SenderKind::LongCode,
        None if !from.is_empty() && from.bytes().all(|b| b.is_ascii_digit()) => SenderKind::ShortCode,
        None if !from.is_empty() => SenderKind::Alphanumeric,
        None => SenderKind::LongCode,
    });
    match kind {
        SenderKind::LongCode if digits.is_some_and(|digits| !digits.starts_with('1')) => facts::ABROAD,
        SenderKind::LongCode | SenderKind::TenDlc => facts::LONG_CODE,
        SenderKind::TollFree => facts::TOLL_FREE,
        SenderKind::ShortCode => facts::SHORT_CODE,
        SenderKind::Alphanumeric | SenderKind::Rcs => facts::ABROAD,
        SenderKind::Whatsapp => facts::WHATSAPP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Time;
    use crate::contract::twin::Twin as _;

    fn channel(more: serde_json::Value) -> Result<Channel, SettingsError> {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings))
    }

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/t", login: None, keys: None };

    #[test]
    fn the_sender_decides_the_pace() {
        let rate = |more| channel(more).expect("settings").paces().map(|paces| paces[0].count);
        for (from, count) in
            [("+14155550199", 1), ("+18335550199", 3), ("12345", 100), ("ACME", 10), ("whatsapp:+14155550199", 80), ("+447700900123", 10)]
        {
            assert_eq!(rate(json!({ "from": from })), Some(count), "{from}");
        }
        assert_eq!(rate(json!({ "sender_kind": "whatsapp" })), Some(80));
    }

    #[test]
    fn credentials_go_to_twilio_alone() {
        let channel = channel(json!({})).expect("settings");
        let fetch = |url: &str| {
            channel.fetch(&MediaRef { url: Some(url.into()), ..MediaRef::default() }, &CX).map(|call| (call.url, call.redirects))
        };
        let url = "https://api.twilio.com/2010-04-01/Accounts/ACfake01/Messages/MMfake0102/Media/MEfake01";
        assert_eq!(fetch(url), Some((url.to_owned(), 3)));
        assert_eq!(
            (fetch("https://evil.example/x"), fetch("http://api.twilio.com/x"), fetch("https://eviltwilio.com/x")),
            (None, None, None)
        );
    }

    #[test]
    fn typing_needs_a_message_on_whatsapp() {
        let channel = channel(json!({})).expect("settings");
        let typing = |to, last| channel.signal(Signalled::Typing { to, last }, &CX).map(|call| call.url);
        assert_eq!(
            typing("whatsapp:+34600000111", Some("SMfake0103")).as_deref(),
            Some("https://messaging.twilio.com/v3/Indicators/Typing.json")
        );
        assert_eq!((typing("whatsapp:+34600000111", None), typing("tel:+14155550123", Some("SM1"))), (None, None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let wrong = |more| channel(more).err().map(|e| e.key);
        assert_eq!(wrong(json!({ "from": "" })).as_deref(), Some("from"));
        assert_eq!(wrong(json!({ "account_sid": "XX1" })).as_deref(), Some("account_sid"));
        assert_eq!(wrong(json!({ "api_key_sid": "SK1" })).as_deref(), Some("api_key_secret"));
    }
}

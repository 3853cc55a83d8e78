//! Telegram: bots in private chats, groups, channels and connected business accounts, by the Bot API.
//!
//! A message's id is unique in its chat only, so ours is `CHAT:ID`. A chat of a connected business account is a
//! conversation of its own and has the address `telegram:CONNECTION/CHAT`; a topic stands behind `#`.
//!
//! Checked against `python-telegram-bot` (`tests/sdks/python/check_telegram.py`): its client on the twin, its types on the twin's
//! updates and on the keyboards we render.
//!
//! Updates recorded in the tests of courier, Chatwoot, Rasa and the Chat SDK, and in older bots' sources, were read on
//! 2026-11-29.

mod address;
mod buttons;
mod checks;
mod content;
mod errors;
mod facts;
mod inbound;
mod markup;
mod media;
mod outbound;
mod parts;
mod revise;
mod rich;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Fetched, Field, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secrets,
    SentMessage, SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::{crypto, entry};

/// The settings of a Telegram channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The bot's token from @BotFather: `123456:ABC...`. The digits before the colon are the bot's id.
    pub bot_token: Secrets,
    /// The bot's name, without `@`: links that start a conversation lead to it.
    pub username: Option<String>,
    /// What Telegram repeats in every delivery: 1 to 256 of `A-Z a-z 0-9 _ -`. Without it no delivery is accepted.
    #[serde(default)]
    pub webhook_secret_token: Secrets,
    /// Kinds of updates to ask for when the webhook is registered; all that are understood when absent.
    pub allowed_updates: Option<Vec<String>>,
    /// Deliveries under way at once, 1 to 100.
    pub max_connections: Option<u32>,
    /// Whether bulk sending above the free rate may be paid for in Stars.
    #[serde(default)]
    pub allow_paid_broadcast: bool,
    /// Where the Bot API is, for a server of your own.
    pub api_base: Option<String>,
}

/// A bot.
pub struct Channel {
    settings: Settings,
    bot_id: String,
    base: String,
}

/// What `allowed_updates` is when the settings do not say: everything this adapter understands, named, because three
/// kinds come only when they are.
const UPDATES: &[&str] = &[
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "callback_query",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "pre_checkout_query",
    "shipping_query",
    "purchased_paid_media",
];

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let bot_id = settings.bot_token.first().split_once(':').map(|(id, _)| id).filter(|id| is_digits(id));
        let Some(bot_id) = bot_id.map(str::to_owned) else {
            return Err(SettingsError::new("bot_token", "not a bot's token", "copy it whole from @BotFather: digits, a colon, letters"));
        };
        if !settings.bot_token.iter().all(|t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b":_-".contains(&b))) {
            return Err(SettingsError::new("bot_token", "has characters no token has", "copy it whole from @BotFather"));
        }
        let named = |s: &str| s.len() <= 256 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !settings.webhook_secret_token.iter().all(named) {
            return Err(SettingsError::new("webhook_secret_token", "Telegram refuses it", "use 1 to 256 of A-Z a-z 0-9 _ -"));
        }
        if settings.max_connections.is_some_and(|count| !(1..=100).contains(&count)) {
            return Err(SettingsError::new("max_connections", "out of range", "use 1 to 100"));
        }
        let base = settings.api_base.as_deref().unwrap_or("https://api.telegram.org").trim_end_matches('/').to_owned();
        Ok(Self { settings, bot_id, base })
    }

    /// Groups and channels have negative ids (core.telegram.org/bots/api#chat), or go by name.
    fn is_group(&self, to: &str) -> bool {
        to.strip_prefix("telegram:").is_some_and(|chat| chat.starts_with(['-', '@']))
    }

    fn account(&self) -> Option<&str> {
        None // A delivery never names the bot: each has a URL of its own.
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        let proof = hook.header("x-telegram-bot-api-secret-token").ok_or(VerifyError::MISSING)?;
        if crypto::is_one_of(&self.settings.webhook_secret_token, proof) { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) }
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
        (!media.id.is_empty()).then(|| self.method("getFile", &json!({ "file_id": media.id })))
    }

    fn fetched(&self, call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        media::fetched(self, call, reply)
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        Some(self.method("getMe", &json!({})))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        if self.settings.webhook_secret_token.is_empty() {
            return Setup::ByHand("Set `webhook_secret_token` first: without it no delivery can be told from a forged one.".into());
        }
        // Always the full set: a parameter left out of a later setWebhook is taken away, or stays as it was.
        let mut body = json!({
            "url": cx.hook_url,
            "secret_token": self.settings.webhook_secret_token.first(),
            "max_connections": self.settings.max_connections.unwrap_or(100),
            "allowed_updates": UPDATES,
            "drop_pending_updates": false,
        });
        if let Some(updates) = &self.settings.allowed_updates {
            body["allowed_updates"] = json!(updates);
        }
        Setup::Calls(vec![self.method("setWebhook", &body)])
    }

    /// core.telegram.org/bots/features#deep-linking, as docs.aiogram.dev quotes it, read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let Some(name) = self.settings.username.as_deref().map(|name| name.trim_start_matches('@')).filter(|name| !name.is_empty()) else {
            return Some(Err(EntryLink::lacks("set `username`, the bot's name from @BotFather without its @: the link leads to it")));
        };
        Some(Ok(entry::by_parameter(&format!("https://t.me/{}", entry::escape(name)), "start", None, entry)))
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        Some(revise::revise(self, sent, revision, cx))
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        match signal {
            Signalled::Typing { to, .. } => {
                let (to, thread) = to.split_once('#').map_or((to, None), |(to, thread)| (to, Some(thread)));
                let mut body = address::Chat::parse(to, thread)?.target();
                body.insert("action".into(), "typing".into());
                Some(self.method("sendChatAction", &body))
            }
            Signalled::Read { to, message_id } => {
                // Only a business account can show that it has read; a bot cannot.
                let chat = address::Chat::parse(to.split('#').next()?, None)?;
                let connection = chat.business.as_deref()?;
                let (_, id) = address::message(message_id)?;
                let body = json!({ "business_connection_id": connection, "chat_id": chat.id, "message_id": id });
                Some(self.method("readBusinessMessage", &body))
            }
        }
    }
}

impl Channel {
    /// A call of one of the Bot API's methods.
    fn method(&self, name: &str, body: &impl serde::Serialize) -> Call {
        Call::json(self.url(name), body).url_secret(self.settings.bot_token.first())
    }

    /// A call of a method with files.
    fn upload(&self, name: &str, fields: Vec<Field>) -> Call {
        Call::multipart(self.url(name), fields).url_secret(self.settings.bot_token.first())
    }

    fn url(&self, name: &str) -> String {
        format!("{}/bot{{secret}}/{name}", self.base)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::contract::{Category, Media, Part, Time, Verdict, twin::Twin as _};

    #[test]
    fn the_secret_is_compared_whole() {
        let mut settings = super::Twin::new(1).settings();
        settings.insert("webhook_secret_token".into(), "fake-webhook-secret_01".into());
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let cx = CX;
        let accepts = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("X-Telegram-Bot-Api-Secret-Token", HeaderValue::from_static(value));
            }
            channel.verify(Webhook { method: &Method::POST, url: cx.hook_url, query: "", headers: &headers, body: b"{}" }, &cx).is_ok()
        };
        assert!(accepts(Some("fake-webhook-secret_01")));
        for bad in ["Fake-webhook-secret_01", "fake-webhook-secret_0", "fake-webhook-secret_012", ""] {
            assert!(!accepts(Some(bad)), "{bad}");
        }
        assert!(!accepts(None));
    }

    fn request(call: &Call) -> crate::contract::twin::Request {
        let url = call.full_url();
        crate::contract::twin::Request {
            method: call.method.clone(),
            path: url.trim_start_matches("http://twin.test").to_owned(),
            query: String::new(),
            headers: call.header_map(),
            body: bytes::Bytes::copy_from_slice(call.body_bytes()),
        }
    }

    fn played() -> (super::Twin, Channel) {
        let twin = super::Twin::new(3);
        let mut settings = twin.settings();
        settings.insert("api_base".into(), "http://twin.test/".into());
        (twin, <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings"))
    }

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/t", login: None, keys: None };

    #[test]
    fn a_picture_is_fetched_in_two_steps() {
        let (mut twin, channel) = played();
        let media = MediaRef { id: "TWIN_L".into(), ..MediaRef::default() };
        let first = channel.fetch(&media, &CX).expect("a call");
        let reply = twin.answer(&request(&first), Time(0)).reply;
        let Fetched::Call(second) = channel.fetched(&first, &reply, &CX) else { panic!("no second step") };
        assert!(!format!("{second:?}").contains("TWIN-fake"), "the token stands in the address");
        let reply = twin.answer(&request(&second), Time(0)).reply;
        assert!(matches!(channel.fetched(&second, &reply, &CX), Fetched::Bytes));
        assert!(reply.body.starts_with(b"\x89PNG"));
        let big = Reply::json(400, &json!({ "ok": false, "error_code": 400, "description": "Bad Request: file is too big" }));
        assert!(matches!(channel.fetched(&first, &big, &CX), Fetched::Gone(_)));
        assert!(matches!(channel.fetched(&first, &Reply::json(502, &json!({})), &CX), Fetched::Later));
    }

    #[test]
    fn words_for_a_picture_become_its_caption() {
        let (mut twin, channel) = played();
        let native = serde_json::Map::new();
        let media = crate::contract::MediaPart {
            media: Media { url: Some("https://cdn.example.org/a.jpg".into()), ..Media::default() },
            caption: None,
        };
        let (picture, words) = ([Part::Image(media)], [Part::text("The right one")]);
        let message = |parts| Outbound {
            id: "msg_1",
            to: "telegram:5550001",
            thread: None,
            parts,
            template: None,
            category: Category::Service,
            reply_to: None,
            handle: None,
            author: None,
            expires_at: None,
            native: &native,
        };
        let call = channel.render(&message(&picture), &CX).expect("it renders").calls.remove(0);
        let reply = twin.answer(&request(&call), Time(0)).reply;
        let Step::Done(Verdict::Accept { provider_id }) = channel.classify(&call, &reply) else { panic!("not sent") };
        let sent = SentMessage { to: "telegram:5550001", thread: None, provider_id: &provider_id, handle: None };
        let edit = channel.revise(&sent, Revision::Edit(&message(&words)), &CX).and_then(Result::ok).expect("a call");
        let reply = twin.answer(&request(&edit), Time(0)).reply;
        let Step::Call(next) = channel.classify(&edit, &reply) else { panic!("not as a caption") };
        assert!(next.url.ends_with("/editMessageCaption"), "{}", next.url);
        let reply = twin.answer(&request(&next), Time(0)).reply;
        assert!(matches!(channel.classify(&next, &reply), Step::Done(Verdict::Accept { .. })));
        assert_eq!(twin.says(&provider_id).as_deref(), Some("The right one"));
    }

    #[test]
    fn the_webhook_is_registered_with_its_secret_and_the_bot_answers() {
        let (mut twin, channel) = played();
        let Setup::Calls(calls) = channel.setup(&CX) else { panic!("it can be registered") };
        let sent: serde_json::Value = serde_json::from_slice(calls[0].body_bytes()).expect("JSON");
        assert_eq!((sent["url"].as_str(), sent["secret_token"].as_str()), (Some(CX.hook_url), Some("twin-secret_3")));
        assert!(sent["allowed_updates"].as_array().is_some_and(|kinds| kinds.contains(&"message_reaction".into())));
        assert_eq!(twin.answer(&request(&calls[0]), Time(0)).reply.status, 200);
        assert_eq!(twin.answer(&request(&channel.probe(&CX).expect("a call")), Time(0)).reply.status, 200);
        let typing = channel.signal(Signalled::Typing { to: "telegram:-5#7", last: None }, &CX).expect("a call");
        assert_eq!(twin.answer(&request(&typing), Time(0)).reply.status, 200);
        let read = channel.signal(Signalled::Read { to: "telegram:bc-1/880", message_id: "bc-1/880:3" }, &CX).expect("a call");
        assert_eq!(twin.answer(&request(&read), Time(0)).reply.status, 200);
        assert!(channel.signal(Signalled::Read { to: "telegram:880", message_id: "880:3" }, &CX).is_none());
    }
}

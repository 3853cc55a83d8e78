//! Viber: bots, which people subscribe to or write to first.
//!
//! A person's address is the id Viber gives for this bot (`viber:...==`); it changes with the person's phone number.
//!
//! Checked against `viberbot` (`tests/sdks/python/check_viber.py`): signatures, its client on the twin, its types on the twin's
//! callbacks.
//!
//! Callbacks recorded in the tests of courier and `viberbot`, and those of Viber's documentation, were read on
//! 2026-11-29.

mod errors;
mod facts;
mod inbound;
mod keyboard;
mod outbound;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError,
    Setup, Step, Verified, VerifyError, Webhook,
};
use crate::kit::{address, crypto, entry, form};

/// The settings of a Viber channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The bot's token: it authenticates our calls and signs what comes. Old and new while it is replaced.
    pub auth_token: Secrets,
    /// The name people see, up to 28 characters.
    pub sender_name: String,
    /// The picture people see: a link, 720 by 720 pixels, at most 100 KB.
    pub sender_avatar: Option<String>,
    /// The bot's URI, from the admin panel: links that start a conversation lead to it.
    pub uri: Option<String>,
    /// The oldest client to send to; what a message needs is added where it is more.
    pub min_api_version: Option<u8>,
    /// Where the API is, for a stand-in.
    pub api_base: Option<String>,
}

/// A bot.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    base: String,
}

/// What the webhook is told of; messages, `subscribed` and `unsubscribed` come in any case.
const EVENTS: &[&str] = &["delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"];

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if settings.auth_token.is_empty() {
            return Err(SettingsError::new("auth_token", "empty", "copy the token from the bot's edit page"));
        }
        if !(1..=28).contains(&settings.sender_name.chars().count()) {
            return Err(SettingsError::new("sender_name", "not a name", "1 to 28 characters"));
        }
        let keys = crypto::sha256_keys(&settings.auth_token);
        let base = settings.api_base.as_deref().unwrap_or("https://chatapi.viber.com").trim_end_matches('/').to_owned();
        Ok(Self { settings, keys, base })
    }

    /// Deliveries do not name the bot.
    fn account(&self) -> Option<&str> {
        None
    }

    /// The header, and the query's `sig` only where there is none.
    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        let wrong = || VerifyError::Mismatch { status: http::StatusCode::FORBIDDEN };
        let header = hook.header("x-viber-content-signature").map(Into::into);
        let given = header.or_else(|| form::query(hook.query, "sig"));
        let given = given.ok_or(VerifyError::Missing { status: http::StatusCode::FORBIDDEN })?;
        let tag = crypto::unhex::<32>(given.trim()).ok_or_else(wrong)?;
        if crypto::signed(&self.keys, hook.body, &tag) { Ok(hook.verified()) } else { Err(wrong()) }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(hook)
    }

    fn render(&self, message: &Outbound<'_>, _cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    /// A plain link, good for about an hour.
    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        let link = address::stand_in(media.url.as_deref()?, self.settings.api_base.as_deref(), &["viber.com"]);
        Some(Call::get(link).redirects(3))
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        Some(self.call("get_account_info", &json!({})))
    }

    /// developers.viber.com/docs/tools/deep-links, read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let Some(uri) = self.settings.uri.as_deref().filter(|uri| !uri.is_empty()) else {
            return Some(Err(EntryLink::lacks("set `uri`, the bot's URI from Viber's admin panel: the link leads to it")));
        };
        let mut link = entry::by_parameter(&format!("viber://pa?chatURI={}", entry::escape(uri)), "context", Some("text"), entry);
        link.notes.push("Some browsers do not open this link: on a page, test it; as a QR code it opens where Viber is installed.");
        Some(Ok(link))
    }

    /// Viber asks the address during the call, so the channel must be running.
    fn setup(&self, cx: &Context<'_>) -> Setup {
        let body = json!({ "url": cx.hook_url, "event_types": EVENTS, "send_name": true, "send_photo": true });
        Setup::Calls(vec![self.call("set_webhook", &body)])
    }
}

impl Channel {
    /// A method of the API.
    fn call(&self, method: &str, body: &serde_json::Value) -> Call {
        let token = Secret::new(self.settings.auth_token.first());
        Call::json(format!("{}/pa/{method}", self.base), body).secret_header("x-viber-auth-token", token.reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::{Act, Request, Twin as _};
    use crate::contract::{Fetched, Time};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/v", login: None, keys: None };

    fn bound(more: serde_json::Value) -> Channel {
        let mut settings = super::Twin::new(3).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    #[test]
    fn the_published_vectors_hold() {
        let channel = bound(json!({ "auth_token": "fake-viber-auth-token" }));
        let long = r#"{"event":"message","timestamp":1795000000123,"chat_hostname":"SN-CHAT-00_","message_token":6000000000000000001,"sender":{"id":"FakeUserId00000000000A==","name":"Ana","language":"en","country":"RS","api_version":10},"message":{"text":"zdravo","type":"text"},"silent":false}"#;
        let vectors = [
            (
                r#"{"event":"webhook","timestamp":1795000000000,"message_token":6000000000000000000}"#,
                "40e1f66bc4b27c1910f21a89aae67b0998b2b3e2e28bf88a819265c41a8fa754",
            ),
            (long, "c4bd9df87b1d6c2174894abae5d279664e80c1152f50ffe7dee73f90ed73fa3a"),
        ];
        for (body, signature) in vectors {
            let check = |header: Option<&str>, query: &str, body: &[u8]| {
                let mut headers = http::HeaderMap::new();
                headers.extend(header.map(|h| (http::HeaderName::from_static("x-viber-content-signature"), h.parse().expect("ASCII"))));
                channel.verify(Webhook { method: &http::Method::POST, url: "", query, headers: &headers, body }, &CX).is_ok()
            };
            let query = format!("sig={signature}");
            assert!(check(Some(signature), "", body.as_bytes()) && check(None, &query, body.as_bytes()));
            assert!(!check(Some(signature), "", &body.as_bytes()[1..]) && !check(None, "", body.as_bytes()));
            assert!(!check(Some(&"0".repeat(64)), &query, body.as_bytes()), "the header comes first");
        }
    }

    #[test]
    fn it_registers_fetches_and_asks_about_itself() {
        let mut twin = super::Twin::new(3);
        let channel = bound(json!({ "api_base": "http://twin.test/" }));
        let request = |call: &Call| Request {
            method: call.method.clone(),
            path: call.url.trim_start_matches("http://twin.test").to_owned(),
            query: String::new(),
            headers: call.header_map(),
            body: call.body_bytes().to_vec().into(),
        };
        let Setup::Calls(calls) = channel.setup(&CX) else { panic!("it can be registered") };
        for call in calls.into_iter().chain(channel.probe(&CX)) {
            assert!(twin.counts(&request(&call)).is_none());
            let reply = twin.answer(&request(&call), Time(0)).reply;
            assert!(String::from_utf8_lossy(&reply.body).contains("\"status\":0"), "{call:?}");
        }
        let draft = twin.act("viber:FakeUserId00000000000A==", &Act::Image("x".into()), Time(1)).remove(0);
        let body: serde_json::Value = serde_json::from_slice(&draft.body).expect("JSON");
        let link = body.pointer("/message/media").and_then(|u| u.as_str()).expect("a link").to_owned();
        let call = channel.fetch(&MediaRef { url: Some(link), ..MediaRef::default() }, &CX).expect("a call");
        assert!(call.secret_headers.is_empty());
        let reply = twin.answer(&request(&call), Time(0)).reply;
        assert!(matches!(channel.fetched(&call, &reply, &CX), Fetched::Bytes));
    }
}

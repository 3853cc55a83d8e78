//! X: Direct Messages of an account, through API v2 and webhooks of the Activity API (and of Account Activity before it).
//!
//! A person's address is the numeric user id (`x:777`); `x:conversation/ID` is an existing conversation. Encrypted XChat
//! messages are told of and cannot be read here.
//!
//! Checked against `xdk` and `oauthlib` (`tests/sdks/python/check_x.py`): its client on the twin, its types on what we send, and the
//! signature the account makes.
//!
//! Deliveries recorded in the tests of courier, Tweetinvi and the Chat SDK, and those of X's documentation, were read on
//! 2026-11-29.

mod errors;
mod facts;
mod inbound;
mod message;
mod outbound;
mod post;
mod twin;

use aws_lc_rs::hmac;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Ack, Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets,
    SettingsError, Setup, Step, Time, Verified, VerifyError, Webhook,
};
use crate::kit::{address, crypto, entry, form, oauth1};

/// The settings of an X channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The account's numeric id. Deliveries are routed by it.
    pub user_id: String,
    /// The app's key, for OAuth 1.0a.
    pub consumer_key: Option<String>,
    /// The app's secret: deliveries are signed with it. Old and new while rotating.
    pub consumer_secret: Secrets,
    /// The account's token: of OAuth 1.0a (which does not end) with `access_token_secret`, else of OAuth 2.0 (2 hours).
    pub access_token: Secret,
    /// The secret of an OAuth 1.0a token.
    pub access_token_secret: Option<Secret>,
    /// The app's bearer token: registers the webhook.
    pub app_bearer_token: Option<Secret>,
    /// The app's id: tells our own messages from those written elsewhere.
    pub app_id: Option<String>,
    /// The webhook's id, once it is registered: subscribes the account to it.
    pub webhook_id: Option<String>,
    /// Where the API is, for a stand-in.
    pub api_base: Option<String>,
}

/// An account.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    base: String,
    signer: Option<oauth1::Signer>,
}

/// What the account subscribes to: everything `parse` understands.
const EVENTS: &[&str] = &[
    "dm.received",
    "dm.sent",
    "dm.read",
    "dm.indicate_typing",
    "chat.received",
    "chat.sent",
    "chat.conversation_join",
    "follow.follow",
    "follow.unfollow",
];

/// The longest challenge answered: nothing of it is signed.
const CHALLENGE: usize = 200;

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if settings.user_id.is_empty() || !settings.user_id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SettingsError::new("user_id", "not an id", "the account's number, not its @name"));
        }
        if settings.consumer_secret.is_empty() {
            return Err(SettingsError::new("consumer_secret", "empty", "copy the app's API key secret"));
        }
        let signer = match (&settings.access_token_secret, &settings.consumer_key) {
            (Some(secret), Some(key)) => {
                let consumer = settings.consumer_secret.first();
                Some(oauth1::Signer::new(key, consumer, settings.access_token.reveal(), secret.reveal()))
            }
            (Some(_), None) => return Err(SettingsError::new("consumer_key", "missing", "OAuth 1.0a signs with the app's key too")),
            (None, _) => None,
        };
        let keys = crypto::sha256_keys(&settings.consumer_secret);
        let base = settings.api_base.as_deref().unwrap_or("https://api.x.com").trim_end_matches('/').to_owned();
        Ok(Self { settings, keys, base, signer })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.user_id)
    }

    /// The app's daily limit is shared by all its accounts.
    fn limit_group(&self) -> Option<&str> {
        self.settings.consumer_key.as_deref()
    }

    /// A challenge is answered whoever asks; everything else is signed.
    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        if hook.method == http::Method::GET {
            let good = form::query(hook.query, "crc_token").is_some_and(|token| (1..=CHALLENGE).contains(&token.len()));
            return if good { Ok(hook.verified()) } else { Err(VerifyError::MISSING) };
        }
        let header = hook.header("x-twitter-webhooks-signature").ok_or(VerifyError::MISSING)?;
        let tag = header.trim().strip_prefix("sha256=").and_then(crypto::unbase64).filter(|tag| tag.len() == 32);
        let tag = tag.ok_or(VerifyError::MISMATCH)?;
        if crypto::signed(&self.keys, hook.body, &tag) { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        if hook.hook().method != http::Method::GET {
            return inbound::parse(self.settings.app_id.as_deref(), hook);
        }
        let Some(token) = form::query(hook.hook().query, "crc_token").filter(|token| token.len() <= CHALLENGE) else {
            return Parsed::not_understood("a GET without a challenge");
        };
        let answer = json!({ "response_token": self.keys.first().map(|key| tagged(key, token.as_bytes())) });
        let ack = Ack { content_type: Some("application/json"), body: answer.to_string().into_bytes().into(), ..Ack::default() };
        Parsed { ack, ..Parsed::default() }
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(self, call, reply)
    }

    /// Files of messages are the account's alone; those of the public hosts are anybody's.
    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        let url = media.url.as_deref()?;
        let parsed = url::Url::parse(url).ok()?;
        let private = parsed.host_str().is_some_and(|host| host == "ton.twitter.com" || host == "ton.x.com");
        let pieces: Vec<&str> = parsed.path_segments().map(|p| p.filter(|s| !s.is_empty()).collect()).unwrap_or_default();
        match pieces.as_slice() {
            // .../dm/MESSAGE/MEDIA/FILE
            [.., message, file, resource] if private => {
                let url = format!("{}/2/dm_conversations/media/{message}/{file}/{resource}", self.base);
                Some(self.authorised(Call::get(url), cx))
            }
            _ => {
                let link = address::stand_in(url, self.settings.api_base.as_deref(), &["twimg.com"]);
                Some(Call::get(link).redirects(3))
            }
        }
    }

    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        Some(self.authorised(Call::get(format!("{}/2/users/me", self.base)), cx))
    }

    /// business.twitter.com, "Moving from a public Tweet to a private conversation", read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let base = format!("https://twitter.com/messages/compose?recipient_id={}", entry::escape(&self.settings.user_id));
        let mut link = entry::by_words(entry, |text| entry::with(&base, &[("text", text)]));
        link.notes.push("The account must take messages from everyone: its settings, under privacy and safety.");
        Some(Ok(link))
    }

    /// First the webhook, whose id goes into the settings; then the account's subscriptions to it.
    fn setup(&self, cx: &Context<'_>) -> Setup {
        let s = &self.settings;
        let Some(app) = &s.app_bearer_token else {
            return Setup::ByHand(format!(
                "Set `app_bearer_token` to register {} from here (an address without a port, at most 200 characters); then `webhook_id`.",
                cx.hook_url
            ));
        };
        let Some(id) = &s.webhook_id else {
            let call = Call::json(format!("{}/2/webhooks", self.base), &json!({ "url": cx.hook_url }));
            return Setup::Calls(vec![call.bearer(app.reveal())]);
        };
        let again = Call::new(http::Method::PUT, format!("{}/2/webhooks/{}", self.base, address::escape(id))).bearer(app.reveal());
        let subscribe = |event: &&str| {
            let body = json!({ "event_type": event, "filter": { "user_id": s.user_id }, "tag": "fairway", "webhook_id": id });
            self.authorised(Call::json(format!("{}/2/activity/subscriptions", self.base), &body), cx)
        };
        Setup::Calls(std::iter::once(again).chain(EVENTS.iter().map(subscribe)).collect())
    }
}

/// `sha256=` and the tag in base64.
fn tagged(key: &hmac::Key, bytes: &[u8]) -> String {
    format!("sha256={}", crypto::base64(&crypto::sign(key, bytes)))
}

impl Channel {
    /// In the account's name.
    fn authorised(&self, call: Call, cx: &Context<'_>) -> Call {
        self.authorised_at(call, cx.now)
    }

    fn authorised_at(&self, call: Call, now: Time) -> Call {
        match &self.signer {
            Some(signer) => signer.sign(call, now),
            None => call.bearer(self.settings.access_token.reveal()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Fetched;
    use crate::contract::twin::{Act, Request, Twin as _};

    const CX: Context<'static> = Context {
        now: Time(1_795_169_730_000),
        public_url: "https://gw.example.org",
        hook_url: "https://gw.example.org/hooks/x",
        login: None,
        keys: None,
    };

    fn bound(more: serde_json::Value) -> Channel {
        let mut settings = super::Twin::new(3).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    #[test]
    fn the_published_vectors_hold() {
        let channel = bound(json!({ "consumer_secret": "fake-consumer-phrase" }));
        let body = br#"{"data":{"event_uuid":"-17","event_type":"dm.received","filter":{"user_id":"42"},"payload":{}}}"#;
        let check = |signature: &str, body: &[u8]| {
            let mut headers = http::HeaderMap::new();
            headers.insert("x-twitter-webhooks-signature", signature.parse().expect("ASCII"));
            channel.verify(Webhook { method: &http::Method::POST, url: "", query: "", headers: &headers, body }, &CX).is_ok()
        };
        let good = "sha256=i5B6LDTye8EI7o3I3JAeLDmgLYe7YjaUvuPXF5VGtag=";
        assert!(check(good, body) && !check(good, &body[1..]) && !check(&good["sha256=".len()..], body));
        let headers = http::HeaderMap::new();
        let get = |query| Webhook { method: &http::Method::GET, url: "", query, headers: &headers, body: b"" };
        let hook = channel.verify(get("crc_token=crc-challenge-0001"), &CX).expect("a challenge");
        let expected = r#"{"response_token":"sha256=WvIBQ2KLJTwEEN2RNbJJjSrnFefviVDlPX0FjWlItUs="}"#;
        assert_eq!(String::from_utf8_lossy(&channel.parse(&hook, &CX).ack.body), expected);
        let long = format!("crc_token={}", "x".repeat(300));
        assert!(channel.verify(get(&long), &CX).is_err() && channel.verify(get(""), &CX).is_err());
    }

    #[test]
    fn it_registers_fetches_and_asks_who_it_is() {
        let mut twin = super::Twin::new(3);
        let request = |call: &Call| {
            let (path, query) = call
                .url
                .trim_start_matches("http://twin.test")
                .split_once('?')
                .unwrap_or((call.url.trim_start_matches("http://twin.test"), ""));
            let body = call.body_bytes().to_vec().into();
            Request { method: call.method.clone(), path: path.to_owned(), query: query.to_owned(), headers: call.header_map(), body }
        };
        let oauth2 = json!({ "api_base": "http://twin.test", "access_token_secret": null });
        for more in [json!({ "api_base": "http://twin.test" }), json!({ "api_base": "http://twin.test", "webhook_id": "17" }), oauth2] {
            let channel = bound(more);
            let Setup::Calls(calls) = channel.setup(&CX) else { panic!("it can be registered") };
            for call in calls.into_iter().chain(channel.probe(&CX)) {
                assert!(twin.counts(&request(&call)).is_none());
                assert!(twin.answer(&request(&call), CX.now).reply.status.is_success(), "{call:?}");
            }
            let draft = twin.act("x:777", &Act::Image("look".into()), CX.now).remove(0);
            let headers = http::HeaderMap::new();
            let hook = Webhook { method: &draft.method, url: "", query: "", headers: &headers, body: &draft.body };
            let mut parsed = channel.parse(&Verified::from_our_own_log(hook), &CX);
            let mut source = None;
            parsed.events[0].body.each_media(|media| source = media.source.clone());
            let call = channel.fetch(&source.expect("a source"), &CX).expect("a call");
            let reply = twin.answer(&request(&call), CX.now).reply;
            assert!(
                matches!(channel.fetched(&call, &reply, &CX), Fetched::Bytes) && reply.body.starts_with(b"\x89PNG"),
                "{call:?} {reply:?}"
            );
        }
        let public = bound(json!({})).fetch(&MediaRef { url: Some("https://video.twimg.com/x.mp4".into()), ..MediaRef::default() }, &CX);
        assert!(public.expect("a call").secret_headers.is_empty());
    }
}

//! LINE: official accounts.
//!
//! Addresses are LINE's own ids: a person (`line:U...`), a group (`line:C...`) or a room (`line:R...`). An answer goes by
//! the reply token while that is good, which costs nothing, and else as a push, which the plan counts.
//!
//! Checked against `@line/bot-sdk` and `line-bot-sdk` (`tests/sdks/line.mjs`, `python/check_line.py`): signatures, login and
//! client on the twin, typed events of the twin's webhooks, and every member of what we render in typed messages.
//!
//! Events recorded in the tests of courier and `line-bot-sdk-java`, and those of LINE's reference, were read on 2026-11-29.

mod errors;
mod facts;
mod flex;
mod inbound;
mod message;
mod outbound;
mod twin;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Fetched, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets,
    SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::jwt::Signer;
use crate::kit::{crypto, entry, object};

/// The settings of a LINE channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The channel's id, for tokens of its own making.
    pub channel_id: Option<String>,
    /// The channel secret: deliveries are signed with it. Old and new while rotating.
    pub channel_secret: Secrets,
    /// A long-lived token from the console. Without one the gateway makes short ones from `channel_id`.
    pub channel_access_token: Option<Secret>,
    /// The `kid` of an assertion key, where tokens are not to be made from the secret.
    pub assertion_kid: Option<String>,
    /// Its private key, PEM.
    pub assertion_private_key: Option<Secret>,
    /// The account's own id (`U` and 32 hex digits), as deliveries name it in `destination`; needed where several channels share a secret.
    pub bot_user_id: Option<String>,
    /// The account's LINE ID, basic or premium, with its `@`: links that start a conversation lead to it.
    pub basic_id: Option<String>,
    /// A picture shown before a video plays (JPEG or PNG, https): LINE demands one.
    pub video_preview_url: Option<String>,
    /// Where the API is, for a stand-in: of messages and of media.
    pub api_base: Option<String>,
}

/// An official account.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    base: String,
    data: String,
    assertion: Option<(String, Signer)>,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if settings.channel_secret.is_empty() {
            return Err(SettingsError::new("channel_secret", "empty", "copy it from the channel's basic settings"));
        }
        if settings.channel_access_token.is_none() && settings.channel_id.is_none() {
            return Err(SettingsError::new("channel_access_token", "missing", "add it, or `channel_id` to make tokens from the secret"));
        }
        let assertion = match (&settings.assertion_kid, &settings.assertion_private_key) {
            (Some(kid), Some(pem)) => {
                let key = Signer::from_pem(pem.reveal())
                    .ok_or_else(|| SettingsError::new("assertion_private_key", "not an RSA key", "write it as PEM"))?;
                Some((kid.clone(), key))
            }
            (None, None) => None,
            _ => {
                return Err(SettingsError::new("assertion_kid", "half a key", "give `assertion_kid` and `assertion_private_key` together"));
            }
        };
        if settings.bot_user_id.as_deref().is_some_and(|id| id.len() != 33 || !id.starts_with('U')) {
            return Err(SettingsError::new("bot_user_id", "not a user id", "it is `U` and 32 hex digits; `fairway check --live` shows it"));
        }
        let base = settings.api_base.as_deref().unwrap_or("https://api.line.me").trim_end_matches('/').to_owned();
        let data = settings.api_base.as_deref().unwrap_or("https://api-data.line.me").trim_end_matches('/').to_owned();
        let keys = crypto::sha256_keys(&settings.channel_secret);
        Ok(Self { settings, keys, base, data, assertion })
    }

    fn account(&self) -> Option<&str> {
        self.settings.bot_user_id.as_deref()
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        let header = hook.header("x-line-signature").ok_or(VerifyError::MISSING)?;
        let tag = crypto::unbase64(header.trim()).filter(|tag| tag.len() == 32).ok_or(VerifyError::MISMATCH)?;
        if crypto::signed(&self.keys, hook.body, &tag) { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(self.settings.bot_user_id.is_some(), hook)
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(self.settings.channel_access_token.is_none(), call, reply)
    }

    /// A stateless token: good for 15 minutes, and making one revokes no other.
    fn login(&self, cx: &Context<'_>) -> Option<Call> {
        if self.settings.channel_access_token.is_some() {
            return None;
        }
        let id = self.settings.channel_id.as_deref()?;
        let kind = ("grant_type", "client_credentials".to_owned());
        let url = format!("{}/oauth2/v3/token", self.base);
        Some(match self.assert(id, cx) {
            Some(jwt) => {
                let assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned();
                Call::form(url, &[kind, ("client_assertion_type", assertion), ("client_assertion", jwt)])
            }
            None => {
                let secret = self.settings.channel_secret.first().to_owned();
                Call::form(url, &[kind, ("client_id", id.to_owned()), ("client_secret", secret)])
            }
        })
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        let text = std::str::from_utf8(&reply.body).ok().filter(|_| reply.status.is_success())?;
        let answer = object::Object::parse(text)?;
        let seconds = answer.int("expires_in").and_then(|s| u64::try_from(s).ok()).unwrap_or(900);
        Some((Secret::new(answer.words("access_token")?), seconds.saturating_mul(1000)))
    }

    /// A message's content by its id, or where somebody else hosts it.
    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        match &media.url {
            Some(url) => Some(Call::get(url.clone()).redirects(3)),
            None if media.id.is_empty() => None,
            None => Some(self.authorised(Call::get(format!("{}/v2/bot/message/{}/content", self.data, media.id)), cx)),
        }
    }

    /// 202 while a video is prepared; unsent or old content is gone.
    fn fetched(&self, _call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        match reply.status.as_u16() {
            202 | 401 | 408 | 425 | 429 | 500..=599 => Fetched::Later,
            200..=299 => Fetched::Bytes,
            status => Fetched::Gone(format!("the provider answered {status}: it was unsent, or is too old")),
        }
    }

    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        Some(self.authorised(Call::get(format!("{}/v2/bot/info", self.base)), cx))
    }

    /// The address, then a delivery to try it. "Use webhook" and "Webhook redelivery" are switches of the console.
    fn setup(&self, cx: &Context<'_>) -> Setup {
        let body = json!({ "endpoint": cx.hook_url });
        let mut put = Call::json(format!("{}/v2/bot/channel/webhook/endpoint", self.base), &body);
        put.method = http::Method::PUT;
        let test = Call::json(format!("{}/v2/bot/channel/webhook/test", self.base), &body);
        Setup::Calls(vec![self.authorised(put, cx), self.authorised(test, cx)])
    }

    /// Reading needs a token of the very message, which signals do not have; typing shows in one-to-one chats alone.
    /// developers.line.biz, "Use LINE features with the LINE URL scheme", read 2026-11-29: the id is escaped, `@` and all, and the text
    /// stands alone behind the question mark.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let Some(id) = self.settings.basic_id.as_deref().map(|id| id.trim_start_matches('@')).filter(|id| !id.is_empty()) else {
            return Some(Err(EntryLink::lacks("set `basic_id`, the account's LINE ID with its @: the link leads to it")));
        };
        let mut link = entry::by_words(entry, |text| {
            let chat = format!("https://line.me/R/oaMessage/{}/", entry::escape(&format!("@{id}")));
            text.map_or(chat.clone(), |text| format!("{chat}?{}", entry::escape(text)))
        });
        link.notes.push("It opens LINE on phones alone, not on a PC.");
        Some(Ok(link))
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        let Signalled::Typing { to, .. } = signal else { return None };
        let person = to.split('#').next()?.strip_prefix("line:").filter(|id| id.starts_with('U'))?;
        Some(self.authorised(outbound::loading(&self.base, person), cx))
    }
}

impl Channel {
    fn authorised(&self, call: Call, cx: &Context<'_>) -> Call {
        let token = self.settings.channel_access_token.as_ref().or(cx.login);
        call.bearer(token.map(Secret::reveal).unwrap_or_default())
    }

    /// Half an hour is the longest an assertion may last.
    fn assert(&self, id: &str, cx: &Context<'_>) -> Option<String> {
        let (kid, key) = self.assertion.as_ref()?;
        let claims = json!({ "iss": id, "sub": id, "aud": "https://api.line.me/", "exp": cx.now.0 / 1000 + 1_740 });
        key.token(&claims, Some(kid))
    }
}

/// Our words for a picked option travel inside `data`, as they are.
fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    use crate::contract::Unit;
    if Unit::Chars.count(text) <= max { Cow::Borrowed(text) } else { Cow::Owned(crate::kit::text::shorten(text, max, Unit::Chars)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Time;
    use crate::contract::twin::{Act, Request, Twin as _};

    fn cx(login: Option<&Secret>) -> Context<'_> {
        let (public_url, hook_url) = ("https://gw.example.org", "https://gw.example.org/hooks/l");
        Context { now: Time(0), public_url, hook_url, login, keys: None }
    }

    fn bound(twin: &super::Twin, more: serde_json::Value) -> Channel {
        let mut settings = twin.settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    fn request(call: &Call) -> Request {
        let url = call.full_url();
        let rest = url.trim_start_matches("http://twin.test");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let body = call.body_bytes().to_vec().into();
        Request { method: call.method.clone(), path: path.to_owned(), query: query.to_owned(), headers: call.header_map(), body }
    }

    #[test]
    fn the_published_vectors_hold() {
        let channel = bound(&super::Twin::new(1), json!({ "channel_secret": "fake-line-channel-secret" }));
        let long = r#"{"destination":"U00000000000000000000000000000001","events":[{"type":"message","mode":"active","timestamp":1795000000123,"source":{"type":"user","userId":"U0000000000000000000000000000000a"},"webhookEventId":"01FAKEFAKEFAKEFAKEFAKEFAKE","deliveryContext":{"isRedelivery":false},"replyToken":"fakereplytoken","message":{"id":"400000000000000001","type":"text","quoteToken":"fakequote","text":"สวัสดี 👋"}}]}"#;
        let vectors = [
            (r#"{"destination":"U00000000000000000000000000000001","events":[]}"#, "4t1kPMSDsOs7KOSaGvrPZlFi02xNPtaTqYPClB1AUZ8="),
            (long, "tLmSKL6rM7IAKCCEe2XaTsM1gLpAUwzk/U24rjbZgG4="),
        ];
        for (body, signature) in vectors {
            let check = |body: &[u8], signature: &str| {
                let mut headers = http::HeaderMap::new();
                headers.insert("x-line-signature", signature.parse().expect("ASCII"));
                let hook = Webhook { method: &http::Method::POST, url: "", query: "", headers: &headers, body };
                channel.verify(hook, &cx(None)).is_ok()
            };
            assert!(check(body.as_bytes(), signature));
            assert!(!check(&body.as_bytes()[1..], signature) && !check(body.as_bytes(), "AAAA"));
        }
    }

    #[test]
    fn it_logs_in_fetches_and_registers() {
        let mut twin = super::Twin::new(3);
        let channel = bound(&twin, json!({ "api_base": "http://twin.test" }));
        let answer = twin.answer(&request(&channel.login(&cx(None)).expect("it logs in")), Time(0)).reply;
        let (token, good_for) = channel.logged_in(&answer).expect("a token");
        assert_eq!(good_for, 900_000);
        let cx = cx(Some(&token));
        let draft = twin.act("line:U0000000000000000000000000000000a", &Act::Image(String::new()), Time(1)).remove(0);
        let body: serde_json::Value = serde_json::from_slice(&draft.body).expect("JSON");
        let id = body.pointer("/events/0/message/id").and_then(|id| id.as_str()).expect("an id").to_owned();
        let call = channel.fetch(&MediaRef { id, ..MediaRef::default() }, &cx).expect("a call");
        let reply = twin.answer(&request(&call), Time(0)).reply;
        assert!(matches!(channel.fetched(&call, &reply, &cx), Fetched::Bytes) && reply.body.starts_with(b"\x89PNG"));
        assert!(matches!(channel.fetched(&call, &Reply::json(202, &json!({})), &cx), Fetched::Later));
        assert!(matches!(channel.fetched(&call, &Reply::json(410, &json!({})), &cx), Fetched::Gone(_)));
        let Setup::Calls(calls) = channel.setup(&cx) else { panic!("it can be registered") };
        let typing = channel.signal(Signalled::Typing { to: "line:U0000000000000000000000000000000a", last: None }, &cx);
        for call in calls.into_iter().chain(channel.probe(&cx)).chain(typing) {
            assert!(twin.counts(&request(&call)).is_none());
            assert!(twin.answer(&request(&call), Time(0)).reply.status.is_success(), "{call:?}");
        }
        assert!(channel.signal(Signalled::Typing { to: "line:C000000000000000000000000000000b1", last: None }, &cx).is_none());
    }

    #[test]
    fn an_assertion_takes_the_secrets_place() {
        let twin = super::Twin::new(3);
        let error = <Channel as Adapter>::bind({
            let mut settings = twin.settings();
            settings.insert("assertion_kid".into(), "kid-1".into());
            crate::contract::Settings(settings)
        });
        assert_eq!(error.err().map(|e| e.key).as_deref(), Some("assertion_kid"));
        let pem = crate::kit::sample::private_key();
        let channel = bound(&twin, json!({ "assertion_kid": "kid-1", "assertion_private_key": pem }));
        let call = channel.login(&cx(None)).expect("it logs in");
        let form = String::from_utf8_lossy(call.body_bytes()).into_owned();
        assert!(form.contains("client_assertion=eyJ") && !form.contains("client_secret"), "{form}");
        assert!(!format!("{call:?}").contains("eyJ"));
    }
}

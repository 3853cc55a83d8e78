//! Apple Messages for Business, as a messaging service provider speaks it.
//!
//! A customer's address is the opaque id (`apple:urn:mbid:...`). They write first; invitations, which Apple approves, are
//! templates to `tel:+1...`.
//!
//! The fields that Apple's samples of 2025, courier and the documentation of Sunshine Conversations name were checked
//! on 2026-11-29; no recorded delivery was found.

mod errors;
mod facts;
mod files;
mod inbound;
mod interactive;
mod outbound;
mod twin;

use aws_lc_rs::hmac;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Fetched, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secrets, SettingsError,
    Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::{address, crypto, entry, jwt};

/// The settings of an Apple Messages channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The messaging service provider's id, a UUID.
    pub msp_id: String,
    /// Its secret in base64, as Apple gives it. Old and new while rotating.
    pub api_secret: Secrets,
    /// The business's id, as deliveries name it.
    pub business_id: String,
    /// Where the gateway is, for a stand-in or staging; with its `/v1`.
    pub api_base: Option<String>,
}

/// A business.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    base: String,
}

/// How old a delivery's token may be: Apple's has no end.
const TOLERANCE_MS: i64 = 3_600_000;

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let keys: Option<Vec<crypto::Key>> = settings.api_secret.iter().map(key).collect();
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
            return Err(SettingsError::new("api_secret", "not base64", "copy it as Apple shows it, with its `=`"));
        };
        let base = settings.api_base.as_deref().unwrap_or("https://mspgw.push.apple.com/v1").trim_end_matches('/').to_owned();
        Ok(Self { settings, keys, base })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.business_id)
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.settings.msp_id)
    }

    /// The token says who sends and when; it does not cover the body.
    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        let wrong = || VerifyError::Mismatch { status: http::StatusCode::FORBIDDEN };
        let text = jwt::Token::bearer(&hook).ok_or(VerifyError::Missing { status: http::StatusCode::BAD_REQUEST })?;
        let token = jwt::Token::parse(text).ok_or_else(wrong)?;
        let ours = token.claims.get("aud").is_some_and(|aud| match aud {
            serde_json::Value::Array(list) => list.iter().any(|one| one == self.settings.msp_id.as_str()),
            one => one == self.settings.msp_id.as_str(),
        });
        if !token.hs256(&self.keys) || !ours {
            return Err(wrong());
        }
        let issued = token.time("iat").ok_or_else(wrong)?;
        if issued.since(cx.now).abs() > TOLERANCE_MS { Err(VerifyError::Stale) } else { Ok(hook.verified()) }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(hook, cx)
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        files::fetch(self, media, cx)
    }

    fn fetched(&self, call: &Call, reply: &Reply, cx: &Context<'_>) -> Fetched {
        files::fetched(self, call, reply, cx)
    }

    /// AWS's guide of Amazon Connect, "Add Apple Messages for Business features", start a chat from a URL, read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let base = format!("https://bcrw.apple.com/urn:biz:{}", entry::escape(&self.settings.business_id));
        Some(Ok(entry::by_parameter(&base, "biz-intent-id", Some("body"), entry)))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        // Apple adds `/message` to what was registered.
        let url = cx.hook_url.strip_suffix("/message").unwrap_or(cx.hook_url);
        Setup::ByHand(format!(
            "In Apple Business Register, on the messaging service provider's page: register {url} as the endpoint (Apple adds /message to it), \
             run its tests, and let the business choose this provider."
        ))
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        let Signalled::Typing { to, .. } = signal else { return None };
        let customer = address::id(to.split('#').next()?, "apple")?;
        let id = crypto::uuid(&["typing", to, &cx.now.0.to_string()]);
        Some(self.message(json!({ "type": "typing_start" }), &id, &customer, cx))
    }
}

fn key(secret: &str) -> Option<crypto::Key> {
    let bytes = crypto::unbase64(secret.trim()).filter(|bytes| !bytes.is_empty())?;
    Some(crypto::Key::new(hmac::HMAC_SHA256, &bytes))
}

impl Channel {
    /// With a token of this moment.
    fn authorised(&self, call: Call, cx: &Context<'_>) -> Call {
        let claims = json!({ "iss": self.settings.msp_id, "iat": cx.now.0.div_euclid(1000) });
        let token = self.keys.first().map(|key| jwt::hs256(key, &claims)).unwrap_or_default();
        call.bearer(&token)
    }

    /// A message in the making: who, to whom, under which id.
    fn message(&self, mut content: serde_json::Value, id: &str, customer: &str, cx: &Context<'_>) -> Call {
        content["v"] = 1.into();
        content["id"] = id.into();
        content["sourceId"] = self.settings.business_id.as_str().into();
        content["destinationId"] = customer.into();
        let call = Call::json(format!("{}/message", self.base), &content);
        let call = call.header("id", id).header("source-id", &*self.settings.business_id).header("destination-id", customer);
        self.authorised(call, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Time;
    use crate::contract::twin::{Act, Request, Twin as _};

    fn cx(now: i64) -> Context<'static> {
        let (public_url, hook_url) = ("https://gw.example.org", "https://gw.example.org/hooks/a/message");
        Context { now: Time(now), public_url, hook_url, login: None, keys: None }
    }

    fn bound(more: serde_json::Value) -> Channel {
        let mut settings = super::Twin::new(3).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    #[test]
    fn the_published_vectors_hold() {
        let secrets =
            json!({ "msp_id": "11111111-aaaa-bbbb-cccc-222222222222", "api_secret": "ZmFrZS1hcHBsZS1tc3Ata2V5LTMyLWJ5dGVzLWxvbmc=" });
        let channel = bound(secrets);
        let head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
        let claims = "eyJhdWQiOiIxMTExMTExMS1hYWFhLWJiYmItY2NjYy0yMjIyMjIyMjIyMjIiLCJpYXQiOjE3NjM2MDAwMDB9";
        let signed = format!("{head}.{claims}");
        assert_eq!(crypto::hex(&crypto::sha256(signed.as_bytes())), "4b3e47beecf7622fe8c9ca847263b769ef869e5827263145cb588319206fcd87");
        let check = |token: &str, now: i64| {
            let mut headers = http::HeaderMap::new();
            headers.insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
            channel.verify(Webhook { method: &http::Method::POST, url: "", query: "", headers: &headers, body: b"{}" }, &cx(now)).map(drop)
        };
        let token = format!("{signed}.-sanFgwqXCHkOkMYqW6I-1T1Jz2G8ApEsBYknnUoW40");
        assert!(check(&token, 1_763_600_000_000).is_ok());
        assert!(matches!(check(&token, 1_763_600_000_000 + 2 * TOLERANCE_MS), Err(VerifyError::Stale)));
        assert!(matches!(check(&token.replace("-san", "-sbn"), 1_763_600_000_000), Err(VerifyError::Mismatch { .. })));
        // Ours to Apple.
        let call = channel.authorised(Call::get("https://x.test"), &cx(1_763_600_000_500));
        let sent = call.header_map().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        assert!(sent.ends_with(".DM-fHishkbLj7Z1SF-OQh1jGK_XGIS4SL6OwtzXkjvs"), "{sent}");
        assert!(!format!("{call:?}").contains("eyJ"));
    }

    #[test]
    fn a_picture_is_fetched_and_opened() {
        let mut twin = super::Twin::new(3);
        let channel = bound(json!({ "api_base": "http://twin.test/v1" }));
        let cx = cx(1_795_169_730_000);
        let draft = twin.act("apple:urn:mbid:FAKE-ANN", &Act::Image("look".into()), cx.now).remove(0);
        let headers = http::HeaderMap::new();
        let hook = Webhook { method: &draft.method, url: "", query: "", headers: &headers, body: &draft.body };
        let mut parsed = channel.parse(&Verified::from_our_own_log(hook), &cx);
        let mut source = None;
        parsed.events[0].body.each_media(|media| source = media.source.clone());
        let mut call = channel.fetch(&source.expect("a source"), &cx).expect("a call");
        let bytes = loop {
            let url = call.full_url();
            let path = url.trim_start_matches("http://twin.test").to_owned();
            let body = call.body_bytes().to_vec().into();
            let request = Request { method: call.method.clone(), path, query: String::new(), headers: call.header_map(), body };
            let reply = twin.answer(&request, cx.now).reply;
            match channel.fetched(&call, &reply, &cx) {
                Fetched::Call(next) => call = next,
                Fetched::Opened(bytes, mime) => break (bytes, mime),
                other => panic!("{other:?} after {reply:?}"),
            }
        };
        assert!(bytes.0.starts_with(b"\x89PNG") && bytes.1.as_deref() == Some("image/png"));
    }

    #[test]
    fn typing_is_shown_and_set_up_explained() {
        let mut twin = super::Twin::new(3);
        let channel = bound(json!({ "api_base": "http://twin.test/v1" }));
        let cx = cx(1_795_169_730_000);
        let call = channel.signal(Signalled::Typing { to: "apple:urn:mbid:FAKE-ANN", last: None }, &cx).expect("a call");
        let body = call.body_bytes().to_vec().into();
        let request =
            Request { method: call.method.clone(), path: "/v1/message".into(), query: String::new(), headers: call.header_map(), body };
        assert!(twin.counts(&request).is_none());
        assert_eq!(twin.answer(&request, cx.now).reply.status, 200);
        assert!(matches!(channel.setup(&cx), Setup::ByHand(words) if words.contains("https://gw.example.org/hooks/a as")));
    }
}

//! Vonage: SMS, MMS, WhatsApp, RCS, Messenger and Viber through the Messages API, or SMS through the older SMS API.
//!
//! The scheme of an address says which channel is meant; numbers are written without plus in both directions. Both
//! products' webhooks are read whatever `product` says, because an account's setting decides which of them come.
//!
//! Checked against `@vonage/jwt` and `@vonage/messages` (`tests/sdks/vonage.mjs`): signatures, and the client on the twin.
//! Deliveries out of the tests of Vonage's Java SDK, and the specification of the first Messages API, were read by it on
//! 2026-11-29, those out of the tests of its .NET SDK on 2026-11-30.

mod checks;
mod errors;
mod facts;
mod inbound;
mod outbound;
mod proof;
mod rich;
mod sms;
mod twin;

use std::sync::Mutex;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secret, Secrets,
    SentMessage, SettingsError, Setup, Signalled, Step, Time, Verified, VerifyError, Webhook,
};
use crate::kit::{crypto, entry, jwt};

/// The settings of a Vonage channel: one sender.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The account's API key.
    pub api_key: String,
    /// The account's API secret. Not needed where an application's key is given.
    #[serde(default)]
    pub api_secret: Secrets,
    /// The application whose webhooks come here: a UUID. With it and its key, receipts and typing work.
    pub application_id: Option<String>,
    /// The application's private key in PEM.
    pub private_key: Option<Secret>,
    /// The account's signature secret; proves every delivery.
    pub signature_secret: Secrets,
    /// How the SMS API signs, as chosen in the dashboard.
    #[serde(default)]
    pub signature_method: SignatureMethod,
    /// The sender: digits of a number, a name, a page's id, an RCS agent.
    pub from: String,
    /// The region of the API: `us`, `eu` or `ap`. Signals and media go there.
    pub region: Option<Region>,
    /// The product that sends.
    #[serde(default)]
    pub product: Product,
    /// Whether look-alikes (quotes, dashes) are replaced where that saves an SMS from UCS-2.
    #[serde(default)]
    pub smart_encoding: bool,
    /// The most segments an SMS may have.
    pub max_parts: Option<u32>,
    /// Where Vonage's APIs are, for tests; stands for all their hosts.
    pub api_base: Option<String>,
}

/// How the SMS API signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureMethod {
    /// MD5 of the parameters and the secret: what accounts have that never chose.
    #[default]
    Md5Hash,
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

/// Which product sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// The Messages API.
    #[default]
    Messages,
    /// The SMS API.
    Sms,
}

/// Where the API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// United States.
    Us,
    /// Europe.
    Eu,
    /// Asia and Pacific.
    Ap,
}

/// A sender.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    signer: Option<jwt::Signer>,
    /// The last token made and when: signing costs more than sending.
    token: Mutex<Option<(i64, String)>>,
}

/// What the answer to a recall is told by.
const RECALL: &str = "recall";

/// How long a token of ours is used, and how much longer it is valid.
const TOKEN_SECS: i64 = 600;
const TOKEN_REST_SECS: i64 = 300;

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let wrong = |key: &str, problem: &str, remedy: &str| Err(SettingsError::new(key, problem, remedy));
        if settings.signature_secret.is_empty() {
            return wrong("signature_secret", "empty", "every delivery is proved with it; see the account's API settings");
        }
        let has_key = settings.private_key.is_some();
        if has_key != settings.application_id.as_deref().is_some_and(|id| !id.is_empty()) {
            return wrong("application_id", "an application's key needs its id", "set `application_id` and `private_key`, or neither");
        }
        if settings.api_secret.is_empty() && (!has_key || settings.product == Product::Sms) {
            return wrong("api_secret", "missing", "set it, or `application_id` and `private_key` with the Messages API");
        }
        let signer = match &settings.private_key {
            Some(pem) => match jwt::Signer::from_pem(pem.reveal()) {
                Some(signer) => Some(signer),
                None => return wrong("private_key", "not an RSA key in PEM", "paste the whole file that the application gave you"),
            },
            None => None,
        };
        let keys = crypto::sha256_keys(&settings.signature_secret);
        Ok(Self { settings, keys, signer, token: Mutex::new(None) })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.from)
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.settings.api_key)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        proof::verify(self, &hook, cx.now)?;
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

    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        let url = media.url.as_deref()?;
        let parsed = url::Url::parse(url).ok()?;
        // An account may want the application's token here; nobody else ever gets it.
        let host = parsed.host_str().unwrap_or_default();
        let own = parsed.scheme() == "https" && [".nexmo.com", ".vonage.com"].iter().any(|end| host.ends_with(end));
        let url = match &self.settings.api_base {
            Some(base) if own => format!("{}{}", base.trim_end_matches('/'), parsed.path()),
            _ => url.to_owned(),
        };
        let call = Call::get(url).redirects(3);
        Some(match self.bearer(cx.now).filter(|_| own) {
            Some(token) => call.bearer(&token),
            None => call,
        })
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        let secret = Some(self.settings.api_secret.first()).filter(|secret| !secret.is_empty())?;
        Some(Call::get(format!("{}/account/get-balance", self.base("rest.nexmo.com"))).basic(&self.settings.api_key, secret))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let url = cx.hook_url;
        Setup::ByHand(format!(
            "In Vonage's dashboard, open the application, turn its Messages capability on and enter {url} both as the inbound URL and as the \
             status URL (POST), then link the number to it. Under API settings choose the Messages API as the default for SMS, or enter \
             {url} there for the SMS API's messages and receipts and ask support to sign its webhooks."
        ))
    }

    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let lacks = || EntryLink::lacks("`from` is no phone number, so no link leads to it");
        Some(entry::sms(&self.settings.from, entry).ok_or_else(lacks))
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        match revision {
            // Of all its channels RCS alone lets a message be taken back.
            Revision::Recall if sent.to.starts_with("rcs:") => Some(self.revoked(sent.provider_id, cx.now)),
            _ => None,
        }
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        match signal {
            Signalled::Typing { to, last } if to.starts_with("whatsapp:") => self.seen(last?, true, cx.now),
            Signalled::Read { to, message_id } if to.starts_with("whatsapp:") || to.starts_with("rcs:") => {
                self.seen(message_id, false, cx.now)
            }
            _ => None,
        }
    }
}

impl Channel {
    /// One of Vonage's hosts, or what stands for them.
    fn base(&self, host: &str) -> String {
        self.settings.api_base.as_deref().map_or_else(|| format!("https://{host}"), |base| base.trim_end_matches('/').to_owned())
    }

    fn messages_url(&self) -> String {
        let host = match self.settings.region {
            Some(Region::Us) => "api-us.nexmo.com",
            Some(Region::Eu) => "api-eu.nexmo.com",
            Some(Region::Ap) => "api-ap.nexmo.com",
            None => "api.nexmo.com",
        };
        format!("{}/v1/messages", self.base(host))
    }

    /// The application's token, the same for ten minutes; `None` without an application.
    fn bearer(&self, now: Time) -> Option<String> {
        let signer = self.signer.as_ref()?;
        let from = now.0.div_euclid(TOKEN_SECS * 1000) * TOKEN_SECS;
        let mut kept = self.token.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((at, token)) = &*kept
            && *at == from
        {
            return Some(token.clone());
        }
        let application = self.settings.application_id.as_deref().unwrap_or_default();
        let id = crypto::fingerprint(&[application, &from.to_string()]);
        let claims = json!({ "application_id": application, "iat": from, "exp": from + TOKEN_SECS + TOKEN_REST_SECS, "jti": id });
        let token = signer.token(&claims, None)?;
        *kept = Some((from, token.clone()));
        Some(token)
    }

    fn authorised(&self, call: Call, now: Time) -> Call {
        match self.bearer(now) {
            Some(token) => call.bearer(&token),
            None => call.basic(&self.settings.api_key, self.settings.api_secret.first()),
        }
    }

    /// Takes an RCS message back that no phone has yet: developer.vonage.com/en/messages/guides/rcs/rcs-message-revocation, read
    /// 2026-11-29: within 24 hours, by the region's own host and by an application.
    fn revoked(&self, id: &str, now: Time) -> Result<Call, RenderError> {
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(RenderError::no_message("the id of a Vonage message, a UUID"));
        }
        let Some(token) = self.bearer(now) else {
            let problem = "only an application may take messages back: set `application_id` and `private_key`";
            return Err(RenderError::new("#", "application_missing", problem));
        };
        let call = Call::json(format!("{}/{id}", self.messages_url()), &json!({ "status": "revoked" })).bearer(&token).then(RECALL);
        Ok(Call { method: http::Method::PATCH, ..call })
    }

    /// Marks a message as read, and shows typing with it; only an application may.
    fn seen(&self, id: &str, typing: bool, now: Time) -> Option<Call> {
        let token = self.bearer(now)?;
        let host = match self.settings.region {
            Some(Region::Us) => "api-us.vonage.com",
            Some(Region::Ap) => "api-ap.vonage.com",
            _ => "api-eu.vonage.com",
        };
        let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let mut body = json!({ "status": "read" });
        if typing {
            body["replying_indicator"] = json!({ "show": true, "type": "text" });
        }
        let call = Call::json(format!("{}/v1/messages/{id}", self.base(host)), &body).bearer(&token);
        Some(Call { method: http::Method::PATCH, ..call })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/v", login: None, keys: None };

    fn channel(more: serde_json::Value) -> Result<Channel, SettingsError> {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings))
    }

    #[test]
    fn a_token_is_made_once_in_ten_minutes() {
        let channel = channel(json!({})).expect("settings");
        let at = |secs| channel.bearer(Time::from_secs(secs)).expect("a token");
        assert_eq!(at(1_793_610_000), at(1_793_610_599));
        assert_ne!(at(1_793_610_000), at(1_793_610_600));
        let text = at(1_793_610_930);
        let token = jwt::Token::parse(&text).expect("a token");
        assert!(token.is_current(Time::from_secs(1_793_611_199), 0));
        assert!(token.claim("application_id").is_some() && token.claim("jti").is_some());
    }

    #[test]
    fn the_token_goes_to_vonage_alone() {
        let channel = channel(json!({})).expect("settings");
        let bears = |url: &str| {
            channel.fetch(&MediaRef { url: Some(url.into()), ..MediaRef::default() }, &CX).map(|call| !call.secret_headers.is_empty())
        };
        assert_eq!(bears("https://api-eu.nexmo.com/v3/media/1"), Some(true));
        assert_eq!((bears("https://evilnexmo.com/1"), bears("http://api-eu.nexmo.com/1")), (Some(false), Some(false)));
    }

    #[test]
    fn signals_need_an_application() {
        let typing =
            |channel: &Channel| channel.signal(Signalled::Typing { to: "whatsapp:+34600000111", last: Some("1-2") }, &CX).map(|c| c.url);
        assert_eq!(typing(&channel(json!({})).expect("settings")).as_deref(), Some("https://api-eu.vonage.com/v1/messages/1-2"));
        let mut settings = super::Twin::new(1).settings();
        settings.remove("private_key");
        settings.remove("application_id");
        let basic = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        assert_eq!(typing(&basic), None);
        assert_eq!(channel(json!({ "private_key": "nonsense" })).err().map(|e| e.key).as_deref(), Some("private_key"));
        assert_eq!(channel(json!({ "application_id": "" })).err().map(|e| e.key).as_deref(), Some("application_id"));
    }
}

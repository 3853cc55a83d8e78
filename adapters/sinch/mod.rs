//! Sinch: a dozen channels through the Conversation API, or SMS and MMS through the older SMS API.
//!
//! With a `service_plan_id` a channel is an SMS plan, else it is an app of the Conversation API. The scheme of an
//! address says which channel of the app is meant. Numbers come without plus.
//!
//! Checked against `sinch` for Python (`tests/sdks/python/check_sinch.py`): the twin's signatures, its types on the twin's callbacks and on
//! what we send, its login, its client and its errors on the twin.
//!
//! The callbacks in the tests of Sinch's Java SDK were read by it on 2026-11-29, those of Sinch's documentation and of its .NET SDK on
//! 2026-11-30.

mod checks;
mod errors;
mod facts;
mod identity;
mod inbound;
mod outbound;
mod proof;
mod rich;
mod sms;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError,
    Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::object::Object;
use crate::kit::{crypto, entry};

/// The settings of a Sinch channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The project: a UUID.
    pub project_id: Option<String>,
    /// The id of an access key of the project.
    pub key_id: Option<String>,
    /// The access key's secret.
    pub key_secret: Option<Secret>,
    /// The app of the Conversation API.
    pub app_id: Option<String>,
    /// Where the app or the plan lives; elsewhere it does not exist.
    #[serde(default)]
    pub region: Region,
    /// The secret of the app's webhook; proves every delivery.
    #[serde(default)]
    pub webhook_secret: Secrets,
    /// The SMS plan; makes this a channel of the SMS API.
    pub service_plan_id: Option<String>,
    /// The plan's API token.
    pub api_token: Option<Secret>,
    /// The secret with which the plan's callbacks are signed, where Sinch has turned that on.
    #[serde(default)]
    pub callback_secret: Secrets,
    /// The user name the plan's callbacks carry, where they are not signed.
    pub callback_user: Option<String>,
    /// The password that goes with it.
    pub callback_password: Option<Secret>,
    /// The number or name SMS and MMS go out from.
    pub sender: Option<String>,
    /// Whether look-alikes (quotes, dashes) are replaced where that saves an SMS from UCS-2.
    #[serde(default)]
    pub smart_encoding: bool,
    /// The most segments an SMS may have.
    pub max_parts: Option<u32>,
    /// Where Sinch's APIs are, for tests; stands for all their hosts.
    pub api_base: Option<String>,
}

/// Where an app or a plan lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// United States.
    Us,
    /// Europe.
    #[default]
    Eu,
    /// Brazil.
    Br,
    /// Canada: SMS alone.
    Ca,
    /// Australia: SMS alone.
    Au,
}

impl Region {
    fn word(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::Br => "br",
            Self::Ca => "ca",
            Self::Au => "au",
        }
    }
}

/// An app or a plan.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let wrong = |key: &str, problem: &str, remedy: &str| Err(SettingsError::new(key, problem, remedy));
        let given = |value: &Option<String>| value.as_deref().is_some_and(|v| !v.is_empty());
        let key = given(&settings.key_id) && settings.key_secret.is_some() && given(&settings.project_id);
        let signed = !settings.webhook_secret.is_empty() || !settings.callback_secret.is_empty();
        let basic = given(&settings.callback_user) && settings.callback_password.is_some();
        if given(&settings.service_plan_id) {
            if settings.api_token.is_none() && !key {
                return wrong("api_token", "missing", "copy the plan's API token from the dashboard");
            }
            if settings.sender.as_deref().is_none_or(str::is_empty) {
                return wrong("sender", "missing", "name the number or name the plan sends from");
            }
        } else {
            if !given(&settings.app_id) {
                return wrong("app_id", "missing", "name the app of the Conversation API, or a `service_plan_id`");
            }
            if !key {
                return wrong("key_id", "missing", "set `project_id`, `key_id` and `key_secret` of an access key");
            }
            if matches!(settings.region, Region::Ca | Region::Au) {
                return wrong("region", "not a region of the Conversation API", "use `us`, `eu` or `br`");
            }
        }
        if !signed && !basic {
            return wrong(
                "webhook_secret",
                "missing",
                "deliveries are proved with it; a plan may have `callback_user` and `callback_password`",
            );
        }
        let mut keys = crypto::sha256_keys(&settings.webhook_secret);
        keys.extend(crypto::sha256_keys(&settings.callback_secret));
        Ok(Self { settings, keys })
    }

    fn account(&self) -> Option<&str> {
        if self.is_sms() { self.settings.sender.as_deref() } else { self.settings.app_id.as_deref() }
    }

    fn limit_group(&self) -> Option<&str> {
        if self.is_sms() { self.settings.service_plan_id.as_deref() } else { self.settings.app_id.as_deref() }
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
        errors::classify(self, call, reply)
    }

    fn login(&self, _cx: &Context<'_>) -> Option<Call> {
        if self.is_sms() && self.settings.api_token.is_some() {
            return None;
        }
        let secret = self.settings.key_secret.as_ref()?;
        let call = Call::form(format!("{}/oauth2/token", self.base("auth.sinch.com")), &[("grant_type", "client_credentials")]);
        Some(call.basic(self.settings.key_id.as_deref()?, secret.reveal()))
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        let body = Object::parse(std::str::from_utf8(&reply.body).ok()?)?;
        let seconds = body.int("expires_in").and_then(|n| u64::try_from(n).ok()).unwrap_or(3599);
        reply.status.is_success().then_some(())?;
        Some((Secret::new(body.words("access_token")?.into_owned()), seconds.saturating_mul(1000)))
    }

    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        // Plain links; nobody gets our credentials with them.
        media.url.as_deref().map(|url| Call::get(url).redirects(3))
    }

    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        let call = if self.is_sms() {
            Call::get(format!("{}/batches?page_size=1", self.plan()))
        } else {
            Call::get(format!("{}/apps/{}", self.project(), self.settings.app_id.as_deref()?))
        };
        Some(self.authorised(call, cx))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        if self.is_sms() {
            let proof = "ask Sinch to sign the callbacks, or put user and password into the address";
            return Setup::ByHand(format!("In Sinch's dashboard, enter {} as the plan's callback URL, and {proof}.", cx.hook_url));
        }
        let triggers = [
            "MESSAGE_INBOUND",
            "MESSAGE_DELIVERY",
            "MESSAGE_SUBMIT",
            "EVENT_INBOUND",
            "EVENT_DELIVERY",
            "OPT_IN",
            "OPT_OUT",
            "UNSUPPORTED",
            "CHANNEL_EVENT",
        ];
        // The secret would have to stand in the body of a call that can be printed.
        Setup::ByHand(format!(
            "In Sinch's dashboard, add a webhook to the app {}: target {}, type HTTP, the channel's `webhook_secret` as its secret, triggers {}.",
            self.settings.app_id.as_deref().unwrap_or_default(),
            cx.hook_url,
            triggers.join(", ")
        ))
    }

    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let sender = self.settings.sender.as_deref().unwrap_or_default();
        let lacks = || EntryLink::lacks("set `sender` to the number that the link is to lead to: a name cannot be written to");
        Some(entry::sms(sender, entry).ok_or_else(lacks))
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        let Signalled::Typing { to, .. } = signal else { return None };
        let person = identity::parse(to.split('#').next()?).filter(|person| !self.is_sms() && person.channel != "SMS")?;
        Some(self.event(&json!({ "composing_event": {} }), &person, cx))
    }
}

impl Channel {
    fn is_sms(&self) -> bool {
        self.settings.service_plan_id.as_deref().is_some_and(|id| !id.is_empty())
    }

    /// One of Sinch's hosts, or what stands for them.
    fn base(&self, host: &str) -> String {
        self.settings.api_base.as_deref().map_or_else(|| format!("https://{host}"), |base| base.trim_end_matches('/').to_owned())
    }

    /// The project's resources in the Conversation API.
    fn project(&self) -> String {
        let base = self.base(&format!("{}.conversation.api.sinch.com", self.settings.region.word()));
        format!("{base}/v1/projects/{}", self.settings.project_id.as_deref().unwrap_or_default())
    }

    /// The plan's resources in the SMS API; by the project where there is no token of the plan's own.
    fn plan(&self) -> String {
        let by_project = self.settings.api_token.is_none();
        // A project's token is taken at a host of its own, as `sinch` 2.3.0 (Python) and `@sinch/sms` 1.4.0 do it.
        let zone = if by_project { "zt." } else { "" };
        let base = self.base(&format!("{zone}{}.sms.api.sinch.com", self.settings.region.word()));
        let id = if by_project { &self.settings.project_id } else { &self.settings.service_plan_id };
        format!("{base}/xms/v1/{}", id.as_deref().unwrap_or_default())
    }

    fn authorised(&self, call: Call, cx: &Context<'_>) -> Call {
        match (&self.settings.api_token, cx.login) {
            (Some(token), _) if self.is_sms() => call.bearer(token.reveal()),
            (_, Some(token)) => call.bearer(token.reveal()),
            // Before the first login: slow, but it works.
            _ => call
                .basic(self.settings.key_id.as_deref().unwrap_or_default(), self.settings.key_secret.as_ref().map_or("", Secret::reveal)),
        }
    }

    fn event(&self, event: &serde_json::Value, person: &identity::Identity, cx: &Context<'_>) -> Call {
        let body = json!({ "app_id": self.settings.app_id, "recipient": person.recipient(), "event": event });
        self.authorised(Call::json(format!("{}/events:send", self.project()), &body), cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Time, twin::Twin as _};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/s", login: None, keys: None };

    fn channel(more: serde_json::Value) -> Result<Channel, SettingsError> {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings))
    }

    #[test]
    fn what_is_missing_is_named() {
        let wrong = |more| channel(more).err().map(|e| e.key);
        assert_eq!(wrong(json!({ "app_id": null })).as_deref(), Some("app_id"));
        assert_eq!(wrong(json!({ "key_id": null })).as_deref(), Some("key_id"));
        assert_eq!(wrong(json!({ "region": "au" })).as_deref(), Some("region"));
        assert_eq!(wrong(json!({ "webhook_secret": [] })).as_deref(), Some("webhook_secret"));
        assert_eq!(wrong(json!({ "service_plan_id": "p", "sender": "" })).as_deref(), Some("sender"));
    }

    #[test]
    fn an_app_logs_in_and_a_plan_has_its_token() {
        let app = channel(json!({})).expect("settings");
        let call = app.login(&CX).expect("a call");
        assert_eq!(call.url, "https://auth.sinch.com/oauth2/token");
        let good = Reply::json(200, &json!({ "access_token": "fake", "expires_in": 3599, "token_type": "bearer" }));
        assert_eq!(app.logged_in(&good).map(|(token, ms)| (token.reveal().to_owned(), ms)), Some(("fake".into(), 3_599_000)));
        assert_eq!(app.logged_in(&Reply::json(401, &json!({ "access_token": "fake" }))), None);
        let plan = channel(json!({ "service_plan_id": "p", "api_token": "t" })).expect("settings");
        assert!(plan.login(&CX).is_none());
        assert_eq!(plan.probe(&CX).map(|call| call.url).as_deref(), Some("https://eu.sms.api.sinch.com/xms/v1/p/batches?page_size=1"));
        let by_project = channel(json!({ "service_plan_id": "p" })).expect("settings");
        let url = "https://zt.eu.sms.api.sinch.com/xms/v1/twin-project/batches?page_size=1";
        assert_eq!(by_project.probe(&CX).map(|call| call.url).as_deref(), Some(url));
    }

    #[test]
    fn typing_shows_where_there_is_a_screen_for_it() {
        let app = channel(json!({})).expect("settings");
        let typing = |to| app.signal(Signalled::Typing { to, last: None }, &CX).map(|call| call.url);
        assert!(typing("rcs:+14155550123").is_some_and(|url| url.ends_with("/events:send")));
        assert_eq!(typing("tel:+14155550123"), None);
    }
}

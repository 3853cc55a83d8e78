//! Microsoft Teams: a bot in chats, groups and channels, by activities of the Bot Framework's connector.
//!
//! A conversation is `teams:ID`, a channel's thread stands behind `#`, a person is `teams:user/ID`. Which of the
//! connector's addresses serves a conversation, only its own activities tell: that is the handle. A message's id is unique
//! in its conversation, so ours is `CONVERSATION|ID`.
//!
//! Checked against `microsoft-teams-apps` and `microsoft-teams-api` (`tests/sdks/python/check_teams.py`): the twin's proofs, their types on
//! its activities and on the activities and cards we send, their login and their client on the twin.
//!
//! Activities of Microsoft's documentation, and those recorded in the tests of Rasa and the Chat SDK, were read on
//! 2026-11-29.

mod cards;
mod checks;
mod content;
mod errors;
mod facts;
mod inbound;
mod invoke;
mod outbound;
mod place;
mod proof;
mod revise;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secret, Secrets, SentMessage,
    SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::google;

/// The settings of a Teams channel: one bot.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The bot's Microsoft App ID.
    pub app_id: String,
    /// The app's client secret.
    pub app_secret: Secrets,
    /// The tenant of a single-tenant bot: a UUID.
    pub tenant_id: Option<String>,
    /// Which of Microsoft's clouds it lives in.
    #[serde(default)]
    pub cloud: Cloud,
    /// Tenants whose activities are taken; all when empty. A published bot is reachable from every tenant.
    #[serde(default)]
    pub allowed_tenants: Vec<String>,
    /// Where the connector is, for tests; stands for the token service and the keys too.
    pub api_base: Option<String>,
}

/// Microsoft's clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// The public cloud, with GCC.
    #[default]
    Public,
    /// GCC High.
    UsGov,
    /// DoD.
    UsGovDod,
    /// China.
    China,
}

impl Cloud {
    /// Login host, the tenant of multi-tenant bots, scope, key host, issuer, and the connector for a first contact.
    fn places(self) -> [&'static str; 6] {
        match self {
            Self::Public => [
                "https://login.microsoftonline.com",
                "botframework.com",
                "https://api.botframework.com/.default",
                "https://login.botframework.com",
                "https://api.botframework.com",
                "https://smba.trafficmanager.net/teams",
            ],
            Self::UsGov | Self::UsGovDod => [
                "https://login.microsoftonline.us",
                "MicrosoftServices.onmicrosoft.us",
                "https://api.botframework.us/.default",
                "https://login.botframework.azure.us",
                "https://api.botframework.us",
                if matches!(self, Self::UsGov) {
                    "https://smba.infra.gov.teams.microsoft.us/teams"
                } else {
                    "https://smba.infra.dod.teams.microsoft.us/teams"
                },
            ],
            Self::China => [
                "https://login.partner.microsoftonline.cn",
                "microsoftservices.partner.onmschina.cn",
                "https://api.botframework.azure.cn/.default",
                "https://login.botframework.azure.cn",
                "https://api.botframework.azure.cn",
                "https://smba.trafficmanager.net/teams",
            ],
        }
    }
}

/// A bot.
pub struct Channel {
    settings: Settings,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let plain = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain(&settings.app_id) {
            return Err(SettingsError::new("app_id", "not an app's id", "copy the Microsoft App ID, a UUID, from the Azure Bot resource"));
        }
        if settings.app_secret.is_empty() {
            return Err(SettingsError::new("app_secret", "empty", "make a client secret for the app and put it there"));
        }
        if settings.tenant_id.as_deref().is_some_and(|id| !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))) {
            return Err(SettingsError::new("tenant_id", "not a tenant", "a UUID or a domain"));
        }
        Ok(Self { settings })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.app_id)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        proof::verify(self, &hook, cx)?;
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

    fn login(&self, _cx: &Context<'_>) -> Option<Call> {
        let [host, everybody, scope, ..] = self.settings.cloud.places();
        let host = self.settings.api_base.as_deref().unwrap_or(host).trim_end_matches('/');
        let tenant = self.settings.tenant_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(everybody);
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.settings.app_id),
            ("client_secret", self.settings.app_secret.first()),
            ("scope", scope),
        ];
        Some(Call::form(format!("{host}/{tenant}/oauth2/v2.0/token"), &fields))
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        google::logged_in(reply) // RFC 6749, the same everywhere.
    }

    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        let url = media.url.as_deref()?;
        // A pasted picture lies with the connector and wants the token; a file's link bears its own.
        match place::service(url) {
            Some(_) => {
                let path = url::Url::parse(url).ok()?;
                let url = self
                    .settings
                    .api_base
                    .as_deref()
                    .map_or_else(|| url.to_owned(), |base| format!("{}{}", base.trim_end_matches('/'), path.path()));
                Some(self.authorised(Call::get(url), cx))
            }
            None => Some(Call::get(url).redirects(3)),
        }
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!(
            "In the Azure portal, open the Azure Bot resource (or the bot in Teams' Developer Portal), enter {} as the messaging endpoint, and \
             turn the Microsoft Teams channel on. Put the bot's id into a Teams app manifest (scopes personal, team, groupChat; \
             `supportsFiles` for files) and have users or an administrator install the app.",
            cx.hook_url
        ))
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        Some(revise::revise(self, sent, revision, cx))
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        let Signalled::Typing { to, .. } = signal else { return None };
        let (to, thread) = to.split_once('#').map_or((to, None), |(to, thread)| (to, Some(thread)));
        let place::Place::Conversation(id) = place::parse(to, thread)? else { return None };
        let url = format!("{}/v3/conversations/{}/activities", self.connector(None), place::encoded(&id));
        Some(self.authorised(Call::json(url, &json!({ "type": "typing" })), cx))
    }
}

impl Channel {
    /// The connector that serves a conversation, or the one for a first contact.
    fn connector(&self, handle: Option<&str>) -> String {
        if let Some(base) = &self.settings.api_base {
            return base.trim_end_matches('/').to_owned();
        }
        let known = handle.and_then(place::service).map(|url| url.trim_end_matches('/').to_owned());
        known.unwrap_or_else(|| self.settings.cloud.places()[5].to_owned())
    }

    fn authorised(&self, call: Call, cx: &Context<'_>) -> Call {
        match cx.login {
            Some(token) => call.bearer(token.reveal()),
            None => call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Time, twin::Twin as _};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/t", login: None, keys: None };

    fn channel(more: serde_json::Value) -> Channel {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    #[test]
    fn each_cloud_has_its_places() {
        let url = |more| channel(more).login(&CX).map(|call| call.url).unwrap_or_default();
        assert_eq!(url(json!({ "tenant_id": null })), "https://login.microsoftonline.com/botframework.com/oauth2/v2.0/token");
        assert_eq!(
            url(json!({ "tenant_id": null, "cloud": "usgov" })),
            "https://login.microsoftonline.us/MicrosoftServices.onmicrosoft.us/oauth2/v2.0/token"
        );
        assert!(url(json!({ "tenant_id": "11111111-2222-3333-4444-555555555555" })).contains("/11111111-2222-3333-4444-555555555555/"));
        assert_eq!(channel(json!({ "cloud": "usgovdod" })).connector(None), "https://smba.infra.dod.teams.microsoft.us/teams");
    }

    #[test]
    fn the_token_goes_to_the_connector_alone() {
        let channel = channel(json!({}));
        let token = Secret::new("fake");
        let cx = Context { login: Some(&token), ..CX };
        let bears = |url: &str| {
            channel.fetch(&MediaRef { url: Some(url.into()), ..MediaRef::default() }, &cx).map(|call| !call.secret_headers.is_empty())
        };
        assert_eq!(bears("https://smba.trafficmanager.net/emea/1/v3/attachments/a/views/original"), Some(true));
        assert_eq!(bears("https://acme.sharepoint.com/f?tempauth=fake"), Some(false));
        for bad in ["https://smba.trafficmanager.net.evil.example/", "http://smba.trafficmanager.net/", "https://evil.example/"] {
            assert_eq!(channel.connector(Some(bad)), "https://smba.trafficmanager.net/teams", "{bad}");
        }
        assert_eq!(channel.connector(Some("https://smba.trafficmanager.net/emea/1/")), "https://smba.trafficmanager.net/emea/1");
    }
}

//! Google Chat: an app in spaces and direct messages of a Workspace, by interaction events and the REST API.
//!
//! Events come in one of two formats, each with a token of its own: a setting says which. What the interaction events do
//! not tell (edits, deletions, reactions) comes through the Workspace Events API and a push subscription to the same
//! address; the interaction events of an app that is connected by Pub/Sub may be pushed there too. A space is
//! `gchat:spaces/S`, a thread stands behind `#`, a person is `gchat:users/U`.
//!
//! Checked against `google-auth` and `google-apps-chat` (`tests/sdks/python/check_google_chat.py`): the twin's proofs, login and client on
//! the twin, and the types on what the twin tells and on the messages and cards we send.
//!
//! Events of Google's documentation, and those recorded in the tests of Rasa and the Chat SDK, were read on 2026-11-29.

mod cards;
mod checks;
mod classic;
mod content;
mod errors;
mod events;
mod facts;
mod inbound;
mod outbound;
mod proof;
mod revise;
mod twin;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secret, SentMessage, SettingsError, Setup,
    Step, Verified, VerifyError, Webhook,
};
use crate::kit::google;

/// The scope of an app's own calls.
const SCOPE: &str = "https://www.googleapis.com/auth/chat.bot";

/// The settings of a Google Chat channel: one app.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// How the console is set: as a Workspace add-on, or classic with one of two audiences.
    #[serde(default)]
    pub inbound_format: Format,
    /// The audience of the tokens: the endpoint's URL exactly as it stands in the console, or the project's number.
    pub audience: String,
    /// The project's number.
    pub project_number: Option<String>,
    /// Who signs the tokens; by default as the format and the project's number say.
    pub expected_service_account: Option<String>,
    /// The JSON key file of the service account that sends.
    pub service_account_key: Secret,
    /// The service account of the push subscription, where Workspace events are pushed to the same address.
    pub events_service_account: Option<String>,
    /// The audience of that subscription; the endpoint's URL when absent.
    pub events_audience: Option<String>,
    /// Where Google's APIs are, for tests; stands for all their hosts.
    pub api_base: Option<String>,
}

/// How events come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Built as a Workspace add-on.
    #[default]
    Addon,
    /// Classic, the audience being the endpoint's URL.
    ClassicUrl,
    /// Classic, the audience being the project's number.
    ClassicProject,
}

/// An app.
pub struct Channel {
    settings: Settings,
    account: google::Account,
    /// Who must have signed; empty where the issuer alone says it.
    signer: String,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let account = google::Account::read("service_account_key", &settings.service_account_key)?;
        let is_url = settings.audience.starts_with("https://") || settings.audience.starts_with("http://");
        if is_url == (settings.inbound_format == Format::ClassicProject) {
            return Err(SettingsError::new(
                "audience",
                "does not fit `inbound_format`",
                "the endpoint's URL, or the project's number with `classic_project`",
            ));
        }
        let number = settings.project_number.as_deref().filter(|number| !number.is_empty());
        let usual = match (settings.inbound_format, number) {
            (Format::Addon, Some(number)) => Some(format!("service-{number}@gcp-sa-gsuiteaddons.iam.gserviceaccount.com")),
            (Format::Addon, None) => None,
            (Format::ClassicUrl | Format::ClassicProject, _) => Some(proof::CHAT.to_owned()),
        };
        let Some(signer) = settings.expected_service_account.clone().or(usual) else {
            let remedy = "set it: without it any service account of Google's could speak to this address";
            return Err(SettingsError::new("project_number", "missing", remedy));
        };
        Ok(Self { settings, account, signer })
    }

    fn account(&self) -> Option<&str> {
        None // An event never names the app; each has a URL of its own.
    }

    fn limit_group(&self) -> Option<&str> {
        Some(self.settings.project_number.as_deref().unwrap_or_else(|| self.account.email()))
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        proof::verify(self, &hook, cx)?;
        Ok(hook.verified())
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(hook)
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    fn login(&self, cx: &Context<'_>) -> Option<Call> {
        self.account.login(SCOPE, self.settings.api_base.as_deref(), cx.now)
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        google::logged_in(reply)
    }

    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        if media.id.is_empty() {
            return media.url.as_deref().map(|url| Call::get(url).redirects(3)); // A GIF from elsewhere.
        }
        // One part of the path, whatever it contains.
        let name = utf8_percent_encode(&media.id, NON_ALPHANUMERIC);
        Some(self.authorised(Call::get(format!("{}/v1/media/{name}?alt=media", self.base())), cx).redirects(3))
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        Some(revise::revise(self, sent, revision, cx))
    }

    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        Some(self.authorised(Call::get(format!("{}/v1/spaces?pageSize=1", self.base())), cx))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let way = match self.settings.inbound_format {
            Format::Addon => "with \"Build this Chat app as a Google Workspace add-on\" on",
            Format::ClassicUrl => "with the add-on switch off and the authentication audience \"HTTP endpoint URL\"",
            Format::ClassicProject => "with the add-on switch off and the authentication audience \"Project Number\"",
        };
        Setup::ByHand(format!(
            "In the Google Cloud console, open the Google Chat API's configuration, {way}; choose HTTP endpoint URL and enter {}. Set \
             `audience` to exactly what stands there. For edits, deletions and reactions, subscribe to Workspace events and push them to \
             the same address with authentication on.",
            cx.hook_url
        ))
    }
}

impl Channel {
    fn base(&self) -> String {
        self.settings.api_base.as_deref().unwrap_or("https://chat.googleapis.com").trim_end_matches('/').to_owned()
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
    use serde_json::json;

    use super::*;
    use crate::contract::{Time, twin::Twin as _};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/g", login: None, keys: None };

    fn channel(more: serde_json::Value) -> Result<Channel, SettingsError> {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings))
    }

    #[test]
    fn the_signer_must_be_known() {
        let wrong = |more| channel(more).err().map(|e| e.key);
        assert_eq!(wrong(json!({ "project_number": null })).as_deref(), Some("project_number"));
        assert_eq!(wrong(json!({ "audience": "123" })).as_deref(), Some("audience"));
        assert_eq!(wrong(json!({ "service_account_key": "{}" })).as_deref(), Some("service_account_key"));
        assert_eq!(channel(json!({ "inbound_format": "classic_url" })).map(|c| c.signer).ok().as_deref(), Some(proof::CHAT));
    }

    #[test]
    fn media_is_one_part_of_the_path() {
        let channel = channel(json!({})).expect("settings");
        let token = Secret::new("fake");
        let cx = Context { login: Some(&token), ..CX };
        let call = channel.fetch(&MediaRef { id: "a/b+c=".into(), ..MediaRef::default() }, &cx).expect("a call");
        assert_eq!(call.url, "https://chat.googleapis.com/v1/media/a%2Fb%2Bc%3D?alt=media");
        assert!(!call.secret_headers.is_empty());
        let gif = channel.fetch(&MediaRef { url: Some("https://gif.example/1".into()), ..MediaRef::default() }, &cx).expect("a call");
        assert!(gif.secret_headers.is_empty());
    }
}

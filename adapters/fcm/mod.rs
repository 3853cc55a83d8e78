//! Firebase Cloud Messaging, HTTP v1: push to Android, to Apple's devices through Firebase, and to browsers.
//!
//! One call is one notification to one device or one topic. Google delivers nothing to us: what became of a call is in
//! its answer, and a device that is gone shows there too. The service account's key signs an assertion, which the token
//! endpoint changes for the access token that every call carries.
//!
//! Checked against `firebase-admin` (`tests/sdks/python/check_fcm.py`): its login, its client and its errors on the twin, its message
//! beside ours.

mod account;
mod errors;
mod facts;
mod outbound;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;

use account::Account;
pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Device, Outbound, Parsed, Registered, RenderError, Rendered, Reply, Secret, SettingsError, Setup, Step,
    Verified, VerifyError, Webhook,
};
use crate::kit::push;

/// The settings of an FCM channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The service account's key: the whole JSON file from the Google Cloud console, usually as `file:PATH`. Its role needs
    /// `cloudmessaging.messages.create`.
    pub service_account: Secret,
    /// The Firebase project, when it is not the one of the service account.
    pub project_id: Option<String>,
    /// The notification channel of the Android app; the app's default one when absent.
    pub android_channel_id: Option<String>,
    /// The only Android app that may get messages.
    pub restricted_package_name: Option<String>,
    /// The label of Firebase's delivery statistics; at most 100 different ones a day are counted.
    pub analytics_label: Option<String>,
    /// Where the API is, for tests; stands for Google's token endpoint too.
    pub api_base: Option<String>,
}

/// A Firebase project.
pub struct Channel {
    settings: Settings,
    account: Account,
    project: String,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let account = Account::read(settings.service_account.reveal())?;
        let project = settings.project_id.clone().unwrap_or_else(|| account.project_id.clone());
        if project.is_empty() || !project.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b)) {
            return Err(SettingsError::new("project_id", "not a project's id", "see the project settings in the Firebase console"));
        }
        if settings.analytics_label.as_deref().is_some_and(|label| !is_label(label)) {
            return Err(SettingsError::new("analytics_label", "not a label", "1 to 50 characters out of letters, digits and -_.~%"));
        }
        Ok(Self { settings, account, project })
    }

    fn account(&self) -> Option<&str> {
        None
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.project)
    }

    fn verify<'a>(&self, _hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        Err(VerifyError::Missing { status: http::StatusCode::NOT_FOUND })
    }

    fn parse<'a>(&self, _hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        Parsed::not_understood("Firebase delivers nothing")
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        if call.url == self.token_url() { account::classify(reply) } else { errors::classify(reply) }
    }

    fn login(&self, cx: &Context<'_>) -> Option<Call> {
        self.account.login(self.token_url(), cx.now)
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        account::logged_in(reply)
    }

    /// Whether Google takes the key; a message that goes nowhere would need a device.
    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        self.login(cx)
    }

    fn register(&self, device: &Device<'_>) -> Option<Result<Registered, RenderError>> {
        Some(push::by_token("fcm", device))
    }

    fn setup(&self, _cx: &Context<'_>) -> Setup {
        Setup::ByHand(
            "Firebase delivers nothing: there is no webhook to register. Let the app send its registration to the gateway.".into(),
        )
    }
}

impl Channel {
    fn base(&self) -> &str {
        self.settings.api_base.as_deref().map_or("https://fcm.googleapis.com", |base| base.trim_end_matches('/'))
    }

    fn token_url(&self) -> String {
        match &self.settings.api_base {
            Some(base) => format!("{}/token", base.trim_end_matches('/')),
            None => self.account.token_uri.clone(),
        }
    }
}

/// firebase.google.com/docs/cloud-messaging/understand-delivery, read 2026-11-20.
fn is_label(label: &str) -> bool {
    (1..=50).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b))
}

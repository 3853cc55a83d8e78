//! WhatsApp: business numbers on Meta's Cloud API.
//!
//! One webhook serves every number of a Meta app; a delivery names the number it is for. People are known by a
//! business-scoped id (`whatsapp:US.4401`), and by their number where they show one.

mod account;
mod address;
mod checks;
mod content;
mod errors;
mod facts;
mod inbound;
mod interactive;
mod media;
mod outbound;
mod parts;
mod people;
mod receipts;
mod templates;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Fetched, MediaRef, Outbound, Pace, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError, Setup,
    Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::{crypto, hub};

/// The version of the Graph API that the requests were written for.
const VERSION: &str = "v25.0";

/// The settings of a WhatsApp number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The sender: the number's id in Meta's console, not the number itself.
    pub phone_number_id: String,
    /// A system user's token with `whatsapp_business_messaging`.
    pub access_token: Secrets,
    /// The Meta app's secret, or the new and the old one while it is changed. Without it no delivery is accepted.
    #[serde(default)]
    pub app_secret: Secrets,
    /// The word Meta repeats when the webhook is registered.
    #[serde(default)]
    pub verify_token: Secrets,
    /// The WhatsApp Business Account the number belongs to; needed to register the webhook.
    pub waba_id: Option<String>,
    /// The Meta app's id; needed to register the webhook.
    pub app_id: Option<String>,
    /// The Graph API's version, such as `v25.0`.
    pub api_version: Option<String>,
    /// The number as people know it, such as `+15550100200`.
    pub display_phone_number: Option<String>,
    /// Whether the number is used in the WhatsApp Business app as well (20 messages a second).
    #[serde(default)]
    pub coexistence: bool,
    /// Messages a second that Meta lets the number send: 80, 1000 after the upgrade, 20 with `coexistence`.
    pub throughput_mps: Option<u32>,
    /// The business portfolio; numbers of one portfolio share the messaging limit.
    pub portfolio_id: Option<String>,
    /// The private key of the flows' data endpoint. Kept for it; messages do not need it.
    pub private_key: Option<Secret>,
    /// Where the Graph API is, in place of `https://graph.facebook.com`.
    pub api_base: Option<String>,
}

/// A business number.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    /// Base URL with the version.
    base: String,
    paces: [Pace; 2],
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let digits = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !digits(&settings.phone_number_id) {
            let remedy = "copy `Phone number ID` from the app's WhatsApp page; it is not the number";
            return Err(SettingsError::new("phone_number_id", "not an id", remedy));
        }
        let version = settings.api_version.as_deref().unwrap_or(VERSION).trim_matches('/');
        let plain = |c: char| c.is_ascii_digit() || c == '.';
        if !version.strip_prefix('v').is_some_and(|number| !number.is_empty() && number.chars().all(plain)) {
            return Err(SettingsError::new("api_version", "not a version", "write it like `v25.0`"));
        }
        let default = if settings.coexistence { facts::COEXISTENCE_MPS } else { facts::DEFAULT_MPS };
        let per_second = settings.throughput_mps.unwrap_or(default);
        if !(1..=1000).contains(&per_second) {
            return Err(SettingsError::new("throughput_mps", "out of range", "use 80, 1000 or 20, as Meta shows it for the number"));
        }
        let root = settings.api_base.as_deref().unwrap_or("https://graph.facebook.com").trim_end_matches('/');
        let base = format!("{root}/{version}");
        let keys = crypto::sha256_keys(&settings.app_secret);
        let keys = if settings.app_secret.is_empty() { Vec::new() } else { keys };
        Ok(Self { keys, base, paces: facts::paces(per_second), settings })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.phone_number_id)
    }

    fn limit_group(&self) -> Option<&str> {
        self.settings.portfolio_id.as_deref()
    }

    fn paces(&self) -> Option<&[Pace]> {
        Some(&self.paces)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        hub::verify(hook, &self.keys, &self.settings.verify_token)
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(hook)
    }

    fn render(&self, message: &Outbound<'_>, _cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        match media::uploaded(self, call, reply) {
            Some(step) => step,
            None => errors::classify(reply),
        }
    }

    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        media::fetch(self, media)
    }

    fn fetched(&self, call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        media::fetched(self, call, reply)
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        let fields = "display_phone_number,verified_name,quality_rating,platform_type,throughput";
        let url = format!("{}/{}?fields={fields}", self.base, self.settings.phone_number_id);
        Some(Call::get(url).bearer(self.settings.access_token.first()))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let token = self.settings.verify_token.first();
        let Some(waba) = self.settings.waba_id.as_deref().filter(|_| !token.is_empty()) else {
            return Setup::ByHand(format!(
                "In the Meta app, under WhatsApp > Configuration, enter {} as the callback URL with this channel's `verify_token`, and \
                 subscribe to `messages`. (With `waba_id` and `verify_token` set, Fairway does it for you.)",
                cx.hook_url
            ));
        };
        let mut calls = Vec::new();
        if let (Some(app), false) = (&self.settings.app_id, self.settings.app_secret.is_empty()) {
            let body = json!({ "object": "whatsapp_business_account", "callback_url": cx.hook_url, "verify_token": token, "fields": FIELDS });
            let app_token = format!("{app}|{}", self.settings.app_secret.first());
            calls.push(Call::json(format!("{}/{app}/subscriptions", self.base), &body).bearer(&app_token));
            calls.push(self.post(&format!("{waba}/subscribed_apps"), &json!({})));
        } else {
            // Without the app's id the account's own callback is set in its place.
            let body = json!({ "override_callback_uri": cx.hook_url, "verify_token": token });
            calls.push(self.post(&format!("{waba}/subscribed_apps"), &body));
        }
        Setup::Calls(calls)
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        match signal {
            // Showing that we type needs the message we answer, and marks it as read.
            Signalled::Typing { last, .. } => Some(self.messages(&outbound::typing(last?))),
            Signalled::Read { message_id, .. } => Some(self.messages(&outbound::read(message_id))),
        }
    }
}

/// What to subscribe to: everything that is understood.
const FIELDS: &str = "messages,smb_message_echoes,smb_app_state_sync,history,user_preferences,user_id_update,calls,group_lifecycle_update,\
group_participants_update,group_settings_update,group_status_update,message_template_status_update,message_template_quality_update,\
message_template_components_update,template_category_update,account_update,phone_number_quality_update,business_capability_update,\
account_alerts,account_review_update,phone_number_name_update,security";

impl Channel {
    /// A call of the number's messages.
    fn messages(&self, body: &impl serde::Serialize) -> Call {
        self.post(&format!("{}/messages", self.settings.phone_number_id), body)
    }

    fn post(&self, path: &str, body: &impl serde::Serialize) -> Call {
        Call::json(format!("{}/{path}", self.base), body).bearer(self.settings.access_token.first())
    }
}

#[cfg(test)]
mod tests;

//! Huawei Push Kit: push to Huawei's devices, in its two generations.
//!
//! Devices with HMS Core (Android, HarmonyOS up to 4) are reached through API v1 with a login; those with HarmonyOS 5
//! through API v3 with a token the channel signs for itself (PS256). Which one a device token needs is a property of the
//! device, so a channel speaks one of them. This is the one push service that delivers: what became of a push on the
//! device comes as a receipt. Its signature does not cover the body, so the webhook's address holds a token as well.
//!
//! Checked against `hpa`, Huawei's own for API v1 (`tests/sdks/python/check_hms.py`): its login, its client and its errors on the twin, its
//! validators and its wording on what we send.

mod core;
mod errors;
mod facts;
mod harmony;
mod inbound;
mod outbound;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Device, Outbound, Parsed, Registered, RenderError, Rendered, Reply, Secret, SettingsError, Setup, Step, Time,
    Verified, VerifyError, Webhook,
};
use crate::kit::{push, tokens::TokenSigner};

const TOKEN_PATH: &str = "oauth2/v3/token";
const LOGIN: &str = "https://oauth-login.cloud.huawei.com";
/// Seconds: a token of our own is good for an hour, and a new one is made every half.
const TOKEN_FOR: i64 = 3600;
const TOKEN_EVERY: i64 = 1800;

/// The settings of an HMS channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// Which devices: `core` (HMS Core) or `harmony` (HarmonyOS 5 and later).
    #[serde(default)]
    pub generation: Generation,
    /// Core: the app's id in AppGallery Connect.
    pub app_id: Option<String>,
    /// Core: its secret.
    pub app_secret: Option<Secret>,
    /// Harmony: the project's id; `project_id` in the service account's file.
    pub project_id: Option<String>,
    /// Harmony: `key_id` in the service account's file.
    pub key_id: Option<String>,
    /// Harmony: `sub_account` in the service account's file.
    pub sub_account: Option<String>,
    /// Harmony: `private_key` in the service account's file.
    pub private_key: Option<Secret>,
    /// The kind of message Huawei has granted the app for what is not advertising: `IM`, `EXPRESS`, `WORK`, ... Without a
    /// right everything counts as advertising.
    pub category: Option<String>,
    /// The headline where a message has none; the beginning of its words when absent.
    pub title: Option<String>,
    /// Core: the notification channel of the app.
    pub android_channel_id: Option<String>,
    /// Core: the app's entry class, which the number on the icon needs: `net.example.shop.MainActivity`.
    pub badge_class: Option<String>,
    /// The user name of the receipts' address in AppGallery Connect.
    pub callback_user: Option<String>,
    /// Its key; proves every receipt together with the user name.
    pub callback_key: Option<Secret>,
    /// Where the APIs are, for tests; stands for the login's host too.
    pub api_base: Option<String>,
}

/// Which devices a channel reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// HMS Core: Android, and HarmonyOS up to 4.
    #[default]
    Core,
    /// HarmonyOS 5 and later.
    Harmony,
}

/// An app on one generation of devices.
pub struct Channel {
    settings: Settings,
    /// The app or the project.
    id: String,
    signer: Option<TokenSigner>,
    callback: Option<inbound::Callback>,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let signer = match settings.generation {
            Generation::Core => None,
            Generation::Harmony => Some(signer(&settings)?),
        };
        if settings.generation == Generation::Core && settings.app_secret.as_ref().is_none_or(|s| s.reveal().is_empty()) {
            return Err(SettingsError::new("app_secret", "missing", "see the app's page in AppGallery Connect"));
        }
        let (key, id) = match settings.generation {
            Generation::Core => ("app_id", &settings.app_id),
            Generation::Harmony => ("project_id", &settings.project_id),
        };
        let id = id.clone().filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()));
        let id = id.ok_or_else(|| SettingsError::new(key, "missing or not an id", "see the project settings in AppGallery Connect"))?;
        let callback = match (&settings.callback_user, &settings.callback_key) {
            (Some(user), Some(key)) => Some(inbound::Callback::new(user, key)),
            (None, None) => None,
            _ => {
                return Err(SettingsError::new(
                    "callback_key",
                    "a receipt's proof has two halves",
                    "set `callback_user` and `callback_key`, or neither",
                ));
            }
        };
        Ok(Self { settings, id, signer, callback })
    }

    fn account(&self) -> Option<&str> {
        None
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        if let Some(callback) = &self.callback {
            callback.check(&hook, cx.now)?;
        }
        Ok(hook.verified())
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(hook)
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        if call.url == self.login_url() { errors::login(reply) } else { errors::classify(self.settings.generation, reply) }
    }

    fn login(&self, _cx: &Context<'_>) -> Option<Call> {
        if self.settings.generation == Generation::Harmony {
            return None;
        }
        let secret = self.settings.app_secret.as_ref()?.reveal();
        let fields = [("grant_type", "client_credentials"), ("client_id", self.id.as_str()), ("client_secret", secret)];
        Some(Call::form(self.login_url(), &fields))
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        let body: Value = serde_json::from_slice(&reply.body).ok().filter(|_| reply.status.is_success())?;
        let token = body["access_token"].as_str().filter(|t| !t.is_empty())?;
        Some((Secret::new(token), body["expires_in"].as_u64().unwrap_or(3600) * 1000))
    }

    /// Whether Huawei takes the app's secret; tokens of our own are only tried by a push.
    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        self.login(cx)
    }

    fn register(&self, device: &Device<'_>) -> Option<Result<Registered, RenderError>> {
        Some(push::by_token("hms", device))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!(
            "In AppGallery Connect, under Push Kit > Settings, enter {} as the address for receipts, with a user name and a key, and write \
             both into `callback_user` and `callback_key`. The certificate must be one that everybody trusts.",
            cx.hook_url
        ))
    }
}

impl Channel {
    fn base(&self) -> &str {
        self.settings.api_base.as_deref().map_or("https://push-api.cloud.huawei.com", |base| base.trim_end_matches('/'))
    }

    fn login_url(&self) -> String {
        let base = self.settings.api_base.as_deref().map_or(LOGIN, |base| base.trim_end_matches('/'));
        format!("{base}/{TOKEN_PATH}")
    }

    /// The token of this half hour.
    fn own_token(&self, now: Time) -> Secret {
        let iat = now.0.div_euclid(TOKEN_EVERY * 1000) * TOKEN_EVERY;
        let header = json!({ "kid": self.settings.key_id, "typ": "JWT", "alg": "PS256" });
        let aud = format!("{LOGIN}/{TOKEN_PATH}");
        let claims = json!({ "iss": self.settings.sub_account, "aud": aud, "iat": iat, "exp": iat + TOKEN_FOR });
        // Signing fails only when the system has no random numbers; Huawei then refuses a call without a token.
        self.signer.as_ref().and_then(|signer| signer.token(&header, &claims)).unwrap_or_default()
    }
}

fn signer(settings: &Settings) -> Result<TokenSigner, SettingsError> {
    let remedy = "take it from the service account's file";
    for (key, value) in [("key_id", &settings.key_id), ("sub_account", &settings.sub_account)] {
        if value.as_deref().is_none_or(str::is_empty) {
            return Err(SettingsError::new(key, "missing", remedy));
        }
    }
    let key = settings.private_key.as_ref().and_then(|pem| TokenSigner::ps256(pem.reveal()));
    key.ok_or_else(|| SettingsError::new("private_key", "missing, or no RSA key in PKCS #8", remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;
    use crate::kit::{jwt::Token, tokens};

    fn channel(more: Value) -> Result<Channel, SettingsError> {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings))
    }

    #[test]
    fn one_token_of_our_own_for_each_half_hour() {
        let channel = channel(json!({ "generation": "harmony" })).expect("settings");
        let at = |secs| channel.own_token(Time::from_secs(secs));
        assert_eq!(at(1_794_999_600), at(1_795_001_399));
        assert_ne!(at(1_794_999_600), at(1_795_001_400));
        let text = at(1_794_999_600);
        assert!(tokens::is_signed(text.reveal(), "PS256", &channel.signer.as_ref().expect("a signer").public()));
        let token = Token::parse(text.reveal()).expect("a token");
        assert_eq!(
            (token.claim("iss"), token.claim("aud")),
            (Some("twin-sub-account"), Some("https://oauth-login.cloud.huawei.com/oauth2/v3/token"))
        );
        assert_eq!(token.time("exp"), Some(Time::from_secs(1_795_003_200)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |more| channel(more).err().map(|e| e.key).unwrap_or_default();
        assert_eq!(wrong(json!({ "app_id": "" })), "app_id");
        assert_eq!(wrong(json!({ "app_secret": "" })), "app_secret");
        assert_eq!(wrong(json!({ "generation": "harmony", "project_id": "a/b" })), "project_id");
        assert_eq!(wrong(json!({ "generation": "harmony", "private_key": "x" })), "private_key");
        assert_eq!(wrong(json!({ "generation": "harmony", "key_id": "" })), "key_id");
        assert_eq!(wrong(json!({ "callback_key": null })), "callback_key");
    }
}

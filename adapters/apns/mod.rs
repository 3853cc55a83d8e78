//! Apple Push Notification service: push to iPhones, iPads, Macs and watches, over HTTP/2.
//!
//! One call is one notification to one device. The channel signs its own token (ES256) with the key of its team; Apple
//! wants that token renewed between every 20 and every 60 minutes, so it begins at the last full half hour. Apple delivers
//! nothing: what became of a call is in its answer, and a device that is gone shows there too.
//!
//! Checked against `aioapns` and `PyJWT` (`tests/sdks/python/check_apns.py`): its client and its errors on the twin over HTTP/2, its push
//! beside ours, and the token that the channel signs.

mod errors;
mod facts;
mod outbound;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Device, Outbound, Parsed, Registered, RenderError, Rendered, Reply, Secret, SettingsError, Setup, Step, Time,
    Verified, VerifyError, Webhook,
};
use crate::kit::{push, tokens::TokenSigner};

/// Seconds between two tokens: more than the 20 minutes Apple wants between them, less than the hour it takes one for.
const TOKEN_EVERY: i64 = 1800;

/// The settings of an APNs channel: one app in one environment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The team: 10 characters, from the membership page.
    pub team_id: String,
    /// The key's name: 10 characters.
    pub key_id: String,
    /// The key: the `.p8` file from the developer portal, usually as `file:PATH`.
    pub private_key: Secret,
    /// The app's bundle id.
    pub bundle_id: String,
    /// Which devices: those of the App Store and TestFlight, or those of development builds.
    #[serde(default)]
    pub environment: Environment,
    /// Where the API is, for tests.
    pub api_base: Option<String>,
}

/// Which devices a channel reaches: a property of the app's build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// App Store and TestFlight.
    #[default]
    Production,
    /// Development builds.
    Sandbox,
}

/// One app in one environment.
pub struct Channel {
    settings: Settings,
    signer: TokenSigner,
    group: String,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let named = |id: &str| id.len() == 10 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !named(&settings.team_id) {
            return Err(SettingsError::new("team_id", "not a team's id", "10 characters, see Membership in the developer portal"));
        }
        if !named(&settings.key_id) {
            return Err(SettingsError::new("key_id", "not a key's id", "10 characters, see Keys in the developer portal"));
        }
        if settings.bundle_id.is_empty() || !settings.bundle_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-') {
            return Err(SettingsError::new("bundle_id", "not a bundle id", "such as com.example.shop"));
        }
        let signer = TokenSigner::es256(settings.private_key.reveal())
            .ok_or_else(|| SettingsError::new("private_key", "no P-256 key in PKCS #8", "give the .p8 file as Apple made it"))?;
        let group = format!("{}/{}", settings.team_id, settings.bundle_id);
        Ok(Self { settings, signer, group })
    }

    fn account(&self) -> Option<&str> {
        None
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.group)
    }

    fn verify<'a>(&self, _hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        Err(VerifyError::Missing { status: http::StatusCode::NOT_FOUND })
    }

    fn parse<'a>(&self, _hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        Parsed::not_understood("Apple delivers nothing")
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    fn register(&self, device: &Device<'_>) -> Option<Result<Registered, RenderError>> {
        // Hexadecimal may be written either way; the address is one.
        let token = device.token.map(str::to_ascii_lowercase);
        let registered = push::by_token("apns", &Device { token: token.as_deref(), ..*device });
        Some(registered.and_then(|registered| outbound::device(&registered.address).map(|_| registered)))
    }

    fn setup(&self, _cx: &Context<'_>) -> Setup {
        Setup::ByHand("Apple delivers nothing: there is no webhook to register. Let the app send its device token to the gateway.".into())
    }
}

impl Channel {
    fn base(&self) -> &str {
        match (&self.settings.api_base, self.settings.environment) {
            (Some(base), _) => base.trim_end_matches('/'),
            (None, Environment::Production) => "https://api.push.apple.com",
            (None, Environment::Sandbox) => "https://api.sandbox.push.apple.com",
        }
    }

    /// The token of this half hour.
    fn token(&self, now: Time) -> Secret {
        let iat = now.0.div_euclid(TOKEN_EVERY * 1000) * TOKEN_EVERY;
        let header = json!({ "alg": "ES256", "kid": self.settings.key_id });
        // Signing fails only when the system has no random numbers; Apple then refuses a call without a token.
        self.signer.token(&header, &json!({ "iss": self.settings.team_id, "iat": iat })).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;
    use crate::kit::tokens;

    fn channel(more: serde_json::Value) -> Result<Channel, SettingsError> {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings))
    }

    #[test]
    fn one_token_for_each_half_hour() {
        let channel = channel(json!({})).expect("settings");
        let at = |secs| channel.token(Time::from_secs(secs));
        let (begin, end, next) = (at(1_794_999_600), at(1_795_001_399), at(1_795_001_400));
        assert_eq!(begin, end);
        assert_ne!(begin, next);
        let token = crate::kit::jwt::Token::parse(begin.reveal()).expect("a token");
        assert_eq!((token.claim("iss"), token.time("iat")), (Some("TWINTEAM01"), Some(Time::from_secs(1_794_999_600))));
        assert!(tokens::is_signed(begin.reveal(), "ES256", &channel.signer.public()));
    }

    /// The form of the sheet's vector: 64 bytes of R and S, not DER.
    #[test]
    fn the_vector_verifies() {
        let point = crate::kit::crypto::unhex::<65>(concat!(
            "04",
            "e4c9c0bc2661c32f683bc059af1cca991daa3031f6377a88651e3f401688b6ec",
            "d8473939d49bdf4ba1c3cd1ea9b468d57bf3ac1a50822cc2dc7ef8e64f1bada7"
        ))
        .expect("a point");
        let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6IktFWUlEMTIzNDUifQ.eyJpc3MiOiJURUFNSUQ2Nzg5IiwiaWF0IjoxNzk1MDAwMDAwfQ.\
                     _RGJJiNaGM-AUZhzzYh5PpsRsoZjhI5RpnpYRSWEdwXoKmBJAAcKmiOedYMZ71HiLjC5yNtvbdgSjnLkoZ0MhQ";
        assert!(tokens::is_signed(token, "ES256", &point));
        let private =
            crate::kit::crypto::unhex::<32>("ae2ac7f2f5b10c0e2b43cc42ceab4414776b8ece60a42d4b6c0d54b5db4313a6").expect("a scalar");
        let signer = TokenSigner::es256_raw(&private, &point).expect("a pair");
        let ours = signer.token(&json!({ "alg": "ES256", "kid": "KEYID12345" }), &json!({ "iss": "TEAMID6789", "iat": 1_795_000_000 }));
        assert_eq!(ours.expect("signed").reveal().rsplit_once('.').map(|(s, _)| s), token.rsplit_once('.').map(|(s, _)| s));
    }

    #[test]
    fn a_device_has_one_address_however_its_token_is_written() {
        let channel = channel(json!({})).expect("settings");
        let register = |token| channel.register(&Device { token: Some(token), subscription: None }).expect("it knows devices");
        assert_eq!(register("ABCDEF01").expect("registered").address, "apns:abcdef01");
        assert_eq!(register("not-hex").expect_err("refused").code, "address_invalid");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |more| channel(more).err().map(|e| e.key).unwrap_or_default();
        assert_eq!(wrong(json!({ "team_id": "X" })), "team_id");
        assert_eq!(wrong(json!({ "key_id": "X" })), "key_id");
        assert_eq!(wrong(json!({ "private_key": "X" })), "private_key");
        assert_eq!(wrong(json!({ "bundle_id": "no blanks" })), "bundle_id");
    }
}

//! Web Push: notifications to browsers, through the push service of each browser's maker.
//!
//! One open protocol (RFC 8030) with several operators. Where to send and for whom to encrypt is a subscription that the
//! page hands over; it works like a credential, so it comes as `Outbound::handle` and never stands in an address (which is a
//! fingerprint of it):
//!
//! ```json
//! { "endpoint": "https://push.example.net/push/FAKE123", "p256dh": "BK5H...", "auth": "VPkW..." }
//! ```
//!
//! The form a browser's `toJSON()` gives (`keys` around the two) is read as well. Content is encrypted for that browser
//! (RFC 8291, `seal`); the channel proves itself by a token it signs (VAPID, RFC 8292). Nothing is delivered to us.
//!
//! Checked against `web-push` and `http_ece` with `py_vapid` (`tests/sdks/webpush.mjs`, `python/check_webpush.py`): the twin takes
//! what others encrypt, and others read what we encrypt.

mod errors;
mod facts;
mod outbound;
mod seal;
mod subscription;
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
use crate::kit::tokens::TokenSigner;
use subscription::unbase64;

/// Seconds: a token is good for 12 to 18 hours (RFC 8292 allows 24) and is made anew every 6, for push services keep what
/// they have checked.
const TOKEN_EVERY: i64 = 6 * 3600;
const TOKEN_FOR: i64 = 18 * 3600;

/// The settings of a Web Push channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The VAPID public key the page subscribes with (`applicationServerKey`): 65 bytes in base64url.
    pub vapid_public: String,
    /// Its private half: 32 bytes in base64url.
    pub vapid_private: Secret,
    /// Whom a push service may ask about us: `mailto:ops@example.net` or an https address.
    pub vapid_subject: String,
    /// Hosts whose endpoints are called, with all hosts under them; those of the browsers' makers when absent.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Seconds a push waits for a browser that is away, where the message does not say until when; four weeks when absent.
    pub ttl: Option<u32>,
    /// Where all push services are, for tests.
    pub api_base: Option<String>,
}

/// A pair of VAPID keys.
pub struct Channel {
    settings: Settings,
    signer: TokenSigner,
    seeds: seal::Seeds,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let public = unbase64(&settings.vapid_public).filter(|key| key.len() == 65 && key[0] == 4);
        let public = public.ok_or_else(|| SettingsError::new("vapid_public", "not a P-256 point", "87 characters of base64url"))?;
        let private = unbase64(settings.vapid_private.reveal()).filter(|key| key.len() == 32);
        let private = private.ok_or_else(|| SettingsError::new("vapid_private", "not a P-256 scalar", "43 characters of base64url"))?;
        let signer = TokenSigner::es256_raw(&private, &public)
            .ok_or_else(|| SettingsError::new("vapid_private", "does not belong to `vapid_public`", "use both halves of one pair"))?;
        if !is_subject(&settings.vapid_subject) {
            let remedy = "write mailto:ops@example.net (no blank, no brackets) or an https address";
            return Err(SettingsError::new("vapid_subject", "push services will refuse it", remedy));
        }
        Ok(Self { seeds: seal::Seeds::new(&private), settings, signer })
    }

    fn account(&self) -> Option<&str> {
        None
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.settings.vapid_public)
    }

    fn verify<'a>(&self, _hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        Err(VerifyError::Missing { status: http::StatusCode::NOT_FOUND })
    }

    fn parse<'a>(&self, _hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        Parsed::not_understood("push services deliver nothing")
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, _call: &Call, reply: &Reply) -> Step {
        errors::classify(reply)
    }

    fn register(&self, device: &Device<'_>) -> Option<Result<Registered, RenderError>> {
        Some(subscription::register(device, &self.settings.hosts))
    }

    fn setup(&self, _cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!(
            "Push services deliver nothing: there is no webhook to register. Let the page subscribe with the applicationServerKey {} and \
             send its subscription to the gateway.",
            self.settings.vapid_public
        ))
    }
}

impl Channel {
    /// `vapid t=..., k=...` for the push service at this origin.
    fn authorization(&self, origin: &str, now: Time) -> String {
        let exp = now.0.div_euclid(TOKEN_EVERY * 1000) * TOKEN_EVERY + TOKEN_FOR;
        let claims = json!({ "aud": origin, "exp": exp, "sub": self.settings.vapid_subject });
        // Signing fails only when the system has no random numbers; the push service then refuses a call without a token.
        let token = self.signer.token(&json!({ "typ": "JWT", "alg": "ES256" }), &claims).unwrap_or_default();
        format!("vapid t={}, k={}", token.reveal(), subscription::base64(&self.signer.public()))
    }
}

/// Apple takes no blanks, no angle brackets and no host that is only here.
fn is_subject(subject: &str) -> bool {
    let host = match (subject.strip_prefix("mailto:"), subject.strip_prefix("https://")) {
        (Some(mail), _) => mail.split_once('@').map(|(_, host)| host),
        (_, Some(rest)) => rest.split('/').next(),
        _ => None,
    };
    let clean = subject.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
    clean && host.is_some_and(|host| host.contains('.') && !host.ends_with(".local") && !host.ends_with(".localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;
    use crate::kit::{jwt::Token, tokens};

    fn channel(more: serde_json::Value) -> Result<Channel, SettingsError> {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings))
    }

    #[test]
    fn a_token_is_good_for_twelve_hours_at_least_and_less_than_a_day() {
        let channel = channel(json!({})).expect("settings");
        for now in [1_795_000_000, 1_795_012_345, 1_795_021_599] {
            let text = channel.authorization("https://push.example.net", Time::from_secs(now));
            let (token, key) = text.strip_prefix("vapid t=").and_then(|t| t.split_once(", k=")).expect("both halves");
            assert!(tokens::is_signed(token, "ES256", &unbase64(key).expect("a key")));
            let token = Token::parse(token).expect("a token");
            let left = token.time("exp").expect("an end").0 / 1000 - now;
            assert!((12 * 3600..=18 * 3600).contains(&left), "{left}");
            assert_eq!((token.claim("aud"), token.claim("sub")), (Some("https://push.example.net"), Some("mailto:ops@example.net")));
        }
    }

    /// The sheet's vector, and the one of RFC 8292, section 2.4.
    #[test]
    fn the_vectors_verify() {
        let ours = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE3OTUwNDMyMDAsInN1YiI6Im1haWx0bzpvcHNAZXhhbXBsZS5uZXQifQ.\
                    xHvFzxwovqTsezG7hSl3ZuswSU8KY9naQ0I1pMTLZ-CcKi4x7eyJwaplVmRRkcU8sV65_KInfmKITDe4vQT_Ng";
        let key = unbase64("BIzLcmS_K4m059hDf7gR9a1bJdpiht-osry6tXUyENqYdyhUdvR6xiuHZ0_rwrZ5Paz7ZPEA5O6-Jt7SEeRT2GY").expect("a key");
        assert!(tokens::is_signed(ours, "ES256", &key));
        let made = channel(json!({})).expect("settings").signer.token(
            &json!({ "typ": "JWT", "alg": "ES256" }),
            &json!({ "aud": "https://push.example.net", "exp": 1_795_043_200, "sub": "mailto:ops@example.net" }),
        );
        assert_eq!(made.expect("signed").reveal().rsplit_once('.').map(|(s, _)| s), ours.rsplit_once('.').map(|(s, _)| s));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |more| channel(more).err().map(|e| e.key).unwrap_or_default();
        assert_eq!(wrong(json!({ "vapid_public": "BA" })), "vapid_public");
        assert_eq!(wrong(json!({ "vapid_private": "AA" })), "vapid_private");
        assert_eq!(wrong(json!({ "vapid_private": "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94" })), "vapid_private");
        for subject in
            ["ops@example.net", "mailto:Ops <ops@example.net>", "mailto:ops@localhost", "https://printer.local/", "mailto: ops@example.net"]
        {
            assert_eq!(wrong(json!({ "vapid_subject": subject })), "vapid_subject", "{subject}");
        }
    }
}

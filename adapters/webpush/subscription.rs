//! A browser's subscription: where to send, and for whom to encrypt. It comes from a page, so from anybody.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use crate::contract::{Device, Registered, RenderError};
use crate::kit::{address, crypto};

/// Under these hosts the browsers' makers run their push services.
const HOSTS: [&str; 4] = ["fcm.googleapis.com", "push.services.mozilla.com", "push.apple.com", "notify.windows.com"];

/// A subscription that may be used.
pub(super) struct Subscription {
    /// The endpoint; whoever knows it can send.
    pub(super) endpoint: url::Url,
    /// The browser's public key.
    pub(super) p256dh: Vec<u8>,
    /// The secret it shares with us.
    pub(super) auth: Vec<u8>,
}

#[derive(Deserialize)]
struct Written {
    endpoint: String,
    #[serde(flatten)]
    flat: Keys,
    keys: Option<Keys>,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: Option<String>,
    auth: Option<String>,
}

impl Subscription {
    /// Reads one; an error says in words what is wrong and quotes nothing.
    pub(super) fn read(handle: &str, hosts: &[String]) -> Result<Self, &'static str> {
        let written: Written = serde_json::from_str(handle).map_err(|_| "it is no subscription")?;
        let keys = written.keys.unwrap_or(written.flat);
        let bytes = |text: Option<String>| text.and_then(|t| unbase64(&t)).unwrap_or_default();
        let (p256dh, auth) = (bytes(keys.p256dh), bytes(keys.auth));
        if p256dh.len() != 65 || p256dh[0] != 4 {
            return Err("its p256dh is no P-256 point");
        }
        if auth.len() != 16 {
            return Err("its auth is not 16 bytes");
        }
        let endpoint = url::Url::parse(&written.endpoint).map_err(|_| "its endpoint is no address")?;
        let host = endpoint.host_str().unwrap_or_default();
        let under = |known: &str| host == known || host.strip_suffix(known).is_some_and(|front| front.ends_with('.'));
        let known = if hosts.is_empty() { HOSTS.iter().any(|h| under(h)) } else { hosts.iter().any(|h| under(h)) };
        let plain =
            endpoint.scheme() == "https" && endpoint.port().is_none() && endpoint.username().is_empty() && endpoint.password().is_none();
        if !known || !plain {
            return Err("its endpoint is none of a push service's we call (`hosts`)");
        }
        Ok(Self { endpoint, p256dh, auth })
    }

    /// Scheme and host: whom the token is for.
    pub(super) fn origin(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }

    /// What follows the origin, and is the credential in it.
    pub(super) fn rest(&self) -> String {
        let query = self.endpoint.query().map(|q| format!("?{q}")).unwrap_or_default();
        format!("{}{query}", self.endpoint.path().trim_start_matches('/'))
    }
}

/// A browser that a page registers: its address is the endpoint's fingerprint, its handle what is needed of the subscription.
pub(super) fn register(device: &Device<'_>, hosts: &[String]) -> Result<Registered, RenderError> {
    let wrong = |problem: &str| RenderError::new("#/subscription", "subscription_invalid", format!("it cannot be used: {problem}"));
    let given =
        device.subscription.ok_or_else(|| RenderError::new("#/subscription", "missing", "browsers are registered by `subscription`"))?;
    let subscription = Subscription::read(&given.to_string(), hosts).map_err(wrong)?;
    let endpoint = subscription.endpoint.as_str();
    let handle = json!({ "endpoint": endpoint, "p256dh": base64(&subscription.p256dh), "auth": base64(&subscription.auth) });
    Ok(Registered { address: address::address("webpush", &crypto::fingerprint(&[endpoint])), handle: Some(handle.to_string()) })
}

/// Base64url as browsers write it, and as some libraries do: padded, or with the standard alphabet.
pub(super) fn unbase64(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=').replace('+', "-").replace('/', "_")).ok()
}

/// Base64url without padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    fn read(endpoint: &str, hosts: &[String]) -> Result<Subscription, &'static str> {
        let handle = format!(
            r#"{{"endpoint":"{endpoint}","expirationTime":null,"keys":{{"p256dh":"{P256DH}=","auth":"BTBZMqHH6r4Tts7J/aSIgg=="}}}}"#
        );
        Subscription::read(&handle, hosts)
    }

    #[test]
    fn only_push_services_are_called() {
        let good =
            ["https://fcm.googleapis.com/wp/x", "https://updates.push.services.mozilla.com/wpush/v2/x", "https://web.push.apple.com/x"];
        for endpoint in good.into_iter().chain(["https://wns2-par02p.notify.windows.com/w/?token=BQYAAAC%2f"]) {
            assert!(read(endpoint, &[]).is_ok(), "{endpoint}");
        }
        let bad =
            ["http://fcm.googleapis.com/x", "https://fcm.googleapis.com:8443/x", "https://evilfcm.googleapis.com.example/x", "nonsense"];
        for endpoint in bad.into_iter().chain(["https://xpush.apple.com/x", "https://u@web.push.apple.com/x", "https://127.0.0.1/x"]) {
            assert!(read(endpoint, &[]).is_err(), "{endpoint}");
        }
        assert!(read("https://push.example.net/x", &["example.net".into()]).is_ok());
        assert!(read("https://fcm.googleapis.com/x", &["example.net".into()]).is_err());
    }

    #[test]
    fn a_registered_browser_is_written_to_by_its_fingerprint() {
        let registered = |endpoint: &str| {
            let given =
                json!({ "endpoint": endpoint, "expirationTime": null, "keys": { "p256dh": P256DH, "auth": "BTBZMqHH6r4Tts7J_aSIgg" } });
            register(&Device { token: None, subscription: Some(&given) }, &[])
        };
        let one = registered("https://web.push.apple.com/fake-1").expect("registered");
        assert!(one.address.starts_with("webpush:") && !one.address.contains("fake-1"), "{}", one.address);
        assert_eq!(one, registered("https://web.push.apple.com/fake-1").expect("registered"));
        assert_ne!(one.address, registered("https://web.push.apple.com/fake-2").expect("registered").address);
        assert!(Subscription::read(&one.handle.expect("a handle"), &[]).is_ok());
        assert_eq!(registered("https://127.0.0.1/x").expect_err("refused").code, "subscription_invalid");
        assert_eq!(register(&Device { token: Some("x"), subscription: None }, &[]).expect_err("refused").code, "missing");
    }

    #[test]
    fn the_query_belongs_to_it() {
        let subscription = read("https://wns2.notify.windows.com/w/?token=BQYAAAC%2f", &[]).map_err(str::to_owned).expect("good");
        assert_eq!(
            (subscription.origin().as_str(), subscription.rest().as_str()),
            ("https://wns2.notify.windows.com", "w/?token=BQYAAAC%2f")
        );
    }
}

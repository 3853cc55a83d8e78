//! A browser's subscription: where to send, and for whom to encrypt. It comes from a page, so from anybody.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use crate::contract::{Device, Registered, RenderError};
use crate::kit::crypto;

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
        let plain = endpoint.scheme() == "https" && endpoint.port().is_none() && endpoint.username().is_empty() && endpoint.password().is_none();
        if !known || !plain {
            return Err("its endpoint is none of a push service's we call (`hosts`)");
        }
        Ok(Self { endpoint, p256dh, auth })
    }

    /// A browser as its page registers it. The address follows from the endpoint, so that registering again changes nothing.
    pub(super) fn registered(device: &Device<'_>, hosts: &[String]) -> Result<Registered, RenderError> {
        let refuse = |problem: &str| RenderError::new("#/subscription", "subscription_invalid", problem);
        let given = device.subscription.ok_or_else(|| refuse("this channel's browsers are registered by `subscription`"))?;
        let read = Self::read(&given.to_string(), hosts).map_err(refuse)?;
        let id = crypto::hex(&crypto::sha256(read.endpoint.as_str().as_bytes())[..16]);
        let handle = json!({ "endpoint": read.endpoint.as_str(), "p256dh": base64(&read.p256dh), "auth": base64(&read.auth) });
        Ok(Registered { address: format!("webpush:{id}"), handle: Some(handle.to_string()) })
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
        let handle = format!(r#"{{"endpoint":"{endpoint}","expirationTime":null,"keys":{{"p256dh":"{P256DH}=","auth":"BTBZMqHH6r4Tts7J/aSIgg=="}}}}"#);
        Subscription::read(&handle, hosts)
    }

    #[test]
    fn only_push_services_are_called() {
        let good = ["https://fcm.googleapis.com/wp/x", "https://updates.push.services.mozilla.com/wpush/v2/x", "https://web.push.apple.com/x"];
        for endpoint in good.into_iter().chain(["https://wns2-par02p.notify.windows.com/w/?token=BQYAAAC%2f"]) {
            assert!(read(endpoint, &[]).is_ok(), "{endpoint}");
        }
        let bad = ["http://fcm.googleapis.com/x", "https://fcm.googleapis.com:8443/x", "https://evilfcm.googleapis.com.example/x", "nonsense"];
        for endpoint in bad.into_iter().chain(["https://xpush.apple.com/x", "https://u@web.push.apple.com/x", "https://127.0.0.1/x"]) {
            assert!(read(endpoint, &[]).is_err(), "{endpoint}");
        }
        assert!(read("https://push.example.net/x", &["example.net".into()]).is_ok());
        assert!(read("https://fcm.googleapis.com/x", &["example.net".into()]).is_err());
    }

    #[test]
    fn what_a_page_registers_can_be_written_to() {
        let given = json!({ "endpoint": "https://web.push.apple.com/x", "expirationTime": null, "keys": { "p256dh": P256DH, "auth": "BTBZMqHH6r4Tts7J_aSIgg" } });
        let device = Device { token: None, subscription: Some(&given) };
        let once = Subscription::registered(&device, &[]).expect("good");
        assert_eq!(once, Subscription::registered(&device, &[]).expect("good"), "the same browser has the same address");
        assert!(once.address.starts_with("webpush:") && Subscription::read(once.handle.as_deref().expect("kept"), &[]).is_ok());
        let nothing = Subscription::registered(&Device { token: Some("x"), subscription: None }, &[]);
        assert_eq!(nothing.map_err(|e| e.pointer), Err("#/subscription".to_owned()));
    }

    #[test]
    fn the_query_belongs_to_it() {
        let subscription = read("https://wns2.notify.windows.com/w/?token=BQYAAAC%2f", &[]).map_err(str::to_owned).expect("good");
        assert_eq!((subscription.origin().as_str(), subscription.rest().as_str()), ("https://wns2.notify.windows.com", "w/?token=BQYAAAC%2f"));
    }
}

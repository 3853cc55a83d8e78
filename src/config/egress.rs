//! `[channels.NAME.egress]`: how a channel's calls leave this machine.

use std::{borrow::Cow, net::IpAddr, str::FromStr};

use fairway_adapters::contract::Secret;
use fairway_adapters::kit::crypto;
use http::{HeaderValue, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, de};

/// How a channel's HTTP calls leave this machine, where that is not straight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// A proxy that tunnels them (RFC 9110, CONNECT): `http://HOST:PORT`, with `USER:PASSWORD@` before the host where it wants that.
    pub proxy: Option<Proxy>,
    /// The address of this machine that connections leave from, for providers that know their callers by it.
    #[schemars(with = "Option<String>")]
    pub source_address: Option<IpAddr>,
    /// The keys that the server's certificate may have: SHA-256 over its SubjectPublicKeyInfo, in base64, as
    /// `openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64` prints it. Name the next one
    /// before the provider changes to it.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where it listens.
    pub uri: Uri,
    /// What it wants in `Proxy-Authorization`.
    pub authorization: Option<Secret>,
}

impl Proxy {
    /// That header.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(self.authorization.as_ref()?.reveal()).ok()
    }
}

impl FromStr for Proxy {
    type Err = &'static str;
    // The text may hold a password: no error shows it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a proxy; write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT";
        let url = url::Url::parse(text).map_err(|_| WRONG)?;
        let host = url.host_str().filter(|_| url.scheme() == "http" && matches!(url.path(), "" | "/")).ok_or(WRONG)?;
        let uri = format!("http://{host}:{}", url.port().unwrap_or(80)).parse().map_err(|_| WRONG)?;
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| WRONG);
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let login = format!("{}:{}", decoded(user)?, decoded(password.unwrap_or_default())?);
                Some(Secret::new(format!("Basic {}", crypto::base64(login.as_bytes()))))
            }
        };
        Ok(Self { uri, authorization })
    }
}

/// The hash of a key that a server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl FromStr for Pin {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().strip_prefix("sha256/").unwrap_or(text.trim());
        let hash = crypto::unbase64(text).and_then(|bytes| bytes.try_into().ok());
        hash.map(Self).ok_or("not a pin; write the SHA-256 of the server's public key in base64, 44 characters")
    }
}

macro_rules! written_as_text {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    )*};
}
written_as_text!(Proxy, Pin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_and_pins_are_read_and_mistakes_show_no_password() {
        let proxy: Proxy = "http://user:p%40ss@proxy.example:3128".parse().expect("a proxy");
        assert_eq!(proxy.uri, "http://proxy.example:3128");
        assert_eq!(proxy.header().expect("a header"), "Basic dXNlcjpwQHNz");
        assert!(!format!("{proxy:?}").contains("dXNl"));
        assert_eq!("http://10.0.0.1".parse::<Proxy>().expect("a proxy").uri, "http://10.0.0.1:80");
        for wrong in ["https://proxy.example:1", "proxy.example:3128", "http://u:secret@proxy.example/path", "socks5://u:secret@h"] {
            let error = wrong.parse::<Proxy>().expect_err(wrong);
            assert!(!error.contains("secret"), "{error}");
        }
        let pin: Pin = "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".parse().expect("a pin");
        assert_eq!(pin.0[31], 31);
        assert!("AAEC".parse::<Pin>().is_err());
    }
}

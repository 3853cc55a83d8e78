//! Everything this channel signs with its secret, each under a name of its own so that no proof passes for another:
//! deliveries of the room, calls to the room, session tokens, references to uploaded files.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_with::skip_serializing_none;

use crate::contract::{Secrets, Time};
use crate::kit::crypto::{self, Key};

/// The header that proves a delivery of the room: HMAC-SHA256 of the body, in hex.
pub const SIGNATURE: &str = "x-fairway-webchat-signature";

/// The keys made from a channel's secrets; the first signs, all are accepted.
pub struct Keys(Vec<Key>);

impl Keys {
    /// The keys of these secrets.
    pub fn new(secrets: &Secrets) -> Self {
        Self(crypto::sha256_keys(secrets))
    }

    fn tag(&self, what: &str, bytes: &[u8]) -> Vec<u8> {
        self.0.first().map(|key| crypto::sign(key, &named(what, bytes))).unwrap_or_default()
    }

    fn made(&self, what: &str, bytes: &[u8], tag: &[u8]) -> bool {
        crypto::signed(&self.0, &named(what, bytes), tag)
    }

    /// The value of [`SIGNATURE`] for a body.
    pub fn signature(&self, body: &[u8]) -> String {
        crypto::hex(&self.tag("delivery", body))
    }

    /// Whether a value of [`SIGNATURE`] is right.
    pub fn signed(&self, body: &[u8], value: &str) -> bool {
        crypto::unhex::<32>(value).is_some_and(|tag| self.made("delivery", body, &tag))
    }

    /// The bearer token of calls to the room. Not the secret itself, so that no log of requests can hold it.
    pub fn bearer(&self) -> String {
        crypto::hex(&self.tag("deliver", b""))
    }

    /// Whether a bearer token is ours.
    pub fn is_bearer(&self, value: &str) -> bool {
        crypto::unhex::<32>(value).is_some_and(|tag| self.made("deliver", b"", &tag))
    }

    /// A token that carries a value nobody else can make.
    pub fn seal(&self, what: &str, value: &impl Serialize) -> String {
        let body = serde_json::to_vec(value).unwrap_or_default();
        let tag = self.tag(what, &body);
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(body), BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// The value in a token of ours; `None` for any other text.
    pub fn open<T: DeserializeOwned>(&self, what: &str, token: &str) -> Option<T> {
        let (body, tag) = token.split_once('.')?;
        let (body, tag) = (BASE64_URL_SAFE_NO_PAD.decode(body).ok()?, BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?);
        self.made(what, &body, &tag).then(|| serde_json::from_slice(&body).ok())?
    }
}

fn named(what: &str, bytes: &[u8]) -> Vec<u8> {
    [b"fairway-webchat-1:", what.as_bytes(), b":", bytes].concat()
}

/// Who a visitor is, as the gateway knows it: what a session token carries and each delivery says.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// `v-...` for an unknown person on one browser, `u-...` for one whom the site has named.
    pub session: String,
    /// The name the site vouches for.
    pub name: Option<String>,
    /// The e-mail address the site vouches for.
    pub email: Option<String>,
    /// The site's own id of the person.
    pub external_id: Option<String>,
    /// BCP 47, as the browser says.
    pub locale: Option<String>,
}

/// A session token's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// For which channel.
    pub channel: String,
    /// Who.
    pub visitor: Visitor,
    /// Until when.
    pub expires_at: Time,
}

/// A reference to an uploaded file: what `/file/` takes and what a message may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// The blob's name.
    pub id: String,
    /// The name the sender gave it.
    pub name: String,
    /// RFC 2046 media type.
    pub mime: String,
    /// Bytes.
    pub size: u64,
}

/// What no session, file or delivery of another kind can be opened as.
pub mod purpose {
    /// Session tokens.
    pub const SESSION: &str = "session";
    /// References to files.
    pub const FILE: &str = "file";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_of_one_kind_is_none_of_another() {
        let keys = Keys::new(&Secrets::one("fake-secret-0123456789"));
        let file = FileRef { id: "ab".into(), name: "a b.png".into(), mime: "image/png".into(), size: 3 };
        let token = keys.seal(purpose::FILE, &file);
        assert_eq!(keys.open::<FileRef>(purpose::FILE, &token), Some(file));
        assert_eq!(keys.open::<FileRef>(purpose::SESSION, &token), None);
        let (body, tag) = token.split_once('.').expect("two halves");
        assert_eq!(keys.open::<FileRef>(purpose::FILE, &format!("{body}A.{tag}")), None);
        assert_eq!(keys.open::<FileRef>(purpose::FILE, "x"), None);
        assert!(keys.is_bearer(&keys.bearer()) && !keys.is_bearer(&keys.signature(b"")));
        let other = Keys::new(&Secrets::one("another-secret-0123456789"));
        assert!(!other.is_bearer(&keys.bearer()) && !other.signed(b"{}", &keys.signature(b"{}")));
        assert!(!Keys::new(&Secrets::default()).is_bearer(""));
    }
}

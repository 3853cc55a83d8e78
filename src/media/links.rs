//! Public links to media: signed, and good for a time. Who has one needs no key, as providers have none.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use fairway_adapters::contract::Time;

use super::blobs::Blobs;
use crate::clock;
use crate::store::{self, Store};

/// How long a link lives that nobody said more about, in milliseconds.
pub const DAY: i64 = 86_400_000;
const SETTING: &str = "media_link_key";

/// Makes and checks links.
#[derive(Clone)]
pub struct Links {
    key: hmac::Key,
    public_url: String,
}

/// Why a link opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// It is not one of ours.
    Forged,
    /// Its time is over.
    Over,
}

impl Links {
    /// Reads the key, or makes one at the first start.
    pub async fn open(store: &dyn Store, public_url: &str) -> Result<Self, store::Error> {
        let key = match store.setting(SETTING).await? {
            Some(key) => key,
            None => {
                let mut bytes = [0; 32];
                aws_lc_rs::rand::fill(&mut bytes).map_err(|_| store::Error("no random bytes can be had".into()))?;
                let key = BASE64_URL_SAFE_NO_PAD.encode(bytes);
                store.put_setting(SETTING, key.clone()).await?;
                key
            }
        };
        Ok(Self::with(key.as_bytes(), public_url))
    }

    fn with(key: &[u8], public_url: &str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), public_url: public_url.to_owned() }
    }

    /// A link to a media object, good until then.
    pub fn until(&self, id: &str, end: Time) -> String {
        let seconds = end.0.div_euclid(1000);
        let tag = hmac::sign(&self.key, content(id, seconds).as_bytes());
        format!("{}/m/{id}?exp={seconds}&sig={}", self.public_url, BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// A link for a provider. Whole hours, so that rendering a message twice gives the same bytes.
    pub fn for_a_day(&self, id: &str) -> String {
        const HOUR: i64 = 3_600_000;
        self.until(id, Time(((clock::now().0 + DAY) / HOUR + 1) * HOUR))
    }

    /// Makes links to what lies in the blobs, and none for what does not.
    pub fn of(&self, blobs: &Blobs) -> Arc<dyn Fn(&str) -> Option<String> + Send + Sync> {
        let (links, blobs) = (self.clone(), blobs.clone());
        Arc::new(move |id| blobs.find(id).map(|_| links.for_a_day(id)))
    }

    /// Checks a link's two parameters.
    pub fn check(&self, id: &str, exp: i64, sig: &str, now: Time) -> Result<(), Shut> {
        let tag = BASE64_URL_SAFE_NO_PAD.decode(sig).map_err(|_| Shut::Forged)?;
        hmac::verify(&self.key, content(id, exp).as_bytes(), &tag).map_err(|_| Shut::Forged)?;
        if exp.saturating_mul(1000) > now.0 { Ok(()) } else { Err(Shut::Over) }
    }
}

fn content(id: &str, exp: i64) -> String {
    format!("m.{id}.{exp}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_one_object_for_a_time() {
        let links = Links::with(b"key", "https://gw.example.org");
        let link = links.until("med_a", Time(10_000));
        let (path, sig) = link.split_once("&sig=").expect("a signature");
        assert_eq!(path, "https://gw.example.org/m/med_a?exp=10");
        assert_eq!(links.check("med_a", 10, sig, Time(9999)), Ok(()));
        assert_eq!(links.check("med_a", 10, sig, Time(10_000)), Err(Shut::Over));
        assert_eq!(links.check("med_b", 10, sig, Time(0)), Err(Shut::Forged));
        assert_eq!(links.check("med_a", 11, sig, Time(0)), Err(Shut::Forged));
        assert_eq!(links.check("med_a", 10, "", Time(0)), Err(Shut::Forged));
    }
}

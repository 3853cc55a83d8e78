//! RCS for Business through Google: one agent, its webhook behind a Pub/Sub envelope, and the RBM API.
//!
//! A person is `rcs:+NUMBER`; a plain `tel:` is taken too. The ids of our messages are UUIDs of our own making, so an
//! attempt repeated with the same id reaches the person once.
//!
//! The samples of Google's pages on events were read by it on 2026-11-29.

mod checks;
mod errors;
mod facts;
mod inbound;
mod outbound;
mod rich;
mod twin;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secret, Secrets,
    SentMessage, SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::object::Object;
use crate::kit::{address, crypto, entry, google};

const SCOPE: &str = "https://www.googleapis.com/auth/rcsbusinessmessaging";

/// The settings of an RCS channel: one agent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The agent's id, as `shop@rbm.goog`.
    pub agent_id: String,
    /// The JSON key file of the service account that sends.
    pub service_account_key: Secret,
    /// The webhook's client token; proves every delivery.
    pub client_token: Secrets,
    /// The agent's region; without it the global address is used.
    pub region: Option<Region>,
    /// What kind of traffic every message is, instead of what its category says.
    pub traffic_type: Option<Traffic>,
    /// Where Google's APIs are, for tests; stands for all their hosts.
    pub api_base: Option<String>,
}

/// Where an agent lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// North America.
    Us,
    /// Europe.
    Europe,
    /// Asia and the Pacific.
    Asia,
}

/// What a message is for; must fit the agent's use case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// One-time codes.
    Authentication,
    /// About something the person did.
    Transaction,
    /// Advertising.
    Promotion,
    /// An answer to the person.
    ServiceRequest,
    /// An answer to an opt-out and the like.
    Acknowledgement,
}

/// An agent.
pub struct Channel {
    settings: Settings,
    account: google::Account,
    keys: Vec<crypto::Key>,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let account = google::Account::read("service_account_key", &settings.service_account_key)?;
        if !settings.agent_id.contains('@') {
            return Err(SettingsError::new("agent_id", "not an agent's id", "copy it from the console: `name_abc@rbm.goog`"));
        }
        if settings.client_token.is_empty() {
            return Err(SettingsError::new("client_token", "empty", "put the token there that stands beside the webhook in the console"));
        }
        let keys = crypto::sha512_keys(&settings.client_token);
        Ok(Self { settings, account, keys })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.agent_id)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        // What follows the envelope is no part of the proof, and no part of what is read.
        let body = std::str::from_utf8(hook.body).ok().and_then(Object::first).ok_or(VerifyError::MISMATCH)?;
        let Some(data) = inbound::data(&body) else {
            // The console asks whether the address is ours, and wants 400 for a no.
            return match body.words("clientToken") {
                Some(token) if crypto::is_one_of(&self.settings.client_token, &token) => Ok(hook.verified()),
                Some(_) => Err(VerifyError::Mismatch { status: StatusCode::BAD_REQUEST }),
                None => Err(VerifyError::MISSING),
            };
        };
        let tag = hook.header("x-goog-signature").ok_or(VerifyError::MISSING)?;
        let tag = crypto::unbase64(tag).ok_or(VerifyError::MISMATCH)?;
        let data = crypto::unbase64(&data).ok_or(VerifyError::MISMATCH)?;
        if crypto::signed(&self.keys, &data, &tag) { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(hook)
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    fn login(&self, cx: &Context<'_>) -> Option<Call> {
        self.account.login(SCOPE, self.settings.api_base.as_deref(), cx.now)
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        google::logged_in(reply)
    }

    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        let url = address::stand_in(media.url.as_deref()?, self.settings.api_base.as_deref(), &["googleapis.com"]);
        Some(Call::get(url).redirects(3)) // The address bears its own proof.
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        match revision {
            Revision::Edit(_) => None,
            Revision::Recall => Some(self.revoked(sent, cx)),
        }
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        let (to, stamp, body) = match signal {
            Signalled::Typing { to, last } => {
                (to, format!("typing:{}:{}", last.unwrap_or_default(), cx.now.0), json!({ "eventType": "IS_TYPING" }))
            }
            Signalled::Read { to, message_id } => {
                (to, format!("read:{message_id}"), json!({ "eventType": "READ", "messageId": message_id }))
            }
        };
        let number = outbound::number(to)?;
        Some(self.authorised(Call::json(self.url(&number, "agentEvents", "eventId", &uuid(&[&number, &stamp])), &body), cx))
    }

    /// developers.google.com, RCS for Business, "Start conversations from an SMS deep link" (GSMA RCC.07 v14, 3.6.3.4), read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let mut link = entry::by_words(entry, |text| {
            let agent = format!("sms:{}", entry::escape(&self.settings.agent_id));
            entry::with(&agent, &[("body", text)])
        });
        link.notes.push("It opens in Google Messages with RCS on, from a button, a link or a QR code; elsewhere people see an error.");
        Some(Ok(link))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!(
            "In the RCS for Business console, open the agent's integrations, configure a webhook with the URL {} and the client token of this \
             channel's settings, and press Verify. Enable the API for the service account's project.",
            cx.hook_url
        ))
    }
}

impl Channel {
    fn base(&self) -> String {
        let region = match self.settings.region {
            Some(Region::Us) => "us-",
            Some(Region::Europe) => "europe-",
            Some(Region::Asia) => "asia-",
            None => "",
        };
        let base = self.settings.api_base.clone().unwrap_or_else(|| format!("https://{region}rcsbusinessmessaging.googleapis.com"));
        base.trim_end_matches('/').to_owned()
    }

    fn url(&self, number: &str, what: &str, name: &str, id: &str) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        format!("{}/v1/phones/{}/{what}?{name}={id}&agentId={}", self.base(), encode(number), encode(&self.settings.agent_id))
    }

    /// Takes a message back that no phone has yet: developers.google.com/business-communications/rcs-business-messaging/reference/rest/v1/phones.agentMessages/delete,
    /// read 2026-11-29.
    fn revoked(&self, sent: &SentMessage<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
        let plain = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let (Some(number), true) = (outbound::number(sent.to), plain(sent.provider_id)) else {
            return Err(RenderError::no_message("the id of an RCS message, a UUID"));
        };
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let (agent, number) = (encode(&self.settings.agent_id), encode(&number));
        let url = format!("{}/v1/phones/{number}/agentMessages/{}?agentId={agent}", self.base(), sent.provider_id);
        Ok(self.authorised(Call::new(Method::DELETE, url), cx))
    }

    fn authorised(&self, call: Call, cx: &Context<'_>) -> Call {
        match cx.login {
            Some(token) => call.bearer(token.reveal()),
            None => call,
        }
    }
}

/// A UUID (RFC 9562, version 8: of one's own making) that is the same for the same parts.
fn uuid(parts: &[&str]) -> String {
    let hex = crypto::fingerprint(parts);
    let piece = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-8{}-{}", piece(0, 8), piece(8, 12), piece(13, 16), piece(17, 20), piece(20, 32))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::contract::{Time, twin::Twin as _};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/r", login: None, keys: None };
    const DATA: &str =
        "eyJzZW5kZXJQaG9uZU51bWJlciI6IisxNTU1MDEwMDAwMSIsIm1lc3NhZ2VJZCI6Im0tMSIsImFnZW50SWQiOiJzaG9wQHJibS5nb29nIiwidGV4dCI6ImhlbGxvIn0=";
    const TAG: &str = "tE6da1wNfrkc8cf0FyqEiux3tuz7pN/QmhbgstpOkSK/AfcfBBOa0XfQr8f+1MsXkCtl4iNase6ZNHLWDYNHhw==";

    fn verified(body: &str, tag: Option<&str>) -> Result<(), VerifyError> {
        let mut settings = super::Twin::new(1).settings();
        settings.insert("client_token".into(), json!(["old", "fake-client-phrase"]));
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let mut headers = HeaderMap::new();
        if let Some(tag) = tag {
            headers.insert("x-goog-signature", tag.parse().expect("a header"));
        }
        let hook = Webhook { method: &Method::POST, url: CX.hook_url, query: "", headers: &headers, body: body.as_bytes() };
        channel.verify(hook, &CX).map(|_| ())
    }

    #[test]
    fn the_published_vector_holds() {
        let body = |data: &str| format!(r#"{{"message":{{"data":"{data}","messageId":"1"}}}}"#);
        assert!(verified(&body(DATA), Some(TAG)).is_ok());
        assert!(matches!(verified(&body(DATA), None), Err(VerifyError::Missing { .. })));
        assert!(matches!(verified(&body(&DATA.replacen("IisxNTU1", "IisxNTU2", 1)), Some(TAG)), Err(VerifyError::Mismatch { .. })));
        assert!(matches!(verified(&body("*"), Some(TAG)), Err(VerifyError::Mismatch { .. })));
        // A token beside unsigned data proves nothing.
        let both = format!(r#"{{"clientToken":"fake-client-phrase","secret":"s","message":{{"data":"{DATA}"}}}}"#);
        assert!(verified(&both, None).is_err());
    }

    #[test]
    fn a_handshake_wants_our_token() {
        assert!(verified(r#"{"clientToken":"fake-client-phrase","secret":"s"}"#, None).is_ok());
        assert!(verified(r#"{"clientToken":"old","secret":"s"}"#, None).is_ok());
        let wrong = verified(r#"{"clientToken":"other","secret":"s"}"#, None).err().map(|e| e.status().as_u16());
        assert_eq!(wrong, Some(400));
        assert!(matches!(verified("{}", None), Err(VerifyError::Missing { .. })));
    }

    #[test]
    fn an_id_is_a_uuid_and_stays_the_same() {
        let id = uuid(&["msg_1", "0"]);
        assert_eq!((id.len(), &id[14..15], &id[19..20]), (36, "8", "8"));
        assert_eq!(id, uuid(&["msg_1", "0"]));
        assert_ne!(id, uuid(&["msg_1", "1"]));
    }
}

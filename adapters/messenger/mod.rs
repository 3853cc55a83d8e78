//! Messenger: Facebook Pages, their conversations and their public comments.
//!
//! A person's address is the page-scoped id (`messenger:3300`). `messenger:comment/ID` and `messenger:post/ID` answer a
//! public comment or post in private, `messenger:user_ref/REF` a person who ticked a box of a plugin.
//!
//! The twin's signatures are checked by `pywa`, which knows Meta's (`tests/sdks/python/check_whatsapp.py`).
//!
//! Deliveries recorded in the tests of restfb and courier, and the samples of Meta's reference, were read by it on 2026-11-29.

mod checks;
mod errors;
mod facts;
mod feed;
mod outbound;
mod templates;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError,
    Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::inbox::{self, Kind, Reader};
use crate::kit::{crypto, entry, hub};

/// The settings of a Messenger channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The Page's id. Deliveries are routed by it.
    pub page_id: String,
    /// The Page's user name, for links that start a conversation; its id stands in them when absent.
    pub page_name: Option<String>,
    /// A long-lived Page token with `pages_messaging`.
    pub page_access_token: Secret,
    /// The app's id: tells our own echoes from others', and registers the webhook.
    pub app_id: Option<String>,
    /// The Meta app's secret: deliveries are signed with it. Old and new while rotating.
    #[serde(default)]
    pub app_secret: Secrets,
    /// Any text; Meta repeats it when it checks the webhook's address.
    #[serde(default)]
    pub verify_token: Secrets,
    /// The Graph API's version, such as `v25.0`.
    pub api_version: Option<String>,
    /// Whether the app demands a proof of its secret with every call.
    #[serde(default)]
    pub require_appsecret_proof: bool,
    /// Where the Graph API is, for a stand-in.
    pub api_base: Option<String>,
}

/// A Page.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    base: String,
    /// Hex, when the app demands it.
    proof: Option<String>,
}

const KIND: Kind = Kind { scheme: "messenger", name: "Messenger", object: "page", posts_are_files: false };

const VERSION: &str = "v25.0";

/// What the Page's subscription names: everything `parse` understands.
const FIELDS: &str = "messages,message_echoes,message_edits,message_reactions,messaging_postbacks,messaging_referrals,messaging_optins,\
messaging_optouts,message_deliveries,message_reads,messaging_account_linking,messaging_handovers,standby,messaging_policy_enforcement,\
messaging_feedback,feed,mention,ratings";

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if settings.page_id.is_empty() || !settings.page_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(SettingsError::new("page_id", "not an id", "copy the Page's id: digits"));
        }
        let Some(base) = hub::base(settings.api_base.as_deref(), settings.api_version.as_deref().unwrap_or(VERSION)) else {
            return Err(SettingsError::new("api_version", "not a version of the Graph API", "write it as `v25.0`"));
        };
        let keys = crypto::sha256_keys(&settings.app_secret);
        let proof = match keys.first() {
            _ if !settings.require_appsecret_proof => None,
            Some(key) => Some(crypto::hex(&crypto::sign(key, settings.page_access_token.reveal().as_bytes()))),
            None => return Err(SettingsError::new("app_secret", "missing", "`require_appsecret_proof` needs it")),
        };
        Ok(Self { settings, keys, base, proof })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.page_id)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        hub::verify(hook, &self.keys, &self.settings.verify_token)
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        hub::handshake(hook.hook()).unwrap_or_else(|| {
            let reader = Reader { kind: KIND, app: self.settings.app_id.as_deref() };
            inbox::parse(reader, hook, feed::change)
        })
    }

    fn render(&self, message: &Outbound<'_>, _cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    /// The link is signed: no token goes with it.
    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        let (link, _) = hub::file(media.url.as_deref()?, self.settings.api_base.as_deref());
        Some(Call::get(link).redirects(3))
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        let call = Call::get(self.url("?fields=id,name"));
        Some(self.authorised(call))
    }

    /// developers.facebook.com, Messenger Platform, "m.me Links", read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let page = self.settings.page_name.as_deref().unwrap_or(&self.settings.page_id);
        let mut link = entry::by_parameter(&format!("https://m.me/{}", entry::escape(page)), "ref", None, entry);
        if entry.referral.is_some() {
            link.notes.push("Of somebody new the referral comes back when they press Get Started: the Page needs that button.");
        }
        Some(Ok(link))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let s = &self.settings;
        let (Some(app), false, false) = (&s.app_id, s.app_secret.is_empty(), s.verify_token.is_empty()) else {
            return Setup::ByHand(format!(
                "Set `app_id`, `app_secret` and `verify_token` to register it from here; or enter {} in the app's Messenger settings with \
                 your verify token, and subscribe the Page to messages, message_echoes, message_deliveries, message_reads and the rest.",
                cx.hook_url
            ));
        };
        let fields = [("object", "page"), ("callback_url", cx.hook_url), ("verify_token", s.verify_token.first()), ("fields", FIELDS)];
        let subscribe =
            Call::form(format!("{}/{app}/subscriptions", self.base), &fields).bearer(&format!("{app}|{}", s.app_secret.first()));
        let page = Call::form(self.url("/subscribed_apps"), &[("subscribed_fields", FIELDS)]);
        Setup::Calls(vec![subscribe, self.authorised(page)])
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        let (to, action) = match signal {
            Signalled::Typing { to, .. } => (to, "typing_on"),
            Signalled::Read { to, .. } => (to, "mark_seen"),
        };
        let recipient = outbound::recipient(to.split('#').next()?)?;
        Some(self.send(&json!({ "recipient": recipient, "sender_action": action })))
    }
}

impl Channel {
    /// Below the Page.
    fn url(&self, path: &str) -> String {
        format!("{}/{}{path}", self.base, self.settings.page_id)
    }

    /// A call of the Send API.
    fn send(&self, body: &serde_json::Value) -> Call {
        self.authorised(Call::json(self.url("/messages"), body))
    }

    fn authorised(&self, mut call: Call) -> Call {
        if let Some(proof) = &self.proof {
            call.url.push(if call.url.contains('?') { '&' } else { '?' });
            call.url.push_str("appsecret_proof={secret}");
            call = call.url_secret(proof);
        }
        call.bearer(self.settings.page_access_token.reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::{Act, Request, Twin as _};
    use crate::contract::{CallBody, Fetched, Field, Time, Verdict};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/m", login: None, keys: None };

    fn played() -> (super::Twin, Channel) {
        let twin = super::Twin::new(3);
        let mut settings = twin.settings();
        settings.insert("api_base".into(), "http://twin.test/".into());
        (twin, <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings"))
    }

    /// The request as the twin's host would see it; files are one pixel.
    fn request(call: &Call) -> Request {
        let url = call.full_url();
        let rest = url.trim_start_matches("http://twin.test");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut headers = call.header_map();
        let body = match &call.body {
            CallBody::Bytes(bytes) => bytes.to_vec(),
            CallBody::Empty | CallBody::Pieces { .. } => Vec::new(),
            CallBody::Multipart(fields) => {
                headers.insert("content-type", "multipart/form-data; boundary=x1".parse().expect("ASCII"));
                let mut body = Vec::new();
                for field in fields {
                    let (head, value) = match field {
                        Field::Text { name, value } => (format!("name=\"{name}\""), value.as_bytes()),
                        Field::Media { name, filename, .. } => {
                            (format!("name=\"{name}\"; filename=\"{filename}\""), crate::kit::sample::PNG)
                        }
                    };
                    body.extend(format!("--x1\r\ncontent-disposition: form-data; {head}\r\n\r\n").as_bytes());
                    body.extend(value);
                    body.extend(b"\r\n");
                }
                body.extend(b"--x1--\r\n");
                body
            }
        };
        Request { method: call.method.clone(), path: path.to_owned(), query: query.to_owned(), headers, body: body.into() }
    }

    #[test]
    fn the_proof_is_the_tokens_signature() {
        let settings = json!({ "page_id": "8100", "page_access_token": "page-token-example", "app_secret": "example-app-secret",
            "require_appsecret_proof": true });
        let settings = settings.as_object().cloned().expect("an object");
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let call = channel.send(&json!({}));
        let proof = "dda9f1295c42d61b2fb5f03546350b76c86c5eed5846d54fb512ace7cdf57a58";
        assert!(call.full_url().ends_with(&format!("/8100/messages?appsecret_proof={proof}")));
        assert!(!format!("{call:?}").contains(proof));
    }

    #[test]
    fn a_picture_of_a_person_is_fetched_by_its_link() {
        let (mut twin, channel) = played();
        let draft = twin.act("messenger:3300", &Act::Image("look".into()), Time(1)).remove(0);
        let body: serde_json::Value = serde_json::from_slice(&draft.body).expect("JSON");
        let link = body.pointer("/entry/0/messaging/0/message/attachments/0/payload/url").and_then(|u| u.as_str()).expect("a link");
        let media = MediaRef { url: Some(link.to_owned()), ..MediaRef::default() };
        let call = channel.fetch(&media, &CX).expect("a call");
        assert!(call.secret_headers.is_empty());
        let reply = twin.answer(&request(&call), Time(0)).reply;
        assert!(matches!(channel.fetched(&call, &reply, &CX), Fetched::Bytes));
        assert!(reply.body.starts_with(b"\x89PNG"));
    }

    #[test]
    fn a_file_of_the_gateway_is_uploaded_and_then_sent() {
        let (mut twin, channel) = played();
        let part = json!({ "type": "image", "media": { "id": "med_1", "mime_type": "image/png" } });
        let parts = vec![serde_json::from_value(part).expect("a part")];
        let native = serde_json::Map::new();
        let message = Outbound {
            id: "msg_1",
            to: "messenger:3300",
            thread: None,
            parts: &parts,
            template: None,
            category: crate::contract::Category::Service,
            reply_to: None,
            handle: None,
            author: None,
            expires_at: None,
            native: &native,
        };
        let upload = channel.render(&message, &CX).expect("it renders").calls.remove(0);
        let reply = twin.answer(&request(&upload), Time(0)).reply;
        let Step::Call(send) = channel.classify(&upload, &reply) else { panic!("no second step: {reply:?}") };
        let answer = twin.answer(&request(&send), Time(0));
        assert!(matches!(channel.classify(&send, &answer.reply), Step::Done(Verdict::Accept { .. })), "{:?}", answer.reply);
        assert_eq!(answer.accepted[0].our_id.as_deref(), Some("msg_1"));
    }

    #[test]
    fn the_webhook_is_registered_and_signals_are_understood() {
        let (mut twin, channel) = played();
        let Setup::Calls(calls) = channel.setup(&CX) else { panic!("it can be registered") };
        let to = "messenger:3300";
        let signals = [Signalled::Typing { to, last: None }, Signalled::Read { to, message_id: "m_1" }];
        let signals = signals.into_iter().filter_map(|s| channel.signal(s, &CX));
        for call in calls.into_iter().chain(channel.probe(&CX)).chain(signals) {
            assert!(twin.counts(&request(&call)).is_none());
            assert_eq!(twin.answer(&request(&call), Time(0)).reply.status, 200, "{call:?}");
        }
    }
}

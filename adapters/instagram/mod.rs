//! Instagram: professional accounts, their conversations, stories and public comments.
//!
//! A person's address is the Instagram-scoped id (`instagram:6600`). `instagram:comment/ID` answers a public comment in
//! private, `instagram:media/ID` writes publicly under a post of ours (with `reply_to`, to that comment), and
//! `instagram:mention/ID` answers where somebody mentioned us.
//!
//! The twin's signatures are checked by `pywa`, which knows Meta's (`tests/sdks/python/check_whatsapp.py`).
//!
//! Deliveries recorded in the tests and issues of restfb and chatwoot, the dashboard's tests among them, were read by it on 2026-11-29.

mod checks;
mod comments;
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
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError,
    Setup, Signalled, Step, Time, Verified, VerifyError, Webhook,
};
use crate::kit::inbox::{self, Kind, Reader};
use crate::kit::{crypto, entry, hub};

/// Through which of the platform's two log-ins the account was connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flavour {
    /// The account's own log-in: no Page is needed, and the token is the account's.
    #[serde(alias = "A")]
    Instagram,
    /// The log-in of the Page the account is linked to: the token is the Page's.
    #[serde(alias = "B")]
    Facebook,
}

/// The settings of an Instagram channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// `instagram` or `facebook`; when absent, `facebook` with a `page_id` and `instagram` without.
    pub flavour: Option<Flavour>,
    /// The professional account's id. Deliveries are routed by it.
    pub ig_id: String,
    /// The account's name, without `@`: links that start a conversation lead to it.
    pub username: Option<String>,
    /// The linked Page's id, for the Page's log-in.
    pub page_id: Option<String>,
    /// The account's long-lived token (60 days), or the Page's.
    pub access_token: Secret,
    /// When the account's token ends, RFC 3339: `fairway check` warns before.
    pub token_expires_at: Option<Time>,
    /// The app's id: registers the webhook.
    pub app_id: Option<String>,
    /// The secrets deliveries may be signed with: the Meta app's and the Instagram product's. Old and new while rotating.
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

/// A professional account.
pub struct Channel {
    settings: Settings,
    flavour: Flavour,
    keys: Vec<crypto::Key>,
    base: String,
    /// Whose inbox calls name: the account's or the Page's.
    inbox: String,
    /// Hex, when the app demands it.
    proof: Option<String>,
}

const KIND: Kind = Kind { scheme: "instagram", name: "Instagram", object: "instagram", posts_are_files: true };

const VERSION: &str = "v25.0";

/// What the subscription names: everything `parse` understands. The two log-ins spell some of it differently.
const FIELDS: &str = "messages,message_reactions,messaging_postbacks,messaging_referral,messaging_seen,message_edit,messaging_optins,\
messaging_handover,standby,comments,live_comments,mentions";

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_id(&settings.ig_id) {
            return Err(SettingsError::new("ig_id", "not an id", "copy the professional account's id: digits, not the @name"));
        }
        if settings.page_id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(SettingsError::new("page_id", "not an id", "copy the Page's id: digits"));
        }
        let flavour = settings.flavour.unwrap_or(if settings.page_id.is_some() { Flavour::Facebook } else { Flavour::Instagram });
        let (host, inbox) = match (flavour, &settings.page_id) {
            (Flavour::Instagram, _) => ("https://graph.instagram.com", settings.ig_id.clone()),
            (Flavour::Facebook, Some(page)) => ("https://graph.facebook.com", page.clone()),
            (Flavour::Facebook, None) => {
                return Err(SettingsError::new("page_id", "missing", "the Page's log-in needs the linked Page's id"));
            }
        };
        let api_base = settings.api_base.as_deref().unwrap_or(host);
        let Some(base) = hub::base(Some(api_base), settings.api_version.as_deref().unwrap_or(VERSION)) else {
            return Err(SettingsError::new("api_version", "not a version of the Graph API", "write it as `v25.0`"));
        };
        let keys = crypto::sha256_keys(&settings.app_secret);
        let proof = match keys.first() {
            _ if !settings.require_appsecret_proof => None,
            Some(key) => Some(crypto::hex(&crypto::sign(key, settings.access_token.reveal().as_bytes()))),
            None => return Err(SettingsError::new("app_secret", "missing", "`require_appsecret_proof` needs it")),
        };
        Ok(Self { settings, flavour, keys, base, inbox, proof })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.ig_id)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        hub::verify(hook, &self.keys, &self.settings.verify_token)
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        hub::handshake(hook.hook()).unwrap_or_else(|| {
            let reader = Reader { kind: KIND, app: self.settings.app_id.as_deref() };
            inbox::parse(reader, hook, comments::change)
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
        let fields = if self.flavour == Flavour::Instagram { "user_id,username" } else { "id,name" };
        Some(self.authorised(Call::get(format!("{}/{}?fields={fields}", self.base, self.inbox))))
    }

    /// The account subscribes by a call; the app's own address is registered where the app's id and secret are known.
    fn setup(&self, cx: &Context<'_>) -> Setup {
        let s = &self.settings;
        let (Some(app), false, false) = (&s.app_id, s.app_secret.is_empty(), s.verify_token.is_empty()) else {
            return Setup::ByHand(format!(
                "Set `app_id`, `app_secret` and `verify_token` to register it from here; or enter {} under Webhooks > Instagram in the \
                 app's dashboard with your verify token, subscribe to {FIELDS}, and switch message access on in the Instagram app.",
                cx.hook_url
            ));
        };
        let fields = [("object", "instagram"), ("callback_url", cx.hook_url), ("verify_token", s.verify_token.first()), ("fields", FIELDS)];
        let apps = self.base.replace("https://graph.instagram.com", "https://graph.facebook.com");
        let subscribe = Call::form(format!("{apps}/{app}/subscriptions"), &fields).bearer(&format!("{app}|{}", s.app_secret.first()));
        // A Page is installed with a field of its own; which Instagram fields come is chosen above.
        let named = if self.flavour == Flavour::Instagram { FIELDS } else { "feed" };
        let account = Call::form(format!("{}/{}/subscribed_apps", self.base, self.inbox), &[("subscribed_fields", named)]);
        Setup::Calls(vec![subscribe, self.authorised(account)])
    }

    /// developers.facebook.com, Instagram Messaging, "Using ig.me Links", read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let Some(name) = self.settings.username.as_deref().map(|name| name.trim_start_matches('@')).filter(|name| !name.is_empty()) else {
            return Some(Err(EntryLink::lacks("set `username`, the account's name without its @: the link leads to it")));
        };
        let mut link = entry::by_parameter(&format!("https://ig.me/m/{}", entry::escape(name)), "ref", None, entry);
        if entry.referral.is_some() {
            link.notes.push("Of somebody new the referral comes back when they press an ice breaker: the account needs some.");
        }
        Some(Ok(link))
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        let (to, action) = match signal {
            Signalled::Typing { to, .. } => (to, "typing_on"),
            Signalled::Read { to, .. } => (to, "mark_seen"),
        };
        let recipient = outbound::recipient(to.split('#').next()?)?;
        let body = json!({ "recipient": recipient, "sender_action": action });
        Some(self.authorised(Call::json(self.messages(), &body)))
    }
}

impl Channel {
    /// Where messages go.
    fn messages(&self) -> String {
        format!("{}/{}/messages", self.base, self.inbox)
    }

    fn authorised(&self, mut call: Call) -> Call {
        if let Some(proof) = &self.proof {
            call.url.push(if call.url.contains('?') { '&' } else { '?' });
            call.url.push_str("appsecret_proof={secret}");
            call = call.url_secret(proof);
        }
        call.bearer(self.settings.access_token.reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Fetched;
    use crate::contract::twin::{Act, Request, Twin as _};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/i", login: None, keys: None };

    fn bound(more: serde_json::Value) -> Channel {
        let mut settings = super::Twin::new(3).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    fn request(call: &Call) -> Request {
        let url = call.full_url();
        let rest = url.trim_start_matches("http://twin.test");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let body = call.body_bytes().to_vec().into();
        Request { method: call.method.clone(), path: path.to_owned(), query: query.to_owned(), headers: call.header_map(), body }
    }

    #[test]
    fn the_published_vectors_hold() {
        let body = br#"{"object":"instagram","entry":[{"id":"17840000000000001","time":1790000000123,"messaging":[{"sender":{"id":"6600"},"recipient":{"id":"17840000000000001"},"timestamp":1790000000000,"message":{"mid":"aWdTEST1","text":"hey"}}]}]}"#;
        let (_, tag) = hub::signature("example-app-secret", body);
        assert_eq!(tag, "sha256=00b728c373e8d52c2ccf13c5797c471dc6de2d9307c6aff0bf7ac489b0c4973f");
        let channel =
            bound(json!({ "access_token": "ig-token-example", "app_secret": "example-app-secret", "require_appsecret_proof": true }));
        let call = channel.probe(&CX).expect("a call");
        let proof = "66a7e91dfd342c3124041e7d4880089e419e1d2b22113245b69f1767c47d6a84";
        assert!(call.full_url().ends_with(&format!("&appsecret_proof={proof}")));
        assert!(!format!("{call:?}").contains(proof));
    }

    #[test]
    fn each_log_in_has_its_host_and_inbox() {
        let own = bound(json!({}));
        assert_eq!(own.messages(), format!("https://graph.instagram.com/v25.0/{}/messages", own.settings.ig_id));
        let page = bound(json!({ "page_id": "8100" }));
        assert_eq!(page.messages(), "https://graph.facebook.com/v25.0/8100/messages");
        let mut settings = super::Twin::new(3).settings();
        settings.insert("flavour".into(), "facebook".into());
        let error = <Channel as Adapter>::bind(crate::contract::Settings(settings)).err().expect("a Page is missing");
        assert_eq!(error.key, "page_id");
    }

    #[test]
    fn pictures_are_fetched_and_set_up_and_signals_are_understood() {
        let mut twin = super::Twin::new(3);
        let channel = bound(json!({ "api_base": "http://twin.test" }));
        let draft = twin.act("instagram:6600", &Act::Image(String::new()), Time(1)).remove(0);
        let body: serde_json::Value = serde_json::from_slice(&draft.body).expect("JSON");
        let link = body.pointer("/entry/0/messaging/0/message/attachments/0/payload/url").and_then(|u| u.as_str()).expect("a link");
        let call = channel.fetch(&MediaRef { url: Some(link.to_owned()), ..MediaRef::default() }, &CX).expect("a call");
        assert!(call.secret_headers.is_empty());
        let reply = twin.answer(&request(&call), Time(0)).reply;
        assert!(matches!(channel.fetched(&call, &reply, &CX), Fetched::Bytes) && reply.body.starts_with(b"\x89PNG"));
        let Setup::Calls(calls) = channel.setup(&CX) else { panic!("it can be registered") };
        let to = "instagram:6600";
        let signals = [Signalled::Typing { to, last: None }, Signalled::Read { to, message_id: "m_1" }];
        let signals = signals.into_iter().filter_map(|s| channel.signal(s, &CX));
        for call in calls.into_iter().chain(channel.probe(&CX)).chain(signals) {
            assert!(twin.counts(&request(&call)).is_none());
            assert_eq!(twin.answer(&request(&call), Time(0)).reply.status, 200, "{call:?}");
        }
    }
}

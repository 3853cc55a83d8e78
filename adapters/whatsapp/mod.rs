//! WhatsApp: business numbers on Meta's Cloud API.
//!
//! A person's address is the business-scoped id where the delivery has one (`whatsapp:US.4401`), else the number
//! (`whatsapp:+15557772222`); both are understood outbound. A group's address is its id.
//!
//! Checked against `pywa` (`tests/sdks/python/check_whatsapp.py`): signatures in both directions, its types on the twin's deliveries and
//! receipts, its client and its errors on the twin, its requests beside ours.
//!
//! Deliveries recorded in the tests of pywa, restfb, courier and chatwoot, and in issues of SDKs, were read by it on 2026-11-29.

mod account;
mod address;
mod calls;
mod checks;
mod content;
mod errors;
mod facts;
mod history;
mod inbound;
mod interactive;
mod media;
mod outbound;
mod receipts;
mod templates;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Fetched, MediaRef, Outbound, Pace, Parsed, RenderError, Rendered, Reply, Scope, Secret,
    Secrets, SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::{crypto, entry, hub};

/// The settings of a WhatsApp channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The sender's id (not the number): in WhatsApp Manager under the number. Deliveries are routed by it.
    pub phone_number_id: String,
    /// The WhatsApp Business Account's id; needed to register the webhook.
    pub waba_id: Option<String>,
    /// A system user's or business token with `whatsapp_business_messaging`.
    pub access_token: Secret,
    /// The app's id; needed to register the webhook.
    pub app_id: Option<String>,
    /// The Meta app's secret: deliveries are signed with it. Old and new while rotating.
    #[serde(default)]
    pub app_secret: Secrets,
    /// Any text; Meta repeats it when it checks the webhook's address.
    #[serde(default)]
    pub verify_token: Secrets,
    /// The Graph API's version, such as `v25.0`.
    pub api_version: Option<String>,
    /// The number itself, for people.
    pub display_phone_number: Option<String>,
    /// Whether the number is also used in the WhatsApp Business app, which limits it to 20 messages a second.
    #[serde(default)]
    pub coexistence: bool,
    /// Messages a second, both directions, when it is not 80: 1000 after Meta's upgrade.
    pub throughput_mps: Option<u32>,
    /// The business portfolio, when several numbers of it are configured: they share the limit of people a day.
    pub portfolio_id: Option<String>,
    /// Whether marketing templates go by the Marketing Messages API.
    #[serde(default)]
    pub marketing_messages: bool,
    /// The private key of encrypted Flows, PEM.
    pub private_key: Option<Secret>,
    /// Where the Graph API is, for a stand-in.
    pub api_base: Option<String>,
}

/// A business number.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    paces: Option<Vec<Pace>>,
    base: String,
}

const VERSION: &str = "v25.0";

/// What the app subscribes to: everything `parse` understands.
const FIELDS: &str = "messages,smb_message_echoes,smb_app_state_sync,history,user_preferences,user_id_update,calls,\
group_lifecycle_update,group_participants_update,group_settings_update,group_status_update,message_template_status_update,\
message_template_quality_update,message_template_components_update,template_category_update,account_update,\
phone_number_quality_update,business_capability_update,account_alerts,account_review_update,phone_number_name_update,security,flows";

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let plain = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !plain(&settings.phone_number_id) {
            return Err(SettingsError::new("phone_number_id", "not an id", "copy it from WhatsApp Manager: digits, not the number"));
        }
        let Some(base) = hub::base(settings.api_base.as_deref(), settings.api_version.as_deref().unwrap_or(VERSION)) else {
            return Err(SettingsError::new("api_version", "not a version of the Graph API", "write it as `v25.0`"));
        };
        if settings.throughput_mps == Some(0) {
            return Err(SettingsError::new("throughput_mps", "zero sends nothing", "use 20, 80 or 1000, or leave it out"));
        }
        let rate = settings.throughput_mps.or(settings.coexistence.then_some(facts::COEXISTENCE));
        let sender = |count| Pace { scope: Scope::Sender, count, window_ms: 1_000, burst: 1, ..FACTS.paces[0] };
        let paces = rate.map(|count| vec![sender(count), facts::PAIR]);
        let keys = crypto::sha256_keys(&settings.app_secret);
        Ok(Self { keys, paces, base, settings })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.phone_number_id)
    }

    fn limit_group(&self) -> Option<&str> {
        self.settings.portfolio_id.as_deref()
    }

    fn paces(&self) -> Option<&[Pace]> {
        self.paces.as_deref()
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        hub::verify(hook, &self.keys, &self.settings.verify_token)
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        hub::handshake(hook.hook()).unwrap_or_else(|| inbound::parse(hook))
    }

    fn render(&self, message: &Outbound<'_>, _cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        media::fetch(self, media)
    }

    fn fetched(&self, call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        media::fetched(self, call, reply)
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        let fields = "fields=display_phone_number,verified_name,quality_rating,throughput";
        Some(self.authorised(Call::get(format!("{}?{fields}", self.url("")))))
    }

    /// WhatsApp's click to chat, as walinktool.com/blog/wa-me-link-format-explained describes it, read 2026-11-29: digits alone, and a
    /// text; nothing else comes along.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let number = self.settings.display_phone_number.as_deref().unwrap_or_default();
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        if digits.is_empty() {
            return Some(Err(EntryLink::lacks("set `display_phone_number`, the number with its country code: the link leads to it")));
        }
        Some(Ok(entry::by_words(entry, |text| entry::with(&format!("https://wa.me/{digits}"), &[("text", text)]))))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let s = &self.settings;
        let (Some(waba), Some(app), false, false) = (&s.waba_id, &s.app_id, s.app_secret.is_empty(), s.verify_token.is_empty()) else {
            return Setup::ByHand(format!(
                "Set `waba_id`, `app_id`, `app_secret` and `verify_token` to register it from here; or enter {} in the app's WhatsApp \
                 configuration with your verify token, subscribe to `messages`, and subscribe the app to the WhatsApp Business Account.",
                cx.hook_url
            ));
        };
        let fields = [
            ("object", "whatsapp_business_account"),
            ("callback_url", cx.hook_url),
            ("verify_token", s.verify_token.first()),
            ("fields", FIELDS),
        ];
        let subscribe =
            Call::form(format!("{}/{app}/subscriptions", self.base), &fields).bearer(&format!("{app}|{}", s.app_secret.first()));
        let account = Call::new(http::Method::POST, format!("{}/{waba}/subscribed_apps", self.base)).bearer(s.access_token.reveal());
        Setup::Calls(vec![subscribe, account])
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        let (id, typing) = match signal {
            Signalled::Typing { last, .. } => (last?, true),
            Signalled::Read { message_id, .. } => (message_id, false),
        };
        if id.is_empty() {
            return None;
        }
        let mut body = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": id });
        if typing {
            body["typing_indicator"] = json!({ "type": "text" });
        }
        Some(self.authorised(Call::json(self.url("/messages"), &body)))
    }
}

impl Channel {
    /// Below the sender.
    fn url(&self, path: &str) -> String {
        format!("{}/{}{path}", self.base, self.settings.phone_number_id)
    }

    fn authorised(&self, call: Call) -> Call {
        call.bearer(self.settings.access_token.reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::{Request, Twin as _};
    use crate::contract::{CallBody, Field, Time, Verdict};

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/w", login: None, keys: None };

    fn played(more: &[(&str, serde_json::Value)]) -> (super::Twin, Channel) {
        let twin = super::Twin::new(3);
        let mut settings = twin.settings();
        settings.insert("api_base".into(), "http://twin.test/".into());
        settings.extend(more.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        (twin, <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings"))
    }

    /// The request as the twin's host would see it; files are one pixel.
    fn request(call: &Call) -> Request {
        let url = call.full_url();
        let (path, query) =
            url.trim_start_matches("http://twin.test").split_once('?').unwrap_or((url.trim_start_matches("http://twin.test"), ""));
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
    fn a_picture_of_a_person_is_fetched_in_two_steps() {
        let (mut twin, channel) = played(&[]);
        let draft = twin.act("whatsapp:+15557772222", &crate::contract::twin::Act::Image("look".into()), Time(0)).remove(0);
        let body: serde_json::Value = serde_json::from_slice(&draft.body).expect("JSON");
        let id = body.pointer("/entry/0/changes/0/value/messages/0/image/id").and_then(|id| id.as_str()).expect("an id");
        let media = MediaRef { id: id.to_owned(), ..MediaRef::default() };
        let first = channel.fetch(&media, &CX).expect("a call");
        let reply = twin.answer(&request(&first), Time(0)).reply;
        let Fetched::Call(second) = channel.fetched(&first, &reply, &CX) else { panic!("no second step: {reply:?}") };
        let reply = twin.answer(&request(&second), Time(0)).reply;
        assert!(matches!(channel.fetched(&second, &reply, &CX), Fetched::Bytes));
        assert!(reply.body.starts_with(b"\x89PNG"));
        assert!(matches!(channel.fetched(&second, &Reply::json(404, &json!({})), &CX), Fetched::Later));
        assert!(matches!(channel.fetched(&first, &Reply::json(400, &json!({})), &CX), Fetched::Gone(_)));
    }

    #[test]
    fn the_token_goes_to_the_providers_hosts_alone() {
        let mut settings = super::Twin::new(3).settings();
        settings.insert("access_token".into(), "fake".into());
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let with_token = |link: &str| {
            let media = MediaRef { url: Some(link.to_owned()), ..MediaRef::default() };
            !channel.fetch(&media, &CX).expect("a call").secret_headers.is_empty()
        };
        assert!(with_token("https://lookaside.fbsbx.com/x"));
        for elsewhere in ["https://evilfbsbx.com/x", "https://fbsbx.com.evil.test/x", "http://lookaside.fbsbx.com/x"] {
            assert!(!with_token(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_file_of_the_gateway_is_uploaded_and_then_sent() {
        let (mut twin, channel) = played(&[]);
        for part in [
            json!({ "type": "image", "media": { "id": "med_1", "mime_type": "image/png" }, "caption": "look" }),
            json!({ "type": "choices", "text": "Which?", "options": [{ "title": "A" }], "media": { "id": "med_1", "mime_type": "image/png" } }),
        ] {
            let parts = vec![serde_json::from_value(part).expect("a part")];
            let native = serde_json::Map::new();
            let message = Outbound {
                id: "msg_1",
                to: "whatsapp:+15557772222",
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
            assert!(matches!(channel.classify(&upload, &Reply::json(500, &json!({}))), Step::Done(Verdict::Retry(_))));
        }
    }

    #[test]
    fn the_webhook_is_registered_and_signals_are_understood() {
        let (mut twin, channel) = played(&[]);
        let Setup::Calls(calls) = channel.setup(&CX) else { panic!("it can be registered") };
        for call in calls.iter().chain(&channel.probe(&CX)) {
            assert_eq!(twin.answer(&request(call), Time(0)).reply.status, 200, "{call:?}");
        }
        let to = "whatsapp:+15557772222";
        for signal in [Signalled::Typing { to, last: Some("wamid.1") }, Signalled::Read { to, message_id: "wamid.1" }] {
            let call = channel.signal(signal, &CX).expect("a call");
            assert!(twin.counts(&request(&call)).is_none());
            assert_eq!(twin.answer(&request(&call), Time(0)).reply.status, 200, "{call:?}");
        }
        assert!(channel.signal(Signalled::Typing { to, last: None }, &CX).is_none());
    }

    /// As Meta tells most people since 2026; `pywa` takes no others.
    #[test]
    fn a_person_with_both_names_is_the_stable_one() {
        use crate::contract::{Body, twin::Act};

        let (mut twin, channel) = played(&[]);
        let drafts = twin.act("whatsapp:+15550190201", &Act::Text("hello".into()), Time(0));
        let draft = twin.sign("", drafts.into_iter().next().expect("a delivery"));
        let headers = draft.headers.iter().map(|(n, v)| (n.parse().expect("a name"), v.parse().expect("ASCII"))).collect();
        let hook = Webhook { method: &draft.method, url: "", query: "", headers: &headers, body: &draft.body };
        let verified = channel.verify(hook, &CX).expect("signed");
        let event = channel.parse(&verified, &CX).events.remove(0);
        let Body::Received(received) = event.body else { panic!("not a message: {event:?}") };
        assert_eq!(received.from.address, "whatsapp:US.15550190201");
        assert!(received.from.also.iter().any(|a| *a == "tel:+15550190201" || *a == "whatsapp:+15550190201"), "{:?}", received.from.also);
    }

    #[test]
    fn too_many_to_one_person_hold_that_person_alone() {
        let (twin, channel) = played(&[]);
        let scope = |reply: &Reply| match channel.classify(&Call::get("x"), reply) {
            Step::Done(Verdict::Throttle { scope, .. }) => Some(scope),
            _ => None,
        };
        assert_eq!(scope(&twin.throttled_pair(0)), Some(Scope::Conversation));
        assert_eq!(scope(&twin.throttled(0)), Some(Scope::Sender));
    }

    #[test]
    fn settings_decide_paces_groups_and_versions() {
        let (_, plain) = played(&[]);
        assert!(plain.paces().is_none() && plain.limit_group().is_none());
        let (_, both) = played(&[("coexistence", json!(true)), ("portfolio_id", json!("p1"))]);
        assert_eq!((both.paces().map(|p| p[0].count), both.limit_group()), (Some(20), Some("p1")));
        let (_, fast) = played(&[("throughput_mps", json!(1000)), ("api_version", json!("v26.0"))]);
        assert_eq!((fast.paces().map(|p| p[0].count), fast.base.as_str()), (Some(1000), "http://twin.test/v26.0"));
        let (_, own) = played(&[("api_base", json!("http://twin.test/v24.0/"))]);
        assert_eq!(own.base, "http://twin.test/v24.0");
    }
}

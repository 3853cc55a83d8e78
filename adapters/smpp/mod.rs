//! SMPP: SMS over a connection that we open to a provider's message centre (3.4, tolerant of what 5.0 added).
//!
//! The connection is the proof: nothing is delivered by webhook. A message is one `submit_sm` a part, each a call of its
//! own, so that a refused part is tried again alone; only the last part asks for a receipt of success. Parts that come to
//! us are kept until all are there, and every one is acknowledged when it is durable.
//!
//! Checked against node-smpp 0.5.1 (github.com/farhadi/node-smpp) as the message centre: `tests/stories/smpp.rs`.
//! Units recorded in the tests of python-smpplib, cloudhopper-smpp and php-smpp, and receipt texts from the issues of jsmpp,
//! Jasmin and Restcomm's message centre, were read on 2026-11-29, more of those, and of receipts without a flag, on 2026-11-30.

#[cfg(test)]
mod checks;
mod deliveries;
mod errors;
mod facts;
mod held;
mod inbound;
mod line;
mod outbound;
mod pdu;
mod receipt;
mod session;
mod settings;
mod smsc;
mod submit;
mod traces;
mod twin;
mod words;

use std::sync::Arc;

pub use facts::FACTS;
pub use settings::{Alphabet, Base, BindMode, Long, Settings};
pub use twin::Twin;

use crate::contract::session::Endpoint;
use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Outbound, Pace, Parsed, RenderError, Rendered, Reply, Scope, Session, SettingsError, Setup,
    Step, Verified, VerifyError, Webhook,
};
use crate::kit::entry;

/// Settings that hold together, with what follows from them.
pub(crate) struct Bound {
    settings: Settings,
    endpoints: Vec<Endpoint>,
    tags: Vec<(u16, Vec<u8>)>,
}

/// One account.
pub struct Channel {
    bound: Arc<Bound>,
    group: String,
    paces: Option<[Pace; 1]>,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        settings::check(&settings)?;
        let endpoints = settings::endpoints(&settings)?;
        let tags = settings.tlvs.iter().map(|(tag, value)| submit::tag("tlvs", tag, value)).collect::<Result<_, _>>();
        let tags = tags.map_err(|e| SettingsError::new("tlvs", e.problem, "write `{ \"0x1400\" = \"text\" }`"))?;
        let group = format!("{}/{}", endpoints[0].host, settings.system_id);
        let paces =
            settings.tps.map(|count| [Pace { scope: Scope::Account, count, window_ms: 1000, burst: 1, source: "`tps` of the settings" }]);
        Ok(Self { bound: Arc::new(Bound { settings, endpoints, tags }), group, paces })
    }

    fn account(&self) -> Option<&str> {
        None
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.group)
    }

    fn paces(&self) -> Option<&[Pace]> {
        self.paces.as_ref().map(<[Pace; 1]>::as_slice)
    }

    fn concurrency(&self) -> Option<u32> {
        Some(u32::from(self.bound.settings.window) * u32::from(self.bound.settings.binds))
    }

    /// Nobody delivers here by HTTP.
    fn verify<'a>(&self, _hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        Err(VerifyError::MISSING)
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(&self.bound, hook.hook())
    }

    fn render(&self, message: &Outbound<'_>, _cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(&self.bound, message)
    }

    fn classify(&self, _call: &Call, reply: &Reply) -> Step {
        errors::classify(reply, &self.bound.settings.error_classes)
    }

    fn session(&self, memory: &[u8]) -> Option<Box<dyn Session>> {
        Some(Box::new(session::Smpp::new(Arc::clone(&self.bound), memory)))
    }

    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let lacks = || EntryLink::lacks("set `sender` to the number that the link is to lead to: a name cannot be written to");
        Some(entry::sms(&self.bound.settings.sender, entry).ok_or_else(lacks))
    }

    fn setup(&self, _cx: &Context<'_>) -> Setup {
        let hosts: Vec<String> = self.bound.endpoints.iter().map(|e| format!("{}:{}", e.host, e.port)).collect();
        Setup::ByHand(format!(
            "Nothing to register: the gateway connects to {}. Ask the provider to allow the IP address this machine goes out from.",
            hosts.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn bound(more: Value) -> Result<Channel, SettingsError> {
        let mut settings =
            json!({ "hosts": ["smpp.example.net"], "system_id": "fakeesme", "password": "fakepw1", "sender": "14155550199" });
        let all = settings.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        Channel::bind(crate::contract::Settings(all.clone()))
    }

    #[test]
    fn settings_say_where_and_how() {
        let channel =
            bound(json!({ "hosts": ["smpp.example.net:3601", "[2001:db8::1]:2776"], "tls": true, "window": 20, "binds": 2, "tps": 50 }))
                .expect("good");
        let places: Vec<(&str, u16)> = channel.bound.endpoints.iter().map(|e| (e.host.as_str(), e.port)).collect();
        assert_eq!(places, [("smpp.example.net", 3601), ("2001:db8::1", 2776)]);
        assert_eq!(channel.bound.endpoints[0].tls.as_ref().map(|t| t.name.as_str()), Some("smpp.example.net"));
        assert_eq!((channel.concurrency(), channel.paces().map(|p| p[0].count)), (Some(40), Some(50)));
        assert_eq!(channel.limit_group(), Some("smpp.example.net/fakeesme"));
        let stand_in = bound(json!({ "api_base": "tcp://127.0.0.1:9", "tls": true })).expect("good");
        assert_eq!(stand_in.bound.endpoints, [Endpoint { host: "127.0.0.1".into(), port: 9, tls: None }]);
    }

    #[test]
    fn wrong_settings_say_what_to_write() {
        for (more, key) in [
            (json!({ "hosts": [] }), "hosts"),
            (json!({ "hosts": [""] }), "hosts"),
            (json!({ "system_id": "sixteen-letters-" }), "system_id"),
            (json!({ "window": 0 }), "window"),
            (json!({ "sender": "a".repeat(21) }), "sender"),
            (json!({ "tlvs": { "x": "y" } }), "tlvs"),
            (json!({ "error_classes": { "x": "content" } }), "error_classes"),
        ] {
            let Err(error) = bound(more.clone()) else { panic!("{more} passed") };
            assert_eq!(error.key, key, "{error}");
        }
    }
}

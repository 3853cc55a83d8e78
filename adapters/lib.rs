//! Every messaging provider Fairway speaks to, as pure functions.
//!
//! This crate has no runtime, no socket, no file and no clock: what an adapter needs comes in as an argument, what it
//! wants done goes out as a value. A provider is one folder and one word in `providers!` below; `contract` holds the
//! words both sides share, `kit` what several providers need, `conformance` the laws all of them obey.

#![allow(clippy::result_large_err)] // an error that carries the next call is rare, and boxing it would hide that

pub mod conformance;
pub mod contract;
pub mod kit;

use std::sync::Arc;

use contract::{Adapter, Facts, Settings, SettingsError, twin::Twin};

/// One provider: everything the engine may know of it.
#[derive(Clone, Copy)]
pub struct Provider {
    /// What is known about it.
    pub facts: &'static Facts,
    /// Binds its adapter to a channel's settings.
    pub bind: fn(Settings) -> Result<Arc<dyn Adapter>, SettingsError>,
    /// The JSON Schema of its settings.
    pub schema: fn() -> schemars::Schema,
    /// Plays it; the seed decides the ids.
    pub twin: fn(u64) -> Box<dyn Twin>,
    /// Its fixtures, compiled in from its folder (tests only need them, but the sandbox shows them too).
    pub folder: &'static str,
}

/// Names every provider once: declares its module, lists it, and runs the laws for it.
macro_rules! providers {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*

        /// Every provider, in the order of the README's table.
        pub const PROVIDERS: &[Provider] = &[$(Provider {
            facts: &$name::FACTS,
            bind: |settings| <$name::Channel as Adapter>::bind(settings).map(|bound| Arc::new(bound) as Arc<dyn Adapter>),
            schema: || schemars::schema_for!($name::Settings),
            twin: |seed| Box::new(<$name::Twin as Twin>::new(seed)),
            folder: concat!(env!("CARGO_MANIFEST_DIR"), "/", stringify!($name)),
        }),*];

        #[cfg(test)]
        mod laws {
            $(mod $name {
                crate::conformance::laws!(crate::provider(stringify!($name)).expect("it is in the list"));
            })*
        }
    };
}

providers! {
    whatsapp, messenger, instagram, line, viber, wechat, kakaotalk, apple_messages, x_dm, telegram, twilio, slack, vonage, sinch, fcm,
    apns, discord, webpush, hms, google_chat, teams, email, rcs, smpp, webchat, generic,
}

/// Schemes whose ids are phone numbers, where they are numbers at all.
pub const NUMBERS: &[&str] = &["tel", "sms", "rcs", "whatsapp"];

/// The provider of that name.
pub fn provider(id: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|p| p.facts.id == id)
}

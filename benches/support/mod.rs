//! What the benchmarks share: a signed delivery of each provider, and the context adapters get.

use std::sync::Arc;

use fairway_adapters::Provider;
use fairway_adapters::contract::twin::{Act, Draft};
use fairway_adapters::contract::{Adapter, Context, Settings, Time};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Where deliveries go.
pub const HOOK: &str = "https://gw.example.org/hooks/bench";

/// What adapters are told.
pub fn context() -> Context<'static> {
    Context { now: Time(1_795_169_730_000), public_url: "https://gw.example.org", hook_url: HOOK, login: None, keys: None }
}

/// A signed delivery of about a kilobyte, and the adapter it is for; `None` for a provider that nobody writes through.
pub fn delivery(provider: &str) -> Option<(Arc<dyn Adapter>, Draft, HeaderMap)> {
    let provider = fairway_adapters::provider(provider).expect("built in");
    let mut twin = (provider.twin)(1);
    let adapter = (provider.bind)(Settings(twin.settings())).expect("its own settings fit");
    let person = person(provider);
    let draft = twin.act(&person, &Act::Text("lorem ipsum dolor sit amet ".repeat(16)), Time(1_795_169_730_000)).into_iter().next()?;
    let draft = twin.sign(HOOK, draft);
    let headers = draft
        .headers
        .iter()
        .map(|(n, v)| (HeaderName::try_from(n.as_str()).expect("a name"), HeaderValue::from_str(v).expect("a value")))
        .collect();
    Some((adapter, draft, headers))
}

/// Somebody on a provider.
pub fn person(provider: &Provider) -> String {
    match provider.facts.schemes[0] {
        scheme @ ("whatsapp" | "tel") => format!("{scheme}:+15550100200"),
        scheme => format!("{scheme}:5550001"),
    }
}

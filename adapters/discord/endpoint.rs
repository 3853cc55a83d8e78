//! Where the gateway is, and which other places the gateway itself may name.

use std::net::IpAddr;

use url::Url;

use crate::contract::SettingsError;
use crate::contract::session::{Endpoint, Tls};

/// docs.discord.com/developers/events/gateway#connecting, read 2026-11-29.
const GATEWAY: &str = "wss://gateway.discord.gg";
/// The version and the encoding that are spoken.
const QUERY: &str = "/?v=10&encoding=json";

/// The place that the settings name.
pub(super) fn configured(url: Option<&str>) -> Result<Endpoint, SettingsError> {
    let wrong = |problem: &str| SettingsError::new("gateway_url", problem, format!("leave it away, or write `{GATEWAY}`"));
    let place = read(url.unwrap_or(GATEWAY)).ok_or_else(|| wrong("no `wss:` address"))?;
    match place.tls.is_none() && !is_loopback(&place.host) {
        true => Err(wrong("not encrypted; the token could be read on the way")),
        false => Ok(place),
    }
}

/// The place that the other side names to come back to: only one of the same owner, which has the same name but for its first word, and
/// never less encrypted.
pub(super) fn named(url: &str, ours: &Endpoint) -> Option<Endpoint> {
    let place = read(url)?;
    let family = ours.host.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains('.')).unwrap_or(&ours.host);
    let is_number = ours.host.parse::<IpAddr>().is_ok();
    let related = !is_number && place.host.strip_suffix(family).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    ((place.host == ours.host || related) && (place.tls.is_some() || ours.tls.is_none())).then_some(place)
}

fn read(url: &str) -> Option<Endpoint> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?.trim_matches(['[', ']']).trim_end_matches('.').to_owned();
    let (port, tls) = match url.scheme() {
        "wss" => (443, Some(Tls { name: host.clone(), authority: None })),
        "ws" => (80, None),
        _ => return None,
    };
    let bare = url.username().is_empty() && url.password().is_none();
    bare.then(|| Endpoint { port: url.port().unwrap_or(port), host, tls })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The URL that a connection to this place asks for.
pub(super) fn url(place: &Endpoint) -> String {
    let (scheme, usual) = if place.tls.is_some() { ("wss", 443) } else { ("ws", 80) };
    let host = if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
    match place.port == usual {
        true => format!("{scheme}://{host}{QUERY}"),
        false => format!("{scheme}://{host}:{}{QUERY}", place.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_the_same_owner_are_led_to() {
        let ours = configured(None).expect("the default");
        assert_eq!(url(&ours), "wss://gateway.discord.gg/?v=10&encoding=json");
        let led = named("wss://gateway-us-east1-b.discord.gg", &ours).expect("the same owner");
        assert_eq!(
            (led.host.as_str(), led.port, led.tls.map(|tls| tls.name).as_deref()),
            ("gateway-us-east1-b.discord.gg", 443, Some("gateway-us-east1-b.discord.gg"))
        );
        for bad in [
            "ws://gateway.discord.gg",
            "wss://discord.gg.example",
            "wss://evildiscord.gg",
            "wss://127.0.0.1",
            "https://gateway.discord.gg",
            "wss://",
            "",
            "wss://user@gateway.discord.gg",
            "wss://gateway.discord.gg@example.org/",
        ] {
            assert_eq!(named(bad, &ours), None, "{bad}");
        }
        let test = configured(Some("ws://127.0.0.1:9")).expect("loopback");
        assert_eq!(named("ws://127.0.0.1:10", &test).map(|place| url(&place)).as_deref(), Some("ws://127.0.0.1:10/?v=10&encoding=json"));
        assert_eq!((named("ws://127.0.0.2:9", &test), named("ws://10.0.0.1", &test)), (None, None));
        assert_eq!(configured(Some("ws://gateway.discord.gg")).map_err(|e| e.key).unwrap_err(), "gateway_url");
        assert!(configured(Some("gateway.discord.gg")).is_err());
    }
}

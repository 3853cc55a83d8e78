//! Places and people by name: `discord:CHANNEL`, `discord:user/ID`.

use crate::contract::Time;
use crate::kit::address::unescape;

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A channel, a thread or a person's direct messages.
    Channel(String),
    /// A person, whose direct messages must be opened first.
    User(String),
}

/// Whether it looks like one of Discord's ids: digits.
pub(super) fn is_id(id: &str) -> bool {
    (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit())
}

/// Reads an address; a thread is a channel of its own.
pub(super) fn parse(address: &str, thread: Option<&str>) -> Option<Place> {
    if let Some(thread) = thread {
        return Some(Place::Channel(unescape(thread).into_owned())).filter(|place| matches!(place, Place::Channel(id) if is_id(id)));
    }
    let rest = address.strip_prefix("discord:")?;
    let place = match rest.strip_prefix("user/") {
        Some(user) => Place::User(user.to_owned()),
        None => Place::Channel(rest.to_owned()),
    };
    let (Place::Channel(id) | Place::User(id)) = &place;
    is_id(id).then_some(place)
}

/// A person's address.
pub(super) fn user(id: &str) -> String {
    format!("discord:user/{id}")
}

/// A channel's address.
pub(super) fn channel(id: &str) -> String {
    format!("discord:{id}")
}

/// When an id was made: discord.com/developers/docs/reference#snowflakes, read 2026-11-20.
pub(super) fn time(id: &str) -> Option<Time> {
    let millis = id.parse::<u64>().ok()? >> 22;
    Some(Time(1_420_070_400_000 + millis as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_places() {
        assert_eq!(parse("discord:400000000000000001", None), Some(Place::Channel("400000000000000001".into())));
        assert_eq!(parse("discord:400", Some("401")), Some(Place::Channel("401".into())));
        assert_eq!(parse("discord:user/500", None), Some(Place::User("500".into())));
        for bad in ["discord:", "discord:ana", "discord:user/", "slack:1", "discord:1/2"] {
            assert_eq!(parse(bad, None), None, "{bad}");
        }
        assert_eq!(time("175928847299117063").map(|t| t.to_string()).as_deref(), Some("2016-04-30T11:18:25.796Z"));
    }
}

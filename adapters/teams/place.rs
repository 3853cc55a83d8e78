//! Conversations and people by name, and which addresses are the connector's.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::kit::address::{escape, unescape};

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A conversation as the connector names it, with the thread.
    Conversation(String),
    /// A person, with whom a conversation must be made first.
    User(String),
}

/// Reads an address.
pub(super) fn parse(address: &str, thread: Option<&str>) -> Option<Place> {
    let rest = address.strip_prefix("teams:")?;
    if let Some(user) = rest.strip_prefix("user/") {
        return Some(Place::User(unescape(user).into_owned())).filter(|_| !user.is_empty());
    }
    let id = unescape(rest);
    let thread = thread.map(|thread| format!(";messageid={}", unescape(thread))).unwrap_or_default();
    (!id.is_empty()).then(|| Place::Conversation(format!("{id}{thread}")))
}

/// The address of a conversation: its id without the thread, and the thread behind `#`.
pub(super) fn peer(conversation: &str) -> String {
    match conversation.split_once(";messageid=") {
        Some((id, thread)) => format!("teams:{}#{}", escape(id), escape(thread)),
        None => format!("teams:{}", escape(conversation)),
    }
}

/// A person's address.
pub(super) fn user(id: &str) -> String {
    format!("teams:user/{}", escape(id))
}

/// Our id of a message.
pub(super) fn message(conversation: &str, id: &str) -> String {
    format!("{}|{id}", conversation.split(';').next().unwrap_or_default())
}

/// The connector's id in one of ours.
pub(super) fn activity(id: &str) -> &str {
    id.rsplit('|').next().unwrap_or(id)
}

/// An id as one part of a path.
pub(super) fn encoded(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}

/// The address, when it is one of the connector's: nobody else gets our token.
pub(super) fn service(url: &str) -> Option<&str> {
    let parsed = url::Url::parse(url).ok().filter(|u| u.scheme() == "https" && u.port().is_none() && u.username().is_empty())?;
    let host = parsed.host_str()?;
    let infra = host
        .strip_prefix("smba.infra.")
        .is_some_and(|rest| rest.ends_with(".teams.microsoft.com") || rest.ends_with(".teams.microsoft.us"));
    let framework = [".botframework.com", ".botframework.us", ".botframework.azure.cn"].iter().any(|end| host.ends_with(end));
    (host == "smba.trafficmanager.net" || infra || framework).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_conversations() {
        let id = "19:fake@thread.tacv2;messageid=1763600000000";
        assert_eq!(peer(id), "teams:19:fake@thread.tacv2#1763600000000");
        assert_eq!(parse("teams:19:fake@thread.tacv2", Some("1763600000000")), Some(Place::Conversation(id.into())));
        assert_eq!(parse("teams:user/29:1-fake", None), Some(Place::User("29:1-fake".into())));
        assert_eq!((parse("teams:", None), parse("slack:1", None)), (None, None));
        assert_eq!((message(id, "17"), activity("19:fake@thread.tacv2|17")), ("19:fake@thread.tacv2|17".into(), "17"));
        assert_eq!(encoded("a:1-x"), "a%3A1%2Dx");
    }
}

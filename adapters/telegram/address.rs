//! Chats and messages by name: `telegram:CHAT`, `telegram:CONNECTION/CHAT`, and `CHAT:ID` for a message.

use serde_json::{Map, Value};

use crate::kit::address::{escape, unescape};
use crate::kit::object::Object;

/// A chat as a request names it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chat {
    /// The number, or `@name` of a public chat.
    pub id: Value,
    /// The connected business account it belongs to.
    pub business: Option<String>,
    /// The topic: a forum's, or `dm-` and a channel's direct messages topic.
    pub thread: Option<String>,
}

impl Chat {
    /// Reads an address; `None` when it names no chat.
    pub fn parse(address: &str, thread: Option<&str>) -> Option<Self> {
        let rest = address.strip_prefix("telegram:")?;
        let (business, chat) = rest.split_once('/').map_or((None, rest), |(connection, chat)| (Some(connection), chat));
        let chat = unescape(chat);
        let name = chat.strip_prefix('@').unwrap_or(&chat);
        let id = if let Ok(number) = chat.parse::<i64>() {
            number.into()
        } else if name.len() >= 4 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            format!("@{name}").into()
        } else {
            return None;
        };
        let business = business.filter(|b| !b.is_empty()).map(|b| unescape(b).into_owned());
        let thread = thread.map(|t| unescape(t).into_owned());
        let topic = |t: &String| t.strip_prefix("dm-").unwrap_or(t).parse::<i64>().is_ok();
        if thread.as_ref().is_some_and(|t| !topic(t)) {
            return None;
        }
        Some(Self { id, business, thread })
    }

    /// Whether a person sits alone with the bot: what reply keyboards and web apps need.
    pub fn is_private(&self) -> bool {
        self.business.is_none() && self.id.as_i64().is_some_and(|id| id > 0)
    }

    /// The fields of a request that say where it goes.
    pub fn target(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if let Some(connection) = &self.business {
            body.insert("business_connection_id".into(), connection.clone().into());
        }
        body.insert("chat_id".into(), self.id.clone());
        if let Some(thread) = &self.thread {
            let (field, id) = match thread.strip_prefix("dm-") {
                Some(topic) => ("direct_messages_topic_id", topic),
                None => ("message_thread_id", thread.as_str()),
            };
            body.insert(field.into(), id.parse::<i64>().unwrap_or_default().into());
        }
        body
    }
}

/// `CHAT` or `CONNECTION/CHAT` of a message, what stands behind the scheme of its address.
pub(super) fn place(chat: i64, business: Option<&str>) -> String {
    match business {
        Some(connection) => format!("{}/{chat}", escape(connection)),
        None => chat.to_string(),
    }
}

/// The address of the conversation a message belongs to.
pub(super) fn peer(place: &str, message: &Object<'_>) -> String {
    if let Some(topic) = message.object("direct_messages_topic").and_then(|topic| topic.int("topic_id")) {
        return format!("telegram:{place}#dm-{topic}");
    }
    // Without `is_topic_message` the thread is only a chain of answers, and naming it in a request is an error.
    match message.int("message_thread_id").filter(|_| message.flag("is_topic_message")) {
        Some(thread) => format!("telegram:{place}#{thread}"),
        None => format!("telegram:{place}"),
    }
}

/// The chat, if it is there, and the number of a message's id: `CHAT:ID`, `CONNECTION/CHAT:ID`, or the bare number.
pub(super) fn message(id: &str) -> Option<(Option<i64>, i64)> {
    let (place, number) = id.rsplit_once(':').map_or((None, id), |(place, number)| (Some(place), number));
    let chat = place.and_then(|place| place.rsplit('/').next()).and_then(|chat| chat.parse().ok());
    Some((chat, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_name_chats() {
        let target = |address, thread| Chat::parse(address, thread).map(|chat| Value::Object(chat.target()));
        assert_eq!(target("telegram:5550001", None), Some(json!({ "chat_id": 5_550_001 })));
        assert_eq!(
            target("telegram:-1000000000001", Some("7")),
            Some(json!({ "chat_id": -1_000_000_000_001_i64, "message_thread_id": 7 }))
        );
        assert_eq!(target("telegram:-1001", Some("dm-9")), Some(json!({ "chat_id": -1001, "direct_messages_topic_id": 9 })));
        assert_eq!(target("telegram:bc-1/880", None), Some(json!({ "business_connection_id": "bc-1", "chat_id": 880 })));
        assert_eq!(target("telegram:acme_news", None), Some(json!({ "chat_id": "@acme_news" })));
        assert_eq!((target("telegram:", None), target("tel:+15550100", None), target("telegram:1", Some("x"))), (None, None, None));
    }

    #[test]
    fn ids_name_messages() {
        assert_eq!(message("5550001:42"), Some((Some(5_550_001), 42)));
        assert_eq!(message("bc-1/880:3"), Some((Some(880), 3)));
        assert_eq!((message("42"), message("x")), (Some((None, 42)), None));
    }
}

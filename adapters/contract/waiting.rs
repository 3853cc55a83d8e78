//! Deliveries whose HTTP answer can be a message: the person looks at a screen that waits for it.
//!
//! The engine makes what such a delivery brought durable, and holds its answer back. Meanwhile [`Outbound::handle`](super::Outbound)
//! of a message to that person names the place of the answer: `render` makes a call to that place, whose body becomes the answer.
//! When nobody has written until the time is over, the answer is [`Parsed::ack`](super::Parsed), and a message goes the usual way.

use super::{Call, Text, Time};

/// Calls to this scheme become the answer of a delivery that waits: `answer:7f3a`.
pub const SCHEME: &str = "answer:";

/// That the provider waits for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// The channel's own id at the provider, as in `Event::account`.
    pub account: Option<Text<'a>>,
    /// Who waits: the event's `peer`.
    pub peer: Text<'a>,
    /// What the adapter's `render` needs to know of the delivery, in a form of its own.
    pub value: Text<'a>,
    /// Until when a message may be the answer; early enough for the answer to arrive in the provider's time.
    pub until: Time,
}

impl Waiting<'_> {
    /// The handle that says so, for the answer of this number.
    pub fn handle(&self, number: u64) -> String {
        format!("{SCHEME}{number:x} {}", self.value)
    }
}

/// The place of the answer in a handle, and the adapter's own value; `None` for handles of any other kind.
pub fn place(handle: &str) -> Option<(&str, &str)> {
    handle.split_once(' ').filter(|(place, _)| place.starts_with(SCHEME))
}

/// The number of the answer that a call is to become; `None` for calls to anywhere else.
pub fn number(call: &Call) -> Option<u64> {
    u64::from_str_radix(call.url.strip_prefix(SCHEME)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_leads_to_its_answer_and_no_other_does() {
        let waiting = Waiting { account: None, peer: "x:1".into(), value: "two words".into(), until: Time(0) };
        let handle = waiting.handle(0xabc);
        let (at, value) = place(&handle).expect("a place");
        assert_eq!((number(&Call::get(at)), value), (Some(0xabc), "two words"));
        assert_eq!(place("https://example.org/callback x"), None);
        assert_eq!(number(&Call::get("https://example.org")), None);
    }
}

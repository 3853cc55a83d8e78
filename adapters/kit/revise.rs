//! Edits and recalls: what a changed message renders to, and what a twin has of ours.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};

use crate::contract::{Adapter, Call, Context, Outbound, RenderError};

/// The call a changed message would be sent by, for the adapter to turn into the one that changes it: providers take the same
/// content in both. Quotes belong to new messages alone; `handle` is what may be answered with.
pub fn rendered(adapter: &impl Adapter, edit: &Outbound<'_>, handle: Option<&str>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let plain = Outbound { reply_to: None, handle, ..*edit };
    only(adapter.render(&plain, cx)?.calls)
}

/// The call of a message that is one.
pub fn only(mut calls: Vec<Call>) -> Result<Call, RenderError> {
    match (calls.pop(), calls.is_empty()) {
        (Some(call), true) => Ok(call),
        _ => Err(RenderError::new("#/parts", "edit_too_long", "an edit must stay one message: leave out what needs another one")),
    }
}

/// A part that no edit of this channel carries.
pub fn refused(problem: &str) -> RenderError {
    RenderError::new("#/parts", "edit_not_supported", problem)
}

/// The fields of a call's JSON body.
pub fn fields(call: &Call) -> Map<String, Value> {
    serde_json::from_slice(call.body_bytes()).unwrap_or_default()
}

/// How many messages a twin remembers: enough for whoever edits what was just sent, little enough for days of load.
const REMEMBERED: usize = 10_000;

/// The messages of ours a twin has, by the id it gave them.
#[derive(Debug, Default)]
pub struct Sent {
    words: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Sent {
    /// Takes a new message.
    pub fn keep(&mut self, id: &str, words: &str) {
        if self.words.insert(id.to_owned(), words.to_owned()).is_none() {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.words.remove(&oldest);
        }
    }

    /// What a message says now; `None` when it was taken back, or never was.
    pub fn says(&self, id: &str) -> Option<&str> {
        self.words.get(id).map(String::as_str)
    }

    /// Changes a message; false when there is none.
    pub fn change(&mut self, id: &str, words: &str) -> bool {
        self.words.get_mut(id).map(|old| words.clone_into(old)).is_some()
    }

    /// Takes back the messages whose ids are like this.
    pub fn take_back_like(&mut self, like: impl Fn(&str) -> bool) {
        self.words.retain(|id, _| !like(id));
    }

    /// Takes a message back; false when there is none.
    pub fn take_back(&mut self, id: &str) -> bool {
        self.words.remove(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_forgets_the_oldest() {
        let mut sent = Sent::default();
        (0..=REMEMBERED).for_each(|n| sent.keep(&n.to_string(), "x"));
        assert_eq!((sent.says("0"), sent.says("1"), sent.words.len()), (None, Some("x"), REMEMBERED));
        assert!(sent.change("1", "y") && sent.says("1") == Some("y"));
        assert!(sent.take_back("1") && !sent.take_back("1") && !sent.change("1", "z"));
    }
}

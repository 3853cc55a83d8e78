//! Answers that are held back: deliveries whose provider waits for a message.

use std::sync::Arc;

use dashmap::DashMap;
use fairway_adapters::contract::{Ack, Call, Time};
use http::{StatusCode, header};
use tokio::sync::oneshot;

use super::Error;
use crate::clock;
use crate::ids;

/// Deliveries held at a time; more are answered at once, so that a flood holds no more connections than this.
const MOST: usize = 10_000;

/// The answers of this process that are held back. Cloning shares them.
#[derive(Clone, Default)]
pub struct Held(Arc<DashMap<u64, oneshot::Sender<Ack<'static>>>>);

/// One of them. Dropped, it takes no message any more.
pub struct Answer {
    /// Its number.
    pub number: u64,
    held: Held,
    given: oneshot::Receiver<Ack<'static>>,
}

impl Held {
    /// Holds one more; `None` when too many are held.
    pub fn hold(&self) -> Option<Answer> {
        if self.0.len() >= MOST {
            return None;
        }
        let number = ids::random() as u64;
        let (give, given) = oneshot::channel();
        self.0.insert(number, give);
        Some(Answer { number, held: self.clone(), given })
    }

    /// Makes a call the answer it is meant for.
    ///
    /// # Errors
    /// `NotSent` when that answer was given, at this or another node.
    pub(super) fn give(&self, number: u64, call: &Call) -> Result<(), Error> {
        let over = || Error::NotSent("the provider's request was answered already, or waits at another node".into());
        let (_, give) = self.0.remove(&number).ok_or_else(over)?;
        let json = call.headers.iter().any(|(name, value)| name == header::CONTENT_TYPE && value.contains("json"));
        let content_type = Some(if json { "application/json" } else { "text/xml; charset=utf-8" });
        give.send(Ack { status: StatusCode::OK, content_type, body: call.body_bytes().to_vec().into() }).map_err(|_| over())
    }
}

impl Answer {
    /// Waits for the message until this time.
    pub async fn given(mut self, until: Time) -> Option<Ack<'static>> {
        let left = std::time::Duration::from_millis(u64::try_from(until.0 - clock::now().0).unwrap_or(0));
        tokio::time::timeout(left, &mut self.given).await.ok()?.ok()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.held.0.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use fairway_adapters::contract::waiting;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_given_once_and_not_after_its_time() {
        let held = Held::default();
        let answer = held.hold().expect("room");
        let call = Call::json(format!("{}{:x}", waiting::SCHEME, answer.number), &serde_json::json!({ "a": 1 }));
        let number = waiting::number(&call).expect("a place");
        held.give(number, &call).expect("it waits");
        assert!(matches!(held.give(number, &call), Err(Error::NotSent(_))));
        let ack = answer.given(clock::now().plus(1000)).await.expect("given");
        assert_eq!((ack.content_type, &*ack.body), (Some("application/json"), &br#"{"a":1}"#[..]));

        let late = held.hold().expect("room");
        let number = late.number;
        assert!(late.given(clock::now().plus(-1)).await.is_none());
        assert!(held.give(number, &call).is_err() && held.0.is_empty(), "nobody hears it any more");
    }
}

//! Sends what people who said a word are owed: through the lanes, like everything else.

use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{Category, Part, SendRequest, part};
use tokio::sync::mpsc;

use crate::consent::Owed;
use crate::outbound::accept::{Acceptor, Act};

/// Runs until the process ends. An answer is named by the word it answers, so that it goes once.
pub(super) async fn run(acceptor: Acceptor, mut owed: mpsc::UnboundedReceiver<Owed>) {
    while let Some(answer) = owed.recv().await {
        let request = SendRequest {
            to: Some(answer.to.clone()),
            channel: Some(answer.channel.clone()),
            parts: vec![Part::Text(part::TextPart { text: answer.text.clone().into(), ..Default::default() })],
            category: Category::Service,
            ..SendRequest::default()
        };
        let act = Act::Named(&[b"word-answered", answer.channel.as_bytes(), answer.act.as_bytes()]);
        let ready = if answer.passes {
            acceptor.prepare_confirmation(request, act).await
        } else {
            acceptor.prepare(request, Origin::AutoReply, act, None).await
        };
        match ready {
            Ok(ready) => acceptor.append_all(vec![ready], true).await,
            Err(e) => tracing::warn!(channel = answer.channel, code = e.code, "a word cannot be answered: {}", e.detail),
        }
        let _ = answer.done.send(());
    }
}

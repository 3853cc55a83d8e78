//! Providers that keep a person waiting for the answer to their own request: what is sent in time is that answer.

use std::time::{Duration, Instant};

use fairway_adapters::contract::twin::{Act, Draft};
use fairway_adapters::contract::{Call, Reply};
use serde_json::{Value, json};

use crate::world::World;
use crate::world_twin::{Hosted, host};

/// What the person writes, as the provider brings it: clear where it may be encrypted, and without a callback where there are some.
fn written(provider: &Hosted, person: &str, words: &str) -> Draft {
    let mut draft = provider.stage.lock().twin().act(person, &Act::Text(words.into()), fairway::clock::now()).remove(0);
    if let Ok(mut body) = serde_json::from_slice::<Value>(&draft.body) {
        body["userRequest"].as_object_mut().expect("a turn").remove("callbackUrl");
        draft.body = body.to_string().into_bytes();
    } else {
        draft.query = "plain".into();
    }
    draft
}

/// Delivers it, and waits for the answer as long as it takes.
async fn deliver(world: &World, provider: &Hosted, draft: Draft) -> (Reply, Duration) {
    let hook = world.url("/hooks/asking");
    let signed = provider.stage.lock().sign(&hook, draft);
    let url = if signed.query.is_empty() { hook } else { format!("{hook}?{}", signed.query) };
    let mut call = Call::new(signed.method, url).bytes(signed.body);
    for (name, value) in &signed.headers {
        call.headers.push((http::HeaderName::try_from(name.as_str()).expect("a name"), value.clone()));
    }
    let began = Instant::now();
    let reply = world.call_within(&call, Duration::from_secs(8)).await.expect("an answer");
    (reply, began.elapsed())
}

/// Answers what was written once it is an event; the message's id.
async fn answer(world: &World, count: usize, words: &str) -> String {
    world.until("the event", 10, async |w| w.events("fairway.message.received").await.len() == count).await;
    let event = world.events("fairway.message.received").await.pop().expect("one");
    assert!(event["data"]["respond_by"].is_string(), "{event}");
    let body = json!({ "conversation": event["subject"], "parts": [{ "type": "text", "text": words }] });
    let (status, accepted) = world.post("/v1/messages", &body).await;
    assert_eq!(status, 202, "{accepted}");
    accepted["id"].as_str().expect("an id").to_owned()
}

async fn a_message_in_time_is_the_answer(id: &'static str, person: &str, otherwise: &str) {
    let provider = host(id).await;
    let world = World::start(&provider.channel("asking", "answer_in_response = true\n")).await;
    // Nobody answers in time: the provider gets its acknowledgement, and what is said later goes the usual way.
    let (reply, took) = deliver(&world, &provider, written(&provider, person, "And on Sunday?")).await;
    assert!(reply.status.is_success() && String::from_utf8_lossy(&reply.body).contains(otherwise), "{:?}", reply.body);
    assert!(took > Duration::from_secs(3), "{took:?}");
    let message = answer(&world, 1, "Closed on Sundays").await;
    world.reaches(&message, &["sent"], 20).await;
    assert_eq!(provider.stage.lock().books().sends, 1, "by a call of the provider's API");

    let asked = written(&provider, person, "Are you open?");
    let ((reply, _), message) = tokio::join!(deliver(&world, &provider, asked), answer(&world, 2, "Until nine"));
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(reply.status.is_success() && text.contains("Until nine"), "{} {text}", reply.status);
    world.reaches(&message, &["sent"], 10).await;
    assert_eq!(provider.stage.lock().books().sends, 1, "no call besides");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_the_passive_reply_to_wechat() {
    a_message_in_time_is_the_answer("wechat", "wechat:oFAKEopenid0000000000000001", "success").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_the_answer_of_a_kakaotalk_turn() {
    a_message_in_time_is_the_answer("kakaotalk", "kakaotalk:fakeUserKey0001", "outputs").await;
}

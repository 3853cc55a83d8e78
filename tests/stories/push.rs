//! Push: apps and browsers register themselves, are written to, and are let go of when they are gone.

use serde_json::{Value, json};

use crate::world::World;

/// The browser behind the played push service: the one of RFC 8291, appendix A.
fn subscription(endpoint: &str) -> Value {
    json!({ "endpoint": endpoint, "expirationTime": null, "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "auth": "BTBZMqHH6r4Tts7J_aSIgg" } })
}

async fn registered(world: &World, device: Value) -> String {
    let (status, made) = world.post("/v1/devices", &device).await;
    assert_eq!(status, 201, "{made}");
    made["address"].as_str().expect("an address").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_reads_what_was_encrypted_for_it() {
    let world = World::start("").await;
    let endpoint = "https://web.push.apple.com/fake-endpoint-of-a-story";
    let to = registered(&world, json!({ "channel": "demo-webpush", "subscription": subscription(endpoint) })).await;
    world
        .until("its subscription is known", 10, async |w| {
            let (status, _) = w.post("/v1/messages", &json!({ "to": to, "parts": [{ "type": "text", "text": "Ready" }] })).await;
            status == 202
        })
        .await;
    let id = world.send(&to, "Your table is ready").await;
    let message = world.reaches(&id, &["sent"], 10).await;
    assert!(world.books("webpush").await["accepted"].as_u64() >= Some(1), "the twin decrypted it");
    // The endpoint is a credential: it stands in no event, no message and no log.
    let events = Value::from(world.events("fairway.*").await).to_string();
    for text in [message.to_string(), events, world.log(), to.clone()] {
        assert!(!text.contains("fake-endpoint-of-a-story"), "{text}");
    }
    let gone =
        registered(&world, json!({ "channel": "demo-webpush", "subscription": subscription("https://web.push.apple.com/gone-1") })).await;
    world
        .until("the one that is gone is told", 15, async |w| {
            w.post("/v1/messages", &json!({ "to": gone, "parts": [{ "type": "text", "text": "Hello?" }] })).await;
            w.events("fairway.contact.updated")
                .await
                .iter()
                .any(|e| e["data"]["change"] == "address_gone" && e["data"]["previous"] == gone.as_str())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_are_written_to_through_their_own_services() {
    let world = World::start("").await;
    let apple = registered(&world, json!({ "channel": "demo-apns", "token": "ABCDEF0123456789" })).await;
    let huawei = registered(&world, json!({ "channel": "demo-hms", "token": "IQAAfakeTokenOfAStory" })).await;
    let removed = registered(&world, json!({ "channel": "demo-hms", "token": "goneFakeTokenOfAStory" })).await;
    let (apple, huawei, removed) =
        (world.send(&apple, "Ready").await, world.send(&huawei, "Ready").await, world.send(&removed, "Ready").await);
    world.reaches(&apple, &["sent"], 10).await;
    world.reaches(&huawei, &["delivered"], 10).await;
    let failed = world.reaches(&removed, &["failed"], 10).await;
    assert_eq!(failed["error"]["code"], "app_removed", "{failed}");
    let parts = json!([{ "type": "notification", "title": "Hi", "collapse_key": "k".repeat(65) }]);
    let (status, problem) = world.post("/v1/messages", &json!({ "to": "apns:abcdef", "parts": parts })).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (422, &json!("collapse_key_too_long")), "{problem}");
}

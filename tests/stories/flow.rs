//! Messages in and out, as on a good day.

use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_writes_and_is_answered() {
    let world = World::start("").await;
    world.says("telegram", "telegram:5550001", "hello").await;
    world.until("the event", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    let event = &world.events("fairway.message.received").await[0];
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], "/channels/demo-telegram");
    assert_eq!(event["data"]["message"]["parts"][0]["text"], "hello");
    let conversation = event["subject"].as_str().expect("a conversation");

    let (status, accepted) =
        world.post("/v1/messages", &json!({ "conversation": conversation, "parts": [{ "type": "text", "text": "hi" }] })).await;
    assert_eq!(status, 202, "{accepted}");
    let id = accepted["id"].as_str().expect("an id");
    let message = world.reaches(id, &["sent", "delivered", "read"], 10).await;
    assert!(message["provider_message_id"].is_string(), "{message:#}");
    let lines: Vec<&str> = message["timeline"].as_array().into_iter().flatten().filter_map(|l| l["what"].as_str()).collect();
    assert!(lines.contains(&"accepted") && lines.contains(&"sending") && lines.contains(&"sent"), "{lines:?}");
    world
        .until("created and sent", 10, async |w| {
            w.events("fairway.message.created").await.len() == 1 && !w.events("fairway.message.status").await.is_empty()
        })
        .await;
}

/// Until when one may write freely, and with whom, as far as people's messages told and contacts say.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_says_until_when_and_with_whom() {
    let world = World::start("").await;
    let person = "whatsapp:+14155550001";
    let path = format!("/v1/conversations/demo-whatsapp/{}", person.replace('+', "%2B"));
    let before = world.get(&path).await;
    assert!(before["window"].is_null() && before["people"] == json!([]), "nobody wrote yet: {before}");
    world.says("whatsapp", person, "hello").await;
    assert_eq!(world.post("/v1/contacts", &json!({ "id": "c-1", "name": "Ana", "addresses": [person] })).await.0, 201);
    world.until("the window is known", 15, async |w| w.get(&path).await["window"]["open"] == true).await;
    let shown = world.get(&path).await;
    let closes = shown["window"]["closes_at"].as_str().and_then(fairway_adapters::contract::Time::parse).expect("a time");
    let hours = closes.since(fairway::clock::now()) / 3_600_000;
    assert!((22..=24).contains(&hours), "a day behind the message: {shown}");
    assert_eq!((&shown["people"][0]["id"], &shown["people"][0]["name"]), (&json!("c-1"), &json!("Ana")), "{shown}");
    // However somebody writes the number, it is this conversation.
    let spoken = json!({ "to": "WhatsApp:+1 (415) 555-0001", "parts": [{ "type": "text", "text": "hi" }] });
    let (status, accepted) = world.post("/v1/messages", &spoken).await;
    assert_eq!(status, 202, "{accepted}");
    let message = world.message(accepted["id"].as_str().expect("an id")).await;
    assert_eq!((&message["to"], &message["conversation"]), (&json!(person), &json!(format!("demo-whatsapp/{person}"))), "{message}");
    // Telegram has no such window.
    world.says("telegram", "telegram:5550001", "hello").await;
    world.until("it was heard", 10, async |w| w.events("fairway.message.received").await.len() == 2).await;
    let other = world.get("/v1/conversations/demo-telegram/telegram:5550001").await;
    assert!(other["window"].is_null(), "{other}");
    // Who may read messages alone is not told of people.
    let (_, made) = world.post("/v1/keys", &json!({ "name": "reader", "scopes": ["messages:read"] })).await;
    let read = fairway_adapters::contract::Call::get(world.url(&path)).bearer(made["secret"].as_str().expect("a secret"));
    let shown: serde_json::Value = serde_json::from_slice(&world.call(&read).await.expect("an answer").body).expect("JSON");
    assert!(shown["people"].is_null() && shown["window"]["open"] == true, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_deliveries_of_one_webhook_give_one_event() {
    let world = World::start("").await;
    let body = json!({ "person": "telegram:5550001", "text": "once", "copies": 100 });
    let (status, _) = world.post("/sandbox-control/telegram/act", &body).await;
    assert_eq!(status, 200);
    world
        .until("a hundred deliveries", 20, async |w| {
            let metrics = w.ask("GET", "/metrics", None).await.expect("metrics");
            let text = String::from_utf8_lossy(&metrics.body).into_owned();
            let count = |outcome: &str| -> u64 {
                let needle = format!("fairway_webhooks_total{{channel=\"demo-telegram\",outcome=\"{outcome}\"}} ");
                text.lines().find_map(|l| l.strip_prefix(&needle)).and_then(|n| n.parse().ok()).unwrap_or(0)
            };
            count("accepted") + count("duplicate") == 100
        })
        .await;
    world.until("the event", 10, async |w| !w.events("fairway.message.received").await.is_empty()).await;
    assert_eq!(world.events("fairway.message.received").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_one_message() {
    let world = World::start("").await;
    let body = json!({ "to": "telegram:5550001", "parts": [{ "type": "text", "text": "once" }] });
    let call = |body: &serde_json::Value| {
        fairway_adapters::contract::Call::json(world.url("/v1/messages"), body).header("idempotency-key", "\"order-77\"")
    };
    let first = world.call(&call(&body)).await.expect("an answer");
    let second = world.call(&call(&body)).await.expect("an answer");
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_eq!(first.body, second.body);
    assert_eq!(second.headers.get("idempotency-replayed").map(|v| v.as_bytes()), Some(&b"true"[..]));
    let other =
        world.call(&call(&json!({ "to": "telegram:5550001", "parts": [{ "type": "text", "text": "other" }] }))).await.expect("an answer");
    assert_eq!(other.status.as_u16(), 422);
    let id: serde_json::Value = serde_json::from_slice(&first.body).expect("JSON");
    world.reaches(id["id"].as_str().expect("an id"), &["sent"], 10).await;
    assert_eq!(world.books("telegram").await["accepted"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_post_with_a_key_is_carried_out_once() {
    let world = World::start("").await;
    let (status, made) = world.post("/v1/keys", &json!({ "name": "first", "scopes": ["admin"] })).await;
    assert_eq!(status, 201, "{made}");
    let secret = made["secret"].as_str().expect("it is shown").to_owned();
    let by = |secret: &str, body: &serde_json::Value| {
        let call = fairway_adapters::contract::Call::json(world.url("/v1/keys"), body).header("idempotency-key", "k1");
        call.header("authorization", format!("Bearer {secret}"))
    };
    let keyed = |body: &serde_json::Value| by(&secret, body);
    // Who repeats himself at the same moment is told to come again, or gets the first answer.
    let body = json!({ "name": "for the desk", "scopes": ["messages:read"] });
    let call = keyed(&body);
    let (first, second) = tokio::join!(world.call(&call), world.call(&call));
    let (first, second) = (first.expect("an answer"), second.expect("an answer"));
    let statuses = [first.status.as_u16(), second.status.as_u16()];
    assert!(statuses == [201, 201] || statuses == [201, 409] || statuses == [409, 201], "{statuses:?}");
    let made = if first.status == 201 { first } else { second };
    // A key is shown its secret once; who repeats himself is shown the same.
    let again = world.call(&call).await.expect("an answer");
    assert_eq!((again.status.as_u16(), &again.body), (201, &made.body));
    assert_eq!(again.headers.get("idempotency-replayed").map(|v| v.as_bytes()), Some(&b"true"[..]));
    let other = world.call(&keyed(&json!({ "name": "another" }))).await.expect("an answer");
    assert_eq!(other.status.as_u16(), 422);
    // Another caller's keys are his own, and a refusal is repeated like any answer.
    let desk: serde_json::Value = serde_json::from_slice(&made.body).expect("JSON");
    let theirs = by(desk["secret"].as_str().expect("it is shown"), &body);
    for _ in 0..2 {
        assert_eq!(world.call(&theirs).await.expect("an answer").status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_line_by_line() {
    let world = World::start("").await;
    let mut lines = String::new();
    for i in 0..300 {
        lines.push_str(&json!({ "to": format!("telegram:{}", 600 + i), "parts": [{ "type": "text", "text": "x" }], "idempotency_key": format!("k{i}") }).to_string());
        lines.push_str("\r\n\n");
    }
    lines.push_str("{\"to\": \"telegram:1\"}\nnot json\n");
    let call = fairway_adapters::contract::Call::new(http::Method::POST, world.url("/v1/messages/batch"))
        .header("content-type", "application/x-ndjson")
        .bytes(lines.clone());
    for _ in 0..2 {
        let reply = world.call(&call).await.expect("an answer");
        let results: Vec<serde_json::Value> =
            String::from_utf8_lossy(&reply.body).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        assert_eq!(results.len(), 302);
        assert!(results[..300].iter().enumerate().all(|(i, r)| r["index"] == i && r["id"].is_string()), "{:?}", results[0]);
        assert!(results[300]["problem"]["type"].is_string() && results[301]["problem"]["type"].is_string());
    }
    world.until("all are sent, once", 60, async |w| w.books("telegram").await["accepted"] == 300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_waits_and_a_cancelled_one_never_goes() {
    let world = World::start("").await;
    let at = |ms: i64| fairway::clock::now().plus(ms).to_string();
    let body = |send_at: String| json!({ "to": "telegram:5550001", "send_at": send_at, "parts": [{ "type": "text", "text": "later" }] });
    let (_, soon) = world.post("/v1/messages", &body(at(3000))).await;
    let (_, never) = world.post("/v1/messages", &body(at(3_600_000))).await;
    assert_eq!(soon["state"], "scheduled");
    let (soon, never) = (soon["id"].as_str().expect("an id").to_owned(), never["id"].as_str().expect("an id").to_owned());
    world.reaches(&never, &["scheduled"], 10).await;
    let (status, _) = world.post(&format!("/v1/messages/{never}/cancel"), &json!({})).await;
    assert!(status == 200 || status == 202, "{status}");
    world.reaches(&never, &["cancelled"], 10).await;
    world.reaches(&soon, &["sent"], 15).await;
    let (status, _) = world.post(&format!("/v1/messages/{soon}/cancel"), &json!({})).await;
    assert_eq!(status, 409);
    assert_eq!(world.books("telegram").await["accepted"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_talks_to_it() {
    let world = World::start("").await;
    world.says("telegram", "telegram:5550001", "hello").await;
    world.until("the event", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    let (ok, text) = world.cli(&["reply", "and hello to you"]);
    assert!(ok && text.contains("The provider has it."), "{text}");
    let (ok, text) = world.cli(&["status"]);
    assert!(ok && text.contains("1 accepted = sent 1"), "{text}");
    let (ok, text) = world.cli(&["send", "--to", "nobody:1", "x"]);
    assert!(!ok && text.contains("no configured channel reaches that address"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_close_the_door_behind_them() {
    let world = World::start("").await;
    let (ok, text) = world.cli(&["key", "create", "desk", "--channel", "demo-telegramm"]);
    assert!(!ok && text.contains("there is no channel `demo-telegramm`; did you mean `demo-telegram`? there are demo-"), "{text}");
    let (status, made) = world.post("/v1/keys", &json!({ "name": "reader", "scopes": ["messages:read"] })).await;
    assert_eq!(status, 201, "{made}");
    let secret = made["secret"].as_str().expect("a secret");
    assert_eq!(world.ask("GET", "/v1/channels", None).await.expect("an answer").status.as_u16(), 401);
    let read = fairway_adapters::contract::Call::get(world.url("/v1/channels")).bearer(secret);
    assert_eq!(world.call(&read).await.expect("an answer").status.as_u16(), 200);
    let write =
        fairway_adapters::contract::Call::json(world.url("/v1/messages"), &json!({ "to": "telegram:1", "parts": [] })).bearer(secret);
    assert_eq!(world.call(&write).await.expect("an answer").status.as_u16(), 403);
}

/// LINE's reply tokens are free and good for one message: the next goes as a push.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_delivery_lets_us_answer_with_is_used_once() {
    let world = World::start("").await;
    let person = "line:U00000000000000000000000000000555";
    let way = async |w: &World| {
        let body = json!({ "channels": ["demo-line"], "to": person, "parts": [{ "type": "text", "text": "Hello" }] });
        let (status, preview) = w.post("/v1/messages/preview", &body).await;
        assert_eq!(status, 200, "{preview}");
        preview.to_string().contains("/message/reply")
    };
    assert!(!way(&world).await, "nobody wrote yet");
    world.says("line", person, "hi").await;
    world.until("the token is kept", 10, async |w| way(w).await).await;
    assert!(!json!(world.events("fairway.message.received").await).to_string().contains("replyToken"), "it is in no event");
    let id = world.send(person, "one").await;
    world.reaches(&id, &["sent"], 10).await;
    world.until("the token is used", 10, async |w| !way(w).await).await;
    let id = world.send(person, "two").await;
    world.reaches(&id, &["sent"], 10).await;
    assert_eq!(world.books("line").await["accepted"], 2);
}

/// An app registers its token; what the push service calls gone is told to everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_registered_and_reported_gone() {
    let world = World::start("").await;
    let token = "fcm-token-of-a-story-0123456789abcdefghijklmnopqrstuvwxyz";
    let body = json!({ "channel": "demo-fcm", "token": token, "contact": "c-17", "app_version": "4.2" });
    let (status, made) = world.post("/v1/devices", &body).await;
    assert_eq!(status, 201, "{made}");
    let address = made["address"].as_str().expect("an address").to_owned();
    world.until("it is told", 10, async |w| !w.events("fairway.contact.updated").await.is_empty()).await;
    let updates = world.events("fairway.contact.updated").await;
    assert_eq!(updates[0]["data"]["change"], "address_added", "{updates:#?}");
    assert_eq!(updates[0]["data"]["extra"]["contact"], "c-17");
    let id = world.send(&address, "Your table is ready").await;
    world.reaches(&id, &["sent"], 10).await;
    let gone = json!({ "channel": "demo-fcm", "token": format!("unregistered-{token}") });
    let (_, gone) = world.post("/v1/devices", &gone).await;
    let id = world.send(gone["address"].as_str().expect("an address"), "Hello?").await;
    world.reaches(&id, &["failed"], 10).await;
    world.until("both are told", 10, async |w| w.events("fairway.contact.updated").await.len() == 3).await;
    let updates = world.events("fairway.contact.updated").await;
    let last = &updates.last().expect("one more")["data"];
    assert_eq!((&last["change"], &last["previous"]), (&json!("address_gone"), &gone["address"]), "{updates:#?}");
    let (status, no) = world.post("/v1/devices", &json!({ "channel": "demo-telegram", "token": token })).await;
    assert_eq!(status, 501, "{no}");
}

/// What the first channel cannot bring, the second does; what it brings in time stops the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_goes_when_it_is_needed_and_only_then() {
    let world = World::start("").await;
    let send = async |to: &str, step: serde_json::Value| {
        let body = json!({ "to": to, "channel": if to.starts_with("fcm") { "demo-fcm" } else { "demo-whatsapp" },
            "parts": [{ "type": "text", "text": "first" }], "fallback": [step], "metadata": { "booking": "B-77" } });
        let (status, accepted) = world.post("/v1/messages", &body).await;
        assert_eq!(status, 202, "{accepted}");
        accepted["id"].as_str().expect("an id").to_owned()
    };
    let reached = async |w: &World, n: u64| w.books("telegram").await["accepted"] == n;

    // A failure starts it at once, though it would have waited.
    let words = json!([{ "type": "text", "text": "second" }]);
    let id = send("fcm:unregistered-token-of-a-story", json!({ "to": "telegram:5550001", "after": "PT1H", "parts": words })).await;
    world.reaches(&id, &["failed"], 10).await;
    world.until("the second goes", 15, async |w| reached(w, 1).await).await;

    // Delivered in time: nothing follows.
    let id = send("whatsapp:+15550100200", json!({ "to": "telegram:5550001", "after": "PT1M" })).await;
    world.reaches(&id, &["delivered", "read"], 10).await;
    world
        .until("its second is cancelled", 10, async |w| {
            let followers = w.get("/v1/messages?channel=demo-telegram&limit=10").await;
            followers["data"].as_array().is_some_and(|all| all.iter().any(|m| m["state"] == "cancelled"))
        })
        .await;

    // Not delivered in time: the second goes, once, also when the receipt comes afterwards.
    world.mood("whatsapp", &json!({ "late_receipts_ms": 6000 })).await;
    let id = send("whatsapp:+15550100201", json!({ "to": "telegram:5550002", "after": "PT1S" })).await;
    world.until("the second goes before the late receipt", 15, async |w| reached(w, 2).await).await;
    world.reaches(&id, &["delivered", "read"], 20).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(reached(&world, 2).await, "{}", world.books("telegram").await);
    let followers = world.get("/v1/messages?channel=demo-telegram&limit=10").await;
    assert!(
        followers["data"].as_array().is_some_and(|all| all.iter().all(|m| m["request"]["metadata"]["booking"] == "B-77")),
        "{followers:#}"
    );
}

/// Whoever was never heard of can be written to where the provider lets us: the store is asked once and knows nothing.
/// Where a channel has no buttons, the number a person answers with is the choice a button would have brought.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_the_choice_it_stands_for() {
    let mut world = World::start("").await;
    let options = json!([{ "id": "yes", "title": "Yes" }, { "id": "move", "title": "Another time" }]);
    let question = json!({ "type": "choices", "text": "Still coming at eight?", "options": options });
    let (status, asked) =
        world.post("/v1/messages", &json!({ "to": "tel:+15550100301", "channel": "demo-twilio", "parts": [question] })).await;
    assert_eq!(status, 202, "{asked}");
    let id = asked["id"].as_str().expect("an id").to_owned();
    world.reaches(&id, &["sent", "delivered", "read"], 15).await;
    world.kill();
    world.restart().await;
    let choice = async |world: &World, count: usize| {
        world.until("it is read", 15, async |w| w.events("fairway.message.received").await.len() == count).await;
        world.events("fairway.message.received").await[count - 1]["data"].clone()
    };
    world.says("twilio", "tel:+15550100301", "2.").await;
    let data = choice(&world, 1).await;
    let part = &data["message"]["parts"][0];
    assert_eq!((&part["type"], &part["id"], &part["title"]), (&json!("choice"), &json!("move"), &json!("Another time")), "{data:#}");
    assert_eq!((&data["message"]["reply_to"]["message_id"], &data["extra"]["answer"]), (&json!(id), &json!("2.")), "{data:#}");
    // What is no answer stays the text it is; behind another message of ours a number means nothing.
    world.says("twilio", "tel:+15550100301", "yes").await;
    assert_eq!(choice(&world, 2).await["message"]["parts"][0]["id"], "yes");
    world.says("twilio", "tel:+15550100301", "2 of us, and a dog").await;
    assert_eq!(choice(&world, 3).await["message"]["parts"][0]["text"], "2 of us, and a dog");
    let plain = json!({ "to": "tel:+15550100301", "channel": "demo-twilio", "parts": [{ "type": "text", "text": "How many are you?" }] });
    let (_, next) = world.post("/v1/messages", &plain).await;
    world.reaches(next["id"].as_str().expect("an id"), &["sent", "delivered", "read"], 15).await;
    world.says("twilio", "tel:+15550100301", "2").await;
    assert_eq!(choice(&world, 4).await["message"]["parts"][0]["text"], "2");
    world.says("twilio", "tel:+15550100301", "another time").await;
    assert_eq!(choice(&world, 5).await["message"]["parts"][0]["id"], "move");
    // A STOP is one, whatever our options are called.
    let offer =
        json!({ "type": "choices", "text": "News?", "options": [{ "id": "go", "title": "Go on" }, { "id": "stop", "title": "Stop" }] });
    let (_, offer) = world.post("/v1/messages", &json!({ "to": "tel:+15550100301", "channel": "demo-twilio", "parts": [offer] })).await;
    world.reaches(offer["id"].as_str().expect("an id"), &["sent", "delivered", "read"], 15).await;
    world.says("twilio", "tel:+15550100301", "STOP").await;
    assert_eq!(choice(&world, 6).await["message"]["parts"][0]["text"], "STOP");
}

/// What was sent is changed and taken back where the channel can; the timeline, the views and `/v1/events` say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_sent_message_is_edited_and_recalled() {
    let mut world = World::start("").await;
    let id = world.send("telegram:5550001", "Your table is at eight").await;
    world.reaches(&id, &["sent"], 15).await;
    let path = format!("/v1/messages/{id}");
    let parts = json!([{ "type": "text", "text": "Your table is at nine" }]);
    let reply = world.ask("PATCH", &path, Some(&json!({ "parts": parts }))).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 200, "{}", String::from_utf8_lossy(&reply.body));
    let message = world.message(&id).await;
    assert_eq!((&message["state"], &message["request"]["parts"]), (&json!("sent"), &parts), "{message:#}");
    let told = world.events("fairway.message.created").await;
    let told: Vec<_> = told.iter().filter(|e| e["data"]["message_id"] == id.as_str()).collect();
    assert_eq!((told.len(), &told[1]["replaces"], &told[1]["data"]["message"]["parts"]), (2, &told[0]["id"], &parts), "{told:#?}");
    // Nothing of it is forgotten by a crash. (One within a second would repeat the call, and this twin forgets with the process.)
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    world.kill();
    world.restart().await;
    let long = json!({ "parts": [{ "type": "text", "text": "x".repeat(20_000) }] });
    let reply = world.ask("PATCH", &path, Some(&long)).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 422, "{}", String::from_utf8_lossy(&reply.body));
    for _ in 0..2 {
        let reply = world.ask("DELETE", &path, None).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), 200, "{}", String::from_utf8_lossy(&reply.body));
    }
    let reply = world.ask("PATCH", &path, Some(&json!({ "parts": parts }))).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 422, "what is gone cannot be changed: {}", String::from_utf8_lossy(&reply.body));
    let what: Vec<String> = world.message(&id).await["timeline"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|l| l["what"].as_str().filter(|w| w.contains("edit") || w.contains("recall")).map(str::to_owned))
        .collect();
    let expected = ["edited", "edit_refused", "recalled", "recalled", "edit_refused"];
    assert_eq!(what, expected);
    // Where the channel has no such thing it is said; what has not gone out is cancelled.
    let id = world.send("whatsapp:+15550100201", "Hello").await;
    world.reaches(&id, &["sent", "delivered", "read"], 15).await;
    let reply = world.ask("DELETE", &format!("/v1/messages/{id}"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 501);
    let later = json!({ "to": "telegram:5550001", "send_at": "2099-01-01T00:00:00Z", "parts": parts });
    let (status, refused) = world.post("/v1/messages", &later).await;
    assert_eq!(status, 422, "{refused}");
    let at = fairway::clock::now().plus(3_600_000);
    let (_, later) = world.post("/v1/messages", &json!({ "to": "telegram:5550001", "send_at": at, "parts": parts })).await;
    let id = later["id"].as_str().expect("an id").to_owned();
    world.reaches(&id, &["scheduled"], 15).await;
    let reply = world.ask("PATCH", &format!("/v1/messages/{id}"), Some(&json!({ "parts": parts }))).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 409);
    let reply = world.ask("DELETE", &format!("/v1/messages/{id}"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 200);
    world.reaches(&id, &["cancelled"], 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_written_to_without_anything_to_answer_with() {
    let world = World::start("").await;
    for to in ["line:U00000000000000000000000000000556", "discord:555000100200300400"] {
        let id = world.send(to, "Hello").await;
        world.reaches(&id, &["sent", "delivered", "read"], 10).await;
    }
}

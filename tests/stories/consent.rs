//! What people say about being written to holds at once, everywhere, with its evidence, and over crashes.

use std::collections::BTreeMap;

use fairway_adapters::contract::Call;
use http::Method;
use serde_json::{Value, json};

use crate::world::World;

fn text(to: &str, text: &str) -> Value {
    json!({ "to": to, "priority": "bulk", "parts": [{ "type": "text", "text": text }] })
}

fn ad(to: &str) -> Value {
    json!({ "to": to, "priority": "bulk", "category": "marketing", "parts": [{ "type": "text", "text": "Sale" }] })
}

async fn accepted(world: &World, body: &Value) -> (String, Value) {
    let (status, answer) = world.post("/v1/messages", body).await;
    assert_eq!(status, 202, "{answer}");
    (answer["id"].as_str().expect("an id").to_owned(), answer)
}

async fn batch(world: &World, bodies: &[Value]) -> Vec<String> {
    let lines: String = bodies.iter().map(|b| format!("{b}\n")).collect();
    let call = Call::new(Method::POST, world.url("/v1/messages/batch")).header("content-type", "application/x-ndjson").bytes(lines);
    let reply = world.call(&call).await.expect("an answer");
    let answers = String::from_utf8_lossy(&reply.body).into_owned();
    let id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("an id").to_owned();
    answers.lines().map(id).collect()
}

/// How many of these messages are in each state.
async fn states(world: &World, ids: &[String]) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for id in ids {
        let state = world.message(id).await["state"].as_str().unwrap_or_default().to_owned();
        *states.entry(state).or_default() += 1;
    }
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_among_bulk_messages_stops_its_person_alone_and_a_start_opens_again() {
    let world = World::start("").await;
    let ana = "telegram:7000001";
    // Every tenth message is for Ana, who gets at most one a second.
    let bodies: Vec<Value> =
        (0..500).map(|i| if i % 10 == 0 { text(ana, &format!("n{i}")) } else { text(&format!("telegram:71{i:05}"), "hello") }).collect();
    let ids = batch(&world, &bodies).await;
    let (anas, others): (Vec<_>, Vec<_>) = ids.iter().cloned().enumerate().partition(|(i, _)| i % 10 == 0);
    let plain = |list: Vec<(usize, String)>| -> Vec<String> { list.into_iter().map(|(_, id)| id).collect() };
    let (anas, others) = (plain(anas), plain(others));
    world.reaches(&anas[1], &["sent"], 30).await;
    world.says("telegram", ana, "Stop!").await;
    world.until("the others have theirs", 60, async |w| states(w, &others).await.get("sent") == Some(&450)).await;
    world
        .until("Ana's are over", 30, async |w| {
            let states = states(w, &anas).await;
            let count = |state| states.get(state).copied().unwrap_or(0);
            count("sent") + count("suppressed") == 50 && count("suppressed") > 0
        })
        .await;
    let sent = states(&world, &anas).await.get("sent").copied().unwrap_or(0);
    assert_eq!(world.books("telegram").await["accepted"], 450 + sent);
    let last = world.message(&anas[49]).await;
    assert_eq!(last["state"], "suppressed");
    assert_eq!(last["error"]["code"], "opted_out", "{last:#}");
    assert!(last["timeline"].to_string().contains("wants no messages"), "{last:#}");

    // The evidence: her words, when, and by which message.
    let proof = world.get(&format!("/v1/consents?address={ana}")).await;
    assert_eq!(proof["consents"][0]["state"], "opted_out", "{proof:#}");
    assert_eq!(proof["words"][0]["evidence"]["text"], "Stop!");
    assert!(proof["words"][0]["evidence"]["message_id"].is_string());
    let told = world.events("fairway.contact.consent").await;
    assert_eq!((told.len(), &told[0]["data"]["from"]["address"]), (1, &json!(ana)));

    // Nothing reaches her, whatever the category; it is accepted, listed and counted.
    let (id, answer) =
        accepted(&world, &json!({ "to": ana, "category": "authentication", "parts": [{ "type": "text", "text": "1234" }] })).await;
    assert_eq!((&answer["state"], &answer["reason"]["code"]), (&json!("suppressed"), &json!("opted_out")), "{answer}");
    world.reaches(&id, &["suppressed"], 10).await;
    world.says("telegram", ana, "START").await;
    world
        .until("she may be written to", 10, async |w| {
            w.get(&format!("/v1/consents?address={ana}")).await["consents"][0]["state"] == "opted_in"
        })
        .await;
    let (id, answer) = accepted(&world, &text(ana, "welcome back")).await;
    assert_eq!(answer["state"], "accepted", "{answer}");
    world.reaches(&id, &["sent"], 10).await;
    let status = world.get("/v1/status").await;
    let sum: u64 = status["balance"].as_object().expect("states").values().filter_map(Value::as_u64).sum();
    assert_eq!((sum, &status["accepted"]), (502, &json!(502)), "the balance adds up: {status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn suppressions_hold_by_address_and_prefix_until_they_are_lifted() {
    let world = World::start("").await;
    let suppress = async |pattern: &str| {
        let (status, made) = world.post("/v1/suppressions", &json!({ "pattern": pattern, "note": "asked by phone" })).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().expect("an id").to_owned()
    };
    let state = async |to: &str| accepted(&world, &text(to, "x")).await.1["state"].as_str().expect("a state").to_owned();
    let prefix = suppress("telegram:72*").await;
    suppress("telegram:7300001").await;
    suppress("@blocked.example").await;
    assert_eq!(state("telegram:7200001").await, "suppressed");
    assert_eq!(state("telegram:7300001").await, "suppressed");
    assert_eq!(state("telegram:7300002").await, "accepted");
    let gone = world.ask("DELETE", &format!("/v1/suppressions/{prefix}"), None).await.expect("an answer");
    assert_eq!(gone.status.as_u16(), 204);
    assert_eq!(state("telegram:7200001").await, "accepted");
    let list = world.get("/v1/suppressions").await;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2), "{list:#}");
    let (status, bad) = world.post("/v1/suppressions", &json!({ "pattern": "tel:*" })).await;
    assert_eq!((status, &bad["errors"][0]["pointer"]), (422, &json!("#/pattern")), "{bad}");
    // Who writes to us is answered, unless we decided otherwise ourselves.
    world.says("telegram", "telegram:7300001", "hello?").await;
    world.until("the event", 10, async |w| !w.events("fairway.message.received").await.is_empty()).await;
    assert_eq!(state("telegram:7300001").await, "suppressed");
}

#[tokio::test(flavor = "multi_thread")]
async fn marketing_waits_for_the_hours_and_caps_of_its_person() {
    // Hours that are over, or not begun, for somebody who lives by UTC.
    let hour = (fairway::clock::now().0 / 3_600_000 % 24 + 12) % 24;
    let hours = format!("[\"{hour:02}:00\", \"{:02}:00\"]", hour + 1);
    let mut world = World::start(&format!("[quiet_hours]\nmarketing = {hours}\ntables = false\n[caps]\nmarketing = \"2/1h\"\n")).await;
    let sleeper = json!({ "id": "c-1", "addresses": ["telegram:7400001"], "time_zone": "Etc/UTC" });
    assert_eq!(world.post("/v1/contacts", &sleeper).await.0, 201);
    let (held, _) = accepted(&world, &ad("telegram:7400001")).await;
    let message = world.reaches(&held, &["held"], 10).await;
    assert!(message["timeline"].to_string().contains("quiet hours"), "{message:#}");
    // What the person waits for is not held up by it.
    let (service, _) = accepted(&world, &json!({ "to": "telegram:7400001", "parts": [{ "type": "text", "text": "Your code" }] })).await;
    world.reaches(&service, &["sent"], 10).await;
    let events = world.events("fairway.message.status").await;
    let event = events.iter().find(|e| e["data"]["state"] == "held").expect("it is told");
    let until = event["data"]["until"].as_str().and_then(fairway_adapters::contract::Time::parse).expect("an end");
    assert_eq!((until.0 / 3_600_000 % 24, until.0 % 3_600_000), (hour, 0), "{event:#}");

    // Somebody who lives nowhere in particular: two within the hour, on whichever channel, and the third waits.
    let (status, _) = world
        .post("/v1/contacts", &json!({ "id": "c-2", "addresses": ["telegram:7400002", "line:U00000000000000000000000000000555"] }))
        .await;
    assert_eq!(status, 201);
    let (first, _) = accepted(&world, &ad("telegram:7400002")).await;
    world.reaches(&first, &["sent"], 10).await;
    let (second, _) = accepted(&world, &ad("line:U00000000000000000000000000000555")).await;
    world.reaches(&second, &["sent", "delivered", "read"], 10).await;
    let (third, _) = accepted(&world, &ad("telegram:7400002")).await;
    let message = world.reaches(&third, &["held"], 10).await;
    assert!(message["timeline"].to_string().contains("the cap of 2/1h on marketing"), "{message:#}");
    world.kill();
    world.restart().await;
    assert_eq!(world.message(&held).await["state"], "held", "a crash lets nothing out");
    let (status, _) = world.post(&format!("/v1/messages/{held}/cancel"), &json!({})).await;
    assert!(status == 200 || status == 202, "{status}");
    world.reaches(&held, &["cancelled"], 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_consent_is_lost_by_a_kill() {
    let mut world = World::start("").await;
    let people: Vec<String> = (0..15).map(|i| format!("telegram:75{i:05}")).collect();
    for ana in &people {
        world.says("telegram", ana, "STOP").await;
    }
    world.until("they are durable", 10, async |w| w.events("fairway.message.received").await.len() == 15).await;
    for _ in 0..3 {
        world.kill();
        world.restart().await;
    }
    for ana in &people {
        world
            .until("it holds", 10, async |w| {
                let proof = w.get(&format!("/v1/consents?address={ana}")).await;
                proof["consents"][0]["state"] == "opted_out" && proof["words"].as_array().map(Vec::len) == Some(1)
            })
            .await;
    }
    // Told once each, however often it was heard.
    let told = world.events("fairway.contact.consent").await;
    assert_eq!(told.len(), 15, "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_by_file_and_are_erased_with_a_receipt() {
    let world = World::start("").await;
    let mut csv = String::from("id,name,telegram,time_zone,tier\n");
    for i in 0..2500 {
        csv.push_str(&format!("c-{i},Person {i},76{i:05},Europe/Rome,{}\n", if i % 2 == 0 { "gold" } else { "" }));
    }
    csv.push_str("bad id,x,,,\nc-9999,x,1,Mars/Base,\n");
    let call = Call::new(Method::POST, world.url("/v1/contacts/import"))
        .header("content-type", "text/csv")
        .header("fairway-upload", "1")
        .bytes(csv);
    let reply = world.call(&call).await.expect("an answer");
    let job: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(reply.status.as_u16(), 202, "{job}");
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    world.until("all are there", 60, async |w| w.get(&path).await["state"] == "done").await;
    let done = world.get(&path).await;
    assert_eq!((&done["good"], &done["bad"]), (&json!(2500), &json!(2)), "{done:#}");
    let rows = world.get(&format!("{path}/bad-rows")).await;
    assert_eq!((&rows["data"][0]["line"], &rows["data"][0]["column"]), (&json!(2502), &json!("id")), "{rows:#}");
    assert_eq!((&rows["data"][1]["line"], &rows["data"][1]["column"]), (&json!(2503), &json!("time_zone")));
    let one = world.get("/v1/contacts?address=telegram:7600042").await;
    assert_eq!((&one["data"][0]["id"], &one["data"][0]["attributes"]["tier"]), (&json!("c-42"), &json!("gold")), "{one:#}");
    let export = world.ask("GET", "/v1/contacts/export?format=csv", None).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&export.body).lines().count(), 2501);

    let ana = "telegram:7600042";
    let sent = world.send(ana, "hello").await;
    world.reaches(&sent, &["sent"], 10).await;
    let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let (_, waits) = accepted(&world, &json!({ "to": ana, "send_at": later, "parts": [{ "type": "text", "text": "later" }] })).await;
    let waits = waits["id"].as_str().expect("an id").to_owned();
    world.reaches(&waits, &["scheduled"], 10).await;
    world.says("telegram", ana, "stop").await;
    world.until("it holds", 10, async |w| !w.events("fairway.contact.consent").await.is_empty()).await;
    // A file of hers, and a message to her that has not left.
    let (status, _) = world.post("/sandbox-control/telegram/act", &json!({ "person": ana, "image": "our boat" })).await;
    assert_eq!(status, 200);
    let pictures = async |w: &World| w.events("fairway.message.received").await.into_iter().find(|e| e.to_string().contains("/v1/media/"));
    world.until("her picture", 10, async |w| pictures(w).await.is_some()).await;
    let picture = pictures(&world).await.expect("there").to_string();
    let picture = format!("/v1/media/{}", &picture.split("/v1/media/").nth(1).expect("a URL")[..30]);
    let answered = async |w: &World| w.ask("GET", &picture, None).await.expect("an answer").status.as_u16();
    world.until("it is fetched", 15, async |w| answered(w).await == 200).await;

    let reply = world.ask("DELETE", "/v1/contacts/c-42", None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 202);
    let job: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    world.until("she is forgotten", 30, async |w| w.get(&path).await["state"] == "done").await;
    let receipt = world.get(&path).await;
    assert_eq!(world.ask("GET", "/v1/contacts/c-42", None).await.expect("an answer").status.as_u16(), 404);
    for message in [&sent, &waits] {
        let reply = world.ask("GET", &format!("/v1/messages/{message}"), None).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), 404, "{}", String::from_utf8_lossy(&reply.body));
    }
    assert_eq!(answered(&world).await, 410, "what she sent is gone");
    let counted = ["messages", "under_way", "files"].map(|what| receipt["result"][what].clone());
    assert_eq!(counted, [json!(2), json!(0), json!(1)], "{receipt:#}");
    let told = world.events("fairway.contact.erased").await;
    assert_eq!(told[0]["data"]["addresses"], receipt["result"]["addresses"], "{receipt:#}");
    assert!(!told[0].to_string().contains("7600042"));
    let (_, answer) = accepted(&world, &text(ana, "again")).await;
    assert_eq!(answer["state"], "suppressed", "who wants no messages still wants none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_ones_own_changes_what_is_sent() {
    let world = World::start("").await;
    let ana = "telegram:7700001";
    let (status, made) = world.post("/v1/consents/link", &json!({ "address": ana, "channel": "demo-telegram" })).await;
    assert_eq!(status, 200, "{made}");
    let url = made["url"].as_str().expect("a link").to_owned();
    let page = world.call(&Call::get(&url)).await.expect("an answer");
    assert!(page.status.is_success() && String::from_utf8_lossy(&page.body).contains("What may we send you here?"));
    assert!(!String::from_utf8_lossy(&page.body).contains("7700001"), "the link may be forwarded");
    assert_eq!(accepted(&world, &ad(ana)).await.1["state"], "accepted", "looking changes nothing");
    let form = |body: &str| {
        Call::new(Method::POST, url.clone()).header("content-type", "application/x-www-form-urlencoded").bytes(body.to_owned())
    };
    let one_click = world.call(&form("List-Unsubscribe=One-Click")).await.expect("an answer");
    assert_eq!(one_click.status.as_u16(), 200);
    assert_eq!(accepted(&world, &ad(ana)).await.1["reason"]["code"], "opted_out_marketing");
    assert_eq!(accepted(&world, &text(ana, "x")).await.1["state"], "accepted");
    world.call(&form("choice=nothing")).await.expect("an answer");
    assert_eq!(accepted(&world, &text(ana, "x")).await.1["state"], "suppressed");
    world.call(&form("choice=everything")).await.expect("an answer");
    assert_eq!(accepted(&world, &ad(ana)).await.1["state"], "accepted");
    let proof = world.get(&format!("/v1/consents?address={ana}")).await;
    let hows: Vec<&str> = proof["words"].as_array().into_iter().flatten().filter_map(|w| w["how"].as_str()).collect();
    assert_eq!(hows, ["one_click", "page", "page"], "{proof:#}");
    let broken = world.call(&Call::get(format!("{url}x"))).await.expect("an answer");
    assert_eq!(broken.status.as_u16(), 404);
}

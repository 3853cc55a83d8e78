//! A campaign that goes on by the next of a person's channels, and everybody counted once.

use fairway_adapters::contract::Time;
use fairway_adapters::contract::twin::Act;
use serde_json::{Value, json};

use super::{act, count, report, throttle, upload};
use crate::world::World;
use crate::world_twin::{Hosted, host};

async fn world(more: &str) -> (World, Hosted, Hosted) {
    let (whatsapp, twilio) = (host("whatsapp").await, host("twilio").await);
    let channels = whatsapp.channel("wa", &throttle("wa", "500/s")) + &twilio.channel("sms", &throttle("sms", "500/s"));
    let world = World::start(&format!("{channels}{more}")).await;
    whatsapp.delivers_to(world.url("/hooks/wa"));
    twilio.delivers_to(world.url("/hooks/sms"));
    (world, whatsapp, twilio)
}

fn both(n: u32) -> String {
    format!("whatsapp:+1556000{n:04} tel:+1556000{n:04}")
}

/// Who has both addresses is one person: caps count them together.
async fn known(world: &World, numbers: std::ops::RangeInclusive<u32>) {
    for n in numbers {
        let addresses: Vec<String> = both(n).split(' ').map(str::to_owned).collect();
        assert_eq!(world.post("/v1/contacts", &json!({ "addresses": addresses })).await.0, 201);
    }
}

async fn launched(world: &World, name: &str, people: &[String], more: Value) -> String {
    let audience = upload(world, name, format!("address\n{}\n", people.join("\n"))).await;
    let mut plan = json!({ "name": name, "audience": audience["id"], "channels": ["wa", "sms"], "order": "listed", "fallback": {},
        "parts": [{ "type": "text", "text": format!("{name} {{{{ contact.address }}}}") }] });
    plan.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
    let (status, made) = world.post("/v1/campaigns", &plan).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    act(world, &id, "launch").await;
    id
}

async fn why(world: &World, id: &str, number: u32) -> Value {
    world.get(&format!("/v1/why?campaign={id}&recipient={number}")).await
}

/// Whom a twin has got messages of a campaign to.
fn got(twin: &Hosted, name: &str) -> Vec<String> {
    let stage = twin.stage.lock();
    let mut to: Vec<String> = stage.accepted().iter().filter(|(_, a)| a.text.starts_with(name)).map(|(_, a)| a.to.clone()).collect();
    to.sort();
    to
}

async fn completed(world: &World, id: &str) -> Value {
    world.until("it is complete", 60, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "completed").await;
    report(world, id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_first_channel_does_not_reach_the_next_does_and_everybody_counts_once() {
    let (mut world, whatsapp, twilio) = world("[quiet_hours]\nmarketing = \"off\"\n[caps]\nmarketing = \"1/24h\"\n").await;
    // Lines 2 to 7: reached, not there on WhatsApp, a number alone, not there and unwilling on the second, unwilling on the first,
    // reached by nothing.
    known(&world, 2..=6).await;
    let people = [both(2), both(3), "tel:+15560000004".to_owned(), both(5), both(6), "mailto:ana@example.org".to_owned()];
    for blocked in [3, 5, 6] {
        whatsapp.act(&format!("whatsapp:+1556000{blocked:04}"), &Act::Block);
    }
    for (n, scheme, channel) in [(5, "tel", "sms"), (6, "whatsapp", "wa")] {
        let word = json!({ "address": format!("{scheme}:+1556000{n:04}"), "channel": channel, "scope": "marketing", "state": "opted_out" });
        assert_eq!(world.post("/v1/consents", &word).await.0, 201);
    }
    let id = launched(&world, "spring", &people, json!({})).await;
    let end = completed(&world, &id).await;
    world.until("receipts are in the books", 20, async |w| count(&report(w, &id).await, "read") >= 1).await;
    let end = if count(&end, "read") >= 1 { end } else { report(&world, &id).await };
    let came = ["people", "accepted", "read", "delivered", "held_back", "failed", "unreachable", "waiting"].map(|n| count(&end, n));
    assert_eq!(came, [6, 5, 1, 2, 2, 0, 1, 0], "{end:#}");
    let by = |channel: &str, state: &str| end["channels"][channel][state].as_u64().unwrap_or(0);
    assert_eq!((by("wa", "read"), by("sms", "delivered"), by("sms", "held_back")), (1, 2, 1), "{end:#}");
    assert_eq!(got(&whatsapp, "spring"), ["15560000002", "15560000003", "15560000005"]);
    // The cap allows one a day: what did not arrive did not count.
    assert_eq!(got(&twilio, "spring"), ["+15560000003", "+15560000004"]);

    let reached = why(&world, &id, 3).await;
    assert_eq!((&reached["rule"], &reached["recipient"]["channel"]), (&json!("delivered"), &json!("sms")), "{reached:#}");
    let because = reached["because"].as_str().unwrap_or_default();
    assert!(because.contains("Delivered through sms. wa did not bring it to them before."), "{because}");
    let step = reached["message_id"].as_str().expect("a message");
    let timeline = reached["timeline"].to_string();
    assert!(timeline.contains(&format!("Goes on through sms as {step}.")) && timeline.contains("Failed"), "{reached:#}");
    let unwilling = why(&world, &id, 5).await;
    assert_eq!((&unwilling["rule"], &unwilling["recipient"]["channel"]), (&json!("opted_out_marketing"), &json!("sms")), "{unwilling:#}");
    assert_eq!(why(&world, &id, 6).await["recipient"]["channel"], "wa", "who is unwilling on the first is not followed to the second");
    let told = world.events("fairway.message.status").await;
    let of_step: Vec<&Value> = told.iter().filter(|e| e["data"]["message_id"] == step).collect();
    let states: Vec<&str> = of_step.iter().filter_map(|e| e["data"]["state"].as_str()).collect();
    assert_eq!(states, ["accepted", "sent", "delivered"], "{of_step:#?}");
    assert!(of_step.iter().all(|e| e["data"]["fallback_of"].is_string() && e["data"]["campaign"] == id.as_str()), "{of_step:#?}");

    // All messages of the chains are listed, page by page: one to each of 2 and 4, two to 3 and 5, and one that stayed the first to 6.
    let (mut listed, mut next) = (Vec::new(), Some(format!("/v1/messages?campaign={id}&limit=2")));
    while let Some(path) = next {
        let page = world.get(&path).await;
        listed.extend(page["data"].as_array().expect("a list").clone());
        next = page["next"].as_str().map(|next| format!("/v1/messages?campaign={id}&limit=2&after={next}"));
    }
    let chain = |m: &Value| format!("{} {}", m["to"].as_str().unwrap_or_default(), m["request"]["fallback_of"].is_string());
    let expected = [
        "whatsapp:+15560000002 false",
        "whatsapp:+15560000003 false",
        "tel:+15560000003 true",
        "tel:+15560000004 false",
        "whatsapp:+15560000005 false",
        "tel:+15560000005 true",
        "whatsapp:+15560000006 false",
    ];
    assert_eq!(listed.iter().map(chain).collect::<Vec<_>>(), expected);

    // Told again after a crash, the books say the same.
    world.kill();
    world.restart().await;
    assert_eq!(report(&world, &id).await["counts"], end["counts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_delivered_in_time_goes_on_within_caps_and_a_stop_ends_it() {
    let (world, whatsapp, twilio) = world("[quiet_hours]\nmarketing = \"off\"\n[caps]\nmarketing = \"1/24h\"\n").await;
    known(&world, 1..=4).await;
    // Delivered in time: nothing follows.
    let id = launched(&world, "early", &[both(1)], json!({ "fallback": { "after": "PT5S" } })).await;
    let end = completed(&world, &id).await;
    assert_eq!((count(&end, "read"), got(&twilio, "early").len()), (1, 0), "{end:#}");

    // Not delivered in time: the second goes, and the person counts once, by what they got first of all.
    whatsapp.stage.lock().mood.late_receipts_ms = 12_000;
    let onward = json!({ "fallback": { "after": "PT1S" }, "category": "transactional" });
    let late = launched(&world, "late", &[both(2)], onward).await;
    // The same as advertising: the first took what the cap allows.
    let capped = launched(&world, "capped", &[both(3)], json!({ "fallback": { "after": "PT1S" } })).await;
    // The same, and the person says STOP on the second channel before its turn.
    let stopped = launched(&world, "stopped", &[both(4)], json!({ "fallback": { "after": "PT4S" }, "category": "transactional" })).await;
    world.until("all three have left", 20, async |_| whatsapp.count() == 4).await;
    twilio.act("tel:+15560000004", &Act::Text("STOP".into()));
    world.until("the second goes", 20, async |_| got(&twilio, "late").len() == 1).await;
    world
        .until("the cap holds it", 20, async |w| {
            let why = w.get("/v1/messages?channel=sms&state=held").await;
            why["data"].as_array().is_some_and(|d| d.len() == 1)
        })
        .await;
    let held = &world.get("/v1/messages?channel=sms&state=held").await["data"][0];
    let told = world.get(&format!("/v1/why?message={}", held["id"].as_str().expect("an id"))).await;
    let time = |name: &str| told[name].as_str().and_then(Time::parse).unwrap_or_else(|| panic!("{name} in {told:#}"));
    assert!(time("until").since(fairway::clock::now()) > 23 * 3_600_000, "{told:#}");
    assert!(time("estimated_send_at") >= time("until"), "{told:#}");
    world
        .until("the STOP ends it", 20, async |w| {
            w.get("/v1/messages?channel=sms&state=suppressed").await["data"].as_array().is_some_and(|d| d.len() == 1)
        })
        .await;
    let ended = &world.get("/v1/messages?channel=sms&state=suppressed").await["data"][0];
    assert_eq!(ended["request"]["mark"]["campaign"], stopped.as_str(), "{ended:#}");
    let proof = world.get("/v1/consents?address=tel:%2B15560000004").await;
    assert_eq!(proof["words"][0]["evidence"]["text"], "STOP", "{proof:#}");
    let end = completed(&world, &late).await;
    assert_eq!((count(&end, "accepted"), count(&end, "delivered") + count(&end, "sent") + count(&end, "read")), (1, 1), "{end:#}");
    world.until("the late receipt is in the books", 30, async |w| count(&report(w, &late).await, "read") == 1).await;
    let end = report(&world, &late).await;
    assert_eq!(end["channels"]["wa"]["read"], 1, "{end:#}");
    let held = report(&world, &capped).await;
    assert_eq!(held["state"], "running", "its step waits: {held:#}");
    act(&world, &capped, "cancel").await;
    assert_eq!(got(&twilio, "capped").len() + got(&twilio, "stopped").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_known_to_be_gone_is_passed_over_and_what_a_person_said_is_not() {
    let (world, whatsapp, twilio) = world("[quiet_hours]\nmarketing = \"off\"\n").await;
    // Lines 2 to 6: reached; gone; gone and unwilling there; on a list of ours; gone on both.
    let people: Vec<String> = (2..=6).map(both).collect();
    let no_more = async |n: u32, scheme: &str, channel: &str, reason: &str| {
        let pattern = format!("{scheme}:+1556000{n:04}");
        assert_eq!(world.post("/v1/suppressions", &json!({ "pattern": pattern, "channel": channel, "reason": reason })).await.0, 201);
    };
    no_more(3, "whatsapp", "wa", "address_gone").await;
    no_more(4, "whatsapp", "wa", "block").await;
    let word = json!({ "address": "whatsapp:+15560000004", "scope": "marketing", "state": "opted_out" });
    assert_eq!(world.post("/v1/consents", &word).await.0, 201);
    no_more(5, "whatsapp", "wa", "manual").await;
    no_more(6, "whatsapp", "wa", "refused").await;
    no_more(6, "tel", "sms", "refused").await;
    let audience = upload(&world, "spring", format!("address\n{}\n", people.join("\n"))).await;
    let plan = json!({ "name": "spring", "audience": audience["id"], "channels": ["wa", "sms"], "order": "listed", "fallback": { "after": "PT1H" },
        "category": "marketing", "parts": [{ "type": "text", "text": "spring" }] });
    let (status, made) = world.post("/v1/campaigns", &plan).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();

    let forecast = act(&world, &id, "forecast").await;
    let said = ["people", "messages", "suppressed"].map(|n| forecast[n].as_u64().expect("a number"));
    assert_eq!(said, [5, 2, 3], "{forecast:#}");
    let share = |channel: &str| ["people", "units", "fallback"].map(|n| forecast["channels"][channel][n].as_u64().expect("a number"));
    assert_eq!((share("wa"), share("sms")), ([1, 1, 0], [1, 1, 1]), "{forecast:#}");
    assert_eq!(
        (&forecast["reach"]["total"]["reachable"], &forecast["reach"]["total"]["suppressed"]),
        (&json!(2), &json!(3)),
        "{forecast:#}"
    );

    act(&world, &id, "launch").await;
    let end = completed(&world, &id).await;
    assert_eq!((count(&end, "accepted"), count(&end, "held_back")), (5, 3), "{end:#}");
    assert_eq!((got(&whatsapp, "spring"), got(&twilio, "spring")), (vec!["15560000002".to_owned()], vec!["+15560000003".to_owned()]));
    world.until("the receipt is in the books", 20, async |w| why(w, &id, 3).await["rule"] == "delivered").await;
    let rules = [(3, "delivered"), (4, "opted_out_marketing"), (5, "suppressed"), (6, "suppressed_gone")];
    for (n, rule) in rules {
        let told = why(&world, &id, n).await;
        let is_on = if matches!(n, 3 | 6) { "sms" } else { "wa" };
        assert_eq!((&told["rule"], &told["recipient"]["channel"]), (&json!(rule), &json!(is_on)), "{told:#}");
    }
    // What the first step came to is told apart from the second, and may be read after it.
    let before = "wa did not bring it to them before.";
    world
        .until("the step before is in the books", 20, async |w| {
            why(w, &id, 3).await["because"].as_str().unwrap_or_default().contains(before)
        })
        .await;
}

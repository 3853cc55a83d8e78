//! Journeys: entered by an event, an audience and the API, gone through step by step, left by who acts, and killed on the way.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{upload, world};
use crate::world::World;

async fn made(world: &World, journey: &Value) -> String {
    let (status, made) = world.post("/v1/journeys", journey).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

async fn track(world: &World, person: u32, name: &str, total: u32) {
    let body = json!({ "name": name, "address": format!("telegram:{person}"), "channel": "tg", "properties": { "total": total } });
    let (status, told) = world.post("/v1/track", &body).await;
    assert_eq!(status, 202, "{told}");
}

fn say(name: &str, text: &str, next: Option<&str>) -> Value {
    json!({ "type": "send", "name": name, "next": next,
        "parts": [{ "type": "text", "text": format!("{text} {{{{ contact.address }}}}") }] })
}

/// The numbers of a journey: people by state, and of each step how often it was come to.
async fn numbers(world: &World, id: &str) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let report = world.get(&format!("/v1/journeys/{id}/report")).await;
    let people = serde_json::from_value(report["people"].clone()).expect("numbers");
    let mut steps = BTreeMap::new();
    for step in report["steps"].as_array().expect("a list") {
        let counts: BTreeMap<String, u64> = serde_json::from_value(step["counts"].clone()).expect("numbers");
        let entered = step["entered"].as_u64().expect("a number");
        assert_eq!(counts.values().sum::<u64>(), entered, "what became of a step adds up: {report}");
        steps.insert(step["name"].as_str().expect("a name").to_owned(), entered);
    }
    (people, steps)
}

async fn why(world: &World, id: &str, address: &str) -> Value {
    world.get(&format!("/v1/why?journey={id}&recipient={address}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journey_is_gone_through_left_by_who_acts_and_nobody_gets_a_step_twice() {
    let (mut world, tg, _vb) = world("2000/s").await;
    let journey = json!({ "name": "welcome", "on": "signed_up", "if": "event.properties.total > 0", "exit_on": ["order_placed"],
        "channels": ["tg"], "steps": [
            say("hello", "hello", None),
            { "type": "wait", "name": "a while", "for": "PT6S" },
            { "type": "condition", "name": "big?", "if": "event.properties.total > 50 and steps.hello == 'sent'", "else": "small" },
            say("big", "big", Some("bye")),
            say("small", "small", None),
            { "type": "exit", "name": "bye", "reason": "that was all" }
        ] });
    let id = made(&world, &journey).await;
    let wrong = json!({ "name": "n", "channels": ["tg"], "steps": [say("a", "x", Some("nowhere"))] });
    let (status, problem) = world.post("/v1/journeys", &wrong).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("#/steps/0/next")), "{problem}");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    // Forty sign up; a condition leaves out one more, four act at once, and the same is told twice.
    for n in 0..40 {
        track(&world, 100 + n, "signed_up", if n % 2 == 0 { 80 } else { 20 }).await;
    }
    track(&world, 100, "signed_up", 80).await;
    track(&world, 999, "signed_up", 0).await;
    world.until("all are greeted", 30, async |_| tg.accepted().len() == 40).await;
    for n in 0..4 {
        track(&world, 100 + n, "order_placed", 1).await;
    }
    world.until("four have left", 10, async |w| numbers(w, &id).await.0["left"] == 4).await;
    world
        .until("its words are sent", 10, async |w| {
            why(w, &id, "telegram:110").await["because"].as_str().is_some_and(|b| b.ends_with("is sent."))
        })
        .await;
    let waits = why(&world, &id, "telegram:110").await;
    let because = waits["because"].as_str().expect("a sentence");
    assert!(
        because.starts_with("They wait at the step `a while` for PT6S, until ") && because.contains("then comes the step `big?`"),
        "{waits}"
    );
    assert!(waits["estimated_send_at"].is_string() && because.ends_with("of the step `hello`, is sent."), "{waits}");

    world.kill();
    world.restart().await;
    world.until("everybody is through", 40, async |w| numbers(w, &id).await.0["going"] == 0).await;
    world.until("the last have it", 20, async |_| tg.accepted().len() >= 76).await;
    let mut got = tg.accepted();
    got.sort();
    let mut expected: Vec<String> = (100..140).map(|n| format!("hello telegram:{n}")).collect();
    expected.extend((104..140).map(|n| format!("{} telegram:{n}", if n % 2 == 0 { "big" } else { "small" })));
    expected.sort();
    assert_eq!(got, expected);
    let (people, steps) = numbers(&world, &id).await;
    assert_eq!(people, [("done", 0), ("going", 0), ("left", 40)].map(|(state, n)| (state.to_owned(), n)).into());
    let counted = [("hello", 40), ("a while", 40), ("big?", 36), ("big", 18), ("small", 18), ("bye", 36)];
    assert_eq!(steps, counted.map(|(step, n)| (step.to_owned(), n)).into());
    let left = why(&world, &id, "telegram:101").await;
    assert!(
        left["because"].as_str().is_some_and(|b| b.contains("at the step `a while`") && b.contains("the person did order_placed")),
        "{left}"
    );
    let through = why(&world, &id, "telegram:105").await;
    assert!(through["because"].as_str().is_some_and(|b| b.contains("at the step `bye`") && b.contains("that was all")), "{through}");
    assert_eq!(through["timeline"].as_array().map(Vec::len), Some(5), "{through}");
    let reply = world.ask("GET", &format!("/v1/why?journey={id}&recipient=telegram:999"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 404, "who was left out never entered");
    track(&world, 104, "signed_up", 80).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(tg.accepted().len(), 76, "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audience_and_single_people_are_sent_into_a_journey() {
    let (world, tg, _vb) = world("2000/s").await;
    let steps = json!([say("first", "first", None), { "type": "wait", "name": "pause", "for": "PT3S" }, say("second", "second", None)]);
    let journey = json!({ "name": "course", "again": "PT0S", "channels": ["tg", "vb"], "steps": steps });
    let id = made(&world, &journey).await;
    let enter = async |who: Value| world.post(&format!("/v1/journeys/{id}/enter"), &who).await;

    // More than are taken in at a time, and some whom no channel reaches: those go on too, and the report says why they got nothing.
    let mut csv = String::from("address,name\n");
    (0..2100).for_each(|n| writeln!(csv, "telegram:{},N", 60_000 + n).expect("memory"));
    (0..5).for_each(|n| writeln!(csv, "mailto:p{n}@example.org,N").expect("memory"));
    let audience = upload(&world, "all", csv).await;
    let (status, entered) = enter(json!({ "audience": audience["id"] })).await;
    assert_eq!((status, &entered["intake"]["state"]), (202, &json!("taking")), "{entered}");
    world.until("all are through", 120, async |w| numbers(w, &id).await.0["done"] == 2105).await;
    world.until("all have both", 60, async |_| tg.accepted().len() >= 4200).await;
    let mut got = tg.accepted();
    got.sort();
    got.dedup();
    assert_eq!((got.len(), tg.accepted().len()), (4200, 4200), "everybody has each once");
    let report = world.get(&format!("/v1/journeys/{id}/report")).await;
    assert_eq!((&report["intakes"][0]["state"], &report["intakes"][0]["people"]), (&json!("done"), &json!(2105)), "{report}");
    assert_eq!(report["steps"][0]["counts"]["unreachable"], 5, "{report}");

    // A contact, who is one person whatever address they are named by.
    let contact = json!({ "id": "c-1", "addresses": ["viber:ana=", "telegram:71"], "name": "Ana" });
    assert_eq!(world.post("/v1/contacts", &contact).await.0, 201);
    let (status, entered) = enter(json!({ "to": { "contact": "c-1" } })).await;
    assert_eq!(
        (status, &entered["person"]["address"], &entered["person"]["state"]),
        (202, &json!("telegram:71"), &json!("going")),
        "{entered}"
    );
    let (status, problem) = enter(json!({ "to": { "address": "viber:ana=" } })).await;
    assert!(status == 409 && problem["detail"].as_str().is_some_and(|d| d.contains("on the way already")), "{problem}");
    world.until("she is through", 30, async |w| why(w, &id, "viber:ana=").await["state"] == "done").await;
    world.until("she has both", 10, async |_| tg.accepted().ends_with(&["first telegram:71".into(), "second telegram:71".into()])).await;
    for (who, pointer) in
        [(json!({}), "#/to"), (json!({ "audience": "aud_none" }), "#/audience"), (json!({ "to": { "contact": "c-2" } }), "#/to/contact")]
    {
        let (status, problem) = enter(who).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{problem}");
    }

    // Again she may; and a journey that is edited leads on by the names of its steps.
    let (status, entered) = enter(json!({ "to": { "contact": "c-1" } })).await;
    assert_eq!(status, 202, "{entered}");
    world
        .until("she waits", 10, async |w| why(w, &id, "viber:ana=").await["because"].as_str().is_some_and(|b| b.contains("`pause`")))
        .await;
    let steps = json!([say("first", "first", None), { "type": "wait", "name": "pause", "for": "PT3S" }, say("other", "other", None)]);
    let edited = json!({ "name": "course", "channels": ["tg", "vb"], "steps": steps });
    let reply = world.ask("PUT", &format!("/v1/journeys/{id}"), Some(&edited)).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 200, "{}", String::from_utf8_lossy(&reply.body));
    world.until("she has the new words", 20, async |_| tg.accepted().last().is_some_and(|t| t == "other telegram:71")).await;
    let (mut people, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/journeys/{id}/people?state=done&limit=500&after={after}")).await;
        people.extend(page["data"].as_array().expect("a list").iter().map(|person| person["address"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        assert!(!next.contains("telegram"), "a cursor tells nobody whom it stands at: {next}");
        after = next.to_owned();
    }
    people.dedup();
    assert_eq!(people.len(), 2106, "everybody once");
    let reply = world.ask("DELETE", &format!("/v1/journeys/{id}"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 204);
    let reply = world.ask("GET", &format!("/v1/journeys/{id}/report"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 404);
}

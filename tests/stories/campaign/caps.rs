//! Caps with priorities: who has less waits, and is not dropped.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{FAST, act, count, put, report, upload};
use crate::world::World;
use crate::world_twin::host;

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_campaign_waits_for_a_higher_ones_allowance_and_goes_after_it() {
    let tg = host("telegram").await;
    let channel = tg.channel("tg", &format!("[channels.tg.throttle]\n{FAST}"));
    let world = World::start(&format!("[quiet_hours]\nmarketing = \"off\"\n[caps]\nmarketing = \"1/30s\"\n{channel}")).await;
    let mut csv = String::from("address\n");
    (0..60).for_each(|n| writeln!(csv, "telegram:{}", 400_000 + n).expect("memory"));
    let audience = upload(&world, "all", csv).await;
    let campaign = async |name: &str, more: Value| {
        let mut plan = json!({ "name": name, "audience": audience["id"], "channels": ["tg"],
            "parts": [{ "type": "text", "text": format!("{name} {{{{ contact.address }}}}") }] });
        plan.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        let (status, made) = world.post("/v1/campaigns", &plan).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().expect("an id").to_owned()
    };
    // The higher one goes in a few seconds. What it will need is kept free from its launch on.
    let at = fairway::clock::now().plus(15_000).to_string();
    let high = campaign("high", json!({ "priority": 9, "schedule": { "at": at } })).await;
    let low = campaign("low", json!({ "priority": 3 })).await;
    act(&world, &high, "launch").await;
    world.until("its people are frozen", 10, async |w| w.get(&format!("/v1/campaigns/{high}")).await["phase"] == "full").await;
    let forecast = act(&world, &low, "forecast").await;
    assert_eq!(forecast["capped"], 60, "{forecast}");
    act(&world, &low, "launch").await;
    world.until("all wait behind it", 15, async |w| count(&report(w, &low).await, "waiting") == 60).await;
    assert_eq!(tg.accepted().len(), 0, "nobody had the lower one first");
    let why = async |w: &World| w.get(&format!("/v1/why?campaign={low}&recipient=telegram:400007")).await;
    world.until("the hold is told", 10, async |w| why(w).await["state"] == "held").await;
    let held = why(&world).await;
    let because = held["because"].as_str().expect("a sentence");
    let expected =
        format!("Held on tg: the cap of 1/30s on marketing, whose rest is kept for the campaign {high} of priority 9. It ends at 20");
    assert!(because.starts_with(&expected) && held["rule"] == "cap", "{held:#}");

    world
        .until("both are complete", 90, async |w| {
            let state = async |id: &str| w.get(&format!("/v1/campaigns/{id}")).await["state"].clone();
            state(&high).await == "completed" && state(&low).await == "completed"
        })
        .await;
    let mut got: HashMap<String, Vec<String>> = HashMap::new();
    for text in tg.accepted() {
        let (name, address) = text.split_once(' ').expect("two words");
        got.entry(address.to_owned()).or_default().push(name.to_owned());
    }
    assert_eq!(got.len(), 60);
    assert!(got.values().all(|names| *names == ["high", "low"]), "{got:?}");
    for id in [&high, &low] {
        let end = report(&world, id).await;
        assert_eq!((count(&end, "sent"), count(&end, "waiting")), (60, 0), "{end}");
    }
}

/// A tenant's quota counts a message when it is planned; a crash between that and the lane does not make it count twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_planned_counts_in_the_quota_once() {
    let tg = host("telegram").await;
    let channel = tg.channel("tg", &format!("tenant = \"acme\"\n[channels.tg.throttle]\n{FAST}"));
    let mut world = World::start(&format!("[tenants.acme]\nmessages = \"30/365d\"\n{channel}")).await;
    let mut csv = String::from("address\n");
    (0..20).for_each(|n| writeln!(csv, "telegram:{}", 500_000 + n).expect("memory"));
    let audience = upload(&world, "all", csv).await;
    let plan = json!({ "name": "n", "audience": audience["id"], "channels": ["tg"], "category": "transactional",
        "parts": [{ "type": "text", "text": "campaign" }] });
    let id = world.post("/v1/campaigns", &plan).await.1["id"].as_str().expect("an id").to_owned();
    act(&world, &id, "launch").await;
    world.until("all have it", 30, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "completed").await;

    world.kill();
    let left = "UPDATE campaign_people SET state = 'planned', level = 0; UPDATE campaigns SET state = 'running'";
    put(&world, "fairway.proactive.db", left).await;
    world.restart().await;
    let people = format!("/v1/campaigns/{id}/recipients?limit=100");
    let repeated = async |w: &World| {
        let page = w.get(&people).await;
        page["data"].as_array().is_some_and(|d| d.len() == 20 && d.iter().all(|p| matches!(p["state"].as_str(), Some("accepted" | "sent"))))
    };
    world.until("all are repeated", 30, repeated).await;
    let send = |to: u32| json!({ "to": format!("telegram:{to}"), "channel": "tg", "parts": [{ "type": "text", "text": "single" }] });
    let mut taken = 0;
    for to in 0..12 {
        taken += u32::from(world.post("/v1/messages", &send(600_000 + to)).await.0 == 202);
    }
    assert_eq!(taken, 10, "what the campaign left of thirty");
    world.until("those are sent", 30, async |_| tg.accepted().len() == 30).await;
}

/// What a batch makes and does not plan, here because the budget holds it, counts in no quota.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_and_not_planned_does_not_count_in_the_quota() {
    let tg = host("telegram").await;
    let channel = tg.channel("tg", &format!("tenant = \"acme\"\n[channels.tg.throttle]\n{FAST}"));
    let world = World::start(&format!("[tenants.acme]\nmessages = \"10/365d\"\n{channel}")).await;
    let prices = "currency = \"EUR\"\n[[price]]\nchannel = \"tg\"\namount = \"1.00\"\n";
    std::fs::write(world.folder.path().join("prices.toml"), prices).expect("a writable folder");
    let mut csv = String::from("address\n");
    (0..20).for_each(|n| writeln!(csv, "telegram:{}", 500_000 + n).expect("memory"));
    let audience = upload(&world, "all", csv).await;
    let plan = json!({ "name": "n", "audience": audience["id"], "channels": ["tg"], "category": "transactional",
        "budget": { "amount": "5.00", "currency": "EUR" }, "parts": [{ "type": "text", "text": "campaign" }] });
    let id = world.post("/v1/campaigns", &plan).await.1["id"].as_str().expect("an id").to_owned();
    act(&world, &id, "launch").await;
    // Each time the next person's message is made, and is not paid for.
    for _ in 0..3 {
        world.until("the budget holds it", 30, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "paused").await;
        act(&world, &id, "resume").await;
    }
    // A pause also holds what has not left yet.
    let gone = async |w: &World| {
        if w.get(&format!("/v1/campaigns/{id}")).await["state"] == "paused" && tg.accepted().len() < 5 {
            act(w, &id, "resume").await;
        }
        tg.accepted().len() == 5
    };
    world.until("five have it", 30, gone).await;
    world.until("the budget holds it", 30, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "paused").await;
    let mut taken = 0;
    for to in 0..7 {
        let send = json!({ "to": format!("telegram:{}", 600_000 + to), "channel": "tg", "parts": [{ "type": "text", "text": "single" }] });
        taken += u32::from(world.post("/v1/messages", &send).await.0 == 202);
    }
    assert_eq!(taken, 5, "what the campaign left of ten");
}

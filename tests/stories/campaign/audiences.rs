//! Whom a campaign is for: filters over contacts, and counts and forecasts that say what then happens.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use fairway_adapters::contract::{Call, Time};
use serde_json::{Value, json};

use super::{act, count, report, upload};
use crate::world::World;

async fn import(world: &World, csv: String) {
    let call = Call::new(http::Method::POST, world.url("/v1/contacts/import")).header("content-type", "text/csv").bytes(csv);
    let reply = world.call(&call).await.expect("an answer");
    let job: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    world.until("all are there", 60, async |w| w.get(&path).await["state"] == "done").await;
}

/// More than are looked at together. Every fiftieth is golden; every hundredth speaks German too; one of those has mail alone.
async fn contacts(world: &World) {
    let mut csv = String::from("id,telegram,email,locale,plan,age\n");
    for n in 0..2100 {
        let plan = if n % 50 == 0 { "gold" } else { "silver" };
        let locale = if n % 100 == 0 { "de-AT" } else { "" };
        let address = if n == 200 { ",p200@example.org".to_owned() } else { format!("{},", 8_000_000 + n) };
        writeln!(csv, "c-{n:04},{address},{locale},{plan},{n}").expect("memory");
    }
    import(world, csv).await;
}

async fn save(world: &World, filter: Value) -> String {
    let (status, made) = world.post("/v1/audiences", &json!({ "name": "saved", "filter": filter })).await;
    assert_eq!((status, &made["state"], &made["filter"], made.get("people")), (201, &json!("saved"), &filter, None), "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

async fn counted(world: &World, audience: &str) -> Value {
    world.get(&format!("/v1/audiences/{audience}/count?channels=demo-telegram")).await
}

async fn draft(world: &World, audience: &str) -> String {
    let plan = json!({ "name": "Sale", "audience": audience, "channels": ["demo-telegram"],
        "parts": [{ "type": "text", "text": "hello {{ contact.plan }}" }] });
    let (status, made) = world.post("/v1/campaigns", &plan).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

async fn recipients(world: &World, id: &str, states: &str) -> BTreeSet<String> {
    let page = world.get(&format!("/v1/campaigns/{id}/recipients?state={states}&limit=1000")).await;
    let people = page["data"].as_array().expect("a list").iter();
    people.map(|r| r["address"].as_str().expect("an address").to_owned()).collect()
}

fn numbers(value: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value:#}"))).collect()
}

const STANDS: [&str; 4] = ["reachable", "suppressed", "capped", "unreachable"];

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_finds_its_people_when_it_is_launched_and_keeps_them() {
    let world = World::start("[quiet_hours]\nmarketing = \"off\"\n").await;
    contacts(&world).await;
    for (filter, pointer) in [
        (json!({ "all": [{ "locale": "de" }, { "plan": "gold" }] }), "#/filter/all/1/plan"),
        (json!({ "not": { "last_read": { "within": "soon" } } }), "#/filter/not/last_read/within"),
        (json!({ "any": [{ "not": { "campaign": "cmp_none" } }] }), "#/filter/any/0/not/campaign"),
    ] {
        let (status, wrong) = world.post("/v1/audiences", &json!({ "filter": filter })).await;
        assert_eq!((status, &wrong["errors"][0]["pointer"]), (422, &json!(pointer)), "{wrong}");
    }

    // Two golden ones write, one wants nothing any more, one is suppressed by hand, a silver one writes in vain.
    for (n, text) in [(50, "hello"), (150, "hello"), (300, "STOP"), (51, "hello")] {
        world.says("telegram", &format!("telegram:{}", 8_000_000 + n), text).await;
    }
    assert_eq!(world.post("/v1/suppressions", &json!({ "pattern": "telegram:8000400" })).await.0, 201);
    let filter = json!({ "all": [{ "attribute": "plan", "is": "gold" }, { "attribute": "age", "at_most": 2099 },
        { "any": [{ "last_inbound": { "within": "1d" } }, { "locale": "de" }] }] });
    let audience = save(&world, filter.clone()).await;
    world
        .until("what they did is known", 20, async |w| {
            let counted = counted(w, &audience).await;
            numbers(&counted["total"], &STANDS) == [20, 2, 0, 1]
        })
        .await;
    let reach = counted(&world, &audience).await;
    assert_eq!((&reach["people"], &reach["channels"]["demo-telegram"]), (&json!(23), &reach["total"]), "{reach}");
    assert_eq!(world.get(&format!("/v1/audiences/{audience}")).await["filter"], filter);

    let id = draft(&world, &audience).await;
    let forecast = act(&world, &id, "forecast").await;
    let said = numbers(&forecast, &["people", "messages", "suppressed", "unreachable", "quiet", "capped"]);
    assert_eq!((said, &forecast["reach"]), (vec![23, 20, 2, 1, 0, 0], &reach), "{forecast:#}");
    act(&world, &id, "launch").await;
    world.until("its people are frozen", 20, async |w| w.get(&format!("/v1/campaigns/{id}")).await["phase"] == "full").await;

    // Who comes to be meant after that is none of this campaign's.
    let late = json!({ "id": "c-0051", "attributes": { "plan": "gold" } });
    assert_eq!(world.post("/v1/contacts", &late).await.0, 200);
    let new = json!({ "id": "c-9999", "addresses": ["telegram:8009999"], "locale": "de", "attributes": { "plan": "gold", "age": 30 } });
    assert_eq!(world.post("/v1/contacts", &new).await.0, 201);
    assert_eq!(counted(&world, &audience).await["people"], 25);
    world.until("it is complete", 60, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "completed").await;
    let end = report(&world, &id).await;
    assert_eq!((&end["reach"], &world.get(&format!("/v1/campaigns/{id}")).await["reach"]), (&reach, &reach), "{end:#}");
    let came = ["people", "accepted", "sent", "held_back", "suppressed", "unreachable"].map(|name| count(&end, name));
    assert_eq!(came, [23, 22, 20, 2, 0, 1], "{end:#}");
    let german = (0..21).map(|n| n * 100).filter(|n| ![200, 300, 400].contains(n));
    let expected: BTreeSet<String> = german.chain([50, 150]).map(|n| format!("telegram:{}", 8_000_000 + n)).collect();
    assert_eq!((recipients(&world, &id, "sent").await, &world.books("telegram").await["accepted"]), (expected, &json!(20)));

    // Who got it and has not answered; and who got it is no list of who is meant now.
    world.says("telegram", "telegram:8000150", "thanks").await;
    let silent = save(&world, json!({ "campaign": id, "states": ["sent"], "answered": false })).await;
    world.until("the answer is known", 20, async |w| counted(w, &silent).await["people"] == 19).await;
    let follow = json!({ "campaign": id, "states": ["sent"] });
    assert_eq!(world.post("/v1/audiences", &follow).await.1["people"], 20);
    let gone = world.ask("DELETE", &format!("/v1/audiences/{audience}"), None).await.expect("an answer");
    assert_eq!(gone.status.as_u16(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_says_who_waits_for_hours_and_caps_and_so_it_comes() {
    // Hours that are over, or not begun, for somebody who lives by UTC.
    let hour = (fairway::clock::now().0 / 3_600_000 % 24 + 12) % 24;
    let hours = format!("[\"{hour:02}:00\", \"{:02}:00\"]", hour + 1);
    let world = World::start(&format!("[quiet_hours]\nmarketing = {hours}\ntables = false\n[caps]\nmarketing = \"1/1h\"\n")).await;
    let mut csv = String::from("address,plan\n");
    for n in 0..20 {
        writeln!(csv, "telegram:{},gold", 8_100_000 + n).expect("memory");
        if n < 3 {
            let sleeper = json!({ "addresses": [format!("telegram:{}", 8_100_000 + n)], "time_zone": "Etc/UTC" });
            assert_eq!(world.post("/v1/contacts", &sleeper).await.0, 201);
        }
    }
    csv.push_str("mailto:nobody@example.org,gold\n");
    let audience = upload(&world, "all", csv).await["id"].as_str().expect("an id").to_owned();
    world.post("/v1/suppressions", &json!({ "pattern": "telegram:8100010" })).await;
    let ad =
        json!({ "to": "telegram:8100011", "priority": "bulk", "category": "marketing", "parts": [{ "type": "text", "text": "Sale" }] });
    let first = world.post("/v1/messages", &ad).await.1["id"].as_str().expect("an id").to_owned();
    world.reaches(&first, &["sent"], 10).await;

    let reach = counted(&world, &audience).await;
    assert_eq!(numbers(&reach["total"], &STANDS), [18, 1, 1, 1], "{reach}");
    let id = draft(&world, &audience).await;
    let forecast = act(&world, &id, "forecast").await;
    let said = numbers(&forecast, &["people", "messages", "suppressed", "unreachable", "quiet", "capped"]);
    assert_eq!((said, &forecast["reach"]), (vec![21, 19, 1, 1, 3, 1], &reach), "{forecast:#}");
    let held = &forecast["held"][0];
    let time = |value: &Value| value.as_str().and_then(Time::parse).unwrap_or_else(|| panic!("{value} is no time"));
    let until = time(&held["until"]);
    assert_eq!((&held["people"], until.0 / 3_600_000 % 24, until.0 % 3_600_000), (&json!(3), hour, 0), "{forecast:#}");
    let ends = time(&forecast["ends_at"]);
    assert!(ends > until && ends.since(until) < 60_000, "{forecast:#}");

    act(&world, &id, "launch").await;
    world
        .until("everybody's message has left or waits", 30, async |w| {
            let report = report(w, &id).await;
            count(&report, "sent") + count(&report, "held_back") == 16 && recipients(w, &id, "held").await.len() == 4
        })
        .await;
    let now = report(&world, &id).await;
    let came = ["people", "accepted", "sent", "held_back", "unreachable", "waiting"].map(|name| count(&now, name));
    assert_eq!((came, &now["reach"]), ([21, 20, 15, 1, 1, 4], &reach), "{now:#}");
    let held = world.get(&format!("/v1/campaigns/{id}/recipients?state=held")).await;
    let because = |what: &str| held["data"].as_array().into_iter().flatten().filter(|r| r["reason"].to_string().contains(what)).count();
    assert_eq!((because("quiet hours"), because("the cap of 1/1h")), (3, 1), "{held:#}");
    act(&world, &id, "cancel").await;
}

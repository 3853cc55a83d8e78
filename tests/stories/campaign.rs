//! Campaigns, reminders and triggers against twins that live outside the process which is killed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fairway_adapters::contract::Call;
use serde_json::{Value, json};

use crate::world::{World, database_of};
use crate::world_twin::{Hosted, host};

mod appointments;
mod audiences;
mod caps;
mod chain;
mod erased;
mod journeys;
mod whole;

const FAST: &str = "rate = \"2000/s\"\nper_recipient = \"1000/s\"\nconcurrency = 32\n";

fn throttle(name: &str, rate: &str) -> String {
    format!("[channels.{name}.throttle]\n{}", FAST.replace("2000/s", rate))
}

/// Two channels, one for each half of the people.
async fn world(rate: &str) -> (World, Hosted, Hosted) {
    let (first, second) = (host("telegram").await, host("viber").await);
    let more = first.channel("tg", &throttle("tg", rate)) + &second.channel("vb", &throttle("vb", rate));
    (World::start(&more).await, first, second)
}

async fn upload(world: &World, name: &str, csv: String) -> Value {
    let path = format!("/v1/audiences?name={name}");
    let call = Call::new(http::Method::POST, world.url(&path)).header("content-type", "text/csv").bytes(csv);
    let reply = world.call(&call).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 201, "{}", String::from_utf8_lossy(&reply.body));
    serde_json::from_slice(&reply.body).expect("JSON")
}

/// People of which every tenth lives where nobody reaches them, and some rows that are no people.
fn people(count: u32) -> String {
    let mut csv = String::from("address,name,locale,time_zone,city\n");
    for n in 0..count {
        let address = match n % 10 {
            0 => format!("mailto:p{n}@example.org"),
            n2 if n2 % 2 == 0 => format!("telegram:{}", 100_000 + n),
            _ => format!("viber:user{n}="),
        };
        let locale = if n % 3 == 0 { "pt-BR" } else { "" };
        writeln!(csv, "{address},Name{n},{locale},Europe/Rome,City{n}").expect("memory");
    }
    csv + "nobody,Bad,,,\ntelegram:100002,Twice,,,\n"
}

async fn template(world: &World, version: &str) {
    let words = |hello: &str| json!({ "parts": [{ "type": "text", "text": format!("{version} {hello} {{{{ who }}}} {{{{ 'https://shop.example/spring' | link }}}} {{{{ contact.address }}}}") }] });
    let body = json!({ "name": "spring", "default_locale": "en", "locales": { "en": words("Hello"), "pt": words("Ola") } });
    let (status, body) = world.post("/v1/templates", &body).await;
    assert_eq!(status, 201, "{body}");
}

fn plan(audience: &Value) -> Value {
    json!({ "name": "Spring", "audience": audience["id"], "channels": ["tg", "vb"],
        "template": { "name": "spring", "params": { "who": "{{ contact.name }}" } },
        "variants": [{ "name": "a", "weight": 90 }, { "name": "holdout", "weight": 10 }] })
}

async fn act(world: &World, id: &str, act: &str) -> Value {
    let reply = world.ask("POST", &format!("/v1/campaigns/{id}/{act}"), None).await.expect("an answer");
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    assert!(reply.status.is_success(), "{act}: {} {body}", reply.status);
    body
}

/// The report, whose sums have to be right whenever it is asked for.
async fn report(world: &World, id: &str) -> Value {
    let report = world.get(&format!("/v1/campaigns/{id}/report")).await;
    let n = |name: &str| report["counts"][name].as_u64().unwrap_or_else(|| panic!("{name} in {report}"));
    let sum = |names: &[&str]| names.iter().map(|name| n(name)).sum::<u64>();
    assert_eq!(n("people"), sum(&["holdout", "suppressed", "unreachable", "to_go", "ended", "accepted"]), "{report}");
    let after = ["waiting", "in_doubt", "sent", "delivered", "read", "failed", "expired", "cancelled", "held_back"];
    assert_eq!(n("accepted"), sum(&after), "{report}");
    report
}

fn count(report: &Value, name: &str) -> u64 {
    report["counts"][name].as_u64().expect("a number")
}

/// Writes into the store what no request brings there: into this file, where it is files.
async fn put(world: &World, file: &str, sql: &str) {
    match database_of(world) {
        None => {
            let open = rusqlite::Connection::open(world.folder.path().join(file)).expect("the store's file");
            open.execute_batch(sql).expect("written");
        }
        Some(url) => {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a server");
            tokio::spawn(connection);
            client.batch_execute(sql).await.expect("written");
        }
    }
}

/// What each address got, by the twins' books.
fn got(twins: &[&Hosted]) -> HashMap<String, Vec<String>> {
    let mut got: HashMap<String, Vec<String>> = HashMap::new();
    for text in twins.iter().flat_map(|t| t.accepted()) {
        let address = text.rsplit(' ').next().unwrap_or_default().to_owned();
        got.entry(address).or_default().push(text);
    }
    got
}

fn taken(twins: &[&Hosted]) -> usize {
    twins.iter().map(|t| t.accepted().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_forecast_paused_edited_resumed_and_killed_and_nobody_gets_it_twice() {
    let (mut world, tg, vb) = world("150/s").await;
    let twins = [&tg, &vb];
    template(&world, "v1").await;
    let audience = upload(&world, "all", people(3000)).await;
    assert_eq!((audience["people"].as_u64(), audience["bad"].as_u64()), (Some(3000), Some(2)), "{audience}");
    let bad: Vec<(u64, &str)> = audience["bad_rows"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| (r["line"].as_u64().expect("a line"), r["column"].as_str().expect("a column")))
        .collect();
    assert_eq!(bad, [(3002, "address"), (3003, "address")]);
    let lint = world.post("/v1/templates/spring/lint", &json!({ "audience": audience["id"], "channels": ["tg", "vb"] })).await.1;
    assert_eq!((lint["people"].as_u64(), lint["missing"]["who"]["people"].as_u64()), (Some(3000), Some(2700)), "{lint}");

    let (status, campaign) = world.post("/v1/campaigns", &plan(&audience)).await;
    assert_eq!(status, 201, "{campaign}");
    let id = campaign["id"].as_str().expect("an id").to_owned();
    let forecast = act(&world, &id, "forecast").await;
    assert_eq!((forecast["people"].as_u64(), forecast["problems"].as_array().map(Vec::len)), (Some(3000), Some(0)), "{forecast}");
    let expected = forecast["messages"].as_u64().expect("a number");
    act(&world, &id, "launch").await;
    world.until("it is under way", 60, async |_| taken(&twins) > 200).await;

    // A pause holds what lies in lanes too.
    act(&world, &id, "pause").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at_pause = taken(&twins);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(taken(&twins), at_pause, "nothing leaves a second after a pause");
    let paused = report(&world, &id).await;
    assert_eq!(paused["state"], "paused", "{paused}");
    assert!(count(&paused, "to_go") + count(&paused, "waiting") > 0, "the pause came in time: {paused}");

    // It is killed while it is paused, and stays paused.
    world.kill();
    world.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(taken(&twins), at_pause, "a pause holds over a restart");

    // Edited: nobody gets the old words any more, wherever their message lay.
    template(&world, "v2").await;
    let call = Call::new(http::Method::PUT, world.url(&format!("/v1/campaigns/{id}")))
        .header("content-type", "application/json")
        .bytes(plan(&audience).to_string());
    let reply = world.call(&call).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 200, "{}", String::from_utf8_lossy(&reply.body));
    act(&world, &id, "resume").await;
    world.until("it goes on", 60, async |_| taken(&twins) > at_pause + 300).await;
    for _ in 0..2 {
        world.kill();
        world.restart().await;
        let before = taken(&twins);
        world.until("it goes on after a kill", 60, async |_| taken(&twins) > before + 100).await;
    }
    world.until("it is complete", 120, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "completed").await;

    let end = report(&world, &id).await;
    assert_eq!((count(&end, "to_go"), count(&end, "waiting"), count(&end, "unreachable") > 0), (0, 0, true), "{end}");
    assert_eq!((count(&end, "people"), count(&end, "accepted")), (3000, expected), "{end}");
    let got = got(&twins);
    let twice: Vec<_> = got.iter().filter(|(_, texts)| texts.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    // Marketing that was in doubt at a kill is listed and not sent again: it may or may not have arrived.
    let (reached, doubt) = (got.len() as u64, count(&end, "in_doubt"));
    assert!(reached <= expected && reached + doubt >= expected, "{reached} reached, {doubt} in doubt, {expected} expected: {end}");
    let old = got.values().flatten().filter(|t| t.starts_with("v1")).count();
    assert!(old <= at_pause, "{old} got the old words, {at_pause} had them at the pause");
    assert!(got.values().flatten().any(|t| t.starts_with("v2 Ola Name")), "the locale's own words went");

    // Whoever did not get that far can be followed up.
    let follow = json!({ "campaign": id, "states": ["sent"], "without_goal": true });
    let (status, left) = world.post("/v1/audiences", &follow).await;
    assert_eq!((status, left["people"].as_u64()), (201, Some(count(&end, "sent"))), "{left}");

    // A short link leads where it was to lead, once it was sent, and nowhere else.
    let text = got.values().flatten().next().expect("somebody got it");
    let link = text.split(' ').find(|word| word.contains("/l/")).expect("a link");
    let reply = world.call(&Call::new(http::Method::GET, link.to_owned())).await.expect("an answer");
    assert_eq!((reply.status.as_u16(), reply.headers["location"].as_bytes()), (302, &b"https://shop.example/spring"[..]));
    let clicks = world.events("fairway.link.clicked").await;
    assert_eq!((clicks.len(), clicks[0]["data"]["campaign"].as_str()), (1, Some(id.as_str())), "{clicks:?}");
    let reply = world.ask("GET", "/l/0000000000000000", None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 404);

    // Every person has a row with a reason where there is no message.
    let call = Call::new(http::Method::GET, world.url(&format!("/v1/campaigns/{id}/recipients"))).header("accept", "text/csv");
    let reply = world.call(&call).await.expect("an answer");
    let csv = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(csv.lines().count(), 3001);
    assert!(csv.lines().filter(|l| l.contains(",unreachable,")).all(|l| l.contains("reaches")), "reasons are told");

    // And each can be asked about.
    let unreachable = csv.lines().find(|l| l.contains(",unreachable,")).expect("there are some");
    let number = unreachable.split(',').next().expect("its number");
    let why = world.get(&format!("/v1/why?campaign={id}&recipient={number}")).await;
    assert_eq!(why["rule"], "no_channel", "{why:#}");
    assert!(why["because"].as_str().is_some_and(|b| b.contains("none of tg, vb reaches")), "{why:#}");
    let somebody = &world.get(&format!("/v1/campaigns/{id}/recipients?state=sent&limit=1")).await["data"][0];
    let address = somebody["address"].as_str().expect("an address").replace('+', "%2B");
    let why = world.get(&format!("/v1/why?campaign={id}&recipient={address}")).await;
    assert_eq!((&why["message_id"], &why["state"]), (&somebody["message_id"], &json!("sent")), "{why:#}");
    let reply = world.ask("GET", &format!("/v1/why?campaign={id}"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_campaign_ends_for_everybody_and_a_sick_canary_stops_the_rest() {
    let (world, tg, vb) = world("100/s").await;
    template(&world, "v1").await;
    let audience = upload(&world, "all", people(2000)).await;
    let id = world.post("/v1/campaigns", &plan(&audience)).await.1["id"].as_str().expect("an id").to_owned();
    act(&world, &id, "launch").await;
    world.until("it is under way", 60, async |_| taken(&[&tg, &vb]) > 100).await;
    act(&world, &id, "cancel").await;
    world
        .until("nobody waits", 60, async |w| {
            let report = report(w, &id).await;
            count(&report, "to_go") + count(&report, "waiting") == 0
        })
        .await;
    let end = report(&world, &id).await;
    let left = taken(&[&tg, &vb]) as u64;
    assert_eq!(count(&end, "sent") + count(&end, "in_doubt"), left, "{end}");
    assert!(count(&end, "ended") > 0, "{end}");
    let reply = world.ask("POST", &format!("/v1/campaigns/{id}/resume"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 409, "what is cancelled stays so");

    // People whom the provider does not know: the canary's share fails, and the rest is never written to.
    let mut csv = String::from("address\n");
    (0..400).for_each(|n| writeln!(csv, "viber:stranger{n}").expect("memory"));
    let strangers = upload(&world, "strangers", csv).await;
    let sick = json!({ "name": "Sick", "audience": strangers["id"], "channels": ["vb"], "parts": [{ "type": "text", "text": "hello" }],
        "canary": { "share": 0.05, "wait": "PT60S", "stop_if": { "failed": 0.1 } } });
    let (status, made) = world.post("/v1/campaigns", &sick).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id");
    act(&world, id, "launch").await;
    world.until("its canary stops it", 60, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "stopped").await;
    let stopped = report(&world, id).await;
    assert_eq!((count(&stopped, "accepted"), count(&stopped, "to_go")), (20, 380), "{stopped}");
    act(&world, id, "cancel").await;
    world.until("nobody waits", 30, async |w| count(&report(w, id).await, "to_go") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reminders_move_with_their_anchor_and_end_with_it() {
    let (mut world, tg, _vb) = world("2000/s").await;
    let now = fairway::clock::now();
    let at = |ms: i64| now.plus(ms).to_string();
    let put = |n: u32, at: String, version: u32| {
        json!({ "anchor": { "id": format!("visit-{n}"), "at": at, "zone": "Europe/Rome", "version": version }, "offsets": ["-PT1H", "-P1D"],
            "to": { "address": format!("telegram:{}", 5000 + n), "name": "Ana" }, "channels": ["tg"], "stop_on": ["confirmed"],
            "parts": [{ "type": "text", "text": "visit {{ contact.name }} {{ contact.address }}" }] })
    };
    // Twenty are due in a few seconds. Ten of them are moved to tomorrow just before, two are cancelled, one is confirmed.
    for n in 0..20 {
        let (status, body) = world.post("/v1/reminders", &put(n, at(3_600_000 + 6_000), 1)).await;
        assert_eq!(status, 201, "{body}");
    }
    for n in 0..10 {
        let (status, body) = world.post("/v1/reminders", &put(n, at(2 * 86_400_000), 2)).await;
        assert_eq!(status, 201, "{body}");
    }
    let (status, body) = world.post("/v1/reminders", &put(0, at(86_400_000), 1)).await;
    assert_eq!(status, 409, "a lower version moves nothing: {body}");
    for n in [10, 11] {
        let reply = world.ask("DELETE", &format!("/v1/reminders/visit-{n}"), None).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), 200);
    }
    let (status, body) = world.post("/v1/track", &json!({ "name": "confirmed", "address": "telegram:5012", "channel": "tg" })).await;
    assert_eq!(status, 202, "{body}");
    world.until("the person's word stops it", 10, async |w| w.get("/v1/reminders/visit-12").await["state"] == "stopped").await;
    world.kill();
    world.restart().await;
    world.until("the seven others are reminded", 40, async |_| tg.accepted().len() >= 7).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut reminded: Vec<String> = tg.accepted().iter().filter_map(|t| t.rsplit(' ').next().map(str::to_owned)).collect();
    reminded.sort();
    let expected: Vec<String> = (13..20).map(|n| format!("telegram:{}", 5000 + n)).collect();
    assert_eq!(reminded, expected);
    let moved = world.get("/v1/reminders/visit-3").await;
    let waiting: Vec<&Value> = moved["steps"].as_array().expect("a list").iter().filter(|s| s["state"] == "waiting").collect();
    assert_eq!(waiting.len(), 2, "{moved}");
    assert!(waiting.iter().all(|s| s["version"] == 2), "{moved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_follows_what_a_person_did_unless_they_act() {
    let (world, tg, _vb) = world("2000/s").await;
    let trigger = json!({ "name": "cart", "on": "cart_left", "if": "event.properties.total > 50", "delay": "PT2S", "unless": ["order_placed"],
        "cap": { "count": 1, "per": "P1D" }, "channels": ["tg"],
        "parts": [{ "type": "text", "text": "cart {{ event.properties.total }} {{ contact.address }}" }] });
    let (status, made) = world.post("/v1/triggers", &trigger).await;
    assert_eq!(status, 201, "{made}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let track = async |person: u32, name: &str, total: u32, id: &str| {
        let body =
            json!({ "name": name, "address": format!("telegram:{person}"), "channel": "tg", "properties": { "total": total }, "id": id });
        assert_eq!(world.post("/v1/track", &body).await.0, 202);
    };
    track(1, "cart_left", 80, "a").await;
    track(1, "cart_left", 80, "a").await; // The same event told twice.
    track(2, "cart_left", 20, "b").await; // Too small.
    track(3, "cart_left", 90, "c").await;
    track(3, "order_placed", 90, "d").await; // They acted.
    world.until("the first is reminded of their cart", 20, async |_| !tg.accepted().is_empty()).await;
    track(1, "cart_left", 99, "e").await; // Once a day is enough.
    let id = made["id"].as_str().expect("an id");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let messages = world.get(&format!("/v1/triggers/{id}/messages")).await;
        let states: Vec<&str> = messages["data"].as_array().expect("a list").iter().filter_map(|m| m["state"].as_str()).collect();
        if states.contains(&"suppressed") && states.contains(&"cancelled") && states.contains(&"sent") {
            assert_eq!(states.len(), 3, "{messages}");
            break;
        }
        assert!(Instant::now() < until, "{messages}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(tg.accepted(), ["cart 80 telegram:1"]);
    assert_eq!(world.events("fairway.contact.tracked").await.len(), 5, "the repeat has the same id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_kept_as_a_file_is_planned_and_applied() {
    let (world, tg, vb) = world("2000/s").await;
    let audience = upload(&world, "all", people(50)).await;
    let folder = world.folder.path().join("campaigns");
    std::fs::create_dir(&folder).expect("a folder");
    let text = format!(
        "name = \"Spring\"\naudience = {}\nchannels = [\"tg\", \"vb\"]\nparts = [{{ type = \"text\", text = \"hi {{{{ contact.address }}}}\" }}]\n",
        audience["id"]
    );
    std::fs::write(folder.join("spring.toml"), text).expect("written");
    let folder = folder.to_string_lossy().into_owned();
    let (good, said) = world.cli(&["campaign", "plan", "--folder", &folder]);
    assert!(good && said.contains("+ spring") && said.contains("50 people: 45 messages"), "{said}");
    assert_eq!(world.get("/v1/campaigns").await["data"].as_array().map(Vec::len), Some(0), "a plan leaves nothing behind");
    let (good, said) = world.cli(&["campaign", "apply", "--folder", &folder]);
    assert!(good && said.contains("+ spring"), "{said}");
    world.until("everybody has it", 60, async |_| taken(&[&tg, &vb]) == 45).await;
    let (good, said) = world.cli(&["campaign", "apply", "--folder", &folder]);
    assert!(good && said.contains("= spring"), "nothing is sent again: {said}");
    // A file may name a filter in place of an audience: a plan leaves no audience behind, an apply keeps one.
    let folder = world.folder.path().join("filters");
    std::fs::create_dir(&folder).expect("a folder");
    let text = "name = \"Gold\"\nchannels = [\"tg\"]\nparts = [{ type = \"text\", text = \"hi {{ contact.address }}\" }]\n\
        [filter]\nattribute = \"plan\"\nis = \"gold\"\n";
    std::fs::write(folder.join("gold.toml"), text).expect("written");
    for (id, plan) in [(1, "gold"), (2, "silver")] {
        let contact = json!({ "id": format!("c-{id}"), "addresses": [format!("telegram:90000{id}")], "attributes": { "plan": plan } });
        assert_eq!(world.post("/v1/contacts", &contact).await.0, 201);
    }
    let folder = folder.to_string_lossy().into_owned();
    let audiences = async || world.get("/v1/audiences").await["data"].as_array().map(Vec::len);
    let (good, said) = world.cli(&["campaign", "plan", "--folder", &folder]);
    assert!(good && said.contains("+ gold") && said.contains("1 people: 1 messages"), "{said}");
    assert_eq!(audiences().await, Some(1));
    let (good, said) = world.cli(&["campaign", "apply", "--folder", &folder]);
    assert!(good && said.contains("+ gold"), "{said}");
    world.until("the golden one has it", 60, async |_| taken(&[&tg, &vb]) == 46).await;
    let (good, said) = world.cli(&["campaign", "apply", "--folder", &folder]);
    assert!(good && said.contains("= gold"), "nothing is sent again: {said}");
    assert_eq!(audiences().await, Some(2), "the filter's audience is found again");
}

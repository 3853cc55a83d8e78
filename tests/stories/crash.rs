//! `kill -9`, again and again. How often is in `FAIRWAY_KILLS` (5 unless said; the README names the long run).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fairway_adapters::contract::Call;
use fairway_adapters::contract::twin::{Act, Twin};
use serde_json::{Value, json};

use crate::world::World;

fn kills() -> u32 {
    std::env::var("FAIRWAY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

/// Deliveries of the simulated Telegram, signed as its twin signs them, sent straight to the hook.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_inbound_is_there_once() {
    let mut world = World::start("").await;
    let provider = fairway_adapters::provider("telegram").expect("built in");
    let mut twin: Box<dyn Twin> = (provider.twin)(0);
    let hook = world.url("/hooks/demo-telegram");
    let mut acknowledged: Vec<String> = Vec::new();
    let mut number = 0;
    for _ in 0..kills() {
        let transport = fairway::transport::Transport::new(true, Arc::new(|_| None));
        let stop = Arc::new(AtomicBool::new(false));
        let mut batch = Vec::new();
        for _ in 0..3000 {
            number += 1;
            let words = format!("n{number}");
            let draft = twin.act(&format!("telegram:{}", 100 + number % 40), &Act::Text(words.clone()), fairway::clock::now()).remove(0);
            batch.push((words, twin.sign(&hook, draft)));
        }
        let (hook, stopped) = (hook.clone(), Arc::clone(&stop));
        let driver = tokio::spawn(async move {
            let mut good = Vec::new();
            for chunk in batch.chunks(16) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let answers = chunk.iter().map(|(words, draft)| {
                    let mut call = Call::new(draft.method.clone(), hook.clone()).bytes(draft.body.clone());
                    for (name, value) in &draft.headers {
                        call.headers.push((http::HeaderName::try_from(name.as_str()).expect("a name"), value.clone()));
                    }
                    let transport = transport.clone();
                    async move {
                        transport
                            .call(&call, None, Duration::from_secs(5))
                            .await
                            .is_ok_and(|r| r.status.is_success())
                            .then(|| words.clone())
                    }
                });
                good.extend(futures_util::future::join_all(answers).await.into_iter().flatten());
            }
            good
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.kill();
        stop.store(true, Ordering::Relaxed);
        acknowledged.extend(driver.await.expect("it ends"));
        world.restart().await;
    }
    let mut seen: HashMap<String, u32> = HashMap::new();
    for event in world.events("fairway.message.received").await {
        *seen.entry(event["data"]["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert!(acknowledged.len() > 100, "the load was real: {}", acknowledged.len());
    let lost: Vec<&String> = acknowledged.iter().filter(|words| !seen.contains_key(*words)).collect();
    let twice: Vec<(&String, &u32)> = seen.iter().filter(|(_, n)| **n > 1).collect();
    assert!(lost.is_empty() && twice.is_empty(), "of {} acknowledged: lost {lost:?}, twice {twice:?}", acknowledged.len());
}

/// The twin lives in the test, outside the process that is killed, and counts what reaches it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_out_twice_unless_it_is_listed() {
    let provider = crate::world_twin::host("telegram").await;
    let mut world =
        World::start(&provider.channel("tg", "[channels.tg.throttle]\nrate = \"2000/s\"\nper_recipient = \"1000/s\"\nconcurrency = 32\n"))
            .await;
    let total = kills() * 400;
    let lines: Vec<String> = (0..total)
        .map(|i| {
            let (category, lane) = if i % 2 == 0 { ("marketing", "bulk") } else { ("transactional", "normal") };
            json!({ "to": format!("telegram:{}", 10_000 + i), "channel": "tg", "category": category, "priority": lane, "parts": [{ "type": "text", "text": format!("m{i}") }] }).to_string()
        })
        .collect();
    let mut ids: Vec<String> = Vec::new();
    for some in lines.chunks(2000) {
        let call = Call::new(http::Method::POST, world.url("/v1/messages/batch"))
            .header("content-type", "application/x-ndjson")
            .bytes(some.join("\n"));
        let reply = world.call(&call).await.expect("an answer");
        let answers = String::from_utf8_lossy(&reply.body);
        ids.extend(answers.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()?["id"].as_str().map(str::to_owned)));
    }
    assert_eq!(ids.len() as u32, total);
    for _ in 0..kills() {
        tokio::time::sleep(Duration::from_millis(250)).await;
        world.kill();
        world.restart().await;
    }
    world
        .until("every message has an end", 120, async |w| {
            let status = w.get("/v1/status").await;
            let count = |s: &str| status["balance"][s].as_u64().unwrap_or(0);
            count("sent") + count("delivered") + count("read") + count("failed") + count("in_doubt") == u64::from(total)
                && w.get("/v1/channels/tg").await["in_doubt"] == 0
        })
        .await;
    let mut reached: HashMap<String, u32> = HashMap::new();
    for text in provider.accepted() {
        *reached.entry(text).or_default() += 1;
    }
    let doubted: std::collections::HashSet<String> = {
        let events = world.events("fairway.message.status").await;
        events
            .iter()
            .filter(|e| e["data"]["state"] == "in_doubt")
            .filter_map(|e| e["data"]["message_id"].as_str().map(str::to_owned))
            .collect()
    };
    for (i, id) in ids.iter().enumerate() {
        let times = reached.get(&format!("m{i}")).copied().unwrap_or(0);
        let marketing = i % 2 == 0;
        let listed = doubted.contains(id);
        assert!(times <= 1 || listed && !marketing, "m{i} ({id}) reached the provider {times} times, listed: {listed}");
        assert!(times >= 1 || listed, "m{i} ({id}) never reached the provider and is not listed");
    }
}

/// More waits than the window takes, on a channel that is not alone in its unit, so that most of it lies in the schedule while the
/// beginning of each conversation is in the window.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_keeps_its_order_over_a_crash() {
    const PEOPLE: usize = 30;
    const EACH: usize = 25;
    let provider = crate::world_twin::host("telegram").await;
    let shared = "limits = [\"pool\"]\n";
    let channels = [provider.channel("tg", shared), provider.channel("tg-other", shared), "[limits.pool]\nrate = \"50/s\"\n".into()];
    let mut world = World::start(&channels.concat()).await;
    let lines: Vec<String> = (0..PEOPLE * EACH)
        .map(|i| {
            let (person, turn) = (i % PEOPLE, i / PEOPLE);
            json!({ "to": format!("telegram:{}", 20_000 + person), "channel": "tg", "category": "transactional", "priority": "bulk",
                "parts": [{ "type": "text", "text": format!("{person} {turn}") }] })
            .to_string()
        })
        .collect();
    let batch = Call::new(http::Method::POST, world.url("/v1/messages/batch"))
        .header("content-type", "application/x-ndjson")
        .bytes(lines.join("\n"));
    assert!(world.call(&batch).await.is_ok_and(|reply| reply.status.is_success()));
    world.until("more waits than the window takes", 10, async |w| w.get("/v1/channels/tg").await["parked"].as_u64() > Some(100)).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.kill();
        world.restart().await;
    }
    let mut seen = std::collections::HashSet::new();
    world
        .until("every message is at the provider", 120, async |_| {
            seen = provider.accepted().into_iter().collect();
            seen.len() == PEOPLE * EACH
        })
        .await;
    let mut newest = [None; PEOPLE];
    seen.clear();
    for text in provider.accepted().into_iter().filter(|text| seen.insert(text.clone())) {
        let (person, turn) = text.split_once(' ').expect("our words");
        let (person, turn): (usize, usize) = (person.parse().expect("a number"), turn.parse().expect("a number"));
        assert!(newest[person] < Some(turn), "person {person} got {turn} behind {:?}", newest[person]);
        newest[person] = Some(turn);
    }
}

/// Two gateways on the same folders would each take for settled what the other holds in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_folders_is_refused() {
    let mut world = World::start("").await;
    let config = world.folder.path().join("fairway.toml");
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fairway"));
        let output = command.args(args).arg("--config").arg(&config).current_dir(world.folder.path()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&["serve"]);
    let whose = format!("is in use by another process (pid {}): stop that one, or use another folder", world.pid().expect("it runs"));
    let folder = world.folder.path().canonicalize().expect("it is there");
    assert!(code == Some(1) && said.contains(&whose) && said.contains(&folder.display().to_string()), "{code:?} {said}");
    assert_eq!(run(&["check"]).0, Some(0), "what only looks goes on working");
    let (ok, text) = world.cli(&["status"]);
    assert!(ok, "{text}");
    world.kill();
    world.restart().await;
}

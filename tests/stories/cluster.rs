//! Three nodes on one Kafka and one PostgreSQL, killed and stalled at random under load. How long is in `FAIRWAY_CLUSTER_SECONDS`
//! (120 unless said), the seed of what happens in `FAIRWAY_SEED`.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use fairway_adapters::contract::Call;
use fairway_adapters::contract::twin::Act;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::world::World;
use crate::world_twin::{Hosted, host_with_pace};

/// What the provider takes in a second.
const LIMIT: u32 = 40;
/// Conversations.
const PEOPLE: u64 = 60;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// A small generator: what happens is told by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What the world outside knows: what was accepted and what was acknowledged.
#[derive(Default)]
struct Ledger {
    /// Accepted sends: number to id.
    sent: HashMap<u64, String>,
    next: u64,
    /// Acknowledged webhooks, by their words.
    acknowledged: HashSet<String>,
    said: u64,
}

/// Sends a batch to a node; what is not answered is sent again, to another node, under the same keys.
async fn send(nodes: &[World], dice: &mut Dice, ledger: &mut Ledger, count: u64) {
    let numbers: Vec<u64> = (ledger.next..ledger.next + count).collect();
    ledger.next += count;
    let line = |n: &u64| {
        json!({ "to": format!("telegram:{}", 5000 + n % PEOPLE), "channel": "tg", "idempotency_key": format!("n{n}"),
                "parts": [{ "type": "text", "text": format!("m{n}") }] })
        .to_string()
    };
    let body: String = numbers.iter().map(|n| line(n) + "\n").collect();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let node = &nodes[dice.roll(nodes.len() as u64) as usize];
        let call = Call::new(http::Method::POST, node.url("/v1/messages/batch"))
            .header("content-type", "application/x-ndjson")
            .bytes(body.clone());
        if let Ok(reply) = node.call_within(&call, Duration::from_secs(5)).await
            && reply.status.is_success()
        {
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            let ids: Vec<String> =
                text.lines().filter_map(|l| Some(serde_json::from_str::<Value>(l).ok()?["id"].as_str()?.to_owned())).collect();
            if ids.len() == numbers.len() {
                return ledger.sent.extend(numbers.into_iter().zip(ids));
            }
        }
        assert!(Instant::now() < until, "no node has taken a batch for a minute");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A person writes; the webhook goes to any node, and again to another until one has acknowledged it.
async fn say(nodes: &[World], provider: &Hosted, dice: &mut Dice, ledger: &mut Ledger) {
    ledger.said += 1;
    let (words, person) = (format!("{:06}", ledger.said), format!("telegram:{}", 100 + ledger.said % 20));
    let draft = provider.stage.lock().twin().act(&person, &Act::Text(words.clone()), fairway::clock::now()).remove(0);
    for _ in 0..40 {
        let node = &nodes[dice.roll(nodes.len() as u64) as usize];
        let hook = node.url("/hooks/tg");
        let signed = provider.stage.lock().sign(&hook, draft.clone());
        let mut call = Call::new(signed.method.clone(), hook).bytes(signed.body.clone());
        for (name, value) in &signed.headers {
            call.headers.push((http::HeaderName::try_from(name.as_str()).expect("a name"), value.clone()));
        }
        if node.call_within(&call, Duration::from_secs(3)).await.is_ok_and(|reply| reply.status.is_success()) {
            ledger.acknowledged.insert(words);
            return;
        }
    }
    panic!("no node has taken a webhook in forty tries");
}

fn signal(node: &World, signal: Signal) {
    if let Some(pid) = node.pid().and_then(|pid| Pid::from_raw(pid as i32)) {
        kill_process(pid, signal).expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "the balance of the run is its result")]
async fn three_nodes_lose_nothing_and_exceed_nothing() {
    let seed = number("FAIRWAY_SEED", 7);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let provider = host_with_pace("telegram", (LIMIT, 1000)).await;
    let throttle = format!("[channels.tg.throttle]\nrate = \"{LIMIT}/s\"\nper_recipient = \"1000/s\"\nconcurrency = 32\n");
    let mut nodes = World::cluster(3, &provider.channel("tg", &throttle)).await;
    let mut ledger = Ledger::default();
    let started = Instant::now();
    let end = started + Duration::from_secs(number("FAIRWAY_CLUSTER_SECONDS", 120));
    let mut next_blow = started + Duration::from_secs(8);
    // Who is down or stalled, and until when.
    let mut down: Option<(usize, bool, Instant)> = None;
    let (mut kills, mut stalls) = (0, 0);
    while Instant::now() < end {
        send(&nodes, &mut dice, &mut ledger, 20).await;
        for _ in 0..5 {
            say(&nodes, &provider, &mut dice, &mut ledger).await;
        }
        if let Some((node, killed, until)) = down
            && Instant::now() > until
        {
            match killed {
                true => nodes[node].restart().await,
                false => signal(&nodes[node], Signal::CONT),
            }
            down = None;
            next_blow = Instant::now() + Duration::from_secs(6);
        }
        if down.is_none() && Instant::now() > next_blow {
            let (node, killed) = (dice.roll(3) as usize, dice.roll(3) > 0);
            match killed {
                true => nodes[node].kill(),
                false => signal(&nodes[node], Signal::STOP),
            }
            (kills, stalls) = (kills + u32::from(killed), stalls + u32::from(!killed));
            // Sometimes back within the session of its tenure, sometimes long after.
            down = Some((node, killed, Instant::now() + Duration::from_secs(1 + dice.roll(10))));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    if let Some((node, killed, _)) = down {
        match killed {
            true => nodes[node].restart().await,
            false => signal(&nodes[node], Signal::CONT),
        }
    }
    let total = ledger.sent.len() as u64;
    let balance = async |world: &World| world.get("/v1/status").await["balance"].clone();
    nodes[0]
        .until("every message has an end", 180, async |w| {
            let balance = balance(w).await;
            ["sent", "delivered", "read", "failed"].iter().filter_map(|s| balance[*s].as_u64()).sum::<u64>() == total
        })
        .await;
    let books = provider.stage.lock().books().clone();
    let balance = balance(&nodes[0]).await;
    println!(
        "seed {seed}: {kills} kills, {stalls} stalls, {total} accepted, balance {balance}, fullest second {}, refused {}",
        books.peak, books.throttled
    );
    check_outbound(&nodes[0], &provider, &ledger).await;
    check_inbound(&nodes[0], &ledger).await;
    assert!(books.peak <= LIMIT, "{books:?}");
    for node in &nodes {
        node.until("every node shows how the channel stands", 10, async |w| {
            w.get("/v1/channels/tg").await["limits"].as_array().is_some_and(|limits| !limits.is_empty())
        })
        .await;
    }
    assert!(kills + stalls >= 2, "something happened");
}

/// Nothing lost, nothing twice that is not listed, and each conversation in its order.
async fn check_outbound(node: &World, provider: &Hosted, ledger: &Ledger) {
    let doubted: HashSet<String> = node
        .events("fairway.message.status")
        .await
        .iter()
        .filter(|e| e["data"]["state"] == "in_doubt")
        .filter_map(|e| e["data"]["message_id"].as_str().map(str::to_owned))
        .collect();
    let mut times: HashMap<u64, u32> = HashMap::new();
    let mut latest: HashMap<u64, u64> = HashMap::new();
    for text in provider.accepted() {
        let n: u64 = text.trim_start_matches('m').parse().expect("our words");
        let before = times.entry(n).or_default();
        *before += 1;
        if *before == 1 {
            let last = latest.insert(n % PEOPLE, n);
            // What was in doubt may be overtaken: it waits for its settlement, and so does what stands behind it.
            assert!(last.is_none_or(|last| last < n), "m{n} came after m{last:?} in one conversation");
        }
    }
    for (n, id) in &ledger.sent {
        let times = times.get(n).copied().unwrap_or(0);
        let listed = doubted.contains(id);
        assert!(times >= 1, "m{n} ({id}) was accepted and never reached the provider");
        assert!(times == 1 || listed, "m{n} ({id}) reached the provider {times} times and is not listed");
    }
}

/// Every acknowledged webhook is one event.
async fn check_inbound(node: &World, ledger: &Ledger) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for event in node.events("fairway.message.received").await {
        *seen.entry(event["data"]["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let lost: Vec<&String> = ledger.acknowledged.iter().filter(|words| !seen.contains_key(*words)).collect();
    let twice: Vec<(&String, &u32)> = seen.iter().filter(|(_, n)| **n > 1).collect();
    assert!(ledger.acknowledged.len() > 20, "the load was real");
    assert!(lost.is_empty() && twice.is_empty(), "lost {lost:?}, twice {twice:?}");
}

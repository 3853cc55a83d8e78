//! `outbound`: messages through a twin that answers after 20 ms, beside a bare hyper client; the books: accepted, reached, twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairway_adapters::Provider;
use serde_json::{Value, json};

use crate::Load;
use crate::driver;
use crate::gateway::{Gateway, Ground};
use crate::hosts::{Hosted, Hosts, Reached, fullest_second};
use crate::process::{Process, free_port, usage_of};
use crate::scenario;
use crate::source::{Source, person};
use crate::wire::{Shot, Wire};

/// Who gets more than she may.
const EAGER: u64 = 9_999_999;

/// Runs it.
///
/// # Errors
/// When it cannot run, or the books do not balance.
pub async fn run(load: Load) -> Result<(), String> {
    let provider = fairway_adapters::provider(&load.provider).ok_or_else(|| format!("there is no provider `{}`", load.provider))?;
    let port = free_port()?;
    let source = Arc::new(Source::new(provider, "load", &Wire::local(port).url(""), 0));
    let plan = scenario::Provider {
        name: provider.facts.id.into(),
        channels: 1,
        limit: (load.rate > 0).then(|| u32::try_from(load.rate).unwrap_or(u32::MAX)),
        per_recipient: (load.eager > 0).then_some((1, 6)),
        concurrency: u32::try_from(load.connections.max(64)).unwrap_or(64),
        latency_ms: 20,
        receipts: false,
        moods: Vec::new(),
        forget_every: None,
    };
    let channels = vec![(source, plan)];
    let hosts = Hosts::open("127.0.0.1:0", channels.clone()).await?;
    let more = crate::setup::sections(&channels, hosts.port);
    let gateway = Gateway::start(port, &Ground::of_one(port, load.kafka.as_deref()), &more).await?;
    println!("gateway: ready {} ms after its start", gateway.ready_after.as_millis());
    let hosted = hosts.channels().next().map(|(_, hosted)| Arc::clone(hosted)).ok_or("there is one channel")?;

    let before = gateway.process().usage();
    let started = Instant::now();
    let accepted = submit(&gateway.wire(), provider, &load).await?;
    let accept = started.elapsed();
    println!("accept   {:>8.0}/s   {accepted} of {} accepted", accepted as f64 / accept.as_secs_f64(), load.messages);
    let status = ended(
        &gateway.wire(),
        &hosted,
        accepted,
        Duration::from_secs(120 + 2 * load.messages / if load.rate > 0 { load.rate } else { 1_000_000 }),
    )
    .await?;
    let took = started.elapsed();
    let usage = gateway.process().usage();
    println!(
        "gateway  {:>8.0}/s   {:>6.2} us CPU per message, everything included   {:.1} MiB",
        accepted as f64 / took.as_secs_f64(),
        (usage.cpu - before.cpu).as_secs_f64() * 1e6 / accepted.max(1) as f64,
        usage.memory as f64 / 1048576.0
    );
    if load.rate > 0 {
        throttle(&hosted, load.rate);
    }
    let floor = floor(load.connections).await?;
    println!("floor                  {floor:>6.2} us CPU per call of a bare hyper client");
    let mut reached: HashMap<String, u32> = HashMap::new();
    hosted.reached(|all| all.iter().filter(|r| !is_eager(r)).for_each(|r| *reached.entry(r.words.clone()).or_default() += 1));
    let twice = reached.values().filter(|n| **n > 1).count();
    println!(
        "books: accepted {accepted}, reached the twin {}, twice {twice}, refused by it {}; balance {}",
        reached.len(),
        hosted.books().refused,
        status["balance"]
    );
    if twice > 0 || (reached.len() as u64) < accepted { Err("the books do not balance".into()) } else { Ok(()) }
}

fn is_eager(reached: &Reached) -> bool {
    reached.words == format!("m{EAGER}")
}

/// Hands all messages over in batches; how many were accepted besides hers.
async fn submit(wire: &Wire, provider: &Provider, load: &Load) -> Result<u64, String> {
    let batch = |lines: String| Shot::post("/v1/messages/batch", "application/x-ndjson", lines);
    if load.eager > 0 {
        // She stands at the head of the queue.
        wire.send(&batch((0..load.eager).map(|_| line(provider, EAGER)).collect())).await?;
    }
    let mut accepted = 0_u64;
    for first in (0..load.messages).step_by(2000) {
        let lines: String = (first..(first + 2000).min(load.messages)).map(|i| line(provider, i)).collect();
        let (status, body) = wire.send(&batch(lines)).await?;
        if status != 200 {
            return Err(format!("the batch was answered {status}: {}", String::from_utf8_lossy(&body)));
        }
        accepted += String::from_utf8_lossy(&body).lines().filter(|l| l.contains("\"id\":\"msg_")).count() as u64;
    }
    Ok(accepted)
}

fn line(provider: &Provider, number: u64) -> String {
    let text = format!("m{number}");
    json!({ "to": person(provider, number), "channel": "load", "parts": [{ "type": "text", "text": text }] }).to_string() + "\n"
}

/// Waits until every message has an end; the gateway's last word on its balance.
async fn ended(wire: &Wire, hosted: &Hosted, accepted: u64, patience: Duration) -> Result<Value, String> {
    let limit = Instant::now() + patience;
    loop {
        let status = wire.json("/v1/status").await?;
        let ended: u64 = ["sent", "delivered", "read", "failed", "in_doubt", "expired", "cancelled"]
            .iter()
            .filter_map(|s| status["balance"][s].as_u64())
            .sum();
        let hers = hosted.reached(|all| all.iter().filter(|r| is_eager(r)).count()) as u64;
        if ended >= accepted + hers || Instant::now() > limit {
            return Ok(status);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What was made of the account's limit until the last of those who wait for it alone: hers go on long after.
fn throttle(hosted: &Hosted, rate: u64) {
    let times: Vec<Instant> = hosted.reached(|all| {
        let last = all.iter().rposition(|r| !is_eager(r)).map_or(0, |i| i + 1);
        all[..last].iter().map(|r| r.at).collect()
    });
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
    let seconds = last.duration_since(*first).as_secs_f64().max(0.001);
    println!(
        "throttle limit {rate}/s   fullest sliding second {}   refused {}   {:.1} % of the limit used over {seconds:.1} s",
        fullest_second(&times),
        hosted.books().throttled,
        100.0 * (times.len() - 1) as f64 / seconds / rate as f64
    );
}

/// CPU of our own process per bare call to a bare server, in microseconds.
async fn floor(connections: usize) -> Result<f64, String> {
    let server = Process::floor(None).await?;
    let own = || usage_of(std::process::id()).unwrap_or_default().cpu;
    let before = own();
    let make: driver::Maker = Arc::new(|number: u64| {
        let body = json!({ "to": format!("+1555{number:07}"), "type": "text", "text": { "body": format!("m{number}") } });
        Shot::post("/messages", "application/json", body.to_string())
    });
    let outcome = driver::drive(&Wire::local(server.port), connections, 0, Duration::from_secs(3), make).await?;
    Ok((own() - before).as_secs_f64() * 1e6 / outcome.sent.max(1) as f64)
}

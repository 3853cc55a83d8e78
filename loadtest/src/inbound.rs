//! `inbound`: signed texts of one channel, beside a bare hyper server; the books: acknowledged, in the log, lost, doubled.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Load;
use crate::driver::{self, Maker};
use crate::events::Follower;
use crate::gateway::{Gateway, Ground};
use crate::process::{Process, free_port};
use crate::source::{Source, number_of};
use crate::wire::Wire;

/// People who write.
const PEOPLE: u64 = 500;
/// Bytes of a text: with what surrounds it about a kilobyte, as a real delivery has.
const WORDS: usize = 438;

/// A floor is known after this long.
const FLOOR: Duration = Duration::from_secs(30);
/// Memory is told as often as this.
const TELL: Duration = Duration::from_secs(30);

/// Runs it.
///
/// # Errors
/// When it cannot run, or the books do not balance.
pub async fn run(load: Load) -> Result<(), String> {
    let provider = fairway_adapters::provider(&load.provider).ok_or_else(|| format!("there is no provider `{}`", load.provider))?;
    let source = |wire: &Wire| Arc::new(Source::new(provider, "load", &wire.url(""), 0));
    let lasting = Duration::from_secs(load.seconds);

    let peer = async |name, kafka| {
        let floor = Process::floor(kafka).await?;
        let wire = Wire::local(floor.port);
        let before = floor.usage();
        let outcome = driver::drive(&wire, load.connections, load.rate, lasting.min(FLOOR), maker(source(&wire))).await?;
        let cpu = floor.usage().cpu - before.cpu;
        println!("{}", driver::line(name, &outcome, cpu));
        Ok::<_, String>(each(cpu, outcome.sent))
    };
    let bare = peer("floor", None).await?;
    let naive = match load.kafka.as_deref() {
        Some(kafka) => Some(peer("naive", Some(kafka)).await?),
        None => None,
    };

    let port = free_port()?;
    let source = source(&Wire::local(port));
    let gateway = Gateway::start(port, &Ground::of_one(port, load.kafka.as_deref()), &source.section("http://127.0.0.1:9", "")).await?;
    println!("gateway: ready {} ms after its start", gateway.ready_after.as_millis());
    println!("gateway: {:.1} MiB idle", gateway.process().usage().memory as f64 / 1048576.0);
    let mut events = Follower::from_now(&gateway.wire()).await?;
    let before = gateway.process().usage();
    let wire = gateway.wire();
    let mut under_way = pin!(driver::drive(&wire, load.connections, load.rate, lasting, maker(source)));
    let outcome = loop {
        if let Ok(outcome) = tokio::time::timeout(TELL, &mut under_way).await {
            break outcome?;
        }
        let usage = gateway.process().usage();
        println!("gateway: {:.1} MiB, {:.0} s of CPU", usage.memory as f64 / 1048576.0, (usage.cpu - before.cpu).as_secs_f64());
    };
    let usage = gateway.process().usage();
    let cpu = usage.cpu - before.cpu;
    println!("{}", driver::line("gateway", &outcome, cpu));
    println!("gateway: {:.1} MiB under load", usage.memory as f64 / 1048576.0);
    let own = each(cpu, outcome.sent);
    println!("ratio     {:.2} x the floor's CPU per request", own / bare);
    if let Some(naive) = naive {
        println!("ratio     {:.2} x the CPU of a naive gateway, which only puts the raw body on Kafka", own / naive);
    }
    account(&mut events, &outcome).await
}

fn each(cpu: Duration, requests: u64) -> f64 {
    cpu.as_secs_f64() / requests.max(1) as f64
}

/// Makes the delivery of a number: person and words follow from it.
fn maker(source: Arc<Source>) -> Maker {
    Arc::new(move |number| {
        let draft = source.words(number as u32, number % PEOPLE, WORDS, false).expect("every provider with webhooks has texts");
        source.signed(draft)
    })
}

/// Reads the log back and counts.
async fn account(events: &mut Follower, outcome: &driver::Outcome) -> Result<(), String> {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut disorder = 0_u64;
    events
        .read("fairway.message.received", |event| {
            let Some(number) = number_of(event).map(u64::from) else { return };
            *seen.entry(number).or_default() += 1;
            let conversation = event["subject"].as_str().unwrap_or_default().to_owned();
            let newest = last.entry(conversation).or_insert(number);
            // Two deliveries of one person may be under way at once; only a large step back is disorder.
            disorder += u64::from(number + PEOPLE * 64 < *newest);
            *newest = (*newest).max(number);
        })
        .await?;
    let lost = outcome.good.iter().filter(|n| !seen.contains_key(n)).count();
    let twice = seen.values().filter(|n| **n > 1).count();
    println!(
        "books: sent {}, acknowledged {}, refused or broken {}, in the log {}, lost {lost}, duplicated {twice}, out of order {disorder}",
        outcome.sent,
        outcome.good.len(),
        outcome.bad,
        seen.len()
    );
    if lost > 0 || twice > 0 { Err("the books do not balance".into()) } else { Ok(()) }
}

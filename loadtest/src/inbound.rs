//! Signed webhooks in, and the books: acknowledged, in the log, lost, duplicated, out of order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairway_adapters::contract::Time;
use fairway_adapters::contract::twin::{Act, Twin};
use serde_json::Value;

use crate::Load;
use crate::driver::{self, Shot};
use crate::process::Process;

/// People who write.
const PEOPLE: u64 = 500;

/// Runs it.
pub async fn run(load: Load) -> Result<(), String> {
    let provider = fairway_adapters::provider(&load.provider).ok_or_else(|| format!("there is no provider `{}`", load.provider))?;
    let twin = (provider.twin)(1);
    let scheme = provider.facts.schemes[0];
    let channel = channel(&*twin, provider.facts.id);
    let lasting = Duration::from_secs(load.seconds);

    let floor = Process::floor().await?;
    let shots = maker(twin, format!("http://127.0.0.1:{}/hooks/load", floor.port), scheme);
    let before = floor.usage();
    let bare = driver::drive(floor.port, load.connections, load.rate, lasting, shots).await?;
    let bare_cpu = floor.usage().cpu - before.cpu;
    println!("{}", driver::line("floor", &bare, bare_cpu));
    drop(floor);

    let gateway = Process::gateway(&load, &channel).await?;
    println!("gateway: {:.1} MiB idle", gateway.usage().memory as f64 / 1048576.0);
    let shots = maker((provider.twin)(1), format!("http://127.0.0.1:{}/hooks/load", gateway.port), scheme);
    let before = gateway.usage();
    let outcome = driver::drive(gateway.port, load.connections, load.rate, lasting, shots).await?;
    let usage = gateway.usage();
    let cpu = usage.cpu - before.cpu;
    println!("{}", driver::line("gateway", &outcome, cpu));
    println!("gateway: {:.1} MiB under load", usage.memory as f64 / 1048576.0);
    let each = |cpu: Duration, n: u64| cpu.as_secs_f64() / n.max(1) as f64;
    println!("ratio     {:.2} x the floor's CPU per request", each(cpu, outcome.sent) / each(bare_cpu, bare.sent));
    account(gateway.port, &outcome).await
}

/// The configuration of the channel the load comes through.
fn channel(twin: &dyn Twin, provider: &str) -> String {
    let mut text = format!("[channels.load]\nprovider = \"{provider}\"\napi_base = \"http://127.0.0.1:9\"\n");
    for (key, value) in twin.settings().into_iter().filter(|(k, _)| k != "api_base") {
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

/// Makes the delivery of a number: person and words follow from it.
fn maker(twin: Box<dyn Twin>, hook: String, scheme: &'static str) -> Arc<dyn Fn(u64) -> Shot + Send + Sync> {
    let twin = Mutex::new(twin);
    Arc::new(move |number| {
        let person = match scheme {
            "whatsapp" | "tel" => format!("{scheme}:+1555{:07}", number % PEOPLE),
            _ => format!("{scheme}:{}", 1000 + number % PEOPLE),
        };
        // About a kilobyte, as a real delivery has.
        let words = format!("n{number} {}", "lorem ipsum dolor sit amet ".repeat(16));
        let now = Time(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64));
        let mut twin = twin.lock().expect("no maker panics");
        let draft = twin.act(&person, &Act::Text(words), now).remove(0);
        let draft = twin.sign(&hook, draft);
        let path = hook.splitn(4, '/').nth(3).map(|p| format!("/{p}")).unwrap_or_default();
        Shot { path, headers: draft.headers, body: draft.body.into() }
    })
}

/// Reads the log back and counts.
async fn account(port: u16, outcome: &driver::Outcome) -> Result<(), String> {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    let mut last: HashMap<String, u64> = HashMap::new();
    let (mut disorder, mut after) = (0_u64, String::from("beginning"));
    loop {
        let (status, body) = driver::get(port, &format!("/v1/events?type=fairway.message.received&limit=500&after={after}")).await?;
        let page: Value = serde_json::from_slice(&body).map_err(|e| format!("{status}: {e}"))?;
        for event in page["data"].as_array().into_iter().flatten() {
            let words = event["data"]["message"]["parts"][0]["text"].as_str().unwrap_or_default();
            let Some(number) = words.split(' ').next().and_then(|w| w.strip_prefix('n')).and_then(|n| n.parse::<u64>().ok()) else {
                continue;
            };
            *seen.entry(number).or_default() += 1;
            let conversation = event["subject"].as_str().unwrap_or_default().to_owned();
            let newest = last.entry(conversation).or_insert(number);
            // Two deliveries of one person may be under way at once; only a large step back is disorder.
            disorder += u64::from(number + PEOPLE * 64 < *newest);
            *newest = (*newest).max(number);
        }
        after = page["next"].as_str().unwrap_or_default().to_owned();
        if page["has_more"] != true {
            break;
        }
    }
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

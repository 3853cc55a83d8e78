//! Runs a scenario from its beginning to its books.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::chaos::{self, Mishap, Victims};
use crate::events::Follower;
use crate::hooks::Hooks;
use crate::pool::{Stop, drive};
use crate::result::{FORMAT, Latency, Machine, Report};
use crate::scenario::{Lane, Scenario};
use crate::sent::{Sent, limits};
use crate::setup::{Options, Stage, stage};
use crate::stream::{Stream, Ways};
use crate::tape::Tape;
use crate::watch::{Look, Looks, Subject, end_line, watch};

/// How often a rough run reads what the gateway tells.
const FOLLOW: Duration = Duration::from_secs(2);
/// How long a stopped run still waits for what is under way.
const AFTER_STOP: Duration = Duration::from_secs(10);

/// Runs a scenario; `mishaps` befall the gateway and its providers meanwhile.
///
/// # Errors
/// What kept it from running. What went wrong in the run stands in the report.
pub async fn run(scenario: &Scenario, options: &Options, mishaps: Vec<Mishap>, stop: Stop) -> Result<Report, String> {
    let stage = stage(scenario, options, mishaps.iter().any(Mishap::needs_clock)).await?;
    let mut report = opening(scenario, &stage).await;
    let outcome = play(scenario, options, &stage, mishaps, stop, &mut report).await;
    end_line();
    if let (Err(e), Some(node)) = (&outcome, stage.nodes.first()) {
        return Err(format!("{e}\n{}", node.lock().await.log()));
    }
    outcome.map(|()| report)
}

async fn opening(scenario: &Scenario, stage: &Stage) -> Report {
    let said = stage.wire.json("/v1/status").await.unwrap_or_default();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut report = Report {
        format: FORMAT,
        scenario: scenario.name.clone(),
        question: scenario.question.clone(),
        began: jiff::Timestamp::now().to_string(),
        command: shown(std::env::args()),
        versions: vec![
            ("gateway".into(), said["version"].as_str().unwrap_or("unknown").into()),
            ("fairway-loadtest".into(), format!("{} ({build})", env!("CARGO_PKG_VERSION"))),
        ],
        machine: Machine::here(),
        ..Report::default()
    };
    if cfg!(debug_assertions) && !stage.nodes.is_empty() {
        report.notes.push("A debug build: the books are right, and its speed says nothing about a release.".into());
    }
    report
}

/// A command as a report shows it: without the key, and without what stands before the host of a URL.
fn shown(arguments: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<String> = Vec::new();
    for argument in arguments {
        let (name, value) = argument.split_once('=').filter(|(name, _)| name.starts_with("--")).unzip();
        let secret = name == Some("--key") || name.is_none() && shown.last().is_some_and(|before| before == "--key");
        let whole = value.unwrap_or(&argument);
        let plain = match (secret, whole.split_once("://"), whole.rsplit_once('@')) {
            (true, ..) => "***".to_owned(),
            (_, Some((scheme, _)), Some((_, place))) => format!("{scheme}://***@{place}"),
            _ => whole.to_owned(),
        };
        shown.push(name.map_or_else(|| plain.clone(), |name| format!("{name}={plain}")));
    }
    shown.join(" ")
}

async fn play(
    scenario: &Scenario,
    options: &Options,
    stage: &Stage,
    mishaps: Vec<Mishap>,
    stop: Stop,
    report: &mut Report,
) -> Result<(), String> {
    let scale = options.scale;
    let mut events = Follower::from_now(&stage.wire).await?;
    let hooks = scenario.inbound.as_ref().map(|plan| Arc::new(Hooks::new(stage.sources.clone(), plan.clone(), scenario.seed)));
    report.notes.extend(hooks.iter().flat_map(|h| h.missing()));
    let channels = senders(scenario, stage);
    if channels.is_empty() && !scenario.outbound.is_empty() {
        return Err("no provider of the scenario takes words for anybody; name another for [[outbound]]".into());
    }
    let streams: Vec<Arc<Stream>> =
        scenario.outbound.iter().enumerate().map(|(i, plan)| Stream::new(i, plan.clone(), channels.clone())).collect();
    let start = Instant::now();
    let looks = Looks::default();
    let watcher = tokio::spawn(watch(subject(stage, hooks.as_ref(), &streams), start, Arc::clone(&looks)));
    let spells = tokio::spawn(spells(scenario.clone(), Arc::clone(&stage.hosts), start));
    let rough = !mishaps.is_empty();
    let trouble = tokio::spawn(chaos::befall(mishaps, Victims::of(stage, options), start));

    let arrived = Arc::new(Tape::new(start));
    let answered = Arc::new(Tape::new(start));
    let mut under_way = tokio::task::JoinSet::new();
    if let (Some(hooks), Some(plan)) = (&hooks, &scenario.inbound) {
        let schedule = plan.arrival.schedule(scenario.seconds, scale, scenario.seed, &scenario.beside)?;
        let (wire, hooks, tape, stop, connections) =
            (stage.wire.clone(), Arc::clone(hooks), Arc::clone(&arrived), stop.clone(), scenario.connections);
        under_way.spawn(async move {
            drive(&wire, connections, schedule, start, hooks, tape, stop).await;
            Ok(())
        });
    }
    for stream in &streams {
        let ways = Ways { wire: stage.wire.clone(), kafka: stage.kafka.clone() };
        let (stream, scenario, tape, stop) = (Arc::clone(stream), scenario.clone(), Arc::clone(&answered), stop.clone());
        under_way.spawn(async move { stream.run(&scenario, scale, &ways, start, tape, stop).await });
    }
    let mut sent = Sent::new(streams.clone());
    // What goes wrong is followed while it does: afterwards it would be a long read. A quiet run is not disturbed by it.
    let mut look = tokio::time::interval(FOLLOW);
    loop {
        tokio::select! {
            ended = under_way.join_next() => match ended {
                Some(ended) => ended.map_err(|e| e.to_string())??,
                None => break,
            },
            _ = look.tick(), if rough => {
                let _ = sent.follow(&mut events).await;
            }
        }
    }
    // Mishaps planned for later than the load are not waited for after a stop.
    if *stop.borrow() {
        trouble.abort();
    }
    report.faults = trouble.await.unwrap_or_default();
    spells.abort();
    stage.hosts.mood(None, None);
    report.seconds = start.elapsed().as_secs_f64();
    report.stopped_early = *stop.borrow();

    settle(scenario, stage, &mut sent, &mut events, &stop).await?;
    watcher.abort();
    report.looks = std::mem::take(&mut *looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    if let Some(hooks) = &hooks {
        report.inbound = Some(hooks.books(&mut events).await?);
        report.notes.extend(hooks.troubles());
        report.latencies.push(Latency::of("webhook to answer", &arrived));
    }
    if answered.count() > 0 {
        report.latencies.push(Latency::of("API request to answer", &answered));
    }
    for stream in &streams {
        let tape = Tape::new(start);
        report.outbound.push(sent.books(stream, &stage.hosts, &tape));
        report.latencies.push(Latency::of(&format!("{} to provider", stream.name()), &tape));
    }
    report.notes.extend(sent.troubles());
    report.limits = limits(&stage.hosts);
    report.receipts = (stage.hosts.receipts.load(Ordering::Acquire), stage.hosts.receipts_given_up.load(Ordering::Acquire));
    report.cpu_per_message_us = cpu_per_message(report);
    report.nodes = stage.wires.len();
    judge(scenario, report);
    Ok(())
}

/// The channels that messages go through: those of providers the scenario names, and of `all` those whose twin takes words for
/// anybody as they are.
fn senders(scenario: &Scenario, stage: &Stage) -> Vec<(String, &'static fairway_adapters::Provider)> {
    let named = |id: &str| scenario.provider.iter().any(|p| p.name == id);
    let sends = |source: &crate::source::Source| !source.provider.facts.handles && source.can().sends;
    let own = |source: &crate::source::Source| (source.provider.twin)(0).own();
    let all = stage.sources.iter().filter(|s| named(s.provider.facts.id) && !own(s) || sends(s));
    all.map(|s| (s.channel.clone(), s.provider)).collect()
}

fn subject(stage: &Stage, hooks: Option<&Arc<Hooks>>, streams: &[Arc<Stream>]) -> Subject {
    let (hosts, hooks, streams) = (Arc::clone(&stage.hosts), hooks.cloned(), streams.to_vec());
    Subject {
        wires: stage.wires.clone(),
        pids: Arc::clone(&stage.pids),
        reached: Box::new(move || hosts.count()),
        released: Box::new(move || hooks.as_ref().map_or(0, |h| h.count()) + streams.iter().map(|s| s.count()).sum::<u64>()),
    }
}

/// The providers' moods by the scenario's clock.
async fn spells(scenario: Scenario, hosts: Arc<crate::hosts::Hosts>, start: Instant) {
    let mut turns: Vec<(f64, String, Option<fairway_adapters::conformance::stage::Mood>)> = Vec::new();
    for provider in &scenario.provider {
        for spell in &provider.moods {
            turns.push((spell.at, provider.name.clone(), Some(spell.mood)));
            turns.push((spell.at + spell.lasting, provider.name.clone(), None));
        }
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (at, provider, mood) in turns {
        tokio::time::sleep_until((start + Duration::from_secs_f64(at)).into()).await;
        hosts.mood(Some(&provider), mood);
    }
}

/// Waits until everything accepted has its end, no longer than the scenario says.
async fn settle(scenario: &Scenario, stage: &Stage, sent: &mut Sent, events: &mut Follower, stop: &Stop) -> Result<(), String> {
    let began = Instant::now();
    loop {
        sent.follow(events).await?;
        let patience = if *stop.borrow() { AFTER_STOP } else { Duration::from_secs_f64(scenario.settle_seconds) };
        if sent.open() == 0 && stage.hosts.receipts_open() == 0 || began.elapsed() >= patience {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The gateway's CPU over the whole run, per delivery taken and message accepted.
fn cpu_per_message(report: &Report) -> Option<f64> {
    let mut before = 0.0;
    let mut cpu = 0.0;
    for Look { at, gateway_cpu, .. } in &report.looks {
        cpu += gateway_cpu.unwrap_or(0.0) * (at - before);
        before = *at;
    }
    let done =
        report.inbound.as_ref().map_or(0, |b| b.deliveries) + report.outbound.iter().map(|b| b.accepted).sum::<u64>() + report.receipts.0;
    (cpu > 0.0 && done > 0).then(|| cpu * 1e6 / done as f64)
}

/// Compares what was found with what was promised.
fn judge(scenario: &Scenario, report: &mut Report) {
    if let Some(books) = report.inbound.clone() {
        let found = format!(
            "{} lost, {} doubled, {} repeated under the same id, {} out of order, {} forgeries taken, of {} expected",
            books.lost, books.doubled, books.repeated, books.out_of_order, books.forgeries_taken, books.expected
        );
        // Which of two nodes is the faster with two deliveries of one person nobody can promise.
        let (promise, kept) = match report.nodes {
            0 | 1 => ("lost, doubled or out of order", books.balance() && books.out_of_order + books.repeated == 0),
            _ => ("lost or doubled", books.balance()),
        };
        report.judge(format!("webhooks: nothing acknowledged is {promise}"), found, kept);
    }
    for books in report.outbound.clone() {
        let found = format!(
            "{} lost, {} twice without a word, {} out of order, of {} accepted; {} twice and listed",
            books.lost, books.twice_silent, books.out_of_order, books.accepted, books.twice_listed
        );
        report.judge(format!("{}: nothing is lost, silently sent twice or out of order", books.name), found, books.balance());
        if !report.stopped_early {
            report.judge(format!("{}: what was accepted is what it came to", books.name), books.sheet(), books.open() == 0);
        }
    }
    for limit in report.limits.clone() {
        let found = format!("{} in the fullest sliding second", limit.fullest_second);
        report.judge(format!("{}: never over {}/s", limit.channel, limit.limit), found, limit.fullest_second <= limit.limit);
        if let Some(wanted) = scenario.objectives.limit_used {
            let found = format!("{:.1} %", limit.used * 100.0);
            report.judge(format!("{}: at least {:.0} % of the limit used", limit.channel, wanted * 100.0), found, limit.used >= wanted);
        }
    }
    let p99 = |name: &str| report.latencies.iter().find(|l| l.name.starts_with(name) && l.count > 0).map(|l| l.p99_ms);
    let urgent = scenario.outbound.iter().any(|s| s.lane == Lane::Urgent).then(|| p99("urgent")).flatten();
    let found = [
        ("webhooks", scenario.objectives.webhook_p99_ms, p99("webhook")),
        ("urgent messages to the provider", scenario.objectives.urgent_p99_ms, urgent),
    ];
    for (what, wanted, found) in found {
        if let (Some(wanted), Some(found)) = (wanted, found) {
            report.judge(format!("{what}: p99 within {wanted} ms"), format!("{found:.1} ms"), found <= wanted);
        }
    }
    if let (Some(wanted), Some(found)) = (scenario.objectives.memory_mib, report.most_memory()) {
        report.judge(format!("memory within {wanted} MiB"), format!("{found:.0} MiB"), found <= wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_no_key_and_no_password() {
        let told = |line: &str| shown(line.split(' ').map(str::to_owned));
        assert_eq!(told("tool run a --key fw_secret --scale 2"), "tool run a --key *** --scale 2");
        assert_eq!(told("tool run a --key=fw_secret"), "tool run a --key=***");
        assert_eq!(told("tool chaos --store postgres://u:pw@127.0.0.1:1/db"), "tool chaos --store postgres://***@127.0.0.1:1/db");
        assert_eq!(told("tool run --target=http://u:pw@h:1 x"), "tool run --target=http://***@h:1 x");
        assert_eq!(told("tool run quiet_day --out a@b"), "tool run quiet_day --out a@b");
    }
}

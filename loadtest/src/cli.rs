//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::sync::watch;

use crate::args::{Chaos, Common, Load, Play, Search, Soak};
use crate::capacity::Wanted;
use crate::guard::{LONGEST, MOST, Named};
use crate::pool::Stop;
use crate::result::Report;
use crate::scenario::{BUILT_IN, Scenario};
use crate::setup::{Options, channels, sections};
use crate::{capacity, chaos, compare, inbound, naive, outbound, page, process, run, soak, summary};

/// Drives a gateway and accounts for every message.
#[derive(Parser)]
#[command(name = "fairway-loadtest", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Signed webhooks in, beside a bare hyper server.
    Inbound(Load),
    /// Messages out, to a twin that answers after 20 ms, beside a bare hyper client.
    Outbound(Load),
    /// Plays a scenario: a file, or one of those that come with the tool.
    Run(Play),
    /// Searches the highest rate at which a scenario keeps its objectives, and says what limited it.
    Capacity(Search),
    /// Plays a scenario for long at its own rates, and judges whether memory or latency grows.
    Soak(Soak),
    /// Plays a scenario while the gateway's nodes are killed, stopped, out of disk, cut off, and its providers are sick.
    Chaos(Chaos),
    /// Compares two results, or two folders of repeated runs; 1 when B is worse.
    Compare {
        /// The result (JSON), or a folder of results, before.
        a: PathBuf,
        /// And after.
        b: PathBuf,
        /// The share by which a figure may differ.
        #[arg(long, default_value_t = 0.05)]
        tolerance: f64,
    },
    /// Draws the page of a result again, beside its JSON.
    Report {
        /// The result.
        result: PathBuf,
    },
    /// Lists the scenarios that come with the tool.
    Scenarios,
    /// Prints the channels a gateway of yours needs to be the target of a scenario, with the twins on this port.
    Channels {
        /// The scenario.
        scenario: String,
        /// Where the twins will listen.
        #[arg(long, default_value_t = 9400)]
        port: u16,
        /// The run's `--prefix`.
        #[arg(long, default_value = "load")]
        prefix: String,
    },
    /// A bare hyper server: the floor; with a Kafka, a naive gateway. Started by the others.
    #[command(hide = true)]
    Floor {
        /// Its port.
        port: u16,
        /// The brokers.
        kafka: Option<String>,
    },
}

/// Carries the command out. 0: done, and every promise kept; 1: not.
#[allow(clippy::print_stderr, reason = "errors go to the person")]
pub async fn main() -> ExitCode {
    match carry_out(Cli::parse().command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(command: Command) -> Result<bool, String> {
    match command {
        Command::Floor { port, kafka: None } => process::floor(port).await.map(|()| true),
        Command::Floor { port, kafka: Some(brokers) } => naive::serve(port, &brokers).await.map(|()| true),
        Command::Inbound(load) => inbound::run(bounded(load)?).await.map(|()| true),
        Command::Outbound(load) => outbound::run(bounded(load)?).await.map(|()| true),
        Command::Run(play) => {
            let scenario = play.common.scenario(&play.scenario)?;
            let report = run::run(&scenario, &play.common.options(), Vec::new(), interrupted()).await?;
            finish(&report, &play.common)
        }
        Command::Capacity(search) => {
            let scenario = search.common.scenario(&search.scenario)?;
            let longest = Duration::from_secs(60 * search.minutes.clamp(1, 120));
            let wanted = Wanted { p99_ms: search.p99, lag: search.lag, step_seconds: search.step.clamp(2.0, 600.0), longest };
            finish(&capacity::search(&scenario, &search.common.options(), wanted, interrupted()).await?, &search.common)
        }
        Command::Soak(soak) => {
            let mut scenario = soak.common.scenario(&soak.scenario)?;
            scenario.seconds = (soak.minutes * 60.0).clamp(10.0, 86_400.0);
            let mut report = run::run(&scenario, &soak.common.options(), Vec::new(), interrupted()).await?;
            soak::judge(&mut report, soak.growth);
            finish(&report, &soak.common)
        }
        Command::Chaos(chaos) => {
            let mut scenario = chaos.common.scenario(&chaos.scenario)?;
            // Latency is not promised while the gateway is dead.
            scenario.objectives = Default::default();
            scenario.seconds = chaos.minutes.map_or(scenario.seconds, |minutes| minutes * 60.0).clamp(0.1, LONGEST as f64);
            let options = Options { kafka_pid: chaos.kafka_pid, ..chaos.common.options() };
            let kinds = if chaos.mishaps.is_empty() { chaos::kinds(&options) } else { chaos.mishaps };
            let mishaps = chaos::draw(&kinds, scenario.seconds, options.nodes, scenario.seed);
            finish(&run::run(&scenario, &options, mishaps, interrupted()).await?, &chaos.common)
        }
        Command::Compare { a, b, tolerance } => Ok(compare::print(&compare::load(&a)?, &compare::load(&b)?, tolerance)),
        Command::Report { result } => {
            let report = compare::load(&result)?.remove(0);
            let html = result.with_extension("html");
            std::fs::write(&html, page::page(&report)).map_err(|e| format!("{}: {e}", html.display()))?;
            println!("{}", html.display());
            Ok(true)
        }
        Command::Scenarios => {
            for (name, _) in BUILT_IN {
                println!("{name}: {}", Scenario::load(name)?.question);
            }
            Ok(true)
        }
        Command::Channels { scenario, port, prefix } => {
            print!("{}", sections(&channels(&Scenario::load(&scenario)?, "http://127.0.0.1:8080", &prefix), port));
            Ok(true)
        }
    }
}

/// Prints and keeps a result; whether every promise was kept.
fn finish(report: &Report, common: &Common) -> Result<bool, String> {
    summary::print(report);
    summary::write(report, &common.out)?;
    Ok(report.kept())
}

/// Ctrl-C ends a run early, with the report of what was done until then. A second one ends the process.
fn interrupted() -> Stop {
    let (stop, told) = watch::channel(false);
    tokio::spawn(async move {
        let mut times = 0;
        while tokio::signal::ctrl_c().await.is_ok() {
            times += 1;
            if times > 1 {
                std::process::exit(130);
            }
            let _ = stop.send(true);
        }
    });
    told
}

/// Load goes to loopback only, bounded in count and time.
fn bounded(load: Load) -> Result<Load, String> {
    if let Some(brokers) = &load.kafka {
        Named::default().brokers(brokers)?;
    }
    Ok(Load {
        seconds: load.seconds.clamp(1, 300),
        messages: load.messages.clamp(1, MOST),
        eager: load.eager.min(100_000),
        connections: load.connections.clamp(1, 4096),
        ..load
    })
}

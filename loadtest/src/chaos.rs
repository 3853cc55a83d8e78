//! Mishaps, drawn from a seed: a node of the gateway killed, stopped, out of disk, cut off, its clock moved; Kafka that hangs;
//! providers that are slow, strict or broken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fairway_adapters::conformance::stage::Mood;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Mutex;

use crate::gateway::{Gateway, faketime};
use crate::hosts::Hosts;
use crate::process::{Pids, stall};
use crate::result::Fault;
use crate::setup::{Options, Stage};

/// A file grows no further than this while the disk is "full", bytes.
const FULL: u64 = 64 << 10;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// `kill -9` and a start: at once, or where other nodes go on, after a while.
    Kill,
    /// SIGSTOP, and SIGCONT a while later.
    Stall,
    /// No file may grow: what a full disk is to a program.
    DiskFull,
    /// The providers answer after two seconds.
    Slow,
    /// The providers answer half of the sends with 429.
    Throttle,
    /// The providers answer half of the requests with 5xx.
    Broken,
    /// The providers accept a fifth of the sends and never answer.
    Silent,
    /// The gateway's clock jumps half a minute forward and back.
    Clock,
    /// A node is cut off from its PostgreSQL.
    Store,
    /// Kafka hangs.
    Kafka,
}

/// All that can be done in a run with these options. Kafka hangs only where there is one node: while it does each keeps what it
/// took in a spool of its own, and in which order those are emptied nobody promises.
pub fn kinds(options: &Options) -> Vec<Kind> {
    let mut kinds = vec![Kind::Kill, Kind::Stall, Kind::DiskFull, Kind::Slow, Kind::Throttle, Kind::Broken, Kind::Silent];
    kinds.extend(faketime().map(|_| Kind::Clock));
    kinds.extend(options.store.is_some().then_some(Kind::Store));
    kinds.extend((options.kafka_pid.is_some() && options.nodes <= 1).then_some(Kind::Kafka));
    kinds
}

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mishap {
    /// Seconds after the beginning.
    pub at: f64,
    /// Seconds it lasts.
    pub lasting: f64,
    /// What.
    pub kind: Kind,
    /// The node it befalls.
    pub node: usize,
}

impl Mishap {
    /// Whether it moves the gateway's clock.
    pub fn needs_clock(&self) -> bool {
        self.kind == Kind::Clock
    }
}

/// Draws mishaps for that many seconds and so many nodes, one after the other: each of the kinds once before any comes again.
pub fn draw(kinds: &[Kind], seconds: f64, nodes: usize, seed: u64) -> Vec<Mishap> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut mishaps = Vec::new();
    let mut left: Vec<Kind> = Vec::new();
    let mut at = 2.0;
    while at < seconds - 2.0 && !kinds.is_empty() {
        if left.is_empty() {
            left = kinds.to_vec();
        }
        let kind = left.swap_remove(random.random_range(0..left.len()));
        let lasting = match kind {
            Kind::Kill if nodes <= 1 => 0.0,
            // Sometimes back before it is missed, sometimes long after.
            Kind::Kill | Kind::Stall if nodes > 1 => random.random_range(1.0..10.0),
            _ => random.random_range(1.0..3.0),
        };
        mishaps.push(Mishap { at, lasting, kind, node: random.random_range(0..nodes.max(1)) });
        at += lasting + random.random_range(2.0..4.0);
    }
    mishaps
}

fn mood(kind: Kind) -> Option<Mood> {
    let mood = Mood { retry_after_secs: 1, ..Mood::default() };
    match kind {
        Kind::Slow => Some(Mood { latency_ms: 2000, ..mood }),
        Kind::Throttle => Some(Mood { throttle: 0.5, ..mood }),
        Kind::Broken => Some(Mood { broken: 0.5, ..mood }),
        Kind::Silent => Some(Mood { timeout: 0.2, ..mood }),
        Kind::Kill | Kind::Stall | Kind::DiskFull | Kind::Clock | Kind::Store | Kind::Kafka => None,
    }
}

/// Lets them happen, and says what did.
pub async fn befall(mishaps: Vec<Mishap>, victims: Victims, start: Instant) -> Vec<Fault> {
    let mut faults = Vec::new();
    for mishap in mishaps {
        tokio::time::sleep_until((start + Duration::from_secs_f64(mishap.at)).into()).await;
        let began = Instant::now();
        let said = victims.befall(mishap).await;
        let mut word = format!("{:?}", mishap.kind).to_lowercase();
        if victims.nodes.len() > 1 && mood(mishap.kind).is_none() && mishap.kind != Kind::Kafka {
            word += &format!(", node {}", mishap.node + 1);
        }
        let what = said.map_or_else(|e: String| format!("{word}: {e}"), |()| word.clone());
        faults.push(Fault { at: mishap.at, lasted: began.elapsed().as_secs_f64(), what });
    }
    faults
}

/// Whom mishaps befall.
pub struct Victims {
    nodes: Vec<Arc<Mutex<Gateway>>>,
    pids: Arc<Pids>,
    hosts: Arc<Hosts>,
    kafka: Option<u32>,
}

impl Victims {
    /// All that a stage has.
    pub fn of(stage: &Stage, options: &Options) -> Self {
        Self { nodes: stage.nodes.clone(), pids: Arc::clone(&stage.pids), hosts: Arc::clone(&stage.hosts), kafka: options.kafka_pid }
    }

    async fn befall(&self, mishap: Mishap) -> Result<(), String> {
        let lasting = Duration::from_secs_f64(mishap.lasting);
        if let Some(mood) = mood(mishap.kind) {
            self.hosts.mood(None, Some(mood));
            tokio::time::sleep(lasting).await;
            self.hosts.mood(None, None);
            return Ok(());
        }
        if mishap.kind == Kind::Kafka {
            let pid = self.kafka.ok_or("its process is not known; name it with --kafka-pid")?;
            stall(pid, true);
            tokio::time::sleep(lasting).await;
            stall(pid, false);
            return Ok(());
        }
        let node = self.nodes.get(mishap.node).ok_or("not done to a gateway that is not ours")?;
        let mut gateway = node.lock().await;
        if mishap.kind == Kind::Kill {
            self.pids.set(mishap.node, None);
            gateway.kill_and_start(lasting).await?;
            self.pids.set(mishap.node, Some(gateway.process().id()));
            return Ok(());
        }
        strike(&gateway, mishap.kind, true)?;
        tokio::time::sleep(lasting).await;
        strike(&gateway, mishap.kind, false)
    }
}

/// Does it to a node, or takes it back.
fn strike(gateway: &Gateway, kind: Kind, done: bool) -> Result<(), String> {
    match kind {
        Kind::Stall => stall(gateway.process().id(), done),
        Kind::DiskFull => gateway.process().largest_file(done.then_some(FULL))?,
        Kind::Clock => gateway.clock(if done { 30 } else { 0 })?,
        Kind::Store => gateway.without_store(done)?,
        Kind::Kill | Kind::Kafka | Kind::Slow | Kind::Throttle | Kind::Broken | Kind::Silent => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mishaps_follow_from_the_seed_and_none_is_forgotten() {
        let all = kinds(&Options { store: Some("postgres://127.0.0.1/db".into()), kafka_pid: Some(1), nodes: 1, ..Options::default() });
        assert!(all.contains(&Kind::Store) && all.contains(&Kind::Kafka));
        let drawn = draw(&all, 120.0, 1, 3);
        assert_eq!(drawn, draw(&all, 120.0, 1, 3));
        assert_ne!(drawn, draw(&all, 120.0, 1, 4));
        assert!(all.iter().all(|kind| drawn.iter().any(|m| m.kind == *kind)), "{drawn:?}");
        assert!(drawn.windows(2).all(|w| w[0].at + w[0].lasting < w[1].at), "they do not overlap: {drawn:?}");
        let drawn = draw(&all, 600.0, 3, 3);
        assert!((0..3).all(|node| drawn.iter().any(|m| m.node == node)), "no node is spared: {drawn:?}");
        assert!(draw(&[], 60.0, 1, 3).is_empty());
    }
}

//! Mishaps, drawn from a seed: the gateway killed, stopped, out of disk, its clock moved; its providers slow, strict or broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fairway_adapters::conformance::stage::Mood;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Mutex;

use crate::gateway::Gateway;
use crate::hosts::Hosts;
use crate::result::Fault;

/// A file grows no further than this while the disk is "full", bytes.
const FULL: u64 = 64 << 10;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// `kill -9` and a start.
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
}

/// All of them.
pub const KINDS: &[Kind] = &[Kind::Kill, Kind::Stall, Kind::DiskFull, Kind::Slow, Kind::Throttle, Kind::Broken, Kind::Silent, Kind::Clock];

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mishap {
    /// Seconds after the beginning.
    pub at: f64,
    /// Seconds it lasts.
    pub lasting: f64,
    /// What.
    pub kind: Kind,
}

impl Mishap {
    /// Whether it moves the gateway's clock.
    pub fn needs_clock(&self) -> bool {
        self.kind == Kind::Clock
    }
}

/// Draws mishaps for that many seconds, one after the other: each of the kinds once before any comes again.
pub fn draw(kinds: &[Kind], seconds: f64, seed: u64) -> Vec<Mishap> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut mishaps = Vec::new();
    let mut left: Vec<Kind> = Vec::new();
    let mut at = 2.0;
    while at < seconds - 2.0 && !kinds.is_empty() {
        if left.is_empty() {
            left = kinds.to_vec();
        }
        let kind = left.swap_remove(random.random_range(0..left.len()));
        let lasting = if kind == Kind::Kill { 0.0 } else { random.random_range(1.0..3.0) };
        mishaps.push(Mishap { at, lasting, kind });
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
        Kind::Kill | Kind::Stall | Kind::DiskFull | Kind::Clock => None,
    }
}

/// Lets them happen, and says what did.
pub async fn befall(
    mishaps: Vec<Mishap>,
    gateway: Option<Arc<Mutex<Gateway>>>,
    pid: Arc<AtomicU64>,
    hosts: Arc<Hosts>,
    start: Instant,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for mishap in mishaps {
        tokio::time::sleep_until((start + Duration::from_secs_f64(mishap.at)).into()).await;
        let began = Instant::now();
        let said = match (mood(mishap.kind), &gateway) {
            (Some(mood), _) => {
                hosts.mood(None, Some(mood));
                tokio::time::sleep(Duration::from_secs_f64(mishap.lasting)).await;
                hosts.mood(None, None);
                Ok(())
            }
            (None, Some(gateway)) => strike(&mut *gateway.lock().await, mishap, &pid).await,
            (None, None) => Err("not done to a gateway that is not ours".into()),
        };
        let word = format!("{:?}", mishap.kind).to_lowercase();
        let what = said.map_or_else(|e: String| format!("{word}: {e}"), |()| word.clone());
        faults.push(Fault { at: mishap.at, lasted: began.elapsed().as_secs_f64(), what });
    }
    faults
}

async fn strike(gateway: &mut Gateway, mishap: Mishap, pid: &AtomicU64) -> Result<(), String> {
    let lasting = Duration::from_secs_f64(mishap.lasting);
    match mishap.kind {
        Kind::Kill => {
            pid.store(0, Ordering::Relaxed);
            gateway.kill_and_start().await?;
            pid.store(u64::from(gateway.process().id()), Ordering::Relaxed);
        }
        Kind::Stall => {
            gateway.process().stall(true);
            tokio::time::sleep(lasting).await;
            gateway.process().stall(false);
        }
        Kind::DiskFull => {
            gateway.process().largest_file(Some(FULL))?;
            tokio::time::sleep(lasting).await;
            gateway.process().largest_file(None)?;
        }
        Kind::Clock => {
            gateway.clock(30)?;
            tokio::time::sleep(lasting).await;
            gateway.clock(0)?;
        }
        Kind::Slow | Kind::Throttle | Kind::Broken | Kind::Silent => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mishaps_follow_from_the_seed_and_none_is_forgotten() {
        let drawn = draw(KINDS, 60.0, 3);
        assert_eq!(drawn, draw(KINDS, 60.0, 3));
        assert_ne!(drawn, draw(KINDS, 60.0, 4));
        assert!(KINDS.iter().all(|kind| drawn.iter().any(|m| m.kind == *kind)), "{drawn:?}");
        assert!(drawn.windows(2).all(|w| w[0].at + w[0].lasting < w[1].at), "they do not overlap: {drawn:?}");
        assert!(draw(&[], 60.0, 3).is_empty());
    }
}

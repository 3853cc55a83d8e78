//! The plain client of `inbound` and `outbound`: as fast as answers come, or at one rate, with latency from the intended start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::wire::{Shot, Wire};

/// What came of a run.
pub struct Outcome {
    /// Numbers of the shots answered with success.
    pub good: Vec<u64>,
    /// Shots sent.
    pub sent: u64,
    /// Shots answered otherwise.
    pub bad: u64,
    /// Microseconds from the intended start to the answer.
    pub latency: Histogram<u64>,
    /// How long it took.
    pub took: Duration,
}

/// Makes the shot of a number.
pub type Maker = Arc<dyn Fn(u64) -> Shot + Send + Sync>;

/// Sends shots from several connections for a while.
///
/// # Errors
/// When a connection cannot be opened.
pub async fn drive(wire: &Wire, connections: usize, rate: u64, lasting: Duration, make: Maker) -> Result<Outcome, String> {
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (next, make, wire) = (Arc::clone(&next), Arc::clone(&make), wire.clone());
        let mut connection = wire.connect().await?;
        tasks.push(tokio::spawn(async move {
            let mut latency = Histogram::<u64>::new(3).map_err(|e| e.to_string())?;
            let (mut good, mut sent, mut bad) = (Vec::new(), 0_u64, 0_u64);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let intended = if rate == 0 { Instant::now() } else { start + Duration::from_secs_f64(number as f64 / rate as f64) };
                if intended.duration_since(start) >= lasting {
                    break;
                }
                tokio::time::sleep_until(intended.into()).await;
                let shot = make(number);
                sent += 1;
                match wire.exchange(&mut connection, &shot).await {
                    Ok((200..=299, _)) => good.push(number),
                    Ok(_) => bad += 1,
                    Err(_) => {
                        bad += 1;
                        connection = wire.connect().await?;
                    }
                }
                let _ = latency.record(intended.elapsed().as_micros() as u64);
            }
            Ok::<_, String>((good, sent, bad, latency))
        }));
    }
    let mut outcome =
        Outcome { good: Vec::new(), sent: 0, bad: 0, latency: Histogram::new(3).map_err(|e| e.to_string())?, took: Duration::ZERO };
    for task in tasks {
        let (good, sent, bad, latency) = task.await.map_err(|e| e.to_string())??;
        outcome.good.extend(good);
        outcome.sent += sent;
        outcome.bad += bad;
        outcome.latency.add(latency).map_err(|e| e.to_string())?;
    }
    outcome.took = start.elapsed();
    Ok(outcome)
}

/// One line about a run.
pub fn line(name: &str, outcome: &Outcome, cpu: Duration) -> String {
    let micros = cpu.as_secs_f64() * 1e6 / outcome.sent.max(1) as f64;
    let at = |q: f64| outcome.latency.value_at_quantile(q) as f64 / 1000.0;
    format!(
        "{name:<9} {:>8.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   p99.9 {:>7.2} ms   max {:>7.2} ms   {micros:>6.2} us CPU per request",
        outcome.sent as f64 / outcome.took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        outcome.latency.max() as f64 / 1000.0,
    )
}

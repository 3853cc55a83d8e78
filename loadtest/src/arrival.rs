//! When things arrive: open rates, which do not care how the gateway does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::guard::MOST;

/// How arrivals are spread over the time of a run. Rates are per second, times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrival {
    /// Evenly.
    Constant {
        /// Per second.
        rate: f64,
    },
    /// From one rate to another in a straight line.
    Ramp {
        /// At the beginning.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// A rate with a stretch of another.
    Spike {
        /// Before and after.
        rate: f64,
        /// In between.
        peak: f64,
        /// When it begins.
        at: f64,
        /// How long it lasts.
        lasting: f64,
    },
    /// At random, independent of each other, as people are.
    Poisson {
        /// Per second, on average.
        rate: f64,
    },
    /// As once recorded: lines of `seconds,bytes`, where `bytes` may be missing and `#` begins a comment.
    Trace {
        /// The file, beside the scenario or absolute.
        file: PathBuf,
        /// How many times faster than recorded.
        #[serde(default = "one")]
        speed: f64,
    },
}

fn one() -> f64 {
    1.0
}

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    /// Since the beginning of the run.
    pub at: Duration,
    /// How large it was, when a trace says so.
    pub bytes: Option<usize>,
}

/// Arrivals in order.
pub type Schedule = Box<dyn Iterator<Item = Due> + Send>;

impl Arrival {
    /// All arrivals within that many seconds, each rate multiplied by `scale`.
    ///
    /// # Errors
    /// When a rate is no rate, or a trace cannot be read.
    pub fn schedule(&self, seconds: f64, scale: f64, seed: u64, beside: &Path) -> Result<Schedule, String> {
        let rates: Vec<f64> = match self {
            Self::Constant { rate } | Self::Poisson { rate } => vec![*rate],
            Self::Ramp { from, to } => vec![*from, *to],
            Self::Spike { rate, peak, at, lasting } => vec![*rate, *peak, *at, *lasting],
            Self::Trace { speed, .. } => vec![*speed],
        };
        if !rates.iter().chain([&scale, &seconds]).all(|r| r.is_finite() && *r >= 0.0) {
            return Err("rates and times of an arrival are numbers of at least 0".into());
        }
        let dues: Schedule = match self {
            Self::Constant { rate } => steady(vec![(seconds, rate * scale, rate * scale)]),
            Self::Ramp { from, to } => steady(vec![(seconds, from * scale, to * scale)]),
            Self::Spike { rate, peak, at, lasting } => {
                let (at, end) = (at.min(seconds), (at + lasting).min(seconds));
                let piece = |length: f64, rate: f64| (length, rate * scale, rate * scale);
                steady(vec![piece(at, *rate), piece(end - at, *peak), piece(seconds - end, *rate)])
            }
            Self::Poisson { rate } => random(rate * scale, seed),
            Self::Trace { file, speed } => recorded(&beside.join(file), speed * scale)?,
        };
        let end = Duration::from_secs_f64(seconds);
        Ok(Box::new(dues.take_while(move |due| due.at < end).take(MOST as usize)))
    }
}

/// Pieces of a length with a rate at either end: the n-th arrival is where the integral of the rate reaches n.
fn steady(pieces: Vec<(f64, f64, f64)>) -> Schedule {
    let mut began = 0.0;
    let mut reached = 0.0;
    let starts: Vec<(f64, f64, f64, f64, f64)> = pieces
        .into_iter()
        .map(|(length, from, to)| {
            let piece = (began, reached, length, from, to);
            began += length;
            reached += length * (from + to) / 2.0;
            piece
        })
        .collect();
    let all = reached;
    let mut piece = 0;
    Box::new((0_u64..).take_while(move |n| (*n as f64) < all - 1e-9).map(move |n| {
        let n = n as f64;
        while starts.get(piece + 1).is_some_and(|next| next.1 <= n + 1e-9) {
            piece += 1;
        }
        let (began, reached, length, from, to) = starts[piece];
        let (wanted, slope) = (n - reached, (to - from) / length.max(1e-9));
        let into = if slope.abs() < 1e-9 {
            wanted / from.max(1e-9)
        } else {
            ((from * from + 2.0 * slope * wanted).max(0.0).sqrt() - from) / slope
        };
        Due { at: Duration::from_secs_f64((began + into).max(0.0)), bytes: None }
    }))
}

fn random(rate: f64, seed: u64) -> Schedule {
    if rate <= 0.0 {
        return Box::new(std::iter::empty());
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut at = 0.0;
    Box::new(std::iter::repeat_with(move || {
        // The gap between independent arrivals has the exponential distribution.
        at += -(1.0 - random.random::<f64>()).ln() / rate;
        Due { at: Duration::from_secs_f64(at), bytes: None }
    }))
}

fn recorded(file: &Path, speed: f64) -> Result<Schedule, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("the trace {} cannot be read: {e}", file.display()))?;
    let mut dues = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (at, bytes) = line.split_once(',').map_or((line, None), |(at, bytes)| (at, Some(bytes)));
        let wrong = || format!("{}, line {}: write `seconds,bytes`, such as `0.25,1024`", file.display(), number + 1);
        let at: f64 = at.trim().parse().ok().filter(|at: &f64| at.is_finite() && *at >= 0.0).ok_or_else(wrong)?;
        let bytes = bytes.map(|b| b.trim().parse().map_err(|_| wrong())).transpose()?;
        dues.push(Due { at: Duration::from_secs_f64(at / speed.max(1e-9)), bytes });
    }
    dues.sort_by_key(|due| due.at);
    Ok(Box::new(dues.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(arrival: &Arrival, seconds: f64) -> Vec<f64> {
        let all = arrival.schedule(seconds, 1.0, 7, Path::new("/")).expect("a schedule");
        all.map(|due| due.at.as_secs_f64()).collect()
    }

    fn between(all: &[f64], from: f64, to: f64) -> usize {
        all.iter().filter(|at| (from..to).contains(*at)).count()
    }

    #[test]
    fn a_constant_rate_is_even() {
        let all = dues(&Arrival::Constant { rate: 100.0 }, 10.0);
        assert_eq!(all.len(), 1000);
        assert!(all.windows(2).all(|w| (w[1] - w[0] - 0.01).abs() < 1e-6));
        assert_eq!(dues(&Arrival::Constant { rate: 0.0 }, 10.0).len(), 0);
    }

    #[test]
    fn a_ramp_and_a_spike_have_their_area() {
        let ramp = dues(&Arrival::Ramp { from: 0.0, to: 200.0 }, 10.0);
        assert_eq!(ramp.len(), 1000);
        assert_eq!(between(&ramp, 0.0, 5.0), 250);
        let fall = dues(&Arrival::Ramp { from: 200.0, to: 0.0 }, 10.0);
        assert_eq!(between(&fall, 0.0, 5.0), 750);
        let spike = dues(&Arrival::Spike { rate: 10.0, peak: 500.0, at: 4.0, lasting: 2.0 }, 10.0);
        assert_eq!((spike.len(), between(&spike, 4.0, 6.0)), (1080, 1000));
        assert!(spike.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn random_arrivals_follow_from_the_seed_and_have_their_mean() {
        let arrival = Arrival::Poisson { rate: 1000.0 };
        let all = dues(&arrival, 10.0);
        assert_eq!(all, dues(&arrival, 10.0));
        // Six standard deviations of a Poisson count of 10,000.
        assert!((9400..10_600).contains(&all.len()), "{}", all.len());
        let gaps: Vec<f64> = all.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.1, "the gaps are as wide as they are long: {}", variance.sqrt() / mean);
    }

    #[test]
    fn a_trace_is_replayed_with_its_sizes() {
        let folder = std::env::temp_dir().join(format!("fairway-trace-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("t.csv"), "# recorded\n1.0,2048\n0.5\n3,10 # late\n").expect("a file");
        let arrival = Arrival::Trace { file: "t.csv".into(), speed: 2.0 };
        let all: Vec<Due> = arrival.schedule(60.0, 1.0, 0, &folder).expect("a schedule").collect();
        let due = |at: f64, bytes| Due { at: Duration::from_secs_f64(at), bytes };
        assert_eq!(all, [due(0.25, None), due(0.5, Some(2048)), due(1.5, Some(10))]);
        std::fs::write(folder.join("t.csv"), "soon\n").expect("a file");
        let Err(error) = arrival.schedule(60.0, 1.0, 0, &folder) else { panic!("`soon` is no time") };
        assert!(error.contains("line 1"), "{error}");
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}

//! What a run comes to: plain data, written as JSON for machines and drawn as a page for people.

use serde::{Deserialize, Serialize};

use crate::received::InboundBooks;
use crate::sent::{LimitBooks, OutboundBooks};
use crate::tape::Tape;
use crate::watch::Look;

/// The version of this format. It grows when an old reader would misunderstand a new file.
pub const FORMAT: u32 = 1;

/// Latencies of one kind of thing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Of what.
    pub name: String,
    /// How many.
    pub count: u64,
    /// Milliseconds, as are those that follow.
    pub p50_ms: f64,
    /// See `p50_ms`.
    pub p99_ms: f64,
    /// See `p50_ms`.
    pub p999_ms: f64,
    /// See `p50_ms`.
    pub longest_ms: f64,
    /// The 99th percentile of what the generator itself was late with; part of the above.
    pub released_late_p99_ms: f64,
    /// Percentile and milliseconds.
    pub curve: Vec<(f64, f64)>,
    /// Per second of the intended start; null for a second without any.
    pub p50_by_second: Vec<Option<f64>>,
    /// See `p50_by_second`.
    pub p99_by_second: Vec<Option<f64>>,
    /// Successes per second of the intended start.
    pub good_by_second: Vec<u64>,
    /// The rest.
    pub bad_by_second: Vec<u64>,
}

impl Latency {
    /// What a tape holds.
    pub fn of(name: &str, tape: &Tape) -> Self {
        Self {
            name: name.to_owned(),
            count: tape.count(),
            p50_ms: tape.at(0.5),
            p99_ms: tape.at(0.99),
            p999_ms: tape.at(0.999),
            longest_ms: tape.longest(),
            released_late_p99_ms: tape.released_at(0.99),
            curve: tape.curve(),
            p50_by_second: tape.seconds(|s| s.at(0.5)),
            p99_by_second: tape.seconds(|s| s.at(0.99)),
            good_by_second: tape.seconds(|s| s.good),
            bad_by_second: tape.seconds(|s| s.bad),
        }
    }
}

/// A promise and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was promised.
    pub promise: String,
    /// What was found.
    pub found: String,
    /// Whether it was kept.
    pub kept: bool,
}

/// Something that was done to the gateway or its providers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Seconds after the beginning.
    pub at: f64,
    /// Seconds it lasted.
    pub lasted: f64,
    /// What it was.
    pub what: String,
}

/// Where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores we may use.
    pub cores: usize,
    /// The processor.
    pub processor: String,
    /// The kernel.
    pub kernel: String,
    /// Memory, GiB.
    pub memory_gib: f64,
    /// Median of one write of 1 KiB with its fsync in the temporary folder, milliseconds.
    pub fsync_ms: f64,
}

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Per second.
    pub rate: f64,
    /// Carried within the objectives.
    pub held: bool,
    /// The 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// The gateway's CPU, in cores.
    pub gateway_cpu: f64,
    /// Our own CPU, in cores.
    pub own_cpu: f64,
    /// Why it did not hold.
    pub why: String,
}

/// What a search for the limit found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// What was scaled.
    pub of: String,
    /// The highest rate that held, per second.
    pub rate: f64,
    /// How often the border held, of how many repeats.
    pub repeats: (u32, u32),
    /// What limited it.
    pub limited_by: String,
    /// Why that is thought.
    pub evidence: Vec<String>,
    /// Everything that was tried.
    pub steps: Vec<Step>,
}

/// A result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// See [`FORMAT`].
    pub format: u32,
    /// The scenario.
    pub scenario: String,
    /// The question it answers.
    pub question: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// How to run it again.
    pub command: String,
    /// Nodes of the gateway.
    pub nodes: usize,
    /// What was measured: the gateway's version as it says, and ours.
    pub versions: Vec<(String, String)>,
    /// Where.
    pub machine: Machine,
    /// Seconds of load.
    pub seconds: f64,
    /// Whether it was stopped before its time.
    pub stopped_early: bool,
    /// What came in.
    pub inbound: Option<InboundBooks>,
    /// What went out.
    pub outbound: Vec<OutboundBooks>,
    /// What was made of limits.
    pub limits: Vec<LimitBooks>,
    /// Receipts that the twins delivered, and those never taken.
    pub receipts: (u64, u64),
    /// Latencies.
    pub latencies: Vec<Latency>,
    /// Second by second.
    pub looks: Vec<Look>,
    /// The gateway's CPU per delivery, request and call, microseconds.
    pub cpu_per_message_us: Option<f64>,
    /// What was done to it.
    pub faults: Vec<Fault>,
    /// What was promised.
    pub verdicts: Vec<Verdict>,
    /// The search for the limit.
    pub capacity: Option<Capacity>,
    /// What else the reader must know.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether every promise was kept.
    pub fn kept(&self) -> bool {
        self.verdicts.iter().all(|v| v.kept)
    }

    /// Adds a promise and what came of it.
    pub fn judge(&mut self, promise: impl Into<String>, found: impl Into<String>, kept: bool) {
        self.verdicts.push(Verdict { promise: promise.into(), found: found.into(), kept });
    }

    /// The most memory the gateway had, MiB.
    pub fn most_memory(&self) -> Option<f64> {
        self.looks.iter().filter_map(|l| l.memory_mib).reduce(f64::max)
    }
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, key: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(key))
                .map(|l| l.trim_start_matches([' ', '\t', ':']).trim().to_owned())
                .unwrap_or_default()
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: value(&read("/proc/cpuinfo"), "model name"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_gib: (kib / 1_048_576.0 * 10.0).round() / 10.0,
            fsync_ms: fsync(),
        }
    }
}

/// The floor under every acknowledgement on this disk: the median of 21 writes, each with its fsync.
fn fsync() -> f64 {
    use std::io::Write as _;
    let path = std::env::temp_dir().join(format!("fairway-fsync-{}", std::process::id()));
    let Ok(mut file) = std::fs::File::create(&path) else { return 0.0 };
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let began = std::time::Instant::now();
            let _ = file.write_all(&[b'x'; 1024]).and_then(|()| file.sync_data());
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    let _ = std::fs::remove_file(&path);
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

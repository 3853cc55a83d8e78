//! Looks at the machine, the gateway and ourselves once a second, and says how it goes.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::process::{Pids, Usage, usage_of};
use crate::wire::Wire;

/// One look. Shares are of one core: 2.0 is two cores' worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Seconds since the beginning.
    pub at: f64,
    /// The gateway's CPU since the last look, all its nodes, in cores; absent where its process is not known.
    pub gateway_cpu: Option<f64>,
    /// Its memory, MiB; of several nodes that of the largest.
    pub memory_mib: Option<f64>,
    /// Our own CPU (generator and twins), in cores.
    pub own_cpu: f64,
    /// CPU of everything on the machine, in cores.
    pub machine_cpu: f64,
    /// Waiting for disks, in cores.
    pub disk_wait: f64,
    /// Messages that had reached the providers.
    pub reached: u64,
    /// Deliveries and requests that had been released.
    pub released: u64,
    /// Age of the oldest record the views have not seen, or of the oldest message in a lane, seconds.
    pub lag: Option<f64>,
    /// Mean time from an append to its durability since the last look, milliseconds.
    pub append_ms: Option<f64>,
    /// Messages in the lanes' windows.
    pub lanes: Option<f64>,
}

/// What is looked at.
pub struct Subject {
    /// The gateway's nodes.
    pub wires: Vec<Wire>,
    /// Their processes, where they are ours or were named; they change with a restart.
    pub pids: Arc<Pids>,
    /// Counts what has reached the providers.
    pub reached: Box<dyn Fn() -> u64 + Send>,
    /// Counts what was released.
    pub released: Box<dyn Fn() -> u64 + Send>,
}

/// The looks so far.
pub type Looks = Arc<Mutex<Vec<Look>>>;

#[derive(Clone, Copy, Default)]
struct Counters {
    own: f64,
    machine: f64,
    waiting: f64,
    append: (f64, f64),
}

/// Looks until it is aborted.
pub async fn watch(subject: Subject, start: Instant, looks: Looks) {
    let mut before = Counters { own: cpu_of(u64::from(std::process::id())), ..machine() };
    let mut known: Vec<(u32, Usage)> = Vec::new();
    let mut last = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let (latest, mut scraped) = tokio::sync::watch::channel(None);
    // Ends with us: the task is dropped with its set.
    let mut scraper = tokio::task::JoinSet::new();
    scraper.spawn(scrape(subject.wires.clone(), latest));
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let passed = last.elapsed().as_secs_f64();
        last = Instant::now();
        let alive: Vec<(u32, Usage)> = subject.pids.all().into_iter().flatten().filter_map(|pid| Some((pid, usage_of(pid)?))).collect();
        let mut now = Counters { own: cpu_of(u64::from(std::process::id())), append: before.append, ..machine() };
        let mut look = Look {
            at: start.elapsed().as_secs_f64(),
            memory_mib: alive.iter().map(|(_, u)| u.memory as f64 / 1_048_576.0).reduce(f64::max),
            own_cpu: (now.own - before.own) / passed,
            machine_cpu: (now.machine - before.machine) / passed,
            disk_wait: (now.waiting - before.waiting) / passed,
            reached: (subject.reached)(),
            released: (subject.released)(),
            ..Look::default()
        };
        // A process that is new has no past here.
        let spent = alive.iter().filter_map(|(pid, u)| {
            let before = known.iter().find(|(known, _)| known == pid)?;
            Some(u.cpu.saturating_sub(before.1.cpu).as_secs_f64() / passed)
        });
        look.gateway_cpu = spent.reduce(|a, b| a + b);
        known = alive;
        if let Some(metrics) = scraped.borrow_and_update().as_ref() {
            let most = metrics.most("fairway_projector_lag_seconds").max(metrics.most("fairway_lane_lag_seconds"));
            look.lag = Some(most);
            look.lanes = Some(metrics.sum("fairway_lane_depth"));
            let (sum, count) =
                (metrics.sum("fairway_log_append_duration_seconds_sum"), metrics.sum("fairway_log_append_duration_seconds_count"));
            if count > before.append.1 {
                look.append_ms = Some(1000.0 * (sum - before.append.0) / (count - before.append.1));
            }
            now.append = (sum, count);
        }
        before = now;
        say(&look, terminal);
        looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(look);
    }
}

/// One line that is overwritten on a terminal, a plain line every ten seconds elsewhere.
#[allow(clippy::print_stderr, reason = "progress is for the person who waits, not for the result")]
fn say(look: &Look, terminal: bool) {
    let cores = look.gateway_cpu.map_or_else(|| "-".into(), |c| format!("{c:.2}"));
    let memory = look.memory_mib.map_or_else(|| "-".into(), |m| format!("{m:.0} MiB"));
    let line = format!(
        "{:>4.0} s   released {:>8}   at providers {:>8}   gateway {cores} cores, {memory}   ourselves {:.2} cores   lag {:.1} s",
        look.at,
        look.released,
        look.reached,
        look.own_cpu,
        look.lag.unwrap_or(0.0)
    );
    if terminal {
        eprint!("\r\x1b[2K{line}");
    } else if (look.at.round() as u64).is_multiple_of(10) {
        eprintln!("{line}");
    }
}

/// Ends the line that is overwritten.
#[allow(clippy::print_stderr, reason = "see `say`")]
pub fn end_line() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}

fn cpu_of(pid: u64) -> f64 {
    u32::try_from(pid).ok().and_then(usage_of).map_or(0.0, |u| u.cpu.as_secs_f64())
}

/// CPU seconds of the whole machine, and those its CPUs waited for disks.
fn machine() -> Counters {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    let at = |i: usize| fields.get(i).copied().unwrap_or(0.0) / 100.0;
    // user, nice, system, idle, iowait, irq, softirq, steal
    Counters { machine: at(0) + at(1) + at(2) + at(5) + at(6) + at(7), waiting: at(4), ..Counters::default() }
}

/// Metrics in the Prometheus text format.
pub struct Metrics(String);

/// Asks for the metrics again and again, and is busy with that for a twentieth of the time at most: with many channels they are
/// megabytes, and what measures must not be the load. `None` while a node does not answer.
async fn scrape(wires: Vec<Wire>, latest: tokio::sync::watch::Sender<Option<Metrics>>) {
    loop {
        let began = Instant::now();
        let mut all = Some(String::new());
        for wire in &wires {
            let answer = wire.get("/metrics").await.ok().filter(|(status, _)| *status == 200);
            all = all.zip(answer).map(|(all, (_, body))| all + &String::from_utf8_lossy(&body));
        }
        if latest.send(all.map(Metrics)).is_err() {
            return;
        }
        tokio::time::sleep((20 * began.elapsed()).max(Duration::from_secs(1))).await;
    }
}

impl Metrics {
    fn values<'m>(&'m self, name: &'m str) -> impl Iterator<Item = f64> + 'm {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let rest = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest };
            rest.starts_with(' ').then(|| rest.trim().parse().ok())?
        })
    }

    /// The sum over all labels.
    pub fn sum(&self, name: &str) -> f64 {
        self.values(name).sum()
    }

    /// The largest over all labels; 0 when there is none.
    pub fn most(&self, name: &str) -> f64 {
        self.values(name).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_whatever_their_labels() {
        let text = "# HELP a b\nfairway_lane_depth{channel=\"a\",lane=\"bulk\"} 3\nfairway_lane_depth{channel=\"b\"} 4.5\nfairway_lane_depths 100\nplain 7\n";
        let metrics = Metrics(text.into());
        assert_eq!((metrics.sum("fairway_lane_depth"), metrics.most("fairway_lane_depth")), (7.5, 4.5));
        assert_eq!((metrics.sum("plain"), metrics.sum("absent")), (7.0, 0.0));
    }

    #[test]
    fn our_own_process_has_used_something() {
        let usage = usage_of(std::process::id()).expect("we run");
        assert!(usage.memory > 1 << 20);
        assert!(usage_of(u32::MAX).is_none());
    }
}

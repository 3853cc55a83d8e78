//! Searches the highest scale of a scenario that keeps its objectives, and says what limited it.
//!
//! Doubling until a step breaks twice, halving the gap until it is a tenth, then the border once more, twice. Every step is a run
//! of its own on a fresh gateway, with all its books; the first step is the scenario at its own size.

use std::time::{Duration, Instant};

use crate::pool::Stop;
use crate::result::{Capacity, Report, Step};
use crate::run::run;
use crate::scenario::Scenario;
use crate::setup::Options;

/// The search ends when what held and what broke lie this close together.
const GAP: f64 = 1.1;
/// Times the border is tried again.
const REPEATS: u32 = 2;
/// Shares of the cores from which on they are taken to be what limits.
const BUSY: f64 = 0.9;
/// Seconds that messages stand in the windows of the lanes from which on these are taken to be what limits.
const WAITS: f64 = 0.1;

/// What must hold besides the books.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The 99th percentile of every latency from the intended start, milliseconds.
    pub p99_ms: f64,
    /// Views and lanes may lag by this, seconds.
    pub lag: f64,
    /// Seconds of load of each step.
    pub step_seconds: f64,
    /// The search begins no new step after this.
    pub longest: Duration,
}

/// Why a run did not hold; empty when it did.
pub fn broke(report: &Report, wanted: &Wanted) -> String {
    let mut why: Vec<String> = report.verdicts.iter().filter(|v| !v.kept).map(|v| format!("{}: {}", v.promise, v.found)).collect();
    for latency in report.latencies.iter().filter(|l| l.p99_ms > wanted.p99_ms) {
        why.push(format!("{}: p99 {:.0} ms", latency.name, latency.p99_ms));
    }
    let lag = report.looks.iter().filter(|l| l.at <= report.seconds).filter_map(|l| l.lag).fold(0.0, f64::max);
    if lag > wanted.lag {
        why.push(format!("lag of {lag:.1} s"));
    }
    if let Some(books) = report.inbound.as_ref().filter(|b| b.unacknowledged > 0) {
        why.push(format!("{} deliveries not acknowledged", books.unacknowledged));
    }
    why.join("; ")
}

/// Searches. The report is that of the highest run that held, or of the first when none did.
///
/// # Errors
/// When a run cannot begin.
pub async fn search(scenario: &Scenario, options: &Options, wanted: Wanted, stop: Stop) -> Result<Report, String> {
    let began = Instant::now();
    let mut scenario = scenario.clone();
    scenario.seconds = wanted.step_seconds;
    scenario.settle_seconds = scenario.settle_seconds.min(wanted.step_seconds * 2.0);
    let mut search = Search { steps: Vec::new(), held: None, broken: Vec::new() };
    let mut scale = options.scale;
    while !*stop.borrow() && began.elapsed() < wanted.longest {
        // A disk that stalls once breaks a step of any size: only what breaks again is believed.
        if !search.step(&scenario, options, scale, &wanted, &stop).await? && !*stop.borrow() {
            search.step(&scenario, options, scale, &wanted, &stop).await?;
        }
        scale = match (search.lowest_broken(), search.highest_held()) {
            (None, Some(held)) => held * 2.0,
            (Some(broken), None) if broken > options.scale / 64.0 => broken / 2.0,
            (Some(broken), Some(held)) if broken / held > GAP => (broken * held).sqrt(),
            _ => break,
        };
    }
    // The border once more: what held by luck is stepped down from, until most tries hold.
    let mut border = search.highest_held();
    let mut counts = (1, 1);
    while let Some(scale) = border
        && !*stop.borrow()
        && began.elapsed() < wanted.longest
    {
        counts.1 += 1;
        counts.0 += u32::from(search.step(&scenario, options, scale, &wanted, &stop).await?);
        if counts.1 <= REPEATS {
            continue;
        }
        if 2 * counts.0 > counts.1 {
            break;
        }
        search.give_up(scale);
        border = Some(scale / GAP);
        counts = (0, 0);
    }
    let (good, tried) = counts;
    search.finish((good, tried))
}

struct Search {
    steps: Vec<(f64, Step)>,
    held: Option<(f64, Report)>,
    broken: Vec<(f64, Report)>,
}

impl Search {
    fn highest_held(&self) -> Option<f64> {
        self.held.as_ref().map(|(scale, _)| *scale)
    }

    /// A scale that held once and breaks mostly.
    fn give_up(&mut self, scale: f64) {
        self.held = self.held.take().filter(|(held, _)| *held < scale);
    }

    fn lowest_broken(&self) -> Option<f64> {
        self.border().map(|(scale, _)| *scale)
    }

    /// The smallest run that broke above all that held.
    fn border(&self) -> Option<&(f64, Report)> {
        let held = self.highest_held().unwrap_or(0.0);
        self.broken.iter().filter(|(scale, _)| *scale > held).min_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    async fn step(&mut self, scenario: &Scenario, options: &Options, scale: f64, wanted: &Wanted, stop: &Stop) -> Result<bool, String> {
        let report = run(scenario, &Options { scale, ..options.clone() }, Vec::new(), stop.clone()).await?;
        let why = broke(&report, wanted);
        let held = why.is_empty();
        let step = Step {
            rate: offered(&report),
            held,
            p99_ms: report.latencies.iter().map(|l| l.p99_ms).fold(0.0, f64::max),
            gateway_cpu: steady(&report, |l| l.gateway_cpu),
            own_cpu: steady(&report, |l| Some(l.own_cpu)),
            why,
        };
        let word = if held { "held" } else { "broke" };
        println!("{:>9.0}/s {word}   p99 {:>8.1} ms   gateway {:.2} cores   {}", step.rate, step.p99_ms, step.gateway_cpu, step.why);
        self.steps.push((scale, step));
        if held {
            if self.held.as_ref().is_none_or(|(known, _)| *known <= scale) {
                self.held = Some((scale, report));
            }
        } else {
            self.broken.push((scale, report));
        }
        Ok(held)
    }

    fn finish(self, repeats: (u32, u32)) -> Result<Report, String> {
        let highest = self.held.as_ref().map_or(0.0, |(_, report)| offered(report));
        let (limited_by, evidence) = self.border().map_or_else(
            || ("nothing that was tried: the search ended before a step broke".to_owned(), Vec::new()),
            |(_, report)| explain(report),
        );
        let repeats = if self.held.is_some() { repeats } else { (0, 0) };
        let steps = self.steps.into_iter().map(|(_, step)| step).collect();
        let (_, mut report) = self.held.or(self.broken.into_iter().next()).ok_or("stopped before the first step ended")?;
        let of = if report.inbound.is_some() && !report.outbound.is_empty() {
            "Deliveries and messages:"
        } else if report.inbound.is_some() {
            "Deliveries:"
        } else {
            "Messages:"
        };
        report.capacity = Some(Capacity { of: of.into(), rate: highest, repeats, limited_by, evidence, steps });
        Ok(report)
    }
}

/// What was offered, per second of load.
fn offered(report: &Report) -> f64 {
    let all = report.inbound.as_ref().map_or(0, |b| b.deliveries) + report.outbound.iter().map(|b| b.asked).sum::<u64>();
    all as f64 / report.seconds.max(0.001)
}

/// The median over the time of load.
fn steady(report: &Report, value: impl Fn(&crate::watch::Look) -> Option<f64>) -> f64 {
    crate::compare::median(&report.looks.iter().filter(|l| l.at <= report.seconds).filter_map(value).collect::<Vec<_>>())
}

/// What limited a run that broke, and why that is thought. The first that fits: a limit of the provider explains waiting lanes
/// better than the CPU does, and a generator that is out of breath proves nothing about the gateway.
pub fn explain(report: &Report) -> (String, Vec<String>) {
    let cores = report.machine.cores as f64;
    let (gateway, own, machine) =
        (steady(report, |l| l.gateway_cpu), steady(report, |l| Some(l.own_cpu)), steady(report, |l| Some(l.machine_cpu)));
    let (append, fsync, waiting) = (steady(report, |l| l.append_ms), report.machine.fsync_ms, steady(report, |l| Some(l.disk_wait)));
    let late = report.latencies.iter().map(|l| l.released_late_p99_ms).fold(0.0, f64::max);
    let mut evidence = vec![
        format!("CPU: the gateway {gateway:.2}, generator and twins {own:.2}, the machine {machine:.2} of {cores:.0} cores"),
        format!("an append took {append:.1} ms on average, one fsync alone {fsync:.1} ms; {waiting:.2} cores waited for disks"),
        format!("the generator itself was late by {late:.1} ms at its p99"),
    ];
    for limit in &report.limits {
        evidence.push(format!("{}: {:.1} % of its {}/s used", limit.channel, limit.used * 100.0, limit.limit));
    }
    let lanes = steady(report, |l| l.lanes);
    let asked = report.outbound.iter().map(|b| b.asked).sum::<u64>() as f64 / report.seconds.max(0.001);
    evidence.push(format!("{lanes:.0} messages stood in the windows of the lanes, where {asked:.0} a second came"));
    let used = report.limits.iter().map(|l| l.used).fold(0.0, f64::max);
    let limited_by = if used > 0.95 {
        "the providers' limits"
    } else if machine > BUSY * cores && gateway + own < 0.7 * machine {
        "other programs on this machine: they take what the gateway would need; stop them and search again"
    } else if machine > BUSY * cores && own > gateway {
        "the load generator: it and its twins take more of this machine than the gateway does; give it one of its own"
    } else if machine > BUSY * cores {
        "the CPU: the gateway takes most of it"
    } else if append > 4.0 * fsync.max(0.1) || waiting > 0.3 * cores {
        "the disk: appends wait for their fsync"
    } else if lanes > WAITS * asked {
        "the window of the lanes: calls in flight times the provider's latency; raise `concurrency`"
    } else {
        "something that is none of these; the evidence is below"
    };
    (limited_by.to_owned(), evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Machine;
    use crate::sent::LimitBooks;
    use crate::watch::Look;

    fn report(gateway: f64, own: f64, append: f64, used: f64) -> Report {
        beside(gateway, own, append, used, 0.0)
    }

    /// The same beside other programs.
    fn beside(gateway: f64, own: f64, append: f64, used: f64, others: f64) -> Report {
        let look = |at: f64| Look {
            at,
            gateway_cpu: Some(gateway),
            own_cpu: own,
            machine_cpu: gateway + own + others,
            append_ms: Some(append),
            ..Look::default()
        };
        let limits = vec![LimitBooks { used, limit: 10, ..LimitBooks::default() }];
        let machine = Machine { cores: 2, fsync_ms: 1.0, ..Machine::default() };
        Report { seconds: 9.0, looks: (1..9).map(|n| look(f64::from(n))).collect(), limits, machine, ..Report::default() }
    }

    #[test]
    fn what_limits_is_told_with_its_evidence() {
        let told = |gateway, own, append, used| explain(&report(gateway, own, append, used)).0;
        assert!(told(0.4, 0.3, 2.0, 0.98).contains("providers' limits"));
        assert!(told(1.3, 0.6, 2.0, 0.0).contains("the CPU"));
        assert!(told(0.6, 1.3, 2.0, 0.0).contains("load generator"));
        assert!(told(0.3, 0.2, 9.0, 0.0).contains("the disk"));
        assert!(explain(&beside(0.6, 0.2, 2.0, 0.0, 1.2)).0.contains("other programs"));
        let (_, evidence) = explain(&report(1.3, 0.6, 2.0, 0.0));
        assert!(evidence.iter().any(|e| e.contains("1.30")), "{evidence:?}");
    }

    #[test]
    fn a_step_breaks_by_books_latency_or_lag() {
        let wanted = Wanted { p99_ms: 100.0, lag: 1.0, step_seconds: 9.0, longest: Duration::ZERO };
        let mut held = report(1.0, 0.5, 1.0, 0.0);
        assert_eq!(broke(&held, &wanted), "");
        held.looks[2].lag = Some(5.0);
        assert!(broke(&held, &wanted).contains("lag of 5.0 s"));
        held.judge("nothing lost", "1 lost", false);
        assert!(broke(&held, &wanted).contains("1 lost"));
    }
}

//! Compares two results, or two folders of repeated runs, and knows what noise is.
//!
//! The samples are the runs themselves where each side has four or more, else blocks of three seconds of the one run: seconds
//! follow from each other, blocks less so. A Mann-Whitney test says whether two sets of samples differ at all, whatever their
//! distribution; only a difference that it sees and that is larger than the tolerance counts.

use std::path::Path;

use crate::result::Report;
use crate::watch::Look;

/// Below this probability a difference is not taken for chance.
const ALPHA: f64 = 0.01;
/// Seconds at the beginning that are not compared: connections open, caches fill.
const WARM_UP: usize = 2;
/// Seconds of a block.
const BLOCK: usize = 3;
/// Runs of a side from which on each run is one sample.
const RUNS: usize = 4;

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that is larger than the tolerance.
    Same,
    /// B is better than A.
    Better,
    /// B is worse than A.
    Worse,
    /// The medians differ, and so would two runs of the same.
    Noise,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is compared, with its unit.
    pub what: String,
    /// The median of A.
    pub a: f64,
    /// The median of B.
    pub b: f64,
    /// How probable such a difference is by chance.
    pub p: f64,
    /// What that comes to.
    pub verdict: Verdict,
}

/// Reads a result, or all results of a folder.
///
/// # Errors
/// When there is none, or it is not one of ours.
pub fn load(path: &Path) -> Result<Vec<Report>, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let found = std::fs::read_dir(path).map_err(|e| wrong(&e))?.filter_map(|f| Some(f.ok()?.path()));
        files = found.filter(|f| f.extension().is_some_and(|e| e == "json")).collect();
        files.sort();
    }
    let reports: Result<Vec<Report>, String> = files.iter().map(|file| one(file)).collect();
    reports.and_then(|all| if all.is_empty() { Err(wrong(&"there is no result in it")) } else { Ok(all) })
}

fn one(file: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let report: Report = serde_json::from_str(&text).map_err(|e| format!("{} is no result of ours: {e}", file.display()))?;
    if report.format != crate::result::FORMAT {
        return Err(format!(
            "{} has the format {} and this tool reads {}; run it again",
            file.display(),
            report.format,
            crate::result::FORMAT
        ));
    }
    Ok(report)
}

/// Compares two sides. `tolerance` is the share by which a figure may differ, such as 0.05.
pub fn compare(a: &[Report], b: &[Report], tolerance: f64) -> Vec<Row> {
    let names: Vec<String> = a.iter().flat_map(|r| &r.latencies).filter(|l| l.count > 0).map(|l| l.name.clone()).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut rows = Vec::new();
    for name in names.into_iter().filter(|n| seen.insert(n.clone())) {
        for (word, p99) in [("p50", false), ("p99", true)] {
            let values = |report: &Report| -> Vec<f64> {
                let found = report.latencies.iter().find(|l| l.name == name);
                found.map_or_else(Vec::new, |l| if p99 { &l.p99_by_second } else { &l.p50_by_second }.iter().filter_map(|v| *v).collect())
            };
            rows.extend(row(format!("{name}, {word}, ms"), a, b, &values, tolerance, false));
        }
    }
    let through = |report: &Report| growth(&report.looks, |l| l.reached as f64);
    rows.extend(row("at the providers, 1/s".into(), a, b, &through, tolerance, true));
    rows.extend(row("CPU per message, us".into(), a, b, &|report: &Report| per_message(&report.looks), tolerance, false));
    let memory = |report: &Report| report.looks.iter().filter_map(|l| l.memory_mib).collect();
    rows.extend(row("memory, MiB".into(), a, b, &memory, tolerance, false));
    rows
}

fn growth(looks: &[Look], value: impl Fn(&Look) -> f64) -> Vec<f64> {
    looks.windows(2).map(|w| (value(&w[1]) - value(&w[0])) / (w[1].at - w[0].at).max(0.001)).filter(|v| *v > 0.0).collect()
}

fn per_message(looks: &[Look]) -> Vec<f64> {
    let one = |w: &[Look]| {
        let done = (w[1].released + w[1].reached).checked_sub(w[0].released + w[0].reached).filter(|n| *n > 0)?;
        Some(w[1].gateway_cpu? * (w[1].at - w[0].at) * 1e6 / done as f64)
    };
    looks.windows(2).filter_map(one).collect()
}

/// The samples of a side.
fn samples(reports: &[Report], values: &dyn Fn(&Report) -> Vec<f64>, by_run: bool) -> Vec<f64> {
    let steady = |report: &Report| values(report).into_iter().skip(WARM_UP).collect::<Vec<f64>>();
    if by_run {
        return reports.iter().map(steady).filter(|v| !v.is_empty()).map(|v| median(&v)).collect();
    }
    let mean = |block: &[f64]| block.iter().sum::<f64>() / block.len() as f64;
    reports.iter().flat_map(|r| steady(r).chunks(BLOCK).map(mean).collect::<Vec<f64>>()).collect()
}

fn row(
    what: String,
    a: &[Report],
    b: &[Report],
    values: &dyn Fn(&Report) -> Vec<f64>,
    tolerance: f64,
    more_is_better: bool,
) -> Option<Row> {
    let by_run = a.len() >= RUNS && b.len() >= RUNS;
    let (a, b) = (samples(a, values, by_run), samples(b, values, by_run));
    if a.len() < 3 || b.len() < 3 {
        return None;
    }
    let p = mann_whitney(&a, &b);
    let (a, b) = (median(&a), median(&b));
    let ratio = if a > 0.0 { b / a } else { 1.0 };
    let verdict = match (p < ALPHA, (ratio - 1.0).abs() > tolerance) {
        (_, false) => Verdict::Same,
        (false, true) => Verdict::Noise,
        (true, true) if (ratio > 1.0) == more_is_better => Verdict::Better,
        (true, true) => Verdict::Worse,
    };
    Some(Row { what, a, b, p, verdict })
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { 0.0 } else { (values[(n - 1) / 2] + values[n / 2]) / 2.0 }
}

/// The two-sided probability that two samples of one distribution differ in rank as much as these (Mann and Whitney 1947; normal
/// approximation with correction for ties and continuity).
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = a.iter().map(|v| (*v, true)).chain(b.iter().map(|v| (*v, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (n, m) = (a.len() as f64, b.len() as f64);
    let total = n + m;
    let (mut rank_sum, mut ties, mut at) = (0.0, 0.0, 0);
    while at < all.len() {
        let end = at + all[at..].iter().take_while(|v| v.0 == all[at].0).count();
        let (count, rank) = ((end - at) as f64, (at + 1 + end) as f64 / 2.0);
        rank_sum += rank * all[at..end].iter().filter(|v| v.1).count() as f64;
        ties += count.powi(3) - count;
        at = end;
    }
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = ((u - n * m / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    2.0 * tail(z)
}

/// The upper tail of the normal distribution (Abramowitz and Stegun 26.2.17; right to 7.5e-8).
pub fn tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * series
}

/// Prints the table; true when nothing is worse and B's books balance where A's did.
pub fn print(a: &[Report], b: &[Report], tolerance: f64) -> bool {
    let rows = compare(a, b, tolerance);
    println!("{:<40} {:>12} {:>12} {:>8} {:>8}", "", "A", "B", "B / A", "p");
    for row in &rows {
        let word = match row.verdict {
            Verdict::Same => "same",
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::Noise => "too noisy to tell; run it more often",
        };
        let ratio = if row.a > 0.0 { row.b / row.a } else { 1.0 };
        println!("{:<40} {:>12.2} {:>12.2} {ratio:>8.3} {:>8.4}  {word}", row.what, row.a, row.b, row.p);
    }
    let broken = |reports: &[Report]| -> std::collections::BTreeSet<String> {
        reports.iter().flat_map(|r| &r.verdicts).filter(|v| !v.kept).map(|v| v.promise.clone()).collect()
    };
    let (before, after) = (broken(a), broken(b));
    for promise in after.difference(&before) {
        println!("WORSE: broken in B alone: {promise}");
    }
    println!("tolerance {:.0} %, {} and {} runs", tolerance * 100.0, a.len(), b.len());
    rows.iter().all(|r| r.verdict != Verdict::Worse) && after.is_subset(&before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{FORMAT, Latency};

    #[test]
    fn the_test_agrees_with_published_figures() {
        // scipy.stats.mannwhitneyu(a, b, method="asymptotic") of these ages: U 17, p 0.1111 (scipy's documentation).
        let males = [19.0, 22.0, 16.0, 29.0, 24.0];
        let females = [20.0, 11.0, 17.0, 12.0];
        assert!((mann_whitney(&males, &females) - 0.111_346_88).abs() < 1e-6, "{}", mann_whitney(&males, &females));
        assert!((tail(1.959_964) - 0.025).abs() < 1e-6);
        assert!((mann_whitney(&[1.0; 5], &[1.0; 5]) - 1.0).abs() < 1e-9);
    }

    /// A run whose p99 wavers around a level.
    fn run(level: f64) -> Report {
        let p99 = (0..40).map(|n| Some(level * (1.0 + 0.1 * f64::from((n * 7919) % 13 - 6) / 6.0))).collect::<Vec<_>>();
        let latency = Latency { name: "webhook".into(), count: 40, p50_by_second: p99.clone(), p99_by_second: p99, ..Latency::default() };
        Report { format: FORMAT, latencies: vec![latency], ..Report::default() }
    }

    #[test]
    fn a_difference_counts_when_it_is_real_and_large() {
        let verdict = |a: f64, b: f64| compare(&[run(a)], &[run(b)], 0.05)[1].verdict;
        assert_eq!(verdict(10.0, 10.0), Verdict::Same);
        assert_eq!(verdict(10.0, 10.2), Verdict::Same);
        assert_eq!(verdict(10.0, 13.0), Verdict::Worse);
        assert_eq!(verdict(13.0, 10.0), Verdict::Better);
        // Three samples a side cannot show anything.
        let mut short = (run(10.0), run(20.0));
        for report in [&mut short.0, &mut short.1] {
            report.latencies[0].p99_by_second.truncate(10);
        }
        assert_eq!(compare(&[short.0], &[short.1], 0.05)[1].verdict, Verdict::Noise);
    }

    #[test]
    fn repeated_runs_are_samples() {
        let side = |level: f64| (0..6).map(|n| run(level + f64::from(n) * 0.1)).collect::<Vec<_>>();
        assert_eq!(compare(&side(10.0), &side(12.0), 0.05)[1].verdict, Verdict::Worse);
        assert_eq!(compare(&side(10.0), &side(10.05), 0.05)[1].verdict, Verdict::Same);
    }
}

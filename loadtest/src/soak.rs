//! Whether memory or latency grows over a long run: the slope (Theil and Sen), and whether there is one at all (Mann and Kendall).

use crate::result::Report;

/// Below this probability a trend is not taken for chance.
const ALPHA: f64 = 0.01;
/// Share of the run at its beginning in which caches fill; not judged.
const FILLING: f64 = 0.2;
/// At most this many points are looked at, each the mean of its stretch: pairs grow with the square.
const POINTS: usize = 300;

/// A trend of something over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// By how much the median slope moves it over an hour, as a share of where it was.
    pub share_per_hour: f64,
    /// How probable such an order is by chance.
    pub p: f64,
}

/// The trend of values over seconds; `None` for less than ten points.
pub fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let stretch = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|p| p.0).sum::<f64>() / n, part.iter().map(|p| p.1).sum::<f64>() / n)
    };
    let points: Vec<(f64, f64)> = points.chunks(stretch).map(mean).collect();
    if points.len() < 10 {
        return None;
    }
    let mut slopes = Vec::new();
    let mut signs = 0.0;
    for (at, first) in points.iter().enumerate() {
        for second in &points[at + 1..] {
            let rise = second.1 - first.1;
            signs += if rise > 0.0 {
                1.0
            } else if rise < 0.0 {
                -1.0
            } else {
                0.0
            };
            slopes.push(rise / (second.0 - first.0).max(1e-9));
        }
    }
    let n = points.len() as f64;
    let spread = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let z = (f64::abs(signs) - 1.0).max(0.0) / spread;
    let level = crate::compare::median(&points.iter().map(|p| p.1).collect::<Vec<_>>());
    let share_per_hour = if level > 0.0 { crate::compare::median(&slopes) * 3600.0 / level } else { 0.0 };
    Some(Trend { share_per_hour, p: 2.0 * crate::compare::tail(z) })
}

/// Judges a run. `tolerance` is the share by which something may grow in an hour.
pub fn judge(report: &mut Report, tolerance: f64) {
    let from = report.seconds * FILLING;
    let until = report.seconds;
    let within = |at: f64| at >= from && at <= until;
    let memory = report.looks.iter().filter(|l| within(l.at)).filter_map(|l| Some((l.at, l.memory_mib?))).collect();
    let mut all: Vec<(String, Vec<(f64, f64)>)> = vec![("memory".into(), memory)];
    for latency in report.latencies.iter().filter(|l| l.count > 0) {
        let by_second = latency.p99_by_second.iter().enumerate().map(|(at, v)| (at as f64, *v));
        all.push((
            format!("p99 of {}", latency.name),
            by_second.filter(|(at, _)| within(*at)).filter_map(|(at, v)| Some((at, v?))).collect(),
        ));
    }
    for (what, points) in all {
        let Some(trend) = trend(&points) else {
            report.notes.push(format!("{what}: too short a run to tell a trend"));
            continue;
        };
        let grows = trend.p < ALPHA && trend.share_per_hour > tolerance;
        let found = format!("{:+.1} % an hour, by chance with p = {:.3}", trend.share_per_hour * 100.0, trend.p);
        report.judge(format!("{what} grows by no more than {:.0} % an hour", tolerance * 100.0), found, !grows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that has no trend, and follows from the number alone.
    fn noise(n: usize) -> f64 {
        ((n * 7919) % 101) as f64 / 101.0 - 0.5
    }

    #[test]
    fn a_leak_is_told_from_noise() {
        let flat: Vec<(f64, f64)> = (0..600).map(|n| (n as f64, 100.0 + 5.0 * noise(n))).collect();
        let trend_of_flat = trend(&flat).expect("enough points");
        assert!(trend_of_flat.p > ALPHA, "{trend_of_flat:?}");
        // A hundredth of a MiB a second is 36 % an hour.
        let leak: Vec<(f64, f64)> = (0..600).map(|n| (n as f64, 100.0 + 0.01 * n as f64 + noise(n))).collect();
        let trend_of_leak = trend(&leak).expect("enough points");
        assert!(trend_of_leak.p < ALPHA && (0.3..0.4).contains(&trend_of_leak.share_per_hour), "{trend_of_leak:?}");
        assert_eq!(trend(&flat[..5]), None);
    }

    #[test]
    fn a_run_is_judged_without_its_beginning() {
        let look = |n: usize, memory: f64| crate::watch::Look { at: n as f64, memory_mib: Some(memory), ..Default::default() };
        // Caches fill for a tenth of the run, then nothing grows.
        let filled = (0..200).map(|n| look(n, if n < 20 { 50.0 + n as f64 } else { 70.0 + noise(n) })).collect();
        let mut report = Report { seconds: 200.0, looks: filled, ..Report::default() };
        judge(&mut report, 0.05);
        assert!(report.verdicts[0].kept, "{:?}", report.verdicts);
        let leaking = (0..200).map(|n| look(n, 50.0 + n as f64)).collect();
        let mut report = Report { seconds: 200.0, looks: leaking, ..Report::default() };
        judge(&mut report, 0.05);
        assert!(!report.verdicts[0].kept, "{:?}", report.verdicts);
    }
}

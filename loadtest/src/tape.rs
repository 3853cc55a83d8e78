//! What was measured, second by second and as a whole. Latency counts from the intended start.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// One second of arrivals.
#[derive(Default)]
pub struct Second {
    latency: Option<Histogram<u64>>,
    /// Answered with success.
    pub good: u64,
    /// Answered otherwise, or not at all.
    pub bad: u64,
}

impl Second {
    /// Milliseconds at a quantile; `None` for a second without answers.
    pub fn at(&self, quantile: f64) -> Option<f64> {
        self.latency.as_ref().filter(|l| !l.is_empty()).map(|l| l.value_at_quantile(quantile) as f64 / 1000.0)
    }
}

struct Inner {
    seconds: Vec<Second>,
    whole: Histogram<u64>,
    late_release: Histogram<u64>,
}

/// A recorder that many tasks write to.
pub struct Tape {
    start: Instant,
    inner: Mutex<Inner>,
}

/// Three digits, so that a percentile is right to a thousandth.
fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are within its limits")
}

impl Tape {
    /// An empty one that begins now.
    pub fn new(start: Instant) -> Self {
        Self { start, inner: Mutex::new(Inner { seconds: Vec::new(), whole: histogram(), late_release: histogram() }) }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Something that was to begin at `intended` ended after `took`.
    pub fn record(&self, intended: Instant, took: Duration, good: bool) {
        let second = intended.saturating_duration_since(self.start).as_secs() as usize;
        let micros = took.as_micros().min(u128::from(u64::MAX)) as u64;
        let mut inner = self.inner();
        if inner.seconds.len() <= second {
            inner.seconds.resize_with(second + 1, Second::default);
        }
        let slot = &mut inner.seconds[second];
        let _ = slot.latency.get_or_insert_with(|| Histogram::new(2).expect("two digits are within its limits")).record(micros);
        *(if good { &mut slot.good } else { &mut slot.bad }) += 1;
        let _ = inner.whole.record(micros);
    }

    /// The generator itself let an arrival go this late: what that adds is ours and not the gateway's.
    pub fn released(&self, late: Duration) {
        let _ = self.inner().late_release.record(late.as_micros().min(u128::from(u64::MAX)) as u64);
    }

    /// Milliseconds at a quantile of the whole.
    pub fn at(&self, quantile: f64) -> f64 {
        self.inner().whole.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// Milliseconds the generator itself was late, at a quantile.
    pub fn released_at(&self, quantile: f64) -> f64 {
        self.inner().late_release.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The longest, milliseconds.
    pub fn longest(&self) -> f64 {
        self.inner().whole.max() as f64 / 1000.0
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.inner().whole.len()
    }

    /// The percentile curve: (percentile, milliseconds), denser towards its end, as far as single values tell of it.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let inner = self.inner();
        let last = 1.0 - 1.0 / inner.whole.len().max(2) as f64;
        let steps = inner.whole.iter_quantiles(5).filter(|step| step.quantile_iterated_to() <= last);
        steps.map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to() as f64 / 1000.0)).collect()
    }

    /// Looks at every second.
    pub fn seconds<T>(&self, each: impl FnMut(&Second) -> T) -> Vec<T> {
        self.inner().seconds.iter().map(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_charged_to_everything_that_was_to_begin_in_it() {
        let start = Instant::now();
        let tape = Tape::new(start);
        // A hundred a second; from 1.0 s on nothing is answered until 3.0 s.
        for n in 0..400_u64 {
            let intended = Duration::from_millis(n * 10);
            let end = if (1000..3000).contains(&(n * 10)) { Duration::from_secs(3) } else { intended + Duration::from_millis(1) };
            tape.record(start + intended, end - intended, true);
        }
        assert_eq!(tape.count(), 400);
        assert!((tape.longest() - 2000.0).abs() < 2.5, "{}", tape.longest());
        // Half of the arrivals fell into the stall and waited a second on average: that is what the percentiles must say.
        assert!(tape.at(0.75) > 900.0, "{}", tape.at(0.75));
        let seconds = tape.seconds(|s| (s.good, s.at(0.5).unwrap_or_default()));
        assert_eq!(seconds.len(), 4);
        assert!(seconds[0].1 < 2.0 && seconds[1].1 > 1000.0 && seconds[3].1 < 2.0, "{seconds:?}");
        assert!(tape.curve().windows(2).all(|w| w[0].1 <= w[1].1));
    }
}

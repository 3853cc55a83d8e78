//! Metrics, logs, traces. Every metric is named once, in `names`; the raw macros stand nowhere else.

pub mod logs;
pub mod names;
pub mod openmetrics;
pub mod trace;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use names::{METRICS, Metric};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, once per process.
pub fn install() {
    HANDLE.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS.iter().filter(|m| !m.buckets.is_empty()) {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), metric.buckets).expect("buckets are not empty");
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // A second recorder in one process is a test's; the first stays.
        let _ = metrics::set_global_recorder(recorder);
        for metric in METRICS {
            match metric.kind {
                names::Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
                names::Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                names::Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
            }
        }
        handle
    });
}

/// Puts the samples of histograms into their buckets, every five seconds: until then each takes 16 bytes, and where nobody
/// asks for `/metrics` they would gather for ever.
pub async fn upkeep() {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Some(handle) = HANDLE.get() {
            handle.run_upkeep();
        }
    }
}

/// What `/metrics` answers, as Prometheus reads it.
pub fn exposition() -> String {
    HANDLE
        .get()
        .map(|h| {
            h.run_upkeep();
            h.render()
        })
        .unwrap_or_default()
}

fn labels(metric: &Metric, values: &[&str]) -> Vec<Label> {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    metric.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

/// A counter's handle. Register it once and keep it: the look-up costs more than the count.
pub fn counter(metric: &'static Metric, values: &[&str]) -> Counter {
    metrics::counter!(metric.name, labels(metric, values))
}

/// A gauge's handle.
pub fn gauge(metric: &'static Metric, values: &[&str]) -> Gauge {
    metrics::gauge!(metric.name, labels(metric, values))
}

/// A histogram's handle.
pub fn histogram(metric: &'static Metric, values: &[&str]) -> Histogram {
    metrics::histogram!(metric.name, labels(metric, values))
}

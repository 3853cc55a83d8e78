//! `/metrics` as OpenMetrics 1.0 text. What differs from the Prometheus text that is asked for here: a counter's family has the name
//! without `_total`, bounds of buckets are written as floats, quotes in help are escaped, and the end is said.

use http::HeaderMap;
use http::header::ACCEPT;

/// Its content type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What a counter's samples end in, and its family does not.
const TOTAL: &str = "_total";

/// Whether who asks would rather have it than the Prometheus text.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = || headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    let weight = |wanted: &str| {
        let of = accepted().filter_map(|range| {
            let mut words = range.split(';').map(str::trim);
            words.next().filter(|kind| kind.eq_ignore_ascii_case(wanted))?;
            let q = words.find_map(|word| word.strip_prefix("q=").or(word.strip_prefix("Q=")));
            q.map_or(Some(1.0), |q| q.parse().ok())
        });
        of.fold(0.0, f64::max)
    };
    let ours = weight("application/openmetrics-text");
    ours > 0.0 && ours >= weight("text/plain")
}

/// The Prometheus text of the exporter, written anew.
pub fn text(prometheus: &str) -> String {
    let mut out = String::with_capacity(prometheus.len() + 16);
    for line in prometheus.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')) {
            Some((word, rest)) => {
                let (name, said) = rest.split_once(' ').unwrap_or((rest, ""));
                let name = name.strip_suffix(TOTAL).unwrap_or(name);
                let said = if word == "HELP" { said.replace('"', "\\\"") } else { said.to_owned() };
                out.extend(["# ", word, " ", name, " ", said.as_str()]);
            }
            None => sample(&mut out, line),
        }
        out.push('\n');
    }
    out.push_str("# EOF\n");
    out
}

fn sample(out: &mut String, line: &str) {
    // The exporter writes the bound last, as `le="5"` where it is a whole number.
    match line.rsplit_once("le=\"").and_then(|(before, bound)| Some((before, bound.split_once('"')?))) {
        Some((before, (bound, rest))) if bound.bytes().all(|b| b.is_ascii_digit()) => out.extend([before, "le=\"", bound, ".0\"", rest]),
        _ => out.push_str(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_as_openmetrics_has_it() {
        let prometheus = "# HELP fairway_events_total Events made \"durable\".\n# TYPE fairway_events_total counter\n\
            fairway_events_total{channel=\"acme\",type=\"x=\\\"le\"} 3\n\n\
            # HELP fairway_connections Open connections.\n# TYPE fairway_connections gauge\nfairway_connections 2.5\n\n\
            # TYPE fairway_wait_seconds histogram\nfairway_wait_seconds_bucket{le=\"0.5\"} 1\n\
            fairway_wait_seconds_bucket{channel=\"acme\",le=\"5\"} 1\nfairway_wait_seconds_bucket{le=\"+Inf\"} 2\n\
            fairway_wait_seconds_sum 7\nfairway_wait_seconds_count 2\n\n";
        let expected = "# HELP fairway_events Events made \\\"durable\\\".\n# TYPE fairway_events counter\n\
            fairway_events_total{channel=\"acme\",type=\"x=\\\"le\"} 3\n\
            # HELP fairway_connections Open connections.\n# TYPE fairway_connections gauge\nfairway_connections 2.5\n\
            # TYPE fairway_wait_seconds histogram\nfairway_wait_seconds_bucket{le=\"0.5\"} 1\n\
            fairway_wait_seconds_bucket{channel=\"acme\",le=\"5.0\"} 1\nfairway_wait_seconds_bucket{le=\"+Inf\"} 2\n\
            fairway_wait_seconds_sum 7\nfairway_wait_seconds_count 2\n# EOF\n";
        assert_eq!(text(prometheus), expected);
        assert_eq!(text(""), "# EOF\n");
    }

    #[test]
    fn a_counter_has_a_name_that_both_texts_can_say() {
        use crate::telemetry::names::{Kind, METRICS};
        for metric in METRICS {
            assert_eq!(metric.name.ends_with(TOTAL), metric.kind == Kind::Counter, "{}", metric.name);
        }
    }

    #[test]
    fn who_does_not_ask_for_it_gets_the_other() {
        let wanted = |accept: &str| is_wanted(&HeaderMap::from_iter([(ACCEPT, accept.parse().expect("a header"))]));
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [prometheus, "application/openmetrics-text", "text/plain, Application/OpenMetrics-Text; version=1.0.0"] {
            assert!(wanted(accept), "{accept}");
        }
        for accept in
            ["*/*", "text/plain", "text/plain, application/openmetrics-text;q=0.1", "application/openmetrics-text;q=0", "text/html"]
        {
            assert!(!wanted(accept), "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}

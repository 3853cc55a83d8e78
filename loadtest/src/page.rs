//! A result as one page that needs nothing else: no script, no font, no picture from anywhere.

use std::fmt::Write as _;

use crate::plot::{Along, Chart, Line, escape};
use crate::result::{Capacity, Latency, Report};
use crate::watch::Look;

const STYLE: &str = include_str!("page.css");

/// Writes the page.
pub fn page(report: &Report) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{0}: load test</title><style>{STYLE}</style></head><body><main><h1>{0}</h1><p>{1}</p>",
        escape(&report.scenario.replace('_', " ")),
        escape(&report.question)
    );
    verdicts(&mut html, report);
    if let Some(capacity) = &report.capacity {
        limit(&mut html, capacity);
    }
    books(&mut html, report);
    latencies(&mut html, report);
    charts(&mut html, report);
    faults(&mut html, report);
    about(&mut html, report);
    html.push_str("</main></body></html>\n");
    html
}

fn section(html: &mut String, title: &str) {
    let _ = write!(html, "<h2>{}</h2>", escape(title));
}

/// A table; numbers stand to the right. One with many columns becomes a list of cards on a narrow screen.
fn table(html: &mut String, caption: &[&str], rows: &[Vec<String>]) {
    let number = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit()) && cell.len() < 14;
    let class = if caption.len() > 3 { " class=\"stack\"" } else { "" };
    let _ = write!(html, "<table{class}><thead><tr>");
    for (at, name) in caption.iter().enumerate() {
        let right = at > 0 && rows.first().and_then(|r| r.get(at)).is_some_and(|cell| number(cell));
        let _ = write!(html, "<th scope=\"col\"{}>{}</th>", if right { " class=\"n\"" } else { "" }, escape(name));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let of = escape(caption.get(at).copied().unwrap_or_default());
            let _ = match at {
                0 => write!(html, "<th scope=\"row\">{}</th>", escape(cell)),
                _ => write!(html, "<td data-of=\"{of}\"{}>{}</td>", if number(cell) { " class=\"n\"" } else { "" }, escape(cell)),
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table>");
}

fn verdicts(html: &mut String, report: &Report) {
    section(html, "What was promised");
    if report.stopped_early {
        html.push_str("<p>Stopped before its time: the books hold for what was done until then.</p>");
    }
    html.push_str(
        "<table><thead><tr><th scope=\"col\">Promise</th><th scope=\"col\">Found</th><th scope=\"col\">Verdict</th></tr></thead><tbody>",
    );
    for verdict in &report.verdicts {
        let (class, word) = if verdict.kept { ("kept", "kept") } else { ("broken", "broken") };
        let (promise, found) = (escape(&verdict.promise), escape(&verdict.found));
        let _ = write!(html, "<tr><th scope=\"row\">{promise}</th><td>{found}</td><td class=\"{class}\">{word}</td></tr>");
    }
    html.push_str("</tbody></table>");
}

fn limit(html: &mut String, capacity: &Capacity) {
    section(html, "The limit");
    let _ = write!(
        html,
        "<p>{} {:.0} a second held in {} of {} repeats. Limited by {}.</p><ul>",
        escape(&capacity.of),
        capacity.rate,
        capacity.repeats.0,
        capacity.repeats.1,
        escape(&capacity.limited_by)
    );
    for reason in &capacity.evidence {
        let _ = write!(html, "<li>{}</li>", escape(reason));
    }
    html.push_str("</ul>");
    let rows: Vec<Vec<String>> = capacity
        .steps
        .iter()
        .map(|s| {
            let verdict = if s.held { "held".to_owned() } else { s.why.clone() };
            vec![
                format!("{:.0}", s.rate),
                format!("{:.1}", s.p99_ms),
                format!("{:.2}", s.gateway_cpu),
                format!("{:.2}", s.own_cpu),
                verdict,
            ]
        })
        .collect();
    table(html, &["Rate, 1/s", "p99, ms", "Gateway, cores", "Generator, cores", "Verdict"], &rows);
}

fn books(html: &mut String, report: &Report) {
    section(html, "The books");
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: &str, value: u64| rows.push(vec![what.to_owned(), value.to_string()]);
    if let Some(b) = &report.inbound {
        for (what, value) in [
            ("Deliveries made", b.deliveries),
            ("of them texts", b.texts),
            ("of them pictures", b.media),
            ("of them receipts of others", b.receipts),
            ("of them repeats", b.duplicates),
            ("of them forged", b.forged),
            ("Acknowledged", b.acknowledged),
            ("Not acknowledged: the provider would come again", b.unacknowledged),
            ("Acknowledged later than the provider waits", b.late),
            ("Messages that must be in the log", b.expected),
            ("of them in the log", b.in_log),
            ("Lost", b.lost),
            ("Doubled", b.doubled),
            ("Repeated under the same id", b.repeated),
            ("Out of order", b.out_of_order),
            ("Forgeries refused", b.refused_rightly),
            ("Forgeries taken", b.forgeries_taken),
        ] {
            row(what, value);
        }
    }
    if report.receipts != (0, 0) {
        row("Receipts of the twins taken", report.receipts.0);
        row("Receipts of the twins never taken", report.receipts.1);
    }
    if !rows.is_empty() {
        table(html, &["In", "Count"], &rows);
    }
    for b in &report.outbound {
        let counts = [
            ("Asked for", b.asked),
            ("Accepted", b.accepted),
            ("Refused", b.refused),
            ("Without an answer", b.unclear),
            ("At the provider", b.reached),
            ("Lost", b.lost),
            ("Twice, and nobody said so", b.twice_silent),
            ("Twice, listed as in doubt", b.twice_listed),
            ("Out of order", b.out_of_order),
            ("Ever in doubt", b.in_doubt),
            ("Still in doubt", b.in_doubt_still),
            ("Failed, expired, cancelled or suppressed", b.ended_otherwise),
            ("Late", b.late),
            ("At the provider, not yet told as sent", b.untold),
        ];
        let rows: Vec<Vec<String>> = counts.iter().map(|(what, n)| vec![(*what).to_owned(), n.to_string()]).collect();
        table(html, &[&format!("Out: {}", b.name), "Count"], &rows);
        let _ = write!(html, "<p>The balance: {}.</p>", escape(&b.sheet()));
    }
    let rows: Vec<Vec<String>> = report
        .limits
        .iter()
        .map(|l| {
            vec![
                l.channel.clone(),
                l.limit.to_string(),
                l.fullest_second.to_string(),
                format!("{:.1}", l.used * 100.0),
                l.throttled.to_string(),
                format!("{:.1}", l.longest_gap),
            ]
        })
        .collect();
    if !rows.is_empty() {
        table(html, &["Channel", "Limit, 1/s", "Fullest sliding second", "Used, %", "Refused as too many", "Longest pause, s"], &rows);
    }
}

fn latencies(html: &mut String, report: &Report) {
    section(html, "Latency, from the intended start");
    let rows: Vec<Vec<String>> = report
        .latencies
        .iter()
        .map(|l| {
            let ms = |v: f64| format!("{v:.1}");
            vec![
                l.name.clone(),
                l.count.to_string(),
                ms(l.p50_ms),
                ms(l.p99_ms),
                ms(l.p999_ms),
                ms(l.longest_ms),
                ms(l.released_late_p99_ms),
            ]
        })
        .collect();
    table(html, &["Of", "Count", "p50, ms", "p99, ms", "p99.9, ms", "Longest, ms", "Generator late, p99, ms"], &rows);
}

fn by_second(name: &str, values: &[Option<f64>]) -> Line {
    Line { name: name.to_owned(), points: values.iter().enumerate().map(|(at, v)| (at as f64, *v)).collect() }
}

fn looks(name: &str, looks: &[Look], value: impl Fn(&Look) -> Option<f64>) -> Line {
    Line { name: name.to_owned(), points: looks.iter().map(|l| (l.at, value(l))).collect() }
}

/// What grew between two looks, per second.
fn growth(name: &str, looks: &[Look], value: impl Fn(&Look) -> f64) -> Line {
    let points = looks.windows(2).map(|w| (w[1].at, Some((value(&w[1]) - value(&w[0])) / (w[1].at - w[0].at).max(0.001)))).collect();
    Line { name: name.to_owned(), points }
}

fn charts(html: &mut String, report: &Report) {
    section(html, "Over time");
    html.push_str("<div class=\"charts\">");
    let mut number = 0;
    let mut draw = |title: &str, x: &str, y: &str, along: Along, lines: Vec<Line>, limit: Option<(f64, String)>| {
        number += 1;
        let lines = lines.into_iter().filter(|l| l.points.iter().any(|p| p.1.is_some())).take(4).collect();
        html.push_str(&Chart { title, x, y, along, lines, limit }.draw(&format!("chart{number}")));
    };
    let seconds = "seconds since the beginning";
    // What arrived all at once has no course over time; its percentiles say all.
    for latency in report.latencies.iter().filter(|l| l.p50_by_second.iter().flatten().count() > 2) {
        let lines = vec![by_second("p50", &latency.p50_by_second), by_second("p99", &latency.p99_by_second)];
        draw(&format!("Latency: {}", latency.name), seconds, "milliseconds", Along::Even, lines, None);
    }
    let curve = |l: &Latency| Line { name: l.name.clone(), points: l.curve.iter().map(|(p, ms)| (*p, Some(*ms))).collect() };
    let curves = report.latencies.iter().filter(|l| l.count > 0).map(curve).collect();
    draw("Percentiles", "percentile", "milliseconds", Along::Percentiles, curves, None);
    let all = &report.looks;
    let limit = report.limits.iter().map(|l| f64::from(l.limit)).sum::<f64>();
    let limit = (limit > 0.0).then(|| (limit, "limit of the providers".to_owned()));
    let through = vec![growth("at the providers", all, |l| l.reached as f64), growth("released", all, |l| l.released as f64)];
    draw("Throughput", seconds, "per second", Along::Even, through, limit);
    let cpu = vec![
        looks("gateway", all, |l| l.gateway_cpu),
        looks("generator and twins", all, |l| Some(l.own_cpu)),
        looks("whole machine", all, |l| Some(l.machine_cpu)),
    ];
    draw(
        "CPU",
        seconds,
        "cores",
        Along::Even,
        cpu,
        (report.machine.cores > 0).then(|| (report.machine.cores as f64, "cores there are".into())),
    );
    draw("CPU per message", seconds, "microseconds", Along::Even, vec![per_message(all)], None);
    draw("Memory of the gateway", seconds, "MiB", Along::Even, vec![looks("resident", all, |l| l.memory_mib)], None);
    draw("Lag of views and lanes", seconds, "seconds", Along::Even, vec![looks("oldest waiting", all, |l| l.lag)], None);
    draw("Append until durable, mean", seconds, "milliseconds", Along::Even, vec![looks("append", all, |l| l.append_ms)], None);
    html.push_str("</div>");
}

/// The gateway's CPU per thing that came in or went out in the same second.
fn per_message(all: &[Look]) -> Line {
    let points = all
        .windows(2)
        .map(|w| {
            let done = (w[1].released - w[0].released.min(w[1].released)) + (w[1].reached - w[0].reached.min(w[1].reached));
            (w[1].at, w[1].gateway_cpu.filter(|_| done > 0).map(|cpu| cpu * (w[1].at - w[0].at) * 1e6 / done as f64))
        })
        .collect();
    Line { name: "released or sent".into(), points }
}

fn faults(html: &mut String, report: &Report) {
    if report.faults.is_empty() {
        return;
    }
    section(html, "What was done to it");
    let rows: Vec<Vec<String>> =
        report.faults.iter().map(|f| vec![format!("{:.1}", f.at), format!("{:.1}", f.lasted), f.what.clone()]).collect();
    table(html, &["At second", "Seconds", "What"], &rows);
}

fn about(html: &mut String, report: &Report) {
    section(html, "About this run");
    let machine = &report.machine;
    let mut facts = vec![
        ("Began".to_owned(), report.began.clone()),
        (
            "Machine".to_owned(),
            format!("{}, {} cores, {} GiB, Linux {}", machine.processor, machine.cores, machine.memory_gib, machine.kernel),
        ),
        ("One fsync of 1 KiB".to_owned(), format!("{:.2} ms, median of 21", machine.fsync_ms)),
    ];
    if let Some(cpu) = report.cpu_per_message_us {
        facts.push(("Gateway's CPU".to_owned(), format!("{cpu:.0} us per delivery, receipt and message")));
    }
    facts.extend(report.versions.clone());
    html.push_str("<dl>");
    for (name, value) in facts {
        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escape(&name), escape(&value));
    }
    let _ = write!(html, "<dt>Again</dt><dd><code>{}</code></dd></dl>", escape(&report.command));
    if !report.notes.is_empty() {
        html.push_str("<ul>");
        report.notes.iter().for_each(|note| {
            let _ = write!(html, "<li>{}</li>", escape(note));
        });
        html.push_str("</ul>");
    }
}

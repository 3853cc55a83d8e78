//! A result in a few lines, and in files.

use std::path::{Path, PathBuf};

use crate::result::Report;

/// Prints what a person wants to know first.
pub fn print(report: &Report) {
    println!("{} ({:.0} s of load{})", report.scenario, report.seconds, if report.stopped_early { ", stopped early" } else { "" });
    for latency in &report.latencies {
        println!(
            "  {:<28} {:>8}   p50 {:>8.2} ms   p99 {:>8.2} ms   p99.9 {:>8.2} ms   longest {:>8.2} ms",
            latency.name, latency.count, latency.p50_ms, latency.p99_ms, latency.p999_ms, latency.longest_ms
        );
    }
    if let Some(books) = &report.inbound {
        println!(
            "  in: {} deliveries ({} texts, {} pictures, {} receipts, {} repeats, {} forged), {} acknowledged, {} not; {} of {} in the log",
            books.deliveries,
            books.texts,
            books.media,
            books.receipts,
            books.duplicates,
            books.forged,
            books.acknowledged,
            books.unacknowledged,
            books.in_log,
            books.expected
        );
    }
    for books in &report.outbound {
        println!(
            "  out, {}: {} accepted of {}, {} at the provider, {} late, {} in doubt, {} ended otherwise",
            books.name, books.accepted, books.asked, books.reached, books.late, books.in_doubt, books.ended_otherwise
        );
    }
    for (books, late) in report.outbound.iter().flat_map(|b| b.behind.iter().map(move |late| (b, late))) {
        println!("  out, {}: {late}", books.name);
    }
    for limit in &report.limits {
        println!(
            "  limit, {}: {}/s, {} in the fullest second, {:.1} % used, longest pause {:.1} s",
            limit.channel,
            limit.limit,
            limit.fullest_second,
            limit.used * 100.0,
            limit.longest_gap
        );
    }
    if let (Some(cpu), Some(memory)) = (report.cpu_per_message_us, report.most_memory()) {
        println!("  gateway: {cpu:.0} us CPU per message, {memory:.0} MiB at most");
    }
    if let Some(capacity) = &report.capacity {
        let (held, of) = capacity.repeats;
        println!("  limit: {} {:.0}/s, held {held} times of {of}; limited by {}", capacity.of, capacity.rate, capacity.limited_by);
        capacity.evidence.iter().for_each(|reason| println!("    {reason}"));
    }
    for fault in &report.faults {
        println!("  at {:.1} s for {:.1} s: {}", fault.at, fault.lasted, fault.what);
    }
    for note in &report.notes {
        println!("  note: {note}");
    }
    for verdict in &report.verdicts {
        println!("  {} {}: {}", if verdict.kept { "kept  " } else { "BROKEN" }, verdict.promise, verdict.found);
    }
}

/// Writes the files of a result; where they are.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(report: &Report, folder: &Path) -> Result<PathBuf, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}; choose another folder with `--out`", folder.display());
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let time: String = report.began.chars().filter(char::is_ascii_digit).take(14).collect();
    let stem = folder.join(format!("{}-{time}", report.scenario));
    let json = stem.with_extension("json");
    std::fs::write(&json, serde_json::to_string_pretty(report).map_err(|e| e.to_string())?).map_err(wrong)?;
    let html = stem.with_extension("html");
    std::fs::write(&html, crate::page::page(report)).map_err(wrong)?;
    println!("  {}\n  {}", json.display(), html.display());
    Ok(json)
}

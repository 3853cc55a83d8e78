//! Everything criterion has measured, as one table: each function beside its floors, with ratios.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Reads a benchmark's group, function and median in nanoseconds out of its newest folder.
fn one(folder: &Path) -> Option<(String, String, f64)> {
    let read = |name: &str| -> Option<Value> { serde_json::from_slice(&std::fs::read(folder.join(name)).ok()?).ok() };
    let (what, figures) = (read("benchmark.json")?, read("estimates.json")?);
    let group = what["group_id"].as_str()?.to_owned();
    Some((group, what["function_id"].as_str().unwrap_or_default().to_owned(), figures["median"]["point_estimate"].as_f64()?))
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
        if entry.file_name() == "new" { found.push(entry.path()) } else { find(&entry.path(), found) }
    }
}

/// Prints it. A group's rows are divided by the sum of its floors; a row without one stands alone.
#[allow(clippy::print_stdout, reason = "a benchmark")]
pub fn print() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let mut folders = Vec::new();
    find(&target.join("criterion"), &mut folders);
    let mut groups: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for (group, function, nanos) in folders.iter().filter_map(|folder| one(folder)) {
        groups.entry(group).or_default().push((function, nanos));
    }
    println!("\n{:<46} {:<34} {:>12} {:>9}", "", "", "median, ns", "x floor");
    for (group, mut rows) in groups {
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let floor: f64 = rows.iter().filter(|(name, _)| name.starts_with("floor")).map(|(_, nanos)| nanos).sum();
        for (name, nanos) in rows {
            let ratio = if floor > 0.0 && !name.starts_with("floor") { format!("{:.2}", nanos / floor) } else { String::new() };
            println!("{group:<46} {name:<34} {nanos:>12.0} {ratio:>9}");
        }
    }
}

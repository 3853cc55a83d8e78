//! The tool as an operator runs it: a tiny scenario from its file to its JSON and its page, and the same with a faulty twin.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_fairway-loadtest");

/// The gateway stands beside the tool; built when it is not there yet.
fn with_gateway() {
    if !Path::new(TOOL).with_file_name("fairway").exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "fairway", "--bin", "fairway"]).status();
        assert!(built.is_ok_and(|s| s.success()), "the gateway builds");
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fairway-loadtest-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(TOOL).args(arguments).current_dir(&self.0).output().expect("the tool runs")
    }

    fn newest(&self, extension: &str) -> String {
        let files = std::fs::read_dir(self.0.join("out")).expect("results");
        let mut found: Vec<PathBuf> =
            files.filter_map(|f| Some(f.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
        found.sort();
        std::fs::read_to_string(found.last().expect("a result")).expect("text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const TINY: &str = r#"
seconds = 3
settle_seconds = 60
seed = 7

[[provider]]
name = "telegram"
receipts = true

[[provider]]
name = "whatsapp"
limit = 40
receipts = true

[inbound]
arrival = { shape = "poisson", rate = 60 }
people = 5
mix = { texts = 10, media = 2, receipts = 6, duplicates = 4, bad_signatures = 2 }
reach = 20

[[outbound]]
by = "api"
lane = "urgent"
arrival = { shape = "constant", rate = 10 }

[[outbound]]
by = "batch"
messages = 60
people = 7

[[outbound]]
by = "campaign"
lane = "bulk"
messages = 20
people = 20
"#;

#[test]
fn a_tiny_scenario_balances_and_a_twin_that_loses_messages_is_found_out() {
    with_gateway();
    let folder = Folder::new("tiny");
    std::fs::write(folder.0.join("tiny.toml"), format!("# Does it work?\n{TINY}")).expect("a file");
    let output = folder.run(&["run", "tiny.toml", "--out", "out"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let report: Value = serde_json::from_str(&folder.newest("json")).expect("JSON");
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a count in {report}"));
    let books = &report["inbound"];
    for kind in ["texts", "media", "receipts", "duplicates", "forged"] {
        assert!(count(&books[kind]) > 0, "{kind}: {books}");
    }
    assert_eq!(books["in_log"], books["expected"]);
    assert_eq!(books["refused_rightly"], books["forged"]);
    let accepted: Vec<u64> = report["outbound"].as_array().expect("streams").iter().map(|s| count(&s["accepted"])).collect();
    assert_eq!(accepted, [30, 60, 20]);
    for stream in report["outbound"].as_array().expect("streams") {
        assert_eq!(stream["reached"], stream["accepted"], "{stream}");
        assert_eq!(stream["untold"], 0, "{stream}");
    }
    let limit = &report["limits"][0];
    assert!(count(&limit["fullest_second"]) <= 40 && count(&limit["fullest_second"]) > 0, "{limit}");
    assert!(count(&report["receipts"][0]) > 0, "receipts of what went out came in");
    assert!(count(&report["latencies"][0]["count"]) > 100);

    let page = folder.newest("html");
    for part in [
        "<html lang=\"en\">",
        "Does it work?",
        "<svg",
        "limit of the providers",
        "per second</text>",
        "milliseconds</text>",
        "prefers-color-scheme",
    ] {
        assert!(page.contains(part), "the page has no {part}");
    }
    for foreign in ["<script", "http://", "https://", "url("] {
        assert!(!page.contains(foreign), "the page needs {foreign}");
    }

    // The same, but one twin forgets every tenth message: the gateway says sent, and it never arrived.
    let faulty = TINY.replace("limit = 40", "limit = 40\nforget_every = 10");
    std::fs::write(folder.0.join("tiny.toml"), format!("# Does it count?\n{faulty}")).expect("a file");
    let output = folder.run(&["run", "tiny.toml", "--out", "out"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report: Value = serde_json::from_str(&folder.newest("json")).expect("JSON");
    let lost: u64 = report["outbound"].as_array().expect("streams").iter().map(|s| s["lost"].as_u64().unwrap_or(0)).sum();
    assert!((3..=8).contains(&lost), "about a tenth of half of 110 is lost: {lost}\n{said}");
    assert!(said.contains("BROKEN"), "{said}");
}

#[test]
fn load_goes_nowhere_that_was_not_named() {
    let folder = Folder::new("refused");
    let output = folder.run(&["run", "quiet_day", "--target", "http://gateway.example.org", "--out", "out"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--allow-host gateway.example.org"), "{said}");
    let output =
        folder.run(&["run", "quiet_day", "--target", "http://api.telegram.org", "--allow-host", "api.telegram.org", "--out", "out"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--allow-provider-host"), "{said}");
}

//! The house: arrows point down, no provider's name in the engine, generated files up to date.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Rooms by row; a room may use rooms of lower rows only. Words everybody may use have no row.
const ROWS: &[&[&str]] = &[
    &["telemetry", "config"],
    &["log", "store"],
    &["people"],
    &["consent", "media", "channels", "transport"],
    &["ingress", "outbound", "proactive", "delivery", "webchat", "api", "console", "sandbox"],
    &["app"],
    &["cli"],
];

/// Arrows that point sideways or up, each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("config", "log", "the log's part of the configuration is checked in the log's own room"),
    ("api", "outbound", "the API is the way into accept, and asks owners how channels stand"),
    ("media", "channels", "the adapter says how a handle is fetched"),
    ("media", "transport", "what is fetched comes by the one HTTP client"),
    ("consent", "channels", "the channel says what its marketing needs and what a STOP is answered"),
    ("api", "proactive", "the API is the way into campaigns and what they need"),
    ("proactive", "outbound", "all of it only produces messages for outbound, and answers its gate"),
    ("api", "delivery", "the API serves the feed"),
];

#[test]
fn arrows_point_down() {
    let row = |room: &str| ROWS.iter().position(|r| r.contains(&room));
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).expect("inside").to_string_lossy().into_owned();
        let room = inside.split(['/', '.']).next().unwrap_or_default().to_owned();
        let Some(from) = row(&room) else { continue };
        let text = fs::read_to_string(&path).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().map(str::trim).filter(|l| !l.starts_with("//")) {
            for piece in line.split("crate::").skip(1) {
                let target: String = piece.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let Some(to) = row(&target).filter(|_| target != room) else { continue };
                let excused = EXCEPTIONS.iter().any(|(f, t, _)| *f == room && *t == target);
                if to >= from && !excused {
                    wrong.push(format!("{inside}: {room} uses {target}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_right_rooms_know_client_server_and_broker() {
    let allowed: BTreeMap<&str, &[&str]> =
        BTreeMap::from([("rdkafka", &["log/kafka"][..]), ("hyper_rustls", &["transport/"][..]), ("client::legacy", &["transport/"][..])]);
    for path in sources(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).expect("inside").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("readable");
        for (word, places) in &allowed {
            let uses = text.lines().any(|l| l.trim_start().starts_with("use ") && l.contains(word));
            assert!(!uses || places.iter().any(|p| inside.starts_with(p)), "{inside} knows {word}");
        }
    }
}

#[test]
fn every_metric_is_recorded_somewhere() {
    let names = root().join("src/telemetry/names.rs");
    let list = fs::read_to_string(&names).expect("readable");
    let kinds = [" = Counter \"", " = Gauge \"", " = Histogram \""];
    let constants: Vec<&str> =
        list.lines().filter_map(|l| kinds.iter().find_map(|k| l.trim().split_once(k)).map(|(name, _)| name)).collect();
    assert!(constants.len() > 20, "{constants:?}");
    let code: String = sources(&root().join("src")).iter().filter(|p| **p != names).filter_map(|p| fs::read_to_string(p).ok()).collect();
    let silent: Vec<&&str> =
        constants.iter().filter(|name| !code.contains(&format!("names::{name}")) && !code.contains(&format!("&{name}"))).collect();
    assert!(silent.is_empty(), "listed, and never recorded: {silent:?}");
}

#[test]
fn the_engine_names_no_provider() {
    let names: Vec<&str> =
        fairway_adapters::PROVIDERS.iter().map(|p| p.facts.id).filter(|n| *n != "webchat" && *n != "email" && *n != "generic").collect();
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("readable");
        if path.ends_with("tests.rs") || path.ends_with("laws.rs") {
            continue; // Words of tests are nobody's name.
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for name in &names {
                // Some names are words of every day (line, slack, teams): what counts is the id as a text, or its module.
                let named = line.contains(&format!("\"{name}\"")) || line.contains(&format!("fairway_adapters::{name}"));
                assert!(!named, "{}:{} names {name}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn generated_files_are_up_to_date() {
    let folder = root().join("config/schema");
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).expect("plain data") + "\n";
    let mut expected: BTreeMap<PathBuf, String> =
        fairway::schemas::events().iter().map(|(file, value)| (folder.join("events").join(file), pretty(value))).collect();
    for name in ["config", "openapi", "asyncapi", "metrics", "problems"] {
        expected.insert(folder.join(format!("{name}.json")), pretty(&fairway::schemas::named(name).expect("it is one of ours")));
    }
    for (path, text) in expected {
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is out of date; run tests/schemas.sh", path.display());
    }
}

#[test]
fn the_readme_has_every_channel() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let table = fairway::schemas::channel_table();
    assert!(readme.contains(&table), "the README's channel table is out of date; it should be:\n{table}");
}

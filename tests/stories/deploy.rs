//! What is shipped for installing must be usable as it stands.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Sets every variable that a file names to something harmless.
fn check(file: &str) -> (bool, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).expect("readable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairway"));
    for line in text.lines().filter(|l| !l.trim_start().starts_with('#')) {
        for piece in line.split("${").skip(1) {
            let name = piece.split('}').next().unwrap_or_default();
            let value = match name {
                _ if name.contains(":-") => continue,
                "FAIRWAY_PUBLIC_URL" => "https://gw.example.org",
                "FAIRWAY_BROKERS" => "broker.example.org:9092",
                "TELEGRAM_BOT_TOKEN" => "1:fake",
                "TWILIO_ACCOUNT_SID" => "AC00000000000000000000000000000000",
                "TWILIO_FROM" => "+15005550006",
                _ => "fake",
            };
            command.env(name, value);
        }
    }
    let output = command.arg("check").arg("--config").arg(path).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_production_configuration_is_valid() {
    let (valid, output) = check("config/production.toml");
    assert!(valid, "{output}");
    assert!(!output.contains("warning"), "{output}");
}

#[test]
fn the_production_configuration_names_every_option() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/production.toml")).expect("readable");
    let schema = fairway::schemas::configuration();
    for (section, schema) in schema["properties"].as_object().expect("sections") {
        for key in schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(text.contains(&format!("{key} = ")), "{section}.{key} is not explained");
        }
    }
}

//! Reads recorded deliveries and prints what they mean, without proof and without a gateway:
//!
//! ```sh
//! cargo run -p fairway-adapters --example read -- whatsapp recorded/*.json
//! cargo run -p fairway-adapters --example read -- twilio -H 'content-type: application/x-www-form-urlencoded' sms.txt
//! ```
//!
//! A file is the body of one delivery, octet for octet. Each prints as one JSON object: its events as the fixtures write them,
//! what was not understood, and the answer the provider gets. The channel has the settings of the provider's twin; `-s NAME=JSON`
//! changes one, `-q` gives a query string.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]

use std::process::ExitCode;

use fairway_adapters::conformance::written;
use fairway_adapters::contract::{Context, Settings, Time, Verified, Webhook};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

const HOOK: &str = "https://gw.example.org/hooks/channel";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(said) => {
            eprintln!("{said}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let usage = "usage: read PROVIDER [-H 'NAME: VALUE'] [-q QUERY] [-s NAME=JSON] FILE...";
    let id = args.next().ok_or(usage)?;
    let provider = fairway_adapters::provider(&id).ok_or_else(|| format!("`{id}` is no provider"))?;
    let mut settings = (provider.twin)(1).settings();
    let (mut headers, mut query, mut files) = (HeaderMap::new(), String::new(), Vec::new());
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(usage);
        match &*arg {
            "-H" => {
                let (name, value) = value()?.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())).ok_or(usage)?;
                let name = HeaderName::try_from(name).map_err(|e| e.to_string())?;
                headers.insert(name, HeaderValue::try_from(value).map_err(|e| e.to_string())?);
            }
            "-q" => query = value()?,
            "-s" => {
                let setting = value()?;
                let (name, value) = setting.split_once('=').ok_or(usage)?;
                settings.insert(name.to_owned(), serde_json::from_str(value).map_err(|e| format!("{name}: {e}"))?);
            }
            _ => files.push(arg),
        }
    }
    let adapter = (provider.bind)(Settings(settings)).map_err(|e| e.to_string())?;
    let url = if query.is_empty() { HOOK.to_owned() } else { format!("{HOOK}?{query}") };
    let cx = Context { now: Time(1_795_169_730_000), public_url: "https://gw.example.org", hook_url: HOOK, login: None, keys: None };
    for file in files {
        let body = std::fs::read(&file).map_err(|e| format!("{file}: {e}"))?;
        let hook = Webhook { method: &Method::POST, url: &url, query: &query, headers: &headers, body: &body };
        let parsed = adapter.parse(&Verified::from_our_own_log(hook), &cx);
        let events: Vec<Value> = parsed.events.iter().map(written).collect();
        println!("{:#}", json!({ "file": file, "events": events, "unparsed": parsed.unparsed, "status": parsed.ack.status.as_u16() }));
    }
    Ok(())
}

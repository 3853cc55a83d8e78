//! The commands that go through the API.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use fairway_adapters::contract::Time;
use serde_json::{Value, json};

use super::Remote;
use super::client::Client;

type Work<'c> = Pin<Box<dyn Future<Output = Result<(), String>> + 'c>>;

/// Runs a command against a gateway.
pub fn run(remote: &Remote, act: impl for<'c> Fn(&'c Client) -> Work<'c>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let client = Client::new(remote);
    runtime.block_on(act(&client))
}

/// A name as a part of a path.
fn segment(name: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Asks for a channel that is not configured yet, where its provider needs one credential alone, and writes it down.
pub fn prepare_channel(name: &str, config: &Path) -> Result<(), String> {
    use std::io::{BufRead, IsTerminal};
    let existing = crate::config::Config::load(config).map_err(|e| e.to_string())?;
    if existing.channels.contains_key(name) || name.starts_with("demo-") || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let answer = |question: &str| -> Result<String, String> {
        put!("{question}: ");
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|e| e.to_string())?;
        Ok(line.trim().to_owned())
    };
    say!("There is no channel {name} in {} yet.", config.display());
    let known: Vec<&str> = fairway_adapters::PROVIDERS.iter().map(|p| p.facts.id).collect();
    let id = answer(&format!("Provider ({})", known.join(", ")))?;
    let provider = fairway_adapters::provider(&id).ok_or_else(|| format!("this build has no provider `{id}`"))?;
    let mut table = format!("\n[channels.{name}]\nprovider = \"{id}\"\n");
    let schema = (provider.schema)();
    for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let value = answer(key)?;
        table.push_str(&format!("{key} = {}\n", Value::String(value)));
    }
    let mut text =
        if config.exists() { std::fs::read_to_string(config).map_err(|e| e.to_string())? } else { crate::config::DEFAULT.to_owned() };
    text.push_str(&table);
    crate::config::Config::parse(&text, config, &|n| std::env::var(n).ok()).map_err(|e| e.to_string())?;
    std::fs::write(config, text).map_err(|e| format!("{}: {e}", config.display()))?;
    say!("Written to {}; a running gateway picks it up in two seconds.", config.display());
    std::thread::sleep(Duration::from_secs(4));
    Ok(())
}

impl Client {
    /// One screen.
    pub async fn status(&self) -> Result<(), String> {
        let status = self.ask("GET", "/v1/status", None).await?;
        say!("Fairway {}  {}", text(&status, "/version"), if status["ready"] == true { "ready" } else { "NOT READY" });
        say!("  log {}  {}", text(&status, "/log/kind"), text(&status, "/log/trouble"));
        if status["log"]["spooled"].as_u64().unwrap_or(0) > 0 {
            say!("  {} events wait in the spool for Kafka to come back", status["log"]["spooled"]);
        }
        let balance: Vec<String> = status["balance"].as_object().into_iter().flatten().map(|(k, v)| format!("{k} {v}")).collect();
        say!("  messages: {} accepted = {}", status["accepted"], balance.join(" + "));
        self.channels().await?;
        let doubt = status["balance"]["in_doubt"].as_u64().unwrap_or(0);
        if doubt > 0 {
            say!("  {doubt} in doubt: `fairway dead-letters list --in-doubt`");
        }
        if status["balance"]["failed"].as_u64().unwrap_or(0) > 0 {
            say!("  failed ones: `fairway dead-letters list`");
        }
        Ok(())
    }

    /// Channels, a line each.
    pub async fn channels(&self) -> Result<(), String> {
        let list = self.ask("GET", "/v1/channels", None).await?;
        for channel in list["data"].as_array().into_iter().flatten() {
            let name = text(channel, "/id");
            put!("  {name:<24} {:<10} {}", text(channel, "/provider"), text(channel, "/health"));
            let depth: u64 = channel["depth"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
            if depth > 0 {
                put!("  {depth} waiting");
            }
            if let Some(until) = channel["held_until"].as_str() {
                put!("  held until {until}");
            }
            say!("");
            if let Some(why) = channel["suspended"].as_str() {
                say!("    cannot send: {why}; mend it, then `fairway channel setup {name}` or reload");
            }
        }
        Ok(())
    }

    /// Registers a webhook.
    pub async fn setup(&self, name: String) -> Result<(), String> {
        let done = self.ask("POST", &format!("/v1/channels/{}/setup", segment(&name)), None).await?;
        say!("{}", text(&done, "/text"));
        Ok(())
    }

    /// Asks each provider whether the credentials work.
    pub async fn check_live(&self) -> Result<(), String> {
        let list = self.ask("GET", "/v1/channels", None).await?;
        let mut failed = 0;
        for channel in list["data"].as_array().into_iter().flatten() {
            let name = text(channel, "/id");
            let probe = self.ask("POST", &format!("/v1/channels/{name}/probe"), None).await?;
            let ok = probe["registered"] == true;
            failed += u32::from(!ok);
            say!("{} {name}: {}", if ok { "ok    " } else { "FAILED" }, text(&probe, "/text"));
        }
        if failed > 0 { Err(format!("{failed} channels do not work")) } else { Ok(()) }
    }

    /// Sends, waits, prints the timeline.
    pub async fn send(&self, to: String, channel: Option<String>, words: String) -> Result<(), String> {
        let mut body = json!({ "to": to, "parts": [{ "type": "text", "text": words }] });
        if let Some(channel) = channel {
            body["channel"] = channel.into();
        }
        self.send_and_watch(&body).await
    }

    /// Answers the last person who wrote.
    pub async fn reply(&self, words: String) -> Result<(), String> {
        let mut after = String::from("beginning");
        let mut conversation = None;
        loop {
            let page = self.ask("GET", &format!("/v1/events?type=fairway.message.received&limit=500&after={after}"), None).await?;
            for event in page["data"].as_array().into_iter().flatten() {
                conversation = event["subject"].as_str().map(str::to_owned).or(conversation);
            }
            after = text(&page, "/next").to_owned();
            if page["has_more"] != true {
                break;
            }
        }
        let conversation = conversation.ok_or("nobody has written yet")?;
        say!("to {conversation}");
        self.send_and_watch(&json!({ "conversation": conversation, "category": "service", "parts": [{ "type": "text", "text": words }] }))
            .await
    }

    async fn send_and_watch(&self, body: &Value) -> Result<(), String> {
        let accepted = self.ask("POST", "/v1/messages", Some(body)).await?;
        let id = text(&accepted, "/id").to_owned();
        say!("{id}");
        let (mut printed, started, mut settled) = (0, Instant::now(), None::<Instant>);
        loop {
            let message = self.ask("GET", &format!("/v1/messages/{id}"), None).await?;
            let lines = message["timeline"].as_array().cloned().unwrap_or_default();
            for line in lines.iter().skip(printed) {
                say!("  {}  {}", text(line, "/at"), text(line, "/text"));
            }
            printed = lines.len().max(printed);
            match text(&message, "/state") {
                "read" => return Ok(()),
                "failed" | "expired" | "cancelled" | "suppressed" => return Err(format!("the message is {}", text(&message, "/state"))),
                "sent" | "delivered" => {
                    settled.get_or_insert_with(Instant::now);
                }
                _ => {}
            }
            // Receipts may follow; a person may take hours to read.
            if settled.is_some_and(|at| at.elapsed() > Duration::from_secs(3)) || started.elapsed() > Duration::from_secs(30) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    /// Prints events as they arrive.
    pub async fn tail(&self, kind: Option<String>, channel: Option<String>, as_json: bool, all: bool) -> Result<(), String> {
        let mut after = String::from(if all { "beginning" } else { "now" });
        loop {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("after", &after).append_pair("wait", "25").append_pair("limit", "500");
            if let Some(kind) = &kind {
                query.append_pair("type", kind);
            }
            if let Some(channel) = &channel {
                query.append_pair("channel", channel);
            }
            let page = self.ask("GET", &format!("/v1/events?{}", query.finish()), None).await?;
            for event in page["data"].as_array().into_iter().flatten() {
                if as_json {
                    say!("{event}");
                } else {
                    say!("{}", pretty(event));
                }
            }
            after = text(&page, "/next").to_owned();
        }
    }

    /// Parses kept webhooks again.
    pub async fn replay(&self, from: Time, to: Time, channel: Option<String>, write: bool) -> Result<(), String> {
        let mut body = json!({ "from": from, "to": to, "write": write });
        if let Some(channel) = channel {
            body["channel"] = channel.into();
        }
        let found = self.ask("POST", "/v1/replay", Some(&body)).await?;
        say!(
            "{} webhooks hold {} events: {} known, {} of them read differently now, {} new{}; {} webhooks are still not wholly understood",
            found["webhooks"],
            found["events"],
            found["known"],
            found["corrected"],
            found["fresh"],
            if write { ", all of it appended" } else { " (--write appends what is new or different)" },
            found["still_unparsed"]
        );
        Ok(())
    }

    /// Lists dead letters.
    pub async fn letters(&self, in_doubt: bool) -> Result<(), String> {
        let list = self.ask("GET", &format!("/v1/dead-letters?in_doubt={in_doubt}&limit=500"), None).await?;
        for letter in list["data"].as_array().into_iter().flatten() {
            say!(
                "{}  {:<9} {:<20} {}",
                text(letter, "/id"),
                text(letter, "/state"),
                text(letter, "/channel"),
                text(letter, "/error/title")
            );
        }
        Ok(())
    }

    /// Shows a dead letter.
    pub async fn letter(&self, id: String) -> Result<(), String> {
        let letter = self.ask("GET", &format!("/v1/dead-letters/{}", segment(&id)), None).await?;
        say!("{}", serde_json::to_string_pretty(&letter).map_err(|e| e.to_string())?);
        Ok(())
    }

    /// Retries or drops a dead letter.
    pub async fn letter_act(&self, method: &'static str, id: String, act: &'static str) -> Result<(), String> {
        self.ask(method, &format!("/v1/dead-letters/{}{act}", segment(&id)), None).await?;
        say!("done");
        Ok(())
    }

    /// Makes a key.
    pub async fn create_key(&self, name: String, scopes: Vec<String>, channels: Vec<String>) -> Result<(), String> {
        let made = self.ask("POST", "/v1/keys", Some(&json!({ "name": name, "scopes": scopes, "channels": channels }))).await?;
        say!("{}\n{}", text(&made, "/id"), text(&made, "/secret"));
        Ok(())
    }

    /// Lists keys.
    pub async fn keys(&self) -> Result<(), String> {
        let list = self.ask("GET", "/v1/keys", None).await?;
        for key in list["data"].as_array().into_iter().flatten() {
            let scopes: Vec<&str> = key["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            say!(
                "{}  {:<20} {}{}",
                text(key, "/id"),
                text(key, "/name"),
                scopes.join(" "),
                if key["revoked_at"].is_string() { "  revoked" } else { "" }
            );
        }
        Ok(())
    }

    /// Revokes a key.
    pub async fn revoke_key(&self, id: String) -> Result<(), String> {
        self.ask("DELETE", &format!("/v1/keys/{}", segment(&id)), None).await?;
        say!("revoked");
        Ok(())
    }
}

/// An event on one line.
fn pretty(event: &Value) -> String {
    let kind = text(event, "/type").trim_start_matches("fairway.");
    let detail = match kind {
        "message.received" | "message.created" | "message.edited" => {
            let parts = event.pointer("/data/message/parts").and_then(Value::as_array).cloned().unwrap_or_default();
            let words: Vec<String> = parts
                .iter()
                .map(|p| p["text"].as_str().or(p["title"].as_str()).map_or_else(|| format!("[{}]", text(p, "/type")), str::to_owned))
                .collect();
            words.join(" ")
        }
        "message.status" => format!("{} {}", text(event, "/data/message_id"), text(event, "/data/state")),
        _ => String::new(),
    };
    format!("{}  {kind:<20} {}  {detail}", text(event, "/time"), text(event, "/subject"))
}

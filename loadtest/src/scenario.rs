//! Scenario files: what comes in, what goes out, how the providers feel, and what is promised.

use std::path::{Path, PathBuf};

use fairway_adapters::conformance::stage::Mood;
use serde::{Deserialize, Serialize};

use crate::arrival::Arrival;
use crate::guard::LONGEST;
use crate::source::connects;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        /// The scenarios that come with the tool: name and text.
        pub const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*];
    };
}

built_in! {
    "quiet_day", "black_friday", "provider_outage", "webhook_storm", "hot_conversation", "one_time_codes_during_campaign",
    "ten_thousand_channels", "rough_sea", "several_nodes",
}

/// A scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called; the file's name.
    #[serde(skip)]
    pub name: String,
    /// What question it answers: the comment it begins with.
    #[serde(skip)]
    pub question: String,
    /// The folder that traces are looked for in.
    #[serde(skip)]
    pub beside: PathBuf,
    /// How long load arrives.
    pub seconds: f64,
    /// How long afterwards everything must have come to its end.
    #[serde(default = "minute")]
    pub settle_seconds: f64,
    /// What is random follows from it.
    #[serde(default)]
    pub seed: u64,
    /// Connections to the gateway.
    #[serde(default = "connections")]
    pub connections: usize,
    /// More for the gateway's configuration, when we start it.
    #[serde(default)]
    pub gateway: String,
    /// The providers, each with its channels.
    pub provider: Vec<Provider>,
    /// Webhooks in.
    pub inbound: Option<Inbound>,
    /// Messages out, each stream with its own way in.
    #[serde(default)]
    pub outbound: Vec<Outbound>,
    /// What is promised.
    #[serde(default)]
    pub objectives: Objectives,
}

fn minute() -> f64 {
    60.0
}

fn connections() -> usize {
    64
}

/// A provider, played by its twin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its id, or `all` for every provider that delivers anything.
    pub name: String,
    /// How many channels it has.
    #[serde(default = "one")]
    pub channels: usize,
    /// Messages a second that the twin takes per channel, and that the channel is configured with; else neither has a limit.
    pub limit: Option<u32>,
    /// Messages per person, count and seconds; else no limit.
    pub per_recipient: Option<(u32, u64)>,
    /// Calls in flight per channel.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// Milliseconds until the twin answers.
    #[serde(default = "latency")]
    pub latency_ms: u64,
    /// Whether the twin's receipts are delivered to the gateway.
    #[serde(default)]
    pub receipts: bool,
    /// Times when it feels otherwise.
    #[serde(default)]
    pub moods: Vec<Spell>,
    /// For testing the accounting itself: the twin forgets every n-th message it accepted.
    pub forget_every: Option<u64>,
}

fn one() -> usize {
    1
}

fn concurrency() -> u32 {
    64
}

fn latency() -> u64 {
    20
}

/// A mood for a while.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spell {
    /// Seconds after the beginning.
    pub at: f64,
    /// Seconds.
    pub lasting: f64,
    /// How it feels then; latency is the provider's when it says none.
    pub mood: Mood,
}

/// Webhooks in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// When they come.
    pub arrival: Arrival,
    /// How many people write, on every channel of their own.
    #[serde(default = "people")]
    pub people: u32,
    /// Share of them that the first person writes, 0 to 1; the others share the rest evenly.
    #[serde(default)]
    pub hot: f64,
    /// What they are, by weight.
    #[serde(default)]
    pub mix: Mix,
    /// Bytes of a text's words where no trace says otherwise.
    #[serde(default = "words")]
    pub bytes: usize,
    /// How far back a duplicate may reach, in deliveries.
    #[serde(default = "reach")]
    pub reach: usize,
}

fn people() -> u32 {
    500
}

fn words() -> usize {
    430
}

fn reach() -> usize {
    1000
}

/// Kinds of deliveries, by weight.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Words.
    pub texts: f64,
    /// Pictures.
    pub media: f64,
    /// Receipts for messages that others sent.
    pub receipts: f64,
    /// A delivery made before, once more.
    pub duplicates: f64,
    /// Unsigned, or signed with a byte changed.
    pub bad_signatures: f64,
}

impl Default for Mix {
    fn default() -> Self {
        // Receipts three to one, as channels have them that report `sent`, `delivered` and `read`.
        Self { texts: 22.0, media: 2.0, receipts: 72.0, duplicates: 3.0, bad_signatures: 1.0 }
    }
}

/// How a stream of messages comes to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// `POST /v1/messages`, one each.
    Api,
    /// `POST /v1/messages/batch`.
    Batch,
    /// The `send` topic; needs `--kafka`.
    Kafka,
    /// A campaign over an uploaded audience.
    Campaign,
}

/// The lane of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// One-time codes.
    Urgent,
    /// Answers.
    Normal,
    /// Campaigns.
    Bulk,
}

/// Messages out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// How they come in.
    pub by: By,
    /// Their lane.
    #[serde(default = "normal")]
    pub lane: Lane,
    /// When they come; a batch or a campaign may come whole instead.
    pub arrival: Option<Arrival>,
    /// How many come at once, `at` seconds after the beginning.
    #[serde(default)]
    pub messages: u64,
    /// See `messages`.
    #[serde(default)]
    pub at: f64,
    /// How many people they go to, in turn. A campaign goes to each once.
    #[serde(default = "many")]
    pub people: u32,
    /// Milliseconds within which each should reach the provider; what takes longer is counted as late.
    pub late_after_ms: Option<u64>,
}

fn normal() -> Lane {
    Lane::Normal
}

fn many() -> u32 {
    10_000
}

/// What is promised. What is absent is not asked.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objectives {
    /// Webhooks: the 99th percentile from the intended start, milliseconds.
    pub webhook_p99_ms: Option<f64>,
    /// Urgent messages: the 99th percentile from the intended start to the provider, milliseconds.
    pub urgent_p99_ms: Option<f64>,
    /// Share of the limit used while there was work, 0 to 1.
    pub limit_used: Option<f64>,
    /// The gateway's memory at most, MiB.
    pub memory_mib: Option<f64>,
}

impl Scenario {
    /// Reads a scenario: a file, or one that comes with the tool by its name.
    ///
    /// # Errors
    /// What is wrong with it, or which ones there are.
    pub fn load(name: &str) -> Result<Self, String> {
        let path = Path::new(name);
        if path.is_file() {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Self::parse(&stem, &text, path.parent().unwrap_or(Path::new(".")));
        }
        let wanted = name.replace('-', "_");
        let known = || BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let (name, text) = BUILT_IN
            .iter()
            .find(|(known, _)| *known == wanted)
            .ok_or_else(|| format!("there is no scenario file {name}, and none of that name comes with the tool: {}", known()))?;
        Self::parse(name, text, Path::new("."))
    }

    /// Reads a scenario's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str, text: &str, beside: &Path) -> Result<Self, String> {
        let mut scenario: Self = toml::from_str(text).map_err(|e| format!("{name}: {e}"))?;
        scenario.name = name.to_owned();
        scenario.beside = beside.to_owned();
        let comment = text.lines().take_while(|l| l.starts_with('#')).map(|l| l.trim_start_matches('#').trim());
        scenario.question = comment.collect::<Vec<_>>().join(" ");
        scenario.check().map_err(|e| format!("{name}: {e}"))?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), String> {
        if self.question.is_empty() {
            return Err("begin with a comment that says what question the scenario answers".into());
        }
        if !(0.1..=LONGEST as f64).contains(&self.seconds) || !(0.0..=LONGEST as f64).contains(&self.settle_seconds) {
            return Err(format!("`seconds` is 0.1 to {LONGEST}, `settle_seconds` 0 to {LONGEST}"));
        }
        for provider in &self.provider {
            match fairway_adapters::provider(&provider.name) {
                None if provider.name != "all" => return Err(format!("there is no provider `{}`", provider.name)),
                Some(known) if connects(known) => {
                    return Err(format!(
                        "`{}` speaks over connections of its own, which no load is made for yet; name another",
                        provider.name
                    ));
                }
                _ => {}
            }
            if !(1..=50_000).contains(&provider.channels) {
                return Err(format!("`{}`: `channels` is 1 to 50,000", provider.name));
            }
        }
        if self.provider.is_empty() || self.inbound.is_none() && self.outbound.is_empty() {
            return Err("a scenario has a [[provider]], and [inbound] or an [[outbound]]".into());
        }
        for (number, stream) in self.outbound.iter().enumerate() {
            let whole = stream.arrival.is_none();
            if whole == (stream.messages == 0) || whole && matches!(stream.by, By::Api | By::Kafka) || !whole && stream.by == By::Campaign {
                return Err(format!(
                    "outbound stream {number}: api and kafka take `arrival`, a campaign takes `messages`, a batch either, and none both"
                ));
            }
            if stream.people == 0 {
                return Err(format!("outbound stream {number}: `people` is at least 1"));
            }
        }
        if self.inbound.as_ref().is_some_and(|i| i.people == 0 || !(0.0..=1.0).contains(&i.hot)) {
            return Err("inbound: `people` is at least 1, `hot` is 0 to 1".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_read_and_asks_a_question() {
        for (name, _) in BUILT_IN {
            let scenario = Scenario::load(name).unwrap_or_else(|e| panic!("{e}"));
            assert!(scenario.question.contains('?'), "{name}: {}", scenario.question);
            assert!(scenario.seconds <= 120.0, "{name}: two minutes at most at its default size");
        }
        // Dashes are as good as underscores.
        assert!(Scenario::load("quiet-day").is_ok());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let files = std::fs::read_dir(folder)
            .expect("the folder")
            .filter(|f| f.as_ref().is_ok_and(|f| f.path().extension().is_some_and(|e| e == "toml")));
        assert_eq!(files.count(), BUILT_IN.len(), "every file in scenarios/ is built in");
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = |text: &str| Scenario::parse("x", text, Path::new(".")).expect_err("it is wrong");
        assert!(wrong("seconds = 1\nprovider = []").contains("what question"));
        let head = "# Why?\nseconds = 1\n[[provider]]\nname = \"telegram\"\n";
        assert!(wrong(head).contains("[inbound] or an [[outbound]]"));
        assert!(wrong(&format!("{head}[[outbound]]\nby = \"api\"\nmessages = 5\n")).contains("api and kafka take `arrival`"));
        assert!(wrong(&format!("{head}speed = 5\n")).contains("unknown field `speed`"));
        assert!(wrong("# Why?\nseconds = 1\n[[provider]]\nname = \"pigeon\"\n").contains("no provider `pigeon`"));
        assert!(wrong("# Why?\nseconds = 1\n[[provider]]\nname = \"smpp\"\n").contains("connections of its own"));
        assert!(Scenario::load("no_such_day").expect_err("it is not there").contains("quiet_day"));
    }
}

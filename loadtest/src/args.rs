//! What the commands take.

use std::path::PathBuf;

use clap::Args;

use crate::chaos::Kind;
use crate::guard::{LONGEST, Named};
use crate::scenario::Scenario;
use crate::setup::Options;

/// How much, for `inbound` and `outbound`.
#[derive(Args, Clone)]
pub struct Load {
    /// Arrivals per second; 0 sends as fast as answers come.
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// For how many seconds, 300 at most.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Outbound: how many messages.
    #[arg(long, default_value_t = 20_000)]
    pub messages: u64,
    /// Outbound with a rate: as many more to one person, who may be written to once in six seconds and must hold nobody else.
    #[arg(long, default_value_t = 0)]
    pub eager: u64,
    /// The provider whose twin is played.
    #[arg(long, default_value = "whatsapp")]
    pub provider: String,
    /// A Kafka to use instead of the embedded log: `host:port`, on loopback.
    #[arg(long)]
    pub kafka: Option<String>,
}

/// What is played, against what, and where the results go.
#[derive(Args, Clone)]
pub struct Play {
    /// A scenario file, or the name of one that comes with the tool.
    pub scenario: String,
    /// What all share.
    #[command(flatten)]
    pub common: Common,
}

/// A search.
#[derive(Args, Clone)]
pub struct Search {
    /// A scenario file, or the name of one that comes with the tool.
    #[arg(long, default_value = "quiet_day")]
    pub scenario: String,
    /// Milliseconds that the 99th percentile of every latency may reach, from the intended start.
    #[arg(long, default_value_t = 250.0)]
    pub p99: f64,
    /// Seconds that views and lanes may lag.
    #[arg(long, default_value_t = 5.0)]
    pub lag: f64,
    /// Seconds of load of each step.
    #[arg(long, default_value_t = 10.0)]
    pub step: f64,
    /// Minutes after which no new step begins.
    #[arg(long, default_value_t = 8)]
    pub minutes: u64,
    /// What all share.
    #[command(flatten)]
    pub common: Common,
}

/// A long run.
#[derive(Args, Clone)]
pub struct Soak {
    /// A scenario file, or the name of one that comes with the tool.
    #[arg(long, default_value = "quiet_day")]
    pub scenario: String,
    /// Minutes, 1440 at most; the scenario's `seconds` do not count.
    #[arg(long, default_value_t = 60.0)]
    pub minutes: f64,
    /// The share by which memory and latency may grow in an hour.
    #[arg(long, default_value_t = 0.05)]
    pub growth: f64,
    /// What all share.
    #[command(flatten)]
    pub common: Common,
}

/// A rough run.
#[derive(Args, Clone)]
pub struct Chaos {
    /// A scenario file, or the name of one that comes with the tool.
    #[arg(long, default_value = "quiet_day")]
    pub scenario: String,
    /// What may happen; everything that can be done here when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub mishaps: Vec<Kind>,
    /// Minutes, 60 at most, instead of the scenario's `seconds`.
    #[arg(long)]
    pub minutes: Option<f64>,
    /// The broker's process on this machine, so that it can be made to hang.
    #[arg(long)]
    pub kafka_pid: Option<u32>,
    /// What all share.
    #[command(flatten)]
    pub common: Common,
}

/// What all scenarios share.
#[derive(Args, Clone)]
pub struct Common {
    /// A gateway that runs already, `http://host:port`; absent: one of ours, started for the run. `channels` prints what it needs.
    #[arg(long)]
    target: Option<String>,
    /// What the target's webhook URLs begin with (its `public_url`), where that is not the target itself.
    #[arg(long)]
    public_url: Option<String>,
    /// The target's API key.
    #[arg(long, env = "FAIRWAY_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The target's process on this machine, for its CPU and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// A host that is not loopback and may get load all the same.
    #[arg(long)]
    allow_host: Vec<String>,
    /// A provider's own host, named a second time because people may stand behind it.
    #[arg(long)]
    allow_provider_host: Vec<String>,
    /// Where the twins listen, such as `127.0.0.1:9400`.
    #[arg(long)]
    twins: Option<String>,
    /// What the names of the channels begin with. A gateway remembers what was delivered to a channel: a second run against the same
    /// target wants another, and the channels that `channels --prefix` prints for it.
    #[arg(long, default_value = "load")]
    prefix: String,
    /// A Kafka: `host:port`. Our own gateway runs on it, and streams by the `send` topic go to it.
    #[arg(long)]
    kafka: Option<String>,
    /// A PostgreSQL with an empty database: `postgres://user@host:port/database`. Our own gateway keeps its views there.
    #[arg(long, env = "FAIRWAY_LOADTEST_STORE", hide_env_values = true)]
    store: Option<String>,
    /// Nodes of our own gateway; more than one need `--kafka` and `--store`.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// What the target's topics begin with.
    #[arg(long)]
    topics: Option<String>,
    /// Seconds of load, instead of the scenario's.
    #[arg(long)]
    seconds: Option<f64>,
    /// Multiplies every rate and count.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Instead of the scenario's.
    #[arg(long)]
    seed: Option<u64>,
    /// The folder that results are written to.
    #[arg(long, default_value = "target/loadtest")]
    pub out: PathBuf,
}

impl Common {
    /// The scenario, with what the command line says otherwise.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn scenario(&self, name: &str) -> Result<Scenario, String> {
        let mut scenario = Scenario::load(name)?;
        scenario.seconds = self.seconds.unwrap_or(scenario.seconds).clamp(0.1, LONGEST as f64);
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        Ok(scenario)
    }

    /// How and against what it is run.
    pub fn options(&self) -> Options {
        Options {
            target: self.target.clone(),
            public_url: self.public_url.clone(),
            key: self.key.clone(),
            pid: self.pid,
            named: Named { hosts: self.allow_host.clone(), providers: self.allow_provider_host.clone() },
            twins: self.twins.clone(),
            kafka: self.kafka.clone(),
            kafka_pid: None,
            store: self.store.clone(),
            nodes: usize::from(self.nodes),
            topics: self.topics.clone(),
            prefix: self.prefix.clone(),
            scale: if self.scale.is_finite() { self.scale.clamp(0.0001, 1000.0) } else { 1.0 },
        }
    }
}

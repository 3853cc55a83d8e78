//! `[log]` and `[retention]` of the configuration.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Bytes, Span};

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Durable, on this disk.
    Embedded,
    /// A Kafka cluster.
    Kafka,
}

/// Which raw webhooks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepRaw {
    /// Those that were not wholly understood.
    Unparsed,
    /// Every one.
    All,
}

/// How events are written on Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Attributes in headers, `data` as the value.
    Binary,
    /// The whole event as JSON in the value.
    Structured,
}

/// Where events and outbound lanes live.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `embedded` or `kafka`.
    pub kind: Kind,
    /// Embedded: the folder of the log.
    pub path: PathBuf,
    /// Which raw webhooks are kept.
    pub raw: KeepRaw,
    /// Kafka: `host:port`, separated by commas.
    pub brokers: Option<String>,
    /// Kafka: what stands before every topic's name and a dot.
    pub topic_prefix: String,
    /// Kafka: partitions of the event topics.
    pub partitions: u32,
    /// Kafka: copies of each record.
    pub replication_factor: i32,
    /// Kafka: whether missing topics are created at the start.
    pub create_topics: bool,
    /// Kafka: CloudEvents content mode.
    pub encoding: Encoding,
    /// Kafka: any librdkafka property.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Kafka: the folder that takes inbound events while Kafka is away; `off` answers 503 instead.
    pub spool: PathBuf,
    /// Kafka: how much the spool may hold.
    pub spool_max: Bytes,
}

/// How long things are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Events.
    pub events: Span,
    /// Raw webhooks.
    pub raw: Span,
    /// Messages and their timelines; what was due of reminders, triggers and journeys and is over.
    pub messages: Span,
    /// Media.
    pub media: Span,
    /// Consents.
    pub evidence: Span,
}

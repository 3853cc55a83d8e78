//! The topics on the cluster: made at the first start, checked at every one.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaErrorCode,
};

use super::{
    super::{
        Kept, Topic, UNITS,
        config::{Config, Retention},
    },
    client::{Cluster, MAX_RECORD, NEWEST, PATIENCE, Quiet},
};

/// Why the topics cannot be used.
#[derive(Debug)]
pub enum Fault {
    /// Kafka did not answer: it may later.
    Away(String),
    /// Somebody has to do something: a sentence that says what.
    Wrong(String),
}

/// How long new partitions may take to get their leaders: a small broker makes some hundred of them at once.
const LEADING: Duration = Duration::from_secs(30);

/// How many partitions each topic has.
pub type Counts = BTreeMap<Topic, u32>;

/// What the configuration asks for.
pub fn planned(config: &Config) -> Counts {
    let count = |topic: Topic| match topic {
        Topic::Control => 1,
        _ if topic.by_unit() => UNITS,
        _ => config.partitions.max(1),
    };
    Topic::ALL.into_iter().map(|t| (t, count(t))).collect()
}

/// Looks at the topics, and makes those that are missing.
pub async fn ensure(cluster: &Cluster, config: &Config, retention: &Retention) -> Result<Counts, Fault> {
    let found = look(cluster).await?;
    let planned = planned(config);
    let missing: Vec<Topic> = Topic::ALL.into_iter().filter(|t| !found.contains_key(t)).collect();
    if !missing.is_empty() {
        if !config.create_topics {
            return Err(Fault::Wrong(to_create(cluster, config, retention, &missing)));
        }
        create(cluster, config, retention, &missing).await?;
    }
    let mut found = found;
    for _ in 0..100 {
        if Topic::ALL.iter().all(|t| found.contains_key(t)) {
            let counts = check(cluster, found, &planned)?;
            if !missing.is_empty() {
                lead(cluster, &counts).await?;
            }
            return Ok(counts);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = look(cluster).await?;
    }
    Err(Fault::Away("the topics were made, but Kafka has not put them up within 10 s".into()))
}

/// Unit topics must have exactly their partitions; event topics are taken as they are.
fn check(cluster: &Cluster, found: Counts, planned: &Counts) -> Result<Counts, Fault> {
    for (&topic, &count) in &found {
        let wanted = planned[&topic];
        if (topic.by_unit() || topic == Topic::Control) && count != wanted {
            return Err(Fault::Wrong(format!(
                "topic {} has {count} partitions and must have {wanted}: delete it and let Fairway make it (`log.create_topics = true`), or set another `log.topic_prefix`",
                cluster.name(topic)
            )));
        }
        if count != wanted {
            tracing::warn!(
                topic = cluster.name(topic),
                count,
                wanted,
                "the topic has another number of partitions than `log.partitions`; it stays as it is"
            );
        }
    }
    Ok(found)
}

/// The topics of ours whose partitions all have a leader.
async fn look(cluster: &Cluster) -> Result<Counts, Fault> {
    let cluster = cluster.clone();
    let look = move || {
        let scout: BaseConsumer<Quiet> = cluster.scout(cluster.prefix()).map_err(|e| Fault::Wrong(format!("`log.properties`: {e}")))?;
        let metadata = scout.fetch_metadata(None, PATIENCE).map_err(|e| {
            let why = scout.context().trouble().unwrap_or_else(|| e.to_string());
            Fault::Away(format!("Kafka cannot be reached: {why}; check that the brokers run and that `log.brokers` names them"))
        })?;
        let ours = metadata.topics().iter().filter_map(|t| Some((cluster.topic(t.name())?, t.partitions())));
        let led = ours.filter(|(_, partitions)| !partitions.is_empty() && partitions.iter().all(|p| p.leader() >= 0));
        Ok(led.map(|(topic, partitions)| (topic, partitions.len() as u32)).collect())
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|e| Err(Fault::Away(e.to_string())))
}

/// Waits until the leaders of new topics know that they lead.
async fn lead(cluster: &Cluster, counts: &Counts) -> Result<(), Fault> {
    let (cluster, counts) = (cluster.clone(), counts.clone());
    let ask = move || {
        let scout = cluster.scout(cluster.prefix()).map_err(|e| Fault::Away(e.to_string()))?;
        let until = Instant::now() + LEADING;
        for (&topic, &count) in &counts {
            while let Err(e) = cluster.offsets(&scout, topic, count, NEWEST) {
                if Instant::now() > until {
                    return Err(Fault::Away(format!("the topics were made, and Kafka does not lead them yet: {e}")));
                }
            }
        }
        Ok(())
    };
    tokio::task::spawn_blocking(ask).await.unwrap_or_else(|e| Err(Fault::Away(e.to_string())))
}

async fn create(cluster: &Cluster, config: &Config, retention: &Retention, missing: &[Topic]) -> Result<(), Fault> {
    let admin: AdminClient<DefaultClientContext> = cluster.admin().create().map_err(|e| Fault::Wrong(format!("`log.properties`: {e}")))?;
    let counts = planned(config);
    let settings: Vec<_> = missing.iter().map(|t| (*t, settings(*t, config, retention))).collect();
    let topics: Vec<NewTopic<'_>> = settings
        .iter()
        .map(|(topic, settings)| {
            let copies = TopicReplication::Fixed(config.replication_factor);
            let new = NewTopic::new(cluster.name(*topic), counts[topic] as i32, copies);
            settings.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30))).request_timeout(Some(Duration::from_secs(35)));
    let results = admin.create_topics(&topics, &options).await.map_err(|e| Fault::Away(format!("the topics cannot be made: {e}")))?;
    for result in results {
        match result {
            // Another node was faster.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, why)) => {
                return Err(Fault::Wrong(format!(
                    "topic {name} cannot be made: {why}; `log.replication_factor` is {}, `log.partitions` {}",
                    config.replication_factor, config.partitions
                )));
            }
        }
    }
    tracing::info!(topics = missing.len(), prefix = cluster.prefix(), "made the topics");
    Ok(())
}

fn settings(topic: Topic, config: &Config, retention: &Retention) -> Vec<(&'static str, String)> {
    let mut settings = vec![("max.message.bytes", MAX_RECORD.to_owned()), ("message.timestamp.type", "CreateTime".to_owned())];
    let mut time = |millis: i64| settings.extend([("retention.ms", millis.to_string()), ("retention.bytes", "-1".to_owned())]);
    match topic.kept() {
        Kept::Events => time(retention.events.millis()),
        Kept::Raw => time(retention.raw.millis()),
        Kept::UntilTrimmed => time(-1),
        // Compaction passes over the newest file: files are closed each hour, so that a start has little to read.
        Kept::Latest => settings.extend([
            ("cleanup.policy", "compact".to_owned()),
            ("segment.ms", "3600000".to_owned()),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
        ]),
    }
    if config.replication_factor >= 3 {
        settings.push(("min.insync.replicas", "2".to_owned()));
    }
    settings
}

/// What somebody with the right to do so has to type.
fn to_create(cluster: &Cluster, config: &Config, retention: &Retention, missing: &[Topic]) -> String {
    let counts = planned(config);
    let mut text = String::from("`log.create_topics` is false and these topics are missing; create them, or set it to true:");
    for topic in missing {
        text += &format!(
            "\n  kafka-topics.sh --create --topic {} --partitions {} --replication-factor {}",
            cluster.name(*topic),
            counts[topic],
            config.replication_factor
        );
        for (name, value) in settings(*topic, config, retention) {
            text += &format!(" --config {name}={value}");
        }
    }
    text
}

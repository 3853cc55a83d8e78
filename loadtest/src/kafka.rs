//! Produces to the `send` topic, the gateway's other way in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::arrival::Schedule;
use crate::pool::Stop;
use crate::stream::Stream;

/// Produces a stream at its times. Kafka answers for a message once all in-sync replicas have it.
///
/// # Errors
/// When there can be no producer.
pub async fn produce(
    stream: &Arc<Stream>,
    brokers: &str,
    prefix: &str,
    schedule: Schedule,
    start: Instant,
    mut stop: Stop,
) -> Result<(), String> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()
        .map_err(|e| format!("a producer for {brokers}: {e}"))?;
    let topic = format!("{prefix}.send");
    let mut pending = tokio::task::JoinSet::new();
    for due in schedule {
        tokio::select! {
            () = tokio::time::sleep_until((start + due.at).into()) => {}
            _ = stop.wait_for(|s| *s) => break,
        }
        let (number, value, mark) = stream.produced(start + due.at);
        let (producer, topic, stream) = (producer.clone(), topic.clone(), Arc::clone(stream));
        pending.spawn(async move {
            // The person is the key, so that a conversation keeps its order.
            let key = serde_json::from_str::<serde_json::Value>(&value).ok().and_then(|v| v["to"].as_str().map(str::to_owned));
            let headers = OwnedHeaders::new().insert(Header { key: "idempotency-key", value: Some(&mark) });
            let record = FutureRecord::to(&topic).key(key.as_deref().unwrap_or_default()).payload(&value).headers(headers);
            let taken = producer.send(record, Duration::from_secs(30)).await.is_ok();
            stream.kafka_took(number, taken);
        });
        while pending.try_join_next().is_some() {}
    }
    while pending.join_next().await.is_some() {}
    Ok(())
}

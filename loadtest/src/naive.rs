//! What a team writes in an afternoon, to be compared with: the raw body onto Kafka, and 200 once all in-sync replicas have it. It
//! checks no signature, reads nothing, knows no duplicate, and loses what Kafka cannot take.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};

/// Its topic, with as many partitions as the gateway's have.
const TOPIC: &str = "naive";
const PARTITIONS: i32 = 12;

/// Serves on this port of loopback.
///
/// # Errors
/// When there can be no producer, or the port cannot be had.
pub async fn serve(port: u16, brokers: &str) -> Result<(), String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("acks", "all");
    let wrong = |e: rdkafka::error::KafkaError| format!("{brokers}: {e}");
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(wrong)?;
    // It may be there already.
    admin.create_topics(&[NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1))], &AdminOptions::new()).await.map_err(wrong)?;
    let producer: FutureProducer = config.create().map_err(wrong)?;
    let app = Router::new().fallback(take).with_state(producer);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(|e| e.to_string())?;
    axum::serve(listener, app).await.map_err(|e| e.to_string())
}

async fn take(State(producer): State<FutureProducer>, body: Bytes) -> StatusCode {
    match producer.send(FutureRecord::<(), _>::to(TOPIC).payload(&body[..]), Duration::from_secs(5)).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

//! One producer, from its making to its end. After a turn it is never used again.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, PurgeConfig},
    types::RDKafkaErrorCode,
};

use super::{super::Record, client::Cluster};

/// Hears what became of each record that was produced.
pub trait Listener: Send + Sync + 'static {
    /// The record of that number: its offset, or why there is none.
    fn delivered(&self, number: u64, result: Result<u64, RDKafkaErrorCode>);
}

/// A producer and the thread that listens to it.
pub struct Line {
    producer: Arc<BaseProducer<Ear>>,
    cluster: Cluster,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Line {
    /// Opens a line. Succeeds also while Kafka is away.
    pub fn open(cluster: &Cluster, listener: Weak<dyn Listener>) -> KafkaResult<Self> {
        let producer: Arc<BaseProducer<Ear>> = Arc::new(cluster.producer().create_with_context(Ear(listener))?);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (producer, stop) = (producer.clone(), stop.clone());
            let listen = move || {
                while !stop.load(Ordering::Relaxed) {
                    producer.poll(Duration::from_millis(50));
                }
            };
            thread::Builder::new().name("kafka-line".into()).spawn(listen).ok()
        };
        Ok(Self { producer, cluster: cluster.clone(), stop, thread: Mutex::new(thread) })
    }

    /// Hands a record over. It is copied; what becomes of it is told to the listener under its number.
    pub fn produce(&self, record: &Record, number: u64) -> Result<(), KafkaError> {
        let headers = record.headers.iter().fold(None, |headers: Option<OwnedHeaders>, (key, value)| {
            Some(headers.unwrap_or_else(|| OwnedHeaders::new_with_capacity(12)).insert(Header { key, value: Some(value) }))
        });
        let mut out: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(self.cluster.name(record.topic), number as usize)
            .partition(record.partition as i32)
            .key(&record.key[..]);
        if let Some(value) = &record.value {
            out = out.payload(&value[..]);
        }
        if let Some(headers) = headers {
            out = out.headers(headers);
        }
        self.producer.send(out).map_err(|(e, _)| e)
    }

    /// Whether Kafka answers. Blocks.
    pub fn reaches(&self, within: Duration) -> bool {
        self.producer.client().fetch_metadata(Some(self.cluster.name(super::super::Topic::Control)), within).is_ok()
    }

    /// Takes back what was not acknowledged, and closes. When this returns, the listener has heard of every record, and
    /// nothing more leaves. Blocks.
    pub fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let begun = Instant::now();
        while self.producer.in_flight_count() > 0 && begun.elapsed() < Duration::from_secs(3) {
            self.producer.poll(Duration::from_millis(1));
        }
    }
}

/// A line that never took a record is just let go.
impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Ear(Weak<dyn Listener>);

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        super::client::log(level, fac, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ProducerContext<NoCustomPartitioner> for Ear {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let Some(listener) = self.0.upgrade() else { return };
        let told = match result {
            Ok(message) => Ok(message.offset() as u64),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        };
        listener.delivered(number as u64, told);
    }
}

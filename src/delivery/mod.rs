//! Events out to people without Kafka.

pub mod cursor;
pub mod feed;
pub mod webhooks;

//! Fairway.

pub mod channels;
pub mod clock;
pub mod config;
pub mod envelope;
pub mod ids;
pub mod ingress;
pub mod log;
pub mod media;
pub mod orders;
pub mod outbound;
pub mod store;
pub mod telemetry;
pub mod transport;

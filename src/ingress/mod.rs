//! Webhooks in, mail, and what channels' own connections bring: `listener -> route -> verify -> parse -> claim -> append -> ack`, on the connection's own task, with no
//! queue in between.
//!
//! Invariant: success is answered only when everything the delivery says is durable.

mod accept;
pub mod answers;
pub mod claims;
pub mod listener;
mod once;
mod patience;
pub mod record;
pub mod remember;
mod respond;
mod session;
pub mod smtp;

pub use accept::{Ingress, Parts};
pub use respond::Refusal;

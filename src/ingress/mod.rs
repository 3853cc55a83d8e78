//! Webhooks in: `listener -> route -> verify -> parse -> claim -> append -> ack`, on the connection's own task, with no
//! queue in between.
//!
//! Invariant: success is answered only when everything the delivery says is durable.

mod accept;
pub mod claims;
pub mod listener;
mod record;
mod remember;
mod respond;

pub use accept::{Ingress, Parts};
pub use record::{from_unparsed, unparsed_hook};

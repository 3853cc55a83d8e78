//! Work that one node does for all: each duty goes with a unit, to the node that owns it.
//!
//! A unit changes hands before its old owner may have noticed, so for a moment two nodes may be on duty. Every duty is made for
//! that: what it writes is guarded by a tenure, has derived ids, or can be repeated.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::task::JoinHandle;

use crate::outbound::owner::Units;

/// What starts a duty.
pub(super) type Start = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Makes a [`Start`] of an async function.
pub(super) fn duty<F: Future<Output = ()> + Send + 'static>(start: impl Fn() -> F + Send + 'static) -> Start {
    Box::new(move || Box::pin(start()))
}

/// Runs each duty while this node owns its unit: the first goes with unit 0, the next with unit 1, and so on.
pub(super) async fn run(units: Units, duties: Vec<(&'static str, Start)>) {
    let mut running: Vec<Option<JoinHandle<()>>> = duties.iter().map(|_| None).collect();
    loop {
        for ((unit, (name, start)), slot) in duties.iter().enumerate().zip(&mut running) {
            let owned = units.owns(unit as u32);
            if slot.as_ref().is_some_and(|task| !owned || task.is_finished())
                && let Some(task) = slot.take()
            {
                task.abort();
                tracing::debug!(duty = name, "off duty");
            }
            if owned && slot.is_none() {
                tracing::debug!(duty = name, "on duty");
                *slot = Some(tokio::spawn(start()));
            }
        }
        // A duty that ended by itself while its unit is still ours begins anew.
        units.changed(Duration::from_secs(1)).await;
    }
}

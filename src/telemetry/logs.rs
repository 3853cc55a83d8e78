//! Logs: one event a line on standard error, JSON unless a person is looking. Bodies, people and secrets never.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, prelude::*};

/// Starts logging. `FAIRWAY_LOG` takes a filter such as `info,fairway::outbound=debug`.
pub fn install() {
    let filter = EnvFilter::try_from_env("FAIRWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // At its most talkative this library writes out what goes over connections, credentials among it.
    let quiet = filter_fn(|about| *about.level() < Level::TRACE || !about.target().starts_with("tungstenite"));
    let registry = tracing_subscriber::registry().with(filter).with(quiet);
    // A second subscriber in one process is a test's; the first stays.
    let _ = if std::io::stderr().is_terminal() {
        registry.with(fmt::layer().with_target(false).with_writer(std::io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    };
}

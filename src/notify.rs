//! The service manager's protocol (`sd_notify`): a datagram to the socket it named; nothing without one.

use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells the service manager something, such as `READY=1`.
pub fn send(text: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let name = name.to_string_lossy().into_owned();
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let sent = match name.strip_prefix('@') {
        Some(abstract_name) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(abstract_name).and_then(|address| socket.send_to_addr(text.as_bytes(), &address))
        }
        None => socket.send_to(text.as_bytes(), &name),
    };
    if let Err(e) = sent {
        tracing::debug!(error = %e, "the service manager could not be told");
    }
}

/// Tells that a reload has begun.
pub fn reloading() {
    send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic()));
}

fn monotonic() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

/// How often the watchdog wants to hear from us: half of what it allows.
pub fn watchdog() -> Option<Duration> {
    let mine = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (mine && micros > 0).then(|| Duration::from_micros(micros / 2))
}

//! The clocks. Wall time for what people see, a monotonic clock that runs through suspend for what must not jump.

use std::time::{SystemTime, UNIX_EPOCH};

use fairway_adapters::contract::Time;

/// The wall clock.
pub fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64))
}

/// Microseconds on a clock that never goes back and counts time asleep (`CLOCK_BOOTTIME`).
pub fn steady() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

/// The steady time that stands for a wall time.
pub fn steady_at(wall: Time) -> i64 {
    steady() + wall.since(now()).saturating_mul(1000)
}

/// The wall time that stands for a steady time.
pub fn wall_at(steady_time: i64) -> Time {
    now().plus((steady_time - steady()).div_euclid(1000))
}

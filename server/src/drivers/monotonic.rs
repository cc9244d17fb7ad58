//! The clock that deadlines are told by.

use aulos_engine::Clock;
use aulos_protocol::Rate;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds on the monotonic clock. No system call: the kernel maps the clock into the process.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// How long `frames` frames last, in ns.
pub fn duration_ns(frames: u64, rate: Rate) -> u64 {
    (u128::from(frames) * u128::from(SECOND) / u128::from(rate.hz())) as u64
}

/// The monotonic clock, for the engine.
pub struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> u64 {
        now()
    }
}

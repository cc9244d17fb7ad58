//! The dummy driver: real time without a device.

use std::sync::atomic::Ordering::Relaxed;

use aulos_engine::Clock;
use aulos_protocol::{Error, Rate};
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};

use super::{Station, realtime};

const SECOND: u64 = 1_000_000_000;

/// A clock that was left behind by more than this begins anew instead of hurrying after it.
const GIVE_UP_NS: u64 = SECOND;

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// The clock that the timer goes by. Reading it is no system call: the kernel maps it into the process.
struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> u64 {
        now()
    }
}

fn sleep_until(ns: u64) {
    let time = Timespec { tv_sec: (ns / SECOND) as i64, tv_nsec: (ns % SECOND) as i64 };
    // A signal may wake it early: the time is absolute, so it just goes back to sleep.
    while clock_nanosleep_absolute(ClockId::Monotonic, &time).is_err_and(|e| e == rustix::io::Errno::INTR) {}
}

fn duration_ns(frames: u64, rate: Rate) -> u64 {
    (u128::from(frames) * u128::from(SECOND) / u128::from(rate.hz())) as u64
}

/// [audio thread] Runs cycles by an absolute timer until told to stop. Frames are never dropped: after a stall
/// the cycles that were missed are run at once.
pub fn run(mut station: Station) -> Result<(), Error> {
    station.stats.set_realtime(realtime::request());
    let mut begun = now();
    // Frames since `begun`: deadlines are computed from the whole, so that rounding does not add up.
    let mut frames = 0;
    while !station.stop.load(Relaxed) {
        let before = now();
        let next = frames + u64::from(station.setup.block);
        let deadline = begun + duration_ns(next, station.rate);
        let run = station.cycle(station.setup.block as usize, &Monotonic, deadline) as u64;
        if run == 0 {
            break;
        }
        let after = now();
        frames += run;
        let deadline = begun + duration_ns(frames, station.rate);
        station.stats.cycle(after - before, duration_ns(run, station.rate), after > deadline);
        if let Some(rate) = station.seat.take_changed_rate() {
            station.rate = rate;
            (begun, frames) = (after, 0);
        } else if after > deadline + GIVE_UP_NS {
            (begun, frames) = (after, 0);
        } else {
            sleep_until(deadline);
        }
    }
    station.end()
}

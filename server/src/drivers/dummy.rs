//! The dummy driver: real time without a device. It stands in for every device that does not run.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use aulos_protocol::{Error, ErrorCode};
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::Timespec;

use super::{
    Station,
    monotonic::{Monotonic, SECOND, duration_ns, now},
    realtime,
};

/// A clock that was left behind by more than this begins anew instead of hurrying after it.
const GIVE_UP_NS: u64 = SECOND;
/// How often it is looked whether a device has given the engine back.
const LOOK_AROUND: Duration = Duration::from_millis(5);
/// How soon it is tried again when a device is still in its last cycle.
const SOON: Duration = Duration::from_micros(100);

fn sleep_until(ns: u64) {
    let time = Timespec { tv_sec: (ns / SECOND) as i64, tv_nsec: (ns % SECOND) as i64 };
    // A signal may wake it early: the time is absolute, so it just goes back to sleep.
    while clock_nanosleep_absolute(ClockId::Monotonic, &time).is_err_and(|e| e == rustix::io::Errno::INTR) {}
}

/// [audio thread] Runs cycles by an absolute timer until told to stop, whenever no device has the engine. Frames
/// are never dropped: after a stall the cycles that were missed are run at once.
pub fn run(mut station: Station) -> Result<(), Error> {
    station.stats.set_dummy(realtime::request());
    let mut begun = now();
    // Frames since `begun`: deadlines are computed from the whole, so that rounding does not add up.
    let mut frames = 0;
    let mut rate = station.rate;
    let mut stood_in = false;
    while !station.stop.load(Relaxed) {
        let berth = station.hold.berth();
        if berth.is_broken() {
            return Err(Error::new(ErrorCode::Internal, "the audio thread panicked"));
        }
        if !berth.is_stood_in() {
            stood_in = false;
            std::thread::park_timeout(LOOK_AROUND);
            continue;
        }
        let before = now();
        if !stood_in {
            stood_in = true;
            station.stats.stand_in();
            (begun, frames) = (before, 0);
        }
        let block = station.block.load(Relaxed);
        let deadline = begun + duration_ns(frames + u64::from(block), rate);
        let Some(run) = station.cycle(block as usize, &Monotonic, deadline) else {
            std::thread::sleep(SOON);
            (begun, frames) = (now(), 0);
            continue;
        };
        if run == 0 {
            break;
        }
        let after = now();
        frames += run as u64;
        let deadline = begun + duration_ns(frames, rate);
        station.stats.cycle(after - before, duration_ns(run as u64, rate), after > deadline);
        if station.rate != rate {
            rate = station.rate;
            (begun, frames) = (after, 0);
        } else if after > deadline + GIVE_UP_NS {
            (begun, frames) = (after, 0);
        } else {
            sleep_until(deadline);
        }
    }
    station.end()
}

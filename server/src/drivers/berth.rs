//! Who may call the engine.
//!
//! The seat lies behind a mutex that is only ever tried, never waited for. Who has the right to take it is a number:
//! that of the dummy clock, or that of a device. A device takes the right itself, in its first cycle, after it was
//! invited; it can be taken back from it at any time, also if its thread is dead. So the engine is called by exactly
//! one, and by the dummy clock whenever nobody else does.

use std::sync::{
    Arc, Mutex, TryLockError,
    atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

use aulos_protocol::Rate;

use super::{monotonic, seat::Seat};

/// The number of the driver that always can.
const STAND_IN: u32 = 1;
/// The number that nobody has.
const NOBODY: u32 = 0;

/// The seat, and who has a right to it.
pub struct Berth {
    seat: Mutex<Seat>,
    /// Upper half: who has the right. Lower half: who is invited to take it.
    right: AtomicU64,
    /// Whether the device that has the right is to fade out and give it back.
    leaves: AtomicBool,
    /// When the last cycle began, in ns on the monotonic clock.
    beat: AtomicU64,
    /// The number given last.
    last: AtomicU32,
}

/// What a driver needs to call the engine.
pub struct Hold {
    berth: Arc<Berth>,
    number: u32,
    /// The only rate that the driver can run at.
    rate: Option<Rate>,
    /// Whether it had the right when it asked last.
    inside: bool,
}

impl Berth {
    /// A berth with the hold of the stand-in, which has the right.
    pub fn new(seat: Seat) -> (Arc<Self>, Hold) {
        let berth = Arc::new(Self {
            seat: Mutex::new(seat),
            right: AtomicU64::new(pack(STAND_IN, NOBODY)),
            leaves: AtomicBool::new(false),
            beat: AtomicU64::new(monotonic::now()),
            last: AtomicU32::new(STAND_IN),
        });
        let hold = Hold { berth: berth.clone(), number: STAND_IN, rate: None, inside: true };
        (berth, hold)
    }

    /// The hold of a device that runs at `rate`: it has no right yet.
    pub fn hold(self: &Arc<Self>, rate: Rate) -> Hold {
        let number = self.last.fetch_add(1, Relaxed) + 1;
        Hold { berth: self.clone(), number, rate: Some(rate), inside: false }
    }

    /// Lets the device with this number take the right in its next cycle.
    pub fn invite(&self, number: u32) {
        self.leaves.store(false, Relaxed);
        self.beat.store(monotonic::now(), Relaxed);
        let mut seen = self.right.load(Acquire);
        while let Err(now) =
            self.right.compare_exchange_weak(seen, pack(holder(seen), number), AcqRel, Acquire)
        {
            seen = now;
        }
    }

    /// Gives the right to the stand-in, whoever has it now and whatever has become of it.
    pub fn take_back(&self) {
        self.leaves.store(false, Relaxed);
        self.right.store(pack(STAND_IN, NOBODY), Release);
    }

    /// Asks the device that has the right to fade out and give it to the stand-in.
    pub fn ask_to_leave(&self) {
        self.leaves.store(true, Relaxed);
    }

    /// Whether the device with this number has the right.
    pub fn is_held_by(&self, number: u32) -> bool {
        holder(self.right.load(Acquire)) == number
    }

    /// Whether the stand-in has the right.
    pub fn is_stood_in(&self) -> bool {
        self.is_held_by(STAND_IN)
    }

    /// Whether the driver with this number has the right; takes it if it is invited to.
    fn claim(&self, number: u32) -> bool {
        let right = self.right.load(Acquire);
        holder(right) == number
            || invited(right) == number
                && self.right.compare_exchange(right, pack(number, NOBODY), AcqRel, Acquire).is_ok()
    }

    /// Gives the right from the driver with this number to the stand-in, and invites `next`; without effect if it has
    /// none any more.
    fn give_back(&self, number: u32, next: u32) {
        let stand_in = pack(STAND_IN, next);
        let _ = self.right.compare_exchange(pack(number, NOBODY), stand_in, AcqRel, Acquire);
    }

    /// For how long no cycle has begun, in ns.
    pub fn idle_ns(&self) -> u64 {
        monotonic::now().saturating_sub(self.beat.load(Relaxed))
    }

    /// Whether the engine has panicked, and nobody can call it any more.
    pub fn is_broken(&self) -> bool {
        self.seat.is_poisoned()
    }
}

fn pack(holder: u32, invited: u32) -> u64 {
    u64::from(holder) << 32 | u64::from(invited)
}

fn holder(right: u64) -> u32 {
    (right >> 32) as u32
}

fn invited(right: u64) -> u32 {
    right as u32
}

impl Hold {
    /// The driver's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// [audio thread] Does `work` in the seat, if this driver has the right to it and the one before is out of it.
    pub fn with<R>(&mut self, work: impl FnOnce(&mut Seat) -> R) -> Option<R> {
        let Self { berth, number, rate, inside } = self;
        let was_inside = std::mem::replace(inside, false);
        if !berth.claim(*number) {
            return None;
        }
        let mut seat = match berth.seat.try_lock() {
            Ok(seat) => seat,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return None,
        };
        // It may have been taken away between the two.
        if !berth.is_held_by(*number) {
            return None;
        }
        let device = *number != STAND_IN;
        if rate.is_some_and(|rate| rate != seat.rate()) {
            // An engine of its rate may be on its way; one of another rate has taken the place of its own.
            berth.give_back(*number, if was_inside { NOBODY } else { *number });
            return None;
        }
        match (was_inside, device) {
            (true, _) => {}
            (false, true) => seat.enter(),
            (false, false) => seat.resume(),
        }
        berth.beat.store(monotonic::now(), Relaxed);
        if device && berth.leaves.load(Relaxed) && seat.leave() {
            berth.give_back(*number, NOBODY);
            return None;
        }
        *inside = true;
        Some(work(&mut seat))
    }

    /// The seat's berth.
    pub fn berth(&self) -> &Arc<Berth> {
        &self.berth
    }
}

#[cfg(test)]
#[path = "berth_tests.rs"]
mod tests;

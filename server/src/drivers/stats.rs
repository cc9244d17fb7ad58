//! What can be seen of a driver.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// Counters that the audio thread writes and anybody reads.
#[derive(Debug, Default)]
pub struct Stats {
    cycles: AtomicU64,
    late: AtomicU64,
    busy_ns: AtomicU64,
    audio_ns: AtomicU64,
    xruns: AtomicU64,
    /// Of the dummy clock, which is asked once.
    dummy: OnceLock<Result<u8, String>>,
    /// Of the device that runs, written in its first cycle.
    device: Mutex<Option<Result<u8, String>>>,
    stood_in: AtomicBool,
}

impl Stats {
    /// [audio thread] Notes a cycle that took `busy_ns` for `audio_ns` of sound.
    pub fn cycle(&self, busy_ns: u64, audio_ns: u64, late: bool) {
        self.cycles.fetch_add(1, Relaxed);
        self.busy_ns.fetch_add(busy_ns, Relaxed);
        self.audio_ns.fetch_add(audio_ns, Relaxed);
        self.late.fetch_add(u64::from(late), Relaxed);
    }

    /// Notes that the device had to go without samples, or lost some, once more.
    pub fn xrun(&self) {
        self.xruns.fetch_add(1, Relaxed);
    }

    /// How often that has happened so far.
    pub fn xruns(&self) -> u64 {
        self.xruns.load(Relaxed)
    }

    /// Notes whether the thread of the dummy clock has real-time priority.
    pub fn set_dummy(&self, result: Result<u8, String>) {
        // It is asked once.
        let _ = self.dummy.set(result);
        self.stand_in();
    }

    /// [audio thread] The dummy clock runs from now on.
    pub fn stand_in(&self) {
        self.stood_in.store(true, Relaxed);
    }

    /// Notes whether a device's audio thread has real-time priority, in its first cycle.
    pub fn set_device(&self, result: Result<u8, String>) {
        *self.device.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.stood_in.store(false, Relaxed);
    }

    /// Whether the audio thread has real-time priority, or why not.
    pub fn realtime(&self) -> Result<u8, String> {
        let result = match self.stood_in.load(Relaxed) {
            true => self.dummy.get().cloned(),
            false => self.device.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        result.unwrap_or_else(|| Err("this driver has no deadlines".into()))
    }

    /// Cycles so far.
    pub fn cycles(&self) -> u64 {
        self.cycles.load(Relaxed)
    }

    /// Cycles that ended after their deadline so far.
    pub fn late(&self) -> u64 {
        self.late.load(Relaxed)
    }

    /// Time spent in cycles, and the time that they stand for, so far, in ns.
    pub fn times(&self) -> (u64, u64) {
        (self.busy_ns.load(Relaxed), self.audio_ns.load(Relaxed))
    }
}

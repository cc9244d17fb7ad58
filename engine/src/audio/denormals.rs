//! Flushing of denormal numbers.
#![allow(unsafe_code)]

/// [audio thread] Calls `work` with denormals flushed to zero: on them a filter that dies away would cost a
/// hundred times as much.
pub fn flushed<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the control register is put back before anything outside `work` runs, and nothing in the engine
    // depends on denormals or on the rounding mode being observable.
    unsafe { no_denormals::no_denormals(work) }
}

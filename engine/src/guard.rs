//! The allocation guard.

/// Runs `work` as the audio thread's: with the feature `guard`, and the guarding allocator installed in the
/// program, any allocation or release of memory in it aborts the process.
#[cfg(feature = "guard")]
pub fn realtime<T>(work: impl FnOnce() -> T) -> T {
    assert_no_alloc::assert_no_alloc(work)
}

/// Runs `work`; the guard is not built in.
#[cfg(not(feature = "guard"))]
pub fn realtime<T>(work: impl FnOnce() -> T) -> T {
    work()
}

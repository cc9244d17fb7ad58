//! Which time it is, for what may be late.

/// The clock that decides who is late. Drivers have one that goes with their hardware; tests have one that they
/// move.
pub trait Clock {
    /// [audio thread] Nanoseconds since any moment; never goes back.
    fn now(&self) -> u64;

    /// [audio thread] Lets a moment pass between two looks at somebody else's work.
    fn wait(&self) {
        std::hint::spin_loop();
    }
}

/// A clock that stands still: nobody is late, and everybody is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience;

impl Clock for Patience {
    fn now(&self) -> u64 {
        0
    }
}

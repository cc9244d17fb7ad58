//! Signals that end the program, noticed in time to leave everything tidy.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use aulos_protocol::Error;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    flag,
};

use crate::failure::Failure;

const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// A lookout for signals; from its making on they only end the program where it asks for them.
#[derive(Debug)]
pub struct Signals {
    seen: Arc<AtomicUsize>,
}

impl Signals {
    /// Notices every signal that would end the program.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn notice() -> Result<Self, Failure> {
        let seen = Arc::new(AtomicUsize::new(0));
        for signal in ENDING {
            // Signal numbers are small and positive.
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, seen.clone(), number).map_err(|e| refused(&e))?;
        }
        Ok(Self { seen })
    }

    /// Notices the first signal, and lets the second end the program at once.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn notice_first() -> Result<Self, Failure> {
        let armed = Arc::new(AtomicBool::new(false));
        for signal in ENDING {
            // In this order: the first signal finds it unarmed and arms it.
            flag::register_conditional_shutdown(signal, 128 + signal, armed.clone())
                .map_err(|e| refused(&e))?;
            flag::register(signal, armed.clone()).map_err(|e| refused(&e))?;
        }
        Self::notice()
    }

    /// The number of the last signal that came.
    pub fn seen(&self) -> Option<i32> {
        match self.seen.load(Ordering::Relaxed) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }
}

fn refused(error: &std::io::Error) -> Error {
    Error::io("take notice of signals", error)
}

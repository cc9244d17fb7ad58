//! The audio thread's side.

pub mod delay_line;
mod denormals;
mod executor;
mod mix;
pub mod slot;
mod transport;

pub(crate) use executor::new_engine;
pub use executor::{Counters, Deadline, Engine, Patience, Running};
pub(crate) use transport::Transport;
pub use transport::{MIN_LOOP, Start, TransportChange};

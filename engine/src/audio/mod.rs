//! The audio thread's side.

mod clock;
mod contain;
pub mod delay_line;
pub mod denormals;
mod executor;
pub mod gain;
pub mod lane;
pub mod loop_line;
pub mod midi_line;
mod mix;
mod ramp;
mod run;
mod running;
pub mod slot;
mod transport;
pub mod unit;

pub use clock::{Clock, Patience};
pub(crate) use executor::new_engine;
pub use executor::{Counters, Engine};
pub use ramp::TURNS;
pub use running::{Running, Spare};
pub(crate) use transport::Transport;
pub use transport::{MAX_LATER, MIN_LOOP, Start, TransportChange};

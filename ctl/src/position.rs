//! Positions on the timeline; see [`aulos_protocol::position`].

pub use aulos_protocol::position::{Clock, HELP, Position};

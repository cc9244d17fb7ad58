//! What the scenarios share.
//!
//! [`oracle`] says what a session must sound like, [`random`] makes sessions to ask it about, and [`compare`]
//! tells two renderings apart bit by bit. [`stepped`] runs an engine block by block, and [`late`] has nodes in it whose
//! work somebody else does.

pub mod commands;
mod compare;
pub mod desktop;
pub mod jackd;
pub mod large;
pub mod late;
pub mod noise;
pub mod occurs;
pub mod oracle;
pub mod random;
pub mod server;
pub mod stepped;
pub mod tone;

pub use compare::compare;

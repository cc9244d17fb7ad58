//! From command to sound: the session and its commands, the graph, the compiler, the plan, the handoff, and
//! the executor on the audio thread.
//!
//! [`engine`] makes the two halves of an engine: the [`Controller`], which is the one writer of the session
//! and stays on the control thread, and the [`Engine`], which a driver moves to its audio thread and calls
//! once a cycle. Any number of engines can run in one process. This crate knows no files, sockets, clocks or
//! environment.

pub mod audio;
pub mod compile;
mod controller;
pub mod graph;
pub mod guard;
pub mod handoff;
pub mod plan;
pub mod session;

pub use audio::{Clock, Counters, Engine, MIN_LOOP, Patience, Start, TransportChange};
pub use compile::ClipLibrary;
pub use controller::{Applied, Controller, Performed, Setup, engine, engine_with, plan_of};

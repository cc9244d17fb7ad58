//! What can be said to and by an Aulos server.
//!
//! Everything that crosses a control surface is a type of this crate: [`Command`] changes something,
//! [`Query`] reads something, [`Reply`] answers either, [`Event`] tells of a change, [`Telemetry`] tells
//! the newest of what moves all the time, [`Error`] refuses. All of them are serde types with JSON
//! Schemas; [`wire`] says how they travel over the control socket.
//!
//! The [`Session`] is the desired state as plain data. It says nothing of devices or processes: that is
//! observed state, which only events and query replies carry.

mod analysis;
pub mod changes;
#[cfg(feature = "client")]
pub mod client;
mod command;
#[cfg(feature = "config")]
pub mod config;
mod control;
mod driver;
mod error;
mod event;
mod guarded;
mod ids;
mod maps;
pub mod mirror;
pub mod params;
pub mod ports;
pub mod position;
mod query;
#[cfg(feature = "config")]
pub mod recent;
pub mod registry;
mod session;
pub mod show;
mod surfaces;
pub mod text;
mod units;
mod value;
pub mod wire;
pub mod wires;

pub use analysis::{Analysis, Band, ChannelLevels};
pub use command::{AudioFormat, Command, Dither, NewNode, Place, Render, SampleDepth, Undo};
pub use control::Control;
pub use driver::{DeviceInfo, DriverInfo, DriverKind, DriverStatus};
pub use error::{Error, ErrorCode, Range, close_names};
pub use event::{Change, Event, Loudness, MeterReading, OperationState, Telemetry, TransportState};
pub use ids::{ClipId, Endpoint, LinkId, NodeId, Slug};
pub use maps::{Links, Nodes};
pub use query::{
    Applied, Hello, LatencyReport, LatencyRow, LinkLatency, NodeFaults, ParamReading, Query, Reply, State,
    Status, StreamStatus, Unaligned,
};
pub use session::{Clip, FORMAT, Link, LoopRange, Node, NodeKind, PortRef, Session};
pub use surfaces::{Clock, OscStatus};
pub use units::{Bpm, Decibels, Frames, Rate, Signature};
pub use value::{Name, Value};

/// Version of the protocol spoken on the control socket.
///
/// It is raised when a message changes its meaning or a field is taken away; new messages and new optional
/// fields do not raise it. A server answers a client of another version with [`ErrorCode::Version`].
pub const PROTOCOL: u32 = 1;

//! OSC as Aulos speaks it: what travels, and what the addresses of a session mean. Nothing here opens a socket.

pub mod args;
pub mod framing;
pub mod meaning;
pub mod own;
pub mod packet;
pub mod pattern;
pub mod reference;
pub mod space;
pub mod tree;

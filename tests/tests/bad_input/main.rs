//! Bad input, on the socket, the command line, in sessions and files: a clear error for each, and the server
//! goes on.
//!
//! Each table holds what is sent, the expected error, and what else the error must say. After each row the
//! [`Bench`] makes sure that the session is as it was, that another connection is answered, and that the sound
//! goes on.

mod bench;
mod clips;
mod commands;
mod crowds;
mod lines;
mod processes;
mod renders;
mod requests;
mod saving;
mod sessions;
mod strangers;
mod words;

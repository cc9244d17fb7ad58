//! The door to the session bus, by clients that are not written here: busctl, gdbus, and zbus as a library.

mod crowds;
mod members;
mod objects;
mod refusals;
mod signals;
mod strangers;
mod streams;

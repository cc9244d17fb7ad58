//! What a service manager sees of the server, and the units that are installed for it.

mod manager;
mod units;

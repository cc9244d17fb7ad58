//! The way to the server: connections to its control socket, made when they are needed and kept for the next time.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aulos_protocol::{
    Error, PROTOCOL, Query,
    client::{Client, timed_out},
};

/// How many connections are kept while nobody uses them.
const MOST_IDLE: usize = 4;

/// The way to the server.
#[derive(Debug)]
pub struct Link {
    socket: PathBuf,
    timeout: Duration,
    idle: Mutex<Vec<Client>>,
}

impl Link {
    /// Nothing is connected yet.
    pub fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout, idle: Mutex::new(Vec::new()) }
    }

    /// A connection that was just answered: one that a server left behind when it ended is not used for a command,
    /// of which nobody would know whether it was carried out. Blocks.
    ///
    /// # Errors
    /// As [`Client::connect_within`].
    pub fn take(&self) -> Result<Client, Error> {
        while let Some(mut client) = self.pop() {
            match client.query(Query::Hello { protocol: PROTOCOL }) {
                Ok(_) => return Ok(client),
                // A server that hangs would let all of them wait.
                Err(error) if timed_out(&error) => return Err(error),
                Err(error) => tracing::debug!("a connection is gone: {error}"),
            }
        }
        self.connect()
    }

    /// A new connection. Blocks.
    ///
    /// # Errors
    /// As [`Client::connect_within`].
    pub fn connect(&self) -> Result<Client, Error> {
        Ok(Client::connect_within(&self.socket, Some(self.timeout))?.0)
    }

    /// Keeps a connection that works for the next time.
    pub fn give(&self, client: Client) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(client);
        }
    }

    fn pop(&self) -> Option<Client> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

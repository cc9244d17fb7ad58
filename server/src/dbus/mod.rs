//! D-Bus: the session as objects with members and properties on the user's bus.
//!
//! Which they are follows from the registry (`members`) and the tables of parameters (`properties`). One task holds a
//! connection to the bus: it answers calls, follows what happens, and tells what changed. When the bus goes, it waits for
//! it to come back. Whatever is asked goes through the control thread as from any other surface.

mod calls;
mod crowd;
mod door;
mod failure;
mod introspect;
mod members;
mod paths;
mod properties;
mod reference;
mod replies;
mod signals;
mod streams;
mod tables;
mod values;

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use crate::{control::ToControl, hub::Connections, inner::Inner};

pub use reference::reference;

/// How soon it is looked for a bus again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many messages from the bus wait. Each can be as large as D-Bus allows.
const MOST_IN: usize = 4;
/// How long a bus may take to let us in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A name that a program can have on the bus.
///
/// # Errors
/// What such a name looks like.
pub fn checked_name(name: &str) -> Result<String, String> {
    match zbus::names::WellKnownName::try_from(name) {
        Ok(name) => Ok(name.to_string()),
        Err(_) => {
            Err("a name has two parts or more of letters, digits, _ and -, such as org.aulos.Server".into())
        }
    }
}

/// Where the session bus is, if there is one.
fn address() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("DBUS_SESSION_BUS_ADDRESS").or_else(|| {
        let path = format!("{}/bus", set("XDG_RUNTIME_DIR")?);
        std::fs::exists(&path).is_ok_and(|exists| exists).then(|| format!("unix:path={path}"))
    })
}

/// Serves the session bus, as often as there is one, until the server goes down.
pub async fn serve(name: String, connections: Arc<Connections>, control: SyncSender<ToControl>) {
    let inner = Inner::new(&connections, control.clone());
    let desk = calls::Desk { inner, streams: streams::Streams::new(connections, control, Arc::default()) };
    let mut said = None;
    // Once, not every second.
    let mut is_new = |text: &str| said.replace(text.to_owned()).as_deref() != Some(text);
    loop {
        match address() {
            None if is_new("none") => tracing::info!("D-Bus: there is no session bus"),
            None => {}
            Some(address) => match connect(&address).await {
                Ok(connection) => {
                    is_new("served");
                    tracing::info!("D-Bus: serving {address}");
                    match door::serve(&name, &desk, connection).await {
                        door::End::Server => return,
                        door::End::Bus => tracing::info!("D-Bus: the session bus has gone"),
                    }
                }
                Err(error) if is_new(&error) => {
                    tracing::warn!("D-Bus: the session bus at {address} is not served: {error}");
                }
                Err(_) => {}
            },
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A connection to the bus, if that is of this user: whom it lets in can do everything here.
async fn connect(address: &str) -> Result<zbus::Connection, String> {
    let building = async {
        let connection = zbus::connection::Builder::address(address)?.max_queued(MOST_IN).build().await?;
        let uid = connection.peer_creds().await?.unix_user_id();
        zbus::Result::Ok((connection, uid))
    };
    let built = tokio::time::timeout(PATIENCE, building).await;
    let built = built.map_err(|_| format!("it does not answer within {} s", PATIENCE.as_secs()))?;
    let (connection, uid) = built.map_err(|error| error.to_string())?;
    let own = rustix::process::getuid().as_raw();
    match uid {
        Some(uid) if uid == own => Ok(connection),
        Some(uid) => Err(format!("it is of user {uid}, the server of user {own}")),
        None => Err("it cannot be told of which user it is".into()),
    }
}

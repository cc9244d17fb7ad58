//! OSC: a door for control surfaces, by UDP and TCP on one port. It only translates: what is asked goes to the control
//! thread as from any other surface, and what changes comes from there.

mod access;
mod announce;
mod answers;
mod board;
mod bundles;
mod client;
mod desk;
mod feed;
mod outbox;
mod tcp;
mod tell;
mod web;
mod work;

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    str::FromStr,
    sync::{Arc, mpsc::SyncSender},
};

use aulos_protocol::{Error, ErrorCode};
use ipnet::IpNet;
use tokio::task::JoinHandle;

use crate::{control::ToControl, hub::Connections, inner::Inner};

use announce::Announcement;

pub use access::network;
pub use board::Board;

/// Where OSC is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Off,
    /// At this address, by UDP and TCP.
    At(SocketAddr),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| {
            "it is no address with a port, such as 127.0.0.1:9000, 0.0.0.0:9000 or [::]:9000, and not off"
                .into()
        })
    }
}

/// Where OSCQuery is served, at the address of OSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryPort {
    /// Nowhere.
    Off,
    /// At the port behind that of OSC; with OSC at any that is free, at any.
    Next,
    /// At this port; 0 is any that is free.
    At(u16),
}

impl FromStr for QueryPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "next" => Ok(Self::Next),
            text => text.parse().map(Self::At).map_err(|_| "it is no port, and neither next nor off".into()),
        }
    }
}

/// How OSC is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it is listened to.
    pub place: Place,
    /// Where OSCQuery is served.
    pub query: QueryPort,
    /// Who is listened to, beside this machine.
    pub allow: Vec<IpNet>,
    /// Whether other machines may ask for everything.
    pub trust: bool,
    /// Whether it is announced by multicast DNS.
    pub announced: bool,
}

/// Begins to listen, if that is wanted. A port that is not to be had is told as a warning, and the server goes on
/// without OSC: another port would not be found by those who send to this one.
pub async fn start(
    setup: Setup,
    board: &Arc<Board>,
    connections: &Connections,
    control: &SyncSender<ToControl>,
) -> Option<JoinHandle<()>> {
    let Place::At(place) = setup.place else { return None };
    let warn = |error: Error| {
        let told = control.try_send(ToControl::Warning(error.clone()));
        if told.is_err() {
            tracing::warn!("{error}");
        }
    };
    let (udp, tcp) = match sockets(place) {
        Ok(sockets) => sockets,
        Err(error) => {
            let mut told = Error::io(&format!("listen for OSC at {place}"), &error)
                .remedy("choose another port with --osc ADDRESS:PORT, or --osc off");
            if error.kind() == std::io::ErrorKind::AddrInUse {
                told.message = format!("there is no OSC: another program has port {}", place.port());
            }
            board.set_problem(told.message.clone());
            warn(told);
            return None;
        }
    };
    let inner = Inner::new(connections, control.clone());
    let desk = match desk::Desk::open(setup.clone(), udp, tcp, board.clone(), inner).await {
        Ok(desk) => desk,
        Err(error) => {
            board.set_problem(error.message.clone());
            warn(error);
            return None;
        }
    };
    let query = match query(&setup, place, &desk, board) {
        Ok(query) => query,
        Err(error) => {
            warn(error);
            None
        }
    };
    let (query, at) = query.unzip();
    let announced = match desk.place() {
        Some(osc) if setup.announced => Announcement::new(osc, at).map_err(warn).ok(),
        _ => None,
    };
    Some(tokio::spawn(async move {
        desk.serve().await;
        drop(announced);
        query.into_iter().for_each(|query| query.abort());
    }))
}

/// Begins to serve OSCQuery, if that is wanted.
fn query(
    setup: &Setup,
    place: SocketAddr,
    desk: &desk::Desk,
    board: &Board,
) -> Result<Option<(JoinHandle<()>, SocketAddr)>, Error> {
    let port = match setup.query {
        QueryPort::Off => return Ok(None),
        QueryPort::At(port) => port,
        QueryPort::Next if place.port() == 0 => 0,
        QueryPort::Next => place.port().checked_add(1).ok_or_else(|| {
            invalid("there is no OSCQuery: there is no port behind that of OSC")
                .remedy("choose one with --osc-query PORT, or --osc-query off")
        })?,
    };
    let at = SocketAddr::new(place.ip(), port);
    let failed = |error: std::io::Error| {
        let mut told = Error::io(&format!("listen for OSCQuery at {at}"), &error)
            .remedy("choose another port with --osc-query PORT, or --osc-query off");
        if error.kind() == std::io::ErrorKind::AddrInUse {
            told.message = format!("there is no OSCQuery: another program has port {port}");
        }
        told
    };
    let listener = TcpListener::bind(at).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    let door = desk.door(setup.clone()).map_err(failed)?;
    board.set_query(at);
    tracing::info!("OSCQuery is served at http://{at}");
    let served = tokio::spawn(async move {
        let Err(error) = web::serve(listener, door).await;
        tracing::error!("{error}");
    });
    Ok(Some((served, at)))
}

/// A socket for each of the two, on one port.
fn sockets(place: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    const TRIES: usize = 16;
    let mut tries = 0;
    loop {
        tries += 1;
        let tcp = TcpListener::bind(place)?;
        let udp = match UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => udp,
            // Any port that is free was wanted, and this is free for one of the two only.
            Err(_) if place.port() == 0 && tries < TRIES => continue,
            Err(error) => return Err(error),
        };
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        return Ok((udp, tcp));
    }
}

/// An error with what was expected and what to do, as one sentence.
fn sentence(error: &Error) -> String {
    let mut text = error.message.clone();
    if let Some(expected) = &error.expected {
        text += &format!("; expected {expected}");
    }
    if let Some(remedy) = &error.remedy {
        text += &format!(" ({remedy})");
    }
    text
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

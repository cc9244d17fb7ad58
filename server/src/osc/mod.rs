//! OSC: a door for control surfaces, by UDP and TCP on one port. It only translates: what is asked goes to the control
//! thread as from any other surface, and what changes comes from there.

mod access;
mod answers;
mod board;
mod bundles;
mod client;
mod desk;
mod feed;
mod outbox;
mod tcp;
mod tell;
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

/// How OSC is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it is listened to.
    pub place: Place,
    /// Who is listened to, beside this machine.
    pub allow: Vec<IpNet>,
    /// Whether other machines may ask for everything.
    pub trust: bool,
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
    match desk::Desk::open(setup, udp, tcp, board.clone(), inner).await {
        Ok(desk) => Some(tokio::spawn(desk.serve())),
        Err(error) => {
            board.set_problem(error.message.clone());
            warn(error);
            None
        }
    }
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

//! Tells programs of this machine and its networks where OSC and OSCQuery are, by multicast DNS.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use aulos_protocol::{Error, ErrorCode};
use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};

/// How long it may take to say good-bye.
const PATIENCE: Duration = Duration::from_millis(300);
/// The longest label of a name, in bytes.
const MOST_LABEL: usize = 63;

/// What is announced, until it is dropped.
pub struct Announcement(ServiceDaemon);

impl Announcement {
    /// Announces OSC at `osc`, by UDP and TCP, and OSCQuery at `query`: where they can be reached, on this machine's
    /// loopback alone or on its networks.
    ///
    /// # Errors
    /// `Unavailable` if there is no multicast.
    pub fn new(osc: SocketAddr, query: Option<SocketAddr>) -> Result<Self, Error> {
        let daemon = ServiceDaemon::new().map_err(failed)?;
        // From here on it ends with what is returned, also in the middle.
        let announcement = Self(daemon);
        let daemon = &announcement.0;
        if osc.ip().is_loopback() {
            daemon.disable_interface(IfKind::All).map_err(failed)?;
            daemon.enable_interface(IfKind::Addr(osc.ip())).map_err(failed)?;
        } else if !osc.ip().is_unspecified() {
            daemon.disable_interface(IfKind::All).map_err(failed)?;
            daemon.enable_interface(vec![IfKind::Addr(osc.ip()), IfKind::LoopbackV4]).map_err(failed)?;
        }
        let host = host();
        let name = label(&format!("Aulos on {host}"));
        // A name of its own: that of the machine may be told by somebody else.
        let target = format!("{}.local.", label(&format!("{host}-aulos")));
        let services = [
            ("_osc._udp.local.", Some(osc)),
            ("_osc._tcp.local.", Some(osc)),
            ("_oscjson._tcp.local.", query),
        ];
        for (kind, place) in services {
            let Some(place) = place else { continue };
            let told: &[IpAddr] = if place.ip().is_unspecified() { &[] } else { &[place.ip()] };
            let version = [("version", env!("CARGO_PKG_VERSION"))];
            let service =
                ServiceInfo::new(kind, &name, &target, told, place.port(), &version[..]).map_err(failed)?;
            let service = if told.is_empty() { service.enable_addr_auto() } else { service };
            daemon.register(service).map_err(failed)?;
        }
        tracing::info!("OSC is announced as {name:?}");
        Ok(announcement)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Who is not told finds out when nobody answers.
        if let Ok(told) = self.0.shutdown() {
            let _ = told.recv_timeout(PATIENCE);
        }
    }
}

fn failed(error: mdns_sd::Error) -> Error {
    Error::new(ErrorCode::Unavailable, format!("OSC cannot be announced: {error}"))
        .remedy("it is served all the same; --no-mdns leaves it unannounced")
}

/// The name of this machine, without its domain.
pub fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().filter(|name| !name.is_empty()).unwrap_or("this machine").to_owned()
}

/// As much of a text as a label holds.
fn label(text: &str) -> String {
    let mut end = text.len().min(MOST_LABEL);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_long_as_they_may_be() {
        assert_eq!(label("Aulos on stage"), "Aulos on stage");
        let long = label(&"ä".repeat(40));
        assert_eq!((long.len(), long.chars().all(|c| c == 'ä')), (62, true));
        assert!(!host().is_empty() && !host().contains('.'));
    }
}

//! Who is listened to.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use aulos_protocol::{Command, Error, ErrorCode};
use ipnet::IpNet;

/// Reads a network, or one address.
///
/// # Errors
/// A sentence.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        format!("{text:?} is no network, such as 192.168.1.0/24, and no address, such as 192.168.1.7")
    })
}

/// Who is listened to, and what they may ask for.
pub struct Access {
    allow: Vec<IpNet>,
    trust: bool,
    /// Since when no refusal was logged, and how many there were.
    unsaid: u64,
    said: Option<Instant>,
}

/// How often refusals are logged at most.
const PERIOD: Duration = Duration::from_secs(10);

impl Access {
    pub fn new(allow: Vec<IpNet>, trust: bool) -> Self {
        Self { allow, trust, unsaid: 0, said: None }
    }

    /// Whether anybody on another machine is listened to.
    pub fn is_open(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether this peer is listened to.
    pub fn admits(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        ip.is_loopback() || self.allow.iter().any(|network| network.contains(&ip))
    }

    /// Whether this peer may ask for everything.
    pub fn trusts(&self, peer: SocketAddr) -> bool {
        self.trust || is_here(peer)
    }

    /// Notes a refusal, and logs it unless another was logged just now.
    pub fn refuse(&mut self, peer: SocketAddr, why: &str) {
        self.unsaid += 1;
        if self.said.is_none_or(|said| said.elapsed() >= PERIOD) {
            tracing::warn!(
                "OSC of {peer} is refused: {why} ({} refusals since the last one said)",
                self.unsaid
            );
            (self.said, self.unsaid) = (Some(Instant::now()), 0);
        }
    }
}

/// Whether the peer is on this machine.
pub fn is_here(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// Refuses what is only for who holds the machine.
pub fn check(command: &Command, trusted: bool) -> Result<(), Error> {
    match command.guarded() {
        Some(why) if !trusted => Err(Error::new(
            ErrorCode::Unavailable,
            format!("\"{}\" is not taken from other machines: {why}", command.title()),
        )
        .remedy("do it on the server's machine, or start the server with --osc-trust")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_who_is_allowed_are_listened_to() {
        let allow = ["192.168.1.0/24", " 10.1.2.3", "fd00::/8"].map(|text| network(text).unwrap());
        let access = Access::new(allow.to_vec(), false);
        for (peer, admitted, trusted) in [
            ("127.0.0.1:5", true, true),
            ("[::1]:5", true, true),
            ("[::ffff:127.0.0.1]:5", true, true),
            ("192.168.1.77:5", true, false),
            ("[::ffff:192.168.1.77]:5", true, false),
            ("192.168.2.77:5", false, false),
            ("10.1.2.3:5", true, false),
            ("10.1.2.4:5", false, false),
            ("[fd00::5]:5", true, false),
            ("[fe80::5]:5", false, false),
        ] {
            let address = peer.parse().unwrap();
            assert_eq!((access.admits(address), access.trusts(address)), (admitted, trusted), "{peer}");
        }
        assert!(Access::new(Vec::new(), true).trusts("192.168.1.77:5".parse().unwrap()));
        for wrong in ["", "192.168.1.0/33", "nobody", "1.2.3"] {
            assert!(network(wrong).unwrap_err().contains("such as"), "{wrong}");
        }
    }

    #[test]
    fn files_and_the_server_itself_are_for_this_machine_only() {
        let save = |path: Option<&str>| Command::SaveSession { path: path.map(ToOwned::to_owned) };
        let batch = Command::Batch { commands: vec![Command::Play, Command::Shutdown { discard: false }] };
        for (command, guarded) in [
            (Command::Play, false),
            (save(None), false),
            (save(Some("/tmp/x")), true),
            (Command::Shutdown { discard: true }, true),
            (batch, true),
        ] {
            assert_eq!(check(&command, false).is_err(), guarded, "{command:?}");
            assert!(check(&command, true).is_ok());
        }
    }
}

//! How OSC is getting on, for the status.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use aulos_protocol::OscStatus;

/// Where OSC says how it is getting on.
#[derive(Debug, Default)]
pub struct Board(Mutex<(OscStatus, Option<SocketAddr>)>);

impl Board {
    /// How it is getting on. What the kernel had no room for counts as dropped.
    pub fn status(&self) -> OscStatus {
        let (mut status, place) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.dropped += place.map_or(0, overflows);
        status
    }

    /// Says where it listens.
    pub fn set_place(&self, place: SocketAddr) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.0.listens = Some(place.to_string());
        board.1 = Some(place);
    }

    /// Says where OSCQuery is served.
    pub fn set_query(&self, place: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.query = Some(place.to_string());
    }

    /// Says why it does not listen.
    pub fn set_problem(&self, problem: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.problem = Some(problem);
    }

    /// Says what has been counted.
    pub fn note(&self, counts: &OscStatus) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let OscStatus { listens, query, problem, .. } = std::mem::take(&mut board.0);
        board.0 = OscStatus { listens, query, problem, ..counts.clone() };
    }
}

/// How many datagrams the kernel has thrown away as the socket's buffer was full; 0 where it does not tell.
fn overflows(place: SocketAddr) -> u64 {
    let file = if place.is_ipv4() { "/proc/self/net/udp" } else { "/proc/self/net/udp6" };
    std::fs::read_to_string(file).map_or(0, |table| overflows_in(&table, place))
}

/// The last column of the row whose local address it is; addresses are words of 32 bits as the machine writes them.
fn overflows_in(table: &str, place: SocketAddr) -> u64 {
    let address: String = match place.ip() {
        std::net::IpAddr::V4(ip) => format!("{:08X}", u32::from_ne_bytes(ip.octets())),
        std::net::IpAddr::V6(ip) => {
            let words = ip.octets();
            let words = words.chunks_exact(4).map(|word| <[u8; 4]>::try_from(word).unwrap_or_default());
            words.map(|word| format!("{:08X}", u32::from_ne_bytes(word))).collect()
        }
    };
    let local = format!("{address}:{:04X}", place.port());
    let row = table.lines().find(|row| row.split_whitespace().nth(1) == Some(&local));
    row.and_then(|row| row.split_whitespace().last()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_throws_away_is_counted() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let place = receiver.local_addr().unwrap();
        assert_eq!(overflows(place), 0);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20_000 {
            sender.send_to(&[0; 400], place).unwrap();
        }
        let lost = overflows(place);
        assert!(lost > 0);
        receiver.set_nonblocking(true).unwrap();
        let mut read = 0;
        while receiver.recv(&mut [0; 400]).is_ok() {
            read += 1;
        }
        assert_eq!(read + lost, 20_000);
        assert_eq!(overflows("[::1]:1".parse().unwrap()), 0);
    }
}

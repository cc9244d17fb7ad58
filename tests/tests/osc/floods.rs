//! Floods and garbage: what is not meant sounds as if nothing came, memory is bounded, and what is lost is counted.

use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use aulos_osc::packet;
use aulos_tests::{
    osc::{Osc, message, place, s, status, wait_until},
    random::Rng,
    server::Server,
};
use rosc::{OscPacket, OscType};

use crate::Stage;

/// A tone that nobody touches, on the left; and a track that everybody does, which is not heard.
const TWO_PATHS: &str = "
    node add tone sine level=-6dB frequency=997Hz
    track add kept
    track add shaken
    link sine kept
    link sine shaken
    link kept master";

/// How many messages a second come from two clients together, and for how many seconds.
const RATE: u32 = 20_000;
const SECONDS: u32 = 30;

/// The server's memory that is not shared, in KiB.
fn memory(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Sends half of the messages to the place, as fast as it was asked for; how many were sent.
fn flood(place: std::net::SocketAddr, mut next: impl FnMut(u64) -> Vec<u8>) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(place).unwrap();
    let (begun, mut sent) = (Instant::now(), 0);
    let rate = RATE / 2;
    let most = u64::from(rate * SECONDS);
    while sent < most {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while sent < due.min(most) {
            // Nobody may listen to what is answered, but it is taken.
            socket.send(&next(sent)).unwrap();
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    sent
}

fn bytes(address: &str, args: &[OscType]) -> Vec<u8> {
    packet::write(&OscPacket::Message(message(address, args))).unwrap()
}

#[test]
fn a_flood_leaves_untouched_paths_as_they_are_and_is_counted() {
    let played = |flooded: bool| {
        let stage = Stage::new("stepped", TWO_PATHS);
        stage.server.ok("step 1024x8");
        if flooded {
            let place = place(&stage.server);
            let before = status(&mut stage.server.client());
            let warm = memory(&stage.server);
            let floods: Vec<_> = [0u64, 1]
                .into_iter()
                .map(|half| {
                    std::thread::spawn(move || {
                        // One of the two of what is right, one of all kinds.
                        flood(place, |n| match (half, n % 5) {
                            (0, _) | (1, 0) => {
                                let gain = OscType::Float(-((n % 100) as f32));
                                bytes("/track/shaken/gain", &[gain])
                            }
                            (_, 1) => bytes("/track/shaken/pan", &[OscType::Float((n % 3) as f32 - 1.0)]),
                            (_, 2) => bytes("/track/nobody/gain", &[OscType::Int(1)]),
                            (_, 3) => bytes("/track/shaken/mute", &[]),
                            _ => vec![n as u8; (n % 60) as usize],
                        })
                    })
                })
                .collect();
            // The clock moves on, and the server answers, while they come.
            for _ in 0..16 {
                stage.server.ok("step 1024");
                std::thread::sleep(Duration::from_secs(SECONDS.into()) / 20);
            }
            let sent: u64 = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
            let after = wait_until(&stage.server, "all is counted", |status| {
                status.received + status.malformed + status.dropped - before.dropped >= sent
            });
            // Nothing is lost without being counted: what was read is carried out, overtaken or dropped.
            assert!(after.malformed > 0 && after.errors > 0 && after.overtaken > 0, "{after:?}");
            let grown = memory(&stage.server).saturating_sub(warm);
            assert!(grown < 150_000, "{grown} KiB more");
            // Who comes now is served; what came before may still wait for its turn, and be carried out after it.
            let mut osc = Osc::new(&stage.server);
            let mut set = || {
                osc.ask("/track/shaken/gain", &[OscType::Float(-1.5)]).unwrap();
                osc.get("/track/shaken/gain") == [OscType::Float(-1.5)]
            };
            while !set() {}
        } else {
            stage.server.ok("step 1024x16");
        }
        stage.server.ok("step 1024x8");
        stage.played()
    };
    let (plain, flooded) = (played(false), played(true));
    assert!(plain.iter().any(|x| x.abs() > 0.1));
    assert!(plain == flooded, "the flood is heard");
}

#[test]
fn garbage_changes_nothing_and_the_server_goes_on() {
    let stage = Stage::new("stepped", TWO_PATHS);
    let before = stage.server.ok("--json session show");
    let place = place(&stage.server);
    let mut rng = Rng::new(7);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..2000 {
        let mut garbage: Vec<u8> = (0..length % 1500).map(|_| rng.below(256) as u8).collect();
        if length % 3 == 0 {
            garbage.splice(0..0, *b"#bundle\0");
        }
        // Nothing of it may mean something by chance.
        if length % 3 == 1 {
            garbage.splice(0..0, *b"/track/nobody\0\0\0,ffs");
        }
        socket.send_to(&garbage, place).unwrap();
        if length % 50 == 0 {
            let mut stream = TcpStream::connect(place).unwrap();
            // It may be closed before all of it is there.
            let _ = stream.write_all(&garbage);
        }
    }
    wait_until(&stage.server, "all is read", |status| {
        status.received + status.malformed + status.dropped >= 2000 && status.connections == 0
    });
    assert_eq!(stage.server.ok("--json session show"), before);
    let mut osc = Osc::new(&stage.server);
    osc.ask("/track/kept/gain", &[OscType::Float(-1.0)]).unwrap();
    assert_eq!(osc.get("/track/kept/name"), [s("kept")]);
}

#[test]
fn more_clients_than_there_are_places_for_are_told_by_a_count() {
    let stage = Stage::new("stepped", TWO_PATHS);
    let place = place(&stage.server);
    let clients: Vec<_> = (0..300).map(|_| Osc::to(place)).collect();
    for client in &clients {
        client.send("/sys/subscribe", &[s("/track/*/gain"), OscType::Int(3600)]);
    }
    // So many at once are more than the kernel may have room for.
    let status = wait_until(&stage.server, "all are counted", |status| {
        status.subscribers as u64 + status.refused + status.dropped == 300
    });
    assert!(status.subscribers <= 256 && (status.subscribers == 256 || status.refused == 0), "{status:?}");
    let streams: Vec<_> = (0..80).map(|_| TcpStream::connect(place).unwrap()).collect();
    let more = wait_until(&stage.server, "all are counted", |now| {
        now.connections as u64 + now.refused - status.refused == 80
    });
    assert_eq!(more.connections, 64);
    drop(streams);
    wait_until(&stage.server, "they are forgotten", |status| status.connections == 0);
    stage.server.ok("set kept gain -3dB");
    let mut first = clients.into_iter().next().unwrap();
    // Nothing of what it subscribed to was lost but by the kernel.
    first.send("/sys/subscribe", &[s("/track/*/gain"), OscType::Int(3600)]);
    while first.next_to("/track/kept/gain") != [OscType::Float(-3.0)] {}
}

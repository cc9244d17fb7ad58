//! Connections by TCP, in both ways of telling packets apart.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use aulos_osc::{
    framing::{Deframer, Framing},
    packet,
};
use aulos_tests::{
    osc::{Osc, message, place, s, wait_until},
    server::Server,
};
use rosc::{OscMessage, OscPacket, OscType};

use crate::stepped;

/// A client by TCP.
struct Stream {
    stream: TcpStream,
    framing: Framing,
    deframer: Deframer,
}

impl Stream {
    fn new(server: &Server, framing: Framing) -> Self {
        let stream = TcpStream::connect(place(server)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, framing, deframer: Deframer::default() }
    }

    fn bytes(&self, address: &str, args: &[OscType]) -> Vec<u8> {
        self.framing.wrap(&packet::write(&OscPacket::Message(message(address, args))).unwrap())
    }

    fn send(&mut self, address: &str, args: &[OscType]) {
        let bytes = self.bytes(address, args);
        self.stream.write_all(&bytes).unwrap();
    }

    /// What comes until a message to this address has come.
    fn until(&mut self, address: &str) -> Vec<OscMessage> {
        let mut all: Vec<OscMessage> = Vec::new();
        let mut bytes = [0; 4096];
        while all.last().is_none_or(|last| last.addr != address) {
            let count = self.stream.read(&mut bytes).unwrap();
            assert!(count > 0, "the connection has ended");
            let take = |packet: &[u8]| {
                let read = packet::read(packet).unwrap();
                all.extend(packet::messages(read).into_iter().map(|(_, message)| message));
            };
            self.deframer.push(&bytes[..count], take).unwrap();
        }
        assert_eq!(self.deframer.framing(), Some(self.framing), "it is answered as it asks");
        all
    }
}

#[test]
fn both_framings_are_answered_in_kind() {
    for framing in [Framing::Slip, Framing::Sized] {
        let server = stepped();
        let mut stream = Stream::new(&server, framing);
        stream.send("/node/add", &[s("track"), s("drums")]);
        let answer = stream.until("/reply");
        assert_eq!(answer[0].args[0], s("/node/add"));
        // Cut anywhere, and several at once.
        let bytes =
            [stream.bytes("/track/drums/gain", &[OscType::Int(-5)]), stream.bytes("/track/drums/gain", &[])];
        for byte in bytes.concat() {
            stream.stream.write_all(&[byte]).unwrap();
        }
        assert_eq!(stream.until("/track/drums/gain").pop().unwrap().args, [OscType::Float(-5.0)]);
        // A large answer comes whole.
        stream.send("/sys/schema", &[]);
        let mut parts = 0;
        'all: loop {
            for message in stream.until("/reply") {
                if message.args.len() == 1 {
                    break 'all;
                }
                parts += 1;
            }
        }
        assert!(parts > 1000, "{parts}");
        // A lease as long as the connection.
        stream.send("/sys/subscribe", &[s("/track/*/gain"), OscType::Int(0)]);
        stream.until("/track/drums/gain");
        wait_until(&server, "it is subscribed", |status| status.subscribers == 1);
        server.ok("set drums gain -7dB");
        assert_eq!(stream.until("/track/drums/gain").pop().unwrap().args, [OscType::Float(-7.0)]);
        drop(stream);
        let status =
            wait_until(&server, "it is forgotten", |status| status.subscribers + status.connections == 0);
        assert_eq!((status.closed, status.dropped, status.unsent), (0, 0, 0));
    }
}

#[test]
fn what_was_sent_whole_is_done_though_the_client_dies_in_the_middle_of_more() {
    for framing in [Framing::Slip, Framing::Sized] {
        let server = stepped();
        let mut stream = Stream::new(&server, framing);
        let names: Vec<_> = (0..100).map(|n| format!("t{n}")).collect();
        let mut bytes: Vec<u8> = Vec::new();
        for name in &names {
            bytes.extend(stream.bytes("/node/add", &[s("track"), s(name)]));
        }
        let last = stream.bytes("/node/add", &[s("track"), s("half")]);
        bytes.extend(&last[..last.len() - 5]);
        stream.stream.write_all(&bytes).unwrap();
        // Everything is there before the connection is gone; else the kernel may throw it away.
        wait_until(&server, "all is read", |status| status.received == 100);
        drop(stream);
        let status = wait_until(&server, "it is forgotten", |status| status.connections == 0);
        assert_eq!(status.dropped, 0);
        let mut osc = Osc::new(&server);
        while osc.ask("/track/t99/gain", &[]).is_err() {}
        assert!(osc.ask("/track/half/gain", &[]).is_err());
    }
}

#[test]
fn a_stream_that_is_no_osc_is_closed_and_a_client_that_never_reads_is_too() {
    let server = stepped();
    let mut broken = TcpStream::connect(place(&server)).unwrap();
    broken.write_all(&[0x01, 0xff, 0xff, 0xff, 1, 2, 3]).unwrap();
    let mut rest = Vec::new();
    broken.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    broken.read_to_end(&mut rest).unwrap();
    wait_until(&server, "it is closed", |status| status.closed == 1);

    // Asks for much and reads nothing of it: the rest of what it asks waits in the network, not in the server.
    let mut deaf = Stream::new(&server, Framing::Sized);
    deaf.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let ask = deaf.bytes("/sys/schema", &[]).repeat(500);
    let mut sent = 0;
    while let Ok(count) = deaf.stream.write(&ask) {
        sent += count;
    }
    assert!(sent > 0);
    // Others are served meanwhile.
    let mut osc = Osc::new(&server);
    assert_eq!(osc.get("/engine/rate"), [OscType::Int(48_000)]);
    let status = wait_until(&server, "it is closed", |status| status.closed == 2);
    assert!(status.received < sent as u64 / 24, "{status:?}");
    server.says("it has read nothing for 10 s", 1);
    wait_until(&server, "it is forgotten", |status| status.connections == 0);
}

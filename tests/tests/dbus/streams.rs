//! What is read from descriptors: what happens, and the meters.

use std::{
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use aulos_protocol::{Command, NewNode, NodeKind};
use aulos_tests::{
    bus::{Bus, NAME},
    server::{Server, apply},
};
use serde_json::Value as Json;
use zbus::{
    blocking::{Connection, connection::Builder},
    zvariant,
};

/// A client of the bus.
pub fn connect(bus: &Bus) -> Connection {
    Builder::address(bus.address().as_str()).unwrap().build().unwrap()
}

/// Lines of JSON from a descriptor.
pub struct Lines(BufReader<UnixStream>);

impl Lines {
    /// Reads with patience.
    pub fn new(descriptor: OwnedFd) -> Self {
        let stream = UnixStream::from(descriptor);
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next line; none when the other end is closed.
    pub fn next(&mut self) -> Option<Json> {
        let mut line = String::new();
        let bytes = self.0.read_line(&mut line).unwrap();
        (bytes > 0).then(|| serde_json::from_str(&line).unwrap())
    }
}

/// Opens meters.
pub fn open_meters(client: &Connection, hz: f64) -> zbus::Result<OwnedFd> {
    let (path, interface) = ("/org/aulos/Server/engine", Some("org.aulos.Engine1"));
    let reply = client.call_method(Some(NAME), path, interface, "OpenMeters", &(hz,))?;
    let descriptor: zvariant::OwnedFd = reply.body().deserialize()?;
    Ok(descriptor.into())
}

/// Subscribes to what happens.
pub fn subscribe(client: &Connection) -> zbus::Result<OwnedFd> {
    let (path, interface) = ("/org/aulos/Server", Some("org.aulos.Manager1"));
    let options = std::collections::HashMap::from([("telemetry_hz", zvariant::Value::from(0.0))]);
    let reply = client.call_method(Some(NAME), path, interface, "Subscribe", &(options,))?;
    let descriptor: zvariant::OwnedFd = reply.body().deserialize()?;
    Ok(descriptor.into())
}

/// Waits for a property to be what it should.
#[track_caller]
pub fn wait_for_number(bus: &Bus, object: &str, interface: &str, name: &str, is_it: impl Fn(u64) -> bool) {
    let begun = Instant::now();
    loop {
        let now = bus.get(object, interface, name).unwrap().as_u64().unwrap();
        if is_it(now) {
            return;
        }
        assert!(begun.elapsed().as_secs() < 60, "{name} is {now}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn dummy(bus: &Bus) -> Server {
    let server = bus.server(["--driver", "dummy"]);
    let tone = NewNode { kind: NodeKind::Tone, name: None, channels: Some(2), params: Default::default() };
    apply(&mut server.client(), Command::AddNode(tone));
    server.ok("link tone master");
    server
}

#[test]
fn meters_are_read_from_a_descriptor() {
    let bus = Bus::start();
    let _server = dummy(&bus);
    let client = connect(&bus);
    let mut lines = Lines::new(open_meters(&client, 60.0).unwrap());
    let (mut frames, mut loudest) = (Vec::new(), 0.0_f64);
    while frames.len() < 20 || loudest == 0.0 {
        let line = lines.next().unwrap();
        assert_eq!(line["method"], "telemetry");
        frames.push(line["params"]["frame"].as_u64().unwrap());
        let master =
            line["params"]["meters"].as_array().unwrap().iter().find(|meter| meter["node"] == "master");
        if let Some(peak) = master.and_then(|meter| meter["peaks"][0].as_f64()) {
            loudest = loudest.max(peak);
        }
    }
    assert!(frames.is_sorted(), "{frames:?}");
    // The tone is at −18 dB; it is faded in.
    assert!(loudest > 0.01 && loudest < 0.13, "{loudest}");
}

#[test]
fn what_nobody_reads_is_left_out_and_counted_and_the_rest_goes_on() {
    let bus = Bus::start();
    let _server = dummy(&bus);
    let (idle, client) = (connect(&bus), connect(&bus));
    let unread = open_meters(&idle, 60.0).unwrap();
    let mut lines = Lines::new(open_meters(&client, 60.0).unwrap());
    wait_for_number(&bus, "engine", "Engine1", "MetersDropped", |dropped| dropped >= 5);
    let before = lines.next().unwrap()["params"]["frame"].as_u64().unwrap();
    while lines.next().unwrap()["params"]["frame"].as_u64().unwrap() <= before {}
    // What is read in the end are whole lines.
    let mut late = Lines::new(unread);
    for _ in 0..5 {
        assert_eq!(late.next().unwrap()["method"], "telemetry");
    }
}

#[test]
fn a_client_has_so_many_descriptors_and_gets_others_when_it_closes_some() {
    let bus = Bus::start();
    let _server = dummy(&bus);
    let (client, other) = (connect(&bus), connect(&bus));
    let mut open: Vec<_> = (0..8).map(|_| open_meters(&client, 1.0).unwrap()).collect();
    let error = open_meters(&client, 1.0).unwrap_err();
    let zbus::Error::MethodError(name, text, _) = error else { panic!("{error}") };
    assert_eq!(name.as_str(), "org.aulos.Error.Busy");
    assert!(text.unwrap().contains("at most 8 of one client"));
    open_meters(&other, 1.0).unwrap();
    open.pop();
    let begun = Instant::now();
    // It is seen that the other end is closed, though nothing is written meanwhile.
    while open_meters(&client, 1.0).is_err() {
        assert!(begun.elapsed().as_secs() < 60, "a descriptor that is closed counts");
        std::thread::sleep(Duration::from_millis(20));
    }
    for hz in [0.0, -1.0, 61.0, f64::NAN, f64::INFINITY] {
        let error = open_meters(&other, hz).unwrap_err().to_string();
        assert!(error.contains("OutOfRange"), "{hz}: {error}");
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_dropped_and_told_why() {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    let client = connect(&bus);
    let unread = subscribe(&client).unwrap();
    let mut reader = Lines::new(subscribe(&client).unwrap());
    assert_eq!(reader.next().unwrap()["params"]["event"], "opened");
    let mut control = server.client();
    let begun = Instant::now();
    let mut sets = 0_u64;
    while !server.log().contains("reads too slowly") {
        let value = aulos_protocol::Value::Number(-((sets % 100 + 1) as f64) / 10.0);
        apply(&mut control, Command::SetParam { node: "master".into(), param: "gain".into(), value });
        sets += 1;
        let line = reader.next().unwrap();
        assert!(line["params"]["event"] == "changed" || line["params"]["event"] == "aligned", "{line}");
        assert!(begun.elapsed().as_secs() < 300, "{sets} changes, and it is not dropped");
    }
    let mut late = Lines::new(unread);
    let mut last = Json::Null;
    while let Some(line) = late.next() {
        last = line;
    }
    assert_eq!(last["params"]["event"], "dropped");
    assert!(last["params"]["data"]["reason"].as_str().unwrap().contains("faster than they were read"));
}

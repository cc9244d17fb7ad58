//! Clients that flood, die in the middle, or never read.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    process::Stdio,
    time::{Duration, Instant},
};

use aulos_protocol::{Command, Query, Reply};
use aulos_tests::{
    bus::{Bus, NAME, path},
    server::{Server, apply, ask, read_wav},
    stopped::Stopped,
};
use zbus::{blocking::Connection, message::Message, zvariant::Value};

use crate::streams::{connect, open_meters, subscribe, wait_for_number};

/// Bytes of memory that a server holds for itself.
fn memory(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// The server answers on the socket and on the bus.
#[track_caller]
fn assert_well(bus: &Bus, server: &Server) {
    let Reply::Status(status) = ask(&mut server.client(), Query::Status) else { panic!("no status") };
    let begun = Instant::now();
    while bus.get("", "Manager1", "Pid").ok().and_then(|pid| pid.as_u64()) != Some(u64::from(status.pid)) {
        assert!(begun.elapsed().as_secs() < 60, "the bus is not served: {}", server.log());
    }
}

fn call(member: &str, interface: &str, object: &str) -> zbus::Result<Message> {
    Message::method_call(path(object).as_str(), member)?
        .destination(NAME)?
        .interface(format!("org.aulos.{interface}").as_str())?
        .build(&())
}

/// Sends a call, and does not wait for its answer.
fn send(client: &Connection, call: &Message) {
    zbus::block_on(client.inner().send(call)).unwrap();
}

/// Waits for the server to log something.
#[track_caller]
fn wait_for_log(server: &Server, part: &str) {
    let begun = Instant::now();
    while !server.log().contains(part) {
        assert!(begun.elapsed().as_secs() < 60, "no \"{part}\" in {}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A tone that nobody touches, and a track that everybody does, which is not heard.
const TWO_PATHS: [&str; 6] = [
    "node add tone sine level=-6dB frequency=997Hz",
    "track add kept",
    "track add shaken",
    "link sine kept",
    "link sine shaken",
    "link kept master",
];

/// What a server plays while its clock is stepped so many times, each of them after `meanwhile`.
fn played(steps: u32, meanwhile: impl FnOnce(&Bus, &Server, &mut dyn FnMut())) -> Vec<Vec<f32>> {
    let bus = Bus::start();
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("played.wav");
    let server =
        bus.server(["--driver", "stepped", "--block", "1024", "--capture", capture.to_str().unwrap()]);
    TWO_PATHS.iter().for_each(|line| drop(server.ok(line)));
    server.ok("step 1024x8");
    let (mut client, mut left) = (server.client(), steps);
    let mut step = || {
        apply(&mut client, Command::Step { blocks: vec![1024] });
        left -= 1;
    };
    meanwhile(&bus, &server, &mut step);
    while left > 0 {
        apply(&mut client, Command::Step { blocks: vec![1024] });
        left -= 1;
    }
    let mut server = server;
    assert!(server.terminate().success());
    read_wav(&capture)
}

#[test]
fn whatever_comes_over_the_bus_nothing_of_it_is_heard_elsewhere() {
    let steps = 60;
    let plain = played(steps, |_, _, _| {});
    assert!(plain[0].iter().any(|sample| sample.abs() > 0.1));
    let shaken = played(steps, |bus, server, step| {
        let before = memory(server);
        let none = std::collections::HashMap::<&str, Value<'_>>::new();
        let set = |gain: f64| {
            let body = ("shaken", "gain", Value::from(gain), none.clone());
            let (path, interface) = (path("node"), "org.aulos.Nodes1");
            let call = Message::method_call(path.as_str(), "Set").unwrap().destination(NAME).unwrap();
            call.interface(interface).unwrap().build(&body).unwrap()
        };
        let wrong = |at: u32| {
            let member = ["Add", "Nobody", "Rename"][at as usize % 3];
            let path = path(["node", "nowhere", "node/kept"][at as usize / 3 % 3]);
            let call = Message::method_call(path.as_str(), member).unwrap().destination(NAME).unwrap();
            call.build(&(at, vec![f64::NAN; at as usize % 100])).unwrap()
        };
        let huge = {
            let path = path("node");
            let call = Message::method_call(path.as_str(), "Add").unwrap().destination(NAME).unwrap();
            call.interface("org.aulos.Nodes1").unwrap().build(&("x".repeat(8 << 20), none.clone())).unwrap()
        };
        // One that floods, one that sends what means nothing, one that reads nothing of what it opened.
        let (flooder, fool, idle) = (connect(bus), connect(bus), connect(bus));
        let unread = (open_meters(&idle, 60.0).unwrap(), subscribe(&idle).unwrap());
        for at in 0..steps - 10 {
            for number in 0..100 {
                send(&flooder, &set(-f64::from(number)));
                send(&fool, &wrong(at * 100 + number));
            }
            if at % 10 == 0 {
                send(&fool, &huge);
            }
            // One that dies in the middle, with calls that nobody answers any more.
            let mortal = connect(bus);
            let opened = open_meters(&mortal, 60.0);
            (0..20).for_each(|_| send(&mortal, &call("Show", "Session1", "session").unwrap()));
            drop((opened, mortal));
            step();
        }
        wait_for_number(bus, "engine", "Engine1", "MetersDropped", |dropped| dropped > 0);
        wait_for_log(server, "readings of meters left out");
        assert_well(bus, server);
        let grown = memory(server).saturating_sub(before);
        assert!(grown < 200 << 20, "{grown} bytes more");
        drop(unread);
    });
    assert!(plain == shaken, "what came over the bus is heard");
}

#[test]
fn calls_that_find_no_room_are_refused_counted_and_said() {
    const ROOM: u64 = 64;
    const MORE: u64 = 100;
    let bus = Bus::start();
    let server = bus.server(["--driver", "dummy"]);
    let client = connect(&bus);
    let mut answers = zbus::blocking::MessageIterator::from(&client);
    // Nothing that is asked of the control thread is answered.
    let stopped = Stopped::new(&server, "aulos-control");
    for _ in 0..ROOM + MORE {
        send(&client, &call("Show", "Session1", "session").unwrap());
    }
    let mut next = |expected| {
        loop {
            let message = answers.next().unwrap().unwrap();
            match message.message_type() {
                zbus::message::Type::Signal => {}
                kind => {
                    assert_eq!(kind, expected);
                    return message;
                }
            }
        }
    };
    for _ in 0..MORE {
        let refused = next(zbus::message::Type::Error);
        assert_eq!(refused.header().error_name().unwrap().as_str(), "org.aulos.Error.Busy");
    }
    // Others are answered what is known without it.
    assert_eq!(bus.get("", "Manager1", "Refused").unwrap().as_u64(), Some(MORE));
    wait_for_log(&server, "calls refused");
    stopped.go_on();
    (0..ROOM).for_each(|_| drop(next(zbus::message::Type::MethodReturn)));
    assert_well(&bus, &server);
    assert_eq!(bus.get("", "Manager1", "Refused").unwrap().as_u64(), Some(MORE));
}

#[test]
fn a_flood_of_calls_is_answered_or_refused_and_the_rest_goes_on() {
    let bus = Bus::start();
    let server = bus.server(["--driver", "dummy"]);
    let before = memory(&server);
    let flooder = connect(&bus);
    let mut replies = zbus::blocking::MessageIterator::from(&flooder);
    const CALLS: usize = 5000;
    let sender = flooder.clone();
    let sent = std::thread::spawn(move || {
        for _ in 0..CALLS {
            send(&sender, &call("Show", "Session1", "session").unwrap());
        }
    });
    let (mut good, mut busy) = (0, 0);
    while good + busy < CALLS {
        let message = replies.next().unwrap().unwrap();
        match message.message_type() {
            zbus::message::Type::MethodReturn => good += 1,
            zbus::message::Type::Error => {
                assert_eq!(message.header().error_name().unwrap().as_str(), "org.aulos.Error.Busy");
                busy += 1;
            }
            _ => {}
        }
    }
    sent.join().unwrap();
    assert!(good > 0, "none of {CALLS} calls were answered");
    // Each that was refused by the door is counted; the control thread refuses some, too.
    let counted = bus.get("", "Manager1", "Refused").unwrap().as_u64().unwrap();
    assert!(counted <= busy as u64, "{counted} of {busy}");
    assert_well(&bus, &server);
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes more");
}

#[test]
fn clients_that_never_read_or_die_in_the_middle_harm_nobody() {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    // Monitors that are stopped do not read what is told; some are killed while they are.
    let mut monitors: Vec<_> = (0..4)
        .map(|_| {
            bus.gdbus().args(["monitor", "--session", "-d", NAME]).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for monitor in &monitors {
        let pid = rustix::process::Pid::from_child(monitor);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    }
    let unread: Vec<_> = (0..4)
        .map(|_| {
            let client = connect(&bus);
            (open_meters(&client, 60.0).unwrap(), subscribe(&client).unwrap(), client)
        })
        .collect();
    let before = memory(&server);
    let mut client = server.client();
    for at in 0..3000_u32 {
        let value = aulos_protocol::Value::Number(-f64::from(at % 1000) / 10.0);
        apply(&mut client, Command::SetParam { node: "master".into(), param: "gain".into(), value });
        if at == 1500 {
            for monitor in &mut monitors[..2] {
                monitor.kill().and_then(|()| monitor.wait()).unwrap();
            }
        }
    }
    assert_well(&bus, &server);
    drop(unread);
    for monitor in &mut monitors[2..] {
        monitor.kill().and_then(|()| monitor.wait()).unwrap();
    }
    // Calls whose callers are gone before they are answered.
    for _ in 0..50 {
        let client = connect(&bus);
        for _ in 0..20 {
            send(&client, &call("Show", "Session1", "session").unwrap());
        }
        drop(client);
    }
    assert_well(&bus, &server);
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes more");
}

#[test]
fn bodies_of_any_type_are_answered_with_a_refusal() {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    let client = connect(&bus);
    let refused = |object: &str, interface: &str, member: &str, body: Value<'_>| {
        let path = path(object);
        let body = zbus::zvariant::StructureBuilder::new().append_field(body).build().unwrap();
        let answer = client.call_method(Some(NAME), path.as_str(), Some(interface), member, &body);
        let error = answer.unwrap_err();
        assert!(matches!(error, zbus::Error::MethodError(..)), "{member}: {error}");
    };
    let mut deep = Value::from("x");
    for _ in 0..20 {
        deep = Value::new(Value::Value(Box::new(deep)));
    }
    let bodies = || {
        [
            Value::from(1_u8),
            Value::from("x".repeat(1 << 20)),
            Value::from(vec![vec![1_u64; 10]; 10]),
            Value::from((1_i32, "x", vec![1.5_f64])),
            Value::from(std::collections::HashMap::from([("x", Value::from(f64::NAN))])),
            deep.try_clone().unwrap(),
        ]
    };
    for (object, interface, member) in [
        ("node", "org.aulos.Nodes1", "Add"),
        ("", "org.aulos.Manager1", "Batch"),
        ("", "org.aulos.Manager1", "Status"),
        ("graph", "org.aulos.Graph1", "GetGraph"),
        ("engine", "org.aulos.Engine1", "OpenMeters"),
        ("", "org.freedesktop.DBus.Properties", "Get"),
        ("", "org.freedesktop.DBus.Properties", "Set"),
        ("node", "org.freedesktop.DBus.Introspectable", "Introspect"),
        ("", "org.freedesktop.DBus.Peer", "Ping"),
    ] {
        for body in bodies() {
            refused(object, interface, member, body);
        }
    }
    // More than is taken.
    let huge = ("x".repeat(17 << 20), std::collections::HashMap::<&str, Value<'_>>::new());
    let answer =
        client.call_method(Some(NAME), path("node").as_str(), Some("org.aulos.Nodes1"), "Add", &huge);
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("LimitsExceeded") && error.contains("16777216"), "{error}");
    // The same as the value of a property and of a parameter, where any type can stand.
    for body in bodies() {
        let path = path("transport");
        let body = ("org.aulos.Transport1", "Tempo", body);
        let properties = "org.freedesktop.DBus.Properties";
        client.call_method(Some(NAME), path.as_str(), Some(properties), "Set", &body).unwrap_err();
    }
    // Something that speaks no D-Bus at all, and something that stops in the middle.
    let bus_path = bus.address().trim_start_matches("unix:path=").to_owned();
    for bytes in [&b"\0AUTH NONSENSE\r\n"[..], &[0xff; 4096], b"\0AUTH EXTERNAL 30\r\nBEGIN\r\nl\x01"] {
        let mut stream = UnixStream::connect(&bus_path).unwrap();
        // The bus may close it at once.
        stream.write_all(bytes).ok();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_well(&bus, &server);
}

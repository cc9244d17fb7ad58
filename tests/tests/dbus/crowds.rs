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
    server::{Server, apply, ask},
};
use zbus::{message::Message, zvariant::Value};

use crate::streams::{connect, open_meters, subscribe};

/// Bytes of memory that a process holds.
fn memory(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
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
            zbus::block_on(sender.inner().send(&call("Show", "Session1", "session").unwrap())).unwrap();
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
            zbus::block_on(client.inner().send(&call("Show", "Session1", "session").unwrap())).unwrap();
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

//! What the server tells by itself.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use aulos_protocol::{Command, Value};
use aulos_tests::{
    bus::Bus,
    server::{Server, apply},
};

/// The lines that `gdbus monitor` prints.
struct Monitor {
    process: std::process::Child,
    lines: Receiver<String>,
}

impl Monitor {
    fn start(bus: &Bus) -> Self {
        let mut process = bus
            .gdbus()
            .args(["monitor", "--session", "-d", "org.aulos.Server"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let monitor = Self { process, lines };
        // It says who has the name when it listens.
        while !monitor.next().contains("is owned by") {}
        monitor
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Reads on until a line holds this; answers with all lines up to that.
    #[track_caller]
    fn until(&self, part: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => all.push(line),
                Err(_) => panic!("no {part} in {all:#?}"),
            }
            if all.last().is_some_and(|line| line.contains(part)) {
                return all;
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).unwrap();
    }
}

fn stage() -> (Bus, Server, Monitor) {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    let monitor = Monitor::start(&bus);
    (bus, server, monitor)
}

fn set(server: &Server, node: &str, param: &str, value: Value) {
    apply(&mut server.client(), Command::SetParam { node: node.into(), param: param.into(), value });
}

#[test]
fn nodes_come_change_and_go() {
    let (_bus, server, monitor) = stage();
    server.ok("track add lead-vox --gain -6dB");
    let line = monitor.until("InterfacesAdded").pop().unwrap();
    for part in
        ["/org/aulos/Server/node/lead_2dvox", "'org.aulos.Track1'", "'Gain': <-6.0>", "'Kind': <'track'>"]
    {
        assert!(line.contains(part), "{line}");
    }
    set(&server, "lead-vox", "mute", Value::Switch(true));
    let line = monitor.until("'Mute'").pop().unwrap();
    assert!(line.contains("lead_2dvox: org.freedesktop.DBus.Properties.PropertiesChanged"), "{line}");
    // What did not change is not told.
    assert!(line.contains("('org.aulos.Track1', {'Mute': <true>}, @as [])"), "{line}");
    // What undo would take back is another, and is to be asked for.
    let line = monitor.until("'UndoTitle'").pop().unwrap();
    assert!(line.contains("/org/aulos/Server/session: "), "{line}");
    assert!(
        line.contains("('org.aulos.Session1', @a{sv} {}, ['Unsaved', 'UndoTitle', 'RedoTitle'])"),
        "{line}"
    );
    server.ok("vca add all");
    monitor.until("node/all'");
    server.ok("vca assign all lead-vox");
    assert!(
        monitor.until("node/all: org.freedesktop.DBus.Properties").pop().unwrap().contains("['lead-vox']")
    );
    server.ok("rename lead-vox vox");
    let lines = monitor.until("node/all: org.freedesktop.DBus.Properties");
    let find = |part: &str| {
        lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"))
    };
    assert!(find("InterfacesRemoved") < find("InterfacesAdded"), "{lines:#?}");
    assert!(lines.last().unwrap().contains("['vox']"), "{lines:#?}");
    server.ok("node rm vox");
    let lines = monitor.until("InterfacesRemoved");
    assert!(lines.last().unwrap().contains("/org/aulos/Server/node/vox"), "{lines:#?}");
}

#[test]
fn many_changes_are_told_as_few_and_the_last_is_what_holds() {
    let (_bus, server, monitor) = stage();
    let mut client = server.client();
    const CHANGES: u32 = 400;
    for at in 1..=CHANGES {
        let value = Value::Number(-f64::from(at) / 10.0);
        apply(&mut client, Command::SetParam { node: "master".into(), param: "gain".into(), value });
    }
    let lines = monitor.until("'Gain': <-40.0>");
    let told = lines.iter().filter(|line| line.contains("'Gain'")).count();
    assert!(told >= 1 && told < CHANGES as usize, "{told}");
    // An edit that is taken back before it is told is told as nothing but a new revision.
    set(&server, "master", "gain", Value::Number(-3.0));
    monitor.until("'Gain': <-3.0>");
}

#[test]
fn session_and_transport_tell_what_changes_and_positions_are_never_told() {
    let (_bus, server, monitor) = stage();
    let (tempo, mut client) = (aulos_protocol::Bpm::new(88.0), server.client());
    let (name, signature, edit_fade_ms, max_latency_ms) = Default::default();
    apply(&mut client, Command::SetSession { name, tempo, signature, edit_fade_ms, max_latency_ms });
    assert!(monitor.until("'Tempo'").pop().unwrap().contains("/org/aulos/Server/transport"));
    server.ok("play");
    monitor.until("'Rolling': <true>");
    for _ in 0..50 {
        apply(&mut client, Command::Step { blocks: vec![480; 10] });
    }
    server.ok("stop");
    let lines = monitor.until("'Rolling': <false>");
    for name in ["Position", "Frame'", "Load", "Cycles"] {
        assert!(!lines.iter().any(|line| line.contains(name)), "{name}: {lines:#?}");
    }
    let folder = server.folder().join("kept");
    server.ok(&format!("session save {}", folder.display()));
    assert!(monitor.until("'Path'").pop().unwrap().contains("kept"));
    server.ok(&format!("session new {}", server.folder().join("new").display()));
    let lines = monitor.until("'Path'");
    assert!(lines.last().unwrap().contains("new"), "{lines:#?}");
    // A render says when it ends.
    server.ok(&format!("render {} --to 0.1s", server.folder().join("x.wav").display()));
    assert!(monitor.until("Operation1.Ended").pop().unwrap().contains("x.wav"));
}

#[test]
fn a_bus_that_goes_is_left_and_served_again_when_it_is_back() {
    let mut bus = Bus::start();
    let server = bus.server(["--driver", "dummy"]);
    let frame = |server: &Server| match server.client().query(aulos_protocol::Query::Status).unwrap() {
        aulos_protocol::Reply::Status(status) => status.driver.frame.0,
        other => panic!("{other:?}"),
    };
    for _ in 0..2 {
        bus.end();
        let before = frame(&server);
        server.ok("set master/gain -3dB");
        while frame(&server) == before {}
        bus.again();
        bus.wait_for(aulos_tests::bus::NAME);
        assert_eq!(bus.get("node/master", "Master1", "Gain").unwrap().as_f64(), Some(-3.0));
    }
    assert!(server.log().contains("has gone"), "{}", server.log());
}

#[test]
fn a_name_that_is_taken_is_said_and_had_when_it_is_free() {
    let bus = Bus::start();
    let mut first = bus.server(["--driver", "stepped"]);
    let mut second = bus.spawn(["--driver", "stepped"]);
    second.answering();
    let begun = std::time::Instant::now();
    while !second.log().contains("is taken by another program") {
        assert!(begun.elapsed().as_secs() < 60, "{}", second.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(bus.get("", "Manager1", "Pid").unwrap(), first.pid());
    assert!(first.terminate().success());
    bus.wait_for(aulos_tests::bus::NAME);
    assert_eq!(bus.get("", "Manager1", "Pid").unwrap(), second.pid());
    // Another name, and none at all.
    let third = bus.spawn(["--driver", "stepped", "--dbus-name", "org.aulos.Server.Devel"]);
    bus.wait_for("org.aulos.Server.Devel");
    drop(third);
    let fourth = bus.server(["--driver", "stepped", "--no-dbus"]);
    assert!(!fourth.log().contains("D-Bus"), "{}", fourth.log());
}

#[test]
fn a_server_without_a_bus_serves_all_the_same() {
    let nowhere = std::ffi::OsStr::new("unix:path=/nowhere/bus");
    let mut server =
        Server::spawn_with(None, &[("DBUS_SESSION_BUS_ADDRESS", nowhere)], ["--driver", "stepped"]);
    server.answering();
    let begun = std::time::Instant::now();
    while !server.log().contains("is not served") {
        assert!(begun.elapsed().as_secs() < 60, "{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.ok("set master/gain -3dB");
    std::thread::sleep(Duration::from_millis(2500));
    // Said once, however often it is tried.
    assert_eq!(server.log().matches("is not served").count(), 1, "{}", server.log());
}

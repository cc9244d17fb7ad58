//! Who is let in, where it is listened to, and that every address leads somewhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use aulos_osc::{own, space};
use aulos_protocol::{Query, Reply, registry};
use aulos_tests::{
    osc::{Osc, place, s, status, wait_until},
    server::{Server, ask},
};
use rosc::OscType;

use crate::{ANY, stepped};

#[test]
fn a_port_that_another_has_is_told_and_the_server_goes_on() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    let server = Server::start(["--driver", "stepped", "--osc", &place]);
    let status = status(&mut server.client());
    assert_eq!(status.listens, None);
    let problem = status.problem.unwrap();
    assert!(problem.contains(&format!("another program has port {}", taken.local_addr().unwrap().port())));
    let shown = server.ok("status");
    assert!(shown.contains(&problem) && shown.contains("--osc off"), "{shown}");
    server.ok("track add drums");
    drop(server);
    // Two of ours, too.
    let first = stepped();
    let same = self::place(&first).to_string();
    let second = Server::start(["--driver", "stepped", "--osc", &same]);
    assert!(second.ok("status").contains("another program has port"));
    assert!(first.ok("status").contains(&same));
    for wrong in ["nowhere", "127.0.0.1", "127.0.0.1:70000", ":9000"] {
        let mut server = Server::spawn(["--driver", "stepped", "--osc", wrong]);
        assert_eq!(server.wait().code(), Some(2), "{wrong}");
        assert!(
            server.log().contains("--osc") && server.log().contains("127.0.0.1:9000"),
            "{}",
            server.log()
        );
    }
}

/// An address of this machine that is none of the loopback: packets from it come from another machine as far as can be
/// told. None where the machine has no network.
fn outside() -> Option<Ipv4Addr> {
    // Nothing is sent: it only tells by which address that would be.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip),
        _ => None,
    }
}

fn from(ip: Ipv4Addr, server: &Server) -> Osc {
    let port = place(server).port();
    Osc::between(SocketAddr::from((ip, 0)), SocketAddr::from((ip, port)))
}

#[test]
fn other_machines_are_let_in_by_the_list_only_and_get_no_files() {
    let Some(ip) = outside() else { panic!("this machine has no address but its own loopback") };
    let all = "0.0.0.0:0";
    let start = |more: &[&str]| Server::start([&["--driver", "stepped", "--osc", all][..], more].concat());

    let closed = start(&[]);
    closed.says("nobody else is allowed", 1);
    let stranger = from(ip, &closed);
    (0..50).for_each(|_| stranger.send("/engine/rate", &[]));
    wait_until(&closed, "it is refused", |status| status.refused == 50);
    let stream = std::net::TcpStream::connect((ip, place(&closed).port())).unwrap();
    assert_eq!(std::io::Read::read(&mut &stream, &mut [0; 9]).unwrap_or(0), 0);
    let status = wait_until(&closed, "it is refused", |status| status.refused == 51);
    assert_eq!((status.received, status.sent), (0, 0));
    let lines = closed.log().lines().filter(|line| line.contains("is refused")).count();
    assert!((1..5).contains(&lines), "{lines} lines of 51 refusals");

    let open = start(&["--osc-allow", &format!("192.0.2.0/24,{ip}")]);
    let mut guest = from(ip, &open);
    assert_eq!(guest.get("/engine/rate"), [OscType::Int(48_000)]);
    guest.ask("/node/add", &[s("track"), s("drums")]).unwrap();
    for (address, args) in [
        ("/session/open", vec![s("/tmp/x")]),
        ("/session/new", vec![s("/tmp/x")]),
        ("/session/save", vec![s("/tmp/x")]),
        ("/clip/add", vec![s("drums"), s("/etc/passwd")]),
        ("/render", vec![s("/tmp/x.wav")]),
        ("/driver/set", vec![s("dummy")]),
        ("/sys/step", vec![OscType::Int(64)]),
        ("/sys/shutdown", vec![]),
    ] {
        let (code, text) = guest.ask(address, &args).unwrap_err();
        assert!(code == -32005 && text.contains("--osc-trust"), "{address}: {text}");
    }
    // What is much larger than what was asked goes to who has subscribed only.
    assert!(guest.ask("/sys/status", &[]).unwrap_err().1.contains("/sys/subscribe"));
    guest.send("/sys/subscribe", &[s("/transport/state")]);
    guest.next_to("/transport/state");
    guest.send("/sys/status", &[]);
    assert_eq!(guest.next_to("/reply")[0], s("/sys/status"));

    let trusting = start(&["--osc-trust", "--osc-allow", &format!("{ip}")]);
    assert_eq!(from(ip, &trusting).ask("/sys/step", &[OscType::Int(64)]).unwrap()[0], OscType::Long(64));
}

#[test]
fn every_address_with_a_value_is_listed_read_and_set() {
    let server = stepped();
    for line in ["track add drums", "bus add room", "node add send verb", "node add eq tone", "vca add all"] {
        server.ok(line);
    }
    let mut osc = Osc::new(&server);
    osc.send("/sys/list", &[]);
    let mut addresses = Vec::new();
    while let [_, OscType::String(address)] = &osc.next_to("/reply")[..] {
        addresses.push(address.clone());
    }
    let Reply::Subscribed(state) = ask(&mut server.client(), Query::Subscribe { telemetry_hz: 0.0 }) else {
        panic!("no state")
    };
    let known: Vec<_> = space::all(&state).map(|target| target.to_string()).collect();
    assert_eq!(addresses, known);
    assert!(addresses.len() > 60, "{}", addresses.len());
    for address in &addresses {
        let value = osc.get(address);
        let target = space::find(&state, address).unwrap();
        assert_eq!(value, target.value(&state), "{address}");
        let set = osc.ask(address, &value);
        assert_eq!(set.is_ok(), target.is_writable(), "{address} {value:?}: {set:?}");
    }
    // By number, and all at once.
    assert_eq!(osc.get("/track/1/name"), [s("drums")]);
    osc.send("/sys/get", &[s("/*/*/gain")]);
    let mut gains = 0;
    let end = loop {
        match osc.hear() {
            message if message.addr == "/reply" => break message.args,
            message => gains += i32::from(message.addr.ends_with("/gain")),
        }
    };
    assert_eq!(end, [s("/sys/get"), OscType::Int(gains)]);
    assert!(gains >= 4, "{gains}");
}

#[test]
fn every_command_and_question_is_reached() {
    let server = stepped();
    let folder = server.folder().display().to_string();
    let mut osc = Osc::new(&server);
    let i = OscType::Int;
    let wav = aulos_tests::server::project().join("tests/tests/osc/main.rs").display().to_string();
    let script: Vec<(&str, Vec<OscType>)> = vec![
        ("/node/add", vec![s("track"), s("drums"), i(2), s("gain"), OscType::Float(-3.0)]),
        ("/node/rename", vec![s("drums"), s("kit")]),
        ("/node/duplicate", vec![s("kit"), s("other")]),
        ("/node/move", vec![s("other"), s("first")]),
        ("/node/set", vec![s("kit"), s("pan"), OscType::Float(0.5)]),
        ("/session/set", vec![s("evening"), OscType::Float(99.0)]),
        ("/graph/connect", vec![s("kit"), s("master")]),
        ("/graph/disconnect", vec![s("kit"), s("master")]),
        ("/node/add", vec![s("vca"), s("all")]),
        ("/members/add", vec![s("all"), s("kit"), s("other")]),
        ("/members/remove", vec![s("all"), s("other")]),
        ("/node/remove", vec![s("other")]),
        ("/sys/undo", vec![]),
        ("/sys/redo", vec![]),
        ("/transport/locate", vec![i(4800)]),
        ("/transport/loop", vec![i(0), i(9600), i(1)]),
        ("/transport/play", vec![]),
        ("/transport/pause", vec![]),
        ("/transport/stop", vec![]),
        ("/sys/sched/clear", vec![]),
        ("/loudness/reset", vec![]),
        ("/session/save", vec![s(&format!("{folder}/saved"))]),
        ("/sys/step", vec![i(64), i(64)]),
        ("/render", vec![s(&format!("{folder}/mix.wav")), i(0), i(4800)]),
        ("/operation/show", vec![i(1)]),
        ("/session/new", vec![s(&format!("{folder}/new"))]),
        ("/session/open", vec![s(&format!("{folder}/saved"))]),
        ("/sys/hello", vec![i(1)]),
        ("/sys/status", vec![]),
        ("/session/show", vec![]),
        ("/node/show", vec![s("kit")]),
        ("/node/get", vec![s("kit")]),
        ("/engine/latency", vec![]),
        ("/engine/meters", vec![]),
        ("/driver/list", vec![]),
        ("/sys/schema", vec![]),
    ];
    // What is refused for a reason of its own got there, too.
    let refused: Vec<(&str, Vec<OscType>, &str)> = vec![
        ("/clip/add", vec![s("kit"), s(&wav)], "main.rs"),
        ("/clip/remove", vec![s("kit"), i(99)], "99"),
        ("/clip/set", vec![s("kit"), i(99), i(5)], "99"),
        ("/operation/cancel", vec![i(99)], "99"),
        ("/driver/set", vec![s("dummy")], "stepped"),
        ("/node/analyze", vec![s("master"), i(1000)], "1000"),
    ];
    let mut reached: Vec<&str> = Vec::new();
    for (address, args) in &script {
        let answer = osc.ask(address, args);
        assert!(answer.is_ok(), "{address}: {answer:?}");
        reached.push(address);
    }
    for (address, args, part) in &refused {
        let (_, text) = osc.ask(address, args).unwrap_err();
        assert!(text.contains(part), "{address}: {text}");
        reached.push(address);
    }
    assert_eq!(osc.ask("/track/kit/pan", &[]).unwrap(), [OscType::Float(0.5)]);
    assert_eq!(osc.ask("/transport/tempo", &[]).unwrap(), [OscType::Float(99.0)]);
    assert_eq!(osc.ask("/transport/frame", &[]).unwrap(), [OscType::Long(0)]);
    assert_eq!(osc.ask("/sys/shutdown", &[i(1)]).unwrap(), []);
    reached.push("/sys/shutdown");
    let left: Vec<_> = registry::methods()
        .iter()
        .filter_map(|method| method.address)
        .filter(|address| !reached.contains(address))
        .collect();
    assert_eq!(left, Vec::<&str>::new(), "not reached");
    assert!(own::DOORS.iter().all(|door| !reached.contains(&door.address)));
    let mut server = server;
    assert!(server.wait().success());
    let _ = ANY;
}

//! Ports and latencies, as other JACK clients see them.

use aulos_tests::{
    jackd::{Jackd, wait_for},
    server::Server,
};

fn ours(jackd: &Jackd) -> Vec<String> {
    let mut ports: Vec<String> = jackd
        .run("jack_lsp", &[])
        .lines()
        .filter_map(|line| line.strip_prefix("aulos:"))
        .map(str::to_owned)
        .collect();
    ports.sort();
    ports
}

fn wait_ports(jackd: &Jackd, expected: &[&str]) {
    let mut expected: Vec<_> = expected.to_vec();
    expected.sort_unstable();
    wait_for("the ports", || (ours(jackd) == expected).then_some(()));
}

fn start(jackd: &Jackd) -> Server {
    jackd.aulosd(["--driver", "jack"])
}

#[test]
fn ports_follow_the_session() {
    let jackd = Jackd::start(48_000, 256);
    let server = start(&jackd);
    wait_ports(&jackd, &["output/L", "output/R"]);
    assert_eq!(jackd.links("aulos:output/R"), ["system:playback_2"]);
    server.ok("node add input mic --channels 1");
    server.ok("node add output phones first_channel=3");
    wait_ports(&jackd, &["output/L", "output/R", "mic/1", "phones/L", "phones/R"]);
    // What shares a channel shares its port.
    server.ok("node add output both --channels 4");
    wait_ports(&jackd, &["output/L", "output/R", "mic/1", "phones/L", "phones/R"]);
    server.ok("node rm output");
    wait_ports(&jackd, &["both/1", "both/2", "mic/1", "phones/L", "phones/R"]);
    // It is the same port by another name: what was connected stays so.
    assert_eq!(jackd.links("aulos:both/2"), ["system:playback_2"]);
    server.ok("undo");
    wait_ports(&jackd, &["output/L", "output/R", "mic/1", "phones/L", "phones/R"]);
    assert_eq!(jackd.links("aulos:output/R"), ["system:playback_2"]);
    server.ok("node rm phones both mic");
    wait_ports(&jackd, &["output/L", "output/R"]);
    server.ok("undo");
    wait_ports(&jackd, &["output/L", "output/R", "mic/1", "phones/L", "phones/R"]);
}

#[test]
fn another_session_has_its_ports_without_an_edit() {
    let jackd = Jackd::start(48_000, 256);
    let server = start(&jackd);
    let folder = |name: &str| server.folder().join(name).display().to_string();
    server.ok(&format!("session new {} --discard", folder("other")));
    for words in ["node add input mic", "node add output phones first_channel=3", "session save"] {
        server.ok(words);
    }
    wait_ports(&jackd, &["output/L", "output/R", "mic/L", "mic/R", "phones/L", "phones/R"]);
    // What is on its way out when the session goes is not left over, although frames begin anew.
    let begun = crate::driver(&server).frame.0;
    wait_for("three seconds", || (crate::driver(&server).frame.0 > begun + 144_000).then_some(()));
    server.ok("node rm phones");
    server.ok(&format!("session new {} --discard", folder("first")));
    wait_ports(&jackd, &["output/L", "output/R"]);
    server.ok(&format!("session open {}", folder("other")));
    wait_ports(&jackd, &["output/L", "output/R", "mic/L", "mic/R", "phones/L", "phones/R"]);
}

#[test]
fn a_port_that_is_made_anew_is_connected_again() {
    let jackd = Jackd::start_brisk(48_000, 256);
    let server = start(&jackd);
    wait_ports(&jackd, &["output/L", "output/R"]);
    let mut flapper = jackd.talk(env!("CARGO_BIN_EXE_jack-flapper"));
    assert_eq!(flapper.hear(), "here");
    jackd.connect("aulos:output/L", "flapper:in");
    let linked = || jackd.links("aulos:output/L").contains(&"flapper:in".to_owned());
    // It has been seen by then.
    let seen = crate::driver(&server).frame.0;
    wait_for("a second", || (crate::driver(&server).frame.0 > seen + 48_000).then_some(()));
    for _ in 0..5 {
        assert_eq!(flapper.say("again"), "anew");
        wait_for("the link", || linked().then_some(()));
    }
}

#[test]
fn latencies_are_read_and_told_both_ways() {
    let jackd = Jackd::start(48_000, 256);
    let server = start(&jackd);
    server.ok("node add input mic");
    server.ok("node add delay late frames=1000 report=on");
    server.ok("link mic late");
    server.ok("link late master");
    wait_for("the ports", || jackd.ports().contains("aulos:mic/R").then_some(()));
    for channel in ["1", "2"] {
        let port = if channel == "1" { "aulos:mic/L" } else { "aulos:mic/R" };
        jackd.connect(&format!("system:capture_{channel}"), port);
    }
    let latency = |port: &str, mode: &str| {
        let all = jackd.run("jack_lsp", &["-l"]);
        let mine = all.lines().skip_while(|line| *line != port).skip(1).take(2);
        let line = mine.map(str::trim).find(|line| line.contains(mode)).map(str::to_owned);
        line.unwrap_or_default()
    };
    // Dummy devices: a period on the way in, and two on the way out when synchronous mode is off.
    let outside = crate::driver(&server);
    wait_for("the device's latency", || {
        let status = crate::driver(&server);
        (status.playback_latency.0 > 0 && status.capture_latency.0 > 0).then_some(())
    });
    let status = crate::driver(&server);
    let (out, into) = (status.playback_latency.0, status.capture_latency.0);
    assert_eq!(outside.losses, 0);
    for (frames, expected) in [(1000, 1000), (40, 40)] {
        server.ok(&format!("set late/frames {frames}"));
        let heard = format!("port capture latency = [ {0} {0} ] frames", into + expected);
        wait_for("our outputs' latency", || (latency("aulos:output/L", "capture") == heard).then_some(()));
        let until = format!("port playback latency = [ {0} {0} ] frames", out + expected);
        wait_for("our inputs' latency", || (latency("aulos:mic/L", "playback") == until).then_some(()));
    }
}

#[test]
fn ports_that_a_file_leaves_unconnected_are_connected_for_one_run() {
    let jackd = Jackd::start(48_000, 256);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[driver]\nname = \"jack\"\nno_connect = true\n").unwrap();
    let config = file.path().to_str().unwrap();
    let server = jackd.aulosd(["--config", config]);
    wait_ports(&jackd, &["output/L", "output/R"]);
    let before = crate::driver(&server).cycles;
    wait_for("some cycles", || (crate::driver(&server).cycles > before + 20).then_some(()));
    assert_eq!(jackd.links("aulos:output/L"), [""; 0]);
    drop(server);
    let _server = jackd.aulosd(["--config", config, "--no-connect=false"]);
    wait_for("the link", || (jackd.links("aulos:output/L") == ["system:playback_1"]).then_some(()));
}

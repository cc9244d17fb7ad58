//! Servers that go and come back.

use std::time::{Duration, Instant};

use aulos_protocol::{DriverStatus, Event, Query, client::Notice};
use aulos_tests::{
    jackd::{Jackd, wait_for},
    server::{Server, ask},
};

use crate::driver;

fn wait(server: &Server, what: &str, is: impl Fn(&DriverStatus) -> bool) -> DriverStatus {
    wait_for(what, || Some(driver(server)).filter(&is))
}

const RATE: f64 = 48_000.0;
/// How much sound a clock may make up for that it had not come to before.
const HURRIES: Duration = Duration::from_secs(1);

/// Where the engine was, and between which two times that was so.
struct Seen {
    status: DriverStatus,
    asked: Instant,
    told: Instant,
}

impl Seen {
    fn now(server: &Server) -> Self {
        let asked = Instant::now();
        let status = driver(server);
        Self { status, asked, told: Instant::now() }
    }

    fn frame(&self) -> u64 {
        self.status.frame.0
    }

    /// The engine has gone no way back since `before`, and it has not run faster than time. However slow the machine
    /// is, time is measured so that it may only look better. How long the engine stood is not seen by this.
    fn follows(&self, before: &Self) {
        assert!(self.frame() >= before.frame());
        let frames = (self.frame() - before.frame()) as f64;
        // A clock may be fast by a hundredth, never by more.
        let most = (self.told.duration_since(before.asked) + HURRIES).as_secs_f64() * 1.01;
        assert!(frames <= most * RATE, "{frames} frames in {most} s");
    }
}

fn wait_seen(server: &Server, what: &str, is: impl Fn(&DriverStatus) -> bool) -> Seen {
    wait_for(what, || Some(Seen::now(server)).filter(|seen| is(&seen.status)))
}

/// For a server that stops: a second without a call is a loss.
const HASTY: [&str; 4] = ["--driver", "jack", "--device-patience", "1000"];

#[test]
fn the_graph_goes_on_and_ports_and_links_come_back() {
    const TIMES: u64 = 20;
    // What goes on as if nothing were lost.
    let beside = Server::start(["--driver", "dummy", "--block", "256"]);
    let (mut ran, mut ran_beside) = (0, 0);
    let mut jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "jack"]);
    server.ok("node add input mic");
    server.ok("node add tone hum level=-20dB");
    server.ok("link hum master");
    let ours = ["aulos:mic/L", "aulos:mic/R", "aulos:output/L", "aulos:output/R"];
    wait_for("the input's ports", || jackd.ports().contains("aulos:mic/R").then_some(()));
    // Other links than those that are made by themselves.
    jackd.disconnect("aulos:output/L", "system:playback_1");
    jackd.connect("aulos:output/R", "system:playback_1");
    jackd.connect("system:capture_2", "aulos:mic/L");
    let links = |jackd: &Jackd| ours.map(|port| jackd.links(port));
    let expected = [vec!["system:capture_2"], vec![], vec![], vec!["system:playback_1", "system:playback_2"]]
        .map(|links| links.into_iter().map(str::to_owned).collect::<Vec<_>>());
    wait_for("the links", || (links(&jackd) == expected).then_some(()));
    let mut watched = server.client();
    ask(&mut watched, Query::Subscribe { telemetry_hz: 0.0 });
    for time in 1..=TIMES {
        // What was linked is looked at many times a second.
        let seen = driver(&server);
        let before = wait_seen(&server, "some cycles", |status| status.cycles > seen.cycles + 100);
        let begun_beside = driver(&beside).frame.0;
        jackd.kill();
        let lost = wait(&server, "the loss", |status| status.lost.is_some());
        assert!(!lost.running && lost.losses == time, "{lost:?}");
        // The graph goes on under the dummy clock.
        let later = wait_seen(&server, "more frames", |status| status.frame.0 > lost.frame.0 + 4800);
        assert!(!later.status.running, "{:?}", later.status);
        later.follows(&before);
        // A second of the server beside, whatever that is for others. All that it does in it, this one could do, too.
        let ended =
            wait_for("a second", || Some(driver(&beside).frame.0).filter(|now| *now > begun_beside + 48_000));
        let now = Seen::now(&server);
        now.follows(&later);
        (ran, ran_beside) = (ran + now.frame() - before.frame(), ran_beside + ended - begun_beside);
        let later = now;
        jackd.again(256);
        let back = wait(&server, "the driver", |status| status.running);
        assert!(back.frame >= later.status.frame && back.lost.is_none(), "{back:?}");
        let back = wait_seen(&server, "more frames", |status| status.frame.0 > back.frame.0 + 4800);
        back.follows(&later);
        wait_for("the links", || (links(&jackd) == expected).then_some(()));
    }
    // The kills cost half of each second at most, and a tenth as a rule. Both clocks make up for what a busy machine
    // keeps them from, so that this is so there, too: in all, not each time.
    assert!(2 * ran >= ran_beside, "{ran} frames, while {ran_beside} went by beside");
    let (mut lost, mut back) = (0, 0);
    while lost < TIMES || back < TIMES {
        match watched.notice().unwrap() {
            Notice::Event(Event::Driver(status)) if status.lost.is_some() => lost = lost.max(status.losses),
            Notice::Event(Event::Driver(status)) if status.running => back = back.max(status.losses),
            _ => {}
        }
    }
}

#[test]
fn a_server_that_ends_in_order_is_taken_up_again_with_its_links() {
    let mut jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "jack", "--no-connect"]);
    wait_for("the ports", || jackd.ports().contains("aulos:output/R").then_some(()));
    assert_eq!(jackd.links("aulos:output/L"), [""; 0]);
    jackd.connect("aulos:output/L", "system:playback_2");
    let seen = driver(&server);
    wait(&server, "some cycles", |status| status.cycles > seen.cycles + 100);
    jackd.terminate();
    wait(&server, "the loss", |status| status.lost.is_some());
    // Another block than before.
    jackd.again(1024);
    wait(&server, "the driver", |status| status.running && status.block == 1024);
    wait_for("the link", || (jackd.links("aulos:output/L") == ["system:playback_2"]).then_some(()));
}

#[test]
fn a_server_that_stops_to_answer_is_lost_and_taken_up_again() {
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(HASTY);
    jackd.freeze(true);
    let lost = wait(&server, "the loss", |status| status.lost.is_some());
    wait(&server, "more frames", |status| status.frame.0 > lost.frame.0 + 48_000);
    server.ok("node add tone");
    jackd.freeze(false);
    wait(&server, "the driver", |status| status.running);
}

#[test]
fn a_server_that_stands_for_less_than_devices_may_is_waited_for() {
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "jack", "--device-patience", "60000"]);
    wait(&server, "some cycles", |status| status.cycles > 100);
    jackd.freeze(true);
    // Longer than it would be waited for without that.
    std::thread::sleep(Duration::from_secs(3));
    let stands = driver(&server);
    assert_eq!((stands.losses, stands.lost), (0, None));
    jackd.freeze(false);
    let goes = wait(&server, "more cycles", |status| status.cycles > stands.cycles + 100);
    assert_eq!((goes.losses, goes.running), (0, true));
}

#[test]
fn a_server_that_stops_in_the_middle_of_a_request_stops_nothing_here() {
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(HASTY);
    jackd.freeze(true);
    // Other ports are asked for at once, and another block: the server answers neither.
    server.ok("node add input mic");
    server.ok("node add output phones first_channel=3");
    let refused = server.ctl(["driver", "set", "--block", "512"]);
    let told = aulos_tests::server::text(&refused.stderr);
    assert!(!refused.status.success() && told.contains("does not answer"), "{told}");
    let lost = wait(&server, "the loss", |status| status.lost.is_some());
    wait(&server, "more frames", |status| status.frame.0 > lost.frame.0 + 48_000);
    // One that cannot be opened, either, leaves the way open for another.
    let refused = server.ctl(["driver", "set", "jack"]);
    let told = aulos_tests::server::text(&refused.stderr);
    assert!(!refused.status.success() && told.contains("does not answer"), "{told}");
    server.ok("driver set dummy");
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.lost), ("dummy", None));
    jackd.freeze(false);
    wait_for("the server", || server.ctl(["driver", "set", "jack"]).status.success().then_some(()));
    wait_for("the ports", || jackd.ports().contains("aulos:phones/R").then_some(()));
    assert!(jackd.ports().contains("aulos:mic/L"), "{}", jackd.ports());
}

#[test]
fn links_to_a_client_that_goes_come_back_with_it_unless_they_were_undone_by_hand() {
    let jackd = Jackd::start_brisk(48_000, 256);
    let server = jackd.aulosd(["--driver", "jack"]);
    server.ok("node add input mic");
    wait_for("the input's ports", || jackd.ports().contains("aulos:mic/R").then_some(()));
    let (clicks, ours) = ("clicks:120_bpm", "aulos:mic/L");
    // A server that is busy refuses it now and then.
    let begin = || {
        wait_for("the client", || {
            let mut metro = jackd.spawn("jack_metro", &["-b", "120", "-n", "clicks"]);
            wait_for("its port, or its end", || {
                let there = jackd.ports().contains(clicks);
                (there || !metro.runs()).then_some(there)
            })
            .then_some(metro)
        })
    };
    let settled = || {
        let seen = driver(&server);
        wait(&server, "a second", |status| status.frame.0 > seen.frame.0 + 48_000);
    };
    let metro = begin();
    jackd.connect(clicks, ours);
    settled();
    drop(metro);
    wait_for("its end", || (!jackd.ports().contains(clicks)).then_some(()));
    settled();
    let metro = begin();
    wait_for("the link", || (jackd.links(ours) == [clicks]).then_some(()));
    jackd.disconnect(clicks, ours);
    settled();
    drop(metro);
    wait_for("its end", || (!jackd.ports().contains(clicks)).then_some(()));
    settled();
    let _metro = begin();
    settled();
    assert_eq!(jackd.links(ours), [""; 0]);
}

#[test]
fn the_block_of_a_server_that_was_chosen_by_itself_is_changed() {
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "auto"]);
    server.ok("driver set --block 512");
    wait(&server, "the block", |status| status.block == 512);
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.running, status.losses), ("jack", true, 0));
    // The server itself has it, not only what is shown.
    assert!(jackd.run("jack_bufsize", &[]).contains("512"));
    // With another driver in between it is the same.
    server.ok("driver set dummy");
    server.ok("driver set jack --block 128");
    wait(&server, "the block", |status| status.block == 128);
    assert!(jackd.run("jack_bufsize", &[]).contains("128"));
}

#[test]
fn the_driver_changes_while_the_engine_goes_on() {
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "dummy"]);
    server.ok("node add tone hum");
    server.ok("link hum master");
    let mut frame = 0;
    for _ in 0..5 {
        for name in ["jack", "dummy"] {
            server.ok(&format!("driver set {name}"));
            let status = driver(&server);
            assert_eq!((status.name.as_str(), status.running, status.losses), (name, true, 0));
            assert!(status.frame.0 >= frame);
            frame = wait(&server, "more frames", |now| now.frame.0 > status.frame.0 + 2400).frame.0;
            assert_eq!(jackd.ports().contains("aulos:output/L"), name == "jack");
        }
    }
}

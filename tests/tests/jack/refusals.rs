//! What cannot be, and what is said of it.

use std::ffi::OsStr;

use aulos_tests::{
    jackd::{Jackd, wait_for},
    server::{Server, text},
};

use crate::driver;

const NOWHERE: [(&str, &str); 1] = [("JACK_DEFAULT_SERVER", "aulos-test-nowhere")];

fn nowhere() -> Vec<(&'static str, &'static OsStr)> {
    NOWHERE.iter().map(|(name, value)| (*name, OsStr::new(*value))).collect()
}

#[test]
fn without_a_server_there_is_an_error_that_helps() {
    let mut server = Server::spawn_with(None, &nowhere(), ["--driver", "jack"]);
    assert_eq!(server.wait().code(), Some(1));
    let log = server.log();
    assert!(log.contains("no server runs") && log.contains("jackd -d alsa"), "{log}");
}

#[test]
fn auto_says_what_it_took_and_why() {
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "auto"]);
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.reason.as_deref()), ("jack", Some("auto: a JACK server runs")));
    let empty = tempfile::tempdir().unwrap();
    let config = empty.path().join("nothing.conf");
    std::fs::write(&config, "").unwrap();
    let mut environment = nowhere();
    environment.push(("ALSA_CONFIG_PATH", config.as_os_str()));
    let mut server = Server::spawn_with(None, &environment, [""; 0]);
    server.answering();
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.running), ("dummy", true));
    let why = status.reason.unwrap();
    assert!(why.contains("no JACK") && why.contains("no sound device"), "{why}");
}

#[test]
fn auto_starts_beside_a_server_that_hangs_and_takes_it_when_it_answers() {
    let jackd = Jackd::start(48_000, 256);
    jackd.freeze(true);
    let mut environment = jackd.environment().to_vec();
    environment.push(("ALSA_CONFIG_PATH", OsStr::new("/dev/null")));
    let mut server = Server::spawn_with(None, &environment, ["--device-patience", "1000"]);
    server.answering();
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.running), ("dummy", true));
    assert!(status.reason.unwrap().contains("does not answer"));
    jackd.freeze(false);
    let status = wait_for("the driver", || Some(driver(&server)).filter(|status| status.name == "jack"));
    assert_eq!((status.running, status.losses), (true, 0));
    wait_for("the ports", || jackd.ports().contains("aulos:output/R").then_some(()));
}

#[test]
fn auto_goes_on_looking_after_another_block_was_asked_for() {
    let mut jackd = Jackd::start(48_000, 256);
    jackd.terminate();
    let server = jackd.aulosd(["--driver", "auto"]);
    server.ok("driver set --block 512");
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.block), ("dummy", 512));
    jackd.again(256);
    wait_for("the JACK server", || (driver(&server).name == "jack").then_some(()));
}

#[test]
fn a_server_that_hangs_is_looked_at_with_an_end() {
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "dummy"]);
    jackd.freeze(true);
    let refused = server.ctl(["driver", "ls"]);
    let told = text(&refused.stderr);
    assert!(!refused.status.success() && told.contains("does not answer"), "{told}");
    jackd.freeze(false);
    wait_for("the list", || server.ctl(["driver", "ls"]).status.success().then_some(()));
}

#[test]
fn drivers_are_listed_with_what_they_can_do() {
    let jackd = Jackd::start(48_000, 512);
    let server = jackd.aulosd(["--driver", "dummy"]);
    let list = server.ok("driver ls");
    assert!(list.contains("jack ") && list.contains("48000 Hz, 512 frames"), "{list}");
    assert!(list.contains("alsa ") && list.contains("dummy "), "{list}");
    let shown = server.ok("driver show");
    assert!(shown.starts_with("dummy, 256 frames"), "{shown}");
}

#[test]
fn bad_words_are_refused_and_the_driver_goes_on() {
    let server = Server::stepped();
    let refuse = |line: &str, why: &str| {
        let output = server.ctl(line.split_whitespace());
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(why), "{line}: {told}");
    };
    refuse("driver set jack", "its clock does not go in real time");
    refuse("driver set", "required");
    refuse("driver set pulse", "possible values");
    let server = Server::start(["--driver", "dummy"]);
    let refuse = |line: &str, why: &str| {
        let output = server.ctl(line.split_whitespace());
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(why), "{line}: {told}");
    };
    refuse("driver set --block 0", "8192");
    refuse("driver set --block 8193", "8192");
    refuse("driver set --device hw:0", "has no devices");
    refuse("driver set alsa --device no-such-device", "no-such-device");
    refuse("driver set dummy --dry-run", "");
    assert_eq!(driver(&server).name, "dummy");
    server.ok("driver set --block 64");
    assert_eq!(driver(&server).block, 64);
    let mut server = Server::spawn(["--driver", "jack", "--frames", "100"]);
    assert_eq!(server.wait().code(), Some(1));
    assert!(server.log().contains("a device cannot wait"), "{}", server.log());
    let mut server = Server::spawn(["--driver", "jack", "--device-patience", "99"]);
    assert_eq!(server.wait().code(), Some(2));
    assert!(server.log().contains("100..=600000"), "{}", server.log());
    let mut server = Server::spawn(["--driver", "jack", "--jack-name", "a:b"]);
    assert_eq!(server.wait().code(), Some(1));
    assert!(server.log().contains("no colon"), "{}", server.log());
}

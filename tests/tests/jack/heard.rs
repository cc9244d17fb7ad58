//! What is heard is what a render is.

use aulos_tests::{
    jackd::{Jackd, wait_for},
    noise,
    occurs::occurs,
};

use crate::{RECORDER, driver};

const PORTS: [&str; 2] = ["aulos:output/L", "aulos:output/R"];

#[test]
fn every_captured_block_occurs_in_the_render_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (session, rendered) = noise::session(dir.path(), 6);
    let jackd = Jackd::start(48_000, 128);
    let server = jackd.aulosd(["--driver", "jack", "--session", session.to_str().unwrap()]);
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.running, status.block), ("jack", true, 128));
    let recorder = jackd.record(RECORDER, &dir.path().join("heard"), &PORTS);
    server.ok("play");
    let frame = driver(&server).frame.0;
    wait_for("two seconds of sound", || (driver(&server).frame.0 > frame + 96_000).then_some(()));
    let heard = recorder.finish();
    let found = occurs(&rendered, &heard, 128).unwrap();
    assert!(found.frames > 48_000, "{found:?}");
    // The server waits for its clients: nothing is left out.
    assert_eq!((found.gaps, found.dropouts), (0, 0), "{found:?}");
}

#[test]
fn every_recorded_block_is_the_render_channel_by_channel() {
    // The longer cycles are recorded in parts, as they are beyond the session's max_block.
    for block in [256, 4096] {
        let dir = tempfile::tempdir().unwrap();
        let (session, rendered) = noise::session(dir.path(), 6);
        let jackd = Jackd::start(48_000, block);
        let server = jackd.aulosd(["--driver", "jack", "--session", session.to_str().unwrap()]);
        // What is played comes in again, and goes out by other ports, where it is heard.
        server.ok("node add input mic");
        server.ok("node add output back first_channel=3");
        server.ok("link mic back");
        wait_for("the ports", || {
            let ports = jackd.ports();
            (ports.contains("aulos:mic/R") && ports.contains("aulos:back/R")).then_some(())
        });
        for (out, into) in [("aulos:output/L", "aulos:mic/L"), ("aulos:output/R", "aulos:mic/R")] {
            jackd.connect(out, into);
        }
        let recorder = jackd.record(RECORDER, &dir.path().join("heard"), &["aulos:back/L", "aulos:back/R"]);
        server.ok("play");
        let frame = driver(&server).frame.0;
        wait_for("two seconds of sound", || (driver(&server).frame.0 > frame + 96_000).then_some(()));
        let found = occurs(&rendered, &recorder.finish(), block as usize).unwrap();
        assert!(found.frames > 48_000, "{found:?}");
        assert_eq!((found.gaps, found.dropouts), (0, 0), "{found:?}");
    }
}

#[test]
fn the_block_changes_while_it_plays() {
    let dir = tempfile::tempdir().unwrap();
    let (session, rendered) = noise::session(dir.path(), 12);
    let jackd = Jackd::start(48_000, 128);
    let server = jackd.aulosd(["--driver", "jack", "--session", session.to_str().unwrap()]);
    let recorder = jackd.record(RECORDER, &dir.path().join("heard"), &PORTS);
    server.ok("play");
    // Cycles longer than the session's max_block, too.
    for block in [64, 2048, 256, 4096, 32, 1024] {
        if block == 256 {
            server.ok("driver set --block 256");
        } else {
            jackd.run("jack_bufsize", &[&block.to_string()]);
        }
        let before = wait_for("the block", || Some(driver(&server)).filter(|status| status.block == block));
        wait_for("ten cycles", || (driver(&server).cycles > before.cycles + 10).then_some(()));
    }
    let found = occurs(&rendered, &recorder.finish(), 32).unwrap();
    assert!(found.frames > 48_000, "{found:?}");
    assert_eq!((found.gaps, found.dropouts), (0, 0), "{found:?}");
    assert_eq!(driver(&server).losses, 0);
}

#[test]
fn in_freewheel_nothing_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (session, rendered) = noise::session(dir.path(), 60);
    let jackd = Jackd::start(48_000, 256);
    let server = jackd.aulosd(["--driver", "jack", "--session", session.to_str().unwrap()]);
    let recorder = jackd.record(RECORDER, &dir.path().join("heard"), &PORTS);
    server.ok("play");
    jackd.run("jack_freewheel", &["y"]);
    let frame = driver(&server).frame.0;
    // More than a minute of sound, in less time than the test has patience.
    wait_for("the end of the clip", || (driver(&server).frame.0 > frame + 70 * 48_000).then_some(()));
    jackd.run("jack_freewheel", &["n"]);
    let found = occurs(&rendered, &recorder.finish(), 256).unwrap();
    assert_eq!((found.frames, found.gaps, found.dropouts), (rendered[0].len(), 0, 0));
    let status = server.ok("status");
    assert!(status.contains("0 underruns"), "{status}");
}

//! Devices that fail in the middle, and what is no clock.

use aulos_tests::jackd::{Jackd, wait_for};

use crate::{Home, driver};

#[test]
fn a_device_that_fails_in_the_middle_is_stood_in_for_and_taken_up_again() {
    let home = Home::new();
    let mut jackd = Jackd::start(48_000, 256);
    let server = home.aulosd(&jackd, ["--driver", "alsa", "--record", "0", "--device-patience", "1000"]);
    server.ok("node add tone hum");
    server.ok("link hum master");
    for time in 1..=3 {
        let seen = driver(&server);
        wait_for("some cycles", || (driver(&server).cycles > seen.cycles + 50).then_some(()));
        jackd.kill();
        let lost = wait_for("the loss", || Some(driver(&server)).filter(|status| status.lost.is_some()));
        assert_eq!((lost.running, lost.losses), (false, time), "{lost:?}");
        let later =
            wait_for("more frames", || Some(driver(&server)).filter(|s| s.frame.0 > lost.frame.0 + 4800));
        jackd.again(256);
        let back = wait_for("the device", || Some(driver(&server)).filter(|status| status.running));
        assert!(back.frame >= later.frame && back.lost.is_none(), "{back:?}");
    }
}

#[test]
fn the_null_device_is_no_clock_and_does_not_run_away() {
    let home = Home::new();
    let jackd = Jackd::start(48_000, 256);
    let server = home.aulosd(&jackd, ["--driver", "dummy"]);
    let begun = std::time::Instant::now();
    let before = driver(&server).frame.0;
    server.ok("driver set alsa --device null");
    let lost = wait_for("the loss", || Some(driver(&server)).filter(|status| status.lost.is_some()));
    assert!(lost.lost.as_ref().unwrap().contains("no clock"), "{lost:?}");
    // No more than time and what devices may take in advance. A slow machine makes this no less: time that passes
    // allows more frames, and is counted from before they are to after.
    let most = begun.elapsed().as_secs_f64() * 1.1 * 48_000.0 + 2.5 * 48_000.0;
    assert!(((lost.frame.0 - before) as f64) < most, "{before} {lost:?} {most}");
    // It is not tried again by itself.
    wait_for("more frames", || (driver(&server).frame.0 > lost.frame.0 + 96_000).then_some(()));
    assert_eq!(driver(&server).losses, 1);
    server.ok("driver set dummy");
    assert_eq!(driver(&server).lost, None);
}

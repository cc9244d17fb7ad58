//! A server of another rate than the session's.

use aulos_tests::{
    jackd::{Jackd, wait_for},
    server::Server,
    tone,
};

use crate::{RECORDER, driver};

/// The tone of the session, in Hz.
const HUM: f64 = 1000.0;

fn hum(server: &Server) {
    server.ok("node add tone hum frequency=1000 level=-6dB");
    server.ok("link hum master");
}

/// What was heard is the tone, sample by sample, whatever the machine did meanwhile: the server waits for its clients.
fn is_the_hum(heard: &[Vec<f32>], hz: f64) {
    for channel in heard {
        // It fades in.
        assert!(channel.len() > 40_000, "{} frames", channel.len());
        let heard = tone::measure(channel, 4800..channel.len(), HUM / hz);
        assert!((20.0 * heard.amplitude.log10() + 6.0).abs() < 0.05, "{}", heard.amplitude);
        assert!(heard.rest_db() < -100.0, "{} dB of something else", heard.rest_db());
    }
}

#[test]
fn it_hears_the_session_resampled_and_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    for (rate, session) in [(44_100, 48_000_u32), (48_000, 44_100), (96_000, 48_000)] {
        let jackd = Jackd::start(rate, 256);
        let hz = session.to_string();
        let server = jackd.aulosd(["--driver", "jack", "--rate", hz.as_str()]);
        let status = driver(&server);
        assert_eq!((status.running, status.other_rate, status.block), (true, Some(rate), 256));
        let shown = server.ok("driver show");
        assert!(
            shown.contains(&format!("runs at {rate} Hz, resampled to the session's {session} Hz")),
            "{shown}"
        );
        let warned = server.ok("status");
        assert!(warned.contains(&format!("at {rate} Hz, the session at {session} Hz")), "{warned}");
        hum(&server);
        let before = driver(&server).frame.0;
        wait_for("the tone", || (driver(&server).frame.0 > before + 9600).then_some(()));
        let recorder = jackd.record(
            RECORDER,
            &dir.path().join(format!("heard{rate}")),
            &["aulos:output/L", "aulos:output/R"],
        );
        let before = driver(&server).frame.0;
        wait_for("two seconds", || (driver(&server).frame.0 > before + 2 * u64::from(session)).then_some(()));
        is_the_hum(&recorder.finish(), f64::from(rate));
    }
}

#[test]
fn a_session_of_another_rate_is_played_on_without_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    for (name, first, then, other) in
        [("other", 48_000, 44_100, Some(48_000)), ("same", 44_100, 48_000, None)]
    {
        // One for each: a recorder that leaves a server in synchronous mode has it stand now and then.
        let jackd = Jackd::start_brisk(48_000, 256);
        let server = jackd.aulosd(["--driver", "jack", "--rate", &format!("{first}")]);
        assert_eq!(driver(&server).other_rate.is_some(), other.is_none());
        let folder = server.folder().join(name);
        server.ok(&format!("session new {} --rate {then} --discard", folder.display()));
        hum(&server);
        wait_for("the driver", || {
            let status = driver(&server);
            (status.running && status.other_rate == other).then_some(())
        });
        wait_for("the ports", || jackd.ports().contains("aulos:output/R").then_some(()));
        let before = driver(&server).frame.0;
        wait_for("the tone", || (driver(&server).frame.0 > before + 24_000).then_some(()));
        let recorder = jackd.record(RECORDER, &dir.path().join(name), &["aulos:output/L"]);
        let before = driver(&server).frame.0;
        wait_for("two seconds", || (driver(&server).frame.0 > before + 96_000).then_some(()));
        let status = driver(&server);
        assert_eq!((status.losses, status.lost), (0, None));
        is_the_hum(&recorder.finish(), 48_000.0);
    }
}

#[test]
fn what_it_plays_and_records_is_later_by_the_filters() {
    // The dummy device's own latencies of a block each last half as long at twice the rate; half the points of each
    // filter, and a few frames in which the two meet, are added.
    for (rate, playback, capture) in [(48_000, 256..=256, 256..=256), (96_000, 288..=288, 288..=298)] {
        let jackd = Jackd::start(rate, 256);
        let server = jackd.aulosd(["--driver", "jack"]);
        server.ok("node add input mic");
        wait_for("the ports", || jackd.ports().contains("aulos:mic/L").then_some(()));
        jackd.connect("system:capture_1", "aulos:mic/L");
        wait_for("the latencies", || {
            let status = driver(&server);
            let seen = (status.playback_latency.0, status.capture_latency.0);
            (playback.contains(&seen.0) && capture.contains(&seen.1)).then_some(())
        });
    }
}

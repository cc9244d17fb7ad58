//! What a device gets is the render, in the form that the device has. A device that is not served in time leaves
//! something out: gaps are no fault here, samples that are nowhere in the render are.

use aulos_tests::{
    jackd::{Jackd, wait_for},
    noise,
    occurs::occurs,
    server::{Server, text},
};

use crate::{Home, driver};

/// Frames, silence behind them aside, that fade out when the server ends, and what the device has not taken.
const END: usize = 2 * 48_000 / 100;

/// The nearest integer of so many bits, as a float that holds it exactly enough to be told from every other: in two
/// parts, as 32 bits do not fit into one.
fn halves(samples: &[i32]) -> (Vec<f32>, Vec<f32>) {
    samples.iter().map(|x| ((x >> 16) as f32, (x & 0xffff) as f32)).unzip()
}

fn quantised(rendered: &[Vec<f32>], bits: u32) -> Vec<Vec<i32>> {
    let scale = 2f64.powi(bits as i32 - 1);
    let one = |x: &f32| (f64::from(*x) * scale).round_ties_even().clamp(-scale, scale - 1.0) as i32;
    rendered.iter().map(|channel| channel.iter().map(one).collect()).collect()
}

fn channels<T: Copy>(samples: &[T]) -> Vec<Vec<T>> {
    (0..2).map(|channel| samples.iter().skip(channel).step_by(2).copied().collect()).collect()
}

/// Without what fades out at the end, and the silence behind that.
fn without_the_end<T: Copy + Default + PartialEq>(channels: &[Vec<T>]) -> Vec<Vec<T>> {
    let sounds =
        |channel: &Vec<T>| channel.iter().rposition(|x| *x != T::default()).map_or(0, |last| last + 1);
    let end = channels.iter().map(sounds).max().unwrap_or(0).saturating_sub(END);
    channels.iter().map(|channel| channel[..end].to_vec()).collect()
}

/// Compares integers as floats.
fn as_floats(channels: &[Vec<i32>]) -> Vec<Vec<f32>> {
    channels
        .iter()
        .flat_map(|channel| {
            let (high, low) = halves(channel);
            [high, low]
        })
        .collect()
}

fn play(format: &str) -> (Vec<Vec<f32>>, Vec<u8>) {
    let home = Home::new();
    let jackd = Jackd::start(48_000, 256);
    let (session, rendered) = noise::session(home.path(), 6);
    // Were it to record as well, the recording side would begin the file anew.
    let args = ["--driver", "alsa", "--device", "witness", "--record", "0", "--sample-format", format];
    let args = args.into_iter().chain(["--session"]);
    let mut server = home.aulosd(&jackd, args.chain([session.to_str().unwrap()]));
    let status = driver(&server);
    assert!(status.running, "{status:?}");
    let device = status.device.unwrap();
    assert!(device.contains("witness") && device.contains(&format.to_uppercase()), "{device}");
    server.ok("play");
    let frame = driver(&server).frame.0;
    wait_for("two seconds of sound", || (driver(&server).frame.0 > frame + 96_000).then_some(()));
    let status = driver(&server);
    assert_eq!((status.losses, status.lost), (0, None));
    assert!(server.terminate().success(), "{}", server.log());
    (rendered, std::fs::read(home.played()).unwrap())
}

fn integers(bits: u32, bytes: &[u8]) -> Vec<i32> {
    match bits {
        16 => {
            let (samples, rest) = bytes.as_chunks::<2>();
            assert!(rest.is_empty());
            samples.iter().map(|b| i32::from(i16::from_le_bytes(*b))).collect()
        }
        // 24 bits lie in the lower three of four bytes.
        24 => {
            let (samples, _) = bytes.as_chunks::<4>();
            samples.iter().map(|b| i32::from_le_bytes(*b) << 8 >> 8).collect()
        }
        _ => {
            let (samples, _) = bytes.as_chunks::<4>();
            samples.iter().map(|b| i32::from_le_bytes(*b)).collect()
        }
    }
}

/// Floats by channel, without the end.
fn floats(bytes: &[u8]) -> Vec<Vec<f32>> {
    let (samples, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    let samples: Vec<f32> = samples.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    without_the_end(&channels(&samples))
}

fn integers_are_the_render(format: &str, bits: u32) {
    let (rendered, bytes) = play(format);
    let got = without_the_end(&channels(&integers(bits, &bytes)));
    let found = occurs(&as_floats(&quantised(&rendered, bits)), &as_floats(&got), 256).unwrap();
    assert!(found.frames > 48_000 && found.dropouts == 0, "{found:?}");
}

#[test]
fn s16_is_the_render_quantised() {
    integers_are_the_render("s16", 16);
}

#[test]
fn s24_is_the_render_quantised() {
    integers_are_the_render("s24", 24);
}

#[test]
fn s32_is_the_render_quantised() {
    integers_are_the_render("s32", 32);
}

#[test]
fn f32_is_the_render() {
    let (rendered, bytes) = play("f32");
    let found = occurs(&rendered, &floats(&bytes), 256).unwrap();
    assert!(found.frames > 48_000 && found.dropouts == 0, "{found:?}");
}

/// A saved session that plays what it records, unchanged from its first frame on.
fn passing(home: &Home) -> String {
    let path = home.path().join("passing").display().to_string();
    let server = Server::stepped();
    server.ok(&format!("session new {path}"));
    server.ok("raw session_set {\"edit_fade_ms\":0}");
    server.ok("unlink master output");
    server.ok("node add input mic");
    server.ok("link mic output");
    server.ok("session save");
    path
}

/// What is recorded of `file`, which a device gives as its own, is `expected`, channel by channel.
fn what_is_recorded_is(device: &str, file: &[u8], expected: &[Vec<f32>]) {
    let home = Home::new();
    std::fs::write(home.recorded(), file).unwrap();
    let session = passing(&home);
    let jackd = Jackd::start(48_000, 256);
    let args = ["--driver", "alsa", "--device", device, "--sample-format", "f32", "--session", &session];
    let mut server = home.aulosd(&jackd, args);
    let before = driver(&server);
    assert!(before.running, "{before:?}");
    let told = server.ok("status");
    assert!(!told.contains("does not record"), "{told}");
    wait_for("two seconds of sound", || (driver(&server).frame.0 > before.frame.0 + 96_000).then_some(()));
    let status = driver(&server);
    assert_eq!((status.losses, status.lost), (0, None));
    assert!(server.terminate().success(), "{}", server.log());
    let got = floats(&std::fs::read(home.played()).unwrap());
    let found = occurs(expected, &got, 256).unwrap();
    assert!(found.frames > 48_000, "{found:?}");
    // What a device has recorded and the other side did not take in time is left out, and counted.
    assert!((found.gaps + found.dropouts) as u64 <= status.xruns, "{found:?}, {} xruns", status.xruns);
}

/// Samples of noise, two channels of them, for much longer than a test takes.
fn recording() -> Vec<i32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        // As in `noise`, of which it is independent.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32 as i32
    };
    (0..2 * 30 * 48_000).map(next).collect()
}

#[test]
fn what_is_recorded_as_f32_is_what_the_device_has_heard() {
    let recording: Vec<f32> = recording().iter().map(|x| (x >> 8) as f32 / 8_388_608.0).collect();
    let bytes: Vec<u8> = recording.iter().flat_map(|x| x.to_le_bytes()).collect();
    what_is_recorded_is("memory", &bytes, &channels(&recording));
}

#[test]
fn what_is_recorded_as_s32_is_what_the_device_has_heard() {
    let recording = recording();
    let bytes: Vec<u8> = recording.iter().flat_map(|x| x.to_le_bytes()).collect();
    let heard: Vec<f32> = recording.iter().map(|x| (f64::from(*x) / 2_147_483_648.0) as f32).collect();
    what_is_recorded_is("memory32", &bytes, &channels(&heard));
}

#[test]
fn the_default_device_records_and_plays() {
    let home = Home::new();
    let jackd = Jackd::start(48_000, 256);
    let server = home.aulosd(&jackd, ["--driver", "alsa"]);
    server.ok("node add input mic");
    server.ok("node add bus in");
    server.ok("link mic in");
    server.ok("link in master");
    let status = driver(&server);
    assert!(status.running && status.device.as_ref().unwrap().contains("default"), "{status:?}");
    wait_for("a second of sound", || (driver(&server).frame.0 > 48_000).then_some(()));
    let [records, plays] = ["aulosd.C", "aulosd.P"].map(|client| {
        let ports = jackd.ports();
        let port = ports.lines().find(|line| line.starts_with(client)).map(str::to_owned);
        port.unwrap_or_else(|| panic!("{client} has no port: {ports}"))
    });
    // The dummy device is silent: what the device plays is what it records.
    jackd.disconnect("system:capture_1", &records);
    jackd.connect(&plays, &records);
    server.ok("set in gain -20dB");
    server.ok("node add tone hum level=-20dB");
    server.ok("link hum master");
    wait_for("what was recorded", || {
        let meters = server.ok("meters --once");
        let line = meters.lines().find(|line| line.starts_with("in "))?.to_owned();
        (!line.contains("-inf")).then_some(())
    });
}

#[test]
fn a_block_or_a_rate_that_the_device_does_not_have() {
    let home = Home::new();
    let jackd = Jackd::start(48_000, 256);
    // Of JACK's PCM the period is that of the server.
    let args = ["--driver", "alsa", "--device", "rigid", "--block", "100", "--record", "0"];
    let server = home.aulosd(&jackd, args);
    let status = driver(&server);
    assert!(status.running && status.block != 100, "{status:?}");
    wait_for("the warning", || server.ok("status").contains("has cycles of").then_some(()));
    drop(server);
    let session = home.path().join("other");
    let maker = Server::stepped();
    maker.ok(&format!("session new {} --rate 44100", session.display()));
    drop(maker);
    let args = ["--driver", "alsa", "--device", "rigid", "--session", session.to_str().unwrap()];
    let server = home.aulosd(&jackd, args);
    let status = driver(&server);
    assert_eq!((status.running, status.other_rate), (true, Some(48_000)), "{status:?}");
    wait_for("the warning", || {
        let told = server.ok("status");
        (told.contains("at 48000 Hz, the session at 44100 Hz")).then_some(())
    });
    drop(server);
    // A device that converts has any.
    let args = ["--driver", "alsa", "--device", "default", "--session", session.to_str().unwrap()];
    let server = home.aulosd(&jackd, args);
    wait_for("frames", || (driver(&server).frame.0 > 4410).then_some(()));
    assert!(driver(&server).running);
}

#[test]
fn devices_are_listed_and_a_wrong_name_is_met_with_close_ones() {
    let home = Home::new();
    let jackd = Jackd::start(48_000, 256);
    let server = home.aulosd(&jackd, ["--driver", "dummy"]);
    let list = server.ok("driver ls");
    assert!(list.contains("witness") && list.contains("Keeps what it plays"), "{list}");
    assert!(list.contains("S16 S24 S32 F32"), "{list}");
    let refused = server.ctl(["driver", "set", "alsa", "--device", "witnes"]);
    let told = text(&refused.stderr);
    assert!(!refused.status.success() && told.contains("witness"), "{told}");
    assert_eq!(driver(&server).name, "dummy");
    server.ok("driver set alsa --device witness");
    assert!(driver(&server).running);
    server.ok("driver set --block 512");
    assert_eq!(driver(&server).name, "alsa");
    server.ok("driver set dummy");
    assert_eq!(driver(&server).losses, 0);
}

#[test]
fn auto_takes_the_default_device_when_no_jack_can_be_used() {
    let home = Home::new();
    // A server that cannot be used, as its rate is beyond all that sessions have; ALSA's converter can.
    let jackd = Jackd::start(400_000, 2048);
    let server = home.aulosd(&jackd, [""; 0]);
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.running), ("alsa", true), "{}", server.log());
    let why = status.reason.unwrap();
    assert!(why.contains("no JACK") && why.contains("400000 Hz"), "{why}");
}

/// The device gets as many channels as the session's outputs use, also of outputs that come while it plays; what it
/// cannot reach is said.
#[test]
fn as_many_channels_as_the_session_uses() {
    let home = Home::new();
    let jackd = Jackd::start(48_000, 256);
    let mut server = home.aulosd(&jackd, ["--driver", "alsa", "--device", "witness", "--record", "0"]);
    assert!(driver(&server).device.unwrap().contains("F32, 2 channels"));
    for line in ["node add output far first_channel=3", "node add tone hum level=-20dB", "link hum far"] {
        server.ok(line);
    }
    let opened = wait_for("four channels", || {
        let status = driver(&server);
        (status.running && status.device.as_ref()?.contains("F32, 4 channels")).then_some(status)
    });
    assert_eq!((opened.losses, opened.lost), (0, None));
    wait_for("a second of sound", || (driver(&server).frame.0 > opened.frame.0 + 48_000).then_some(()));
    assert!(server.terminate().success(), "{}", server.log());
    let bytes = std::fs::read(home.played()).unwrap();
    let (samples, _) = bytes.as_chunks::<4>();
    let peak = |channel: usize| {
        let samples = samples.iter().skip(channel).step_by(4).map(|bytes| f32::from_le_bytes(*bytes).abs());
        samples.fold(0.0, f32::max)
    };
    assert_eq!([peak(0), peak(1)], [0.0; 2]);
    assert!((peak(2) - 0.1).abs() < 1e-3 && (peak(3) - 0.1).abs() < 1e-3, "{} {}", peak(2), peak(3));

    // This one has two, and does not record.
    let server = home.aulosd(&jackd, ["--driver", "alsa", "--device", "rigid"]);
    server.ok("node add output far first_channel=3");
    server.ok("node add input mic");
    for told in [
        "channel 4 of the outputs leads nowhere: the device plays 2 channels",
        "channel 2 of the inputs leads nowhere: the device records 0 channels",
    ] {
        wait_for(told, || server.ok("status").contains(told).then_some(()));
    }
    assert!(driver(&server).device.unwrap().contains("2 channels"));
}

//! A desktop's PipeWire, by the ALSA device of PulseAudio.

use std::{collections::HashMap, ffi::OsStr};

use aulos_tests::{desktop::Desktop, jackd::wait_for, noise, server::Server};

use crate::driver;

/// Frames that must be the same in a row to count as heard.
const RUN: usize = 64;

/// How many frames of `heard` are those of `rendered`, bit by bit and in both channels, in runs that follow each other.
/// A machine that is busy leaves something out between them.
fn found(rendered: &[Vec<f32>], heard: &[Vec<f32>; 2]) -> usize {
    let bits = |signal: &[Vec<f32>], at: usize| [0, 1].map(|channel| signal[channel][at].to_bits());
    // Noise is the same nowhere twice.
    let places: HashMap<_, _> = (0..rendered[0].len()).map(|at| (bits(rendered, at), at)).collect();
    let (mut at, mut next, mut count) = (0, 0, 0);
    while at < heard[0].len() {
        let place = places.get(&bits(heard, at)).copied().filter(|place| *place >= next);
        let run = place.map_or(0, |place| {
            let most = (heard[0].len() - at).min(rendered[0].len() - place);
            (0..most).take_while(|frame| bits(heard, at + frame) == bits(rendered, place + frame)).count()
        });
        if run >= RUN {
            next = place.map_or(next, |place| place + run);
            count += run;
        }
        at += run.max(1);
    }
    count
}

#[test]
fn a_desktop_hears_the_render_as_it_is() {
    let desktop = Desktop::start();
    let dir = tempfile::tempdir().unwrap();
    let (session, rendered) = noise::session(dir.path(), 30);
    let environment = desktop.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    // Neither a JACK server: what is chosen is the desktop.
    let environment =
        [&environment[..], &[("JACK_DEFAULT_SERVER", OsStr::new("aulos-test-nowhere"))]].concat();
    let args = ["--driver", "auto", "--record", "0", "--device-patience", "60000", "--session"];
    let mut server =
        Server::spawn_with(None, &environment, args.into_iter().chain([session.to_str().unwrap()]));
    server.answering();
    let status = driver(&server);
    assert_eq!((status.name.as_str(), status.running), ("alsa", true), "{status:?}");
    assert_eq!(status.device.as_deref(), Some("ALSA device \"default\" (F32, 2 channels)"));
    let recording = desktop.record();
    wait_for("the recording", || (recording.heard()[1].len() > 4800).then_some(()));
    server.ok("play");
    wait_for("a second of the render", || (found(&rendered, &recording.heard()) >= 48_000).then_some(()));
}

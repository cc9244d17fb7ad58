use std::f64::consts::TAU;

use aulos_protocol::{NodeKind, Value};
use proptest::prelude::*;

use super::*;
use crate::{
    bench::{built, n, node, noise, play, run, same, setting},
    dsp,
};

const RATE: f64 = 48_000.0;

fn dynamics(channels: u16, set: &[(&str, Value)]) -> Node {
    node(NodeKind::Dynamics, channels, set)
}

/// Inputs and sidechains of noise whose loudness changes.
fn breathing(channels: usize, frames: usize) -> Vec<Vec<f32>> {
    let mut signals = noise(channels, frames);
    for (number, signal) in signals.iter_mut().enumerate() {
        let swell = |n: usize| (TAU * n as f64 / (900.0 + 200.0 * number as f64)).sin().powi(4) as f32;
        signal.iter_mut().enumerate().for_each(|(n, x)| *x *= swell(n));
    }
    signals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_cut_into_blocks_gives_the_same_bits(blocks in prop::collection::vec(1usize..300, 1..12)) {
        let node = dynamics(2, &[("gate", n(1.0)), ("gate_threshold", n(-20.0)), ("gate_hold", n(2.0))]);
        let moves = [
            ("threshold", n(-40.0), 100),
            ("makeup", n(6.0), 333),
            ("detector", Value::name("rms"), 500),
            ("low_cut", n(1.0), 700),
            ("low_cut_frequency", n(900.0), 750),
            ("ratio", n(9.0), 750),
            ("knee", n(0.0), 810),
            ("sidechain", n(1.0), 1000),
            ("attack", n(0.01), 1001),
            ("gate", n(0.0), 1300),
            ("compressor", n(0.0), 1600),
            ("compressor", n(1.0), 2000),
            ("bypass", n(1.0), 2200),
        ];
        let settings = moves.map(|(param, value, frame)| setting(&node, param, value, frame));
        let input = breathing(4, 2500);
        let whole = run(&node, &input, &settings, &[2500]);
        same("blocks", &whole, &run(&node, &input, &settings, &blocks));
    }

    #[test]
    fn any_cut_gives_the_same_bits_while_the_range_moves(blocks in prop::collection::vec(1usize..300, 1..12)) {
        let set = [
            ("gate", n(1.0)),
            ("gate_threshold", n(-20.0)),
            ("gate_hold", n(2.0)),
            ("gate_attack", n(5.0)),
            ("gate_release", n(5.0)),
        ];
        let node = dynamics(2, &set);
        let moves = [
            ("gate_range", n(-20.0), 90),
            ("gate_range", n(-50.0), 200),
            ("gate_range", n(0.0), 401),
            ("gate_range", Value::Silence, 900),
            ("gate_range", n(-6.0), 1000),
            ("gate_release", n(50.0), 1100),
            ("gate_range", n(-40.0), 1700),
        ];
        let settings = moves.map(|(param, value, frame)| setting(&node, param, value, frame));
        let input = breathing(4, 2500);
        let whole = run(&node, &input, &settings, &[2500]);
        same("blocks", &whole, &run(&node, &input, &settings, &blocks));
    }
}

#[test]
fn with_nothing_to_do_it_is_the_input_bit_for_bit() {
    let input = noise(4, 3000);
    let quiet = dynamics(2, &[("threshold", n(0.0)), ("knee", n(0.0))]);
    same("below the threshold", &run(&quiet, &input, &[], &[480]), &input[..2]);
    let off = dynamics(2, &[("compressor", n(0.0))]);
    same("off", &run(&off, &input, &[], &[480]), &input[..2]);
    let bypassed = dynamics(2, &[("bypass", n(1.0)), ("threshold", n(-60.0))]);
    same("bypassed", &run(&bypassed, &input, &[], &[480]), &input[..2]);
}

/// A sine at this level (its RMS, in dB), settled: by how many dB the output is another.
fn gain(node: &Node, level: f64) -> f64 {
    let amplitude = 2f64.sqrt() * dsp::factor(level);
    let sine = |n: usize| (amplitude * (TAU * 997.0 / RATE * n as f64).sin()) as f32;
    let mut input = vec![(0..48_000).map(sine).collect::<Vec<_>>()];
    input.push(vec![0.0; 48_000]);
    let output = run(node, &input, &[], &[512]);
    let power = |signal: &[f32]| signal[24_000..].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    5.0 * 2.0 * (power(&output[0]) / power(&input[0])).log10()
}

/// The RMS of a sine goes through the static curve, whole chain included.
#[test]
fn the_static_curve_holds_for_sines() {
    for (threshold, ratio, knee) in [(-30.0, 2.0, 0.0), (-20.0, 4.0, 6.0), (-40.0, 20.0, 12.0)] {
        let set = [
            ("detector", Value::name("rms")),
            ("threshold", n(threshold)),
            ("ratio", n(ratio)),
            ("knee", n(knee)),
            ("makeup", n(3.0)),
        ];
        let node = dynamics(1, &set);
        for level in (-60..=-4).step_by(4).map(f64::from) {
            let over: f64 = level - threshold;
            let reduction = if over <= -knee / 2.0 {
                0.0
            } else if over < knee / 2.0 {
                (1.0 - 1.0 / ratio) * (over + knee / 2.0).powi(2) / (2.0 * knee)
            } else {
                over * (1.0 - 1.0 / ratio)
            };
            let error = (gain(&node, level) - (3.0 - reduction)).abs();
            assert!(error < 0.03, "{threshold} dB, {ratio}:1, {knee} dB at {level} dB: {error} dB off");
        }
    }
}

#[test]
fn the_sidechain_alone_is_listened_to_if_that_is_asked_for() {
    let quiet = vec![0.01f32; 4800];
    let loud = vec![1.0f32; 4800];
    let node = dynamics(1, &[("sidechain", n(1.0)), ("knee", n(0.0))]);
    // 20 dB over at 4:1 is 15 dB less.
    let ducked = run(&node, &[quiet.clone(), loud.clone()], &[], &[64]);
    assert!((dsp::decibels(f64::from(ducked[0][4799])) + 55.0).abs() < 0.2);
    let free = run(&node, &[loud.clone(), quiet], &[], &[64]);
    same("free", &free, &[loud]);
}

#[test]
fn bass_in_the_key_can_be_cut_away() {
    let sine =
        |hz: f64| (0..24_000).map(|n| (TAU * hz / RATE * f64::from(n)).sin() as f32).collect::<Vec<_>>();
    // Short, so that the beginning of the sine is forgotten.
    let set =
        [("low_cut", n(1.0)), ("low_cut_frequency", n(1000.0)), ("threshold", n(-30.0)), ("release", n(5.0))];
    for (hz, wanted) in [(50.0, false), (5000.0, true)] {
        let input = [sine(hz), vec![0.0; 24_000]];
        let output = run(&dynamics(1, &set), &input, &[], &[64]);
        let reduced = output[0][12_000..] != input[0][12_000..];
        assert_eq!(reduced, wanted, "{hz} Hz");
    }
}

#[test]
fn the_gate_shuts_noise_and_lets_music_through() {
    let set =
        [("gate", n(1.0)), ("compressor", n(0.0)), ("gate_range", Value::Silence), ("gate_hold", n(10.0))];
    let node = dynamics(2, &set);
    // Loud for 100 ms in one channel only: both open.
    let signal = |loud: f32| (0..24_000).map(|n| if n < 4800 { loud } else { 0.001 }).collect::<Vec<_>>();
    let output = run(
        &node,
        &[signal(0.5), signal(0.001), vec![], vec![]].map(|mut s| {
            s.resize(24_000, 0.0);
            s
        }),
        &[],
        &[333],
    );
    assert!((output[0][0] - 0.5 / 48.0).abs() < 1e-6);
    assert_eq!((output[0][100], output[1][100]), (0.5, 0.001));
    assert_eq!(output[1][4800 + 479], 0.001);
    assert!(output[1][4800 + 481] < 0.001);
    assert_eq!((output[0][23_999], output[1][23_999]), (0.0, 0.0));
}

/// How sharp a signal is: its fourth difference is a steep high-pass.
fn sharp(signal: &[f32]) -> f64 {
    let differences = signal.windows(5).map(|x| {
        let [a, b, c, d, e] = [x[0], x[1], x[2], x[3], x[4]].map(f64::from);
        (a - 4.0 * b + 6.0 * c - 4.0 * d + e).abs()
    });
    differences.fold(0.0, f64::max)
}

/// A signal whose peak and RMS are the same in every frame.
fn steady(amplitude: f32, frames: usize) -> Vec<f32> {
    (0..frames).map(|n| if n % 2 == 0 { amplitude } else { -amplitude }).collect()
}

/// Whatever is set while a sine of bass plays, however fast attack and release are, and also while what was set
/// before still crosses over: nothing is heard behind a high-pass.
#[test]
fn nothing_that_is_set_clicks() {
    const EDIT: usize = 4801;
    /// What it is, the sidechain, what is set from the beginning, and what is set when.
    type Case<'a> = (&'a str, &'a [f32], &'a [(&'a str, Value)], &'a [(&'static str, Value, u64)]);
    let at = EDIT as u64;
    let sine =
        |hz: f64| (0..9600).map(|n| 0.5 * (TAU * hz / RATE * f64::from(n)).sin() as f32).collect::<Vec<_>>();
    let key = steady(0.5, 9600);
    let from = |frame: usize| {
        key.iter().enumerate().map(|(n, x)| if n < frame { 0.0 } else { *x }).collect::<Vec<_>>()
    };
    let until =
        |frame: usize| key[..frame].iter().copied().chain(vec![0.0; 9600 - frame]).collect::<Vec<_>>();
    let (low, deep) = (("threshold", n(-60.0)), ("ratio", n(100.0)));
    let gate = [("gate", n(1.0)), ("compressor", n(0.0)), ("gate_hold", n(0.0))];
    let closed = [&gate[..], &[("gate_threshold", n(0.0))]].concat();
    let open = [&gate[..], &[("gate_threshold", n(-60.0)), ("gate_release", n(5000.0))]].concat();
    let cases: [Case<'_>; 17] = [
        ("threshold", &key, &[], &[("threshold", n(-60.0), at)]),
        ("threshold back", &key, &[low, ("release", n(1.0))], &[("threshold", n(0.0), at)]),
        ("a slower attack", &key, &[("attack", n(0.1))], &[("threshold", n(-60.0), at)]),
        ("ratio", &key, &[low, ("ratio", n(1.0))], &[("ratio", n(100.0), at)]),
        ("knee", &key, &[("threshold", n(-6.0)), ("knee", n(0.0))], &[("knee", n(24.0), at)]),
        (
            "detector",
            &sine(12_000.0),
            &[("threshold", n(-9.0)), ("release", n(100.0))],
            &[("detector", Value::name("rms"), at)],
        ),
        ("sidechain", &vec![0.0; 9600], &[low, ("release", n(1.0))], &[("sidechain", n(0.0), at)]),
        ("low cut", &vec![0.5; 9600], &[low, ("release", n(1.0))], &[("low_cut", n(1.0), at)]),
        (
            "its frequency",
            &sine(1000.0),
            &[
                ("threshold", n(-20.0)),
                ("low_cut", n(1.0)),
                ("low_cut_frequency", n(2000.0)),
                ("release", n(5000.0)),
            ],
            &[("low_cut_frequency", n(10.0), at)],
        ),
        ("attack", &from(EDIT - 100), &[low, ("attack", n(1000.0))], &[("attack", n(0.01), at)]),
        ("release", &until(EDIT - 100), &[low, ("release", n(5000.0))], &[("release", n(1.0), at)]),
        (
            "gate that opens",
            &key,
            &closed,
            &[("gate_attack", n(0.01), at - 1000), ("gate_threshold", n(-60.0), at)],
        ),
        (
            "gate that closes",
            &key,
            &open,
            &[("gate_release", n(1.0), at - 1000), ("gate_threshold", n(0.0), at)],
        ),
        ("its range", &key, &closed, &[("gate_range", n(0.0), at)]),
        (
            "its attack",
            &from(EDIT - 100),
            &[&open[..], &[("gate_attack", n(1000.0))]].concat(),
            &[("gate_attack", n(0.01), at)],
        ),
        ("its release", &until(EDIT - 100), &open, &[("gate_release", n(1.0), at)]),
        (
            "one after the other",
            &key,
            &[("release", n(1.0))],
            &[
                ("threshold", n(-60.0), at),
                ("ratio", n(1.0), at + 1),
                ("ratio", n(100.0), at + 50),
                ("threshold", n(0.0), at + 100),
                ("threshold", n(-40.0), at + 200),
                ("sidechain", n(0.0), at + 300),
                ("threshold", n(-20.0), at + 300),
            ],
        ),
    ];
    // No sharper than the corner of a fade from full scale to nothing in the same time.
    let corner: Vec<f32> = (0..20i16).map(|n| 1.0 - f32::from((n - 10).max(0)) / 240.0).collect();
    let input = sine(100.0);
    assert!(sharp(&[0.0, 0.0, 0.0, 0.01, 0.01, 0.01]) > 2.0 * sharp(&corner));
    for (what, key, set, moves) in cases {
        let fast =
            [("sidechain", n(1.0)), ("attack", n(0.01)), ("threshold", n(0.0)), deep, ("knee", n(0.0))];
        let node = dynamics(1, &[&fast[..], set].concat());
        let settings: Vec<_> =
            moves.iter().map(|(param, value, frame)| setting(&node, param, *value, *frame)).collect();
        let output = &run(&node, &[input.clone(), key.to_vec()], &settings, &[128])[0];
        let turned = sharp(&output[EDIT - 10..EDIT + 1200]);
        assert!(turned < sharp(&corner), "{what}: {turned:e}");
        let still = &run(&node, &[input.clone(), key.to_vec()], &[], &[128])[0];
        let moved = output.iter().zip(still).skip(EDIT).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved > 0.05, "{what} makes no difference: {moved}");
    }
}

/// With an attack of a frame, a threshold that is moved is a plain fade from one gain to the other; two edits of one
/// frame are one.
#[test]
fn what_is_set_crosses_over_in_a_straight_line() {
    let set = [("attack", n(0.01)), ("threshold", n(0.0)), ("knee", n(0.0)), ("sidechain", n(1.0))];
    let node = dynamics(1, &set);
    let input = [vec![1.0; 4800], steady(1.0, 4800)];
    let moves = [("threshold", n(-40.0)), ("ratio", n(2.0))];
    for block in [1, 64, 4800] {
        let settings = moves.map(|(param, value)| setting(&node, param, value, 2000));
        let output = &run(&node, &input, &settings, &[block])[0];
        for (frame, gain) in output.iter().enumerate() {
            let passed = (frame.max(2000) - 2000).min(240) as f64;
            // 40 dB over at 2:1 are 20 dB less; in the first frame an eighth of that is missing.
            let wanted = 1.0 - 0.9 * passed / 240.0;
            assert!((f64::from(*gain) - wanted).abs() < 1e-3, "{gain} at {frame}, not {wanted}");
        }
        assert!((f64::from(output[2240]) - 0.1).abs() < 1e-6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However edits follow each other, and however many at a time: where what is listened to stays as it is, no
    /// frame changes the gain by more than a few frames of a fade.
    #[test]
    fn no_edits_make_a_step(edits in prop::collection::vec((0u64..300, 0usize..9, 0.0f64..1.0), 1..40)) {
        let set = [
            ("gate", n(1.0)),
            ("gate_hold", n(0.0)),
            ("gate_attack", n(0.01)),
            ("gate_release", n(300.0)),
            ("attack", n(0.01)),
            ("release", n(300.0)),
            ("sidechain", n(1.0)),
        ];
        let node = dynamics(1, &set);
        let mut frame = 1000;
        let mut settings = Vec::new();
        for (passed, which, part) in edits {
            frame += passed;
            let switch = f64::from(part > 0.5);
            let (param, value) = [
                ("threshold", n(-60.0 * part)),
                ("ratio", n(1.0 + 99.0 * part)),
                ("knee", n(24.0 * part)),
                ("detector", Value::name(if part > 0.5 { "rms" } else { "peak" })),
                ("sidechain", n(switch)),
                ("gate_threshold", n(-60.0 * part)),
                ("gate_range", n(-144.0 * part)),
                ("attack", n(if part > 0.5 { 1000.0 } else { 0.01 })),
                ("gate_attack", n(if part > 0.5 { 1000.0 } else { 0.01 })),
            ][which];
            settings.push(setting(&node, param, value, frame));
        }
        // What comes in is louder than the sidechain; both are as loud as they are in every frame.
        let length = frame as usize + 500;
        let input = [vec![1.0; length], steady(0.1, length)];
        let output = &run(&node, &input, &settings, &[128])[0];
        let step = output[900..].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        prop_assert!(step < 5.0 / 240.0, "{}", step);
    }
}

/// A frame of a fade of 240 from −60 to −20 dB moves the gain by 0.0004.
#[test]
fn the_range_of_a_closed_gate_turns_without_a_click() {
    let node = dynamics(1, &[("gate", n(1.0)), ("gate_threshold", n(0.0)), ("compressor", n(0.0))]);
    let input = [vec![0.5; 4800], vec![0.0; 4800]];
    for block in [1, 64, 4800] {
        let output = &run(&node, &input, &[setting(&node, "gate_range", n(-20.0), 1000)], &[block])[0];
        assert!((dsp::decibels(output[1000].into()) + 66.02).abs() < 0.01);
        assert!((dsp::decibels(output[1240].into()) + 26.02).abs() < 0.01);
        let step = output.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(step < 0.00022, "{step} in blocks of {block}");
    }
}

/// A sum of links may be infinite or no number: it is silence to what is listened to, and leaves to be counted.
#[test]
fn what_is_no_number_does_not_stay() {
    for (detector, sidechain) in [("rms", 0.0), ("peak", 0.0), ("rms", 1.0), ("peak", 1.0)] {
        let set = [
            ("gate", n(1.0)),
            ("gate_threshold", n(-20.0)),
            ("threshold", n(-30.0)),
            ("detector", Value::name(detector)),
            ("sidechain", n(sidechain)),
        ];
        for low_cut in [0.0, 1.0] {
            let node = dynamics(2, &[&set[..], &[("low_cut", n(low_cut))]].concat());
            let mut clean = breathing(4, 2500);
            let mut input = clean.clone();
            let bad = [
                (0, 400, f32::INFINITY),
                (1, 700, f32::NAN),
                (1, 701, f32::NEG_INFINITY),
                (2, 500, f32::NAN),
                (3, 900, f32::INFINITY),
            ];
            for (channel, frame, x) in bad {
                (input[channel][frame], clean[channel][frame]) = (x, 0.0);
            }
            let mut processor = built(&node);
            let mut output = play(&mut *processor.processor, &node, &input, &[], &[333]);
            let mut wanted = run(&node, &clean, &[], &[333]);
            for (channel, frame, _) in bad.into_iter().filter(|(channel, ..)| *channel < 2) {
                assert!(!output[channel][frame].is_finite());
                (output[channel][frame], wanted[channel][frame]) = (0.0, 0.0);
            }
            same("the rest", &output, &wanted);
            let reduction = processor.meter.unwrap().take_reduction().unwrap();
            assert!(reduction > 1.0 && reduction.is_finite());
        }
    }
}

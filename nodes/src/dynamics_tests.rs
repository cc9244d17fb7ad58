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
            ("sidechain", n(1.0), 1000),
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

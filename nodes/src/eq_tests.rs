use std::f64::consts::TAU;

use aulos_protocol::{NodeKind, Value};
use proptest::prelude::*;

use super::*;
use crate::{
    bench::{n, node, noise, run, same, setting},
    dsp::{decibels, design::Shape},
};

const RATE: f64 = 48_000.0;

fn eq(channels: u16, set: &[(&str, Value)]) -> Node {
    node(NodeKind::Eq, channels, set)
}

/// Everything is set, and something of every sort moves.
fn moving() -> (Node, Vec<Setting>) {
    let node = eq(
        3,
        &[
            ("band1_on", n(1.0)),
            ("band1_slope", Value::name("24dB")),
            ("band3_gain", n(9.0)),
            ("band5_kind", Value::name("notch")),
            ("band7_gain", n(-6.0)),
        ],
    );
    let moves = [
        ("band1_frequency", n(400.0), 100),
        ("band3_gain", n(-12.0), 131),
        ("band3_q", n(8.0), 131),
        ("band5_kind", Value::name("high_cut"), 300),
        ("band5_kind", Value::name("bell"), 350),
        ("band8_on", n(1.0), 777),
        ("band1_slope", Value::name("12dB"), 900),
        ("gain", n(-3.0), 1100),
        ("band3_gain", n(0.0), 1200),
        ("bypass", n(1.0), 1500),
        ("bypass", n(0.0), 1600),
    ];
    let settings = moves.map(|(param, value, frame)| setting(&node, param, value, frame)).to_vec();
    (node, settings)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_cut_into_blocks_gives_the_same_bits(blocks in prop::collection::vec(1usize..300, 1..12)) {
        let (node, settings) = moving();
        let input = noise(3, 2500);
        let whole = run(&node, &input, &settings, &[2500]);
        same("blocks", &whole, &run(&node, &input, &settings, &blocks));
    }
}

#[test]
fn frame_by_frame_gives_the_same_bits() {
    let (node, settings) = moving();
    let input = noise(3, 2500);
    same("frames", &run(&node, &input, &settings, &[2500]), &run(&node, &input, &settings, &[1]));
}

/// Lanes do not matter: each channel is what it would be by itself.
#[test]
fn every_channel_is_what_it_is_alone() {
    let set = [("band3_gain", n(9.0)), ("band8_on", n(1.0))];
    let input = noise(5, 1000);
    let together = run(&eq(5, &set), &input, &[], &[64]);
    for (channel, input) in input.iter().enumerate() {
        let alone = run(&eq(1, &set), std::slice::from_ref(input), &[], &[64]);
        same("alone", &alone, &together[channel..=channel]);
    }
}

#[test]
fn flat_or_bypassed_it_is_the_input_bit_for_bit() {
    let input = noise(2, 3000);
    same("flat", &run(&eq(2, &[]), &input, &[], &[480]), &input);
    let bypassed = eq(2, &[("bypass", n(1.0)), ("band2_gain", n(12.0)), ("gain", n(6.0))]);
    same("bypassed", &run(&bypassed, &input, &[], &[480]), &input);
}

/// A sum of links may be infinite or no number: the filters hear silence instead, and what leaves is left to be counted.
#[test]
fn what_is_no_number_does_not_stay() {
    let (node, settings) = moving();
    let mut clean = noise(3, 2500);
    let mut input = clean.clone();
    let bad = [(0, 10, f32::INFINITY), (1, 700, f32::NAN), (1, 701, f32::NEG_INFINITY), (2, 2000, f32::NAN)];
    for (channel, frame, x) in bad {
        (input[channel][frame], clean[channel][frame]) = (x, 0.0);
    }
    let mut output = run(&node, &input, &settings, &[333]);
    let mut wanted = run(&node, &clean, &settings, &[333]);
    for (channel, frame, _) in bad {
        assert!(!output[channel][frame].is_finite());
        (output[channel][frame], wanted[channel][frame]) = (0.0, 0.0);
    }
    same("the rest", &output, &wanted);
}

/// The level of a sine that has settled, at the output.
fn measured(node: &Node, frequency: f64) -> f64 {
    let sine = |n: usize| (TAU * frequency * n as f64).sin() as f32;
    let input = vec![(0..48_000).map(sine).collect::<Vec<_>>()];
    let output = run(node, &input, &[], &[1024]);
    // Against a sine and a cosine over whole periods, near enough.
    let (mut s, mut c) = (0.0, 0.0);
    for (n, y) in output[0].iter().enumerate().skip(24_000) {
        s += f64::from(*y) * (TAU * frequency * n as f64).sin();
        c += f64::from(*y) * (TAU * frequency * n as f64).cos();
    }
    decibels(s.hypot(c) / 12_000.0)
}

/// The node's parameters lead to the designs that are tested by themselves.
#[test]
fn bands_do_what_their_parameters_say() {
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        for (hz, gain, q, steep) in [(300.0, 6.0, 0.8, false), (2000.0, -9.0, 2.0, true)] {
            let set = [
                ("band6_on", n(1.0)),
                ("band6_kind", n(place as f64)),
                ("band6_frequency", n(hz)),
                ("band6_gain", n(gain)),
                ("band6_q", n(q)),
                ("band6_slope", n(if steep { 1.0 } else { 0.0 })),
            ];
            let node = eq(1, &set);
            let shape = Shape { kind, frequency: hz / RATE, gain, q, steep };
            for at in [100.0, 250.0, 1000.0, 2500.0, 9000.0] {
                let frequency = at / RATE;
                let wanted: f64 = shape.sections().iter().map(|s| decibels(s.magnitude(frequency))).sum();
                if wanted < -80.0 {
                    continue;
                }
                let error = (measured(&node, frequency) - wanted).abs();
                assert!(error < 1e-6, "{shape:?} at {at} Hz: {error} dB off");
            }
        }
    }
}

/// Turned while a sine of bass plays, the output has no corner: nothing sharp is heard behind a high-pass.
#[test]
fn turning_a_band_does_not_click() {
    let sine = |n: usize| 0.5 * (TAU * 100.0 / RATE * n as f64).sin() as f32;
    let input = vec![(0..9600).map(sine).collect::<Vec<_>>()];
    // The fourth difference is a steep high-pass: of the sine alone it is next to nothing.
    let sharp = |signal: &[f32]| {
        let differences = signal.windows(5).map(|x| {
            let [a, b, c, d, e] = [x[0], x[1], x[2], x[3], x[4]].map(f64::from);
            (a - 4.0 * b + 6.0 * c - 4.0 * d + e).abs()
        });
        differences.fold(0.0, f64::max)
    };
    assert!(sharp(&[0.0, 0.0, 0.0, 0.01, 0.01, 0.01]) > 0.02);
    let moves: [(&'static str, Value); 6] = [
        ("band3_gain", n(12.0)),
        ("band3_frequency", n(3000.0)),
        ("band2_gain", n(-18.0)),
        ("band1_on", n(1.0)),
        ("band3_kind", Value::name("low_cut")),
        ("bypass", n(1.0)),
    ];
    let node = eq(1, &[("band3_frequency", n(100.0)), ("band3_gain", n(3.0))]);
    for (param, value) in moves {
        let output = run(&node, &input, &[setting(&node, param, value, 4801)], &[128]);
        let turned = sharp(&output[0][4790..6000]);
        // No sharper than the corner of a fade from full scale to nothing in the same time.
        let corner: Vec<f32> = (0..20i16).map(|n| 1.0 - f32::from((n - 10).max(0)) / 240.0).collect();
        assert!(turned < sharp(&corner), "{param}: {turned:e}");
    }
}

//! The signals of EBU Tech 3341 and Tech 3342, made as they are defined there, and another implementation.

use std::f64::consts::TAU;

use super::*;

const RATE: u32 = 48_000;

/// Seconds of a sine of 1 kHz at a peak level in dBFS; −∞ is silence.
type Part = (f64, f64);

/// A stereo sine through these parts, without a jump of its phase.
fn sine(rate: u32, parts: &[Part]) -> Vec<[f32; 2]> {
    let mut end = 0.0;
    let mut frames = Vec::new();
    for &(seconds, level) in parts {
        end += seconds;
        let amplitude = 10f64.powf(level / 20.0);
        for n in frames.len()..(end * f64::from(rate)).round() as usize {
            let x = amplitude * (TAU * 1000.0 * n as f64 / f64::from(rate)).sin();
            frames.push([x as f32; 2]);
        }
    }
    frames
}

/// Everything that is measured, every 10 ms.
fn measure<const N: usize>(rate: u32, frames: &[[f32; N]]) -> Vec<Loudness> {
    let mut meter = LoudnessMeter::new(N, f64::from(rate));
    let mut measured = Vec::new();
    for frame in frames {
        if meter.next(*frame) {
            measured.push(meter.measured());
        }
    }
    measured
}

fn integrated(parts: &[Part]) -> f64 {
    measure(RATE, &sine(RATE, parts)).last().unwrap().integrated.unwrap()
}

const QUIET: f64 = f64::NEG_INFINITY;

#[test]
fn tech_3341_signals_1_and_2_steady_sines() {
    for level in [-23.0, -33.0] {
        let all = measure(RATE, &sine(RATE, &[(20.0, level)]));
        let last = all.last().unwrap();
        for value in [last.momentary, last.short_term, last.integrated] {
            assert!((value.unwrap() - level).abs() <= 0.03, "{value:?} at {level}");
        }
    }
}

#[test]
fn tech_3341_signals_3_to_5_gating() {
    let signals: [&[Part]; 3] = [
        &[(10.0, -36.0), (60.0, -23.0), (10.0, -36.0)],
        &[(10.0, -72.0), (10.0, -36.0), (60.0, -23.0), (10.0, -36.0), (10.0, -72.0)],
        &[(20.0, -26.0), (20.1, -20.0), (20.0, -26.0)],
    ];
    for (number, signal) in (3..).zip(signals) {
        let loudness = integrated(signal);
        assert!((loudness + 23.0).abs() <= 0.03, "signal {number}: {loudness}");
    }
}

#[test]
fn tech_3341_signal_6_surround() {
    let level = |db: f64| 10f64.powf(db / 20.0);
    let amplitudes = [-28.0, -28.0, -24.0, -30.0, -30.0].map(level);
    let frames: Vec<[f32; 5]> = (0..20 * RATE)
        .map(|n| amplitudes.map(|a| (a * (TAU * 1000.0 * f64::from(n) / f64::from(RATE)).sin()) as f32))
        .collect();
    let loudness = measure(RATE, &frames).last().unwrap().integrated.unwrap();
    assert!((loudness + 23.0).abs() <= 0.1, "{loudness}");
    // The same with a subwoofer, which does not count.
    let with_sub: Vec<[f32; 6]> = frames.iter().map(|&[l, r, c, a, b]| [l, r, c, 0.5, a, b]).collect();
    let loudness = measure(RATE, &with_sub).last().unwrap().integrated.unwrap();
    assert!((loudness + 23.0).abs() <= 0.1, "{loudness}");
}

#[test]
fn tech_3341_signals_9_and_12_constant_in_the_window() {
    let repeat = |times: usize, parts: &[Part]| parts.repeat(times);
    let all = measure(RATE, &sine(RATE, &repeat(5, &[(1.34, -20.0), (1.66, -30.0)])));
    for loudness in &all[300..] {
        assert!((loudness.short_term.unwrap() + 23.0).abs() <= 0.1, "{loudness:?}");
    }
    let all = measure(RATE, &sine(RATE, &repeat(25, &[(0.18, -20.0), (0.22, -30.0)])));
    for loudness in &all[100..] {
        assert!((loudness.momentary.unwrap() + 23.0).abs() <= 0.1, "{loudness:?}");
    }
}

/// The greatest value of either kind, and whether it is as loud as the signal.
fn greatest(parts: &[Part], of: impl Fn(&Loudness) -> Option<f64>) -> f64 {
    measure(RATE, &sine(RATE, parts)).iter().filter_map(of).fold(f64::MIN, f64::max)
}

#[test]
fn tech_3341_signals_10_and_11_short_term_wherever_it_begins() {
    for n in 0..20 {
        let n = f64::from(n);
        let signal = [(0.15 * n, QUIET), (3.0, -23.0), (1.0, QUIET)];
        let max = greatest(&signal, |loudness| loudness.short_term);
        assert!((max + 23.0).abs() <= 0.1, "signal 10, {n}: {max}");
        let level = -38.0 + n;
        let signal = [(0.15 * n, QUIET), (3.0, level), (3.0 - 0.15 * n, QUIET)];
        let max = greatest(&signal, |loudness| loudness.short_term);
        assert!((max - level).abs() <= 0.1, "signal 11, {n}: {max}");
    }
}

#[test]
fn tech_3341_signals_13_and_14_momentary_wherever_it_begins() {
    for n in 0..20 {
        let n = f64::from(n);
        let signal = [(0.02 * n, QUIET), (0.4, -23.0), (1.0, QUIET)];
        let max = greatest(&signal, |loudness| loudness.momentary);
        assert!((max + 23.0).abs() <= 0.1, "signal 13, {n}: {max}");
        let level = -38.0 + n;
        let signal = [(0.02 * n, QUIET), (0.4, level), (0.4 - 0.02 * n, QUIET)];
        let max = greatest(&signal, |loudness| loudness.momentary);
        assert!((max - level).abs() <= 0.1, "signal 14, {n}: {max}");
    }
}

#[test]
fn tech_3341_signals_15_to_19_true_peaks() {
    let signals = [
        (4.0, 0.5, 0.0, -6.0),
        (4.0, 0.5, 45.0, -6.0),
        (6.0, 0.5, 60.0, -6.0),
        (8.0, 0.5, 67.5, -6.0),
        (4.0, 1.41, 45.0, 3.0),
    ];
    for (period, amplitude, phase, wanted) in signals {
        // It comes and goes slowly, so that it is what it is.
        let frames: Vec<[f32; 1]> = (0..RATE)
            .map(|n| {
                let swell = (f64::from(n) / 4800.0).min(f64::from(RATE - n) / 4800.0).min(1.0);
                let angle = TAU * f64::from(n) / period + f64::to_radians(phase);
                [(amplitude * swell * angle.sin()) as f32]
            })
            .collect();
        let peak = measure(RATE, &frames).last().unwrap().true_peak;
        let error = 20.0 * f64::from(peak).log10() - wanted;
        assert!((-0.03..=0.0).contains(&error), "fs/{period} at {phase}: {error}");
    }
}

#[test]
fn tech_3342_signals_1_to_4_range() {
    let signals: [(&[f64], f64); 4] = [
        (&[-20.0, -30.0], 10.0),
        (&[-20.0, -15.0], 5.0),
        (&[-40.0, -20.0], 20.0),
        (&[-50.0, -35.0, -20.0, -35.0, -50.0], 15.0),
    ];
    for (levels, wanted) in signals {
        let parts: Vec<Part> = levels.iter().map(|level| (20.0, *level)).collect();
        let range = measure(RATE, &sine(RATE, &parts)).last().unwrap().range.unwrap();
        assert!((range - wanted).abs() <= 0.07, "{range} for {wanted}");
    }
}

/// Music-like noise of changing loudness, measured by the crate `ebur128`, at several rates.
#[test]
fn another_implementation_measures_the_same() {
    for rate in [44_100, 48_000, 96_000] {
        let mut state = 1u64;
        let mut low = [0f64; 2];
        let frames: Vec<[f32; 2]> = (0..rate * 30)
            .map(|n| {
                let loud = 0.2 + 0.19 * (TAU * f64::from(n) / f64::from(rate) / 7.3).sin();
                let mut frame = [0.0; 2];
                for (x, low) in frame.iter_mut().zip(&mut low) {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let white = (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0;
                    *low += 0.1 * (white - *low);
                    *x = ((*low * 2.0 + white * 0.1) * loud) as f32;
                }
                frame
            })
            .collect();
        let mine = *measure(rate, &frames).last().unwrap();
        use ebur128::{EbuR128, Mode};
        let mode = Mode::M | Mode::S | Mode::I | Mode::LRA | Mode::TRUE_PEAK;
        let mut other = EbuR128::new(2, rate, mode).unwrap();
        other.add_frames_f32(frames.as_flattened()).unwrap();
        let peak = other.true_peak(0).unwrap().max(other.true_peak(1).unwrap());
        // The range by a window every second instead of every tenth, the true peak from a shorter filter.
        let pairs = [
            (mine.momentary.unwrap(), other.loudness_momentary().unwrap(), 0.05),
            (mine.short_term.unwrap(), other.loudness_shortterm().unwrap(), 0.05),
            (mine.integrated.unwrap(), other.loudness_global().unwrap(), 0.05),
            (mine.range.unwrap(), other.loudness_range().unwrap(), 0.8),
            (20.0 * f64::from(mine.true_peak).log10(), 20.0 * peak.log10(), 0.4),
        ];
        for (mine, other, tolerance) in pairs {
            assert!((mine - other).abs() <= tolerance, "{rate} Hz: {mine} and {other}");
        }
    }
}

#[test]
fn a_reset_forgets_what_was_before() {
    let mut meter = LoudnessMeter::new(2, f64::from(RATE));
    sine(RATE, &[(5.0, -10.0), (0.1, QUIET)]).into_iter().for_each(|frame| _ = meter.next(frame));
    meter.reset();
    assert_eq!((meter.measured().integrated, meter.measured().true_peak), (None, 0.0));
    assert!(meter.measured().short_term.is_some());
    sine(RATE, &[(5.0, -30.0)]).into_iter().for_each(|frame| _ = meter.next(frame));
    assert!((meter.measured().integrated.unwrap() + 30.0).abs() < 0.1);
    assert!((meter.measured().true_peak - 0.0316).abs() < 0.001);
}

#[test]
fn silence_is_no_loudness() {
    let all = measure(RATE, &vec![[0.0f32; 2]; 5 * RATE as usize]);
    assert_eq!(all.last(), Some(&Loudness::default()));
}

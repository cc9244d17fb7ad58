//! What a limiter lets through, measured by a filter much longer than its own.

use std::f64::consts::TAU;

use super::*;
use crate::dsp::{decibels, truepeak::kernel};

const RATE: f64 = 48_000.0;
const FRAMES: usize = 12_000;

/// A sequence that looks like noise, in −1 to 1.
fn noise(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

/// Signals that a limiter finds hard.
fn hostile() -> Vec<(&'static str, Vec<f64>)> {
    let of = |f: &dyn Fn(usize) -> f64| (0..FRAMES).map(f).collect::<Vec<_>>();
    let sine = |frequency: f64, phase: f64, n: usize| (TAU * (frequency * n as f64 + phase)).sin();
    let smooth = |width: usize| {
        let white: Vec<_> = noise(7).take(FRAMES + width).collect();
        of(&|n| white[n..n + width].iter().sum::<f64>() * 6.0 / (width as f64).sqrt())
    };
    let white: Vec<_> = noise(1).take(FRAMES).collect();
    let bits: Vec<_> = noise(2).take(FRAMES).map(|x| 2.0 * x.signum()).collect();
    let gaps: Vec<_> = noise(3).take(FRAMES).collect();
    vec![
        ("white noise", white.iter().map(|x| x * 4.0).collect()),
        ("noise at the ceiling", white.iter().map(|x| x * 1.1).collect()),
        ("random bits", bits.clone()),
        ("random bits, held", of(&|n| bits[n / 7])),
        ("noise without treble", smooth(5)),
        ("noise of bass", smooth(200)),
        ("fs/4 at 45 degrees", of(&|n| 1.9 * sine(0.25, 0.125, n))),
        ("fs/4 at 45 degrees, swelling", of(&|n| n as f64 / 4000.0 * sine(0.25, 0.125, n))),
        ("fs/6", of(&|n| 1.5 * sine(1.0 / 6.0, 1.0 / 12.0, n))),
        ("0.45 fs", of(&|n| 3.0 * sine(0.45, 0.1, n))),
        ("sweep", of(&|n| 2.0 * sine(0.47 * n as f64 / FRAMES as f64 / 2.0, 0.0, n))),
        ("square", of(&|n| 2.0 * sine(0.0123, 0.0, n).signum())),
        ("square near the ceiling", of(&|n| 0.95 * sine(0.0345, 0.3, n).signum())),
        ("bursts", of(&|n| if (n / 480) % 2 == 0 { 3.0 * sine(0.21, 0.0, n) } else { 0.0 })),
        ("short bursts", of(&|n| if n % 700 < 9 { 4.0 * sine(0.25, 0.125, n) } else { 0.2 * white[n] })),
        ("steps", of(&|n| [0.1, 2.5, -0.3, -3.0, 0.8, 1.2][(n / 333) % 6])),
        ("clicks", of(&|n| if gaps[n] > 0.98 { 8.0 * gaps[n] } else { 0.0 })),
        ("opposed pairs", of(&|n| if n % 50 < 25 { 2.0 - 4.0 * (n / 2 % 2) as f64 } else { 0.0 })),
    ]
}

/// The highest value at eight times the rate, by a filter of 256 taps.
fn true_peak(signal: &[f32]) -> f64 {
    const TAPS: usize = 256;
    let taps: Vec<Vec<f64>> = (0..8)
        .map(|phase| {
            let place = (TAPS / 2 - 1) as f64 + f64::from(phase) / 8.0;
            (0..TAPS).map(|tap| kernel(tap as f64 - place, TAPS, 9.0)).collect()
        })
        .collect();
    let padded: Vec<f64> = std::iter::repeat_n(0.0, TAPS)
        .chain(signal.iter().map(|x| f64::from(*x)))
        .chain(std::iter::repeat_n(0.0, TAPS))
        .collect();
    let value = |window: &[f64], taps: &[f64]| window.iter().zip(taps).map(|(x, t)| x * t).sum::<f64>();
    let values = padded.windows(TAPS).flat_map(|window| taps.iter().map(|taps| value(window, taps).abs()));
    values.fold(0.0, f64::max)
}

fn limited(signal: &[f64], rate: f64, ceiling: f64, release: f64) -> Vec<f32> {
    let mut limiter = Limiter::new(1, rate, ceiling, release);
    let frame = |x: &f64| {
        let mut frame = [*x as f32];
        limiter.next(&mut frame);
        frame[0]
    };
    // It must see the end, too.
    signal.iter().chain(&[0.0; 500]).map(frame).collect()
}

/// How far what a limiter lets through of `signal` at `rate` is over its ceiling, in dB.
fn over(signal: &[f64], rate: f64, ceiling: f64, release: f64) -> f64 {
    decibels(true_peak(&limited(signal, rate, crate::dsp::factor(ceiling), release))) - ceiling
}

/// The worst of all signals, at the shortest and at longer releases.
fn true_peaks_stay_below_the_ceiling_at(rate: f64) {
    let mut worst = f64::NEG_INFINITY;
    for (name, signal) in hostile() {
        for (ceiling, release) in [(0.0, 0.001), (-9.0, 0.001), (-24.0, 0.001), (-24.0, 0.01), (-1.0, 0.1)] {
            let over = over(&signal, rate, ceiling, release);
            worst = worst.max(over);
            assert!(
                over <= 0.2,
                "{name} at {rate} Hz, ceiling {ceiling} dB, release {release} s: {over:.3} dB over"
            );
        }
    }
    // What docs/dsp.md says.
    assert!(worst <= 0.17, "{worst:.3} dB over the ceiling at {rate} Hz");
}

#[test]
fn true_peaks_stay_below_the_ceiling_at_8_khz() {
    true_peaks_stay_below_the_ceiling_at(8_000.0);
}

#[test]
fn true_peaks_stay_below_the_ceiling_at_11_khz() {
    true_peaks_stay_below_the_ceiling_at(11_025.0);
}

#[test]
fn true_peaks_stay_below_the_ceiling_at_44_khz() {
    true_peaks_stay_below_the_ceiling_at(44_100.0);
}

#[test]
fn true_peaks_stay_below_the_ceiling_at_48_khz() {
    true_peaks_stay_below_the_ceiling_at(48_000.0);
}

#[test]
fn true_peaks_stay_below_the_ceiling_at_96_khz() {
    true_peaks_stay_below_the_ceiling_at(96_000.0);
}

/// Sines just below half the rate, that swell by their beating with it, and bursts of them, which begin and end
/// suddenly.
#[test]
fn sines_up_to_0_485_of_the_rate_stay_below_the_ceiling() {
    for rate in [8_000.0, 11_025.0, 44_100.0, 48_000.0, 96_000.0] {
        for frequency in [0.47, 0.485] {
            for (height, burst, phase) in
                [(1.1, 0, 0.0), (3.0, 480, 0.1), (1.3, 100, 0.2), (4.0, 37, 0.0), (4.0, 37, 0.2)]
            {
                let sine = |n: usize| height * (TAU * (frequency * n as f64 + phase)).sin();
                let sounds = |n: usize| burst == 0 || (n / burst).is_multiple_of(2);
                let signal: Vec<f64> = (0..FRAMES).map(|n| if sounds(n) { sine(n) } else { 0.0 }).collect();
                for (ceiling, release) in [(0.0, 0.001), (-24.0, 0.01)] {
                    let over = over(&signal, rate, ceiling, release);
                    assert!(
                        over <= 0.2,
                        "{frequency} of {rate} Hz, bursts of {burst}, {height}: {over:.3} dB over"
                    );
                }
            }
        }
    }
}

/// It would be easy never to be too loud. What comes near the ceiling is let through as loud as it may be.
#[test]
fn what_is_too_loud_comes_out_at_the_ceiling() {
    for frequency in [0.001, 0.0123, 0.1] {
        let sine: Vec<_> = (0..FRAMES).map(|n| 3.0 * (TAU * frequency * n as f64).sin()).collect();
        let output = limited(&sine, RATE, 0.5, 0.1);
        let short = decibels(0.5) - decibels(true_peak(&output[FRAMES / 2..]));
        assert!(short.abs() < 0.2, "{frequency}: {short} dB");
    }
}

#[test]
fn what_needs_no_limit_is_the_input_later_bit_for_bit() {
    for rate in [8_000.0, 44_100.0, 48_000.0, 96_000.0, 384_000.0] {
        let later = latency(rate);
        let mut limiter = Limiter::new(2, rate, 1.0, 0.1);
        // Loud enough that the filter has to be asked, and low enough that true peaks fit.
        let signal: Vec<[f32; 2]> =
            noise(5).take(20_000).map(|x| [(0.4 * x) as f32, (-0.39 * x) as f32]).collect();
        for n in 0..signal.len() {
            let mut frame = signal[n];
            assert_eq!(limiter.next(&mut frame), 1.0);
            let wanted = n.checked_sub(later).map_or([0.0; 2], |then| signal[then]);
            assert_eq!(frame.map(f32::to_bits), wanted.map(f32::to_bits), "frame {n} at {rate} Hz");
        }
    }
}

#[test]
fn after_a_peak_the_gain_comes_back_to_exactly_one() {
    let mut limiter = Limiter::new(1, RATE, 0.5, 0.05);
    let gains: Vec<f64> =
        (0..96_000).map(|n| limiter.next(&mut [if n == 1000 { 4.0 } else { 0.01 }])).collect();
    let lowest = gains.iter().copied().fold(1.0, f64::min);
    assert!((0.12..=0.125).contains(&lowest), "{lowest}");
    assert_eq!(gains.last(), Some(&1.0));
    // 63% are back after the release.
    let bottom = gains.iter().rposition(|gain| *gain == lowest).unwrap();
    let back = gains[bottom + (0.05 * RATE) as usize];
    assert!((back - (1.0 - (1.0 - lowest) / 1f64.exp())).abs() < 0.02, "{back}");
    // Without a corner: no step of the gain is larger than the boxes allow.
    let steepest = gains.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
    assert!(steepest < 0.875 / 36.0 + 1e-6, "{steepest}");
}

#[test]
fn all_channels_are_turned_down_alike() {
    let mut limiter = Limiter::new(3, RATE, 0.5, 0.05);
    for n in 0..5000 {
        let x = (n as f32 * 0.05).sin();
        let mut frame = [2.0 * x, 0.1 * x, 0.0];
        limiter.next(&mut frame);
        assert!((frame[0] - 20.0 * frame[1]).abs() < 1e-5);
        assert_eq!(frame[2], 0.0);
    }
}

#[test]
fn the_minimum_is_that_of_the_last_numbers() {
    let numbers: Vec<u64> = noise(9).take(3000).map(|x| ((x + 1.0) * 50.0) as u64).collect();
    for length in [1, 2, 7, 100] {
        let mut minimum = Minimum::new(length);
        for n in 0..numbers.len() {
            let wanted = numbers[n.saturating_sub(length - 1)..=n].iter().min();
            assert_eq!(Some(&minimum.next(numbers[n])), wanted);
        }
    }
}

//! Another rate, against the ideal.

use std::f64::consts::TAU;

use super::super::Resampler;
use super::*;

/// Resamples `input` in blocks of `block` frames.
fn resample(from: u32, to: u32, input: &[Vec<f32>], block: usize) -> Vec<Vec<f32>> {
    let (from, to) = (Rate::new(from).unwrap(), Rate::new(to).unwrap());
    let mut resampler = Resampler::new(from, to, input.len() as u16).unwrap();
    let mut output = vec![Vec::new(); input.len()];
    let mut sink = |block: &[&[f32]]| {
        for (output, channel) in output.iter_mut().zip(block) {
            output.extend_from_slice(channel);
        }
        Ok(())
    };
    let frames = input[0].len();
    for at in (0..frames).step_by(block) {
        let block: Vec<&[f32]> = input.iter().map(|channel| &channel[at..frames.min(at + block)]).collect();
        resampler.process(&block, &mut sink).unwrap();
    }
    let written = resampler.finish(&mut sink).unwrap();
    assert_eq!(written, output[0].len() as u64);
    output
}

fn sine(hz: f64, rate: u32, frames: usize) -> Vec<f32> {
    (0..frames).map(|n| (0.9 * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

const RATES: [(u32, u32); 9] = [
    (48_000, 44_100),
    (44_100, 48_000),
    (48_000, 96_000),
    (96_000, 48_000),
    (44_100, 96_000),
    (192_000, 44_100),
    (48_000, 8_000),
    (8_000, 48_000),
    // The smallest filter would have an odd number of frames here.
    (44_100, 32_000),
];

fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

#[test]
fn a_sine_stays_that_sine() {
    for (from, to) in RATES {
        let frames = from as usize;
        let output = resample(from, to, &[sine(997.0, from, frames)], 1_000).remove(0);
        assert_eq!(output.len(), to as usize);
        let ideal = sine(997.0, to, output.len());
        // The ends miss what is before and after the file.
        let margin = output.len() / 4;
        let worst = (margin..output.len() - margin)
            .map(|n| f64::from((output[n] - ideal[n]).abs()))
            .fold(0.0, f64::max);
        assert!(decibels(worst / 0.9) < -120.0, "{from} to {to}: {} dB", decibels(worst / 0.9));
    }
}

#[test]
fn high_notes_pass_and_what_the_rate_cannot_hold_does_not() {
    for (from, to) in [(48_000, 44_100), (96_000, 48_000), (192_000, 44_100), (44_100, 48_000)] {
        let lower = f64::from(from.min(to));
        let passes = 0.49 * lower;
        let output = resample(from, to, &[sine(passes, from, from as usize)], 4_000).remove(0);
        let ideal = sine(passes, to, output.len());
        let middle = output.len() / 4..output.len() * 3 / 4;
        let worst = middle.clone().map(|n| f64::from((output[n] - ideal[n]).abs())).fold(0.0, f64::max);
        assert!(decibels(worst) < -100.0, "{from} to {to}: {} dB at {passes} Hz", decibels(worst));
        if to < from {
            let stops = 0.5 * f64::from(to) + 20.0;
            let output = resample(from, to, &[sine(stops, from, from as usize)], 4_000).remove(0);
            let worst = middle.map(|n| f64::from(output[n].abs())).fold(0.0, f64::max);
            assert!(
                decibels(worst / 0.9) < -120.0,
                "{from} to {to}: {} dB at {stops} Hz",
                decibels(worst / 0.9)
            );
        }
    }
}

#[test]
fn an_impulse_stays_at_its_time() {
    for (from, to) in RATES {
        // So that the place is a whole frame at both rates.
        let divisor = (1..=from).rev().find(|d| from.is_multiple_of(*d) && to.is_multiple_of(*d)).unwrap();
        let (step_in, step_out) = ((from / divisor) as usize, (to / divisor) as usize);
        for steps in [0, 1, 40, 100] {
            let mut input = vec![0.0; 30_000.max(step_in * 200)];
            input[steps * step_in] = 1.0;
            let output = resample(from, to, &[input], 512).remove(0);
            let peak =
                (0..output.len()).max_by(|&a, &b| output[a].abs().total_cmp(&output[b].abs())).unwrap();
            assert_eq!(peak, steps * step_out, "{from} to {to}");
            // The same on both sides, so it is in the middle of that frame.
            for side in 1..=(peak.min(50)) {
                let difference = (output[peak - side] - output[peak + side]).abs();
                assert!(difference < 1e-6, "{from} to {to}: {difference}");
            }
        }
    }
}

#[test]
fn the_length_is_rounded_up() {
    for (from, to) in RATES {
        for frames in [0, 1, 2, 146, 147, 148, 999, 5_000, 12_345] {
            let output = resample(from, to, &[vec![0.1; frames], vec![0.2; frames]], 700);
            let right = (frames as u64 * u64::from(to)).div_ceil(u64::from(from));
            assert_eq!((output[0].len() as u64, output[1].len() as u64), (right, right), "{from} to {to}");
        }
    }
}

#[test]
fn blocks_do_not_matter() {
    let input = [sine(5_000.0, 48_000, 20_000), sine(300.0, 48_000, 20_000)];
    let whole = resample(48_000, 44_100, &input, 20_000);
    for block in [1, 37, 4_116, 8_192] {
        assert!(resample(48_000, 44_100, &input, block) == whole, "{block}");
    }
}

#[test]
fn equal_rates_change_nothing() {
    let input = [vec![0.1, f32::MAX, -0.0, 1e-45]];
    let output = resample(48_000, 48_000, &input, 3);
    let bits = |samples: &[f32]| samples.iter().map(|sample| sample.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&output[0]), bits(&input[0]));
}

#[test]
fn errors_of_the_sink_are_answered() {
    let (from, to) = (Rate::new(48_000).unwrap(), Rate::new(44_100).unwrap());
    assert!(Resampler::new(from, to, 0).is_err());
    let mut resampler = Resampler::new(from, to, 1).unwrap();
    let refuse = || Error::new(aulos_protocol::ErrorCode::Io, "full");
    let answer = resampler.process(&[&[0.0; 20_000]], &mut |_| Err(refuse()));
    assert_eq!(answer.unwrap_err(), refuse());
    let mut resampler = Resampler::new(from, to, 2).unwrap();
    assert!(resampler.process(&[&[0.0; 20]], &mut |_| Ok(())).is_err());
    assert!(resampler.process(&[&[0.0; 20], &[0.0; 19]], &mut |_| Ok(())).is_err());
}

//! Dither, against what it promises.

use super::super::{
    dither::{Dither, SILENCE},
    quantise::Quantiser,
};

const COUNT: usize = 1 << 18;

/// Mean and variance.
fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance)
}

/// The error of a constant of so many steps, in steps; it is the same for every constant.
fn errors(level: f64) -> Vec<f64> {
    let sample = (level / 32_768.0) as f32;
    let exact = f64::from(sample) * 32_768.0;
    let mut quantiser = Quantiser::dithered(16, 1);
    (0..COUNT).map(|_| f64::from(quantiser.quantise_channel(0, sample)) - exact).collect()
}

#[test]
fn the_noise_is_triangular() {
    let mut dither = Dither::new(1);
    let noise: Vec<f64> = (0..COUNT).map(|_| dither.next(0, 0.5)).collect();
    assert!(noise.iter().all(|x| x.abs() < 1.0));
    let (mean, variance) = moments(noise.iter().copied());
    // The sum of two uniform numbers of one step: 2/12. Limits of five standard errors.
    assert!(mean.abs() < 0.005 && (variance - 1.0 / 6.0).abs() < 0.002, "{mean} {variance}");
    for (from, share) in [(-1.0, 0.125), (-0.5, 0.375), (0.0, 0.375), (0.5, 0.125)] {
        let found = noise.iter().filter(|x| (from..from + 0.5).contains(*x)).count() as f64 / COUNT as f64;
        assert!((found - share).abs() < 0.006, "{found} of the noise lies above {from}, not {share}");
    }
    let next: Vec<_> = noise.windows(2).map(|pair| pair[0] * pair[1]).collect();
    assert!(moments(next.into_iter()).0.abs() < 0.002, "one sample tells of the next");
}

#[test]
fn mean_and_power_of_the_error_do_not_depend_on_the_sound() {
    for level in [0.1, 0.25, 0.5, 0.77, 12.5, -3.3] {
        let (mean, variance) = moments(errors(level).into_iter());
        // Rounding and dither together: 1/12 + 2/12.
        assert!(mean.abs() < 0.006 && (variance - 0.25).abs() < 0.004, "{level}: {mean} {variance}");
    }
}

#[test]
fn silence_stays_silent_and_short_zeros_do_not() {
    let mut dither = Dither::new(2);
    assert!((0..5000).all(|_| dither.next(0, 0.0) == 0.0), "a file begins in silence");
    assert_ne!(dither.next(0, 1e-9), 0.0);
    let zeros = SILENCE as usize;
    let noisy = (0..zeros - 1).filter(|_| dither.next(0, 0.0) != 0.0).count();
    assert!(noisy > zeros - 10, "{noisy} of {zeros}");
    assert!((0..5000).all(|_| dither.next(0, -0.0) == 0.0), "it is silent by now");
    assert_ne!(dither.next(0, 1e-9), 0.0);
    assert_eq!(dither.next(1, 0.0), 0.0, "another channel");
}

#[test]
fn every_file_gets_the_same_noise_and_every_channel_another() {
    let series = |dither: &mut Dither, channel| -> Vec<u64> {
        (0..1000).map(|_| dither.next(channel, 0.5).to_bits()).collect()
    };
    let (mut one, mut other) = (Dither::new(2), Dither::new(2));
    let left = series(&mut one, 0);
    assert!(series(&mut other, 0) == left);
    assert!(series(&mut one, 1) != left);
}

#[test]
fn noise_at_the_ends_is_no_clipping() {
    let mut quantiser = Quantiser::dithered(16, 1);
    for _ in 0..1000 {
        quantiser.quantise_channel(0, 32_767.0 / 32_768.0);
        quantiser.quantise_channel(0, -1.0);
    }
    assert_eq!(quantiser.clipped, 0);
    quantiser.quantise_channel(0, 1.0);
    assert_eq!((quantiser.clipped, quantiser.invalid), (1, 0));
}

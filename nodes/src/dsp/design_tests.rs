//! Designs against the analog filters and the cookbook's own formulas.

use std::f64::consts::TAU;

use super::*;

/// An analog filter of second order, numerator and denominator from s⁰ up, with s in parts of ω0.
type Analog = ([f64; 3], [f64; 3]);

/// The cookbook's prototypes.
fn prototype(shape: &Shape) -> Vec<Analog> {
    let (q, a) = (shape.q, 10f64.powf(shape.gain / 40.0));
    let r = a.sqrt();
    // Butterworth, fourth order: the poles lie at 22.5° and 67.5° from the negative axis.
    let qs: Vec<f64> = match (shape.kind, shape.steep) {
        (Kind::LowCut | Kind::HighCut, true) => {
            [22.5f64, 67.5].iter().map(|angle| q * 2f64.sqrt() / (2.0 * angle.to_radians().sin())).collect()
        }
        _ => vec![q],
    };
    qs.into_iter()
        .map(|q| match shape.kind {
            Kind::LowCut => ([0.0, 0.0, 1.0], [1.0, 1.0 / q, 1.0]),
            Kind::HighCut => ([1.0, 0.0, 0.0], [1.0, 1.0 / q, 1.0]),
            Kind::Notch => ([1.0, 0.0, 1.0], [1.0, 1.0 / q, 1.0]),
            Kind::Bell => ([1.0, a / q, 1.0], [1.0, 1.0 / (a * q), 1.0]),
            Kind::LowShelf => ([a * a, a * r / q, a], [1.0, r / q, a]),
            Kind::HighShelf => ([a, a * r / q, a * a], [a, r / q, 1.0]),
        })
        .collect()
}

/// The magnitude in dB at `w` parts of ω0.
fn analog(shape: &Shape, w: f64) -> f64 {
    let magnitude = |[c0, c1, c2]: [f64; 3]| (c0 - c2 * w * w).hypot(c1 * w);
    prototype(shape).into_iter().map(|(n, d)| 20.0 * (magnitude(n) / magnitude(d)).log10()).sum()
}

fn digital(shape: &Shape, frequency: f64) -> f64 {
    shape.sections().iter().map(|section| 20.0 * section.magnitude(frequency).log10()).sum()
}

fn shapes(kind: Kind) -> impl Iterator<Item = Shape> {
    let frequencies = [20.0, 100.0, 997.0, 5000.0, 12_000.0, 20_000.0].map(|f| f / 48_000.0);
    let gains: &[f64] = match kind {
        Kind::Bell | Kind::LowShelf | Kind::HighShelf => &[-24.0, -6.0, -0.5, 0.0, 0.5, 3.0, 12.0, 24.0],
        _ => &[0.0],
    };
    let steep: &[bool] = if matches!(kind, Kind::LowCut | Kind::HighCut) { &[false, true] } else { &[false] };
    frequencies.into_iter().flat_map(move |frequency| {
        [0.1, 0.5, FRAC_1_SQRT_2, 2.0, 12.0, 40.0].into_iter().flat_map(move |q| {
            gains.iter().flat_map(move |&gain| {
                steep.iter().map(move |&steep| Shape { kind, frequency, gain, q, steep })
            })
        })
    })
}

/// Frequencies to look at, in parts of the rate.
fn grid() -> impl Iterator<Item = f64> {
    (0..400).map(|n| 1e-4 * (0.4999f64 / 1e-4).powf(f64::from(n) / 399.0))
}

/// All but the bell are the analog filters with the frequencies that the bilinear transform gives them.
#[test]
fn cuts_shelves_and_notch_are_those_of_the_cookbook() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Bell) {
        for shape in shapes(kind) {
            for f in grid() {
                let wanted = analog(&shape, (PI * f).tan() / (PI * shape.frequency).tan());
                if wanted < -150.0 {
                    continue;
                }
                let error = (digital(&shape, f) - wanted).abs();
                assert!(error < 1e-7, "{shape:?} at {f}: {error} dB off");
            }
        }
    }
}

/// The cookbook gives coefficients of a direct form; here the same filters are in another form.
#[test]
fn the_cookbooks_coefficients_make_the_same_sound() {
    let shape =
        Shape { kind: Kind::HighShelf, frequency: 8000.0 / 48_000.0, gain: 7.5, q: 0.9, steep: false };
    let w0 = TAU * shape.frequency;
    let (a, alpha, cos) = (10f64.powf(shape.gain / 40.0), w0.sin() / (2.0 * shape.q), w0.cos());
    let r = 2.0 * a.sqrt() * alpha;
    let b = [
        a * ((a + 1.0) + (a - 1.0) * cos + r),
        -2.0 * a * ((a - 1.0) + (a + 1.0) * cos),
        a * ((a + 1.0) + (a - 1.0) * cos - r),
    ];
    let d = [
        (a + 1.0) - (a - 1.0) * cos + r,
        2.0 * ((a - 1.0) - (a + 1.0) * cos),
        (a + 1.0) - (a - 1.0) * cos - r,
    ];
    let step = super::super::svf::Step::from(&shape.sections()[0]);
    let mut filter = super::super::svf::Svf::<1>::default();
    let (mut x, mut y) = ([0.0; 3], [0.0; 3]);
    for n in 0..2000u32 {
        let input = f64::from(n.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 23) - 1.0;
        x = [input, x[0], x[1]];
        let direct = (b[0] * x[0] + b[1] * x[1] + b[2] * x[2] - d[1] * y[0] - d[2] * y[1]) / d[0];
        y = [direct, y[0], y[1]];
        assert!((filter.next(&step, [input])[0] - direct).abs() < 1e-11);
    }
}

/// The bell is the analog one: exactly where it is matched, and nearly so everywhere.
#[test]
fn bells_are_the_analog_ones_up_to_half_the_rate() {
    let (mut worst, mut squeezed) = (0f64, 0f64);
    for shape in shapes(Kind::Bell) {
        let exact = [shape.frequency, 0.499_999_99];
        for f in exact {
            let error = digital(&shape, f) - analog(&shape, f / shape.frequency);
            assert!(error.abs() < 1e-4, "{shape:?} at {f}: {error} dB off");
        }
        for f in grid() {
            let error = (digital(&shape, f) - analog(&shape, f / shape.frequency)).abs();
            worst = worst.max(error);
            let limit = if shape.gain.abs() <= 12.0 { 0.9 } else { 2.0 };
            assert!(error < limit, "{shape:?} at {f}: {error} dB off");
            let cookbook = analog(&shape, (PI * f).tan() / (PI * shape.frequency).tan());
            squeezed = squeezed.max((cookbook - analog(&shape, f / shape.frequency)).abs());
        }
    }
    // The cookbook's are far off at high frequencies.
    assert!(worst < 1.7 && squeezed > 20.0, "{worst} and {squeezed} dB");
}

#[test]
fn a_cut_has_its_slope_and_three_decibels_at_its_frequency() {
    for (steep, slope) in [(false, 12.041), (true, 24.082)] {
        let shape = Shape { kind: Kind::LowCut, frequency: 0.02, gain: 0.0, q: FRAC_1_SQRT_2, steep };
        assert!((digital(&shape, 0.02) + 3.0103).abs() < 1e-4);
        let octave = digital(&shape, 0.001) - digital(&shape, 0.0005);
        assert!((octave - slope).abs() < 0.01, "{octave}");
    }
}

/// Whatever is set, the filter is stable and its numbers are.
#[test]
fn every_band_that_can_be_set_is_a_stable_filter() {
    for kind in Kind::ALL {
        for rate in [8_000.0, 44_100.0, 384_000.0] {
            for frequency in [10.0, 333.0, 3_999.0, 19_000.0, 20_000.0].map(|f| f / rate) {
                for gain in [-24.0, -23.9, -1e-9, 0.0, 1e-9, 7.0, 24.0] {
                    for q in [0.1, 0.33, 1.0, 40.0] {
                        let shape = Shape { kind, frequency, gain, q, steep: true };
                        for section in shape.sections() {
                            assert!(section.g > 0.0 && section.g.is_finite(), "{shape:?}");
                            assert!(section.k > 0.0 && section.k.is_finite(), "{shape:?}");
                            assert!(section.mix.iter().all(|m| m.is_finite()), "{shape:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn flat_bells_and_shelves_are_through() {
    for kind in [Kind::Bell, Kind::LowShelf, Kind::HighShelf] {
        for frequency in [0.0004, 0.02, 0.3, 0.47] {
            let shape = Shape { kind, frequency, gain: 0.0, q: 1.3, steep: false };
            assert!(shape.sections().iter().all(Coefficients::is_through), "{shape:?}");
        }
    }
}

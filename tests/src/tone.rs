//! Tones in what was heard.

use std::{f64::consts::TAU, ops::Range};

/// A tone and what is beside it.
pub struct Tone {
    /// Where full scale is 1.
    pub amplitude: f64,
    /// At the first sample, of a sine, in radians.
    pub phase: f64,
    /// The power of all else, where that of a tone is half its amplitude squared.
    pub rest: f64,
}

impl Tone {
    /// The power of all else, in dB of the tone's.
    pub fn rest_db(&self) -> f64 {
        10.0 * (self.rest / (self.amplitude * self.amplitude / 2.0)).log10()
    }
}

/// The part of `samples[range]` that has `frequency`, in cycles a frame, by least squares.
pub fn measure(samples: &[f32], range: Range<usize>, frequency: f64) -> Tone {
    // Sine and cosine are only nearly orthogonal: the two equations are solved.
    let (mut ss, mut cc, mut sc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let turned = |n: usize| (TAU * frequency * n as f64).sin_cos();
    for n in range.clone() {
        let ((s, c), x) = (turned(n), f64::from(samples[n]));
        (ss, cc, sc) = (ss + s * s, cc + c * c, sc + s * c);
        (xs, xc) = (xs + x * s, xc + x * c);
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant);
    let rest = |n: usize| {
        let (s, c) = turned(n);
        (f64::from(samples[n]) - a * s - b * c).powi(2)
    };
    let count = range.len() as f64;
    Tone { amplitude: a.hypot(b), phase: b.atan2(a), rest: range.map(rest).sum::<f64>() / count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_and_what_is_added_to_it_are_told_apart() {
        let tone = |n: usize| (TAU * 0.0123 * n as f64 + 1.0).sin() * 0.25;
        let clean: Vec<f32> = (0..9999).map(|n| tone(n) as f32).collect();
        let heard = measure(&clean, 500..9999, 0.0123);
        assert!((heard.amplitude - 0.25).abs() < 1e-7 && heard.rest_db() < -130.0, "{}", heard.amplitude);
        assert!((heard.phase - 1.0).abs() < 1e-6, "{}", heard.phase);
        let dirty: Vec<f32> = (0..9999).map(|n| (tone(n) + tone(n * 3)) as f32).collect();
        let heard = measure(&dirty, 0..9999, 0.0123);
        assert!((heard.amplitude - 0.25).abs() < 1e-3 && (heard.rest - 0.03125).abs() < 1e-4);
        assert!(heard.rest_db().abs() < 0.02, "{}", heard.rest_db());
    }
}

//! From what people set on an equalizer to the coefficients of its filters.
//!
//! - Shelves, cuts and notch are those of R. Bristow-Johnson's "Audio EQ Cookbook" (W3C note, 2021), which are the
//!   analog filters through the bilinear transform. Cuts of 24 dB per octave are two of them, with the Qs of a
//!   Butterworth filter of fourth order.
//! - The bell of the cookbook gets narrower and lopsided towards half the rate, as the transform squeezes all
//!   frequencies in there. The one here has the analog bell's gain at half the rate, the idea of S. J. Orfanidis,
//!   "Digital Parametric Equalizer Design with Prescribed Nyquist-Frequency Gain" (JAES 45, 1997). Instead of the
//!   bandwidth, which does not fit below half the rate for wide bells, it has the analog gain at the lower edge.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::svf::Coefficients;

/// What a band does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Takes away what is below.
    LowCut,
    /// Raises or lowers what is below.
    LowShelf,
    /// Raises or lowers what is around.
    Bell,
    /// Raises or lowers what is above.
    HighShelf,
    /// Takes away what is above.
    HighCut,
    /// Takes away what is around.
    Notch,
}

impl Kind {
    /// All of them, in the order of the parameter `band1_kind`.
    pub const ALL: [Self; 6] =
        [Self::LowCut, Self::LowShelf, Self::Bell, Self::HighShelf, Self::HighCut, Self::Notch];
}

/// The highest frequency of a filter, in parts of the rate; those above are lowered to it.
pub const HIGHEST: f64 = 0.475;

/// Filters in a row that a band has at most.
pub const SECTIONS: usize = 2;

/// 1/Q of the two halves of a Butterworth filter of fourth order: twice the sine of 22.5° and of 67.5°.
const BUTTERWORTH: [f64; 2] = [0.765_366_864_730_179_6, 1.847_759_065_022_573_5];

/// A band as people set it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// What it does.
    pub kind: Kind,
    /// In parts of the rate.
    pub frequency: f64,
    /// Of bell and shelves, in dB.
    pub gain: f64,
    /// Of bell, notch, shelves and cuts; √½ is the flattest shelf or cut.
    pub q: f64,
    /// Whether a cut has 24 dB per octave instead of 12.
    pub steep: bool,
}

impl Shape {
    /// The filters in a row that make the band.
    pub fn sections(&self) -> [Coefficients; SECTIONS] {
        let frequency = self.frequency.clamp(1e-7, HIGHEST);
        let g = (PI * frequency).tan();
        let k = 1.0 / self.q;
        let a = 10f64.powf(self.gain / 40.0);
        let single = |filter: Coefficients| [filter, filter.opened()];
        match self.kind {
            Kind::LowCut => self.cut(|k| Coefficients { g, k, mix: [1.0, -k, -1.0] }),
            Kind::HighCut => self.cut(|k| Coefficients { g, k, mix: [0.0, 0.0, 1.0] }),
            Kind::LowShelf => {
                let mix = [1.0, k * (a - 1.0), a * a - 1.0];
                single(Coefficients { g: g / a.sqrt(), k, mix })
            }
            Kind::HighShelf => {
                let mix = [a * a, k * (1.0 - a) * a, 1.0 - a * a];
                single(Coefficients { g: g * a.sqrt(), k, mix })
            }
            Kind::Bell => single(bell(frequency, self.gain, self.q)),
            Kind::Notch => single(Coefficients { g, k, mix: [1.0, -k, 0.0] }),
        }
    }

    /// A cut made of filters with a given 1/Q. Its Q raises or lowers that of all sections alike.
    fn cut(&self, section: impl Fn(f64) -> Coefficients) -> [Coefficients; SECTIONS] {
        let k = 1.0 / self.q;
        if self.steep {
            BUTTERWORTH.map(|butterworth| section(butterworth * k * FRAC_1_SQRT_2))
        } else {
            [section(k), section(k).opened()]
        }
    }
}

/// The bell `(s² + s·A/Q + 1) / (s² + s/(A·Q) + 1)`, `A² = 10^(gain/20)`, matched at frequency 0, at the lower edge,
/// at its own frequency (gain and slope) and at half the rate. A bell that lowers is the inverse of one that raises.
fn bell(frequency: f64, gain: f64, q: f64) -> Coefficients {
    // |H|² of the analog bell is 1 + (G² − 1)·rise, with u = (ω/ω0)².
    let qa = q * 10f64.powf(gain.abs() / 40.0);
    let rise = |u: f64| {
        let band = u / (qa * qa);
        band / ((1.0 - u) * (1.0 - u) + band)
    };
    let power = 10f64.powf(gain.abs() / 10.0);
    let end = rise(1.0 / (4.0 * frequency * frequency));
    // The lower edge is where the power has risen by half; ω there, in parts of ω0.
    let edge = ((0.25 / (qa * qa) + 1.0).sqrt() - 0.5 / qa) * frequency;

    // In Ω² = tan²(ω/2) the digital bell's |H|² is (N²Ω⁴ + b·Ω² + W²) / (Ω⁴ + a·Ω² + W²). The double root of
    // |H|² − G² at Ω0² gives W and b − G²·a, the edge gives a; G² − 1 falls out of both.
    let center = (PI * frequency).tan().powi(2);
    let low = (PI * edge).tan().powi(2);
    let w = center * (1.0 - end).sqrt();
    let a = 2.0 * (((0.5 - end) * low * low + 0.5 * w * w) / low - 2.0 * center * (1.0 - end));
    let b = power * a + 2.0 * center * (power - 1.0) * (1.0 - end);
    let nyquist = (1.0 + (power - 1.0) * end).sqrt();
    let d1 = (a + 2.0 * w).sqrt();
    let n1 = (b + 2.0 * nyquist * w).sqrt();
    if gain >= 0.0 {
        Coefficients::from_polynomials([nyquist, n1, w], [d1, w])
    } else {
        let of = |x: f64| x / nyquist;
        Coefficients::from_polynomials([of(1.0), of(d1), of(w)], [of(n1), of(w)])
    }
}

#[cfg(test)]
#[path = "design_tests.rs"]
mod tests;

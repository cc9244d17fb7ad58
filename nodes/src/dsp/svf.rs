//! The state-variable filter that all filters here run in.
//!
//! Trapezoidal integrators with the delay-free loop solved (V. Zavalishin, "The Art of VA Filter Design", 2012;
//! A. Simper, "Linear Trapezoidal Integrated State Variable Filter", Cytomic 2013). Any stable filter of second
//! order can be written in it.
//!
//! It is chosen over the direct forms because its coefficients may change at every sample: with no input, a step
//! takes the state `s` to `(1 + gA)(1 − gA)⁻¹ s` with `A = [−k −1; 1 0]`. As `A + Aᵀ` has no positive eigenvalue
//! for `k ≥ 0`, that never makes `|s|` longer, whatever `g > 0` and `k ≥ 0` are at each sample (compare
//! A. Wishnick, "Time-varying filters for musical applications", DAFx-14). A direct form has no such bound, and
//! its state changes its meaning with its coefficients, which is heard as a click.

use std::f64::consts::PI;

/// What a filter of second order is: the transfer function
/// `m0 + (m1·g·s + m2·g²) / (s² + k·g·s + g²)`, where `s` is `(z − 1) / (z + 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// `tan(ω/2)` of the poles' frequency, greater than 0.
    pub g: f64,
    /// Damping, 1/Q of the poles.
    pub k: f64,
    /// How much of the input, the band and the low output there is in the output.
    pub mix: [f64; 3],
}

impl Coefficients {
    /// The filter that lets everything through.
    pub const THROUGH: Self = Self { g: 0.1, k: 1.0, mix: [1.0, 0.0, 0.0] };

    /// The filter `(n2·s² + n1·s + n0) / (s² + d1·s + d0)`.
    pub fn from_polynomials([n2, n1, n0]: [f64; 3], [d1, d0]: [f64; 2]) -> Self {
        let g = d0.sqrt();
        let k = d1 / g;
        Self { g, k, mix: [n2, n1 / g - k * n2, n0 / d0 - n2] }
    }

    /// This filter's poles with a mix that lets everything through.
    pub fn opened(self) -> Self {
        Self { mix: Self::THROUGH.mix, ..self }
    }

    /// Whether everything goes through as it is.
    pub fn is_through(&self) -> bool {
        self.mix == Self::THROUGH.mix
    }

    /// The filter on the straight line from this one to `other`; stable wherever both are.
    pub fn towards(&self, other: &Self, part: f64) -> Self {
        let line = |from: f64, to: f64| from + (to - from) * part;
        Self {
            g: line(self.g, other.g),
            k: line(self.k, other.k),
            mix: [0, 1, 2].map(|n| line(self.mix[n], other.mix[n])),
        }
    }

    /// The factor by which a sine of `frequency` (in parts of the rate, below 0.5) gets louder.
    pub fn magnitude(&self, frequency: f64) -> f64 {
        let (g, [m0, m1, m2]) = (self.g, self.mix);
        let w = (PI * frequency).tan();
        // Of s = jw: the denominator, and the numerator over it.
        let (dr, di) = (g * g - w * w, self.k * g * w);
        let (nr, ni) = (m0 * dr + m2 * g * g, m0 * di + m1 * g * w);
        nr.hypot(ni) / dr.hypot(di)
    }
}

/// Coefficients as a sample needs them.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    a: [f64; 3],
    mix: [f64; 3],
}

impl From<&Coefficients> for Step {
    #[inline]
    fn from(c: &Coefficients) -> Self {
        let a1 = 1.0 / (1.0 + c.g * (c.g + c.k));
        let a2 = c.g * a1;
        Self { a: [a1, a2, c.g * a2], mix: c.mix }
    }
}

/// The state of a filter for `N` channels side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Svf<const N: usize> {
    low: [f64; N],
    band: [f64; N],
}

impl<const N: usize> Default for Svf<N> {
    fn default() -> Self {
        Self { low: [0.0; N], band: [0.0; N] }
    }
}

impl<const N: usize> Svf<N> {
    /// [audio thread] The next sample of each channel.
    #[inline]
    pub fn next(&mut self, step: &Step, x: [f64; N]) -> [f64; N] {
        let ([a1, a2, a3], [m0, m1, m2]) = (step.a, step.mix);
        let mut y = x;
        for n in 0..N {
            let rest = x[n] - self.low[n];
            let band = a1 * self.band[n] + a2 * rest;
            let low = self.low[n] + a2 * self.band[n] + a3 * rest;
            self.band[n] = 2.0 * band - self.band[n];
            self.low[n] = 2.0 * low - self.low[n];
            y[n] = m0 * x[n] + m1 * band + m2 * low;
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_through_is_through_bit_for_bit() {
        let mut filter = Svf::<1>::default();
        let step = Step::from(&Coefficients::THROUGH);
        for x in [0.1f32, -0.7, 1e-7, 0.999_999_9] {
            assert_eq!(filter.next(&step, [f64::from(x)])[0] as f32, x);
        }
    }

    proptest! {
        #[test]
        fn the_state_never_grows_by_itself_whatever_the_coefficients_do(
            steps in prop::collection::vec((-6.0f64..4.0, 0.0f64..40.0), 1..200)
        ) {
            let mut filter = Svf::<1> { low: [0.6], band: [-0.8] };
            let mut before = 1.0;
            for (g, k) in steps {
                let g = 10f64.powf(g);
                filter.next(&Step::from(&Coefficients { g, k, mix: [0.0, 1.0, 1.0] }), [0.0]);
                let length = filter.low[0].hypot(filter.band[0]);
                prop_assert!(length <= before * (1.0 + 1e-9), "{} after {}", length, before);
                before = length;
            }
        }
    }
}

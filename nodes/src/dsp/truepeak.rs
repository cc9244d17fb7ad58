//! How high a signal rises between its samples.
//!
//! The signal is interpolated to eight times its rate, as ITU-R BS.1770-5 annex 2 does to four times. The filter
//! is a sinc with a Kaiser window, longer than the annex's, which has 12 taps for each phase: the annex misses what
//! lies close to half the rate, and a limiter must not.

use std::f64::consts::PI;

/// How many values there are for each sample.
pub const PHASES: usize = 8;

/// The taps of each phase in a limiter, which must find what lies just below half the rate.
pub const LIMITER_TAPS: usize = 128;

/// The taps of each phase in a meter.
pub const METER_TAPS: usize = 48;

/// How many frames a value is known after the frame that it follows.
pub const fn delay(taps: usize) -> usize {
    taps / 2
}

/// The shape of the Kaiser window. With 128 taps, values are right up to 0.485 of the rate, with 48 up to 0.46.
const BETA: f64 = 4.0;

/// The filter, by tap and phase.
#[derive(Clone, Debug)]
pub struct Interpolator<const TAPS: usize> {
    taps: Box<[[f32; PHASES]; TAPS]>,
    /// By how much the values can be larger than the samples that they are made of.
    most: f32,
}

impl<const TAPS: usize> Default for Interpolator<TAPS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The modified Bessel function of the first kind and order 0.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..40 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

/// What a sample contributes to a value `distance` frames away, if values are made of `taps` samples.
pub fn kernel(distance: f64, taps: usize, beta: f64) -> f64 {
    let half = taps as f64 / 2.0;
    if distance.abs() >= half {
        return 0.0;
    }
    let sinc = if distance == 0.0 { 1.0 } else { (PI * distance).sin() / (PI * distance) };
    sinc * bessel(beta * (1.0 - (distance / half).powi(2)).sqrt()) / bessel(beta)
}

impl<const TAPS: usize> Interpolator<TAPS> {
    /// Makes the filter.
    pub fn new() -> Self {
        let mut taps = Box::new([[0f32; PHASES]; TAPS]);
        let mut most = 0f64;
        for phase in 0..PHASES {
            // Tap 0 belongs to the oldest sample; the values follow the one in the middle.
            let place = (delay(TAPS) - 1) as f64 + phase as f64 / PHASES as f64;
            let values: [f64; TAPS] = std::array::from_fn(|tap| kernel(tap as f64 - place, TAPS, BETA));
            let sum: f64 = values.iter().sum();
            most = most.max(values.iter().map(|x| (x / sum).abs()).sum());
            for (tap, value) in values.iter().enumerate() {
                taps[tap][phase] = (value / sum) as f32;
            }
        }
        Self { taps, most: most as f32 * 1.0001 }
    }

    /// [audio thread] The highest of the values from a sample on up to the next one, if `window` has
    /// [`delay`] − 1 samples before it and [`delay`] after.
    #[inline]
    fn peak(&self, window: &[f32]) -> f32 {
        let mut sums = [0f32; PHASES];
        for (taps, x) in self.taps.iter().zip(window) {
            for (sum, tap) in sums.iter_mut().zip(taps) {
                *sum += tap * x;
            }
        }
        // Phase 0 is the sample itself, but for rounding.
        sums[0] = window[delay(TAPS) - 1];
        sums.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()))
    }
}

/// The last samples of a channel.
#[derive(Clone, Debug)]
pub struct Window<const TAPS: usize> {
    /// Everything twice, so that the last `TAPS` are always in a row.
    samples: Box<[[f32; TAPS]; 2]>,
    at: usize,
    /// The highest sample that may still be in the window, and for how many frames it is.
    highest: f32,
    left: usize,
}

impl<const TAPS: usize> Default for Window<TAPS> {
    fn default() -> Self {
        Self { samples: Box::new([[0.0; TAPS]; 2]), at: 0, highest: 0.0, left: 0 }
    }
}

impl<const TAPS: usize> Window<TAPS> {
    /// [audio thread] Takes in a sample, and answers with the highest value from the frame [`delay`] frames ago up to
    /// the one after. A peak that is certain not to be above `floor` may be told too low.
    #[inline]
    pub fn next(&mut self, interpolator: &Interpolator<TAPS>, x: f32, floor: f32) -> f32 {
        self.samples.iter_mut().for_each(|half| half[self.at] = x);
        self.at = (self.at + 1) % TAPS;
        let window = &self.samples.as_flattened()[self.at..self.at + TAPS];
        if x.abs() >= self.highest {
            (self.highest, self.left) = (x.abs(), TAPS);
        } else {
            self.left -= 1;
            if self.left == 0 {
                self.highest = window.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
                self.left = TAPS;
            }
        }
        if self.highest * interpolator.most <= floor {
            return window[delay(TAPS) - 1].abs();
        }
        interpolator.peak(window)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// The highest value of a sine whose samples avoid its peaks, long after it began.
    fn measured(frequency: f64, phase: f64, floor: f32) -> f64 {
        let interpolator = Interpolator::<METER_TAPS>::new();
        let mut window = Window::default();
        let mut peak = 0f32;
        for n in 0..4000 {
            let x = (TAU * (frequency * f64::from(n) + phase)).sin() as f32;
            let value = window.next(&interpolator, x, floor);
            if n > 1000 {
                peak = peak.max(value);
            }
        }
        f64::from(peak)
    }

    #[test]
    fn sines_rise_to_their_amplitude_whatever_their_phase() {
        for frequency in [0.001, 0.01, 0.1, 1.0 / 6.0, 0.25, 1.0 / 3.0, 0.4, 0.42, 0.44, 0.45] {
            for phase in [0.0, 0.1, 0.125, 0.2] {
                let error = 20.0 * measured(frequency, phase, 0.0).log10();
                // Eight values for a sample miss the top by as much as the cosine of half a step.
                assert!((-0.09..0.02).contains(&error), "{frequency} at {phase}: {error} dB off");
            }
        }
    }

    #[test]
    fn a_floor_hides_nothing_above_it() {
        for frequency in [0.25, 0.41] {
            assert_eq!(measured(frequency, 0.125, 0.9), measured(frequency, 0.125, 0.0));
        }
    }

    #[test]
    fn the_samples_themselves_are_never_missed() {
        let interpolator = Interpolator::<LIMITER_TAPS>::new();
        let mut window = Window::default();
        let signal: Vec<f32> = (0..500).map(|n: i32| if n % 97 == 0 { 0.9 } else { 0.0 }).collect();
        for n in 0..500 {
            let peak = window.next(&interpolator, signal[n], 0.0);
            if n >= delay(LIMITER_TAPS) {
                assert!(peak >= signal[n - delay(LIMITER_TAPS)].abs());
            }
        }
    }
}

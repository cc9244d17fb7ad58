//! A feed-forward compressor.
//!
//! The design that D. Giannoulis, M. Massberg and J. D. Reiss recommend in "Digital Dynamic Range Compressor Design: A
//! Tutorial and Analysis" (JAES 60, 2012): level in dB, static curve with a soft knee (eq. 4), and a smooth branching
//! detector (eq. 16) on the reduction in dB, so that attack and release do not depend on how loud it is.

use super::{decibels, factor};

/// Below this many dB a reduction that is let go is none.
const NONE: f64 = 1e-6;

/// Time constant of the RMS detector, in seconds.
pub const RMS_SECONDS: f64 = 0.01;

/// What is set on a compressor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// Above this level it reduces, in dB.
    pub threshold: f64,
    /// How many dB of level make one dB at the output, above the threshold; 1 or more.
    pub ratio: f64,
    /// The width of the passage from one to the other, in dB around the threshold.
    pub knee: f64,
}

impl Curve {
    /// By how many dB a level is to be reduced.
    pub fn reduction(&self, level: f64) -> f64 {
        let over = level - self.threshold;
        let slope = 1.0 - 1.0 / self.ratio;
        if 2.0 * over <= -self.knee {
            0.0
        } else if 2.0 * over < self.knee {
            slope * (over + self.knee / 2.0).powi(2) / (2.0 * self.knee)
        } else {
            slope * over
        }
    }
}

/// The state of a compressor.
#[derive(Clone, Debug)]
pub struct Compressor {
    /// What is set.
    pub curve: Curve,
    rate: f64,
    attack: f64,
    release: f64,
    /// The reduction, in dB.
    reduction: f64,
}

/// What is left of a difference after a frame, if 1/e is left after so many seconds; nothing at 0 s.
fn coefficient(seconds: f64, rate: f64) -> f64 {
    (-1.0 / (seconds * rate)).exp()
}

impl Compressor {
    /// A compressor that reduces nothing yet.
    pub fn new(rate: f64, curve: Curve) -> Self {
        Self { curve, rate, attack: 0.0, release: 0.0, reduction: 0.0 }
    }

    /// Sets the time after which 63% (1 − 1/e) of what is to be reduced is.
    pub fn set_attack(&mut self, seconds: f64) {
        self.attack = coefficient(seconds, self.rate);
    }

    /// Sets the time after which 63% of what was reduced is not any more.
    pub fn set_release(&mut self, seconds: f64) {
        self.release = coefficient(seconds, self.rate);
    }

    /// [audio thread] The gain of a frame with this level (a factor, 1 at full scale).
    #[inline]
    pub fn next(&mut self, level: f64) -> f64 {
        let wanted = self.curve.reduction(decibels(level));
        let kept = if wanted > self.reduction { self.attack } else { self.release };
        self.reduction = kept * self.reduction + (1.0 - kept) * wanted;
        // Not while it attacks: the first frame of a slow attack may be less than that.
        if wanted == 0.0 && self.reduction < NONE {
            self.reduction = 0.0;
        }
        factor(-self.reduction)
    }

    /// The reduction of the last frame, in dB.
    pub fn reduction(&self) -> f64 {
        self.reduction
    }
}

/// The mean of the squares of each channel, with an exponential window.
#[derive(Clone, Debug)]
pub struct Rms {
    kept: f64,
    squares: Vec<f64>,
}

impl Rms {
    /// For so many channels.
    pub fn new(channels: usize, rate: f64) -> Self {
        Self { kept: coefficient(RMS_SECONDS, rate), squares: vec![0.0; channels] }
    }

    /// [audio thread] Takes in the next sample of a channel.
    #[inline]
    pub fn add(&mut self, channel: usize, x: f64) {
        let square = &mut self.squares[channel];
        *square = self.kept * *square + (1.0 - self.kept) * x * x;
        if *square < 1e-30 {
            *square = 0.0;
        }
    }

    /// [audio thread] The level of a channel after its last sample.
    #[inline]
    pub fn level(&self, channel: usize) -> f64 {
        self.squares[channel].sqrt()
    }

    /// [audio thread] Becomes what `other`, which has as many channels, is.
    pub fn copy_from(&mut self, other: &Self) {
        self.kept = other.kept;
        self.squares.copy_from_slice(&other.squares);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 48_000.0;

    fn compressor(curve: Curve, attack: f64, release: f64) -> Compressor {
        let mut compressor = Compressor::new(RATE, curve);
        compressor.set_attack(attack);
        compressor.set_release(release);
        compressor
    }

    /// The static curve by its definition: below, in the knee, above.
    fn output(Curve { threshold: t, ratio: r, knee: w }: Curve, x: f64) -> f64 {
        if 2.0 * (x - t) < -w {
            x
        } else if 2.0 * (x - t).abs() <= w && w > 0.0 {
            x + (1.0 / r - 1.0) * (x - t + w / 2.0).powi(2) / (2.0 * w)
        } else {
            t + (x - t) / r
        }
    }

    #[test]
    fn levels_come_out_as_the_static_curve_says() {
        for threshold in [-60.0, -24.0, -6.0, 0.0] {
            for ratio in [1.0, 1.5, 4.0, 100.0] {
                for knee in [0.0, 6.0, 24.0] {
                    let curve = Curve { threshold, ratio, knee };
                    for level in (-80..=6).map(f64::from) {
                        let mut compressor = compressor(curve, 0.001, 0.05);
                        let mut gain = 1.0;
                        for _ in 0..4800 {
                            gain = compressor.next(factor(level));
                        }
                        let error = (level + decibels(gain) - output(curve, level)).abs();
                        assert!(error < 1e-9, "{curve:?} at {level} dB: {error} dB off");
                    }
                }
            }
        }
    }

    #[test]
    fn attack_and_release_take_their_time() {
        let curve = Curve { threshold: -20.0, ratio: 4.0, knee: 0.0 };
        let full = curve.reduction(0.0);
        for (attack, release) in [(0.0001, 0.01), (0.005, 0.1), (0.1, 1.0)] {
            let mut compressor = compressor(curve, attack, release);
            // Within a frame of the time that was set.
            let reached = (1..).find(|_| {
                compressor.next(1.0);
                compressor.reduction() >= full * (1.0 - (-1f64).exp()) * (1.0 - 1e-9)
            });
            assert!((reached.unwrap() as f64 - attack * RATE).abs() <= 1.0, "{reached:?} for {attack} s");
            (0..100_000).for_each(|_| _ = compressor.next(1.0));
            let left = (1..).find(|_| {
                compressor.next(0.0);
                compressor.reduction() <= full * (-1f64).exp() * (1.0 + 1e-9)
            });
            assert!((left.unwrap() as f64 - release * RATE).abs() <= 1.0, "{left:?} for {release} s");
        }
    }

    #[test]
    fn no_reduction_is_a_gain_of_exactly_one() {
        let mut compressor = compressor(Curve { threshold: -20.0, ratio: 4.0, knee: 6.0 }, 0.001, 0.01);
        assert!((0..1000).all(|_| compressor.next(factor(-24.0)) == 1.0));
        (0..1000).for_each(|_| _ = compressor.next(1.0));
        assert!(compressor.next(1.0) < 0.5);
        // It comes to rest again.
        (0..20_000).for_each(|_| _ = compressor.next(0.0));
        assert_eq!(compressor.next(0.0), 1.0);
    }

    /// However little is wanted, and however little of it comes with a frame.
    #[test]
    fn a_slow_attack_has_no_dead_zone() {
        let curve = Curve { threshold: -20.0, ratio: 4.0, knee: 0.0 };
        for rate in [48_000.0, 384_000.0] {
            for over in [0.0001, 0.01, 0.3] {
                let mut compressor = Compressor::new(rate, curve);
                compressor.set_attack(1.0);
                let level = factor(-20.0 + over);
                (0..rate as usize).for_each(|_| _ = compressor.next(level));
                let wanted = 0.75 * over * (1.0 - (-1f64).exp());
                let error = (compressor.reduction() / wanted - 1.0).abs();
                assert!(error < 1e-6, "{over} dB at {rate} Hz: {}", compressor.reduction());
            }
        }
    }

    #[test]
    fn the_level_of_a_sine_is_three_decibels_below_its_peak() {
        let mut rms = Rms::new(1, RATE);
        let sine = |n: i32| (f64::from(n) * 0.7).sin();
        let level = |n| {
            rms.add(0, sine(n));
            decibels(rms.level(0))
        };
        let levels: Vec<_> = (0..9600).map(level).skip(7200).collect();
        assert!(levels.iter().all(|level| (level + 3.0103).abs() < 0.1));
    }
}

//! A gate with hysteresis and hold.

use super::{factor, glide::Glide};

/// What a release towards silence counts as, in dB; then it is silent.
const FLOOR: f64 = -90.0;

/// What is set on a gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The level that opens it, in dB.
    pub threshold: f64,
    /// How many dB lower the level is that keeps it open.
    pub hysteresis: f64,
    /// The gain while it is closed, in dB; −∞ is silence.
    pub range: f64,
    /// From closed to open, in seconds: the gain rises in a straight line.
    pub attack: f64,
    /// How long it stays open after the last frame that was loud enough to keep it open, in seconds.
    pub hold: f64,
    /// From open to closed, in seconds: the gain falls in a straight line of dB.
    pub release: f64,
}

/// The state of a gate.
#[derive(Clone, Debug)]
pub struct Gate {
    rate: f64,
    /// Factors and frames, as the limits say.
    opens: f64,
    keeps: f64,
    /// The gain while it is closed; it is never below.
    closed: Glide,
    attack: f64,
    fall: f64,
    hold: u64,
    open: bool,
    /// Frames since it was last loud enough.
    quiet: u64,
    gain: f64,
}

/// The gain while it is closed, as a factor.
fn closed(limits: &Limits) -> f64 {
    if limits.range == f64::NEG_INFINITY { 0.0 } else { factor(limits.range) }
}

impl Gate {
    /// A gate that is closed.
    pub fn new(rate: f64, limits: &Limits) -> Self {
        let mut gate = Self {
            rate,
            opens: 0.0,
            keeps: 0.0,
            closed: Glide::still(closed(limits)),
            attack: 1.0,
            fall: 0.0,
            hold: 0,
            open: false,
            quiet: 0,
            gain: closed(limits),
        };
        gate.set(limits, 0, 0);
        gate
    }

    /// [audio thread] Sets the limits from `frame` on. The gain moves on from where it is, with the new times;
    /// another range is there after `fade` frames.
    pub fn set(&mut self, limits: &Limits, frame: u64, fade: u64) {
        let frames = |seconds: f64| (seconds * self.rate).round();
        self.opens = factor(limits.threshold);
        self.keeps = factor(limits.threshold - limits.hysteresis.max(0.0));
        let closed = closed(limits);
        if closed != self.closed.target() {
            self.closed.turn(closed, frame, fade);
        }
        self.attack = frames(limits.attack).max(1.0);
        self.fall = factor(limits.range.max(FLOOR) / frames(limits.release).max(1.0));
        self.hold = frames(limits.hold) as u64;
    }

    /// [audio thread] The gain at `frame`, which has this level (a factor, 1 at full scale).
    #[inline]
    pub fn next(&mut self, frame: u64, level: f64) -> f64 {
        let enough = if self.open { self.keeps } else { self.opens };
        if level >= enough {
            self.open = true;
            self.quiet = 0;
        } else {
            self.quiet = self.quiet.saturating_add(1);
            self.open &= self.quiet <= self.hold;
        }
        let closed = self.closed.at(frame);
        if self.open {
            // What the steps add up to is 1 but for rounding.
            let gain = self.gain + (1.0 - closed) / self.attack;
            self.gain = if gain > 1.0 - 1e-9 { 1.0 } else { gain.max(closed) };
        } else {
            let gain = self.gain * self.fall;
            let end = closed.max(factor(FLOOR)) * (1.0 + 1e-9);
            self.gain = if gain > end { gain } else { closed };
        }
        self.gain
    }

    /// The gain of the last frame.
    pub fn gain(&self) -> f64 {
        self.gain
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: f64 = 1000.0;

    const LIMITS: Limits =
        Limits { threshold: -40.0, hysteresis: 6.0, range: -60.0, attack: 0.01, hold: 0.05, release: 0.1 };

    fn gate() -> Gate {
        Gate::new(RATE, &LIMITS)
    }

    fn run(gate: &mut Gate, level: f64, frames: usize) -> Vec<f64> {
        (0..frames).map(|_| gate.next(0, factor(level))).collect()
    }

    #[test]
    fn opens_at_the_threshold_and_stays_open_down_to_the_hysteresis() {
        let mut gate = gate();
        assert!(run(&mut gate, -40.01, 500).iter().all(|gain| *gain == factor(-60.0)));
        assert_eq!(run(&mut gate, -39.99, 500).last(), Some(&1.0));
        assert!(run(&mut gate, -45.99, 500).iter().all(|gain| *gain == 1.0));
        assert_eq!(run(&mut gate, -46.01, 500).last(), Some(&factor(-60.0)));
        assert!(run(&mut gate, -40.01, 500).iter().all(|gain| *gain == factor(-60.0)));
    }

    #[test]
    fn attack_hold_and_release_take_their_frames() {
        let mut gate = gate();
        let attack = run(&mut gate, 0.0, 10);
        let rise = (1.0 - factor(-60.0)) / 10.0;
        for (n, gain) in attack.iter().enumerate() {
            assert!((gain - (factor(-60.0) + rise * (n + 1) as f64)).abs() < 1e-9);
        }
        assert!(attack[8] < 1.0 && attack[9] == 1.0);
        assert!(run(&mut gate, -200.0, 50).iter().all(|gain| *gain == 1.0));
        let release = run(&mut gate, -200.0, 100);
        for (n, gain) in release.iter().enumerate() {
            assert!((crate::dsp::decibels(*gain) + 0.6 * (n + 1) as f64).abs() < 1e-6);
        }
        assert!(release[98] > factor(-60.0) && release[99] == factor(-60.0));
    }

    #[test]
    fn a_level_in_between_starts_the_hold_anew() {
        let mut gate = gate();
        run(&mut gate, 0.0, 20);
        for _ in 0..10 {
            assert!(run(&mut gate, -200.0, 50).iter().all(|gain| *gain == 1.0));
            run(&mut gate, -45.0, 1);
        }
        assert!(run(&mut gate, -200.0, 51)[50] < 1.0);
    }

    #[test]
    fn closes_to_silence_if_that_is_asked_for() {
        let mut gate = Gate::new(RATE, &Limits { range: f64::NEG_INFINITY, ..LIMITS });
        assert_eq!(gate.next(0, 0.0), 0.0);
        run(&mut gate, 0.0, 20);
        let release = run(&mut gate, -200.0, 200);
        assert!(release[148] > 0.0 && release[149] == 0.0);
    }

    /// The gains of the frames from `first` on.
    fn run_from(gate: &mut Gate, first: u64, level: f64, frames: u64) -> Vec<f64> {
        (first..first + frames).map(|frame| gate.next(frame, factor(level))).collect()
    }

    #[test]
    fn another_range_of_a_closed_gate_is_no_step() {
        let mut gate = gate();
        run_from(&mut gate, 0, -200.0, 10);
        gate.set(&Limits { range: -20.0, ..LIMITS }, 10, 50);
        let up = run_from(&mut gate, 10, -200.0, 60);
        for (passed, gain) in up.iter().enumerate() {
            let part = (passed as f64 / 50.0).min(1.0);
            let wanted = factor(-60.0) + (factor(-20.0) - factor(-60.0)) * part;
            assert!((gain - wanted).abs() < 1e-12, "{gain} after {passed} frames");
        }
        assert_eq!(up[50], factor(-20.0));
        // Downwards it is a release: 0.6 dB in a frame.
        gate.set(&LIMITS, 70, 50);
        let down = run_from(&mut gate, 70, -200.0, 150);
        assert!(down.windows(2).all(|pair| pair[1] <= pair[0] && pair[1] >= pair[0] * factor(-0.6001)));
        assert_eq!(down.last(), Some(&factor(-60.0)));
    }

    #[test]
    fn a_gate_without_range_comes_to_rest_at_one() {
        // 4 of 10 frames of the attack have passed.
        let mut opening = gate();
        run_from(&mut opening, 0, 0.0, 4);
        // A third of the release has passed.
        let mut closing = gate();
        run_from(&mut closing, 0, 0.0, 10);
        run_from(&mut closing, 10, -200.0, 50 + 33);
        for (mut gate, frame, level) in [(opening, 4, 0.0), (closing, 93, -200.0)] {
            assert!(gate.gain() < 0.5);
            gate.set(&Limits { range: 0.0, ..LIMITS }, frame, 50);
            let gains = run_from(&mut gate, frame, level, 51);
            assert!(gains.windows(2).all(|pair| pair[1] >= pair[0] && pair[1] - pair[0] < 0.11));
            assert_eq!(gains.last(), Some(&1.0));
        }
    }

    proptest! {
        /// Whatever is turned and whenever, a frame changes the gain by no more than attack, release or fade do.
        #[test]
        fn no_setting_makes_a_step(
            turns in prop::collection::vec(
                (1u64..80, prop_oneof![Just(0.0), -90.0f64..0.0, Just(f64::NEG_INFINITY)], any::<bool>(), 1.0f64..200.0),
                1..20,
            )
        ) {
            const FADE: u64 = 40;
            let mut gate = Gate::new(RATE, &Limits { attack: 0.02, hold: 0.01, ..LIMITS });
            let (mut frame, mut before) = (0, gate.gain());
            for (frames, range, loud, release) in turns {
                let release = release / 1000.0;
                gate.set(&Limits { range, release, attack: 0.02, hold: 0.01, ..LIMITS }, frame, FADE);
                for gain in run_from(&mut gate, frame, if loud { 0.0 } else { -200.0 }, frames) {
                    let rise = f64::max(1.0 / 20.0, 1.0 / FADE as f64);
                    prop_assert!(gain - before <= rise + 1e-9, "from {before} to {gain}");
                    let fall = factor(FLOOR / (release * RATE).round());
                    prop_assert!(gain >= before * fall - factor(FLOOR) * 1.001, "from {before} to {gain}");
                    before = gain;
                }
                frame += frames;
            }
        }
    }
}

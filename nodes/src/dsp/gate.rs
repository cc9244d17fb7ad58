//! A gate with hysteresis and hold.

use super::factor;

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
    closed: f64,
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
            closed: closed(limits),
            attack: 1.0,
            fall: 0.0,
            hold: 0,
            open: false,
            quiet: 0,
            gain: closed(limits),
        };
        gate.set(limits);
        gate
    }

    /// [audio thread] Sets the limits. The gain moves on from where it is, with the new times; a closed gate has a
    /// range that is less at once.
    pub fn set(&mut self, limits: &Limits) {
        let frames = |seconds: f64| (seconds * self.rate).round();
        self.opens = factor(limits.threshold);
        self.keeps = factor(limits.threshold - limits.hysteresis.max(0.0));
        self.closed = closed(limits);
        self.attack = frames(limits.attack).max(1.0);
        self.fall = factor(limits.range.max(FLOOR) / frames(limits.release).max(1.0));
        self.hold = frames(limits.hold) as u64;
    }

    /// [audio thread] The gain of a frame with this level (a factor, 1 at full scale).
    #[inline]
    pub fn next(&mut self, level: f64) -> f64 {
        let enough = if self.open { self.keeps } else { self.opens };
        if level >= enough {
            self.open = true;
            self.quiet = 0;
        } else {
            self.quiet = self.quiet.saturating_add(1);
            self.open &= self.quiet <= self.hold;
        }
        let closed = self.closed;
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
    use super::*;

    const RATE: f64 = 1000.0;

    const LIMITS: Limits =
        Limits { threshold: -40.0, hysteresis: 6.0, range: -60.0, attack: 0.01, hold: 0.05, release: 0.1 };

    fn gate() -> Gate {
        Gate::new(RATE, &LIMITS)
    }

    fn run(gate: &mut Gate, level: f64, frames: usize) -> Vec<f64> {
        (0..frames).map(|_| gate.next(factor(level))).collect()
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
        assert_eq!(gate.next(0.0), 0.0);
        run(&mut gate, 0.0, 20);
        let release = run(&mut gate, -200.0, 200);
        assert!(release[148] > 0.0 && release[149] == 0.0);
    }

    /// Whoever hears it crosses over. Downwards it is a release: 0.6 dB in a frame.
    #[test]
    fn another_range_of_a_closed_gate_is_there_at_once_or_by_the_release() {
        let mut gate = gate();
        run(&mut gate, -200.0, 10);
        gate.set(&Limits { range: -20.0, ..LIMITS });
        assert!(run(&mut gate, -200.0, 10).iter().all(|gain| *gain == factor(-20.0)));
        gate.set(&LIMITS);
        let down = run(&mut gate, -200.0, 150);
        assert!(down[0] >= factor(-20.6001));
        assert!(down.windows(2).all(|pair| pair[1] <= pair[0] && pair[1] >= pair[0] * factor(-0.6001)));
        assert_eq!(down.last(), Some(&factor(-60.0)));
    }

    #[test]
    fn a_gate_without_range_comes_to_rest_at_one() {
        // 4 of 10 frames of the attack have passed.
        let mut opening = gate();
        run(&mut opening, 0.0, 4);
        // A third of the release has passed.
        let mut closing = gate();
        run(&mut closing, 0.0, 10);
        run(&mut closing, -200.0, 50 + 33);
        for (mut gate, level) in [(opening, 0.0), (closing, -200.0)] {
            assert!(gate.gain() < 0.5);
            gate.set(&Limits { range: 0.0, ..LIMITS });
            assert!(run(&mut gate, level, 50).iter().all(|gain| *gain == 1.0));
        }
    }
}

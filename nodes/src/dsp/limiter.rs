//! A look-ahead limiter for true peaks.
//!
//! The gain that each frame needs is held over the look-ahead (a sliding minimum), let go exponentially, and smoothed
//! by two boxes in a row, which are together shorter than the hold: so the gain is down in time, without a corner, and
//! never above what any frame around needs. Gains are whole numbers, in parts of 2^30, and the boxes' sums are
//! exact: when nothing has to be reduced, the gain is exactly 1 and the output is the input, later.

use super::truepeak::{self, Interpolator, LIMITER_TAPS, Window};

/// A gain of 1.
const ONE: u64 = 1 << 30;

/// The look-ahead in which the gain goes down, in seconds.
const ATTACK_SECONDS: f64 = 0.0015;

/// The shortest look-ahead, in frames. A gain that moves within fewer makes peaks of its own between the samples,
/// which nobody has looked for; so at rates below 42,667 the look-ahead is longer than its seconds.
const LEAST_ATTACK: usize = 64;

/// Frames on both sides of a peak at which the gain is held as well, as the peak is made of them.
const AROUND: usize = 8;

/// How long the two boxes are, in frames.
fn boxes(rate: f64) -> [usize; 2] {
    let attack = ((ATTACK_SECONDS * rate).round() as usize).max(LEAST_ATTACK);
    [attack / 2, attack - attack / 2]
}

/// How many frames later than the input the output is, at `rate` frames per second.
pub fn latency(rate: f64) -> usize {
    let [first, second] = boxes(rate);
    truepeak::delay(LIMITER_TAPS) + AROUND + first + second - 2
}

/// The minimum of the last numbers, by a deque of those that can still become it.
#[derive(Clone, Debug)]
struct Minimum {
    /// Numbers that rise, with the place at which each came.
    deque: Box<[(u64, u64)]>,
    first: usize,
    count: usize,
    place: u64,
}

impl Minimum {
    fn new(length: usize) -> Self {
        Self { deque: vec![(0, 0); length].into(), first: 0, count: 0, place: 0 }
    }

    #[inline]
    fn next(&mut self, number: u64) -> u64 {
        let length = self.deque.len();
        while self.count > 0 && self.deque[(self.first + self.count - 1) % length].0 >= number {
            self.count -= 1;
        }
        if self.count > 0 && self.deque[self.first].1 + length as u64 <= self.place {
            self.first = (self.first + 1) % length;
            self.count -= 1;
        }
        self.deque[(self.first + self.count) % length] = (number, self.place);
        self.count += 1;
        self.place += 1;
        self.deque[self.first].0
    }
}

/// The sum of the last numbers.
#[derive(Clone, Debug)]
struct Sum {
    numbers: Box<[u64]>,
    at: usize,
    sum: u64,
}

impl Sum {
    /// As if there had been nothing but `number`.
    fn new(length: usize, number: u64) -> Self {
        Self { numbers: vec![number; length].into(), at: 0, sum: number * length as u64 }
    }

    #[inline]
    fn next(&mut self, number: u64) -> u64 {
        self.sum = self.sum + number - self.numbers[self.at];
        self.numbers[self.at] = number;
        self.at = if self.at + 1 == self.numbers.len() { 0 } else { self.at + 1 };
        self.sum
    }
}

/// The state of a limiter. All channels are turned down alike.
#[derive(Clone, Debug)]
pub struct Limiter {
    rate: f64,
    ceiling: f32,
    /// The part of a difference that is let go in a frame, in parts of [`ONE`].
    release: u64,
    interpolator: Interpolator<LIMITER_TAPS>,
    windows: Vec<Window<LIMITER_TAPS>>,
    /// The highest value of the frame before up to this one.
    before: f32,
    minimum: Minimum,
    held: u64,
    sums: [Sum; 2],
    /// What the sums are when nothing is reduced.
    whole: f64,
    /// The last frames, channel by channel in each.
    line: Box<[f32]>,
    at: usize,
}

impl Limiter {
    /// A limiter that has heard silence.
    pub fn new(channels: usize, rate: f64, ceiling: f64, release_seconds: f64) -> Self {
        let [first, second] = boxes(rate);
        let hold = first + second - 1 + 2 * AROUND;
        let mut limiter = Self {
            rate,
            ceiling: 1.0,
            release: 0,
            interpolator: Interpolator::new(),
            windows: vec![Window::default(); channels],
            before: 0.0,
            minimum: Minimum::new(hold),
            held: ONE,
            sums: [Sum::new(first, ONE), Sum::new(second, ONE * first as u64)],
            whole: (ONE * first as u64 * second as u64) as f64,
            line: vec![0.0; channels * latency(rate)].into(),
            at: 0,
        };
        limiter.set_ceiling(ceiling);
        limiter.set_release(release_seconds);
        limiter
    }

    /// [audio thread] Sets what no peak may exceed, as a factor. The gain goes there like to any peak.
    pub fn set_ceiling(&mut self, ceiling: f64) {
        self.ceiling = ceiling as f32;
    }

    /// [audio thread] Sets the time after which 63% of what was reduced is not any more.
    pub fn set_release(&mut self, seconds: f64) {
        let part = 1.0 - (-1.0 / (seconds * self.rate)).exp();
        self.release = (part * ONE as f64) as u64;
    }

    /// [audio thread] Takes in a frame and puts in its place the one that is heard now; answers with its gain.
    #[inline]
    pub fn next(&mut self, frame: &mut [f32]) -> f64 {
        let mut peak = 0f32;
        for (window, x) in self.windows.iter_mut().zip(&*frame) {
            peak = peak.max(window.next(&self.interpolator, *x, self.ceiling));
        }
        let highest = peak.max(self.before);
        self.before = peak;
        let needed = if highest > self.ceiling {
            (f64::from(self.ceiling) / f64::from(highest) * ONE as f64) as u64
        } else {
            ONE
        };
        let minimum = self.minimum.next(needed);
        self.held = if minimum <= self.held {
            minimum
        } else {
            // At least by one, so that it gets there.
            minimum.min(self.held + 1 + (((minimum - self.held) * self.release) >> 30))
        };
        let [first, second] = &mut self.sums;
        let gain = second.next(first.next(self.held)) as f64 / self.whole;
        let channels = frame.len();
        for (x, old) in frame.iter_mut().zip(&mut self.line[self.at..self.at + channels]) {
            let new = *x;
            *x = (f64::from(*old) * gain) as f32;
            *old = new;
        }
        self.at = if self.at + channels == self.line.len() { 0 } else { self.at + channels };
        gain
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;

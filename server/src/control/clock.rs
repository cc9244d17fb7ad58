//! How the clock on the wall and the engine's frames go together: a line through what the audio thread notes at its
//! cycles, so that it does not shake with them.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use aulos_engine::Clock as _;
use aulos_protocol::{Clock, Frames, Rate};

use super::Control;
use crate::drivers::Monotonic;

/// How many cycles the line goes through, and how far they are apart at least, in ns: those of ten seconds.
const POINTS: usize = 200;
const APART: u64 = 50_000_000;
/// How long must have been looked at before the slope is believed, in ns.
const BELIEVED: u64 = 2_000_000_000;
/// By how much the rate of a device may be another than it says.
const MOST_SLOPE: f64 = 1e-3;
/// A cycle that is so far from the line, in s, is one of another line.
const JUMP: f64 = 0.05;

/// A frame and the moment at which it is due, in ns since 1970.
type Point = (u64, u64);

/// What the line is made of.
pub(super) struct Timebase {
    line: Clock,
    rate: f64,
    /// Whether the clock on the wall stands with the engine.
    stands: bool,
    points: VecDeque<Point>,
}

impl Timebase {
    /// A line that begins now, at this frame.
    pub fn new(rate: Rate, frame: u64, stands: bool) -> Self {
        let (now, frames_per_second) = (wall(), f64::from(rate.hz()));
        let frame = Frames(frame);
        let line = Clock { number: 1, unix_ns: now, frame, frames_per_second, now_ns: now };
        Self { line, rate: frames_per_second, stands, points: VecDeque::new() }
    }

    /// Begins anew with another engine, whose first frame is 0; the one before was at `frame`.
    pub fn restart(&mut self, rate: Rate, frame: u64) {
        let now = if self.stands { self.line.time_of(Frames(frame)) } else { wall() };
        self.rate = f64::from(rate.hz());
        self.points.clear();
        self.draw(now, 0.0, self.rate);
    }

    /// The line, and what the clock on the wall shows when the engine is at `frame`.
    pub fn clock(&self, frame: u64) -> Clock {
        let now_ns = if self.stands { self.line.time_of(Frames(frame)) } else { wall() };
        Clock { now_ns, ..self.line }
    }

    /// Takes in when a frame is due, in ns on the monotonic clock.
    fn look(&mut self, (frame, due): (u64, u64)) {
        if self.stands || self.points.back().is_some_and(|(last, _)| *last == frame) {
            return;
        }
        let unix = i128::from(due) + offset();
        let Ok(unix) = u64::try_from(unix) else { return };
        self.take_in((frame, unix));
    }

    fn take_in(&mut self, point: Point) {
        let (frame, unix) = point;
        if self.points.back().is_some_and(|(_, last)| (*last..last + APART).contains(&unix)) {
            return;
        }
        let off = |line: &Clock| line.time_of(Frames(frame)).abs_diff(unix) as f64 / 1e9;
        if off(&self.line) > JUMP {
            self.points.clear();
        }
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
        let (at, slope) = self.fit();
        // The line that was told holds as long as nobody can hear that another is better.
        let told = (i128::from(unix) - i128::from(self.line.unix_ns)) as f64 / 1e9
            * self.line.frames_per_second
            + self.line.frame.0 as f64;
        if (told - at).abs() > 0.5 {
            self.draw(unix, at, slope);
        }
    }

    /// The best line through the points: where it is at the last of them, and its slope in frames a second.
    fn fit(&self) -> (f64, f64) {
        let Some(&(last_frame, last)) = self.points.back() else { return (0.0, self.rate) };
        let relative = |&(frame, unix): &Point| {
            let seconds = (i128::from(unix) - i128::from(last)) as f64 / 1e9;
            (seconds, (i128::from(frame) - i128::from(last_frame)) as f64)
        };
        let count = self.points.len() as f64;
        let sums = self.points.iter().map(relative).fold((0.0, 0.0), |(s, f), (x, y)| (s + x, f + y));
        let (mean_x, mean_y) = (sums.0 / count, sums.1 / count);
        let (mut xx, mut xy) = (0.0, 0.0);
        for (x, y) in self.points.iter().map(relative) {
            xx += (x - mean_x) * (x - mean_x);
            xy += (x - mean_x) * (y - mean_y);
        }
        let long = self.points.front().is_some_and(|(_, first)| last.saturating_sub(*first) >= BELIEVED);
        let slope = if long && xx > 0.0 { xy / xx } else { self.rate };
        let slope = slope.clamp(self.rate * (1.0 - MOST_SLOPE), self.rate * (1.0 + MOST_SLOPE));
        (last_frame as f64 + mean_y - slope * mean_x, slope)
    }

    /// A new line, on which the moment is that of the frame, which need not be a whole one.
    fn draw(&mut self, unix_ns: u64, frame: f64, frames_per_second: f64) {
        let whole = frame.round().max(0.0);
        let moved = ((whole - frame) / frames_per_second * 1e9).round() as i64;
        self.line = Clock {
            number: self.line.number + 1,
            unix_ns: unix_ns.saturating_add_signed(moved),
            frame: Frames(whole as u64),
            frames_per_second,
            now_ns: unix_ns,
        };
    }
}

/// The clock on the wall, in ns since 1970.
fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What the clock on the wall is ahead of the monotonic one, in ns: of some looks the one that took the least time, as
/// this thread may be interrupted between the two.
fn offset() -> i128 {
    const LOOKS: usize = 4;
    let look = |_| {
        let before = Monotonic.now();
        let wall = wall();
        let after = Monotonic.now();
        (after - before, i128::from(wall) - i128::from(before + (after - before) / 2))
    };
    (0..LOOKS).map(look).min().map_or(0, |(_, offset)| offset)
}

impl Control {
    /// Looks where the clocks are.
    pub(super) fn look_at_clock(&mut self) {
        if let Some(due) = self.controller.counters().due() {
            self.clock.look(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 48_000.0;

    fn timebase() -> Timebase {
        Timebase::new(Rate::default(), 0, false)
    }

    /// Cycles of 256 frames of a device that runs at `rate`, each late by some of `late` ns.
    fn run(timebase: &mut Timebase, begin: u64, cycles: u64, rate: f64, late: u64) {
        let mut noise = 1u64;
        for cycle in 1..=cycles {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let frame = cycle * 256;
            let due = begin + (frame as f64 / rate * 1e9) as u64;
            timebase.take_in((frame, due + (noise >> 33) % late.max(1)));
        }
    }

    #[test]
    fn a_clock_that_runs_as_it_says_has_one_line() {
        let mut timebase = timebase();
        let begin = timebase.line.unix_ns + 1_000_000_000;
        run(&mut timebase, begin, 10_000, RATE, 0);
        assert_eq!(timebase.line.number, 2, "one that jumps to where the engine is");
        for frame in [0, 1, 48_000, 1_000_000] {
            let time = begin + (frame as f64 / RATE * 1e9).round() as u64;
            assert_eq!(timebase.line.frame_at(time), Frames(frame));
        }
    }

    #[test]
    fn a_device_of_another_rate_is_followed_through_its_noise() {
        let mut timebase = timebase();
        let begin = timebase.line.unix_ns;
        let rate = RATE * 1.0002;
        // Half a millisecond of noise: 24 frames.
        run(&mut timebase, begin, 20_000, rate, 500_000);
        assert!((timebase.line.frames_per_second / rate - 1.0).abs() < 2e-5, "{:?}", timebase.line);
        let frame = 20_000.0 * 256.0;
        let at = timebase.line.frame_at(begin + (frame / rate * 1e9) as u64).0 as f64;
        // On the mean it is late by a quarter of a millisecond.
        assert!((frame - at - 12.0).abs() < 4.0, "{at}");
        assert!(timebase.line.number < 400, "{} lines", timebase.line.number);
    }

    #[test]
    fn a_clock_that_jumps_begins_another_line() {
        let mut timebase = timebase();
        let begin = timebase.line.unix_ns;
        run(&mut timebase, begin, 1000, RATE, 0);
        let number = timebase.line.number;
        let later = begin + 100_000_000_000;
        run(&mut timebase, later, 1000, RATE, 0);
        assert_eq!(timebase.line.number, number + 1);
        assert_eq!(timebase.line.frame_at(later + 1_000_000_000), Frames(48_000));
    }

    #[test]
    fn a_clock_that_stands_moves_with_the_engine() {
        let mut timebase = Timebase::new(Rate::default(), 0, true);
        timebase.look((512, 77));
        let begin = timebase.line.unix_ns;
        assert_eq!(timebase.clock(48_000).now_ns, begin + 1_000_000_000);
        timebase.restart(Rate::new(96_000).unwrap(), 48_000);
        let clock = timebase.clock(96_000);
        assert_eq!((clock.number, clock.unix_ns), (2, begin + 1_000_000_000));
        assert_eq!(clock.now_ns, begin + 2_000_000_000);
    }
}

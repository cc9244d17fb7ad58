//! A straight line from one gain to another.

/// A gain that moves linearly in time. Its value depends on the frame only, never on blocks, so that fades
/// are the same at any block size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fade {
    from: f32,
    to: f32,
    start: u64,
    len: u64,
}

impl Fade {
    /// A gain that stands still.
    pub const fn still(gain: f32) -> Self {
        Self { from: gain, to: gain, start: 0, len: 0 }
    }

    /// A gain that leaves `from` at the frame `start` and is at `to` `len` frames later.
    pub const fn new(from: f32, to: f32, start: u64, len: u64) -> Self {
        Self { from, to, start, len }
    }

    /// The gain at `frame`.
    #[inline]
    pub fn at(&self, frame: u64) -> f32 {
        if frame < self.start {
            return self.from;
        }
        let passed = frame - self.start;
        if passed >= self.len {
            return self.to;
        }
        self.from + (self.to - self.from) * (passed as f32 / self.len as f32)
    }

    /// Turns towards `to`, from where the gain is at `frame`, from `start` (not before `frame`) on over `len`
    /// frames. A fade-in that has not begun yet begins no earlier than it would have.
    pub fn turn(&mut self, to: f32, frame: u64, start: u64, len: u64) {
        let start = start.max(frame).max(self.begins());
        *self = Self { from: self.at(frame), to, start, len };
    }

    /// Whether the gain has left where it began, or is about to at `frame`.
    pub fn has_left(&self, frame: u64) -> bool {
        frame >= self.start
    }

    /// The frame at which it begins to move.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The gain that it goes to.
    pub fn target(&self) -> f32 {
        self.to
    }

    /// The first frame from which the gain stays at its target.
    pub fn end(&self) -> u64 {
        if self.from == self.to { 0 } else { self.start.saturating_add(self.len) }
    }

    /// The first frame at which something may be heard: where a fade-in from nothing starts, else 0.
    #[inline]
    pub fn begins(&self) -> u64 {
        if self.from == 0.0 && self.to != 0.0 { self.start } else { 0 }
    }

    /// Whether the gain stands still from `frame` on.
    #[inline]
    pub fn is_still(&self, frame: u64) -> bool {
        frame >= self.end()
    }

    /// Whether nothing is heard from `frame` on.
    #[inline]
    pub fn is_silent(&self, frame: u64) -> bool {
        self.to == 0.0 && self.is_still(frame)
    }

    /// Whether something that cannot fade, such as a note, passes at `frame`: from the beginning of a fade-in to
    /// the beginning of a fade-out.
    pub fn is_open(&self, frame: u64) -> bool {
        if self.to == 0.0 { self.from != 0.0 && frame < self.start } else { frame >= self.begins() }
    }

    /// [audio thread] `out[i] = input[i] * gain(frame + i)`.
    pub fn apply(&self, frame: u64, input: &[f32], out: &mut [f32]) {
        if self.is_still(frame) {
            let gain = self.to;
            out.iter_mut().zip(input).for_each(|(y, x)| *y = x * gain);
        } else {
            out.iter_mut().zip(input).zip(frame..).for_each(|((y, x), n)| *y = x * self.at(n));
        }
    }

    /// [audio thread] `out[i] += input[i] * gain(frame + i)`.
    pub fn add(&self, frame: u64, input: &[f32], out: &mut [f32]) {
        if self.is_still(frame) {
            let gain = self.to;
            out.iter_mut().zip(input).for_each(|(y, x)| *y += x * gain);
        } else {
            out.iter_mut().zip(input).zip(frame..).for_each(|((y, x), n)| *y += x * self.at(n));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_exactly_at_its_target() {
        let fade = Fade::new(0.0, 0.7, 100, 240);
        assert_eq!((fade.at(0), fade.at(100), fade.at(340)), (0.0, 0.0, 0.7));
        assert!(fade.at(339) < 0.7 && !fade.is_still(339) && fade.is_still(340));
        assert_eq!(Fade::new(1.0, 0.0, 7, 0).at(7), 0.0);
    }

    #[test]
    fn a_fade_in_that_waits_goes_on_waiting() {
        let mut fade = Fade::new(0.0, 1.0, 1000, 100);
        fade.turn(0.5, 10, 10, 100);
        assert_eq!((fade.at(999), fade.at(1000), fade.at(1100)), (0.0, 0.0, 0.5));
        assert!(!fade.has_left(999) && fade.has_left(1000));
    }

    #[test]
    fn turns_round_without_a_step() {
        let mut fade = Fade::new(0.0, 1.0, 0, 100);
        let before = fade.at(50);
        fade.turn(0.0, 50, 50, 100);
        assert_eq!(fade.at(50), before);
        assert_eq!(fade.at(150), 0.0);
    }

    proptest! {
        #[test]
        fn blocks_do_not_matter(start in 0u64..300, len in 0u64..300, split in 1usize..400) {
            let fade = Fade::new(0.3, 0.9, start, len);
            let input: Vec<f32> = (0..400).map(|i| (i as f32).sin()).collect();
            let (mut whole, mut parts) = (vec![0.0; 400], vec![0.0; 400]);
            fade.apply(0, &input, &mut whole);
            fade.apply(0, &input[..split], &mut parts[..split]);
            fade.apply(split as u64, &input[split..], &mut parts[split..]);
            prop_assert_eq!(whole, parts);
        }
    }
}

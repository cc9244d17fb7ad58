//! A value on its way to another.

/// A value that moves in a straight line. It depends on the frame only, never on blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glide {
    from: f64,
    to: f64,
    start: u64,
    len: u64,
}

impl Glide {
    /// A value that stands still.
    pub const fn still(value: f64) -> Self {
        Self { from: value, to: value, start: 0, len: 0 }
    }

    /// A value that leaves `from` at the frame `start` and is at `to` `len` frames later.
    pub const fn new(from: f64, to: f64, start: u64, len: u64) -> Self {
        Self { from, to, start, len }
    }

    /// The value at `frame`.
    #[inline]
    pub fn at(&self, frame: u64) -> f64 {
        if frame < self.start {
            return self.from;
        }
        let passed = frame - self.start;
        if passed >= self.len {
            return self.to;
        }
        self.from + (self.to - self.from) * (passed as f64 / self.len as f64)
    }

    /// Turns towards `to` from where it is at `frame`, over `len` frames.
    pub fn turn(&mut self, to: f64, frame: u64, len: u64) {
        *self = Self { from: self.at(frame), to, start: frame, len };
    }

    /// The value that it goes to.
    pub fn target(&self) -> f64 {
        self.to
    }

    /// Whether it stands still from `frame` on.
    #[inline]
    pub fn is_still(&self, frame: u64) -> bool {
        self.from == self.to || frame >= self.start.saturating_add(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_without_a_step_and_ends_exactly() {
        let mut glide = Glide::still(0.3);
        glide.turn(0.7, 100, 240);
        assert_eq!((glide.at(99), glide.at(100), glide.at(340)), (0.3, 0.3, 0.7));
        let before = glide.at(150);
        glide.turn(-1.0, 150, 10);
        assert_eq!((glide.at(150), glide.at(160)), (before, -1.0));
        assert!(!glide.is_still(159) && glide.is_still(160));
    }
}

//! From floating point to integers.

/// Turns samples into integers of a fixed number of bits, and counts those that do not fit.
#[derive(Clone, Copy, Debug)]
pub struct Quantiser {
    scale: f64,
    /// Samples that were beyond the range, and were written as its end.
    pub clipped: u64,
    /// Samples that are not a number, and were written as 0.
    pub invalid: u64,
}

impl Quantiser {
    /// For integers of `bits` bits, 2 to 32.
    pub fn new(bits: u32) -> Self {
        Self { scale: f64::from(bits - 1).exp2(), clipped: 0, invalid: 0 }
    }

    /// The integer nearest to `sample` times 2^(bits - 1); the even one of two that are as near.
    pub fn quantise(&mut self, sample: f32) -> i32 {
        if sample.is_nan() {
            self.invalid += 1;
            return 0;
        }
        let exact = (f64::from(sample) * self.scale).round_ties_even();
        let clamped = exact.clamp(-self.scale, self.scale - 1.0);
        if clamped != exact {
            self.clipped += 1;
        }
        clamped as i32
    }
}

//! From floating point to integers.

use super::dither::Dither;

/// Turns samples into integers of a fixed number of bits, and counts those that do not fit.
#[derive(Clone, Debug)]
pub struct Quantiser {
    scale: f64,
    dither: Option<Dither>,
    /// Samples that were beyond the range, and were written as its end.
    pub clipped: u64,
    /// Samples that are not a number, and were written as 0.
    pub invalid: u64,
}

impl Quantiser {
    /// For integers of `bits` bits, 2 to 32.
    pub fn new(bits: u32) -> Self {
        Self { scale: f64::from(bits - 1).exp2(), dither: None, clipped: 0, invalid: 0 }
    }

    /// As [`Quantiser::new`], with dither for so many channels.
    #[cfg(test)]
    pub fn dithered(bits: u32, channels: u16) -> Self {
        Self { dither: Some(Dither::new(channels)), ..Self::new(bits) }
    }

    /// Dithers from now on, with so many channels.
    pub fn dither(&mut self, channels: u16) {
        self.dither = Some(Dither::new(channels));
    }

    /// The integer nearest to `sample` times 2^(bits - 1); the even one of two that are as near. Without dither.
    pub fn quantise(&mut self, sample: f32) -> i32 {
        self.round(sample, 0.0)
    }

    /// The integer nearest to `sample`, the next one of a channel, times 2^(bits - 1), after dither if there is any.
    pub fn quantise_channel(&mut self, channel: usize, sample: f32) -> i32 {
        let noise = self.dither.as_mut().map_or(0.0, |dither| dither.next(channel, sample));
        self.round(sample, noise)
    }

    fn round(&mut self, sample: f32, noise: f64) -> i32 {
        if sample.is_nan() {
            self.invalid += 1;
            return 0;
        }
        let fits = |exact: f64| exact.clamp(-self.scale, self.scale - 1.0);
        let exact = f64::from(sample) * self.scale;
        let plain = exact.round_ties_even();
        // What only the noise takes over the end is no fault of the sound.
        if fits(plain) != plain {
            self.clipped += 1;
        }
        fits((exact + noise).round_ties_even()) as i32
    }
}

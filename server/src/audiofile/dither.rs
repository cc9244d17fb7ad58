//! Dither: noise that is added before rounding, so that the error of rounding does not follow the sound.

/// Triangular noise of ±1 step for each channel (TPDF: the sum of two uniform numbers; Lipshitz, Wannamaker and
/// Vanderkooy, "Quantization and Dither: A Theoretical Survey", JAES 40, 1992). It makes mean and power of the error
/// independent of the sound.
///
/// The noise depends on the channel and on how many samples it had, and on nothing else: the same render gives the
/// same file, at any block size. A channel that has been exactly 0 for [`SILENCE`] samples is left so until it sounds
/// again, so that pauses between takes are silent and compress well.
#[derive(Clone, Debug)]
pub struct Dither {
    channels: Vec<Channel>,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    state: u64,
    /// Samples that have been 0 without a break.
    zeros: u32,
}

/// So many samples of 0 are silence and no zero crossing.
pub const SILENCE: u32 = 1024;

impl Dither {
    /// The dither of a file of so many channels, which begins in silence.
    pub fn new(channels: u16) -> Self {
        let channel = |number: u16| Channel { state: mix(u64::from(number) + 1), zeros: SILENCE };
        Self { channels: (0..channels).map(channel).collect() }
    }

    /// The noise for the next sample of a channel, in steps, above −1 and below 1; 0 in silence.
    pub fn next(&mut self, channel: usize, sample: f32) -> f64 {
        let Some(channel) = self.channels.get_mut(channel) else { return 0.0 };
        channel.zeros = if sample == 0.0 { channel.zeros.saturating_add(1).min(SILENCE) } else { 0 };
        // A counter and a mixer (SplitMix64; Steele, Lea and Flood, 2014).
        channel.state = channel.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        if channel.zeros >= SILENCE {
            return 0.0;
        }
        let bits = mix(channel.state);
        let uniform = |bits: u64| (bits & 0xffff_ffff) as f64 / (1u64 << 32) as f64;
        uniform(bits) - uniform(bits >> 32)
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

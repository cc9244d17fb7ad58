//! Peaks, from the audio thread to whoever looks.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The highest absolute sample of each channel since it was last taken.
#[derive(Debug)]
pub struct Meter {
    /// Bits of non-negative floats, which are in the same order as the floats.
    peaks: Box<[AtomicU32]>,
}

impl Meter {
    /// A meter of `channels` channels.
    pub fn new(channels: usize) -> Self {
        Self { peaks: (0..channels).map(|_| AtomicU32::new(0)).collect() }
    }

    /// [audio thread] Looks at a block of one channel.
    pub fn look(&self, channel: usize, block: &[f32]) {
        // An infinite one is stopped behind the stage.
        let peak = block.iter().fold(0.0f32, |peak, x| peak.max(x.abs())).min(f32::MAX);
        self.peaks[channel].fetch_max(peak.to_bits(), Relaxed);
    }

    /// The peaks since the last time, linear.
    pub fn take(&self) -> Vec<f32> {
        self.peaks.iter().map(|peak| f32::from_bits(peak.swap(0, Relaxed))).collect()
    }
}

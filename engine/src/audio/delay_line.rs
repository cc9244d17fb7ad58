//! The memory by which links are delayed.

/// The last frames of one output. Every link that leaves it late has a tap here.
#[derive(Debug)]
pub struct DelayLine {
    ring: Vec<f32>,
    /// Where the next frame goes.
    head: usize,
}

impl DelayLine {
    /// [control thread] A line for taps of up to `delay` frames and blocks of up to `max_block`.
    pub fn new(delay: usize, max_block: usize) -> Self {
        Self { ring: vec![0.0; delay + max_block], head: 0 }
    }

    /// [audio thread] Appends a block.
    pub fn push(&mut self, block: &[f32]) {
        let first = block.len().min(self.ring.len() - self.head);
        self.ring[self.head..self.head + first].copy_from_slice(&block[..first]);
        self.ring[..block.len() - first].copy_from_slice(&block[first..]);
        self.head = (self.head + block.len()) % self.ring.len();
    }

    /// [audio thread] The frames `from..to` of the block of `frames` frames that was pushed last, as they were
    /// `delay` frames before; in two pieces.
    pub fn tap(&self, delay: usize, frames: usize, from: usize, to: usize) -> (&[f32], &[f32]) {
        let len = self.ring.len();
        let start = (self.head + 2 * len - frames - delay + from) % len;
        let first = (to - from).min(len - start);
        (&self.ring[start..start + first], &self.ring[..to - from - first])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn taps_are_the_past(delays in prop::collection::vec(0usize..50, 1..4), blocks in prop::collection::vec(1usize..=16, 1..40)) {
            let mut line = DelayLine::new(50, 16);
            let mut time = 0usize;
            for frames in blocks {
                let block: Vec<f32> = (time..time + frames).map(|n| (n + 1) as f32).collect();
                line.push(&block);
                for delay in &delays {
                    let from = frames / 3;
                    let (a, b) = line.tap(*delay, frames, from, frames);
                    let got: Vec<f32> = a.iter().chain(b).copied().collect();
                    let want: Vec<f32> = (time + from..time + frames)
                        .map(|n| if n >= *delay { (n - delay + 1) as f32 } else { 0.0 })
                        .collect();
                    prop_assert_eq!(got, want);
                }
                time += frames;
            }
        }
    }
}

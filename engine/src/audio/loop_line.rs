//! The memory of a feedback.

/// The last frames of what enters a feedback. Written and read by the engine's frame, so that it does not matter
/// which of its two stages runs first.
#[derive(Debug)]
pub struct LoopLine {
    channels: Vec<Vec<f32>>,
}

impl LoopLine {
    /// [control thread] A line for taps from `max_block` to `delay` frames, in blocks of up to `max_block`.
    pub fn new(channels: usize, delay: usize, max_block: usize) -> Self {
        Self { channels: vec![vec![0.0; delay + max_block]; channels] }
    }

    /// [audio thread] Takes in a block of a channel that begins at `frame`.
    pub fn write(&mut self, channel: usize, frame: u64, block: &[f32]) {
        let ring = &mut self.channels[channel];
        let at = (frame % ring.len() as u64) as usize;
        let first = block.len().min(ring.len() - at);
        ring[at..at + first].copy_from_slice(&block[..first]);
        ring[..block.len() - first].copy_from_slice(&block[first..]);
    }

    /// [audio thread] Gives back a block of a channel that began at `frame`, which may lie before the first.
    pub fn read(&self, channel: usize, frame: i64, out: &mut [f32]) {
        let ring = &self.channels[channel];
        let at = frame.rem_euclid(ring.len() as i64) as usize;
        let first = out.len().min(ring.len() - at);
        out[..first].copy_from_slice(&ring[at..at + first]);
        let rest = out.len() - first;
        out[first..].copy_from_slice(&ring[..rest]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_comes_back_whichever_runs_first(
            delay in 16u64..80, reads_first: bool, blocks in prop::collection::vec(1usize..=16, 1..40)
        ) {
            let mut line = LoopLine::new(1, delay as usize, 16);
            let mut frame = 0u64;
            for frames in blocks {
                let block: Vec<f32> = (frame..frame + frames as u64).map(|n| (n + 1) as f32).collect();
                let mut out = vec![0.0; frames];
                if reads_first {
                    line.read(0, frame as i64 - delay as i64, &mut out);
                    line.write(0, frame, &block);
                } else {
                    line.write(0, frame, &block);
                    line.read(0, frame as i64 - delay as i64, &mut out);
                }
                let want = |n: u64| (n + 1).saturating_sub(delay) as f32;
                let want: Vec<f32> = (frame..frame + frames as u64).map(want).collect();
                prop_assert_eq!(out, want);
                frame += frames as u64;
            }
        }
    }
}

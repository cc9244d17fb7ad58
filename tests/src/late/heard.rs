//! What must be heard of a node that is late now and then.

use std::ops::Range;

/// A block and whether it was late.
pub type Piece = (Range<usize>, bool);

/// A gain on its way from one frame on.
struct Turn {
    from: f32,
    to: f32,
    at: usize,
    fade: usize,
}

impl Turn {
    fn is_over(&self, frame: usize) -> bool {
        frame >= self.at + self.fade
    }

    fn gain(&self, frame: usize) -> f32 {
        if self.is_over(frame) {
            return self.to;
        }
        self.from + (self.to - self.from) * ((frame - self.at) as f32 / self.fade as f32)
    }
}

/// What is heard at the output of a node that would put out `own` if it were never late, and `dry` if it were never
/// there. When it is late it fades out, from its last sample as what comes after that is not known; when that is over
/// and it is in time, it fades in again.
pub fn heard(pieces: &[Piece], own: &[f32], dry: &[f32], fade: usize) -> Vec<f32> {
    let mut turn = Turn { from: 1.0, to: 1.0, at: 0, fade: 0 };
    let mut last = 0.0;
    let mut heard = Vec::with_capacity(own.len());
    for (frames, is_late) in pieces {
        let at = frames.start;
        if *is_late && turn.to == 1.0 {
            turn = Turn { from: turn.gain(at), to: 0.0, at, fade };
        } else if !is_late && turn.to == 0.0 && turn.is_over(at) {
            turn = Turn { from: 0.0, to: 1.0, at, fade };
        }
        let listens = !is_late && turn.to == 1.0;
        for frame in frames.clone() {
            let own = if listens { own[frame] } else { last };
            heard.push(crossed(own, dry[frame], turn.gain(frame)));
        }
        if listens {
            last = own[frames.end - 1];
        }
    }
    heard
}

fn crossed(own: f32, dry: f32, gain: f32) -> f32 {
    match gain {
        1.0 => own,
        0.0 => dry,
        gain => flushed(flushed(own * gain) + flushed(dry * (1.0 - gain))),
    }
}

/// As the audio thread computes: what is too small is 0.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_block_fades_out_and_comes_back_when_that_is_over() {
        let own = [1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let pieces = [(0..2, false), (2..4, true), (4..6, false), (6..8, false), (8..10, false)];
        let silent = heard(&pieces, &own, &[0.0; 10], 4);
        assert_eq!(silent, [1.0, 0.5, 0.5, 0.375, 0.25, 0.125, 0.0, 0.25, 0.5, 0.75]);
        let dry = heard(&pieces, &own, &[-1.0; 10], 4);
        assert_eq!(dry[2..7], [0.5, 0.125, -0.25, -0.625, -1.0]);
    }
}

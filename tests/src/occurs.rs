//! Whether what was heard of a device is what should have been, where some of it may be missing.

use std::collections::HashMap;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurrence {
    /// Frames that occur in what was expected, in order.
    pub frames: usize,
    /// How often something was left out before them.
    pub gaps: usize,
    /// How often it was silent before them, where what was expected is not.
    pub dropouts: usize,
    /// Frames that are silent, where what was expected is not: before the first and after the last, too.
    pub silent: usize,
}

/// How many frames tell one place from every other.
const PROBE: usize = 4;

/// Whether every block of `got` occurs in `expected`, each after the one before. Silence before the first and after the
/// last is no fault, nor is what was expected to be silent; any other is counted. Blocks begin every `block` frames.
///
/// # Errors
/// Says which block is nowhere, or is not where it should be.
pub fn occurs(expected: &[Vec<f32>], got: &[Vec<f32>], block: usize) -> Result<Occurrence, String> {
    let bits = |signal: &[Vec<f32>], at: usize| -> Vec<u32> {
        (at..at + PROBE).map(|frame| signal[0][frame].to_bits()).collect()
    };
    let len = expected[0].len();
    let mut places: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
    for at in 0..len.saturating_sub(PROBE) {
        places.entry(bits(expected, at)).or_default().push(at);
    }
    let same = |at: usize, from: usize, frames: usize| {
        at + frames <= len
            && expected.iter().zip(got).all(|(a, b)| {
                a[at..at + frames]
                    .iter()
                    .zip(&b[from..from + frames])
                    .all(|(x, y)| x.to_bits() == y.to_bits())
            })
    };
    // Of the frames of `got` from one on, how many are silent in all channels.
    let silent_from = |from: usize, frames: usize| {
        (from..from + frames).take_while(|frame| got.iter().all(|channel| channel[*frame] == 0.0)).count()
    };
    let mut found = Occurrence::default();
    let mut next = 0;
    // Whether it was silent since the last that was found.
    let mut hushed = false;
    for from in (0..got[0].len()).step_by(block) {
        let frames = block.min(got[0].len() - from);
        let is_next = |frames: usize| !hushed && found.frames > 0 && same(next, from, frames);
        if is_next(frames) {
            found.frames += frames;
            next += frames;
            continue;
        }
        // What is over within a block is silent behind.
        let over = (len - next).min(frames);
        if is_next(over) && silent_from(from + over, frames - over) == frames - over {
            found.frames += over;
            found.silent += frames - over;
            next = len;
            continue;
        }
        // What begins within a block is silent before.
        let silent = silent_from(from, frames);
        found.silent += silent;
        hushed |= silent > 0 && found.frames > 0;
        let (from, frames) = (from + silent, frames - silent);
        if frames == 0 {
            continue;
        }
        if frames < PROBE {
            // Too few to be told from others.
            found.silent += frames;
            continue;
        }
        let candidates = places.get(&bits(got, from)).map_or(&[][..], Vec::as_slice);
        let Some(at) = candidates.iter().find(|at| **at >= next && same(**at, from, frames)) else {
            let earlier = candidates.iter().any(|at| same(*at, from, frames));
            let why = if earlier { "was heard before" } else { "occurs nowhere" };
            return Err(format!("the block at frame {from} {why}; {next} frames were found before it"));
        };
        found.dropouts += usize::from(std::mem::take(&mut hushed));
        found.gaps += usize::from(found.frames > 0 && at > &next);
        found.frames += frames;
        next = at + frames;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(range: std::ops::Range<usize>) -> Vec<f32> {
        range.map(|n| (n + 1) as f32).collect()
    }

    #[test]
    fn what_is_left_out_is_a_gap() {
        let expected = vec![ramp(0..1000)];
        let mut got = vec![0.0; 24];
        got.extend(ramp(0..32));
        got.extend(ramp(64..144));
        got.extend([0.0; 16]);
        let found = occurs(&expected, &[got], 8).unwrap();
        assert_eq!(found, Occurrence { frames: 112, gaps: 1, dropouts: 0, silent: 40 });
    }

    #[test]
    fn silence_is_before_or_behind_or_what_was_expected() {
        let expected = vec![[ramp(0..64), vec![0.0; 16], ramp(80..1000)].concat()];
        // As it is there, from within a block on, to the end and beyond.
        let got = [vec![0.0; 3], expected[0].clone(), vec![0.0; 21]].concat();
        let found = occurs(&expected, &[got], 8).unwrap();
        assert_eq!(found, Occurrence { frames: 1000, silent: 24, ..Occurrence::default() });
        // A drop-out in place of what should be there, or that everything after is late by.
        for (after, gaps) in [(48, 1), (40, 0)] {
            for silent in [8, 4] {
                let got = [ramp(0..40), vec![0.0; silent], ramp(after..64)].concat();
                let found = occurs(&expected, &[got], 8).unwrap();
                assert_eq!((found.frames, found.silent), (40 + 64 - after, silent));
                assert_eq!((found.gaps, found.dropouts), (gaps, 1));
            }
        }
        let cut = [ramp(0..40), vec![0.0; 40]].concat();
        let found = occurs(&expected, &[cut], 8).unwrap();
        assert_eq!(found, Occurrence { frames: 40, silent: 40, ..Occurrence::default() });
        // Where it is silent it must not be so for longer.
        let longer = [ramp(0..64), vec![0.0; 24], ramp(80..160)].concat();
        assert_eq!(occurs(&expected, &[longer], 8).unwrap().dropouts, 1);
    }

    #[test]
    fn one_silent_channel_is_not_silence() {
        let expected = vec![vec![0.0; 100], ramp(0..100)];
        let got = vec![vec![0.0; 44], [vec![0.0; 12], ramp(0..32)].concat()];
        let found = occurs(&expected, &got, 8).unwrap();
        assert_eq!(found, Occurrence { frames: 32, silent: 12, ..Occurrence::default() });
    }

    #[test]
    fn what_is_repeated_out_of_order_or_changed_is_wrong() {
        let expected = vec![ramp(0..1000)];
        let again = [ramp(0..16), ramp(8..16)].concat();
        assert!(occurs(&expected, &[again], 8).unwrap_err().contains("was heard before"));
        let mut changed = ramp(0..32);
        changed[17] += 0.5;
        assert!(occurs(&expected, &[changed], 8).unwrap_err().contains("occurs nowhere"));
        let channels = vec![ramp(0..100), ramp(500..600)];
        assert!(occurs(&channels, &[ramp(0..16), ramp(500..516)], 8).is_ok());
        assert!(occurs(&channels, &[ramp(0..16), ramp(501..517)], 8).is_err());
    }
}

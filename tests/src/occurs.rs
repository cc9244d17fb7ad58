//! Whether what was heard of a device is what should have been, where some of it may be missing.

use std::collections::HashMap;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurrence {
    /// Frames that occur in what was expected, in order.
    pub frames: usize,
    /// How often something was left out before them.
    pub gaps: usize,
    /// Frames that are silent.
    pub silent: usize,
}

/// How many frames tell one place from every other.
const PROBE: usize = 4;

/// Whether every block of `got` occurs in `expected`, each after the one before. Silence may be anywhere. Blocks
/// begin every `block` frames.
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
    let mut found = Occurrence::default();
    let mut next = 0;
    for from in (0..got[0].len()).step_by(block) {
        let frames = block.min(got[0].len() - from);
        if got.iter().all(|channel| channel[from..from + frames].iter().all(|x| *x == 0.0)) {
            found.silent += frames;
            continue;
        }
        if !same(next, from, frames) {
            // What begins within a block is silent before.
            let silent = got[0][from..from + frames].iter().take_while(|x| **x == 0.0).count();
            let (from, frames) = (from + silent, frames - silent);
            if frames < PROBE {
                found.silent += silent + frames;
                continue;
            }
            let candidates = places.get(&bits(got, from)).map_or(&[][..], Vec::as_slice);
            let Some(at) = candidates.iter().find(|at| **at >= next && same(**at, from, frames)) else {
                let earlier = candidates.iter().any(|at| same(*at, from, frames));
                let why = if earlier { "was heard before" } else { "occurs nowhere" };
                return Err(format!("the block at frame {from} {why}; {next} frames were found before it"));
            };
            found.gaps += usize::from(next > 0);
            found.silent += silent;
            found.frames += frames;
            next = at + frames;
            continue;
        }
        found.frames += frames;
        next += frames;
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
        got.extend(ramp(64..128));
        got.extend([0.0; 16]);
        got.extend(ramp(128..144));
        let found = occurs(&expected, &[got], 8).unwrap();
        assert_eq!(found, Occurrence { frames: 112, gaps: 1, silent: 40 });
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

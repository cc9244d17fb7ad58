//! What is no sound stops at the node that made it.

/// [audio thread] Replaces infinities, what is not a number, and denormals by 0; answers how many of the former
/// and of the latter there were.
pub fn contain(block: &mut [f32]) -> (u64, u64) {
    const MAGNITUDE: u32 = 0x7fff_ffff;
    const INFINITE: u32 = 0x7f80_0000;
    const NORMAL: u32 = 0x0080_0000;
    // One pass that vectorises: a magnitude is good if it is 0 or within NORMAL..INFINITE.
    let is_bad = |magnitude: u32| magnitude != 0 && magnitude.wrapping_sub(NORMAL) >= INFINITE - NORMAL;
    let bad = block.iter().fold(false, |bad, x| bad | is_bad(x.to_bits() & MAGNITUDE));
    if !bad {
        return (0, 0);
    }
    let (mut not_finite, mut denormal) = (0, 0);
    for x in block {
        let magnitude = x.to_bits() & MAGNITUDE;
        if is_bad(magnitude) {
            if magnitude >= INFINITE {
                not_finite += 1
            } else {
                denormal += 1
            }
            *x = 0.0;
        }
    }
    (not_finite, denormal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_sound_is_replaced() {
        let least = f32::MIN_POSITIVE;
        let mut block = [
            1.0,
            f32::NAN,
            -f32::INFINITY,
            least / 2.0,
            least,
            -least,
            f32::MAX,
            0.0,
            -0.0,
            f32::from_bits(1),
        ];
        assert_eq!(contain(&mut block), (2, 2));
        assert_eq!(block, [1.0, 0.0, 0.0, 0.0, least, -least, f32::MAX, 0.0, 0.0, 0.0]);
        assert_eq!(contain(&mut block), (0, 0));
    }
}

//! Whether two renderings are the same.

/// Whether `got` is `expected` bit for bit; `-0.0` is not `0.0`, and a NaN is only itself.
///
/// # Errors
/// Says where the first difference in time is, both values there, and how many samples differ. `label` begins
/// the sentence.
pub fn compare(label: &str, expected: &[Vec<f32>], got: &[Vec<f32>]) -> Result<(), String> {
    if expected.len() != got.len() {
        return Err(format!("{label}: expected {} channels, got {}", expected.len(), got.len()));
    }
    let mut first: Option<(usize, usize)> = None;
    let (mut differ, mut total) = (0, 0);
    for (channel, (expected, got)) in expected.iter().zip(got).enumerate() {
        if expected.len() != got.len() {
            return Err(format!(
                "{label}: channel {channel}: expected {} frames, got {}",
                expected.len(),
                got.len()
            ));
        }
        total += expected.len();
        for (frame, (a, b)) in expected.iter().zip(got).enumerate() {
            if a.to_bits() != b.to_bits() {
                differ += 1;
                first = Some(first.map_or((frame, channel), |earlier| earlier.min((frame, channel))));
            }
        }
    }
    let Some((frame, channel)) = first else { return Ok(()) };
    let (a, b) = (expected[channel][frame], got[channel][frame]);
    Err(format!(
        "{label}: channel {channel}, frame {frame}: expected {a:e} ({:#010x}), got {b:e} ({:#010x}); \
         {differ} of {total} samples differ",
        a.to_bits(),
        b.to_bits()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bits_are_equal() {
        let signal = vec![vec![0.0, -0.0, f32::NAN], vec![1.0, 2.0, 3.0]];
        assert_eq!(compare("same", &signal, &signal), Ok(()));
        assert_eq!(compare("nothing", &[], &[]), Ok(()));
    }

    #[test]
    fn the_first_difference_in_time_is_named() {
        let expected = vec![vec![1.0, 1.0, 1.0], vec![2.0, 0.0, 2.0]];
        let got = vec![vec![1.0, 1.0, 3.0], vec![2.0, -0.0, 2.0]];
        let text = compare("mix", &expected, &got).unwrap_err();
        assert_eq!(
            text,
            "mix: channel 1, frame 1: expected 0e0 (0x00000000), got -0e0 (0x80000000); 2 of 6 samples differ"
        );
    }

    #[test]
    fn shapes_must_agree() {
        let text = compare("mix", &[vec![0.0]], &[]).unwrap_err();
        assert_eq!(text, "mix: expected 1 channels, got 0");
        let text = compare("mix", &[vec![0.0]], &[vec![0.0, 0.0]]).unwrap_err();
        assert_eq!(text, "mix: channel 0: expected 1 frames, got 2");
    }
}

//! Integers, against their definition.

use proptest::prelude::*;

use super::super::quantise::Quantiser;

/// The definition in whole numbers: `sample` is `mantissa * 2^exponent`, so nothing is rounded but the result.
fn defined(sample: f32, bits: u32) -> (i64, bool) {
    let exponent = ((sample.to_bits() >> 23 & 0xff) as i32).max(1) - 150 + bits as i32 - 1;
    let implicit = if sample.is_normal() { 1 << 23 } else { 0 };
    let magnitude = i128::from(sample.to_bits() & 0x7f_ffff | implicit);
    let mantissa = if sample.is_sign_negative() { -magnitude } else { magnitude };
    let exact = match exponent {
        _ if sample.is_infinite() => mantissa << 100,
        0.. => mantissa << exponent.min(100),
        -60..0 => {
            let divisor = 1i128 << -exponent;
            let below = mantissa.div_euclid(divisor);
            let twice = 2 * mantissa.rem_euclid(divisor);
            below + i128::from(twice > divisor || (twice == divisor && below & 1 == 1))
        }
        _ => 0,
    };
    let most = 1i128 << (bits - 1);
    let clamped = exact.clamp(-most, most - 1);
    (clamped as i64, clamped != exact)
}

#[test]
fn halves_go_to_the_even_side_and_the_ends_are_clamped() {
    let unit = 1.0 / 32_768.0;
    for (sample, integer, clipped) in [
        (0.0, 0, 0),
        (-0.0, 0, 0),
        (0.5 * unit, 0, 0),
        (1.5 * unit, 2, 0),
        (2.5 * unit, 2, 0),
        (-0.5 * unit, 0, 0),
        (-1.5 * unit, -2, 0),
        (-2.5 * unit, -2, 0),
        (32_767.0 * unit, 32_767, 0),
        (32_767.25 * unit, 32_767, 0),
        (32_767.5 * unit, 32_767, 1),
        (1.0, 32_767, 1),
        (-1.0, -32_768, 0),
        (-32_768.5 * unit, -32_768, 0),
        (-32_769.0 * unit, -32_768, 1),
        (1e30, 32_767, 1),
        (f32::INFINITY, 32_767, 1),
        (f32::NEG_INFINITY, -32_768, 1),
        (1e-45, 0, 0),
    ] {
        let mut quantiser = Quantiser::new(16);
        assert_eq!((quantiser.quantise(sample), quantiser.clipped), (integer, clipped), "{sample}");
        assert_eq!(quantiser.invalid, 0);
    }
    let mut quantiser = Quantiser::new(24);
    assert_eq!(quantiser.quantise(f32::NAN), 0);
    assert_eq!((quantiser.clipped, quantiser.invalid), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn every_sample_becomes_the_nearest_integer(
        sample in prop_oneof![any::<u32>().prop_map(f32::from_bits), -1.2f32..1.2, -1e-3f32..1e-3],
        bits in prop::sample::select(&[16u32, 24][..]),
    ) {
        prop_assume!(!sample.is_nan());
        let mut quantiser = Quantiser::new(bits);
        let integer = i64::from(quantiser.quantise(sample));
        prop_assert_eq!((integer, quantiser.clipped == 1), defined(sample, bits));
    }
}

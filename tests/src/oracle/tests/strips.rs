//! Faders and pans.

use super::*;

#[test]
fn a_mono_strip_is_panned_with_constant_power() {
    let mut patch = mono(&[1.0]);
    let half = std::f64::consts::FRAC_PI_4;
    let quarter = std::f64::consts::FRAC_PI_8;
    let cases = [
        (-1.0, 1.0, 0.0),
        (1.0, 0.0, 1.0),
        (0.0, half.cos() as f32, half.sin() as f32),
        (-0.5, quarter.cos() as f32, quarter.sin() as f32),
    ];
    for (number, (pan, left, right)) in cases.into_iter().enumerate() {
        let (bus, gain) = (format!("bus{number}"), 6.0);
        patch.add(&bus, NodeKind::Bus, 1, &[("pan", pan), ("gain", gain)]);
        patch.link("in:out_1", &format!("{bus}:in_1"), 0.0);
        let outcome = patch.evaluate(1);
        let gain = Decibels::new(gain).unwrap().factor();
        assert_eq!(outcome.port(&patch, &format!("{bus}:out_L")), [gain * left]);
        assert_eq!(outcome.port(&patch, &format!("{bus}:out_R")), [gain * right]);
        assert_eq!(outcome.port(&patch, &format!("{bus}:pre_1")), [1.0]);
    }
}

#[test]
fn a_stereo_strip_is_balanced_and_a_wide_one_left_alone() {
    let mut patch = Patch::new(&[&[1.0], &[1.0], &[1.0]]);
    patch.add("in", NodeKind::Input, 3, &[]);
    patch.add("left", NodeKind::Send, 2, &[("pan", -0.75)]);
    patch.add("right", NodeKind::Bus, 2, &[("pan", 0.25), ("gain", -20.0)]);
    patch.add("wide", NodeKind::Bus, 3, &[("gain", -20.0)]);
    for to in ["left:in_L", "right:in_L", "wide:in_1"] {
        patch.link("in:out_1", to, 0.0);
    }
    for to in ["left:in_R", "right:in_R", "wide:in_2"] {
        patch.link("in:out_2", to, 0.0);
    }
    let outcome = patch.evaluate(1);
    let tenth = Decibels::new(-20.0).unwrap().factor();
    let at = |port: &str| outcome.port(&patch, port)[0];
    assert_eq!([at("left:out_L"), at("left:out_R")], [1.0, 0.25]);
    assert_eq!([at("right:out_L"), at("right:out_R")], [tenth * 0.75, tenth]);
    // The pan is subtracted in double precision.
    assert_ne!((1.0 - 0.59) as f32, 1.0 - 0.59f32);
    assert_eq!(law::balance(0.59), [(1.0 - 0.59) as f32, 1.0]);
    assert_eq!([at("wide:out_1"), at("wide:out_2"), at("wide:out_3")], [tenth, tenth, 0.0]);
}

#[test]
fn mute_silences_the_tap_unless_it_ignores_it() {
    for (ignores, pre) in [(0.0, -0.0), (1.0, -1.0)] {
        let mut patch = mono(&[-1.0]);
        patch.add("bus", NodeKind::Bus, 1, &[("mute", 1.0), ("pre_ignores_mute", ignores)]);
        patch.link("in:out_1", "bus:in_1", 0.0);
        let outcome = patch.evaluate(1);
        for (port, expected) in [("bus:pre_1", pre), ("bus:out_L", -0.0f32), ("bus:out_R", -0.0)] {
            assert_eq!(outcome.port(&patch, port)[0].to_bits(), expected.to_bits(), "{port}");
        }
    }
}

#[test]
fn a_master_is_not_panned() {
    let mut patch = mono(&[1.0]);
    patch.add("loud", NodeKind::Master, 1, &[("gain", 6.0)]);
    patch.add("quiet", NodeKind::Master, 2, &[("mute", 1.0)]);
    patch.link("in:out_1", "loud:in_1", 0.0);
    patch.link("in:out_1", "quiet:in_L", 0.0);
    let outcome = patch.evaluate(1);
    assert_eq!(outcome.port(&patch, "loud:out_1"), [Decibels::new(6.0).unwrap().factor()]);
    assert_eq!(outcome.port(&patch, "quiet:out_L"), [0.0]);
}

use aulos_protocol::{NodeKind, params};
use proptest::prelude::*;

use super::*;

fn param(kind: NodeKind, name: &str) -> &'static Param {
    params::of(kind, 2).iter().find(|p| p.name == name).unwrap()
}

/// The number that `text` comes to for a parameter that is `now`.
fn resolved(param: &Param, text: &str, now: Value) -> Resolved {
    parse(param.unit, text, true).unwrap().resolve(param, now, Rate::default())
}

fn number_of(param: &Param, text: &str, now: f64) -> f64 {
    resolved(param, text, Value::Number(now)).value.as_f64()
}

#[test]
fn gains_are_absolute_relative_or_percent() {
    let gain = param(NodeKind::Track, "gain");
    let table = [
        ("-3dB", -3.0),
        ("-3 dB", -3.0),
        ("-3", -3.0),
        ("3", 3.0),
        ("\u{2212}3 dB", -3.0),
        ("+1.5dB", -8.5),
        ("+1.5", -8.5),
        ("1.5dB+", -8.5),
        ("1.5 dB +", -8.5),
        ("3dB-", -13.0),
        ("100%", 0.0),
        ("50%", -6.0206),
        ("10%", -20.0),
    ];
    for (text, expected) in table {
        let got = number_of(gain, text, -10.0);
        assert!((got - expected).abs() < 1e-4, "{text}: {got}");
    }
    for silence in ["-inf", "off", "OFF", "-inf dB", "0%", "-∞"] {
        assert_eq!(resolved(gain, silence, Value::Number(0.0)).value, Value::Silence, "{silence}");
    }
    // -10 dB is an amplitude of 31.6 %.
    let got = number_of(gain, "5%-", -10.0);
    assert!((got - -11.4949).abs() < 1e-3, "{got}");
    assert_eq!(resolved(gain, "40%-", Value::Number(-10.0)).value, Value::Silence);
    for wrong in ["", "loud", "-3dB-", "+-3", "3dbs", "1e3", "nan", "inf", "--3", "-5%", "3 Hz", ".", "1.2.3"]
    {
        let error = parse(Unit::Decibels, wrong, true).unwrap_err();
        assert!(error.expected.unwrap().contains("dB"), "{wrong}");
    }
}

#[test]
fn relative_values_stop_at_the_ends_of_the_range() {
    let gain = param(NodeKind::Track, "gain");
    let up = resolved(gain, "+6dB", Value::Number(10.0));
    assert_eq!(up, Resolved { value: Value::Number(12.0), clamped: true });
    let down = resolved(gain, "10dB-", Value::Number(-140.0));
    assert_eq!(down, Resolved { value: Value::Number(-144.0), clamped: true });
    assert_eq!(
        resolved(gain, "20", Value::Number(0.0)),
        Resolved { value: Value::Number(20.0), clamped: false }
    );
    assert_eq!(resolved(gain, "+3dB", Value::Silence).value, Value::Silence);
    assert!((resolved(gain, "50%+", Value::Silence).value.as_f64() - -6.0206).abs() < 1e-4);
}

#[test]
fn pans_switches_frequencies_and_lengths_are_read() {
    let pan = param(NodeKind::Track, "pan");
    for (text, expected) in [
        ("-0.3", -0.3),
        ("0.5", 0.5),
        ("L30", -0.3),
        ("r100", 1.0),
        ("R", 1.0),
        ("C", 0.0),
        ("50%", 0.0),
        ("0%", -1.0),
        ("+0.1", 0.3),
        ("0.1-", 0.1),
        ("5%+", 0.3),
    ] {
        let got = number_of(pan, text, 0.2);
        assert!((got - expected).abs() < 1e-12, "{text}: {got}");
    }
    let mute = param(NodeKind::Track, "mute");
    for (text, expected) in [("on", true), ("False", false), ("1", true), ("0", false), ("toggle", true)] {
        assert_eq!(resolved(mute, text, Value::Switch(false)).value, Value::Switch(expected), "{text}");
    }
    assert_eq!(resolved(mute, "toggle", Value::Switch(true)).value, Value::Switch(false));
    for wrong in ["+1", "50%", "maybe", "1+"] {
        assert!(parse(Unit::Switch, wrong, true).is_err(), "{wrong}");
    }
    let frequency = param(NodeKind::Tone, "frequency");
    for (text, expected) in [("440Hz", 440.0), ("1.2kHz", 1200.0), ("2k", 2000.0), ("+10 Hz", 110.0)] {
        assert_eq!(number_of(frequency, text, 100.0), expected, "{text}");
    }
    let frames = param(NodeKind::Delay, "frames");
    for (text, expected) in [
        ("480", 480.0),
        ("480f", 480.0),
        ("10ms", 480.0),
        ("0.5s", 24_000.0),
        ("+1ms", 148.0),
        ("50%", 960_000.0),
    ] {
        assert_eq!(number_of(frames, text, 100.0), expected, "{text}");
    }
    assert!(parse(Unit::Frames, "1ms", true).unwrap().needs_rate());
    assert_eq!(number_of(param(NodeKind::Output, "first_channel"), "+1", 1.0), 2.0);
}

#[test]
fn what_is_new_takes_no_relative_values() {
    assert_eq!(parse(Unit::Decibels, "+3dB", false).unwrap(), Wish::Set(Value::Number(3.0)));
    assert!(parse(Unit::Decibels, "3dB-", false).unwrap_err().message.contains("relative"));
    assert!(parse(Unit::Switch, "toggle", false).unwrap_err().message.contains("relative"));
    assert_eq!(gain("-6dB").unwrap().get(), -6.0);
    assert_eq!(gain("+3dB").unwrap().get(), 3.0);
    assert!(gain("off").unwrap().is_silence());
    assert!(gain("10%").unwrap().get() + 20.0 < 1e-9);
    assert!(gain("toggle").is_err());
}

#[test]
fn values_are_shown_with_their_units() {
    for (unit, value, text) in [
        (Unit::Decibels, Value::Number(-3.0), "-3.00 dB"),
        (Unit::Decibels, Value::Number(-0.001), "0.00 dB"),
        (Unit::Decibels, Value::Silence, "-inf dB"),
        (Unit::Pan, Value::Number(-0.3), "L30"),
        (Unit::Pan, Value::Number(-0.000_1), "C"),
        (Unit::Pan, Value::Number(0.305), "R30.5"),
        (Unit::Switch, Value::Switch(true), "on"),
        (Unit::Hertz, Value::Number(440.0), "440 Hz"),
        (Unit::Frames, Value::Number(480.0), "480 frames"),
        (Unit::Count, Value::Number(3.0), "3"),
    ] {
        assert_eq!(show(unit, value), text);
    }
}

const UNITS: [Unit; 11] = [
    Unit::Decibels,
    Unit::Pan,
    Unit::Switch,
    Unit::Hertz,
    Unit::Frames,
    Unit::Count,
    Unit::Milliseconds,
    Unit::Ratio,
    Unit::Factor,
    Unit::Choice(&["one", "two"]),
    Unit::Pattern,
];

proptest! {
    #[test]
    fn any_text_is_a_value_or_refused(text in ".{0,20}", unit in prop::sample::select(&UNITS[..])) {
        let _ = parse(unit, &text, true);
        let _ = gain(&text);
        let _ = absolute_or_difference(&text, "bpm");
    }

    #[test]
    fn anything_like_a_value_resolves_within_reach(
        text in "[-+]?[0-9.]{1,6} ?(db|%|hz|khz|ms|s|f)?[-+]?",
        now in prop_oneof![Just(Value::Silence), (-200.0..20.0f64).prop_map(Value::Number)],
    ) {
        for kind in NodeKind::ALL {
            for param in params::of(kind, 2) {
                if let Ok(wish) = parse(param.unit, &text, true) {
                    let got = wish.resolve(param, now, Rate::default());
                    prop_assert!(!got.value.as_f64().is_nan(), "{text} for {}", param.name);
                    let relative = matches!(wish, Wish::By(_) | Wish::ByPercent(_) | Wish::BySeconds(_));
                    if relative && got.value != Value::Silence {
                        prop_assert!((param.min..=param.max).contains(&got.value.as_f64()));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_shown_is_understood(part in 0.0..=1.0f64) {
        for kind in NodeKind::ALL {
            for param in params::of(kind, 2) {
                let whole = matches!(param.unit, Unit::Frames | Unit::Count | Unit::Switch | Unit::Choice(_));
                let number = param.min + (param.max - param.min) * part;
                let value = match param.unit {
                    Unit::Pattern => Value::name("X.xo"),
                    _ => param.accept(Value::Number(if whole { number.round() } else { number })).unwrap(),
                };
                let text = show(param.unit, value);
                let Wish::Set(again) = parse(param.unit, &text, true).unwrap() else {
                    panic!("{text} is relative");
                };
                if matches!(value, Value::Name(_)) {
                    prop_assert_eq!(again, value);
                    continue;
                }
                prop_assert!((again.as_f64() - value.as_f64()).abs() <= 0.005 + 1e-9, "{value} as {text}");
            }
        }
    }
}

//! Values as people read them.

use crate::{Decibels, Value, params::Unit};

/// The value as people read it. What is printed is also understood as an absolute value, so it has no plus.
pub fn show(unit: Unit, value: Value) -> String {
    match (unit, value) {
        (_, Value::Switch(on)) => if on { "on" } else { "off" }.to_owned(),
        (_, Value::Silence) => "-inf dB".to_owned(),
        (_, Value::Name(name)) => name.as_str().to_owned(),
        (Unit::Switch, Value::Number(number)) => if number == 0.0 { "off" } else { "on" }.to_owned(),
        (Unit::Decibels | Unit::Level, Value::Number(db)) => format!("{} dB", fixed(db, 2)),
        (Unit::Pan, Value::Number(pan)) => {
            // Tenths of a percent; adding 0 keeps a rounded -0 from being left of the middle.
            let percent = (pan * 1000.0).round() / 10.0 + 0.0;
            match percent {
                0.0 => "C".to_owned(),
                left if left < 0.0 => format!("L{}", -left),
                right => format!("R{right}"),
            }
        }
        (Unit::Hertz, Value::Number(hz)) => format!("{} Hz", (hz * 100.0).round() / 100.0),
        (Unit::Frames, Value::Number(1.0)) => "1 frame".to_owned(),
        (Unit::Frames, Value::Number(frames)) => format!("{frames} frames"),
        (Unit::Milliseconds, Value::Number(ms)) => format!("{} ms", (ms * 1000.0).round() / 1000.0),
        (Unit::Ratio, Value::Number(ratio)) => format!("{}:1", (ratio * 100.0).round() / 100.0),
        (Unit::Factor, Value::Number(number)) => format!("{}", (number * 1000.0).round() / 1000.0),
        (Unit::Count | Unit::Choice(_) | Unit::Pattern, Value::Number(number)) => format!("{number}"),
    }
}

/// A gain as people read it.
pub fn show_gain(gain: Decibels) -> String {
    show(Unit::Decibels, if gain.is_silence() { Value::Silence } else { Value::Number(gain.get()) })
}

/// A number with so many decimals, where what rounds to 0 has no minus.
fn fixed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_owned(),
        _ => text,
    }
}

/// A finite decimal number without a sign. Narrower than Rust's own idea of one, which has `inf` and `nan`.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim_end();
    let decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text != ".";
    if !decimal {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

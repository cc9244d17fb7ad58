//! Values of parameters as people write them: with units, in percent, relative to what is.

pub use aulos_protocol::show::{number, show, show_gain};
use aulos_protocol::{
    Decibels, Error, ErrorCode, Name, Rate, Value,
    params::{self, Param, Unit},
};

/// How values are written, for the help of every command that sets one.
pub const HELP: &str = "\
Values:
  -3dB, -3 dB, -3     absolute, in the parameter's own unit unless one is written
  +1.5dB              a leading plus adds to the current value
  1.5dB+, 3dB-, 5%-   a trailing sign adds or takes away
  50%                 of a gain or level: amplitude (50% is -6.02 dB, 0% is silence);
                      of anything else: the middle of its range
  -inf, off           silence, for gains and levels
  on, off, toggle     for switches; true, false, yes, no, 1 and 0 are understood too
  440Hz, 1.2kHz       frequencies
  480, 10ms, 0.5s     lengths in frames or time
  -0.3, L30, R100, C  positions
  4:1                 ratios
  low_shelf, Xxxx     names, as `aulosctl get` lists them, and click patterns
A relative value is added to what the server tells; it stops at the end of the range.";

/// How values are written for what is new, and has no value yet that could be changed.
pub const HELP_NEW: &str = "\
Values:
  -3dB, -3 dB, -3     in the parameter's own unit unless one is written
  50%                 of a gain or level: amplitude (50% is -6.02 dB, 0% is silence);
                      of anything else: the middle of its range
  -inf, off           silence, for gains and levels
  on, off             for switches; true, false, yes, no, 1 and 0 are understood too
  440Hz, 1.2kHz       frequencies
  480, 10ms, 0.5s     lengths in frames or time
  -0.3, L30, R100, C  positions
  4:1                 ratios
  low_shelf, Xxxx     names, as `aulosctl get` lists them, and click patterns";

/// A value as it was asked for, before it is known what it is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish {
    /// This value.
    Set(Value),
    /// This length of time, in seconds.
    SetSeconds(f64),
    /// This part of the range or amplitude, in percent.
    SetPercent(f64),
    /// So much more, in the parameter's unit.
    By(f64),
    /// So much longer, in seconds.
    BySeconds(f64),
    /// So much of the range or amplitude more, in percent.
    ByPercent(f64),
    /// The other position of the switch.
    Toggle,
}

/// The value that a wish comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolved {
    /// The value.
    pub value: Value,
    /// Whether a relative value was held at the end of the range.
    pub clamped: bool,
}

/// The sign that a value was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    None,
    /// A minus in front: part of the number.
    Minus,
    /// A plus in front.
    Plus,
    /// A plus or minus at the end.
    Trailing {
        up: bool,
    },
}

/// Reads a value for a parameter of `unit`. With `relative` a leading plus is an addition, without it is just
/// a sign, and trailing signs are refused: a new thing has no value yet that could be changed.
///
/// # Errors
/// What was expected instead.
pub fn parse(unit: Unit, text: &str, relative: bool) -> Result<Wish, Error> {
    let wrong = || {
        Error::new(ErrorCode::InvalidArgument, format!("\"{text}\" is not a value that is understood"))
            .expected(expected(unit))
    };
    let lower = text.trim().replace('\u{2212}', "-").to_lowercase();
    let relative_to_nothing = || {
        Error::new(ErrorCode::InvalidArgument, format!("\"{text}\" is relative to nothing"))
            .expected("a value that stands by itself; what is new has nothing to change")
    };
    if matches!(unit, Unit::Choice(_) | Unit::Pattern) {
        // As it was written: in patterns, large and small letters differ.
        return Name::new(text.trim()).map(|name| Wish::Set(Value::Name(name))).ok_or_else(wrong);
    }
    match word(unit, &lower) {
        Some(Wish::Toggle) if !relative => return Err(relative_to_nothing()),
        Some(wish) => return Ok(wish),
        None => {}
    }
    let (sign, rest) = split_sign(&lower).ok_or_else(wrong)?;
    if matches!(sign, Sign::Trailing { .. }) && !relative {
        return Err(relative_to_nothing());
    }
    let amount = amount(unit, rest).ok_or_else(wrong)?;
    let factor = match sign {
        Sign::Minus | Sign::Trailing { up: false } => -1.0,
        Sign::None | Sign::Plus | Sign::Trailing { up: true } => 1.0,
    };
    let is_relative = relative && matches!(sign, Sign::Plus | Sign::Trailing { .. });
    match (amount, is_relative) {
        (Amount::Percent(_), false) if sign == Sign::Minus => Err(wrong()),
        (_, true) if unit == Unit::Switch => Err(wrong()),
        (Amount::Percent(percent), false) => Ok(Wish::SetPercent(percent)),
        (Amount::Percent(percent), true) => Ok(Wish::ByPercent(factor * percent)),
        (Amount::Seconds(seconds), false) => Ok(Wish::SetSeconds(factor * seconds)),
        (Amount::Seconds(seconds), true) => Ok(Wish::BySeconds(factor * seconds)),
        (Amount::Units(number), false) => Ok(Wish::Set(Value::Number(factor * number))),
        (Amount::Units(number), true) => Ok(Wish::By(factor * number)),
    }
}

/// Reads a gain that is relative to nothing, such as that of a link.
///
/// # Errors
/// What was expected instead.
pub fn gain(text: &str) -> Result<Decibels, Error> {
    let db = match parse(Unit::Decibels, text, false)? {
        Wish::Set(value) => value.as_f64(),
        Wish::SetPercent(percent) => amplitude(percent).as_f64(),
        // Nothing relative is read without leave, and gains are not lengths or switches.
        _ => f64::NAN,
    };
    Decibels::new(db).ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, format!("\"{text}\" is no gain"))
            .expected(expected(Unit::Decibels))
    })
}

/// Reads a number with an optional sign and unit as an absolute value or as a difference.
///
/// # Errors
/// None of both, if it is neither.
pub fn absolute_or_difference(text: &str, unit: &str) -> Option<(Option<f64>, Option<f64>)> {
    let lower = text.trim().to_lowercase();
    let (sign, rest) = split_sign(&lower)?;
    let number = number(rest.strip_suffix(unit).unwrap_or(rest))?;
    Some(match sign {
        Sign::None => (Some(number), None),
        Sign::Minus => (Some(-number), None),
        Sign::Plus | Sign::Trailing { up: true } => (None, Some(number)),
        Sign::Trailing { up: false } => (None, Some(-number)),
    })
}

impl Wish {
    /// Whether the engine's rate is needed to tell the value.
    pub fn needs_rate(self) -> bool {
        matches!(self, Self::SetSeconds(_) | Self::BySeconds(_))
    }

    /// The value that is meant for `param`, which now has `current`. Absolute values may lie outside the range:
    /// the server has the last word on them.
    pub fn resolve(self, param: &Param, current: Value, rate: Rate) -> Resolved {
        let whole = matches!(param.unit, Unit::Frames | Unit::Count);
        let frames = |seconds: f64| (seconds * f64::from(rate.hz())).round();
        let absolute = |value| Resolved { value, clamped: false };
        let now = current.as_f64();
        match self {
            Self::Set(value) => absolute(value),
            Self::SetSeconds(seconds) => absolute(Value::Number(frames(seconds))),
            Self::SetPercent(percent) if param.unit == Unit::Decibels => absolute(amplitude(percent)),
            Self::SetPercent(percent) => {
                let number = param.min + (param.max - param.min) * percent / 100.0;
                absolute(Value::Number(if whole { number.round() } else { number }))
            }
            Self::Toggle => absolute(Value::Switch(now == 0.0)),
            Self::By(amount) => held(param, now + amount),
            Self::BySeconds(seconds) => held(param, now + frames(seconds)),
            Self::ByPercent(percent) if param.unit == Unit::Decibels => {
                let factor = 10f64.powf(now / 20.0) * 100.0 + percent;
                match amplitude(factor.max(0.0)) {
                    Value::Number(db) => held(param, db),
                    silence => absolute(silence),
                }
            }
            Self::ByPercent(percent) => {
                let step = (param.max - param.min) * percent / 100.0;
                held(param, now + if whole { step.round() } else { step })
            }
        }
    }
}

/// A number held within the range; silence stays silence, as nothing can be added to it.
fn held(param: &Param, number: f64) -> Resolved {
    if number == f64::NEG_INFINITY {
        return Resolved { value: Value::Silence, clamped: false };
    }
    let within = number.clamp(param.min, param.max);
    Resolved { value: Value::Number(within), clamped: within != number }
}

/// The level of a linear amplitude in percent.
fn amplitude(percent: f64) -> Value {
    if percent <= 0.0 { Value::Silence } else { Value::Number(20.0 * (percent / 100.0).log10()) }
}

/// Values that are words.
fn word(unit: Unit, text: &str) -> Option<Wish> {
    let value = match (unit, text) {
        (Unit::Switch, "toggle") => return Some(Wish::Toggle),
        (Unit::Switch, "on" | "true" | "yes" | "1") => Value::Switch(true),
        (Unit::Switch, "off" | "false" | "no" | "0") => Value::Switch(false),
        (Unit::Decibels, "off" | "-inf" | "-inf db" | "-infdb" | "-∞" | "-∞ db") => Value::Silence,
        (Unit::Pan, "c" | "center" | "centre") => Value::Number(0.0),
        (Unit::Pan, _) => Value::Number(side(text)?),
        _ => return None,
    };
    Some(Wish::Set(value))
}

/// `l30` and `r100` as a position.
fn side(text: &str) -> Option<f64> {
    let (sign, rest) = match text.strip_prefix('l') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('r')?),
    };
    let percent = if rest.is_empty() { 100.0 } else { number(rest)? };
    // Adding 0 makes the -0 of "l0" the 0 of the middle.
    Some(sign * percent / 100.0 + 0.0)
}

fn split_sign(text: &str) -> Option<(Sign, &str)> {
    let (leading, rest) = match text.strip_prefix('-') {
        Some(rest) => (Sign::Minus, rest),
        None => text.strip_prefix('+').map_or((Sign::None, text), |rest| (Sign::Plus, rest)),
    };
    let (trailing, rest) = match rest.strip_suffix('-') {
        Some(rest) => (Some(false), rest),
        None => rest.strip_suffix('+').map_or((None, rest), |rest| (Some(true), rest)),
    };
    match (leading, trailing) {
        (sign, None) => Some((sign, rest.trim())),
        (Sign::None, Some(up)) => Some((Sign::Trailing { up }, rest.trim())),
        _ => None,
    }
}

enum Amount {
    Units(f64),
    Seconds(f64),
    Percent(f64),
}

/// An amount without a sign.
fn amount(unit: Unit, text: &str) -> Option<Amount> {
    if let Some(percent) = text.strip_suffix('%') {
        return (unit != Unit::Switch).then(|| number(percent).map(Amount::Percent))?;
    }
    let scaled = |suffix: &str, scale: f64| Some(number(text.strip_suffix(suffix)?)? * scale);
    let with_unit = match unit {
        Unit::Decibels | Unit::Level => scaled("db", 1.0),
        Unit::Hertz => scaled("khz", 1000.0).or_else(|| scaled("hz", 1.0)).or_else(|| scaled("k", 1000.0)),
        Unit::Frames => {
            if let Some(seconds) = scaled("ms", 0.001).or_else(|| scaled("s", 1.0)) {
                return Some(Amount::Seconds(seconds));
            }
            scaled("frames", 1.0).or_else(|| scaled("frame", 1.0)).or_else(|| scaled("f", 1.0))
        }
        Unit::Milliseconds => scaled("ms", 1.0).or_else(|| scaled("s", 1000.0)),
        Unit::Ratio => scaled(":1", 1.0),
        Unit::Pan | Unit::Switch | Unit::Count | Unit::Factor | Unit::Choice(_) | Unit::Pattern => None,
    };
    with_unit.or_else(|| number(text)).map(Amount::Units)
}

fn expected(unit: Unit) -> &'static str {
    match unit {
        Unit::Decibels => "a level such as -3dB, +1.5dB, 3dB-, 50%, 5%+ or -inf",
        Unit::Level => "a number of decibels such as -3dB, +1.5dB or 3dB-",
        Unit::Pan => "a position such as -0.3, +0.1, L30, R100 or C",
        Unit::Switch => "on, off or toggle",
        Unit::Hertz => "a frequency such as 440Hz, 1.2kHz or +10Hz",
        Unit::Frames => "a length such as 480, 10ms, 0.5s or +1ms",
        Unit::Count => "a whole number such as 3 or +1",
        Unit::Milliseconds => "a time such as 10ms, 0.5s, +1ms or 50%",
        Unit::Ratio => "a ratio such as 4:1, 2.5 or +1",
        Unit::Factor => "a number such as 0.7 or +0.1",
        Unit::Choice(_) => "one of the names that `aulosctl get` tells",
        Unit::Pattern => params::PATTERN,
    }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;

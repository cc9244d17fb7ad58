//! Numbers that carry their unit.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A position or a length in frames; a frame is one sample of every channel.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Frames(pub u64);

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Frames per second, 8,000 to 384,000 Hz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Rate(u32);

impl Rate {
    /// The lowest rate that a session may have, in Hz.
    pub const MIN: u32 = 8_000;
    /// The highest rate that a session may have, in Hz.
    pub const MAX: u32 = 384_000;

    /// A rate of `hz`, or `None` outside [`Rate::MIN`]..=[`Rate::MAX`].
    pub fn new(hz: u32) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&hz).then_some(Self(hz))
    }

    /// The rate in Hz.
    pub fn hz(self) -> u32 {
        self.0
    }

    /// How many frames `ms` milliseconds are, to the nearest.
    pub fn frames_in_ms(self, ms: f64) -> u64 {
        (ms * f64::from(self.0) / 1000.0).round() as u64
    }

    /// How many seconds `frames` are.
    pub fn seconds(self, frames: Frames) -> f64 {
        frames.0 as f64 / f64::from(self.0)
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self(48_000)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let hz = u32::deserialize(d)?;
        Self::new(hz).ok_or_else(|| {
            de::Error::custom(format!("rate {hz} Hz is outside {} to {} Hz", Self::MIN, Self::MAX))
        })
    }
}

/// Beats (quarter notes) per minute.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Bpm(f64);

impl Bpm {
    /// The slowest tempo.
    pub const MIN: f64 = 10.0;
    /// The fastest tempo.
    pub const MAX: f64 = 1000.0;

    /// A tempo, or `None` outside [`Bpm::MIN`]..=[`Bpm::MAX`].
    pub fn new(bpm: f64) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&bpm).then_some(Self(bpm))
    }

    /// The tempo as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Frames per beat at `rate`; not a whole number in general.
    pub fn frames_per_beat(self, rate: Rate) -> f64 {
        f64::from(rate.hz()) * 60.0 / self.0
    }
}

impl Default for Bpm {
    fn default() -> Self {
        Self(120.0)
    }
}

impl<'de> Deserialize<'de> for Bpm {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bpm = f64::deserialize(d)?;
        Self::new(bpm).ok_or_else(|| {
            de::Error::custom(format!("tempo {bpm} is outside {} to {} bpm", Self::MIN, Self::MAX))
        })
    }
}

/// A time signature, written `4/4`: how many beats a bar has, and which note value a beat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    beats: u8,
    unit: u8,
}

impl Signature {
    /// The most beats in a bar.
    pub const MOST_BEATS: u8 = 32;

    /// What a signature looks like, for error messages.
    pub const EXPECTED: &str = "1 to 32 beats of 1, 2, 4, 8, 16 or 32, such as 4/4, 7/8 or 6/8";

    /// A signature of `beats` beats, each a `unit`th note.
    pub fn new(beats: u8, unit: u8) -> Option<Self> {
        let fits = (1..=Self::MOST_BEATS).contains(&beats) && unit.is_power_of_two() && unit <= 32;
        fits.then_some(Self { beats, unit })
    }

    /// How many beats a bar has.
    pub fn beats(self) -> u8 {
        self.beats
    }

    /// Which note value a beat is: 4 for quarters.
    pub fn unit(self) -> u8 {
        self.unit
    }

    /// How many quarter notes, which tempos count, a beat is.
    pub fn quarters_per_beat(self) -> f64 {
        4.0 / f64::from(self.unit)
    }
}

impl Default for Signature {
    fn default() -> Self {
        Self { beats: 4, unit: 4 }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.beats, self.unit)
    }
}

impl std::str::FromStr for Signature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| -> Option<u8> {
            // As it is written, no other way.
            text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
        };
        let read = || {
            let (beats, unit) = text.split_once('/')?;
            Self::new(number(beats)?, number(unit)?)
        };
        read().ok_or_else(|| format!("a time signature is {}", Self::EXPECTED))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Signature {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Signature".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A time signature, such as \"4/4\": beats in a bar, and the note value of a beat.",
            "type": "string",
            "pattern": "^([1-9]|[12][0-9]|3[0-2])/(1|2|4|8|16|32)$",
        })
    }
}

/// A gain in decibels. Silence is explicit, as JSON has no −∞: it is written `"-inf"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Decibels(f64);

impl Decibels {
    /// No change of level.
    pub const UNITY: Self = Self(0.0);
    /// No sound.
    pub const SILENCE: Self = Self(f64::NEG_INFINITY);

    /// A gain of `db`, or `None` if it is NaN or +∞. −∞ is silence.
    pub fn new(db: f64) -> Option<Self> {
        (!db.is_nan() && db != f64::INFINITY).then_some(Self(db))
    }

    /// The gain in dB; −∞ for silence.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether this is silence.
    pub fn is_silence(self) -> bool {
        self.0 == f64::NEG_INFINITY
    }

    /// The factor that samples are multiplied by: 10^(dB/20), exactly 1 at 0 dB and 0 for silence.
    pub fn factor(self) -> f32 {
        if self.0 == 0.0 {
            1.0
        } else if self.is_silence() {
            0.0
        } else {
            10f64.powf(self.0 / 20.0) as f32
        }
    }
}

impl Default for Decibels {
    fn default() -> Self {
        Self::UNITY
    }
}

impl fmt::Display for Decibels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_silence() { f.write_str("-inf dB") } else { write!(f, "{:+.2} dB", self.0) }
    }
}

impl Serialize for Decibels {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.is_silence() { s.serialize_str("-inf") } else { s.serialize_f64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Decibels {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(f64),
            Text(String),
        }
        let wrong = || de::Error::custom("a gain is a number of decibels or \"-inf\" for silence");
        match Raw::deserialize(d).map_err(|_| wrong())? {
            Raw::Number(db) => Self::new(db).ok_or_else(wrong),
            Raw::Text(text) if text == "-inf" => Ok(Self::SILENCE),
            Raw::Text(_) => Err(wrong()),
        }
    }
}

impl JsonSchema for Decibels {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decibels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A gain in decibels; \"-inf\" is silence.",
            "anyOf": [{ "type": "number" }, { "const": "-inf" }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_survive_json() {
        for (gain, text) in [(Decibels::SILENCE, "\"-inf\""), (Decibels(-3.5), "-3.5")] {
            assert_eq!(serde_json::to_string(&gain).unwrap(), text);
            assert_eq!(serde_json::from_str::<Decibels>(text).unwrap(), gain);
        }
        for wrong in ["\"loud\"", "null", "[]"] {
            let error = serde_json::from_str::<Decibels>(wrong).unwrap_err();
            assert!(error.to_string().contains("-inf"), "{error}");
        }
    }

    #[test]
    fn signatures_are_read_as_they_are_written() {
        for text in ["4/4", "7/8", "32/32", "1/1"] {
            assert_eq!(text.parse::<Signature>().unwrap().to_string(), text);
        }
        for wrong in ["", "4", "4/", "/4", "0/4", "33/4", "4/3", "4/64", "+4/4", "4/4/4", " 4/4"] {
            assert!(wrong.parse::<Signature>().is_err(), "{wrong:?}");
        }
        assert_eq!(Signature::new(6, 8).unwrap().quarters_per_beat(), 0.5);
    }

    #[test]
    fn factors_of_unity_and_silence_are_exact() {
        assert_eq!(Decibels::UNITY.factor(), 1.0);
        assert_eq!(Decibels::SILENCE.factor(), 0.0);
        assert!((Decibels(-20.0).factor() - 0.1).abs() < 1e-7);
    }

    #[test]
    fn units_refuse_what_lies_outside_their_range() {
        assert!(serde_json::from_str::<Rate>("7999").is_err());
        assert!(serde_json::from_str::<Rate>("48000").is_ok());
        assert!(serde_json::from_str::<Bpm>("0").is_err());
        assert!(Bpm::new(f64::NAN).is_none());
        assert!(Decibels::new(f64::NAN).is_none());
    }
}

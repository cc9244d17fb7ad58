//! The value of a parameter.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The value of a parameter: a switch, a number in the parameter's unit, or silence (a gain of −∞ dB,
/// written `"-inf"`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// A finite number.
    Number(f64),
    /// A gain of −∞ dB.
    Silence,
}

impl Value {
    /// The value as one number: switches are 0 and 1, silence is −∞.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Switch(on) => f64::from(u8::from(on)),
            Self::Number(number) => number,
            Self::Silence => f64::NEG_INFINITY,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => f.write_str(if *on { "on" } else { "off" }),
            Self::Number(number) => write!(f, "{number}"),
            Self::Silence => f.write_str("-inf"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Switch(on) => s.serialize_bool(*on),
            Self::Number(number) => s.serialize_f64(*number),
            Self::Silence => s.serialize_str("-inf"),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Switch(bool),
            Number(f64),
            Text(String),
        }
        let wrong = || de::Error::custom("a value is true, false, a finite number or \"-inf\"");
        match Raw::deserialize(d).map_err(|_| wrong())? {
            Raw::Switch(on) => Ok(Self::Switch(on)),
            Raw::Number(number) if number.is_finite() => Ok(Self::Number(number)),
            Raw::Text(text) if text == "-inf" => Ok(Self::Silence),
            _ => Err(wrong()),
        }
    }
}

impl JsonSchema for Value {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A switch, a number in the parameter's unit, or \"-inf\" for silence.",
            "anyOf": [{ "type": "boolean" }, { "type": "number" }, { "const": "-inf" }],
        })
    }
}

//! The value of a parameter.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The value of a parameter: a switch, a number in the parameter's unit, silence (a gain of −∞ dB, written
/// `"-inf"`), or a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// A finite number.
    Number(f64),
    /// A gain of −∞ dB.
    Silence,
    /// One of several, by its name, or a pattern.
    Name(Name),
}

/// A short word: 1 to [`Name::MAX_LEN`] printable ASCII characters other than spaces. Held in place, so that values
/// can be copied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl Name {
    /// The longest name, in characters.
    pub const MAX_LEN: usize = 31;

    /// A name with this text; `None` if it is none.
    pub const fn new(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return None;
        }
        let mut bytes = [0; Self::MAX_LEN];
        let mut at = 0;
        while at < text.len() {
            if !text[at].is_ascii_graphic() {
                return None;
            }
            bytes[at] = text[at];
            at += 1;
        }
        Some(Self { len: text.len() as u8, bytes })
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        // All of it is ASCII.
        str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Value {
    /// A name as a value; for tables.
    ///
    /// # Panics
    /// If the text is no [`Name`].
    pub const fn name(text: &str) -> Self {
        match Name::new(text) {
            Some(name) => Self::Name(name),
            None => panic!("a name is short and of printable ASCII"),
        }
    }

    /// The value as one number: switches are 0 and 1, silence is −∞. A name has none by itself (see
    /// [`crate::params::Param::number`]) and is 0 here.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Switch(on) => f64::from(u8::from(on)),
            Self::Number(number) => number,
            Self::Silence => f64::NEG_INFINITY,
            Self::Name(_) => 0.0,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => f.write_str(if *on { "on" } else { "off" }),
            Self::Number(number) => write!(f, "{number}"),
            Self::Silence => f.write_str("-inf"),
            Self::Name(name) => f.write_str(name.as_str()),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Switch(on) => s.serialize_bool(*on),
            Self::Number(number) => s.serialize_f64(*number),
            Self::Silence => s.serialize_str("-inf"),
            Self::Name(name) => s.serialize_str(name.as_str()),
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
        let wrong = || de::Error::custom("a value is true, false, a finite number, \"-inf\" or a name");
        match Raw::deserialize(d).map_err(|_| wrong())? {
            Raw::Switch(on) => Ok(Self::Switch(on)),
            Raw::Number(number) if number.is_finite() => Ok(Self::Number(number)),
            Raw::Text(text) if text == "-inf" => Ok(Self::Silence),
            Raw::Text(text) => Name::new(&text).map(Self::Name).ok_or_else(wrong),
            Raw::Number(_) => Err(wrong()),
        }
    }
}

impl JsonSchema for Value {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A switch, a number in the parameter's unit, \"-inf\" for silence, or one of the parameter's names.",
            "anyOf": [
                { "type": "boolean" },
                { "type": "number" },
                { "type": "string", "minLength": 1, "maxLength": Name::MAX_LEN, "pattern": "^[!-~]+$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_value_or_refused(text in "\\PC{0,40}") {
            let json = serde_json::to_string(&text).unwrap();
            match serde_json::from_str::<Value>(&json) {
                Ok(value) => prop_assert_eq!(value.to_string(), text),
                Err(error) => prop_assert!(error.to_string().contains("a value is"), "{}", error),
            }
        }
    }

    #[test]
    fn names_survive_json() {
        let value = Value::name("-4.5dB");
        assert_eq!(serde_json::to_string(&value).unwrap(), "\"-4.5dB\"");
        assert_eq!(serde_json::from_str::<Value>("\"-4.5dB\"").unwrap(), value);
        assert!(Name::new("two words").is_none() && Name::new(&"x".repeat(32)).is_none());
    }
}
